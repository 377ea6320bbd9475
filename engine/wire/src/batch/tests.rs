//! Batches: what a client may send and what not, record for record.

use super::*;
use crate::ErrorCode;
use crate::compression::{Codec, Scratch};

const NOW: i64 = 1_700_000_000_000;
const HOUR_MS: i64 = 3_600_000;

fn batch_of(codec: Codec, records: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.set_codec(codec, None);
    for n in 0..records {
        let value = format!("value {n} {}", "x".repeat(n as usize % 50));
        builder.append(NOW + n % 3, Some(format!("key {n}").as_bytes()), Some(value.as_bytes()), &[(b"h", None)]);
    }
    builder.finish(&mut Scratch::new()).unwrap().to_vec()
}

fn check(bytes: &[u8], rules: &Rules) -> Result<Validated, BatchError> {
    validate(bytes, rules, NOW, &mut Scratch::new())
}

/// The batch with its header changed and its CRC right again.
fn with_header(bytes: &[u8], change: impl FnOnce(&mut BatchHeader)) -> Vec<u8> {
    let mut header = BatchHeader::parse(bytes).unwrap();
    change(&mut header);
    header.seal(&bytes[HEADER_LEN..]);
    [&header.to_bytes(), &bytes[HEADER_LEN..]].concat()
}

/// A batch of one record around a body that the builder would not write.
fn with_body(body: &[u8]) -> Vec<u8> {
    let mut header = BatchHeader { record_count: 1, last_offset_delta: 0, base_timestamp: NOW, ..Default::default() };
    header.batch_length = (HEADER_LEN - LENGTH_OVERHEAD + body.len()) as i32;
    header.seal(body);
    [&header.to_bytes(), body].concat()
}

fn refused(bytes: &[u8]) -> (BatchError, ErrorCode) {
    let error = check(bytes, &Rules::default()).unwrap_err();
    (error.clone(), error.code())
}

#[test]
fn every_codec_passes_and_gives_its_records_back() {
    for codec in Codec::ALL {
        let bytes = batch_of(codec, 500);
        let validated = check(&bytes, &Rules::default()).unwrap();
        assert_eq!((validated.codec, validated.header_changed, validated.total_len()), (codec, false, bytes.len()));
        assert_eq!(validated.header.max_timestamp, NOW + 2);
        assert_eq!(validated.offset_delta_of_max_timestamp, 2);
        let mut scratch = Scratch::new();
        let batch = Batch::parse(&bytes).unwrap();
        let records: Vec<_> = batch.records(&mut scratch, 1 << 20).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(records.len(), 500, "{}", codec.name());
        assert_eq!(records[7].key, Some(&b"key 7"[..]));
        assert_eq!((records[7].offset, records[7].timestamp), (7, NOW + 1));
        assert_eq!(records[7].headers.collect::<Vec<_>>(), [Header { key: b"h", value: None }]);
    }
}

#[test]
fn the_offset_and_epoch_are_given_without_touching_the_crc() {
    let bytes = batch_of(Codec::None, 3);
    let validated = check(&bytes, &Rules::default()).unwrap();
    let placed = [&validated.header_at(1000, 7), &bytes[HEADER_LEN..]].concat();
    let batch = Batch::parse(&placed).unwrap();
    batch.check_crc().unwrap();
    assert_eq!(
        (batch.header.base_offset, batch.header.last_offset(), batch.header.partition_leader_epoch),
        (1000, 1002, 7)
    );
}

#[test]
fn log_append_time_rewrites_time_stamp_type_and_crc() {
    let rules = Rules { timestamp_type: TimestampType::LogAppendTime, ..Rules::default() };
    for codec in [Codec::None, Codec::Lz4] {
        let bytes = batch_of(codec, 3);
        let validated = check(&bytes, &rules).unwrap();
        assert!(validated.header_changed);
        assert_eq!((validated.log_append_time_ms, validated.offset_delta_of_max_timestamp), (NOW, 0));
        let placed = [&validated.header_at(0, 0), &bytes[HEADER_LEN..]].concat();
        let batch = Batch::parse(&placed).unwrap();
        batch.check_crc().unwrap();
        let mut scratch = Scratch::new();
        assert!(batch.records(&mut scratch, 1 << 20).unwrap().all(|record| record.unwrap().timestamp == NOW));
        let marked = [0, 1, 2].map(|index| (index, RecordRefusal::TimestampType));
        assert_eq!(refusals(&placed, &rules), (marked.to_vec(), ErrorCode::INVALID_TIMESTAMP));
    }
}

