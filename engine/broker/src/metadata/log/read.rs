//! What lies in the metadata log's folder, on its way into an image: Kafka's bootstrap records, the newest whole snapshot, the
//! log after it.

use std::io;
use std::path::Path;

use ringlog_io::{Files, Job};
use ringlog_storage::{Isolation, LogRange, Partition};
use ringlog_wire::batch::BatchError;
use ringlog_wire::records::metadata::MetadataRecord;

use super::super::image::Image;
use super::super::quorum::{self, QUORUM_STATE};
use super::super::replay::{self, ReadError, Replay};
use super::super::snapshot::{self, SnapshotId};
use super::super::snapshots::{self, Kept};
use super::LogError;

/// The feature levels that `kafka-storage format` leaves for a log's first start.
const BOOTSTRAP: &str = "bootstrap.checkpoint";
/// Bytes that are read at a time.
pub(super) const READ_BYTES: usize = 1 << 20;

/// The records that `kafka-storage format` left, where it was Kafka that made this folder.
pub(super) fn bootstrap(files: &dyn Files, dir: &Path) -> Result<Vec<MetadataRecord>, LogError> {
    let path = dir.join(BOOTSTRAP);
    if !files.exists(&path) {
        return Ok(Vec::new());
    }
    Ok(replay::records(&files.read(&path)?)?)
}

/// What the folder's snapshots say.
#[derive(Default)]
pub(super) struct Found {
    /// Of the newest whole one; the log goes on at its end.
    pub(super) image: Option<Image>,
    pub(super) end_offset: i64,
    pub(super) epoch: i32,
    /// Those that are whole as far as was looked, the oldest first.
    pub(super) kept: Vec<Kept>,
}

/// Reads the newest whole snapshot. One that is not whole is passed over for the one before it, and said so.
pub(super) fn snapshots(files: &dyn Files, dir: &Path, empty: &Image) -> Result<Found, LogError> {
    let mut found = Found::default();
    for id in snapshot::list(files, dir)?.into_iter().rev() {
        let head = snapshot::head_of(files, dir, id);
        let is_whole = head.and_then(|(bytes, last_ms)| {
            if found.image.is_none() {
                found.image = Some(snapshot::read(files, dir, id, empty.clone())?);
                (found.end_offset, found.epoch) = (id.end_offset, id.epoch);
            }
            found.kept.push(Kept { id, bytes, last_ms });
            Ok(())
        });
        if let Err(error) = is_whole {
            tracing::warn!(file = id.file_name(), %error, "a snapshot of the metadata log is not whole: what is before it is read instead");
        }
    }
    found.kept.reverse();
    Ok(found)
}

/// What is left of snapshots that were not written whole, and of those that were to be removed.
pub(super) fn leftovers(files: &dyn Files, dir: &Path, log_start_offset: i64) -> Result<Option<Job>, LogError> {
    let is_left = |name: &String| {
        let is_before = |id: SnapshotId| id.end_offset < log_start_offset;
        snapshot::is_unfinished(name) || SnapshotId::of_name(name).is_some_and(is_before)
    };
    let names = files.list(dir)?.into_iter().map(|entry| entry.name).filter(is_left);
    Ok(snapshots::removal(dir, names))
}

/// The records after a snapshot, and how many bytes they were.
pub(super) fn log(files: &dyn Files, partition: &Partition, mut replay: Replay) -> Result<(Replay, u64), LogError> {
    let (start, end, snapshot) = (partition.log_start_offset(), partition.end_offset(), replay.next_offset());
    if !(start..=end).contains(&snapshot) {
        return Err(LogError::Gap { start, end, snapshot });
    }
    let mut log_bytes = 0;
    while replay.next_offset() < partition.end_offset() {
        let offset = replay.next_offset();
        let range = partition
            .read(offset, READ_BYTES, true, Isolation::LogEnd)
            .map_err(|error| LogError::Place { offset, error })?;
        let bytes = read_range(files, &range)?;
        let read = replay.batches(&bytes)?;
        if read == 0 {
            let error = BatchError::Incomplete { wanted: bytes.len() + 1, have: bytes.len() };
            return Err(ReadError::Batch { offset, error }.into());
        }
        log_bytes += read as u64;
    }
    Ok((replay, log_bytes))
}

fn read_range(files: &dyn Files, range: &LogRange) -> Result<Vec<u8>, LogError> {
    let mut bytes = vec![0; range.len];
    let len = files.read_at(&range.file, &mut bytes, range.position)?;
    bytes.truncate(len);
    Ok(bytes)
}

/// The epoch of `quorum-state`, 0 where there is none.
pub(super) fn voted_epoch(files: &dyn Files, path: &Path) -> Result<i32, LogError> {
    let path = path.join(QUORUM_STATE);
    if !files.exists(&path) {
        return Ok(0);
    }
    let text = String::from_utf8_lossy(&files.read(&path)?).into_owned();
    quorum::epoch_of(&text).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{} names no leaderEpoch", path.display())).into()
    })
}
