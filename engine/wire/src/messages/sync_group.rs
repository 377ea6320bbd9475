//! SyncGroup, key 14: versions 0 to 5, flexible from 4 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=5, flexible 4;
    message SyncGroupRequest, SyncGroupResponse;

    /// The leader's assignment, or a follower asking for its share.
    struct SyncGroupRequest {
        /// The group's id.
        group_id: String [0..],
        /// The generation's number.
        generation_id: i32 [0..],
        /// The id that the coordinator gave to the member, empty at first.
        member_id: String [0..],
        /// The static member's own id, null for dynamic members.
        group_instance_id: Option<String> [3..] null [3..],
        /// The kind of group, "consumer" for consumers.
        protocol_type: Option<String> [5..] null [5..],
        /// The protocol that was chosen.
        protocol_name: Option<String> [5..] null [5..],
        /// One assignment per member or partition.
        assignments: Vec<SyncGroupRequestAssignment> [0..],
    }

    /// A member's share.
    struct SyncGroupRequestAssignment {
        /// The id that the coordinator gave to the member, empty at first.
        member_id: String [0..],
        /// The member's share, opaque to the broker.
        assignment: Vec<u8> [0..],
    }

    /// A member's share.
    struct SyncGroupResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [1..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// The kind of group, "consumer" for consumers.
        protocol_type: Option<String> [5..] null [5..],
        /// The protocol that was chosen.
        protocol_name: Option<String> [5..] null [5..],
        /// The member's share, opaque to the broker.
        assignment: Vec<u8> [0..],
    }
}

api!(SyncGroup: SyncGroupRequest => SyncGroupResponse);
