//! Shard 0's other office: the controller's post, and the log directory's notes. Calls come in from every shard, and are
//! answered when the image that follows from them is published; what shards say of their partitions becomes the checkpoint
//! files.
//!
//! ```text
//!   Call -> Changes (decided, written, synced through the ring) -> the newest image is published
//!                                                        every shard has its folders so --> Answer to the caller
//! ```
//! An answer that tells of partitions is held back until it is true on every shard: who was told that a topic is there can
//! use it anywhere.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use ringlog_io::{Driver, File, Files, Job, Nanos};
use ringlog_storage::{Checkpointed, LogDir, PartitionName, StorageError};
use ringlog_wire::Uuid;

use crate::log_starts::Starts;
use crate::mail::{Bus, Mail, Newest};
use crate::metadata::changes::{Answer, Changes};
use crate::metadata::controller::Call;
use crate::metadata::image::{Image, ShardId, Topic};
use crate::metadata::log::{self, MetadataLog};
use crate::random::Random;
use crate::settings::Settings;

/// Who asks where it is the desk itself: a number that no call of shard 0 gets to.
const ITSELF: (ShardId, u64) = (ShardId(0), u64::MAX);

/// See the head of the file.
pub(crate) struct Desk {
    dir: LogDir,
    /// What each shard last said of its partitions, and what the files say.
    checkpoints: BTreeMap<ShardId, BTreeMap<PartitionName, Checkpointed>>,
    written: BTreeMap<PartitionName, Checkpointed>,
    /// A file could not be replaced: what they say is not known.
    is_in_doubt: bool,
    /// What removes the folders of topics that were deleted when the last run ended.
    removals: Vec<Job>,
    /// Log starts that the checkpoint file is to say.
    starts: Starts,
    /// Checkpoint files that are to be replaced, one after the other.
    writing: VecDeque<Job>,
    is_writing: bool,
    /// Shards that have not opened every log that the last run left.
    unread: BTreeSet<ShardId>,
    /// It was noted that all were opened.
    is_recovered: bool,
    changes: Changes,
    /// The version of the image up to which each shard has its folders so.
    settled: Vec<i64>,
    /// Answers that wait for that.
    held: Vec<Answer>,
    /// The version of the image whose moves are being finished.
    finishes: Option<i64>,
    newest: Arc<Newest>,
    random: Random,
}

impl Desk {
    /// Opens the metadata log, registers this start's brokers, and waits until that is on the disk. Folders that are no
    /// topic's are then out of the way.
    pub(crate) fn open(
        files: &Rc<dyn Files>,
        dir: LogDir,
        settings: &Arc<Settings>,
        ports: &[u16],
        driver: &dyn Driver,
    ) -> Result<Self, String> {
        let mut random = Random::new(driver.random());
        let leading = log::lead(files, &dir, settings, ports, &mut || random.next(), driver.wall_ms())
            .map_err(|error| error.to_string())?;
        let removals = sweep(&dir, &leading.image).map_err(|error| error.to_string())?;
        Ok(Self {
            dir,
            removals,
            checkpoints: BTreeMap::new(),
            written: BTreeMap::new(),
            is_in_doubt: false,
            starts: Starts::default(),
            writing: VecDeque::new(),
            is_writing: false,
            unread: (0..ports.len()).map(ShardId).collect(),
            is_recovered: false,
            settled: vec![-1; ports.len()],
            held: Vec::new(),
            finishes: None,
            newest: Arc::new(Newest::new(Arc::clone(&leading.image))),
            changes: Changes::new(leading),
            random,
        })
    }

