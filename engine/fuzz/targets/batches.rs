//! Record batches: validate, iterate, decompress.
//!
//! ```text
//!   input = kind u8 | 0: bytes as they are | 1: a batch whose magic, length and CRC are put right first
//!                   | 2..=5: a body for gzip, snappy, lz4, zstd
//! ```
//!
//! A mutation never hits a CRC by chance, so without kind 1 nothing behind that check would be reached. What validates
//! must also iterate: as many records as the header says, offsets without gaps.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use ringlog_wire::batch::{Batch, BatchHeader, Batches, HEADER_LEN, LENGTH_OVERHEAD, Rules, validate};
use ringlog_wire::compression::{Codec, Scratch, decompress};

const OPEN_MAX: usize = 1 << 20;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new());
}

fn check(bytes: &[u8], scratch: &mut Scratch) {
    let rules = Rules { inflated_len_max: OPEN_MAX, timestamp_after_max_ms: i64::MAX, ..Rules::default() };
    let Ok(validated) = validate(bytes, &rules, 0, scratch) else { return };
    let placed = [&validated.header_at(7, 1), &bytes[HEADER_LEN..]].concat();
    let batch = Batch::parse(&placed).expect("a valid batch parses");
    batch.check_crc().expect("a valid batch has its CRC");
    let records = batch.records(scratch, OPEN_MAX).expect("a valid batch opens");
    let offsets: Vec<i64> = records.map(|record| record.expect("a valid batch reads").offset).collect();
    assert!(offsets.iter().zip(7..).all(|(offset, expected)| *offset == expected));
    assert_eq!(offsets.len(), validated.header.record_count as usize);
}

fn walk(bytes: &[u8], scratch: &mut Scratch) {
    for batch in Batches::new(bytes).map_while(Result::ok) {
        let _ = batch.check_crc();
        if let Ok(records) = batch.records(scratch, OPEN_MAX) {
            let headers: usize = records.map_while(Result::ok).map(|record| record.headers.count()).sum();
            assert!(headers <= OPEN_MAX);
        }
    }
}

fn put_right(input: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = input.to_vec();
    let length = i32::try_from(bytes.len().checked_sub(LENGTH_OVERHEAD)?).ok()?;
    *bytes.get_mut(16)? = 2;
    bytes.get_mut(8..12)?.copy_from_slice(&length.to_be_bytes());
    bytes.get_mut(0..8)?.fill(0);
    let mut header = BatchHeader::parse(&bytes).ok()?;
    header.seal(&bytes[HEADER_LEN..]);
    bytes[..HEADER_LEN].copy_from_slice(&header.to_bytes());
    Some(bytes)
}

fuzz_target!(|data: &[u8]| {
    SCRATCH.with_borrow_mut(|scratch| match data.split_first() {
        Some((0, bytes)) => {
            check(bytes, scratch);
            walk(bytes, scratch);
        }
        Some((1, input)) => {
            if let Some(bytes) = put_right(input) {
                check(&bytes, scratch);
                walk(&bytes, scratch);
            }
        }
        Some((kind @ 2..=5, body)) => {
            let codec = Codec::from_id(kind - 1).expect("four codecs");
            let mut out = Vec::new();
            let _ = decompress(codec, body, OPEN_MAX, &mut out, scratch);
            assert!(out.len() <= OPEN_MAX + 1);
        }
        _ => {}
    });
});
