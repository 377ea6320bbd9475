//! Walking batches in a byte range, and records in a batch.

use super::header::ATTRIBUTES;
use super::record::{self, Record};
use super::{BatchError, BatchHeader, HEADER_LEN, RecordFault, TimestampType, crc_of};
use crate::compression::{Codec, Scratch, decompress};

/// A complete batch: header and exactly its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Its header.
    pub header: BatchHeader,
    /// The whole batch, header included.
    pub bytes: &'a [u8],
}

impl<'a> Batch<'a> {
    /// The batch at the start of `bytes`.
    ///
    /// Errors: those of [`BatchHeader::parse`], and [`BatchError::Incomplete`] if the bytes end before the batch.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        let wanted = header.total_len();
        match bytes.get(..wanted) {
            Some(bytes) => Ok(Self { header, bytes }),
            None => Err(BatchError::Incomplete { wanted, have: bytes.len() }),
        }
    }

    /// An error unless the CRC is that of the bytes.
    pub fn check_crc(&self) -> Result<(), BatchError> {
        let (stored, computed) = (self.header.crc, crc_of(&[&self.bytes[ATTRIBUTES..]]));
        if stored == computed { Ok(()) } else { Err(BatchError::Crc { stored, computed }) }
    }

    /// Everything after the header.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[HEADER_LEN..]
    }

    /// The batch's records. A compressed body is opened into `scratch`, `inflated_len_max` bytes at most.
    pub fn records<'s>(&self, scratch: &'s mut Scratch, inflated_len_max: usize) -> Result<RecordIter<'s>, BatchError>
    where
        'a: 's,
    {
        let body = match self.header.codec()? {
            Codec::None => self.body(),
            codec => {
                let mut opened = std::mem::take(&mut scratch.body);
                opened.clear();
                let outcome = decompress(codec, self.body(), inflated_len_max, &mut opened, scratch);
                scratch.body = opened;
                outcome?;
                &scratch.body
            }
        };
        Ok(RecordIter { header: self.header, rest: body, index: 0 })
    }
}

/// Batches one after the other, as in a fetch response or a segment.
///
/// Ends at the first batch that is not complete, because a fetch may cut one off ([`Batches::rest`] says what is
/// left); yields an error, once, where no batch header stands.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    rest: &'a [u8],
    failed: bool,
}

impl<'a> Batches<'a> {
    /// Walks `bytes` from their start.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, failed: false }
    }

    /// What follows the last batch that was returned.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() || self.failed {
            return None;
        }
        match Batch::parse(self.rest) {
            Ok(batch) => {
                self.rest = &self.rest[batch.bytes.len()..];
                Some(Ok(batch))
            }
            Err(BatchError::Incomplete { .. }) => None,
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}

/// A batch's records in their order. After an error, and after the last record, it ends.
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    header: BatchHeader,
    rest: &'a [u8],
    index: i32,
}

impl<'a> RecordIter<'a> {
    /// Goes on where another iterator over the same batch stood ([`Self::position`]). `body` is the batch's body,
    /// opened if it is compressed; `index` records and all but `left` of its bytes are passed over.
    pub fn resume(header: BatchHeader, body: &'a [u8], (index, left): (i32, usize)) -> Self {
        Self { header, rest: &body[body.len() - left.min(body.len())..], index }
    }

    /// Records that were read, and bytes of the body that are left.
    pub fn position(&self) -> (i32, usize) {
        (self.index, self.rest.len())
    }

    fn read(&mut self) -> Result<Record<'a>, RecordFault> {
        let (prefix, len) = record::size(self.rest)?.ok_or(RecordFault::Ends)?;
        let body = self.rest[prefix..].get(..len).ok_or(RecordFault::Ends)?;
        let raw = record::parse(body)?;
        self.rest = &self.rest[prefix + len..];
        Ok(Record {
            offset: self.header.base_offset.wrapping_add(raw.offset_delta.into()),
            timestamp: match self.header.timestamp_type() {
                TimestampType::CreateTime => self.header.base_timestamp.wrapping_add(raw.timestamp_delta),
                TimestampType::LogAppendTime => self.header.max_timestamp,
            },
            key: raw.key,
            value: raw.value,
            headers: raw.headers,
        })
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.index >= self.header.record_count {
            let left = std::mem::take(&mut self.rest).len();
            return (left > 0).then_some(Err(BatchError::Remaining { count: self.header.record_count, left }));
        }
        let index = self.index;
        match self.read() {
            Ok(record) => {
                self.index += 1;
                Some(Ok(record))
            }
            Err(fault) => {
                self.index = self.header.record_count;
                self.rest = &[];
                Some(Err(BatchError::Record { index, fault }))
            }
        }
    }
}
