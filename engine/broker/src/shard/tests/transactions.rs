//! Transactions through a shard: what is written is seen when it is committed, and what is left when somebody goes in the middle.

use std::rc::Rc;

use ringlog_io::sim::SimFiles;
use ringlog_wire::ErrorCode;
use ringlog_wire::batch::BatchBuilder;
use ringlog_wire::compression::Scratch;
use ringlog_wire::messages::add_offsets_to_txn::AddOffsetsToTxnRequest;
use ringlog_wire::messages::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, AddPartitionsToTxnTopic,
};
use ringlog_wire::messages::end_txn::EndTxnRequest;
use ringlog_wire::messages::fetch::FetchRequest;
use ringlog_wire::messages::init_producer_id::InitProducerIdRequest;
use ringlog_wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use ringlog_wire::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use ringlog_wire::messages::produce::ProduceRequest;
use ringlog_wire::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ringlog_wire::messages::write_txn_markers::{WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest};

use super::rig::{ClientId, FETCH_VERSION, PRODUCE_VERSION, Rig, fetch, produce_of};

pub(super) const SETTINGS: [(&str, &str); 2] =
    [("offsets.topic.num.partitions", "1"), ("transaction.state.log.num.partitions", "1")];
pub(super) const ID: &str = "tx";
pub(super) const GROUP: &str = "g";

pub(super) type Producer = (i64, i16);

/// A shard with the coordinators' topics and a topic of one partition.
pub(super) fn rig(configs: &[(&str, &str)]) -> (Rig, ClientId) {
    let mut rig = Rig::new(&SETTINGS);
    let client = rig.connect();
    for (name, configs) in [("t", configs), ("__consumer_offsets", &[]), ("__transaction_state", &[])] {
        rig.create_topic(client, name, 1, configs);
    }
    (rig, client)
}

pub(super) fn init(rig: &mut Rig, client: ClientId) -> Producer {
    let answer = rig.ask(client, 4, &initiation());
    assert_eq!(answer.error_code, 0);
    (answer.producer_id, answer.producer_epoch)
}

pub(super) fn initiation() -> InitProducerIdRequest {
    let transactional_id = Some(ID.to_owned());
    InitProducerIdRequest { transactional_id, transaction_timeout_ms: 60_000, ..Default::default() }
}

pub(super) fn add(rig: &mut Rig, client: ClientId, producer: Producer) -> ErrorCode {
    added(&rig.ask(client, 3, &addition(producer, &[0])))
}

/// Partitions of topic `t`, to be part of a transaction.
pub(super) fn addition((id, epoch): Producer, partitions: &[i32]) -> AddPartitionsToTxnRequest {
    let topic = AddPartitionsToTxnTopic { name: "t".to_owned(), partitions: partitions.to_vec(), ..Default::default() };
    AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: ID.to_owned(),
        v3_and_below_producer_id: id,
        v3_and_below_producer_epoch: epoch,
        v3_and_below_topics: vec![topic],
        ..Default::default()
    }
}

/// What became of the first of them.
pub(super) fn added(answer: &AddPartitionsToTxnResponse) -> ErrorCode {
    ErrorCode(answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code)
}

pub(super) fn end(rig: &mut Rig, client: ClientId, producer: Producer, committed: bool) -> ErrorCode {
    ErrorCode(rig.ask(client, 3, &ending(producer, committed)).error_code)
}

pub(super) fn ending((producer_id, producer_epoch): Producer, committed: bool) -> EndTxnRequest {
    let transactional_id = ID.to_owned();
    EndTxnRequest { transactional_id, producer_id, producer_epoch, committed, ..Default::default() }
}

/// A batch of a transaction with this sequence number.
pub(super) fn produce(rig: &mut Rig, client: ClientId, producer: Producer, sequence: i32) -> ErrorCode {
    rig.send(client, &[production(producer, 0, sequence)]);
    let answer = rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).expect("an answer");
    ErrorCode(answer.responses[0].partition_responses[0].error_code)
}

/// The same as a frame, for a partition.
pub(super) fn production(producer: Producer, partition: i32, sequence: i32) -> Vec<u8> {
    produce_of(Some(ID), "t", partition, -1, &batch(producer, sequence))
}

