//! Records of one partition that were received and not yet given out.
//!
//! ```text
//!   response  | ... | batch | batch | batch ...cut |        a slice of the received frame
//!                   ^ at
//!   body        the batch's records: in place, or opened into a buffer that the next batch uses again
//!               ^ position: records passed, bytes left
//! ```
//!
//! Batches of aborted transactions are passed over under read_committed, control batches always.

use std::collections::{BTreeSet, VecDeque};

use ringlog_io::Slice;
use ringlog_wire::batch::{Batch, BatchError, BatchHeader, HEADER_LEN, RecordIter};
use ringlog_wire::compression::{Codec, Scratch, decompress};

use super::{ConsumedRecord, RecordSink};

/// The most bytes that one compressed batch may open into.
const OPENED_LEN_MAX: usize = 512 << 20;

/// A producer whose transaction was aborted, from this offset on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aborted {
    pub(crate) first_offset: i64,
    pub(crate) producer_id: i64,
}

/// How records are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadRules {
    pub(crate) check_crcs: bool,
    pub(crate) read_committed: bool,
}

/// See the module's picture.
#[derive(Debug)]
pub(crate) struct Fetched {
    bytes: Slice,
    at: usize,
    current: Option<Current>,
    next_offset: i64,
    /// Leader epoch of the batch before the next offset, -1 if none was read yet.
    epoch: i32,
    aborted: VecDeque<Aborted>,
    aborting: BTreeSet<i64>,
}

#[derive(Debug)]
struct Current {
    header: BatchHeader,
    position: (i32, usize),
}

/// Memory that one fetch after the other uses: only one is in the midst of a batch at a time.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    scratch: Scratch,
    body: Vec<u8>,
}

/// The offset after a batch, and the batch's leader epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) offset: i64,
    pub(crate) epoch: i32,
}

impl End {
    fn of(header: &BatchHeader) -> Self {
        Self { offset: header.next_offset(), epoch: header.partition_leader_epoch }
    }
}

/// What one call gave out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) records: usize,
    pub(crate) bytes: u64,
}

impl Given {
    pub(crate) fn add(&mut self, other: Self) {
        self.records += other.records;
        self.bytes += other.bytes;
    }
}

impl Fetched {
    /// The record data of a partition's answer to a fetch from `offset`.
    pub(crate) fn new(bytes: Slice, offset: i64, mut aborted: Vec<Aborted>) -> Self {
        aborted.sort_by_key(|aborted| aborted.first_offset);
        Self {
            bytes,
            at: 0,
            current: None,
            next_offset: offset,
            epoch: -1,
            aborted: aborted.into(),
            aborting: BTreeSet::new(),
        }
    }

    /// The offset that is wanted next.
    pub(crate) fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// Leader epoch of the batch before the next offset, -1 if none was read yet.
    pub(crate) fn epoch(&self) -> i32 {
        self.epoch
    }

    /// If no more than `records_max` records are left: where they end, and an upper bound of how many they are.
    pub(crate) fn end_within(&self, records_max: usize) -> Option<(End, usize)> {
        let (mut left, mut end) = (records_max, End { offset: self.next_offset, epoch: self.epoch });
        if let Some(current) = &self.current {
            let unread = current.header.record_count.saturating_sub(current.position.0);
            left = left.checked_sub(usize::try_from(unread).unwrap_or(0))?;
            end = End::of(&current.header);
        }
        let current_len = self.current.as_ref().map_or(0, |current| current.header.total_len());
        let mut at = self.at + current_len;
        while let Some(header) = header_at(&self.bytes, at) {
            left = left.checked_sub(usize::try_from(header.record_count).unwrap_or(0))?;
            at += header.total_len();
            end = End::of(&header);
        }
        Some((end, records_max - left))
    }

