//! An executor that measures nothing and remembers what it was asked to do, and a keeper that keeps in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{
    Cell, Consumed, Executor, Keep, Left, Measured, NO_ROOM, Plan, Produced, ReadAlong, Reading, Rounds, RunError,
    Seen, Trial, Watch,
};
use crate::client::properties::Properties;
use crate::host::{CoreShare, ProcessUsage, Usage};
use crate::measure::ledger::{LedgerFile, ReadLedger, WriteLedger};
use crate::measure::{Latencies, Sample, SampleSink};
use crate::results::ResultsError;
use crate::results::columns::Row;
use crate::spec::{Kind, Workload};
use crate::target::{Start, Target};
use crate::yardstick::Mode;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A record is not read back.
    Lose,
    /// A record is read twice.
    Double,
    /// Two records are read in the wrong order.
    Swap,
    /// Somebody deletes the topic.
    Vanish,
    /// The time of a record is over before anybody says what became of it.
    TimeOut,
    /// A record is refused.
    GiveUp,
    /// Nothing is acknowledged.
    Silence,
    /// The client gives up.
    Refuse,
    /// The broker's process ends.
    Die,
    /// It ends, and the client only hears nothing any more: it is missed where the topic is to be deleted.
    DieUnnoticed,
    /// It ends when all of the trial is measured.
    DieLast,
    /// The topic cannot be deleted.
    Keep,
    /// The broker's disk is full.
    Full,
    /// The person presses Ctrl-C.
    Interrupt,
}

/// Gives ten records a round, 1000 bytes each: in one second, or what `seconds` says.
pub(crate) struct Mock {
    /// What was asked, in order.
    pub(crate) calls: Vec<String>,
    /// A fault, and the trial against the subject (from 1) that has it.
    pub(crate) fault: Option<(u32, Fault)>,
    /// Seconds of the subject's rounds, the first round's first; the last one holds for all others.
    pub(crate) seconds: Vec<f64>,
    /// What every trial adds to the clock.
    pub(crate) trial_s: f64,
    pub(crate) elapsed_s: f64,
    /// Records that the producer says it sent again.
    pub(crate) resent: u64,
    /// Partitions that went from one member of a group to another.
    pub(crate) moved_partitions: u64,
    pub(crate) trials: u32,
    pub(crate) values: Vec<Vec<u8>>,
}

impl Default for Mock {
    fn default() -> Self {
        let (calls, values) = (Vec::new(), Vec::new());
        Self {
            calls,
            fault: None,
            seconds: vec![1.0],
            trial_s: 1.0,
            elapsed_s: 0.0,
            resent: 0,
            moved_partitions: 0,
            trials: 0,
            values,
        }
    }
}

/// Keeps rows in memory, as long as it can.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) rows: Vec<Row>,
    pub(crate) lines: Vec<u8>,
    /// Fails once so many rows are there.
    pub(crate) full_at: Option<usize>,
}

/// Hears and says nothing, but counts.
#[derive(Default)]
pub(crate) struct Silent {
    pub(crate) steps: u64,
    pub(crate) left: Vec<Left>,
    pub(crate) refused: Vec<String>,
    pub(crate) stays: Vec<String>,
}

impl Keep for Memory {
    fn keep(&mut self, rows: &[Row], lines: &[u8]) -> Result<(), ResultsError> {
        if self.full_at.is_some_and(|it| self.rows.len() >= it) {
            return Err(ResultsError::TooMany("full".into()));
        }
        self.rows.extend_from_slice(rows);
        self.lines.extend_from_slice(lines);
        Ok(())
    }
}

impl Watch for Silent {
    fn left(&mut self, left: Left) {
        self.left.push(left);
    }

    fn step(&mut self, _: &str, _: &str, _: u32, _: Duration) {
        self.steps += 1;
    }

    fn topic_stays(&mut self, target: &str, topic: &str, why: &str) {
        self.stays.push(format!("{target} {topic}: {why}"));
    }

    fn refused(&mut self, target: &str, what: &str, round: u32, why: &str) {
        self.refused.push(format!("{target} {what} {round}: {why}"));
    }
}

