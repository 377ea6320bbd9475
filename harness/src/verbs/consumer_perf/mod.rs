//! `ringlog consumer-perf`: kafka-consumer-perf-test with our consumer. Same options, rows and exit codes.
//!
//! ```text
//!   argv --> Options, Extras --> spec::Consume --> load::consume --> summary, Account: lines, JSON
//!                                                   '-> Member (an observer) -> Count -> a row when the interval is over
//!                                                         '-> assigned, revoked -> rebalance.time.ms
//! ```
//!
//! After Ctrl-C the summary so far is printed; the exit code is the JVM's.

mod account;
pub(crate) mod count;
mod dates;
pub(crate) mod extras;
pub(crate) mod metrics;
pub(crate) mod options;
mod rows;

use std::process::ExitCode;
use std::sync::Arc;

use jiff::tz::TimeZone;
use ringlog_io::{Clock as _, SystemClock};

use crate::cli::{PerfError, warn_unused};
use crate::client::config::{ConsumerConfig, Parsed};
use crate::load::consume::{Consumed, Load};
use crate::load::readback::{self, Judged};
use crate::load::signals::Stop as Interrupt;
use crate::load::{clients, tally, to_ms};
use crate::measure::hlog::CONSUMER_KINDS;
use crate::measure::ledger::{LedgerFile, settle};
use crate::spec::consume::settings;
use crate::spec::{Consume, What};
use crate::verbs::extras::progress::Progress;
use crate::verbs::extras::{args, document};
use account::Account;
use count::{Member, Shared};
use dates::DateFormat;
use extras::{EXTRAS, Extras};
use options::{Numbers, Options, Stop, Topics};

/// The options, as `--help` shows them.
pub(crate) fn help() -> String {
    format!("{}{}", options::help(), args::help("kafka-consumer-perf-test", EXTRAS))
}

/// Runs the verb.
pub(crate) fn main(args: &[String]) -> ExitCode {
    let (options, extras) = match parse(args) {
        Ok(parsed) => parsed,
        Err(Stop::Version) => {
            outln!("{}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Err(Stop::Usage(message)) => {
            errln!("{message}");
            // Beside an error stands the original's table alone.
            if args.iter().any(|arg| arg == "--help") {
                errln!("{}", args::help("kafka-consumer-perf-test", EXTRAS).trim_end());
            }
            return ExitCode::FAILURE;
        }
    };
    match run(options, &extras, args) {
        Ok(code) => code,
        Err(error) => {
            errln!("{}", error.report("consumer"));
            ExitCode::FAILURE
        }
    }
}

fn parse(args: &[String]) -> Result<(Options, Extras), Stop> {
    let (taken, left) = args::take(EXTRAS, args).map_err(Stop::Usage)?;
    let extras = Extras::new(&taken).map_err(Stop::Usage)?;
    let options = options::parse(&extras.complete(left).map_err(Stop::Usage)?)?;
    Ok((options, extras))
}

fn run(options: Options, extras: &Extras, args: &[String]) -> Result<ExitCode, PerfError> {
    for (option, path) in [("--json", &extras.json), ("--hdr-log", &extras.hdr_log)] {
        path.as_deref().map_or(Ok(()), |path| document::check_writable(option, path))?;
    }
    options.notices.iter().for_each(|notice| outln!("{notice}"));
    if !options.hide_header {
        outln!("{}", if options.detailed { rows::HEADER_DETAILED } else { rows::HEADER });
    }
    let dates = options.date_format().and_then(|pattern| DateFormat::new(pattern, TimeZone::system()));
    let dates = dates.map_err(PerfError::Text)?;
    let properties = options.properties(SystemClock::new().random()).map_err(PerfError::Text)?;
    let parsed = ConsumerConfig::parse(&properties)?;
    warn_unused(&parsed.unused);
    let ledger = ledger(&options, extras)?;
    let numbers = options.numbers().map_err(PerfError::Text)?;
    let stop = Interrupt::watch()?;
    let shown = options.detailed.then(|| dates.clone());
    let shared = tally::Shared::new(extras.clients, ledger.as_ref());
    let count = Shared::new(extras.clients, shared.start(), numbers.reporting_interval_ms, shown);
    let spec = spec(&options, extras, &numbers, (parsed, ledger))?;
    Run { options, numbers, extras, args, dates, spec: Arc::new(spec), shared, count, stop }.execute()
}

/// What the arguments ask for, as the spec that every load has.
fn spec(
    options: &Options,
    extras: &Extras,
    numbers: &Numbers,
    (parsed, ledger): (Parsed<ConsumerConfig>, Option<LedgerFile>),
) -> Result<Consume, PerfError> {
    Ok(Consume {
        clients: extras.clients,
        what: match (ledger, options.topics().map_err(PerfError::Text)?) {
            (Some(ledger), _) => What::Beside(ledger),
            (None, Topics::One(topic)) => What::Subscribed(topic),
            (None, Topics::Matching(pattern)) => What::Matching(pattern),
        },
        records: numbers.records,
        silence_ms: numbers.timeout_ms,
        duration: extras.duration,
        is_timed_from_the_first: false,
        has_series: extras.measures(),
        settings: settings(&parsed.effective),
        config: parsed.config,
    })
}

/// The ledger that the topic is read beside.
fn ledger(options: &Options, extras: &Extras) -> Result<Option<LedgerFile>, PerfError> {
    let Some(path) = &extras.ledger else { return Ok(None) };
    let ledger = LedgerFile::read(path).map_err(|error| PerfError::Text(format!("--ledger {error}")))?;
    match options.topics().map_err(PerfError::Text)? {
        Topics::One(topic) if topic == ledger.topic => Ok(Some(ledger)),
        Topics::One(topic) => {
            Err(PerfError::Text(format!("--ledger: it is of topic {}, and --topic is {topic}", ledger.topic)))
        }
        Topics::Matching(_) => {
            Err(PerfError::Text(format!("--ledger: it is of one topic: use --topic {}", ledger.topic)))
        }
    }
}

/// A run from its options to its exit code.
struct Run<'a> {
    options: Options,
    numbers: Numbers,
    extras: &'a Extras,
    args: &'a [String],
    dates: DateFormat,
    spec: Arc<Consume>,
    shared: tally::Shared,
    count: Shared,
    stop: Interrupt,
}

