//! When records are to be sent: fixed at the start, whatever becomes of them.
//!
//! ```text
//!   constant   start + n / rate                      poisson   gaps drawn from Exp(rate), seeded
//! ```

use rand_distr::{Distribution as _, Exp};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng as _;

/// How the gaps between two records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrivals {
    /// All the same.
    Constant,
    /// As of many users who know nothing of each other.
    Poisson,
}

impl Arrivals {
    /// As `--arrivals` calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Poisson => "poisson",
        }
    }
}

/// The times of a client's records, nanoseconds of the monotonic clock.
pub(crate) struct Schedule {
    start_ns: u64,
    period_ns: f64,
    /// Nanoseconds from the start to the next record.
    at_ns: f64,
    number: u64,
    gaps: Option<(Exp<f64>, Xoshiro256PlusPlus)>,
}

impl Schedule {
    /// A schedule of `rate` records a second, which must be above 0.
    pub(crate) fn new(arrivals: Arrivals, rate: f64, start_ns: u64, seed: u64) -> Self {
        let gaps = match arrivals {
            Arrivals::Constant => None,
            // A rate above 0 is what Exp asks for.
            Arrivals::Poisson => Exp::new(rate).ok().map(|gaps| (gaps, Xoshiro256PlusPlus::seed_from_u64(seed))),
        };
        Self { start_ns, period_ns: 1e9 / rate, at_ns: 0.0, number: 0, gaps }
    }

    /// When the next record is due. The first one is due at once.
    pub(crate) fn due_ns(&self) -> u64 {
        self.start_ns.saturating_add(self.at_ns as u64)
    }

    /// Goes on to the record after it.
    pub(crate) fn step(&mut self) {
        self.number += 1;
        match &mut self.gaps {
            // A product does not gather the errors of a sum.
            None => self.at_ns = self.number as f64 * self.period_ns,
            Some((gaps, random)) => self.at_ns += gaps.sample(random) * 1e9,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(mut schedule: Schedule, count: usize) -> Vec<u64> {
        let mut next = || {
            let due = schedule.due_ns();
            schedule.step();
            due
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn a_constant_schedule_is_a_multiple_of_its_period_and_does_not_drift() {
        let times = times(Schedule::new(Arrivals::Constant, 300.0, 1000, 0), 300_001);
        assert_eq!(times[..3], [1000, 3_334_333, 6_667_666]);
        assert_eq!(times[300_000], 1000 + 1000 * 1_000_000_000);
    }

    #[test]
    fn poisson_gaps_have_the_rate_as_mean_and_as_deviation_and_come_again_with_the_seed() {
        let made = times(Schedule::new(Arrivals::Poisson, 1000.0, 0, 7), 100_000);
        assert_eq!(made, times(Schedule::new(Arrivals::Poisson, 1000.0, 0, 7), 100_000));
        let gaps: Vec<f64> = made.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e6).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert!((variance.sqrt() - 1.0).abs() < 0.03, "{variance}");
    }
}
