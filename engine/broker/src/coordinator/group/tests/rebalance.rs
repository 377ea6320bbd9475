//! Rebalances: who takes part, who is taken out, and when.

use super::*;

#[test]
fn two_members_join_and_each_gets_its_share_after_the_record_is_in_the_log() {
    let mut rig = Rig::new();
    let (a, join_a) = rig.arrive();
    let (b, join_b) = rig.arrive();
    rig.pass_ms(INITIAL_DELAY_MS);
    assert!(rig.waits(join_a), "somebody arrived during the delay: it runs again");
    rig.pass_ms(INITIAL_DELAY_MS);
    let leader = rig.joined(join_a).leader.clone();
    assert_eq!(rig.joined(join_b).leader, leader);
    rig.settle();

    let ids = if leader == a { [a, b] } else { [b, a] };
    let asks = rig.sync_all(&ids);
    assert!(asks.iter().all(|ask| rig.waits(*ask)), "nothing is answered before the record is in the log");
    assert_eq!(rig.state(), State::CompletingRebalance);
    rig.settle();
    for (id, ask) in ids.iter().zip(asks) {
        assert_eq!((rig.sync_error(ask), rig.synced(ask).assignment.as_slice()), (ErrorCode::NONE, id.as_bytes()));
    }
    assert_eq!(rig.state(), State::Stable);
}

#[test]
fn the_initial_delay_is_extended_up_to_the_rebalance_timeout() {
    let mut rig = Rig::new();
    let mut waited_ms = 0;
    // Somebody new every second: it would never end.
    while rig.coordinator.groups.get(GROUP).is_none_or(|group| group.generation == 0) {
        rig.arrive();
        rig.pass_ms(1_000);
        waited_ms += 1_000;
        assert!(waited_ms < 200_000, "the delay never ends");
    }
    assert_eq!(waited_ms, REBALANCE_MS);
}

#[test]
fn without_an_initial_delay_the_first_tick_completes_the_join() {
    let mut rig = Rig::with(GroupSettings { initial_rebalance_delay_ms: 0, ..GroupSettings::default() });
    let (_, ask) = rig.arrive();
    assert_eq!(rig.coordinator.next_deadline(), Some(rig.at.now));
    rig.pass_ms(0);
    assert_eq!(rig.join_error(ask), ErrorCode::NONE);
}

