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
//! - A node whose answer wants the client to hold back is not ready until that time is over ([`throttle`]).

mod connection;
mod handshake;
mod in_flight;
mod node;
mod throttle;
mod turn;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ringlog_io::{Driver, Event, Slice, SocketOptions};
use ringlog_wire::header::RequestHeader;
use ringlog_wire::{ApiKey, Request};

use super::accumulator::nanos;
use super::config::{Backoff, CommonConfig, ConfigError, NO_BOOTSTRAP_URLS};
use super::security::sasl::Login;
use super::security::{AuthenticationError, tls};
use super::tally::Tally;
use super::versions::Versions;
use super::{ClientError, NodeId};
use connection::Connection;
use in_flight::{InFlight, cannot_write, framed};
use node::{Node, State};

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
    /// A connection could not be made, or ended. `was_used` says that a request was answered over it.
    Down { reason: String, was_used: bool },
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
    /// How long answers wanted the client to hold back, all together, in milliseconds.
    pub throttle_ms: u64,
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
    /// TLS, where `security.protocol` has it.
    tls: Option<Arc<rustls::ClientConfig>>,
    /// SASL, where `security.protocol` has it.
    login: Option<Login>,
    tally: Tally,
    refusal: Option<AuthenticationError>,
    /// Connections that ended at their first request.
    turned_away: u32,
}

/// A token is a connection's serial number and what was asked of the driver.
const ASKED_CONNECT: u64 = 0;
const ASKED_RECV: u64 = 1;
const ASKED_SEND: u64 = 2;

/// As many bytes of what came as tell a TLS record from a response.
const FIRST_BYTES: usize = 3;

impl Network {
    /// Errors where stores or tokens of the security settings cannot be had, or no server's name resolves.
    pub(crate) fn new(driver: Box<dyn Driver>, config: &CommonConfig) -> Result<Self, ClientError> {
        let tls = config.security.tls.as_ref().map(tls::client_config).transpose()?;
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
            tls,
            login: None,
            tally: Tally::default(),
            refusal: None,
            turned_away: 0,
        };
        if let Some(sasl) = &config.security.sasl {
            network.login = Some(Login::new(sasl.clone(), network.now_of_login())?);
        }
        network.bootstrap(&config.bootstrap_servers)?;
        Ok(network)
    }

    /// The other half of ClientUtils.parseAndValidateAddresses: with no name that resolves there is nothing to begin with.
    /// One of several that does not is told when it is connected to, and looked up again then.
    fn bootstrap(&mut self, servers: &[(String, u16)]) -> Result<(), ConfigError> {
        for (id, (host, port)) in (i32::MIN..).zip(servers) {
            self.set_node(id, host, *port);
        }
        let resolved = self.nodes.values_mut().filter_map(|node| node.resolve().then_some(())).count();
        if resolved == 0 { Err(ConfigError::Conflict(NO_BOOTSTRAP_URLS.into())) } else { Ok(()) }
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

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
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
        self.nodes.insert(id, Node::new(host, port));
    }

    /// A node that can be asked now, or that is worth connecting to: open ones first, then the one that rested longest.
    pub(crate) fn any_node(&self) -> Option<NodeId> {
        let open = self.nodes.iter().filter(|(id, node)| node.is_open() && !self.is_held_back(**id));
        let least = open.min_by_key(|(id, node)| (**id < 0, node.in_flight())).map(|(id, _)| *id);
        let connecting = || self.nodes.iter().find(|(_, node)| !node.is_idle());
        let resting = || self.nodes.iter().min_by_key(|(id, node)| (node.retry_at_ns, **id));
        least.or_else(|| connecting().map(|(id, _)| *id)).or_else(|| resting().map(|(id, _)| *id))
    }

    /// Whether a request to this node would go out now: it is there, and does not want us to hold back. Begins to connect
    /// where there is no connection.
    pub(crate) fn is_ready(&mut self, id: NodeId) -> bool {
        if self.nodes.get(&id).is_some_and(Node::is_open) {
            return !self.is_held_back(id) && !self.begins_anew(id);
        }
        self.connect(id);
        false
    }

    /// Requests to this node that have no answer yet.
    pub(crate) fn in_flight(&self, id: NodeId) -> usize {
        self.nodes.get(&id).map_or(0, Node::in_flight)
    }

    /// When the next node that rests is worth another attempt, or one that wants us to hold back has waited enough.
    pub(crate) fn next_attempt_ns(&self, now_ns: u64) -> Option<u64> {
        if self.refusal.is_some() {
            return None;
        }
        let next_ns = |node: &Node| if node.is_idle() { node.retry_at_ns } else { node.held_back_until_ns };
        self.nodes.values().map(next_ns).filter(|next_ns| *next_ns > now_ns).min()
    }

    /// The version of an API that is spoken with a node that is ready.
    pub(crate) fn version(&self, id: NodeId, api: ApiKey) -> Result<i16, ClientError> {
        let versions = self.nodes.get(&id).and_then(Node::versions);
        versions.ok_or_else(|| ClientError::Corrupt(format!("node {id} is not connected")))?.choose(api)
    }

    /// What a node that is ready announced.
    pub(crate) fn versions(&self, id: NodeId) -> Option<&Versions> {
        self.nodes.get(&id).and_then(Node::versions)
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
        self.tally.sent(id, len);
        let deadline_ns = now_ns.saturating_add(nanos(timeout));
        if let Some(connection) = self.nodes.get_mut(&id).and_then(Node::connection) {
            connection.queued += 1;
            let (api, sent_ns, place) = (R::KEY, now_ns, connection.queued);
            let asked = InFlight { api, version, correlation, tag, sent_ns, answered, deadline_ns, place };
            connection.in_flight.push_back(asked);
            connection.outbox.extend(parts);
            self.push_out(id);
        }
        Ok(())
    }

    fn connect(&mut self, id: NodeId) {
        let now_ns = self.now_ns();
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if self.refusal.is_some() || !node.is_idle() || node.retry_at_ns > now_ns {
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

    /// Ends a node's connection, if it has one, and reports what was lost with it.
    pub(crate) fn close(&mut self, id: NodeId, reason: &str) {
        let now_ns = self.now_ns();
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let address = format!("{}:{}", node.host, node.port);
        let more_addresses = node.address_next < node.addresses.len();
        let state = std::mem::replace(&mut node.state, State::Idle);
        let was_open = matches!(state, State::Connected(_));
        if !more_addresses || was_open {
            let pause = self.reconnect_backoff.after(node.failures);
            node.retry_at_ns = now_ns.saturating_add(nanos(pause));
            node.failures = node.failures.saturating_add(1);
            node.addresses.clear();
        }
        let was_used = matches!(&state, State::Connected(connection) if connection.answers > 0);
        match state {
            State::Idle => {}
            State::Connecting { serial, .. } => _ = self.serials.remove(&serial),
            State::Connected(connection) => self.bury(id, *connection),
        }
        if !reason.is_empty() {
            tracing::debug!(node = id, reason, "connection ended");
        }
        let reason = if reason.is_empty() { String::new() } else { format!("{address}: {reason}") };
        self.out.push(NetEvent::Down { reason, was_used });
    }

    fn bury(&mut self, node: NodeId, connection: Connection) {
        self.stats.connections_closed += 1;
        self.serials.remove(&connection.serial);
        self.driver.close(connection.socket);
        let asked = connection.in_flight.into_iter().filter(|asked| !asked.is_handshake());
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

fn token(serial: u64, asked: u64) -> u64 {
    (serial << 2) | asked
}
