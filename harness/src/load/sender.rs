//! One client's loop.
//!
//! ```text
//!   closed   payload -> key -> clock -> send -> throttle               per record, on one thread
//!   open     payload -> key -> wait until it is due -> clock -> send
//! ```
//!
//! - Record `i` of client `c` of `n` has the number `i * n + c` in the run: with one client that is `i`, as the original's.
//! - A closed loop's record is intended for when the throttle wants it: `start + i / rate`, or now where that is later.
//! - The open loop's schedule goes on while a send waits for memory or metadata: what is late is sent at once, and its
//!   response time counts from when it was due.
//! - Nothing that was due is forgotten: what is not sent when the time is over is sent after it, for as long again. What
//!   is left even then, or after a signal, is counted as dropped, and has the time that it waited as its response time.

use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use ringlog_io::driver;

use super::book::Book;
use super::ear::{Ear, MetricsTable, Observer};
use super::records::Records;
use super::steady::Steadiness;
use super::throttle::{Rest, Throttle};
use super::times::{Share, Times};
use super::transactions::Transactions;
use crate::cli::PerfError;
use crate::client::config::ProducerConfig;
use crate::client::{NewRecord, Producer, ProducerStats, Topic};
use crate::load::schedule::{Arrivals, Schedule};
use crate::load::signals::Stop;
use crate::measure::ClientCounts;
use crate::measure::effort::{Begun, Effort};
use crate::measure::series::Recorder;
use crate::spec::{Pace, Produce};

/// A record of the open loop that is sent this much after it was due is late.
pub(crate) const LATE_NS: u64 = 1_000_000;
/// A wait shorter than this is not worth a call of the kernel, which takes about as long.
const SPIN_NS: u64 = 20_000;
/// How often a wait looks for a signal.
const LOOK_NS: u64 = 100_000_000;
/// How long a client that was told to stop waits for the answers to what it has sent.
const CLOSE_WAIT: Duration = Duration::from_secs(3);

/// What a client leaves behind.
pub(crate) struct Report {
    /// From the beginning to send until its last record was done.
    pub(crate) effort: Effort,
    /// Its `--print-metrics`.
    pub(crate) metrics: Option<String>,
    pub(crate) disconnect: Option<String>,
    pub(crate) stats: ProducerStats,
    pub(crate) lateness: Lateness,
    /// What the client had counted when its partitions were primed.
    pub(crate) primed: ProducerStats,
    /// What the client counted from the beginning of the steady state until its last record was handed over.
    pub(crate) counts: ClientCounts,
    /// How long each commit of the steady state took, ns, where there are transactions.
    pub(crate) commits: Option<Histogram<u64>>,
}

impl Report {
    /// Records that were sent more than once, those that primed the partitions left out.
    pub(crate) fn retried_records(&self) -> u64 {
        self.stats.retried_records.saturating_sub(self.primed.retried_records)
    }
}

/// How far an open loop was from its schedule, in records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lateness {
    /// Sent [`LATE_NS`] or more after they were due.
    pub(crate) late: u64,
    /// Due before the end, and never sent.
    pub(crate) dropped: u64,
}

/// One client: its producer and its share.
pub(crate) struct Sender<'a> {
    spec: &'a Produce,
    share: Share,
    stop: &'a Stop,
    records: Records,
    producer: Producer<Ear>,
    topic: Topic,
    transactions: Option<Transactions>,
    /// Where more is kept than the observer does.
    book: Option<Book>,
    steadiness: Option<Arc<Steadiness>>,
    metrics: Option<MetricsTable>,
    lateness: Lateness,
    primed: ProducerStats,
    /// When the steady state began; from then on, when the last record was handed over.
    counts: ClientCounts,
    commits: Option<Histogram<u64>>,
}

