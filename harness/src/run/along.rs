//! Readers beside the writers of a trial: consumer groups that follow, and readers that begin with the first record.
//!
//! ```text
//!   groups join --all partitions given--> writers write (backlog, then the load) --ledger--> readers read the rest, and end
//!                                              '-- measured time begins --> catch-up readers begin
//! ```
//!
//! Each group and each catch-up reader is a load of consumers of its own, on a thread that waits for it. All of them read
//! everything that was acknowledged: their accounts are settled one by one.

use std::sync::Arc;
use std::thread::{ScopedJoinHandle, scope, sleep};
use std::time::{Duration, Instant};

use super::RunError;
use super::beside::Beside;
use super::outcome::Seen;
use super::service::Service;
use crate::cli::PerfError;
use crate::client::properties::Properties;
use crate::load::consume::{Consumed, Load};
use crate::load::signals::Stop;
use crate::load::tally::{Shared, Span};
use crate::measure::Latencies;
use crate::measure::hlog::{CONSUMER_KINDS, Hlog};
use crate::measure::ledger::LedgerFile;
use crate::spec::{Along, Consume, Goal, Workload};

/// How long the members of a group may take until each has its partitions: a broker waits for more members first
/// (`group.initial.rebalance.delay.ms`), and members hear of each other with their heartbeats.
const TOGETHER_MAX: Duration = Duration::from_secs(60);
/// How long groups may take for the next record of the backlog.
const BACKLOG_SILENCE_MAX: Duration = Duration::from_secs(30);
/// How often it is looked whether something happened.
const LOOK: Duration = Duration::from_millis(5);

/// One group, or one catch-up reader.
struct Reader {
    name: String,
    spec: Arc<Consume>,
    shared: Shared,
    /// Which of the catch-up readers it is; `None` is a group.
    catch_up: Option<usize>,
}

/// The readers of a trial; none where the workload has none.
pub(super) struct Readers {
    all: Vec<Reader>,
    goal: Goal,
    pub(super) counts: Arc<Beside>,
    partitions: usize,
}

/// Where readers run, and what tells them to end before their time.
pub(super) struct Place<'a> {
    pub(super) core: Option<usize>,
    pub(super) stop: &'a Stop,
    /// When the run began: what intervals are counted from.
    pub(super) began: Instant,
    /// What the tags of their histograms begin with.
    pub(super) stem: &'a str,
}

/// What all readers together gave.
pub(super) struct Done {
    pub(super) seen: Vec<Seen>,
    pub(super) ages: Latencies,
    pub(super) lines: Vec<u8>,
    /// How long brokers wanted the readers to hold back.
    pub(super) throttle_ms: u64,
}

impl Readers {
    /// Those of a workload, for a topic that is fresh. Errors where a setting of the consumer cannot be.
    pub(super) fn of(workload: &Workload, topic: &str, way: &Properties) -> Result<Self, RunError> {
        let (goal, span) = (Goal::default(), Span::to_come());
        let clients = workload.consumers as usize;
        let reader = |catch_up: Option<usize>, number: u32| {
            let is_group = catch_up.is_none();
            let along = Along { topic: topic.to_owned(), is_group, goal: goal.clone() };
            let spec = workload.along(along, &format!("{topic}-{number}"), way);
            let spec = spec.map_err(|error| RunError::client(&workload.name, error))?;
            let name = match is_group {
                true => format!("group {number} of {}", workload.groups),
                false => format!("catch-up reader {number} of {}", workload.catch_up),
            };
            let shared = Shared::along(clients, is_group, span.clone());
            Ok(Reader { name, spec: Arc::new(spec), shared, catch_up })
        };
        let groups = (1..=workload.groups).map(|number| reader(None, number));
        let catching = (1..=workload.catch_up).map(|number| reader(Some(number as usize - 1), number));
        let all: Vec<Reader> = groups.chain(catching).collect::<Result<_, RunError>>()?;
        let shared = |is_group: bool| {
            let of = all.iter().filter(move |it| it.catch_up.is_none() == is_group);
            of.map(|it| it.shared.clone()).collect::<Vec<_>>()
        };
        let limit = workload.p99_ms_max.map(|ms| Duration::from_secs_f64(ms / 1e3));
        let service = (!workload.events.is_empty()).then(|| Service::new(limit));
        let counts = Arc::new(Beside::new(shared(true), shared(false), span.clone()).watching(service));
        Ok(Self { all, goal, counts, partitions: workload.partitions as usize })
    }

