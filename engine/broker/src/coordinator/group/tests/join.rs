//! JoinGroup.

use super::*;

#[test]
fn a_dynamic_member_is_given_an_id_of_kafkas_form_and_joins_with_it() {
    let mut rig = Rig::new();
    let ask = rig.join(4, join(""));
    assert_eq!(rig.join_error(ask), ErrorCode::MEMBER_ID_REQUIRED);
    let id = rig.joined(ask).member_id.clone();
    let parts: Vec<usize> = id.strip_prefix("client-").unwrap().split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12]);
    assert_eq!((&id[21..22], &id[26..27]), ("4", "8"), "a UUID of version 4, variant 1: {id}");
    assert_eq!(rig.joined(ask).generation_id, -1);

    let ask = rig.join(4, join(&id));
    assert!(rig.waits(ask), "the initial delay runs");
    rig.pass_ms(INITIAL_DELAY_MS);
    let joined = rig.joined(ask);
    assert_eq!((joined.error_code, joined.generation_id, joined.leader.as_str()), (0, 1, id.as_str()));
    assert_eq!(joined.protocol_name.as_deref(), Some("range"));
    assert_eq!(joined.members.len(), 1);
    assert_eq!(joined.members[0].metadata, b"r");
}

#[test]
fn before_version_4_a_member_joins_at_once() {
    let mut rig = Rig::new();
    let ask = rig.join(3, join(""));
    assert!(rig.waits(ask));
    rig.pass_ms(INITIAL_DELAY_MS);
    assert_eq!(rig.join_error(ask), ErrorCode::NONE);
    assert!(rig.joined(ask).member_id.starts_with("client-"));
}

#[test]
fn in_version_0_the_session_timeout_is_the_rebalance_timeout() {
    let mut rig = Rig::new();
    rig.join(0, JoinGroupRequest { rebalance_timeout_ms: -1, ..join("") });
    let member = rig.coordinator.groups[GROUP].members.values().next().unwrap();
    assert_eq!(member.rebalance_timeout_ms, SESSION_MS);
}

#[test]
fn a_new_group_is_written_before_anything_is_known_of_it() {
    let mut rig = Rig::new();
    rig.join(9, join(""));
    rig.settle();
    let [(key, Some(value))] = rig.log.as_slice() else { panic!("one record: {:?}", rig.log) };
    assert_eq!(key, b"\x00\x02\x00\x07readers");
    let wall = rig.at.wall_ms.to_be_bytes();
    // Version 3, no type, generation 0, protocol and leader null, the time, no members.
    let expected = [&b"\x00\x03\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff"[..], &wall, &[0; 4]].concat();
    assert_eq!(*value, expected);
}

#[test]
fn requests_that_no_group_can_take_are_refused() {
    use ErrorCode as E;
    let cases: [(&str, JoinGroupRequest, ErrorCode); 7] = [
        ("no group id", JoinGroupRequest { group_id: String::new(), ..join("") }, E::INVALID_GROUP_ID),
        ("a session too short", JoinGroupRequest { session_timeout_ms: 5_999, ..join("") }, E::INVALID_SESSION_TIMEOUT),
        (
            "a session too long",
            JoinGroupRequest { session_timeout_ms: 1_800_001, ..join("") },
            E::INVALID_SESSION_TIMEOUT,
        ),
        ("an id of no group", join("stranger"), E::UNKNOWN_MEMBER_ID),
        ("no protocols", JoinGroupRequest { protocols: Vec::new(), ..join("") }, E::INCONSISTENT_GROUP_PROTOCOL),
        ("no type", JoinGroupRequest { protocol_type: String::new(), ..join("") }, E::INCONSISTENT_GROUP_PROTOCOL),
        (
            "no type, static",
            JoinGroupRequest { protocol_type: String::new(), group_instance_id: Some("i".into()), ..join("") },
            E::INCONSISTENT_GROUP_PROTOCOL,
        ),
    ];
    for (name, request, error) in cases {
        let mut rig = Rig::new();
        let ask = rig.join(9, request);
        assert_eq!(rig.join_error(ask), error, "{name}");
    }
}

