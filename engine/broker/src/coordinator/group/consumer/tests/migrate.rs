//! A group with members changes its protocol, and back.

use ringlog_wire::Message;
use ringlog_wire::messages::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicPartition,
};
use ringlog_wire::messages::heartbeat::HeartbeatRequest;
use ringlog_wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use ringlog_wire::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use ringlog_wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use ringlog_wire::records::group::{decode_value, encode_value};

use super::super::super::state::State;
use super::super::Migration;
use super::records::{replayed, told};
use super::*;

const SESSION_MS: u64 = 10_000;
const REBALANCE_MS: u64 = 30_000;

fn partitions_of_t(partitions: &[i32]) -> Vec<TopicPartition> {
    vec![TopicPartition { topic: "t".into(), partitions: partitions.to_vec(), ..Default::default() }]
}

/// What a consumer says of itself that reads `t` and owns this of it.
pub(super) fn said(owned: &[i32]) -> Vec<u8> {
    let topics = vec!["t".into()];
    let owned_partitions = partitions_of_t(owned);
    encode_value(&ConsumerProtocolSubscription { topics, owned_partitions, ..Default::default() }, 1).unwrap()
}

/// What a leader gives.
pub(super) fn share(partitions: &[i32]) -> Vec<u8> {
    let assigned_partitions = partitions_of_t(partitions);
    encode_value(&ConsumerProtocolAssignment { assigned_partitions, ..Default::default() }, 1).unwrap()
}

pub(super) fn classic_join(member: &str, owned: &[i32]) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: GROUP.into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 30_000,
        member_id: member.into(),
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "cooperative-sticky".into(),
            metadata: said(owned),
            ..Default::default()
        }],
        ..Default::default()
    }
}

impl Rig {
    fn join(&mut self, request: JoinGroupRequest) -> JoinGroupResponse {
        let ask = self.ask(9, GroupRequest::Join(request));
        self.settle();
        self.joined(ask).unwrap_or_else(|| panic!("request {ask} waits"))
    }

    fn joined(&self, ask: u64) -> Option<JoinGroupResponse> {
        match self.answers.get(&ask)? {
            GroupResponse::Join(response) => Some(response.clone()),
            other => panic!("{other:?}"),
        }
    }

    /// The share of a member, or why it gets none.
    fn sync(&mut self, member: &str, generation: i32, shares: &[(&str, &[i32])]) -> Result<Vec<i32>, ErrorCode> {
        let one = |(member, partitions): &(&str, &[i32])| SyncGroupRequestAssignment {
            member_id: (*member).into(),
            assignment: share(partitions),
            ..Default::default()
        };
        let request = SyncGroupRequest {
            group_id: GROUP.into(),
            generation_id: generation,
            member_id: member.into(),
            assignments: shares.iter().map(one).collect(),
            ..Default::default()
        };
        let ask = self.ask(5, GroupRequest::Sync(request));
        self.settle();
        match self.answers.get(&ask) {
            Some(GroupResponse::Sync(response)) if response.error_code == 0 => {
                let assignment: ConsumerProtocolAssignment = decode_value(&response.assignment).unwrap();
                Ok(assignment.assigned_partitions.into_iter().flat_map(|topic| topic.partitions).collect())
            }
            Some(GroupResponse::Sync(response)) => Err(ErrorCode(response.error_code)),
            other => panic!("{other:?}"),
        }
    }

    fn classic_beat(&mut self, member: &str, generation: i32) -> ErrorCode {
        let request = HeartbeatRequest {
            group_id: GROUP.into(),
            generation_id: generation,
            member_id: member.into(),
            ..Default::default()
        };
        let ask = self.ask(4, GroupRequest::Heartbeat(request));
        match self.answers.get(&ask) {
            Some(GroupResponse::Heartbeat(response)) => ErrorCode(response.error_code),
            other => panic!("{other:?}"),
        }
    }

    fn leave(&mut self, member: &str) -> ErrorCode {
        let members = vec![MemberIdentity { member_id: member.into(), ..Default::default() }];
        let request = LeaveGroupRequest { group_id: GROUP.into(), members, ..Default::default() };
        let ask = self.ask(5, GroupRequest::Leave(request));
        self.settle();
        match self.answers.get(&ask) {
            Some(GroupResponse::Leave(response)) => ErrorCode(response.members[0].error_code),
            other => panic!("{other:?}"),
        }
    }

