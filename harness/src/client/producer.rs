//! The producer: the accumulator's queues on one side, the network on the other, one thread.
//!
//! ```text
//!   send ---> accumulator ---drain(node)---> ProduceRequest ---> network
//!     ^            ^                                                |
//!     '- no room:  '---- done | refused <---- answer | lost <-------'
//!        turn                   |
//!                               '--> sink.delivered | sink.failed
//! ```
//!
//! The network is looked at whenever a batch may go out, and at least every `TURN_NS` while records keep coming: an
//! acknowledgement is seen no later than that, whatever the load.

use std::collections::BTreeMap;
use std::time::Duration;

use ringlog_io::{Driver, Slice};
use ringlog_wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use ringlog_wire::messages::metadata::MetadataResponse;
use ringlog_wire::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceData,
    TopicProduceResponse,
};
use ringlog_wire::{ApiKey, ErrorCode, Message, Reader, Records, Uuid};

use super::accumulator::{Accumulator, Appended, Limits, Refusal, SentBatch, nanos};
use super::batch::RecordBytes;
use super::config::{Acks, ConfigError, ProducerConfig};
use super::metadata::Metadata;
use super::network::{NetEvent, Network, NetworkStats, VERSION_ANY};
use super::{ClientError, Delivered, DeliverySink, Failed, Mark, NewRecord, NodeId, RecordHeader, SendError, Topic};

/// While records keep coming the network is looked at no later than this after the last time.
const TURN_NS: u64 = 50_000;
/// Queues are searched for batches that are over their time this often.
const EXPIRY_CHECK_NS: u64 = 50_000_000;
/// The longest that one wait takes, so that what has no event (a name that resolves again) is seen.
const WAIT_MAX: Duration = Duration::from_millis(500);
/// The first version of Produce that names topics by id.
const PRODUCE_BY_ID: i16 = 13;

/// What the producer counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProducerStats {
    /// Records acknowledged.
    pub records: u64,
    /// Records given up.
    pub failed_records: u64,
    /// Records of batches that went out again.
    pub retried_records: u64,
    /// Batches acknowledged.
    pub batches: u64,
    /// Bytes of those batches as sent.
    pub batch_bytes: u64,
    /// Bytes of those batches before compression.
    pub raw_batch_bytes: u64,
    /// The largest batch in bytes as sent.
    pub batch_bytes_max: u64,
    /// Bytes of keys and values that went into batches that were sent.
    pub payload_bytes: u64,
    /// Produce requests sent.
    pub produce_requests: u64,
    /// Records in them.
    pub produce_request_records: u64,
    /// Sum over batches of the time from the first record to the first send, in nanoseconds.
    pub queue_ns_sum: u64,
    /// The longest of them.
    pub queue_ns_max: u64,
    /// Batches that were sent for the first time.
    pub batches_sent: u64,
    /// Time that `send` waited for buffer memory, in nanoseconds.
    pub memory_wait_ns: u64,
    /// Time that `send` waited for metadata, in nanoseconds.
    pub metadata_wait_ns: u64,
    /// Answers that asked us to hold back, in milliseconds, and the most of one.
    pub throttle_ms_sum: u64,
    /// The longest of them.
    pub throttle_ms_max: u64,
    /// Errors of the broker that were tried again, by attempts.
    pub retries: u64,
}

/// See the module's picture.
pub struct Producer<S> {
    config: ProducerConfig,
    network: Network,
    metadata: Metadata,
    accumulator: Accumulator,
    sink: S,
    sent: BTreeMap<u64, Vec<SentBatch>>,
    tag_next: u64,
    identity_asked: bool,
    identity_retry_at_ns: u64,
    identity_attempts: u32,
    fatal: Option<ClientError>,
    opened_ns: u64,
    last_turn_ns: u64,
    expiry_checked_ns: u64,
    wall_base: (i64, u64),
    last_down: Option<String>,
    stats: ProducerStats,
}

