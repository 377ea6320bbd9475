//! AddPartitionsToTxn: v0-5. Partitions become part of a transaction before anything is written to them; v4 and v5 have several
//! transactions, or ask only whether a partition is part of one. All or nothing of a transaction: where a partition does not
//! exist, the others get OPERATION_NOT_ATTEMPTED.

use ringlog_wire::messages::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, AddPartitionsToTxnResult,
    AddPartitionsToTxnTopic, AddPartitionsToTxnTopicResult,
};
use ringlog_wire::{ApiKey, ErrorCode};

use crate::broker::{Broker, Incoming, Outcome};
use crate::coordinator::transaction::TxnRequest;
use crate::handlers::Handler;
use crate::metadata::image::Image;
use crate::response::Response;
use crate::transaction_desk;

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::AddPartitionsToTxn, (0, 5), handle);

/// The first version with several transactions in a request.
const BATCHED_FROM: i16 = 4;

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: AddPartitionsToTxnRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    match refuse(&broker.image, &request, incoming.asked.api_version) {
        Some(body) => Response::of(incoming.asked, &body).into(),
        None => transaction_desk::handle(broker, incoming, TxnRequest::AddPartitions(request)),
    }
}

/// The answer where a partition does not exist.
fn refuse(image: &Image, request: &AddPartitionsToTxnRequest, version: i16) -> Option<AddPartitionsToTxnResponse> {
    let exists =
        |name: &str, partition: i32| image.topic(name).is_some_and(|topic| topic.partition(partition).is_some());
    let is_whole = |topics: &[AddPartitionsToTxnTopic]| {
        topics.iter().all(|topic| topic.partitions.iter().all(|partition| exists(&topic.name, *partition)))
    };
    let results = |topics: &[AddPartitionsToTxnTopic]| -> Vec<AddPartitionsToTxnTopicResult> {
        let partition = |name: &str, partition_index: i32| {
            let is_there = exists(name, partition_index);
            let error =
                if is_there { ErrorCode::OPERATION_NOT_ATTEMPTED } else { ErrorCode::UNKNOWN_TOPIC_OR_PARTITION };
            AddPartitionsToTxnPartitionResult { partition_index, partition_error_code: error.0, ..Default::default() }
        };
        let topic = |topic: &AddPartitionsToTxnTopic| AddPartitionsToTxnTopicResult {
            name: topic.name.clone(),
            results_by_partition: topic.partitions.iter().map(|index| partition(&topic.name, *index)).collect(),
            ..Default::default()
        };
        topics.iter().map(topic).collect()
    };
    if version < BATCHED_FROM {
        let topics = &request.v3_and_below_topics;
        return (!is_whole(topics)).then(|| AddPartitionsToTxnResponse {
            results_by_topic_v3_and_below: results(topics),
            ..Default::default()
        });
    }
    // Brokers ask so, and know what there is: a request with a partition that is not here is refused as a whole.
    let is_all_whole = request.transactions.iter().all(|transaction| is_whole(&transaction.topics));
    (!is_all_whole).then(|| AddPartitionsToTxnResponse {
        results_by_transaction: request
            .transactions
            .iter()
            .map(|transaction| AddPartitionsToTxnResult {
                transactional_id: transaction.transactional_id.clone(),
                topic_results: results(&transaction.topics),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    })
}
