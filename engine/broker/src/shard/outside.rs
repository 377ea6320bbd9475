//! What a shard hears from the disk, from other shards and from the controller, and what it tells them.

use std::collections::BTreeMap;
use std::io;

use ringlog_io::{Buf, File, Nanos, Token};
use ringlog_storage::{Checkpointed, PartitionName};

use super::{BEGINNING_INTERVAL_NS, CHECKPOINT_INTERVAL_NS, Shard};
use crate::apply_image;
use crate::calls::CONTROLLER;
use crate::jobs::{self, Purpose};
use crate::mail::Mail;
use crate::metadata::image::ShardId;
use crate::openings;
use crate::retention;
use crate::submission::Submission;
use crate::tasks::{self, Answer};
use crate::timers::Timer;
use crate::tokens;
use crate::transaction_checks;
use crate::transaction_markers::{self, Asker};
use crate::writeback;

impl Shard {
    pub(super) fn synced(&mut self, token: Token, result: io::Result<()>) {
        if token != tokens::METADATA_FLUSH {
            self.flushes.ended(&mut self.broker, token, result);
        } else if let Some(desk) = &mut self.desk {
            desk.flushed(result);
            if let Some(reason) = desk.final_failure() {
                self.fail_directory(&reason);
            }
        }
    }

    /// A sync failed, here or at another shard: nothing is acknowledged any more that is to be written to this directory.
    pub(super) fn fail_directory(&mut self, reason: &str) {
        if !self.broker.replicas.fail(reason, &mut self.broker.news) {
            return;
        }
        openings::directory_failed(&mut self.broker);
        self.broker.writebacks.forget_all();
        tracing::error!(reason, log_dir = %self.broker.settings.log_dir().display(), "the log directory is offline: produces are refused; start the broker again when the disk is well");
        if let Some(desk) = &mut self.desk {
            desk.fail(reason);
        }
        let me = self.bus.me();
        self.tell_failure = self.bus.shards().filter(|shard| *shard != me).collect();
        self.failure = Some(reason.to_owned());
    }

    /// Tells who is still to be told that the directory is offline; each tells on, so that it does not matter who was first.
    pub(super) fn tell_failure(&mut self) {
        let Some(reason) = &self.failure else { return };
        let bus = &self.bus;
        self.tell_failure.retain(|shard| bus.send(*shard, Mail::DirectoryFailed { reason: reason.clone() }).is_err());
    }

    pub(super) fn job_done(&mut self, token: Token, result: io::Result<Option<File>>) {
        let Some(ended) = self.broker.jobs.ended(token, result) else { return };
        match ended.purpose {
            Purpose::NextSegment(key) => jobs::next_segment_made(&mut self.broker, key, ended.result),
            Purpose::Lookup(key, lookup) => jobs::loaded(&mut self.broker, key, lookup),
            Purpose::Beside(key) => jobs::beside_done(&mut self.broker, key, ended.result),
            Purpose::Recompression(key, bytes) => {
                self.broker.replicas.end_recompression(key, bytes, &mut self.broker.news);
            }
            Purpose::Checkpoint => {
                if let Some(desk) = &mut self.desk {
                    desk.checkpoint_written(ended.result.is_ok());
                }
            }
            Purpose::Check(key) => openings::checked(&mut self.broker, key),
            Purpose::Task(number) => tasks::answered(&mut self.broker, number, Answer::Ran(ended.result)),
            Purpose::Vote => {
                if let Some(desk) = &mut self.desk {
                    desk.voted(ended.result.is_ok(), self.broker.wall_ms);
                }
            }
            Purpose::Snapshot => {
                if let Some(desk) = &mut self.desk {
                    desk.log().snapshot_written(ended.result.is_ok(), self.broker.now, self.broker.wall_ms);
                }
            }
            Purpose::MetadataLog => {
                if let Some(desk) = &mut self.desk {
                    desk.log().aside_done(ended.result, self.broker.wall_ms);
                }
            }
            Purpose::Writeback(piece) => writeback::ended(&mut self.broker, piece, ended.result.map(drop)),
            Purpose::Removal => {}
        }
    }

    /// A read of a file: a task's, or an answer's on its way to a socket.
    pub(super) fn file_read(&mut self, token: Token, result: io::Result<Buf>) {
        match self.broker.jobs.read_ended(token) {
            Some(number) => tasks::answered(&mut self.broker, number, Answer::Read(result)),
            None => self.front.cold_read(token, result),
        }
    }

    /// Shard 0: flushes what the controller decided, and sends the answers that are ready.
    pub(super) fn visit_desk(&mut self) {
        let Some(desk) = &mut self.desk else { return };
        desk.finish_moves(self.broker.wall_ms);
        if let Some(file) = desk.flush_due(self.broker.wall_ms) {
            self.front.out.push(Submission::Sync { file, token: tokens::METADATA_FLUSH });
        }
        desk.take_removals().into_iter().for_each(|job| self.broker.jobs.run(Purpose::Removal, job));
        if let Some(job) = desk.checkpoint_due(self.broker.wall_ms) {
            self.broker.jobs.run(Purpose::Checkpoint, job);
        }
        if let Some(job) = desk.vote_due(self.broker.wall_ms) {
            self.broker.jobs.run(Purpose::Vote, job);
        }
        let (snapshot, next) = desk.snapshot_due(self.broker.now, self.broker.wall_ms);
        snapshot.into_iter().for_each(|job| self.broker.jobs.run(Purpose::Snapshot, job));
        self.broker.timers.set(Timer::Snapshot, next);
        desk.log().aside_due().into_iter().for_each(|job| self.broker.jobs.run(Purpose::MetadataLog, job));
        for (delay_ms, job) in desk.log().removals() {
            retention::remove_later(&mut self.broker, delay_ms, job);
        }
        if desk.is_held_up() && !self.broker.timers.is_set(Timer::Beginning) {
            self.broker.timers.set(Timer::Beginning, Some(Nanos(self.broker.now.0 + BEGINNING_INTERVAL_NS)));
        }
        // A shard looks for the newest image before it reads its mail: who gets an answer finds what it tells of.
        desk.deliver(&self.bus);
    }

