//! The rule on rows: a finding for each judged metric of each workload, what is told beside, and what is invalid.

use std::collections::BTreeMap;

use super::metrics::{self, Metric};
use super::pairs::{self, Pairs};
use super::rule::{self, Levels, Said, Series, Verdict};
use crate::emulate;
use crate::results::columns::Row;
use crate::run::LEDGER_FAULT;
use crate::stats::{median, power};

/// An interval's end beyond this ratio says nothing: it is told as unbounded.
const RATIO_MAX: f64 = 1000.0;
/// A run whose rows without figures are more than this share says nothing.
const REFUSED_SHARE_MAX: f64 = 0.5;

/// What is judged, and how strictly.
#[derive(Debug)]
pub struct Rules {
    /// Thresholds that a person gave, by column; `None` takes a column out.
    pub asked: BTreeMap<&'static str, Option<f64>>,
    /// Thresholds that this machine's noise wants at least, by workload and column.
    pub noise: BTreeMap<(String, String), f64>,
    /// Levels of looks.
    pub levels: Levels,
}

/// What was found of one metric of one workload.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Finding {
    /// The workload.
    pub workload: String,
    /// The column.
    pub metric: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// The verdict.
    pub verdict: Verdict,
    /// The middle of side A's values.
    pub a: Option<f64>,
    /// The middle of side B's values.
    pub b: Option<f64>,
    /// B against A, of pairs: 0.1 is a tenth more.
    pub change: Option<f64>,
    /// Where its interval begins; `None` where it is unbounded.
    pub change_low: Option<f64>,
    /// Where it ends; `None` where it is unbounded.
    pub change_high: Option<f64>,
    /// A change matters beyond this, of ln(B/A): so it is the same whichever side is A.
    pub threshold: f64,
    /// Pairs that have the column.
    pub pairs: usize,
    /// The least change that as many pairs as were allowed see in four of five comparisons.
    pub least_seen: Option<f64>,
    /// Pairs after which it would be settled, about; `None` where no number is: it is too near the threshold.
    pub pairs_needed: Option<usize>,
    /// Whether the client was the limit of side A or side B alone: the difference is at least this.
    pub one_side_client_bound: bool,
}

/// A column that is told and not judged.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Beside {
    /// The workload.
    pub workload: String,
    /// The column.
    pub metric: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// The middle of side A's values.
    pub a: f64,
    /// The middle of side B's values.
    pub b: f64,
}

/// What a comparison came to.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Judgement {
    /// Of all findings together.
    pub verdict: Verdict,
    /// For each judged metric.
    pub findings: Vec<Finding>,
    /// For what else is worth a look.
    pub beside: Vec<Beside>,
    /// The most pairs that a workload has.
    pub pairs: usize,
    /// Why nothing of it is to be believed: empty where it is.
    pub invalid: Vec<String>,
}

impl Judgement {
    /// Whether more pairs cannot change what it comes to.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        !self.invalid.is_empty() || !self.verdict.is_open()
    }
}

/// A metric of a workload, with what is to be said of it.
struct Subject<'a> {
    pairs: &'a Pairs<'a>,
    metric: Metric,
    series: Series,
}

/// Judges rows at a look. `is_over`: no pair follows.
#[must_use]
pub fn judge(rows: &[Row], rules: &Rules, is_over: bool) -> Judgement {
    let all = pairs::of(rows);
    let subjects: Vec<Subject<'_>> = all.iter().flat_map(|it| subjects_of(it, rules)).collect();
    let series: Vec<Series> = subjects.iter().map(|it| it.series.clone()).collect();
    let said = rule::say(&series, &rules.levels, is_over);
    let findings: Vec<Finding> = subjects.iter().zip(&said).map(|(it, said)| finding(it, said, rules)).collect();
    let verdicts: Vec<Verdict> = findings.iter().map(|it| it.verdict).collect();
    Judgement {
        verdict: rule::together(&verdicts),
        beside: all.iter().flat_map(|it| beside_of(it, &findings)).collect(),
        findings,
        pairs: all.iter().map(|it| it.rows.len()).max().unwrap_or(0),
        invalid: all.iter().filter_map(|it| invalid(it, is_over)).collect(),
    }
}

/// Judges rows that no pair follows: what the looks before left of the error may be spent where none of them was certain.
#[must_use]
pub fn last(rows: &[Row], rules: &Rules) -> Judgement {
    let judged = judge(rows, rules, false);
    if judged.is_certain() && judged.verdict != Verdict::NoData { judged } else { judge(rows, rules, true) }
}

