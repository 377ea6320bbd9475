//! DescribeTransactions, key 65: version 0, flexible from 0 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=0, flexible 0;
    message DescribeTransactionsRequest, DescribeTransactionsResponse;

    /// Asks how transactions are doing.
    struct DescribeTransactionsRequest {
        /// The transactional ids; none are described if it is empty.
        transactional_ids: Vec<String> [0..],
    }

    /// The transactions.
    struct DescribeTransactionsResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// One answer per transactional id.
        transaction_states: Vec<TransactionState> [0..],
    }

    /// A transaction's part of the answer.
    struct TransactionState {
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// The transactional id.
        transactional_id: String [0..],
        /// The transaction's state, as a word.
        transaction_state: String [0..],
        /// After how long it is aborted, in ms.
        transaction_timeout_ms: i32 [0..],
        /// When it began, in ms since 1970.
        transaction_start_time_ms: i64 [0..],
        /// The producer's id.
        producer_id: i64 [0..],
        /// The producer's epoch.
        producer_epoch: i16 [0..],
        /// Its partitions; while it ends, those that still lack their marker.
        topics: Vec<TopicData> [0..],
    }

    /// A topic's partitions.
    struct TopicData {
        /// The name.
        topic: String [0..],
        /// The partitions' indexes.
        partitions: Vec<i32> [0..],
    }
}

api!(DescribeTransactions: DescribeTransactionsRequest => DescribeTransactionsResponse);
