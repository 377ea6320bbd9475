//! A start with logs that the last run left: what is asked meanwhile waits for the logs that it names, and for nothing else.

use std::rc::Rc;

use ringlog_io::sim::SimFiles;
use ringlog_wire::messages::describe_log_dirs::DescribeLogDirsRequest;
use ringlog_wire::messages::fetch::FetchRequest;
use ringlog_wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use ringlog_wire::messages::metadata::MetadataRequest;
use ringlog_wire::messages::produce::ProduceRequest;

use super::rig::{
    CREATE_VERSION, ClientId, FETCH_VERSION, PRODUCE_VERSION, Rig, creation, delete, fetch, fetched_bytes, frame,
    produce, produced,
};

const PARTITIONS: i32 = 24;

/// A broker that starts again, with a topic of many logs with a record each; none of them is opened yet.
fn starting() -> Rig {
    let mut rig = Rig::new(&[]);
    let client = rig.connect();
    rig.create_topic(client, "t", PARTITIONS, &[]);
    for partition in 0..PARTITIONS {
        rig.send(client, &[produce("t", partition, 1, 100)]);
        assert_eq!(produced(&rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).unwrap()), (0, 0));
    }
    let files: Rc<SimFiles> = Rc::clone(&rig.files);
    drop(rig);
    Rig::with_held_jobs(files, &[])
}

fn openings(rig: &Rig) -> usize {
    rig.shard.vitals().openings
}

fn ends(partitions: std::ops::Range<i32>) -> ListOffsetsRequest {
    let partition = |partition_index| ListOffsetsPartition { partition_index, timestamp: -1, ..Default::default() };
    let topic = ListOffsetsTopic {
        name: "t".to_owned(),
        partitions: partitions.map(partition).collect(),
        ..Default::default()
    };
    ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() }
}

/// Rounds of jobs until a client has its answer.
fn rounds_until(rig: &mut Rig, mut is_there: impl FnMut(&mut Rig) -> bool) -> usize {
    (0..100).find(|_| is_there(rig) || rig.end_jobs() > 10_000).expect("an answer")
}

#[test]
fn a_request_waits_for_its_log_which_is_opened_first_and_others_do_not_wait_for_it() {
    let mut rig = starting();
    assert_eq!(openings(&rig), PARTITIONS as usize, "the shard serves, and nothing is open");
    let (writer, other) = (rig.connect(), rig.connect());
    let last = PARTITIONS - 1;
    // Two produces and what asks for the end behind them: in order, whatever waits.
    rig.send(writer, &[produce("t", last, 1, 100), produce("t", last, 1, 100), frame(5, &ends(last..PARTITIONS))]);
    assert!(rig.answer::<ProduceRequest>(writer, PRODUCE_VERSION).is_none(), "its log is not open");
    let request = MetadataRequest { topics: None, ..Default::default() };
    assert_eq!(rig.ask(other, 8, &request).topics.len(), 1, "what names no log does not wait");
    let mut first = None;
    let rounds = rounds_until(&mut rig, |rig| {
        first = rig.answer::<ProduceRequest>(writer, PRODUCE_VERSION);
        first.is_some()
    });
    assert_eq!(produced(&first.unwrap()), (0, 1), "behind what the last run left");
    assert!(rounds <= 3 && openings(&rig) > PARTITIONS as usize / 2, "{rounds} rounds, {} left", openings(&rig));
    assert_eq!(produced(&rig.answer::<ProduceRequest>(writer, PRODUCE_VERSION).unwrap()), (0, 2));
    let ends = rig.answer::<ListOffsetsRequest>(writer, 5).unwrap();
    assert_eq!(ends.topics[0].partitions[0].offset, 3);
}

