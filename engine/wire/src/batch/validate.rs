//! Every check that Kafka's `LogValidator`, `UnifiedLog.analyzeAndValidateRecords` and
//! `ProduceRequest.validateRecords` make of a batch that is to be appended, in their order.
//!
//! ```text
//!   bytes --> one batch, magic 2 --> size, CRC --> header's claims --> each record --> time stamps, codec
//!                                                                                         |
//!          Validated { header as it is to be appended, offset of the highest time stamp } <
//! ```
//!
//! An uncompressed batch is read once, in place, without allocating. A compressed one is opened piece by piece into a
//! window of fixed size (`inflated`).

use super::header::NO_TIMESTAMP;
use super::inflated::Window;
use super::recompress::Recompression;
use super::record::{self, Claims};
use super::{Batch, BatchError, BatchHeader, HEADER_LEN, RecordFault, RecordRefusal, RefusedRecords, TimestampType};
use crate::compression::{Codec, Inflater, Scratch};

/// Who wrote the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// A producer: nothing is believed.
    #[default]
    Client,
    /// A producer, in a transaction of version 2 (KIP-890): it begins each one at sequence 0.
    ClientTv2,
    /// A coordinator of this broker: control batches are allowed.
    Coordinator,
    /// The same, of a transaction of version 2: its marker bears a later epoch than its records.
    CoordinatorTv2,
}

impl Origin {
    fn is_client(self) -> bool {
        matches!(self, Self::Client | Self::ClientTv2)
    }
}

/// What the topic and the request allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Who wrote the batch.
    pub origin: Origin,
    /// `max.message.bytes`: the largest batch, compressed, header included.
    pub batch_len_max: usize,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how far behind the broker's clock a time stamp may be.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far ahead of it.
    pub timestamp_after_max_ms: i64,
    /// `cleanup.policy` contains compact: every record needs a key.
    pub compacted: bool,
    /// `compression.type`, with its level: what batches are kept in. None is `producer`: as they came.
    pub compression: Option<Recompression>,
    /// Produce version 7 or later.
    pub zstd_allowed: bool,
    /// The most bytes that a compressed batch may open to. Ours: Kafka has no such limit. A batch above it is too large,
    /// which the Java client answers by splitting it.
    pub inflated_len_max: usize,
}

impl Rules {
    /// Times its largest size that a compressed batch may open to.
    pub const INFLATION_MAX: usize = 64;
    /// The most bytes that any batch may open to.
    pub const INFLATED_LEN_MAX: usize = 256 << 20;

    /// What batches of at most `batch_len_max` bytes may open to.
    pub const fn inflated_len_max(batch_len_max: usize) -> usize {
        let by_size = batch_len_max.saturating_mul(Self::INFLATION_MAX);
        let capped = if by_size < Self::INFLATED_LEN_MAX { by_size } else { Self::INFLATED_LEN_MAX };
        if capped > batch_len_max { capped } else { batch_len_max }
    }
}

/// Kafka's `max.message.bytes`.
const BATCH_LEN_MAX: usize = (1 << 20) + 12;

/// Kafka's defaults.
impl Default for Rules {
    fn default() -> Self {
        Self {
            origin: Origin::Client,
            batch_len_max: BATCH_LEN_MAX,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            compacted: false,
            compression: None,
            zstd_allowed: true,
            inflated_len_max: Self::inflated_len_max(BATCH_LEN_MAX),
        }
    }
}

/// A batch that may be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validated {
    /// The header to append: the client's, but for time stamp type, highest time stamp and CRC where the topic wants
    /// others. Base offset and leader epoch are still the client's; see [`Validated::header_at`].
    pub header: BatchHeader,
    /// True if the header differs from the client's.
    pub header_changed: bool,
    /// How the records are compressed.
    pub codec: Codec,
    /// Offset delta of the first record with the highest time stamp; 0 under LogAppendTime, -1 if no record has one.
    pub offset_delta_of_max_timestamp: i32,
    /// The broker's time if the topic has LogAppendTime, ms since the epoch, else -1: what a produce response says.
    pub log_append_time_ms: i64,
    /// Bytes of the records, opened.
    pub inflated_len: usize,
    /// The topic keeps another codec: [`super::recompress`] comes before the append.
    pub recompression: Option<Recompression>,
}

