//! What transactional clients did and were told, all of them under one transactional id: which transactions may be read, and
//! which must be.
//!
//! ```text
//!   open -- commit asked --> in doubt -- acknowledged --> committed          read_committed: must be there, once
//!     |                         |
//!     +-- nobody asked --       +-- no answer, refused: may be there
//!         must never be read
//! ```
//! It holds within an era (`ledger.rs`): the transactions' log is not flushed before an answer, and what a power cut takes of it
//! takes its promises along.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;

/// The number of a transaction, which its records carry.
pub(super) type Number = u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Nobody asked for a commit.
    Open,
    /// A commit was asked for.
    InDoubt,
    Committed,
}

#[derive(Clone, Debug)]
struct Transaction {
    fate: Fate,
    era: u32,
    /// Its records that were acknowledged: partition and offset.
    records: BTreeSet<(i32, i64)>,
}

/// See the head of the file.
#[derive(Debug, Default)]
pub(super) struct TransactionBook {
    all: Vec<Transaction>,
    /// The producer id and epoch that were given last, and the era in which that was.
    latest: Option<((i64, i16), u32)>,
}

impl TransactionBook {
    /// A transaction begins.
    pub(super) fn begin(&mut self, era: u32) -> Number {
        self.all.push(Transaction { fate: Fate::Open, era, records: BTreeSet::new() });
        self.all.len() as Number - 1
    }

    /// A batch of it was acknowledged.
    pub(super) fn acknowledged(&mut self, number: Number, partition: i32, offsets: std::ops::Range<i64>) {
        self.all[number as usize].records.extend(offsets.map(|offset| (partition, offset)));
    }

    /// Its commit is asked for.
    pub(super) fn asks_commit(&mut self, number: Number) {
        self.all[number as usize].fate = Fate::InDoubt;
    }

    /// Its commit was acknowledged.
    pub(super) fn committed(&mut self, number: Number) {
        self.all[number as usize].fate = Fate::Committed;
    }

    /// A producer id and epoch were given. Answers to two clients may arrive in another order than they were made in.
    pub(super) fn given(&mut self, identity: (i64, i16), era: u32) {
        let latest = self.latest.filter(|(latest, given)| *given == era && *latest > identity);
        self.latest = latest.or(Some((identity, era)));
    }

    /// Whether somebody else was given the transactional id since.
    pub(super) fn is_superseded(&self, identity: (i64, i16), era: u32) -> bool {
        self.latest.is_some_and(|(latest, given)| latest != identity && given == era)
    }

    /// A record was read under read_committed.
    pub(super) fn check_read(&self, number: Number, at: (i32, i64), era: u32) -> Result<(), Violation> {
        let Some(one) = self.all.get(number as usize) else {
            return Err(Violation(format!("{at:?}: a record of transaction {number}, which nobody began")));
        };
        if one.era == era && one.fate == Fate::Open {
            return Err(Violation(format!(
                "{at:?}: a record of transaction {number} was read, and nobody committed it"
            )));
        }
        Ok(())
    }

    /// Everything of a partition below `end` was read: what was committed is among it.
    pub(super) fn check_whole(
        &self,
        (partition, end): (i32, i64),
        read: &BTreeMap<i64, Number>,
        era: u32,
    ) -> Result<(), Violation> {
        for (number, one) in (0..).zip(&self.all).filter(|(_, one)| one.fate == Fate::Committed && one.era == era) {
            let mine = one.records.iter().filter(|(place, offset)| *place == partition && *offset < end);
            for (_, offset) in mine {
                if read.get(offset) != Some(&number) {
                    let found = read.get(offset);
                    return Err(Violation(format!(
                        "transaction {number} was committed with {offset} of partition {partition}, and {found:?} is read there"
                    )));
                }
            }
        }
        Ok(())
    }
}
