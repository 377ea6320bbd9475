//! A shard: one pinned thread with its driver, its connections and the partitions it leads.
//!
//! ```text
//!   wait -> events -> connections: frames -> handlers (Broker) --+
//!    ^                                                           |
//!    +-- submit: receives, sends, flushes, mail <-- end of turn: staged batches written, waiters answered
//! ```
//! Everything of a turn is handled before the next wait, so that one system call serves many requests.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ringlog_io::{Buf, Cache, Driver, Event, Listener, Nanos, Slice, Socket, SocketOptions, Token};
use ringlog_storage::{Checkpointed, FlushJob, PartitionName};
use ringlog_wire::codec::Reader;
use ringlog_wire::header::RequestHeader;
use ringlog_wire::{ApiKey, ErrorCode};

use crate::broker::{Broker, Incoming, Outcome, ReplyTo};
use crate::connection::{Connection, Receive, Refused};
use crate::controller_desk::Desk;
use crate::handlers::{self, api_versions};
use crate::limits;
use crate::mail::{Address, Mail, Mailbox, Newest};
use crate::metadata::controller::Outcome as Decided;
use crate::partitions::PartitionKey;
use crate::response::{Asked, Response};
use crate::transfer::{self, Receiver, Step};

/// What a token is for: the top byte.
mod kind {
    pub(super) const ACCEPT: u64 = 1;
    pub(super) const RECEIVE: u64 = 2;
    pub(super) const SEND: u64 = 3;
    pub(super) const TRANSFER: u64 = 4;
    pub(super) const FLUSH: u64 = 5;
    pub(super) const METADATA_FLUSH: u64 = 6;
}

/// Kafka's log.flush.offset.checkpoint.interval.ms.
const CHECKPOINT_INTERVAL_NS: u64 = 60_000_000_000;

/// How often partitions that wait for flush.ms are looked at.
const FLUSH_CHECK_NS: u64 = 100_000_000;

const KIND_SHIFT: u32 = 56;
const PLACE_SHIFT: u32 = 32;
const PLACE_MASK: u64 = (1 << (KIND_SHIFT - PLACE_SHIFT)) - 1;

fn token(kind: u64, place: u32, generation: u32) -> Token {
    kind << KIND_SHIFT | (u64::from(place) & PLACE_MASK) << PLACE_SHIFT | u64::from(generation)
}

fn place_of(token: Token) -> (u32, u32) {
    ((token >> PLACE_SHIFT & PLACE_MASK) as u32, token as u32)
}

/// One client: its socket, and the state of its conversation.
struct Client {
    socket: Socket,
    /// Tells this connection from an earlier one in the same place.
    generation: u32,
    host: Arc<str>,
    by_reference: bool,
    connection: Connection,
}

/// See the head of the file.
pub(crate) struct Shard {
    pub(crate) broker: Broker,
    pub(crate) driver: Box<dyn Driver>,
    pub(crate) listener: Listener,
    pub(crate) mailbox: Mailbox,
    pub(crate) controller: Address,
    pub(crate) desk: Option<Desk>,
    pub(crate) newest: Arc<Newest>,
    pub(crate) image_seen: u64,
    clients: Vec<Option<Client>>,
    free: Vec<u32>,
    next_generation: u32,
    touched: Vec<u32>,
    flushes: BTreeMap<u32, (PartitionKey, FlushJob)>,
    next_flush: u32,
    /// Partitions with unflushed records whose flush.ms is not over.
    flush_later: BTreeSet<PartitionKey>,
    next_flush_check: Nanos,
    callers: BTreeMap<u64, crate::broker::Caller>,
    next_call: u64,
    next_idle_check: Nanos,
    next_checkpoint: Nanos,
    stopping: bool,
}

impl Shard {
    pub(crate) fn new(
        broker: Broker,
        (driver, listener): (Box<dyn Driver>, Listener),
        mailbox: Mailbox,
        (controller, desk): (Address, Option<Desk>),
        newest: Arc<Newest>,
    ) -> Self {
        Self {
            broker,
            driver,
            listener,
            mailbox,
            controller,
            desk,
            newest,
            image_seen: 0,
            clients: Vec::new(),
            free: Vec::new(),
            next_generation: 0,
            touched: Vec::new(),
            flushes: BTreeMap::new(),
            next_flush: 0,
            flush_later: BTreeSet::new(),
            next_flush_check: Nanos(0),
            callers: BTreeMap::new(),
            next_call: 0,
            next_idle_check: Nanos(0),
            next_checkpoint: Nanos(0),
            stopping: false,
        }
    }

