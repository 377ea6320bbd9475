//! A transactional id: its producer, the state of its transaction, and the ways from one state to the next
//! (`TransactionMetadata`). Each way gives the transaction as it is to be; it becomes so when that is in the log.
//!
//! ```text
//!            +-- init --+                    +--> PrepareCommit --markers--> CompleteCommit --+
//!   Empty <--+          +-- add --> Ongoing -+                                                +--> Empty, Ongoing
//!                                            +--> PrepareAbort  --markers--> CompleteAbort  --+
//!                               fence, timeout ^ with the next epoch
//! ```

use std::collections::BTreeSet;

use ringlog_wire::ErrorCode;

use super::interface::{Marker, TopicPartition};

/// "No producer", "no epoch", "not begun" on the wire.
pub(super) const NONE: i64 = -1;
pub(super) const NO_EPOCH: i16 = -1;
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
    pub(super) producer_epoch: i16,
    /// The epoch before the client asked for the next, for one that asks again; it is not in the log.
    pub(super) previous_epoch: i16,
    pub(super) timeout_ms: i32,
    pub(super) state: State,
    pub(super) partitions: BTreeSet<TopicPartition>,
    /// When the transaction began, ms since 1970; -1 before the first.
    pub(super) start_ms: i64,
    pub(super) update_ms: i64,
}

impl Transaction {
    /// Of an id that was never seen.
    pub(super) fn new(producer_id: i64, timeout_ms: i32, wall_ms: i64) -> Self {
        Self {
            producer_id,
            previous_producer_id: NONE,
            producer_epoch: NO_EPOCH,
            previous_epoch: NO_EPOCH,
            timeout_ms,
            state: State::Empty,
            partitions: BTreeSet::new(),
            start_ms: NONE,
            update_ms: wall_ms,
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
    pub(super) fn with(&self, added: &[TopicPartition], wall_ms: i64) -> Self {
        let mut next = self.clone();
        if self.state.is_at_rest() {
            (next.start_ms, next.partitions) = (wall_ms, BTreeSet::new());
        }
        next.partitions.extend(added.iter().cloned());
        Self { state: State::Ongoing, update_ms: wall_ms, ..next }
    }

    /// It is decided how the transaction ends.
    pub(super) fn decided(&self, is_commit: bool, wall_ms: i64) -> Self {
        let state = if is_commit { State::PrepareCommit } else { State::PrepareAbort };
        Self { state, update_ms: wall_ms, ..self.clone() }
    }

    /// It is aborted, and its producer is not to be heard again.
    pub(super) fn fenced(&self, wall_ms: i64) -> Self {
        let producer_epoch = self.producer_epoch.saturating_add(1);
        Self { producer_epoch, previous_epoch: NO_EPOCH, ..self.decided(false, wall_ms) }
    }

    /// Every marker is written.
    pub(super) fn completed(&self, wall_ms: i64) -> Self {
        let state = match self.state {
            State::PrepareCommit => State::CompleteCommit,
            _ => State::CompleteAbort,
        };
        Self { state, partitions: BTreeSet::new(), update_ms: wall_ms, ..self.clone() }
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
        }
    }

    /// It has been open for longer than it may.
    pub(super) fn is_timed_out(&self, wall_ms: i64) -> bool {
        self.state == State::Ongoing && self.start_ms.saturating_add(i64::from(self.timeout_ms)) < wall_ms
    }
}
