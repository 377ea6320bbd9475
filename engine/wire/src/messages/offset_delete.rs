//! OffsetDelete, key 47: version 0, never flexible.

use crate::schema::prelude::*;

messages! {
    versions 0..=0, flexible NEVER;
    message OffsetDeleteRequest, OffsetDeleteResponse;

    /// Deletes offsets that a group committed.
    struct OffsetDeleteRequest {
        /// The group's id.
        group_id: String [0..],
        /// The topics.
        topics: Vec<OffsetDeleteRequestTopic> [0..],
    }

    /// A topic whose offsets are to go.
    struct OffsetDeleteRequestTopic {
        /// The name.
        name: String [0..],
        /// The partitions.
        partitions: Vec<OffsetDeleteRequestPartition> [0..],
    }

    /// A partition whose offset is to go.
    struct OffsetDeleteRequestPartition {
        /// The partition's index.
        partition_index: i32 [0..],
    }

    /// Which offsets were deleted.
    struct OffsetDeleteResponse {
        /// What went wrong with all of them, 0 for nothing.
        error_code: i16 [0..],
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// The topics.
        topics: Vec<OffsetDeleteResponseTopic> [0..],
    }

    /// A topic's part of the answer.
    struct OffsetDeleteResponseTopic {
        /// The name.
        name: String [0..],
        /// The partitions.
        partitions: Vec<OffsetDeleteResponsePartition> [0..],
    }

    /// A partition's part of the answer.
    struct OffsetDeleteResponsePartition {
        /// The partition's index.
        partition_index: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
    }
}

api!(OffsetDelete: OffsetDeleteRequest => OffsetDeleteResponse);
