//! Opening a partition: what is trusted, what is checked, what is cut.
//!
//! | startup  | log                                                        | indexes of the last segment |
//! |----------|------------------------------------------------------------|-----------------------------|
//! | Clean    | headers after the last index entry                          | trusted if they fit         |
//! | SameBoot | every byte after the last index entry of the last segment   | trusted if they fit         |
//! | NewBoot  | every byte from the recovery point on                       | made again                  |
//!
//! Where a flush had failed, or may have (`suspect.rs`), what it should have covered is written again, and checked as for
//! NewBoot.
//!
//! The first batch that is not whole ends the log: it and everything after it is cut off, segments that follow are
//! removed, and both are durable before the first append, lest a later power cut brings the old bytes back between new
//! ones. Producers come from the newest snapshot that is not younger than what is trusted, and the headers after it.

use std::path::Path;
use std::rc::Rc;

use ringlog_io::{File, Files, OpenMode};

use crate::claim::{check_claim, read_topic_id};
use crate::flush::Flush;
use crate::folder::Folder;
use crate::index::{IndexBuilder, NO_TIMESTAMP, OffsetIndex, TimeIndex};
use crate::listing::Listing;
use crate::names::{Kind, LEADER_EPOCHS, PARTITION_METADATA, file_name};
use crate::partition::Spot;
use crate::retention::Retired;
use crate::segment::{Active, Saved, Sealed, build_index, log_error, replace_indexes};
use crate::walk::{Check, Step, Walk};
use crate::writeback::Unwritten;
use crate::{
    Checkpointed, Cut, Known, LogConfig, Partition, RecoveryReport, Startup, StorageError, checkpoint, suspect,
};
use ringlog_wire::Uuid;

/// Who opens a folder, and what it knows of the flushes before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opener {
    /// A start of the broker: what the notes of the run before say.
    Start,
    /// The run that closed it: it heard how each of its flushes ended, or will.
    SameRun,
}

impl Partition {
    /// Opens a folder without knowledge of checkpoints: as [`Partition::open_at`] with both offsets 0.
    pub fn open(
        files: &Rc<dyn Files>,
        dir: &Path,
        config: LogConfig,
        how: Startup,
        wall_ms: i64,
    ) -> Result<(Self, RecoveryReport), StorageError> {
        let known = Known { topic_id: Uuid::ZERO, startup: how, checkpointed: Checkpointed::default() };
        Self::open_at(files, dir, config, known, wall_ms)
    }

    /// Opens a folder, ours or Kafka's, and checks as much as is asked for. A folder of another topic is refused.
    pub fn open_at(
        files: &Rc<dyn Files>,
        dir: &Path,
        config: LogConfig,
        known: Known,
        wall_ms: i64,
    ) -> Result<(Self, RecoveryReport), StorageError> {
        let folder = Folder::new(files, dir);
        let found = check_claim(&folder, known.topic_id)?;
        let topic_id = if found.is_zero() { known.topic_id } else { found };
        let known = Known { topic_id, checkpointed: known.checkpointed.of_topic(topic_id), ..known };
        let opened =
            Self::open_claimed(folder.clone(), config, known, Opener::Start, wall_ms).map(|(mut partition, report)| {
                partition.show();
                (partition, report)
            });
        if let Err(error) = &opened
            && error.is_final()
        {
            suspect::leave_note(&folder, known.checkpointed.recovery_point);
        }
        opened
    }

