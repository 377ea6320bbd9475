//! What the controller writes at a start: the features of a new log and its least replicas, the shards as brokers, and who
//! leads what now (`rehome`).

use std::collections::BTreeSet;
use std::sync::Arc;

use ringlog_wire::Uuid;
use ringlog_wire::records::metadata::{
    AbortTransactionRecord, BrokerEndpoint, BrokerFeature, ConfigRecord, MetadataRecord, RegisterBrokerRecord,
    UnregisterBrokerRecord,
};

use super::super::ids::{NodeId, ShardId};
use super::super::image::{
    FEATURES, GROUP_VERSION, Image, METADATA_VERSION, RESOURCE_BROKER, TRANSACTION_VERSION, TRANSACTION_VERSION_MAX,
};
use super::features::feature_level;
use super::mutations::Mutations;
use super::rehome::rehome;
use super::{Controller, Decided, Draft, Proposal, random_id};
use crate::settings::Settings;

/// What is known when the controller begins.
pub(crate) struct Start<'a> {
    /// The settings.
    pub(crate) settings: Arc<Settings>,
    /// The cluster as the log has it.
    pub(crate) image: Image,
    /// Features that the folder was formatted with, where the log is empty.
    pub(crate) bootstrap: Vec<MetadataRecord>,
    /// Id of this host's log directory.
    pub(crate) directory_id: Uuid,
    /// The port that each shard got.
    pub(crate) ports: &'a [u16],
    /// The offset that the next record of the log gets.
    pub(crate) end_offset: i64,
    /// The last run did not stop cleanly: a log may have lost what it had shown.
    pub(crate) unclean: bool,
    /// The log ends inside a metadata transaction (KIP-868) of a Kafka that was killed: none of it counts.
    pub(crate) ends_in_transaction: bool,
}

/// Why the controller does not begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StartError {
    /// The log was written by something newer.
    #[error(
        "the metadata log has metadata.version {found}, this broker knows up to {METADATA_VERSION}: use a newer one"
    )]
    TooNew {
        /// The level in the log.
        found: i16,
    },
}

impl Controller {
    /// A controller that stands on what the log had, and the records that make this start's brokers part of the cluster. The
    /// proposal answers nobody.
    pub(crate) fn start(start: Start<'_>, random: &mut dyn FnMut() -> u64) -> Result<(Self, Proposal), StartError> {
        let mut draft = Draft::new(&start.image);
        if start.ends_in_transaction {
            let reason = Some("failover".to_owned());
            draft.push(AbortTransactionRecord { reason, ..AbortTransactionRecord::default() });
        }
        let is_new = start.image.feature_level("metadata.version") == 0;
        let is_feature = |record: &&MetadataRecord| matches!(record, MetadataRecord::FeatureLevelRecord(_));
        start.bootstrap.iter().filter(is_feature).for_each(|record| draft.push(record.clone()));
        let found = draft.image.feature_level("metadata.version");
        if found > METADATA_VERSION {
            return Err(StartError::TooNew { found });
        }
        if found < METADATA_VERSION {
            tracing::info!(from = found, to = METADATA_VERSION, "metadata.version");
            draft.push(feature_level("metadata.version", METADATA_VERSION));
        }
        if draft.image.feature_level("group.version") < GROUP_VERSION {
            draft.push(feature_level("group.version", GROUP_VERSION));
        }
        // Who formatted the folder said which; in a cluster that is there already only UpdateFeatures changes it.
        if is_new && !start.bootstrap.iter().any(|record| is_feature(&record)) {
            draft.push(feature_level(TRANSACTION_VERSION, TRANSACTION_VERSION_MAX));
        }
        if is_new {
            draft.push(least_replicas(&start.settings));
        }
        let before: BTreeSet<NodeId> = draft.image.live_brokers().map(|broker| broker.node).collect();
        unregister_absent(&mut draft);
        register(&start, &mut draft, random);
        #[cfg(feature = "plant")]
        let unclean = start.unclean && !ringlog_io::plant::is(ringlog_io::plant::EPOCH_KEPT);
        #[cfg(not(feature = "plant"))]
        let unclean = start.unclean;
        rehome(&before, unclean, start.directory_id, &mut draft);
        let rotation = start.image.topics().map(|topic| topic.partitions.len()).sum();
        let mut image = start.image;
        image.set_version(start.end_offset - 1);
        let image = Arc::new(image);
        let (settings, directory_id) = (start.settings, start.directory_id);
        let mutations = Mutations::default();
        let mut controller = Self { settings, image: Arc::clone(&image), directory_id, rotation, mutations, now_ms: 0 };
        controller.stand_on(image);
        let proposal = controller.propose(draft, Decided::AutoCreate(Vec::new()));
        Ok((controller, proposal))
    }
}

/// `min.insync.replicas` belongs to the cluster from its first start on, as in one that Kafka 4.1 or later formats (KIP-966):
/// no broker may count fewer replicas than the others because its file says so. DescribeConfigs tells it as a dynamic default.
fn least_replicas(settings: &Settings) -> ConfigRecord {
    const NAME: &str = "min.insync.replicas";
    ConfigRecord {
        resource_type: RESOURCE_BROKER,
        resource_name: String::new(),
        name: NAME.to_owned(),
        value: settings.values().text(NAME).map(str::to_owned),
        ..ConfigRecord::default()
    }
}

/// Brokers of an earlier start. In a cluster of several hosts they would be fenced by their silence.
fn unregister_absent(draft: &mut Draft) {
    let here = draft.image.here();
    let gone: Vec<(NodeId, i64)> = draft
        .image
        .brokers()
        .filter(|broker| here.shard(broker.node).is_none())
        .map(|broker| (broker.node, broker.epoch))
        .collect();
    for (node, broker_epoch) in gone {
        draft.push(UnregisterBrokerRecord { broker_id: node.0, broker_epoch, ..UnregisterBrokerRecord::default() });
    }
}

fn register(start: &Start<'_>, draft: &mut Draft, random: &mut dyn FnMut() -> u64) {
    let settings = &start.settings;
    for (shard, port) in start.ports.iter().copied().enumerate() {
        let shard = ShardId(shard);
        let (host, port) = settings.advertised(shard, port);
        let end_point = BrokerEndpoint {
            name: settings.listener_name().to_owned(),
            host: host.to_owned(),
            port,
            security_protocol: 0,
            ..BrokerEndpoint::default()
        };
        let features = FEATURES.iter().map(|feature| BrokerFeature {
            name: feature.name.to_owned(),
            min_supported_version: feature.min,
            max_supported_version: feature.max,
            ..BrokerFeature::default()
        });
        // A registration's epoch is the offset of its record.
        let broker_epoch = start.end_offset + i64::try_from(draft.records.len()).unwrap_or(i64::MAX);
        draft.push(RegisterBrokerRecord {
            broker_id: settings.here().node(shard).0,
            incarnation_id: random_id(random),
            broker_epoch,
            end_points: vec![end_point],
            features: features.collect(),
            rack: settings.rack().map(str::to_owned),
            fenced: false,
            log_dirs: vec![start.directory_id],
            ..RegisterBrokerRecord::default()
        });
    }
}
