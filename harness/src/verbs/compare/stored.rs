//! Sides that were measured before: one comparison's folder, or a folder (and a target of it) for each side.

use std::path::{Path, PathBuf};

use super::exit::CompareError;
use super::sides;
use crate::results::columns::{Row, SETTINGS};
use crate::results::{Manifest, manifest, rows};
use crate::verdict::Rules;
use crate::verdict::pairs::{self, SIDES};

/// Two runs that were not measured in turn may differ by what drifted between them.
const APART: &str = "the runs were not measured in turn: what drifted between them counts as a difference";
/// Settings of a broker: another broker has others, or none.
const OF_BROKERS: [&str; 3] = ["flush", "shards", "io"];

/// Rows with sides, from results.
pub(super) struct Stored {
    pub(super) rows: Vec<Row>,
    pub(super) names: [String; 2],
    pub(super) warnings: Vec<String>,
    pub(super) folder: Option<PathBuf>,
    /// Of a comparison: its own rules, so that it is judged as it was, and as its page judges it.
    pub(super) rules: Option<Rules>,
    /// Whether both sides were the same on purpose.
    pub(super) is_aa: bool,
}

/// The stored sides of these words; `None` where they are to be measured. `wants_aa`: sides that are the same.
pub(super) fn of(words: &[String], wants_aa: bool) -> Result<Option<Stored>, CompareError> {
    let found: Vec<Option<(PathBuf, Option<&str>)>> = words.iter().map(|it| folder_of(it)).collect();
    let is_beside_folder = found.iter().any(Option::is_some);
    let missing = words.iter().zip(&found).filter(|it| it.1.is_none()).map(|it| it.0);
    if let Some(word) = missing.into_iter().find(|it| is_path(it) || (is_beside_folder && !is_measured(it))) {
        let why = if Path::new(word).is_dir() { "there is no rows.csv in it" } else { "no such folder of results" };
        return Err(CompareError::Usage(format!("{word}: {why}")));
    }
    match &found[..] {
        [Some((folder, None))] => whole(folder, wants_aa).map(Some),
        [Some(_), Some(_)] if wants_aa => {
            Err(CompareError::Usage("--aa takes one side: it is compared with itself".to_owned()))
        }
        [Some(a), Some(b)] => two(a, b).map(Some),
        [None] | [None, None] => Ok(None),
        [Some(_)] => Err(CompareError::Usage("one side of results: name the other one too".to_owned())),
        _ => Err(CompareError::Usage(
            "one side is a folder of results, the other is to be measured: give two of a kind".to_owned(),
        )),
    }
}

/// `FOLDER` or `FOLDER:TARGET`, where rows are.
fn folder_of(word: &str) -> Option<(PathBuf, Option<&str>)> {
    let has_rows = |path: &str| Path::new(path).join(rows::FILE).is_file().then(|| PathBuf::from(path));
    if let Some(path) = has_rows(word) {
        return Some((path, None));
    }
    let (path, target) = word.rsplit_once(':')?;
    Some((has_rows(path)?, Some(target)))
}

/// Whether a word is a side that is measured: `ringlog`, `ringlog:PATH`, `kafka:..`, `3xkafka:..`, HOST:PORT.
fn is_measured(word: &str) -> bool {
    let place = word.split_once('=').map_or(word, |it| it.1);
    let kind = place.split(':').next().unwrap_or_default();
    kind == "ringlog" || kind.ends_with("kafka") || sides::is_address(place)
}

/// Whether a word can be nothing but a path.
fn is_path(word: &str) -> bool {
    word.contains('/') && !is_measured(word)
}

/// What a comparison was asked for.
pub(super) fn asked_of(folder: &Path) -> Result<toml::Table, CompareError> {
    Ok(manifest_of(folder)?.asked)
}

/// Whether its sides were the same on purpose.
pub(super) fn is_aa(asked: &toml::Table) -> bool {
    asked.get("aa").and_then(toml::Value::as_bool).unwrap_or(false)
}

