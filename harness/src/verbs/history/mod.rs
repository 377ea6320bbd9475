//! `ringlog history`: since when? Changes of level in the rows of many runs, in the order of their time.
//!
//! ```text
//!   files, folders --> rows by time --> a series for each profile, workload, target, settings and figure --> stats::change --> lines
//! ```
//!
//! It finds what no pair of neighbours shows: a level that moved, among values that scatter. It says nothing of a single bad
//! run, and needs a handful of values on either side. For a pull request there is `ringlog compare`.

#![allow(clippy::disallowed_methods, reason = "looks for folders of results: the instrument, not the broker")]

mod options;
mod series;
mod tell;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::results::columns::Row;
use crate::results::{ResultsError, rows};
use crate::verdict::metrics::{self, UnknownColumn};
use options::Options;

/// Exit codes, as the help names them.
const WORSE: u8 = 1;
const USAGE: u8 = 2;

/// Why nothing was looked at.
#[derive(Debug, thiserror::Error)]
enum HistoryError {
    #[error("--metric {0}")]
    Metric(#[from] UnknownColumn),
    #[error(transparent)]
    Results(#[from] ResultsError),
    #[error("{0}: there is no rows.csv in it or one folder below it")]
    Nothing(PathBuf),
    #[error("no row has figures of {0}")]
    Empty(String),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
}

/// Its options, for shells and the man page.
pub(crate) fn command() -> clap::Command {
    <Options as clap::CommandFactory>::command()
}

/// Runs the verb with the arguments after its name.
#[must_use]
pub(crate) fn main(args: &[String]) -> ExitCode {
    let options: Options = match super::options("history", args) {
        Ok(options) => options,
        Err(code) => return code,
    };
    match history(&options) {
        Ok(code) => code,
        Err(error) => {
            errln!("ringlog history: {error}");
            ExitCode::from(USAGE)
        }
    }
}

fn history(options: &Options) -> Result<ExitCode, HistoryError> {
    let named = options.metric.iter().map(|it| metrics::named(it));
    let columns = named.collect::<Result<Vec<&'static str>, UnknownColumn>>()?;
    let mut rows = Vec::new();
    for path in &options.results {
        for file in files_of(path)? {
            let (own, told) = rows::read_told(&file)?;
            told.iter().for_each(|it| errln!("{it}"));
            rows.extend(own);
        }
    }
    let found = series::of(&rows, &columns, options.each_run);
    if found.is_empty() {
        return Err(HistoryError::Empty(columns.join(", ")));
    }
    let looked: Vec<tell::Looked> = found.into_iter().map(|it| tell::Looked::at(it, &options.sensitivity())).collect();
    let is_worse = looked.iter().any(tell::Looked::became_worse);
    let code = ExitCode::from(if options.strict && is_worse { WORSE } else { 0 });
    Ok(crate::out::product(&if options.json { tell::json(&looked) } else { tell::text(&looked) }, code))
}

/// The files of rows of a path: itself, its own, or those of the folders in it.
fn files_of(path: &Path) -> Result<Vec<PathBuf>, HistoryError> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let own = path.join(rows::FILE);
    if own.is_file() {
        return Ok(vec![own]);
    }
    let io = |source| HistoryError::Io { path: path.to_owned(), source };
    let entries = std::fs::read_dir(path).map_err(io)?.collect::<Result<Vec<_>, _>>().map_err(io)?;
    let mut files: Vec<PathBuf> =
        entries.iter().map(|it| it.path().join(rows::FILE)).filter(|it| it.is_file()).collect();
    files.sort();
    if files.is_empty() { Err(HistoryError::Nothing(path.to_owned())) } else { Ok(files) }
}

/// A row's figures are worth looking at.
fn counts(row: &Row) -> bool {
    row.is_measured() && row.role != "ceiling"
}
