//! A partition that this shard leads: its log, its role, and who waits for what was given to it.
//!
//! ```text
//!   stage --> staged --write--> acks --visible--> Settled: Ok
//!     |         ^  |             |
//!   hold --job--+  +-- refused --+---- fail ----> Settled: Err
//! ```
//! A batch whose segment is full stays staged until the roll, a job, has ended. One that its topic keeps in another codec is
//! held, and those that come behind it, until a job has compressed it ([`recompress`]).
//!
//! Invariant: a batch that entered by [`Replica::stage`] leaves once, as [`Settled`], in the [`News`] of the call that
//! decided it. Every call that may change what the log says (an append, a flush, settings, the end of its leadership)
//! ends in [`Replica::settle`], the one exit: what is visible is acknowledged, and what an offline log holds back is
//! refused.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

#[cfg(feature = "plant")]
use ringlog_io::plant;
use ringlog_io::{File, Job, Slice};
use ringlog_storage::{
    Appended, FlushJob, KnownProducers, LogConfig, Lookup, NewBatch, Origin, Partition, PartitionName, StorageError,
    Writeback,
};
use ringlog_wire::batch::{Rules, Validated};
use ringlog_wire::{ErrorCode, Uuid};

use crate::acks::Acks;
use crate::metrics::traffic::Traffic;
use crate::vitals::ReplicaVitals;

mod cleaner;
pub(crate) mod recompress;
mod retention;

/// Which partition: its topic's id, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PartitionKey {
    pub(crate) topic_id: Uuid,
    pub(crate) partition: i32,
}

/// A batch that was checked and waits for the end of the turn.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) validated: Validated,
    pub(crate) bytes: Slice,
    pub(crate) origin: Origin,
    pub(crate) ticket: Ticket,
}

impl Staged {
    /// In memory of its own: it stays for longer than a turn, and a receive buffer must not.
    pub(crate) fn kept(self) -> Self {
        Self { bytes: Slice::from(self.bytes.to_vec()), ..self }
    }
}

/// What is to be done beside the thread for a partition that grew.
pub(crate) struct KeepUp {
    pub(crate) unwritten_bytes: u64,
    pub(crate) next_segment: Option<Job>,
    pub(crate) save: Option<Job>,
}

/// Who learns what became of a staged batch. Not to be copied: it is given in once and comes out once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ticket {
    /// The produce request in this place, its topic and partition by index.
    Produce { request: usize, topic: usize, partition: usize },
    /// The group coordinator, by its own number.
    Group { ticket: u64 },
    /// The transaction coordinator, by its own number.
    Transaction { ticket: u64 },
    /// A marker, by its number ([`crate::transaction_markers`]).
    Marker { number: u64 },
}

/// What became of a staged batch.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) ticket: Ticket,
    pub(crate) log_start_offset: i64,
    pub(crate) result: Result<Appended, ErrorCode>,
}

/// What calls on replicas bring about for others. Taken at the end of the turn.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Batches whose fate is decided.
    pub(crate) settled: Vec<Settled>,
    /// Partitions of which readers see more, and by how many bytes at most.
    pub(crate) visible: Vec<(PartitionKey, usize)>,
    /// Partitions whose readers are to look again, whatever they wait for.
    pub(crate) disturbed: Vec<PartitionKey>,
    /// Partitions that were written, flushed or set anew: maintenance or a flush may be due.
    pub(crate) changed: Vec<PartitionKey>,
    /// A sync failed: the log directory is offline.
    pub(crate) failed: Option<String>,
}

impl News {
    /// Whether somebody is to be told something.
    pub(crate) fn is_empty(&self) -> bool {
        self.settled.is_empty() && self.visible.is_empty() && self.disturbed.is_empty()
    }
}

/// A replica's place in its topic: what the metadata image and the settings say of it.
#[derive(Clone, Debug)]
pub(crate) struct Role {
    pub(crate) leader_epoch: i32,
    pub(crate) rules: Rules,
    /// How many in-sync replicas are missing to min.insync.replicas: acks=all is refused while it is not 0.
    pub(crate) in_sync_replicas_missing: usize,
}

