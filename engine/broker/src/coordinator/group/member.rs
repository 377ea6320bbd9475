//! A member of a classic group.

use ringlog_wire::messages::describe_groups::DescribedGroupMember;
use ringlog_wire::messages::join_group::{JoinGroupRequestProtocol, JoinGroupResponseMember};

use super::Caller;
use super::reply::Waiter;

/// A member, and what it waits for.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: String,
    /// `group.instance.id`: the member is static.
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) session_timeout_ms: i32,
    /// What it can, the most wanted first.
    pub(super) protocols: Vec<JoinGroupRequestProtocol>,
    /// Its share in the current generation, opaque.
    pub(super) assignment: Vec<u8>,
    pub(super) awaiting_join: Option<Waiter>,
    pub(super) awaiting_sync: Option<Waiter>,
    /// It has not been through a rebalance yet: it has no id of its own and cannot send heartbeats.
    pub(super) is_new: bool,
}

/// A static member's id before and after it came back, and what it was, in case the record cannot be written.
#[derive(Debug)]
pub(super) struct Replaced {
    pub(super) instance_id: String,
    pub(super) old_id: String,
    pub(super) new_id: String,
    pub(super) old_leader: Option<String>,
    pub(super) old_protocols: Vec<JoinGroupRequestProtocol>,
    pub(super) old_rebalance_timeout_ms: i32,
    pub(super) old_session_timeout_ms: i32,
}

impl Member {
    /// A member that arrives.
    pub(super) fn new(id: String, instance_id: Option<String>, caller: &Caller<'_>) -> Self {
        Self {
            id,
            instance_id,
            client_id: caller.client_id.to_owned(),
            client_host: caller.client_host.to_owned(),
            rebalance_timeout_ms: 0,
            session_timeout_ms: 0,
            protocols: Vec::new(),
            assignment: Vec::new(),
            awaiting_join: None,
            awaiting_sync: None,
            is_new: true,
        }
    }

    /// What the member sent about itself for a protocol; nothing where it does not have it.
    pub(super) fn metadata(&self, protocol: &str) -> &[u8] {
        self.protocols.iter().find(|one| one.name == protocol).map_or(&[], |one| &one.metadata)
    }

    pub(super) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|one| one.name == protocol)
    }

    /// A member that waits for an answer of ours cannot send heartbeats, so its session goes on; but a new member may
    /// be gone without our knowing.
    pub(super) fn has_satisfied_heartbeat(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }

    /// As the leader sees it.
    pub(super) fn for_leader(&self, protocol: &str) -> JoinGroupResponseMember {
        JoinGroupResponseMember {
            member_id: self.id.clone(),
            group_instance_id: self.instance_id.clone(),
            metadata: self.metadata(protocol).to_vec(),
            ..Default::default()
        }
    }

    /// As admin clients see it; `protocol` only where the group is stable.
    pub(super) fn described(&self, protocol: Option<&str>) -> DescribedGroupMember {
        DescribedGroupMember {
            member_id: self.id.clone(),
            group_instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            member_metadata: protocol.map(|protocol| self.metadata(protocol).to_vec()).unwrap_or_default(),
            member_assignment: self.assignment.clone(),
            ..Default::default()
        }
    }
}
