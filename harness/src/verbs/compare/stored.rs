//! Sides that were measured before: one comparison's folder, or a folder (and a target of it) for each side.

use std::path::{Path, PathBuf};

use super::exit::CompareError;
use crate::results::columns::Row;
use crate::results::{manifest, rows};
use crate::verdict::pairs::{self, SIDES};

/// Two runs that were not measured in turn may differ by what drifted between them.
const APART: &str = "the runs were not measured in turn: what drifted between them counts as a difference";
/// Columns that should be the same on both sides of a fair comparison.
const SETTINGS: [&str; 8] = [
    "record_bytes",
    "partitions",
    "clients",
    "rate_records_s",
    "batch_size_bytes",
    "linger_ms",
    "buffer_memory_bytes",
    "max_in_flight",
];

/// Rows with sides, from results.
pub(super) struct Stored {
    pub(super) rows: Vec<Row>,
    pub(super) names: [String; 2],
    pub(super) warnings: Vec<String>,
    pub(super) folder: Option<PathBuf>,
}

/// The stored sides of these words; `None` where they are to be measured.
pub(super) fn of(words: &[String]) -> Result<Option<Stored>, CompareError> {
    let found: Vec<Option<(PathBuf, Option<&str>)>> = words.iter().map(|it| folder_of(it)).collect();
    match &found[..] {
        [Some((folder, None))] => whole(folder).map(Some),
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

/// A comparison that was kept.
fn whole(folder: &Path) -> Result<Stored, CompareError> {
    let rows = rows::read(&folder.join(rows::FILE))?;
    let Some(names) = pairs::names(&rows) else {
        let words = "its rows have no sides; to compare two of its targets give FOLDER:TARGET twice";
        return Err(CompareError::Usage(format!("{}: {words}", folder.display())));
    };
    Ok(Stored { rows, names, warnings: warnings_of(folder), folder: Some(folder.to_owned()) })
}

/// What a run's manifest warns of.
fn warnings_of(folder: &Path) -> Vec<String> {
    // A folder without a manifest has nothing to warn of.
    manifest::read(&folder.join(manifest::FILE)).map(|it| it.warnings).unwrap_or_default()
}

fn two(a: &(PathBuf, Option<&str>), b: &(PathBuf, Option<&str>)) -> Result<Stored, CompareError> {
    let (rows_a, rows_b) = (side(a, SIDES[0])?, side(b, SIDES[1])?);
    let workloads = |rows: &[Row]| rows.iter().map(|it| it.workload.clone()).collect::<std::collections::BTreeSet<_>>();
    let (of_a, of_b) = (workloads(&rows_a), workloads(&rows_b));
    if of_a.is_disjoint(&of_b) {
        let list = |it: &std::collections::BTreeSet<String>| it.iter().cloned().collect::<Vec<_>>().join(", ");
        let words = format!("no workload is in both: A has {}, B has {}", list(&of_a), list(&of_b));
        return Err(CompareError::Usage(words));
    }
    let names = [&rows_a, &rows_b].map(|it| it.first().map(|row| row.target.clone()).unwrap_or_default());
    let names = if names[0] == names[1] { [a, b].map(|it| it.0.display().to_string()) } else { names };
    let warnings = std::iter::once(APART.to_owned()).chain(differing(&rows_a, &rows_b)).collect();
    Ok(Stored { rows: rows_a.into_iter().chain(rows_b).collect(), names, warnings, folder: None })
}

/// The rows of one subject, as a side: its rounds of a workload in their order are pairs.
fn side((folder, target): &(PathBuf, Option<&str>), side: &str) -> Result<Vec<Row>, CompareError> {
    let all: Vec<Row> = rows::read(&folder.join(rows::FILE))?.into_iter().filter(|it| it.role == "subject").collect();
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
    Ok(rows)
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
        let differs = |column: &&&str| row.figure(column) != other.figure(column);
        found.extend(SETTINGS.iter().filter(differs).map(|column| {
            let text = |it: Option<f64>| it.map_or_else(|| "nothing".to_owned(), |it| it.to_string());
            format!(
                "{}: {column} is {} for A and {} for B",
                row.workload,
                text(row.figure(column)),
                text(other.figure(column))
            )
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
        assert!(refused(&[two, "ringlog".to_owned()]).contains("two of a kind"));
        assert!(of(&["ringlog".to_owned(), "kafka:4.3.1".to_owned()]).unwrap().is_none());
        std::fs::remove_dir_all(dir).unwrap();
    }
}
