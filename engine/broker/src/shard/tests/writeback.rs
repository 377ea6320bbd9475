//! A disk that does not keep up: who waits, who does not, and what a write-back that fails means.

use std::io;

use ringlog_wire::messages::fetch::FetchRequest;
use ringlog_wire::messages::produce::ProduceRequest;

use super::rig::{ClientId, FETCH_VERSION, PRODUCE_VERSION, Rig, fetch, fetched_bytes, frame, produce, produced};

const KAFKA_STORAGE_ERROR: i16 = 56;
const VALUE_LEN: usize = 100_000;

/// Error, base offset and throttle time of an answer that is here.
fn answered(rig: &mut Rig, client: ClientId) -> Option<(i16, i64, i32)> {
    let answer = rig.answer::<ProduceRequest>(client, PRODUCE_VERSION)?;
    let (error, base_offset) = produced(&answer);
    Some((error, base_offset, answer.throttle_time_ms))
}

/// Room for a little more than three batches, and a disk that takes none.
fn slow(clients: usize) -> (Rig, Vec<ClientId>) {
    let mut rig = Rig::new(&[("ringlog.writeback.bytes", "310000")]);
    let clients: Vec<_> = (0..clients).map(|_| rig.connect()).collect();
    rig.create_topic(clients[0], "t", 1, &[]);
    rig.holds_writebacks = true;
    (rig, clients)
}

#[test]
fn produces_wait_when_the_disk_lacks_too_much_and_fetches_do_not() {
    let (mut rig, clients) = slow(2);
    let (client, reader) = (clients[0], clients[1]);
    for offset in 0..4 {
        rig.send(client, &[produce("t", 0, -1, VALUE_LEN)]);
        assert_eq!(answered(&mut rig, client), Some((0, offset, 0)), "nothing is known of the disk's speed");
    }
    rig.send(client, &[produce("t", 0, -1, VALUE_LEN)]);
    assert_eq!(answered(&mut rig, client), None);
    rig.send(reader, &[frame(FETCH_VERSION, &fetch("t", 0..1, 0, 1))]);
    let answer = rig.answer::<FetchRequest>(reader, FETCH_VERSION).expect("an answer at once");
    assert!(fetched_bytes(&answer) > 0);
    rig.pass_ms(10_000);
    assert_eq!(answered(&mut rig, client), None, "however long it takes");
    assert_eq!(rig.end_writebacks(|| Ok(None)), 1, "one piece at a time and log");
    let (error, offset, throttle_ms) = answered(&mut rig, client).expect("there is room");
    assert_eq!((error, offset), (0, 4));
    assert!(throttle_ms > 500, "{throttle_ms}: 200 kB took the disk ten seconds");
}

#[test]
fn who_is_throttled_is_heard_later_and_all_is_written_in_the_end() {
    let (mut rig, clients) = slow(1);
    let client = clients[0];
    (0..2).for_each(|_| rig.send(client, &[produce("t", 0, -1, VALUE_LEN)]));
    rig.pass_ms(100);
    rig.end_writebacks(|| Ok(None));
    (0..3).for_each(|_| rig.send(client, &[produce("t", 0, -1, VALUE_LEN)]));
    let answers: Vec<_> = std::iter::from_fn(|| answered(&mut rig, client)).collect();
    assert_eq!(answers.len(), 5, "{answers:?}");
    // Two megabytes a second, of which a fifth more is let in than the disk takes.
    assert!(answers[..4].iter().all(|answer| answer.2 == 0) && (30..60).contains(&answers[4].2), "{answers:?}");
    rig.send(client, &[produce("t", 0, -1, 100)]);
    assert_eq!(answered(&mut rig, client), None, "its connection is not read for so long");
    rig.pass_ms(100);
    assert!(answered(&mut rig, client).is_some());
    rig.holds_writebacks = false;
    rig.end_writebacks(|| Ok(None));
    rig.pass_ms(10_000);
    let vitals = rig.shard.vitals();
    assert_eq!((vitals.unwritten, vitals.writebacks), (0, 0));
}

#[test]
fn pages_that_the_disk_lost_take_the_directory_offline_and_nobody_waits_for_it() {
    let (mut rig, clients) = slow(2);
    (0..5).for_each(|_| rig.send(clients[0], &[produce("t", 0, -1, VALUE_LEN)]));
    for offset in 0..4 {
        assert_eq!(answered(&mut rig, clients[0]), Some((0, offset, 0)));
    }
    rig.end_writebacks(|| Err(io::Error::from_raw_os_error(5)));
    assert_eq!(answered(&mut rig, clients[0]), Some((KAFKA_STORAGE_ERROR, -1, 0)));
    rig.send(clients[1], &[produce("t", 0, -1, 100)]);
    assert_eq!(answered(&mut rig, clients[1]), Some((KAFKA_STORAGE_ERROR, -1, 0)));
    assert_eq!(rig.shard.vitals().unwritten, 0);
}
