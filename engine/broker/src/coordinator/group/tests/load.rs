//! A shard takes a partition over: what Kafka wrote is understood, and what we wrote is found again.

use ringlog_wire::batch::Batches;
use ringlog_wire::compression::Scratch;

use super::*;
use crate::coordinator::group::consumer::Fact;
use crate::coordinator::group::offsets::Committed;
use crate::coordinator::group::records::offset_record;
use crate::coordinator::group::state::Group;

/// `__consumer_offsets` partitions of a Kafka 4.3 broker.
const PARTITION_12: &[u8] =
    include_bytes!("../../../../../storage/tests/data/golden-log/__consumer_offsets-12/00000000000000000000.log");
const PARTITION_34: &[u8] =
    include_bytes!("../../../../../storage/tests/data/golden-log/__consumer_offsets-34/00000000000000000000.log");

const T2: Uuid = Uuid([0x64, 0x12, 0x19, 0x3f, 0xb6, 0x65, 0x48, 0x76, 0xb0, 0x38, 0x0e, 0x1a, 0x62, 0x92, 0xb9, 0xca]);

fn moment() -> Moment {
    Moment { now: Nanos(1), wall_ms: 1_800_000_000_000 }
}

fn loaded(partition: i32, log: &[u8]) -> GroupCoordinator {
    let mut coordinator = GroupCoordinator::new(GroupSettings::default());
    coordinator.owned.set_count(50);
    assert_eq!(coordinator.load(partition, log, moment()).unwrap(), []);
    coordinator
}

fn offset(group: &Group, partition: i32) -> &Committed {
    group.offsets.get("t2", partition).unwrap()
}

#[test]
fn groups_are_where_kafka_put_them() {
    for (group, partition) in [("mini-txn-43", 12), ("mini-classic-a411", 34), ("ckconsumer2f06", 34)] {
        assert_eq!(crate::coordinator::partition_of(group, 50), partition, "{group}");
    }
}

#[test]
fn a_group_that_kafka_wrote_is_as_kafka_left_it() {
    let coordinator = loaded(34, PARTITION_34);
    let group = &coordinator.groups["mini-classic-a411"];
    assert_eq!((group.state, group.generation), (State::Empty, 2));
    assert_eq!((group.protocol_type.as_deref(), &group.protocol, &group.leader), (Some("consumer"), &None, &None));
    let found: Vec<(i64, i32)> =
        (0..3).map(|partition| (offset(group, partition).offset, offset(group, partition).leader_epoch)).collect();
    assert_eq!(found, [(0, -1), (144, 0), (359, 0)]);
    assert_eq!(offset(group, 2).topic_id, T2);
    // The offsets of a group of another kind are kept.
    assert_eq!(offset(&coordinator.groups["ckconsumer2f06"], 2).offset, 764);
}

#[test]
fn offsets_of_transactions_count_once_the_transaction_is_committed() {
    let coordinator = loaded(12, PARTITION_12);
    let group = &coordinator.groups["mini-txn-43"];
    // Three transactions: committed, aborted, committed.
    assert_eq!(offset(group, 0).offset, 427);
    assert_eq!(offset(group, 0).log_offset, 12);
    assert!(!group.offsets.is_unstable("t2", 0));

    let batches: Vec<usize> = Batches::new(PARTITION_12).map(|batch| batch.unwrap().bytes.len()).collect();
    let without_last_two: usize = batches[..batches.len() - 2].iter().sum();
    let coordinator = loaded(12, &PARTITION_12[..without_last_two]);
    let group = &coordinator.groups["mini-txn-43"];
    assert!(group.offsets.is_unstable("t2", 0), "the third transaction is open");
    assert_eq!(offset(group, 0).log_offset, 4, "the second was aborted");
}

#[test]
fn a_log_may_come_in_pieces() {
    let mut coordinator = GroupCoordinator::new(GroupSettings::default());
    coordinator.owned.set_count(50);
    coordinator.owned.begin_load(34);
    let mut rest: &[u8] = PARTITION_34;
    while !rest.is_empty() {
        let piece = (1..=rest.len()).find(|len| coordinator.load_part(34, &rest[..*len]).unwrap() > 0).unwrap();
        rest = &rest[piece..];
    }
    assert_eq!(coordinator.finish_load(34, moment()), []);
    let whole = loaded(34, PARTITION_34);
    assert_eq!(format!("{:?}", coordinator.groups), format!("{:?}", whole.groups));
}

