//! Which trial comes next, and when there were enough: a value that a verb brings, so that `run` need not know verbs.
//!
//! ```text
//!   SoFar (rows, time) --> Course::next --> Turn --> Trial --> rows --> Course::mark --> kept --.
//!      ^                                                                                        |
//!      '----------------------------------------------------------------------------------------'
//!   bench    Rounds   every cell until the interval of each rate is narrow enough
//!   sweep    ladders of rates over shuffled cells, with a search for the highest rate that holds
//! ```
//!
//! Invariants:
//! - A course keeps nothing between its calls: what comes next follows from the plan, the rows and the time. So a run that
//!   was killed goes on from its rows alone.
//! - A course gives no turn that [`SoFar::is_done`]: otherwise its run would not end.

use std::borrow::Cow;
use std::time::Duration;

use super::outcome::BROKER_GONE;
use super::spread::Spread;
use super::{Cell, Plan, Trial};
use crate::results::columns::{Row, validity};
use crate::spec::Kind;
use crate::target::Target;

/// Why a workload of a fixed rate has no more than its least rounds.
pub(crate) const FIXED_RATE: &str = "fixed-rate";

/// A trial that is due.
#[derive(Clone, Debug)]
pub struct Turn<'a> {
    /// The workload and its reader: one of the plan's, or one that the course made of it (another rate).
    pub cell: Cow<'a, Cell>,
    /// Who is measured.
    pub target: &'a Target,
    /// From 1.
    pub round: u32,
}

/// What is still to come, where nothing unforeseen happens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Left {
    /// How often a [`Watch`](super::Watch) is going to be told of a step.
    pub steps: u64,
    /// Seconds of warm-up and measured time.
    pub seconds: f64,
}

/// What was done.
#[derive(Clone, Copy, Debug)]
pub struct SoFar<'a> {
    /// Every row, in the order in which they were kept.
    pub rows: &'a [Row],
    /// How many of them an earlier part of the run left: what had no broker then is due again.
    pub earlier: usize,
    /// Time since this part of the run began.
    pub elapsed: Duration,
}

/// Decides what comes next. See the invariants of this module.
pub trait Course {
    /// The next trial; `None` ends the run.
    fn next<'a>(&self, plan: &'a Plan, so_far: &SoFar<'_>) -> Option<Turn<'a>>;
    /// Writes into a row of a trial that just ended what the course has to say of it. The row is not in `so_far` yet.
    fn mark(&self, plan: &Plan, so_far: &SoFar<'_>, trial: &Trial<'_>, row: &mut Row);
    /// What is still to come.
    fn left(&self, plan: &Plan, so_far: &SoFar<'_>) -> Left;
}

impl<'a> SoFar<'a> {
    /// Rows of trials that are over: not those of an earlier part whose broker was gone, or that were skipped for it.
    pub fn over(&self) -> impl Iterator<Item = &'a Row> {
        let had_none = |it: &Row| it.validity == validity::SKIPPED || it.why.starts_with(BROKER_GONE);
        let earlier = self.earlier;
        let all = self.rows.iter().enumerate();
        all.filter(move |(at, it)| *at >= earlier || !had_none(it)).map(|(_, it)| it)
    }

    /// Whether a trial is over.
    #[must_use]
    pub fn is_done(&self, workload: &str, target: &str, round: u32) -> bool {
        self.over().any(|it| it.round == round && it.target == target && it.workload == workload)
    }

    /// What a workload's rounds against a target reached, in MB/s.
    pub fn rates(&self, workload: &str, target: &str) -> impl Iterator<Item = f64> {
        let own = move |it: &&Row| it.is_measured() && it.workload == workload && it.target == target;
        self.rows.iter().filter(own).filter_map(|it| it.mb_s)
    }
}

