//! DescribeGroups, key 15: versions 0 to 6, flexible from 5 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=6, flexible 5;
    message DescribeGroupsRequest, DescribeGroupsResponse;

    /// Asks for classic groups' states and members.
    struct DescribeGroupsRequest {
        /// The groups.
        groups: Vec<String> [0..],
        /// Whether to report allowed operations.
        include_authorized_operations: bool [3..],
    }

    /// Classic groups' states and members.
    struct DescribeGroupsResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [1..],
        /// The groups.
        groups: Vec<DescribedGroup> [0..],
    }

    /// A group.
    struct DescribedGroup {
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What went wrong, in words.
        error_message: Option<String> [6..] null [6..],
        /// The group's id.
        group_id: String [0..],
        /// The group's state, as a word.
        group_state: String [0..],
        /// The kind of group, "consumer" for consumers.
        protocol_type: String [0..],
        /// The protocol that was chosen.
        protocol_data: String [0..],
        /// The group's members.
        members: Vec<DescribedGroupMember> [0..],
        /// Bit field of allowed operations, `i32::MIN` if it was not asked for.
        authorized_operations: i32 [3..] = i32::MIN,
    }

    /// A member.
    struct DescribedGroupMember {
        /// The id that the coordinator gave to the member, empty at first.
        member_id: String [0..],
        /// The static member's own id, null for dynamic members.
        group_instance_id: Option<String> [4..] null [4..],
        /// What the client calls itself.
        client_id: String [0..],
        /// The address that the member joined from.
        client_host: String [0..],
        /// The member's subscription, opaque to the broker.
        member_metadata: Vec<u8> [0..],
        /// The member's assignment, opaque to the broker.
        member_assignment: Vec<u8> [0..],
    }
}

api!(DescribeGroups: DescribeGroupsRequest => DescribeGroupsResponse);
