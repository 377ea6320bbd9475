//! ListTransactions, key 66: versions 0 to 2, flexible from 0 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=2, flexible 0;
    message ListTransactionsRequest, ListTransactionsResponse;

    /// Asks for the transactions that this broker coordinates.
    struct ListTransactionsRequest {
        /// States to list, empty for all.
        state_filters: Vec<String> [0..],
        /// Ids of the producers to list, empty for all.
        producer_id_filters: Vec<i64> [0..],
        /// Only those that have been running for longer than this, in ms; all of them if it is negative.
        duration_filter: i64 [1..] = -1,
        /// Only those whose transactional id matches this regular expression; all of them if it is empty or null.
        transactional_id_pattern: Option<String> [2..] null [2..] = None,
    }

    /// Transactions that this broker coordinates.
    struct ListTransactionsResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// States of the filter that are none.
        unknown_state_filters: Vec<String> [0..],
        /// The transactions.
        transaction_states: Vec<TransactionState> [0..],
    }

    /// A transaction.
    struct TransactionState {
        /// The transactional id.
        transactional_id: String [0..],
        /// The producer's id.
        producer_id: i64 [0..],
        /// The transaction's state, as a word.
        transaction_state: String [0..],
    }
}

api!(ListTransactions: ListTransactionsRequest => ListTransactionsResponse);
