//! `ringlog producer-perf`: kafka-producer-perf-test with our producer. Same options, lines and exit codes.
//!
//! ```text
//!   main --> clients (threads; one, unless --clients says otherwise)
//!              Sender: payload -> key -> clock -> send -> throttle
//!                                        '-> acknowledgements -> Outcome -> lines on stdout
//! ```
//!
//! Exit code 0 though sends failed, as the original: failures are reported on stderr, with counts. After Ctrl-C the
//! summary so far is printed; the exit code is the JVM's.

mod account;
pub(crate) mod extras;
pub(crate) mod metrics;
pub(crate) mod options;
pub(crate) mod outcome;
mod stats;

use std::process::ExitCode;
use std::sync::Arc;

use ringlog_io::{Clock as _, SystemClock};

use crate::cli::argparse::Stop as ParserStop;
use crate::cli::{PerfError, warn_unused};
use crate::client::config::{Acks, Parsed, ProducerConfig};
use crate::client::properties::Properties;
use crate::load::book::{Book, Keeping};
use crate::load::clients::{self, Event};
use crate::load::readback::{self, Judged};
use crate::load::records::Records;
use crate::load::sender::{Pacing, Report, Sender, Share};
use crate::load::signals::Stop;
use crate::load::to_ms;
use crate::measure::effort;
use crate::measure::hdr::{HdrFile, PRODUCER_KINDS};
use crate::measure::ledger::{AcknowledgedBy, LedgerFile, WriteLedger};
use crate::measure::series::{Recorder, Second, Series};
use crate::verbs::extras::progress::Progress;
use crate::verbs::extras::{args, document};
use account::Account;
use extras::{EXTRAS, Extras};
use options::Options;
use outcome::{Outcome, Shared};

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
    for (option, path) in [("--json", &extras.json), ("--ledger", &extras.ledger)] {
        path.as_deref().map_or(Ok(()), |path| document::check_writable(option, path))?;
    }
    let records = records(&options, extras)?;
    options.notices.iter().for_each(|notice| outln!("{notice}"));
    announce_warmup(&options, extras);
    let properties = options.properties().map_err(PerfError::Text)?;
    let parsed = ProducerConfig::parse(&properties)?;
    warn_unused(&parsed.unused);
    let ceiling = records.first().filter(|_| extras.measures()).map_or(0.0, Records::ceiling);
    let stop = Stop::watch()?;
    let run = Run { options: Arc::new(options), extras, args, properties, stop, ceiling };
    run.execute(parsed, records)
}

fn announce_warmup(options: &Options, extras: &Extras) {
    let span = match (options.warmup_records, extras.warmup) {
        (0, None) => return,
        (_, Some(warmup)) => format!("{} seconds", warmup.as_secs_f64()),
        (records, None) => format!("{records} records"),
    };
    outln!("Warmup first {span}. Steady state results will print after the complete test summary.");
}

/// Whose word counts in the ledger of such a producer.
fn acknowledged_by(config: &ProducerConfig) -> AcknowledgedBy {
    if config.transactional_id.is_some() {
        let transaction_timeout_ms = u64::try_from(config.transaction_timeout.as_millis()).unwrap_or(u64::MAX);
        return AcknowledgedBy::Commit { transaction_timeout_ms };
    }
    if config.acks == Acks::None { AcknowledgedBy::Nobody } else { AcknowledgedBy::Broker }
}

/// Each client's own, from a seed of its own; a payload file is announced once.
fn records(options: &Options, extras: &Extras) -> Result<Vec<Records>, PerfError> {
    let make = |client: usize| {
        let mut report = |line| {
            if client == 0 {
                outln!("{line}");
            }
        };
        Records::new(options, extras, client, &mut report)
    };
    (0..extras.clients).map(make).collect()
}

/// A run from its options to its exit code.
struct Run<'a> {
    options: Arc<Options>,
    extras: &'a Extras,
    args: &'a [String],
    properties: Properties,
    stop: Stop,
    /// Records a second of the generator alone; measured where something is told of it.
    ceiling: f64,
}

