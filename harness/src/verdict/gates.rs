//! Gates: limits that side B must keep, absolute or against side A, whatever the statistics say.
//!
//! ```text
//!   [[gate]]
//!   check = "lat_p99_ms < 10"
//!   workload = "latency"                                       # without it: every workload that has the figure
//!
//!   [[gate]]
//!   check = "broker_cpu_ms_per_mb <= baseline * 1.05"          # baseline: side A's
//! ```
//!
//! A figure is the middle of a side's rows. A gate that met no data is not met: a renamed workload would otherwise turn it off.

use serde::Deserialize;

use super::metrics::{self, UnknownColumn};
use super::pairs::{self, Pairs};
use crate::results::columns::Row;
use crate::stats::median;

/// Names that people know, the column behind each, and the factor to its unit.
const ALIASES: [(&str, &str, f64); 4] = [
    ("lat_p50_ms", "response_us_p50", 1e-3),
    ("lat_p99_ms", "response_us_p99", 1e-3),
    ("lat_p999_ms", "response_us_p999", 1e-3),
    ("lat_max_ms", "response_us_max", 1e-3),
];

/// Why a file of gates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// Not TOML, or a key that is not known.
    #[error("{origin}: {source}")]
    Toml {
        /// The file.
        origin: String,
        /// Line and column.
        source: Box<toml::de::Error>,
    },
    /// A check that does not read.
    #[error("{origin}, line {line}: {text:?}: {reason}")]
    Check {
        /// The file.
        origin: String,
        /// Where it stands.
        line: usize,
        /// The check.
        text: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// No gate at all.
    #[error("{0}: there is no [[gate]] in it")]
    Empty(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    gate: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    check: toml::Spanned<String>,
    workload: Option<String>,
}

/// A limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// As it was written.
    pub text: String,
    workload: Option<String>,
    column: &'static str,
    factor: f64,
    relation: Relation,
    bound: Bound,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Relation {
    Below,
    AtMost,
    Above,
    AtLeast,
}

/// `baseline * times + plus`; without a baseline `plus` alone.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bound {
    times: f64,
    plus: f64,
}

/// How a gate was passed, or was not.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Passage {
    /// The gate as it was written.
    pub check: String,
    /// The workload; empty where no data was met.
    pub workload: String,
    /// Whether it is met.
    pub is_met: bool,
    /// Side B's figure; `None` where no data was met.
    pub value: Option<f64>,
    /// What it was held against.
    pub bound: Option<f64>,
}

/// Reads gates; `origin` is the file's name for messages.
pub fn parse(origin: &str, text: &str) -> Result<Vec<Gate>, GateError> {
    let toml = |source| GateError::Toml { origin: origin.to_owned(), source: Box::new(source) };
    let file: File = toml::from_str(text).map_err(toml)?;
    if file.gate.is_empty() {
        return Err(GateError::Empty(origin.to_owned()));
    }
    let gate = |entry: Entry| {
        let line = text[..entry.check.span().start.min(text.len())].lines().count().max(1);
        let check = entry.check.into_inner();
        let failed = |reason| GateError::Check { origin: origin.to_owned(), line, text: check.clone(), reason };
        parse_check(&check, entry.workload).map_err(failed)
    };
    file.gate.into_iter().map(gate).collect()
}

const GRAMMAR: &str = "a check is METRIC RELATION BOUND: lat_p99_ms < 10, or mb_s >= baseline * 0.95";

