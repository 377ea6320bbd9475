//! The page that the log ends in, before an append that comes after a rest.
//!
//! ```text
//!   | page | page | page ..###      an append that begins within a page needs what the page has already: where the page cache
//!                         ^         gave it away, pwritev(2) reads it from the disk, on the shard's thread, behind
//!                         append    everything that readers of old segments have asked that disk for
//! ```
//!
//! A log that is written to all the time has its last page in the cache. One that rested a moment is asked (a read of one byte that
//! does not wait); where the page is gone, a job loads it, and appends wait for that as they wait for a roll.

use ringlog_io::Job;

use crate::Partition;
use crate::beside::Beside;
use crate::names::{Kind, file_name};

/// A log that was written to, or asked, less than this ago keeps its last page.
const REST_MS: i64 = 500;
/// At most what a page has: a smaller page only makes the look needless at times.
const PAGE_BYTES: u64 = 4096;

impl Partition {
    /// The job that brings the last page back, once for each rest, where an append would have to wait for it. Not while other work
    /// on this folder is under way: then the append takes what comes.
    pub(crate) fn load_tail(&mut self, wall_ms: i64) -> Option<Job> {
        if (0..REST_MS).contains(&wall_ms.saturating_sub(self.tail_known_ms)) {
            return None;
        }
        self.tail_known_ms = wall_ms;
        let size = self.active.size;
        let within = size % PAGE_BYTES;
        if within == 0 || self.is_busy() {
            return None;
        }
        let seen = self.folder.files.read_resident_at(&self.active.file, &mut [0], size - 1);
        // Whoever cannot say it (no RWF_NOWAIT there) is not asked for more.
        let is_gone = seen.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        is_gone.then(|| {
            self.beside = Beside::LoadingTail;
            let path = self.folder.path(&file_name(self.active.base_offset, Kind::Log));
            Job::Load { ranges: vec![(path, size - within, within)] }
        })
    }
}
