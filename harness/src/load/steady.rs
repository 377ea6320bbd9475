//! When a warm-up is over: found in the rate of what is acknowledged, not guessed.
//!
//! ```text
//!   rate of a tick   |    .  :  :: ::: :::: :::: :::: ::::
//!                    |-- least --|        [ window ]  standard deviation <= cv_max * mean: steady from here on
//!                    |--------------- most -------------------|  not until here: measured all the same, and told
//! ```
//!
//! Every client of a load tells of its answers; all begin their steady state at the same moment.
//!
//! Invariant: once reached, it stays reached.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::spec::Found;

/// Ticks that are looked at together.
const WINDOW: usize = 5;

/// Looks for the end of a load's warm-up.
#[derive(Debug)]
pub(crate) struct Steadiness {
    wanted: Found,
    is_reached: AtomicBool,
    ticks: Mutex<Ticks>,
}

/// Records that were acknowledged, by tick.
#[derive(Debug, Default)]
struct Ticks {
    began_ns: Option<u64>,
    records: Vec<u64>,
    last: WarmUp,
}

/// How a warm-up ended.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct WarmUp {
    /// How long it took.
    pub(crate) took: Duration,
    /// Standard deviation of the last ticks' rates as a share of their mean; `None` where there were too few.
    pub(crate) cv: Option<f64>,
    /// Whether a steady state was found.
    pub(crate) is_steady: bool,
}

impl Steadiness {
    pub(crate) fn new(wanted: Found) -> Self {
        let ticks = Ticks { last: WarmUp { took: wanted.most, ..WarmUp::default() }, ..Ticks::default() };
        Self { wanted, is_reached: AtomicBool::new(false), ticks: Mutex::new(ticks) }
    }

    /// Whether the steady state is there.
    pub(crate) fn is_reached(&self) -> bool {
        self.is_reached.load(Ordering::Relaxed)
    }

    /// So many records were acknowledged.
    pub(crate) fn acknowledged(&self, records: u64, now_ns: u64) {
        if self.is_reached() {
            return;
        }
        let mut ticks = self.ticks();
        let began_ns = *ticks.began_ns.get_or_insert(now_ns);
        let age = Duration::from_nanos(now_ns.saturating_sub(began_ns));
        if age > self.wanted.most {
            return;
        }
        let at = (age.as_nanos() / self.wanted.tick.as_nanos().max(1)) as usize;
        let is_new = at >= ticks.records.len();
        if is_new {
            ticks.records.resize(at + 1, 0);
        }
        ticks.records[at] += records;
        // The newest tick is not over; the one before is, but for answers that another thread is about to tell of.
        if is_new && at > WINDOW {
            let cv = variation(&ticks.records[at - WINDOW..at]);
            ticks.last.cv = cv;
            if age >= self.wanted.least && cv.is_some_and(|it| it <= self.wanted.cv_max) {
                ticks.last = WarmUp { took: age, cv, is_steady: true };
                self.is_reached.store(true, Ordering::Relaxed);
            }
        }
    }

    /// How it ended.
    pub(crate) fn found(&self) -> WarmUp {
        self.ticks().last
    }

    /// A client that panicked leaves counters that are still true.
    fn ticks(&self) -> MutexGuard<'_, Ticks> {
        self.ticks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Standard deviation as a share of the mean; `None` where there is no mean above 0 or no two values.
pub(crate) fn variation(values: &[u64]) -> Option<f64> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<u64>() as f64 / count;
    let squares: f64 = values.iter().map(|it| (*it as f64 - mean).powi(2)).sum();
    (values.len() > 1 && mean > 0.0).then(|| (squares / (count - 1.0)).sqrt() / mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn wanted(least_ms: u64) -> Found {
        Found {
            least: Duration::from_millis(least_ms),
            most: Duration::from_secs(10),
            cv_max: 0.1,
            tick: Duration::from_millis(100),
        }
    }

    /// Tells of what each tick acknowledged, in ten answers; gives when the steady state was there.
    fn reached_ms(steadiness: &Steadiness, ticks: impl IntoIterator<Item = u64>) -> Option<u64> {
        for (tick, records) in (0u64..).zip(ticks) {
            for tenth in 0..10 {
                let at_ms = tick * 100 + tenth * 10;
                steadiness.acknowledged(records / 10, at_ms * MS);
                if steadiness.is_reached() {
                    return Some(at_ms);
                }
            }
        }
        None
    }

    #[test]
    fn a_rate_that_climbs_is_waited_for_and_one_that_stays_is_steady() {
        let climbing = (1..=20).map(|tick| tick * 500).chain(std::iter::repeat_n(10_000, 30));
        let steadiness = Steadiness::new(wanted(0));
        let reached = reached_ms(&steadiness, climbing).unwrap();
        assert!(
            (1800..=2600).contains(&reached),
            "the climb ends at 2000 ms, and its last ticks vary little: {reached}"
        );
        let found = steadiness.found();
        assert!(found.is_steady && found.cv.unwrap() <= 0.1, "{found:?}");
        assert_eq!(found.took, Duration::from_millis(reached));
    }

    #[test]
    fn it_takes_its_least_time_and_a_rate_that_never_stays_is_told() {
        let reached = reached_ms(&Steadiness::new(wanted(3000)), std::iter::repeat_n(1000, 50));
        assert_eq!(reached, Some(3000));
        let steadiness = Steadiness::new(wanted(0));
        assert_eq!(reached_ms(&steadiness, (0..120).map(|tick| if tick % 2 == 0 { 1000 } else { 3000 })), None);
        let found = steadiness.found();
        assert!(!found.is_steady && found.cv.unwrap() > 0.4 && found.took == Duration::from_secs(10), "{found:?}");
        let silent = Steadiness::new(wanted(0));
        assert_eq!(silent.found().cv, None, "nothing was acknowledged");
    }
}
