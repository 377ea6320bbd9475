//! What this machine makes of no difference: two sides that are the same.
//!
//! ```text
//!   differences of an A/A run --> deviation       how far single pairs scatter
//!                                 threshold       1.5 times what 99 of 100 comparisons of so many pairs stay below
//!                                 pairs for ..    what a wanted sensitivity costs
//! ```
//!
//! ClickHouse learns its thresholds in the same way from its history: the difference of whole comparisons, not that of single
//! pairs, for it is the whole comparison that is held against the threshold. The sides of an A/A run may change places, so each
//! difference counts with either sign.

use std::collections::BTreeMap;

use rand::{RngExt as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::metrics;
use super::pairs;
use super::rule::Levels;
use crate::results::columns::Row;
use crate::stats::{paired, paired::Middle, power, quantile};

/// Comparisons that are drawn from the differences.
const DRAWS: usize = 1000;
/// The share of them that stays below.
const QUIET_SHARE: f64 = 0.99;
/// ClickHouse's factor.
const FACTOR: f64 = 1.5;
const SEED: u64 = 0x4e_4f_49_53_45;

/// The noise of one metric of one workload.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Noise {
    /// The workload.
    pub workload: String,
    /// The column.
    pub metric: &'static str,
    /// ln of the change of each pair.
    #[serde(skip)]
    pub differences: Vec<f64>,
    /// The threshold without noise.
    pub threshold: f64,
    /// How far single pairs scatter, as a share.
    pub deviation: f64,
    /// The threshold that the noise wants.
    pub learned: f64,
}

/// The noise of rows whose sides are the same, for comparisons of so many pairs.
#[must_use]
pub fn of(rows: &[Row], pairs_max: usize) -> Vec<Noise> {
    let of_workload = |it: &pairs::Pairs<'_>| {
        let judged = it.rows.first().map(|row| metrics::judged(row[0])).unwrap_or_default();
        let noise = |metric: metrics::Metric| {
            let differences = it.differences(metric.column);
            let deviation = Middle::of(&differences)?.deviation();
            let learned = threshold(&differences, pairs_max).max(metric.threshold);
            let workload = it.workload.to_owned();
            Some(Noise {
                workload,
                metric: metric.column,
                differences,
                threshold: metric.threshold,
                deviation,
                learned,
            })
        };
        judged.into_iter().filter_map(noise).collect::<Vec<_>>()
    };
    pairs::of(rows).iter().flat_map(of_workload).collect()
}

/// The thresholds of a noise, as rules have them.
#[must_use]
pub fn thresholds(noise: &[Noise]) -> BTreeMap<(String, String), f64> {
    noise.iter().map(|it| ((it.workload.clone(), it.metric.to_owned()), it.learned)).collect()
}

fn threshold(differences: &[f64], pairs: usize) -> f64 {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
    let mut draw = || {
        let sample: Vec<f64> = (0..pairs.max(2)).map(|_| drawn(differences, &mut random)).collect();
        paired::middle(&sample).abs()
    };
    let mut middles: Vec<f64> = (0..DRAWS).map(|_| draw()).collect();
    FACTOR * quantile(&mut middles, QUIET_SHARE).unwrap_or(0.0)
}

fn drawn(differences: &[f64], random: &mut Xoshiro256PlusPlus) -> f64 {
    let value = differences[random.random_range(0..differences.len())];
    if random.random::<bool>() { value } else { -value }
}

impl Noise {
    /// The least change that so many pairs see in four of five comparisons, among so many metrics.
    #[must_use]
    pub fn least_seen(&self, pairs: usize, among: usize) -> f64 {
        let level = Levels::new(pairs).level(pairs, among, true);
        power::least_seen(self.deviation, pairs, level, self.threshold).exp_m1()
    }

    /// The pairs that see this change in four of five comparisons; `None` where no number does.
    #[must_use]
    pub fn pairs_for(&self, change: f64, among: usize) -> Option<usize> {
        // The level of the last look falls little with the pairs: that of twenty stands for all.
        let level = Levels::new(20).level(20, among, true);
        power::pairs_for(change.ln_1p(), self.deviation, level, self.threshold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::made::rates;

    #[test]
    fn noise_raises_a_threshold_and_quiet_leaves_it() {
        let quiet = &of(&rates(20, 1.0, 0.01), 20)[0];
        assert_eq!((quiet.metric, quiet.learned), ("mb_s", 0.05));
        let loud = &of(&rates(20, 1.0, 0.5), 20)[0];
        assert!(loud.learned > 0.15 && loud.deviation > 0.2, "{loud:?}");
        assert_eq!(thresholds(std::slice::from_ref(loud))[&("w".to_owned(), "mb_s".to_owned())], loud.learned);
    }

    #[test]
    fn a_sensitivity_has_its_price() {
        let noise = &of(&rates(20, 1.0, 0.2), 20)[0];
        let price = |change| noise.pairs_for(change, 3);
        assert!(price(0.1).unwrap() > price(0.25).unwrap(), "{noise:?}");
        assert_eq!(price(0.04), None, "a change below the threshold is not looked for");
        assert!(noise.least_seen(10, 3) > noise.least_seen(20, 3));
    }
}
