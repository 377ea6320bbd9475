//! A batch in the codec that its topic keeps (`compression.type`): what Kafka's `LogValidator.buildRecordsAndAssignOffsets`
//! makes of one that came in another.
//!
//! ```text
//!   body --decompress--> records, the same bytes --compress--> body    the header: codec, length, CRC; the rest stays
//! ```
//! Invariant: records, offsets, time stamps and the producer's numbers are those of the batch that was checked.

use super::{BatchError, BatchHeader, HEADER_LEN, LENGTH_OVERHEAD, Validated};
use crate::compression::{Codec, Scratch, compress, decompress};

/// What a topic's batches are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recompression {
    /// The codec.
    pub codec: Codec,
    /// Its level, as [`compress`] takes it.
    pub level: Option<i32>,
}

/// Compresses a checked batch anew, as [`Validated::recompression`] says; without one it is given back as it is. The size is
/// checked again: `batch_len_max` bytes at most.
pub fn recompress(
    bytes: &[u8],
    validated: &Validated,
    batch_len_max: usize,
    scratch: &mut Scratch,
) -> Result<(Vec<u8>, Validated), BatchError> {
    let Some(Recompression { codec, level }) = validated.recompression else {
        return Ok((bytes.to_vec(), *validated));
    };
    let body = &bytes[HEADER_LEN..];
    let mut out = vec![0; HEADER_LEN];
    match (validated.codec, codec) {
        (Codec::None, codec) => compress(codec, level, body, &mut out, scratch)?,
        (from, Codec::None) => decompress(from, body, validated.inflated_len, &mut out, scratch)?,
        (from, codec) => {
            let mut opened = Vec::new();
            decompress(from, body, validated.inflated_len, &mut opened, scratch)?;
            compress(codec, level, &opened, &mut out, scratch)?;
        }
    }
    if out.len() > batch_len_max {
        return Err(BatchError::TooLarge { len: out.len(), max: batch_len_max });
    }
    let header = header_of(validated, codec, &mut out);
    Ok((out, Validated { header, header_changed: true, codec, recompression: None, ..*validated }))
}

/// Puts the header in front of the body, with the bits that a broker's own batch has.
fn header_of(validated: &Validated, codec: Codec, bytes: &mut [u8]) -> BatchHeader {
    let mut header = validated.header;
    header.attributes = 0;
    header.set_codec(codec);
    header.set_timestamp_type(validated.header.timestamp_type());
    header.set_transactional(validated.header.is_transactional());
    header.batch_length = i32::try_from(bytes.len() - LENGTH_OVERHEAD).unwrap_or(i32::MAX);
    header.seal(&bytes[HEADER_LEN..]);
    bytes[..HEADER_LEN].copy_from_slice(&header.to_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Batch, BatchBuilder, Rules, TimestampType, validate};

    const NOW_MS: i64 = 1_000_000;

    fn built(codec: Codec) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        builder.set_codec(codec, None).set_producer(7, 3, 20);
        builder.append(NOW_MS, Some(b"a"), Some(&[b'x'; 500]), &[(b"h", None)]);
        builder.append(NOW_MS + 9, None, None, &[]);
        builder.append(NOW_MS - 4, Some(b"c"), Some(&[b'y'; 500]), &[(b"h", Some(b"v"))]);
        builder.finish(&mut Scratch::default()).unwrap().to_vec()
    }

    type Seen = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>, usize);

    fn records(bytes: &[u8]) -> Vec<Seen> {
        let batch = Batch::parse(bytes).unwrap();
        assert_eq!(batch.bytes.len(), bytes.len());
        batch.check_crc().unwrap();
        let mut scratch = Scratch::default();
        let seen = batch.records(&mut scratch, 1 << 20).unwrap().map(Result::unwrap);
        let own = |part: Option<&[u8]>| part.map(<[u8]>::to_vec);
        seen.map(|it| (it.offset, it.timestamp, own(it.key), own(it.value), it.headers.len())).collect()
    }

    fn rules(codec: Codec, timestamp_type: TimestampType) -> Rules {
        Rules { compression: Some(Recompression { codec, level: None }), timestamp_type, ..Rules::default() }
    }

    #[test]
    fn from_every_codec_into_every_other_the_records_stay_the_same() {
        let mut scratch = Scratch::default();
        for (from, to) in Codec::ALL.into_iter().flat_map(|from| Codec::ALL.map(|to| (from, to))) {
            for kind in [TimestampType::CreateTime, TimestampType::LogAppendTime] {
                let bytes = built(from);
                let validated = validate(&bytes, &rules(to, kind), NOW_MS, &mut scratch).unwrap();
                assert_eq!(
                    validated.recompression.is_none(),
                    from == to,
                    "one of the same codec stays, whatever its level"
                );
                let (out, after) = recompress(&bytes, &validated, 1 << 20, &mut scratch).unwrap();
                if from == to {
                    assert_eq!((&out, after), (&bytes, validated));
                    continue;
                }
                let header = Batch::parse(&out).unwrap().header;
                assert_eq!((header, after.total_len(), after.recompression), (after.header, out.len(), None));
                assert_eq!((header.codec().unwrap(), header.timestamp_type()), (to, kind));
                let kept = |h: &BatchHeader| {
                    (
                        h.max_timestamp,
                        h.base_timestamp,
                        h.last_offset_delta,
                        h.record_count,
                        h.producer_id,
                        h.last_sequence(),
                    )
                };
                assert_eq!(kept(&header), kept(&validated.header));
                let due = records(&bytes).into_iter().map(|mut record| {
                    record.1 = if kind == TimestampType::LogAppendTime { NOW_MS } else { record.1 };
                    record
                });
                assert_eq!(records(&out), due.collect::<Vec<_>>(), "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn what_is_too_large_afterwards_is_refused() {
        let mut scratch = Scratch::default();
        let bytes = built(Codec::Gzip);
        let validated = validate(&bytes, &rules(Codec::None, TimestampType::CreateTime), NOW_MS, &mut scratch).unwrap();
        let len = HEADER_LEN + validated.inflated_len;
        assert!(bytes.len() < len);
        assert_eq!(
            recompress(&bytes, &validated, len - 1, &mut scratch).unwrap_err(),
            BatchError::TooLarge { len, max: len - 1 }
        );
        assert_eq!(recompress(&bytes, &validated, len, &mut scratch).unwrap().0.len(), len);
    }

    #[test]
    fn levels_are_those_of_the_topic_and_markers_stay_as_they_are() {
        let mut scratch = Scratch::default();
        let bytes = built(Codec::None);
        let at = |level, scratch: &mut Scratch| {
            let compression = Some(Recompression { codec: Codec::Gzip, level: Some(level) });
            let validated = validate(&bytes, &Rules { compression, ..Rules::default() }, NOW_MS, scratch).unwrap();
            recompress(&bytes, &validated, 1 << 20, scratch).unwrap().0
        };
        assert_ne!(at(1, &mut scratch), at(9, &mut scratch));
        let marker = BatchBuilder::marker(NOW_MS, 7, 3, true, 0);
        let rules =
            Rules { origin: crate::batch::Origin::Coordinator, ..rules(Codec::Gzip, TimestampType::CreateTime) };
        assert_eq!(validate(&marker, &rules, NOW_MS, &mut scratch).unwrap().recompression, None);
    }
}
