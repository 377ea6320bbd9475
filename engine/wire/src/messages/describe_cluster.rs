//! DescribeCluster, key 60: versions 0 to 2, flexible from 0 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=2, flexible 0;
    message DescribeClusterRequest, DescribeClusterResponse;

    /// Asks for the cluster's nodes.
    struct DescribeClusterRequest {
        /// Whether to report operations allowed on the cluster.
        include_cluster_authorized_operations: bool [0..],
        /// 1 for brokers, 2 for controllers.
        endpoint_type: i8 [1..] = 1,
        /// Whether to list fenced brokers as well.
        include_fenced_brokers: bool [2..],
    }

    /// The cluster's nodes.
    struct DescribeClusterResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What went wrong, in words.
        error_message: Option<String> [0..] null [0..],
        /// 1 for brokers, 2 for controllers.
        endpoint_type: i8 [1..] = 1,
        /// The cluster's id.
        cluster_id: String [0..],
        /// Node id of the controller.
        controller_id: i32 [0..] = -1,
        /// Nodes that the client may talk to.
        brokers: Vec<DescribeClusterBroker> [0..],
        /// Bit field of operations allowed on the cluster, `i32::MIN` if it was not asked for.
        cluster_authorized_operations: i32 [0..] = i32::MIN,
    }

    /// A node.
    struct DescribeClusterBroker {
        /// The broker's node id.
        broker_id: i32 [0..],
        /// Host name or address.
        host: String [0..],
        /// The port.
        port: i32 [0..],
        /// The node's rack, null if it has none.
        rack: Option<String> [0..] null [0..],
        /// Whether the broker is fenced.
        is_fenced: bool [2..],
    }
}

api!(DescribeCluster: DescribeClusterRequest => DescribeClusterResponse);
