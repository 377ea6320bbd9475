//! A broker as the network knows it: where it is, how the last attempts went, and its connection.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use super::super::accumulator::nanos;
use super::super::versions::Versions;
use super::connection::{Connection, Phase};

/// socket.connection.setup.timeout.ms.
const SETUP_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) enum State {
    Idle,
    Connecting { serial: u64, since_ns: u64 },
    Connected(Box<Connection>),
}

pub(super) struct Node {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) address_next: usize,
    pub(super) failures: u32,
    pub(super) retry_at_ns: u64,
    /// It wants no request before that.
    pub(super) held_back_until_ns: u64,
    pub(super) state: State,
}

impl Node {
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            port,
            addresses: Vec::new(),
            address_next: 0,
            failures: 0,
            retry_at_ns: 0,
            held_back_until_ns: 0,
            state: State::Idle,
        }
    }

    pub(super) fn connection(&mut self) -> Option<&mut Connection> {
        if let State::Connected(connection) = &mut self.state { Some(connection) } else { None }
    }

    /// The versions to speak, where requests may be sent.
    pub(super) fn versions(&self) -> Option<&Versions> {
        match &self.state {
            State::Connected(connection) if matches!(connection.phase, Phase::Open) => Some(&connection.versions),
            _ => None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.versions().is_some()
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    pub(super) fn in_flight(&self) -> usize {
        if let State::Connected(connection) = &self.state { connection.in_flight.len() } else { 0 }
    }

    pub(super) fn deadline_ns(&self) -> Option<u64> {
        match &self.state {
            State::Idle => None,
            State::Connecting { since_ns, .. } => Some(since_ns.saturating_add(nanos(SETUP_TIMEOUT))),
            State::Connected(connection) => connection.in_flight.iter().map(|asked| asked.deadline_ns).min(),
        }
    }

    /// Looks the name up. False where it has no address.
    pub(super) fn resolve(&mut self) -> bool {
        self.addresses = (self.host.as_str(), self.port).to_socket_addrs().map(Iterator::collect).unwrap_or_default();
        // Brokers listen on IPv4 more often than not; the other family is the second attempt.
        self.addresses.sort_by_key(SocketAddr::is_ipv6);
        self.address_next = 0;
        !self.addresses.is_empty()
    }

    /// The next of the addresses that the name has; the name is looked up again when all were tried.
    pub(super) fn next_address(&mut self) -> Option<SocketAddr> {
        if self.address_next >= self.addresses.len() {
            self.resolve();
        }
        self.address_next += 1;
        self.addresses.get(self.address_next - 1).copied()
    }
}
