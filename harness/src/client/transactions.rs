//! The transactions of a producer: a state machine without I/O and without a clock (TransactionManager, KIP-98, KIP-360,
//! KIP-890).
//!
//! ```text
//!   Uninitialized --initTransactions--> Initializing --> Ready --begin--> InTransaction --commit--> Committing --> Ready
//!                                                          ^                 |    '------abort---> Aborting ----> Ready
//!                                                          |                 v                        ^
//!                                                          |           AbortableError ------abort----'
//!                                     any state --> FatalError        (a record or a request failed)
//!
//!   TV1:  FindCoordinator, InitProducerId, AddPartitionsToTxn ... Produce <= 11 ... EndTxn <= 4
//!   TV2:  FindCoordinator, InitProducerId,                        Produce >= 12 ... EndTxn 5 (brings the next epoch)
//! ```
//!
//! TV2 is spoken where the broker's finalized features have `transaction.version` 2.
//!
//! Invariants:
//! - One request of the transaction is under way at a time.
//! - EndTxn goes out only when no batch is unfinished; a transaction that nothing was written to needs none.
//! - Under TV1 nothing is written to a partition before the coordinator has it.
//! - After an error only an abort goes on; after a fatal error nothing does.

mod answers;
mod errors;

use std::collections::BTreeSet;

use ringlog_wire::messages::add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnTopic};
use ringlog_wire::messages::end_txn::EndTxnRequest;
use ringlog_wire::messages::find_coordinator::FindCoordinatorRequest;
use ringlog_wire::messages::init_producer_id::InitProducerIdRequest;

use super::config::Backoff;
use super::{NodeId, Topic};
pub use errors::TransactionError;

/// FindCoordinator's key type for transactions.
const KEY_TYPE_TRANSACTION: i8 = 1;
/// Clients stop there: later versions are for brokers.
pub(crate) const ADD_PARTITIONS_VERSION_MAX: i16 = 3;
/// The last EndTxn of TV1.
const END_TXN_VERSION_MAX_TV1: i16 = 4;
/// The first version of InitProducerId that raises an epoch (KIP-360).
const INIT_PRODUCER_ID_BUMPS_FROM: i16 = 3;
/// The first level of the feature `transaction.version` that is TV2.
const TRANSACTION_V2: i16 = 2;

/// What a transaction's producer may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Uninitialized,
    Initializing,
    Ready,
    InTransaction,
    Committing,
    Aborting,
    AbortableError,
    FatalError,
}

/// What is to be sent. All but `FindCoordinator` go to the coordinator.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ask {
    FindCoordinator(FindCoordinatorRequest),
    InitProducerId(InitProducerIdRequest),
    AddPartitions(AddPartitionsToTxnRequest),
    /// With the highest version that the transaction's protocol allows.
    EndTxn(EndTxnRequest, i16),
}

/// What the coordinator brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The producer id and epoch from now on.
    Identity(i64, i16),
    /// The coordinator has these partitions: they may be written to.
    Entered(Vec<(Topic, usize)>),
    /// The transaction is over; the next begins without partitions.
    Left,
}

/// What is wanted of the coordinator next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    /// A producer id, or a higher epoch of the one that we have.
    Identity,
    /// The end of the transaction.
    End { commit: bool },
}

/// See the module's picture.
#[derive(Debug)]
pub(crate) struct Transactions {
    id: String,
    timeout_ms: i32,
    backoff: Backoff,
    state: State,
    error: Option<TransactionError>,
    coordinator: Option<NodeId>,
    wants: Vec<Want>,
    identity: Option<(i64, i16)>,
    is_v2: bool,
    bumps_epochs: bool,
    /// The epoch must be raised by InitProducerId once the transaction is aborted (TV1).
    bump_wanted: bool,
    new_partitions: BTreeSet<(Topic, usize)>,
    asked_partitions: Vec<(Topic, usize, String)>,
    /// Something was written, or may have been: EndTxn is due.
    started: bool,
    asked: bool,
    retry_at_ns: u64,
    attempts: u32,
    changes: Vec<Change>,
}

