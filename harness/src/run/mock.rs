//! An executor that measures nothing and remembers what it was asked to do.

use std::time::Duration;

use super::{Consumed, Executor, Measured, Plan, Produced, Reading, RunError, Target, Watch};
use crate::host::Usage;
use crate::measure::ledger::{ReadLedger, WriteLedger};
use crate::measure::{Latencies, Sample, SampleSink};
use crate::spec::{Kind, Workload};

/// What goes wrong with the records of a round.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Lose,
    Double,
    Swap,
}

/// Gives ten records a round, 1000 bytes each, in one second.
#[derive(Default)]
pub(crate) struct Mock {
    /// What was asked, in order.
    pub(crate) calls: Vec<String>,
    /// A fault, and the read-back (from 1) that has it.
    pub(crate) fault: Option<(u32, Fault)>,
    /// Acknowledges nothing.
    pub(crate) silent: bool,
    /// What was written last.
    pub(crate) values: Vec<Vec<u8>>,
    /// Read-backs so far.
    pub(crate) read_backs: u32,
}

/// Hears and says nothing.
pub(crate) struct Silent;

impl Watch for Silent {
    fn step(&mut self, _: Target, _: &str, _: u32, _: Duration) {}
}

/// A workload `w` of some rounds, its reader `r`, and a fixed-rate workload of one round.
pub(crate) fn plan(rounds: u32) -> Plan {
    let mut workloads = crate::spec::workload::load(None).unwrap();
    workloads.retain(|it| it.name != "produce-large");
    workloads[0].name = "w".to_owned();
    workloads[0].rounds = rounds;
    workloads[1].name = "r".to_owned();
    workloads[1].of = Some("w".to_owned());
    workloads[2].name = "fixed".to_owned();
    assert_eq!(workloads[2].kind, Kind::Latency);
    let targets = vec![Target::Subject, Target::NullReceive, Target::NullAppend];
    Plan { workloads, targets, subject: "ringlog".to_owned() }
}

impl Mock {
    fn measured(&self, target: Target) -> Measured {
        let records = if self.silent { 0 } else { 10 };
        let mut latencies = Latencies::new();
        for at in 1..=records {
            latencies.sample(&Sample { intended_ns: 0, sent_ns: 500, done_ns: at * 1000, bytes: 1000 });
        }
        let subject = target == Target::Subject;
        let usage = Usage {
            wall_s: if subject { 1.0 } else { 0.5 },
            broker_cpu_ms: Some(20),
            client_cpu_ms: 10,
            client_core_share: 0.5,
            ..Usage::default()
        };
        let time = "2026-01-02T03:04:05Z".to_owned();
        Measured {
            time,
            start: Duration::ZERO,
            records,
            bytes: records * 1000,
            usage,
            seconds: vec![latencies],
            retried_records: 0,
        }
    }
}

impl Executor for Mock {
    fn create_topic(&mut self, target: Target, _: &Workload) -> Result<String, RunError> {
        self.calls.push(format!("create({target:?})"));
        Ok("topic".to_owned())
    }

    fn produce(&mut self, target: Target, _: &Workload, _: &str) -> Result<Produced, RunError> {
        self.calls.push(format!("produce({target:?})"));
        let mut ledger = WriteLedger::new(1);
        self.values = (0..10).map(|_| vec![b'x'; 1000]).collect();
        for value in &mut self.values {
            let sequence = ledger.stamp(0, value).unwrap();
            ledger.acknowledged(0, sequence);
        }
        Ok(Produced { measured: self.measured(target), ledger })
    }

    fn consume(&mut self, target: Target, _: &Workload, _: &str, reading: Reading<'_>) -> Result<Consumed, RunError> {
        let mut ledger = ReadLedger::new();
        match reading {
            Reading::Back(_) => {
                self.calls.push(format!("read-back({target:?})"));
                self.read_backs += 1;
                if let Some((_, fault)) = self.fault.filter(|it| it.0 == self.read_backs) {
                    spoil(&mut self.values, fault);
                }
                self.values.iter().for_each(|it| ledger.record(0, it));
            }
            Reading::For(_) => self.calls.push(format!("read-for({target:?})")),
        }
        Ok(Consumed { measured: self.measured(target), ledger })
    }

    fn delete_topic(&mut self, target: Target, _: &str) -> Result<(), RunError> {
        self.calls.push(format!("delete({target:?})"));
        Ok(())
    }
}

fn spoil(values: &mut Vec<Vec<u8>>, fault: Fault) {
    match fault {
        Fault::Lose => drop(values.remove(3)),
        Fault::Double => values.insert(3, values[3].clone()),
        Fault::Swap => values.swap(3, 4),
    }
}
