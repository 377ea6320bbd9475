//! A reader of committed data: reads the transactions' topic from its beginning as a consumer does, now and then, and in each audit
//! until nothing is open any more.
//!
//! ```text
//!   begin(partition) -> request, fetched -> .. -> the last stable offset: what was committed is among it
//!                                                    in an audit: the next partition; the same again while something is open
//! ```

use std::collections::BTreeMap;
use std::fmt;

use ringlog_wire::Uuid;
use ringlog_wire::batch::{Batch, Batches};
use ringlog_wire::codec::Records;
use ringlog_wire::compression::Scratch;
use ringlog_wire::messages::fetch::{FetchRequest, PartitionData};

use super::Violation;
use super::clients::Scene;
use super::requests;
use super::transaction_book::Number;
use super::transaction_steps::PARTITIONS;

/// How often an audit looks whether what was open has ended.
const LOOKS_MAX: u32 = 80;
/// What a batch may open to.
const INFLATED_LEN_MAX: usize = 1 << 20;

/// A reading from the beginning.
#[derive(Debug, Default)]
struct Reading {
    partition: i32,
    offset: i64,
    /// The transactions of records, by offset.
    found: BTreeMap<i64, Number>,
}

/// See the head of the file.
#[derive(Default)]
pub(super) struct TransactionReader {
    reading: Option<Reading>,
    /// An audit wants readings of this partition and those behind it.
    audited: Option<i32>,
    looks: u32,
    scratch: Scratch,
}

impl TransactionReader {
    pub(super) fn is_audited(&self) -> bool {
        self.audited.is_some()
    }

    pub(super) fn begin_audit(&mut self) {
        (self.reading, self.looks, self.audited) = (None, 0, Some(0));
    }

    /// The partition that is being read.
    pub(super) fn partition(&self) -> Option<i32> {
        self.reading.as_ref().map(|reading| reading.partition)
    }

    /// How far it has read.
    pub(super) fn offset(&self) -> Option<i64> {
        self.reading.as_ref().map(|reading| reading.offset)
    }

    /// Begins a reading, where none is under way.
    pub(super) fn begin(&mut self, scene: &mut Scene) {
        if self.reading.is_none() {
            let partition = self.audited.unwrap_or_else(|| scene.dice.below(PARTITIONS as usize) as i32);
            self.reading = Some(Reading { partition, ..Reading::default() });
        }
    }

    pub(super) fn give_up(&mut self) {
        self.reading = None;
    }

    /// What is read next, of what is committed.
    pub(super) fn request(&self, scene: &mut Scene, (topic_id, partition): (Uuid, i32)) -> FetchRequest {
        let offset = self.offset().unwrap_or(0);
        let request = requests::fetch((topic_id, partition), offset, [1, 2_000, 1 << 20][scene.dice.below(3)]);
        FetchRequest { isolation_level: 1, ..request }
    }

    /// What was read. True: something is open, and an audit looks again in a while.
    pub(super) fn fetched(&mut self, scene: &mut Scene, one: &PartitionData, frame: &[u8]) -> Result<bool, Violation> {
        if let Records::At(range) = &one.records {
            self.read(scene, one, &frame[range.clone()])?;
        }
        let Some(reading) = self.reading.take_if(|reading| reading.offset >= one.last_stable_offset) else {
            return Ok(false);
        };
        let is_whole = one.last_stable_offset == one.high_watermark;
        if is_whole {
            let to = (reading.partition, one.high_watermark);
            scene.transactions.check_whole(to, &reading.found, scene.ledger.era)?;
        }
        // What a power cut takes of the transactions' log may leave one open for good, as it does in Kafka.
        self.looked(&reading, is_whole || scene.ledger.era > 0, one)
    }

    /// In an audit: on to the next partition, or once more while something is open.
    fn looked(&mut self, reading: &Reading, is_done: bool, one: &PartitionData) -> Result<bool, Violation> {
        let Some(partition) = self.audited else { return Ok(false) };
        if is_done {
            self.looks = 0;
            self.audited = Some(partition + 1).filter(|next| *next < PARTITIONS);
            return Ok(false);
        }
        self.looks += 1;
        if self.looks > LOOKS_MAX {
            let (stable, end) = (one.last_stable_offset, one.high_watermark);
            let partition = reading.partition;
            return Err(Violation(format!("partition {partition} is stable up to {stable} of {end}, and stays so")));
        }
        Ok(true)
    }

    /// Reads as a consumer does: control batches say nothing, and what is on the list of aborted transactions is passed over up to
    /// its marker.
    fn read(&mut self, scene: &Scene, one: &PartitionData, bytes: &[u8]) -> Result<(), Violation> {
        let Some(reading) = &mut self.reading else { return Ok(()) };
        let aborted = one.aborted_transactions.iter().flatten();
        let mut aborted: Vec<(i64, i64)> = aborted.map(|one| (one.first_offset, one.producer_id)).collect();
        aborted.sort_unstable();
        let mut skipped: Vec<i64> = Vec::new();
        for batch in Batches::new(bytes) {
            let at = (reading.partition, reading.offset);
            let wrong = |error: &dyn fmt::Display| Violation(format!("what was read at {at:?}: {error}"));
            let batch = batch.map_err(|error| wrong(&error))?;
            batch.check_crc().map_err(|error| wrong(&error))?;
            let header = batch.header;
            if header.next_offset() <= reading.offset || header.last_offset() >= one.last_stable_offset {
                let (last, stable) = (header.last_offset(), one.last_stable_offset);
                return Err(wrong(&format!("a batch up to {last}, stable is {stable}")));
            }
            aborted.retain(|(first, producer)| {
                let begins = *first <= header.last_offset();
                if begins {
                    skipped.push(*producer);
                }
                !begins
            });
            if header.is_control() {
                skipped.retain(|producer| *producer != header.producer_id);
            } else if !(header.is_transactional() && skipped.contains(&header.producer_id)) {
                reading.take(scene, &batch, &mut self.scratch)?;
            }
            reading.offset = header.next_offset();
        }
        Ok(())
    }
}

impl Reading {
    /// The records of a batch that counts.
    fn take(&mut self, scene: &Scene, batch: &Batch<'_>, scratch: &mut Scratch) -> Result<(), Violation> {
        let at = (self.partition, self.offset);
        let wrong = |error: &dyn fmt::Display| Violation(format!("what was read at {at:?}: {error}"));
        for record in batch.records(scratch, INFLATED_LEN_MAX).map_err(|error| wrong(&error))? {
            let record = record.map_err(|error| wrong(&error))?;
            let number = record.value.and_then(|value| value.try_into().ok()).map(Number::from_be_bytes);
            let number = number.ok_or_else(|| wrong(&"a record of nobody"))?;
            scene.transactions.check_read(number, (self.partition, record.offset), scene.ledger.era)?;
            self.found.insert(record.offset, number);
        }
        Ok(())
    }
}
