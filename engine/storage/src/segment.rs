//! Segments: the active one, which grows, and sealed ones, which are opened when somebody reads them.

use std::rc::Rc;

use ringlog_io::job::{self, Job};
use ringlog_io::{File, Files, OpenMode};

use crate::folder::Folder;
use crate::index::{IndexBuilder, OffsetIndex, TimeIndex};
use crate::names::{Kind, file_name};
use crate::sealed_files::{Holder, OpenSegment};
use crate::walk::{Check, Step, Walk};
use crate::{LogConfig, StorageError};
use ringlog_wire::batch::{BatchHeader, HEADER_LEN};

/// Index entries are put into their files when this many bytes of them wait ...
const UNSAVED_INDEX_BYTES_MAX: usize = 4096;
/// ... or when the log has grown by this much: what recovery after a kill has to check at most.
const UNSAVED_LOG_BYTES_MAX: u64 = 16 << 20;
/// Blocks are allocated ahead of the log: a quarter of what it has already, within these limits. Writing into allocated
/// blocks saves the file system a reservation for each (decision page "append path").
const ROOM_BYTES_MIN: u64 = 1 << 20;
const ROOM_BYTES_MAX: u64 = 16 << 20;
const ROOM_PART: u64 = 4;
/// Read at once where a batch is looked up among small ones: an index interval of them.
pub(crate) const LOOKUP_BYTES: usize = 4096 + HEADER_LEN;
/// Batches below this are small: several headers come with one read.
const SMALL_BATCH_BYTES: usize = 2048;

/// The segment that takes appends.
pub(crate) struct Active {
    pub(crate) base_offset: i64,
    pub(crate) file: File,
    pub(crate) size: u64,
    pub(crate) index: IndexBuilder,
    /// The largest timestamp of the first batch: what `segment.ms` counts from.
    pub(crate) first_timestamp_ms: Option<i64>,
    pub(crate) created_ms: i64,
    saved: Saved,
    /// The log's size when the indexes were saved last, or could not be.
    saved_log_size: u64,
    /// Bytes of the offset index when it could not be saved.
    postponed_bytes: usize,
    /// Where the blocks end that were allocated ahead; `u64::MAX` where there are none to be had.
    allocated_end: u64,
}

/// How much of the indexes is in their files.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Saved {
    offset_bytes: usize,
    time_bytes: usize,
}

impl Saved {
    /// All of it.
    pub(crate) fn of(index: &IndexBuilder) -> Self {
        Self { offset_bytes: index.offset_bytes().len(), time_bytes: index.time_bytes().len() }
    }
}

impl Active {
    /// Takes an open file and its indexes.
    pub(crate) fn new(
        base_offset: i64,
        file: File,
        size: u64,
        index: IndexBuilder,
        saved: Saved,
        created_ms: i64,
    ) -> Self {
        Self {
            base_offset,
            file,
            size,
            index,
            first_timestamp_ms: None,
            created_ms,
            saved,
            saved_log_size: size,
            postponed_bytes: 0,
            allocated_end: size,
        }
    }

    /// Makes the files of a new segment.
    pub(crate) fn create(
        folder: &Folder,
        base_offset: i64,
        config: &LogConfig,
        wall_ms: i64,
    ) -> Result<Self, StorageError> {
        let file = folder.open(&file_name(base_offset, Kind::Log), OpenMode::CreateNew)?;
        for kind in [Kind::Index, Kind::TimeIndex] {
            folder.open(&file_name(base_offset, kind), OpenMode::Create)?;
        }
        Ok(Self::begin(base_offset, file, config, wall_ms))
    }

    /// A new segment whose files are there.
    pub(crate) fn begin(base_offset: i64, file: File, config: &LogConfig, wall_ms: i64) -> Self {
        let index = IndexBuilder::new(base_offset, config.index_interval_bytes);
        Self::new(base_offset, file, 0, index, Saved::default(), wall_ms)
    }

