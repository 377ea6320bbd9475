//! The partition of a record: the one that it names, or the one that `partitioner.class` gives it.

use super::super::batch::RecordBytes;
use super::super::config::Partitioner;
use super::super::partitioner::{Load, keyed_partition};
use super::super::{NodeId, Topic};
use super::{Accumulator, NodeTimes, Partition};

impl Accumulator {
    /// The record's partition, and whether the built-in partitioner sticks to it (KIP-794). `None` where the topic has
    /// no such partition yet.
    pub(super) fn choose(&mut self, to: (Topic, Option<usize>), record: &RecordBytes<'_>) -> Option<(usize, bool)> {
        let (topic, wanted) = to;
        let count = self.topics[topic.0].partitions.len();
        if let Some(partition) = wanted {
            return (partition < count).then_some((partition, false));
        }
        if count == 0 {
            return None;
        }
        match self.limits.partitioner {
            Partitioner::BuiltIn => self.built_in(topic, record.key),
            Partitioner::RoundRobin => Some((self.round_robin(topic), false)),
            Partitioner::Random => Some((self.random(topic), false)),
            Partitioner::UniformSticky => Some((self.cached(topic, None, record), false)),
            Partitioner::Default => Some((self.cached(topic, record.key, record), false)),
        }
    }

    fn built_in(&mut self, topic: Topic, key: Option<&[u8]>) -> Option<(usize, bool)> {
        let queues = &mut self.topics[topic.0];
        if let Some(key) = key.filter(|_| !self.limits.ignore_keys) {
            return Some((keyed_partition(key, queues.partitions.len()), false));
        }
        // RecordAccumulator.partitionChanged: what waited for the partition's batches to be full, or gone.
        let current = queues.sticky.current().and_then(|current| queues.partitions.get(current));
        if current.is_some_and(|at| at.queue.back().is_none_or(|last| last.closed)) {
            queues.sticky.appended(0, self.limits.batch_size, true);
        }
        let (partitions, times, timeout_ns) =
            (&queues.partitions, &self.node_times, self.limits.availability_timeout_ns);
        let load = |(partition, at): (usize, &Partition)| Load {
            partition,
            queued: at.ever_queued.then(|| at.queue.len() + at.again.len()),
            has_leader: at.leader.is_some(),
            in_time: timeout_ns == 0 || at.leader.is_none_or(|node| is_in_time(times.get(&node), timeout_ns)),
        };
        let mut loads = || partitions.iter().enumerate().map(load).collect();
        queues.sticky.partition(&mut loads, &mut self.choice).map(|partition| (partition, true))
    }

    /// RoundRobinPartitioner of Kafka 4: keys make no difference.
    fn round_robin(&mut self, topic: Topic) -> usize {
        let queues = &mut self.topics[topic.0];
        let turn = queues.counter;
        queues.counter = turn.wrapping_add(1);
        let places = available(&queues.partitions);
        places[turn % places.len()]
    }

    fn random(&mut self, topic: Topic) -> usize {
        let places = available(&self.topics[topic.0].partitions);
        places[self.choice.below(places.len())]
    }

    /// UniformStickyPartitioner and DefaultPartitioner of Kafka 3.9: records without a key (that counts) stay where
    /// they are until one of them would begin a new batch.
    fn cached(&mut self, topic: Topic, key: Option<&[u8]>, record: &RecordBytes<'_>) -> usize {
        let places = available(&self.topics[topic.0].partitions);
        let keyed = key.map(|key| keyed_partition(key, self.topics[topic.0].partitions.len()));
        let current = |this: &mut Self| this.topics[topic.0].cache.partition(&places, &mut this.choice);
        let partition = keyed.unwrap_or_else(|| current(self));
        if self.has_room(topic, partition, record) {
            return partition;
        }
        // Partitioner.onNewBatch, and the question once more.
        self.topics[topic.0].cache.turn(partition, &places, &mut self.choice);
        keyed.unwrap_or_else(|| current(self))
    }

    /// A node's batches are ready; `drained` says whether they could be sent (RecordAccumulator.updateNodeLatencyStats).
    pub(crate) fn note_node(&mut self, node: NodeId, now_ns: u64, drained: bool) {
        if self.limits.availability_timeout_ns == 0 {
            return;
        }
        let times = self.node_times.entry(node).or_insert(NodeTimes { ready_ns: now_ns, drained_ns: now_ns });
        times.ready_ns = now_ns;
        if drained {
            times.drained_ns = now_ns;
        }
    }
}

fn is_in_time(times: Option<&NodeTimes>, timeout_ns: u64) -> bool {
    times.is_none_or(|times| times.ready_ns.saturating_sub(times.drained_ns) <= timeout_ns)
}

/// The partitions with a leader; all of them where none has one.
fn available(partitions: &[Partition]) -> Vec<usize> {
    let led: Vec<usize> = (0..partitions.len()).filter(|at| partitions[*at].leader.is_some()).collect();
    if led.is_empty() { (0..partitions.len()).collect() } else { led }
}
