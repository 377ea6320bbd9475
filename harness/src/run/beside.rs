//! What is counted of readers beside the writers, on the threads of both.
//!
//! ```text
//!   written    |-- backlog --|-- warm-up --|------ measured ------|-- flush --|
//!   groups      read everything as it comes  ^ open                 ^ close: how far behind is each?
//!   catch-up                                 '- begin with the first record; caught up: all that was there at this moment
//! ```
//!
//! - Ages are those of records that were written in the measured time, by the producers' clock and ours: the same machine's.
//! - What a group had still to read when the measured time ended is its lag; how long it needed for it is its drain.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringlog_io::{Clock as _, SystemClock};

use super::gauge::locked;
use super::service::{Disruption, Service};
use crate::client::Delivered;
use crate::load::ear::{Observer, Observers};
use crate::load::tally::{Read, ReadObserver, ReadObservers, Shared, Span};
use crate::measure::Latencies;

/// What readers beside the writers did in a trial.
#[derive(Clone, Debug, Default)]
pub struct ReadAlong {
    /// Records that all groups together read in the measured time.
    pub records: u64,
    /// Their keys' and values' bytes.
    pub bytes: u64,
    /// Of the records that were written in the measured time: how old they were when a group read them.
    pub ages: Latencies,
    /// What the group that was furthest behind had still to read when the measured time ended.
    pub lag_records_max: u64,
    /// From then until the last group had read everything.
    pub drain: Duration,
    /// Records that a group read again because it had been given other partitions meanwhile.
    pub reread_records: u64,
    /// What catch-up readers had before them, all together, and how long the slowest took for it.
    pub catch_up: Option<(u64, Duration)>,
}

/// The counts of a trial. `groups` and `catch_up` are what each reader counts itself.
pub(super) struct Beside {
    acknowledged: AtomicU64,
    is_open: AtomicBool,
    is_over: AtomicBool,
    /// What the writers notice of the events.
    service: Option<Mutex<Service>>,
    groups: Vec<Shared>,
    catch_up: Vec<CatchUp>,
    span: Span,
    read: Mutex<Read>,
    end: Mutex<End>,
}

/// The end of the measured time.
#[derive(Clone, Copy, Debug, Default)]
struct End {
    closed_ns: u64,
    lag_records_max: u64,
}

struct CatchUp {
    shared: Shared,
    /// Records that were there when it began.
    before_records: AtomicU64,
    /// When it had read those, and how much that was.
    caught: Mutex<Option<(u64, Read)>>,
}

impl Beside {
    /// Of readers that count in `groups` and in `catch_up`.
    pub(super) fn new(groups: Vec<Shared>, catch_up: Vec<Shared>, span: Span) -> Self {
        let reader = |shared| CatchUp { shared, before_records: AtomicU64::new(u64::MAX), caught: Mutex::default() };
        Self {
            acknowledged: AtomicU64::new(0),
            is_open: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            service: None,
            groups,
            catch_up: catch_up.into_iter().map(reader).collect(),
            span,
            read: Mutex::default(),
            end: Mutex::default(),
        }
    }

    /// With an eye on what events do to the service.
    pub(super) fn watching(self, service: Option<Service>) -> Self {
        Self { service: service.map(Mutex::new), ..self }
    }

    pub(super) fn acknowledged(&self, batch: &Delivered<'_>) {
        self.acknowledged.fetch_add(batch.marks.len() as u64, Ordering::Relaxed);
        if let Some(service) = &self.service {
            locked(service).acknowledged(batch.marks, batch.done_ns);
        }
    }

