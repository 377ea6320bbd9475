//! Partitions in memory: Produce with its mishaps, ListOffsets, Fetch.

use ringlog_wire::batch::BatchHeader;
use ringlog_wire::messages::fetch::{FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData};
use ringlog_wire::messages::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use ringlog_wire::messages::produce::{
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use ringlog_wire::{ErrorCode, Records};

use super::{Mishap, SILENT, State, TOPIC, TOPIC_ID};

#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) bytes: Vec<u8>,
    pub(crate) next_offset: i64,
    /// Sequences that were seen, with their base offset.
    seen: Vec<((i16, i32), i64)>,
    next_sequence: (i16, i32),
}

pub(super) fn produce(request: &ProduceRequest, frame: &[u8], state: &mut State) -> Option<ProduceResponse> {
    let mishap = state.mishaps.pop_front().unwrap_or(Mishap::None);
    if mishap == Mishap::Hangup {
        return None;
    }
    if mishap == Mishap::Silence {
        return Some(ProduceResponse { throttle_time_ms: SILENT, ..Default::default() });
    }
    let mut responses = Vec::new();
    for topic in &request.topic_data {
        let mut partition_responses = Vec::new();
        for data in &topic.partition_data {
            let (error, base_offset) = match mishap {
                Mishap::Error(error) => (error, -1),
                _ => append(&mut state.logs[usize::try_from(data.index).unwrap()], data.records.bytes(frame).unwrap()),
            };
            partition_responses.push(PartitionProduceResponse {
                index: data.index,
                error_code: error.0,
                base_offset,
                ..Default::default()
            });
        }
        let (name, topic_id) = (topic.name.clone(), topic.topic_id);
        responses.push(TopicProduceResponse { name, topic_id, partition_responses, ..Default::default() });
    }
    let throttle_time_ms = state.throttle_ms;
    (mishap != Mishap::HangupAfterAppend).then(|| ProduceResponse { responses, throttle_time_ms, ..Default::default() })
}

fn append(log: &mut Log, batch: &[u8]) -> (ErrorCode, i64) {
    let mut header = BatchHeader::parse(batch).unwrap();
    let sequence = (header.producer_epoch, header.base_sequence);
    if header.has_producer_id() {
        if let Some((_, offset)) = log.seen.iter().find(|(seen, _)| *seen == sequence) {
            return (ErrorCode::NONE, *offset);
        }
        if sequence.0 > log.next_sequence.0 {
            log.next_sequence = (sequence.0, 0);
        }
        if sequence != log.next_sequence {
            return (ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
        }
        log.next_sequence.1 += header.record_count;
        log.seen.push((sequence, log.next_offset));
    }
    let base_offset = log.next_offset;
    header.base_offset = base_offset;
    log.bytes.extend_from_slice(&header.to_bytes());
    log.bytes.extend_from_slice(&batch[ringlog_wire::batch::HEADER_LEN..]);
    log.next_offset = header.next_offset();
    (ErrorCode::NONE, base_offset)
}

pub(super) fn list_offsets(request: &ListOffsetsRequest, state: &State) -> ListOffsetsResponse {
    let mut topics = Vec::new();
    for topic in &request.topics {
        let partition =
            |one: &ringlog_wire::messages::list_offsets::ListOffsetsPartition| ListOffsetsPartitionResponse {
                partition_index: one.partition_index,
                offset: if one.timestamp == -2 {
                    0
                } else {
                    state.logs[usize::try_from(one.partition_index).unwrap()].next_offset
                },
                ..Default::default()
            };
        let partitions = topic.partitions.iter().map(partition).collect();
        topics.push(ListOffsetsTopicResponse { name: topic.name.clone(), partitions, ..Default::default() });
    }
    ListOffsetsResponse { topics, ..Default::default() }
}

/// Keeps one session, number 5, and answers with everything from the offset on (a few batches at a time).
pub(super) fn fetch(request: &FetchRequest, state: &mut State, records: &mut Vec<Vec<u8>>) -> FetchResponse {
    if request.session_epoch <= 0 {
        state.fetched.clear();
    }
    for topic in &request.forgotten_topics_data {
        state.fetched.retain(|(partition, _)| !topic.partitions.contains(partition));
    }
    for partition in request.topics.iter().flat_map(|topic| &topic.partitions) {
        state.fetched.retain(|(other, _)| *other != partition.partition);
        state.fetched.push((partition.partition, partition.fetch_offset));
    }
    let mut partitions = Vec::new();
    for (partition, offset) in &state.fetched {
        let bytes = from(&state.logs[usize::try_from(*partition).unwrap()], *offset);
        if !bytes.is_empty() {
            let data = Records::Outside(bytes.len());
            records.push(bytes);
            partitions.push(PartitionData { partition_index: *partition, records: data, ..Default::default() });
        }
    }
    let topic = FetchableTopicResponse { topic: TOPIC.into(), topic_id: TOPIC_ID, partitions, ..Default::default() };
    let session_id = if request.session_epoch < 0 { 0 } else { 5 };
    let responses = if topic.partitions.is_empty() { Vec::new() } else { vec![topic] };
    FetchResponse { session_id, responses, throttle_time_ms: state.throttle_ms, ..Default::default() }
}

/// The batch that holds the offset, two more, and a piece of the next.
fn from(log: &Log, offset: i64) -> Vec<u8> {
    let mut at = 0;
    while at < log.bytes.len() {
        let header = BatchHeader::parse(&log.bytes[at..]).unwrap();
        if header.next_offset() > offset {
            break;
        }
        at += header.total_len();
    }
    let mut end = at;
    for _ in 0..3 {
        end += BatchHeader::parse(&log.bytes[end..]).map_or(0, |header| header.total_len());
    }
    log.bytes[at..(end + 20).min(log.bytes.len())].to_vec()
}
