//! The ledger: what was acknowledged, what was read, and what the difference is.
//!
//! A record that takes part carries in the first bytes of its value who wrote it, which one it is in its partition and
//! a checksum. The rest of the value stays what the load wants; the value's size does not change.
//!
//! ```text
//!   value  | sequence u64 | writer u32 | crc u32 | payload ...        (big endian)
//!          0              8            12        16
//!   crc = CRC-32C over partition i32, sequence, writer, payload
//! ```
//!
//! Invariants:
//! - A writer numbers the records of each partition 0, 1, 2, ... in the order in which it hands them to the client.
//! - The write side counts a number as acknowledged only when the broker's answer for it was seen.
//! - The read side believes nothing: a record that does not check is `corrupt`, one of another run is `foreign`.
//! - `lost` are acknowledged numbers that were not read; what was read without an acknowledgement is counted apart
//!   (a broker may write a record and lose the answer).

use std::collections::BTreeMap;

/// Bytes at the front of the value that the ledger takes.
pub const HEADER_LEN: usize = WRITER_END + size_of::<u32>();

const SEQUENCE_END: usize = size_of::<u64>();
const WRITER_END: usize = SEQUENCE_END + size_of::<u32>();

/// Who wrote a record and which of the partition's records it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// The writer: a number that no other run or producer on the topic has (random is good).
    pub writer: u32,
    /// The writer's number of the record in its partition, from 0.
    pub sequence: u64,
}

/// Why a value does not carry a stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// There is no room for one.
    #[error(
        "a value of {0} bytes has no room for the ledger's {HEADER_LEN} bytes: use records of {HEADER_LEN} bytes or more"
    )]
    TooShort(usize),
    /// The bytes are not what was written.
    #[error("the value's checksum is {found:#010x} and its bytes give {computed:#010x}")]
    Checksum {
        /// What the value says.
        found: u32,
        /// What its bytes say.
        computed: u32,
    },
}

/// Writes the stamp into the front of `value`. The rest of the value must already be what it will be.
pub fn stamp(value: &mut [u8], partition: i32, stamp: Stamp) -> Result<(), StampError> {
    let too_short = StampError::TooShort(value.len());
    let (header, payload) = value.split_at_mut_checked(HEADER_LEN).ok_or(too_short)?;
    header[..SEQUENCE_END].copy_from_slice(&stamp.sequence.to_be_bytes());
    header[SEQUENCE_END..WRITER_END].copy_from_slice(&stamp.writer.to_be_bytes());
    let crc = checksum(partition, &header[..WRITER_END], payload);
    header[WRITER_END..].copy_from_slice(&crc.to_be_bytes());
    Ok(())
}

/// Reads and checks the stamp of a value that came from `partition`.
pub fn read_stamp(value: &[u8], partition: i32) -> Result<Stamp, StampError> {
    let (header, payload) = value.split_at_checked(HEADER_LEN).ok_or(StampError::TooShort(value.len()))?;
    let computed = checksum(partition, &header[..WRITER_END], payload);
    let found = be_u32(&header[WRITER_END..]);
    if found != computed {
        return Err(StampError::Checksum { found, computed });
    }
    let sequence = (u64::from(be_u32(&header[..4])) << 32) | u64::from(be_u32(&header[4..SEQUENCE_END]));
    Ok(Stamp { writer: be_u32(&header[SEQUENCE_END..WRITER_END]), sequence })
}

fn checksum(partition: i32, numbers: &[u8], payload: &[u8]) -> u32 {
    let mut front = [0u8; size_of::<i32>() + WRITER_END];
    front[..size_of::<i32>()].copy_from_slice(&partition.to_be_bytes());
    front[size_of::<i32>()..].copy_from_slice(numbers);
    crc_fast::crc32_iscsi(&front).rotate_left(1) ^ crc_fast::crc32_iscsi(payload)
}

fn be_u32(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |value, byte| (value << 8) | u32::from(*byte))
}

