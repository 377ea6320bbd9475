//! A run by its seconds: each client keeps the second that it is in, the main thread merges those that are over.
//!
//! ```text
//!   client 0: Recorder | second 7 ..... |  --Second 7-->.
//!   client 1: Recorder | second 7 .. |  -----Second 7-->+-- Series: merged when all clients are past it
//!                                                           '--> a row, a line of the hdr log, the total
//! ```
//!
//! Invariants:
//! - Seconds count from one origin for all clients; a sample belongs to the second in which its answer was seen.
//! - A client's time does not go back: what comes late belongs to the second that it is in.
//! - Histograms hold the records that were due after the warm-up, in the second in which their answers were seen, however
//!   late: a broker that stalls at the end keeps its stall. The steady state's rate counts the answers that were seen in
//!   it; at a fixed rate no more of them than were due in it ([`Steady`]). The other counts hold all.
//! - Whole histograms are kept only of seconds that some client is still in: the memory does not grow with the run but
//!   by one row a second.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::cli::PerfError;
use crate::measure::{Latencies, Sample, SampleSink as _};

/// Nanoseconds of a second.
pub(crate) const SECOND_NS: u64 = 1_000_000_000;
/// Bytes of a megabyte, here as everywhere but in the lines of Kafka's tools.
const MB: f64 = 1e6;

/// What one client, or all of them, did in one second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) done: u64,
    pub(crate) done_bytes: u64,
    pub(crate) failed: u64,
    pub(crate) steady: Steady,
}

/// Records and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

/// What was acknowledged, by where its due time and its answer are of the steady state by the clock. A sender that is behind its
/// schedule begins it later than the first record of it was due.
///
/// ```text
///   due      |-- warm-up --|---- steady ----|
///   answer        before --^--> own         |
///                          |    own         |
///                          |          late -'-->
/// ```
///
/// What is on its way when the steady state begins is made up for by what is on its way when it ends. A backlog that the
/// warm-up left is more than that: it would be a rate above the one that was offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Steady {
    /// Due in the steady state, and answered in it.
    pub(crate) own: Done,
    /// Due before, answered in it.
    pub(crate) before: Done,
    /// Due in it, answered afterwards.
    pub(crate) late: Done,
}

/// Takes a second that all clients are past, and its latencies.
pub(crate) type SecondSink<'a> = Box<dyn FnMut(u64, &Latencies) -> Result<(), PerfError> + 'a>;

/// A client's second.
pub(crate) struct Second {
    pub(crate) client: usize,
    index: u64,
    /// The client is in this second now; `u64::MAX` once it has ended.
    next: u64,
    counts: Counts,
    latencies: Latencies,
}

/// One client's side.
pub(crate) struct Recorder {
    client: usize,
    origin_ns: u64,
    index: u64,
    counts: Counts,
    latencies: Latencies,
    /// Records that were due before this are not in the histograms.
    steady_since_ns: u64,
    /// The steady state by the clock: from, to (exclusive).
    steady_ns: (u64, u64),
    emit: Box<dyn FnMut(Second) + Send>,
}

impl Recorder {
    /// `warms_up`: nothing is in the histograms before [`Self::begin_steady_state`].
    pub(crate) fn new(client: usize, origin_ns: u64, warms_up: bool, emit: Box<dyn FnMut(Second) + Send>) -> Self {
        let steady_since_ns = if warms_up { u64::MAX } else { 0 };
        Self {
            client,
            origin_ns,
            index: 0,
            counts: Counts::default(),
            latencies: Latencies::new(),
            steady_since_ns,
            steady_ns: (steady_since_ns, u64::MAX),
            emit,
        }
    }

    /// The steady state begins now, with a record that was due at `intended_ns`.
    pub(crate) fn begin_steady_state(&mut self, now_ns: u64, intended_ns: u64) {
        self.steady_since_ns = intended_ns;
        self.steady_ns.0 = now_ns;
    }

    /// Answers that are seen from now on do not count for its rate. Its latencies have them all the same.
    pub(crate) fn end_steady_state(&mut self, now_ns: u64) {
        self.steady_ns.1 = now_ns;
    }

    /// A record was handed to the client.
    pub(crate) fn sent(&mut self, now_ns: u64) {
        self.advance(now_ns);
        self.counts.sent += 1;
    }

