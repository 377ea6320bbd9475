//! DescribeTopicPartitions, key 75: versions 0 to 0, flexible from 0 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=0, flexible 0;
    message DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse;

    /// Asks for topics' partitions, page by page.
    struct DescribeTopicPartitionsRequest {
        /// The topics.
        topics: Vec<TopicRequest> [0..],
        /// The most partitions in one answer.
        response_partition_limit: i32 [0..] = 2000,
        /// Where to go on, null for the start.
        cursor: Option<Cursor> [0..] null [0..],
    }

    /// A topic asked about.
    struct TopicRequest {
        /// The name.
        name: String [0..],
    }

    /// A place in the list of topics and partitions.
    struct Cursor {
        /// The topic's name.
        topic_name: String [0..],
        /// The partition's index.
        partition_index: i32 [0..],
    }

    /// Topics' partitions, one page.
    struct DescribeTopicPartitionsResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// The topics.
        topics: Vec<DescribeTopicPartitionsResponseTopic> [0..],
        /// Where to go on, null at the end.
        next_cursor: Option<Cursor> [0..] null [0..],
    }

    /// A topic and its partitions.
    struct DescribeTopicPartitionsResponseTopic {
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// The name.
        name: Option<String> [0..] null [0..] = Some(String::new()),
        /// The topic's id.
        topic_id: Uuid [0..],
        /// Whether it is one of Kafka's own topics.
        is_internal: bool [0..],
        /// The partitions.
        partitions: Vec<DescribeTopicPartitionsResponsePartition> [0..],
        /// Bit field of operations allowed on the topic, `i32::MIN` if it was not asked for.
        topic_authorized_operations: i32 [0..] = i32::MIN,
    }

    /// A partition, its leader and replicas.
    struct DescribeTopicPartitionsResponsePartition {
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// The partition's index.
        partition_index: i32 [0..],
        /// The leader's node id, -1 for none.
        leader_id: i32 [0..],
        /// The leader's epoch, -1 if unknown.
        leader_epoch: i32 [0..] = -1,
        /// The replicas' node ids, the preferred leader first.
        replica_nodes: Vec<i32> [0..],
        /// The in-sync replicas' node ids.
        isr_nodes: Vec<i32> [0..],
        /// Replicas outside the ISR that may lead without loss.
        eligible_leader_replicas: Option<Vec<i32>> [0..] null [0..],
        /// The last known eligible leaders.
        last_known_elr: Option<Vec<i32>> [0..] null [0..],
        /// Replicas that are offline.
        offline_replicas: Vec<i32> [0..],
    }
}

api!(DescribeTopicPartitions: DescribeTopicPartitionsRequest => DescribeTopicPartitionsResponse);