    /// Serves until it is told to stop. Gives the signal that stopped it, if one did.
    pub(crate) fn run(&mut self) -> std::io::Result<()> {
        let options = SocketOptions {
            send_buffer_bytes: self.broker.settings.socket_send_buffer_bytes(),
            receive_buffer_bytes: self.broker.settings.socket_receive_buffer_bytes(),
        };
        self.driver.accept(self.listener, options, token(kind::ACCEPT, 0, 0));
        let mut events = Vec::new();
        while !self.stopping {
            let timeout = self.timeout();
            self.driver.wait(timeout, &mut events)?;
            self.broker.now = self.driver.now();
            self.broker.wall_ms = self.driver.wall_ms();
            for event in events.drain(..) {
                self.handle_event(event);
            }
            self.end_turn();
        }
        self.driver.close_listener(self.listener);
        for place in 0..self.clients.len() as u32 {
            self.close(place);
        }
        Ok(())
    }

    fn timeout(&self) -> Option<Duration> {
        let deadlines = [
            self.broker.fetches.next_deadline(),
            self.broker.groups.next_deadline(),
            Some(self.next_idle_check),
            Some(self.next_checkpoint),
            (!self.flush_later.is_empty()).then_some(self.next_flush_check),
        ];
        let first = deadlines.into_iter().flatten().min()?;
        Some(Duration::from_nanos(first.0.saturating_sub(self.driver.read().0)))
    }

    fn handle_event(&mut self, event: Event) {
        match event {
            Event::Accepted { result, .. } => self.accepted(result),
            Event::Received { token, result } => self.received(token, result),
            Event::Filled { token, result } => self.filled(token, result),
            Event::Sent { token, result } => self.sent(token, result.map(|_| ())),
            Event::Read { token, result } => self.transferred(token, result.map(Some)),
            Event::Writable { token, result } => self.transferred(token, result.map(|()| None)),
            Event::Synced { token, result } => self.synced(token, result),
            Event::Signal(signal) => self.signalled(signal),
            // Mail is read and the image looked at in every turn.
            Event::Woken | Event::Connected { .. } | Event::JobDone { .. } => {}
        }
    }

    fn end_turn(&mut self) {
        self.take_image();
        while let Some(mail) = self.mailbox.take() {
            self.take_mail(mail);
        }
        crate::group_desk::tick(&mut self.broker);
        loop {
            self.post_calls();
            self.broker.finish_turn();
            self.deliver_replies();
            if !self.resume_touched() && !self.broker.partitions.has_staged() && self.broker.replies.is_empty() {
                break;
            }
        }
        self.start_flushes();
        self.visit_desk();
        self.checkpoint();
        self.close_idle();
    }

    // --- connections -------------------------------------------------------------------------------------------------

