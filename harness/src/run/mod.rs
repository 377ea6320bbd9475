//! The run: which trial comes when, what makes its numbers fit to be published, and when there were enough.
//!
//! ```text
//!   for each cell (a workload, and what reads it back), for each round:         null-receive null-append A B | .. B A | ..
//!     a ceiling    write; where a consume workload reads this one, read for as long
//!     a subject    create a topic, write, read all of it back, settle the ledger, delete the topic
//!       --> Outcome = Measured | Invalid(why) | Skipped(why) --> rows, kept before the next trial begins
//!   until the interval of every subject is narrow enough, or the cell's time is over
//! ```
//!
//! A trial against a subject gives one row for the workload and one for the consume workload that reads it. Ceilings come
//! first, so that a subject's row knows its share of them; subjects take turns in being first.
//!
//! Invariants:
//! - Every record that a subject acknowledged was read back, once and in order, before a figure of the trial is kept.
//! - A trial always ends in a row. Only what would make every further trial worthless ends the run: see [`End`].
//! - What runs, in which order and with what consequence is decided here, without I/O; an [`Executor`] does it, a
//!   [`Keep`] keeps it.

#![allow(clippy::disallowed_methods, reason = "the executor reads the clock")]

pub mod bottleneck;
pub mod ceiling;
mod gauge;
pub mod kafka;
mod outcome;
pub mod rows;
pub mod spread;
pub mod summary;
mod trial;

#[cfg(test)]
pub(crate) mod mock;

use std::collections::BTreeMap;
use std::time::Duration;

pub use outcome::{Consumed, Invalid, Measured, Outcome, Produced, Reading, Round, RunError};
pub use trial::{LEDGER_FAULT, Trial};

use crate::results::ResultsError;
use crate::results::columns::{Row, validity};
use crate::spec::{Kind, Workload};
use crate::target::{Role, Target};
use ceiling::Ceiling;
use rows::Common;
use spread::Spread;

/// A warm-up takes no longer than this, whatever it was to write.
const WARM_UP_S_MAX: f64 = 60.0;

/// A workload, and the consume workload that reads what it wrote.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What is written.
    pub workload: Workload,
    /// What reads it back as a row of its own.
    pub reader: Option<Workload>,
}

/// When a cell has enough rounds.
#[derive(Clone, Copy, Debug)]
pub struct Stopping {
    /// Half of the interval's width at most, as a share of the mean.
    pub half_width_max: f64,
    /// Rounds of a cell at most, where a profile does not ask for more.
    pub rounds_max: u32,
    /// Time for all cells together; each has its share, and what it leaves is the next one's.
    pub time_max: Duration,
}

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The cells in order.
    pub cells: Vec<Cell>,
    /// The targets: ceilings in the order of the work that they do, and subjects.
    pub targets: Vec<Target>,
    /// When there is enough.
    pub stopping: Stopping,
    /// Seed of all that is random.
    pub seed: u64,
}

