//! Connections to brokers over one driver: opened when wanted, versions agreed, requests in flight, losses reported.
//!
//! ```text
//!   send(node, request, parts) --> outbox --one gathered send at a time--> socket
//!                                    in flight [ oldest .. newest ] <------ answers in the same order
//!   turn(timeout) --> NetEvent::{Up, Answer, Lost, Down}
//! ```
//!
//! Invariants:
//! - Every request that was sent ends in exactly one `Answer` or `Lost`.
//! - Answers are matched by order and checked by correlation id; a mismatch closes the connection.
//! - A request that waited longer than its timeout closes the connection (Kafka's NetworkClient does the same).

use std::collections::{BTreeMap, VecDeque};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use ringlog_io::{Buf, Driver, Event, Slice, Socket, SocketOptions};
use ringlog_wire::header::{RequestHeader, ResponseHeader};
use ringlog_wire::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use ringlog_wire::{ApiKey, EncodeError, ErrorCode, Message, Reader, Request, Writer};

use super::accumulator::nanos;
use super::config::{Backoff, CommonConfig};
use super::receive::{Next, Receiver};
use super::security::AuthenticationError;
use super::versions::{Versions, negotiated, ours};
use super::{ClientError, NodeId};

/// socket.connection.setup.timeout.ms.
const SETUP_TIMEOUT: Duration = Duration::from_secs(10);

/// No limit on a request's version but what both sides have.
pub(crate) const VERSION_ANY: i16 = i16::MAX;

/// What happened on the network.
#[derive(Debug)]
pub(crate) enum NetEvent {
    /// A broker answered. `body` begins after the response header. Empty for a request without an answer (acks=0).
    Answer { node: NodeId, api: ApiKey, version: i16, tag: u64, body: Slice, took_ns: u64 },
    /// The connection ended before the answer.
    Lost { node: NodeId, api: ApiKey, tag: u64 },
    /// A broker can be asked.
    Up,
    /// A connection could not be made, or ended.
    Down { reason: String },
}

/// Counts for `--print-metrics` and for rows of results.
#[derive(Clone, Copy, Debug, Default)]
pub struct NetworkStats {
    /// Requests sent.
    pub requests: u64,
    /// Answers received.
    pub answers: u64,
    /// Bytes of requests.
    pub sent_bytes: u64,
    /// Bytes of answers, length prefixes included.
    pub received_bytes: u64,
    /// Connections opened.
    pub connections_opened: u64,
    /// Connections that ended.
    pub connections_closed: u64,
    /// Sum of the times from a request to its answer, in nanoseconds.
    pub latency_ns_sum: u64,
    /// The longest of them.
    pub latency_ns_max: u64,
    /// The largest request in bytes.
    pub request_bytes_max: u64,
}

struct InFlight {
    api: ApiKey,
    version: i16,
    correlation: i32,
    tag: u64,
    sent_ns: u64,
    answered: bool,
    deadline_ns: u64,
    /// The connection's number of this request.
    place: u64,
}

struct Connection {
    socket: Socket,
    serial: u64,
    versions: Option<Versions>,
    /// Requests given to the outbox, to the send under way, and to the socket, so far.
    queued: u64,
    sending: Option<u64>,
    sent: u64,
    outbox: Vec<Slice>,
    in_flight: VecDeque<InFlight>,
    receiver: Receiver,
}

enum State {
    Idle,
    Connecting { serial: u64, since_ns: u64 },
    Open(Connection),
}

struct Node {
    host: String,
    port: u16,
    addresses: Vec<SocketAddr>,
    address_next: usize,
    failures: u32,
    retry_at_ns: u64,
    state: State,
}

/// See the module's picture.
pub(crate) struct Network {
    driver: Box<dyn Driver>,
    client_id: String,
    request_timeout: Duration,
    reconnect_backoff: Backoff,
    options: SocketOptions,
    nodes: BTreeMap<NodeId, Node>,
    serials: BTreeMap<u64, NodeId>,
    serial_next: u64,
    correlation_next: i32,
    events: Vec<Event>,
    out: Vec<NetEvent>,
    stats: NetworkStats,
    refusal: Option<AuthenticationError>,
}

/// A token is a connection's serial number and what was asked of the driver.
const ASKED_CONNECT: u64 = 0;
const ASKED_RECV: u64 = 1;
const ASKED_SEND: u64 = 2;

