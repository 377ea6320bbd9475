//! One record batch of a producer, from the first record to the acknowledgement.
//!
//! ```text
//!   open    | room for the header | record | record | ...        records are written here once, in place
//!   packed  | room for the header | their compressed form        closed; where a codec is set
//!   sealed  | header (61 bytes)   | record | record | ...        header and CRC filled in; bytes never change again
//!                                 '- or their compressed form
//!   marks   [ Mark, Mark, ... ]                                  one small entry per record, reused
//! ```
//!
//! Invariants:
//! - A sealed batch's bytes are shared with the kernel and never change: a retry sends the same bytes; a new producer
//!   epoch or sequence gets a copy.
//! - `marks.len()` is the record count in the header.

use ringlog_io::{Buf, Slice};
use ringlog_wire::batch::{BatchError, BatchHeader, HEADER_LEN, LENGTH_OVERHEAD};
use ringlog_wire::compression::{self, Codec, CompressionError, Scratch};

use super::config::Compression;
use super::{InPlace, Mark, RecordHeader};

/// The most bytes that a record takes beside its key and value: length, attributes, timestamp and offset deltas, two
/// lengths and the header count (DefaultRecord.MAX_RECORD_OVERHEAD).
pub(crate) const RECORD_OVERHEAD_MAX: usize = 21;

/// Who the broker should think wrote a batch. `NONE` where idempotence is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProducerStamp {
    /// Producer id.
    pub(crate) id: i64,
    /// Producer epoch.
    pub(crate) epoch: i16,
    /// Sequence of the batch's first record.
    pub(crate) sequence: i32,
}

impl ProducerStamp {
    /// No idempotence.
    pub(crate) const NONE: Self = Self { id: -1, epoch: -1, sequence: -1 };
}

/// How a producer's batches are sealed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealing {
    /// The codec with its level.
    pub(crate) compression: Compression,
    /// Whether the batch is part of a transaction.
    pub(crate) transactional: bool,
}

/// Bit 4 of a batch's attributes: it is part of a transaction.
const TRANSACTIONAL: i16 = 1 << 4;

/// The bytes of a record's key, value and headers, and its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordBytes<'a> {
    pub(crate) timestamp_ms: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: &'a [u8],
    pub(crate) headers: &'a [RecordHeader<'a>],
}

impl RecordBytes<'_> {
    /// An upper bound of what a batch of this one record takes (AbstractRecords.estimateSizeInBytesUpperBound, which
    /// counts the lengths twice).
    pub(crate) fn batch_len_max(&self) -> usize {
        let key_prefix = self.key.map_or(1, |key| varint_len(zigzag(to_i64(key.len()))));
        let value_prefix = varint_len(zigzag(to_i64(self.value.len())));
        HEADER_LEN + RECORD_OVERHEAD_MAX + key_prefix + value_prefix + self.payload_len() + self.headers_len()
    }

    /// What the headers take: their count, and per header two lengths, its key and its value.
    fn headers_len(&self) -> usize {
        if self.headers.is_empty() {
            return 1;
        }
        let one = |header: &RecordHeader<'_>| {
            let value = header.value.map_or(varint_len(zigzag(-1)), |value| prefixed_len(value.len()));
            prefixed_len(header.key.len()) + value
        };
        varint_len(zigzag(to_i64(self.headers.len()))) + self.headers.iter().map(one).sum::<usize>()
    }

    fn put_headers(&self, bytes: &mut Vec<u8>) {
        if self.headers.is_empty() {
            return bytes.push(0);
        }
        put_varint(bytes, to_i64(self.headers.len()));
        for header in self.headers {
            put_varint(bytes, to_i64(header.key.len()));
            bytes.extend_from_slice(header.key.as_bytes());
            put_varint(bytes, header.value.map_or(-1, |value| to_i64(value.len())));
            bytes.extend_from_slice(header.value.unwrap_or_default());
        }
    }

    /// A bound of what the record adds to a batch that costs no look at its lengths; `None` where there are headers.
    pub(crate) fn len_bound(&self) -> Option<usize> {
        self.headers.is_empty().then(|| self.payload_len() + RECORD_OVERHEAD_MAX)
    }

    /// Key and value.
    pub(crate) fn payload_len(&self) -> usize {
        self.key.map_or(0, <[u8]>::len) + self.value.len()
    }
}

