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
//!   response time counts from when it was due. What was due and not sent when the time was over is counted as dropped.

use std::time::Duration;

use ringlog_io::driver;

use super::book::Book;
use super::records::Records;
use super::throttle::{Rest, Throttle};
use super::transactions::{DURATION_MS_DEFAULT, Transactions};
use crate::cli::PerfError;
use crate::client::config::ProducerConfig;
use crate::client::{NewRecord, Producer, ProducerStats, Topic};
use crate::load::schedule::{Arrivals, Schedule};
use crate::load::signals::Stop;
use crate::measure::effort::{Begun, Effort};
use crate::verbs::producer_perf::metrics;
use crate::verbs::producer_perf::options::Options;
use crate::verbs::producer_perf::outcome::{Outcome, Shared};

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
    throughput: f64,
    warmup_records: Option<u64>,
}

impl Share {
    /// The share of client number `client` of `clients`. What does not divide goes to the first ones.
    pub(crate) fn of(options: &Options, client: usize, clients: usize) -> Self {
        let (client, clients) = (client as u64, clients as u64);
        let part = |whole: u64| whole / clients + u64::from(client < whole % clients);
        Self {
            client,
            clients,
            records: part(options.records),
            throughput: options.throughput / clients as f64,
            warmup_records: (options.warmup_records > 0).then(|| part(options.warmup_records)),
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
}

/// How far an open loop was from its schedule, in records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lateness {
    /// Sent [`LATE_NS`] or more after they were due.
    pub(crate) late: u64,
    /// Due before the end, and never sent.
    pub(crate) dropped: u64,
}

/// What beyond the original's options a loop looks at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pacing {
    pub(crate) arrivals: Option<Arrivals>,
    pub(crate) duration: Option<Duration>,
    pub(crate) warmup: Option<Duration>,
    pub(crate) seed: u64,
}

/// One client: its producer and its share.
pub(crate) struct Sender<'a> {
    options: &'a Options,
    share: Share,
    pacing: Pacing,
    stop: &'a Stop,
    records: Records,
    producer: Producer<Outcome>,
    topic: Topic,
    transactions: Option<Transactions>,
    /// Where more is kept than the original does.
    book: Option<Book>,
    lateness: Lateness,
}

/// The times of a loop, nanoseconds of the monotonic clock.
struct Times {
    start_ns: u64,
    end_ns: u64,
    warm_ns: u64,
    is_warming_up: bool,
    last_sent_ns: u64,
}

