//! The run: its trials one after the other, and what makes their numbers fit to be published.
//!
//! ```text
//!   Course::next --> a turn: a cell (a workload, and what reads it back), a target, a round
//!     a ceiling    write; where a consume workload reads this one, read for as long
//!     a subject    create a topic, write, read all of it back (or beside, while it is written), settle the ledger, delete the topic
//!       --> Outcome = Measured | Invalid(why) | Skipped(why) --> rows, kept before the next trial begins
//!   until the course has no turn left
//! ```
//!
//! A trial against a subject gives one row for the workload and one for the consume workload that reads it. In a bench ceilings
//! come first, so that a subject's row knows its share of them, and subjects take turns in being first.
//!
//! Invariants:
//! - Every record that a subject acknowledged was read back, once and in order, before a figure of the trial is kept; where
//!   groups read beside the writers, by each of them. A client that is a program of its own has no ledger: there the broker is
//!   asked how many records it holds, and the row says so.
//! - A trial always ends in a row. Only what would make every further trial worthless ends the run: see [`End`].
//! - What runs, in which order and with what consequence is decided here and in the [`Course`], without I/O; an [`Executor`]
//!   does it, a [`Keep`] keeps it.

#![allow(clippy::disallowed_methods, reason = "the executor reads the clock")]

mod along;
mod beside;
pub mod bottleneck;
pub mod ceiling;
pub mod course;
mod gauge;
pub mod kafka;
mod outcome;
mod outside;
pub mod rows;
mod scraper;
mod service;
pub mod spread;
pub mod summary;
mod timeline;
mod trial;

#[cfg(test)]
pub(crate) mod mock;

use std::collections::BTreeMap;
use std::time::Duration;

pub use beside::ReadAlong;
pub use course::{Course, Left, Rounds, SoFar, Turn};
pub(crate) use outcome::NO_ROOM;
pub use outcome::{Consumed, Invalid, Measured, Outcome, Outside, Produced, Reading, Round, RunError, Seen};
pub use service::Disruption;
pub use timeline::Lagged;
pub use trial::{LEDGER_FAULT, Trial};

use crate::results::ResultsError;
use crate::results::columns::{Row, validity};
use crate::spec::{Kind, Workload};
use crate::target::{Role, Target};
use ceiling::Ceiling;
use rows::Common;

/// A warm-up writes no longer than this, whatever it was to write.
const WARM_UP_S_MAX: f64 = 60.0;
/// The least that it writes in the way of one cell, in MB.
const WARM_UP_MB_MIN: u64 = 100;

/// A workload, and the consume workload that reads what it wrote.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What is written.
    pub workload: Workload,
    /// What reads it back as a row of its own.
    pub reader: Option<Workload>,
}

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The cells in order.
    pub cells: Vec<Cell>,
    /// The targets: ceilings in the order of the work that they do, and subjects.
    pub targets: Vec<Target>,
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
    /// So much is still to come, where nothing unforeseen happens. Told before each trial.
    fn left(&mut self, left: Left);
    /// A step begins (`what`, e.g. `reading produce-1k back`); it takes about so long.
    fn step(&mut self, target: &str, what: &str, round: u32, about: Duration);
    /// A trial's topic could not be deleted, and why: the run goes on with another.
    fn topic_stays(&mut self, target: &str, topic: &str, why: &str);
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
    /// Every subject's process ended, or has no room any more.
    #[error("no broker is left to measure: {0}")]
    NobodyLeft(String),
}

impl Cell {
    /// The workload, and what reads it back.
    pub fn workloads(&self) -> impl Iterator<Item = &Workload> {
        std::iter::once(&self.workload).chain(&self.reader)
    }

