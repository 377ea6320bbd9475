//! Who produced into a partition: sequences, epochs, open transactions (`ProducerStateManager`, `ProducerAppendInfo`).
//!
//! For each producer the last five batches are kept, because a client has at most five requests under way and may send
//! any of them again. A batch that is one of them is answered with its first offset; any other must follow the last.

use std::collections::{BTreeMap, BTreeSet};

use crate::AppendError;
use crate::aborted::Aborted;
use crate::marker::Marker;
use ringlog_wire::batch::BatchHeader;

/// "No epoch", "no sequence" on the wire.
const NO_PRODUCER_EPOCH: i16 = -1;
const NO_SEQUENCE: i32 = -1;
/// Batches remembered for each producer (`ProducerStateEntry.NUM_BATCHES_TO_RETAIN`).
const BATCHES_KEPT: usize = 5;

/// A batch that a producer sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SentBatch {
    pub(crate) last_sequence: i32,
    pub(crate) last_offset: i64,
    pub(crate) offset_delta: i32,
    pub(crate) timestamp_ms: i64,
}

impl SentBatch {
    pub(crate) fn base_offset(&self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }

    fn first_sequence(&self) -> i32 {
        sequence_before(self.last_sequence, self.offset_delta)
    }
}

/// The producers of a log that was closed, for who opens it next in the same run: a snapshot, as Kafka's, keeps the last batch of
/// each alone, and one of the four before it that is sent again would be out of order.
#[derive(Debug)]
pub struct KnownProducers {
    pub(crate) end_offset: i64,
    pub(crate) producers: Producers,
}

/// What is known of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) epoch: i16,
    /// Of the last transaction marker; -1 before the first.
    pub(crate) coordinator_epoch: i32,
    pub(crate) last_timestamp_ms: i64,
    /// First offset of the open transaction.
    pub(crate) transaction_from: Option<i64>,
    batches: [SentBatch; BATCHES_KEPT],
    batches_len: usize,
}

impl Default for Producer {
    fn default() -> Self {
        Self::new(NO_PRODUCER_EPOCH, -1, -1, None)
    }
}

impl Producer {
    pub(crate) fn new(
        epoch: i16,
        coordinator_epoch: i32,
        last_timestamp_ms: i64,
        transaction_from: Option<i64>,
    ) -> Self {
        let batches = [SentBatch::default(); BATCHES_KEPT];
        Self { epoch, coordinator_epoch, last_timestamp_ms, transaction_from, batches, batches_len: 0 }
    }

    pub(crate) fn batches(&self) -> &[SentBatch] {
        &self.batches[..self.batches_len]
    }

    pub(crate) fn push_batch(&mut self, batch: SentBatch) {
        if self.batches_len == BATCHES_KEPT {
            self.batches.rotate_left(1);
            self.batches_len -= 1;
        }
        self.batches[self.batches_len] = batch;
        self.batches_len += 1;
    }

    /// Takes batches of the same epoch beside those that are known; the last ones of both are kept.
    fn remember(&mut self, others: impl Iterator<Item = SentBatch>) {
        let all: BTreeMap<i64, SentBatch> =
            others.chain(self.batches().iter().copied()).map(|batch| (batch.last_offset, batch)).collect();
        self.batches_len = 0;
        all.into_values().for_each(|batch| self.push_batch(batch));
    }

    pub(crate) fn last_sequence(&self) -> i32 {
        self.batches().last().map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    fn duplicate_of(&self, header: &BatchHeader) -> Option<SentBatch> {
        let last_sequence = header.last_sequence();
        let same =
            |batch: &&SentBatch| batch.first_sequence() == header.base_sequence && batch.last_sequence == last_sequence;
        if header.producer_epoch == self.epoch { self.batches().iter().find(same).copied() } else { None }
    }

    fn check_epoch(&self, header: &BatchHeader) -> Result<(), AppendError> {
        if header.producer_epoch >= self.epoch { Ok(()) } else { Err(self.invalid_epoch(header)) }
    }

    fn invalid_epoch(&self, header: &BatchHeader) -> AppendError {
        AppendError::InvalidProducerEpoch {
            producer_id: header.producer_id,
            epoch: header.producer_epoch,
            current: self.epoch,
        }
    }

    /// A new epoch begins at 0. A producer of whom nothing is known (its records may have been deleted) begins anywhere.
    fn check_sequence(&self, header: &BatchHeader) -> Result<(), AppendError> {
        let unknown = self.epoch == NO_PRODUCER_EPOCH;
        let follows = if header.producer_epoch == self.epoch {
            header.base_sequence == sequence_after(self.last_sequence(), 1)
        } else {
            header.base_sequence == 0
        };
        if unknown || follows {
            return Ok(());
        }
        let last_sequence = if header.producer_epoch == self.epoch { self.last_sequence() } else { NO_SEQUENCE };
        Err(AppendError::OutOfOrderSequence {
            producer_id: header.producer_id,
            sequence: header.base_sequence,
            last_sequence,
        })
    }

    fn enter_epoch(&mut self, epoch: i16) {
        if epoch != self.epoch {
            self.epoch = epoch;
            self.batches_len = 0;
        }
    }
}

/// What a batch of a producer turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// New: append it.
    Append,
    /// It is there already.
    Duplicate(SentBatch),
}