impl Transactions {
    /// A producer that has yet to call initTransactions.
    pub(crate) fn new(id: &str, timeout: std::time::Duration, backoff: Backoff) -> Self {
        Self {
            id: id.to_owned(),
            timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
            backoff,
            state: State::Uninitialized,
            error: None,
            coordinator: None,
            wants: Vec::new(),
            identity: None,
            is_v2: false,
            bumps_epochs: true,
            bump_wanted: false,
            new_partitions: BTreeSet::new(),
            asked_partitions: Vec::new(),
            started: false,
            asked: false,
            retry_at_ns: 0,
            attempts: 0,
            changes: Vec::new(),
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Whether the transaction under way is one of KIP-890's.
    pub(crate) fn is_v2(&self) -> bool {
        self.is_v2
    }

    /// Where the requests go.
    pub(crate) fn coordinator(&self) -> Option<NodeId> {
        self.coordinator
    }

    /// What happened since the last call.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// The error that stands in the way, as the next call would say it.
    pub(crate) fn error(&self) -> Option<&TransactionError> {
        self.error.as_ref()
    }

    /// Whether nothing can be done any more but close.
    pub(crate) fn is_fatal(&self) -> bool {
        self.state == State::FatalError
    }

    /// Whether everything that was asked for is done.
    pub(crate) fn is_idle(&self) -> bool {
        self.wants.is_empty() && !self.asked
    }

    /// initTransactions begins.
    pub(crate) fn init(&mut self) -> Result<(), TransactionError> {
        self.check_error()?;
        self.enter(State::Initializing, &[State::Uninitialized])?;
        self.wants.push(Want::Identity);
        Ok(())
    }

    /// beginTransaction.
    pub(crate) fn begin(&mut self) -> Result<(), TransactionError> {
        self.check_error()?;
        self.check_pending("beginTransaction")?;
        self.enter(State::InTransaction, &[State::Ready])
    }

    /// commitTransaction begins: EndTxn follows once every batch is finished.
    pub(crate) fn commit(&mut self) -> Result<(), TransactionError> {
        self.check_error()?;
        self.check_pending("commitTransaction")?;
        self.enter(State::Committing, &[State::InTransaction])?;
        self.wants.push(Want::End { commit: true });
        Ok(())
    }

    /// abortTransaction begins.
    pub(crate) fn abort(&mut self) -> Result<(), TransactionError> {
        if self.state != State::AbortableError {
            self.check_error()?;
            self.check_pending("abortTransaction")?;
        }
        self.enter(State::Aborting, &[State::InTransaction, State::AbortableError])?;
        self.error = None;
        // What the coordinator does not have yet it need not end.
        self.new_partitions.clear();
        self.wants = vec![Want::End { commit: false }];
        if self.bump_wanted {
            self.wants.push(Want::Identity);
        }
        Ok(())
    }

    /// A record goes to a partition. True where it may be written to at once.
    pub(crate) fn add_partition(&mut self, topic: Topic, partition: usize) -> bool {
        if self.is_v2 {
            self.started = true;
            return true;
        }
        if !self.asked_partitions.iter().any(|(at, index, _)| (*at, *index) == (topic, partition)) {
            self.new_partitions.insert((topic, partition));
        }
        false
    }

    /// Whether a record may be sent now.
    pub(crate) fn check_send(&self) -> Result<(), TransactionError> {
        self.check_error()?;
        match self.state {
            State::InTransaction => Ok(()),
            State::Uninitialized | State::Initializing => Err(TransactionError::NotInitialized),
            state => Err(TransactionError::NotInTransaction { state: state.name() }),
        }
    }

    /// When the next request may go out, where one is wanted.
    pub(crate) fn due_ns(&self) -> Option<u64> {
        let wanted = !self.wants.is_empty() || !self.new_partitions.is_empty() || !self.asked_partitions.is_empty();
        (wanted && !self.asked && !self.is_fatal()).then_some(self.retry_at_ns)
    }

    /// What is to be sent now, if anything. `unfinished`: batches are still under way.
    pub(crate) fn next(&mut self, now_ns: u64, unfinished: bool, name: &dyn Fn(Topic) -> String) -> Option<Ask> {
        if self.asked || self.is_fatal() || now_ns < self.retry_at_ns {
            return None;
        }
        if self.state != State::AbortableError && !(self.new_partitions.is_empty() && self.asked_partitions.is_empty())
        {
            return Some(self.of_coordinator(|this| Ask::AddPartitions(this.add_partitions(name))));
        }
        match *self.wants.first()? {
            Want::Identity => Some(self.of_coordinator(|this| Ask::InitProducerId(this.init_producer_id()))),
            Want::End { .. } if unfinished => None,
            Want::End { .. } if !self.started => {
                self.end();
                None
            }
            Want::End { commit } => Some(self.of_coordinator(|this| this.end_txn(commit))),
        }
    }

    fn of_coordinator(&mut self, ask: impl FnOnce(&mut Self) -> Ask) -> Ask {
        self.asked = true;
        if self.coordinator.is_some() {
            return ask(self);
        }
        Ask::FindCoordinator(FindCoordinatorRequest {
            key: self.id.clone(),
            key_type: KEY_TYPE_TRANSACTION,
            coordinator_keys: vec![self.id.clone()],
            ..FindCoordinatorRequest::default()
        })
    }

    /// What was to be sent could not be: there is no connection yet.
    pub(crate) fn not_sent(&mut self) {
        self.asked = false;
    }

    fn init_producer_id(&self) -> InitProducerIdRequest {
        let (producer_id, producer_epoch) = self.identity.unwrap_or((-1, -1));
        InitProducerIdRequest {
            transactional_id: Some(self.id.clone()),
            transaction_timeout_ms: self.timeout_ms,
            producer_id,
            producer_epoch,
            ..InitProducerIdRequest::default()
        }
    }

    fn add_partitions(&mut self, name: &dyn Fn(Topic) -> String) -> AddPartitionsToTxnRequest {
        let new = std::mem::take(&mut self.new_partitions);
        self.asked_partitions.extend(new.into_iter().map(|(topic, partition)| (topic, partition, name(topic))));
        let mut topics: Vec<AddPartitionsToTxnTopic> = Vec::new();
        for (_, partition, name) in &self.asked_partitions {
            let partition = i32::try_from(*partition).unwrap_or(i32::MAX);
            match topics.iter_mut().find(|topic| topic.name == *name) {
                Some(topic) => topic.partitions.push(partition),
                None => topics.push(AddPartitionsToTxnTopic {
                    name: name.clone(),
                    partitions: vec![partition],
                    ..AddPartitionsToTxnTopic::default()
                }),
            }
        }
        let (producer_id, producer_epoch) = self.identity.unwrap_or((-1, -1));
        AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.id.clone(),
            v3_and_below_producer_id: producer_id,
            v3_and_below_producer_epoch: producer_epoch,
            v3_and_below_topics: topics,
            ..AddPartitionsToTxnRequest::default()
        }
    }

    fn end_txn(&self, committed: bool) -> Ask {
        let (producer_id, producer_epoch) = self.identity.unwrap_or((-1, -1));
        let request = EndTxnRequest {
            transactional_id: self.id.clone(),
            producer_id,
            producer_epoch,
            committed,
            ..EndTxnRequest::default()
        };
        Ask::EndTxn(request, if self.is_v2 { i16::MAX } else { END_TXN_VERSION_MAX_TV1 })
    }

    /// What the coordinator's node speaks: its InitProducerId, which may raise epochs, and the finalized
    /// `transaction.version`. The protocol is chosen when the producer id is fetched; a cluster that is raised to TV2
    /// later goes on taking TV1 from this producer.
    pub(crate) fn learn(&mut self, init_producer_id: i16, transaction_version: i16) {
        self.bumps_epochs = init_producer_id >= INIT_PRODUCER_ID_BUMPS_FROM;
        if self.state == State::Initializing {
            self.is_v2 = transaction_version >= TRANSACTION_V2;
        }
    }

    /// The coordinator cannot be reached: it is looked up again.
    pub(crate) fn forget_coordinator(&mut self, now_ns: u64) {
        if !self.asked && self.coordinator.is_some() {
            self.lost(now_ns);
        }
    }

    fn enter(&mut self, state: State, from: &[State]) -> Result<(), TransactionError> {
        if !from.contains(&self.state) {
            let (id, from, to) = (self.id.clone(), self.state.name(), state.name());
            return Err(TransactionError::Transition { id, from, to });
        }
        self.state = state;
        Ok(())
    }

    /// The transaction is over, or there was nothing to end.
    fn end(&mut self) {
        self.wants.retain(|want| !matches!(want, Want::End { .. }));
        self.new_partitions.clear();
        self.asked_partitions.clear();
        self.started = false;
        self.changes.push(Change::Left);
        self.state = if self.wants.is_empty() { State::Ready } else { State::Initializing };
    }
}

impl State {
    /// Kafka's name for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uninitialized => "UNINITIALIZED",
            Self::Initializing => "INITIALIZING",
            Self::Ready => "READY",
            Self::InTransaction => "IN_TRANSACTION",
            Self::Committing => "COMMITTING_TRANSACTION",
            Self::Aborting => "ABORTING_TRANSACTION",
            Self::AbortableError => "ABORTABLE_ERROR",
            Self::FatalError => "FATAL_ERROR",
        }
    }
}

#[cfg(test)]
mod tests;
