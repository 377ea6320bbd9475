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

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::end_txn::{EndTxnRequest, EndTxnResponse};

use super::state::{State, Transaction};
use super::{
    Asker, Caller, Effect, Id, Moment, Ticket, TopicPartition, TransactionCoordinator, TxnResponse, fenced_as_known,
};

/// The first version that knows PRODUCER_FENCED.
const FENCED_FROM: i16 = 2;

/// A marker that is being written.
#[derive(Debug)]
pub(super) struct Marking {
    pub(super) id: String,
    into: TopicPartition,
}

/// The answer to EndTxn.
pub(super) fn answer(caller: Caller, result: Result<(), ErrorCode>) -> Effect {
    let error = result.err().unwrap_or(ErrorCode::NONE);
    let error_code = fenced_as_known(error, caller.api_version, FENCED_FROM).0;
    caller.with(TxnResponse::EndTxn(EndTxnResponse { error_code, ..Default::default() }))
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

impl TransactionCoordinator {
    pub(super) fn end_txn(&mut self, caller: Caller, request: EndTxnRequest, at: Moment, effects: &mut Vec<Effect>) {
        match self.plan_end(&request, at) {
            Ok(next) => self.change(&request.transactional_id, next, Asker::End(caller), at, effects),
            Err(told) => effects.push(answer(caller, told.map_or(Ok(()), Err))),
        }
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
