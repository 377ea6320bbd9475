//! The ledger's file: what a run wrote, as JSON, for whoever reads the topic back.
//!
//! ```text
//!   { "format": "ringlog-ledger", "version": 2, "topic": "t", "acknowledged_by": "broker", "resent": 0,
//!     "writers": [ { "writer": 7, "partitions": [
//!        { "partition": 0, "stamped": 1000, "acknowledged": [[0, 990]], "failed": [[995, 1000]], "aborted": [] } ] } ] }
//! ```
//!
//! Numbers are kept as ranges, the end exclusive: a run in order is one range, whatever its length. A file that does not
//! keep the invariants (ranges in order, none beyond `stamped`) is refused.

use std::io;
use std::path::Path;
use std::time::Duration;

use ringlog_wire::Uuid;
use serde::{Deserialize, Serialize};

use super::{Ranges, Verdict, WriteLedger, WrittenPartition};

const FORMAT: &str = "ringlog-ledger";
const VERSION: u32 = 2;
/// Kafka numbers partitions with an i32; no cluster has more than this in one topic.
const PARTITIONS_MAX: usize = 1 << 20;

/// Whose word makes a record an acknowledged one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AcknowledgedBy {
    /// The broker's answer for its batch (acks=1, acks=all).
    #[default]
    Broker,
    /// Nobody's (acks=0): what became of each record is unknown.
    Nobody,
    /// The coordinator's, that the record's transaction is committed. Who reads must read what is committed only.
    Commit {
        /// `transaction.timeout.ms`: a transaction that was left open hides what follows it for so long.
        transaction_timeout_ms: u64,
    },
}

/// A coordinator looks for transactions over their time every 10 s; and some more until the marker is read.
const MARKER_MAX: Duration = Duration::from_secs(15);

/// What a run wrote to a topic.
#[derive(Clone, Debug, Default)]
pub struct LedgerFile {
    /// The topic.
    pub topic: String,
    /// Its id when the first record was acknowledged; `None` where it is not known. One that was deleted and made anew has another.
    pub topic_id: Option<Uuid>,
    /// Whose word counts.
    pub acknowledged_by: AcknowledgedBy,
    /// Records that were sent again without idempotence: so many may be doubled or out of order. `None`: nobody knows.
    pub resent: Option<u64>,
    /// One ledger for each producer.
    pub writers: Vec<WriteLedger>,
}

impl LedgerFile {
    /// Whether what was read is what these writers had acknowledged. What a producer without idempotence sent again may be
    /// there twice, or after later ones: that is its own doing, and no broker's.
    #[must_use]
    pub fn explains(&self, verdict: &Verdict) -> bool {
        verdict.explained_by(self.resent.unwrap_or(u64::MAX))
    }

    /// The account of both, which wrote one after the other to one topic.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.writers.extend(other.writers);
        self.resent = self.resent.zip(other.resent).map(|(own, others)| own + others);
        self
    }

    /// Whether there was nothing that could have been lost, or read in spite of an abort: such a verdict says nothing of
    /// the broker.
    #[must_use]
    pub fn proves_nothing(&self, verdict: &Verdict) -> bool {
        match self.acknowledged_by {
            AcknowledgedBy::Broker => verdict.acknowledged == 0,
            AcknowledgedBy::Commit { .. } => verdict.acknowledged == 0 && verdict.aborted == 0,
            AcknowledgedBy::Nobody => verdict.read == 0,
        }
    }
}

/// Why a ledger's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerFileError {
    /// It cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: String,
        /// The system's words.
        source: io::Error,
    },
    /// It is no ledger.
    #[error("{path} is no ledger of this version: {reason}")]
    Format {
        /// Which file.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Document {
    format: String,
    version: u32,
    topic: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic_id: Option<String>,
    acknowledged_by: AcknowledgedBy,
    resent: Option<u64>,
    writers: Vec<Writer>,
}

#[derive(Serialize, Deserialize)]
struct Writer {
    writer: u32,
    partitions: Vec<Partition>,
}

#[derive(Serialize, Deserialize)]
struct Partition {
    partition: usize,
    stamped: u64,
    acknowledged: Vec<(u64, u64)>,
    failed: Vec<(u64, u64)>,
    aborted: Vec<(u64, u64)>,
}

