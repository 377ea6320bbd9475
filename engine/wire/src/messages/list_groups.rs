//! ListGroups, key 16: versions 0 to 5, flexible from 3 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=5, flexible 3;
    message ListGroupsRequest, ListGroupsResponse;

    /// Asks for the groups that this broker coordinates.
    struct ListGroupsRequest {
        /// States to list, empty for all.
        states_filter: Vec<String> [4..],
        /// Types to list, empty for all.
        types_filter: Vec<String> [5..],
    }

    /// Groups that this broker coordinates.
    struct ListGroupsResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [1..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// The groups.
        groups: Vec<ListedGroup> [0..],
    }

    /// A group.
    struct ListedGroup {
        /// The group's id.
        group_id: String [0..],
        /// The kind of group, "consumer" for consumers.
        protocol_type: String [0..],
        /// The group's state, as a word.
        group_state: String [4..],
        /// The group's type, as a word.
        group_type: String [5..],
    }
}

api!(ListGroups: ListGroupsRequest => ListGroupsResponse);
