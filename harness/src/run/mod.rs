//! The run: which target is measured when, and what makes its numbers fit to be published.
//!
//! ```text
//!   for each produce or latency workload, for each round:        A B C A B C ..
//!     A  the subject        create a topic, write, read all of it back, settle the ledger, delete the topic
//!     B  null-receive       write; where a consume workload reads this one, read for as long
//!     C  null-append        write
//! ```
//!
//! A round against the subject gives one row for the workload and one for the consume workload that reads it. The order
//! is fixed, so that what the machine does meanwhile meets every target alike; the share of a target is taken between
//! rounds of the same number.
//!
//! Invariants:
//! - Every record that the subject acknowledged was read back, once and in order, before any number of the run is given
//!   out. One verdict that does not add up ends the run.
//! - What runs, in which order and with what consequence is decided here, without I/O; an [`Executor`] does it.

#![allow(clippy::disallowed_methods, reason = "reads profiles, meets brokers over plain sockets, reads the clock")]

pub mod kafka;
pub mod rows;

#[cfg(test)]
pub(crate) mod mock;

use std::time::Duration;

use crate::host::Usage;
use crate::measure::Latencies;
use crate::measure::ledger::{ReadLedger, Verdict, WriteLedger, settle};
use crate::spec::{Kind, Workload};

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// The broker that the run is about.
    Subject,
    /// The null broker that receives and answers.
    NullReceive,
    /// The null broker that also appends to a growing file.
    NullAppend,
}

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The workloads in order.
    pub workloads: Vec<Workload>,
    /// The targets in order; the subject is among them.
    pub targets: Vec<Target>,
    /// The subject's name in rows: `ringlog` or `kafka`.
    pub subject: String,
}

/// What one executed load gave.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// When it began, ISO 8601 in UTC.
    pub time: String,
    /// Beginning of the measured time, counted from the run's beginning.
    pub start: Duration,
    /// Records acknowledged or read in the measured time.
    pub records: u64,
    /// Their values' bytes.
    pub bytes: u64,
    /// Processor time and pressure of the measured time.
    pub usage: Usage,
    /// A pair of histograms for each second; empty for a consumer.
    pub seconds: Vec<Latencies>,
    /// Records that were sent more than once, warm-up included but not the first of each partition: the broker or the connection refused them at first.
    pub retried_records: u64,
}

/// What writing gave: numbers, and the account of all that was written, warm-up included.
#[derive(Clone, Debug)]
pub struct Produced {
    /// The numbers.
    pub measured: Measured,
    /// The account.
    pub ledger: WriteLedger,
}

/// What is read.
#[derive(Clone, Copy, Debug)]
pub enum Reading<'a> {
    /// Everything that was acknowledged (the broker keeps records).
    Back(&'a WriteLedger),
    /// Whatever comes, for a time (the null broker's one batch).
    For(Duration),
}

/// What reading gave.
#[derive(Clone, Debug)]
pub struct Consumed {
    /// The numbers.
    pub measured: Measured,
    /// What was seen of every record; empty where the null broker was read.
    pub ledger: ReadLedger,
}

/// Does what the run decides.
pub trait Executor {
    /// Makes a fresh topic for one round and gives its name.
    fn create_topic(&mut self, target: Target, workload: &Workload) -> Result<String, RunError>;
    /// Writes.
    fn produce(&mut self, target: Target, workload: &Workload, topic: &str) -> Result<Produced, RunError>;
    /// Reads.
    fn consume(
        &mut self,
        target: Target,
        workload: &Workload,
        topic: &str,
        reading: Reading<'_>,
    ) -> Result<Consumed, RunError>;
    /// Deletes a round's topic.
    fn delete_topic(&mut self, target: Target, topic: &str) -> Result<(), RunError>;
}

/// Hears what is going on.
pub trait Watch {
    /// A step begins (`what`, e.g. `reading produce-1k back`); it takes about so long.
    fn step(&mut self, target: Target, what: &str, round: u32, about: Duration);
}

/// Why a run gave no numbers.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Acknowledged records are missing, doubled, out of order or changed.
    #[error(
        "{workload}, round {round}: the ledger does not add up: {verdict}; {retried_records} records were sent again"
    )]
    Ledger {
        /// The workload.
        workload: String,
        /// Its round.
        round: u32,
        /// The account.
        verdict: Box<Verdict>,
        /// Records that the client sent more than once. Without idempotence that alone can double or reorder them.
        retried_records: u64,
    },
    /// Nothing was acknowledged.
    #[error("{workload} against {target}: no record was acknowledged in the measured time")]
    Nothing {
        /// The workload.
        workload: String,
        /// The target's name.
        target: String,
    },
    /// The client could not go on.
    #[error("{what}: {reason}")]
    Client {
        /// What was under way.
        what: String,
        /// The client's words.
        reason: String,
    },
    /// The broker's process ended.
    #[error("the broker's process ended: {0}")]
    BrokerGone(String),
    /// The person pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl RunError {
    /// An error of the client while something was under way.
    pub fn client(what: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Client { what: what.into(), reason: reason.to_string() }
    }
}

