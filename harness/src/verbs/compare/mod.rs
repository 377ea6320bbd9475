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

use std::collections::BTreeMap;
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
use stored::Stored;
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
    match compare(&options.with_given(args)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            errln!("ringlog compare: {error}");
            ExitCode::from(error.code())
        }
    }
}

fn compare(options: &Options) -> Result<u8, CompareError> {
    if let Some(folders) = &options.power {
        options.measures_nothing()?;
        outln!("{}", power::table(&rows_of_all(folders)?, options)?);
        return Ok(0);
    }
    let gates = gates_of(options)?;
    if let Some(stored) = stored::of(&options.sides, options.aa)? {
        options.measures_nothing()?;
        may_be_written(options)?;
        let rules = rules_of(options, stored.rules)?;
        let judgement = judge::last(&stored.rows, &rules);
        let Stored { names, warnings, folder, is_aa, .. } = stored;
        let told = Told { names, warnings, folder, is_aa, is_stored: true, ..Told::default() };
        return tell(options, (&gates, &rules), &stored.rows, told.with(judgement));
    }
    measure(options, &gates, rules_of(options, None)?)
}

/// Looks before anything is measured whether the verdict can be written.
fn may_be_written(options: &Options) -> Result<(), CompareError> {
    let Some(path) = &options.markdown else { return Ok(()) };
    let named = |source| CompareError::Io { what: format!("--markdown {}", path.display()), source };
    std::fs::OpenOptions::new().append(true).create(true).open(path).map(drop).map_err(named)
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
    may_be_written(options)?;
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
    let told = Told { names, warnings, folder: Some(done.folder), ended, is_aa: options.aa, ..Told::default() };
    tell(options, (gates, course.rules()), &done.rows, told.with(judgement))
}

fn tell(options: &Options, (gates, rules): (&[Gate], &Rules), rows: &[Row], told: Told) -> Result<u8, CompareError> {
    let noise = if told.is_aa { noise::of(rows, rules.levels.pairs_max()) } else { Vec::new() };
    let told = Told { passages: gates::hold(gates, rows), noise, ..told };
    if let Some(path) = &options.markdown
        && let Err(error) = std::fs::write(path, tell::markdown(&told))
    {
        // It could be written when it began: what was measured since counts more than this.
        errln!("ringlog compare: --markdown {}: {error}", path.display());
    }
    outln!("{}", if options.json { tell::json(&told) } else { tell::text(&told, options.sensitivity) });
    Ok(told.code())
}

fn gates_of(options: &Options) -> Result<Vec<Gate>, CompareError> {
    let Some(path) = &options.gates else { return Ok(Vec::new()) };
    let named = |source| CompareError::Io { what: format!("--gates {}", path.display()), source };
    let text = std::fs::read_to_string(path).map_err(named)?;
    Ok(gates::parse(&path.display().to_string(), &text)?)
}

/// The rules of the options; those that a comparison was kept with stand below them.
fn rules_of(options: &Options, kept: Option<Rules>) -> Result<Rules, CompareError> {
    let mut rules = kept.unwrap_or_else(|| Rules {
        asked: BTreeMap::new(),
        noise: BTreeMap::new(),
        levels: Levels::new(options.pairs as usize),
    });
    rules.asked.extend(options.thresholds()?);
    if let Some(folder) = &options.noise {
        rules.noise = noise::thresholds(&noise::of(&rows_of(folder)?, rules.levels.pairs_max()));
    }
    Ok(rules)
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

/// The rows of a comparison of equal sides that was kept.
fn rows_of(folder: &Path) -> Result<Vec<Row>, CompareError> {
    let rows = rows::read(&folder.join(rows::FILE))?;
    if rows.iter().all(|it| it.side.is_empty()) {
        return Err(CompareError::NotPaired(folder.to_owned()));
    }
    if !stored::is_aa(&stored::asked_of(folder)?) {
        return Err(CompareError::NotEqual(folder.to_owned()));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::options::tests::parsed;
    use super::*;

    const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../results");

    fn kept(name: &str) -> String {
        format!("{RESULTS}/2026-11-30-2c-24g-ext4-{name}-compare")
    }

    #[test]
    fn a_run_of_different_sides_is_no_noise() {
        let burnt = kept("same-vs-burnt");
        for line in [format!("--power {burnt}"), format!("ringlog --noise {burnt}"), format!("{burnt} --noise {burnt}")]
        {
            let refused = compare(&parsed(&line)).unwrap_err();
            assert!(refused.to_string().contains("burnt-compare: its sides were not the same"), "{line}: {refused}");
            assert_eq!(refused.code(), exit::USAGE);
        }
        let refused = compare(&parsed(&format!("{burnt} --aa"))).unwrap_err();
        assert!(refused.to_string().contains("burnt") && refused.code() == exit::USAGE, "{refused}");
        assert!(rows_of(Path::new(&kept("ringlog-a-vs-ringlog-b"))).is_ok());
    }

    #[test]
    fn a_comparison_that_was_kept_is_judged_as_its_page_judges_it() {
        let kept = crate::report::kept::Kept::read(Path::new(&kept("same-vs-burnt"))).unwrap();
        let page = judge::last(&kept.rows, &Rules::kept(&kept.manifest.asked));
        let stored = stored::of(&[kept.folder.display().to_string()], false).unwrap().unwrap();
        let rules = rules_of(&parsed("x"), stored.rules).unwrap();
        assert_eq!((rules.levels.pairs_max(), judge::last(&stored.rows, &rules)), (40, page.clone()));
        let cpu = page.findings.iter().find(|it| it.metric == "broker_cpu_ms_per_mb").unwrap();
        let rounded = [cpu.change, cpu.change_low, cpu.change_high].map(|it| (it.unwrap() * 1000.0).round() / 10.0);
        assert_eq!(rounded, [9.7, 0.3, 20.0], "as harness/docs/compare.md has it");
    }

    #[test]
    fn a_summary_that_cannot_be_written_is_refused_before() {
        let line = format!("{} --markdown /no/such/folder/x.md", kept("same-vs-burnt"));
        let refused = compare(&parsed(&line)).unwrap_err();
        assert!(refused.to_string().contains("--markdown /no/such/folder/x.md") && refused.code() == exit::USAGE);
    }

    #[test]
    fn a_run_to_go_on_with_that_is_not_there_is_wrong_usage() {
        let refused = compare(&parsed("ringlog --resume /no/such/run")).unwrap_err();
        assert!(refused.to_string().contains("--resume /no/such/run") && refused.code() == exit::USAGE, "{refused}");
        let refused = compare(&parsed("ringlog --results /dev/null/x")).unwrap_err();
        assert!(refused.to_string().contains("--results /dev/null/x") && refused.code() == exit::USAGE, "{refused}");
    }
}
