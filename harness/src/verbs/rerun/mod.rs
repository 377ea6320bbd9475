//! `ringlog rerun`: a row of a kept run once more, and the old figures beside the new.
//!
//! ```text
//!   manifest.toml, rows.csv --again--> workload, target, seed --> session --> rows
//!   what differs now (program, kernel, machine), then each figure: then, now, ratio          beside
//! ```

mod again;
mod beside;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::report::kept::Kept;
use crate::results::ResultsError;
use crate::session::{Done, PlaceOptions, SessionError, TargetOptions};

/// Measures a row of a kept run again, as its manifest says, and prints the old figures beside the new.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "ringlog rerun", after_help = EXIT_CODES)]
pub(crate) struct Options {
    /// The run's folder.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,

    /// The row, as counted in rows.csv from 1; without it the rows are listed.
    #[arg(value_name = "ROW")]
    row: Option<usize>,

    /// So many rounds, of which the middle is compared.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,

    #[command(flatten)]
    targets: TargetOptions,

    #[command(flatten)]
    place: PlaceOptions,
}

const EXIT_CODES: &str = "\
A target given here takes the place of the row's.
Exit codes: 0 measured again; 1 could not be, or ended before its last trial; 2 wrong usage; 3 acknowledged records are
missing, doubled, out of order or changed; 130 interrupted.";

/// Exit codes, as the help names them.
const FAILED: u8 = 1;
const LEDGER: u8 = 3;
const INTERRUPTED: u8 = 130;

/// Why a row was not measured again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RerunError {
    #[error(transparent)]
    Results(#[from] ResultsError),
    #[error("row {asked}: {folder} has rows 1 to {rows}; `ringlog rerun {folder}` lists them")]
    NoRow { folder: PathBuf, asked: usize, rows: usize },
    #[error("row {0} is of a null broker: rows of subjects are measured again")]
    Ceiling(usize),
    #[error("row {row}: the manifest has no workload {workload}: it was not made by a verb of this program")]
    NoWorkload { row: usize, workload: String },
    #[error("row {row}: the manifest's workload {workload}: {reason}")]
    Workload { row: usize, workload: String, reason: String },
    #[error("row {row}: {reason}")]
    Target { row: usize, reason: String },
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Its options, for shells and the man page.
pub(crate) fn command() -> clap::Command {
    <Options as clap::CommandFactory>::command()
}

/// Runs the verb with the arguments after its name.
#[must_use]
pub(crate) fn main(args: &[String]) -> ExitCode {
    let options: Options = match super::options("rerun", args) {
        Ok(options) => options,
        Err(code) => return code,
    };
    match run(&options) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            errln!("ringlog rerun: {error}");
            ExitCode::from(FAILED)
        }
    }
}

fn run(options: &Options) -> Result<u8, RerunError> {
    let kept = Kept::read(&options.folder)?;
    let Some(number) = options.row else {
        outln!("{}", beside::listed(&kept.rows));
        return Ok(0);
    };
    let again = again::of(&kept, number, options)?;
    for it in beside::differences(&kept.manifest, again.target_name(), again.start()) {
        errln!("differs now: {it}");
    }
    let old = again.row.clone();
    let done = again.measure(options)?;
    let rows: Vec<_> = done.rows.iter().filter(|it| it.workload == old.workload).cloned().collect();
    outln!("{}", beside::compared(&old, &rows));
    outln!("Kept in {}", done.folder.display());
    if let Err(end) = &done.end {
        errln!("ringlog rerun: {end}");
    }
    for it in rows.iter().filter(|it| !it.is_measured()) {
        errln!("round {} has no figures: {}", it.round, it.why);
    }
    Ok(code(&done))
}

fn code(done: &Done) -> u8 {
    match () {
        () if done.is_interrupted() => INTERRUPTED,
        () if done.has_ledger_fault() => LEDGER,
        () if !done.is_whole() || done.rows.iter().all(|it| !it.is_measured()) => FAILED,
        () => 0,
    }
}
