//! A run's folder, read for a report: what is there, and in words what is not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hdrhistogram::Histogram;

use crate::measure::Latencies;
use crate::measure::hlog::{self, HlogError};
use crate::results::{Manifest, ResultsError, Row, latency, manifest, rows};

/// A run as it was kept.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Its folder.
    pub folder: PathBuf,
    /// Its story.
    pub manifest: Manifest,
    /// Every row, ceilings and refused ones too.
    pub rows: Vec<Row>,
    /// What could not be read, in words.
    pub notes: Vec<String>,
    /// Latencies of trials, by their tags.
    pub(crate) timed: BTreeMap<String, Timed>,
}

/// A kind of latency of one trial.
#[derive(Clone, Debug)]
pub struct Timed {
    /// Of the whole trial, in nanoseconds.
    pub whole: Histogram<u64>,
    /// By its seconds.
    pub seconds: Vec<Second>,
}

/// A second of a trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Second {
    /// Its beginning, counted from the run's.
    pub start_s: f64,
    /// Records whose answers were seen in it.
    pub records: u64,
    /// 99 of 100 of them stayed below.
    pub p99_us: f64,
}

impl Kept {
    /// Reads a folder. A run of any version will do, and one that was killed.
    pub fn read(folder: &Path) -> Result<Self, ResultsError> {
        let folder = folder.canonicalize().map_err(ResultsError::io(folder))?;
        if folder.is_dir() && !folder.join(rows::FILE).exists() {
            return Err(ResultsError::NoRun(folder));
        }
        let mut kept = Self {
            manifest: manifest::read(&folder.join(manifest::FILE))?,
            rows: rows::read(&folder.join(rows::FILE))?,
            folder,
            ..Self::default()
        };
        kept.read_latencies();
        Ok(kept)
    }

    /// The folder's name.
    #[must_use]
    pub fn name(&self) -> String {
        self.folder.file_name().map_or_else(String::new, |it| it.to_string_lossy().into_owned())
    }

    /// A row's response times, from the moment a record was due; `None` where it has none, as a reader.
    #[must_use]
    pub fn response(&self, row: &Row) -> Option<&Timed> {
        self.timed(row, Latencies::RESPONSE_TAG)
    }

    /// A row's service times, from the moment a record was sent.
    #[must_use]
    pub fn service(&self, row: &Row) -> Option<&Timed> {
        self.timed(row, Latencies::SERVICE_TAG)
    }

    fn timed(&self, row: &Row, kind: &str) -> Option<&Timed> {
        self.timed.get(&format!("{}{kind}", latency::stem(&row.workload, &row.target, row.round)))
    }

    /// When a row's measured time began, in seconds from the run's beginning.
    #[must_use]
    pub fn start_s(&self, row: &Row) -> Option<f64> {
        let began: jiff::Timestamp = self.manifest.began.parse().ok()?;
        let start: jiff::Timestamp = row.time.parse().ok()?;
        Some(start.duration_since(began).as_secs_f64())
    }

    fn read_latencies(&mut self) {
        let path = self.folder.join(latency::FILE);
        if !path.exists() {
            let words = "has no latency.hlog: there are no percentile curves and nothing by the second";
            return self.notes.push(format!("This run {words}."));
        }
        let timed = &mut self.timed;
        let read = hlog::read_intervals(&path, |line| {
            add(timed, line);
            Ok::<(), HlogError>(())
        });
        if let Err(error) = read {
            self.notes.push(format!("latency.hlog is not whole, what comes before this is drawn: {error}"));
        }
    }
}

fn add(timed: &mut BTreeMap<String, Timed>, line: hlog::Interval) {
    let hlog::Interval { tag, start, mut histogram } = line;
    let second = Second {
        start_s: start.as_secs_f64(),
        records: histogram.len(),
        p99_us: histogram.value_at_quantile(0.99) as f64 / 1000.0,
    };
    match timed.get_mut(&tag) {
        Some(of) => {
            of.seconds.push(second);
            // The sum grows as it must: what one histogram holds, another of the same digits does too.
            let _ = of.whole.add(histogram);
        }
        None => {
            histogram.auto(true);
            drop(timed.insert(tag, Timed { whole: histogram, seconds: vec![second] }));
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "reads and writes result folders")]
pub(crate) mod tests {
    use super::*;
    use crate::results::tests::scratch;

    /// A run that was kept: two targets, four workloads.
    pub(crate) fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/2026-11-30-2c-24g-ext4-ringlog-vs-kafka-4.3.1")
    }

    #[test]
    fn a_row_finds_its_histogram_and_it_says_what_the_row_says() {
        let kept = Kept::read(&folder()).unwrap();
        let row = kept.rows.iter().find(|it| it.workload == "latency" && it.target == "kafka-4.3.1").unwrap();
        let timed = kept.response(row).unwrap();
        let p99 = timed.whole.value_at_quantile(0.99) as f64 / 1000.0;
        assert!((p99 - row.response_us_p99.unwrap()).abs() < 0.01 * p99, "{p99} {row:?}");
        // A row counts what was answered in the measured time, a histogram what was due in it.
        let records = timed.seconds.iter().map(|it| it.records).sum::<u64>();
        assert!(records == timed.whole.len() && records.abs_diff(row.records.unwrap()) < 500, "{records}");
        let start = kept.start_s(row).unwrap();
        assert!(timed.seconds.iter().all(|it| it.start_s > start - 2.0 && it.start_s < start + 6.0), "{timed:?}");
    }

    #[test]
    fn a_folder_without_histograms_or_with_half_of_them_is_read_and_says_so() {
        let dir = scratch("kept");
        for name in [manifest::FILE, rows::FILE] {
            std::fs::copy(folder().join(name), dir.join(name)).unwrap();
        }
        assert!(Kept::read(&dir).unwrap().notes[0].contains("no latency.hlog"));
        let log = std::fs::read_to_string(folder().join(latency::FILE)).unwrap();
        std::fs::write(dir.join(latency::FILE), &log[..log.len() / 2]).unwrap();
        let half = Kept::read(&dir).unwrap();
        assert!(half.notes[0].contains("not whole") && half.response(&half.rows[0]).is_some(), "{:?}", half.notes);
        std::fs::remove_file(dir.join(rows::FILE)).unwrap();
        assert!(Kept::read(&dir).unwrap_err().to_string().contains("rows.csv"));
        std::fs::remove_dir_all(dir).unwrap();
    }
}