/// A transaction that a marker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ended {
    first_offset: i64,
    marker_offset: i64,
}

/// All producers of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Producers {
    known: BTreeMap<i64, Producer>,
    /// First offsets of open transactions.
    open: BTreeSet<i64>,
    /// Ended transactions whose marker is not visible yet: their records are not stable before it is.
    ended: Vec<Ended>,
}

impl Producers {
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &Producer)> {
        self.known.iter().map(|(id, producer)| (*id, producer))
    }

    pub(crate) fn is_in_transaction(&self, producer_id: i64, epoch: i16) -> bool {
        let producer = self.known.get(&producer_id);
        producer.is_some_and(|producer| producer.transaction_from.is_some() && producer.epoch == epoch)
    }

    /// Puts a producer of a snapshot in place.
    pub(crate) fn insert(&mut self, producer_id: i64, producer: Producer) {
        self.open.extend(producer.transaction_from);
        self.known.insert(producer_id, producer);
    }

    /// Checks a data batch of a client: `UnifiedLog.analyzeAndValidateProducerState`. Changes nothing.
    pub(crate) fn check(&self, header: &BatchHeader) -> Result<Verdict, AppendError> {
        let Some(producer) = self.known.get(&header.producer_id) else { return Ok(Verdict::Append) };
        #[cfg(feature = "plant")]
        if ringlog_io::plant::is(ringlog_io::plant::DUPLICATE_ACCEPTED) && producer.duplicate_of(header).is_some() {
            return Ok(Verdict::Append);
        }
        if let Some(duplicate) = producer.duplicate_of(header) {
            return Ok(Verdict::Duplicate(duplicate));
        }
        producer.check_epoch(header)?;
        producer.check_sequence(header)?;
        self.check_transaction(header)?;
        Ok(Verdict::Append)
    }

    /// The same of a client in a transaction of version 2 (KIP-890). Each of its transactions has an epoch of its own, so that a
    /// producer of whom nothing is known begins at sequence 0: any other one has lost what came before.
    pub(crate) fn check_tv2(&self, header: &BatchHeader) -> Result<Verdict, AppendError> {
        let is_known = self.known.get(&header.producer_id).is_some_and(|producer| producer.epoch != NO_PRODUCER_EPOCH);
        if !is_known && header.base_sequence != 0 {
            return Err(AppendError::OutOfOrderSequence {
                producer_id: header.producer_id,
                sequence: header.base_sequence,
                last_sequence: NO_SEQUENCE,
            });
        }
        self.check(header)
    }

    /// Checks a data batch of a coordinator: its epoch, no sequences.
    pub(crate) fn check_coordinator(&self, header: &BatchHeader) -> Result<(), AppendError> {
        let Some(producer) = self.known.get(&header.producer_id) else { return Ok(()) };
        producer.check_epoch(header)?;
        self.check_transaction(header)
    }

    fn check_transaction(&self, header: &BatchHeader) -> Result<(), AppendError> {
        let open = self.known.get(&header.producer_id).is_some_and(|producer| producer.transaction_from.is_some());
        if open && !header.is_transactional() {
            return Err(AppendError::InvalidTransactionState { producer_id: header.producer_id });
        }
        Ok(())
    }

    /// Checks a transaction marker. One of version 2 bears a later epoch than the records that it ends: with the epoch of an open
    /// transaction it is late, and meant the one before. Where none is open it may have been written once already (KAFKA-19999).
    pub(crate) fn check_marker(&self, header: &BatchHeader, marker: Marker, is_tv2: bool) -> Result<(), AppendError> {
        let Some(producer) = self.known.get(&header.producer_id) else { return Ok(()) };
        producer.check_epoch(header)?;
        if is_tv2 && header.producer_epoch == producer.epoch && producer.transaction_from.is_some() {
            return Err(producer.invalid_epoch(header));
        }
        if marker.coordinator_epoch < producer.coordinator_epoch {
            return Err(AppendError::CoordinatorFenced {
                producer_id: header.producer_id,
                epoch: marker.coordinator_epoch,
                current: producer.coordinator_epoch,
            });
        }
        Ok(())
    }

    /// Takes a data batch, whose header has its offset, into the state.
    pub(crate) fn data(&mut self, header: &BatchHeader) {
        let producer = self.known.entry(header.producer_id).or_default();
        producer.enter_epoch(header.producer_epoch);
        producer.push_batch(SentBatch {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp_ms: header.max_timestamp,
        });
        producer.last_timestamp_ms = header.max_timestamp;
        if header.is_transactional() && producer.transaction_from.is_none() {
            producer.transaction_from = Some(header.base_offset);
            self.open.insert(header.base_offset);
        }
    }

    /// Takes a marker into the state. Gives the transaction where it was aborted and had records.
    pub(crate) fn marker(&mut self, header: &BatchHeader, marker: Marker) -> Option<Aborted> {
        let producer = self.known.entry(header.producer_id).or_default();
        producer.enter_epoch(header.producer_epoch);
        producer.coordinator_epoch = marker.coordinator_epoch;
        producer.last_timestamp_ms = header.max_timestamp;
        let first_offset = producer.transaction_from.take()?;
        self.open.remove(&first_offset);
        let last_offset = header.last_offset();
        self.ended.push(Ended { first_offset, marker_offset: last_offset });
        let last_stable_offset = self.open.first().copied().unwrap_or(last_offset + 1);
        marker.aborted.then_some(Aborted {
            producer_id: header.producer_id,
            first_offset,
            last_offset,
            last_stable_offset,
        })
    }

    /// Takes over what a snapshot does not hold, from the same partition before it was opened again: the batches before a
    /// producer's last one, which it may send again, and which ended transactions readers see as open. What lies at or above
    /// `end_offset` was refused.
    pub(crate) fn carry_on(&mut self, before: &Self, end_offset: i64) {
        self.ended = before.ended.iter().filter(|ended| ended.marker_offset < end_offset).copied().collect();
        #[cfg(feature = "plant")]
        if ringlog_io::plant::is(ringlog_io::plant::PRODUCER_FORGOTTEN) {
            return;
        }
        for (id, producer) in &mut self.known {
            let live = before.known.get(id).filter(|live| live.epoch == producer.epoch);
            let appended = live.into_iter().flat_map(Producer::batches).filter(|batch| batch.last_offset < end_offset);
            producer.remember(appended.copied());
        }
    }

    /// Forgets ended transactions whose marker is visible.
    pub(crate) fn visible_below(&mut self, high_watermark: i64) {
        self.ended.retain(|ended| ended.marker_offset >= high_watermark);
    }

    /// The first offset whose transaction is not decided, or not visibly so.
    pub(crate) fn first_unstable(&self, high_watermark: i64) -> Option<i64> {
        let hidden = self.ended.iter().filter(|ended| ended.marker_offset >= high_watermark);
        let ended = hidden.map(|ended| ended.first_offset).min();
        [self.open.first().copied(), ended].into_iter().flatten().min()
    }

    /// Forgets producers that were silent for long and have no transaction open.
    pub(crate) fn expire(&mut self, wall_ms: i64, expiration_ms: i64) {
        self.known.retain(|_, producer| {
            producer.transaction_from.is_some() || wall_ms.saturating_sub(producer.last_timestamp_ms) < expiration_ms
        });
    }
}

/// `DefaultRecordBatch.incrementSequence`: wraps from 2^31-1 to 0.
fn sequence_after(sequence: i32, increment: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(increment);
    i32::try_from(sum % (i64::from(i32::MAX) + 1)).unwrap_or(NO_SEQUENCE)
}

/// `DefaultRecordBatch.decrementSequence`.
fn sequence_before(sequence: i32, decrement: i32) -> i32 {
    let difference = i64::from(sequence) - i64::from(decrement);
    let wrapped = if difference < 0 { difference + i64::from(i32::MAX) + 1 } else { difference };
    i32::try_from(wrapped).unwrap_or(NO_SEQUENCE)
}
