//! CreatePartitions, key 37: versions 0 to 3, flexible from 2 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=3, flexible 2;
    message CreatePartitionsRequest, CreatePartitionsResponse;

    /// Gives topics more partitions.
    struct CreatePartitionsRequest {
        /// The topics.
        topics: Vec<CreatePartitionsTopic> [0..],
        /// How long to wait, in ms.
        timeout_ms: i32 [0..],
        /// Whether to check without doing it.
        validate_only: bool [0..],
    }

    /// A topic to grow.
    struct CreatePartitionsTopic {
        /// The name.
        name: String [0..],
        /// How many partitions it has afterwards.
        count: i32 [0..],
        /// The replicas of each new partition, null to let the controller choose.
        assignments: Option<Vec<CreatePartitionsAssignment>> [0..] null [0..] = Some(Vec::new()),
    }

    /// A new partition's replicas, chosen by the client.
    struct CreatePartitionsAssignment {
        /// The replicas' node ids, the preferred leader first.
        broker_ids: Vec<i32> [0..],
    }

    /// Which topics grew.
    struct CreatePartitionsResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// One answer per topic.
        results: Vec<CreatePartitionsTopicResult> [0..],
    }

    /// A topic's part of the answer.
    struct CreatePartitionsTopicResult {
        /// The name.
        name: String [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What went wrong, in words.
        error_message: Option<String> [0..] null [0..],
    }
}

api!(CreatePartitions: CreatePartitionsRequest => CreatePartitionsResponse);
