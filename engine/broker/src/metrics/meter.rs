//! What one shard counts: written by its thread alone, read by whoever is asked for metrics.
//!
//! Invariants:
//! - A [`Counter`] has one writer. Adding is a load, an addition and a store of an integer that nobody else writes: no lock, no
//!   barrier, no cache line that two shards write.
//! - Nothing is counted for a record, and the clock is read for none of this: a step has the reading of its begin, and the
//!   one at its end that says how long to wait. One step in [`SAMPLED_EVERY`] reads the clock where a phase ends.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use ringlog_io::threads::ThreadId;
use ringlog_io::{Counters, Nanos, Waker};

use super::facts::Facts;
use super::times::Times;
use crate::handlers::HANDLERS;

/// Of so many steps one says how long its phases took, and stands for the others.
pub(crate) const SAMPLED_EVERY: u64 = 32;

/// Versions of one API that are told apart.
pub(crate) const VERSIONS: usize = 24;

/// A number with one writer.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds. Only the thread whose counter it is.
    pub(crate) fn add(&self, amount: u64) {
        self.set(self.get().wrapping_add(amount));
    }

    /// Puts another number in its place.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The number.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a shard's thread does in a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Events, mail, timers: until a request is there.
    Read,
    /// Requests are decoded, checked and handled.
    Check,
    /// What was staged is written into the page cache.
    Append,
    /// Answers are put together and given to the kernel.
    Send,
}

impl Phase {
    /// All of them, in the order of a turn.
    pub(crate) const ALL: [Self; 4] = [Self::Read, Self::Check, Self::Append, Self::Send];

    /// Its name as a label.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Check => "check",
            Self::Append => "append",
            Self::Send => "send",
        }
    }
}

/// Requests of one API.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// By version.
    pub(crate) answered: [Counter; VERSIONS],
    /// From the last bytes of the request to the end of the step in which its answer was given to the kernel.
    pub(crate) times: Times,
}

/// A step that held the thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stall {
    pub(crate) ns: u64,
    pub(crate) did: String,
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Meter {
    requests: Box<[Requests]>,
    /// Connections that were closed because a request could not be read or is not served.
    pub(crate) refused: Counter,
    pub(crate) steps: Counter,
    /// The thread did something; it waited.
    pub(crate) busy_ns: Counter,
    pub(crate) waited_ns: Counter,
    /// When the step under way began, in nanoseconds of the monotonic clock; 0 while the thread waits.
    pub(crate) busy_since: Counter,
    /// The thread waited for a disk. Counted by the watchdog, whose counter this is.
    pub(crate) blocked_ns: Counter,
    thread: OnceLock<ThreadId>,
    phases: [Counter; Phase::ALL.len()],
    /// Flushes of partitions: from asking for one to its end.
    pub(crate) flushes: Times,
    pub(crate) syscalls: Counter,
    pub(crate) received_bytes: Counter,
    pub(crate) sent_bytes: Counter,
    /// Bytes of answers that were copied out of the page cache, went by reference, or came from the disk.
    pub(crate) copied_bytes: Counter,
    pub(crate) referred_bytes: Counter,
    pub(crate) cold_bytes: Counter,
    /// Bytes of requests that were copied because they had to wait.
    pub(crate) kept_bytes: Counter,
    /// The worst step of this window and of the one before.
    stalls: Mutex<[Stall; 2]>,
    asked: AtomicU64,
    answered: Mutex<Answered>,
    asker: OnceLock<Waker>,
}

/// What a shard last said of itself, and which question it answered with it.
#[derive(Debug, Default)]
struct Answered {
    question: u64,
    facts: Option<Facts>,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            requests: HANDLERS.iter().map(|_| Requests::default()).collect(),
            refused: Counter::default(),
            steps: Counter::default(),
            busy_ns: Counter::default(),
            waited_ns: Counter::default(),
            busy_since: Counter::default(),
            blocked_ns: Counter::default(),
            thread: OnceLock::new(),
            phases: Default::default(),
            flushes: Times::default(),
            syscalls: Counter::default(),
            received_bytes: Counter::default(),
            sent_bytes: Counter::default(),
            copied_bytes: Counter::default(),
            referred_bytes: Counter::default(),
            cold_bytes: Counter::default(),
            kept_bytes: Counter::default(),
            stalls: Mutex::default(),
            asked: AtomicU64::new(0),
            answered: Mutex::default(),
            asker: OnceLock::new(),
        }
    }
}

impl Meter {
    // --- the shard's side --------------------------------------------------------------------------------------------

    /// This thread is the shard's.
    pub(crate) fn begin(&self) {
        // A shard is one thread.
        let _ = self.thread.set(ThreadId::this());
    }

    /// A request of this API, by its number, was answered after so long.
    pub(crate) fn answered(&self, api: i16, version: i16, ns: u64) {
        let Some(requests) = place(api).map(|place| &self.requests[place]) else { return };
        let version = usize::try_from(version).unwrap_or(0).min(VERSIONS - 1);
        requests.answered[version].add(1);
        requests.times.note(ns);
    }

