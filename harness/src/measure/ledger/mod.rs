//! The ledger: what was acknowledged, what was read, and what the difference is.
//!
//! A record that takes part carries a stamp ([`stamp`]): who wrote it, which one it is in its partition and a checksum of
//! its payload. The stamp is the front of the value, or a record header where payloads must stay as they are.
//!
//! Invariants:
//! - A writer numbers the records of each partition 0, 1, 2, ... in the order in which it hands them to the client.
//! - The write side counts a number as acknowledged only when the broker's answer for it was seen; in a transaction, only
//!   when the coordinator has answered that it is committed.
//! - The read side believes nothing: a record that does not check is `corrupt`, one of another run, or that carries no
//!   stamp, is `foreign`.
//! - `lost` are acknowledged numbers that were not read; what was read without an acknowledgement is counted apart
//!   (a broker may write a record and lose the answer).
//! - What was neither acknowledged nor failed nor aborted is unknown: it may be there or not.
//! - What was aborted must not be read by who reads what is committed.
//! - A producer without idempotence that sent records again may have written them twice, and after later ones: so many
//!   doubled and so many out of order are its own doing ([`Verdict::explained_by`]).

mod file;
mod ranges;
mod stamp;
mod verdict;

use std::collections::BTreeMap;

use ringlog_wire::batch::Headers;

pub use file::{AcknowledgedBy, LedgerFile, LedgerFileError};
pub use ranges::Ranges;
pub use stamp::{HEADER_KEY, STAMP_LEN, Stamp, StampError, read_header_stamp, read_stamp, stamp, stamp_header};
pub use verdict::{Verdict, settle};

/// The write side: numbers records and keeps which of them were acknowledged.
#[derive(Clone, Debug)]
pub struct WriteLedger {
    writer: u32,
    partitions: Vec<WrittenPartition>,
}

#[derive(Clone, Debug, Default)]
struct WrittenPartition {
    next_sequence: u64,
    /// The first record of the transaction that is open, where there is one.
    transaction_first: u64,
    acknowledged: Ranges,
    failed: Ranges,
    aborted: Ranges,
}

impl WrittenPartition {
    /// Stamped, and nobody knows what became of them.
    fn unknown(&self) -> u64 {
        let known = self.acknowledged.count() + self.failed.count() + self.aborted.count();
        self.next_sequence.saturating_sub(known)
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
        self.number(partition, |next| stamp(value, partition, next))
    }

    /// As [`Self::stamp`], into the end of the record's headers: the value stays as it is.
    pub fn stamp_header(&mut self, partition: i32, value: &[u8], headers: &mut [u8]) -> Result<u64, StampError> {
        self.number(partition, |next| stamp_header(value, headers, partition, next))
    }

