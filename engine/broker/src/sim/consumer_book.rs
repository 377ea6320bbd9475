//! What the members of a group of the consumer protocol (KIP-848) were told, held against each other.
//!
//! ```text
//!   a member asks ------ is answered: it has partitions 1, 2 -- .. -- says that it has 1 alone, leaves, joins anew
//!     |<------------ its session ------------>|                        |
//!      until then it is a member, and nobody else is given 1 or 2      from here on others may be given 2
//! ```
//! - A partition is one member's at a time: who was told that it has one has it until it says otherwise, as long as its session lasts,
//!   counted from when it asked last and was answered. While it is asked to give something back, its time is that of before.
//! - Nobody is put out before that.
//! - Who was put out, as another one has what it had and never gave back, is not taken for a member again without joining anew; and
//!   what is stored in an epoch that is over is refused where another one was given the partition since.
//! - Epochs do not go back, and stored offsets do not (`offset_book.rs`).
//! - When nothing goes wrong any more, all members come to be in one epoch, where each partition is one's.
//!
//! All of it stands in the log before it is answered: a kill and a move of the coordinator change nothing of it. A power cut and a
//! failed sync may take all of it: then the book begins anew, and so do the members. A request that lost its connection may still
//! come and change what its member has, without its knowing: of that member nothing is demanded until it was told all anew.

use std::collections::{BTreeMap, BTreeSet};

use ringlog_io::Nanos;
use ringlog_wire::ErrorCode;

use super::Violation;
use super::ledger::Key;
use super::offset_book::{LATE_NS, OffsetBook};

/// A member, as far as it was told.
#[derive(Clone, Copy, Debug, Default)]
struct Seat {
    /// The newest epoch that it was told.
    epoch: i32,
    /// It is a member until then for certain; 0: that is not certain.
    until: Nanos,
    /// A request without an answer may still come until then.
    unsure_until: Nanos,
    /// Since when it is known that it was put out.
    out_since: Option<Nanos>,
}

/// A member's answer: when it was asked for, and what it says.
pub(super) struct Confirmation<'a> {
    pub(super) asked_at: Nanos,
    pub(super) epoch: i32,
    /// What it has from now on, where that is said.
    pub(super) told: Option<&'a BTreeSet<Key>>,
    /// It has something that it is to give back.
    pub(super) gives_back: bool,
}

/// See the head of the file.
#[derive(Debug, Default)]
pub(super) struct ConsumerBook {
    now: Nanos,
    era: u32,
    session_ns: u64,
    /// How many members there are to be in the end.
    count: usize,
    seats: BTreeMap<String, Seat>,
    holders: BTreeMap<Key, String>,
    /// Whom a partition was given last, and in which epoch.
    given: BTreeMap<Key, (i32, String)>,
    /// What members have that have nothing to give back, by client.
    reconciled: BTreeMap<usize, (i32, BTreeSet<Key>)>,
    is_settled: bool,
    pub(super) offsets: OffsetBook,
}

impl ConsumerBook {
    /// Of so many members with this session.
    pub(super) fn of(count: usize, session_ms: u64) -> Self {
        Self { count, session_ns: session_ms * 1_000_000, ..Self::default() }
    }

    pub(super) fn session_ms(&self) -> u64 {
        self.session_ns / 1_000_000
    }

    /// It is this moment, in this era.
    pub(super) fn turn_to(&mut self, now: Nanos, era: u32) {
        if self.era != era {
            self.offsets.forget();
            let offsets = std::mem::take(&mut self.offsets);
            let (count, session_ns, is_settled) = (self.count, self.session_ns, self.is_settled);
            *self = Self { era, count, session_ns, is_settled, offsets, ..Self::default() };
        }
        self.now = now;
        self.offsets.turn_to(now);
    }

    // --- what members say --------------------------------------------------------------------------------------------

    /// A member joins, with nothing.
    pub(super) fn joins(&mut self, member: &str) {
        self.keeps(member, &BTreeSet::new());
        let seat = self.seats.entry(member.to_owned()).or_default();
        (seat.until, seat.out_since) = (Nanos(0), None);
    }

    /// A member says that it has these and no other.
    pub(super) fn keeps(&mut self, member: &str, kept: &BTreeSet<Key>) {
        self.holders.retain(|key, holder| holder != member || kept.contains(key));
    }

    /// A member leaves, and its id is not used again.
    pub(super) fn leaves(&mut self, member: &str) {
        self.keeps(member, &BTreeSet::new());
        self.seats.remove(member);
    }

