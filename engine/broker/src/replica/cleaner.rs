//! A replica's part in compaction: see [`crate::cleaner`].

use ringlog_storage::{Cleaning, Swap};

use super::Replica;

impl Replica {
    /// Puts a written group in the place of what it was made of.
    pub(crate) fn swap_begin(&mut self, cleaning: &Cleaning) -> Swap {
        self.log.swap_begin(cleaning)
    }

    /// The log is clean up to where this one reached.
    pub(crate) fn clean_end(&mut self, cleaning: &Cleaning) {
        self.log.clean_end(cleaning);
    }

    /// It could not be cleaned: not before this time again.
    pub(crate) fn clean_failed(&mut self, not_before_ms: i64) {
        self.log.clean_failed(not_before_ms);
    }
}
