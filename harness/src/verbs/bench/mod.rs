//! `ringlog bench`: a broker, the canonical workloads, the ceiling of the machine beside them, a table, a folder.
//!
//! ```text
//!   options --> plan (profiles, targets) --> session --> Done --> table, warnings, exit code
//! ```

pub mod options;
pub(crate) mod plan;
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
    let outcome = plan::measure(&options);
    verdict::tell(&options, outcome)
}
