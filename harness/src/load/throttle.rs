//! Kafka's ThroughputThrottler on a clock of nanoseconds: it steers the average since the start, in bursts of 2 ms and more.
//!
//! The original reads whole milliseconds and lets everything pass while 0 of them are over. That takes it a few records;
//! a client that sends a million a second would be through with a short run, or thousands ahead of a slow rate, before
//! it is asked to rest for the first time. Everything else is the original's, the rounding of its pauses too.

use std::time::Duration;

/// Shorter pauses are saved up.
const MIN_SLEEP_NS: u64 = 2_000_000;
/// What `Object.wait` can tell apart.
const WAIT_STEP_NS: u64 = 1_000_000;

/// When to rest, and how long.
#[derive(Debug)]
pub(crate) struct Throttle {
    target: f64,
    start_ns: u64,
    sleep_time_ns: u64,
    deficit_ns: u64,
}

/// What the throttle wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    No,
    For(Duration),
    /// A target of 0: no further record is ever sent.
    Forever,
}

impl Throttle {
    pub(crate) fn new(target: f64, start_ns: u64) -> Self {
        let sleep_time_ns = if target > 0.0 { (1e9 / target) as u64 } else { u64::MAX };
        Self { target, start_ns, sleep_time_ns, deficit_ns: 0 }
    }

    /// After record `index` was sent, begun at `send_start_ns`.
    pub(crate) fn after(&mut self, index: u64, send_start_ns: u64) -> Rest {
        if !self.is_ahead(index, send_start_ns) {
            return Rest::No;
        }
        if self.target == 0.0 {
            return Rest::Forever;
        }
        self.deficit_ns = self.deficit_ns.saturating_add(self.sleep_time_ns);
        if self.deficit_ns < MIN_SLEEP_NS {
            return Rest::No;
        }
        Rest::For(as_java_waits(std::mem::take(&mut self.deficit_ns)))
    }

    /// Whether more was sent than the target allows since the start. The first record never is too much.
    fn is_ahead(&self, index: u64, send_start_ns: u64) -> bool {
        let elapsed_s = send_start_ns.saturating_sub(self.start_ns) as f64 / 1e9;
        index > 0 && self.target >= 0.0 && index as f64 > self.target * elapsed_s
    }
}

/// `Object.wait(ms, ns)` rounds any nanoseconds up to a whole millisecond.
fn as_java_waits(ns: u64) -> Duration {
    Duration::from_millis(ns.div_ceil(WAIT_STEP_NS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Sends at a million records a second where it is let: how many went out in each span of `window_ns`.
    fn windows(target: f64, records: u64, window_ns: u64) -> Vec<u64> {
        let mut throttle = Throttle::new(target, 7);
        let (mut now_ns, mut counts) = (7 + 1000, Vec::new());
        for index in 0..records {
            let window = usize::try_from((now_ns - 7) / window_ns).unwrap();
            counts.resize(counts.len().max(window + 1), 0);
            counts[window] += 1;
            if let Rest::For(pause) = throttle.after(index, now_ns) {
                now_ns += u64::try_from(pause.as_nanos()).unwrap();
            }
            now_ns += 1000;
        }
        counts
    }

    #[test]
    fn the_rate_is_held_in_every_window_also_in_the_first_and_in_a_short_run() {
        for (target, window_ns) in [(200.0, 100 * MS), (2000.0, 10 * MS), (99.5, 200 * MS), (50_000.0, 10 * MS)] {
            let wanted = target * window_ns as f64 / 1e9;
            let counts = windows(target, (wanted * 10.0) as u64, window_ns);
            assert!(counts.len() >= 9, "{target}: {counts:?}");
            let off = |count: &&u64| (**count as f64 - wanted).abs() > wanted * 0.35 + 1.0;
            assert_eq!(counts[..9].iter().find(off), None, "{target}: {counts:?} where {wanted} are due");
        }
    }

    #[test]
    fn no_target_never_rests() {
        for target in [-1.0, f64::NAN, f64::INFINITY] {
            let mut throttle = Throttle::new(target, 0);
            assert!((0..1000).all(|index| throttle.after(index, MS) == Rest::No), "{target}");
        }
    }

    #[test]
    fn rests_are_two_milliseconds_or_more() {
        let mut throttle = Throttle::new(1000.0, 5 * MS);
        assert_eq!(throttle.after(0, 5 * MS), Rest::No);
        assert_eq!(throttle.after(1, 5 * MS), Rest::No, "one millisecond is saved up");
        assert_eq!(throttle.after(2, 5 * MS + 1), Rest::For(Duration::from_millis(2)));
        assert_eq!(throttle.after(3, 5 * MS + 2), Rest::No);
    }

    #[test]
    fn a_part_of_a_millisecond_becomes_a_whole_one() {
        let mut throttle = Throttle::new(300.0, 0);
        assert_eq!(throttle.after(100, MS), Rest::For(Duration::from_millis(4)), "3.33 ms");
    }

    #[test]
    fn behind_the_target_nothing_rests() {
        let mut throttle = Throttle::new(1000.0, 0);
        assert_eq!(throttle.after(999, 1000 * MS), Rest::No);
    }

    #[test]
    fn a_target_of_zero_stops_for_ever() {
        assert_eq!(Throttle::new(0.0, 0).after(3, MS), Rest::Forever);
    }
}
