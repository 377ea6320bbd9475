//! The coordinator of one transactional id.

use std::collections::VecDeque;

use ringlog_wire::messages::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    AddPartitionsToTxnTopicResult,
};
use ringlog_wire::messages::end_txn::{EndTxnRequest, EndTxnResponse};
use ringlog_wire::messages::init_producer_id::InitProducerIdResponse;
use ringlog_wire::{ApiKey, ErrorCode};

/// The coordinator of one transactional id.
#[derive(Debug, Default)]
pub(crate) struct Coordinator {
    pub(crate) epoch: i16,
    /// Partitions of the transaction under way.
    pub(crate) partitions: Vec<i32>,
    /// How transactions ended: whether committed, and the epoch that ended them.
    pub(crate) ended: Vec<(bool, i16)>,
    /// Errors of the next answers of an API.
    pub(crate) errors: VecDeque<(ApiKey, ErrorCode)>,
}

impl Coordinator {
    fn error(&mut self, api: ApiKey) -> Option<ErrorCode> {
        let next = self.errors.front().filter(|(of, _)| *of == api).map(|(_, error)| *error);
        next.inspect(|_| _ = self.errors.pop_front())
    }

    pub(super) fn init(&mut self) -> InitProducerIdResponse {
        if let Some(error) = self.error(ApiKey::InitProducerId) {
            return InitProducerIdResponse { error_code: error.0, ..Default::default() };
        }
        self.epoch += 1;
        InitProducerIdResponse { producer_id: 9, producer_epoch: self.epoch, ..Default::default() }
    }

    pub(super) fn add(&mut self, request: AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
        let error = self.error(ApiKey::AddPartitionsToTxn).unwrap_or(self.fencing(request.v3_and_below_producer_epoch));
        let result = |partition_index: i32| AddPartitionsToTxnPartitionResult {
            partition_index,
            partition_error_code: error.0,
            ..Default::default()
        };
        let mut topics = Vec::new();
        for topic in request.v3_and_below_topics {
            if error.is_none() {
                self.partitions.extend(&topic.partitions);
            }
            let results_by_partition = topic.partitions.iter().map(|partition| result(*partition)).collect();
            topics.push(AddPartitionsToTxnTopicResult { name: topic.name, results_by_partition, ..Default::default() });
        }
        AddPartitionsToTxnResponse { results_by_topic_v3_and_below: topics, ..Default::default() }
    }

    fn fencing(&self, epoch: i16) -> ErrorCode {
        if epoch < self.epoch { ErrorCode::PRODUCER_FENCED } else { ErrorCode::NONE }
    }

    pub(super) fn end(&mut self, request: &EndTxnRequest, version: i16) -> EndTxnResponse {
        let error = self.error(ApiKey::EndTxn).unwrap_or(self.fencing(request.producer_epoch));
        if !error.is_none() {
            return EndTxnResponse { error_code: error.0, ..Default::default() };
        }
        self.ended.push((request.committed, request.producer_epoch));
        self.partitions.clear();
        if version < 5 {
            return EndTxnResponse::default();
        }
        self.epoch += 1;
        EndTxnResponse { producer_id: 9, producer_epoch: self.epoch, ..Default::default() }
    }
}