/// What a client is opened with.
pub(crate) struct Own {
    pub(crate) number: usize,
    pub(crate) config: ProducerConfig,
    pub(crate) records: Records,
    pub(crate) observer: Box<dyn Observer>,
    pub(crate) book: Option<Book>,
    pub(crate) steadiness: Option<Arc<Steadiness>>,
    pub(crate) metrics: Option<MetricsTable>,
}

impl<'a> Sender<'a> {
    pub(crate) fn open(spec: &'a Produce, stop: &'a Stop, own: Own) -> Result<Self, PerfError> {
        let Own { number, config, records, observer, book, steadiness, metrics } = own;
        let driver = driver::open(driver::DriverOptions::default())?;
        let is_transactional = config.transactional_id.is_some();
        let mut producer = Producer::open(config, driver, Ear::new(observer, book.clone(), steadiness.clone()))?;
        let topic = producer.topic(&spec.topic);
        let mut transactions = None;
        if is_transactional {
            transactions = Some(Transactions::open(&mut producer, spec.commit_when, book.clone())?);
        }
        Ok(Self {
            spec,
            share: Share::of(spec, number),
            stop,
            records,
            producer,
            topic,
            transactions,
            book,
            steadiness,
            metrics,
            lateness: Lateness::default(),
            primed: ProducerStats::default(),
            counts: ClientCounts::default(),
            commits: None,
        })
    }

    /// Sends its share, waits for the answers, closes. The recorder hears of all but the records that prime.
    pub(crate) fn run(mut self, recorder: Option<Recorder>) -> Result<Report, PerfError> {
        if self.spec.pace.arrivals().is_some() {
            // The schedule begins when there is somebody to send to.
            self.producer.partition_count(self.topic)?;
        }
        if self.spec.primes {
            self.prime()?;
        }
        if let Some(book) = &self.book {
            book.pages().recorder = recorder;
        }
        let began_ns = self.producer.driver().read().0;
        let begun = Begun::at(began_ns);
        self.counts = counted(&mut self.producer);
        self.primed = self.producer.stats();
        self.producer.sink().started(began_ns);
        if let Err(error) = self.send(began_ns) {
            self.transactions.iter_mut().for_each(|transactions| transactions.give_up(&mut self.producer));
            return Err(error);
        }
        self.finish(begun)
    }

