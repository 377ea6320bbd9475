//! Members of a classic group.

use super::*;

#[test]
fn the_leader_shares_out_and_every_member_takes_its_part() {
    let (mut leader, mut other) = (Bench::new(""), Bench::new(""));
    let request = leader.join();
    let names: Vec<&str> = request.protocols.iter().map(|protocol| protocol.name.as_str()).collect();
    assert_eq!(names, ["range", "cooperative-sticky"]);
    let subscription = request.protocols[0].metadata.clone();
    other.join();
    let members = [("b", subscription.clone()), ("a", subscription)];
    leader.joined(&joined("range", "a", "a", &members)).unwrap();
    other.joined(&joined("range", "a", "b", &[])).unwrap();
    let Some(Ask::Sync(sync)) = leader.next() else { panic!("no SyncGroup") };
    assert!(matches!(other.next(), Some(Ask::Sync(empty)) if empty.assignments.is_empty()));
    for (bench, id, partition) in [(&mut leader, "a", 0), (&mut other, "b", 1)] {
        let mine = sync.assignments.iter().find(|one| one.member_id == id).unwrap();
        let response = SyncGroupResponse { assignment: mine.assignment.clone(), ..Default::default() };
        bench.group.on_sync(&response, 0).unwrap();
        let (added, owned) = (t(&[partition]), t(&[partition]));
        assert_eq!(bench.told(), [Change::Assigned { added, owned }]);
    }
}

#[test]
fn a_leader_waits_for_the_partitions_of_topics_that_only_others_read() {
    let mut bench = Bench::new("");
    let mine = bench.join().protocols[0].metadata.clone();
    let strategy = crate::client::config::AssignmentStrategy::Range;
    let other = subscription::subscription(strategy, &["other".into()], (&[], -1), None, "");
    bench.joined(&joined("range", "a", "a", &[("a", mine), ("b", other)])).unwrap();
    assert_eq!(bench.next(), None, "nothing is known of the other topic");
    assert!(bench.metadata.due_ns().is_some());
    let partition = MetadataResponsePartition { leader_id: 1, ..Default::default() };
    let topic = MetadataResponseTopic { name: Some("other".into()), partitions: vec![partition], ..Default::default() };
    bench.metadata.update(&MetadataResponse { topics: vec![topic], ..Default::default() }, 0);
    let Some(Ask::Sync(sync)) = bench.next() else { panic!("no SyncGroup") };
    let theirs = sync.assignments.iter().find(|one| one.member_id == "b").unwrap();
    assert_eq!(subscription::read_assignment(&theirs.assignment).unwrap(), [("other".to_owned(), 0)]);
}

#[test]
fn a_strategy_that_nobody_named_is_an_error() {
    let mut bench = Bench::new("partition.assignment.strategy=roundrobin");
    bench.join();
    let error = bench.joined(&joined("range", "a", "b", &[])).unwrap_err().to_string();
    assert!(error.contains("chose the assignor range"), "{error}");
}

#[test]
fn a_rebalance_commits_gives_back_and_joins_again() {
    let mut bench = Bench::new("");
    bench.settle();
    bench.heartbeat(ErrorCode::REBALANCE_IN_PROGRESS).unwrap();
    let (commit, tag) = bench.commit();
    assert!(bench.group.is_giving_back(), "nothing is given out from here on");
    assert_eq!((commit.generation_id_or_member_epoch, commit.topics[0].partitions.len()), (4, 2));
    assert!(bench.told().is_empty(), "still ours until the commit is answered");
    bench.committed(tag, ErrorCode::NONE);
    assert_eq!(bench.ask(true), None, "nobody is told that we are ready before the caller let go");
    assert_eq!(bench.told(), [Change::Revoked(t(&[0, 1]))]);
    assert!(!bench.group.is_giving_back());
    assert_eq!(bench.join().member_id, "a");
}

