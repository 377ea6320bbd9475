//! What was written beside what was read, and what is made of the difference.

use super::{ReadLedger, ReadPartition, WriteLedger, WrittenPartition};

/// The account of a run. All figures are records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Numbered and handed to a producer.
    pub stamped: u64,
    /// Acknowledged by the broker.
    pub acknowledged: u64,
    /// Given up by a producer because they were refused.
    pub failed: u64,
    /// Of transactions that were aborted.
    pub aborted: u64,
    /// Neither acknowledged nor refused nor aborted.
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
    /// Read, though their transaction was aborted.
    pub aborted_read: u64,
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
    /// there twice, or after a later one. Nothing explains what is lost or changed, or read though it was aborted.
    #[must_use]
    pub fn explained_by(&self, resent: u64) -> bool {
        let holds = self.lost == 0 && self.corrupt == 0 && self.aborted_read == 0;
        holds && self.doubled <= resent && self.out_of_order <= resent
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
    verdict.aborted += written.aborted.count();
    verdict.unknown += written.unknown();
    verdict.read += read.seen.count();
    verdict.lost += read.seen.missing_of(&written.acknowledged);
    verdict.doubled += read.doubled;
    verdict.out_of_order += read.out_of_order;
    let aborted_read = written.aborted.count() - read.seen.missing_of(&written.aborted);
    verdict.aborted_read += aborted_read;
    verdict.unacknowledged += written.acknowledged.missing_of(&read.seen) - aborted_read;
}
