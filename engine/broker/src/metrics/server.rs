//! The thread that answers HTTP: a driver of its own, so that no shard ever waits for who watches it.
//!
//! ```text
//!   Reading --the head is here--> Asking --all shards answered, or ANSWER_NS--> Leaving --the peer ends, *--> closed
//!      |  HEAD_NS, CONNECTIONS_MAX, HEAD_BYTES_MAX                                 ^
//!      +-- refused ----------------------------------------------------------------+
//!   * SEND_NS for what it does not take, LEAVE_NS where it took all and stays
//! ```
//! A question to the shards answers all who wait. While the broker starts or stops nobody is asked: what is known is told.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use ringlog_io::usage::usage;
use ringlog_io::{Choice, Driver, DriverOptions, Event, Nanos, Slice, Socket, SocketOptions, Token, driver};

use super::board::{Board, Stage};
use super::facts::Facts;
use super::http::{self, Answer, Asked, HEAD_BYTES_MAX, Path};
use super::page::{self, ShardSight, Sight};
use super::residency::{Log, Residency};
use super::window::Window;
use crate::settings::Settings;

/// Connections beyond this are closed at once.
const CONNECTIONS_MAX: usize = 64;
/// How long a head may take, an answer of the shards, a peer that does not take its answer, and one that has it and does not end.
const HEAD_NS: u64 = 5_000_000_000;
const ANSWER_NS: u64 = 2_000_000_000;
const SEND_NS: u64 = 10_000_000_000;
const LEAVE_NS: u64 = 2_000_000_000;
/// A step of a shard that lasts longer is a shard that is stuck: /healthz says so.
pub(crate) const STUCK_NS: u64 = 10_000_000_000;
/// Shards are asked so often at most.
const ASK_EVERY_NS: u64 = 50_000_000;

const ACCEPT: Token = 0;
const RECEIVE_BUFFERS: u16 = 8;

/// How far a conversation is.
enum State {
    /// Its head is on the way.
    Reading(Vec<u8>),
    /// The shards are being asked, from this question on.
    Asking { asked: Asked, question: u64 },
    /// It was answered.
    Leaving,
}

/// One connection.
struct Peer {
    socket: Socket,
    state: State,
    /// When it is closed, or answered with what is known.
    deadline: Nanos,
}

/// See the head of the file.
struct Server {
    driver: Box<dyn Driver>,
    settings: Arc<Settings>,
    board: Arc<Board>,
    descriptors_max: usize,
    peers: BTreeMap<Token, Peer>,
    next: Token,
    /// The last question, and when it was asked.
    question: u64,
    asked_at: Nanos,
    /// What each shard last said.
    said: Vec<Option<Facts>>,
    window: Window,
    residency: Residency,
}

/// Listens at `address` and answers on a thread of its own until the process ends. Gives the port.
pub(crate) fn start(
    address: SocketAddr,
    settings: &Arc<Settings>,
    board: &Arc<Board>,
    descriptors_max: usize,
) -> Result<SocketAddr, String> {
    let (settings, board) = (Arc::clone(settings), Arc::clone(board));
    let (said, hear) = channel();
    thread::Builder::new()
        .name("metrics".to_owned())
        .spawn(move || live(address, settings, board, descriptors_max, &said))
        .map_err(|error| format!("a thread could not be started: {error}"))?;
    hear.recv().map_err(|_| "the thread for metrics ended".to_owned())?
}

fn live(
    address: SocketAddr,
    settings: Arc<Settings>,
    board: Arc<Board>,
    descriptors_max: usize,
    said: &Sender<Result<SocketAddr, String>>,
) {
    let mut server = match Server::open(address, settings, board, descriptors_max) {
        Ok((server, bound)) => {
            // Main waits for it.
            drop(said.send(Ok(bound)));
            server
        }
        Err(error) => return drop(said.send(Err(error))),
    };
    if let Err(error) = server.run() {
        tracing::error!(%error, "metrics are not served any more");
    }
}

