//! The way in: bytes become requests, as many in a turn as is one connection's share of it.

use std::io;
use std::sync::Arc;

use ringlog_io::{Buf, Nanos, Slice, Token};

use super::{Asking, Front};
use crate::broker::ReplyTo;
use crate::connection::{Next, Receive};
use crate::submission::Submission;
use crate::tokens;

impl Front {
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

    /// The next request of a connection that may be handled. `None`: it waits for those before it, for room, for the next turn,
    /// or for what `admits` says, whose owner asks again; or is not here yet.
    pub(crate) fn next_request(
        &mut self,
        place: u32,
        takes_produces: bool,
        admits: impl FnOnce(&Slice) -> bool,
    ) -> Option<Asking> {
        let frame_len_max = self.settings.socket_request_max_bytes();
        let client = self.clients[place as usize].as_mut()?;
        if client.connection.closing {
            return None;
        }
        if client.muted_until > self.now {
            self.holding.push(place);
            return None;
        }
        let has_share = client.share.is_left(self.turn);
        let answer_room = if has_share { self.holdings.answer_room(client.connection.answer_bytes()) } else { 0 };
        match client.connection.next(frame_len_max, answer_room, takes_produces, admits) {
            Ok(Next::Request { frame, slot }) => {
                client.share.asked(self.turn);
                let held = std::mem::take(&mut client.frame);
                let reply_to = ReplyTo { connection: place, generation: client.generation, slot };
                let asking = Asking { frame, host: Arc::clone(&client.host), reply_to };
                self.release(held);
                return Some(asking);
            }
            Ok(Next::Held) => {
                if !has_share {
                    self.next_turn.push(place);
                } else if client.connection.answer_bytes() >= answer_room {
                    self.holdings.wait_to_answer(place);
                } else if !takes_produces {
                    self.awaiting_produce.push(place);
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
                self.meter.kept_bytes.add(client.connection.keep_held() as u64);
            }
        }
    }

    pub(super) fn receive(&mut self, place: u32) {
        let Some(client) = self.clients[place as usize].as_mut() else { return };
        if client.connection.receiving || client.connection.closing || client.awaits_frame_room {
            return;
        }
        if let Some(frame_len) = client.connection.frame_len()
            && !self.holdings.admit(&mut client.frame, frame_len)
        {
            // What is there of it does not keep a receive buffer.
            self.meter.kept_bytes.add(client.connection.keep_held() as u64);
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
    pub(super) fn readmit(&mut self) {
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
}