    /// Gives out at most `records_max` records. False once all were given.
    pub(crate) fn give(
        &mut self,
        (topic, partition): (&str, i32),
        records_max: usize,
        rules: ReadRules,
        opened: &mut Opened,
        sink: &mut impl RecordSink,
    ) -> Result<(Given, bool), BatchError> {
        let mut given = Given::default();
        while given.records < records_max {
            if self.current.is_none() && !self.begin_batch(rules, opened)? {
                return Ok((given, false));
            }
            let Some(current) = &mut self.current else { continue };
            let body = body_of(&self.bytes, self.at, &current.header, opened)?;
            let mut records = RecordIter::resume(current.header, body, current.position);
            let mut ended = true;
            for record in records.by_ref() {
                let record = record?;
                if record.offset < self.next_offset {
                    continue;
                }
                let payload = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
                given.bytes += payload as u64;
                given.records += 1;
                self.next_offset = record.offset.saturating_add(1);
                sink.record(&ConsumedRecord {
                    topic,
                    partition,
                    offset: record.offset,
                    timestamp_ms: record.timestamp,
                    key: record.key,
                    value: record.value,
                    headers: record.headers,
                });
                if given.records == records_max {
                    ended = false;
                    break;
                }
            }
            current.position = records.position();
            if ended || current.position.0 >= current.header.record_count {
                self.end_batch();
            }
        }
        Ok((given, self.current.is_some() || header_at(&self.bytes, self.at).is_some()))
    }

    /// Begins the next batch that has records for us. False where there is none.
    fn begin_batch(&mut self, rules: ReadRules, opened: &mut Opened) -> Result<bool, BatchError> {
        loop {
            let bytes = self.bytes.clone();
            let batch = match Batch::parse(&bytes[self.at..]) {
                Ok(batch) => batch,
                // Nothing left, or a batch that the broker cut.
                Err(BatchError::Incomplete { .. }) => return Ok(false),
                Err(error) => return Err(error),
            };
            if rules.check_crcs {
                batch.check_crc()?;
            }
            let header = batch.header;
            // Asked of markers too: an aborted transaction whose records lie before the fetch must not outlive its marker.
            let is_aborted = self.is_aborted(&batch, rules);
            if is_aborted || header.is_control() || header.next_offset() <= self.next_offset {
                self.note_marker(&batch);
                self.pass(&header);
                continue;
            }
            let left = open(&batch, opened)?;
            self.epoch = header.partition_leader_epoch;
            self.current = Some(Current { header, position: (0, left) });
            return Ok(true);
        }
    }

    /// Kafka's CompletedFetch: a transaction is aborted from its first offset to its abort marker.
    fn is_aborted(&mut self, batch: &Batch<'_>, rules: ReadRules) -> bool {
        if !rules.read_committed || !batch.header.has_producer_id() {
            return false;
        }
        while let Some(next) = self.aborted.front().filter(|next| next.first_offset <= batch.header.last_offset()) {
            self.aborting.insert(next.producer_id);
            self.aborted.pop_front();
        }
        batch.header.is_transactional() && self.aborting.contains(&batch.header.producer_id)
    }

    /// An abort marker ends its producer's aborted transaction. Marker keys are `version i16, type i16`, type 0 aborts.
    fn note_marker(&mut self, batch: &Batch<'_>) {
        let position = (0, batch.body().len());
        let first = RecordIter::resume(batch.header, batch.body(), position).next();
        let key = first.and_then(Result::ok).and_then(|record| record.key);
        if batch.header.is_control() && key.is_some_and(|key| key.get(2..4) == Some(&[0, 0])) {
            self.aborting.remove(&batch.header.producer_id);
        }
    }

    fn pass(&mut self, header: &BatchHeader) {
        self.at += header.total_len();
        self.epoch = header.partition_leader_epoch;
        self.next_offset = self.next_offset.max(header.next_offset());
    }

    fn end_batch(&mut self) {
        if let Some(current) = self.current.take() {
            self.pass(&current.header);
        }
    }
}

fn header_at(bytes: &[u8], at: usize) -> Option<BatchHeader> {
    Batch::parse(bytes.get(at..)?).ok().map(|batch| batch.header)
}

/// Opens a compressed batch. Gives the length of its records.
fn open(batch: &Batch<'_>, opened: &mut Opened) -> Result<usize, BatchError> {
    let codec = batch.header.codec()?;
    if codec == Codec::None {
        return Ok(batch.body().len());
    }
    opened.body.clear();
    decompress(codec, batch.body(), OPENED_LEN_MAX, &mut opened.body, &mut opened.scratch)?;
    Ok(opened.body.len())
}

fn body_of<'a>(bytes: &'a Slice, at: usize, header: &BatchHeader, opened: &'a Opened) -> Result<&'a [u8], BatchError> {
    let end = at + header.total_len();
    Ok(if header.codec()? == Codec::None { &bytes[at + HEADER_LEN..end] } else { &opened.body })
}

#[cfg(test)]
#[path = "fetched_tests.rs"]
mod tests;