impl Server {
    fn open(
        address: SocketAddr,
        settings: Arc<Settings>,
        board: Arc<Board>,
        descriptors_max: usize,
    ) -> Result<(Self, SocketAddr), String> {
        // A shard's io_uring is worth its buffers; a page a few times a minute is not.
        let options = DriverOptions {
            choice: Choice::Epoll,
            receive_buffers: RECEIVE_BUFFERS,
            receive_buffer_bytes: HEAD_BYTES_MAX,
            kept_buffer_bytes: 0,
            ..DriverOptions::default()
        };
        let mut driver = driver::open(options).map_err(|error| format!("the driver for metrics: {error}"))?;
        let refused = |error: io::Error| {
            format!(
                "--metrics-listen: cannot listen on {address}: {error}; stop what listens there, or choose another address"
            )
        };
        let listener = driver.listen(address).map_err(refused)?;
        let bound = driver.local_address(listener).map_err(|error| error.to_string())?;
        let waker = driver.waker().map_err(|error| format!("a waker could not be made: {error}"))?;
        board.meters().iter().for_each(|meter| meter.answer_to(waker.clone()));
        driver.accept(listener, SocketOptions::default(), ACCEPT);
        let said = board.meters().iter().map(|_| None).collect();
        let server = Self {
            driver,
            settings,
            board,
            descriptors_max,
            peers: BTreeMap::new(),
            next: ACCEPT + 1,
            question: 0,
            asked_at: Nanos(0),
            said,
            window: Window::default(),
            residency: Residency::default(),
        };
        Ok((server, bound))
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events = Vec::new();
        loop {
            self.window.read(self.board.meters().iter().map(Arc::as_ref), self.driver.read());
            let first = self.next_deadline();
            let patience = Duration::from_nanos(first.0.saturating_sub(self.driver.read().0));
            self.driver.wait(Some(patience), &mut events)?;
            events.drain(..).for_each(|event| self.take(event));
            self.go_on();
        }
    }

    fn next_deadline(&self) -> Nanos {
        let peers = self.peers.values().map(|peer| peer.deadline);
        let ask = self.is_asking_due().then(|| Nanos(self.asked_at.0 + ASK_EVERY_NS));
        peers.chain(ask).fold(self.window.next(), Nanos::min)
    }

