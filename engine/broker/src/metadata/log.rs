//! The metadata log. (Signatures; see below.)

/// The metadata log's topic (Topic.CLUSTER_METADATA_TOPIC_NAME).
pub(crate) const TOPIC: &str = "__cluster_metadata";