impl<S: DeliverySink> Producer<S> {
    /// Makes a producer. Nothing is connected yet: an unreachable broker shows when records are sent.
    pub fn open(config: ProducerConfig, driver: Box<dyn Driver>, sink: S) -> Result<Self, ClientError> {
        if let Some(value) = config.transactional_id.clone() {
            let instead = "leave it out";
            return Err(ConfigError::NotSupported { name: "transactional.id", value, instead }.into());
        }
        let (seed, opened_ns) = (driver.random(), driver.read().0);
        let wall_base = (driver.wall_ms(), driver.now().0);
        let network = Network::new(driver, &config.common)?;
        Ok(Self {
            metadata: Metadata::new(&config.common, true),
            accumulator: Accumulator::new(Limits::of(&config), seed),
            config,
            network,
            sink,
            sent: BTreeMap::new(),
            tag_next: 0,
            identity_asked: false,
            identity_retry_at_ns: 0,
            identity_attempts: 0,
            fatal: None,
            opened_ns,
            last_turn_ns: 0,
            expiry_checked_ns: 0,
            wall_base,
            last_down: None,
            stats: ProducerStats::default(),
        })
    }

    /// The sink that was given.
    pub fn sink(&mut self) -> &mut S {
        &mut self.sink
    }

    /// The driver, for its clock and counters.
    pub fn driver(&mut self) -> &mut dyn Driver {
        self.network.driver()
    }

    /// What was counted so far.
    pub fn stats(&self) -> ProducerStats {
        self.stats
    }

    /// What the network counted so far.
    pub fn network_stats(&self) -> NetworkStats {
        self.network.stats()
    }

    /// `buffer.memory` that is free, in bytes.
    pub fn buffer_available_bytes(&self) -> usize {
        self.accumulator.free_bytes()
    }

    /// Seconds since the last metadata, if there was one.
    pub fn metadata_age_ns(&self) -> Option<u64> {
        self.metadata.updated_ns().map(|updated| self.network.now_ns().saturating_sub(updated))
    }

    /// The settings that it runs with.
    pub fn config(&self) -> &ProducerConfig {
        &self.config
    }

    /// Time since it was opened.
    pub fn elapsed_ns(&self) -> u64 {
        self.network.now_ns().saturating_sub(self.opened_ns)
    }

    /// Why the last connection ended or could not be made.
    pub fn last_disconnect(&self) -> Option<&str> {
        self.last_down.as_deref()
    }

    /// A topic's handle. The broker is asked for it with the next metadata.
    pub fn topic(&mut self, name: &str) -> Topic {
        self.metadata.use_topic(name);
        let topic = self.accumulator.topic(name);
        self.spread_leaders();
        topic
    }

    /// A handle's topic.
    pub fn topic_name(&self, topic: Topic) -> &str {
        self.accumulator.name(topic)
    }

    /// How many partitions a topic has. Waits for metadata, at most `max.block.ms`.
    pub fn partition_count(&mut self, topic: Topic) -> Result<usize, ClientError> {
        let max_block = self.config.max_block;
        let deadline_ns = self.network.driver().read().0.saturating_add(nanos(max_block));
        loop {
            let count = self.accumulator.partition_count(topic);
            if count > 0 {
                return Ok(count);
            }
            self.metadata.want_update();
            let goes_on = self.wait_turn(deadline_ns)?;
            if let Some(refusal) = self.network.refusal() {
                return Err(ClientError::Authentication(refusal.clone()));
            }
            if !goes_on {
                let what = format!("topic {} was present in metadata", self.accumulator.name(topic));
                return Err(ClientError::Timeout { what, waited_ms: max_block.as_millis() });
            }
        }
    }

    /// Takes a record, or reports to the sink why not. Blocks as Kafka's does: for metadata and for buffer memory, at
    /// most `max.block.ms`. An error is one after which nothing can be sent any more.
    pub fn send(&mut self, record: &NewRecord<'_>, tag: u64) -> Result<(), ClientError> {
        self.send_with(record, |_, _, _| tag)
    }

