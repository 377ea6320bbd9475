//! DescribeTransactions and ListTransactions: what the ids are at.

use std::collections::BTreeSet;

use regex::bytes::Regex;
use ringlog_wire::ErrorCode;
use ringlog_wire::messages::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, TopicData, TransactionState as Described,
};
use ringlog_wire::messages::list_transactions::{
    ListTransactionsRequest, ListTransactionsResponse, TransactionState as Listed,
};

use crate::coordinator::group::compile_pattern;

use super::state::{State, Transaction};
use super::{Caller, Effect, Id, Moment, TransactionCoordinator, TxnResponse};

/// Which ids are listed.
struct Filter {
    states: BTreeSet<State>,
    producers: BTreeSet<i64>,
    duration_ms: i64,
    pattern: Option<Regex>,
}

impl Filter {
    fn takes(&self, id: &str, transaction: &Transaction, at: Moment) -> bool {
        let running_ms = at.wall_ms.saturating_sub(transaction.start_ms);
        (self.states.is_empty() || self.states.contains(&transaction.state))
            && (self.producers.is_empty() || self.producers.contains(&transaction.producer_id))
            && (self.duration_ms < 0 || running_ms > self.duration_ms)
            && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(id.as_bytes()))
    }
}

impl TransactionCoordinator {
    pub(super) fn describe(&self, caller: Caller, request: DescribeTransactionsRequest) -> Effect {
        let transaction_states = request.transactional_ids.into_iter().map(|id| self.describe_one(id)).collect();
        caller.with(TxnResponse::Describe(DescribeTransactionsResponse { transaction_states, ..Default::default() }))
    }

    fn describe_one(&self, id: String) -> Described {
        match self.look_up(&id) {
            Ok(now) => described(id, now),
            Err(error) => Described { error_code: error.0, transactional_id: id, ..Default::default() },
        }
    }

    fn look_up(&self, id: &str) -> Result<&Transaction, ErrorCode> {
        if id.is_empty() {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        self.owned.check(id)?;
        self.ids.get(id).map(|known| &known.now).ok_or(ErrorCode::TRANSACTIONAL_ID_NOT_FOUND)
    }

    pub(super) fn list(&self, caller: Caller, request: ListTransactionsRequest, at: Moment) -> Effect {
        let response = self
            .list_where(request, at)
            .unwrap_or_else(|error| ListTransactionsResponse { error_code: error.0, ..Default::default() });
        caller.with(TxnResponse::List(response))
    }

    fn list_where(&self, request: ListTransactionsRequest, at: Moment) -> Result<ListTransactionsResponse, ErrorCode> {
        if self.owned.loading() > 0 {
            return Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
        }
        let (known, unknown): (Vec<String>, Vec<String>) =
            request.state_filters.into_iter().partition(|name| State::named(name).is_some());
        let filter = Filter {
            states: known.iter().filter_map(|name| State::named(name)).collect(),
            producers: request.producer_id_filters.into_iter().collect(),
            duration_ms: request.duration_filter,
            pattern: match request.transactional_id_pattern.as_deref().unwrap_or_default() {
                "" => None,
                pattern => Some(compile_pattern(pattern).map_err(|_| ErrorCode::INVALID_REGULAR_EXPRESSION)?),
            },
        };
        let is_served = |known: &Id| self.owned.is_active(known.partition);
        let taken = self.ids.iter().filter(|(id, known)| is_served(known) && filter.takes(id, &known.now, at));
        // Where only states were asked for that there are not, there is nothing.
        let finds_nothing = filter.states.is_empty() && !unknown.is_empty();
        let listed = |(id, known): (&String, &Id)| Listed {
            transactional_id: id.clone(),
            producer_id: known.now.producer_id,
            transaction_state: known.now.state.name().to_owned(),
            ..Default::default()
        };
        let transaction_states = if finds_nothing { Vec::new() } else { taken.map(listed).collect() };
        Ok(ListTransactionsResponse { unknown_state_filters: unknown, transaction_states, ..Default::default() })
    }
}

fn described(id: String, now: &Transaction) -> Described {
    let mut topics: Vec<TopicData> = Vec::new();
    for (topic, partition) in &now.partitions {
        match topics.last_mut().filter(|last| last.topic == *topic) {
            Some(last) => last.partitions.push(*partition),
            None => topics.push(TopicData { topic: topic.clone(), partitions: vec![*partition], ..Default::default() }),
        }
    }
    Described {
        transactional_id: id,
        transaction_state: now.state.name().to_owned(),
        transaction_timeout_ms: now.timeout_ms,
        transaction_start_time_ms: now.start_ms,
        producer_id: now.producer_id,
        producer_epoch: now.producer_epoch,
        topics,
        ..Default::default()
    }
}
