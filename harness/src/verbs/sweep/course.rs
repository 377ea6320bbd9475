//! The order of a sweep: rounds outermost, cells shuffled anew in each, an offered rate climbed innermost, targets in turn.
//!
//! ```text
//!   round 1   cell 7   A B          as fast as it goes: every target once
//!             cell 2   1000/s A B   2000/s B A   4000/s A       B did not hold 2000/s: no higher rate for it
//!                      2828/s A     1414/s B     ..             between the highest that holds and the lowest that does not
//!   round 2   ..                    the time is over: what is left is left
//! ```
//!
//! A drift of the machine so meets every cell and every target alike, and a sweep that is stopped early has every cell once
//! before any twice.

use std::borrow::Cow;
use std::time::Duration;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::results::Row;
use crate::run::{Cell, Course, Left, Plan, SoFar, Trial, Turn};
use crate::spec::sweep::{Ladder, Sweep, SweepCell, without_rate};
use crate::target::Target;

/// Two rates that are closer than this are one.
const RATES_APART_MIN: f64 = 1.02;
/// Where even the lowest rate is not held, the search goes on between it and this part of it.
const BELOW_THE_LOWEST: f64 = 4.0;
/// Values of the column `holds`.
pub(super) const YES: &str = "yes";
const TOO_LITTLE: &str = "rate";
const TOO_SLOW: &str = "p99";

/// The order and the end of a sweep. Its cells are those of the plan, one for one.
pub(super) struct SweepCourse {
    name: String,
    cells: Vec<SweepCell>,
    /// For each round, in which order cells come.
    pub(super) orders: Vec<Vec<usize>>,
    time_max: Option<Duration>,
}

impl SweepCourse {
    pub(super) fn new(sweep: &Sweep, seed: u64, time_max: Option<Duration>) -> Self {
        let order = |round: u32| {
            let mut random = Xoshiro256PlusPlus::seed_from_u64(seed.wrapping_add(u64::from(round)));
            let mut order: Vec<usize> = (0..sweep.cells.len()).collect();
            order.shuffle(&mut random);
            order
        };
        let orders = (1..=sweep.rounds).map(order).collect();
        Self { name: sweep.name.clone(), cells: sweep.cells.clone(), orders, time_max }
    }

    fn rounds(&self) -> impl Iterator<Item = (u32, &Vec<usize>)> {
        (1..).zip(&self.orders)
    }

    /// What is next in a cell's round; `None` where it is over.
    fn in_cell<'a>(&self, plan: &'a Plan, so_far: &SoFar<'_>, at: usize, round: u32) -> Option<Turn<'a>> {
        let (cell, own) = (plan.cells.get(at)?, self.cells.get(at)?);
        let is_due = |name: &str, target: &&Target| !so_far.is_done(name, &target.name, round);
        let Some(ladder) = &own.ladder else {
            let name = &cell.workload.name;
            let target = plan.targets_of(cell, round).into_iter().find(|it| is_due(name, it))?;
            return Some(Turn { cell: Cow::Borrowed(cell), target, round });
        };
        let at_rate = |rate: f64| Cell { workload: own.at_rate(rate), reader: None };
        for (step, rate) in (0u32..).zip(&ladder.records_s) {
            let higher = at_rate(*rate);
            // The one that comes first changes with each step too.
            let due = plan.targets_of(cell, round.wrapping_add(step)).into_iter().filter(|it| {
                let climb = Climb::of(so_far, &cell.workload.name, &it.name, round);
                climb.missed.is_none_or(|missed| missed >= *rate)
            });
            if let Some(target) = due.into_iter().find(|it| is_due(&higher.workload.name, it)) {
                return Some(Turn { cell: Cow::Owned(higher), target, round });
            }
        }
        // The target with the fewest trials so far is first: they take turns.
        let between = |target: &'a Target| {
            let climb = Climb::of(so_far, &cell.workload.name, &target.name, round);
            Some((climb.tried.len(), climb.between(ladder)?, target))
        };
        let subjects = plan.targets_of(cell, round).into_iter().filter_map(between);
        let (_, rate, target) = subjects.min_by_key(|it| it.0)?;
        Some(Turn { cell: Cow::Owned(at_rate(rate)), target, round })
    }

    fn is_over(&self, so_far: &SoFar<'_>) -> bool {
        self.time_max.is_some_and(|most| so_far.elapsed >= most)
    }
}

impl Course for SweepCourse {
    fn next<'a>(&self, plan: &'a Plan, so_far: &SoFar<'_>) -> Option<Turn<'a>> {
        if self.is_over(so_far) {
            return None;
        }
        self.rounds().find_map(|(round, order)| order.iter().find_map(|at| self.in_cell(plan, so_far, *at, round)))
    }

    fn mark(&self, _: &Plan, _: &SoFar<'_>, trial: &Trial<'_>, row: &mut Row) {
        let base = without_rate(&trial.cell.workload.name);
        let Some(cell) = self.cells.iter().find(|it| it.workload.name == base) else { return };
        row.sweep.clone_from(&self.name);
        row.part.clone_from(&cell.part);
        row.cell = cell.words();
        if let Some(ladder) = cell.ladder.as_ref().filter(|_| row.is_measured()) {
            held(row, ladder).clone_into(&mut row.holds);
        }
        if trial.round as usize == self.orders.len() {
            "most".clone_into(&mut row.rounds_end);
        }
    }

