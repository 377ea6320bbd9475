//! Interval logs of HdrHistogram (V2): whole histograms, so that runs can be merged exactly and any percentile can be read
//! later. `--hdr-log` of the perf tools and latency.hlog of a run are written here.
//!
//! ```text
//!   #values in nanoseconds
//!   #[StartTime: ..]  #[BaseTime: ..]
//!   Tag=<tag>,<start>,<length>,<maximum>,<base64 of the histogram>        a line per second and kind
//! ```
//!
//! Invariants:
//! - A line holds the records whose answers were seen in its second, counted from the log's beginning.
//! - A line is written whole, when its second is over, and never changed: what was written stays readable.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, IntervalLogWriterBuilder, LogEntry, Tag};
use hdrhistogram::serialization::{Deserializer, V2DeflateSerializer};

use super::Latencies;

/// Why a log cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct HlogError {
    /// Which file.
    path: PathBuf,
    /// The system's words, or what is wrong with a line.
    reason: String,
}

impl HlogError {
    fn of(path: &Path) -> impl Fn(&dyn std::fmt::Display) -> Self + '_ {
        |reason| Self { path: path.to_owned(), reason: reason.to_string() }
    }
}

/// One of the histograms of a second, and its name in tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// From the intended moment.
    Response,
    /// From the sending.
    Service,
    /// A consumer's: from the record's timestamp to its reading.
    EndToEnd,
}

/// What a producer logs.
pub const PRODUCER_KINDS: &[Kind] = &[Kind::Response, Kind::Service];
/// What a consumer logs.
pub const CONSUMER_KINDS: &[Kind] = &[Kind::EndToEnd];

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Response => Latencies::RESPONSE_TAG,
            Self::Service => Latencies::SERVICE_TAG,
            Self::EndToEnd => "end-to-end",
        }
    }

    fn of(self, latencies: &Latencies) -> &Histogram<u64> {
        if self == Self::Service { &latencies.service } else { &latencies.response }
    }
}

/// A log that is open: a file, or lines in memory that are to become part of one.
pub struct Hlog<W = File> {
    path: PathBuf,
    out: W,
    serializer: V2DeflateSerializer,
    line: Vec<u8>,
}

impl Hlog<Vec<u8>> {
    /// Lines in memory, a kilobyte or two each.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { path: "(memory)".into(), out: Vec::new(), serializer: V2DeflateSerializer::new(), line: Vec::new() }
    }

    /// The lines.
    #[must_use]
    pub fn into_lines(self) -> Vec<u8> {
        self.out
    }
}

impl Hlog {
    /// Begins a log in an empty file. Starts of lines are counted from `began`.
    pub fn begin(path: &Path, file: File, began: SystemTime) -> Result<Self, HlogError> {
        let mut log = Self::resume(path, file);
        let mut head = IntervalLogWriterBuilder::new();
        head.add_comment("values in nanoseconds").with_start_time(began).with_base_time(began);
        let begun = head.begin_log_with(&mut log.line, &mut log.serializer).map(|_| ());
        begun.and_then(|()| log.out.write_all(&log.line)).map_err(|error| HlogError::of(path)(&error))?;
        Ok(log)
    }

    /// Goes on with a log that was begun; the file stands at its end.
    #[must_use]
    pub fn resume(path: &Path, file: File) -> Self {
        Self { path: path.to_owned(), out: file, serializer: V2DeflateSerializer::new(), line: Vec::new() }
    }

    /// What was written is on the disk when this returns.
    pub fn sync(&mut self) -> Result<(), HlogError> {
        self.out.sync_data().map_err(|error| HlogError::of(&self.path)(&error))
    }

    /// Appends lines that were written in memory.
    pub fn append(&mut self, lines: &[u8]) -> Result<(), HlogError> {
        self.out.write_all(lines).map_err(|error| HlogError::of(&self.path)(&error))
    }
}

impl<W: Write> Hlog<W> {
    /// Writes a second's histograms, those that hold something. Tags are `stem` and the kind's name.
    pub fn write(
        &mut self,
        stem: &str,
        start: Duration,
        latencies: &Latencies,
        kinds: &[Kind],
    ) -> Result<(), HlogError> {
        kinds.iter().try_for_each(|kind| {
            let histogram = kind.of(latencies);
            if histogram.is_empty() {
                return Ok(());
            }
            self.write_line(&format!("{stem}{}", kind.name()), start, histogram)
        })
    }

