//! A turn: what is over its time is given up, what is due goes out, and the network is waited for.

use std::time::Duration;

use ringlog_io::Slice;
use ringlog_wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use ringlog_wire::{Records, Uuid};

use super::super::accumulator::{SentBatch, nanos};
use super::super::config::Acks;
use super::super::network::VERSION_ANY;
use super::super::{ClientError, DeliverySink, NodeId, SendError};
use super::Producer;

/// The longest that one wait takes, so that what has no event (a name that resolves again) is seen.
const WAIT_MAX: Duration = Duration::from_millis(500);
/// The first version of Produce that names topics by id.
pub(super) const PRODUCE_BY_ID: i16 = 13;
/// The last version of Produce before KIP-890's transactions (ProduceRequest.LAST_STABLE_VERSION_BEFORE_TRANSACTION_V2).
const PRODUCE_BEFORE_TV2: i16 = 11;

impl<S: DeliverySink> Producer<S> {
    /// One turn that waits for an event, not beyond the deadline. False once the deadline has passed.
    pub(super) fn wait_turn(&mut self, deadline_ns: u64) -> Result<bool, ClientError> {
        let now_ns = self.network.driver().read().0;
        if now_ns >= deadline_ns {
            self.turn(Duration::ZERO)?;
            return Ok(false);
        }
        self.work(now_ns)?;
        let due = [
            self.accumulator.next_deadline_ns(),
            self.metadata.due_ns(),
            self.identity_due_ns(),
            self.transactions_due_ns(),
            self.network.next_attempt_ns(now_ns),
            (self.accumulator.unfinished() > 0).then_some(self.expiry_due_ns),
        ];
        let next_ns = due.into_iter().flatten().filter(|due| *due > now_ns).min().unwrap_or(u64::MAX);
        let timeout = Duration::from_nanos(next_ns.min(deadline_ns) - now_ns);
        self.turn(timeout.min(WAIT_MAX))?;
        Ok(true)
    }

    pub(super) fn turn(&mut self, timeout: Duration) -> Result<(), ClientError> {
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
        if now_ns >= self.expiry_due_ns {
            self.expire(now_ns);
        }
        if self.metadata.due_ns().is_some_and(|due| due <= now_ns) {
            self.ask_metadata(now_ns)?;
        }
        if self.identity_due_ns().is_some_and(|due| due <= now_ns) {
            self.ask_identity()?;
        }
        self.work_on_transaction(now_ns)?;
        let nodes: Vec<NodeId> = self.accumulator.nodes().collect();
        nodes.into_iter().try_for_each(|node| self.serve(node, now_ns))
    }

    /// Sends a node what it may have.
    fn serve(&mut self, node: NodeId, now_ns: u64) -> Result<(), ClientError> {
        let adapts = !self.config.partitioner_availability_timeout.is_zero();
        loop {
            let has_place = self.network.in_flight(node) < self.config.max_in_flight;
            if !(has_place || adapts) || !self.accumulator.is_ready(node, now_ns) {
                return Ok(());
            }
            let goes = has_place && self.network.is_ready(node);
            self.accumulator.note_node(node, now_ns, goes);
            if !goes || !self.drain(node, now_ns)? {
                return Ok(());
            }
        }
    }

    /// Gives up the batches whose `delivery.timeout.ms` is over, those in flight too (Sender.sendProducerData).
    fn expire(&mut self, now_ns: u64) {
        let timeout_ns = nanos(self.config.delivery_timeout);
        let mut over = self.accumulator.expired(now_ns);
        let is_over = |batch: &SentBatch| batch.created_ns().saturating_add(timeout_ns) <= now_ns;
        for batches in self.sent.values_mut() {
            let (late, kept): (Vec<_>, Vec<_>) = std::mem::take(batches).into_iter().partition(is_over);
            *batches = kept;
            late.iter().for_each(|batch| self.accumulator.abandon(batch));
            over.extend(late);
        }
        let in_flight = self.sent.values().flatten().map(SentBatch::created_ns).min();
        // What is begun from now on is not over before what is begun now.
        let oldest_ns =
            self.accumulator.oldest_ns().into_iter().chain(in_flight).chain([now_ns]).min().unwrap_or(now_ns);
        self.expiry_due_ns = oldest_ns.saturating_add(timeout_ns);
        for batch in over {
            let error = self.expiry_of(&batch, now_ns);
            self.report_failed(batch, &error);
        }
    }

    pub(super) fn expiry_of(&self, batch: &SentBatch, now_ns: u64) -> SendError {
        SendError::Expired {
            records: batch.marks.len(),
            partition: format!("{}-{}", self.accumulator.name(batch.topic), batch.partition),
            waited_ms: now_ns.saturating_sub(batch.created_ns()) / 1_000_000,
            why: batch.refused_with.or_else(|| self.is_without_leader(batch).then_some("the partition has no leader")),
        }
    }

    fn is_without_leader(&self, batch: &SentBatch) -> bool {
        let layout = self.metadata.layout(self.accumulator.name(batch.topic));
        layout.and_then(|it| it.leaders.get(batch.partition)).is_some_and(|leader| leader.node.is_none())
    }

    fn ask_metadata(&mut self, now_ns: u64) -> Result<(), ClientError> {
        let Some(node) = self.network.any_node() else { return Ok(()) };
        if !self.network.is_ready(node) {
            return Ok(());
        }
        let request = self.metadata.request(now_ns);
        self.network.send(node, &request, Vec::new(), 0)
    }

    /// Sends one request to a node. False where there was nothing to send.
    fn drain(&mut self, node: NodeId, now_ns: u64) -> Result<bool, ClientError> {
        let driver = self.network.driver();
        let mut batches = self.accumulator.drain(node, now_ns, &mut |len| driver.buffer(len));
        if batches.is_empty() {
            return Ok(false);
        }
        self.count_sent(&batches, now_ns);
        for batch in &mut batches {
            let layout = self.metadata.layout(self.accumulator.name(batch.topic));
            batch.topic_id = layout.map_or(Uuid::ZERO, |layout| layout.id);
        }
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
            self.stats.record_len_max_sum += batch.record_len_max() as u64;
            self.stats.record_len_max = self.stats.record_len_max.max(batch.record_len_max() as u64);
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
                let (name, topic_id) = (self.accumulator.name(batch.topic).to_owned(), batch.topic_id);
                by_id &= topic_id != Uuid::ZERO;
                topics.push(TopicProduceData { name, topic_id, ..TopicProduceData::default() });
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
            transactional_id: self.transactions.as_ref().map(|transactions| transactions.id().to_owned()),
            acks: self.config.acks.wire(),
            timeout_ms: i32::try_from(self.config.common.request_timeout.as_millis()).unwrap_or(i32::MAX),
            topic_data: topics,
            ..ProduceRequest::default()
        };
        let records = batches.iter().map(|batch| batch.bytes.clone()).collect();
        (request, records, self.produce_version_max(by_id))
    }

    fn produce_version_max(&self, by_id: bool) -> i16 {
        match &self.transactions {
            Some(transactions) if !transactions.is_v2() => PRODUCE_BEFORE_TV2,
            _ if !by_id => PRODUCE_BY_ID - 1,
            _ => VERSION_ANY,
        }
    }
}
