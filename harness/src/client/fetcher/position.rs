//! Where a partition is read, and what has to be known before it can be.
//!
//! ```text
//!   awaiting committed --OffsetFetch--> offset, or nothing stored
//!   nothing known ------ListOffsets---> offset                        (lookup, or auto.offset.reset)
//!   new leader epoch ---OffsetForLeaderEpoch--> the same offset, or a truncated log (KIP-320)
//!   offset ------------ Fetch
//! ```

use crate::client::NodeId;
use crate::client::metadata::Leader;

/// Which offset is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    Earliest,
    Latest,
    /// The first record with this timestamp or a later one, in milliseconds since 1970.
    At(i64),
}

impl Lookup {
    /// ListOffsets' special timestamps.
    pub(super) fn timestamp(self) -> i64 {
        match self {
            Self::Earliest => -2,
            Self::Latest => -1,
            Self::At(ms) => ms,
        }
    }
}

/// Whether the position was checked against the leader's epochs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Check {
    #[default]
    Done,
    Wanted,
    Asked,
}

#[derive(Debug)]
pub(super) struct Position {
    pub(super) offset: Option<i64>,
    /// Leader epoch of the record before the offset, -1 if unknown.
    pub(super) offset_epoch: i32,
    /// The leader epoch against which the position was checked last, -1 for none.
    pub(super) leader_epoch: i32,
    pub(super) check: Check,
    pub(super) awaiting_committed: bool,
    /// What to look up instead of what `auto.offset.reset` says.
    pub(super) lookup: Option<Lookup>,
    pub(super) lookup_asked: bool,
    pub(super) rests_until_ns: u64,
    pub(super) high_watermark: i64,
    pub(super) last_stable_offset: i64,
    pub(super) is_paused: bool,
    /// A follower that the leader named (KIP-392), and until when to read from it.
    pub(super) preferred: Option<(NodeId, u64)>,
}

impl Default for Position {
    fn default() -> Self {
        Self {
            offset: None,
            offset_epoch: -1,
            leader_epoch: -1,
            check: Check::Done,
            awaiting_committed: false,
            lookup: None,
            lookup_asked: false,
            rests_until_ns: 0,
            high_watermark: 0,
            last_stable_offset: -1,
            is_paused: false,
            preferred: None,
        }
    }
}

impl Position {
    /// Reads on from here. An epoch of -1 is unknown.
    pub(super) fn seek(&mut self, offset: i64, epoch: i32) {
        (self.offset, self.offset_epoch, self.leader_epoch) = (Some(offset), epoch, -1);
        (self.awaiting_committed, self.lookup, self.lookup_asked) = (false, None, false);
        self.check = Check::Done;
    }

    /// Forgets the offset: it is looked up.
    pub(super) fn look_up(&mut self, lookup: Option<Lookup>) {
        (self.offset, self.offset_epoch, self.lookup) = (None, -1, lookup);
        (self.awaiting_committed, self.lookup_asked, self.check) = (false, false, Check::Done);
    }

    pub(super) fn is_to_be_looked_up(&self, now_ns: u64) -> bool {
        let unknown = self.offset.is_none() && !self.awaiting_committed;
        unknown && !self.lookup_asked && self.rests_until_ns <= now_ns
    }

    pub(super) fn is_fetchable(&self, now_ns: u64) -> bool {
        !self.awaiting_committed && !self.is_paused && self.check == Check::Done && self.rests_until_ns <= now_ns
    }

    /// The leader is another, or leads in another epoch: what was read may be gone there.
    pub(super) fn note_leader(&mut self, leader: Leader) {
        if self.offset.is_none() || leader.epoch < 0 || leader.epoch == self.leader_epoch {
            return;
        }
        self.leader_epoch = leader.epoch;
        if self.offset_epoch >= 0 {
            self.check = Check::Wanted;
        }
    }

    /// The node to read from.
    pub(super) fn node(&self, leader: Option<Leader>, now_ns: u64) -> Option<NodeId> {
        let preferred = self.preferred.filter(|(_, until_ns)| now_ns < *until_ns).map(|(node, _)| node);
        preferred.or(leader?.node)
    }
}
