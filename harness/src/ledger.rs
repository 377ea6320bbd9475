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
//! - What was neither acknowledged nor failed is unknown: it may be there or not.
//! - A producer without idempotence that sent records again may have written them twice, and after later ones: so many
//!   doubled and so many out of order are its own doing ([`Verdict::explained_by`]).

mod file;
mod ranges;

use std::collections::BTreeMap;

pub use file::{LedgerFile, LedgerFileError};
pub use ranges::Ranges;

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
    failed: Ranges,
}

impl WrittenPartition {
    /// Stamped, and nobody knows what became of them.
    fn unknown(&self) -> u64 {
        self.next_sequence.saturating_sub(self.acknowledged.count() + self.failed.count())
    }
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

    /// A record was given up, because the broker or the client refused it.
    pub fn failed(&mut self, partition: i32, sequence: u64) {
        self.partition(partition).failed.insert(sequence);
    }

    /// How many records were acknowledged.
    #[must_use]
    pub fn acknowledged_count(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.acknowledged.count()).sum()
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
    /// Given up by a producer because they were refused.
    pub failed: u64,
    /// Neither acknowledged nor refused.
    pub unknown: u64,
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
        self.explained_by(0)
    }

    /// As [`Self::adds_up`], for a producer without idempotence that sent `resent` records again: each of them may be
    /// there twice, or after a later one. Nothing explains what is lost or changed.
    #[must_use]
    pub fn explained_by(&self, resent: u64) -> bool {
        self.lost == 0 && self.corrupt == 0 && self.doubled <= resent && self.out_of_order <= resent
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} acknowledged, {} read, {} lost, {} doubled, {} out of order, {} changed",
            self.acknowledged, self.read, self.lost, self.doubled, self.out_of_order, self.corrupt
        )?;
        write!(
            f,
            " ({} failed, {} unknown, {} of both read; {} of others)",
            self.failed, self.unknown, self.unacknowledged, self.foreign
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
    verdict.failed += written.failed.count();
    verdict.unknown += written.unknown();
    verdict.read += read.seen.count();
    verdict.lost += read.seen.missing_of(&written.acknowledged);
    verdict.doubled += read.doubled;
    verdict.out_of_order += read.out_of_order;
    verdict.unacknowledged += written.acknowledged.missing_of(&read.seen);
}

#[cfg(test)]
mod tests {
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
    fn what_was_sent_again_without_idempotence_explains_doubles_and_order_and_nothing_else() {
        let verdict = Verdict { doubled: 3, out_of_order: 2, ..Verdict::default() };
        assert!(verdict.explained_by(3) && !verdict.explained_by(2) && !verdict.adds_up());
        assert!(!Verdict { lost: 1, ..verdict }.explained_by(u64::MAX));
        assert!(!Verdict { corrupt: 1, ..verdict }.explained_by(u64::MAX));
    }

    #[test]
    fn what_was_neither_acknowledged_nor_failed_is_unknown() {
        let mut written = WriteLedger::new(1);
        let mut value = [0; 32];
        (0..5).for_each(|_| _ = written.stamp(0, &mut value).unwrap());
        written.acknowledged(0, 0);
        written.failed(0, 3);
        let verdict = settle(&[written], &ReadLedger::new());
        assert_eq!((verdict.stamped, verdict.failed, verdict.unknown, verdict.lost), (5, 1, 3, 1));
    }

    #[test]
    fn a_record_read_without_an_acknowledgement_is_counted_apart() {
        let mut written = WriteLedger::new(1);
        let mut value = vec![0; 32];
        written.stamp(0, &mut value).unwrap();
        let verdict = settle(&[written], &read(&[value]));
        assert_eq!((verdict.unacknowledged, verdict.acknowledged, verdict.lost), (1, 0, 0));
    }
}
