//! What a comparison came to, in words: for the terminal, a pull request and the page.

use super::Judgement;
use super::judge::Finding;
use super::rule::{PAIRS_MIN, Verdict};

/// What stands over the columns of [`cells`].
pub const HEADS: [&str; 8] = ["workload", "figure", "A", "B", "B against A", "interval", "matters from", "verdict"];
/// What stands where nothing is known.
const UNKNOWN: &str = "-";
/// An end of an interval that is none.
const UNBOUNDED: &str = "unbounded";

impl Judgement {
    /// In a sentence. `is_aa`: both sides were the same.
    #[must_use]
    pub fn sentence(&self, is_aa: bool) -> String {
        let pairs = self.pairs;
        if let Some(why) = self.invalid.first() {
            return format!("invalid: {why}");
        }
        if self.is_false_alarm(is_aa) {
            return "invalid: the sides are the same and were told apart: this machine is not fit for comparisons, or was disturbed"
                .to_owned();
        }
        let of = |verdict: Verdict| {
            let own = self.findings.iter().filter(move |it| it.verdict == verdict);
            own.map(in_words).collect::<Vec<_>>().join("; ")
        };
        match self.verdict {
            Verdict::Worse => format!("worse after {pairs} pairs: {}", of(Verdict::Worse)),
            Verdict::Better => format!("better after {pairs} pairs: {}; nothing is worse", of(Verdict::Better)),
            Verdict::Same => format!("same after {pairs} pairs: no figure changed by as much as matters"),
            Verdict::Inconclusive if pairs < PAIRS_MIN => {
                format!("inconclusive: {pairs} pairs are too few, {PAIRS_MIN} are the least")
            }
            Verdict::Inconclusive => format!("inconclusive after {pairs} pairs: {}", of(Verdict::Inconclusive)),
            Verdict::ClientBound => {
                let words = "its own speed was measured, not the brokers'. Compare at a rate (the workload latency), or leave the figure out (--threshold mb_s=none)";
                format!("invalid: the client was the limit of both sides: {words}")
            }
            Verdict::NoData => "invalid: no pair has figures to compare".to_owned(),
        }
    }

    /// Whether sides that are the same were told apart.
    #[must_use]
    pub fn is_false_alarm(&self, is_aa: bool) -> bool {
        let differs = |it: &Finding| matches!(it.verdict, Verdict::Better | Verdict::Worse);
        is_aa && self.findings.iter().any(differs)
    }
}

/// A finding as a part of a sentence.
fn in_words(it: &Finding) -> String {
    let name = format!("{} of {}", it.metric, it.workload);
    let Some(change) = it.change else { return name };
    let changed = format!("{name} changed by {} ({})", percent(change), range(it));
    match (it.verdict, it.least_seen, it.pairs_needed) {
        (Verdict::Inconclusive, ..) if it.pairs < PAIRS_MIN => {
            format!("{changed}: {} pairs are too few, {PAIRS_MIN} are the least", it.pairs)
        }
        (Verdict::Inconclusive, Some(seen), Some(needed)) => {
            format!("{changed}; so many pairs see {} and more, and about {needed} would settle it", share(seen))
        }
        (Verdict::Inconclusive, ..) => {
            format!("{changed}; it is too near what matters, or scatters too far, for more pairs to settle it soon")
        }
        _ => changed,
    }
}

/// Where its interval begins and ends.
fn range(it: &Finding) -> String {
    let end = |it: Option<f64>| it.map_or_else(|| UNBOUNDED.to_owned(), percent);
    format!("{} .. {}", end(it.change_low), end(it.change_high))
}

/// From where on a change matters, to either side: as far in ln(B/A), so that A and B may change places.
fn matters_from(threshold: f64) -> String {
    format!("{} / {}", percent((-threshold).exp_m1()), percent(threshold.exp_m1()))
}

/// A finding as a line of a table.
#[must_use]
pub fn cells(it: &Finding) -> [String; 8] {
    let star = if it.one_side_client_bound { "*" } else { "" };
    [
        it.workload.clone(),
        format!("{}{star}", it.metric),
        figure(it.a),
        figure(it.b),
        it.change.map_or_else(|| UNKNOWN.to_owned(), percent),
        it.change.map_or_else(|| UNKNOWN.to_owned(), |_| range(it)),
        matters_from(it.threshold),
        it.verdict.name().to_owned(),
    ]
}

/// A change with its sign.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:+.1} %", share * 100.0)
}

/// A share without a sign.
#[must_use]
pub fn share(value: f64) -> String {
    format!("{:.1} %", value * 100.0)
}

/// Four digits that say something.
#[must_use]
pub fn figure(value: Option<f64>) -> String {
    let Some(value) = value else { return UNKNOWN.to_owned() };
    match value.abs() {
        it if it >= 1000.0 => format!("{value:.0}"),
        it if it >= 100.0 => format!("{value:.1}"),
        it if it >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}
