//! `--hdr-log`: an HdrHistogram interval log (V2), written while the run goes on: one histogram per second and kind, tags
//! `response` and `service` (`end-to-end` of a consumer). Values are nanoseconds, the printed maximum too.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriter, IntervalLogWriterBuilder, Tag};

use crate::cli::PerfError;
use crate::measure::Latencies;

/// What a log is written with. It outlives the [`HdrLog`] that borrows it.
pub(crate) struct HdrFile {
    path: String,
    file: File,
    serializer: V2DeflateSerializer,
}

/// A log that is open.
pub(crate) struct HdrLog<'a> {
    path: &'a str,
    kinds: &'static [Kind],
    log: IntervalLogWriter<'a, 'a, File, V2DeflateSerializer>,
}

/// One of the two histograms, and the tag it has in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Response,
    Service,
    /// A consumer's: from the record's timestamp to its reading.
    EndToEnd,
}

/// What a producer logs.
pub(crate) const PRODUCER_KINDS: &[Kind] = &[Kind::Response, Kind::Service];
/// What a consumer logs.
pub(crate) const CONSUMER_KINDS: &[Kind] = &[Kind::EndToEnd];

impl Kind {
    fn tag(self) -> &'static str {
        match self {
            Self::Response => Latencies::RESPONSE_TAG,
            Self::Service => Latencies::SERVICE_TAG,
            Self::EndToEnd => "end-to-end",
        }
    }
}

impl HdrFile {
    /// Makes the file, or empties it.
    // A file that the user names.
    #[allow(clippy::disallowed_methods)]
    pub(crate) fn create(path: &Path) -> Result<Self, PerfError> {
        let path_text = path.display().to_string();
        let file = File::create(path).map_err(|error| PerfError::Text(format!("--hdr-log {path_text}: {error}")))?;
        Ok(Self { path: path_text, file, serializer: V2DeflateSerializer::new() })
    }

    /// Begins the log of a run whose second 0 began at this time, milliseconds since 1970.
    pub(crate) fn begin(&mut self, wall_ms: i64, kinds: &'static [Kind]) -> Result<HdrLog<'_>, PerfError> {
        let began = UNIX_EPOCH + Duration::from_millis(u64::try_from(wall_ms).unwrap_or(0));
        let mut builder = IntervalLogWriterBuilder::new();
        builder.add_comment("values in nanoseconds").with_start_time(began).with_base_time(began);
        let path = self.path.as_str();
        let log = builder.begin_log_with(&mut self.file, &mut self.serializer);
        let log = log.map_err(|error| PerfError::Text(format!("--hdr-log {path}: {error}")))?;
        Ok(HdrLog { path, kinds, log })
    }
}

impl HdrLog<'_> {
    /// Writes the lines of a second. One without samples has none.
    pub(crate) fn write(&mut self, second: u64, latencies: &Latencies) -> Result<(), PerfError> {
        for kind in self.kinds {
            let histogram = if *kind == Kind::Service { &latencies.service } else { &latencies.response };
            if histogram.is_empty() {
                continue;
            }
            let (start, length) = (Duration::from_secs(second), Duration::from_secs(1));
            let written = self.log.write_histogram(histogram, start, length, Tag::new(kind.tag()));
            written.map_err(|error| PerfError::Text(format!("--hdr-log {}: {error:?}", self.path)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Sample, SampleSink as _};
    use crate::results::latency::read_merged;
    use crate::results::tests::scratch;

    #[test]
    fn the_log_holds_every_sample_under_its_tag() {
        let path = scratch("perf-hdr").join("run.hlog");
        let mut file = HdrFile::create(&path).unwrap();
        let mut log = file.begin(1_700_000_000_000, PRODUCER_KINDS).unwrap();
        for second in 0..3 {
            let mut latencies = Latencies::new();
            for at in 0..100 * second {
                latencies.sample(&Sample { intended_ns: 0, sent_ns: 1000, done_ns: 1000 * (at + 2), bytes: 1 });
            }
            log.write(second, &latencies).unwrap();
        }
        let merged = read_merged(&path).unwrap();
        let shape: Vec<(&str, u64)> = merged.iter().map(|(tag, histogram)| (tag.as_str(), histogram.len())).collect();
        assert_eq!(shape, [("response", 300), ("service", 300)]);
        assert!(merged[0].1.max() > merged[1].1.max());
    }
}
