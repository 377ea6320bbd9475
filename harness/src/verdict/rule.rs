//! The rule: what the differences of all judged metrics say at one look.
//!
//! ```text
//!   interval   of each metric, at the level of this look (stats::looks) for one metric of so many (stats::holm)
//!   worse      it leaves out 0, and its middle is above the threshold
//!   better     the same below
//!   same       all of it lies within the threshold to either side
//!   else       inconclusive; so is anything of fewer than PAIRS_MIN pairs
//! ```
//!
//! Invariant: where there is no difference, any metric is told as better or worse in at most [`ERROR`] of all comparisons, all
//! their looks together.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::stats::{holm, looks, paired::Middle};

/// The chance of a false alarm of a whole comparison.
pub const ERROR: f64 = 0.05;
/// The first look: fewer pairs say nothing of how far they scatter.
pub const PAIRS_MIN: usize = 6;
/// Each side is first equally often at a look.
pub const PAIRS_STEP: usize = 2;

/// What a metric, or a comparison, came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Side B is better by more than the threshold.
    Better,
    /// No difference beyond the threshold.
    Same,
    /// Side B is worse by more than the threshold.
    Worse,
    /// The pairs do not say.
    Inconclusive,
    /// The client was the limit of both sides: its own speed was measured.
    ClientBound,
    /// No pair has the column.
    NoData,
}

impl Verdict {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Same => "same",
            Self::Worse => "worse",
            Self::Inconclusive => "inconclusive",
            Self::ClientBound => "client at its limit",
            Self::NoData => "no data",
        }
    }

    /// Whether more pairs can still change it.
    #[must_use]
    pub fn is_open(self) -> bool {
        self == Self::Inconclusive
    }
}

/// One metric's differences, in the order of their pairs; above 0 is worse.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// ln of the change of each pair.
    pub differences: Vec<f64>,
    /// How much of a change matters.
    pub threshold: f64,
}

/// What the rule says of one metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Said {
    /// The verdict.
    pub verdict: Verdict,
    /// The middle; `None` below two pairs.
    pub middle: Option<Middle>,
    /// Half of the interval's width.
    pub half_width: f64,
    /// The level of the interval.
    pub level: f64,
    /// Among how many metrics it is held as one.
    pub among: usize,
}

/// Levels of looks, each worked out once.
#[derive(Debug)]
pub struct Levels {
    pairs_max: usize,
    known: RefCell<BTreeMap<(usize, usize, bool), f64>>,
}

impl Levels {
    /// Of comparisons of so many pairs at most.
    #[must_use]
    pub fn new(pairs_max: usize) -> Self {
        Self { pairs_max: pairs_max.max(PAIRS_STEP), known: RefCell::default() }
    }

    /// Pairs at most.
    #[must_use]
    pub fn pairs_max(&self) -> usize {
        self.pairs_max
    }

    /// The level of a look at so many pairs for one metric of so many.
    #[must_use]
    pub fn level(&self, pairs: usize, among: usize, is_over: bool) -> f64 {
        let key = (pairs, among, is_over);
        if let Some(known) = self.known.borrow().get(&key) {
            return *known;
        }
        let mut looks: Vec<usize> = (PAIRS_MIN..=pairs).step_by(PAIRS_STEP).collect();
        if looks.last() != Some(&pairs) {
            looks.push(pairs);
        }
        let levels = looks::levels(&looks, self.pairs_max.max(pairs), ERROR / among.max(1) as f64, is_over);
        let level = levels.last().copied().unwrap_or(0.0);
        self.known.borrow_mut().insert(key, level);
        level
    }
}

/// Whether there is a look at so many pairs.
#[must_use]
pub fn is_look(pairs: usize) -> bool {
    pairs >= PAIRS_MIN && (pairs - PAIRS_MIN).is_multiple_of(PAIRS_STEP)
}

/// Looks. `is_over`: no pair follows, so that what is left of the error may be spent.
#[must_use]
pub fn say(metrics: &[Series], levels: &Levels, is_over: bool) -> Vec<Said> {
    let seen = |metric: &Series| {
        let count = metric.differences.len();
        let count = if is_over { count } else { (0..=count).rev().find(|it| is_look(*it)).unwrap_or(0) };
        Middle::of(&metric.differences[..count])
    };
    let middles: Vec<Option<Middle>> = metrics.iter().map(seen).collect();
    let known: Vec<Middle> = middles.iter().copied().flatten().collect();
    let level_of = |among: usize, at: usize| levels.level(known[at].pairs, among, is_over);
    let probabilities: Vec<f64> = known.iter().map(Middle::p).collect();
    let mut held = holm::hold(&probabilities, &level_of).into_iter();
    let mut said = Vec::with_capacity(metrics.len());
    for (metric, middle) in metrics.iter().zip(middles) {
        let Some((middle, held)) = middle.and_then(|it| Some((it, held.next()?))) else {
            said.push(Said { verdict: unseen(metric), middle: None, half_width: f64::INFINITY, level: 0.0, among: 0 });
            continue;
        };
        let level = levels.level(middle.pairs, held.among, is_over);
        let half_width = middle.half_width(level);
        // However sure so few look: they say nothing of how far others would have scattered.
        let verdict = if middle.pairs < PAIRS_MIN {
            Verdict::Inconclusive
        } else {
            verdict(middle.middle, half_width, held.differs, metric.threshold)
        };
        said.push(Said { verdict, middle: Some(middle), half_width, level, among: held.among });
    }
    said
}