/// Does what the run decides.
pub trait Executor {
    /// Makes a fresh topic for one trial and gives its name.
    fn create_topic(&mut self, target: &Target, workload: &Workload) -> Result<String, RunError>;
    /// Writes.
    fn produce(&mut self, trial: &Trial<'_>, workload: &Workload, topic: &str) -> Result<Produced, RunError>;
    /// Reads.
    fn consume(
        &mut self,
        trial: &Trial<'_>,
        workload: &Workload,
        topic: &str,
        reading: Reading<'_>,
    ) -> Result<Consumed, RunError>;
    /// Whether the trial's topic is still the one that was made: somebody else may have deleted it.
    fn is_topic_there(&mut self, target: &Target, topic: &str) -> Result<bool, RunError>;
    /// Deletes a trial's topic.
    fn delete_topic(&mut self, target: &Target, topic: &str) -> Result<(), RunError>;
    /// Time since the run began.
    fn elapsed(&self) -> Duration;
}

/// Keeps what trials gave.
pub trait Keep {
    /// Rows of one trial, and the lines of their histograms. They are on the disk when this returns.
    fn keep(&mut self, rows: &[Row], lines: &[u8]) -> Result<(), ResultsError>;
}

/// Hears what is going on.
pub trait Watch {
    /// A step begins (`what`, e.g. `reading produce-1k back`); it takes about so long.
    fn step(&mut self, target: &str, what: &str, round: u32, about: Duration);
    /// A trial gave no figures.
    fn refused(&mut self, target: &str, what: &str, round: u32, why: &str);
}

/// Why a run ended before its last trial. What was kept stays.
#[derive(Debug, thiserror::Error)]
pub enum End {
    /// The person pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// Rows cannot be kept any more.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// Topics would pile up on somebody's broker.
    #[error(
        "{target} does not delete topic {topic}: {reason}; delete it by hand, and let the client's user delete topics"
    )]
    TopicStays {
        /// The target.
        target: String,
        /// The topic.
        topic: String,
        /// The broker's words.
        reason: String,
    },
    /// Every subject's process ended.
    #[error("no broker is left to measure: {0}")]
    NobodyLeft(String),
}

impl Plan {
    /// Measured seconds of the least rounds of all trials together, reading back left out.
    #[must_use]
    pub fn measured_s(&self) -> f64 {
        self.cells.iter().map(|it| self.cell_s(it)).sum()
    }

    fn cell_s(&self, cell: &Cell) -> f64 {
        let workload = &cell.workload;
        workload.measured_s * f64::from(workload.rounds) * self.targets_of(cell, 1).len() as f64
    }

    /// How often a [`Watch`] is told of a step where no cell needs more than its least rounds.
    #[must_use]
    pub fn steps(&self) -> u64 {
        let of_target = |cell: &Cell, target: &Target| match target.role {
            Role::Subject => 2,
            Role::Ceiling => 1 + u64::from(cell.reader.is_some() && target.keeps_reading()),
        };
        let of = |cell: &Cell| {
            let a_round: u64 = self.targets_of(cell, 1).into_iter().map(|target| of_target(cell, target)).sum();
            u64::from(cell.workload.rounds) * a_round
        };
        let warm_ups = self.subjects().filter(|it| it.warm_up_mb > 0).count() as u64;
        self.cells.iter().map(of).sum::<u64>() + 2 * warm_ups
    }

    /// The targets of a round in their order. A fixed rate is about subjects alone: a ceiling of throughput says nothing
    /// there.
    fn targets_of(&self, cell: &Cell, round: u32) -> Vec<&Target> {
        let of = |role: Role| self.targets.iter().filter(move |it| it.role == role);
        let mut subjects: Vec<&Target> = of(Role::Subject).collect();
        let turn = (round as usize).saturating_sub(1) % subjects.len().max(1);
        subjects.rotate_left(turn);
        let ceilings = of(Role::Ceiling).filter(|_| cell.workload.kind == Kind::Produce);
        ceilings.chain(subjects).collect()
    }

    /// Rounds of a cell at most.
    fn rounds_max(&self, cell: &Cell) -> u32 {
        self.stopping.rounds_max.max(cell.workload.rounds)
    }

    fn subjects(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().filter(|it| it.role == Role::Subject)
    }
}

/// A run that is under way: its rows so far say what is still to be done.
pub struct Run<'a> {
    plan: &'a Plan,
    common: &'a Common,
    executor: &'a mut dyn Executor,
    keep: &'a mut dyn Keep,
    watch: &'a mut dyn Watch,
    rows: Vec<Row>,
    /// Targets whose process ended, and how.
    gone: BTreeMap<String, String>,
}

impl<'a> Run<'a> {
    /// A run that goes on after these rows: none for a new one.
    #[must_use]
    pub fn new(
        plan: &'a Plan,
        common: &'a Common,
        executor: &'a mut dyn Executor,
        (keep, watch): (&'a mut dyn Keep, &'a mut dyn Watch),
        rows: Vec<Row>,
    ) -> Self {
        Self { plan, common, executor, keep, watch, rows, gone: BTreeMap::new() }
    }

