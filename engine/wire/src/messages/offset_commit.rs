//! OffsetCommit, key 8: versions 2 to 10, flexible from 8 on.

use crate::schema::prelude::*;

messages! {
    versions 2..=10, flexible 8;
    message OffsetCommitRequest, OffsetCommitResponse;

    /// Stores a group's offsets.
    struct OffsetCommitRequest {
        /// The group's id.
        group_id: String [0..],
        /// The generation (classic groups) or the member's epoch.
        generation_id_or_member_epoch: i32 [1..] = -1,
        /// The id that the coordinator gave to the member, empty at first.
        member_id: String [1..],
        /// The static member's own id, null for dynamic members.
        group_instance_id: Option<String> [7..] null [7..],
        /// How long to keep the offsets, in ms, -1 for the broker's setting.
        retention_time_ms: i64 [2..=4] = -1,
        /// The topics.
        topics: Vec<OffsetCommitRequestTopic> [0..],
    }

    /// A topic's offsets.
    struct OffsetCommitRequestTopic {
        /// The name.
        name: String [0..=9],
        /// The topic's id.
        topic_id: Uuid [10..],
        /// The partitions.
        partitions: Vec<OffsetCommitRequestPartition> [0..],
    }

    /// A partition's offset.
    struct OffsetCommitRequestPartition {
        /// The partition's index.
        partition_index: i32 [0..],
        /// The offset of the next record to consume.
        committed_offset: i64 [0..],
        /// Leader epoch of the last record consumed, -1 if unknown.
        committed_leader_epoch: i32 [6..] = -1,
        /// What the client wants to keep beside the offset.
        committed_metadata: Option<String> [0..] null [0..] = Some(String::new()),
    }

    /// Which offsets were stored.
    struct OffsetCommitResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [3..],
        /// The topics.
        topics: Vec<OffsetCommitResponseTopic> [0..],
    }

    /// A topic's part of the answer.
    struct OffsetCommitResponseTopic {
        /// The name.
        name: String [0..=9],
        /// The topic's id.
        topic_id: Uuid [10..],
        /// The partitions.
        partitions: Vec<OffsetCommitResponsePartition> [0..],
    }

    /// A partition's part of the answer.
    struct OffsetCommitResponsePartition {
        /// The partition's index.
        partition_index: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
    }
}

api!(OffsetCommit: OffsetCommitRequest => OffsetCommitResponse);
