//! TxnOffsetCommit, key 28: versions 0 to 5, flexible from 3 on. From 5 on it does what AddOffsetsToTxn does as well
//! (KIP-890).

use crate::schema::prelude::*;

messages! {
    versions 0..=5, flexible 3;
    message TxnOffsetCommitRequest, TxnOffsetCommitResponse;

    /// Commits a group's offsets as part of a transaction.
    struct TxnOffsetCommitRequest {
        /// The transactional id.
        transactional_id: String [0..],
        /// The group's id.
        group_id: String [0..],
        /// The producer's id.
        producer_id: i64 [0..],
        /// The producer's epoch.
        producer_epoch: i16 [0..],
        /// The consumer's generation, -1 for none.
        generation_id: i32 [3..] = -1,
        /// The consumer's member id.
        member_id: String [3..],
        /// The consumer's own name, null for none.
        group_instance_id: Option<String> [3..] null [3..],
        /// Topics to commit offsets of.
        topics: Vec<TxnOffsetCommitRequestTopic> [0..],
    }

    /// A topic's offsets.
    struct TxnOffsetCommitRequestTopic {
        /// The name.
        name: String [0..],
        /// Partitions to commit offsets of.
        partitions: Vec<TxnOffsetCommitRequestPartition> [0..],
    }

    /// A partition's offset.
    struct TxnOffsetCommitRequestPartition {
        /// The partition's index.
        partition_index: i32 [0..],
        /// The offset.
        committed_offset: i64 [0..],
        /// The leader epoch of the last record that was read, -1 if unknown.
        committed_leader_epoch: i32 [2..] = -1,
        /// What the client wants kept with it.
        committed_metadata: Option<String> [0..] null [0..] = Some(String::new()),
    }

    /// Which offsets were taken.
    struct TxnOffsetCommitResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// One answer per topic.
        topics: Vec<TxnOffsetCommitResponseTopic> [0..],
    }

    /// A topic's part of the answer.
    struct TxnOffsetCommitResponseTopic {
        /// The name.
        name: String [0..],
        /// One answer per partition.
        partitions: Vec<TxnOffsetCommitResponsePartition> [0..],
    }

    /// A partition's part of the answer.
    struct TxnOffsetCommitResponsePartition {
        /// The partition's index.
        partition_index: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
    }
}

api!(TxnOffsetCommit: TxnOffsetCommitRequest => TxnOffsetCommitResponse);
