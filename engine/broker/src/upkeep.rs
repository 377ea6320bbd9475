//! Folders follow the image: partitions that became this shard's are opened, deleted ones are removed. In slices: thousands
//! of them take seconds, and other clients are served meanwhile.
//!
//! ```text
//!   enqueue --> queue --a slice each turn--> opened, removed
//!                ^          | cannot be opened (no descriptor, no room, damaged)
//!                +- later --+ failed: clients get KAFKA_STORAGE_ERROR, NOT_COORDINATOR
//! ```
//!
//! In the queue stand names only: what is to be done is decided when it is done, against the image of that turn. What came
//! first is done first, so that a topic that is made again finds the folder of the one before it gone. A failure is tried
//! again until it succeeds, at once where the last try of another did.
//!
//! What the last run left is opened behind the start, each log when a job has checked it ([`crate::unread`]).

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::rc::Rc;
use std::sync::Arc;

use ringlog_io::Nanos;
use ringlog_storage::{Checkpointed, KnownProducers, Startup};
use ringlog_wire::ErrorCode;

use crate::broker::Broker;
use crate::coordinator_load;
use crate::coordinators::Coordinator;
use crate::jobs::Purpose;
use crate::metadata::image::{Owner, Partition, ShardId, Topic};
use crate::openings;
use crate::replica::{PartitionKey, Role};
use crate::replicas::Opening;
use crate::retention;
use crate::settings::topic_config;
use crate::timers::Timer;
use crate::unread::{Known, Unread};

/// Partitions of one turn: each makes or removes a folder with its files, a millisecond or two.
const SLICE: usize = 4;
/// The time to the next try after one that failed; it doubles up to the second.
const RETRY_NS_MIN: u64 = 250_000_000;
const RETRY_NS_MAX: u64 = 4_000_000_000;

/// What the shard that a partition leaves knows of its log, which it has closed.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) topic: Arc<str>,
    pub(crate) known: Known,
    /// None where closing failed: they are read from the folder.
    pub(crate) producers: Option<KnownProducers>,
}

/// See the head of the file.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    queue: VecDeque<PartitionKey>,
    /// What could not be opened, and why.
    failed: BTreeMap<PartitionKey, String>,
    /// The last of them that was tried again.
    last_retry: Option<PartitionKey>,
    retry_ns: u64,
    /// What was not opened yet of what the last run left, or another shard.
    pub(crate) unread: Unread,
    /// What was given up, and is to be told to whom it goes.
    handed: Vec<(ShardId, PartitionKey, Handed)>,
    /// Producers of logs that move here.
    producers: BTreeMap<PartitionKey, KnownProducers>,
    /// The first in the queue is a folder in which a job is at work: it must keep its name until that has ended.
    is_held_up: bool,
}

impl Upkeep {
    /// Whether the folders are as the image of the last turn has them, but for those that failed.
    pub(crate) fn is_settled(&self) -> bool {
        self.queue.is_empty() && self.handed.is_empty()
    }

    /// Who is to be told what was given up.
    pub(crate) fn take_handed(&mut self) -> Vec<(ShardId, PartitionKey, Handed)> {
        std::mem::take(&mut self.handed)
    }

    /// They could not be told.
    pub(crate) fn put_back(&mut self, handed: (ShardId, PartitionKey, Handed)) {
        self.handed.push(handed);
    }

    /// Whether every log that the last run left was opened: otherwise this run cannot vouch for them.
    pub(crate) fn has_read_all(&self) -> bool {
        self.unread.is_empty()
    }

    /// Whether all that were not opened are as a clean stop left them.
    pub(crate) fn are_as_closed(&mut self) -> bool {
        self.unread.are_as_closed()
    }

    /// What the shard that gives up a log knows of its producers.
    pub(crate) fn knows_producers(&mut self, key: PartitionKey, producers: Option<KnownProducers>) {
        self.producers.extend(producers.map(|producers| (key, producers)));
    }

    /// Whether it could not be opened.
    pub(crate) fn has_failed(&self, key: PartitionKey) -> bool {
        self.failed.contains_key(&key)
    }

    /// How many partitions of ours could not be opened.
    pub(crate) fn failed(&self) -> usize {
        self.failed.len()
    }

    /// How many logs of ours are still to be opened.
    pub(crate) fn unopened(&self) -> usize {
        self.unread.len()
    }

