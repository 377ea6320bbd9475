//! What the tests of this folder share: Kafka's folders on the in-memory disk, batches, and reading a log whole.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::disallowed_methods, reason = "tests read their own data files")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ringlog_io::sim::SimFiles;
use ringlog_io::{Files, OpenMode};
use ringlog_storage::{
    AppendError, Appended, Checkpointed, Isolation, LogConfig, NewBatch, Origin, Partition, Ready, RecoveryReport,
    Startup, StorageError,
};
use ringlog_wire::batch::{Batch, BatchBuilder, Batches, Rules, Validated, validate};
use ringlog_wire::compression::Scratch;

/// Wall clock of the tests: an hour after the golden log was written.
pub(crate) const WALL_MS: i64 = 0x01a1_f8c7_68ca + 3_600_000;

/// A disk, and the same as the engine takes it.
pub(crate) fn disk(seed: u64) -> (Rc<SimFiles>, Rc<dyn Files>) {
    let sim = SimFiles::new(seed);
    let files: Rc<dyn Files> = sim.clone();
    (sim, files)
}

pub(crate) fn golden(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden-log").join(folder)
}

/// Copies one of Kafka's folders onto the disk.
pub(crate) fn copy_golden(files: &Rc<dyn Files>, folder: &str) -> PathBuf {
    let dir = PathBuf::from("/log").join(folder);
    files.create_dir_all(&dir).unwrap();
    for entry in std::fs::read_dir(golden(folder)).unwrap() {
        let entry = entry.unwrap();
        let bytes = std::fs::read(entry.path()).unwrap();
        put(files, &dir.join(entry.file_name()), &bytes);
    }
    dir
}

/// Makes a file of exactly these bytes.
pub(crate) fn put(files: &Rc<dyn Files>, path: &Path, bytes: &[u8]) {
    let file = files.open(path, OpenMode::Create).unwrap();
    files.truncate(&file, 0).unwrap();
    files.write_all_at(&file, &[IoSlice::new(bytes)], 0).unwrap();
}

pub(crate) fn open(files: &Rc<dyn Files>, dir: &Path, config: &LogConfig, how: Startup) -> (Partition, RecoveryReport) {
    Partition::open(files, dir, config.clone(), how, WALL_MS).unwrap()
}

/// A batch of records, as a client sends it.
pub(crate) fn batch(timestamp_ms: i64, values: &[&[u8]]) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    values.iter().for_each(|value| builder.append(timestamp_ms, None, Some(value), &[]));
    builder.finish(&mut Scratch::default()).unwrap().to_vec()
}

/// A batch of an idempotent or transactional producer.
pub(crate) fn producer_batch(id: i64, epoch: i16, sequence: i32, records: usize, transactional: bool) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.set_producer(id, epoch, sequence).set_transactional(transactional);
    (0..records).for_each(|_| builder.append(WALL_MS, None, Some(b"value"), &[]));
    builder.finish(&mut Scratch::default()).unwrap().to_vec()
}

pub(crate) fn validated(bytes: &[u8], origin: Origin) -> Validated {
    let rules = Rules { origin, batch_len_max: usize::MAX, timestamp_after_max_ms: i64::MAX, ..Rules::default() };
    validate(bytes, &rules, WALL_MS, &mut Scratch::default()).unwrap()
}

/// Appends batches of clients in one call, under leader epoch 0.
pub(crate) fn append_all(partition: &mut Partition, batches: &[&[u8]]) -> Vec<Result<Appended, AppendError>> {
    append_as(partition, batches, Origin::Client, 0)
}

pub(crate) fn append_as(
    partition: &mut Partition,
    batches: &[&[u8]],
    origin: Origin,
    leader_epoch: i32,
) -> Vec<Result<Appended, AppendError>> {
    let validated: Vec<Validated> = batches.iter().map(|bytes| validated(bytes, origin)).collect();
    let new: Vec<NewBatch<'_>> =
        validated.iter().zip(batches).map(|(validated, bytes)| NewBatch { validated, bytes, origin }).collect();
    partition.append(&new, leader_epoch, WALL_MS)
}

