//! Retention: where the log begins, and how what lies before goes (`UnifiedLog.deleteOldSegments`).
//!
//! ```text
//!   retain, delete_before  --> the log start offset moves: readers find what is below out of range, at once
//!   start_kept             <-- log-start-offset-checkpoint holds it, on the disk
//!   set_aside_due --> Job  --> beside_done: the files end in .deleted
//!   removal --> Job, file.delete.delay.ms later
//! ```
//!
//! A segment goes as a whole, the oldest first, and only below the high watermark. The active one is rolled when all of it is
//! to go: there is always one.
//!
//! | broken off after | the next open |
//! |---|---|
//! | the move | as if it had not been: nobody was told, no file was touched, and flushes still sync what is to go |
//! | the checkpoint | leaves out what lies below the start it says, whichever of those files are there |
//! | some or all of the renames | the same; a power cut may bring names back in any order, and none of them counts |
//! | some of the removals | removes every file that ends in .deleted |
//!
//! The checkpoint comes before the first rename for the third line: names that a power cut brings back in part would be a gap,
//! and a gap ends a log (`open.rs`). What a reader was given before holds its file open, and is sent whole.

use std::io;
use std::path::PathBuf;

use ringlog_io::Job;
use ringlog_io::job::Step;
use ringlog_wire::batch::crc_of;

use crate::beside::Beside;
use crate::cold::Cold;
use crate::listing::Listing;
use crate::names::{DELETED, files_of};
use crate::{Partition, ReadError, Ready, StorageError};

/// What is to be done for retention.
#[derive(Debug)]
pub enum Retained {
    /// Nothing is to go.
    Nothing,
    /// The log begins later now: its start is to be noted, then [`Partition::start_kept`].
    Moved,
    /// All of the active segment is to go: look again when this job was done ([`Partition::beside_done`]).
    Roll(Job),
    /// The same, and another job is at work in the folder: look again when that was done.
    Busy,
}

/// Segments that are no part of the log any more, and their files.
#[derive(Debug, Default)]
pub(crate) struct Retired {
    /// Base offset, and where it ended; the files have their names still.
    segments: Vec<(i64, i64)>,
    /// How many of them are being renamed.
    setting_aside: usize,
    /// The log start offset that the checkpoint holds.
    kept_start: i64,
    /// Files that end in .deleted, and what is left of the delay.
    removals: Vec<(i64, Vec<PathBuf>)>,
    /// The same of the last run, by name.
    leftovers: Vec<String>,
}

impl Retired {
    /// Takes out of a folder's list what lies below the log start offset that the checkpoint says.
    pub(crate) fn found(listing: &mut Listing, log_start_offset: i64) -> Self {
        let ends = listing.logs.iter().skip(1).copied();
        let segments: Vec<_> = listing.logs.iter().copied().zip(ends).collect();
        let below = segments.partition_point(|(_, end)| *end <= log_start_offset);
        listing.logs.drain(..below);
        Self {
            segments: segments[..below].to_vec(),
            kept_start: log_start_offset,
            leftovers: std::mem::take(&mut listing.leftovers),
            ..Self::default()
        }
    }

    /// Files that have their last name, and go after the delay.
    pub(crate) fn remove_later(&mut self, delay_ms: i64, paths: Vec<PathBuf>) {
        if !paths.is_empty() {
            self.removals.push((delay_ms, paths));
        }
    }

    /// Takes over from the same partition before it was opened again: what the checkpoint holds, and files that wait.
    pub(crate) fn carry_on(&mut self, before: &mut Self) {
        self.kept_start = before.kept_start;
        (self.removals, self.leftovers) = (std::mem::take(&mut before.removals), std::mem::take(&mut before.leftovers));
    }
}

impl Partition {
    /// Takes out of the log what its settings say. Waits for no disk.
    pub fn retain(&mut self, wall_ms: i64) -> Result<Ready<Retained>, StorageError> {
        if self.final_failure().is_some() || self.is_rolling() {
            return Ok(Ready::Now(if self.is_rolling() { Retained::Busy } else { Retained::Nothing }));
        }
        let outdated = match Cold::answer(self.outdated(wall_ms))? {
            Ready::Now(outdated) => outdated,
            Ready::Later(job) => return Ok(Ready::Later(job)),
        };
        // A log that cannot be written has no next segment.
        let outdated = if self.failure.is_some() { outdated.min(self.sealed.len()) } else { outdated };
        Ok(Ready::Now(match outdated {
            0 => Retained::Nothing,
            _ if outdated <= self.sealed.len() => match self.end_of(outdated - 1) {
                // It was told before, and waits for the checkpoint.
                start if start <= self.log_start_offset => Retained::Nothing,
                start => {
                    self.begin_at(start);
                    Retained::Moved
                }
            },
            _ if self.is_busy() => Retained::Busy,
            _ => Retained::Roll(self.roll()),
        }))
    }

