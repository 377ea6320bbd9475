//! What is to happen at a time: one ordered queue. Each timer is set once at most; setting it again moves it.

use std::collections::{BTreeMap, BTreeSet};

use ringlog_io::Nanos;

use crate::broker::ReplyTo;

/// What there is to do when a time has come. In a tie, the first of these goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The first deadline of the group coordinator.
    Groups,
    /// The first deadline of the transaction coordinator.
    Transactions,
    /// Markers that could not be written.
    Markers,
    /// A fetch has waited for its max_wait_ms.
    Fetch(ReplyTo),
    /// Partitions whose flush.ms runs.
    Flushes,
    /// Partitions to be opened or removed.
    Upkeep,
    /// The first task that goes on.
    Tasks,
    /// Connections that may have been silent for too long.
    IdleConnections,
    /// Connections that hold the memory that others wait for.
    Holders,
    /// What this start could not write for want of room; a flush of the metadata log that could not begin.
    Beginning,
    /// Offsets of deleted topics that could not be removed.
    Sweep,
    /// The checkpoint of all partitions.
    Checkpoint,
    /// A snapshot of the metadata log.
    Snapshot,
    /// Old segments to be looked for, or to be removed.
    Retention,
    /// Compacted logs to be looked at.
    Cleaner,
    /// A log has waited for the disk, or others may have made room.
    Writeback,
}

/// The queue.
#[derive(Debug)]
pub(crate) struct Timers<T> {
    queue: BTreeSet<(Nanos, T)>,
    times: BTreeMap<T, Nanos>,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self { queue: BTreeSet::new(), times: BTreeMap::new() }
    }
}

impl<T: Copy + Ord> Timers<T> {
    /// Sets a timer, moves it, or (`None`) takes it off.
    pub(crate) fn set(&mut self, timer: T, at: Option<Nanos>) {
        if self.times.get(&timer).copied() == at {
            return;
        }
        if let Some(before) = self.times.remove(&timer) {
            self.queue.remove(&(before, timer));
        }
        if let Some(at) = at {
            self.times.insert(timer, at);
            self.queue.insert((at, timer));
        }
    }

    /// Whether a timer runs.
    pub(crate) fn is_set(&self, timer: T) -> bool {
        self.times.contains_key(&timer)
    }

    /// When the first one is due.
    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes the first one that is due.
    pub(crate) fn take_due(&mut self, now: Nanos) -> Option<T> {
        let &(_, timer) = self.queue.first().filter(|(at, _)| *at <= now)?;
        self.set(timer, None);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_in_the_order_of_their_times_once_and_where_they_were_moved_to() {
        let mut timers = Timers::default();
        timers.set("b", Some(Nanos(20)));
        timers.set("a", Some(Nanos(20)));
        timers.set("c", Some(Nanos(10)));
        timers.set("c", Some(Nanos(30)));
        timers.set("gone", Some(Nanos(5)));
        timers.set("gone", None);
        assert_eq!(timers.next_deadline(), Some(Nanos(20)));
        assert_eq!(timers.take_due(Nanos(19)), None);
        assert_eq!([timers.take_due(Nanos(29)), timers.take_due(Nanos(29))], [Some("a"), Some("b")]);
        assert_eq!(timers.take_due(Nanos(29)), None);
        assert_eq!(timers.take_due(Nanos(30)), Some("c"));
        assert_eq!(timers.next_deadline(), None);
    }
}
