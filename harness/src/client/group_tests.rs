//! Two members of a group, and what a coordinator may say to them.

use ringlog_wire::messages::heartbeat::HeartbeatResponse;
use ringlog_wire::messages::join_group::JoinGroupResponseMember;

use super::super::properties::Properties;
use super::*;

fn member(more: &str) -> Group {
    let mut properties = Properties::new();
    properties.set("bootstrap.servers", "h:1");
    more.split_whitespace().filter_map(|pair| pair.split_once('=')).for_each(|(key, value)| properties.set(key, value));
    let config = ConsumerConfig::parse(&properties).unwrap().config;
    let mut group = Group::new("g", vec!["t".into()], &config);
    group.coordinator = Some(3);
    group
}

fn two_partitions(_: &str) -> usize {
    2
}

fn nothing() -> Vec<(TopicPartition, i64)> {
    Vec::new()
}

fn next(group: &mut Group, now_ns: u64) -> Option<Ask> {
    group.next(now_ns, &two_partitions, &nothing)
}

fn joined(leader: &str, id: &str, members: &[(&str, Vec<u8>)]) -> JoinGroupResponse {
    let member = |(id, metadata): &(&str, Vec<u8>)| JoinGroupResponseMember {
        member_id: (*id).into(),
        metadata: metadata.clone(),
        ..Default::default()
    };
    JoinGroupResponse {
        generation_id: 4,
        leader: leader.into(),
        member_id: id.into(),
        members: members.iter().map(member).collect(),
        ..Default::default()
    }
}

fn join(group: &mut Group) -> JoinGroupRequest {
    match next(group, 0) {
        Some(Ask::Join(request)) => request,
        other => panic!("{other:?}"),
    }
}

/// Brings a lone member to the point where it reads both partitions.
fn settle(group: &mut Group) {
    let subscription = join(group).protocols[0].metadata.clone();
    group.on_join(&joined("a", "a", &[("a", subscription)]), &two_partitions, 0).unwrap();
    let Some(Ask::Sync(sync)) = next(group, 0) else { panic!("no SyncGroup") };
    assert_eq!(sync.generation_id, 4);
    let assignment = sync.assignments[0].assignment.clone();
    group.on_sync(&SyncGroupResponse { assignment, ..Default::default() }, 0).unwrap();
    assert!(matches!(next(group, 0), Some(Ask::Positions(_))));
    group.on_positions(&OffsetFetchResponse::default(), 0).unwrap();
}

fn both() -> Vec<TopicPartition> {
    vec![("t".into(), 0), ("t".into(), 1)]
}

#[test]
fn the_leader_shares_out_and_every_member_takes_its_part() {
    let (mut leader, mut other) = (member(""), member(""));
    let subscription = join(&mut leader).protocols[0].metadata.clone();
    join(&mut other);
    let members = [("b", subscription.clone()), ("a", subscription)];
    leader.on_join(&joined("a", "a", &members), &two_partitions, 0).unwrap();
    other.on_join(&joined("a", "b", &[]), &two_partitions, 0).unwrap();
    let Some(Ask::Sync(sync)) = next(&mut leader, 0) else { panic!("no SyncGroup") };
    assert!(matches!(next(&mut other, 0), Some(Ask::Sync(empty)) if empty.assignments.is_empty()));
    for (group, id, partition) in [(&mut leader, "a", 0), (&mut other, "b", 1)] {
        let mine = sync.assignments.iter().find(|one| one.member_id == id).unwrap();
        let response = SyncGroupResponse { assignment: mine.assignment.clone(), ..Default::default() };
        group.on_sync(&response, 0).unwrap();
        assert_eq!(group.take_changes(), [Change::Assigned(vec![("t".into(), partition)])]);
    }
}

#[test]
fn the_range_gives_the_first_members_one_more() {
    let members: Vec<(String, Vec<String>)> = ["c", "a", "b"].map(|id| (id.to_owned(), vec!["t".to_owned()])).to_vec();
    let shares = range(&members, &[("t".into(), 7)]);
    let counts: Vec<(&str, Vec<i32>)> = shares
        .iter()
        .map(|(id, owned)| (id.as_str(), owned.iter().map(|(_, partition)| *partition).collect()))
        .collect();
    assert_eq!(counts, [("a", vec![0, 1, 2]), ("b", vec![3, 4]), ("c", vec![5, 6])]);
    let more_members = range(&members, &[("t".into(), 2)]);
    assert_eq!(more_members[2].1.len(), 0, "one has nothing to do");
}

