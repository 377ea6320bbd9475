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

use std::time::Duration;

use ringlog_io::driver;

use super::book::Book;
use super::ear::{Ear, MetricsTable, Observer};
use super::records::Records;
use super::throttle::{Rest, Throttle};
use super::transactions::Transactions;
use crate::cli::PerfError;
use crate::client::config::ProducerConfig;
use crate::client::{NewRecord, Producer, ProducerStats, Topic};
use crate::load::schedule::{Arrivals, Schedule};
use crate::load::signals::Stop;
use crate::measure::ClientCounts;
use crate::measure::effort::{Begun, Effort};
use crate::measure::series::Recorder;
use crate::spec::{Pace, Produce, Until, Warmup};

/// A record of the open loop that is sent this much after it was due is late.
pub(crate) const LATE_NS: u64 = 1_000_000;
/// A wait shorter than this is not worth a call of the kernel, which takes about as long.
const SPIN_NS: u64 = 20_000;
/// How often a wait looks for a signal.
const LOOK_NS: u64 = 100_000_000;
/// How long a client that was told to stop waits for the answers to what it has sent.
const CLOSE_WAIT: Duration = Duration::from_secs(3);

/// What one client of several does: its share of the records, of the rate and of the warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Share {
    client: u64,
    clients: u64,
    records: u64,
    /// Records per second; below 0 where there is no limit.
    throughput: f64,
    warmup_records: Option<u64>,
    bytes: Option<u64>,
}

impl Share {
    /// The share of client number `client` of `clients`. What does not divide goes to the first ones.
    pub(crate) fn of(spec: &Produce, client: usize) -> Self {
        let (client, clients) = (client as u64, spec.clients as u64);
        let part = |whole: u64| whole / clients + u64::from(client < whole % clients);
        let Until { records, bytes, .. } = spec.until;
        Self {
            client,
            clients,
            records: records.map_or(u64::MAX, part),
            throughput: spec.pace.records_s() / clients as f64,
            warmup_records: match spec.warmup {
                Warmup::Records(records) => Some(part(records)),
                Warmup::Without | Warmup::Time(_) => None,
            },
            bytes: bytes.map(part),
        }
    }
}

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
    metrics: Option<MetricsTable>,
    lateness: Lateness,
    primed: ProducerStats,
    /// When the steady state began; from then on, when the last record was handed over.
    counts: ClientCounts,
}

/// What a client is opened with.
pub(crate) struct Own {
    pub(crate) number: usize,
    pub(crate) config: ProducerConfig,
    pub(crate) records: Records,
    pub(crate) observer: Box<dyn Observer>,
    pub(crate) book: Option<Book>,
    pub(crate) metrics: Option<MetricsTable>,
}

/// The times of a loop, nanoseconds of the monotonic clock.
struct Times {
    start_ns: u64,
    end_ns: u64,
    warm_ns: u64,
    is_warming_up: bool,
    last_sent_ns: u64,
    budget: Budget,
}

/// Payload bytes that may still be sent, where they are limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Budget {
    left: u64,
    /// What the time after the warm-up may send.
    steady: u64,
    /// How long that time is.
    steady_ns: u64,
}

impl Budget {
    /// Of so many bytes, of which the warm-up has its share by time.
    fn new(bytes: Option<u64>, duration: Option<Duration>, warmup: Option<Duration>) -> Self {
        let (Some(bytes), Some(duration)) = (bytes, duration) else {
            return Self { left: u64::MAX, steady: u64::MAX, steady_ns: u64::MAX };
        };
        let warmup = warmup.unwrap_or_default();
        let warm = (bytes as f64 * warmup.as_secs_f64() / duration.as_secs_f64().max(f64::MIN_POSITIVE)) as u64;
        let steady = bytes.saturating_sub(warm);
        let steady_ns = nanos(duration.saturating_sub(warmup));
        Self { left: if warmup.is_zero() { steady } else { warm }, steady, steady_ns }
    }

    /// Whether nothing is left after so many more bytes.
    fn spend(&mut self, bytes: usize) -> bool {
        self.left = self.left.saturating_sub(bytes as u64);
        self.left == 0
    }
}

