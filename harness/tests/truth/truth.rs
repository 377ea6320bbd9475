//! `scripts/truth`: what the perf tools report, compared with what a proxy between tool and broker is known to have done.
//!
//! ```text
//!   tool under test --> proxy: late answers, stalls, errors, a limit of bytes --> broker (advertises the proxy's port)
//!        |                '--> record: every request, when in, when answered, when out, records, the error planted
//!        |                          |
//!        '--> said: what it reports v         within 5 %, counts exactly; then each number is spoilt as a tool that flatters
//!                          compared with truths                                    would, and the comparison must find it
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | `cases` | what the proxy does, what the tool is asked, which numbers must come out |
//! | `omission` | the stall that a closed loop does not see |
//! | `pair` | the reference and what is measured beside it: again where the reference is disturbed |
//! | `said` | a tool's numbers, and the lies about them |
//! | `proxy`, `pumps`, `message`, `behaviour` | the proxy |
//! | `record` | what it did, and the truths that follow |

#![allow(clippy::disallowed_methods, reason = "a test tool between real processes: real sockets, files and time")]

mod behaviour;
mod cases;
#[path = "../checks/mod.rs"]
mod checks;
mod message;
mod omission;
mod pair;
mod proxy;
mod pumps;
mod record;
mod said;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use cases::{Bench, CASES, check};
use checks::brokers::{KAFKA_DEFAULT, Maker};
use checks::report::{Fault, Report};
use checks::tools::Scratch;
use pair::{Check, pair};

/// Compares what the perf tools report with what a proxy between tool and broker is known to have done: within 5 %. Kafka's own
/// tool and ours right after it, case by case; where Kafka's is disturbed (its numbers do not hold) the pair runs again, and is
/// inconclusive at the third time.
///
/// After each honest comparison every number is spoilt once, as a tool that flatters would (a tenth less time, a ninth more
/// speed, no failures, no retries), and the same comparison must find it.
#[derive(Debug, Parser)]
#[command(
    name = "scripts/truth",
    after_help = "Exit codes: 0 all that ran held, or was inconclusive; 1 something failed, or nothing ran; 2 wrong usage."
)]
struct Options {
    /// These tools alone.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// A part of the names of the checks to run.
    #[arg(long)]
    only: Option<String>,
    /// The ringlog binary.
    #[arg(long)]
    bin: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Kafka,
    Ringlog,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let mut out = std::io::stdout();
    let mut report = Report::new(options.only.clone(), &mut out);
    match run(&options, &mut report) {
        Ok(()) => report.close(),
        Err(fault) => {
            eprintln!("scripts/truth: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options, report: &mut Report<'_>) -> Result<(), Fault> {
    let wanted = |kind: Kind| options.kind.is_none_or(|only| only == kind);
    let mut makers = Vec::new();
    if wanted(Kind::Kafka) {
        makers.push(Maker::kafka(KAFKA_DEFAULT)?);
    }
    if wanted(Kind::Ringlog) {
        makers.push(Maker::ringlog(options.bin.clone())?);
    }
    let folder = Scratch::new("truth")?;
    in_pairs(report, &makers, &folder)?;
    omission::run(report, &makers, folder.path())
}

/// Every case by every maker, right after each other.
fn in_pairs(report: &mut Report<'_>, makers: &[Maker], folder: &Scratch) -> Result<(), Fault> {
    let name = |maker: &Maker, case: &str| format!("{}'s tool: {case}", maker.name());
    if !CASES.iter().any(|case| makers.iter().any(|maker| report.wants(&name(maker, case.name)))) {
        return Ok(());
    }
    let topics: Vec<&str> = CASES.iter().map(|case| case.topic).collect();
    let started = makers.iter().map(|maker| Bench::start(maker, &folder.path().join(maker.name()), &topics));
    let benches = started.collect::<Result<Vec<Bench>, Fault>>()?;
    for case in &CASES {
        let check_by = |bench: &'_ Bench| check(bench, case);
        let checks = benches.iter().map(|bench| Check {
            name: name(&bench.maker, case.name),
            is_reference: bench.maker.is_kafka(),
            run: Box::new(move || check_by(bench)),
        });
        pair(report, checks.collect());
    }
    Ok(())
}
