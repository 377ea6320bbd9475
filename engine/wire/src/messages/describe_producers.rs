//! DescribeProducers, key 61: version 0, flexible from 0 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=0, flexible 0;
    message DescribeProducersRequest, DescribeProducersResponse;

    /// Asks who writes to partitions with sequence numbers.
    struct DescribeProducersRequest {
        /// The topics.
        topics: Vec<TopicRequest> [0..],
    }

    /// A topic that is asked for.
    struct TopicRequest {
        /// The name.
        name: String [0..],
        /// The partitions' indexes.
        partition_indexes: Vec<i32> [0..],
    }

    /// The producers.
    struct DescribeProducersResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// The topics.
        topics: Vec<TopicResponse> [0..],
    }

    /// A topic's part of the answer.
    struct TopicResponse {
        /// The name.
        name: String [0..],
        /// The partitions.
        partitions: Vec<PartitionResponse> [0..],
    }

    /// A partition's part of the answer.
    struct PartitionResponse {
        /// The partition's index.
        partition_index: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What went wrong, in words.
        error_message: Option<String> [0..] null [0..],
        /// The producers whose state is kept.
        active_producers: Vec<ProducerState> [0..],
    }

    /// A producer's state.
    struct ProducerState {
        /// The producer's id.
        producer_id: i64 [0..],
        /// Its epoch.
        producer_epoch: i32 [0..],
        /// The last sequence number, -1 for none.
        last_sequence: i32 [0..] = -1,
        /// When it last wrote, in ms since 1970, -1 for never.
        last_timestamp: i64 [0..] = -1,
        /// The epoch of its transaction coordinator.
        coordinator_epoch: i32 [0..],
        /// Where its open transaction begins, -1 for none.
        current_txn_start_offset: i64 [0..] = -1,
    }
}

api!(DescribeProducers: DescribeProducersRequest => DescribeProducersResponse);
