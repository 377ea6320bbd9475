//! A transactional id: its producer, the state of its transaction, and the ways from one state to the next
//! (`TransactionMetadata`). Each way gives the transaction as it is to be; it becomes so when that is in the log.
//!
//! ```text
//!            +-- init --+                    +--> PrepareCommit --markers--> CompleteCommit --+
//!   Empty <--+          +-- add --> Ongoing -+                                                +--> Empty, Ongoing
//!                                            +--> PrepareAbort  --markers--> CompleteAbort  --+
//!                               fence, timeout ^ with the next epoch
//! ```
//! In version 2 (KIP-890) every end raises the epoch, and the markers bear the raised one; so a transaction's records have an epoch
//! that no other's have. Where the epochs are used up, another producer id is at hand when the transaction is complete. Of nothing
//! an abort makes an empty transaction, so that whoever is not sure whether anything was written has an epoch that is.

use std::collections::BTreeSet;

use ringlog_wire::ErrorCode;

use super::interface::{Marker, TopicPartition};

/// "No producer", "no epoch", "not begun" on the wire.
pub(super) const NONE: i64 = -1;
pub(super) const NO_EPOCH: i16 = -1;
/// The first version of transactions whose ends raise the epoch.
pub(super) const TV2: i16 = 2;
/// What clients before that speak, as the log says it.
const TV0: i16 = 0;
/// The last epoch is the coordinator's own: it fences with it.
const LAST_EPOCH: i16 = i16::MAX - 1;

/// Kafka's `TransactionState`, with its number in records. Epochs are fenced in one step with the abort, so that nothing is in
/// PrepareEpochFence here; one that is read is an ongoing transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i8)]
pub(crate) enum State {
    Empty = 0,
    Ongoing = 1,
    PrepareCommit = 2,
    PrepareAbort = 3,
    CompleteCommit = 4,
    CompleteAbort = 5,
    Dead = 6,
    PrepareEpochFence = 7,
}

impl State {
    pub(crate) const ALL: [Self; 8] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
        Self::Dead,
        Self::PrepareEpochFence,
    ];

    /// The name that clients know.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
            Self::Dead => "Dead",
            Self::PrepareEpochFence => "PrepareEpochFence",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    pub(super) fn of_number(number: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as i8 == number)
    }

    /// Decided, and not yet known everywhere.
    pub(super) fn is_prepared(self) -> bool {
        matches!(self, Self::PrepareCommit | Self::PrepareAbort)
    }

    /// No transaction is open.
    pub(super) fn is_at_rest(self) -> bool {
        matches!(self, Self::Empty | Self::CompleteCommit | Self::CompleteAbort)
    }
}

/// See the head of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transaction {
    pub(super) producer_id: i64,
    /// The id before the last one, for a client that asks again after its epochs were used up.
    pub(super) previous_producer_id: i64,
    /// The id that the producer has once the transaction that was decided is complete; -1 for the same.
    pub(super) next_producer_id: i64,
    pub(super) producer_epoch: i16,
    /// The epoch before the client was given the next, for one that asks again; it is not in the log.
    pub(super) previous_epoch: i16,
    pub(super) timeout_ms: i32,
    pub(super) state: State,
    pub(super) partitions: BTreeSet<TopicPartition>,
    /// When the transaction began, ms since 1970; -1 before the first.
    pub(super) start_ms: i64,
    pub(super) update_ms: i64,
    /// The version of transactions that its client spoke last.
    pub(super) client_version: i16,
}

impl Transaction {
    /// Of an id that was never seen.
    pub(super) fn new(producer_id: i64, timeout_ms: i32, wall_ms: i64) -> Self {
        Self {
            producer_id,
            previous_producer_id: NONE,
            next_producer_id: NONE,
            producer_epoch: NO_EPOCH,
            previous_epoch: NO_EPOCH,
            timeout_ms,
            state: State::Empty,
            partitions: BTreeSet::new(),
            start_ms: NONE,
            update_ms: wall_ms,
            client_version: TV0,
        }
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.producer_epoch >= LAST_EPOCH
    }

    /// Whether who says that it has this producer id and epoch may go on with them (KIP-360).
    pub(super) fn knows(&self, expected: Option<(i64, i16)>) -> bool {
        let Some((id, epoch)) = expected else { return true };
        self.producer_epoch == NO_EPOCH
            || id == self.producer_id
            || (id == self.previous_producer_id && epoch >= LAST_EPOCH)
    }

    /// The producer begins anew: with the next epoch, or the one that it was given and did not hear of.
    pub(super) fn next_epoch(&self, timeout_ms: i32, expected: Option<i16>, wall_ms: i64) -> Result<Self, ErrorCode> {
        let bumped = self.producer_epoch.saturating_add(1);
        let (epoch, previous) = match expected {
            None => (bumped, NO_EPOCH),
            Some(epoch) if self.producer_epoch == NO_EPOCH || epoch == self.producer_epoch => {
                (bumped, self.producer_epoch)
            }
            Some(epoch) if epoch == self.previous_epoch => (self.producer_epoch, self.previous_epoch),
            Some(_) => return Err(ErrorCode::PRODUCER_FENCED),
        };
        Ok(Self { producer_epoch: epoch, previous_epoch: previous, ..self.emptied(timeout_ms, wall_ms) })
    }