/// A workload `w` of so many rounds at least, its reader `r`, and a fixed-rate workload of one round, against one subject and
/// both null brokers.
pub(crate) fn plan(rounds: u32) -> Plan {
    let mut workloads = crate::spec::workload::load(None).unwrap();
    workloads.retain(|it| it.name != "produce-large");
    workloads[0].name = "w".to_owned();
    workloads[0].rounds = rounds;
    workloads[1].name = "r".to_owned();
    workloads[1].of = Some("w".to_owned());
    workloads[2].name = "fixed".to_owned();
    workloads[2].rounds = 1;
    assert_eq!(workloads[2].kind, Kind::Latency);
    let fixed = Cell { workload: workloads.remove(2), reader: None };
    let written = Cell { reader: workloads.pop(), workload: workloads.remove(0) };
    let targets = vec![Target::null(Mode::Receive), Target::null(Mode::Append), subject("ringlog")];
    Plan { cells: vec![written, fixed], targets, seed: 7 }
}

/// Ends at 5 % to either side, or after two rounds more than these, or when so many seconds are over.
pub(crate) fn until(rounds: u32, time_s: u64) -> Rounds {
    Rounds { half_width_max: 0.05, rounds_max: rounds + 2, time_max: Duration::from_secs(time_s) }
}

/// A subject that runs already.
pub(crate) fn subject(name: &str) -> Target {
    Target::new(name, Start::Remote { client: Properties::new(), pids: Vec::new() })
}

/// A process that used so much and half of a core.
pub(crate) fn process(cpu_ms: u64) -> ProcessUsage {
    let busiest = CoreShare { thread: "mock".to_owned(), ran: 0.5, waited: 0.0 };
    ProcessUsage { cpu_ns: cpu_ms * 1_000_000, busiest, ..ProcessUsage::default() }
}

impl Mock {
    fn has(&self, trial: &Trial<'_>, fault: Fault) -> bool {
        let of_subject = trial.target.keeps_reading() && !trial.target.name.starts_with("null-");
        of_subject && self.fault == Some((self.trials, fault))
    }

    fn measured(&self, trial: &Trial<'_>) -> Measured {
        let is_silent = self.has(trial, Fault::Silence) || self.has(trial, Fault::DieUnnoticed);
        let records = if is_silent { 0 } else { 10 };
        let mut latencies = Latencies::new();
        for at in 1..=records {
            latencies.sample(&Sample { intended_ns: 0, sent_ns: 500, done_ns: at * 1000, bytes: 1000 });
        }
        let is_null = trial.target.name.starts_with("null-");
        let at = (trial.round as usize - 1).min(self.seconds.len() - 1);
        let mut target = process(20);
        // A null broker whose core is used up is a ceiling.
        target.busiest.ran = if is_null { 1.0 } else { 0.5 };
        Measured {
            time: "2026-01-02T03:04:05Z".to_owned(),
            records,
            bytes: records * 1000,
            usage: Usage {
                wall_s: if is_null { 0.5 } else { self.seconds[at] },
                target: Some(target),
                client: process(10),
                ..Usage::default()
            },
            latencies,
            lines: b"a line\n".to_vec(),
            settings: BTreeMap::from([("acks".to_owned(), "1".to_owned())]),
            ..Measured::default()
        }
    }

    fn check(&self, trial: &Trial<'_>) -> Result<(), RunError> {
        match self.fault {
            _ if self.has(trial, Fault::Refuse) => Err(RunError::client("w", "TOPIC_AUTHORIZATION_FAILED")),
            _ if self.has(trial, Fault::Full) => Err(RunError::client("w", NO_ROOM)),
            _ if self.has(trial, Fault::Die) => Err(RunError::BrokerGone("killed by signal 9".to_owned())),
            _ if self.has(trial, Fault::Interrupt) => Err(RunError::Interrupted),
            _ => Ok(()),
        }
    }
}

impl Executor for Mock {
    fn create_topic(&mut self, target: &Target, _: &Workload) -> Result<String, RunError> {
        self.trials += u32::from(!target.name.starts_with("null-"));
        self.elapsed_s += self.trial_s;
        self.calls.push(format!("create({})", target.name));
        Ok("topic".to_owned())
    }

