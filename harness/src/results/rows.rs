//! rows.csv: a row for each trial, appended and synced when the trial ends.
//!
//! Invariants: a row that was appended is never rewritten; a run that is killed keeps every row that was appended; a last
//! line that was cut in the middle is no row.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::columns::{COLUMNS, Row, SCHEMA, header};
use super::{ResultsError, RunFolder, older};

/// The file's name within a run's folder.
pub const FILE: &str = "rows.csv";
/// Columns that are named where many are missing.
const NAMED_MAX: usize = 4;

/// Appends rows to a run's file.
#[derive(Debug)]
pub struct RowWriter {
    path: PathBuf,
    file: File,
}

impl RowWriter {
    /// A new file with its header, on the disk.
    pub fn create(folder: &RunFolder) -> Result<Self, ResultsError> {
        let (path, file) = folder.new_file(FILE)?;
        let mut writer = Self { path, file };
        writer.put(format!("{}\n", header()).as_bytes())?;
        Ok(writer)
    }

    /// Goes on with the file of a run that was stopped; gives what it has. A line that was cut goes.
    pub fn resume(folder: &RunFolder) -> Result<(Self, Vec<Row>), ResultsError> {
        let path = folder.path().join(FILE);
        let (file, text) = super::open_at_last_line(&path)?;
        let found = text.lines().next().unwrap_or_default();
        if found != header() {
            return Err(ResultsError::Header { path, what: other_version(found) });
        }
        let rows = read_text(&path, &text)?;
        Ok((Self { path, file }, rows))
    }

    /// Appends the rows of a trial; they are on the disk when this returns.
    pub fn append(&mut self, rows: &[Row]) -> Result<(), ResultsError> {
        let mut lines = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        for row in rows {
            lines.serialize(row).map_err(|source| ResultsError::Csv { path: self.path.clone(), source })?;
        }
        let bytes = lines.into_inner().map_err(|error| ResultsError::io(&self.path)(error.into_error()))?;
        self.put(&bytes)
    }

    /// One write: the rows of a trial are there or they are not.
    fn put(&mut self, bytes: &[u8]) -> Result<(), ResultsError> {
        let done = self.file.write_all(bytes).and_then(|()| self.file.sync_data());
        done.map_err(ResultsError::io(&self.path))
    }
}

/// Reads a file, of this version's columns or of an older one's.
pub fn read(path: &Path) -> Result<Vec<Row>, ResultsError> {
    read_text(path, &whole_lines(path)?)
}

/// The same, and in words what somebody has to know who makes something of the rows: what an older version did not have, and
/// figures that are none.
pub fn read_told(path: &Path) -> Result<(Vec<Row>, Vec<String>), ResultsError> {
    let text = whole_lines(path)?;
    let rows = read_text(path, &text)?;
    let older = rows.iter().map(|it| it.schema).filter(|it| *it < SCHEMA).min();
    let told = older.and_then(|schema| absent(text.lines().next().unwrap_or_default(), schema));
    let told = told.into_iter().chain(no_numbers(&rows)).map(|it| format!("{}: {it}", path.display())).collect();
    Ok((rows, told))
}

fn whole_lines(path: &Path) -> Result<String, ResultsError> {
    let mut text = std::fs::read_to_string(path).map_err(ResultsError::io(path))?;
    text.truncate(text.rfind('\n').map_or(text.len(), |it| it + 1));
    Ok(text)
}

fn read_text(path: &Path, text: &str) -> Result<Vec<Row>, ResultsError> {
    let found = text.lines().next().unwrap_or_default();
    let wrong = |source| ResultsError::Csv { path: path.to_owned(), source };
    if let Some(rows) = older::read(found, text) {
        return rows.map_err(wrong);
    }
    if let Some((line, found)) = newer(text).map_err(wrong)? {
        return Err(ResultsError::Newer { path: path.to_owned(), line, found, reads: SCHEMA });
    }
    if let Some(what) = foreign(found) {
        return Err(ResultsError::Header { path: path.to_owned(), what });
    }
    csv::Reader::from_reader(text.as_bytes()).deserialize().collect::<Result<Vec<Row>, csv::Error>>().map_err(wrong)
}