    /// Runs all that is still to be run. Gives every row, also where the run ended early.
    pub fn run(mut self) -> (Vec<Row>, Result<(), End>) {
        let end = self.all();
        (self.rows, end)
    }

    fn all(&mut self) -> Result<(), End> {
        let plan = self.plan;
        for target in plan.subjects().filter(|it| it.warm_up_mb > 0) {
            self.warm_up(target)?;
        }
        let mut due_s = 0.0;
        for cell in &plan.cells {
            due_s += plan.cell_s(cell);
            let share = if plan.measured_s() > 0.0 { due_s / plan.measured_s() } else { 1.0 };
            self.cell(cell, plan.stopping.time_max.mul_f64(share))?;
        }
        Ok(())
    }

    /// Writes and reads what a target wants before its first round. Nothing of it is kept: what goes wrong here goes wrong
    /// again in a trial, which says so.
    fn warm_up(&mut self, target: &Target) -> Result<(), End> {
        let Some(cell) = self.plan.cells.first() else { return Ok(()) };
        let (warmup_s, measured_s) = (0.0, WARM_UP_S_MAX);
        let megabytes_max = Some(target.warm_up_mb);
        let workload = Workload { warmup_s, measured_s, megabytes_max, rate_records_s: None, ..cell.workload.clone() };
        let workload = Workload { kind: Kind::Produce, ..workload };
        let cell = Cell { workload, reader: cell.reader.clone() };
        let trial = Trial { cell: &cell, target, round: 0, seed: self.plan.seed };
        trial.run(self.executor, self.watch).map(drop)
    }

    /// Rounds of one cell, until there are enough. Its time is over at `until`, counted from the run's beginning.
    fn cell(&mut self, cell: &Cell, until: Duration) -> Result<(), End> {
        let plan = self.plan;
        for round in 1..=plan.rounds_max(cell) {
            for target in plan.targets_of(cell, round) {
                let trial = Trial { cell, target, round, seed: plan.seed.wrapping_add(u64::from(round)) };
                if !self.is_kept(&trial) {
                    self.trial(&trial, until)?;
                }
            }
            let ends = plan.subjects().map(|it| self.rounds_end(cell, &it.name, round, until));
            if ends.collect::<Vec<_>>().iter().all(|it| !it.is_empty()) {
                break;
            }
        }
        Ok(())
    }

    fn trial(&mut self, trial: &Trial<'_>, until: Duration) -> Result<(), End> {
        let outcome = match self.gone.get(&trial.target.name) {
            Some(how) => Outcome::Skipped(how.clone()),
            None => trial.run(self.executor, self.watch)?,
        };
        if let Outcome::Invalid(Invalid { why, is_target_gone: true, .. }) = &outcome {
            self.gone.insert(trial.target.name.clone(), why.clone());
        }
        let (rows, lines) = self.rows_of(trial, &outcome, until);
        self.keep.keep(&rows, &lines)?;
        self.rows.extend(rows);
        if self.plan.subjects().all(|it| self.gone.contains_key(&it.name)) {
            let how = self.gone.get(&trial.target.name).cloned().unwrap_or_default();
            return Err(End::NobodyLeft(how));
        }
        if let Outcome::Measured { topic_stays: Some((topic, reason)), .. } = outcome {
            let target = trial.target.name.clone();
            return Err(End::TopicStays { target, topic, reason });
        }
        Ok(())
    }

