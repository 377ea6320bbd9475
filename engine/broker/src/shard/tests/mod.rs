//! A shard as a value: what clients send and what they are told, turn by turn.

mod cleaner;
mod disk;
mod epochs;
mod fairness;
mod memory;
mod metrics;
mod moves;
mod opening;
mod recompress;
mod retention;
mod rig;
mod settings;
mod siblings;
mod tasks;
mod throttle;
mod transactions;
mod transactions_tv2;
mod writeback;

use std::path::Path;

use ringlog_io::Files;
use ringlog_wire::ErrorCode;
use ringlog_wire::messages::create_topics::CreateTopicsRequest;
use ringlog_wire::messages::delete_topics::DeleteTopicsRequest;
use ringlog_wire::messages::fetch::{FetchRequest, FetchTopic};
use ringlog_wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ringlog_wire::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestTopic};
use ringlog_wire::messages::produce::ProduceRequest;

use rig::{
    CREATE_VERSION, FETCH_VERSION, PRODUCE_VERSION, Rig, alter, batch, creation, delete, fetch, fetched_bytes, frame,
    produce, produced,
};

/// Waiting fetches of the rig's shard, and what they watch.
fn waits(rig: &Rig) -> (usize, usize) {
    rig.shard.broker.fetches.held()
}

// --- waiting fetches -------------------------------------------------------------------------------------------------

#[test]
fn fetches_of_many_partitions_leave_nothing_behind_at_those_that_stay_silent() {
    let mut rig = Rig::new(&[]);
    let (reader, writer) = (rig.connect(), rig.connect());
    rig.create_topic(writer, "t", 50, &[]);
    for offset in 0..100 {
        let mut request = fetch("t", 0..50, 0, 1);
        request.topics[0].partitions[0].fetch_offset = offset;
        rig.send(reader, &[frame(FETCH_VERSION, &request)]);
        assert_eq!(waits(&rig), (1, 50));
        rig.send(writer, &[produce("t", 0, 1, 10)]);
        assert!(rig.answer::<FetchRequest>(reader, FETCH_VERSION).is_some());
        assert_eq!(waits(&rig), (0, 0), "round {offset}");
    }
}

#[test]
fn the_fetch_of_a_closed_connection_waits_no_more() {
    let mut rig = Rig::new(&[]);
    let reader = rig.connect();
    rig.create_topic(reader, "t", 3, &[]);
    let endless = FetchRequest { max_wait_ms: i32::MAX, ..fetch("t", 0..3, 0, 1) };
    rig.send(reader, &[frame(FETCH_VERSION, &endless)]);
    assert_eq!(waits(&rig), (1, 3));
    rig.hang_up(reader);
    assert!(rig.is_closed(reader));
    assert_eq!(waits(&rig), (0, 0));
}

#[test]
fn a_fetch_waits_no_longer_than_the_limit_whatever_it_names() {
    let mut rig = Rig::new(&[("connections.max.idle.ms", "-1")]);
    let reader = rig.connect();
    rig.create_topic(reader, "t", 1, &[]);
    let endless = FetchRequest { max_wait_ms: i32::MAX, ..fetch("t", 0..1, 0, 1) };
    rig.send(reader, &[frame(FETCH_VERSION, &endless)]);
    rig.pass_ms(crate::limits::FETCH_WAIT_MS_MAX - 1);
    assert!(rig.answer::<FetchRequest>(reader, FETCH_VERSION).is_none());
    rig.pass_ms(1);
    assert!(rig.answer::<FetchRequest>(reader, FETCH_VERSION).is_some());
}

#[test]
fn a_fetch_for_more_than_one_byte_is_answered_by_the_flush_that_shows_it() {
    let mut rig = Rig::new(&[]);
    let (reader, writer) = (rig.connect(), rig.connect());
    rig.create_topic(writer, "t", 1, &[("flush.messages", "1")]);
    rig.holds_syncs = true;
    rig.send(reader, &[frame(FETCH_VERSION, &fetch("t", 0..1, 0, 500))]);
    rig.send(writer, &[produce("t", 0, 1, 1000)]);
    assert!(rig.answer::<FetchRequest>(reader, FETCH_VERSION).is_none(), "nothing is visible yet");
    rig.holds_syncs = false;
    rig.end_syncs();
    let answer = rig.answer::<FetchRequest>(reader, FETCH_VERSION).expect("woken by the flush");
    assert!(fetched_bytes(&answer) > 1000);
}

