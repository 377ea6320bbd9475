//! OffsetFetch, key 9: versions 1 to 10, flexible from 6 on.

use crate::schema::prelude::*;

messages! {
    versions 1..=10, flexible 6;
    message OffsetFetchRequest, OffsetFetchResponse;

    /// Asks for groups' stored offsets.
    struct OffsetFetchRequest {
        /// The group's id.
        group_id: String [0..=7],
        /// The topics.
        topics: Option<Vec<OffsetFetchRequestTopic>> [0..=7] null [2..=7] = Some(Vec::new()),
        /// The groups.
        groups: Vec<OffsetFetchRequestGroup> [8..],
        /// Whether offsets of open transactions are an error.
        require_stable: bool [7..],
    }

    /// A topic asked about (one group, up to version 7).
    struct OffsetFetchRequestTopic {
        /// The name.
        name: String [0..=7],
        /// The partitions' indexes.
        partition_indexes: Vec<i32> [0..=7],
    }

    /// A group asked about (from version 8 on).
    struct OffsetFetchRequestGroup {
        /// The group's id.
        group_id: String [8..],
        /// The id that the coordinator gave to the member, empty at first.
        member_id: Option<String> [9..] null [9..],
        /// The member's epoch, -1 for classic groups.
        member_epoch: i32 [9..] = -1,
        /// The topics.
        topics: Option<Vec<OffsetFetchRequestTopics>> [8..] null [8..] = Some(Vec::new()),
    }

    /// A topic of a group asked about.
    struct OffsetFetchRequestTopics {
        /// The name.
        name: String [8..=9],
        /// The topic's id.
        topic_id: Uuid [10..],
        /// The partitions' indexes.
        partition_indexes: Vec<i32> [8..],
    }

    /// Groups' stored offsets.
    struct OffsetFetchResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [3..],
        /// The topics.
        topics: Vec<OffsetFetchResponseTopic> [0..=7],
        /// What went wrong, 0 for nothing.
        error_code: i16 [2..=7],
        /// The groups.
        groups: Vec<OffsetFetchResponseGroup> [8..],
    }

    /// A topic's part of the answer (up to version 7).
    struct OffsetFetchResponseTopic {
        /// The name.
        name: String [0..=7],
        /// The partitions.
        partitions: Vec<OffsetFetchResponsePartition> [0..=7],
    }

    /// A partition's stored offset (up to version 7).
    struct OffsetFetchResponsePartition {
        /// The partition's index.
        partition_index: i32 [0..=7],
        /// The offset of the next record to consume.
        committed_offset: i64 [0..=7],
        /// Leader epoch of the last record consumed, -1 if unknown.
        committed_leader_epoch: i32 [5..=7] = -1,
        /// Opaque to the broker.
        metadata: Option<String> [0..=7] null [0..=7] = Some(String::new()),
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..=7],
    }

    /// A group's part of the answer (from version 8 on).
    struct OffsetFetchResponseGroup {
        /// The group's id.
        group_id: String [8..],
        /// The topics.
        topics: Vec<OffsetFetchResponseTopics> [8..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [8..],
    }

    /// A topic's part of a group's answer.
    struct OffsetFetchResponseTopics {
        /// The name.
        name: String [8..=9],
        /// The topic's id.
        topic_id: Uuid [10..],
        /// The partitions.
        partitions: Vec<OffsetFetchResponsePartitions> [8..],
    }

    /// A partition's stored offset.
    struct OffsetFetchResponsePartitions {
        /// The partition's index.
        partition_index: i32 [8..],
        /// The offset of the next record to consume.
        committed_offset: i64 [8..],
        /// Leader epoch of the last record consumed, -1 if unknown.
        committed_leader_epoch: i32 [8..] = -1,
        /// Opaque to the broker.
        metadata: Option<String> [8..] null [8..] = Some(String::new()),
        /// What went wrong, 0 for nothing.
        error_code: i16 [8..],
    }
}

api!(OffsetFetch: OffsetFetchRequest => OffsetFetchResponse);
