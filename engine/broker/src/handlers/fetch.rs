//! Fetch: v4-18. Ranges of segments, by reference; waits until `min_bytes` are there or `max_wait_ms` passed.
//!
//! Limits, as Kafka's ReplicaManager reads them: at most `max_bytes` (and fetch.max.bytes) in all and
//! `partition_max_bytes` of one partition, but the first batch of the first partition that has one always goes out whole,
//! however large. Sessions (KIP-227) are in `fetch_session`. Versions: 12 current leader, 13 topic ids, 16 endpoints.

use ringlog_io::Nanos;
use ringlog_storage::{Isolation, LogRange, ReadError};
use ringlog_wire::messages::fetch::{
    AbortedTransaction, FetchRequest, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint,
    PartitionData,
};
use ringlog_wire::{ApiKey, ErrorCode, Records, Uuid};

use crate::broker::{Broker, Incoming, NotHere, Outcome, ReplyTo};
use crate::connection::Refused;
use crate::fetch_session::{FetchContext, FetchTarget};
use crate::handlers::Handler;
use crate::limits;
use crate::replicas::Place;
use crate::response::{Asked, Response};

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::Fetch, (4, 18), handle);

/// A fetch, and what it needs to be answered later.
#[derive(Debug)]
pub(crate) struct WaitingFetch {
    reply_to: ReplyTo,
    asked: Asked,
    context: FetchContext,
    isolation: Isolation,
    min_bytes: usize,
    max_bytes: usize,
}

/// What one partition has to say.
struct Answer {
    data: PartitionData,
    range: Option<LogRange>,
}

/// What all partitions have to say.
struct Answers {
    answers: Vec<Answer>,
    bytes: usize,
    has_error: bool,
}

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: FetchRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    let max_wait_ms = u64::try_from(request.max_wait_ms).unwrap_or(0);
    let mut fetch = match begin(broker, incoming, &request) {
        Ok(fetch) => fetch,
        Err(error) => {
            let body = FetchResponse { error_code: error.0, ..Default::default() };
            return Response::of(incoming.asked, &body).into();
        }
    };
    let answers = look(broker, &mut fetch);
    let enough = answers.bytes >= fetch.min_bytes || answers.has_error || fetch.context.is_empty();
    if enough || max_wait_ms == 0 || broker.fetches.len() >= limits::WAITING_FETCHES {
        return respond(broker, fetch, answers).map_or_else(Outcome::Refuse, Outcome::Reply);
    }
    let deadline = Nanos(broker.now.0 + max_wait_ms * 1_000_000);
    wait(broker, fetch, deadline, answers.bytes);
    Outcome::Later
}

fn begin(broker: &mut Broker, incoming: &Incoming, request: &FetchRequest) -> Result<WaitingFetch, ErrorCode> {
    let context = broker.sessions.begin(request, incoming.asked.api_version, broker.now)?;
    let max_bytes = usize::try_from(request.max_bytes).unwrap_or(0).min(broker.settings.fetch_max_bytes());
    Ok(WaitingFetch {
        reply_to: incoming.reply_to,
        asked: incoming.asked,
        context,
        isolation: if request.isolation_level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted },
        min_bytes: usize::try_from(request.min_bytes).unwrap_or(0).min(max_bytes),
        max_bytes,
    })
}

/// Lets the fetch wait on every partition it reads.
fn wait(broker: &mut Broker, fetch: WaitingFetch, deadline: Nanos, bytes_now: usize) {
    let places: Vec<Place> =
        fetch.context.targets().filter_map(|target| locate(broker, &target).ok().map(|(_, place)| place)).collect();
    let missing = fetch.min_bytes.saturating_sub(bytes_now).max(1);
    let id = broker.fetches.insert(fetch, deadline, missing);
    for place in places {
        broker.replicas.at_mut(place).waiters.push(id);
    }
}

/// Answers a fetch that waited: its bytes arrived, its time is over, or one of its partitions went away.
pub(crate) fn answer(broker: &mut Broker, mut fetch: WaitingFetch) {
    let answers = look(broker, &mut fetch);
    let reply_to = fetch.reply_to;
    let result = respond(broker, fetch, answers);
    broker.replies.push((reply_to, result));
}

/// Finds the partition that a fetch names.
fn locate(broker: &Broker, target: &FetchTarget<'_>) -> Result<(Uuid, Place), NotHere> {
    let by_id = target.by_id.then_some(target.topic_id);
    let topic = broker.topic(target.topic, by_id)?;
    Ok((topic.id, broker.place(topic, target.partition)?))
}

