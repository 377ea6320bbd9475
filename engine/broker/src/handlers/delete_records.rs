//! DeleteRecords: v0-2. The log start offset moves forward, to the high watermark at most (-1 asks for that); readers find
//! what is below out of range, and segments that lie below wholly go. The answer waits until the checkpoint file says so on
//! the disk: what was deleted stays deleted, whatever happens (Kafka answers before, and a crash within the minute brings the
//! records back). `timeout_ms` is how long followers may take, and nobody follows: with a timeout of 0, too, the answer is what
//! became of the deletion.
//!
//! | partition (ReplicaManager.deleteRecordsOnLocalLog, Partition.deleteRecordsOnLeader) | answer |
//! |---|---|
//! | of an internal topic | INVALID_TOPIC_EXCEPTION |
//! | not there, not led here | UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER |
//! | of a topic that is compacted and keeps everything | POLICY_VIOLATION |
//! | an offset above the high watermark, or below -1 | OFFSET_OUT_OF_RANGE |
//! | an offset below the log start | the log start, as it is |
//! | its start could not be noted | KAFKA_STORAGE_ERROR |

use ringlog_wire::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};
use ringlog_wire::{ApiKey, ErrorCode};

use crate::broker::{Broker, Incoming, NotHere, Outcome, ReplyTo};
use crate::handlers::Handler;
use crate::metadata::image::is_internal;
use crate::replica::PartitionKey;
use crate::response::{Asked, Response};
use crate::retention;

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::DeleteRecords, (0, 2), handle);

/// Asks for the high watermark (`DeleteRecordsRequest.HIGH_WATERMARK`).
const HIGH_WATERMARK: i64 = -1;

/// Requests whose log starts are not in the checkpoint file yet. A connection has one of them at a time.
#[derive(Debug, Default)]
pub(crate) struct Deletions {
    waiting: Vec<Deletion>,
}

#[derive(Debug)]
struct Deletion {
    reply_to: ReplyTo,
    asked: Asked,
    answer: DeleteRecordsResponse,
    /// Which log starts it waits for: partition, offset, and the places of its answer.
    missing: Vec<(PartitionKey, i64, (usize, usize))>,
}

impl Deletions {
    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: DeleteRecordsRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    let (mut answer, mut missing) = (DeleteRecordsResponse::default(), Vec::new());
    for (t, topic) in request.topics.iter().enumerate() {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for (p, partition) in topic.partitions.iter().enumerate() {
            let (low_watermark, error) = match delete(broker, &topic.name, partition) {
                Ok((key, low_watermark)) => {
                    if retention::note_start(broker, key) {
                        missing.push((key, low_watermark, (t, p)));
                    }
                    (low_watermark, ErrorCode::NONE)
                }
                Err(error) => (-1, error),
            };
            partitions.push(answered(partition.partition_index, low_watermark, error));
        }
        let name = topic.name.clone();
        answer.topics.push(DeleteRecordsTopicResult { name, partitions, ..Default::default() });
    }
    if missing.is_empty() {
        return Response::of(incoming.asked, &answer).into();
    }
    let (reply_to, asked) = (incoming.reply_to, incoming.asked);
    broker.deletions.waiting.push(Deletion { reply_to, asked, answer, missing });
    Outcome::Later
}

fn answered(partition_index: i32, low_watermark: i64, error: ErrorCode) -> DeleteRecordsPartitionResult {
    DeleteRecordsPartitionResult { partition_index, low_watermark, error_code: error.0, ..Default::default() }
}

/// Moves the start of one log. Gives where it begins.
fn delete(broker: &mut Broker, topic: &str, asked: &DeleteRecordsPartition) -> Result<(PartitionKey, i64), ErrorCode> {
    if is_internal(topic) {
        return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
    }
    let topic = broker.topic(topic, None)?;
    let place = broker.place(topic, asked.partition_index).map_err(|NotHere { error, .. }| error)?;
    let replica = broker.replicas.at_mut(place);
    let (key, config) = (replica.key, replica.log().config());
    if config.compact && !config.delete {
        return Err(ErrorCode::POLICY_VIOLATION);
    }
    let before = if asked.offset == HIGH_WATERMARK { replica.log().high_watermark() } else { asked.offset };
    replica.delete_before(before, &mut broker.news).map_err(|error| error.error_code())?;
    let low_watermark = replica.log().log_start_offset();
    retention::enqueue(broker, key);
    Ok((key, low_watermark))
}

/// The checkpoint file says that a log begins at this offset, or could not be written.
pub(crate) fn kept(broker: &mut Broker, key: PartitionKey, log_start_offset: i64, is_well: bool) {
    for deletion in &mut broker.deletions.waiting {
        let Deletion { answer, missing, .. } = deletion;
        missing.retain(|(missing, offset, place)| {
            let is_meant = *missing == key && (*offset <= log_start_offset || !is_well);
            if is_meant && !is_well {
                refuse(answer, *place, ErrorCode::KAFKA_STORAGE_ERROR);
            }
            !is_meant
        });
    }
    answer_ready(broker);
}

fn refuse(answer: &mut DeleteRecordsResponse, (topic, partition): (usize, usize), error: ErrorCode) {
    let result = &mut answer.topics[topic].partitions[partition];
    *result = answered(result.partition_index, -1, error);
}

fn answer_ready(broker: &mut Broker) {
    let ready: Vec<Deletion> =
        broker.deletions.waiting.extract_if(.., |deletion| deletion.missing.is_empty()).collect();
    ready.iter().for_each(|deletion| broker.reply(deletion.reply_to, deletion.asked, &deletion.answer));
}
