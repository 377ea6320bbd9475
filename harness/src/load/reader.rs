//! One consumer's loop.
//!
//! ```text
//!   poll (100 ms) -> tally          until all clients together have read enough, or nothing came for too long
//! ```
//!
//! Beside writers it goes on until they are done and everything that was acknowledged is read.
//! Beside a ledger there is no group: client `c` of `n` reads the partitions `c`, `c + n`, .. from their beginnings.

use std::time::Duration;

use ringlog_io::driver;

use super::readback::Patience;
use super::signals::Stop;
use super::tally::{ReadObserver, Shared, Tally};
use super::to_ms;
use crate::cli::PerfError;
use crate::client::Consumer;
use crate::client::config::{ConsumerConfig, OffsetReset};
use crate::measure::ClientCounts;
use crate::measure::effort::{Begun, Effort};
use crate::measure::ledger::{LedgerFile, settle};
use crate::measure::series::Recorder;
use crate::spec::{Consume, What};

/// How long one poll waits.
const POLL: Duration = Duration::from_millis(100);

/// A table of a consumer's metrics.
pub(crate) type MetricsTable = fn(&mut Consumer) -> String;

/// What a client leaves behind.
pub(crate) struct Report {
    /// From its beginning until its loop ended.
    pub(crate) effort: Effort,
    /// Its `--print-metrics`.
    pub(crate) metrics: Option<String>,
    /// Why its last connection ended.
    pub(crate) disconnect: Option<String>,
    /// What the client counted from its first record until everything was read.
    pub(crate) counts: ClientCounts,
}

