//! Producer and consumer over real sockets, against a broker that misbehaves as it is told.

use std::collections::BTreeMap;
use std::time::Duration;

use ringlog_io::driver;
use ringlog_wire::{ApiKey, ErrorCode};

use super::config::{ConsumerConfig, ProducerConfig};
use super::fake_broker::{Age, FakeBroker, Mishap, TOPIC};
use super::properties::Properties;
use super::*;

#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) delivered: Vec<(i32, u64)>,
    pub(super) failed: Vec<(u64, String)>,
    pub(super) unreachable: Vec<String>,
}

impl DeliverySink for Heard {
    fn delivered(&mut self, batch: &Delivered<'_>) {
        self.delivered.extend(batch.marks.iter().map(|mark| (batch.partition, mark.tag)));
    }

    fn failed(&mut self, batch: &Failed<'_>) {
        self.failed.extend(batch.marks.iter().map(|mark| (mark.tag, batch.error.to_string())));
    }

    fn unreachable(&mut self, reason: &str) {
        self.unreachable.push(reason.to_owned());
    }
}

fn properties(port: u16, more: &str) -> Properties {
    let mut properties = Properties::new();
    properties.set("bootstrap.servers", &format!("127.0.0.1:{port}"));
    more.split_whitespace().filter_map(|pair| pair.split_once('=')).for_each(|(key, value)| properties.set(key, value));
    properties
}

fn open_driver() -> Box<dyn ringlog_io::Driver> {
    driver::open(driver::DriverOptions::default()).unwrap()
}

pub(super) fn producer(port: u16, more: &str) -> Producer<Heard> {
    let config = ProducerConfig::parse(&properties(port, more)).unwrap().config;
    Producer::open(config, open_driver(), Heard::default()).unwrap()
}

/// Sends so many records to a topic with their numbers as values, and gives what was heard.
fn send(port: u16, more: &str, records: u64) -> Heard {
    let mut producer = producer(port, more);
    let topic = producer.topic(TOPIC);
    for number in 0..records {
        let sent_ns = producer.driver().read().0;
        let value = number.to_be_bytes();
        let record = NewRecord { topic, partition: None, key: None, value: &value, intended_ns: sent_ns, sent_ns };
        producer.send(&record, number).unwrap();
    }
    producer.close().unwrap()
}

/// What was read: values per partition, in order.
#[derive(Debug, Default)]
struct Taken {
    values: BTreeMap<i32, Vec<u64>>,
    assigned: bool,
}

impl RecordSink for Taken {
    fn record(&mut self, record: &ConsumedRecord<'_>) {
        let number = record.value.and_then(|value| value.first_chunk()).map(|value| u64::from_be_bytes(*value));
        self.values.entry(record.partition).or_default().push(number.unwrap());
    }

    fn assigned(&mut self, _partitions: &[(String, i32)], _at_ns: u64) {
        self.assigned = true;
    }
}

/// Reads until `wanted` records came (at most 20 s), and a little longer to see that there are no more.
fn read(port: u16, more: &str, group: bool, wanted: usize) -> BTreeMap<i32, Vec<u64>> {
    let group_id = if group { "group.id=g" } else { "" };
    let more = format!("auto.offset.reset=earliest {group_id} {more}");
    let config = ConsumerConfig::parse(&properties(port, &more)).unwrap().config;
    let mut consumer = Consumer::open(config, open_driver()).unwrap();
    let mut taken = Taken { assigned: !group, ..Taken::default() };
    if group {
        consumer.subscribe(&[TOPIC]).unwrap();
    } else {
        consumer.assign_all(TOPIC).unwrap();
    }
    for _ in 0..200 {
        if taken.assigned && sorted(&taken.values).len() >= wanted {
            break;
        }
        consumer.poll(Duration::from_millis(100), &mut taken).unwrap();
    }
    consumer.poll(Duration::from_millis(300), &mut taken).unwrap();
    consumer.close().unwrap();
    taken.values
}

fn sorted(values: &BTreeMap<i32, Vec<u64>>) -> Vec<u64> {
    let mut all: Vec<u64> = values.values().flatten().copied().collect();
    all.sort_unstable();
    all
}

fn in_order(values: &BTreeMap<i32, Vec<u64>>) -> bool {
    values.values().all(|values| values.is_sorted())
}

const SMALL: &str = "batch.size=200 linger.ms=0";

#[test]
fn what_is_sent_is_read_with_brokers_old_and_new_and_every_codec() {
    for age in [Age::Kafka43, Age::Kafka24, Age::RdkafkaMock] {
        for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
            let broker = FakeBroker::start(3, age, &[]);
            let heard = send(broker.port, &format!("{SMALL} compression.type={codec}"), 500);
            assert_eq!((heard.delivered.len(), heard.failed.len()), (500, 0), "{age:?} {codec}");
            for group in [false, true] {
                let values = read(broker.port, "max.poll.records=7", group, 500);
                assert_eq!(sorted(&values), (0..500).collect::<Vec<_>>(), "{age:?} {codec} group {group}");
                assert!(in_order(&values));
            }
        }
    }
}

