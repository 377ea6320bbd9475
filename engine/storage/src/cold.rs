//! Lookups that would wait for the disk: which bytes they need, read beside the shard's thread first.
//!
//! ```text
//!   offset --> segment: not open?            --> Load: its indexes, and the log's end that they are checked against
//!          --> index: position, not cached?  --> Load: the headers from there on
//! time   --> the same, one segment after the other; the batch itself is read too
//! aborted transactions of a sealed segment   --> Load: its .txnindex, kept in memory then
//!          --> found without waiting
//! ```
//!
//! Whether a position is cached is tried with a read that does not wait (RWF_NOWAIT). What was loaded once is looked at,
//! whatever the page cache says then: a lookup ends, also where the kernel cannot tell what it holds.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use ringlog_io::{File, Job};

use crate::aborted::Aborted;
use crate::names::{Kind, file_name};
use crate::segment::{LOOKUP_BYTES, Sealed, View};
use crate::{Isolation, LogRange, Partition, ReadError, StorageError};

/// Bytes of the log's end that opening a segment looks at: headers after the last index entry.
const TAIL_BYTES: u64 = 1 << 20;
/// Bytes of the log that are loaded for a lookup: the headers up to the next index entries.
const LOADED_BYTES: u64 = 64 << 10;
/// Segments whose aborted transactions are kept in memory.
const ABORTED_MAX: usize = 16;
/// Lookups that are remembered; where there are more at once, some of them wait for the disk.
const LOOKUPS_MAX: usize = 64;

/// What is looked up: a segment, and what of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lookup {
    base_offset: i64,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// The segment is to be opened.
    Opening,
    /// The batches from a position on.
    Position(u64),
    /// Its aborted transactions.
    Aborted,
}

/// What a lookup gives.
#[derive(Debug)]
pub enum Ready<T> {
    /// It is found.
    Now(T),
    /// It is found when this job was done and [`Partition::lookup_loaded`] told. `None`: another asker has the job.
    Later(Option<(Lookup, Job)>),
}

impl<T> Ready<T> {
    /// Changes what is found.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Ready<U> {
        match self {
            Self::Now(found) => Ready::Now(change(found)),
            Self::Later(job) => Ready::Later(job),
        }
    }
}

/// Why a lookup does not go on.
pub(crate) enum Cold {
    Failed(StorageError),
    Later(Option<(Lookup, Job)>),
}

impl From<StorageError> for Cold {
    fn from(error: StorageError) -> Self {
        Self::Failed(error)
    }
}

impl Cold {
    /// The answer to who asked.
    pub(crate) fn answer<T>(result: Result<T, Self>) -> Result<Ready<T>, StorageError> {
        match result {
            Ok(found) => Ok(Ready::Now(found)),
            Err(Self::Later(job)) => Ok(Ready::Later(job)),
            Err(Self::Failed(error)) => Err(error),
        }
    }
}

/// The lookups of a partition that are not over, and whether their bytes were loaded.
#[derive(Debug, Default)]
pub(crate) struct Lookups(RefCell<BTreeMap<Lookup, bool>>);

impl Lookups {
    /// The lookup may go on; otherwise what it has to wait for.
    fn admit(&self, lookup: Lookup, job: impl FnOnce() -> Job) -> Result<(), Cold> {
        let mut lookups = self.0.borrow_mut();
        if lookups.len() >= LOOKUPS_MAX {
            // Those whose bytes were found in the cache afterwards did not come back here.
            lookups.retain(|_, is_loaded| !*is_loaded);
        }
        match lookups.get(&lookup) {
            Some(true) => {
                lookups.remove(&lookup);
                Ok(())
            }
            Some(false) => Err(Cold::Later(None)),
            None if lookups.len() >= LOOKUPS_MAX => Ok(()),
            None => {
                lookups.insert(lookup, false);
                Err(Cold::Later(Some((lookup, job()))))
            }
        }
    }
}

/// Aborted transactions of sealed segments that were read last.
#[derive(Debug, Default)]
pub(crate) struct SealedAborted(RefCell<BTreeMap<i64, Rc<Vec<Aborted>>>>);

impl SealedAborted {
    /// Forgets segments by their base offset.
    pub(crate) fn forget(&self, is_old: impl Fn(i64) -> bool) {
        self.0.borrow_mut().retain(|known, _| !is_old(*known));
    }
}

