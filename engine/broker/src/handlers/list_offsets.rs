//! ListOffsets: v1-11. Offsets by timestamp, and Kafka's special timestamps. Where a time has to be looked up in what is not
//! in the page cache, the whole request waits for that, and looks again.
//!
//! A partition that is named twice is answered once, with INVALID_REQUEST; a special timestamp that the version lacks is
//! refused before the topic is looked up (Kafka's ReplicaManager.fetchOffset).
//!
//! | timestamp | asks for                 | from version | answer here                             |
//! |-----------|--------------------------|--------------|-----------------------------------------|
//! | -1        | latest                   | 1            | high watermark (last stable offset)     |
//! | -2        | earliest                 | 1            | log start offset                        |
//! | -3        | largest timestamp        | 7            | that record's offset and timestamp      |
//! | -4        | earliest local           | 8            | log start offset (nothing is tiered)    |
//! | -5        | latest tiered            | 9            | -1: none                                |
//! | -6        | earliest pending upload  | 11           | -1: none                                |

use std::collections::BTreeMap;

use ringlog_storage::{Ready, StorageError, TimestampOffset};
use ringlog_wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use ringlog_wire::{ApiKey, EncodeError, ErrorCode};

use crate::broker::{Broker, Incoming, NotHere, Outcome, ReplyTo};
use crate::connection::Refused;
use crate::handlers::Handler;
use crate::jobs::Purpose;
use crate::replica::{PartitionKey, Replica};
use crate::replicas::Place;
use crate::response::{Asked, Response};
use crate::waiting::Wait;

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

/// What one partition has to say: an answer, or what has to be read from the disk first.
type Looked = Ready<Result<Found, ErrorCode>>;

/// A request that waits for the disk.
#[derive(Debug)]
pub(crate) struct WaitingLookup {
    asked: Asked,
    request: ListOffsetsRequest,
}

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: ListOffsetsRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    match look_or_wait(broker, incoming.reply_to, WaitingLookup { asked: incoming.asked, request }) {
        Some(response) => response.into(),
        None => Outcome::Later,
    }
}

/// What was read from the disk for a request that waits, it can look at now.
pub(crate) fn look_again(broker: &mut Broker, id: ReplyTo, waited: WaitingLookup) {
    if let Some(response) = look_or_wait(broker, id, waited) {
        broker.replies.push((id, response.map_err(Refused::Answer)));
    }
}

/// The answer, where nothing of it has to be read from the disk; else the request waits for that.
fn look_or_wait(broker: &mut Broker, id: ReplyTo, waiting: WaitingLookup) -> Option<Result<Response, EncodeError>> {
    let WaitingLookup { asked, request } = &waiting;
    let (mut watches, mut jobs) = (Vec::new(), Vec::new());
    let topics = answers(request, |topic, partition| {
        match look_up(broker, topic, partition, request.isolation_level, asked.api_version) {
            (_, Ready::Now(found)) => found,
            (key, Ready::Later(job)) => {
                watches.extend(key);
                jobs.extend(key.zip(job));
                Ok(NOTHING)
            }
        }
    });
    for (key, (lookup, job)) in jobs {
        broker.jobs.run(Purpose::Lookup(key, lookup), job);
    }
    if watches.is_empty() {
        return Some(Response::of(*asked, &ListOffsetsResponse { topics, ..Default::default() }));
    }
    // A connection has one request at a time that is no produce: there are never more of them than connections.
    let wait = Wait { fetch: waiting, deadline: broker.now, missing_bytes: usize::MAX, watches, memory_bytes: 0 };
    broker.lookups.insert(id, wait);
    None
}

/// One answer for each partition that is named, in the order of naming.
fn answers(
    request: &ListOffsetsRequest,
    mut look_up: impl FnMut(&str, &ListOffsetsPartition) -> Result<Found, ErrorCode>,
) -> Vec<ListOffsetsTopicResponse> {
    let named = || request.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |one| (&topic.name, one)));
    let mut times: BTreeMap<(&str, i32), usize> = BTreeMap::new();
    named().for_each(|(topic, one)| *times.entry((topic, one.partition_index)).or_default() += 1);
    let mut answers: Vec<ListOffsetsTopicResponse> = Vec::with_capacity(request.topics.len());
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for (topic, partition) in named() {
        let found = match times.remove(&(topic.as_str(), partition.partition_index)) {
            Some(1) => look_up(topic, partition),
            Some(_) => Err(ErrorCode::INVALID_REQUEST),
            None => continue,
        };
        let place = *places.entry(topic).or_insert_with(|| {
            answers.push(ListOffsetsTopicResponse { name: topic.clone(), ..Default::default() });
            answers.len() - 1
        });
        answers[place].partitions.push(answer(partition.partition_index, found));
    }
    answers
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
) -> (Option<PartitionKey>, Looked) {
    match locate(broker, topic, asked, version) {
        Ok(place) => {
            (Some(broker.replicas.at(place).key), find(broker.replicas.at(place), asked.timestamp, isolation_level))
        }
        Err(error) => (None, Ready::Now(Err(error))),
    }
}

