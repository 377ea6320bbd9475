//! What a varied setting does: how far apart its values lie, and whether that is more than chance.
//!
//! ```text
//!   rows of a part, one target --> blocks: rows that differ in this one setting and the round alone
//!   the statistic: how far the values' mean logarithms, block by block, lie apart
//!   the same with the values shuffled within each block, many times --> how often chance does as much
//! ```
//!
//! A setting matters where chance does as much in one of a hundred cases at most, all that is tested counted (Holm's first
//! step: the limit is divided by the number of tests), and its values lie 5 % apart at least. Nothing is said of a setting
//! whose rows are too few to tell.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::results::Row;
use crate::run::bottleneck::Bottleneck;

/// Shuffles.
const SHUFFLES: usize = 4000;
/// How often chance may do as much, over all tests of a sweep.
const CHANCE_MAX: f64 = 0.05;
/// Values that lie closer together do not matter.
const APART_MIN: f64 = 1.05;

/// Takes a figure from a row.
type Take = fn(&Row) -> Option<f64>;
/// What is looked at: its words, where it is in a row.
const FIGURES: [(&str, Take); 5] = [
    ("MB/s", |it| it.mb_s),
    ("requests per MB", requests_per_mb),
    ("p50", |it| it.response_us_p50),
    ("p99", |it| it.response_us_p99),
    ("broker CPU per MB", |it| it.broker_cpu_ms_per_mb),
];

/// How many requests a megabyte took: what batching is for, at a rate that is reached whatever the batches are.
fn requests_per_mb(row: &Row) -> Option<f64> {
    let mb = row.mb_s? * row.seconds?;
    (mb > 0.0).then_some(row.requests? as f64 / mb)
}

/// What a setting does to a figure of a target.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Effect {
    pub(super) part: String,
    pub(super) target: String,
    pub(super) setting: String,
    pub(super) figure: &'static str,
    /// The value where the figure is least, and where it is greatest.
    pub(super) least: String,
    pub(super) greatest: String,
    /// How far these lie apart.
    pub(super) ratio: f64,
    /// How often chance does as much.
    pub(super) chance: f64,
}

/// The settings of a row's cell: `batch.size=16384 linger.ms=0` in pieces.
fn settings(row: &Row) -> Vec<(&str, &str)> {
    row.cell.split(' ').filter_map(|it| it.split_once('=')).collect()
}