impl Network {
    /// Errors where stores or tokens of the security settings cannot be had.
    pub(crate) fn new(driver: Box<dyn Driver>, config: &CommonConfig) -> Result<Self, ClientError> {
        if config.security.tls.is_some() || config.security.sasl.is_some() {
            return Err(ClientError::Corrupt("TLS and SASL are not supported by this build yet".into()));
        }
        let mut network = Self {
            driver,
            client_id: config.client_id.clone(),
            request_timeout: config.request_timeout,
            reconnect_backoff: config.reconnect_backoff,
            options: SocketOptions {
                send_buffer_bytes: config.send_buffer_bytes,
                receive_buffer_bytes: config.receive_buffer_bytes,
            },
            nodes: BTreeMap::new(),
            serials: BTreeMap::new(),
            serial_next: 0,
            correlation_next: 0,
            events: Vec::new(),
            out: Vec::new(),
            stats: NetworkStats::default(),
            refusal: None,
        };
        for (id, (host, port)) in (i32::MIN..).zip(&config.bootstrap_servers) {
            network.set_node(id, host, *port);
        }
        Ok(network)
    }

    /// Why no broker will be asked any more: one of them and we do not accept each other.
    pub(crate) fn refusal(&self) -> Option<&AuthenticationError> {
        self.refusal.as_ref()
    }

    /// The driver, for its clock and buffers.
    pub(crate) fn driver(&mut self) -> &mut dyn Driver {
        &mut *self.driver
    }

    pub(crate) fn now_ns(&self) -> u64 {
        self.driver.now().0
    }

    pub(crate) fn stats(&self) -> NetworkStats {
        self.stats
    }

    /// Makes a node known, or moves it to another address.
    pub(crate) fn set_node(&mut self, id: NodeId, host: &str, port: u16) {
        if self.nodes.get(&id).is_some_and(|node| node.host == host && node.port == port) {
            return;
        }
        self.close(id, "its address changed");
        let node = Node {
            host: host.to_owned(),
            port,
            addresses: Vec::new(),
            address_next: 0,
            failures: 0,
            retry_at_ns: 0,
            state: State::Idle,
        };
        self.nodes.insert(id, node);
    }

    /// A node that can be asked now, or that is worth connecting to: open ones first, then the one that rested longest.
    pub(crate) fn any_node(&self) -> Option<NodeId> {
        let open = self.nodes.iter().filter(|(_, node)| node.is_open());
        let least = open.min_by_key(|(id, node)| (**id < 0, node.in_flight())).map(|(id, _)| *id);
        let connecting = || self.nodes.iter().find(|(_, node)| matches!(node.state, State::Connecting { .. }));
        let resting = || self.nodes.iter().min_by_key(|(id, node)| (node.retry_at_ns, **id));
        least.or_else(|| connecting().map(|(id, _)| *id)).or_else(|| resting().map(|(id, _)| *id))
    }

    /// Whether a request to this node would go out now. Begins to connect where there is no connection.
    pub(crate) fn is_ready(&mut self, id: NodeId) -> bool {
        if self.nodes.get(&id).is_some_and(Node::is_open) {
            return true;
        }
        self.connect(id);
        false
    }

    /// Requests to this node that have no answer yet.
    pub(crate) fn in_flight(&self, id: NodeId) -> usize {
        self.nodes.get(&id).map_or(0, Node::in_flight)
    }

    /// When the next node that rests is worth another attempt.
    pub(crate) fn next_attempt_ns(&self, now_ns: u64) -> Option<u64> {
        let resting = self.nodes.values().filter(|node| matches!(node.state, State::Idle));
        resting.map(|node| node.retry_at_ns).filter(|retry_at| *retry_at > now_ns).min()
    }

    /// The version of an API that is spoken with a node that is ready.
    pub(crate) fn version(&self, id: NodeId, api: ApiKey) -> Result<i16, ClientError> {
        let versions = self.nodes.get(&id).and_then(Node::versions);
        versions.ok_or_else(|| ClientError::Corrupt(format!("node {id} is not connected")))?.choose(api)
    }

    /// Sends a request to a node that is ready. `records` fill the places that the message left for them.
    pub(crate) fn send<R: Request>(
        &mut self,
        id: NodeId,
        request: &R,
        records: Vec<Slice>,
        tag: u64,
    ) -> Result<(), ClientError> {
        self.send_with(id, request, records, (tag, true, VERSION_ANY))
    }