    /// A request of the member has no answer.
    pub(super) fn may_come_late(&mut self, member: &str) {
        let seat = self.seats.entry(member.to_owned()).or_default();
        (seat.until, seat.unsure_until) = (Nanos(0), Nanos(self.now.0 + LATE_NS));
    }

    // --- what members are told ---------------------------------------------------------------------------------------

    /// The member is one.
    pub(super) fn confirmed(&mut self, member: &str, answer: &Confirmation<'_>) -> Result<(), Violation> {
        let Confirmation { asked_at, epoch, told, gives_back } = *answer;
        let ends = Nanos(asked_at.0 + self.session_ns);
        let seat = self.seats.entry(member.to_owned()).or_default();
        match seat.out_since {
            Some(since) if asked_at >= since => {
                return Err(Violation(format!("{member} was put out, and is taken for a member in epoch {epoch}")));
            }
            // It was one when that was answered.
            Some(_) => return Ok(()),
            None => {}
        }
        if epoch < seat.epoch {
            return Err(Violation(format!("{member} is in epoch {epoch}, and was in {}", seat.epoch)));
        }
        seat.epoch = epoch;
        let is_sure = seat.unsure_until <= asked_at && ends > self.now;
        if is_sure && !gives_back {
            seat.until = ends.max(seat.until);
        }
        told.map_or(Ok(()), |told| told.iter().try_for_each(|key| self.give(member, epoch, *key, is_sure)))
    }

    /// The member has the partition.
    fn give(&mut self, member: &str, epoch: i32, key: Key, is_sure: bool) -> Result<(), Violation> {
        if self.holders.get(&key).is_some_and(|holder| holder == member) {
            return Ok(());
        }
        if self.given.get(&key).is_none_or(|(last, _)| *last <= epoch) {
            self.given.insert(key, (epoch, member.to_owned()));
        }
        if let Some(other) = self.holders.get(&key).cloned() {
            // Whose answer is old may have lost it since.
            if !is_sure {
                return Ok(());
            }
            let seat = self.seats.entry(other.clone()).or_default();
            if seat.until > self.now {
                return Err(Violation(format!("{key:?} was given to {member} in epoch {epoch}, and {other} has it")));
            }
            if seat.until > Nanos(0) {
                seat.out_since.get_or_insert(self.now);
            }
        }
        self.holders.insert(key, member.to_owned());
        Ok(())
    }

    /// The member was told that it is none.
    pub(super) fn refused(&self, member: &str, error: ErrorCode) -> Result<(), Violation> {
        let is_none = matches!(error, ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::GROUP_ID_NOT_FOUND);
        let is_due = self.seats.get(member).is_some_and(|seat| seat.until > self.now);
        if is_none && is_due {
            return Err(Violation(format!("{member} was put out within its session: {error}")));
        }
        Ok(())
    }

    /// Why what the member stores now, in this epoch, must be refused.
    pub(super) fn is_over(&self, member: &str, key: Key, epoch: i32) -> Option<String> {
        let seat = self.seats.get(member)?;
        if seat.out_since.is_some() {
            return Some(format!("{member} was put out"));
        }
        let (given, to) = self.given.get(&key)?;
        let is_given_on = to != member && *given > epoch && seat.epoch > epoch;
        is_given_on.then(|| format!("{key:?} was given to {to} in epoch {given}"))
    }

    // --- the end -----------------------------------------------------------------------------------------------------

    /// What the member of a client has, where that is all that it is to have.
    pub(super) fn reconciled(&mut self, client: usize, what: Option<(i32, BTreeSet<Key>)>) {
        match what {
            Some(what) => drop(self.reconciled.insert(client, what)),
            None => drop(self.reconciled.remove(&client)),
        }
    }

    /// Looks whether all members are in one epoch, and each of these partitions is one's.
    pub(super) fn look(&mut self, partitions: &BTreeSet<Key>) {
        let mut epochs = self.reconciled.values().map(|(epoch, _)| epoch);
        let first = epochs.next();
        let is_one = self.reconciled.len() == self.count && epochs.all(|epoch| Some(epoch) == first);
        let mut all: Vec<Key> = self.reconciled.values().flat_map(|(_, has)| has.iter().copied()).collect();
        all.sort_unstable();
        self.is_settled |= is_one && all.iter().eq(partitions);
    }

