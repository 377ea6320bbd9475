//! Making batches: a producer's, a coordinator's, and markers.
//!
//! ```text
//!   append, append, ... --> [61 bytes free | records]  -- finish -->  compress, fill in header and CRC --> bytes
//! ```
//!
//! A builder is used again after [`BatchBuilder::clear`]; then nothing allocates once its buffer has grown.

use super::record::{put_varlong, varlong_len};
use super::{BatchHeader, HEADER_LEN, TimestampType};
use crate::compression::{Codec, CompressionError, Scratch, compress};

/// The kinds of control record (`ControlRecordType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
pub enum ControlType {
    /// A transaction is aborted.
    Abort = 0,
    /// A transaction is committed.
    Commit = 1,
    /// A quorum has a new leader (metadata log).
    LeaderChange = 2,
    /// A snapshot begins.
    SnapshotHeader = 3,
    /// A snapshot ends.
    SnapshotFooter = 4,
    /// The quorum's protocol version.
    KraftVersion = 5,
    /// The quorum's voters.
    KraftVoters = 6,
}

/// A record's header: name and value.
type HeaderPair<'a> = (&'a [u8], Option<&'a [u8]>);

/// Collects records into a batch.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    bytes: Vec<u8>,
    header: BatchHeader,
    level: Option<i32>,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// An empty batch: base offset 0, no codec, no producer.
    pub fn new() -> Self {
        Self { bytes: vec![0; HEADER_LEN], header: BatchHeader::default(), level: None }
    }

    /// Room for `len` bytes before the buffer grows.
    pub fn with_capacity(len: usize) -> Self {
        let mut builder = Self::new();
        builder.bytes.reserve(len.saturating_sub(HEADER_LEN));
        builder
    }

    /// Forgets the records; keeps codec, producer, transactional mark and memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.resize(HEADER_LEN, 0);
        let empty = BatchHeader::default();
        self.header.base_timestamp = empty.base_timestamp;
        self.header.max_timestamp = empty.max_timestamp;
        self.header.record_count = empty.record_count;
        self.header.last_offset_delta = empty.last_offset_delta;
    }

    /// How [`BatchBuilder::finish`] compresses; `level` as in [`compress`].
    pub fn set_codec(&mut self, codec: Codec, level: Option<i32>) -> &mut Self {
        self.header.set_codec(codec);
        self.level = level;
        self
    }

    /// The idempotent producer that writes the batch; -1 for none.
    pub fn set_producer(&mut self, id: i64, epoch: i16, base_sequence: i32) -> &mut Self {
        (self.header.producer_id, self.header.producer_epoch, self.header.base_sequence) = (id, epoch, base_sequence);
        self
    }

    /// Whether the batch belongs to a transaction.
    pub fn set_transactional(&mut self, on: bool) -> &mut Self {
        self.header.set_transactional(on);
        self
    }

    /// Offset of the first record and leader epoch, for batches that go straight into a log.
    pub fn set_position(&mut self, base_offset: i64, partition_leader_epoch: i32) -> &mut Self {
        (self.header.base_offset, self.header.partition_leader_epoch) = (base_offset, partition_leader_epoch);
        self
    }

    /// Marks the batch with the broker's time, ms since the epoch: every record then has it.
    pub fn set_log_append_time(&mut self, wall_ms: i64) -> &mut Self {
        self.header.set_timestamp_type(TimestampType::LogAppendTime);
        self.header.max_timestamp = wall_ms;
        self
    }

    /// Records so far.
    pub fn record_count(&self) -> i32 {
        self.header.record_count
    }

    /// Bytes so far, header included, not compressed.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// True before the first record.
    pub fn is_empty(&self) -> bool {
        self.header.record_count == 0
    }

    /// Bytes that [`BatchBuilder::append`] would add for this record.
    pub fn len_of_next(
        &self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[HeaderPair<'_>],
    ) -> usize {
        let base = if self.is_empty() { timestamp } else { self.header.base_timestamp };
        record_len(self.header.record_count, timestamp.wrapping_sub(base), key, value, headers)
    }

    /// Adds a record. Time stamps are ms since the epoch, -1 for none; the first record's is the base.
    pub fn append(&mut self, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[HeaderPair<'_>]) {
        if self.is_empty() {
            self.header.base_timestamp = timestamp;
        }
        let timestamp_delta = timestamp.wrapping_sub(self.header.base_timestamp);
        let offset_delta = self.header.record_count;
        put_varlong(&mut self.bytes, int(body_len(offset_delta, timestamp_delta, key, value, headers)));
        self.bytes.push(0);
        put_varlong(&mut self.bytes, timestamp_delta);
        put_varlong(&mut self.bytes, offset_delta.into());
        self.put_nullable(key);
        self.put_nullable(value);
        put_varlong(&mut self.bytes, int(headers.len()));
        for (name, value) in headers {
            self.put_nullable(Some(name));
            self.put_nullable(*value);
        }
        if self.header.timestamp_type() == TimestampType::CreateTime {
            self.header.max_timestamp = self.header.max_timestamp.max(timestamp);
        }
        self.header.record_count += 1;
        self.header.last_offset_delta += 1;
    }

    /// Adds a control record and makes the batch a control batch. `value` is the schema's body behind its version.
    pub fn append_control(&mut self, timestamp: i64, kind: ControlType, value: &[u8]) {
        self.header.set_control(true);
        let [high, low] = (kind as i16).to_be_bytes();
        self.append(timestamp, Some(&[0, 0, high, low]), Some(value), &[]);
    }

    /// A marker that ends a producer's transaction (`EndTransactionMarker`), finished.
    pub fn marker(
        timestamp: i64,
        producer_id: i64,
        producer_epoch: i16,
        commit: bool,
        coordinator_epoch: i32,
    ) -> Vec<u8> {
        let mut builder = Self::with_capacity(HEADER_LEN + 32);
        builder.set_producer(producer_id, producer_epoch, -1).set_transactional(true);
        let mut value = [0; 6];
        value[2..].copy_from_slice(&coordinator_epoch.to_be_bytes());
        builder.append_control(timestamp, if commit { ControlType::Commit } else { ControlType::Abort }, &value);
        builder.seal();
        builder.bytes
    }

    fn put_nullable(&mut self, part: Option<&[u8]>) {
        put_varlong(&mut self.bytes, part.map_or(-1, |part| int(part.len())));
        self.bytes.extend_from_slice(part.unwrap_or_default());
    }

    /// Compresses if a codec is set, fills in the header and returns the batch. Call once, then take or clear.
    pub fn finish(&mut self, scratch: &mut Scratch) -> Result<&[u8], CompressionError> {
        let codec = Codec::from_id((self.header.attributes & 7) as u8).unwrap_or_default();
        if codec != Codec::None {
            let mut compressed = std::mem::take(&mut scratch.body);
            compressed.clear();
            compressed.resize(HEADER_LEN, 0);
            compress(codec, self.level, &self.bytes[HEADER_LEN..], &mut compressed, scratch)?;
            scratch.body = std::mem::replace(&mut self.bytes, compressed);
        }
        self.seal();
        Ok(&self.bytes)
    }

    /// The finished batch's bytes; the builder is empty afterwards and its buffer gone.
    pub fn take(&mut self) -> Vec<u8> {
        let bytes = std::mem::take(&mut self.bytes);
        self.clear();
        bytes
    }

    /// The header that the next [`BatchBuilder::finish`] writes, or the last one wrote.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    fn seal(&mut self) {
        self.header.batch_length = i32::try_from(self.bytes.len() - super::LENGTH_OVERHEAD).unwrap_or(i32::MAX);
        self.header.seal(&self.bytes[HEADER_LEN..]);
        self.bytes[..HEADER_LEN].copy_from_slice(&self.header.to_bytes());
    }
}

/// Lengths in records are ints; nothing of 2 GiB gets this far, because the frame that carries it cannot be sent.
fn int(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

fn part_len(part: Option<&[u8]>) -> usize {
    part.map_or(1, |part| varlong_len(int(part.len())) + part.len())
}

fn body_len(
    offset_delta: i32,
    timestamp_delta: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[HeaderPair<'_>],
) -> usize {
    let fixed = 1 + varlong_len(timestamp_delta) + varlong_len(offset_delta.into()) + varlong_len(int(headers.len()));
    let headers: usize = headers.iter().map(|(name, value)| part_len(Some(name)) + part_len(*value)).sum();
    fixed + part_len(key) + part_len(value) + headers
}

/// Bytes of a record inside a batch, its size prefix included.
pub fn record_len(
    offset_delta: i32,
    timestamp_delta: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[HeaderPair<'_>],
) -> usize {
    let body = body_len(offset_delta, timestamp_delta, key, value, headers);
    varlong_len(int(body)) + body
}
