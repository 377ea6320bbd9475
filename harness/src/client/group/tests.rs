//! Members of a group, and what a coordinator may say to them.

use ringlog_wire::messages::consumer_group_heartbeat::{Assignment, TopicPartitions};
use ringlog_wire::messages::join_group::JoinGroupResponseMember;
use ringlog_wire::messages::metadata::{MetadataResponse, MetadataResponsePartition, MetadataResponseTopic};
use ringlog_wire::messages::offset_commit::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use ringlog_wire::{ApiKey, Uuid};

use super::super::properties::Properties;
use super::*;

const SECOND: u64 = 1_000_000_000;
const TOPIC_ID: Uuid = Uuid([7; 16]);

/// A member, its partitions and the time, without a network.
struct Bench {
    group: Group,
    metadata: Metadata,
    fetcher: Fetcher,
    now_ns: u64,
    told: Vec<Change>,
}

impl Bench {
    fn new(more: &str) -> Self {
        let mut properties = Properties::new();
        properties.set("bootstrap.servers", "h:1");
        let pairs = more.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.for_each(|(key, value)| properties.set(key, value));
        let config = ConsumerConfig::parse(&properties).unwrap().config;
        let topics = Topics { names: vec!["t".into()], regex: None };
        let mut group = Group::subscribed("g", topics, &config, 0, [1, 2]);
        let coordinator = FindCoordinatorResponse { node_id: 3, host: "h".into(), port: 1, ..Default::default() };
        group.on_coordinator(&coordinator, 0).unwrap();
        let mut metadata = Metadata::new(&config.common, true);
        metadata.use_topic("t");
        let mut bench = Self { group, metadata, fetcher: Fetcher::new(&config), now_ns: 0, told: Vec::new() };
        bench.partitions(2);
        bench
    }

    fn partitions(&mut self, count: i32) {
        let partition =
            |partition_index| MetadataResponsePartition { partition_index, leader_id: 1, ..Default::default() };
        let topic = MetadataResponseTopic {
            name: Some("t".into()),
            topic_id: TOPIC_ID,
            partitions: (0..count).map(partition).collect(),
            ..Default::default()
        };
        self.metadata.update(&MetadataResponse { topics: vec![topic], ..Default::default() }, self.now_ns);
    }

    fn ask(&mut self, polls: bool) -> Option<Ask> {
        let (now_ns, metadata, fetcher) = (self.now_ns, &mut self.metadata, &self.fetcher);
        self.group.next(&mut Around { now_ns, metadata, fetcher, polls }).unwrap()
    }