fn refusals(bytes: &[u8], rules: &Rules) -> (Vec<(i32, RecordRefusal)>, ErrorCode) {
    let error = check(bytes, rules).unwrap_err();
    (error.refused_records().to_vec(), error.code())
}

/// As a broker of Kafka 4.3.1 answered them.
#[test]
fn a_clients_mark_of_log_append_time_is_taken_off_where_its_time_is_fine() {
    let rules = Rules { timestamp_before_max_ms: 1000, ..Rules::default() };
    let marked = |max_timestamp| {
        with_header(&batch_of(Codec::None, 2), |header| {
            header.attributes |= 8;
            header.max_timestamp = max_timestamp;
        })
    };
    let taken = check(&marked(NOW), &rules).unwrap();
    assert_eq!((taken.header.timestamp_type(), taken.log_append_time_ms), (TimestampType::CreateTime, -1));
    let none = [0, 1].map(|index| (index, RecordRefusal::TimestampType));
    assert_eq!(refusals(&marked(NO_TIMESTAMP), &rules), (none.to_vec(), ErrorCode::INVALID_TIMESTAMP));
    let (timestamp, low, high) = (NOW - 1001, NOW - 1000, NOW + HOUR_MS);
    let old = [0, 1].map(|index| (index, RecordRefusal::Timestamp { timestamp, low, high }));
    assert_eq!(refusals(&marked(timestamp), &rules), (old.to_vec(), ErrorCode::INVALID_TIMESTAMP));
}

/// The same: every record is named, a missing key before a wrong time, and one wrong time decides the error.
#[test]
fn every_record_that_is_not_taken_is_named() {
    let rules = Rules { compacted: true, ..Rules::default() };
    let built = |records: &[(Option<&[u8]>, i64)], codec| {
        let mut builder = BatchBuilder::new();
        builder.set_codec(codec, None);
        records.iter().for_each(|(key, timestamp)| builder.append(*timestamp, *key, Some(b"v"), &[]));
        builder.finish(&mut Scratch::new()).unwrap().to_vec()
    };
    let (key, far) = (Some(&b"k"[..]), NOW + 2 * HOUR_MS);
    for codec in [Codec::None, Codec::Zstd] {
        let bytes = built(&[(key, NOW), (None, far), (None, NOW), (key, NOW)], codec);
        let keyless = vec![(1, RecordRefusal::NoKey), (2, RecordRefusal::NoKey)];
        assert_eq!(refusals(&bytes, &rules), (keyless, ErrorCode::INVALID_RECORD));
        let bytes = built(&[(key, NOW), (None, NOW), (key, far)], codec);
        let late = RecordRefusal::Timestamp { timestamp: far, low: NOW.saturating_sub(i64::MAX), high: NOW + HOUR_MS };
        let mixed = vec![(1, RecordRefusal::NoKey), (2, late)];
        assert_eq!(refusals(&bytes, &rules), (mixed, ErrorCode::INVALID_TIMESTAMP));
    }
    let many = built(&vec![(None, NOW); RefusedRecords::NAMED_MAX + 7], Codec::None);
    let error = check(&many, &rules).unwrap_err();
    assert_eq!(error.refused_records().len(), RefusedRecords::NAMED_MAX);
    assert!(error.to_string().ends_with("due to 4103 record errors in total"), "{error}");
}

#[test]
fn a_wrong_highest_time_stamp_is_corrected() {
    let bytes = with_header(&batch_of(Codec::Gzip, 4), |header| header.max_timestamp = 5);
    let validated = check(&bytes, &Rules::default()).unwrap();
    assert!(validated.header_changed);
    assert_eq!(validated.header.max_timestamp, NOW + 2);
    Batch::parse(&[&validated.header_at(0, 0), &bytes[HEADER_LEN..]].concat()).unwrap().check_crc().unwrap();
}