    /// As [`Self::send`], with a highest version; a request that is not answered (acks=0) ends in an empty `Answer`
    /// when the socket took it.
    pub(crate) fn send_with<R: Request>(
        &mut self,
        id: NodeId,
        request: &R,
        records: Vec<Slice>,
        (tag, answered, version_max): (u64, bool, i16),
    ) -> Result<(), ClientError> {
        let version = self.version(id, R::KEY)?.min(version_max);
        self.send_as(id, request, version, records, (tag, answered, self.request_timeout))
    }

    /// Sends a request whose answer may take longer than `request.timeout.ms` (JoinGroup).
    pub(crate) fn send_patient<R: Request>(
        &mut self,
        id: NodeId,
        request: &R,
        timeout: Duration,
        tag: u64,
    ) -> Result<(), ClientError> {
        let version = self.version(id, R::KEY)?;
        self.send_as(id, request, version, Vec::new(), (tag, true, timeout.max(self.request_timeout)))
    }

    fn send_as<R: Request>(
        &mut self,
        id: NodeId,
        request: &R,
        version: i16,
        records: Vec<Slice>,
        (tag, answered, timeout): (u64, bool, Duration),
    ) -> Result<(), ClientError> {
        let correlation = self.correlation_next;
        self.correlation_next = if correlation == i32::MAX { 0 } else { correlation + 1 };
        let header = RequestHeader::new(R::KEY, version, correlation, Some(self.client_id.clone()));
        let (parts, len) = framed(&header, request, version, records).map_err(|error| cannot_write(R::KEY, &error))?;
        let now_ns = self.now_ns();
        self.stats.requests += 1;
        self.stats.sent_bytes += len as u64;
        self.stats.request_bytes_max = self.stats.request_bytes_max.max(len as u64);
        let deadline_ns = now_ns.saturating_add(nanos(timeout));
        if let Some(connection) = self.nodes.get_mut(&id).and_then(Node::connection) {
            connection.queued += 1;
            let (api, sent_ns, place) = (R::KEY, now_ns, connection.queued);
            let asked = InFlight { api, version, correlation, tag, sent_ns, answered, deadline_ns, place };
            connection.in_flight.push_back(asked);
            connection.outbox.extend(parts);
            push_out(&mut *self.driver, connection);
        }
        Ok(())
    }

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

