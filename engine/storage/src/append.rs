//! Appending: offsets and epochs are given, producers are checked, everything accepted goes out in one vectored write.
//!
//! ```text
//!   batch i:  [ 61 bytes: a patched copy ][ the rest: the caller's bytes ]      both parts of one pwritev
//! ```
//!
//! Nothing of a batch is visible before the write ended well. A write that fails, or falls short, may have left bytes at
//! the end of the file: the partition is offline, and cuts them off before it takes the next append (`health.rs`).

use std::io::IoSlice;

use ringlog_io::Job;

use crate::aborted::Aborted;
use crate::marker::Marker;
use crate::names::{Kind, LEADER_EPOCHS, file_name};
use crate::partition::{RECENT_MAX, Recent};
use crate::producers::Verdict;
use crate::{AppendError, Appended, NewBatch, Partition, StorageError};
use ringlog_wire::batch::{BatchHeader, HEADER_LEN, NO_PRODUCER_ID, Origin};

/// Batches in one write whose parts fit on the stack.
const STACK_BATCHES: usize = 16;
/// Batches in one write at most: the kernel takes 1024 parts.
const WRITE_BATCHES_MAX: usize = 512;

/// A batch that was accepted and waits for its write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    /// Which of the caller's batches.
    index: usize,
    header: BatchHeader,
    header_bytes: [u8; HEADER_LEN],
    aborted: Option<Aborted>,
}

type Answer = Result<Appended, AppendError>;