#[test]
fn a_range_that_a_limit_cuts_below_min_bytes_is_not_waited_for() {
    let mut rig = Rig::new(&[]);
    let (reader, writer) = (rig.connect(), rig.connect());
    rig.create_topic(writer, "t", 1, &[]);
    (0..40).for_each(|_| rig.send(writer, &[produce("t", 0, 1, 700)]));
    let mut request = fetch("t", 0..1, 0, 10_000);
    request.topics[0].partitions[0].partition_max_bytes = 10_000;
    let answer = rig.ask(reader, FETCH_VERSION, &request);
    assert!((8_000..=10_000).contains(&fetched_bytes(&answer)), "{}", fetched_bytes(&answer));
}

#[test]
fn min_bytes_above_what_the_partitions_may_hold_is_not_waited_for() {
    let mut rig = Rig::new(&[]);
    let (reader, writer) = (rig.connect(), rig.connect());
    rig.create_topic(writer, "t", 1, &[]);
    (0..40).for_each(|_| rig.send(writer, &[produce("t", 0, 1, 700)]));
    let mut request = fetch("t", 0..1, 0, 20_000);
    request.topics[0].partitions[0].partition_max_bytes = 10_000;
    assert!(fetched_bytes(&rig.ask(reader, FETCH_VERSION, &request)) > 0);
}

#[test]
fn the_end_of_an_older_segment_is_not_waited_for() {
    let mut rig = Rig::new(&[]);
    let (reader, writer) = (rig.connect(), rig.connect());
    rig.create_topic(writer, "t", 1, &[("segment.bytes", "1048576")]);
    (0..3).for_each(|_| rig.send(writer, &[produce("t", 0, 1, 500_000)]));
    let answer = rig.ask(reader, FETCH_VERSION, &fetch("t", 0..1, 1, 1_000_000));
    let one = batch(500_000).len();
    assert_eq!(fetched_bytes(&answer), one, "the second of two in the first segment");
}

#[test]
fn a_fetch_that_lacks_bytes_waits_for_them() {
    let mut rig = Rig::new(&[]);
    let (reader, writer) = (rig.connect(), rig.connect());
    rig.create_topic(writer, "t", 1, &[]);
    rig.send(writer, &[produce("t", 0, 1, 1000)]);
    rig.send(reader, &[frame(FETCH_VERSION, &fetch("t", 0..1, 0, 2500))]);
    assert!(rig.answer::<FetchRequest>(reader, FETCH_VERSION).is_none());
    rig.send(writer, &[produce("t", 0, 1, 1000)]);
    assert!(rig.answer::<FetchRequest>(reader, FETCH_VERSION).is_none());
    rig.send(writer, &[produce("t", 0, 1, 1000)]);
    assert!(rig.answer::<FetchRequest>(reader, FETCH_VERSION).is_some());
}

#[test]
fn a_topic_that_does_not_exist_ends_no_wait_for_one_that_does() {
    let mut rig = Rig::new(&[]);
    let (reader, writer) = (rig.connect(), rig.connect());
    rig.create_topic(writer, "t", 1, &[]);
    let mut request = fetch("t", 0..1, 0, 1);
    request.topics.push(FetchTopic { topic: "gone".to_owned(), ..request.topics[0].clone() });
    let mut answers = 0;
    for _ in 0..6 {
        rig.send(reader, &[frame(FETCH_VERSION, &request)]);
        while let Some(answer) = rig.answer::<FetchRequest>(reader, FETCH_VERSION) {
            answers += 1;
            assert_eq!(answer.responses[1].partitions[0].error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0);
        }
        rig.pass_ms(1000);
    }
    assert_eq!(answers, 5, "one for each wait of a second");
    // Alone it is answered at once.
    rig.pass_ms(1000);
    while rig.answer::<FetchRequest>(reader, FETCH_VERSION).is_some() {}
    let alone = FetchRequest { topics: vec![request.topics[1].clone()], ..request };
    rig.ask(reader, FETCH_VERSION, &alone);
}

// --- the order of a connection's requests ----------------------------------------------------------------------------

fn commit(offset: i64) -> Vec<u8> {
    let partition = OffsetCommitRequestPartition { committed_offset: offset, ..Default::default() };
    let topic = OffsetCommitRequestTopic { name: "t".to_owned(), partitions: vec![partition], ..Default::default() };
    let request = OffsetCommitRequest { group_id: "g".to_owned(), topics: vec![topic], ..Default::default() };
    frame(7, &request)
}

fn committed() -> Vec<u8> {
    let topic = OffsetFetchRequestTopic { name: "t".to_owned(), partition_indexes: vec![0], ..Default::default() };
    frame(5, &OffsetFetchRequest { group_id: "g".to_owned(), topics: Some(vec![topic]), ..Default::default() })
}