    /// Tells those to whom partitions move how their logs are to be opened. Where one takes no mail, in the next turn.
    pub(super) fn tell_handed(&mut self) {
        for (to, key, handed) in self.broker.upkeep.take_handed() {
            if let Err(Mail::Handed { key, handed }) = self.bus.send(to, Mail::Handed { key, handed }) {
                self.broker.upkeep.put_back((to, key, handed));
            }
        }
    }

    /// Tells shard 0 when the folders here are as the image says: what was asked for there is true now.
    pub(super) fn tell_settled(&mut self) {
        let settled = (self.broker.image.version(), self.broker.upkeep.has_read_all());
        if settled == self.told_settled || !self.broker.upkeep.is_settled() {
            return;
        }
        let (version, has_read_all) = settled;
        if self.bus.send(CONTROLLER, Mail::Settled { version, has_read_all }).is_ok() {
            self.told_settled = settled;
        }
    }

    /// Once a minute: tells shard 0 how far the partitions here are.
    pub(super) fn checkpoint(&mut self) {
        self.broker.timers.set(Timer::Checkpoint, Some(Nanos(self.broker.now.0 + CHECKPOINT_INTERVAL_NS)));
        let (partitions, jobs) = self.broker.replicas.checkpoint();
        let partitions = self.with_unread(partitions);
        for (key, job) in jobs {
            self.broker.jobs.run(Purpose::Beside(key), job);
        }
        if self.bus.send(CONTROLLER, Mail::Checkpoints { partitions }).is_err() {
            tracing::warn!("the controller's shard takes no mail: the next checkpoint follows in a minute");
        }
    }

    /// Of a log that could not be opened yet, the checkpoints go on saying what the last run's say.
    pub(super) fn with_unread(
        &self,
        mut partitions: BTreeMap<PartitionName, Checkpointed>,
    ) -> BTreeMap<PartitionName, Checkpointed> {
        for (key, checkpointed) in self.broker.upkeep.unread() {
            if let Some(topic) = self.broker.image.topic_by_id(key.topic_id) {
                let name = PartitionName { topic: topic.name.to_string(), partition: key.partition };
                partitions.insert(name, checkpointed);
            }
        }
        partitions
    }

    /// Tells shard 0 which logs begin later now. Where it takes no mail, in the next turn.
    pub(super) fn tell_starts(&mut self) {
        let partitions = self.broker.retention.take_moved();
        if partitions.is_empty() {
            return;
        }
        if let Err(Mail::Starts { partitions }) = self.bus.send(CONTROLLER, Mail::Starts { partitions }) {
            self.broker.retention.put_back(partitions);
        }
    }

    pub(super) fn take_image(&mut self) {
        if let Some(image) = self.newest.newer(&mut self.image_seen) {
            self.broker.watch.did.image = true;
            apply_image::apply(&mut self.broker, image);
            self.front.take_settings(&self.broker.settings);
        }
    }

    pub(super) fn take_mail(&mut self, from: ShardId, mail: Mail) {
        match mail {
            Mail::Call { call_id, call } => {
                if let Some(desk) = &mut self.desk {
                    desk.take_call(from, call_id, call, self.broker.wall_ms);
                }
            }
            Mail::Answer { call_id, outcome } => self.calls.answered(&mut self.broker, call_id, outcome),
            Mail::Settled { version, has_read_all } => {
                if let Some(desk) = &mut self.desk {
                    desk.take_settled(from, version, has_read_all);
                }
            }
            Mail::Checkpoints { partitions } => {
                if let Some(desk) = &mut self.desk {
                    desk.take_checkpoints(from, partitions);
                }
            }
            Mail::Starts { partitions } => {
                if let Some(desk) = &mut self.desk {
                    desk.take_starts(from, partitions);
                }
            }
            Mail::Handed { key, handed } => openings::takes_over(&mut self.broker, key, handed),
            Mail::StartsKept { partitions, is_well } => retention::kept(&mut self.broker, partitions, is_well),
            Mail::Mark { number, key, marker, coordinator_epoch } => {
                let asker = Asker::Shard(from, number);
                transaction_markers::write(&mut self.broker, key, (marker, coordinator_epoch), asker);
            }
            Mail::Marked { number, result } => transaction_markers::ended(&mut self.broker, number, result),
            Mail::Verify(question) => transaction_checks::asked(&mut self.broker, from, question),
            Mail::Verified(question, found) => transaction_checks::verified(&mut self.broker, question, found),
            Mail::DirectoryFailed { reason } => self.fail_directory(&reason),
            Mail::Stop => self.stopping = true,
        }
    }

    pub(super) fn signalled(&mut self, signal: i32) {
        tracing::info!(signal, "stopping");
        self.stop_all();
    }
}
