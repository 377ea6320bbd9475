//! Trials whose client is a program of its own: what its start costs, its run, and what the broker holds afterwards.
//!
//! ```text
//!   write   a topic of its own, few records, twice  -->  all records  -->  the broker's offsets hold as many
//!   read    few records of the trial's topic, twice -->  as many as the broker holds
//! ```

use std::collections::BTreeMap;

use super::{KafkaExecutor, properties};
use crate::measure::ledger::{LedgerFile, ReadLedger};
use crate::run::{Consumed, Executor as _, Measured, Produced, RunError, Trial, outside};
use crate::spec::client::START_RECORDS;
use crate::spec::{What, Workload};
use crate::target::Client;
use crate::target::client::{Job, Verb};

impl KafkaExecutor {
    pub(super) fn written_outside(
        &mut self,
        client: &Client,
        trial: &Trial<'_>,
        workload: &Workload,
        topic: &str,
    ) -> Result<Produced, RunError> {
        let fail = |error: &dyn std::fmt::Display| RunError::client(&workload.name, error);
        let start_ns = self.start_ns(trial, workload, |it| {
            let own = it.create_topic(trial.target, workload)?;
            let ran = it.run_outside(client, trial, (Verb::Produce, &workload.producer), &own, START_RECORDS);
            let deleted = it.delete_topic(trial.target, &own);
            ran.and_then(|ran| deleted.map(|()| ran))
        })?;
        let records = workload.records_of_a_client().map_err(|error| fail(&error))?;
        let ran = self.run_outside(client, trial, (Verb::Produce, &workload.producer), topic, records)?;
        let held = self.held(trial, topic)?;
        if held < ran.records {
            let reason = format!("{} says that it wrote {} records; the broker holds {held}", client.name, ran.records);
            return Err(fail(&reason));
        }
        let given = workload.produce(topic, &properties(self.place(trial.target)?)).map_err(|error| fail(&error))?;
        let mut measured = self.measured_outside(client, trial, (ran, start_ns, held), &given.settings)?;
        measured.retried_records = held - measured.records;
        Ok(Produced { measured, ledger: LedgerFile::default(), first_failure: None, seen: Vec::new() })
    }

    pub(super) fn read_outside(
        &mut self,
        client: &Client,
        trial: &Trial<'_>,
        workload: &Workload,
        topic: &str,
    ) -> Result<Consumed, RunError> {
        let fail = |error: &dyn std::fmt::Display| RunError::client(&workload.name, error);
        let held = self.held(trial, topic)?;
        let read = (Verb::Consume, &workload.consumer);
        let start_ns =
            self.start_ns(trial, workload, |it| it.run_outside(client, trial, read, topic, START_RECORDS))?;
        let ran = self.run_outside(client, trial, read, topic, held)?;
        let way = properties(self.place(trial.target)?);
        let given = workload.consume(What::Assigned(topic.to_owned()), None, &way).map_err(|error| fail(&error))?;
        let measured = self.measured_outside(client, trial, (ran, start_ns, held), &given.settings)?;
        Ok(Consumed { measured, ledger: ReadLedger::default() })
    }

    /// What a client's start costs: the least of a few runs of few records, once for each target and workload.
    fn start_ns(
        &mut self,
        trial: &Trial<'_>,
        workload: &Workload,
        mut run: impl FnMut(&mut Self) -> Result<outside::Ran, RunError>,
    ) -> Result<u64, RunError> {
        let key = (trial.target.name.clone(), workload.name.clone());
        if let Some(known) = self.starts_ns.get(&key) {
            return Ok(*known);
        }
        let mut least = u64::MAX;
        for _ in 0..outside::START_RUNS {
            least = least.min(run(self)?.usage.client.cpu_ns);
        }
        self.starts_ns.insert(key, least);
        Ok(least)
    }

    fn run_outside(
        &self,
        client: &Client,
        trial: &Trial<'_>,
        (verb, settings): (Verb, &BTreeMap<String, String>),
        topic: &str,
        records: u64,
    ) -> Result<outside::Ran, RunError> {
        let place = self.place(trial.target)?;
        let (way, file) = (&place.properties, &self.dir.join("client.properties"));
        let record_bytes = trial.cell.workload.record_bytes;
        let job = Job { verb, topic, records, record_bytes, settings, way, file };
        let command = client.command(&job).map_err(|error| RunError::client("the client", error))?;
        outside::run(command, (self.client_core, &place.pids()), records, &self.stop)
    }

    fn held(&self, trial: &Trial<'_>, topic: &str) -> Result<u64, RunError> {
        outside::held(topic, trial.cell.workload.partitions, &properties(self.place(trial.target)?))
    }

    fn measured_outside(
        &self,
        client: &Client,
        trial: &Trial<'_>,
        (ran, start_ns, held): (outside::Ran, u64, u64),
        settings: &[(String, String)],
    ) -> Result<Measured, RunError> {
        let outside = outside::account(&ran, start_ns, held)?;
        let workload = &trial.cell.workload;
        // Of a client with other defaults only what it was told is known.
        let is_known = |name: &str| client.has_javas_defaults() || workload.producer.contains_key(name);
        let known = settings.iter().filter(|(name, _)| is_known(name) || name == "security.protocol");
        Ok(Measured {
            time: ran.time,
            start: self.began.elapsed(),
            records: ran.records,
            bytes: ran.records * u64::from(workload.record_bytes),
            usage: ran.usage,
            clients: 1,
            replicas: self.replicas,
            settings: known.cloned().collect(),
            outside: Some(outside),
            ..Measured::default()
        })
    }
}
