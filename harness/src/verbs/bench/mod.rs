//! `ringlog bench`: a broker, the canonical workloads, the ceiling of the machine beside them, a table, a folder.
//!
//! ```text
//!   options -> host facts -> seats            what is this machine, who sits where
//!   targets -> start::start                   a fresh folder, free ports, processes of their own; or one that runs already
//!   Run::new(plan, KafkaExecutor, Keeper)     trials in turn; each is kept in results/<run>/ before the next begins
//!   rows -> summaries -> table, warnings      exit code
//! ```

#![allow(
    clippy::disallowed_methods,
    reason = "makes folders and processes, reads the clock: the instrument, not the broker"
)]

mod keeper;
pub mod options;
mod progress;
pub(crate) mod session;
mod story;
mod targets;
pub mod verdict;

use std::process::ExitCode;

use clap::Parser;

use options::Options;

/// Runs the verb with the arguments after its name.
#[must_use]
pub fn main(args: &[String]) -> ExitCode {
    let argv = std::iter::once("ringlog bench".to_owned()).chain(args.iter().cloned());
    let options = match Options::try_parse_from(argv) {
        Ok(options) => options,
        Err(error) => {
            // Nobody is there to hear that the message could not be printed.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let outcome = session::measure(&options);
    verdict::tell(&options, outcome)
}
