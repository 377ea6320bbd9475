//! The reading and writing of a cleaning: one piece after the other, each on whichever thread has time. Files are opened anew for
//! each, and what lies between two pieces is memory alone.
//!
//! ```text
//!   Map --(the dirty part was read, or the map is full)--> Rewrite --> Swap --swapped--> Rewrite --> .. --> End
//!                                                             \-- nothing to change --/
//! ```
//! Old segments are read past the page cache, and new ones leave it when they are on the disk: what readers at the tail have
//! there stays.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};

use ringlog_io::{File, Files, OpenMode};
use ringlog_wire::batch::{Batch, BatchError, Batches, Rules};
use ringlog_wire::compression::Scratch;

use super::filter::{Fate, Filter, Terms};
use super::groups::{Limits, Source, group};
use super::key_map::{Full, KeyMap};
use super::plan::CleanerOptions;
use super::transactions::Transactions;
use super::{Cleaned, Next};
use crate::aborted::Aborted;
use crate::index::IndexBuilder;
use crate::marker::Marker;
use crate::names::{CLEANED, Kind, file_name};

/// What is to be cleaned, and how.
pub(crate) struct Plan {
    pub(crate) dir: PathBuf,
    /// Every sealed segment up to the bound.
    pub(crate) sources: Vec<Source>,
    /// The log is clean below.
    pub(crate) first_dirty: i64,
    /// Aborted transactions with records in them.
    pub(crate) aborted: Vec<Aborted>,
    pub(crate) terms: Terms,
    pub(crate) limits: Limits,
    pub(crate) options: CleanerOptions,
}

/// See the head of the file.
pub(crate) struct Work {
    plan: Plan,
    map: KeyMap,
    filter: Filter,
    groups: Vec<Range<usize>>,
    phase: Phase,
    buffer: Vec<u8>,
    scratch: Scratch,
    /// Bytes that the last piece read and wrote.
    moved: u64,
    cleaned: Cleaned,
}

enum Phase {
    Map { at: Place, transactions: Transactions },
    Rewrite(Rewriting),
    Swap(Written),
    End,
    Failed(Failure),
}

/// Where it is read: which source, and where in it.
#[derive(Clone, Copy, Debug)]
struct Place {
    source: usize,
    position: u64,
}

/// A group of which some is written.
struct Rewriting {
    group: usize,
    at: Place,
    index: IndexBuilder,
    written: u64,
    is_changed: bool,
}

/// A group that is written, and on the disk.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    group: usize,
    pub(crate) sources: Vec<Source>,
    pub(crate) size: u64,
    pub(crate) has_aborted: bool,
}

