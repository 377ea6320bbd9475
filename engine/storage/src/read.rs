//! Reading: an offset becomes a range of a segment file. No record bytes pass through here.

use crate::aborted::Aborted;
use crate::cold::Cold;
use crate::names::{Kind, file_name};
use crate::partition::Spot;
use crate::segment::{Located, View, log_error};
use crate::{AbortedTransaction, Isolation, LogRange, Partition, ReadError, Ready, StorageError};

impl Partition {
    /// Finds the bytes from `offset` on, at most `max_bytes` of them, at least one whole batch where `min_one_batch`.
    /// The range begins with the batch that holds `offset`, ends inside one segment, and is empty where nothing is
    /// visible at `offset` yet.
    pub fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        min_one_batch: bool,
        isolation: Isolation,
    ) -> Result<LogRange, ReadError> {
        if offset < self.log_start_offset || offset > self.end_offset {
            let (log_start_offset, end_offset) = (self.log_start_offset, self.end_offset);
            return Err(ReadError::OffsetOutOfRange { offset, log_start_offset, end_offset });
        }
        let limit = self.limit(isolation)?;
        if offset >= limit.offset {
            return Ok(self.nothing_at(offset));
        }
        let mut view = self.view(offset)?;
        loop {
            if let Some(located) = self.locate(&view, offset)? {
                return Ok(self.range(&view, located, limit, max_bytes, min_one_batch));
            }
            // The offsets that ended this segment were compacted away.
            match self.next_base_offset(view.base_offset()).filter(|next| *next < limit.offset) {
                Some(next) => view = self.view(next)?,
                None => return Ok(self.nothing_at(offset)),
            }
        }
    }

    pub(crate) fn nothing_at(&self, offset: i64) -> LogRange {
        let (file, position) = (self.active.file.clone(), self.active.size);
        LogRange { file, position, len: 0, visible_len: 0, goes_on: false, upper_bound_offset: offset }
    }

    /// The first place that a reader does not see.
    fn limit(&self, isolation: Isolation) -> Result<Spot, StorageError> {
        match isolation {
            Isolation::LogEnd => Ok(self.end_spot()),
            Isolation::ReadUncommitted => Ok(self.visible),
            Isolation::ReadCommitted => match self.last_stable_offset() {
                stable if stable < self.visible.offset => self.spot_of(stable),
                _ => Ok(self.visible),
            },
        }
    }

    /// Where the batch that holds `offset` begins.
    fn spot_of(&self, offset: i64) -> Result<Spot, StorageError> {
        let view = self.view(offset)?;
        let position = self.locate(&view, offset)?.map_or(view.size(), |located| located.position);
        Ok(Spot { offset, base_offset: view.base_offset(), position })
    }

    pub(crate) fn locate(&self, view: &View<'_>, offset: i64) -> Result<Option<Located>, StorageError> {
        if let View::Active(_) = view
            && let Some(found) = self.locate_recent(offset)
        {
            return Ok(Some(found));
        }
        view.locate(&*self.folder.files, offset).map_err(log_error(&self.folder, view.base_offset()))
    }

    /// The batch, where it is one of the last that were appended and a batch before it is known to end below `offset`.
    fn locate_recent(&self, offset: i64) -> Option<Located> {
        let at = self.recent.partition_point(|batch| batch.last_offset < offset);
        let known_before = at > 0 || self.recent.front().is_some_and(|first| first.position == 0);
        let found = self.recent.get(at).filter(|_| known_before)?;
        Some(Located { position: found.position, len: found.len })
    }

    /// Whether the place of `offset` is known without a call.
    pub(crate) fn is_recent(&self, offset: i64) -> bool {
        offset >= self.active.base_offset && self.locate_recent(offset).is_some()
    }

    fn range(&self, view: &View<'_>, located: Located, limit: Spot, max_bytes: usize, min_one_batch: bool) -> LogRange {
        let visible_end = if limit.base_offset == view.base_offset() { limit.position } else { view.size() };
        let visible = usize::try_from(visible_end.saturating_sub(located.position)).unwrap_or(usize::MAX);
        let wanted = if min_one_batch { max_bytes.max(located.len) } else { max_bytes };
        let len = match wanted {
            wanted if wanted < located.len => 0,
            wanted if wanted >= visible => visible,
            wanted => whole_batches(view, located, wanted),
        };
        let end = located.position + len as u64;
        LogRange {
            file: view.file().clone(),
            position: located.position,
            len,
            visible_len: visible,
            goes_on: limit.base_offset != view.base_offset(),
            upper_bound_offset: self.bound_at(view, end).min(limit.offset),
        }
    }

    /// An offset that no batch before `position` of this segment reaches.
    fn bound_at(&self, view: &View<'_>, position: u64) -> i64 {
        if let Some(entry) = view.offsets().entry_from(position) {
            return entry.last_offset;
        }
        self.next_base_offset(view.base_offset()).unwrap_or(self.end_offset)
    }

    /// Aborted transactions that overlap `from..to`, by segment and marker (`to`: a range's `upper_bound_offset`).
    pub fn aborted_transactions(&self, from: i64, to: i64) -> Result<Ready<Vec<AbortedTransaction>>, StorageError> {
        let found = self.collect_aborted(from, to);
        Cold::answer(found.map(|found| found.into_iter().map(AbortedTransaction::from).collect()))
    }

    pub(crate) fn collect_aborted(&self, from: i64, to: i64) -> Result<Vec<Aborted>, Cold> {
        let mut found = Vec::new();
        let first = self.sealed.partition_point(|segment| segment.base_offset <= from).saturating_sub(1);
        for segment in self.sealed.iter().skip(first).filter(|segment| segment.has_aborted) {
            if collect(&self.sealed_aborted_ready(segment.base_offset)?, from, to, &mut found) {
                return Ok(found);
            }
        }
        collect(&self.aborted, from, to, &mut found);
        Ok(found)
    }

    pub(crate) fn read_sealed_aborted(&self, base_offset: i64) -> Result<Vec<Aborted>, StorageError> {
        let name = file_name(base_offset, Kind::TxnIndex);
        let bytes = self.folder.read(&name)?.unwrap_or_default();
        Aborted::decode_all(&bytes, base_offset).ok_or_else(|| {
            let reason = "not a list of aborted transactions: stop the broker, remove .kafka_cleanshutdown, start it";
            StorageError::corrupt(&self.folder.path(&name), reason)
        })
    }
}

/// Cuts a range where the index knows a batch to begin, so that no part of a batch is sent for nothing, and the next
/// read begins where an index entry points.
fn whole_batches(view: &View<'_>, located: Located, len: usize) -> usize {
    let end = located.position + len as u64;
    match view.offsets().boundary_at_or_below(end) {
        Some(boundary) if boundary >= located.position + located.len as u64 => (boundary - located.position) as usize,
        _ => len,
    }
}

/// Adds what overlaps. Says whether no later entry can.
fn collect(aborted: &[Aborted], from: i64, to: i64, found: &mut Vec<Aborted>) -> bool {
    for entry in aborted {
        if entry.overlaps(from, to) {
            found.push(*entry);
        }
        if entry.last_stable_offset >= to {
            return true;
        }
    }
    false
}
