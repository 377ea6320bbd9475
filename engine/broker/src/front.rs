//! The front of a shard: its connections. Bytes become requests, answers leave in the order of their requests.
//!
//! ```text
//!   Received, Filled -> Connection -> next_request -> (handler) -> deliver -> Connection -> transfer -> Send, SendFile
//!        ^                                                                                                    |
//!        +----------------------------------- Submissions <-- out --------------------------------------------+
//! ```
//! Invariants: at most one receive and one send are under way on a connection; a place whose connection was closed is used
//! again under another generation, so that what comes late for the old one finds nobody; no connection has more of a turn
//! than its [`Share`], so that who comes after it waits for a share of each other and not for all that they ask.

mod incoming;
mod outgoing;
mod patience;
mod share;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use ringlog_io::{Buf, Buffers, Files, Nanos, Slice, Socket, Token};

use self::share::Share;
use crate::broker::ReplyTo;
use crate::connection::{Answered, Connection};
use crate::holdings::{Frame, Holdings};
use crate::limits::Budget;
use crate::metrics::meter::Meter;
use crate::settings::Settings;
use crate::submission::{Submission, Submissions};
use crate::tokens;

/// One client: its socket, and the state of its conversation.
struct Client {
    socket: Socket,
    /// Tells this connection from an earlier one in the same place.
    generation: u32,
    host: Arc<str>,
    by_reference: bool,
    /// Bytes that had moved at the last look.
    moved_bytes: u64,
    connection: Connection,
    /// What it had of the turn.
    share: Share,
    /// What `holdings` counts for it: answers, and a large frame.
    answer_bytes: usize,
    frame: Frame,
    /// It is not read until there is room for its frame, of which so much is here.
    awaits_frame_room: bool,
    beginning: Option<(Buf, usize)>,
    /// It is held back: nothing of it is handled before.
    muted_until: Nanos,
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
    turn: u64,
    now: Nanos,
    /// Connections that are held back, by the time until then: place and generation.
    muted: BTreeSet<(Nanos, u32, u32)>,
    /// Sockets that are no connections, by the time at which they are closed and a number.
    turned_away: BTreeMap<(Nanos, u32), Socket>,
    /// Connections that had their share of the turn and have requests left.
    next_turn: Vec<u32>,
    /// Connections whose produce waits until the shard has the memory for it.
    awaiting_produce: Vec<u32>,
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
    /// Bytes that moved are being counted: who has stopped is closed.
    looks_at_holders: bool,
    /// Requests that were answered in this step.
    answered: Vec<Answered>,
    meter: Arc<Meter>,
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
            turn: 0,
            now: Nanos(0),
            muted: BTreeSet::new(),
            turned_away: BTreeMap::new(),
            next_turn: Vec::new(),
            awaiting_produce: Vec::new(),
            touched: Vec::new(),
            holding: Vec::new(),
            closed: Vec::new(),
            holdings,
            frames_released: false,
            looks_at_holders: false,
            answered: Vec::new(),
            meter: Arc::default(),
            out: Submissions::new(),
        }
    }

    /// The settings as they are now.
    pub(crate) fn take_settings(&mut self, settings: &Arc<Settings>) {
        self.settings = Arc::clone(settings);
    }

    /// Counts into this meter from now on.
    pub(crate) fn attach(&mut self, meter: Arc<Meter>) {
        self.meter = meter;
    }

    /// The step ended: what it answered is with the kernel.
    pub(crate) fn step_ended(&mut self, now: Nanos) {
        for Answered { api, version, since_ns } in self.answered.drain(..) {
            self.meter.answered(api, version, now.0.saturating_sub(since_ns));
        }
    }

    /// How many connections are open.
    pub(crate) fn len(&self) -> usize {
        self.clients.len() - self.free.len()
    }

    /// A turn begins. Gives the connections that had their share of the last one and have requests left, and those that are
    /// held back no more.
    pub(crate) fn begin_turn(&mut self, now: Nanos, takes_produces: bool) -> Vec<u32> {
        self.turn += 1;
        self.now = now;
        let mut places = std::mem::take(&mut self.next_turn);
        if takes_produces {
            places.append(&mut self.awaiting_produce);
        }
        while let Some(entry) = self.turned_away.first_entry().filter(|entry| entry.key().0 <= now) {
            let socket = entry.remove();
            self.out.push(Submission::Close { socket });
        }
        while let Some((_, place, generation)) = self.muted.first().copied().filter(|(until, ..)| *until <= now) {
            self.muted.pop_first();
            let client = self.clients[place as usize].as_mut().filter(|client| client.generation == generation);
            if let Some(client) = client.filter(|client| !client.connection.receiving) {
                client.connection.last_active_ns = now.0;
                places.push(place);
            }
        }
        places.sort_unstable();
        places.dedup();
        places
    }

    /// When the first connection is held back no more, or the first socket that was turned away is closed.
    pub(crate) fn next_unmuted(&self) -> Option<Nanos> {
        let muted = self.muted.first().map(|(until, ..)| *until);
        let turned_away = self.turned_away.keys().next().map(|(until, _)| *until);
        muted.into_iter().chain(turned_away).min()
    }

    /// Whether requests are left for the next turn, whatever else comes: `takes_produces` is [`Broker::takes_produces`].
    ///
    /// [`Broker::takes_produces`]: crate::broker::Broker::takes_produces
    pub(crate) fn goes_on(&self, takes_produces: bool) -> bool {
        !self.next_turn.is_empty() || (takes_produces && !self.awaiting_produce.is_empty())
    }

    // --- arriving and leaving ----------------------------------------------------------------------------------------

    /// A connection arrived, or could not be accepted.
    pub(crate) fn accepted(&mut self, result: io::Result<(Socket, SocketAddr)>, wait_ms: u32, now: Nanos) {
        let (socket, peer) = match result {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                return;
            }
        };
        let open = self.len() + self.turned_away.len();
        // What it may be was shared out at the start: a limit that is raised while the broker runs gives no more than that.
        let limit = self.budget.connections.min(self.settings.max_connections());
        if open >= limit {
            tracing::warn!(%peer, limit, "a connection over the limit was closed (max.connections, descriptors or memory: see the start)");
            self.out.push(Submission::Close { socket });
            return;
        }
        if wait_ms > 0 {
            tracing::debug!(%peer, wait_ms, "a connection above its address's connection_creation_rate is closed");
            self.turned_away.insert((Nanos(now.0 + u64::from(wait_ms) * 1_000_000), self.next_generation), socket);
            self.next_generation = self.next_generation.wrapping_add(1);
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
            share: Share::default(),
            answer_bytes: 0,
            frame: Frame::None,
            awaits_frame_room: false,
            beginning: None,
            muted_until: Nanos(0),
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
    pub(crate) fn held_bytes(&self) -> (usize, usize) {
        self.holdings.bytes()
    }

    /// Closes every connection.
    pub(crate) fn close_all(&mut self) {
        let turned_away = std::mem::take(&mut self.turned_away);
        self.out.extend(turned_away.into_values().map(|socket| Submission::Close { socket }));
        for place in 0..self.clients.len() as u32 {
            self.close(place);
        }
    }
}
