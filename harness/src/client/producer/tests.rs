//! The producer over real sockets: single records, partitioners, times.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ringlog_wire::messages::metadata::{MetadataResponse, MetadataResponsePartition, MetadataResponseTopic};
use ringlog_wire::{ErrorCode, Uuid};

use super::super::fake_broker::{Age, FakeBroker, Mishap, TOPIC};
use super::super::partitioner::keyed_partition;
use super::super::tests::{Heard, producer};
use super::super::{NewRecord, Producer};

fn put(producer: &mut Producer<Heard>, partition: Option<i32>, key: Option<&[u8]>, number: u64) {
    let topic = producer.topic(TOPIC);
    let sent_ns = producer.driver().read().0;
    let value = number.to_be_bytes();
    producer.send(&NewRecord { topic, partition, key, value: &value, intended_ns: sent_ns, sent_ns }, number).unwrap();
}

/// How many records each partition got.
fn shares(heard: &Heard) -> Vec<usize> {
    let mut counts: BTreeMap<i32, usize> = BTreeMap::new();
    heard.delivered.iter().for_each(|(partition, _)| *counts.entry(*partition).or_default() += 1);
    counts.into_values().collect()
}

#[test]
fn a_record_that_is_waited_for_says_where_it_is_or_why_not() {
    let broker = FakeBroker::start(1, Age::Kafka43, &[Mishap::None, Mishap::HangupAfterAppend]);
    let mut producer = producer(broker.port, "linger.ms=0 retry.backoff.ms=1");
    let topic = producer.topic(TOPIC);
    let mut sync = |value: &[u8]| {
        let sent_ns = producer.driver().read().0;
        let record = NewRecord { topic, partition: Some(0), key: None, value, intended_ns: sent_ns, sent_ns };
        producer.send_sync(&record, 1).unwrap()
    };
    let offsets: Vec<i64> = (0..3u8).map(|number| sync(&[number]).unwrap().offset).collect();
    assert_eq!(offsets, [0, 1, 2]);
    broker.state().mishaps.push_back(Mishap::Error(ErrorCode::MESSAGE_TOO_LARGE));
    let error = sync(&[0; 9]).unwrap_err().to_string();
    assert!(error.ends_with("a message larger than the max message size the server will accept."), "{error}");
    let large = sync(&vec![0; 2_000_000]).unwrap_err().to_string();
    assert!(large.contains("which is the value of the max.request.size configuration"), "{large}");
    assert_eq!(sync(&[4]).unwrap().offset, 3, "and it goes on");
}

#[test]
fn round_robin_deals_evenly_even_where_memory_makes_it_wait() {
    let broker = FakeBroker::start(3, Age::Kafka43, &[]);
    let class = "partitioner.class=org.apache.kafka.clients.producer.RoundRobinPartitioner";
    let mut producer = producer(broker.port, &format!("{class} batch.size=100 buffer.memory=300 linger.ms=0"));
    (0..300).for_each(|number| put(&mut producer, None, Some(b"the same key"), number));
    assert_eq!(shares(&producer.close().unwrap()), [100, 100, 100]);
}

#[test]
fn keys_and_explicit_partitions_are_kept_whatever_the_partitioner() {
    for class in ["murmur2", "null"] {
        let broker = FakeBroker::start(5, Age::Kafka43, &[]);
        let mut producer = producer(broker.port, &format!("partitioner.class={class} batch.size=200 linger.ms=0"));
        for number in 0..200u64 {
            put(&mut producer, None, Some(&number.to_be_bytes()), number);
        }
        let heard = producer.close().unwrap();
        assert_eq!(heard.delivered.len(), 200);
        let kept = |(partition, number): &(i32, u64)| *partition as usize == keyed_partition(&number.to_be_bytes(), 5);
        assert!(heard.delivered.iter().all(kept), "{class}");
    }
    for class in ["round-robin", "random", "sticky", "murmur2", "null"] {
        let broker = FakeBroker::start(5, Age::Kafka43, &[]);
        let mut producer = producer(broker.port, &format!("partitioner.class={class} max.block.ms=600"));
        (0..50).for_each(|number| put(&mut producer, Some(3), Some(b"k"), number));
        put(&mut producer, Some(5), None, 50);
        let heard = producer.close().unwrap();
        assert!(heard.delivered.iter().all(|(partition, _)| *partition == 3), "{class}");
        let text = "Partition 5 of topic t with partition count 5 is not present in metadata after 600 ms.";
        let texts: Vec<&str> = heard.failed.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, [text], "{class}");
    }
}

