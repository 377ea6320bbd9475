//! Fetches that wait: until readers see enough bytes more of their partitions, or their time is over.
//!
//! Waiting costs nothing: a partition of which more is visible tells who watches it. What a fetch watches goes with it,
//! whichever way it goes: answered, expired, or dropped with its connection.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ringlog_io::Nanos;

use crate::broker::ReplyTo;
use crate::limits;
use crate::replica::PartitionKey;

/// A fetch that waits, by the place of its answer.
#[derive(Debug)]
pub(crate) struct Wait<F> {
    pub(crate) fetch: F,
    pub(crate) deadline: Nanos,
    /// How many bytes more must be visible.
    pub(crate) missing_bytes: usize,
    /// What it reads.
    pub(crate) watches: Vec<PartitionKey>,
    /// What it takes of memory.
    pub(crate) memory_bytes: usize,
}

/// All waiting fetches of a shard.
#[derive(Debug)]
pub(crate) struct Waiting<F> {
    waits: BTreeMap<ReplyTo, Wait<F>>,
    watched: BTreeSet<(PartitionKey, ReplyTo)>,
    ready: VecDeque<ReplyTo>,
    /// The sum of the waits' own.
    memory_bytes: usize,
}

impl<F> Default for Waiting<F> {
    fn default() -> Self {
        Self { waits: BTreeMap::new(), watched: BTreeSet::new(), ready: VecDeque::new(), memory_bytes: 0 }
    }
}

impl<F> Waiting<F> {
    /// Lets a fetch wait.
    pub(crate) fn insert(&mut self, id: ReplyTo, wait: Wait<F>) {
        self.watched.extend(wait.watches.iter().map(|key| (*key, id)));
        self.memory_bytes += wait.memory_bytes;
        self.waits.insert(id, wait);
    }

    /// What they take of memory, all together.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Whether one more may wait, which takes so many bytes, where all together may take `memory_bytes_max`.
    pub(crate) fn has_room(&self, memory_bytes: usize, memory_bytes_max: usize) -> bool {
        #[cfg(feature = "plant")]
        if ringlog_io::plant::is(ringlog_io::plant::MEMORY_UNBOUNDED) {
            return true;
        }
        self.waits.len() < limits::WAITING_FETCHES && self.memory_bytes + memory_bytes <= memory_bytes_max
    }

    /// Readers see so many bytes more of a partition.
    pub(crate) fn grew(&mut self, key: PartitionKey, bytes: usize) {
        for (_, id) in self.watched.range((key, ReplyTo::FIRST)..=(key, ReplyTo::LAST)) {
            let Some(wait) = self.waits.get_mut(id) else { continue };
            let was_missing = wait.missing_bytes > 0;
            wait.missing_bytes = wait.missing_bytes.saturating_sub(bytes);
            if was_missing && wait.missing_bytes == 0 {
                self.ready.push_back(*id);
            }
        }
    }

    /// Something else happened to a partition (it was removed, its leader changed): who watches it looks now.
    pub(crate) fn disturb(&mut self, key: PartitionKey) {
        self.grew(key, usize::MAX);
    }

    /// The time of a fetch is over.
    pub(crate) fn expire(&mut self, id: ReplyTo) {
        self.ready.push_back(id);
    }

    /// The next fetch that may have waited long enough.
    pub(crate) fn take_ready(&mut self) -> Option<(ReplyTo, Wait<F>)> {
        while let Some(id) = self.ready.pop_front() {
            if let Some(wait) = self.take(id) {
                return Some((id, wait));
            }
        }
        None
    }

    /// A fetch of this connection, whose client is gone.
    pub(crate) fn take_of(&mut self, connection: u32, generation: u32) -> Option<(ReplyTo, Wait<F>)> {
        let of = |slot| ReplyTo { connection, generation, slot };
        let (&id, _) = self.waits.range(of(0)..=of(u64::MAX)).next()?;
        self.take(id).map(|wait| (id, wait))
    }

    fn take(&mut self, id: ReplyTo) -> Option<Wait<F>> {
        let wait = self.waits.remove(&id)?;
        self.memory_bytes -= wait.memory_bytes;
        #[cfg(feature = "plant")]
        if ringlog_io::plant::is(ringlog_io::plant::WAITER_KEPT) {
            return Some(wait);
        }
        for key in &wait.watches {
            self.watched.remove(&(*key, id));
        }
        Some(wait)
    }

    /// Fetches that wait, and what they watch: both 0 when everything was answered.
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.waits.len(), self.watched.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(connection: u32) -> ReplyTo {
        ReplyTo { connection, generation: 1, slot: 7 }
    }

    fn key(partition: i32) -> PartitionKey {
        PartitionKey { topic_id: ringlog_wire::Uuid([1; 16]), partition }
    }

    fn wait(missing_bytes: usize, partitions: std::ops::Range<i32>) -> Wait<&'static str> {
        let watches = partitions.map(key).collect();
        Wait { fetch: "fetch", deadline: Nanos(100), missing_bytes, watches, memory_bytes: 1000 }
    }

    fn ready(waiting: &mut Waiting<&'static str>) -> Vec<u32> {
        std::iter::from_fn(|| waiting.take_ready()).map(|(id, _)| id.connection).collect()
    }

    #[test]
    fn a_fetch_is_ready_when_enough_is_visible_on_any_of_its_partitions() {
        let mut waiting = Waiting::default();
        waiting.insert(id(1), wait(10, 0..2));
        waiting.grew(key(0), 9);
        waiting.grew(key(2), 9);
        assert!(ready(&mut waiting).is_empty());
        waiting.grew(key(1), 1);
        waiting.grew(key(1), 1);
        assert_eq!(ready(&mut waiting), [1]);
    }

    #[test]
    fn what_a_fetch_watches_goes_with_it() {
        let mut waiting = Waiting::default();
        (1..=3).for_each(|connection| waiting.insert(id(connection), wait(1, 0..300)));
        assert_eq!(waiting.held(), (3, 900));
        waiting.grew(key(5), 1);
        waiting.expire(id(2));
        assert!(waiting.take_of(3, 1).is_some() && waiting.take_of(3, 1).is_none());
        assert_eq!(ready(&mut waiting), [1, 2]);
        assert_eq!(waiting.held(), (0, 0));
    }

    #[test]
    fn all_together_take_no_more_memory_than_there_is() {
        let mut waiting = Waiting::default();
        assert!(waiting.has_room(1000, 2000));
        (1..=2).for_each(|connection| waiting.insert(id(connection), wait(1, 0..1)));
        assert!(!waiting.has_room(1, 2000));
        waiting.expire(id(1));
        assert_eq!(ready(&mut waiting), [1]);
        assert!(waiting.has_room(1000, 2000) && !waiting.has_room(1001, 2000));
    }

    #[test]
    fn only_the_generation_that_is_gone_loses_its_fetch() {
        let mut waiting = Waiting::default();
        waiting.insert(id(1), wait(1, 0..1));
        assert!(waiting.take_of(1, 2).is_none() && waiting.take_of(0, 1).is_none());
        waiting.disturb(key(0));
        assert_eq!(ready(&mut waiting), [1]);
    }
}