    fn number(&mut self, partition: i32, put: impl FnOnce(Stamp) -> Result<(), StampError>) -> Result<u64, StampError> {
        let writer = self.writer;
        let at = self.partition(partition);
        let sequence = at.next_sequence;
        put(Stamp { writer, sequence })?;
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

    /// A transaction begins: what is stamped from now on is its. What an earlier one left undecided stays unknown.
    pub fn begin_transaction(&mut self) {
        self.partitions.iter_mut().for_each(|partition| partition.transaction_first = partition.next_sequence);
    }

    /// The coordinator committed the transaction: the broker has all of it.
    pub fn commit_transaction(&mut self) {
        for partition in &mut self.partitions {
            partition.acknowledged.insert_all(partition.transaction_first, partition.next_sequence);
        }
        self.begin_transaction();
    }

    /// The coordinator aborted the transaction: nobody who reads what is committed may see any of it.
    pub fn abort_transaction(&mut self) {
        for partition in &mut self.partitions {
            partition.aborted.insert_all(partition.transaction_first, partition.next_sequence);
        }
        self.begin_transaction();
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

/// The read side: checks every record, in the order in which a partition gave them.
#[derive(Clone, Debug, Default)]
pub struct ReadLedger {
    /// Whose records others are told apart from; empty where nobody else writes to the topic.
    writers: Vec<u32>,
    partitions: BTreeMap<(i32, u32), ReadPartition>,
    /// Records seen, whatever they were.
    pub records: u64,
    /// Records whose checksum did not match or that are too short.
    pub corrupt: u64,
    first_fault: Option<(i32, StampError)>,
}

impl ReadLedger {
    /// An empty ledger of a topic that nobody else writes to: each record that does not check is corrupt.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty ledger of a topic that others write to as well, without stamps perhaps: corrupt is what claims to be of
    /// one of these writers and does not check.
    #[must_use]
    pub fn beside(writers: &[WriteLedger]) -> Self {
        Self { writers: writers.iter().map(WriteLedger::writer).collect(), ..Self::default() }
    }

    /// Takes the next record of a partition, whose stamp is in its value.
    pub fn record(&mut self, partition: i32, value: &[u8]) {
        self.take(partition, read_stamp(value, partition));
    }

    /// Takes the next record of a partition, whose stamp is in a header, or else in its value.
    pub fn record_with(&mut self, partition: i32, value: &[u8], mut headers: Headers<'_>) {
        let header = headers.find(|header| header.key == HEADER_KEY.as_bytes());
        self.take(
            partition,
            match header {
                Some(header) => read_header_stamp(header.value.unwrap_or_default(), value, partition),
                None => read_stamp(value, partition),
            },
        );
    }

    fn take(&mut self, partition: i32, found: Result<Stamp, StampError>) {
        self.records += 1;
        match found {
            Ok(stamp) => self.partitions.entry((partition, stamp.writer)).or_default().take(stamp.sequence),
            Err(fault) if self.is_of_others(fault) => {}
            Err(fault) => {
                self.corrupt += 1;
                self.first_fault.get_or_insert((partition, fault));
            }
        }
    }

    /// Whether what does not check was never ours. A record of ours whose very claim was changed is missing.
    fn is_of_others(&self, fault: StampError) -> bool {
        match fault {
            _ if self.writers.is_empty() => false,
            StampError::Checksum { writer, .. } => !self.writers.contains(&writer),
            StampError::TooShort(_) => true,
            StampError::HeaderLength(_) => false,
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
    fn beside_others_corrupt_is_only_what_claims_to_be_ours() {
        let mut written = WriteLedger::new(7);
        let mut all = values(&mut written, 0, 3);
        all[1][50] ^= 1;
        all.extend([b"short".to_vec(), vec![b'y'; 100]]);
        let mut read = ReadLedger::beside(std::slice::from_ref(&written));
        all.iter().for_each(|value| read.record(0, value));
        let verdict = settle(&[written], &read);
        assert_eq!((verdict.read, verdict.lost, verdict.corrupt, verdict.foreign), (2, 1, 1, 2), "{verdict}");
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
    fn a_transaction_is_acknowledged_or_aborted_as_a_whole_and_what_was_aborted_must_not_be_read() {
        let mut written = WriteLedger::new(1);
        let write = |written: &mut WriteLedger, partition| {
            let mut value = vec![0; 32];
            written.stamp(partition, &mut value).unwrap();
            (partition, value)
        };
        written.begin_transaction();
        let committed = [write(&mut written, 0), write(&mut written, 1)];
        written.commit_transaction();
        let aborted = [write(&mut written, 0), write(&mut written, 2)];
        written.abort_transaction();
        let open = write(&mut written, 0);
        written.begin_transaction();
        let last = write(&mut written, 0);
        written.commit_transaction();
        let settled = |read: &[&(i32, Vec<u8>)]| {
            let mut ledger = ReadLedger::new();
            read.iter().for_each(|(partition, value)| ledger.record(*partition, value));
            settle(std::slice::from_ref(&written), &ledger)
        };
        let [one, two] = &committed;
        let honest = settled(&[one, two, &open, &last]);
        assert_eq!((honest.acknowledged, honest.aborted, honest.unknown, honest.unacknowledged), (3, 2, 1, 1));
        assert!(honest.adds_up(), "{honest}");
        let seen = settled(&[one, two, &aborted[0], &last]);
        assert_eq!((seen.aborted_read, seen.unacknowledged, seen.lost), (1, 0, 0));
        assert!(!seen.explained_by(u64::MAX), "{seen}");
        assert_eq!(settled(&[one, &last]).lost, 1);
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
