//! CreateTopics, key 19: versions 2 to 7, flexible from 5 on.

use crate::schema::prelude::*;

messages! {
    versions 2..=7, flexible 5;
    message CreateTopicsRequest, CreateTopicsResponse;

    /// Creates topics.
    struct CreateTopicsRequest {
        /// The topics.
        topics: Vec<CreatableTopic> [0..],
        /// How long to wait, in ms.
        timeout_ms: i32 [0..] = 60000,
        /// Whether to check without doing it.
        validate_only: bool [1..],
    }

    /// A topic to create.
    struct CreatableTopic {
        /// The name.
        name: String [0..],
        /// Number of partitions, -1 for the broker's default.
        num_partitions: i32 [0..],
        /// Number of replicas, -1 for the broker's default.
        replication_factor: i16 [0..],
        /// One assignment per member or partition.
        assignments: Vec<CreatableReplicaAssignment> [0..],
        /// Settings.
        configs: Vec<CreatableTopicConfig> [0..],
    }

    /// A partition's replicas, chosen by the client.
    struct CreatableReplicaAssignment {
        /// The partition's index.
        partition_index: i32 [0..],
        /// The replicas' node ids, the preferred leader first.
        broker_ids: Vec<i32> [0..],
    }

    /// A setting of the new topic.
    struct CreatableTopicConfig {
        /// The name.
        name: String [0..],
        /// The value.
        value: Option<String> [0..] null [0..] = Some(String::new()),
    }

    /// Which topics were created.
    struct CreateTopicsResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [2..],
        /// The topics.
        topics: Vec<CreatableTopicResult> [0..],
    }

    /// A topic's part of the answer.
    struct CreatableTopicResult {
        /// The name.
        name: String [0..],
        /// The topic's id.
        topic_id: Uuid [7..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What went wrong, in words.
        error_message: Option<String> [1..] null [0..] = Some(String::new()),
        /// Number of partitions, -1 for the broker's default.
        num_partitions: i32 [5..] = -1,
        /// Number of replicas, -1 for the broker's default.
        replication_factor: i16 [5..] = -1,
        /// Settings.
        configs: Option<Vec<CreatableTopicConfigs>> [5..] null [5..] = Some(Vec::new()),
        /// Why the settings are not reported, 0 if they are.
        topic_config_error_code: i16 [5..] tag 0,
    }

    /// A setting in force.
    struct CreatableTopicConfigs {
        /// The name.
        name: String [5..],
        /// The value.
        value: Option<String> [5..] null [5..] = Some(String::new()),
        /// Whether it cannot be changed.
        read_only: bool [5..],
        /// Where the value comes from (`ConfigSource`).
        config_source: i8 [5..] = -1,
        /// Whether the value is kept secret.
        is_sensitive: bool [5..],
    }
}

api!(CreateTopics: CreateTopicsRequest => CreateTopicsResponse);
