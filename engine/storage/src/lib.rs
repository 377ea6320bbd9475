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
//!       leader-epoch-checkpoint, partition.metadata, flush-failed.*
//! ```
//!
//! Invariants:
//! - `log_start <= stable <= visible <= end`, `flushed <= end`; none goes back; under `flush.messages=1` only what is
//!   flushed becomes visible.
//! - Appended offsets are contiguous; an appended batch's bytes never change in place. Compaction writes new segments, in
//!   which some are missing (`cleaner.rs`).
//! - A failed flush is final, also over a restart in the same boot; any other failure passes (`health.rs`, `suspect.rs`).
//! - A segment's files go when the log start offset above them is on the disk, and not before (`retention.rs`).
//! - A folder is a partition's only if its topic id is the topic's (`claim.rs`).
//! - Nothing here waits for the driver: what must not block goes out as a job ([`FlushJob`], [`Writeback`],
//!   [`ringlog_io::Job`]), one at a time that changes the folder's files (`beside.rs`).

mod aborted;
mod append;
mod beside;
mod check;
mod checkpoint;
mod claim;
mod cleaner;
mod cold;
mod config;
mod epochs;
mod error;
mod flush;
mod folder;
mod health;
mod index;
mod listing;
mod log_dir;
mod marker;
mod names;
mod open;
mod partition;
mod producers;
mod read;
mod restore;
mod retention;
mod sealed_files;
mod segment;
mod snapshot;
mod suspect;
mod tail;
mod timestamps;
mod types;
mod upkeep;
mod walk;
mod writeback;

pub use check::{Checked, LogCheck};
pub use cleaner::{Cleaned, CleanerOptions, Cleaning, Next, Swap};
pub use cold::{Lookup, Ready};
pub use config::{LogConfig, Ratio};
pub use error::{AppendError, ReadError, StorageError};
pub use flush::FlushJob;
pub use log_dir::{LogDir, LogDirOptions, PartitionName};
pub use partition::Partition;
pub use producers::KnownProducers;
pub use retention::Retained;
pub use ringlog_wire::batch::Origin;
pub use types::{
    AbortedTransaction, ActiveProducer, Appended, Checkpointed, Cut, EpochEnd, Isolation, Known, LogRange, NewBatch,
    Offsets, RecoveryReport, Startup, TimestampOffset,
};
pub use writeback::Writeback;