#[test]
fn a_batch_that_is_cut_off_or_not_alone_is_refused() {
    let bytes = batch_of(Codec::None, 2);
    for len in 0..bytes.len() {
        assert!(matches!(refused(&bytes[..len]), (BatchError::Incomplete { .. }, ErrorCode::INVALID_RECORD)), "{len}");
    }
    let twice = [bytes.clone(), bytes].concat();
    assert!(matches!(refused(&twice), (BatchError::NotAlone { .. }, ErrorCode::INVALID_RECORD)));
}

#[test]
fn a_damaged_byte_anywhere_behind_the_crc_is_corrupt() {
    let bytes = batch_of(Codec::Zstd, 20);
    for at in 21..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let code = refused(&damaged).1;
        let codec_bits = at == 22;
        assert!(code == ErrorCode::CORRUPT_MESSAGE || codec_bits, "byte {at}: {code}");
    }
}

#[test]
fn lengths_and_formats_that_cannot_be_are_named() {
    let bytes = batch_of(Codec::None, 1);
    let short = with_header(&bytes, |header| header.batch_length = 48);
    assert_eq!(refused(&short), (BatchError::Length { length: 48 }, ErrorCode::CORRUPT_MESSAGE));
    let negative = with_header(&bytes, |header| header.batch_length = -1);
    assert_eq!(refused(&negative).0, BatchError::Length { length: -1 });
    for (magic, code) in
        [(0, ErrorCode::INVALID_RECORD), (1, ErrorCode::INVALID_RECORD), (3, ErrorCode::CORRUPT_MESSAGE)]
    {
        let mut other = bytes.clone();
        other[16] = magic;
        assert_eq!(refused(&other), (BatchError::Magic { magic: magic.cast_signed() }, code));
    }
}

#[test]
fn a_batch_over_the_limit_is_too_large() {
    let bytes = batch_of(Codec::None, 10);
    let rules = |batch_len_max| Rules { batch_len_max, ..Rules::default() };
    assert!(check(&bytes, &rules(bytes.len())).is_ok());
    assert_eq!(check(&bytes, &rules(bytes.len() - 1)).unwrap_err().code(), ErrorCode::MESSAGE_TOO_LARGE);
}

#[test]
fn the_header_must_agree_with_the_records() {
    let bytes = batch_of(Codec::None, 3);
    let refuse = |change: fn(&mut BatchHeader)| refused(&with_header(&bytes, change)).0;
    assert_eq!(refuse(|h| h.base_offset = 1), BatchError::BaseOffset { base_offset: 1 });
    assert_eq!(refuse(|h| h.record_count = 2), BatchError::Count { count: 2, last_offset_delta: 2 });
    assert_eq!(refuse(|h| h.record_count = -1), BatchError::Count { count: -1, last_offset_delta: 2 });
    assert!(matches!(
        refuse(|h| (h.record_count, h.last_offset_delta) = (0, -1)),
        BatchError::Count { count: 0, last_offset_delta: -1 }
    ));
    assert!(matches!(
        refuse(|h| (h.record_count, h.last_offset_delta) = (2, 1)),
        BatchError::Remaining { count: 2, .. }
    ));
    assert_eq!(
        refuse(|h| (h.record_count, h.last_offset_delta) = (4, 3)),
        BatchError::Record { index: 3, fault: RecordFault::Ends }
    );
    assert_eq!(refuse(|h| h.attributes = 0x20), BatchError::Control);
    assert_eq!(refuse(|h| h.producer_id = 5), BatchError::Sequence { producer_id: 5, base_sequence: -1 });
    assert_eq!(refuse(|h| h.attributes = 7), BatchError::Codec { id: 7 });
    assert_eq!(BatchError::Codec { id: 7 }.code(), ErrorCode::UNSUPPORTED_COMPRESSION_TYPE);
}

#[test]
fn a_coordinator_may_write_markers() {
    let bytes = BatchBuilder::marker(NOW, 42, 3, true, 9);
    assert_eq!(refused(&bytes).0, BatchError::Control);
    let rules = Rules { origin: Origin::Coordinator, compacted: true, ..Rules::default() };
    let validated = check(&bytes, &rules).unwrap();
    assert!(validated.header.is_control() && validated.header.is_transactional());
    let mut scratch = Scratch::new();
    let marker = Batch::parse(&bytes).unwrap().records(&mut scratch, 0).unwrap().next().unwrap().unwrap();
    assert_eq!((marker.key, marker.value), (Some(&[0, 0, 0, 1][..]), Some(&[0, 0, 0, 0, 0, 9][..])));
}