#[test]
fn what_kafka_wrote_we_write_the_same() {
    let mut scratch = Scratch::default();
    let mut compared = 0;
    for log in [PARTITION_12, PARTITION_34] {
        for batch in Batches::new(log).map(Result::unwrap).filter(|batch| !batch.header.is_control()) {
            let mut coordinator = GroupCoordinator::new(GroupSettings::default());
            coordinator.owned.set_count(1);
            coordinator.owned.begin_load(0);
            coordinator.load_part(0, batch.bytes).unwrap();
            let records = batch.records(&mut scratch, 1 << 20).unwrap();
            for record in records.map(Result::unwrap) {
                let (key, value) = (record.key.unwrap(), record.value.map(<[u8]>::to_vec));
                compared += usize::from(written_again(&mut coordinator, key, &value, &batch));
            }
        }
    }
    assert_eq!(compared, 4 + 2 + 9 + 8, "empty groups, groups with members, offsets of transactions, other offsets");
}

/// Writes what was loaded from one batch, and compares. False: the record is not of a classic group.
fn written_again(
    coordinator: &mut GroupCoordinator,
    key: &[u8],
    value: &Option<Vec<u8>>,
    batch: &ringlog_wire::batch::Batch<'_>,
) -> bool {
    use ringlog_wire::records::group::GroupKey;
    let ours = match GroupKey::decode(key).unwrap() {
        GroupKey::Other(_) => return false,
        GroupKey::Consumer(of) => {
            let group = of.group_id().to_owned();
            let fact = Fact::decode(of, value.as_deref()).unwrap();
            assert_eq!(fact.encode(&group).unwrap(), (key.to_vec(), value.clone()), "{fact:?}");
            return false;
        }
        GroupKey::Group(key) => {
            let mut written = None;
            coordinator.with_group(&key.group, moment(), |group, env| {
                written = Some(group.record(group.current_assignments(), env).unwrap());
            });
            written.unwrap()
        }
        GroupKey::Offset(key) => {
            let group = coordinator.groups.get_mut(&key.group).unwrap();
            group.offsets.end_transaction(batch.header.producer_id, true);
            offset_record(&key.group, &key.topic, key.partition, group.offsets.get(&key.topic, key.partition).unwrap())
                .unwrap()
        }
    };
    assert_eq!((ours.0.as_slice(), &ours.1), (key, value));
    true
}

#[test]
fn a_stable_group_is_found_again_with_its_members_and_their_sessions() {
    let mut rig = Rig::new();
    let ids = rig.stable(2);
    let log = std::mem::take(&mut rig.log);
    let mut coordinator = GroupCoordinator::new(GroupSettings::default());
    coordinator.owned.set_count(1);
    coordinator.owned.begin_load(0);
    for (offset, (key, value)) in log.iter().enumerate() {
        coordinator.load_part(0, &batch_of(key, value.as_deref(), offset as i64)).unwrap();
    }
    assert_eq!(coordinator.finish_load(0, rig.at), []);
    rig.coordinator = coordinator;
    assert_eq!((rig.state(), rig.generation()), (State::Stable, 1));
    assert_eq!(rig.heartbeat(&ids[0], 1), ErrorCode::NONE);
    let share = rig.sync(sync(&ids[1], 1, &[]));
    assert_eq!(rig.synced(share).assignment, ids[1].as_bytes());
    // Nobody is heard of any more.
    rig.pass_ms(SESSION_MS as u64);
    rig.settle();
    assert_eq!(rig.state(), State::Empty);
}

#[test]
fn a_tombstone_ends_a_group_and_an_offset() {
    let mut rig = Rig::new();
    let mut offset = 0;
    let mut load = |rig: &mut Rig, key: &[u8], value: Option<&[u8]>| {
        offset += 1;
        rig.coordinator.load_part(0, &batch_of(key, value, offset)).unwrap();
    };
    let offset_key = b"\x00\x01\x00\x01g\x00\x01t\x00\x00\x00\x00";
    let group_key = b"\x00\x02\x00\x01g";
    let offset_value = b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01";
    let group_value = b"\x00\x00\x00\x08consumer\x00\x00\x00\x05\xff\xff\xff\xff\x00\x00\x00\x00";
    load(&mut rig, offset_key, Some(offset_value));
    load(&mut rig, group_key, Some(group_value));
    let group = &rig.coordinator.groups["g"];
    assert_eq!((group.generation, group.offsets.get("t", 0).unwrap().offset), (5, 7), "values of version 0");
    load(&mut rig, group_key, None);
    let group = &rig.coordinator.groups["g"];
    assert_eq!((group.generation, group.offsets.get("t", 0).unwrap().offset), (0, 7), "offsets live on");
    load(&mut rig, offset_key, None);
    assert!(!rig.coordinator.groups.contains_key("g"));
}

