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

/// What `ringlog` without a verb, or with one that is not there, prints.
const VERBS: &str = "usage: ringlog VERB [OPTIONS]

  broker          serves the Kafka protocol
  bench           starts a broker, measures it beside the machine's ceiling, keeps the numbers
  producer-perf   kafka-producer-perf-test, with its options and output
  consumer-perf   kafka-consumer-perf-test, with its options and output
  null-broker     a broker that keeps nothing: the machine's ceiling

ringlog VERB --help says more.";

/// What `ringlog` prints where no verb is named.
const HELP: &str = "\
ringlog: a Kafka-compatible broker and the instrument that measures any of them

  ringlog broker          serves Kafka's protocol (--config server.properties, --override key=value)
  ringlog bench           starts a broker, drives it, prints and keeps what it measured; or --bootstrap-server
  ringlog producer-perf   kafka-producer-perf-test with the same options, lines and exit codes
  ringlog consumer-perf   kafka-consumer-perf-test, likewise

Each verb explains itself with --help.
";

/// Runs the verb named by the first argument.
#[must_use]
pub fn main(args: Vec<String>) -> ExitCode {
    match args.first().map(String::as_str) {
        Some("bench") => bench::main(&args[1..]),
        Some("consumer-perf") => consumer_perf::main(&args[1..]),
        Some("null-broker") => yardstick::main(&args[1..]),
        Some("producer-perf") => producer_perf::main(&args[1..]),
        None | Some("-h" | "--help" | "help") => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Some("-V" | "--version") => {
            println!("ringlog {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Some(verb) => {
            eprint!("ringlog: '{verb}' is no verb\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}
