//! What a person runs: parse, run, print. Nothing is measured here.

pub mod bench;
pub(crate) mod compare;
pub(crate) mod consumer_perf;
pub(crate) mod e2e_latency;
pub(crate) mod export;
pub(crate) mod extras;
pub(crate) mod fit;
pub(crate) mod history;
pub(crate) mod plan;
pub(crate) mod probe;
pub(crate) mod producer_perf;
pub(crate) mod profile;
pub(crate) mod report;
pub(crate) mod rerun;
pub(crate) mod shell;
pub mod sweep;

use std::process::ExitCode;

pub use shell::Foreign;

/// The options of `ringlog VERB`; once help, or what is wrong with them, was printed: the exit code (0, or 2).
pub(crate) fn options<O: clap::Parser>(verb: &str, args: &[String]) -> Result<O, ExitCode> {
    let argv = std::iter::once(format!("ringlog {verb}")).chain(args.iter().cloned());
    O::try_parse_from(argv).map_err(|error| {
        // Nobody is there to hear that the message could not be printed.
        let _ = error.print();
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
    })
}