/// When a cell has enough rounds, each of which takes every target in turn.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    /// Half of the interval's width at most, as a share of the mean.
    pub half_width_max: f64,
    /// Rounds of a cell at most, where a profile does not ask for more.
    pub rounds_max: u32,
    /// Time for all cells together; each has its share, and what it leaves is the next one's.
    pub time_max: Duration,
}

impl Rounds {
    fn rounds_max(&self, cell: &Cell) -> u32 {
        self.rounds_max.max(cell.workload.rounds)
    }

    /// When the time of a cell is over, counted from the run's beginning.
    fn until(&self, plan: &Plan, cell: &Cell) -> Duration {
        let all_s = plan.measured_s();
        let at = plan.cells.iter().position(|it| it.workload.name == cell.workload.name).unwrap_or(plan.cells.len());
        let due_s: f64 = plan.cells.iter().take(at + 1).map(|it| plan.cell_s(it)).sum();
        self.time_max.mul_f64(if all_s > 0.0 { due_s / all_s } else { 1.0 })
    }

    /// Whether the rows of a round say that no other one is due.
    fn is_enough(plan: &Plan, so_far: &SoFar<'_>, cell: &Cell, round: u32) -> bool {
        let names: Vec<&str> = cell.workloads().map(|it| it.name.as_str()).collect();
        let of_round = |it: &&Row| it.round == round && names.contains(&it.workload.as_str());
        let is_subject = |it: &&Row| plan.subjects().any(|subject| subject.name == it.target);
        so_far.over().filter(of_round).filter(is_subject).all(|it| !it.rounds_end.is_empty())
    }

    /// Why a workload needs no round after this one: `interval`, `time`, `most`, `fixed-rate`; empty where it does.
    fn end(&self, plan: &Plan, cell: &Cell, (round, elapsed): (u32, Duration), is_within: bool) -> &'static str {
        match () {
            () if round < cell.workload.rounds => "",
            // A fixed rate is not measured by its rate, which says nothing of how sure its figures are.
            () if cell.workload.kind == Kind::Latency => FIXED_RATE,
            () if is_within => "interval",
            () if round >= self.rounds_max(cell) => "most",
            () if elapsed >= self.until(plan, cell) => "time",
            () => "",
        }
    }
}

impl Course for Rounds {
    fn next<'a>(&self, plan: &'a Plan, so_far: &SoFar<'_>) -> Option<Turn<'a>> {
        for cell in &plan.cells {
            for round in 1..=self.rounds_max(cell) {
                let due = |it: &&Target| !so_far.is_done(&cell.workload.name, &it.name, round);
                if let Some(target) = plan.targets_of(cell, round).into_iter().find(due) {
                    return Some(Turn { cell: Cow::Borrowed(cell), target, round });
                }
                if Self::is_enough(plan, so_far, cell, round) {
                    break;
                }
            }
        }
        None
    }

    fn mark(&self, plan: &Plan, so_far: &SoFar<'_>, trial: &Trial<'_>, row: &mut Row) {
        let own = row.mb_s.filter(|_| row.is_measured());
        let rates = so_far.rates(&row.workload, &row.target).chain(own);
        let is_within = Spread::of(rates).is_some_and(|it| it.is_within(self.half_width_max));
        let at = (trial.round, so_far.elapsed);
        self.end(plan, trial.cell, at, is_within).clone_into(&mut row.rounds_end);
    }

    /// Of the least rounds: whether there will be more is not known before.
    fn left(&self, plan: &Plan, so_far: &SoFar<'_>) -> Left {
        let mut left = Left::default();
        for cell in &plan.cells {
            for round in 1..=cell.workload.rounds {
                let due = |it: &&Target| !so_far.is_done(&cell.workload.name, &it.name, round);
                for target in plan.targets_of(cell, round).into_iter().filter(due) {
                    left.add(cell, target);
                }
            }
        }
        left
    }
}

impl Left {
    /// A trial more.
    pub fn add(&mut self, cell: &Cell, target: &Target) {
        self.steps += cell.steps(target);
        self.seconds += cell.workload.round_s();
    }
}
