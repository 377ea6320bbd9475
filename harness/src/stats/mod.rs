//! Whether a difference is one: statistics of paired measurements and of a history. Numbers in, numbers out: no I/O, no rows.
//!
//! ```text
//!   ln(B/A) of each pair --> paired    the middle (Hodges-Lehmann), and how far it may be off (bootstrap over pairs)
//!                            looks     the level of each look, so that looking after every two pairs costs no false alarm
//!                            holm      the level of each of several metrics
//!                            power     what so many pairs can see; how many pairs a wanted sensitivity costs
//!
//!   a value a run, in order --> change   where the level changed (E-divisive means with Student's test, as Hunter has it)
//! ```
//!
//! Every procedure is held against vectors of another implementation (scipy, gsDesign, Apache Otava), named where they stand.

pub mod change;
pub mod holm;
pub mod looks;
pub mod paired;
pub mod power;
pub mod student;

/// The middle of values: the middle one, or the mean of the two in the middle. The values are put in order.
pub(crate) fn median(values: &mut [f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let (half, is_odd) = (values.len() / 2, values.len() % 2 == 1);
    let (below, &mut upper, _) = values.select_nth_unstable_by(half, f64::total_cmp);
    if is_odd {
        return Some(upper);
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some(f64::midpoint(lower, upper))
}

/// The value below which this share of values lies: the nearest one, none made up between two. The values are put in order.
pub(crate) fn quantile(values: &mut [f64], share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    values.get((share.clamp(0.0, 1.0) * last as f64).round() as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middles_and_quantiles_are_those_of_the_values() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&mut []), None);
        let mut hundred: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(quantile(&mut hundred, 0.99), Some(99.0));
        assert_eq!(quantile(&mut [], 0.5), None);
    }
}
