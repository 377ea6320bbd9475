//! What a producer has taken and not yet seen acknowledged: a queue of batches per partition. No I/O, no clock.
//!
//! ```text
//!   append --> partition queue [ sealed (retry) | closed | open ] --drain(node)--> in flight --> done | requeue | fail
//!                                                 ^ records go here
//! ```
//!
//! Invariants:
//! - Memory: what every batch was charged plus what is free is `buffer.memory` (a batch is charged
//!   `max(batch.size, its first record)`, as Kafka's BufferPool does).
//! - Only the last batch of a queue is open.
//! - With idempotence the sequences of a partition go out without gaps under one producer epoch; a batch that is tried
//!   again goes alone, lowest sequence first; a gap ends the epoch (KIP-360) before anything else is sent.
//! - With `max.in.flight = 1` a partition has one batch in flight: order holds without idempotence.

use std::collections::{BTreeMap, VecDeque};

use ringlog_io::{Buf, Slice};

use ringlog_wire::compression::{Codec, Scratch};

use super::batch::{OpenBatch, ProducerStamp, RecordBytes, restamp};
use super::config::{Acks, Backoff, Compression, ProducerConfig};
use super::partitioner::{Choice, Load, Sticky, keyed_partition};
use super::{Mark, NodeId, Topic};

/// The settings that the accumulator needs.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) batch_size: usize,
    pub(crate) linger_ns: u64,
    pub(crate) buffer_memory: usize,
    pub(crate) max_request_size: usize,
    pub(crate) delivery_timeout_ns: u64,
    pub(crate) retries: u32,
    pub(crate) backoff: Backoff,
    pub(crate) compression: Compression,
    pub(crate) idempotence: bool,
    pub(crate) one_in_flight: bool,
    pub(crate) adaptive: bool,
    pub(crate) ignore_keys: bool,
}

impl Limits {
    pub(crate) fn of(config: &ProducerConfig) -> Self {
        Self {
            batch_size: config.batch_size,
            linger_ns: nanos(config.linger),
            buffer_memory: config.buffer_memory,
            max_request_size: config.max_request_size,
            delivery_timeout_ns: nanos(config.delivery_timeout),
            retries: if config.acks == Acks::None { 0 } else { config.retries },
            backoff: config.common.retry_backoff,
            compression: config.compression,
            idempotence: config.idempotence,
            one_in_flight: config.max_in_flight == 1,
            adaptive: config.partitioner_adaptive,
            ignore_keys: config.partitioner_ignore_keys,
        }
    }
}

/// A duration as nanoseconds, at most `u64::MAX`.
pub(crate) fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What became of an append.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// It is in. `ready` says that a batch may go out now (one was filled or begun anew).
    Taken { partition: usize, ready: bool },
    /// There is not enough buffer memory: send, wait, try again.
    NoMemory { wanted: usize },
    /// The topic has no partition that can be written: fetch metadata, try again.
    NoPartition,
}

/// A batch on its way: sealed, out of its queue.
#[derive(Debug)]
pub(crate) struct SentBatch {
    pub(crate) topic: Topic,
    pub(crate) partition: usize,
    pub(crate) bytes: Slice,
    pub(crate) marks: Vec<Mark>,
    stamp: ProducerStamp,
    created_ns: u64,
    charged: usize,
    raw_len: usize,
    attempts: u32,
    retry_at_ns: u64,
    /// The partition's batches are numbered in the order of their records.
    number: u64,
}

impl SentBatch {
    /// Bytes before compression.
    pub(crate) fn raw_len(&self) -> usize {
        self.raw_len
    }

    /// When the first record was appended.
    pub(crate) fn created_ns(&self) -> u64 {
        self.created_ns
    }

    /// Attempts that failed so far.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }
}

/// What to do with a batch that the broker refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Try again, after the backoff.
    Retry,
    /// Try again under a new epoch: the broker does not know the producer's state any more.
    NewEpoch,
    /// The sequence did not fit: an earlier batch is missing (try again), or the state is lost (fail, new epoch).
    OutOfOrder,
    /// Give up.
    Fail,
}

#[derive(Debug)]
struct Queued {
    batch: OpenBatch,
    created_ns: u64,
    charged: usize,
    limit: usize,
    closed: bool,
    number: u64,
}

