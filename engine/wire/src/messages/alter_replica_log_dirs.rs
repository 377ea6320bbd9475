//! AlterReplicaLogDirs, key 34: versions 1 to 2, flexible from 2 on.

use crate::schema::prelude::*;

messages! {
    versions 1..=2, flexible 2;
    message AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse;

    /// Moves replicas to other log directories of their broker.
    struct AlterReplicaLogDirsRequest {
        /// The log directories, and what is to lie in each.
        dirs: Vec<AlterReplicaLogDir> [0..],
    }

    /// A log directory that replicas are to move to.
    struct AlterReplicaLogDir {
        /// Its absolute path.
        path: String [0..],
        /// The topics.
        topics: Vec<AlterReplicaLogDirTopic> [0..],
    }

    /// A topic whose replicas are to move.
    struct AlterReplicaLogDirTopic {
        /// The name.
        name: String [0..],
        /// The partitions' indexes.
        partitions: Vec<i32> [0..],
    }

    /// Which replicas are on their way.
    struct AlterReplicaLogDirsResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// The topics.
        results: Vec<AlterReplicaLogDirTopicResult> [0..],
    }

    /// A topic's part of the answer.
    struct AlterReplicaLogDirTopicResult {
        /// The name.
        topic_name: String [0..],
        /// The partitions.
        partitions: Vec<AlterReplicaLogDirPartitionResult> [0..],
    }

    /// A partition's part of the answer.
    struct AlterReplicaLogDirPartitionResult {
        /// The partition's index.
        partition_index: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
    }
}

api!(AlterReplicaLogDirs: AlterReplicaLogDirsRequest => AlterReplicaLogDirsResponse);
