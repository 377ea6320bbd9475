//! The meter of a trial: read when the measured time begins and when it ends, on the clients' threads.
//!
//! ```text
//!   write   |-- warm-up --|------ measured ------|-- flush --|
//!   read    |-- connecting, first poll --|-- measured --|-- silence --|
//!                                        ^ open          ^ close
//! ```
//!
//! Whoever reads beside the writers hears of the same two moments ([`Beside`]).
//!
//! Rates count what was acknowledged, or read, between the two. Latencies count the records that were due in the measured
//! time, however late their answers come.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::beside::Beside;
use super::scraper::Scraper;
use super::{Measured, RunError};
use crate::client::{Delivered, Failed};
use crate::host::{Meter, Usage};
use crate::load::ear::{Observer, Observers};
use crate::load::tally::{Read, ReadObserver, ReadObservers};
use crate::spec::{Produce, Warmup};
use crate::target::Place;

/// The two readings.
struct Dial {
    /// Whose processor time is the target's; none where they end meanwhile.
    pids: Vec<u32>,
    began: Instant,
    /// Clients that are not at their end.
    clients: usize,
    window: Option<Result<Window, RunError>>,
    usage: Option<Result<Usage, RunError>>,
    beside: Option<Arc<Beside>>,
    scraper: Option<Scraper>,
}

/// When the measured time began, and the meter of it.
struct Window {
    time: String,
    start: Duration,
    meter: Meter,
}

fn gone(error: impl std::fmt::Display) -> RunError {
    RunError::BrokerGone(error.to_string())
}

impl Dial {
    fn new(place: &Place, began: Instant, clients: usize) -> Self {
        Self { pids: place.pids(), began, clients, window: None, usage: None, beside: None, scraper: None }
    }

    /// The first client that comes so far opens it.
    fn open(&mut self) {
        if self.window.is_none() {
            let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
            let (start, meter) = (self.began.elapsed(), Meter::start(&self.pids));
            self.window = Some(meter.map(|meter| Window { time, start, meter }).map_err(gone));
            self.beside.iter().for_each(|beside| beside.open());
            self.scraper.iter().for_each(Scraper::look);
        }
    }

    /// The last client that ends closes it.
    fn close(&mut self) {
        self.clients = self.clients.saturating_sub(1);
        if let (0, Some(Ok(window))) = (self.clients, &self.window) {
            self.usage = Some(window.meter.stop().map_err(gone));
            self.beside.iter().for_each(|beside| beside.close());
            self.scraper.iter().for_each(Scraper::look);
        }
    }

    /// What is between the readings, with so many records and bytes; `None` where one was not made.
    fn measured(&mut self, records: u64, bytes: u64) -> Result<Option<Measured>, RunError> {
        let (window, usage) = (self.window.take().transpose()?, self.usage.take().transpose()?);
        let observed = self.scraper.take().and_then(Scraper::finish);
        Ok(window.zip(usage).map(|(Window { time, start, .. }, usage)| Measured {
            time,
            start,
            records,
            bytes,
            usage,
            observed,
            ..Measured::default()
        }))
    }
}

/// A client that panicked leaves readings that are still true.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Of a load of producers.
#[derive(Clone)]
pub(super) struct WriteGauge {
    dial: Arc<Mutex<WriteDial>>,
    /// Who reads beside: told of each batch.
    beside: Option<Arc<Beside>>,
}

struct WriteDial {
    dial: Dial,
    has_warmup: bool,
    first_failure: Option<String>,
}

impl WriteGauge {
    pub(super) fn new(place: &Place, began: Instant, spec: &Produce, beside: Option<Arc<Beside>>) -> Self {
        let dial = Dial { beside: beside.clone(), ..Dial::new(place, began, spec.clients) };
        let has_warmup = spec.warmup != Warmup::Without;
        Self { dial: Arc::new(Mutex::new(WriteDial { dial, has_warmup, first_failure: None })), beside }
    }

    /// The target's processes are not looked at: they end, and others come.
    pub(super) fn without_processes(self, they_end: bool) -> Self {
        if they_end {
            locked(&self.dial).dial.pids.clear();
        }
        self
    }

    /// The target's endpoints are looked at as well.
    pub(super) fn looking_at(self, metrics: &[String]) -> Self {
        locked(&self.dial).dial.scraper = Scraper::start(metrics);
        self
    }

    pub(super) fn observers(&self) -> Observers {
        let gauge = self.clone();
        Arc::new(move |_| Box::new(gauge.clone()))
    }

    /// What was measured, when the load is over. Where nothing was acknowledged, the first refusal is the reason.
    pub(super) fn measured(&self, what: &str, (records, bytes): (u64, u64)) -> Result<Measured, RunError> {
        let mut gauge = locked(&self.dial);
        if let Some(reason) = gauge.first_failure.take().filter(|_| records == 0) {
            return Err(RunError::client(what, reason));
        }
        let measured = gauge.dial.measured(records, bytes)?;
        measured.ok_or_else(|| RunError::client(what, "the warm-up did not end: nothing was measured"))
    }
}

impl Observer for WriteGauge {
    fn started(&mut self, _now_ns: u64) {
        let mut gauge = locked(&self.dial);
        if !gauge.has_warmup {
            gauge.dial.open();
        }
    }

    fn steady(&mut self, _now_ns: u64) {
        locked(&self.dial).dial.open();
    }

    fn ended(&mut self, _now_ns: u64) {
        locked(&self.dial).dial.close();
    }

    fn delivered(&mut self, batch: &Delivered<'_>) {
        if let Some(beside) = &self.beside {
            beside.acknowledged(batch);
        }
    }

    fn failed(&mut self, batch: &Failed<'_>) {
        locked(&self.dial).first_failure.get_or_insert_with(|| batch.error.to_string());
    }
}

/// Of a load of consumers.
#[derive(Clone)]
pub(super) struct ReadGauge(Arc<Mutex<ReadDial>>);

struct ReadDial {
    dial: Dial,
    read: Read,
}

impl ReadGauge {
    pub(super) fn new(place: &Place, began: Instant, clients: usize) -> Self {
        Self(Arc::new(Mutex::new(ReadDial { dial: Dial::new(place, began, clients), read: Read::default() })))
    }

    /// As [`WriteGauge::looking_at`].
    pub(super) fn looking_at(self, metrics: &[String]) -> Self {
        locked(&self.0).dial.scraper = Scraper::start(metrics);
        self
    }

    pub(super) fn observers(&self) -> ReadObservers {
        let gauge = self.clone();
        Arc::new(move |_| Box::new(gauge.clone()))
    }

    /// What was measured, when the load is over: nothing, where no record came.
    pub(super) fn measured(&self) -> Result<Measured, RunError> {
        let mut gauge = locked(&self.0);
        let Read { records, bytes } = gauge.read;
        Ok(gauge.dial.measured(records, bytes)?.unwrap_or_default())
    }
}

impl ReadObserver for ReadGauge {
    fn polled(&mut self, read: Read, _now_ns: u64) {
        let mut gauge = locked(&self.0);
        if gauge.dial.window.is_none() {
            gauge.dial.open();
        } else if gauge.dial.usage.is_none() {
            gauge.read.add(read);
        }
    }

    fn ended(&mut self, _now_ns: u64) {
        locked(&self.0).dial.close();
    }
}
