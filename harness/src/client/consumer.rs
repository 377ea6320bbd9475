//! The consumer: positions and groups on one side, the network on the other, one thread.
//!
//! ```text
//!   poll --> records there? --yes--> next fetches out, then records to the sink
//!              | no
//!              '--> turn: metadata, group, positions, fetches  -- until something comes or the time is over
//! ```
//!
//! Everything moves within `poll`: between two calls no heartbeat is sent, so poll more often than
//! `session.timeout.ms`.

use std::time::Duration;

use ringlog_io::{Driver, Slice};
use ringlog_wire::messages::fetch::FetchResponse;
use ringlog_wire::messages::find_coordinator::FindCoordinatorResponse;
use ringlog_wire::messages::heartbeat::HeartbeatResponse;
use ringlog_wire::messages::join_group::JoinGroupResponse;
use ringlog_wire::messages::list_offsets::ListOffsetsResponse;
use ringlog_wire::messages::metadata::MetadataResponse;
use ringlog_wire::messages::offset_commit::OffsetCommitResponse;
use ringlog_wire::messages::offset_fetch::OffsetFetchResponse;
use ringlog_wire::messages::sync_group::SyncGroupResponse;
use ringlog_wire::{ApiKey, ErrorCode};

use super::accumulator::nanos;
use super::config::ConsumerConfig;
use super::fetcher::{FETCH_BY_ID, Fetcher, TopicPartition, broker_error};
use super::group::{Ask, Change, Group};
use super::metadata::Metadata;
use super::network::{NetEvent, Network, NetworkStats, VERSION_ANY};
use super::producer::decode;
use super::tally::Tally;
use super::{ClientError, NodeId, RecordSink};

/// The longest that one wait takes.
const WAIT_MAX: Duration = Duration::from_millis(500);
/// How long `close` waits for the last commit and the farewell.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

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

/// See the module's picture.
pub struct Consumer {
    config: ConsumerConfig,
    network: Network,
    metadata: Metadata,
    fetcher: Fetcher,
    group: Option<Group>,
    fatal: Option<ClientError>,
    last_down: Option<String>,
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
            fatal: None,
            last_down: None,
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

    /// Joins the group of `group.id` for these topics, with the next polls.
    pub fn subscribe(&mut self, topics: &[&str]) -> Result<(), ClientError> {
        let Some(id) = self.config.group_id.clone() else {
            return Err(ClientError::Corrupt(
                "To use the group management or offset commit APIs, you must provide a valid group.id in the consumer configuration.".into(),
            ));
        };
        topics.iter().for_each(|topic| self.metadata.use_topic(topic));
        self.fetcher.assign(&[]);
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        self.group = Some(Group::new(&id, topics, &self.config));
        Ok(())
    }

    /// Reads all partitions of a topic, without a group, from where `auto.offset.reset` says. Waits for the metadata,
    /// at most `default.api.timeout.ms`. Gives the number of partitions.
    pub fn assign_all(&mut self, topic: &str) -> Result<usize, ClientError> {
        let count = self.partition_count(topic)?;
        let all = (0..count).filter_map(|partition| i32::try_from(partition).ok());
        let all: Vec<TopicPartition> = all.map(|partition| (topic.to_owned(), partition)).collect();
        self.group = None;
        self.fetcher.assign(&all);
        Ok(count)
    }

    /// Reads these partitions, without a group, each from its offset, or from where `auto.offset.reset` says.
    pub fn assign(&mut self, partitions: &[(&str, i32, Option<i64>)]) {
        self.group = None;
        let names: Vec<TopicPartition> =
            partitions.iter().map(|(topic, partition, _)| ((*topic).to_owned(), *partition)).collect();
        names.iter().for_each(|(topic, _)| self.metadata.use_topic(topic));
        self.fetcher.assign(&names);
        for (name, (.., offset)) in names.iter().zip(partitions) {
            offset.iter().for_each(|offset| self.fetcher.seek(name, *offset));
        }
    }

