//! What is left of a batch that loses records: compaction (`MemoryRecords.filterTo`, `DefaultRecordBatch.writeEmptyHeader`).
//!
//! ```text
//!   sift: each record stays or goes --> Sifted --write--> the batch with what stayed
//!                                              --emptied-> 61 bytes: a batch without records
//! ```
//! The batch keeps its place and its producer: base offset, last offset, leader epoch, producer id, epoch and sequence. Records
//! that stay are the same bytes, unless the batch is given a delete horizon (KIP-534): that stands where time stamp deltas
//! count from.

use std::ops::Range;

use super::record::{put_varlong, varlong, varlong_len};
use super::{Batch, BatchError, BatchHeader, HEADER_LEN, LENGTH_OVERHEAD, NO_TIMESTAMP, Record, TimestampType, record};
use crate::compression::{Codec, Scratch, compress};

/// What [`Sieve::sift`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sifted {
    /// Records that stay.
    pub kept: usize,
    /// Records that go.
    pub dropped: usize,
    /// One of those that stay has no value.
    pub has_tombstone: bool,
}

/// Buffers that one batch after the other uses.
#[derive(Debug, Default)]
pub struct Sieve {
    scratch: Scratch,
    plain: Vec<u8>,
    /// Records of the last batch that stay: where they lie in its body, opened, and their time stamps.
    kept: Vec<(Range<usize>, i64)>,
}

impl Sieve {
    /// Looks at every record of a batch; `keep` says which of them stay. A compressed body opens to `inflated_len_max` bytes at
    /// most.
    pub fn sift(
        &mut self,
        batch: &Batch<'_>,
        inflated_len_max: usize,
        mut keep: impl FnMut(&Record<'_>) -> bool,
    ) -> Result<Sifted, BatchError> {
        self.kept.clear();
        let mut sifted = Sifted::default();
        let mut records = batch.records(&mut self.scratch, inflated_len_max)?;
        let (_, len) = records.position();
        loop {
            let (_, left_before) = records.position();
            let Some(record) = records.next() else { return Ok(sifted) };
            let record = record?;
            if keep(&record) {
                let (_, left) = records.position();
                self.kept.push((len - left_before..len - left, record.timestamp));
                sifted.kept += 1;
                sifted.has_tombstone |= record.value.is_none();
            } else {
                sifted.dropped += 1;
            }
        }
    }

    /// Appends the batch that was sifted last, with the records that stay and, where one is given, another delete horizon.
    /// Gives its header.
    pub fn write(
        &mut self,
        batch: &Batch<'_>,
        delete_horizon_ms: Option<i64>,
        out: &mut Vec<u8>,
    ) -> Result<BatchHeader, BatchError> {
        let codec = batch.header.codec()?;
        let mut header = batch.header;
        header.record_count = i32::try_from(self.kept.len()).unwrap_or(i32::MAX);
        if let Some(horizon_ms) = delete_horizon_ms {
            header.set_delete_horizon(horizon_ms);
        }
        if header.timestamp_type() == TimestampType::CreateTime {
            header.max_timestamp = self.kept.iter().map(|(_, timestamp)| *timestamp).max().unwrap_or(NO_TIMESTAMP);
        }
        let shift = batch.header.base_timestamp.wrapping_sub(header.base_timestamp);
        let body = if codec == Codec::None { batch.body() } else { &self.scratch.body };
        self.plain.clear();
        for (range, _) in &self.kept {
            match shift {
                0 => self.plain.extend_from_slice(&body[range.clone()]),
                _ => shifted(&body[range.clone()], shift, &mut self.plain)
                    .map_err(|fault| BatchError::Record { index: 0, fault })?,
            }
        }
        let start = out.len();
        out.resize(start + HEADER_LEN, 0);
        compress(codec, None, &self.plain, out, &mut self.scratch)?;
        finish(&mut header, &mut out[start..]);
        Ok(header)
    }
}

impl BatchHeader {
    /// Appends a batch without records in the place of this one: for a producer's state, or so that a log ends where it did.
    /// Gives its header.
    pub fn write_emptied(&self, out: &mut Vec<u8>) -> Self {
        let mut header = Self { base_timestamp: NO_TIMESTAMP, record_count: 0, ..*self };
        header.set_codec(Codec::None);
        header.clear_delete_horizon();
        let start = out.len();
        out.resize(start + HEADER_LEN, 0);
        finish(&mut header, &mut out[start..]);
        header
    }
}

/// Fills in length and CRC, and puts the header in front of the body.
fn finish(header: &mut BatchHeader, bytes: &mut [u8]) {
    header.batch_length = i32::try_from(bytes.len() - LENGTH_OVERHEAD).unwrap_or(i32::MAX);
    header.seal(&bytes[HEADER_LEN..]);
    bytes[..HEADER_LEN].copy_from_slice(&header.to_bytes());
}

/// Appends a record whose time stamp delta counts from elsewhere.
fn shifted(record: &[u8], shift: i64, out: &mut Vec<u8>) -> Result<(), super::RecordFault> {
    let (prefix, len) = record::size(record)?.ok_or(super::RecordFault::Ends)?;
    let body = record.get(prefix..prefix + len).ok_or(super::RecordFault::Ends)?;
    let (attributes, rest) = body.split_at_checked(1).ok_or(super::RecordFault::Ends)?;
    let (delta, delta_len) = varlong(rest)?;
    let (delta, rest) = (delta.wrapping_add(shift), &rest[delta_len..]);
    put_varlong(out, (1 + varlong_len(delta) + rest.len()) as i64);
    out.extend_from_slice(attributes);
    put_varlong(out, delta);
    out.extend_from_slice(rest);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::BatchBuilder;

    type Seen = (i64, i64, Vec<u8>, Option<Vec<u8>>, usize);

    fn built(codec: Codec) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        builder.set_codec(codec, None).set_producer(7, 3, 20).set_position(100, 5);
        builder.append(1_000, Some(b"a"), Some(b"one"), &[(b"h", None)]);
        builder.append(3_000, Some(b"b"), None, &[]);
        builder.append(2_000, Some(b"c"), Some(b"three"), &[(b"h", Some(b"v"))]);
        builder.finish(&mut Scratch::default()).unwrap().to_vec()
    }

