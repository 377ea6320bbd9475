//! Changes of the cluster on their way to the disk: the controller decides, the log takes the records, and what is on the
//! disk is published and answered.
//!
//! ```text
//!   call -> Controller -> Proposal -> MetadataLog::append -> pending -- flush_due, sync, flushed --> image, answer
//!                                          | fails: refused, the cluster stays as it was
//!                                          | the log ails: it comes back at the next call or flush, where it can;
//!                                            askers are told so, and what it holds is published when it is flushed
//! ```
//!
//! Invariants:
//! - The published image is what the log holds on the disk, never more; but for that of a start for which there is no room:
//!   it is provisional, and no shard appends anything under it.
//! - Every call is answered once: when its change is on the disk, or with the reason why it is not. A call that changes
//!   nothing is answered behind the changes that it saw.
//! - A snapshot is made of an image that was released here: the log holds it on the disk.
//! - A log whose sync failed takes nothing any more. What was refused then may be on the disk all the same: the next start
//!   reads what is there.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use ringlog_io::{File, Job, Nanos};
use ringlog_storage::{Checkpointed, FlushJob, StorageError};
use ringlog_wire::ErrorCode;

use super::controller::{Call, Controller, Decided, Proposal, Refusal};
use super::ids::ShardId;
use super::image::Image;
use super::log::{Beginning, Leading, MetadataLog};
use super::snapshots::OnDisk;

/// Who waits for an answer: a shard, and its number for the call.
pub(crate) type Asker = (ShardId, u64);

/// What a call led to.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) asker: Asker,
    pub(crate) outcome: Decided,
    /// Version of the image that it changed partitions in: it is true when every shard has them so.
    pub(crate) version: Option<i64>,
}

/// What waits for the disk.
struct Pending {
    /// Offset after its last record: on the disk when the log is flushed up to here.
    end_offset: i64,
    /// The cluster up to there.
    cluster: OnDisk,
    /// None of what a start writes, and none where it was refused meanwhile.
    answer: Option<Answer>,
}

/// What this start could not write yet.
struct Unwritten {
    beginning: Beginning,
    is_under_way: bool,
    retry_at_ms: i64,
}

/// The time between two tries of it.
const RETRY_MS: i64 = 500;

/// See the head of the file.
pub(crate) struct Changes {
    controller: Controller,
    log: MetadataLog,
    unwritten: Option<Unwritten>,
    pending: VecDeque<Pending>,
    flushing: Option<FlushJob>,
    published: Option<Arc<Image>>,
    /// The newest cluster that is on the disk; none before this start is written.
    on_disk: Option<OnDisk>,
    answers: Vec<Answer>,
}

impl Changes {
    /// Begins where a start left off: everything is on the disk, or waits for room.
    pub(crate) fn new(leading: Leading) -> Self {
        let unwritten = |beginning| Unwritten { beginning, is_under_way: false, retry_at_ms: i64::MIN };
        Self {
            unwritten: leading.beginning.map(unwritten),
            controller: leading.controller,
            on_disk: leading.on_disk,
            log: leading.log,
            pending: VecDeque::new(),
            flushing: None,
            published: None,
            answers: Vec::new(),
        }
    }

    /// Whether this start is not written yet: nothing is decided until it is.
    pub(crate) fn is_beginning(&self) -> bool {
        self.unwritten.is_some()
    }

    /// Whether something is to be tried again, whoever asks for it: what this start writes, or a flush that could not begin.
    pub(crate) fn is_held_up(&self) -> bool {
        self.is_beginning() || (self.flushing.is_none() && !self.pending.is_empty())
    }

    /// The job that comes first of what this start writes, where it is to be tried again.
    pub(crate) fn vote_due(&mut self, wall_ms: i64) -> Option<Job> {
        let unwritten = self.unwritten.as_mut()?;
        if unwritten.is_under_way || wall_ms < unwritten.retry_at_ms {
            return None;
        }
        (unwritten.is_under_way, unwritten.retry_at_ms) = (true, wall_ms.saturating_add(RETRY_MS));
        Some(unwritten.beginning.vote.clone())
    }

