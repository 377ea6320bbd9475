//! DescribeQuorum, key 55: versions 0 to 2, flexible from 0 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=2, flexible 0;
    message DescribeQuorumRequest, DescribeQuorumResponse;

    /// Asks who keeps the metadata log.
    struct DescribeQuorumRequest {
        /// The topics.
        topics: Vec<TopicData> [0..],
    }

    /// A topic that is asked for.
    struct TopicData {
        /// The topic's name.
        topic_name: String [0..],
        /// The partitions.
        partitions: Vec<PartitionData> [0..],
    }

    /// A partition that is asked for.
    struct PartitionData {
        /// The partition's index.
        partition_index: i32 [0..],
    }

    /// Who keeps the metadata log.
    struct DescribeQuorumResponse {
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What went wrong, in words.
        error_message: Option<String> [2..] null [2..] = Some(String::new()),
        /// The topics.
        topics: Vec<TopicResult> [0..],
        /// The voters' addresses.
        nodes: Vec<Node> [2..],
    }

    /// A topic's part of the answer.
    struct TopicResult {
        /// The topic's name.
        topic_name: String [0..],
        /// The partitions.
        partitions: Vec<PartitionResult> [0..],
    }

    /// A partition's part of the answer.
    struct PartitionResult {
        /// The partition's index.
        partition_index: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What went wrong, in words.
        error_message: Option<String> [2..] null [2..] = Some(String::new()),
        /// Node id of the leader, -1 where it is not known.
        leader_id: i32 [0..],
        /// The leader's epoch.
        leader_epoch: i32 [0..],
        /// What all voters have, up to here.
        high_watermark: i64 [0..],
        /// Those that vote.
        current_voters: Vec<ReplicaState> [0..],
        /// Those that only read.
        observers: Vec<ReplicaState> [0..],
    }

    /// How far a node is.
    struct ReplicaState {
        /// Its node id.
        replica_id: i32 [0..],
        /// Its log directory.
        replica_directory_id: Uuid [2..],
        /// The end of its log, -1 where it is not known.
        log_end_offset: i64 [0..],
        /// When it last fetched, in ms since 1970, -1 where it is not known.
        last_fetch_timestamp: i64 [1..] = -1,
        /// When it last had all, in ms since 1970, -1 where it is not known.
        last_caught_up_timestamp: i64 [1..] = -1,
    }

    /// A voter's addresses.
    struct Node {
        /// Its node id.
        node_id: i32 [2..],
        /// Its listeners.
        listeners: Vec<Listener> [2..],
    }

    /// Where a voter listens.
    struct Listener {
        /// The listener's name.
        name: String [2..],
        /// Host name or address.
        host: String [2..],
        /// The port.
        port: u16 [2..],
    }
}

api!(DescribeQuorum: DescribeQuorumRequest => DescribeQuorumResponse);
