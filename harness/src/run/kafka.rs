//! The executor that meets real brokers: the load that the perf tools run too, over whatever `security.protocol` says.
//!
//! ```text
//!   create_topic -> admin
//!   produce      -> Workload::produce -> load::produce     observed by a WriteGauge, which opens and closes the meter;
//!                   with readers beside (along), and a backlog before, where the workload has them
//!   consume      -> Workload::consume -> load::consume     observed by a ReadGauge
//!   delete_topic -> admin
//!   produce, consume of a target with a client of its own -> clients
//! ```

mod clients;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ringlog_io::host::free_bytes;
use ringlog_io::{Clock as _, SystemClock};
use ringlog_wire::Uuid;
use rustix::process::Signal;

use super::along::{self, Readers};
use super::gauge::{ReadGauge, WriteGauge};
use super::timeline::Stage;
use super::{Consumed, Executor, NO_ROOM, Produced, Reading, RunError, Trial};
use crate::cli::PerfError;
use crate::client::properties::Properties;
use crate::client::{Admin, ClientError, NewTopic};
use crate::host::has_ended;
use crate::load::ear::Observers;
use crate::load::records::Records;
use crate::load::signals::Stop;
use crate::load::{consume, produce, steady, tally};
use crate::measure::hlog::{Hlog, PRODUCER_KINDS};
use crate::measure::ledger::LedgerFile;
use crate::measure::series::{self, SecondSink};
use crate::results::latency;
use crate::spec::{Pace, Produce, What, Workload};
use crate::target::{self, Control, Place, Target, start};

/// Longest time that making, describing or deleting a topic takes.
const ADMIN_MAX: Duration = Duration::from_secs(30);
/// How often it is looked whether the broker's process is still there.
const LOOK: Duration = Duration::from_millis(250);
/// A disk with less room than this takes no batch of records any more.
const ROOM_BYTES_MIN: u64 = 1 << 20;

/// Executes loads against brokers.
pub struct KafkaExecutor {
    places: BTreeMap<String, Place>,
    client_core: Option<usize>,
    /// Folder of the logs of those that we started.
    dir: PathBuf,
    /// When the run began, were it not stopped in between: what intervals are counted from.
    began: Instant,
    /// When this part of it began: what the time of a run is counted from.
    started: Instant,
    stop: Stop,
    topics: u32,
    /// Id of the topic that was made last.
    topic_id: Uuid,
    /// Replicas of its first partition.
    replicas: i16,
    run_id: u32,
    /// Processor time in ns of a client's run of few records, by target and workload.
    starts_ns: BTreeMap<(String, String), u64>,
}

impl KafkaExecutor {
    /// An executor for these targets, by their names, whose logs are in `dir`. `client_core` is where the client runs,
    /// `stop` ends a load early, `run_id` makes the topics' names unique, `since` is how long ago the run began that this
    /// one goes on with.
    #[must_use]
    pub fn new(
        places: BTreeMap<String, Place>,
        client_core: Option<usize>,
        dir: PathBuf,
        (stop, run_id, since): (Stop, u32, Duration),
    ) -> Self {
        let started = Instant::now();
        let began = started.checked_sub(since).unwrap_or(started);
        Self {
            places,
            client_core,
            dir,
            began,
            started,
            stop,
            topics: 0,
            topic_id: Uuid::ZERO,
            replicas: 0,
            run_id,
            starts_ns: BTreeMap::new(),
        }
    }

    fn place(&self, target: &Target) -> Result<&Place, RunError> {
        self.places.get(&target.name).ok_or_else(|| RunError::client("run", format!("{} was not started", target.name)))
    }

    /// Asks a target about its topics, or for a change of them.
    fn ask<T>(
        &self,
        target: &Target,
        what: String,
        change: impl FnOnce(&mut Admin) -> Result<T, ClientError>,
    ) -> Result<T, RunError> {
        let place = self.place(target)?;
        // Nobody would answer, for as long as an answer may take.
        if let Some(gone) = self.gone(target) {
            return Err(gone);
        }
        let done = target::admin(place, ADMIN_MAX).and_then(|mut admin| change(&mut admin));
        done.map_err(|error| {
            // Where the client says too what was under way, it is said once.
            let words = error.to_string();
            let reason = words.strip_prefix(&format!("{what}: ")).unwrap_or(&words).to_owned();
            self.judged(target, RunError::client(what, reason))
        })
    }

