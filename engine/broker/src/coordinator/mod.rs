//! What one shard coordinates for clients: groups, and transactions.

pub(crate) mod group;
mod owned;
mod replay;
pub(crate) mod transaction;

pub(crate) use owned::{Owned, partition_of};
pub(crate) use replay::LoadError;
