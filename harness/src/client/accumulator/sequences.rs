//! Producer id, epoch and sequence of what goes out (KIP-98, KIP-360).

use super::super::Topic;
use super::super::batch::{ProducerStamp, restamp};
use super::{Accumulator, SentBatch};

impl Accumulator {
    /// The producer id and epoch that the broker gave. Sequences begin again at 0 where they are new.
    pub(crate) fn set_identity(&mut self, id: i64, epoch: i16) {
        self.identity = Some((id, epoch));
    }

    /// Whether a producer id is wanted before anything can go out.
    pub(crate) fn wants_identity(&self) -> bool {
        self.limits.idempotence && !self.limits.transactional && self.identity.is_none()
    }

    /// The transaction knows the partition from now on.
    pub(crate) fn enter_transaction(&mut self, topic: Topic, partition: usize) {
        self.at(topic, partition).in_transaction = true;
    }

    /// Whether the transaction knows the partition.
    pub(crate) fn is_in_transaction(&self, topic: Topic, partition: usize) -> bool {
        self.topics[topic.0].partitions.get(partition).is_some_and(|at| at.in_transaction)
    }

    /// The transaction is over: the next one begins without partitions.
    pub(crate) fn leave_transaction(&mut self) {
        let partitions = self.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        partitions.for_each(|at| at.in_transaction = false);
    }

    /// Whether what goes out next of the partition is the first of another epoch: the last one is over and nothing may be
    /// written under it, or it is not the producer's any more and all that went out under it is done.
    pub(super) fn begins_epoch(&self, topic: Topic, partition: usize) -> bool {
        let at = &self.topics[topic.0].partitions[partition];
        match at.again.front() {
            // Sequences are written in order: what stands behind one that is not written is not written either.
            Some(again) => at.epoch_is_over && at.in_flight == 0 && !again.may_be_written,
            None => at.outstanding.is_empty() && (at.epoch_is_over || at.identity != self.identity),
        }
    }

    /// Begins an epoch: sequences begin again at 0, with what waits to be tried again (TxnPartitionEntry
    /// .startSequencesAtBeginning). False where the epochs are used up: a new producer id is wanted first.
    pub(super) fn renew_epoch(&mut self, topic: Topic, partition: usize) -> bool {
        let Some((id, epoch)) = self.identity else { return true };
        let at = &mut self.topics[topic.0].partitions[partition];
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
        for mut again in std::mem::take(&mut at.again) {
            again.stamp = self.next_stamp(topic, partition, again.marks.len());
            again.bytes = restamp(&again.bytes, again.stamp).expect("a batch that we sealed");
            self.at(topic, partition).again.push_back(again);
        }
        true
    }

    pub(super) fn next_stamp(&mut self, topic: Topic, partition: usize, records: usize) -> ProducerStamp {
        if !self.limits.idempotence {
            return ProducerStamp::NONE;
        }
        let at = self.at(topic, partition);
        let (id, epoch) = at.identity.unwrap_or((-1, -1));
        let sequence = at.sequence_next;
        at.sequence_next = add_sequence(sequence, records);
        at.outstanding.push_back(sequence);
        ProducerStamp { id, epoch, sequence }
    }

    /// A sequence that was given out is accounted for. False where it was not (or is of another epoch).
    pub(super) fn settle_sequence(&mut self, batch: &SentBatch) -> bool {
        let at = self.at(batch.topic, batch.partition);
        let place = at.outstanding.iter().position(|sequence| *sequence == batch.stamp.sequence);
        place.and_then(|place| at.outstanding.remove(place)).is_some()
    }
}

impl SentBatch {
    /// Whether it has a sequence.
    pub(super) fn has_stamp(&self) -> bool {
        self.stamp != ProducerStamp::NONE
    }
}

/// DefaultRecordBatch.incrementSequence: wraps from `i32::MAX` to 0.
pub(super) fn add_sequence(sequence: i32, records: usize) -> i32 {
    let sum = i64::from(sequence) + i64::try_from(records).unwrap_or(0);
    i32::try_from(sum % (i64::from(i32::MAX) + 1)).unwrap_or(0)
}