pub(crate) fn append(partition: &mut Partition, bytes: &[u8]) -> Result<Appended, AppendError> {
    append_all(partition, &[bytes]).remove(0)
}

/// Appends one batch of a client at a time of the clock.
pub(crate) fn append_at(partition: &mut Partition, bytes: &[u8], wall_ms: i64) -> Result<Appended, AppendError> {
    let validated = validated(bytes, Origin::Client);
    partition.append(&[NewBatch { validated: &validated, bytes, origin: Origin::Client }], 0, wall_ms).remove(0)
}

/// Bytes of one read.
pub(crate) fn read_bytes(
    files: &Rc<dyn Files>,
    partition: &Partition,
    offset: i64,
    max: usize,
    how: Isolation,
) -> Vec<u8> {
    let range = partition.read(offset, max, true, how).unwrap();
    let mut bytes = vec![0; range.len];
    assert_eq!(files.read_at(&range.file, &mut bytes, range.position).unwrap(), range.len);
    bytes
}

/// A record as a reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: i64,
    pub(crate) value: Option<Vec<u8>>,
}

/// Every record from `offset` on, read in pieces of `max` bytes; CRCs checked.
pub(crate) fn read_records(
    files: &Rc<dyn Files>,
    partition: &Partition,
    mut offset: i64,
    max: usize,
    how: Isolation,
) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut scratch = Scratch::default();
    loop {
        let bytes = read_bytes(files, partition, offset, max, how);
        if bytes.is_empty() {
            return seen;
        }
        let before = offset;
        for batch in Batches::new(&bytes) {
            let batch: Batch<'_> = batch.unwrap();
            batch.check_crc().unwrap();
            for record in batch.records(&mut scratch, 1 << 30).unwrap() {
                let record = record.unwrap();
                if record.offset >= offset {
                    seen.push(Seen {
                        offset: record.offset,
                        timestamp_ms: record.timestamp,
                        value: record.value.map(<[u8]>::to_vec),
                    });
                }
            }
            offset = batch.header.next_offset();
        }
        assert!(offset > before, "a read goes on");
    }
}

/// What a shard does after appends.
pub(crate) fn maintain(files: &Rc<dyn Files>, partition: &mut Partition) {
    // A partition that is offline has nothing to be kept up.
    let _ = partition.maintain(WALL_MS);
    if let Some(job) = partition.next_segment_due() {
        partition.next_segment_made(job.perform(&**files));
    }
    if let Some(job) = partition.save_due() {
        partition.beside_done(job.perform(&**files), WALL_MS);
    }
}

/// A checkpoint, whose files are written at once.
pub(crate) fn checkpoint(files: &Rc<dyn Files>, partition: &mut Partition) -> Result<Checkpointed, StorageError> {
    let (checkpointed, job) = partition.checkpoint()?;
    if let Some(job) = job {
        partition.beside_done(job.perform(&**files), WALL_MS);
    }
    Ok(checkpointed)
}

/// Looks until it is found, doing what the lookup waits for.
pub(crate) fn look<T>(
    files: &Rc<dyn Files>,
    partition: &Partition,
    ask: impl Fn(&Partition) -> Result<Ready<T>, StorageError>,
) -> T {
    loop {
        match ask(partition).unwrap() {
            Ready::Now(found) => return found,
            Ready::Later(job) => {
                let (lookup, job) = job.expect("nobody else asks");
                drop(job.perform(&**files));
                partition.lookup_loaded(lookup);
            }
        }
    }
}

/// Runs every flush that waits.
pub(crate) fn flush(files: &Rc<dyn Files>, partition: &mut Partition) {
    while let Some(job) = partition.flush_begin() {
        let result = files.sync(&job.file);
        partition.flush_done(job, result);
    }
}
