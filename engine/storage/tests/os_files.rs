//! The same on the operating system's files: descriptors, folders that are synced, locks between processes' handles.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that looks at /proc/self/fd")]

mod support;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use ringlog_io::{Files, OsFiles};
use ringlog_storage::{Isolation, LogConfig, Partition, Startup};
use ringlog_wire::Uuid;
use support::{WALL_MS, append, batch, flush, maintain, open, read_records};

fn folder(files: &Rc<dyn Files>, name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("storage-{}-{name}", std::process::id()));
    let _ = files.remove_dir_all(&dir);
    dir
}

/// Descriptors of this process below a folder.
fn descriptors(dir: &Path) -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    links.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok()).filter(|to| to.starts_with(dir)).count()
}

#[test]
fn a_flushed_log_is_there_after_a_kill_and_a_clean_stop() {
    let files: Rc<dyn Files> = Rc::new(OsFiles::new());
    let dir = folder(&files, "flushed");
    let config = LogConfig { flush_messages: 1, segment_bytes: 4000, preallocate: true, ..LogConfig::default() };
    let mut partition = Partition::create(&files, &dir.join("t-0"), Uuid([1; 16]), config.clone(), WALL_MS).unwrap();
    for i in 0..100 {
        append(&mut partition, &batch(i, &[&[b'x'; 100]])).unwrap();
        maintain(&files, &mut partition);
        flush(&files, &mut partition);
        assert_eq!(partition.high_watermark(), i + 1);
    }
    drop(partition);
    for how in [Startup::SameBoot, Startup::NewBoot, Startup::Clean] {
        let (mut partition, report) = open(&files, &dir.join("t-0"), &config, how);
        assert_eq!(report.cuts, []);
        assert_eq!(read_records(&files, &partition, 0, 1000, Isolation::ReadUncommitted).len(), 100);
        partition.close_clean().unwrap();
    }
    files.remove_dir_all(&dir).unwrap();
}

#[test]
fn a_partition_holds_one_descriptor_and_a_thread_a_bounded_number() {
    let files: Rc<dyn Files> = Rc::new(OsFiles::new());
    let dir = folder(&files, "descriptors");
    let config = LogConfig { segment_bytes: 500, ..LogConfig::default() };
    let mut partition = Partition::create(&files, &dir.join("t-0"), Uuid([1; 16]), config, WALL_MS).unwrap();
    for i in 0..600 {
        append(&mut partition, &batch(i, &[&[b'x'; 100]])).unwrap();
    }
    assert!(partition.segment_count() > 150);
    assert_eq!(descriptors(&dir), 1, "the active segment's");
    assert_eq!(read_records(&files, &partition, 0, 300, Isolation::ReadUncommitted).len(), 600);
    assert!(descriptors(&dir) <= 129, "{}", descriptors(&dir));
    drop(partition);
    assert_eq!(descriptors(&dir), 0);
    files.remove_dir_all(&dir).unwrap();
}

/// Bytes of a segment's blocks, and its length.
fn blocks(dir: &Path, base_offset: i64) -> (u64, u64) {
    let stat = std::fs::metadata(dir.join(format!("{base_offset:020}.log"))).unwrap();
    (std::os::unix::fs::MetadataExt::blocks(&stat) * 512, stat.len())
}

#[test]
fn blocks_are_allocated_ahead_of_a_growing_log_and_given_back() {
    const SLACK: u64 = 64 << 10;
    let files: Rc<dyn Files> = Rc::new(OsFiles::new());
    let dir = folder(&files, "room").join("t-0");
    let config = LogConfig { segment_bytes: 12 << 20, ..LogConfig::default() };
    let mut partition = Partition::create(&files, &dir, Uuid([1; 16]), config.clone(), WALL_MS).unwrap();
    let value = vec![b'x'; 1 << 20];
    let grow = |partition: &mut Partition, to: i64| {
        while partition.end_offset() < to {
            append(partition, &batch(1, &[&value])).unwrap();
            maintain(&files, partition);
        }
        files.sync_dir(&dir).unwrap();
    };
    grow(&mut partition, 2);
    let (allocated, len) = blocks(&dir, 0);
    assert!(allocated <= len + SLACK, "a small segment takes no room: {allocated} bytes of blocks for {len}");
    grow(&mut partition, 8);
    let (allocated, len) = blocks(&dir, 0);
    assert!(allocated > len + (1 << 20) && allocated <= 12 << 20, "{allocated} bytes of blocks for {len}");
    // A kill leaves them; the roll of whoever opens the log next does not.
    drop(partition);
    let (mut partition, _) = open(&files, &dir, &config, Startup::SameBoot);
    grow(&mut partition, 20);
    assert_eq!(partition.segment_count(), 2);
    let (allocated, len) = blocks(&dir, 0);
    assert!(allocated <= len + SLACK, "sealed: {allocated} bytes of blocks for {len}");
    partition.close_clean().unwrap();
    let (allocated, len) = blocks(&dir, 11);
    assert!(allocated <= len + SLACK, "closed: {allocated} bytes of blocks for {len}");
    assert_eq!(read_records(&files, &partition, 0, 100 << 20, Isolation::ReadUncommitted).len(), 20);
    files.remove_dir_all(dir.parent().unwrap()).unwrap();
}
