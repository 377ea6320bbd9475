//! A partition: the public face of a folder of segments.
//!
//! ```text
//!   log_start        stable   visible      end
//!      |  sealed | sealed |     active        |
//!      '---- flushed -----------'
//! ```

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::rc::Rc;

use ringlog_io::Files;

use crate::aborted::Aborted;
use crate::append::Pending;
use crate::beside::Beside;
use crate::cleaner::Cleaner;
use crate::cold::{Lookups, SealedAborted};
use crate::epochs::Epochs;
use crate::flush::Flush;
use crate::folder::Folder;
use crate::health::Failure;
use crate::names::{Kind, LEADER_EPOCHS, NEXT_SEGMENT, PARTITION_METADATA, file_name};
use crate::producers::Producers;
use crate::retention::Retired;
use crate::sealed_files::Holder;
use crate::segment::{Active, Sealed, View, open_sealed};
use crate::upkeep::NextSegment;
use crate::writeback::Unwritten;
use crate::{ActiveProducer, Checkpointed, EpochEnd, LogConfig, Offsets, StorageError, checkpoint};
use ringlog_wire::Uuid;

/// Batches at the end whose place is remembered, so that a reader at the tail is answered without a call.
pub(crate) const RECENT_MAX: usize = 32;

/// A place in the log: an offset, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) offset: i64,
    pub(crate) base_offset: i64,
    pub(crate) position: u64,
}

/// A batch near the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recent {
    pub(crate) last_offset: i64,
    pub(crate) position: u64,
    pub(crate) len: usize,
}

/// What the last snapshot covers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshotted {
    pub(crate) offset: i64,
    pub(crate) log_bytes: u64,
}

/// One partition's log, owned by one shard.
pub struct Partition {
    pub(crate) folder: Folder,
    pub(crate) config: LogConfig,
    pub(crate) topic_id: Uuid,
    pub(crate) holder: Holder,
    pub(crate) sealed: Vec<Sealed>,
    pub(crate) active: Active,
    pub(crate) next_segment: NextSegment,
    pub(crate) beside: Beside,
    pub(crate) log_start_offset: i64,
    /// What retention took out of the log.
    pub(crate) retired: Retired,
    /// How far it is compacted.
    pub(crate) cleaner: Cleaner,
    /// When it was opened or made.
    pub(crate) opened_ms: i64,
    pub(crate) end_offset: i64,
    /// What readers have been shown: it never goes back, whatever becomes of the settings.
    pub(crate) visible: Spot,
    pub(crate) epochs: Epochs,
    pub(crate) producers: Producers,
    /// Aborted transactions whose marker lies in the active segment.
    pub(crate) aborted: Vec<Aborted>,
    /// Those of sealed segments that were read last.
    pub(crate) sealed_aborted: SealedAborted,
    /// The largest timestamps of sealed segments that were asked for, by base offset.
    pub(crate) largest_ms: RefCell<BTreeMap<i64, i64>>,
    pub(crate) flush: Flush,
    pub(crate) unwritten: Unwritten,
    pub(crate) failure: Option<Failure>,
    /// When it came back from a failure the last time.
    pub(crate) back_at_ms: i64,
    /// It went offline, and no write has gone well since.
    pub(crate) is_ailing: bool,
    pub(crate) recent: VecDeque<Recent>,
    pub(crate) lookups: Lookups,
    pub(crate) pending: Vec<Pending>,
    pub(crate) snapshotted: Snapshotted,
    pub(crate) appended_bytes: u64,
    pub(crate) expired_ms: i64,
    /// When the log's last page was in the page cache for certain, or was asked for.
    pub(crate) tail_known_ms: i64,
}

impl Partition {
    /// Makes the folder of a new partition with its first, empty segment. A folder with a segment in it is an error.
    pub fn create(
        files: &Rc<dyn Files>,
        dir: &Path,
        topic_id: Uuid,
        config: LogConfig,
        wall_ms: i64,
    ) -> Result<Self, StorageError> {
        let folder = Folder::new(files, dir);
        files.create_dir_all(dir).map_err(StorageError::io("make", dir))?;
        let active = Active::create(&folder, 0, &config, wall_ms)?;
        folder.write(PARTITION_METADATA, &checkpoint::encode_partition_metadata(topic_id))?;
        folder.write(LEADER_EPOCHS, &Epochs::default().encode())?;
        let mut partition = Self::assemble(folder, config, topic_id, Vec::new(), active, wall_ms);
        partition.flush.wrote_small(LEADER_EPOCHS);
        partition.flush.wrote_small(PARTITION_METADATA);
        if partition.config.flushes() {
            partition.sync_parent()?;
            partition.flush.entered();
        }
        Ok(partition)
    }