    /// As [`Self::send`]; `touch(sink, partition, value)` may change the value where it lies in the batch and gives
    /// the record's tag. It is called once, unless the record is refused.
    pub fn send_with(
        &mut self,
        record: &NewRecord<'_>,
        touch: impl FnOnce(&mut S, i32, &mut [u8]) -> u64,
    ) -> Result<(), ClientError> {
        self.send_bytes(record, &[], touch)
    }

    /// As [`Self::send`], with headers.
    pub fn send_with_headers(
        &mut self,
        record: &NewRecord<'_>,
        headers: &[RecordHeader<'_>],
        tag: u64,
    ) -> Result<(), ClientError> {
        self.send_bytes(record, headers, |_, _, _| tag)
    }

    fn send_bytes(
        &mut self,
        record: &NewRecord<'_>,
        headers: &[RecordHeader<'_>],
        touch: impl FnOnce(&mut S, i32, &mut [u8]) -> u64,
    ) -> Result<(), ClientError> {
        let timestamp_ms = self.wall_ms(record.sent_ns);
        let bytes = RecordBytes { timestamp_ms, key: record.key, value: record.value, headers };
        let mark = mark_of(record, &bytes);
        if let Some(error) = self.refused_by_broker().or_else(|| self.too_large(&bytes)) {
            self.refuse(record, mark, &error);
            return Ok(());
        }
        let mut touch = Some(touch);
        let wanted = record.partition.map(|partition| usize::try_from(partition).unwrap_or(usize::MAX));
        let mut appended = self.append((record.topic, wanted), &bytes, mark, &mut touch);
        if !matches!(appended, Appended::Taken { .. }) {
            appended = self.append_waiting((record.topic, wanted), &bytes, mark, &mut touch)?;
        }
        match appended {
            Appended::Taken { ready, .. } => {
                if ready || record.sent_ns.saturating_sub(self.last_turn_ns) > TURN_NS {
                    self.turn(Duration::ZERO)?;
                }
            }
            Appended::NoPartition => {
                let error = self.refused_by_broker().unwrap_or_else(|| self.no_partition(record.topic));
                self.refuse(record, mark, &error);
            }
            Appended::NoMemory { wanted } => {
                let error = self.refused_by_broker().unwrap_or_else(|| SendError::NoMemory {
                    wanted,
                    waited_ms: self.config.max_block.as_millis(),
                    total: self.config.buffer_memory,
                    available: self.accumulator.free_bytes(),
                    poolable: self.config.batch_size,
                });
                self.refuse(record, mark, &error);
            }
        }
        Ok(())
    }

    fn append(
        &mut self,
        to: (Topic, Option<usize>),
        bytes: &RecordBytes<'_>,
        mark: Mark,
        touch: &mut Option<impl FnOnce(&mut S, i32, &mut [u8]) -> u64>,
    ) -> Appended {
        let (driver, sink) = (self.network.driver(), &mut self.sink);
        let mut take_buffer = |len| driver.buffer(len);
        self.accumulator.append(to, bytes, mark, &mut take_buffer, |partition, value| {
            let partition = i32::try_from(partition).unwrap_or(i32::MAX);
            touch.take().map_or(0, |touch| touch(sink, partition, value))
        })
    }

    /// Tries again until it is taken or `max.block.ms` is over.
    fn append_waiting(
        &mut self,
        to: (Topic, Option<usize>),
        bytes: &RecordBytes<'_>,
        mark: Mark,
        touch: &mut Option<impl FnOnce(&mut S, i32, &mut [u8]) -> u64>,
    ) -> Result<Appended, ClientError> {
        let start_ns = self.network.driver().read().0;
        let deadline_ns = start_ns.saturating_add(nanos(self.config.max_block));
        let mut waited_ns = (0, 0);
        let mut since_ns = start_ns;
        let appended = loop {
            let appended = self.append(to, bytes, mark, touch);
            match appended {
                Appended::Taken { .. } => break appended,
                Appended::NoPartition => self.metadata.want_update(),
                Appended::NoMemory { .. } => self.accumulator.set_exhausted(true),
            }
            let goes_on = self.wait_turn(deadline_ns)?;
            self.accumulator.set_exhausted(false);
            let now_ns = self.network.now_ns().max(since_ns);
            match appended {
                Appended::NoMemory { .. } => waited_ns.0 += now_ns - since_ns,
                _ => waited_ns.1 += now_ns - since_ns,
            }
            since_ns = now_ns;
            let hopeless = self.final_error(self.accumulator.name(to.0)).is_some();
            if !goes_on || self.network.refusal().is_some() || (appended == Appended::NoPartition && hopeless) {
                break appended;
            }
        };
        self.stats.memory_wait_ns += waited_ns.0;
        self.stats.metadata_wait_ns += waited_ns.1;
        Ok(appended)
    }

    /// Broker and client do not accept each other: no record can be sent any more, and each says so.
    fn refused_by_broker(&self) -> Option<SendError> {
        self.network.refusal().cloned().map(SendError::Authentication)
    }

    fn no_partition(&self, topic: Topic) -> SendError {
        let topic = self.accumulator.name(topic).to_owned();
        match self.final_error(&topic) {
            Some(error) => SendError::Broker { code: error.0, name: error.name(), message: topic },
            None => SendError::NoMetadata { topic, waited_ms: self.config.max_block.as_millis() },
        }
    }

    /// What the broker said of a topic, where waiting will not change it.
    fn final_error(&self, topic: &str) -> Option<ErrorCode> {
        self.metadata.layout(topic)?.error.filter(|error| !error.is_retriable())
    }

    fn too_large(&self, bytes: &RecordBytes<'_>) -> Option<SendError> {
        let size = bytes.batch_len_max();
        let limit = self.config.max_request_size;
        if size > limit {
            return Some(SendError::TooLarge { size, limit });
        }
        (size > self.config.buffer_memory).then_some(SendError::LargerThanMemory { size })
    }

    fn refuse(&mut self, record: &NewRecord<'_>, mark: Mark, error: &SendError) {
        self.stats.failed_records += 1;
        let partition = record.partition.unwrap_or(-1);
        let done_ns = self.network.now_ns();
        self.sink.failed(&Failed { topic: record.topic, partition, error, done_ns, marks: &[mark] });
    }

    /// The wall clock at a time of the monotonic one.
    fn wall_ms(&self, at_ns: u64) -> i64 {
        let (wall_ms, base_ns) = self.wall_base;
        let since_ms = at_ns.saturating_sub(base_ns) / 1_000_000;
        wall_ms.saturating_add(i64::try_from(since_ms).unwrap_or(0))
    }

    /// Lets the network work, for at most `timeout`: sends what is due, takes answers.
    pub fn poll(&mut self, timeout: Duration) -> Result<(), ClientError> {
        let deadline_ns = self.network.driver().read().0.saturating_add(nanos(timeout));
        loop {
            if !self.wait_turn(deadline_ns)? {
                return Ok(());
            }
        }
    }

    /// Waits until every record that was taken is delivered or given up.
    pub fn flush(&mut self) -> Result<(), ClientError> {
        self.accumulator.set_flushing(true);
        while self.accumulator.unfinished() > 0 {
            self.wait_turn(u64::MAX)?;
        }
        self.accumulator.set_flushing(false);
        Ok(())
    }

    /// As [`Self::flush`], for at most `timeout`. False where records are left over.
    pub fn flush_for(&mut self, timeout: Duration) -> Result<bool, ClientError> {
        let deadline_ns = self.network.driver().read().0.saturating_add(nanos(timeout));
        self.accumulator.set_flushing(true);
        while self.accumulator.unfinished() > 0 && self.wait_turn(deadline_ns)? {}
        self.accumulator.set_flushing(false);
        Ok(self.accumulator.unfinished() == 0)
    }

    /// Flushes, disconnects, and gives the sink back.
    pub fn close(mut self) -> Result<S, ClientError> {
        self.flush()?;
        self.network.close_all();
        Ok(self.sink)
    }

    /// Gives up what is not delivered, disconnects, and gives the sink back.
    pub fn abort(mut self) -> S {
        self.fail_all(&SendError::Closed);
        self.network.close_all();
        self.sink
    }

    fn fail_all(&mut self, error: &SendError) {
        let queued = self.accumulator.expired(self.network.now_ns(), true);
        let sent = std::mem::take(&mut self.sent);
        for batch in queued.into_iter().chain(sent.into_values().flatten()) {
            self.report_failed(batch, error);
        }
    }

    /// One turn that waits for an event, not beyond the deadline. False once the deadline has passed.
    fn wait_turn(&mut self, deadline_ns: u64) -> Result<bool, ClientError> {
        let now_ns = self.network.driver().read().0;
        if now_ns >= deadline_ns {
            self.turn(Duration::ZERO)?;
            return Ok(false);
        }
        self.work(now_ns)?;
        let attempt = self.network.next_attempt_ns(now_ns);
        let due = [self.accumulator.next_deadline_ns(), self.metadata.due_ns(), self.identity_due_ns(), attempt];
        let next_ns = due.into_iter().flatten().filter(|due| *due > now_ns).min().unwrap_or(u64::MAX);
        let timeout = Duration::from_nanos(next_ns.min(deadline_ns) - now_ns);
        self.turn(timeout.min(WAIT_MAX))?;
        Ok(true)
    }

    fn turn(&mut self, timeout: Duration) -> Result<(), ClientError> {
        if timeout.is_zero() {
            // What is ready is handed to the driver first, so that one call both submits it and brings answers.
            self.work(self.network.now_ns())?;
        }
        let events = self.network.turn(Some(timeout))?;
        let now_ns = self.network.now_ns();
        self.last_turn_ns = now_ns;
        self.wall_base = (self.network.driver().wall_ms(), now_ns);
        if !events.is_empty() {
            events.into_iter().for_each(|event| self.on_event(event, now_ns));
            self.work(now_ns)?;
        }
        if let Some(error) = self.refused_by_broker() {
            self.fail_all(&error);
        }
        self.fatal.take().map_or(Ok(()), Err)
    }

    /// Sends whatever is due.
    fn work(&mut self, now_ns: u64) -> Result<(), ClientError> {
        if now_ns.saturating_sub(self.expiry_checked_ns) > EXPIRY_CHECK_NS {
            self.expiry_checked_ns = now_ns;
            self.expire(now_ns);
        }
        if self.metadata.due_ns().is_some_and(|due| due <= now_ns) {
            self.ask_metadata(now_ns)?;
        }
        if self.identity_due_ns().is_some_and(|due| due <= now_ns) {
            self.ask_identity()?;
        }
        let nodes: Vec<NodeId> = self.accumulator.nodes().collect();
        for node in nodes {
            while self.network.in_flight(node) < self.config.max_in_flight
                && self.accumulator.is_ready(node, now_ns)
                && self.network.is_ready(node)
                && self.drain(node, now_ns)?
            {}
        }
        Ok(())
    }

    fn expire(&mut self, now_ns: u64) {
        for batch in self.accumulator.expired(now_ns, false) {
            let error = self.expiry_of(&batch, now_ns);
            self.report_failed(batch, &error);
        }
    }

    fn expiry_of(&self, batch: &SentBatch, now_ns: u64) -> SendError {
        SendError::Expired {
            records: batch.marks.len(),
            partition: format!("{}-{}", self.accumulator.name(batch.topic), batch.partition),
            waited_ms: now_ns.saturating_sub(batch.created_ns()) / 1_000_000,
        }
    }

    fn ask_metadata(&mut self, now_ns: u64) -> Result<(), ClientError> {
        let Some(node) = self.network.any_node() else { return Ok(()) };
        if !self.network.is_ready(node) {
            return Ok(());
        }
        let request = self.metadata.request(now_ns);
        self.network.send(node, &request, Vec::new(), 0)
    }

    fn identity_due_ns(&self) -> Option<u64> {
        (self.accumulator.wants_identity() && !self.identity_asked).then_some(self.identity_retry_at_ns)
    }

    fn ask_identity(&mut self) -> Result<(), ClientError> {
        let Some(node) = self.network.any_node() else { return Ok(()) };
        if !self.network.is_ready(node) {
            return Ok(());
        }
        self.identity_asked = true;
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            ..InitProducerIdRequest::default()
        };
        self.network.send(node, &request, Vec::new(), 0)
    }

    /// Sends one request to a node. False where there was nothing to send.
    fn drain(&mut self, node: NodeId, now_ns: u64) -> Result<bool, ClientError> {
        let driver = self.network.driver();
        let batches = self.accumulator.drain(node, now_ns, &mut |len| driver.buffer(len));
        if batches.is_empty() {
            return Ok(false);
        }
        self.count_sent(&batches, now_ns);
        let (request, records, version_max) = self.produce_request(&batches);
        let tag = self.tag_next;
        self.tag_next += 1;
        self.sent.insert(tag, batches);
        let answered = self.config.acks != Acks::None;
        self.network.send_with(node, &request, records, (tag, answered, version_max))?;
        Ok(true)
    }

    fn count_sent(&mut self, batches: &[SentBatch], now_ns: u64) {
        self.stats.produce_requests += 1;
        for batch in batches {
            self.stats.produce_request_records += batch.marks.len() as u64;
            if batch.attempts() > 0 {
                self.stats.retried_records += batch.marks.len() as u64;
                continue;
            }
            let queue_ns = now_ns.saturating_sub(batch.created_ns());
            self.stats.batches_sent += 1;
            self.stats.batch_bytes += batch.bytes.len() as u64;
            self.stats.raw_batch_bytes += batch.raw_len() as u64;
            self.stats.batch_bytes_max = self.stats.batch_bytes_max.max(batch.bytes.len() as u64);
            self.stats.payload_bytes += batch.marks.iter().map(|mark| u64::from(mark.bytes)).sum::<u64>();
            self.stats.queue_ns_sum += queue_ns;
            self.stats.queue_ns_max = self.stats.queue_ns_max.max(queue_ns);
        }
    }

    /// The request, the bytes for its places, and the highest version that it can be written in.
    fn produce_request(&self, batches: &[SentBatch]) -> (ProduceRequest, Vec<Slice>, i16) {
        let mut topics: Vec<TopicProduceData> = Vec::new();
        let (mut last, mut by_id) = (None, true);
        for batch in batches {
            // The accumulator gives a topic's batches one after the other.
            if last != Some(batch.topic) {
                last = Some(batch.topic);
                let name = self.accumulator.name(batch.topic);
                let topic_id = self.metadata.layout(name).map_or(Uuid::ZERO, |layout| layout.id);
                by_id &= topic_id != Uuid::ZERO;
                topics.push(TopicProduceData { name: name.to_owned(), topic_id, ..TopicProduceData::default() });
            }
            let data = PartitionProduceData {
                index: i32::try_from(batch.partition).unwrap_or(i32::MAX),
                records: Records::Outside(batch.bytes.len()),
                ..PartitionProduceData::default()
            };
            if let Some(topic) = topics.last_mut() {
                topic.partition_data.push(data);
            }
        }
        let request = ProduceRequest {
            transactional_id: None,
            acks: self.config.acks.wire(),
            timeout_ms: i32::try_from(self.config.common.request_timeout.as_millis()).unwrap_or(i32::MAX),
            topic_data: topics,
            ..ProduceRequest::default()
        };
        let records = batches.iter().map(|batch| batch.bytes.clone()).collect();
        (request, records, if by_id { VERSION_ANY } else { PRODUCE_BY_ID - 1 })
    }

    fn on_event(&mut self, event: NetEvent, now_ns: u64) {
        match event {
            NetEvent::Up => {}
            NetEvent::Down { reason } => {
                if !reason.is_empty() {
                    self.last_down = Some(reason);
                }
                self.metadata.want_update();
            }
            NetEvent::Lost { api, tag, .. } => self.on_lost(api, tag, now_ns),
            NetEvent::Answer { api, version, tag, body, .. } => {
                let outcome = match api {
                    ApiKey::Produce => self.on_produced(version, tag, &body, now_ns),
                    ApiKey::Metadata => self.on_metadata(version, &body, now_ns),
                    ApiKey::InitProducerId => self.on_identity(version, &body, now_ns),
                    _ => Ok(()),
                };
                if let Err(error) = outcome {
                    self.fatal.get_or_insert(error);
                }
            }
        }
    }

    fn on_lost(&mut self, api: ApiKey, tag: u64, now_ns: u64) {
        self.metadata.want_update();
        match api {
            ApiKey::Metadata => self.metadata.failed(),
            ApiKey::InitProducerId => self.identity_failed(now_ns),
            _ => {
                for batch in self.sent.remove(&tag).into_iter().flatten() {
                    self.refused(batch, Refusal::Retry, &SendError::Disconnected, now_ns);
                }
            }
        }
    }

    fn on_metadata(&mut self, version: i16, body: &[u8], now_ns: u64) -> Result<(), ClientError> {
        let response: MetadataResponse = decode(body, version)?;
        for broker in &response.brokers {
            if let Ok(port) = u16::try_from(broker.port) {
                self.network.set_node(broker.node_id, &broker.host, port);
            }
        }
        self.metadata.update(&response, now_ns);
        self.spread_leaders();
        Ok(())
    }

    fn spread_leaders(&mut self) {
        let names: Vec<(Topic, String)> =
            self.accumulator.topics().map(|(topic, name)| (topic, name.to_owned())).collect();
        for (topic, name) in names {
            if let Some(layout) = self.metadata.layout(&name) {
                let leaders: Vec<Option<NodeId>> = layout.leaders.iter().map(|leader| leader.node).collect();
                self.accumulator.set_leaders(topic, &leaders);
            }
        }
    }

    fn on_identity(&mut self, version: i16, body: &[u8], now_ns: u64) -> Result<(), ClientError> {
        let response: InitProducerIdResponse = decode(body, version)?;
        let error = ErrorCode(response.error_code);
        if error.is_none() {
            self.identity_asked = false;
            self.identity_attempts = 0;
            self.accumulator.set_identity(response.producer_id, response.producer_epoch);
            return Ok(());
        }
        if error.is_retriable() || error == ErrorCode::CONCURRENT_TRANSACTIONS {
            self.identity_failed(now_ns);
            return Ok(());
        }
        Err(ClientError::Broker {
            what: "InitProducerId".into(),
            code: error.0,
            name: error.name(),
            message: String::new(),
        })
    }

    fn identity_failed(&mut self, now_ns: u64) {
        self.identity_asked = false;
        let pause = self.config.common.retry_backoff.after(self.identity_attempts);
        self.identity_attempts = self.identity_attempts.saturating_add(1);
        self.identity_retry_at_ns = now_ns.saturating_add(nanos(pause));
    }

    fn on_produced(&mut self, version: i16, tag: u64, body: &[u8], now_ns: u64) -> Result<(), ClientError> {
        let Some(mut batches) = self.sent.remove(&tag) else { return Ok(()) };
        if self.config.acks == Acks::None {
            batches.into_iter().for_each(|batch| self.delivered(batch, -1, now_ns));
            return Ok(());
        }
        let response: ProduceResponse = match decode(body, version) {
            Ok(response) => response,
            Err(error) => {
                let what = SendError::Broker { code: -1, name: "CORRUPT_RESPONSE", message: error.to_string() };
                batches.into_iter().for_each(|batch| self.refused(batch, Refusal::Fail, &what, now_ns));
                return Err(error);
            }
        };
        let throttle_ms = u64::try_from(response.throttle_time_ms).unwrap_or(0);
        self.stats.throttle_ms_sum += throttle_ms;
        self.stats.throttle_ms_max = self.stats.throttle_ms_max.max(throttle_ms);
        for topic in &response.responses {
            for partition in &topic.partition_responses {
                let is_it = |batch: &SentBatch| self.is_answer_to(batch, topic, partition, version);
                if let Some(at) = batches.iter().position(is_it) {
                    let batch = batches.swap_remove(at);
                    self.on_partition(batch, partition, now_ns);
                }
            }
        }
        let silent =
            SendError::Broker { code: -1, name: "NO_ANSWER", message: "the broker left the partition out".into() };
        batches.into_iter().for_each(|batch| self.refused(batch, Refusal::Fail, &silent, now_ns));
        Ok(())
    }

    fn is_answer_to(
        &self,
        batch: &SentBatch,
        topic: &TopicProduceResponse,
        partition: &PartitionProduceResponse,
        version: i16,
    ) -> bool {
        let name = self.accumulator.name(batch.topic);
        let same_topic = if version >= PRODUCE_BY_ID {
            self.metadata.layout(name).is_some_and(|layout| layout.id == topic.topic_id)
        } else {
            name == topic.name
        };
        same_topic && usize::try_from(partition.index) == Ok(batch.partition)
    }

    fn on_partition(&mut self, batch: SentBatch, partition: &PartitionProduceResponse, now_ns: u64) {
        let error = ErrorCode(partition.error_code);
        let how = match error {
            ErrorCode::NONE => return self.delivered(batch, partition.base_offset, now_ns),
            ErrorCode::DUPLICATE_SEQUENCE_NUMBER => return self.delivered(batch, -1, now_ns),
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER => Refusal::OutOfOrder,
            ErrorCode::UNKNOWN_PRODUCER_ID | ErrorCode::INVALID_PRODUCER_EPOCH => Refusal::NewEpoch,
            error if error.is_retriable() => Refusal::Retry,
            _ => Refusal::Fail,
        };
        if how == Refusal::Retry {
            self.metadata.want_update();
        }
        let message = partition.error_message.clone().unwrap_or_default();
        self.refused(batch, how, &SendError::Broker { code: error.0, name: error.name(), message }, now_ns);
    }

    fn delivered(&mut self, batch: SentBatch, base_offset: i64, done_ns: u64) {
        self.accumulator.done(&batch);
        self.stats.batches += 1;
        self.stats.records += batch.marks.len() as u64;
        let partition = i32::try_from(batch.partition).unwrap_or(i32::MAX);
        self.sink.delivered(&Delivered { topic: batch.topic, partition, base_offset, done_ns, marks: &batch.marks });
        self.accumulator.recycle(batch.marks);
    }

    fn refused(&mut self, batch: SentBatch, how: Refusal, error: &SendError, now_ns: u64) {
        match self.accumulator.refused(batch, how, now_ns) {
            None => self.stats.retries += 1,
            Some(batch) if how == Refusal::Retry && self.config.retries > batch.attempts() && batch.attempts() > 0 => {
                let expiry = self.expiry_of(&batch, now_ns);
                self.report_failed(batch, &expiry);
            }
            Some(batch) => self.report_failed(batch, error),
        }
    }

    fn report_failed(&mut self, batch: SentBatch, error: &SendError) {
        self.stats.failed_records += batch.marks.len() as u64;
        let partition = i32::try_from(batch.partition).unwrap_or(i32::MAX);
        let done_ns = self.network.now_ns();
        self.sink.failed(&Failed { topic: batch.topic, partition, error, done_ns, marks: &batch.marks });
        self.accumulator.recycle(batch.marks);
    }
}

fn mark_of(record: &NewRecord<'_>, bytes: &RecordBytes<'_>) -> Mark {
    Mark {
        intended_ns: record.intended_ns,
        sent_ns: record.sent_ns,
        tag: 0,
        bytes: u32::try_from(bytes.payload_len()).unwrap_or(u32::MAX),
    }
}

/// Decodes an answer's body; what does not decode is an error that names the message.
pub(crate) fn decode<M: Message>(body: &[u8], version: i16) -> Result<M, ClientError> {
    M::decode(&mut Reader::new(body), version)
        .map_err(|error| ClientError::Corrupt(format!("a {} (version {version}) does not decode: {error}", M::NAME)))
}
