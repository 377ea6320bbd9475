//! A failed flush, remembered: the note `flush-failed.<flushed offset>` in the partition's folder.
//!
//! When a write to the disk fails, the kernel reports it to one fdatasync, marks the pages clean and keeps them. From then on
//! the page cache shows bytes that are not on the disk, a later fdatasync succeeds without writing them, and a broker that is
//! started again in the same boot would find them whole, acknowledge them as duplicates, and lose them with the power.
//!
//! ```text
//!   fdatasync fails --> offline, note: what was flushed before
//!   next open       --> every byte from there on is written again (its pages are dirty again) and synced, then checked as
//!                       after a power cut; the note goes when all of it is on the disk
//! ```
//!
//! Why so: `engine/docs/decisions/failed-flush.md`.

use std::io::IoSlice;
use std::path::Path;

use ringlog_io::OpenMode;

use crate::StorageError;
use crate::folder::Folder;
use crate::listing::Listing;
use crate::names::{Kind, LEADER_EPOCHS, PARTITION_METADATA, file_name};

/// The note's name, but for the offset.
const NOTE: &str = "flush-failed.";
/// Read and written at once.
const PIECE_BYTES: usize = 1 << 20;

/// Notes that a flush failed: an empty folder whose name says what was flushed before. It takes no descriptor, and the
/// kernel keeps it as long as it keeps the pages that are in doubt. Whether it is there.
pub(crate) fn leave_note(folder: &Folder, flushed_offset: i64) -> bool {
    let note = folder.path(&format!("{NOTE}{flushed_offset:020}"));
    let left = folder.files.create_dir_all(&note);
    if let Err(error) = &left {
        tracing::error!(%error, "the failed flush could not be noted: reboot the machine before the broker is started again");
    }
    left.is_ok()
}

/// What was flushed before the first failure, as the names of a folder's folders say; `None` where no flush failed.
pub(crate) fn flushed_before<'a>(folders: impl Iterator<Item = &'a str>) -> Option<i64> {
    folders.filter_map(|name| name.strip_prefix(NOTE)).map(|offset| offset.parse().unwrap_or(0)).min()
}

/// Writes everything again that may not be on the disk: segments from the one that holds `flushed_offset` on, and what
/// belongs to them. Indexes are made again from the log. Waits for the disk.
pub(crate) fn write_again(folder: &Folder, listing: &Listing, flushed_offset: i64) -> Result<(), StorageError> {
    let first = listing.logs.partition_point(|base| *base < flushed_offset).saturating_sub(1);
    let logs = listing.logs.get(first..).unwrap_or_default();
    tracing::warn!(dir = %folder.dir.display(), flushed_offset, segments = logs.len(), "a flush failed in the last run: what it should have covered is written again");
    for &base_offset in logs {
        write_in_place(folder, &folder.path(&file_name(base_offset, Kind::Log)))?;
        replace(folder, &file_name(base_offset, Kind::TxnIndex))?;
    }
    for &offset in listing.snapshots.iter().filter(|offset| logs.first().is_some_and(|first| *offset >= first)) {
        replace(folder, &file_name(offset, Kind::Snapshot))?;
    }
    replace(folder, LEADER_EPOCHS)?;
    replace(folder, PARTITION_METADATA)?;
    folder.sync_dir()
}

/// The same bytes once more, and an fdatasync that has something to write.
fn write_in_place(folder: &Folder, path: &Path) -> Result<(), StorageError> {
    let files = &folder.files;
    let file = files.open(path, OpenMode::Write).map_err(StorageError::io("open", path))?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut position = 0;
    loop {
        let len = files.read_at(&file, &mut piece, position).map_err(StorageError::io("read", path))?;
        if len == 0 {
            break;
        }
        let parts = [IoSlice::new(&piece[..len])];
        files.write_all_at(&file, &parts, position).map_err(StorageError::io("write", path))?;
        position += len as u64;
    }
    files.sync(&file).map_err(StorageError::sync(path))
}

fn replace(folder: &Folder, name: &str) -> Result<(), StorageError> {
    let Some(bytes) = folder.read(name)? else { return Ok(()) };
    folder.write(name, &bytes)?;
    folder.sync(name)
}

/// Everything is on the disk: the notes go.
pub(crate) fn forget(folder: &Folder) -> Result<(), StorageError> {
    let entries = folder.files.list(&folder.dir).map_err(StorageError::io("list", &folder.dir))?;
    for note in entries.iter().filter(|entry| entry.is_dir && entry.name.starts_with(NOTE)) {
        let path = folder.path(&note.name);
        folder.files.remove_dir_all(&path).map_err(StorageError::io("remove", &path))?;
    }
    folder.sync_dir()
}
