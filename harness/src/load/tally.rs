//! What consumers count: one account for all clients, and each client's part of it until its poll is over.
//!
//! ```text
//!   Consumer --record--> Tally --poll is over--> Shared      how much, and when the last came: what the loops go by
//!                          |                --> ReadObserver   a perf tool's rows, a trial's meter
//!                          '--> ReadLedger, Recorder
//! ```

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ringlog_io::{Clock as _, SystemClock};

use crate::client::{ConsumedRecord, RecordSink};
use crate::measure::ledger::{LedgerFile, ReadLedger};
use crate::measure::series::Recorder;

/// Records and bytes that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

impl Read {
    pub(crate) fn add(&mut self, other: Self) {
        self.records += other.records;
        self.bytes += other.bytes;
    }
}

/// Hears of one client's reading, on the client's thread. Times are nanoseconds of the monotonic clock.
pub(crate) trait ReadObserver {
    /// A poll brought this.
    fn polled(&mut self, _read: Read, _now_ns: u64) {}
    /// Everything is read that was to be read; more may follow that is only looked at.
    fn ended(&mut self, _now_ns: u64) {}
    /// Partitions are assigned.
    fn assigned(&mut self, _at_ns: u64) {}
    /// Partitions are taken away.
    fn revoked(&mut self, _at_ns: u64) {}
    /// A broker could not be reached. It is tried again.
    fn unreachable(&mut self, _reason: &str) {}
}

/// Makes the observer of a client, on its thread.
pub(crate) type ReadObservers = Arc<dyn Fn(usize) -> Box<dyn ReadObserver> + Send + Sync>;

/// What all clients of a load count together. Readable at any time.
#[derive(Clone)]
pub(crate) struct Shared(Arc<State>);

struct State {
    start_ns: u64,
    start_wall_ms: i64,
    total: Mutex<Total>,
    /// What each client has read, where the topic is read beside a ledger: no two read the same partition. Members of a
    /// group have one together, for a partition may go from one to the other.
    ledgers: Vec<Arc<Mutex<ReadLedger>>>,
    members: Mutex<Members>,
    is_paused: AtomicBool,
    /// Whose ages the series has.
    span: Span,
}

/// Who of a group has how many partitions, and how many were taken away.
#[derive(Debug, Default)]
struct Members {
    assigned: BTreeMap<usize, usize>,
    taken: u64,
}

/// The records whose ages are kept: those that were written from one moment to another, milliseconds of the wall's clock.
#[derive(Clone, Debug)]
pub(crate) struct Span(Arc<(AtomicI64, AtomicI64)>);

impl Span {
    fn of(from_ms: i64) -> Self {
        Self(Arc::new((AtomicI64::new(from_ms), AtomicI64::new(i64::MAX))))
    }

    /// All records.
    pub(crate) fn all() -> Self {
        Self::of(i64::MIN)
    }

    /// None until it begins.
    pub(crate) fn to_come() -> Self {
        Self::of(i64::MAX)
    }

    pub(crate) fn begin(&self, wall_ms: i64) {
        self.0.0.store(wall_ms, Ordering::Relaxed);
    }

    pub(crate) fn end(&self, wall_ms: i64) {
        self.0.1.store(wall_ms, Ordering::Relaxed);
    }

    fn holds(&self, written_ms: i64) -> bool {
        (self.0.0.load(Ordering::Relaxed)..=self.0.1.load(Ordering::Relaxed)).contains(&written_ms)
    }
}

/// What was read until now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Total {
    pub(crate) read: Read,
    /// The first poll that brought something.
    pub(crate) first_ns: Option<u64>,
    /// The last one; until there is one, the start.
    pub(crate) last_ns: u64,
}

impl Shared {
    pub(crate) fn new(clients: usize, ledger: Option<&LedgerFile>) -> Self {
        let beside = |ledger: &LedgerFile| (0..clients).map(|_| ReadLedger::beside(&ledger.writers)).collect();
        Self::of(ledger.map_or_else(Vec::new, beside), Span::all())
    }

    /// Of readers of a topic that nobody but their writers writes to, while it is written.
    pub(crate) fn along(clients: usize, is_group: bool, span: Span) -> Self {
        let ledgers = if is_group { 1 } else { clients };
        Self::of((0..ledgers).map(|_| ReadLedger::new()).collect(), span)
    }

    fn of(ledgers: Vec<ReadLedger>, span: Span) -> Self {
        let clock = SystemClock::new();
        let start_ns = clock.read().0;
        Self(Arc::new(State {
            start_ns,
            start_wall_ms: clock.wall_ms(),
            total: Mutex::new(Total { read: Read::default(), first_ns: None, last_ns: start_ns }),
            ledgers: ledgers.into_iter().map(|ledger| Arc::new(Mutex::new(ledger))).collect(),
            members: Mutex::default(),
            is_paused: AtomicBool::new(false),
            span,
        }))
    }