/// One executed load, with the place it has in the run.
#[derive(Clone, Debug)]
pub struct Round {
    /// The workload as it ran.
    pub workload: Workload,
    /// Who was measured.
    pub target: Target,
    /// From 1.
    pub number: u32,
    /// The numbers.
    pub measured: Measured,
    /// The account of the round's records, where they were read back.
    pub verdict: Option<Verdict>,
}

impl Plan {
    /// A target's name in rows.
    #[must_use]
    pub fn name_of(&self, target: Target) -> &str {
        match target {
            Target::Subject => &self.subject,
            Target::NullReceive => crate::yardstick::Mode::Receive.target(),
            Target::NullAppend => crate::yardstick::Mode::Append.target(),
        }
    }

    /// Measured seconds of all rounds of all targets together, reading back left out.
    #[must_use]
    pub fn measured_s(&self) -> f64 {
        let of = |it: &Workload| it.measured_s * f64::from(it.rounds) * self.targets_of(it).len() as f64;
        self.workloads.iter().filter(|it| it.kind != Kind::Consume).map(of).sum()
    }

    /// How often a [`Watch`] is told of a step.
    #[must_use]
    pub fn steps(&self) -> u64 {
        let of_target = |workload: &Workload, target: Target| match target {
            Target::Subject => 2,
            Target::NullReceive => 1 + u64::from(self.reader_of(workload).is_some()),
            Target::NullAppend => 1,
        };
        let of = |it: &Workload| {
            let a_round: u64 = self.targets_of(it).into_iter().map(|target| of_target(it, target)).sum();
            u64::from(it.rounds) * a_round
        };
        self.workloads.iter().filter(|it| it.kind != Kind::Consume).map(of).sum()
    }

    /// The targets that take part in a workload. The fixed-rate one is about the subject alone: a yardstick of
    /// throughput says nothing there.
    fn targets_of(&self, workload: &Workload) -> Vec<Target> {
        let wanted = |target: &Target| workload.kind == Kind::Produce || *target == Target::Subject;
        self.targets.iter().copied().filter(wanted).collect()
    }

    /// The consume workload that reads what this one wrote.
    fn reader_of(&self, workload: &Workload) -> Option<&Workload> {
        self.workloads.iter().find(|it| it.of.as_deref() == Some(&workload.name))
    }
}

/// Runs the plan. The rounds come in the order in which they ran.
pub fn run(plan: &Plan, executor: &mut dyn Executor, watch: &mut dyn Watch) -> Result<Vec<Round>, RunError> {
    let mut rounds = Vec::new();
    for workload in plan.workloads.iter().filter(|it| it.kind != Kind::Consume) {
        for number in 1..=workload.rounds {
            for target in plan.targets_of(workload) {
                let mut step = Step { plan, workload, target, number, executor: &mut *executor, watch: &mut *watch };
                rounds.extend(step.run()?);
            }
        }
    }
    Ok(rounds)
}

/// One target's turn in one round of one workload.
struct Step<'a> {
    plan: &'a Plan,
    workload: &'a Workload,
    target: Target,
    number: u32,
    executor: &'a mut dyn Executor,
    watch: &'a mut dyn Watch,
}

