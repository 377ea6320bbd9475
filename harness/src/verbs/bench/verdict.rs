//! The end of a run: what is printed, and the exit code.

use std::process::ExitCode;

use serde::Serialize;

use super::options::Options;
use crate::report::{clients, table};
use crate::results::Row;
use crate::run::bottleneck::Bottleneck;
use crate::run::ceiling::NOT_MEASURED;
use crate::run::spread::Spread;
use crate::run::summary::Summary;
use crate::session::{Done, SessionError};
use crate::spec::workload::WorkloadError;
use crate::target::spec::TargetError;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A profile.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// `--only` names nothing.
    #[error("--only {0}: no such workload")]
    Only(String),
    /// `--client` names none, or one twice.
    #[error("--client: {0}")]
    Client(TargetError),
    /// Several brokers for clients.
    #[error("--client: clients are measured against one broker: give one target with --target or --bootstrap-server")]
    OneBroker,
    /// What every measuring verb can fail with.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Exit codes, as the help names them.
const FAILED: u8 = 1;
const USAGE: u8 = 2;
const LEDGER: u8 = 3;
const INTERRUPTED: u8 = 130;

/// Prints the end and gives the exit code.
#[must_use]
pub fn tell(options: &Options, outcome: Result<Done, BenchError>) -> ExitCode {
    match outcome {
        Ok(done) => {
            let mut written = ExitCode::SUCCESS;
            if options.json {
                written = crate::out::product(&json(&done), written);
            } else {
                outln!("{}", text(&done));
            }
            if let Err(end) = &done.end {
                errln!("ringlog bench: {end}");
            }
            // What was measured weighs more than that its document was lost.
            match code(&done) {
                0 => written,
                code => ExitCode::from(code),
            }
        }
        Err(error) => refused(&error),
    }
}

/// Prints what would be measured and gives the exit code.
#[must_use]
pub(super) fn tell_plan(words: Result<String, BenchError>) -> ExitCode {
    match words {
        Ok(words) => {
            outln!("{words}");
            ExitCode::SUCCESS
        }
        Err(error) => refused(&error),
    }
}

fn refused(error: &BenchError) -> ExitCode {
    errln!("ringlog bench: {error}");
    let is_usage = match error {
        BenchError::Session(error) => error.is_usage(),
        BenchError::Workload(_) | BenchError::Only(_) | BenchError::Client(_) | BenchError::OneBroker => true,
    };
    ExitCode::from(if is_usage { USAGE } else { FAILED })
}

fn code(done: &Done) -> u8 {
    let is_nothing_measured = done.summaries.iter().all(|it| it.rounds == 0);
    match () {
        () if done.is_interrupted() => INTERRUPTED,
        () if done.has_ledger_fault() => LEDGER,
        () if !done.is_whole() || done.has_skipped() || is_nothing_measured => FAILED,
        () => 0,
    }
}

fn text(done: &Done) -> String {
    let mut lines = Vec::new();
    // No number of a target whose ledger does not add up is given out: a broker that loses records is not fast.
    let told: Vec<Summary> = done.summaries.iter().filter(|it| !is_at_fault(done, &it.target)).cloned().collect();
    if let Some(costs) = clients::render(&done.rows) {
        lines.push(costs);
        lines.extend(clients::WORDS.map(str::to_owned));
    } else if !told.is_empty() {
        lines.push(table::render(&told));
        lines.extend(explanations(&told));
    }
    for target in faulty(done) {
        let words = "No number of it is given out: a broker that loses or doubles records is not fast.";
        lines.push(format!("{target}: its ledger does not add up. {words}"));
    }
    let verified = done.verified_records();
    if verified > 0 && !done.has_ledger_fault() {
        let words = "were acknowledged, read back and checked: none lost, doubled, out of order or changed.";
        lines.push(format!("{verified} records {words}"));
    }
    lines.extend(done.warnings.iter().map(|it| format!("warning: {it}")));
    lines.push(done.kept_words());
    lines.join("\n")
}

