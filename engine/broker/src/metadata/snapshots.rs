//! When the metadata log is snapshotted, and what goes when it is: Kafka's SnapshotGenerator and KafkaRaftLog, without I/O.
//!
//! ```text
//!   records on the disk --bytes, time--> due --Job--> written: one more snapshot
//!                                                         |  log and snapshots are larger, or the oldest older, than they may be
//!                                                         v
//!        the log begins at the second oldest's end; the oldest goes, and those segments that lie below
//! ```
//!
//! Invariants:
//! - A snapshot is of an image that the log holds on the disk. There is one job at a time.
//! - The log begins at the end of a snapshot that is there, or at 0: of the snapshots that are kept each is a place to read on
//!   from. The newest one stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ringlog_io::job::{Chore, Step};
use ringlog_io::{Job, Nanos};

use super::image::Image;
use super::snapshot::{self, SnapshotId, Times};
use crate::settings::Settings;

const NS_PER_MS: u64 = 1_000_000;
/// How long after a snapshot that failed the next one is tried.
const RETRY_NS: u64 = 60_000 * NS_PER_MS;

/// What the settings say.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// `metadata.log.max.record.bytes.between.snapshots`
    bytes_between: u64,
    /// `metadata.log.max.snapshot.interval.ms`; none where 0.
    interval_ns: Option<u64>,
    /// `metadata.max.retention.bytes`, of log and snapshots together; none where negative.
    retention_bytes: Option<u64>,
    /// `metadata.max.retention.ms`; none where negative.
    retention_ms: Option<i64>,
}

impl Limits {
    fn of(settings: &Settings) -> Self {
        let interval_ms = settings.metadata_log_max_snapshot_interval_ms();
        Self {
            bytes_between: settings.metadata_log_max_record_bytes_between_snapshots(),
            interval_ns: (interval_ms > 0).then(|| interval_ms.saturating_mul(NS_PER_MS)),
            retention_bytes: u64::try_from(settings.metadata_max_retention_bytes()).ok(),
            retention_ms: Some(settings.metadata_max_retention_ms()).filter(|ms| *ms >= 0),
        }
    }
}

/// A snapshot that is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    pub(crate) id: SnapshotId,
    pub(crate) bytes: u64,
    /// The time of the last record that is in it.
    pub(crate) last_ms: i64,
}

/// A cluster as the log holds it on the disk.
#[derive(Clone, Debug)]
pub(crate) struct OnDisk {
    pub(crate) image: Arc<Image>,
    /// When its last record was written.
    pub(crate) last_ms: i64,
    /// Bytes that were written to the log up to there, since this start; those that it read are counted too.
    pub(crate) log_bytes: u64,
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Snapshots {
    dir: PathBuf,
    limits: Limits,
    /// The oldest first.
    kept: Vec<Kept>,
    /// Of the log's bytes, those that the newest one stands for.
    covered_bytes: u64,
    /// Since when an interval runs; `None` before the first look at the clock.
    since: Option<Nanos>,
    not_before: Nanos,
    writing: Option<Writing>,
}

/// The snapshot that is being written.
#[derive(Debug)]
struct Writing {
    id: SnapshotId,
    last_ms: i64,
    log_bytes: u64,
    /// How many bytes it is, when it is whole.
    bytes: Arc<AtomicU64>,
}

impl Snapshots {
    /// Of a folder that holds these. The interval begins with the start.
    pub(crate) fn new(settings: &Settings, dir: PathBuf, kept: Vec<Kept>) -> Self {
        let limits = Limits::of(settings);
        Self { dir, limits, kept, covered_bytes: 0, since: None, not_before: Nanos(0), writing: None }
    }

    /// The job that writes the next one, where it is due by now.
    pub(crate) fn due(&mut self, disk: &OnDisk, now: Nanos, wall_ms: i64) -> Option<Job> {
        if self.due_at(disk, now).is_none_or(|at| at > now) {
            return None;
        }
        let image = Arc::clone(&disk.image);
        let id = SnapshotId { end_offset: image.version() + 1, epoch: image.leader_epoch() };
        let (bytes, dir) = (Arc::new(AtomicU64::new(0)), self.dir.clone());
        let times = Times { last_ms: disk.last_ms, now_ms: wall_ms };
        self.writing =
            Some(Writing { id, last_ms: disk.last_ms, log_bytes: disk.log_bytes, bytes: Arc::clone(&bytes) });
        Some(Job::Chore(Chore::new(move |files| {
            bytes.store(snapshot::write(files, &dir, id, &image, times)?, Ordering::Release);
            Ok(())
        })))
    }

