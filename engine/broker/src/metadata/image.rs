//! The cluster as of one offset of the metadata log: brokers, topics, partitions, settings, features.
//!
//! A clone is cheap (maps of shared values), so that the controller makes the next image out of the last one while the
//! shards read that.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringlog_wire::Uuid;
use ringlog_wire::records::metadata::{
    BrokerRegistrationChangeRecord, ConfigRecord, FeatureLevelRecord, MetadataRecord, PartitionChangeRecord,
    PartitionRecord, RegisterBrokerRecord,
};

pub(crate) use super::ids::{Here, NodeId, ShardId};
use crate::settings::Settings;
use crate::settings::topic_config::{self, Overrides};

/// ConfigResource.Type of topics.
pub(crate) const RESOURCE_TOPIC: i8 = 2;
/// ConfigResource.Type of brokers.
pub(crate) const RESOURCE_BROKER: i8 = 4;

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

/// Features of this broker. `group.version`, `transaction.version` and the like are not among them: what they switch on
/// is not there yet.
pub(crate) const FEATURES: &[Feature] = &[Feature { name: "metadata.version", min: 7, max: METADATA_VERSION }];

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

/// A registered broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broker {
    /// Its node id.
    pub(crate) node: NodeId,
    /// Its registration's epoch: the offset of the record.
    pub(crate) epoch: i64,
    /// Differs between two starts.
    pub(crate) incarnation_id: Uuid,
    /// Host that clients are told.
    pub(crate) host: String,
    /// Port that clients are told.
    pub(crate) port: u16,
    /// Its rack.
    pub(crate) rack: Option<String>,
    /// It is registered and takes no clients.
    pub(crate) fenced: bool,
}

/// A partition as the controller decided it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    /// Who leads it; -1 where nobody does.
    pub(crate) leader: NodeId,
    /// Grows with each change of the leader.
    pub(crate) leader_epoch: i32,
    /// Grows with each change.
    pub(crate) partition_epoch: i32,
    /// Who has it, the preferred leader first.
    pub(crate) replicas: Vec<NodeId>,
    /// Who is in sync.
    pub(crate) isr: Vec<NodeId>,
    /// The log directory of each replica.
    pub(crate) directories: Vec<Uuid>,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Topic {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// Its id.
    pub(crate) id: Uuid,
    /// Its partitions, by number.
    pub(crate) partitions: BTreeMap<i32, Partition>,
    /// Its own settings.
    pub(crate) configs: Arc<Overrides>,
}

impl Topic {
    /// One of its partitions.
    #[must_use]
    pub(crate) fn partition(&self, number: i32) -> Option<&Partition> {
        self.partitions.get(&number)
    }

    /// Replicas that must have a write before acks=all is answered (`min.insync.replicas`).
    #[must_use]
    pub(crate) fn min_insync_replicas(&self, settings: &Settings) -> usize {
        // Asked for every batch with acks=all: the default is not parsed again.
        match self.configs.contains_key("min.insync.replicas") {
            true => topic_config::number(&self.configs, settings, "min.insync.replicas"),
            false => settings.min_insync_replicas(),
        }
    }

    /// Replicas of a partition that are in sync.
    #[must_use]
    pub(crate) fn in_sync_replicas(&self, number: i32) -> usize {
        self.partition(number).map_or(0, |partition| partition.isr.len())
    }
}

/// A record that does not fit what came before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReplayError {
    /// A record about a topic that is not there.
    #[error("{record} names topic id {topic_id}, which is not there")]
    UnknownTopic {
        /// The record's name.
        record: &'static str,
        /// Its topic.
        topic_id: Uuid,
    },
    /// A change of a partition that is not there.
    #[error("PartitionChangeRecord names partition {partition} of {topic}, which is not there")]
    UnknownPartition {
        /// The topic's name.
        topic: Arc<str>,
        /// The partition's number.
        partition: i32,
    },
    /// A change of a broker that is not registered.
    #[error("{record} names broker {node}, which is not registered")]
    UnknownBroker {
        /// The record's name.
        record: &'static str,
        /// Its broker.
        node: NodeId,
    },
    /// A topic of a name or id that is taken.
    #[error("TopicRecord names {name} ({topic_id}), which is there already")]
    TopicExists {
        /// The topic's name.
        name: String,
        /// The topic's id.
        topic_id: Uuid,
    },
}