#[test]
fn losses_and_errors_are_tried_again_without_loss_double_or_disorder() {
    let mishaps = [
        Mishap::None,
        Mishap::Hangup,
        Mishap::HangupAfterAppend,
        Mishap::Error(ErrorCode::NOT_LEADER_OR_FOLLOWER),
        Mishap::None,
        Mishap::Error(ErrorCode::NOT_ENOUGH_REPLICAS),
        Mishap::HangupAfterAppend,
    ];
    let broker = FakeBroker::start(2, Age::Kafka43, &mishaps);
    let heard = send(broker.port, &format!("{SMALL} retry.backoff.ms=1"), 400);
    assert_eq!((heard.delivered.len(), heard.failed.len()), (400, 0), "{:?}", heard.failed.first());
    let values = read(broker.port, "", false, 400);
    assert_eq!(sorted(&values), (0..400).collect::<Vec<_>>());
    assert!(in_order(&values), "{values:?}");
}

#[test]
fn without_acknowledgements_everything_counts_once_the_socket_took_it() {
    let broker = FakeBroker::start(1, Age::Kafka43, &[]);
    let heard = send(broker.port, &format!("{SMALL} acks=0"), 300);
    assert_eq!((heard.delivered.len(), heard.failed.len()), (300, 0));
}

#[test]
fn an_error_that_is_final_fails_its_batch_with_kafka_s_name() {
    let broker = FakeBroker::start(1, Age::Kafka43, &[Mishap::Error(ErrorCode::MESSAGE_TOO_LARGE)]);
    let heard = send(broker.port, "linger.ms=1000 acks=1", 1);
    let text = "MESSAGE_TOO_LARGE (10): The request included a message larger than the max message size the server will accept.";
    assert_eq!((heard.delivered.len(), heard.failed), (0, vec![(0, text.to_owned())]));
}

#[test]
fn a_batch_that_is_too_large_goes_out_again_in_parts_once_and_in_order() {
    for more in ["", "acks=1", "compression.type=gzip"] {
        let large = Mishap::Error(ErrorCode::MESSAGE_TOO_LARGE);
        let broker =
            FakeBroker::start(1, Age::Kafka43, &[large, large, Mishap::None, large, Mishap::HangupAfterAppend]);
        let heard = send(broker.port, &format!("linger.ms=1000 retry.backoff.ms=1 {more}"), 100);
        assert_eq!((heard.delivered.len(), heard.failed.len()), (100, 0), "{more}: {:?}", heard.failed.first());
        let values = read(broker.port, "", false, 100);
        if more == "acks=1" {
            // Without idempotence a lost answer doubles what it was about.
            assert!(sorted(&values).len() > 100);
            continue;
        }
        assert_eq!(sorted(&values), (0..100).collect::<Vec<_>>(), "{more}");
        assert!(in_order(&values), "{more}: {values:?}");
    }
}

#[test]
fn records_that_cannot_go_are_refused_in_kafka_s_words() {
    let broker = FakeBroker::start(1, Age::Kafka43, &[]);
    let mut producer = producer(broker.port, "max.request.size=1000 max.block.ms=50");
    let (known, unknown) = (producer.topic(TOPIC), producer.topic("nowhere"));
    for (topic, value) in [(known, vec![0; 1000]), (unknown, vec![0; 10])] {
        let sent_ns = producer.driver().read().0;
        let record = NewRecord { topic, partition: None, key: None, value: &value, intended_ns: sent_ns, sent_ns };
        producer.send(&record, 0).unwrap();
    }
    let texts: Vec<String> = producer.close().unwrap().failed.into_iter().map(|(_, text)| text).collect();
    let large = "The message is 1086 bytes when serialized which is larger than 1000, which is the value of the max.request.size configuration.";
    assert_eq!(texts, [large, "Topic nowhere not present in metadata after 50 ms."]);
}

#[test]
fn an_unreachable_broker_fails_every_record_after_max_block_ms_and_nothing_hangs() {
    let heard = send(1, "max.block.ms=30 reconnect.backoff.ms=5", 3);
    assert_eq!(heard.failed.len(), 3);
    assert!(heard.failed[0].1.contains("not present in metadata after 30 ms"));
}

#[test]
fn a_full_buffer_blocks_until_there_is_room() {
    let broker = FakeBroker::start(1, Age::Kafka43, &[]);
    let heard = send(broker.port, "batch.size=100 buffer.memory=250 linger.ms=1000", 200);
    assert_eq!((heard.delivered.len(), heard.failed.len()), (200, 0));
}

