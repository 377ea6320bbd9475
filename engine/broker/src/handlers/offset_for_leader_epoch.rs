//! OffsetForLeaderEpoch: v2-4. Where a leader epoch ended, for clients that check whether their log was cut (KIP-320).

use ringlog_wire::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
};
use ringlog_wire::{ApiKey, ErrorCode};

use crate::broker::{Broker, Incoming, NotHere, Outcome};
use crate::handlers::Handler;
use crate::response::Response;

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::OffsetForLeaderEpoch, (2, 4), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: OffsetForLeaderEpochRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    let topics = request
        .topics
        .iter()
        .map(|topic| OffsetForLeaderTopicResult {
            topic: topic.topic.clone(),
            partitions: topic.partitions.iter().map(|partition| answer(broker, &topic.topic, partition)).collect(),
            ..Default::default()
        })
        .collect();
    Response::of(incoming.asked, &OffsetForLeaderEpochResponse { topics, ..Default::default() }).into()
}

fn answer(broker: &Broker, topic: &str, asked: &OffsetForLeaderPartition) -> EpochEndOffset {
    let (error_code, (leader_epoch, end_offset)) = match look_up(broker, topic, asked) {
        Ok(found) => (ErrorCode::NONE.0, found),
        Err(error) => (error.0, (-1, -1)),
    };
    EpochEndOffset { error_code, partition: asked.partition, leader_epoch, end_offset, ..Default::default() }
}

fn look_up(broker: &Broker, topic: &str, asked: &OffsetForLeaderPartition) -> Result<(i32, i64), ErrorCode> {
    let topic = broker.topic(topic, None)?;
    let place = broker.place(topic, asked.partition).map_err(|NotHere { error, .. }| error)?;
    broker.check_epoch(place, asked.current_leader_epoch)?;
    let replica = broker.replicas.at(place);
    // An epoch in which nothing was written (yet) ends where the log ends: Kafka's leader notes each of its epochs with
    // the end that it found. A client may know one from ListOffsets.
    if asked.leader_epoch <= replica.role.leader_epoch && asked.leader_epoch > replica.log().latest_epoch() {
        return Ok((asked.leader_epoch, replica.log().end_offset()));
    }
    let found = replica.log().end_offset_for_epoch(asked.leader_epoch);
    Ok((found.epoch, found.end_offset))
}
