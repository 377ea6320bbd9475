//! The consumer against a real broker: run by `scripts/lib/checks_consumer.py`, which sets RINGLOG_TEST_BOOTSTRAP (and
//! for `real_reader` what to read). Left out of an ordinary `cargo test`, because there is no broker then.

use std::collections::BTreeMap;
use std::time::Duration;

use ringlog_io::{Clock as _, SystemClock, driver};

use super::config::{ConsumerConfig, ProducerConfig};
use super::properties::Properties;
use super::*;

fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

fn properties(more: &str) -> Properties {
    let mut properties = Properties::new();
    properties.set("bootstrap.servers", &env("RINGLOG_TEST_BOOTSTRAP"));
    properties.set("auto.offset.reset", "earliest");
    let pairs = more.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs.for_each(|(key, value)| properties.set(key, value));
    properties
}

fn consumer(more: &str) -> Consumer {
    let config = ConsumerConfig::parse(&properties(more)).unwrap().config;
    Consumer::open(config, driver::open(driver::DriverOptions::default()).unwrap()).unwrap()
}

#[derive(Default)]
struct Ignore(Vec<String>);

impl DeliverySink for Ignore {
    fn delivered(&mut self, _batch: &Delivered<'_>) {}
    fn failed(&mut self, batch: &Failed<'_>) {
        self.0.push(batch.error.to_string());
    }
}

/// Writes `0..count` as text, record n to partition n % partitions.
fn write(topic: &str, numbers: std::ops::Range<usize>) -> usize {
    let config = ProducerConfig::parse(&properties("linger.ms=0")).unwrap().config;
    let driver = driver::open(driver::DriverOptions::default()).unwrap();
    let mut producer = Producer::open(config, driver, Ignore::default()).unwrap();
    let id = producer.topic(topic);
    let partitions = producer.partition_count(id).unwrap();
    for number in numbers {
        let sent_ns = producer.driver().read().0;
        let value = number.to_string();
        let partition = i32::try_from(number % partitions).ok();
        let record =
            NewRecord { topic: id, partition, key: None, value: value.as_bytes(), intended_ns: sent_ns, sent_ns };
        producer.send(&record, 0).unwrap();
    }
    assert_eq!(producer.close().unwrap().0, Vec::<String>::new());
    partitions
}

/// Records and what the group told, as lines.
#[derive(Default)]
struct Lines {
    records: Vec<(i32, i64, String)>,
    owned: BTreeMap<(String, i32), ()>,
    prints: bool,
}

impl RecordSink for Lines {
    fn record(&mut self, record: &ConsumedRecord<'_>) {
        let value = String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned();
        if self.prints {
            println!("RECORD {} {} {} {value}", record.topic, record.partition, record.offset);
        }
        self.records.push((record.partition, record.offset, value));
    }

    fn assigned(&mut self, partitions: &[(String, i32)], _at_ns: u64) {
        self.owned.extend(partitions.iter().map(|partition| (partition.clone(), ())));
        self.tell("ASSIGNED", partitions);
    }

