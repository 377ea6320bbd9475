//! What goes into a partition's calls and comes out of them.

use ringlog_io::File;
use ringlog_wire::Uuid;
use ringlog_wire::batch::{Origin, Validated};

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

impl Startup {
    /// Whether records that were acknowledged without a flush may be missing, so that an offset may name another record
    /// than before: leader epochs have to rise (KIP-320).
    #[must_use]
    pub fn is_unclean(self) -> bool {
        self != Self::Clean
    }
}

/// A producer whose state a partition keeps (DescribeProducers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveProducer {
    /// Its id.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// The sequence number of its last record; -1 where none is known.
    pub last_sequence: i32,
    /// The timestamp of its last batch.
    pub last_timestamp_ms: i64,
    /// The epoch of the coordinator that wrote its last marker; -1 before the first.
    pub coordinator_epoch: i32,
    /// First offset of its open transaction.
    pub transaction_from: Option<i64>,
}

/// What is known of a partition's folder before it is opened.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The topic that is to be served from it; [`Uuid::ZERO`] takes whichever is there.
    pub topic_id: Uuid,
    /// How the last run ended.
    pub startup: Startup,
    /// What the checkpoint files say.
    pub checkpointed: Checkpointed,
}

impl Known {
    /// Whether a folder that names no topic may be an earlier topic's: the power cut that took the id may have taken the
    /// removal of that topic's folder too. Nothing was promised of it: the id is on the disk before the first flush is.
    pub(crate) fn doubts_nameless(&self) -> bool {
        self.startup == Startup::NewBoot && !self.topic_id.is_zero() && self.checkpointed.topic_id != self.topic_id
    }
}

/// What the checkpoint files of the log directory say of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpointed {
    /// The topic that it was said of: offsets do not outlive their topic. Zero where nobody noted it (Kafka does not).
    pub topic_id: Uuid,
    /// `recovery-point-offset-checkpoint`: everything below is on the disk.
    pub recovery_point: i64,
    /// `log-start-offset-checkpoint`: records below were deleted.
    pub log_start_offset: i64,
    /// `cleaner-offset-checkpoint`: everything below is compacted.
    pub cleaned_offset: i64,
}

impl Checkpointed {
    /// What is said of this topic: nothing, where another one of its name was meant.
    pub(crate) fn of_topic(self, topic_id: Uuid) -> Self {
        let other = self.topic_id != Uuid::ZERO && topic_id != Uuid::ZERO && self.topic_id != topic_id;
        if other { Self::default() } else { self }
    }
}

/// A partition's offsets at one moment: `log_start <= stable <= visible <= end`, `flushed <= end`. None of them goes back
/// while the partition is open; under `flush.messages=1` only what is flushed becomes visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// The first offset there is.
    pub log_start: i64,
    /// Readers of committed data see what is below: the first open transaction, or `visible`.
    pub stable: i64,
    /// Readers see, and acknowledgements leave for, what is below.
    pub visible: i64,
    /// What is below is on the disk.
    pub flushed: i64,
    /// The offset that the next record will get.
    pub end: i64,
}

impl Offsets {
    /// Panics where the order does not hold: something would be shown or acknowledged that is not there.
    pub(crate) fn check(&self) {
        let Self { log_start, stable, visible, flushed, end } = *self;
        assert!(log_start <= stable && stable <= visible && visible <= end && flushed <= end, "{self:?}");
    }
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
    /// Bytes from `position` on that are visible in this segment: `len`, where no limit cut it.
    pub visible_len: usize,
    /// Whether what is visible goes on in a later segment.
    pub goes_on: bool,
    /// No offset at or above is in the range: the bound for [`crate::Partition::aborted_transactions`].
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