impl LedgerFile {
    /// Writes it.
    // A file that the user names.
    #[allow(clippy::disallowed_methods)]
    pub fn write(&self, path: &Path) -> Result<(), LedgerFileError> {
        let text = serde_json::to_string(&self.document()).unwrap_or_default();
        std::fs::write(path, text + "\n").map_err(|source| LedgerFileError::Io { path: name(path), source })
    }

    /// Reads and checks one.
    #[allow(clippy::disallowed_methods)]
    pub fn read(path: &Path) -> Result<Self, LedgerFileError> {
        let bytes = std::fs::read(path).map_err(|source| LedgerFileError::Io { path: name(path), source })?;
        let wrong = |reason: String| LedgerFileError::Format { path: name(path), reason };
        let document: Document = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        Self::of(document).map_err(wrong)
    }

    /// Records that were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.writers.iter().map(WriteLedger::acknowledged_count).sum()
    }

    /// Whether a reader must leave out what is not committed.
    #[must_use]
    pub fn reads_committed(&self) -> bool {
        matches!(self.acknowledged_by, AcknowledgedBy::Commit { .. })
    }

    /// Records that a reader has to wait for: what was acknowledged and not read; without acknowledgements, whatever was
    /// sent and not read.
    #[must_use]
    pub fn missing(&self, verdict: &Verdict) -> u64 {
        match self.acknowledged_by {
            AcknowledgedBy::Broker | AcknowledgedBy::Commit { .. } => verdict.lost,
            AcknowledgedBy::Nobody => verdict.stamped.saturating_sub(verdict.read),
        }
    }

    /// How long nothing may come before what is missing is lost: not before a transaction that was left open is over.
    #[must_use]
    pub fn silence_max(&self, wanted: Duration) -> Duration {
        match self.acknowledged_by {
            AcknowledgedBy::Commit { transaction_timeout_ms } if self.has_unknown() => {
                wanted.max(Duration::from_millis(transaction_timeout_ms) + MARKER_MAX)
            }
            _ => wanted,
        }
    }

    fn has_unknown(&self) -> bool {
        self.writers.iter().flat_map(|writer| &writer.partitions).any(|partition| partition.unknown() > 0)
    }

    fn document(&self) -> Document {
        let partition = |(partition, written): (usize, &WrittenPartition)| Partition {
            partition,
            stamped: written.next_sequence,
            acknowledged: written.acknowledged.iter().collect(),
            failed: written.failed.iter().collect(),
            aborted: written.aborted.iter().collect(),
        };
        let writer = |ledger: &WriteLedger| Writer {
            writer: ledger.writer,
            partitions: ledger.partitions.iter().enumerate().map(partition).collect(),
        };
        Document {
            format: FORMAT.to_owned(),
            version: VERSION,
            topic: self.topic.clone(),
            topic_id: self.topic_id.map(|it| it.to_string()),
            acknowledged_by: self.acknowledged_by,
            resent: self.resent,
            writers: self.writers.iter().map(writer).collect(),
        }
    }

    fn of(document: Document) -> Result<Self, String> {
        if (document.format.as_str(), document.version) != (FORMAT, VERSION) {
            return Err(format!("it says {} {}, not {FORMAT} {VERSION}", document.format, document.version));
        }
        let writers: Result<Vec<WriteLedger>, String> = document.writers.into_iter().map(ledger_of).collect();
        let Document { topic, topic_id, acknowledged_by, resent, .. } = document;
        let id = |text: String| text.parse().map_err(|_| format!("{text} is no id of a topic"));
        let topic_id = topic_id.map(id).transpose()?;
        Ok(Self { topic, topic_id, acknowledged_by, resent, writers: writers? })
    }
}

