//! The middle of several rounds, with its spread: how far they lie apart, and how sure the middle is.
//!
//! `least` and `greatest` are always told. The interval is Student's, 95 %, about the mean of the rounds: it says where the
//! mean of many such runs would lie if rounds scatter evenly. It needs two rounds, and means something from three on.

use crate::stats::student;

/// What the interval leaves out.
const LEFT_OUT: f64 = 0.05;

/// A figure of several rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// The middle one, or the mean of the two in the middle.
    pub middle: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
    /// Rounds.
    pub rounds: usize,
    /// Half of the interval's width, as a share of the mean; `None` for one round.
    pub half_width: Option<f64>,
}

impl Spread {
    /// Of these values; `None` where there are none.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|it| it.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (least, greatest) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let middle = if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) };
        Some(Self { middle, least, greatest, rounds: values.len(), half_width: half_width(&values) })
    }

    /// Whether the interval is known and no wider than this share to either side.
    #[must_use]
    pub fn is_within(&self, share: f64) -> bool {
        self.half_width.is_some_and(|it| it <= share)
    }
}

fn half_width(values: &[f64]) -> Option<f64> {
    let (count, freedom) = (values.len() as f64, values.len().checked_sub(1).filter(|it| *it > 0)?);
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / freedom as f64;
    let quantile = student::quantile_two_sided(LEFT_OUT, freedom as f64);
    (mean != 0.0).then(|| quantile * (variance / count).sqrt() / mean.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_comes_with_least_and_greatest() {
        // The rounds that were printed as 506.
        let spread = Spread::of([277.206, 505.831, 512.14]).unwrap();
        assert_eq!((spread.middle, spread.least, spread.greatest, spread.rounds), (505.831, 277.206, 512.14, 3));
        assert!(!spread.is_within(0.5), "three rounds so far apart say little: {spread:?}");
        assert_eq!(Spread::of([3.0, 1.0]).unwrap().middle, 2.0);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn the_interval_is_students() {
        // Mean 10, standard deviation 1, three values: 4.303 / sqrt(3) / 10.
        let spread = Spread::of([9.0, 10.0, 11.0]).unwrap();
        assert!((spread.half_width.unwrap() - 0.248_434).abs() < 1e-4, "{spread:?}");
        assert_eq!(Spread::of([5.0]).unwrap().half_width, None);
        assert!(Spread::of([5.0; 4]).unwrap().is_within(0.0));
    }
}
