//! OffsetCommit and OffsetFetch.

use ringlog_wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
};
use ringlog_wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics, OffsetFetchResponse,
};

use super::*;

/// A commit of one partition of `t` by nobody in particular.
pub(super) fn commit(partition: i32, offset: i64) -> OffsetCommitRequest {
    OffsetCommitRequest {
        group_id: GROUP.into(),
        topics: vec![OffsetCommitRequestTopic {
            name: "t".into(),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: partition,
                committed_offset: offset,
                committed_leader_epoch: 4,
                committed_metadata: Some("note".into()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn by_member(member: &str, generation: i32, request: OffsetCommitRequest) -> OffsetCommitRequest {
    OffsetCommitRequest { member_id: member.into(), generation_id_or_member_epoch: generation, ..request }
}

impl Rig {
    fn commit(&mut self, api_version: i16, request: OffsetCommitRequest) -> Ask {
        self.ask(api_version, GroupRequest::OffsetCommit(request))
    }

    fn committed(&self, ask: Ask) -> &OffsetCommitResponse {
        match self.answer(ask) {
            Some(GroupResponse::OffsetCommit(response)) => response,
            other => panic!("{ask:?} has no commit answer but {other:?}"),
        }
    }

    fn commit_error(&self, ask: Ask) -> ErrorCode {
        ErrorCode(self.committed(ask).topics[0].partitions[0].error_code)
    }

    fn commit_now(&mut self, request: OffsetCommitRequest) -> ErrorCode {
        let ask = self.commit(9, request);
        self.settle();
        self.commit_error(ask)
    }

    fn fetch(&mut self, api_version: i16, request: OffsetFetchRequest) -> OffsetFetchResponse {
        let ask = self.ask(api_version, GroupRequest::OffsetFetch(request));
        match self.answer(ask) {
            Some(GroupResponse::OffsetFetch(response)) => response.clone(),
            other => panic!("no fetch answer but {other:?}"),
        }
    }

    /// Offset and error of a partition of `t`.
    fn offset(&mut self, partition: i32, require_stable: bool) -> (i64, ErrorCode) {
        let topic =
            OffsetFetchRequestTopics { name: "t".into(), partition_indexes: vec![partition], ..Default::default() };
        let response = self.fetch(9, fetch_request(Some(vec![topic]), require_stable));
        let partition = &response.groups[0].topics[0].partitions[0];
        (partition.committed_offset, ErrorCode(partition.error_code))
    }
}

fn fetch_request(topics: Option<Vec<OffsetFetchRequestTopics>>, require_stable: bool) -> OffsetFetchRequest {
    let group = OffsetFetchRequestGroup { group_id: GROUP.into(), topics, ..Default::default() };
    OffsetFetchRequest { groups: vec![group], require_stable, ..Default::default() }
}

#[test]
fn somebody_without_a_group_stores_an_offset_and_the_group_exists() {
    let mut rig = Rig::new();
    let ask = rig.commit(9, commit(1, 42));
    assert!(rig.waits(ask), "not before the record is in the log");
    assert_eq!(rig.offset(1, false), (-1, ErrorCode::NONE));
    rig.settle();
    assert_eq!(rig.commit_error(ask), ErrorCode::NONE);
    assert_eq!(rig.offset(1, false), (42, ErrorCode::NONE));
    assert_eq!((rig.state(), rig.generation()), (State::Empty, 0));
}

#[test]
fn an_offset_is_written_as_kafka_writes_it() {
    let mut rig = Rig::new();
    rig.commit_now(commit(1, 42));
    let [(key, Some(value))] = rig.log.as_slice() else { panic!("one record") };
    assert_eq!(key, b"\x00\x01\x00\x07readers\x00\x01t\x00\x00\x00\x01");
    let wall = rig.at.wall_ms.to_be_bytes();
    let expected =
        [&b"\x00\x04\x00\x00\x00\x00\x00\x00\x00\x2a\x00\x00\x00\x04\x05note"[..], &wall, b"\x01\x00\x10", &TOPIC_ID.0];
    assert_eq!(*value, expected.concat());
}

#[test]
fn a_retention_of_its_own_makes_a_record_of_version_1() {
    let mut rig = Rig::new();
    let ask = rig.commit(2, OffsetCommitRequest { retention_time_ms: 1_000, ..commit(0, 5) });
    rig.settle();
    assert_eq!(rig.commit_error(ask), ErrorCode::NONE);
    let (_, Some(value)) = &rig.log[0] else { panic!("a value") };
    assert_eq!(value[..2], [0, 1]);
    assert_eq!(value[value.len() - 8..], (rig.at.wall_ms + 1_000).to_be_bytes());
}

#[test]
fn commits_follow_the_rules_of_the_groups_state() {
    use ErrorCode as E;
    let mut rig = Rig::new();
    let ids = rig.stable(2);
    let me = ids[0].as_str();
    // Stable.
    assert_eq!(rig.commit_now(by_member(me, 1, commit(0, 1))), E::NONE);
    assert_eq!(rig.commit_now(by_member(me, 0, commit(0, 2))), E::ILLEGAL_GENERATION);
    assert_eq!(rig.commit_now(by_member(me, 2, commit(0, 2))), E::ILLEGAL_GENERATION);
    assert_eq!(rig.commit_now(by_member("stranger", 1, commit(0, 2))), E::UNKNOWN_MEMBER_ID);
    assert_eq!(rig.commit_now(commit(0, 2)), E::UNKNOWN_MEMBER_ID);
    let fenced = OffsetCommitRequest { group_instance_id: Some("i".into()), ..by_member(me, 1, commit(0, 2)) };
    assert_eq!(rig.commit_now(fenced), E::UNKNOWN_MEMBER_ID);
    // PreparingRebalance: a member may still store what it has done.
    rig.join(9, join(&ids[0]));
    assert_eq!(rig.commit_now(by_member(&ids[1], 1, commit(1, 3))), E::NONE);
    // CompletingRebalance.
    rig.join(9, join(&ids[1]));
    assert_eq!(rig.commit_now(by_member(me, 2, commit(0, 4))), E::REBALANCE_IN_PROGRESS);
    assert_eq!(rig.commit_now(by_member(me, 1, commit(0, 4))), E::ILLEGAL_GENERATION);
    // Empty.
    rig.leave(&[(&ids[0], None), (&ids[1], None)]);
    assert_eq!(rig.state(), State::Empty);
    assert_eq!(rig.commit_now(by_member(me, 3, commit(0, 4))), E::UNKNOWN_MEMBER_ID);
    assert_eq!(rig.commit_now(commit(0, 7)), E::NONE);
    assert_eq!(rig.offset(0, false).0, 7);
}

#[test]
fn a_group_that_does_not_exist_is_named_from_version_9() {
    let mut rig = Rig::new();
    let ask = rig.commit(8, by_member("m", 1, commit(0, 1)));
    assert_eq!(rig.commit_error(ask), ErrorCode::ILLEGAL_GENERATION);
    let ask = rig.commit(9, by_member("m", 1, commit(0, 1)));
    assert_eq!(rig.commit_error(ask), ErrorCode::GROUP_ID_NOT_FOUND);
}

#[test]
fn a_commit_keeps_the_session_alive() {
    let mut rig = Rig::new();
    let ids = rig.stable(1);
    for _ in 0..5 {
        rig.pass_ms(SESSION_MS as u64 - 1_000);
        assert_eq!(rig.commit_now(by_member(&ids[0], 1, commit(0, 1))), ErrorCode::NONE);
    }
}

#[test]
fn partitions_that_do_not_exist_and_notes_that_are_too_long_are_refused_one_by_one() {
    let mut rig = Rig::new();
    let mut request = commit(0, 10);
    let long = Some("ä".repeat(4_097));
    let just_right = Some("ä".repeat(4_096));
    let of = |partition_index, committed_metadata| OffsetCommitRequestPartition {
        partition_index,
        committed_metadata,
        ..Default::default()
    };
    request.topics[0].partitions.extend([of(3, None), of(-1, None), of(1, long), of(2, just_right)]);
    request.topics.push(OffsetCommitRequestTopic {
        name: "gone".into(),
        partitions: vec![of(0, None)],
        ..Default::default()
    });
    let ask = rig.commit(9, request);
    rig.settle();
    let codes: Vec<i16> =
        rig.committed(ask).topics.iter().flat_map(|topic| &topic.partitions).map(|one| one.error_code).collect();
    assert_eq!(codes, [0, 3, 3, ErrorCode::OFFSET_METADATA_TOO_LARGE.0, 0, 3]);
    assert_eq!(rig.log.len(), 2);
}

#[test]
fn version_10_names_topics_by_id() {
    let mut rig = Rig::new();
    let mut request = commit(2, 9);
    request.topics[0].name = String::new();
    request.topics[0].topic_id = TOPIC_ID;
    let unknown = OffsetCommitRequestTopic { topic_id: Uuid([9; 16]), ..request.topics[0].clone() };
    request.topics.push(unknown);
    let ask = rig.commit(10, request);
    rig.settle();
    let codes: Vec<i16> = rig.committed(ask).topics.iter().map(|topic| topic.partitions[0].error_code).collect();
    assert_eq!(codes, [0, ErrorCode::UNKNOWN_TOPIC_ID.0]);
    assert_eq!(rig.committed(ask).topics[0].topic_id, TOPIC_ID);

    let ask = |topic_id| OffsetFetchRequestTopics { topic_id, partition_indexes: vec![2], ..Default::default() };
    let response = rig.fetch(10, fetch_request(Some(vec![ask(TOPIC_ID), ask(Uuid([9; 16]))]), false));
    let partitions: Vec<(i64, i16)> = response.groups[0]
        .topics
        .iter()
        .map(|topic| (topic.partitions[0].committed_offset, topic.partitions[0].error_code))
        .collect();
    assert_eq!(partitions, [(9, 0), (-1, ErrorCode::UNKNOWN_TOPIC_ID.0)]);
}

#[test]
fn a_commit_that_cannot_be_written_changes_nothing() {
    let mut rig = Rig::new();
    rig.commit_now(commit(0, 1));
    let ask = rig.commit(9, commit(0, 2));
    rig.fail_appends(ErrorCode::KAFKA_STORAGE_ERROR);
    assert_eq!(rig.commit_error(ask), ErrorCode::NOT_COORDINATOR);
    assert_eq!(rig.offset(0, true), (1, ErrorCode::NONE));
}

#[test]
fn who_asks_for_stable_offsets_is_not_given_one_that_is_about_to_change() {
    let mut rig = Rig::new();
    rig.commit_now(commit(0, 1));
    rig.commit(9, commit(0, 2));
    assert_eq!(rig.offset(0, true), (-1, ErrorCode::UNSTABLE_OFFSET_COMMIT));
    assert_eq!(rig.offset(0, false), (1, ErrorCode::NONE));
    rig.settle();
    assert_eq!(rig.offset(0, true), (2, ErrorCode::NONE));
}

#[test]
fn the_commit_that_is_later_in_the_log_wins_whichever_is_confirmed_first() {
    let mut rig = Rig::new();
    let first = rig.commit(9, commit(0, 1));
    let second = rig.commit(9, commit(0, 2));
    let [(early, _), (late, _)] = [rig.appending.pop_front().unwrap(), rig.appending.pop_front().unwrap()];
    for (ticket, log_offset) in [(late, 1), (early, 0)] {
        let effects = rig.coordinator.appended(ticket, Ok(log_offset), &ONE_TOPIC, rig.at);
        rig.act(effects);
    }
    assert_eq!((rig.commit_error(first), rig.commit_error(second)), (ErrorCode::NONE, ErrorCode::NONE));
    assert_eq!(rig.offset(0, false).0, 2);
}

#[test]
fn all_offsets_of_a_group_are_given_where_no_topics_are_named() {
    let mut rig = Rig::new();
    rig.commit_now(commit(0, 1));
    rig.commit_now(commit(2, 3));
    let response = rig.fetch(8, fetch_request(None, false));
    let topic = &response.groups[0].topics[0];
    let offsets: Vec<(i32, i64)> =
        topic.partitions.iter().map(|one| (one.partition_index, one.committed_offset)).collect();
    assert_eq!((topic.name.as_str(), offsets), ("t", vec![(0, 1), (2, 3)]));
    assert_eq!(topic.partitions[0].metadata.as_deref(), Some("note"));
    assert_eq!(topic.partitions[0].committed_leader_epoch, 4);
}

#[test]
fn before_version_8_a_request_is_about_one_group() {
    let mut rig = Rig::new();
    rig.commit_now(commit(0, 1));
    let topics =
        Some(vec![OffsetFetchRequestTopic { name: "t".into(), partition_indexes: vec![0, 1], ..Default::default() }]);
    let request = OffsetFetchRequest { group_id: GROUP.into(), topics, ..Default::default() };
    let response = rig.fetch(3, request.clone());
    let offsets: Vec<i64> = response.topics[0].partitions.iter().map(|one| one.committed_offset).collect();
    assert_eq!((response.error_code, offsets), (0, vec![1, -1]));

    rig.coordinator.unload(0);
    assert_eq!(rig.fetch(2, request.clone()).error_code, ErrorCode::NOT_COORDINATOR.0);
    let refused = rig.fetch(1, request);
    assert!(refused.topics[0].partitions.iter().all(|one| one.error_code == ErrorCode::NOT_COORDINATOR.0));
}

#[test]
fn offsets_of_a_topic_that_was_deleted_and_made_again_are_not_given() {
    let remade = Cluster { id: Some(Uuid([8; 16])), partitions: 3 };
    let mut rig = Rig::new();
    rig.commit_now(commit(0, 1));
    let caller = Caller { to: ReplyTo(99), api_version: 9, client_id: "c", client_host: "/h" };
    let request = GroupRequest::OffsetFetch(fetch_request(None, false));
    let effects = rig.coordinator.handle(caller, request, &remade, &mut || 0, rig.at);
    let [Effect::Reply { response: GroupResponse::OffsetFetch(response), .. }] = effects.as_slice() else {
        panic!("one answer: {effects:?}")
    };
    assert_eq!(response.groups[0].topics[0].partitions[0].committed_offset, -1);
}
