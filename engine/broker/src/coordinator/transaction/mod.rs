//! The transaction coordinator of one shard, as a state machine without I/O.
//!
//! ```text
//!   requests (with a ReplyTo)  ---+                              +--> Reply  { to, response }
//!   appended(ticket, result)   ---+--> TransactionCoordinator ---+--> Append { partition, ticket, records }
//!   marked(ticket)             ---+    ids, changes, markers     +--> Mark   { ticket, marker, into }
//!   tick(now), load, unload    ---+                              +--  next_deadline()
//! ```
//!
//! A transactional id belongs to the partition `abs(hash(id)) % count` of `__transaction_state`; the shard that leads the
//! partition owns the id. Every change is appended to that partition first, and counts (and is answered) when it is there.
//!
//! Invariants:
//! - Of an id one change at a time is on its way to the log. Who asks for another one meanwhile is told CONCURRENT_TRANSACTIONS.
//! - Every [`ReplyTo`] is answered exactly once.
//! - That a transaction is decided is in the log before its first marker goes out; that it is complete comes behind the last
//!   marker. What is decided is never decided otherwise: a coordinator that takes over writes the same markers again.
//! - A producer is in one transaction at a time, and with one epoch.
//! - Same inputs: same effects. There is no clock and no unordered map in here.
//!
//! Behaviour follows Kafka 4.3 (`TransactionCoordinator`, `TransactionMetadata`). Which version of transactions (KIP-890) a request is
//! of, its own version says; the finalized level of the feature counts for what the coordinator does by itself, and for its records.

mod add;
mod describe;
mod end;
mod enter;
mod init;
mod interface;
mod load;
mod records;
mod state;
#[cfg(test)]
mod tests;
mod upkeep;

use std::collections::{BTreeMap, VecDeque};

use ringlog_io::Nanos;
use ringlog_wire::ErrorCode;

pub(crate) use interface::{
    Caller, Claim, Effect, KeyValue, Marker, Moment, Ticket, TopicPartition, TxnRequest, TxnResponse, TxnSettings,
};

use crate::coordinator::Owned;
use add::Batch;
use end::Marking;
use enter::Entrant;
use state::Transaction;

/// Who learns what became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asker {
    /// InitProducerId: is given the producer.
    Init(Caller),
    /// InitProducerId of an id whose transaction is open: it is aborted, and the client asks again.
    Fence(Caller),
    /// Part of AddPartitionsToTxn: the request's number, and its place there.
    Batch(u64, usize),
    /// AddOffsetsToTxn.
    Offsets(Caller),
    /// EndTxn.
    End(Caller),
    /// Leaders of partitions, which have the first batches of a transaction.
    Entrants(Vec<Caller>),
    /// The coordinator itself: a timeout, a transaction that is complete, an id that expires.
    Nobody,
}

/// An id, and what is to become of it.
#[derive(Debug)]
struct Id {
    partition: i32,
    now: Transaction,
    /// The change that is on its way to the log.
    change: Option<Ticket>,
    /// Who waits until nothing is on its way.
    entrants: Vec<Entrant>,
}

impl Id {
    fn new(partition: i32, now: Transaction) -> Self {
        Self { partition, now, change: None, entrants: Vec::new() }
    }

    /// A change is on its way to the log, or markers are.
    fn is_busy(&self) -> bool {
        self.change.is_some() || self.now.state.is_prepared()
    }
}

/// A change that is on its way to the log.
#[derive(Debug)]
struct Change {
    id: String,
    next: Transaction,
    asker: Asker,
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct TransactionCoordinator {
    settings: TxnSettings,
    /// The finalized level of the feature `transaction.version`.
    level: i16,
    /// Partitions of `__transaction_state`.
    pub(crate) owned: Owned,
    ids: BTreeMap<String, Id>,
    next_ticket: u64,
    changes: BTreeMap<Ticket, Change>,
    /// Markers that are being written.
    markings: BTreeMap<Ticket, Marking>,
    /// AddPartitionsToTxn requests that wait for the log, by number.
    batches: BTreeMap<u64, Batch>,
    next_batch: u64,
    /// When entrants have waited for long enough, and the id that they wait for; the earliest first.
    waits: VecDeque<(Nanos, String)>,
    /// When transactions are looked at that may have timed out, and ids that may have expired.
    abort_at: Option<Nanos>,
    expire_at: Option<Nanos>,
}

impl TransactionCoordinator {
    /// A coordinator that owns nothing yet.
    pub(crate) fn new(settings: TxnSettings) -> Self {
        Self {
            settings,
            level: 0,
            owned: Owned::default(),
            ids: BTreeMap::new(),
            next_ticket: 0,
            changes: BTreeMap::new(),
            markings: BTreeMap::new(),
            batches: BTreeMap::new(),
            next_batch: 0,
            waits: VecDeque::new(),
            abort_at: None,
            expire_at: None,
        }
    }

    /// The finalized level of the feature `transaction.version` is this now.
    pub(crate) fn set_level(&mut self, level: i16) {
        self.level = level;
    }

    fn is_tv2(&self) -> bool {
        self.level >= state::TV2
    }