    /// A stable classic group of one dynamic member that has all four partitions; its id.
    fn classic_group(&mut self) -> String {
        let first = self.join(classic_join("", &[]));
        assert_eq!(ErrorCode(first.error_code), ErrorCode::MEMBER_ID_REQUIRED);
        let second = self.ask(9, GroupRequest::Join(classic_join(&first.member_id, &[])));
        self.settle();
        self.pass_ms(3_000);
        let id = self.joined(second).unwrap().member_id;
        assert_eq!(self.sync(&id, 1, &[(&id, &[0, 1, 2, 3])]), Ok(vec![0, 1, 2, 3]));
        id
    }

    /// Everybody does what it is told until nobody has to do anything: what each has then.
    fn converge(&mut self, classic: &str, consumer: &str, mut owned: Vec<i32>) -> (Vec<i32>, Vec<i32>) {
        let mut held = Assignment::default();
        let mut epoch = self.group().current(consumer).epoch;
        for _ in 0..10 {
            let generation = self.group().current(classic).epoch;
            if self.classic_beat(classic, generation) == ErrorCode::REBALANCE_IN_PROGRESS {
                let joined = self.join(classic_join(classic, &owned));
                assert_eq!((joined.error_code, joined.member_id.as_str()), (0, classic));
                owned = self.sync(classic, joined.generation_id, &[]).unwrap();
            }
            let answer = self.beat(owning(consumer, epoch, &held));
            epoch = answer.member_epoch;
            held = answer.assignment.unwrap_or(held);
        }
        assert_eq!(self.state(), ConsumerState::Stable);
        (owned, partitions(&held))
    }

    fn classic_state(&self) -> (State, i32, usize) {
        let group = &self.coordinator.groups[GROUP];
        assert!(group.consumers.is_none());
        (group.state, group.generation, group.members.len())
    }
}

#[test]
fn a_classic_group_is_taken_over_when_somebody_joins_that_speaks_the_consumer_protocol() {
    let mut rig = Rig::new();
    let old = rig.classic_group();
    let answer = rig.beat(join("new"));
    assert_eq!((error(&answer), answer.member_epoch), (ErrorCode::NONE, 2));
    let types: Vec<(String, i8)> =
        rig.describe().members.iter().map(|member| (member.member_id.clone(), member.member_type)).collect();
    let mut due = vec![(old.clone(), 0), ("new".to_owned(), 1)];
    due.sort();
    assert_eq!(types, due);
    // What it reads, what it has, and in which epoch: as it was.
    assert_eq!(rig.classic_beat(&old, 1), ErrorCode::REBALANCE_IN_PROGRESS);
    assert_eq!(rig.commit(&old, 1, 0), ErrorCode::NONE);
    assert_eq!(rig.commit(&old, 2, 0), ErrorCode::ILLEGAL_GENERATION);
    let (mut all, new) = rig.converge(&old, "new", vec![0, 1, 2, 3]);
    assert_eq!((all.len(), new.len()), (2, 2));
    all.extend(new);
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3]);
    assert_eq!(told(&replayed(&rig.log)), told(rig.group()));
}

#[test]
fn it_is_a_classic_group_again_when_the_last_of_them_has_left() {
    let mut rig = Rig::new();
    let old = rig.classic_group();
    rig.beat(join("new"));
    rig.converge(&old, "new", vec![0, 1, 2, 3]);
    let epoch = rig.group().epoch;
    assert_eq!(error(&rig.beat(alive("new", -1))), ErrorCode::NONE);
    assert_eq!(rig.classic_state(), (State::PreparingRebalance, epoch, 1));
    assert_eq!(rig.classic_beat(&old, epoch), ErrorCode::REBALANCE_IN_PROGRESS);
    let joined = rig.join(classic_join(&old, &[]));
    assert_eq!((joined.generation_id, joined.leader.as_str(), joined.members.len()), (epoch + 1, old.as_str(), 1));
    assert_eq!(rig.sync(&old, epoch + 1, &[(&old, &[0, 1, 2, 3])]), Ok(vec![0, 1, 2, 3]));
    // The log says the same: nothing is left of the other protocol.
    assert!(replayed(&rig.log).is_bare());
}

#[test]
fn a_takeover_that_cannot_be_written_leaves_a_classic_group_whose_members_join_again() {
    let mut rig = Rig::new();
    let old = rig.classic_group();
    let ask = rig.send(join("new"));
    let waits = rig.ask(
        4,
        GroupRequest::Heartbeat(HeartbeatRequest {
            group_id: GROUP.into(),
            generation_id: 1,
            member_id: old.clone(),
            ..Default::default()
        }),
    );
    assert!(!rig.answers.contains_key(&waits), "answered while the group is neither");
    rig.fail_appends();
    assert_eq!(error(rig.heard(ask)), ErrorCode::NOT_COORDINATOR);
    assert_eq!(rig.classic_state(), (State::PreparingRebalance, 1, 1));
    let Some(GroupResponse::Heartbeat(beat)) = rig.answers.get(&waits) else { panic!() };
    assert_eq!(ErrorCode(beat.error_code), ErrorCode::REBALANCE_IN_PROGRESS);
    assert_eq!(rig.join(classic_join(&old, &[])).generation_id, 2);
}

