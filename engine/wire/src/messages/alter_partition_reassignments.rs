//! AlterPartitionReassignments, key 45: versions 0 to 1, flexible from 0 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=1, flexible 0;
    message AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse;

    /// Moves partitions to other nodes.
    struct AlterPartitionReassignmentsRequest {
        /// How long to wait, in ms.
        timeout_ms: i32 [0..] = 60_000,
        /// Whether a partition may have more or fewer replicas afterwards.
        allow_replication_factor_change: bool [1..] = true,
        /// The topics.
        topics: Vec<ReassignableTopic> [0..],
    }

    /// A topic to move.
    struct ReassignableTopic {
        /// The name.
        name: String [0..],
        /// The partitions.
        partitions: Vec<ReassignablePartition> [0..],
    }

    /// A partition to move.
    struct ReassignablePartition {
        /// The partition's index.
        partition_index: i32 [0..],
        /// Who is to have it, null to stop a move.
        replicas: Option<Vec<i32>> [0..] null [0..] = None,
    }

    /// What became of it.
    struct AlterPartitionReassignmentsResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// Whether a partition may have more or fewer replicas afterwards.
        allow_replication_factor_change: bool [1..] = true,
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What went wrong, in words.
        error_message: Option<String> [0..] null [0..] = Some(String::new()),
        /// The topics.
        responses: Vec<ReassignableTopicResponse> [0..],
    }

    /// A topic's part of the answer.
    struct ReassignableTopicResponse {
        /// The name.
        name: String [0..],
        /// The partitions.
        partitions: Vec<ReassignablePartitionResponse> [0..],
    }

    /// A partition's part of the answer.
    struct ReassignablePartitionResponse {
        /// The partition's index.
        partition_index: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What went wrong, in words.
        error_message: Option<String> [0..] null [0..] = Some(String::new()),
    }
}

api!(AlterPartitionReassignments: AlterPartitionReassignmentsRequest => AlterPartitionReassignmentsResponse);