impl<'a> Sender<'a> {
    pub(crate) fn open(
        options: &'a Options,
        (share, pacing): (Share, Pacing),
        (config, records): (ProducerConfig, Records),
        (shared, stop, book): (&Shared, &'a Stop, Option<Book>),
    ) -> Result<Self, PerfError> {
        let driver = driver::open(driver::DriverOptions::default())?;
        let is_transactional = config.transactional_id.is_some();
        let mut producer = Producer::open(config, driver, Outcome::new(shared, book.clone()))?;
        let topic = producer.topic(&options.topic);
        let mut transactions = None;
        if is_transactional {
            let duration_ms = options.transaction_duration_ms.unwrap_or(DURATION_MS_DEFAULT);
            transactions = Some(Transactions::open(&mut producer, duration_ms, book.clone())?);
        }
        Ok(Self {
            options,
            share,
            pacing,
            stop,
            records,
            producer,
            topic,
            transactions,
            book,
            lateness: Lateness::default(),
        })
    }

    /// Sends its share, waits for the answers, closes.
    pub(crate) fn run(mut self) -> Result<Report, PerfError> {
        if self.pacing.arrivals.is_some() {
            // The schedule begins when there is somebody to send to.
            self.producer.partition_count(self.topic)?;
        }
        let began_ns = self.producer.driver().read().0;
        let begun = Begun::at(began_ns);
        self.producer.sink().start(began_ns);
        if let Err(error) = self.send(began_ns) {
            self.transactions.iter_mut().for_each(|transactions| transactions.give_up(&mut self.producer));
            return Err(error);
        }
        self.finish(begun)
    }

    fn send(&mut self, began_ns: u64) -> Result<(), PerfError> {
        match self.pacing.arrivals {
            None => self.send_closed(began_ns)?,
            Some(arrivals) => self.send_open(arrivals, began_ns)?,
        }
        self.transactions.as_mut().map_or(Ok(()), |transactions| transactions.end(&mut self.producer))
    }

    fn times(&self, start_ns: u64) -> Times {
        let after = |span: Option<Duration>| {
            span.map_or(u64::MAX, |span| start_ns.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
        };
        Times {
            start_ns,
            end_ns: after(self.pacing.duration),
            warm_ns: after(self.pacing.warmup),
            is_warming_up: self.share.warmup_records.is_some() || self.pacing.warmup.is_some(),
            last_sent_ns: 0,
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
            if times.is_warming_up {
                sent_ns = times.warm_up(index, sent_ns, self.share.warmup_records, &mut self.producer);
            }
            let intended_ns = period_ns.map_or(sent_ns, |period_ns| times.intended_ns(index, sent_ns, period_ns));
            let record = NewRecord { topic: self.topic, partition: None, key, value, intended_ns, sent_ns };
            hand_over(&mut self.producer, &record, number, self.book.as_ref())?;
            number += clients;
            if let Some(transactions) = &mut self.transactions {
                transactions.after(&mut self.producer, sent_ns)?;
            }
            self.rest(throttle.after(index, sent_ns), times.end_ns)?;
        }
        Ok(())
    }

    fn send_open(&mut self, arrivals: Arrivals, start_ns: u64) -> Result<(), PerfError> {
        let Share { client, clients, records, throughput, .. } = self.share;
        let mut times = self.times(start_ns);
        let mut schedule = Schedule::new(arrivals, throughput, start_ns, self.pacing.seed ^ client);
        for index in 0..records {
            let due_ns = schedule.due_ns();
            let (key, value) = self.records.next(index * clients + client);
            if let Some(transactions) = &mut self.transactions {
                transactions.before(&mut self.producer)?;
            }
            let mut sent_ns = wait_until(&mut self.producer, due_ns.min(times.end_ns), self.stop)?;
            if self.stop.requested() || sent_ns >= times.end_ns {
                self.count_dropped(&mut schedule, sent_ns.min(times.end_ns), records - index);
                break;
            }
            if times.is_warming_up {
                sent_ns = times.warm_up(index, sent_ns, self.share.warmup_records, &mut self.producer);
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

    /// Counts what the schedule wanted before the end, of the records that are left.
    fn count_dropped(&mut self, schedule: &mut Schedule, end_ns: u64, left: u64) {
        while self.lateness.dropped < left && schedule.due_ns() < end_ns {
            self.lateness.dropped += 1;
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
        let metrics =
            self.options.print_metrics.then(|| metrics::of(&mut self.producer, &self.options.topic, &client_id));
        let report = Report {
            effort: begun.end(self.producer.driver().read().0),
            metrics,
            disconnect: self.producer.last_disconnect().map(str::to_owned),
            stats: self.producer.stats(),
            lateness: self.lateness,
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

    /// Begins the steady state where this record is its first, and gives the time of its sending: later than that of the
    /// record before, however coarse the clock is, for times tell on which side a record is.
    #[cold]
    fn warm_up(&mut self, index: u64, sent_ns: u64, records: Option<u64>, producer: &mut Producer<Outcome>) -> u64 {
        let last_sent_ns = std::mem::replace(&mut self.last_sent_ns, sent_ns);
        if sent_ns < self.warm_ns && records.is_none_or(|records| index < records) {
            return sent_ns;
        }
        let mut sent_ns = sent_ns;
        while sent_ns <= last_sent_ns {
            sent_ns = producer.driver().read().0;
        }
        self.is_warming_up = false;
        producer.sink().begin_steady_state(sent_ns);
        sent_ns
    }
}

/// Gives a record to the producer; with a book it is counted there, and stamped where that has a ledger.
#[inline]
fn hand_over(
    producer: &mut Producer<Outcome>,
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
fn wait_until(producer: &mut Producer<Outcome>, until_ns: u64, stop: &Stop) -> Result<u64, PerfError> {
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
        let args =
            "--topic t --num-records 11 --warmup-records 4 --throughput 30 --record-size 9 --bootstrap-server h:1";
        let args: Vec<String> = args.split(' ').map(str::to_owned).collect();
        let options = crate::verbs::producer_perf::options::parse(&args).unwrap();
        let shares: Vec<Share> = (0..3).map(|client| Share::of(&options, client, 3)).collect();
        assert_eq!(shares.iter().map(|share| share.records).collect::<Vec<_>>(), [4, 4, 3]);
        assert_eq!(shares.iter().map(|share| share.warmup_records).collect::<Vec<_>>(), [Some(2), Some(1), Some(1)]);
        assert!(shares.iter().all(|share| (share.throughput - 10.0).abs() < 1e-9));
    }

    #[test]
    fn a_record_is_intended_for_its_place_in_the_rate_and_never_after_it_was_sent() {
        let times =
            Times { start_ns: 1000, end_ns: u64::MAX, warm_ns: u64::MAX, is_warming_up: false, last_sent_ns: 0 };
        assert_eq!(times.intended_ns(0, 1500, 100.0), 1000);
        assert_eq!(times.intended_ns(4, 9000, 100.0), 1400, "a stall before it is part of its response time");
        assert_eq!(times.intended_ns(40, 2000, 100.0), 2000, "a burst of the throttle runs ahead");
    }
}
