//! The measuring instrument: every verb but `broker`.

use std::process::ExitCode;

pub mod client;
pub mod host;
pub mod ledger;
pub mod measure;
pub mod results;

/// Runs the verb named by the first argument.
#[must_use]
pub fn main(_args: Vec<String>) -> ExitCode {
    ExitCode::FAILURE
}