    /// Whether somebody waits for a question that was not asked yet.
    fn is_asking_due(&self) -> bool {
        let waits = |peer: &Peer| matches!(peer.state, State::Asking { question, .. } if question > self.question);
        self.peers.values().any(waits)
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Accepted { result: Ok((socket, _)), .. } => self.accepted(socket),
            Event::Received { token, result } => self.received(token, result.ok().filter(|buf| !buf.is_empty())),
            Event::Sent { token, result } => self.sent(token, result.is_ok()),
            // Shards that answered are looked at in any case; what else comes is of nobody.
            _ => {}
        }
    }

    fn accepted(&mut self, socket: Socket) {
        if self.peers.len() >= CONNECTIONS_MAX {
            return self.driver.close(socket);
        }
        let token = self.next;
        self.next += 1;
        let deadline = self.after(HEAD_NS);
        self.peers.insert(token, Peer { socket, state: State::Reading(Vec::new()), deadline });
        self.driver.recv(socket, token);
    }

    fn after(&self, ns: u64) -> Nanos {
        Nanos(self.driver.now().0 + ns)
    }

    fn received(&mut self, token: Token, bytes: Option<ringlog_io::Buf>) {
        let Some(peer) = self.peers.get_mut(&token) else { return };
        let Some(bytes) = bytes else { return self.close(token) };
        match &mut peer.state {
            State::Reading(head) => {
                head.extend_from_slice(&bytes);
                match http::parse(head) {
                    None => self.driver.recv(peer.socket, token),
                    Some(Ok(asked)) => self.asked(token, asked),
                    Some(Err(answer)) => self.answer(token, answer, false),
                }
            }
            // What comes behind a head is read so that the answer is not lost with it.
            State::Leaving => self.driver.recv(peer.socket, token),
            State::Asking { .. } => {}
        }
    }

    /// The shards are asked, once for all who wait.
    fn asked(&mut self, token: Token, asked: Asked) {
        let (question, deadline) = (self.question + 1, self.after(ANSWER_NS));
        if let Some(peer) = self.peers.get_mut(&token) {
            (peer.state, peer.deadline) = (State::Asking { asked, question }, deadline);
        }
    }

    /// Asks the shards where somebody waits for it, answers who has what was asked for, and closes whose time is over.
    fn go_on(&mut self) {
        let now = self.driver.now();
        if self.is_asking_due() && now.0 >= self.asked_at.0 + ASK_EVERY_NS {
            (self.question, self.asked_at) = (self.question + 1, now);
            if self.board.stage() == Stage::Serving {
                self.board.ask(self.question);
            }
        }
        let answered = self.board.stage() != Stage::Serving || self.board.all_answered(self.question);
        let is_due = |peer: &Peer| peer.deadline <= now;
        let ready: Vec<(Token, Option<Asked>)> = self
            .peers
            .iter()
            .filter_map(|(token, peer)| match peer.state {
                State::Asking { asked, question } if question <= self.question && answered || is_due(peer) => {
                    Some((*token, Some(asked)))
                }
                State::Reading(_) | State::Leaving if is_due(peer) => Some((*token, None)),
                _ => None,
            })
            .collect();
        if ready.iter().any(|(_, asked)| asked.is_some()) {
            self.hear();
        }
        // One page for all who wait for it.
        let mut page = None;
        for (token, asked) in ready {
            match asked {
                None => self.close(token),
                Some(Asked { path: Path::Metrics, is_head }) => {
                    let text: &String = page.get_or_insert_with(|| self.page());
                    let answer = Answer::page(text.clone());
                    self.answer(token, answer, is_head);
                }
                Some(Asked { path: Path::Healthz, is_head }) => {
                    let answer = Answer::health(&unhealthy(&self.board, now));
                    self.answer(token, answer, is_head);
                }
                Some(Asked { path: Path::Readyz, is_head }) => {
                    let answer = Answer::health(&self.unready(now));
                    self.answer(token, answer, is_head);
                }
            }
        }
    }

    /// Takes what shards said.
    fn hear(&mut self) {
        for (said, meter) in self.said.iter_mut().zip(self.board.meters()) {
            if let Some(facts) = meter.take_facts() {
                *said = Some(facts);
            }
        }
    }

    fn page(&mut self) -> String {
        self.look_at_logs();
        let answers: Vec<bool> =
            self.board.meters().iter().map(|meter| meter.last_answered() >= self.question).collect();
        let shards = self.board.meters().iter().zip(&self.said).zip(answers);
        let sight = Sight {
            settings: &self.settings,
            shards: shards
                .map(|((meter, said), answers)| ShardSight { meter, facts: said.as_ref(), answers })
                .collect(),
            window: &self.window,
            residency: &self.residency,
            usage: usage(),
            descriptors_max: self.descriptors_max,
            broker_state: self.board.stage() as u8,
            io: self.board.io(),
        };
        page::write(&sight)
    }

    fn look_at_logs(&mut self) {
        let logs = self.said.iter().flatten().flat_map(|facts| {
            let name = |one: &super::facts::PartitionFacts| {
                Some((Arc::clone(&facts.image.topic_by_id(one.key.topic_id)?.name), one.key.partition))
            };
            facts.partitions.iter().filter_map(name)
        });
        let mut logs: Vec<Log> = logs.collect();
        logs.sort_unstable();
        self.residency.look(self.settings.log_dir(), &logs);
    }

    fn unready(&self, now: Nanos) -> Vec<String> {
        match self.board.stage() {
            Stage::Starting => return vec!["the broker starts: logs are being opened".to_owned()],
            Stage::Stopping => return vec!["the broker stops".to_owned()],
            Stage::Serving => {}
        }
        let mut reasons = unhealthy(&self.board, now);
        for (shard, (meter, said)) in self.board.meters().iter().zip(&self.said).enumerate() {
            match said {
                Some(facts) if meter.last_answered() >= self.question => {
                    reasons.extend(facts.not_ready.0.iter().map(|reason| format!("shard {shard}: {reason}")));
                }
                _ => reasons.push(format!("shard {shard} did not answer within {} s", ANSWER_NS / 1_000_000_000)),
            }
        }
        reasons
    }

    fn answer(&mut self, token: Token, answer: Answer, is_head: bool) {
        let deadline = self.after(SEND_NS);
        let Some(peer) = self.peers.get_mut(&token) else { return };
        (peer.state, peer.deadline) = (State::Leaving, deadline);
        self.driver.send(peer.socket, vec![Slice::from(answer.into_bytes(is_head))], token);
    }

    /// The answer is in the socket: the peer reads it and ends, as it was told to.
    fn sent(&mut self, token: Token, is_well: bool) {
        let deadline = self.after(LEAVE_NS);
        match self.peers.get_mut(&token) {
            Some(peer) if is_well => {
                peer.deadline = deadline;
                self.driver.recv(peer.socket, token);
            }
            _ => self.close(token),
        }
    }

    fn close(&mut self, token: Token) {
        if let Some(peer) = self.peers.remove(&token) {
            self.driver.close(peer.socket);
        }
    }
}

/// Shards whose thread does not come back.
fn unhealthy(board: &Board, now: Nanos) -> Vec<String> {
    let stuck = board.meters().iter().enumerate().filter_map(|(shard, meter)| {
        let ns = meter.busy_for(now);
        (ns > STUCK_NS).then(|| format!("shard {shard} is stuck in a step since {} s", ns / 1_000_000_000))
    });
    stuck.collect()
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
