//! Lookup by timestamp: the time index names a segment and a place, the batches from there on tell the record.

use ringlog_wire::batch::{Batch, BatchHeader, Record, TimestampType};
use ringlog_wire::compression::Scratch;

use crate::cold::Cold;
use crate::index::NO_TIMESTAMP;
use crate::names::{Kind, file_name};
use crate::segment::{View, log_error};
use crate::walk::{Check, Step, Walk};
use crate::{Partition, Ready, StorageError, TimestampOffset};

/// What the records of one batch may take when they are opened for a lookup.
const INFLATED_BYTES_MAX: usize = 256 << 20;

/// Read at once where a batch is looked at, so that its records can be: an index interval and a large batch.
const LOADED_BYTES: u64 = 1 << 20;

impl Partition {
    /// The first record whose timestamp is at or above `timestamp_ms` (ListOffsets). `None` where there is none. May
    /// answer with an offset at or above the high watermark: that is the caller's to judge.
    pub fn offset_for_timestamp(&self, timestamp_ms: i64) -> Result<Ready<Option<TimestampOffset>>, StorageError> {
        Cold::answer(self.find_timestamp(timestamp_ms))
    }

    fn find_timestamp(&self, timestamp_ms: i64) -> Result<Option<TimestampOffset>, Cold> {
        let is_outdated =
            |base_offset| self.next_base_offset(base_offset).is_some_and(|next| next <= self.log_start_offset);
        for base_offset in self.bases().filter(|base_offset| !is_outdated(*base_offset)) {
            if self.largest_timestamp_ms(base_offset)? < timestamp_ms {
                continue;
            }
            let view = self.view_ready(base_offset)?;
            let start = view.offsets().position_before(view.times().offset_before(timestamp_ms));
            let wanted = |header: &BatchHeader| {
                header.max_timestamp >= timestamp_ms && header.last_offset() >= self.log_start_offset
            };
            let first =
                |record: &Record<'_>| record.timestamp >= timestamp_ms && record.offset >= self.log_start_offset;
            if let Some(found) = self.first_record(&view, start, wanted, first)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The first record that has the largest timestamp (ListOffsets -3). `None` for an empty log.
    pub fn offset_of_max_timestamp(&self) -> Result<Ready<Option<TimestampOffset>>, StorageError> {
        Cold::answer(self.find_max_timestamp())
    }

    fn find_max_timestamp(&self) -> Result<Option<TimestampOffset>, Cold> {
        if self.size_bytes() == 0 {
            return Ok(None);
        }
        let (mut largest_ms, mut holder) = (i64::MIN, self.active.base_offset);
        for base_offset in self.bases() {
            let segment_ms = self.largest_timestamp_ms(base_offset)?;
            let is_empty = base_offset == self.active.base_offset && self.active.size == 0;
            if segment_ms > largest_ms && !is_empty {
                (largest_ms, holder) = (segment_ms, base_offset);
            }
        }
        let view = self.view_ready(holder)?;
        let start = view.offsets().position_before(view.times().offset_before(largest_ms));
        let wanted = |header: &BatchHeader| header.max_timestamp == largest_ms;
        self.first_record(&view, start, wanted, |record| record.timestamp == largest_ms)
    }

    /// The largest timestamp of a segment. That of a sealed one is remembered: a partition may have more of them than may be
    /// open at once.
    pub(crate) fn largest_timestamp_ms(&self, base_offset: i64) -> Result<i64, Cold> {
        if base_offset == self.active.base_offset {
            return Ok(self.active.index.largest().timestamp_ms);
        }
        if let Some(known) = self.largest_ms.borrow().get(&base_offset) {
            return Ok(*known);
        }
        let largest_ms = self.view_ready(base_offset)?.largest_timestamp_ms();
        self.largest_ms.borrow_mut().insert(base_offset, largest_ms);
        Ok(largest_ms)
    }

    /// The largest timestamp of the first batch of a segment; -1 where it has none.
    pub(crate) fn first_timestamp_ms(&self, base_offset: i64) -> Result<i64, Cold> {
        let view = self.view_ready(base_offset)?;
        self.look_at(&view, 0, LOADED_BYTES)?;
        let mut walk = Walk::new(&*self.folder.files, view.file(), 0, view.size(), base_offset);
        match walk.step(Check::Headers).map_err(log_error(&self.folder, base_offset))? {
            Step::Batch(header, _) => Ok(header.max_timestamp),
            Step::End | Step::Bad { .. } => Ok(NO_TIMESTAMP),
        }
    }

    fn bases(&self) -> impl Iterator<Item = i64> + '_ {
        self.sealed.iter().map(|segment| segment.base_offset).chain([self.active.base_offset])
    }

    /// The first record that is wanted, of the first batch that is and has one.
    fn first_record(
        &self,
        view: &View<'_>,
        start: u64,
        batch_wanted: impl Fn(&BatchHeader) -> bool,
        record_wanted: impl Fn(&Record<'_>) -> bool,
    ) -> Result<Option<TimestampOffset>, Cold> {
        let (folder, base_offset) = (&self.folder, view.base_offset());
        self.look_at(view, start, LOADED_BYTES)?;
        let mut walk = Walk::new(&*folder.files, view.file(), start, view.size(), base_offset);
        loop {
            let (header, position) = match walk.step(Check::Headers).map_err(log_error(folder, base_offset))? {
                Step::Batch(header, position) => (header, position),
                Step::End => return Ok(None),
                Step::Bad { reason } => {
                    let path = folder.path(&file_name(base_offset, Kind::Log));
                    return Err(StorageError::corrupt(&path, format!("at {}: {reason}", walk.position())).into());
                }
            };
            if !batch_wanted(&header) {
                continue;
            }
            let bytes = walk.bytes_of(&header, position).map_err(log_error(folder, base_offset))?;
            if let Some(found) = find_record(&header, bytes, &record_wanted) {
                return Ok(Some(found));
            }
        }
    }
}

/// The first wanted record of a batch. Where the records cannot be read, the batch's first offset stands for them: the
/// lookup then begins early, never late.
fn find_record(header: &BatchHeader, bytes: &[u8], wanted: impl Fn(&Record<'_>) -> bool) -> Option<TimestampOffset> {
    let leader_epoch = header.partition_leader_epoch;
    let whole = TimestampOffset { timestamp_ms: header.max_timestamp, offset: header.base_offset, leader_epoch };
    if header.timestamp_type() == TimestampType::LogAppendTime {
        return Some(whole);
    }
    let mut scratch = Scratch::default();
    let batch = Batch::parse(bytes).ok()?;
    let Ok(records) = batch.records(&mut scratch, INFLATED_BYTES_MAX) else { return Some(whole) };
    let mut readable = records.map_while(Result::ok);
    let record = readable.find(wanted)?;
    Some(TimestampOffset { timestamp_ms: record.timestamp, offset: record.offset, leader_epoch })
}