/// See the head of the file.
pub(crate) struct Replica {
    pub(crate) topic: Rc<str>,
    pub(crate) key: PartitionKey,
    pub(crate) role: Role,
    log: Partition,
    /// What is held up before it is staged.
    anew: recompress::Queue,
    staged: Vec<Staged>,
    acks: Acks,
    /// Up to where readers were told that they see.
    told: (i64, i64),
    is_flushing: bool,
    /// It was told that a sync failed.
    is_failed: bool,
    /// Why it could not be read, when that was told last.
    unreadable: RefCell<String>,
    traffic: Cell<Traffic>,
}

impl Replica {
    pub(crate) fn new(topic: Rc<str>, key: PartitionKey, role: Role, log: Partition) -> Self {
        let told = (log.high_watermark(), log.last_stable_offset());
        Self {
            topic,
            key,
            role,
            log,
            anew: recompress::Queue::default(),
            staged: Vec::new(),
            acks: Acks::default(),
            told,
            is_flushing: false,
            is_failed: false,
            unreadable: RefCell::default(),
            traffic: Cell::default(),
        }
    }

    /// The folder's name.
    pub(crate) fn name(&self) -> PartitionName {
        PartitionName { topic: self.topic.to_string(), partition: self.key.partition }
    }

    /// The log, to look at.
    pub(crate) fn log(&self) -> &Partition {
        &self.log
    }

    /// Whether this reason for not being read is another than the last: readers try again and again.
    pub(crate) fn is_news(&self, reason: &str) -> bool {
        let is_other = *self.unreadable.borrow() != reason;
        if is_other {
            reason.clone_into(&mut self.unreadable.borrow_mut());
        }
        is_other
    }

    /// What went through it since it is here.
    pub(crate) fn traffic(&self) -> Traffic {
        self.traffic.get()
    }

    /// Counts what goes through it.
    pub(crate) fn note(&self, note: impl FnOnce(&mut Traffic)) {
        let mut traffic = self.traffic.get();
        note(&mut traffic);
        self.traffic.set(traffic);
    }

    /// Adds what is under way here.
    pub(crate) fn count_into(&self, vitals: &mut ReplicaVitals) {
        // A roll is under way, or waits for what is written beside to end.
        let staged = if self.log.is_busy() { &mut vitals.behind_rolls } else { &mut vitals.staged };
        *staged += self.staged.len();
        vitals.recompressed += self.held_up();
        vitals.unflushed += self.acks.len();
        let offsets = [self.log.log_start_offset(), self.log.high_watermark(), self.log.end_offset()];
        if !offsets.is_sorted() {
            vitals.disordered = Some(format!("{}: log start, visible, end: {offsets:?}", self.name()));
        }
    }

    #[cfg(test)]
    pub(crate) fn log_mut(&mut self) -> &mut Partition {
        &mut self.log
    }

    /// Takes a checked batch for the write at the end of the turn, or behind the job that appends wait for. True: it is the
    /// first one.
    pub(crate) fn stage(&mut self, staged: Staged) -> bool {
        self.staged.push(if self.log.holds_appends() { staged.kept() } else { staged });
        self.staged.len() == 1
    }

    /// Whether batches wait to be written.
    pub(crate) fn has_staged(&self) -> bool {
        !self.staged.is_empty()
    }

