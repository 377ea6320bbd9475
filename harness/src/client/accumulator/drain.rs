//! What may go to a node now, and when more will.

use ringlog_io::Buf;

use super::super::{NodeId, Topic};
use super::sent::Queued;
use super::{Accumulator, Partition, SentBatch};

enum Drained {
    Nothing,
    DoesNotFit,
    Batch(SentBatch),
}

impl Accumulator {
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
            return Some(rested_at(at, again));
        }
        let first = at.queue.front()?;
        let now = at.queue.len() > 1 || first.closed || self.exhausted || self.flushing;
        Some(if now { 0 } else { first.birth.created_ns.saturating_add(self.limits.linger_ns) })
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
        if self.limits.transactional && !self.may_drain_in_transaction(at, identity) {
            return false;
        }
        match at.again.front() {
            // The next in line, and alone: RecordAccumulator.shouldStopDrainBatchesForPartition.
            Some(again) => {
                at.outstanding.front() == Some(&again.stamp.sequence) && (at.in_flight == 0 || !at.epoch_is_over)
            }
            // What is new waits for the end of what is old, where another epoch begins between them.
            None => at.outstanding.is_empty() || (!at.epoch_is_over && at.identity == Some(identity)),
        }
    }

    /// Nothing goes out before the coordinator knows the partition; after a gap nothing until the next epoch.
    fn may_drain_in_transaction(&self, at: &Partition, identity: (i64, i16)) -> bool {
        at.in_transaction && !(at.epoch_is_over && at.identity == Some(identity))
    }

    /// The next time at which something becomes ready, for how long to wait.
    pub(crate) fn next_deadline_ns(&self) -> Option<u64> {
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        let waiting = partitions.filter(|at| !at.queue.is_empty() || !at.again.is_empty());
        waiting.filter_map(|at| self.ready_at(at).filter(|_| self.may_drain(at) && at.leader.is_some())).min()
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
        let at = &self.topics[topic.0].partitions[partition];
        if !self.may_drain(at) || at.again.front().is_some_and(|again| rested_at(at, again) > now_ns) {
            return Drained::Nothing;
        }
        let len = match (at.again.front(), at.queue.front()) {
            (Some(again), _) => again.bytes.len(),
            (None, Some(first)) => first.estimated_len(),
            (None, None) => return Drained::Nothing,
        };
        if len > room && !is_first {
            return Drained::DoesNotFit;
        }
        if self.begins_epoch(topic, partition) && !self.renew_epoch(topic, partition) {
            return Drained::Nothing;
        }
        let mut sent = match self.at(topic, partition).again.pop_front() {
            Some(again) => again,
            None => self.seal_first(topic, partition, take_buffer),
        };
        let at = self.at(topic, partition);
        at.in_flight += 1;
        sent.led = at.leader_changes;
        Drained::Batch(sent)
    }

    fn seal_first(&mut self, topic: Topic, partition: usize, take_buffer: &mut dyn FnMut(usize) -> Buf) -> SentBatch {
        let mut queued = self.at(topic, partition).queue.pop_front().expect("the caller saw one");
        self.free += queued.pack(self.limits.compression, &mut self.scratch, take_buffer);
        let Queued { batch, birth, .. } = queued;
        let stamp = self.next_stamp(topic, partition, batch.count());
        let (raw_len, record_len_max) = (batch.raw_len(), batch.record_len_max());
        // Every codec takes any input; only a level that the settings refused before could fail.
        let sealed = batch
            .seal(self.limits.seal(), stamp, &mut self.scratch, take_buffer)
            .expect("a codec that takes any bytes");
        self.learn_ratio(topic, raw_len, sealed.0.len());
        SentBatch { record_len_max, ..SentBatch::new(birth, sealed, stamp, raw_len) }
    }
}

/// A batch rests before it goes out again, unless its partition has another leader by now (KIP-951).
fn rested_at(at: &Partition, again: &SentBatch) -> u64 {
    if again.led == at.leader_changes { again.retry_at_ns } else { 0 }
}