    /// Opens a folder that is this topic's. Readers are shown nothing yet.
    pub(crate) fn open_claimed(
        folder: Folder,
        config: LogConfig,
        known: Known,
        opener: Opener,
        wall_ms: i64,
    ) -> Result<(Self, RecoveryReport), StorageError> {
        let Known { topic_id, startup: mut how, mut checkpointed } = known;
        let mut listing = Listing::read(&folder)?;
        let retired = Retired::found(&mut listing, checkpointed.log_start_offset);
        let in_doubt_from = match opener {
            Opener::Start => listing.notes.in_doubt_from(how, checkpointed.recovery_point),
            Opener::SameRun => None,
        };
        if let Some(flushed_offset) = in_doubt_from {
            suspect::write_again(&folder, &listing, flushed_offset)?;
            (how, checkpointed.recovery_point) = (Startup::NewBoot, flushed_offset);
        }
        let report = RecoveryReport { segments: listing.logs.len(), ..RecoveryReport::default() };
        let txn_indexes = &listing.txn_indexes;
        let mut recovery = Recovery { folder: &folder, config: &config, how, txn_indexes, wall_ms, report };
        let checked = recovery.check_log(&listing.logs, checkpointed)?;
        let mut report = recovery.report;

        let Checked { sealed, active, end_offset, first_checked } = checked;
        let mut partition = Self::assemble(folder, config, topic_id, sealed, active, wall_ms);
        partition.retired = retired;
        partition.end_offset = end_offset;
        partition.log_start_offset = partition.log_start_offset.max(checkpointed.log_start_offset.min(end_offset));
        partition.cleaner.cleaned_offset = checkpointed.cleaned_offset.min(end_offset);
        report.producers_replayed_from = partition.restore(&listing.snapshots, first_checked, wall_ms)?;
        partition.name_topic()?;
        partition.settle(how, checkpointed, in_doubt_from.is_some())?;
        partition.log_report(&report);
        Ok((partition, report))
    }

    /// A folder that names no topic (Kafka's before 2.8, or one whose file a power cut took) is from now on this topic's.
    fn name_topic(&self) -> Result<(), StorageError> {
        if self.topic_id.is_zero() || !read_topic_id(&self.folder)?.is_zero() {
            return Ok(());
        }
        self.folder.write(PARTITION_METADATA, &checkpoint::encode_partition_metadata(self.topic_id))
    }

    /// What is on the disk: everything after a clean stop, otherwise what the checkpoint says. A partition that
    /// acknowledges flushed records only shows nothing that is not flushed: it is flushed here. So is one of
    /// whose last run's flushes not all are known to have ended well.
    fn settle(&mut self, how: Startup, checkpointed: Checkpointed, suspect: bool) -> Result<(), StorageError> {
        let end = self.end_spot();
        let flushed = match how {
            Startup::Clean => end,
            _ => self.place_before(checkpointed.recovery_point.min(end.offset)),
        };
        self.flush = Flush::at(flushed);
        // What an earlier run left in memory is the kernel's.
        self.unwritten = Unwritten::from(end.position);
        if how == Startup::Clean && !self.folder.is_changed() {
            self.flush.closed_clean();
        } else {
            self.folder.changed();
            [LEADER_EPOCHS, PARTITION_METADATA].iter().for_each(|name| self.flush.wrote_small(name));
            for segment in self.sealed.iter().filter(|segment| segment.base_offset >= flushed.base_offset) {
                self.flush.wrote_small(&file_name(segment.base_offset, Kind::TxnIndex));
                self.flush.wrote_small(&file_name(segment.base_offset, Kind::Snapshot));
            }
            self.flush.wrote_small(&file_name(self.active.base_offset, Kind::Snapshot));
        }
        if suspect || self.config.acknowledges_flushed() {
            self.flush_waiting()?;
        }
        if suspect {
            suspect::forget(&self.folder)?;
            self.flush.forgot_begun();
        }
        Ok(())
    }

    /// The beginning of the segment that holds the last offset below `recovery_point`. What belongs to that segment
    /// beside its log may not be on the disk: it may have been the active one when the recovery point was noted.
    fn place_before(&self, recovery_point: i64) -> Spot {
        let bases = self.sealed.iter().map(|segment| segment.base_offset).chain([self.active.base_offset]);
        let base_offset = bases.take_while(|base| *base < recovery_point).last().unwrap_or(self.first_offset());
        Spot { offset: base_offset, base_offset, position: 0 }
    }

    fn first_offset(&self) -> i64 {
        self.sealed.first().map_or(self.active.base_offset, |segment| segment.base_offset)
    }

