//! ListOffsets, key 2: versions 1 to 11, flexible from 6 on.

use crate::schema::prelude::*;

messages! {
    versions 1..=11, flexible 6;
    message ListOffsetsRequest, ListOffsetsResponse;

    /// Asks for offsets by timestamp.
    struct ListOffsetsRequest {
        /// The follower's node id, -1 for a consumer.
        replica_id: i32 [0..],
        /// 0 read_uncommitted, 1 read_committed.
        isolation_level: i8 [2..],
        /// The topics.
        topics: Vec<ListOffsetsTopic> [0..],
        /// How long to wait, in ms.
        timeout_ms: i32 [10..],
    }

    /// A topic asked about.
    struct ListOffsetsTopic {
        /// The name.
        name: String [0..],
        /// The partitions.
        partitions: Vec<ListOffsetsPartition> [0..],
    }

    /// A partition asked about.
    struct ListOffsetsPartition {
        /// The partition's index.
        partition_index: i32 [0..],
        /// Leader epoch that the client knows, -1 to skip the check.
        current_leader_epoch: i32 [4..] = -1,
        /// Ms since the epoch, or one of the special values below 0.
        timestamp: i64 [0..],
    }

    /// Offsets by timestamp.
    struct ListOffsetsResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [2..],
        /// The topics.
        topics: Vec<ListOffsetsTopicResponse> [0..],
    }

    /// A topic's part of the answer.
    struct ListOffsetsTopicResponse {
        /// The name.
        name: String [0..],
        /// The partitions.
        partitions: Vec<ListOffsetsPartitionResponse> [0..],
    }

    /// A partition's part of the answer.
    struct ListOffsetsPartitionResponse {
        /// The partition's index.
        partition_index: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// Ms since the epoch, or one of the special values below 0.
        timestamp: i64 [1..] = -1,
        /// The offset.
        offset: i64 [1..] = -1,
        /// The leader's epoch, -1 if unknown.
        leader_epoch: i32 [4..] = -1,
    }
}

api!(ListOffsets: ListOffsetsRequest => ListOffsetsResponse);
