//! `ringlog broker` without the harness around it: it compiles in a tenth of the time (`scripts/powercut` with planted faults).

use std::process::ExitCode;

fn main() -> ExitCode {
    // `ringlog broker ARGS` and `broker ARGS` are the same.
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|verb| verb == "broker") {
        args.remove(0);
    }
    ringlog_broker::main(args)
}
