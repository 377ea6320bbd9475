//! EndTxn, and what follows from a decision: markers into every partition, then the transaction is complete.
//!
//! | the id's transaction | commit                   | abort                    |
//! |----------------------|--------------------------|--------------------------|
//! | Empty                | INVALID_TXN_STATE        | INVALID_TXN_STATE        |
//! | Ongoing              | PrepareCommit            | PrepareAbort             |
//! | PrepareCommit        | CONCURRENT_TRANSACTIONS  | INVALID_TXN_STATE        |
//! | PrepareAbort         | INVALID_TXN_STATE        | CONCURRENT_TRANSACTIONS  |
//! | CompleteCommit       | done                     | INVALID_TXN_STATE        |
//! | CompleteAbort        | INVALID_TXN_STATE        | done                     |
//!
//! In version 2 (KIP-890) the epoch tells the next end from the last one that is asked for again: with the epoch before ours it is the
//! last one. What the client has from then on is in the answer.
//!
//! | the id's transaction | commit                   | abort                    | commit again      | abort again       |
//! |----------------------|--------------------------|--------------------------|-------------------|-------------------|
//! | Empty                | INVALID_TXN_STATE        | PrepareAbort, of nothing | PRODUCER_FENCED   | PRODUCER_FENCED   |
//! | Ongoing              | PrepareCommit            | PrepareAbort             | PRODUCER_FENCED   | PRODUCER_FENCED   |
//! | Prepare, or changing | CONCURRENT_TRANSACTIONS  | the same                 | the same          | the same          |
//! | CompleteCommit       | INVALID_TXN_STATE        | PrepareAbort, of nothing | done              | INVALID_TXN_STATE |
//! | CompleteAbort        | INVALID_TXN_STATE        | PrepareAbort, of nothing | INVALID_TXN_STATE | done              |

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::end_txn::{EndTxnRequest, EndTxnResponse};

use super::state::{State, Transaction};
use super::{
    Asker, Caller, Effect, Id, Moment, Ticket, TopicPartition, TransactionCoordinator, TxnResponse, fenced_as_known,
};

/// The first version that knows PRODUCER_FENCED.
const FENCED_FROM: i16 = 2;
/// The first version that is of version 2 of transactions.
const TV2_FROM: i16 = 5;

/// A marker that is being written.
#[derive(Debug)]
pub(super) struct Marking {
    pub(super) id: String,
    into: TopicPartition,
}

/// The answer to EndTxn: the transaction that has ended, or why it has not.
pub(super) fn answer(caller: Caller, result: Result<&Transaction, ErrorCode>) -> Effect {
    let response = match result {
        Ok(ended) if caller.api_version >= TV2_FROM => {
            let (producer_id, producer_epoch) = ended.next_producer();
            EndTxnResponse { producer_id, producer_epoch, ..Default::default() }
        }
        Ok(_) => EndTxnResponse::default(),
        Err(error) => {
            let error_code = fenced_as_known(error, caller.api_version, FENCED_FROM).0;
            EndTxnResponse { error_code, ..Default::default() }
        }
    };
    caller.with(TxnResponse::EndTxn(response))
}

/// Whether the end that is asked for is to be written; else what is answered at once.
fn check(state: State, is_commit: bool) -> Result<(), Option<ErrorCode>> {
    match (state, is_commit) {
        (State::Ongoing, _) => Ok(()),
        (State::CompleteCommit, true) | (State::CompleteAbort, false) => Err(None),
        (State::PrepareCommit, true) | (State::PrepareAbort, false) => Err(Some(ErrorCode::CONCURRENT_TRANSACTIONS)),
        _ => Err(Some(ErrorCode::INVALID_TXN_STATE)),
    }
}

/// The same of version 2, where the producer is the one that it should be; of one that is busy nothing is asked.
fn check_tv2(state: State, is_commit: bool, is_again: bool) -> Result<(), Option<ErrorCode>> {
    match (state, is_commit, is_again) {
        (State::Ongoing, _, _) => Ok(()),
        (State::CompleteCommit, true, true) | (State::CompleteAbort, false, true) => Err(None),
        (State::Empty | State::CompleteCommit | State::CompleteAbort, false, false) => Ok(()),
        _ => Err(Some(ErrorCode::INVALID_TXN_STATE)),
    }
}