    /// How often a [`Watch`] is told of a step of one trial.
    #[must_use]
    pub fn steps(&self, target: &Target) -> u64 {
        match target.role {
            Role::Subject if target.client.is_some() => 1 + u64::from(self.reader.is_some()),
            // What was read beside the writers is not read back.
            Role::Subject if self.workload.has_readers() && self.reader.is_none() => 1,
            Role::Subject => 2,
            Role::Ceiling => 1 + u64::from(self.reader.is_some() && target.keeps_reading()),
        }
    }
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

    /// How often a [`Watch`] is told of a step before the first trial.
    #[must_use]
    pub fn warm_up_steps(&self) -> u64 {
        let steps = |target| self.warm_up_cells(target).iter().map(|it| it.steps(target)).sum::<u64>();
        self.subjects().map(steps).sum()
    }

    /// What a target writes and reads before its first round: a share of its megabytes in the way of each cell (of cells from
    /// first to last, where there are many). A JVM compiles what it runs, and that is another thing in another codec or size.
    fn warm_up_cells(&self, target: &Target) -> Vec<Cell> {
        let ways =
            self.cells.len().min(usize::try_from(target.warm_up_mb / WARM_UP_MB_MIN).unwrap_or(usize::MAX).max(1));
        if target.warm_up_mb == 0 || ways == 0 {
            return Vec::new();
        }
        let megabytes_max = Some(target.warm_up_mb / ways as u64);
        let (warmup_s, measured_s) = (0.0, WARM_UP_S_MAX / ways as f64);
        let cells = (0..ways).map(|way| &self.cells[way * self.cells.len() / ways]);
        let plain = cells.map(|cell| {
            let workload =
                Workload { warmup_s, measured_s, megabytes_max, rate_records_s: None, ..cell.workload.clone() };
            let workload = Workload { kind: Kind::Produce, groups: 0, catch_up: 0, backlog_megabytes: 0, ..workload };
            Cell { workload: Workload { events: Vec::new(), ..workload }, reader: cell.reader.clone() }
        });
        plain.collect()
    }

    /// The targets of a round in their order. A fixed rate is about subjects alone: a ceiling of throughput says nothing
    /// there.
    #[must_use]
    pub fn targets_of(&self, cell: &Cell, round: u32) -> Vec<&Target> {
        let of = |role: Role| self.targets.iter().filter(move |it| it.role == role);
        let mut subjects: Vec<&Target> = of(Role::Subject).collect();
        let turn = (round as usize).saturating_sub(1) % subjects.len().max(1);
        subjects.rotate_left(turn);
        // A null broker keeps nothing that somebody could read beside the writers, or meet again.
        let is_plain = !cell.workload.has_readers() && cell.workload.events.is_empty();
        let has_ceilings = cell.workload.kind == Kind::Produce && is_plain;
        let ceilings = of(Role::Ceiling).filter(|_| has_ceilings);
        ceilings.chain(subjects).collect()
    }

    /// What the run is about.
    pub fn subjects(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().filter(|it| it.role == Role::Subject)
    }
}

/// What a run does: what, in which order and for how long, and what each of its rows repeats.
#[derive(Clone, Copy)]
pub struct Orders<'a> {
    /// What.
    pub plan: &'a Plan,
    /// In which order, and for how long.
    pub course: &'a dyn Course,
    /// What each row repeats.
    pub common: &'a Common,
}

/// A run that is under way: its rows so far say what is still to be done.
pub struct Run<'a> {
    plan: &'a Plan,
    course: &'a dyn Course,
    common: &'a Common,
    executor: &'a mut dyn Executor,
    keep: &'a mut dyn Keep,
    watch: &'a mut dyn Watch,
    rows: Vec<Row>,
    /// Rows of an earlier part.
    earlier: usize,
    /// Targets whose process ended, and how.
    gone: BTreeMap<String, String>,
}

