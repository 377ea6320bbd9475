//! What the tools say beyond Kafka's numbers: the line of a run and of its windows, a ledger's verdict, JSON documents.

use regex::Regex;
use serde_json::Value;

use crate::checks::report::{Fault, Told, failed};
use crate::checks::tools::end;
use crate::ground::Ground;

const LINE: &str = r"(?m)^(\d+) records sent, ([\d.]+) records/sec \(([\d.]+) MB/sec\)";
const WINDOW: &str = r"(?m)^(\d+) records sent, ([\d.]+) records/sec .* max latency\.$";
const TOTAL: &str = r"(?m)^(\d+) records sent, ([\d.]+) records/sec .* 99\.9th\.$";
const LEDGER: &str = r"(?m)^ledger: (\d+) acknowledged, (\d+) read, (\d+) lost, (\d+) doubled, (\d+) out of order, (\d+) changed \((\d+) failed, (\d+) unknown, (\d+) of both read; (\d+) of others\): (.*)$";

/// Records and records/s of a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) records: u64,
    pub(crate) rate: f64,
}

/// What a ledger says of what was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) acknowledged: u64,
    pub(crate) read: u64,
    /// Lost, doubled, out of order, changed.
    pub(crate) faults: [u64; 4],
    pub(crate) failed: u64,
    pub(crate) unknown: u64,
    /// Of the failed and the unknown: how many were read.
    pub(crate) both: u64,
    /// Records without its stamp.
    pub(crate) others: u64,
    pub(crate) words: String,
}

pub(crate) const WELL: &str = "adds up";

impl Verdict {
    pub(crate) fn lost(&self) -> u64 {
        self.faults[0]
    }

    pub(crate) fn changed(&self) -> u64 {
        self.faults[3]
    }
}

/// The numbers of every place where a pattern with two or more numbers is found.
fn found(pattern: &str, out: &str) -> Result<Vec<Vec<String>>, Fault> {
    let pattern = Regex::new(pattern).map_err(|error| failed("a pattern")(&error))?;
    let words = |it: regex::Captures<'_>| it.iter().skip(1).flatten().map(|it| it.as_str().to_owned()).collect();
    Ok(pattern.captures_iter(out).map(words).collect())
}

/// The first place where a pattern is found.
pub(crate) fn first(pattern: &str, out: &str) -> Result<Vec<String>, Fault> {
    let none = || Fault::Failed(format!("no `{pattern}` in {}", end(out)));
    found(pattern, out)?.into_iter().next().ok_or_else(none)
}

pub(crate) fn number<T: std::str::FromStr>(words: &[String], at: usize) -> Result<T, Fault> {
    let number = words.get(at).and_then(|it| it.parse().ok());
    number.ok_or_else(|| Fault::Failed(format!("no number {at} in {words:?}")))
}

fn sent(words: &[String]) -> Result<Sent, Fault> {
    Ok(Sent { records: number(words, 0)?, rate: number(words, 1)? })
}

/// The first line of a run; of one without windows, its only.
pub(crate) fn line(out: &str) -> Result<Sent, Fault> {
    sent(&first(LINE, out)?)
}

/// The line of the whole run.
pub(crate) fn total(out: &str) -> Result<Sent, Fault> {
    sent(&first(TOTAL, out)?)
}

/// The lines of its windows.
pub(crate) fn windows(out: &str) -> Result<Vec<Sent>, Fault> {
    found(WINDOW, out)?.iter().map(|it| sent(it)).collect()
}

pub(crate) fn verdict(out: &str) -> Result<Verdict, Fault> {
    let words = first(LEDGER, out)?;
    let at = |place| number(&words, place);
    Ok(Verdict {
        acknowledged: at(0)?,
        read: at(1)?,
        faults: [at(2)?, at(3)?, at(4)?, at(5)?],
        failed: at(6)?,
        unknown: at(7)?,
        both: at(8)?,
        others: at(9)?,
        words: words.last().cloned().unwrap_or_default(),
    })
}

pub(crate) fn last_line(out: &str) -> &str {
    out.lines().last().unwrap_or_default()
}

/// A file in JSON; its parts by pointers.
#[derive(Clone, Debug)]
pub(crate) struct Document(pub(crate) Value);

impl Document {
    pub(crate) fn read(ground: &Ground, name: &str) -> Result<Self, Fault> {
        serde_json::from_str(&ground.text(name)?).map(Self).map_err(|error| failed(name)(&error))
    }

    pub(crate) fn at(&self, pointer: &str) -> Result<&Value, Fault> {
        self.0.pointer(pointer).ok_or_else(|| Fault::Failed(format!("the document has no {pointer}")))
    }

    pub(crate) fn count(&self, pointer: &str) -> Result<u64, Fault> {
        let value = self.at(pointer)?;
        value.as_u64().ok_or_else(|| Fault::Failed(format!("{pointer} is {value}, no count")))
    }

    pub(crate) fn number(&self, pointer: &str) -> Result<f64, Fault> {
        let value = self.at(pointer)?;
        value.as_f64().ok_or_else(|| Fault::Failed(format!("{pointer} is {value}, no number")))
    }

    pub(crate) fn string(&self, pointer: &str) -> Told {
        let value = self.at(pointer)?;
        value.as_str().map(str::to_owned).ok_or_else(|| Fault::Failed(format!("{pointer} is {value}, no text")))
    }

    pub(crate) fn list(&self, pointer: &str) -> Result<&[Value], Fault> {
        let value = self.at(pointer)?;
        value.as_array().map(Vec::as_slice).ok_or_else(|| Fault::Failed(format!("{pointer} is {value}, no list")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUT: &str = "\
501 records sent, 100.0 records/sec (0.01 MB/sec), 1.5 ms avg latency, 9.0 ms max latency.
1000 records sent, 99.8 records/sec (0.01 MB/sec), 1.50 ms avg latency, 9.00 ms max latency, 1 ms 50th, 2 ms 95th, 3 ms 99th, 9 ms 99.9th.
ledger: 9 acknowledged, 8 read, 1 lost, 2 doubled, 3 out of order, 4 changed (5 failed, 6 unknown, 7 of both read; 10 of others): DOES NOT ADD UP
";

    #[test]
    fn a_run_s_line_is_told_from_those_of_its_windows() {
        assert_eq!(total(OUT).unwrap().records, 1000);
        assert_eq!(windows(OUT).unwrap().iter().map(|it| it.records).collect::<Vec<_>>(), [501]);
        assert_eq!(line(OUT).unwrap().rate, 100.0);
        assert!(line("nothing").unwrap_err().to_string().contains("in nothing"));
    }

    #[test]
    fn every_number_of_a_verdict_has_its_place() {
        let wanted = Verdict {
            acknowledged: 9,
            read: 8,
            faults: [1, 2, 3, 4],
            failed: 5,
            unknown: 6,
            both: 7,
            others: 10,
            words: "DOES NOT ADD UP".to_owned(),
        };
        assert_eq!(verdict(OUT).unwrap(), wanted);
        assert!(verdict("ledger: none").is_err());
    }
}
