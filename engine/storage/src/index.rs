//! The two sparse indexes of a segment, in Kafka's bytes (`OffsetIndex`, `TimeIndex`).
//!
//! ```text
//!   .index entry      | relative offset u32 | position u32 |             8 bytes
//!   .timeindex entry  | timestamp i64 | relative offset u32 |           12 bytes
//! ```
//!
//! An offset entry names the *last* offset of a batch and the position where that batch begins; it is written before the
//! first batch that begins more than `index.interval.bytes` after the last entry's batch. A time entry names the largest
//! timestamp so far and the last offset of the batch that has it; it is written beside an offset entry, and when the
//! segment is sealed, but only where the timestamp grew.

const RELATIVE_LEN: usize = size_of::<u32>();
const POSITION_LEN: usize = size_of::<u32>();
const TIMESTAMP_LEN: usize = size_of::<i64>();
/// Bytes of one entry of an offset index.
pub(crate) const OFFSET_ENTRY_LEN: usize = RELATIVE_LEN + POSITION_LEN;
/// Bytes of one entry of a timestamp index.
pub(crate) const TIME_ENTRY_LEN: usize = TIMESTAMP_LEN + RELATIVE_LEN;
/// "No timestamp" (`RecordBatch.NO_TIMESTAMP`).
pub(crate) const NO_TIMESTAMP: i64 = -1;

/// The offset index as the bytes of its file.
#[derive(Clone, Copy)]
pub(crate) struct OffsetIndex<'a> {
    bytes: &'a [u8],
    base_offset: i64,
}

/// Where a batch begins, and its last offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    pub(crate) last_offset: i64,
    pub(crate) position: u64,
}

impl<'a> OffsetIndex<'a> {
    pub(crate) fn new(bytes: &'a [u8], base_offset: i64) -> Self {
        Self { bytes, base_offset }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() / OFFSET_ENTRY_LEN
    }

    pub(crate) fn entry(&self, i: usize) -> OffsetEntry {
        let bytes = &self.bytes[i * OFFSET_ENTRY_LEN..];
        OffsetEntry {
            last_offset: self.base_offset + i64::from(u32_at(bytes, 0)),
            position: u64::from(u32_at(bytes, RELATIVE_LEN)),
        }
    }

    pub(crate) fn last(&self) -> Option<OffsetEntry> {
        self.len().checked_sub(1).map(|i| self.entry(i))
    }

    /// A position from which a walk meets the batch that holds `offset`: no batch before it has that offset.
    pub(crate) fn position_before(&self, offset: i64) -> u64 {
        match self.count_while(|entry| entry.last_offset <= offset) {
            0 => 0,
            n => self.entry(n - 1).position,
        }
    }

    /// The largest batch start at or below `limit` that the index knows.
    pub(crate) fn boundary_at_or_below(&self, limit: u64) -> Option<u64> {
        self.count_while(|entry| entry.position <= limit).checked_sub(1).map(|i| self.entry(i).position)
    }

    /// The first entry at or after a position.
    pub(crate) fn entry_from(&self, position: u64) -> Option<OffsetEntry> {
        let i = self.count_while(|entry| entry.position < position);
        (i < self.len()).then(|| self.entry(i))
    }

    fn count_while(&self, holds: impl Fn(OffsetEntry) -> bool) -> usize {
        partition_point(self.len(), |i| holds(self.entry(i)))
    }

    /// Whether entries grow, lie inside the log and fill the file; the reason where not (`OffsetIndex.sanityCheck` looks
    /// at the last entry only).
    pub(crate) fn check(&self, log_size: u64) -> Result<(), String> {
        if !self.bytes.len().is_multiple_of(OFFSET_ENTRY_LEN) {
            return Err(format!("{} bytes are no whole number of entries", self.bytes.len()));
        }
        let mut before = OffsetEntry { last_offset: self.base_offset - 1, position: 0 };
        for i in 0..self.len() {
            let entry = self.entry(i);
            let grows = entry.last_offset > before.last_offset && (i == 0 || entry.position > before.position);
            if !grows || entry.position >= log_size {
                return Err(format!("entry {i} is {entry:?} after {before:?} in a log of {log_size} bytes"));
            }
            before = entry;
        }
        Ok(())
    }
}

/// The timestamp index as the bytes of its file.
#[derive(Clone, Copy)]
pub(crate) struct TimeIndex<'a> {
    bytes: &'a [u8],
    base_offset: i64,
}

/// A largest timestamp so far, and the last offset of the batch that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    pub(crate) timestamp_ms: i64,
    pub(crate) last_offset: i64,
}