    /// One record to each partition, number 0 over and over, and its answer; where there are transactions, in one.
    fn prime(&mut self) -> Result<(), PerfError> {
        self.transactions.as_mut().map_or(Ok(()), |transactions| transactions.before(&mut self.producer))?;
        let partitions = self.producer.partition_count(self.topic)?;
        for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
            let sent_ns = self.producer.driver().read().0;
            let (key, value) = self.records.next(0);
            let partition = Some(partition);
            let record = NewRecord { topic: self.topic, partition, key, value, intended_ns: sent_ns, sent_ns };
            hand_over(&mut self.producer, &record, 0, self.book.as_ref())?;
        }
        self.producer.flush()?;
        self.transactions.as_mut().map_or(Ok(()), |transactions| transactions.end(&mut self.producer))
    }

    fn send(&mut self, began_ns: u64) -> Result<(), PerfError> {
        match self.spec.pace {
            Pace::Free | Pace::Throttled(_) => self.send_closed(began_ns)?,
            Pace::Open(_, arrivals) => self.send_open(arrivals, began_ns)?,
        }
        self.counts = self.counts.until(counted(&mut self.producer));
        let now_ns = self.producer.driver().read().0;
        self.producer.sink().ended(now_ns);
        self.commits = self.transactions.as_ref().map(Transactions::commits);
        self.transactions.as_mut().map_or(Ok(()), |transactions| transactions.end(&mut self.producer))
    }

    fn send_closed(&mut self, start_ns: u64) -> Result<(), PerfError> {
        let Share { client, clients, records, throughput, .. } = self.share;
        let mut times = Times::new(self.spec, &self.share, start_ns, self.steadiness.clone());
        let mut throttle = Throttle::new(throughput, start_ns);
        // Only where somebody measures from there.
        let period_ns = self.book.as_ref().filter(|_| throughput > 0.0).map(|_| 1e9 / throughput);
        let mut number = client;
        for index in 0..records {
            let (key, value) = self.records.next(number);
            if let Some(transactions) = &mut self.transactions {
                transactions.before(&mut self.producer)?;
            }
            let mut sent_ns = self.producer.driver().read().0;
            if self.stop.requested() || sent_ns >= times.end_ns {
                break;
            }
            let is_steady = times.is_warming_up && times.is_warm(index, sent_ns, self.share.warmup_records);
            if times.is_warming_up {
                sent_ns = times.after_the_last(sent_ns, is_steady, &mut self.producer);
            }
            let intended_ns = period_ns.map_or(sent_ns, |period_ns| times.intended_ns(index, sent_ns, period_ns));
            if is_steady {
                times.begin_steady_state(&mut self.counts, (sent_ns, intended_ns), &mut self.producer);
                self.transactions.iter_mut().for_each(Transactions::begin_steady_state);
            }
            let bytes = value.len();
            let record = NewRecord { topic: self.topic, partition: None, key, value, intended_ns, sent_ns };
            hand_over(&mut self.producer, &record, number, self.book.as_ref())?;
            number += clients;
            if let Some(transactions) = &mut self.transactions {
                transactions.after(&mut self.producer, sent_ns)?;
            }
            if times.budget.spend(bytes) && self.is_spent(&mut times)? {
                break;
            }
            self.rest(throttle.after(index, sent_ns), times.end_ns)?;
        }
        Ok(())
    }

    /// The bytes of a phase are used up before its time: it ends with the last answer. True where it was the last phase.
    fn is_spent(&mut self, times: &mut Times) -> Result<bool, PerfError> {
        self.producer.flush()?;
        let now_ns = self.producer.driver().read().0;
        Ok(times.is_last_phase(now_ns))
    }

    fn send_open(&mut self, arrivals: Arrivals, start_ns: u64) -> Result<(), PerfError> {
        let Share { client, clients, records, throughput, .. } = self.share;
        let mut times = Times::new(self.spec, &self.share, start_ns, self.steadiness.clone());
        let seed = self.spec.records.seed.cast_unsigned() ^ client;
        let mut schedule = Schedule::new(arrivals, throughput, start_ns, seed);
        for index in 0..records {
            let due_ns = schedule.due_ns();
            if due_ns >= times.end_ns {
                wait_until(&mut self.producer, times.end_ns, self.stop)?;
                break;
            }
            let (key, value) = self.records.next(index * clients + client);
            if let Some(transactions) = &mut self.transactions {
                transactions.before(&mut self.producer)?;
            }
            let mut sent_ns = wait_until(&mut self.producer, due_ns, self.stop)?;
            if self.stop.requested() || sent_ns >= times.give_up_ns() {
                self.drop_due(&mut schedule, (sent_ns, times.end_ns), records - index);
                break;
            }
            let is_steady = times.is_warming_up && times.is_warm(index, due_ns, self.share.warmup_records);
            if times.is_warming_up {
                sent_ns = times.after_the_last(sent_ns, is_steady, &mut self.producer);
            }
            if is_steady {
                times.begin_steady_state(&mut self.counts, (sent_ns, due_ns), &mut self.producer);
                self.transactions.iter_mut().for_each(Transactions::begin_steady_state);
            }
            self.lateness.late += u64::from(sent_ns.saturating_sub(due_ns) >= LATE_NS);
            let record = NewRecord { topic: self.topic, partition: None, key, value, intended_ns: due_ns, sent_ns };
            hand_over(&mut self.producer, &record, index * clients + client, self.book.as_ref())?;
            if let Some(transactions) = &mut self.transactions {
                transactions.after(&mut self.producer, sent_ns)?;
            }
            schedule.step();
        }
        Ok(())
    }

    /// What the schedule wanted before now and before the end, of the records that are left, is never sent.
    fn drop_due(&mut self, schedule: &mut Schedule, (now_ns, end_ns): (u64, u64), left: u64) {
        let mut pages = self.book.as_ref().map(Book::pages);
        let mut recorder = pages.as_mut().and_then(|pages| pages.recorder.as_mut());
        while self.lateness.dropped < left && schedule.due_ns() < end_ns.min(now_ns) {
            self.lateness.dropped += 1;
            recorder.iter_mut().for_each(|recorder| recorder.dropped(schedule.due_ns(), now_ns));
            schedule.step();
        }
    }

    fn rest(&mut self, rest: Rest, end_ns: u64) -> Result<(), PerfError> {
        match rest {
            Rest::No => Ok(()),
            Rest::For(pause) => {
                let now_ns = self.producer.driver().read().0;
                let until_ns = now_ns.saturating_add(u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX));
                wait_until(&mut self.producer, until_ns.min(end_ns), self.stop)?;
                Ok(())
            }
            Rest::Forever => {
                errln!("--throughput 0: nothing more will be sent; interrupt to end.");
                wait_until(&mut self.producer, end_ns, self.stop)?;
                Ok(())
            }
        }
    }

    fn finish(mut self, begun: Begun) -> Result<Report, PerfError> {
        if self.stop.requested() {
            self.producer.flush_for(CLOSE_WAIT)?;
        } else {
            self.producer.flush()?;
        }
        let client_id = self.producer.config().common.client_id.clone();
        let metrics = self.metrics.map(|table| table(&mut self.producer, &self.spec.topic, &client_id));
        let report = Report {
            effort: begun.end(self.producer.driver().read().0),
            metrics,
            disconnect: self.producer.last_disconnect().map(str::to_owned),
            stats: self.producer.stats(),
            lateness: self.lateness,
            primed: self.primed,
            counts: self.counts,
            commits: self.commits,
        };
        // What flush_for left over is given up here, and counted as failed.
        self.producer.abort();
        if let Some(recorder) = self.book.as_ref().and_then(|book| book.pages().recorder.take()) {
            recorder.end();
        }
        Ok(report)
    }
}

