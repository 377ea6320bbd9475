//! `ringlog bench`: a broker, the canonical workloads, the ceiling of the machine beside them, a table, a folder.
//!
//! ```text
//!   options --> plan (profiles, targets) --> session --> Done --> table, warnings, exit code
//! ```

pub mod options;
pub(crate) mod plan;
pub mod verdict;

use std::process::ExitCode;

use options::Options;

/// Its options, for shells and the man page.
pub(crate) fn command() -> clap::Command {
    <Options as clap::CommandFactory>::command()
}

/// Runs the verb with the arguments after its name.
#[must_use]
pub fn main(args: &[String]) -> ExitCode {
    let options: Options = match super::options("bench", args) {
        Ok(options) => options,
        Err(code) => return code,
    };
    if options.dry_run {
        return verdict::tell_plan(plan::words(&options));
    }
    let outcome = plan::measure(&options);
    verdict::tell(&options, outcome)
}