    /// Writes what was staged, in one write. Where the segment is full some of it is left, and the job that it waits for is
    /// given.
    #[must_use]
    pub(crate) fn append_staged(&mut self, wall_ms: i64, news: &mut News) -> Option<Job> {
        let staged = std::mem::take(&mut self.staged);
        #[cfg(feature = "plant")]
        let staged: Vec<Staged> = staged.into_iter().map(reuse_buffer).collect();
        let batches: Vec<NewBatch<'_>> = staged
            .iter()
            .map(|staged| NewBatch { validated: &staged.validated, bytes: &staged.bytes, origin: staged.origin })
            .collect();
        let (results, roll) = self.log.append_ready(&batches, self.role.leader_epoch, wall_ms);
        drop(batches);
        let log_start_offset = self.log.log_start_offset();
        let mut staged = staged.into_iter();
        for (staged, result) in staged.by_ref().take(results.len()).zip(results) {
            match result {
                Ok(appended) => {
                    let new_bytes = if appended.duplicate { 0 } else { staged.bytes.len() };
                    if new_bytes > 0 {
                        self.traffic.get_mut().appended(new_bytes, staged.validated.header.record_count);
                    }
                    self.acks.enter(staged.ticket, appended, new_bytes);
                }
                Err(error) => {
                    tracing::debug!(topic = %self.topic, partition = self.key.partition, %error, "append refused");
                    self.traffic.get_mut().failed_produces += 1;
                    let result = Err(error.error_code());
                    news.settled.push(Settled { ticket: staged.ticket, log_start_offset, result });
                }
            }
        }
        self.staged = staged.map(Staged::kept).collect();
        news.changed.push(self.key);
        self.settle(news);
        roll
    }

    /// A job that changed this partition's files ended: what waited for it is to be written.
    pub(crate) fn beside_done(&mut self, result: io::Result<Option<File>>, wall_ms: i64, news: &mut News) {
        self.log.beside_done(result, wall_ms);
        news.changed.push(self.key);
        self.settle(news);
    }

    /// A flush that is due and not under way yet.
    pub(crate) fn begin_flush(&mut self, wall_ms: i64, news: &mut News) -> Option<FlushJob> {
        if self.is_flushing || !self.log.flush_due(wall_ms) {
            return None;
        }
        let job = self.log.flush_begin();
        self.is_flushing = job.is_some();
        self.settle(news);
        job
    }

    /// A flush ended.
    pub(crate) fn end_flush(&mut self, job: FlushJob, result: io::Result<()>, news: &mut News) {
        self.is_flushing = false;
        self.log.flush_done(job, result);
        news.changed.push(self.key);
        self.settle(news);
    }

    /// Takes another role, or other settings.
    pub(crate) fn change(&mut self, role: Role, config: LogConfig, news: &mut News) {
        self.role = role;
        self.log.set_config(config);
        news.changed.push(self.key);
        self.settle(news);
    }

    /// Prepares what an append should not have to wait for. Gives what has to be done beside the thread for it.
    pub(crate) fn keep_up(&mut self, wall_ms: i64) -> KeepUp {
        if let Err(error) = self.log.maintain(wall_ms) {
            tracing::debug!(topic = %self.topic, partition = self.key.partition, %error, "not kept up");
        }
        KeepUp {
            unwritten_bytes: self.log.unwritten_bytes(),
            next_segment: self.log.next_segment_due(),
            save: self.log.save_due(),
        }
    }

    /// A piece of the log that should go to the disk now.
    pub(crate) fn writeback_begin(&mut self, len_max: u64, takes_tail: bool) -> Option<Writeback> {
        self.log.writeback_begin(len_max, takes_tail)
    }

    /// It is there. Where pages of it were lost, that is a failed sync.
    pub(crate) fn writeback_done(&mut self, result: io::Result<()>, news: &mut News) {
        let is_well = result.is_ok();
        self.log.writeback_done(result);
        if !is_well {
            self.settle(news);
        }
    }

    /// The job that makes the next segment's file ended.
    pub(crate) fn next_segment_made(&mut self, result: io::Result<Option<File>>) {
        self.log.next_segment_made(result);
    }

    /// The job that a lookup waited for ended.
    pub(crate) fn lookup_loaded(&self, lookup: Lookup) {
        self.log.lookup_loaded(lookup);
    }

    /// What the checkpoints should say, and what puts the rest of what recovery needs into small files.
    pub(crate) fn checkpoint(&mut self) -> Result<(ringlog_storage::Checkpointed, Option<Job>), StorageError> {
        self.log.checkpoint()
    }

