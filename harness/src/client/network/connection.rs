//! A connection: a socket, what goes out over it, and what comes in, in plaintext or through TLS.
//!
//! ```text
//!                      plaintext                                TLS
//!   out   outbox --parts as they lie--> socket      outbox --sealed into one buffer--> socket
//!   in    socket --> Receiver: slices, exact        socket --> TlsSession --> FrameBuilder
//! ```

use std::collections::VecDeque;

use ringlog_io::{Buf, Driver, Slice, Socket};

use super::super::ClientError;
use super::super::receive::{FrameBuilder, Next, Receiver};
use super::super::security::sasl::Exchange;
use super::super::security::tls::TlsSession;
use super::super::versions::Versions;
use super::in_flight::InFlight;
use super::{ASKED_RECV, ASKED_SEND, token};

/// How far a connection is. Only an open one takes requests from above.
///
/// ```text
///   Versions --> Mechanism --> Tokens --> Open
///       '------- without SASL -----------^ '--> Mechanism, when the session is over (KIP-368)
/// ```
pub(super) enum Phase {
    /// ApiVersions is asked (and TLS shakes hands before that).
    Versions,
    /// SaslHandshake is asked.
    Mechanism,
    /// SaslAuthenticate is asked.
    Tokens(Exchange),
    /// Requests may be sent.
    Open,
}

pub(super) struct Connection {
    pub(super) socket: Socket,
    pub(super) serial: u64,
    pub(super) phase: Phase,
    pub(super) versions: Versions,
    /// From then on the broker wants to be told anew who we are.
    pub(super) authenticate_at_ns: Option<u64>,
    /// Requests given to the outbox, to the send under way, and to the socket, so far.
    pub(super) queued: u64,
    pub(super) sending: Option<u64>,
    pub(super) sent: u64,
    pub(super) outbox: Vec<Slice>,
    pub(super) in_flight: VecDeque<InFlight>,
    /// Requests from above that were answered.
    pub(super) answers: u64,
    pub(super) channel: Channel,
}

/// What lies between socket and frames.
pub(super) enum Channel {
    Plain(Receiver),
    Tls(Box<TlsSession>, FrameBuilder),
}

/// Why received bytes end a connection.
pub(super) enum Broken {
    /// Frames that are none.
    Frame(ClientError),
    /// Records that are none, or a peer that is not the one we want.
    Tls(rustls::Error),
    /// The peer ended the TLS session.
    Closed,
}

impl Connection {
    pub(super) fn new(socket: Socket, serial: u64, tls: Option<TlsSession>) -> Self {
        let channel = match tls {
            None => Channel::Plain(Receiver::default()),
            Some(session) => Channel::Tls(Box::new(session), FrameBuilder::default()),
        };
        Self {
            socket,
            serial,
            phase: Phase::Versions,
            versions: Versions::default(),
            authenticate_at_ns: None,
            queued: 0,
            sending: None,
            sent: 0,
            outbox: Vec::new(),
            in_flight: VecDeque::new(),
            answers: 0,
            channel,
        }
    }

    /// Hands to the driver what is due, one send at a time. Sealing fails where TLS has no more numbers for records.
    pub(super) fn push_out(&mut self, driver: &mut dyn Driver) -> Result<(), rustls::Error> {
        if self.sending.is_some() {
            return Ok(());
        }
        let parts = match &mut self.channel {
            Channel::Plain(_) if self.outbox.is_empty() => return Ok(()),
            Channel::Plain(_) => std::mem::take(&mut self.outbox),
            Channel::Tls(session, _) => {
                let ready = if session.is_established() { std::mem::take(&mut self.outbox) } else { Vec::new() };
                if ready.is_empty() && !session.has_pending() {
                    return Ok(());
                }
                let mut out = driver.buffer(session.sealed_len_max(&ready));
                session.seal(&ready, out.vec())?;
                // While the handshake goes on the outbox waits: none of its requests is on its way.
                self.sending = Some(if self.outbox.is_empty() { self.queued } else { self.sent });
                driver.send(self.socket, vec![Slice::new(out)], token(self.serial, ASKED_SEND));
                return Ok(());
            }
        };
        self.sending = Some(self.queued);
        driver.send(self.socket, parts, token(self.serial, ASKED_SEND));
        Ok(())
    }

    /// Takes received bytes, appends the frames that are whole, and asks for more.
    pub(super) fn receive(&mut self, buf: Buf, frames: &mut Vec<Slice>, driver: &mut dyn Driver) -> Result<(), Broken> {
        let asked = token(self.serial, ASKED_RECV);
        match &mut self.channel {
            Channel::Plain(receiver) => {
                match receiver.take(buf, frames, &mut |len| driver.buffer(len)).map_err(Broken::Frame)? {
                    Next::Any => driver.recv(self.socket, asked),
                    Next::Exact(buf, len) => driver.recv_exact(self.socket, buf, len, asked),
                }
                Ok(())
            }
            Channel::Tls(session, builder) => {
                open_records(session, builder, buf, frames, driver)?;
                driver.recv(self.socket, asked);
                Ok(())
            }
        }
    }
}

fn open_records(
    session: &mut TlsSession,
    builder: &mut FrameBuilder,
    mut buf: Buf,
    frames: &mut Vec<Slice>,
    driver: &mut dyn Driver,
) -> Result<(), Broken> {
    let mut framed = Ok(());
    let mut plain = |bytes: &[u8]| {
        if framed.is_ok() {
            framed = builder.take(bytes, frames, &mut |len| driver.buffer(len));
        }
    };
    session.receive(&mut buf, &mut plain).map_err(Broken::Tls)?;
    framed.map_err(Broken::Frame)?;
    // What came before the end counts: its frames are in the list, and the socket's own end follows.
    if session.is_closed_by_peer() && frames.is_empty() { Err(Broken::Closed) } else { Ok(()) }
}