    /// Whether a batch that comes after `waiting_bytes` of others begins a new segment (`LogSegment.shouldRoll`);
    /// `segment_ms` is the setting less its jitter.
    pub(crate) fn should_roll(
        &self,
        batch: &BatchHeader,
        last_offset: i64,
        waiting_bytes: u64,
        (config, segment_ms): (&LogConfig, i64),
        wall_ms: i64,
    ) -> bool {
        let size = self.size + waiting_bytes;
        let too_large = size + batch.total_len() as u64 > config.segment_bytes_max();
        let too_old = self.size > 0 && self.waited_ms(batch.max_timestamp, wall_ms) > segment_ms;
        let too_far = last_offset - self.base_offset > i64::from(i32::MAX);
        size > 0 && (too_large || too_old || too_far || self.index.is_full(config.segment_index_bytes))
    }

    fn waited_ms(&self, timestamp_ms: i64, wall_ms: i64) -> i64 {
        match self.first_timestamp_ms {
            Some(first_ms) if first_ms >= 0 => timestamp_ms.saturating_sub(first_ms),
            _ => wall_ms.saturating_sub(self.created_ms),
        }
    }

    /// Takes note of a batch that was written at the end.
    pub(crate) fn wrote(&mut self, last_offset: i64, max_timestamp_ms: i64, len: usize) {
        self.first_timestamp_ms.get_or_insert(max_timestamp_ms);
        self.index.add(self.size, last_offset, max_timestamp_ms);
        self.size += len as u64;
    }

    /// Allocates blocks for the log to grow into, when half of the last ones are used.
    pub(crate) fn make_room(&mut self, folder: &Folder, segment_bytes_max: u64) {
        let room = (self.size / ROOM_PART).min(ROOM_BYTES_MAX);
        if room < ROOM_BYTES_MIN || self.allocated_end >= (self.size + room / 2).min(segment_bytes_max) {
            return;
        }
        let from = self.allocated_end.max(self.size);
        let to = (self.size + room).min(segment_bytes_max);
        self.allocated_end = match folder.files.allocate(&self.file, from, to.saturating_sub(from)) {
            Ok(()) => to,
            Err(error) => {
                // The write will say whether there is room; this was only to make it cheaper.
                tracing::debug!(dir = %folder.dir.display(), %error, "no blocks ahead of this segment");
                u64::MAX
            }
        };
    }

    /// Whether enough index entries wait to be put into their files.
    pub(crate) fn save_due(&self) -> bool {
        self.index.offset_bytes().len() - self.saved.offset_bytes.max(self.postponed_bytes) >= UNSAVED_INDEX_BYTES_MAX
            || self.size - self.saved_log_size >= UNSAVED_LOG_BYTES_MAX
    }

    /// Waits for more log before the next try.
    pub(crate) fn postpone_save(&mut self) {
        self.saved_log_size = self.size;
        self.postponed_bytes = self.index.offset_bytes().len();
    }

    /// What puts the index entries that are new into their files. The timestamp index first: where a kill falls between, an
    /// offset entry never stands without the time entry that belongs to it.
    pub(crate) fn save_steps(&self, folder: &Folder) -> Vec<job::Step> {
        let step = |kind, bytes: &[u8], saved: usize| {
            let path = folder.path(&file_name(self.base_offset, kind));
            let new = bytes[saved..].to_vec();
            (!new.is_empty()).then_some(job::Step::WriteAt { path, bytes: new, offset: saved as u64 })
        };
        let times = step(Kind::TimeIndex, self.index.time_bytes(), self.saved.time_bytes);
        let offsets = step(Kind::Index, self.index.offset_bytes(), self.saved.offset_bytes);
        times.into_iter().chain(offsets).collect()
    }

    /// So much of the indexes is in their files since the log had this size.
    pub(crate) fn saved(&mut self, saved: Saved, log_size: u64) {
        (self.saved, self.saved_log_size, self.postponed_bytes) = (saved, log_size, 0);
    }

    /// Puts the index entries that are new into their files, here and now.
    pub(crate) fn save_indexes(&mut self, folder: &Folder) -> Result<(), StorageError> {
        let steps = self.save_steps(folder);
        if !steps.is_empty() {
            folder.changed();
            let path = folder.path(&file_name(self.base_offset, Kind::Index));
            Job::Steps { steps }.perform(&*folder.files).map_err(StorageError::io("write", &path))?;
        }
        self.saved(Saved::of(&self.index), self.size);
        Ok(())
    }
}

