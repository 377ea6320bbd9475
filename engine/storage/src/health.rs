//! Whether a partition takes appends, and how it comes back after a failure.
//!
//! | failure | the log | comes back |
//! |---|---|---|
//! | passing: no room, no descriptor, a write or a roll that was refused | readers go on, appends are refused | by itself, when it is asked to append again: cut back to the last batch that was appended, opened again |
//! | final: an fdatasync, of this log or another of the directory | the same; what the sync should have covered is never acknowledged | at the next start, which writes again what was not flushed (`suspect.rs`) |
//!
//! Invariant: what was refused is not in the log that comes back, and what was appended is.

use crate::open::Opener;
use crate::{AppendError, Known, LogConfig, Partition, Startup, StorageError, suspect};

/// The shortest time between two tries to come back: while the disk stays full, most appends are refused without one.
const RETRY_MS: i64 = 200;

/// Why a partition takes no appends.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    reason: String,
    is_final: bool,
    /// A final failure is noted for the next start.
    is_noted: bool,
    retry_at_ms: i64,
}

impl Partition {
    /// Why no append is taken, where that is so.
    #[must_use]
    pub fn offline_reason(&self) -> Option<&str> {
        self.failure.as_ref().map(|failure| failure.reason.as_str())
    }

    /// Whether nothing is taken any more before the next start: a sync failed, here or beside.
    #[must_use]
    pub fn final_failure(&self) -> Option<&str> {
        self.failure.as_ref().filter(|failure| failure.is_final).map(|failure| failure.reason.as_str())
    }

    /// The disk under this log lost what was written to it, as another one's sync says: what of this log is not on the disk
    /// is in doubt too. As after a failed sync of its own.
    pub fn fail(&mut self, reason: &str) {
        self.go_offline(&StorageError::Directory { reason: reason.to_owned() });
    }

    /// Takes no more appends: what is in memory may not be what is on the disk. Of several failures the first one is told;
    /// a final one outdoes a passing one.
    pub(crate) fn go_offline(&mut self, error: &StorageError) {
        let is_final = error.is_final();
        if self.failure.as_ref().is_some_and(|failure| failure.is_final || !is_final) {
            return;
        }
        let comes_back = if is_final { "at a restart" } else { "when the disk takes writes again" };
        let is_told = matches!(error, StorageError::Directory { .. });
        if !is_told && (is_final || !self.is_ailing) {
            tracing::error!(dir = %self.folder.dir.display(), %error, comes_back, "partition goes offline");
        }
        self.is_ailing = true;
        let reason = format!("{error}; it comes back {comes_back}");
        let retry_at_ms = self.back_at_ms.saturating_add(RETRY_MS);
        let is_noted = is_final && suspect::leave_note(&self.folder, self.flushed_offset());
        self.failure = Some(Failure { reason, is_final, is_noted, retry_at_ms });
    }

    pub(crate) fn check_online(&self) -> Result<(), StorageError> {
        match &self.failure {
            None => Ok(()),
            Some(failure) => {
                let reason = failure.reason.clone();
                Err(StorageError::Offline { path: self.folder.dir.clone(), reason })
            }
        }
    }

    /// Where a passing failure took the partition offline: tries to come back.
    pub(crate) fn come_back(&mut self, wall_ms: i64) -> Result<(), AppendError> {
        let flushed_offset = self.flushed_offset();
        let Some(failure) = &mut self.failure else { return Ok(()) };
        let refused = AppendError::Storage { reason: failure.reason.clone() };
        if failure.is_final && !failure.is_noted {
            failure.is_noted = suspect::leave_note(&self.folder, flushed_offset);
        }
        let (is_final, retry_at_ms) = (failure.is_final, failure.retry_at_ms);
        if is_final || wall_ms < retry_at_ms || self.is_busy() {
            return Err(refused);
        }
        match self.reopen(wall_ms) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.go_offline(&error);
                if let Some(failure) = &mut self.failure {
                    failure.retry_at_ms = wall_ms.saturating_add(RETRY_MS);
                }
                Err(refused)
            }
        }
    }

    /// A write went well: whoever was told that the partition is offline learns that it is back.
    pub(crate) fn went_well(&mut self) {
        if std::mem::take(&mut self.is_ailing) {
            tracing::info!(dir = %self.folder.dir.display(), end_offset = self.end_offset, "partition is back");
        }
    }

    /// Cuts off what was refused, and reads the folder again. What was flushed and shown stays so, and no more is: a shard
    /// that waited for a flush here would serve nobody.
    fn reopen(&mut self, wall_ms: i64) -> Result<(), StorageError> {
        self.cut_to_size()?;
        let config = LogConfig { flush_messages: i64::MAX, ..self.config.clone() };
        let known = Known { topic_id: self.topic_id, startup: Startup::SameBoot, checkpointed: self.checkpointed() };
        let (mut again, _) = Self::open_claimed(self.folder.clone(), config, known, Opener::SameRun, wall_ms)?;
        if again.end_offset != self.end_offset {
            let reason = format!("ends at {}, not at {}: restart the broker", again.end_offset, self.end_offset);
            return Err(StorageError::corrupt(&self.folder.dir, reason));
        }
        again.log_start_offset = self.log_start_offset;
        again.opened_ms = self.opened_ms;
        again.retired.carry_on(&mut self.retired);
        (again.back_at_ms, again.is_ailing) = (wall_ms, true);
        (again.config, again.visible) = (self.config.clone(), self.visible);
        again.flush.carry_on(&self.flush);
        again.producers.carry_on(&self.producers, again.end_offset);
        again.show();
        *self = again;
        Ok(())
    }
}