impl Run<'_> {
    fn execute(&self) -> Result<ExitCode, PerfError> {
        let seats = clients::seats(self.extras.clients, self.extras.pinned);
        let started_ms = self.shared.start().1;
        let mut log = self.extras.hdr_log.as_deref().map(|path| document::hlog(path, started_ms)).transpose()?;
        let count = self.count.clone();
        let consumed = self.read(Load {
            spec: Arc::clone(&self.spec),
            shared: &self.shared,
            seats: &seats,
            stop: &self.stop,
            observers: Arc::new(move |client| Box::new(Member::new(client, &count))),
            metrics: self.options.print_metrics.then_some(metrics::of),
            on_second: log.as_mut().map(|log| document::log_seconds(log, CONSUMER_KINDS)),
        })?;
        let elapsed_ms = self.print_results(&consumed);
        let judged = self.judge();
        let account = Account {
            options: &self.options,
            extras: self.extras,
            args: self.args,
            config: &self.spec.settings,
            seats: &seats,
            started_ms,
            efforts: consumed.efforts(),
            consumed: &consumed,
            shared: &self.count,
            elapsed_s: elapsed_ms as f64 / 1000.0,
            signal: self.stop.exit_code(),
        };
        account.print();
        account.write(judged)?;
        let is_bad = judged.is_some_and(|(_, adds_up)| !adds_up);
        let code = if is_bad { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        Ok(self.stop.exit_code().map_or(code, ExitCode::from))
    }

    fn read(&self, load: Load<'_>) -> Result<Consumed, PerfError> {
        let known = Some(self.numbers.records).filter(|records| *records != i64::MAX.cast_unsigned());
        let mut progress = self.extras.progress.then(|| Progress::new(known));
        let consumed = load.run(&mut |read| {
            progress.iter_mut().for_each(|progress| progress.show(read.records, 0));
        });
        progress.iter().for_each(Progress::finish);
        consumed
    }

    /// Prints what the original prints at the end. Gives the elapsed milliseconds.
    fn print_results(&self, consumed: &Consumed) -> i64 {
        let (count, (start_ns, start_ms)) = (self.count.count(), self.shared.start());
        let reports = &consumed.reports;
        let elapsed_ms = to_ms(consumed.done_ns().saturating_sub(start_ns));
        let ends_otherwise = self.extras.duration.is_some() || self.extras.ledger.is_some() || self.stop.requested();
        if count.read.records < self.numbers.records && !ends_otherwise {
            outln!(
                "WARNING: Exiting before consuming the expected number of {}: timeout ({} ms) exceeded. You can use the --timeout option to increase the timeout.",
                if self.options.compat.is_3_9() { "messages" } else { "records" },
                self.numbers.timeout_ms
            );
            let reasons = reports.iter().flatten().filter_map(|report| report.disconnect.as_ref());
            reasons.take(1).for_each(|reason| errln!("the last connection ended because: {reason}"));
        }
        if !self.options.detailed {
            let (start, end) = (self.dates.format(start_ms), self.dates.format(start_ms + elapsed_ms));
            outln!("{}", rows::summary((&start, &end), elapsed_ms, count.rebalance_ms, count.read));
        }
        reports.iter().flatten().filter_map(|report| report.metrics.as_ref()).for_each(|table| out!("{table}"));
        elapsed_ms
    }

    /// The verdict on the ledger, where there is one and the reading was not interrupted.
    fn judge(&self) -> Judged {
        let ledger = self.spec.ledger()?;
        if self.stop.requested() {
            outln!("ledger: not read to the end: the run was interrupted");
            return None;
        }
        let verdict = settle(&ledger.writers, &self.shared.read_ledger());
        let (line, adds_up) = readback::line(&verdict, ledger);
        outln!("{line}");
        Some((verdict, adds_up))
    }
}
