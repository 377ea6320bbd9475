//! `ringlog fit`: what a broker's work costs, from rows of runs.
//!
//! ```text
//!   FOLDER/rows.csv .. -> rows -> fit::pick -> fit::fit -> costs (text | JSON), --out: a model for `ringlog plan --model`
//!   --check FOLDER ..  -> rows that the fit has not seen -> foretold beside measured
//! ```

#![allow(clippy::disallowed_methods, reason = "reads rows, writes the model: the instrument, not the broker")]

mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;

use crate::fit::{self, Checked, Drift, Fitted};
use crate::results::{Row, rows};

/// What a broker's processor and memory cost for each MB, record, batch and request, from rows of runs.
#[derive(Debug, Parser)]
#[command(name = "ringlog fit", after_help = EXIT_CODES)]
struct Options {
    /// Folders of runs (results/..), or their rows.csv.
    #[arg(required = true, value_name = "FOLDER")]
    folders: Vec<PathBuf>,

    /// The target whose rows are taken, where there are several.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,

    /// Write the model here, for `ringlog plan --model`.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Folders with rows that the fit does not see: what it says of them, beside what was measured.
    #[arg(long, value_name = "FOLDER")]
    check: Vec<PathBuf>,

    /// Clients and brokers were on different machines. Otherwise costs are marked as measured over loopback.
    #[arg(long)]
    remote: bool,

    /// Seed of the intervals' draws.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

const EXIT_CODES: &str = "Exit codes: 0 fitted; 1 a folder or its rows cannot be read or fitted (too few, of several targets); 2 wrong usage.";

/// What is told.
#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    #[serde(flatten)]
    fitted: &'a Fitted,
    #[serde(flatten)]
    beside: &'a Beside,
}

/// What a fit says of other rows.
#[derive(Default, Serialize)]
struct Beside {
    checked: Vec<Checked>,
    drifts: Vec<Drift>,
    #[serde(rename = "check_notes")]
    notes: Vec<String>,
}

/// Its options, for shells and the man page.
pub(crate) fn command() -> clap::Command {
    <Options as clap::CommandFactory>::command()
}

/// Runs the verb with the arguments after its name.
#[must_use]
pub(crate) fn main(args: &[String]) -> ExitCode {
    let options: Options = match super::options("fit", args) {
        Ok(options) => options,
        Err(code) => return code,
    };
    match run(&options) {
        Ok(text) => crate::out::product(text.trim_end(), ExitCode::SUCCESS),
        Err(words) => {
            errln!("{words}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<String, String> {
    let (rows, told) = read(&options.folders)?;
    let picked = fit::pick(rows, options.target.as_deref())?;
    let mut fitted = fit::fit(&picked, !options.remote, options.seed)?;
    fitted.notes.extend(told);
    let beside = check(options, &fitted, &picked.target)?;
    if let Some(path) = &options.out {
        let text = toml::to_string(&fitted.model).map_err(|error| error.to_string())?;
        let text = format!(
            "# What the work of {} costs. Made by `ringlog fit`; `ringlog plan --model` takes it.\n{text}",
            fitted.model.name
        );
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if options.json {
        let document = Document { schema: 1, fitted: &fitted, beside: &beside };
        return serde_json::to_string_pretty(&document).map_err(|error| error.to_string());
    }
    Ok(text::fitted(&fitted, &beside, options.out.as_deref()))
}

/// What the fit says of rows that it has not seen, and of which rows it says nothing.
fn check(options: &Options, fitted: &Fitted, target: &str) -> Result<Beside, String> {
    if options.check.is_empty() {
        return Ok(Beside::default());
    }
    let (rows, told) = read(&options.check)?;
    let picked = fit::pick(rows, Some(target)).map_err(|words| format!("--check: {words}"))?;
    let unsaid = fitted.unsaid(&picked.rows);
    let left_out = picked.left_out.iter().chain(&unsaid).map(|(why, count)| format!("{count} rows left out: {why}"));
    let checked = fitted.check(&picked.rows);
    let nothing = checked.is_empty().then(|| "no row is left that the fit says something of".to_owned());
    Ok(Beside { checked, drifts: fitted.drifts(&picked.rows), notes: left_out.chain(nothing).chain(told).collect() })
}

/// The rows of folders, and what has to be known of them.
fn read(folders: &[PathBuf]) -> Result<(Vec<Row>, Vec<String>), String> {
    let (mut all, mut all_told) = (Vec::new(), Vec::new());
    for folder in folders {
        let path = if folder.is_dir() { folder.join(rows::FILE) } else { folder.clone() };
        let (rows, told) = rows::read_told(Path::new(&path)).map_err(|error| error.to_string())?;
        all.extend(rows);
        all_told.extend(told);
    }
    Ok((all, all_told))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::scratch;

    fn line(words: &str) -> Result<String, String> {
        let argv = std::iter::once("fit").chain(words.split_whitespace());
        run(&Options::try_parse_from(argv).map_err(|it| it.to_string())?)
    }

    /// The run beside Apache Kafka 4.3.1 that is kept.
    const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../results/2026-11-30-2c-24g-ext4-ringlog-vs-kafka-4.3.1");

    #[test]
    fn a_kept_run_is_fitted_for_each_of_its_targets_and_the_model_is_one_that_plan_takes() {
        let dir = scratch("fit-kept");
        let model = dir.join("m.toml");
        let targets = line(KEPT).unwrap_err();
        assert!(targets.contains("several targets") && targets.contains("--target"), "{targets}");
        let text = line(&format!("{KEPT} --target ringlog --out {} --check {KEPT}", model.display())).unwrap();
        assert!(
            text.contains("MB in") && text.contains("MB out") && text.contains("loopback") && text.contains("foretold"),
            "{text}"
        );
        let model: crate::plan::model::Model = toml::from_str(&std::fs::read_to_string(&model).unwrap()).unwrap();
        assert!(model.loopback && model.is_measured() && model.wrong().is_empty());
        assert!(model.cpu.ms_per_mb_in.mid > 0.0 && model.cpu.ms_per_mb_out.mid > 0.0, "{model:?}");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn rows_that_count_less_than_the_fit_are_named_and_not_foretold_as_nothing() {
        let sweep = format!("{KEPT}-sweep");
        let text = line(&format!("{sweep} --target ringlog --check {KEPT}")).unwrap();
        assert!(text.contains("--check: ") && text.contains("rows left out: without a count of"), "{text}");
        assert!(!text.contains("-98."), "{text}");
        let both = line(&format!("{sweep} {KEPT} --target ringlog")).unwrap();
        let costs = |text: &str| text.lines().find(|it| it.contains("MB in")).map(str::to_owned);
        assert_eq!(costs(&both), costs(&text), "they move no cost");
    }

    #[test]
    fn what_is_no_run_and_rows_of_other_columns_are_refused_by_name() {
        let dir = scratch("fit-wrong");
        assert!(line(&dir.display().to_string()).unwrap_err().contains("rows.csv: No such file"));
        std::fs::write(dir.join("rows.csv"), "schema,speed\n4,1\n").unwrap();
        let words = line(&dir.display().to_string()).unwrap_err();
        assert!(words.contains("rows.csv") && words.contains("speed"), "{words}");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