    /// The epochs of the id are used up: another id.
    pub(super) fn next_id(&self, id: i64, timeout_ms: i32, was_expected: bool, wall_ms: i64) -> Self {
        Self {
            producer_id: id,
            previous_producer_id: self.producer_id,
            producer_epoch: 0,
            previous_epoch: if was_expected { self.producer_epoch } else { NO_EPOCH },
            ..self.emptied(timeout_ms, wall_ms)
        }
    }

    fn emptied(&self, timeout_ms: i32, wall_ms: i64) -> Self {
        Self {
            state: State::Empty,
            timeout_ms,
            partitions: BTreeSet::new(),
            start_ms: NONE,
            update_ms: wall_ms,
            ..self.clone()
        }
    }

    /// These partitions are part of the transaction, which begins with them where none is open.
    pub(super) fn with(&self, added: &[TopicPartition], is_tv2: bool, wall_ms: i64) -> Self {
        let mut next = self.clone();
        next.client_version = if is_tv2 { TV2 } else { TV0 };
        if self.state.is_at_rest() {
            (next.start_ms, next.partitions) = (wall_ms, BTreeSet::new());
        }
        next.partitions.extend(added.iter().cloned());
        Self { state: State::Ongoing, update_ms: wall_ms, ..next }
    }

    /// It is decided how the transaction ends, with the epoch that it has (before version 2).
    pub(super) fn decided(&self, is_commit: bool, wall_ms: i64) -> Self {
        let state = if is_commit { State::PrepareCommit } else { State::PrepareAbort };
        Self { state, update_ms: wall_ms, client_version: TV0, ..self.clone() }
    }

    /// The same with the next epoch (version 2), and with another id from the end on where one is given. Where nothing was written,
    /// the transaction that is aborted began just now.
    pub(super) fn decided_tv2(&self, is_commit: bool, next_producer_id: Option<i64>, wall_ms: i64) -> Self {
        Self {
            producer_epoch: self.producer_epoch.saturating_add(1),
            previous_epoch: self.producer_epoch,
            next_producer_id: next_producer_id.unwrap_or(NONE),
            start_ms: if self.state == State::Ongoing { self.start_ms } else { wall_ms },
            client_version: TV2,
            ..self.decided(is_commit, wall_ms)
        }
    }

    /// It is aborted, and its producer is not to be heard again.
    pub(super) fn fenced(&self, is_tv2: bool, wall_ms: i64) -> Self {
        let producer_epoch = self.producer_epoch.saturating_add(1);
        let client_version = if is_tv2 { TV2 } else { TV0 };
        Self { producer_epoch, previous_epoch: NO_EPOCH, client_version, ..self.decided(false, wall_ms) }
    }

    /// Every marker is written.
    pub(super) fn completed(&self, wall_ms: i64) -> Self {
        let state = match self.state {
            State::PrepareCommit => State::CompleteCommit,
            _ => State::CompleteAbort,
        };
        let done = Self { state, partitions: BTreeSet::new(), update_ms: wall_ms, ..self.clone() };
        if self.next_producer_id == NONE {
            return done;
        }
        let (producer_id, producer_epoch) = self.next_producer();
        Self { producer_id, producer_epoch, previous_producer_id: self.producer_id, next_producer_id: NONE, ..done }
    }

    /// The producer from the end of the transaction on.
    pub(super) fn next_producer(&self) -> (i64, i16) {
        match self.next_producer_id {
            NONE => (self.producer_id, self.producer_epoch),
            next => (next, 0),
        }
    }

    /// Whether a client that says it has this producer asks again for an end that it was not told of: it has the epoch before
    /// ours, or the last one of the id before.
    pub(super) fn is_retry(&self, producer_id: i64, producer_epoch: i16) -> bool {
        let is_before = producer_id == self.producer_id && producer_epoch.checked_add(1) == Some(self.producer_epoch);
        let is_rotated = self.producer_epoch == 0
            && producer_id == self.previous_producer_id
            && producer_id != self.producer_id
            && producer_epoch == LAST_EPOCH;
        is_before || is_rotated
    }

    /// It is forgotten.
    pub(super) fn dead(&self) -> Self {
        Self { state: State::Dead, ..self.clone() }
    }

    /// What is written into its partitions.
    pub(super) fn marker(&self) -> Marker {
        Marker {
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            is_commit: self.state == State::PrepareCommit,
            is_tv2: self.client_version >= TV2,
        }
    }

    /// It has been open for longer than it may.
    pub(super) fn is_timed_out(&self, wall_ms: i64) -> bool {
        self.state == State::Ongoing && self.start_ms.saturating_add(i64::from(self.timeout_ms)) < wall_ms
    }
}
