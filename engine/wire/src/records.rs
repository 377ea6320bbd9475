//! Records that the broker keeps in its own topics, in Kafka's formats.

pub mod group;
pub mod metadata;
