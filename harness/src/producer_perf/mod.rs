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

mod extras;
pub(crate) mod letters;
mod metrics;
mod options;
mod outcome;
mod payload;
mod sender;
mod stats;
mod throttle;
mod transactions;

use std::process::ExitCode;
use std::sync::Arc;

use ringlog_io::{Clock as _, SystemClock};

use crate::cli::argparse::Stop as ParserStop;
use crate::cli::{PerfError, warn_unused};
use crate::client::config::ProducerConfig;
use crate::perf_extras::args;
use crate::perf_extras::clients;
use crate::perf_extras::signals::Stop;
use extras::{EXTRAS, Extras};
use options::{Options, PARSER};
use outcome::{Outcome, Shared};
use payload::Payloads;
use sender::{Report, Sender, Share};

/// Runs the verb.
pub(crate) fn main(args: &[String]) -> ExitCode {
    if args.is_empty() {
        println!("{}", PARSER.help());
        return ExitCode::SUCCESS;
    }
    match parse(args) {
        Err(ParserStop::Help) => println!("{}{}", PARSER.help(), args::help(PARSER.program, EXTRAS)),
        Err(ParserStop::Error(message)) => {
            eprintln!("{}\n{}: error: {message}", PARSER.usage(), PARSER.program);
        }
        Ok((options, extras)) => match run(options, &extras) {
            Ok(code) => return code,
            Err(error) => eprintln!("{}: {error}", PARSER.program),
        },
    }
    ExitCode::FAILURE
}

fn parse(args: &[String]) -> Result<(Options, Extras), ParserStop> {
    let (taken, left) = args::take(EXTRAS, args).map_err(ParserStop::Error)?;
    let extras = Extras::new(&taken).map_err(ParserStop::Error)?;
    Ok((options::parse(&left)?, extras))
}

fn run(options: Options, extras: &Extras) -> Result<ExitCode, PerfError> {
    let payloads = payloads(&options, extras.clients)?;
    options.notices.iter().for_each(|notice| println!("{notice}"));
    if options.warmup_records > 0 {
        println!(
            "Warmup first {} records. Steady state results will print after the complete test summary.",
            options.warmup_records
        );
    }
    let properties = options.properties().map_err(PerfError::Text)?;
    let parsed = ProducerConfig::parse(&properties)?;
    warn_unused(&parsed.unused);
    let stop = Stop::watch()?;
    let shared = Shared::new(&options);
    let reports = send(&Arc::new(options), (parsed.config, payloads), (&shared, &stop), extras)?;
    print_results(&shared, &reports);
    Ok(stop.exit_code().map_or(ExitCode::SUCCESS, ExitCode::from))
}

/// Each client's own, from a seed of its own; the file is announced once.
fn payloads(options: &Options, clients: usize) -> Result<Vec<Payloads>, PerfError> {
    let make = |client: usize| {
        let seed = options.seed.wrapping_add_unsigned(client as u64);
        let mut report = |line| {
            if client == 0 {
                println!("{line}");
            }
        };
        Payloads::new(&options.payload, options.keys, seed, &mut report).map_err(PerfError::Text)
    };
    (0..clients).map(make).collect()
}

/// Runs the clients. `None` stands for one that could not be waited for.
fn send(
    options: &Arc<Options>,
    (config, payloads): (ProducerConfig, Vec<Payloads>),
    (shared, stop): (&Shared, &Stop),
    extras: &Extras,
) -> Result<Vec<Option<Report>>, PerfError> {
    let clients = extras.clients;
    let (options, shared, of_client) = (Arc::clone(options), shared.clone(), stop.clone());
    let payloads = Arc::new(payloads);
    let client = move |number: usize, _events| {
        let share = Share::of(&options, number, clients);
        let own = (config_of(&config, number, clients), payloads[number].clone());
        Sender::open(&options, share, own, (&shared, &of_client))?.run()
    };
    let seats = clients::seats(clients, extras.pinned);
    clients::run::<(), Report>(&seats, stop, client, &mut |_| Ok(()))
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

fn print_results(shared: &Shared, reports: &[Option<Report>]) {
    let done_ns = reports.iter().flatten().map(|report| report.done_ns).max();
    let is_complete = reports.iter().all(Option::is_some);
    let done_ns = done_ns.filter(|_| is_complete).unwrap_or_else(|| SystemClock::new().read().0);
    let mut totals = shared.totals();
    totals.lines(to_ms(done_ns)).iter().for_each(|line| println!("{line}"));
    reports.iter().flatten().filter_map(|report| report.metrics.as_ref()).for_each(|table| print!("{table}"));
    totals.failures.report(reports.iter().flatten().find_map(|report| report.disconnect.as_deref()));
}

/// The original's clock: whole milliseconds.
fn to_ms(ns: u64) -> i64 {
    i64::try_from(ns / 1_000_000).unwrap_or(i64::MAX)
}
