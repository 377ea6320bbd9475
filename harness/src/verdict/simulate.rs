//! How often the rule errs, and what it sees: comparisons drawn from the pairs of an A/A run.
//!
//! ```text
//!   a pair drawn from the recorded ones, its sides changed or not, all metrics together
//!     + the planted change of one metric
//!     --> looks as a comparison has them, until it is certain or the pairs are used up
//! ```
//!
//! Pairs are drawn whole, so that metrics of one trial rise and fall together as they did. What a drawn comparison cannot show
//! is what the recorded pairs did not have.

use rand::{RngExt as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::metrics;
use super::pairs::{self, difference};
use super::rule::{self, Levels, Series, Verdict};
use crate::results::columns::Row;

/// A metric that is judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The workload.
    pub workload: String,
    /// The column.
    pub metric: &'static str,
    /// The threshold.
    pub threshold: f64,
}

/// Recorded pairs: for each, the difference of every judged metric.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// What is judged.
    pub metrics: Vec<Judged>,
    /// A difference for each metric, for each turn in which all of them were measured.
    pub turns: Vec<Vec<f64>>,
}

/// What became of the drawn comparisons.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Rates {
    /// Comparisons.
    pub runs: usize,
    /// The planted metric was told as worse.
    pub found: f64,
    /// Another metric was told as better or worse; without a planted one, any.
    pub false_alarms: f64,
    /// Nothing was told for sure.
    pub inconclusive: f64,
    /// Pairs that a comparison took, in the mean.
    pub pairs: f64,
}

impl Recorded {
    /// From the rows of an A/A run.
    #[must_use]
    pub fn of(rows: &[Row]) -> Self {
        let all = pairs::of(rows);
        let mut metrics = Vec::new();
        for it in &all {
            let judged = it.rows.first().map(|row| metrics::judged(row[0])).unwrap_or_default();
            let has = |column: &str| !it.differences(column).is_empty();
            metrics.extend(judged.into_iter().filter(|metric| has(metric.column)).map(|metric| Judged {
                workload: it.workload.to_owned(),
                metric: metric.column,
                threshold: metric.threshold,
            }));
        }
        let turn = |pair: Option<u32>| {
            let of = |judged: &Judged| {
                let workload = all.iter().find(|it| it.workload == judged.workload)?;
                difference(judged.metric, workload.rows.iter().find(|it| it[0].pair == pair)?)
            };
            metrics.iter().map(of).collect::<Option<Vec<f64>>>()
        };
        let firsts = all.first().map(|it| it.rows.iter().map(|it| it[0].pair).collect::<Vec<_>>()).unwrap_or_default();
        let turns = firsts.into_iter().filter_map(turn).collect();
        Self { metrics, turns }
    }

    /// Draws comparisons of so many pairs at most, with a change planted into a metric (`None`: none).
    #[must_use]
    pub fn rates(&self, planted: Option<(usize, f64)>, levels: &Levels, (runs, seed): (usize, u64)) -> Rates {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut rates = Rates { runs, ..Rates::default() };
        let share = 1.0 / runs.max(1) as f64;
        for _ in 0..runs {
            let (verdicts, pairs) = self.comparison(planted, levels, &mut random);
            let differs = |it: &Verdict| matches!(it, Verdict::Better | Verdict::Worse);
            let at = planted.map(|it| it.0);
            let others = || verdicts.iter().enumerate().filter(|(other, _)| Some(*other) != at);
            let is_found = at.is_some_and(|at| verdicts[at] == Verdict::Worse);
            rates.found += share * f64::from(u8::from(is_found));
            rates.false_alarms += share * f64::from(u8::from(others().any(|it| differs(it.1))));
            rates.inconclusive += share * f64::from(u8::from(rule::together(&verdicts) == Verdict::Inconclusive));
            rates.pairs += share * pairs as f64;
        }
        rates
    }

    fn comparison(
        &self,
        planted: Option<(usize, f64)>,
        levels: &Levels,
        random: &mut Xoshiro256PlusPlus,
    ) -> (Vec<Verdict>, usize) {
        let threshold = |it: &Judged| Series { differences: Vec::new(), threshold: it.threshold };
        let mut series: Vec<Series> = self.metrics.iter().map(threshold).collect();
        for pairs in 1..=levels.pairs_max() {
            let turn = &self.turns[random.random_range(0..self.turns.len())];
            let sign = if random.random::<bool>() { 1.0 } else { -1.0 };
            for (at, (metric, drawn)) in series.iter_mut().zip(turn).enumerate() {
                let change = planted.filter(|it| it.0 == at).map_or(0.0, |it| it.1);
                metric.differences.push(sign * drawn + change);
            }
            let is_over = pairs == levels.pairs_max();
            if is_over || rule::is_look(pairs) {
                let verdicts: Vec<Verdict> = rule::say(&series, levels, is_over).iter().map(|it| it.verdict).collect();
                if is_over || !rule::together(&verdicts).is_open() {
                    return (verdicts, pairs);
                }
            }
        }
        (Vec::new(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise with a heavy tail, of three metrics of which two go together.
    fn recorded() -> Recorded {
        let judged = |metric, threshold| Judged { workload: "w".to_owned(), metric, threshold };
        let metrics = vec![judged("mb_s", 0.05), judged("broker_cpu_ms_per_mb", 0.05), judged("response_us_p99", 0.1)];
        let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
        let mut normal = || (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
        let turn = |at: u32| {
            let tail = if at.is_multiple_of(15) { 4.0 } else { 1.0 };
            let first = 0.05 * tail * normal();
            vec![first, 0.5 * first + 0.03 * normal(), 0.1 * tail * normal()]
        };
        Recorded { metrics, turns: (1..=40).map(turn).collect() }
    }

    #[test]
    fn without_a_change_at_most_one_comparison_in_twenty_alarms() {
        let rates = recorded().rates(None, &Levels::new(10), (100, 1));
        assert!(rates.false_alarms <= 0.05, "{rates:?}");
    }

    #[test]
    fn a_planted_change_is_found_more_often_the_larger_it_is() {
        let found = |change: f64| recorded().rates(Some((0, change)), &Levels::new(8), (24, 1)).found;
        let (small, large) = (found(0.06), found(0.4));
        assert!(large > 0.9 && small < large, "{small} {large}");
    }
}
