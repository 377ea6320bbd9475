//! Fetch, key 1: versions 4 to 18, flexible from 12 on.

use crate::schema::prelude::*;

messages! {
    versions 4..=18, flexible 12;
    message FetchRequest, FetchResponse;

    /// Asks for records from given offsets on.
    struct FetchRequest {
        /// The follower's node id, -1 for a consumer.
        replica_id: i32 [0..=14] = -1,
        /// How long to wait for the minimum, in ms.
        max_wait_ms: i32 [0..],
        /// The fewest bytes worth an answer.
        min_bytes: i32 [0..],
        /// The most bytes of the whole response, one batch excepted.
        max_bytes: i32 [3..] = i32::MAX,
        /// 0 read_uncommitted, 1 read_committed.
        isolation_level: i8 [4..],
        /// The fetch session's id, 0 for none.
        session_id: i32 [7..],
        /// The fetch session's epoch: 0 opens one, -1 closes it or wants none.
        session_epoch: i32 [7..] = -1,
        /// The topics.
        topics: Vec<FetchTopic> [0..],
        /// Partitions to drop from the session.
        forgotten_topics_data: Vec<ForgottenTopic> [7..],
        /// The consumer's rack, empty or null if it has none.
        rack_id: String [11..],
        /// The cluster's id.
        cluster_id: Option<String> [12..] null [12..] tag 0,
        /// What a follower says of itself.
        replica_state: ReplicaState [15..] tag 1,
    }

    /// What a follower says of itself.
    struct ReplicaState {
        /// The follower's node id, -1 for a consumer.
        replica_id: i32 [15..] = -1,
        /// The follower's epoch, -1 if unknown.
        replica_epoch: i64 [15..] = -1,
    }

    /// A topic to read.
    struct FetchTopic {
        /// The topic's name.
        topic: String [0..=12],
        /// The topic's id.
        topic_id: Uuid [13..],
        /// The partitions.
        partitions: Vec<FetchPartition> [0..],
    }

    /// A partition to read.
    struct FetchPartition {
        /// The partition's index.
        partition: i32 [0..],
        /// Leader epoch that the client knows, -1 to skip the check.
        current_leader_epoch: i32 [9..] = -1,
        /// The first offset wanted.
        fetch_offset: i64 [0..],
        /// Leader epoch of the last record fetched, -1 if there is none.
        last_fetched_epoch: i32 [12..] = -1,
        /// The first offset that the log still has.
        log_start_offset: i64 [5..] = -1,
        /// The most bytes of this partition, one batch excepted.
        partition_max_bytes: i32 [0..],
        /// The follower's log directory.
        replica_directory_id: Uuid [17..] tag 0,
        /// The offset up to which all in-sync replicas have the log.
        high_watermark: i64 [18..] tag 1 = i64::MAX,
    }

    /// Partitions of a topic that leave the session.
    struct ForgottenTopic {
        /// The topic's name.
        topic: String [7..=12],
        /// The topic's id.
        topic_id: Uuid [13..],
        /// The partitions.
        partitions: Vec<i32> [7..],
    }

    /// Record batches.
    struct FetchResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [1..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [7..],
        /// The fetch session's id, 0 for none.
        session_id: i32 [7..],
        /// One answer per topic.
        responses: Vec<FetchableTopicResponse> [0..],
        /// Addresses of the leaders that the answer names.
        node_endpoints: Vec<NodeEndpoint> [16..] tag 0,
    }

    /// A topic's part of the answer.
    struct FetchableTopicResponse {
        /// The topic's name.
        topic: String [0..=12],
        /// The topic's id.
        topic_id: Uuid [13..],
        /// The partitions.
        partitions: Vec<PartitionData> [0..],
    }

    /// A partition's part of the answer.
    struct PartitionData {
        /// The partition's index.
        partition_index: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// The offset up to which all in-sync replicas have the log.
        high_watermark: i64 [0..],
        /// The offset below which every transaction is decided.
        last_stable_offset: i64 [4..] = -1,
        /// The first offset that the log still has.
        log_start_offset: i64 [5..] = -1,
        /// Transactions that were aborted within the data (read_committed only).
        aborted_transactions: Option<Vec<AbortedTransaction>> [4..] null [4..] = Some(Vec::new()),
        /// The replica to read from instead, -1 for none.
        preferred_read_replica: i32 [11..] = -1,
        /// Record batches.
        records: Records [0..],
        /// The largest epoch, and its end, before the logs diverge.
        diverging_epoch: EpochEndOffset [12..] tag 0,
        /// Who leads the partition, for clients that asked the wrong node.
        current_leader: LeaderIdAndEpoch [12..] tag 1,
        /// The snapshot to fetch instead.
        snapshot_id: SnapshotId [12..] tag 2,
    }

    /// Where an epoch ends.
    struct EpochEndOffset {
        /// The epoch.
        epoch: i32 [12..] = -1,
        /// The offset after the last one.
        end_offset: i64 [12..] = -1,
    }

    /// Who leads a partition.
    struct LeaderIdAndEpoch {
        /// The leader's node id, -1 for none.
        leader_id: i32 [12..] = -1,
        /// The leader's epoch, -1 if unknown.
        leader_epoch: i32 [12..] = -1,
    }

    /// Names a snapshot by its end.
    struct SnapshotId {
        /// The offset after the last one.
        end_offset: i64 [0..] = -1,
        /// The epoch.
        epoch: i32 [0..] = -1,
    }

    /// A transaction that was aborted.
    struct AbortedTransaction {
        /// The producer's id, -1 for none.
        producer_id: i64 [4..],
        /// The transaction's first offset.
        first_offset: i64 [4..],
    }

    /// A node's address.
    struct NodeEndpoint {
        /// The node's id.
        node_id: i32 [16..],
        /// Host name or address.
        host: String [16..],
        /// The port.
        port: i32 [16..],
        /// The node's rack, null if it has none.
        rack: Option<String> [16..] null [16..],
    }
}

api!(Fetch: FetchRequest => FetchResponse);
