//! `ringlog producer-perf`: kafka-producer-perf-test with our producer. Same options, lines and exit codes.
//!
//! ```text
//!   argv --> Options, Extras --> spec::Produce --> load::produce --> Account: lines, JSON, ledger
//!                                                   '-> Outcome (an observer) --> the original's lines on stdout
//! ```
//!
//! Exit code 0 though sends failed, as the original: failures are reported on stderr, with counts. After Ctrl-C the
//! summary so far is printed; the exit code is the JVM's.

mod account;
pub(crate) mod extras;
pub(crate) mod metrics;
pub(crate) mod options;
pub(crate) mod outcome;
mod spec;
mod stats;

use std::process::ExitCode;
use std::sync::Arc;

use crate::cli::argparse::Stop as ParserStop;
use crate::cli::{PerfError, warn_unused};
use crate::client::config::ProducerConfig;
use crate::client::properties::Properties;
use crate::load::clients;
use crate::load::ear::Observers;
use crate::load::produce::{Load, Produced};
use crate::load::readback::{self, Judged};
use crate::load::records::Records;
use crate::load::sender::Report;
use crate::load::signals::Stop;
use crate::load::to_ms;
use crate::measure::hlog::PRODUCER_KINDS;
use crate::measure::ledger::LedgerFile;
use crate::spec::{Produce, RecordShape};
use crate::target::lost::lost_topic;
use crate::verbs::extras::progress::Progress;
use crate::verbs::extras::{args, document};
use account::Account;
use extras::{EXTRAS, Extras};
use options::Options;
use outcome::{Outcome, Shared};

/// What `--help` prints.
pub(crate) fn help() -> String {
    let parser = options::parser(&[]);
    format!("{}{}", parser.help(), args::help(parser.program, EXTRAS))
}

/// Runs the verb.
pub(crate) fn main(args: &[String]) -> ExitCode {
    let parser = options::parser(args);
    if options::is_empty(args) {
        outln!("{}", parser.help());
        return ExitCode::SUCCESS;
    }
    match parse(args) {
        Err(ParserStop::Help) => outln!("{}{}", parser.help(), args::help(parser.program, EXTRAS)),
        Err(ParserStop::Error(message)) => {
            errln!("{}\n{}: error: {message}", parser.usage(), parser.program);
        }
        Ok((options, extras)) => match run(options, &extras, args) {
            Ok(code) => return code,
            Err(error) => errln!("{}", error.report("producer")),
        },
    }
    ExitCode::FAILURE
}

fn parse(args: &[String]) -> Result<(Options, Extras), ParserStop> {
    let (taken, left) = args::take(EXTRAS, args).map_err(ParserStop::Error)?;
    let extras = Extras::new(&taken).map_err(ParserStop::Error)?;
    let options = options::parse(&extras.complete(left))?;
    extras.check(&options).map_err(ParserStop::Error)?;
    Ok((options, extras))
}

fn run(options: Options, extras: &Extras, args: &[String]) -> Result<ExitCode, PerfError> {
    for (option, path) in [("--json", &extras.json), ("--ledger", &extras.ledger), ("--hdr-log", &extras.hdr_log)] {
        path.as_deref().map_or(Ok(()), |path| document::check_writable(option, path))?;
    }
    let records = records(&spec::record_shape(&options, extras), extras.clients)?;
    options.notices.iter().for_each(|notice| outln!("{notice}"));
    announce_warmup(&options, extras);
    let properties = options.properties().map_err(PerfError::Text)?;
    let parsed = ProducerConfig::parse(&properties)?;
    warn_unused(&parsed.unused);
    let ceiling = records.first().filter(|_| extras.measures()).map_or(0.0, Records::ceiling);
    let stop = Stop::watch()?;
    let spec = Arc::new(spec::produce(&options, extras, &parsed));
    Run { options: &options, extras, args, properties, spec, stop, ceiling }.execute(records)
}

fn announce_warmup(options: &Options, extras: &Extras) {
    let span = match (options.warmup_records, extras.warmup) {
        (0, None) => return,
        (_, Some(warmup)) => format!("{} seconds", warmup.as_secs_f64()),
        (records, None) => format!("{records} records"),
    };
    outln!("Warmup first {span}. Steady state results will print after the complete test summary.");
}

/// Each client's own, from a seed of its own; a payload file is announced once.
fn records(shape: &RecordShape, clients: usize) -> Result<Vec<Records>, PerfError> {
    let make = |client: usize| {
        let mut report = |line| {
            if client == 0 {
                outln!("{line}");
            }
        };
        Records::new(shape, client, &mut report)
    };
    (0..clients).map(make).collect()
}

/// A run from its options to its exit code.
struct Run<'a> {
    options: &'a Options,
    extras: &'a Extras,
    args: &'a [String],
    properties: Properties,
    spec: Arc<Produce>,
    stop: Stop,
    /// Records a second of the generator alone; measured where something is told of it.
    ceiling: f64,
}