#[test]
fn one_leaves_and_the_others_share_again() {
    let mut rig = Rig::new();
    let ids = rig.stable(3);
    assert_eq!(rig.leave(&[(&ids[2], None)])[0].error_code, 0);
    assert_eq!(rig.heartbeat(&ids[0], 1), ErrorCode::REBALANCE_IN_PROGRESS);
    let asks = [rig.join(9, join(&ids[0])), rig.join(9, join(&ids[1]))];
    assert_eq!(rig.joined(asks[0]).generation_id, 2);
    assert_eq!(rig.joined(asks[0]).members.len(), 2);
    assert_eq!(rig.heartbeat(&ids[2], 1), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn the_last_one_leaves_and_the_empty_group_is_written() {
    let mut rig = Rig::new();
    let ids = rig.stable(1);
    rig.leave(&[(&ids[0], None)]);
    rig.settle();
    assert_eq!((rig.state(), rig.generation()), (State::Empty, 2));
    let (_, Some(value)) = rig.log.last().unwrap() else { panic!("a tombstone") };
    let wall = rig.at.wall_ms.to_be_bytes();
    let expected = [&b"\x00\x03\x00\x08consumer\x00\x00\x00\x02\xff\xff\xff\xff"[..], &wall, &[0; 4]].concat();
    assert_eq!(*value, expected);
}

#[test]
fn the_leader_dies_and_another_one_leads() {
    let mut rig = Rig::new();
    let ids = rig.stable(3);
    rig.pass_ms_with_heartbeats(SESSION_MS as u64, &[&ids[1], &ids[2]]);
    assert_eq!(rig.state(), State::PreparingRebalance);
    let asks = [rig.join(9, join(&ids[1])), rig.join(9, join(&ids[2]))];
    let leader = rig.joined(asks[0]).leader.clone();
    assert!(leader == ids[1] || leader == ids[2]);
    assert_eq!(rig.heartbeat(&ids[0], 1), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn who_does_not_join_again_in_time_is_taken_out() {
    let mut rig = Rig::new();
    let ids = rig.stable(2);
    let ask = rig.join(9, join(&ids[0]));
    // It lives, but it does not join.
    rig.pass_ms_with_heartbeats(REBALANCE_MS as u64 - 1_000, &[&ids[1]]);
    assert!(rig.waits(ask));
    rig.pass_ms_with_heartbeats(1_000, &[]);
    assert_eq!((rig.joined(ask).generation_id, rig.joined(ask).members.len()), (2, 1));
    assert_eq!(rig.members(), [ids[0].clone()].into());
}

#[test]
fn who_does_not_ask_for_its_share_in_time_is_taken_out() {
    let mut rig = Rig::new();
    let ids = rig.stable(2);
    let asks = [rig.join(9, join(&ids[0])), rig.join(9, join(&ids[1]))];
    assert_eq!(rig.joined(asks[0]).generation_id, 2);
    let leader = rig.sync(sync(&ids[0], 2, &[(&ids[0], "x")]));
    rig.settle();
    assert_eq!(rig.sync_error(leader), ErrorCode::NONE);
    rig.pass_ms_with_heartbeats(REBALANCE_MS as u64, &[&ids[0], &ids[1]]);
    assert_eq!(rig.members(), [ids[0].clone()].into());
    assert_eq!(rig.state(), State::PreparingRebalance);
}

#[test]
fn a_leader_that_never_sends_an_assignment_is_taken_out() {
    let mut rig = Rig::new();
    let ids = rig.stable(2);
    rig.join(9, join(&ids[0]));
    rig.join(9, join(&ids[1]));
    let follower = rig.sync(sync(&ids[1], 2, &[]));
    rig.pass_ms_with_heartbeats(REBALANCE_MS as u64, &[&ids[0]]);
    assert_eq!(rig.sync_error(follower), ErrorCode::REBALANCE_IN_PROGRESS);
    assert_eq!(rig.members(), [ids[1].clone()].into());
}

#[test]
fn somebody_who_arrives_while_shares_are_worked_out_sends_the_waiting_back() {
    let mut rig = Rig::new();
    let ids = rig.stable(2);
    rig.join(9, join(&ids[0]));
    rig.join(9, join(&ids[1]));
    let waiting = rig.sync(sync(&ids[1], 2, &[]));
    let (_, newcomer) = rig.arrive();
    assert_eq!(rig.sync_error(waiting), ErrorCode::REBALANCE_IN_PROGRESS);
    let late = rig.sync(sync(&ids[0], 2, &[(&ids[0], "x")]));
    assert_eq!(rig.sync_error(late), ErrorCode::REBALANCE_IN_PROGRESS);
    rig.join(9, join(&ids[0]));
    rig.join(9, join(&ids[1]));
    assert_eq!(rig.joined(newcomer).generation_id, 3);
}

#[test]
fn an_assignment_that_reaches_the_log_too_late_is_not_given_out() {
    let mut rig = Rig::new();
    let ids = rig.stable(1);
    rig.join(9, join(&ids[0]));
    let old = rig.sync(sync(&ids[0], 2, &[(&ids[0], "old")]));
    // A rebalance begins while the record is on its way.
    let (newcomer, joined) = rig.arrive();
    assert_eq!(rig.sync_error(old), ErrorCode::REBALANCE_IN_PROGRESS);
    rig.settle();
    assert_eq!(rig.state(), State::PreparingRebalance);
    rig.join(9, join(&ids[0]));
    assert_eq!(rig.joined(joined).generation_id, 3);
    let ask = rig.sync(sync(&newcomer, 3, &[]));
    assert!(rig.waits(ask));
}

#[test]
fn an_assignment_that_cannot_be_written_sends_everybody_back_to_join() {
    let cases = [
        (ErrorCode::KAFKA_STORAGE_ERROR, ErrorCode::NOT_COORDINATOR),
        (ErrorCode::NOT_LEADER_OR_FOLLOWER, ErrorCode::NOT_COORDINATOR),
        (ErrorCode::NOT_ENOUGH_REPLICAS, ErrorCode::COORDINATOR_NOT_AVAILABLE),
        (ErrorCode::REQUEST_TIMED_OUT, ErrorCode::COORDINATOR_NOT_AVAILABLE),
        (ErrorCode::MESSAGE_TOO_LARGE, ErrorCode::UNKNOWN_SERVER_ERROR),
        (ErrorCode::INVALID_RECORD, ErrorCode::INVALID_RECORD),
    ];
    for (log_says, client_gets) in cases {
        let mut rig = Rig::new();
        let ids = rig.stable(2);
        rig.join(9, join(&ids[0]));
        rig.join(9, join(&ids[1]));
        let asks = rig.sync_all(&ids);
        rig.fail_appends(log_says);
        assert!(asks.iter().all(|ask| rig.sync_error(*ask) == client_gets), "{log_says}");
        assert_eq!(rig.state(), State::PreparingRebalance);
    }
}

#[test]
fn a_member_that_leaves_while_it_waits_is_answered() {
    let mut rig = Rig::new();
    let (id, ask) = rig.arrive();
    assert_eq!(rig.leave(&[(&id, None)])[0].error_code, 0);
    assert_eq!(rig.join_error(ask), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_new_member_that_is_silent_for_five_minutes_is_taken_out() {
    let mut rig = Rig::new();
    let long = JoinGroupRequest { rebalance_timeout_ms: i32::MAX, ..join("") };
    let ids = rig.stable(1);
    let kept = rig.join(9, JoinGroupRequest { member_id: ids[0].clone(), ..long.clone() });
    assert_eq!(rig.joined(kept).generation_id, 2, "it was alone");
    let newcomer = rig.join(3, long);
    rig.pass_ms_with_heartbeats(299_000, &[&ids[0]]);
    assert!(rig.waits(newcomer));
    rig.pass_ms_with_heartbeats(1_000, &[&ids[0]]);
    assert_eq!(rig.join_error(newcomer), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_member_that_waits_for_our_answer_does_not_lose_its_session() {
    let mut rig = Rig::new();
    let ids = rig.stable(2);
    let waiting = rig.join(9, join(&ids[0]));
    rig.pass_ms_with_heartbeats(4 * SESSION_MS as u64, &[&ids[1]]);
    assert!(rig.waits(waiting));
    assert!(rig.members().contains(&ids[0]));
}

#[test]
fn a_rebalance_without_the_pending_member_waits_for_it() {
    let mut rig = Rig::new();
    let ids = rig.stable(1);
    let ask = rig.join(9, join(""));
    let pending = rig.joined(ask).member_id.clone();
    let again = rig.join(9, join(&ids[0]));
    assert!(rig.waits(again), "somebody was given an id and may come");
    let arrived = rig.join(9, join(&pending));
    assert_eq!(rig.joined(again).generation_id, 2);
    assert_eq!(rig.joined(arrived).generation_id, 2);
}