#[derive(Debug, Default)]
struct Partition {
    leader: Option<NodeId>,
    /// Sealed batches that go out again, by sequence; they come before the others.
    again: VecDeque<SentBatch>,
    queue: VecDeque<Queued>,
    ever_queued: bool,
    batch_next: u64,
    in_flight: usize,
    identity: Option<(i64, i16)>,
    sequence_next: i32,
    /// First sequences that were given out and are not done, in order.
    outstanding: VecDeque<i32>,
    acked_sequence_next: i32,
    epoch_is_over: bool,
}

#[derive(Debug, Default)]
struct TopicQueues {
    name: String,
    partitions: Vec<Partition>,
    sticky: Sticky,
    compression_ratio: f32,
}

/// See the module's picture.
#[derive(Debug)]
pub(crate) struct Accumulator {
    limits: Limits,
    free: usize,
    topics: Vec<TopicQueues>,
    by_node: BTreeMap<NodeId, (usize, Vec<(Topic, usize)>)>,
    choice: Choice,
    identity: Option<(i64, i16)>,
    exhausted: bool,
    flushing: bool,
    unfinished: usize,
    spare_marks: Vec<Vec<Mark>>,
    scratch: Scratch,
}

/// The estimate of a compressed batch is this much above the ratio seen (MemoryRecordsBuilder).
const COMPRESSION_ESTIMATION_FACTOR: f32 = 1.05;
/// How fast the estimated ratio follows (CompressionRatioEstimator).
const RATIO_IMPROVING_STEP: f32 = 0.005;
const RATIO_DETERIORATE_STEP: f32 = 0.05;
/// Marks that are kept for the next batches.
const SPARE_MARKS_MAX: usize = 4096;

impl Accumulator {
    pub(crate) fn new(limits: Limits, seed: u64) -> Self {
        Self {
            free: limits.buffer_memory,
            choice: Choice::new(seed, limits.adaptive),
            limits,
            topics: Vec::new(),
            by_node: BTreeMap::new(),
            identity: None,
            exhausted: false,
            flushing: false,
            unfinished: 0,
            spare_marks: Vec::new(),
            scratch: Scratch::new(),
        }
    }

    /// The index of a topic, made where it is new.
    pub(crate) fn topic(&mut self, name: &str) -> Topic {
        let at = self.topics.iter().position(|topic| topic.name == name).unwrap_or_else(|| {
            self.topics.push(TopicQueues { name: name.to_owned(), compression_ratio: 1.0, ..TopicQueues::default() });
            self.topics.len() - 1
        });
        Topic(at)
    }

