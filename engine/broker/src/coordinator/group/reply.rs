//! Answers in the shape of the request's version.

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::heartbeat::HeartbeatResponse;
use ringlog_wire::messages::join_group::JoinGroupResponse;
use ringlog_wire::messages::leave_group::{LeaveGroupResponse, MemberResponse};
use ringlog_wire::messages::sync_group::SyncGroupResponse;

use super::{Effect, GroupResponse, ReplyTo};

/// Somebody who will be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiter {
    pub(super) to: ReplyTo,
    pub(super) api_version: i16,
}

impl Waiter {
    /// The answer to a JoinGroup. Before v7 the protocol cannot be null.
    pub(super) fn join(self, mut response: JoinGroupResponse) -> Effect {
        if self.api_version < 7 && response.protocol_name.is_none() {
            response.protocol_name = Some(String::new());
        }
        self.with(GroupResponse::Join(response))
    }

    /// A JoinGroup that failed.
    pub(super) fn join_error(self, member_id: &str, error: ErrorCode) -> Effect {
        self.join(JoinGroupResponse { error_code: error.0, member_id: member_id.to_owned(), ..Default::default() })
    }

    /// The answer to a SyncGroup.
    pub(super) fn sync(self, response: SyncGroupResponse) -> Effect {
        self.with(GroupResponse::Sync(response))
    }

    /// A SyncGroup that failed.
    pub(super) fn sync_error(self, error: ErrorCode) -> Effect {
        self.sync(SyncGroupResponse { error_code: error.0, ..Default::default() })
    }

    /// The answer to a Heartbeat.
    pub(super) fn heartbeat(self, error: ErrorCode) -> Effect {
        self.with(GroupResponse::Heartbeat(HeartbeatResponse { error_code: error.0, ..Default::default() }))
    }

    /// The answer to a LeaveGroup. Before v3 a request has one member, whose error is the answer's.
    pub(super) fn leave(self, error: ErrorCode, members: Vec<MemberResponse>) -> Effect {
        let mut response = LeaveGroupResponse { error_code: error.0, members, ..Default::default() };
        if self.api_version < 3 {
            let of_member = response.members.first().map_or(0, |member| member.error_code);
            response.error_code = if error.is_none() { of_member } else { error.0 };
            response.members.clear();
        }
        self.with(GroupResponse::Leave(response))
    }

    pub(super) fn with(self, response: GroupResponse) -> Effect {
        Effect::Reply { to: self.to, response }
    }
}
