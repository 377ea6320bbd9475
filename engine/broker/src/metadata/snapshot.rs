//! A snapshot of the metadata log: an image as records, in a file that Kafka's tools read (KIP-630).
//!
//! ```text
//!   <end offset, 20 digits>-<epoch, 10 digits>.checkpoint      stands for all records below the end offset
//!     control batch   SnapshotHeader { last contained timestamp }, KRaftVersion and Voters where the log has them
//!     batches         the image's records, as KRaft's RecordsSnapshotWriter numbers them: from offset 0 on, without gaps
//!     control batch   SnapshotFooter
//! ```
//!
//! Invariants:
//! - Under its name a snapshot is whole and on the disk: it is written beside (`.checkpoint.part`), synced, then renamed, and the
//!   folder is synced before anybody counts on it.
//! - What is read is whole or refused: head and foot, no gap between the batches, every CRC, and nothing behind the foot.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use ringlog_io::{File, Files, OpenMode};
use ringlog_wire::batch::{Batch, BatchBuilder, BatchError, Batches, ControlType};
use ringlog_wire::compression::Scratch;

use super::image::Image;
use super::replay::{self, ReadError, Replay};

/// How a snapshot's name ends.
const SUFFIX: &str = ".checkpoint";
/// How it ends while the file is written; Kafka's does too, and a start removes either.
const PART: &str = ".checkpoint.part";
/// Records of a batch (RaftSnapshotWriter takes as many).
const BATCH_RECORDS: i32 = 1024;
/// Bytes that hold a snapshot's head, however many voters there are.
const HEAD_BYTES: u64 = 64 << 10;

/// What a snapshot stands for: the records below an offset, the last of which is of this epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SnapshotId {
    pub(crate) end_offset: i64,
    pub(crate) epoch: i32,
}

impl SnapshotId {
    /// The snapshot of a file's name, where it is one.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let (end_offset, epoch) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        let all_digits = |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
        if !(all_digits(end_offset, 20) && all_digits(epoch, 10)) {
            return None;
        }
        Some(Self { end_offset: end_offset.parse().ok()?, epoch: epoch.parse().ok()? })
    }

    /// Its file's name.
    pub(crate) fn file_name(self) -> String {
        format!("{}{SUFFIX}", self.stem())
    }

    fn stem(self) -> String {
        format!("{:020}-{:010}", self.end_offset, self.epoch)
    }
}

/// Whether a file is what a snapshot that was not written whole left behind.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.ends_with(PART)
}

/// Times of a snapshot, ms since the epoch: of the last record that is in it, and of its writing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) last_ms: i64,
    pub(crate) now_ms: i64,
}

/// Why a snapshot is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    /// The file.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What is written in it.
    #[error("{0}")]
    Read(#[from] ReadError),
    /// A batch that is none.
    #[error("a batch cannot be read: {0}")]
    Batch(#[from] BatchError),
    /// It does not begin, or not end, as a snapshot does.
    #[error("{0}")]
    Shape(&'static str),
}

// --- writing ---------------------------------------------------------------------------------------------------------

/// Writes an image's snapshot into a folder and waits until it is on the disk. Gives its bytes.
pub(crate) fn write(files: &dyn Files, dir: &Path, id: SnapshotId, image: &Image, times: Times) -> io::Result<u64> {
    let part = dir.join(format!("{}{PART}", id.stem()));
    let written = write_part(files, &part, id, image, times).and_then(|bytes| {
        files.rename(&part, &path(dir, id))?;
        files.sync_dir(dir)?;
        Ok(bytes)
    });
    if written.is_err() {
        // Where that fails too, the next start removes it.
        drop(files.remove_file(&part));
    }
    written
}

fn write_part(files: &dyn Files, path: &Path, id: SnapshotId, image: &Image, times: Times) -> io::Result<u64> {
    let file = files.open(path, OpenMode::Create)?;
    files.truncate(&file, 0)?;
    let mut out = Out { files, file, id, next_offset: 0, position: 0, scratch: Scratch::default() };
    out.put(&mut head(image, times))?;
    let mut records = image.records().peekable();
    while records.peek().is_some() {
        let mut builder = BatchBuilder::new();
        for record in records.by_ref() {
            let value = record.encode_value(record.version_max()).map_err(io::Error::other)?;
            builder.append(times.now_ms, None, Some(&value), &[]);
            if builder.record_count() == BATCH_RECORDS {
                break;
            }
        }
        out.put(&mut builder)?;
    }
    let mut foot = BatchBuilder::new();
    foot.append_control(times.now_ms, ControlType::SnapshotFooter, &[0, 0, NO_TAGS]);
    out.put(&mut foot)?;
    #[cfg(feature = "plant")]
    if ringlog_io::plant::is(ringlog_io::plant::SNAPSHOT_UNSYNCED) {
        return Ok(out.position);
    }
    files.sync(&out.file)?;
    Ok(out.position)
}

const NO_TAGS: u8 = 0;

/// SnapshotHeaderRecord (version 0), and what the log has of the quorum.
fn head(image: &Image, times: Times) -> BatchBuilder {
    let mut builder = BatchBuilder::new();
    let mut value = vec![0, 0];
    value.extend(times.last_ms.to_be_bytes());
    value.push(NO_TAGS);
    builder.append_control(times.now_ms, ControlType::SnapshotHeader, &value);
    for (kind, body) in image.carried().controls() {
        builder.append_control(times.now_ms, kind, body);
    }
    builder
}

/// The file that is being written.
struct Out<'a> {
    files: &'a dyn Files,
    file: File,
    id: SnapshotId,
    next_offset: i64,
    position: u64,
    scratch: Scratch,
}

impl Out<'_> {
    fn put(&mut self, builder: &mut BatchBuilder) -> io::Result<()> {
        builder.set_position(self.next_offset, self.id.epoch);
        let bytes = builder.finish(&mut self.scratch).map_err(io::Error::other)?;
        self.files.write_all_at(&self.file, &[IoSlice::new(bytes)], self.position)?;
        self.position += bytes.len() as u64;
        self.next_offset += i64::from(builder.record_count());
        Ok(())
    }
}