fn parse_check(text: &str, workload: Option<String>) -> Result<Gate, String> {
    let spaced = text.replace("<=", " ≤ ").replace(">=", " ≥ ").replace('<', " < ").replace('>', " > ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let [name, relation, bound @ ..] = &words[..] else { return Err(GRAMMAR.to_owned()) };
    let (column, factor) = figure(name).map_err(|error| error.to_string())?;
    let relation = match *relation {
        "<" => Relation::Below,
        "≤" => Relation::AtMost,
        ">" => Relation::Above,
        "≥" => Relation::AtLeast,
        other => return Err(format!("{other:?} is no relation (<, <=, >, >=); {GRAMMAR}")),
    };
    Ok(Gate { text: text.to_owned(), workload, column, factor, relation, bound: parse_bound(bound)? })
}

fn figure(name: &str) -> Result<(&'static str, f64), UnknownColumn> {
    let alias = ALIASES.iter().find(|it| it.0 == name);
    alias.map_or_else(|| metrics::named(name).map(|column| (column, 1.0)), |it| Ok((it.1, it.2)))
}

fn parse_bound(words: &[&str]) -> Result<Bound, String> {
    let number = |word: &str| {
        let value: Option<f64> = word.parse().ok().filter(|it: &f64| it.is_finite());
        value.ok_or_else(|| format!("{word:?} is no number; {GRAMMAR}"))
    };
    match words {
        ["baseline"] => Ok(Bound { times: 1.0, plus: 0.0 }),
        ["baseline", "*", factor] => Ok(Bound { times: number(factor)?, plus: 0.0 }),
        ["baseline", "+", more] => Ok(Bound { times: 1.0, plus: number(more)? }),
        ["baseline", "-", less] => Ok(Bound { times: 1.0, plus: -number(less)? }),
        [value] => Ok(Bound { times: 0.0, plus: number(value)? }),
        _ => Err(GRAMMAR.to_owned()),
    }
}

/// Holds rows to gates: a passage for each gate and each workload that it is about.
#[must_use]
pub fn hold(gates: &[Gate], rows: &[Row]) -> Vec<Passage> {
    let all = pairs::of(rows);
    gates.iter().flat_map(|it| it.hold(&all)).collect()
}

impl Gate {
    fn hold(&self, all: &[Pairs<'_>]) -> Vec<Passage> {
        let own = all.iter().filter(|it| self.workload.as_ref().is_none_or(|name| name == it.workload));
        let passages: Vec<Passage> = own.filter_map(|it| self.passage(it)).collect();
        if passages.is_empty() {
            let workload = self.workload.clone().unwrap_or_default();
            return vec![Passage { check: self.text.clone(), workload, is_met: false, value: None, bound: None }];
        }
        passages
    }

    fn passage(&self, pairs: &Pairs<'_>) -> Option<Passage> {
        let middle_of = |side: usize| median(&mut pairs.values(side, self.column)).map(|it| it * self.factor);
        let value = middle_of(1)?;
        let baseline = if self.bound.times == 0.0 { 0.0 } else { middle_of(0)? * self.bound.times };
        let bound = baseline + self.bound.plus;
        let is_met = match self.relation {
            Relation::Below => value < bound,
            Relation::AtMost => value <= bound,
            Relation::Above => value > bound,
            Relation::AtLeast => value >= bound,
        };
        let workload = pairs.workload.to_owned();
        Some(Passage { check: self.text.clone(), workload, is_met, value: Some(value), bound: Some(bound) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::made::{rates, row};

    fn met(check: &str, rows: &[Row]) -> Vec<(bool, Option<f64>, Option<f64>)> {
        let gates = parse("g.toml", &format!("[[gate]]\ncheck = {check:?}\n")).unwrap();
        hold(&gates, rows).iter().map(|it| (it.is_met, it.value, it.bound)).collect()
    }

    #[test]
    fn a_limit_may_be_absolute_or_against_side_a() {
        let rows = rates(3, 0.9, 0.0);
        assert_eq!(met("mb_s >= 80", &rows), [(true, Some(90.0), Some(80.0))]);
        assert_eq!(met("mb_s>90", &rows), [(false, Some(90.0), Some(90.0))]);
        assert_eq!(met("mb_s >= baseline * 0.95", &rows), [(false, Some(90.0), Some(95.0))]);
        assert_eq!(met("mb_s >= baseline - 10", &rows), [(true, Some(90.0), Some(90.0))]);
    }

    #[test]
    fn milliseconds_are_a_name_for_the_column_of_microseconds() {
        let us = |side| Row { response_us_p99: Some(9000.0), ..row("latency", side, 1, true) };
        assert_eq!(met("lat_p99_ms < 10", &[us("a"), us("b")]), [(true, Some(9.0), Some(10.0))]);
    }

    #[test]
    fn a_gate_that_met_no_data_is_not_met() {
        assert_eq!(met("lat_p99_ms < 10", &rates(3, 1.0, 0.0)), [(false, None, None)]);
        let gates = parse("g", "[[gate]]\ncheck = \"mb_s > 1\"\nworkload = \"gone\"\n").unwrap();
        let passages = hold(&gates, &rates(3, 1.0, 0.0));
        assert_eq!((passages[0].is_met, passages[0].workload.as_str()), (false, "gone"));
    }

    #[test]
    fn what_does_not_read_is_told_with_its_line_and_the_nearest_name() {
        let refused = |text: &str| parse("gates.toml", text).unwrap_err().to_string();
        let told = refused("# limits\n[[gate]]\ncheck = \"mb_s > 1\"\n[[gate]]\ncheck = \"respons_us_p99 < 1\"\n");
        for part in ["gates.toml, line 5", "respons_us_p99 is no column", "response_us_p99"] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(refused("[[gate]]\ncheck = \"mb_s\"\n").contains("METRIC RELATION BOUND"));
        assert!(refused("[[gate]]\ncheck = \"mb_s = 3\"\n").contains("no relation"));
        assert!(refused("[[gate]]\ncheck = \"mb_s > ten\"\n").contains("\"ten\" is no number"));
        assert!(refused("[[gate]]\nchek = \"mb_s > 1\"\n").contains("chek"));
        assert!(refused("").contains("no [[gate]]"));
    }
}