/// What a producer has counted until now.
pub(super) fn counted(producer: &mut Producer<Ear>) -> ClientCounts {
    let (network, stats) = (producer.network_stats(), producer.stats());
    ClientCounts {
        buffer_wait_ns: stats.memory_wait_ns,
        wire_bytes: network.sent_bytes + network.received_bytes,
        syscalls: producer.driver().counters().syscalls,
        requests: network.requests,
        batches: stats.batches,
        throttle_ms: network.throttle_ms,
    }
}

/// Gives a record to the producer; with a book it is counted there, and stamped where that has a ledger.
#[inline]
fn hand_over(
    producer: &mut Producer<Ear>,
    record: &NewRecord<'_>,
    number: u64,
    book: Option<&Book>,
) -> Result<(), PerfError> {
    let Some(book) = book else { return Ok(producer.send(record, number)?) };
    book.pages().sent(record.sent_ns);
    Ok(producer
        .send_in_place(record, book.headers(), |_, partition, place| book.pages().tag(partition, place, number))?)
}

/// Lets the producer work until a moment, or until the run is to end. Gives the time.
fn wait_until(producer: &mut Producer<Ear>, until_ns: u64, stop: &Stop) -> Result<u64, PerfError> {
    loop {
        let now_ns = producer.driver().read().0;
        let left_ns = until_ns.saturating_sub(now_ns);
        if left_ns == 0 || stop.requested() {
            return Ok(now_ns);
        }
        if left_ns >= SPIN_NS {
            producer.poll(Duration::from_nanos(left_ns.min(LOOK_NS)))?;
        }
    }
}
