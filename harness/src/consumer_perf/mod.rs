//! `ringlog consumer-perf`: kafka-consumer-perf-test with our consumer. Same options, rows and exit codes.
//!
//! ```text
//!   poll (100 ms) -> count -> a row when the interval is over (detailed) -> summary
//!        '-> assigned, revoked -> rebalance.time.ms
//! ```

mod dates;
mod metrics;
mod options;
mod rows;

use std::process::ExitCode;
use std::time::Duration;

use jiff::tz::TimeZone;
use ringlog_io::{Clock as _, SystemClock, driver};

use crate::cli::{PerfError, warn_unused};
use crate::client::config::ConsumerConfig;
use crate::client::{ConsumedRecord, Consumer, RecordSink};
use dates::DateFormat;
use options::{Numbers, Options, Stop, Topics};
use rows::Read;

/// How long one poll waits.
const POLL: Duration = Duration::from_millis(100);

/// Runs the verb.
pub(crate) fn main(args: &[String]) -> ExitCode {
    let options = match options::parse(args) {
        Ok(options) => options,
        Err(Stop::Version) => {
            println!("{}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Err(Stop::Usage(message)) => {
            eprintln!("{message}\n{}", options::usage());
            return ExitCode::FAILURE;
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), PerfError> {
    options.notices.iter().for_each(|notice| println!("{notice}"));
    let dates = options.date_format().and_then(|pattern| DateFormat::new(pattern, TimeZone::system()));
    let dates = dates.map_err(PerfError::Text)?;
    let properties = options.properties(SystemClock::new().random()).map_err(PerfError::Text)?;
    let parsed = ConsumerConfig::parse(&properties)?;
    warn_unused(&parsed.unused);
    if !options.hide_header {
        println!("{}", if options.detailed { rows::HEADER_DETAILED } else { rows::HEADER });
    }
    let numbers = options.numbers().map_err(PerfError::Text)?;
    let driver = driver::open(driver::DriverOptions::default())?;
    let mut consumer = Consumer::open(parsed.config, driver)?;
    let topics = topics(options, &mut consumer)?;
    let mut count = Count::new(&mut consumer, &numbers, options.detailed.then_some(&dates));
    consumer.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>())?;
    consume(&mut consumer, &mut count, &numbers)?;
    finish(options, &dates, consumer, &count)
}

fn topics(options: &Options, consumer: &mut Consumer) -> Result<Vec<String>, PerfError> {
    match &options.topics {
        Topics::One(topic) => Ok(vec![topic.clone()]),
        Topics::Matching(pattern) => {
            let pattern = regex::Regex::new(&format!("^(?:{pattern})$"));
            let pattern = pattern.map_err(|error| PerfError::Text(format!("--include: {error}")))?;
            let mut names = consumer.topic_names()?;
            names.retain(|name| pattern.is_match(name));
            Ok(names)
        }
    }
}

fn consume(consumer: &mut Consumer, count: &mut Count<'_>, numbers: &Numbers) -> Result<(), PerfError> {
    let mut now_ns = count.start_ns;
    let mut last_consumed_ns = now_ns;
    while count.read.records < numbers.records && to_ms(now_ns - last_consumed_ns) <= numbers.timeout_ms {
        let records = consumer.poll(POLL, count)?;
        now_ns = consumer.driver().read().0;
        if records > 0 {
            last_consumed_ns = now_ns;
            count.interval(now_ns);
        }
    }
    if count.read.records < numbers.records {
        println!(
            "WARNING: Exiting before consuming the expected number of records: timeout ({} ms) exceeded. You can use the --timeout option to increase the timeout.",
            numbers.timeout_ms
        );
    }
    Ok(())
}

fn finish(options: &Options, dates: &DateFormat, mut consumer: Consumer, count: &Count<'_>) -> Result<(), PerfError> {
    let elapsed_ms = to_ms(consumer.driver().read().0 - count.start_ns);
    if !options.detailed {
        let (start, end) = (dates.format(count.start_wall_ms), dates.format(count.start_wall_ms + elapsed_ms));
        println!("{}", rows::summary((&start, &end), elapsed_ms, count.rebalance_ms, count.read));
    }
    if options.print_metrics {
        print!("{}", metrics::of(&consumer));
    }
    Ok(consumer.close()?)
}

fn to_ms(ns: u64) -> i64 {
    i64::try_from(ns / 1_000_000).unwrap_or(i64::MAX)
}

/// What the tool counts.
struct Count<'a> {
    read: Read,
    start_ns: u64,
    start_wall_ms: i64,
    rebalance_ms: i64,
    /// Since when nothing is assigned.
    joining_since_ns: Option<u64>,
    interval_ms: i64,
    interval_rebalance_ms: i64,
    reported: (u64, Read),
    /// Where rows of detailed stats are wanted.
    dates: Option<&'a DateFormat>,
}

impl<'a> Count<'a> {
    fn new(consumer: &mut Consumer, numbers: &Numbers, dates: Option<&'a DateFormat>) -> Self {
        let clock = consumer.driver();
        let (start_ns, start_wall_ms) = (clock.read().0, SystemClock::new().wall_ms());
        Self {
            read: Read::default(),
            start_ns,
            start_wall_ms,
            rebalance_ms: 0,
            joining_since_ns: Some(start_ns),
            interval_ms: numbers.reporting_interval_ms,
            interval_rebalance_ms: 0,
            reported: (start_ns, Read::default()),
            dates,
        }
    }

    /// A row, where the interval is over: with what the poll brought, as only data makes the original look.
    fn interval(&mut self, now_ns: u64) {
        let (since_ns, before) = self.reported;
        let elapsed_ms = to_ms(now_ns.saturating_sub(since_ns));
        if elapsed_ms < self.interval_ms {
            return;
        }
        if let Some(dates) = self.dates {
            let time = dates.format(self.start_wall_ms + to_ms(now_ns - self.start_ns));
            println!("{}", rows::interval(&time, elapsed_ms, self.interval_rebalance_ms, before, self.read));
        }
        self.interval_rebalance_ms = 0;
        self.reported = (now_ns, self.read);
    }
}

impl RecordSink for Count<'_> {
    fn record(&mut self, record: &ConsumedRecord<'_>) {
        self.read.records += 1;
        self.read.bytes += record.key.map_or(0, <[u8]>::len) as u64 + record.value.map_or(0, <[u8]>::len) as u64;
    }

    fn assigned(&mut self, _partitions: &[(String, i32)], at_ns: u64) {
        if let Some(since_ns) = self.joining_since_ns.take() {
            let joining_ms = to_ms(at_ns.saturating_sub(since_ns));
            self.rebalance_ms += joining_ms;
            self.interval_rebalance_ms += joining_ms;
        }
    }

    fn revoked(&mut self, _partitions: &[(String, i32)], at_ns: u64) {
        self.joining_since_ns = Some(at_ns);
    }
}