    /// What the checkpoints of the last run say of those that were not.
    pub(crate) fn unread(&self) -> impl Iterator<Item = (PartitionKey, Checkpointed)> + '_ {
        self.unread.checkpointed()
    }

    /// Whether a log is here that was not opened.
    pub(crate) fn has_unread(&self, key: PartitionKey) -> bool {
        self.unread.has(key)
    }

    /// Connections whose next request waited for a log.
    pub(crate) fn take_let_go(&mut self) -> impl Iterator<Item = u32> + use<> {
        self.unread.take_let_go().into_iter()
    }

    /// Why a partition of ours has no log.
    pub(crate) fn error(&self, key: PartitionKey) -> ErrorCode {
        if self.failed.contains_key(&key) { ErrorCode::KAFKA_STORAGE_ERROR } else { ErrorCode::LEADER_NOT_AVAILABLE }
    }

    pub(crate) fn note(&mut self, key: PartitionKey, name: &str, result: Result<(), String>) {
        match result {
            Ok(()) => {
                if self.failed.remove(&key).is_some() {
                    tracing::info!(name, "is served again");
                    self.retry_ns = 0;
                }
            }
            Err(reason) => {
                if self.failed.get(&key) != Some(&reason) {
                    tracing::error!(name, reason, "cannot be served; it is tried again");
                }
                self.failed.insert(key, reason);
            }
        }
    }

    /// Puts a slice of what failed back into the queue, in turn.
    fn retry(&mut self) {
        let from = self.last_retry.map_or(Bound::Unbounded, Bound::Excluded);
        let round = self.failed.range((from, Bound::Unbounded)).chain(&self.failed).map(|(key, _)| *key);
        self.queue.extend(round.take(SLICE.min(self.failed.len())));
        self.last_retry = self.queue.back().copied();
        self.retry_ns = (self.retry_ns * 2).clamp(RETRY_NS_MIN, RETRY_NS_MAX);
    }
}

/// A partition that this shard leads and has no log of, or has a log of and that is gone.
pub(crate) fn enqueue(broker: &mut Broker, key: PartitionKey) {
    broker.upkeep.queue.push_back(key);
    set_timer(broker);
}

/// The time of [`Timer::Upkeep`] has come: the next slice.
pub(crate) fn work(broker: &mut Broker) {
    if broker.upkeep.queue.is_empty() {
        broker.upkeep.retry();
    }
    for _ in 0..SLICE {
        let Some(key) = broker.upkeep.queue.pop_front() else { break };
        if is_busy(broker, key) {
            broker.upkeep.queue.push_front(key);
            broker.upkeep.is_held_up = true;
            break;
        }
        settle(broker, key);
    }
    openings::check_logs(broker);
    set_timer(broker);
}

/// Whether a partition is to be removed or given up.
pub(crate) fn is_leaving(broker: &Broker, key: PartitionKey) -> bool {
    let topic = broker.image.topic_by_id(key.topic_id);
    !topic.is_some_and(|topic| broker.image.owner(topic, key.partition, broker.shard) == Owner::Local)
}

/// Whether it is, and a job is at work in its folder.
fn is_busy(broker: &Broker, key: PartitionKey) -> bool {
    let is_at_work = |place| broker.replicas.at(place).log().is_busy();
    is_leaving(broker, key)
        && (broker.upkeep.unread.is_being_checked(key) || broker.replicas.find(key).is_some_and(is_at_work))
}

/// A job that was at work in a folder has ended.
pub(crate) fn went_quiet(broker: &mut Broker) {
    if std::mem::take(&mut broker.upkeep.is_held_up) {
        set_timer(broker);
    }
}

pub(crate) fn set_timer(broker: &mut Broker) {
    let upkeep = &broker.upkeep;
    let wait_ns = match (upkeep.queue.is_empty(), upkeep.failed.is_empty()) {
        _ if upkeep.is_held_up => None,
        // The next turn, after whatever came in.
        (false, _) => Some(1),
        (true, false) => Some(upkeep.retry_ns.max(1)),
        (true, true) => None,
    };
    broker.timers.set(Timer::Upkeep, wait_ns.map(|ns| Nanos(broker.now.0 + ns)));
}

/// Makes a partition's folder what the image says.
pub(crate) fn settle(broker: &mut Broker, key: PartitionKey) {
    let image = Arc::clone(&broker.image);
    match image.topic_by_id(key.topic_id) {
        Some(topic) if image.owner(topic, key.partition, broker.shard) == Owner::Local => {
            if let Some(result) = serve(broker, topic, key).transpose() {
                broker.upkeep.note(key, &format!("{}-{}", topic.name, key.partition), result);
            }
        }
        Some(topic) => {
            broker.upkeep.failed.remove(&key);
            hand_over(broker, topic, key);
        }
        None => {
            broker.upkeep.failed.remove(&key);
            broker.upkeep.producers.remove(&key);
            remove(broker, key);
        }
    }
}