#[test]
fn a_committed_offset_is_seen_by_the_request_behind_it() {
    let mut rig = Rig::new(&[("offsets.topic.num.partitions", "1")]);
    let client = rig.connect();
    rig.create_topic(client, "t", 1, &[]);
    rig.create_topic(client, "__consumer_offsets", 1, &[]);
    for offset in 1..50 {
        rig.send(client, &[commit(offset), committed()]);
        let stored = rig.answer::<OffsetCommitRequest>(client, 7).expect("stored");
        assert_eq!(stored.topics[0].partitions[0].error_code, 0);
        let found = rig.answer::<OffsetFetchRequest>(client, 5).expect("found");
        assert_eq!(found.topics[0].partitions[0].committed_offset, offset);
    }
}

#[test]
fn a_fetch_sees_the_unacknowledged_produce_before_it() {
    let mut rig = Rig::new(&[]);
    let client = rig.connect();
    rig.create_topic(client, "t", 1, &[]);
    for offset in 0..20 {
        let at_once = FetchRequest { max_wait_ms: 0, ..fetch("t", 0..1, offset, 1) };
        rig.send(client, &[produce("t", 0, 0, 100), frame(FETCH_VERSION, &at_once)]);
        let answer = rig.answer::<FetchRequest>(client, FETCH_VERSION).expect("answered");
        assert!(fetched_bytes(&answer) > 100, "offset {offset}");
    }
}

#[test]
fn a_topic_is_there_behind_its_creation_and_gone_behind_its_deletion() {
    let mut rig = Rig::new(&[("auto.create.topics.enable", "false")]);
    let client = rig.connect();
    let create = || frame(CREATE_VERSION, &creation("t", 1, &[]));
    for round in 0..5 {
        let requests =
            [create(), produce("t", 0, 1, 10), produce("t", 0, 0, 10), frame(3, &delete("t")), produce("t", 0, 1, 10)];
        rig.send(client, &requests);
        let created = rig.answer::<CreateTopicsRequest>(client, CREATE_VERSION).expect("created");
        assert_eq!(created.topics[0].error_code, 0, "round {round}");
        assert_eq!(produced(&rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).unwrap()), (0, 0));
        let deleted = rig.answer::<DeleteTopicsRequest>(client, 3).expect("deleted");
        assert_eq!(deleted.responses[0].error_code, 0);
        let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0;
        assert_eq!(produced(&rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).unwrap()), (unknown, -1));
    }
}

#[test]
fn produce_requests_behind_each_other_share_a_flush() {
    let mut rig = Rig::new(&[]);
    let client = rig.connect();
    rig.create_topic(client, "t", 1, &[("flush.messages", "1")]);
    rig.send(client, &[produce("t", 0, -1, 100)]);
    assert_eq!(produced(&rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).unwrap()), (0, 0));
    rig.holds_syncs = true;
    rig.send(client, &[produce("t", 0, -1, 100), produce("t", 0, -1, 100), produce("t", 0, -1, 100)]);
    rig.holds_syncs = false;
    rig.end_syncs();
    for offset in 1..4 {
        assert_eq!(produced(&rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).unwrap()), (0, offset));
    }
}

#[test]
fn requests_that_wait_hold_no_receive_buffer() {
    let mut rig = Rig::new(&[]);
    let first = rig.connect();
    rig.create_topic(first, "t", 1, &[]);
    let memory = rig.receive_pool.take(64 << 10).as_ptr();
    for _ in 0..20 {
        let client = rig.connect();
        let polls: Vec<Vec<u8>> = (0..200).map(|_| frame(FETCH_VERSION, &fetch("t", 0..1, 0, 1))).collect();
        rig.send(client, &polls);
        assert_eq!(rig.receive_pool.take(64 << 10).as_ptr(), memory, "the one buffer is free again");
    }
    assert_eq!(waits(&rig), (20, 20), "one poll of each connection waits");
}

// --- acknowledgements ------------------------------------------------------------------------------------------------

#[test]
fn deleting_a_topic_answers_who_waits_for_its_flush() {
    let mut rig = Rig::new(&[]);
    let admin = rig.connect();
    rig.create_topic(admin, "t", 1, &[("flush.messages", "1")]);
    let clients: Vec<_> = (0..6).map(|_| rig.connect()).collect();
    rig.holds_syncs = true;
    clients.iter().for_each(|client| rig.send(*client, &[produce("t", 0, -1, 100)]));
    rig.send(admin, &[frame(3, &delete("t"))]);
    rig.end_syncs();
    rig.end_syncs();
    for client in clients {
        let answer = rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).expect("answered");
        let (error, _) = produced(&answer);
        assert!([0, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0].contains(&error), "{error}");
    }
}