    fn accepted(&mut self, result: std::io::Result<(Socket, SocketAddr)>) {
        let (socket, peer) = match result {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                return;
            }
        };
        let open = self.clients.len() - self.free.len();
        let limit = limits::CONNECTIONS.min(self.broker.settings.max_connections());
        if open >= limit {
            tracing::warn!(%peer, limit, "a connection over the limit was closed (max.connections)");
            self.driver.close(socket);
            return;
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.clients.push(None);
            self.clients.len() as u32 - 1
        });
        self.next_generation = self.next_generation.wrapping_add(1);
        let connection = Connection::new(self.broker.now.0);
        let host = Arc::from(peer.ip().to_string());
        let by_reference = self.broker.settings.sends_by_reference(peer.ip());
        self.clients[place as usize] =
            Some(Client { socket, generation: self.next_generation, host, by_reference, connection });
        self.receive(place);
    }

    fn client(&mut self, token: Token) -> Option<(u32, &mut Client)> {
        let (place, generation) = place_of(token);
        let client = self.clients.get_mut(place as usize)?.as_mut()?;
        (client.generation == generation).then_some((place, client))
    }

    fn received(&mut self, token: Token, result: std::io::Result<Buf>) {
        let now = self.broker.now.0;
        let Some((place, client)) = self.client(token) else { return };
        client.connection.receiving = false;
        match result {
            Ok(chunk) if !chunk.is_empty() => {
                client.connection.last_active_ns = now;
                client.connection.received(chunk);
                self.handle_frames(place);
            }
            // The end of the stream, or a connection that failed: what is queued has nobody to read it.
            Ok(_) | Err(_) => self.close(place),
        }
    }

    fn filled(&mut self, token: Token, result: std::io::Result<Buf>) {
        let now = self.broker.now.0;
        let Some((place, client)) = self.client(token) else { return };
        client.connection.receiving = false;
        let Ok(buf) = result else { return self.close(place) };
        client.connection.last_active_ns = now;
        match client.connection.filled(buf) {
            Ok(frame) => {
                self.handle_frame(place, frame);
                self.handle_frames(place);
            }
            Err(Receive::Exact(buf, target)) => self.receive_exact(place, buf, target),
            Err(Receive::Any) => self.receive(place),
        }
    }

    /// Handles every whole frame that is here, then receives more: unless too much is in flight.
    fn handle_frames(&mut self, place: u32) {
        let frame_len_max = self.broker.settings.socket_request_max_bytes();
        loop {
            let Some(client) = self.clients[place as usize].as_mut() else { return };
            if client.connection.closing {
                return;
            }
            if client.connection.is_paused() {
                self.touched.push(place);
                return;
            }
            match client.connection.take_frame(frame_len_max) {
                Ok(Some(frame)) => self.handle_frame(place, frame),
                Ok(None) => break,
                Err(refused) => return self.refuse(place, &refused),
            }
        }
        self.receive(place);
    }

    fn receive(&mut self, place: u32) {
        let Some(client) = self.clients[place as usize].as_mut() else { return };
        if client.connection.receiving || client.connection.closing {
            return;
        }
        let driver = &mut self.driver;
        match client.connection.receive_next(|len| driver.buffer(len)) {
            Receive::Any => {
                client.connection.receiving = true;
                driver.recv(client.socket, token(kind::RECEIVE, place, client.generation));
            }
            Receive::Exact(buf, target) => self.receive_exact(place, buf, target),
        }
    }

    fn receive_exact(&mut self, place: u32, buf: Buf, target: usize) {
        let Some(client) = self.clients[place as usize].as_mut() else { return };
        client.connection.receiving = true;
        self.driver.recv_exact(client.socket, buf, target, token(kind::RECEIVE, place, client.generation));
    }

    fn handle_frame(&mut self, place: u32, frame: Slice) {
        let Some(client) = self.clients[place as usize].as_mut() else { return };
        let (generation, slot) = (client.generation, client.connection.reserve());
        let reply_to = ReplyTo { connection: place, generation, slot };
        let host = Arc::clone(&client.host);
        let outcome = self.dispatch(host, frame, reply_to).unwrap_or_else(Outcome::Refuse);
        match outcome {
            Outcome::Reply(response) => self.deliver(reply_to, Ok(response)),
            Outcome::Refuse(refused) => self.deliver(reply_to, Err(refused)),
            Outcome::Later => {}
        }
    }

    fn dispatch(&mut self, host: Arc<str>, frame: Slice, reply_to: ReplyTo) -> Result<Outcome, Refused> {
        let mut reader = Reader::new(&frame);
        let header = RequestHeader::decode(&mut reader).map_err(Refused::Header)?;
        let body_at = reader.position();
        let refused = Refused::Unsupported { key: header.api_key, version: header.api_version };
        let Ok(api) = header.api() else { return Err(refused) };
        let asked = Asked { api, api_version: header.api_version, correlation_id: header.correlation_id };
        let Some(handler) = handlers::find(api, asked.api_version) else {
            return if api == ApiKey::ApiVersions { Ok(api_versions::unsupported(asked)) } else { Err(refused) };
        };
        let incoming = Incoming { asked, client_id: header.client_id, client_host: host, frame, body_at, reply_to };
        Ok((handler.handle)(&mut self.broker, &incoming))
    }

    fn deliver_replies(&mut self) {
        while !self.broker.replies.is_empty() {
            for (reply_to, result) in std::mem::take(&mut self.broker.replies) {
                self.deliver(reply_to, result);
            }
        }
    }

    fn deliver(&mut self, reply_to: ReplyTo, result: Result<Response, Refused>) {
        let place = reply_to.connection;
        let Some(client) = self.clients.get_mut(place as usize).and_then(Option::as_mut) else { return };
        if client.generation != reply_to.generation {
            return;
        }
        match result {
            Ok(response) => {
                client.connection.complete(reply_to.slot, response);
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

    fn close(&mut self, place: u32) {
        let Some(client) = self.clients[place as usize].take() else { return };
        self.driver.close(client.socket);
        self.free.push(place);
    }

    /// Sends what became ready, and goes on with connections that were paused. True when frames were handled.
    fn resume_touched(&mut self) -> bool {
        let mut handled = false;
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        for place in touched {
            self.send(place);
            let Some(client) = self.clients[place as usize].as_ref() else { continue };
            if client.connection.closing && client.connection.is_idle() {
                self.close(place);
            } else if !client.connection.receiving && !client.connection.is_paused() && !client.connection.closing {
                self.handle_frames(place);
                handled = true;
            }
        }
        handled
    }

    fn close_idle(&mut self) {
        let now = self.broker.now;
        if now < self.next_idle_check {
            return;
        }
        let limit_ns = self.broker.settings.connections_max_idle_ns();
        self.next_idle_check = Nanos(now.0 + (limit_ns / 4).clamp(1_000_000_000, 60_000_000_000));
        for place in 0..self.clients.len() as u32 {
            let Some(client) = &self.clients[place as usize] else { continue };
            if client.connection.is_idle() && now.0.saturating_sub(client.connection.last_active_ns) > limit_ns {
                self.close(place);
            }
        }
    }

    // --- the way out -------------------------------------------------------------------------------------------------

    fn send(&mut self, place: u32) {
        let Some(client) = self.clients[place as usize].as_mut() else { return };
        if client.connection.sending || client.connection.transferring {
            return;
        }
        let generation = client.generation;
        let to = Receiver { socket: client.socket, by_reference: client.by_reference };
        match transfer::step(&mut client.connection, to, self.driver.as_mut()) {
            Ok(Step::Nothing) => {}
            Ok(Step::Send(parts)) => {
                client.connection.sending = true;
                self.driver.send(client.socket, parts, token(kind::SEND, place, generation));
            }
            Ok(Step::ReadCold(range, len)) => {
                client.connection.transferring = true;
                let token = token(kind::TRANSFER, place, generation);
                self.driver.read_file(&range.file, range.position, len, Cache::Drop, token);
            }
            Ok(Step::AwaitRoom) => {
                client.connection.transferring = true;
                self.driver.writable(client.socket, token(kind::TRANSFER, place, generation));
            }
            Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
                // The peer hung up in the middle of a sendfile, or the file cannot be read: the client asks again.
                tracing::info!(%error, "a transfer failed: connection closed");
                self.close(place);
            }
            Err(error) => {
                tracing::error!(%error, "a log segment could not be read: connection closed");
                self.close(place);
            }
        }
    }

    fn sent(&mut self, token: Token, result: std::io::Result<()>) {
        let Some((place, client)) = self.client(token) else { return };
        client.connection.sending = false;
        if result.is_err() {
            return self.close(place);
        }
        self.touched.push(place);
    }

    /// A cold range was read, or (without bytes) the socket takes more.
    fn transferred(&mut self, token: Token, result: std::io::Result<Option<Buf>>) {
        let Some((place, client)) = self.client(token) else { return };
        client.connection.transferring = false;
        match result {
            Ok(None) => self.touched.push(place),
            Ok(Some(buf)) if !buf.is_empty() => {
                transfer::arrived(&mut client.connection, buf);
                self.touched.push(place);
            }
            // A range that ends before its bytes: the answer's length is already promised.
            Ok(_) | Err(_) => self.close(place),
        }
    }

    // --- flushes, mail, the image ------------------------------------------------------------------------------------

    fn start_flushes(&mut self) {
        let wall_ms = self.broker.wall_ms;
        let mut grown = std::mem::take(&mut self.broker.grown);
        if self.broker.now >= self.next_flush_check && !self.flush_later.is_empty() {
            self.next_flush_check = Nanos(self.broker.now.0 + FLUSH_CHECK_NS);
            grown.extend(std::mem::take(&mut self.flush_later));
        }
        grown.dedup();
        for key in grown {
            let Some(place) = self.broker.partitions.find(key) else { continue };
            self.broker.partitions.maintain(place, wall_ms);
            let Some(job) = self.broker.partitions.flush_due(place, wall_ms) else {
                if self.broker.partitions.flushes(place) {
                    self.flush_later.insert(key);
                }
                continue;
            };
            let number = self.next_flush;
            self.next_flush = self.next_flush.wrapping_add(1);
            self.driver.sync(&job.file, token(kind::FLUSH, 0, number));
            self.flushes.insert(number, (key, job));
        }
    }

    fn synced(&mut self, token: Token, result: std::io::Result<()>) {
        if token >> KIND_SHIFT == kind::METADATA_FLUSH {
            if let Some(desk) = &mut self.desk {
                desk.flushed(result);
            }
            return;
        }
        let (_, number) = place_of(token);
        let Some((key, job)) = self.flushes.remove(&number) else { return };
        let settled = self.broker.partitions.flushed(key, job, result);
        if let Some(place) = self.broker.partitions.find(key) {
            // Readers see what is flushed: who waits looks again.
            let owned = self.broker.partitions.at_mut(place);
            let fetches = &mut self.broker.fetches;
            owned.waiters.retain(|id| fetches.grew(*id, 1));
            self.broker.grown.push(key);
        }
        self.broker.settle(settled);
    }

    /// Shard 0: flushes what the controller decided, and sends the answers that are ready.
    fn visit_desk(&mut self) {
        let Some(desk) = &mut self.desk else { return };
        if let Some(file) = desk.flush_due() {
            self.driver.sync(&file, token(kind::METADATA_FLUSH, 0, 0));
        }
        // A shard looks for the newest image before it reads its mail: who gets an answer finds what it tells of.
        desk.deliver();
    }

    /// Once a minute: tells shard 0 how far the partitions here are.
    fn checkpoint(&mut self) {
        if self.broker.now < self.next_checkpoint {
            return;
        }
        self.next_checkpoint = Nanos(self.broker.now.0 + CHECKPOINT_INTERVAL_NS);
        let partitions = self.broker.partitions.checkpoint();
        self.controller.send(Mail::Checkpoints { from: self.broker.shard, partitions });
    }

    fn take_image(&mut self) {
        if let Some(image) = self.newest.newer(&mut self.image_seen) {
            crate::apply_image::apply(&mut self.broker, image);
        }
    }

    fn take_mail(&mut self, mail: Mail) {
        match mail {
            Mail::Call { from, call_id, call } => {
                if let Some(desk) = &mut self.desk {
                    desk.take_call(from, call_id, call, self.broker.wall_ms);
                }
            }
            Mail::Answer { call_id, outcome } => {
                if let Some(caller) = self.callers.remove(&call_id) {
                    self.broker.decided(caller, outcome);
                }
            }
            Mail::Checkpoints { from, partitions } => {
                if let Some(desk) = &mut self.desk {
                    desk.take_checkpoints(from, partitions);
                }
            }
            Mail::Stop => self.stopping = true,
        }
    }

    /// Posts calls to the controller, within the limit of those that wait for an answer. A call over it fails at once.
    fn post_calls(&mut self) {
        for (caller, call) in std::mem::take(&mut self.broker.calls) {
            if self.callers.len() >= limits::CONTROLLER_CALLS {
                self.broker.decided(caller, Decided::Failed(ErrorCode::REQUEST_TIMED_OUT));
                continue;
            }
            let call_id = self.next_call;
            self.next_call += 1;
            self.callers.insert(call_id, caller);
            self.controller.send(Mail::Call { from: self.broker.shard, call_id, call });
        }
    }

    fn signalled(&mut self, signal: i32) {
        tracing::info!(signal, "stopping");
        if let Some(desk) = &self.desk {
            desk.stop_others();
        }
        self.stopping = true;
    }

    /// Closes the partitions. Gives what the checkpoints should say, and whether every one was closed.
    pub(crate) fn close_partitions(&mut self) -> (BTreeMap<PartitionName, Checkpointed>, bool) {
        self.broker.partitions.close()
    }
}
