//! What the tool counts: one account for all clients, and each client's part of it until its poll is over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ringlog_io::{Clock as _, SystemClock};

use super::dates::DateFormat;
use super::options::Numbers;
use super::rows::{self, Read};
use crate::cli::Warnings;
use crate::client::{ConsumedRecord, RecordSink};
use crate::load::to_ms;
use crate::measure::ledger::{LedgerFile, ReadLedger};
use crate::measure::series::Recorder;

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
    pub(crate) warnings: Warnings,
    /// What each client has read, where the topic is read beside a ledger. No two read the same partition.
    ledgers: Vec<Arc<Mutex<ReadLedger>>>,
}

impl Shared {
    pub(crate) fn new(
        clients: usize,
        numbers: &Numbers,
        dates: Option<DateFormat>,
        ledger: Option<&LedgerFile>,
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
            ledgers: ledger.map_or_else(Vec::new, |ledger| {
                (0..clients).map(|_| Arc::new(Mutex::new(ReadLedger::beside(&ledger.writers)))).collect()
            }),
        })))
    }

    pub(crate) fn count(&self) -> MutexGuard<'_, Count> {
        locked(&self.0)
    }

    /// What all clients have read until now.
    pub(crate) fn read_ledger(&self) -> ReadLedger {
        let ledgers = self.count().ledgers.clone();
        ledgers.iter().fold(ReadLedger::new(), |mut all, one| {
            all.merge(locked(one).clone());
            all
        })
    }
}

/// A client that panicked leaves counters that are still true.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
            outln!("{}", rows::interval(&time, elapsed_ms, rebalance_ms, before, self.read));
        }
        self.interval_rebalance_ms.fill(0);
        self.reported = (now_ns, self.read);
    }
}

/// One client's ear. Nothing that is shared is locked for a record but the client's own ledger, which the others look at
/// seldom.
pub(crate) struct Tally {
    client: usize,
    shared: Shared,
    /// Read in this poll.
    pub(crate) read: Read,
    rebalance_ms: i64,
    /// Since when nothing is assigned.
    joining_since_ns: Option<u64>,
    clock: SystemClock,
    ledger: Option<Arc<Mutex<ReadLedger>>>,
    /// The client's series, where one is kept.
    recorder: Option<Recorder>,
    /// The time of this poll's first record, where a series is kept: monotonic, wall.
    seen_at: Option<(u64, i64)>,
    alike: Alike,
}

/// The last records of a poll that have one timestamp, and so one age: the series takes them together.
#[derive(Clone, Copy, Debug, Default)]
struct Alike {
    timestamp_ms: i64,
    records: u64,
    bytes: u64,
}

impl Tally {
    pub(crate) fn new(client: usize, shared: &Shared, recorder: Option<Recorder>) -> Self {
        let count = shared.count();
        Self {
            client,
            shared: shared.clone(),
            read: Read::default(),
            rebalance_ms: 0,
            joining_since_ns: Some(count.start_ns),
            clock: SystemClock::new(),
            ledger: count.ledgers.get(client).cloned(),
            recorder,
            seen_at: None,
            alike: Alike::default(),
        }
    }

    /// Gives what the poll brought to the account of all.
    pub(crate) fn end_poll(&mut self, now_ns: u64) {
        self.record_alike();
        self.seen_at = None;
        self.shared.count().add(std::mem::take(&mut self.read), now_ns);
    }

    /// The client reads no more.
    pub(crate) fn end(mut self) {
        self.record_alike();
        self.recorder.into_iter().for_each(Recorder::end);
    }

    fn keep_time(&mut self, timestamp_ms: i64, bytes: u64) {
        if self.alike.records == 0 || self.alike.timestamp_ms != timestamp_ms {
            self.record_alike();
            let clock = &self.clock;
            self.seen_at.get_or_insert_with(|| (clock.read().0, clock.wall_ms()));
            self.alike = Alike { timestamp_ms, ..Alike::default() };
        }
        self.alike.records += 1;
        self.alike.bytes += bytes;
    }

