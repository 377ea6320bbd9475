//! What an append should not have to wait for: the next segment, blocks ahead of the log, forgotten producers.
//!
//! ```text
//!   maintain                    here and now: short
//!   next_segment_due --> Job --> next_segment_made        beside the thread: a file of a gigabyte may want all its blocks
//! ```

use std::io;

use ringlog_io::{File, Job};

use crate::names::NEXT_SEGMENT;
use crate::{Partition, StorageError};

/// Rolled segments need the next file when the active one has less room than this left ...
const PREPARE_ROOM_BYTES: u64 = 64 << 20;
/// ... or less than this part of it.
const PREPARE_ROOM_PART: u64 = 8;
/// Time between two looks for silent producers (`producer.id.expiration.check.interval.ms`).
const EXPIRE_INTERVAL_MS: i64 = 10 * 60 * 1000;

/// The segment after the active one, before it has a name.
#[derive(Debug)]
pub(crate) enum NextSegment {
    /// Nobody has asked for it.
    None,
    /// The job that makes it is under way.
    Asked,
    /// It is there.
    Made(File),
}

impl NextSegment {
    /// The file, where it is there: whoever takes it gives it a name.
    pub(crate) fn take(&mut self) -> Option<File> {
        match std::mem::replace(self, Self::None) {
            Self::Made(file) => Some(file),
            Self::None => None,
            Self::Asked => {
                *self = Self::Asked;
                None
            }
        }
    }
}

impl Partition {
    /// Allocates blocks ahead of the active segment, forgets expired producers. Call after appends, and every second or so.
    pub fn maintain(&mut self, wall_ms: i64) -> Result<(), StorageError> {
        self.check_online()?;
        if !self.is_rolling() {
            self.active.make_room(&self.folder, self.config.segment_bytes_max());
        }
        if wall_ms.saturating_sub(self.expired_ms) >= EXPIRE_INTERVAL_MS {
            self.producers.expire(wall_ms, self.config.producer_id_expiration_ms);
            self.expired_ms = wall_ms;
        }
        Ok(())
    }

    /// What makes the next segment's file, once, when the active one is nearly full. Its end goes to
    /// [`Partition::next_segment_made`]; a roll that comes before makes its own. Not while a roll is under way: jobs run in no
    /// order, and this one would empty the file that the roll is about to name.
    pub fn next_segment_due(&mut self) -> Option<Job> {
        let segment_bytes = self.config.segment_bytes_max();
        let room = segment_bytes.saturating_sub(self.active.size);
        let is_near = room < PREPARE_ROOM_BYTES.min(segment_bytes / PREPARE_ROOM_PART);
        if !is_near || self.is_rolling() || self.failure.is_some() || !matches!(self.next_segment, NextSegment::None) {
            return None;
        }
        self.next_segment = NextSegment::Asked;
        let allocates = self.config.preallocate || self.config.flushes();
        let allocate_bytes = if allocates { segment_bytes } else { 0 };
        Some(Job::MakeFile { path: self.folder.path(NEXT_SEGMENT), allocate_bytes })
    }

    /// The job of [`Partition::next_segment_due`] ended. Where it failed, the roll makes the file, and says what is wrong.
    pub fn next_segment_made(&mut self, result: io::Result<Option<File>>) {
        if !matches!(self.next_segment, NextSegment::Asked) {
            // The partition was opened again meanwhile, and the file's name is gone.
            return;
        }
        self.next_segment = match result {
            Ok(Some(file)) => NextSegment::Made(file),
            Ok(None) => NextSegment::None,
            Err(error) => {
                tracing::warn!(dir = %self.folder.dir.display(), %error, "the next segment could not be prepared");
                NextSegment::None
            }
        };
    }
}
