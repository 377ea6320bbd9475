//! Transactions over real sockets, with a coordinator that refuses as it is told, and the state machine alone.

use std::time::Duration;

use ringlog_wire::batch::BatchHeader;
use ringlog_wire::messages::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResponse, AddPartitionsToTxnTopicResult,
};
use ringlog_wire::messages::end_txn::EndTxnResponse;
use ringlog_wire::{ApiKey, ErrorCode};

use super::super::fake_broker::{Age, FakeBroker, Mishap, TOPIC};
use super::super::tests::{Heard, producer};
use super::super::{ClientError, NewRecord, Producer, SendError};
use super::*;

const TXN: &str = "transactional.id=tx linger.ms=1000 retry.backoff.ms=1 retry.backoff.max.ms=2 max.block.ms=5000";

fn put(producer: &mut Producer<Heard>, partition: i32, number: u64) -> Result<(), ClientError> {
    let topic = producer.topic(TOPIC);
    let sent_ns = producer.driver().read().0;
    let value = number.to_be_bytes();
    let record =
        NewRecord { topic, partition: Some(partition), key: None, value: &value, intended_ns: sent_ns, sent_ns };
    producer.send(&record, number)
}

/// Epochs and transactional marks of everything in the log.
fn batches(broker: &FakeBroker, partition: usize) -> Vec<(i16, bool)> {
    let state = broker.state();
    let (mut rest, mut out) = (&state.logs[partition].bytes[..], Vec::new());
    while !rest.is_empty() {
        let header = BatchHeader::parse(rest).unwrap();
        out.push((header.producer_epoch, header.attributes & 0x10 != 0));
        rest = &rest[header.total_len()..];
    }
    out
}

fn highest(broker: &FakeBroker, api: ApiKey) -> Option<i16> {
    broker.state().asked.iter().filter(|(asked, _)| *asked == api).map(|(_, version)| *version).max()
}

#[test]
fn two_transactions_of_the_old_protocol_add_partitions_first_and_keep_their_epoch() {
    let broker = FakeBroker::start(2, Age::Kafka43TransactionsV1, &[]);
    let mut producer = producer(broker.port, TXN);
    producer.init_transactions().unwrap();
    for (number, committed) in [(0, true), (1, false)] {
        producer.begin_transaction().unwrap();
        put(&mut producer, 0, number).unwrap();
        producer.flush().unwrap();
        put(&mut producer, 1, number).unwrap();
        if committed { producer.commit_transaction() } else { producer.abort_transaction() }.unwrap();
    }
    let heard = producer.close().unwrap();
    assert_eq!(heard.delivered.len(), 3, "the aborted one's last record never went out: {heard:?}");
    assert_eq!(heard.failed, [(1, "Failing batch since transaction was aborted".to_owned())]);
    assert_eq!(broker.state().coordinator.ended, [(true, 1), (false, 1)]);
    assert_eq!(batches(&broker, 0), [(1, true), (1, true)]);
    let versions = [ApiKey::Produce, ApiKey::EndTxn, ApiKey::AddPartitionsToTxn].map(|api| highest(&broker, api));
    assert_eq!(versions, [Some(11), Some(4), Some(3)]);
}

#[test]
fn the_new_protocol_adds_no_partitions_and_takes_a_new_epoch_from_each_end() {
    let broker = FakeBroker::start(1, Age::Kafka43, &[]);
    let mut producer = producer(broker.port, TXN);
    producer.init_transactions().unwrap();
    for (number, committed) in [(0, true), (1, false), (2, true)] {
        producer.begin_transaction().unwrap();
        put(&mut producer, 0, number).unwrap();
        producer.flush().unwrap();
        if committed { producer.commit_transaction() } else { producer.abort_transaction() }.unwrap();
    }
    producer.begin_transaction().unwrap();
    producer.commit_transaction().unwrap();
    assert_eq!(producer.close().unwrap().delivered.len(), 3);
    let ended = broker.state().coordinator.ended.clone();
    assert_eq!(ended, [(true, 1), (false, 2), (true, 3)], "an empty one needs no end");
    assert_eq!(batches(&broker, 0), [(1, true), (2, true), (3, true)]);
    let versions = [ApiKey::Produce, ApiKey::EndTxn, ApiKey::AddPartitionsToTxn].map(|api| highest(&broker, api));
    assert_eq!(versions, [Some(13), Some(5), None]);
}

