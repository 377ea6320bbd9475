//! Flushes that failed, or may have while nobody listened: notes in the partition's folder, which outlive a kill.
//!
//! When a write to the disk fails, the kernel reports it to one fdatasync, marks the pages clean and keeps them. From then on
//! the page cache shows bytes that are not on the disk, a later fdatasync succeeds without writing them, and a broker that is
//! started again in the same boot would find them whole, acknowledge them as duplicates, and lose them with the power.
//!
//! ```text
//!   first fdatasync of a run --> `flush-begun`: a kill while one is under way takes its verdict with it
//!   fdatasync fails          --> offline, `flush-failed.<what was flushed before>`
//!   next open                --> every byte from there on, or from the recovery point on, is read, dropped from the page
//!                                cache, written again (into new pages) and synced, then checked as after a power cut; the
//!                                notes go when all of it is on the disk
//! ```
//!
//! Invariant: no fdatasync of a partition is under way without a note in its folder, but on a disk that is too full for one.
//!
//! Why so: `engine/docs/decisions/failed-flush.md`.

use std::io::{self, IoSlice};

use ringlog_io::OpenMode;

use crate::folder::Folder;
use crate::listing::Listing;
use crate::names::{Kind, LEADER_EPOCHS, PARTITION_METADATA, file_name};
use crate::segment::log_error;
use crate::walk::{Check, Step, Walk};
use crate::{Startup, StorageError};

/// The name of the note of a failed flush, but for the offset.
const FAILED: &str = "flush-failed.";
/// The name of the note that flushes are under way, at times.
const BEGUN: &str = "flush-begun";
/// Read and written at once; pieces begin at multiples of it, so that no page of the cache lies in two.
const PIECE_BYTES: usize = 1 << 20;

/// Notes that a flush failed: an empty folder whose name says what was flushed before. It takes no descriptor, and the
/// kernel keeps it as long as it keeps the pages that are in doubt. Whether it is there.
pub(crate) fn leave_note(folder: &Folder, flushed_offset: i64) -> bool {
    let note = folder.path(&format!("{FAILED}{flushed_offset:020}"));
    let left = folder.files.create_dir_all(&note);
    if let Err(error) = &left {
        tracing::error!(%error, "the failed flush could not be noted: reboot the machine before the broker is started again");
    }
    left.is_ok()
}

/// Notes that flushes begin, before the first one does. The next start has to know where this run is killed.
pub(crate) fn note_begun(folder: &Folder) -> Result<(), StorageError> {
    let note = folder.path(BEGUN);
    folder.files.create_dir_all(&note).map_err(StorageError::io("make", &note))
}

/// No flush is under way, and none failed.
pub(crate) fn forget_begun(folder: &Folder) -> Result<(), StorageError> {
    let note = folder.path(BEGUN);
    folder.files.remove_dir_all(&note).map_err(StorageError::io("remove", &note))
}

/// What the notes in a folder say of the last run's flushes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Notes {
    /// One failed: what was flushed before the first that did.
    failed_after: Option<i64>,
    /// One may have been under way when the run ended, and nobody heard how it ended.
    begun: bool,
}

impl Notes {
    /// Reads the names of a folder's folders.
    pub(crate) fn read<'a>(folders: impl Iterator<Item = &'a str>) -> Self {
        let mut notes = Self::default();
        for name in folders {
            notes.begun |= name == BEGUN;
            if let Some(offset) = name.strip_prefix(FAILED) {
                let offset = offset.parse().unwrap_or(0);
                notes.failed_after = Some(notes.failed_after.map_or(offset, |before| before.min(offset)));
            }
        }
        notes
    }

    /// From which offset on the page cache may show what is not on the disk; `None`: nowhere. Everything below the recovery
    /// point is: some flush ended well that covered it.
    pub(crate) fn in_doubt_from(self, how: Startup, recovery_point: i64) -> Option<i64> {
        match self.failed_after {
            Some(flushed_offset) if how == Startup::NewBoot => Some(flushed_offset.min(recovery_point)),
            Some(flushed_offset) => Some(flushed_offset),
            None => (self.begun && how != Startup::Clean).then_some(recovery_point),
        }
    }
}

