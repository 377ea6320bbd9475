//! DeleteGroups, key 42: versions 0 to 2, flexible from 2 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=2, flexible 2;
    message DeleteGroupsRequest, DeleteGroupsResponse;

    /// Deletes groups that have no members, with their offsets.
    struct DeleteGroupsRequest {
        /// The groups.
        groups_names: Vec<String> [0..],
    }

    /// Which groups were deleted.
    struct DeleteGroupsResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// One answer per group.
        results: Vec<DeletableGroupResult> [0..],
    }

    /// A group's part of the answer.
    struct DeletableGroupResult {
        /// The group's id.
        group_id: String [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
    }
}

api!(DeleteGroups: DeleteGroupsRequest => DeleteGroupsResponse);
