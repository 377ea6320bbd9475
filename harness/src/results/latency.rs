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

/// Appends trials' lines to a run's log. The first line makes the file: a run without latencies has none.
pub struct LatencyWriter {
    folder: RunFolder,
    began: SystemTime,
    log: Option<Hlog>,
}

impl LatencyWriter {
    /// The log of a new run that began then.
    #[must_use]
    pub fn create(folder: &RunFolder, began: SystemTime) -> Self {
        Self { folder: folder.clone(), began, log: None }
    }

    /// Goes on with the log of a run that began then and was stopped. A line that was cut goes.
    pub fn resume(folder: &RunFolder, began: SystemTime) -> Result<Self, ResultsError> {
        let path = folder.path().join(FILE);
        let mut writer = Self::create(folder, began);
        if path.exists() {
            let file = super::open_at_last_line(&path)?.0;
            writer.log = Some(Hlog::resume(&path, file));
        }
        Ok(writer)
    }

    /// Appends lines; they are on the disk when this returns.
    pub fn append(&mut self, lines: &[u8]) -> Result<(), ResultsError> {
        if lines.is_empty() {
            return Ok(());
        }
        let log = match &mut self.log {
            Some(log) => log,
            none => {
                let (path, file) = self.folder.new_file(FILE)?;
                none.insert(Hlog::begin(&path, file, self.began)?)
            }
        };
        log.append(lines)?;
        Ok(log.sync()?)
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
        let path = folder.path().join(FILE);
        LatencyWriter::create(&folder, began).append(&[]).unwrap();
        LatencyWriter::resume(&folder, began).unwrap().append(&[]).unwrap();
        assert!(!path.exists(), "a run without latencies");
        LatencyWriter::resume(&folder, began).unwrap().append(&lines(0, 1..501)).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}Tag=cut,0.0,1.0")).unwrap();
        LatencyWriter::resume(&folder, began).unwrap().append(&lines(1, 501..1001)).unwrap();
        let merged = read_merged(&path).unwrap();
        assert_eq!(merged.len(), 2);
        let (tag, response) = &merged[0];
        assert_eq!((tag.as_str(), response.len()), ("latency.ringlog.1.response", 1000));
        let p99 = response.value_at_quantile(0.99);
        assert!((989_000..=991_000).contains(&p99), "{p99}");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