    /// They were, once.
    pub(super) fn is_settled(&self) -> bool {
        self.is_settled
    }
}

#[cfg(test)]
mod tests {
    use ringlog_wire::Uuid;

    use super::*;

    const SESSION_MS: u64 = 1_000;

    fn key(partition: i32) -> Key {
        (Uuid([7; 16]), partition)
    }

    fn keys(partitions: &[i32]) -> BTreeSet<Key> {
        partitions.iter().map(|partition| key(*partition)).collect()
    }

    fn book() -> ConsumerBook {
        ConsumerBook::of(2, SESSION_MS)
    }

    /// The member asks at this moment, and is answered at once.
    fn told(book: &mut ConsumerBook, member: &str, (ms, epoch): (u64, i32), has: &[i32]) -> Result<(), String> {
        let asked_at = Nanos(ms * 1_000_000);
        book.turn_to(asked_at, 0);
        let has = keys(has);
        let answer = Confirmation { asked_at, epoch, told: Some(&has), gives_back: false };
        book.confirmed(member, &answer).map_err(|violation| violation.0)
    }

    #[test]
    fn a_partition_is_given_on_when_it_was_given_back_or_its_members_session_is_over() {
        let mut book = book();
        told(&mut book, "a", (0, 1), &[0, 1]).unwrap();
        let error = told(&mut book, "b", (999, 2), &[1]).unwrap_err();
        assert!(error.ends_with("was given to b in epoch 2, and a has it"), "{error}");
        book.keeps("a", &keys(&[0]));
        assert_eq!(told(&mut book, "b", (999, 2), &[1]), Ok(()));
        assert_eq!(told(&mut book, "b", (1_001, 3), &[0, 1]), Ok(()));
    }

    #[test]
    fn who_was_put_out_is_refused_until_it_joins_again() {
        let mut book = book();
        told(&mut book, "a", (0, 1), &[0]).unwrap();
        assert!(book.refused("a", ErrorCode::UNKNOWN_MEMBER_ID).is_err(), "its session lasts");
        told(&mut book, "b", (1_001, 2), &[0]).unwrap();
        assert_eq!(book.is_over("a", key(0), 1), Some("a was put out".to_owned()));
        assert!(book.refused("a", ErrorCode::UNKNOWN_MEMBER_ID).is_ok());
        assert!(told(&mut book, "a", (1_002, 1), &[]).is_err());
        book.joins("a");
        assert_eq!(told(&mut book, "a", (1_003, 3), &[]), Ok(()));
        assert!(told(&mut book, "a", (1_004, 2), &[]).is_err(), "epochs do not go back");
    }

    #[test]
    fn what_is_stored_in_an_epoch_before_the_partition_was_given_on_is_over() {
        let mut book = book();
        told(&mut book, "a", (0, 1), &[0, 1]).unwrap();
        book.keeps("a", &keys(&[0]));
        told(&mut book, "b", (1, 2), &[1]).unwrap();
        assert_eq!(book.is_over("a", key(1), 1), None, "it may be in that epoch still");
        told(&mut book, "a", (2, 2), &[0]).unwrap();
        assert!(book.is_over("a", key(1), 1).is_some_and(|why| why.ends_with("was given to b in epoch 2")));
        assert_eq!(book.is_over("a", key(0), 1), None);
    }

    #[test]
    fn of_a_member_whose_request_may_come_late_nothing_is_demanded() {
        let mut book = book();
        told(&mut book, "a", (0, 1), &[0]).unwrap();
        book.may_come_late("a");
        assert_eq!(told(&mut book, "b", (1, 2), &[0]), Ok(()));
        assert_eq!(told(&mut book, "a", (2, 1), &[0]), Ok(()), "it is not known which of them is right");
        assert!(book.refused("a", ErrorCode::UNKNOWN_MEMBER_ID).is_ok());
    }

    #[test]
    fn members_are_settled_when_each_partition_is_ones_in_one_epoch() {
        let mut book = book();
        book.reconciled(4, Some((2, keys(&[0]))));
        book.look(&keys(&[0]));
        assert!(!book.is_settled(), "one is missing");
        for (epoch, has, is_settled) in [(1, [1], false), (2, [0], false), (2, [1], true)] {
            book.reconciled(5, Some((epoch, keys(&has))));
            book.look(&keys(&[0, 1]));
            assert_eq!(book.is_settled(), is_settled, "{epoch} {has:?}");
        }
    }
}