#[test]
fn the_records_of_a_compressed_body_are_counted_too() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let bytes = batch_of(codec, 3);
        let fewer = with_header(&bytes, |h| (h.record_count, h.last_offset_delta) = (2, 1));
        assert!(matches!(refused(&fewer), (BatchError::Remaining { count: 2, .. }, ErrorCode::INVALID_RECORD)));
        let more = with_header(&bytes, |h| (h.record_count, h.last_offset_delta) = (4, 3));
        assert_eq!(refused(&more).0, BatchError::Record { index: 3, fault: RecordFault::Ends }, "{}", codec.name());
        let other = with_header(&bytes, |h| h.attributes = i16::from(codec.id() % 4) + 1);
        assert_eq!(refused(&other).1, ErrorCode::INVALID_RECORD, "{}", codec.name());
    }
}

#[test]
fn a_compressed_body_that_opens_to_too_much_is_stopped() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut builder = BatchBuilder::new();
        builder.set_codec(codec, None);
        builder.append(NOW, None, Some(&vec![0; 4 << 20]), &[]);
        let bytes = builder.finish(&mut Scratch::new()).unwrap().to_vec();
        let rules = |inflated_len_max| Rules { inflated_len_max, ..Rules::default() };
        assert!(matches!(check(&bytes, &rules(1 << 20)), Err(BatchError::Compression(_))), "{}", codec.name());
        assert_eq!(check(&bytes, &rules(5 << 20)).unwrap().inflated_len, (4 << 20) + 13, "{}", codec.name());
    }
}

#[test]
fn a_batch_that_opens_to_too_much_is_too_large_so_that_the_client_splits_it() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut builder = BatchBuilder::new();
        builder.set_codec(codec, None);
        builder.append(NOW, None, Some(&vec![0; 2 << 20]), &[]);
        let bytes = builder.finish(&mut Scratch::new()).unwrap().to_vec();
        let rules = Rules { inflated_len_max: 1 << 20, ..Rules::default() };
        assert_eq!(check(&bytes, &rules).unwrap_err().code(), ErrorCode::MESSAGE_TOO_LARGE, "{}", codec.name());
    }
}

#[test]
fn what_a_batch_may_open_to_follows_its_largest_size_up_to_a_cap() {
    let maxes = [0, 1000, 1 << 20, 100 << 20, 1 << 30].map(Rules::inflated_len_max);
    assert_eq!(maxes, [0, 64_000, 64 << 20, 256 << 20, 1 << 30]);
}

/// The record's parts behind its size, around a value of `len` bytes.
fn long_record(len: usize, head: &[u8], tail: &[u8]) -> Vec<u8> {
    let mut body = head.to_vec();
    record::put_varlong(&mut body, len as i64);
    body.resize(body.len() + len, b'v');
    body.extend_from_slice(tail);
    let mut bytes = Vec::new();
    record::put_varlong(&mut bytes, body.len() as i64);
    [bytes, body].concat()
}

fn compressed(codec: Codec, records: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    crate::compression::compress(codec, None, &records.concat(), &mut body, &mut Scratch::new()).unwrap();
    with_header(&with_body(&body), |h| {
        h.attributes = i16::from(codec.id());
        (h.record_count, h.last_offset_delta) = (records.len() as i32, records.len() as i32 - 1);
    })
}

#[test]
fn records_of_megabytes_are_checked_in_a_small_window() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        // attributes, timestamp 0, offset n, key "k" | value | a header "h" without value, one "i" with "x"
        let record = |n: u8, len| long_record(len, &[0, 0, 2 * n, 2, b'k'], &[4, 2, b'h', 1, 2, b'i', 2, b'x']);
        let records = [record(0, 5 << 20), record(1, 3), record(2, 300 << 10), record(3, 256 << 10)];
        let mut scratch = Scratch::new();
        let rules = Rules { compacted: true, ..Rules::default() };
        let validated = validate(&compressed(codec, &records), &rules, NOW, &mut scratch).unwrap();
        assert_eq!(validated.inflated_len, records.concat().len());
        assert!(scratch.body.capacity() <= inflated::WINDOW_MAX, "{} {}", codec.name(), scratch.body.capacity());
    }
}