    pub(crate) fn name(&self, topic: Topic) -> &str {
        &self.topics[topic.0].name
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = (Topic, &str)> {
        self.topics.iter().enumerate().map(|(at, topic)| (Topic(at), topic.name.as_str()))
    }

    pub(crate) fn partition_count(&self, topic: Topic) -> usize {
        self.topics[topic.0].partitions.len()
    }

    /// Bytes of `buffer.memory` that nobody has.
    pub(crate) fn free_bytes(&self) -> usize {
        self.free
    }

    /// Batches that are not done.
    pub(crate) fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// Somebody waits for memory: whatever is there goes out.
    pub(crate) fn set_exhausted(&mut self, exhausted: bool) {
        self.exhausted = exhausted;
    }

    /// Somebody waits for everything: whatever is there goes out.
    pub(crate) fn set_flushing(&mut self, flushing: bool) {
        self.flushing = flushing;
    }

    /// The producer id and epoch that the broker gave.
    pub(crate) fn set_identity(&mut self, id: i64, epoch: i16) {
        self.identity = Some((id, epoch));
    }

    /// Whether a producer id is wanted before anything can go out.
    pub(crate) fn wants_identity(&self) -> bool {
        self.limits.idempotence && self.identity.is_none()
    }

    /// The leaders of a topic's partitions, as the metadata says. Partitions are never taken away.
    pub(crate) fn set_leaders(&mut self, topic: Topic, leaders: &[Option<NodeId>]) {
        let queues = &mut self.topics[topic.0];
        if leaders.len() > queues.partitions.len() {
            queues.partitions.resize_with(leaders.len(), Partition::default);
            queues.sticky.reset();
        }
        for (partition, leader) in queues.partitions.iter_mut().zip(leaders) {
            partition.leader = *leader;
        }
        self.index_by_node();
    }

    fn index_by_node(&mut self) {
        let starts: BTreeMap<NodeId, usize> = self.by_node.iter().map(|(node, (at, _))| (*node, *at)).collect();
        self.by_node.clear();
        for (at, topic) in self.topics.iter().enumerate() {
            for (index, partition) in topic.partitions.iter().enumerate() {
                let Some(node) = partition.leader else { continue };
                let entry = self.by_node.entry(node);
                let start = starts.get(&node).copied().unwrap_or(0);
                entry.or_insert_with(|| (start, Vec::new())).1.push((Topic(at), index));
            }
        }
    }

    /// Appends a record to its partition's open batch.
    pub(crate) fn append(
        &mut self,
        to: (Topic, Option<usize>),
        record: &RecordBytes<'_>,
        mark: Mark,
        take_buffer: &mut dyn FnMut(usize) -> Buf,
        touch: impl FnOnce(usize, &mut [u8]) -> u64,
    ) -> Appended {
        let (topic, wanted) = to;
        let keyed = record.key.filter(|_| !self.limits.ignore_keys);
        let sticks = wanted.is_none() && keyed.is_none();
        let Some(partition) = self.choose(topic, wanted, keyed) else { return Appended::NoPartition };
        let began = match self.make_room(topic, partition, record, mark.sent_ns, take_buffer) {
            Ok(began) => began,
            Err(wanted) => return Appended::NoMemory { wanted },
        };
        let batch_size = self.limits.batch_size;
        let ratio = self.estimation(topic);
        let queues = &mut self.topics[topic.0];
        let at = &mut queues.partitions[partition];
        let queued = at.queue.back_mut().expect("make_room leaves an open batch");
        let before = queued.batch.raw_len();
        queued.batch.append(record, mark, |value| touch(partition, value));
        let added = queued.batch.raw_len() - before;
        queued.closed = estimate(queued.batch.raw_len(), ratio) >= queued.limit;
        let full = queued.closed;
        if sticks {
            queues.sticky.appended(added, batch_size, full);
        }
        Appended::Taken { partition, ready: began || full }
    }

    fn choose(&mut self, topic: Topic, wanted: Option<usize>, key: Option<&[u8]>) -> Option<usize> {
        let queues = &mut self.topics[topic.0];
        let count = queues.partitions.len();
        if let Some(partition) = wanted {
            return (partition < count).then_some(partition);
        }
        if let Some(key) = key {
            return (count > 0).then(|| keyed_partition(key, count));
        }
        let partitions = &queues.partitions;
        let mut loads = || {
            let led = partitions.iter().enumerate().filter(|(_, partition)| partition.leader.is_some());
            led.map(|(partition, at)| Load {
                partition,
                queued: at.ever_queued.then(|| at.queue.len() + at.again.len()),
            })
            .collect()
        };
        queues.sticky.partition(&mut loads, &mut self.choice)
    }

    /// Leaves a batch with room for the record at the end of the queue. True where one was begun behind another;
    /// the bytes that were wanted where there is no memory.
    fn make_room(
        &mut self,
        topic: Topic,
        partition: usize,
        record: &RecordBytes<'_>,
        now_ns: u64,
        take_buffer: &mut dyn FnMut(usize) -> Buf,
    ) -> Result<bool, usize> {
        let ratio = self.estimation(topic);
        let at = &mut self.topics[topic.0].partitions[partition];
        if let Some(last) = at.queue.back_mut() {
            if !last.closed && estimate(last.batch.raw_len(), ratio) + last.batch.record_len(record) <= last.limit {
                return Ok(false);
            }
            last.closed = true;
        }
        let charged = self.limits.batch_size.max(record.batch_len_max());
        if charged > self.free {
            return Err(charged);
        }
        self.free -= charged;
        self.unfinished += 1;
        let batch = OpenBatch::new(take_buffer(charged), self.spare_marks.pop().unwrap_or_default());
        let behind = !at.queue.is_empty();
        at.ever_queued = true;
        let number = at.batch_next;
        at.batch_next += 1;
        at.queue.push_back(Queued { batch, created_ns: now_ns, charged, limit: charged, closed: false, number });
        Ok(behind)
    }

    /// Compressed bytes per raw byte, with Kafka's margin; 1 without compression.
    fn estimation(&self, topic: Topic) -> f32 {
        if self.limits.compression.codec == Codec::None {
            return 1.0;
        }
        self.topics[topic.0].compression_ratio * COMPRESSION_ESTIMATION_FACTOR
    }

    /// Whether something may go to this node now.
    pub(crate) fn is_ready(&self, node: NodeId, now_ns: u64) -> bool {
        let Some((_, partitions)) = self.by_node.get(&node) else { return false };
        partitions.iter().any(|(topic, partition)| {
            let at = &self.topics[topic.0].partitions[*partition];
            self.may_drain(at) && self.ready_at(at).is_some_and(|ready| ready <= now_ns)
        })
    }

    /// The nodes that lead a partition.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.by_node.keys().copied()
    }

