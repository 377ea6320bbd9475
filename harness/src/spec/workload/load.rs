//! Workloads from files, and those that are built in.

use std::path::{Path, PathBuf};

use super::{Kind, Workload};
use crate::spec::client;

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// The file.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// Not TOML, or a key that is not known.
    #[error("{origin}: {source}")]
    Toml {
        /// The file or the name of a built-in profile.
        origin: String,
        /// Line and column.
        source: Box<toml::de::Error>,
    },
    /// A file that takes no place.
    #[error(
        "{path} is no workload of the bench: they are {known}. Name it after the one whose place it takes, or give the file to \
         `ringlog sweep`"
    )]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Those that there are.
        known: String,
    },
    /// A value that cannot be.
    #[error("workload {name}: {reason}")]
    Invalid {
        /// Its name.
        name: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
}

/// The profiles that are built in, in the order in which they run.
pub(super) const BUILT_IN: [(&str, &str); 4] = [
    ("produce-1k", include_str!("../../../../profiles/workloads/produce-1k.toml")),
    ("produce-large", include_str!("../../../../profiles/workloads/produce-large.toml")),
    ("consume", include_str!("../../../../profiles/workloads/consume.toml")),
    ("latency", include_str!("../../../../profiles/workloads/latency.toml")),
];

/// The built-in workloads; a file of the same name in `dir` (`produce-1k.toml`, ..) takes the place of one.
pub fn load(dir: Option<&Path>) -> Result<Vec<Workload>, WorkloadError> {
    load_set(&BUILT_IN, dir)
}

/// The workloads of a set; a file of the same name in `dir` takes the place of one.
pub(in crate::spec) fn load_set(set: &[(&str, &str)], dir: Option<&Path>) -> Result<Vec<Workload>, WorkloadError> {
    dir.map_or(Ok(()), only_built_in)?;
    let workloads: Result<Vec<Workload>, WorkloadError> =
        set.iter().map(|(name, text)| load_one(name, text, dir)).collect();
    let workloads = workloads?;
    for workload in &workloads {
        check_reference(workload, &workloads)?;
    }
    Ok(workloads)
}

/// Refuses a file that would be passed over in silence. A folder may hold those of other clients too.
fn only_built_in(dir: &Path) -> Result<(), WorkloadError> {
    let names = || BUILT_IN.iter().chain(&client::BUILT_IN).map(|it| it.0);
    let failed = |source| WorkloadError::Io { path: dir.to_owned(), source };
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_known = path.file_stem().is_some_and(|stem| names().any(|name| stem == name));
        if path.extension().is_some_and(|it| it == "toml") && !is_known {
            let known = names().collect::<Vec<_>>().join(", ");
            return Err(WorkloadError::Unknown { path, known });
        }
    }
    Ok(())
}

fn load_one(name: &str, built_in: &str, dir: Option<&Path>) -> Result<Workload, WorkloadError> {
    let own = dir.map(|it| it.join(format!("{name}.toml"))).filter(|it| it.exists());
    match own {
        None => parse(&format!("built-in {name}"), built_in),
        Some(path) => {
            let text = std::fs::read_to_string(&path);
            let text = text.map_err(|source| WorkloadError::Io { path: path.clone(), source })?;
            parse(&path.display().to_string(), &text)
        }
    }
}

pub(super) fn parse(origin: &str, text: &str) -> Result<Workload, WorkloadError> {
    let toml_error = |source| WorkloadError::Toml { origin: origin.to_owned(), source: Box::new(source) };
    let workload: Workload = toml::from_str(text).map_err(toml_error)?;
    workload.check()?;
    Ok(workload)
}

fn check_reference(workload: &Workload, all: &[Workload]) -> Result<(), WorkloadError> {
    let Some(of) = &workload.of else { return Ok(()) };
    if all.iter().any(|it| it.name == *of && it.kind == Kind::Produce) {
        return Ok(());
    }
    Err(workload.invalid(format!("of = {of:?} names no produce workload")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::scratch;

    #[test]
    fn the_built_in_profiles_are_the_four_rows_of_the_bench() {
        let names: Vec<String> = load(None).unwrap().into_iter().map(|it| it.name).collect();
        assert_eq!(names, ["produce-1k", "produce-large", "consume", "latency"]);
    }

    #[test]
    fn a_file_takes_the_place_of_a_built_in_profile() {
        let dir = scratch("workloads");
        let text = BUILT_IN[0].1.replace("record_bytes = 1000", "record_bytes = 100");
        std::fs::write(dir.join("produce-1k.toml"), text).unwrap();
        let workloads = load(Some(&dir)).unwrap();
        assert_eq!((workloads[0].record_bytes, workloads[1].record_bytes), (100, 1000));
        std::fs::write(dir.join("mine.toml"), "").unwrap();
        let told = load(Some(&dir)).unwrap_err().to_string();
        assert!(told.contains("mine.toml") && told.contains("produce-large") && told.contains("sweep"), "{told}");
        let missing = load(Some(&dir.join("none"))).unwrap_err().to_string();
        assert!(missing.contains("none"), "{missing}");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = parse("x.toml", &BUILT_IN[0].1.replace("rounds", "runs")).unwrap_err().to_string();
        assert!(error.contains("x.toml") && error.contains("runs"), "{error}");
    }
}