#[test]
fn every_length_inside_a_long_record_must_add_up_too() {
    const LEN: usize = 1 << 20;
    let fault = |records: &[Vec<u8>]| match refused(&compressed(Codec::Lz4, records)) {
        (BatchError::Record { index, fault }, ErrorCode::INVALID_RECORD) => (index, fault),
        other => panic!("{other:?}"),
    };
    let head = [0, 0, 0, 1];
    let good = long_record(LEN, &head, &[0]);
    assert_eq!(fault(&[good.clone(), good.clone()]), (1, RecordFault::OffsetDelta { offset_delta: 0 }));
    assert_eq!(fault(&[good[..LEN].to_vec()]), (0, RecordFault::Ends));
    assert_eq!(fault(&[long_record(LEN, &head, &[0, 7])]), (0, RecordFault::LeftOver { left: 1 }));
    let count = |len| RecordFault::Length { what: "header count", len };
    assert_eq!(fault(&[long_record(LEN, &head, &[1])]), (0, count(-1)));
    assert_eq!(fault(&[long_record(LEN, &head, &[8, 0, 0])]), (0, count(4)));
    let key = RecordFault::Length { what: "header key", len: -1 };
    assert_eq!(fault(&[long_record(LEN, &head, &[2, 1, 0])]), (0, key));
    let value = RecordFault::Length { what: "header value", len: 2 };
    assert_eq!(fault(&[long_record(LEN, &head, &[2, 0, 4, 0])]), (0, value));
    assert_eq!(fault(&[long_record(LEN, &head, &[])]), (0, RecordFault::Varint));
    let rules = Rules { compacted: true, ..Rules::default() };
    let no_key = refusals(&compressed(Codec::Zstd, &[good]), &rules);
    assert_eq!(no_key, (vec![(0, RecordRefusal::NoKey)], ErrorCode::INVALID_RECORD));
}

#[test]
fn zstd_waits_for_produce_version_seven() {
    let rules = Rules { zstd_allowed: false, ..Rules::default() };
    assert_eq!(check(&batch_of(Codec::Zstd, 1), &rules), Err(BatchError::ZstdTooEarly));
    assert!(check(&batch_of(Codec::Lz4, 1), &rules).is_ok());
}

#[test]
fn compacted_topics_need_keys() {
    let rules = Rules { compacted: true, ..Rules::default() };
    assert!(check(&batch_of(Codec::None, 3), &rules).is_ok());
    let mut builder = BatchBuilder::new();
    builder.append(NOW, Some(b"k"), Some(b"v"), &[]);
    builder.append(NOW, None, Some(b"v"), &[]);
    let bytes = builder.finish(&mut Scratch::new()).unwrap();
    assert_eq!(refusals(bytes, &rules), (vec![(1, RecordRefusal::NoKey)], ErrorCode::INVALID_RECORD));
    let broken = with_body(&[&bytes[HEADER_LEN..], &[0xff; 3]].concat());
    let broken = with_header(&broken, |header| (header.record_count, header.last_offset_delta) = (2, 1));
    assert!(matches!(check(&broken, &rules), Err(BatchError::Remaining { .. })), "what cannot be read comes first");
}

#[test]
fn time_stamps_have_a_window_and_none_is_always_inside() {
    let at = |timestamp| {
        let mut builder = BatchBuilder::new();
        builder.append(timestamp, None, Some(b"v"), &[]);
        builder.finish(&mut Scratch::new()).unwrap().to_vec()
    };
    let rules = Rules { timestamp_before_max_ms: 1000, ..Rules::default() };
    for good in [NOW - 1000, NOW, NOW + HOUR_MS, NO_TIMESTAMP] {
        assert!(check(&at(good), &rules).is_ok(), "{good}");
    }
    for bad in [NOW - 1001, NOW + HOUR_MS + 1, i64::MAX, -2] {
        assert_eq!(check(&at(bad), &rules).unwrap_err().code(), ErrorCode::INVALID_TIMESTAMP, "{bad}");
    }
    assert_eq!(check(&at(NO_TIMESTAMP), &rules).unwrap().offset_delta_of_max_timestamp, -1);
}

