//! Records of `__transaction_state`: what a transaction coordinator keeps of a transactional id.
//!
//! ```text
//!   key   = version i16 (0)        | TransactionLogKey
//!   value = version i16 (0 or 1)   | TransactionLogValue in that version; a null value: the id is forgotten
//! ```
//!
//! A key's prefix is its type, as in `__consumer_offsets` (`CoordinatorRecordType.TRANSACTION_LOG`). Version 1 is written
//! once the feature `transaction.version` is finalized at 1 or higher; it adds tagged fields only (KIP-890, KIP-915).

use crate::schema::prelude::*;

messages! {
    versions 0..=0, flexible NEVER;
    message TransactionLogKey;

    /// Key of a transactional id's state.
    struct TransactionLogKey {
        /// The transactional id.
        transactional_id: String [0..],
    }
}

messages! {
    versions 0..=1, flexible 1;
    message TransactionLogValue;

    /// A transactional id's state.
    struct TransactionLogValue {
        /// The producer's id.
        producer_id: i64 [0..],
        /// The producer's epoch.
        producer_epoch: i16 [0..],
        /// After how long an open transaction is aborted, in ms.
        transaction_timeout_ms: i32 [0..],
        /// The state: 0 Empty, 1 Ongoing, 2 PrepareCommit, 3 PrepareAbort, 4 CompleteCommit, 5 CompleteAbort, 6 Dead,
        /// 7 PrepareEpochFence.
        transaction_status: i8 [0..],
        /// The transaction's partitions; null while it is empty.
        transaction_partitions: Option<Vec<PartitionsSchema>> [0..] null [0..] = Some(Vec::new()),
        /// When this state was reached, ms since the epoch.
        transaction_last_update_timestamp_ms: i64 [0..],
        /// When the transaction began, ms since the epoch, -1 for never.
        transaction_start_timestamp_ms: i64 [0..],
        /// The producer id of the last transaction that was committed, -1 for the same.
        previous_producer_id: i64 [1..] tag 0 = -1,
        /// The producer id that the client was given last, -1 for the same.
        next_producer_id: i64 [1..] tag 1 = -1,
        /// The transaction version that the client speaks.
        client_transaction_version: i16 [1..] tag 2,
        /// The epoch that belongs to the next producer id, -1 for none.
        next_producer_epoch: i16 [1..] tag 3 = -1,
    }

    /// A topic's partitions.
    struct PartitionsSchema {
        /// The topic's name.
        topic: String [0..],
        /// The partitions' indexes.
        partition_ids: Vec<i32> [0..],
    }
}

/// The type in front of a key.
const KEY_TYPE: i16 = 0;

impl TransactionLogKey {
    /// The record's key: type, then body.
    pub fn encode_key(&self) -> Result<Vec<u8>, EncodeError> {
        let mut w = Writer::new();
        w.raw(&KEY_TYPE.to_be_bytes());
        self.encode(&mut w, 0)?;
        Ok(w.bytes)
    }

    /// Reads a record's key to its last byte; `None` for a type that is not this one, which newer brokers may write.
    pub fn decode_key(key: &[u8]) -> Result<Option<Self>, DecodeError> {
        let mut r = Reader::new(key);
        if r.i16()? != KEY_TYPE {
            return Ok(None);
        }
        let key = Self::decode(&mut r, 0)?;
        r.finish()?;
        Ok(Some(key))
    }
}
