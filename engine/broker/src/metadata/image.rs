//! The cluster as of one offset of the metadata log: brokers, topics, partitions, settings, features.
//!
//! A clone is cheap (maps of shared values), so that the controller makes the next image out of the last one while the
//! shards read that.

mod apply;
mod carried;
mod parts;
mod records;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ringlog_wire::Uuid;

pub(crate) use apply::ReplayError;
pub(crate) use carried::Carried;
pub(crate) use parts::{Node, Partition, Topic};

pub(crate) use super::ids::{Here, NodeId, ShardId};
use super::quotas::Quotas;
use super::scram::Credentials;
use crate::settings::dynamic::Dynamic;
use crate::settings::topic_config::Overrides;

/// ConfigResource.Type of topics.
pub(crate) const RESOURCE_TOPIC: i8 = 2;
/// ConfigResource.Type of brokers.
pub(crate) const RESOURCE_BROKER: i8 = 4;
/// ConfigResource.Type of what a broker logs.
pub(crate) const RESOURCE_BROKER_LOGGER: i8 = 8;
/// ConfigResource.Type of what clients are to tell of themselves.
pub(crate) const RESOURCE_CLIENT_METRICS: i8 = 16;
/// ConfigResource.Type of groups.
pub(crate) const RESOURCE_GROUP: i8 = 32;

/// The topic of a group's offsets (Topic.GROUP_METADATA_TOPIC_NAME).
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// The metadata log's topic (Topic.CLUSTER_METADATA_TOPIC_NAME).
pub(crate) const METADATA_TOPIC: &str = "__cluster_metadata";
/// The topic of transactions (Topic.TRANSACTION_STATE_TOPIC_NAME).
pub(crate) const TRANSACTIONS_TOPIC: &str = "__transaction_state";

/// Whether clients may not write to a topic (Topic.isInternal).
#[must_use]
pub(crate) fn is_internal(topic: &str) -> bool {
    matches!(topic, OFFSETS_TOPIC | TRANSACTIONS_TOPIC | "__share_group_state")
}

/// A feature and the levels that this broker has of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Feature {
    /// Its name.
    pub(crate) name: &'static str,
    /// The lowest level.
    pub(crate) min: i16,
    /// The highest level.
    pub(crate) max: i16,
}

/// The level of Kafka 4.3's metadata records (MetadataVersion.IBP_4_3_IV0).
pub(crate) const METADATA_VERSION: i16 = 30;

/// The level from which groups of the consumer protocol are served (KIP-848).
pub(crate) const GROUP_VERSION: i16 = 1;

/// The feature that says which version of transactions clients are to speak (KIP-890).
pub(crate) const TRANSACTION_VERSION: &str = "transaction.version";

/// Its highest level: every end of a transaction raises the epoch, and what is written to becomes part of one by itself.
pub(crate) const TRANSACTION_VERSION_MAX: i16 = 2;

/// Features of this broker. `share.version` and the like are not among them: what they switch on is not there.
pub(crate) const FEATURES: &[Feature] = &[
    Feature { name: "group.version", min: 0, max: GROUP_VERSION },
    Feature { name: "metadata.version", min: 7, max: METADATA_VERSION },
    Feature { name: TRANSACTION_VERSION, min: 0, max: TRANSACTION_VERSION_MAX },
];

/// Who has a partition, seen from a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The shard that asks.
    Local,
    /// Another shard of this process.
    Sibling(ShardId),
    /// Another process.
    Remote(NodeId),
    /// Nobody leads it, or it is not there.
    Nobody,
}

/// The cluster as of one offset of the metadata log.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(PartialEq))]
pub(crate) struct Image {
    here: Here,
    cluster_id: Arc<str>,
    version: i64,
    brokers: BTreeMap<NodeId, Arc<Node>>,
    topics: BTreeMap<Arc<str>, Arc<Topic>>,
    names: BTreeMap<Uuid, Arc<str>>,
    configs: BTreeMap<(i8, String), Arc<Overrides>>,
    features: BTreeMap<String, i16>,
    quotas: Arc<Quotas>,
    credentials: Arc<Credentials>,
    carried: Arc<Carried>,
    next_producer_id: i64,
    /// Partitions that move, by topic and number.
    moves: BTreeSet<(Uuid, i32)>,
    leader_epoch: i32,
    is_provisional: bool,
}

impl Image {
    /// A cluster without anything.
    #[must_use]
    pub(crate) fn empty(cluster_id: &str, here: Here) -> Self {
        Self {
            here,
            cluster_id: Arc::from(cluster_id),
            version: -1,
            brokers: BTreeMap::new(),
            topics: BTreeMap::new(),
            names: BTreeMap::new(),
            configs: BTreeMap::new(),
            features: BTreeMap::new(),
            quotas: Arc::default(),
            credentials: Arc::default(),
            carried: Arc::default(),
            next_producer_id: 0,
            moves: BTreeSet::new(),
            leader_epoch: 0,
            is_provisional: false,
        }
    }

    /// The same cluster, which the log does not hold yet: nothing may be written that counts on it.
    pub(crate) fn provisional(self) -> Self {
        Self { is_provisional: true, ..self }
    }

    /// Whether the log does not hold it yet. Only that of a start may be so.
    pub(crate) fn is_provisional(&self) -> bool {
        self.is_provisional
    }