impl<'a> Run<'a> {
    /// A run that goes on after these rows: none for a new one.
    #[must_use]
    pub fn new(
        Orders { plan, course, common }: Orders<'a>,
        executor: &'a mut dyn Executor,
        (keep, watch): (&'a mut dyn Keep, &'a mut dyn Watch),
        rows: Vec<Row>,
    ) -> Self {
        let earlier = rows.len();
        Self { plan, course, common, executor, keep, watch, rows, earlier, gone: BTreeMap::new() }
    }

    /// Runs all that is still to be run. Gives every row, also where the run ended early.
    pub fn run(mut self) -> (Vec<Row>, Result<(), End>) {
        let end = self.all();
        (self.rows, end)
    }

    fn all(&mut self) -> Result<(), End> {
        let (plan, course) = (self.plan, self.course);
        if course.next(plan, &self.so_far()).is_none() {
            return Ok(());
        }
        for target in plan.subjects().filter(|it| it.warm_up_mb > 0) {
            self.warm_up(target)?;
        }
        while let Some(turn) = course.next(plan, &self.so_far()) {
            let left = course.left(plan, &self.so_far());
            self.watch.left(left);
            self.turn(&turn)?;
        }
        Ok(())
    }

    fn so_far(&self) -> SoFar<'_> {
        SoFar { rows: &self.rows, earlier: self.earlier, elapsed: self.executor.elapsed() }
    }

    /// Writes and reads what a target wants before its first round. Nothing of it is kept: what goes wrong here goes wrong again
    /// in a trial, which says so.
    fn warm_up(&mut self, target: &Target) -> Result<(), End> {
        for cell in self.plan.warm_up_cells(target) {
            let trial = Trial { cell: &cell, target, round: 0, seed: self.plan.seed };
            trial.run(self.executor, self.watch)?;
        }
        Ok(())
    }

    fn turn(&mut self, turn: &Turn<'_>) -> Result<(), End> {
        let (cell, round, target) = (&*turn.cell, turn.round, turn.target);
        let trial = Trial { cell, target, round, seed: self.plan.seed.wrapping_add(u64::from(round)) };
        let outcome = match self.gone.get(&target.name) {
            Some(how) => Outcome::Skipped(how.clone()),
            None => trial.run(self.executor, self.watch)?,
        };
        if let Some(why) = gone_by(&outcome).or_else(|| full_by(&outcome, cell)) {
            self.gone.insert(target.name.clone(), why.to_owned());
        }
        let (rows, lines) = self.rows_of(&trial, &outcome);
        self.keep.keep(&rows, &lines)?;
        self.rows.extend(rows);
        if self.plan.subjects().all(|it| self.gone.contains_key(&it.name)) {
            let how = self.gone.get(&target.name).cloned().unwrap_or_default();
            return Err(End::NobodyLeft(how));
        }
        Ok(())
    }

    /// The rows of a trial, and its histograms. What is told of a trial that gave none is told here too.
    fn rows_of(&mut self, trial: &Trial<'_>, outcome: &Outcome) -> (Vec<Row>, Vec<u8>) {
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
        let rows = rows.into_iter().map(|row| self.judged(trial, row)).collect();
        (rows, lines)
    }

    /// A subject's row with its share of a ceiling, and what the course says of it.
    fn judged(&self, trial: &Trial<'_>, mut row: Row) -> Row {
        if trial.target.role != Role::Subject {
            return row;
        }
        self.course.mark(self.plan, &self.so_far(), trial, &mut row);
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
}

/// How a target's process ended in a trial, where it did.
fn gone_by(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Invalid(Invalid { why, is_target_gone: true, .. }) | Outcome::Measured { gone: Some(why), .. } => {
            Some(why)
        }
        _ => None,
    }
}

/// Whether a trial ended because the target's disk is full: it is full in the next one too, unless the trial filled it itself.
fn full_by<'a>(outcome: &'a Outcome, cell: &Cell) -> Option<&'a str> {
    match outcome {
        Outcome::Invalid(Invalid { why, .. }) if why.contains(NO_ROOM) && !cell.workload.operates_on_target() => {
            Some(why)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
