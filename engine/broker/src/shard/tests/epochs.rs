//! Leader epochs over a kill: what a client that knows an old one is told (KIP-320).

use std::rc::Rc;

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use ringlog_wire::messages::produce::ProduceRequest;

use super::rig::{ClientId, PRODUCE_VERSION, Rig, produce};

/// Where the leader epoch `asked` ends, for a client that believes in `current`: error, epoch, offset.
fn end_of(rig: &mut Rig, client: ClientId, current: i32, asked: i32) -> (i16, i32, i64) {
    let partition =
        OffsetForLeaderPartition { current_leader_epoch: current, leader_epoch: asked, ..Default::default() };
    let topic = OffsetForLeaderTopic { topic: "t".into(), partitions: vec![partition], ..Default::default() };
    let request = OffsetForLeaderEpochRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
    let answer = rig.ask(client, 4, &request).topics[0].partitions[0].clone();
    (answer.error_code, answer.leader_epoch, answer.end_offset)
}

fn write(rig: &mut Rig, client: ClientId) {
    rig.send(client, &[produce("t", 0, 1, 10)]);
    assert!(rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).is_some());
}

fn killed(rig: Rig) -> (Rig, ClientId) {
    let files = Rc::clone(&rig.files);
    drop(rig);
    let mut rig = Rig::on(files, &[]);
    let client = rig.connect();
    (rig, client)
}

/// On the old code the epoch stayed 0, and the same epoch named other records after a power cut.
#[test]
fn a_kill_ends_the_epoch_for_clients_that_know_it() {
    let mut rig = Rig::new(&[]);
    let client = rig.connect();
    rig.create_topic(client, "t", 1, &[]);
    write(&mut rig, client);
    let (mut rig, client) = killed(rig);
    assert_eq!(end_of(&mut rig, client, 0, 0), (ErrorCode::FENCED_LEADER_EPOCH.0, -1, -1), "0 is over");
    assert_eq!(end_of(&mut rig, client, 1, 0), (0, 0, 1));
    assert_eq!(end_of(&mut rig, client, 1, 1), (0, 1, 1));
    write(&mut rig, client);
    assert_eq!(end_of(&mut rig, client, 1, 0), (0, 0, 1), "what follows belongs to the next epoch");
    assert_eq!(end_of(&mut rig, client, 1, 1), (0, 1, 2));
}

/// "Undefined" would send a consumer that stands at the end to `auto.offset.reset`.
#[test]
fn an_epoch_in_which_nothing_was_written_ends_where_the_log_ends() {
    let mut rig = Rig::new(&[]);
    let client = rig.connect();
    rig.create_topic(client, "t", 1, &[]);
    let (rig, _) = killed(rig);
    let (mut rig, client) = killed(rig);
    assert_eq!([0, 1, 2].map(|epoch| end_of(&mut rig, client, 2, epoch)), [(0, 0, 0), (0, 1, 0), (0, 2, 0)]);
    assert_eq!(end_of(&mut rig, client, 2, 3), (0, -1, -1), "one that is still to come");
    write(&mut rig, client);
    assert_eq!(end_of(&mut rig, client, 2, 2), (0, 2, 1));
    assert_eq!(end_of(&mut rig, client, 2, 1).2, 0, "the next one begins there");
}
