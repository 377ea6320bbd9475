//! The order of a comparison: pairs, each side first equally often, until the verdict is certain or pairs or time are used up.
//!
//! ```text
//!   pair 1   A B  A B      one workload after the other, both sides of each at once
//!   pair 2   B A  B A      so that what drifts meets both sides alike
//!   look     after 6, 8, 10, .. pairs
//! ```

use std::borrow::Cow;
use std::time::Duration;

use super::options::Options;
use crate::emulate;
use crate::results::columns::{Row, validity};
use crate::run::{self, Cell, LEDGER_FAULT, Left, Plan, SoFar, Trial, Turn};
use crate::target::Target;
use crate::verdict::pairs::SIDES;
use crate::verdict::{Rules, judge, rule};

/// Seconds of a trial beside its own: making a topic, reading back, deleting.
const AROUND_S: f64 = 1.5;

/// The course of a comparison.
pub(super) struct Course {
    cells: [Vec<Cell>; 2],
    rules: Rules,
    pairs_max: u32,
    budget: Duration,
    stops_early: bool,
}

impl Course {
    pub(super) fn new(options: &Options, cells: [Vec<Cell>; 2], rules: Rules) -> Self {
        Self { cells, rules, pairs_max: options.pairs, budget: options.budget, stops_early: options.stops_early() }
    }

    /// The plan whose course it is. Its cells are side A's: where side B's differ, the manifest's `asked` says how.
    pub(super) fn plan(&self, targets: Vec<Target>, seed: u64) -> Plan {
        Plan { cells: self.cells[0].clone(), targets, seed }
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What would be measured, for --dry-run.
    pub(super) fn words(&self, names: &[String; 2]) -> String {
        let workloads: Vec<String> =
            self.cells[0].iter().map(|it| format!("{} ({:.1} s)", it.workload.name, it.workload.round_s())).collect();
        let (pair_s, pairs) = (self.pair_s(), f64::from(self.pairs_max));
        let budget_s = self.budget.as_secs_f64();
        let most = if budget_s < pair_s * pairs { "the budget ends it before" } else { "within the budget" };
        let early = if self.stops_early { "; it ends earlier where a look is certain" } else { "" };
        format!(
            "A is {}, B is {}.\n{} in each turn: about {pair_s:.0} s a pair, {} pairs at most in {:.0} s ({most}: {budget_s:.0} s).\nLooks after {}, {}, .. pairs{early}.",
            names[0],
            names[1],
            workloads.join(", "),
            self.pairs_max,
            pair_s * pairs,
            rule::PAIRS_MIN,
            rule::PAIRS_MIN + rule::PAIRS_STEP,
        )
    }

    fn pair_s(&self) -> f64 {
        self.cells.iter().flatten().map(|it| it.workload.round_s() + AROUND_S).sum()
    }

    /// Cell and side of each turn of a pair, in order.
    fn turns(&self, pair: u32) -> impl Iterator<Item = (usize, usize)> {
        let sides = if pair % 2 == 1 { [0, 1] } else { [1, 0] };
        (0..self.cells[0].len()).flat_map(move |cell| sides.map(|side| (cell, side)))
    }

    fn is_done(&self, plan: &Plan, so_far: &SoFar<'_>, pair: u32, (cell, side): (usize, usize)) -> bool {
        let name = &self.cells[side][cell].workload.name;
        plan.targets.get(side).is_none_or(|target| so_far.is_done(name, &target.name, pair))
    }

    /// Whether no pair follows so many.
    fn is_enough(&self, so_far: &SoFar<'_>, pairs: u32) -> bool {
        let of_this_part = &so_far.rows[so_far.earlier.min(so_far.rows.len())..];
        let is_gone = of_this_part.iter().any(|it| it.validity == validity::SKIPPED);
        let own = of_this_part.iter().filter_map(|it| it.pair).collect::<std::collections::BTreeSet<_>>().len();
        let next_s = if own > 0 { so_far.elapsed.as_secs_f64() / own as f64 } else { self.pair_s() };
        let is_over = so_far.elapsed.as_secs_f64() + next_s > self.budget.as_secs_f64();
        let is_certain = || rule::is_look(pairs as usize) && judge(so_far.rows, &self.rules, false).is_certain();
        is_gone || (is_over && pairs > 0) || (self.stops_early && is_certain())
    }

    /// Whether a row makes all of it invalid: a ledger that does not add up, a machine that is not the one asked for.
    fn is_spoilt(so_far: &SoFar<'_>) -> bool {
        so_far.rows.iter().any(|it| it.why.starts_with(LEDGER_FAULT) || emulate::off_of(it).is_some())
    }
}

impl run::Course for Course {
    fn next<'a>(&self, plan: &'a Plan, so_far: &SoFar<'_>) -> Option<Turn<'a>> {
        if Self::is_spoilt(so_far) {
            return None;
        }
        for pair in 1..=self.pairs_max {
            let Some((cell, side)) = self.turns(pair).find(|it| !self.is_done(plan, so_far, pair, *it)) else {
                continue;
            };
            let is_begun = self.turns(pair).any(|it| self.is_done(plan, so_far, pair, it));
            if !is_begun && self.is_enough(so_far, pair - 1) {
                return None;
            }
            let cell = Cow::Owned(self.cells[side][cell].clone());
            return Some(Turn { cell, target: plan.targets.get(side)?, round: pair });
        }
        None
    }

