//! Makes a log directory with one partition whose segments hold every codec, idempotent and transactional producers,
//! markers and leader epochs, so that another implementation can be asked to read it.
//!
//! ```text
//!   cargo run -p ringlog-storage --example make_log -- <folder>      makes <folder>/made-0
//! ```

use std::error::Error;
use std::path::Path;
use std::rc::Rc;

use ringlog_io::{Clock, Files, OsFiles, SystemClock};
use ringlog_storage::{LogConfig, LogDir, LogDirOptions, NewBatch, Origin, Partition, PartitionName};
use ringlog_wire::Uuid;
use ringlog_wire::batch::{BatchBuilder, Rules, validate};
use ringlog_wire::compression::{Codec, Scratch};

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
const ROUNDS: i64 = 120;
const RECORDS: i64 = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: make_log <folder>")?;
    let files: Rc<dyn Files> = Rc::new(OsFiles::new());
    let now_ms = SystemClock::new().wall_ms();
    let options = LogDirOptions {
        cluster_id: None,
        new_cluster_id: "4L6g3nShT-eMCtK--X86sw".to_owned(),
        node_id: 1,
        new_directory_id: Uuid([3; 16]),
        boot_id: String::new(),
    };
    let log_dir = LogDir::open(&files, Path::new(&folder), &options)?;
    let name = PartitionName { topic: "made".to_owned(), partition: 0 };
    let config = LogConfig { segment_bytes: 64 << 10, ..LogConfig::default() };
    let path = log_dir.partition_path(&name);
    let mut partition = Partition::create(&files, &path, Uuid([9; 16]), config, now_ms)?;
    for round in 0..ROUNDS {
        fill(&mut partition, round, now_ms)?;
    }
    let checkpointed = partition.close_clean()?;
    println!("{}: {} records in {} segments", path.display(), partition.end_offset(), partition.segment_count());
    log_dir.close_clean(&[(name, checkpointed)].into())?;
    Ok(())
}

/// A plain batch, an idempotent one, and a transaction that every third round aborts.
fn fill(partition: &mut Partition, round: i64, now_ms: i64) -> Result<(), Box<dyn Error>> {
    let codec = CODECS[usize::try_from(round)? % CODECS.len()];
    let sequence = i32::try_from(round * RECORDS)?;
    let transaction = i32::try_from(round / 4 * RECORDS)?;
    let (epoch, timestamp_ms) = (i32::try_from(round / 50)?, now_ms + round);
    append(partition, &batch(codec, timestamp_ms, -1, -1, false)?, Origin::Client, epoch, now_ms)?;
    append(partition, &batch(codec, timestamp_ms - 5, 1000, sequence, false)?, Origin::Client, epoch, now_ms)?;
    if round % 4 == 0 {
        append(partition, &batch(codec, timestamp_ms, 2000, transaction, true)?, Origin::Client, epoch, now_ms)?;
        let marker = BatchBuilder::marker(timestamp_ms, 2000, 0, round % 3 != 0, 0);
        append(partition, &marker, Origin::Coordinator, epoch, now_ms)?;
    }
    Ok(())
}

fn batch(
    codec: Codec,
    timestamp_ms: i64,
    producer_id: i64,
    sequence: i32,
    transactional: bool,
) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut builder = BatchBuilder::new();
    let epoch = if producer_id < 0 { -1 } else { 0 };
    builder.set_codec(codec, None).set_producer(producer_id, epoch, sequence).set_transactional(transactional);
    for i in 0..RECORDS {
        let (key, value) = (format!("key-{i}"), format!("{} {timestamp_ms} {i} {}", codec.name(), "x".repeat(60)));
        builder.append(timestamp_ms + i % 3, Some(key.as_bytes()), Some(value.as_bytes()), &[(b"n", Some(b"1"))]);
    }
    Ok(builder.finish(&mut Scratch::new())?.to_vec())
}

fn append(
    partition: &mut Partition,
    bytes: &[u8],
    origin: Origin,
    leader_epoch: i32,
    now_ms: i64,
) -> Result<(), Box<dyn Error>> {
    let rules = Rules { origin, ..Rules::default() };
    let validated = validate(bytes, &rules, now_ms, &mut Scratch::new())?;
    let new = NewBatch { validated: &validated, bytes, origin };
    partition.append(&[new], leader_epoch, now_ms).remove(0)?;
    Ok(())
}
