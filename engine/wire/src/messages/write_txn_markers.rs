//! WriteTxnMarkers, key 27: versions 1 and 2, flexible from 1 on. What a transaction coordinator sends to the leaders of a
//! transaction's partitions once it has been decided.

use crate::schema::prelude::*;

messages! {
    versions 1..=2, flexible 1;
    message WriteTxnMarkersRequest, WriteTxnMarkersResponse;

    /// Ends transactions in their partitions.
    struct WriteTxnMarkersRequest {
        /// The markers, one per transaction.
        markers: Vec<WritableTxnMarker> [1..],
    }

    /// A transaction's marker.
    struct WritableTxnMarker {
        /// The producer's id.
        producer_id: i64 [1..],
        /// The producer's epoch.
        producer_epoch: i16 [1..],
        /// Whether it was committed; it was aborted otherwise.
        transaction_result: bool [1..],
        /// Where the marker is to be written.
        topics: Vec<WritableTxnMarkerTopic> [1..],
        /// The epoch of the coordinator's partition of `__transaction_state`.
        coordinator_epoch: i32 [1..],
        /// The transaction's version: 0 and 1 are the older ones, 2 is that of KIP-890.
        transaction_version: i8 [2..],
    }

    /// A topic's partitions.
    struct WritableTxnMarkerTopic {
        /// The name.
        name: String [1..],
        /// The partitions' indexes.
        partition_indexes: Vec<i32> [1..],
    }

    /// Which markers were written.
    struct WriteTxnMarkersResponse {
        /// One answer per marker.
        markers: Vec<WritableTxnMarkerResult> [1..],
    }

    /// A marker's part of the answer.
    struct WritableTxnMarkerResult {
        /// The producer's id.
        producer_id: i64 [1..],
        /// One answer per topic.
        topics: Vec<WritableTxnMarkerTopicResult> [1..],
    }

    /// A topic's part of the answer.
    struct WritableTxnMarkerTopicResult {
        /// The name.
        name: String [1..],
        /// One answer per partition.
        partitions: Vec<WritableTxnMarkerPartitionResult> [1..],
    }

    /// A partition's part of the answer.
    struct WritableTxnMarkerPartitionResult {
        /// The partition's index.
        partition_index: i32 [1..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [1..],
    }
}

api!(WriteTxnMarkers: WriteTxnMarkersRequest => WriteTxnMarkersResponse);
