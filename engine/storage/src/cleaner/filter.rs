//! What becomes of a batch (`Cleaner.cleanInto`, `Cleaner.shouldRetainRecord`).
//!
//! | a record | goes where |
//! |---|---|
//! | behind the map's reach | never |
//! | of an aborted transaction | at once |
//! | without a key | at once: such are not taken into a compacted topic, it was another one once |
//! | with a later one of its key | at once |
//! | a tombstone, the last of its key | its batch's delete horizon is over |
//! | a marker | no batch of its transaction is there, and the horizon is over |
//!
//! A batch that keeps none goes, unless it is the last of its producer or of its segment: then it stays, empty. One that keeps a
//! tombstone or a needless marker is given a horizon, `delete.retention.ms` from now, if it has none.

use std::collections::BTreeMap;

use ringlog_wire::batch::{Batch, BatchError, BatchHeader, Record, Rules, Sieve};

use super::key_map::KeyMap;
use super::transactions::{Need, Transactions};
use crate::aborted::Aborted;
use crate::marker::Marker;

/// The last thing that is known of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastOf {
    /// Its last batch of records.
    pub(crate) last_offset: Option<i64>,
    pub(crate) epoch: i16,
}

/// What stands still while a log is cleaned.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) wall_ms: i64,
    pub(crate) delete_retention_ms: i64,
    pub(crate) producers: BTreeMap<i64, LastOf>,
}

/// What a batch became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It went.
    Gone,
    /// It was written; whether it is another one now.
    Written { header: BatchHeader, is_changed: bool },
}

/// See the head of the file.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    sieve: Sieve,
    transactions: Transactions,
    /// Aborted transactions whose marker stayed, since they were taken last.
    pub(crate) aborted: Vec<Aborted>,
}

impl Filter {
    pub(crate) fn new(aborted: Vec<Aborted>) -> Self {
        Self { transactions: Transactions::new(aborted), ..Self::default() }
    }

    /// Appends to `out` what is left of a batch; all batches of the log come by, in order. `is_last`: of its segment.
    pub(crate) fn batch(
        &mut self,
        batch: &Batch<'_>,
        is_last: bool,
        (map, terms): (&KeyMap, &Terms),
        out: &mut Vec<u8>,
    ) -> Result<Fate, BatchError> {
        let header = batch.header;
        let horizon_ms = header.delete_horizon_ms();
        let is_over = |horizon_ms: Option<i64>| horizon_ms.is_some_and(|horizon_ms| horizon_ms <= terms.wall_ms);
        let (goes, is_needless_marker) = if header.is_control() {
            let need = self.transactions.control(&header, Marker::parse(batch.bytes));
            if let Need::Needed(Some(aborted)) = need {
                self.aborted.push(aborted);
            }
            (need == Need::Needless && is_over(horizon_ms), need == Need::Needless)
        } else {
            (self.transactions.data(&header), false)
        };
        let keep = |record: &Record<'_>| !goes && (header.is_control() || stays(record, map, !is_over(horizon_ms)));
        let sifted = self.sieve.sift(batch, Rules::INFLATED_LEN_MAX, keep)?;
        if sifted.kept == 0 {
            return Ok(match is_last || is_last_of_producer(&header, terms) {
                true => {
                    let header = header.write_emptied(out);
                    Fate::Written { header, is_changed: header != batch.header }
                }
                false => Fate::Gone,
            });
        }
        let needs_horizon = horizon_ms.is_none() && (sifted.has_tombstone || is_needless_marker);
        let horizon_ms = needs_horizon.then(|| terms.wall_ms.saturating_add(terms.delete_retention_ms));
        if sifted.dropped == 0 && horizon_ms.is_none() {
            out.extend_from_slice(batch.bytes);
            return Ok(Fate::Written { header, is_changed: false });
        }
        let header = self.sieve.write(batch, horizon_ms, out)?;
        Ok(Fate::Written { header, is_changed: true })
    }
}

fn stays(record: &Record<'_>, map: &KeyMap, keeps_tombstones: bool) -> bool {
    if record.offset > map.latest() {
        return true;
    }
    let Some(key) = record.key else { return false };
    let is_latest = map.get(key).is_none_or(|latest| record.offset >= latest);
    #[cfg(feature = "plant")]
    let is_latest = is_latest && !is_planted(record, map, key);
    is_latest && (record.value.is_some() || keeps_tombstones)
}

/// A planted fault: the newest value of a key goes where an older one was met.
#[cfg(feature = "plant")]
fn is_planted(record: &Record<'_>, map: &KeyMap, key: &[u8]) -> bool {
    ringlog_io::plant::is(ringlog_io::plant::NEWEST_DROPPED)
        && map.get(key) == Some(record.offset)
        && record.offset % 16 == 0
}

/// Its state is read out of this batch where the snapshots are lost (`ProducerStateManager.lastEntry`).
fn is_last_of_producer(header: &BatchHeader, terms: &Terms) -> bool {
    let last = terms.producers.get(&header.producer_id).filter(|_| header.has_producer_id());
    last.is_some_and(|last| match last.last_offset {
        Some(last_offset) => header.last_offset() == last_offset,
        None => header.is_control() && header.producer_epoch == last.epoch,
    })
}
