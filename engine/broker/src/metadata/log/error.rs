//! Why the metadata log is of no use.

use std::io;

use ringlog_storage::{AppendError, StorageError};
use ringlog_wire::batch::BatchError;
use ringlog_wire::codec::EncodeError;

use crate::metadata::controller::StartError;
use crate::metadata::replay::ReadError;

/// Why the metadata log is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// The folder.
    #[error("__cluster_metadata-0: {0}")]
    Storage(#[from] StorageError),
    /// A call on one of its files.
    #[error("__cluster_metadata-0: {0}")]
    Io(#[from] io::Error),
    /// What is written in it.
    #[error("__cluster_metadata-0: {0}; move the folder away to begin without topics, or bring back one that is whole")]
    Read(#[from] ReadError),
    /// The place of a read is not there.
    #[error("__cluster_metadata-0: offset {offset} cannot be read: {error}")]
    Place {
        /// Where.
        offset: i64,
        /// Why.
        error: ringlog_storage::ReadError,
    },
    /// The log does not go on where the newest snapshot ends.
    #[error(
        "__cluster_metadata-0 holds offsets from {start} to {end}, but its newest whole snapshot ends at {snapshot}: bring \
         back the files that are missing"
    )]
    Gap {
        /// Where the log begins.
        start: i64,
        /// Where the log ends.
        end: i64,
        /// Where the snapshot ends.
        snapshot: i64,
    },
    /// A change that could not be written.
    #[error("__cluster_metadata-0: {0}")]
    Append(#[from] AppendError),
    /// A change that cannot be made into bytes.
    #[error("__cluster_metadata-0: {0}")]
    Encode(#[from] EncodeError),
    /// A batch of ours that is none: a bug.
    #[error("__cluster_metadata-0: {0}")]
    Batch(#[from] BatchError),
    /// The cluster is of no use to this broker.
    #[error(transparent)]
    Start(#[from] StartError),
}