    /// How many partitions a topic has. Waits for the metadata, at most `default.api.timeout.ms`.
    pub fn partition_count(&mut self, topic: &str) -> Result<usize, ClientError> {
        self.metadata.use_topic(topic);
        let timeout = self.config.default_api_timeout;
        let deadline_ns = self.network.driver().read().0.saturating_add(nanos(timeout));
        loop {
            if let Some(layout) = self.metadata.layout(topic).filter(|layout| !layout.leaders.is_empty()) {
                return Ok(layout.leaders.len());
            }
            self.metadata.want_update();
            if !self.wait_turn(deadline_ns)? {
                let reason = self.last_down.as_deref().unwrap_or("the topic does not exist");
                let what = format!("fetching topic metadata of {topic} ({reason})");
                return Err(ClientError::Timeout { what, waited_ms: timeout.as_millis() });
            }
        }
    }

    /// The names of the cluster's topics. Waits for the metadata, at most `default.api.timeout.ms`.
    pub fn topic_names(&mut self) -> Result<Vec<String>, ClientError> {
        let timeout = self.config.default_api_timeout;
        let start_ns = self.network.driver().read().0;
        self.metadata.want_all(true);
        while self.metadata.updated_ns().is_none_or(|updated| updated <= start_ns) {
            if !self.wait_turn(start_ns.saturating_add(nanos(timeout)))? {
                let reason = self.last_down.as_deref().unwrap_or("no answer");
                let what = format!("fetching the list of topics ({reason})");
                return Err(ClientError::Timeout { what, waited_ms: timeout.as_millis() });
            }
        }
        let names = self.metadata.names();
        self.metadata.want_all(false);
        Ok(names)
    }