/// Line and schema of the first row that a later version wrote.
fn newer(text: &str) -> Result<Option<(usize, u32)>, csv::Error> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    if reader.headers()?.get(0) != Some("schema") {
        return Ok(None);
    }
    for (at, record) in reader.records().enumerate() {
        let schema = record?.get(0).and_then(|it| it.parse::<u32>().ok());
        if let Some(schema) = schema.filter(|it| *it > SCHEMA) {
            return Ok(Some((at + 2, schema)));
        }
    }
    Ok(None)
}

/// Why a first line is none of rows; `None` where it is, of this version or with fewer columns.
fn foreign(found: &str) -> Option<String> {
    let first = found.split(',').next().unwrap_or_default();
    if first != "schema" {
        let first: String = first.chars().take(40).collect();
        return Some(format!(
            "its first column is {first:?}, and rows begin with \"schema\": give the rows.csv of a run, or its folder"
        ));
    }
    let is_known = |name: &&str| COLUMNS.iter().any(|it| it.name == *name);
    let unknown: String = found.split(',').find(|it| !is_known(it))?.chars().take(40).collect();
    let distance = |it: &&str| strsim::damerau_levenshtein(&unknown, it);
    let nearest = COLUMNS.iter().map(|it| it.name).min_by_key(distance).unwrap_or_default();
    Some(format!(
        "schema {SCHEMA}, which this version reads, has no column {unknown:?} (the nearest is {nearest}): read it with the version \
         that wrote it, or take the column out"
    ))
}

/// What is different about the columns of a run that another version began.
fn other_version(found: &str) -> String {
    let missing = COLUMNS.iter().find(|it| found.split(',').all(|name| name != it.name));
    let what = missing.map_or_else(
        || foreign(found).unwrap_or_else(|| "its columns are in another order".to_owned()),
        |it| format!("it has no column {}, which schema {SCHEMA} has", it.name),
    );
    format!("{what}: go on with the version that began the run, or begin a new one")
}

/// Which columns rows of an older version do not have.
fn absent(found: &str, schema: u32) -> Option<String> {
    let absent: Vec<&str> =
        COLUMNS.iter().map(|it| it.name).filter(|it| found.split(',').all(|name| name != *it)).collect();
    let named = absent.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
    let more = absent.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!absent.is_empty())
        .then(|| format!("rows of schema {schema} (this version writes {SCHEMA}): empty in them are {named}{more}"))
}

