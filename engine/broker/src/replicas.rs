//! The partitions that this shard leads. Each is touched by this shard alone.
//!
//! Produce requests of one turn that meet on a partition are staged and become one write at the turn's end.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use ringlog_io::{Files, Job};
use ringlog_storage::{
    Checkpointed, FlushJob, Known, LogConfig, Partition, PartitionName, RecoveryReport, Startup, StorageError,
};
use ringlog_wire::ErrorCode;

use crate::replica::{News, PartitionKey, Replica, Role, Staged};
use crate::vitals::ReplicaVitals;

/// A partition's place in [`Replicas`]. Places of removed partitions are used again: keep it for a turn only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(usize);

/// How a partition is opened.
pub(crate) struct Opening {
    pub(crate) topic: Rc<str>,
    pub(crate) key: PartitionKey,
    pub(crate) role: Role,
    pub(crate) config: LogConfig,
    pub(crate) how: Startup,
    pub(crate) checkpointed: Checkpointed,
}

/// All partitions that this shard leads.
pub(crate) struct Replicas {
    files: Rc<dyn Files>,
    log_dir: PathBuf,
    places: Vec<Option<Replica>>,
    free: Vec<usize>,
    by_key: BTreeMap<PartitionKey, usize>,
    dirty: Vec<usize>,
}

impl Replicas {
    pub(crate) fn new(files: Rc<dyn Files>, log_dir: PathBuf) -> Self {
        Self { files, log_dir, places: Vec::new(), free: Vec::new(), by_key: BTreeMap::new(), dirty: Vec::new() }
    }

    /// The folder of a partition: `<topic>-<partition>`.
    fn folder(&self, topic: &str, partition: i32) -> PathBuf {
        self.log_dir.join(format!("{topic}-{partition}"))
    }

    /// Opens the partition's folder, or makes it. One that another topic of that name left behind is set aside.
    pub(crate) fn open(&mut self, opening: Opening, wall_ms: i64) -> Result<Option<RecoveryReport>, StorageError> {
        let Opening { topic, key, role, config, how, checkpointed } = opening;
        let folder = self.folder(&topic, key.partition);
        let known = Known { topic_id: key.topic_id, startup: how, checkpointed };
        let (log, report) = Partition::open_or_create(&self.files, &folder, config, known, wall_ms)?;
        self.insert(Replica::new(topic, key, role, log));
        Ok(report)
    }

    fn insert(&mut self, replica: Replica) {
        let key = replica.key;
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.places[place] = Some(replica);
        self.by_key.insert(key, place);
    }

    /// Forgets a deleted partition. Gives the job that removes its folder.
    pub(crate) fn remove(&mut self, key: PartitionKey, news: &mut News) -> Option<Result<Job, StorageError>> {
        let place = self.by_key.remove(&key)?;
        self.dirty.retain(|dirty| *dirty != place);
        self.free.push(place);
        let mut replica = self.places[place].take()?;
        replica.resign(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, news);
        Some(replica.into_log().delete())
    }

    /// Where a partition is, if this shard leads it.
    pub(crate) fn find(&self, key: PartitionKey) -> Option<Place> {
        self.by_key.get(&key).map(|place| Place(*place))
    }

    /// The partition at a place.
    pub(crate) fn at(&self, place: Place) -> &Replica {
        self.places[place.0].as_ref().unwrap_or_else(|| unreachable!("a place is kept for a turn only"))
    }

    /// The partition at a place, to change it.
    pub(crate) fn at_mut(&mut self, place: Place) -> &mut Replica {
        self.places[place.0].as_mut().unwrap_or_else(|| unreachable!("a place is kept for a turn only"))
    }

    /// Stages a checked batch for the write at the end of the turn.
    pub(crate) fn stage(&mut self, place: Place, staged: Staged) {
        if self.at_mut(place).stage(staged) {
            self.dirty.push(place.0);
        }
    }

    /// Whether anything is staged.
    pub(crate) fn has_staged(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Writes what is staged.
    pub(crate) fn append_staged(&mut self, wall_ms: i64, news: &mut News) {
        for place in std::mem::take(&mut self.dirty) {
            self.at_mut(Place(place)).append_staged(wall_ms, news);
        }
    }

    /// What is under way at the partitions here.
    pub(crate) fn vitals(&self) -> ReplicaVitals {
        let mut vitals = ReplicaVitals::default();
        self.places.iter().flatten().for_each(|replica| replica.count_into(&mut vitals));
        vitals
    }

    /// A flush ended. A partition that is gone does not care.
    pub(crate) fn end_flush(&mut self, key: PartitionKey, job: FlushJob, result: io::Result<()>, news: &mut News) {
        if let Some(place) = self.find(key) {
            self.at_mut(place).end_flush(job, result, news);
        }
    }

    /// Puts what recovery needs into small files, and gives what the checkpoints should say.
    pub(crate) fn checkpoint(&mut self) -> BTreeMap<PartitionName, Checkpointed> {
        let mut checkpoints = BTreeMap::new();
        for replica in self.places.iter_mut().flatten() {
            match replica.checkpoint() {
                Ok(checkpointed) => drop(checkpoints.insert(replica.name(), checkpointed)),
                Err(error) => tracing::warn!(name = %replica.name(), %error, "no checkpoint"),
            }
        }
        checkpoints
    }

    /// Closes every log so that the next start has nothing to check. Gives what the checkpoints should say, and whether
    /// every one was closed.
    pub(crate) fn close(&mut self, news: &mut News) -> (BTreeMap<PartitionName, Checkpointed>, bool) {
        let mut checkpoints = BTreeMap::new();
        let mut clean = true;
        self.by_key.clear();
        self.dirty.clear();
        for mut replica in std::mem::take(&mut self.places).into_iter().flatten() {
            let name = replica.name();
            replica.resign(ErrorCode::NOT_LEADER_OR_FOLLOWER, news);
            match replica.into_log().close_clean() {
                Ok(checkpointed) => drop(checkpoints.insert(name, checkpointed)),
                Err(error) => {
                    tracing::error!(%name, %error, "could not be closed: the next start checks it");
                    clean = false;
                }
            }
        }
        (checkpoints, clean)
    }
}

#[cfg(test)]
#[path = "replicas_claim_tests.rs"]
mod claim_tests;