impl<'a> TimeIndex<'a> {
    pub(crate) fn new(bytes: &'a [u8], base_offset: i64) -> Self {
        Self { bytes, base_offset }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() / TIME_ENTRY_LEN
    }

    pub(crate) fn entry(&self, i: usize) -> TimeEntry {
        let bytes = &self.bytes[i * TIME_ENTRY_LEN..];
        TimeEntry {
            timestamp_ms: i64_at(bytes, 0),
            last_offset: self.base_offset + i64::from(u32_at(bytes, TIMESTAMP_LEN)),
        }
    }

    pub(crate) fn last(&self) -> Option<TimeEntry> {
        self.len().checked_sub(1).map(|i| self.entry(i))
    }

    /// An offset before which no record has a timestamp at or above `timestamp_ms`.
    pub(crate) fn offset_before(&self, timestamp_ms: i64) -> i64 {
        match partition_point(self.len(), |i| self.entry(i).timestamp_ms < timestamp_ms) {
            0 => self.base_offset,
            n => self.entry(n - 1).last_offset,
        }
    }

    /// Whether entries grow and fill the file; the reason where not.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !self.bytes.len().is_multiple_of(TIME_ENTRY_LEN) {
            return Err(format!("{} bytes are no whole number of entries", self.bytes.len()));
        }
        let mut before = TimeEntry { timestamp_ms: NO_TIMESTAMP, last_offset: self.base_offset - 1 };
        for i in 0..self.len() {
            let entry = self.entry(i);
            if entry.timestamp_ms <= before.timestamp_ms || entry.last_offset <= before.last_offset {
                return Err(format!("entry {i} is {entry:?} after {before:?}"));
            }
            before = entry;
        }
        Ok(())
    }
}

/// Both indexes of a segment that grows. The bytes are those of the files.
#[derive(Clone, Debug)]
pub(crate) struct IndexBuilder {
    base_offset: i64,
    interval_bytes: u64,
    last_entry_position: u64,
    offsets: Vec<u8>,
    times: Vec<u8>,
    largest: TimeEntry,
    last_time_entry_ms: i64,
}

impl IndexBuilder {
    pub(crate) fn new(base_offset: i64, interval_bytes: u32) -> Self {
        Self::resume(base_offset, interval_bytes, Vec::new(), Vec::new())
    }

    /// Goes on where checked files end.
    pub(crate) fn resume(base_offset: i64, interval_bytes: u32, offsets: Vec<u8>, times: Vec<u8>) -> Self {
        let last_entry_position = OffsetIndex::new(&offsets, base_offset).last().map_or(0, |entry| entry.position);
        let nothing = TimeEntry { timestamp_ms: NO_TIMESTAMP, last_offset: base_offset };
        let largest = TimeIndex::new(&times, base_offset).last().unwrap_or(nothing);
        Self {
            base_offset,
            interval_bytes: u64::from(interval_bytes),
            last_entry_position,
            offsets,
            times,
            largest,
            last_time_entry_ms: largest.timestamp_ms,
        }
    }

    /// Takes note of a batch at `position`, and writes entries where they are due.
    pub(crate) fn add(&mut self, position: u64, last_offset: i64, max_timestamp_ms: i64) {
        if max_timestamp_ms > self.largest.timestamp_ms {
            self.largest = TimeEntry { timestamp_ms: max_timestamp_ms, last_offset };
        }
        if self.due(position) {
            self.push_offset(position, last_offset);
            self.push_time();
        }
    }

    /// Whether a batch that begins at `position` gets an entry.
    pub(crate) fn due(&self, position: u64) -> bool {
        position - self.last_entry_position > self.interval_bytes
    }

    /// Writes the last time entry of a segment that gets no more batches.
    pub(crate) fn seal(&mut self) {
        self.push_time();
    }

    fn push_offset(&mut self, position: u64, last_offset: i64) {
        let (Ok(relative), Ok(place)) = (u32::try_from(last_offset - self.base_offset), u32::try_from(position)) else {
            debug_assert!(false, "a segment is rolled before its offsets or positions overflow");
            return;
        };
        self.offsets.extend_from_slice(&relative.to_be_bytes());
        self.offsets.extend_from_slice(&place.to_be_bytes());
        self.last_entry_position = position;
    }

    fn push_time(&mut self) {
        if self.largest.timestamp_ms <= self.last_time_entry_ms {
            return;
        }
        let Ok(relative) = u32::try_from(self.largest.last_offset - self.base_offset) else {
            debug_assert!(false, "a segment is rolled before its offsets overflow");
            return;
        };
        self.times.extend_from_slice(&self.largest.timestamp_ms.to_be_bytes());
        self.times.extend_from_slice(&relative.to_be_bytes());
        self.last_time_entry_ms = self.largest.timestamp_ms;
    }

