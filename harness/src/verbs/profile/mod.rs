//! `ringlog profile`: the machines that plans are made for.
//!
//! ```text
//!   check  -> findings, one a line                 list  -> a line for each
//!   show   -> every number with its fact           diff  -> what two do not have in common
//!   add    -> a checked file in a folder of profiles
//! ```

#![allow(clippy::disallowed_methods, reason = "reads and writes profiles: the instrument, not the broker")]

pub(super) mod show;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::out;
use crate::spec::document::Finding;
use crate::spec::hardware::{self, Catalogue, Entry};

/// Which machines there are, what is known of them, and where it comes from.
#[derive(Debug, Parser)]
#[command(name = "ringlog profile", after_help = EXIT_CODES)]
struct Options {
    /// Folder with profiles of your own; they stand beside the built-in ones, and take the place of those of the same name.
    #[arg(long, value_name = "DIR", global = true)]
    dir: Option<PathBuf>,

    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Says what is wrong with profiles: files, folders, or without an argument all that are built in (and --dir's).
    Check {
        /// Files or folders.
        paths: Vec<PathBuf>,
    },
    /// A line for each.
    List {
        /// Names; `*` stands for anything.
        patterns: Vec<String>,
    },
    /// Every number of one, where it comes from, and how much it is worth.
    Show {
        /// Its name.
        name: String,
        /// Print the file instead, as a beginning of one of your own.
        #[arg(long)]
        toml: bool,
    },
    /// The numbers in which two differ.
    Diff {
        /// The one.
        one: String,
        /// The other.
        other: String,
    },
    /// Checks a file and copies it to --dir (by default profiles/hardware).
    Add {
        /// The file.
        file: PathBuf,
        /// Replace the one of this name that is there.
        #[arg(long)]
        force: bool,
    },
}

const EXIT_CODES: &str =
    "Exit codes: 0 done, nothing wrong; 1 something is wrong with a profile, a file or a name; 2 wrong usage.";

/// Where `add` puts profiles when nothing else is said.
const DIR: &str = "profiles/hardware";

/// Its options, for shells and the man page.
pub(crate) fn command() -> clap::Command {
    <Options as clap::CommandFactory>::command()
}

/// Runs the verb with the arguments after its name.
#[must_use]
pub(crate) fn main(args: &[String]) -> ExitCode {
    let options: Options = match super::options("profile", args) {
        Ok(options) => options,
        Err(code) => return code,
    };
    match run(&options) {
        Ok(text) => out::product(&text, ExitCode::SUCCESS),
        Err(words) => {
            errln!("{words}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<String, String> {
    let load = || Catalogue::load(options.dir.as_deref()).map_err(|it| lines(&it));
    match &options.verb {
        Verb::Check { paths } if paths.is_empty() => {
            let all = load()?;
            Ok(format!("{} profiles, nothing wrong", all.entries().len()))
        }
        Verb::Check { paths } => check(paths, options.dir.as_deref()),
        Verb::List { patterns } => Ok(show::list(&load()?.select(patterns)?)),
        Verb::Show { name, toml: true } => load()?.get(name).map(|it| it.text.trim_end().to_owned()),
        Verb::Show { name, toml: false } => load()?.get(name).map(show::one),
        Verb::Diff { one, other } => {
            let all = load()?;
            Ok(show::diff(all.get(one)?, all.get(other)?))
        }
        Verb::Add { file, force } => add(file, options.dir.as_deref().unwrap_or(Path::new(DIR)), *force),
    }
}

fn check(paths: &[PathBuf], dir: Option<&Path>) -> Result<String, String> {
    let others = Catalogue::load(dir).map_err(|it| lines(&it))?;
    let mut found = Vec::new();
    let mut files = 0;
    for path in paths {
        if path.is_dir() {
            let of_folder = hardware::toml_files(path);
            match of_folder {
                Err(these) => found.extend(these),
                Ok(these) if these.is_empty() => {
                    found.push(whole_file(path, "there is no profile in it: no file that ends in .toml".to_owned()));
                }
                Ok(these) => {
                    files += these.len();
                    // Those of a folder stand beside each other, too.
                    found.extend(Catalogue::load(Some(path)).err().into_iter().flatten());
                    found.extend(
                        these.iter().filter_map(|it| Entry::open(it).ok()).filter_map(|it| from_the_future(&it)),
                    );
                }
            }
        } else {
            files += 1;
            match checked(path, &others) {
                Ok(_) => {}
                Err(these) => found.extend(these),
            }
        }
    }
    if found.is_empty() { Ok(format!("{files} profiles, nothing wrong")) } else { Err(lines(&found)) }
}

/// A profile that has nothing wrong, neither by itself nor beside the others that there are.
fn checked(path: &Path, others: &Catalogue) -> Result<Entry, Vec<Finding>> {
    let entry = Entry::open(path)?;
    let mut found = others.beside(&entry);
    found.extend(from_the_future(&entry));
    if found.is_empty() { Ok(entry) } else { Err(found) }
}

/// Facts cannot have been gathered tomorrow. Asked here alone: a board without a clock must still be able to plan.
fn from_the_future(entry: &Entry) -> Option<Finding> {
    let (as_of, today) = (entry.profile.as_of.to_string(), jiff::Zoned::now().date().to_string());
    // ISO dates are in the order of their letters.
    (as_of.get(..10)? > today.as_str()).then(|| {
        whole_file(
            Path::new(&entry.origin),
            format!("as_of is {as_of}, and today is {today}: when were the facts gathered?"),
        )
    })
}

fn whole_file(path: &Path, words: String) -> Finding {
    Finding { origin: path.display().to_string(), line: 0, words }
}

fn add(file: &Path, dir: &Path, force: bool) -> Result<String, String> {
    let others = Catalogue::load(Some(dir).filter(|it| it.is_dir())).map_err(|it| lines(&it))?;
    let entry = checked(file, &others).map_err(|it| lines(&it))?;
    let to = dir.join(format!("{}.toml", entry.profile.name));
    if to.exists() && !force {
        return Err(format!("{} is there already; `ringlog profile add --force` replaces it", to.display()));
    }
    let wrong = |error: std::io::Error| format!("{}: {error}", to.display());
    std::fs::create_dir_all(dir).map_err(wrong)?;
    std::fs::write(&to, &entry.text).map_err(wrong)?;
    let dir = dir.display();
    Ok(format!(
        "{} is now in {}\nuse it with --dir {dir} (plan: --profile-dir {dir})",
        entry.profile.name,
        to.display()
    ))
}

fn lines(found: &[Finding]) -> String {
    let mut lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    lines.push(format!("{} wrong", found.len()));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::scratch;

    fn run_line(line: &str) -> Result<String, String> {
        let argv = std::iter::once("profile").chain(line.split_whitespace());
        run(&Options::try_parse_from(argv).unwrap())
    }

    #[test]
    fn built_in_profiles_are_listed_shown_and_compared() {
        let list = run_line("list aws-i4i-*").unwrap();
        assert!(list.contains("aws-i4i-2xlarge") && !list.contains("aws-m5"), "{list}");
        let show = run_line("show aws-i4i-2xlarge").unwrap();
        assert!(show.contains("disk.0.seq_write_mb_s") && show.contains("1131") && show.contains("iotune"), "{show}");
        let diff = run_line("diff aws-i4i-xlarge aws-i4i-2xlarge").unwrap();
        assert!(diff.contains("cpu.threads") && diff.contains("x 2.00") && !diff.contains("cpu.ghz"), "{diff}");
    }

    #[test]
    fn a_file_is_checked_before_it_is_added_and_one_that_is_there_is_kept() {
        let dir = scratch("profile-add");
        let text = run_line("show aws-i4i-2xlarge --toml").unwrap().replace("aws-i4i-2xlarge", "mine");
        let (file, to) = (dir.join("mine.toml"), dir.join("to"));
        std::fs::write(&file, text.replace("ghz = 3.5", "ghz = 35.0")).unwrap();
        let line = |rest: &str| run_line(&format!("--dir {} add {} {rest}", to.display(), file.display()));
        assert!(line("").unwrap_err().contains("cpu.ghz is 35"));
        assert!(!to.exists(), "nothing is written of what is wrong");
        std::fs::write(&file, text).unwrap();
        assert!(line("").unwrap().contains("mine is now in"));
        assert!(line("").unwrap_err().contains("--force"));
        assert!(line("--force").is_ok());
        assert!(run_line(&format!("check {}", to.display())).is_ok());
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn what_is_not_there_is_an_error_with_the_nearest() {
        assert!(run_line("show aws-i4i-2xlage").unwrap_err().contains("the nearest is aws-i4i-2xlarge"));
        assert!(run_line("check nowhere.toml").unwrap_err().contains("nowhere.toml: No such file"));
    }

    #[test]
    fn a_file_that_contradicts_its_family_is_refused_before_it_breaks_the_others() {
        let dir = scratch("profile-family");
        let text =
            run_line("show aws-i4i-2xlarge --toml").unwrap().replace("name = \"aws-i4i-2xlarge\"", "name = \"mine\"");
        let text = text.replace("gib = 64.0", "gib = 16.0");
        assert!(text.contains("gib = 16.0") && text.contains("family = "));
        let (file, to) = (dir.join("mine.toml"), dir.join("to"));
        std::fs::write(&file, text).unwrap();
        for line in [format!("check {}", file.display()), format!("--dir {} add {}", to.display(), file.display())] {
            let words = run_line(&line).unwrap_err();
            assert!(words.contains("mine.toml: ") && words.contains("of family aws-i4i have"), "{line}: {words}");
        }
        assert!(!to.exists(), "nothing was added");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn an_empty_folder_and_a_profile_of_tomorrow_are_refused() {
        let dir = scratch("profile-empty");
        let words = run_line(&format!("check {}", dir.display())).unwrap_err();
        assert!(words.contains("there is no profile in it"), "{words}");
        let text = run_line("show handbook-1gbe-hdd --toml").unwrap().replacen("as_of = 2", "as_of = 9", 1);
        let file = dir.join("handbook-1gbe-hdd.toml");
        std::fs::write(&file, text).unwrap();
        for path in [&file, &dir] {
            let words = run_line(&format!("check {}", path.display())).unwrap_err();
            assert!(words.contains("when were the facts gathered?"), "{words}");
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}
