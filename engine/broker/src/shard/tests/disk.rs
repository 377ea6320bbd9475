//! A disk that is full when the broker starts, or that loses what was written: what is served meanwhile, and afterwards.

use std::rc::Rc;

use ringlog_io::sim::{Fault, Op, SimFiles};
use ringlog_wire::messages::create_topics::CreateTopicsRequest;
use ringlog_wire::messages::fetch::FetchRequest;
use ringlog_wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use ringlog_wire::messages::produce::ProduceRequest;

use super::rig::{
    CREATE_VERSION, ClientId, FETCH_VERSION, PRODUCE_VERSION, Rig, creation, fetch, fetched_bytes, frame, produce,
    produced,
};

const EIO: i32 = 5;
const STORAGE_ERROR: i16 = 56;

fn write(rig: &mut Rig, client: ClientId, topic: &str) -> (i16, i64) {
    rig.send(client, &[produce(topic, 0, 1, 100)]);
    produced(&rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).expect("an answer at once"))
}

fn read(rig: &mut Rig, client: ClientId, topic: &str) -> usize {
    fetched_bytes(&rig.ask(client, FETCH_VERSION, &fetch(topic, 0..1, 0, 1)))
}

fn create(rig: &mut Rig, client: ClientId, topic: &str) -> i16 {
    rig.ask(client, CREATE_VERSION, &creation(topic, 1, &[])).topics[0].error_code
}

/// The broker is killed, and starts again in the same boot.
fn restarted(rig: Rig) -> (Rig, ClientId) {
    let files: Rc<SimFiles> = Rc::clone(&rig.files);
    drop(rig);
    let mut rig = Rig::on(files, &[]);
    let client = rig.connect();
    (rig, client)
}

#[test]
fn a_broker_that_starts_on_a_full_disk_serves_what_is_there_and_takes_records_when_there_is_room() {
    let mut rig = Rig::new(&[]);
    let client = rig.connect();
    rig.create_topic(client, "t", 1, &[]);
    assert_eq!(write(&mut rig, client, "t"), (0, 0));
    for left_bytes in [0, 40, 400] {
        rig.files.set_space_bytes(Some(left_bytes));
        let (again, client) = restarted(rig);
        rig = again;
        assert!(read(&mut rig, client, "t") > 100, "{left_bytes}");
        // Whatever found its room, nothing is taken before all of the start is written.
        if rig.shard.desk.as_ref().is_some_and(|desk| desk.is_beginning()) {
            assert_eq!(write(&mut rig, client, "t").0, STORAGE_ERROR, "{left_bytes}");
            assert_eq!(create(&mut rig, client, "u"), STORAGE_ERROR, "{left_bytes}");
        }
        rig.files.set_space_bytes(None);
        rig.pass_ms(2_000);
        let (error, offset) = write(&mut rig, client, "t");
        assert!(error == 0 && offset > 0, "{left_bytes}: {error}");
        assert_eq!(create(&mut rig, client, &format!("new-{left_bytes}")), 0);
    }
    let (mut rig, client) = restarted(rig);
    let (error, offset) = write(&mut rig, client, "t");
    assert_eq!((error, offset), (0, 4), "the next start goes on");
}

#[test]
fn a_failed_sync_takes_the_directory_offline_until_the_next_start_which_trusts_nothing_unsynced() {
    let mut rig = Rig::new(&[]);
    let client = rig.connect();
    rig.create_topic(client, "synced", 1, &[("flush.messages", "1")]);
    rig.create_topic(client, "cached", 1, &[]);
    assert_eq!((write(&mut rig, client, "synced"), write(&mut rig, client, "cached")), ((0, 0), (0, 0)));
    rig.files.fail(Fault::nth(Op::Sync, 1, EIO));
    assert_eq!(write(&mut rig, client, "synced").0, STORAGE_ERROR);
    // The disk is well again, as far as it says; nobody is told so before the next start.
    for topic in ["synced", "cached"] {
        assert_eq!(write(&mut rig, client, topic).0, STORAGE_ERROR, "{topic}");
        assert!(read(&mut rig, client, topic) > 100, "{topic}: what readers saw they see");
    }
    assert_eq!(create(&mut rig, client, "new"), STORAGE_ERROR);

    let (mut rig, client) = restarted(rig);
    assert_eq!(write(&mut rig, client, "cached"), (0, 1));
    let (error, offset) = write(&mut rig, client, "synced");
    assert!(error == 0 && offset >= 1, "{error} {offset}");
    // What was in doubt was written again and synced by that start: a power cut does not take it.
    rig.files.crash();
    let files = Rc::clone(&rig.files);
    drop(rig);
    files.power_on();
    let mut rig = Rig::on(files, &[]);
    let client = rig.connect();
    assert!(read(&mut rig, client, "cached") > 100 && read(&mut rig, client, "synced") > 100);
}

