//! The way out: answers take their places in the order of requests, and leave.

use std::io;

use ringlog_io::{Buf, Nanos, Token};

use super::Front;
use crate::broker::ReplyTo;
use crate::connection::Refused;
use crate::lists::give_back;
use crate::response::Response;
use crate::submission::{FileSent, Submission};
use crate::tokens;
use crate::transfer::{self, Step};

impl Front {
    /// Takes an answer for its place in the order.
    pub(crate) fn deliver(&mut self, reply_to: ReplyTo, result: Result<Response, Refused>) {
        let place = reply_to.connection;
        let Some(client) = self.clients.get_mut(place as usize).and_then(Option::as_mut) else { return };
        if client.generation != reply_to.generation {
            return;
        }
        match result {
            Ok(response) => {
                if response.throttle_ms > 0 {
                    client.muted_until = Nanos(self.now.0 + u64::from(response.throttle_ms) * 1_000_000);
                    self.muted.insert((client.muted_until, place, client.generation));
                }
                client.share.made(self.turn, response.memory_bytes());
                self.answered.push(client.connection.complete(reply_to.slot, response));
                self.recount(place);
                self.touched.push(place);
            }
            Err(refused) => {
                client.connection.complete(reply_to.slot, Response::default());
                self.refuse(place, &refused);
            }
        }
    }

    /// Closes a connection that asked for something that Kafka closes connections for, when the answers to what it asked
    /// before have left.
    pub(super) fn refuse(&mut self, place: u32, refused: &Refused) {
        if let Some(client) = self.clients[place as usize].as_mut() {
            tracing::info!(client = %client.host, reason = %refused, "connection closed");
            client.connection.closing = true;
            self.meter.refused.add(1);
            self.touched.push(place);
        }
    }

    /// Sends what became ready. Gives the connections whose requests may go on.
    pub(crate) fn resume_touched(&mut self) -> Vec<u32> {
        self.readmit();
        let mut touched = std::mem::take(&mut self.touched);
        touched.append(&mut self.holdings.take_answers_waiting());
        touched.sort_unstable();
        touched.dedup();
        touched.retain(|&place| {
            self.send(place);
            let Some(client) = self.clients[place as usize].as_ref() else { return false };
            let connection = &client.connection;
            if connection.closing && connection.is_idle() {
                self.close(place);
                return false;
            }
            !connection.receiving && !connection.closing
        });
        touched
    }

    /// They went on.
    pub(crate) fn resumed(&mut self, resumed: Vec<u32>) {
        give_back(&mut self.touched, resumed);
    }

    fn send(&mut self, place: u32) {
        let Some(client) = self.clients[place as usize].as_mut() else { return };
        if client.connection.sending || client.connection.transferring {
            return;
        }
        let (socket, token) = (client.socket, tokens::client(place, client.generation));
        let room = self.holdings.range_room();
        match transfer::step(&mut client.connection, client.by_reference, &*self.files, &self.buffers, room) {
            Ok(Step::Nothing) => {}
            Ok(Step::Send(parts)) => {
                client.connection.sending = true;
                client.connection.leaving_bytes = parts.iter().map(|part| part.len()).sum();
                self.meter.copied_bytes.add(std::mem::take(&mut client.connection.copied_bytes));
                self.out.push(Submission::Send { socket, parts, token });
            }
            Ok(Step::Refer(range, len)) => {
                client.connection.transferring = true;
                self.out.push(Submission::SendFile { socket, file: range.file, offset: range.position, len, token });
            }
            Ok(Step::ReadCold(range, len)) => {
                client.connection.transferring = true;
                client.connection.leaving_bytes = len;
                self.out.push(Submission::ReadCold { file: range.file, offset: range.position, len, token });
            }
            Err(error) => self.transfer_failed(place, &error),
        }
        self.recount(place);
    }

    fn transfer_failed(&mut self, place: u32, error: &io::Error) {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            tracing::error!(%error, "a log segment could not be read: connection closed");
        } else {
            // The peer hung up in the middle of a sendfile, or the file cannot be read: the client asks again.
            tracing::info!(%error, "a transfer failed: connection closed");
        }
        self.close(place);
    }

    /// A send ended.
    pub(crate) fn sent(&mut self, token: Token, result: io::Result<usize>, now: Nanos) {
        let Some((place, client)) = self.client(token) else { return };
        client.connection.sending = false;
        client.connection.leaving_bytes = 0;
        client.connection.last_active_ns = now.0;
        if result.is_err() {
            return self.close(place);
        }
        self.recount(place);
        self.touched.push(place);
    }

    /// Whether something follows when what leaves on this connection is sent: more of it, its end, requests that are held, or
    /// room that others wait for. The event can wait for the next turn where nothing does.
    pub(crate) fn awaits(&self, token: Token) -> bool {
        let (place, generation) = tokens::client_of(token);
        let client = self.clients.get(place as usize).and_then(Option::as_ref);
        let client = client.filter(|client| client.generation == generation);
        client.is_some_and(|client| client.connection.awaits_sent() || self.holdings.awaits_room())
    }

    /// A range was sent by reference, as far as the socket took it.
    pub(crate) fn file_sent(&mut self, FileSent { token, result }: FileSent, now: Nanos) {
        let Some((place, client)) = self.client(token) else { return };
        client.connection.transferring = false;
        match result {
            Ok(0) => self.transfer_failed(place, &io::ErrorKind::UnexpectedEof.into()),
            Ok(sent) => {
                client.connection.last_active_ns = now.0;
                client.connection.cut_range(sent);
                self.meter.referred_bytes.add(sent as u64);
                self.touched.push(place);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                client.connection.transferring = true;
                let socket = client.socket;
                self.out.push(Submission::AwaitRoom { socket, token });
            }
            Err(error) => self.transfer_failed(place, &error),
        }
    }

    /// The socket takes more.
    pub(crate) fn writable(&mut self, token: Token, result: io::Result<()>) {
        let Some((place, client)) = self.client(token) else { return };
        client.connection.transferring = false;
        if result.is_err() {
            return self.close(place);
        }
        self.touched.push(place);
    }

    /// A cold range was read.
    pub(crate) fn cold_read(&mut self, token: Token, result: io::Result<Buf>) {
        let Some((place, client)) = self.client(token) else { return };
        client.connection.transferring = false;
        client.connection.leaving_bytes = 0;
        match result {
            Ok(buf) if !buf.is_empty() => {
                let bytes = buf.len() as u64;
                transfer::arrived(&mut client.connection, buf);
                self.meter.cold_bytes.add(bytes);
                self.recount(place);
                self.touched.push(place);
            }
            // A range that ends before its bytes: the answer's length is already promised.
            Ok(_) | Err(_) => self.close(place),
        }
    }
}