    /// Records that are acknowledged until now.
    pub(super) fn acknowledged_records(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// What the events did, of which the first was so long after the measured time began.
    pub(super) fn disruption(&self, first: Duration) -> Option<Disruption> {
        self.service.as_ref().map(|service| locked(service).disruption(first))
    }

    /// The measured time begins.
    pub(super) fn open(&self) {
        self.span.begin(SystemClock::new().wall_ms());
        let acknowledged = self.acknowledged_records();
        self.service.iter().for_each(|service| locked(service).open(SystemClock::new().read().0));
        self.catch_up.iter().for_each(|reader| reader.before_records.store(acknowledged, Ordering::Relaxed));
        self.is_open.store(true, Ordering::Release);
    }

    /// The measured time is over.
    pub(super) fn close(&self) {
        self.is_open.store(false, Ordering::Release);
        self.is_over.store(true, Ordering::Release);
        let clock = SystemClock::new();
        self.span.end(clock.wall_ms());
        *locked(&self.end) = End { closed_ns: clock.read().0, lag_records_max: self.lag_records_max() };
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// The trial is over, whatever came of it.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// What the group that is furthest behind has still to read of what is acknowledged.
    pub(super) fn lag_records_max(&self) -> u64 {
        let acknowledged = self.acknowledged_records();
        let lag = |group: &Shared| acknowledged.saturating_sub(group.total().read.records);
        self.groups.iter().map(lag).max().unwrap_or(0)
    }

    /// Counts for producers that nothing else is measured of.
    pub(super) fn writers(self: &Arc<Self>) -> Observers {
        let beside = Arc::clone(self);
        Arc::new(move |_| Box::new(Writer(Arc::clone(&beside))))
    }

    /// The ears of a group's members.
    pub(super) fn members(self: &Arc<Self>) -> ReadObservers {
        let beside = Arc::clone(self);
        Arc::new(move |_| Box::new(Member(Arc::clone(&beside))))
    }

    /// The ears of a catch-up reader's clients.
    pub(super) fn catching_up(self: &Arc<Self>, reader: usize) -> ReadObservers {
        let beside = Arc::clone(self);
        Arc::new(move |_| Box::new(Catching(Arc::clone(&beside), reader)))
    }

    /// What was counted, when all are done; `ages` are the groups'.
    pub(super) fn figures(&self, ages: Latencies) -> ReadAlong {
        let (Read { records, bytes }, end) = (*locked(&self.read), *locked(&self.end));
        let last_ns = self.groups.iter().map(|group| group.total().last_ns).max().unwrap_or(0);
        let drain = Duration::from_nanos(last_ns.saturating_sub(end.closed_ns));
        let lag_records_max = end.lag_records_max;
        ReadAlong { records, bytes, ages, lag_records_max, drain, reread_records: 0, catch_up: self.caught_up() }
    }

    fn caught_up(&self) -> Option<(u64, Duration)> {
        let one = |reader: &CatchUp| {
            let (caught_ns, read) = (*locked(&reader.caught))?;
            let took_ns = caught_ns.saturating_sub(reader.shared.total().first_ns?);
            Some((read.bytes, Duration::from_nanos(took_ns)))
        };
        let all: Option<Vec<(u64, Duration)>> = self.catch_up.iter().map(one).collect();
        all?.into_iter().reduce(|a, b| (a.0 + b.0, a.1.max(b.1)))
    }
}

struct Writer(Arc<Beside>);

impl Observer for Writer {
    fn delivered(&mut self, batch: &Delivered<'_>) {
        self.0.acknowledged(batch);
    }
}

struct Member(Arc<Beside>);

impl ReadObserver for Member {
    fn polled(&mut self, read: Read, _now_ns: u64) {
        if self.0.is_open() {
            locked(&self.0.read).add(read);
        }
    }
}

struct Catching(Arc<Beside>, usize);

impl ReadObserver for Catching {
    fn polled(&mut self, _read: Read, now_ns: u64) {
        let reader = &self.0.catch_up[self.1];
        let total = reader.shared.total().read;
        if total.records >= reader.before_records.load(Ordering::Relaxed) {
            locked(&reader.caught).get_or_insert((now_ns, total));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Mark;

    /// So many records are acknowledged.
    fn acknowledge(beside: &Beside, records: usize) {
        let marks = vec![Mark { intended_ns: 0, sent_ns: 0, tag: 0, bytes: 100 }; records];
        beside.acknowledged(&Delivered::of_nobody(0, &marks));
    }

    #[test]
    fn a_group_s_lag_is_what_was_acknowledged_and_not_read_when_the_measured_time_ended() {
        let span = Span::to_come();
        let groups: Vec<Shared> = (0..2).map(|_| Shared::along(1, true, span.clone())).collect();
        let beside = Arc::new(Beside::new(groups.clone(), Vec::new(), span));
        let read = |records| Read { records, bytes: records * 100 };
        let poll = |group: usize, records, now_ns| {
            groups[group].add(read(records), now_ns);
            Member(Arc::clone(&beside)).polled(read(records), now_ns);
        };
        acknowledge(&beside, 50);
        poll(0, 50, 1);
        beside.open();
        acknowledge(&beside, 100);
        poll(0, 90, 2);
        poll(1, 30, 2);
        beside.close();
        let closed_ns = SystemClock::new().read().0;
        poll(0, 10, closed_ns);
        poll(1, 120, closed_ns + 3_000_000_000);
        let figures = beside.figures(Latencies::new());
        assert_eq!((figures.records, figures.bytes), (120, 12_000), "in the measured time, by all groups");
        assert_eq!((figures.lag_records_max, figures.catch_up), (120, None));
        assert!(figures.drain >= Duration::from_secs(3) && figures.drain < Duration::from_secs(5), "{figures:?}");
    }

    #[test]
    fn a_catch_up_reader_is_there_when_it_has_what_was_acknowledged_before_it_began() {
        let span = Span::to_come();
        let readers: Vec<Shared> = (0..2).map(|_| Shared::along(1, false, span.clone())).collect();
        let beside = Arc::new(Beside::new(Vec::new(), readers.clone(), span));
        acknowledge(&beside, 100);
        beside.open();
        acknowledge(&beside, 1000);
        let poll = |reader: usize, records, now_ns| {
            let read = Read { records, bytes: records * 10 };
            readers[reader].add(read, now_ns);
            Catching(Arc::clone(&beside), reader).polled(read, now_ns);
        };
        poll(0, 60, 1_000_000_000);
        poll(0, 60, 2_000_000_000);
        poll(0, 900, 9_000_000_000);
        assert_eq!(beside.figures(Latencies::new()).catch_up, None, "the other one is not there");
        poll(1, 99, 1_000_000_000);
        poll(1, 1, 4_000_000_000);
        assert_eq!(beside.figures(Latencies::new()).catch_up, Some((1200 + 1000, Duration::from_secs(3))));
    }
}