    /// The same cluster, seen from a process that is these nodes.
    #[cfg(test)]
    pub(crate) fn on(self, here: Here) -> Self {
        Self { here, ..self }
    }

    /// The nodes that this process is.
    #[must_use]
    pub(crate) fn here(&self) -> Here {
        self.here
    }

    /// The cluster's id.
    #[must_use]
    pub(crate) fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The controller's node id: shard 0's.
    #[must_use]
    pub(crate) fn controller(&self) -> NodeId {
        self.here.first_node
    }

    /// Offset of the last record that is in this image, -1 where none is.
    #[must_use]
    pub(crate) fn version(&self) -> i64 {
        self.version
    }

    /// Says which offset this image is of.
    pub(crate) fn set_version(&mut self, offset: i64) {
        self.version = offset;
    }

    /// The epoch in which shard 0 leads the metadata log.
    #[must_use]
    pub(crate) fn leader_epoch(&self) -> i32 {
        self.leader_epoch
    }

    /// Says in which epoch this start leads the metadata log.
    pub(super) fn lead_in(&mut self, leader_epoch: i32) {
        self.leader_epoch = leader_epoch;
    }

    /// Partitions that move from one shard to another, by topic and number.
    pub(crate) fn moves(&self) -> impl ExactSizeIterator<Item = (Uuid, i32)> + '_ {
        self.moves.iter().copied()
    }

    /// Quotas of clients.
    #[must_use]
    pub(crate) fn quotas(&self) -> &Arc<Quotas> {
        &self.quotas
    }

    /// How users can log in.
    #[must_use]
    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// What the log has and this broker does not use.
    #[must_use]
    pub(crate) fn carried(&self) -> &Carried {
        &self.carried
    }

    /// The same, to be changed.
    pub(crate) fn carried_mut(&mut self) -> &mut Carried {
        Arc::make_mut(&mut self.carried)
    }

    /// The producer id that comes after all blocks that were given out.
    #[must_use]
    pub(crate) fn next_producer_id(&self) -> i64 {
        self.next_producer_id
    }

    /// Who has a partition, seen from shard `me`. The one place where that is decided.
    #[must_use]
    pub(crate) fn owner(&self, topic: &Topic, partition: i32, me: ShardId) -> Owner {
        match topic.partition(partition).map(|partition| partition.leader) {
            None | Some(NodeId(..0)) => Owner::Nobody,
            Some(leader) => match self.here.shard(leader) {
                Some(shard) if shard == me => Owner::Local,
                Some(shard) => Owner::Sibling(shard),
                None => Owner::Remote(leader),
            },
        }
    }

    /// A topic by its name.
    #[must_use]
    pub(crate) fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    /// A topic by its id.
    #[must_use]
    pub(crate) fn topic_by_id(&self, id: Uuid) -> Option<&Arc<Topic>> {
        self.topics.get(self.names.get(&id)?)
    }

    /// What is set of a resource (ConfigResource), by its type and name.
    #[must_use]
    pub(crate) fn configs(&self, kind: i8, name: &str) -> Arc<Overrides> {
        self.configs.get(&(kind, name.to_owned())).cloned().unwrap_or_default()
    }

    /// Resources of a type of which something is set, by name.
    pub(crate) fn configured(&self, kind: i8) -> impl Iterator<Item = &str> {
        self.configs
            .range((kind, String::new())..)
            .map(|((of, name), _)| (*of, name))
            .take_while(move |(of, _)| *of == kind)
            .map(|(_, name)| name.as_str())
    }

    /// What is set of a broker while it runs.
    #[must_use]
    pub(crate) fn dynamic(&self, node: NodeId) -> Dynamic {
        Dynamic { cluster: self.configs(RESOURCE_BROKER, ""), own: self.configs(RESOURCE_BROKER, &node.0.to_string()) }
    }

    /// All topics, by name.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.topics.values()
    }

    /// All topics whose name is not before `name`, by name.
    pub(crate) fn topics_from<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Arc<Topic>> {
        self.topics
            .range::<str, _>((std::ops::Bound::Included(name), std::ops::Bound::Unbounded))
            .map(|(_, topic)| topic)
    }

    /// A registered broker.
    #[must_use]
    pub(crate) fn broker(&self, node: i32) -> Option<&Node> {
        self.brokers.get(&NodeId(node)).map(Arc::as_ref)
    }

    /// All registered brokers, fenced ones too.
    pub(crate) fn brokers(&self) -> impl Iterator<Item = &Node> {
        self.brokers.values().map(Arc::as_ref)
    }

    /// Brokers that take clients.
    pub(crate) fn live_brokers(&self) -> impl Iterator<Item = &Node> {
        self.brokers().filter(|broker| !broker.fenced)
    }

    /// Features of this broker.
    #[must_use]
    pub(crate) fn supported_features(&self) -> &'static [Feature] {
        FEATURES
    }

    /// The cluster's levels of the features that this broker has.
    #[must_use]
    pub(crate) fn finalized_features(&self) -> BTreeMap<String, i16> {
        let ours = |(name, _): &(&String, &i16)| FEATURES.iter().any(|feature| feature.name == name.as_str());
        self.features.iter().filter(ours).map(|(name, level)| (name.clone(), *level)).collect()
    }

    /// All levels in the log, those of features that this broker does not have too.
    #[must_use]
    pub(crate) fn feature_level(&self, name: &str) -> i16 {
        self.features.get(name).copied().unwrap_or(0)
    }
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