/// One record.
pub(super) fn batch((id, epoch): Producer, sequence: i32) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.set_producer(id, epoch, sequence).set_transactional(true);
    builder.append(1_700_000_000_000, None, Some(b"value"), &[]);
    builder.finish(&mut Scratch::default()).unwrap();
    builder.take()
}

/// The last stable offset, and the high watermark.
pub(super) fn ends(rig: &mut Rig, client: ClientId) -> (i64, i64) {
    let mut latest = |isolation_level| end_of(&rig.ask(client, 5, &latest_of(0, isolation_level)));
    (latest(1), latest(0))
}

/// Where a partition ends for readers of this isolation level.
pub(super) fn latest_of(partition_index: i32, isolation_level: i8) -> ListOffsetsRequest {
    let partition = ListOffsetsPartition { partition_index, timestamp: -1, ..Default::default() };
    let topics = vec![ListOffsetsTopic { name: "t".to_owned(), partitions: vec![partition], ..Default::default() }];
    ListOffsetsRequest { replica_id: -1, isolation_level, topics, ..Default::default() }
}

pub(super) fn end_of(answer: &ListOffsetsResponse) -> i64 {
    answer.topics[0].partitions[0].offset
}

/// What a group committed; whoever must not see what is not decided is told that it is not.
pub(super) fn committed(rig: &mut Rig, client: ClientId) -> (ErrorCode, i64) {
    let topic = OffsetFetchRequestTopics { name: "t".to_owned(), partition_indexes: vec![0], ..Default::default() };
    let group = OffsetFetchRequestGroup { group_id: GROUP.to_owned(), topics: Some(vec![topic]), ..Default::default() };
    let request = OffsetFetchRequest { groups: vec![group], require_stable: true, ..Default::default() };
    let answer = rig.ask(client, 8, &request);
    let partition = &answer.groups[0].topics[0].partitions[0];
    (ErrorCode(partition.error_code), partition.committed_offset)
}

pub(super) fn commit_offset(rig: &mut Rig, client: ClientId, producer: Producer, offset: i64) -> ErrorCode {
    commit_offset_in(3, rig, client, producer, offset)
}

pub(super) fn commit_offset_in(
    version: i16,
    rig: &mut Rig,
    client: ClientId,
    (producer_id, producer_epoch): Producer,
    offset: i64,
) -> ErrorCode {
    let partition = TxnOffsetCommitRequestPartition { committed_offset: offset, ..Default::default() };
    let topic = TxnOffsetCommitRequestTopic { name: "t".to_owned(), partitions: vec![partition], ..Default::default() };
    let request = TxnOffsetCommitRequest {
        transactional_id: ID.to_owned(),
        group_id: GROUP.to_owned(),
        producer_id,
        producer_epoch,
        topics: vec![topic],
        ..Default::default()
    };
    ErrorCode(rig.ask(client, version, &request).topics[0].partitions[0].error_code)
}

fn add_offsets(rig: &mut Rig, client: ClientId, (producer_id, producer_epoch): Producer) -> ErrorCode {
    let (transactional_id, group_id) = (ID.to_owned(), GROUP.to_owned());
    let request =
        AddOffsetsToTxnRequest { transactional_id, producer_id, producer_epoch, group_id, ..Default::default() };
    ErrorCode(rig.ask(client, 3, &request).error_code)
}

#[test]
fn readers_of_committed_data_see_a_transaction_when_it_has_ended_and_what_was_aborted_is_named() {
    let (mut rig, client) = rig(&[]);
    let producer = init(&mut rig, client);
    for (round, is_commit) in [(0, true), (1, false)] {
        assert_eq!(add(&mut rig, client, producer), ErrorCode::NONE);
        assert_eq!(produce(&mut rig, client, producer, round), ErrorCode::NONE);
        let begin = i64::from(round) * 2;
        assert_eq!(ends(&mut rig, client), (begin, begin + 1));
        assert_eq!(end(&mut rig, client, producer, is_commit), ErrorCode::NONE);
        assert_eq!(ends(&mut rig, client), (begin + 2, begin + 2), "a record and its marker");
    }
    let request = FetchRequest { isolation_level: 1, ..fetch("t", 0..1, 0, 1) };
    let answer = rig.ask(client, FETCH_VERSION, &request);
    let aborted = answer.responses[0].partitions[0].aborted_transactions.clone().unwrap();
    assert_eq!((aborted.len(), aborted[0].producer_id, aborted[0].first_offset), (1, producer.0, 2));
}

