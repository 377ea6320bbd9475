//! The log: what Kafka wrote is understood, what was written is found again, and other requests see the group.

use ringlog_wire::messages::delete_groups::DeleteGroupsRequest;
use ringlog_wire::messages::describe_groups::DescribeGroupsRequest;
use ringlog_wire::messages::list_groups::ListGroupsRequest;
use ringlog_wire::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup};
use ringlog_wire::records::group::GroupKey;

use super::super::fact::Fact;
use super::*;

/// The group that a log leaves.
pub(super) fn replayed(log: &[KeyValue]) -> ConsumerGroup {
    let mut group = ConsumerGroup::default();
    for (key, value) in log {
        match GroupKey::decode(key).unwrap() {
            GroupKey::Consumer(key) => drop(group.apply(Fact::decode(key, value.as_deref()).unwrap())),
            GroupKey::Group(_) if value.is_some() => group = ConsumerGroup::default(),
            _ => {}
        }
    }
    group
}

/// All that records say.
pub(super) fn told(group: &ConsumerGroup) -> String {
    let ConsumerGroup {
        epoch, metadata_hash, members, current, target_epoch, target_made_ms, target, patterns, ..
    } = group;
    let follows = (&group.static_members, &group.owners);
    format!("{:#?}", (epoch, metadata_hash, members, current, target_epoch, target_made_ms, target, patterns, follows))
}

#[test]
fn a_log_says_all_of_a_group() {
    let mut rig = Rig::new();
    rig.beat(ConsumerGroupHeartbeatRequest { instance_id: Some("i".into()), rack_id: Some("r".into()), ..join("a") });
    rig.beat(ConsumerGroupHeartbeatRequest { subscribed_topic_regex: Some("t.*".into()), ..join("b") });
    rig.beat(join("c"));
    rig.beat(alive("c", -1));
    assert_eq!(told(&replayed(&rig.log)), told(rig.group()));
}

#[test]
fn a_group_that_kafka_wrote_is_as_kafka_left_it() {
    let log: &[u8] = include_bytes!(
        "../../../../../../storage/tests/data/golden-log/__consumer_offsets-34/00000000000000000000.log"
    );
    let mut coordinator = GroupCoordinator::new(GroupSettings::default());
    coordinator.owned.set_count(50);
    coordinator.load(34, log, Moment { now: Nanos(1), wall_ms: 1_800_000_000_000 }).unwrap();
    let group = coordinator.groups["ckconsumer2f06"].consumers.as_ref().unwrap();
    assert_eq!((group.state(), group.epoch, group.target_epoch), (ConsumerState::Empty, 3, 2));
    assert!(group.owners.is_empty() && group.target.is_empty());
}

/// By hash4j, which Kafka hashes with: a topic `t` of three partitions, and two topics' hashes.
#[test]
fn topics_are_hashed_as_kafka_hashes_them() {
    let mut rig = Rig::new();
    let id = Uuid((1u128 << 64 | 2).to_be_bytes());
    rig.cluster.topics.insert("t".into(), (id, 3));
    let topic: i64 = 1_824_923_277_628_471_388;
    let due = xxhash_rust::xxh3::xxh3_64(&topic.to_le_bytes()).cast_signed();
    rig.beat(join("a"));
    assert_eq!(rig.group().metadata_hash, due);
    let two = [5i64.to_le_bytes(), 6i64.to_le_bytes()].concat();
    assert_eq!(xxhash_rust::xxh3::xxh3_64(&two), 4_703_856_340_681_081_523);
}

#[test]
fn other_requests_see_a_group_of_the_consumer_protocol() {
    let mut rig = Rig::new();
    rig.beat(join("a"));
    let described = rig.describe();
    assert_eq!((described.group_state.as_str(), described.group_epoch, described.assignment_epoch), ("Stable", 1, 1));
    let member = &described.members[0];
    assert_eq!((member.member_id.as_str(), member.member_epoch, member.member_type), ("a", 1, 1));
    assert_eq!(member.assignment, member.target_assignment);
    assert_eq!(member.assignment.topic_partitions[0].topic_name, "t");
    let ask = rig
        .ask(5, GroupRequest::List(ListGroupsRequest { types_filter: vec!["Consumer".into()], ..Default::default() }));
    let Some(GroupResponse::List(listed)) = rig.answers.get(&ask) else { panic!() };
    let one = &listed.groups[0];
    assert_eq!(
        (one.group_type.as_str(), one.group_state.as_str(), one.protocol_type.as_str()),
        ("consumer", "Stable", "consumer")
    );
    let ask =
        rig.ask(6, GroupRequest::Describe(DescribeGroupsRequest { groups: vec![GROUP.into()], ..Default::default() }));
    let Some(GroupResponse::Describe(answer)) = rig.answers.get(&ask) else { panic!() };
    assert_eq!(ErrorCode(answer.groups[0].error_code), ErrorCode::GROUP_ID_NOT_FOUND);
    assert_eq!(answer.groups[0].error_message.as_deref(), Some("Group readers is not a classic group."));
    for (member, epoch, due) in
        [("a", 1, ErrorCode::NONE), ("a", 0, ErrorCode::STALE_MEMBER_EPOCH), ("x", 1, ErrorCode::UNKNOWN_MEMBER_ID)]
    {
        let group = OffsetFetchRequestGroup {
            group_id: GROUP.into(),
            member_id: Some(member.into()),
            member_epoch: epoch,
            topics: None,
            ..Default::default()
        };
        let ask =
            rig.ask(9, GroupRequest::OffsetFetch(OffsetFetchRequest { groups: vec![group], ..Default::default() }));
        let Some(GroupResponse::OffsetFetch(answer)) = rig.answers.get(&ask) else { panic!() };
        assert_eq!(ErrorCode(answer.groups[0].error_code), due, "{member} {epoch}");
    }
}

#[test]
fn an_empty_group_is_deleted_and_a_full_one_is_not() {
    let mut rig = Rig::new();
    let delete = |rig: &mut Rig| {
        let request = DeleteGroupsRequest { groups_names: vec![GROUP.into()], ..Default::default() };
        let ask = rig.ask(2, GroupRequest::Delete(request));
        rig.settle();
        let Some(GroupResponse::Delete(answer)) = rig.answers.get(&ask) else { panic!() };
        ErrorCode(answer.results[0].error_code)
    };
    rig.beat(join("a"));
    assert_eq!(delete(&mut rig), ErrorCode::NON_EMPTY_GROUP);
    rig.beat(alive("a", -1));
    assert_eq!(delete(&mut rig), ErrorCode::NONE);
    assert!(!rig.coordinator.groups.contains_key(GROUP));
    assert!(replayed(&rig.log).is_bare());
}
