//! `ringlog bench`: a broker, the canonical workloads, the ceiling of the machine beside them, a table, a folder.
//!
//! ```text
//!   options -> host facts -> seats            what is this machine, who sits where
//!   touch memory -> start brokers             a fresh folder, free ports, processes of their own
//!   run::run(plan, KafkaExecutor)             rounds in turn; the ledger of each is settled before the next
//!   rows -> results/<run>/                    only if every ledger adds up
//!   summaries -> table, warnings -> exit code
//! ```

#![allow(
    clippy::disallowed_methods,
    reason = "makes folders and processes, reads the clock: the instrument, not the broker"
)]

pub mod options;
mod progress;
pub(crate) mod session;
mod signals;
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
