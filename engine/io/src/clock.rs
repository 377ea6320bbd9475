//! Clocks: the system's, and the reading that a driver keeps for a turn.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use crate::driver::{Clock, Nanos};
use crate::sys;

/// CLOCK_MONOTONIC.
#[must_use]
pub fn monotonic() -> Nanos {
    let time = read(libc::CLOCK_MONOTONIC);
    Nanos(time.0 * 1_000_000_000 + time.1)
}

/// A moment and a span after it.
pub(crate) fn later(now: Nanos, span: Duration) -> Nanos {
    Nanos(now.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
}

/// The shorter of two waits; `None` is one without end.
pub(crate) fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// How long one call of wait may still last. It reads the clock only where it must.
pub(crate) struct Patience {
    timeout: Option<Duration>,
    deadline: Option<Nanos>,
    is_first: bool,
}

impl Patience {
    /// All of `timeout` is left (`None`: there is no end).
    pub(crate) fn new(timeout: Option<Duration>, clock: &TurnClock) -> Self {
        let deadline = timeout.map(|timeout| if timeout.is_zero() { Nanos(0) } else { later(clock.read(), timeout) });
        Self { timeout, deadline, is_first: true }
    }

    /// What is left at this turn.
    pub(crate) fn left(&mut self, clock: &TurnClock) -> Option<Duration> {
        if std::mem::take(&mut self.is_first) {
            return self.timeout;
        }
        self.deadline.map(|deadline| Duration::from_nanos(deadline.0.saturating_sub(clock.now().0)))
    }

    /// Whether nothing is left at this turn.
    pub(crate) fn is_over(&self, clock: &TurnClock) -> bool {
        self.deadline.is_some_and(|deadline| clock.now() >= deadline)
    }
}

/// CLOCK_REALTIME in milliseconds since 1970.
#[must_use]
pub fn wall_ms() -> i64 {
    i64::try_from(wall_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

fn wall_nanos() -> u64 {
    let time = read(libc::CLOCK_REALTIME);
    time.0 * 1_000_000_000 + time.1
}

/// Seconds and nanoseconds of a clock. A time before the clock's origin counts as the origin.
fn read(clock: libc::clockid_t) -> (u64, u64) {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a live, writable timespec; both clocks exist on every Linux, so the call cannot fail.
    unsafe { libc::clock_gettime(clock, &mut time) };
    (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// Random bits of the kernel, fetched 32 words at a time: one system call for 32 answers.
#[derive(Debug, Default)]
struct Random {
    words: RefCell<Vec<u64>>,
}

impl Random {
    fn next(&self) -> u64 {
        let mut words = self.words.borrow_mut();
        if let Some(word) = words.pop() {
            return word;
        }
        let mut bytes = [0u8; 256];
        sys::random_fill(&mut bytes);
        words.extend(bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)));
        words.pop().unwrap_or_default()
    }
}

/// The system's clock for code without a driver: every reading is fresh.
#[derive(Debug, Default)]
pub struct SystemClock {
    random: Random,
}

impl SystemClock {
    /// A clock.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Nanos {
        monotonic()
    }

    fn wall_ms(&self) -> i64 {
        wall_ms()
    }

    fn read(&self) -> Nanos {
        monotonic()
    }

    fn random(&self) -> u64 {
        self.random.next()
    }
}

/// The wall clock is read anew after this time; between, it follows the monotonic clock. A step of the wall clock is
/// seen that late.
const WALL_NANOS_MAX: u64 = 100_000_000;

/// The clock of a driver: one reading a turn.
#[derive(Debug)]
pub(crate) struct TurnClock {
    now: Cell<Nanos>,
    /// A moment at which both clocks were read: the monotonic one, and the wall clock in nanoseconds since 1970.
    both: Cell<(Nanos, u64)>,
    random: Random,
}

impl TurnClock {
    /// A clock whose first turn begins now.
    pub(crate) fn new() -> Self {
        let now = monotonic();
        Self { now: Cell::new(now), both: Cell::new((now, wall_nanos())), random: Random::default() }
    }

    /// Takes the reading of a new turn.
    pub(crate) fn turn(&self) {
        let now = monotonic();
        self.now.set(now);
        if now.0.saturating_sub(self.both.get().0.0) > WALL_NANOS_MAX {
            self.both.set((now, wall_nanos()));
        }
    }
}

impl Clock for TurnClock {
    fn now(&self) -> Nanos {
        self.now.get()
    }

    fn wall_ms(&self) -> i64 {
        let (then, wall) = self.both.get();
        let nanos = wall + self.now.get().0.saturating_sub(then.0);
        i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX)
    }

    fn read(&self) -> Nanos {
        monotonic()
    }

    fn random(&self) -> u64 {
        self.random.next()
    }
}

/// A driver that keeps a [`TurnClock`]: that is its clock.
pub(crate) trait KeepsTime {
    fn clock(&self) -> &TurnClock;
}

impl<D: KeepsTime> Clock for D {
    fn now(&self) -> Nanos {
        self.clock().now()
    }

    fn wall_ms(&self) -> i64 {
        self.clock().wall_ms()
    }

    fn read(&self) -> Nanos {
        self.clock().read()
    }

    fn random(&self) -> u64 {
        self.clock().random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_has_one_time_until_the_next_begins() {
        let clock = TurnClock::new();
        let now = clock.now();
        while clock.read() == now {}
        assert_eq!(clock.now(), now);
        clock.turn();
        assert!(clock.now() > now);
    }

    #[test]
    fn a_turns_wall_clock_follows_the_systems() {
        let clock = TurnClock::new();
        for _ in 0..30 {
            std::thread::sleep(Duration::from_millis(7));
            let before = wall_ms();
            clock.turn();
            let after = wall_ms();
            let turn = Clock::wall_ms(&clock);
            assert!(turn >= before - 1 && turn <= after + 1, "{turn} between {before} and {after}");
        }
    }

    #[test]
    fn the_wall_clock_is_after_2020() {
        assert!(SystemClock::new().wall_ms() > 1_577_836_800_000);
    }

    #[test]
    fn random_words_differ() {
        let clock = SystemClock::new();
        let words: std::collections::HashSet<u64, std::hash::BuildHasherDefault<std::hash::DefaultHasher>> =
            (0..100).map(|_| clock.random()).collect();
        assert_eq!(words.len(), 100);
    }
}
