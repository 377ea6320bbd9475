//! The partitions that this shard leads: the log of each, who waits for it, and what is staged for it in this turn.
//!
//! A partition is touched by this shard alone. Produce requests of one turn that meet on a partition are staged and
//! become one write at the turn's end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use ringlog_io::{Files, Job, Slice};
use ringlog_storage::{
    Appended, Checkpointed, FlushJob, Isolation, Known, LogConfig, NewBatch, Origin, Partition, PartitionName,
    RecoveryReport, Startup, StorageError,
};
use ringlog_wire::batch::{Batches, Rules, Validated};
use ringlog_wire::{ErrorCode, Uuid};

use crate::waiting::FetchId;

/// Which partition: its topic's id, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PartitionKey {
    pub(crate) topic_id: Uuid,
    pub(crate) partition: i32,
}

/// A partition's place in [`Replicas`]. Places of removed partitions are used again: keep it for a turn only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(usize);

/// A batch that was checked and waits for the end of the turn.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) validated: Validated,
    pub(crate) bytes: Slice,
    pub(crate) origin: Origin,
    pub(crate) ticket: Ticket,
}

/// Who learns what became of a staged batch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ticket {
    /// The produce request of this number, its topic and partition by index.
    Produce { request: u64, topic: usize, partition: usize },
    /// The group coordinator, by its own number.
    Group { ticket: u64 },
}

/// What became of a staged batch.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) ticket: Ticket,
    pub(crate) log_start_offset: i64,
    pub(crate) result: Result<Appended, ErrorCode>,
}

/// One partition that this shard leads.
pub(crate) struct Replica {
    pub(crate) topic: Rc<str>,
    pub(crate) key: PartitionKey,
    pub(crate) leader_epoch: i32,
    pub(crate) rules: Rules,
    /// How many in-sync replicas are missing to min.insync.replicas: acks=all is refused while it is not 0.
    pub(crate) in_sync_replicas_missing: usize,
    pub(crate) log: Partition,
    pub(crate) waiters: Vec<FetchId>,
    staged: Vec<Staged>,
    unflushed: Vec<(i64, Settled)>,
    flushing: bool,
}

impl Replica {
    fn name(&self) -> PartitionName {
        PartitionName { topic: self.topic.to_string(), partition: self.key.partition }
    }

    /// Writes what was staged, in one write. Gives what is settled now; under flush.messages the rest follows when the
    /// flush that covers it has ended.
    fn append_staged(&mut self, wall_ms: i64) -> (Vec<Settled>, usize) {
        let staged = std::mem::take(&mut self.staged);
        let batches: Vec<NewBatch<'_>> = staged
            .iter()
            .map(|staged| NewBatch { validated: &staged.validated, bytes: &staged.bytes, origin: staged.origin })
            .collect();
        let results = self.log.append(&batches, self.leader_epoch, wall_ms);
        drop(batches);
        let mut settled = Vec::with_capacity(staged.len());
        let mut appended_bytes = 0;
        for (staged, result) in staged.into_iter().zip(results) {
            if matches!(&result, Ok(appended) if !appended.duplicate) {
                appended_bytes += staged.bytes.len();
            }
            let end = result.as_ref().map_or(0, |appended| appended.last_offset + 1);
            let result = result.map_err(|error| {
                tracing::debug!(topic = %self.topic, partition = self.key.partition, %error, "append refused");
                error.error_code()
            });
            let verdict = Settled { ticket: staged.ticket, log_start_offset: self.log.log_start_offset(), result };
            if end > self.log.high_watermark() {
                self.unflushed.push((end, verdict));
            } else {
                settled.push(verdict);
            }
        }
        (settled, appended_bytes)
    }

    /// What a flush that ended settles.
    fn take_flushed(&mut self) -> Vec<Settled> {
        let acknowledged = self.log.high_watermark();
        let offline = self.log.offline_reason().is_some();
        let mut settled = Vec::new();
        self.unflushed.retain_mut(|(end, verdict)| {
            if *end > acknowledged && !offline {
                return true;
            }
            let result = if *end > acknowledged {
                Err(ErrorCode::KAFKA_STORAGE_ERROR)
            } else {
                std::mem::replace(&mut verdict.result, Err(ErrorCode::NONE))
            };
            settled.push(Settled { ticket: verdict.ticket, log_start_offset: verdict.log_start_offset, result });
            false
        });
        settled
    }
}

