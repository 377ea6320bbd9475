//! The middle of paired differences, and how far it may be off.
//!
//! ```text
//!   d = ln(B/A) of each pair      middle   the median of the means of all two of them, each with itself too (Hodges-Lehmann)
//!                                 error    the deviation of that middle over samples of the pairs, drawn with replacement,
//!                                          times sqrt(n / (n - 1)): a drawn sample scatters too little by that much
//! ```
//!
//! The middle is as sure as the mean where differences scatter evenly, and one pair that a hiccup spoilt does not move it.
//! Its interval is Student's: percentiles of the drawn middles would be too narrow for ten pairs, and have no values at the
//! small levels of an early look.

use rand::{RngExt as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{median, student};

/// Drawn samples: the error is within some 5 % of what more would give.
const SAMPLES: usize = 2000;
/// Every sample of the same differences is the same sample.
const SEED: u64 = 0x52_49_4e_47;

/// A middle and its error.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Middle {
    /// The middle of the differences.
    pub middle: f64,
    /// Its standard error.
    pub error: f64,
    /// Pairs.
    pub pairs: usize,
}

impl Middle {
    /// Of these differences; `None` below two of them.
    #[must_use]
    pub fn of(differences: &[f64]) -> Option<Self> {
        let pairs = differences.len();
        if pairs < 2 {
            return None;
        }
        let middle = hodges_lehmann(differences)?;
        Some(Self { middle, error: error_of(differences), pairs })
    }

    /// How probable a middle so far from 0 is where there is no difference.
    #[must_use]
    pub fn p(&self) -> f64 {
        if self.error == 0.0 {
            return if self.middle == 0.0 { 1.0 } else { 0.0 };
        }
        student::p_two_sided(self.middle / self.error, self.freedom())
    }

    /// Half the width of the interval that misses the true middle with this probability.
    #[must_use]
    pub fn half_width(&self, level: f64) -> f64 {
        if self.error == 0.0 { 0.0 } else { student::quantile_two_sided(level, self.freedom()) * self.error }
    }

    /// How far single pairs scatter.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        self.error * (self.pairs as f64).sqrt()
    }

    fn freedom(&self) -> f64 {
        self.pairs as f64 - 1.0
    }
}

/// The middle alone; 0 of nothing.
#[must_use]
pub fn middle(values: &[f64]) -> f64 {
    hodges_lehmann(values).unwrap_or(0.0)
}

/// The median of the means of all two of the values, each with itself too.
fn hodges_lehmann(values: &[f64]) -> Option<f64> {
    let with_later = |(at, first): (usize, &f64)| {
        values[at..].iter().map(|second| f64::midpoint(*first, *second)).collect::<Vec<_>>()
    };
    median(&mut values.iter().enumerate().flat_map(with_later).collect::<Vec<f64>>())
}

/// The deviation of the middle of drawn samples. The means of all two are put in order once: in a sample each counts as often
/// as its two were drawn, and the middle is where half of the counts are passed.
fn error_of(differences: &[f64]) -> f64 {
    let count = differences.len();
    if differences.iter().all(|it| *it == differences[0]) {
        return 0.0;
    }
    let all_two = (0..count).flat_map(|first| (first..count).map(move |second| (first, second)));
    let mean_of =
        |(first, second): (usize, usize)| (f64::midpoint(differences[first], differences[second]), first, second);
    let mut means: Vec<(f64, usize, usize)> = all_two.map(mean_of).collect();
    means.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
    let mut drawn = vec![0u32; count];
    let mut draw = || {
        drawn.fill(0);
        (0..count).for_each(|_| drawn[random.random_range(0..count)] += 1);
        middle_of_drawn(&means, &drawn)
    };
    let middles: Vec<f64> = (0..SAMPLES).map(|_| draw()).collect();
    let mean = middles.iter().sum::<f64>() / middles.len() as f64;
    let squares: f64 = middles.iter().map(|it| (it - mean).powi(2)).sum();
    let deviation = (squares / (middles.len() - 1) as f64).sqrt();
    deviation * (count as f64 / (count as f64 - 1.0)).sqrt()
}

/// The median of means in order, each as often as its two were drawn: once with each other, and each with itself too.
fn middle_of_drawn(means: &[(f64, usize, usize)], drawn: &[u32]) -> f64 {
    let count = drawn.len() as u32;
    let all = count * (count + 1) / 2;
    let (mut passed, mut lower) = (0, None);
    for &(mean, first, second) in means {
        passed += if first == second { drawn[first] * (drawn[first] + 1) / 2 } else { drawn[first] * drawn[second] };
        if lower.is_none() && passed > (all - 1) / 2 {
            lower = Some(mean);
        }
        if passed > all / 2 {
            return f64::midpoint(lower.unwrap_or(mean), mean);
        }
    }
    lower.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFFERENCES: [f64; 12] = [0.031, -0.012, 0.055, 0.02, 0.118, 0.007, -0.043, 0.061, 0.029, 0.044, 0.013, 0.25];

    /// numpy's median of the Walsh averages, and `scipy.stats.bootstrap(..., n_resamples=200000).standard_error` (1.16.3).
    #[test]
    fn middle_and_error_are_scipys() {
        let found = Middle::of(&DIFFERENCES).unwrap();
        let error = 0.017890586175356774 * (12f64 / 11.0).sqrt();
        assert!((found.middle - 0.034).abs() < 1e-12, "{found:?}");
        assert!((found.error / error - 1.0).abs() < 0.08, "{found:?} where scipy has {error}");
    }

    #[test]
    fn one_spoilt_pair_hardly_moves_the_middle() {
        let mut spoilt = DIFFERENCES;
        spoilt[3] = 5.0;
        let (whole, spoilt) = (Middle::of(&DIFFERENCES).unwrap(), Middle::of(&spoilt).unwrap());
        assert!((spoilt.middle - whole.middle).abs() < 0.02, "{whole:?} {spoilt:?}");
    }

    #[test]
    fn counters_that_do_not_jitter_have_no_error() {
        let same = Middle::of(&[0.0; 6]).unwrap();
        assert_eq!((same.middle, same.half_width(1e-9), same.p()), (0.0, 0.0, 1.0));
        let moved = Middle::of(&[0.01; 6]).unwrap();
        assert_eq!((moved.half_width(1e-9), moved.p()), (0.0, 0.0));
        assert_eq!(Middle::of(&[0.1]), None);
    }

    #[test]
    fn the_middle_of_drawn_ones_is_that_of_the_sample_itself() {
        let values = [0.3, -0.1, 0.7, 0.2];
        let mut means: Vec<(f64, usize, usize)> =
            (0..4).flat_map(|a| (a..4).map(move |b| (f64::midpoint(values[a], values[b]), a, b))).collect();
        means.sort_by(|a, b| a.0.total_cmp(&b.0));
        for drawn in [[1, 1, 1, 1], [4, 0, 0, 0], [0, 2, 1, 1], [3, 0, 1, 0]] {
            let sample: Vec<f64> = (0..4).flat_map(|at| vec![values[at]; drawn[at] as usize]).collect();
            assert!((middle_of_drawn(&means, &drawn) - middle(&sample)).abs() < 1e-12, "{drawn:?}");
        }
    }

    #[test]
    fn the_same_differences_give_the_same_error() {
        assert_eq!(Middle::of(&DIFFERENCES), Middle::of(&DIFFERENCES));
    }
}