    /// That job ended: the rest follows, where there is room for it.
    pub(crate) fn voted(&mut self, is_well: bool, wall_ms: i64) {
        let Some(mut unwritten) = self.unwritten.take() else { return };
        unwritten.is_under_way = false;
        let begun = is_well.then(|| self.log.begin(&unwritten.beginning, wall_ms));
        match begun {
            Some(Ok(end_offset)) => {
                let image = unwritten.beginning.image;
                self.controller.stand_on(Arc::clone(&image));
                let cluster = OnDisk { image, last_ms: wall_ms, log_bytes: self.log.log_bytes() };
                self.pending.push_back(Pending { end_offset, cluster, answer: None });
                tracing::info!("there is room again in log.dirs: this start is written");
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "this start is not written yet");
                self.unwritten = Some(unwritten);
            }
            None => self.unwritten = Some(unwritten),
        }
    }

    /// The log directory failed: nothing is taken any more.
    pub(crate) fn fail(&mut self, reason: &str) {
        self.log.fail(reason);
        self.refuse_pending(reason);
    }

    /// Why nothing is taken any more, where that is so.
    pub(crate) fn final_failure(&self) -> Option<String> {
        self.log.final_failure().map(str::to_owned)
    }

    /// Decides a call. Its answer comes with [`Self::take_answers`].
    pub(crate) fn call(&mut self, asker: Asker, call: Call, random: &mut dyn FnMut() -> u64, wall_ms: i64) {
        match self.decide(asker, call, random, wall_ms) {
            Ok(answer) => {
                let image = Arc::clone(self.controller.image());
                let cluster = OnDisk { image, last_ms: wall_ms, log_bytes: self.log.log_bytes() };
                self.pending.push_back(Pending { end_offset: self.log.end_offset(), cluster, answer: Some(answer) });
            }
            Err(reason) => self.answers.push(refused(asker, reason)),
        }
        self.release();
    }

    fn decide(
        &mut self,
        asker: Asker,
        call: Call,
        random: &mut dyn FnMut() -> u64,
        wall_ms: i64,
    ) -> Result<Answer, String> {
        if self.is_beginning() {
            return Err("log.dirs has no room for what the broker writes when it starts: make some".to_owned());
        }
        self.log.come_back(wall_ms)?;
        let changes_partitions = !matches!(call, Call::ProducerIds(_));
        self.controller.at(wall_ms);
        let Proposal { records, outcome, image } = self.controller.handle(call, random);
        if records.is_empty() {
            return Ok(Answer { asker, outcome, version: None });
        }
        self.log.append(&records, wall_ms).map_err(|error| {
            tracing::error!(%error, "a change of the cluster could not be written");
            error.to_string()
        })?;
        let version = changes_partitions.then(|| image.version());
        self.controller.stand_on(image);
        Ok(Answer { asker, outcome, version })
    }

    /// A file whose sync is due, where none is under way. Who waits for one that cannot begin is told so; what the log holds
    /// still counts when it can.
    pub(crate) fn flush_due(&mut self, wall_ms: i64) -> Option<File> {
        if self.flushing.is_some() || self.pending.is_empty() {
            return None;
        }
        let begun = self.log.come_back(wall_ms).map(|()| self.log.flush_begin());
        let Some(job) = begun.unwrap_or_default() else {
            // A sync that cannot begin leaves the log ailing; one that came back has flushed what it holds.
            match self.log.come_back(wall_ms) {
                Ok(()) => self.release(),
                Err(reason) if self.log.final_failure().is_some() => self.refuse_pending(&reason),
                Err(reason) => self.refuse_askers(&reason),
            }
            return None;
        };
        let file = job.file.clone();
        self.flushing = Some(job);
        Some(file)
    }

    /// A sync ended: what it covers counts.
    pub(crate) fn flushed(&mut self, result: io::Result<()>) {
        let Some(job) = self.flushing.take() else { return };
        let error = result.as_ref().err().map(ToString::to_string);
        self.log.flush_done(job, result);
        if let Some(error) = error {
            tracing::error!(error, "the metadata log could not be flushed: restart the broker when the disk is well");
            self.refuse_pending(&error);
        }
        self.release();
    }

    fn refuse_pending(&mut self, reason: &str) {
        self.refuse_askers(reason);
        self.pending.clear();
    }

    fn refuse_askers(&mut self, reason: &str) {
        let waiting = self.pending.iter_mut().filter_map(|pending| pending.answer.take());
        self.answers.extend(waiting.map(|answer| refused(answer.asker, reason.to_owned())));
    }

    fn release(&mut self) {
        let flushed = self.log.flushed_offset();
        #[cfg(feature = "plant")]
        let early = ringlog_io::plant::is(ringlog_io::plant::IMAGE_EARLY);
        #[cfg(feature = "plant")]
        let flushed = if early { self.log.end_offset() } else { flushed };
        while let Some(pending) = self.pending.pop_front_if(|pending| pending.end_offset <= flushed) {
            self.published = Some(Arc::clone(&pending.cluster.image));
            self.on_disk = Some(pending.cluster);
            self.answers.extend(pending.answer);
        }
    }

    /// The image to publish, where it is another than the last time.
    pub(crate) fn take_published(&mut self) -> Option<Arc<Image>> {
        self.published.take()
    }

    /// Answers that are ready. The image that they tell of must be published before they are sent.
    pub(crate) fn take_answers(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.answers)
    }

    /// The log, for what goes on beside the changes.
    pub(crate) fn log(&mut self) -> &mut MetadataLog {
        &mut self.log
    }

    /// The job that snapshots the log, where that is due, and else when it is.
    pub(crate) fn snapshot_due(&mut self, now: Nanos, wall_ms: i64) -> (Option<Job>, Option<Nanos>) {
        let Some(disk) = &self.on_disk else { return (None, None) };
        let job = self.log.snapshot_due(disk, now, wall_ms);
        (job, self.log.snapshot_due_at(disk, now))
    }

    /// Flushes and closes the log; what the checkpoints should say.
    pub(crate) fn close(self) -> Result<Checkpointed, StorageError> {
        self.log.close()
    }
}

fn refused(asker: Asker, reason: String) -> Answer {
    let refusal = Refusal::new(ErrorCode::KAFKA_STORAGE_ERROR, reason);
    Answer { asker, outcome: Decided::Failed(refusal), version: None }
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
