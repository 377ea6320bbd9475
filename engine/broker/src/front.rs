//! The front of a shard: its connections. Bytes become requests, answers leave in the order of their requests.
//!
//! ```text
//!   Received, Filled -> Connection -> next_request -> (handler) -> deliver -> Connection -> transfer -> Send, SendFile
//!        ^                                                                                                    |
//!        +----------------------------------- Submissions <-- out --------------------------------------------+
//! ```
//! Invariants: at most one receive and one send are under way on a connection; a place whose connection was closed is used
//! again under another generation, so that what comes late for the old one finds nobody.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use ringlog_io::{Buf, Buffers, Files, Nanos, Slice, Socket, Token};

use crate::broker::ReplyTo;
use crate::connection::{Connection, Next, Receive, Refused};
use crate::holdings::{Frame, Holdings};
use crate::limits::Budget;
use crate::response::Response;
use crate::settings::Settings;
use crate::submission::{FileSent, Moved, Submission, Submissions};
use crate::tokens;
use crate::transfer::{self, Step};

/// One client: its socket, and the state of its conversation.
struct Client {
    socket: Socket,
    /// Tells this connection from an earlier one in the same place.
    generation: u32,
    host: Arc<str>,
    by_reference: bool,
    /// Bytes that had moved at the last look at a silent one.
    moved_bytes: u64,
    connection: Connection,
    /// What `holdings` counts for it: answers, and a large frame.
    answer_bytes: usize,
    frame: Frame,
    /// It is not read until there is room for its frame, of which so much is here.
    awaits_frame_room: bool,
    beginning: Option<(Buf, usize)>,
}

/// One request, as its connection gave it.
pub(crate) struct Asking {
    pub(crate) frame: Slice,
    pub(crate) host: Arc<str>,
    pub(crate) reply_to: ReplyTo,
}

/// See the head of the file.
pub(crate) struct Front {
    settings: Arc<Settings>,
    files: Rc<dyn Files>,
    buffers: Buffers,
    budget: Budget,
    clients: Vec<Option<Client>>,
    free: Vec<u32>,
    next_generation: u32,
    /// Connections with something to send, or whose requests may go on.
    touched: Vec<u32>,
    /// Connections that hold a request back.
    holding: Vec<u32>,
    /// Connections that were closed, by place and generation, until the shard has forgotten them.
    closed: Vec<(u32, u32)>,
    /// What all connections hold of the shard's memory.
    holdings: Holdings,
    /// Something that was held for requests was given back.
    frames_released: bool,
    /// What is to be asked of the kernel.
    pub(crate) out: Submissions,
}

impl Front {
    pub(crate) fn new(settings: Arc<Settings>, files: Rc<dyn Files>, buffers: Buffers, budget: Budget) -> Self {
        let holdings = Holdings::new(&budget, settings.socket_request_max_bytes());
        Self {
            settings,
            files,
            buffers,
            budget,
            clients: Vec::new(),
            free: Vec::new(),
            next_generation: 0,
            touched: Vec::new(),
            holding: Vec::new(),
            closed: Vec::new(),
            holdings,
            frames_released: false,
            out: Submissions::new(),
        }
    }

    /// How many connections are open.
    pub(crate) fn len(&self) -> usize {
        self.clients.len() - self.free.len()
    }

    // --- arriving and leaving ----------------------------------------------------------------------------------------

