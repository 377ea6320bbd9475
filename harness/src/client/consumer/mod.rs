//! The consumer: positions and groups on one side, the network on the other, one thread.
//!
//! ```text
//!   poll --> records there? --yes--> heartbeat if due, next fetches out, then records to the sink
//!              | no
//!              '--> turn: metadata, group, positions, fetches  -- until something comes or the time is over
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | `mod.rs` | opening, polling, closing |
//! | `subscribe.rs` | topics, patterns, partitions; what the group gives and takes |
//! | `offsets.rs` | seeks, positions, commits, questions about offsets |
//! | `answers.rs` | what the network brought |
//!
//! There is no thread beside the caller's. A caller that polls in a loop keeps its heartbeats, whether records wait or
//! not; one that works for long between two polls (or within a sink) calls [`Consumer::keep_alive`] at least every
//! `heartbeat.interval.ms`: it does what Java's heartbeat thread does, `max.poll.interval.ms` included.

mod answers;
mod offsets;
mod subscribe;

pub use offsets::OffsetAndTimestamp;

use std::collections::BTreeMap;
use std::time::Duration;

use regex::Regex;
use ringlog_io::Driver;
use ringlog_wire::ApiKey;

use super::accumulator::nanos;
use super::config::ConsumerConfig;
use super::fetcher::{FETCH_BY_ID, Fetcher, Question, broker_error};
use super::group::{Around, Ask, CommitId, Group, NO_CONSUMER_PROTOCOL};
use super::metadata::Metadata;
use super::network::{Network, NetworkStats, VERSION_ANY};
use super::tally::Tally;
use super::{ClientError, NodeId, RecordSink};

/// The longest that one wait takes.
const WAIT_MAX: Duration = Duration::from_millis(500);
/// How long `close` waits for the last commit and the farewell.
const CLOSE_WAIT: Duration = Duration::from_secs(5);
/// OffsetForLeaderEpoch before this version wants rights that a consumer has not.
const CHECK_VERSION_MIN: i16 = 3;

/// What the consumer counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConsumerStats {
    /// Records given out.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Fetches answered.
    pub fetches: u64,
    /// Bytes of record data in the answers, as sent.
    pub fetched_bytes: u64,
    /// The most of one answer.
    pub fetched_bytes_max: u64,
    /// Sum of the times from a fetch to its answer, in nanoseconds.
    pub fetch_ns_sum: u64,
    /// The longest of them.
    pub fetch_ns_max: u64,
    /// Answers that asked us to hold back, in milliseconds.
    pub throttle_ms_sum: u64,
    /// The longest of them.
    pub throttle_ms_max: u64,
}

/// Hears why a broker could not be reached.
type Listener = Box<dyn FnMut(&str) + Send>;

/// See the module's picture.
pub struct Consumer {
    config: ConsumerConfig,
    network: Network,
    metadata: Metadata,
    fetcher: Fetcher,
    group: Option<Group>,
    /// Topics are subscribed to that match; with the metadata version that was matched last.
    pattern: Option<(Regex, u64)>,
    /// What the caller asked about offsets, and its number.
    question: Option<(u64, Question)>,
    questions: u64,
    commits_done: BTreeMap<CommitId, Result<(), ClientError>>,
    fatal: Option<ClientError>,
    last_down: Option<String>,
    /// Why a broker could not be reached, until somebody asks.
    unreachable: Option<String>,
    /// Who wants to hear of it at once, also while a call waits.
    on_unreachable: Option<Listener>,
    opened_ns: u64,
    stats: ConsumerStats,
}

impl Consumer {
    /// Makes a consumer. Nothing is connected yet.
    pub fn open(config: ConsumerConfig, driver: Box<dyn Driver>) -> Result<Self, ClientError> {
        let opened_ns = driver.read().0;
        Ok(Self {
            network: Network::new(driver, &config.common)?,
            metadata: Metadata::new(&config.common, config.common.allow_auto_create_topics),
            fetcher: Fetcher::new(&config),
            group: None,
            pattern: None,
            question: None,
            questions: 0,
            commits_done: BTreeMap::new(),
            fatal: None,
            last_down: None,
            unreachable: None,
            on_unreachable: None,
            opened_ns,
            stats: ConsumerStats::default(),
            config,
        })
    }