    /// What the first group counts.
    pub(super) fn first_group(&self) -> Option<&Shared> {
        self.all.iter().find(|it| it.catch_up.is_none()).map(|it| &it.shared)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Writes while they read, and lets them read to the end.
    pub(super) fn beside<T>(
        &self,
        place: &Place<'_>,
        write: impl FnOnce() -> Result<(T, LedgerFile), RunError>,
    ) -> Result<(T, LedgerFile, Done), RunError> {
        scope(|scope| {
            let reading: Vec<_> =
                self.all.iter().map(|it| (it, scope.spawn(move || it.read(&self.counts, place)))).collect();
            let mut before = Vec::new();
            let written = self.wait_together(place.stop, &mut before).and_then(|()| write());
            match &written {
                Ok((_, ledger)) => self.goal.set(ledger.clone()),
                Err(_) => place.stop.request(),
            }
            let read: Vec<_> = reading.into_iter().map(|(it, thread)| (it, joined(it, thread))).collect();
            // A reader that could not go on has stopped the writers: its words are the reason.
            let (mut done, mut failure) = (Done::new(), None);
            for (at, (reader, outcome)) in read.into_iter().enumerate() {
                match outcome {
                    Ok(it) => done.take(reader, it, before.get(at).copied().unwrap_or(0)),
                    Err(error) => _ = failure.get_or_insert(error),
                }
            }
            let (given, ledger) = failure.map_or(written, Err)?;
            Ok((given, ledger, done))
        })
    }

    /// Waits until every member of every group has partitions. `taken` is what each group took away again meanwhile.
    fn wait_together(&self, stop: &Stop, taken: &mut Vec<u64>) -> Result<(), RunError> {
        let begin = Instant::now();
        for group in self.all.iter().filter(|it| it.catch_up.is_none()) {
            loop {
                let assigned = group.shared.assigned();
                if assigned.len() == group.spec.clients && assigned.iter().sum::<usize>() == self.partitions {
                    break taken.push(group.shared.taken());
                }
                if stop.requested() || begin.elapsed() > TOGETHER_MAX {
                    let (members, all) = (assigned.len(), group.spec.clients);
                    let why = format!("{members} of its {all} members have partitions after {:?}", begin.elapsed());
                    return Err(RunError::client(&group.name, why));
                }
                sleep(LOOK);
            }
        }
        Ok(())
    }

    /// Waits until every group has read what is acknowledged.
    pub(super) fn wait_for_groups(&self, stop: &Stop) -> Result<(), RunError> {
        let (mut lag, mut since) = (u64::MAX, Instant::now());
        while lag > 0 && !stop.requested() {
            let now = self.counts.lag_records_max();
            if now < lag {
                (lag, since) = (now, Instant::now());
            } else if since.elapsed() > BACKLOG_SILENCE_MAX {
                let why = format!("a group reads nothing more, {now} records of the backlog before its end");
                return Err(RunError::client("groups", why));
            } else {
                sleep(LOOK);
            }
        }
        Ok(())
    }
}

fn joined<T>(reader: &Reader, thread: ScopedJoinHandle<'_, Result<T, RunError>>) -> Result<T, RunError> {
    thread.join().unwrap_or_else(|_| Err(RunError::client(&reader.name, "its thread panicked: see above")))
}

impl Reader {
    fn read(&self, counts: &Arc<Beside>, place: &Place<'_>) -> Result<(Consumed, Vec<u8>), RunError> {
        while self.catch_up.is_some() && !counts.is_open() && !place.stop.requested() {
            sleep(LOOK);
        }
        let (start, mut log) = (place.began.elapsed(), Hlog::in_memory());
        let load = Load {
            spec: Arc::clone(&self.spec),
            shared: &self.shared,
            seats: &vec![place.core; self.spec.clients],
            stop: place.stop,
            observers: self.catch_up.map_or_else(|| counts.members(), |reader| counts.catching_up(reader)),
            metrics: None,
            on_second: Some(Box::new(|second, latencies| {
                let written = log.write(place.stem, start + Duration::from_secs(second), latencies, CONSUMER_KINDS);
                written.map_err(|error| PerfError::Text(error.to_string()))
            })),
        };
        let consumed = load.run(&mut |_| ()).map_err(|error| {
            // The writers wait for nobody who reads no more.
            place.stop.request();
            RunError::client(&self.name, error)
        })?;
        Ok((consumed, log.into_lines()))
    }
}

impl Done {
    fn new() -> Self {
        Self { seen: Vec::new(), ages: Latencies::new(), lines: Vec::new(), throttle_ms: 0 }
    }