    fn record_alike(&mut self) {
        let Alike { timestamp_ms, records, bytes } = std::mem::take(&mut self.alike);
        let (Some(recorder), Some((now_ns, wall_ms))) = (&mut self.recorder, self.seen_at) else { return };
        if records == 0 {
            return;
        }
        // Wall clock against wall clock: what was written before this machine's start has no place on the other one.
        let age_ns = wall_ms.saturating_sub(timestamp_ms).saturating_mul(1_000_000);
        recorder.read(age_ns, now_ns, records, bytes);
    }
}

impl RecordSink for Tally {
    fn record(&mut self, record: &ConsumedRecord<'_>) {
        let bytes = record.key.map_or(0, <[u8]>::len) as u64 + record.value.map_or(0, <[u8]>::len) as u64;
        self.read.records += 1;
        self.read.bytes += bytes;
        if let Some(ledger) = &self.ledger {
            locked(ledger).record_with(record.partition, record.value.unwrap_or_default(), record.headers);
        }
        if self.recorder.is_some() {
            self.keep_time(record.timestamp_ms, bytes);
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
    use crate::measure::ledger::{WriteLedger, settle};
    use crate::measure::series::{Second, Series};

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
        let (mut one, mut two) = (Tally::new(0, &shared, None), Tally::new(1, &shared, None));
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

    #[test]
    fn the_series_has_every_record_with_its_own_age_and_bytes() {
        let shared = shared(1);
        let seconds: Arc<Mutex<Vec<Second>>> = Arc::default();
        let emitted = Arc::clone(&seconds);
        let emit = Box::new(move |second| locked(&emitted).push(second));
        let start_ns = shared.count().start_ns;
        let mut tally = Tally::new(0, &shared, Some(Recorder::new(0, start_ns, false, emit)));
        let wall_ms = SystemClock::new().wall_ms();
        let at = |ago_ms: i64| ConsumedRecord { timestamp_ms: wall_ms - ago_ms, ..record(b"1234") };
        let days = 40 * 24 * 3_600_000;
        [at(5000), at(5000), at(1000), at(5000), at(days), at(-9000)].iter().for_each(|record| tally.record(record));
        tally.end_poll(start_ns + 1);
        tally.record(&at(5000));
        tally.end();
        let mut series = Series::new(1, None);
        locked(&seconds).drain(..).for_each(|second| series.take(second).unwrap());
        series.end().unwrap();
        let response = &series.total.response;
        assert_eq!((series.counts.done, series.counts.done_bytes, response.len()), (7, 35, 7));
        assert_eq!(response.count_between(900_000_000, 1_900_000_000), 1);
        assert_eq!(response.count_between(4_900_000_000, 5_900_000_000), 4);
        let days_ns = u64::try_from(days).unwrap() * 1_000_000;
        assert_eq!(
            response.count_between(days_ns - days_ns / 500, days_ns + days_ns / 500),
            1,
            "older than the machine"
        );
        assert_eq!((series.total.ahead, series.total.saturated, response.min()), (1, 0, 0), "dated ahead, and told");
    }

    #[test]
    fn each_client_s_ledger_is_part_of_one() {
        let (mut writer, mut value) = (WriteLedger::new(3), [0; 30]);
        let numbers = Numbers { records: 10, timeout_ms: 1, reporting_interval_ms: 1000 };
        let file = LedgerFile { writers: vec![writer.clone()], ..LedgerFile::default() };
        let shared = Shared::new(2, &numbers, None, Some(&file));
        for partition in [0, 1, 0] {
            writer.stamp(partition, &mut value).unwrap();
            let mut tally = Tally::new(usize::try_from(partition).unwrap(), &shared, None);
            tally.record(&ConsumedRecord { partition, ..record(&value) });
        }
        let verdict = settle(&[writer], &shared.read_ledger());
        assert_eq!((verdict.read, verdict.doubled, verdict.corrupt), (3, 0, 0), "{verdict}");
    }
}