    /// The driver, for its clock and counters.
    pub fn driver(&mut self) -> &mut dyn Driver {
        self.network.driver()
    }

    /// The settings that it runs with.
    pub fn config(&self) -> &ConsumerConfig {
        &self.config
    }

    /// What was counted so far.
    pub fn stats(&self) -> ConsumerStats {
        self.stats
    }

    /// What the network counted so far.
    pub fn network_stats(&self) -> NetworkStats {
        self.network.stats()
    }

    /// What the network counted by broker and by API.
    pub fn tally(&self) -> &Tally {
        self.network.tally()
    }

    /// Time since it was opened.
    pub fn elapsed_ns(&self) -> u64 {
        self.network.now_ns().saturating_sub(self.opened_ns)
    }

    /// Records between the positions and the ends of our partitions, as far as the answers said.
    pub fn lag(&self) -> i64 {
        self.fetcher.lag()
    }

    /// Why the last connection ended or could not be made.
    pub fn last_disconnect(&self) -> Option<&str> {
        self.last_down.as_deref()
    }

    /// Whom to tell at once of a broker that cannot be reached, also while a call waits for it.
    pub fn on_unreachable(&mut self, told: impl FnMut(&str) + Send + 'static) {
        self.on_unreachable = Some(Box::new(told));
    }

    /// Why a broker could not be reached, or turned us away, since this was asked last. It is tried again.
    pub fn take_unreachable(&mut self) -> Option<String> {
        self.unreachable.take()
    }

    /// Waits for records, at most `timeout`, and gives at most `max.poll.records` of them to the sink. The next fetch
    /// goes out before the records are looked at. Gives their number.
    pub fn poll(&mut self, timeout: Duration, sink: &mut impl RecordSink) -> Result<usize, ClientError> {
        let now_ns = self.now_ns();
        let deadline_ns = now_ns.saturating_add(nanos(timeout));
        if let Some(group) = &mut self.group {
            group.on_poll(now_ns);
        }
        loop {
            self.apply_changes(sink);
            if self.fetcher.has_records() {
                self.work_if_due()?;
                self.apply_changes(sink);
                let records = if self.may_give() { self.give(sink)? } else { 0 };
                if records > 0 {
                    return Ok(records);
                }
            }
            if !self.wait_turn(deadline_ns)? {
                self.apply_changes(sink);
                return Ok(0);
            }
        }
    }

    /// Does what cannot wait for the next poll: the heartbeat, if one is due; nothing is given out. Cheap where nothing
    /// is due or awaited (one reading of the clock). After `max.poll.interval.ms` without a poll it leaves the group, as Java's
    /// heartbeat thread does.
    pub fn keep_alive(&mut self) -> Result<(), ClientError> {
        let now_ns = self.now_ns();
        let Some(group) = &self.group else { return Ok(()) };
        // The next heartbeat is due only when the one before it was answered, and nobody else reads the answer.
        let is_awaited = group.coordinator().is_some_and(|node| self.network.in_flight(node) > 0);
        if is_awaited || group.is_due(now_ns) {
            self.work_group(now_ns, false)?;
            self.turn(Duration::ZERO)?;
        }
        Ok(())
    }

    /// Commits what was given out (where `enable.auto.commit` says so), leaves the group, disconnects.
    pub fn close(mut self) -> Result<(), ClientError> {
        if self.group.is_some() {
            self.leave()?;
        }
        self.network.close_all();
        Ok(())
    }

    fn now_ns(&mut self) -> u64 {
        self.network.driver().read().0
    }

    fn may_give(&self) -> bool {
        self.group.as_ref().is_none_or(|group| !group.is_giving_back() && !group.has_changes())
    }

    fn give(&mut self, sink: &mut impl RecordSink) -> Result<usize, ClientError> {
        let records_max = self.config.max_poll_records;
        let ahead = self.fetcher.take_ahead(records_max);
        let mut more_max = records_max;
        if !ahead.is_empty() {
            let now_ns = self.network.now_ns();
            let outcome = self.work(now_ns).and_then(|()| self.turn(Duration::ZERO));
            // What was taken ahead is given out in any case: its positions count as read.
            if let Err(error) = outcome {
                self.fatal.get_or_insert(error);
            }
            // What was not taken ahead is not in a commit that a rebalance began meanwhile.
            more_max = if self.may_give() { records_max } else { 0 };
        }
        let given = self.fetcher.give(ahead, more_max, sink)?;
        self.stats.records += given.records as u64;
        self.stats.bytes += given.bytes;
        Ok(given.records)
    }