    fn revoked(&mut self, partitions: &[(String, i32)], _at_ns: u64) {
        partitions.iter().for_each(|partition| _ = self.owned.remove(partition));
        self.tell("REVOKED", partitions);
    }
}

impl Lines {
    fn tell(&self, what: &str, changed: &[(String, i32)]) {
        if self.prints {
            let names = |partitions: Vec<&(String, i32)>| {
                partitions.iter().map(|(topic, partition)| format!("{topic}-{partition}")).collect::<Vec<_>>().join(",")
            };
            println!("{what} [{}] OWNS [{}]", names(changed.iter().collect()), names(self.owned.keys().collect()));
        }
    }
}

fn read(consumer: &mut Consumer, lines: &mut Lines, wanted: usize) {
    for _ in 0..150 {
        if lines.records.len() >= wanted {
            return;
        }
        consumer.poll(Duration::from_millis(100), lines).unwrap();
    }
    panic!("{} records within 15 s where {wanted} were wanted", lines.records.len());
}

/// Reads RINGLOG_TEST_TOPICS (or those that match RINGLOG_TEST_PATTERN, or RINGLOG_TEST_REMOTE_PATTERN) for
/// RINGLOG_TEST_SECONDS with RINGLOG_TEST_SETTINGS and prints every record and every change.
#[test]
#[ignore = "needs a broker"]
fn real_reader() {
    let mut consumer = consumer(&std::env::var("RINGLOG_TEST_SETTINGS").unwrap_or_default());
    if let Ok(pattern) = std::env::var("RINGLOG_TEST_PATTERN") {
        consumer.subscribe_pattern(&pattern).unwrap();
    } else if let Ok(pattern) = std::env::var("RINGLOG_TEST_REMOTE_PATTERN") {
        consumer.subscribe_remote_pattern(&pattern).unwrap();
    } else {
        consumer.subscribe(&env("RINGLOG_TEST_TOPICS").split(',').collect::<Vec<_>>()).unwrap();
    }
    let mut lines = Lines { prints: true, ..Lines::default() };
    let seconds: u64 = env("RINGLOG_TEST_SECONDS").parse().unwrap();
    let until_ns = consumer.driver().read().0 + seconds * 1_000_000_000;
    while consumer.driver().read().0 < until_ns {
        if let Err(error) = consumer.poll(Duration::from_millis(100), &mut lines) {
            println!("ERROR {error}");
            return;
        }
    }
    consumer.close().unwrap();
    println!("CLOSED {}", lines.records.len());
}

#[test]
#[ignore = "needs a broker"]
fn real_seeks_positions_and_questions_about_offsets() {
    let topic = &format!("seeks-{}", SystemClock::new().random());
    let before_ms = SystemClock::new().wall_ms();
    let partitions = write(topic, 0..300);
    std::thread::sleep(Duration::from_millis(50));
    let between_ms = SystemClock::new().wall_ms();
    write(topic, 300..600);
    let each = i64::try_from(600 / partitions).unwrap();
    let mut one = consumer(&format!("group.id=g-{topic} enable.auto.commit=false"));
    one.assign_all(topic).unwrap();
    let all: Vec<(&str, i32)> = (0..i32::try_from(partitions).unwrap()).map(|n| (topic.as_str(), n)).collect();
    assert!(one.beginning_offsets(&all).unwrap().values().all(|offset| *offset == 0));
    assert!(one.end_offsets(&all).unwrap().values().all(|offset| *offset == each));
    let times =
        one.offsets_for_times(&[(topic, 0, between_ms), (topic, 1, before_ms), (topic, 2, between_ms * 2)]).unwrap();
    let offset = |partition: i32| times[&(topic.clone(), partition)].map(|found| found.offset);
    assert_eq!((offset(0), offset(1), offset(2)), (Some(each / 2), Some(0), None));
    assert_eq!(one.position(topic, 0).unwrap(), 0, "nothing is stored, so auto.offset.reset decides");

    one.seek(topic, 0, each - 3).unwrap();
    one.seek_to_end(&[(topic, 1)]).unwrap();
    one.seek_to_beginning(&[(topic, 2)]).unwrap();
    one.pause(&[(topic, 2)]).unwrap();
    let mut lines = Lines::default();
    read(&mut one, &mut lines, 3);
    one.poll(Duration::from_millis(300), &mut lines).unwrap();
    assert_eq!(
        lines.records.iter().map(|(n, offset, _)| (*n, *offset)).collect::<Vec<_>>(),
        [(0, each - 3), (0, each - 2), (0, each - 1)]
    );
    one.resume(&[(topic, 2)]).unwrap();
    read(&mut one, &mut lines, 3 + usize::try_from(each).unwrap());
    assert!(lines.records[3..].iter().all(|(partition, ..)| *partition == 2));

    one.commit_sync().unwrap();
    let stored: Vec<Option<i64>> = one.committed(&all).unwrap().into_values().collect();
    assert_eq!(stored, [Some(each); 3]);
    one.commit_sync_offsets(&[(topic, 1, 7)]).unwrap();
    let id = one.commit_async().unwrap();
    let mut done = Vec::new();
    for _ in 0..50 {
        one.poll(Duration::from_millis(100), &mut lines).unwrap();
        done.extend(one.take_commits());
    }
    assert!(matches!(&done[..], [(done, Ok(()))] if *done == id), "{done:?}");
    one.commit_sync_offsets(&[(topic, 1, 7)]).unwrap();
    assert!(
        one.seek("elsewhere", 0, 0)
            .unwrap_err()
            .to_string()
            .contains("No current assignment for partition elsewhere-0")
    );
    one.close().unwrap();

    let mut two = consumer(&format!("group.id=g-{topic}"));
    two.assign_all(topic).unwrap();
    assert_eq!(two.position(topic, 1).unwrap(), 7, "what the group has stored");
    two.close().unwrap();
    let mut none = consumer("auto.offset.reset=none");
    none.assign(&[(topic, 0, Some(each + 100))]);
    let error = std::iter::repeat_with(|| none.poll(Duration::from_millis(100), &mut lines)).find_map(Result::err);
    assert!(error.unwrap().to_string().starts_with("Offsets out of range with no configured reset policy"));
    let mut late = consumer("auto.offset.reset=by_duration:P1D");
    late.assign(&[(topic, 0, None)]);
    assert_eq!(late.position(topic, 0).unwrap(), 0);
}

#[test]
#[ignore = "needs a broker"]
fn real_heartbeats_go_on_while_the_caller_works_and_calls_keep_alive() {
    let topic = &format!("alive-{}", SystemClock::new().random());
    write(topic, 0..30);
    // Without automatic commits: whoever reads their answers reads those of heartbeats too.
    let settings = "session.timeout.ms=6000 heartbeat.interval.ms=1000 enable.auto.commit=false";
    let mut one = consumer(&format!("group.id=g-{topic} {settings}"));
    one.subscribe(&[topic]).unwrap();
    let mut lines = Lines { prints: true, ..Lines::default() };
    read(&mut one, &mut lines, 30);
    for _ in 0..90 {
        std::thread::sleep(Duration::from_millis(100));
        one.keep_alive().unwrap();
    }
    write(topic, 30..60);
    read(&mut one, &mut lines, 60);
    let mut values: Vec<usize> = lines.records.iter().map(|(.., value)| value.parse().unwrap()).collect();
    values.sort_unstable();
    assert_eq!(values, (0..60).collect::<Vec<_>>(), "9 s without a poll, a session of 6 s, and still the same member");
    one.close().unwrap();
}
