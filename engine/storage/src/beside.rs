//! Small files of a partition that are written beside the shard's thread, one piece of work at a time: what recovery after a
//! kill reads (indexes, producers), and the roll of a segment.
//!
//! ```text
//!   save_due, checkpoint --> Job --> beside_done     appends go on meanwhile; a roll waits for it
//!   append_ready: full   --> Job --> beside_done     appends wait: the next batch stands in the next segment
//!   append_ready: rested --> Job --> beside_done     appends wait: the log's last page is not in the page cache (`tail`)
//! ```
//!
//! Nothing of it waits for the disk's sync, and the file system's journal may hold it up all the same. What a kill leaves in
//! the middle is what it would leave of the same calls one after the other: the order is that of the steps.

use std::io;

use ringlog_io::job::Step;
use ringlog_io::{File, Job};

use crate::cleaner::swap::Swapping;
use crate::names::{Kind, NEXT_SEGMENT, file_name};
use crate::partition::Snapshotted;
use crate::segment::{Active, Saved, Sealed};
use crate::{Checkpointed, Partition, StorageError, snapshot};

/// Log bytes after which a checkpoint writes a new snapshot, even where no producer changed.
const SNAPSHOT_BYTES: u64 = 64 << 20;

/// What is under way.
#[derive(Debug)]
pub(crate) enum Beside {
    Nothing,
    /// Index entries up to here, of a log of this size, and producers.
    Saving {
        saved: Saved,
        log_size: u64,
        snapshotted: Snapshotted,
    },
    /// The log's last page comes back into the page cache.
    LoadingTail,
    /// Files of segments that are no part of the log any more get another name.
    SettingAside,
    /// A cleaned segment takes the place of those that it was made of.
    Swapping(Box<Swapping>),
    /// The active segment is being sealed. The next one's file, where it was prepared.
    Rolling {
        prepared: Option<File>,
        snapshotted: Snapshotted,
    },
}

