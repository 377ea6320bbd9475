//! `ringlog report`: a run's folder as a page for the browser, or as a table on the terminal.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::report::kept::Kept;
use crate::report::{page, table};
use crate::results::ResultsError;
use crate::run::summary;

/// Makes a page of a run that was kept: one HTML file that needs no network and no scripts.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "ringlog report", after_help = EXIT_CODES)]
struct Options {
    /// The run's folder, as `ringlog bench` names it at its end; runs of older versions will do.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,

    /// Where to write the page; - is standard output. By default report.html in the run's folder.
    #[arg(short, long, value_name = "FILE", conflicts_with = "text")]
    output: Option<PathBuf>,

    /// Print a table on the terminal instead.
    #[arg(long)]
    text: bool,
}

const EXIT_CODES: &str =
    "Exit codes: 0 written; 1 the folder could not be read or the page not written; 2 wrong usage.";

/// Its options, for shells and the man page.
pub(crate) fn command() -> clap::Command {
    <Options as clap::CommandFactory>::command()
}

/// Runs the verb with the arguments after its name.
#[must_use]
pub(crate) fn main(args: &[String]) -> ExitCode {
    let options: Options = match super::options("report", args) {
        Ok(options) => options,
        Err(code) => return code,
    };
    match run(&options) {
        Ok(said) => crate::out::product(&said, ExitCode::SUCCESS),
        Err(error) => {
            errln!("ringlog report: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is printed at the end.
fn run(options: &Options) -> Result<String, ResultsError> {
    let kept = Kept::read(&options.folder)?;
    match &options.output {
        _ if options.text => Ok(text(&kept)),
        Some(path) if path.as_os_str() == "-" => Ok(page::render(&kept)),
        Some(path) => page::write(&kept, path).map(|()| format!("Written to {}", path.display())),
        None => page::write_into(&options.folder).map(|path| format!("Written to {}", path.display())),
    }
}

fn text(kept: &Kept) -> String {
    let mut lines = vec![kept.name()];
    let summaries = summary::summaries(&kept.rows);
    lines.push(if summaries.is_empty() { "No row was kept.".to_owned() } else { table::render(&summaries) });
    lines.extend(page::verdict_lines(kept));
    lines.extend(kept.manifest.warnings.iter().map(|it| format!("warning: {it}")));
    lines.extend(kept.notes.iter().map(|it| format!("note: {it}")));
    lines.join("\n")
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "reads what was written")]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::report::kept::tests::folder;
    use crate::results::tests::scratch;

    fn parsed(line: &str) -> Options {
        Options::try_parse_from(std::iter::once("report").chain(line.split_whitespace())).unwrap()
    }

    #[test]
    fn the_page_is_written_where_it_was_asked_for_and_the_table_is_printed() {
        let dir = scratch("report");
        let page = dir.join("page.html");
        let said = run(&parsed(&format!("{} -o {}", folder().display(), page.display()))).unwrap();
        assert!(said.contains("page.html") && std::fs::read_to_string(&page).unwrap().starts_with("<!DOCTYPE html>"));
        let text = run(&parsed(&format!("{} --text", folder().display()))).unwrap();
        for part in ["produce-large", "warning: steal", "their rounds do not overlap", "none lost"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_folder_that_is_no_run_is_named_with_what_to_do() {
        let dir = scratch("no-run");
        let error = run(&parsed(&dir.display().to_string())).unwrap_err().to_string();
        assert!(error.contains("no-run") && error.contains("rows.csv"), "{error}");
        let error = run(&parsed("/no/such")).unwrap_err().to_string();
        assert!(error.contains("/no/such"), "{error}");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
