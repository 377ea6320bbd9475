//! One trial: one target's turn in one round of one cell, from a fresh topic to its deletion.

use std::time::Duration;

use super::outcome::{Invalid, Measured, Outcome, Produced, Reading, Round, RunError, Seen};
use super::{Cell, End, Executor, Watch};
use crate::measure::ledger::{LedgerFile, Verdict, settle};
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

impl Invalid {
    /// The reason why a trial failed is worth more than the one why its topic stays; but a broker that nobody found dead before
    /// explains both.
    fn after(self, deleted: Option<Failure>) -> Self {
        match deleted {
            Some(Failure::Invalid(gone)) if gone.is_target_gone => {
                Self { why: format!("{}; {}", gone.why, self.why), is_target_gone: true, ..self }
            }
            _ => self,
        }
    }
}

/// Why a ledger that does not add up gives no figures. Records of a topic that somebody deleted are not the broker's loss.
fn unsettled(who: Option<&str>, verdict: &Verdict, resent: u64, is_topic_there: bool) -> Invalid {
    if !is_topic_there {
        let why = format!("the topic was deleted by somebody else while it was measured ({verdict})");
        return Invalid { why, ..Invalid::default() };
    }
    let who = who.map_or_else(String::new, |who| format!(" for {who}"));
    let why = format!("{LEDGER_FAULT}{who}: {verdict}; {resent} records were sent again");
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
                // The person waits: what can still be tidied up is.
                if let Err(error) = executor.delete_topic(self.target, &topic) {
                    watch.topic_stays(&self.target.name, &topic, &error.to_string());
                }
                Err(End::Interrupted)
            }
            Err(Failure::Invalid(invalid)) if invalid.is_target_gone => Ok(Outcome::Invalid(invalid)),
            Err(Failure::Invalid(invalid)) => {
                let deleted = executor.delete_topic(self.target, &topic);
                if let Err(error @ RunError::Client { .. }) = &deleted {
                    watch.topic_stays(&self.target.name, &topic, &error.to_string());
                }
                Ok(Outcome::Invalid(invalid.after(deleted.map_err(Failure::from).err())))
            }
            Ok(rounds) => {
                let gone = match executor.delete_topic(self.target, &topic) {
                    Ok(()) => None,
                    Err(error @ RunError::BrokerGone(_)) => Some(error.to_string()),
                    Err(error) => {
                        watch.topic_stays(&self.target.name, &topic, &error.to_string());
                        None
                    }
                };
                Ok(Outcome::Measured { rounds, gone })
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
            Role::Subject if self.target.client.is_none() => self.settled(executor, watch, topic, produced),
            Role::Subject | Role::Ceiling => self.without_ledger(executor, watch, topic, produced),
        }
    }

    /// Settles what was read beside the writers, or else reads everything back: all that was acknowledged was read, once
    /// and in order, by whoever read it.
    fn settled(
        &self,
        executor: &mut dyn Executor,
        watch: &mut dyn Watch,
        topic: &str,
        mut produced: Produced,
    ) -> Half<Vec<Round>> {
        let (written, reader) = (&self.cell.workload, self.cell.reader.as_ref());
        let mut verdict = None;
        for seen in &produced.seen {
            let (own, reread) = self.verdict_of(executor, topic, &produced, seen)?;
            produced.measured.along.iter_mut().for_each(|along| along.reread_records += reread);
            verdict.get_or_insert(own);
        }
        let mut consumed = None;
        if reader.is_some() || verdict.is_none() {
            let what = reader.map_or_else(|| format!("reading {} back", written.name), |it| it.name.clone());
            self.tell(watch, &what, written.measured_s);
            let reading = Reading::Back(&produced.ledger);
            let read = executor.consume(self, reader.unwrap_or(written), topic, reading)?;
            let own = settle(&produced.ledger.writers, &read.ledger);
            if !produced.ledger.explains(&own) {
                return Err(self.fault(executor, topic, None, &own, produced.measured.retried_records)?);
            }
            verdict = Some(own);
            consumed = Some(read.measured);
        }
        // What an operation cost is told, not held against it.
        let may_fail = self.cell.workload.operates_on_target();
        // Those that the broker refused for good, and those whose time was over first: of these the ledger knows nothing.
        let given_up = produced.measured.given_up_records.max(verdict.map_or(0, |it| it.failed));
        if given_up > 0 && !may_fail {
            let reason = produced.first_failure.unwrap_or_default();
            let why = format!("{given_up} records were given up, the first with: {reason}");
            return Err(Failure::Invalid(Invalid { why, ..Invalid::default() }));
        }
        let mut rounds = vec![self.round(written, produced.measured, verdict)];
        rounds.extend(reader.zip(consumed).map(|(it, measured)| self.round(it, measured, verdict)));
        Ok(rounds)
    }

    /// What one of those who read beside saw, and how many records it read again because partitions went from one member to
    /// another: a group gives each record once or more often, never less.
    fn verdict_of(
        &self,
        executor: &mut dyn Executor,
        topic: &str,
        produced: &Produced,
        seen: &Seen,
    ) -> Half<(Verdict, u64)> {
        let verdict = settle(&produced.ledger.writers, &seen.ledger);
        let LedgerFile { resent, .. } = &produced.ledger;
        let explained = if seen.moved_partitions > 0 { u64::MAX } else { resent.unwrap_or(u64::MAX) };
        if verdict.explained_by(explained) {
            return Ok((verdict, if seen.moved_partitions > 0 { verdict.doubled } else { 0 }));
        }
        Err(self.fault(executor, topic, Some(&seen.name), &verdict, produced.measured.retried_records)?)
    }

    fn fault(
        &self,
        executor: &mut dyn Executor,
        topic: &str,
        who: Option<&str>,
        verdict: &Verdict,
        resent: u64,
    ) -> Half<Failure> {
        let is_there = executor.is_topic_there(self.target, topic)?;
        Ok(Failure::Invalid(unsettled(who, verdict, resent, is_there)))
    }

    /// Reads where no ledger can settle it. Of another program the executor held the broker's offsets against its words; a
    /// ceiling keeps nothing, and is read for as long as the reader measures.
    fn without_ledger(
        &self,
        executor: &mut dyn Executor,
        watch: &mut dyn Watch,
        topic: &str,
        produced: Produced,
    ) -> Half<Vec<Round>> {
        let mut rounds = vec![self.round(&self.cell.workload, produced.measured, None)];
        if let Some(reader) = self.cell.reader.as_ref().filter(|_| self.target.keeps_reading()) {
            self.tell(watch, &reader.name, reader.measured_s);
            let reading = match self.target.role {
                Role::Subject => Reading::Back(&produced.ledger),
                Role::Ceiling => Reading::For(Duration::from_secs_f64(reader.measured_s)),
            };
            let read = executor.consume(self, reader, topic, reading)?;
            rounds.push(self.round(reader, read.measured, None));
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
