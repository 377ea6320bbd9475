//! What lies in the metadata log's folder, on its way into an image: Kafka's bootstrap records, the newest snapshot, the log.

use std::io;
use std::path::Path;

use ringlog_io::Files;
use ringlog_storage::{Isolation, LogRange, Partition};
use ringlog_wire::batch::BatchError;
use ringlog_wire::records::metadata::MetadataRecord;

use super::super::image::Image;
use super::super::quorum::{self, QUORUM_STATE};
use super::super::replay::{self, ReadError, Replay};
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

/// The image of the newest snapshot (`<end offset>-<epoch>.checkpoint`), ready to go on with the log after it.
pub(super) fn snapshot(files: &dyn Files, path: &Path, empty: Image) -> Result<Replay, LogError> {
    let names = files.list(path)?.into_iter().map(|entry| entry.name);
    let newest = names.filter_map(|name| Some((snapshot_end(&name)?, name))).max();
    let Some((end, name)) = newest else { return Ok(Replay::new(empty, 0)) };
    let mut replay = Replay::new(empty, 0);
    let bytes = files.read(&path.join(&name))?;
    let read = replay.batches(&bytes)?;
    if read < bytes.len() {
        let error = BatchError::Incomplete { wanted: bytes.len() - read + 1, have: bytes.len() - read };
        return Err(ReadError::Batch { offset: replay.next_offset(), error }.into());
    }
    let mut image = replay.finish();
    image.set_version(end - 1);
    Ok(Replay::new(image, end))
}

fn snapshot_end(name: &str) -> Option<i64> {
    let (end, _epoch) = name.strip_suffix(".checkpoint")?.split_once('-')?;
    end.parse().ok()
}

/// The records after a snapshot.
pub(super) fn log(files: &dyn Files, partition: &Partition, mut replay: Replay) -> Result<Replay, LogError> {
    let (start, end, snapshot) = (partition.log_start_offset(), partition.end_offset(), replay.next_offset());
    if !(start..=end).contains(&snapshot) {
        return Err(LogError::Gap { start, end, snapshot });
    }
    while replay.next_offset() < partition.end_offset() {
        let offset = replay.next_offset();
        let range = partition
            .read(offset, READ_BYTES, true, Isolation::LogEnd)
            .map_err(|error| LogError::Place { offset, error })?;
        let bytes = read_range(files, &range)?;
        if replay.batches(&bytes)? == 0 {
            let error = BatchError::Incomplete { wanted: bytes.len() + 1, have: bytes.len() };
            return Err(ReadError::Batch { offset, error }.into());
        }
    }
    Ok(replay)
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
