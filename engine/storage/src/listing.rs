//! What lies in a partition's folder, before anything of it is opened.

use crate::StorageError;
use crate::cleaner::swap;
use crate::folder::{Folder, UNFINISHED};
use crate::names::{self, DELETED, Kind, NEXT_SEGMENT};
use crate::suspect;

/// What lies in the folder, sorted.
pub(crate) struct Listing {
    pub(crate) logs: Vec<i64>,
    pub(crate) snapshots: Vec<i64>,
    /// Base offsets of the segments that have a file of aborted transactions.
    pub(crate) txn_indexes: Vec<i64>,
    /// Files of segments that were taken out of the log, and are to be removed.
    pub(crate) leftovers: Vec<String>,
    /// What the last run noted of its flushes.
    pub(crate) notes: suspect::Notes,
}

impl Listing {
    /// Reads the folder; leftovers of a kill go, and indexes whose log is gone, lest a later segment of that name finds
    /// them.
    pub(crate) fn read(folder: &Folder) -> Result<Self, StorageError> {
        let list = || folder.files.list(&folder.dir).map_err(StorageError::io("list", &folder.dir));
        let mut entries = list()?;
        if swap::finish(folder, &entries)? {
            entries = list()?;
        }
        let (mut logs, mut snapshots, mut indexes) = (Vec::new(), Vec::new(), Vec::new());
        let (mut txn_indexes, mut leftovers) = (Vec::new(), Vec::new());
        for entry in entries.iter().filter(|entry| !entry.is_dir) {
            match names::parse(&entry.name) {
                Some((offset, Kind::Log)) => logs.push(offset),
                Some((offset, Kind::Snapshot)) => snapshots.push(offset),
                Some((offset, kind)) => {
                    indexes.push((offset, &entry.name));
                    if kind == Kind::TxnIndex {
                        txn_indexes.push(offset);
                    }
                }
                None if entry.name == NEXT_SEGMENT || entry.name.ends_with(UNFINISHED) => folder.remove(&entry.name)?,
                None if entry.name.ends_with(DELETED) => leftovers.push(entry.name.clone()),
                None => {}
            }
        }
        for (_, orphan) in indexes.iter().filter(|(offset, _)| !logs.contains(offset)) {
            folder.remove(orphan)?;
        }
        logs.sort_unstable();
        snapshots.sort_unstable();
        let folders = entries.iter().filter(|entry| entry.is_dir);
        let notes = suspect::Notes::read(folders.map(|entry| entry.name.as_str()));
        Ok(Self { logs, snapshots, txn_indexes, leftovers, notes })
    }
}
