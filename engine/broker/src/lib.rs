//! Shards that are brokers: settings, connections, handlers, coordinators, the metadata image.

#[allow(dead_code, reason = "the shard drives it")]
mod coordinator;
#[allow(dead_code, reason = "the shard drives it")]
mod fetch_session;
#[allow(dead_code, reason = "the shard calls them")]
mod handlers {
    pub(crate) mod describe_cluster;
    pub(crate) mod describe_configs;
    pub(crate) mod describe_topic_partitions;
    pub(crate) mod init_producer_id;
    pub(crate) mod metadata;
}
#[allow(dead_code)]
mod metadata;
#[allow(dead_code)]
mod settings;

use std::process::ExitCode;

/// Runs `ringlog broker` with the arguments after the verb, until a signal stops it.
#[must_use]
pub fn main(_args: Vec<String>) -> ExitCode {
    ExitCode::FAILURE
}