#[test]
fn until_the_log_has_the_way_back_a_group_is_what_it_was() {
    let mut rig = Rig::new();
    let old = rig.classic_group();
    rig.beat(join("new"));
    let (owned, _) = rig.converge(&old, "new", vec![0, 1, 2, 3]);
    let before = told(rig.group());
    let epoch = rig.group().epoch;
    let leaves = rig.send(alive("new", -1));
    let commits = rig.ask(9, GroupRequest::OffsetCommit(commit_request(&old, epoch, owned[0])));
    rig.fail_appends();
    assert_eq!(error(rig.heard(leaves)), ErrorCode::NOT_COORDINATOR);
    assert_eq!(told(rig.group()), before);
    let Some(GroupResponse::OffsetCommit(response)) = rig.answers.get(&commits) else { panic!("not answered") };
    // It got as far as the log, which took nothing.
    assert_eq!(ErrorCode(response.topics[0].partitions[0].error_code), ErrorCode::NOT_COORDINATOR);
    assert_eq!(error(&rig.beat(alive("new", epoch))), ErrorCode::NONE);
    assert_eq!(rig.classic_beat(&old, epoch), ErrorCode::NONE);
}

#[test]
fn whoever_waits_in_a_classic_group_joins_again_and_has_a_session_for_it() {
    let mut rig = Rig::new();
    let old = rig.classic_group();
    // A second one makes the first one join again: it waits for that.
    let first = rig.join(classic_join("", &[]));
    let waits = rig.ask(9, GroupRequest::Join(classic_join(&first.member_id, &[])));
    rig.settle();
    assert_eq!(rig.joined(waits), None);
    rig.beat(join("new"));
    let refused = rig.joined(waits).unwrap();
    assert_eq!(ErrorCode(refused.error_code), ErrorCode::REBALANCE_IN_PROGRESS);
    assert_eq!(rig.group().member_count(), 3);
    rig.classic_beat(&old, 1);
    rig.pass_ms(SESSION_MS - 1);
    rig.classic_beat(&old, 1);
    rig.pass_ms(1);
    rig.settle();
    assert!(!rig.group().members.contains_key(&first.member_id), "it did not come back");
    assert!(rig.group().members.contains_key(&old));
}

#[test]
fn a_policy_a_custom_assignor_and_what_cannot_be_read_stand_against_it() {
    let mut settings = GroupSettings::default();
    settings.consumer.migration = Migration::named("downgrade");
    let mut rig = Rig::with(settings);
    rig.classic_group();
    let answer = rig.beat(join("new"));
    assert_eq!(error(&answer), ErrorCode::GROUP_ID_NOT_FOUND);
    let due = "Cannot upgrade classic group readers to consumer group because online upgrade is disabled.";
    assert_eq!(answer.error_message.as_deref(), Some(due));
    let custom = ConsumerProtocolAssignment { user_data: Some(vec![1]), ..Default::default() };
    for (bytes, why) in [
        (encode_value(&custom, ConsumerProtocolAssignment::VERSIONS.1).unwrap(), "custom assignor"),
        (vec![0, 1, 0xff, 0xff, 0xff], "malformed"),
    ] {
        let mut rig = Rig::new();
        let old = rig.classic_group();
        rig.coordinator.groups.get_mut(GROUP).unwrap().members.get_mut(&old).unwrap().assignment = bytes;
        let answer = rig.beat(join("new"));
        assert_eq!(error(&answer), ErrorCode::GROUP_ID_NOT_FOUND);
        assert!(answer.error_message.unwrap().contains(why));
        assert_eq!(rig.classic_state(), (State::Stable, 1, 1));
    }
}

#[test]
fn a_partition_that_a_leader_gave_twice_has_one_owner() {
    let mut rig = Rig::new();
    let old = rig.classic_group();
    let group = rig.coordinator.groups.get_mut(GROUP).unwrap();
    group.members.get_mut(&old).unwrap().assignment = share(&[0, 0, 1, 7, -1]);
    rig.beat(join("new"));
    let held = &rig.group().current(&old).assigned;
    assert_eq!(held.values().flat_map(|held| held.keys()).collect::<Vec<_>>(), [&0, &1]);
}

