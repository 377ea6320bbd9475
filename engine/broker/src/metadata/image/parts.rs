//! What an image is made of: brokers, topics, partitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringlog_wire::Uuid;
use ringlog_wire::records::metadata::RegisterBrokerRecord;

use super::NodeId;
use crate::settings::Settings;
use crate::settings::topic_config::{self, Overrides};

/// A registered broker.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// Its node id.
    pub(crate) node: NodeId,
    /// Its registration's epoch: the offset of the record.
    pub(crate) epoch: i64,
    /// Host that clients are told.
    pub(crate) host: String,
    /// Port that clients are told.
    pub(crate) port: u16,
    /// Its rack.
    pub(crate) rack: Option<String>,
    /// It is registered and takes no clients.
    pub(crate) fenced: bool,
    /// All that was said of it: what stands above follows from this.
    pub(super) registration: RegisterBrokerRecord,
}

impl Node {
    /// The broker of a registration.
    pub(super) fn of(registration: RegisterBrokerRecord) -> Self {
        const PLAINTEXT: i16 = 0;
        let endpoint = registration.end_points.iter().find(|endpoint| endpoint.security_protocol == PLAINTEXT);
        Self {
            node: NodeId(registration.broker_id),
            epoch: registration.broker_epoch,
            host: endpoint.map(|endpoint| endpoint.host.clone()).unwrap_or_default(),
            port: endpoint.map_or(0, |endpoint| endpoint.port),
            rack: registration.rack.clone(),
            fenced: registration.fenced,
            registration,
        }
    }
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
    /// It moves: who is to have it, and who gives it up.
    pub(crate) adding: Vec<NodeId>,
    pub(crate) removing: Vec<NodeId>,
    /// What Kafka notes for elections among several replicas, and is not asked here.
    pub(super) election: Election,
}

/// LeaderRecoveryState, and who may lead without loss though it is not in sync (KIP-966).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Election {
    pub(super) recovery_state: i8,
    pub(super) eligible: Vec<NodeId>,
    pub(super) last_known: Vec<NodeId>,
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
