//! WriteTxnMarkers: v1-2. Ends of transactions, from a coordinator elsewhere or from `kafka-transactions --abort`: written into the
//! partitions that this shard leads, and answered when all of them are there.

use ringlog_wire::messages::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
    WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};
use ringlog_wire::{ApiKey, ErrorCode};

use crate::broker::{Broker, Incoming, Outcome, ReplyTo};
use crate::coordinator::transaction::Marker;
use crate::handlers::Handler;
use crate::replica::PartitionKey;
use crate::response::{Asked, Response};
use crate::transaction_markers::{self, Asker};

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::WriteTxnMarkers, (1, 2), handle);

/// A request whose markers are on their way to their logs.
#[derive(Debug)]
pub(crate) struct PendingMarkers {
    reply_to: ReplyTo,
    asked: Asked,
    missing: usize,
    response: WriteTxnMarkersResponse,
}

/// The version of transactions from which on a marker bears a later epoch than its records; v1 does not say which.
const TV2: i8 = 2;

/// A partition's place in an answer: marker, topic, partition.
pub(crate) type Place = (usize, usize, usize);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: WriteTxnMarkersRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    let response =
        WriteTxnMarkersResponse { markers: request.markers.iter().map(all_well).collect(), ..Default::default() };
    let partitions =
        request.markers.iter().flat_map(|marker| &marker.topics).map(|topic| topic.partition_indexes.len());
    let missing: usize = partitions.sum();
    if missing == 0 {
        return Response::of(incoming.asked, &response).into();
    }
    let number = broker.transactions.requests.insert(PendingMarkers {
        reply_to: incoming.reply_to,
        asked: incoming.asked,
        missing,
        response,
    });
    for (at, marker) in request.markers.iter().enumerate() {
        write(broker, number, at, marker);
    }
    Outcome::Later
}

fn all_well(marker: &WritableTxnMarker) -> WritableTxnMarkerResult {
    let partition = |&partition_index: &i32| WritableTxnMarkerPartitionResult { partition_index, ..Default::default() };
    let topics = marker.topics.iter().map(|topic| WritableTxnMarkerTopicResult {
        name: topic.name.clone(),
        partitions: topic.partition_indexes.iter().map(partition).collect(),
        ..Default::default()
    });
    WritableTxnMarkerResult { producer_id: marker.producer_id, topics: topics.collect(), ..Default::default() }
}

fn write(broker: &mut Broker, number: usize, at: usize, marker: &WritableTxnMarker) {
    let of = Marker {
        producer_id: marker.producer_id,
        producer_epoch: marker.producer_epoch,
        is_commit: marker.transaction_result,
        is_tv2: marker.transaction_version >= TV2,
    };
    for (topic_at, topic) in marker.topics.iter().enumerate() {
        let topic_id = broker.image.topic(&topic.name).map(|topic| topic.id);
        for (partition_at, &partition) in topic.partition_indexes.iter().enumerate() {
            let place = (at, topic_at, partition_at);
            match topic_id {
                Some(topic_id) => {
                    let key = PartitionKey { topic_id, partition };
                    let asker = Asker::Request(number, place);
                    transaction_markers::write(broker, key, (of, marker.coordinator_epoch), asker);
                }
                None => settle(broker, number, place, Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)),
            }
        }
    }
}

/// A marker of a request is written, or could not be.
pub(crate) fn settle(broker: &mut Broker, number: usize, (at, topic, partition): Place, result: Result<(), ErrorCode>) {
    let Some(pending) = broker.transactions.requests.get_mut(number) else { return };
    let answer = &mut pending.response.markers[at].topics[topic].partitions[partition];
    answer.error_code = result.err().unwrap_or(ErrorCode::NONE).0;
    pending.missing -= 1;
    if pending.missing == 0 {
        let pending = broker.transactions.requests.remove(number);
        broker.reply(pending.reply_to, pending.asked, &pending.response);
    }
}