fn unseen(metric: &Series) -> Verdict {
    if metric.differences.is_empty() { Verdict::NoData } else { Verdict::Inconclusive }
}

fn verdict(middle: f64, half_width: f64, differs: bool, threshold: f64) -> Verdict {
    match () {
        () if differs && middle > threshold => Verdict::Worse,
        () if differs && middle < -threshold => Verdict::Better,
        () if middle.abs() + half_width <= threshold => Verdict::Same,
        () => Verdict::Inconclusive,
    }
}

/// What a comparison comes to, of its metrics: one that is worse makes it worse, one that is open leaves it open.
#[must_use]
pub fn together(verdicts: &[Verdict]) -> Verdict {
    let has = |it: Verdict| verdicts.contains(&it);
    match () {
        () if has(Verdict::Worse) => Verdict::Worse,
        () if has(Verdict::Inconclusive) => Verdict::Inconclusive,
        () if has(Verdict::ClientBound) => Verdict::ClientBound,
        () if has(Verdict::Better) => Verdict::Better,
        () if has(Verdict::Same) => Verdict::Same,
        () => Verdict::NoData,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Differences around a middle, which rise and fall by `noise`.
    fn series(pairs: usize, middle: f64, noise: f64) -> Series {
        let differences = (0..pairs).map(|at| middle + noise * ((at * 37 % 11) as f64 / 5.0 - 1.0)).collect();
        Series { differences, threshold: 0.05 }
    }

    fn verdicts(metrics: &[Series], is_over: bool) -> Vec<Verdict> {
        say(metrics, &Levels::new(20), is_over).iter().map(|it| it.verdict).collect()
    }

    #[test]
    fn each_verdict_has_its_pairs() {
        assert_eq!(verdicts(&[series(12, 0.2, 0.05)], false), [Verdict::Worse]);
        assert_eq!(verdicts(&[series(12, -0.2, 0.05)], false), [Verdict::Better]);
        assert_eq!(verdicts(&[series(12, 0.0, 0.02)], false), [Verdict::Same]);
        assert_eq!(verdicts(&[series(12, 0.06, 0.3)], false), [Verdict::Inconclusive]);
        assert_eq!(verdicts(&[series(0, 0.0, 0.0)], true), [Verdict::NoData]);
    }

    #[test]
    fn a_difference_that_is_sure_but_small_is_none() {
        assert_eq!(verdicts(&[series(20, 0.03, 0.005)], true), [Verdict::Same]);
    }

    #[test]
    fn before_the_first_look_nothing_is_said_and_between_looks_the_last_one_holds() {
        assert_eq!(verdicts(&[series(5, 0.5, 0.01)], false), [Verdict::Inconclusive]);
        let said = say(&[series(9, 0.5, 0.01)], &Levels::new(20), false);
        assert_eq!(said[0].middle.unwrap().pairs, 8);
        assert_eq!(verdicts(&[series(7, 0.5, 0.01)], true), [Verdict::Worse], "time is over: all that there is counts");
        for middle in [0.5, -0.5, 0.0] {
            assert_eq!(
                verdicts(&[series(5, middle, 0.001)], true),
                [Verdict::Inconclusive],
                "too few, whatever they say"
            );
        }
    }

    #[test]
    fn a_metric_among_many_needs_more_and_counters_need_nothing() {
        let alone = say(&[series(10, 0.1, 0.08)], &Levels::new(20), false)[0];
        let quiet = Series { differences: vec![0.0; 10], threshold: 0.02 };
        let among = say(&[series(10, 0.1, 0.08), quiet.clone(), quiet], &Levels::new(20), false);
        assert!(among[0].half_width > alone.half_width, "{among:?}");
        assert_eq!(among[1].verdict, Verdict::Same);
    }

    #[test]
    fn one_that_is_worse_makes_it_worse_and_one_that_is_open_leaves_it_open() {
        use Verdict::{Better, ClientBound, Inconclusive, NoData, Same, Worse};
        assert_eq!(together(&[Better, Worse, Inconclusive]), Worse);
        assert_eq!(together(&[Better, Same, Inconclusive]), Inconclusive);
        assert_eq!(together(&[Same, ClientBound]), ClientBound);
        assert_eq!(together(&[Same, Better, NoData]), Better);
        assert_eq!(together(&[Same, NoData]), Same);
        assert_eq!(together(&[]), NoData);
    }
}