    /// Moves the log start offset, not beyond the high watermark (DeleteRecords). True: it was below.
    pub fn delete_before(&mut self, offset: i64) -> Result<bool, ReadError> {
        if offset < 0 || offset > self.high_watermark() {
            let (log_start_offset, end_offset) = (self.log_start_offset, self.high_watermark());
            return Err(ReadError::OffsetOutOfRange { offset, log_start_offset, end_offset });
        }
        let moves = offset > self.log_start_offset;
        if moves {
            self.begin_at(offset);
        }
        Ok(moves)
    }

    /// As [`Partition::delete_before`]. Where nothing of the active segment is left, the next one is begun here and now: for a
    /// log that has no shard's thread to hold up, as [`Partition::append`]. A roll that fails takes the log offline until it
    /// comes back.
    pub fn begin_before(&mut self, offset: i64, wall_ms: i64) -> Result<bool, ReadError> {
        let moves = self.delete_before(offset)?;
        let is_used_up = self.active.size > 0 && self.end_offset == self.log_start_offset;
        if is_used_up && !self.is_busy() && self.failure.is_none() {
            let job = self.roll();
            self.perform(&job, wall_ms);
        }
        Ok(moves)
    }

    /// The checkpoint says on the disk that the log begins here, or later.
    pub fn start_kept(&mut self, log_start_offset: i64) {
        self.retired.kept_start = self.retired.kept_start.max(log_start_offset);
    }

    /// Whether the checkpoint holds the log start offset.
    #[must_use]
    pub fn is_start_kept(&self) -> bool {
        self.retired.kept_start >= self.log_start_offset
    }

    /// What gives the files of retired segments their last name. Its end goes to [`Partition::beside_done`].
    pub fn set_aside_due(&mut self) -> Option<Job> {
        if self.is_busy() {
            return None;
        }
        self.retire();
        let due = self.retired.segments.len();
        if due == 0 {
            return None;
        }
        self.folder.changed();
        let files = self.retired.segments[..due].iter().flat_map(|(base_offset, _)| files_of(*base_offset));
        let step = |name: String| Step::RenameIfThere {
            from: self.folder.path(&name),
            to: self.folder.path(&format!("{name}{DELETED}")),
        };
        let steps = files.map(step).collect();
        self.retired.setting_aside = due;
        self.beside = Beside::SettingAside;
        Some(Job::Steps { steps })
    }

    /// The job of [`Partition::set_aside_due`] ended.
    pub(crate) fn set_aside(&mut self, result: io::Result<()>) {
        let renamed = std::mem::take(&mut self.retired.setting_aside);
        if let Err(error) = result {
            // They are no part of the log all the same.
            tracing::warn!(dir = %self.folder.dir.display(), %error, "files of old segments could not be set aside");
            return;
        }
        let segments: Vec<_> = self.retired.segments.drain(..renamed).collect();
        let paths = segments
            .iter()
            .flat_map(|(base_offset, _)| files_of(*base_offset))
            .map(|name| self.folder.path(&format!("{name}{DELETED}")));
        self.retired.removals.push((self.config.file_delete_delay_ms, paths.collect()));
    }

    /// A job that removes files which are no part of the log any more, and in how many milliseconds it is to be done.
    pub fn removal(&mut self) -> Option<(i64, Job)> {
        let leftovers = std::mem::take(&mut self.retired.leftovers);
        let (delay_ms, paths) = match leftovers.is_empty() {
            true => self.retired.removals.pop()?,
            false => (0, leftovers.iter().map(|name| self.folder.path(name)).collect()),
        };
        let steps = paths.into_iter().map(|path| Step::Remove { path }).collect();
        Some((delay_ms, Job::Steps { steps }))
    }

