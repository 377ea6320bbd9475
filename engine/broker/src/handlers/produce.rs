//! Produce: v3-13 (announced from 0). One record batch per partition, checked, staged, and written at the end of the turn
//! with what else came for its partition; after a job, where the topic keeps another codec. What is part of a transaction is
//! written when the partition is known to be part of it; from v12 on (KIP-890) its first batch makes it so.
//!
//! Versions: 7 zstd; 10 current leader on NOT_LEADER_OR_FOLLOWER (KIP-951); 13 topic ids. acks=0 has no answer; where it
//! fails the connection is closed, so that the client looks for the leader again (Kafka's KafkaApis).

use ringlog_io::Slice;
use ringlog_storage::{Appended, Origin};
use ringlog_wire::batch::{self, BatchError, RefusedRecords, Rules};
use ringlog_wire::messages::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceData, PartitionProduceResponse,
    ProduceRequest, ProduceResponse, TopicProduceData, TopicProduceResponse,
};
use ringlog_wire::{ApiKey, ErrorCode, Records};

use crate::broker::{Broker, Incoming, NotHere, Outcome, ReplyTo};
use crate::connection::Refused;
use crate::coordinator::transaction::Claim;
use crate::handlers::Handler;
use crate::metadata::image::{Topic, is_internal};
use crate::metrics::traffic::Traffic;
use crate::replica::{Staged, Ticket};
use crate::response::{Asked, Response};
use crate::throttle::Rate;
use crate::transaction_checks::{self, Held};

pub(crate) const HANDLER: Handler = Handler { announced_from: 0, ..Handler::new(ApiKey::Produce, (3, 13), handle) };

/// A produce request whose batches are on their way to the log.
#[derive(Debug)]
pub(crate) struct PendingProduce {
    reply_to: ReplyTo,
    asked: Asked,
    acks: i16,
    missing: usize,
    failed: bool,
    /// How many records may still be named that are not taken: a request takes less room than what could be said of it.
    nameable: usize,
    response: ProduceResponse,
    /// How many bytes it is, and who pays for them, where anybody has a quota.
    bytes: usize,
    payer: Option<String>,
}

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: ProduceRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    let number = broker.produces.vacant_key();
    let mut pending = PendingProduce {
        reply_to: incoming.reply_to,
        asked: incoming.asked,
        acks: request.acks,
        missing: 0,
        failed: false,
        nameable: RefusedRecords::NAMED_MAX,
        response: ProduceResponse::default(),
        bytes: incoming.frame.len(),
        payer: payer(broker, incoming),
    };
    for (index, topic) in request.topic_data.iter().enumerate() {
        stage_topic(broker, incoming, &request, topic, (number, index), &mut pending);
    }
    if pending.missing == 0 {
        return finish(broker, pending).map_or_else(Outcome::Refuse, Outcome::Reply);
    }
    broker.produces.insert(pending);
    Outcome::Later
}

fn stage_topic(
    broker: &mut Broker,
    incoming: &Incoming,
    request: &ProduceRequest,
    data: &TopicProduceData,
    (number, topic_index): (usize, usize),
    pending: &mut PendingProduce,
) {
    let by_id = (incoming.asked.api_version >= 13).then_some(data.topic_id);
    let topic = broker.topic(&data.name, by_id).cloned().map_err(NotHere::from);
    let mut partition_responses = Vec::with_capacity(data.partition_data.len());
    for (index, partition) in data.partition_data.iter().enumerate() {
        let ticket = Ticket::Produce { request: number, topic: topic_index, partition: index };
        let staged = match &topic {
            Ok(topic) => stage(broker, incoming, request, topic, partition, ticket),
            Err(not_here) => Err(Refusal::from(*not_here)),
        };
        partition_responses.push(match staged {
            Ok(()) => {
                pending.missing += 1;
                PartitionProduceResponse { index: partition.index, ..Default::default() }
            }
            Err(refusal) => {
                pending.failed = true;
                count_refused(broker, topic.as_deref().ok(), partition.index);
                refused(broker, partition.index, refusal, pending)
            }
        });
    }
    pending.response.responses.push(TopicProduceResponse {
        name: data.name.clone(),
        topic_id: data.topic_id,
        partition_responses,
        ..Default::default()
    });
}

