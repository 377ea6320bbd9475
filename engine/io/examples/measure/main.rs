//! Measures what the io crate decides by: `measure receive|transfer|append|echo [--rounds N] [...]`.
//!
//! Variants alternate (A B C A B C ...) so that what else the machine does meets all of them; the table gives the median
//! of the rounds. CPU is what the kernel charged to our threads (CLOCK_THREAD_CPUTIME_ID) or to the whole process
//! (CLOCK_PROCESS_CPUTIME_ID, the kernel's workers for our rings included), in nanoseconds per MB (10^6 bytes).

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "an instrument for the terminal, not part of the engine"
)]

mod append;
mod echo;
mod receive;
mod table;
mod transfer;

use std::collections::BTreeMap;

/// Options of the command line: `--name value`.
pub(crate) struct Options(BTreeMap<String, String>);

impl Options {
    pub(crate) fn number(&self, name: &str, default: usize) -> usize {
        self.0.get(name).map_or(default, |text| text.parse().expect("a number"))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

fn main() {
    let mut words = std::env::args().skip(1);
    let verb = words.next().unwrap_or_default();
    let mut options = BTreeMap::new();
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        options.insert(name.trim_start_matches("--").to_owned(), value);
    }
    let options = Options(options);
    match verb.as_str() {
        "receive" => receive::run(&options),
        "transfer" => transfer::run(&options),
        "append" => append::run(&options),
        "echo" => echo::run(&options),
        _ => {
            eprintln!(
                "usage: measure receive|transfer|append|echo [--rounds N] [--mib N] [--dir DIR] [--netns NAME --address IP]"
            );
            std::process::exit(2);
        }
    }
}