    fn connect(&mut self, id: NodeId) {
        let now_ns = self.now_ns();
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if !matches!(node.state, State::Idle) || node.retry_at_ns > now_ns {
            return;
        }
        let Some(address) = node.next_address() else {
            let reason = format!("the name {} does not resolve", node.host);
            return self.close(id, &reason);
        };
        let serial = self.serial_next;
        self.serial_next += 1;
        node.state = State::Connecting { serial, since_ns: now_ns };
        self.serials.insert(serial, id);
        self.driver.connect(address, self.options, token(serial, ASKED_CONNECT));
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
            Ok(socket) => {
                self.stats.connections_opened += 1;
                let Some(node) = self.nodes.get_mut(&id) else { return };
                node.state = State::Open(Connection {
                    socket,
                    serial,
                    versions: None,
                    queued: 0,
                    sending: None,
                    sent: 0,
                    outbox: Vec::new(),
                    in_flight: VecDeque::new(),
                    receiver: Receiver::default(),
                });
                self.driver.recv(socket, token(serial, ASKED_RECV));
                self.ask_versions(id, ours(ApiKey::ApiVersions).1);
            }
        }
    }

    fn ask_versions(&mut self, id: NodeId, version: i16) {
        let request = ApiVersionsRequest {
            client_software_name: "ringlog".into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
            ..ApiVersionsRequest::default()
        };
        if let Err(error) = self.send_as(id, &request, version, Vec::new(), (0, true, self.request_timeout)) {
            self.close(id, &error.to_string());
        }
    }

    fn open(&mut self, serial: u64) -> Option<(NodeId, &mut Connection)> {
        let id = *self.serials.get(&serial)?;
        self.nodes.get_mut(&id).and_then(Node::connection).map(|connection| (id, connection))
    }

    fn on_received(&mut self, serial: u64, result: std::io::Result<Buf>) {
        let Some((id, connection)) = self.open(serial) else { return };
        let mut receiver = std::mem::take(&mut connection.receiver);
        let socket = connection.socket;
        let buf = match result {
            Ok(buf) if buf.is_empty() => return self.close(id, "the broker closed the connection"),
            Ok(buf) => buf,
            Err(error) => return self.close(id, &error.to_string()),
        };
        let (mut frames, driver) = (Vec::new(), &mut self.driver);
        self.stats.received_bytes += buf.len() as u64;
        match receiver.take(buf, &mut frames, &mut |len| driver.buffer(len)) {
            Err(error) => return self.close(id, &error.to_string()),
            Ok(Next::Any) => driver.recv(socket, token(serial, ASKED_RECV)),
            Ok(Next::Exact(buf, len)) => driver.recv_exact(socket, buf, len, token(serial, ASKED_RECV)),
        }
        if let Some((_, connection)) = self.open(serial) {
            connection.receiver = receiver;
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
            Ok(body) if asked.api == ApiKey::ApiVersions => self.on_versions(id, asked.version, &body),
            Ok(body) => self.answer(id, &asked, body),
        }
    }

    fn answer(&mut self, node: NodeId, asked: &InFlight, body: Slice) {
        let took_ns = self.now_ns().saturating_sub(asked.sent_ns);
        self.stats.answers += 1;
        self.stats.latency_ns_sum += took_ns;
        self.stats.latency_ns_max = self.stats.latency_ns_max.max(took_ns);
        let InFlight { api, version, tag, .. } = *asked;
        self.out.push(NetEvent::Answer { node, api, version, tag, body, took_ns });
    }

    fn on_versions(&mut self, id: NodeId, version: i16, body: &[u8]) {
        // A broker that does not know our version answers in version 0, its error first.
        let refused = body.starts_with(&ErrorCode::UNSUPPORTED_VERSION.0.to_be_bytes());
        let version = if refused { 0 } else { version };
        let response = match ApiVersionsResponse::decode(&mut Reader::new(body), version) {
            Ok(response) => response,
            Err(error) => return self.close(id, &format!("its ApiVersions answer does not decode: {error}")),
        };
        match negotiated(&response) {
            Err(Some(again)) => self.ask_versions(id, again),
            Err(None) => self.close(id, &format!("it refused ApiVersions with error {}", response.error_code)),
            Ok(versions) => {
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.failures = 0;
                    if let Some(connection) = node.connection() {
                        connection.versions = Some(versions);
                    }
                }
                self.out.push(NetEvent::Up);
            }
        }
    }

    fn on_sent(&mut self, serial: u64, result: std::io::Result<()>) {
        let Some((id, connection)) = self.open(serial) else { return };
        connection.sent = connection.sending.take().unwrap_or(connection.sent);
        if let Err(error) = result {
            return self.close(id, &error.to_string());
        }
        if let Some(connection) = self.nodes.get_mut(&id).and_then(Node::connection) {
            push_out(&mut *self.driver, connection);
        }
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

    /// Ends a node's connection, if it has one, and reports what was lost with it.
    pub(crate) fn close(&mut self, id: NodeId, reason: &str) {
        let now_ns = self.now_ns();
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let more_addresses = node.address_next < node.addresses.len();
        let state = std::mem::replace(&mut node.state, State::Idle);
        let was_open = matches!(state, State::Open(_));
        if !more_addresses || was_open {
            let pause = self.reconnect_backoff.after(node.failures);
            node.retry_at_ns = now_ns.saturating_add(nanos(pause));
            node.failures = node.failures.saturating_add(1);
            node.addresses.clear();
        }
        match state {
            State::Idle => {}
            State::Connecting { serial, .. } => _ = self.serials.remove(&serial),
            State::Open(connection) => self.bury(id, connection),
        }
        if !reason.is_empty() {
            tracing::debug!(node = id, reason, "connection ended");
        }
        self.out.push(NetEvent::Down { reason: reason.to_owned() });
    }

    fn bury(&mut self, node: NodeId, connection: Connection) {
        self.stats.connections_closed += 1;
        self.serials.remove(&connection.serial);
        self.driver.close(connection.socket);
        let asked = connection.in_flight.into_iter().filter(|asked| asked.api != ApiKey::ApiVersions);
        self.out.extend(asked.map(|asked| NetEvent::Lost { node, api: asked.api, tag: asked.tag }));
    }

    /// Closes every connection. What is in flight is not reported.
    pub(crate) fn close_all(&mut self) {
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        ids.into_iter().for_each(|id| self.close(id, ""));
        self.out.clear();
        let _ = self.driver.wait(Some(Duration::ZERO), &mut self.events);
        self.events.clear();
    }
}