impl<'a> Sender<'a> {
    pub(crate) fn open(spec: &'a Produce, stop: &'a Stop, own: Own) -> Result<Self, PerfError> {
        let Own { number, config, records, observer, book, metrics } = own;
        let driver = driver::open(driver::DriverOptions::default())?;
        let is_transactional = config.transactional_id.is_some();
        let mut producer = Producer::open(config, driver, Ear::new(observer, book.clone()))?;
        let topic = producer.topic(&spec.topic);
        let mut transactions = None;
        if is_transactional {
            transactions = Some(Transactions::open(&mut producer, spec.transaction_ms, book.clone())?);
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
            metrics,
            lateness: Lateness::default(),
            primed: ProducerStats::default(),
            counts: ClientCounts::default(),
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

    /// One record to each partition, number 0 over and over, and its answer.
    fn prime(&mut self) -> Result<(), PerfError> {
        let partitions = self.producer.partition_count(self.topic)?;
        for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
            let sent_ns = self.producer.driver().read().0;
            let (key, value) = self.records.next(0);
            let partition = Some(partition);
            let record = NewRecord { topic: self.topic, partition, key, value, intended_ns: sent_ns, sent_ns };
            hand_over(&mut self.producer, &record, 0, self.book.as_ref())?;
        }
        Ok(self.producer.flush()?)
    }

    fn send(&mut self, began_ns: u64) -> Result<(), PerfError> {
        match self.spec.pace {
            Pace::Free | Pace::Throttled(_) => self.send_closed(began_ns)?,
            Pace::Open(_, arrivals) => self.send_open(arrivals, began_ns)?,
        }
        self.counts = self.counts.until(counted(&mut self.producer));
        let now_ns = self.producer.driver().read().0;
        self.producer.sink().ended(now_ns);
        self.transactions.as_mut().map_or(Ok(()), |transactions| transactions.end(&mut self.producer))
    }

    fn times(&self, start_ns: u64) -> Times {
        let after = |span: Option<Duration>| span.map_or(u64::MAX, |span| start_ns.saturating_add(nanos(span)));
        let warmup = match self.spec.warmup {
            Warmup::Time(span) => Some(span),
            Warmup::Without | Warmup::Records(_) => None,
        };
        Times {
            start_ns,
            end_ns: after(self.spec.until.duration),
            warm_ns: after(warmup),
            is_warming_up: self.spec.warmup != Warmup::Without,
            last_sent_ns: 0,
            budget: Budget::new(self.share.bytes, self.spec.until.duration, warmup),
        }
    }

    fn send_closed(&mut self, start_ns: u64) -> Result<(), PerfError> {
        let Share { client, clients, records, throughput, .. } = self.share;
        let mut times = self.times(start_ns);
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
        if times.is_warming_up {
            times.warm_ns = 0;
            times.end_ns = self.producer.driver().read().0.saturating_add(times.budget.steady_ns);
            times.budget.left = times.budget.steady;
            return Ok(false);
        }
        Ok(true)
    }

    fn send_open(&mut self, arrivals: Arrivals, start_ns: u64) -> Result<(), PerfError> {
        let Share { client, clients, records, throughput, .. } = self.share;
        let mut times = self.times(start_ns);
        // The time is over; so long again may what was due before it take.
        let give_up_ns = times.end_ns.saturating_add(times.end_ns.saturating_sub(start_ns));
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
            if self.stop.requested() || sent_ns >= give_up_ns {
                self.drop_due(&mut schedule, (sent_ns, times.end_ns), records - index);
                break;
            }
            let is_steady = times.is_warming_up && times.is_warm(index, due_ns, self.share.warmup_records);
            if times.is_warming_up {
                sent_ns = times.after_the_last(sent_ns, is_steady, &mut self.producer);
            }
            if is_steady {
                times.begin_steady_state(&mut self.counts, (sent_ns, due_ns), &mut self.producer);
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
        };
        // What flush_for left over is given up here, and counted as failed.
        self.producer.abort();
        if let Some(recorder) = self.book.as_ref().and_then(|book| book.pages().recorder.take()) {
            recorder.end();
        }
        Ok(report)
    }
}

impl Times {
    /// When the throttle wants record `index`; now, where it is sent ahead of that.
    fn intended_ns(&self, index: u64, sent_ns: u64, period_ns: f64) -> u64 {
        sent_ns.min(self.start_ns.saturating_add((index as f64 * period_ns) as u64))
    }