#[test]
fn every_length_inside_a_record_must_add_up() {
    // size 7 | attributes | timestamp 0 | offset 0 | key -1 | value len 1 "v" | headers 0
    let good = [14, 0, 0, 0, 1, 2, b'v', 0];
    assert!(check(&with_body(&good), &Rules::default()).is_ok());
    let fault = |body: &[u8]| match refused(&with_body(body)) {
        (BatchError::Record { index: 0, fault }, ErrorCode::INVALID_RECORD) => fault,
        other => panic!("{other:?}"),
    };
    assert_eq!(fault(&[16, 0, 0, 0, 1, 2, b'v', 0]), RecordFault::Ends);
    assert_eq!(fault(&[12, 0, 0, 0, 1, 2, b'v', 0]), RecordFault::Varint);
    assert_eq!(fault(&[1, 0, 0, 0, 1, 2, b'v', 0]), RecordFault::Length { what: "body", len: -1 });
    assert_eq!(fault(&[14, 0, 0, 0, 40, 2, b'v', 0]), RecordFault::Length { what: "key", len: 20 });
    assert_eq!(fault(&[14, 0, 0, 0, 1, 20, b'v', 0]), RecordFault::Length { what: "value", len: 10 });
    assert_eq!(fault(&[14, 0, 0, 0, 1, 2, b'v', 1]), RecordFault::Length { what: "header count", len: -1 });
    assert_eq!(fault(&[14, 0, 0, 0, 1, 2, b'v', 8]), RecordFault::Length { what: "header count", len: 4 });
    assert_eq!(fault(&[14, 0, 0, 0, 1, 1, 0, 0]), RecordFault::LeftOver { left: 1 });
    assert_eq!(fault(&[14, 0, 0, 2, 1, 2, b'v', 0]), RecordFault::OffsetDelta { offset_delta: 1 });
    assert_eq!(fault(&[18, 0, 0, 0, 1, 1, 2, 1, 1, 0]), RecordFault::Length { what: "header key", len: -1 });
    assert_eq!(fault(&[18, 0, 0, 0, 1, 1, 2, 0, 4, 0]), RecordFault::Length { what: "header value", len: 2 });
    assert_eq!(fault(&[0x80; 20]), RecordFault::Varint);
}

#[test]
fn batches_end_quietly_where_one_is_cut_off() {
    let one = batch_of(Codec::None, 2);
    let bytes = [one.as_slice(), &batch_of(Codec::Lz4, 5), &one[..70]].concat();
    let mut batches = Batches::new(&bytes);
    assert_eq!(batches.by_ref().map(|batch| batch.unwrap().header.record_count).collect::<Vec<_>>(), [2, 5]);
    assert_eq!(batches.rest().len(), 70);
    let garbage = [one.as_slice(), &[9; 100]].concat();
    let mut batches = Batches::new(&garbage);
    assert!(batches.next().unwrap().is_ok());
    assert!(matches!(batches.next(), Some(Err(BatchError::Magic { magic: 9 }))));
    assert!(batches.next().is_none());
}

#[test]
fn the_builder_knows_lengths_beforehand_and_starts_again() {
    let mut builder = BatchBuilder::new();
    for n in 0..300i64 {
        let before = builder.len();
        let value = vec![7; (n * 3) as usize];
        let headers: &[(&[u8], Option<&[u8]>)] = &[(b"name", Some(b"value")), (b"", None)];
        let expected = builder.len_of_next(NOW + n * 1000, None, Some(&value), headers);
        builder.append(NOW + n * 1000, None, Some(&value), headers);
        assert_eq!(builder.len() - before, expected);
    }
    let first = builder.finish(&mut Scratch::new()).unwrap().to_vec();
    assert_eq!(Batch::parse(&first).unwrap().header.record_count, 300);
    builder.clear();
    builder.append(NOW, None, None, &[]);
    let second = builder.finish(&mut Scratch::new()).unwrap().to_vec();
    assert_eq!((second.len(), BatchHeader::parse(&second).unwrap().record_count), (HEADER_LEN + 7, 1));
}

#[test]
fn sequences_wrap_at_the_highest_int() {
    let header = BatchHeader { base_sequence: i32::MAX - 1, last_offset_delta: 3, ..Default::default() };
    assert_eq!(header.last_sequence(), 1);
    assert_eq!(BatchHeader::default().last_sequence(), -1);
}
