//! What goes on beside the changes: the log is snapshotted, and what a snapshot stands for goes.
//!
//! ```text
//!   snapshot_due --Job--> snapshot_written --> trim: the log begins at the second oldest's end
//!     start_due --> log-start-offset-checkpoint --> start_kept: the oldest snapshot is removed
//!     aside_due --Job--> aside_done: files of segments below end in .deleted --> removals, a minute later
//! ```
//! Where a failure passes, the next `trim` (once a minute) goes on.

use std::io;

use ringlog_io::{File, Job, Nanos};
use ringlog_storage::Checkpointed;

use super::MetadataLog;
use crate::metadata::snapshots::OnDisk;

/// What is to be done yet.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The log begins later than the checkpoint file says, and that is to be written.
    has_start: bool,
    /// Files of segments may wait for their last name.
    may_set_aside: bool,
    /// What removes files, and in how many milliseconds.
    removals: Vec<(i64, Job)>,
}

impl State {
    /// What the last run left.
    pub(super) fn of(leftovers: Option<Job>) -> Self {
        Self { has_start: false, may_set_aside: true, removals: leftovers.map(|job| (0, job)).into_iter().collect() }
    }
}

impl MetadataLog {
    /// The job that writes a snapshot, where one is due.
    pub(crate) fn snapshot_due(&mut self, disk: &OnDisk, now: Nanos, wall_ms: i64) -> Option<Job> {
        if self.final_failure().is_some() {
            return None;
        }
        self.snapshots.due(disk, now, wall_ms)
    }

    /// When the next one is due, as things are.
    pub(crate) fn snapshot_due_at(&mut self, disk: &OnDisk, now: Nanos) -> Option<Nanos> {
        if self.final_failure().is_some() {
            return None;
        }
        self.snapshots.due_at(disk, now)
    }

    /// The job ended.
    pub(crate) fn snapshot_written(&mut self, is_well: bool, now: Nanos, wall_ms: i64) {
        self.snapshots.written(is_well, now);
        self.trim(wall_ms);
    }

    /// Looks whether the oldest snapshot is to go, and what lies before the next.
    pub(crate) fn trim(&mut self, wall_ms: i64) {
        self.upkeep.may_set_aside = true;
        if self.partition.is_start_kept()
            && let Some(id) = self.snapshots.trim_to(self.partition.size_bytes(), wall_ms)
        {
            match self.partition.begin_before(id.end_offset, wall_ms) {
                Ok(moves) => {
                    if moves {
                        tracing::info!(
                            log_start_offset = id.end_offset,
                            "the metadata log begins later: a snapshot stands for what was before"
                        );
                    }
                }
                Err(error) => tracing::warn!(%error, "the metadata log keeps its beginning"),
            }
        }
        self.upkeep.has_start = !self.partition.is_start_kept();
    }

    /// Whether the checkpoint files are to say where the log begins.
    pub(crate) fn start_due(&self) -> bool {
        self.upkeep.has_start
    }

    /// What the checkpoint files should say of the log. They are being written.
    pub(crate) fn checkpoint(&mut self) -> Checkpointed {
        self.upkeep.has_start = false;
        self.partition.checkpointed()
    }

    /// They say on the disk that the log begins here.
    pub(crate) fn start_kept(&mut self, log_start_offset: i64) {
        self.partition.start_kept(log_start_offset);
        self.upkeep.may_set_aside = true;
        let gone = self.snapshots.forget_before(log_start_offset);
        self.upkeep.removals.extend(gone.map(|job| (0, job)));
    }

    /// What gives the files of segments below the log's start their last name.
    pub(crate) fn aside_due(&mut self) -> Option<Job> {
        if !std::mem::take(&mut self.upkeep.may_set_aside) {
            return None;
        }
        let job = self.partition.set_aside_due();
        self.take_removals();
        job
    }

    /// That job ended.
    pub(crate) fn aside_done(&mut self, result: io::Result<Option<File>>, wall_ms: i64) {
        self.partition.beside_done(result, wall_ms);
        self.take_removals();
    }

    fn take_removals(&mut self) {
        self.upkeep.removals.extend(std::iter::from_fn(|| self.partition.removal()));
    }

    /// What removes files that are no part of the log any more, and in how many milliseconds.
    pub(crate) fn removals(&mut self) -> Vec<(i64, Job)> {
        std::mem::take(&mut self.upkeep.removals)
    }
}

#[cfg(test)]
#[path = "upkeep_tests.rs"]
mod tests;
