//! DescribeProducers: v0. Who writes to a partition with sequence numbers, as this shard, which leads it, remembers them.

use ringlog_wire::messages::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState, TopicRequest, TopicResponse,
};
use ringlog_wire::{ApiKey, ErrorCode};

use super::describe_quorum::UNKNOWN;
use crate::broker::{Broker, Incoming, Outcome};
use crate::handlers::{Handler, each_once};
use crate::metadata::names;
use crate::response::Response;

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::DescribeProducers, (0, 0), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let mut request: DescribeProducersRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    each_once(&mut request.topics, |topic| (topic.name.clone(), topic.partition_indexes.clone()));
    request.topics.iter_mut().for_each(|topic| each_once(&mut topic.partition_indexes, |index| *index));
    let topics = request.topics.iter().map(|topic| describe(broker, topic)).collect();
    Response::of(incoming.asked, &DescribeProducersResponse { topics, ..Default::default() }).into()
}

fn describe(broker: &Broker, asked: &TopicRequest) -> TopicResponse {
    let found = match names::check(&asked.name) {
        Err(message) => Err((ErrorCode::INVALID_TOPIC_EXCEPTION, message)),
        Ok(()) => broker.topic(&asked.name, None).map_err(|error| (error, UNKNOWN.to_owned())),
    };
    let partition = |index: &i32| match &found {
        Ok(topic) => match broker.place(topic, *index) {
            Ok(place) => PartitionResponse {
                partition_index: *index,
                active_producers: producers(broker.replicas.at(place).log()),
                ..Default::default()
            },
            Err(not_here) => refused(*index, not_here.error, None),
        },
        Err((error, message)) => refused(*index, *error, Some(message.clone())),
    };
    let partitions = asked.partition_indexes.iter().map(partition).collect();
    TopicResponse { name: asked.name.clone(), partitions, ..Default::default() }
}

fn refused(partition_index: i32, error: ErrorCode, error_message: Option<String>) -> PartitionResponse {
    PartitionResponse { partition_index, error_code: error.0, error_message, ..Default::default() }
}

fn producers(log: &ringlog_storage::Partition) -> Vec<ProducerState> {
    let state = |producer: ringlog_storage::ActiveProducer| ProducerState {
        producer_id: producer.producer_id,
        producer_epoch: i32::from(producer.producer_epoch),
        last_sequence: producer.last_sequence,
        last_timestamp: producer.last_timestamp_ms,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer.transaction_from.unwrap_or(-1),
        ..Default::default()
    };
    log.active_producers().map(state).collect()
}