    fn seen(bytes: &[u8]) -> (BatchHeader, Vec<Seen>) {
        let batch = Batch::parse(bytes).unwrap();
        assert_eq!(batch.bytes.len(), bytes.len());
        batch.check_crc().unwrap();
        let mut scratch = Scratch::default();
        let records = batch.records(&mut scratch, 1 << 20).unwrap().map(Result::unwrap);
        let of = |it: Record<'_>| {
            (it.offset, it.timestamp, it.key.unwrap().to_vec(), it.value.map(<[u8]>::to_vec), it.headers.len())
        };
        (batch.header, records.map(of).collect())
    }

    #[test]
    fn what_stays_is_as_it_was_whatever_the_codec_and_with_a_horizon_too() {
        for codec in Codec::ALL {
            let bytes = built(codec);
            let (before, records) = seen(&bytes);
            for horizon_ms in [None, Some(9_999)] {
                let (mut sieve, mut out) = (Sieve::default(), b"before".to_vec());
                let batch = Batch::parse(&bytes).unwrap();
                let sifted = sieve.sift(&batch, 1 << 20, |record| record.offset != 100).unwrap();
                assert_eq!(sifted, Sifted { kept: 2, dropped: 1, has_tombstone: true });
                let header = sieve.write(&batch, horizon_ms, &mut out).unwrap();
                let (after, left) = seen(&out[6..]);
                assert_eq!((after, &left[..]), (header, &records[1..]), "{codec:?}");
                assert_eq!((after.delete_horizon_ms(), after.codec().unwrap()), (horizon_ms, codec));
                assert_eq!((after.base_offset, after.last_offset(), after.record_count), (100, 102, 2));
                assert_eq!((after.last_sequence(), after.max_timestamp), (before.last_sequence(), 3_000));
                assert_eq!((after.producer_id, after.producer_epoch, after.partition_leader_epoch), (7, 3, 5));
            }
        }
    }

    #[test]
    fn the_highest_time_stamp_is_that_of_what_stays() {
        let bytes = built(Codec::None);
        let batch = Batch::parse(&bytes).unwrap();
        let (mut sieve, mut out) = (Sieve::default(), Vec::new());
        let sifted = sieve.sift(&batch, 0, |record| record.value.is_some()).unwrap();
        assert_eq!(sifted, Sifted { kept: 2, dropped: 1, has_tombstone: false });
        assert_eq!(sieve.write(&batch, None, &mut out).unwrap().max_timestamp, 2_000);
    }

    #[test]
    fn an_emptied_batch_keeps_its_place_and_its_producer_and_nothing_else() {
        let (mut out, bytes) = (Vec::new(), built(Codec::Zstd));
        let before = Batch::parse(&bytes).unwrap().header;
        let header = before.write_emptied(&mut out);
        let (after, records) = seen(&out);
        assert_eq!((after, records.len(), out.len()), (header, 0, HEADER_LEN));
        assert_eq!((after.base_offset, after.last_offset(), after.last_sequence()), (100, 102, 22));
        assert_eq!((after.max_timestamp, after.codec().unwrap()), (3_000, Codec::None));
        let again = after.write_emptied(&mut Vec::new());
        assert_eq!(again, after);
    }

    #[test]
    fn a_broken_record_is_an_error() {
        let mut bytes = built(Codec::None);
        let last = bytes.len() - 1;
        bytes.truncate(last);
        let header = Batch::parse(&built(Codec::None)).unwrap().header;
        let batch = Batch { header, bytes: &bytes };
        assert!(Sieve::default().sift(&batch, 0, |_| true).is_err());
    }
}
