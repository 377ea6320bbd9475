//! One client's loop.
//!
//! ```text
//!   payload -> key -> clock -> send -> throttle          per record, on one thread
//! ```
//!
//! Record `i` of client `c` of `n` has the number `i * n + c` in the run: with one client that is `i`, as the original's.

use std::time::Duration;

use ringlog_io::driver;

use super::options::Options;
use super::outcome::{Outcome, Shared};
use super::payload::Payloads;
use super::throttle::{Rest, Throttle};
use super::transactions::{DURATION_MS_DEFAULT, Transactions};
use super::{metrics, to_ms};
use crate::cli::PerfError;
use crate::client::config::ProducerConfig;
use crate::client::{NewRecord, Producer, Topic};
use crate::perf_extras::signals::Stop;

/// What one client of several does: its share of the records, of the rate and of the warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Share {
    client: u64,
    clients: u64,
    records: u64,
    throughput: f64,
    warmup_records: u64,
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
            warmup_records: part(options.warmup_records),
        }
    }
}

/// What a client leaves behind.
pub(crate) struct Report {
    /// When its last record was done, nanoseconds of the monotonic clock.
    pub(crate) done_ns: u64,
    /// Its `--print-metrics`.
    pub(crate) metrics: Option<String>,
    pub(crate) disconnect: Option<String>,
}

/// How long a client that was told to stop waits for the answers to what it has sent.
const CLOSE_WAIT: Duration = Duration::from_secs(3);

/// One client: its producer and its share.
pub(crate) struct Sender<'a> {
    options: &'a Options,
    share: Share,
    stop: &'a Stop,
    payloads: Payloads,
    producer: Producer<Outcome>,
    topic: Topic,
    transactions: Option<Transactions>,
}

impl<'a> Sender<'a> {
    pub(crate) fn open(
        options: &'a Options,
        share: Share,
        (config, payloads): (ProducerConfig, Payloads),
        (shared, stop): (&Shared, &'a Stop),
    ) -> Result<Self, PerfError> {
        let driver = driver::open(driver::DriverOptions::default())?;
        let is_transactional = config.transactional_id.is_some();
        let mut producer = Producer::open(config, driver, Outcome::new(shared))?;
        let topic = producer.topic(&options.topic);
        let mut transactions = None;
        if is_transactional {
            let duration_ms = options.transaction_duration_ms.unwrap_or(DURATION_MS_DEFAULT);
            transactions = Some(Transactions::open(&mut producer, duration_ms)?);
        }
        Ok(Self { options, share, stop, payloads, producer, topic, transactions })
    }

    /// Sends its share, waits for the answers, closes.
    pub(crate) fn run(mut self) -> Result<Report, PerfError> {
        self.send_all()?;
        self.finish()
    }

    fn send_all(&mut self) -> Result<(), PerfError> {
        let Share { client, clients, records, throughput, .. } = self.share;
        let start_ns = self.producer.driver().read().0;
        self.producer.sink().start(start_ns);
        let mut throttle = Throttle::new(throughput, to_ms(start_ns));
        let mut is_warming_up = self.options.warmup_records > 0;
        let mut last_sent_ns = 0;
        for index in 0..records {
            if self.stop.requested() {
                break;
            }
            let number = index * clients + client;
            let (key, value) = self.payloads.next(number);
            if let Some(transactions) = &mut self.transactions {
                transactions.before(&mut self.producer)?;
            }
            let mut sent_ns = self.producer.driver().read().0;
            if is_warming_up && index >= self.share.warmup_records {
                is_warming_up = false;
                sent_ns = begin_steady_state(&mut self.producer, last_sent_ns);
            }
            last_sent_ns = sent_ns;
            let record = NewRecord { topic: self.topic, partition: None, key, value, intended_ns: sent_ns, sent_ns };
            self.producer.send(&record, number)?;
            if let Some(transactions) = &mut self.transactions {
                transactions.after(&mut self.producer, sent_ns)?;
            }
            self.rest(throttle.after(index, to_ms(sent_ns)))?;
        }
        if let Some(transactions) = &mut self.transactions {
            transactions.end(&mut self.producer)?;
        }
        Ok(())
    }

    fn rest(&mut self, rest: Rest) -> Result<(), PerfError> {
        match rest {
            Rest::No => Ok(()),
            Rest::For(pause) => Ok(self.producer.poll(pause)?),
            Rest::Forever => {
                eprintln!("--throughput 0: nothing more will be sent; interrupt to end.");
                while !self.stop.requested() {
                    self.producer.poll(Duration::from_millis(100))?;
                }
                Ok(())
            }
        }
    }

    fn finish(mut self) -> Result<Report, PerfError> {
        if self.stop.requested() {
            self.producer.flush_for(CLOSE_WAIT)?;
        } else {
            self.producer.flush()?;
        }
        let client_id = self.producer.config().common.client_id.clone();
        let metrics =
            self.options.print_metrics.then(|| metrics::of(&mut self.producer, &self.options.topic, &client_id));
        let disconnect = self.producer.last_disconnect().map(str::to_owned);
        let done_ns = self.producer.driver().read().0;
        // What flush_for left over is given up here, and counted as failed.
        self.producer.abort();
        Ok(Report { done_ns, metrics, disconnect })
    }
}

/// Begins the steady state with the record that is about to be sent, and gives the time of its sending: later than that
/// of the record before, however coarse the clock is, for times tell on which side a record is.
fn begin_steady_state(producer: &mut Producer<Outcome>, last_sent_ns: u64) -> u64 {
    let mut sent_ns = producer.driver().read().0;
    while sent_ns <= last_sent_ns {
        sent_ns = producer.driver().read().0;
    }
    producer.sink().begin_steady_state(sent_ns);
    sent_ns
}
