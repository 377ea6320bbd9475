//! What one batch costs, as functions that `scripts/counts` finds by name under valgrind: each is called [`CALLS`] times, asserts
//! what it did, and is not inlined. Setting up is outside.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::hint::black_box;
use std::path::PathBuf;
use std::rc::Rc;

use ringlog_io::{Files, OsFiles};
use ringlog_storage::{Isolation, LogConfig, NewBatch, Origin, Partition};
use ringlog_wire::Uuid;
use ringlog_wire::batch::{Batch, BatchBuilder, Rules, Validated, validate};
use ringlog_wire::compression::{Codec, Scratch};

/// `scripts/counts` divides by the calls that it sees.
const CALLS: i64 = 100;
const NOW: i64 = 1_700_000_000_000;
const RECORDS: i64 = 16;

fn batch(codec: Codec, producer_id: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.set_codec(codec, None);
    if producer_id >= 0 {
        builder.set_producer(producer_id, 0, 0);
    }
    for n in 0..RECORDS as usize {
        let value: Vec<u8> = (0..1000).map(|at| b'A' + ((n * 31 + at * at * 7) % 26) as u8).collect();
        builder.append(NOW, None, Some(&value), &[]);
    }
    builder.finish(&mut Scratch::new()).unwrap().to_vec()
}

#[inline(never)]
fn crc(bytes: &[u8]) {
    Batch::parse(black_box(bytes)).unwrap().check_crc().expect("its CRC");
}

#[inline(never)]
fn validate_plain(bytes: &[u8], scratch: &mut Scratch) -> Validated {
    validate(black_box(bytes), &Rules::default(), NOW, scratch).expect("it is right")
}

#[inline(never)]
fn validate_lz4(bytes: &[u8], scratch: &mut Scratch) -> Validated {
    validate(black_box(bytes), &Rules::default(), NOW, scratch).expect("it is right")
}

#[inline(never)]
fn append(partition: &mut Partition, batch: NewBatch<'_>) {
    let answers = partition.append(&[batch], 0, NOW);
    assert!(answers[0].as_ref().is_ok_and(|appended| !appended.duplicate));
}

#[inline(never)]
fn append_idempotent(partition: &mut Partition, batch: NewBatch<'_>) {
    let answers = partition.append(&[batch], 0, NOW);
    assert!(answers[0].as_ref().is_ok_and(|appended| !appended.duplicate));
}

fn read(partition: &Partition, offset: i64) -> usize {
    partition.read(offset, 1 << 20, true, Isolation::ReadUncommitted).expect("it is there").len
}

/// By way of the index.
#[inline(never)]
fn lookup(partition: &Partition, offset: i64) {
    assert!(read(partition, offset) > 0);
}

/// The last batch, which is remembered.
#[inline(never)]
fn read_tail(partition: &Partition) {
    assert!(read(partition, partition.end_offset() - 1) > 0);
}

fn partition(files: &Rc<dyn Files>, name: &str) -> (Partition, PathBuf) {
    let dir = std::env::temp_dir().join(format!("ringlog-counts-{}", std::process::id())).join(name);
    (Partition::create(files, &dir, Uuid([1; 16]), LogConfig::default(), NOW).unwrap(), dir)
}

fn main() {
    let mut scratch = Scratch::new();
    let plain = batch(Codec::None, -1);
    let lz4 = batch(Codec::Lz4, -1);
    // Once before it is counted: what is made at the first use is not the cost of a batch.
    let validated = validate(&plain, &Rules::default(), NOW, &mut scratch).unwrap();
    validate(&lz4, &Rules::default(), NOW, &mut scratch).unwrap();
    for _ in 0..CALLS {
        crc(&plain);
        assert_eq!(validate_plain(&plain, &mut scratch).header.record_count, RECORDS as i32);
        assert_eq!(validate_lz4(&lz4, &mut scratch).header.record_count, RECORDS as i32);
    }

    let files: Rc<dyn Files> = Rc::new(OsFiles::new());
    let (mut log, dir) = partition(&files, "plain-0");
    for _ in 0..CALLS {
        append(&mut log, NewBatch { validated: &validated, bytes: &plain, origin: Origin::Client });
    }
    assert_eq!(log.end_offset(), CALLS * RECORDS);
    for call in 0..CALLS {
        lookup(&log, call * 7 % (CALLS / 2) * RECORDS);
        read_tail(&log);
    }

    let (mut log, _) = partition(&files, "idempotent-0");
    let bytes = batch(Codec::None, 7);
    let mut validated = validate(&bytes, &Rules::default(), NOW, &mut scratch).unwrap();
    for _ in 0..CALLS {
        append_idempotent(&mut log, NewBatch { validated: &validated, bytes: &bytes, origin: Origin::Client });
        validated.header.base_sequence += validated.header.record_count;
    }
    files.remove_dir_all(dir.parent().unwrap()).unwrap();
}