    fn mark(&self, plan: &Plan, _: &SoFar<'_>, trial: &Trial<'_>, row: &mut Row) {
        row.pair = Some(trial.round);
        let side = plan.targets.iter().position(|it| it.name == trial.target.name);
        row.side = side.and_then(|it| SIDES.get(it)).copied().unwrap_or_default().to_owned();
    }

    /// Of all pairs that the time allows: whether fewer are enough is not known before.
    fn left(&self, plan: &Plan, so_far: &SoFar<'_>) -> Left {
        let left_s = (self.budget.saturating_sub(so_far.elapsed)).as_secs_f64();
        let mut left = Left::default();
        for pair in 1..=self.pairs_max {
            for it in self.turns(pair).filter(|it| !self.is_done(plan, so_far, pair, *it)) {
                if let Some(target) = plan.targets.get(it.1).filter(|_| left.seconds < left_s) {
                    left.add(&self.cells[it.1][it.0], target);
                }
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::tests::parsed;
    use super::super::sides;
    use super::*;
    use crate::run::Course as _;
    use crate::verdict::rule::Levels;

    fn course(line: &str) -> (Course, Plan) {
        let options = parsed(line);
        let sides = sides::of(&options).unwrap();
        let levels = Levels::new(options.pairs as usize);
        let rules = Rules { asked: options.thresholds().unwrap(), noise: std::collections::BTreeMap::new(), levels };
        let course = Course::new(&options, sides.cells, rules);
        let plan = course.plan(sides.targets, 1);
        (course, plan)
    }

    /// Runs it with rows whose rate on side B is `ratio` of side A's; gives the turns as `a1 b1 ..` and the rows.
    fn run(course: &Course, plan: &Plan, ratio: f64, turn_s: f64) -> (Vec<String>, Vec<Row>) {
        let (mut turns, mut rows) = (Vec::new(), Vec::new());
        loop {
            let elapsed = Duration::from_secs_f64(turn_s * turns.len() as f64);
            let so_far = SoFar { rows: &rows, earlier: 0, elapsed };
            let Some(turn) = course.next(plan, &so_far) else { return (turns, rows) };
            let trial = Trial { cell: &turn.cell, target: turn.target, round: turn.round, seed: 1 };
            let is_b = turn.target.name.ends_with('b');
            let wave = f64::from(turn.round * 37 % 11) / 500.0;
            let mut row = Row {
                workload: turn.cell.workload.name.clone(),
                target: turn.target.name.clone(),
                round: turn.round,
                validity: validity::MEASURED.to_owned(),
                mb_s: Some(if is_b { 100.0 * ratio + wave } else { 100.0 }),
                ..Row::default()
            };
            course.mark(plan, &so_far, &trial, &mut row);
            turns.push(format!("{}{}", row.side, turn.round));
            rows.push(row);
        }
    }

    #[test]
    fn each_side_is_first_equally_often_and_it_ends_where_it_is_certain() {
        let (course, plan) = course("ringlog --only produce-1k");
        let (turns, rows) = run(&course, &plan, 0.7, 1.0);
        assert_eq!(turns[..8], ["a1", "b1", "b2", "a2", "a3", "b3", "b4", "a4"]);
        assert_eq!((turns.len(), rows[1].pair, rows[1].side.as_str()), (12, Some(1), "b"), "six pairs are enough");
    }

    #[test]
    fn all_pairs_are_all_and_a_budget_ends_them_between_pairs() {
        let (all, plan) = course("ringlog --only produce-1k --pairs 8 --all-pairs");
        assert_eq!(run(&all, &plan, 0.7, 1.0).0.len(), 16);
        let (timed, plan) = course("ringlog --only produce-1k,latency --all-pairs --budget 21");
        // Four turns a pair, 5 s each pair: the fifth would end after 25 s.
        assert_eq!(run(&timed, &plan, 0.7, 1.25).0.len(), 16);
    }

    #[test]
    fn a_ledger_fault_or_a_broker_that_is_gone_ends_it() {
        let (course, plan) = course("ringlog --only produce-1k");
        let (_, mut rows) = run(&course, &plan, 1.0, 1.0);
        rows.truncate(3);
        rows[2].why = format!("{LEDGER_FAULT}: 1 lost");
        let elapsed = Duration::from_secs(3);
        assert!(course.next(&plan, &SoFar { rows: &rows, earlier: 0, elapsed }).is_none());
        rows[2].why = String::new();
        let turn = course.next(&plan, &SoFar { rows: &rows, earlier: 0, elapsed }).unwrap();
        assert_eq!((turn.round, turn.target.name.as_str()), (2, "ringlog-a"), "goes on in the middle of a pair");
        rows.push(Row { validity: validity::SKIPPED.to_owned(), target: "ringlog-a".to_owned(), ..rows[2].clone() });
        assert!(course.next(&plan, &SoFar { rows: &rows, earlier: 0, elapsed }).is_none());
    }

    #[test]
    fn a_dry_run_says_what_and_how_long() {
        let (course, _) = course("ringlog --budget 30s");
        let words = course.words(&["x".to_owned(), "y".to_owned()]);
        for part in ["A is x, B is y", "produce-1k (1.9 s), latency (6.0 s)", "the budget ends it before: 30 s"] {
            assert!(words.contains(part), "{part}: {words}");
        }
    }
}
