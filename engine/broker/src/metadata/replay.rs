//! From bytes of the metadata log to an image: ours, and those that a KRaft controller wrote.
//!
//! Of control batches what they say of the quorum is kept (`image::Carried`); a new leader, a snapshot's head and foot change
//! nothing. Records of kinds that Kafka has and we do not know are skipped. A metadata transaction (KIP-868) counts as a whole or not at all.

use ringlog_wire::DecodeError;
use ringlog_wire::batch::{Batch, BatchError, Batches};
use ringlog_wire::compression::Scratch;
use ringlog_wire::records::metadata::MetadataRecord;

use super::image::{Image, ReplayError};

/// The most bytes that a compressed batch of the metadata log may open to.
const INFLATED_LEN_MAX: usize = 64 << 20;

/// Why the metadata log cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// A batch that is none.
    #[error("the batch at offset {offset} cannot be read: {error}")]
    Batch {
        /// Offset of its first record, or of the record before.
        offset: i64,
        /// What is wrong.
        error: BatchError,
    },
    /// A record whose bytes are wrong.
    #[error("the record at offset {offset} cannot be read: {error}")]
    Record {
        /// Its offset.
        offset: i64,
        /// What is wrong.
        error: DecodeError,
    },
    /// A record that contradicts those before it.
    #[error("the record at offset {offset} cannot be: {error}")]
    Replay {
        /// Its offset.
        offset: i64,
        /// What is wrong.
        error: ReplayError,
    },
}

/// An image while the log is read.
#[derive(Debug)]
pub(crate) struct Replay {
    image: Image,
    /// Records of an open metadata transaction, with their offsets.
    transaction: Option<Vec<(i64, MetadataRecord)>>,
    next_offset: i64,
    scratch: Scratch,
}

impl Replay {
    /// Begins with an image; the log is expected to go on at `next_offset`.
    pub(crate) fn new(image: Image, next_offset: i64) -> Self {
        Self { image, transaction: None, next_offset, scratch: Scratch::default() }
    }

    /// The offset after the last batch that was read.
    pub(crate) fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// Takes the whole batches at the start of `bytes`; says how many bytes they are.
    pub(crate) fn batches(&mut self, bytes: &[u8]) -> Result<usize, ReadError> {
        let mut batches = Batches::new(bytes);
        for batch in batches.by_ref() {
            let batch = batch.map_err(|error| ReadError::Batch { offset: self.next_offset, error })?;
            self.batch(&batch)?;
        }
        Ok(bytes.len() - batches.rest().len())
    }

    fn batch(&mut self, batch: &Batch<'_>) -> Result<(), ReadError> {
        let offset = batch.header.base_offset;
        let fail = |error| ReadError::Batch { offset, error };
        batch.check_crc().map_err(fail)?;
        if batch.header.is_control() {
            for (kind, body) in controls(batch, &mut self.scratch)? {
                self.image.carried_mut().control(kind, &body);
            }
        } else {
            for (offset, record) in decode(batch, &mut self.scratch)? {
                self.record(offset, record)?;
            }
        }
        self.next_offset = batch.header.next_offset();
        self.image.set_version(self.next_offset - 1);
        Ok(())
    }

    fn record(&mut self, offset: i64, record: MetadataRecord) -> Result<(), ReadError> {
        match (record, &mut self.transaction) {
            (MetadataRecord::BeginTransactionRecord(_), open) => *open = Some(Vec::new()),
            (MetadataRecord::AbortTransactionRecord(_), open) => *open = None,
            (MetadataRecord::EndTransactionRecord(_), open) => {
                for (offset, record) in open.take().unwrap_or_default() {
                    self.apply(offset, &record)?;
                }
            }
            (record, Some(open)) => open.push((offset, record)),
            (record, None) => self.apply(offset, &record)?,
        }
        Ok(())
    }

    fn apply(&mut self, offset: i64, record: &MetadataRecord) -> Result<(), ReadError> {
        self.image.apply(record).map_err(|error| ReadError::Replay { offset, error })
    }

    /// Whether a transaction is open: whoever goes on with the log ends it first, lest his records count as part of it.
    pub(crate) fn is_in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// The image. A transaction that is still open never happened.
    pub(crate) fn finish(self) -> Image {
        if self.transaction.is_some() {
            tracing::warn!("the metadata log ends inside a transaction, which is dropped");
        }
        self.image
    }
}

/// The control records of a batch: the kind (ControlRecordType) and the body of each. None of other batches.
pub(super) fn controls(batch: &Batch<'_>, scratch: &mut Scratch) -> Result<Vec<(i16, Vec<u8>)>, ReadError> {
    if !batch.header.is_control() {
        return Ok(Vec::new());
    }
    let fail = |error| ReadError::Batch { offset: batch.header.base_offset, error };
    let records = batch.records(scratch, INFLATED_LEN_MAX).map_err(fail)?;
    let mut controls = Vec::new();
    for record in records {
        let record = record.map_err(fail)?;
        // The key: a version, and the kind.
        let kind = record.key.and_then(|key| Some(i16::from_be_bytes(key.get(2..4)?.try_into().ok()?)));
        controls.extend(kind.map(|kind| (kind, record.value.unwrap_or_default().to_vec())));
    }
    Ok(controls)
}

/// The records of a batch that are of kinds we know, with their offsets.
fn decode(batch: &Batch<'_>, scratch: &mut Scratch) -> Result<Vec<(i64, MetadataRecord)>, ReadError> {
    let base = batch.header.base_offset;
    let records = batch.records(scratch, INFLATED_LEN_MAX).map_err(|error| ReadError::Batch { offset: base, error })?;
    let mut decoded = Vec::new();
    for (index, record) in (0_i64..).zip(records) {
        let offset = base + index;
        let record = record.map_err(|error| ReadError::Batch { offset, error })?;
        match MetadataRecord::decode_value(record.value.unwrap_or_default()) {
            Ok((known, _)) => decoded.push((record.offset, known)),
            Err(error @ DecodeError::Unknown { .. }) => {
                tracing::debug!(offset, %error, "a metadata record of an unknown kind is skipped");
            }
            Err(error) => return Err(ReadError::Record { offset, error }),
        }
    }
    Ok(decoded)
}

/// All records of a file of batches (bootstrap.checkpoint) that are of kinds we know.
pub(crate) fn records(bytes: &[u8]) -> Result<Vec<MetadataRecord>, ReadError> {
    let mut scratch = Scratch::default();
    let mut records = Vec::new();
    for batch in Batches::new(bytes) {
        let batch = batch.map_err(|error| ReadError::Batch { offset: 0, error })?;
        if !batch.header.is_control() {
            records.extend(decode(&batch, &mut scratch)?.into_iter().map(|(_, record)| record));
        }
    }
    Ok(records)
}
