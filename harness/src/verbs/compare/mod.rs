//! `ringlog compare`: did it become slower? Two sides that take turns, until the difference is sure or the time is over.
//!
//! ```text
//!   options --> sides (targets, workloads of each side) --> session, in the order of course --> rows (pair, side)
//!           \-> stored runs ----------------------------------------------------------------> rows
//!                          rows --> verdict::judge, gates --> tell: table, JSON, Markdown, exit code
//!   --aa      both sides the same: what this machine makes of no difference       (noise)
//!   --power   comparisons drawn from the rows of such a run: error rates, power   (power)
//! ```

#![allow(clippy::disallowed_methods, reason = "reads gates and rows, writes a summary: the instrument, not the broker")]

mod course;
mod exit;
mod options;
mod power;
mod sides;
mod stored;
mod tell;

use std::path::Path;
use std::process::ExitCode;

use crate::results::columns::Row;
use crate::results::rows;
use crate::run::End;
use crate::session::{Extra, Session, emulated};
use crate::verdict::gates::{self, Gate};
use crate::verdict::rule::Levels;
use crate::verdict::{Rules, judge, noise};
use course::Course;
use exit::{CompareError, Ended};
use options::Options;
use sides::Sides;
use tell::Told;

/// Its options, for shells and the man page.
pub(crate) fn command() -> clap::Command {
    <Options as clap::CommandFactory>::command()
}

/// Runs the verb with the arguments after its name.
#[must_use]
pub(crate) fn main(args: &[String]) -> ExitCode {
    let options: Options = match super::options("compare", args) {
        Ok(options) => options,
        Err(code) => return code,
    };
    match compare(&options) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            errln!("ringlog compare: {error}");
            ExitCode::from(error.code())
        }
    }
}

fn compare(options: &Options) -> Result<u8, CompareError> {
    if let Some(folders) = &options.power {
        outln!("{}", power::table(&rows_of_all(folders)?, options)?);
        return Ok(0);
    }
    let gates = gates_of(options)?;
    let rules = rules_of(options)?;
    if let Some(stored) = stored::of(&options.sides)? {
        let judgement = judge::last(&stored.rows, &rules);
        let told = Told { names: stored.names, warnings: stored.warnings, folder: stored.folder, ..Told::default() };
        return tell(options, &gates, &stored.rows, told.with(judgement));
    }
    measure(options, &gates, rules)
}

/// Measures both sides in turn.
fn measure(options: &Options, gates: &[Gate], rules: Rules) -> Result<u8, CompareError> {
    let Sides { targets, cells } = sides::of(options)?;
    let names = [0, 1].map(|side: usize| targets[side].name.clone());
    let course = Course::new(options, cells, rules);
    if options.dry_run {
        outln!("{}", course.words(&names));
        emulated::would(&options.place, &targets)?.iter().for_each(|it| outln!("{it}"));
        return Ok(0);
    }
    let session = Session {
        verb: "compare",
        place: &options.place,
        shards: options.shards,
        plan: course.plan(targets, options.place.seed),
        course: &course,
        extra: Extra { asked: options.asked().into_iter().chain(course.rules().keys()).collect(), ..Extra::default() },
    };
    let done = session.measure()?;
    let judgement = judge::last(&done.rows, course.rules());
    let ended = match &done.end {
        Ok(()) => Ended::Whole,
        Err(End::Interrupted) => Ended::Interrupted,
        Err(end) => Ended::Broken(end.to_string()),
    };
    let warnings = done.warnings.clone();
    let told = Told { names, warnings, folder: Some(done.folder), ended, ..Told::default() };
    tell(options, gates, &done.rows, told.with(judgement))
}

fn tell(options: &Options, gates: &[Gate], rows: &[Row], told: Told) -> Result<u8, CompareError> {
    let noise = if options.aa { noise::of(rows, options.pairs as usize) } else { Vec::new() };
    let told = Told { passages: gates::hold(gates, rows), noise, is_aa: options.aa, ..told };
    if let Some(path) = &options.markdown {
        let named = |source| CompareError::Io { what: format!("--markdown {}", path.display()), source };
        std::fs::write(path, tell::markdown(&told)).map_err(named)?;
    }
    outln!("{}", if options.json { tell::json(&told) } else { tell::text(&told, options.sensitivity) });
    if let Ended::Broken(why) = &told.ended {
        errln!("ringlog compare: {why}");
    }
    Ok(told.code())
}

fn gates_of(options: &Options) -> Result<Vec<Gate>, CompareError> {
    let Some(path) = &options.gates else { return Ok(Vec::new()) };
    let named = |source| CompareError::Io { what: format!("--gates {}", path.display()), source };
    let text = std::fs::read_to_string(path).map_err(named)?;
    Ok(gates::parse(&path.display().to_string(), &text)?)
}

fn rules_of(options: &Options) -> Result<Rules, CompareError> {
    let pairs = options.pairs as usize;
    let noise = match &options.noise {
        None => Vec::new(),
        Some(folder) => noise::of(&rows_of(folder)?, pairs),
    };
    Ok(Rules { asked: options.thresholds()?, noise: noise::thresholds(&noise), levels: Levels::new(pairs) })
}

fn rows_of_all(folders: &[std::path::PathBuf]) -> Result<Vec<Row>, CompareError> {
    let mut all: Vec<Row> = Vec::new();
    for folder in folders {
        // Pairs of several runs are pairs of one, with numbers of their own.
        let before = all.iter().filter_map(|it| it.pair).max().unwrap_or(0);
        let renumbered = |row: Row| Row { pair: row.pair.map(|it| it + before), ..row };
        all.extend(rows_of(folder)?.into_iter().map(renumbered));
    }
    Ok(all)
}

/// The rows of a comparison that was kept.
fn rows_of(folder: &Path) -> Result<Vec<Row>, CompareError> {
    let rows = rows::read(&folder.join(rows::FILE))?;
    if rows.iter().any(|it| !it.side.is_empty()) {
        return Ok(rows);
    }
    Err(CompareError::NotPaired(folder.to_owned()))
}