/// Counts a batch that was not staged.
fn count_refused(broker: &Broker, topic: Option<&Topic>, partition: i32) {
    let refused = |traffic: &mut Traffic| {
        traffic.produces += 1;
        traffic.failed_produces += 1;
    };
    match topic.and_then(|topic| broker.place(topic, partition).ok()) {
        Some(place) => broker.replicas.at(place).note(refused),
        None => broker.replicas.note_elsewhere(refused),
    }
}

/// Why a partition's batch was not taken.
#[derive(Debug)]
struct Refusal {
    not_here: NotHere,
    message: Option<String>,
    /// The records to blame, where Kafka names them.
    records: Vec<BatchIndexAndErrorMessage>,
    /// Where the log begins, where Kafka says it in a refusal.
    log_start_offset: Option<i64>,
}

impl From<NotHere> for Refusal {
    fn from(not_here: NotHere) -> Self {
        Self { not_here, message: None, records: Vec::new(), log_start_offset: None }
    }
}

impl From<ErrorCode> for Refusal {
    fn from(error: ErrorCode) -> Self {
        Self::from(NotHere::from(error))
    }
}

impl Refusal {
    /// Of a batch that did not pass. As in Kafka the log's start stands beside it, but where the batch is too large or damaged.
    fn of(error: &BatchError, log_start_offset: i64) -> Self {
        let named = error.refused_records().iter().map(|(batch_index, refusal)| BatchIndexAndErrorMessage {
            batch_index: *batch_index,
            batch_index_error_message: Some(refusal.to_string()),
            ..Default::default()
        });
        let code = error.code();
        let is_plain = matches!(code, ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::CORRUPT_MESSAGE);
        Self {
            not_here: code.into(),
            message: Some(error.to_string()),
            records: named.collect(),
            log_start_offset: (!is_plain).then_some(log_start_offset),
        }
    }
}

fn stage(
    broker: &mut Broker,
    incoming: &Incoming,
    request: &ProduceRequest,
    topic: &Topic,
    data: &PartitionProduceData,
    ticket: Ticket,
) -> Result<(), Refusal> {
    let acks = request.acks;
    if !matches!(acks, -1..=1) {
        return Err(ErrorCode::INVALID_REQUIRED_ACKS.into());
    }
    if is_internal(&topic.name) {
        return Err(ErrorCode::INVALID_TOPIC_EXCEPTION.into());
    }
    let place = broker.place(topic, data.index)?;
    if acks == -1 && broker.replicas.at(place).role.in_sync_replicas_missing > 0 {
        return Err(ErrorCode::NOT_ENOUGH_REPLICAS.into());
    }
    let bytes = match &data.records {
        Records::At(range) => incoming.frame.slice(range.clone()),
        _ => Slice::from(Vec::new()),
    };
    let replica = broker.replicas.at(place);
    let rules_of_topic = &replica.role.rules;
    let rules = Rules {
        zstd_allowed: incoming.asked.api_version >= 7,
        inflated_len_max: rules_of_topic
            .inflated_len_max
            .min(broker.budget.inflated_len_max(rules_of_topic.compression.is_some())),
        ..*rules_of_topic
    };
    let validated = batch::validate(&bytes, &rules, broker.wall_ms, &mut broker.scratch)
        .map_err(|error| Refusal::of(&error, replica.log().log_start_offset()))?;
    let header = validated.header;
    let staged = Staged { validated, bytes, origin: Origin::Client, ticket };
    if !header.is_transactional() {
        broker.replicas.at(place).note(|traffic| traffic.produces += 1);
        broker.replicas.stage(place, staged);
        return Ok(());
    }
    let transactional_id = request.transactional_id.clone().filter(|id| !id.is_empty());
    let transactional_id = transactional_id.ok_or(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED)?;
    broker.replicas.at(place).note(|traffic| traffic.produces += 1);
    let (producer_id, producer_epoch) = (header.producer_id, header.producer_epoch);
    let is_tv2 = incoming.asked.api_version >= transaction_checks::PRODUCE_TV2_FROM;
    let staged = Staged { origin: if is_tv2 { Origin::ClientTv2 } else { Origin::Client }, ..staged };
    let claim = Claim { transactional_id, producer_id, producer_epoch, is_tv2 };
    transaction_checks::admit(broker, place, claim, Held::Batch(staged, incoming.asked.api_version));
    Ok(())
}

