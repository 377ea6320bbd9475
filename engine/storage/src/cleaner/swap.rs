//! A cleaned segment takes the place of those that it was made of (`LocalLog.replaceSegments`), whatever breaks it off.
//!
//! ```text
//!   X.*.cleaned    on the disk, their names too
//!    1  --> X.*.swap       the log last                      sync of the folder
//!    2  Y.* --> Y.*.deleted, every old segment but X         sync of the folder
//!    3  X.*.swap --> X.*   over the old X, the log last      sync of the folder
//! ```
//!
//! | what an open finds | what it does (`LogLoader.removeTempFilesAndCollectSwapFiles`) |
//! |---|---|
//! | some .cleaned | they go, and the .swap at or above the first of them: step 1 was not over, the old segments are all there |
//! | a .log.swap, no such .cleaned | step 1 was over: the old logs that begin inside it go, then step 3 |
//! | other .swap alone | the rest of step 3 |
//!
//! X itself is not set aside: a name that is renamed over is the old file or the new one, at every moment. Who reads an old file
//! has it open, and goes on. While names change a segment that is not open is not opened: `view_ready` says later.

use std::io;
use std::path::PathBuf;

use ringlog_io::job::Step;
use ringlog_io::{DirEntry, Job, OpenMode};

use super::Cleaning;
use super::work::Written;
use crate::beside::Beside;
use crate::folder::Folder;
use crate::names::{self, CLEANED, DELETED, Kind, SWAP, file_name};
use crate::segment::{Sealed, log_error};
use crate::walk::{Check, Walk};
use crate::{Partition, StorageError, walk};

/// The files of a cleaned segment. The log comes last.
const KINDS: [Kind; 4] = [Kind::Index, Kind::TimeIndex, Kind::TxnIndex, Kind::Log];

/// What comes of asking for a swap.
#[derive(Debug)]
pub enum Swap {
    /// Another job is at work in the folder: ask again when it was done.
    Busy,
    /// The log is not what was read any more: the cleaning comes to nothing.
    Outdated,
    /// When this job has ended: [`Partition::beside_done`].
    Begun(Job),
}

/// A swap under way.
#[derive(Debug)]
pub(crate) struct Swapping {
    sealed: Sealed,
    /// Where what it replaces ends.
    end_offset: i64,
    /// Files that have their last name then.
    deleted: Vec<PathBuf>,
    cleaning: Cleaning,
}

impl std::fmt::Debug for Cleaning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cleaning").field("cleaned", &self.cleaned()).finish_non_exhaustive()
    }
}

impl Partition {
    /// Puts a written group in the place of what it was made of.
    pub fn swap_begin(&mut self, cleaning: &Cleaning) -> Swap {
        if self.is_busy() {
            return Swap::Busy;
        }
        let Some(written) = cleaning.work().written().cloned() else { return Swap::Outdated };
        if self.failure.is_some() || !self.holds(&written) {
            return Swap::Outdated;
        }
        self.folder.changed();
        let base_offset = written.sources[0].base_offset;
        let old: Vec<String> = written.sources[1..]
            .iter()
            .flat_map(|source| names::files_of(source.base_offset))
            // The last snapshot is not a segment's alone.
            .filter(|name| *name != file_name(self.snapshotted.offset, Kind::Snapshot))
            .collect();
        let deleted = old.iter().map(|name| self.folder.path(&format!("{name}{DELETED}"))).collect();
        let steps = self.swap_steps(base_offset, &old, written.has_aborted);
        let sealed = Sealed { base_offset, size: written.size, has_aborted: written.has_aborted };
        let end_offset = written.sources.last().map_or(base_offset, |last| last.end_offset);
        self.beside = Beside::Swapping(Box::new(Swapping { sealed, end_offset, deleted, cleaning: cleaning.clone() }));
        Swap::Begun(Job::Steps { steps })
    }

    /// Whether the segments are there as they were read.
    fn holds(&self, written: &Written) -> bool {
        let Some(first) = self.sealed.iter().position(|it| it.base_offset == written.sources[0].base_offset) else {
            return false;
        };
        let mut there = (first..self.sealed.len()).map(|i| (self.sealed[i], self.end_of(i)));
        written.sources.iter().all(|source| {
            there.next().is_some_and(|(sealed, end_offset)| {
                (sealed.base_offset, sealed.size, end_offset) == (source.base_offset, source.size, source.end_offset)
            })
        })
    }

    fn swap_steps(&self, base_offset: i64, old: &[String], has_aborted: bool) -> Vec<Step> {
        let path = |name: String| self.folder.path(&name);
        let sync = || Step::SyncDir { dir: self.folder.dir.clone() };
        let rename = |kind: Kind, from: &str, to: &str| {
            let name = file_name(base_offset, kind);
            Step::Rename { from: path(format!("{name}{from}")), to: path(format!("{name}{to}")) }
        };
        let mut steps: Vec<Step> = KINDS.iter().map(|kind| rename(*kind, CLEANED, SWAP)).collect();
        steps.push(sync());
        let set_aside =
            |name: &String| Step::RenameIfThere { from: path(name.clone()), to: path(format!("{name}{DELETED}")) };
        steps.extend(old.iter().map(set_aside));
        steps.push(sync());
        steps.extend(KINDS.iter().map(|kind| rename(*kind, SWAP, "")));
        steps.push(sync());
        if !has_aborted {
            steps.push(Step::Remove { path: path(file_name(base_offset, Kind::TxnIndex)) });
        }
        #[cfg(feature = "plant")]
        if ringlog_io::plant::is(ringlog_io::plant::SWAP_LOST) {
            steps.retain(|step| !matches!(step, Step::SyncDir { .. }));
            steps[..KINDS.len() + old.len()].rotate_left(KINDS.len());
        }
        steps
    }