#[test]
fn who_shares_no_protocol_with_everybody_is_refused() {
    let mut rig = Rig::new();
    rig.stable(1);
    let other_type = rig.join(9, JoinGroupRequest { protocol_type: "connect".into(), ..join("") });
    assert_eq!(rig.join_error(other_type), ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    let other_protocol = rig.join(9, JoinGroupRequest { protocols: vec![protocol("sticky", b"")], ..join("") });
    assert_eq!(rig.join_error(other_protocol), ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
}

#[test]
fn members_vote_for_the_protocol_that_all_of_them_have() {
    let mut rig = Rig::new();
    let wants = |protocols: &[&str]| JoinGroupRequest {
        protocols: protocols.iter().map(|name| protocol(name, name.as_bytes())).collect(),
        ..join("")
    };
    let asks = [
        rig.join(3, wants(&["range", "sticky"])),
        rig.join(3, wants(&["sticky", "range", "other"])),
        rig.join(3, wants(&["other", "sticky", "range"])),
    ];
    rig.pass_ms(INITIAL_DELAY_MS);
    rig.pass_ms(INITIAL_DELAY_MS);
    for ask in asks {
        assert_eq!(rig.joined(ask).protocol_name.as_deref(), Some("sticky"));
    }
    let leader = asks.iter().find(|ask| rig.joined(**ask).leader == rig.joined(**ask).member_id).unwrap();
    assert!(rig.joined(*leader).members.iter().all(|member| member.metadata == b"sticky"));
}

#[test]
fn only_the_leader_is_told_who_is_there() {
    let mut rig = Rig::new();
    let asks: Vec<Ask> = (0..3).map(|_| rig.arrive().1).collect();
    rig.pass_ms(INITIAL_DELAY_MS);
    rig.pass_ms(INITIAL_DELAY_MS);
    for ask in asks {
        let joined = rig.joined(ask);
        assert_eq!(joined.members.len(), if joined.leader == joined.member_id { 3 } else { 0 });
    }
}

#[test]
fn a_group_takes_no_more_members_than_group_max_size() {
    let mut rig = Rig::with(GroupSettings { group_size_max: 2, ..GroupSettings::default() });
    let ids = rig.stable(2);
    let ask = rig.join(9, join(""));
    assert_eq!(rig.join_error(ask), ErrorCode::GROUP_MAX_SIZE_REACHED);
    assert_eq!(rig.members(), ids.into_iter().collect());
}

#[test]
fn a_follower_that_joins_again_unchanged_starts_no_rebalance() {
    let mut rig = Rig::new();
    let ids = rig.stable(2);
    let ask = rig.join(9, join(&ids[1]));
    assert_eq!((rig.join_error(ask), rig.joined(ask).generation_id), (ErrorCode::NONE, 1));
    assert_eq!(rig.state(), State::Stable);
}

#[test]
fn a_follower_that_wants_something_else_starts_a_rebalance() {
    let mut rig = Rig::new();
    let ids = rig.stable(2);
    let ask = rig.join(9, JoinGroupRequest { protocols: vec![protocol("range", b"changed")], ..join(&ids[1]) });
    assert!(rig.waits(ask));
    assert_eq!(rig.state(), State::PreparingRebalance);
    assert_eq!(rig.heartbeat(&ids[0], 1), ErrorCode::REBALANCE_IN_PROGRESS);
}

#[test]
fn a_leader_that_joins_again_starts_a_rebalance_even_unchanged() {
    let mut rig = Rig::new();
    let ids = rig.stable(2);
    let leader = rig.join(9, join(&ids[0]));
    assert_eq!(rig.state(), State::PreparingRebalance);
    let follower = rig.join(9, join(&ids[1]));
    assert_eq!((rig.joined(leader).generation_id, rig.joined(follower).generation_id), (2, 2));
    assert_eq!(rig.state(), State::CompletingRebalance);
}

#[test]
fn a_member_that_missed_its_join_answer_gets_it_again() {
    let mut rig = Rig::new();
    let (id, _) = rig.arrive();
    rig.pass_ms(INITIAL_DELAY_MS);
    let again = rig.join(9, join(&id));
    assert_eq!((rig.joined(again).generation_id, rig.joined(again).members.len()), (1, 1));
    assert_eq!(rig.state(), State::CompletingRebalance);
}

#[test]
fn a_second_join_of_one_member_sends_the_first_away() {
    let mut rig = Rig::new();
    let (id, first) = rig.arrive();
    let second = rig.join(9, join(&id));
    assert_eq!(rig.join_error(first), ErrorCode::REBALANCE_IN_PROGRESS);
    rig.pass_ms(INITIAL_DELAY_MS);
    assert_eq!(rig.join_error(second), ErrorCode::NONE);
}

#[test]
fn an_id_that_nobody_came_back_with_is_forgotten() {
    let mut rig = Rig::new();
    let ids = rig.stable(1);
    let ask = rig.join(9, join(""));
    let pending = rig.joined(ask).member_id.clone();
    rig.pass_ms_with_heartbeats(SESSION_MS as u64, &[&ids[0]]);
    let late = rig.join(9, join(&pending));
    assert_eq!(rig.join_error(late), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn before_version_7_the_protocol_is_never_null() {
    let mut rig = Rig::new();
    let ask = rig.join(6, join("stranger"));
    assert_eq!(rig.joined(ask).protocol_name.as_deref(), Some(""));
}

#[test]
fn a_client_id_too_long_for_a_record_fails_the_sync_and_not_the_shard() {
    let mut rig = Rig::new();
    let caller_id = "x".repeat(40_000);
    let caller = Caller { to: ReplyTo(0), api_version: 3, client_id: &caller_id, client_host: "/127.0.0.1" };
    rig.asked = 1;
    let effects = rig.coordinator.handle(caller, GroupRequest::Join(join("")), &ONE_TOPIC, &mut || 5, rig.at);
    rig.act(effects);
    rig.pass_ms(INITIAL_DELAY_MS);
    let id = rig.joined(Ask(0)).member_id.clone();
    let ask = rig.sync(sync(&id, 1, &[(&id, "all")]));
    assert_eq!(rig.sync_error(ask), ErrorCode::UNKNOWN_SERVER_ERROR);
    assert_eq!(rig.state(), State::PreparingRebalance);
}
