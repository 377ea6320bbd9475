//! `ringlog sim`: the whole broker, its clients and everything that goes wrong, from one seed.
//!
//! ```text
//!   seed -> plan: settings, clients, weather, troubles
//!            |
//!   io::sim::World -- whose turn -->  host: N shards' loops (bring_up, event_loop), one disk
//!            |                        clients: producers, fetchers, admin, committers, members, .. -> ledger
//!            +-- trace, hash                                                               |
//!                                     after each turn: Shard::check       at the end: the audit
//! ```
//! A seed that fails is run again with its log: `ringlog sim --seed N`; its plan can be kept as text and run by itself. What the simulation finds and what it cannot:
//! `engine/docs/decisions/simulation.md`.

mod admin;
mod arguments;
mod auditor;
mod checks;
mod clients;
mod committer;
mod consumer;
mod consumer_book;
mod fetcher;
mod group_book;
mod host;
mod ledger;
mod line;
mod log_starts;
mod member;
mod offset_book;
mod plan;
mod plan_text;
mod producer;
mod requests;
mod run;
#[cfg(test)]
mod tests;
mod transaction_book;
mod transaction_reader;
mod transaction_steps;
mod transactor;
mod upserter;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use ringlog_io::{Clock, SystemClock};

pub(crate) use self::arguments::HELP;
use self::arguments::{Arguments, Parsed};
use self::plan::Wish;
use self::run::Tally;
use crate::out;

/// Who is told what happens, a line at a time.
type Reader = Box<dyn FnMut(fmt::Arguments<'_>)>;

/// What the broker did that it must not do.
#[derive(Clone, Debug)]
pub(crate) struct Violation(pub(crate) String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Violation {
    /// Says who met it.
    fn of(self, who: &str) -> Self {
        Self(format!("{who}: {}", self.0))
    }
}

/// Runs `ringlog sim` with the arguments after the verb.
#[must_use]
pub fn main(args: Vec<String>) -> ExitCode {
    let arguments = match Arguments::parse(&args) {
        Ok(Parsed::Arguments(arguments)) => arguments,
        Ok(Parsed::Help) => {
            out::line(format_args!("{}", arguments::HELP.trim_end()));
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            out::error_line(format_args!("ringlog sim: {error}"));
            return ExitCode::FAILURE;
        }
    };
    if arguments.count() == 1 { one(arguments.seeds.start, &arguments) } else { many(&arguments) }
}

/// One seed, with its log.
fn one(seed: u64, arguments: &Arguments) -> ExitCode {
    let reader: Option<Reader> = if arguments.is_quiet { None } else { Some(Box::new(out::line)) };
    if !arguments.is_quiet {
        crate::log_to_stderr(false);
    }
    match attempt(seed, &arguments.wish, reader) {
        Ok(tally) => {
            out::line(format_args!(
                "seed {seed}: clean, {} events, {} batches acknowledged, {} read, trace {:016x}",
                tally.events, tally.acknowledged, tally.read, tally.hash
            ));
            ExitCode::SUCCESS
        }
        Err(violation) => {
            out::line(format_args!("seed {seed}: {violation}"));
            ExitCode::FAILURE
        }
    }
}

/// Many seeds, to the first that fails.
fn many(arguments: &Arguments) -> ExitCode {
    let clock = SystemClock::new();
    let begun = clock.read();
    let (mut clean, mut sum) = (0u64, Tally::default());
    std::panic::set_hook(Box::new(|_| {}));
    for seed in arguments.seeds.clone() {
        match attempt(seed, &arguments.wish, None) {
            Ok(tally) => {
                clean += 1;
                sum.events += tally.events;
                sum.acknowledged += tally.acknowledged;
                sum.read += tally.read;
            }
            Err(violation) => {
                out::line(format_args!("seed {seed}: {violation}"));
                if !arguments.goes_on {
                    out::line(format_args!("{clean} clean before it; ringlog sim --seed {seed} shows how it came"));
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    let seconds = (clock.read().0 - begun.0) as f64 / 1e9;
    let seeds = arguments.count();
    out::line(format_args!(
        "{clean} of {seeds} seeds clean in {seconds:.1} s ({:.1} ms each): {} events, {} batches acknowledged, {} read",
        seconds * 1e3 / seeds.max(1) as f64,
        sum.events,
        sum.acknowledged,
        sum.read
    ));
    if clean == seeds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a seed; a panic on the way is a violation too.
fn attempt(seed: u64, wish: &Wish, reader: Option<Reader>) -> Result<Tally, Violation> {
    catch_unwind(AssertUnwindSafe(|| run::run(seed, wish, reader))).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
        Err(Violation(format!("a panic: {words}")))
    })
}
