//! A partition: the public face of a folder of segments.
#![allow(clippy::unimplemented, unused_variables)]

use std::path::Path;
use std::rc::Rc;

use ringlog_io::{File, Files};

use crate::interim::{Uuid, Validated};
use crate::{AppendError, LogConfig, ReadError, StorageError};

/// What the last stop of this host's broker left behind: decides how much of a log is checked at open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Startup {
    /// A clean stop was noted: everything is trusted.
    Clean,
    /// The broker was killed, the machine was not: the page cache kept every write, only the unfinished tail is checked.
    SameBoot,
    /// The machine went down, or we cannot tell: everything from the recovery point on is checked.
    NewBoot,
}

/// What the checkpoint files of the log directory say of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpointed {
    /// `recovery-point-offset-checkpoint`: everything below is on the disk.
    pub recovery_point: i64,
    /// `log-start-offset-checkpoint`: records below were deleted.
    pub log_start_offset: i64,
}

/// Bytes that recovery took away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The file's name in the partition's folder.
    pub file: String,
    /// Where the first bad byte stood.
    pub position: u64,
    /// How many bytes went.
    pub bytes: u64,
    /// What was wrong with them.
    pub reason: String,
}

/// What opening a partition did. Worth a log line when [`RecoveryReport::is_quiet`] is false.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Segments found.
    pub segments: usize,
    /// Bytes of batches whose CRC was checked.
    pub checked_bytes: u64,
    /// What was cut off, in order.
    pub cuts: Vec<Cut>,
    /// Index files that were made again.
    pub rebuilt_indexes: Vec<String>,
    /// Offset from which the producers' state was read out of the log; the end offset where a snapshot held all of it.
    pub producers_replayed_from: i64,
}

impl RecoveryReport {
    /// Whether nothing was cut or rebuilt.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.cuts.is_empty() && self.rebuilt_indexes.is_empty()
    }
}

/// Who made a batch (`AppendOrigin`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A producer: sequences are checked, duplicates answered.
    Client,
    /// A coordinator or the controller of this broker: no sequences; control batches are theirs.
    Coordinator,
}

/// One validated batch that wants to be appended.
#[derive(Clone, Copy, Debug)]
pub struct NewBatch<'a> {
    /// What validation found out; its header is what is trusted.
    pub validated: &'a Validated,
    /// The whole batch, header included, as it is to be stored but for base offset and leader epoch.
    pub bytes: &'a [u8],
    /// Who made it.
    pub origin: Origin,
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: i64,
    /// Offset of its last record. Acknowledge when the high watermark is above.
    pub last_offset: i64,
    /// The broker's time where the topic has LogAppendTime, else -1. A duplicate has its batch's timestamp, as in Kafka.
    pub log_append_time_ms: i64,
    /// It was there already; the offsets are those of the first time.
    pub duplicate: bool,
}

/// Up to where a reader sees (`FetchIsolation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Up to the high watermark.
    ReadUncommitted,
    /// Up to the last stable offset.
    ReadCommitted,
    /// Up to the end: a follower, or the broker itself loading its own log.
    LogEnd,
}

/// Bytes of one segment file, whole batches first; the last one may be cut by the byte limit.
#[derive(Clone, Debug)]
pub struct LogRange {
    /// The segment's .log. Holding it keeps the bytes readable, whatever becomes of the segment.
    pub file: File,
    /// Where the range begins: the start of the batch that holds the wanted offset.
    pub position: u64,
    /// Length in bytes; 0 where nothing is visible at that offset.
    pub len: usize,
    /// No offset at or above is in the range: the bound for [`Partition::aborted_transactions`].
    pub upper_bound_offset: i64,
}

/// A timestamp and the offset of the record that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
    /// The record's offset.
    pub offset: i64,
    /// Leader epoch of its batch.
    pub leader_epoch: i32,
}

/// Where an epoch ends (`LeaderEpochFileCache.endOffsetFor`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest epoch not above the asked one that has records; -1 where there is none.
    pub epoch: i32,
    /// The first offset that is not of it; -1 where the epoch is unknown.
    pub end_offset: i64,
}

/// An aborted transaction that overlaps a fetch (`FetchResponse.AbortedTransaction`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose.
    pub producer_id: i64,
    /// Its first record's offset.
    pub first_offset: i64,
}

/// A file that wants an fdatasync: submit it, then hand the job back with the verdict.
#[derive(Debug)]
pub struct FlushJob {
    /// What to sync: a segment file, or the partition's folder.
    pub file: File,
    /// Everything below is on the disk when this and the jobs before it are done.
    pub up_to: i64,
}

/// Dirty bytes whose write-back is due (`Files::start_writeback`).
#[derive(Clone, Debug)]
pub struct Writeback {
    /// Which file.
    pub file: File,
    /// First byte.
    pub offset: u64,
    /// How many.
    pub len: u64,
}

/// One partition's log, owned by one shard.
pub struct Partition {}

impl Partition {
    /// Makes the folder of a new partition with its first, empty segment. An existing folder is an error.
    pub fn create(
        files: &Rc<dyn Files>,
        dir: &Path,
        topic_id: Uuid,
        config: LogConfig,
        wall_ms: i64,
    ) -> Result<Self, StorageError> {
        unimplemented!()
    }

    /// Opens a folder without knowledge of checkpoints: as [`Partition::open_at`] with both offsets 0.
    pub fn open(
        files: &Rc<dyn Files>,
        dir: &Path,
        config: LogConfig,
        how: Startup,
        wall_ms: i64,
    ) -> Result<(Self, RecoveryReport), StorageError> {
        unimplemented!()
    }

