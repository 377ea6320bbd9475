//! InitProducerId with a transactional id: who asks is given the producer, and whoever had it before is fenced.
//!
//! | the id's transaction      | answer                                                                        |
//! |---------------------------|-------------------------------------------------------------------------------|
//! | none yet                  | a new producer id, epoch 0                                                    |
//! | Empty, Complete           | the next epoch; a new producer id where the epochs are used up                |
//! | Ongoing                   | CONCURRENT_TRANSACTIONS, and it is aborted with the next epoch                |
//! | Prepare, or changing      | CONCURRENT_TRANSACTIONS                                                       |
//! A client that says which producer it has is given the next epoch only if it is that one (KIP-360).

use std::collections::btree_map::Entry;

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use super::state::{NONE, Transaction};
use super::{Asker, Caller, Effect, Id, Moment, TransactionCoordinator, TxnResponse, fenced_as_known};

/// The first version that knows PRODUCER_FENCED.
const FENCED_FROM: i16 = 4;

/// The answer: the producer, or why there is none.
pub(super) fn answer(caller: Caller, result: Result<&Transaction, ErrorCode>) -> Effect {
    let response = match result {
        Ok(transaction) => InitProducerIdResponse {
            producer_id: transaction.producer_id,
            producer_epoch: transaction.producer_epoch,
            ..Default::default()
        },
        Err(error) => InitProducerIdResponse {
            error_code: fenced_as_known(error, caller.api_version, FENCED_FROM).0,
            producer_id: NONE,
            producer_epoch: -1,
            ..Default::default()
        },
    };
    caller.with(TxnResponse::InitProducerId(response))
}

impl TransactionCoordinator {
    pub(super) fn init_producer_id(
        &mut self,
        caller: Caller,
        request: &InitProducerIdRequest,
        next_id: &mut dyn FnMut() -> Option<i64>,
        at: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let id = request.transactional_id.as_deref().unwrap_or_default();
        match self.plan_init(id, request, next_id, at) {
            Ok((next, is_fence)) => {
                let asker = if is_fence { Asker::Fence(caller) } else { Asker::Init(caller) };
                self.change(id, next, asker, at, effects);
            }
            Err(error) => effects.push(answer(caller, Err(error))),
        }
    }

    /// What the id's transaction is to become. True: the one that is open is aborted.
    fn plan_init(
        &mut self,
        id: &str,
        request: &InitProducerIdRequest,
        next_id: &mut dyn FnMut() -> Option<i64>,
        at: Moment,
    ) -> Result<(Transaction, bool), ErrorCode> {
        let timeout_ms = request.transaction_timeout_ms;
        if id.is_empty() || (request.producer_id == NONE) != (request.producer_epoch == -1) {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        if timeout_ms <= 0 || timeout_ms > self.settings.timeout_ms_max {
            return Err(ErrorCode::INVALID_TRANSACTION_TIMEOUT);
        }
        self.owned.check(id)?;
        let is_tv2 = self.is_tv2();
        let expected = (request.producer_id != NONE).then_some((request.producer_id, request.producer_epoch));
        let known = self.known_or_new(id, timeout_ms, next_id, at)?;
        if known.change.is_some() {
            return Err(ErrorCode::CONCURRENT_TRANSACTIONS);
        }
        let now = &known.now;
        if !now.knows(expected) {
            return Err(ErrorCode::PRODUCER_FENCED);
        }
        if now.state.is_prepared() {
            return Err(ErrorCode::CONCURRENT_TRANSACTIONS);
        }
        if !now.state.is_at_rest() {
            return Ok((now.fenced(is_tv2, at.wall_ms), true));
        }
        let is_used_up = now.is_exhausted() && expected.is_none_or(|(_, epoch)| epoch == now.producer_epoch);
        let next = if is_used_up {
            let producer_id = next_id().ok_or(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)?;
            now.next_id(producer_id, timeout_ms, expected.is_some(), at.wall_ms)
        } else {
            now.next_epoch(timeout_ms, expected.map(|(_, epoch)| epoch), at.wall_ms)?
        };
        Ok((next, false))
    }

    fn known_or_new(
        &mut self,
        id: &str,
        timeout_ms: i32,
        next_id: &mut dyn FnMut() -> Option<i64>,
        at: Moment,
    ) -> Result<&Id, ErrorCode> {
        let partition = self.owned.partition_of(id);
        match self.ids.entry(id.to_owned()) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let producer_id = next_id().ok_or(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)?;
                let now = Transaction::new(producer_id, timeout_ms, at.wall_ms);
                Ok(entry.insert(Id::new(partition, now)))
            }
        }
    }
}
