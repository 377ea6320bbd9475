//! `ringlog consumer-perf`: kafka-consumer-perf-test with our consumer. Same options, rows and exit codes.
//!
//! ```text
//!   main --> clients (threads; one, unless --clients says otherwise)
//!              reader: poll (100 ms) -> Tally -> Count -> a row when the interval is over (detailed) -> summary
//!                        '-> assigned, revoked -> rebalance.time.ms
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
use crate::client::config::ConsumerConfig;
use crate::load::clients::{self, Event};
use crate::load::readback::{self, Judged};
use crate::load::reader::{self, Plan, Report};
use crate::load::signals::Stop as Interrupt;
use crate::load::to_ms;
use crate::measure::effort;
use crate::measure::hdr::{CONSUMER_KINDS, HdrFile};
use crate::measure::ledger::{LedgerFile, settle};
use crate::measure::series::{Recorder, Second, Series};
use crate::verbs::extras::progress::Progress;
use crate::verbs::extras::{args, document};
use account::Account;
use count::Shared;
use dates::DateFormat;
use extras::{EXTRAS, Extras};
use options::{Options, Stop, Topics};

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
    extras.json.as_deref().map_or(Ok(()), |path| document::check_writable("--json", path))?;
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
    let shared = Shared::new(extras.clients, &numbers, shown, ledger.as_ref());
    let plan = Plan {
        options,
        numbers,
        config: parsed.config,
        clients: extras.clients,
        duration: extras.duration,
        ledger,
        stop,
    };
    let config = parsed.effective.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Run { plan: Arc::new(plan), extras, args, dates, shared, config }.execute()
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
    plan: Arc<Plan>,
    extras: &'a Extras,
    args: &'a [String],
    dates: DateFormat,
    shared: Shared,
    /// The consumer's settings with their defaults.
    config: Vec<(String, String)>,
}

impl Run<'_> {
    fn execute(&self) -> Result<ExitCode, PerfError> {
        let seats = clients::seats(self.extras.clients, self.extras.pinned);
        let mut hdr_file = self.extras.hdr_log.as_deref().map(HdrFile::create).transpose()?;
        let start_wall_ms = self.shared.count().start_wall_ms;
        let log = hdr_file.as_mut().map(|file| file.begin(start_wall_ms, CONSUMER_KINDS)).transpose()?;
        let mut series = Series::new(self.extras.clients, log);
        let reports = self.read(&seats, &mut series)?;
        series.end()?;
        let elapsed_ms = self.print_results(&reports);
        let judged = self.judge();
        let account = Account {
            options: &self.plan.options,
            extras: self.extras,
            args: self.args,
            config: &self.config,
            seats: &seats,
            started_ms: start_wall_ms,
            efforts: reports.iter().flatten().map(|report| report.effort).collect(),
            series: &series,
            shared: &self.shared,
            elapsed_s: elapsed_ms as f64 / 1000.0,
            signal: self.plan.stop.exit_code(),
        };
        account.print();
        account.write(judged)?;
        let is_bad = judged.is_some_and(|(_, adds_up)| !adds_up);
        let code = if is_bad { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        Ok(self.plan.stop.exit_code().map_or(code, ExitCode::from))
    }

    /// Runs the clients. `None` stands for one that could not be waited for.
    fn read(&self, seats: &[Option<usize>], series: &mut Series<'_>) -> Result<Vec<Option<Report>>, PerfError> {
        let (plan, shared, measures) = (Arc::clone(&self.plan), self.shared.clone(), self.extras.measures());
        let origin_ns = shared.count().start_ns;
        let client = move |number: usize, events: std::sync::mpsc::Sender<Event<Second, Report>>| {
            let recorder = measures.then(|| {
                let emit = Box::new(move |second| _ = events.send(Event::Second(second)));
                Recorder::new(number, origin_ns, false, emit)
            });
            reader::run(&plan, number, &shared, recorder)
        };
        let known = Some(self.plan.numbers.records).filter(|records| *records != i64::MAX.cast_unsigned());
        let mut progress = self.extras.progress.then(|| Progress::new(known));
        let reports = clients::run(seats, &self.plan.stop, client, &mut |second| {
            second.map_or(Ok(()), |second| series.take(second))?;
            progress.iter_mut().for_each(|progress| progress.show(self.shared.count().read.records, 0));
            Ok(())
        });
        progress.iter().for_each(Progress::finish);
        reports
    }

    /// Prints what the original prints at the end. Gives the elapsed milliseconds.
    fn print_results(&self, reports: &[Option<Report>]) -> i64 {
        let count = self.shared.count();
        let done_ns = effort::done_ns(reports.iter().map(|report| Some(report.as_ref()?.effort)));
        let elapsed_ms = to_ms(done_ns.saturating_sub(count.start_ns));
        let ends_otherwise =
            self.extras.duration.is_some() || self.extras.ledger.is_some() || self.plan.stop.requested();
        if count.read.records < self.plan.numbers.records && !ends_otherwise {
            outln!(
                "WARNING: Exiting before consuming the expected number of {}: timeout ({} ms) exceeded. You can use the --timeout option to increase the timeout.",
                if self.plan.options.compat.is_3_9() { "messages" } else { "records" },
                self.plan.numbers.timeout_ms
            );
            let reasons = reports.iter().flatten().filter_map(|report| report.disconnect.as_ref());
            reasons.take(1).for_each(|reason| errln!("the last connection ended because: {reason}"));
        }
        if !self.plan.options.detailed {
            let start_ms = count.start_wall_ms;
            let (start, end) = (self.dates.format(start_ms), self.dates.format(start_ms + elapsed_ms));
            outln!("{}", rows::summary((&start, &end), elapsed_ms, count.rebalance_ms, count.read));
        }
        reports.iter().flatten().filter_map(|report| report.metrics.as_ref()).for_each(|table| out!("{table}"));
        elapsed_ms
    }

    /// The verdict on the ledger, where there is one and the reading was not interrupted.
    fn judge(&self) -> Judged {
        let ledger = self.plan.ledger.as_ref()?;
        if self.plan.stop.requested() {
            outln!("ledger: not read to the end: the run was interrupted");
            return None;
        }
        let verdict = settle(&ledger.writers, &self.shared.read_ledger());
        let (line, adds_up) = readback::line(&verdict, ledger);
        outln!("{line}");
        Some((verdict, adds_up))
    }
}