fn subjects_of<'a>(pairs: &'a Pairs<'a>, rules: &Rules) -> Vec<Subject<'a>> {
    let Some([first, _]) = pairs.rows.first() else { return Vec::new() };
    let mut judged = metrics::judged(first);
    for (column, threshold) in &rules.asked {
        judged.retain(|it| it.column != *column);
        judged.extend(threshold.map(|threshold| Metric { column, threshold }));
    }
    let subject = |metric: Metric| {
        let learned = rules.noise.get(&(pairs.workload.to_owned(), metric.column.to_owned())).copied().unwrap_or(0.0);
        let threshold = metric.threshold.max(learned);
        let series = Series { differences: pairs.differences(metric.column), threshold };
        // A side that is client-bound alone is the faster one: the true difference is larger, and no other.
        Subject { pairs, metric, series }
    };
    judged.into_iter().map(subject).filter(|it| !it.series.differences.is_empty() || is_asked(rules, it)).collect()
}

/// Whether somebody asked for a column, so that its absence is told.
fn is_asked(rules: &Rules, subject: &Subject<'_>) -> bool {
    rules.asked.get(subject.metric.column).is_some_and(Option::is_some)
}

fn finding(subject: &Subject<'_>, said: &Said, rules: &Rules) -> Finding {
    let Subject { pairs, metric, series } = subject;
    let bound = [0, 1].map(|side| metrics::is_time(metric.column) && pairs.is_client_bound(side));
    let sign = if metrics::is_more_better(metric.column) { -1.0 } else { 1.0 };
    let share = |difference: f64| (sign * difference).exp_m1();
    let middle = said.middle;
    let end = |to: f64| middle.map(|it| it.middle + to * sign * said.half_width);
    let edge = |to: f64| end(to).filter(|it| it.abs() <= RATIO_MAX.ln()).map(share);
    let middle_of = |side: usize| median(&mut pairs.values(side, metric.column));
    let least_seen = middle.map(|it| {
        let most = rules.levels.pairs_max();
        power::least_seen(it.deviation(), most, rules.levels.level(most, said.among, true), series.threshold).exp_m1()
    });
    Finding {
        workload: pairs.workload.to_owned(),
        metric: metric.column,
        unit: metrics::unit(metric.column),
        verdict: if bound == [true, true] { Verdict::ClientBound } else { said.verdict },
        a: middle_of(0),
        b: middle_of(1),
        change: middle.map(|it| share(it.middle)),
        change_low: edge(-1.0),
        change_high: edge(1.0),
        threshold: series.threshold,
        pairs: series.differences.len(),
        least_seen: least_seen.filter(|it| it.is_finite()),
        pairs_needed: pairs_needed(said, series.threshold),
        one_side_client_bound: bound[0] != bound[1],
    }
}

/// Pairs after which it would be settled if they went on as they did: the interval leaves out 0 where the middle is beyond the
/// threshold, and lies within it where it is not.
fn pairs_needed(said: &Said, threshold: f64) -> Option<usize> {
    let it = said.middle.filter(|_| said.verdict.is_open())?;
    let off = it.middle.abs();
    let half_width = if off > threshold { off } else { threshold - off };
    let needed = it.pairs as f64 * (said.half_width / half_width).powi(2);
    // As many as there are did not settle it, whatever is foretold.
    let least = (it.pairs + 1).max(rule::PAIRS_MIN).next_multiple_of(rule::PAIRS_STEP);
    (needed < power::PAIRS_MAX as f64).then(|| (needed.ceil() as usize).next_multiple_of(rule::PAIRS_STEP).max(least))
}

fn beside_of(pairs: &Pairs<'_>, findings: &[Finding]) -> Vec<Beside> {
    let Some([first, _]) = pairs.rows.first() else { return Vec::new() };
    let is_judged = |column: &str| findings.iter().any(|it| it.workload == pairs.workload && it.metric == column);
    let own = metrics::beside(&metrics::judged(first)).into_iter().filter(|it| !is_judged(it));
    let told = |metric: &'static str| {
        let middle_of = |side: usize| median(&mut pairs.values(side, metric));
        let (a, b) = (middle_of(0)?, middle_of(1)?);
        Some(Beside { workload: pairs.workload.to_owned(), metric, unit: metrics::unit(metric), a, b })
    };
    own.filter_map(told).collect()
}

