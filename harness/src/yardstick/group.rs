//! Groups of one: whoever joins is the leader and the only member, and nothing is ever committed.
//!
//! ```text
//!   FindCoordinator -> this node     JoinGroup -> you lead, generation 1     SyncGroup -> what you assigned yourself
//!   OffsetFetch -> none committed    Heartbeat, OffsetCommit, LeaveGroup -> done
//! ```
//!
//! Nothing is remembered: two consumers of one group would each get all partitions. That is enough for a perf tool.

use ringlog_wire::ApiKey;
use ringlog_wire::messages::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};
use ringlog_wire::messages::heartbeat::HeartbeatResponse;
use ringlog_wire::messages::join_group::{JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember};
use ringlog_wire::messages::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberResponse};
use ringlog_wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use ringlog_wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use ringlog_wire::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};

use super::control::{NODE, decoded, frame};
use super::stream::{Broken, Header};

/// What this file answers.
pub(crate) const APIS: [ApiKey; 7] = [
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::SyncGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::OffsetFetch,
    ApiKey::OffsetCommit,
];
/// The one generation of every group.
const GENERATION: i32 = 1;
/// No offset is committed.
const NONE: i64 = -1;

/// Answers one request of these APIs; `port` is where we listen.
pub(crate) fn answer(outlet: &mut Vec<u8>, port: u16, header: Header, body: &[u8]) -> Result<(), Broken> {
    match header.api {
        ApiKey::FindCoordinator => frame(outlet, header, &find_coordinator(port, &decoded(header, body)?)),
        ApiKey::JoinGroup => frame(outlet, header, &join(decoded(header, body)?)?),
        ApiKey::SyncGroup => frame(outlet, header, &sync(decoded(header, body)?)),
        ApiKey::Heartbeat => frame(outlet, header, &HeartbeatResponse::default()),
        ApiKey::LeaveGroup => frame(outlet, header, &leave(decoded(header, body)?)),
        ApiKey::OffsetFetch => frame(outlet, header, &offset_fetch(decoded(header, body)?)),
        ApiKey::OffsetCommit => frame(outlet, header, &offset_commit(decoded(header, body)?)),
        other => Err(Broken::Malformed(format!("{} is not answered here", other.name()))),
    }
}

/// In the old form (one key) and in the new one (several).
fn find_coordinator(port: u16, request: &FindCoordinatorRequest) -> FindCoordinatorResponse {
    let (host, port) = ("127.0.0.1".to_owned(), i32::from(port));
    let coordinator = |key: &String| Coordinator {
        key: key.clone(),
        node_id: NODE,
        host: host.clone(),
        port,
        ..Coordinator::default()
    };
    FindCoordinatorResponse {
        coordinators: request.coordinator_keys.iter().map(coordinator).collect(),
        node_id: NODE,
        host: host.clone(),
        port,
        ..FindCoordinatorResponse::default()
    }
}

fn join(request: JoinGroupRequest) -> Result<JoinGroupResponse, Broken> {
    let member_id = if request.member_id.is_empty() { "the-one".to_owned() } else { request.member_id };
    let protocol = request.protocols.into_iter().next();
    let protocol = protocol.ok_or_else(|| Broken::Malformed("JoinGroup without a protocol".to_owned()))?;
    let member = JoinGroupResponseMember {
        member_id: member_id.clone(),
        group_instance_id: request.group_instance_id,
        metadata: protocol.metadata,
        ..JoinGroupResponseMember::default()
    };
    Ok(JoinGroupResponse {
        generation_id: GENERATION,
        protocol_type: Some(request.protocol_type),
        protocol_name: Some(protocol.name),
        leader: member_id.clone(),
        member_id,
        members: vec![member],
        ..JoinGroupResponse::default()
    })
}

