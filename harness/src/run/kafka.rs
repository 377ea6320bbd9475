//! The executor that meets real brokers: our own clients on one thread, a plain socket for topics.
//!
//! ```text
//!   create_topic -> admin                      (a socket, a request, an answer)
//!   produce      -> thread "load", pinned      write: Producer, WriteLedger, histograms
//!   consume      -> thread "load", pinned      read:  Consumer, ReadLedger
//!   delete_topic -> admin
//! ```
//!
//! Each load gets a thread of its own, so that the thread's processor time is the client's and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ringlog_io::driver::{self, DriverOptions};
use ringlog_io::{Driver, threads};

use super::{Consumed, Executor, Measured, Produced, Reading, RunError, Target};
use crate::client::properties::Properties;
use crate::host::{Meter, Usage};
use crate::load::{read, write};
use crate::spec::Workload;
use crate::target::topics::Admin;

/// A broker that the run meets.
#[derive(Clone, Debug)]
pub struct Place {
    /// `host:port`, several separated by commas.
    pub bootstrap: String,
    /// Its process, where known.
    pub pid: Option<u32>,
}

/// Executes loads against brokers.
pub struct KafkaExecutor {
    places: BTreeMap<Target, Place>,
    client_core: Option<usize>,
    began: Instant,
    stop: Arc<AtomicBool>,
    topics: u32,
    run_id: u32,
}

impl KafkaExecutor {
    /// An executor for these brokers. `client_core` is where the client runs, `stop` ends a load early, `run_id` makes
    /// the topics' names unique.
    #[must_use]
    pub fn new(
        places: BTreeMap<Target, Place>,
        client_core: Option<usize>,
        stop: Arc<AtomicBool>,
        run_id: u32,
    ) -> Self {
        Self { places, client_core, began: Instant::now(), stop, topics: 0, run_id }
    }

    /// When the run began; the start of every interval is counted from here.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.began
    }

    fn place(&self, target: Target) -> Result<&Place, RunError> {
        self.places.get(&target).ok_or_else(|| RunError::client("run", format!("no broker for {target:?}")))
    }

    fn admin(&self, target: Target) -> Result<Admin, RunError> {
        let place = self.place(target)?;
        Admin::connect(&place.bootstrap).map_err(|error| RunError::client("connecting", error))
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
    fn create_topic(&mut self, target: Target, workload: &Workload) -> Result<String, RunError> {
        self.topics += 1;
        let topic = format!("ringlog-bench-{:08x}-{}", self.run_id, self.topics);
        let partitions = i32::try_from(workload.partitions).unwrap_or(i32::MAX);
        self.admin(target)?
            .create_topic(&topic, partitions)
            .map_err(|error| RunError::client(format!("creating topic {topic}"), error))?;
        Ok(topic)
    }

    fn produce(&mut self, target: Target, workload: &Workload, topic: &str) -> Result<Produced, RunError> {
        let place = self.place(target)?;
        let load = write::Load { workload, topic, place, began: self.began, stop: &self.stop };
        self.on_client_core(&workload.name, || load.run())
    }

    fn consume(
        &mut self,
        target: Target,
        workload: &Workload,
        topic: &str,
        reading: Reading<'_>,
    ) -> Result<Consumed, RunError> {
        let place = self.place(target)?;
        let load = read::Load { workload, topic, place, reading, began: self.began, stop: &self.stop };
        self.on_client_core(&workload.name, || load.run())
    }

    fn delete_topic(&mut self, target: Target, topic: &str) -> Result<(), RunError> {
        let deleted = self.admin(target)?.delete_topic(topic);
        deleted.map_err(|error| RunError::client(format!("deleting topic {topic}"), error))
    }
}

/// A driver for a client, as the client's thread opens it.
pub(crate) fn open_driver() -> Result<Box<dyn Driver>, RunError> {
    driver::open(DriverOptions::default()).map_err(|error| RunError::client("opening the client's driver", error))
}

/// A profile's settings with the servers before them.
pub(crate) fn properties(place: &Place, settings: &BTreeMap<String, String>) -> Properties {
    let mut properties = Properties::new();
    properties.set("bootstrap.servers", &place.bootstrap);
    properties.set("client.id", "ringlog-bench");
    for (key, value) in settings {
        properties.set(key, value);
    }
    properties
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
        let meter = Meter::start(place.pid).map_err(|error| RunError::BrokerGone(error.to_string()))?;
        Ok(Self { time, start: began.elapsed(), meter })
    }

    pub(crate) fn close(&self) -> Result<Usage, RunError> {
        self.meter.stop().map_err(|error| RunError::BrokerGone(error.to_string()))
    }

    pub(crate) fn measured(self, usage: Usage, records: u64, bytes: u64) -> Measured {
        Measured { time: self.time, start: self.start, records, bytes, usage, seconds: Vec::new(), retried_records: 0 }
    }
}