#[test]
fn what_names_many_logs_is_answered_when_all_of_them_are_open() {
    let mut rig = starting();
    let (reader, asker, describer) = (rig.connect(), rig.connect(), rig.connect());
    rig.send(reader, &[frame(FETCH_VERSION, &fetch("t", 0..PARTITIONS, 0, 1))]);
    rig.send(asker, &[frame(5, &ends(0..PARTITIONS))]);
    rig.send(describer, &[frame(2, &DescribeLogDirsRequest { topics: None, ..Default::default() })]);
    rounds_until(&mut rig, |rig| openings(rig) == 0);
    let fetched = rig.answer::<FetchRequest>(reader, FETCH_VERSION).unwrap();
    assert!(fetched.responses[0].partitions.iter().all(|partition| partition.error_code == 0));
    assert!(fetched_bytes(&fetched) > PARTITIONS as usize * 100);
    let ends = rig.answer::<ListOffsetsRequest>(asker, 5).unwrap();
    assert!(ends.topics[0].partitions.iter().all(|partition| (partition.error_code, partition.offset) == (0, 1)));
    let described = rig.answer::<DescribeLogDirsRequest>(describer, 2).unwrap();
    assert_eq!(described.results[0].topics[0].partitions.len(), PARTITIONS as usize);
}

#[test]
fn a_topic_is_deleted_and_made_again_while_its_logs_wait_to_be_opened() {
    let mut rig = starting();
    let (admin, writer) = (rig.connect(), rig.connect());
    rig.send(writer, &[produce("t", 3, 1, 100)]);
    rig.send(admin, &[frame(3, &delete("t"))]);
    rounds_until(&mut rig, |rig| {
        rig.answer::<ringlog_wire::messages::delete_topics::DeleteTopicsRequest>(admin, 3).is_some()
    });
    let refused =
        produced(&rig.answer::<ProduceRequest>(writer, PRODUCE_VERSION).expect("it waits for nothing any more"));
    assert_eq!(refused.0, 3, "UNKNOWN_TOPIC_OR_PARTITION");
    rig.holds_jobs = false;
    rig.end_jobs();
    assert_eq!(rig.ask(admin, CREATE_VERSION, &creation("t", 2, &[])).topics[0].error_code, 0);
    assert_eq!(write(&mut rig, writer, 1), (0, 0), "nothing is left of the one before");
    assert_eq!(openings(&rig), 0);
}

#[test]
fn a_topic_is_made_while_logs_wait_to_be_opened() {
    let mut rig = starting();
    let client = rig.connect();
    assert_eq!(rig.ask(client, CREATE_VERSION, &creation("new", 1, &[])).topics[0].error_code, 0);
    rig.send(client, &[produce("new", 0, 1, 100)]);
    assert_eq!(produced(&rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).expect("at once")), (0, 0));
    assert!(openings(&rig) > 0);
}

#[test]
fn who_hangs_up_while_its_request_waits_is_forgotten() {
    let mut rig = starting();
    let (first, second) = (rig.connect(), rig.connect());
    rig.send(first, &[produce("t", 5, 1, 100)]);
    rig.shard.close_clients();
    let again = rig.connect();
    rig.holds_jobs = false;
    rig.end_jobs();
    assert_eq!((openings(&rig), rig.is_closed(first), rig.is_closed(second)), (0, true, true));
    assert_eq!(write(&mut rig, again, 5), (0, 1), "what waited was not written");
}

#[test]
fn nobody_waits_for_a_log_when_the_directory_went_offline() {
    let mut rig = starting();
    let (client, other) = (rig.connect(), rig.connect());
    rig.send(client, &[produce("t", 5, 1, 100)]);
    assert!(rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).is_none());
    rig.shard.fail_directory("a sync failed");
    rig.run();
    assert_eq!(produced(&rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).expect("told so")).0, 56);
    assert_eq!(write(&mut rig, other, 6).0, 56, "KAFKA_STORAGE_ERROR");
}

fn write(rig: &mut Rig, client: ClientId, partition: i32) -> (i16, i64) {
    rig.send(client, &[produce("t", partition, 1, 100)]);
    produced(&rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).expect("an answer at once"))
}
