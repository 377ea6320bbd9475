//! A partition is a folder of segments in Kafka's own format: append, index, flush, read, recovery.
//!
//! ```text
//!   log.dirs/                       LogDir: lock, meta.properties, checkpoints, clean-shutdown note
//!     <topic>-<partition>/          Partition: what is visible, who produced, which epochs
//!       00000000000000000000.log        record batches, the bytes that came over the wire
//!       00000000000000000000.index      relative offset -> position, every index.interval.bytes
//!       00000000000000000000.timeindex  timestamp -> relative offset
//!       00000000000000000000.txnindex   aborted transactions
//!       00000000000000000000.snapshot   producers as they were when the segment began
//!       leader-epoch-checkpoint, partition.metadata
//! ```
//!
//! Invariants:
//! - `log_start <= visible <= written <= end`; under `flush.messages=1` also `visible <= flushed`.
//! - Appended offsets are contiguous; an appended batch's bytes never change in place.
//! - A failed write or flush is final: the partition takes no more appends, and acknowledges nothing that it may have lost.
//! - Nothing here waits for the driver: what must not block goes out as a job ([`FlushJob`], [`Writeback`]).

mod config;
mod error;
pub mod interim;
mod log_dir;
mod partition;

pub use config::LogConfig;
pub use error::{AppendError, ReadError, StorageError};
pub use log_dir::{LogDir, LogDirOptions, PartitionName};
pub use partition::{
    AbortedTransaction, Appended, Checkpointed, Cut, EpochEnd, FlushJob, Isolation, LogRange, NewBatch, Origin,
    Partition, RecoveryReport, Startup, TimestampOffset, Writeback,
};
