//! A turn of the network: what the driver brought, connection by connection.
//!
//! ```text
//!   Connected --> begin --> (TLS) ApiVersions            Received, Filled --> frames --> answer, or the handshake's own
//!   Sent --> the next gathered send; requests without an answer are done
//! ```

use std::time::Duration;

use ringlog_io::{Buf, Event, Slice, Socket};
use ringlog_wire::ApiKey;

use super::super::versions::ours;
use super::super::{ClientError, NodeId};
use super::connection::Connection;
use super::in_flight::{InFlight, body_of};
use super::node::{Node, State};
use super::{ASKED_RECV, FIRST_BYTES, NetEvent, Network, token};

impl Network {
    /// Waits for the network, at most `timeout`, and gives what happened.
    pub(crate) fn turn(&mut self, timeout: Option<Duration>) -> Result<Vec<NetEvent>, ClientError> {
        let timeout = if self.out.is_empty() { self.until_deadline(timeout) } else { Some(Duration::ZERO) };
        let mut events = std::mem::take(&mut self.events);
        self.driver.wait(timeout, &mut events)?;
        events.drain(..).for_each(|event| self.handle(event));
        self.events = events;
        self.check_deadlines();
        Ok(std::mem::take(&mut self.out))
    }

    /// Not longer than until the first request or connection attempt is over its time.
    fn until_deadline(&self, timeout: Option<Duration>) -> Option<Duration> {
        let now_ns = self.now_ns();
        let left = self.nodes.values().filter_map(Node::deadline_ns).min().map(|at| at.saturating_sub(now_ns));
        timeout.into_iter().chain(left.map(Duration::from_nanos)).min()
    }