impl Step<'_> {
    fn run(&mut self) -> Result<Vec<Round>, RunError> {
        self.tell(&self.workload.name, self.workload.round_s());
        let topic = self.executor.create_topic(self.target, self.workload)?;
        let produced = self.executor.produce(self.target, self.workload, &topic)?;
        self.refuse_nothing(&produced.measured)?;
        let rounds = match self.target {
            Target::Subject => self.read_back(&topic, produced)?,
            Target::NullReceive => self.read_for_a_while(&topic, produced)?,
            Target::NullAppend => vec![self.round(self.workload, produced.measured, None)],
        };
        self.executor.delete_topic(self.target, &topic)?;
        Ok(rounds)
    }

    fn read_back(&mut self, topic: &str, produced: Produced) -> Result<Vec<Round>, RunError> {
        let reader = self.plan.reader_of(self.workload);
        let profile = reader.unwrap_or(self.workload);
        let what = reader.map_or_else(|| format!("reading {} back", self.workload.name), |it| it.name.clone());
        self.tell(&what, self.workload.measured_s);
        let reading = Reading::Back(&produced.ledger);
        let consumed = self.executor.consume(self.target, profile, topic, reading)?;
        let verdict = settle(std::slice::from_ref(&produced.ledger), &consumed.ledger);
        if !verdict.adds_up() {
            let (workload, round) = (self.workload.name.clone(), self.number);
            return Err(RunError::Ledger {
                workload,
                round,
                verdict: Box::new(verdict),
                retried_records: produced.measured.retried_records,
            });
        }
        let mut rounds = vec![self.round(self.workload, produced.measured, Some(verdict))];
        rounds.extend(reader.map(|it| self.round(it, consumed.measured, Some(verdict))));
        Ok(rounds)
    }

    fn read_for_a_while(&mut self, topic: &str, produced: Produced) -> Result<Vec<Round>, RunError> {
        let mut rounds = vec![self.round(self.workload, produced.measured, None)];
        if let Some(reader) = self.plan.reader_of(self.workload) {
            self.tell(&reader.name, reader.measured_s);
            let reading = Reading::For(Duration::from_secs_f64(reader.measured_s));
            let consumed = self.executor.consume(self.target, reader, topic, reading)?;
            rounds.push(self.round(reader, consumed.measured, None));
        }
        Ok(rounds)
    }

    fn refuse_nothing(&self, measured: &Measured) -> Result<(), RunError> {
        if measured.records > 0 {
            return Ok(());
        }
        let target = self.plan.name_of(self.target).to_owned();
        Err(RunError::Nothing { workload: self.workload.name.clone(), target })
    }

    /// A round of `workload`; a reader takes the shape of what it read.
    fn round(&self, workload: &Workload, measured: Measured, verdict: Option<Verdict>) -> Round {
        let mut workload = workload.clone();
        workload.record_bytes = self.workload.record_bytes;
        workload.partitions = self.workload.partitions;
        Round { workload, target: self.target, number: self.number, measured, verdict }
    }

    fn tell(&mut self, what: &str, seconds: f64) {
        self.watch.step(self.target, what, self.number, Duration::from_secs_f64(seconds));
    }
}

#[cfg(test)]
mod tests {
    use super::mock::{Fault, Mock, Silent, plan};
    use super::*;

    fn order(mock: &Mock) -> String {
        mock.calls.join(" ")
    }

    #[test]
    fn targets_take_turns_and_the_subject_is_read_back_each_time() {
        let mut mock = Mock::default();
        let rounds = run(&plan(2), &mut mock, &mut Silent).unwrap();
        let turn = "create(Subject) produce(Subject) read-back(Subject) delete(Subject) \
                    create(NullReceive) produce(NullReceive) read-for(NullReceive) delete(NullReceive) \
                    create(NullAppend) produce(NullAppend) delete(NullAppend)";
        let last = "create(Subject) produce(Subject) read-back(Subject) delete(Subject)";
        assert_eq!(order(&mock), format!("{turn} {turn} {last}"));
        let names: Vec<(&str, u32)> = rounds.iter().map(|it| (it.workload.name.as_str(), it.number)).collect();
        let of_a_turn = |n| [("w", n), ("r", n), ("w", n), ("r", n), ("w", n)];
        assert_eq!(names, [of_a_turn(1).as_slice(), &of_a_turn(2), &[("fixed", 1)]].concat());
    }

    #[test]
    fn the_steps_that_are_announced_are_those_that_come() {
        struct Count(u64);
        impl Watch for Count {
            fn step(&mut self, _: Target, _: &str, _: u32, _: Duration) {
                self.0 += 1;
            }
        }
        let mut count = Count(0);
        run(&plan(3), &mut Mock::default(), &mut count).unwrap();
        assert_eq!(count.0, plan(3).steps());
    }

    #[test]
    fn a_lost_record_ends_the_run_with_its_account() {
        for (fault, wanted) in [(Fault::Lose, "1 lost"), (Fault::Double, "1 doubled"), (Fault::Swap, "1 out of order")]
        {
            let mut mock = Mock { fault: Some((2, fault)), ..Mock::default() };
            let error = run(&plan(3), &mut mock, &mut Silent).unwrap_err();
            let RunError::Ledger { ref workload, round, .. } = error else { panic!("{error}") };
            assert_eq!((workload.as_str(), round), ("w", 2));
            assert!(error.to_string().contains(wanted), "{error}");
        }
    }

    #[test]
    fn a_broker_that_acknowledges_nothing_gives_no_row() {
        let mut mock = Mock { silent: true, ..Mock::default() };
        let error = run(&plan(1), &mut mock, &mut Silent).unwrap_err().to_string();
        assert!(error.contains("w against ringlog: no record was acknowledged"), "{error}");
    }
}