    /// Sends the last commit and the farewell and waits for their answers.
    fn leave(&mut self) -> Result<(), ClientError> {
        let now_ns = self.now_ns();
        let Some(mut group) = self.group.take() else { return Ok(()) };
        let Some(node) = group.coordinator().filter(|node| self.network.is_ready(*node)) else { return Ok(()) };
        let mut around = Around { now_ns, metadata: &mut self.metadata, fetcher: &self.fetcher, polls: true };
        for ask in group.last_commits(&mut around).into_iter().chain(group.leave()) {
            send_ask(&mut self.network, node, &ask, Duration::ZERO)?;
        }
        let deadline_ns = self.now_ns().saturating_add(nanos(CLOSE_WAIT));
        while self.network.in_flight(node) > 0 && self.now_ns() < deadline_ns {
            self.turn(WAIT_MAX)?;
        }
        Ok(())
    }

    /// A heartbeat or a commit must not wait until there are no more records.
    fn work_if_due(&mut self) -> Result<(), ClientError> {
        let now_ns = self.network.now_ns().max(self.network.driver().read().0);
        if self.group.as_ref().is_some_and(|group| group.is_due(now_ns)) {
            self.work_group(now_ns, true)?;
            self.turn(Duration::ZERO)?;
        }
        Ok(())
    }

    /// One turn that waits for an event, not beyond the deadline. False once the deadline has passed.
    fn wait_turn(&mut self, deadline_ns: u64) -> Result<bool, ClientError> {
        let now_ns = self.now_ns();
        self.work(now_ns)?;
        if now_ns >= deadline_ns {
            self.turn(Duration::ZERO)?;
            return Ok(false);
        }
        if self.group.as_ref().is_some_and(Group::has_changes) {
            self.turn(Duration::ZERO)?;
            return Ok(true);
        }
        let group = self.group.as_ref().and_then(Group::next_deadline_ns);
        let attempt = self.network.next_attempt_ns(now_ns);
        let due = [self.metadata.due_ns(), self.fetcher.next_deadline_ns(now_ns), group, attempt];
        let next_ns = due.into_iter().flatten().filter(|due| *due > now_ns).min().unwrap_or(u64::MAX);
        let timeout = Duration::from_nanos(next_ns.min(deadline_ns) - now_ns);
        self.turn(timeout.min(WAIT_MAX))?;
        Ok(true)
    }

    fn turn(&mut self, timeout: Duration) -> Result<(), ClientError> {
        let events = self.network.turn(Some(timeout))?;
        let now_ns = self.network.now_ns();
        for event in events {
            if let Err(error) = self.on_event(event, now_ns) {
                self.fatal.get_or_insert(error);
            }
        }
        match (self.fatal.take(), self.network.refusal()) {
            (Some(error), _) => Err(error),
            (None, Some(refusal)) => Err(ClientError::Authentication(refusal.clone())),
            (None, None) => Ok(()),
        }
    }

    /// Sends whatever is due.
    fn work(&mut self, now_ns: u64) -> Result<(), ClientError> {
        if self.metadata.due_ns().is_some_and(|due| due <= now_ns)
            && let Some(node) = self.network.any_node()
            && self.network.is_ready(node)
        {
            let request = self.metadata.request(now_ns);
            self.network.send(node, &request, Vec::new(), 0)?;
        }
        self.work_group(now_ns, true)?;
        self.fetcher.note_leaders(&self.metadata);
        for node in self.fetcher.nodes(&self.metadata) {
            self.work_node(node, now_ns)?;
        }
        self.work_question(now_ns)
    }