    /// When the next one is due, as things are. `None`: nothing is new since the last one, or one is being written.
    pub(crate) fn due_at(&mut self, disk: &OnDisk, now: Nanos) -> Option<Nanos> {
        let since = *self.since.get_or_insert(now);
        let newest_end = self.kept.last().map_or(0, |kept| kept.id.end_offset);
        if self.writing.is_some() || disk.image.version() < newest_end {
            return None;
        }
        let grown = disk.log_bytes.saturating_sub(self.covered_bytes);
        let at = match grown >= self.limits.bytes_between {
            true => now,
            false => Nanos(since.0.saturating_add(self.limits.interval_ns?)),
        };
        Some(at.max(self.not_before))
    }

    /// The job ended.
    pub(crate) fn written(&mut self, is_well: bool, now: Nanos) {
        let Some(Writing { id, last_ms, log_bytes, bytes }) = self.writing.take() else { return };
        self.since = Some(now);
        if !is_well {
            // The job said why. Until the disk takes one, the log grows and a start reads it.
            self.not_before = Nanos(now.0.saturating_add(RETRY_NS));
            return;
        }
        let bytes = bytes.load(Ordering::Acquire);
        tracing::info!(file = id.file_name(), bytes, "the metadata log is snapshotted");
        self.covered_bytes = log_bytes;
        self.kept.push(Kept { id, bytes, last_ms });
    }

    /// Where the log is to begin, so that the oldest snapshot can go: one at a time.
    pub(crate) fn trim_to(&self, log_bytes: u64, wall_ms: i64) -> Option<SnapshotId> {
        let [oldest, next, ..] = self.kept.as_slice() else { return None };
        let bytes = self.kept.iter().map(|kept| kept.bytes).fold(log_bytes, u64::saturating_add);
        let is_large = self.limits.retention_bytes.is_some_and(|max| bytes > max);
        let is_old = self.limits.retention_ms.is_some_and(|max| wall_ms.saturating_sub(oldest.last_ms) > max);
        (is_large || is_old).then_some(next.id)
    }