impl Run<'_> {
    fn execute(&self, records: Vec<Records>) -> Result<ExitCode, PerfError> {
        let (origin_ns, started_ms) = account::moment();
        let shared = Shared::new(self.options, self.options.known_records().is_some());
        let seats = clients::seats(self.extras.clients, self.extras.pinned);
        let mut log = self.extras.hdr_log.as_deref().map(|path| document::hlog(path, started_ms)).transpose()?;
        let load = Load {
            spec: Arc::clone(&self.spec),
            records,
            seats: &seats,
            stop: &self.stop,
            observers: observers(&shared),
            metrics: self.options.print_metrics.then_some(metrics::of),
            origin_ns,
            on_second: log.as_mut().map(|log| document::log_seconds(log, PRODUCER_KINDS)),
        };
        let mut produced = self.send(load);
        let ledger = self.extras.stamps().then(|| produced.take_ledger(&self.spec));
        if let Some(failure) = produced.failure.take() {
            // What was acknowledged until then is kept all the same.
            let kept = ledger.as_ref().map_or(Ok(()), |ledger| self.keep(ledger));
            kept.unwrap_or_else(|error| errln!("{error}"));
            return Err(failure);
        }
        let done_ns = produced.done_ns();
        let lines = print_results(&shared, &produced.reports, done_ns);
        let account = Account {
            options: self.options,
            extras: self.extras,
            args: self.args,
            config: &self.spec.settings,
            seats: &seats,
            started_ms,
            efforts: produced.efforts(),
            shared: &shared,
            lines: &lines,
            elapsed_s: done_ns.saturating_sub(produced.began_ns().unwrap_or(origin_ns)) as f64 / 1e9,
            ceiling: self.ceiling,
            signal: self.stop.exit_code(),
            produced: &produced,
        };
        account.print();
        let judged = ledger.map_or(Ok(None), |ledger| self.judge(&ledger));
        if let Err(error) = &judged {
            outln!("ledger: could not be read back: {error}");
        }
        // What was measured is kept, whatever became of the ledger.
        account.write(*judged.as_ref().unwrap_or(&None))?;
        Ok(judged.map_or(ExitCode::FAILURE, |judged| self.exit_code(&shared, judged)))
    }

    fn send(&self, load: Load<'_>) -> Produced {
        let mut progress = self.extras.progress.then(|| Progress::new(self.options.known_records()));
        let produced = load.run(&mut |counts| {
            progress.iter_mut().for_each(|progress| progress.show(counts.done, counts.failed));
        });
        progress.iter().for_each(Progress::finish);
        produced
    }

    /// Writes the ledger and reads the topic back, where either was asked for.
    fn judge(&self, ledger: &LedgerFile) -> Result<Judged, PerfError> {
        self.keep(ledger)?;
        if self.extras.verify { self.verify(ledger) } else { Ok(None) }
    }

    fn keep(&self, ledger: &LedgerFile) -> Result<(), PerfError> {
        let Some(path) = &self.extras.ledger else { return Ok(()) };
        ledger.write(path).map_err(|error| PerfError::Text(format!("--ledger {error}")))
    }

    fn verify(&self, ledger: &LedgerFile) -> Result<Judged, PerfError> {
        let verdict = readback::read_back(&self.properties, ledger, readback::SILENCE_MAX, &self.stop);
        let verdict =
            verdict.map_err(|error| match lost_topic(readback::way_of(&self.properties, ledger), ledger) {
                Some(words) => PerfError::Text(format!("{error}; {words}")),
                None => error,
            })?;
        let Some(verdict) = verdict else {
            outln!("ledger: not read back: the run was interrupted");
            return Ok(None);
        };
        let (line, adds_up) = readback::line(&verdict, ledger);
        let what = if adds_up { None } else { lost_topic(readback::way_of(&self.properties, ledger), ledger) };
        outln!("{line}{}", what.map(|it| format!("; {it}")).unwrap_or_default());
        Ok(Some((verdict, adds_up)))
    }

    fn exit_code(&self, shared: &Shared, judged: Judged) -> ExitCode {
        let failed = self.extras.strict && shared.totals().failures.records() > 0;
        let is_bad = failed || judged.is_some_and(|(_, adds_up)| !adds_up);
        self.stop.exit_code().map_or(if is_bad { ExitCode::FAILURE } else { ExitCode::SUCCESS }, ExitCode::from)
    }
}

/// The account of all clients hears of each.
fn observers(shared: &Shared) -> Observers {
    let shared = shared.clone();
    Arc::new(move |_| Box::new(Outcome::new(&shared)))
}

/// Prints what the original prints at the end. Gives its summary's lines.
fn print_results(shared: &Shared, reports: &[Option<Report>], done_ns: u64) -> Vec<String> {
    let mut totals = shared.totals();
    let lines = totals.lines(to_ms(done_ns));
    lines.iter().for_each(|line| outln!("{line}"));
    reports.iter().flatten().filter_map(|report| report.metrics.as_ref()).for_each(|table| out!("{table}"));
    totals.failures.report(reports.iter().flatten().find_map(|report| report.disconnect.as_deref()));
    let stuck = reports.iter().filter(|report| report.is_none()).count();
    if stuck > 0 {
        errln!("{stuck} of the clients did not close in time: what they had sent without an answer is unknown.");
    }
    lines
}
