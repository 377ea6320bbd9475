//! Student's and the normal distribution: how surprising a middle is, given how far it may be off.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// Student's distribution of so many degrees of freedom; the normal one where there are none to speak of.
fn student(freedom: f64) -> Option<StudentsT> {
    StudentsT::new(0.0, 1.0, freedom).ok()
}

/// The distance from 0, in standard errors, beyond which (to either side) this share of the distribution lies.
#[must_use]
pub fn quantile_two_sided(share: f64, freedom: f64) -> f64 {
    if share <= 0.0 {
        return f64::INFINITY;
    }
    // By the lower tail: near 1 a small share would be rounded away.
    student(freedom).map_or(f64::INFINITY, |it| -it.inverse_cdf((share / 2.0).min(0.5)))
}

/// The share of the distribution that lies as far from 0 as this, or farther, to either side.
#[must_use]
pub fn p_two_sided(distance: f64, freedom: f64) -> f64 {
    if distance.is_infinite() {
        return 0.0;
    }
    student(freedom).map_or(1.0, |it| (2.0 * it.sf(distance.abs())).min(1.0))
}

/// The same beyond one side only.
#[must_use]
pub fn quantile_one_sided(share: f64, freedom: f64) -> f64 {
    quantile_two_sided(2.0 * share, freedom)
}

/// Student's test of two samples with one variance: the probability that means so far apart come from one distribution.
/// Deviations are those of the samples as given; 1 where there is nothing to tell them apart by.
#[must_use]
pub fn p_of_two(
    (mean_1, deviation_1, count_1): (f64, f64, usize),
    (mean_2, deviation_2, count_2): (f64, f64, usize),
) -> f64 {
    let (n_1, n_2) = (count_1 as f64, count_2 as f64);
    let freedom = n_1 + n_2 - 2.0;
    if freedom <= 0.0 {
        return 1.0;
    }
    let pooled = ((n_1 - 1.0) * deviation_1.powi(2) + (n_2 - 1.0) * deviation_2.powi(2)) / freedom;
    let error = (pooled * (1.0 / n_1 + 1.0 / n_2)).sqrt();
    let difference = (mean_1 - mean_2).abs();
    match () {
        () if error > 0.0 => p_two_sided(difference / error, freedom),
        () if difference > 0.0 => 0.0,
        () => 1.0,
    }
}

fn normal() -> Normal {
    Normal::standard()
}

/// The share of the normal distribution above this many deviations.
pub(crate) fn normal_above(deviations: f64) -> f64 {
    normal().sf(deviations)
}

/// The deviations above which this share of the normal distribution lies.
pub(crate) fn normal_quantile_above(share: f64) -> f64 {
    -normal().inverse_cdf(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_near(found: f64, wanted: f64) {
        assert!((found - wanted).abs() <= wanted.abs() * 1e-6, "{found} where scipy has {wanted}");
    }

    /// `scipy.stats.t.isf(p / 2, df)`, scipy 1.16.3.
    #[test]
    fn quantiles_are_scipys() {
        is_near(quantile_two_sided(0.05, 5.0), 2.5705818356363146);
        is_near(quantile_two_sided(0.05, 19.0), 2.0930240544082634);
        is_near(quantile_two_sided(0.001, 7.0), 5.407882520977564);
        is_near(quantile_two_sided(1e-6, 9.0), 11.63678202748233);
        is_near(quantile_two_sided(0.0004, 5.0), 8.363417985402018);
        is_near(quantile_one_sided(0.25, 3.0), 0.7648923284043453);
        assert_eq!(quantile_two_sided(0.0, 5.0), f64::INFINITY);
        assert_eq!(quantile_two_sided(0.05, 0.0), f64::INFINITY, "one pair says nothing of its error");
    }

    /// `2 * scipy.stats.t.sf(t, df)`, scipy 1.16.3.
    #[test]
    fn probabilities_are_scipys() {
        is_near(p_two_sided(2.0, 4.0), 0.1161165235168155);
        is_near(p_two_sided(-7.5, 5.0), 0.00066625324896618);
        is_near(p_two_sided(0.3, 30.0), 0.7662461052843528);
        is_near(p_two_sided(12.0, 9.0), 7.699886222985645e-07);
    }

    /// `scipy.stats.ttest_ind_from_stats`, scipy 1.16.3.
    #[test]
    fn the_test_of_two_samples_is_scipys() {
        is_near(p_of_two((10.0, 1.0, 5), (11.0, 2.0, 7)), 0.331490493453643);
        is_near(p_of_two((0.99, 0.03, 10), (0.5, 0.02, 10)), 1.3541723055456296e-19);
        is_near(p_of_two((1.0, 0.0, 1), (2.0, 0.5, 4)), 0.17158592833347575);
        assert_eq!(p_of_two((1.0, 0.0, 1), (2.0, 0.0, 1)), 1.0);
        assert_eq!(p_of_two((1.0, 0.0, 3), (2.0, 0.0, 3)), 0.0);
    }

    #[test]
    fn the_normal_distribution_is_both_ways_the_same() {
        is_near(normal_above(1.959963984540054), 0.025);
        is_near(normal_quantile_above(0.025), 1.959963984540054);
        is_near(normal_above(7.5), 3.190891672910896e-14);
    }
}