    /// A broker that is gone, or has no room for its log, is the reason for whatever its client says.
    fn judged(&self, target: &Target, error: RunError) -> RunError {
        if matches!(error, RunError::Interrupted) {
            return error;
        }
        if let Some(gone) = self.gone(target) {
            return gone;
        }
        let room = self.no_room(target).map_or_else(String::new, |words| format!("; {words}"));
        match error {
            RunError::Client { what, reason } => RunError::Client { what, reason: format!("{reason}{room}") },
            RunError::BrokerGone(how) => RunError::BrokerGone(format!("{}: {how}{room}", target.name)),
            RunError::Interrupted => RunError::Interrupted,
        }
    }

    /// How it is gone, if it is: its process ended, or, where that is not known, nobody listens where it was.
    fn gone(&self, target: &Target) -> Option<RunError> {
        let place = self.places.get(&target.name)?;
        let how = if place.pids().into_iter().any(has_ended) {
            self.end_of(target, place)
        } else {
            let bootstrap = place.properties.get("bootstrap.servers").unwrap_or_default();
            let is_refused = !target.is_started() && place.pids.is_empty() && start::is_refused(bootstrap);
            is_refused.then(|| format!("{bootstrap} refuses connections"))?
        };
        let room = self.no_room(target).map_or_else(String::new, |words| format!("; {words}"));
        Some(RunError::BrokerGone(format!("{}: {how}{room}", target.name)))
    }

    /// How its process ended, with its last words.
    fn end_of(&self, target: &Target, place: &Place) -> String {
        let ended = place.control.as_ref().and_then(Control::ended);
        let how = ended.map_or_else(String::new, |status| format!(" ({status})"));
        // One that was killed had no time for last words.
        let is_killed = ended.is_some_and(|status| status.signal() == Some(Signal::KILL.as_raw()));
        let words = if is_killed { String::new() } else { start::last_words(target, &self.dir) };
        let said = if words.is_empty() { String::new() } else { format!("; its log ends with: {words}") };
        format!("its process ended{how}{said}")
    }

    /// In words, where a broker that we started cannot write any more.
    fn no_room(&self, target: &Target) -> Option<String> {
        let free = free_bytes(&self.dir).ok().filter(|free| target.is_started() && *free < ROOM_BYTES_MIN)?;
        Some(format!("{NO_ROOM}: {free} bytes are free below {}", self.dir.display()))
    }
}

impl Executor for KafkaExecutor {
    fn create_topic(&mut self, target: &Target, workload: &Workload) -> Result<String, RunError> {
        self.topics += 1;
        let name = format!("ringlog-bench-{:08x}-{}", self.run_id, self.topics);
        let partitions = i32::try_from(workload.partitions).unwrap_or(i32::MAX);
        let configs = &workload.topic_configs(&target.topic_configs);
        let made = self.ask(target, format!("creating topic {name}"), |admin| {
            let replication_factor = match (workload.replication_factor, workload.replication_factor_max) {
                (Some(asked), _) => asked,
                (None, Some(most)) => most.min(i16::try_from(admin.broker_count()?).unwrap_or(i16::MAX)),
                (None, None) => target.replication_factor,
            };
            admin.create_topic(&NewTopic { name: &name, partitions, replication_factor, configs })?;
            admin.wait_for_leaders(&name, partitions)
        })?;
        (self.topic_id, self.replicas) = (made.id, i16::try_from(made.replicas).unwrap_or(i16::MAX));
        Ok(name)
    }

    fn produce(&mut self, trial: &Trial<'_>, workload: &Workload, topic: &str) -> Result<Produced, RunError> {
        let done = match &trial.target.client {
            Some(client) => self.written_outside(client, trial, workload, topic),
            None => self.written(trial, workload, topic),
        };
        if self.stop.requested() {
            Err(RunError::Interrupted)
        } else {
            done.map_err(|it| self.judged(trial.target, it))
        }
    }

    fn consume(
        &mut self,
        trial: &Trial<'_>,
        workload: &Workload,
        topic: &str,
        reading: Reading<'_>,
    ) -> Result<Consumed, RunError> {
        // A reader would wait for it as long as for one that restarts.
        if let Some(gone) = self.gone(trial.target) {
            return Err(gone);
        }
        let done = match &trial.target.client {
            Some(client) => self.read_outside(client, trial, workload, topic),
            None => self.read(trial, workload, topic, reading),
        };
        if self.stop.requested() {
            Err(RunError::Interrupted)
        } else {
            done.map_err(|it| self.judged(trial.target, it))
        }
    }

    fn is_topic_there(&mut self, target: &Target, topic: &str) -> Result<bool, RunError> {
        let found = self.ask(target, format!("describing topic {topic}"), |admin| admin.describe_topic(topic))?;
        Ok(found.is_some_and(|it| it.id == self.topic_id))
    }