    /// Looks up every position that is not known yet (where `auto.offset.reset` says to begin), so that records that
    /// are written from now on are read. False where that took longer than `timeout`.
    pub fn settle_positions(&mut self, timeout: Duration) -> Result<bool, ClientError> {
        let deadline_ns = self.network.driver().read().0.saturating_add(nanos(timeout));
        while !self.fetcher.has_positions() {
            if !self.wait_turn(deadline_ns)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The offset after the last record that was given out, per partition where one is known.
    pub fn positions(&self) -> Vec<(TopicPartition, i64)> {
        self.fetcher.positions()
    }

    /// Waits for records, at most `timeout`, and gives at most `max.poll.records` of them to the sink. The next fetch
    /// goes out before the records are looked at. Gives their number.
    pub fn poll(&mut self, timeout: Duration, sink: &mut impl RecordSink) -> Result<usize, ClientError> {
        let deadline_ns = self.network.driver().read().0.saturating_add(nanos(timeout));
        loop {
            self.apply_changes(sink);
            if self.fetcher.has_records() && !self.group.as_ref().is_some_and(Group::is_leaving) {
                let records = self.give(sink)?;
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

    fn give(&mut self, sink: &mut impl RecordSink) -> Result<usize, ClientError> {
        let records_max = self.config.max_poll_records;
        let ahead = self.fetcher.take_ahead(records_max);
        if !ahead.is_empty() {
            let now_ns = self.network.now_ns();
            self.work(now_ns)?;
            self.turn(Duration::ZERO)?;
        }
        let given = self.fetcher.give(ahead, records_max, sink)?;
        self.stats.records += given.records as u64;
        self.stats.bytes += given.bytes;
        Ok(given.records)
    }

    /// Commits what was given out (where `enable.auto.commit` says so), leaves the group, disconnects.
    pub fn close(mut self) -> Result<(), ClientError> {
        if self.group.is_some() {
            self.leave()?;
        }
        self.network.close_all();
        Ok(())
    }

    fn leave(&mut self) -> Result<(), ClientError> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let Some(node) = group.coordinator().filter(|node| self.network.is_ready(*node)) else { return Ok(()) };
        if let Some(commit) = self.config.auto_commit.and_then(|_| group.commit(&self.fetcher.positions())) {
            self.network.send(node, &commit, Vec::new(), 0)?;
        }
        if let Some(leave) = group.leave() {
            self.network.send(node, &leave, Vec::new(), 0)?;
        }
        let deadline_ns = self.network.driver().read().0.saturating_add(nanos(CLOSE_WAIT));
        while self.network.in_flight(node) > 0 && self.network.driver().read().0 < deadline_ns {
            self.turn(WAIT_MAX.min(CLOSE_WAIT))?;
        }
        Ok(())
    }

    fn apply_changes(&mut self, sink: &mut impl RecordSink) {
        let now_ns = self.network.now_ns();
        let Some(group) = &mut self.group else { return };
        for change in group.take_changes() {
            match change {
                Change::Revoked => {
                    let ours: Vec<TopicPartition> = self.fetcher.assigned().cloned().collect();
                    sink.revoked(&ours, now_ns);
                    self.fetcher.assign(&[]);
                }
                Change::Assigned(partitions) => {
                    self.fetcher.hold(&partitions);
                    sink.assigned(&partitions, now_ns);
                }
                Change::Positions(committed) => {
                    self.fetcher.release();
                    committed.iter().for_each(|(partition, offset)| self.fetcher.seek(partition, *offset));
                }
            }
        }
    }

    /// One turn that waits for an event, not beyond the deadline. False once the deadline has passed.
    fn wait_turn(&mut self, deadline_ns: u64) -> Result<bool, ClientError> {
        let now_ns = self.network.driver().read().0;
        self.work(now_ns)?;
        if now_ns >= deadline_ns {
            self.turn(Duration::ZERO)?;
            return Ok(false);
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
        self.work_group(now_ns)?;
        let nodes: Vec<NodeId> = self.metadata.leader_nodes();
        for node in nodes {
            self.work_node(node, now_ns)?;
        }
        Ok(())
    }

    fn work_group(&mut self, now_ns: u64) -> Result<(), ClientError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        let Some(node) = group.coordinator().or_else(|| self.network.any_node()) else { return Ok(()) };
        if !self.network.is_ready(node) {
            return Ok(());
        }
        let (metadata, fetcher) = (&self.metadata, &self.fetcher);
        let counts = |topic: &str| metadata.layout(topic).map_or(0, |layout| layout.leaders.len());
        while let Some(ask) = group.next(now_ns, &counts, &|| fetcher.positions()) {
            match ask {
                Ask::FindCoordinator(request) => self.network.send(node, &request, Vec::new(), 0)?,
                Ask::Join(request) => self.network.send_patient(node, &request, group.join_timeout(), 0)?,
                Ask::Sync(request) => self.network.send(node, &request, Vec::new(), 0)?,
                Ask::Positions(request) => self.network.send(node, &request, Vec::new(), 0)?,
                Ask::Commit(request) => self.network.send(node, &request, Vec::new(), 0)?,
                Ask::Heartbeat(request) => self.network.send(node, &request, Vec::new(), 0)?,
            }
        }
        Ok(())
    }

    fn work_node(&mut self, node: NodeId, now_ns: u64) -> Result<(), ClientError> {
        if !self.fetcher.has_work(node, &self.metadata, now_ns) || !self.network.is_ready(node) {
            return Ok(());
        }
        if let Some(request) = self.fetcher.reset_request(node, &self.metadata, now_ns)? {
            self.network.send(node, &request, Vec::new(), 0)?;
        }
        if let Some((request, by_id)) = self.fetcher.request(node, &self.metadata, now_ns) {
            let version_max = if by_id { VERSION_ANY } else { FETCH_BY_ID - 1 };
            self.network.send_with(node, &request, Vec::new(), (0, true, version_max))?;
        }
        Ok(())
    }

    fn on_event(&mut self, event: NetEvent, now_ns: u64) -> Result<(), ClientError> {
        match event {
            NetEvent::Up => Ok(()),
            NetEvent::Down { reason } => {
                if !reason.is_empty() {
                    self.last_down = Some(reason);
                }
                self.metadata.want_update();
                Ok(())
            }
            NetEvent::Lost { node, api, .. } => {
                self.on_lost(node, api, now_ns);
                Ok(())
            }
            NetEvent::Answer { node, api, version, body, took_ns, .. } => {
                self.on_answer((node, took_ns), api, version, &body, now_ns)
            }
        }
    }

    fn on_lost(&mut self, node: NodeId, api: ApiKey, now_ns: u64) {
        self.metadata.want_update();
        match api {
            ApiKey::Metadata => self.metadata.failed(),
            ApiKey::Fetch => self.fetcher.lost(node),
            ApiKey::ListOffsets => self.fetcher.reset_lost(now_ns),
            ApiKey::LeaveGroup => {}
            api => {
                if let Some(group) = &mut self.group {
                    group.lost(api == ApiKey::Heartbeat, api == ApiKey::OffsetCommit, now_ns);
                }
            }
        }
    }

    fn on_answer(
        &mut self,
        (node, took_ns): (NodeId, u64),
        api: ApiKey,
        version: i16,
        body: &Slice,
        now_ns: u64,
    ) -> Result<(), ClientError> {
        match api {
            ApiKey::Metadata => self.on_metadata(&decode(body, version)?, now_ns),
            ApiKey::Fetch => self.on_fetched((node, took_ns), decode(body, version)?, body, now_ns),
            ApiKey::ListOffsets => {
                let response: ListOffsetsResponse = decode(body, version)?;
                let outcome = self.fetcher.reset_response(&response, now_ns)?;
                if outcome.stale_metadata {
                    self.metadata.want_update();
                }
                Ok(())
            }
            _ => self.on_group_answer(api, version, body, now_ns),
        }
    }

    fn on_metadata(&mut self, response: &MetadataResponse, now_ns: u64) -> Result<(), ClientError> {
        for broker in &response.brokers {
            if let Ok(port) = u16::try_from(broker.port) {
                self.network.set_node(broker.node_id, &broker.host, port);
            }
        }
        self.metadata.update(response, now_ns);
        let refused = response.topics.iter().find(|topic| {
            let error = ErrorCode(topic.error_code);
            error == ErrorCode::TOPIC_AUTHORIZATION_FAILED || error == ErrorCode::INVALID_TOPIC_EXCEPTION
        });
        match refused {
            None => Ok(()),
            Some(topic) => {
                let what = format!("topic {}", topic.name.as_deref().unwrap_or_default());
                Err(broker_error(what, ErrorCode(topic.error_code), None))
            }
        }
    }

    fn on_fetched(
        &mut self,
        (node, took_ns): (NodeId, u64),
        response: FetchResponse,
        body: &Slice,
        now_ns: u64,
    ) -> Result<(), ClientError> {
        let throttle_ms = u64::try_from(response.throttle_time_ms).unwrap_or(0);
        let outcome = self.fetcher.response(node, response, body, &self.metadata, now_ns)?;
        self.stats.fetches += 1;
        self.stats.fetched_bytes += outcome.bytes;
        self.stats.fetched_bytes_max = self.stats.fetched_bytes_max.max(outcome.bytes);
        self.stats.fetch_ns_sum += took_ns;
        self.stats.fetch_ns_max = self.stats.fetch_ns_max.max(took_ns);
        self.stats.throttle_ms_sum += throttle_ms;
        self.stats.throttle_ms_max = self.stats.throttle_ms_max.max(throttle_ms);
        if outcome.stale_metadata {
            self.metadata.want_update();
        }
        Ok(())
    }

    fn on_group_answer(&mut self, api: ApiKey, version: i16, body: &[u8], now_ns: u64) -> Result<(), ClientError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        let metadata = &self.metadata;
        let counts = |topic: &str| metadata.layout(topic).map_or(0, |layout| layout.leaders.len());
        match api {
            ApiKey::FindCoordinator => {
                let response: FindCoordinatorResponse = decode(body, version)?;
                if let Some((node, host, port)) = group.on_coordinator(&response, now_ns)?
                    && let Ok(port) = u16::try_from(port)
                {
                    self.network.set_node(node, &host, port);
                }
                Ok(())
            }
            ApiKey::JoinGroup => group.on_join(&decode::<JoinGroupResponse>(body, version)?, &counts, now_ns),
            ApiKey::SyncGroup => group.on_sync(&decode::<SyncGroupResponse>(body, version)?, now_ns),
            ApiKey::OffsetFetch => group.on_positions(&decode::<OffsetFetchResponse>(body, version)?, now_ns),
            ApiKey::Heartbeat => {
                let response: HeartbeatResponse = decode(body, version)?;
                group.on_heartbeat(ErrorCode(response.error_code), now_ns)
            }
            ApiKey::OffsetCommit => {
                group.on_commit(&decode::<OffsetCommitResponse>(body, version)?);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
