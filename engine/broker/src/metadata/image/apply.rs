//! How a record of the metadata log changes the image (Kafka's TopicDelta, PartitionRegistration.merge, ClusterDelta).

use std::collections::BTreeMap;
use std::sync::Arc;

use ringlog_wire::Uuid;
use ringlog_wire::records::metadata::{
    BrokerRegistrationChangeRecord, ConfigRecord, FeatureLevelRecord, MetadataRecord, PartitionChangeRecord,
    PartitionRecord, RegisterBrokerRecord,
};

use super::parts::Election;
use super::{Image, Node, NodeId, Partition, RESOURCE_TOPIC, Topic};

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
    /// The same, by name.
    #[error("ClearElrRecord names topic {name}, which is not there")]
    UnknownTopicName {
        /// The topic's name.
        name: String,
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

impl Image {
    /// Takes a record. What this broker does not use is carried along.
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
            MetadataRecord::ClientQuotaRecord(record) => Arc::make_mut(&mut self.quotas).apply(record),
            MetadataRecord::UserScramCredentialRecord(record) => Arc::make_mut(&mut self.credentials).set(record),
            MetadataRecord::RemoveUserScramCredentialRecord(record) => {
                Arc::make_mut(&mut self.credentials).remove(record);
            }
            MetadataRecord::ProducerIdsRecord(record) => self.next_producer_id = record.next_producer_id,
            MetadataRecord::ClearElrRecord(record) => self.forget_eligible(&record.topic_name)?,
            MetadataRecord::AccessControlEntryRecord(_)
            | MetadataRecord::RemoveAccessControlEntryRecord(_)
            | MetadataRecord::DelegationTokenRecord(_)
            | MetadataRecord::RemoveDelegationTokenRecord(_)
            | MetadataRecord::RegisterControllerRecord(_) => self.carried_mut().apply(record),
            // The first says nothing, the second nothing since Kafka 4.0; transactions are read by who reads the log (`replay`).
            MetadataRecord::NoOpRecord(_)
            | MetadataRecord::ZkMigrationStateRecord(_)
            | MetadataRecord::BeginTransactionRecord(_)
            | MetadataRecord::EndTransactionRecord(_)
            | MetadataRecord::AbortTransactionRecord(_) => {}
        }
        Ok(())
    }

    fn register_broker(&mut self, record: &RegisterBrokerRecord) {
        let broker = Node::of(record.clone());
        self.brokers.insert(broker.node, Arc::new(broker));
    }

    /// As BrokerRegistration.cloneWith: what is at its default stays.
    fn change_broker(&mut self, record: &BrokerRegistrationChangeRecord) -> Result<(), ReplayError> {
        self.change_registration("BrokerRegistrationChangeRecord", record.broker_id, |registration| {
            if record.fenced != 0 {
                registration.fenced = record.fenced > 0;
            }
            if record.in_controlled_shutdown != 0 {
                registration.in_controlled_shutdown = record.in_controlled_shutdown > 0;
            }
            if !record.log_dirs.is_empty() {
                registration.log_dirs.clone_from(&record.log_dirs);
            }
            if record.cordoned_log_dirs.is_some() {
                registration.cordoned_log_dirs.clone_from(&record.cordoned_log_dirs);
            }
        })
    }

    fn fence(&mut self, record: &'static str, node: i32, fenced: bool) -> Result<(), ReplayError> {
        self.change_registration(record, node, |registration| registration.fenced = fenced)
    }

    fn change_registration(
        &mut self,
        record: &'static str,
        node: i32,
        change: impl FnOnce(&mut RegisterBrokerRecord),
    ) -> Result<(), ReplayError> {
        let node = NodeId(node);
        let broker = self.brokers.get_mut(&node).ok_or(ReplayError::UnknownBroker { record, node })?;
        let mut registration = broker.registration.clone();
        change(&mut registration);
        *broker = Arc::new(Node::of(registration));
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
        self.moves.retain(|(topic, _)| *topic != topic_id);
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
            adding: nodes(&record.adding_replicas),
            removing: nodes(&record.removing_replicas),
            election: Election {
                recovery_state: record.leader_recovery_state,
                eligible: nodes(record.eligible_leader_replicas.as_deref().unwrap_or_default()),
                last_known: nodes(record.last_known_elr.as_deref().unwrap_or_default()),
            },
        };
        let moves = !partition.adding.is_empty();
        self.topic_mut("PartitionRecord", record.topic_id)?.partitions.insert(record.partition_id, partition);
        self.note_move(record.topic_id, record.partition_id, moves);
        Ok(())
    }

    /// As PartitionRegistration.merge: what is null stays, every change makes the epoch one higher.
    fn change_partition(&mut self, record: &PartitionChangeRecord) -> Result<(), ReplayError> {
        const SAME_LEADER: i32 = -2;
        const SAME_STATE: i8 = -1;
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
        if let Some(adding) = &record.adding_replicas {
            partition.adding = nodes(adding);
        }
        if let Some(removing) = &record.removing_replicas {
            partition.removing = nodes(removing);
        }
        if record.leader_recovery_state != SAME_STATE {
            partition.election.recovery_state = record.leader_recovery_state;
        }
        if let Some(eligible) = &record.eligible_leader_replicas {
            partition.election.eligible = nodes(eligible);
        }
        if let Some(last_known) = &record.last_known_elr {
            partition.election.last_known = nodes(last_known);
        }
        partition.partition_epoch += 1;
        let moves = !partition.adding.is_empty();
        self.note_move(record.topic_id, record.partition_id, moves);
        Ok(())
    }

    /// ClearElrRecord: of a topic, or of all where it names none.
    fn forget_eligible(&mut self, topic: &str) -> Result<(), ReplayError> {
        let forget = |topic: &mut Arc<Topic>| {
            let has_some = |partition: &Partition| {
                !(partition.election.eligible.is_empty() && partition.election.last_known.is_empty())
            };
            if topic.partitions.values().any(has_some) {
                for partition in Arc::make_mut(topic).partitions.values_mut() {
                    partition.election.eligible.clear();
                    partition.election.last_known.clear();
                }
            }
        };
        if topic.is_empty() {
            self.topics.values_mut().for_each(forget);
            return Ok(());
        }
        self.topics.get_mut(topic).map(forget).ok_or_else(|| ReplayError::UnknownTopicName { name: topic.to_owned() })
    }

    fn note_move(&mut self, topic_id: Uuid, partition: i32, moves: bool) {
        match moves {
            true => self.moves.insert((topic_id, partition)),
            false => self.moves.remove(&(topic_id, partition)),
        };
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