impl Node {
    fn connection(&mut self) -> Option<&mut Connection> {
        if let State::Open(connection) = &mut self.state { Some(connection) } else { None }
    }

    fn versions(&self) -> Option<&Versions> {
        if let State::Open(connection) = &self.state { connection.versions.as_ref() } else { None }
    }

    fn is_open(&self) -> bool {
        self.versions().is_some()
    }

    fn in_flight(&self) -> usize {
        if let State::Open(connection) = &self.state { connection.in_flight.len() } else { 0 }
    }

    fn deadline_ns(&self) -> Option<u64> {
        match &self.state {
            State::Idle => None,
            State::Connecting { since_ns, .. } => Some(since_ns.saturating_add(nanos(SETUP_TIMEOUT))),
            State::Open(connection) => connection.in_flight.iter().map(|asked| asked.deadline_ns).min(),
        }
    }

    /// The next of the addresses that the name has; the name is looked up again when all were tried.
    fn next_address(&mut self) -> Option<SocketAddr> {
        if self.address_next >= self.addresses.len() {
            self.addresses =
                (self.host.as_str(), self.port).to_socket_addrs().map(Iterator::collect).unwrap_or_default();
            // Brokers listen on IPv4 more often than not; the other family is the second attempt.
            self.addresses.sort_by_key(SocketAddr::is_ipv6);
            self.address_next = 0;
        }
        self.address_next += 1;
        self.addresses.get(self.address_next - 1).copied()
    }
}

fn token(serial: u64, asked: u64) -> u64 {
    (serial << 2) | asked
}

fn push_out(driver: &mut dyn Driver, connection: &mut Connection) {
    if connection.sending.is_none() && !connection.outbox.is_empty() {
        connection.sending = Some(connection.queued);
        let parts = std::mem::take(&mut connection.outbox);
        driver.send(connection.socket, parts, token(connection.serial, ASKED_SEND));
    }
}

/// The frame's parts, record data standing where the message was cut, and their length.
fn framed<R: Request>(
    header: &RequestHeader,
    request: &R,
    version: i16,
    records: Vec<Slice>,
) -> Result<(Vec<Slice>, usize), EncodeError> {
    let mut writer = Writer::new();
    writer.raw(&[0; size_of::<i32>()]);
    header.encode(&mut writer)?;
    request.encode(&mut writer, version)?;
    let len = writer.total_len();
    let body_len = len - size_of::<i32>();
    let prefix = i32::try_from(body_len).map_err(|_| EncodeError::TooLong {
        what: "request",
        len: body_len,
        max: i32::MAX as usize,
    })?;
    writer.bytes[..size_of::<i32>()].copy_from_slice(&prefix.to_be_bytes());
    let bytes = Slice::from(writer.bytes);
    let (mut parts, mut at) = (Vec::with_capacity(2 * records.len() + 1), 0);
    for (cut, data) in writer.cuts.into_iter().zip(records) {
        parts.push(bytes.slice(at..cut));
        parts.push(data);
        at = cut;
    }
    if at < bytes.len() {
        parts.push(bytes.slice(at..bytes.len()));
    }
    Ok((parts, len))
}

fn cannot_write(api: ApiKey, error: &EncodeError) -> ClientError {
    ClientError::Corrupt(format!("a {} request cannot be written: {error}", api.name()))
}

/// What comes after the response header, if the answer is the one that is due.
fn body_of(asked: &InFlight, frame: &Slice) -> Result<Slice, String> {
    let mut reader = Reader::new(frame);
    let header = ResponseHeader::decode(&mut reader, asked.api, asked.version)
        .map_err(|error| format!("a response header does not decode: {error}"))?;
    if header.correlation_id != asked.correlation {
        return Err(format!(
            "the answer to request {} came where {} was due",
            header.correlation_id, asked.correlation
        ));
    }
    Ok(frame.slice(reader.position()..frame.len()))
}