    /// When the first batch of a partition may go, by linger and backoff.
    fn ready_at(&self, at: &Partition) -> Option<u64> {
        if let Some(again) = at.again.front() {
            return Some(again.retry_at_ns);
        }
        let first = at.queue.front()?;
        let now = at.queue.len() > 1 || first.closed || self.exhausted || self.flushing;
        Some(if now { 0 } else { first.created_ns.saturating_add(self.limits.linger_ns) })
    }

    /// Whether order allows another batch of this partition in flight.
    fn may_drain(&self, at: &Partition) -> bool {
        if self.limits.one_in_flight && at.in_flight > 0 {
            return false;
        }
        if !self.limits.idempotence {
            return true;
        }
        let Some(identity) = self.identity else { return false };
        if at.in_flight > 0 && (at.epoch_is_over || at.identity != Some(identity)) {
            return false;
        }
        match at.again.front() {
            Some(again) if !at.epoch_is_over => at.outstanding.front() == Some(&again.stamp.sequence),
            _ => true,
        }
    }

    /// The next time at which something becomes ready or is given up, for how long to wait.
    pub(crate) fn next_deadline_ns(&self) -> Option<u64> {
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        let waiting = partitions.filter(|at| !at.queue.is_empty() || !at.again.is_empty());
        let deadline = |at: &Partition| {
            let expires = self.oldest_ns(at).map(|created| created.saturating_add(self.limits.delivery_timeout_ns));
            let ready = self.ready_at(at).filter(|_| self.may_drain(at) && at.leader.is_some());
            ready.into_iter().chain(expires).min()
        };
        waiting.filter_map(deadline).min()
    }

    fn oldest_ns(&self, at: &Partition) -> Option<u64> {
        let again = at.again.iter().map(|batch| batch.created_ns);
        again.chain(at.queue.front().map(|queued| queued.created_ns)).min()
    }

    /// Takes at most one batch of each of the node's partitions, up to `max.request.size`, beginning behind the
    /// partition where the last drain ended.
    pub(crate) fn drain(
        &mut self,
        node: NodeId,
        now_ns: u64,
        take_buffer: &mut dyn FnMut(usize) -> Buf,
    ) -> Vec<SentBatch> {
        let Some((start, partitions)) = self.by_node.remove(&node) else { return Vec::new() };
        let count = partitions.len();
        let (mut taken, mut size, mut next) = (Vec::new(), 0, start);
        for step in 0..count {
            let index = (start + step) % count;
            let (topic, partition) = partitions[index];
            let room = self.limits.max_request_size.saturating_sub(size);
            match self.drain_partition(topic, partition, now_ns, (room, taken.is_empty()), take_buffer) {
                Drained::Nothing => {}
                Drained::DoesNotFit => break,
                Drained::Batch(batch) => {
                    size += batch.bytes.len();
                    taken.push(batch);
                    next = (index + 1) % count;
                }
            }
        }
        self.by_node.insert(node, (next, partitions));
        taken
    }

    fn drain_partition(
        &mut self,
        topic: Topic,
        partition: usize,
        now_ns: u64,
        (room, is_first): (usize, bool),
        take_buffer: &mut dyn FnMut(usize) -> Buf,
    ) -> Drained {
        let ratio = self.estimation(topic);
        let at = &self.topics[topic.0].partitions[partition];
        if !self.may_drain(at) || at.again.front().is_some_and(|again| again.retry_at_ns > now_ns) {
            return Drained::Nothing;
        }
        let len = match (at.again.front(), at.queue.front()) {
            (Some(again), _) => again.bytes.len(),
            (None, Some(first)) => estimate(first.batch.raw_len(), ratio),
            (None, None) => return Drained::Nothing,
        };
        if len > room && !is_first {
            return Drained::DoesNotFit;
        }
        if !self.renew_epoch(topic, partition) {
            return Drained::Nothing;
        }
        let sent = match self.topics[topic.0].partitions[partition].again.pop_front() {
            Some(again) => self.stamp_again(again),
            None => self.seal_first(topic, partition, take_buffer),
        };
        self.topics[topic.0].partitions[partition].in_flight += 1;
        Drained::Batch(sent)
    }

