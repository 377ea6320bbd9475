//! A replica's part in retention: see [`crate::retention`].

use ringlog_io::Job;
use ringlog_storage::{ReadError, Ready, Retained, StorageError};

use super::{News, Replica};

impl Replica {
    /// Takes out of the log what its settings say.
    pub(crate) fn retain(&mut self, wall_ms: i64, news: &mut News) -> Result<Ready<Retained>, StorageError> {
        let retained = self.log.retain(wall_ms);
        self.settle(news);
        retained
    }

    /// Moves the log start offset, where it is below.
    pub(crate) fn delete_before(&mut self, offset: i64, news: &mut News) -> Result<(), ReadError> {
        self.log.delete_before(offset)?;
        self.settle(news);
        Ok(())
    }

    /// The checkpoint says on the disk that the log begins here, or later.
    pub(crate) fn start_kept(&mut self, log_start_offset: i64) {
        self.log.start_kept(log_start_offset);
    }

    /// What gives files of old segments their last name, where that may be.
    pub(crate) fn set_aside_due(&mut self) -> Option<Job> {
        self.log.set_aside_due()
    }

    /// What removes them, and in how many milliseconds.
    pub(crate) fn removal(&mut self) -> Option<(i64, Job)> {
        self.log.removal()
    }
}