    /// A record was acknowledged, or read.
    pub(crate) fn done(&mut self, sample: &Sample) {
        self.advance(sample.done_ns);
        self.counts.done += 1;
        self.counts.done_bytes += u64::from(sample.bytes);
        let (steady, is_due) = (&mut self.counts.steady, sample.intended_ns >= self.steady_ns.0);
        match (is_due, sample.done_ns >= self.steady_ns.1) {
            (true, false) => steady.own.add(sample.bytes),
            (true, true) => steady.late.add(sample.bytes),
            (false, false) if sample.done_ns >= self.steady_ns.0 => steady.before.add(sample.bytes),
            (false, _) => {}
        }
        if sample.intended_ns >= self.steady_since_ns {
            self.latencies.sample(sample);
        }
    }

    /// So many records of this age were read, of so many bytes together.
    pub(crate) fn read(&mut self, age_ns: i64, now_ns: u64, records: u64, bytes: u64) {
        self.advance(now_ns);
        self.counts.done += records;
        self.counts.done_bytes += bytes;
        self.latencies.aged(age_ns, records, bytes);
    }

    /// A record that was due is never sent: it has waited until now at least.
    pub(crate) fn dropped(&mut self, due_ns: u64, now_ns: u64) {
        self.advance(now_ns);
        if due_ns >= self.steady_since_ns {
            self.latencies.never_sent(now_ns.saturating_sub(due_ns));
        }
    }

    pub(crate) fn failed(&mut self, records: u64, now_ns: u64) {
        self.advance(now_ns);
        self.counts.failed += records;
    }

    /// The last second of this client, told as the others were.
    pub(crate) fn end(mut self) {
        self.roll(u64::MAX);
    }

    /// The last second of a client that could not be waited for.
    pub(crate) fn into_last(self) -> Second {
        let Self { client, index, counts, latencies, .. } = self;
        Second { client, index, next: u64::MAX, counts, latencies }
    }

    #[inline]
    fn advance(&mut self, now_ns: u64) {
        let index = now_ns.saturating_sub(self.origin_ns) / SECOND_NS;
        if index > self.index {
            self.roll(index);
        }
    }

    fn roll(&mut self, next: u64) {
        let (counts, latencies) = (std::mem::take(&mut self.counts), self.latencies.take());
        (self.emit)(Second { client: self.client, index: self.index, next, counts, latencies });
        self.index = next;
    }
}

/// A second of all clients, as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Row {
    pub(crate) second: u64,
    pub(crate) sent: u64,
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) mb: f64,
    /// Microseconds; `None` where nothing was measured in that second.
    pub(crate) response_us: Option<Quantiles>,
    pub(crate) service_us: Option<Quantiles>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Quantiles {
    fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let at = |q: f64| histogram.value_at_quantile(q) as f64 / 1e3;
        (!histogram.is_empty()).then(|| Self { p50: at(0.5), p99: at(0.99), max: histogram.max() as f64 / 1e3 })
    }
}

/// The main thread's side.
pub(crate) struct Series<'a> {
    /// The second that each client is in.
    at: Vec<u64>,
    open: BTreeMap<u64, (Counts, Latencies)>,
    next: u64,
    pub(crate) rows: Vec<Row>,
    pub(crate) total: Latencies,
    pub(crate) counts: Counts,
    on_second: Option<SecondSink<'a>>,
}

impl<'a> Series<'a> {
    pub(crate) fn new(clients: usize, on_second: Option<SecondSink<'a>>) -> Self {
        Self {
            at: vec![0; clients],
            open: BTreeMap::new(),
            next: 0,
            rows: Vec::new(),
            total: Latencies::new(),
            counts: Counts::default(),
            on_second,
        }
    }

    /// Takes a client's second, and closes those that all clients are past.
    pub(crate) fn take(&mut self, second: Second) -> Result<(), PerfError> {
        let Second { client, index, next, counts, latencies } = second;
        self.counts.add(&counts);
        match self.open.entry(index) {
            std::collections::btree_map::Entry::Vacant(entry) => _ = entry.insert((counts, latencies)),
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                entry.get_mut().0.add(&counts);
                entry.get_mut().1.merge(&latencies);
            }
        }
        self.at[client] = next;
        self.close_before(self.at.iter().copied().min().unwrap_or(u64::MAX))
    }

    /// Closes all that is open: the run is over.
    pub(crate) fn end(&mut self) -> Result<(), PerfError> {
        self.close_before(u64::MAX)
    }

    fn close_before(&mut self, limit: u64) -> Result<(), PerfError> {
        while let Some(entry) = self.open.first_entry().filter(|entry| *entry.key() < limit) {
            let (index, (counts, latencies)) = entry.remove_entry();
            // A second in which nothing happened is a row too: that is what a stall looks like.
            self.rows.extend((self.next..index).map(|second| Row { second, ..Row::default() }));
            self.next = index + 1;
            self.rows.push(Row::of(index, &counts, &latencies));
            if let Some(on_second) = &mut self.on_second {
                on_second(index, &latencies)?;
            }
            self.total.merge(&latencies);
        }
        Ok(())
    }
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.done += other.done;
        self.done_bytes += other.done_bytes;
        self.failed += other.failed;
        self.steady.plus(&other.steady);
    }
}

