//! One client's connection, as the simulation's clients use it: requests out, as many at once as they like, replies in.
//!
//! It holds the first promise of a broker: every request is answered once, in order, by a frame that decodes. What breaks it
//! is a [`Violation`].

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};

use ringlog_io::{Driver, Event, Nanos, Slice, Socket, SocketOptions, Token};
use ringlog_wire::codec::{Reader, Writer};
use ringlog_wire::header::{RequestHeader, ResponseHeader};
use ringlog_wire::{ApiKey, Message, Request};

use super::Violation;

/// What a token is for: its two lowest bits.
const CONNECT: u64 = 0;
const RECEIVE: u64 = 1;
const SEND: u64 = 2;

/// The client that a token belongs to.
pub(super) fn client_of(token: Token) -> usize {
    (token >> 40) as usize
}

/// A request that was sent, and what its sender keeps beside it.
#[derive(Debug)]
pub(super) struct Flight<A> {
    correlation_id: i32,
    api: ApiKey,
    version: i16,
    pub(super) sent_at: Nanos,
    pub(super) ask: A,
}

/// What came of a connection.
#[derive(Debug)]
pub(super) enum Heard<A> {
    /// An answer.
    Reply(Flight<A>, Vec<u8>),
    /// The connection is gone; these have no answer.
    Lost(Vec<Flight<A>>),
}

impl<A> Flight<A> {
    /// The body of the answer.
    pub(super) fn read<R: Request>(&self, frame: &[u8]) -> Result<R::Response, Violation> {
        let mut reader = Reader::new(frame);
        let wrong = |error| Violation(format!("the answer of {} v{}: {error}", self.api.name(), self.version));
        ResponseHeader::decode(&mut reader, self.api, self.version).map_err(wrong)?;
        let body = R::Response::decode(&mut reader, self.version).map_err(wrong)?;
        reader.finish().map_err(wrong)?;
        Ok(body)
    }
}

#[derive(Debug)]
enum State {
    Closed,
    Connecting,
    Open(Socket),
}

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Line<A> {
    client: usize,
    /// Tells this connection from the client's earlier ones.
    pub(super) generation: u64,
    state: State,
    pub(super) port: u16,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    is_sending: bool,
    flights: VecDeque<Flight<A>>,
    next_correlation: i32,
    /// When the last answer came: the requests behind it are handled from then on.
    answered_at: Nanos,
}