    /// Whether either file has room for no further entry (`AbstractIndex.isFull`, `TimeIndex.isFull`).
    pub(crate) fn is_full(&self, max_index_bytes: u32) -> bool {
        let max = max_index_bytes as usize;
        self.offsets.len() / OFFSET_ENTRY_LEN >= max / OFFSET_ENTRY_LEN
            || self.times.len() / TIME_ENTRY_LEN + 1 >= max / TIME_ENTRY_LEN
    }

    pub(crate) fn offsets(&self) -> OffsetIndex<'_> {
        OffsetIndex::new(&self.offsets, self.base_offset)
    }

    pub(crate) fn times(&self) -> TimeIndex<'_> {
        TimeIndex::new(&self.times, self.base_offset)
    }

    pub(crate) fn offset_bytes(&self) -> &[u8] {
        &self.offsets
    }

    pub(crate) fn time_bytes(&self) -> &[u8] {
        &self.times
    }

    /// The largest timestamp of the segment; `NO_TIMESTAMP` where it has none.
    pub(crate) fn largest(&self) -> TimeEntry {
        self.largest
    }

    pub(crate) fn set_interval(&mut self, interval_bytes: u32) {
        self.interval_bytes = u64::from(interval_bytes);
    }
}

fn partition_point(len: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut raw = [0; 4];
    raw.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(raw)
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    let mut raw = [0; 8];
    raw.copy_from_slice(&bytes[at..at + 8]);
    i64::from_be_bytes(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Batches of 3000 bytes and two records each, timestamps 100, 101, ...
    fn built(batches: i64) -> IndexBuilder {
        let mut builder = IndexBuilder::new(10, 4096);
        for i in 0..batches {
            builder.add(3000 * i as u64, 10 + 2 * i + 1, 100 + i);
        }
        builder
    }

    #[test]
    fn an_entry_is_written_before_the_batch_that_begins_beyond_the_interval() {
        let builder = built(7);
        let entries: Vec<_> = (0..builder.offsets().len()).map(|i| builder.offsets().entry(i)).collect();
        assert_eq!(
            entries,
            [6000, 12000, 18000]
                .map(|position| OffsetEntry { last_offset: 10 + 2 * (position as i64 / 3000) + 1, position })
        );
        assert_eq!(builder.times().last(), Some(TimeEntry { timestamp_ms: 106, last_offset: 23 }));
    }

    #[test]
    fn lookups_find_the_floor() {
        let builder = built(7);
        let index = builder.offsets();
        assert_eq!(index.position_before(10), 0);
        assert_eq!(index.position_before(14), 0);
        assert_eq!(index.position_before(15), 6000);
        assert_eq!(index.position_before(i64::MAX), 18000);
        assert_eq!(index.boundary_at_or_below(5999), None);
        assert_eq!(index.boundary_at_or_below(12001), Some(12000));
        assert_eq!(index.entry_from(12001).map(|entry| entry.position), Some(18000));
        assert_eq!(builder.times().offset_before(102), 10);
        assert_eq!(builder.times().offset_before(103), 15);
    }

    #[test]
    fn sealing_adds_the_last_timestamp_once() {
        let mut builder = built(8);
        builder.seal();
        builder.seal();
        assert_eq!(builder.times().len(), 4);
        assert_eq!(builder.times().last(), Some(TimeEntry { timestamp_ms: 107, last_offset: 25 }));
    }

    #[test]
    fn damage_is_found() {
        let builder = built(7);
        let good = builder.offset_bytes().to_vec();
        assert_eq!(OffsetIndex::new(&good, 10).check(21_000), Ok(()));
        assert!(OffsetIndex::new(&good, 10).check(18_000).is_err(), "an entry beyond the log");
        assert!(OffsetIndex::new(&good[1..], 10).check(21_000).is_err(), "a torn length");
        let mut padded = good.clone();
        padded.extend_from_slice(&[0; 8]);
        assert!(OffsetIndex::new(&padded, 10).check(21_000).is_err(), "zeros after the end");
        let mut times = builder.time_bytes().to_vec();
        assert_eq!(TimeIndex::new(&times, 10).check(), Ok(()));
        times.extend_from_slice(&[0; 12]);
        assert!(TimeIndex::new(&times, 10).check().is_err());
    }

    #[test]
    fn a_full_index_is_full_one_time_entry_early() {
        let builder = built(7);
        assert!(builder.is_full(24) && builder.is_full(48) && !builder.is_full(60));
    }
}
