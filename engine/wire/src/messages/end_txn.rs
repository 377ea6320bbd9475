//! EndTxn, key 26: versions 0 to 5, flexible from 3 on. From 5 on the answer brings the next transaction's producer id
//! and epoch (KIP-890).

use crate::schema::prelude::*;

messages! {
    versions 0..=5, flexible 3;
    message EndTxnRequest, EndTxnResponse;

    /// Commits or aborts a transaction.
    struct EndTxnRequest {
        /// The transactional id.
        transactional_id: String [0..],
        /// The producer's id.
        producer_id: i64 [0..],
        /// The producer's epoch.
        producer_epoch: i16 [0..],
        /// Whether it is committed; it is aborted otherwise.
        committed: bool [0..],
    }

    /// How the transaction ended.
    struct EndTxnResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// The producer's id from now on, -1 for the same.
        producer_id: i64 [5..] = -1,
        /// The producer's epoch from now on, -1 for the same.
        producer_epoch: i16 [5..] = -1,
    }
}

api!(EndTxn: EndTxnRequest => EndTxnResponse);