impl<A> Line<A> {
    pub(super) fn new(client: usize) -> Self {
        Self {
            client,
            generation: 0,
            state: State::Closed,
            port: 0,
            inbox: Vec::new(),
            outbox: Vec::new(),
            is_sending: false,
            flights: VecDeque::new(),
            next_correlation: 0,
            answered_at: Nanos(0),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Whether what was asked so far waits for the connection to take it.
    pub(super) fn is_sending(&self) -> bool {
        self.is_sending
    }

    /// Requests without an answer yet.
    pub(super) fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// The socket, and since when the oldest request without an answer is the one to be handled.
    pub(super) fn oldest(&self) -> Option<(Socket, Nanos)> {
        match (&self.state, self.flights.front()) {
            (State::Open(socket), Some(flight)) => Some((*socket, flight.sent_at.max(self.answered_at))),
            _ => None,
        }
    }

    fn token(&self, kind: u64) -> Token {
        (self.client as u64) << 40 | (self.generation & 0xff_ffff_ffff >> 2) << 2 | kind
    }

    /// Connects to a port; what was open is closed. Gives what has no answer.
    pub(super) fn connect(&mut self, driver: &mut dyn Driver, port: u16) -> Vec<Flight<A>> {
        let lost = self.close(driver);
        self.port = port;
        self.state = State::Connecting;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        driver.connect(address, SocketOptions::default(), self.token(CONNECT));
        lost
    }

    /// Closes. Gives what has no answer.
    pub(super) fn close(&mut self, driver: &mut dyn Driver) -> Vec<Flight<A>> {
        if let State::Open(socket) = std::mem::replace(&mut self.state, State::Closed) {
            driver.close(socket);
        }
        self.generation += 1;
        self.inbox.clear();
        self.outbox.clear();
        self.is_sending = false;
        self.flights.drain(..).collect()
    }

    /// Puts a request into the next send. `ask` comes back with its answer; without one (acks=0) there is none.
    pub(super) fn ask<R: Request>(
        &mut self,
        now: Nanos,
        version: i16,
        request: &R,
        records: &[u8],
        ask: Option<A>,
    ) -> Result<(), Violation> {
        let mut writer = Writer::new();
        let wrong = |error| Violation(format!("{} v{version} of the simulation's client: {error}", R::NAME));
        let header = RequestHeader::new(R::KEY, version, self.next_correlation, Some("sim".to_owned()));
        header.encode(&mut writer).map_err(wrong)?;
        request.encode(&mut writer, version).map_err(wrong)?;
        let (head, tail) = writer.bytes.split_at(writer.cuts.first().copied().unwrap_or(writer.bytes.len()));
        let len = (head.len() + records.len() + tail.len()) as i32;
        self.outbox.extend_from_slice(&len.to_be_bytes());
        for part in [head, records, tail] {
            self.outbox.extend_from_slice(part);
        }
        if let Some(ask) = ask {
            let correlation_id = self.next_correlation;
            self.flights.push_back(Flight { correlation_id, api: R::KEY, version, sent_at: now, ask });
        }
        self.next_correlation += 1;
        Ok(())
    }

    /// Sends what was asked, in one write.
    pub(super) fn flush(&mut self, driver: &mut dyn Driver) {
        let State::Open(socket) = self.state else { return };
        if self.is_sending || self.outbox.is_empty() {
            return;
        }
        self.is_sending = true;
        let parts = vec![Slice::from(std::mem::take(&mut self.outbox))];
        driver.send(socket, parts, self.token(SEND));
    }

    /// Takes an event of this client.
    pub(super) fn handle(&mut self, driver: &mut dyn Driver, event: Event) -> Result<Vec<Heard<A>>, Violation> {
        match event {
            Event::Connected { token, result } if token == self.token(CONNECT) => match result {
                Ok(socket) => {
                    self.state = State::Open(socket);
                    driver.recv(socket, self.token(RECEIVE));
                    Ok(Vec::new())
                }
                Err(_) => Ok(vec![Heard::Lost(self.close(driver))]),
            },
            // A connection that we gave up before it was open.
            Event::Connected { result: Ok(socket), .. } => {
                driver.close(socket);
                Ok(Vec::new())
            }
            Event::Received { token, result } if token == self.token(RECEIVE) => match result {
                Ok(chunk) if !chunk.is_empty() => {
                    self.inbox.extend_from_slice(&chunk);
                    if let State::Open(socket) = self.state {
                        driver.recv(socket, self.token(RECEIVE));
                    }
                    let heard = self.replies()?;
                    if !heard.is_empty() {
                        self.answered_at = driver.now();
                    }
                    Ok(heard)
                }
                Ok(_) | Err(_) => Ok(vec![Heard::Lost(self.close(driver))]),
            },
            Event::Sent { token, result } if token == self.token(SEND) => {
                self.is_sending = false;
                if result.is_err() {
                    return Ok(vec![Heard::Lost(self.close(driver))]);
                }
                self.flush(driver);
                Ok(Vec::new())
            }
            _ => Ok(Vec::new()),
        }
    }

    fn replies(&mut self) -> Result<Vec<Heard<A>>, Violation> {
        let mut heard = Vec::new();
        let mut at = 0;
        while let Some(prefix) = self.inbox[at..].first_chunk::<4>() {
            let len = i32::from_be_bytes(*prefix);
            let len = usize::try_from(len).map_err(|_| Violation(format!("an answer of {len} bytes")))?;
            let Some(frame) = self.inbox.get(at + 4..at + 4 + len) else { break };
            let Some(flight) = self.flights.pop_front() else {
                return Err(Violation(format!("an answer of {len} bytes that nobody asked for")));
            };
            let came = frame.first_chunk::<4>().map(|id| i32::from_be_bytes(*id));
            if came != Some(flight.correlation_id) {
                let (api, wanted) = (flight.api.name(), flight.correlation_id);
                return Err(Violation(format!("{api} with correlation id {wanted} was next, {came:?} was answered")));
            }
            heard.push(Heard::Reply(flight, frame.to_vec()));
            at += 4 + len;
        }
        self.inbox.drain(..at);
        Ok(heard)
    }
}