fn look(broker: &mut Broker, fetch: &mut WaitingFetch) -> Answers {
    let mut found = Answers { answers: Vec::with_capacity(fetch.context.len()), bytes: 0, has_error: false };
    for target in fetch.context.targets() {
        let room = fetch.max_bytes.saturating_sub(found.bytes);
        let answer = match read(broker, &target, fetch.isolation, room, found.bytes == 0) {
            Ok(answer) => answer,
            Err(not_here) => {
                found.has_error = true;
                Answer { data: refused(&target, not_here), range: None }
            }
        };
        found.bytes += answer.range.as_ref().map_or(0, |range| range.len);
        found.answers.push(answer);
    }
    found
}

fn refused(target: &FetchTarget<'_>, not_here: NotHere) -> PartitionData {
    let current_leader = not_here.leader.map_or_else(LeaderIdAndEpoch::default, |(leader_id, leader_epoch)| {
        LeaderIdAndEpoch { leader_id, leader_epoch, ..Default::default() }
    });
    PartitionData {
        partition_index: target.partition,
        error_code: not_here.error.0,
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        current_leader,
        records: Records::Outside(0),
        ..Default::default()
    }
}

fn read(
    broker: &Broker,
    target: &FetchTarget<'_>,
    isolation: Isolation,
    room: usize,
    whole_first_batch: bool,
) -> Result<Answer, NotHere> {
    let (_, place) = locate(broker, target)?;
    broker.check_epoch(place, target.current_leader_epoch)?;
    let log = &broker.replicas.at(place).log;
    let max_bytes = room.min(usize::try_from(target.max_bytes).unwrap_or(0));
    let range =
        log.read(target.fetch_offset, max_bytes, whole_first_batch, isolation).map_err(|error| match error {
            ReadError::OffsetOutOfRange { .. } => ErrorCode::OFFSET_OUT_OF_RANGE,
            error => {
                tracing::error!(topic = target.topic, partition = target.partition, %error, "read failed");
                ErrorCode::KAFKA_STORAGE_ERROR
            }
        })?;
    let aborted_transactions = match isolation {
        Isolation::ReadCommitted => Some(aborted(log, target.fetch_offset, &range)?),
        Isolation::ReadUncommitted | Isolation::LogEnd => None,
    };
    let data = PartitionData {
        partition_index: target.partition,
        high_watermark: log.high_watermark(),
        last_stable_offset: log.last_stable_offset(),
        log_start_offset: log.log_start_offset(),
        aborted_transactions,
        records: Records::Outside(range.len),
        ..Default::default()
    };
    Ok(Answer { data, range: (range.len > 0).then_some(range) })
}

fn aborted(
    log: &ringlog_storage::Partition,
    from: i64,
    range: &LogRange,
) -> Result<Vec<AbortedTransaction>, ErrorCode> {
    let found = log.aborted_transactions(from, range.upper_bound_offset).map_err(|_| ErrorCode::KAFKA_STORAGE_ERROR)?;
    Ok(found
        .into_iter()
        .map(|one| AbortedTransaction {
            producer_id: one.producer_id,
            first_offset: one.first_offset,
            ..Default::default()
        })
        .collect())
}

fn respond(broker: &mut Broker, mut fetch: WaitingFetch, found: Answers) -> Result<Response, Refused> {
    let mut body = FetchResponse { session_id: fetch.context.session_id(), ..Default::default() };
    let mut ranges = Vec::with_capacity(found.answers.len());
    for (index, answer) in found.answers.into_iter().enumerate() {
        if !fetch.context.should_include(index, &answer.data) {
            continue;
        }
        name_leader(broker, &answer.data, &mut body);
        let (topic, topic_id) = fetch.context.topic_of(index);
        if body.responses.last().is_none_or(|last| (last.topic.as_str(), last.topic_id) != (topic, topic_id)) {
            let topic = topic.to_owned();
            body.responses.push(FetchableTopicResponse { topic, topic_id, ..Default::default() });
        }
        ranges.push(answer.range);
        if let Some(last) = body.responses.last_mut() {
            last.partitions.push(answer.data);
        }
    }
    broker.sessions.finish(fetch.context);
    Response::with_records(fetch.asked, &body, ranges).map_err(Refused::Answer)
}

/// Tells where the leader is (KIP-951), once.
fn name_leader(broker: &Broker, data: &PartitionData, body: &mut FetchResponse) {
    let node_id = data.current_leader.leader_id;
    if node_id < 0 || body.node_endpoints.iter().any(|node| node.node_id == node_id) {
        return;
    }
    if let Some(node) = broker.image.broker(node_id) {
        body.node_endpoints.push(NodeEndpoint {
            node_id,
            host: node.host.clone(),
            port: i32::from(node.port),
            rack: node.rack.clone(),
            ..Default::default()
        });
    }
}
