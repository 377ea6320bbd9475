//! JoinGroup, key 11: versions 0 to 9, flexible from 6 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=9, flexible 6;
    message JoinGroupRequest, JoinGroupResponse;

    /// Joins a classic group.
    struct JoinGroupRequest {
        /// The group's id.
        group_id: String [0..],
        /// After how long a silent member is dropped, in ms.
        session_timeout_ms: i32 [0..],
        /// How long members may take to rejoin, in ms.
        rebalance_timeout_ms: i32 [1..] = -1,
        /// The id that the coordinator gave to the member, empty at first.
        member_id: String [0..],
        /// The static member's own id, null for dynamic members.
        group_instance_id: Option<String> [5..] null [5..],
        /// The kind of group, "consumer" for consumers.
        protocol_type: String [0..],
        /// What the member can speak, best first.
        protocols: Vec<JoinGroupRequestProtocol> [0..],
        /// Why.
        reason: Option<String> [8..] null [8..],
    }

    /// A protocol that the member can speak.
    struct JoinGroupRequestProtocol {
        /// The name.
        name: String [0..],
        /// Opaque to the broker.
        metadata: Vec<u8> [0..],
    }

    /// The generation that the member is in.
    struct JoinGroupResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [2..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// The generation's number.
        generation_id: i32 [0..] = -1,
        /// The kind of group, "consumer" for consumers.
        protocol_type: Option<String> [7..] null [7..],
        /// The protocol that was chosen.
        protocol_name: Option<String> [0..] null [7..] = Some(String::new()),
        /// The leader's id.
        leader: String [0..],
        /// Whether the leader leaves the assignment alone (a static member rejoined).
        skip_assignment: bool [9..],
        /// The id that the coordinator gave to the member, empty at first.
        member_id: String [0..],
        /// The group's members.
        members: Vec<JoinGroupResponseMember> [0..],
    }

    /// A member, told to the leader only.
    struct JoinGroupResponseMember {
        /// The id that the coordinator gave to the member, empty at first.
        member_id: String [0..],
        /// The static member's own id, null for dynamic members.
        group_instance_id: Option<String> [5..] null [5..],
        /// Opaque to the broker.
        metadata: Vec<u8> [0..],
    }
}

api!(JoinGroup: JoinGroupRequest => JoinGroupResponse);
