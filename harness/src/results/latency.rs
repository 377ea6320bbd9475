//! latency.hlog: a run's whole histograms, as [`crate::measure::hlog`] writes them. Tags name workload, target, round and kind:
//! `produce-1k.ringlog.1.response`. `response` counts from the intended moment, `service` from the sending.

use std::time::SystemTime;

use super::{ResultsError, RunFolder};
use crate::measure::hlog::Hlog;

/// The file's name within a run's folder.
pub const FILE: &str = "latency.hlog";

/// What the tags of a trial's lines begin with; a kind's name follows.
#[must_use]
pub fn stem(workload: &str, target: &str, round: u32) -> String {
    format!("{workload}.{target}.{round}.")
}

/// Appends a trial's lines to a run's log.
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

    /// Appends lines; they are on the disk when this returns.
    pub fn append(&mut self, lines: &[u8]) -> Result<(), ResultsError> {
        self.0.append(lines)?;
        Ok(self.0.sync()?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::scratch;
    use super::*;
    use std::time::Duration;

    use crate::measure::hlog::{PRODUCER_KINDS, read_merged};
    use crate::measure::{Latencies, Sample, SampleSink as _};

    fn lines(second: u64, values: std::ops::Range<u64>) -> Vec<u8> {
        let (mut log, mut latencies) = (Hlog::in_memory(), Latencies::new());
        for at in values {
            latencies.sample(&Sample { intended_ns: 0, sent_ns: 0, done_ns: at * 1000, bytes: 1 });
        }
        log.write("latency.ringlog.1.", Duration::from_secs(second), &latencies, PRODUCER_KINDS).unwrap();
        log.into_lines()
    }

    #[test]
    fn a_log_goes_on_after_its_last_whole_line_and_a_tag_s_intervals_are_one_run() {
        let dir = scratch("latency");
        let folder = RunFolder::create(&dir, "d", "h", "t").unwrap();
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        LatencyWriter::create(&folder, began).unwrap().append(&lines(0, 1..501)).unwrap();
        let path = folder.path().join(FILE);
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}Tag=cut,0.0,1.0")).unwrap();
        LatencyWriter::resume(&folder).unwrap().append(&lines(1, 501..1001)).unwrap();
        let merged = read_merged(&path).unwrap();
        assert_eq!(merged.len(), 2);
        let (tag, response) = &merged[0];
        assert_eq!((tag.as_str(), response.len()), ("latency.ringlog.1.response", 1000));
        let p99 = response.value_at_quantile(0.99);
        assert!((989_000..=991_000).contains(&p99), "{p99}");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
