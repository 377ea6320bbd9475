//! `ringlog producer-perf`: kafka-producer-perf-test with our producer. Same options, lines and exit codes.
//!
//! ```text
//!   payload -> key -> clock -> send -> throttle          per record, on one thread
//!                               '-> acknowledgements -> Stats -> lines on stdout
//! ```
//!
//! Exit code 0 though sends failed, as the original: failures are reported on stderr, with counts.

mod letters;
mod metrics;
mod options;
mod payload;
mod stats;
mod throttle;

use std::process::ExitCode;
use std::time::Duration;

use ringlog_io::driver;

use crate::cli::argparse::Stop;
use crate::cli::{PerfError, warn_unused};
use crate::client::config::ProducerConfig;
use crate::client::{Delivered, DeliverySink, Failed, NewRecord, Producer};
use options::{Options, PARSER};
use payload::Payloads;
use stats::Stats;
use throttle::{Rest, Throttle};

/// Runs the verb.
pub(crate) fn main(args: &[String]) -> ExitCode {
    if args.is_empty() {
        println!("{}", PARSER.help());
        return ExitCode::SUCCESS;
    }
    match options::parse(args) {
        Err(Stop::Help) => println!("{}", PARSER.help()),
        Err(Stop::Error(message)) => eprintln!("{}\n{}: error: {message}", PARSER.usage(), PARSER.program),
        Ok(options) => match run(&options) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => eprintln!("{}: {error}", PARSER.program),
        },
    }
    ExitCode::FAILURE
}

fn run(options: &Options) -> Result<(), PerfError> {
    let mut report = |line| println!("{line}");
    let mut payloads =
        Payloads::new(&options.payload, options.keys, options.seed, &mut report).map_err(PerfError::Text)?;
    options.notices.iter().for_each(|notice| println!("{notice}"));
    if options.warmup_records > 0 {
        println!(
            "Warmup first {} records. Steady state results will print after the complete test summary.",
            options.warmup_records
        );
    }
    if let Some(name) = options.transactions {
        return Err(PerfError::Text(format!("{name}: transactions are not supported by this build yet; leave it out")));
    }
    let properties = options.properties().map_err(PerfError::Text)?;
    let parsed = ProducerConfig::parse(&properties)?;
    warn_unused(&parsed.unused);
    let client_id = parsed.config.common.client_id.clone();
    let driver = driver::open(driver::DriverOptions::default())?;
    let mut producer = Producer::open(parsed.config, driver, Outcome::new(options))?;
    send_all(options, &mut payloads, &mut producer)?;
    finish(options, producer, &client_id)
}

fn send_all(options: &Options, payloads: &mut Payloads, producer: &mut Producer<Outcome>) -> Result<(), PerfError> {
    let topic = producer.topic(&options.topic);
    let start_ns = producer.driver().read().0;
    producer.sink().start(options, start_ns);
    let mut throttle = Throttle::new(options.throughput, to_ms(start_ns));
    for index in 0..options.records {
        let (key, value) = payloads.next(index);
        let sent_ns = producer.driver().read().0;
        if options.warmup_records > 0 && index == options.warmup_records {
            producer.sink().begin_steady_state(options, sent_ns);
        }
        let record = NewRecord { topic, partition: None, key, value, intended_ns: sent_ns, sent_ns };
        producer.send(&record, index)?;
        rest(throttle.after(index, to_ms(sent_ns)), producer)?;
    }
    Ok(())
}

fn rest(rest: Rest, producer: &mut Producer<Outcome>) -> Result<(), PerfError> {
    match rest {
        Rest::No => Ok(()),
        Rest::For(pause) => Ok(producer.poll(pause)?),
        Rest::Forever => {
            eprintln!("--throughput 0: nothing more will be sent; interrupt to end.");
            loop {
                producer.poll(Duration::from_secs(1))?;
            }
        }
    }
}

