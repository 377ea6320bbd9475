//! Old segments and DeleteRecords: what clients are told, what lies on the disk, and when.

use std::path::Path;

use ringlog_io::Files;
use ringlog_io::sim::{Fault, Op};
use ringlog_wire::ErrorCode;
use ringlog_wire::messages::alter_replica_log_dirs::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
};
use ringlog_wire::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use ringlog_wire::messages::describe_log_dirs::{DescribableLogDirTopic, DescribeLogDirsRequest};
use ringlog_wire::messages::fetch::FetchRequest;
use ringlog_wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use ringlog_wire::messages::produce::ProduceRequest;

use super::rig::{
    ClientId, FETCH_VERSION, PRODUCE_VERSION, Rig, alter, fetch, fetched_bytes, frame, produce, produced,
};

const OUT_OF_RANGE: i16 = ErrorCode::OFFSET_OUT_OF_RANGE.0;
/// Looks for old segments every ten seconds, the first one after five.
const SETTINGS: &[(&str, &str)] =
    &[("log.retention.check.interval.ms", "10000"), ("log.initial.task.delay.ms", "5000")];
/// A segment holds one of these batches.
const VALUE_BYTES: usize = 700_000;

/// A topic with a batch in each of `count` segments.
fn filled(rig: &mut Rig, client: ClientId, topic: &str, count: i64, configs: &[(&str, &str)]) {
    let configs: Vec<_> = [("segment.bytes", "1048576")].iter().chain(configs).copied().collect();
    rig.create_topic(client, topic, 1, &configs);
    for offset in 0..count {
        rig.send(client, &[produce(topic, 0, 1, VALUE_BYTES)]);
        let answer = rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).expect("taken");
        assert_eq!(produced(&answer), (0, offset));
    }
}

fn earliest(rig: &mut Rig, client: ClientId, topic: &str) -> i64 {
    let partition = ListOffsetsPartition { timestamp: -2, ..Default::default() };
    let topic = ListOffsetsTopic { name: topic.to_owned(), partitions: vec![partition], ..Default::default() };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
    rig.ask(client, 5, &request).topics[0].partitions[0].offset
}

/// The logs in a partition's folder, and the files that are to be removed.
fn logs(rig: &Rig, topic: &str) -> (usize, usize) {
    let names = rig.files.list(Path::new(&format!("/log/{topic}-0"))).expect("a folder");
    let ending = |ending: &str| names.iter().filter(|entry| entry.name.ends_with(ending)).count();
    (ending(".log"), ending(".log.deleted"))
}

fn deletion(offsets: &[(&str, i32, i64)]) -> DeleteRecordsRequest {
    let one = |(topic, partition_index, offset): &(&str, i32, i64)| DeleteRecordsTopic {
        name: (*topic).to_owned(),
        partitions: vec![DeleteRecordsPartition {
            partition_index: *partition_index,
            offset: *offset,
            ..Default::default()
        }],
        ..Default::default()
    };
    let topics = offsets.iter().map(one).collect();
    DeleteRecordsRequest { topics, timeout_ms: 3_000, ..Default::default() }
}

/// Low watermark and error of each partition.
fn deleted(rig: &mut Rig, client: ClientId, offsets: &[(&str, i32, i64)]) -> Vec<(i64, i16)> {
    let answer = rig.ask(client, 2, &deletion(offsets));
    answer.topics.iter().map(|topic| (topic.partitions[0].low_watermark, topic.partitions[0].error_code)).collect()
}

#[test]
fn a_setting_that_is_altered_acts_at_the_next_look_and_files_go_after_their_delay() {
    let mut rig = Rig::new(SETTINGS);
    let client = rig.connect();
    filled(&mut rig, client, "t", 4, &[("file.delete.delay.ms", "20000")]);
    rig.pass_ms(6_000);
    assert_eq!((earliest(&mut rig, client, "t"), logs(&rig, "t")), (0, (4, 0)), "a week is kept");
    rig.ask(client, 0, &alter("t", "retention.bytes", "1500000"));
    rig.pass_ms(8_000);
    assert_eq!(earliest(&mut rig, client, "t"), 0, "not before the next look");
    rig.pass_ms(2_000);
    // AlterConfigs replaces all of a topic's settings: the delay is Kafka's minute again.
    assert_eq!((earliest(&mut rig, client, "t"), logs(&rig, "t")), (1, (3, 1)));
    let answer = rig.ask(client, FETCH_VERSION, &fetch("t", 0..1, 0, 1));
    assert_eq!(answer.responses[0].partitions[0].error_code, OUT_OF_RANGE);
    assert!(fetched_bytes(&rig.ask(client, FETCH_VERSION, &fetch("t", 0..1, 1, 1))) > VALUE_BYTES);
    rig.pass_ms(61_000);
    assert_eq!(logs(&rig, "t"), (3, 0));
}

