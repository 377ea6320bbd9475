//! What the cluster is: the image that every shard reads, the log it is made of, and the controller that changes it.
//!
//! ```text
//!   CreateTopics, ... --> controller --records--> log (__cluster_metadata-0) --synced--> image --published--> shards
//!                          (shard 0 only; decides against the image and what is still on its way to the disk: changes)
//! ```
//!
//! Invariants:
//! - A change is one record batch, on the disk before its answer leaves.
//! - An image never changes: the next one is another value, that shares what is the same.
//! - A snapshot (`<offset>-<epoch>.checkpoint`) stands for the log below its offset, and never for more than the disk holds.
//! - Leaders, epochs and ids are records in the log, nothing else.

pub(crate) mod changes;
pub(crate) mod controller;
#[cfg(test)]
pub(crate) mod fixtures;
pub(crate) mod ids;
pub(crate) mod image;

pub(crate) mod log;
pub(crate) mod names;
mod quorum;
pub(crate) mod quotas;
mod replay;
pub(crate) mod scram;
mod snapshot;
mod snapshots;
