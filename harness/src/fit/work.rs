//! What a broker did in a trial, as the columns of a fit.

use crate::results::Row;

/// Bytes of an MB.
const MB: f64 = 1e6;

/// A kind of work that costs processor time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// MB that producers sent.
    MbIn,
    /// MB that consumers and followers read.
    MbOut,
    /// MB that followers took.
    MbReplicated,
    /// Thousands of records that producers sent.
    RecordsIn,
    /// Thousands of batches that producers sent.
    BatchesIn,
    /// Thousands of requests.
    Requests,
    /// MB of values that producers sent in a codec, beyond what their records and the MB on the wire cost: what is taken out of a
    /// codec is values.
    Codec(Codec),
}

/// A codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// All of them. What comes last is given up first where rows cannot tell things apart.
pub const WORKS: [Work; 10] = [
    Work::MbIn,
    Work::MbOut,
    Work::MbReplicated,
    Work::Codec(Codec::Zstd),
    Work::Codec(Codec::Lz4),
    Work::Codec(Codec::Gzip),
    Work::Codec(Codec::Snappy),
    Work::BatchesIn,
    Work::RecordsIn,
    Work::Requests,
];

impl Codec {
    /// Kafka's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl Work {
    /// What it is.
    #[must_use]
    pub fn words(self) -> String {
        match self {
            Self::MbIn => "MB in".to_owned(),
            Self::MbOut => "MB out".to_owned(),
            Self::MbReplicated => "MB replicated".to_owned(),
            Self::RecordsIn => "records in".to_owned(),
            Self::BatchesIn => "batches in".to_owned(),
            Self::Requests => "requests".to_owned(),
            Self::Codec(codec) => format!("MB of values in, {}", codec.name()),
        }
    }

    /// Its cost's unit.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::MbIn | Self::MbOut | Self::MbReplicated | Self::Codec(_) => "ms/MB",
            Self::RecordsIn | Self::BatchesIn | Self::Requests => "us each",
        }
    }

    /// Trials that would tell it apart.
    #[must_use]
    pub fn trial(self) -> &'static str {
        match self {
            Self::MbIn => "produce workloads (kind = \"produce\")",
            Self::MbOut => "consume workloads (kind = \"consume\")",
            Self::MbReplicated => "produce workloads with --replication-factor 1 and 3",
            Self::RecordsIn => "produce workloads with record_bytes 100 and 10000 at one batch.size",
            Self::BatchesIn => "produce workloads with batch.size 4096 and 262144 at one record_bytes",
            Self::Requests => {
                "produce workloads with 1 and 50 partitions at one batch.size: many batches in a request, and one"
            }
            Self::Codec(_) => "produce workloads with compression.type of this codec at two compressibilities",
        }
    }

    /// Whether a row says how much of it there was: a count that is not there is not 0.
    pub(super) fn is_counted(self, row: &Row) -> bool {
        match self {
            Self::BatchesIn => row.kind == "consume" || row.batches.is_some(),
            Self::Requests => row.requests.is_some(),
            _ => true,
        }
    }

    /// How much of it a row has: 0 where it is not counted, so rows that say nothing of what others count are left out before.
    #[allow(clippy::cast_precision_loss, reason = "counts below 2^53")]
    pub(super) fn of(self, row: &Row) -> f64 {
        let read = row.kind == "consume";
        let records = row.records.unwrap_or(0) as f64;
        let wire_mb = row.wire_bytes_per_record.map(|it| it * records / MB);
        let values_mb = row.bytes.unwrap_or(0) as f64 / MB;
        // Values are what counts; where less went over the wire, a codec made it less (a row of a reader does not say which).
        let mb = values_mb.min(wire_mb.unwrap_or(f64::INFINITY));
        let followers = f64::from(row.replication_factor.max(1) - 1);
        match self {
            Self::MbIn if !read => mb,
            Self::MbOut if read => mb,
            // Followers read all of it; groups beside the writers what they came to in the measured time.
            Self::MbOut => mb * followers + row.consumed_mb_s.unwrap_or(0.0) * row.seconds.unwrap_or(0.0),
            Self::MbReplicated if !read => mb * followers,
            Self::RecordsIn if !read => records / 1e3,
            Self::BatchesIn if !read => row.batches.unwrap_or(0) as f64 / 1e3,
            Self::Requests => row.requests.unwrap_or(0) as f64 / 1e3,
            Self::Codec(codec) if !read && row.compression_type == codec.name() => values_mb,
            _ => 0.0,
        }
    }
}