enum Failure {
    Io(io::Error),
    Damaged(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Work {
    pub(crate) fn new(plan: Plan) -> Self {
        let first = plan.sources.partition_point(|source| source.end_offset <= plan.first_dirty);
        let records = plan.sources.last().map_or(0, |last| last.end_offset.saturating_sub(plan.first_dirty).max(0));
        let CleanerOptions { map_bytes, map_load, .. } = plan.options;
        Self {
            map: KeyMap::new(records.unsigned_abs(), map_bytes, map_load, plan.first_dirty),
            filter: Filter::new(plan.aborted.clone()),
            groups: Vec::new(),
            phase: Phase::Map {
                at: Place { source: first, position: 0 },
                transactions: Transactions::new(plan.aborted.clone()),
            },
            buffer: Vec::new(),
            scratch: Scratch::default(),
            moved: 0,
            cleaned: Cleaned { end_offset: plan.first_dirty, ..Cleaned::default() },
            plan,
        }
    }

    pub(crate) fn next(&self) -> (Next, u64) {
        let next = match &self.phase {
            Phase::Map { .. } | Phase::Rewrite(_) => Next::Step,
            Phase::Swap(_) => Next::Swap,
            Phase::End => Next::End,
            Phase::Failed(Failure::Io(error)) => Next::Failed { reason: error.to_string(), is_final: false },
            Phase::Failed(Failure::Damaged(reason)) => Next::Failed { reason: reason.clone(), is_final: true },
        };
        (next, self.moved)
    }

    pub(crate) fn cleaned(&self) -> Cleaned {
        self.cleaned
    }

    /// The group that waits to be swapped in.
    pub(crate) fn written(&self) -> Option<&Written> {
        match &self.phase {
            Phase::Swap(written) => Some(written),
            _ => None,
        }
    }

    /// It was.
    pub(crate) fn swapped(&mut self) {
        if let Phase::Swap(written) = &self.phase {
            self.cleaned.bytes_before += written.sources.iter().map(|source| source.size).sum::<u64>();
            self.cleaned.bytes_after += written.size;
            self.phase = self.begin_group(written.group + 1);
        }
    }

    /// The next piece.
    pub(crate) fn step(&mut self, files: &dyn Files) {
        self.moved = 0;
        let unfinished = Phase::Failed(Failure::Damaged("a piece of the work was not finished".to_owned()));
        let phase = match std::mem::replace(&mut self.phase, unfinished) {
            Phase::Map { at, transactions } => self.map(files, at, transactions),
            Phase::Rewrite(rewriting) => self.rewrite(files, rewriting),
            other => Ok(other),
        };
        self.phase = phase.unwrap_or_else(Phase::Failed);
    }

    // --- the map -----------------------------------------------------------------------------------------------------

    fn map(&mut self, files: &dyn Files, mut at: Place, mut transactions: Transactions) -> Result<Phase, Failure> {
        let Some(source) = self.next_source(&mut at, self.plan.sources.len()) else {
            let end_offset = self.plan.sources.last().map_or(self.plan.first_dirty, |last| last.end_offset);
            return Ok(self.begin_rewrite(end_offset));
        };
        let buffer = self.read(files, source, at.position)?;
        let mut batches = Batches::new(&buffer);
        for batch in batches.by_ref() {
            let batch = whole(batch, source)?;
            if batch.header.last_offset() < self.plan.first_dirty {
                continue;
            }
            if self.put_keys(&batch, &mut transactions).map_err(|error| damaged(source, &error))?.is_err() {
                return Ok(self.begin_rewrite(self.map.latest() + 1));
            }
            self.map.seen(batch.header.last_offset());
        }
        at.position += (buffer.len() - batches.rest().len()) as u64;
        self.buffer = buffer;
        Ok(Phase::Map { at, transactions })
    }

    /// Aborted records outdo nothing.
    fn put_keys(&mut self, batch: &Batch<'_>, transactions: &mut Transactions) -> Result<Result<(), Full>, BatchError> {
        if batch.header.is_control() {
            transactions.control(&batch.header, Marker::parse(batch.bytes));
            return Ok(Ok(()));
        }
        if transactions.data(&batch.header) {
            return Ok(Ok(()));
        }
        for record in batch.records(&mut self.scratch, Rules::INFLATED_LEN_MAX)? {
            let record = record?;
            if let Some(key) = record.key.filter(|_| record.offset >= self.plan.first_dirty)
                && self.map.put(key, record.offset).is_err()
            {
                return Ok(Err(Full));
            }
        }
        Ok(Ok(()))
    }

    fn begin_rewrite(&mut self, end_offset: i64) -> Phase {
        self.cleaned.keys = self.map.len();
        self.cleaned.end_offset = end_offset;
        let count = self.plan.sources.partition_point(|source| source.base_offset < end_offset);
        self.groups = group(&self.plan.sources[..count], &self.plan.limits);
        self.begin_group(0)
    }

    // --- the new segments --------------------------------------------------------------------------------------------

    fn begin_group(&self, group: usize) -> Phase {
        let Some(range) = self.groups.get(group) else { return Phase::End };
        let interval_bytes = u32::try_from(self.plan.limits.index_interval_bytes).unwrap_or(u32::MAX);
        Phase::Rewrite(Rewriting {
            group,
            at: Place { source: range.start, position: 0 },
            index: IndexBuilder::new(self.plan.sources[range.start].base_offset, interval_bytes),
            written: 0,
            is_changed: range.len() > 1,
        })
    }

    fn rewrite(&mut self, files: &dyn Files, mut rewriting: Rewriting) -> Result<Phase, Failure> {
        let range = self.groups[rewriting.group].clone();
        let is_first = rewriting.at.source == range.start && rewriting.at.position == 0;
        let path = self.cleaned_path(range.start, Kind::Log);
        let file = if is_first { self.new_log(files, &path)? } else { log_so_far(files, &path, rewriting.written)? };
        let Some(source) = self.next_source(&mut rewriting.at, range.end) else {
            return self.finish_group(files, &file, rewriting);
        };
        let buffer = self.read(files, source, rewriting.at.position)?;
        let mut out = Vec::with_capacity(buffer.len());
        let last = range.clone().rev().find(|i| self.plan.sources[*i].size > 0);
        let mut batches = Batches::new(&buffer);
        while let Some(batch) = batches.next() {
            let batch = whole(batch, source)?;
            let end = rewriting.at.position + (buffer.len() - batches.rest().len()) as u64;
            let is_last = end == source.size && last == Some(rewriting.at.source);
            let position = rewriting.written + out.len() as u64;
            let fate = self.filter.batch(&batch, is_last, (&self.map, &self.plan.terms), &mut out);
            match fate.map_err(|error| damaged(source, &error))? {
                Fate::Gone => rewriting.is_changed = true,
                Fate::Written { header, is_changed } => {
                    rewriting.index.add(position, header.last_offset(), header.max_timestamp);
                    rewriting.is_changed |= is_changed;
                }
            }
        }
        rewriting.at.position += (buffer.len() - batches.rest().len()) as u64;
        self.buffer = buffer;
        if !out.is_empty() {
            files.write_all_at(&file, &[IoSlice::new(&out)], rewriting.written)?;
            files.start_writeback(&file, rewriting.written, out.len() as u64)?;
            rewriting.written += out.len() as u64;
            self.moved += out.len() as u64;
        }
        Ok(Phase::Rewrite(rewriting))
    }

    fn new_log(&self, files: &dyn Files, path: &Path) -> io::Result<File> {
        remove_cleaned(files, &self.plan.dir)?;
        let file = files.open(path, OpenMode::Create)?;
        files.truncate(&file, 0)?;
        Ok(file)
    }

    /// All of it is on the disk, and found there by its names, before the swap begins. The list of aborted transactions is there
    /// also where it is empty: an old one in its place must go.
    fn finish_group(&mut self, files: &dyn Files, log: &File, rewriting: Rewriting) -> Result<Phase, Failure> {
        let Rewriting { group, mut index, written, is_changed, .. } = rewriting;
        let range = self.groups[group].clone();
        let aborted = std::mem::take(&mut self.filter.aborted);
        if !is_changed {
            remove_cleaned(files, &self.plan.dir)?;
            return Ok(self.begin_group(group + 1));
        }
        index.seal();
        let aborted_bytes: Vec<u8> = aborted.iter().flat_map(Aborted::encode).collect();
        for (kind, bytes) in [
            (Kind::Index, index.offset_bytes()),
            (Kind::TimeIndex, index.time_bytes()),
            (Kind::TxnIndex, &aborted_bytes[..]),
        ] {
            let file = files.open(&self.cleaned_path(range.start, kind), OpenMode::Create)?;
            files.truncate(&file, 0)?;
            files.write_all_at(&file, &[IoSlice::new(bytes)], 0)?;
            files.sync(&file)?;
        }
        files.sync(log)?;
        files.sync_dir(&self.plan.dir)?;
        files.drop_cached(log, 0, 0)?;
        let sources = self.plan.sources[range].to_vec();
        Ok(Phase::Swap(Written { group, sources, size: written, has_aborted: !aborted.is_empty() }))
    }

    // --- files -------------------------------------------------------------------------------------------------------

    /// The source at a place, or the first one after it that has something left, below `end`.
    fn next_source(&self, at: &mut Place, end: usize) -> Option<Source> {
        while at.source < end {
            let source = self.plan.sources[at.source];
            if at.position < source.size {
                return Some(source);
            }
            *at = Place { source: at.source + 1, position: 0 };
        }
        None
    }

    /// A piece of a source: a whole batch at least.
    fn read(&mut self, files: &dyn Files, source: Source, position: u64) -> Result<Vec<u8>, Failure> {
        let file = files.open(&self.plan.dir.join(file_name(source.base_offset, Kind::Log)), OpenMode::Read)?;
        let left = usize::try_from(source.size - position).unwrap_or(usize::MAX);
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut wanted = self.plan.options.piece_bytes.min(left);
        loop {
            buffer.resize(wanted, 0);
            if files.read_once_at(&file, &mut buffer, position)? < wanted {
                return Err(Failure::Damaged(format!(
                    "segment {}: shorter than {} bytes",
                    source.base_offset, source.size
                )));
            }
            match Batch::parse(&buffer) {
                Ok(_) => break,
                Err(BatchError::Incomplete { wanted: more, .. }) if more > wanted && more <= left => wanted = more,
                Err(error) => return Err(damaged(source, &format!("at {position}: {error}"))),
            }
        }
        self.moved += wanted as u64;
        Ok(buffer)
    }

    fn cleaned_path(&self, source: usize, kind: Kind) -> PathBuf {
        let base_offset = self.plan.sources[source].base_offset;
        self.plan.dir.join(format!("{}{CLEANED}", file_name(base_offset, kind)))
    }
}

/// What the pieces before wrote. Between two of them the partition may have been opened again, which removes it: a file that is made
/// anew would have a hole where they were.
fn log_so_far(files: &dyn Files, path: &Path, written: u64) -> io::Result<File> {
    let file = files.open(path, OpenMode::Write)?;
    let len = files.len(&file)?;
    if len != written {
        let message = format!("{}: {len} bytes where {written} were written", path.display());
        return Err(io::Error::other(message));
    }
    Ok(file)
}

/// What another cleaning left behind.
fn remove_cleaned(files: &dyn Files, dir: &Path) -> io::Result<()> {
    let entries = files.list(dir)?;
    let mut left = entries.iter().filter(|entry| entry.name.ends_with(CLEANED));
    left.try_for_each(|entry| files.remove_file(&dir.join(&entry.name)))
}

fn whole<'a>(batch: Result<Batch<'a>, BatchError>, source: Source) -> Result<Batch<'a>, Failure> {
    let batch = batch.map_err(|error| damaged(source, &error))?;
    batch
        .check_crc()
        .map_err(|error| damaged(source, &format!("the batch at offset {}: {error}", batch.header.base_offset)))?;
    Ok(batch)
}

fn damaged(source: Source, error: &dyn std::fmt::Display) -> Failure {
    Failure::Damaged(format!("segment {}: {error}", source.base_offset))
}