/// A segment that gets no more batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) base_offset: i64,
    pub(crate) size: u64,
    /// It has a file of aborted transactions.
    pub(crate) has_aborted: bool,
}

/// Opens a sealed segment, and makes its indexes again where they do not fit the log.
pub(crate) fn open_sealed(
    folder: &Folder,
    holder: Holder,
    sealed: Sealed,
    interval_bytes: u32,
) -> Result<Rc<OpenSegment>, StorageError> {
    holder.segment(sealed.base_offset, || {
        let (file, _) = folder.open_log(sealed.base_offset, OpenMode::Read)?;
        if let Some(opened) = read_indexes(folder, sealed, &file, interval_bytes)? {
            return Ok(opened);
        }
        tracing::warn!(dir = %folder.dir.display(), base_offset = sealed.base_offset, "making indexes again");
        let mut index = build_index(folder, &file, sealed, interval_bytes)?;
        index.seal();
        replace_indexes(folder, sealed.base_offset, &index)?;
        let opened = read_indexes(folder, sealed, &file, interval_bytes)?;
        let path = folder.path(&file_name(sealed.base_offset, Kind::Index));
        opened.ok_or_else(|| StorageError::corrupt(&path, "does not fit its log even when made again"))
    })
}

/// Reads the indexes; `None` where they are missing, or say what cannot be.
fn read_indexes(
    folder: &Folder,
    sealed: Sealed,
    file: &File,
    interval_bytes: u32,
) -> Result<Option<OpenSegment>, StorageError> {
    let read = |kind| folder.files.read(&folder.path(&file_name(sealed.base_offset, kind))).ok();
    let (Some(offsets), Some(times)) = (read(Kind::Index), read(Kind::TimeIndex)) else { return Ok(None) };
    let opened = OpenSegment { base_offset: sealed.base_offset, file: file.clone(), offsets, times };
    let fits = opened.offsets().check(sealed.size).is_ok() && opened.times().check().is_ok();
    Ok((fits && is_complete(folder, sealed, &opened, interval_bytes)?).then_some(opened))
}

/// Whether the log after the last entry asks for no further one, and the last timestamp is there.
fn is_complete(
    folder: &Folder,
    sealed: Sealed,
    opened: &OpenSegment,
    interval_bytes: u32,
) -> Result<bool, StorageError> {
    let last = opened.offsets().last();
    let start = last.map_or(0, |entry| entry.position);
    let mut walk = Walk::new(&*folder.files, &opened.file, start, sealed.size, sealed.base_offset);
    let mut largest_ms = i64::MIN;
    loop {
        match walk.step(Check::Headers).map_err(log_error(folder, sealed.base_offset))? {
            Step::End => break,
            // The log is damaged: no index can be complete, and reads will say where.
            Step::Bad { .. } => break,
            Step::Batch(header, position) if position == start && last.is_some() => {
                if last.is_some_and(|entry| entry.last_offset != header.last_offset()) {
                    return Ok(false);
                }
                largest_ms = largest_ms.max(header.max_timestamp);
            }
            Step::Batch(header, position) => {
                if position - start > u64::from(interval_bytes) {
                    return Ok(false);
                }
                largest_ms = largest_ms.max(header.max_timestamp);
            }
        }
    }
    let indexed_ms = opened.times().last().map_or(crate::index::NO_TIMESTAMP, |entry| entry.timestamp_ms);
    Ok(largest_ms <= indexed_ms.max(crate::index::NO_TIMESTAMP))
}

/// Both indexes of a segment, made from its log; as far as its log holds batches.
pub(crate) fn build_index(
    folder: &Folder,
    file: &File,
    sealed: Sealed,
    interval_bytes: u32,
) -> Result<IndexBuilder, StorageError> {
    let mut index = IndexBuilder::new(sealed.base_offset, interval_bytes);
    let mut walk = Walk::new(&*folder.files, file, 0, sealed.size, sealed.base_offset);
    while let Step::Batch(header, position) =
        walk.step(Check::Headers).map_err(log_error(folder, sealed.base_offset))?
    {
        index.add(position, header.last_offset(), header.max_timestamp);
    }
    Ok(index)
}

