//! What a perf tool says, number by number; and a tool that lies about one of them.
//!
//! ```text
//!   said(text, "p99") -> 48.0         lie(text, "p99") -> the same text with `43 ms 99th`
//! ```

use regex::Regex;

use crate::checks::report::{Fault, need};
use crate::checks::tools::end;

/// How far a number that is no count may be from the truth.
const TOLERANCE: f64 = 0.05;
/// Numbers that must be the truth.
const EXACT: [&str; 4] = ["sent", "failed", "retries", "fetched"];

/// Where each number stands; the last match counts (the steady state's line where there is one).
const PLACES: [(&str, &str); 12] = [
    ("sent", r"(?m)^(\d+)(?: steady state)? records sent, .* 99\.9th\.$"),
    ("rate", r"(?m)^\d+(?: steady state)? records sent, ([\d.]+) records/sec .* 99\.9th\.$"),
    ("max", r"(?m)^\d+(?: steady state)? records sent, .* ([\d.]+) ms max latency, \d+ ms 50th"),
    ("p50", r"(?m)^\d+(?: steady state)? records sent, .* (\d+) ms 50th"),
    ("p95", r"(?m)^\d+(?: steady state)? records sent, .* (\d+) ms 95th"),
    ("p99", r"(?m)^\d+(?: steady state)? records sent, .* (\d+) ms 99th"),
    ("p99.9", r"(?m)^\d+(?: steady state)? records sent, .* (\d+) ms 99\.9th\.$"),
    ("failed", r"(?m)^producer-metrics:record-error-total:\{[^}]*\} *: ([\d.]+)$"),
    ("retries", r"(?m)^producer-metrics:record-retry-total:\{[^}]*\} *: ([\d.]+)$"),
    ("end to end p50", r"(?m)^Percentiles: 50th = (\d+),"),
    ("fetched", r"(?m)^\d{4}-\d\d-\d\d [\d:]+, [^,]+, [^,]+, [^,]+, ([\d.]+),"),
    ("fetch rate", r"(?m)^\d{4}-\d\d-\d\d [\d:]+, .*, ([\d.]+)$"),
];

/// A number's name and what is true.
pub(crate) type Truth = (&'static str, f64);

/// A number that was compared.
#[derive(Debug)]
pub(crate) struct Compared {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) truth: f64,
}

impl Compared {
    pub(crate) fn holds(&self) -> bool {
        within(self.name, self.value, self.truth)
    }

    /// For people.
    pub(crate) fn words(&self) -> String {
        let digits = if self.truth >= 1000.0 { 0 } else { 2 };
        format!("{} {} (true {:.digits$})", self.name, self.value, self.truth)
    }
}

/// Where a number's digits stand.
fn place(text: &str, name: &str) -> Result<std::ops::Range<usize>, Fault> {
    let pattern = PLACES.iter().find(|it| it.0 == name).map_or("", |it| it.1);
    let regex = Regex::new(pattern).map_err(|error| Fault::Failed(format!("{name}: {error}")))?;
    let found = regex.captures_iter(text).last().and_then(|it| it.get(1)).map(|it| it.range());
    found.ok_or_else(|| Fault::Failed(format!("the tool says nothing of {name}: {:?}", end(text))))
}

pub(crate) fn said(text: &str, name: &str) -> Result<f64, Fault> {
    let digits = &text[place(text, name)?];
    digits.parse().map_err(|_| Fault::Failed(format!("the tool says {digits:?} of {name}")))
}

/// The same output from a tool that flatters: a tenth less time, a ninth more speed, no failures, no retries.
fn lie(text: &str, name: &str) -> Result<String, Fault> {
    let (at, value) = (place(text, name)?, said(text, name)?);
    let new = match name {
        "failed" | "retries" => 0.0,
        "sent" | "fetched" => value + 1.0,
        rate if rate.contains("rate") => value * 1.11,
        _ => value * 0.9,
    };
    let digits = text[at.clone()].split_once('.').map_or(0, |it| it.1.len());
    Ok(format!("{}{new:.digits$}{}", &text[..at.start], &text[at.end..]))
}

