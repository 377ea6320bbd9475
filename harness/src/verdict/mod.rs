//! Did it change? From the rows of two sides that took turns to a verdict. Rows in, words out: no I/O.
//!
//! ```text
//!   rows (pair, side) --> pairs    both sides of a workload measured: one value a side, for every column
//!                         metrics  which columns are judged, and how much of a change matters
//!                         rule     differences of all metrics at one look --> better | same | worse | inconclusive
//!                         judge    the rule on rows, with what a reader wants to know of each metric; what is invalid
//!                         gates    absolute limits and limits against side A, from TOML
//!                         noise    two sides that are the same: what this machine makes of no difference
//!                         kept     the rules of a comparison in its manifest, and words what is told of it
//!                         simulate how often the rule errs, and what it sees, on that noise
//! ```
//!
//! Side A is the one before, side B the one after. In differences above 0 is worse, whatever the column; what is printed is
//! B against A.

pub mod gates;
pub mod judge;
mod kept;
pub mod metrics;
pub mod noise;
pub mod pairs;
pub mod rule;
pub mod simulate;
pub mod words;

pub use judge::{Finding, Judgement, Rules, judge};
pub use rule::Verdict;

/// Rows that a test makes up.
#[cfg(test)]
pub(crate) mod made {
    use crate::results::columns::{Row, validity};

    /// A row of a workload at full speed, or at a rate.
    pub(crate) fn row(workload: &str, side: &str, pair: u32, is_paced: bool) -> Row {
        Row {
            workload: workload.to_owned(),
            target: format!("target-{side}"),
            side: side.to_owned(),
            pair: Some(pair),
            round: pair,
            role: "subject".to_owned(),
            validity: validity::MEASURED.to_owned(),
            rate_records_s: is_paced.then_some(10_000.0),
            ..Row::default()
        }
    }

    /// Pairs of one workload at full speed: side B's rate is A's times `ratio`, with `noise` (a share) that rises and falls.
    pub(crate) fn rates(pairs: u32, ratio: f64, noise: f64) -> Vec<Row> {
        let of = |pair: u32| {
            let wave = noise * (f64::from(pair * 37 % 11) / 5.0 - 1.0);
            let a = Row { mb_s: Some(100.0), ..row("w", "a", pair, false) };
            let b = Row { mb_s: Some(100.0 * ratio * (1.0 + wave)), ..row("w", "b", pair, false) };
            [a, b]
        };
        (1..=pairs).flat_map(of).collect()
    }
}