    /// A connection arrived, or could not be accepted.
    pub(crate) fn accepted(&mut self, result: io::Result<(Socket, SocketAddr)>, now: Nanos) {
        let (socket, peer) = match result {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                return;
            }
        };
        let open = self.len();
        let limit = self.budget.connections;
        if open >= limit {
            tracing::warn!(%peer, limit, "a connection over the limit was closed (max.connections, descriptors or memory: see the start)");
            self.out.push(Submission::Close { socket });
            return;
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.clients.push(None);
            self.clients.len() as u32 - 1
        });
        self.next_generation = self.next_generation.wrapping_add(1);
        let client = Client {
            socket,
            generation: self.next_generation,
            host: Arc::from(peer.ip().to_string()),
            by_reference: self.settings.sends_by_reference(peer.ip()),
            moved_bytes: 0,
            connection: Connection::new(now.0),
            answer_bytes: 0,
            frame: Frame::None,
            awaits_frame_room: false,
            beginning: None,
        };
        self.clients[place as usize] = Some(client);
        self.receive(place);
    }

    fn client(&mut self, token: Token) -> Option<(u32, &mut Client)> {
        let (place, generation) = tokens::client_of(token);
        let client = self.clients.get_mut(place as usize)?.as_mut()?;
        (client.generation == generation).then_some((place, client))
    }

    fn close(&mut self, place: u32) {
        let Some(client) = self.clients[place as usize].take() else { return };
        self.holdings.answers_changed(client.answer_bytes, 0);
        self.release(client.frame);
        self.out.push(Submission::Close { socket: client.socket });
        self.free.push(place);
        self.closed.push((place, client.generation));
    }

    /// A connection that was closed: nobody waits for its answers.
    pub(crate) fn take_closed(&mut self) -> Option<(u32, u32)> {
        self.closed.pop()
    }

    /// Notes what a connection's answers take of memory now.
    fn recount(&mut self, place: u32) {
        let Some(client) = self.clients[place as usize].as_mut() else { return };
        let now = client.connection.answer_bytes();
        self.holdings.answers_changed(std::mem::replace(&mut client.answer_bytes, now), now);
    }

    fn release(&mut self, frame: Frame) {
        self.frames_released |= frame != Frame::None;
        self.holdings.release(frame);
    }

    /// What connections hold of memory: of answers, of requests.
    #[cfg(test)]
    pub(crate) fn held_bytes(&self) -> (usize, usize) {
        self.holdings.bytes()
    }

    /// Closes every connection.
    pub(crate) fn close_all(&mut self) {
        for place in 0..self.clients.len() as u32 {
            self.close(place);
        }
    }

    /// Closes connections that were silent for connections.max.idle.ms. One that has something under way (a large frame, an
    /// answer that it has not read yet) may be slow: the kernel knows whether bytes moved since the last look, so that one
    /// which has stopped is closed after twice that time at most. Gives the time of the next look.
    pub(crate) fn close_idle(&mut self, now: Nanos) -> Nanos {
        let limit_ns = self.settings.connections_max_idle_ns();
        for place in 0..self.clients.len() as u32 {
            let Some(client) = self.clients[place as usize].as_mut() else { continue };
            if client.awaits_frame_room {
                client.connection.last_active_ns = now.0;
            }
            let connection = &client.connection;
            if connection.waits_for_us() || now.0.saturating_sub(connection.last_active_ns) <= limit_ns {
                continue;
            }
            if connection.is_idle() && !connection.is_filling() {
                self.close(place);
            } else {
                let token = tokens::client(place, client.generation);
                self.out.push(Submission::CountMoved { socket: client.socket, token });
            }
        }
        Nanos(now.0 + (limit_ns / 4).clamp(1_000_000_000, 60_000_000_000))
    }

    /// What went through a connection that looked silent.
    pub(crate) fn counted(&mut self, Moved { token, result }: Moved, now: Nanos) {
        let Some((place, client)) = self.client(token) else { return };
        match result {
            Ok(moved_bytes) if moved_bytes != client.moved_bytes => {
                client.moved_bytes = moved_bytes;
                client.connection.last_active_ns = now.0;
            }
            Ok(_) | Err(_) => self.close(place),
        }
    }

    // --- the way in --------------------------------------------------------------------------------------------------

    /// Bytes arrived. Gives the connection whose requests are to be handled.
    pub(crate) fn received(&mut self, token: Token, result: io::Result<Buf>, now: Nanos) -> Option<u32> {
        let (place, client) = self.client(token)?;
        client.connection.receiving = false;
        match result {
            Ok(chunk) if !chunk.is_empty() => {
                client.connection.last_active_ns = now.0;
                client.connection.received(chunk);
                Some(place)
            }
            // The end of the stream, or a connection that failed: what is queued has nobody to read it.
            Ok(_) | Err(_) => {
                self.close(place);
                None
            }
        }
    }

    /// A buffer for a large frame was filled. Gives the connection, when the frame is whole.
    pub(crate) fn filled(&mut self, token: Token, result: io::Result<Buf>, now: Nanos) -> Option<u32> {
        let (place, client) = self.client(token)?;
        client.connection.receiving = false;
        let Ok(buf) = result else {
            self.close(place);
            return None;
        };
        client.connection.last_active_ns = now.0;
        match client.connection.filled(buf) {
            None => return Some(place),
            Some(Receive::Exact(buf, target)) => self.receive_more(place, buf, target),
            Some(Receive::Any) => self.receive(place),
        }
        None
    }

    /// The next request of a connection that may be handled. `None`: it waits for those before it, or is not here yet.
    pub(crate) fn next_request(&mut self, place: u32) -> Option<Asking> {
        let frame_len_max = self.settings.socket_request_max_bytes();
        let client = self.clients[place as usize].as_mut()?;
        if client.connection.closing {
            return None;
        }
        let answer_room = self.holdings.answer_room();
        match client.connection.next(frame_len_max, answer_room) {
            Ok(Next::Request { frame, slot }) => {
                let held = std::mem::take(&mut client.frame);
                let reply_to = ReplyTo { connection: place, generation: client.generation, slot };
                let asking = Asking { frame, host: Arc::clone(&client.host), reply_to };
                self.release(held);
                return Some(asking);
            }
            Ok(Next::Held) => {
                if client.connection.answer_bytes() >= answer_room {
                    self.holdings.wait_to_answer(place);
                }
                self.holding.push(place);
            }
            Ok(Next::Receive) => self.receive(place),
            Err(refused) => self.refuse(place, &refused),
        }
        None
    }

    /// The end of a turn: requests that have to wait are put into memory of their own.
    pub(crate) fn keep_held(&mut self) {
        for place in self.holding.drain(..) {
            if let Some(client) = self.clients[place as usize].as_mut() {
                client.connection.keep_held();
            }
        }
    }

    fn receive(&mut self, place: u32) {
        let Some(client) = self.clients[place as usize].as_mut() else { return };
        if client.connection.receiving || client.connection.closing || client.awaits_frame_room {
            return;
        }
        if let Some(frame_len) = client.connection.frame_len()
            && !self.holdings.admit(&mut client.frame, frame_len)
        {
            // What is there of it does not keep a receive buffer.
            client.connection.keep_held();
            client.awaits_frame_room = true;
            return self.holdings.wait_to_receive(place);
        }
        let buffers = &self.buffers;
        match client.connection.receive_next(|len| buffers.take(len)) {
            Receive::Any => {
                client.connection.receiving = true;
                let token = tokens::client(place, client.generation);
                self.out.push(Submission::Receive { socket: client.socket, token });
            }
            Receive::Exact(buf, target) => self.receive_exact(place, buf, target),
        }
    }

    /// The beginning of a large frame is here: it goes on when there is room for all of it.
    fn receive_more(&mut self, place: u32, buf: Buf, target_len: usize) {
        let Some(client) = self.clients[place as usize].as_mut() else { return };
        let frame_len = client.connection.frame_len().unwrap_or(target_len);
        if self.holdings.admit(&mut client.frame, frame_len) {
            return self.receive_exact(place, buf, target_len);
        }
        client.beginning = Some((buf, target_len));
        client.awaits_frame_room = true;
        self.holdings.wait_to_receive(place);
    }

    /// Lets in those that waited for room for their frames, where some was given back.
    fn readmit(&mut self) {
        if !std::mem::take(&mut self.frames_released) {
            return;
        }
        for place in self.holdings.take_frames_waiting() {
            let Some(client) = self.clients[place as usize].as_mut() else { continue };
            if !std::mem::take(&mut client.awaits_frame_room) {
                continue;
            }
            match client.beginning.take() {
                Some((buf, target_len)) => self.receive_more(place, buf, target_len),
                None => self.receive(place),
            }
        }
    }

    fn receive_exact(&mut self, place: u32, buf: Buf, target_len: usize) {
        let Some(client) = self.clients[place as usize].as_mut() else { return };
        client.connection.receiving = true;
        let token = tokens::client(place, client.generation);
        self.out.push(Submission::ReceiveExact { socket: client.socket, buf, target_len, token });
    }

    // --- the way out -------------------------------------------------------------------------------------------------

    /// Takes an answer for its place in the order.
    pub(crate) fn deliver(&mut self, reply_to: ReplyTo, result: Result<Response, Refused>) {
        let place = reply_to.connection;
        let Some(client) = self.clients.get_mut(place as usize).and_then(Option::as_mut) else { return };
        if client.generation != reply_to.generation {
            return;
        }
        match result {
            Ok(response) => {
                client.connection.complete(reply_to.slot, response);
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
    fn refuse(&mut self, place: u32, refused: &Refused) {
        if let Some(client) = self.clients[place as usize].as_mut() {
            tracing::info!(client = %client.host, reason = %refused, "connection closed");
            client.connection.closing = true;
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

    /// A range was sent by reference, as far as the socket took it.
    pub(crate) fn file_sent(&mut self, FileSent { token, result }: FileSent, now: Nanos) {
        let Some((place, client)) = self.client(token) else { return };
        client.connection.transferring = false;
        match result {
            Ok(0) => self.transfer_failed(place, &io::ErrorKind::UnexpectedEof.into()),
            Ok(sent) => {
                client.connection.last_active_ns = now.0;
                client.connection.cut_range(sent);
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
                transfer::arrived(&mut client.connection, buf);
                self.recount(place);
                self.touched.push(place);
            }
            // A range that ends before its bytes: the answer's length is already promised.
            Ok(_) | Err(_) => self.close(place),
        }
    }
}