/// Columns with figures that are none, and how many.
fn no_numbers(rows: &[Row]) -> Vec<String> {
    let count = |column: &str| rows.iter().filter(|it| it.is_no_number(column)).count();
    let told = COLUMNS.iter().map(|it| (it.name, count(it.name))).filter(|it| it.1 > 0);
    told.map(|(name, count)| format!("{name} is no number (NaN, inf) in {count} of {} rows: left out", rows.len()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::columns::validity;
    use super::super::tests::scratch;
    use super::super::{latency, manifest};
    use super::*;

    fn row(round: u32) -> Row {
        Row {
            schema: SCHEMA,
            time: "2026-01-02T03:04:05Z".to_owned(),
            workload: "produce-1k".to_owned(),
            target: "ringlog".to_owned(),
            round,
            validity: validity::INVALID.to_owned(),
            why: "the broker said: \"no\", and ended".to_owned(),
            records: Some(7),
            mb_s: Some(0.1 + 0.2),
            ..Row::default()
        }
    }

    #[test]
    fn rows_come_back_as_they_were_appended() {
        let dir = scratch("rows");
        let folder = RunFolder::create(&dir, "d", "h", "t").unwrap();
        let mut writer = RowWriter::create(&folder).unwrap();
        writer.append(&[row(1), Row::default()]).unwrap();
        assert_eq!(read(&folder.path().join(FILE)).unwrap(), [row(1), Row::default()]);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_run_that_was_killed_in_the_middle_of_a_line_goes_on_after_the_last_whole_one() {
        let dir = scratch("resume");
        let folder = RunFolder::create(&dir, "d", "h", "t").unwrap();
        let mut writer = RowWriter::create(&folder).unwrap();
        writer.append(&[row(1)]).unwrap();
        let path = folder.path().join(FILE);
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}2,2026-01-02T0")).unwrap();
        assert_eq!(read(&path).unwrap(), [row(1)]);
        let (mut writer, rows) = RowWriter::resume(&folder).unwrap();
        assert_eq!(rows.len(), 1);
        writer.append(&[row(2)]).unwrap();
        let rounds: Vec<u32> = read(&path).unwrap().iter().map(|it| it.round).collect();
        assert_eq!(rounds, [1, 2]);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_file_with_other_columns_is_refused_by_name_and_one_with_fewer_is_read() {
        let dir = scratch("header");
        let path = dir.join(FILE);
        std::fs::write(&path, header().replace("mb_s", "mib_s")).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("\"mib_s\" (the nearest is mb_s)") && error.contains("rows.csv"), "{error}");
        assert!(error.len() < 400, "not every column there is: {error}");
        std::fs::write(&path, "a,b\n1,2\n").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("first column is \"a\"") && error.contains("the rows.csv of a run"), "{error}");
        std::fs::write(&path, "schema,workload,mb_s\n2,w,5.5\n").unwrap();
        let (rows, told) = read_told(&path).unwrap();
        assert_eq!(rows[0].mb_s, Some(5.5));
        assert!(told[0].contains("rows of schema 2") && told[0].contains("time, commit, branch"), "{told:?}");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn rows_of_a_later_version_are_refused_by_line_and_schema() {
        let dir = scratch("newer");
        let path = dir.join(FILE);
        for columns in ["workload,mb_s", "workload,other"] {
            std::fs::write(&path, format!("schema,{columns}\n{SCHEMA},w,5.5\n99,w,5.5\n")).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains("line 3 is of schema 99") && error.contains(&format!("up to {SCHEMA}")), "{error}");
        }
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_figure_that_is_no_number_is_left_out_and_counted() {
        let dir = scratch("no-number");
        let path = dir.join(FILE);
        std::fs::write(&path, format!("schema,workload,mb_s\n{SCHEMA},w,NaN\n{SCHEMA},w,inf\n{SCHEMA},w,1\n")).unwrap();
        let (rows, told) = read_told(&path).unwrap();
        let figures: Vec<Option<f64>> = rows.iter().map(|it| it.figure("mb_s")).collect();
        assert_eq!(figures, [None, None, Some(1.0)]);
        assert!(told.iter().any(|it| it.contains("mb_s is no number (NaN, inf) in 2 of 3 rows")), "{told:?}");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn every_run_that_was_kept_is_readable() {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results");
        let folders: Vec<PathBuf> = std::fs::read_dir(kept).unwrap().map(|it| it.unwrap().path()).collect();
        let folders: Vec<PathBuf> = folders.into_iter().filter(|it| it.is_dir()).collect();
        assert!(folders.len() >= 4, "{folders:?}");
        for folder in folders {
            let rows = read(&folder.join(FILE)).unwrap();
            assert!(!rows.is_empty(), "{}", folder.display());
            let manifest = manifest::read(&folder.join(manifest::FILE)).unwrap();
            assert!(manifest.began.starts_with("20") && !manifest.target.is_empty(), "{manifest:?}");
            let log = folder.join(latency::FILE);
            assert!(!log.exists() || !crate::measure::hlog::read_merged(&log).unwrap().is_empty());
            for row in rows {
                assert!(row.schema >= 1 && !row.workload.is_empty() && !row.target.is_empty(), "{row:?}");
                assert!(!row.is_measured() || row.mb_s.is_some_and(|it| it > 0.0), "{row:?}");
            }
        }
    }
}
