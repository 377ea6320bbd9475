//! What the coordinator answered.

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::add_partitions_to_txn::AddPartitionsToTxnResponse;
use ringlog_wire::messages::end_txn::EndTxnResponse;
use ringlog_wire::messages::find_coordinator::FindCoordinatorResponse;
use ringlog_wire::messages::init_producer_id::InitProducerIdResponse;

use super::super::accumulator::nanos;
use super::super::texts::text_of;
use super::errors::{Effect, effect_of};
use super::{Change, State, Transactions, Want};

/// A transaction that is just being ended takes its next partition soon (AddPartitionsToTxnHandler).
const ADD_PARTITIONS_RETRY_NS: u64 = 20_000_000;

/// Where a coordinator is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) node: i32,
    pub(crate) host: String,
    pub(crate) port: i32,
}

impl Transactions {
    /// The request that was under way was lost: the coordinator may have moved.
    pub(crate) fn lost(&mut self, now_ns: u64) {
        self.coordinator = None;
        self.rest(now_ns);
    }

    /// FindCoordinator's answer; where the coordinator is, if it is known.
    pub(crate) fn on_found(&mut self, response: &FindCoordinatorResponse, now_ns: u64) -> Option<Found> {
        self.asked = false;
        let old = (response.error_code, response.node_id, &response.host, response.port);
        let one = response.coordinators.first();
        let (code, node, host, port) = one.map_or(old, |one| (one.error_code, one.node_id, &one.host, one.port));
        let error = ErrorCode(code);
        if error.is_none() {
            self.attempts = 0;
            self.coordinator = Some(node);
            return Some(Found { node, host: host.clone(), port });
        }
        match effect_of(error) {
            Effect::Retry | Effect::Elsewhere => self.rest(now_ns),
            Effect::Unexpected => {
                let (id, said) = (&self.id, text_of(error, None));
                let why = "Could not find a coordinator with type TRANSACTION with key";
                self.fail(Effect::Fatal, format!("{why} {id} due to unexpected error: {said}"));
            }
            effect => self.fail(effect, text_of(error, None)),
        }
        None
    }

    /// InitProducerId's answer.
    pub(crate) fn on_identity(&mut self, response: &InitProducerIdResponse, now_ns: u64) {
        let unexpected = (Effect::Fatal, "Unexpected error in InitProducerIdResponse; ");
        if !self.settle(ErrorCode(response.error_code), unexpected, now_ns) {
            return;
        }
        self.wants.retain(|want| *want != Want::Identity);
        self.bump_wanted = false;
        self.take_identity(response.producer_id, response.producer_epoch);
        self.state = State::Ready;
    }

    /// AddPartitionsToTxn's answer.
    pub(crate) fn on_added(&mut self, response: &AddPartitionsToTxnResponse, now_ns: u64) {
        let topics = &response.results_by_topic_v3_and_below;
        let results = topics.iter().flat_map(|topic| &topic.results_by_partition);
        let mut errors = results.map(|result| ErrorCode(result.partition_error_code)).filter(|error| !error.is_none());
        // One that is refused explains those that were not attempted because of it.
        let first = errors.clone().find(|error| *error != ErrorCode::OPERATION_NOT_ATTEMPTED);
        let error = first.or_else(|| errors.next()).unwrap_or(ErrorCode::NONE);
        let unexpected = (Effect::Abortable, "Could not add partitions to transaction due to errors: ");
        if !self.settle(error, unexpected, now_ns) {
            // The first partition of a transaction waits for the last one's markers: not for long.
            if error == ErrorCode::CONCURRENT_TRANSACTIONS && !self.started {
                self.retry_at_ns = self.retry_at_ns.min(now_ns.saturating_add(ADD_PARTITIONS_RETRY_NS));
            }
            return;
        }
        // Also where an error came in between and nothing will be written: the coordinator has a transaction to end.
        self.started = true;
        let added = std::mem::take(&mut self.asked_partitions);
        self.changes.push(Change::Entered(added.into_iter().map(|(topic, partition, _)| (topic, partition)).collect()));
    }

    /// EndTxn's answer.
    pub(crate) fn on_ended(&mut self, response: &EndTxnResponse, now_ns: u64) {
        let unexpected = (Effect::Fatal, "Unhandled error in EndTxnResponse: ");
        if !self.settle(ErrorCode(response.error_code), unexpected, now_ns) {
            return;
        }
        if response.producer_id >= 0 {
            self.take_identity(response.producer_id, response.producer_epoch);
        }
        self.end();
    }

    fn take_identity(&mut self, id: i64, epoch: i16) {
        self.identity = Some((id, epoch));
        self.changes.push(Change::Identity(id, epoch));
    }

    /// True where the request is done; else it is tried again, or the transaction's state says why not.
    fn settle(&mut self, error: ErrorCode, unexpected: (Effect, &str), now_ns: u64) -> bool {
        self.asked = false;
        if error.is_none() {
            self.attempts = 0;
            self.retry_at_ns = 0;
            return true;
        }
        match effect_of(error) {
            Effect::Elsewhere => self.lost(now_ns),
            Effect::Retry => self.rest(now_ns),
            Effect::Abortable | Effect::AbortableIfBumped if self.state == State::Aborting => {
                self.fail(Effect::Fatal, format!("Failed to abort transaction: {}", text_of(error, None)));
            }
            Effect::Unexpected => self.fail(unexpected.0, format!("{}{}", unexpected.1, text_of(error, None))),
            effect => self.fail(effect, text_of(error, None)),
        }
        false
    }

    fn rest(&mut self, now_ns: u64) {
        self.asked = false;
        let pause = self.backoff.after(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        self.retry_at_ns = now_ns.saturating_add(nanos(pause));
    }
}
