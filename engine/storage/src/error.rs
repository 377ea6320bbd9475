//! One small error type for each verb: open and close, append, read.

use std::io;
use std::path::{Path, PathBuf};

use ringlog_wire::{ErrorCode, Uuid};
use thiserror::Error;

/// errno(3): no descriptor, or no memory for one.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;
const ENOMEM: i32 = 12;

/// Opening, closing, rolling: the folder or a file in it did not do what it must.
#[derive(Debug, Error)]
pub enum StorageError {
    /// A call on a file failed.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried: "open", "write", ...
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// fdatasync failed. The kernel may have dropped what was to be written: a second try could succeed without the bytes
    /// being anywhere, so none is made.
    #[error("sync {}: {source}", path.display())]
    Sync {
        /// Which file or folder.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A sync of another log in the same directory failed.
    #[error("the log directory is offline: {reason}")]
    Directory {
        /// What failed.
        reason: String,
    },
    /// The folder belongs to another topic of the same name.
    #[error(
        "{} belongs to the topic with id {found}, not to {expected}: move it away; the topic that is there now gets a new one",
        path.display()
    )]
    OtherTopic {
        /// The folder.
        path: PathBuf,
        /// What partition.metadata says.
        found: Uuid,
        /// The topic that is to be served from it.
        expected: Uuid,
    },
    /// A file says something that it cannot mean.
    #[error("{}: {reason}", path.display())]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// Another broker lives in this folder.
    #[error("{} is in use by another broker: stop it, or give this one another log.dirs", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The folder belongs to another cluster or node.
    #[error("{}: {key}={found} there, {expected} in the settings: use the folder that belongs to this broker", path.display())]
    Foreign {
        /// meta.properties.
        path: PathBuf,
        /// Which key differs.
        key: &'static str,
        /// What the file says.
        found: String,
        /// What the broker was told.
        expected: String,
    },
    /// The partition is offline: an earlier write or flush failed.
    #[error("{} is offline: {reason}", path.display())]
    Offline {
        /// The partition's folder.
        path: PathBuf,
        /// What failed first.
        reason: String,
    },
}

impl StorageError {
    /// Wraps an error of a call on a path.
    pub(crate) fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { action, path: path.to_path_buf(), source }
    }

    /// Wraps an error of a sync. Where no descriptor could be had nothing was tried, and nothing is lost.
    pub(crate) fn sync(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| match ringlog_io::errno(&source) {
            Some(EMFILE | ENFILE | ENOMEM) => Self::Io { action: "sync", path: path.to_path_buf(), source },
            _ => Self::Sync { path: path.to_path_buf(), source },
        }
    }

    /// Whether trying again is of no use, and forbidden: what was written may be lost although the page cache shows it.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Sync { .. } | Self::Directory { .. })
    }

    /// Whether there was no room: nothing is wrong with what is there.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if ringlog_io::is_full(source))
    }

    /// A file that says something it cannot mean.
    pub(crate) fn corrupt(path: &Path, reason: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_path_buf(), reason: reason.into() }
    }
}

/// Why a batch was not appended. Nothing of it is visible.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AppendError {
    /// The sequence does not follow the producer's last one (or does not begin at 0 in a new epoch).
    #[error("producer {producer_id}: sequence {sequence} after {last_sequence}")]
    OutOfOrderSequence {
        /// The producer.
        producer_id: i64,
        /// The batch's first sequence.
        sequence: i32,
        /// The last sequence that we hold; -1 where there is none in this epoch.
        last_sequence: i32,
    },
    /// The producer was fenced by a newer epoch.
    #[error("producer {producer_id}: epoch {epoch} is older than {current}")]
    InvalidProducerEpoch {
        /// The producer.
        producer_id: i64,
        /// The batch's epoch.
        epoch: i16,
        /// The epoch that we hold.
        current: i16,
    },
    /// A batch outside a transaction while the producer has one open.
    #[error("producer {producer_id}: a batch outside the transaction that is open")]
    InvalidTransactionState {
        /// The producer.
        producer_id: i64,
    },
    /// A marker of a transaction coordinator that lost its place.
    #[error("producer {producer_id}: coordinator epoch {epoch} is older than {current}")]
    CoordinatorFenced {
        /// The producer.
        producer_id: i64,
        /// The marker's coordinator epoch.
        epoch: i32,
        /// The epoch that we hold.
        current: i32,
    },
    /// The batch is longer than a segment may be.
    #[error("a batch of {bytes} bytes does not fit segment.bytes={segment_bytes}: raise it or send smaller batches")]
    LargerThanSegment {
        /// The batch's length in bytes.
        bytes: usize,
        /// The limit.
        segment_bytes: u32,
    },
    /// The bytes are not the batch that was validated.
    #[error("a batch of {bytes} bytes whose header says {header_bytes}")]
    Corrupt {
        /// Length of the bytes given.
        bytes: usize,
        /// Length that the header names.
        header_bytes: usize,
    },
    /// The write failed, or an earlier write or flush did and the partition has not come back.
    #[error("storage failed: {reason}")]
    Storage {
        /// What failed first.
        reason: String,
    },
}

impl AppendError {
    /// Kafka's error for it.
    #[must_use]
    pub fn error_code(&self) -> ErrorCode {
        match self {
            Self::OutOfOrderSequence { .. } => ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
            Self::InvalidProducerEpoch { .. } => ErrorCode::INVALID_PRODUCER_EPOCH,
            Self::InvalidTransactionState { .. } => ErrorCode::INVALID_TXN_STATE,
            Self::CoordinatorFenced { .. } => ErrorCode::TRANSACTION_COORDINATOR_FENCED,
            Self::LargerThanSegment { .. } => ErrorCode::RECORD_LIST_TOO_LARGE,
            Self::Corrupt { .. } => ErrorCode::CORRUPT_MESSAGE,
            Self::Storage { .. } => ErrorCode::KAFKA_STORAGE_ERROR,
        }
    }
}

/// Why a read gives nothing.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Below the log start offset or above the end offset.
    #[error("offset {offset} is outside {log_start_offset}..={end_offset}")]
    OffsetOutOfRange {
        /// What was asked for.
        offset: i64,
        /// The first offset there is.
        log_start_offset: i64,
        /// The offset that the next record will get.
        end_offset: i64,
    },
    /// The file could not be read, or does not hold a batch where one must be.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl ReadError {
    /// Kafka's error for it.
    #[must_use]
    pub fn error_code(&self) -> ErrorCode {
        match self {
            Self::OffsetOutOfRange { .. } => ErrorCode::OFFSET_OUT_OF_RANGE,
            Self::Storage(StorageError::Corrupt { .. }) => ErrorCode::CORRUPT_MESSAGE,
            Self::Storage(_) => ErrorCode::KAFKA_STORAGE_ERROR,
        }
    }
}
