//! What a shard says of itself when it is asked: made in one turn, on its thread, and read on another.
//!
//! ```text
//!   server: ask(n), wake --> shard's next turn: facts of now --> answer(n), wake --> server: the page
//! ```
//! It costs the shard some ten nanoseconds for a partition and a copy of each name of a group's topic, and it is bounded:
//! what is beyond [`PARTITIONS_MAX`] and [`OFFSETS_MAX`] is left out and counted.

use std::sync::Arc;

use crate::broker::Broker;
use crate::coordinator::group::GroupFacts;
use crate::limits::Budget;
use crate::metadata::image::Image;
use crate::replica::{PartitionKey, Replica};
use crate::vitals::Vitals;
use crate::writeback::WritebackFacts;

use super::traffic::Traffic;

/// Partitions of one shard that are shown.
pub(crate) const PARTITIONS_MAX: usize = 20_000;
/// Committed offsets of one shard that are shown.
pub(crate) const OFFSETS_MAX: usize = 20_000;

/// One partition that a shard leads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartitionFacts {
    pub(crate) key: PartitionKey,
    pub(crate) log_start: i64,
    pub(crate) high_watermark: i64,
    pub(crate) end: i64,
    pub(crate) size_bytes: u64,
    pub(crate) segments: usize,
    /// It takes no records, or cannot be read.
    pub(crate) is_offline: bool,
    pub(crate) traffic: Traffic,
}

impl PartitionFacts {
    fn of(replica: &Replica) -> Self {
        let log = replica.log();
        Self {
            key: replica.key,
            log_start: log.log_start_offset(),
            high_watermark: log.high_watermark(),
            end: log.end_offset(),
            size_bytes: log.size_bytes(),
            segments: log.segment_count(),
            is_offline: log.offline_reason().is_some(),
            traffic: replica.traffic(),
        }
    }
}

/// What a shard is not ready for, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NotReady(pub(crate) Vec<String>);

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) image: Arc<Image>,
    pub(crate) partitions: Vec<PartitionFacts>,
    pub(crate) groups: Vec<GroupFacts>,
    /// Partitions, and offsets of groups, that are more than are shown.
    pub(crate) left_out: (usize, usize),
    /// What went through all partitions, those that are gone and those that never were included.
    pub(crate) traffic: Traffic,
    /// Partitions that should be here and could not be opened.
    pub(crate) unopened: usize,
    pub(crate) log_dir_failed: bool,
    /// Bytes of the log directory's file system, and how many of them can still be written.
    pub(crate) space: Option<(i64, i64)>,
    pub(crate) budget: Budget,
    pub(crate) writeback: WritebackFacts,
    pub(crate) vitals: Vitals,
    pub(crate) not_ready: NotReady,
}

impl Facts {
    /// What `broker` has, and what is under way around it.
    pub(crate) fn of(broker: &Broker, vitals: Vitals) -> Self {
        let mut traffic = broker.replicas.traffic_elsewhere();
        broker.replicas.all().for_each(|replica| traffic += replica.traffic());
        let partitions: Vec<_> = broker.replicas.all().take(PARTITIONS_MAX).map(PartitionFacts::of).collect();
        let (groups, offsets_left_out) = broker.groups.facts(OFFSETS_MAX);
        Self {
            image: Arc::clone(&broker.image),
            left_out: (broker.replicas.all().count() - partitions.len(), offsets_left_out),
            partitions,
            groups,
            traffic,
            unopened: broker.upkeep.failed(),
            log_dir_failed: broker.replicas.has_failed(),
            space: broker.replicas.space().ok(),
            budget: broker.budget,
            writeback: broker.writebacks.facts(),
            vitals,
            not_ready: not_ready(broker),
        }
    }
}

fn not_ready(broker: &Broker) -> NotReady {
    let node = broker.image.here().node(broker.shard);
    let is_registered = broker.image.broker(node.0).is_some_and(|node| !node.fenced);
    let loading = broker.groups.loading();
    let loading_ids = broker.transactions.loading();
    let unread = broker.upkeep.unopened();
    let reasons = [
        (!is_registered, format!("node {node} is not registered")),
        (
            broker.image.is_provisional(),
            "this start is not in the metadata log yet: is there room in log.dirs?".to_owned(),
        ),
        (broker.replicas.has_failed(), "the log directory is offline: a sync failed".to_owned()),
        (unread > 0, format!("{unread} logs are not opened yet")),
        (loading > 0, format!("{loading} partitions of __consumer_offsets are being loaded")),
        (loading_ids > 0, format!("{loading_ids} partitions of __transaction_state are being loaded")),
    ];
    NotReady(reasons.into_iter().filter(|(holds, _)| *holds).map(|(_, words)| words).collect())
}
