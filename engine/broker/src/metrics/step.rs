//! The shard's own view of a step (a wait's events and the turns that follow from them): what it did, and how long that held
//! the thread.
//!
//! ```text
//!   wait --now--> begins [ Read | Check | Append | Send | .. ] ends --the reading that says how long to wait--> wait
//!                          the clock is read between phases in one step of SAMPLED_EVERY
//! ```

use std::fmt;
use std::sync::Arc;

use ringlog_io::{Clock, Counters, Nanos, SystemClock};
use ringlog_wire::ApiKey;

use super::meter::{Meter, Phase, SAMPLED_EVERY, Stall};
use crate::timers::Timer;

/// How long the worst step is remembered: this, and as long again.
const WINDOW_NS: u64 = 60_000_000_000;
/// A step that is worth a line in the log, where it is the worst of its window.
const STALL_TOLD_NS: u64 = 250_000_000;

/// What a step did, counted where it happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Did {
    pub(crate) events: u32,
    pub(crate) requests: u32,
    pub(crate) mail: u32,
    /// Partitions that were written.
    pub(crate) appends: u32,
    /// A new image came.
    pub(crate) image: bool,
    /// The facts were told to who asked for metrics.
    pub(crate) facts: bool,
    /// Bits of the APIs' numbers, and of the timers' places.
    apis: u128,
    timers: u32,
}

impl Did {
    /// A request of this API was handled.
    pub(crate) fn request(&mut self, api: ApiKey) {
        self.requests += 1;
        self.apis |= 1u128.checked_shl(api as u32).unwrap_or(0);
    }

    /// A timer fired.
    pub(crate) fn fired(&mut self, timer: Timer) {
        self.timers |= 1 << timer_place(timer);
    }
}

/// The timers by name, as [`timer_place`] counts them.
const TIMERS: [&str; 16] = [
    "groups",
    "fetch",
    "flushes",
    "upkeep",
    "tasks",
    "idle_connections",
    "holders",
    "beginning",
    "sweep",
    "checkpoint",
    "retention",
    "cleaner",
    "snapshot",
    "writeback",
    "transactions",
    "markers",
];

fn timer_place(timer: Timer) -> usize {
    match timer {
        Timer::Groups => 0,
        Timer::Fetch(_) => 1,
        Timer::Flushes => 2,
        Timer::Upkeep => 3,
        Timer::Tasks => 4,
        Timer::IdleConnections => 5,
        Timer::Holders => 6,
        Timer::Beginning => 7,
        Timer::Sweep => 8,
        Timer::Checkpoint => 9,
        Timer::Retention => 10,
        Timer::Cleaner => 11,
        Timer::Snapshot => 12,
        Timer::Writeback => 13,
        Timer::Transactions => 14,
        Timer::Markers => 15,
    }
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events, {} requests", self.events, self.requests)?;
        let apis = ApiKey::ALL.iter().filter(|api| self.apis >> (**api as u32) & 1 == 1).map(|api| api.name());
        let apis: Vec<&str> = apis.collect();
        if !apis.is_empty() {
            write!(f, " ({})", apis.join(" "))?;
        }
        for (count, what) in [(self.appends, "partitions written"), (self.mail, "pieces of mail")] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        for what in [(self.image, "a new image"), (self.facts, "facts for metrics")].iter().filter(|it| it.0) {
            write!(f, ", {}", what.1)?;
        }
        let timers = TIMERS.iter().enumerate().filter(|(place, _)| self.timers >> place & 1 == 1);
        let timers: Vec<&str> = timers.map(|(_, name)| *name).collect();
        if timers.is_empty() { Ok(()) } else { write!(f, ", timers: {}", timers.join(" ")) }
    }
}

/// See the head of the file.
pub(crate) struct Watch {
    pub(crate) meter: Arc<Meter>,
    pub(crate) did: Did,
    /// `None`: nobody asks for metrics, and no phase is timed.
    clock: Option<SystemClock>,
    /// The phase under way and since when, in a step that is timed.
    phase: Option<(Phase, Nanos)>,
    steps: u64,
    began: Nanos,
    ended: Nanos,
    worst_ns: u64,
    window_began: Nanos,
}

impl Watch {
    pub(crate) fn new(now: Nanos) -> Self {
        Self {
            meter: Arc::default(),
            did: Did::default(),
            clock: None,
            phase: None,
            steps: 0,
            began: now,
            ended: now,
            worst_ns: 0,
            window_began: now,
        }
    }