/// Puts whole index files in the place of what is there.
pub(crate) fn replace_indexes(folder: &Folder, base_offset: i64, index: &IndexBuilder) -> Result<(), StorageError> {
    folder.write(&file_name(base_offset, Kind::Index), index.offset_bytes())?;
    folder.write(&file_name(base_offset, Kind::TimeIndex), index.time_bytes())
}

/// Wraps an error of reading a segment's log.
pub(crate) fn log_error(folder: &Folder, base_offset: i64) -> impl FnOnce(std::io::Error) -> StorageError + '_ {
    move |error| {
        let path = folder.path(&file_name(base_offset, Kind::Log));
        match error.kind() {
            std::io::ErrorKind::InvalidData => StorageError::corrupt(&path, error.to_string()),
            _ => StorageError::io("read", &path)(error),
        }
    }
}

/// A segment as readers see it.
pub(crate) enum View<'a> {
    Active(&'a Active),
    Sealed(Rc<OpenSegment>, u64),
}

impl View<'_> {
    pub(crate) fn base_offset(&self) -> i64 {
        match self {
            Self::Active(active) => active.base_offset,
            Self::Sealed(open, _) => open.base_offset,
        }
    }

    pub(crate) fn file(&self) -> &File {
        match self {
            Self::Active(active) => &active.file,
            Self::Sealed(open, _) => &open.file,
        }
    }

    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Active(active) => active.size,
            Self::Sealed(_, size) => *size,
        }
    }

    pub(crate) fn offsets(&self) -> OffsetIndex<'_> {
        match self {
            Self::Active(active) => active.index.offsets(),
            Self::Sealed(open, _) => open.offsets(),
        }
    }

    pub(crate) fn times(&self) -> TimeIndex<'_> {
        match self {
            Self::Active(active) => active.index.times(),
            Self::Sealed(open, _) => open.times(),
        }
    }

    /// The largest timestamp of the segment, as far as its index knows.
    pub(crate) fn largest_timestamp_ms(&self) -> i64 {
        match self {
            Self::Active(active) => active.index.largest().timestamp_ms,
            Self::Sealed(open, _) => open.times().last().map_or(crate::index::NO_TIMESTAMP, |entry| entry.timestamp_ms),
        }
    }

    /// The batch that holds `offset`, or the first one after it: where it begins, and how long it is. `None` where the
    /// segment ends before.
    pub(crate) fn locate(&self, files: &dyn Files, offset: i64) -> std::io::Result<Option<Located>> {
        let mut position = self.offsets().position_before(offset);
        let (mut window, mut window_start, mut window_len) = ([0u8; LOOKUP_BYTES], 0, 0);
        let mut wanted = HEADER_LEN;
        while position + HEADER_LEN as u64 <= self.size() {
            if position < window_start || position + HEADER_LEN as u64 > window_start + window_len as u64 {
                window_start = position;
                window_len = files.read_at(self.file(), &mut window[..wanted], position)?;
            }
            let at = (position - window_start) as usize;
            let header = parse_header(&window[at.min(window_len)..window_len], position, self.size())?;
            if header.last_offset() >= offset {
                return Ok(Some(Located { position, len: header.total_len() }));
            }
            wanted = if header.total_len() < SMALL_BATCH_BYTES { LOOKUP_BYTES } else { HEADER_LEN };
            position += header.total_len() as u64;
        }
        Ok(None)
    }
}

/// Where a batch stands in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) position: u64,
    pub(crate) len: usize,
}

/// The header of a batch that ends within the segment.
fn parse_header(bytes: &[u8], position: u64, size: u64) -> std::io::Result<BatchHeader> {
    let reason = match BatchHeader::parse(bytes) {
        Ok(header) if header.total_len() as u64 <= size - position => return Ok(header),
        Ok(header) => format!("a batch of {} bytes where {} are left", header.total_len(), size - position),
        Err(error) => error.to_string(),
    };
    Err(std::io::Error::new(std::io::ErrorKind::InvalidData, format!("at {position}: {reason}")))
}