#[test]
fn a_batch_of_a_partition_that_is_in_no_transaction_is_refused_and_opens_none() {
    let (mut rig, client) = rig(&[]);
    let producer = init(&mut rig, client);
    assert_eq!(produce(&mut rig, client, producer, 0), ErrorCode::INVALID_TXN_STATE);
    add(&mut rig, client, producer);
    assert_eq!(produce(&mut rig, client, (producer.0, producer.1 + 1), 0), ErrorCode::INVALID_PRODUCER_EPOCH);
    assert_eq!(produce(&mut rig, client, producer, 0), ErrorCode::NONE);
    end(&mut rig, client, producer, true);
    // One that was on its way for too long would stand open for ever.
    assert_eq!(produce(&mut rig, client, producer, 1), ErrorCode::INVALID_TXN_STATE);
    assert_eq!(commit_offset(&mut rig, client, producer, 5), ErrorCode::INVALID_TXN_STATE);
    assert_eq!(ends(&mut rig, client), (2, 2));
}

#[test]
fn a_producer_that_was_fenced_writes_nothing_more() {
    let (mut rig, client) = rig(&[]);
    let old = init(&mut rig, client);
    add(&mut rig, client, old);
    assert_eq!(produce(&mut rig, client, old, 0), ErrorCode::NONE);
    let transactional_id = Some(ID.to_owned());
    let request = InitProducerIdRequest { transactional_id, transaction_timeout_ms: 60_000, ..Default::default() };
    assert_eq!(rig.ask(client, 4, &request).error_code, ErrorCode::CONCURRENT_TRANSACTIONS.0);
    let new = init(&mut rig, client);
    assert_eq!(new, (old.0, old.1 + 2));
    assert_eq!(ends(&mut rig, client), (2, 2), "the transaction that was open is aborted");
    assert_eq!(produce(&mut rig, client, old, 1), ErrorCode::INVALID_PRODUCER_EPOCH);
    assert_eq!(add(&mut rig, client, old), ErrorCode::PRODUCER_FENCED);
    assert_eq!(end(&mut rig, client, old, true), ErrorCode::PRODUCER_FENCED);
    assert_eq!(ends(&mut rig, client), (2, 2));
}

#[test]
fn offsets_of_a_transaction_count_when_it_is_committed_and_are_forgotten_when_it_is_aborted() {
    let (mut rig, client) = rig(&[]);
    let producer = init(&mut rig, client);
    for (offset, is_commit, then) in [(7, true, 7), (9, false, 7)] {
        let before = committed(&mut rig, client);
        assert_eq!(add_offsets(&mut rig, client, producer), ErrorCode::NONE);
        assert_eq!(commit_offset(&mut rig, client, producer, offset), ErrorCode::NONE);
        assert_eq!(committed(&mut rig, client).0, ErrorCode::UNSTABLE_OFFSET_COMMIT, "{before:?}");
        assert_eq!(end(&mut rig, client, producer, is_commit), ErrorCode::NONE);
        assert_eq!(committed(&mut rig, client), (ErrorCode::NONE, then));
    }
}

#[test]
fn a_transaction_that_nobody_ends_is_aborted_when_its_time_is_over() {
    let (mut rig, client) = rig(&[]);
    let producer = init(&mut rig, client);
    add(&mut rig, client, producer);
    produce(&mut rig, client, producer, 0);
    rig.pass_ms(50_000);
    assert_eq!(ends(&mut rig, client), (0, 1));
    rig.pass_ms(30_000);
    assert_eq!(ends(&mut rig, client), (2, 2));
    assert_eq!(end(&mut rig, client, producer, true), ErrorCode::PRODUCER_FENCED);
}

/// The disk of a broker that is gone while the marker of a decided transaction was being written.
fn killed_between_prepare_and_complete(is_commit: bool) -> (Rc<SimFiles>, Producer) {
    let (mut rig, client) = rig(&[("flush.messages", "1")]);
    let producer = init(&mut rig, client);
    add(&mut rig, client, producer);
    assert_eq!(produce(&mut rig, client, producer, 0), ErrorCode::NONE);
    add_offsets(&mut rig, client, producer);
    assert_eq!(commit_offset(&mut rig, client, producer, 7), ErrorCode::NONE);
    rig.holds_syncs = true;
    assert_eq!(end(&mut rig, client, producer, is_commit), ErrorCode::NONE, "it is decided");
    assert_eq!(ends(&mut rig, client), (0, 1), "the marker waits for the disk");
    (Rc::clone(&rig.files), producer)
}