#[test]
fn a_classic_group_takes_the_place_of_an_empty_one_whose_tombstones_were_not_written() {
    let mut rig = Rig::new();
    let (key, value) = Fact::Group(Some((3, 0))).encode("g").unwrap();
    rig.coordinator.load_part(0, &batch_of(&key, value.as_deref(), 1)).unwrap();
    assert!(rig.coordinator.groups["g"].consumers.is_some());
    let group_value = b"\x00\x00\x00\x08consumer\x00\x00\x00\x05\xff\xff\xff\xff\x00\x00\x00\x00";
    rig.coordinator.load_part(0, &batch_of(b"\x00\x02\x00\x01g", Some(group_value), 2)).unwrap();
    let group = &rig.coordinator.groups["g"];
    assert_eq!((group.generation, group.consumers.is_none()), (5, true));
}

#[test]
fn a_key_of_the_oldest_kind_is_an_offset_too() {
    let mut rig = Rig::new();
    let value = b"\x00\x01\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02";
    rig.coordinator.load_part(0, &batch_of(b"\x00\x00\x00\x01g\x00\x01t\x00\x00\x00\x00", Some(value), 0)).unwrap();
    let offset = rig.coordinator.groups["g"].offsets.get("t", 0).unwrap();
    assert_eq!((offset.offset, offset.commit_ms, offset.expire_ms), (7, 1, 2));
}

#[test]
fn a_damaged_partition_is_not_served_and_the_error_says_where() {
    let mut damaged = PARTITION_34.to_vec();
    damaged[100] ^= 1;
    let mut coordinator = GroupCoordinator::new(GroupSettings::default());
    coordinator.owned.set_count(50);
    let error = coordinator.load(34, &damaged, moment()).unwrap_err().to_string();
    assert!(error.starts_with("__consumer_offsets-34: batch at offset 0"), "{error}");
    assert_eq!(coordinator.owned.check("mini-classic-a411"), Err(ErrorCode::NOT_COORDINATOR));
    assert!(coordinator.groups.is_empty());
}

#[test]
fn a_record_from_the_future_names_its_offset() {
    let mut rig = Rig::new();
    let batch = batch_of(b"\x00\x01\x00\x01g\x00\x01t\x00\x00\x00\x00", Some(b"\x00\x63"), 41);
    let error = rig.coordinator.load_part(0, &batch).unwrap_err().to_string();
    assert!(error.contains("record at offset 41"), "{error}");
}

#[test]
fn a_partition_that_is_taken_away_answers_everybody_who_waits() {
    let mut rig = Rig::new();
    let ids = rig.stable(2);
    let joining = rig.join(9, join(&ids[0]));
    let commit = rig.ask(
        9,
        GroupRequest::OffsetCommit(ringlog_wire::messages::offset_commit::OffsetCommitRequest {
            member_id: ids[1].clone(),
            generation_id_or_member_epoch: 1,
            ..super::commit::commit(0, 1)
        }),
    );
    let effects = rig.coordinator.unload(0);
    rig.act(effects);
    assert_eq!(rig.join_error(joining), ErrorCode::NOT_COORDINATOR);
    assert!(!rig.waits(commit));
    assert_eq!(rig.coordinator.next_deadline(), None);
    // What the log says afterwards concerns nobody.
    rig.settle();
}

fn batch_of(key: &[u8], value: Option<&[u8]>, offset: i64) -> Vec<u8> {
    let mut builder = ringlog_wire::batch::BatchBuilder::new();
    builder.append(1, Some(key), value, &[]);
    builder.finish(&mut Scratch::default()).unwrap();
    let mut bytes = builder.take();
    // The base offset is outside the CRC.
    bytes[..8].copy_from_slice(&offset.to_be_bytes());
    bytes
}
