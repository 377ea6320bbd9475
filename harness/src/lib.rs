//! The measuring instrument: every verb but `broker` and `sim`.

// Their macros panic where a stream takes no more: see `out`.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

use std::process::ExitCode;

#[macro_use]
mod out;

mod cli;
pub mod client;
pub mod emulate;
pub mod export;
pub mod fit;
pub mod host;
pub mod load;
pub mod measure;
#[doc(hidden)]
pub mod micro;
pub mod plan;
mod probe;
pub mod report;
pub mod results;
pub mod run;
pub mod session;
pub mod spec;
pub mod stats;
pub mod target;
pub mod verbs;
pub mod verdict;
pub mod yardstick;

/// What `ringlog` without a verb, or with one that is not there, prints.
const VERBS: &str = "usage: ringlog VERB [OPTIONS]

  broker          serves the Kafka protocol
  sim             runs the whole broker from a seed, with everything that can go wrong
  bench           starts a broker, measures it beside the machine's ceiling, keeps the numbers
  sweep           measures over every combination of settings that a file or a preset lists
  report          a run that was kept, as a page to look at or a table
  rerun           a row of a kept run once more, the old figures beside the new
  export          a run that was kept, in the format of another tool
  compare         did it become slower? Two sides in turn, a verdict, an exit code for CI
  history         since when? Changes of level in the rows of many runs
  producer-perf   kafka-producer-perf-test, with its options and output
  consumer-perf   kafka-consumer-perf-test, with its options and output
  e2e-latency     kafka-e2e-latency, with its options and output
  fit             what a broker's work costs, from rows of runs
  plan            which machines, and how many, for a load; or what machines carry
  probe           this machine, measured, as one that plans are made for
  profile         machines that plans are made for: what is known of them, and where it comes from
  null-broker     a broker that keeps nothing: the machine's ceiling
  completions     what bash, zsh, fish, elvish and PowerShell complete these with
  man             all of it as a man page

ringlog VERB --help says more.";

/// Runs the verb named by the first argument. `foreign` are the verbs that the binary has besides, with their help texts.
#[must_use]
pub fn main(args: Vec<String>, foreign: &[verbs::Foreign<'_>]) -> ExitCode {
    match args.first().map(String::as_str) {
        Some("help" | "--help" | "-h") => {
            outln!("{VERBS}");
            ExitCode::SUCCESS
        }
        Some("consumer-perf") => verbs::consumer_perf::main(&args[1..]),
        Some("producer-perf") => verbs::producer_perf::main(&args[1..]),
        Some("e2e-latency") => verbs::e2e_latency::main(&args[1..]),
        Some("bench") => verbs::bench::main(&args[1..]),
        Some("fit") => verbs::fit::main(&args[1..]),
        Some("plan") => verbs::plan::main(&args[1..]),
        Some("probe") => verbs::probe::main(&args[1..]),
        Some("profile") => verbs::profile::main(&args[1..]),
        Some("sweep") => verbs::sweep::main(&args[1..]),
        Some("export") => verbs::export::main(&args[1..]),
        Some("rerun") => verbs::rerun::main(&args[1..]),
        Some("report") => verbs::report::main(&args[1..]),
        Some("compare") => verbs::compare::main(&args[1..]),
        Some("history") => verbs::history::main(&args[1..]),
        Some("completions") => verbs::shell::completions(&args[1..], foreign),
        Some("man") => verbs::shell::man(&args[1..], foreign),
        Some("null-broker") => yardstick::main(&args[1..]),
        Some(emulate::check::VERB) => emulate::check::main(&args[1..]),
        Some(verb) => {
            errln!("{verb} is no verb of ringlog\n\n{VERBS}");
            ExitCode::FAILURE
        }
        None => {
            errln!("{VERBS}");
            ExitCode::FAILURE
        }
    }
}
