//! Records that the broker keeps in its own topics, in Kafka's formats.

pub mod consumer_group;
pub mod group;
pub mod metadata;
pub mod transaction_log;
