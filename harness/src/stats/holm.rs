//! Several metrics at once (Holm 1979): the chance of one false alarm among all of them stays what it would be for one.
//!
//! ```text
//!   probabilities in order p1 <= p2 <= .. of m metrics:   p1 against a/m, p2 against a/(m-1), .. until one does not pass
//!   what did not pass is held to the level that the first of them was held to
//! ```

/// What a metric is held to, and whether it passed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Held {
    /// Among how many metrics it was one: its level is that of one metric divided by this.
    pub among: usize,
    /// Whether it differs at that level.
    pub differs: bool,
}

/// Holds each probability to its level. `level_of(m, at)` is the level of the metric `at` where it is one of m.
pub fn hold(probabilities: &[f64], level_of: &dyn Fn(usize, usize) -> f64) -> Vec<Held> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
    let mut held = vec![Held::default(); probabilities.len()];
    let mut among = probabilities.len();
    let mut passes = true;
    for at in order {
        passes = passes && probabilities[at] < level_of(among, at);
        held[at] = Held { among, differs: passes };
        among -= usize::from(passes);
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differ(probabilities: &[f64]) -> Vec<bool> {
        hold(probabilities, &|among, _| 0.05 / among as f64).into_iter().map(|it| it.differs).collect()
    }

    /// statsmodels' `multipletests(p, 0.05, "holm")` rejects these; 0.026 passes no more where 0.024 does not.
    #[test]
    fn the_first_that_does_not_pass_ends_it() {
        assert_eq!(differ(&[0.01, 0.04, 0.03, 0.005]), [true, false, false, true]);
        assert_eq!(differ(&[0.020, 0.026, 0.04]), [false, false, false]);
        assert_eq!(differ(&[0.016, 0.024, 0.04]), [true, true, true]);
        assert_eq!(differ(&[]), Vec::<bool>::new());
    }

    #[test]
    fn what_did_not_pass_is_held_to_the_level_of_the_first_that_did_not() {
        let held = hold(&[0.2, 0.001, 0.3], &|among, _| 0.05 / among as f64);
        assert_eq!(held.iter().map(|it| it.among).collect::<Vec<_>>(), [2, 3, 2]);
    }
}
