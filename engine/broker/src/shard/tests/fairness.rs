//! However much others ask for, and whether they read it or not: who asks for something is answered soon.

use ringlog_wire::messages::metadata::MetadataRequest;

use super::rig::{ClientId, Rig, frame};

const VERSION: i16 = 9;
const PARTITIONS: i32 = 1000;

/// Metadata of everything: an answer of some 30 KB.
fn ask() -> Vec<u8> {
    frame(VERSION, &MetadataRequest { topics: None, ..Default::default() })
}

fn answers(rig: &mut Rig, client: ClientId) -> usize {
    std::iter::from_fn(|| rig.answer::<MetadataRequest>(client, VERSION))
        .inspect(|answer| assert_eq!(answer.topics[0].partitions.len(), PARTITIONS as usize))
        .count()
}

fn rig(settings: &[(&str, &str)]) -> Rig {
    let mut rig = Rig::new(settings);
    let client = rig.connect();
    rig.create_topic(client, "wide", PARTITIONS, &[]);
    rig
}

#[test]
fn one_connection_has_only_its_share_of_a_turn() {
    let mut rig = rig(&[]);
    let (greedy, other) = (rig.connect(), rig.connect());
    rig.post(greedy, &vec![ask(); 300]);
    rig.post(other, &[ask()]);
    let turns = (1..).find(|_| {
        rig.turn();
        answers(&mut rig, other) == 1
    });
    assert!(turns.is_some_and(|turns| turns <= 2), "{turns:?}");
    assert!(answers(&mut rig, greedy) <= 2, "the other was not kept waiting for all of them");
    rig.run();
    assert!(answers(&mut rig, greedy) >= 298, "all of it is answered, without anything more coming in");
}

#[test]
fn an_answer_that_left_at_once_makes_a_turn_due_only_where_something_follows() {
    let mut rig = rig(&[]);
    let (client, other) = (rig.connect(), rig.connect());
    rig.post(client, &[ask()]);
    rig.turn();
    assert_eq!(answers(&mut rig, client), 1);
    assert!(!rig.is_due(), "it waits for the next request, and so do we");
    rig.post(other, &[ask(), ask()]);
    rig.turn();
    assert_eq!(answers(&mut rig, other), 1, "the second answer waits until the first one has left");
    assert!(rig.is_due());
    rig.turn();
    assert_eq!(answers(&mut rig, other), 1);
    while rig.is_due() {
        rig.turn();
    }
    rig.post(client, &[ask()]);
    rig.run();
    assert_eq!(answers(&mut rig, client), 1);
}

#[test]
fn small_requests_in_one_write_are_handled_share_by_share() {
    let mut rig = Rig::new(&[]);
    let client = rig.connect();
    let none = frame(VERSION, &MetadataRequest { topics: Some(Vec::new()), ..Default::default() });
    rig.post(client, &vec![none; 1000]);
    let mut most = 0;
    let mut all = 0;
    while all < 1000 {
        rig.turn();
        let now = std::iter::from_fn(|| rig.answer::<MetadataRequest>(client, VERSION)).count();
        most = most.max(now);
        all += now;
    }
    assert!(most <= 2 * crate::limits::TURN_REQUESTS, "{most} in one turn");
}

#[test]
fn clients_that_stop_reading_are_closed_when_others_need_the_memory_and_slow_ones_are_not() {
    let mut rig = rig(&[("ringlog.memory", "100m"), ("socket.request.max.bytes", "1048576")]);
    let allowed = rig.shard.broker.budget.output_bytes;
    let silent: Vec<_> = (0..400).map(|_| rig.connect()).collect();
    for &client in &silent {
        rig.stall(client, true);
        rig.send(client, &vec![ask(); 100]);
    }
    let held = rig.shard.front.held_bytes().0;
    assert!(held >= allowed && held < allowed + (1 << 20), "{held} of {allowed}");

    let (slow, other) = (silent[0], rig.connect());
    rig.send(other, &[ask()]);
    for _ in 0..20 {
        rig.pass_ms(100);
        rig.trickle(slow);
    }
    assert_eq!(answers(&mut rig, other), 1, "within two seconds");
    let closed = silent.iter().filter(|client| rig.is_closed(**client)).count();
    assert!(!rig.is_closed(slow) && !rig.is_closed(other));
    assert!(0 < closed && closed < silent.len() - 1, "{closed} were closed: no more than it takes");
}