/// A set of numbers, kept as ranges: a run in order is one range, whatever its length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    /// The range that grew last, `start..end`; empty at first. Not in `others`.
    last: (u64, u64),
    /// Start to end (exclusive) of the others; disjoint, none touching another.
    others: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Adds a number. False where it was there already.
    pub fn insert(&mut self, number: u64) -> bool {
        if number == self.last.1 && !self.others.contains_key(&number) && self.last.0 != self.last.1 {
            self.last.1 += 1;
            return true;
        }
        self.insert_slow(number)
    }

    fn insert_slow(&mut self, number: u64) -> bool {
        if self.contains(number) {
            return false;
        }
        self.park_last();
        let (mut start, mut end) = (number, number + 1);
        if let Some((&before, _)) = self.others.range(..number).next_back().filter(|(_, end)| **end == number) {
            self.others.remove(&before);
            start = before;
        }
        if let Some(after) = self.others.remove(&end) {
            end = after;
        }
        self.last = (start, end);
        true
    }

    fn park_last(&mut self) {
        if self.last.0 != self.last.1 {
            self.others.insert(self.last.0, self.last.1);
        }
    }

    /// Whether a number is in the set.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        (self.last.0..self.last.1).contains(&number)
            || self.others.range(..=number).next_back().is_some_and(|(_, end)| number < *end)
    }

    /// How many numbers there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.iter().map(|(start, end)| end - start).sum()
    }

    /// The ranges in order, `(start, end)` with the end exclusive.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let (start, end) = self.last;
        let before = self.others.range(..start).map(|(start, end)| (*start, *end));
        let after = self.others.range(start..).map(|(start, end)| (*start, *end));
        before.chain((start != end).then_some((start, end))).chain(after)
    }

    /// How many numbers of `other` are not in this set.
    #[must_use]
    pub fn missing_of(&self, other: &Self) -> u64 {
        let mine: Vec<(u64, u64)> = self.iter().collect();
        let mut at = 0;
        let mut missing = 0;
        for (start, end) in other.iter() {
            let mut from = start;
            while let Some(&(mine_start, mine_end)) = mine.get(at).filter(|range| range.0 < end) {
                missing += mine_start.saturating_sub(from);
                from = from.max(mine_end.min(end));
                if mine_end > end {
                    break;
                }
                at += 1;
            }
            missing += end - from;
        }
        missing
    }
}

/// The write side: numbers records and keeps which of them were acknowledged.
#[derive(Clone, Debug)]
pub struct WriteLedger {
    writer: u32,
    partitions: Vec<WrittenPartition>,
}

#[derive(Clone, Debug, Default)]
struct WrittenPartition {
    next_sequence: u64,
    acknowledged: Ranges,
    failed: u64,
}

impl WriteLedger {
    /// An empty ledger of a writer whose number no other one on the topic has.
    #[must_use]
    pub fn new(writer: u32) -> Self {
        Self { writer, partitions: Vec::new() }
    }

    /// The writer's number.
    #[must_use]
    pub fn writer(&self) -> u32 {
        self.writer
    }

    /// Stamps the value as the partition's next record and gives its number, which [`Self::acknowledged`] and
    /// [`Self::failed`] take (it fits the client's `tag`).
    pub fn stamp(&mut self, partition: i32, value: &mut [u8]) -> Result<u64, StampError> {
        let writer = self.writer;
        let at = self.partition(partition);
        let sequence = at.next_sequence;
        stamp(value, partition, Stamp { writer, sequence })?;
        at.next_sequence += 1;
        Ok(sequence)
    }

    /// The broker acknowledged a record.
    pub fn acknowledged(&mut self, partition: i32, sequence: u64) {
        self.partition(partition).acknowledged.insert(sequence);
    }

    /// A record was given up.
    pub fn failed(&mut self, partition: i32, _sequence: u64) {
        self.partition(partition).failed += 1;
    }

    /// The acknowledged numbers of a partition.
    #[must_use]
    pub fn acknowledged_of(&self, partition: i32) -> Option<&Ranges> {
        Some(&self.partitions.get(usize::try_from(partition).ok()?)?.acknowledged)
    }

    fn partition(&mut self, partition: i32) -> &mut WrittenPartition {
        let at = usize::try_from(partition).expect("Kafka numbers partitions from 0");
        if at >= self.partitions.len() {
            self.partitions.resize_with(at + 1, WrittenPartition::default);
        }
        &mut self.partitions[at]
    }
}