/// The cluster as of one offset of the metadata log.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    here: Here,
    cluster_id: Arc<str>,
    version: i64,
    brokers: BTreeMap<NodeId, Arc<Broker>>,
    topics: BTreeMap<Arc<str>, Arc<Topic>>,
    names: BTreeMap<Uuid, Arc<str>>,
    configs: BTreeMap<(i8, String), Arc<Overrides>>,
    features: BTreeMap<String, i16>,
    next_producer_id: i64,
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
            next_producer_id: 0,
        }
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
    pub(crate) fn broker(&self, node: i32) -> Option<&Broker> {
        self.brokers.get(&NodeId(node)).map(Arc::as_ref)
    }

    /// All registered brokers, fenced ones too.
    pub(crate) fn brokers(&self) -> impl Iterator<Item = &Broker> {
        self.brokers.values().map(Arc::as_ref)
    }

    /// Brokers that take clients.
    pub(crate) fn live_brokers(&self) -> impl Iterator<Item = &Broker> {
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

    /// Takes a record. Kinds that this broker does not use change nothing.
    pub(crate) fn apply(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        match record {
            MetadataRecord::RegisterBrokerRecord(record) => self.register_broker(record),
            MetadataRecord::UnregisterBrokerRecord(record) => {
                self.brokers.remove(&NodeId(record.broker_id));
            }
            MetadataRecord::BrokerRegistrationChangeRecord(record) => self.change_broker(record)?,
            MetadataRecord::FenceBrokerRecord(record) => self.fence("FenceBrokerRecord", record.id, true)?,
            MetadataRecord::UnfenceBrokerRecord(record) => self.fence("UnfenceBrokerRecord", record.id, false)?,
            MetadataRecord::TopicRecord(record) => self.add_topic(&record.name, record.topic_id)?,
            MetadataRecord::RemoveTopicRecord(record) => self.remove_topic(record.topic_id)?,
            MetadataRecord::PartitionRecord(record) => self.add_partition(record)?,
            MetadataRecord::PartitionChangeRecord(record) => self.change_partition(record)?,
            MetadataRecord::ConfigRecord(record) => self.change_config(record),
            MetadataRecord::FeatureLevelRecord(record) => self.change_feature(record),
            MetadataRecord::ProducerIdsRecord(record) => self.next_producer_id = record.next_producer_id,
            MetadataRecord::NoOpRecord(_) => {}
            other => tracing::debug!(record = other.name(), "a metadata record of a kind that is not used here"),
        }
        Ok(())
    }

    fn register_broker(&mut self, record: &RegisterBrokerRecord) {
        let endpoint = record.end_points.iter().find(|endpoint| endpoint.security_protocol == 0);
        let node = NodeId(record.broker_id);
        let broker = Broker {
            node,
            epoch: record.broker_epoch,
            incarnation_id: record.incarnation_id,
            host: endpoint.map(|endpoint| endpoint.host.clone()).unwrap_or_default(),
            port: endpoint.map_or(0, |endpoint| endpoint.port),
            rack: record.rack.clone(),
            fenced: record.fenced,
        };
        self.brokers.insert(node, Arc::new(broker));
    }

    fn change_broker(&mut self, record: &BrokerRegistrationChangeRecord) -> Result<(), ReplayError> {
        match record.fenced {
            0 => Ok(()),
            fenced => self.fence("BrokerRegistrationChangeRecord", record.broker_id, fenced > 0),
        }
    }

    fn fence(&mut self, record: &'static str, node: i32, fenced: bool) -> Result<(), ReplayError> {
        let node = NodeId(node);
        let broker = self.brokers.get_mut(&node).ok_or(ReplayError::UnknownBroker { record, node })?;
        Arc::make_mut(broker).fenced = fenced;
        Ok(())
    }

    fn add_topic(&mut self, name: &str, topic_id: Uuid) -> Result<(), ReplayError> {
        if self.topics.contains_key(name) || self.names.contains_key(&topic_id) {
            return Err(ReplayError::TopicExists { name: name.to_owned(), topic_id });
        }
        let name: Arc<str> = Arc::from(name);
        let configs = self.configs(RESOURCE_TOPIC, &name);
        let topic = Topic { name: Arc::clone(&name), id: topic_id, partitions: BTreeMap::new(), configs };
        self.names.insert(topic_id, Arc::clone(&name));
        self.topics.insert(name, Arc::new(topic));
        Ok(())
    }

    fn remove_topic(&mut self, topic_id: Uuid) -> Result<(), ReplayError> {
        let missing = ReplayError::UnknownTopic { record: "RemoveTopicRecord", topic_id };
        let name = self.names.remove(&topic_id).ok_or(missing)?;
        self.topics.remove(&name);
        self.configs.remove(&(RESOURCE_TOPIC, name.to_string()));
        Ok(())
    }

    fn topic_mut(&mut self, record: &'static str, topic_id: Uuid) -> Result<&mut Topic, ReplayError> {
        let missing = ReplayError::UnknownTopic { record, topic_id };
        let topic = self.names.get(&topic_id).and_then(|name| self.topics.get_mut(name));
        topic.map(Arc::make_mut).ok_or(missing)
    }

    fn add_partition(&mut self, record: &PartitionRecord) -> Result<(), ReplayError> {
        let partition = Partition {
            leader: NodeId(record.leader),
            leader_epoch: record.leader_epoch,
            partition_epoch: record.partition_epoch,
            replicas: nodes(&record.replicas),
            isr: nodes(&record.isr),
            directories: record.directories.clone(),
        };
        self.topic_mut("PartitionRecord", record.topic_id)?.partitions.insert(record.partition_id, partition);
        Ok(())
    }

    /// As PartitionRegistration.merge: what is null stays, every change makes the epoch one higher.
    fn change_partition(&mut self, record: &PartitionChangeRecord) -> Result<(), ReplayError> {
        const SAME_LEADER: i32 = -2;
        let topic = self.topic_mut("PartitionChangeRecord", record.topic_id)?;
        let name = Arc::clone(&topic.name);
        let Some(partition) = topic.partitions.get_mut(&record.partition_id) else {
            return Err(ReplayError::UnknownPartition { topic: name, partition: record.partition_id });
        };
        if record.leader != SAME_LEADER {
            partition.leader = NodeId(record.leader);
            partition.leader_epoch += 1;
        }
        if let Some(replicas) = &record.replicas {
            partition.replicas = nodes(replicas);
        }
        if let Some(isr) = &record.isr {
            partition.isr = nodes(isr);
        }
        if let Some(directories) = &record.directories {
            partition.directories.clone_from(directories);
        }
        partition.partition_epoch += 1;
        Ok(())
    }

    fn configs(&self, kind: i8, name: &str) -> Arc<Overrides> {
        self.configs.get(&(kind, name.to_owned())).cloned().unwrap_or_default()
    }

    fn change_config(&mut self, record: &ConfigRecord) {
        let key = (record.resource_type, record.resource_name.clone());
        let configs = self.configs.entry(key.clone()).or_default();
        match &record.value {
            Some(value) => Arc::make_mut(configs).insert(record.name.clone(), value.clone()),
            None => Arc::make_mut(configs).remove(&record.name),
        };
        let configs = Arc::clone(configs);
        if configs.is_empty() {
            self.configs.remove(&key);
        }
        if record.resource_type == RESOURCE_TOPIC
            && let Some(topic) = self.topics.get_mut(record.resource_name.as_str())
        {
            Arc::make_mut(topic).configs = configs;
        }
    }

    fn change_feature(&mut self, record: &FeatureLevelRecord) {
        match record.feature_level {
            0 => self.features.remove(&record.name),
            level => self.features.insert(record.name.clone(), level),
        };
    }
}

fn nodes(ids: &[i32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