    /// The job of [`Partition::swap_begin`] ended.
    pub(crate) fn swapped(&mut self, swapping: Swapping, result: io::Result<()>) {
        let Swapping { sealed, end_offset, deleted, cleaning } = swapping;
        if let Err(error) = result {
            // Which names changed is seen when the folder is read again.
            let error = StorageError::io("swap in the cleaned segment of", &self.folder.dir)(error);
            return self.go_offline(&error);
        }
        let is_old = |base_offset: i64| (sealed.base_offset..end_offset).contains(&base_offset);
        let at = self.sealed.partition_point(|it| it.base_offset < sealed.base_offset);
        self.sealed.retain(|it| !is_old(it.base_offset));
        self.sealed.insert(at, sealed);
        self.holder.close(is_old);
        self.largest_ms.borrow_mut().retain(|base_offset, _| !is_old(*base_offset));
        self.sealed_aborted.forget(is_old);
        self.retired.remove_later(self.config.file_delete_delay_ms, deleted);
        cleaning.work().swapped();
    }

    /// Whether the names of a segment's files are being changed.
    pub(crate) fn is_being_swapped(&self, base_offset: i64) -> bool {
        matches!(&self.beside, Beside::Swapping(swapping)
            if (swapping.sealed.base_offset..swapping.end_offset).contains(&base_offset))
    }
}

/// Ends what a run before left in the middle. True: names changed.
pub(crate) fn finish(folder: &Folder, entries: &[DirEntry]) -> Result<bool, StorageError> {
    let of = |ending: &str| -> Vec<(i64, Kind, String)> {
        let names = entries.iter().filter(|entry| !entry.is_dir).map(|entry| &entry.name);
        let parsed = |name: &String| {
            names::parse(name.strip_suffix(ending)?).map(|(base_offset, kind)| (base_offset, kind, name.clone()))
        };
        names.filter_map(parsed).collect()
    };
    let (cleaned, swaps) = (of(CLEANED), of(SWAP));
    if cleaned.is_empty() && swaps.is_empty() {
        return Ok(false);
    }
    let first_cleaned = cleaned.iter().map(|(base_offset, ..)| *base_offset).min().unwrap_or(i64::MAX);
    let (unfinished, swaps): (Vec<_>, Vec<_>) = swaps.into_iter().partition(|(base, ..)| *base >= first_cleaned);
    remove(folder, &unfinished)?;
    remove(folder, &cleaned)?;
    for (base_offset, ..) in swaps.iter().filter(|(_, kind, _)| *kind == Kind::Log) {
        remove_replaced(folder, *base_offset, entries)?;
    }
    // The log last, as before.
    let (logs, others): (Vec<_>, Vec<_>) = swaps.into_iter().partition(|(_, kind, _)| *kind == Kind::Log);
    for (base_offset, kind, name) in others.iter().chain(&logs) {
        let (from, to) = (folder.path(name), folder.path(&file_name(*base_offset, *kind)));
        folder.changed();
        folder.files.rename(&from, &to).map_err(StorageError::io("rename", &from))?;
    }
    if !logs.is_empty() || !others.is_empty() {
        tracing::info!(dir = %folder.dir.display(), segments = logs.len(), "cleaned segments of the last run take their places");
        folder.sync_dir()?;
    }
    Ok(true)
}

/// Names that are gone are so on the disk before others go: half of a swap must not look like a whole one.
fn remove(folder: &Folder, files: &[(i64, Kind, String)]) -> Result<(), StorageError> {
    if files.is_empty() {
        return Ok(());
    }
    files.iter().try_for_each(|(_, _, name)| folder.remove(name))?;
    folder.sync_dir()
}

/// Removes the old segments that begin inside a cleaned one, but the one whose name it takes.
fn remove_replaced(folder: &Folder, base_offset: i64, entries: &[DirEntry]) -> Result<(), StorageError> {
    let name = format!("{}{SWAP}", file_name(base_offset, Kind::Log));
    let file = folder.open(&name, OpenMode::Read)?;
    let size = folder.files.len(&file).map_err(StorageError::io("measure", &folder.path(&name)))?;
    let mut walk = Walk::new(&*folder.files, &file, 0, size, base_offset);
    while let walk::Step::Batch(..) = walk.step(Check::Headers).map_err(log_error(folder, base_offset))? {}
    let inside = base_offset + 1..walk.next_offset();
    let replaced = entries.iter().filter_map(|entry| {
        let (base_offset, kind) = names::parse(&entry.name)?;
        (kind != Kind::Snapshot && inside.contains(&base_offset)).then(|| (base_offset, kind, entry.name.clone()))
    });
    let replaced: Vec<_> = replaced.collect();
    remove(folder, &replaced)
}
