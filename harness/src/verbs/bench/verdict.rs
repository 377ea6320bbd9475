//! The end of a run: what is printed, and the exit code.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::options::Options;
use crate::report::table;
use crate::results::ResultsError;
use crate::run::RunError;
use crate::run::rows::Summary;
use crate::spec::workload::WorkloadError;
use crate::target::process::StartError;

/// A run that measured.
#[derive(Clone, Debug)]
pub struct Done {
    /// A line for each workload.
    pub summaries: Vec<Summary>,
    /// Records that were acknowledged, read back and checked.
    pub verified_records: u64,
    /// What is wrong or unusual.
    pub warnings: Vec<String>,
    /// Where it is kept.
    pub folder: PathBuf,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A profile.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// `--only` names nothing.
    #[error("--only {0}: no such workload")]
    Only(String),
    /// A broker did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The results.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// The folder, memory, signals.
    #[error("{what}: {source}")]
    Io {
        /// What was under way.
        what: String,
        /// The system's words.
        source: std::io::Error,
    },
}

/// Names what was under way when the system refused something.
pub(crate) fn io(what: &str) -> impl FnOnce(std::io::Error) -> BenchError + '_ {
    move |source| BenchError::Io { what: what.to_owned(), source }
}

/// Exit codes, as the help names them.
const FAILED: u8 = 1;
const LEDGER: u8 = 3;
const INTERRUPTED: u8 = 130;

/// Prints the end and gives the exit code.
#[must_use]
pub fn tell(options: &Options, outcome: Result<Done, BenchError>) -> ExitCode {
    match outcome {
        Ok(done) => {
            outln!("{}", if options.json { json(&done) } else { text(&done) });
            ExitCode::SUCCESS
        }
        Err(error) => {
            errln!("ringlog bench: {error}");
            if code(&error) == LEDGER {
                errln!("No number of this run is given out: a broker that loses or doubles records is not fast.");
            }
            ExitCode::from(code(&error))
        }
    }
}

fn code(error: &BenchError) -> u8 {
    match error {
        BenchError::Run(RunError::Ledger { .. }) => LEDGER,
        BenchError::Run(RunError::Interrupted) => INTERRUPTED,
        _ => FAILED,
    }
}

fn text(done: &Done) -> String {
    let mut lines = vec![table::render(&done.summaries)];
    if done.summaries.iter().any(|it| it.client_bound) {
        lines.push("* the client used up its core: the broker may be faster than this".to_owned());
    }
    lines.push(format!(
        "{} records were acknowledged, read back and checked: none lost, doubled, out of order or changed.",
        done.verified_records
    ));
    lines.extend(done.warnings.iter().map(|it| format!("warning: {it}")));
    lines.push(format!("Kept in {}", done.folder.display()));
    lines.join("\n")
}

/// The document of `--json`. Units are in the names; MB are 10^6 bytes.
#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    verified_records: u64,
    warnings: &'a [String],
    folder: String,
    workloads: Vec<Line<'a>>,
}

/// A workload of the document.
#[derive(Serialize)]
struct Line<'a> {
    workload: &'a str,
    target: &'a str,
    mb_s: f64,
    records_s: f64,
    response_us_p50: Option<f64>,
    response_us_p99: Option<f64>,
    response_us_p999: Option<f64>,
    broker_cpu_ms_per_mb: Option<f64>,
    client_cpu_ms_per_mb: Option<f64>,
    of_null_receive: Option<f64>,
    of_null_append: Option<f64>,
    client_bound: bool,
}

fn json(done: &Done) -> String {
    let document = Document {
        schema: 1,
        verified_records: done.verified_records,
        warnings: &done.warnings,
        folder: done.folder.display().to_string(),
        workloads: done.summaries.iter().map(line_of).collect(),
    };
    // Plain numbers and strings: there is nothing in it that JSON could refuse.
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

fn line_of(summary: &Summary) -> Line<'_> {
    let [response_us_p50, response_us_p99, response_us_p999] = summary.response_us;
    let [of_null_receive, of_null_append] = summary.of_null;
    Line {
        workload: &summary.workload,
        target: &summary.target,
        mb_s: summary.mb_s,
        records_s: summary.records_s,
        response_us_p50,
        response_us_p99,
        response_us_p999,
        broker_cpu_ms_per_mb: summary.broker_ms_mb,
        client_cpu_ms_per_mb: summary.client_ms_mb,
        of_null_receive,
        of_null_append,
        client_bound: summary.client_bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::ledger::Verdict;

    fn done() -> Done {
        let summary = Summary { workload: "w".to_owned(), mb_s: 5.0, client_bound: true, ..Summary::default() };
        Done {
            summaries: vec![summary],
            verified_records: 70,
            warnings: vec!["a debug build".to_owned()],
            folder: PathBuf::from("results/x"),
        }
    }

    #[test]
    fn a_ledger_that_does_not_add_up_has_an_exit_code_of_its_own() {
        let verdict = Verdict { lost: 1, ..Verdict::default() };
        let ledger =
            RunError::Ledger { workload: "w".to_owned(), round: 1, verdict: Box::new(verdict), retried_records: 0 };
        assert_eq!(code(&ledger.into()), 3);
        assert_eq!(code(&RunError::Interrupted.into()), 130);
        assert_eq!(code(&RunError::client("x", "y").into()), 1);
    }

    #[test]
    fn the_text_names_the_bottleneck_the_ledger_and_the_folder() {
        let text = text(&done());
        for part in ["the client used up its core", "70 records", "warning: a debug build", "results/x"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn the_document_has_null_where_nothing_is_known() {
        let document: serde_json::Value = serde_json::from_str(&json(&done())).unwrap();
        assert_eq!(document["workloads"][0]["mb_s"], 5.0);
        assert!(document["workloads"][0]["broker_cpu_ms_per_mb"].is_null());
        assert_eq!(document["verified_records"], 70);
    }
}