impl Validated {
    /// The 61 bytes that stand in front of the records once the batch has its place in the log.
    pub fn header_at(&self, base_offset: i64, partition_leader_epoch: i32) -> [u8; HEADER_LEN] {
        BatchHeader { base_offset, partition_leader_epoch, ..self.header }.to_bytes()
    }

    /// Bytes of the whole batch.
    pub fn total_len(&self) -> usize {
        self.header.total_len()
    }
}

/// Checks the one batch that `bytes` must be.
///
/// `wall_ms` is the broker's time, ms since the epoch. Unlike Kafka, which drops it, a cut-off second batch is an error.
pub fn validate(bytes: &[u8], rules: &Rules, wall_ms: i64, scratch: &mut Scratch) -> Result<Validated, BatchError> {
    let batch = Batch::parse(bytes)?;
    let header = &batch.header;
    let codec = header.codec()?;
    if codec == Codec::Zstd && !rules.zstd_allowed {
        return Err(BatchError::ZstdTooEarly);
    }
    if header.base_offset != 0 && rules.origin.is_client() {
        return Err(BatchError::BaseOffset { base_offset: header.base_offset });
    }
    if bytes.len() > rules.batch_len_max {
        return Err(BatchError::TooLarge { len: bytes.len(), max: rules.batch_len_max });
    }
    batch.check_crc()?;
    // After the CRC: a length that is too short shows as that first, in Kafka too.
    if batch.bytes.len() < bytes.len() {
        return Err(BatchError::NotAlone { extra: bytes.len() - batch.bytes.len() });
    }
    check_claims(header, rules)?;
    let mut records = Records::new(header, rules, wall_ms);
    let inflated_len = match codec {
        Codec::None => records.check_plain(batch.body())?,
        codec => records.check_compressed(codec, batch.body(), rules.inflated_len_max, scratch)?,
    };
    if !records.refused.is_empty() {
        return Err(BatchError::Refused(records.refused));
    }
    Ok(conclude(&batch, codec, &records, rules, wall_ms, inflated_len))
}

/// What the header says of itself (`LogValidator.validateBatch`).
fn check_claims(header: &BatchHeader, rules: &Rules) -> Result<(), BatchError> {
    let (count, last_offset_delta) = (header.record_count, header.last_offset_delta);
    if count <= 0 || last_offset_delta.checked_add(1) != Some(count) {
        return Err(BatchError::Count { count, last_offset_delta });
    }
    if header.is_control() && rules.origin.is_client() {
        return Err(BatchError::Control);
    }
    let (producer_id, base_sequence) = (header.producer_id, header.base_sequence);
    #[cfg(feature = "planted_panic")]
    crate::planted::in_base_sequence(base_sequence);
    if header.has_producer_id() && base_sequence < 0 && rules.origin.is_client() {
        return Err(BatchError::Sequence { producer_id, base_sequence });
    }
    Ok(())
}

fn conclude(
    batch: &Batch<'_>,
    codec: Codec,
    records: &Records<'_>,
    rules: &Rules,
    wall_ms: i64,
    inflated_len: usize,
) -> Validated {
    let mut header = batch.header;
    let by_broker = rules.timestamp_type == TimestampType::LogAppendTime;
    header.set_timestamp_type(rules.timestamp_type);
    header.max_timestamp = if by_broker { wall_ms } else { records.max_timestamp };
    let header_changed = header != batch.header;
    if header_changed {
        header.seal(batch.body());
    }
    Validated {
        header,
        header_changed,
        codec,
        offset_delta_of_max_timestamp: if by_broker { 0 } else { records.max_timestamp_delta },
        log_append_time_ms: if by_broker { wall_ms } else { -1 },
        inflated_len,
        // Markers stay as they are.
        recompression: rules.compression.filter(|to| to.codec != codec && !header.is_control()),
    }
}

/// What the records seen so far amount to.
struct Records<'h> {
    header: &'h BatchHeader,
    key_needed: bool,
    /// Allowed time stamps; everything under LogAppendTime, nothing where the client must not say that they are the broker's.
    low: i64,
    high: i64,
    is_marked: bool,
    refused: RefusedRecords,
    next_delta: i32,
    max_timestamp: i64,
    max_timestamp_delta: i32,
}

