//! The options that kafka-producer-perf-test does not have.

use crate::perf_extras::args::{Extra, Taken};
use crate::perf_extras::clients::CLIENTS_MAX;

const fn extra(name: &'static str, metavar: &'static str, help: &'static str) -> Extra {
    Extra { name, metavar, help }
}

pub(crate) const EXTRAS: &[Extra] = &[extra(
    "--clients",
    "N",
    "so many producers, each on a thread of its own that is pinned to a core (the last core first); they share the \
     records and the rate, and one summary counts them all (default: 1, not pinned)",
)];

/// What was asked for beyond the original.
#[derive(Clone, Debug)]
pub(crate) struct Extras {
    pub(crate) clients: usize,
    pub(crate) pinned: bool,
}

impl Extras {
    pub(crate) fn new(taken: &Taken) -> Result<Self, String> {
        let clients = taken.number("--clients", (1, CLIENTS_MAX))?;
        Ok(Self { clients: clients.unwrap_or(1), pinned: clients.is_some() })
    }
}