    /// Refuses what is staged, and what waits for a flush where `reason` says that the log directory failed.
    pub(crate) fn refuse(&mut self, reason: Option<&str>, news: &mut News) {
        let log_start_offset = self.log.log_start_offset();
        for staged in self.staged.drain(..) {
            let result = Err(ErrorCode::KAFKA_STORAGE_ERROR);
            news.settled.push(Settled { ticket: staged.ticket, log_start_offset, result });
        }
        if let Some(reason) = reason {
            self.log.fail(reason);
            self.settle(news);
        }
    }

    /// Closes the log of a partition that moves, as at a stop: waits for the disk. What was written goes along, so who waited for
    /// that alone is acknowledged: refused, it would be sent to the next leader, and be there twice. What is only staged is
    /// refused.
    pub(crate) fn close(&mut self, news: &mut News) -> Result<ringlog_storage::Checkpointed, StorageError> {
        let closed = self.log.close_clean();
        self.acks.advance(self.log.high_watermark(), self.log.log_start_offset(), &mut news.settled);
        self.resign(ErrorCode::NOT_LEADER_OR_FOLLOWER, news);
        closed
    }

    /// Another shard leads from now on: what is not written is refused, and readers look again. Who waits for the disk hears of it
    /// when the flush has ended, or when the log is closed ([`Replica::close`]).
    pub(crate) fn leave(&mut self, error: ErrorCode, news: &mut News) {
        let log_start_offset = self.log.log_start_offset();
        for staged in self.staged.drain(..) {
            news.settled.push(Settled { ticket: staged.ticket, log_start_offset, result: Err(error) });
        }
        self.refuse_held(error, log_start_offset, news);
        news.disturbed.push(self.key);
    }

    /// Gives up the log: what waits for it is refused with this error, and its readers look again.
    pub(crate) fn resign(&mut self, error: ErrorCode, news: &mut News) {
        self.leave(error, news);
        self.acks.fail(error, self.log.log_start_offset(), &mut news.settled);
    }

    /// Knows of producers what the shard knew from which this partition moved here.
    pub(crate) fn take_over(&mut self, producers: KnownProducers) {
        self.log.take_over(producers);
    }

    /// The log, to be closed or deleted, of a replica that resigned.
    pub(crate) fn into_log(self) -> Partition {
        debug_assert!(
            self.staged.is_empty() && self.held_up() == 0 && self.acks.is_empty(),
            "nobody waits for a replica that goes"
        );
        self.log
    }

    /// The one exit: acknowledges what readers see, tells them, and refuses the rest where the log takes no more.
    fn settle(&mut self, news: &mut News) {
        let log_start_offset = self.log.log_start_offset();
        let (visible, stable) = (self.log.high_watermark(), self.log.last_stable_offset());
        #[cfg(feature = "plant")]
        if plant::is(plant::ACK_BEFORE_FLUSH) {
            self.acks.advance(self.log.end_offset(), log_start_offset, &mut news.settled);
        }
        let new_bytes = self.acks.advance(visible, log_start_offset, &mut news.settled);
        if (visible, stable) != self.told {
            // What a transaction held back may be more than what was written since.
            let all = if stable == visible && self.told.0 == self.told.1 { new_bytes } else { usize::MAX };
            news.visible.push((self.key, all.max(1)));
            self.told = (visible, stable);
        }
        if let Some(reason) = self.log.final_failure().filter(|_| !self.is_failed) {
            self.is_failed = true;
            news.failed.get_or_insert_with(|| reason.to_owned());
        }
        if self.log.offline_reason().is_some() {
            self.acks.fail(ErrorCode::KAFKA_STORAGE_ERROR, log_start_offset, &mut news.settled);
        }
    }
}

/// Planted: something else was written into the buffer, or it was copied for nothing.
#[cfg(feature = "plant")]
fn reuse_buffer(staged: Staged) -> Staged {
    if !plant::is(plant::BUFFER_REUSED) {
        return if plant::is(plant::BATCH_COPIED) { staged.kept() } else { staged };
    }
    let mut bytes = staged.bytes.to_vec();
    if let Some(last) = bytes.last_mut() {
        *last = last.wrapping_add(1);
    }
    Staged { bytes: Slice::from(bytes), ..staged }
}

#[cfg(test)]
mod tests;
