//! What one shard coordinates for clients: groups, and transactions.

pub(crate) mod group;
mod replay;
pub(crate) mod transaction;

pub(crate) use replay::LoadError;
