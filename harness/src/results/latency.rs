//! latency.hlog: whole histograms, so that runs can be merged exactly and any percentile can be read later.
//!
//! HdrHistogram log V2. Values are nanoseconds, the printed maximum too (no divisor). Tags name workload, target, round
//! and kind: `produce-1k.ringlog.1.response`. `response` counts from the intended moment, `service` from the sending.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::{ResultsError, RunFolder};

/// The file's name within a run's folder.
pub const FILE: &str = "latency.hlog";

/// One line of the log.
#[derive(Clone, Debug)]
pub struct Interval {
    /// `<workload>.<target>.<round>.<response|service>`; no commas and no blanks.
    pub tag: String,
    /// Its beginning, counted from the run's beginning.
    pub start: Duration,
    /// Its length.
    pub length: Duration,
    /// Values in nanoseconds.
    pub histogram: Histogram<u64>,
}

/// Appends intervals to a run's log.
pub struct LatencyWriter {
    path: PathBuf,
    file: File,
    serializer: V2DeflateSerializer,
}

impl LatencyWriter {
    /// A new log of a run that began then.
    pub fn create(folder: &RunFolder, began: SystemTime) -> Result<Self, ResultsError> {
        let (path, file) = folder.new_file(FILE)?;
        let mut writer = Self { path, file, serializer: V2DeflateSerializer::new() };
        let mut builder = IntervalLogWriterBuilder::new();
        builder.add_comment("values in nanoseconds").with_start_time(began).with_base_time(began);
        let mut header = Vec::new();
        let begun = builder.begin_log_with(&mut header, &mut writer.serializer).map(drop);
        begun.map_err(ResultsError::io(&writer.path))?;
        writer.put(&header)?;
        Ok(writer)
    }

    /// Goes on with the log of a run that was stopped. A line that was cut goes.
    pub fn resume(folder: &RunFolder) -> Result<Self, ResultsError> {
        let path = folder.path().join(FILE);
        let file = super::open_at_last_line(&path)?.0;
        Ok(Self { path, file, serializer: V2DeflateSerializer::new() })
    }

    /// Appends intervals; they are on the disk when this returns.
    pub fn append(&mut self, intervals: &[Interval]) -> Result<(), ResultsError> {
        let mut lines = Vec::new();
        let mut log = IntervalLogWriterBuilder::new()
            .begin_log_with(&mut lines, &mut self.serializer)
            .map_err(ResultsError::io(&self.path))?;
        for interval in intervals {
            let fail = |reason: String| ResultsError::Histogram { path: self.path.clone(), reason };
            let tag = Tag::new(&interval.tag).ok_or_else(|| fail(format!("not a tag: {:?}", interval.tag)))?;
            log.write_histogram(&interval.histogram, interval.start, interval.length, Some(tag))
                .map_err(|error| fail(format!("{}: {error:?}", interval.tag)))?;
        }
        drop(log);
        // What comes before the first interval is the header, which the file has.
        let at = lines.windows(TAG.len()).position(|it| it == TAG).unwrap_or(lines.len());
        self.put(&lines[at..])
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), ResultsError> {
        let done = self.file.write_all(bytes).and_then(|()| self.file.sync_data());
        done.map_err(ResultsError::io(&self.path))
    }
}

/// What every line of ours begins with.
const TAG: &[u8] = b"Tag=";

/// Reads the log back and merges the intervals of each tag, in order of their first line.
pub fn read_merged(path: &Path) -> Result<Vec<(String, Histogram<u64>)>, ResultsError> {
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
    let bytes = std::fs::read(path).map_err(ResultsError::io(path))?;
    let fail = |reason: String| ResultsError::Histogram { path: path.to_owned(), reason };
    let mut merged: Vec<(String, Histogram<u64>)> = Vec::new();
    for entry in IntervalLogIterator::new(&bytes) {
        let LogEntry::Interval(line) = entry.map_err(|error| fail(format!("{error:?}")))? else { continue };
        let tag = line.tag().map_or(String::new(), |it| it.as_str().to_owned());
        let packed = base64_decoded(line.encoded_histogram()).ok_or_else(|| fail(format!("{tag}: not base64")))?;
        let mut histogram: Histogram<u64> = Deserializer::new()
            .deserialize(&mut packed.as_slice())
            .map_err(|error| fail(format!("{tag}: {error:?}")))?;
        histogram.auto(true);
        match merged.iter_mut().find(|it| it.0 == tag) {
            Some((_, sum)) => sum.add(histogram).map_err(|error| fail(format!("{tag}: {error:?}")))?,
            None => merged.push((tag, histogram)),
        }
    }
    Ok(merged)
}

/// Standard base64 (RFC 4648, section 4).
fn base64_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0u32);
    for symbol in text.trim_end_matches('=').bytes() {
        let value = match symbol {
            b'A'..=b'Z' => symbol - b'A',
            b'a'..=b'z' => symbol - b'a' + 26,
            b'0'..=b'9' => symbol - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::tests::scratch;
    use super::*;

    fn interval(tag: &str, second: u64, values: std::ops::Range<u64>) -> Interval {
        let mut histogram = Histogram::new(3).unwrap();
        values.for_each(|it| histogram.record(it * 1000).unwrap());
        let start = Duration::from_secs(second);
        Interval { tag: tag.to_owned(), start, length: Duration::from_secs(1), histogram }
    }

    #[test]
    fn intervals_of_a_tag_merge_to_the_whole_run() {
        let dir = scratch("hlog");
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
        let merged = read_merged(&folder.path().join(FILE)).unwrap();
        assert_eq!(merged.len(), 2);
        let (tag, response) = &merged[0];
        assert_eq!((tag.as_str(), response.len()), ("latency.ringlog.1.response", 1000));
        let p99 = response.value_at_quantile(0.99);
        assert!((989_000..=991_000).contains(&p99), "{p99}");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_tag_with_a_comma_is_refused() {
        let dir = scratch("tag");
        let folder = RunFolder::create(&dir, "d", "h", "t").unwrap();
        let mut writer = LatencyWriter::create(&folder, SystemTime::UNIX_EPOCH).unwrap();
        let error = writer.append(&[interval("a,b", 0, 1..2)]).unwrap_err();
        assert!(error.to_string().contains("a,b"));
        std::fs::remove_dir_all(dir).unwrap();
    }
}
