//! The measuring instrument: every verb but `broker`.

use std::process::ExitCode;

pub mod bench;
mod cli;
pub mod client;
mod consumer_perf;
pub mod host;
pub mod ledger;
pub mod measure;
mod producer_perf;
pub mod report;
pub mod results;
pub mod run;
pub mod yardstick;

/// Runs the verb named by the first argument.
#[must_use]
pub fn main(args: Vec<String>) -> ExitCode {
    match args.first().map(String::as_str) {
        Some("consumer-perf") => consumer_perf::main(&args[1..]),
        Some("producer-perf") => producer_perf::main(&args[1..]),
        Some("bench") => bench::main(&args[1..]),
        Some("null-broker") => yardstick::main(&args[1..]),
        _ => ExitCode::FAILURE,
    }
}
