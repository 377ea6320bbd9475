//! Compaction: of the records with one key the last one stays (`Cleaner`, `LogCleaner`).
//!
//! ```text
//!   log_start            first dirty               bound: active, unstable, unflushed, min.compaction.lag.ms
//!      |  clean            |  dirty                   |
//!      | sealed | sealed   | sealed | sealed | sealed | active
//!
//!   1. map      the dirty part is read: key -> last offset (key_map.rs), as far as the map has room
//!   2. rewrite  every sealed segment up to there is read; what the map does not outdo goes into .cleaned files (filter.rs)
//!   3. swap     the new files take the place of the old ones (swap.rs); 2 and 3 for each group of segments (groups.rs)
//! ```
//! What is read and written is done in pieces beside the shard's thread: [`Cleaning::step`] gives the job for the next one.
//! What the shard decides stands in `plan.rs` (whether, and what) and `swap.rs`.
//!
//! Invariants:
//! - The last record of each key below the bound stays where it was, byte for byte but for its time stamp's delta; a tombstone
//!   for `delete.retention.ms` more, counted from the first time that it was met (KIP-534).
//! - Offsets, timestamps, and a batch's producer, epoch and sequence do not change. The last batch of each producer that is known
//!   stays, empty if need be: who loses the snapshots reads its state out of the log.
//! - A segment ends where it did: its last batch stays, empty if need be, so that no gap stands between two segments. To an
//!   open (`open.rs`) a gap is damage.
//! - Only what is on the disk is cleaned, and the new segment is before the old ones go.
//! - A batch whose CRC is wrong is not given a new one: the log is left as it is.

mod filter;
mod groups;
mod key_map;
mod plan;
pub(crate) mod swap;
mod transactions;
mod work;

use ringlog_io::Job;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::plan::CleanerOptions;
pub use self::swap::Swap;
use self::work::Work;

/// A log that is being cleaned. It outlives the partition's closing: then it comes to nothing.
#[derive(Clone)]
pub struct Cleaning(Arc<Mutex<Work>>);

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another piece: [`Cleaning::step`].
    Step,
    /// A group is written and on the disk: [`crate::Partition::swap_begin`].
    Swap,
    /// All of it is done: [`crate::Partition::clean_end`].
    End,
    /// It cannot be done: [`crate::Partition::clean_failed`].
    Failed {
        /// Why not.
        reason: String,
        /// What lies there is damaged: another try finds the same.
        is_final: bool,
    },
}

/// What a cleaning did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Keys of the dirty part.
    pub keys: usize,
    /// Bytes of the segments that were rewritten, before and after.
    pub bytes_before: u64,
    /// See above.
    pub bytes_after: u64,
    /// The log is clean below.
    pub end_offset: i64,
}

impl Cleaning {
    fn new(work: Work) -> Self {
        Self(Arc::new(Mutex::new(work)))
    }

    /// The next piece. One at a time; how it ended stands in [`Cleaning::next`].
    #[must_use]
    pub fn step(&self) -> Job {
        let work = Arc::clone(&self.0);
        Job::Chore(ringlog_io::job::Chore::new(move |files| {
            lock(&work).step(files);
            Ok(())
        }))
    }

    /// What is to be done next, and how many bytes the last piece read and wrote.
    #[must_use]
    pub fn next(&self) -> (Next, u64) {
        lock(&self.0).next()
    }

    /// What was done so far.
    #[must_use]
    pub fn cleaned(&self) -> Cleaned {
        lock(&self.0).cleaned()
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        lock(&self.0)
    }
}

/// A thread that panicked left a piece half done: what it was about is told as failed by whoever looks.
fn lock(work: &Mutex<Work>) -> MutexGuard<'_, Work> {
    work.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a partition knows of its own cleaning.
#[derive(Debug, Default)]
pub(crate) struct Cleaner {
    /// The log is clean below: what `cleaner-offset-checkpoint` says.
    pub(crate) cleaned_offset: i64,
    /// Not before: it failed.
    pub(crate) not_before_ms: i64,
}
