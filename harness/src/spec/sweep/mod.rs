//! A sweep: workloads whose settings vary, from a TOML file of `profiles/sweeps/` or of a person.
//!
//! ```text
//!   text --> Document --> File (serde: typed, no unknown key) --> parts --> cells --> Sweep
//!                                                                  |          |
//!            [part.vary] lists: full product, one factor, sample --'          '-- each is a Workload that was checked, with
//!                                                                                 its client's settings parsed as Java does
//! ```
//!
//! Invariants: a cell that is here can be run; whatever cannot be was refused with file, line and the nearest key, before any
//! broker was started. Two cells of a sweep never have the same name.

mod cells;
pub mod omb;
pub mod presets;
mod settings;
#[cfg(test)]
mod tests;

use serde::Deserialize;

use super::document::{Document, Finding};
use super::workload::Workload;

/// More cells than this are a mistake in a list.
pub const CELLS_MAX: usize = 10_000;
/// Less than this share of the offered rate: no higher rate is tried.
const SENT_SHARE_MIN: f64 = 0.995;
/// How often the interval between the highest rate that holds and the lowest that does not is halved.
const BISECTIONS: u32 = 4;

/// What is swept.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// Its name in rows and folders.
    pub name: String,
    /// One line for people.
    pub what: String,
    /// How often each cell is measured.
    pub rounds: u32,
    /// Every cell, in the order of the file.
    pub cells: Vec<SweepCell>,
    /// Figures of others beside which ours are to stand.
    pub references: Vec<toml::Table>,
    /// The file as it was given.
    pub asked: toml::Table,
}

/// One combination of settings.
#[derive(Clone, Debug)]
pub struct SweepCell {
    /// The part of the sweep that it belongs to.
    pub part: String,
    /// What is varied, with its value here, in the order of the file.
    pub factors: Vec<(String, String)>,
    /// What is written.
    pub workload: Workload,
    /// What reads it back as a row of its own.
    pub reader: Option<Workload>,
    /// The rates that are offered, where they are swept.
    pub ladder: Option<Ladder>,
}

/// Rates, from the lowest on: the innermost loop.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ladder {
    /// Records a second.
    pub records_s: Vec<f64>,
    /// Less than this share of the rate: it is not held, and no higher one is tried.
    #[serde(default = "sent_share_min")]
    pub sent_share_min: f64,
    /// A rate is held only where 99 of 100 response times stay below.
    #[serde(default)]
    pub p99_ms: Option<f64>,
    /// How often the highest rate that holds is looked for between two rates.
    #[serde(default = "bisections")]
    pub bisections: u32,
}

fn sent_share_min() -> f64 {
    SENT_SHARE_MIN
}

fn bisections() -> u32 {
    BISECTIONS
}

fn one() -> u32 {
    1
}

/// The file. profiles/README.md has every key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    name: String,
    what: String,
    #[serde(default = "one")]
    rounds: u32,
    part: Vec<Part>,
    #[serde(default)]
    reference: Vec<toml::Table>,
}

/// A table of cells.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    name: String,
    #[serde(default)]
    what: String,
    #[serde(default)]
    how: How,
    /// Cells of a sample.
    #[serde(default)]
    samples: Option<usize>,
    /// What is read back is a row of its own.
    #[serde(default)]
    reads: bool,
    workload: Workload,
    #[serde(default)]
    vary: toml::Table,
    #[serde(default)]
    rate: Option<Ladder>,
}

/// A file and its text, for what is wrong with it.
struct Source<'a> {
    origin: &'a str,
    text: &'a str,
    document: Document<'a>,
}

impl Source<'_> {
    /// Something wrong at a path such as `part.0.vary`.
    fn at(&self, path: &str, words: impl Into<String>) -> Finding {
        self.document.finding(path, words)
    }

    /// Something wrong with a key below a path. Settings of Kafka's have dots in their names, so no path leads to them.
    fn at_key(&self, path: &str, key: &str, words: impl Into<String>) -> Finding {
        Finding { origin: self.origin.to_owned(), line: self.line_of_key(path, key), words: words.into() }
    }

    /// The line of a key below a path, or else that of the path.
    fn line_of_key(&self, path: &str, key: &str) -> usize {
        let from = self.document.line_of(path);
        let is_it = |line: &str| {
            let rest = line.trim_start();
            let rest = rest.strip_prefix('"').unwrap_or(rest);
            rest.strip_prefix(key).is_some_and(|rest| rest.starts_with(['"', ' ', '=']))
        };
        let below = self.text.lines().enumerate().skip(from.saturating_sub(1));
        below.into_iter().find(|(_, line)| is_it(line)).map_or(from, |(at, _)| at + 1)
    }
}

