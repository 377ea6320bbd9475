//! AddOffsetsToTxn, key 25: versions 0 to 4, flexible from 3 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=4, flexible 3;
    message AddOffsetsToTxnRequest, AddOffsetsToTxnResponse;

    /// Adds a group's offsets to a transaction before they are committed in it.
    struct AddOffsetsToTxnRequest {
        /// The transactional id.
        transactional_id: String [0..],
        /// The producer's id.
        producer_id: i64 [0..],
        /// The producer's epoch.
        producer_epoch: i16 [0..],
        /// The group's id.
        group_id: String [0..],
    }

    /// Whether they were added.
    struct AddOffsetsToTxnResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
    }
}

api!(AddOffsetsToTxn: AddOffsetsToTxnRequest => AddOffsetsToTxnResponse);
