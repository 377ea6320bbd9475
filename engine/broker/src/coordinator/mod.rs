//! What one shard coordinates for clients: groups.

pub(crate) mod group;
