//! The 61 bytes in front of a batch's records; the table stands in [`super`].

use super::BatchError;
use crate::compression::Codec;

/// Bytes of a batch's header.
pub const HEADER_LEN: usize = RECORD_COUNT + 4;
/// Bytes of base offset and length, which `batch_length` does not count.
pub const LENGTH_OVERHEAD: usize = BATCH_LENGTH + 4;
/// The only format that is written since Kafka 0.11.
pub const MAGIC: i8 = 2;
/// A batch without a producer id.
pub const NO_PRODUCER_ID: i64 = -1;
/// A record without a time stamp.
pub const NO_TIMESTAMP: i64 = -1;

const BASE_OFFSET: usize = 0;
const BATCH_LENGTH: usize = BASE_OFFSET + 8;
const PARTITION_LEADER_EPOCH: usize = BATCH_LENGTH + 4;
const MAGIC_AT: usize = PARTITION_LEADER_EPOCH + 4;
const CRC: usize = MAGIC_AT + 1;
pub(super) const ATTRIBUTES: usize = CRC + 4;
const LAST_OFFSET_DELTA: usize = ATTRIBUTES + 2;
const BASE_TIMESTAMP: usize = LAST_OFFSET_DELTA + 4;
const MAX_TIMESTAMP: usize = BASE_TIMESTAMP + 8;
const PRODUCER_ID: usize = MAX_TIMESTAMP + 8;
const PRODUCER_EPOCH: usize = PRODUCER_ID + 8;
const BASE_SEQUENCE: usize = PRODUCER_EPOCH + 2;
const RECORD_COUNT: usize = BASE_SEQUENCE + 4;
const _: () = assert!(HEADER_LEN == 61 && LENGTH_OVERHEAD == 12 && ATTRIBUTES == 21);

const CODEC_BITS: i16 = 0x07;
const LOG_APPEND_TIME_BIT: i16 = 0x08;
const TRANSACTIONAL_BIT: i16 = 0x10;
const CONTROL_BIT: i16 = 0x20;
const DELETE_HORIZON_BIT: i16 = 0x40;

/// Whose clock a batch's time stamps come from (`message.timestamp.type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    #[default]
    CreateTime,
    /// The broker's: every record has the batch's `max_timestamp`.
    LogAppendTime,
}

/// A batch's header, every field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The first record's offset.
    pub base_offset: i64,
    /// Bytes after this field.
    pub batch_length: i32,
    /// The leader epoch in which the batch was appended, -1 from a client.
    pub partition_leader_epoch: i32,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Codec, time stamp type and the like; use the accessors.
    pub attributes: i16,
    /// The last record's offset less the first one's; compaction keeps it.
    pub last_offset_delta: i32,
    /// What time stamp deltas count from, ms since the epoch; the delete horizon if that bit is set.
    pub base_timestamp: i64,
    /// The highest time stamp, ms since the epoch, or the time of append.
    pub max_timestamp: i64,
    /// The idempotent or transactional producer's id, -1 for none.
    pub producer_id: i64,
    /// Its epoch, -1 for none.
    pub producer_epoch: i16,
    /// Its sequence number of the first record, -1 for none.
    pub base_sequence: i32,
    /// Number of records.
    pub record_count: i32,
}

impl Default for BatchHeader {
    fn default() -> Self {
        Self {
            base_offset: 0,
            batch_length: (HEADER_LEN - LENGTH_OVERHEAD) as i32,
            partition_leader_epoch: -1,
            crc: 0,
            attributes: 0,
            last_offset_delta: -1,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: -1,
            base_sequence: -1,
            record_count: 0,
        }
    }
}

