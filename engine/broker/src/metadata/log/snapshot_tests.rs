//! Starts from snapshots: whole ones, broken ones, and logs that begin or end elsewhere.

use super::*;
use crate::metadata::snapshot::{self, SnapshotId};

/// Kafka's log as a snapshot of the records up to some batch, and the rest of it as the log.
fn cut_into_snapshot(files: &Rc<dyn Files>, batches: usize, spare: i64) {
    let mut rest = Batches::new(KAFKAS_LOG);
    let last = rest.by_ref().take(batches).last().unwrap().unwrap();
    let at = KAFKAS_LOG.len() - rest.rest().len();
    put_snapshot(files, &KAFKAS_LOG[..at], last.header.next_offset() - spare);
    let log = format!("/log/__cluster_metadata-0/{:020}.log", last.header.next_offset());
    put(files, &log, &KAFKAS_LOG[at..]);
    put(files, "/log/__cluster_metadata-0/partition.metadata", b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ");
}

/// A snapshot of these batches, under this end offset's name. Gives its path.
fn put_snapshot(files: &Rc<dyn Files>, batches: &[u8], end_offset: i64) -> String {
    let mut replay = Replay::new(Image::empty("cluster", Settings::of(&[]).here()), 0);
    replay.batches(batches).unwrap();
    let dir = Path::new("/log/__cluster_metadata-0");
    files.create_dir_all(dir).unwrap();
    let id = SnapshotId { end_offset, epoch: 1 };
    let times = snapshot::Times { last_ms: WALL_MS, now_ms: WALL_MS };
    snapshot::write(files.as_ref(), dir, id, &replay.finish(), times).unwrap();
    format!("/log/__cluster_metadata-0/{}", id.file_name())
}

#[test]
fn a_snapshot_stands_for_the_records_before_it() {
    let (_, files) = disk();
    cut_into_snapshot(&files, 200, 0);
    let (_, leading) = start(&files, 1);
    assert_eq!(leading.image.topic("t2").unwrap().id.to_string(), "ZBIZP7ZlSHawOA4aYpK5yg");
    assert_eq!(leading.log.end_offset(), 770 + 1 + 1 + 153);
}

#[test]
fn records_that_are_in_no_file_are_missed() {
    let (_, files) = disk();
    cut_into_snapshot(&files, 200, 1);
    let dir = log_dir(&files, "boot");
    let settings = Arc::new(Settings::of(&[]));
    let error = lead(&files, &dir, &settings, &[9092], &mut numbers(), WALL_MS).err().unwrap();
    assert!(matches!(error, LogError::Gap { .. }), "{error}");
}

fn refused(files: &Rc<dyn Files>) -> LogError {
    let dir = log_dir(files, "boot");
    let settings = Arc::new(Settings::of(&[]));
    lead(files, &dir, &settings, &[9092], &mut numbers(), WALL_MS).err().unwrap()
}

fn end_of(files: &Rc<dyn Files>, path: &str) -> u64 {
    files.len(&files.open(Path::new(path), OpenMode::Read).unwrap()).unwrap()
}

#[test]
fn a_snapshot_that_is_not_whole_is_passed_over_for_the_one_before() {
    let (_, files) = disk();
    kafkas_folder(&files);
    let batches: Vec<_> = Batches::new(KAFKAS_LOG).map(Result::unwrap).collect();
    let upto = |count: usize| -> (usize, i64) {
        let bytes = batches[..count].iter().map(|batch| batch.bytes.len()).sum();
        (bytes, batches[count - 1].header.next_offset())
    };
    let mut paths = Vec::new();
    for count in [60, 120, 180] {
        let (bytes, end_offset) = upto(count);
        paths.push(put_snapshot(&files, &KAFKAS_LOG[..bytes], end_offset));
    }
    // The newest lost its foot, the one before it has another byte; the log alone would do too.
    for (i, path) in paths.iter().enumerate().rev() {
        let file = files.open(Path::new(path), OpenMode::Write).unwrap();
        match i {
            2 => files.truncate(&file, end_of(&files, path) - 75).unwrap(),
            _ => files.write_all_at(&file, &[IoSlice::new(b"?")], 300).unwrap(),
        }
        let dir = log_dir(&files, "boot");
        let settings = Settings::of(&[]);
        let empty = Image::empty("cluster", settings.here());
        let (log, image) = MetadataLog::open(&files, &dir, &settings, empty, WALL_MS).unwrap();
        assert_eq!(image.topic("t2").unwrap().id.to_string(), "ZBIZP7ZlSHawOA4aYpK5yg");
        let read_from = KAFKAS_LOG.len() as u64 - log.log_bytes();
        let due = if i == 0 { 0 } else { upto(60 * i).0 as u64 };
        assert_eq!(read_from, due, "the log is read from the end of the newest whole one on");
        drop((log, dir));
    }
}

#[test]
fn a_log_that_begins_later_needs_its_snapshot() {
    let (_, files) = disk();
    cut_into_snapshot(&files, 200, 0);
    let dir = Path::new("/log/__cluster_metadata-0");
    let id = snapshot::list(files.as_ref(), dir).unwrap()[0];
    files.remove_file(&snapshot::path(dir, id)).unwrap();
    assert!(matches!(refused(&files), LogError::Gap { snapshot: 0, .. }));
}

#[test]
fn a_log_that_lost_its_end_begins_anew_behind_the_snapshot() {
    let (_, files) = disk();
    kafkas_folder(&files);
    put_snapshot(&files, KAFKAS_LOG, 770);
    let file = files.open(Path::new("/log/__cluster_metadata-0/00000000000000000000.log"), OpenMode::Write).unwrap();
    files.truncate(&file, 5_000).unwrap();
    let (_, leading) = start(&files, 1);
    assert_eq!(leading.image.topic("t2").unwrap().id.to_string(), "ZBIZP7ZlSHawOA4aYpK5yg");
    assert_eq!(leading.log.end_offset(), 770 + 1 + 1 + 153);
    assert!(files.exists(Path::new("/log/__cluster_metadata-0/00000000000000000770.log")));
    drop(leading);
    let (_, again) = start(&files, 1);
    assert!(again.image.topic("t2").is_some(), "and is read like any other");
}