    /// Whether the warm-up is over with record `index`, which is sent (in an open loop: due) at that time.
    fn is_warm(&self, index: u64, at_ns: u64, records: Option<u64>) -> bool {
        at_ns >= self.warm_ns || records.is_some_and(|records| index >= records)
    }

    /// When a record of the warm-up, or the first one after it, is sent: that one later than the record before, however
    /// coarse the clock is, for times tell on which side a record is.
    #[cold]
    fn after_the_last(&mut self, sent_ns: u64, is_steady: bool, producer: &mut Producer<Ear>) -> u64 {
        let last_sent_ns = std::mem::replace(&mut self.last_sent_ns, sent_ns);
        let mut sent_ns = sent_ns;
        while is_steady && sent_ns <= last_sent_ns {
            sent_ns = producer.driver().read().0;
        }
        sent_ns
    }

    #[cold]
    fn begin_steady_state(
        &mut self,
        counts: &mut ClientCounts,
        (sent_ns, intended_ns): (u64, u64),
        producer: &mut Producer<Ear>,
    ) {
        self.is_warming_up = false;
        self.budget.left = self.budget.steady;
        *counts = counted(producer);
        producer.sink().steady(sent_ns, intended_ns);
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// What a producer has counted until now.
fn counted(producer: &mut Producer<Ear>) -> ClientCounts {
    let (network, buffer_wait_ns) = (producer.network_stats(), producer.stats().memory_wait_ns);
    let syscalls = producer.driver().counters().syscalls;
    ClientCounts { buffer_wait_ns, wire_bytes: network.sent_bytes + network.received_bytes, syscalls }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_share_all_records_and_the_first_ones_take_what_does_not_divide() {
        let spec = Produce {
            clients: 3,
            pace: Pace::Throttled(30.0),
            until: Until { records: Some(11), ..Until::default() },
            warmup: Warmup::Records(4),
            ..crate::load::tests::spec("h:1")
        };
        let shares: Vec<Share> = (0..3).map(|client| Share::of(&spec, client)).collect();
        assert_eq!(shares.iter().map(|share| share.records).collect::<Vec<_>>(), [4, 4, 3]);
        assert_eq!(shares.iter().map(|share| share.warmup_records).collect::<Vec<_>>(), [Some(2), Some(1), Some(1)]);
        assert!(shares.iter().all(|share| (share.throughput - 10.0).abs() < 1e-9));
    }

    #[test]
    fn each_phase_has_its_share_of_the_bytes() {
        let (two, ten) = (Some(Duration::from_secs(2)), Some(Duration::from_secs(10)));
        let mut budget = Budget::new(Some(1000), ten, two);
        assert_eq!(budget, Budget { left: 200, steady: 800, steady_ns: 8_000_000_000 });
        assert!(!budget.spend(199) && budget.spend(5));
        assert_eq!(Budget::new(Some(1000), ten, None).left, 1000);
        assert!(!Budget::new(None, ten, two).spend(usize::MAX / 2), "without a limit nothing is used up");
    }

    #[test]
    fn a_record_is_intended_for_its_place_in_the_rate_and_never_after_it_was_sent() {
        let budget = Budget::new(None, None, None);
        let (end_ns, warm_ns) = (u64::MAX, u64::MAX);
        let times = Times { start_ns: 1000, end_ns, warm_ns, is_warming_up: false, last_sent_ns: 0, budget };
        assert_eq!(times.intended_ns(0, 1500, 100.0), 1000);
        assert_eq!(times.intended_ns(4, 9000, 100.0), 1400, "a stall before it is part of its response time");
        assert_eq!(times.intended_ns(40, 2000, 100.0), 2000, "a burst of the throttle runs ahead");
    }
}