fn locate(broker: &Broker, topic: &str, asked: &ListOffsetsPartition, version: i16) -> Result<Place, ErrorCode> {
    if first_version(asked.timestamp).is_none_or(|first| version < first) {
        return Err(ErrorCode::UNSUPPORTED_VERSION);
    }
    let topic = broker.topic(topic, None)?;
    let place = broker.place(topic, asked.partition_index).map_err(|NotHere { error, .. }| error)?;
    broker.check_epoch(place, asked.current_leader_epoch)?;
    Ok(place)
}

/// The first version that has a timestamp's meaning; `None` for one that no version has.
fn first_version(timestamp: i64) -> Option<i16> {
    match timestamp {
        MAX_TIMESTAMP => Some(7),
        EARLIEST_LOCAL => Some(8),
        LATEST_TIERED => Some(9),
        EARLIEST_PENDING_UPLOAD => Some(11),
        LATEST | EARLIEST | 0.. => Some(1),
        _ => None,
    }
}

fn find(replica: &Replica, timestamp: i64, isolation_level: i8) -> Looked {
    let visible = visible_end(replica, isolation_level);
    let at = |offset| Ready::Now(Ok((offset, -1, replica.role.leader_epoch)));
    match timestamp {
        LATEST => at(visible),
        EARLIEST | EARLIEST_LOCAL => at(replica.log().log_start_offset()),
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Ready::Now(Ok(NOTHING)),
        MAX_TIMESTAMP => by_time(replica, replica.log().offset_of_max_timestamp(), visible),
        timestamp => by_time(replica, replica.log().offset_for_timestamp(timestamp), visible),
    }
}

fn visible_end(replica: &Replica, isolation_level: i8) -> i64 {
    if isolation_level == READ_COMMITTED { replica.log().last_stable_offset() } else { replica.log().high_watermark() }
}

fn by_time(replica: &Replica, found: Result<Ready<Option<TimestampOffset>>, StorageError>, visible: i64) -> Looked {
    match found {
        Ok(found) => found.map(|found| match found {
            Some(found) if found.offset < visible => Ok((found.offset, found.timestamp_ms, found.leader_epoch)),
            _ => Ok(NOTHING),
        }),
        Err(error) => {
            tracing::error!(topic = %replica.topic, partition = replica.key.partition, %error, "look-up by timestamp failed");
            Ready::Now(Err(ErrorCode::KAFKA_STORAGE_ERROR))
        }
    }
}

#[cfg(test)]
mod tests {
    use ringlog_wire::messages::list_offsets::ListOffsetsTopic;

    use super::*;

    fn topic(name: &str, partitions: &[i32]) -> ListOffsetsTopic {
        let partition = |&partition_index: &i32| ListOffsetsPartition { partition_index, ..Default::default() };
        let partitions = partitions.iter().map(partition).collect();
        ListOffsetsTopic { name: name.to_owned(), partitions, ..Default::default() }
    }

    #[test]
    fn a_partition_named_twice_is_answered_once_as_an_invalid_request() {
        let topics = vec![topic("a", &[0, 1, 0]), topic("b", &[0, 2]), topic("a", &[1, 2]), topic("b", &[])];
        let request = ListOffsetsRequest { topics, ..Default::default() };
        let answers = answers(&request, |_, partition| Ok((i64::from(partition.partition_index) * 10, -1, 0)));
        let told = |topic: &ListOffsetsTopicResponse| -> Vec<_> {
            topic.partitions.iter().map(|one| (one.partition_index, one.error_code, one.offset)).collect()
        };
        let invalid = ErrorCode::INVALID_REQUEST.0;
        assert_eq!(answers.iter().map(|topic| topic.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(told(&answers[0]), [(0, invalid, -1), (1, invalid, -1), (2, 0, 20)]);
        assert_eq!(told(&answers[1]), [(0, 0, 0), (2, 0, 20)]);
    }

    #[test]
    fn a_special_timestamp_has_a_first_version_and_the_others_have_none() {
        let first: Vec<Option<i16>> = (-8..=1).map(first_version).collect();
        assert_eq!(first, [None, None, Some(11), Some(9), Some(8), Some(7), Some(1), Some(1), Some(1), Some(1)]);
    }
}
