//! Flushing: which file is to be synced next, and what its verdict means.
//!
//! One job at a time and partition, in this order: the folder above, where this one may be new; the folder, where a file in it
//! is new; the small files that recovery trusts below the recovery point; sealed segments that are not on the disk; the
//! active one. A job covers everything that was written before it began; what arrives meanwhile waits for the next. A failed
//! job is final: the kernel may have dropped the dirty pages, so a second fdatasync could succeed without the bytes being
//! anywhere (`suspect.rs`); a note stands in the folder before the first job, for a run that is killed before it hears of a
//! failure. A job that cannot begin, for want of a descriptor, has lost nothing (`health.rs`).

use std::io;

use ringlog_io::{File, OpenMode};

use crate::names::{Kind, file_name};
use crate::partition::Spot;
use crate::{Partition, StorageError, suspect};

/// A file that wants an fdatasync: submit it, then hand the job back with the verdict.
#[derive(Debug)]
pub struct FlushJob {
    /// What to sync: a segment file, the partition's folder, or the one above.
    pub file: File,
    /// Everything below is on the disk when this and the jobs before it are done.
    pub up_to: i64,
    covers: Covers,
}

/// What is durable when a job is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Covers {
    /// The folder's own entry, in the folder above.
    Folder,
    /// The folder's entries, up to a number of files made.
    Entries(u64),
    /// A small file.
    SmallFile,
    /// The log up to a place.
    Log(Spot),
}

/// How far a partition is on the disk.
#[derive(Clone, Debug)]
pub(crate) struct Flush {
    flushed: Spot,
    under_way: bool,
    /// The folder says that flushes are under way.
    is_noted: bool,
    /// The folder's own entry is on the disk. Not known of one that was there before: who made it may have been killed.
    is_entered: bool,
    /// Files made so far, and how many of their names are on the disk. One more than none of a folder that was there before.
    entries_made: u64,
    entries_synced: u64,
    /// Small files that were written and not synced.
    small_files: Vec<String>,
    /// Wall time of the first append that no job covers.
    waiting_since_ms: Option<i64>,
}

impl Flush {
    /// Everything below is on the disk.
    pub(crate) fn at(flushed: Spot) -> Self {
        Self {
            flushed,
            under_way: false,
            is_noted: false,
            is_entered: false,
            entries_made: 1,
            entries_synced: 0,
            small_files: Vec::new(),
            waiting_since_ms: None,
        }
    }

    pub(crate) fn flushed(&self) -> Spot {
        self.flushed
    }

    /// The folder is on the disk, and its entry in the one above.
    pub(crate) fn closed_clean(&mut self) {
        self.is_entered = true;
        self.entries_synced = self.entries_made;
    }

    /// Takes over from the same partition before it was opened again: a job may be under way, whose numbers are the old
    /// ones, and what was flushed stays flushed.
    pub(crate) fn carry_on(&mut self, before: &Self) {
        self.entries_made += before.entries_made;
        self.entries_synced += before.entries_made;
        (self.under_way, self.is_noted) = (before.under_way, before.is_noted);
        self.waiting_since_ms = before.waiting_since_ms;
        if before.flushed.offset > self.flushed.offset {
            self.flushed = before.flushed;
        }
    }

    /// The note that flushes are under way is gone.
    pub(crate) fn forgot_begun(&mut self) {
        self.is_noted = false;
    }

    /// The folder's own entry is on the disk.
    pub(crate) fn entered(&mut self) {
        self.is_entered = true;
    }

    /// A small file was put in place.
    pub(crate) fn wrote_small(&mut self, name: &str) {
        self.entries_made += 1;
        if !self.small_files.iter().any(|known| known == name) {
            self.small_files.push(name.to_owned());
        }
    }

    /// The log begins with this segment now: what was before it needs no sync.
    pub(crate) fn begins_at(&mut self, base_offset: i64) {
        if self.flushed.offset < base_offset {
            self.flushed = Spot { offset: base_offset, base_offset, position: 0 };
        }
    }

