//! ElectLeaders, key 43: versions 0 to 2, flexible from 2 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=2, flexible 2;
    message ElectLeadersRequest, ElectLeadersResponse;

    /// Asks that partitions get another leader.
    struct ElectLeadersRequest {
        /// 0 the preferred replica, 1 any live one where none is in sync.
        election_type: i8 [1..],
        /// The topics, null for all.
        topic_partitions: Option<Vec<TopicPartitions>> [0..] null [0..] = Some(Vec::new()),
        /// How long to wait, in ms.
        timeout_ms: i32 [0..] = 60_000,
    }

    /// A topic's partitions.
    struct TopicPartitions {
        /// The topic's name.
        topic: String [0..],
        /// The partitions' indexes.
        partitions: Vec<i32> [0..],
    }

    /// What became of it.
    struct ElectLeadersResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [1..],
        /// The topics.
        replica_election_results: Vec<ReplicaElectionResult> [0..],
    }

    /// A topic's part of the answer.
    struct ReplicaElectionResult {
        /// The topic's name.
        topic: String [0..],
        /// The partitions.
        partition_result: Vec<PartitionResult> [0..],
    }

    /// A partition's part of the answer.
    struct PartitionResult {
        /// The partition's index.
        partition_id: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What went wrong, in words.
        error_message: Option<String> [0..] null [0..] = Some(String::new()),
    }
}

api!(ElectLeaders: ElectLeadersRequest => ElectLeadersResponse);