    fn write_line(&mut self, tag: &str, start: Duration, histogram: &Histogram<u64>) -> Result<(), HlogError> {
        let fail = HlogError::of(&self.path);
        let tag = Tag::new(tag).ok_or_else(|| fail(&format!("not a tag: {tag:?}")))?;
        self.line.clear();
        let mut line = IntervalLogWriterBuilder::new()
            .begin_log_with(&mut self.line, &mut self.serializer)
            .map_err(|error| fail(&error))?;
        line.write_histogram(histogram, start, Duration::from_secs(1), Some(tag)).map_err(|error| fail(&error))?;
        self.out.write_all(&self.line).map_err(|error| fail(&error))
    }
}

/// A line of a log.
#[derive(Clone, Debug)]
pub struct Interval {
    /// Whose it is.
    pub tag: String,
    /// Its beginning, counted from the log's.
    pub start: Duration,
    /// Nanoseconds.
    pub histogram: Histogram<u64>,
}

/// Reads a log, line by line. What was given before an error is whole.
#[allow(clippy::disallowed_methods, reason = "a kept result, read after the run")]
pub fn read_intervals(path: &Path, mut each: impl FnMut(Interval) -> Result<(), HlogError>) -> Result<(), HlogError> {
    let fail = HlogError::of(path);
    let bytes = std::fs::read(path).map_err(|error| fail(&error))?;
    for entry in IntervalLogIterator::new(&bytes) {
        let LogEntry::Interval(line) = entry.map_err(|error| fail(&format!("{error:?}")))? else { continue };
        let tag = line.tag().map_or(String::new(), |it| it.as_str().to_owned());
        let packed = BASE64.decode(line.encoded_histogram()).map_err(|error| fail(&format!("{tag}: {error}")))?;
        let histogram = Deserializer::new().deserialize(&mut packed.as_slice());
        let histogram = histogram.map_err(|error| fail(&format!("{tag}: {error}")))?;
        each(Interval { tag, start: line.start_timestamp(), histogram })?;
    }
    Ok(())
}

/// Reads a log and merges the lines of each tag, in order of their first line.
pub fn read_merged(path: &Path) -> Result<Vec<(String, Histogram<u64>)>, HlogError> {
    let mut merged: Vec<(String, Histogram<u64>)> = Vec::new();
    read_intervals(path, |line| merge(&mut merged, line).map_err(|error| HlogError::of(path)(&error)))?;
    Ok(merged)
}

fn merge(merged: &mut Vec<(String, Histogram<u64>)>, line: Interval) -> Result<(), String> {
    let Interval { tag, mut histogram, .. } = line;
    match merged.iter_mut().find(|it| it.0 == tag) {
        Some((_, sum)) => sum.add(histogram).map_err(|error| format!("{tag}: {error}")),
        None => {
            histogram.auto(true);
            merged.push((tag, histogram));
            Ok(())
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "writes a file to read it back")]
mod tests {
    use super::*;
    use crate::measure::{Sample, SampleSink as _};
    use crate::results::tests::scratch;

    fn latencies(samples: std::ops::Range<u64>) -> Latencies {
        let mut latencies = Latencies::new();
        for at in samples {
            latencies.sample(&Sample { intended_ns: 0, sent_ns: 1000, done_ns: 1000 * (at + 2), bytes: 1 });
        }
        latencies
    }

    fn log(name: &str) -> (PathBuf, Hlog) {
        let path = scratch(name).join("run.hlog");
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let log = Hlog::begin(&path, File::create(&path).unwrap(), began).unwrap();
        (path, log)
    }

    #[test]
    fn the_log_holds_every_sample_under_its_tag_and_seconds_merge_to_the_whole_run() {
        let (path, mut log) = log("hlog");
        for second in 0..3 {
            log.write("w.t.1.", Duration::from_secs(second), &latencies(0..100 * second), PRODUCER_KINDS).unwrap();
        }
        let merged = read_merged(&path).unwrap();
        let shape: Vec<(&str, u64)> = merged.iter().map(|(tag, histogram)| (tag.as_str(), histogram.len())).collect();
        assert_eq!(shape, [("w.t.1.response", 300), ("w.t.1.service", 300)]);
        assert!(merged[0].1.max() > merged[1].1.max());
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("#values in nanoseconds\n#[StartTime: 1700000000.000"), "{text}");
        let first = text.lines().find(|line| line.starts_with("Tag=")).unwrap();
        assert!(first.starts_with("Tag=w.t.1.response,1.000,1.000,"), "a second without samples has no line: {first}");
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_tag_with_a_comma_is_refused_and_so_is_a_line_that_was_cut() {
        let (path, mut log) = log("hlog-tag");
        let error = log.write("a,b.", Duration::ZERO, &latencies(0..1), PRODUCER_KINDS).unwrap_err();
        assert!(error.to_string().contains("a,b."), "{error}");
        log.write("", Duration::ZERO, &latencies(0..1), CONSUMER_KINDS).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 8]).unwrap();
        assert!(read_merged(&path).unwrap_err().to_string().contains("run.hlog"));
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
}