/// The story of a run; an empty one where there is none.
fn manifest_of(folder: &Path) -> Result<Manifest, CompareError> {
    let path = folder.join(manifest::FILE);
    if path.exists() { Ok(manifest::read(&path)?) } else { Ok(Manifest::default()) }
}

/// A comparison that was kept.
fn whole(folder: &Path, wants_aa: bool) -> Result<Stored, CompareError> {
    let (rows, told) = rows::read_told(&folder.join(rows::FILE))?;
    let manifest = manifest_of(folder)?;
    let is_aa = is_aa(&manifest.asked);
    let Some(names) = pairs::names(&rows) else {
        let words = "its rows have no sides; to compare two of its targets give FOLDER:TARGET twice";
        return Err(CompareError::Usage(format!("{}: {words}", folder.display())));
    };
    if wants_aa && !is_aa {
        return Err(CompareError::NotEqual(folder.to_owned()));
    }
    let warnings = manifest.warnings.into_iter().chain(told).collect();
    let rules = Some(Rules::kept(&manifest.asked));
    Ok(Stored { rows, names, warnings, folder: Some(folder.to_owned()), rules, is_aa })
}

fn two(a: &(PathBuf, Option<&str>), b: &(PathBuf, Option<&str>)) -> Result<Stored, CompareError> {
    let ((rows_a, told_a), (rows_b, told_b)) = (side(a, SIDES[0])?, side(b, SIDES[1])?);
    let workloads = |rows: &[Row]| rows.iter().map(|it| it.workload.clone()).collect::<std::collections::BTreeSet<_>>();
    let (of_a, of_b) = (workloads(&rows_a), workloads(&rows_b));
    if of_a.is_disjoint(&of_b) {
        let list = |it: &std::collections::BTreeSet<String>| it.iter().cloned().collect::<Vec<_>>().join(", ");
        let words = format!("no workload is in both: A has {}, B has {}", list(&of_a), list(&of_b));
        return Err(CompareError::Usage(words));
    }
    let names = [&rows_a, &rows_b].map(|it| it.first().map(|row| row.target.clone()).unwrap_or_default());
    let names = if names[0] == names[1] { [a, b].map(|it| it.0.display().to_string()) } else { names };
    let mut warnings: Vec<String> =
        std::iter::once(APART.to_owned()).chain(differing(&rows_a, &rows_b)).chain(told_a).chain(told_b).collect();
    // Both sides may be of one file.
    warnings.dedup();
    let rows = rows_a.into_iter().chain(rows_b).collect();
    Ok(Stored { rows, names, warnings, folder: None, rules: None, is_aa: false })
}

/// The rows of one subject, as a side: its rounds of a workload in their order are pairs.
fn side((folder, target): &(PathBuf, Option<&str>), side: &str) -> Result<(Vec<Row>, Vec<String>), CompareError> {
    let (rows, told) = rows::read_told(&folder.join(rows::FILE))?;
    let all: Vec<Row> = rows.into_iter().filter(|it| it.role == "subject").collect();
    let mut targets: Vec<&str> = all.iter().map(|it| it.target.as_str()).collect();
    targets.sort_unstable();
    targets.dedup();
    let target = match (target, &targets[..]) {
        (Some(name), all) if all.contains(name) => (*name).to_owned(),
        (None, [only]) => (*only).to_owned(),
        (_, all) => {
            let words = format!("{}: which of its targets? {}: give FOLDER:TARGET", folder.display(), all.join(", "));
            return Err(CompareError::Usage(words));
        }
    };
    let mut rows: Vec<Row> = all.into_iter().filter(|it| it.target == target).collect();
    for at in 0..rows.len() {
        let earlier = rows[..at].iter().filter(|it| it.workload == rows[at].workload).count();
        rows[at].pair = u32::try_from(earlier + 1).ok();
        side.clone_into(&mut rows[at].side);
    }
    Ok((rows, told))
}

