//! Compaction in the turn: what clients read afterwards and meanwhile, what lies on the disk, and what is refused.

use std::path::Path;

use ringlog_io::Files;
use ringlog_wire::ErrorCode;
use ringlog_wire::batch::{BatchBuilder, Batches};
use ringlog_wire::codec::Records;
use ringlog_wire::compression::Scratch;
use ringlog_wire::messages::delete_topics::DeleteTopicsRequest;
use ringlog_wire::messages::fetch::FetchRequest;
use ringlog_wire::messages::produce::ProduceRequest;

use super::rig::{
    ClientId, FETCH_VERSION, PRODUCE_VERSION, Rig, delete, fetch, frame, produce, produce_batch, produced,
};

/// Looks for logs to clean every second.
const SETTINGS: &[(&str, &str)] = &[("log.cleaner.backoff.ms", "1000"), ("log.cleaner.min.cleanable.ratio", "0.01")];
const COMPACTED: (&str, &str) = ("cleanup.policy", "compact");
/// A segment holds one of these batches.
const VALUE_BYTES: usize = 700_000;

fn keyed(key: &[u8], value_bytes: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.append(1_000, Some(key), Some(&vec![7; value_bytes]), &[]);
    builder.finish(&mut Scratch::default()).expect("no codec").to_vec()
}

/// A compacted topic with so many records of one key, a segment each.
fn filled(rig: &mut Rig, client: ClientId, count: i64, configs: &[(&str, &str)]) {
    let configs: Vec<_> = [COMPACTED, ("segment.bytes", "1048576")].iter().chain(configs).copied().collect();
    rig.create_topic(client, "t", 1, &configs);
    for offset in 0..count {
        rig.send(client, &[produce_batch("t", 0, 1, &keyed(b"k", VALUE_BYTES))]);
        let answer = rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).expect("taken");
        assert_eq!(produced(&answer), (0, offset));
    }
}

/// Offsets of the records that are read from an offset on, a fetch after the other.
fn read(rig: &mut Rig, client: ClientId, mut offset: i64, end: i64) -> Vec<i64> {
    let (mut seen, mut scratch) = (Vec::new(), Scratch::default());
    while offset < end {
        rig.send(client, &[frame(FETCH_VERSION, &fetch("t", 0..1, offset, 1))]);
        let (answer, bytes) = rig.answer_in_frame::<FetchRequest>(client, FETCH_VERSION).expect("an answer at once");
        let partition = &answer.responses[0].partitions[0];
        assert_eq!(partition.error_code, 0);
        let Records::At(range) = &partition.records else { panic!("no records: {partition:?}") };
        let before = offset;
        for batch in Batches::new(&bytes[range.clone()]) {
            let batch = batch.expect("a batch");
            seen.extend(batch.records(&mut scratch, 0).expect("plain").map(|record| record.expect("whole").offset));
            offset = batch.header.next_offset();
        }
        assert!(offset > before, "a read goes on");
    }
    seen
}

fn log_bytes(rig: &Rig) -> Vec<u64> {
    let mut names: Vec<String> =
        rig.files.list(Path::new("/log/t-0")).expect("a folder").into_iter().map(|entry| entry.name).collect();
    names.sort();
    let logs = names.iter().filter(|name| name.ends_with(".log"));
    logs.map(|name| rig.files.read(&Path::new("/log/t-0").join(name)).expect("there").len() as u64).collect()
}

#[test]
fn the_last_of_each_key_stays_and_empty_segments_become_one() {
    let mut rig = Rig::new(SETTINGS);
    let client = rig.connect();
    filled(&mut rig, client, 4, &[]);
    assert_eq!(log_bytes(&rig).len(), 4);
    rig.pass_ms(1_100);
    assert_eq!(read(&mut rig, client, 0, 4), [2, 3], "the last one is in the segment that is written");
    let bytes = log_bytes(&rig);
    assert_eq!((bytes.len(), bytes[0], bytes[1]), (4, 61, 61), "each of them still ends where it did");
    // What is clean joins the next time that something is dirty.
    rig.send(client, &[produce_batch("t", 0, 1, &keyed(b"other", VALUE_BYTES))]);
    assert_eq!(produced(&rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).expect("taken")), (0, 4));
    rig.pass_ms(1_100);
    assert_eq!((log_bytes(&rig).len(), read(&mut rig, client, 0, 5)), (3, vec![3, 4]));
    assert_eq!((rig.shard.vitals().tasks, rig.shard.vitals().replicas.disordered), (0, None));
}

#[test]
fn a_log_that_is_not_compacted_is_left_and_a_record_without_a_key_is_not_taken_into_one_that_is() {
    let mut rig = Rig::new(SETTINGS);
    let client = rig.connect();
    filled(&mut rig, client, 3, &[("cleanup.policy", "delete")]);
    rig.pass_ms(5_000);
    assert_eq!(read(&mut rig, client, 0, 3), [0, 1, 2]);
    rig.create_topic(client, "keys", 1, &[COMPACTED]);
    rig.send(client, &[produce("keys", 0, 1, 10)]);
    let answer = rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).expect("answered");
    assert_eq!(produced(&answer).0, ErrorCode::INVALID_RECORD.0);
}

#[test]
fn cleaning_is_switched_off_by_its_setting() {
    let settings = [SETTINGS, &[("log.cleaner.enable", "false")]].concat();
    let mut rig = Rig::new(&settings);
    let client = rig.connect();
    filled(&mut rig, client, 3, &[]);
    rig.pass_ms(5_000);
    assert_eq!(read(&mut rig, client, 0, 3), [0, 1, 2]);
}

#[test]
fn it_keeps_its_pace_and_clients_are_served_meanwhile() {
    // Three segments of 700 KB are read twice: four seconds and more.
    let settings = [SETTINGS, &[("log.cleaner.io.max.bytes.per.second", "1000000")]].concat();
    let mut rig = Rig::new(&settings);
    let client = rig.connect();
    filled(&mut rig, client, 4, &[]);
    rig.pass_ms(3_000);
    assert_eq!((read(&mut rig, client, 0, 4).len(), rig.shard.vitals().tasks), (4, 1), "it is at it");
    rig.pass_ms(5_000);
    assert_eq!((read(&mut rig, client, 0, 4), rig.shard.vitals().tasks), (vec![2, 3], 0));
}

#[test]
fn a_topic_that_is_deleted_meanwhile_takes_its_cleaning_with_it() {
    let mut rig = Rig::new(SETTINGS);
    let client = rig.connect();
    filled(&mut rig, client, 4, &[]);
    rig.holds_jobs = true;
    rig.pass_ms(1_100);
    for _ in 0..3 {
        assert!(rig.end_jobs() > 0);
    }
    rig.post(client, &[frame(5, &delete("t"))]);
    for _ in 0..20 {
        rig.end_jobs();
        rig.pass_ms(10);
    }
    rig.holds_jobs = false;
    assert_eq!(rig.answer::<DeleteTopicsRequest>(client, 5).expect("answered").responses[0].error_code, 0);
    rig.pass_ms(5_000);
    assert_eq!(rig.shard.vitals().tasks, 0);
    assert!(!rig.files.exists(Path::new("/log/t-0")));
}