    /// A partition of segments that are in order, with nothing known of producers and epochs yet.
    pub(crate) fn assemble(
        folder: Folder,
        config: LogConfig,
        topic_id: Uuid,
        sealed: Vec<Sealed>,
        active: Active,
        wall_ms: i64,
    ) -> Self {
        let first_offset = sealed.first().map_or(active.base_offset, |segment| segment.base_offset);
        let end = Spot { offset: active.base_offset, base_offset: active.base_offset, position: active.size };
        Self {
            folder,
            config,
            topic_id,
            holder: Holder::new(),
            sealed,
            next_segment: NextSegment::None,
            beside: Beside::Nothing,
            log_start_offset: first_offset,
            retired: Retired::default(),
            cleaner: Cleaner::default(),
            opened_ms: wall_ms,
            end_offset: active.base_offset,
            visible: Spot { offset: first_offset, base_offset: first_offset, position: 0 },
            active,
            epochs: Epochs::default(),
            producers: Producers::default(),
            aborted: Vec::new(),
            sealed_aborted: SealedAborted::default(),
            largest_ms: RefCell::default(),
            flush: Flush::at(end),
            unwritten: Unwritten::from(end.position),
            failure: None,
            back_at_ms: i64::MIN,
            is_ailing: false,
            recent: VecDeque::new(),
            lookups: Lookups::default(),
            pending: Vec::new(),
            snapshotted: Snapshotted { offset: -1, log_bytes: 0 },
            appended_bytes: 0,
            expired_ms: wall_ms,
            tail_known_ms: i64::MIN,
        }
    }

    pub(crate) fn sync_parent(&self) -> Result<(), StorageError> {
        let Some(parent) = self.folder.dir.parent() else { return Ok(()) };
        self.folder.files.sync_dir(parent).map_err(StorageError::sync(parent))
    }

    /// The first offset there is.
    #[must_use]
    pub fn log_start_offset(&self) -> i64 {
        self.log_start_offset
    }

    /// Readers see what is below, and acknowledgements leave for it. It follows the end offset, or what is flushed under
    /// `flush.messages=1`, and never goes back.
    #[must_use]
    pub fn high_watermark(&self) -> i64 {
        self.visible.offset
    }

    /// Shows readers what they may see by now.
    pub(crate) fn show(&mut self) {
        let reached = if self.config.acknowledges_flushed() { self.flush.flushed() } else { self.end_spot() };
        if reached.offset > self.visible.offset {
            self.visible = reached;
            self.producers.visible_below(reached.offset);
        }
        self.offsets().check();
    }

    /// All offsets at once.
    #[must_use]
    pub fn offsets(&self) -> Offsets {
        Offsets {
            log_start: self.log_start_offset,
            stable: self.last_stable_offset(),
            visible: self.visible.offset,
            flushed: self.flushed_offset(),
            end: self.end_offset,
        }
    }

    pub(crate) fn end_spot(&self) -> Spot {
        Spot { offset: self.end_offset, base_offset: self.active.base_offset, position: self.active.size }
    }

    /// The offset that the next record will get.
    #[must_use]
    pub fn end_offset(&self) -> i64 {
        self.end_offset
    }

    /// Readers of committed data see nothing at or above: the first open transaction, or the high watermark.
    #[must_use]
    pub fn last_stable_offset(&self) -> i64 {
        let high_watermark = self.high_watermark();
        #[cfg(feature = "plant")]
        if ringlog_io::plant::is(ringlog_io::plant::STABLE_PAST_OPEN) {
            return high_watermark;
        }
        let first = self.producers.first_unstable(high_watermark).unwrap_or(high_watermark);
        // A transaction may have begun below what was deleted.
        first.min(high_watermark).max(self.log_start_offset)
    }

    /// Everything below is on the disk.
    #[must_use]
    pub fn flushed_offset(&self) -> i64 {
        self.flush.flushed().offset
    }

    /// The topic's id as partition.metadata has it; zero where the file is missing.
    #[must_use]
    pub fn topic_id(&self) -> Uuid {
        self.topic_id
    }

    /// Who produced here with sequences and was not silent for too long, by id.
    pub fn active_producers(&self) -> impl Iterator<Item = ActiveProducer> {
        self.producers.iter().map(|(producer_id, producer)| ActiveProducer {
            producer_id,
            producer_epoch: producer.epoch,
            last_sequence: producer.last_sequence(),
            last_timestamp_ms: producer.last_timestamp_ms,
            coordinator_epoch: producer.coordinator_epoch,
            transaction_from: producer.transaction_from,
        })
    }

    /// Whether the producer has a transaction open here, begun with this epoch.
    #[must_use]
    pub fn is_in_transaction(&self, producer_id: i64, producer_epoch: i16) -> bool {
        self.producers.is_in_transaction(producer_id, producer_epoch)
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.sealed.iter().map(|segment| segment.size).sum::<u64>() + self.active.size
    }

