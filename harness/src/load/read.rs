//! Reading: everything back, each record checked, or for a time whatever comes.
//!
//! The measured time begins with the first records, not with the connection, and ends with the last acknowledged record.
//! Afterwards the topic is read until nothing comes any more: records that were doubled at its end show only there.

#![allow(clippy::disallowed_methods, reason = "the clock of the instrument")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::client::config::ConsumerConfig;
use crate::client::{ConsumedRecord, Consumer, RecordSink};
use crate::measure::ledger::{ReadLedger, WriteLedger};
use crate::run::kafka::{Window, counts, open_driver, properties, settings};
use crate::run::{ClientCounts, Consumed, Reading, RunError};
use crate::spec::Workload;
use crate::target::Place;

/// How long one poll waits.
const POLL: Duration = Duration::from_millis(100);
/// Without a record for so long, what is missing is lost.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// After the last acknowledged record the topic must stay silent for so long.
const SILENCE_AT_END: Duration = Duration::from_millis(200);

/// One round of reading.
pub(crate) struct Load<'a> {
    pub(crate) workload: &'a Workload,
    pub(crate) topic: &'a str,
    pub(crate) place: &'a Place,
    pub(crate) reading: Reading<'a>,
    pub(crate) began: Instant,
    pub(crate) stop: &'a AtomicBool,
}

impl Load<'_> {
    pub(crate) fn run(&self) -> Result<Consumed, RunError> {
        let fail = |error: &dyn std::fmt::Display| RunError::client(&self.workload.name, error);
        let mut given = properties(self.place, &self.workload.consumer);
        given.set_default("auto.offset.reset", "earliest");
        let parsed = ConsumerConfig::parse(&given).map_err(|error| fail(&error))?;
        let settings = settings(parsed.effective);
        let mut consumer = Consumer::open(parsed.config, open_driver()?).map_err(|error| fail(&error))?;
        consumer.assign_all(self.topic).map_err(|error| fail(&error))?;

        let mut sink = Sink::new(self.reading);
        self.poll_until(&mut consumer, &mut sink, |sink, quiet| sink.records > 0 || quiet > SILENCE_MAX)?;
        let window = Window::open(self.place, self.began)?;
        let (records, bytes) = (sink.records, sink.bytes);
        let begin = counts_of(&mut consumer);
        let opened = Instant::now();
        match self.reading {
            Reading::For(time) => self.poll_until(&mut consumer, &mut sink, |_, _| opened.elapsed() >= time)?,
            Reading::Back(written) => {
                let wanted = acknowledged(written, self.partitions());
                self.poll_until(&mut consumer, &mut sink, |sink, quiet| sink.records >= wanted || quiet > SILENCE_MAX)?;
            }
        }
        let usage = window.close()?;
        let counts = begin.until(counts_of(&mut consumer));
        let mut measured = window.measured(usage, sink.records - records, sink.bytes - bytes);
        (measured.counts, measured.settings) = (counts, settings);
        if matches!(self.reading, Reading::Back(_)) {
            self.poll_until(&mut consumer, &mut sink, |_, quiet| quiet > SILENCE_AT_END)?;
        }
        consumer.close().map_err(|error| fail(&error))?;
        Ok(Consumed { measured, ledger: sink.ledger.unwrap_or_default() })
    }

    /// Polls until `done`, which is told what was read and how long nothing came.
    fn poll_until(
        &self,
        consumer: &mut Consumer,
        sink: &mut Sink,
        done: impl Fn(&Sink, Duration) -> bool,
    ) -> Result<(), RunError> {
        let mut last = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            let read = consumer.poll(POLL, sink).map_err(|error| RunError::client(&self.workload.name, error))?;
            if read > 0 {
                last = Instant::now();
            }
            if done(sink, last.elapsed()) {
                return Ok(());
            }
        }
        Err(RunError::Interrupted)
    }

    fn partitions(&self) -> i32 {
        i32::try_from(self.workload.partitions).unwrap_or(i32::MAX)
    }
}

fn counts_of(consumer: &mut Consumer) -> ClientCounts {
    counts(consumer.network_stats(), consumer.driver().counters().syscalls, 0)
}

fn acknowledged(written: &WriteLedger, partitions: i32) -> u64 {
    (0..partitions).filter_map(|it| written.acknowledged_of(it)).map(crate::measure::ledger::Ranges::count).sum()
}

/// Counts, and checks where there is a ledger.
struct Sink {
    ledger: Option<ReadLedger>,
    records: u64,
    bytes: u64,
}

impl Sink {
    fn new(reading: Reading<'_>) -> Self {
        let ledger = matches!(reading, Reading::Back(_)).then(ReadLedger::new);
        Self { ledger, records: 0, bytes: 0 }
    }
}

impl RecordSink for Sink {
    fn record(&mut self, record: &ConsumedRecord<'_>) {
        let value = record.value.unwrap_or_default();
        self.records += 1;
        self.bytes += value.len() as u64;
        if let Some(ledger) = &mut self.ledger {
            ledger.record(record.partition, value);
        }
    }
}