impl Partition {
    /// As [`Partition::read`], without waiting for the disk.
    pub fn read_ready(
        &self,
        offset: i64,
        max_bytes: usize,
        min_one_batch: bool,
        isolation: Isolation,
    ) -> Result<Ready<LogRange>, ReadError> {
        let is_there = self.log_start_offset <= offset && offset < self.end_offset;
        match Cold::answer(if is_there { self.look_up(offset, isolation) } else { Ok(()) })? {
            Ready::Now(()) => self.read(offset, max_bytes, min_one_batch, isolation).map(Ready::Now),
            Ready::Later(job) => Ok(Ready::Later(job)),
        }
    }

    /// A lookup's job ended, well or not: the next try tells what is wrong.
    pub fn lookup_loaded(&self, lookup: Lookup) {
        if let Some(is_loaded) = self.lookups.0.borrow_mut().get_mut(&lookup) {
            *is_loaded = true;
        }
    }

    fn look_up(&self, offset: i64, isolation: Isolation) -> Result<(), Cold> {
        let stable = self.last_stable_offset();
        if isolation == Isolation::ReadCommitted && stable < self.visible.offset {
            self.look_up_batch(stable)?;
        }
        self.look_up_batch(offset)
    }

    fn look_up_batch(&self, offset: i64) -> Result<(), Cold> {
        if self.is_recent(offset) {
            return Ok(());
        }
        let base_offset = self.sealed_with(offset).map_or(self.active.base_offset, |sealed| sealed.base_offset);
        let view = self.view_ready(base_offset)?;
        self.look_at(&view, view.offsets().position_before(offset), LOADED_BYTES)
    }

    /// A segment, where it is open or can be opened without waiting.
    pub(crate) fn view_ready(&self, base_offset: i64) -> Result<View<'_>, Cold> {
        if let Some(sealed) = self.sealed_with(base_offset)
            && !self.holder.is_open(sealed.base_offset)
        {
            self.wait_for_swap(sealed.base_offset)?;
            let lookup = Lookup { base_offset: sealed.base_offset, what: What::Opening };
            self.lookups.admit(lookup, || self.opening(sealed))?;
        }
        Ok(self.view(base_offset)?)
    }

    /// So many bytes from a position on are about to be looked at.
    pub(crate) fn look_at(&self, view: &View<'_>, position: u64, len: u64) -> Result<(), Cold> {
        if self.is_cached(view.file(), position, view.size()) {
            return Ok(());
        }
        let base_offset = view.base_offset();
        let log = self.folder.path(&file_name(base_offset, Kind::Log));
        let lookup = Lookup { base_offset, what: What::Position(position) };
        self.lookups.admit(lookup, || Job::Load { ranges: vec![(log, position, len)] })
    }

    /// The aborted transactions of a sealed segment that has a file of them.
    pub(crate) fn sealed_aborted_ready(&self, base_offset: i64) -> Result<Rc<Vec<Aborted>>, Cold> {
        if let Some(known) = self.sealed_aborted.0.borrow().get(&base_offset) {
            return Ok(Rc::clone(known));
        }
        self.wait_for_swap(base_offset)?;
        let path = self.folder.path(&file_name(base_offset, Kind::TxnIndex));
        let lookup = Lookup { base_offset, what: What::Aborted };
        self.lookups.admit(lookup, || Job::Load { ranges: vec![(path, 0, u64::MAX)] })?;
        let read = Rc::new(self.read_sealed_aborted(base_offset)?);
        let mut known = self.sealed_aborted.0.borrow_mut();
        if known.len() >= ABORTED_MAX {
            known.pop_first();
        }
        known.insert(base_offset, Rc::clone(&read));
        Ok(read)
    }

    /// What is open is the old segment or the new one as a whole; what would be opened now might be some of both.
    fn wait_for_swap(&self, base_offset: i64) -> Result<(), Cold> {
        if self.is_being_swapped(base_offset) { Err(Cold::Later(None)) } else { Ok(()) }
    }

    fn is_cached(&self, file: &File, position: u64, size: u64) -> bool {
        let len = (LOOKUP_BYTES as u64).min(size.saturating_sub(position)) as usize;
        let mut headers = [0; LOOKUP_BYTES];
        self.folder.files.read_resident_at(file, &mut headers[..len], position).is_ok_and(|read| read == len)
    }

    fn opening(&self, sealed: Sealed) -> Job {
        let path = |kind| -> PathBuf { self.folder.path(&file_name(sealed.base_offset, kind)) };
        let tail = sealed.size.saturating_sub(TAIL_BYTES);
        let ranges = vec![
            (path(Kind::Index), 0, u64::MAX),
            (path(Kind::TimeIndex), 0, u64::MAX),
            (path(Kind::Log), tail, TAIL_BYTES),
        ];
        Job::Load { ranges }
    }
}
