//! AddPartitionsToTxn, key 24: versions 0 to 5, flexible from 3 on. Clients speak 0 to 3; 4 and 5 are for brokers, which
//! ask for several transactions at once, or only whether a partition is in one (KIP-890).

use crate::schema::prelude::*;

messages! {
    versions 0..=5, flexible 3;
    message AddPartitionsToTxnRequest, AddPartitionsToTxnResponse;

    /// Adds partitions to a transaction before anything is written to them.
    struct AddPartitionsToTxnRequest {
        /// Transactions to add partitions to.
        transactions: Vec<AddPartitionsToTxnTransaction> [4..],
        /// The transactional id.
        v3_and_below_transactional_id: String [0..=3],
        /// The producer's id.
        v3_and_below_producer_id: i64 [0..=3],
        /// The producer's epoch.
        v3_and_below_producer_epoch: i16 [0..=3],
        /// Partitions to add.
        v3_and_below_topics: Vec<AddPartitionsToTxnTopic> [0..=3],
    }

    /// One transaction.
    struct AddPartitionsToTxnTransaction {
        /// The transactional id.
        transactional_id: String [4..],
        /// The producer's id.
        producer_id: i64 [4..],
        /// The producer's epoch.
        producer_epoch: i16 [4..],
        /// Whether to look only if the partitions are in the transaction.
        verify_only: bool [4..],
        /// Partitions to add.
        topics: Vec<AddPartitionsToTxnTopic> [4..],
    }

    /// A topic's partitions.
    struct AddPartitionsToTxnTopic {
        /// The name.
        name: String [0..],
        /// The partitions' indexes.
        partitions: Vec<i32> [0..],
    }

    /// Which partitions were added.
    struct AddPartitionsToTxnResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [4..],
        /// One answer per transaction.
        results_by_transaction: Vec<AddPartitionsToTxnResult> [4..],
        /// One answer per topic.
        results_by_topic_v3_and_below: Vec<AddPartitionsToTxnTopicResult> [0..=3],
    }

    /// A transaction's part of the answer.
    struct AddPartitionsToTxnResult {
        /// The transactional id.
        transactional_id: String [4..],
        /// One answer per topic.
        topic_results: Vec<AddPartitionsToTxnTopicResult> [4..],
    }

    /// A topic's part of the answer.
    struct AddPartitionsToTxnTopicResult {
        /// The name.
        name: String [0..],
        /// One answer per partition.
        results_by_partition: Vec<AddPartitionsToTxnPartitionResult> [0..],
    }

    /// A partition's part of the answer.
    struct AddPartitionsToTxnPartitionResult {
        /// The partition's index.
        partition_index: i32 [0..],
        /// What went wrong, 0 for nothing.
        partition_error_code: i16 [0..],
    }
}

api!(AddPartitionsToTxn: AddPartitionsToTxnRequest => AddPartitionsToTxnResponse);