// --- reading ---------------------------------------------------------------------------------------------------------

/// The snapshots of a folder, the oldest first.
pub(crate) fn list(files: &dyn Files, dir: &Path) -> io::Result<Vec<SnapshotId>> {
    let names = files.list(dir)?.into_iter().filter(|entry| !entry.is_dir).map(|entry| entry.name);
    let mut ids: Vec<SnapshotId> = names.filter_map(|name| SnapshotId::of_name(&name)).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// The image that a snapshot makes of an empty one.
pub(crate) fn read(files: &dyn Files, dir: &Path, id: SnapshotId, empty: Image) -> Result<Image, SnapshotError> {
    let bytes = files.read(&path(dir, id))?;
    check(&bytes)?;
    let mut replay = Replay::new(empty, 0);
    replay.batches(&bytes)?;
    let mut image = replay.finish();
    image.set_version(id.end_offset - 1);
    Ok(image)
}

/// Whether the file is a whole snapshot.
fn check(bytes: &[u8]) -> Result<(), SnapshotError> {
    let mut batches = Batches::new(bytes);
    let (mut is_first, mut next_offset, mut last) = (true, 0, None);
    for batch in batches.by_ref() {
        let batch = batch?;
        if std::mem::take(&mut is_first) && kind_of(&batch)? != Some(ControlType::SnapshotHeader as i16) {
            return Err(SnapshotError::Shape("it does not begin with a SnapshotHeader"));
        }
        if batch.header.base_offset != next_offset {
            return Err(SnapshotError::Shape("a batch is missing"));
        }
        next_offset = batch.header.next_offset();
        last = Some(batch);
    }
    let Some(last) = last.filter(|_| batches.rest().is_empty()) else {
        return Err(SnapshotError::Shape("it ends inside a batch"));
    };
    match kind_of(&last)? {
        Some(kind) if kind == ControlType::SnapshotFooter as i16 => Ok(()),
        _ => Err(SnapshotError::Shape("it does not end with a SnapshotFooter")),
    }
}

/// The kind of a batch's first control record; `None` for other batches.
fn kind_of(batch: &Batch<'_>) -> Result<Option<i16>, SnapshotError> {
    let controls = replay::controls(batch, &mut Scratch::default())?;
    Ok(controls.into_iter().next().map(|(kind, _)| kind))
}

/// A snapshot's length in bytes, and the time of the last record that is in it. Reads its head alone.
pub(crate) fn head_of(files: &dyn Files, dir: &Path, id: SnapshotId) -> Result<(u64, i64), SnapshotError> {
    let file = files.open(&path(dir, id), OpenMode::Read)?;
    let len = files.len(&file)?;
    let mut bytes = vec![0; HEAD_BYTES.min(len) as usize];
    let read = files.read_at(&file, &mut bytes, 0)?;
    let batch = Batch::parse(&bytes[..read])?;
    batch.check_crc()?;
    let controls = replay::controls(&batch, &mut Scratch::default())?;
    let header = controls.into_iter().next().filter(|(kind, _)| *kind == ControlType::SnapshotHeader as i16);
    let last_ms = header.and_then(|(_, body)| Some(i64::from_be_bytes(body.get(2..10)?.try_into().ok()?)));
    Ok((len, last_ms.ok_or(SnapshotError::Shape("it does not begin with a SnapshotHeader"))?))
}

/// Where a snapshot lies.
pub(crate) fn path(dir: &Path, id: SnapshotId) -> PathBuf {
    dir.join(id.file_name())
}

#[cfg(test)]
#[path = "snapshot/tests.rs"]
mod tests;
