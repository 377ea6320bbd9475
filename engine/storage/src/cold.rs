//! Lookups that would wait for the disk: which bytes they need, read beside the shard's thread first.
//!
//! ```text
//!   offset --> segment: not open?            --> Load: its indexes, and the log's end that they are checked against
//!          --> index: position, not cached?  --> Load: the headers from there on
//!          --> found without waiting
//! ```
//!
//! Whether a position is cached is tried with a read that does not wait (RWF_NOWAIT). What was loaded once is looked at,
//! whatever the page cache says then: a lookup ends, also where the kernel cannot tell what it holds.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use ringlog_io::{File, Job};

use crate::names::{Kind, file_name};
use crate::segment::{LOOKUP_BYTES, Sealed};
use crate::{Isolation, LogRange, Partition, ReadError, StorageError};

/// Bytes of the log's end that opening a segment looks at: headers after the last index entry.
const TAIL_BYTES: u64 = 1 << 20;
/// Bytes of the log that are loaded for a lookup: the headers up to the next index entries.
const LOADED_BYTES: u64 = 64 << 10;
/// Lookups that are remembered; where there are more at once, some of them wait for the disk.
const LOOKUPS_MAX: usize = 64;

/// A place that is looked up: a segment, and a position in it (none: the segment is to be opened).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lookup {
    base_offset: i64,
    position: Option<u64>,
}

/// The lookups of a partition that are not over, and whether their bytes were loaded.
#[derive(Debug, Default)]
pub(crate) struct Lookups(RefCell<BTreeMap<Lookup, bool>>);

impl Lookups {
    /// The lookup may go on; otherwise what it has to wait for.
    fn admit(&self, lookup: Lookup, job: impl FnOnce() -> Job) -> Result<(), Option<(Lookup, Job)>> {
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
            Some(false) => Err(None),
            None if lookups.len() >= LOOKUPS_MAX => Ok(()),
            None => {
                lookups.insert(lookup, false);
                Err(Some((lookup, job())))
            }
        }
    }
}

impl Partition {
    /// As [`Partition::read`], without waiting for the disk: where the lookup would have to, nothing is found for now. Read
    /// again when the job was done and [`Partition::lookup_loaded`] told. Of all who ask meanwhile one gets the job.
    pub fn read_ready(
        &self,
        offset: i64,
        max_bytes: usize,
        min_one_batch: bool,
        isolation: Isolation,
    ) -> Result<(LogRange, Option<(Lookup, Job)>), ReadError> {
        let is_there = self.log_start_offset <= offset && offset < self.end_offset;
        match if is_there { self.look_up(offset)? } else { Ok(()) } {
            Ok(()) => Ok((self.read(offset, max_bytes, min_one_batch, isolation)?, None)),
            Err(job) => Ok((self.nothing_at(offset), job)),
        }
    }

    /// A lookup's job ended, well or not: the next read tells what is wrong.
    pub fn lookup_loaded(&mut self, lookup: Lookup) {
        if let Some(is_loaded) = self.lookups.0.borrow_mut().get_mut(&lookup) {
            *is_loaded = true;
        }
    }

    fn look_up(&self, offset: i64) -> Result<Result<(), Option<(Lookup, Job)>>, StorageError> {
        if self.is_recent(offset) {
            return Ok(Ok(()));
        }
        let sealed = self.sealed_with(offset);
        if let Some(sealed) = sealed
            && !self.holder.is_open(sealed.base_offset)
        {
            let lookup = Lookup { base_offset: sealed.base_offset, position: None };
            return Ok(self.lookups.admit(lookup, || self.opening(sealed)));
        }
        let view = self.view(offset)?;
        let (base_offset, position) = (view.base_offset(), view.offsets().position_before(offset));
        if self.is_cached(view.file(), position, view.size()) {
            return Ok(Ok(()));
        }
        let lookup = Lookup { base_offset, position: Some(position) };
        let log = self.folder.path(&file_name(base_offset, Kind::Log));
        Ok(self.lookups.admit(lookup, || Job::Load { ranges: vec![(log, position, LOADED_BYTES)] }))
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
