//! ListPartitionReassignments, key 46: version 0, flexible from 0 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=0, flexible 0;
    message ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse;

    /// Asks which partitions are moving.
    struct ListPartitionReassignmentsRequest {
        /// How long to wait, in ms.
        timeout_ms: i32 [0..] = 60_000,
        /// The topics, null for all.
        topics: Option<Vec<ListPartitionReassignmentsTopics>> [0..] null [0..] = None,
    }

    /// A topic that is asked for.
    struct ListPartitionReassignmentsTopics {
        /// The name.
        name: String [0..],
        /// The partitions' indexes.
        partition_indexes: Vec<i32> [0..],
    }

    /// The partitions that are moving.
    struct ListPartitionReassignmentsResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What went wrong, in words.
        error_message: Option<String> [0..] null [0..] = Some(String::new()),
        /// The topics.
        topics: Vec<OngoingTopicReassignment> [0..],
    }

    /// A topic's part of the answer.
    struct OngoingTopicReassignment {
        /// The name.
        name: String [0..],
        /// The partitions.
        partitions: Vec<OngoingPartitionReassignment> [0..],
    }

    /// A partition that is moving.
    struct OngoingPartitionReassignment {
        /// The partition's index.
        partition_index: i32 [0..],
        /// Who has it.
        replicas: Vec<i32> [0..],
        /// Who is to have it.
        adding_replicas: Vec<i32> [0..],
        /// Who is to give it up.
        removing_replicas: Vec<i32> [0..],
    }
}

api!(ListPartitionReassignments: ListPartitionReassignmentsRequest => ListPartitionReassignmentsResponse);
