//! Shard 0's other office: the controller and its metadata log. Calls come in from every shard, become one record batch
//! each, and are answered when that batch is on the disk and the image that follows from it is published.
//!
//! ```text
//!   Call -> Controller::handle -> Proposal -> MetadataLog::append -> pending
//!                                                                      | fdatasync through the ring covers it
//!                                        publish the newest image  <---+---> Answer to each caller
//! ```
//! A write or a flush that fails ends the controller: what is pending and what comes later is refused, and nothing is
//! acknowledged that a restart might not find.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use ringlog_io::{Driver, File, Files};
use ringlog_storage::{Checkpointed, FlushJob, LogDir, PartitionName, StorageError};
use ringlog_wire::ErrorCode;

use crate::mail::{Address, Mail, Newest};
use crate::metadata::controller::{Call, Controller, Outcome};
use crate::metadata::image::{Image, ShardId};
use crate::metadata::log::{self, MetadataLog};
use crate::random::Random;
use crate::settings::Settings;

/// A change that waits for the disk.
struct Pending {
    /// Offset after its last record: on the disk when the log is flushed up to here.
    end_offset: i64,
    caller: (ShardId, u64),
    outcome: Outcome,
    image: Arc<Image>,
}

/// See the head of the file.
pub(crate) struct Desk {
    dir: LogDir,
    /// What each shard last said of its partitions, and what the files say.
    checkpoints: BTreeMap<ShardId, BTreeMap<PartitionName, Checkpointed>>,
    written: BTreeMap<PartitionName, Checkpointed>,
    controller: Controller,
    log: MetadataLog,
    addresses: Vec<Address>,
    newest: Arc<Newest>,
    pending: VecDeque<Pending>,
    answers: Vec<((ShardId, u64), Outcome)>,
    flushing: Option<FlushJob>,
    random: Random,
}

impl Desk {
    /// Opens the metadata log, registers this start's brokers, and waits until that is on the disk.
    pub(crate) fn open(
        files: &Rc<dyn Files>,
        dir: LogDir,
        settings: &Arc<Settings>,
        ports: &[u16],
        addresses: Vec<Address>,
        driver: &dyn Driver,
    ) -> Result<Self, String> {
        let mut random = Random::new(driver.random());
        let leading = log::lead(files, &dir, settings, ports, &mut || random.next(), driver.wall_ms())
            .map_err(|error| error.to_string())?;
        Ok(Self {
            dir,
            checkpoints: BTreeMap::new(),
            written: BTreeMap::new(),
            controller: leading.controller,
            log: leading.log,
            addresses,
            newest: Arc::new(Newest::new(leading.image)),
            pending: VecDeque::new(),
            answers: Vec::new(),
            flushing: None,
            random,
        })
    }

    /// Where shards find the newest image.
    pub(crate) fn newest(&self) -> Arc<Newest> {
        Arc::clone(&self.newest)
    }

    /// The image at start.
    pub(crate) fn image(&self) -> Arc<Image> {
        Arc::clone(self.controller.image())
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> usize {
        self.addresses.len()
    }

    /// Decides a call. A decision that changes nothing waits for those before it all the same.
    pub(crate) fn take_call(&mut self, from: ShardId, call_id: u64, call: Call, wall_ms: i64) {
        let random = &mut self.random;
        let proposal = self.controller.handle(call, &mut || random.next());
        let caller = (from, call_id);
        if !proposal.records.is_empty()
            && let Err(error) = self.log.append(&proposal.records, wall_ms)
        {
            tracing::error!(%error, "the metadata log takes no more changes: restart the broker when the disk is well");
            self.answers.push((caller, Outcome::Failed(ErrorCode::KAFKA_STORAGE_ERROR)));
            return;
        }
        let end_offset = self.log.end_offset();
        self.pending.push_back(Pending { end_offset, caller, outcome: proposal.outcome, image: proposal.image });
        self.release();
    }

    /// A file whose flush is due, where none is under way.
    pub(crate) fn flush_due(&mut self) -> Option<File> {
        if self.flushing.is_some() || self.pending.is_empty() {
            return None;
        }
        let job = self.log.flush_begin()?;
        let file = job.file.clone();
        self.flushing = Some(job);
        Some(file)
    }

    /// The flush ended: what it covers is published.
    pub(crate) fn flushed(&mut self, result: std::io::Result<()>) {
        let Some(job) = self.flushing.take() else { return };
        let failed = result.is_err();
        if let Err(error) = &result {
            tracing::error!(%error, "the metadata log could not be flushed: restart the broker when the disk is well");
        }
        self.log.flush_done(job, result);
        if failed {
            let lost = self.pending.drain(..);
            self.answers.extend(lost.map(|pending| (pending.caller, Outcome::Failed(ErrorCode::KAFKA_STORAGE_ERROR))));
        }
        self.release();
    }

    /// Publishes what is on the disk, and readies its answers.
    fn release(&mut self) {
        let mut image = None;
        while let Some(pending) = self.pending.front().filter(|pending| pending.end_offset <= self.log.flushed_offset())
        {
            image = Some(Arc::clone(&pending.image));
            if let Some(pending) = self.pending.pop_front() {
                self.answers.push((pending.caller, pending.outcome));
            }
        }
        if let Some(image) = image {
            self.newest.publish(image);
            self.addresses.iter().for_each(Address::wake);
        }
    }

    /// Sends the answers that are ready. The image that they tell of is published.
    pub(crate) fn deliver(&mut self) {
        for ((shard, call_id), outcome) in self.answers.drain(..) {
            if let Some(address) = self.addresses.get(shard.0) {
                address.send(Mail::Answer { call_id, outcome });
            }
        }
    }

    /// Tells every other shard to stop.
    pub(crate) fn stop_others(&self) {
        self.addresses.iter().skip(1).for_each(|address| address.send(Mail::Stop));
    }

    /// The log directory.
    pub(crate) fn dir(&self) -> &LogDir {
        &self.dir
    }

    /// A shard says how far its partitions are. The files are written, and waited for, when that is news: recovery points
    /// move with flushes, so a broker that leaves flushing to the operating system seldom waits here.
    pub(crate) fn take_checkpoints(&mut self, from: ShardId, partitions: BTreeMap<PartitionName, Checkpointed>) {
        self.checkpoints.insert(from, partitions);
        if self.checkpoints.len() < self.shards() {
            return;
        }
        let mut all: BTreeMap<_, _> =
            self.checkpoints.values().flatten().map(|(name, at)| (name.clone(), *at)).collect();
        let metadata = Checkpointed { recovery_point: self.log.flushed_offset(), log_start_offset: 0 };
        all.insert(log::name(), metadata);
        if all == self.written {
            return;
        }
        match self.dir.write_checkpoints(&all) {
            Ok(()) => self.written = all,
            Err(error) => tracing::warn!(%error, "the checkpoints could not be written"),
        }
    }

    /// Closes the metadata log, and notes in the log directory how the broker stopped. `all` is what the shards closed.
    pub(crate) fn close(self, mut all: BTreeMap<PartitionName, Checkpointed>, clean: bool) -> Result<(), StorageError> {
        all.insert(log::name(), self.log.close()?);
        if clean { self.dir.close_clean(&all) } else { self.dir.write_checkpoints(&all) }
    }
}
