//! latency.hlog: a run's whole histograms, as [`crate::measure::hlog`] writes them. Tags name workload, target, round and kind:
//! `produce-1k.ringlog.1.response`. `response` counts from the intended moment, `service` from the sending.

use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;

use super::{ResultsError, RunFolder};
use crate::measure::hlog::Hlog;

/// The file's name within a run's folder.
pub const FILE: &str = "latency.hlog";

/// One line of the log.
#[derive(Clone, Debug)]
pub struct Interval {
    /// `<workload>.<target>.<round>.<response|service>`; no commas and no blanks.
    pub tag: String,
    /// Its beginning, counted from the run's beginning.
    pub start: Duration,
    /// Values in nanoseconds.
    pub histogram: Histogram<u64>,
}

/// Appends intervals to a run's log.
pub struct LatencyWriter(Hlog);

impl LatencyWriter {
    /// A new log of a run that began then.
    pub fn create(folder: &RunFolder, began: SystemTime) -> Result<Self, ResultsError> {
        let (path, file) = folder.new_file(FILE)?;
        Ok(Self(Hlog::begin(&path, file, began)?))
    }

    /// Goes on with the log of a run that was stopped. A line that was cut goes.
    pub fn resume(folder: &RunFolder) -> Result<Self, ResultsError> {
        let path = folder.path().join(FILE);
        let file = super::open_at_last_line(&path)?.0;
        Ok(Self(Hlog::resume(&path, file)))
    }

    /// Appends intervals; they are on the disk when this returns.
    pub fn append(&mut self, intervals: &[Interval]) -> Result<(), ResultsError> {
        for Interval { tag, start, histogram } in intervals {
            self.0.write_histogram(tag, *start, histogram)?;
        }
        Ok(self.0.sync()?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::scratch;
    use super::*;
    use crate::measure::hlog::read_merged;

    fn interval(tag: &str, second: u64, values: std::ops::Range<u64>) -> Interval {
        let mut histogram = Histogram::new(3).unwrap();
        values.for_each(|it| histogram.record(it * 1000).unwrap());
        Interval { tag: tag.to_owned(), start: Duration::from_secs(second), histogram }
    }

    #[test]
    fn a_log_goes_on_after_its_last_whole_line_and_a_tag_s_intervals_are_one_run() {
        let dir = scratch("latency");
        let folder = RunFolder::create(&dir, "d", "h", "t").unwrap();
        let log = [
            interval("latency.ringlog.1.response", 1, 501..1001),
            interval("latency.ringlog.1.response", 0, 1..501),
            interval("latency.ringlog.1.service", 0, 1..11),
        ];
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        LatencyWriter::create(&folder, began).unwrap().append(&log[..2]).unwrap();
        let path = folder.path().join(FILE);
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}Tag=cut,0.0,1.0")).unwrap();
        LatencyWriter::resume(&folder).unwrap().append(&log[2..]).unwrap();
        let merged = read_merged(&path).unwrap();
        assert_eq!(merged.len(), 2);
        let (tag, response) = &merged[0];
        assert_eq!((tag.as_str(), response.len()), ("latency.ringlog.1.response", 1000));
        let p99 = response.value_at_quantile(0.99);
        assert!((989_000..=991_000).contains(&p99), "{p99}");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
