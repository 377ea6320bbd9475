//! The options that kafka-consumer-perf-test does not have, and what goes with what.

use std::path::PathBuf;
use std::time::Duration;

use crate::verbs::extras::args::{Extra, Taken, extra};

pub(crate) const EXTRAS: &[Extra] = &[
    extra(
        "--clients",
        "N",
        "so many members of one group, each on a thread of its own that is pinned to a core (client 0 to the last core, \
         client 1 to the one before, ..); one row counts them all (default: 1, not pinned)",
    ),
    extra("--duration", "SECONDS", "ends the run after so long; --num-records may then be left out"),
    extra("--json", "FILE", "everything about the run in one document: options, settings, host, series, percentiles"),
    extra(
        "--hdr-log",
        "FILE",
        "HdrHistogram interval log: a histogram per second of the times from the records' timestamps to their reading",
    ),
    extra(
        "--ledger",
        "FILE",
        "reads the topic from its beginning, beside what producer-perf --ledger wrote, and says whether it adds up; \
         without a group, and without --num-records",
    ),
    extra("--progress", "", "shows what is going on, on standard error"),
];

/// What was asked for beyond the original.
#[derive(Clone, Debug)]
pub(crate) struct Extras {
    pub(crate) clients: usize,
    pub(crate) pinned: bool,
    pub(crate) duration: Option<Duration>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) hdr_log: Option<PathBuf>,
    pub(crate) ledger: Option<PathBuf>,
    pub(crate) progress: bool,
}

impl Extras {
    pub(crate) fn new(taken: &Taken) -> Result<Self, String> {
        let (clients, pinned) = taken.clients()?;
        Ok(Self {
            clients,
            pinned,
            duration: taken.seconds("--duration")?,
            json: taken.path("--json"),
            hdr_log: taken.path("--hdr-log"),
            ledger: taken.path("--ledger"),
            progress: taken.has("--progress"),
        })
    }

    /// The arguments as the original's parser is to see them: it wants to know how many records, and here that may be
    /// left out.
    pub(crate) fn complete(&self, mut left: Vec<String>) -> Result<Vec<String>, String> {
        let names = ["--num-records", "--messages", "-num-records", "-messages"];
        let given = left.iter().find(|arg| names.contains(&arg.split('=').next().unwrap_or_default()));
        if let (Some(name), true) = (given, self.ledger.is_some()) {
            return Err(format!("--ledger reads everything that was acknowledged: leave {name} out"));
        }
        if self.ledger.is_some() && self.duration.is_some() {
            return Err("--ledger reads everything that was acknowledged: leave --duration out".into());
        }
        if given.is_none() && (self.ledger.is_some() || self.duration.is_some()) {
            left.extend(["--num-records".to_owned(), i64::MAX.to_string()]);
        }
        Ok(left)
    }

    /// Whether a series is kept.
    pub(crate) fn measures(&self) -> bool {
        self.progress || self.json.is_some() || self.hdr_log.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::extras::args::take;

    fn complete(line: &str) -> Result<String, String> {
        let (taken, left) = take(EXTRAS, &line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())?;
        Ok(Extras::new(&taken)?.complete(left)?.join(" "))
    }

    #[test]
    fn the_number_of_records_may_be_left_out_where_something_else_ends_the_run() {
        assert_eq!(complete("--topic t --duration 3").unwrap(), format!("--topic t --num-records {}", i64::MAX));
        assert_eq!(complete("--topic t --messages=5 --duration 3").unwrap(), "--topic t --messages=5");
        assert_eq!(complete("--topic t").unwrap(), "--topic t", "the original's error stays");
    }

    #[test]
    fn a_ledger_is_read_to_its_end() {
        assert!(complete("--ledger f --num-records 5").unwrap_err().contains("leave --num-records out"));
        assert!(complete("--ledger f --duration 5").unwrap_err().contains("leave --duration out"));
    }
}