    /// The rows of a trial, and its histograms. What is told of a trial that gave none is told here too.
    fn rows_of(&mut self, trial: &Trial<'_>, outcome: &Outcome, until: Duration) -> (Vec<Row>, Vec<u8>) {
        let refused = |validity: &str, why: &str| {
            let of = |workload| rows::refused(rows::named(self.common, trial, workload), validity, why);
            trial.workloads().map(of).collect::<Vec<Row>>()
        };
        let (rows, lines) = match outcome {
            Outcome::Skipped(why) => (refused(validity::SKIPPED, why), Vec::new()),
            Outcome::Invalid(invalid) => (refused(validity::INVALID, &invalid.why), Vec::new()),
            Outcome::Measured { rounds, .. } => (
                rounds.iter().map(|it| rows::row(self.common, trial, it)).collect(),
                rounds.iter().flat_map(|it| it.measured.lines.iter().copied()).collect(),
            ),
        };
        for row in rows.iter().filter(|it| !it.is_measured()) {
            self.watch.refused(&row.target, &row.workload, row.round, &row.why);
        }
        let rows = rows.into_iter().map(|row| self.judged(trial, row, until)).collect();
        (rows, lines)
    }

    /// A subject's row with its share of a ceiling, and whether more rounds are due.
    fn judged(&self, trial: &Trial<'_>, mut row: Row, until: Duration) -> Row {
        if trial.target.role != Role::Subject {
            return row;
        }
        row.rounds_end = self.rounds_end_with(trial, &row, until).to_owned();
        if let Some(own) = rows::mark(&row).filter(|_| row.rate_records_s.is_none()) {
            match ceiling::share(own, &self.ceilings(&row)) {
                Ok((name, share)) => (row.ceiling, row.ceiling_share) = (name.to_owned(), Some(share)),
                Err(why) => row.ceiling_why = why,
            }
        }
        row
    }

    /// What the ceilings reached in the round of a row, in the order of the work that they do.
    fn ceilings(&self, row: &Row) -> Vec<Ceiling<'_>> {
        let of = |target: &'a Target| {
            let same = |it: &&Row| it.target == target.name && it.workload == row.workload && it.round == row.round;
            let mark = self.rows.iter().find(same).and_then(rows::mark)?;
            Some(Ceiling { name: &target.name, mark })
        };
        self.plan.targets.iter().filter(|it| it.role == Role::Ceiling).filter_map(of).collect()
    }

    fn is_kept(&self, trial: &Trial<'_>) -> bool {
        let same = |it: &&Row| {
            it.target == trial.target.name && it.round == trial.round && it.workload == trial.cell.workload.name
        };
        self.rows.iter().find(same).is_some_and(|it| it.validity != validity::SKIPPED)
    }

    /// Why a target needs no round after this one: `interval`, `time`, `most`; empty where it does.
    fn rounds_end(&self, cell: &Cell, target: &str, round: u32, until: Duration) -> &'static str {
        let names = std::iter::once(&cell.workload).chain(&cell.reader).map(|it| it.name.as_str());
        let within = |workload: &str| {
            let rates = self.rates(workload, target);
            Spread::of(rates).is_some_and(|it| it.is_within(self.plan.stopping.half_width_max))
        };
        self.end_of(cell, round, until, names.into_iter().all(within))
    }

    /// The same for a row that is not kept yet, by its own workload alone.
    fn rounds_end_with(&self, trial: &Trial<'_>, row: &Row, until: Duration) -> &'static str {
        let rates = self.rates(&row.workload, &row.target).chain(row.mb_s.filter(|_| row.is_measured()));
        let within = Spread::of(rates).is_some_and(|it| it.is_within(self.plan.stopping.half_width_max));
        self.end_of(trial.cell, trial.round, until, within)
    }

    fn end_of(&self, cell: &Cell, round: u32, until: Duration, is_within: bool) -> &'static str {
        match () {
            () if round < cell.workload.rounds => "",
            // A fixed rate is not measured by its rate.
            () if is_within || cell.workload.kind == Kind::Latency => "interval",
            () if round >= self.plan.rounds_max(cell) => "most",
            () if self.executor.elapsed() >= until => "time",
            () => "",
        }
    }

    fn rates(&self, workload: &str, target: &str) -> impl Iterator<Item = f64> {
        let own = move |it: &&Row| it.is_measured() && it.workload == workload && it.target == target;
        self.rows.iter().filter(own).filter_map(|it| it.mb_s)
    }
}

#[cfg(test)]
mod tests;