    /// Where the epoch is over or a newer one is there (and nothing is in flight): sequences begin again at 0.
    /// False where the epochs are used up: a new producer id is wanted first.
    fn renew_epoch(&mut self, topic: Topic, partition: usize) -> bool {
        let Some((id, epoch)) = self.identity else { return true };
        let at = &mut self.topics[topic.0].partitions[partition];
        if at.in_flight > 0 || (!at.epoch_is_over && at.identity == Some((id, epoch))) {
            return true;
        }
        if at.epoch_is_over && at.identity == Some((id, epoch)) {
            // Kafka bumps the epoch by itself here; at its end the broker gives a new id.
            self.identity = epoch.checked_add(1).filter(|next| *next < i16::MAX).map(|next| (id, next));
        }
        if self.identity.is_none() {
            return false;
        }
        at.epoch_is_over = false;
        at.identity = self.identity;
        at.sequence_next = 0;
        at.acked_sequence_next = 0;
        at.outstanding.clear();
        for again in &mut at.again {
            again.stamp = ProducerStamp::NONE;
        }
        true
    }

    fn next_stamp(&mut self, topic: Topic, partition: usize, records: usize) -> ProducerStamp {
        if !self.limits.idempotence {
            return ProducerStamp::NONE;
        }
        let at = &mut self.topics[topic.0].partitions[partition];
        let (id, epoch) = at.identity.unwrap_or((-1, -1));
        let sequence = at.sequence_next;
        at.sequence_next = add_sequence(sequence, records);
        at.outstanding.push_back(sequence);
        ProducerStamp { id, epoch, sequence }
    }

    fn stamp_again(&mut self, mut batch: SentBatch) -> SentBatch {
        if self.limits.idempotence && batch.stamp == ProducerStamp::NONE {
            batch.stamp = self.next_stamp(batch.topic, batch.partition, batch.marks.len());
            batch.bytes = restamp(&batch.bytes, batch.stamp).expect("a batch that we sealed");
        }
        batch
    }

    fn seal_first(&mut self, topic: Topic, partition: usize, take_buffer: &mut dyn FnMut(usize) -> Buf) -> SentBatch {
        let queue = &mut self.topics[topic.0].partitions[partition].queue;
        let Queued { batch, created_ns, charged, number, .. } = queue.pop_front().expect("the caller saw one");
        let stamp = self.next_stamp(topic, partition, batch.count());
        let raw_len = batch.raw_len();
        let compression = self.limits.compression;
        // Every codec takes any input; only a level that the settings refused before could fail.
        let (bytes, marks) =
            batch.seal(compression, stamp, &mut self.scratch, take_buffer).expect("a codec that takes any bytes");
        self.learn_ratio(topic, raw_len, bytes.len());
        SentBatch {
            topic,
            partition,
            bytes,
            marks,
            stamp,
            created_ns,
            charged,
            raw_len,
            attempts: 0,
            retry_at_ns: 0,
            number,
        }
    }

    fn learn_ratio(&mut self, topic: Topic, raw_len: usize, len: usize) {
        let seen = len as f32 / raw_len.max(1) as f32;
        let ratio = &mut self.topics[topic.0].compression_ratio;
        *ratio = if seen > *ratio {
            seen.max(*ratio + RATIO_DETERIORATE_STEP)
        } else {
            seen.max(*ratio - RATIO_IMPROVING_STEP)
        };
    }

    /// A batch was acknowledged. Gives back its memory; the marks go back with [`Self::recycle`].
    pub(crate) fn done(&mut self, batch: &SentBatch) {
        self.land(batch);
        let at = &mut self.topics[batch.topic.0].partitions[batch.partition];
        if at.identity == Some((batch.stamp.id, batch.stamp.epoch)) {
            at.acked_sequence_next = add_sequence(batch.stamp.sequence, batch.marks.len());
        }
        self.release(batch);
    }

    /// A batch was refused, or its connection was lost. Gives it back where it is given up.
    pub(crate) fn refused(&mut self, mut batch: SentBatch, how: Refusal, now_ns: u64) -> Option<SentBatch> {
        self.land_keeping_sequence(&batch);
        let how = self.resolve(&batch, how);
        let expired = now_ns >= batch.created_ns.saturating_add(self.limits.delivery_timeout_ns);
        if how == Refusal::Fail || expired || batch.attempts >= self.limits.retries {
            self.give_up(&batch);
            return Some(batch);
        }
        let at = &mut self.topics[batch.topic.0].partitions[batch.partition];
        at.epoch_is_over |= how == Refusal::NewEpoch;
        batch.retry_at_ns = now_ns.saturating_add(nanos(self.limits.backoff.after(batch.attempts)));
        batch.attempts += 1;
        let place = at.again.partition_point(|other| other.number < batch.number);
        at.again.insert(place, batch);
        None
    }