fn finish(options: &Options, mut producer: Producer<Outcome>, client_id: &str) -> Result<(), PerfError> {
    producer.flush()?;
    let table = options.print_metrics.then(|| metrics::of(&mut producer, &options.topic, client_id));
    let disconnect = producer.last_disconnect().map(str::to_owned);
    let now_ms = to_ms(producer.driver().read().0);
    let mut outcome = producer.close()?;
    outcome.totals(now_ms).iter().for_each(|line| println!("{line}"));
    if let Some(table) = table {
        print!("{table}");
    }
    outcome.failures.report(disconnect.as_deref());
    Ok(())
}

/// The original's clock: whole milliseconds.
fn to_ms(ns: u64) -> i64 {
    i64::try_from(ns / 1_000_000).unwrap_or(i64::MAX)
}

/// What became of the records, as the tool counts it.
struct Outcome {
    whole: Stats,
    steady: Option<Stats>,
    warmup_records: u64,
    failures: Failures,
}

impl Outcome {
    fn new(options: &Options) -> Self {
        Self {
            whole: Stats::new(options.records, options.reporting_interval_ms, false, 0),
            steady: None,
            warmup_records: options.warmup_records,
            failures: Failures::default(),
        }
    }

    fn start(&mut self, options: &Options, now_ns: u64) {
        self.whole = Stats::new(options.records, options.reporting_interval_ms, false, to_ms(now_ns));
    }

    fn begin_steady_state(&mut self, options: &Options, now_ns: u64) {
        let records = options.records - options.warmup_records;
        self.steady = Some(Stats::new(records, options.reporting_interval_ms, true, to_ms(now_ns)));
        self.whole.silence();
    }

    fn totals(&mut self, now_ms: i64) -> Vec<String> {
        let whole = self.whole.total(now_ms);
        std::iter::once(whole).chain(self.steady.as_mut().map(|steady| steady.total(now_ms))).collect()
    }
}

impl DeliverySink for Outcome {
    fn delivered(&mut self, batch: &Delivered<'_>) {
        let now_ms = to_ms(batch.done_ns);
        let mut print = |line| println!("{line}");
        for mark in batch.marks {
            let latency_ms = i32::try_from(now_ms - to_ms(mark.sent_ns)).unwrap_or(i32::MAX);
            let bytes = u64::from(mark.bytes);
            self.whole.record(latency_ms, bytes, now_ms, &mut print);
            // A record belongs to the steady state by when it was sent, not by when it was acknowledged.
            if let Some(steady) = self.steady.as_mut().filter(|_| mark.tag >= self.warmup_records) {
                steady.record(latency_ms, bytes, now_ms, &mut print);
            }
        }
    }

    fn failed(&mut self, batch: &Failed<'_>) {
        self.failures.count(&batch.error.to_string(), batch.marks.len() as u64);
    }
}

/// Failed sends by their text. The first of a kind is reported at once.
#[derive(Debug, Default)]
struct Failures(Vec<(String, u64)>);

/// Texts that are told apart: a batch's own numbers would make each one new.
const FAILURE_KINDS_MAX: usize = 20;

impl Failures {
    fn count(&mut self, text: &str, records: u64) {
        let known = self.0.iter().position(|(kind, _)| same_kind(kind, text));
        let at = known.unwrap_or_else(|| {
            if self.0.len() < FAILURE_KINDS_MAX {
                eprintln!("send failed: {text}");
                self.0.push((text.to_owned(), 0));
            }
            self.0.len() - 1
        });
        self.0[at].1 += records;
    }

    fn report(&self, disconnect: Option<&str>) {
        for (text, count) in &self.0 {
            eprintln!("{count} records failed, such as: {text}");
        }
        if let Some(reason) = disconnect.filter(|_| !self.0.is_empty()) {
            eprintln!("the last connection ended because: {reason}");
        }
    }
}

/// Two texts that differ in their numbers only.
fn same_kind(left: &str, right: &str) -> bool {
    let words = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    words(left) == words(right)
}