#[test]
fn the_active_segment_goes_too_and_what_is_sent_meanwhile_is_kept() {
    let mut rig = Rig::new(SETTINGS);
    let client = rig.connect();
    filled(&mut rig, client, "t", 3, &[("retention.ms", "1000"), ("message.timestamp.type", "LogAppendTime")]);
    rig.holds_jobs = true;
    rig.pass_ms(6_000);
    let is_rolling = |rig: &Rig| rig.shard.broker.replicas.all().any(|replica| replica.log().is_rolling());
    // Before that the old segments are opened.
    while !is_rolling(&rig) {
        assert!(rig.end_jobs() > 0);
    }
    rig.send(client, &[produce("t", 0, 1, 100)]);
    assert!(rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).is_none(), "the segment is being rolled");
    while rig.end_jobs() > 0 {}
    assert_eq!(produced(&rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).expect("rolled")), (0, 3));
    rig.holds_jobs = false;
    assert_eq!((earliest(&mut rig, client, "t"), logs(&rig, "t")), (3, (1, 3)));
    assert!(fetched_bytes(&rig.ask(client, FETCH_VERSION, &fetch("t", 0..1, 3, 1))) > 100);
}

#[test]
fn old_segments_that_are_not_in_the_page_cache_are_looked_at_beside_the_thread() {
    let mut rig = Rig::new(SETTINGS);
    let client = rig.connect();
    filled(&mut rig, client, "t", 3, &[("retention.ms", "1000")]);
    rig.files.set_resident(false);
    rig.pass_ms(6_000);
    assert_eq!((earliest(&mut rig, client, "t"), logs(&rig, "t")), (3, (1, 3)));
}

#[test]
fn records_are_deleted_for_good_and_each_partition_has_kafkas_answer() {
    let mut rig = Rig::new(SETTINGS);
    let client = rig.connect();
    filled(&mut rig, client, "t", 4, &[]);
    filled(&mut rig, client, "compacted", 0, &[("cleanup.policy", "compact")]);
    filled(&mut rig, client, "both", 0, &[("cleanup.policy", "compact,delete")]);
    filled(&mut rig, client, "all", 2, &[]);
    let unknown = (-1, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0);
    let asked = [
        ("t", 0, 2),
        ("t", 1, 0),
        ("nothing", 0, 0),
        ("compacted", 0, 0),
        ("both", 0, -1),
        ("all", 0, -1),
        ("__consumer_offsets", 0, 0),
        ("t", 0, 5),
        ("t", 0, -2),
        ("t", 0, 1),
    ];
    let told = deleted(&mut rig, client, &asked);
    let out_of_range = (-1, OUT_OF_RANGE);
    assert_eq!(told[..3], [(2, 0), unknown, unknown]);
    assert_eq!(told[3], (-1, ErrorCode::POLICY_VIOLATION.0));
    assert_eq!(told[4..6], [(0, 0), (2, 0)], "up to the high watermark");
    assert_eq!(told[6], (-1, ErrorCode::INVALID_TOPIC_EXCEPTION.0));
    assert_eq!(told[7..], [out_of_range, out_of_range, (2, 0)]);
    assert_eq!(earliest(&mut rig, client, "t"), 2);
    assert_eq!(logs(&rig, "t"), (2, 2), "what lies below wholly goes at once");

    // It was answered: a kill brings nothing back.
    let files = std::rc::Rc::clone(&rig.files);
    drop(rig);
    let mut rig = Rig::on(files, SETTINGS);
    let client = rig.connect();
    assert_eq!((earliest(&mut rig, client, "t"), earliest(&mut rig, client, "all")), (2, 2));
    assert_eq!(logs(&rig, "t"), (2, 0), "the start removes what the last run left");
}

#[test]
fn a_deletion_whose_start_cannot_be_noted_is_refused_and_noted_later() {
    let mut rig = Rig::new(SETTINGS);
    let client = rig.connect();
    filled(&mut rig, client, "t", 3, &[]);
    rig.files.fail(Fault::nth(Op::Rename, 1, 5).for_ever());
    assert_eq!(deleted(&mut rig, client, &[("t", 0, 2)]), [(-1, ErrorCode::KAFKA_STORAGE_ERROR.0)]);
    assert_eq!(logs(&rig, "t"), (3, 0), "no file is touched");
    rig.files.heal();
    rig.pass_ms(62_000);
    assert_eq!((earliest(&mut rig, client, "t"), logs(&rig, "t").0), (2, 1));
    assert_eq!(deleted(&mut rig, client, &[("t", 0, 2)]), [(2, 0)]);
}

#[test]
fn a_deletion_waits_for_the_disk_and_not_for_followers_that_it_gives_no_time() {
    let mut rig = Rig::new(SETTINGS);
    let client = rig.connect();
    filled(&mut rig, client, "t", 2, &[]);
    rig.holds_jobs = true;
    rig.send(client, &[frame(2, &DeleteRecordsRequest { timeout_ms: 0, ..deletion(&[("t", 0, 1)]) })]);
    rig.pass_ms(3_100);
    assert!(rig.answer::<DeleteRecordsRequest>(client, 2).is_none());
    while rig.end_jobs() > 0 {}
    let answer = rig.answer::<DeleteRecordsRequest>(client, 2).expect("when the disk has it");
    let partition = &answer.topics[0].partitions[0];
    assert_eq!((partition.low_watermark, partition.error_code), (1, ErrorCode::NONE.0));
}