#[test]
fn a_coordinator_that_moves_loads_or_is_busy_is_asked_again() {
    let broker = FakeBroker::start(1, Age::Kafka43TransactionsV1, &[]);
    broker.state().coordinator.errors.extend([
        (ApiKey::InitProducerId, ErrorCode::NOT_COORDINATOR),
        (ApiKey::InitProducerId, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS),
        (ApiKey::InitProducerId, ErrorCode::CONCURRENT_TRANSACTIONS),
        (ApiKey::AddPartitionsToTxn, ErrorCode::CONCURRENT_TRANSACTIONS),
        (ApiKey::AddPartitionsToTxn, ErrorCode::COORDINATOR_NOT_AVAILABLE),
        (ApiKey::EndTxn, ErrorCode::NOT_COORDINATOR),
        (ApiKey::EndTxn, ErrorCode::CONCURRENT_TRANSACTIONS),
    ]);
    let mut producer = producer(broker.port, TXN);
    producer.init_transactions().unwrap();
    producer.begin_transaction().unwrap();
    put(&mut producer, 0, 7).unwrap();
    producer.commit_transaction().unwrap();
    assert_eq!(producer.close().unwrap().delivered, [(0, 7)]);
    let state = broker.state();
    assert_eq!(state.coordinator.ended, [(true, 1)]);
    assert!(state.coordinator.errors.is_empty());
    assert_eq!(state.asked.iter().filter(|(api, _)| *api == ApiKey::FindCoordinator).count(), 4);
}

#[test]
fn a_producer_that_another_one_fenced_says_so_and_cannot_go_on() {
    for age in [Age::Kafka43, Age::Kafka43TransactionsV1] {
        let broker = FakeBroker::start(1, age, &[]);
        let mut first = producer(broker.port, TXN);
        first.init_transactions().unwrap();
        first.begin_transaction().unwrap();
        put(&mut first, 0, 1).unwrap();
        let mut second = producer(broker.port, TXN);
        second.init_transactions().unwrap();
        let text = "Producer with transactionalId 'tx' and ProducerIdAndEpoch(producerId=9, epoch=1) has been fenced by another producer with the same transactionalId";
        assert_eq!(first.commit_transaction().unwrap_err().to_string(), text, "{age:?}");
        assert_eq!(first.abort_transaction().unwrap_err().to_string(), text, "nothing helps");
        assert_eq!(put(&mut first, 0, 2).unwrap_err().to_string(), text);
        second.begin_transaction().unwrap();
        put(&mut second, 0, 3).unwrap();
        second.commit_transaction().unwrap();
        assert_eq!(broker.state().coordinator.ended.last(), Some(&(true, 2)));
    }
}

#[test]
fn after_a_record_that_failed_only_an_abort_goes_on_and_the_next_transaction_has_another_epoch() {
    for age in [Age::Kafka43, Age::Kafka43TransactionsV1] {
        let broker = FakeBroker::start(1, age, &[Mishap::Error(ErrorCode::INVALID_RECORD)]);
        let mut producer = producer(broker.port, TXN);
        producer.init_transactions().unwrap();
        producer.begin_transaction().unwrap();
        put(&mut producer, 0, 1).unwrap();
        let error = producer.commit_transaction().unwrap_err();
        assert!(matches!(&error, ClientError::Transaction(error) if error.is_abortable()), "{age:?} {error}");
        assert!(error.to_string().contains("This record has failed the validation"), "{error}");
        assert!(put(&mut producer, 0, 2).is_err(), "no record is taken before the abort");
        producer.abort_transaction().unwrap();
        producer.begin_transaction().unwrap();
        put(&mut producer, 0, 3).unwrap();
        producer.commit_transaction().unwrap();
        assert_eq!(producer.close().unwrap().delivered, [(0, 3)]);
        assert_eq!(batches(&broker, 0), [(2, true)], "{age:?}");
        assert_eq!(broker.state().coordinator.ended, [(false, 1), (true, 2)]);
    }
}

#[test]
fn close_aborts_what_is_open() {
    let broker = FakeBroker::start(1, Age::Kafka43, &[]);
    let mut producer = producer(broker.port, TXN);
    producer.init_transactions().unwrap();
    producer.begin_transaction().unwrap();
    put(&mut producer, 0, 1).unwrap();
    producer.close().unwrap();
    assert_eq!(broker.state().coordinator.ended, [(false, 1)]);
}

#[test]
fn a_broker_without_transactions_is_told_by_what_it_lacks() {
    let broker = FakeBroker::start(1, Age::WithoutTransactions, &[]);
    let error = producer(broker.port, TXN).init_transactions().unwrap_err().to_string();
    assert!(error.contains("it does not announce AddPartitionsToTxn, EndTxn"), "{error}");
}

#[test]
fn a_coordinator_that_is_not_there_is_waited_for_max_block_ms_long() {
    let mut producer = producer(1, "transactional.id=tx max.block.ms=30 reconnect.backoff.ms=5");
    let error = producer.init_transactions().unwrap_err().to_string();
    assert_eq!(error, "Timeout expired after 30ms while awaiting InitProducerId");
    let pending = producer.begin_transaction().unwrap_err().to_string();
    assert!(pending.contains("the previous call to `initTransactions` timed out"), "{pending}");
}

