//! The executor that meets real brokers: our own clients on one thread, over whatever `security.protocol` says.
//!
//! ```text
//!   create_topic -> admin
//!   produce      -> thread "load", pinned      write: Producer, WriteLedger, histograms
//!   consume      -> thread "load", pinned      read:  Consumer, ReadLedger
//!   delete_topic -> admin
//! ```
//!
//! Each load gets a thread of its own, so that the thread's processor time is the client's and nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ringlog_io::driver::{self, DriverOptions};
use ringlog_io::{Driver, threads};

use super::{ClientCounts, Consumed, Executor, Measured, Produced, Reading, RunError, Trial};
use crate::client::properties::Properties;
use crate::client::{Admin, ClientError, NetworkStats, NewTopic};
use crate::host::{Meter, Usage, has_ended};
use crate::load::{read, write};
use crate::spec::Workload;
use crate::target::{self, Place, Target, start};

/// Longest time that making, describing or deleting a topic takes.
const ADMIN_MAX: Duration = Duration::from_secs(30);

/// Executes loads against brokers.
pub struct KafkaExecutor {
    places: BTreeMap<String, Place>,
    client_core: Option<usize>,
    /// Folder of the logs of those that we started.
    dir: PathBuf,
    began: Instant,
    stop: Arc<AtomicBool>,
    topics: u32,
    run_id: u32,
}

impl KafkaExecutor {
    /// An executor for these targets, by their names, whose logs are in `dir`. `client_core` is where the client runs,
    /// `stop` ends a load early, `run_id` makes the topics' names unique.
    #[must_use]
    pub fn new(
        places: BTreeMap<String, Place>,
        client_core: Option<usize>,
        dir: PathBuf,
        stop: Arc<AtomicBool>,
        run_id: u32,
    ) -> Self {
        Self { places, client_core, dir, began: Instant::now(), stop, topics: 0, run_id }
    }

    fn place(&self, target: &Target) -> Result<&Place, RunError> {
        self.places.get(&target.name).ok_or_else(|| RunError::client("run", format!("{} was not started", target.name)))
    }

    /// Asks a target for a change of its topics.
    fn ask(
        &self,
        target: &Target,
        what: String,
        change: impl FnOnce(&mut Admin) -> Result<(), ClientError>,
    ) -> Result<(), RunError> {
        let place = self.place(target)?;
        let done = target::admin(place, ADMIN_MAX).and_then(|mut admin| change(&mut admin));
        done.map_err(|error| self.judged(target, RunError::client(what, error)))
    }

    /// A broker whose process has ended is the reason for whatever its client says.
    fn judged(&self, target: &Target, error: RunError) -> RunError {
        let pids = self.places.get(&target.name).map_or(&[][..], |it| &it.pids);
        let gone = matches!(error, RunError::BrokerGone(_)) || pids.iter().any(|pid| has_ended(*pid));
        if !gone || matches!(error, RunError::Interrupted) {
            return error;
        }
        let words = start::last_words(target, &self.dir);
        let said = if words.is_empty() { String::new() } else { format!("; its log ends with: {words}") };
        let inner = match error {
            RunError::BrokerGone(how) => how,
            other => other.to_string(),
        };
        RunError::BrokerGone(format!("{}: {inner}{said}", target.name))
    }

    /// Runs a load on a thread of its own.
    fn on_client_core<T: Send>(
        &self,
        what: &str,
        load: impl FnOnce() -> Result<T, RunError> + Send,
    ) -> Result<T, RunError> {
        let pinned = || {
            if let Some(core) = self.client_core {
                threads::pin_to_core(core).map_err(|error| RunError::client(what, error))?;
            }
            load()
        };
        let result = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("load".to_owned()).spawn_scoped(scope, pinned);
            let thread = thread.map_err(|error| RunError::client(what, error))?;
            thread.join().unwrap_or_else(|_| Err(RunError::client(what, "the client's thread panicked")))
        });
        if self.stop.load(Ordering::Relaxed) { Err(RunError::Interrupted) } else { result }
    }
}

impl Executor for KafkaExecutor {
    fn create_topic(&mut self, target: &Target, workload: &Workload) -> Result<String, RunError> {
        self.topics += 1;
        let name = format!("ringlog-bench-{:08x}-{}", self.run_id, self.topics);
        let partitions = i32::try_from(workload.partitions).unwrap_or(i32::MAX);
        let (replication_factor, configs) = (target.replication_factor, &target.topic_configs);
        let topic = NewTopic { name: &name, partitions, replication_factor, configs };
        self.ask(target, format!("making topic {name}"), |admin| {
            admin.create_topic(&topic)?;
            admin.wait_for_leaders(&name, partitions)
        })?;
        Ok(name)
    }

    fn produce(&mut self, trial: &Trial<'_>, workload: &Workload, topic: &str) -> Result<Produced, RunError> {
        let place = self.place(trial.target)?;
        let load = write::Load { workload, topic, place, began: self.began, stop: &self.stop };
        let done = self.on_client_core(&workload.name, || load.run());
        done.map_err(|error| self.judged(trial.target, error))
    }

    fn consume(
        &mut self,
        trial: &Trial<'_>,
        workload: &Workload,
        topic: &str,
        reading: Reading<'_>,
    ) -> Result<Consumed, RunError> {
        let place = self.place(trial.target)?;
        let load = read::Load { workload, topic, place, reading, began: self.began, stop: &self.stop };
        let done = self.on_client_core(&workload.name, || load.run());
        done.map_err(|error| self.judged(trial.target, error))
    }

    fn delete_topic(&mut self, target: &Target, topic: &str) -> Result<(), RunError> {
        self.ask(target, format!("deleting topic {topic}"), |admin| admin.delete_topic(topic))
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

/// A driver for a client, as the client's thread opens it.
pub(crate) fn open_driver() -> Result<Box<dyn Driver>, RunError> {
    driver::open(DriverOptions::default()).map_err(|error| RunError::client("opening the client's driver", error))
}

/// What a client needs to get there, and a profile's settings over it.
pub(crate) fn properties(place: &Place, settings: &BTreeMap<String, String>) -> Properties {
    let mut properties = place.properties.clone();
    properties.set_default("client.id", "ringlog-bench");
    for (key, value) in settings {
        properties.set(key, value);
    }
    properties
}

/// Settings with their defaults, as rows and manifests have them.
pub(crate) fn settings(effective: Vec<(&'static str, String)>) -> BTreeMap<String, String> {
    effective.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What a client counted until now.
pub(crate) fn counts(network: NetworkStats, syscalls: u64, buffer_wait_ns: u64) -> ClientCounts {
    ClientCounts { buffer_wait_ns, wire_bytes: network.sent_bytes + network.received_bytes, syscalls }
}

/// The measured time of a load.
pub(crate) struct Window {
    time: String,
    start: Duration,
    meter: Meter,
}

impl Window {
    pub(crate) fn open(place: &Place, began: Instant) -> Result<Self, RunError> {
        let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        let meter = Meter::start(&place.pids).map_err(|error| RunError::BrokerGone(error.to_string()))?;
        Ok(Self { time, start: began.elapsed(), meter })
    }

    pub(crate) fn close(&self) -> Result<Usage, RunError> {
        self.meter.stop().map_err(|error| RunError::BrokerGone(error.to_string()))
    }

    pub(crate) fn measured(self, usage: Usage, records: u64, bytes: u64) -> Measured {
        Measured { time: self.time, start: self.start, records, bytes, usage, ..Measured::default() }
    }
}
