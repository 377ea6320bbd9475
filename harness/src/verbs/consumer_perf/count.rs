//! What the tool counts: one account for all clients, its rows while the run goes on, and each client's rebalances.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::dates::DateFormat;
use super::rows;
use crate::cli::Warnings;
use crate::load::tally::{Read, ReadObserver};
use crate::load::to_ms;

/// What all clients of a run count together. Readable at any time.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<Count>>);

pub(crate) struct Count {
    pub(crate) read: Read,
    /// The monotonic clock in nanoseconds, the wall's in milliseconds.
    start: (u64, i64),
    /// Of the client that waited longest.
    pub(crate) rebalance_ms: i64,
    interval_ms: i64,
    /// Of each client.
    interval_rebalance_ms: Vec<i64>,
    reported: (u64, Read),
    /// Where rows of detailed stats are wanted.
    dates: Option<DateFormat>,
    warnings: Warnings,
}

impl Shared {
    pub(crate) fn new(clients: usize, start: (u64, i64), interval_ms: i64, dates: Option<DateFormat>) -> Self {
        Self(Arc::new(Mutex::new(Count {
            read: Read::default(),
            warnings: Warnings::default(),
            start,
            rebalance_ms: 0,
            interval_ms,
            interval_rebalance_ms: vec![0; clients],
            reported: (start.0, Read::default()),
            dates,
        })))
    }

    /// A client that panicked leaves counters that are still true.
    pub(crate) fn count(&self) -> MutexGuard<'_, Count> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Count {
    /// A poll of one client brought this. A row, where the interval is over: only data makes the original look.
    pub(crate) fn add(&mut self, read: Read, now_ns: u64) {
        self.read.add(read);
        let (since_ns, before) = self.reported;
        let elapsed_ms = to_ms(now_ns.saturating_sub(since_ns));
        if elapsed_ms < self.interval_ms {
            return;
        }
        if let Some(dates) = &self.dates {
            let time = dates.format(self.start.1 + to_ms(now_ns - self.start.0));
            let rebalance_ms = self.interval_rebalance_ms.iter().copied().max().unwrap_or(0);
            outln!("{}", rows::interval(&time, elapsed_ms, rebalance_ms, before, self.read));
        }
        self.interval_rebalance_ms.fill(0);
        self.reported = (now_ns, self.read);
    }
}

/// What one client tells the account.
pub(crate) struct Member {
    client: usize,
    shared: Shared,
    rebalance_ms: i64,
    /// Since when nothing is assigned.
    joining_since_ns: Option<u64>,
}

impl Member {
    pub(crate) fn new(client: usize, shared: &Shared) -> Self {
        let joining_since_ns = Some(shared.count().start.0);
        Self { client, shared: shared.clone(), rebalance_ms: 0, joining_since_ns }
    }
}

impl ReadObserver for Member {
    fn polled(&mut self, read: Read, now_ns: u64) {
        self.shared.count().add(read, now_ns);
    }

    fn assigned(&mut self, at_ns: u64) {
        if let Some(since_ns) = self.joining_since_ns.take() {
            let joining_ms = to_ms(at_ns.saturating_sub(since_ns));
            self.rebalance_ms += joining_ms;
            let mut count = self.shared.count();
            count.rebalance_ms = count.rebalance_ms.max(self.rebalance_ms);
            count.interval_rebalance_ms[self.client] += joining_ms;
        }
    }

    fn revoked(&mut self, at_ns: u64) {
        self.joining_since_ns = Some(at_ns);
    }

    fn unreachable(&mut self, reason: &str) {
        self.shared.count().warnings.unreachable(reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_count_together_and_the_longest_rebalance_counts() {
        let shared = Shared::new(2, (1000, 0), 1000, None);
        let (mut one, mut two) = (Member::new(0, &shared), Member::new(1, &shared));
        one.polled(Read { records: 1, bytes: 4 }, 1005);
        two.polled(Read { records: 1, bytes: 6 }, 1003);
        assert_eq!(shared.count().read, Read { records: 2, bytes: 10 });
        one.assigned(1000 + 30_000_000);
        two.assigned(1000 + 20_000_000);
        two.revoked(1000 + 40_000_000);
        two.assigned(1000 + 45_000_000);
        assert_eq!(shared.count().rebalance_ms, 30);
        assert_eq!(shared.count().interval_rebalance_ms, [30, 25]);
    }
}
