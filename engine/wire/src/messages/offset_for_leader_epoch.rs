//! OffsetForLeaderEpoch, key 23: versions 2 to 4, flexible from 4 on.

use crate::schema::prelude::*;

messages! {
    versions 2..=4, flexible 4;
    message OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse;

    /// Asks where leader epochs end.
    struct OffsetForLeaderEpochRequest {
        /// The follower's node id, -1 for a consumer.
        replica_id: i32 [3..] = -2,
        /// The topics.
        topics: Vec<OffsetForLeaderTopic> [0..],
    }

    /// A topic asked about.
    struct OffsetForLeaderTopic {
        /// The topic's name.
        topic: String [0..],
        /// The partitions.
        partitions: Vec<OffsetForLeaderPartition> [0..],
    }

    /// A partition asked about.
    struct OffsetForLeaderPartition {
        /// The partition's index.
        partition: i32 [0..],
        /// Leader epoch that the client knows, -1 to skip the check.
        current_leader_epoch: i32 [2..] = -1,
        /// The leader's epoch, -1 if unknown.
        leader_epoch: i32 [0..],
    }

    /// Where leader epochs end.
    struct OffsetForLeaderEpochResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [2..],
        /// The topics.
        topics: Vec<OffsetForLeaderTopicResult> [0..],
    }

    /// A topic's part of the answer.
    struct OffsetForLeaderTopicResult {
        /// The topic's name.
        topic: String [0..],
        /// The partitions.
        partitions: Vec<EpochEndOffset> [0..],
    }

    /// Where an epoch ends.
    struct EpochEndOffset {
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// The partition's index.
        partition: i32 [0..],
        /// The leader's epoch, -1 if unknown.
        leader_epoch: i32 [1..] = -1,
        /// The offset after the last one.
        end_offset: i64 [0..] = -1,
    }
}

api!(OffsetForLeaderEpoch: OffsetForLeaderEpochRequest => OffsetForLeaderEpochResponse);