    /// Where shards find the newest image.
    pub(crate) fn newest(&self) -> Arc<Newest> {
        Arc::clone(&self.newest)
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> usize {
        self.settled.len()
    }

    /// Takes a call from a shard.
    pub(crate) fn take_call(&mut self, from: ShardId, call_id: u64, call: Call, wall_ms: i64) {
        let random = &mut self.random;
        self.changes.call((from, call_id), call, &mut || random.next(), wall_ms);
    }

    /// A file whose flush is due, where none is under way.
    pub(crate) fn flush_due(&mut self, wall_ms: i64) -> Option<File> {
        self.changes.flush_due(wall_ms)
    }

    /// See [`Changes::is_held_up`].
    pub(crate) fn is_held_up(&self) -> bool {
        self.changes.is_held_up()
    }

    /// See [`Changes::is_beginning`], [`Changes::vote_due`], [`Changes::voted`].
    pub(crate) fn is_beginning(&self) -> bool {
        self.changes.is_beginning()
    }

    pub(crate) fn vote_due(&mut self, wall_ms: i64) -> Option<Job> {
        self.changes.vote_due(wall_ms)
    }

    pub(crate) fn voted(&mut self, is_well: bool, wall_ms: i64) {
        self.changes.voted(is_well, wall_ms);
    }

    /// The log directory failed: nothing is decided any more.
    pub(crate) fn fail(&mut self, reason: &str) {
        self.changes.fail(reason);
    }

    /// Why nothing is decided before the next start, where that is so.
    pub(crate) fn final_failure(&self) -> Option<String> {
        self.changes.final_failure()
    }

    /// The flush ended.
    pub(crate) fn flushed(&mut self, result: std::io::Result<()>) {
        self.changes.flushed(result);
    }

    /// Publishes what is on the disk, and sends the answers that are true by now. One that finds no room waits for it.
    pub(crate) fn deliver(&mut self, bus: &Bus) {
        if let Some(image) = self.changes.take_published() {
            self.newest.publish(image);
            bus.wake_all();
        }
        self.starts.tell(bus);
        self.held.append(&mut self.changes.take_answers());
        let settled = self.settled.iter().copied().min().unwrap_or(-1);
        let is_true = |answer: &mut Answer| answer.version.is_none_or(|version| version <= settled);
        let ready: Vec<Answer> = self.held.extract_if(.., is_true).collect();
        for Answer { asker: (shard, call_id), outcome, .. } in ready {
            if (shard, call_id) == ITSELF {
                self.finishes = None;
                continue;
            }
            if let Err(Mail::Answer { outcome, .. }) = bus.send(shard, Mail::Answer { call_id, outcome }) {
                self.held.push(Answer { asker: (shard, call_id), outcome, version: None });
            }
        }
    }

    /// Where every shard has given up what moves: whom it goes to leads it.
    pub(crate) fn finish_moves(&mut self, wall_ms: i64) {
        let image = self.newest.latest();
        let has_settled = self.settled.iter().all(|version| *version >= image.version());
        if image.moves().len() == 0 || !has_settled || self.finishes.is_some() || image.is_provisional() {
            return;
        }
        self.finishes = Some(image.version());
        let random = &mut self.random;
        self.changes.call(ITSELF, Call::FinishMoves(image.moves().collect()), &mut || random.next(), wall_ms);
    }

    /// A shard has its folders as the image of this version says, and may have opened every log that the last run left.
    pub(crate) fn take_settled(&mut self, from: ShardId, version: i64, has_read_all: bool) {
        if let Some(settled) = self.settled.get_mut(from.0) {
            *settled = version.max(*settled);
        }
        if has_read_all {
            self.unread.remove(&from);
        }
    }

    /// A shard says how far its partitions are: the checkpoint files are written when that is news.
    pub(crate) fn take_checkpoints(&mut self, from: ShardId, partitions: BTreeMap<PartitionName, Checkpointed>) {
        self.checkpoints.insert(from, partitions);
    }

    /// What removes what the last run left behind, once.
    pub(crate) fn take_removals(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.removals)
    }

    /// The next checkpoint file to be replaced, where one is due and none is under way. Before the first of them stands the
    /// note that every log was checked.
    pub(crate) fn checkpoint_due(&mut self, wall_ms: i64) -> Option<Job> {
        // Before this start is written, the next one must do all that this one did.
        let is_idle = self.writing.is_empty() && !self.is_writing;
        if is_idle && self.checkpoints.len() == self.shards() && !self.is_beginning() {
            if !self.is_recovered && self.unread.is_empty() {
                self.writing.push_back(self.dir.recovered());
                self.is_recovered = true;
            }
            let mut all: BTreeMap<_, _> = std::mem::take(&mut self.checkpoints).into_values().flatten().collect();
            self.changes.log().trim(wall_ms);
            all.insert(log::name(), self.changes.log().checkpoint());
            self.write_down(all);
        } else if is_idle && !self.written.is_empty() && (self.starts.are_asked() || self.changes.log().start_due()) {
            let mut all = self.written.clone();
            all.insert(log::name(), self.changes.log().checkpoint());
            self.write_down(all);
        }
        if self.is_writing { None } else { self.writing.pop_front().inspect(|_| self.is_writing = true) }
    }

