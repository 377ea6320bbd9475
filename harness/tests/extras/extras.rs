//! `scripts/perf-extras`: what our perf tools have beyond Kafka's, held against what the broker has and what other programs read.
//!
//! ```text
//!   our tool, a process --> a broker of a real Kafka or ours, that is stopped, killed (-9) and started again
//!        |                    '--> ends of partitions and record batches, asked by hand; kcat
//!        '--> lines, exit codes, JSON, hdr logs (read by Java's HdrHistogram too), ledgers
//!                                    '--> records that were lost, doubled, reordered, changed: planted, and each to be found
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | `numbers` | totals, histograms, open and closed loops |
//! | `records` | sizes, keys, ratios, durations, `--strict` |
//! | `ledgers`, `planted`, `transactions` | what was written is read, across kill -9; what is wrong is found |
//! | `signals` | Ctrl-C with and without a broker |
//! | `runs` | how a run begins, paces itself, and meets output that nobody takes |
//! | `held_up` | for how long the machine had no core for a process: a pause that it made is not the tool's |
//! | `ground` | the broker, the tools, their folder |
//! | `said` | what the tools say |
//! | `raw`, `cursor` | frames and batches by hand: nothing of the project's own codec |

#![allow(clippy::disallowed_methods, reason = "a test tool between real processes: real sockets, files and time")]

#[path = "../checks/mod.rs"]
mod checks;
mod cursor;
mod ground;
mod held_up;
mod ledgers;
mod numbers;
mod planted;
mod raw;
mod records;
mod runs;
mod said;
mod signals;
mod transactions;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};

use checks::brokers::{KAFKA_DEFAULT, Maker};
use checks::report::{Fault, Report};
use checks::tools::Scratch;
use ground::{Check, Ground};

/// What our perf tools have beyond Kafka's, held against what the broker has and what other programs read.
///
/// Totals of the JSON against the compatible line and the ends of the partitions, the hdr log as Java's HdrHistogram reads it,
/// ledgers across kill -9 and restart with acks=all and acks=1, records that were lost, doubled, reordered or changed (each planted
/// and each to be found), Ctrl-C with and without a broker, sizes, keys, ratios and schedules that were asked for.
#[derive(Debug, Parser)]
#[command(
    name = "scripts/perf-extras",
    after_help = "Exit codes: 0 all that ran held; 1 something failed, or nothing ran; 2 wrong usage."
)]
struct Options {
    /// Whose broker.
    #[arg(long, value_enum, default_value = "ringlog")]
    target: Target,
    /// Which Kafka, fetched before (`scripts/peers fetch`): 4.3.1 or 3.9.2.
    #[arg(long, default_value = KAFKA_DEFAULT)]
    version: String,
    /// A part of the names of the checks to run.
    #[arg(long)]
    only: Option<String>,
    /// The ringlog binary.
    #[arg(long)]
    bin: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    Ringlog,
    Kafka,
}

const CHECKS: [(&str, Check); 17] = [
    ("totals are one number in every place", numbers::totals),
    ("hdr log as Java reads it", numbers::hdr_log),
    ("open loop keeps its schedule", numbers::open_loop),
    ("closed loop tells both times", numbers::closed_loop),
    ("sizes, keys and ratios", records::shapes),
    ("durations and warm-up", records::durations),
    ("strict", records::strict),
    ("verify", ledgers::verify),
    ("payloads that stay as they are", ledgers::payloads),
    ("ledger with acks=0", ledgers::acks_0),
    ("planted faults are found", planted::found),
    ("kill -9 twice with acks=all", ledgers::killed_all),
    ("kill -9 twice with acks=1", ledgers::killed_leader),
    ("signals", signals::interrupted),
    ("the rate is held in every window", runs::paced),
    ("output that nobody takes", runs::unread),
    ("what is told before a run", runs::begun),
];
/// For brokers that have transactions.
const IN_TRANSACTIONS: [(&str, Check); 4] = [
    ("transactions: committed", transactions::committed),
    ("transactions: aborted", transactions::aborted),
    ("transactions: kill -9 twice", ledgers::killed_transactions),
    ("the rate is held beside transactions", runs::paced_in_transactions),
];

fn main() -> ExitCode {
    let options = Options::parse();
    let mut out = std::io::stdout();
    let mut report = Report::new(options.only.clone(), &mut out);
    match run(&options, &mut report) {
        Ok(()) => report.close(),
        Err(fault) => {
            eprintln!("scripts/perf-extras: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options, report: &mut Report<'_>) -> Result<(), Fault> {
    let tools = Maker::ringlog(options.bin.clone())?;
    let (label, broker) = match options.target {
        Target::Ringlog => ("ringlog".to_owned(), tools.clone()),
        Target::Kafka => (format!("kafka-{}", options.version), Maker::kafka(&options.version)?),
    };
    let folder = Scratch::new("perf-extras")?;
    let mut ground = Ground::new(&broker, tools, folder.path())?;
    let has_transactions = ground.raw()?.announces(raw::END_TXN)?;
    let more: &[(&str, Check)] = if has_transactions { &IN_TRANSACTIONS } else { &[] };
    for (name, check) in CHECKS.iter().chain(more) {
        let name = format!("{label} {name}");
        if report.wants(&name) {
            let started = Instant::now();
            match check(&mut ground) {
                Err(Fault::Disturbed(why)) => report.inconclusive(&name, &why),
                told => report.tell(&name, &told, Some(started)),
            }
        }
    }
    if !has_transactions {
        report.line("   the broker announces no EndTxn: what has transactions was left out");
    }
    Ok(())
}
