//! The level of each look, so that looking often costs no false alarm (group-sequential design; Lan and DeMets 1983).
//!
//! ```text
//!   pairs so far / pairs at most = t     how much of the error may be spent by then: a (1 - e^4t) / (1 - e^4)
//!   look k                               the level at which its chance of a false alarm, where no look before had one,
//!                                        is what may be spent now
//! ```
//!
//! The chance that look k is the first to alarm is worked out along the sum of differences, as Armitage, McPherson and Rowe
//! (1969) have it: its density where no look alarmed so far, one look after the other. The spending function is that of
//! Hwang, Shih and DeCani (1990) with gamma -4, gsDesign's default: little is spent early, so that the last look's level is
//! near that of a single one. An interval at its look's level holds at all looks together: one may stop whenever one likes.

use super::student::{normal_above, normal_quantile_above};

/// gamma of Hwang, Shih and DeCani.
const GAMMA: f64 = -4.0;
/// Points of the density, from one boundary to the other; odd, for Simpson's rule.
const POINTS: usize = 241;
/// Deviations beyond which a step's density is nothing.
const STEP_MAX: f64 = 8.0;
/// Beyond so many deviations no look alarms.
const BOUNDARY_MAX: f64 = 30.0;

/// Levels of looks at these pair counts (rising), of so many pairs at most, with this much error for all together. A last
/// look that comes early, because time is over, may spend what is left: `is_over`.
#[must_use]
pub fn levels(looks: &[usize], pairs_max: usize, error: f64, is_over: bool) -> Vec<f64> {
    let spent_by = |pairs: usize| error * spent(pairs as f64 / pairs_max.max(1) as f64);
    let mut path = Path::default();
    let mut spent_before = 0.0;
    let mut levels = Vec::with_capacity(looks.len());
    for (at, &pairs) in looks.iter().enumerate() {
        let is_last = is_over && at + 1 == looks.len();
        let spent_now = if is_last { error } else { spent_by(pairs) };
        let boundary = path.look(pairs as f64, spent_now - spent_before);
        spent_before = spent_now;
        levels.push(2.0 * normal_above(boundary));
    }
    levels
}

/// The share of the error that may be spent when this share of the pairs is there.
fn spent(share: f64) -> f64 {
    let share = share.clamp(0.0, 1.0);
    (1.0 - (-GAMMA * share).exp()) / (1.0 - (-GAMMA).exp())
}

/// The sum of differences (each of variance 1) where no look alarmed so far: its density at points from `-edge` to `edge`.
#[derive(Default)]
struct Path {
    pairs: f64,
    edge: f64,
    density: Vec<f64>,
}

impl Path {
    /// Looks at so many pairs: gives the boundary, in deviations, that is crossed with this probability, and goes on below it.
    fn look(&mut self, pairs: f64, chance: f64) -> f64 {
        let boundary = if self.density.is_empty() {
            normal_quantile_above((chance / 2.0).max(f64::MIN_POSITIVE)).min(BOUNDARY_MAX)
        } else {
            self.boundary(pairs, chance)
        };
        let edge = boundary * pairs.sqrt();
        self.density = (0..POINTS).map(|at| self.density_at(point(edge, at), pairs)).collect();
        (self.pairs, self.edge) = (pairs, edge);
        boundary
    }

    /// The boundary that is crossed with this probability: by halving, for the chance falls as it rises.
    fn boundary(&self, pairs: f64, chance: f64) -> f64 {
        let (mut low, mut high) = (0.0, BOUNDARY_MAX);
        for _ in 0..50 {
            let middle = f64::midpoint(low, high);
            if self.crossed(middle * pairs.sqrt(), pairs) > chance { low = middle } else { high = middle }
        }
        f64::midpoint(low, high)
    }

    /// The chance that the sum of so many pairs is beyond the edge to either side.
    fn crossed(&self, edge: f64, pairs: f64) -> f64 {
        let step = (pairs - self.pairs).sqrt();
        // The density is even: beyond one side, twice.
        2.0 * self.integral(|sum| normal_above((edge - sum) / step))
    }

