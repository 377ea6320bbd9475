//! LeaveGroup, key 13: versions 0 to 5, flexible from 4 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=5, flexible 4;
    message LeaveGroupRequest, LeaveGroupResponse;

    /// Leaves a classic group.
    struct LeaveGroupRequest {
        /// The group's id.
        group_id: String [0..],
        /// The id that the coordinator gave to the member, empty at first.
        member_id: String [0..=2],
        /// The group's members.
        members: Vec<MemberIdentity> [3..],
    }

    /// A member that leaves.
    struct MemberIdentity {
        /// The id that the coordinator gave to the member, empty at first.
        member_id: String [3..],
        /// The static member's own id, null for dynamic members.
        group_instance_id: Option<String> [3..] null [3..],
        /// Why.
        reason: Option<String> [5..] null [5..],
    }

    /// Who left.
    struct LeaveGroupResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [1..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// The group's members.
        members: Vec<MemberResponse> [3..],
    }

    /// A member's part of the answer.
    struct MemberResponse {
        /// The id that the coordinator gave to the member, empty at first.
        member_id: String [3..],
        /// The static member's own id, null for dynamic members.
        group_instance_id: Option<String> [3..] null [3..] = Some(String::new()),
        /// What went wrong, 0 for nothing.
        error_code: i16 [3..],
    }
}

api!(LeaveGroup: LeaveGroupRequest => LeaveGroupResponse);
