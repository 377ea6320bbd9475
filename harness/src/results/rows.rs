//! rows.csv: a row for each trial, appended and synced when the trial ends.
//!
//! Invariants: a row that was appended is never rewritten; a run that is killed keeps every row that was appended; a last
//! line that was cut in the middle is no row.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::columns::{COLUMNS, Row, header};
use super::{ResultsError, RunFolder, older};

/// The file's name within a run's folder.
pub const FILE: &str = "rows.csv";

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
            return Err(ResultsError::Header { path, found: found.to_owned(), expected: header() });
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
    let text = std::fs::read_to_string(path).map_err(ResultsError::io(path))?;
    let whole = text.rfind('\n').map_or(text.len(), |it| it + 1);
    read_text(path, &text[..whole])
}

fn read_text(path: &Path, text: &str) -> Result<Vec<Row>, ResultsError> {
    let found = text.lines().next().unwrap_or_default();
    if let Some(rows) = older::read(found, text) {
        return rows.map_err(|source| ResultsError::Csv { path: path.to_owned(), source });
    }
    let is_known = |name: &str| COLUMNS.iter().any(|it| it.name == name);
    if !found.starts_with("schema,") || !found.split(',').all(is_known) {
        return Err(ResultsError::Header { path: path.to_owned(), found: found.to_owned(), expected: header() });
    }
    let rows: Result<Vec<Row>, csv::Error> = csv::Reader::from_reader(text.as_bytes()).deserialize().collect();
    rows.map_err(|source| ResultsError::Csv { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::super::columns::{SCHEMA, validity};
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
        assert!(error.contains("mib_s") && error.contains("rows.csv"), "{error}");
        std::fs::write(&path, "schema,workload,mb_s\n2,w,5.5\n").unwrap();
        assert_eq!(read(&path).unwrap()[0].mb_s, Some(5.5));
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
