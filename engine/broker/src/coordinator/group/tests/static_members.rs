//! Static membership (KIP-345): a member with a `group.instance.id` that comes back keeps its place.

use super::*;

fn join_static(instance: &str) -> JoinGroupRequest {
    JoinGroupRequest { group_instance_id: Some(instance.into()), ..join("") }
}

/// A stable group of two static members, `a` the leader; gives their ids.
fn stable_static(rig: &mut Rig) -> Vec<String> {
    let asks = [rig.join(9, join_static("a")), rig.join(9, join_static("b"))];
    rig.pass_ms(INITIAL_DELAY_MS);
    rig.pass_ms(INITIAL_DELAY_MS);
    let leader = rig.joined(asks[0]).leader.clone();
    let mut ids: Vec<String> = asks.iter().map(|ask| rig.joined(*ask).member_id.clone()).collect();
    ids.sort_by_key(|id| *id != leader);
    rig.sync_all(&ids);
    rig.settle();
    assert_eq!(rig.state(), State::Stable);
    ids
}

#[test]
fn a_static_member_joins_at_once_and_its_id_bears_its_name() {
    let mut rig = Rig::new();
    let ask = rig.join(9, join_static("instance-7"));
    assert!(rig.waits(ask));
    rig.pass_ms(INITIAL_DELAY_MS);
    assert!(rig.joined(ask).member_id.starts_with("instance-7-"));
}

#[test]
fn a_static_member_that_restarts_gets_its_share_back_without_a_rebalance() {
    let mut rig = Rig::new();
    let ids = stable_static(&mut rig);
    let follower = &ids[1];
    let instance = if follower.starts_with("a-") { "a" } else { "b" };
    let back = rig.join(9, join_static(instance));
    assert!(rig.waits(back), "the new id is written first");
    rig.settle();
    let joined = rig.joined(back).clone();
    assert_eq!((joined.error_code, joined.generation_id, joined.skip_assignment), (0, 1, false));
    assert_ne!(joined.member_id, *follower);
    assert_eq!(rig.state(), State::Stable);

    let request = SyncGroupRequest { group_instance_id: Some(instance.into()), ..sync(&joined.member_id, 1, &[]) };
    let share = rig.sync(request);
    assert_eq!(rig.synced(share).assignment, follower.as_bytes());
    assert_eq!(rig.heartbeat(follower, 1), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_leader_that_restarts_is_told_to_skip_the_assignment_from_version_9() {
    let mut rig = Rig::new();
    let ids = stable_static(&mut rig);
    let instance = if ids[0].starts_with("a-") { "a" } else { "b" };
    let back = rig.join(9, join_static(instance));
    rig.settle();
    let joined = rig.joined(back);
    assert!(joined.skip_assignment);
    assert_eq!((&joined.leader, joined.members.len()), (&joined.member_id, 2));
}

#[test]
fn before_version_9_a_leader_that_restarts_is_not_told_that_it_leads() {
    let mut rig = Rig::new();
    let ids = stable_static(&mut rig);
    let instance = if ids[0].starts_with("a-") { "a" } else { "b" };
    let back = rig.join(8, join_static(instance));
    rig.settle();
    let joined = rig.joined(back);
    assert_eq!((joined.leader.as_str(), joined.members.len()), (ids[0].as_str(), 0));
}

#[test]
fn the_old_id_of_a_static_member_is_fenced() {
    let mut rig = Rig::new();
    let ids = stable_static(&mut rig);
    let instance = if ids[1].starts_with("a-") { "a" } else { "b" };
    rig.join(9, join_static(instance));
    rig.settle();
    let with_instance = HeartbeatRequest {
        group_id: GROUP.into(),
        generation_id: 1,
        member_id: ids[1].clone(),
        group_instance_id: Some(instance.into()),
        ..Default::default()
    };
    let ask = rig.ask(4, GroupRequest::Heartbeat(with_instance));
    let Some(GroupResponse::Heartbeat(response)) = rig.answer(ask) else { panic!("no answer") };
    assert_eq!(ErrorCode(response.error_code), ErrorCode::FENCED_INSTANCE_ID);
    let rejoin = JoinGroupRequest { member_id: ids[1].clone(), ..join_static(instance) };
    let ask = rig.join(9, rejoin);
    assert_eq!(rig.join_error(ask), ErrorCode::FENCED_INSTANCE_ID);
}

#[test]
fn a_request_of_the_old_id_that_waits_is_fenced_at_once() {
    let mut rig = Rig::new();
    let first = rig.join(9, join_static("a"));
    let second = rig.join(9, join_static("a"));
    assert_eq!(rig.join_error(first), ErrorCode::FENCED_INSTANCE_ID);
    rig.pass_ms(INITIAL_DELAY_MS);
    assert_eq!(rig.join_error(second), ErrorCode::NONE);
    assert_eq!(rig.members().len(), 1);
}

#[test]
fn a_static_member_whose_record_cannot_be_written_keeps_its_old_id() {
    let mut rig = Rig::new();
    let ids = stable_static(&mut rig);
    let instance = if ids[1].starts_with("a-") { "a" } else { "b" };
    let back = rig.join(9, join_static(instance));
    rig.fail_appends(ErrorCode::KAFKA_STORAGE_ERROR);
    assert_eq!(rig.join_error(back), ErrorCode::NOT_COORDINATOR);
    assert_eq!(rig.members(), ids.iter().cloned().collect());
    assert_eq!(rig.heartbeat(&ids[1], 1), ErrorCode::NONE);
}

#[test]
fn a_static_member_that_comes_back_with_another_protocol_starts_a_rebalance() {
    let mut rig = Rig::new();
    let ids = stable_static(&mut rig);
    let instance = if ids[1].starts_with("a-") { "a" } else { "b" };
    let other = JoinGroupRequest { protocols: vec![protocol("cooperative-sticky", b"c")], ..join_static(instance) };
    let back = rig.join(9, other);
    assert!(rig.waits(back));
    assert_eq!(rig.state(), State::PreparingRebalance);
}

#[test]
fn a_static_member_outlives_a_rebalance_that_it_missed() {
    let mut rig = Rig::with(GroupSettings::default());
    let ids = stable_static(&mut rig);
    let instance = if ids[0].starts_with("a-") { "a" } else { "b" };
    let leader = rig.join(9, JoinGroupRequest { member_id: ids[0].clone(), ..join_static(instance) });
    rig.pass_ms_with_heartbeats(REBALANCE_MS as u64, &[&ids[1]]);
    assert_eq!(rig.joined(leader).members.len(), 2, "its session goes on, so it is still in the group");
}

#[test]
fn an_admin_takes_a_static_member_out_by_its_instance_id() {
    let mut rig = Rig::new();
    let ids = stable_static(&mut rig);
    let gone = rig.leave(&[("", Some("a")), ("", Some("nobody"))]);
    assert_eq!((gone[0].error_code, gone[1].error_code), (0, ErrorCode::UNKNOWN_MEMBER_ID.0));
    assert_eq!(rig.members().len(), ids.len() - 1);
}