    fn delete_topic(&mut self, target: &Target, topic: &str) -> Result<(), RunError> {
        self.ask(target, format!("deleting topic {topic}"), |admin| admin.delete_topic(topic))
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

impl KafkaExecutor {
    fn written(&self, trial: &Trial<'_>, workload: &Workload, topic: &str) -> Result<Produced, RunError> {
        let place = self.place(trial.target)?;
        let spec = workload.produce(topic, &properties(place));
        let mut spec = spec.map_err(|error| RunError::client(&workload.name, error))?;
        spec.records.seed = spec.records.seed.wrapping_add_unsigned(trial.seed);
        let (spec, stop) = (Arc::new(spec), self.stop.part());
        let stem = latency::stem(&workload.name, &trial.target.name, trial.round);
        let readers = Readers::of(workload, topic, &properties(place))?;
        let is_watched = !readers.is_empty() || !workload.events.is_empty();
        let beside = is_watched.then(|| Arc::clone(&readers.counts));
        let they_end = workload.events.iter().any(|it| it.action.ends_processes());
        let gauge = WriteGauge::new(place, self.began, &spec, beside).looking_at(&trial.target.metrics);
        let gauge = gauge.without_processes(they_end);
        let (start, mut log) = (self.began.elapsed(), Hlog::in_memory());
        let write = || {
            let backlog = workload.backlog(&spec).map(|it| self.backlog(it, &readers, &stop)).transpose()?;
            let on_second: SecondSink<'_> = Box::new(|second, latencies| {
                let written = log.write(&stem, start + Duration::from_secs(second), latencies, PRODUCER_KINDS);
                written.map_err(|error| PerfError::Text(error.to_string()))
            });
            let mut produced = self.load(&spec, gauge.observers(), Some(on_second), &stop)?;
            let ledger = produced.take_ledger(&spec);
            Ok((produced, backlog.into_iter().fold(ledger, LedgerFile::and)))
        };
        let ground = along::Place { core: self.client_core, stop: &stop, began: self.began, stem: &stem };
        let stage = Stage { control: place.control.clone(), counts: &readers.counts, readers: &readers, stop: &stop };
        let around = || stage.around(&workload.events, || readers.beside(&ground, write));
        let (written, lagged) = if they_end { around() } else { watched(&place.pids(), &stop, around) };
        if !they_end
            && stop.requested()
            && let Some(gone) = self.gone(trial.target)
        {
            return Err(gone);
        }
        let ((mut produced, ledger, read), lagged) = (written?, lagged?);
        let counted = produced.counts.steady.counted(spec.pace != Pace::Free);
        let mut measured = gauge.measured(&workload.name, (counted.records, counted.bytes))?;
        (measured.latencies, measured.lines) = (produced.latencies.take(), log.into_lines());
        measured.warm_up = produced.warm_up;
        measured.rates_cv = rates_cv(&produced.seconds, &spec);
        measured.lines.extend(read.lines);
        measured.along = (!readers.is_empty()).then(|| readers.counts.figures(read.ages));
        let first = workload.events.first().map(|it| Duration::from_secs_f64(it.at_s));
        measured.disruption = first.and_then(|first| readers.counts.disruption(first));
        measured.lagged = lagged;
        measured.given_up_records = produced.counts.failed;
        measured.retried_records = produced.retried_records();
        measured.dropped_records = produced.lateness().dropped;
        measured.counts = produced.client_counts();
        measured.commits = produced.commits();
        measured.counts.throttle_ms += read.throttle_ms;
        measured.clients = u32::try_from(spec.clients).unwrap_or(u32::MAX);
        measured.groups = workload.groups;
        measured.replicas = self.replicas;
        let read_with = workload.read_settings(&properties(place)).unwrap_or_default();
        measured.settings = read_with.into_iter().chain(spec.settings.iter().cloned()).collect();
        let room = self.no_room(trial.target).map_or_else(String::new, |words| format!("; {words}"));
        let first_failure = produced.first_failure.map(|words| format!("{words}{room}"));
        Ok(Produced { measured, ledger, first_failure, seen: read.seen })
    }

    /// Writes what is there before the load begins, and waits until the groups have read it.
    fn backlog(&self, spec: Produce, readers: &Readers, stop: &Stop) -> Result<LedgerFile, RunError> {
        let spec = Arc::new(spec);
        let mut produced = self.load(&spec, readers.counts.writers(), None, stop)?;
        if let Some(reason) = produced.first_failure {
            return Err(RunError::client("writing the backlog", reason));
        }
        readers.wait_for_groups(stop)?;
        Ok(produced.take_ledger(&spec))
    }