/// What the words of the table mean, each once.
fn explanations(summaries: &[Summary]) -> Vec<String> {
    let mut lines = Vec::new();
    if summaries.iter().any(|it| it.rounds > 1) {
        let words = "± is the 95 % interval of the mean: below the rounds that of MB/s, elsewhere that of the figure";
        lines.push(format!("Below each figure of several rounds stand the least and the greatest; {words}."));
    }
    for bottleneck in Bottleneck::ALL {
        if summaries.iter().any(|it| it.bottleneck == bottleneck.name()) {
            lines.push(format!("bottleneck {}: {}", bottleneck.name(), bottleneck.words()));
        }
    }
    for summary in summaries {
        let name = format!("{} ({})", summary.workload, summary.target);
        if !["", NOT_MEASURED].contains(&summary.ceiling_why.as_str()) {
            lines.push(format!("{name}: no share of a ceiling: {}", summary.ceiling_why));
        }
        let end = match summary.rounds_end.as_str() {
            _ if summary.rounds < 2 => continue,
            "time" => "the time was over before its interval was narrow enough (--time-max)",
            "most" => "there were the most rounds before its interval was narrow enough (--rounds-max)",
            _ => continue,
        };
        lines.push(format!("{name}: {end}"));
    }
    lines
}

fn is_at_fault(done: &Done, target: &str) -> bool {
    done.rows.iter().any(|it| it.target == target && it.why.starts_with(crate::run::LEDGER_FAULT))
}

/// The targets whose ledger does not add up, each once.
fn faulty(done: &Done) -> Vec<String> {
    let mut names: Vec<String> = done.summaries.iter().map(|it| it.target.clone()).collect();
    names.dedup();
    names.retain(|it| is_at_fault(done, it));
    names
}

/// The document of `--json`. Units are in the names; MB are 10^6 bytes.
#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    end: Option<String>,
    verified_records: u64,
    warnings: &'a [String],
    folder: String,
    workloads: Vec<Line<'a>>,
    rows: &'a [Row],
}

/// A figure of several rounds.
#[derive(Serialize)]
struct Figure {
    middle: f64,
    least: f64,
    greatest: f64,
    rounds: usize,
    half_width_share: Option<f64>,
}

/// A workload of the document.
#[derive(Serialize)]
struct Line<'a> {
    workload: &'a str,
    target: &'a str,
    mb_s: Option<Figure>,
    records_s: Option<Figure>,
    response_us_p50: Option<Figure>,
    response_us_p99: Option<Figure>,
    response_us_p999: Option<Figure>,
    broker_cpu_ms_per_mb: Option<Figure>,
    client_cpu_ms_per_mb: Option<Figure>,
    ceiling: Option<&'a str>,
    ceiling_share: Option<Figure>,
    ceiling_why: &'a str,
    bottleneck: &'a str,
    bottleneck_rounds: usize,
    rounds: usize,
    rounds_end: &'a str,
    refused_rounds: usize,
}

