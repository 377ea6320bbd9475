//! Where a run is kept: a folder that is made once and never rewritten.
//!
//! ```text
//!   results/<date>-<hardware>-<target>[-2]/
//!     manifest.toml   what ran where: version, commit, command line, host, settings, warnings
//!     rows.csv        a row per trial, appended and synced when it ends: columns
//!     latency.hlog    whole histograms, HdrHistogram log V2, a line per second, kind and round
//! ```
//!
//! Invariants: a run gets a new folder (`-2`, `-3`, ..); what was written of a trial is never rewritten, only appended to;
//! a run that is killed keeps every trial that ended; a report can be made from these files alone.

#![allow(clippy::disallowed_methods, reason = "writes the result files; this is the instrument, not the broker")]

pub mod columns;
pub mod latency;
pub mod manifest;
mod older;
pub mod rows;

use std::fs;
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};

pub use columns::Row;
pub use manifest::Manifest;

/// More runs than this of one kind on one day is a mistake in a loop.
const FOLDERS_A_DAY_MAX: u32 = 10_000;

/// Why a result could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// A file or folder.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// rows.csv does not have the columns of this version.
    #[error("{path}: {what}")]
    Header {
        /// Which file.
        path: PathBuf,
        /// What is wrong with its first line, and what to do.
        what: String,
    },
    /// Rows of a later version: their columns may mean what this one does not know.
    #[error(
        "{path}: line {line} is of schema {found}, and this version reads up to {reads}: read it with the version that wrote it"
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// The first such line.
        line: usize,
        /// Its schema.
        found: u32,
        /// Ours.
        reads: u32,
    },
    /// A row that does not parse.
    #[error("{path}: {source}")]
    Csv {
        /// Which file.
        path: PathBuf,
        /// Line and column.
        source: csv::Error,
    },
    /// A manifest that cannot be written as TOML.
    #[error("{path}: {source}")]
    Manifest {
        /// Which file.
        path: PathBuf,
        /// The serializer's words.
        source: toml::ser::Error,
    },
    /// A manifest that is not TOML, or has a key of another kind.
    #[error("{path}: {source}")]
    ManifestRead {
        /// Which file.
        path: PathBuf,
        /// Line and column.
        source: Box<toml::de::Error>,
    },
    /// Histograms that cannot be written or read.
    #[error(transparent)]
    Histogram(#[from] crate::measure::hlog::HlogError),
    /// A folder that is none of a run.
    #[error("{0}: there is no rows.csv in it: give the folder of one run, as `ringlog bench` names it at its end")]
    NoRun(PathBuf),
    /// Every name is taken.
    #[error("{0}: ten thousand runs of this name exist already; move them away")]
    TooMany(PathBuf),
}

impl ResultsError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Io { path: path.to_owned(), source }
    }
}

/// The folder of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes `<parent>/<date>-<hardware>-<target>`, or the same with `-2`, `-3`, .. where that exists.
    pub fn create(parent: &Path, date: &str, hardware: &str, target: &str) -> Result<Self, ResultsError> {
        fs::create_dir_all(parent).map_err(ResultsError::io(parent))?;
        let stem = format!("{date}-{hardware}-{target}");
        for attempt in 1..FOLDERS_A_DAY_MAX {
            let name = if attempt == 1 { stem.clone() } else { format!("{stem}-{attempt}") };
            let path = parent.join(name);
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(ResultsError::io(&path)(error)),
            }
        }
        Err(ResultsError::TooMany(parent.join(stem)))
    }

    /// Whether folders can be made there.
    pub fn may_create(parent: &Path) -> io::Result<()> {
        fs::create_dir_all(parent)?;
        let trial = parent.join(format!(".ringlog-{}", std::process::id()));
        fs::create_dir(&trial)?;
        fs::remove_dir(&trial)
    }

    /// The folder of a run that was stopped.
    pub fn open(path: &Path) -> Result<Self, ResultsError> {
        let path = path.canonicalize().map_err(ResultsError::io(path))?;
        Ok(Self { path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A new file of this name in the folder; an error where it exists.
    fn new_file(&self, name: &str) -> Result<(PathBuf, fs::File), ResultsError> {
        let path = self.path.join(name);
        let file = fs::OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(ResultsError::io(&path))?;
        Ok((path, file))
    }
}

/// Opens a file of lines to go on after its last whole one; gives its text. A line that was cut is cut off.
fn open_at_last_line(path: &Path) -> Result<(fs::File, String), ResultsError> {
    let fail = || ResultsError::io(path);
    let mut file = fs::OpenOptions::new().read(true).write(true).open(path).map_err(fail())?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(fail())?;
    let whole = text.iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1);
    text.truncate(whole);
    file.set_len(whole as u64).map_err(fail())?;
    file.seek(io::SeekFrom::End(0)).map_err(fail())?;
    Ok((file, String::from_utf8_lossy(&text).into_owned()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A fresh folder that a test removes itself.
    pub(crate) fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("ringlog-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// A file somewhere below a folder that stands for the machine's root.
    pub(crate) fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_second_run_of_the_day_gets_its_own_folder() {
        let parent = scratch("folders");
        let names: Vec<String> = (0..3)
            .map(|_| RunFolder::create(&parent, "2026-01-02", "2c-24g-ext4", "ringlog").unwrap())
            .map(|it| it.path().file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        let first = "2026-01-02-2c-24g-ext4-ringlog";
        assert_eq!(names, [first.to_owned(), format!("{first}-2"), format!("{first}-3")]);
        fs::remove_dir_all(parent).unwrap();
    }

    #[test]
    fn a_file_is_never_written_a_second_time() {
        let parent = scratch("rewrite");
        let folder = RunFolder::create(&parent, "d", "h", "t").unwrap();
        folder.new_file("rows.csv").unwrap();
        assert!(matches!(folder.new_file("rows.csv"), Err(ResultsError::Io { .. })));
        fs::remove_dir_all(parent).unwrap();
    }
}