    /// An out-of-order answer means a missing earlier batch, unless this one was next in line.
    fn resolve(&self, batch: &SentBatch, how: Refusal) -> Refusal {
        if how != Refusal::OutOfOrder {
            return how;
        }
        let at = &self.topics[batch.topic.0].partitions[batch.partition];
        let was_next = at.acked_sequence_next == batch.stamp.sequence;
        if was_next || at.epoch_is_over { Refusal::Fail } else { Refusal::Retry }
    }

    fn give_up(&mut self, batch: &SentBatch) {
        let at = &mut self.topics[batch.topic.0].partitions[batch.partition];
        if let Some(place) = at.outstanding.iter().position(|sequence| *sequence == batch.stamp.sequence) {
            at.outstanding.remove(place);
            at.epoch_is_over = true;
        }
        self.release(batch);
    }

    fn land(&mut self, batch: &SentBatch) {
        self.land_keeping_sequence(batch);
        let at = &mut self.topics[batch.topic.0].partitions[batch.partition];
        if let Some(place) = at.outstanding.iter().position(|sequence| *sequence == batch.stamp.sequence) {
            at.outstanding.remove(place);
        }
    }

    fn land_keeping_sequence(&mut self, batch: &SentBatch) {
        self.topics[batch.topic.0].partitions[batch.partition].in_flight -= 1;
    }

    fn release(&mut self, batch: &SentBatch) {
        self.free += batch.charged;
        self.unfinished -= 1;
    }

    /// Takes the marks of a finished batch for the next one.
    pub(crate) fn recycle(&mut self, marks: Vec<Mark>) {
        if self.spare_marks.len() < SPARE_MARKS_MAX {
            self.spare_marks.push(marks);
        }
    }

    /// Takes the batches that waited longer than `delivery.timeout.ms` (or all, where `everything` ends).
    pub(crate) fn expired(&mut self, now_ns: u64, everything: bool) -> Vec<SentBatch> {
        let timeout = self.limits.delivery_timeout_ns;
        let over = |created: u64| everything || created.saturating_add(timeout) <= now_ns;
        let mut out = Vec::new();
        for topic in 0..self.topics.len() {
            for partition in 0..self.topics[topic].partitions.len() {
                let at = &mut self.topics[topic].partitions[partition];
                while at.again.front().is_some_and(|batch| over(batch.created_ns)) {
                    out.extend(at.again.pop_front());
                }
                while at.queue.front().is_some_and(|queued| over(queued.created_ns)) {
                    out.extend(at.queue.pop_front().map(|queued| queued.unsent(Topic(topic), partition)));
                }
            }
        }
        out.iter().for_each(|batch| self.give_up(batch));
        out
    }
}

impl Queued {
    /// As a batch that never went out: its bytes are gone.
    fn unsent(self, topic: Topic, partition: usize) -> SentBatch {
        let (created_ns, charged, number) = (self.created_ns, self.charged, self.number);
        let stamp = ProducerStamp::NONE;
        let (bytes, marks) = (Slice::from(Vec::new()), self.batch.into_marks());
        let raw_len = 0;
        SentBatch {
            topic,
            partition,
            bytes,
            marks,
            stamp,
            created_ns,
            charged,
            raw_len,
            attempts: 0,
            retry_at_ns: 0,
            number,
        }
    }
}

enum Drained {
    Nothing,
    DoesNotFit,
    Batch(SentBatch),
}

/// The bytes that a batch will take, from its raw length.
fn estimate(raw_len: usize, ratio: f32) -> usize {
    if ratio == 1.0 { raw_len } else { (raw_len as f32 * ratio) as usize }
}

/// DefaultRecordBatch.incrementSequence: wraps from `i32::MAX` to 0.
fn add_sequence(sequence: i32, records: usize) -> i32 {
    let sum = i64::from(sequence) + i64::try_from(records).unwrap_or(0);
    i32::try_from(sum % (i64::from(i32::MAX) + 1)).unwrap_or(0)
}

#[cfg(test)]
#[path = "accumulator_tests.rs"]
mod tests;