/// Everything that matters, and how many tests were made.
pub(super) fn of(rows: &[Row], seed: u64) -> (Vec<Effect>, usize) {
    let mut found = Vec::new();
    let mut groups: Vec<(&str, &str, &str)> = Vec::new();
    for row in rows.iter().filter(|it| it.is_measured() && it.role == "subject") {
        let group = (row.part.as_str(), row.target.as_str(), row.kind.as_str());
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    for (part, target, kind) in groups {
        let is_own = |it: &&Row| it.is_measured() && it.part == part && it.target == target && it.kind == kind;
        let own: Vec<&Row> = rows.iter().filter(is_own).collect();
        let names: Vec<&str> = own.first().map(|it| settings(it).iter().map(|it| it.0).collect()).unwrap_or_default();
        for setting in names {
            for (figure, take) in FIGURES {
                // A rate that was offered and reached says nothing of a broker.
                let is_given = figure == "MB/s" && own.iter().all(|it| it.bottleneck == Bottleneck::Schedule.name());
                let Some(tested) = test(&own, setting, take, seed).filter(|_| !is_given) else { continue };
                let (part, target, setting) = (part.to_owned(), target.to_owned(), setting.to_owned());
                found.push(Effect { part, target, setting, figure, ..tested });
            }
        }
    }
    let tests = found.len();
    let limit = CHANCE_MAX / tests.max(1) as f64;
    found.retain(|it| it.chance <= limit && it.ratio >= APART_MIN);
    (found, tests)
}

/// A block: what each of its rows has of the setting (by number), and the figure's logarithm.
type Block = Vec<(usize, f64)>;
/// What rows of a block have in common: the other settings, and the rate that was offered (its bits).
type Others<'a> = (Vec<(&'a str, &'a str)>, Option<u64>);

fn test(rows: &[&Row], setting: &str, take: Take, seed: u64) -> Option<Effect> {
    let mut values: Vec<&str> = Vec::new();
    let mut blocks: Vec<(Others<'_>, Block)> = Vec::new();
    for row in rows {
        let of = settings(row);
        let value = of.iter().find(|it| it.0 == setting)?.1;
        let Some(figure) = take(row).filter(|it| *it > 0.0) else { continue };
        let at = values.iter().position(|it| *it == value).unwrap_or_else(|| {
            values.push(value);
            values.len() - 1
        });
        let others = (of.into_iter().filter(|it| it.0 != setting).collect(), row.rate_records_s.map(f64::to_bits));
        match blocks.iter_mut().find(|it| it.0 == others) {
            Some((_, block)) => block.push((at, figure.ln())),
            None => blocks.push((others, vec![(at, figure.ln())])),
        }
    }
    let mut blocks: Vec<Block> = blocks.into_iter().map(|it| it.1).collect();
    blocks.retain(|block| block.iter().any(|it| it.0 != block[0].0));
    if values.len() < 2 || blocks.is_empty() {
        return None;
    }
    let means = means(&blocks, values.len());
    let observed = apart(&means);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut as_much = 0usize;
    for _ in 0..SHUFFLES {
        for block in &mut blocks {
            shuffle(block, &mut random);
        }
        as_much += usize::from(apart(&self::means(&blocks, values.len())) >= observed * (1.0 - 1e-9));
    }
    let named = |at: Option<usize>| at.map(|it| values[it].to_owned()).unwrap_or_default();
    let by = |a: &usize, b: &usize| means[*a].total_cmp(&means[*b]);
    let (least, greatest) = ((0..values.len()).min_by(by), (0..values.len()).max_by(by));
    Some(Effect {
        part: String::new(),
        target: String::new(),
        setting: String::new(),
        figure: "",
        least: named(least),
        greatest: named(greatest),
        ratio: observed.exp(),
        chance: (as_much + 1) as f64 / (SHUFFLES + 1) as f64,
    })
}

/// Gives the figures of a block to its values anew.
fn shuffle(block: &mut Block, random: &mut Xoshiro256PlusPlus) {
    let mut figures: Vec<f64> = block.iter().map(|it| it.1).collect();
    figures.shuffle(random);
    block.iter_mut().zip(figures).for_each(|(it, figure)| it.1 = figure);
}

/// The mean of each value's logarithms, each counted from the middle of its block.
fn means(blocks: &[Block], values: usize) -> Vec<f64> {
    let mut sums = vec![(0.0, 0usize); values];
    for block in blocks {
        let middle = block.iter().map(|it| it.1).sum::<f64>() / block.len() as f64;
        for (value, figure) in block {
            sums[*value].0 += figure - middle;
            sums[*value].1 += 1;
        }
    }
    sums.into_iter().map(|(sum, count)| if count == 0 { 0.0 } else { sum / count as f64 }).collect()
}

fn apart(means: &[f64]) -> f64 {
    let least = means.iter().copied().fold(f64::INFINITY, f64::min);
    means.iter().copied().fold(f64::NEG_INFINITY, f64::max) - least
}

impl std::fmt::Display for Effect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { setting, figure, least, greatest, ratio, .. } = self;
        write!(f, "{setting}: {figure} is {ratio:.2} times as high with {greatest} as with {least}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::columns::validity;

    fn row(cell: String, round: u32, mb_s: f64, p99: f64) -> Row {
        Row {
            part: "p".to_owned(),
            target: "t".to_owned(),
            role: "subject".to_owned(),
            kind: "produce".to_owned(),
            validity: validity::MEASURED.to_owned(),
            cell,
            round,
            mb_s: Some(mb_s),
            response_us_p99: Some(p99),
            ..Row::default()
        }
    }

    /// Noise of a tenth to either side, the same in every run of the test.
    fn noise(at: u32) -> f64 {
        1.0 + 0.1 * (f64::from(at.wrapping_mul(2_654_435_761) % 1000) / 500.0 - 1.0)
    }

    fn rows(effect: f64) -> Vec<Row> {
        let mut rows = Vec::new();
        for (at, batch) in (0u32..).zip([4096, 16384, 32768]) {
            for linger in [0, 50] {
                for round in 1..=3 {
                    let number = at * 100 + linger + round;
                    let mb_s = 100.0 * effect.powi(at as i32) * noise(number);
                    rows.push(row(
                        format!("batch.size={batch} linger.ms={linger}"),
                        round,
                        mb_s,
                        5e3 * noise(number + 7),
                    ));
                }
            }
        }
        rows
    }

    #[test]
    fn what_matters_is_found_and_what_does_not_is_not() {
        let (found, tests) = of(&rows(1.4), 1);
        assert_eq!(tests, 4, "two settings, two figures");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].setting.as_str(), found[0].figure), ("batch.size", "MB/s"));
        assert_eq!((found[0].least.as_str(), found[0].greatest.as_str()), ("4096", "32768"));
        assert!((1.7..2.2).contains(&found[0].ratio), "{found:?}");
        assert!(of(&rows(1.0), 1).0.is_empty());
    }

    #[test]
    fn a_rate_that_was_given_is_nobodys_effect_and_a_setting_without_two_values_is_not_tested() {
        let mut given = rows(1.4);
        given.iter_mut().for_each(|it| it.bottleneck = Bottleneck::Schedule.name().to_owned());
        assert_eq!(of(&given, 1).1, 2, "p99 of two settings");
        let one: Vec<Row> = rows(1.0).into_iter().filter(|it| it.cell.contains("=4096")).collect();
        assert_eq!(of(&one, 1).1, 2, "linger.ms alone");
        assert_eq!(of(&[], 1), (Vec::new(), 0));
    }
}