/// How a partition is opened.
pub(crate) struct Opening {
    pub(crate) topic: Rc<str>,
    pub(crate) key: PartitionKey,
    pub(crate) leader_epoch: i32,
    pub(crate) config: LogConfig,
    pub(crate) rules: Rules,
    pub(crate) in_sync_replicas_missing: usize,
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
        let Opening { topic, key, leader_epoch, config, rules, in_sync_replicas_missing, how, checkpointed } = opening;
        let folder = self.folder(&topic, key.partition);
        let known = Known { topic_id: key.topic_id, startup: how, checkpointed };
        let (log, report) = Partition::open_or_create(&self.files, &folder, config, known, wall_ms)?;
        self.insert(Replica {
            topic,
            key,
            leader_epoch,
            rules,
            in_sync_replicas_missing,
            log,
            waiters: Vec::new(),
            staged: Vec::new(),
            unflushed: Vec::new(),
            flushing: false,
        });
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

    /// Forgets a partition. Who waits for it is given back, and the job that removes its folder.
    pub(crate) fn remove(&mut self, key: PartitionKey) -> Option<(Vec<FetchId>, Result<Job, StorageError>)> {
        let place = self.by_key.remove(&key)?;
        self.dirty.retain(|dirty| *dirty != place);
        self.free.push(place);
        let Replica { log, waiters, .. } = self.places[place].take()?;
        Some((waiters, log.delete()))
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
        let replica = self.at_mut(place);
        let first = replica.staged.is_empty();
        replica.staged.push(staged);
        if first {
            self.dirty.push(place.0);
        }
    }

    /// Whether anything is staged.
    pub(crate) fn has_staged(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Writes what is staged. `settle` is told of each verdict, `appended` of each partition that grew by so many bytes.
    pub(crate) fn append_staged(
        &mut self,
        wall_ms: i64,
        mut settle: impl FnMut(Settled),
        mut appended: impl FnMut(Place, usize),
    ) {
        for place in std::mem::take(&mut self.dirty) {
            let replica = self.at_mut(Place(place));
            let (settled, bytes) = replica.append_staged(wall_ms);
            settled.into_iter().for_each(&mut settle);
            if bytes > 0 {
                appended(Place(place), bytes);
            }
        }
    }

    /// A flush that is due at this partition and not under way yet.
    pub(crate) fn flush_due(&mut self, place: Place, wall_ms: i64) -> Option<FlushJob> {
        let replica = self.at_mut(place);
        if replica.flushing || !replica.log.flush_due(wall_ms) {
            return None;
        }
        let job = replica.log.flush_begin()?;
        replica.flushing = true;
        Some(job)
    }

    /// Whether flush.ms or flush.messages will ask for a flush of this partition by themselves.
    pub(crate) fn flushes(&self, place: Place) -> bool {
        self.at(place).log.config().flushes()
    }

    /// A flush ended: what it settles.
    pub(crate) fn flushed(&mut self, key: PartitionKey, job: FlushJob, result: std::io::Result<()>) -> Vec<Settled> {
        let Some(place) = self.find(key) else { return Vec::new() };
        let replica = self.at_mut(place);
        replica.flushing = false;
        replica.log.flush_done(job, result);
        replica.take_flushed()
    }

    /// Every batch of a partition's log, for who replays it at start.
    pub(crate) fn read_whole(&self, place: Place, piece_bytes: usize) -> Result<Vec<u8>, String> {
        let log = &self.at(place).log;
        let mut bytes = Vec::new();
        let mut offset = log.log_start_offset();
        while offset < log.end_offset() {
            let range = log.read(offset, piece_bytes, true, Isolation::LogEnd).map_err(|error| error.to_string())?;
            let from = bytes.len();
            bytes.resize(from + range.len, 0);
            let read = self.files.read_at(&range.file, &mut bytes[from..], range.position);
            read.map_err(|error| error.to_string())?;
            let whole: usize =
                Batches::new(&bytes[from..]).map_while(Result::ok).map(|batch| batch.header.total_len()).sum();
            let next =
                Batches::new(&bytes[from..]).map_while(Result::ok).last().map(|batch| batch.header.next_offset());
            bytes.truncate(from + whole);
            let Some(next) = next else { break };
            offset = next;
        }
        Ok(bytes)
    }

    /// Puts what recovery needs into small files, and gives what the checkpoints should say.
    pub(crate) fn checkpoint(&mut self) -> BTreeMap<PartitionName, Checkpointed> {
        let mut checkpoints = BTreeMap::new();
        for replica in self.places.iter_mut().flatten() {
            match replica.log.checkpoint() {
                Ok(checkpointed) => drop(checkpoints.insert(replica.name(), checkpointed)),
                Err(error) => tracing::warn!(name = %replica.name(), %error, "no checkpoint"),
            }
        }
        checkpoints
    }

    /// Closes every log so that the next start has nothing to check. Gives what the checkpoints should say, and whether
    /// every one was closed.
    pub(crate) fn close(&mut self) -> (BTreeMap<PartitionName, Checkpointed>, bool) {
        let mut checkpoints = BTreeMap::new();
        let mut clean = true;
        self.by_key.clear();
        for mut replica in std::mem::take(&mut self.places).into_iter().flatten() {
            let name = replica.name();
            match replica.log.close_clean() {
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
