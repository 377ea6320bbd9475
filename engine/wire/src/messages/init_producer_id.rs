//! InitProducerId, key 22: versions 0 to 6, flexible from 2 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=6, flexible 2;
    message InitProducerIdRequest, InitProducerIdResponse;

    /// Asks for a producer id.
    struct InitProducerIdRequest {
        /// The transactional id, null for none.
        transactional_id: Option<String> [0..] null [0..] = Some(String::new()),
        /// After how long an idle transaction is aborted, in ms.
        transaction_timeout_ms: i32 [0..],
        /// The producer's id, -1 for none.
        producer_id: i64 [3..] = -1,
        /// The producer's epoch, -1 for none.
        producer_epoch: i16 [3..] = -1,
        /// Whether two-phase commit is wanted.
        enable2_pc: bool [6..],
        /// Whether to keep a prepared transaction.
        keep_prepared_txn: bool [6..],
    }

    /// A producer id and epoch.
    struct InitProducerIdResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// The producer's id, -1 for none.
        producer_id: i64 [0..] = -1,
        /// The producer's epoch, -1 for none.
        producer_epoch: i16 [0..],
        /// Producer id of the transaction that is still open, -1 for none.
        ongoing_txn_producer_id: i64 [6..] = -1,
        /// Epoch of the transaction that is still open, -1 for none.
        ongoing_txn_producer_epoch: i16 [6..] = -1,
    }
}

api!(InitProducerId: InitProducerIdRequest => InitProducerIdResponse);