/// A batch that records are appended to.
#[derive(Debug)]
pub(crate) struct OpenBatch {
    buf: Buf,
    /// What the records took before they were compressed, header included.
    packed: Option<usize>,
    /// The largest record, as [`RecordBytes::batch_len_max`] counts it.
    record_len_max: usize,
    marks: Vec<Mark>,
    base_timestamp_ms: i64,
    max_timestamp_ms: i64,
}

impl OpenBatch {
    /// An empty batch in `buf`, which must be empty.
    pub(crate) fn new(mut buf: Buf, mut marks: Vec<Mark>) -> Self {
        buf.vec().resize(HEADER_LEN, 0);
        marks.clear();
        Self { buf, packed: None, record_len_max: 0, marks, base_timestamp_ms: 0, max_timestamp_ms: i64::MIN }
    }

    /// Records so far.
    pub(crate) fn count(&self) -> usize {
        self.marks.len()
    }

    /// Bytes so far, header included, uncompressed.
    pub(crate) fn raw_len(&self) -> usize {
        self.packed.unwrap_or(self.buf.len())
    }

    /// Bytes as they lie here, header included.
    pub(crate) fn len(&self) -> usize {
        self.buf.len()
    }

    /// The largest record (ProducerBatch.maxRecordSize).
    pub(crate) fn record_len_max(&self) -> usize {
        self.record_len_max
    }

    pub(crate) fn is_packed(&self) -> bool {
        self.packed.is_some()
    }

    /// Makes room for so many bytes together.
    pub(crate) fn reserve(&mut self, len: usize) {
        let bytes = self.buf.vec();
        bytes.reserve_exact(len.saturating_sub(bytes.len()));
    }

    /// Compresses the records where a codec is set, into a buffer that has room for `len_hint` bytes at first.
    pub(crate) fn pack(
        &mut self,
        compression: Compression,
        len_hint: usize,
        scratch: &mut Scratch,
        take_buffer: &mut dyn FnMut(usize) -> Buf,
    ) -> Result<(), CompressionError> {
        if compression.codec == Codec::None || self.is_packed() {
            return Ok(());
        }
        let mut packed = take_buffer(len_hint);
        packed.vec().resize(HEADER_LEN, 0);
        compression::compress(compression.codec, compression.level, &self.buf[HEADER_LEN..], packed.vec(), scratch)?;
        self.packed = Some(self.buf.len());
        self.buf = packed;
        Ok(())
    }

    /// Exact bytes that a record would add.
    pub(crate) fn record_len(&self, record: &RecordBytes<'_>) -> usize {
        let body = self.body_len(record);
        varint_len(zigzag(to_i64(body))) + body
    }

    fn body_len(&self, record: &RecordBytes<'_>) -> usize {
        let key_len = record.key.map_or(1, |key| varint_len(zigzag(to_i64(key.len()))) + key.len());
        let value_len = varint_len(zigzag(to_i64(record.value.len()))) + record.value.len();
        // The attributes take a byte.
        1 + varint_len(zigzag(self.timestamp_delta(record)))
            + varint_len(zigzag(to_i64(self.marks.len())))
            + key_len
            + value_len
            + record.headers_len()
    }

    fn timestamp_delta(&self, record: &RecordBytes<'_>) -> i64 {
        if self.marks.is_empty() { 0 } else { record.timestamp_ms.wrapping_sub(self.base_timestamp_ms) }
    }