    /// Handles one request. `next_id` gives a producer id where one is needed, if there is one.
    pub(crate) fn handle(
        &mut self,
        caller: Caller,
        request: TxnRequest,
        next_id: &mut dyn FnMut() -> Option<i64>,
        at: Moment,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        match request {
            TxnRequest::InitProducerId(request) => self.init_producer_id(caller, &request, next_id, at, &mut effects),
            TxnRequest::AddPartitions(request) => self.add_partitions(caller, request, at, &mut effects),
            TxnRequest::AddOffsets(request, partition) => {
                self.add_offsets(caller, request, partition, at, &mut effects);
            }
            TxnRequest::EndTxn(request) => self.end_txn(caller, &request, next_id, at, &mut effects),
            TxnRequest::Describe(request) => effects.push(self.describe(caller, request)),
            TxnRequest::List(request) => effects.push(self.list(caller, request, at)),
            TxnRequest::Enter(claim, partition) => self.enter(caller, claim, partition, at, &mut effects),
        }
        effects
    }

    /// Asks for a change of an id, which has none on its way.
    fn change(&mut self, id: &str, next: Transaction, asker: Asker, at: Moment, effects: &mut Vec<Effect>) {
        let Some(known) = self.ids.get_mut(id) else { return };
        debug_assert!(known.change.is_none(), "one change at a time");
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let record = records::record(id, &next, self.level);
        self.changes.insert(ticket, Change { id: id.to_owned(), next, asker });
        known.change = Some(ticket);
        match record {
            Ok(record) => {
                effects.push(Effect::Append { partition: known.partition, ticket, records: vec![record] });
            }
            Err(error) => {
                tracing::warn!(%error, "a transaction's record cannot be encoded");
                effects.append(&mut self.appended(ticket, Err(ErrorCode::UNKNOWN_SERVER_ERROR), at));
            }
        }
    }

    /// Tells what became of an append. A ticket that is not known (its partition was unloaded meanwhile) is ignored.
    pub(crate) fn appended(&mut self, ticket: Ticket, result: Result<i64, ErrorCode>, at: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        let Some(Change { id, next, asker }) = self.changes.remove(&ticket) else { return effects };
        let Some(known) = self.ids.get_mut(&id) else { return effects };
        known.change = None;
        let result = result.map(drop).map_err(append_error);
        let is_new = known.now.producer_epoch == state::NO_EPOCH;
        match result {
            Ok(()) if next.state == state::State::Dead => self.forget(&id, &mut effects),
            Ok(()) => {
                known.now = next.clone();
                if next.state.is_prepared() {
                    self.mark(&id, at, &mut effects);
                }
            }
            // Nothing is known of it but that somebody asked.
            Err(_) if is_new => self.forget(&id, &mut effects),
            Err(error) => {
                tracing::warn!(id, %error, state = next.state.name(), "a transaction's state was not written")
            }
        }
        self.let_in(&id, at, &mut effects);
        self.set_timers(at);
        // The client that is told may be served at once: its answer comes before the markers.
        let told = self.tell(asker, result, &next);
        effects.splice(0..0, told);
        effects
    }

    /// Nothing is known of an id any more.
    fn forget(&mut self, id: &str, effects: &mut Vec<Effect>) {
        let entrants = self.ids.remove(id).map_or_else(Vec::new, |known| known.entrants);
        effects.extend(enter::refuse(entrants, ErrorCode::INVALID_PRODUCER_ID_MAPPING));
    }

    fn tell(&mut self, asker: Asker, result: Result<(), ErrorCode>, next: &Transaction) -> Vec<Effect> {
        match asker {
            Asker::Init(caller) => vec![init::answer(caller, result.map(|()| next))],
            Asker::Fence(caller) => {
                vec![init::answer(caller, Err(result.err().unwrap_or(ErrorCode::CONCURRENT_TRANSACTIONS)))]
            }
            Asker::Batch(batch, place) => self.batch_part_done(batch, place, result.err()).into_iter().collect(),
            Asker::Offsets(caller) => vec![add::offsets_answer(caller, result)],
            Asker::End(caller) => vec![end::answer(caller, result.map(|()| next))],
            Asker::Entrants(callers) => callers.into_iter().map(|caller| enter::answer(caller, result)).collect(),
            Asker::Nobody => Vec::new(),
        }
    }

    /// An id that somebody says to have.
    fn known(&self, id: &str) -> Result<&Id, ErrorCode> {
        if id.is_empty() {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        self.owned.check(id)?;
        self.ids.get(id).ok_or(ErrorCode::INVALID_PRODUCER_ID_MAPPING)
    }

    /// The transaction of an id, for a producer that says that it has it.
    fn claimed(&self, id: &str, producer_id: i64, producer_epoch: i16) -> Result<&Transaction, ErrorCode> {
        let known = self.known(id)?;
        if known.change.is_some() {
            return Err(ErrorCode::CONCURRENT_TRANSACTIONS);
        }
        if known.now.producer_id != producer_id {
            return Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING);
        }
        #[cfg(feature = "plant")]
        if ringlog_io::plant::is(ringlog_io::plant::FENCE_SKIPPED) {
            return Ok(&known.now);
        }
        if known.now.producer_epoch != producer_epoch {
            return Err(ErrorCode::PRODUCER_FENCED);
        }
        Ok(&known.now)
    }
}

/// What a client is told when a transaction's record could not be written (`TransactionStateManager.appendTransactionToLog`).
fn append_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::NOT_ENOUGH_REPLICAS
        | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND
        | ErrorCode::REQUEST_TIMED_OUT => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::KAFKA_STORAGE_ERROR => ErrorCode::NOT_COORDINATOR,
        _ => ErrorCode::UNKNOWN_SERVER_ERROR,
    }
}

/// The answer of versions that do not know that a producer is fenced.
fn fenced_as_known(error: ErrorCode, api_version: i16, first_that_knows: i16) -> ErrorCode {
    if error == ErrorCode::PRODUCER_FENCED && api_version < first_that_knows {
        ErrorCode::INVALID_PRODUCER_EPOCH
    } else {
        error
    }
}