    /// When the load began: the monotonic clock in nanoseconds, the wall's in milliseconds.
    pub(crate) fn start(&self) -> (u64, i64) {
        (self.0.start_ns, self.0.start_wall_ms)
    }

    pub(crate) fn total(&self) -> Total {
        *locked(&self.0.total)
    }

    /// What all clients have read until now.
    pub(crate) fn read_ledger(&self) -> ReadLedger {
        self.0.ledgers.iter().fold(ReadLedger::new(), |mut all, one| {
            all.merge(locked(one).clone());
            all
        })
    }

    /// Partitions of each client that has some, by the group's word.
    pub(crate) fn assigned(&self) -> Vec<usize> {
        locked(&self.0.members).assigned.values().copied().filter(|partitions| *partitions > 0).collect()
    }

    /// How many partitions the group has taken away from its members until now: where one was taken, what its next owner
    /// reads may have been read before.
    pub(crate) fn taken(&self) -> u64 {
        locked(&self.0.members).taken
    }

    /// Lets the readers read nothing until they are told to go on. Members stay in their group.
    pub(crate) fn pause(&self, is_paused: bool) {
        self.0.is_paused.store(is_paused, Ordering::Relaxed);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.0.is_paused.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, read: Read, now_ns: u64) {
        let mut total = locked(&self.0.total);
        total.read.add(read);
        total.first_ns.get_or_insert(now_ns);
        total.last_ns = total.last_ns.max(now_ns);
    }
}

/// A client that panicked leaves counters that are still true.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One client's ear. Nothing that is shared is locked for a record but the client's own ledger, which the others look at
/// seldom.
pub(crate) struct Tally {
    client: usize,
    shared: Shared,
    observer: Box<dyn ReadObserver>,
    /// Read in this poll.
    read: Read,
    clock: SystemClock,
    ledger: Option<Arc<Mutex<ReadLedger>>>,
    /// The client's series, where one is kept.
    recorder: Option<Recorder>,
    /// The time of this poll's first record, where a series is kept: monotonic, wall.
    seen_at: Option<(u64, i64)>,
    alike: Alike,
    has_ended: bool,
}

/// The last records of a poll that have one timestamp, and so one age: the series takes them together.
#[derive(Clone, Copy, Debug, Default)]
struct Alike {
    timestamp_ms: i64,
    records: u64,
    bytes: u64,
}

impl Tally {
    pub(crate) fn new(
        client: usize,
        shared: &Shared,
        observer: Box<dyn ReadObserver>,
        recorder: Option<Recorder>,
    ) -> Self {
        let ledgers = &shared.0.ledgers;
        Self {
            client,
            shared: shared.clone(),
            observer,
            read: Read::default(),
            clock: SystemClock::new(),
            ledger: ledgers.get(client).or(ledgers.first()).cloned(),
            recorder,
            seen_at: None,
            alike: Alike::default(),
            has_ended: false,
        }
    }

    /// Gives what the poll brought to the account of all.
    pub(crate) fn end_poll(&mut self, now_ns: u64) {
        self.record_alike();
        self.seen_at = None;
        let read = std::mem::take(&mut self.read);
        self.shared.add(read, now_ns);
        self.observer.polled(read, now_ns);
    }

    /// Everything is read that was to be read. Told once.
    pub(crate) fn has_all(&mut self, now_ns: u64) {
        if !std::mem::replace(&mut self.has_ended, true) {
            self.observer.ended(now_ns);
        }
    }

    pub(crate) fn unreachable(&mut self, reason: &str) {
        self.observer.unreachable(reason);
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
        if records == 0 || !self.shared.0.span.holds(timestamp_ms) {
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
        self.read.add(Read { records: 1, bytes });
        if let Some(ledger) = &self.ledger {
            locked(ledger).record_with(record.partition, record.value.unwrap_or_default(), record.headers);
        }
        if self.recorder.is_some() {
            self.keep_time(record.timestamp_ms, bytes);
        }
    }

    fn assigned(&mut self, partitions: &[(String, i32)], at_ns: u64) {
        *locked(&self.shared.0.members).assigned.entry(self.client).or_default() += partitions.len();
        self.observer.assigned(at_ns);
    }

    fn revoked(&mut self, partitions: &[(String, i32)], at_ns: u64) {
        let mut members = locked(&self.shared.0.members);
        members.taken += partitions.len() as u64;
        let assigned = members.assigned.entry(self.client).or_default();
        *assigned = assigned.saturating_sub(partitions.len());
        drop(members);
        self.observer.revoked(at_ns);
    }
}

#[cfg(test)]
#[path = "tally_tests.rs"]
mod tests;
