//! Whether a log is worth cleaning, and what of it (`LogCleanerManager.grabFilthiestCompactedLog`, `cleanableOffsets`).

use std::collections::BTreeMap;

use super::Cleaning;
use super::filter::{LastOf, Terms};
use super::groups::{Limits, Source};
use super::work::{Plan, Work};
use crate::cold::Cold;
use crate::{Partition, Ready, StorageError};

/// What cleaning may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CleanerOptions {
    /// Bytes of the map of keys (`log.cleaner.dedupe.buffer.size`).
    pub map_bytes: usize,
    /// Part of the map's places that is used (`log.cleaner.io.buffer.load.factor`).
    pub map_load: f64,
    /// Bytes that are read at a time, where a batch is not larger (`log.cleaner.io.buffer.size`).
    pub piece_bytes: usize,
}

/// The sealed segments that may be cleaned: `..dirty` are clean, `dirty..bound` are not.
struct Parts {
    dirty: usize,
    bound: usize,
}

impl Partition {
    /// The log is clean below: what `cleaner-offset-checkpoint` should say.
    #[must_use]
    pub fn cleaned_offset(&self) -> i64 {
        self.cleaner.cleaned_offset
    }

    /// Which part of the log is dirty, where that is so much, or so old, that it is to be cleaned. Waits for no disk.
    pub fn dirtiness(&self, wall_ms: i64) -> Result<Ready<Option<f64>>, StorageError> {
        Cold::answer(self.find_dirtiness(wall_ms))
    }

    fn find_dirtiness(&self, wall_ms: i64) -> Result<Option<f64>, Cold> {
        let Some(Parts { dirty, bound }) = self.parts(wall_ms)? else { return Ok(None) };
        let bytes = |range: std::ops::Range<usize>| range.map(|i| self.size_of(i)).sum::<u64>();
        let (clean_bytes, dirty_bytes) = (bytes(0..dirty), bytes(dirty..bound));
        if dirty_bytes == 0 {
            return Ok(None);
        }
        let ratio = dirty_bytes as f64 / (clean_bytes + dirty_bytes) as f64;
        let is_worth_it = self.config.min_cleanable_dirty_ratio.is_below(ratio) || self.is_overdue(dirty, wall_ms)?;
        Ok(is_worth_it.then_some(ratio))
    }

    /// `max.compaction.lag.ms`, from the first record of the dirty part on.
    fn is_overdue(&self, dirty: usize, wall_ms: i64) -> Result<bool, Cold> {
        if self.config.max_compaction_lag_ms == i64::MAX {
            return Ok(false);
        }
        let first_ms = self.first_timestamp_ms(self.sealed[dirty].base_offset)?;
        Ok(first_ms >= 0 && wall_ms.saturating_sub(first_ms) > self.config.max_compaction_lag_ms)
    }

    fn parts(&self, wall_ms: i64) -> Result<Option<Parts>, Cold> {
        if !self.config.compact || self.failure.is_some() || wall_ms < self.cleaner.not_before_ms {
            return Ok(None);
        }
        // Unstable records may be aborted; what is not on the disk must not outdo what is.
        let bound = self.last_stable_offset().min(self.flushed_offset());
        let first_dirty = self.first_dirty();
        let dirty = (0..self.sealed.len()).take_while(|i| self.end_of(*i) <= first_dirty).count();
        let mut end = dirty;
        while end < self.sealed.len() && self.end_of(end) <= bound && self.has_lagged(end, wall_ms)? {
            end += 1;
        }
        Ok((end > dirty).then_some(Parts { dirty, bound: end }))
    }

    /// `min.compaction.lag.ms`, of all records of a segment.
    fn has_lagged(&self, i: usize, wall_ms: i64) -> Result<bool, Cold> {
        let lag_ms = self.config.min_compaction_lag_ms;
        Ok(lag_ms <= 0 || self.largest_timestamp_ms(self.sealed[i].base_offset)? <= wall_ms.saturating_sub(lag_ms))
    }

    /// A note that cannot be of this log counts as none.
    fn first_dirty(&self) -> i64 {
        let noted = self.cleaner.cleaned_offset;
        if noted > self.end_offset { self.log_start_offset } else { noted.max(self.log_start_offset) }
    }

    /// What cleans the log as it is now; `None` where nothing is to be cleaned. Waits for no disk.
    pub fn clean_begin(&self, options: CleanerOptions, wall_ms: i64) -> Result<Ready<Option<Cleaning>>, StorageError> {
        let plan = Cold::answer(self.plan(options, wall_ms))?;
        Ok(plan.map(|plan| plan.map(|plan| Cleaning::new(Work::new(plan)))))
    }

    fn plan(&self, options: CleanerOptions, wall_ms: i64) -> Result<Option<Plan>, Cold> {
        let Some(Parts { bound, .. }) = self.parts(wall_ms)? else { return Ok(None) };
        let source = |i: usize| Source {
            base_offset: self.sealed[i].base_offset,
            size: self.sealed[i].size,
            end_offset: self.end_of(i),
        };
        let sources: Vec<Source> = (0..bound).map(source).collect();
        let (first, end) = (self.sealed[0].base_offset, self.end_of(bound - 1));
        let last_of = |producer: &crate::producers::Producer| LastOf {
            last_offset: producer.batches().last().map(|batch| batch.last_offset),
            epoch: producer.epoch,
        };
        let producers: BTreeMap<_, _> = self.producers.iter().map(|(id, producer)| (id, last_of(producer))).collect();
        let delete_retention_ms = self.config.delete_retention_ms;
        Ok(Some(Plan {
            dir: self.folder.dir.clone(),
            sources,
            first_dirty: self.first_dirty(),
            aborted: self.collect_aborted(first, end)?,
            terms: Terms { wall_ms, delete_retention_ms, producers },
            limits: Limits {
                segment_bytes: self.config.segment_bytes_max(),
                segment_index_bytes: u64::from(self.config.segment_index_bytes),
                index_interval_bytes: u64::from(self.config.index_interval_bytes),
            },
            options,
        }))
    }

    /// All of it was swapped in: the log is clean up to there.
    pub fn clean_end(&mut self, cleaning: &Cleaning) {
        self.cleaner.cleaned_offset = self.cleaner.cleaned_offset.max(cleaning.cleaned().end_offset);
    }

    /// It could not be cleaned: not before this time again.
    pub fn clean_failed(&mut self, not_before_ms: i64) {
        self.cleaner.not_before_ms = not_before_ms;
    }
}