fn at<const N: usize>(header: &[u8; HEADER_LEN], position: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&header[position..position + N]);
    out
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`, which may hold less or more than the batch.
    ///
    /// Errors: [`BatchError::Incomplete`] below 61 bytes, [`BatchError::Magic`], [`BatchError::Length`]. Nothing else
    /// is checked: see [`super::validate`] and [`super::Batch::check_crc`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        // The magic byte stands at the same place in every format, so an old short batch is named as such.
        if let Some(magic) = bytes.get(MAGIC_AT).map(|byte| byte.cast_signed()).filter(|magic| *magic != MAGIC) {
            return Err(BatchError::Magic { magic });
        }
        let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(BatchError::Incomplete { wanted: HEADER_LEN, have: bytes.len() });
        };
        let header = Self::read(header);
        if header.total_len() < HEADER_LEN {
            return Err(BatchError::Length { length: header.batch_length });
        }
        Ok(header)
    }

    fn read(h: &[u8; HEADER_LEN]) -> Self {
        Self {
            base_offset: i64::from_be_bytes(at(h, BASE_OFFSET)),
            batch_length: i32::from_be_bytes(at(h, BATCH_LENGTH)),
            partition_leader_epoch: i32::from_be_bytes(at(h, PARTITION_LEADER_EPOCH)),
            crc: u32::from_be_bytes(at(h, CRC)),
            attributes: i16::from_be_bytes(at(h, ATTRIBUTES)),
            last_offset_delta: i32::from_be_bytes(at(h, LAST_OFFSET_DELTA)),
            base_timestamp: i64::from_be_bytes(at(h, BASE_TIMESTAMP)),
            max_timestamp: i64::from_be_bytes(at(h, MAX_TIMESTAMP)),
            producer_id: i64::from_be_bytes(at(h, PRODUCER_ID)),
            producer_epoch: i16::from_be_bytes(at(h, PRODUCER_EPOCH)),
            base_sequence: i32::from_be_bytes(at(h, BASE_SEQUENCE)),
            record_count: i32::from_be_bytes(at(h, RECORD_COUNT)),
        }
    }

    /// The header as it stands on the wire.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut h = [0; HEADER_LEN];
        h[BASE_OFFSET..BATCH_LENGTH].copy_from_slice(&self.base_offset.to_be_bytes());
        h[BATCH_LENGTH..PARTITION_LEADER_EPOCH].copy_from_slice(&self.batch_length.to_be_bytes());
        h[PARTITION_LEADER_EPOCH..MAGIC_AT].copy_from_slice(&self.partition_leader_epoch.to_be_bytes());
        h[MAGIC_AT] = MAGIC.cast_unsigned();
        h[CRC..ATTRIBUTES].copy_from_slice(&self.crc.to_be_bytes());
        h[ATTRIBUTES..LAST_OFFSET_DELTA].copy_from_slice(&self.attributes.to_be_bytes());
        h[LAST_OFFSET_DELTA..BASE_TIMESTAMP].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        h[BASE_TIMESTAMP..MAX_TIMESTAMP].copy_from_slice(&self.base_timestamp.to_be_bytes());
        h[MAX_TIMESTAMP..PRODUCER_ID].copy_from_slice(&self.max_timestamp.to_be_bytes());
        h[PRODUCER_ID..PRODUCER_EPOCH].copy_from_slice(&self.producer_id.to_be_bytes());
        h[PRODUCER_EPOCH..BASE_SEQUENCE].copy_from_slice(&self.producer_epoch.to_be_bytes());
        h[BASE_SEQUENCE..RECORD_COUNT].copy_from_slice(&self.base_sequence.to_be_bytes());
        h[RECORD_COUNT..HEADER_LEN].copy_from_slice(&self.record_count.to_be_bytes());
        h
    }

    /// Computes the CRC again, for a header that was changed in front of `body` (everything after the 61 bytes).
    pub fn seal(&mut self, body: &[u8]) {
        let header = self.to_bytes();
        self.crc = crc_of(&[&header[ATTRIBUTES..], body]);
    }

    /// Bytes of the whole batch, header and records; 0 for a negative length.
    pub fn total_len(&self) -> usize {
        usize::try_from(self.batch_length).map_or(0, |length| length + LENGTH_OVERHEAD)
    }

    /// The last record's offset.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.wrapping_add(self.last_offset_delta.into())
    }

    /// The offset after the last record's.
    pub fn next_offset(&self) -> i64 {
        self.last_offset().wrapping_add(1)
    }

    /// How the records are compressed.
    pub fn codec(&self) -> Result<Codec, BatchError> {
        let id = (self.attributes & CODEC_BITS) as u8;
        Codec::from_id(id).ok_or(BatchError::Codec { id })
    }

    /// Whose clock the time stamps come from.
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & LOG_APPEND_TIME_BIT == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// True for a batch of a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// True for markers and other control records.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// When tombstones may go, if the cleaner has noted that in place of the base time stamp.
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON_BIT != 0).then_some(self.base_timestamp)
    }

    /// True if the producer is idempotent or transactional.
    pub fn has_producer_id(&self) -> bool {
        self.producer_id > NO_PRODUCER_ID
    }

    /// The sequence number of the last record: wraps from the highest int to 0
    /// (`DefaultRecordBatch.incrementSequence`). -1 without sequences.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return -1;
        }
        let last = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        i32::try_from(last & i64::from(i32::MAX)).unwrap_or(0)
    }

    pub(super) fn set_codec(&mut self, codec: Codec) {
        self.attributes = (self.attributes & !CODEC_BITS) | i16::from(codec.id());
    }

    pub(super) fn set_timestamp_type(&mut self, kind: TimestampType) {
        self.set(LOG_APPEND_TIME_BIT, kind == TimestampType::LogAppendTime);
    }

    pub(super) fn set_transactional(&mut self, on: bool) {
        self.set(TRANSACTIONAL_BIT, on);
    }

    pub(super) fn set_control(&mut self, on: bool) {
        self.set(CONTROL_BIT, on);
    }

    pub(super) fn set_delete_horizon(&mut self, delete_horizon_ms: i64) {
        self.set(DELETE_HORIZON_BIT, true);
        self.base_timestamp = delete_horizon_ms;
    }

    pub(super) fn clear_delete_horizon(&mut self) {
        self.set(DELETE_HORIZON_BIT, false);
    }

    fn set(&mut self, bit: i16, on: bool) {
        self.attributes = if on { self.attributes | bit } else { self.attributes & !bit };
    }
}

/// CRC-32C (Castagnoli) of the parts, one after the other.
pub fn crc_of(parts: &[&[u8]]) -> u32 {
    let crc = match parts {
        [whole] => crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, whole),
        parts => {
            let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
            parts.iter().for_each(|part| digest.update(part));
            digest.finalize()
        }
    };
    crc as u32
}