    /// The job that removes the snapshots below the log's start, when that is noted.
    pub(crate) fn forget_before(&mut self, log_start_offset: i64) -> Option<Job> {
        let count = self.kept.partition_point(|kept| kept.id.end_offset < log_start_offset);
        // The newest stays, whatever is noted.
        let gone: Vec<Kept> = self.kept.drain(..count.min(self.kept.len().saturating_sub(1))).collect();
        removal(&self.dir, gone.iter().map(|kept| kept.id.file_name()))
    }
}

/// The job that removes files of the log's folder; `None` where there are none.
pub(crate) fn removal(dir: &Path, names: impl Iterator<Item = String>) -> Option<Job> {
    let steps: Vec<Step> = names.map(|name| Step::Remove { path: dir.join(name) }).collect();
    (!steps.is_empty()).then_some(Job::Steps { steps })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const HOUR: Nanos = Nanos(3_600_000_000_000);

    fn of(settings: &[(&str, &str)]) -> Snapshots {
        Snapshots::new(&Settings::of(settings), PathBuf::from("/log/m"), Vec::new())
    }

    fn disk(version: i64, log_bytes: u64) -> OnDisk {
        let mut image = Image::empty("c", Settings::of(&[]).here());
        image.set_version(version);
        OnDisk { image: Arc::new(image), last_ms: 5, log_bytes }
    }

    fn kept(ends: &[i64]) -> Vec<Kept> {
        let one =
            |end: &i64| Kept { id: SnapshotId { end_offset: *end, epoch: 1 }, bytes: 100, last_ms: *end * HOUR_MS };
        ends.iter().map(one).collect()
    }

    #[test]
    fn one_is_due_by_bytes_or_by_time_and_never_without_news() {
        let mut snapshots = of(&[("metadata.log.max.record.bytes.between.snapshots", "1000")]);
        assert_eq!(snapshots.due_at(&disk(9, 10), Nanos(0)), Some(HOUR), "an hour after the start");
        assert_eq!(snapshots.due_at(&disk(9, 1000), Nanos(7)), Some(Nanos(7)), "or as soon as it is large");
        assert!(snapshots.due(&disk(9, 10), Nanos(8), 0).is_none());
        assert!(snapshots.due(&disk(9, 10), HOUR, 0).is_some());
        assert_eq!(snapshots.due_at(&disk(20, 5000), HOUR), None, "one at a time");
        snapshots.written(true, HOUR);
        assert_eq!(snapshots.due_at(&disk(9, 10), HOUR), None, "the last one has it all");
        assert_eq!(snapshots.due_at(&disk(10, 900), HOUR), Some(Nanos(2 * HOUR.0)));
        assert_eq!(snapshots.due_at(&disk(20, 1010), HOUR), Some(HOUR), "bytes count from the last one on");
    }

    #[test]
    fn no_interval_leaves_it_to_the_bytes() {
        let mut snapshots = of(&[("metadata.log.max.snapshot.interval.ms", "0")]);
        assert_eq!(snapshots.due_at(&disk(9, 20_971_519), HOUR), None);
        assert_eq!(snapshots.due_at(&disk(9, 20_971_520), HOUR), Some(HOUR));
    }

    #[test]
    fn one_that_failed_is_tried_again_a_minute_later() {
        let mut snapshots = of(&[("metadata.log.max.record.bytes.between.snapshots", "1")]);
        assert!(snapshots.due(&disk(9, 10), Nanos(1), 0).is_some());
        snapshots.written(false, Nanos(1));
        assert_eq!(snapshots.due_at(&disk(9, 10), Nanos(2)), Some(Nanos(1 + RETRY_NS)));
        assert!(snapshots.due(&disk(9, 10), Nanos(1 + RETRY_NS), 0).is_some());
    }

    /// KafkaRaftLog.cleanSnapshots: there must be two, and the log begins at the second oldest's end.
    #[test]
    fn the_oldest_goes_by_size_or_age_and_the_newest_stays() {
        let (bytes, ms) = ("metadata.max.retention.bytes", "metadata.max.retention.ms");
        let day = (24 * HOUR_MS).to_string();
        for (name, settings, ends, log_bytes, hour, due) in [
            ("small and young", [(bytes, "1000"), (ms, day.as_str())], &[10, 20][..], 800, 30, None),
            ("large", [(bytes, "1000"), (ms, &day)], &[10, 20, 30], 701, 30, Some(20)),
            ("large, and alone", [(bytes, "0"), (ms, "0")], &[10], 701, 99, None),
            ("old", [(bytes, "1000"), (ms, &day)], &[10, 20, 30], 0, 35, Some(20)),
            ("no limits", [(bytes, "-1"), (ms, "-1")], &[10, 20], 1 << 40, 9_999, None),
            ("none at all", [(bytes, "0"), (ms, "0")], &[], 701, 99, None),
        ] {
            let snapshots = Snapshots { kept: kept(ends), ..of(&settings) };
            let trimmed = snapshots.trim_to(log_bytes, hour * HOUR_MS).map(|id| id.end_offset);
            assert_eq!(trimmed, due, "{name}");
        }
    }

    #[test]
    fn what_lies_below_the_logs_start_is_removed_but_never_the_last() {
        let mut snapshots = Snapshots { kept: kept(&[10, 20, 30]), ..of(&[]) };
        let removed = |job: Option<Job>| match job {
            Some(Job::Steps { steps }) => steps.len(),
            Some(other) => panic!("{other:?}"),
            None => 0,
        };
        assert_eq!(removed(snapshots.forget_before(10)), 0);
        let job = snapshots.forget_before(20);
        let first = Step::Remove { path: "/log/m/00000000000000000010-0000000001.checkpoint".into() };
        assert_eq!(job, Some(Job::Steps { steps: vec![first] }));
        assert_eq!(removed(snapshots.forget_before(99)), 1);
        assert_eq!(snapshots.kept.len(), 1);
    }
}
