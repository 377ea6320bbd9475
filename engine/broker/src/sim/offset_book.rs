//! Offsets that the members of a group stored: each is above those before, so that they do not go back.

use std::collections::BTreeMap;

use ringlog_io::Nanos;

use super::Violation;

/// How long a request may still be on its way after its connection is gone.
pub(super) const LATE_NS: u64 = 12_000_000_000;

/// A partition of one life of the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub(super) life: usize,
    pub(super) partition: i32,
}

#[derive(Clone, Copy, Debug)]
struct Stored {
    /// -1 where that is not known.
    acknowledged: i64,
    /// A commit without an answer may still come until then.
    late_until: Nanos,
}

impl Stored {
    const NOTHING: Self = Self { acknowledged: -1, late_until: Nanos(0) };
}

/// See the head of the file.
#[derive(Debug, Default)]
pub(super) struct OffsetBook {
    now: Nanos,
    stored: BTreeMap<Spot, Stored>,
    last: i64,
}

impl OffsetBook {
    pub(super) fn turn_to(&mut self, now: Nanos) {
        self.now = now;
    }

    /// Everything that was stored may be gone; what is stored from now on is above it all the same.
    pub(super) fn forget(&mut self) {
        self.stored.clear();
    }

    /// An offset above all that were stored before.
    pub(super) fn next(&mut self) -> i64 {
        self.last += 1;
        self.last
    }

    /// An offset was stored.
    pub(super) fn committed(&mut self, spot: Spot, offset: i64) {
        let now = self.now;
        let stored = self.stored.entry(spot).or_insert(Stored::NOTHING);
        if stored.late_until <= now {
            stored.acknowledged = offset.max(stored.acknowledged);
        }
    }

    /// A commit has no answer: it may come after those that are sent from now on.
    pub(super) fn may_come_late(&mut self, spot: Spot) {
        let late_until = Nanos(self.now.0 + LATE_NS);
        self.stored.insert(spot, Stored { late_until, ..Stored::NOTHING });
    }

    /// What a look that is sent now must show at least.
    pub(super) fn floor(&self, spot: Spot) -> i64 {
        self.stored.get(&spot).map_or(-1, |stored| stored.acknowledged)
    }

    /// What a look shows, which was sent when `floor` was stored.
    pub(super) fn check(&self, spot: Spot, offset: i64, floor: i64) -> Result<(), Violation> {
        // A commit that lost its connection after the look was sent took the floor away.
        let floor = floor.min(self.floor(spot));
        if offset > self.last {
            return Err(Violation(format!("{spot:?}: {offset} is stored, which nobody stored")));
        }
        if offset < floor {
            return Err(Violation(format!("{spot:?}: {offset} is stored, {floor} was acknowledged before")));
        }
        Ok(())
    }
}