    fn check_deadlines(&mut self) {
        let now_ns = self.now_ns();
        let late = |node: &Node| node.deadline_ns().is_some_and(|deadline| deadline <= now_ns);
        let over: Vec<NodeId> = self.nodes.iter().filter(|(_, node)| late(node)).map(|(id, _)| *id).collect();
        over.into_iter().for_each(|id| self.close(id, "an answer, or the connection, took too long"));
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Connected { token, result } => self.on_connected(token >> 2, result),
            Event::Received { token, result } => self.on_received(token >> 2, result),
            Event::Filled { token, result } => self.on_filled(token >> 2, result),
            Event::Sent { token, result } => self.on_sent(token >> 2, result.map(|_| ())),
            _ => {}
        }
    }

    fn on_connected(&mut self, serial: u64, result: std::io::Result<Socket>) {
        let Some(id) = self.serials.get(&serial).copied() else {
            // The node was closed while the connection was made.
            if let Ok(socket) = result {
                self.driver.close(socket);
            }
            return;
        };
        match result {
            Err(error) => self.close(id, &error.to_string()),
            Ok(socket) => self.begin(id, serial, socket),
        }
    }

    /// A socket is there: TLS shakes hands with the first bytes, and the first request waits behind that.
    fn begin(&mut self, id: NodeId, serial: u64, socket: Socket) {
        self.stats.connections_opened += 1;
        let session = self.new_session(id);
        let Some(node) = self.nodes.get_mut(&id) else { return };
        match session {
            Ok(session) => node.state = State::Connected(Box::new(Connection::new(socket, serial, session))),
            Err(error) => {
                self.driver.close(socket);
                return self.refuse(error);
            }
        }
        self.driver.recv(socket, token(serial, ASKED_RECV));
        self.ask_versions(id, ours(ApiKey::ApiVersions).1);
    }

    /// Hands to the driver what is due on a connection.
    pub(super) fn push_out(&mut self, id: NodeId) {
        let Some(connection) = self.nodes.get_mut(&id).and_then(Node::connection) else { return };
        if let Err(error) = connection.push_out(&mut *self.driver) {
            self.on_seal_error(id, &error);
        }
    }

    fn open(&mut self, serial: u64) -> Option<(NodeId, &mut Connection)> {
        let id = *self.serials.get(&serial)?;
        self.nodes.get_mut(&id).and_then(Node::connection).map(|connection| (id, connection))
    }

    fn on_received(&mut self, serial: u64, result: std::io::Result<Buf>) {
        let Some((id, connection)) = self.open(serial) else { return };
        let is_new = connection.answers == 0;
        let buf = match result {
            Ok(buf) if buf.is_empty() => return self.on_end(id),
            Ok(buf) => buf,
            // A peer that closes with our first bytes unread resets.
            Err(error) if is_new && error.kind() == std::io::ErrorKind::ConnectionReset => return self.on_end(id),
            Err(error) => return self.close(id, &error.to_string()),
        };
        self.stats.received_bytes += buf.len() as u64;
        self.tally.received(id, buf.len());
        let mut first_bytes = [0; FIRST_BYTES];
        let len = buf.len().min(FIRST_BYTES);
        first_bytes[..len].copy_from_slice(&buf[..len]);
        let mut frames = Vec::new();
        let Some(connection) = self.nodes.get_mut(&id).and_then(Node::connection) else { return };
        if let Err(broken) = connection.receive(buf, &mut frames, &mut *self.driver) {
            return self.on_broken(id, broken, &first_bytes[..len]);
        }
        if self.tls.is_some() {
            // The handshake, or a change of keys, may have something to say, and requests may wait for it.
            self.push_out(id);
        }
        frames.into_iter().for_each(|frame| self.on_frame(serial, frame));
    }

    fn on_filled(&mut self, serial: u64, result: std::io::Result<Buf>) {
        let Some((id, connection)) = self.open(serial) else { return };
        let socket = connection.socket;
        match result {
            Err(error) => self.close(id, &error.to_string()),
            Ok(buf) => {
                self.stats.received_bytes += buf.len() as u64;
                self.tally.received(id, buf.len());
                self.driver.recv(socket, token(serial, ASKED_RECV));
                self.on_frame(serial, Slice::new(buf));
            }
        }
    }

    fn on_frame(&mut self, serial: u64, frame: Slice) {
        // A frame before it may have closed the connection.
        let Some((id, _)) = self.open(serial) else { return };
        self.complete_unanswered(id);
        let Some((id, connection)) = self.open(serial) else { return };
        let Some(asked) = connection.in_flight.pop_front() else {
            return self.close(id, "the broker answered what nobody asked");
        };
        match body_of(&asked, &frame) {
            Err(reason) => {
                connection.in_flight.push_front(asked);
                self.close(id, &reason);
            }
            Ok(body) if asked.is_handshake() => self.on_handshake(id, &asked, &body),
            Ok(body) => self.answer(id, &asked, body),
        }
    }

    fn answer(&mut self, node: NodeId, asked: &InFlight, body: Slice) {
        if let Some(connection) = self.nodes.get_mut(&node).and_then(Node::connection) {
            connection.answers += 1;
        }
        let took_ns = self.now_ns().saturating_sub(asked.sent_ns);
        self.stats.answers += 1;
        self.stats.latency_ns_sum += took_ns;
        self.stats.latency_ns_max = self.stats.latency_ns_max.max(took_ns);
        let InFlight { api, version, tag, .. } = *asked;
        self.note_first_field(node, api, version, &body);
        self.tally.answered(node, api, took_ns, self.now_ns());
        self.out.push(NetEvent::Answer { node, api, version, tag, body, took_ns });
    }

    fn on_sent(&mut self, serial: u64, result: std::io::Result<()>) {
        let Some((id, connection)) = self.open(serial) else { return };
        connection.sent = connection.sending.take().unwrap_or(connection.sent);
        if let Err(error) = result {
            return self.close(id, &error.to_string());
        }
        self.push_out(id);
        self.complete_unanswered(id);
    }

    /// Requests without an answer at the head of the line are done once the socket took them.
    fn complete_unanswered(&mut self, id: NodeId) {
        let Some(connection) = self.nodes.get_mut(&id).and_then(Node::connection) else { return };
        let mut done = Vec::new();
        let sent = connection.sent;
        while connection.in_flight.front().is_some_and(|asked| !asked.answered && asked.place <= sent) {
            done.extend(connection.in_flight.pop_front());
        }
        for asked in done {
            self.answer(id, &asked, Slice::from(Vec::new()));
        }
    }
}