    /// From now on somebody asks.
    pub(crate) fn attach(&mut self, meter: Arc<Meter>) {
        meter.begin();
        self.meter = meter;
        self.clock = Some(SystemClock::new());
    }

    /// The wait is over.
    pub(crate) fn step_begins(&mut self, now: Nanos) {
        (self.began, self.did) = (now, Did::default());
        self.meter.busy_since.set(now.0);
        self.steps = self.steps.wrapping_add(1);
        let is_timed = self.clock.is_some() && self.steps.is_multiple_of(SAMPLED_EVERY);
        self.phase = is_timed.then_some((Phase::Read, now));
    }

    /// Another phase begins.
    pub(crate) fn enter(&mut self, phase: Phase) {
        if let (Some((before, since)), Some(clock)) = (self.phase, &self.clock) {
            let now = clock.read();
            self.meter.spent(before, now.0.saturating_sub(since.0));
            self.phase = Some((phase, now));
        }
    }

    /// The step is over, and the thread will wait.
    pub(crate) fn step_ended(&mut self, now: Nanos, counters: Counters) -> u64 {
        if let Some((phase, since)) = self.phase.take() {
            self.meter.spent(phase, now.0.saturating_sub(since.0));
        }
        let busy_ns = now.0.saturating_sub(self.began.0);
        self.meter.busy_since.set(0);
        self.meter.steps.add(1);
        self.meter.busy_ns.add(busy_ns);
        self.meter.waited_ns.add(self.began.0.saturating_sub(self.ended.0));
        self.meter.driver_did(counters);
        self.ended = now;
        self.note_stall(busy_ns);
        busy_ns
    }

    fn note_stall(&mut self, busy_ns: u64) {
        if self.ended.0.saturating_sub(self.window_began.0) >= WINDOW_NS {
            (self.window_began, self.worst_ns) = (self.ended, 0);
            self.meter.forget_stalls();
        }
        if busy_ns <= self.worst_ns {
            return;
        }
        self.worst_ns = busy_ns;
        let did = self.did.to_string();
        if busy_ns >= STALL_TOLD_NS {
            tracing::warn!(ms = busy_ns / 1_000_000, did, "a step held its shard's thread");
        }
        self.meter.stalled(Stall { ns: busy_ns, did });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(syscalls: u64) -> Counters {
        Counters { syscalls, ..Counters::default() }
    }

    #[test]
    fn a_shard_is_busy_or_waits_and_its_worst_step_says_what_it_did() {
        let mut watch = Watch::new(Nanos(1_000));
        watch.step_begins(Nanos(5_000));
        watch.did.request(ApiKey::Produce);
        watch.did.fired(Timer::Checkpoint);
        watch.did.events = 2;
        assert_eq!(watch.meter.busy_for(Nanos(6_000)), 1_000);
        watch.step_ended(Nanos(7_000), counters(3));
        watch.step_begins(Nanos(9_000));
        watch.step_ended(Nanos(9_500), counters(4));
        let meter = &watch.meter;
        assert_eq!((meter.busy_ns.get(), meter.waited_ns.get(), meter.steps.get()), (2_500, 6_000, 2));
        assert_eq!((meter.syscalls.get(), meter.busy_for(Nanos(9_600))), (4, 0));
        let did = "2 events, 1 requests (Produce), timers: checkpoint".to_owned();
        assert_eq!(meter.worst_stall(), Stall { ns: 2_000, did });
    }

    #[test]
    fn one_step_of_many_is_timed_by_phase_and_only_where_somebody_asks() {
        let mut watch = Watch::new(Nanos(0));
        let run = |watch: &mut Watch, steps: u64| {
            for _ in 0..steps {
                watch.step_begins(ringlog_io::clock::monotonic());
                watch.enter(Phase::Append);
                watch.step_ended(ringlog_io::clock::monotonic(), counters(0));
            }
        };
        run(&mut watch, 2 * SAMPLED_EVERY);
        assert_eq!(watch.meter.phase_ns(Phase::Append), 0);
        watch.attach(Arc::default());
        run(&mut watch, 2 * SAMPLED_EVERY);
        assert!(watch.meter.phase_ns(Phase::Append) > 0 && watch.meter.phase_ns(Phase::Check) == 0);
    }
}