#[test]
fn what_was_decided_before_a_kill_is_carried_out_after_it() {
    for (is_commit, offset) in [(true, 7), (false, -1)] {
        let (files, producer) = killed_between_prepare_and_complete(is_commit);
        let mut rig = Rig::on(files, &SETTINGS);
        let client = rig.connect();
        rig.pass_ms(1_000);
        let (stable, visible) = ends(&mut rig, client);
        assert!(stable == visible && visible >= 2, "{stable} of {visible}");
        assert_eq!(committed(&mut rig, client), (ErrorCode::NONE, offset));
        assert_eq!(end(&mut rig, client, producer, !is_commit), ErrorCode::INVALID_TXN_STATE);
        assert_eq!(end(&mut rig, client, producer, is_commit), ErrorCode::NONE);
        assert_eq!(add(&mut rig, client, producer), ErrorCode::NONE, "the next transaction");
        assert_eq!(produce(&mut rig, client, producer, 1), ErrorCode::NONE);
        assert_eq!(ends(&mut rig, client).0, stable);
    }
}

#[test]
fn a_produce_request_with_a_batch_of_a_transaction_names_the_id_of_one() {
    let (mut rig, client) = rig(&[]);
    let mut builder = BatchBuilder::new();
    builder.set_producer(1, 0, 0).set_transactional(true);
    builder.append(1_700_000_000_000, None, Some(b"value"), &[]);
    builder.finish(&mut Scratch::default()).unwrap();
    rig.send(client, &[produce_of(None, "t", 0, -1, &builder.take())]);
    let answer = rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).expect("an answer");
    let refused = ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED.0;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, refused);
}

#[test]
fn markers_of_a_request_end_what_they_name_and_are_answered_together() {
    let (mut rig, client) = rig(&[]);
    let (producer_id, producer_epoch) = init(&mut rig, client);
    add(&mut rig, client, (producer_id, producer_epoch));
    produce(&mut rig, client, (producer_id, producer_epoch), 0);
    let topic = |name: &str, partition_indexes: &[i32]| WritableTxnMarkerTopic {
        name: name.to_owned(),
        partition_indexes: partition_indexes.to_vec(),
        ..Default::default()
    };
    let marker = |topics: Vec<WritableTxnMarkerTopic>, producer_epoch| WritableTxnMarker {
        producer_id,
        producer_epoch,
        topics,
        ..Default::default()
    };
    let old = marker(vec![topic("t", &[0])], producer_epoch - 1);
    let good = marker(vec![topic("t", &[0, 5]), topic("gone", &[1])], producer_epoch);
    let request = WriteTxnMarkersRequest { markers: vec![old, good], ..Default::default() };
    let answer = rig.ask(client, 1, &request);
    let codes: Vec<Vec<i16>> = answer
        .markers
        .iter()
        .map(|one| one.topics.iter().flat_map(|topic| topic.partitions.iter().map(|one| one.error_code)).collect())
        .collect();
    let (fenced, unknown) = (ErrorCode::INVALID_PRODUCER_EPOCH.0, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0);
    assert_eq!(codes, [vec![fenced], vec![0, unknown, unknown]]);
    assert_eq!(ends(&mut rig, client), (2, 2));
    let empty = rig.ask(client, 1, &WriteTxnMarkersRequest::default());
    assert!(empty.markers.is_empty());
}

/// On the old code a client whose first word of a group was this one asked for ever.
#[test]
fn a_transaction_may_be_the_first_to_name_a_group() {
    let mut rig = Rig::new(&SETTINGS);
    let client = rig.connect();
    rig.create_topic(client, "__transaction_state", 1, &[]);
    let producer = init(&mut rig, client);
    assert_eq!(add_offsets(&mut rig, client, producer), ErrorCode::COORDINATOR_NOT_AVAILABLE);
    assert_eq!(add_offsets(&mut rig, client, producer), ErrorCode::NONE);
}