/// Why a workload's rows are not to be believed at all.
fn invalid(pairs: &Pairs<'_>, is_over: bool) -> Option<String> {
    if let Some(row) = pairs.refused.iter().find(|it| it.why.starts_with(LEDGER_FAULT)) {
        return Some(format!("{} against {}, pair {}: {}", row.workload, row.target, row.round, row.why));
    }
    if let Some(off) = pairs.rows.iter().flatten().find_map(|it| emulate::off_of(it)) {
        return Some(format!("the machine was not the one that was asked for: {off}"));
    }
    let (refused, paired) = (pairs.refused.len(), pairs.rows.len());
    let is_too_few = refused as f64 > REFUSED_SHARE_MAX * (refused + paired) as f64;
    let first = pairs.refused.first().filter(|_| is_over && is_too_few)?;
    Some(format!(
        "{}: {refused} rows have no figures beside {paired} pairs; the first, against {}: {}",
        first.workload, first.target, first.why
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::made::{rates, row};

    pub(super) fn rules() -> Rules {
        Rules { asked: BTreeMap::new(), noise: BTreeMap::new(), levels: Levels::new(20) }
    }

    #[test]
    fn a_quarter_less_throughput_is_worse_and_told_as_less() {
        let judged = judge(&rates(10, 0.75, 0.03), &rules(), false);
        let finding = &judged.findings[0];
        assert_eq!((judged.verdict, finding.metric, finding.verdict), (Verdict::Worse, "mb_s", Verdict::Worse));
        let (low, change, high) = (finding.change_low.unwrap(), finding.change.unwrap(), finding.change_high.unwrap());
        assert!(low < change && change < high && high < 0.0 && (change + 0.25).abs() < 0.02, "{finding:?}");
        assert!(judged.is_certain() && judged.pairs == 10);
    }

    #[test]
    fn a_longer_response_is_worse_and_told_as_more() {
        let of = |pair: u32| {
            let us = |side: &str, us: f64| Row {
                response_us_p99: Some(us + f64::from(pair % 3)),
                ..row("l", side, pair, true)
            };
            [us("a", 100.0), us("b", 125.0)]
        };
        let rows: Vec<Row> = (1..=10).flat_map(of).collect();
        let judged = judge(&rows, &rules(), true);
        let finding = &judged.findings[0];
        assert_eq!((finding.metric, finding.verdict, judged.findings.len()), ("response_us_p99", Verdict::Worse, 1));
        assert!(finding.change.unwrap() > 0.2 && finding.change_low.unwrap() > 0.0, "{finding:?}");
    }

    #[test]
    fn where_the_client_was_the_limit_of_both_sides_its_own_speed_was_measured() {
        let mut rows = rates(10, 1.0, 0.01);
        rows.iter_mut().for_each(|it| it.bottleneck = "client-core".to_owned());
        assert_eq!(judge(&rows, &rules(), true).verdict, Verdict::ClientBound);
        rows.iter_mut().filter(|it| it.side == "a").for_each(|it| it.bottleneck = "disk".to_owned());
        let judged = judge(&rows, &rules(), true);
        assert_eq!((judged.verdict, judged.findings[0].one_side_client_bound), (Verdict::Same, true));
    }

    #[test]
    fn a_ledger_that_does_not_add_up_ends_it_whatever_the_figures_say() {
        let mut rows = rates(10, 1.0, 0.01);
        let why = format!("{LEDGER_FAULT}: 1 lost");
        rows.push(Row { validity: "invalid".to_owned(), why, ..row("w", "b", 11, false) });
        let judged = judge(&rows, &rules(), false);
        assert!(judged.is_certain() && judged.invalid[0].contains("1 lost"), "{:?}", judged.invalid);
    }

    #[test]
    fn mostly_refused_rows_are_no_comparison() {
        let mut rows = rates(3, 1.0, 0.01);
        for pair in 4..=8 {
            let why = "the broker's process ended".to_owned();
            rows.push(Row { validity: "invalid".to_owned(), why, ..row("w", "b", pair, false) });
        }
        assert!(judge(&rows, &rules(), true).invalid[0].contains("process ended"));
        assert!(judge(&rows, &rules(), false).invalid.is_empty(), "there may be better ones to come");
    }

    #[test]
    fn thresholds_may_be_asked_for_learned_and_taken_out() {
        let rows = rates(20, 0.93, 0.005);
        assert_eq!(judge(&rows, &rules(), true).verdict, Verdict::Worse);
        let asked = BTreeMap::from([("mb_s", Some(0.1))]);
        assert_eq!(judge(&rows, &Rules { asked, ..rules() }, true).verdict, Verdict::Same);
        let noise = BTreeMap::from([(("w".to_owned(), "mb_s".to_owned()), 0.2)]);
        let judged = judge(&rows, &Rules { noise, ..rules() }, true);
        assert_eq!((judged.verdict, judged.findings[0].threshold), (Verdict::Same, 0.2));
        let asked = BTreeMap::from([("mb_s", None)]);
        assert_eq!(judge(&rows, &Rules { asked, ..rules() }, true).findings, []);
        let asked = BTreeMap::from([("response_us_p50", Some(0.1))]);
        assert_eq!(judge(&rows, &Rules { asked, ..rules() }, true).findings[1].verdict, Verdict::NoData);
    }

    #[test]
    fn an_open_finding_says_what_it_can_see_and_what_more_would_cost() {
        let judged = judge(&rates(10, 0.98, 0.2), &rules(), true);
        let finding = &judged.findings[0];
        assert_eq!(finding.verdict, Verdict::Inconclusive);
        assert!(finding.least_seen.unwrap() > 0.05 && finding.pairs_needed.unwrap() > 10, "{finding:?}");
    }

    #[test]
    fn never_fewer_pairs_would_settle_it_than_did_not_and_none_where_it_is_at_the_threshold() {
        let said = |middle: f64, half_width: f64| Said {
            verdict: Verdict::Inconclusive,
            middle: Some(crate::stats::paired::Middle { middle, error: 0.01, pairs: 26 }),
            half_width,
            level: 0.05,
            among: 1,
        };
        assert_eq!(pairs_needed(&said(0.04, 0.04), 0.05), Some(416), "it has to be four times as narrow");
        assert_eq!(pairs_needed(&said(0.06, 0.07), 0.05), Some(36));
        assert_eq!(pairs_needed(&said(0.0, 0.046), 0.05), Some(28), "more than there are");
        assert_eq!(pairs_needed(&said(0.05, 0.07), 0.05), None);
        assert_eq!(pairs_needed(&said(0.049_99, 0.07), 0.05), None);
        let near = judge(&rates(26, 0.951, 0.2), &rules(), true);
        assert!(near.findings[0].pairs_needed.is_none_or(|it| it > 26), "{near:?}");
    }

    #[test]
    fn an_interval_without_an_end_is_told_as_that() {
        let of = |pair: u32| {
            let b = if pair.is_multiple_of(2) { 1e9 } else { 1e-9 };
            [("a", 1.0), ("b", b)].map(|(side, mb_s)| Row { mb_s: Some(mb_s), ..row("w", side, pair, false) })
        };
        let judged = judge(&(1..=8).flat_map(of).collect::<Vec<Row>>(), &rules(), true);
        let finding = &judged.findings[0];
        assert_eq!((finding.change_low, finding.change_high), (None, None), "{finding:?}");
        assert!(judged.sentence(false).contains("unbounded .. unbounded"), "{}", judged.sentence(false));
        assert_eq!(super::super::words::cells(finding)[5], "unbounded .. unbounded");
    }

    #[test]
    fn a_machine_that_was_not_emulated_as_asked_for_gives_no_verdict() {
        let mut rows = rates(10, 0.7, 0.01);
        rows.iter_mut().for_each(|it| (it.emulated_cores, it.achieved_cores) = (Some(1.0), Some(0.9)));
        assert_eq!(judge(&rows, &rules(), true).invalid, Vec::<String>::new(), "within 15 %");
        rows[3].achieved_cores = Some(0.289);
        let judged = judge(&rows, &rules(), true);
        assert!(judged.invalid[0].contains("cores was 0.289 of 1"), "{:?}", judged.invalid);
    }

    #[test]
    fn a_figure_that_is_no_number_hides_nothing() {
        let mut rows = rates(10, 0.7, 0.01);
        rows[1].mb_s = Some(f64::NAN);
        rows[3].mb_s = Some(f64::INFINITY);
        let judged = judge(&rows, &rules(), true);
        assert_eq!((judged.verdict, judged.findings[0].pairs), (Verdict::Worse, 8));
    }
}
