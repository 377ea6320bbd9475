//! `ringlog sim` without the harness around it: it compiles in a tenth of the time.

use std::process::ExitCode;

fn main() -> ExitCode {
    ringlog_broker::simulate(std::env::args().skip(1).collect())
}