    /// How many segments there are.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.sealed.len() + 1
    }

    /// Where `epoch` ends (OffsetForLeaderEpoch).
    #[must_use]
    pub fn end_offset_for_epoch(&self, epoch: i32) -> EpochEnd {
        self.epochs.end_offset_for(epoch, self.end_offset)
    }

    /// The epoch of the last batch, -1 for an empty log.
    #[must_use]
    pub fn latest_epoch(&self) -> i32 {
        self.epochs.latest()
    }

    /// The settings in force.
    #[must_use]
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Takes changed topic settings; they hold from the next append on. What readers were shown stays visible; where
    /// acknowledgements do not wait for flushes any more, everything is.
    pub fn set_config(&mut self, config: LogConfig) {
        self.active.index.set_interval(config.index_interval_bytes);
        self.config = config;
        self.show();
    }

    /// The segment that holds `offset`, or the last one before it.
    pub(crate) fn view(&self, offset: i64) -> Result<View<'_>, StorageError> {
        match self.sealed_with(offset) {
            Some(sealed) => self.view_sealed(sealed),
            None => Ok(View::Active(&self.active)),
        }
    }

    /// The sealed segment that holds `offset`, or the last one before it; `None` where the active one does.
    pub(crate) fn sealed_with(&self, offset: i64) -> Option<Sealed> {
        if offset >= self.active.base_offset {
            return None;
        }
        let i = self.sealed.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1);
        self.sealed.get(i).copied()
    }

    pub(crate) fn view_sealed(&self, sealed: Sealed) -> Result<View<'_>, StorageError> {
        let open = open_sealed(&self.folder, self.holder, sealed, self.config.index_interval_bytes)?;
        Ok(View::Sealed(open, sealed.size))
    }

    /// Base offset of the segment after the one that begins at `base_offset`; `None` for the active one.
    pub(crate) fn next_base_offset(&self, base_offset: i64) -> Option<i64> {
        let after = self.sealed.partition_point(|segment| segment.base_offset <= base_offset);
        match self.sealed.get(after) {
            Some(segment) => Some(segment.base_offset),
            None => (base_offset < self.active.base_offset).then_some(self.active.base_offset),
        }
    }

    /// What the log directory's checkpoints should say of this log.
    #[must_use]
    pub fn checkpointed(&self) -> Checkpointed {
        Checkpointed {
            topic_id: self.topic_id,
            recovery_point: self.flushed_offset(),
            log_start_offset: self.log_start_offset,
            cleaned_offset: self.cleaner.cleaned_offset,
        }
    }

    /// Flushes everything, waiting for the disk, and writes what a clean start trusts. Nothing is to be done where the last
    /// run stopped in order and nothing was written since.
    pub fn close_clean(&mut self) -> Result<Checkpointed, StorageError> {
        self.close_begin()?;
        self.close_end()
    }

    /// The first half of [`Partition::close_clean`], which waits for no disk: where many partitions are closed, all of them
    /// do this first, so that the disk writes what they left in one go.
    pub fn close_begin(&mut self) -> Result<(), StorageError> {
        self.check_online()?;
        if self.folder.is_changed() {
            self.active.index.seal();
            self.active.save_indexes(&self.folder)?;
            self.write_snapshot()?;
            self.release_room()?;
        }
        Ok(())
    }

    /// The second half of [`Partition::close_clean`].
    pub fn close_end(&mut self) -> Result<Checkpointed, StorageError> {
        self.check_online()?;
        if !self.folder.is_changed() {
            return Ok(self.checkpointed());
        }
        self.flush_waiting()?;
        let base_offset = self.active.base_offset;
        self.sync_beside(&[
            file_name(base_offset, Kind::Index),
            file_name(base_offset, Kind::TimeIndex),
            file_name(base_offset, Kind::TxnIndex),
            file_name(self.end_offset, Kind::Snapshot),
        ])?;
        self.forget_begun();
        Ok(self.checkpointed())
    }

    /// Whether closing has something to write.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.folder.is_changed()
    }

    /// Gives back blocks that were allocated ahead.
    fn release_room(&mut self) -> Result<(), StorageError> {
        if self.next_segment.take().is_some() {
            self.folder.remove(NEXT_SEGMENT)?;
        }
        self.cut_to_size()
    }

    /// Gives back the active segment's blocks beyond its end, those too that were allocated before a kill.
    pub(crate) fn cut_to_size(&self) -> Result<(), StorageError> {
        let path = self.folder.path(&file_name(self.active.base_offset, Kind::Log));
        self.folder.files.truncate(&self.active.file, self.active.size).map_err(StorageError::io("cut", &path))
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        self.holder.forget();
    }
}
