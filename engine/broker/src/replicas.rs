//! The partitions that this shard leads. Each is touched by this shard alone.
//!
//! Produce requests of one turn that meet on a partition are staged and become one write at the turn's end.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use ringlog_io::{File, Files, Job};
use ringlog_storage::{
    Checkpointed, FlushJob, Known, LogConfig, Partition, PartitionName, RecoveryReport, Startup, StorageError,
};
use ringlog_wire::ErrorCode;

use crate::lists::give_back;
use crate::metrics::traffic::Traffic;
use crate::recompressions::Recompressions;
use crate::replica::{News, PartitionKey, Replica, Role, Staged};
use crate::upkeep::Handed;
use crate::vitals::ReplicaVitals;

/// Logs that changed from which on a stop has the whole file system written before it syncs each: what others have in memory
/// there is written with it.
const SYNC_ALL_MIN: usize = 16;

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
    recompressions: Recompressions,
    state: State,
    /// What went through partitions that are gone, or was asked of some that are not here.
    elsewhere: Cell<Traffic>,
}

/// Whether the log directory is written to.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Writable,
    /// This start is not written yet.
    NotYet,
    /// A sync failed: not before the next start.
    Failed(String),
}

impl Replicas {
    pub(crate) fn new(files: Rc<dyn Files>, log_dir: PathBuf) -> Self {
        Self {
            files,
            log_dir,
            places: Vec::new(),
            free: Vec::new(),
            by_key: BTreeMap::new(),
            dirty: Vec::new(),
            recompressions: Recompressions::default(),
            state: State::Writable,
            elsewhere: Cell::default(),
        }
    }

    /// The image is one that the metadata log holds, or not yet.
    pub(crate) fn set_provisional(&mut self, is_provisional: bool) {
        if !matches!(self.state, State::Failed(_)) {
            self.state = if is_provisional { State::NotYet } else { State::Writable };
        }
    }

    /// Takes every log offline: a sync failed, and what else the disk lost is not known. True: that is news.
    pub(crate) fn fail(&mut self, reason: &str, news: &mut News) -> bool {
        if matches!(self.state, State::Failed(_)) {
            return false;
        }
        self.state = State::Failed(reason.to_owned());
        self.places.iter_mut().flatten().for_each(|replica| replica.refuse(Some(reason), news));
        self.dirty.clear();
        true
    }

    /// The folder of a partition: `<topic>-<partition>`.
    pub(crate) fn folder(&self, topic: &str, partition: i32) -> PathBuf {
        self.log_dir.join(format!("{topic}-{partition}"))
    }

    /// Opens the partition's folder, or makes it. One that another topic of that name left behind is set aside.
    pub(crate) fn open(&mut self, opening: Opening, wall_ms: i64) -> Result<Option<RecoveryReport>, StorageError> {
        if let State::Failed(reason) = &self.state {
            return Err(StorageError::Directory { reason: reason.clone() });
        }
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
        self.note_elsewhere(|traffic| *traffic += replica.traffic());
        replica.resign(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, news);
        Some(replica.into_log().delete())
    }

    /// The same for a partition that was deleted before its log was opened.
    pub(crate) fn remove_unopened(&self, topic: &str, key: PartitionKey) -> Result<Option<Job>, StorageError> {
        Partition::delete_unopened(&self.files, &self.folder(topic, key.partition), key.topic_id)
    }

    /// Gives up a partition that moves, closed as at a stop: waits for the disk. Gives how it is to be opened, and what failed
    /// in closing it, where something did.
    pub(crate) fn hand_over(&mut self, key: PartitionKey, news: &mut News) -> Option<(Handed, Option<StorageError>)> {
        let place = self.by_key.remove(&key)?;
        self.dirty.retain(|dirty| *dirty != place);
        self.free.push(place);
        let mut replica = self.places[place].take()?;
        let closed = replica.close(news);
        let topic = Arc::from(&*replica.topic);
        let log = replica.into_log();
        match closed {
            Ok(checkpointed) => {
                let producers = Some(log.into_producers());
                Some((Handed { topic, known: (Startup::Clean, checkpointed), producers }, None))
            }
            Err(error) => {
                let known = (Startup::SameBoot, log.checkpointed());
                Some((Handed { topic, known, producers: None }, Some(error)))
            }
        }
    }

