//! What a producer has taken and not yet seen acknowledged: a queue of batches per partition. No I/O, no clock.
//!
//! ```text
//!   append --> partition queue [ sealed (retry) | closed | open ] --drain(node)--> in flight --> done | requeue | fail
//!                                                 ^ records go here                     '--> split --> requeue
//! ```
//!
//! | file | what it does |
//! |---|---|
//! | `append.rs` | a record finds its partition and its batch |
//! | `choose.rs` | the partition of a record that names none |
//! | `drain.rs` | what may go to a node now |
//! | `sequences.rs` | producer id, epoch and sequence of what goes |
//! | `outcome.rs` | acknowledged, refused, expired, aborted |
//! | `split.rs` | a batch that the broker finds too large |
//! | `sent.rs` | a batch from its first record to its end |
//!
//! Invariants:
//! - Memory: what every batch was charged plus what is free is `buffer.memory` (a batch is charged
//!   `max(batch.size, its first record)`, as Kafka's BufferPool does). A batch that will be compressed takes more while it
//!   is open, is charged for it, and is packed as soon as it is closed: what is charged is what is held.
//! - Only the last batch of a queue is open.
//! - With idempotence the sequences of a partition go out without gaps under one producer epoch; a batch that is tried
//!   again goes alone, lowest sequence first; a gap ends the epoch (KIP-360) before anything new is sent.
//! - A batch that may be written goes out again with its own epoch and sequence alone, whatever happened meanwhile: the
//!   broker knows it by these. An epoch begins only where no such batch is left.
//! - In a transaction a partition's batches go out only once the partition is in it, and a gap waits for the
//!   transaction's end: the epoch is the coordinator's to raise.
//! - With `max.in.flight = 1` a partition has one batch in flight: order holds without idempotence.

mod append;
mod choose;
mod drain;
mod outcome;
mod sent;
mod sequences;
mod split;

use std::collections::{BTreeMap, VecDeque};

use ringlog_wire::batch::HEADER_LEN;
use ringlog_wire::compression::{Codec, Scratch};

use super::batch::Sealing;
use super::config::{Acks, Backoff, Compression, Partitioner, ProducerConfig};
use super::partitioner::{Choice, Sticky, StickyCache};
use super::{Mark, NodeId, Topic};
use sent::Queued;
pub(crate) use sent::{Refusal, SentBatch};

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
    pub(crate) transactional: bool,
    pub(crate) one_in_flight: bool,
    pub(crate) partitioner: Partitioner,
    pub(crate) adaptive: bool,
    pub(crate) ignore_keys: bool,
    /// 0 where partitions are never left out.
    pub(crate) availability_timeout_ns: u64,
}

impl Limits {
    pub(crate) fn of(config: &ProducerConfig) -> Self {
        Self {
            // KafkaProducer: 0 is no batching, and taken as 1.
            batch_size: config.batch_size.max(1),
            linger_ns: nanos(config.linger),
            buffer_memory: config.buffer_memory,
            max_request_size: config.max_request_size,
            delivery_timeout_ns: nanos(config.delivery_timeout),
            retries: if config.acks == Acks::None { 0 } else { config.retries },
            backoff: config.common.retry_backoff,
            compression: config.compression,
            idempotence: config.idempotence,
            transactional: config.transactional_id.is_some(),
            one_in_flight: config.max_in_flight == 1,
            partitioner: config.partitioner,
            adaptive: config.partitioner_adaptive,
            ignore_keys: config.partitioner_ignore_keys,
            availability_timeout_ns: nanos(config.partitioner_availability_timeout),
        }
    }
}

impl Limits {
    fn seal(&self) -> Sealing {
        Sealing { compression: self.compression, transactional: self.transactional }
    }
}

/// A duration as nanoseconds, at most `u64::MAX`.
pub(crate) fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What became of an append.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// It is in: the record `index` of the partition's batch `number`. `ready` says that a batch may go out now (one
    /// was filled or begun anew).
    Taken { partition: usize, number: u64, index: u32, ready: bool },
    /// There is not enough buffer memory: send, wait, try again, with the same partition.
    NoMemory { wanted: usize, partition: usize },
    /// Nothing is known of the topic or the partition: fetch metadata, try again.
    NoPartition,
}

#[derive(Debug, Default)]
struct Partition {
    leader: Option<NodeId>,
    leader_epoch: i32,
    /// How often another leader or epoch was seen: what failed under an earlier one need not rest (KIP-951).
    leader_changes: u64,
    /// Whether the transaction under way knows the partition.
    in_transaction: bool,
    /// Sealed batches that go out again, in the order of their records; they come before the others.
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
    cache: StickyCache,
    /// Records that a round-robin partitioner placed.
    counter: usize,
    compression_ratio: f32,
}

/// When a node last had something ready, and when it last was given something (RecordAccumulator.NodeLatencyStats).
#[derive(Clone, Copy, Debug, Default)]
struct NodeTimes {
    ready_ns: u64,
    drained_ns: u64,
}

/// See the module's picture.
#[derive(Debug)]
pub(crate) struct Accumulator {
    limits: Limits,
    free: usize,
    topics: Vec<TopicQueues>,
    by_node: BTreeMap<NodeId, (usize, Vec<(Topic, usize)>)>,
    node_times: BTreeMap<NodeId, NodeTimes>,
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
            node_times: BTreeMap::new(),
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

    /// The leaders of a topic's partitions with their epochs, as the metadata says. Partitions are never taken away.
    pub(crate) fn set_leaders(&mut self, topic: Topic, leaders: &[(Option<NodeId>, i32)]) {
        let queues = &mut self.topics[topic.0];
        if leaders.len() > queues.partitions.len() {
            queues.partitions.resize_with(leaders.len(), Partition::default);
            queues.sticky.reset();
        }
        for (partition, (leader, epoch)) in queues.partitions.iter_mut().zip(leaders) {
            let changed = leader.is_some() && (partition.leader, partition.leader_epoch) != (*leader, *epoch);
            partition.leader_changes += u64::from(changed);
            (partition.leader, partition.leader_epoch) = (*leader, *epoch);
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

    /// Takes the marks of a finished batch for the next one.
    pub(crate) fn recycle(&mut self, marks: Vec<Mark>) {
        if self.spare_marks.len() < SPARE_MARKS_MAX {
            self.spare_marks.push(marks);
        }
    }

    /// Compressed bytes per raw byte, as a batch that begins now is guessed; `None` without compression.
    fn estimation(&self, topic: Topic) -> Option<f32> {
        (self.limits.compression.codec != Codec::None).then(|| self.topics[topic.0].compression_ratio)
    }

    /// What the records of a batch came to, headers left out (CompressionRatioEstimator.updateEstimation).
    fn learn_ratio(&mut self, topic: Topic, raw_len: usize, len: usize) {
        let seen = (len - HEADER_LEN) as f32 / (raw_len - HEADER_LEN).max(1) as f32;
        let ratio = &mut self.topics[topic.0].compression_ratio;
        *ratio = if seen > *ratio {
            seen.max(*ratio + RATIO_DETERIORATE_STEP)
        } else {
            seen.max(*ratio - RATIO_IMPROVING_STEP)
        };
    }

    fn at(&mut self, topic: Topic, partition: usize) -> &mut Partition {
        &mut self.topics[topic.0].partitions[partition]
    }
}

#[cfg(test)]
mod sequences_tests;
#[cfg(test)]
mod tests;