fn sync(request: SyncGroupRequest) -> SyncGroupResponse {
    let own = request.assignments.into_iter().find(|it| it.member_id == request.member_id);
    SyncGroupResponse {
        protocol_type: request.protocol_type,
        protocol_name: request.protocol_name,
        assignment: own.map(|it| it.assignment).unwrap_or_default(),
        ..SyncGroupResponse::default()
    }
}

fn leave(request: LeaveGroupRequest) -> LeaveGroupResponse {
    let members = request.members.into_iter().map(|it| MemberResponse {
        member_id: it.member_id,
        group_instance_id: it.group_instance_id,
        ..MemberResponse::default()
    });
    LeaveGroupResponse { members: members.collect(), ..LeaveGroupResponse::default() }
}

/// In the old form (topics) and in the new one (groups of topics).
fn offset_fetch(request: OffsetFetchRequest) -> OffsetFetchResponse {
    let topics = request.topics.into_iter().flatten().map(|topic| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic.partition_indexes.into_iter().map(not_committed).collect(),
        ..OffsetFetchResponseTopic::default()
    });
    let groups = request.groups.into_iter().map(|group| OffsetFetchResponseGroup {
        group_id: group.group_id,
        topics: group
            .topics
            .into_iter()
            .flatten()
            .map(|it| offsets_of(it.name, it.topic_id, it.partition_indexes))
            .collect(),
        ..OffsetFetchResponseGroup::default()
    });
    OffsetFetchResponse { topics: topics.collect(), groups: groups.collect(), ..OffsetFetchResponse::default() }
}

fn not_committed(partition_index: i32) -> OffsetFetchResponsePartition {
    OffsetFetchResponsePartition { partition_index, committed_offset: NONE, ..OffsetFetchResponsePartition::default() }
}

fn offsets_of(name: String, topic_id: ringlog_wire::Uuid, partitions: Vec<i32>) -> OffsetFetchResponseTopics {
    let partitions = partitions.into_iter().map(|partition_index| OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: NONE,
        ..OffsetFetchResponsePartitions::default()
    });
    OffsetFetchResponseTopics {
        name,
        topic_id,
        partitions: partitions.collect(),
        ..OffsetFetchResponseTopics::default()
    }
}

fn offset_commit(request: OffsetCommitRequest) -> OffsetCommitResponse {
    let done =
        |partition_index| OffsetCommitResponsePartition { partition_index, ..OffsetCommitResponsePartition::default() };
    let topics = request.topics.into_iter().map(|topic| OffsetCommitResponseTopic {
        name: topic.name,
        topic_id: topic.topic_id,
        partitions: topic.partitions.iter().map(|it| done(it.partition_index)).collect(),
        ..OffsetCommitResponseTopic::default()
    });
    OffsetCommitResponse { topics: topics.collect(), ..OffsetCommitResponse::default() }
}

#[cfg(test)]
mod tests {
    use ringlog_wire::messages::join_group::JoinGroupRequestProtocol;
    use ringlog_wire::messages::sync_group::SyncGroupRequestAssignment;

    use super::*;

    #[test]
    fn who_joins_leads_alone_and_is_assigned_what_it_assigned_itself() {
        let protocol = JoinGroupRequestProtocol { name: "range".into(), metadata: vec![1], ..Default::default() };
        let joined = join(JoinGroupRequest { protocols: vec![protocol], ..Default::default() }).unwrap();
        assert_eq!(joined.leader, joined.member_id);
        assert_eq!((joined.members.len(), joined.protocol_name.as_deref()), (1, Some("range")));
        let mine = SyncGroupRequestAssignment {
            member_id: joined.member_id.clone(),
            assignment: vec![7, 8],
            ..Default::default()
        };
        let synced = sync(SyncGroupRequest {
            member_id: joined.member_id,
            assignments: vec![SyncGroupRequestAssignment::default(), mine],
            ..Default::default()
        });
        assert_eq!(synced.assignment, [7, 8]);
        assert!(join(JoinGroupRequest::default()).is_err(), "without a protocol there is nothing to choose");
    }
}