    /// Runs the producers of a spec. Where one of them cannot go on, its reason is the error.
    fn load(
        &self,
        spec: &Arc<Produce>,
        observers: Observers,
        on_second: Option<SecondSink<'_>>,
        stop: &Stop,
    ) -> Result<produce::Produced, RunError> {
        let fail = |error: &dyn std::fmt::Display| RunError::client("producers", error);
        let records: Result<Vec<Records>, _> =
            (0..spec.clients).map(|client| Records::new(&spec.records, client, &mut |_| ())).collect();
        let load = produce::Load {
            spec: Arc::clone(spec),
            records: records.map_err(|error| fail(&error))?,
            seats: &vec![self.client_core; spec.clients],
            stop,
            observers,
            metrics: None,
            origin_ns: SystemClock::new().read().0,
            on_second,
        };
        let mut produced = load.run(&mut |_| ());
        produced.failure.take().map_or(Ok(produced), |failure| Err(fail(&failure)))
    }

    fn read(
        &self,
        trial: &Trial<'_>,
        workload: &Workload,
        topic: &str,
        reading: Reading<'_>,
    ) -> Result<Consumed, RunError> {
        let fail = |error: &dyn std::fmt::Display| RunError::client(&workload.name, error);
        let place = self.place(trial.target)?;
        let (what, duration) = match reading {
            Reading::Back(ledger) => (What::Beside(ledger.clone()), None),
            Reading::For(time) => (What::Assigned(topic.to_owned()), Some(time)),
        };
        let spec = workload.consume(what, duration, &properties(place)).map_err(|error| fail(&error))?;
        let spec = Arc::new(spec);
        let gauge = ReadGauge::new(place, self.began, spec.clients).looking_at(&trial.target.metrics);
        let stop = self.stop.part();
        let shared = tally::Shared::new(spec.clients, spec.ledger());
        let load = consume::Load {
            spec: Arc::clone(&spec),
            shared: &shared,
            seats: &vec![self.client_core; spec.clients],
            stop: &stop,
            observers: gauge.observers(),
            metrics: None,
            on_second: None,
        };
        let consumed = watched(&place.pids(), &stop, || load.run(&mut |_| ()));
        if stop.requested()
            && let Some(gone) = self.gone(trial.target)
        {
            return Err(gone);
        }
        let consumed = consumed.map_err(|error| fail(&error))?;
        let mut measured = gauge.measured()?;
        measured.counts = consumed.client_counts();
        measured.clients = u32::try_from(spec.clients).unwrap_or(u32::MAX);
        measured.groups = spec.what.groups();
        measured.replicas = self.replicas;
        measured.settings = spec.settings.iter().cloned().collect();
        Ok(Consumed { measured, ledger: shared.read_ledger() })
    }
}

/// Does this, and ends it early when a process of the broker has ended: clients go on for as long as a record may take.
fn watched<T>(pids: &[u32], stop: &Stop, work: impl FnOnce() -> T) -> T {
    if pids.is_empty() {
        return work();
    }
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                if pids.iter().any(|pid| has_ended(*pid)) {
                    return stop.request();
                }
                std::thread::park_timeout(LOOK);
            }
        });
        // Also where the work panics: the scope waits for the watcher.
        let _end = OnDrop(|| {
            is_done.store(true, Ordering::Relaxed);
            watcher.thread().unpark();
        });
        work()
    })
}

/// Does something when it goes.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// How much the rates of whole measured seconds vary; `None` where there are fewer than three.
fn rates_cv(seconds: &[series::Row], spec: &Produce) -> Option<f64> {
    let measured: Vec<u64> = seconds.iter().filter(|it| it.response_us.is_some()).map(|it| it.done).collect();
    // The first and the last second are cut by the measured time's ends; the first may hold the warm-up's end too.
    let whole = measured.get(1..measured.len().saturating_sub(1))?;
    (spec.has_series && whole.len() >= 3).then(|| steady::variation(whole))?
}

/// What a client needs to get there.
fn properties(place: &Place) -> Properties {
    let mut properties = place.properties.clone();
    properties.set_default("client.id", "ringlog-bench");
    properties
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_load_ends_when_the_brokers_process_has_ended_and_not_before() {
        let mut broker = Command::new("/bin/sh").args(["-c", "sleep 0.3"]).spawn().unwrap();
        let (stop, began) = (Stop::default(), Instant::now());
        let wait = || {
            while !stop.requested() && began.elapsed() < Duration::from_secs(60) {
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        watched(&[broker.id()], &stop, wait);
        let waited = began.elapsed();
        broker.wait().unwrap();
        assert!(stop.requested() && waited >= Duration::from_millis(250), "{waited:?}");
        let (stop, own) = (Stop::default(), std::process::id());
        assert_eq!(watched(&[own], &stop, || 7), 7);
        assert!(!stop.requested());
    }
}