    /// Appends a record, lets `touch` change it in place, and keeps the mark that `touch` completes.
    pub(crate) fn append(&mut self, record: &RecordBytes<'_>, mark: Mark, touch: impl FnOnce(InPlace<'_>) -> u64) {
        let body = self.body_len(record);
        let delta = self.timestamp_delta(record);
        if self.marks.is_empty() {
            self.base_timestamp_ms = record.timestamp_ms;
        }
        self.record_len_max = self.record_len_max.max(record.batch_len_max());
        self.max_timestamp_ms = self.max_timestamp_ms.max(record.timestamp_ms);
        let offset_delta = to_i64(self.marks.len());
        let bytes = self.buf.vec();
        put_varint(bytes, to_i64(body));
        bytes.push(0);
        put_varint(bytes, delta);
        put_varint(bytes, offset_delta);
        match record.key {
            None => put_varint(bytes, -1),
            Some(key) => {
                put_varint(bytes, to_i64(key.len()));
                bytes.extend_from_slice(key);
            }
        }
        put_varint(bytes, to_i64(record.value.len()));
        let value_at = bytes.len();
        bytes.extend_from_slice(record.value);
        record.put_headers(bytes);
        let (value, headers) = bytes[value_at..].split_at_mut(record.value.len());
        let tag = touch(InPlace { value, headers });
        self.marks.push(Mark { tag, ..mark });
    }

    /// The marks alone, where the batch is given up before it went out.
    pub(crate) fn into_marks(self) -> Vec<Mark> {
        self.marks
    }

    /// Compresses what is to be compressed, fills in the header and gives the bytes that go out.
    pub(crate) fn seal(
        mut self,
        Sealing { compression, transactional }: Sealing,
        stamp: ProducerStamp,
        scratch: &mut Scratch,
        take_buffer: &mut dyn FnMut(usize) -> Buf,
    ) -> Result<(Slice, Vec<Mark>), CompressionError> {
        self.pack(compression, self.buf.len(), scratch, take_buffer)?;
        let mut buf = self.buf;
        let count = i32::try_from(self.marks.len()).expect("a batch is smaller than 2 GiB");
        let header = BatchHeader {
            batch_length: i32::try_from(buf.len() - LENGTH_OVERHEAD).expect("a batch is smaller than 2 GiB"),
            attributes: i16::from(compression.codec.id()) | if transactional { TRANSACTIONAL } else { 0 },
            last_offset_delta: count - 1,
            base_timestamp: self.base_timestamp_ms,
            max_timestamp: self.max_timestamp_ms,
            record_count: count,
            ..BatchHeader::default()
        };
        put_header(&mut buf, stamped(header, stamp));
        Ok((Slice::new(buf), self.marks))
    }
}

/// A copy of a sealed batch under another stamp (a new epoch or a moved sequence).
pub(crate) fn restamp(sealed: &[u8], stamp: ProducerStamp) -> Result<Slice, BatchError> {
    let header = stamped(BatchHeader::parse(sealed)?, stamp);
    let mut bytes = sealed.to_vec();
    put_header(&mut bytes, header);
    Ok(Slice::from(bytes))
}

fn stamped(header: BatchHeader, stamp: ProducerStamp) -> BatchHeader {
    BatchHeader { producer_id: stamp.id, producer_epoch: stamp.epoch, base_sequence: stamp.sequence, ..header }
}

/// Writes the header in front of the records, with their CRC.
fn put_header(batch: &mut [u8], mut header: BatchHeader) {
    let (front, body) = batch.split_at_mut(HEADER_LEN);
    header.seal(body);
    front.copy_from_slice(&header.to_bytes());
}

/// Lengths and counts of one process fit an i64.
fn to_i64(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn varint_len(value: u64) -> usize {
    let bits = u64::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

fn prefixed_len(len: usize) -> usize {
    varint_len(zigzag(to_i64(len))) + len
}

fn put_varint(bytes: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}