    fn density_at(&self, sum: f64, pairs: f64) -> f64 {
        let step = (pairs - self.pairs).sqrt();
        if self.density.is_empty() {
            normal_density(sum, step)
        } else {
            self.integral(|from| normal_density(sum - from, step))
        }
    }

    /// Simpson's rule over the density.
    fn integral(&self, of: impl Fn(f64) -> f64) -> f64 {
        let width = 2.0 * self.edge / (POINTS - 1) as f64;
        let weight = |at: usize| match at {
            0 => 1.0,
            _ if at == POINTS - 1 => 1.0,
            _ if at % 2 == 1 => 4.0,
            _ => 2.0,
        };
        let parts =
            self.density.iter().enumerate().map(|(at, density)| weight(at) * density * of(point(self.edge, at)));
        parts.sum::<f64>() * width / 3.0
    }
}

fn point(edge: f64, at: usize) -> f64 {
    edge * (2.0 * at as f64 / (POINTS - 1) as f64 - 1.0)
}

fn normal_density(distance: f64, deviation: f64) -> f64 {
    let deviations = distance / deviation;
    if deviations.abs() > STEP_MAX {
        return 0.0;
    }
    (-0.5 * deviations * deviations).exp() / (deviation * std::f64::consts::TAU.sqrt())
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    fn boundaries(levels: &[f64]) -> Vec<f64> {
        levels.iter().map(|level| normal_quantile_above(level / 2.0)).collect()
    }

    /// `gsDesign(k = 3, test.type = 2, alpha = 0.025, sfu = sfHSD, sfupar = -4)$upper$bound`, as its manual prints it.
    #[test]
    fn boundaries_are_gsdesigns() {
        let found = boundaries(&levels(&[10, 20, 30], 30, 0.05, false));
        for (found, wanted) in found.iter().zip([3.0107, 2.5465, 1.9992]) {
            assert!((found - wanted).abs() < 2e-3, "{found} where gsDesign has {wanted}");
        }
    }

    #[test]
    fn one_look_at_the_end_has_the_whole_level() {
        let found = levels(&[20], 20, 0.05, false)[0];
        assert!((found - 0.05).abs() < 1e-6, "{found}");
        let early = levels(&[12], 20, 0.05, true)[0];
        assert!((early - 0.05).abs() < 1e-6, "time is over: {early}");
    }

    #[test]
    fn an_early_look_has_little_and_what_is_left_is_for_the_last() {
        let all = levels(&[6, 8, 10, 12, 14, 16, 18, 20], 20, 0.05, false);
        assert!(all[0] < 0.003 && all[7] > 0.03 && all[7] < 0.05, "{all:?}");
        assert!(all.windows(2).skip(1).all(|it| it[0] < it[1]), "{all:?}");
        let over = levels(&[6, 8, 10], 20, 0.05, true);
        assert!(over[2] > all[2] * 3.0 && over[..2] == all[..2], "{over:?}");
    }

    /// The walk itself, not its integral: 40,000 sums of differences that are none.
    #[test]
    fn of_many_walks_without_a_difference_one_in_twenty_alarms_at_some_look() {
        let looks = [6, 10, 14, 20];
        let boundaries = boundaries(&levels(&looks, 20, 0.05, false));
        let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
        let mut alarms = 0;
        for _ in 0..40_000 {
            let (mut sum, mut pairs, mut alarmed) = (0.0f64, 0, false);
            for (look, boundary) in looks.iter().zip(&boundaries) {
                while pairs < *look {
                    // Twelve uniform numbers less six: nearly normal, variance 1.
                    sum += (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
                    pairs += 1;
                }
                alarmed |= sum.abs() > boundary * (*look as f64).sqrt();
            }
            alarms += i32::from(alarmed);
        }
        let share = f64::from(alarms) / 40_000.0;
        assert!((share - 0.05).abs() < 0.005, "{share}");
    }
}