impl Run<'_> {
    fn execute(&self, parsed: Parsed<ProducerConfig>, records: Vec<Records>) -> Result<ExitCode, PerfError> {
        let (config, idempotent) = (settings(&parsed), parsed.config.idempotence);
        let acknowledged_by = acknowledged_by(&parsed.config);
        let moment = account::moment();
        let shared = Shared::new(&self.options, self.options.records != i64::MAX.cast_unsigned());
        let books = self.books(acknowledged_by);
        let seats = clients::seats(self.extras.clients, self.extras.pinned);
        let mut hdr_file = self.extras.hdr_log.as_deref().map(HdrFile::create).transpose()?;
        let log = hdr_file.as_mut().map(|file| file.begin(moment.1, PRODUCER_KINDS)).transpose()?;
        let mut series = Series::new(self.extras.clients, log);
        let reports = self.send(parsed.config, records, (&shared, &books, &seats), (&mut series, moment.0));
        let reports = reports.inspect_err(|_| self.keep_ledger(&books, (idempotent, acknowledged_by)))?;
        self.close_series(&mut series, &books)?;
        let done_ns = effort::done_ns(reports.iter().map(|report| Some(report.as_ref()?.effort)));
        let lines = print_results(&shared, &reports, done_ns);
        let began_ns = reports.iter().flatten().map(|report| report.effort.began_ns).min().unwrap_or(moment.0);
        let account = Account {
            options: &self.options,
            extras: self.extras,
            args: self.args,
            config,
            seats: &seats,
            started_ms: moment.1,
            reports: &reports,
            efforts: reports.iter().flatten().map(|report| report.effort).collect(),
            series: &series,
            shared: &shared,
            lines: &lines,
            elapsed_s: done_ns.saturating_sub(began_ns) as f64 / 1e9,
            ceiling: self.ceiling,
            signal: self.stop.exit_code(),
        };
        account.print();
        let judged = self.judge(&books, &reports, (idempotent, acknowledged_by))?;
        account.write(judged)?;
        Ok(self.exit_code(&shared, judged))
    }

    /// One for each client, where more is kept than the original does.
    fn books(&self, acknowledged_by: AcknowledgedBy) -> Vec<Book> {
        let clock = SystemClock::new();
        let place = self.extras.stamp_place(&self.options);
        let keeping = || {
            let ledger = WriteLedger::new((clock.random() >> 32) as u32);
            Some(Keeping { ledger, place: place?, acknowledged_by })
        };
        let count = if place.is_some() || self.extras.measures() { self.extras.clients } else { 0 };
        (0..count).map(|_| Book::new(keeping())).collect()
    }

    /// Runs the clients. `None` stands for one that could not be waited for.
    fn send(
        &self,
        config: ProducerConfig,
        records: Vec<Records>,
        (shared, books, seats): (&Shared, &[Book], &[Option<usize>]),
        (series, origin_ns): (&mut Series<'_>, u64),
    ) -> Result<Vec<Option<Report>>, PerfError> {
        let (clients, measures, warms_up) = (self.extras.clients, self.extras.measures(), self.warms_up());
        let Extras { arrivals, duration, warmup, .. } = *self.extras;
        let pacing = Pacing { arrivals, duration, warmup, seed: self.options.seed.cast_unsigned() };
        let (options, shared, stop) = (Arc::clone(&self.options), shared.clone(), self.stop.clone());
        let (records, books) = (Arc::new(records), books.to_vec());
        let client = move |number: usize, events: std::sync::mpsc::Sender<Event<Second, Report>>| {
            let book = books.get(number).cloned();
            if let Some(book) = book.as_ref().filter(|_| measures) {
                let emit = Box::new(move |second| _ = events.send(Event::Second(second)));
                book.pages().recorder = Some(Recorder::new(number, origin_ns, warms_up, emit));
            }
            let share = Share::of(&options, number, clients);
            let own = (config_of(&config, number, clients), records[number].clone());
            Sender::open(&options, (share, pacing), own, (&shared, &stop, book))?.run()
        };
        let mut progress = self.progress();
        let reports = clients::run(seats, &self.stop, client, &mut |second| {
            second.map_or(Ok(()), |second| series.take(second))?;
            progress.iter_mut().for_each(|progress| progress.show(series.counts.done, series.counts.failed));
            Ok(())
        });
        progress.iter().for_each(Progress::finish);
        reports
    }

    fn warms_up(&self) -> bool {
        self.options.warmup_records > 0 || self.extras.warmup.is_some()
    }

    fn progress(&self) -> Option<Progress> {
        let known = (self.options.records != i64::MAX.cast_unsigned()).then_some(self.options.records);
        self.extras.progress.then(|| Progress::new(known))
    }

    /// What clients that could not be waited for have counted is in their books.
    fn close_series(&self, series: &mut Series<'_>, books: &[Book]) -> Result<(), PerfError> {
        let lasts = books.iter().filter_map(|book| book.pages().recorder.take()).map(Recorder::into_last);
        lasts.into_iter().try_for_each(|last| series.take(last))?;
        series.end()
    }

    /// Writes the ledger and reads the topic back, where either was asked for.
    fn judge(
        &self,
        books: &[Book],
        reports: &[Option<Report>],
        how: (bool, AcknowledgedBy),
    ) -> Result<Judged, PerfError> {
        if !self.extras.stamps() {
            return Ok(None);
        }
        let ledger = account::ledger_of(&self.options, books, reports, how);
        if let Some(path) = &self.extras.ledger {
            ledger.write(path).map_err(|error| PerfError::Text(format!("--ledger {error}")))?;
        }
        if self.extras.verify { self.verify(&ledger) } else { Ok(None) }
    }

    /// A client cannot go on: what was acknowledged until then is kept all the same.
    fn keep_ledger(&self, books: &[Book], how: (bool, AcknowledgedBy)) {
        let Some(path) = &self.extras.ledger else { return };
        let ledger = account::ledger_of(&self.options, books, &[None], how);
        if let Err(error) = ledger.write(path) {
            errln!("--ledger {error}");
        }
    }

    fn verify(&self, ledger: &LedgerFile) -> Result<Judged, PerfError> {
        let verdict = readback::read_back(&self.properties, ledger, readback::SILENCE_MAX, &self.stop)?;
        let Some(verdict) = verdict else {
            outln!("ledger: not read back: the run was interrupted");
            return Ok(None);
        };
        let (line, adds_up) = readback::line(&verdict, ledger);
        outln!("{line}");
        Ok(Some((verdict, adds_up)))
    }

    fn exit_code(&self, shared: &Shared, judged: Judged) -> ExitCode {
        let failed = self.extras.strict && shared.totals().failures.records() > 0;
        let is_bad = failed || judged.is_some_and(|(_, adds_up)| !adds_up);
        self.stop.exit_code().map_or(if is_bad { ExitCode::FAILURE } else { ExitCode::SUCCESS }, ExitCode::from)
    }
}

/// The settings with their defaults; those that depend on others as they came out.
fn settings(parsed: &Parsed<ProducerConfig>) -> Vec<(String, String)> {
    let own = [
        ("enable.idempotence", parsed.config.idempotence.to_string()),
        ("delivery.timeout.ms", parsed.config.delivery_timeout.as_millis().to_string()),
    ];
    let read = parsed.effective.iter().filter(|(name, _)| own.iter().all(|(known, _)| known != name));
    read.cloned().chain(own.clone()).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Several clients have client ids of their own: a broker's quotas and metrics tell them apart.
fn config_of(config: &ProducerConfig, client: usize, clients: usize) -> ProducerConfig {
    let mut config = config.clone();
    if clients > 1 {
        config.common.client_id = format!("{}-{client}", config.common.client_id);
        // One transactional id is one producer's: the others would be fenced.
        config.transactional_id = config.transactional_id.map(|id| format!("{id}-{client}"));
    }
    config
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