/// Counts are exact, all else is within the tolerance.
pub(crate) fn within(name: &str, value: f64, truth: f64) -> bool {
    if EXACT.contains(&name) { value == truth } else { (value - truth).abs() <= TOLERANCE * truth }
}

pub(crate) fn compare(text: &str, truths: &[Truth]) -> Result<Vec<Compared>, Fault> {
    let one = |&(name, truth): &Truth| said(text, name).map(|value| Compared { name, value, truth });
    need(!truths.is_empty(), || "there is nothing to compare".to_owned())?;
    truths.iter().map(one).collect()
}

/// The numbers that could be lied about without being found.
pub(crate) fn missed_lies(text: &str, truths: &[Truth]) -> Result<Vec<&'static str>, Fault> {
    let mut missed = Vec::new();
    for &(name, truth) in truths {
        if within(name, said(&lie(text, name)?, name)?, truth) {
            missed.push(name);
        }
    }
    Ok(missed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRODUCER: &str = "\
100 records sent, 20.0 records/sec (0.02 MB/sec), 9.0 ms avg latency, 20.0 ms max latency.
4000 records sent, 500.120 records/sec (0.05 MB/sec), 3.21 ms avg latency, 70.50 ms max latency, 1 ms 50th, 40 ms 95th, 50 ms 99th, 55 ms 99.9th.
3500 steady state records sent, 499.9 records/sec (0.05 MB/sec), 3.2 ms avg latency, 60.25 ms max latency, 2 ms 50th, 41 ms 95th, 51 ms 99th, 56 ms 99.9th.
producer-metrics:record-error-total:{client-id=perf}      : 32.000
producer-metrics:record-retry-total:{client-id=perf}      : 24.000
";
    const CONSUMER: &str = "\
start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec
2026-01-02 03:04:05:678, 2026-01-02 03:04:09:001, 11.4441, 3.7, 12000, 3611.1, 300, 3023, 3.7856, 3969.5666
";

    #[test]
    fn each_number_is_found_where_it_stands_the_last_line_first() {
        let of = |name| said(PRODUCER, name).unwrap();
        let names = ["sent", "rate", "max", "p50", "p95", "p99", "p99.9", "failed", "retries"];
        assert_eq!(names.map(of), [3500.0, 499.9, 60.25, 2.0, 41.0, 51.0, 56.0, 32.0, 24.0]);
        assert_eq!(["fetched", "fetch rate"].map(|name| said(CONSUMER, name).unwrap()), [12000.0, 3969.5666]);
        let end_to_end = "Avg latency: 80.1 ms\nPercentiles: 50th = 150, 99th = 160, 99.9th = 161\n";
        assert_eq!(said(end_to_end, "end to end p50").unwrap(), 150.0);
        assert!(said(CONSUMER, "p99").unwrap_err().to_string().contains("says nothing of p99"));
    }

    #[test]
    fn a_lie_about_any_number_is_found_and_an_honest_one_holds() {
        let truths = [("sent", 3500.0), ("p95", 41.4), ("p99", 51.0), ("max", 60.0), ("rate", 500.0)];
        let errors = [("failed", 32.0), ("retries", 24.0)];
        for truths in [truths.as_slice(), &errors] {
            assert!(compare(PRODUCER, truths).unwrap().iter().all(Compared::holds));
            assert_eq!(missed_lies(PRODUCER, truths).unwrap(), [""; 0]);
        }
        let fetched = [("fetched", 12000.0), ("fetch rate", 3970.0)];
        assert_eq!(missed_lies(CONSUMER, &fetched).unwrap(), [""; 0]);
        assert_eq!(missed_lies(PRODUCER, &[("p50", 1.0), ("p99", 46.0)]).unwrap(), ["p99"], "45.9 is within 5 % of 46");
        assert!(!within("sent", 3501.0, 3500.0) && !within("p99", 52.6, 50.0) && within("p99", 52.4, 50.0));
    }
}
