//! Write-back: which bytes of a log the disk does not have yet, and the piece of them that goes next.
//!
//! ```text
//!   sealed: [ .. given | waits ]   active: [ .. given | piece under way | waits | the tail ]
//!                        '------------------ unwritten ---------------------------------'
//! ```
//! Invariants: one piece at a time and log, the oldest bytes first; a piece of the active segment ends where a write ends
//! (`Files::write_all_at` cuts at multiples of [`EDGE_BYTES`]), so that the next append touches no page that is on its way.
//!
//! It promises nothing (that is [`crate::flush`]'s): it keeps small what the kernel has to write in a hurry, and says how
//! much that is. An error of it is one of a sync all the same: the kernel tells it once, and it told it here.

use std::collections::VecDeque;
use std::io;

use ringlog_io::{File, OpenMode, WRITE_EDGE_BYTES as EDGE_BYTES};

use crate::folder::Folder;
use crate::{Partition, StorageError};

/// Bytes that are to be with the disk when it is done (`ringlog_io::Driver::write_back`).
#[derive(Clone, Debug)]
pub struct Writeback {
    /// Which file.
    pub file: File,
    /// First byte.
    pub offset: u64,
    /// How many.
    pub len: u64,
}

/// The rest of a segment that was sealed before the disk had all of it. By name: many of them must not hold descriptors.
#[derive(Clone, Copy, Debug)]
struct Rest {
    base_offset: i64,
    from: u64,
    end: u64,
}

/// See the head of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unwritten {
    sealed: VecDeque<Rest>,
    /// Up to where the active segment was given to the disk.
    given: u64,
    /// The length of the piece that is under way.
    under_way: u64,
}

impl Unwritten {
    /// The active segment is with the disk up to here, or somebody else sees to it.
    pub(crate) fn from(position: u64) -> Self {
        Self { given: position, ..Self::default() }
    }

    /// The active segment was sealed, with so many bytes.
    pub(crate) fn sealed(&mut self, base_offset: i64, size: u64) {
        let from = std::mem::take(&mut self.given);
        if from < size {
            self.sealed.push_back(Rest { base_offset, from, end: size });
        }
    }

    /// A sync brought all sealed segments to the disk, and the active one up to here.
    pub(crate) fn synced(&mut self, position: u64) {
        self.sealed.clear();
        self.given = self.given.max(position);
    }

    fn bytes(&self, size: u64) -> u64 {
        let sealed: u64 = self.sealed.iter().map(|rest| rest.end - rest.from).sum();
        sealed + size.saturating_sub(self.given) + self.under_way
    }

    /// The next piece of a sealed segment, of so many bytes at most.
    fn next_sealed(&mut self, folder: &Folder, len_max: u64) -> Option<Writeback> {
        while let Some(rest) = self.sealed.front_mut() {
            match folder.open_log(rest.base_offset, OpenMode::Read) {
                Ok((file, _)) => {
                    let piece = Writeback { file, offset: rest.from, len: (rest.end - rest.from).min(len_max) };
                    rest.from += piece.len;
                    if rest.from == rest.end {
                        self.sealed.pop_front();
                    }
                    return Some(piece);
                }
                Err(error) => {
                    // Retention took it, or there is no descriptor left: the kernel writes what there is when it pleases.
                    tracing::debug!(%error, "a sealed segment is not written back");
                    self.sealed.pop_front();
                }
            }
        }
        None
    }

    /// The next piece of the active segment, of so many bytes at most; its tail only where `takes_tail`.
    fn next_active(&mut self, (file, size): (&File, u64), len_max: u64, takes_tail: bool) -> Option<Writeback> {
        let end = if takes_tail { size } else { size / EDGE_BYTES * EDGE_BYTES };
        let end = end.min(self.given / EDGE_BYTES * EDGE_BYTES + len_max);
        let len = end.checked_sub(self.given).filter(|len| *len > 0)?;
        let offset = std::mem::replace(&mut self.given, end);
        Some(Writeback { file: file.clone(), offset, len })
    }
}

impl Partition {
    /// Bytes that the disk may not have. A log whose acknowledgements wait for a sync has none: who waits holds its producers.
    #[must_use]
    pub fn unwritten_bytes(&self) -> u64 {
        if self.config.acknowledges_flushed() || self.failure.is_some() {
            return self.unwritten.under_way;
        }
        self.unwritten.bytes(self.active.size)
    }

    /// A piece that should go to the disk now, of so many bytes about; the tail, which the next append would write again, only
    /// where `takes_tail`. `None`: there is none, or one is under way.
    pub fn writeback_begin(&mut self, len_max: u64, takes_tail: bool) -> Option<Writeback> {
        if self.unwritten.under_way > 0 || self.unwritten_bytes() == 0 {
            return None;
        }
        let len_max = (len_max / EDGE_BYTES).max(1) * EDGE_BYTES;
        let sealed = self.unwritten.next_sealed(&self.folder, len_max);
        let active = (&self.active.file, self.active.size);
        let piece = sealed.or_else(|| self.unwritten.next_active(active, len_max, takes_tail))?;
        self.unwritten.under_way = piece.len;
        Some(piece)
    }

    /// The piece is with the disk. An error that says that pages are lost is final, as a failed sync's is.
    pub fn writeback_done(&mut self, result: io::Result<()>) {
        self.unwritten.under_way = 0;
        match result {
            Ok(()) => {}
            Err(error) if was_not_begun(&error) => {
                tracing::debug!(dir = %self.folder.dir.display(), %error, "the kernel writes it back when it pleases");
            }
            Err(source) => self.go_offline(&StorageError::Sync { path: self.folder.dir.clone(), source }),
        }
    }
}

/// Whether an error says that nothing was asked of the disk.
fn was_not_begun(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, InvalidInput, OutOfMemory, Unsupported, WouldBlock};
    matches!(error.kind(), Interrupted | InvalidInput | OutOfMemory | Unsupported | WouldBlock)
}
