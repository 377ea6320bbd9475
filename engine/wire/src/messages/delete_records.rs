//! DeleteRecords, key 21: versions 0 to 2, flexible from 2 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=2, flexible 2;
    message DeleteRecordsRequest, DeleteRecordsResponse;

    /// Moves the start of logs forward.
    struct DeleteRecordsRequest {
        /// The topics.
        topics: Vec<DeleteRecordsTopic> [0..],
        /// How long to wait, in ms.
        timeout_ms: i32 [0..],
    }

    /// A topic to delete records of.
    struct DeleteRecordsTopic {
        /// The name.
        name: String [0..],
        /// The partitions.
        partitions: Vec<DeleteRecordsPartition> [0..],
    }

    /// A partition to delete records of.
    struct DeleteRecordsPartition {
        /// The partition's index.
        partition_index: i32 [0..],
        /// The first offset that stays, -1 for the high watermark.
        offset: i64 [0..],
    }

    /// Where logs begin now.
    struct DeleteRecordsResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// The topics.
        topics: Vec<DeleteRecordsTopicResult> [0..],
    }

    /// A topic's part of the answer.
    struct DeleteRecordsTopicResult {
        /// The name.
        name: String [0..],
        /// The partitions.
        partitions: Vec<DeleteRecordsPartitionResult> [0..],
    }

    /// A partition's part of the answer.
    struct DeleteRecordsPartitionResult {
        /// The partition's index.
        partition_index: i32 [0..],
        /// The lowest log start offset of its replicas, -1 where it failed.
        low_watermark: i64 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
    }
}

api!(DeleteRecords: DeleteRecordsRequest => DeleteRecordsResponse);
