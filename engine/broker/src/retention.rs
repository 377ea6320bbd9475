//! Old segments: looked for every `log.retention.check.interval.ms`, a slice of the partitions each turn, and removed beside
//! the shard's thread. How a log loses its beginning: `ringlog_storage`, `retention.rs`.
//!
//! ```text
//!   queue --look--> Moved --> moved --Mail::Starts--> shard 0: log-start-offset-checkpoint, on the disk
//!     ^      |                                           |
//!     |      +--> a roll, a lookup: waiting --+          +--Mail::StartsKept--> files get their last name (a job)
//!     +---------- resume: that job ended -----+                                   --file.delete.delay.ms--> removed (a job)
//! ```
//! DeleteRecords moves a log's start the same way, and is answered when that is kept.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ringlog_io::{Job, Nanos};
use ringlog_storage::{Checkpointed, PartitionName, Ready, Retained};

use crate::broker::Broker;
use crate::handlers::delete_records;
use crate::jobs::Purpose;
use crate::replica::PartitionKey;
use crate::timers::Timer;

/// Partitions of one turn: a look costs some comparisons, and a segment that is to go some map entries.
const SLICE: usize = 64;
const NS_PER_MS: u64 = 1_000_000;

/// See the head of the file.
#[derive(Debug, Default)]
pub(crate) struct Retention {
    next_check: Nanos,
    queue: VecDeque<PartitionKey>,
    /// Partitions that are looked at again when a job has ended.
    waiting: BTreeSet<PartitionKey>,
    /// What shard 0 is to be told.
    moved: BTreeMap<PartitionName, Checkpointed>,
    /// What removes files, by the time when it is to be done.
    removals: BTreeMap<(Nanos, u64), Job>,
    next_removal: u64,
}

impl Retention {
    pub(crate) fn take_moved(&mut self) -> BTreeMap<PartitionName, Checkpointed> {
        std::mem::take(&mut self.moved)
    }

    /// They could not be told: what moved on since stays so.
    pub(crate) fn put_back(&mut self, partitions: BTreeMap<PartitionName, Checkpointed>) {
        for (name, checkpointed) in partitions {
            self.moved.entry(name).or_insert(checkpointed);
        }
    }
}

/// The first look comes `log.initial.task.delay.ms` after the start.
pub(crate) fn begin(broker: &mut Broker) {
    broker.retention.next_check = after(broker, broker.settings.log_initial_task_delay_ms());
    set_timer(broker);
}

/// The time of [`Timer::Retention`] has come: a slice of what is to be looked at, and what is to be removed.
pub(crate) fn work(broker: &mut Broker) {
    if broker.retention.queue.is_empty() && broker.retention.next_check <= broker.now {
        broker.retention.queue.extend(broker.replicas.keys());
        broker.retention.waiting.clear();
        broker.retention.next_check = after(broker, broker.settings.log_retention_check_interval_ms());
    }
    for _ in 0..SLICE {
        let Some(key) = broker.retention.queue.pop_front() else { break };
        look(broker, key);
    }
    while let Some(entry) = broker.retention.removals.first_entry().filter(|entry| entry.key().0 <= broker.now) {
        let job = entry.remove();
        broker.jobs.run(Purpose::Removal, job);
    }
    set_timer(broker);
}

fn after(broker: &Broker, ms: u64) -> Nanos {
    Nanos(broker.now.0.saturating_add(ms.saturating_mul(NS_PER_MS)))
}

fn set_timer(broker: &mut Broker) {
    let retention = &broker.retention;
    // The next turn, after whatever came in.
    let slice = (!retention.queue.is_empty()).then_some(Nanos(broker.now.0 + 1));
    let removal = retention.removals.first_key_value().map(|((at, _), _)| *at);
    let next = [slice, removal, Some(retention.next_check)].into_iter().flatten().min();
    broker.timers.set(Timer::Retention, next);
}

/// A partition is to be looked at in the next turn.
pub(crate) fn enqueue(broker: &mut Broker, key: PartitionKey) {
    broker.retention.queue.push_back(key);
    set_timer(broker);
}

fn look(broker: &mut Broker, key: PartitionKey) {
    let Some(place) = broker.replicas.find(key) else { return };
    let replica = broker.replicas.at_mut(place);
    match replica.retain(broker.wall_ms, &mut broker.news) {
        Ok(Ready::Now(Retained::Nothing)) => {}
        Ok(Ready::Now(Retained::Moved)) => {
            let log = replica.log();
            tracing::info!(name = %replica.name(), log_start_offset = log.log_start_offset(), "old segments go");
        }
        Ok(Ready::Now(Retained::Busy)) => drop(broker.retention.waiting.insert(key)),
        Ok(Ready::Now(Retained::Roll(job))) => {
            broker.retention.waiting.insert(key);
            broker.jobs.run(Purpose::Beside(key), job);
        }
        Ok(Ready::Later(job)) => {
            broker.retention.waiting.insert(key);
            job.into_iter().for_each(|(lookup, job)| broker.jobs.run(Purpose::Lookup(key, lookup), job));
        }
        Err(error) => tracing::warn!(name = %replica.name(), %error, "it is not known which segments are old"),
    }
    note_start(broker, key);
    clear_away(broker, key);
}

/// Where the log's start is not in the checkpoint file, shard 0 is told. True: that is so.
pub(crate) fn note_start(broker: &mut Broker, key: PartitionKey) -> bool {
    let Some(place) = broker.replicas.find(key) else { return false };
    let replica = broker.replicas.at(place);
    let is_news = !replica.log().is_start_kept();
    if is_news {
        broker.retention.moved.insert(replica.name(), replica.log().checkpointed());
    }
    is_news
}

/// A job of a partition ended, for which the next step of retention may have waited.
pub(crate) fn resume(broker: &mut Broker, key: PartitionKey) {
    if broker.retention.waiting.remove(&key) {
        enqueue(broker, key);
    }
    clear_away(broker, key);
}

/// The checkpoint file says where these logs begin, or could not be written: then the next look asks again.
pub(crate) fn kept(broker: &mut Broker, partitions: BTreeMap<PartitionName, Checkpointed>, is_well: bool) {
    for (name, Checkpointed { topic_id, log_start_offset, .. }) in partitions {
        let key = PartitionKey { topic_id, partition: name.partition };
        if let Some(place) = broker.replicas.find(key).filter(|_| is_well) {
            broker.replicas.at_mut(place).start_kept(log_start_offset);
            clear_away(broker, key);
        }
        delete_records::kept(broker, key, log_start_offset, is_well);
    }
}

/// Asks for what takes the files of old segments away, as far as that may be.
pub(crate) fn clear_away(broker: &mut Broker, key: PartitionKey) {
    let Some(place) = broker.replicas.find(key) else { return };
    let replica = broker.replicas.at_mut(place);
    if let Some(job) = replica.set_aside_due() {
        broker.jobs.run(Purpose::Beside(key), job);
    }
    while let Some((delay_ms, job)) = broker.replicas.at_mut(place).removal() {
        remove_later(broker, delay_ms, job);
    }
}

/// Runs a job that removes files, so many milliseconds later.
pub(crate) fn remove_later(broker: &mut Broker, delay_ms: i64, job: Job) {
    let at = after(broker, u64::try_from(delay_ms).unwrap_or(0));
    broker.retention.removals.insert((at, broker.retention.next_removal), job);
    broker.retention.next_removal += 1;
    set_timer(broker);
}
