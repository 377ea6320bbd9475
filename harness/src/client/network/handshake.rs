//! From a connected socket to an open connection: TLS, ApiVersions, SASL; and SASL again when its session is over.
//!
//! ```text
//!   connected --(TLS)--> ApiVersions --> SaslHandshake v1 --> SaslAuthenticate, until the exchange is complete --> Up
//! ```
//!
//! A refusal is final: it is kept, every connection is closed, and none is made again (the Java client does not try
//! again after an AuthenticationException either). Source: SaslClientAuthenticator, KIP-152, KIP-368.

use std::time::Duration;

use ringlog_wire::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use ringlog_wire::messages::sasl_authenticate::{SaslAuthenticateRequest, SaslAuthenticateResponse};
use ringlog_wire::messages::sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse};
use ringlog_wire::{ApiKey, ErrorCode, Message, Reader, Request};

use super::super::accumulator::nanos;
use super::super::security::sasl::{Exchange, Now};
use super::super::security::tls::TlsSession;
use super::super::security::{AuthenticationError, tls_errors};
use super::super::versions::negotiated;
use super::super::{ClientError, NodeId};
use super::connection::{Broken, Phase};
use super::in_flight::InFlight;
use super::node::{Node, State};
use super::{NetEvent, Network};

/// A listener that answered ApiVersions so often and ended each connection at the first request is taken for a SASL
/// listener: with `reconnect.backoff.ms` of Kafka that is after about 4 s.
const TURNED_AWAY_MAX: u32 = 8;

impl Network {
    pub(super) fn ask_versions(&mut self, id: NodeId, version: i16) {
        let request = ApiVersionsRequest {
            client_software_name: "ringlog".into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
            ..ApiVersionsRequest::default()
        };
        self.ask(id, &request, version);
    }

    /// A request of the handshake's own.
    fn ask<R: Request>(&mut self, id: NodeId, request: &R, version: i16) {
        if let Err(error) = self.send_as(id, request, version, Vec::new(), (0, true, self.request_timeout)) {
            self.close(id, &error.to_string());
        }
    }

    /// The TLS session of a new connection, where the protocol has one.
    pub(super) fn new_session(&mut self, id: NodeId) -> Result<Option<TlsSession>, AuthenticationError> {
        let (Some(config), Some(node)) = (&self.tls, self.nodes.get(&id)) else { return Ok(None) };
        let session = TlsSession::new(std::sync::Arc::clone(config), &node.host);
        session.map(Some).map_err(|error| tls_errors::handshake_failed(&error, &node.host, node.port))
    }

    /// An answer to one of the handshake's requests.
    pub(super) fn on_handshake(&mut self, id: NodeId, asked: &InFlight, body: &[u8]) {
        match asked.api {
            ApiKey::SaslHandshake => self.on_mechanism(id, asked.version, body),
            ApiKey::SaslAuthenticate => self.on_token(id, asked.version, body),
            _ => self.on_versions(id, asked.version, body),
        }
    }

    fn on_versions(&mut self, id: NodeId, version: i16, body: &[u8]) {
        // A broker that does not know our version answers in version 0, its error first.
        let refused = body.starts_with(&ErrorCode::UNSUPPORTED_VERSION.0.to_be_bytes());
        let asked = version;
        let version = if refused { 0 } else { version };
        if refused && asked > 0 && ApiVersionsResponse::decode(&mut Reader::new(body), version).is_err() {
            // Its error can be read, what follows cannot (librdkafka's mock cluster): version 0 is what all have.
            return self.ask_versions(id, 0);
        }
        let Some(response) = self.decoded::<ApiVersionsResponse>(id, version, body) else { return };
        self.note_throttle(id, ApiKey::ApiVersions, version, response.throttle_time_ms);
        match negotiated(&response) {
            Err(Some(again)) => self.ask_versions(id, again),
            Err(None) => self.close(id, &format!("it refused ApiVersions with error {}", response.error_code)),
            Ok(versions) => {
                if let Some(connection) = self.nodes.get_mut(&id).and_then(Node::connection) {
                    connection.versions = versions;
                }
                if self.login.is_some() { self.begin_sasl(id) } else { self.opened(id) }
            }
        }
    }

