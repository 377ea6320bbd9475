//! The way into a transaction of version 2 (KIP-890): no client names its partitions, but the leader of each asks here with the first
//! batch that it holds for it.
//!
//! | the id's transaction     | answer                                                                             |
//! |--------------------------|------------------------------------------------------------------------------------|
//! | Empty, Complete, Ongoing | as that of AddPartitionsToTxn                                                      |
//! | Prepare, or changing     | when that is over; CONCURRENT_TRANSACTIONS where it takes too long                 |
//!
//! A producer that was told of the end of its transaction goes on while the markers are being written, and the leaders of its
//! partitions ask all at once: so they wait here, as long as Kafka's leaders ask again, and enter together with one record.

use std::slice;

use ringlog_io::Nanos;
use ringlog_wire::ErrorCode;

use super::{Asker, Caller, Claim, Effect, Moment, TopicPartition, TransactionCoordinator, TxnResponse, upkeep};

/// A leader that waits until the id is free.
#[derive(Debug)]
pub(super) struct Entrant {
    caller: Caller,
    claim: Claim,
    partition: TopicPartition,
    /// When it is refused.
    until: Nanos,
}

/// The answer to a leader.
pub(super) fn answer(caller: Caller, result: Result<(), ErrorCode>) -> Effect {
    caller.with(TxnResponse::Enter(result))
}

/// Refuses those that wait.
pub(super) fn refuse(entrants: Vec<Entrant>, error: ErrorCode) -> impl Iterator<Item = Effect> {
    entrants.into_iter().map(move |entrant| answer(entrant.caller, Err(error)))
}

impl TransactionCoordinator {
    pub(super) fn enter(
        &mut self,
        caller: Caller,
        claim: Claim,
        partition: TopicPartition,
        at: Moment,
        effects: &mut Vec<Effect>,
    ) {
        match self.check_add(&claim, slice::from_ref(&partition)) {
            Ok(()) => self.enter_all(&claim.transactional_id, &[partition], vec![caller], at, effects),
            Err(Some(ErrorCode::CONCURRENT_TRANSACTIONS)) => self.wait(caller, claim, partition, at),
            Err(told) => effects.push(answer(caller, told.map_or(Ok(()), Err))),
        }
    }

    fn wait(&mut self, caller: Caller, claim: Claim, partition: TopicPartition, at: Moment) {
        let until = upkeep::after(at, self.settings.enter_wait_ms);
        let Some(known) = self.ids.get_mut(&claim.transactional_id) else { return };
        self.waits.push_back((until, claim.transactional_id.clone()));
        known.entrants.push(Entrant { caller, claim, partition, until });
    }

    fn enter_all(
        &mut self,
        id: &str,
        partitions: &[TopicPartition],
        callers: Vec<Caller>,
        at: Moment,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(known) = self.ids.get(id) {
            let next = known.now.with(partitions, true, at.wall_ms);
            self.change(id, next, Asker::Entrants(callers), at, effects);
        }
    }

    /// Something that the id was busy with is over: where that was all, those that waited for it enter.
    pub(super) fn let_in(&mut self, id: &str, at: Moment, effects: &mut Vec<Effect>) {
        let Some(known) = self.ids.get_mut(id).filter(|known| !known.is_busy()) else { return };
        let (mut partitions, mut callers) = (Vec::new(), Vec::new());
        for Entrant { caller, claim, partition, .. } in std::mem::take(&mut known.entrants) {
            match self.check_add(&claim, slice::from_ref(&partition)) {
                Ok(()) => {
                    partitions.push(partition);
                    callers.push(caller);
                }
                Err(told) => effects.push(answer(caller, told.map_or(Ok(()), Err))),
            }
        }
        if !callers.is_empty() {
            self.enter_all(id, &partitions, callers, at, effects);
        }
    }

    /// Refuses those that have waited for too long.
    pub(super) fn turn_away(&mut self, at: Moment, effects: &mut Vec<Effect>) {
        while let Some((_, id)) = self.waits.pop_front_if(|(until, _)| *until <= at.now) {
            let Some(known) = self.ids.get_mut(&id) else { continue };
            let late = known.entrants.extract_if(.., |entrant| entrant.until <= at.now).collect();
            effects.extend(refuse(late, ErrorCode::CONCURRENT_TRANSACTIONS));
        }
    }
}