#[test]
fn a_classic_member_joins_a_group_of_the_consumer_protocol_and_leaves_it() {
    let mut rig = Rig::new();
    rig.beat(join("new"));
    let first = rig.join(classic_join("", &[]));
    assert_eq!(ErrorCode(first.error_code), ErrorCode::MEMBER_ID_REQUIRED);
    let old = first.member_id;
    let joined = rig.join(classic_join(&old, &[]));
    assert_eq!((joined.error_code, joined.generation_id, joined.leader.as_str()), (0, 2, ""));
    assert_eq!(joined.protocol_name.as_deref(), Some("cooperative-sticky"));
    assert_eq!(rig.sync(&old, 1, &[]), Err(ErrorCode::ILLEGAL_GENERATION));
    assert_eq!(rig.sync("new", 2, &[]), Err(ErrorCode::UNKNOWN_MEMBER_ID));
    assert_eq!(rig.sync(&old, 2, &[]), Ok(Vec::new()), "all of it is still with the other one");
    assert_eq!(rig.classic_beat(&old, 2), ErrorCode::NONE);
    let strange = JoinGroupRequest { protocol_type: "connect".into(), ..classic_join("", &[]) };
    assert_eq!(ErrorCode(rig.join(strange).error_code), ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    assert_eq!((rig.leave("nobody"), rig.leave(&old)), (ErrorCode::UNKNOWN_MEMBER_ID, ErrorCode::NONE));
    assert_eq!((rig.group().epoch, rig.group().member_count()), (3, 1));
}

#[test]
fn a_static_member_that_changes_its_protocol_keeps_its_place() {
    let mut rig = Rig::new();
    rig.beat(ConsumerGroupHeartbeatRequest { instance_id: Some("i".into()), ..join("new") });
    let back = JoinGroupRequest { group_instance_id: Some("i".into()), ..classic_join("", &[]) };
    let joined = rig.join(back);
    assert_eq!(joined.error_code, 0);
    // It was the last one that spoke the consumer protocol, and reads the same: no rebalance.
    assert_eq!(rig.classic_state(), (State::Stable, 1, 1));
    assert_eq!(rig.sync(&joined.member_id, joined.generation_id, &[]), Ok(vec![0, 1, 2, 3]));
    assert!(replayed(&rig.log).is_bare());
    let forth = ConsumerGroupHeartbeatRequest { instance_id: Some("i".into()), ..join("newer") };
    assert_eq!(given(&rig.beat(forth)), [0, 1, 2, 3]);
    assert_eq!(rig.group().member_count(), 1);
}

#[test]
fn a_classic_member_that_does_not_come_back_in_time_is_out() {
    let mut rig = Rig::new();
    let old = rig.classic_group();
    rig.beat(join("new"));
    assert_eq!(rig.classic_beat(&old, 1), ErrorCode::REBALANCE_IN_PROGRESS);
    for _ in 1..REBALANCE_MS / 5_000 {
        rig.pass_ms(5_000);
        assert_eq!(rig.classic_beat(&old, 1), ErrorCode::REBALANCE_IN_PROGRESS);
    }
    rig.pass_ms(5_000);
    rig.settle();
    assert!(!rig.group().members.contains_key(&old));
    // One that joined and is silent.
    let joined = rig.join(JoinGroupRequest { group_instance_id: Some("i".into()), ..classic_join("", &[]) });
    assert!(rig.group().members.contains_key(&joined.member_id));
    rig.pass_ms(SESSION_MS);
    rig.settle();
    assert!(!rig.group().members.contains_key(&joined.member_id));
}

#[test]
fn a_classic_member_that_comes_back_in_time_stays_however_long_the_log_takes() {
    let mut rig = Rig::new();
    let old = rig.classic_group();
    rig.beat(join("new"));
    assert_eq!(rig.classic_beat(&old, 1), ErrorCode::REBALANCE_IN_PROGRESS);
    for _ in 1..REBALANCE_MS / 5_000 {
        rig.pass_ms(5_000);
        rig.classic_beat(&old, 1);
    }
    rig.pass_ms(4_000);
    rig.send(join("newer"));
    let joins = rig.ask(9, GroupRequest::Join(classic_join(&old, &[])));
    rig.pass_ms(1_000);
    rig.settle();
    assert_eq!(rig.joined(joins).unwrap().error_code, 0);
    rig.pass_ms(1_000);
    rig.settle();
    assert!(rig.group().members.contains_key(&old));
}