/// Writes everything again that may not be on the disk: the log from `flushed_offset` on, and what belongs to its segments.
/// Indexes are made again from the log. Waits for the disk.
pub(crate) fn write_again(folder: &Folder, listing: &Listing, flushed_offset: i64) -> Result<(), StorageError> {
    let first = listing.logs.partition_point(|base| *base < flushed_offset).saturating_sub(1);
    let logs = listing.logs.get(first..).unwrap_or_default();
    tracing::warn!(dir = %folder.dir.display(), flushed_offset, segments = logs.len(), "a flush of the last run failed, or was under way when it ended: what it should have covered is written again");
    for &base_offset in logs {
        let from = if base_offset < flushed_offset { flushed_bytes(folder, base_offset, flushed_offset)? } else { 0 };
        write_in_place(folder, &file_name(base_offset, Kind::Log), from)?;
        write_in_place(folder, &file_name(base_offset, Kind::TxnIndex), 0)?;
    }
    for &offset in listing.snapshots.iter().filter(|offset| logs.first().is_some_and(|first| *offset >= first)) {
        write_in_place(folder, &file_name(offset, Kind::Snapshot), 0)?;
    }
    write_in_place(folder, LEADER_EPOCHS, 0)?;
    write_in_place(folder, PARTITION_METADATA, 0)?;
    folder.sync_dir()
}

/// How many bytes of a segment lie below an offset: as far as there are whole batches.
fn flushed_bytes(folder: &Folder, base_offset: i64, flushed_offset: i64) -> Result<u64, StorageError> {
    let (file, size) = folder.open_log(base_offset, OpenMode::Read)?;
    let mut walk = Walk::new(&*folder.files, &file, 0, size, base_offset);
    loop {
        match walk.step(Check::Headers).map_err(log_error(folder, base_offset))? {
            Step::Batch(header, _) if header.last_offset() < flushed_offset => {}
            Step::Batch(_, position) => return Ok(position),
            Step::End | Step::Bad { .. } => return Ok(walk.position()),
        }
    }
}

/// The same bytes once more, in new pages, and an fdatasync that has something to write; a file that is missing is fine. In
/// place: a disk that is full has room for it.
///
/// New pages, because ext4 remembers with a page where its block is, but not that the extent still counts as unwritten: a
/// page whose write failed and that is written again reaches its block, and the next boot reads zeros all the same.
fn write_in_place(folder: &Folder, name: &str, from: u64) -> Result<(), StorageError> {
    let (files, path) = (&folder.files, &folder.path(name));
    let file = match files.open(path, OpenMode::Write) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(StorageError::io("open", path))?,
    };
    // Dirty pages cannot be dropped. The verdict is of the run before, and of pages that are written again.
    if let Err(error) = files.sync(&file) {
        tracing::debug!(%error, name, "before it is written again");
    }
    let mut piece = vec![0; PIECE_BYTES];
    let mut position = from - from % PIECE_BYTES as u64;
    loop {
        let len = files.read_at(&file, &mut piece, position).map_err(StorageError::io("read", path))?;
        if len == 0 {
            break;
        }
        files.drop_cached(&file, position, PIECE_BYTES as u64).map_err(StorageError::io("drop pages of", path))?;
        let parts = [IoSlice::new(&piece[..len])];
        files.write_all_at(&file, &parts, position).map_err(StorageError::io("write", path))?;
        position += len as u64;
    }
    files.sync(&file).map_err(StorageError::sync(path))
}

/// Everything is on the disk: all notes go.
pub(crate) fn forget(folder: &Folder) -> Result<(), StorageError> {
    let entries = folder.files.list(&folder.dir).map_err(StorageError::io("list", &folder.dir))?;
    let is_note = |name: &str| name == BEGUN || name.starts_with(FAILED);
    for note in entries.iter().filter(|entry| entry.is_dir && is_note(&entry.name)) {
        let path = folder.path(&note.name);
        folder.files.remove_dir_all(&path).map_err(StorageError::io("remove", &path))?;
    }
    folder.sync_dir()
}