/// What was read of one partition, by one writer.
#[derive(Clone, Debug, Default)]
struct ReadPartition {
    seen: Ranges,
    sequence_max: Option<u64>,
    doubled: u64,
    out_of_order: u64,
}

/// The read side: checks every value, in the order in which a partition gave them.
#[derive(Clone, Debug, Default)]
pub struct ReadLedger {
    partitions: BTreeMap<(i32, u32), ReadPartition>,
    /// Records seen, whatever they were.
    pub records: u64,
    /// Records whose checksum did not match or that are too short.
    pub corrupt: u64,
    first_fault: Option<(i32, StampError)>,
}

impl ReadLedger {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next record of a partition.
    pub fn record(&mut self, partition: i32, value: &[u8]) {
        self.records += 1;
        match read_stamp(value, partition) {
            Ok(stamp) => self.partitions.entry((partition, stamp.writer)).or_default().take(stamp.sequence),
            Err(fault) => {
                self.corrupt += 1;
                self.first_fault.get_or_insert((partition, fault));
            }
        }
    }

    /// The partition and the reason of the first record that did not check.
    #[must_use]
    pub fn first_fault(&self) -> Option<(i32, StampError)> {
        self.first_fault
    }

    /// Adds what another reader saw. The two must not have read the same partition: order is not known across readers.
    pub fn merge(&mut self, other: Self) {
        self.records += other.records;
        self.corrupt += other.corrupt;
        self.first_fault = self.first_fault.or(other.first_fault);
        self.partitions.extend(other.partitions);
    }

    fn seen(&self, partition: i32, writer: u32) -> ReadPartition {
        self.partitions.get(&(partition, writer)).cloned().unwrap_or_default()
    }
}

impl ReadPartition {
    fn take(&mut self, sequence: u64) {
        if !self.seen.insert(sequence) {
            self.doubled += 1;
        } else if self.sequence_max.is_some_and(|max| sequence < max) {
            self.out_of_order += 1;
        }
        self.sequence_max = self.sequence_max.max(Some(sequence));
    }
}

/// The account of a run. All figures are records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Numbered and handed to a producer.
    pub stamped: u64,
    /// Acknowledged by the broker.
    pub acknowledged: u64,
    /// Given up by a producer.
    pub failed: u64,
    /// Read once or more, with a stamp of one of the writers.
    pub read: u64,
    /// Acknowledged and not read.
    pub lost: u64,
    /// Read again.
    pub doubled: u64,
    /// Read after a later one of the same partition and writer.
    pub out_of_order: u64,
    /// Read, and no acknowledgement was seen.
    pub unacknowledged: u64,
    /// Read, and the checksum or the length was wrong.
    pub corrupt: u64,
    /// Read, with the stamp of somebody else.
    pub foreign: u64,
}

impl Verdict {
    /// Nothing acknowledged is missing, doubled, out of order or changed.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.out_of_order == 0 && self.corrupt == 0
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} acknowledged, {} read, {} lost, {} doubled, {} out of order, {} corrupt",
            self.acknowledged, self.read, self.lost, self.doubled, self.out_of_order, self.corrupt
        )?;
        write!(
            f,
            " ({} failed, {} unacknowledged but read, {} foreign)",
            self.failed, self.unacknowledged, self.foreign
        )
    }
}

/// Lays what was written beside what was read.
#[must_use]
pub fn settle(writers: &[WriteLedger], read: &ReadLedger) -> Verdict {
    let mut verdict = Verdict { corrupt: read.corrupt, ..Verdict::default() };
    for writer in writers {
        for (partition, written) in (0i32..).zip(&writer.partitions) {
            settle_partition(&mut verdict, written, &read.seen(partition, writer.writer));
        }
    }
    verdict.foreign = read.records - read.corrupt - verdict.read - verdict.doubled;
    verdict
}

