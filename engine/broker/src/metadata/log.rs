//! `__cluster_metadata-0`: every change of the cluster as a record batch, in KRaft's format, so that
//! `kafka-dump-log --cluster-metadata-decoder` reads it.
//!
//! ```text
//!   open: newest whole *.checkpoint, then the log --> image;  epoch + 1 --> quorum-state, LeaderChangeMessage, brokers
//!         no room for that: the image is provisional, and it is tried again while records are served
//!   append: one change, one batch;  then flush_begin, sync, flush_done: durable below flushed_offset
//!   beside: snapshots, and what they stand for goes (upkeep)
//!
//!   a write failed (disk full, no descriptor)  come_back cuts off what was refused, as soon as the disk lets it
//!   a sync failed                              nothing until the next start: what is on the disk cannot be known
//! ```
//!
//! A batch that was cut off by a crash is taken away when the log is opened: that change never happened, and nobody was
//! told that it did.

mod error;
mod read;
mod upkeep;

use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use ringlog_io::{Files, Job};
use ringlog_storage::{
    Checkpointed, FlushJob, Known, LogConfig, LogDir, NewBatch, Origin, Partition, PartitionName, Startup, StorageError,
};
use ringlog_wire::Uuid;
use ringlog_wire::batch::{self, BatchBuilder, BatchError, Rules};
use ringlog_wire::compression::Scratch;
use ringlog_wire::records::metadata::MetadataRecord;

use super::controller::{Controller, Proposal, Start};
use super::image::{Image, METADATA_TOPIC as TOPIC};
use super::quorum::{self, QUORUM_STATE};
use super::replay::Replay;
use super::snapshots::{OnDisk, Snapshots};
use crate::settings::Settings;

pub(crate) use error::LogError;

/// The log, on shard 0.
pub(crate) struct MetadataLog {
    partition: Partition,
    epoch: i32,
    scratch: Scratch,
    /// Bytes that were read at the start, behind the newest snapshot, and written since.
    log_bytes: u64,
    /// It ended inside a metadata transaction when it was opened.
    ends_in_transaction: bool,
    snapshots: Snapshots,
    upkeep: upkeep::State,
}

/// The log, the controller, and the cluster after this start's records, which are on the disk.
pub(crate) struct Leading {
    pub(crate) log: MetadataLog,
    pub(crate) controller: Controller,
    pub(crate) image: Arc<Image>,
    /// The same, where it is on the disk.
    pub(crate) on_disk: Option<OnDisk>,
    /// The start's records could not be written, for want of room: the image is provisional until they are.
    pub(crate) beginning: Option<Beginning>,
}

/// What a start writes before anything is decided: who leads, and the brokers of this start.
pub(crate) struct Beginning {
    /// Puts this start's epoch into `quorum-state`: it comes first.
    pub(crate) vote: Job,
    node: i32,
    records: Vec<MetadataRecord>,
    pub(crate) image: Arc<Image>,
}

/// Opens the log, begins an epoch, and registers this start's shards. Waits for the disk.
pub(crate) fn lead(
    files: &Rc<dyn Files>,
    dir: &LogDir,
    settings: &Arc<Settings>,
    ports: &[u16],
    random: &mut dyn FnMut() -> u64,
    wall_ms: i64,
) -> Result<Leading, LogError> {
    let empty = Image::empty(dir.cluster_id(), settings.here());
    let (mut log, mut image) = MetadataLog::open(files, dir, settings, empty, wall_ms)?;
    let bootstrap = match log.end_offset() {
        0 => read::bootstrap(files.as_ref(), dir.path())?,
        _ => Vec::new(),
    };
    log.epoch = log.epoch.saturating_add(1);
    image.lead_in(log.epoch);
    let node = settings.node_id();
    let vote =
        Job::Replace { path: folder(dir).join(QUORUM_STATE), bytes: quorum::state(node, log.epoch).into_bytes() };
    let start = Start {
        settings: Arc::clone(settings),
        image,
        bootstrap,
        directory_id: dir.directory_id(),
        ports,
        // Behind the record that says who leads.
        end_offset: log.end_offset() + 1,
        unclean: dir.startup().is_unclean(),
        ends_in_transaction: log.ends_in_transaction,
    };
    let (mut controller, proposal) = Controller::start(start, random)?;
    let Proposal { records, image, .. } = proposal;
    let beginning = Beginning { vote, node, records, image: Arc::clone(&image) };
    match log.begin_now(&beginning, files.as_ref(), wall_ms) {
        Ok(()) => {
            controller.stand_on(Arc::clone(&image));
            let on_disk = Some(OnDisk { image: Arc::clone(&image), last_ms: wall_ms, log_bytes: log.log_bytes });
            Ok(Leading { log, controller, image, on_disk, beginning: None })
        }
        Err(error) if log.may_begin_later(&error) => {
            tracing::error!(%error, "log.dirs has no room for what a start writes: records are served and none is taken, until there is room");
            let image = Arc::new(image.as_ref().clone().provisional());
            Ok(Leading { log, controller, image, on_disk: None, beginning: Some(beginning) })
        }
        Err(error) => Err(error),
    }
}

