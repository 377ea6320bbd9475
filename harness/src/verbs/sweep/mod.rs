//! `ringlog sweep`: settings that vary, on one broker or on several in turn, and what they do.
//!
//! ```text
//!   FILE | PRESET --> spec::sweep::Sweep --> plan (a cell each) + course (order, rates) --> session --> rows
//!                          |                                                                    |
//!                          '--> --dry-run: what, in which order, how long                       '--> tables, effects
//! ```

mod course;
mod dry_run;
mod effects;
pub mod options;
mod verdict;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::out;
use crate::run::{Cell, Course as _, Plan, SoFar};
use crate::session::targets::{self, Ceilings};
use crate::session::{Extra, Session, SessionError, emulated};
use crate::spec::document::Finding;
use crate::spec::sweep::{Sweep, omb, presets};
use course::SweepCourse;
use options::Options;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    /// The file: a key, a value, a combination.
    #[error(transparent)]
    File(#[from] Finding),
    /// A file that cannot be read, a preset that is not there.
    #[error("{0}")]
    Usage(String),
    /// What every measuring verb can fail with.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Exit codes, as the help names them.
const FAILED: u8 = 1;
const USAGE: u8 = 2;

/// Its options, for shells and the man page.
pub(crate) fn command() -> clap::Command {
    <Options as clap::CommandFactory>::command()
}

/// Runs the verb with the arguments after its name.
#[must_use]
pub fn main(args: &[String]) -> ExitCode {
    let options: Options = match super::options("sweep", args) {
        Ok(options) => options,
        Err(code) => return code,
    };
    run(&options).unwrap_or_else(|error| {
        errln!("ringlog sweep: {error}");
        ExitCode::from(if matches!(&error, SweepError::Session(it) if !it.is_usage()) { FAILED } else { USAGE })
    })
}

fn run(options: &Options) -> Result<ExitCode, SweepError> {
    if options.list {
        return Ok(out::product(&presets::list(), ExitCode::SUCCESS));
    }
    if let Some(name) = &options.show {
        let text = presets::text(name).ok_or_else(|| no_preset(name))?;
        return Ok(out::product(text.trim_end(), ExitCode::SUCCESS));
    }
    let sweep = sweep_of(options)?;
    let ceilings = if options.yardstick { Ceilings::Beside } else { Ceilings::Without };
    let targets = targets::of(&options.targets, ceilings)?;
    let time_max = options.time_max.map(|seconds| Duration::from_secs(u64::from(seconds)));
    let sweep = fitted(sweep, targets.len(), time_max);
    let course = SweepCourse::new(&sweep, options.place.seed, time_max);
    let cells = sweep.cells.iter().map(|it| Cell { workload: it.workload.clone(), reader: it.reader.clone() });
    let plan = Plan { cells: cells.collect(), targets, seed: options.place.seed };
    if options.dry_run {
        let would = emulated::would(&options.place, &plan.targets)?;
        let lines: Vec<String> = std::iter::once(dry_run::text(&sweep, &plan, &course)).chain(would).collect();
        return Ok(out::product(&lines.join("\n"), ExitCode::SUCCESS));
    }
    errln!("{}", dry_run::order(&sweep, &plan, &course));
    let extra = Extra { asked: sweep.asked.clone(), references: sweep.references.clone(), ..Extra::default() };
    let (place, shards) = (&options.place, options.targets.shards);
    let done = Session { verb: "sweep", place, shards, plan: plan.clone(), course: &course, extra }.measure()?;
    let so_far = SoFar { rows: &done.rows, earlier: done.rows.len(), elapsed: Duration::ZERO };
    Ok(verdict::tell(&sweep, &done, course.left(&plan, &so_far).steps))
}

/// Every part of every file and preset that was named.
fn sweep_of(options: &Options) -> Result<Sweep, SweepError> {
    let mut all: Option<Sweep> = None;
    for name in &options.sweep {
        let sweep = read(name, options.place.seed)?;
        all = Some(match all {
            None => sweep,
            Some(before) => before.and(sweep).map_err(SweepError::Usage)?,
        });
    }
    let Some(mut sweep) = all else { return Err(SweepError::Usage("name a file or a preset".to_owned())) };
    let parts = sweep.parts().join(", ");
    sweep = sweep
        .only(&options.only)
        .map_err(|unknown| SweepError::Usage(format!("--only {unknown}: there is no such part; there are {parts}")))?;
    if let Some(rounds) = options.rounds {
        sweep.rounds = rounds;
        sweep.cells.iter_mut().for_each(|it| it.workload.rounds = rounds);
    }
    Ok(sweep)
}

fn read(name: &str, seed: u64) -> Result<Sweep, SweepError> {
    if let Some(sweep) = presets::read(name, seed) {
        return Ok(sweep?);
    }
    let path = Path::new(name);
    if path.extension().is_none() && !path.exists() {
        return Err(no_preset(name));
    }
    #[allow(clippy::disallowed_methods, reason = "a person's file, read once")]
    let text = std::fs::read_to_string(path).map_err(|error| SweepError::Usage(format!("{name}: {error}")))?;
    let is_yaml = path.extension().is_some_and(|it| it == "yaml" || it == "yml");
    Ok(if is_yaml { omb::read(name, &text, seed)? } else { Sweep::read(name, &text, seed)? })
}

fn no_preset(name: &str) -> SweepError {
    let names: Vec<&str> = presets::names().collect();
    SweepError::Usage(format!("there is no file and no preset {name:?}; presets are {}", names.join(", ")))
}

/// The sweep with its times shortened so that a round of it fits into the time that there is.
fn fitted(sweep: Sweep, targets: usize, time_max: Option<Duration>) -> Sweep {
    let Some(most) = time_max else { return sweep };
    let needed_s = dry_run::expected_s(&sweep, targets);
    let factor = most.as_secs_f64() / needed_s;
    if factor >= 1.0 { sweep } else { sweep.scaled(factor) }
}