    /// The active segment is a new file.
    pub(crate) fn rolled(&mut self) {
        self.entries_made += 1;
    }

    pub(crate) fn appended(&mut self, wall_ms: i64) {
        self.waiting_since_ms.get_or_insert(wall_ms);
    }
}

impl Partition {
    /// Whether `flush.messages` or `flush.ms` asks for a flush now, or a rolled segment waits for its one.
    #[must_use]
    pub fn flush_due(&self, wall_ms: i64) -> bool {
        let unflushed = self.end_offset - self.flush.flushed.offset;
        if unflushed == 0 || self.flush.under_way || self.failure.is_some() {
            return false;
        }
        let waited_ms = self.flush.waiting_since_ms.map_or(0, |since_ms| wall_ms.saturating_sub(since_ms));
        self.flush.flushed.offset < self.active.base_offset
            || unflushed >= self.config.flush_messages
            || waited_ms >= self.config.flush_ms
    }

    /// The next file to sync. `None` where all is flushed or a job is under way: ask again after [`Partition::flush_done`].
    pub fn flush_begin(&mut self) -> Option<FlushJob> {
        if self.flush.under_way || self.failure.is_some() {
            return None;
        }
        match self.next_job() {
            Ok(job) => {
                self.flush.under_way = job.is_some();
                job
            }
            Err(error) => {
                self.go_offline(&error);
                None
            }
        }
    }

    fn next_job(&mut self) -> Result<Option<FlushJob>, StorageError> {
        let flushed = self.flush.flushed;
        if flushed.offset == self.end_offset {
            return Ok(None);
        }
        self.note_begun()?;
        #[cfg(feature = "plant")]
        if ringlog_io::plant::is(ringlog_io::plant::FOLDER_ENTRY_UNSYNCED) {
            self.flush.entered();
        }
        if !self.flush.is_entered {
            return self.folder_job(flushed.offset);
        }
        if self.flush.entries_synced < self.flush.entries_made {
            return self.entries_job(flushed.offset);
        }
        if let Some(file) = self.next_small_file()? {
            return Ok(Some(FlushJob { file, up_to: flushed.offset, covers: Covers::SmallFile }));
        }
        if flushed.offset < self.active.base_offset {
            return self.sealed_job(flushed.offset).map(Some);
        }
        self.flush.waiting_since_ms = None;
        Ok(Some(job(self.active.file.clone(), self.end_spot())))
    }

