//! Where logs begin, as clients know it: what DeleteRecords asked for, what was answered, and where the audit found a log to
//! begin.
//!
//! ```text
//!   kept <= where the log begins <= asked       (retention by size: anywhere)
//! ```
//! What was answered holds over everything that may happen: the broker answers when it is on the disk.

use std::collections::BTreeMap;

use super::Violation;
use super::ledger::Key;

/// See the head of the file.
#[derive(Debug, Default)]
pub(super) struct LogStarts {
    /// Retention takes what it likes.
    pub(super) are_free: bool,
    asked: BTreeMap<Key, i64>,
    kept: BTreeMap<Key, i64>,
    found: BTreeMap<Key, i64>,
}

fn of(offsets: &BTreeMap<Key, i64>, key: Key) -> i64 {
    offsets.get(&key).copied().unwrap_or(0)
}

fn raise(offsets: &mut BTreeMap<Key, i64>, key: Key, offset: i64) {
    let known = offsets.entry(key).or_insert(0);
    *known = offset.max(*known);
}

impl LogStarts {
    /// A log is to begin at an offset: from now on it may.
    pub(super) fn asks(&mut self, key: Key, offset: i64) {
        raise(&mut self.asked, key, offset);
    }

    /// It does: `low_watermark` is the answer to that.
    pub(super) fn answered(&mut self, key: Key, offset: i64, low_watermark: i64) -> Result<(), Violation> {
        if low_watermark < offset || low_watermark > self.latest(key) {
            return Err(Violation(format!(
                "{key:?}: asked to begin at {offset}, it says that it does at {low_watermark}"
            )));
        }
        raise(&mut self.kept, key, low_watermark);
        Ok(())
    }

    /// The last offset at which a log may begin.
    pub(super) fn latest(&self, key: Key) -> i64 {
        if self.are_free { i64::MAX } else { of(&self.asked, key) }
    }

    /// Where a reader goes on that was told that its offset is out of range; `floor` is visible for certain.
    pub(super) fn resume(&self, key: Key, floor: i64) -> i64 {
        of(&self.kept, key).max(floor.min(self.latest(key)))
    }

    /// A reading of everything begins.
    pub(super) fn begin_audit(&mut self) {
        self.found.clear();
    }

    /// The audit was told where a log begins.
    pub(super) fn found(&mut self, key: Key, log_start: i64) -> Result<(), Violation> {
        let (kept, latest) = (of(&self.kept, key), self.latest(key));
        if log_start < kept || log_start > latest {
            return Err(Violation(format!(
                "{key:?} begins at {log_start}: at {kept} at least, as was answered, and at {latest} at most, as was asked"
            )));
        }
        raise(&mut self.found, key, log_start);
        Ok(())
    }

    /// Whether the audit found a log to begin above an offset.
    pub(super) fn is_below(&self, key: Key, offset: i64) -> bool {
        offset < of(&self.found, key)
    }
}
