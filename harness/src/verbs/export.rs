//! `ringlog export`: a kept run in a format that another tool reads.

#![allow(clippy::disallowed_methods, reason = "writes what was asked for; this is the instrument, not the broker")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::export::{self, Export, Format};
use crate::report::kept::Kept;
use crate::results::ResultsError;

/// Writes a kept run in the format of another tool.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "ringlog export", after_help = EXIT_CODES)]
struct Options {
    /// The run's folder; several of them for otava, whose series go along runs.
    #[arg(value_name = "FOLDER", required = true)]
    folders: Vec<PathBuf>,

    /// For whom.
    #[arg(long, value_name = "FORMAT")]
    format: Format,

    /// A file, or for formats of several files a folder, which is made. Without it a single file goes to standard output.
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
}

const EXIT_CODES: &str = "Exit codes: 0 written; 1 a folder could not be read or a file not written; 2 wrong usage.";

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(transparent)]
    Results(#[from] ResultsError),
    #[error("--format {0} takes one run, {1} were given; only otava takes several")]
    OneRun(String, usize),
    #[error("--format {0} writes several files: give the folder for them with -o")]
    NeedsFolder(String),
    #[error("{0}: no row of it has what --format {1} is about")]
    Nothing(PathBuf, String),
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
    let options: Options = match super::options("export", args) {
        Ok(options) => options,
        Err(code) => return code,
    };
    match run(&options) {
        Ok(said) => crate::out::product(said.trim_end(), ExitCode::SUCCESS),
        Err(error) => {
            errln!("ringlog export: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is printed at the end.
fn run(options: &Options) -> Result<String, ExportError> {
    let format =
        clap::ValueEnum::to_possible_value(&options.format).map_or_else(String::new, |it| it.get_name().to_owned());
    if options.folders.len() > 1 && options.format != Format::Otava {
        return Err(ExportError::OneRun(format, options.folders.len()));
    }
    let runs: Result<Vec<Kept>, ResultsError> = options.folders.iter().map(|it| Kept::read(it)).collect();
    match (export::export(options.format, &runs?)?, &options.output) {
        (Export::Text(text), None) => Ok(text),
        (Export::Text(text), Some(path)) => {
            write(path, &text)?;
            Ok(format!("Written to {}", path.display()))
        }
        (Export::Files(files), _) if files.is_empty() => Err(ExportError::Nothing(options.folders[0].clone(), format)),
        (Export::Files(_), None) => Err(ExportError::NeedsFolder(format)),
        (Export::Files(files), Some(dir)) => {
            std::fs::create_dir_all(dir).map_err(|source| ExportError::Io { path: dir.clone(), source })?;
            files.iter().try_for_each(|(name, text)| write(&dir.join(name), text))?;
            Ok(format!("{} files written to {}", files.len(), dir.display()))
        }
    }
}

fn write(path: &Path, text: &str) -> Result<(), ExportError> {
    std::fs::write(path, text).map_err(|source| ExportError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::report::kept::tests::folder;
    use crate::results::tests::scratch;

    fn said(line: &str) -> Result<String, String> {
        let options = Options::try_parse_from(std::iter::once("export").chain(line.split_whitespace()));
        run(&options.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
    }

    #[test]
    fn one_file_goes_to_standard_output_and_several_to_a_folder() {
        let (dir, run) = (scratch("export"), folder());
        assert!(said(&format!("{} --format bencher", run.display())).unwrap().starts_with('{'));
        let error = said(&format!("{} --format otava", run.display())).unwrap_err();
        assert!(error.contains("--format otava writes several files") && error.contains("-o"), "{error}");
        let out = dir.join("a/b");
        assert!(
            said(&format!("{} --format otava -o {}", run.display(), out.display())).unwrap().starts_with("9 files")
        );
        assert!(std::fs::read_to_string(out.join("otava.yaml")).unwrap().starts_with("tests:\n"));
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let run = folder();
        let error = said(&format!("{0} {0} --format junit", run.display())).unwrap_err();
        assert!(error.contains("takes one run, 2 were given"), "{error}");
        assert!(said(&format!("{} --format xml", run.display())).unwrap_err().contains("junit"));
        assert!(said("--format junit").unwrap_err().contains("FOLDER"));
    }
}
