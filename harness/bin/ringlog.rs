//! The one binary: `ringlog broker` runs the engine, `ringlog sim` simulates it, every other verb is the harness.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("broker") => ringlog_broker::main(args.split_off(1)),
        Some("sim") => ringlog_broker::simulate(args.split_off(1)),
        _ => ringlog_harness::main(args, &ringlog_broker::HELP_TEXTS),
    }
}
