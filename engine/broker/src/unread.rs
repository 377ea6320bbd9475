//! Logs that the last run left and that this one has not opened yet: each is checked by a job beside the shard's thread, and then
//! opened on it ([`crate::openings`]). Clients are served meanwhile; a request that names one of them waits for it, and it goes
//! before those that nobody has asked for.
//!
//! ```text
//!   start --> due --(CHECKS at a time)--> checking --> checked --opened--> gone from here
//!              ^                             |            |
//!              +------- tried again ---------+-- failed --+      who waited is let go, and told
//! ```
//! Invariants: a folder that is being checked is touched by its check alone; whoever waits for a log is let go when it was opened,
//! could not be, is deleted, or goes to another shard.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use ringlog_storage::{Checkpointed, LogCheck, Startup};

use crate::replica::PartitionKey;

/// Checks of one shard that run at a time: fewer than the threads that do its jobs, lest a roll waits for gigabytes to be read.
pub(crate) const CHECKS: usize = 3;

/// How a log is to be opened that was not opened yet in this run.
pub(crate) type Known = (Startup, Checkpointed);

/// One of them.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) topic: Arc<str>,
    pub(crate) known: Known,
    /// Opening it does not take long.
    is_checked: bool,
}

/// See the head of the file.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    logs: BTreeMap<PartitionKey, Log>,
    due: BTreeSet<PartitionKey>,
    /// Those that were asked for, the first one first, and which they are.
    queue: VecDeque<PartitionKey>,
    asked_for: BTreeSet<PartitionKey>,
    checking: BTreeMap<PartitionKey, LogCheck>,
    /// Connections whose next request names a log that comes.
    waiting: BTreeMap<PartitionKey, BTreeSet<u32>>,
    let_go: BTreeSet<u32>,
}

impl Unread {
    /// A log of the last run.
    pub(crate) fn found(&mut self, key: PartitionKey, topic: Arc<str>, known: Known) {
        self.logs.insert(key, Log { topic, known, is_checked: false });
        self.due.insert(key);
    }

    /// A log that another shard gave up. What it has not opened in this boot either may be long to check.
    pub(crate) fn takes_over(&mut self, key: PartitionKey, topic: Arc<str>, known: Known) {
        self.logs.insert(key, Log { topic, known, is_checked: known.0 != Startup::NewBoot });
    }

    /// Whether it was not opened.
    pub(crate) fn has(&self, key: PartitionKey) -> bool {
        self.logs.contains_key(&key)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.logs.len()
    }

    /// How it is to be opened.
    pub(crate) fn get(&self, key: PartitionKey) -> Option<&Log> {
        self.logs.get(&key)
    }

    /// What the checkpoints of the last run say of each.
    pub(crate) fn checkpointed(&self) -> impl Iterator<Item = (PartitionKey, Checkpointed)> + '_ {
        self.logs.iter().map(|(key, log)| (*key, log.known.1))
    }

    /// Whether a clean stop had closed all that are left, and nothing was done to any since. No job is under way any more: a check
    /// that was not heard of says what it left.
    pub(crate) fn are_as_closed(&mut self) -> bool {
        for (key, check) in std::mem::take(&mut self.checking) {
            if check.left_clean() {
                self.due.insert(key);
            }
        }
        let is_as_closed = |(key, log): (&PartitionKey, &Log)| {
            log.known.0 == Startup::Clean && !log.is_checked && self.due.contains(key)
        };
        self.logs.iter().all(is_as_closed)
    }

    /// Whether its check is to come, or under way.
    pub(crate) fn is_coming(&self, key: PartitionKey) -> bool {
        self.due.contains(&key) || self.is_being_checked(key)
    }

    /// Whether any is.
    pub(crate) fn are_coming(&self) -> bool {
        !self.due.is_empty() || !self.checking.is_empty()
    }

    pub(crate) fn is_being_checked(&self, key: PartitionKey) -> bool {
        self.checking.contains_key(&key)
    }

    /// Makes a check due, where opening it takes one. False: it takes none.
    pub(crate) fn needs_check(&mut self, key: PartitionKey) -> bool {
        let needs = self.logs.get(&key).is_some_and(|log| !log.is_checked);
        if needs && !self.is_being_checked(key) {
            self.due.insert(key);
        }
        needs
    }

    /// It goes before those that nobody asked for.
    pub(crate) fn ask_for(&mut self, key: PartitionKey) {
        if self.due.contains(&key) && self.asked_for.insert(key) {
            self.queue.push_back(key);
        }
    }

    /// The next request of this connection waits for it.
    pub(crate) fn wait_for(&mut self, key: PartitionKey, connection: u32) {
        self.waiting.entry(key).or_default().insert(connection);
    }

    /// The next one to be checked, where there is room for a check.
    pub(crate) fn next_due(&mut self) -> Option<PartitionKey> {
        if self.checking.len() >= CHECKS {
            return None;
        }
        while let Some(key) = self.queue.pop_front() {
            self.asked_for.remove(&key);
            if self.due.remove(&key) {
                return Some(key);
            }
        }
        self.due.pop_first()
    }

    pub(crate) fn begun(&mut self, key: PartitionKey, check: LogCheck) {
        self.checking.insert(key, check);
    }

    /// Its check ended. The topic's name beside it.
    pub(crate) fn ended(&mut self, key: PartitionKey) -> Option<(Arc<str>, LogCheck)> {
        let check = self.checking.remove(&key)?;
        let log = self.logs.get(&key).unwrap_or_else(|| unreachable!("a folder that is being checked is kept"));
        Some((Arc::clone(&log.topic), check))
    }

    /// It is to be opened so from now on, and that does not take long.
    pub(crate) fn checked(&mut self, key: PartitionKey, how: Startup) {
        if let Some(log) = self.logs.get_mut(&key) {
            log.known.0 = how;
            log.is_checked = true;
        }
    }

    /// It was opened, is another shard's, or is gone.
    pub(crate) fn remove(&mut self, key: PartitionKey) -> Option<Log> {
        self.due.remove(&key);
        self.let_go(key);
        self.logs.remove(&key)
    }

    /// Who waits for it waits no more.
    pub(crate) fn let_go(&mut self, key: PartitionKey) {
        self.let_go.extend(self.waiting.remove(&key).into_iter().flatten());
    }

    /// Nobody waits any more.
    pub(crate) fn let_all_go(&mut self) {
        self.let_go.extend(std::mem::take(&mut self.waiting).into_values().flatten());
    }

    /// Connections whose next request does not wait any more, or not for the same.
    pub(crate) fn take_let_go(&mut self) -> BTreeSet<u32> {
        std::mem::take(&mut self.let_go)
    }
}