/// The log's name among the partitions.
pub(crate) fn name() -> PartitionName {
    PartitionName { topic: TOPIC.to_owned(), partition: 0 }
}

fn known(startup: Startup, checkpointed: Checkpointed) -> Known {
    Known { topic_id: Uuid::METADATA_TOPIC, startup, checkpointed }
}

fn folder(dir: &LogDir) -> PathBuf {
    dir.partition_path(&name())
}

impl MetadataLog {
    /// Opens or makes the log, and gives the image that it describes.
    fn open(
        files: &Rc<dyn Files>,
        dir: &LogDir,
        settings: &Settings,
        empty: Image,
        wall_ms: i64,
    ) -> Result<(Self, Image), LogError> {
        let (path, config) = (folder(dir), config(settings));
        let log = |partition, epoch, snapshots, upkeep| Self {
            partition,
            epoch,
            scratch: Scratch::default(),
            log_bytes: 0,
            ends_in_transaction: false,
            snapshots,
            upkeep,
        };
        if !files.exists(&path) {
            let partition = Partition::create(files, &path, Uuid::METADATA_TOPIC, config, wall_ms)?;
            let snapshots = Snapshots::new(settings, path, Vec::new());
            return Ok((log(partition, 0, snapshots, upkeep::State::default()), empty));
        }
        let open = |checkpointed| {
            Partition::open_at(files, &path, config.clone(), known(dir.startup(), checkpointed), wall_ms)
        };
        let checkpointed = dir.checkpointed(&name());
        let (mut partition, report) = open(checkpointed)?;
        if !report.cuts.is_empty() {
            tracing::warn!(cuts = ?report.cuts, "the metadata log ended in a change that was not written whole");
        }
        let found = read::snapshots(files.as_ref(), &path, &empty)?;
        if found.end_offset > partition.end_offset() {
            // As KafkaRaftLog.truncateToLatestSnapshot: it stands for more than is left.
            tracing::warn!(
                log_end = partition.end_offset(),
                snapshot_end = found.end_offset,
                "the metadata log has lost its end, which the newest snapshot has: it begins anew behind that"
            );
            drop(partition);
            (partition, _) = open(Checkpointed { log_start_offset: found.end_offset, ..checkpointed })?;
        }
        let voted = read::voted_epoch(files.as_ref(), &path)?;
        let epoch = partition.latest_epoch().max(voted).max(found.epoch);
        let leftovers = read::leftovers(files.as_ref(), &path, partition.log_start_offset())?;
        let replay = Replay::new(found.image.unwrap_or(empty), found.end_offset);
        let (replay, log_bytes) = read::log(files.as_ref(), &partition, replay)?;
        let snapshots = Snapshots::new(settings, path, found.kept);
        let ends_in_transaction = replay.is_in_transaction();
        let log =
            Self { log_bytes, ends_in_transaction, ..log(partition, epoch, snapshots, upkeep::State::of(leftovers)) };
        Ok((log, replay.finish()))
    }

    /// Makes the log well where a failure that passes left it ailing: what was refused is cut off. An error says why it takes
    /// nothing now, and when it will.
    pub(crate) fn come_back(&mut self, wall_ms: i64) -> Result<(), String> {
        self.partition.append(&[], self.epoch, wall_ms);
        self.partition.offline_reason().map_or(Ok(()), |reason| Err(format!("the metadata log: {reason}")))
    }

    /// Begins this start's epoch, waiting for the disk.
    fn begin_now(&mut self, beginning: &Beginning, files: &dyn Files, wall_ms: i64) -> Result<(), LogError> {
        beginning.vote.perform(files)?;
        self.begin(beginning, wall_ms)?;
        self.sync(files)
    }

    /// Whether what a start writes failed for something that passes.
    fn may_begin_later(&self, error: &LogError) -> bool {
        match error {
            LogError::Io(error) => ringlog_io::is_full(error),
            LogError::Append(_) => {
                self.partition.offline_reason().is_some() && self.partition.final_failure().is_none()
            }
            _ => false,
        }
    }