/// What else than the targets is different.
fn differing(a: &[Row], b: &[Row]) -> Vec<String> {
    let mut found = Vec::new();
    let profiles = [a, b].map(|it| it.first().map(|row| row.profile.clone()).unwrap_or_default());
    if profiles[0] != profiles[1] {
        found.push(format!("A was measured on {}, B on {}", profiles[0], profiles[1]));
    }
    for row in a.iter().filter(|it| it.pair == Some(1)) {
        let Some(other) = b.iter().find(|it| it.workload == row.workload) else { continue };
        let differs = |column: &&&str| {
            let (own, others) = (row.setting(column), other.setting(column));
            own != others && !(OF_BROKERS.contains(*column) && (own.is_none() || others.is_none()))
        };
        found.extend(SETTINGS.iter().filter(differs).map(|column| {
            let text = |it: &Row| it.setting(column).unwrap_or_else(|| "not known".to_owned());
            format!("{}: {column} is {} for A and {} for B", row.workload, text(row), text(other))
        }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::scratch;
    use crate::results::{RunFolder, rows::RowWriter};

    fn kept(dir: &Path, name: &str, rows: &[Row]) -> String {
        let folder = RunFolder::create(dir, "d", "h", name).unwrap();
        RowWriter::create(&folder).unwrap().append(rows).unwrap();
        folder.path().display().to_string()
    }

    fn row(target: &str, round: u32, batch: u64) -> Row {
        Row {
            schema: crate::results::columns::SCHEMA,
            workload: "w".to_owned(),
            target: target.to_owned(),
            role: "subject".to_owned(),
            round,
            batch_size_bytes: Some(batch),
            ..Row::default()
        }
    }

    #[test]
    fn two_targets_of_stored_runs_are_sides_with_a_warning_of_what_else_differs() {
        let dir = scratch("stored");
        let one = kept(&dir, "one", &[row("x", 1, 1), row("y", 1, 1), row("x", 2, 1)]);
        let two = kept(&dir, "two", &[row("z", 4, 2), row("z", 5, 2)]);
        let of = |words: &[String]| super::of(words, false);
        let stored = of(&[format!("{one}:x"), two.clone()]).unwrap().unwrap();
        let sides: Vec<(&str, Option<u32>)> = stored.rows.iter().map(|it| (it.side.as_str(), it.pair)).collect();
        assert_eq!(sides, [("a", Some(1)), ("a", Some(2)), ("b", Some(1)), ("b", Some(2))]);
        assert!(
            stored.warnings.iter().any(|it| it.contains("batch_size_bytes is 1 for A and 2 for B")),
            "{:?}",
            stored.warnings
        );
        let refused = |words: &[String]| of(words).err().unwrap().to_string();
        assert!(refused(&[one.clone(), two.clone()]).contains("which of its targets? x, y"));
        assert!(refused(std::slice::from_ref(&two)).contains("no sides"));
        assert!(refused(&[two.clone(), "ringlog".to_owned()]).contains("two of a kind"));
        for typo in ["resutls", "results/no-such:x", "./nothing"] {
            let told = refused(&[two.clone(), typo.to_owned()]);
            assert_eq!(told, format!("{typo}: no such folder of results"));
        }
        assert!(refused(&["results/no-such".to_owned()]).contains("no such folder"));
        let empty = dir.join("empty");
        std::fs::create_dir(&empty).unwrap();
        assert!(refused(&[two.clone(), empty.display().to_string()]).contains("there is no rows.csv in it"));
        assert!(super::of(&[two.clone(), two], true).err().unwrap().to_string().contains("--aa takes one side"));
        assert!(of(&["ringlog".to_owned(), "kafka:4.3.1".to_owned()]).unwrap().is_none());
        std::fs::remove_dir_all(dir).unwrap();
    }
}