/// Which combinations of a part's lists are cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum How {
    /// Every one.
    #[default]
    Product,
    /// Each value of each list, where the others stay at their first.
    OneFactor,
    /// Some of them, drawn with the seed.
    Sample,
}

impl Sweep {
    /// Reads a sweep; `origin` is the file's name for messages, `seed` draws samples.
    pub fn read(origin: &str, text: &str, seed: u64) -> Result<Self, Finding> {
        let document = Source { origin, text, document: Document::parse(origin, text)? };
        let file: File = document.document.read()?;
        if file.schema != 1 {
            return Err(document.at("schema", format!("schema is {}, this version reads 1", file.schema)));
        }
        if !(1..=1000).contains(&file.rounds) {
            return Err(document.at("rounds", format!("rounds is {}; it must be 1 to 1000", file.rounds)));
        }
        let mut cells: Vec<SweepCell> = Vec::new();
        for (at, part) in file.part.iter().enumerate() {
            if file.part[..at].iter().any(|it| it.name == part.name) {
                let words = format!("two parts are called {:?}", part.name);
                return Err(document.at(&format!("part.{at}.name"), words));
            }
            cells.extend(cells::of(&document, at, part, seed.wrapping_add(at as u64))?);
            if cells.len() > CELLS_MAX {
                let words = format!("with this part there are {} cells; {CELLS_MAX} are the most", cells.len());
                return Err(document.at(&format!("part.{at}"), words));
            }
        }
        if cells.is_empty() {
            return Err(document.at("part", "there is no [[part]], so there is nothing to run"));
        }
        for cell in &mut cells {
            cell.workload.rounds = file.rounds;
        }
        // It parsed as a File a moment ago.
        let asked = toml::from_str(text).unwrap_or_default();
        let (name, what, rounds) = (file.name, file.what, file.rounds);
        Ok(Self { name, what, rounds, cells, references: file.reference, asked })
    }

    /// Only these parts; the name of one that is not there is given back.
    pub fn only(mut self, parts: &[String]) -> Result<Self, String> {
        if let Some(unknown) = parts.iter().find(|part| self.cells.iter().all(|it| it.part != **part)) {
            return Err(unknown.clone());
        }
        self.cells.retain(|it| parts.is_empty() || parts.contains(&it.part));
        let names: Vec<String> = self.parts().into_iter().map(str::to_owned).collect();
        let is_left = |it: &toml::Table| {
            it.get("part").and_then(toml::Value::as_str).is_none_or(|part| names.iter().any(|it| it == part))
        };
        self.references.retain(is_left);
        Ok(self)
    }

    /// Both, one after the other.
    pub fn and(mut self, other: Self) -> Result<Self, String> {
        let twice = other.parts().into_iter().find(|part| self.parts().contains(part)).map(str::to_owned);
        if let Some(part) = twice {
            let (one, two) = (&self.name, &other.name);
            return Err(format!("{one} and {two} both have a part {part:?}: run them one after the other"));
        }
        let mut asked = toml::Table::new();
        for (name, table) in [(&self.name, self.asked), (&other.name, other.asked)] {
            asked.insert(name.clone(), toml::Value::Table(table));
        }
        self.asked = asked;
        self.name = format!("{}+{}", self.name, other.name);
        self.what = format!("{}; {}", self.what, other.what);
        self.rounds = self.rounds.max(other.rounds);
        self.cells.extend(other.cells);
        self.references.extend(other.references);
        Ok(self)
    }

    /// The names of its parts.
    #[must_use]
    pub fn parts(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.cells.iter().map(|it| it.part.as_str()).collect();
        names.dedup();
        names
    }

    /// Warm-up and measured times multiplied, none below what says something.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        for cell in &mut self.cells {
            cell.workload = cell.workload.clone().scaled(factor, None);
            cell.workload.measured_s = cell.workload.measured_s.max(MEASURED_S_MIN);
            cell.reader = cell.reader.take().map(|it| it.scaled(factor, None));
        }
        self
    }
}

/// Shorter measured times say little: a second has one line in latency.hlog.
const MEASURED_S_MIN: f64 = 0.5;

impl SweepCell {
    /// What is varied, in words: `batch.size=16384 linger.ms=0`.
    #[must_use]
    pub fn words(&self) -> String {
        let words: Vec<String> = self.factors.iter().map(|(name, value)| format!("{name}={value}")).collect();
        words.join(" ")
    }

    /// Its workload at an offered rate. The rate stands behind `@` in the name.
    #[must_use]
    pub fn at_rate(&self, records_s: f64) -> Workload {
        let name = format!("{}@{records_s}", self.workload.name);
        Workload { name, rate_records_s: Some(records_s), ..self.workload.clone() }
    }
}

/// The name of a cell's workload without its rate.
#[must_use]
pub fn without_rate(name: &str) -> &str {
    name.split_once('@').map_or(name, |it| it.0)
}