    /// Appends what begins this start's epoch, which stands in `quorum-state` already: all of it, or nothing.
    pub(crate) fn begin(&mut self, beginning: &Beginning, wall_ms: i64) -> Result<i64, LogError> {
        let mut leads = BatchBuilder::new();
        quorum::append_leader_change(&mut leads, beginning.node, wall_ms);
        let mut builders = vec![leads];
        builders.extend(batch_of(&beginning.records, wall_ms)?);
        self.write(builders, wall_ms)?;
        Ok(self.end_offset())
    }

    /// Takes nothing any more before the next start: the directory failed.
    pub(crate) fn fail(&mut self, reason: &str) {
        self.partition.fail(reason);
    }

    /// Why nothing is taken before the next start, where that is so.
    pub(crate) fn final_failure(&self) -> Option<&str> {
        self.partition.final_failure()
    }

    /// Appends a change as one batch; gives the offset after it. It counts once [`MetadataLog::flushed_offset`] has
    /// reached that. After an error nothing of it is in the log.
    pub(crate) fn append(&mut self, records: &[MetadataRecord], wall_ms: i64) -> Result<i64, LogError> {
        let builders: Vec<BatchBuilder> = batch_of(records, wall_ms)?.into_iter().collect();
        self.write(builders, wall_ms)?;
        Ok(self.end_offset())
    }

    /// Appends batches in one write.
    fn write(&mut self, mut builders: Vec<BatchBuilder>, wall_ms: i64) -> Result<(), LogError> {
        let mut checked = Vec::with_capacity(builders.len());
        for builder in &mut builders {
            let bytes = builder.finish(&mut self.scratch).map_err(BatchError::Compression)?;
            checked.push((batch::validate(bytes, &rules(), wall_ms, &mut Scratch::default())?, bytes));
        }
        let batches: Vec<NewBatch<'_>> = checked
            .iter()
            .map(|(validated, bytes)| NewBatch { validated, bytes, origin: Origin::Coordinator })
            .collect();
        let len: usize = batches.iter().map(|batch| batch.bytes.len()).sum();
        self.partition.append(&batches, self.epoch, wall_ms).into_iter().try_for_each(|result| result.map(drop))?;
        self.log_bytes += len as u64;
        Ok(())
    }

    /// Waits until everything is on the disk. At a start only: shards do not wait.
    fn sync(&mut self, files: &dyn Files) -> Result<(), LogError> {
        while let Some(job) = self.partition.flush_begin() {
            let result = files.sync(&job.file);
            let failed = result.as_ref().err().map(|error| io::Error::new(error.kind(), error.to_string()));
            self.partition.flush_done(job, result);
            if let Some(error) = failed {
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// The next file to sync, where something is not on the disk yet and no job is under way.
    pub(crate) fn flush_begin(&mut self) -> Option<FlushJob> {
        self.partition.flush_begin()
    }

    /// Takes a job's verdict. An error is final: the kernel may have dropped what was to be written, and a second try
    /// would not say so.
    pub(crate) fn flush_done(&mut self, job: FlushJob, result: io::Result<()>) {
        self.partition.flush_done(job, result);
    }

    /// Everything below is on the disk.
    pub(crate) fn flushed_offset(&self) -> i64 {
        self.partition.flushed_offset()
    }

    /// Bytes that were read at the start, behind the newest snapshot, and written since.
    pub(crate) fn log_bytes(&self) -> u64 {
        self.log_bytes
    }

    /// The offset that the next record gets.
    pub(crate) fn end_offset(&self) -> i64 {
        self.partition.end_offset()
    }

    #[cfg(test)]
    /// This start's epoch.
    pub(crate) fn epoch(&self) -> i32 {
        self.epoch
    }

    /// Flushes and closes; what the checkpoints should say.
    pub(crate) fn close(mut self) -> Result<Checkpointed, StorageError> {
        self.partition.close_clean()
    }
}

/// Records as one batch; none where there are no records.
fn batch_of(records: &[MetadataRecord], wall_ms: i64) -> Result<Option<BatchBuilder>, LogError> {
    if records.is_empty() {
        return Ok(None);
    }
    let mut builder = BatchBuilder::new();
    for record in records {
        builder.append(wall_ms, None, Some(&record.encode_value(record.version_max())?), &[]);
    }
    Ok(Some(builder))
}

/// A change is synced before its answer. What goes is what a snapshot stands for, nothing by itself.
fn config(settings: &Settings) -> LogConfig {
    LogConfig {
        flush_messages: 1,
        segment_bytes: settings.metadata_log_segment_bytes(),
        segment_ms: settings.metadata_log_segment_ms(),
        delete: false,
        ..LogConfig::default()
    }
}

fn rules() -> Rules {
    Rules {
        origin: Origin::Coordinator,
        batch_len_max: usize::MAX,
        timestamp_after_max_ms: i64::MAX,
        ..Rules::default()
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