    fn produce(&mut self, trial: &Trial<'_>, workload: &Workload, _: &str) -> Result<Produced, RunError> {
        self.calls.push(format!("produce({})", trial.target.name));
        self.check(trial)?;
        let mut ledger = WriteLedger::new(1);
        self.values = (0..10).map(|_| vec![b'x'; 1000]).collect();
        for value in &mut self.values {
            let sequence = ledger.stamp(0, value).unwrap();
            ledger.acknowledged(0, sequence);
        }
        let gives_up = self.has(trial, Fault::GiveUp);
        if gives_up {
            let mut refused = vec![b'x'; 1000];
            let sequence = ledger.stamp(0, &mut refused).unwrap();
            ledger.failed(0, sequence);
        }
        let times_out = self.has(trial, Fault::TimeOut);
        let first_failure = (gives_up || times_out).then(|| "KAFKA_STORAGE_ERROR".to_owned());
        let ledger = LedgerFile { writers: vec![ledger], resent: Some(self.resent), ..LedgerFile::default() };
        let seen: Vec<Seen> = (1..=workload.groups).map(|number| self.seen(trial, number, workload.groups)).collect();
        let mut measured = self.measured(trial);
        measured.groups = workload.groups;
        measured.along = (!seen.is_empty()).then(|| self.along(workload.groups));
        measured.given_up_records = u64::from(times_out);
        Ok(Produced { measured, ledger, first_failure, seen })
    }

    fn consume(
        &mut self,
        trial: &Trial<'_>,
        _: &Workload,
        _: &str,
        reading: Reading<'_>,
    ) -> Result<Consumed, RunError> {
        let mut ledger = ReadLedger::new();
        match reading {
            Reading::Back(_) => {
                self.calls.push(format!("read-back({})", trial.target.name));
                if self.fault.is_some_and(|(_, fault)| self.has(trial, fault)) {
                    self.spoil();
                }
                self.values.iter().for_each(|it| ledger.record(0, it));
            }
            Reading::For(_) => self.calls.push(format!("read-for({})", trial.target.name)),
        }
        Ok(Consumed { measured: self.measured(trial), ledger })
    }

    fn is_topic_there(&mut self, _: &Target, _: &str) -> Result<bool, RunError> {
        Ok(!matches!(self.fault, Some((_, Fault::Vanish))))
    }

    fn delete_topic(&mut self, target: &Target, _: &str) -> Result<(), RunError> {
        self.calls.push(format!("delete({})", target.name));
        let of_subject = !target.name.starts_with("null-");
        if of_subject && self.fault == Some((self.trials, Fault::Keep)) {
            return Err(RunError::client("deleting topic", "CLUSTER_AUTHORIZATION_FAILED"));
        }
        let is_gone = [Fault::DieUnnoticed, Fault::DieLast].iter().any(|it| self.fault == Some((self.trials, *it)));
        if of_subject && is_gone {
            return Err(RunError::BrokerGone("127.0.0.1:9092 refuses connections".to_owned()));
        }
        Ok(())
    }

    fn elapsed(&self) -> Duration {
        Duration::from_secs_f64(self.elapsed_s)
    }
}

impl Mock {
    /// What a group read beside the writers: the last one has the trial's fault.
    fn seen(&mut self, trial: &Trial<'_>, number: u32, groups: u32) -> Seen {
        let (whole, mut ledger) = (self.values.clone(), ReadLedger::new());
        if number == groups && self.fault.is_some_and(|(_, fault)| self.has(trial, fault)) {
            self.spoil();
        }
        std::mem::replace(&mut self.values, whole).iter().for_each(|it| ledger.record(0, it));
        let name = format!("group {number} of {groups}");
        Seen { name, ledger, moved_partitions: self.moved_partitions }
    }

    /// Each group read what was written, at ages of 1 to 10 ms.
    fn along(&self, groups: u32) -> ReadAlong {
        let mut ages = Latencies::new();
        (1..=10).for_each(|ms| ages.aged(ms * 1_000_000, u64::from(groups), 1000));
        let records = 10 * u64::from(groups);
        let drain = Duration::from_millis(250);
        ReadAlong { records, bytes: records * 1000, ages, lag_records_max: 3, drain, ..ReadAlong::default() }
    }

    fn spoil(&mut self) {
        match self.fault.map(|it| it.1) {
            Some(Fault::Lose | Fault::Vanish) => drop(self.values.remove(3)),
            Some(Fault::Double) => self.values.insert(3, self.values[3].clone()),
            Some(Fault::Swap) => self.values.swap(3, 4),
            _ => {}
        }
    }
}