#[test]
fn a_commit_before_a_rebalance_is_tried_again_while_that_helps() {
    let mut bench = Bench::new("");
    bench.settle();
    bench.heartbeat(ErrorCode::REBALANCE_IN_PROGRESS).unwrap();
    let (_, tag) = bench.commit();
    bench.committed(tag, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    assert_eq!(bench.next(), None, "after the backoff");
    bench.now_ns += SECOND / 10;
    let (_, again) = bench.commit();
    bench.committed(again, ErrorCode::OFFSET_METADATA_TOO_LARGE);
    assert_eq!(bench.join().member_id, "a", "what cannot be committed does not hold up the group");
}

#[test]
fn cooperative_members_keep_what_stays_theirs_and_give_back_after_the_assignment() {
    let mut bench = Bench::new("partition.assignment.strategy=cooperative-sticky");
    bench.settle();
    bench.heartbeat(ErrorCode::REBALANCE_IN_PROGRESS).unwrap();
    let (_, tag) = bench.commit();
    assert!(!bench.group.is_giving_back(), "reading goes on");
    bench.committed(tag, ErrorCode::NONE);
    let request = bench.join();
    assert!(bench.told().is_empty(), "nothing was given back");
    let strategy = Some(crate::client::config::AssignmentStrategy::CooperativeSticky);
    let said = JoinGroupResponseMember { metadata: request.protocols[0].metadata.clone(), ..Default::default() };
    let said = subscription::member(strategy, &said).unwrap();
    assert_eq!((said.owned, said.generation), (t(&[0, 1]), 4));
    bench.joined(&joined("cooperative-sticky", "b", "a", &[])).unwrap();
    assert!(matches!(bench.next(), Some(Ask::Sync(_))));
    bench.synced(&t(&[1]));
    let (_, tag) = bench.commit();
    assert!(bench.group.is_giving_back());
    bench.committed(tag, ErrorCode::NONE);
    let request = bench.join();
    assert_eq!(request.reason.as_deref(), Some("need to revoke partitions and re-join"));
    let added = Vec::new();
    assert_eq!(bench.told(), [Change::Revoked(t(&[0])), Change::Assigned { added, owned: t(&[1]) }]);
}

#[test]
fn a_member_that_was_forgotten_joins_as_a_new_one_without_committing() {
    let mut bench = Bench::new("");
    bench.settle();
    bench.heartbeat(ErrorCode::UNKNOWN_MEMBER_ID).unwrap();
    assert_eq!(bench.told(), [Change::Lost(t(&[0, 1]))]);
    assert_eq!(bench.join().member_id, "");
}

#[test]
fn a_commit_of_an_earlier_generation_says_nothing_about_this_one() {
    let mut bench = Bench::new("");
    bench.settle();
    bench.now_ns += 2 * SECOND;
    let id = bench.group.commit(bench.fetcher.committable(), false);
    let (request, tag) = bench.commit();
    assert_eq!((request.generation_id_or_member_epoch, CommitId(tag)), (4, id));
    bench.heartbeat(ErrorCode::ILLEGAL_GENERATION).unwrap();
    bench.join();
    bench.committed(tag, ErrorCode::UNKNOWN_MEMBER_ID);
    let done = bench.group.take_commits();
    assert!(done[0].1.as_ref().unwrap_err().to_string().contains("not part of an active group"));
    assert_eq!(bench.told(), [Change::Lost(t(&[0, 1]))], "the loss was told once, when it happened");
}

#[test]
fn heartbeats_and_commits_go_beside_one_another_at_their_intervals() {
    let mut bench = Bench::new("heartbeat.interval.ms=3000 auto.commit.interval.ms=5000");
    bench.settle();
    let mut asked = Vec::new();
    for second in 1..=12u64 {
        bench.now_ns = second * SECOND;
        while let Some(ask) = bench.next() {
            asked.push((second, matches!(ask, Ask::Heartbeat(_))));
            match ask {
                Ask::Commit(_, tag) => bench.committed(tag, ErrorCode::NONE),
                _ => bench.heartbeat(ErrorCode::NONE).unwrap(),
            }
        }
    }
    assert_eq!(asked, [(3, true), (5, false), (6, true), (9, true), (10, false), (12, true)]);
}

#[test]
fn without_polls_heartbeats_go_on_but_nothing_moves_until_the_poll_interval_is_over() {
    let mut bench = Bench::new("max.poll.interval.ms=10000 heartbeat.interval.ms=3000");
    bench.settle();
    bench.now_ns = 4 * SECOND;
    assert!(matches!(bench.ask(false), Some(Ask::Heartbeat(_))));
    bench.heartbeat(ErrorCode::REBALANCE_IN_PROGRESS).unwrap();
    assert_eq!(bench.ask(false), None, "the rebalance waits for the poll");
    bench.now_ns = 8 * SECOND;
    assert!(matches!(bench.ask(false), Some(Ask::Heartbeat(_))));
    bench.heartbeat(ErrorCode::REBALANCE_IN_PROGRESS).unwrap();
    bench.now_ns = 10 * SECOND + 1;
    assert!(bench.group.is_due(bench.now_ns));
    let Some(Ask::Leave(leave)) = bench.ask(false) else { panic!("no LeaveGroup") };
    assert_eq!(leave.members[0].reason.as_deref(), Some("consumer poll timeout has expired."));
    assert_eq!(bench.told(), [Change::Lost(t(&[0, 1]))]);
    assert_eq!(bench.next(), None, "away until somebody polls");
    bench.group.on_poll(bench.now_ns);
    assert_eq!(bench.join().member_id, "");
}

#[test]
fn a_failed_fetch_of_offsets_is_due_again_after_its_pause_and_never_where_nobody_waits_for_it_any_more() {
    let mut bench = Bench::new("heartbeat.interval.ms=3000 enable.auto.commit=false");
    bench.settle();
    let fails = |bench: &mut Bench| {
        bench.fetcher.unassign(&t(&[0, 1]));
        bench.fetcher.assign(&t(&[0, 1]), true);
        let Some(Ask::Positions(_, tag)) = bench.next() else { panic!("no OffsetFetch") };
        let group =
            OffsetFetchResponseGroup { error_code: ErrorCode::COORDINATOR_LOAD_IN_PROGRESS.0, ..Default::default() };
        let loading = OffsetFetchResponse { groups: vec![group], ..Default::default() };
        assert_eq!(bench.group.on_positions(tag, &loading, bench.now_ns).unwrap(), []);
        assert!(!bench.group.is_due(bench.now_ns), "after the backoff");
    };
    fails(&mut bench);
    bench.now_ns = SECOND;
    assert!(bench.group.is_due(bench.now_ns));
    bench.positions();
    assert!(!bench.group.is_due(bench.now_ns));
    fails(&mut bench);
    bench.fetcher.unassign(&t(&[0, 1]));
    bench.now_ns = 2 * SECOND;
    assert!(bench.group.is_due(bench.now_ns));
    assert_eq!(bench.next(), None);
    assert!(!bench.group.is_due(bench.now_ns), "a caller that keeps alive between records would do a turn for each");
    bench.now_ns = 3 * SECOND;
    assert!(matches!(bench.next(), Some(Ask::Heartbeat(_))));
}

#[test]
fn a_coordinator_that_moved_is_looked_for_and_membership_goes_on() {
    let mut bench = Bench::new("");
    bench.settle();
    bench.heartbeat(ErrorCode::NOT_COORDINATOR).unwrap();
    bench.now_ns = 99_000_000;
    assert_eq!(bench.next(), None, "after the backoff");
    bench.now_ns = 100_000_000;
    assert!(matches!(bench.next(), Some(Ask::FindCoordinator(_))));
    let response = FindCoordinatorResponse { node_id: 8, host: "h".into(), port: 1, ..Default::default() };
    assert_eq!(bench.group.on_coordinator(&response, 0).unwrap(), Some((i32::MAX - 8, "h".into(), 1)));
    bench.now_ns = 3 * SECOND;
    assert!(matches!(bench.next(), Some(Ask::Heartbeat(_))), "no new generation");
    assert_eq!(bench.told(), []);
}

#[test]
fn a_member_that_hears_nothing_for_its_session_looks_for_the_coordinator_anew() {
    let mut bench = Bench::new("session.timeout.ms=6000");
    bench.settle();
    bench.now_ns = 3 * SECOND;
    assert!(matches!(bench.next(), Some(Ask::Heartbeat(_))));
    bench.now_ns = 7 * SECOND;
    while bench.next().is_some() {}
    assert_eq!(bench.group.coordinator(), None);
}

#[test]
fn a_topic_that_grew_or_is_gone_is_shared_out_anew() {
    for count in [3, 0] {
        let mut bench = Bench::new("enable.auto.commit=false group.id=g");
        bench.settle();
        if count > 0 {
            bench.partitions(count);
        } else {
            let error_code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0;
            let topic = MetadataResponseTopic { name: Some("t".into()), error_code, ..Default::default() };
            bench.metadata.update(&MetadataResponse { topics: vec![topic], ..Default::default() }, 0);
        }
        bench.join();
        assert_eq!(bench.told(), [Change::Revoked(t(&[0, 1]))]);
    }
}

#[test]
fn other_topics_are_joined_for() {
    let mut bench = Bench::new("enable.auto.commit=false group.id=g");
    bench.settle();
    bench.group.set_topics(Topics { names: vec!["t".into(), "u".into()], regex: None });
    let request = bench.join();
    let said = JoinGroupResponseMember { metadata: request.protocols[0].metadata.clone(), ..Default::default() };
    assert_eq!(subscription::member(None, &said).unwrap().topics, ["t", "u"]);
}

#[test]
fn a_refusal_that_is_final_ends_it_with_kafka_s_name() {
    let mut bench = Bench::new("");
    bench.join();
    let refused = JoinGroupResponse { error_code: ErrorCode::INVALID_SESSION_TIMEOUT.0, ..Default::default() };
    let error = bench.joined(&refused).unwrap_err().to_string();
    assert_eq!(error, "group g: joining the group: INVALID_SESSION_TIMEOUT (26)");
}

#[test]
fn a_static_member_stays_when_it_goes_and_ends_when_another_took_its_place() {
    let mut bench = Bench::new("group.instance.id=i");
    bench.settle();
    assert_eq!(bench.group.leave(), None);
    let error = bench.heartbeat(ErrorCode::FENCED_INSTANCE_ID).unwrap_err().to_string();
    assert!(error.contains("FENCED_INSTANCE_ID (82): The broker rejected this static consumer"), "{error}");
    let mut other = Bench::new("");
    other.settle();
    let Some(Ask::Leave(leave)) = other.group.leave() else { panic!("no LeaveGroup") };
    assert_eq!(leave.members[0].member_id, "a");
}

#[test]
fn a_coordinator_that_says_rebalancing_is_heard() {
    let mut bench = Bench::new("session.timeout.ms=6000 max.poll.interval.ms=60000 heartbeat.interval.ms=3000");
    bench.settle();
    for second in [4, 8, 12] {
        bench.now_ns = second * SECOND;
        assert!(matches!(bench.ask(false), Some(Ask::Heartbeat(_))), "second {second}");
        bench.heartbeat(ErrorCode::REBALANCE_IN_PROGRESS).unwrap();
        assert!(bench.group.coordinator().is_some(), "second {second}");
    }
}

#[test]
fn a_coordinator_that_was_just_found_is_not_held_silent() {
    let mut bench = Bench::new("session.timeout.ms=6000");
    bench.settle();
    bench.group.lost(ApiKey::Heartbeat, 0, bench.now_ns);
    bench.now_ns = 20 * SECOND;
    assert!(matches!(bench.next(), Some(Ask::FindCoordinator(_))));
    bench.find_coordinator();
    assert!(matches!(bench.next(), Some(Ask::Heartbeat(_))));
    assert!(bench.group.coordinator().is_some(), "it has had no time to answer");
}

#[test]
fn an_answer_to_a_membership_that_is_over_joins_nobody() {
    let mut bench = Bench::new("max.poll.interval.ms=10000");
    bench.settle();
    bench.heartbeat(ErrorCode::ILLEGAL_GENERATION).unwrap();
    assert_eq!(bench.join().member_id, "a");
    bench.now_ns = 11 * SECOND;
    bench.group.on_poll(bench.now_ns);
    assert!(matches!(bench.next(), Some(Ask::Leave(_))), "the JoinGroup is still unanswered");
    assert_eq!(bench.next(), None, "one request of the main line at a time");
    bench.joined(&joined("range", "b", "a", &[])).unwrap();
    assert_eq!(bench.join().member_id, "", "as a new member: the old one has left");
}

#[test]
fn who_is_no_member_commits_nothing() {
    for gone in [ErrorCode::UNKNOWN_MEMBER_ID, ErrorCode::ILLEGAL_GENERATION] {
        let mut bench = Bench::new("");
        bench.settle();
        let offsets = bench.fetcher.committable();
        bench.heartbeat(gone).unwrap();
        let id = bench.group.commit(offsets, true);
        bench.ask(true);
        let done = bench.group.take_commits();
        assert_eq!(done.len(), 1, "{gone}: the caller need not wait");
        let error = done[0].1.as_ref().unwrap_err().to_string();
        assert!(done[0].0 == id && error.contains("not part of an active group"), "{error}");
    }
}

#[test]
fn a_commit_that_was_to_be_tried_again_does_not_outlive_the_membership() {
    let mut bench = Bench::new("");
    bench.settle();
    bench.heartbeat(ErrorCode::REBALANCE_IN_PROGRESS).unwrap();
    let (_, tag) = bench.commit();
    bench.committed(tag, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    bench.heartbeat(ErrorCode::UNKNOWN_MEMBER_ID).unwrap();
    bench.now_ns = SECOND;
    let subscription = bench.join().protocols[0].metadata.clone();
    bench.joined(&joined("range", "a", "new", &[])).unwrap();
    assert!(matches!(bench.next(), Some(Ask::Sync(_))), "{subscription:?}");
    bench.synced(&t(&[1]));
    assert!(!matches!(bench.next(), Some(Ask::Commit(..))), "those offsets may be another member's by now");
}
