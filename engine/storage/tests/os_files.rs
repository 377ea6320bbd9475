//! The same on the operating system's files: descriptors, folders that are synced, locks between processes' handles.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that looks at /proc/self/fd")]

mod support;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use ringlog_io::{Files, OsFiles};
use ringlog_storage::{Isolation, LogConfig, Partition, Startup};
use ringlog_wire::Uuid;
use support::{WALL_MS, append, batch, flush, open, read_records};

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
        partition.maintain(WALL_MS).unwrap();
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
