//! What one shard coordinates for clients: groups, and transactions.

pub(crate) mod group;
pub(crate) mod transaction;