    /// A step of which phases were timed spent so long in this one.
    pub(crate) fn spent(&self, phase: Phase, ns: u64) {
        self.phases[phase as usize].add(ns.saturating_mul(SAMPLED_EVERY));
    }

    /// What the driver did so far.
    pub(crate) fn driver_did(&self, counters: Counters) {
        self.syscalls.set(counters.syscalls);
        self.received_bytes.set(counters.received_bytes);
        self.sent_bytes.set(counters.sent_bytes);
    }

    /// A step was worse than all others of its window.
    pub(crate) fn stalled(&self, stall: Stall) {
        self.stalls.lock().unwrap_or_else(PoisonError::into_inner)[0] = stall;
    }

    /// A new window begins.
    pub(crate) fn forget_stalls(&self) {
        let mut stalls = self.stalls.lock().unwrap_or_else(PoisonError::into_inner);
        stalls[1] = std::mem::take(&mut stalls[0]);
    }

    /// The question that is to be answered, where it is another than this one.
    pub(crate) fn question_after(&self, answered: u64) -> Option<u64> {
        let asked = self.asked.load(Ordering::Acquire);
        (asked != answered).then_some(asked)
    }

    /// Answers it, and wakes who asked.
    pub(crate) fn answer(&self, question: u64, facts: Facts) {
        let facts = Some(facts);
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = Answered { question, facts };
        if let Some(asker) = self.asker.get() {
            asker.wake();
        }
    }

    // --- who asks ----------------------------------------------------------------------------------------------------

    /// The shard's thread, once it has begun.
    pub(crate) fn thread(&self) -> Option<ThreadId> {
        self.thread.get().copied()
    }

    /// Who is woken when a question is answered. Once.
    pub(crate) fn answer_to(&self, asker: Waker) {
        // A second one would be a second server: there is one.
        drop(self.asker.set(asker));
    }

    /// Asks the shard what it has, in its next turn. The caller wakes it.
    pub(crate) fn ask(&self, question: u64) {
        self.asked.store(question, Ordering::Release);
    }

    /// The last question that was answered.
    pub(crate) fn last_answered(&self) -> u64 {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).question
    }

    /// Takes what the shard said of itself, where it said something since: it is dropped on the thread that takes it.
    pub(crate) fn take_facts(&self) -> Option<Facts> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).facts.take()
    }

    /// The requests of each API, in the order of the list of handlers.
    pub(crate) fn requests(&self) -> &[Requests] {
        &self.requests
    }

    /// How long the thread was in this phase, as the steps say that were timed.
    pub(crate) fn phase_ns(&self, phase: Phase) -> u64 {
        self.phases[phase as usize].get()
    }

    /// The worst step of the last minute or two.
    pub(crate) fn worst_stall(&self) -> Stall {
        let stalls = self.stalls.lock().unwrap_or_else(PoisonError::into_inner);
        stalls.iter().max_by_key(|stall| stall.ns).cloned().unwrap_or_default()
    }

    /// How long the step under way has lasted; 0 while the thread waits.
    pub(crate) fn busy_for(&self, now: Nanos) -> u64 {
        match self.busy_since.get() {
            0 => 0,
            since => now.0.saturating_sub(since),
        }
    }
}

/// An API's place in the list of handlers, by its number.
fn place(api: i16) -> Option<usize> {
    /// One more than the place, 0 for what is not served.
    const PLACES: [u8; 128] = {
        let mut places = [0; 128];
        let mut place = 0;
        while place < HANDLERS.len() {
            places[HANDLERS[place].key as usize] = place as u8 + 1;
            place += 1;
        }
        places
    };
    let place = *PLACES.get(usize::try_from(api).ok()?)?;
    usize::from(place).checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_api_that_is_served_has_a_place_of_its_own_and_its_versions_fit() {
        for (at, handler) in HANDLERS.iter().enumerate() {
            assert_eq!(place(handler.key as i16), Some(at), "{:?}", handler.key);
            assert!(usize::try_from(handler.versions.1).is_ok_and(|last| last < VERSIONS), "{:?}", handler.key);
        }
        assert_eq!((place(-1), place(i16::MAX), place(52)), (None, None, None));
    }

    #[test]
    fn requests_are_counted_by_version_and_strange_ones_not_at_all() {
        let meter = Meter::default();
        meter.answered(0, 13, 5_000);
        meter.answered(0, 13, 7_000);
        meter.answered(0, i16::MAX, 1);
        meter.answered(9_999, 0, 1);
        let produce = &meter.requests()[0];
        assert_eq!((produce.answered[13].get(), produce.answered[VERSIONS - 1].get()), (2, 1));
        assert_eq!((produce.times.sum_ns(), produce.times.counts().iter().sum::<u64>()), (12_001, 3));
    }

    #[test]
    fn the_worst_step_is_known_for_two_windows() {
        let meter = Meter::default();
        meter.stalled(Stall { ns: 9, did: "much".to_owned() });
        meter.forget_stalls();
        meter.stalled(Stall { ns: 3, did: "little".to_owned() });
        assert_eq!(meter.worst_stall().did, "much");
        meter.forget_stalls();
        assert_eq!(meter.worst_stall().did, "little");
        meter.forget_stalls();
        assert_eq!(meter.worst_stall(), Stall::default());
    }
}
