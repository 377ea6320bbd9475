//! Which batches belong to transactions that were aborted, and which markers are still needed, as a log is read from somewhere
//! on (`CleanedTransactionMetadata`).
//!
//! A marker is needed while a batch of its transaction is there: readers of committed data could not tell what became of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ringlog_wire::batch::BatchHeader;

use crate::aborted::Aborted;
use crate::marker::Marker;

/// What is to be done with a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// A batch of its transaction was met. Of an aborted one the index of the segment tells.
    Needed(Option<Aborted>),
    /// None was.
    Needless,
}

/// See the head of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transactions {
    /// Aborted ones that begin farther on, by first offset.
    to_come: VecDeque<Aborted>,
    /// Aborted ones that have begun, by producer, and whether a batch was met.
    aborted: BTreeMap<i64, (Aborted, bool)>,
    /// Producers with batches of a transaction that will be committed.
    committed: BTreeSet<i64>,
}

impl Transactions {
    pub(crate) fn new(mut aborted: Vec<Aborted>) -> Self {
        aborted.sort_by_key(|aborted| aborted.first_offset);
        Self { to_come: aborted.into(), ..Self::default() }
    }

    /// A batch of records. Whether its transaction was aborted.
    pub(crate) fn data(&mut self, header: &BatchHeader) -> bool {
        if !header.is_transactional() {
            return false;
        }
        self.begin_up_to(header.base_offset);
        match self.aborted.get_mut(&header.producer_id) {
            Some((_, is_met)) => {
                *is_met = true;
                true
            }
            None => {
                self.committed.insert(header.producer_id);
                false
            }
        }
    }

    /// A control batch; `None` where there is no marker in it: it was emptied before, or is none of a transaction.
    pub(crate) fn control(&mut self, header: &BatchHeader, marker: Option<Marker>) -> Need {
        self.begin_up_to(header.last_offset());
        match marker {
            None if header.record_count == 0 => Need::Needless,
            None => Need::Needed(None),
            Some(marker) if marker.aborted => match self.aborted.remove(&header.producer_id) {
                Some((aborted, true)) => Need::Needed(Some(aborted)),
                _ => Need::Needless,
            },
            Some(_) if self.committed.remove(&header.producer_id) => Need::Needed(None),
            Some(_) => Need::Needless,
        }
    }

    fn begin_up_to(&mut self, offset: i64) {
        while let Some(aborted) = self.to_come.pop_front_if(|aborted| aborted.first_offset <= offset) {
            self.aborted.insert(aborted.producer_id, (aborted, false));
        }
    }
}

#[cfg(test)]
mod tests {
    use ringlog_wire::batch::{Batch, BatchBuilder};

    use super::*;

    fn data(producer_id: i64, offset: i64) -> BatchHeader {
        let mut builder = BatchBuilder::new();
        builder.set_producer(producer_id, 0, 0).set_transactional(true).set_position(offset, 0);
        builder.append(0, Some(b"k"), None, &[]);
        *builder.header()
    }

    fn marker(producer_id: i64, offset: i64, commit: bool) -> (BatchHeader, Option<Marker>) {
        let bytes = BatchBuilder::marker(0, producer_id, 0, commit, 0);
        let header = Batch::parse(&bytes).unwrap().header;
        (BatchHeader { base_offset: offset, ..header }, Marker::parse(&bytes))
    }

    #[test]
    fn aborted_batches_are_told_and_a_marker_is_needed_while_there_are_batches() {
        let of = |producer_id, first_offset, last_offset| Aborted {
            producer_id,
            first_offset,
            last_offset,
            last_stable_offset: first_offset,
        };
        let (first, second) = (of(7, 10, 13), of(7, 20, 21));
        let mut transactions = Transactions::new(vec![second, first]);
        assert!(!transactions.data(&data(8, 9)));
        assert!(!transactions.data(&data(7, 9)), "of the transaction before");
        let (header, commit) = marker(7, 9, true);
        assert_eq!(transactions.control(&header, commit), Need::Needed(None));
        assert!(transactions.data(&data(7, 10)));
        assert!(!transactions.data(&data(8, 11)));
        let (header, abort) = marker(7, 13, false);
        assert_eq!(transactions.control(&header, abort), Need::Needed(Some(first)));
        let (header, abort) = marker(7, 21, false);
        assert_eq!(transactions.control(&header, abort), Need::Needless, "its batches are gone");
        let (header, commit) = marker(8, 22, true);
        assert_eq!(transactions.control(&header, commit), Need::Needed(None));
        assert_eq!(transactions.control(&header, commit), Need::Needless);
        let emptied = header.write_emptied(&mut Vec::new());
        assert_eq!(transactions.control(&emptied, None), Need::Needless);
    }
}
