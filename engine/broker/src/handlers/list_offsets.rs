//! ListOffsets: v1-11. Offsets by timestamp, and Kafka's special timestamps.
//!
//! | timestamp | asks for                 | from version | answer here                             |
//! |-----------|--------------------------|--------------|-----------------------------------------|
//! | -1        | latest                   | 1            | high watermark (last stable offset)     |
//! | -2        | earliest                 | 1            | log start offset                        |
//! | -3        | largest timestamp        | 7            | that record's offset and timestamp      |
//! | -4        | earliest local           | 8            | log start offset (nothing is tiered)    |
//! | -5        | latest tiered            | 9            | -1: none                                |
//! | -6        | earliest pending upload  | 11           | -1: none                                |

use ringlog_wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use ringlog_wire::{ApiKey, ErrorCode};

use crate::broker::{Broker, Incoming, NotHere, Outcome};
use crate::handlers::Handler;
use crate::replicas::{Place, Replica};
use crate::response::Response;

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::ListOffsets, (1, 11), handle);

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

const READ_COMMITTED: i8 = 1;

/// What was found: offset, timestamp and the leader epoch of the batch.
type Found = (i64, i64, i32);

const NOTHING: Found = (-1, -1, -1);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: ListOffsetsRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    let version = incoming.asked.api_version;
    let topics = request
        .topics
        .iter()
        .map(|topic| ListOffsetsTopicResponse {
            name: topic.name.clone(),
            partitions: topic
                .partitions
                .iter()
                .map(|partition| {
                    let found = look_up(broker, &topic.name, partition, request.isolation_level, version);
                    answer(partition.partition_index, found)
                })
                .collect(),
            ..Default::default()
        })
        .collect();
    Response::of(incoming.asked, &ListOffsetsResponse { topics, ..Default::default() }).into()
}

fn answer(partition_index: i32, found: Result<Found, ErrorCode>) -> ListOffsetsPartitionResponse {
    let (error_code, (offset, timestamp, leader_epoch)) = match found {
        Ok(found) => (ErrorCode::NONE.0, found),
        Err(error) => (error.0, NOTHING),
    };
    ListOffsetsPartitionResponse { partition_index, error_code, timestamp, offset, leader_epoch, ..Default::default() }
}

fn look_up(
    broker: &Broker,
    topic: &str,
    asked: &ListOffsetsPartition,
    isolation_level: i8,
    version: i16,
) -> Result<Found, ErrorCode> {
    let topic = broker.topic(topic, None)?;
    let place = broker.place(topic, asked.partition_index).map_err(|NotHere { error, .. }| error)?;
    broker.check_epoch(place, asked.current_leader_epoch)?;
    if version < first_version(asked.timestamp) {
        return Err(ErrorCode::UNSUPPORTED_VERSION);
    }
    find(broker, place, asked.timestamp, isolation_level)
}

fn first_version(timestamp: i64) -> i16 {
    match timestamp {
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        EARLIEST_PENDING_UPLOAD => 11,
        _ => 1,
    }
}

fn find(broker: &Broker, place: Place, timestamp: i64, isolation_level: i8) -> Result<Found, ErrorCode> {
    let replica = broker.replicas.at(place);
    let visible = visible_end(replica, isolation_level);
    match timestamp {
        LATEST => Ok((visible, -1, replica.leader_epoch)),
        EARLIEST | EARLIEST_LOCAL => {
            let start = replica.log.log_start_offset();
            Ok((start, -1, replica.leader_epoch))
        }
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Ok(NOTHING),
        MAX_TIMESTAMP => by_time(replica, replica.log.offset_of_max_timestamp(), visible),
        timestamp if timestamp < 0 => Err(ErrorCode::UNSUPPORTED_VERSION),
        timestamp => by_time(replica, replica.log.offset_for_timestamp(timestamp), visible),
    }
}

fn visible_end(replica: &Replica, isolation_level: i8) -> i64 {
    if isolation_level == READ_COMMITTED { replica.log.last_stable_offset() } else { replica.log.high_watermark() }
}

fn by_time(
    replica: &Replica,
    found: Result<Option<ringlog_storage::TimestampOffset>, ringlog_storage::StorageError>,
    visible: i64,
) -> Result<Found, ErrorCode> {
    match found {
        Ok(Some(found)) if found.offset < visible => Ok((found.offset, found.timestamp_ms, found.leader_epoch)),
        Ok(_) => Ok(NOTHING),
        Err(error) => {
            tracing::error!(topic = %replica.topic, partition = replica.key.partition, %error, "look-up by timestamp failed");
            Err(ErrorCode::KAFKA_STORAGE_ERROR)
        }
    }
}