    /// A ladder as if every rate held and the search took all its steps.
    fn left(&self, plan: &Plan, so_far: &SoFar<'_>) -> Left {
        let mut left = Left::default();
        for (round, order) in self.rounds() {
            for at in order {
                self.add_cell(plan, so_far, (*at, round), &mut left);
            }
        }
        if let Some(most) = self.time_max {
            left.seconds = left.seconds.min(most.saturating_sub(so_far.elapsed).as_secs_f64());
        }
        left
    }
}

impl SweepCourse {
    fn add_cell(&self, plan: &Plan, so_far: &SoFar<'_>, (at, round): (usize, u32), left: &mut Left) {
        let (Some(cell), Some(own)) = (plan.cells.get(at), self.cells.get(at)) else { return };
        for target in plan.targets_of(cell, round) {
            let due = match &own.ladder {
                None => usize::from(!so_far.is_done(&cell.workload.name, &target.name, round)),
                Some(ladder) => {
                    let climb = Climb::of(so_far, &cell.workload.name, &target.name, round);
                    let is_lower = |rate: &&f64| climb.missed.is_none_or(|missed| missed >= **rate);
                    let done = |rate: &&f64| so_far.is_done(&own.at_rate(**rate).name, &target.name, round);
                    let rates = ladder.records_s.iter().filter(is_lower).filter(|it| !done(it)).count();
                    let has_search = rates > 0 || climb.between(ladder).is_some();
                    let search = if has_search { ladder.bisections as usize } else { 0 };
                    rates + search.saturating_sub(climb.searched(ladder))
                }
            };
            (0..due).for_each(|_| left.add(cell, target));
        }
    }
}

/// Whether a measured row held its rate, as the column says it.
fn held(row: &Row, ladder: &Ladder) -> &'static str {
    let (Some(rate), Some(sent)) = (row.rate_records_s, row.records_s) else { return "" };
    let is_slow = |most_ms: f64| row.response_us_p99.is_none_or(|us| us > most_ms * 1000.0);
    match () {
        () if sent < rate * ladder.sent_share_min => TOO_LITTLE,
        () if ladder.p99_ms.is_some_and(is_slow) => TOO_SLOW,
        () => YES,
    }
}

/// How far a target came with a cell's rates in a round.
#[derive(Clone, Debug, Default, PartialEq)]
struct Climb {
    /// The highest rate that it held below any that it did not.
    held: Option<f64>,
    /// The lowest that it did not hold. A trial without figures did not.
    missed: Option<f64>,
    /// Every rate that was tried.
    tried: Vec<f64>,
}

impl Climb {
    fn of(so_far: &SoFar<'_>, cell: &str, target: &str, round: u32) -> Self {
        let own = |it: &&Row| it.target == target && it.round == round && without_rate(&it.workload) == cell;
        let mut rates: Vec<(f64, bool)> = so_far.over().filter(own).filter_map(rate_of).collect();
        rates.sort_by(|a, b| a.0.total_cmp(&b.0));
        let missed = rates.iter().find(|it| !it.1).map(|it| it.0);
        let below = |it: &&(f64, bool)| it.1 && missed.is_none_or(|missed| it.0 < missed);
        let held = rates.iter().rev().find(below).map(|it| it.0);
        Self { held, missed, tried: rates.into_iter().map(|it| it.0).collect() }
    }

    /// Steps that the search has taken: rates that are none of the ladder's.
    fn searched(&self, ladder: &Ladder) -> usize {
        self.tried.iter().filter(|rate| !ladder.records_s.contains(rate)).count()
    }

    /// The next rate of the search; `None` where it is over, or where every rate held.
    fn between(&self, ladder: &Ladder) -> Option<f64> {
        let missed = self.missed?;
        let low = self.held.unwrap_or(missed / BELOW_THE_LOWEST);
        let rate = (low * missed).sqrt().round();
        let is_apart = rate / low >= RATES_APART_MIN && missed / rate >= RATES_APART_MIN;
        (self.searched(ladder) < ladder.bisections as usize && is_apart).then_some(rate)
    }
}

fn rate_of(row: &Row) -> Option<(f64, bool)> {
    Some((row.rate_records_s?, row.holds == YES))
}

/// The highest rate that each subject held in a cell, over its rounds: the median of the rounds' highest.
pub(super) fn highest(rows: &[Row], cell: &str, target: &str) -> Option<f64> {
    // What had no broker says nothing of a rate.
    let so_far = SoFar { rows, earlier: rows.len(), elapsed: Duration::ZERO };
    let mut rounds: Vec<u32> = rows.iter().map(|it| it.round).collect();
    rounds.sort_unstable();
    rounds.dedup();
    let held = rounds.into_iter().filter_map(|round| Climb::of(&so_far, cell, target, round).held);
    crate::run::spread::Spread::of(held).map(|it| it.middle)
}
