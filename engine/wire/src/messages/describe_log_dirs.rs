//! DescribeLogDirs, key 35: versions 1 to 5, flexible from 2 on.

use crate::schema::prelude::*;

messages! {
    versions 1..=5, flexible 2;
    message DescribeLogDirsRequest, DescribeLogDirsResponse;

    /// Asks where partitions lie and how large they are.
    struct DescribeLogDirsRequest {
        /// The topics, null for all.
        topics: Option<Vec<DescribableLogDirTopic>> [0..] null [0..] = Some(Vec::new()),
    }

    /// A topic asked about.
    struct DescribableLogDirTopic {
        /// The name.
        topic: String [0..],
        /// The partitions' indexes.
        partitions: Vec<i32> [0..],
    }

    /// Log directories and what lies in them.
    struct DescribeLogDirsResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [3..],
        /// The log directories.
        results: Vec<DescribeLogDirsResult> [0..],
    }

    /// A log directory.
    struct DescribeLogDirsResult {
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// Its absolute path.
        log_dir: String [0..],
        /// The topics.
        topics: Vec<DescribeLogDirsTopic> [0..],
        /// Size of its volume in bytes.
        total_bytes: i64 [4..] = -1,
        /// Bytes of the volume that can be used.
        usable_bytes: i64 [4..] = -1,
        /// Whether it takes no new partitions.
        is_cordoned: bool [5..],
    }

    /// A topic in a log directory.
    struct DescribeLogDirsTopic {
        /// The name.
        name: String [0..],
        /// The partitions.
        partitions: Vec<DescribeLogDirsPartition> [0..],
    }

    /// A partition in a log directory.
    struct DescribeLogDirsPartition {
        /// The partition's index.
        partition_index: i32 [0..],
        /// Bytes of its segments.
        partition_size: i64 [0..],
        /// How far the log's end is past the high watermark.
        offset_lag: i64 [0..],
        /// Whether the log is being moved here and will replace the current one.
        is_future_key: bool [0..],
    }
}

api!(DescribeLogDirs: DescribeLogDirsRequest => DescribeLogDirsResponse);