    fn work_group(&mut self, now_ns: u64, polls: bool) -> Result<(), ClientError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        let Some(node) = group.coordinator().or_else(|| self.network.any_node()) else { return Ok(()) };
        if !self.network.is_ready(node) {
            return Ok(());
        }
        let join_timeout = group.join_timeout();
        let (metadata, fetcher) = (&mut self.metadata, &self.fetcher);
        let mut around = Around { now_ns, metadata, fetcher, polls };
        while let Some(ask) = group.next(&mut around)? {
            send_ask(&mut self.network, node, &ask, join_timeout)?;
        }
        Ok(())
    }

    fn work_node(&mut self, node: NodeId, now_ns: u64) -> Result<(), ClientError> {
        if !self.fetcher.has_work(node, &self.metadata, now_ns) || !self.network.is_ready(node) {
            return Ok(());
        }
        let wall_ms = self.network.driver().wall_ms();
        if let Some(request) = self.fetcher.lookup_request(node, &self.metadata, (now_ns, wall_ms))? {
            self.network.send(node, &request, Vec::new(), 0)?;
        }
        if self.fetcher.wants_check(node, &self.metadata, now_ns) {
            self.check_positions(node, now_ns)?;
        }
        if let Some((request, by_id)) = self.fetcher.request(node, &self.metadata, now_ns) {
            let version_max = if by_id { VERSION_ANY } else { FETCH_BY_ID - 1 };
            self.network.send_with(node, &request, Vec::new(), (0, true, version_max))?;
        }
        Ok(())
    }

    fn check_positions(&mut self, node: NodeId, now_ns: u64) -> Result<(), ClientError> {
        let version = self.network.version(node, ApiKey::OffsetForLeaderEpoch).ok();
        if version.is_none_or(|version| version < CHECK_VERSION_MIN) {
            self.fetcher.skip_checks(node, &self.metadata, now_ns);
            return Ok(());
        }
        match self.fetcher.check_request(node, &self.metadata, now_ns) {
            Some(request) => self.network.send(node, &request, Vec::new(), 0),
            None => Ok(()),
        }
    }

    fn work_question(&mut self, now_ns: u64) -> Result<(), ClientError> {
        let Some((tag, question)) = &mut self.question else { return Ok(()) };
        let topics: Vec<String> = question.topics().cloned().collect();
        topics.iter().for_each(|topic| self.metadata.use_topic(topic));
        for node in self.metadata.leader_nodes() {
            if topics.is_empty() || !self.network.is_ready(node) {
                continue;
            }
            let request = self.fetcher.question_request(question, node, &self.metadata, now_ns);
            if let Some(request) = request {
                self.network.send(node, &request, Vec::new(), *tag)?;
            }
        }
        Ok(())
    }
}

fn send_ask(network: &mut Network, node: NodeId, ask: &Ask, join_timeout: Duration) -> Result<(), ClientError> {
    match ask {
        Ask::FindCoordinator(request) => network.send(node, request, Vec::new(), 0),
        Ask::Join(request) => network.send_patient(node, request, join_timeout, 0),
        Ask::Sync(request) => network.send(node, request, Vec::new(), 0),
        Ask::Heartbeat(request) => network.send(node, request, Vec::new(), 0),
        Ask::Leave(request) => network.send(node, request, Vec::new(), 0),
        Ask::Positions(request, tag) => network.send(node, request, Vec::new(), *tag),
        Ask::Commit(request, tag) => network.send(node, request, Vec::new(), *tag),
        Ask::Modern(request) => {
            let has_regex = request.subscribed_topic_regex.is_some();
            match network.version(node, ApiKey::ConsumerGroupHeartbeat) {
                Err(ClientError::NoApi { .. }) => Err(no_protocol(&request.group_id, NO_CONSUMER_PROTOCOL)),
                Ok(0) if has_regex => Err(no_protocol(&request.group_id, NO_REGEX)),
                _ => network.send(node, request, Vec::new(), 0),
            }
        }
    }
}

/// ConsumerGroupHeartbeatRequest.REGEX_RESOLUTION_NOT_SUPPORTED_MSG.
const NO_REGEX: &str = "The cluster does not support regular expressions resolution on ConsumerGroupHeartbeat API version 0. It must be upgraded to use ConsumerGroupHeartbeat API version >= 1 to allow to subscribe to a SubscriptionPattern.";

fn no_protocol(group: &str, text: &str) -> ClientError {
    broker_error(format!("group {group}: the heartbeat"), ringlog_wire::ErrorCode::UNSUPPORTED_VERSION, Some(text))
}
