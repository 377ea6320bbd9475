//! Metadata, key 3: versions 0 to 13, flexible from 9 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=13, flexible 9;
    message MetadataRequest, MetadataResponse;

    /// Asks for brokers, topics and partition leaders.
    struct MetadataRequest {
        /// The topics.
        topics: Option<Vec<MetadataRequestTopic>> [0..] null [1..] = Some(Vec::new()),
        /// Whether unknown topics may be created, if the broker does that.
        allow_auto_topic_creation: bool [4..] = true,
        /// Whether to report operations allowed on the cluster.
        include_cluster_authorized_operations: bool [8..=10],
        /// Whether to report operations allowed on the topics.
        include_topic_authorized_operations: bool [8..],
    }

    /// A topic asked about, by name or id.
    struct MetadataRequestTopic {
        /// The topic's id.
        topic_id: Uuid [10..],
        /// The name.
        name: Option<String> [0..] null [10..] = Some(String::new()),
    }

    /// Brokers, topics and partition leaders.
    struct MetadataResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [3..],
        /// Nodes that the client may talk to.
        brokers: Vec<MetadataResponseBroker> [0..],
        /// The cluster's id.
        cluster_id: Option<String> [2..] null [2..],
        /// Node id of the controller.
        controller_id: i32 [1..] = -1,
        /// The topics.
        topics: Vec<MetadataResponseTopic> [0..],
        /// Bit field of operations allowed on the cluster, `i32::MIN` if it was not asked for.
        cluster_authorized_operations: i32 [8..=10] = i32::MIN,
        /// What went wrong, 0 for nothing.
        error_code: i16 [13..],
    }

    /// A broker's address.
    struct MetadataResponseBroker {
        /// The node's id.
        node_id: i32 [0..],
        /// Host name or address.
        host: String [0..],
        /// The port.
        port: i32 [0..],
        /// The node's rack, null if it has none.
        rack: Option<String> [1..] null [1..],
    }

    /// A topic and its partitions.
    struct MetadataResponseTopic {
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// The name.
        name: Option<String> [0..] null [12..] = Some(String::new()),
        /// The topic's id.
        topic_id: Uuid [10..],
        /// Whether it is one of Kafka's own topics.
        is_internal: bool [1..],
        /// The partitions.
        partitions: Vec<MetadataResponsePartition> [0..],
        /// Bit field of operations allowed on the topic, `i32::MIN` if it was not asked for.
        topic_authorized_operations: i32 [8..] = i32::MIN,
    }

    /// A partition, its leader and replicas.
    struct MetadataResponsePartition {
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// The partition's index.
        partition_index: i32 [0..],
        /// The leader's node id, -1 for none.
        leader_id: i32 [0..],
        /// The leader's epoch, -1 if unknown.
        leader_epoch: i32 [7..] = -1,
        /// The replicas' node ids, the preferred leader first.
        replica_nodes: Vec<i32> [0..],
        /// The in-sync replicas' node ids.
        isr_nodes: Vec<i32> [0..],
        /// Replicas that are offline.
        offline_replicas: Vec<i32> [5..],
    }
}

api!(Metadata: MetadataRequest => MetadataResponse);