#[test]
fn flushing_each_message_from_now_on_hides_nothing_that_readers_saw() {
    let mut rig = Rig::new(&[]);
    let (client, other) = (rig.connect(), rig.connect());
    rig.create_topic(client, "t", 1, &[]);
    (0..50).for_each(|_| rig.send(client, &[produce("t", 0, 0, 10)]));
    assert_eq!(rig.latest(client, "t"), 50);
    rig.ask(client, 1, &alter("t", "flush.messages", "1"));
    // Nothing of it is flushed, and no flush ends.
    rig.holds_syncs = true;
    rig.send(other, &[produce("t", 0, 0, 10)]);
    assert_eq!(rig.latest(client, "t"), 50);
}

#[test]
fn flushing_no_message_any_more_answers_who_waits_for_a_flush() {
    let mut rig = Rig::new(&[]);
    let (client, admin) = (rig.connect(), rig.connect());
    rig.create_topic(client, "t", 1, &[("flush.messages", "1")]);
    rig.send(client, &[produce("t", 0, -1, 10)]);
    rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).unwrap();
    rig.holds_syncs = true;
    rig.send(client, &[produce("t", 0, -1, 10)]);
    rig.send(admin, &[frame(1, &alter("t", "flush.messages", "1000000"))]);
    rig.end_syncs();
    assert!(rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).is_some());
    assert_eq!(rig.latest(client, "t"), 2);
}

// --- silence ---------------------------------------------------------------------------------------------------------

#[test]
fn a_client_that_reads_nothing_is_closed_like_a_silent_one() {
    let mut rig = Rig::new(&[("connections.max.idle.ms", "5000")]);
    let (reader, writer) = (rig.connect(), rig.connect());
    rig.create_topic(writer, "t", 1, &[]);
    rig.send(writer, &[produce("t", 0, 1, 1000)]);
    rig.stall(reader, true);
    rig.send(reader, &[frame(FETCH_VERSION, &fetch("t", 0..1, 0, 1))]);
    rig.pass_ms(4_000);
    assert!(!rig.is_closed(reader));
    rig.pass_ms(10_000);
    assert!(rig.is_closed(reader));
}

#[test]
fn a_large_request_may_come_slowly_and_one_that_stops_coming_is_closed() {
    let mut rig = Rig::new(&[("connections.max.idle.ms", "5000")]);
    let client = rig.connect();
    rig.create_topic(client, "t", 1, &[]);
    let whole = produce("t", 0, 1, 900_000);
    let (first, rest) = whole.split_at(100_000);
    rig.send(client, &[first.to_vec()]);
    for piece in rest.chunks(100_000) {
        rig.pass_ms(3_000);
        assert!(!rig.is_closed(client));
        rig.send(client, &[piece.to_vec()]);
    }
    assert_eq!(produced(&rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).expect("answered")), (0, 0));
    rig.send(client, &[first.to_vec()]);
    rig.pass_ms(14_000);
    assert!(rig.is_closed(client));
}

#[test]
fn a_client_that_reads_slowly_or_waits_for_its_answer_is_not_silent() {
    let mut rig = Rig::new(&[("connections.max.idle.ms", "5000")]);
    let (reader, waiter) = (rig.connect(), rig.connect());
    rig.create_topic(waiter, "t", 1, &[]);
    rig.send(waiter, &[produce("t", 0, 1, 1000)]);
    let long = FetchRequest { max_wait_ms: 60_000, ..fetch("t", 0..1, 1, 1) };
    rig.send(waiter, &[frame(FETCH_VERSION, &long)]);
    for _ in 0..5 {
        rig.stall(reader, true);
        rig.send(reader, &[frame(FETCH_VERSION, &fetch("t", 0..1, 0, 1))]);
        rig.pass_ms(3_000);
        rig.stall(reader, false);
    }
    assert!(!rig.is_closed(reader) && !rig.is_closed(waiter));
}

// --- jobs beside the thread ------------------------------------------------------------------------------------------