fn settle_partition(verdict: &mut Verdict, written: &WrittenPartition, read: &ReadPartition) {
    verdict.stamped += written.next_sequence;
    verdict.acknowledged += written.acknowledged.count();
    verdict.failed += written.failed;
    verdict.read += read.seen.count();
    verdict.lost += read.seen.missing_of(&written.acknowledged);
    verdict.doubled += read.doubled;
    verdict.out_of_order += read.out_of_order;
    verdict.unacknowledged += written.acknowledged.missing_of(&read.seen);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn values(ledger: &mut WriteLedger, partition: i32, count: usize) -> Vec<Vec<u8>> {
        let make = |_| {
            let mut value = vec![b'x'; 100];
            let sequence = ledger.stamp(partition, &mut value).unwrap();
            ledger.acknowledged(partition, sequence);
            value
        };
        (0..count).map(make).collect()
    }

    fn read(values: &[Vec<u8>]) -> ReadLedger {
        let mut read = ReadLedger::new();
        values.iter().for_each(|value| read.record(0, value));
        read
    }

    #[test]
    fn a_run_that_read_what_was_acknowledged_adds_up() {
        let mut written = WriteLedger::new(7);
        let read = read(&values(&mut written, 0, 1000));
        let verdict = settle(&[written], &read);
        assert!(verdict.adds_up(), "{verdict}");
        assert_eq!((verdict.acknowledged, verdict.read, verdict.foreign), (1000, 1000, 0));
    }

    #[test]
    fn lost_doubled_and_out_of_order_are_told_apart() {
        let mut written = WriteLedger::new(7);
        let mut all = values(&mut written, 0, 10);
        let third = all.remove(3);
        all.push(third.clone()); // 3 comes last: out of order
        all.push(third); // and again: doubled
        all.remove(0); // 0 is lost
        let verdict = settle(&[written], &read(&all));
        assert_eq!((verdict.lost, verdict.doubled, verdict.out_of_order), (1, 1, 1), "{verdict}");
        assert!(!verdict.adds_up());
    }

    #[test]
    fn a_changed_byte_anywhere_is_corrupt() {
        let mut written = WriteLedger::new(7);
        let value = values(&mut written, 0, 1).remove(0);
        for at in 0..value.len() {
            let mut changed = value.clone();
            changed[at] ^= 0x20;
            assert!(read_stamp(&changed, 0).is_err(), "byte {at}");
        }
        assert!(read_stamp(&value, 1).is_err(), "a record of another partition");
        assert_eq!(read_stamp(&value[..15], 0), Err(StampError::TooShort(15)));
    }

    #[test]
    fn records_of_another_run_are_foreign_and_not_lost() {
        let (mut ours, mut theirs) = (WriteLedger::new(1), WriteLedger::new(2));
        let mut all = values(&mut theirs, 0, 5);
        all.extend(values(&mut ours, 0, 5));
        let verdict = settle(&[ours], &read(&all));
        assert!(verdict.adds_up(), "{verdict}");
        assert_eq!((verdict.read, verdict.foreign), (5, 5));
    }

    #[test]
    fn a_record_read_without_an_acknowledgement_is_counted_apart() {
        let mut written = WriteLedger::new(1);
        let mut value = vec![0; 32];
        written.stamp(0, &mut value).unwrap();
        let verdict = settle(&[written], &read(&[value]));
        assert_eq!((verdict.unacknowledged, verdict.acknowledged, verdict.lost), (1, 0, 0));
    }

    proptest! {
        #[test]
        fn ranges_are_a_set(numbers in prop::collection::vec(0u64..60, 0..80), others in prop::collection::vec(0u64..60, 0..80)) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for number in numbers {
                prop_assert_eq!(ranges.insert(number), set.insert(number));
            }
            let (mut other_ranges, mut other_set) = (Ranges::default(), BTreeSet::new());
            for number in others {
                prop_assert_eq!(other_ranges.insert(number), other_set.insert(number));
            }
            prop_assert_eq!(ranges.count(), set.len() as u64);
            prop_assert!((0..60).all(|number| ranges.contains(number) == set.contains(&number)));
            prop_assert_eq!(ranges.missing_of(&other_ranges), other_set.difference(&set).count() as u64);
            let flat: Vec<u64> = ranges.iter().flat_map(|(start, end)| start..end).collect();
            prop_assert_eq!(flat, set.into_iter().collect::<Vec<_>>());
        }
    }
}