fn json(done: &Done) -> String {
    let document = Document {
        schema: 2,
        end: done.end.as_ref().err().map(ToString::to_string),
        verified_records: done.verified_records(),
        warnings: &done.warnings,
        folder: done.folder.display().to_string(),
        workloads: done.summaries.iter().filter(|it| !is_at_fault(done, &it.target)).map(line_of).collect(),
        rows: &done.rows,
    };
    // Plain numbers and strings: there is nothing in it that JSON could refuse.
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

fn figure(spread: Option<Spread>) -> Option<Figure> {
    let Spread { middle, least, greatest, rounds, half_width } = spread?;
    Some(Figure { middle, least, greatest, rounds, half_width_share: half_width })
}

fn line_of(summary: &Summary) -> Line<'_> {
    let [response_us_p50, response_us_p99, response_us_p999] = summary.response_us.map(figure);
    Line {
        workload: &summary.workload,
        target: &summary.target,
        mb_s: figure(summary.mb_s),
        records_s: figure(summary.records_s),
        response_us_p50,
        response_us_p99,
        response_us_p999,
        broker_cpu_ms_per_mb: figure(summary.broker_ms_mb),
        client_cpu_ms_per_mb: figure(summary.client_ms_mb),
        ceiling: Some(summary.ceiling.as_str()).filter(|it| !it.is_empty()),
        ceiling_share: figure(summary.ceiling_share),
        ceiling_why: &summary.ceiling_why,
        bottleneck: &summary.bottleneck,
        bottleneck_rounds: summary.bottleneck_rounds,
        rounds: summary.rounds,
        rounds_end: &summary.rounds_end,
        refused_rounds: summary.refused,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::results::columns::validity;
    use crate::run::End;
    use crate::run::summary;

    fn row(round: u32) -> Row {
        Row {
            workload: "w".to_owned(),
            target: "t".to_owned(),
            role: "subject".to_owned(),
            kind: "produce".to_owned(),
            validity: validity::MEASURED.to_owned(),
            round,
            mb_s: Some(5.0),
            ledger_verified_records: Some(70),
            bottleneck: "client-core".to_owned(),
            ceiling_why: "null-receive limited by the client".to_owned(),
            rounds_end: "time".to_owned(),
            ..Row::default()
        }
    }

    fn done(rows: Vec<Row>, end: Result<(), End>) -> Done {
        let summaries = summary::summaries(&rows);
        let warnings = vec!["a debug build".to_owned()];
        Done { summaries, warnings, folder: PathBuf::from("results/x"), has_page: true, rows, end }
    }

    fn lost(round: u32) -> Row {
        let (validity, why) = (validity::INVALID.to_owned(), format!("{}: 1 lost", crate::run::LEDGER_FAULT));
        Row { validity, why, mb_s: None, ledger_verified_records: None, ..row(round) }
    }

    #[test]
    fn each_way_to_end_has_its_exit_code() {
        assert_eq!(code(&done(vec![row(1)], Ok(()))), 0);
        assert_eq!(code(&done(vec![row(1), lost(2)], Ok(()))), LEDGER);
        assert_eq!(code(&done(vec![row(1)], Err(End::Interrupted))), INTERRUPTED);
        assert_eq!(code(&done(vec![row(1)], Err(End::NobodyLeft("killed".to_owned())))), FAILED);
        assert_eq!(code(&done(Vec::new(), Ok(()))), FAILED, "nothing was measured");
    }

    #[test]
    fn the_text_names_the_bottleneck_the_ledger_the_folder_and_why_there_is_no_ceiling() {
        let text = text(&done(vec![row(1), row(2)], Ok(())));
        for part in ["the broker may be faster", "140 records", "warning: a debug build", "results/x"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.contains("no share of a ceiling: null-receive limited by the client"), "{text}");
        assert!(text.contains("the time was over before its interval was narrow enough"), "{text}");
    }

    #[test]
    fn a_page_for_which_there_was_no_room_is_not_pointed_at() {
        let without = Done { has_page: false, ..done(vec![row(1)], Ok(())) };
        let text = text(&without);
        assert!(text.contains("`ringlog report results/x`") && !text.contains("report.html"), "{text}");
    }

    #[test]
    fn what_stands_below_a_figure_is_explained_where_something_does() {
        assert!(text(&done(vec![row(1), row(2)], Ok(()))).contains("stand the least and the greatest"));
        assert!(!text(&done(vec![row(1)], Ok(()))).contains("the least and the greatest"), "of a single round");
    }

    #[test]
    fn no_number_of_a_target_is_told_whose_ledger_does_not_add_up() {
        let done = done(vec![row(1), lost(2)], Ok(()));
        let text = text(&done);
        assert!(text.contains("t: its ledger does not add up") && !text.contains("MB/s"), "{text}");
        let document: serde_json::Value = serde_json::from_str(&json(&done)).unwrap();
        assert_eq!(document["workloads"].as_array().unwrap().len(), 0);
    }

    #[test]
    fn the_document_has_figures_with_their_spread_and_null_where_nothing_is_known() {
        let document: serde_json::Value = serde_json::from_str(&json(&done(vec![row(1), row(2)], Ok(())))).unwrap();
        assert_eq!(document["workloads"][0]["mb_s"]["greatest"], 5.0);
        assert!(document["workloads"][0]["broker_cpu_ms_per_mb"].is_null() && document["end"].is_null());
        assert_eq!(
            (document["verified_records"].as_u64(), document["rows"][1]["round"].as_u64()),
            (Some(140), Some(2))
        );
    }
}
