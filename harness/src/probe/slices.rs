//! Work counted by the fifth of the time in which it was done, and times by quantile.
//!
//! ```text
//!   begin |  1  |  2  |  3  |  4  |  5  | end      what ends after the end does not count
//! ```

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::Rate;
use crate::spec::hardware::Quantiles;
use crate::stats;

const SLICES: usize = 5;
/// A quantile is told where at least so many times lie above it.
const ABOVE_MIN: f64 = 1.0;

/// Counts work until its time is over. Shared by the tasks of one thread.
#[derive(Debug)]
pub(super) struct Slices {
    begin: Instant,
    time: Duration,
    done: [Cell<u64>; SLICES],
    last: Cell<Duration>,
}

impl Slices {
    /// Begins now.
    pub(super) fn begin(time: Duration) -> Self {
        Self { begin: Instant::now(), time, done: Default::default(), last: Cell::new(Duration::ZERO) }
    }

    /// Counts what was done just now; false once the time is over.
    pub(super) fn add(&self, amount: u64) -> bool {
        self.add_at(self.begin.elapsed(), amount)
    }

    fn add_at(&self, elapsed: Duration, amount: u64) -> bool {
        if elapsed >= self.time {
            return false;
        }
        let share = elapsed.as_secs_f64() / self.time.as_secs_f64();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share below 1, times 5")]
        let slice = ((share * SLICES as f64).ceil() as usize).clamp(1, SLICES) - 1;
        self.done[slice].set(self.done[slice].get() + amount);
        self.last.set(elapsed);
        true
    }

    /// Everything that was counted.
    pub(super) fn total(&self) -> u64 {
        self.done.iter().map(Cell::get).sum()
    }

    /// The rate over all of the time. An error where nothing came to an end within it.
    pub(super) fn rate(&self) -> std::io::Result<Rate> {
        self.rate_over(self.time)
    }

    /// The rate until the work was used up, where that was before the time was.
    pub(super) fn rate_until_last(&self) -> std::io::Result<Rate> {
        self.rate_over(self.last.get())
    }

    fn rate_over(&self, time: Duration) -> std::io::Result<Rate> {
        let seconds = time.as_secs_f64();
        if self.total() == 0 || seconds <= 0.0 {
            let words = format!("nothing came to an end within {:.1} s: too slow, or the probe too short", seconds);
            return Err(std::io::Error::other(words));
        }
        let slice_s = self.time.as_secs_f64() / SLICES as f64;
        // A fifth that was not worked through says nothing about how even the rate was.
        let whole_slices = (seconds / slice_s) as usize;
        let rates = self.done.iter().take(whole_slices).map(|it| it.get() as f64 / slice_s);
        let per_s = self.total() as f64 / seconds;
        Ok(Rate {
            per_s,
            least_per_s: rates.clone().fold(per_s, f64::min),
            greatest_per_s: rates.fold(per_s, f64::max),
        })
    }
}

impl Rate {
    /// How far the slices lie apart, as a share of the rate.
    pub(crate) fn spread(&self) -> f64 {
        (self.greatest_per_s - self.least_per_s) / self.per_s
    }
}

/// Quantiles of times in microseconds; those that too few times would make up are left out.
pub(super) fn quantiles(times_us: &mut [f64]) -> Option<Quantiles> {
    let count = times_us.len() as f64;
    let p50 = stats::quantile(times_us, 0.5)?;
    let mut at = |share: f64| {
        (count * (1.0 - share) >= ABOVE_MIN).then(|| stats::quantile(times_us, share)).flatten().map(rounded)
    };
    let (p90, p99, p999) = (at(0.9), at(0.99), at(0.999));
    Some(Quantiles { p50: rounded(p50), p90, p99, p999, max: stats::quantile(times_us, 1.0).map(rounded) })
}

/// Microseconds with one digit behind the point; nothing takes none.
fn rounded(us: f64) -> f64 {
    ((us * 10.0).round() / 10.0).max(0.1)
}

/// Microseconds since then.
pub(super) fn us_since(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted_where_it_was_done_and_what_ends_too_late_is_not() {
        let slices = Slices::begin(Duration::from_secs(10));
        for (second, amount) in [(1, 10), (3, 20), (5, 30), (7, 20), (9, 20)] {
            assert!(slices.add_at(Duration::from_secs(second), amount));
        }
        assert!(!slices.add_at(Duration::from_secs(10), 1000));
        let rate = slices.rate().unwrap();
        assert_eq!((rate.per_s, rate.least_per_s, rate.greatest_per_s), (10.0, 5.0, 15.0));
        assert_eq!(rate.spread(), 1.0);
    }

    #[test]
    fn work_that_was_used_up_early_has_the_rate_of_its_own_time() {
        let slices = Slices::begin(Duration::from_secs(10));
        slices.add_at(Duration::from_secs(1), 10);
        slices.add_at(Duration::from_secs(4), 10);
        let rate = slices.rate_until_last().unwrap();
        assert_eq!((rate.per_s, rate.least_per_s), (5.0, 5.0), "the three fifths without work do not count");
    }

    #[test]
    fn nothing_done_is_an_error_not_a_rate_of_zero() {
        let slices = Slices::begin(Duration::from_secs(1));
        assert!(slices.rate().unwrap_err().to_string().contains("nothing came to an end within 1.0 s"));
    }

    #[test]
    fn quantiles_that_few_times_would_make_up_are_left_out() {
        let mut few: Vec<f64> = (1..=50).map(f64::from).collect();
        let it = quantiles(&mut few).unwrap();
        assert_eq!((it.p90, it.p99, it.p999, it.max), (Some(45.0), None, None, Some(50.0)));
        let mut many: Vec<f64> = (0..=10_000).rev().map(f64::from).collect();
        let it = quantiles(&mut many).unwrap();
        assert_eq!((it.p50, it.p90, it.p99, it.p999), (5000.0, Some(9000.0), Some(9900.0), Some(9990.0)));
        assert_eq!(quantiles(&mut []), None);
    }
}