impl TransactionCoordinator {
    pub(super) fn end_txn(
        &mut self,
        caller: Caller,
        request: &EndTxnRequest,
        next_id: &mut dyn FnMut() -> Option<i64>,
        at: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let id = &request.transactional_id;
        let planned = match caller.api_version >= TV2_FROM {
            true => self.plan_end_tv2(request, next_id, at),
            false => self.plan_end(request, at),
        };
        match planned {
            Ok(next) => self.change(id, next, Asker::End(caller), at, effects),
            Err(told) => {
                let result = match (told, self.ids.get(id)) {
                    (None, Some(known)) => Ok(&known.now),
                    (told, _) => Err(told.unwrap_or(ErrorCode::INVALID_PRODUCER_ID_MAPPING)),
                };
                effects.push(answer(caller, result));
            }
        }
    }

    fn plan_end_tv2(
        &self,
        request: &EndTxnRequest,
        next_id: &mut dyn FnMut() -> Option<i64>,
        at: Moment,
    ) -> Result<Transaction, Option<ErrorCode>> {
        let EndTxnRequest { transactional_id, producer_id, producer_epoch, .. } = request;
        let known = self.known(transactional_id)?;
        if known.is_busy() {
            return Err(Some(ErrorCode::CONCURRENT_TRANSACTIONS));
        }
        let now = &known.now;
        let is_again =
            now.state != State::Empty && now.state.is_at_rest() && now.is_retry(*producer_id, *producer_epoch);
        if !is_again {
            self.claimed(transactional_id, *producer_id, *producer_epoch)?;
        }
        check_tv2(now.state, request.committed, is_again)?;
        let next_producer_id = match now.is_exhausted() {
            true => Some(next_id().ok_or(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)?),
            false => None,
        };
        Ok(now.decided_tv2(request.committed, next_producer_id, at.wall_ms))
    }

    fn plan_end(&self, request: &EndTxnRequest, at: Moment) -> Result<Transaction, Option<ErrorCode>> {
        let now = self.claimed(&request.transactional_id, request.producer_id, request.producer_epoch)?;
        check(now.state, request.committed)?;
        Ok(now.decided(request.committed, at.wall_ms))
    }

    /// The id's transaction is decided, in the log: its markers go out. Where it has no partition, it is complete.
    pub(super) fn mark(&mut self, id: &str, at: Moment, effects: &mut Vec<Effect>) {
        #[cfg(feature = "plant")]
        if ringlog_io::plant::is(ringlog_io::plant::MARKER_LOST) {
            self.ids.get_mut(id).map(|known| known.now.partitions.pop_last());
        }
        let Some(known) = self.ids.get(id) else { return };
        let (partition, marker) = (known.partition, known.now.marker());
        for into in &known.now.partitions {
            let ticket = Ticket(self.next_ticket);
            self.next_ticket += 1;
            self.markings.insert(ticket, Marking { id: id.to_owned(), into: into.clone() });
            effects.push(Effect::Mark { partition, ticket, marker, into: into.clone() });
        }
        self.complete(id, at, effects);
    }

    /// Completes the id's transaction where no marker is missing.
    fn complete(&mut self, id: &str, at: Moment, effects: &mut Vec<Effect>) {
        let is_marked = |known: &&Id| known.now.partitions.is_empty() && known.change.is_none();
        if let Some(known) = self.ids.get(id).filter(is_marked) {
            let next = known.now.completed(at.wall_ms);
            self.change(id, next, Asker::Nobody, at, effects);
        }
    }

    /// A marker is written, or its partition is no more. The last one completes the transaction.
    pub(crate) fn marked(&mut self, ticket: Ticket, at: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        let Some(Marking { id, into }) = self.markings.remove(&ticket) else { return effects };
        let Some(known) = self.ids.get_mut(&id) else { return effects };
        known.now.partitions.remove(&into);
        self.complete(&id, at, &mut effects);
        effects
    }
}
