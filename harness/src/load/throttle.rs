//! Kafka's ThroughputThrottler, arithmetic and all: it steers the average since the start, in bursts of 2 ms and more.

use std::time::Duration;

/// Shorter pauses are saved up.
const MIN_SLEEP_NS: i64 = 2_000_000;

/// When to rest, and how long.
#[derive(Debug)]
pub(crate) struct Throttle {
    target: f64,
    start_ms: i64,
    sleep_time_ns: i64,
    deficit_ns: i64,
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
    pub(crate) fn new(target: f64, start_ms: i64) -> Self {
        let sleep_time_ns = if target > 0.0 { (1e9 / target) as i64 } else { i64::MAX };
        Self { target, start_ms, sleep_time_ns, deficit_ns: 0 }
    }

    /// After record `index` was sent, begun at `send_start_ms`.
    pub(crate) fn after(&mut self, index: u64, send_start_ms: i64) -> Rest {
        if !self.is_ahead(index, send_start_ms) {
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

    /// The original computes in 32-bit floats.
    fn is_ahead(&self, index: u64, send_start_ms: i64) -> bool {
        if self.target < 0.0 {
            return false;
        }
        let elapsed_s = (send_start_ms - self.start_ms) as f32 / 1000.0;
        elapsed_s > 0.0 && f64::from(index as f32 / elapsed_s) > self.target
    }
}

/// `Object.wait(ms, ns)` rounds any nanoseconds up to a whole millisecond.
fn as_java_waits(ns: i64) -> Duration {
    let ns = u64::try_from(ns).unwrap_or(0);
    Duration::from_millis(ns.div_ceil(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_target_never_rests() {
        let mut throttle = Throttle::new(-1.0, 0);
        assert!((0..1000).all(|index| throttle.after(index, 1) == Rest::No));
    }

    #[test]
    fn the_first_millisecond_is_free_and_rests_are_two_milliseconds_or_more() {
        let mut throttle = Throttle::new(1000.0, 5);
        assert!((0..50).all(|index| throttle.after(index, 5) == Rest::No));
        assert_eq!(throttle.after(50, 6), Rest::No, "one millisecond is saved up");
        assert_eq!(throttle.after(51, 6), Rest::For(Duration::from_millis(2)));
        assert_eq!(throttle.after(52, 6), Rest::No);
    }

    #[test]
    fn a_part_of_a_millisecond_becomes_a_whole_one() {
        let mut throttle = Throttle::new(300.0, 0);
        assert_eq!(throttle.after(100, 1), Rest::For(Duration::from_millis(4)), "3.33 ms");
    }

    #[test]
    fn behind_the_target_nothing_rests() {
        let mut throttle = Throttle::new(1000.0, 0);
        assert_eq!(throttle.after(999, 1000), Rest::No);
    }

    #[test]
    fn a_target_of_zero_stops_for_ever() {
        assert_eq!(Throttle::new(0.0, 0).after(3, 1), Rest::Forever);
    }
}
