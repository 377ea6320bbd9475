//! Members of a group of the consumer protocol.

use super::*;

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
    bench.find_coordinator();
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

#[test]
fn a_heartbeat_that_is_under_way_when_the_polls_stop_is_not_the_farewell_s_answer() {
    let mut bench = Bench::new("group.protocol=consumer max.poll.interval.ms=10000");
    bench.modern();
    bench.answered(3, None);
    bench.now_ns = 6 * SECOND;
    assert_eq!(bench.modern().member_epoch, 3);
    bench.now_ns = 11 * SECOND;
    bench.group.on_poll(bench.now_ns);
    assert_eq!(bench.modern().member_epoch, -1);
    assert_eq!(bench.modern().member_epoch, 0);
    bench.answered(3, None);
    let farewell = ConsumerGroupHeartbeatResponse { member_epoch: -1, ..Default::default() };
    bench.group.on_modern(&farewell, bench.now_ns).unwrap();
    assert_eq!(bench.next(), None, "neither the old heartbeat's answer nor the farewell's is that of joining");
    bench.answered(9, None);
    bench.now_ns = 17 * SECOND;
    assert_eq!(bench.modern().member_epoch, 9);
}

#[test]
fn who_joined_and_was_not_answered_yet_says_farewell_too() {
    let mut bench = Bench::new("group.protocol=consumer");
    bench.modern();
    let Some(Ask::Modern(leave)) = bench.group.leave() else { panic!("no farewell") };
    assert_eq!(leave.member_epoch, -1);
}

#[test]
fn a_question_about_offsets_outlives_a_stale_epoch() {
    let mut bench = Bench::new("group.protocol=consumer");
    bench.modern();
    bench.answered(3, None);
    let id = bench.group.ask_committed(t(&[0]));
    let Some(Ask::Positions(_, tag)) = bench.next() else { panic!("no OffsetFetch") };
    let group = OffsetFetchResponseGroup { error_code: ErrorCode::STALE_MEMBER_EPOCH.0, ..Default::default() };
    let response = OffsetFetchResponse { groups: vec![group], ..Default::default() };
    assert_eq!(bench.group.on_positions(tag, &response, bench.now_ns).unwrap(), []);
    bench.now_ns += SECOND;
    let Some(Ask::Positions(_, again)) = bench.next() else { panic!("it is not asked again") };
    bench.group.on_positions(again, &OffsetFetchResponse::default(), bench.now_ns).unwrap();
    assert!(bench.group.take_committed(id).is_some());
}
