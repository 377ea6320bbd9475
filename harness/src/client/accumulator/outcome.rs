//! What becomes of a batch that was sent, or of one that never will be.

use super::sequences::add_sequence;
use super::{Accumulator, Refusal, SentBatch, nanos};

impl Accumulator {
    /// A batch was acknowledged. Gives back its memory; the marks go back with [`Self::recycle`].
    pub(crate) fn done(&mut self, batch: &SentBatch) {
        self.land(batch);
        self.settle_sequence(batch);
        let at = self.at(batch.topic, batch.partition);
        if at.identity == Some((batch.stamp.id, batch.stamp.epoch)) {
            at.acked_sequence_next = add_sequence(batch.stamp.sequence, batch.marks.len());
        }
        self.release(batch);
    }

    /// A batch was refused, or its connection was lost. Gives it back where it is given up.
    pub(crate) fn refused(&mut self, mut batch: SentBatch, answer: Refusal, now_ns: u64) -> Option<SentBatch> {
        self.land(&batch);
        let how = self.resolve(&batch, answer);
        let expired = now_ns >= batch.created_ns().saturating_add(self.limits.delivery_timeout_ns);
        if how == Refusal::Fail || expired || batch.attempts >= self.limits.retries {
            self.give_up(&batch);
            return Some(batch);
        }
        let pause = self.limits.backoff.jittered(batch.attempts, self.choice.fraction());
        self.at(batch.topic, batch.partition).epoch_is_over |= how == Refusal::NewEpoch;
        batch.may_be_written = match answer {
            Refusal::RetryAsIs => true,
            // The broker speaks of its sequence: it is not there.
            Refusal::OutOfOrder | Refusal::NewEpoch => false,
            Refusal::Retry | Refusal::Fail => batch.may_be_written,
        };
        batch.retry_at_ns = now_ns.saturating_add(nanos(pause));
        batch.attempts += 1;
        self.requeue(batch);
        None
    }

    pub(super) fn requeue(&mut self, batch: SentBatch) {
        let at = self.at(batch.topic, batch.partition);
        let place = at.again.partition_point(|other| other.birth.place < batch.birth.place);
        at.again.insert(place, batch);
    }

    /// TransactionManager.canRetry: an out-of-order answer means a missing earlier batch, unless this one was next in
    /// line: then the broker lost its state. A transaction cannot go on after that.
    fn resolve(&self, batch: &SentBatch, how: Refusal) -> Refusal {
        let at = &self.topics[batch.topic.0].partitions[batch.partition];
        let was_next = at.acked_sequence_next == batch.stamp.sequence && !at.epoch_is_over;
        match how {
            Refusal::OutOfOrder if !was_next => Refusal::Retry,
            Refusal::OutOfOrder | Refusal::NewEpoch if self.limits.transactional => Refusal::Fail,
            Refusal::OutOfOrder => Refusal::NewEpoch,
            how => how,
        }
    }

    /// A batch that is given up leaves a gap where its sequence was.
    pub(super) fn give_up(&mut self, batch: &SentBatch) {
        if self.settle_sequence(batch) {
            self.at(batch.topic, batch.partition).epoch_is_over = true;
        }
        self.release(batch);
    }

    pub(super) fn land(&mut self, batch: &SentBatch) {
        self.at(batch.topic, batch.partition).in_flight -= 1;
    }

    fn release(&mut self, batch: &SentBatch) {
        self.free += batch.birth.charged;
        self.unfinished -= 1;
    }

    /// A batch is still in flight and its `delivery.timeout.ms` is over: an answer that comes later is nobody's.
    pub(crate) fn abandon(&mut self, batch: &SentBatch) {
        self.land(batch);
        self.give_up(batch);
    }

    /// When the oldest batch that is not in flight was begun.
    pub(crate) fn oldest_ns(&self) -> Option<u64> {
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        let again = partitions.clone().flat_map(|at| at.again.iter().map(SentBatch::created_ns));
        let queued = partitions.filter_map(|at| at.queue.front().map(|queued| queued.birth.created_ns));
        again.chain(queued).min()
    }

    /// Takes the batches that waited longer than `delivery.timeout.ms`.
    pub(crate) fn expired(&mut self, now_ns: u64) -> Vec<SentBatch> {
        let timeout_ns = self.limits.delivery_timeout_ns;
        let over = move |created: u64| created.saturating_add(timeout_ns) <= now_ns;
        self.take_waiting(&|batch| over(batch.created_ns()), &over)
    }

    /// Takes every batch that is not in flight.
    pub(crate) fn take_all(&mut self) -> Vec<SentBatch> {
        self.take_waiting(&|_| true, &|_| true)
    }

    /// Takes every batch that never went out (RecordAccumulator.abortUndrainedBatches).
    pub(crate) fn take_undrained(&mut self) -> Vec<SentBatch> {
        self.take_waiting(&|batch| !batch.has_stamp(), &|_| true)
    }

    fn take_waiting(&mut self, again: &dyn Fn(&SentBatch) -> bool, queued: &dyn Fn(u64) -> bool) -> Vec<SentBatch> {
        let mut out = Vec::new();
        for at in self.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            let (gone, kept) = std::mem::take(&mut at.again).into_iter().partition::<Vec<_>, _>(again);
            at.again = kept.into();
            out.extend(gone);
            while at.queue.front().is_some_and(|first| queued(first.birth.created_ns)) {
                out.extend(at.queue.pop_front().map(super::sent::Queued::unsent));
            }
        }
        out.iter().for_each(|batch| self.give_up(batch));
        out
    }
}