    /// How old the active segment may become, less its share of `segment.jitter.ms`. Kafka draws it; here it follows from the
    /// folder's name and the segment's, so that a seed of the simulation repeats it.
    pub(crate) fn segment_ms(&self) -> i64 {
        let config = &self.config;
        let segment_ms = config.segment_ms_max();
        let Ok(range @ 1..) = u64::try_from(config.segment_jitter_ms.min(segment_ms)) else {
            return segment_ms;
        };
        let folder = self.folder.dir.file_name().unwrap_or_default();
        let drawn = crc_of(&[folder.as_encoded_bytes(), &self.active.base_offset.to_be_bytes()]);
        segment_ms - i64::try_from(u64::from(drawn) % range).unwrap_or(0)
    }

    // --- which segments ----------------------------------------------------------------------------------------------

    /// How many segments are to go, from the oldest on; the active one counts as the last.
    fn outdated(&self, wall_ms: i64) -> Result<usize, Cold> {
        let below_start = self.sealed.iter().enumerate().take_while(|(i, _)| self.end_of(*i) <= self.log_start_offset);
        let mut outdated = below_start.count();
        if self.config.delete {
            outdated = self.outsized(outdated);
            outdated = self.outlived(outdated, wall_ms)?;
        }
        Ok(outdated)
    }

    fn outsized(&self, mut outdated: usize) -> usize {
        let Ok(retention_bytes) = u64::try_from(self.config.retention_bytes) else { return outdated };
        let size: u64 = (outdated..=self.sealed.len()).map(|i| self.size_of(i)).sum();
        let Some(mut surplus) = size.checked_sub(retention_bytes) else { return outdated };
        while self.may_go(outdated) && surplus >= self.size_of(outdated) {
            surplus -= self.size_of(outdated);
            outdated += 1;
        }
        outdated
    }

    fn outlived(&self, mut outdated: usize, wall_ms: i64) -> Result<usize, Cold> {
        let retention_ms = self.config.retention_ms;
        while retention_ms >= 0
            && self.may_go(outdated)
            && wall_ms.saturating_sub(self.last_written_ms(outdated)?) > retention_ms
        {
            outdated += 1;
        }
        Ok(outdated)
    }

    /// Readers have seen all of it, and there is something of it.
    fn may_go(&self, i: usize) -> bool {
        let is_there = i < self.sealed.len() || (i == self.sealed.len() && self.active.size > 0);
        is_there && self.end_of(i) <= self.high_watermark()
    }

    /// The largest timestamp of a segment. Records without one count from when the partition was opened (Kafka asks when the
    /// file was changed last): later than they came, never earlier.
    fn last_written_ms(&self, i: usize) -> Result<i64, Cold> {
        let base_offset = self.sealed.get(i).map_or(self.active.base_offset, |segment| segment.base_offset);
        Ok(match self.largest_timestamp_ms(base_offset)? {
            ..0 => self.opened_ms,
            largest_ms => largest_ms,
        })
    }

    pub(crate) fn size_of(&self, i: usize) -> u64 {
        self.sealed.get(i).map_or(self.active.size, |segment| segment.size)
    }

    /// Where a segment ends: the next one's base offset, the log's end for the active one.
    pub(crate) fn end_of(&self, i: usize) -> i64 {
        match (self.sealed.get(i + 1), i < self.sealed.len()) {
            (Some(next), _) => next.base_offset,
            (None, true) => self.active.base_offset,
            (None, false) => self.end_offset,
        }
    }

    // --- the move ----------------------------------------------------------------------------------------------------

    /// Takes out of the log the segments below the start that the checkpoint holds. Not before: until then the next open needs
    /// them whole, so flushes sync them.
    fn retire(&mut self) {
        let kept = self.retired.kept_start.min(self.log_start_offset);
        let count = (0..self.sealed.len()).take_while(|i| self.end_of(*i) <= kept).count();
        if count == 0 {
            return;
        }
        let base_offset = self.end_of(count - 1);
        let ends: Vec<i64> = (0..count).map(|i| self.end_of(i)).collect();
        let gone = self.sealed.drain(..count).map(|segment| segment.base_offset);
        self.retired.segments.extend(gone.zip(ends));
        self.holder.close(|known| known < base_offset);
        self.largest_ms.borrow_mut().retain(|known, _| *known >= base_offset);
        self.sealed_aborted.forget(|known| known < base_offset);
        self.flush.begins_at(base_offset);
    }

    /// The log start offset moves. The epochs' file follows with the next epoch, and the next open makes them fit.
    fn begin_at(&mut self, log_start_offset: i64) {
        self.folder.changed();
        self.log_start_offset = log_start_offset;
        self.epochs.truncate_start(log_start_offset);
        self.offsets().check();
    }
}