fn ledger_of(writer: Writer) -> Result<WriteLedger, String> {
    let mut ledger = WriteLedger::new(writer.writer);
    for partition in writer.partitions {
        let number = partition.partition;
        let ranges = |ranges: &[(u64, u64)]| {
            let inside = ranges.last().is_none_or(|last| last.1 <= partition.stamped);
            Ranges::from_ordered(ranges).filter(|_| inside).ok_or_else(|| format!("bad ranges in partition {number}"))
        };
        if number >= PARTITIONS_MAX {
            return Err(format!("partition {number}: there are at most {PARTITIONS_MAX}"));
        }
        let written = WrittenPartition {
            next_sequence: partition.stamped,
            acknowledged: ranges(&partition.acknowledged)?,
            failed: ranges(&partition.failed)?,
            aborted: ranges(&partition.aborted)?,
            transaction_first: partition.stamped,
        };
        if number >= ledger.partitions.len() {
            ledger.partitions.resize_with(number + 1, WrittenPartition::default);
        }
        ledger.partitions[number] = written;
    }
    Ok(ledger)
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::super::{ReadLedger, settle};
    use super::*;

    fn written() -> (LedgerFile, ReadLedger) {
        let (mut writer, mut read) = (WriteLedger::new(9), ReadLedger::new());
        for index in 0..100u64 {
            let mut value = vec![1; 50];
            let sequence = writer.stamp(2, &mut value).unwrap();
            read.record(2, &value);
            match index {
                40..50 => writer.failed(2, sequence),
                90..100 => {}
                _ => writer.acknowledged(2, sequence),
            }
        }
        (LedgerFile { topic: "t".into(), resent: Some(0), writers: vec![writer], ..LedgerFile::default() }, read)
    }

    #[test]
    fn a_ledger_that_was_written_and_read_settles_as_before() {
        let (file, read) = written();
        let text = serde_json::to_string(&file.document()).unwrap();
        assert!(text.contains(r#""acknowledged":[[0,40],[50,90]],"failed":[[40,50]],"aborted":[]"#), "{text}");
        let back = LedgerFile::of(serde_json::from_str(&text).unwrap()).unwrap();
        let verdict = settle(&back.writers, &read);
        assert_eq!(verdict, settle(&file.writers, &read));
        assert_eq!((verdict.acknowledged, verdict.failed, verdict.unknown, verdict.unacknowledged), (80, 10, 10, 20));
        assert!(verdict.adds_up());
        assert_eq!(back.acknowledged(), 80);
        let known = LedgerFile { topic_id: Some(Uuid([7; 16])), ..file };
        let text = serde_json::to_string(&known.document()).unwrap();
        let back = LedgerFile::of(serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!(back.topic_id, known.topic_id, "{text}");
    }

    #[test]
    fn a_transaction_that_may_be_open_is_waited_for_until_its_coordinator_ends_it() {
        let (file, _) = written();
        let by = |acknowledged_by| LedgerFile { acknowledged_by, ..file.clone() };
        let commit = AcknowledgedBy::Commit { transaction_timeout_ms: 60_000 };
        let ten = Duration::from_secs(10);
        assert_eq!(by(commit).silence_max(ten), Duration::from_secs(75));
        assert_eq!(by(AcknowledgedBy::Broker).silence_max(ten), ten);
        assert_eq!(LedgerFile { writers: Vec::new(), ..by(commit) }.silence_max(ten), ten, "nothing is unknown");
        let text = serde_json::to_string(&by(commit).document()).unwrap();
        assert!(text.contains(r#""acknowledged_by":{"commit":{"transaction_timeout_ms":60000}}"#), "{text}");
        assert_eq!(LedgerFile::of(serde_json::from_str(&text).unwrap()).unwrap().acknowledged_by, commit);
    }

    #[test]
    fn what_is_no_ledger_is_refused() {
        let text = serde_json::to_string(&written().0.document()).unwrap();
        let of = |text: &str| LedgerFile::of(serde_json::from_str(text).unwrap()).err().unwrap_or_default();
        assert!(of(&text.replace("\"version\":2", "\"version\":1")).contains("ringlog-ledger 1"));
        assert_eq!(of(&text.replace("[50,90]", "[50,900]")), "bad ranges in partition 2");
        assert_eq!(of(&text.replace("[50,90]", "[30,90]")), "bad ranges in partition 2");
        assert!(serde_json::from_str::<Document>(&text.replace("\"broker\"", "\"hearsay\"")).is_err());
        assert!(of(&text.replace("\"partition\":2", "\"partition\":99999999")).contains("at most"));
    }
}