    fn note_begun(&mut self) -> Result<(), StorageError> {
        #[cfg(feature = "plant")]
        if ringlog_io::plant::is(ringlog_io::plant::FLUSH_UNNOTED) {
            return Ok(());
        }
        if self.flush.is_noted {
            return Ok(());
        }
        match suspect::note_begun(&self.folder) {
            Ok(()) => self.flush.is_noted = true,
            // What is there is flushed all the same: a broker that starts on a full disk serves it.
            Err(error) if error.is_full() => {
                tracing::warn!(%error, "no room to note that a flush begins: were the broker killed now, a failure of it would go unheard");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Takes the note away. Where that fails it stays, and costs the start after a kill some writing.
    pub(crate) fn forget_begun(&mut self) {
        if std::mem::take(&mut self.flush.is_noted)
            && let Err(error) = suspect::forget_begun(&self.folder)
        {
            tracing::warn!(dir = %self.folder.dir.display(), %error, "the note of flushes under way stays");
            self.flush.is_noted = true;
        }
    }

    /// A topic may be told to flush long after its folder was made: what makes the folder findable comes first.
    fn folder_job(&mut self, up_to: i64) -> Result<Option<FlushJob>, StorageError> {
        let Some(parent) = self.folder.dir.parent() else { return Ok(None) };
        match self.folder.files.open(parent, OpenMode::Read) {
            Ok(file) => return Ok(Some(FlushJob { file, up_to, covers: Covers::Folder })),
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => self.sync_parent()?,
            Err(error) => return Err(StorageError::io("open", parent)(error)),
        }
        self.flush.entered();
        self.next_job()
    }

    /// A folder is synced through a descriptor like a file; where a folder cannot be opened like one, here and now.
    fn entries_job(&mut self, up_to: i64) -> Result<Option<FlushJob>, StorageError> {
        let made = self.flush.entries_made;
        match self.folder.files.open(&self.folder.dir, OpenMode::Read) {
            Ok(file) => return Ok(Some(FlushJob { file, up_to, covers: Covers::Entries(made) })),
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => self.folder.sync_dir()?,
            Err(error) => return Err(StorageError::io("open", &self.folder.dir)(error)),
        }
        self.flush.entries_synced = made;
        self.next_job()
    }

    /// Snapshots that were replaced meanwhile are gone, and need no sync.
    fn next_small_file(&mut self) -> Result<Option<File>, StorageError> {
        while let Some(name) = self.flush.small_files.last() {
            let path = self.folder.path(name);
            let opened = match self.folder.files.open(&path, OpenMode::Read) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(StorageError::io("open", &path)(error)),
            };
            self.flush.small_files.pop();
            if opened.is_some() {
                return Ok(opened);
            }
        }
        Ok(None)
    }

    fn sealed_job(&self, offset: i64) -> Result<FlushJob, StorageError> {
        let after = self.sealed.partition_point(|segment| segment.base_offset <= offset);
        let sealed = self.sealed[after.saturating_sub(1)];
        let (file, _) = self.folder.open_log(sealed.base_offset, OpenMode::Read)?;
        let end = self.next_base_offset(sealed.base_offset).unwrap_or(self.end_offset);
        Ok(job(file, Spot { offset: end, base_offset: end, position: 0 }))
    }

    /// Takes the verdict. An error is final: the partition goes offline, nothing unflushed is ever acknowledged.
    pub fn flush_done(&mut self, job: FlushJob, result: io::Result<()>) {
        self.flush.under_way = false;
        match (result, job.covers) {
            (Err(source), _) => self.go_offline(&StorageError::Sync { path: self.folder.dir.clone(), source }),
            (Ok(()), Covers::Folder) => self.flush.entered(),
            (Ok(()), Covers::Entries(made)) => self.flush.entries_synced = self.flush.entries_synced.max(made),
            (Ok(()), Covers::SmallFile) => {}
            (Ok(()), Covers::Log(spot)) => {
                if spot.offset > self.flush.flushed.offset {
                    self.flush.flushed = spot;
                }
                if spot.base_offset == self.active.base_offset {
                    self.unwritten.synced(spot.position);
                }
                // A log that is flushed by settings is so all the time, and keeps its note.
                if !self.config.flushes() && self.flush.flushed.offset >= self.active.base_offset {
                    self.forget_begun();
                }
                self.show();
            }
        }
    }

    /// Flushes everything, waiting for the disk.
    pub(crate) fn flush_waiting(&mut self) -> Result<(), StorageError> {
        self.flush.under_way = false;
        while let Some(job) = self.flush_begin() {
            let result = self.folder.files.sync(&job.file);
            self.flush_done(job, result);
        }
        self.check_online()
    }

    /// What a start after a clean stop trusts beside the log, waiting for the disk: the files that are named, the small ones
    /// that changed, and the names of all of them.
    pub(crate) fn sync_beside(&mut self, names: &[String]) -> Result<(), StorageError> {
        names.iter().try_for_each(|name| self.folder.sync(name))?;
        while let Some(name) = self.flush.small_files.pop() {
            self.folder.sync(&name)?;
        }
        self.folder.sync_dir()?;
        if !self.flush.is_entered {
            self.sync_parent()?;
        }
        self.flush.closed_clean();
        Ok(())
    }

    /// The name under which the active segment stands, for messages.
    pub(crate) fn active_name(&self) -> String {
        file_name(self.active.base_offset, Kind::Log)
    }
}

fn job(file: File, spot: Spot) -> FlushJob {
    FlushJob { file, up_to: spot.offset, covers: Covers::Log(spot) }
}
