//! What not knowing costs: seeded draws of every input that is not known, the same for every machine.

use rand::{RngExt as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Serialize;

use super::ask::Question;
use super::demand::{Demand, INPUTS, Input, Inputs};
use super::interval::Interval;
use super::machine::Machine;
use super::size::{Excuse, Resource, size};

/// Draws of a plan.
pub const DRAWS: usize = 1000;

/// Brokers over the draws.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Of 100 draws 5 need so many or fewer; none where these draws need more than any cluster has.
    pub p5: Option<u32>,
    /// Half.
    pub p50: Option<u32>,
    /// 95.
    pub p95: Option<u32>,
    /// The least that is enough for the share of draws that was asked for; none where no number is.
    pub enough: Option<Enough>,
    /// Share of draws that the planned number is too few for.
    pub overload_share: f64,
    /// Why a draw has no number, of the last that has none.
    #[serde(skip)]
    pub hopeless: Option<Excuse>,
    /// What the number depends on, most first: the input, and its share of the spread (squared rank correlation).
    pub depends_on: Vec<(Input, f64)>,
}

/// A number of brokers, and what decides it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Enough {
    /// How many.
    pub brokers: u32,
    /// What the draw is short of that needs just so many.
    pub bottleneck: Resource,
}

/// Shares from 0 to 1, one for each input and draw.
#[must_use]
pub fn draws(seed: u64) -> Vec<[f64; INPUTS.len()]> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    (0..DRAWS).map(|_| std::array::from_fn(|_| rng.random::<f64>())).collect()
}

/// The inputs of one draw.
#[must_use]
pub fn inputs(intervals: &[Interval; INPUTS.len()], draw: &[f64; INPUTS.len()]) -> Inputs {
    Inputs(std::array::from_fn(|at| intervals[at].at(draw[at])))
}

/// The likeliest of each.
#[must_use]
pub fn mids(intervals: &[Interval; INPUTS.len()]) -> Inputs {
    Inputs(std::array::from_fn(|at| intervals[at].mid))
}

/// What the draws say of a machine of which the likeliest values need `likeliest`.
#[must_use]
pub fn spread(
    question: &Question,
    machine: &Machine,
    intervals: &[Interval; INPUTS.len()],
    draws: &[[f64; INPUTS.len()]],
    likeliest: u32,
) -> Spread {
    let mut brokers = Vec::with_capacity(draws.len());
    let mut exact = Vec::with_capacity(draws.len());
    let mut values: Vec<Inputs> = Vec::with_capacity(draws.len());
    let mut hopeless = None;
    for draw in draws {
        let inputs = inputs(intervals, draw);
        let sized = size(question, &Demand::of(question, &inputs), machine, &inputs);
        brokers.push(sized.as_ref().map_or((u32::MAX, Resource::Replicas), |it| (it.brokers, it.bottleneck)));
        exact.push(sized.as_ref().map_or(f64::INFINITY, |it| it.exact));
        hopeless = sized.err().or(hopeless);
        values.push(inputs);
    }
    brokers.sort_by_key(|it| it.0);
    let at = |share: f64| {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index below DRAWS"
        )]
        let index = ((brokers.len() as f64 - 1.0) * share).round() as usize;
        brokers.get(index).copied().filter(|it| it.0 != u32::MAX)
    };
    let enough = at(question.confidence).map(|(brokers, bottleneck)| Enough { brokers, bottleneck });
    let planned = enough.map_or(likeliest, |it| it.brokers.max(likeliest));
    let over = brokers.iter().filter(|it| it.0 > planned).count();
    let at = |share: f64| at(share).map(|it| it.0);
    let ranks_of_exact = ranks(&exact);
    let mut depends_on: Vec<(Input, f64)> = INPUTS
        .into_iter()
        .filter(|it| !intervals[*it as usize].is_known())
        .map(|it| {
            (
                it,
                correlation(&ranks(&values.iter().map(|all| all.get(it)).collect::<Vec<_>>()), &ranks_of_exact).powi(2),
            )
        })
        .collect();
    depends_on.sort_by(|a, b| b.1.total_cmp(&a.1));
    #[allow(clippy::cast_precision_loss, reason = "counts below DRAWS")]
    let overload_share = over as f64 / draws.len().max(1) as f64;
    Spread { p5: at(0.05), p50: at(0.5), p95: at(0.95), enough, overload_share, hopeless, depends_on }
}

/// The place of each value among all; equal ones share the middle of their places.
#[allow(clippy::cast_precision_loss, reason = "places below DRAWS")]
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut at = 0;
    while at < order.len() {
        let mut end = at + 1;
        while end < order.len() && values[order[end]] == values[order[at]] {
            end += 1;
        }
        for place in &order[at..end] {
            ranks[*place] = (at + end - 1) as f64 / 2.0;
        }
        at = end;
    }
    ranks
}

/// Pearson's; 0 where one of the two does not vary.
#[allow(clippy::cast_precision_loss, reason = "counts below DRAWS")]
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |it: &[f64]| it.iter().sum::<f64>() / it.len().max(1) as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let sum = |x: &[f64], mx: f64, y: &[f64], my: f64| x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum::<f64>();
    let scale = (sum(a, mean_a, a, mean_a) * sum(b, mean_b, b, mean_b)).sqrt();
    if scale > 0.0 { sum(a, mean_a, b, mean_b) / scale } else { 0.0 }
}