/// `None`: it is served when it was checked ([`openings::checked`]), or when its coordinator has loaded it ([`loaded`]).
fn serve(broker: &mut Broker, topic: &Topic, key: PartitionKey) -> Result<Option<()>, String> {
    if broker.replicas.find(key).is_none() {
        if broker.upkeep.unread.needs_check(key) {
            return Ok(None);
        }
        open(broker, topic, key)?;
        broker.upkeep.unread.remove(key);
    }
    if let Some(coordinator) = Coordinator::of(&topic.name)
        && !coordinator.leads(broker, key.partition)
    {
        coordinator_load::begin(broker, coordinator, key);
        return Ok(None);
    }
    Ok(Some(()))
}

/// A coordinator's partition was loaded, or could not be: then it is tried again.
pub(crate) fn loaded(broker: &mut Broker, of: Coordinator, key: PartitionKey, result: Result<(), String>) {
    broker.upkeep.note(key, &format!("{}-{}", of.topic(), key.partition), result);
    set_timer(broker);
}

fn open(broker: &mut Broker, topic: &Topic, key: PartitionKey) -> Result<(), String> {
    let (how, checkpointed) =
        broker.upkeep.unread.get(key).map_or((Startup::SameBoot, Default::default()), |log| log.known);
    let partition = topic.partition(key.partition).ok_or("the topic has no such partition")?;
    let opening = Opening {
        topic: Rc::from(&*topic.name),
        key,
        role: role(broker, topic, key.partition, partition),
        config: topic_config::log_config(&topic.configs, &broker.settings),
        how,
        checkpointed,
    };
    let report = broker.replicas.open(opening, broker.wall_ms).map_err(|error| {
        if error.is_final() {
            broker.news.failed.get_or_insert_with(|| error.to_string());
        }
        error.to_string()
    })?;
    if let Some(producers) = broker.upkeep.producers.remove(&key)
        && let Some(place) = broker.replicas.find(key)
    {
        broker.replicas.at_mut(place).take_over(producers);
    }
    retention::clear_away(broker, key);
    if let Some(report) = report.filter(|report| !report.is_quiet()) {
        tracing::warn!(topic = %topic.name, partition = key.partition, ?report, "the log was repaired");
    }
    Ok(())
}

/// What the image and the settings say of a partition that this shard leads.
pub(crate) fn role(broker: &Broker, topic: &Topic, number: i32, partition: &Partition) -> Role {
    Role {
        leader_epoch: partition.leader_epoch,
        rules: topic_config::rules(&topic.configs, &broker.settings),
        in_sync_replicas_missing: topic
            .min_insync_replicas(&broker.settings)
            .saturating_sub(topic.in_sync_replicas(number)),
    }
}

/// Gives up a partition that moves to another shard.
fn hand_over(broker: &mut Broker, topic: &Topic, key: PartitionKey) {
    let to = topic.partition(key.partition).and_then(|partition| partition.adding.first().copied());
    let Some(to) = to.and_then(|node| broker.image.here().shard(node)) else { return };
    if let Some(log) = broker.upkeep.unread.remove(key) {
        let producers = broker.upkeep.producers.remove(&key);
        return broker.upkeep.handed.push((to, key, Handed { topic: log.topic, known: log.known, producers }));
    }
    broker.writebacks.forget(key);
    let Some((handed, failed)) = broker.replicas.hand_over(key, &mut broker.news) else { return };
    if let Some(error) = failed {
        tracing::error!(topic = %topic.name, partition = key.partition, %error, "a log that moves could not be closed: it is checked when it is opened");
        if error.is_final() {
            broker.news.failed.get_or_insert_with(|| error.to_string());
        }
    }
    broker.upkeep.handed.push((to, key, handed));
}

/// Forgets a deleted partition. Its folder gets the name of one that goes, and goes beside the thread.
fn remove(broker: &mut Broker, key: PartitionKey) {
    let (topic, removed) = if let Some(log) = broker.upkeep.unread.remove(key) {
        let removed = broker.replicas.remove_unopened(&log.topic, key);
        (log.topic, removed)
    } else if let Some(place) = broker.replicas.find(key) {
        let topic = Arc::from(&*broker.replicas.at(place).topic);
        broker.writebacks.forget(key);
        (topic, broker.replicas.remove(key, &mut broker.news).transpose())
    } else {
        return;
    };
    match removed {
        Ok(job) => job.into_iter().for_each(|job| broker.jobs.run(Purpose::Removal, job)),
        Err(error) => {
            tracing::error!(%topic, partition = key.partition, %error, "a deleted partition's folder was left behind");
        }
    }
}

#[cfg(test)]
#[path = "upkeep_tests.rs"]
mod tests;