impl Partition {
    /// Whether a job is under way that changes this folder's files: it must keep its name until that has ended.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !matches!(self.beside, Beside::Nothing)
    }

    /// Whether appends wait for a job.
    #[must_use]
    pub fn holds_appends(&self) -> bool {
        self.is_rolling() || matches!(self.beside, Beside::LoadingTail)
    }

    /// Whether appends wait for a roll.
    #[must_use]
    pub fn is_rolling(&self) -> bool {
        matches!(self.beside, Beside::Rolling { .. })
    }

    /// Saves the index entries that are new, where enough of them wait. Call after appends.
    pub fn save_due(&mut self) -> Option<Job> {
        let is_due = self.failure.is_none() && !self.is_busy() && self.active.save_due();
        is_due.then(|| self.save(self.snapshotted, Vec::new())).flatten()
    }

    /// What the log directory's checkpoints should say, and the job that puts what recovery after a kill needs into small
    /// files. Call every minute or so (`log.flush.offset.checkpoint.interval.ms`).
    pub fn checkpoint(&mut self) -> Result<(Checkpointed, Option<Job>), StorageError> {
        self.check_online()?;
        if self.is_busy() {
            return Ok((self.checkpointed(), None));
        }
        let grown = self.appended_bytes - self.snapshotted.log_bytes;
        let has_news = grown >= SNAPSHOT_BYTES || (grown > 0 && self.producers.len() > 0);
        let (snapshotted, steps) = if has_news { self.snapshot_steps() } else { (self.snapshotted, Vec::new()) };
        Ok((self.checkpointed(), self.save(snapshotted, steps)))
    }

    fn save(&mut self, snapshotted: Snapshotted, mut steps: Vec<Step>) -> Option<Job> {
        steps.extend(self.active.save_steps(&self.folder));
        if steps.is_empty() {
            return None;
        }
        self.folder.changed();
        let (saved, log_size) = (Saved::of(&self.active.index), self.active.size);
        self.beside = Beside::Saving { saved, log_size, snapshotted };
        Some(Job::Steps { steps })
    }

    /// Seals the active segment and begins a new one at the end offset, when the job has ended. The new name is durable
    /// before anything in it is acknowledged as flushed: see [`crate::flush`].
    pub(crate) fn roll(&mut self) -> Job {
        debug_assert!(!self.is_busy(), "one piece of work at a time");
        self.folder.changed();
        self.active.index.seal();
        let mut steps = self.active.save_steps(&self.folder);
        let (snapshotted, snapshot) = self.snapshot_steps();
        steps.extend(snapshot);
        let path = |offset, kind| self.folder.path(&file_name(offset, kind));
        let next = self.end_offset;
        let log = path(next, Kind::Log);
        steps.push(Step::Truncate { path: path(self.active.base_offset, Kind::Log), len: self.active.size });
        let prepared = self.next_segment.take();
        steps.push(match prepared {
            Some(_) => Step::Rename { from: self.folder.path(NEXT_SEGMENT), to: log },
            None => Step::MakeNew { path: log },
        });
        steps.extend([Kind::Index, Kind::TimeIndex].map(|kind| Step::Make { path: path(next, kind) }));
        self.beside = Beside::Rolling { prepared, snapshotted };
        Job::Steps { steps }
    }

    /// The job of [`Partition::save_due`], [`Partition::checkpoint`] or [`Partition::append_ready`] ended.
    pub fn beside_done(&mut self, result: io::Result<Option<File>>, wall_ms: i64) {
        match (std::mem::replace(&mut self.beside, Beside::Nothing), result) {
            // A page that could not be read: the append says what is wrong.
            (Beside::Nothing | Beside::LoadingTail, _) => {}
            (Beside::Saving { saved, log_size, snapshotted }, Ok(_)) => {
                self.active.saved(saved, log_size);
                self.snapshotted = snapshotted;
            }
            (Beside::Saving { .. }, Err(error)) => {
                // No descriptor left, say: it costs the next open a longer walk, nothing else.
                tracing::warn!(dir = %self.folder.dir.display(), %error, "index entries are kept in memory for now");
                self.active.postpone_save();
            }
            (Beside::Swapping(swapping), result) => self.swapped(*swapping, result.map(drop)),
            (Beside::SettingAside, result) => self.set_aside(result.map(drop)),
            // What the failure leaves is read again when the partition comes back.
            (Beside::Rolling { .. }, _) if self.failure.is_some() => {}
            (Beside::Rolling { prepared, snapshotted }, Ok(made)) => match prepared.or(made) {
                Some(file) => self.rolled(file, snapshotted, wall_ms),
                None => unreachable!("a roll names a file or makes one"),
            },
            (Beside::Rolling { .. }, Err(error)) => {
                let error = StorageError::io("roll", &self.folder.path(&self.active_name()))(error);
                self.go_offline(&error);
            }
        }
    }

    fn rolled(&mut self, file: File, snapshotted: Snapshotted, wall_ms: i64) {
        let next = Active::begin(self.end_offset, file, &self.config, wall_ms);
        let full = std::mem::replace(&mut self.active, next);
        self.snapshotted = snapshotted;
        self.flush.wrote_small(&file_name(self.end_offset, Kind::Snapshot));
        let has_aborted = !self.aborted.is_empty();
        if has_aborted {
            self.flush.wrote_small(&file_name(full.base_offset, Kind::TxnIndex));
        }
        self.sealed.push(Sealed { base_offset: full.base_offset, size: full.size, has_aborted });
        self.aborted.clear();
        self.recent.clear();
        self.flush.rolled();
        self.unwritten.sealed(full.base_offset, full.size);
    }

    /// Does here and now what a job would do, waiting for the disk: for logs that have no shard's thread to hold up.
    pub(crate) fn perform(&mut self, job: &Job, wall_ms: i64) {
        let result = job.perform(&*self.folder.files);
        self.beside_done(result, wall_ms);
    }

    // --- producers ---------------------------------------------------------------------------------------------------

    /// Writes the producers as they are at the end offset, here and now.
    pub(crate) fn write_snapshot(&mut self) -> Result<(), StorageError> {
        let (snapshotted, steps) = self.snapshot_steps();
        if !steps.is_empty() {
            self.folder.changed();
            let done = Job::Steps { steps }.perform(&*self.folder.files);
            let path = self.folder.path(&file_name(self.end_offset, Kind::Snapshot));
            done.map_err(StorageError::io("write", &path))?;
            self.snapshotted = snapshotted;
        }
        Ok(())
    }

    /// What writes the producers as they are at the end offset, if that is not done. The snapshot before goes, unless a
    /// segment begins there.
    fn snapshot_steps(&self) -> (Snapshotted, Vec<Step>) {
        let last = self.snapshotted;
        if last.offset == self.end_offset {
            return (last, Vec::new());
        }
        let name = file_name(self.end_offset, Kind::Snapshot);
        let mut steps = vec![self.folder.put(&name, snapshot::encode(&self.producers))];
        let begins = |segment: &Sealed| segment.base_offset == last.offset;
        if last.offset >= 0 && last.offset != self.active.base_offset && !self.sealed.iter().any(begins) {
            steps.push(Step::Remove { path: self.folder.path(&file_name(last.offset, Kind::Snapshot)) });
        }
        (Snapshotted { offset: self.end_offset, log_bytes: self.appended_bytes }, steps)
    }
}