#[test]
fn a_batch_size_of_0_is_no_batching_but_for_records_that_fit_the_room_of_one() {
    let broker = FakeBroker::start(4, Age::Kafka43, &[]);
    let mut producer = producer(broker.port, "batch.size=0 linger.ms=0");
    (0..100).for_each(|number| put(&mut producer, None, None, number));
    producer.flush().unwrap();
    // As in Kafka: a batch is as large as its first record is estimated, and two of these take what one may.
    assert!(producer.stats().batches_sent >= 50, "{}", producer.stats().batches_sent);
    assert_eq!(shares(&producer.close().unwrap()).iter().sum::<usize>(), 100);
}

#[test]
fn the_sticky_class_fills_a_batch_before_it_moves_and_moves_to_every_partition() {
    let broker = FakeBroker::start(4, Age::Kafka43, &[]);
    let mut producer = producer(broker.port, "partitioner.class=sticky batch.size=400 linger.ms=1000");
    (0..1000).for_each(|number| put(&mut producer, None, Some(b"ignored"), number));
    let stats = producer.stats();
    let heard = producer.close().unwrap();
    assert_eq!(shares(&heard).iter().sum::<usize>(), 1000);
    assert_eq!(shares(&heard).len(), 4);
    assert!(stats.batches_sent < 100, "batches are full: {}", stats.batches_sent);
}

#[test]
fn a_batch_that_no_one_answers_is_given_up_when_its_time_is_over_though_it_is_in_flight() {
    let broker = FakeBroker::start(1, Age::Kafka43, &[Mishap::Silence, Mishap::Silence]);
    let times = "linger.ms=0 request.timeout.ms=1000 delivery.timeout.ms=1300 retry.backoff.ms=1";
    let mut producer = producer(broker.port, times);
    put(&mut producer, None, None, 1);
    producer.flush().unwrap();
    broker.state().mishaps.clear();
    put(&mut producer, None, None, 2);
    let heard = producer.close().unwrap();
    assert_eq!(heard.failed.len(), 1);
    assert!(heard.failed[0].1.starts_with("Expiring 1 record(s) for t-0:"), "{heard:?}");
    assert_eq!(heard.delivered, [(0, 2)], "the next one goes under a new epoch");
}

#[test]
fn records_for_a_topic_without_a_leader_wait_for_one_until_their_time_is_over() {
    for class in ["", "partitioner.class=sticky", "partitioner.class=round-robin"] {
        let broker = FakeBroker::start(3, Age::Kafka43, &[]);
        broker.state().leaderless = vec![0, 1, 2];
        let times = "linger.ms=0 request.timeout.ms=200 delivery.timeout.ms=300 max.block.ms=60000";
        let mut producer = producer(broker.port, &format!("{times} {class}"));
        (0..30).for_each(|number| put(&mut producer, None, None, number));
        assert_eq!(producer.stats().failed_records, 0, "they are taken: {class}");
        producer.flush().unwrap();
        broker.state().leaderless.clear();
        (30..60).for_each(|number| put(&mut producer, None, None, number));
        let heard = producer.close().unwrap();
        assert_eq!((heard.failed.len(), heard.delivered.len()), (30, 30), "{class} {:?}", heard.failed.last());
        assert!(heard.failed.iter().all(|(number, text)| *number < 30 && expired(text)), "{class} {:?}", heard.failed);
    }
}

