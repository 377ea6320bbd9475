//! What a partition's log is told: Kafka's topic settings that decide how bytes reach the disk.

/// A part of a whole, 0 to 1, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ratio(u32);

impl Ratio {
    const WHOLE: f64 = 1e6;

    /// The nearest one.
    #[must_use]
    pub fn of(part: f64) -> Self {
        Self((part.clamp(0.0, 1.0) * Self::WHOLE).round() as u32)
    }

    pub(crate) fn is_below(self, part: f64) -> bool {
        f64::from(self.0) / Self::WHOLE < part
    }
}

/// Settings of one partition's log. Names and defaults are Kafka's (`TopicConfig`, `ServerLogConfigs`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment is rolled before it would grow beyond this.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment is rolled when its first batch is this old.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: by how much at most a roll by time comes earlier, so that logs that began together do not all roll
    /// at once.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`: room of one index file; a full one rolls the segment.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`: bytes of log between two index entries.
    pub index_interval_bytes: u32,
    /// `flush.messages`: records between two flushes. 1: nothing is visible or acknowledged before it is flushed.
    pub flush_messages: i64,
    /// `flush.ms`: the longest time in milliseconds that a record stays unflushed.
    pub flush_ms: i64,
    /// `preallocate`: blocks of a new segment are allocated when it is made.
    pub preallocate: bool,
    /// `cleanup.policy` names `compact`: of the records with one key the last one stays. Gaps between segments, which Kafka's
    /// cleaner leaves, are then no damage.
    pub compact: bool,
    /// `min.cleanable.dirty.ratio`: which part of the log must be dirty before it is cleaned.
    pub min_cleanable_dirty_ratio: Ratio,
    /// `min.compaction.lag.ms`: a record that is younger outdoes none, and stays.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: a record that is older is cleaned, however little of the log is dirty; `i64::MAX` is never.
    pub max_compaction_lag_ms: i64,
    /// `delete.retention.ms`: how long a tombstone stays after it was first cleaned.
    pub delete_retention_ms: i64,
    /// `cleanup.policy` names `delete`: old segments go by time and by size.
    pub delete: bool,
    /// `retention.ms`: a segment goes when its largest timestamp is older than this; negative is never.
    pub retention_ms: i64,
    /// `retention.bytes`: the oldest segments go while this much stays without them; negative is no limit.
    pub retention_bytes: i64,
    /// `file.delete.delay.ms`: the time between taking a segment's files out of the log and removing them.
    pub file_delete_delay_ms: i64,
    /// `producer.id.expiration.ms`: a producer that was silent for this long is forgotten.
    pub producer_id_expiration_ms: i64,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3600 * 1000,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            preallocate: false,
            compact: false,
            min_cleanable_dirty_ratio: Ratio::of(0.5),
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            delete_retention_ms: 24 * 3600 * 1000,
            delete: true,
            retention_ms: 7 * 24 * 3600 * 1000,
            retention_bytes: -1,
            file_delete_delay_ms: 60_000,
            producer_id_expiration_ms: 24 * 3600 * 1000,
        }
    }
}

impl LogConfig {
    /// Whether an acknowledgement waits for the flush that covers it (`flush.messages=1`).
    #[must_use]
    pub fn acknowledges_flushed(&self) -> bool {
        self.flush_messages <= 1
    }

    /// How old the active segment may become: a compacted log's must be sealed for `max.compaction.lag.ms` to mean something.
    pub(crate) fn segment_ms_max(&self) -> i64 {
        if self.compact { self.segment_ms.min(self.max_compaction_lag_ms) } else { self.segment_ms }
    }

    /// The largest size of a segment: positions are 31 bits wide in every tool that reads the files.
    pub(crate) fn segment_bytes_max(&self) -> u64 {
        u64::from(self.segment_bytes.min(i32::MAX.unsigned_abs()))
    }

    /// Whether this log is flushed by settings at all; otherwise the operating system decides when.
    #[must_use]
    pub fn flushes(&self) -> bool {
        self.flush_messages != i64::MAX || self.flush_ms != i64::MAX
    }
}