#[test]
fn a_topic_that_is_deleted_with_old_segments_on_their_way_out_leaves_nothing() {
    let mut rig = Rig::new(SETTINGS);
    let client = rig.connect();
    filled(&mut rig, client, "t", 3, &[]);
    assert_eq!(deleted(&mut rig, client, &[("t", 0, 2)]), [(2, 0)]);
    rig.ask(client, 5, &super::rig::delete("t"));
    rig.pass_ms(100);
    filled(&mut rig, client, "t", 2, &[]);
    rig.pass_ms(120_000);
    assert_eq!((earliest(&mut rig, client, "t"), logs(&rig, "t")), (0, (2, 0)), "the new topic has its own start");
    assert!(fetched_bytes(&rig.ask(client, FETCH_VERSION, &fetch("t", 0..1, 0, 1))) > VALUE_BYTES);
    assert!(rig.answer::<FetchRequest>(client, FETCH_VERSION).is_none());
}

/// The checkpoint files have one id for a topic's name. While they had that of the topic before for its other partition, the
/// start that was answered did not count at the next start.
#[test]
fn the_start_of_a_topic_that_was_made_anew_counts_before_all_its_partitions_were_noted() {
    let mut rig = Rig::new(SETTINGS);
    let client = rig.connect();
    rig.create_topic(client, "t", 2, &[]);
    rig.pass_ms(62_000);
    rig.ask(client, 5, &super::rig::delete("t"));
    rig.create_topic(client, "t", 2, &[]);
    for _ in 0..3 {
        rig.send(client, &[produce("t", 0, 1, 100)]);
        assert_eq!(produced(&rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).expect("taken")).0, 0);
    }
    assert_eq!(deleted(&mut rig, client, &[("t", 0, 2)]), [(2, 0)]);
    let files = std::rc::Rc::clone(&rig.files);
    drop(rig);
    let mut rig = Rig::on(files, SETTINGS);
    let client = rig.connect();
    assert_eq!(earliest(&mut rig, client, "t"), 2);
}

#[test]
fn log_dirs_say_the_bytes_of_each_partition_that_is_asked_for() {
    let mut rig = Rig::new(SETTINGS);
    let client = rig.connect();
    filled(&mut rig, client, "t", 3, &[]);
    filled(&mut rig, client, "u", 1, &[]);
    let ask = |rig: &mut Rig, topics: Option<Vec<DescribableLogDirTopic>>| {
        let answer = rig.ask(client, 5, &DescribeLogDirsRequest { topics, ..Default::default() });
        let [dir] = &answer.results[..] else { panic!("{answer:?}") };
        assert_eq!((dir.error_code, dir.log_dir.as_str(), dir.is_cordoned), (0, "/log", false));
        let topics = dir.topics.iter().map(|topic| (topic.name.clone(), topic.partitions[0].partition_size));
        topics.collect::<Vec<_>>()
    };
    let all = ask(&mut rig, None);
    assert_eq!(all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["t", "u"]);
    assert!(all[0].1 == 3 * all[1].1 && all[1].1 > VALUE_BYTES as i64, "{all:?}");
    let of =
        |topic: &str, partitions| DescribableLogDirTopic { topic: topic.to_owned(), partitions, ..Default::default() };
    let asked = vec![of("u", vec![0, 7]), of("t", vec![1]), of("nothing", vec![0])];
    assert_eq!(ask(&mut rig, Some(asked)), all[1..]);
    rig.files.set_space_bytes(Some(1234));
    let answer = rig.ask(client, 4, &DescribeLogDirsRequest { topics: None, ..Default::default() });
    assert_eq!(answer.results[0].usable_bytes, 1234);
    assert!(answer.results[0].total_bytes > 1234);
}

#[test]
fn a_partition_lies_in_the_one_folder_and_goes_to_no_other() {
    let mut rig = Rig::new(SETTINGS);
    let client = rig.connect();
    rig.create_topic(client, "t", 1, &[]);
    let dir = |path: &str, topic: &str, partitions: &[i32]| AlterReplicaLogDir {
        path: path.to_owned(),
        topics: vec![AlterReplicaLogDirTopic {
            name: topic.to_owned(),
            partitions: partitions.to_vec(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let dirs = vec![dir("/log", "t", &[0, 1]), dir("/log", "nothing", &[0]), dir("/elsewhere", "t", &[0])];
    let answer = rig.ask(client, 2, &AlterReplicaLogDirsRequest { dirs, ..Default::default() });
    let said = answer.results.iter().flat_map(|topic| topic.partitions.iter().map(|one| ErrorCode(one.error_code)));
    let missing = ErrorCode::REPLICA_NOT_AVAILABLE;
    assert_eq!(said.collect::<Vec<_>>(), [ErrorCode::NONE, missing, missing, ErrorCode::LOG_DIR_NOT_FOUND]);
}
