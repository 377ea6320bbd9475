//! Produce, key 0: versions 3 to 13, flexible from 9 on.

use crate::schema::prelude::*;

messages! {
    versions 3..=13, flexible 9;
    message ProduceRequest, ProduceResponse;

    /// Appends record batches to partitions.
    struct ProduceRequest {
        /// The transactional id, null for none.
        transactional_id: Option<String> [3..] null [3..],
        /// Acknowledgements wanted: 0 none, 1 the leader's, -1 that of all in-sync replicas.
        acks: i16 [0..],
        /// How long to wait, in ms.
        timeout_ms: i32 [0..],
        /// Topics to write to.
        topic_data: Vec<TopicProduceData> [0..],
    }

    /// A topic's batches.
    struct TopicProduceData {
        /// The name.
        name: String [0..=12],
        /// The topic's id.
        topic_id: Uuid [13..],
        /// Partitions to write to.
        partition_data: Vec<PartitionProduceData> [0..],
    }

    /// A partition's batches.
    struct PartitionProduceData {
        /// The partition's index.
        index: i32 [0..],
        /// Record batches.
        records: Records [0..],
    }

    /// Where the batches went.
    struct ProduceResponse {
        /// One answer per topic.
        responses: Vec<TopicProduceResponse> [0..],
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [1..],
        /// Addresses of the leaders that the answer names.
        node_endpoints: Vec<NodeEndpoint> [10..] tag 0,
    }

    /// A topic's part of the answer.
    struct TopicProduceResponse {
        /// The name.
        name: String [0..=12],
        /// The topic's id.
        topic_id: Uuid [13..],
        /// One answer per partition.
        partition_responses: Vec<PartitionProduceResponse> [0..],
    }

    /// A partition's part of the answer.
    struct PartitionProduceResponse {
        /// The partition's index.
        index: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// The offset of the first record that was appended.
        base_offset: i64 [0..],
        /// The broker's time of append, ms since the epoch; -1 under CreateTime.
        log_append_time_ms: i64 [2..] = -1,
        /// The first offset that the log still has.
        log_start_offset: i64 [5..] = -1,
        /// Records that caused the whole batch to be refused.
        record_errors: Vec<BatchIndexAndErrorMessage> [8..],
        /// What went wrong, in words.
        error_message: Option<String> [8..] null [8..],
        /// Who leads the partition, for clients that asked the wrong node.
        current_leader: LeaderIdAndEpoch [10..] tag 0,
    }

    /// A record that was refused.
    struct BatchIndexAndErrorMessage {
        /// The index of the record within its batch.
        batch_index: i32 [8..],
        /// What is wrong with that record.
        batch_index_error_message: Option<String> [8..] null [8..],
    }

    /// Who leads a partition.
    struct LeaderIdAndEpoch {
        /// The leader's node id, -1 for none.
        leader_id: i32 [10..] = -1,
        /// The leader's epoch, -1 if unknown.
        leader_epoch: i32 [10..] = -1,
    }

    /// A node's address.
    struct NodeEndpoint {
        /// The node's id.
        node_id: i32 [10..],
        /// Host name or address.
        host: String [10..],
        /// The port.
        port: i32 [10..],
        /// The node's rack, null if it has none.
        rack: Option<String> [10..] null [10..],
    }
}

api!(Produce: ProduceRequest => ProduceResponse);