#[test]
fn a_rebalance_commits_gives_back_and_joins_again() {
    let mut group = member("");
    settle(&mut group);
    group.take_changes();
    group.on_heartbeat(ErrorCode::REBALANCE_IN_PROGRESS, 0).unwrap();
    assert!(group.is_leaving(), "nothing is given out from here on");
    let positions = || vec![(("t".to_owned(), 0), 5), (("t".to_owned(), 1), 6), (("other".to_owned(), 0), 7)];
    let Some(Ask::Commit(commit)) = group.next(0, &two_partitions, &positions) else { panic!("no commit") };
    assert_eq!(commit.generation_id_or_member_epoch, 4);
    assert_eq!(commit.topics[0].partitions.len(), 2, "ours only");
    assert_eq!(commit.topics.len(), 1);
    assert!(group.take_changes().is_empty(), "still ours until the commit is answered");
    group.on_commit(&OffsetCommitResponse::default());
    assert!(!group.is_leaving());
    assert_eq!(group.take_changes(), [Change::Revoked]);
    assert_eq!(join(&mut group).member_id, "a");
}

#[test]
fn a_member_that_was_forgotten_joins_as_a_new_one_without_committing() {
    let mut group = member("");
    settle(&mut group);
    group.take_changes();
    group.on_heartbeat(ErrorCode::UNKNOWN_MEMBER_ID, 0).unwrap();
    assert_eq!(group.take_changes(), [Change::Revoked]);
    assert_eq!(join(&mut group).member_id, "");
}

#[test]
fn heartbeats_and_commits_go_beside_one_another_at_their_intervals() {
    let mut group = member("heartbeat.interval.ms=3000 auto.commit.interval.ms=5000");
    settle(&mut group);
    let positions = || vec![(("t".to_owned(), 0), 5)];
    let mut asked = Vec::new();
    for second in 1..=12u64 {
        while let Some(ask) = group.next(second * 1_000_000_000, &two_partitions, &positions) {
            asked.push((second, matches!(ask, Ask::Heartbeat(_))));
            match ask {
                Ask::Heartbeat(_) => group.on_heartbeat(ErrorCode(HeartbeatResponse::default().error_code), 0).unwrap(),
                _ => group.on_commit(&OffsetCommitResponse::default()),
            }
        }
    }
    assert_eq!(asked, [(3, true), (5, false), (6, true), (9, true), (10, false), (12, true)]);
}

#[test]
fn a_coordinator_that_moved_is_looked_for_and_membership_goes_on() {
    let mut group = member("");
    settle(&mut group);
    group.on_heartbeat(ErrorCode::NOT_COORDINATOR, 0).unwrap();
    assert_eq!(next(&mut group, 99_000_000), None, "after the backoff");
    assert!(matches!(next(&mut group, 100_000_000), Some(Ask::FindCoordinator(_))));
    let response = FindCoordinatorResponse { node_id: 8, host: "h".into(), port: 1, ..Default::default() };
    assert_eq!(group.on_coordinator(&response, 0).unwrap(), Some((i32::MAX - 8, "h".into(), 1)));
    assert!(matches!(next(&mut group, 3_000_000_000), Some(Ask::Heartbeat(_))), "no new generation");
    assert!(group.take_changes().iter().all(|change| *change != Change::Revoked));
}

#[test]
fn a_topic_that_grew_is_shared_out_anew() {
    let mut group = member("");
    settle(&mut group);
    assert_eq!(group.take_changes()[0], Change::Assigned(both()));
    let asked = group.next(0, &|_| 3, &nothing);
    assert!(matches!(asked, Some(Ask::Join(_))), "{asked:?}");
}

#[test]
fn a_refusal_that_is_final_ends_it_with_kafka_s_name() {
    let mut group = member("");
    join(&mut group);
    let refused = JoinGroupResponse { error_code: ErrorCode::INVALID_SESSION_TIMEOUT.0, ..Default::default() };
    let error = group.on_join(&refused, &two_partitions, 0).unwrap_err().to_string();
    assert_eq!(error, "group g: joining the group: INVALID_SESSION_TIMEOUT (26)");
}

#[test]
fn a_static_member_stays_when_it_goes() {
    let mut group = member("group.instance.id=i");
    settle(&mut group);
    assert_eq!(group.leave(), None);
    let mut other = member("");
    settle(&mut other);
    assert_eq!(other.leave().unwrap().members[0].member_id, "a");
}