    /// What goes out next; changes are told first, as a poll does.
    fn next(&mut self) -> Option<Ask> {
        loop {
            let ask = self.ask(true);
            let changes = self.group.take_changes();
            if changes.is_empty() {
                return ask;
            }
            changes.iter().for_each(|change| self.apply(change));
            self.told.extend(changes);
            if ask.is_some() {
                return ask;
            }
        }
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Revoked(gone) | Change::Lost(gone) => self.fetcher.unassign(gone),
            Change::Assigned { owned, .. } => self.fetcher.assign(owned, true),
        }
    }

    fn told(&mut self) -> Vec<Change> {
        let changes = self.group.take_changes();
        changes.iter().for_each(|change| self.apply(change));
        self.told.extend(changes);
        std::mem::take(&mut self.told)
    }

    fn join(&mut self) -> JoinGroupRequest {
        match self.next() {
            Some(Ask::Join(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    fn joined(&mut self, response: &JoinGroupResponse) -> Result<(), ClientError> {
        let (now_ns, metadata, fetcher) = (self.now_ns, &mut self.metadata, &self.fetcher);
        self.group.on_join(response, &mut Around { now_ns, metadata, fetcher, polls: true })
    }

    fn synced(&mut self, owned: &[TopicPartition]) {
        let assignment = subscription::assignment(owned);
        self.group.on_sync(&SyncGroupResponse { assignment, ..Default::default() }, self.now_ns).unwrap();
    }

    fn positions(&mut self) {
        let Some(Ask::Positions(_, tag)) = self.next() else { panic!("no OffsetFetch") };
        let stored = self.group.on_positions(tag, &OffsetFetchResponse::default(), self.now_ns).unwrap();
        assert!(stored.iter().all(|(_, committed)| committed.offset == -1), "nothing is stored");
        self.fetcher.committed(&stored);
        assert_eq!(self.fetcher.awaiting_committed(), []);
        for partition in self.fetcher.assigned().cloned().collect::<Vec<_>>() {
            self.fetcher.seek(&partition, 5);
        }
    }

    /// Brings a lone member to the point where it reads both partitions.
    fn settle(&mut self) {
        let request = self.join();
        let (strategy, subscription) = (request.protocols[0].name.clone(), request.protocols[0].metadata.clone());
        self.joined(&joined(&strategy, "a", "a", &[("a", subscription)])).unwrap();
        let Some(Ask::Sync(sync)) = self.next() else { panic!("no SyncGroup") };
        assert_eq!(sync.generation_id, 4);
        let assignment = sync.assignments[0].assignment.clone();
        self.group.on_sync(&SyncGroupResponse { assignment, ..Default::default() }, self.now_ns).unwrap();
        self.positions();
        self.told();
    }

    fn heartbeat(&mut self, error: ErrorCode) -> Result<(), ClientError> {
        let response = HeartbeatResponse { error_code: error.0, ..Default::default() };
        self.group.on_heartbeat(&response, self.now_ns)
    }

    fn committed(&mut self, tag: u64, error: ErrorCode) {
        let partition = OffsetCommitResponsePartition { error_code: error.0, ..Default::default() };
        let topic = OffsetCommitResponseTopic { partitions: vec![partition], ..Default::default() };
        let response = OffsetCommitResponse { topics: vec![topic], ..Default::default() };
        self.group.on_commit(tag, &response, self.now_ns).unwrap();
    }

    fn commit(&mut self) -> (OffsetCommitRequest, u64) {
        match self.next() {
            Some(Ask::Commit(request, tag)) => (request, tag),
            other => panic!("{other:?}"),
        }
    }

    fn modern(&mut self) -> ConsumerGroupHeartbeatRequest {
        match self.next() {
            Some(Ask::Modern(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    fn answered(&mut self, member_epoch: i32, assigned: Option<&[i32]>) {
        let topic = |partitions: &[i32]| TopicPartitions {
            topic_id: TOPIC_ID,
            partitions: partitions.to_vec(),
            ..Default::default()
        };
        let assignment = assigned.map(|it| Assignment { topic_partitions: vec![topic(it)], ..Default::default() });
        let response = ConsumerGroupHeartbeatResponse {
            member_epoch,
            heartbeat_interval_ms: 5000,
            assignment,
            ..Default::default()
        };
        self.group.on_modern(&response, self.now_ns).unwrap();
    }
}

fn joined(strategy: &str, leader: &str, id: &str, members: &[(&str, Vec<u8>)]) -> JoinGroupResponse {
    let member = |(id, metadata): &(&str, Vec<u8>)| JoinGroupResponseMember {
        member_id: (*id).into(),
        metadata: metadata.clone(),
        ..Default::default()
    };
    JoinGroupResponse {
        generation_id: 4,
        protocol_name: Some(strategy.into()),
        leader: leader.into(),
        member_id: id.into(),
        members: members.iter().map(member).collect(),
        ..Default::default()
    }
}

fn t(partitions: &[i32]) -> Vec<TopicPartition> {
    partitions.iter().map(|partition| ("t".to_owned(), *partition)).collect()
}

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

// The consumer protocol ----------------------------------------------------------------------------------------------

#[test]
fn a_modern_member_joins_takes_what_it_is_given_and_says_so_at_once() {
    let mut bench = Bench::new("group.protocol=consumer group.remote.assignor=uniform client.rack=r");
    let join = bench.modern();
    assert_eq!((join.member_epoch, join.member_id.len()), (0, 22));
    assert_eq!(join.subscribed_topic_names, Some(vec!["t".to_owned()]));
    assert_eq!((join.server_assignor.as_deref(), join.rack_id.as_deref()), (Some("uniform"), Some("r")));
    assert_eq!((join.rebalance_timeout_ms, join.topic_partitions), (300_000, Some(Vec::new())));
    bench.answered(1, Some(&[0, 1]));
    let acknowledged = bench.modern();
    assert_eq!(bench.told(), [Change::Assigned { added: t(&[0, 1]), owned: t(&[0, 1]) }]);
    assert_eq!((acknowledged.member_id, acknowledged.member_epoch), (join.member_id, 1));
    assert_eq!(acknowledged.topic_partitions.unwrap()[0].partitions, [0, 1]);
    assert_eq!((acknowledged.subscribed_topic_names, acknowledged.rebalance_timeout_ms), (None, -1), "known already");
    bench.answered(1, None);
    bench.positions();
    bench.now_ns = 5 * SECOND - 1;
    assert!(!matches!(bench.next(), Some(Ask::Modern(_))), "not before the broker's interval");
    bench.now_ns = 5 * SECOND;
    while let Some(ask) = bench.next() {
        match ask {
            Ask::Modern(beat) => assert_eq!((beat.member_epoch, beat.topic_partitions), (1, None)),
            Ask::Commit(_, tag) => bench.committed(tag, ErrorCode::NONE),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_modern_member_commits_before_it_gives_back_and_then_acknowledges() {
    let mut bench = Bench::new("group.protocol=consumer auto.commit.interval.ms=60000");
    bench.modern();
    bench.answered(1, Some(&[0, 1]));
    bench.modern();
    bench.answered(1, None);
    bench.positions();
    bench.told();
    bench.now_ns = 5 * SECOND;
    let Some(Ask::Modern(_)) = bench.next() else { panic!("no heartbeat") };
    bench.answered(2, Some(&[1]));
    let (commit, tag) = bench.commit();
    assert!(bench.group.is_giving_back());
    assert_eq!((commit.generation_id_or_member_epoch, commit.member_id.len()), (2, 22));
    assert_eq!(bench.told(), []);
    bench.committed(tag, ErrorCode::NONE);
    let acknowledged = bench.modern();
    assert_eq!(acknowledged.topic_partitions.unwrap()[0].partitions, [1]);
    let added = Vec::new();
    assert_eq!(bench.told(), [Change::Revoked(t(&[0])), Change::Assigned { added, owned: t(&[1]) }]);
    assert!(!bench.group.is_giving_back());
}

#[test]
fn a_fenced_modern_member_loses_its_partitions_and_joins_again_under_its_id() {
    for error in [ErrorCode::FENCED_MEMBER_EPOCH, ErrorCode::UNKNOWN_MEMBER_ID] {
        let mut bench = Bench::new("group.protocol=consumer");
        let id = bench.modern().member_id;
        bench.answered(7, Some(&[0]));
        bench.modern();
        let refused = ConsumerGroupHeartbeatResponse { error_code: error.0, ..Default::default() };
        bench.told();
        bench.group.on_modern(&refused, 0).unwrap();
        assert_eq!(bench.told(), [Change::Lost(t(&[0]))]);
        let again = bench.modern();
        assert_eq!((again.member_id, again.member_epoch, again.topic_partitions), (id, 0, Some(Vec::new())));
        assert_eq!(again.subscribed_topic_names, Some(vec!["t".to_owned()]));
    }
}

#[test]
fn a_lost_heartbeat_says_everything_again() {
    let mut bench = Bench::new("group.protocol=consumer");
    bench.modern();
    bench.answered(1, None);
    bench.now_ns = 5 * SECOND;
    assert_eq!(bench.modern().subscribed_topic_names, None);
    bench.group.lost(ApiKey::ConsumerGroupHeartbeat, 0, bench.now_ns);
    bench.now_ns += SECOND;
    assert!(matches!(bench.next(), Some(Ask::FindCoordinator(_))));
    let response = FindCoordinatorResponse { node_id: 3, host: "h".into(), port: 1, ..Default::default() };
    bench.group.on_coordinator(&response, bench.now_ns).unwrap();
    let again = bench.modern();
    assert_eq!((again.member_epoch, again.subscribed_topic_names), (1, Some(vec!["t".to_owned()])));
}

#[test]
fn partitions_of_topics_without_a_name_wait_for_the_metadata() {
    let mut bench = Bench::new("group.protocol=consumer");
    bench.modern();
    let topic = |topic_id, partition| TopicPartitions { topic_id, partitions: vec![partition], ..Default::default() };
    let topics = vec![topic(TOPIC_ID, 1), topic(Uuid([9; 16]), 0)];
    let assignment = Some(Assignment { topic_partitions: topics, ..Default::default() });
    let response = ConsumerGroupHeartbeatResponse { member_epoch: 1, assignment, ..Default::default() };
    bench.group.on_modern(&response, 0).unwrap();
    bench.next();
    assert_eq!(bench.told(), [Change::Assigned { added: t(&[1]), owned: t(&[1]) }], "what is known, at once");
    assert!(bench.metadata.due_ns().is_some());
    let partition = MetadataResponsePartition { leader_id: 1, ..Default::default() };
    let topic = MetadataResponseTopic {
        name: Some("u".into()),
        topic_id: Uuid([9; 16]),
        partitions: vec![partition],
        ..Default::default()
    };
    bench.metadata.use_topic("u");
    bench.metadata.update(&MetadataResponse { topics: vec![topic], ..Default::default() }, 0);
    while bench.next().is_some() {}
    let added = vec![("u".to_owned(), 0)];
    assert!(matches!(&bench.told()[..], [Change::Assigned { added: new, .. }] if *new == added));
}

#[test]
fn modern_members_leave_with_an_epoch_of_their_kind() {
    for (more, epoch) in [("", -1), ("group.instance.id=i", -2)] {
        let mut bench = Bench::new(&format!("group.protocol=consumer {more}"));
        assert_eq!(bench.group.leave(), None, "nobody knows of us yet");
        bench.modern();
        bench.answered(3, None);
        let Some(Ask::Modern(leave)) = bench.group.leave() else { panic!("no farewell") };
        assert_eq!(leave.member_epoch, epoch);
    }
}

#[test]
fn the_answer_to_a_farewell_is_not_the_answer_to_joining_again() {
    let mut bench = Bench::new("group.protocol=consumer max.poll.interval.ms=1000");
    bench.modern();
    bench.answered(3, None);
    bench.now_ns = 2 * SECOND;
    assert_eq!(bench.modern().member_epoch, -1);
    bench.group.on_poll(bench.now_ns);
    assert_eq!(bench.modern().member_epoch, 0);
    bench.answered(-1, None);
    assert_eq!(bench.next(), None, "the farewell's answer changes nothing");
    bench.answered(9, None);
    bench.now_ns = 2 * SECOND + SECOND / 2;
    let id = bench.group.commit(vec![Committable { partition: ("t".into(), 0), offset: 1, epoch: -1 }], true);
    let (commit, tag) = bench.commit();
    assert_eq!((commit.generation_id_or_member_epoch, tag), (9, id.0));
}

#[test]
fn a_broker_without_the_consumer_protocol_is_named_in_java_s_words() {
    let mut bench = Bench::new("group.protocol=consumer");
    bench.modern();
    let refused = ConsumerGroupHeartbeatResponse { error_code: ErrorCode::UNSUPPORTED_VERSION.0, ..Default::default() };
    let error = bench.group.on_modern(&refused, 0).unwrap_err().to_string();
    assert!(error.contains("The cluster does not support the new CONSUMER group protocol."), "{error}");
}
