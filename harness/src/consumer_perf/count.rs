//! What the tool counts: one account for all clients, and each client's part of it until its poll is over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ringlog_io::{Clock as _, SystemClock};

use super::dates::DateFormat;
use super::options::Numbers;
use super::rows::{self, Read};
use super::to_ms;
use crate::cli::Warnings;
use crate::client::{ConsumedRecord, RecordSink};
use crate::ledger::ReadLedger;
use crate::measure::Sample;
use crate::perf_extras::series::Recorder;

/// What all clients of a run count together. Readable at any time.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<Count>>);

pub(crate) struct Count {
    pub(crate) read: Read,
    pub(crate) start_ns: u64,
    pub(crate) start_wall_ms: i64,
    /// The last poll that brought something.
    pub(crate) last_consumed_ns: u64,
    /// Of the client that waited longest.
    pub(crate) rebalance_ms: i64,
    interval_ms: i64,
    /// Of each client.
    interval_rebalance_ms: Vec<i64>,
    reported: (u64, Read),
    /// Where rows of detailed stats are wanted.
    dates: Option<DateFormat>,
    /// Where the topic is read beside a ledger.
    pub(crate) ledger: Option<ReadLedger>,
    pub(crate) warnings: Warnings,
    /// Each client's series, where one is kept.
    pub(crate) recorders: Vec<Option<Recorder>>,
}

impl Shared {
    pub(crate) fn new(
        clients: usize,
        numbers: &Numbers,
        dates: Option<DateFormat>,
        ledger: Option<ReadLedger>,
    ) -> Self {
        let clock = SystemClock::new();
        let start_ns = clock.read().0;
        Self(Arc::new(Mutex::new(Count {
            read: Read::default(),
            warnings: Warnings::default(),
            start_ns,
            start_wall_ms: clock.wall_ms(),
            last_consumed_ns: start_ns,
            rebalance_ms: 0,
            interval_ms: numbers.reporting_interval_ms,
            interval_rebalance_ms: vec![0; clients],
            reported: (start_ns, Read::default()),
            dates,
            ledger,
            recorders: (0..clients).map(|_| None).collect(),
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
        self.read.records += read.records;
        self.read.bytes += read.bytes;
        self.last_consumed_ns = self.last_consumed_ns.max(now_ns);
        self.interval(now_ns);
    }

    fn interval(&mut self, now_ns: u64) {
        let (since_ns, before) = self.reported;
        let elapsed_ms = to_ms(now_ns.saturating_sub(since_ns));
        if elapsed_ms < self.interval_ms {
            return;
        }
        if let Some(dates) = &self.dates {
            let time = dates.format(self.start_wall_ms + to_ms(now_ns - self.start_ns));
            let rebalance_ms = self.interval_rebalance_ms.iter().copied().max().unwrap_or(0);
            println!("{}", rows::interval(&time, elapsed_ms, rebalance_ms, before, self.read));
        }
        self.interval_rebalance_ms.fill(0);
        self.reported = (now_ns, self.read);
    }
}

/// One client's ear.
pub(crate) struct Tally {
    client: usize,
    shared: Shared,
    /// Read in this poll.
    pub(crate) read: Read,
    rebalance_ms: i64,
    /// Since when nothing is assigned.
    joining_since_ns: Option<u64>,
    clock: SystemClock,
    /// The time of this poll's first record, where times or contents are looked at: monotonic, wall.
    seen_at: Option<(u64, i64)>,
    keeps_more: bool,
}

impl Tally {
    pub(crate) fn new(client: usize, shared: &Shared) -> Self {
        let count = shared.count();
        Self {
            client,
            shared: shared.clone(),
            read: Read::default(),
            rebalance_ms: 0,
            joining_since_ns: Some(count.start_ns),
            clock: SystemClock::new(),
            seen_at: None,
            keeps_more: count.ledger.is_some() || count.recorders[client].is_some(),
        }
    }

    /// Gives what the poll brought to the account of all.
    pub(crate) fn end_poll(&mut self, now_ns: u64) {
        self.seen_at = None;
        self.shared.count().add(std::mem::take(&mut self.read), now_ns);
    }

    fn keep(&mut self, record: &ConsumedRecord<'_>, bytes: u64) {
        let clock = &self.clock;
        let (now_ns, wall_ms) = *self.seen_at.get_or_insert_with(|| (clock.read().0, clock.wall_ms()));
        let mut count = self.shared.count();
        if let Some(ledger) = &mut count.ledger {
            ledger.record_with(record.partition, record.value.unwrap_or_default(), record.headers);
        }
        if let Some(recorder) = &mut count.recorders[self.client] {
            // Two machines' clocks may disagree: what was read before it was written took no time.
            let age_ms = u64::try_from(wall_ms.saturating_sub(record.timestamp_ms)).unwrap_or(0);
            let written_ns = now_ns.saturating_sub(age_ms.saturating_mul(1_000_000));
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            recorder.done(&Sample { intended_ns: written_ns, sent_ns: written_ns, done_ns: now_ns, bytes });
        }
    }
}

impl RecordSink for Tally {
    fn record(&mut self, record: &ConsumedRecord<'_>) {
        let bytes = record.key.map_or(0, <[u8]>::len) as u64 + record.value.map_or(0, <[u8]>::len) as u64;
        self.read.records += 1;
        self.read.bytes += bytes;
        if self.keeps_more {
            self.keep(record, bytes);
        }
    }

    fn assigned(&mut self, _partitions: &[(String, i32)], at_ns: u64) {
        if let Some(since_ns) = self.joining_since_ns.take() {
            let joining_ms = to_ms(at_ns.saturating_sub(since_ns));
            self.rebalance_ms += joining_ms;
            let mut count = self.shared.count();
            count.rebalance_ms = count.rebalance_ms.max(self.rebalance_ms);
            count.interval_rebalance_ms[self.client] += joining_ms;
        }
    }

    fn revoked(&mut self, _partitions: &[(String, i32)], at_ns: u64) {
        self.joining_since_ns = Some(at_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ReadHeaders;

    fn shared(clients: usize) -> Shared {
        let numbers = Numbers { records: 10, timeout_ms: 1, reporting_interval_ms: 1000 };
        Shared::new(clients, &numbers, None, None)
    }

    fn record(value: &[u8]) -> ConsumedRecord<'_> {
        ConsumedRecord {
            topic: "t",
            partition: 0,
            offset: 0,
            timestamp_ms: 0,
            key: Some(b"k"),
            value: Some(value),
            headers: ReadHeaders::default(),
        }
    }

    #[test]
    fn clients_count_together_and_the_longest_rebalance_counts() {
        let shared = shared(2);
        let start_ns = shared.count().start_ns;
        let (mut one, mut two) = (Tally::new(0, &shared), Tally::new(1, &shared));
        one.record(&record(b"123"));
        two.record(&record(b"12345"));
        assert_eq!(shared.count().read, Read::default(), "until the poll is over");
        one.end_poll(start_ns + 5);
        two.end_poll(start_ns + 3);
        assert_eq!(shared.count().read, Read { records: 2, bytes: 10 });
        assert_eq!(shared.count().last_consumed_ns, start_ns + 5);
        one.assigned(&[], start_ns + 30_000_000);
        two.assigned(&[], start_ns + 20_000_000);
        two.revoked(&[], start_ns + 40_000_000);
        two.assigned(&[], start_ns + 45_000_000);
        assert_eq!(shared.count().rebalance_ms, 30);
        assert_eq!(shared.count().interval_rebalance_ms, [30, 25]);
    }
}