    fn take(&mut self, reader: &Reader, (consumed, lines): (Consumed, Vec<u8>), taken_before: u64) {
        self.throttle_ms += consumed.client_counts().throttle_ms;
        self.ages.merge(&consumed.latencies);
        self.lines.extend(lines);
        let moved_partitions = reader.shared.taken().saturating_sub(taken_before);
        self.seen.push(Seen { name: reader.name.clone(), ledger: reader.shared.read_ledger(), moved_partitions });
    }
}

#[cfg(test)]
#[cfg(feature = "yardstick")]
mod tests {
    use std::collections::BTreeMap;

    use super::super::kafka::KafkaExecutor;
    use super::super::{Cell, Executor as _, Produced, Trial};
    use super::*;
    use crate::measure::ledger::{Verdict, settle};
    use crate::run::mock::subject;
    use crate::spec::workload;
    use crate::target;
    use crate::target::faulty::{Fault, start};

    /// A trial of two groups and a catch-up reader beside a fixed rate, after a megabyte that was there before.
    fn ran(fault: Fault) -> (Produced, Vec<Verdict>) {
        let mut properties = Properties::new();
        properties.set("bootstrap.servers", &start(fault));
        let place = target::Place { properties, ..target::Place::default() };
        let places = BTreeMap::from([("t".to_owned(), place)]);
        let stop = (Stop::default(), 1, Duration::ZERO);
        let mut executor = KafkaExecutor::new(places, None, std::env::temp_dir(), stop);
        let mut workload = workload::load(None).unwrap().pop().unwrap();
        (workload.groups, workload.catch_up, workload.backlog_megabytes) = (2, 1, 1);
        (workload.warmup_s, workload.measured_s, workload.rate_records_s) = (0.2, 0.6, Some(2000.0));
        let cell = Cell { workload: workload.clone(), reader: None };
        let target = subject("t");
        let trial = Trial { cell: &cell, target: &target, round: 1, seed: 1 };
        let produced = executor.produce(&trial, &workload, "t").unwrap();
        let verdicts = produced.seen.iter().map(|seen| settle(&produced.ledger.writers, &seen.ledger)).collect();
        (produced, verdicts)
    }

    #[test]
    fn groups_and_a_catch_up_reader_read_everything_beside_the_writers() {
        let (produced, verdicts) = ran(Fault::None);
        let names: Vec<&str> = produced.seen.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["group 1 of 2", "group 2 of 2", "catch-up reader 1 of 1"]);
        assert!(verdicts.iter().all(|it| it.adds_up() && it.read == it.acknowledged), "{verdicts:?}");
        assert!(verdicts[0].acknowledged > 2000, "the backlog, the warm-up and the measured time: {}", verdicts[0]);
        let along = produced.measured.along.unwrap();
        let measured = produced.measured.latencies.records;
        // Timestamps are whole milliseconds: what was written in the first one before the measured time began is in it too.
        let ages = along.ages.records;
        assert!(
            ages > measured && ages <= 2 * measured + measured / 10,
            "{ages} ages, {measured} records for each group"
        );
        let (records, bytes) = (along.records, along.bytes);
        assert!(records > measured && bytes >= records * 1000, "{records} records, {bytes} bytes");
        let (bytes, took) = along.catch_up.unwrap();
        assert!(bytes >= 1_000_000 && took > Duration::ZERO && took < Duration::from_secs(5), "{bytes} in {took:?}");
        let lines = String::from_utf8(produced.measured.lines).unwrap();
        assert!(lines.contains("Tag=latency.t.1.end-to-end,"), "their seconds are logged");
    }

    #[test]
    fn a_batch_that_a_broker_keeps_twice_is_seen_by_each_reader() {
        let (_, verdicts) = ran(Fault::Double(3));
        assert!(verdicts.iter().all(|it| it.doubled > 0 && it.lost == 0), "{verdicts:?}");
    }
}