    /// Opens a folder, ours or Kafka's, and checks as much as `how` asks for.
    pub fn open_at(
        files: &Rc<dyn Files>,
        dir: &Path,
        config: LogConfig,
        how: Startup,
        checkpointed: Checkpointed,
        wall_ms: i64,
    ) -> Result<(Self, RecoveryReport), StorageError> {
        unimplemented!()
    }

    /// Appends batches in order: one answer for each, all that are accepted in one vectored write (one for each segment
    /// where a roll falls between them). Visible when [`Partition::high_watermark`] is above an answer's last offset.
    pub fn append(
        &mut self,
        batches: &[NewBatch<'_>],
        leader_epoch: i32,
        wall_ms: i64,
    ) -> Vec<Result<Appended, AppendError>> {
        unimplemented!()
    }

    /// Finds the bytes from `offset` on, at most `max_bytes` of them, at least one whole batch where `min_one_batch`.
    pub fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        min_one_batch: bool,
        isolation: Isolation,
    ) -> Result<LogRange, ReadError> {
        unimplemented!()
    }

    /// The first offset there is.
    #[must_use]
    pub fn log_start_offset(&self) -> i64 {
        unimplemented!()
    }

    /// Readers see nothing at or above. The end offset, or what is flushed under `flush.messages=1`.
    #[must_use]
    pub fn high_watermark(&self) -> i64 {
        unimplemented!()
    }

    /// The offset that the next record will get.
    #[must_use]
    pub fn end_offset(&self) -> i64 {
        unimplemented!()
    }

    /// Readers of committed data see nothing at or above: the first open transaction, or the high watermark.
    #[must_use]
    pub fn last_stable_offset(&self) -> i64 {
        unimplemented!()
    }

    /// Everything below is on the disk.
    #[must_use]
    pub fn flushed_offset(&self) -> i64 {
        unimplemented!()
    }

    /// The topic's id as partition.metadata has it; zero where the file is missing.
    #[must_use]
    pub fn topic_id(&self) -> Uuid {
        unimplemented!()
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        unimplemented!()
    }

    /// Why no append is taken any more, where that is so.
    #[must_use]
    pub fn offline_reason(&self) -> Option<&str> {
        unimplemented!()
    }

    /// The first record whose timestamp is at or above `timestamp_ms` (ListOffsets). `None` where there is none.
    pub fn offset_for_timestamp(&self, timestamp_ms: i64) -> Result<Option<TimestampOffset>, StorageError> {
        unimplemented!()
    }

    /// The first record that has the largest timestamp (ListOffsets -3). `None` for an empty log.
    pub fn offset_of_max_timestamp(&self) -> Result<Option<TimestampOffset>, StorageError> {
        unimplemented!()
    }

    /// Where `epoch` ends (OffsetForLeaderEpoch).
    #[must_use]
    pub fn end_offset_for_epoch(&self, epoch: i32) -> EpochEnd {
        unimplemented!()
    }

    /// The epoch of the last batch, -1 for an empty log.
    #[must_use]
    pub fn latest_epoch(&self) -> i32 {
        unimplemented!()
    }

    /// Aborted transactions that overlap `from..to`, by first offset (`to`: a range's `upper_bound_offset`).
    pub fn aborted_transactions(&self, from: i64, to: i64) -> Result<Vec<AbortedTransaction>, StorageError> {
        unimplemented!()
    }

    /// Whether `flush.messages` or `flush.ms` asks for a flush now, or a rolled segment waits for its one.
    #[must_use]
    pub fn flush_due(&self, wall_ms: i64) -> bool {
        unimplemented!()
    }

    /// The next file to sync. `None` where all is flushed or a job is under way: ask again after [`Partition::flush_done`].
    pub fn flush_begin(&mut self) -> Option<FlushJob> {
        unimplemented!()
    }

    /// Takes the verdict. An error is final: the partition goes offline, nothing unflushed is ever acknowledged.
    pub fn flush_done(&mut self, job: FlushJob, result: std::io::Result<()>) {
        unimplemented!()
    }

    /// A range whose write-back should start now, so that the kernel never has to throttle us.
    pub fn writeback_due(&mut self) -> Option<Writeback> {
        unimplemented!()
    }

    /// Work that need not wait for an append: makes and allocates the next segment when the active one is nearly full,
    /// rolls by time, forgets expired producers. Call every second or so.
    pub fn maintain(&mut self, wall_ms: i64) -> Result<(), StorageError> {
        unimplemented!()
    }

    /// Writes the producers' snapshot and the epochs, and gives what the log directory's checkpoints should say. Call
    /// every minute or so (`log.flush.offset.checkpoint.interval.ms`). Writes small files, waits for no disk.
    pub fn checkpoint(&mut self) -> Result<Checkpointed, StorageError> {
        unimplemented!()
    }

    /// Takes changed topic settings; they hold from the next append on.
    pub fn set_config(&mut self, config: LogConfig) {
        unimplemented!()
    }

    /// Flushes everything, waiting for the disk, and writes what a clean start trusts.
    pub fn close_clean(&mut self) -> Result<Checkpointed, StorageError> {
        unimplemented!()
    }

    /// Closes and removes the folder: renamed first, as Kafka does (`<name>.<uuid>-delete`), so that a crash in between
    /// leaves nothing that looks like a partition.
    pub fn delete(self) -> Result<(), StorageError> {
        unimplemented!()
    }
}