    fn decoded<M: Message>(&mut self, id: NodeId, version: i16, body: &[u8]) -> Option<M> {
        match M::decode(&mut Reader::new(body), version) {
            Ok(message) => Some(message),
            Err(error) => {
                self.close(id, &format!("its {} does not decode: {error}", M::NAME));
                None
            }
        }
    }

    fn opened(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.failures = 0;
            if let Some(connection) = node.connection() {
                connection.phase = Phase::Open;
            }
        }
        self.out.push(NetEvent::Up);
    }

    /// Whether an open connection has to be authenticated anew before its next request; begins with it.
    pub(super) fn begins_anew(&mut self, id: NodeId) -> bool {
        let now_ns = self.now_ns();
        let due = self.nodes.get_mut(&id).and_then(Node::connection).and_then(|one| one.authenticate_at_ns);
        if due.is_none_or(|due| now_ns < due) {
            return false;
        }
        self.begin_sasl(id);
        true
    }

    fn begin_sasl(&mut self, id: NodeId) {
        let Some(mechanism) = self.login.as_ref().map(|login| login.mechanism().to_owned()) else { return };
        let Some(connection) = self.nodes.get_mut(&id).and_then(Node::connection) else { return };
        connection.phase = Phase::Mechanism;
        connection.authenticate_at_ns = None;
        match connection.versions.choose(ApiKey::SaslHandshake) {
            Ok(version) => self.ask(id, &SaslHandshakeRequest { mechanism, ..Default::default() }, version),
            Err(error) => self.refuse(AuthenticationError::sasl(error.to_string())),
        }
    }

    fn on_mechanism(&mut self, id: NodeId, version: i16, body: &[u8]) {
        let Some(response) = self.decoded::<SaslHandshakeResponse>(id, version, body) else { return };
        let Some(mechanism) = self.login.as_ref().map(super::super::security::sasl::Login::mechanism) else { return };
        let enabled = format!("[{}]", response.mechanisms.join(", "));
        let refused = match ErrorCode(response.error_code) {
            ErrorCode::NONE => return self.begin_exchange(id),
            ErrorCode::UNSUPPORTED_SASL_MECHANISM => {
                format!(
                    "Client SASL mechanism '{mechanism}' not enabled in the server, enabled mechanisms are {enabled}"
                )
            }
            ErrorCode::ILLEGAL_SASL_STATE => format!(
                "Unexpected handshake request with client mechanism {mechanism}, enabled mechanisms are {enabled}: the listener has no SASL; set security.protocol to PLAINTEXT or SSL"
            ),
            error => format!(
                "Unknown error code {}, client mechanism is {mechanism}, enabled mechanisms are {enabled}",
                error.name()
            ),
        };
        self.refuse(AuthenticationError::sasl(refused));
    }

    fn begin_exchange(&mut self, id: NodeId) {
        let now = self.now_of_login();
        match self.login.as_mut().map(|login| login.begin(now)) {
            Some(Ok((first, exchange))) => self.send_token(id, first, exchange),
            Some(Err(error)) => self.refuse(error),
            None => {}
        }
    }

    fn send_token(&mut self, id: NodeId, auth_bytes: Vec<u8>, exchange: Exchange) {
        let Some(connection) = self.nodes.get_mut(&id).and_then(Node::connection) else { return };
        connection.phase = Phase::Tokens(exchange);
        match connection.versions.choose(ApiKey::SaslAuthenticate) {
            Ok(version) => self.ask(id, &SaslAuthenticateRequest { auth_bytes, ..Default::default() }, version),
            Err(error) => self.refuse(AuthenticationError::sasl(error.to_string())),
        }
    }

    fn on_token(&mut self, id: NodeId, version: i16, body: &[u8]) {
        let Some(response) = self.decoded::<SaslAuthenticateResponse>(id, version, body) else { return };
        let error = ErrorCode(response.error_code);
        if !error.is_none() {
            let message = response.error_message.unwrap_or_else(|| error.name().to_owned());
            return self.refuse(AuthenticationError::sasl(message));
        }
        let Some(connection) = self.nodes.get_mut(&id).and_then(Node::connection) else { return };
        let Phase::Tokens(mut exchange) = std::mem::replace(&mut connection.phase, Phase::Mechanism) else {
            return self.close(id, "the broker answered a SASL token that nobody sent");
        };
        match exchange.answer(&response.auth_bytes) {
            Err(error) => self.refuse(AuthenticationError::sasl(error)),
            Ok(Some(next)) => self.send_token(id, next, exchange),
            Ok(None) => {
                connection.authenticate_at_ns = None;
                self.expect_end_of_session(id, response.session_lifetime_ms);
                self.opened(id);
            }
        }
    }

    /// As the Java client: a new authentication begins after 85 to 95 % of the session, so that not all come at once.
    fn expect_end_of_session(&mut self, id: NodeId, lifetime_ms: i64) {
        let Some(lifetime_ms) = u64::try_from(lifetime_ms).ok().filter(|ms| *ms > 0) else { return };
        let thousandths = 850 + self.driver.random() % 101;
        let after = Duration::from_millis(lifetime_ms.saturating_mul(thousandths) / 1000);
        let at_ns = self.now_ns().saturating_add(nanos(after));
        if let Some(connection) = self.nodes.get_mut(&id).and_then(Node::connection) {
            connection.authenticate_at_ns = Some(at_ns);
        }
    }

    pub(super) fn now_of_login(&self) -> Now {
        let wall = Duration::from_millis(u64::try_from(self.driver.wall_ms()).unwrap_or(0));
        Now { wall, random: [self.driver.random(), self.driver.random()] }
    }

    /// Broker and client do not accept each other: everything ends here.
    pub(super) fn refuse(&mut self, error: AuthenticationError) {
        let reason = error.to_string();
        self.refusal.get_or_insert(error);
        let connected: Vec<NodeId> = self.nodes.iter().filter(|(_, node)| !node.is_idle()).map(|(id, _)| *id).collect();
        connected.into_iter().for_each(|id| self.close(id, &reason));
    }

    /// Received bytes that end the connection: for good, where it was not open yet and the peer is a wrong one.
    pub(super) fn on_broken(&mut self, id: NodeId, broken: Broken, first_bytes: &[u8]) {
        let Some(node) = self.nodes.get(&id) else { return };
        let (host, port, is_open) = (node.host.clone(), node.port, node.is_open());
        match broken {
            Broken::Frame(_) if !is_open && tls_errors::looks_like_tls(first_bytes) => {
                self.refuse(tls_errors::spoken_to_in_plaintext(&host, port));
            }
            Broken::Tls(error) if !is_open => self.refuse(tls_errors::handshake_failed(&error, &host, port)),
            Broken::Tls(error) => self.close(id, &error.to_string()),
            Broken::Frame(error) => self.close(id, &error.to_string()),
            Broken::Closed => self.close(id, "the broker closed the TLS session"),
        }
    }

    /// What an end of the stream means, by how far the connection was. Where nothing was said it may be a load balancer
    /// whose broker is not up yet: that is tried again, as Java does, for as long as the caller waits.
    pub(super) fn on_end(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get(&id) else { return };
        let State::Connected(connection) = &node.state else { return };
        let reason = match (&connection.phase, self.tls.is_some()) {
            (Phase::Versions, true) => {
                "the broker closed the connection during the TLS handshake: is it a PLAINTEXT or SASL_PLAINTEXT listener (security.protocol), or is there a firewall in between, or no broker yet?"
            }
            (Phase::Versions, false) => {
                "the broker closed the connection before it answered the first request: is it an SSL or SASL_SSL listener (security.protocol), or is there no broker yet?"
            }
            (Phase::Open, _) if self.login.is_none() && connection.answers == 0 => return self.on_turned_away(id),
            (Phase::Open, _) => "the broker closed the connection",
            _ => "the broker closed the connection during authentication",
        };
        self.close(id, reason);
    }

    /// The broker said which versions it has and did not take the first request.
    fn on_turned_away(&mut self, id: NodeId) {
        let reason =
            "the broker closed the connection at the first request: is it a SASL listener (security.protocol)?";
        self.turned_away += 1;
        if self.stats.answers == 0 && self.turned_away >= TURNED_AWAY_MAX {
            let times = format!("{reason} ({TURNED_AWAY_MAX} times, and no request was ever answered)");
            return self.refuse(AuthenticationError::sasl(times));
        }
        self.close(id, reason);
    }

    /// TLS has no more numbers for records: this connection ends, the next begins anew.
    pub(super) fn on_seal_error(&mut self, id: NodeId, error: &rustls::Error) {
        self.close(id, &ClientError::Corrupt(format!("TLS cannot seal a request: {error}")).to_string());
    }
}
