//! What can be wrong with a batch, and which of Kafka's errors says so.

use super::TimestampType;
use crate::ErrorCode;
use crate::compression::CompressionError;

/// Why bytes are no record batch, or none that this broker takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes end before the batch does.
    #[error("the batch takes {wanted} bytes, {have} are there")]
    Incomplete {
        /// Bytes of the whole batch as its length says, or of a header.
        wanted: usize,
        /// Bytes that are there.
        have: usize,
    },
    /// A length below that of an empty batch.
    #[error("batch length {length} is below 49, the length of a header")]
    Length {
        /// The length field.
        length: i32,
    },
    /// An older or unknown format.
    #[error("message format (magic) {magic} is not taken, only 2, which clients write since Kafka 0.11")]
    Magic {
        /// The magic byte.
        magic: i8,
    },
    /// Bytes after the one batch that a partition of a produce request may hold.
    #[error("{extra} bytes follow the record batch; a produce request holds exactly one batch per partition")]
    NotAlone {
        /// Bytes after the batch.
        extra: usize,
    },
    /// Larger than the topic allows.
    #[error("the batch has {len} bytes, max.message.bytes allows {max}")]
    TooLarge {
        /// The batch's size.
        len: usize,
        /// The topic's limit.
        max: usize,
    },
    /// Damaged on the way or on disk.
    #[error("CRC-32C is {computed:#010x}, the header says {stored:#010x}")]
    Crc {
        /// The header's.
        stored: u32,
        /// The bytes'.
        computed: u32,
    },
    /// A first offset that is not 0: only brokers give offsets.
    #[error("base offset {base_offset} from a client; 0 is expected")]
    BaseOffset {
        /// The header's.
        base_offset: i64,
    },
    /// Count and offset range disagree, or there is no record.
    #[error("{count} records, but the last offset delta is {last_offset_delta}")]
    Count {
        /// The header's record count.
        count: i32,
        /// The header's last offset delta.
        last_offset_delta: i32,
    },
    /// Clients may not write markers.
    #[error("control batch from a client")]
    Control,
    /// A producer id without a sequence.
    #[error("producer id {producer_id} with base sequence {base_sequence}; 0 or more is expected")]
    Sequence {
        /// The header's producer id.
        producer_id: i64,
        /// The header's base sequence.
        base_sequence: i32,
    },
    /// Codec bits that mean nothing.
    #[error("compression codec {id} is not known (0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd)")]
    Codec {
        /// The bits.
        id: u8,
    },
    /// zstd before produce version 7.
    #[error("zstd needs produce version 7 or later")]
    ZstdTooEarly,
    /// The compressed body does not open.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// The records take fewer or more bytes than the batch holds.
    #[error("the batch's {count} records end {left} bytes before its body does")]
    Remaining {
        /// The header's record count.
        count: i32,
        /// Bytes after the last record (at least).
        left: usize,
    },
    /// Records that can be read and are not taken.
    #[error("One or more records have been rejected due to {}", .0.reason())]
    Refused(RefusedRecords),
    /// One record is wrong.
    #[error("record {index}: {fault}")]
    Record {
        /// The record's index within the batch.
        index: i32,
        /// What is wrong with it.
        fault: RecordFault,
    },
}

/// Why a record is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The body ends within the record.
    #[error("the batch ends within it")]
    Ends,
    /// A variable-length integer that does not end within the record or its type.
    #[error("a variable-length integer does not end in time")]
    Varint,
    /// A length beyond the record, or negative where that has no meaning.
    #[error("its {what} has length {len}, which the record cannot hold")]
    Length {
        /// "body", "key", "value", "header count", "header key" or "header value".
        what: &'static str,
        /// The length.
        len: i32,
    },
    /// Its parts end before its size does.
    #[error("{left} bytes are left over in it")]
    LeftOver {
        /// Bytes left.
        left: usize,
    },
    /// Offsets within a batch have no gaps when a client sends it.
    #[error("its offset delta is {offset_delta}")]
    OffsetDelta {
        /// The delta.
        offset_delta: i32,
    },
}

/// Why a record that can be read is not taken, in words like those of Kafka's `LogValidator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordRefusal {
    /// A compacted topic needs keys.
    #[error("Compacted topic cannot accept message without key")]
    NoKey,
    /// Too old or too far ahead.
    #[error("Timestamp {timestamp} is out of range. The timestamp should be within [{low}, {high}]")]
    Timestamp {
        /// The record's, ms since the epoch.
        timestamp: i64,
        /// The earliest allowed: `message.timestamp.before.max.ms` before the broker's time.
        low: i64,
        /// The latest allowed: `message.timestamp.after.max.ms` after it.
        high: i64,
    },
    /// A time stamp type that only brokers set.
    #[error("Invalid timestamp type. Producer should not set timestamp type to LogAppendTime")]
    TimestampType,
}

/// The records of a batch that are not taken: all of them are counted, the first ones named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusedRecords {
    named: Vec<(i32, RecordRefusal)>,
    count: usize,
    has_timestamp: bool,
}

impl RefusedRecords {
    /// The most that are named of one batch: a record takes fewer bytes on its way in than its refusal on the way out.
    pub const NAMED_MAX: usize = 4_096;

    pub(super) fn add(&mut self, index: i32, refusal: RecordRefusal) {
        self.count += 1;
        self.has_timestamp |= refusal != RecordRefusal::NoKey;
        if self.named.len() < Self::NAMED_MAX {
            self.named.push((index, refusal));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Index within the batch and reason, in order.
    pub fn named(&self) -> &[(i32, RecordRefusal)] {
        &self.named
    }

    fn reason(&self) -> String {
        match self.has_timestamp {
            true => "invalid timestamp".to_owned(),
            false => format!("{} record errors in total", self.count),
        }
    }
}

impl BatchError {
    /// The error that Kafka answers with.
    pub fn code(&self) -> ErrorCode {
        match self {
            BatchError::Length { .. } | BatchError::Crc { .. } => ErrorCode::CORRUPT_MESSAGE,
            BatchError::Magic { magic } if !(0..=2).contains(magic) => ErrorCode::CORRUPT_MESSAGE,
            BatchError::TooLarge { .. } | BatchError::Compression(CompressionError::TooLarge { .. }) => {
                ErrorCode::MESSAGE_TOO_LARGE
            }
            BatchError::Codec { .. } | BatchError::ZstdTooEarly => ErrorCode::UNSUPPORTED_COMPRESSION_TYPE,
            BatchError::Refused(records) if records.has_timestamp => ErrorCode::INVALID_TIMESTAMP,
            _ => ErrorCode::INVALID_RECORD,
        }
    }

    /// The records to name in a produce response's `record_errors`: Kafka names those that can be read and are not taken.
    pub fn refused_records(&self) -> &[(i32, RecordRefusal)] {
        match self {
            BatchError::Refused(records) => records.named(),
            _ => &[],
        }
    }
}

impl TimestampType {
    /// Kafka's name of the setting.
    pub fn name(self) -> &'static str {
        match self {
            TimestampType::CreateTime => "CreateTime",
            TimestampType::LogAppendTime => "LogAppendTime",
        }
    }
}
