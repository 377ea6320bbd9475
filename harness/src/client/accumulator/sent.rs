//! A batch from its first record to its end.

use ringlog_io::{Buf, Slice};

use ringlog_wire::Uuid;
use ringlog_wire::batch::HEADER_LEN;
use ringlog_wire::compression::Scratch;

use super::super::batch::{OpenBatch, ProducerStamp};
use super::super::config::Compression;
use super::super::{Mark, Topic};
use super::COMPRESSION_ESTIMATION_FACTOR;

/// Where a batch's records stand among its partition's: batches are numbered as they are begun; the parts of a batch
/// that was split share its number and go by their first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) number: u64,
    pub(crate) first: u32,
}

/// What a batch keeps all its life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Birth {
    pub(super) topic: Topic,
    pub(super) partition: usize,
    pub(super) created_ns: u64,
    pub(super) charged: usize,
    pub(super) place: Place,
}

/// A batch that waits in its queue.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) batch: OpenBatch,
    pub(super) birth: Birth,
    pub(super) limit: usize,
    pub(super) closed: bool,
    /// Compressed bytes per raw byte, as they were guessed when the batch was begun; `None` without compression.
    pub(super) ratio: Option<f32>,
}

impl Queued {
    /// The bytes that the batch will take (MemoryRecordsBuilder.estimatedBytesWritten, 32-bit floats and all).
    pub(super) fn estimated_len(&self) -> usize {
        let raw_len = self.batch.raw_len();
        let Some(ratio) = self.ratio else { return raw_len };
        HEADER_LEN + ((raw_len - HEADER_LEN) as f32 * ratio * COMPRESSION_ESTIMATION_FACTOR) as usize
    }

    /// Compresses the records where a codec is set. Gives the memory that is free by it.
    pub(super) fn pack(
        &mut self,
        compression: Compression,
        scratch: &mut Scratch,
        take_buffer: &mut dyn FnMut(usize) -> Buf,
    ) -> usize {
        // Every codec takes any input; only a level that the settings refused before could fail.
        self.batch.pack(compression, self.limit, scratch, take_buffer).expect("a codec that takes any bytes");
        let kept = self.limit.max(self.batch.len()).min(self.birth.charged);
        std::mem::replace(&mut self.birth.charged, kept) - kept
    }

    /// As a batch that never went out: its bytes are gone.
    pub(super) fn unsent(self) -> SentBatch {
        SentBatch::new(self.birth, (Slice::from(Vec::new()), self.batch.into_marks()), ProducerStamp::NONE, 0)
    }
}

/// A batch on its way: sealed, out of its queue.
#[derive(Debug)]
pub(crate) struct SentBatch {
    pub(crate) topic: Topic,
    pub(crate) partition: usize,
    pub(crate) bytes: Slice,
    pub(crate) marks: Vec<Mark>,
    /// The topic's id in the request that it last went out with.
    pub(crate) topic_id: Uuid,
    /// Why it was not taken when it was tried last.
    pub(crate) refused_with: Option<&'static str>,
    pub(super) birth: Birth,
    pub(super) stamp: ProducerStamp,
    pub(super) raw_len: usize,
    pub(super) record_len_max: usize,
    pub(super) attempts: u32,
    pub(super) retry_at_ns: u64,
    /// It went out, and no answer said whether the broker has it: only its own sequence may go out with it again.
    pub(super) may_be_written: bool,
    /// The partition's count of leaders when it last went out.
    pub(super) led: u64,
    /// It is a part of a larger one.
    pub(super) is_part: bool,
}

impl SentBatch {
    pub(super) fn new(birth: Birth, (bytes, marks): (Slice, Vec<Mark>), stamp: ProducerStamp, raw_len: usize) -> Self {
        let Birth { topic, partition, .. } = birth;
        Self {
            topic,
            partition,
            bytes,
            marks,
            topic_id: Uuid::ZERO,
            refused_with: None,
            birth,
            stamp,
            raw_len,
            record_len_max: 0,
            attempts: 0,
            retry_at_ns: 0,
            may_be_written: false,
            led: 0,
            is_part: false,
        }
    }

    /// The largest of its records as Kafka counts them (ProducerBatch.maxRecordSize).
    pub(crate) fn record_len_max(&self) -> usize {
        self.record_len_max
    }

    /// Bytes before compression.
    pub(crate) fn raw_len(&self) -> usize {
        self.raw_len
    }

    /// When the first record was appended.
    pub(crate) fn created_ns(&self) -> u64 {
        self.birth.created_ns
    }

    /// Attempts that failed so far.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether it holds the record `index` of the batch `number`.
    pub(crate) fn holds(&self, number: u64, index: u32) -> bool {
        let Place { number: own, first } = self.birth.place;
        own == number && index.checked_sub(first).is_some_and(|at| (at as usize) < self.marks.len())
    }

    /// The record's place among this batch's.
    pub(crate) fn place_of(&self, index: u32) -> i64 {
        i64::from(index) - i64::from(self.birth.place.first)
    }
}

/// What to do with a batch that the broker refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Try again, after the backoff: the broker did not take it.
    Retry,
    /// Try again, as it is: the answer was lost, or leaves open whether the broker has it.
    RetryAsIs,
    /// Try again under a new epoch: the broker does not know the producer's state any more.
    NewEpoch,
    /// The sequence did not fit: an earlier batch is missing (try again), or the state is lost (a new epoch).
    OutOfOrder,
    /// Give up.
    Fail,
}