fn refused(broker: &Broker, index: i32, refusal: Refusal, pending: &mut PendingProduce) -> PartitionProduceResponse {
    let current_leader = refusal.not_here.leader.map_or_else(LeaderIdAndEpoch::default, |(leader_id, leader_epoch)| {
        name_leader(broker, leader_id, &mut pending.response);
        LeaderIdAndEpoch { leader_id, leader_epoch, ..Default::default() }
    });
    let mut record_errors = refusal.records;
    record_errors.truncate(pending.nameable);
    pending.nameable -= record_errors.len();
    PartitionProduceResponse {
        index,
        error_code: refusal.not_here.error.0,
        base_offset: -1,
        log_start_offset: refusal.log_start_offset.unwrap_or(-1),
        record_errors,
        error_message: refusal.message,
        current_leader,
        ..Default::default()
    }
}

/// Tells where the leader is (KIP-951), once.
fn name_leader(broker: &Broker, node_id: i32, response: &mut ProduceResponse) {
    if response.node_endpoints.iter().any(|node| node.node_id == node_id) {
        return;
    }
    if let Some(node) = broker.image.broker(node_id) {
        response.node_endpoints.push(NodeEndpoint {
            node_id,
            host: node.host.clone(),
            port: i32::from(node.port),
            rack: node.rack.clone(),
            ..Default::default()
        });
    }
}

/// A batch of a pending request reached the log, or did not.
pub(crate) fn settle(
    broker: &mut Broker,
    request: usize,
    (topic, partition): (usize, usize),
    log_start_offset: i64,
    result: Result<Appended, ErrorCode>,
) {
    let Some(pending) = broker.produces.get_mut(request) else { return };
    let answer = &mut pending.response.responses[topic].partition_responses[partition];
    match result {
        Ok(appended) => {
            answer.base_offset = appended.base_offset;
            answer.log_append_time_ms = appended.log_append_time_ms;
            answer.log_start_offset = log_start_offset;
        }
        Err(error) => {
            pending.failed = true;
            answer.error_code = error.0;
            answer.base_offset = -1;
        }
    }
    pending.missing -= 1;
    if pending.missing == 0 {
        let pending = broker.produces.remove(request);
        let reply_to = pending.reply_to;
        let result = finish(broker, pending);
        broker.replies.push((reply_to, result));
    }
}

fn payer(broker: &Broker, incoming: &Incoming) -> Option<String> {
    (!broker.throttle.is_idle()).then(|| incoming.client_id.clone().unwrap_or_default())
}

/// How long its connection is held back: for its quota, or for the disk.
fn throttle_ms(broker: &mut Broker, pending: &PendingProduce) -> u32 {
    let (bytes, now) = (pending.bytes, broker.now);
    let of_quota = pending.payer.as_ref().map_or(0, |payer| broker.throttle.charge(Rate::Produce, payer, bytes, now));
    of_quota.max(broker.writebacks.charge(bytes, now))
}

fn finish(broker: &mut Broker, mut pending: PendingProduce) -> Result<Response, Refused> {
    let throttle_ms = throttle_ms(broker, &pending).max(pending.asked.wait_ms);
    pending.response.throttle_time_ms = i32::try_from(throttle_ms).unwrap_or(i32::MAX);
    let response = match (pending.acks, pending.failed) {
        (0, true) => return Err(Refused::UnacknowledgedProduce(first_error(&pending.response))),
        (0, false) => Response::default(),
        _ => Response::of(pending.asked, &pending.response).map_err(Refused::Answer)?,
    };
    Ok(response.at_least_held_back(throttle_ms))
}

fn first_error(response: &ProduceResponse) -> &'static str {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    partitions
        .map(|partition| ErrorCode(partition.error_code))
        .find(|error| *error != ErrorCode::NONE)
        .unwrap_or(ErrorCode::NONE)
        .name()
}
