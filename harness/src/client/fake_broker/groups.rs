//! A classic group of one member, and its stored offsets.

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::find_coordinator::{
    Coordinator as FoundCoordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};
use ringlog_wire::messages::join_group::{JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember};
use ringlog_wire::messages::offset_fetch::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};

use super::{State, TOPIC};

pub(super) fn find(request: &FindCoordinatorRequest, port: u16) -> FindCoordinatorResponse {
    let (node_id, host, port) = (1, "127.0.0.1".to_owned(), i32::from(port));
    let one = FoundCoordinator {
        key: request.coordinator_keys.first().cloned().unwrap_or_default(),
        node_id,
        host: host.clone(),
        port,
        ..Default::default()
    };
    FindCoordinatorResponse { node_id, host, port, coordinators: vec![one], ..Default::default() }
}

pub(super) fn join(request: JoinGroupRequest) -> JoinGroupResponse {
    if request.member_id.is_empty() {
        let error_code = ErrorCode::MEMBER_ID_REQUIRED.0;
        return JoinGroupResponse { error_code, member_id: "m".into(), ..Default::default() };
    }
    let member = JoinGroupResponseMember {
        member_id: request.member_id.clone(),
        metadata: request.protocols[0].metadata.clone(),
        ..Default::default()
    };
    JoinGroupResponse {
        generation_id: 1,
        protocol_name: Some("range".into()),
        leader: request.member_id.clone(),
        member_id: request.member_id,
        members: vec![member],
        ..Default::default()
    }
}

pub(super) fn committed(state: &State) -> OffsetFetchResponse {
    let old = |(partition_index, committed_offset): &(i32, i64)| OffsetFetchResponsePartition {
        partition_index: *partition_index,
        committed_offset: *committed_offset,
        ..Default::default()
    };
    let new = |(partition_index, committed_offset): &(i32, i64)| OffsetFetchResponsePartitions {
        partition_index: *partition_index,
        committed_offset: *committed_offset,
        ..Default::default()
    };
    let topic = OffsetFetchResponseTopic {
        name: TOPIC.into(),
        partitions: state.committed.iter().map(old).collect(),
        ..Default::default()
    };
    let topics = OffsetFetchResponseTopics {
        name: TOPIC.into(),
        partitions: state.committed.iter().map(new).collect(),
        ..Default::default()
    };
    let group = OffsetFetchResponseGroup { topics: vec![topics], ..Default::default() };
    OffsetFetchResponse { topics: vec![topic], groups: vec![group], ..Default::default() }
}
