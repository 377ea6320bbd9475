//! manifest.toml: what a person needs to know before comparing a run with another.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{ResultsError, RunFolder};
use crate::host::{HostFacts, PathFacts};

/// The file's name within a run's folder.
pub const FILE: &str = "manifest.toml";

/// The story of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// Version of this file's keys.
    pub schema: u32,
    /// When it began and ended, ISO 8601 in UTC.
    pub began: String,
    /// See `began`.
    pub ended: String,
    /// The verb that measured: `bench`, `sweep`, ..; empty in older ones, which are of `bench`.
    pub verb: String,
    /// What was measured: `ringlog` or `kafka`.
    pub target: String,
    /// Name of the hardware, as in the folder's name.
    pub hardware: String,
    /// Version of this program.
    pub version: String,
    /// Commit of the source, where it is known; `-dirty` where files were changed.
    pub commit: Option<String>,
    /// SHA-256 of this program's binary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program_sha256: Option<String>,
    /// `release` or `debug`. Numbers of a debug build are not worth keeping.
    pub build: String,
    /// The command line.
    pub command: Vec<String>,
    /// What is wrong or unusual about this run.
    pub warnings: Vec<String>,
    /// Who sat where. Schema 1 had here what was known of the one broker.
    pub broker: BTreeMap<String, String>,
    /// What is known of each target: address, ready line, settings that were asked for; how it was started, and the hash of
    /// its program.
    pub targets: BTreeMap<String, BTreeMap<String, String>>,
    /// The machine.
    pub host: HostFacts,
    /// The file system below the broker's folder, where we started it.
    pub storage: PathFacts,
    /// The machine that was emulated, where one was: what was asked for, and of each limit the target, what was measured, by what.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub emulated: BTreeMap<String, String>,
    /// The workloads as they ran, a table each. A row whose workload ends with `@` and a rate ran the one before the `@` at its
    /// own `rate_records_s`.
    pub workloads: BTreeMap<String, toml::Table>,
    /// What the verb was asked for: a sweep's file with every default resolved.
    pub asked: toml::Table,
    /// Figures of others (course notes, papers) beside which a reader wants to see ours.
    pub references: Vec<toml::Table>,
}

/// Version of the keys above.
pub const SCHEMA: u32 = 2;

/// Writes it, whole or not at all: when the run begins, and with what is known at its end.
pub fn replace(folder: &RunFolder, manifest: &Manifest) -> Result<(), ResultsError> {
    let path = folder.path().join(FILE);
    let text =
        toml::to_string_pretty(manifest).map_err(|source| ResultsError::Manifest { path: path.clone(), source })?;
    let new = folder.path().join(format!("{FILE}.new"));
    let write = || {
        let mut file = std::fs::File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        std::fs::rename(&new, &path)
    };
    // What a full disk took of it helps nobody.
    write().inspect_err(|_| drop(std::fs::remove_file(&new))).map_err(ResultsError::io(&path))
}

/// Reads one, of this version or an older one.
pub fn read(path: &Path) -> Result<Manifest, ResultsError> {
    let text = std::fs::read_to_string(path).map_err(ResultsError::io(path))?;
    toml::from_str(&text)
        .map_err(|source| ResultsError::ManifestRead { path: path.to_owned(), source: Box::new(source) })
}

/// The commit that the folder's repository stands at, read from its files: no git is started. `None` outside of one.
#[must_use]
pub fn commit_of(dir: &Path) -> Option<String> {
    let git = dir.ancestors().map(|it| it.join(".git")).find(|it| it.exists())?;
    let git = if git.is_dir() { git } else { linked_git_dir(&git)? };
    let head = std::fs::read_to_string(git.join("HEAD")).ok()?;
    let Some(name) = head.trim().strip_prefix("ref: ") else { return Some(head.trim().to_owned()) };
    let common = std::fs::read_to_string(git.join("commondir")).map_or(git.clone(), |it| git.join(it.trim()));
    let loose = [&git, &common].iter().find_map(|it| std::fs::read_to_string(it.join(name)).ok());
    loose.map(|it| it.trim().to_owned()).or_else(|| packed(&common, name))
}

/// `gitdir: PATH` of a linked work tree.
fn linked_git_dir(file: &Path) -> Option<std::path::PathBuf> {
    let text = std::fs::read_to_string(file).ok()?;
    Some(file.parent()?.join(text.trim().strip_prefix("gitdir: ")?))
}

fn packed(git: &Path, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(git.join("packed-refs")).ok()?;
    text.lines().find_map(|it| it.strip_suffix(name)?.split_whitespace().next().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::super::tests::scratch;
    use super::*;

    #[test]
    fn a_manifest_reads_back_as_it_was_written() {
        let dir = scratch("manifest");
        let folder = RunFolder::create(&dir, "d", "h", "t").unwrap();
        let manifest = Manifest {
            schema: SCHEMA,
            command: vec!["ringlog".to_owned(), "bench".to_owned()],
            warnings: vec!["one \"quoted\" warning".to_owned()],
            host: HostFacts { cores: 3, memory_bytes: Some(5), ..HostFacts::default() },
            workloads: BTreeMap::from([("produce-1k".to_owned(), toml::Table::new())]),
            ..Manifest::default()
        };
        replace(&folder, &Manifest::default()).unwrap();
        replace(&folder, &manifest).unwrap();
        assert_eq!(read(&folder.path().join(FILE)).unwrap(), manifest);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn the_commit_is_found_loose_packed_and_detached() {
        let dir = scratch("commit");
        let git = dir.join(".git");
        std::fs::create_dir_all(git.join("refs/heads")).unwrap();
        std::fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        std::fs::write(git.join("packed-refs"), "# pack-refs\nabc refs/heads/main\n").unwrap();
        assert_eq!(commit_of(&dir.join("sub")).as_deref(), Some("abc"));
        std::fs::write(git.join("refs/heads/main"), "def\n").unwrap();
        assert_eq!(commit_of(&dir).as_deref(), Some("def"));
        std::fs::write(git.join("HEAD"), "0123\n").unwrap();
        assert_eq!(commit_of(&dir).as_deref(), Some("0123"));
        std::fs::remove_dir_all(dir).unwrap();
    }
}