/// One client.
pub(crate) struct Reader<'a> {
    spec: &'a Consume,
    client: usize,
    shared: &'a Shared,
    stop: &'a Stop,
    consumer: Consumer,
    tally: Tally,
    /// At the first record; from then on, until everything was read.
    counts: Option<ClientCounts>,
    has_all: bool,
    is_paused: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn open(
        spec: &'a Consume,
        client: usize,
        (shared, stop): (&'a Shared, &'a Stop),
        (observer, recorder): (Box<dyn ReadObserver>, Option<Recorder>),
    ) -> Result<Self, PerfError> {
        let consumer = Consumer::open(config_of(spec, client), driver::open(driver::DriverOptions::default())?)?;
        let tally = Tally::new(client, shared, observer, recorder);
        Ok(Self { spec, client, shared, stop, consumer, tally, counts: None, has_all: false, is_paused: false })
    }

    /// Reads its share and closes.
    pub(crate) fn run(mut self, metrics: Option<MetricsTable>) -> Result<Report, PerfError> {
        let begun = Begun::at(self.consumer.driver().read().0);
        match &self.spec.what {
            What::Beside(ledger) => {
                self.assign_share(&ledger.topic)?;
                self.read_all(|| Some(ledger))?;
            }
            What::Along(along) if along.is_group => {
                self.consumer.subscribe(&[&along.topic])?;
                self.read_all(|| along.goal.get())?;
            }
            What::Along(along) => {
                self.assign_share(&along.topic)?;
                self.read_all(|| along.goal.get())?;
            }
            What::Subscribed(topic) => {
                self.consumer.subscribe(&[topic])?;
                self.consume()?;
            }
            What::Matching(pattern) => {
                self.consumer.subscribe_pattern(pattern)?;
                self.consume()?;
            }
            What::Assigned(topic) => {
                self.assign_share(topic)?;
                self.consume()?;
            }
        }
        let done_ns = self.consumer.driver().read().0;
        self.note_all(done_ns);
        let report = Report {
            effort: begun.end(done_ns),
            metrics: metrics.map(|table| table(&mut self.consumer)),
            disconnect: self.consumer.last_disconnect().map(str::to_owned),
            counts: self.counts.unwrap_or_default(),
        };
        // Before the close, which may take long.
        self.tally.end();
        self.consumer.close()?;
        Ok(report)
    }

    fn consume(&mut self) -> Result<(), PerfError> {
        let (start_ns, duration) = (self.shared.start().0, self.spec.duration.map(|it| it.as_nanos()));
        let mut now_ns = start_ns;
        while self.goes_on(now_ns, duration) {
            now_ns = self.poll()?.1;
        }
        Ok(())
    }

    fn goes_on(&self, now_ns: u64, duration: Option<u128>) -> bool {
        let total = self.shared.total();
        let timed_from_ns =
            if self.spec.is_timed_from_the_first { total.first_ns } else { Some(self.shared.start().0) };
        let elapsed_ns = timed_from_ns.map_or(0, |from_ns| u128::from(now_ns.saturating_sub(from_ns)));
        total.read.records < self.spec.records
            && to_ms(now_ns.saturating_sub(total.last_ns)) <= self.spec.silence_ms
            && duration.is_none_or(|duration| elapsed_ns < duration)
            && !self.stop.requested()
    }

    /// Reads until there is a ledger, everything that was acknowledged is there and nothing follows, or nothing came for
    /// too long.
    fn read_all<'l>(&mut self, ledger: impl Fn() -> Option<&'l LedgerFile>) -> Result<(), PerfError> {
        let silence_max = Duration::from_millis(u64::try_from(self.spec.silence_ms).unwrap_or(0));
        let (mut end, mut seen_ns) = (None, 0);
        while !self.stop.requested() {
            let now_ns = self.poll()?.1;
            let Some(ledger) = ledger() else { continue };
            let begin = || (ledger.acknowledged(), Patience::new(now_ns, ledger.silence_max(silence_max)));
            let (acknowledged, patience) = end.get_or_insert_with(begin);
            // What any of the clients reads keeps all of them waiting.
            let total = self.shared.total();
            if total.read.records >= *acknowledged {
                self.note_all(now_ns);
            }
            let came = usize::from(std::mem::replace(&mut seen_ns, total.last_ns) != total.last_ns);
            let shared = self.shared;
            let mut missing = || ledger.missing(&settle(&ledger.writers, &shared.read_ledger()));
            if patience.is_over(came, now_ns, &mut missing) {
                break;
            }
        }
        Ok(())
    }

    /// Gives how many records came, and the time.
    fn poll(&mut self) -> Result<(usize, u64), PerfError> {
        if self.shared.is_paused() != self.is_paused {
            self.turn_over()?;
        }
        let records = self.consumer.poll(POLL, &mut self.tally)?;
        if let Some(reason) = self.consumer.take_unreachable() {
            self.tally.unreachable(&reason);
        }
        let now_ns = self.consumer.driver().read().0;
        if records > 0 {
            self.tally.end_poll(now_ns);
            if self.counts.is_none() {
                self.counts = Some(counted(&mut self.consumer));
            }
        }
        Ok((records, now_ns))
    }

    /// Pauses all that is ours, or goes on.
    fn turn_over(&mut self) -> Result<(), PerfError> {
        self.is_paused = !self.is_paused;
        if self.is_paused {
            self.consumer.pause(&[])?
        } else {
            self.consumer.resume(&[])?
        }
        Ok(())
    }

    fn note_all(&mut self, now_ns: u64) {
        if !std::mem::replace(&mut self.has_all, true) {
            self.tally.has_all(now_ns);
            self.counts = self.counts.map(|counts| counts.until(counted(&mut self.consumer)));
        }
    }

    fn assign_share(&mut self, topic: &str) -> Result<(), PerfError> {
        let partitions = self.consumer.partition_count(topic)?;
        let share = (self.client..partitions).step_by(self.spec.clients);
        let share = share.filter_map(|partition| i32::try_from(partition).ok());
        let share: Vec<(&str, i32, Option<i64>)> = share.map(|partition| (topic, partition, None)).collect();
        self.consumer.assign(&share);
        Ok(())
    }
}

fn config_of(spec: &Consume, client: usize) -> ConsumerConfig {
    let mut config = spec.config.clone();
    if spec.clients > 1 {
        config.common.client_id = format!("{}-{client}", config.common.client_id);
    }
    let reads_by_itself = spec.ledger().is_some() || matches!(&spec.what, What::Along(along) if !along.is_group);
    if reads_by_itself {
        // Everything is read, wherever a group stands, and no group is moved by it.
        (config.group_id, config.auto_commit, config.offset_reset) = (None, None, OffsetReset::Earliest);
    }
    if let Some(ledger) = spec.ledger() {
        config.read_committed = ledger.reads_committed();
    }
    config
}

/// What a consumer has counted until now.
fn counted(consumer: &mut Consumer) -> ClientCounts {
    let network = consumer.network_stats();
    ClientCounts {
        wire_bytes: network.sent_bytes + network.received_bytes,
        syscalls: consumer.driver().counters().syscalls,
        requests: network.requests,
        throttle_ms: network.throttle_ms,
        ..ClientCounts::default()
    }
}
