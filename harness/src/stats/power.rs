//! What so many pairs can see, and how many pairs a wanted sensitivity costs, from how far single pairs scatter.
//!
//! A difference is reported as worse where its interval leaves out 0 *and* its middle is beyond the threshold: it is seen in
//! [`POWER`] of all comparisons where it is that far beyond both.

use super::student;

/// The share of comparisons in which the difference is to be seen.
pub const POWER: f64 = 0.8;
/// More pairs than these are no answer.
pub const PAIRS_MAX: usize = 10_000;

/// The least difference that so many pairs see, at a level of two sides and beyond this threshold.
#[must_use]
pub fn least_seen(deviation: f64, pairs: usize, level: f64, threshold: f64) -> f64 {
    let freedom = pairs as f64 - 1.0;
    let error = deviation / (pairs as f64).sqrt();
    let margin = student::quantile_one_sided(1.0 - POWER, freedom) * error;
    (student::quantile_two_sided(level, freedom) * error + margin).max(threshold + margin)
}

/// How many pairs see a difference; an even number, for each side is first equally often. `None` where no number does, or
/// none below [`PAIRS_MAX`]: the difference is not beyond the threshold.
#[must_use]
pub fn pairs_for(difference: f64, deviation: f64, level: f64, threshold: f64) -> Option<usize> {
    let sees = |pairs: usize| least_seen(deviation, pairs, level, threshold) <= difference;
    if difference <= threshold || !sees(PAIRS_MAX) {
        return None;
    }
    // More pairs see more: by halving, in steps of two.
    let (mut low, mut high) = (1, PAIRS_MAX / 2);
    while low < high {
        let middle = usize::midpoint(low, high);
        if sees(2 * middle) { high = middle } else { low = middle + 1 }
    }
    Some(2 * low)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// statsmodels' `TTestPower().solve_power(effect_size=0.1/0.1, alpha=0.05, power=0.8)` says 9.9 pairs.
    #[test]
    fn the_pairs_are_those_of_the_paired_test() {
        assert_eq!(pairs_for(0.1, 0.1, 0.05, 0.0), Some(10));
    }

    #[test]
    fn a_difference_within_the_threshold_is_never_seen() {
        assert_eq!(pairs_for(0.05, 0.01, 0.05, 0.05), None);
        assert_eq!(pairs_for(0.05, 0.0, 0.05, 0.02), Some(2), "a counter that does not jitter");
        assert_eq!(pairs_for(0.001, 1.0, 0.05, 0.0), None, "more than anybody would wait for");
    }

    #[test]
    fn more_pairs_see_less_and_never_less_than_the_threshold() {
        let seen: Vec<f64> = [6, 10, 20, 1000].map(|pairs| least_seen(0.08, pairs, 0.05, 0.05)).to_vec();
        assert!(seen.windows(2).all(|it| it[0] > it[1]) && seen[3] > 0.05, "{seen:?}");
    }
}
