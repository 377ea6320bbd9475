//! A kept run in the formats that others read. Nothing is worked out anew: figures are those of [`crate::report::cells`].
//!
//! | format | whose | file |
//! |---|---|---|
//! | `omb` | OpenMessaging Benchmark: its charts | a result for each round, in a folder |
//! | `bencher` | Bencher Metric Format | one document |
//! | `github-action-benchmark` | `customBiggerIsBetter`, `customSmallerIsBetter` | one of each, in a folder |
//! | `junit` | whatever shows test results | one document |
//! | `markdown` | a person, beside a pull request | one text |
//! | `otava` | Apache Otava: change points along runs | a file for each cell, and otava.yaml, in a folder |

mod action;
mod bencher;
mod junit;
mod markdown;
mod omb;
mod otava;

use crate::report::cells::{Cell, Cells};
use crate::report::kept::Kept;
use crate::results::ResultsError;
use crate::run::spread::Spread;

/// What a run is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// OpenMessaging Benchmark's result files (a folder)
    Omb,
    /// Bencher Metric Format
    Bencher,
    /// github-action-benchmark's two custom formats (a folder)
    GithubActionBenchmark,
    /// JUnit XML: a test case for each cell
    Junit,
    /// A table for a pull request
    Markdown,
    /// Apache Otava's configuration and a CSV for each cell (a folder); takes several runs
    Otava,
}

/// A file of an export: its name, and what is in it.
pub(crate) type File = (String, String);

/// What an export gives.
#[derive(Debug)]
pub(crate) enum Export {
    /// One text, for a file or a pipe.
    Text(String),
    /// Files, for a folder.
    Files(Vec<File>),
}

/// Runs, the oldest first, in a format. All but `otava` take the first alone.
pub(crate) fn export(format: Format, runs: &[Kept]) -> Result<Export, ResultsError> {
    let Some(kept) = runs.first() else { return Ok(Export::Files(Vec::new())) };
    let cells = Cells::of(&kept.rows);
    Ok(match format {
        Format::Omb => Export::Files(omb::files(kept, &cells)?),
        Format::Bencher => Export::Text(bencher::document(&cells)),
        Format::GithubActionBenchmark => Export::Files(action::files(&cells)),
        Format::Junit => Export::Text(junit::document(kept, &cells)),
        Format::Markdown => Export::Text(markdown::text(kept, &cells)),
        Format::Otava => Export::Files(otava::files(runs)),
    })
}

/// A figure of a cell that others track.
struct Tracked {
    /// Its column in rows.csv, the unit at its end.
    name: &'static str,
    unit: &'static str,
    is_more_better: bool,
    of: fn(&Cell) -> Option<Spread>,
}

/// What is tracked of a cell.
const TRACKED: [Tracked; 8] = [
    Tracked { name: "mb_s", unit: "MB/s", is_more_better: true, of: |it| it.summary.mb_s },
    Tracked { name: "records_s", unit: "records/s", is_more_better: true, of: |it| it.summary.records_s },
    Tracked { name: "response_us_p50", unit: "us", is_more_better: false, of: |it| it.summary.response_us[0] },
    Tracked { name: "response_us_p99", unit: "us", is_more_better: false, of: |it| it.summary.response_us[1] },
    Tracked { name: "response_us_p999", unit: "us", is_more_better: false, of: |it| it.summary.response_us[2] },
    Tracked {
        name: "end_to_end_us_p99",
        unit: "us",
        is_more_better: false,
        of: |it| Spread::of(it.measured().filter_map(|row| row.end_to_end_us_p99)),
    },
    Tracked { name: "broker_cpu_ms_per_mb", unit: "ms/MB", is_more_better: false, of: |it| it.summary.broker_ms_mb },
    Tracked { name: "client_cpu_ms_per_mb", unit: "ms/MB", is_more_better: false, of: |it| it.summary.client_ms_mb },
];

/// The figures of a cell that are known.
fn tracked(cell: &Cell) -> impl Iterator<Item = (&'static Tracked, Spread)> + '_ {
    TRACKED.iter().filter_map(|it| Some((it, (it.of)(cell)?)))
}

/// A cell's name with its target: what a series is called elsewhere.
fn name(cells: &Cells, cell: &Cell) -> String {
    format!("{} / {}", cells.name(cell), cell.target)
}

/// A document of plain numbers and strings: there is nothing in it that JSON could refuse.
fn json(document: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(document).unwrap_or_default() + "\n"
}

/// A name that a file may have.
fn file_name(text: &str) -> String {
    let plain = |it: char| if it.is_ascii_alphanumeric() || "._-".contains(it) { it } else { '-' };
    text.chars().map(plain).take(120).collect()
}

/// Files of one name get a number, so that none is written over.
fn distinct(files: Vec<File>, extension: &str) -> Vec<File> {
    let mut named: Vec<File> = Vec::new();
    for (stem, content) in files {
        let taken = |name: &str| named.iter().any(|it| it.0 == name);
        let mut name = format!("{stem}.{extension}");
        let mut number = 1;
        while taken(&name) {
            number += 1;
            name = format!("{stem}-{number}.{extension}");
        }
        named.push((name, content));
    }
    named
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::report::kept::tests::folder;

    pub(super) fn kept() -> Kept {
        Kept::read(&folder()).unwrap()
    }

    pub(super) fn text(format: Format) -> String {
        match export(format, &[kept()]).unwrap() {
            Export::Text(text) => text,
            Export::Files(files) => panic!("{} files", files.len()),
        }
    }

    pub(super) fn files(format: Format) -> Vec<File> {
        match export(format, &[kept()]).unwrap() {
            Export::Text(text) => panic!("{text}"),
            Export::Files(files) => files,
        }
    }

    #[test]
    fn names_of_tracked_figures_are_columns() {
        for it in &TRACKED {
            assert!(crate::results::columns::COLUMNS.iter().any(|column| column.name == it.name), "{}", it.name);
        }
    }

    #[test]
    fn files_of_one_name_are_told_apart_and_no_name_leaves_the_folder() {
        let file = |name: &str| (file_name(name), String::new());
        let named = distinct(vec![file("a/b"), file("a b"), file("../x")], "csv");
        let names: Vec<&str> = named.iter().map(|it| it.0.as_str()).collect();
        assert_eq!(names, ["a-b.csv", "a-b-2.csv", "..-x.csv"]);
    }
}