    fn log_report(&self, report: &RecoveryReport) {
        let dir = self.folder.dir.display();
        for cut in &report.cuts {
            tracing::warn!(%dir, file = cut.file, position = cut.position, bytes = cut.bytes, reason = cut.reason, "cut");
        }
        for name in &report.rebuilt_indexes {
            tracing::warn!(%dir, file = name, "made again from its log");
        }
    }
}

/// The segments as they are after the check.
struct Checked {
    sealed: Vec<Sealed>,
    active: Active,
    end_offset: i64,
    /// Base offset of the first segment whose log was read whole: producers and aborted transactions from there on are
    /// read again.
    first_checked: Option<i64>,
}

/// One segment's check.
struct Outcome {
    index: IndexBuilder,
    /// How much of the index is in its files; `None` where the files do not fit.
    saved: Option<Saved>,
    file: File,
    size: u64,
    next_offset: i64,
    /// Something was cut: nothing after it belongs to the log.
    cut: bool,
}

struct Recovery<'a> {
    folder: &'a Folder,
    config: &'a LogConfig,
    how: Startup,
    /// Segments that have a file of aborted transactions.
    txn_indexes: &'a [i64],
    wall_ms: i64,
    report: RecoveryReport,
}

impl Recovery<'_> {
    /// A log that ends below its start has lost what was not deleted, and the offsets between are not given again
    /// (`LogLoader.recoverLog`): it begins anew, at its start.
    fn check_log(&mut self, bases: &[i64], checkpointed: Checkpointed) -> Result<Checked, StorageError> {
        let checked = self.check_segments(bases, checkpointed)?;
        let start = checkpointed.log_start_offset;
        if checked.end_offset >= start {
            return Ok(checked);
        }
        let bases: Vec<i64> = checked.sealed.iter().map(|segment| segment.base_offset).collect();
        let bases = [bases, vec![checked.active.base_offset]].concat();
        self.remove_segments(&bases, &format!("the log ends at {}, below its start, {start}", checked.end_offset))?;
        self.begin_anew(checkpointed)
    }

    fn check_segments(&mut self, bases: &[i64], checkpointed: Checkpointed) -> Result<Checked, StorageError> {
        let recovery_point = if self.how == Startup::NewBoot { checkpointed.recovery_point } else { i64::MAX };
        let begin_below = bases.partition_point(|base| *base < recovery_point);
        let (trusted, untrusted) = bases.split_at(begin_below.saturating_sub(1));
        let mut sealed = trusted.iter().map(|base| self.trust(*base)).collect::<Result<Vec<_>, _>>()?;
        let Some((&first, rest)) = untrusted.split_first() else { return self.begin_anew(checkpointed) };

        let (mut base_offset, mut outcome) = (first, self.check_segment(first, recovery_point)?);
        for (i, &next_base) in rest.iter().enumerate() {
            // A cleaner, Kafka's too, takes the last offsets of a segment: of what is on the disk. Behind it a gap is a loss.
            let may_have_gaps = self.config.compact && next_base <= recovery_point.max(checkpointed.cleaned_offset);
            if outcome.cut || (outcome.next_offset != next_base && !may_have_gaps) {
                let reason = format!("the segment before it, {base_offset}, does not reach it");
                self.remove_segments(&rest[i..], &reason)?;
                break;
            }
            sealed.push(self.seal(base_offset, outcome)?);
            (base_offset, outcome) = (next_base, self.check_segment(next_base, recovery_point)?);
        }
        let end_offset = outcome.next_offset;
        let active = self.activate(base_offset, outcome)?;
        let first_checked = (self.how == Startup::NewBoot).then_some(first);
        Ok(Checked { sealed, active, end_offset, first_checked })
    }

    fn trust(&self, base_offset: i64) -> Result<Sealed, StorageError> {
        let (_, size) = self.folder.open_log(base_offset, OpenMode::Read)?;
        Ok(self.sealed(base_offset, size))
    }

    fn sealed(&self, base_offset: i64, size: u64) -> Sealed {
        Sealed { base_offset, size, has_aborted: self.txn_indexes.contains(&base_offset) }
    }

    /// A folder without segments: a create that was killed early, or names that never reached the disk.
    fn begin_anew(&mut self, checkpointed: Checkpointed) -> Result<Checked, StorageError> {
        let base_offset = checkpointed.log_start_offset;
        let active = Active::create(self.folder, base_offset, self.config, self.wall_ms)?;
        Ok(Checked { sealed: Vec::new(), active, end_offset: base_offset, first_checked: None })
    }

    fn remove_segments(&mut self, bases: &[i64], reason: &str) -> Result<(), StorageError> {
        for &base_offset in bases {
            let name = file_name(base_offset, Kind::Log);
            let (_, bytes) = self.folder.open_log(base_offset, OpenMode::Read)?;
            for kind in [Kind::Log, Kind::Index, Kind::TimeIndex, Kind::TxnIndex] {
                self.folder.remove(&file_name(base_offset, kind))?;
            }
            self.report.cuts.push(Cut { file: name, position: 0, bytes, reason: reason.to_owned() });
        }
        self.folder.sync_dir()
    }

    fn check_segment(&mut self, base_offset: i64, recovery_point: i64) -> Result<Outcome, StorageError> {
        let (file, size) = self.folder.open_log(base_offset, OpenMode::Write)?;
        let kept = if self.how == Startup::NewBoot { None } else { self.kept_index(base_offset, &file, size)? };
        let saved = kept.as_ref().map(Saved::of);
        let index = kept.unwrap_or_else(|| IndexBuilder::new(base_offset, self.config.index_interval_bytes));
        let start = index.offsets().last().map_or(0, |entry| entry.position);

        let walk = Walk::new(&*self.folder.files, &file, start, size, base_offset);
        let mut outcome = Outcome { index, saved, file: file.clone(), size, next_offset: base_offset, cut: false };
        let bad = self.walk(walk, &mut outcome, base_offset, recovery_point)?;
        if let Some(reason) = bad {
            self.cut(base_offset, &mut outcome, size, reason)?;
        }
        let beyond = outcome.index.times().last().is_some_and(|entry| entry.last_offset >= outcome.next_offset);
        if beyond {
            let sealed = self.sealed(base_offset, outcome.size);
            outcome.index = build_index(self.folder, &file, sealed, self.config.index_interval_bytes)?;
            outcome.saved = None;
        }
        if outcome.saved.is_none() {
            outcome.saved = Some(match self.replace_indexes(base_offset, &mut outcome.index) {
                Ok(()) => Saved::of(&outcome.index),
                Err(error) if error.is_full() => self.keep_in_memory(base_offset, &error)?,
                Err(error) => return Err(error),
            });
        }
        Ok(outcome)
    }

    /// Goes through the batches, and gives the reason where one is bad.
    fn walk(
        &mut self,
        mut walk: Walk<'_>,
        outcome: &mut Outcome,
        base_offset: i64,
        recovery_point: i64,
    ) -> Result<Option<String>, StorageError> {
        loop {
            let check = self.check_at(walk.next_offset(), recovery_point);
            let step = walk.step(check).map_err(log_error(self.folder, base_offset))?;
            (outcome.size, outcome.next_offset) = (walk.position(), walk.next_offset());
            match step {
                Step::End => return Ok(None),
                Step::Bad { reason } => return Ok(Some(reason)),
                Step::Batch(header, position) => {
                    outcome.index.add(position, header.last_offset(), header.max_timestamp);
                    if check == Check::Crc {
                        self.report.checked_bytes += header.total_len() as u64;
                    }
                }
            }
        }
    }

    fn check_at(&self, offset: i64, recovery_point: i64) -> Check {
        match self.how {
            Startup::Clean => Check::Headers,
            Startup::NewBoot if offset < recovery_point => Check::Headers,
            Startup::SameBoot | Startup::NewBoot => Check::Crc,
        }
    }

    /// The index files, where they fit the log as far as they go.
    fn kept_index(&self, base_offset: i64, file: &File, size: u64) -> Result<Option<IndexBuilder>, StorageError> {
        let offsets = self.folder.read(&file_name(base_offset, Kind::Index))?;
        let times = self.folder.read(&file_name(base_offset, Kind::TimeIndex))?;
        let (Some(offsets), Some(times)) = (offsets, times) else { return Ok(None) };
        let fits = OffsetIndex::new(&offsets, base_offset).check(size).is_ok()
            && TimeIndex::new(&times, base_offset).check().is_ok();
        if !fits {
            return Ok(None);
        }
        let index = IndexBuilder::resume(base_offset, self.config.index_interval_bytes, offsets, times);
        let Some(last) = index.offsets().last() else { return Ok(Some(index)) };
        let mut walk = Walk::new(&*self.folder.files, file, last.position, size, base_offset);
        match walk.step(Check::Headers).map_err(log_error(self.folder, base_offset))? {
            Step::Batch(header, _) => {
                let fits = header.last_offset() == last.last_offset
                    && header.max_timestamp <= index.largest().timestamp_ms.max(NO_TIMESTAMP);
                Ok(fits.then_some(index))
            }
            Step::End | Step::Bad { .. } => Ok(None),
        }
    }

    fn cut(
        &mut self,
        base_offset: i64,
        outcome: &mut Outcome,
        old_size: u64,
        reason: String,
    ) -> Result<(), StorageError> {
        self.folder.changed();
        let (name, position) = (file_name(base_offset, Kind::Log), outcome.size);
        let path = self.folder.path(&name);
        let cut = self.folder.files.truncate(&outcome.file, position);
        cut.map_err(StorageError::io("cut", &path))?;
        self.folder.files.sync(&outcome.file).map_err(StorageError::sync(&path))?;
        self.report.cuts.push(Cut { file: name, position, bytes: old_size - position, reason });
        outcome.cut = true;
        Ok(())
    }

    /// Writes index files that were made from the log, where they are not there already. A file that was sealed by a
    /// clean stop has one timestamp more.
    fn replace_indexes(&mut self, base_offset: i64, index: &mut IndexBuilder) -> Result<(), StorageError> {
        let times = self.folder.read(&file_name(base_offset, Kind::TimeIndex))?;
        if times.as_deref().is_some_and(|times| times.len() > index.time_bytes().len()) {
            index.seal();
        }
        for (kind, bytes) in [(Kind::Index, index.offset_bytes()), (Kind::TimeIndex, index.time_bytes())] {
            let name = file_name(base_offset, kind);
            if self.folder.read(&name)?.as_deref() != Some(bytes) {
                self.folder.write(&name, bytes)?;
                self.report.rebuilt_indexes.push(name);
            }
        }
        Ok(())
    }

    /// There is no room for the index files: what is there of them goes, and they are written when there is.
    fn keep_in_memory(&self, base_offset: i64, error: &StorageError) -> Result<Saved, StorageError> {
        tracing::warn!(dir = %self.folder.dir.display(), %error, "index entries are kept in memory for now");
        for kind in [Kind::Index, Kind::TimeIndex] {
            self.folder.remove(&file_name(base_offset, kind))?;
        }
        Ok(Saved::default())
    }

    /// A checked segment that is not the last one.
    fn seal(&mut self, base_offset: i64, mut outcome: Outcome) -> Result<Sealed, StorageError> {
        outcome.index.seal();
        replace_indexes(self.folder, base_offset, &outcome.index)?;
        Ok(self.sealed(base_offset, outcome.size))
    }

    /// The last segment, ready for appends.
    fn activate(&mut self, base_offset: i64, outcome: Outcome) -> Result<Active, StorageError> {
        let Outcome { index, saved, file, size, .. } = outcome;
        let mut first = Walk::new(&*self.folder.files, &file, 0, size, base_offset);
        let first_timestamp_ms = match first.step(Check::Headers).map_err(log_error(self.folder, base_offset))? {
            Step::Batch(header, _) => Some(header.max_timestamp),
            Step::End | Step::Bad { .. } => None,
        };
        let mut active = Active::new(base_offset, file, size, index, saved.unwrap_or_default(), self.wall_ms);
        active.first_timestamp_ms = first_timestamp_ms;
        Ok(active)
    }
}