    /// All partitions here.
    pub(crate) fn keys(&self) -> impl Iterator<Item = PartitionKey> + '_ {
        self.by_key.keys().copied()
    }

    /// The same, each with its log.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Replica> + '_ {
        self.by_key.values().filter_map(|place| self.places[*place].as_ref())
    }

    /// Whether a sync failed: the directory is offline.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.state, State::Failed(_))
    }

    /// The size of the directory's file system in bytes, and how much of it can still be written.
    pub(crate) fn space(&self) -> io::Result<(i64, i64)> {
        let space = self.files.space(&self.log_dir)?;
        let bytes = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        Ok((bytes(space.total_bytes), bytes(space.usable_bytes)))
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

    /// Stages a checked batch for the write at the end of the turn, or holds it until it is compressed as its topic wants it.
    pub(crate) fn stage(&mut self, place: Place, staged: Staged) {
        let replica = self.at_mut(place);
        if replica.holds_up(&staged) {
            self.hold(place, staged);
        } else if replica.stage(staged) {
            self.dirty.push(place.0);
        }
    }

    fn hold(&mut self, place: Place, staged: Staged) {
        let held_bytes = Rc::clone(&self.recompressions.held_bytes);
        let replica = self.at_mut(place);
        if replica.hold(staged, &held_bytes) {
            let key = replica.key;
            self.recompressions.wait(key);
        }
    }

    /// The jobs that compress batches anew and fit into so many bytes; what each takes of them.
    pub(crate) fn begin_recompressions(&mut self, bytes_max: usize) -> Vec<(PartitionKey, usize, Job)> {
        let mut jobs = Vec::new();
        while let Some(key) = self.recompressions.first() {
            let place = self.find(key);
            match place.and_then(|place| Some((place, self.at(place).recompression_due()?))) {
                None => self.recompressions.skip(),
                Some((_, bytes)) if !self.recompressions.admit(bytes, bytes_max) => break,
                Some((place, bytes)) => jobs.push((key, bytes, self.at_mut(place).begin_recompression())),
            }
        }
        jobs
    }

    /// One of them ended: what was held is staged.
    pub(crate) fn end_recompression(&mut self, key: PartitionKey, bytes: usize, news: &mut News) {
        self.recompressions.ended(bytes);
        let Some(place) = self.find(key) else { return };
        let replica = self.at_mut(place);
        let is_staged = replica.end_recompression(news);
        if replica.recompression_due().is_some() {
            self.recompressions.wait(key);
        }
        if is_staged && !self.dirty.contains(&place.0) {
            self.dirty.push(place.0);
        }
    }

    /// What is held and opened for that.
    pub(crate) fn recompressions(&self) -> &Recompressions {
        &self.recompressions
    }

    /// Counts something of a partition that is not here.
    pub(crate) fn note_elsewhere(&self, note: impl FnOnce(&mut Traffic)) {
        let mut traffic = self.elsewhere.get();
        note(&mut traffic);
        self.elsewhere.set(traffic);
    }

    /// What was counted so.
    pub(crate) fn traffic_elsewhere(&self) -> Traffic {
        self.elsewhere.get()
    }

    /// How many partitions have something staged.
    pub(crate) fn staged(&self) -> usize {
        self.dirty.len()
    }

    /// Whether anything is staged.
    pub(crate) fn has_staged(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Writes what is staged. Gives the rolls that some of it waits for.
    pub(crate) fn append_staged(&mut self, wall_ms: i64, news: &mut News) -> Vec<(PartitionKey, Job)> {
        let mut rolls = Vec::new();
        let mut dirty = std::mem::take(&mut self.dirty);
        for place in dirty.drain(..) {
            if self.state != State::Writable {
                self.at_mut(Place(place)).refuse(None, news);
                continue;
            }
            let replica = self.at_mut(Place(place));
            rolls.extend(replica.append_staged(wall_ms, news).map(|job| (replica.key, job)));
        }
        give_back(&mut self.dirty, dirty);
        rolls
    }

    /// A job that changed a partition's files ended.
    pub(crate) fn beside_done(
        &mut self,
        place: Place,
        result: io::Result<Option<File>>,
        wall_ms: i64,
        news: &mut News,
    ) {
        let replica = self.at_mut(place);
        replica.beside_done(result, wall_ms, news);
        if replica.has_staged() && !self.dirty.contains(&place.0) {
            self.dirty.push(place.0);
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

    /// What the checkpoints should say, and the jobs that put the rest of what recovery needs into small files.
    pub(crate) fn checkpoint(&mut self) -> (BTreeMap<PartitionName, Checkpointed>, Vec<(PartitionKey, Job)>) {
        let (mut checkpoints, mut jobs) = (BTreeMap::new(), Vec::new());
        for replica in self.places.iter_mut().flatten() {
            match replica.checkpoint() {
                Ok((checkpointed, job)) => {
                    checkpoints.insert(replica.name(), checkpointed);
                    jobs.extend(job.map(|job| (replica.key, job)));
                }
                Err(error) => {
                    tracing::warn!(name = %replica.name(), %error, "the checkpoint says what it said before");
                    checkpoints.insert(replica.name(), replica.log().checkpointed());
                }
            }
        }
        (checkpoints, jobs)
    }

    /// Closes every log so that the next start has nothing to check. Gives what the checkpoints should say, and whether
    /// every one was closed. Where many changed, everything is written to the disk in one go before each is synced.
    pub(crate) fn close(&mut self, news: &mut News) -> (BTreeMap<PartitionName, Checkpointed>, bool) {
        let mut checkpoints = BTreeMap::new();
        let mut clean = true;
        self.by_key.clear();
        self.dirty.clear();
        let mut logs = Vec::new();
        for mut replica in std::mem::take(&mut self.places).into_iter().flatten() {
            let name = replica.name();
            replica.resign(ErrorCode::NOT_LEADER_OR_FOLLOWER, news);
            let mut log = replica.into_log();
            let begun = log.close_begin();
            logs.push((name, log, begun));
        }
        let changed = logs.iter().filter(|(_, log, _)| log.is_changed()).count();
        if changed >= SYNC_ALL_MIN
            && let Err(error) = self.files.sync_all(&self.log_dir)
        {
            tracing::debug!(%error, "each log is written by itself");
        }
        for (name, mut log, begun) in logs {
            match begun.and_then(|()| log.close_end()) {
                Ok(checkpointed) => drop(checkpoints.insert(name, checkpointed)),
                Err(error) => {
                    tracing::error!(%name, %error, "could not be closed: the next start checks it");
                    checkpoints.insert(name, log.checkpointed());
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