impl Partition {
    /// Appends batches in order: one answer for each, all that are accepted in one vectored write. Visible when
    /// [`Partition::high_watermark`] is above an answer's last offset. Where the segment is full there are answers for the
    /// batches before, and the job that rolls it, once; where its last page is not in the page cache there are none, and the job
    /// that loads it. The others are to be given again after [`Partition::beside_done`].
    pub fn append_ready(
        &mut self,
        batches: &[NewBatch<'_>],
        leader_epoch: i32,
        wall_ms: i64,
    ) -> (Vec<Answer>, Option<Job>) {
        if self.holds_appends() {
            return (Vec::new(), None);
        }
        if let Err(error) = self.come_back(wall_ms) {
            return (vec![Err(error); batches.len()], None);
        }
        if let Some(job) = self.load_tail(wall_ms) {
            return (Vec::new(), Some(job));
        }
        let mut answers = Vec::with_capacity(batches.len());
        let mut next_offset = self.end_offset;
        for (index, batch) in batches.iter().enumerate() {
            let answer = match self.accept(batch, next_offset, wall_ms) {
                Ok(Accepted::Duplicate(appended)) => Ok(appended),
                Ok(Accepted::New { appended, rolls }) => {
                    if rolls || self.pending.len() == WRITE_BATCHES_MAX {
                        self.write_pending(batches, &mut answers, wall_ms);
                    }
                    match self.check_append() {
                        Ok(()) if rolls => return (answers, (!self.is_busy()).then(|| self.roll())),
                        Ok(()) => {
                            next_offset = appended.last_offset + 1;
                            self.stage(batch, index, leader_epoch, &appended)
                        }
                        Err(error) => Err(error),
                    }
                }
                Err(error) => Err(error),
            };
            answers.push(answer);
        }
        self.write_pending(batches, &mut answers, wall_ms);
        (answers, None)
    }

    /// As [`Partition::append_ready`], and does its jobs here and now: for a log that has no shard's thread to hold up.
    pub fn append(&mut self, batches: &[NewBatch<'_>], leader_epoch: i32, wall_ms: i64) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(batches.len());
        loop {
            let (more, job) = self.append_ready(&batches[answers.len()..], leader_epoch, wall_ms);
            answers.extend(more);
            match job {
                Some(job) => self.perform(&job, wall_ms),
                None => break,
            }
            if let Err(error) = self.check_append() {
                answers.resize(batches.len(), Err(error));
                break;
            }
        }
        let waits = || Err(AppendError::Storage { reason: "the segment is being rolled".to_owned() });
        answers.resize_with(batches.len(), waits);
        if let Some(job) = self.save_due() {
            self.perform(&job, wall_ms);
        }
        answers
    }

    /// Decides what becomes of a batch that would begin at `base_offset`. Changes nothing.
    fn accept(&self, batch: &NewBatch<'_>, base_offset: i64, wall_ms: i64) -> Result<Accepted, AppendError> {
        self.check_append()?;
        let header = &batch.validated.header;
        self.check_shape(batch, header)?;
        if header.producer_id != NO_PRODUCER_ID
            && let Verdict::Duplicate(sent) = self.check_producer(batch, header)?
        {
            return Ok(Accepted::Duplicate(Appended {
                base_offset: sent.base_offset(),
                last_offset: sent.last_offset,
                log_append_time_ms: sent.timestamp_ms,
                duplicate: true,
            }));
        }
        let last_offset = base_offset + i64::from(header.last_offset_delta);
        let log_append_time_ms = batch.validated.log_append_time_ms;
        let waiting_bytes = self.pending.iter().map(|pending| pending.header.total_len() as u64).sum();
        let rolls =
            self.active.should_roll(header, last_offset, waiting_bytes, (&self.config, self.segment_ms()), wall_ms);
        let appended = Appended { base_offset, last_offset, log_append_time_ms, duplicate: false };
        Ok(Accepted::New { appended, rolls })
    }

    fn check_shape(&self, batch: &NewBatch<'_>, header: &BatchHeader) -> Result<(), AppendError> {
        let (bytes, header_bytes) = (batch.bytes.len(), header.total_len());
        if bytes != header_bytes || bytes < HEADER_LEN || header.last_offset_delta < 0 {
            return Err(AppendError::Corrupt { bytes, header_bytes });
        }
        if bytes as u64 > self.config.segment_bytes_max() {
            return Err(AppendError::LargerThanSegment { bytes, segment_bytes: self.config.segment_bytes });
        }
        Ok(())
    }

    fn check_producer(&self, batch: &NewBatch<'_>, header: &BatchHeader) -> Result<Verdict, AppendError> {
        if header.is_control() {
            if let Some(marker) = Marker::parse(batch.bytes) {
                let is_tv2 = batch.origin == Origin::CoordinatorTv2;
                self.producers.check_marker(header, marker, is_tv2)?;
            }
            return Ok(Verdict::Append);
        }
        match batch.origin {
            Origin::Client => self.producers.check(header),
            Origin::ClientTv2 => self.producers.check_tv2(header),
            Origin::Coordinator | Origin::CoordinatorTv2 => {
                self.producers.check_coordinator(header).map(|()| Verdict::Append)
            }
        }
    }

    /// A write of this call may have failed before.
    fn check_append(&self) -> Result<(), AppendError> {
        match self.offline_reason() {
            Some(reason) => Err(AppendError::Storage { reason: reason.to_owned() }),
            None => Ok(()),
        }
    }

    fn storage_failed(&mut self, error: &StorageError) -> AppendError {
        self.go_offline(error);
        AppendError::Storage { reason: error.to_string() }
    }

    /// Gives the batch its place, notes what it means for producers and epochs, and puts it in line for the write.
    fn stage(&mut self, batch: &NewBatch<'_>, index: usize, leader_epoch: i32, appended: &Appended) -> Answer {
        let mut header = batch.validated.header;
        header.base_offset = appended.base_offset;
        header.partition_leader_epoch = leader_epoch;
        if self.epochs.assign(leader_epoch, appended.base_offset) {
            let written = self.folder.write(LEADER_EPOCHS, &self.epochs.encode());
            written.map_err(|error| self.storage_failed(&error))?;
            self.flush.wrote_small(LEADER_EPOCHS);
        }
        let aborted = self.note_producer(&header, batch.bytes);
        self.pending.push(Pending { index, header_bytes: header.to_bytes(), header, aborted });
        Ok(*appended)
    }

    /// Takes a batch into the producers' state: of an append, or of a log that is read again.
    pub(crate) fn note_producer(&mut self, header: &BatchHeader, bytes: &[u8]) -> Option<Aborted> {
        if header.producer_id == NO_PRODUCER_ID {
            return None;
        }
        if header.is_control() {
            return Marker::parse(bytes).and_then(|marker| self.producers.marker(header, marker));
        }
        self.producers.data(header);
        None
    }

    fn write_pending(&mut self, batches: &[NewBatch<'_>], answers: &mut [Answer], wall_ms: i64) {
        if self.pending.is_empty() {
            return;
        }
        let pending = std::mem::take(&mut self.pending);
        if let Err(error) = self.write(&pending, batches) {
            let error = self.storage_failed(&error);
            for staged in &pending {
                answers[staged.index] = Err(error.clone());
            }
            answers
                .iter_mut()
                .filter(|answer| answer.as_ref().is_ok_and(|a| a.last_offset >= self.end_offset))
                .for_each(|answer| *answer = Err(error.clone()));
        } else {
            self.flush.appended(wall_ms);
            self.tail_known_ms = wall_ms;
        }
        self.pending = pending;
        self.pending.clear();
    }

    fn write(&mut self, pending: &[Pending], batches: &[NewBatch<'_>]) -> Result<(), StorageError> {
        self.folder.changed();
        let written = self.write_parts(pending, batches);
        written.map_err(|error| StorageError::io("write", &self.folder.path(&self.active_name()))(error))?;
        self.went_well();
        for staged in pending {
            self.wrote(staged);
        }
        self.show();
        for aborted in pending.iter().filter_map(|staged| staged.aborted) {
            // The marker is in the log: what the list lacks is read out of it before the next append.
            if let Err(error) = self.append_aborted(aborted) {
                self.go_offline(&error);
            }
        }
        Ok(())
    }

    fn write_parts(&self, pending: &[Pending], batches: &[NewBatch<'_>]) -> std::io::Result<()> {
        let (files, active) = (&self.folder.files, &self.active);
        if pending.len() <= STACK_BATCHES {
            let mut parts = [IoSlice::new(&[]); 2 * STACK_BATCHES];
            for (pair, staged) in parts.chunks_exact_mut(2).zip(pending) {
                pair[0] = IoSlice::new(&staged.header_bytes);
                pair[1] = IoSlice::new(&batches[staged.index].bytes[HEADER_LEN..]);
            }
            return files.write_all_at(&active.file, &parts[..2 * pending.len()], active.size);
        }
        let parts: Vec<IoSlice<'_>> = pending
            .iter()
            .flat_map(|staged| [&staged.header_bytes[..], &batches[staged.index].bytes[HEADER_LEN..]])
            .map(IoSlice::new)
            .collect();
        files.write_all_at(&active.file, &parts, active.size)
    }

    fn wrote(&mut self, staged: &Pending) {
        let (header, len) = (&staged.header, staged.header.total_len());
        let (position, last_offset) = (self.active.size, header.last_offset());
        self.active.wrote(last_offset, header.max_timestamp, len);
        self.end_offset = last_offset + 1;
        self.appended_bytes += len as u64;
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(Recent { last_offset, position, len });
    }

    /// Adds an aborted transaction to the active segment's index.
    pub(crate) fn append_aborted(&mut self, aborted: Aborted) -> Result<(), StorageError> {
        let name = file_name(self.active.base_offset, Kind::TxnIndex);
        let at = self.aborted.len() * crate::aborted::ENTRY_LEN;
        // First in memory: the marker is in the log, so readers must know of it, whatever becomes of the file.
        self.aborted.push(aborted);
        self.folder.write_at(&name, &aborted.encode(), at as u64)
    }
}

/// What becomes of a batch.
enum Accepted {
    /// It is appended.
    New {
        appended: Appended,
        /// The active segment is full: it begins a new one.
        rolls: bool,
    },
    /// It is there already.
    Duplicate(Appended),
}