#[test]
fn a_group_goes_on_where_it_stopped() {
    let broker = FakeBroker::start(2, Age::Kafka43, &[]);
    send(broker.port, SMALL, 100);
    assert_eq!(sorted(&read(broker.port, "", true, 100)).len(), 100);
    let committed: i64 = broker.state().committed.iter().map(|(_, offset)| offset).sum();
    assert_eq!(committed, 100);
    assert_eq!(sorted(&read(broker.port, "", true, 0)).len(), 0, "everything was committed");
    assert!(broker.state().asked.iter().any(|(api, _)| *api == ApiKey::LeaveGroup));
}

#[test]
fn fetches_after_the_first_name_only_what_changed() {
    let broker = FakeBroker::start(3, Age::Kafka43, &[]);
    send(broker.port, "partitioner.ignore.keys=true", 50);
    read(broker.port, "", false, 50);
    let state = broker.state();
    let fetches = state.asked.iter().filter(|(api, _)| *api == ApiKey::Fetch);
    assert!(fetches.clone().count() > 3);
    assert!(fetches.into_iter().all(|(_, version)| *version == 17));
}

#[test]
fn a_partition_without_a_leader_holds_up_no_other_and_is_read_once_it_has_one() {
    for group in ["", "group.id=g"] {
        let broker = FakeBroker::start(3, Age::Kafka43, &[]);
        send(broker.port, "partitioner.class=round-robin", 90);
        broker.state().leaderless = vec![1];
        let more = format!("auto.offset.reset=earliest {group}");
        let config = ConsumerConfig::parse(&properties(broker.port, &more)).unwrap().config;
        let mut consumer = Consumer::open(config, open_driver()).unwrap();
        if group.is_empty() {
            consumer.assign_all(TOPIC).unwrap();
        } else {
            consumer.subscribe(&[TOPIC]).unwrap();
        }
        let mut taken = Taken::default();
        let read = |consumer: &mut Consumer, taken: &mut Taken, wanted: usize| {
            for _ in 0..100 {
                if sorted(&taken.values).len() < wanted {
                    consumer.poll(Duration::from_millis(100), taken).unwrap();
                }
            }
        };
        read(&mut consumer, &mut taken, 60);
        consumer.poll(Duration::from_millis(300), &mut taken).unwrap();
        assert_eq!(taken.values.keys().copied().collect::<Vec<_>>(), [0, 2], "{group}");
        let asked = broker.state().asked.iter().filter(|(api, _)| *api == ApiKey::Metadata).count();
        assert!(asked > 2, "a leader is asked for, {asked} times");
        broker.state().leaderless.clear();
        read(&mut consumer, &mut taken, 90);
        assert_eq!(sorted(&taken.values), (0..90).collect::<Vec<_>>(), "{group}");
        assert!(in_order(&taken.values));
        consumer.close().unwrap();
    }
}

#[test]
fn a_load_balancer_whose_broker_is_not_up_yet_is_tried_again_and_said_at_once() {
    let broker = FakeBroker::start(2, Age::Kafka43, &[]);
    let soon = "reconnect.backoff.ms=1 reconnect.backoff.max.ms=5";
    broker.state().turn_away = 30;
    let heard = send(broker.port, soon, 20);
    assert_eq!((heard.delivered.len(), heard.failed.len(), heard.unreachable.len()), (20, 0, 30));
    assert!(heard.unreachable[0].contains("is there no broker yet?"), "{:?}", heard.unreachable[0]);
    broker.state().turn_away = 30;
    assert_eq!(sorted(&read(broker.port, soon, true, 20)), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_listener_that_never_answers_costs_a_call_its_time_and_not_the_client_its_life() {
    let broker = FakeBroker::start(1, Age::Kafka43, &[]);
    broker.state().turn_away = usize::MAX;
    let mut producer = producer(broker.port, "reconnect.backoff.ms=1 reconnect.backoff.max.ms=5 max.block.ms=200");
    let topic = producer.topic(TOPIC);
    let mut put = |number: u64| {
        let sent_ns = producer.driver().read().0;
        let record = NewRecord { topic, partition: None, key: None, value: b"v", intended_ns: sent_ns, sent_ns };
        producer.send(&record, number).unwrap();
        if number == 0 {
            broker.state().turn_away = 0;
        }
    };
    (0..3).for_each(&mut put);
    let heard = producer.close().unwrap();
    assert_eq!(heard.failed, [(0, "Topic t not present in metadata after 200 ms.".to_owned())]);
    assert_eq!(heard.delivered.len(), 2, "the next calls find the broker");
}