fn expired(text: &str) -> bool {
    text.starts_with("Expiring ")
        && text.contains(" record(s) for t-")
        && text.contains(" ms has passed since batch creation")
}

#[test]
fn partitions_without_a_leader_are_passed_over_while_another_has_one_and_a_leader_that_comes_is_found() {
    let broker = FakeBroker::start(3, Age::Kafka43, &[]);
    broker.state().leaderless = vec![0, 2];
    let mut producer = producer(broker.port, "linger.ms=0 batch.size=100 max.block.ms=60000");
    (0..100).for_each(|number| put(&mut producer, None, None, number));
    producer.flush().unwrap();
    assert!(producer.sink().delivered.iter().all(|(partition, _)| *partition == 1));
    put(&mut producer, Some(2), None, 100);
    put(&mut producer, Some(0), None, 101);
    producer.poll(std::time::Duration::from_millis(150)).unwrap();
    assert_eq!(producer.sink().delivered.len(), 100, "these two wait");
    broker.state().leaderless.clear();
    let heard = producer.close().unwrap();
    let waited: BTreeSet<_> = heard.delivered[100..].iter().copied().collect();
    assert_eq!((waited, heard.failed), (BTreeSet::from([(2, 100), (0, 101)]), Vec::new()));
}

#[test]
fn an_answer_belongs_to_the_batch_that_went_out_though_the_topic_has_another_id_since() {
    let broker = FakeBroker::start(1, Age::Kafka43, &[]);
    let mut producer = producer(broker.port, "linger.ms=0");
    put(&mut producer, None, None, 1);
    producer.flush().unwrap();
    put(&mut producer, None, None, 2);
    producer.turn(Duration::ZERO).unwrap();
    // Before the answer is looked at, metadata shows a topic that was made anew.
    let partition = MetadataResponsePartition { leader_id: 1, ..Default::default() };
    let (name, topic_id) = (Some(TOPIC.to_owned()), Uuid([9; 16]));
    let topic = MetadataResponseTopic { name, topic_id, partitions: vec![partition], ..Default::default() };
    producer.metadata.update(&MetadataResponse { topics: vec![topic], ..Default::default() }, 0);
    let deadline_ns = producer.driver().read().0 + 5_000_000_000;
    while producer.sink().delivered.len() < 2 && producer.sink().failed.is_empty() {
        assert!(producer.wait_turn(deadline_ns).unwrap(), "the answer is taken for somebody else's");
    }
    let heard = producer.close().unwrap();
    assert_eq!((&heard.delivered[..], heard.failed.len()), (&[(0, 1), (0, 2)][..], 0));
}

#[test]
fn a_client_that_is_told_to_hold_back_sends_nothing_more_for_so_long_and_counts_it() {
    let broker = FakeBroker::start(1, Age::Kafka43, &[]);
    broker.state().throttle_ms = 80;
    let mut producer = producer(broker.port, "linger.ms=0 max.in.flight.requests.per.connection=5");
    let topic = producer.topic(TOPIC);
    let mut done_ns = Vec::new();
    for number in 0..4u64 {
        let sent_ns = producer.driver().read().0;
        let value = number.to_be_bytes();
        let record = NewRecord { topic, partition: Some(0), key: None, value: &value, intended_ns: sent_ns, sent_ns };
        producer.send_sync(&record, number).unwrap().unwrap();
        done_ns.push(producer.driver().read().0);
    }
    let gaps_ms: Vec<u64> = done_ns.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000_000).collect();
    assert!(gaps_ms.iter().all(|gap| *gap >= 79), "{gaps_ms:?}");
    assert_eq!((producer.network_stats().throttle_ms, producer.stats().throttle_ms_sum), (320, 320));
}