#[test]
fn a_batch_whose_segment_is_full_waits_for_the_roll_and_others_do_not() {
    let mut rig = Rig::new(&[]);
    let (client, other) = (rig.connect(), rig.connect());
    rig.create_topic(client, "t", 1, &[("segment.bytes", "1048576")]);
    rig.create_topic(client, "u", 1, &[]);
    rig.send(client, &[produce("t", 0, 1, 700_000)]);
    assert!(rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).is_some());
    rig.holds_jobs = true;
    rig.send(client, &vec![produce("t", 0, 1, 500_000); 2]);
    assert!(rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).is_none(), "it waits");
    assert_eq!(write(&mut rig, other, "u"), (0, 0));
    assert!(read(&mut rig, other, "t") > 700_000, "readers go on");
    // The first roll, and the one that the third batch asks for.
    for offset in [1, 2] {
        assert!(rig.end_jobs() > 0);
        let answer = rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).expect("rolled");
        assert_eq!(produced(&answer), (0, offset));
    }
}

#[test]
fn a_batch_after_a_rest_waits_for_the_last_page_of_its_log_and_others_do_not() {
    let mut rig = Rig::new(&[]);
    let (client, other) = (rig.connect(), rig.connect());
    rig.create_topic(client, "t", 1, &[]);
    rig.create_topic(client, "new", 1, &[]);
    assert_eq!(write(&mut rig, client, "t"), (0, 0));
    rig.pass_ms(2_000);
    rig.files.set_resident(false);
    rig.holds_jobs = true;
    rig.send(client, &vec![produce("t", 0, 1, 100); 2]);
    assert!(rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).is_none(), "it waits for the disk");
    assert_eq!(write(&mut rig, other, "new"), (0, 0));
    assert!(rig.end_jobs() > 0);
    for offset in [1, 2] {
        let answer = rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).expect("loaded");
        assert_eq!(produced(&answer), (0, offset));
    }
}

#[test]
fn a_time_that_is_looked_up_in_a_cold_segment_is_read_beside_the_thread() {
    let mut rig = Rig::new(&[]);
    let (client, other) = (rig.connect(), rig.connect());
    rig.create_topic(client, "t", 1, &[("segment.bytes", "1048576")]);
    (0..4).for_each(|_| rig.send(client, &[produce("t", 0, 1, 700_000)]));
    (0..4).for_each(|_| drop(rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).expect("taken")));
    rig.files.set_resident(false);
    rig.holds_jobs = true;
    let partition = ListOffsetsPartition { timestamp: 1_700_000_000_000, ..Default::default() };
    let topic = ListOffsetsTopic { name: "t".to_owned(), partitions: vec![partition], ..Default::default() };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
    rig.send(client, &[frame(5, &request)]);
    assert!(rig.answer::<ListOffsetsRequest>(client, 5).is_none(), "it waits for the disk");
    assert_eq!(create_is_answered(&mut rig, other), 0, "others are served");
    let mut jobs = 0;
    let answer = loop {
        let done = rig.end_jobs();
        assert!(done > 0 && jobs < 10, "{jobs} jobs, and no answer");
        jobs += done;
        if let Some(answer) = rig.answer::<ListOffsetsRequest>(client, 5) {
            break answer;
        }
    };
    let found = &answer.topics[0].partitions[0];
    assert_eq!((found.error_code, found.offset, found.timestamp), (0, 0, 1_700_000_000_000));
    // Nobody waits for the answer of a connection that is gone.
    rig.send(client, &[frame(5, &request)]);
    rig.hang_up(client);
    rig.end_jobs();
    assert_eq!(rig.shard.broker.lookups.held(), (0, 0));
}

/// A topic is made while jobs are held: the answer of a request that needs no job.
fn create_is_answered(rig: &mut Rig, client: ClientId) -> i16 {
    rig.send(client, &[frame(CREATE_VERSION, &creation("v", 1, &[]))]);
    rig.answer::<CreateTopicsRequest>(client, CREATE_VERSION).expect("an answer at once").topics[0].error_code
}

#[test]
fn a_deleted_topic_keeps_its_folder_until_the_job_in_it_has_ended() {
    let mut rig = Rig::new(&[]);
    let (client, other) = (rig.connect(), rig.connect());
    rig.create_topic(client, "t", 1, &[("segment.bytes", "1048576")]);
    rig.send(client, &[produce("t", 0, 1, 700_000)]);
    assert!(rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).is_some());
    rig.holds_jobs = true;
    rig.send(client, &[produce("t", 0, 1, 500_000)]);
    rig.send(other, &[frame(4, &super::rig::delete("t"))]);
    assert_ne!(produced(&rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).expect("refused")).0, 0);
    rig.send(client, &[frame(CREATE_VERSION, &creation("t", 1, &[]))]);
    assert!(rig.answer::<CreateTopicsRequest>(client, CREATE_VERSION).is_none(), "the name is not free yet");
    rig.end_jobs();
    rig.holds_jobs = false;
    rig.end_jobs();
    let made = rig.answer::<CreateTopicsRequest>(client, CREATE_VERSION).expect("made");
    assert_eq!(made.topics[0].error_code, 0);
    assert_eq!(write(&mut rig, client, "t"), (0, 0));
    rig.pass_ms(100);
    let fetched = rig.ask::<FetchRequest>(client, FETCH_VERSION, &fetch("t", 0..1, 0, 1));
    assert!(fetched_bytes(&fetched) > 100);
}
