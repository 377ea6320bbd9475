//! One trial: one target's turn in one round of one cell, from a fresh topic to its deletion.

use std::time::Duration;

use super::outcome::{Invalid, Measured, Outcome, Produced, Reading, Round, RunError};
use super::{Cell, End, Executor, Watch};
use crate::measure::ledger::{Verdict, settle};
use crate::spec::Workload;
use crate::target::{Role, Target};

/// What the reason of a trial begins with whose acknowledged records are missing, doubled, out of order or changed.
pub const LEDGER_FAULT: &str = "the ledger does not add up";

/// What is tried.
#[derive(Clone, Copy, Debug)]
pub struct Trial<'a> {
    /// The workload and its reader.
    pub cell: &'a Cell,
    /// Who is measured.
    pub target: &'a Target,
    /// From 1.
    pub round: u32,
    /// Of what is random in it.
    pub seed: u64,
}

/// Either half of a trial: figures, or why there are none.
type Half<T> = Result<T, Failure>;

enum Failure {
    Interrupted,
    Invalid(Invalid),
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        // One line, whatever a broker's log said.
        let why = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        match error {
            RunError::Interrupted => Self::Interrupted,
            RunError::BrokerGone(_) => Self::Invalid(Invalid { why, is_target_gone: true, is_ledger: false }),
            RunError::Client { .. } => Self::Invalid(Invalid { why, ..Invalid::default() }),
        }
    }
}

/// Why a ledger that does not add up gives no figures. Records of a topic that somebody deleted are not the broker's loss.
fn unsettled(verdict: &Verdict, resent: u64, is_topic_there: bool) -> Invalid {
    if !is_topic_there {
        let why = format!("the topic was deleted by somebody else while it was measured ({verdict})");
        return Invalid { why, ..Invalid::default() };
    }
    let why = format!("{LEDGER_FAULT}: {verdict}; {resent} records were sent again");
    Invalid { why, is_ledger: true, is_target_gone: false }
}

impl Trial<'_> {
    /// The workloads that have a row each.
    pub(super) fn workloads(&self) -> impl Iterator<Item = &Workload> {
        let reader = self.cell.reader.as_ref().filter(|_| self.target.keeps_reading());
        std::iter::once(&self.cell.workload).chain(reader)
    }

    /// Runs it. Whatever goes wrong with the broker is an outcome; only an interrupted one ends the run.
    pub(super) fn run(&self, executor: &mut dyn Executor, watch: &mut dyn Watch) -> Result<Outcome, End> {
        self.tell(watch, &self.cell.workload.name, self.cell.workload.round_s());
        let topic = match executor.create_topic(self.target, &self.cell.workload).map_err(Failure::from) {
            Ok(topic) => topic,
            Err(Failure::Interrupted) => return Err(End::Interrupted),
            Err(Failure::Invalid(invalid)) => return Ok(Outcome::Invalid(invalid)),
        };
        let measured = self.measure(executor, watch, &topic);
        match measured {
            Err(Failure::Interrupted) => {
                // The person waits: what can still be tidied up is, and what cannot is not told.
                let _ = executor.delete_topic(self.target, &topic);
                Err(End::Interrupted)
            }
            Err(Failure::Invalid(invalid)) => {
                // The reason why the trial failed is worth more than the one why its topic stays.
                let _ = (!invalid.is_target_gone).then(|| executor.delete_topic(self.target, &topic));
                Ok(Outcome::Invalid(invalid))
            }
            Ok(rounds) => {
                let deleted = executor.delete_topic(self.target, &topic);
                let topic_stays = deleted.err().map(|error| (topic, error.to_string()));
                Ok(Outcome::Measured { rounds, topic_stays })
            }
        }
    }

    fn measure(&self, executor: &mut dyn Executor, watch: &mut dyn Watch, topic: &str) -> Half<Vec<Round>> {
        let produced = executor.produce(self, &self.cell.workload, topic)?;
        if produced.measured.records == 0 {
            let reason =
                produced.first_failure.map_or_else(String::new, |it| format!("; the first was refused with: {it}"));
            let why = format!("no record was acknowledged in the measured time{reason}");
            return Err(Failure::Invalid(Invalid { why, ..Invalid::default() }));
        }
        match self.target.role {
            Role::Subject => self.read_back(executor, watch, topic, produced),
            Role::Ceiling => self.read_for_a_while(executor, watch, topic, produced),
        }
    }

    fn read_back(
        &self,
        executor: &mut dyn Executor,
        watch: &mut dyn Watch,
        topic: &str,
        produced: Produced,
    ) -> Half<Vec<Round>> {
        let (written, reader) = (&self.cell.workload, self.cell.reader.as_ref());
        let what = reader.map_or_else(|| format!("reading {} back", written.name), |it| it.name.clone());
        self.tell(watch, &what, written.measured_s);
        let reading = Reading::Back(&produced.ledger);
        let consumed = executor.consume(self, reader.unwrap_or(written), topic, reading)?;
        let verdict = settle(&produced.ledger.writers, &consumed.ledger);
        if !produced.ledger.explains(&verdict) {
            let is_there = executor.is_topic_there(self.target, topic)?;
            return Err(Failure::Invalid(unsettled(&verdict, produced.measured.retried_records, is_there)));
        }
        if verdict.failed > 0 {
            let reason = produced.first_failure.unwrap_or_default();
            let why = format!("{} records were refused, the first with: {reason}", verdict.failed);
            return Err(Failure::Invalid(Invalid { why, ..Invalid::default() }));
        }
        let mut rounds = vec![self.round(written, produced.measured, Some(verdict))];
        rounds.extend(reader.map(|it| self.round(it, consumed.measured, Some(verdict))));
        Ok(rounds)
    }

    fn read_for_a_while(
        &self,
        executor: &mut dyn Executor,
        watch: &mut dyn Watch,
        topic: &str,
        produced: Produced,
    ) -> Half<Vec<Round>> {
        let mut rounds = vec![self.round(&self.cell.workload, produced.measured, None)];
        if let Some(reader) = self.cell.reader.as_ref().filter(|_| self.target.keeps_reading()) {
            self.tell(watch, &reader.name, reader.measured_s);
            let reading = Reading::For(Duration::from_secs_f64(reader.measured_s));
            let consumed = executor.consume(self, reader, topic, reading)?;
            rounds.push(self.round(reader, consumed.measured, None));
        }
        Ok(rounds)
    }

    fn round(&self, workload: &Workload, measured: Measured, verdict: Option<Verdict>) -> Round {
        Round { workload: workload.clone(), measured, verdict }
    }

    fn tell(&self, watch: &mut dyn Watch, what: &str, seconds: f64) {
        watch.step(&self.target.name, what, self.round, Duration::from_secs_f64(seconds));
    }
}