impl Done {
    fn add(&mut self, bytes: u32) {
        self.plus(Self { records: 1, bytes: u64::from(bytes) });
    }

    fn plus(&mut self, other: Self) {
        self.records += other.records;
        self.bytes += other.bytes;
    }
}

impl Steady {
    fn plus(&mut self, other: &Self) {
        self.own.plus(other.own);
        self.before.plus(other.before);
        self.late.plus(other.late);
    }

    /// What the steady state's rate counts: every answer that was seen in it, and where records have a schedule no more of
    /// them than were due.
    pub(crate) fn counted(&self, has_schedule: bool) -> Done {
        let mut counted = self.own;
        counted.plus(self.before);
        if has_schedule && self.before.records > self.late.records {
            counted = self.own;
            counted.plus(self.late);
        }
        counted
    }
}

impl Row {
    fn of(second: u64, counts: &Counts, latencies: &Latencies) -> Self {
        Self {
            second,
            sent: counts.sent,
            done: counts.done,
            failed: counts.failed,
            mb: counts.done_bytes as f64 / MB,
            response_us: Quantiles::of(&latencies.response),
            service_us: Quantiles::of(&latencies.service),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn sample(sent_ns: u64, done_ns: u64) -> Sample {
        Sample { intended_ns: sent_ns, sent_ns, done_ns, bytes: 10 }
    }

    fn recorder(client: usize, warms_up: bool) -> (Recorder, Arc<Mutex<Vec<Second>>>) {
        let seconds: Arc<Mutex<Vec<Second>>> = Arc::default();
        let emitted = Arc::clone(&seconds);
        let emit = Box::new(move |second| emitted.lock().unwrap().push(second));
        (Recorder::new(client, 0, warms_up, emit), seconds)
    }

    #[test]
    fn a_second_is_closed_when_all_clients_are_past_it_and_a_stall_leaves_empty_rows() {
        let ((mut one, first), (mut two, second)) = (recorder(0, false), recorder(1, false));
        let mut series = Series::new(2, None);
        let give = |series: &mut Series<'_>, from: &Arc<Mutex<Vec<Second>>>| {
            from.lock().unwrap().drain(..).for_each(|second| series.take(second).unwrap());
        };
        one.sent(5);
        one.done(&sample(5, 2_000_005));
        one.done(&sample(SECOND_NS, SECOND_NS + 1000));
        give(&mut series, &first);
        assert!(series.rows.is_empty(), "the other client may still be in that second");
        two.done(&sample(7, 1_000_007));
        two.failed(3, 4 * SECOND_NS);
        give(&mut series, &second);
        assert_eq!((series.rows.len(), series.rows[0].done, series.rows[0].sent), (1, 2, 1));
        one.end();
        two.end();
        give(&mut series, &first);
        give(&mut series, &second);
        series.end().unwrap();
        let shape: Vec<(u64, u64, u64)> = series.rows.iter().map(|row| (row.second, row.done, row.failed)).collect();
        assert_eq!(shape, [(0, 2, 0), (1, 1, 0), (2, 0, 0), (3, 0, 0), (4, 0, 3)]);
        assert_eq!((series.total.records, series.counts.done, series.counts.failed), (3, 3, 3));
    }

    #[test]
    fn the_warm_up_is_counted_and_not_measured() {
        let (mut recorder, seconds) = recorder(0, true);
        recorder.done(&sample(1, 2));
        recorder.begin_steady_state(10, 10);
        recorder.done(&sample(9, 20)); // sent before
        recorder.done(&sample(10, 20));
        recorder.end();
        let mut series = Series::new(1, None);
        seconds.lock().unwrap().drain(..).for_each(|second| series.take(second).unwrap());
        assert_eq!((series.counts.done, series.total.records), (3, 1));
    }

    #[test]
    fn the_rate_of_the_steady_state_counts_answers_and_its_latencies_count_what_was_due() {
        let (mut recorder, seconds) = recorder(0, true);
        let at = |intended_ns, sent_ns, done_ns| Sample { intended_ns, sent_ns, done_ns, bytes: 10 };
        recorder.done(&at(SECOND_NS, SECOND_NS, SECOND_NS + 1));
        recorder.begin_steady_state(10 * SECOND_NS + 5, 10 * SECOND_NS);
        recorder.done(&at(9 * SECOND_NS, 9 * SECOND_NS, 11 * SECOND_NS)); // due before, answered within
        recorder.done(&at(10 * SECOND_NS, 10 * SECOND_NS + 5, 11 * SECOND_NS)); // the first of the steady state, late
        recorder.end_steady_state(12 * SECOND_NS);
        recorder.done(&at(12 * SECOND_NS - 1, 12 * SECOND_NS - 1, 20 * SECOND_NS)); // due within, answered late
        recorder.dropped(11 * SECOND_NS, 21 * SECOND_NS);
        recorder.dropped(9 * SECOND_NS, 21 * SECOND_NS); // due in the warm-up
        recorder.end();
        let mut lines = Vec::new();
        let mut series = Series::new(
            1,
            Some(Box::new(|second, latencies| {
                lines.push((second, latencies.response.len(), latencies.service.len()));
                Ok(())
            })),
        );
        seconds.lock().unwrap().drain(..).for_each(|second| series.take(second).unwrap());
        let Steady { own, before, late } = series.counts.steady;
        assert_eq!(series.counts.done, 4);
        let of = |records| Done { records, bytes: 10 * records };
        assert_eq!(
            [own, before, late],
            [of(0), of(2), of(1)],
            "the late one was due before the state began by the clock"
        );
        assert_eq!((series.total.response.len(), series.total.service.len(), series.total.records), (3, 2, 2));
        assert!(series.total.response.max() >= 10 * SECOND_NS, "what is never sent has waited");
        drop(series);
        let held: Vec<_> = lines.into_iter().filter(|line| line.1 > 0).collect();
        assert_eq!(held, [(11, 1, 1), (20, 1, 1), (21, 1, 0)], "a second is the one in which the answer was seen");
    }

    #[test]
    fn at_a_fixed_rate_a_backlog_of_the_warm_up_is_no_more_than_was_due() {
        // Ten records a second are due; the broker answers nothing in the warm-up of 2 s, and everything at 3 s.
        let (mut recorder, seconds) = recorder(0, true);
        let due = |record: u64| record * SECOND_NS / 10;
        recorder.begin_steady_state(2 * SECOND_NS, 2 * SECOND_NS);
        (0..30).for_each(|it| recorder.done(&sample(due(it), 3 * SECOND_NS)));
        (30..39).for_each(|it| recorder.done(&sample(due(it), due(it) + 1000)));
        recorder.end_steady_state(4 * SECOND_NS);
        recorder.done(&sample(due(39), 4 * SECOND_NS + 1000));
        recorder.end();
        let mut series = Series::new(1, None);
        seconds.lock().unwrap().drain(..).for_each(|second| series.take(second).unwrap());
        let steady = series.counts.steady;
        assert_eq!((steady.own.records, steady.before.records, steady.late.records), (19, 20, 1));
        assert_eq!(steady.counted(true), Done { records: 20, bytes: 200 }, "20 were due in 2 s, and not 39");
        assert_eq!(steady.counted(false).records, 39, "as fast as it goes, an answer is an answer");
        let falling = Steady { late: Done { records: 50, bytes: 500 }, ..steady };
        assert_eq!(falling.counted(true).records, 39, "what came too late is no more than what came");
    }

    #[test]
    fn at_a_fixed_rate_a_sender_that_was_behind_is_no_faster_than_its_schedule() {
        // Ten records a second are due; the sender hands over at 3 s what was due at 2 s, where its steady state begins.
        let (mut recorder, seconds) = recorder(0, true);
        let due = |record: u64| record * SECOND_NS / 10;
        recorder.begin_steady_state(3 * SECOND_NS, due(20));
        (20..40).for_each(|it| recorder.done(&sample(due(it), due(it).max(3 * SECOND_NS) + 1000)));
        recorder.end_steady_state(4 * SECOND_NS);
        recorder.end();
        let mut series = Series::new(1, None);
        seconds.lock().unwrap().drain(..).for_each(|second| series.take(second).unwrap());
        assert_eq!(series.counts.steady.counted(true).records, 10, "of one second by the clock, and not of two");
        assert_eq!(series.total.records, 20, "the latencies have all that was due since the warm-up");
    }

    #[test]
    fn what_comes_late_belongs_to_the_second_that_the_client_is_in() {
        let (mut recorder, seconds) = recorder(0, false);
        recorder.sent(3 * SECOND_NS);
        recorder.failed(1, SECOND_NS);
        recorder.end();
        let indexes: Vec<(u64, u64)> = seconds.lock().unwrap().iter().map(|it| (it.index, it.counts.failed)).collect();
        assert_eq!(indexes, [(0, 0), (3, 1)]);
    }
}
