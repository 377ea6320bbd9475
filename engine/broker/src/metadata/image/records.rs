//! An image as the records that make it: what a snapshot holds, in the order in which Kafka writes it (MetadataImage.write).
//!
//! Invariant: an empty image that takes them all is this image again; version, epoch and whose view it is aside.

use ringlog_wire::records::metadata::{
    ConfigRecord, FeatureLevelRecord, MetadataRecord, PartitionRecord, ProducerIdsRecord, TopicRecord,
};

use super::{Image, NodeId, Partition, Topic};

/// The feature that says how the other records are to be read: it comes first.
const METADATA_VERSION: &str = "metadata.version";

impl Image {
    /// See the head of the file.
    pub(crate) fn records(&self) -> impl Iterator<Item = MetadataRecord> + '_ {
        self.features()
            .chain(self.brokers.values().map(|broker| broker.registration.clone().into()))
            .chain(self.carried.controllers())
            .chain(self.topics.values().flat_map(|topic| of_topic(topic)))
            .chain(self.all_configs())
            .chain(self.quotas.records().map(MetadataRecord::from))
            .chain(self.producer_ids())
            .chain(self.carried.rules())
            .chain(self.credentials.records().map(MetadataRecord::from))
            .chain(self.carried.tokens())
    }

    fn features(&self) -> impl Iterator<Item = MetadataRecord> + '_ {
        let (first, others): (Vec<_>, Vec<_>) = self.features.iter().partition(|(name, _)| *name == METADATA_VERSION);
        first.into_iter().chain(others).map(|(name, level)| {
            FeatureLevelRecord { name: name.clone(), feature_level: *level, ..Default::default() }.into()
        })
    }

    fn all_configs(&self) -> impl Iterator<Item = MetadataRecord> + '_ {
        self.configs.iter().flat_map(|((resource_type, resource_name), configs)| {
            configs.iter().map(move |(name, value)| {
                ConfigRecord {
                    resource_type: *resource_type,
                    resource_name: resource_name.clone(),
                    name: name.clone(),
                    value: Some(value.clone()),
                    ..Default::default()
                }
                .into()
            })
        })
    }

    fn producer_ids(&self) -> impl Iterator<Item = MetadataRecord> + '_ {
        let next = (self.next_producer_id > 0).then_some(self.next_producer_id);
        next.into_iter().map(|next_producer_id| {
            ProducerIdsRecord { broker_id: -1, broker_epoch: -1, next_producer_id, ..Default::default() }.into()
        })
    }
}

fn of_topic(topic: &Topic) -> impl Iterator<Item = MetadataRecord> + '_ {
    let itself = TopicRecord { name: topic.name.to_string(), topic_id: topic.id, ..Default::default() };
    let partitions = topic.partitions.iter().map(|(number, partition)| of_partition(topic, *number, partition).into());
    std::iter::once(itself.into()).chain(partitions)
}

/// As PartitionRegistration.toRecord: tagged fields stand there where they say something.
fn of_partition(topic: &Topic, number: i32, partition: &Partition) -> PartitionRecord {
    let tagged = |nodes: &[NodeId]| (!nodes.is_empty()).then(|| ids(nodes));
    PartitionRecord {
        partition_id: number,
        topic_id: topic.id,
        replicas: ids(&partition.replicas),
        isr: ids(&partition.isr),
        removing_replicas: ids(&partition.removing),
        adding_replicas: ids(&partition.adding),
        leader: partition.leader.0,
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        directories: partition.directories.clone(),
        leader_recovery_state: partition.election.recovery_state,
        eligible_leader_replicas: tagged(&partition.election.eligible),
        last_known_elr: tagged(&partition.election.last_known),
        ..Default::default()
    }
}

fn ids(nodes: &[NodeId]) -> Vec<i32> {
    nodes.iter().map(|node| node.0).collect()
}