    fn write_down(&mut self, mut all: BTreeMap<PartitionName, Checkpointed>) {
        self.keep_moving(&mut all);
        self.starts.enter(&mut all);
        keep_starts(&mut all, &self.written);
        let image = self.newest.latest();
        all.retain(|name, at| *name == log::name() || is_of(&image, name, at.topic_id));
        if all == self.written && !self.is_in_doubt {
            self.starts.written(true);
        } else {
            self.writing.extend(self.dir.checkpoint_jobs(&all));
            self.written = all;
            self.is_in_doubt = false;
        }
    }

    /// What moves from one shard to another may be told by neither: what was said of it before still holds.
    fn keep_moving(&self, all: &mut BTreeMap<PartitionName, Checkpointed>) {
        let image = self.newest.latest();
        for (topic_id, partition) in image.moves() {
            let Some(topic) = image.topic_by_id(topic_id) else { continue };
            let name = PartitionName { topic: topic.name.to_string(), partition };
            if let Some(written) = self.written.get(&name) {
                all.entry(name).or_insert(*written);
            }
        }
    }

    /// A shard has logs that begin later now: the files say so as soon as they can, and the shard is told.
    pub(crate) fn take_starts(&mut self, from: ShardId, partitions: BTreeMap<PartitionName, Checkpointed>) {
        self.starts.ask(from, partitions);
    }

    /// A file was replaced, or could not be: then the next checkpoint writes all of them.
    pub(crate) fn checkpoint_written(&mut self, is_well: bool) {
        self.is_writing = false;
        if !is_well {
            self.writing.clear();
            self.is_in_doubt = true;
            self.is_recovered = false;
        }
        if self.writing.is_empty() {
            self.starts.written(is_well);
            if let Some(at) = self.written.get(&log::name()).filter(|_| is_well) {
                self.changes.log().start_kept(at.log_start_offset);
            }
        }
    }

    /// See [`Changes::snapshot_due`].
    pub(crate) fn snapshot_due(&mut self, now: Nanos, wall_ms: i64) -> (Option<Job>, Option<Nanos>) {
        self.changes.snapshot_due(now, wall_ms)
    }

    /// The metadata log, for what goes on beside the changes.
    pub(crate) fn log(&mut self) -> &mut MetadataLog {
        self.changes.log()
    }

    /// Closes the metadata log, and notes in the log directory how the broker stopped. `all` is what the shards closed.
    pub(crate) fn close(self, mut all: BTreeMap<PartitionName, Checkpointed>, clean: bool) -> Result<(), StorageError> {
        let clean = clean && !self.is_beginning();
        self.keep_moving(&mut all);
        all.insert(log::name(), self.changes.close()?);
        if clean { self.dir.close_clean(&all) } else { self.dir.write_checkpoints(&all) }
    }
}

/// A log start that was noted does not go back: what a shard said of its logs before may be read after it, where another shard
/// was late.
fn keep_starts(all: &mut BTreeMap<PartitionName, Checkpointed>, written: &BTreeMap<PartitionName, Checkpointed>) {
    for (name, at) in all {
        if let Some(before) = written.get(name).filter(|before| before.topic_id == at.topic_id) {
            at.log_start_offset = at.log_start_offset.max(before.log_start_offset);
        }
    }
}

/// Whether a partition is of the topic that has its name now. The files have one id for a name: with that of the topic before
/// beside it, what they say of the new one would not count, and its folder would be nobody's.
fn is_of(image: &Image, name: &PartitionName, topic_id: Uuid) -> bool {
    image.topic(&name.topic).is_some_and(|topic| topic.id == topic_id)
}

/// Takes folders out of the way whose topics the image does not have. Gives what removes those of deleted ones.
fn sweep(dir: &LogDir, image: &Image) -> Result<Vec<Job>, StorageError> {
    dir.sweep(|name| {
        let is_there = |topic: &Arc<Topic>| topic.partitions.contains_key(&name.partition);
        *name == log::name() || image.topic(&name.topic).is_some_and(is_there)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_start_that_was_noted_stays_where_a_shard_said_less_before_it() {
        let name = PartitionName { topic: "t".to_owned(), partition: 0 };
        let at = |topic: u8, log_start_offset| {
            let at =
                Checkpointed { topic_id: Uuid([topic; 16]), recovery_point: 0, log_start_offset, cleaned_offset: 0 };
            BTreeMap::from([(name.clone(), at)])
        };
        for (written, said, kept) in [((1, 7), (1, 5), 7), ((1, 5), (1, 7), 7), ((1, 7), (2, 0), 0)] {
            let mut all = at(said.0, said.1);
            keep_starts(&mut all, &at(written.0, written.1));
            assert_eq!(all, at(said.0, kept));
        }
    }
}
