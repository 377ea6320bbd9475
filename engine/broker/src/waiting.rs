//! Fetches that wait for data: until enough bytes arrived on their partitions, or their time is over.
//!
//! Waiting costs nothing: a partition that grows tells its waiters, and the turn's timer finds the first deadline.

use std::collections::{BTreeMap, BTreeSet};

use ringlog_io::Nanos;

/// The number of a waiting fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FetchId(u64);

#[derive(Debug)]
struct Entry<F> {
    fetch: F,
    deadline: Nanos,
    bytes_missing: usize,
}

/// All waiting fetches of a shard.
#[derive(Debug)]
pub(crate) struct Waiting<F> {
    next: u64,
    entries: BTreeMap<FetchId, Entry<F>>,
    deadlines: BTreeSet<(Nanos, FetchId)>,
    ready: Vec<FetchId>,
}

impl<F> Default for Waiting<F> {
    fn default() -> Self {
        Self { next: 0, entries: BTreeMap::new(), deadlines: BTreeSet::new(), ready: Vec::new() }
    }
}

impl<F> Waiting<F> {
    /// Lets a fetch wait until its partitions grew by `bytes_missing`, or `deadline`.
    pub(crate) fn insert(&mut self, fetch: F, deadline: Nanos, bytes_missing: usize) -> FetchId {
        let id = FetchId(self.next);
        self.next += 1;
        self.entries.insert(id, Entry { fetch, deadline, bytes_missing });
        self.deadlines.insert((deadline, id));
        id
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// A partition grew. False: that fetch does not wait any more.
    pub(crate) fn grew(&mut self, id: FetchId, bytes: usize) -> bool {
        let Some(entry) = self.entries.get_mut(&id) else { return false };
        let was_missing = entry.bytes_missing > 0;
        entry.bytes_missing = entry.bytes_missing.saturating_sub(bytes);
        if was_missing && entry.bytes_missing == 0 {
            self.ready.push(id);
        }
        true
    }

    /// Something else happened to a partition (it was removed, its leader changed): the fetch is answered now.
    pub(crate) fn disturb(&mut self, id: FetchId) {
        self.grew(id, usize::MAX);
    }

    /// The first deadline.
    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// The next fetch that has waited long enough at `now`, by bytes or by time.
    pub(crate) fn take_ready(&mut self, now: Nanos) -> Option<F> {
        while let Some(id) = self.ready.pop() {
            if let Some(fetch) = self.take(id) {
                return Some(fetch);
            }
        }
        let &(deadline, id) = self.deadlines.first()?;
        if deadline > now { None } else { self.take(id) }
    }

    /// Takes one out.
    pub(crate) fn take(&mut self, id: FetchId) -> Option<F> {
        let entry = self.entries.remove(&id)?;
        self.deadlines.remove(&(entry.deadline, id));
        Some(entry.fetch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_is_ready_when_its_bytes_arrived() {
        let mut waiting = Waiting::default();
        let id = waiting.insert("fetch", Nanos(100), 10);
        assert!(waiting.grew(id, 9));
        assert_eq!(waiting.take_ready(Nanos(0)), None);
        assert!(waiting.grew(id, 1));
        assert_eq!(waiting.take_ready(Nanos(0)), Some("fetch"));
        assert!(!waiting.grew(id, 1), "it does not wait any more");
        assert_eq!(waiting.next_deadline(), None);
    }

    #[test]
    fn a_fetch_is_ready_when_its_time_is_over_and_the_first_deadline_comes_first() {
        let mut waiting = Waiting::default();
        waiting.insert("late", Nanos(200), 1);
        waiting.insert("early", Nanos(100), 1);
        assert_eq!(waiting.next_deadline(), Some(Nanos(100)));
        assert_eq!(waiting.take_ready(Nanos(99)), None);
        assert_eq!(waiting.take_ready(Nanos(250)), Some("early"));
        assert_eq!(waiting.take_ready(Nanos(250)), Some("late"));
        assert_eq!(waiting.len(), 0);
    }
}