/// On the old code the lookup read the disk on the shard's thread.
#[test]
fn a_fetch_of_what_is_not_cached_waits_for_its_job_while_others_are_served() {
    let mut rig = Rig::new(&[]);
    let (reader, other, writer) = (rig.connect(), rig.connect(), rig.connect());
    rig.create_topic(writer, "t", 1, &[]);
    for _ in 0..100 {
        rig.send(writer, &[produce("t", 0, 1, 100)]);
    }
    rig.files.set_resident(false);
    rig.holds_jobs = true;
    for client in [reader, other] {
        rig.send(client, &[frame(FETCH_VERSION, &fetch("t", 0..1, 0, 1))]);
        assert!(rig.answer::<FetchRequest>(client, FETCH_VERSION).is_none());
    }
    rig.send(writer, &[produce("t", 0, 1, 100)]);
    assert_eq!(rig.answer::<ProduceRequest>(writer, PRODUCE_VERSION).map(|answer| produced(&answer)), Some((0, 0)));
    rig.holds_jobs = false;
    assert_eq!(rig.end_jobs(), 1, "one for both");
    for client in [reader, other] {
        let answer = rig.answer::<FetchRequest>(client, FETCH_VERSION).expect("looked again");
        assert!(fetched_bytes(&answer) > 100 * 100);
    }
    assert_eq!(waits(&rig), (0, 0));
}

#[test]
fn a_fetch_whose_job_takes_too_long_is_answered_when_its_time_is_over() {
    let mut rig = Rig::new(&[]);
    let (reader, writer) = (rig.connect(), rig.connect());
    rig.create_topic(writer, "t", 1, &[]);
    for _ in 0..100 {
        rig.send(writer, &[produce("t", 0, 1, 100)]);
    }
    rig.files.set_resident(false);
    rig.holds_jobs = true;
    rig.send(reader, &[frame(FETCH_VERSION, &fetch("t", 0..1, 0, 1))]);
    rig.pass_ms(1000);
    let answer = rig.answer::<FetchRequest>(reader, FETCH_VERSION).expect("its time is over");
    assert_eq!(fetched_bytes(&answer), 0);
    rig.holds_jobs = false;
    rig.end_jobs();
    let answer = rig.ask(reader, FETCH_VERSION, &fetch("t", 0..1, 0, 1));
    assert!(fetched_bytes(&answer) > 0, "what was loaded is there for the next");
}

/// On the old code it was answered at once, without records: a client that never waits learns nothing of a disk whose pages go
/// again before it asks again.
#[test]
fn a_fetch_that_does_not_wait_gets_what_lies_on_the_disk() {
    let mut rig = Rig::new(&[]);
    let (reader, writer) = (rig.connect(), rig.connect());
    rig.create_topic(writer, "t", 2, &[]);
    for _ in 0..100 {
        rig.send(writer, &[produce("t", 0, 1, 100)]);
    }
    rig.files.set_resident(false);
    rig.holds_jobs = true;
    for min_bytes in [0, 1] {
        let cold = FetchRequest { max_wait_ms: 0, ..fetch("t", 0..2, 0, min_bytes) };
        rig.send(reader, &[frame(FETCH_VERSION, &cold)]);
        assert!(rig.answer::<FetchRequest>(reader, FETCH_VERSION).is_none(), "it is being read");
        rig.end_jobs();
        let answer = rig.answer::<FetchRequest>(reader, FETCH_VERSION).expect("as soon as it is there");
        assert!(fetched_bytes(&answer) > 100 * 100);
    }
    let nothing = FetchRequest { max_wait_ms: 0, ..fetch("t", 1..2, 0, 1) };
    assert_eq!(fetched_bytes(&rig.ask(reader, FETCH_VERSION, &nothing)), 0, "what is empty is answered at once");
    let cold = FetchRequest { max_wait_ms: 0, ..fetch("t", 0..1, 0, 1) };
    rig.send(reader, &[frame(FETCH_VERSION, &cold)]);
    rig.pass_ms(crate::limits::DISK_WAIT_MS);
    let answer = rig.answer::<FetchRequest>(reader, FETCH_VERSION).expect("a disk that is not well is not waited for");
    assert_eq!(fetched_bytes(&answer), 0);
}

/// On the old code the shard's thread removed the files.
#[test]
fn a_deleted_topic_is_gone_before_its_files_are() {
    let mut rig = Rig::new(&[]);
    let (admin, client) = (rig.connect(), rig.connect());
    rig.create_topic(client, "t", 1, &[]);
    rig.holds_jobs = true;
    rig.send(admin, &[frame(3, &delete("t"))]);
    let folders = |rig: &Rig| {
        let entries = rig.files.list(Path::new("/log")).unwrap();
        entries.into_iter().map(|entry| entry.name).filter(|name| name.starts_with("t-0")).collect::<Vec<_>>()
    };
    assert!(folders(&rig)[0].ends_with("-delete"), "{:?}", folders(&rig));
    rig.create_topic(client, "t", 1, &[]);
    rig.holds_jobs = false;
    rig.end_jobs();
    assert_eq!(folders(&rig), ["t-0"]);
}