#[test]
fn calls_out_of_order_are_refused_in_kafka_s_words() {
    let broker = FakeBroker::start(1, Age::Kafka43, &[]);
    let mut plain = producer(broker.port, "");
    assert!(plain.begin_transaction().unwrap_err().to_string().starts_with("Cannot use transactional methods without"));
    let mut producer = producer(broker.port, TXN);
    let early = producer.begin_transaction().unwrap_err().to_string();
    let from_to = "Invalid transition attempted from state";
    assert_eq!(early, format!("TransactionalId tx: {from_to} UNINITIALIZED to state IN_TRANSACTION"));
    assert!(put(&mut producer, 0, 1).is_err());
    producer.init_transactions().unwrap();
    let outside = put(&mut producer, 0, 1).unwrap_err().to_string();
    assert_eq!(outside, "Cannot add partition to transaction while in state  READY");
    producer.begin_transaction().unwrap();
    let twice = producer.begin_transaction().unwrap_err().to_string();
    assert_eq!(twice, format!("TransactionalId tx: {from_to} IN_TRANSACTION to state IN_TRANSACTION"));
}

/// The state machine alone, past initTransactions, and what it calls its topic.
fn initialized(transaction_version: i16) -> (Transactions, impl Fn(Topic) -> String) {
    let backoff = Backoff { first: Duration::from_millis(1), max: Duration::from_millis(2) };
    let mut transactions = Transactions::new("tx", Duration::from_secs(1), backoff);
    let name = |_: Topic| TOPIC.to_owned();
    transactions.init().unwrap();
    transactions.coordinator = Some(1);
    transactions.learn(5, transaction_version);
    assert!(matches!(transactions.next(0, false, &name), Some(Ask::InitProducerId(_))));
    assert_eq!(transactions.next(0, false, &name), None, "one at a time");
    transactions.on_identity(&Default::default(), 0);
    (transactions, name)
}

fn added(error: ErrorCode) -> AddPartitionsToTxnResponse {
    let result = AddPartitionsToTxnPartitionResult { partition_error_code: error.0, ..Default::default() };
    let topic = AddPartitionsToTxnTopicResult { results_by_partition: vec![result], ..Default::default() };
    AddPartitionsToTxnResponse { results_by_topic_v3_and_below: vec![topic], ..Default::default() }
}

#[test]
fn end_txn_waits_for_every_batch_and_an_error_of_an_abort_is_fatal() {
    let (mut transactions, name) = initialized(2);
    transactions.begin().unwrap();
    assert!(transactions.add_partition(Topic(0), 0));
    transactions.abort().unwrap();
    assert_eq!(transactions.next(0, true, &name), None, "a batch is under way");
    assert!(matches!(transactions.next(0, false, &name), Some(Ask::EndTxn(_, i16::MAX))));
    let error_code = ErrorCode::TRANSACTION_ABORTABLE.0;
    transactions.on_ended(&EndTxnResponse { error_code, ..Default::default() }, 0);
    assert!(transactions.is_fatal());
    assert!(transactions.error().unwrap().to_string().contains("Failed to abort transaction"));
}

#[test]
fn a_partition_that_the_coordinator_took_after_the_error_is_ended_with_the_rest() {
    let (mut transactions, name) = initialized(0);
    transactions.begin().unwrap();
    assert!(!transactions.add_partition(Topic(0), 0), "the coordinator comes first");
    assert!(matches!(transactions.next(0, false, &name), Some(Ask::AddPartitions(_))));
    transactions.batch_failed(&SendError::Disconnected);
    transactions.abort().unwrap();
    transactions.on_added(&added(ErrorCode::NONE), 0);
    let end = transactions.next(0, false, &name);
    assert!(matches!(end, Some(Ask::EndTxn(..))), "it would stay open until it timed out: {end:?}");
}

#[test]
fn what_an_error_code_means_depends_on_the_request_where_kafka_says_so() {
    let (mut adding, name) = initialized(0);
    adding.begin().unwrap();
    adding.add_partition(Topic(0), 0);
    assert!(matches!(adding.next(0, false, &name), Some(Ask::AddPartitions(_))));
    adding.on_added(&added(ErrorCode::UNKNOWN_SERVER_ERROR), 0);
    assert_eq!(adding.state(), State::AbortableError);
    let text = adding.error().unwrap().to_string();
    assert!(text.contains("Could not add partitions to transaction due to errors: "), "{text}");
    for (error, prefix) in [
        (ErrorCode::UNKNOWN_SERVER_ERROR, "in an error state: Unhandled error in EndTxnResponse: "),
        (
            ErrorCode::INVALID_TXN_STATE,
            "in an error state: The producer attempted a transactional operation in an invalid state",
        ),
    ] {
        let (mut ending, name) = initialized(2);
        ending.begin().unwrap();
        ending.add_partition(Topic(0), 0);
        ending.commit().unwrap();
        assert!(matches!(ending.next(0, false, &name), Some(Ask::EndTxn(..))));
        ending.on_ended(&EndTxnResponse { error_code: error.0, ..Default::default() }, 0);
        let text = ending.error().unwrap().to_string();
        assert!(ending.is_fatal() && text.contains(prefix), "{text}");
    }
}