impl<'h> Records<'h> {
    fn new(header: &'h BatchHeader, rules: &Rules, wall_ms: i64) -> Self {
        let by_broker = rules.timestamp_type == TimestampType::LogAppendTime;
        // Where the topic has CreateTime, Kafka minds the client's mark only if there is no time to look at.
        let is_marked = header.timestamp_type() == TimestampType::LogAppendTime
            && (by_broker || header.max_timestamp == NO_TIMESTAMP);
        let (low, high) = match () {
            () if is_marked => (i64::MAX, i64::MIN),
            () if by_broker => (i64::MIN, i64::MAX),
            () => (
                wall_ms.saturating_sub(rules.timestamp_before_max_ms),
                wall_ms.saturating_add(rules.timestamp_after_max_ms),
            ),
        };
        Self {
            header,
            key_needed: rules.compacted && !header.is_control(),
            low,
            high,
            is_marked,
            refused: RefusedRecords::default(),
            next_delta: 0,
            max_timestamp: NO_TIMESTAMP,
            max_timestamp_delta: -1,
        }
    }

    fn at(&self, fault: RecordFault) -> BatchError {
        BatchError::Record { index: self.next_delta, fault }
    }

    /// The hot path: one pass over bytes that lie there already.
    fn check_plain(&mut self, body: &[u8]) -> Result<usize, BatchError> {
        let mut rest = body;
        for _ in 0..self.header.record_count {
            rest = self.check_first(rest).map_err(|fault| self.at(fault))?;
        }
        match rest.len() {
            0 => Ok(body.len()),
            left => Err(BatchError::Remaining { count: self.header.record_count, left }),
        }
    }

    /// Checks the record at the start of `bytes` and returns what follows it.
    #[inline]
    fn check_first<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], RecordFault> {
        let (prefix, len) = record::size(bytes)?.ok_or(RecordFault::Ends)?;
        let (body, rest) = bytes[prefix..].split_at_checked(len).ok_or(RecordFault::Ends)?;
        self.check(&record::parse(body)?.claims())?;
        Ok(rest)
    }

    #[inline]
    fn check(&mut self, record: &Claims) -> Result<(), RecordFault> {
        if record.offset_delta != self.next_delta {
            return Err(RecordFault::OffsetDelta { offset_delta: record.offset_delta });
        }
        let timestamp = match self.header.timestamp_type() {
            TimestampType::CreateTime => self.header.base_timestamp.wrapping_add(record.timestamp_delta),
            TimestampType::LogAppendTime => self.header.max_timestamp,
        };
        if self.key_needed && !record.has_key {
            self.refused.add(self.next_delta, RecordRefusal::NoKey);
        } else if timestamp < self.low || timestamp > self.high {
            self.refuse_timestamp(timestamp);
        }
        if timestamp > self.max_timestamp {
            self.max_timestamp = timestamp;
            self.max_timestamp_delta = record.offset_delta;
        }
        self.next_delta += 1;
        Ok(())
    }

    /// A time stamp outside the bounds; none is fine everywhere.
    #[cold]
    fn refuse_timestamp(&mut self, timestamp: i64) {
        let (low, high) = (self.low, self.high);
        if self.is_marked {
            self.refused.add(self.next_delta, RecordRefusal::TimestampType);
        } else if timestamp != NO_TIMESTAMP {
            self.refused.add(self.next_delta, RecordRefusal::Timestamp { timestamp, low, high });
        }
    }

    fn check_compressed(
        &mut self,
        codec: Codec,
        body: &[u8],
        len_max: usize,
        scratch: &mut Scratch,
    ) -> Result<usize, BatchError> {
        let Scratch { body: buffer, codecs } = scratch;
        let outcome = {
            let inflater = Inflater::open(codec, body, len_max, codecs)?;
            let mut window = Window::new(codec, inflater, buffer, len_max);
            self.check_window(&mut window).map(|()| window.opened())
        };
        codecs.trim();
        outcome
    }

    fn check_window(&mut self, window: &mut Window<'_, '_>) -> Result<(), BatchError> {
        for _ in 0..self.header.record_count {
            let claims = window.next_record().map_err(|stop| stop.at(self.next_delta))?;
            self.check(&claims).map_err(|fault| self.at(fault))?;
        }
        match window.ready().len() {
            0 if !window.read_on()? => Ok(()),
            _ => Err(BatchError::Remaining { count: self.header.record_count, left: window.ready().len() }),
        }
    }
}
