//! Writing: as fast as it goes (closed loop) or on a schedule (open loop).
//!
//! ```text
//!   |-- warm-up --|------ measured ------|-- flush --|        one producer, one thread
//!                 ^ meter starts         ^ meter stops
//! ```
//!
//! Rates count what was acknowledged between the two readings of the meter. Latencies count the records whose intended
//! moment lies in the measured time, however late their answers come: a broker that stalls at the end keeps its stall.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::client::config::ProducerConfig;
use crate::client::{ClientError, Delivered, DeliverySink, Failed, Mark, NewRecord, Producer, Topic};
use crate::measure::ledger::WriteLedger;
use crate::measure::{Latencies, Sample, SampleSink};
use crate::run::kafka::{Window, counts, open_driver, properties, settings};
use crate::run::{ClientCounts, Produced, RunError};
use crate::spec::Workload;
use crate::target::Place;

/// Different values that records take in turn, so that no broker or disk sees one value only.
const VALUES: usize = 256;
/// The same values in every run.
const VALUES_SEED: u64 = 0x7269_6e67_6c6f_6721;
/// A broker that is gone ends the run in half a minute instead of Kafka's two.
const GIVE_UP_SOON: [(&str, &str); 2] = [("request.timeout.ms", "20000"), ("delivery.timeout.ms", "30000")];
/// Bytes of a megabyte.
const MB: f64 = 1e6;
/// Nanoseconds of a second.
const SECOND_NS: u64 = 1_000_000_000;

/// One round of writing.
pub(crate) struct Load<'a> {
    pub(crate) workload: &'a Workload,
    pub(crate) topic: &'a str,
    pub(crate) place: &'a Place,
    pub(crate) began: Instant,
    pub(crate) stop: &'a AtomicBool,
}

impl Load<'_> {
    pub(crate) fn run(&self) -> Result<Produced, RunError> {
        let fail = |error: &dyn std::fmt::Display| RunError::client(&self.workload.name, error);
        let mut given = properties(self.place, &self.workload.producer);
        for (key, value) in GIVE_UP_SOON {
            given.set_default(key, value);
        }
        let parsed = ProducerConfig::parse(&given).map_err(|error| fail(&error))?;
        let (config, settings) = (parsed.config, settings(parsed.effective));
        let driver = open_driver()?;
        let writer = u32::try_from(driver.random() >> 32).unwrap_or(1);
        let sink = Sink::new(writer, self.workload.measured_s);
        let mut producer = Producer::open(config, driver, sink).map_err(|error| fail(&error))?;
        let topic = producer.topic(self.topic);
        let partitions = producer.partition_count(topic).map_err(|error| fail(&error))?;
        let mut source = Source::new(self.workload, topic, self.stop);
        source.prime(&mut producer, partitions).map_err(|error| fail(&error))?;
        let primed = producer.stats().retried_records;

        source.pump(&mut producer, self.workload.warmup_s).map_err(|error| fail(&error))?;
        let window = Window::open(self.place, self.began)?;
        let begin = counts_of(&mut producer);
        let start_ns = producer.driver().read().0;
        producer.sink().open(start_ns);
        source.pump(&mut producer, self.workload.measured_s).map_err(|error| fail(&error))?;
        let usage = window.close()?;
        let counts = begin.until(counts_of(&mut producer));
        let end_ns = producer.driver().read().0;
        producer.sink().close(end_ns);
        if self.stop.load(Ordering::Relaxed) {
            producer.abort();
            return Err(RunError::Interrupted);
        }
        producer.flush().map_err(|error| fail(&error))?;
        let retried_records = producer.stats().retried_records.saturating_sub(primed);
        let sink = producer.close().map_err(|error| fail(&error))?;

        if let Some(reason) = sink.first_failure.as_ref().filter(|_| sink.records == 0) {
            return Err(fail(reason));
        }
        let mut measured = window.measured(usage, sink.records, sink.bytes);
        measured.seconds = sink.seconds;
        measured.retried_records = retried_records;
        measured.counts = counts;
        measured.settings = settings;
        Ok(Produced { measured, ledger: sink.ledger })
    }
}

fn counts_of(producer: &mut Producer<Sink>) -> ClientCounts {
    let (network, waited_ns) = (producer.network_stats(), producer.stats().memory_wait_ns);
    counts(network, producer.driver().counters().syscalls, waited_ns)
}

/// Where records come from: prepared values, and for a fixed rate the schedule.
struct Source<'a> {
    values: Vec<Vec<u8>>,
    topic: Topic,
    sent: usize,
    /// Bytes that one second of a round may send.
    bytes_a_second: f64,
    period_ns: Option<f64>,
    stop: &'a AtomicBool,
}

impl<'a> Source<'a> {
    fn new(workload: &Workload, topic: Topic, stop: &'a AtomicBool) -> Self {
        Self {
            values: values(workload.record_bytes as usize),
            topic,
            sent: 0,
            bytes_a_second: workload.megabytes_max.map_or(f64::INFINITY, |it| it as f64 * MB / workload.round_s()),
            period_ns: workload.rate_records_s.map(|rate| SECOND_NS as f64 / rate),
            stop,
        }
    }

    /// Sends one record to each partition and waits for the answers. A partition that was made a moment ago may refuse at
    /// first; were five batches on their way then, trying again would change their order, which is nobody's fault
    /// without idempotence.
    fn prime(&mut self, producer: &mut Producer<Sink>, partitions: usize) -> Result<(), ClientError> {
        for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
            let now_ns = producer.driver().read().0;
            self.send(producer, Some(partition), now_ns, now_ns)?;
        }
        producer.flush()
    }

    /// Sends for so many seconds, or until their share of the round's bytes is used up.
    fn pump(&mut self, producer: &mut Producer<Sink>, seconds: f64) -> Result<(), ClientError> {
        let start_ns = producer.driver().read().0;
        let end_ns = start_ns + (seconds * SECOND_NS as f64) as u64;
        match self.period_ns {
            None => self.pump_closed(producer, end_ns, seconds * self.bytes_a_second),
            Some(period_ns) => self.pump_open(producer, start_ns, end_ns, period_ns),
        }
    }

    /// Whoever is so fast that the bytes are used up before the time is waited for: the time then ends with the last
    /// answer.
    fn pump_closed(&mut self, producer: &mut Producer<Sink>, end_ns: u64, bytes_max: f64) -> Result<(), ClientError> {
        let mut now_ns = producer.driver().read().0;
        let mut bytes = 0.0;
        while now_ns < end_ns && !self.stop.load(Ordering::Relaxed) {
            if bytes >= bytes_max {
                return producer.flush();
            }
            bytes += self.send(producer, None, now_ns, now_ns)? as f64;
            now_ns = producer.driver().read().0;
        }
        Ok(())
    }

    /// Record `n` is due at `start + n * period`, whatever became of those before it.
    fn pump_open(
        &mut self,
        producer: &mut Producer<Sink>,
        start_ns: u64,
        end_ns: u64,
        period_ns: f64,
    ) -> Result<(), ClientError> {
        let due = |number: u64| start_ns + (number as f64 * period_ns) as u64;
        let mut number = 0;
        while due(number) < end_ns && !self.stop.load(Ordering::Relaxed) {
            let now_ns = producer.driver().read().0;
            if now_ns < due(number) {
                producer.poll(Duration::from_nanos(due(number) - now_ns))?;
                continue;
            }
            self.send(producer, None, due(number), now_ns)?;
            number += 1;
        }
        Ok(())
    }

    /// Sends the next value; gives its bytes.
    fn send(
        &mut self,
        producer: &mut Producer<Sink>,
        partition: Option<i32>,
        intended_ns: u64,
        sent_ns: u64,
    ) -> Result<usize, ClientError> {
        let value = &self.values[self.sent % VALUES];
        self.sent += 1;
        let record = NewRecord { topic: self.topic, partition, key: None, value, intended_ns, sent_ns };
        producer.send_with(&record, |sink, partition, value| sink.stamp(partition, value))?;
        Ok(value.len())
    }
}

/// Letters and digits, as a text would have them, from a fixed seed.
fn values(len: usize) -> Vec<Vec<u8>> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(VALUES_SEED);
    let mut value = |_| (0..len).map(|_| b'A' + (random.next_u32() % 26) as u8).collect();
    (0..VALUES).map(&mut value).collect()
}

/// Hears what became of the records.
struct Sink {
    ledger: WriteLedger,
    /// The measured time: from, to (exclusive).
    window_ns: (u64, u64),
    records: u64,
    bytes: u64,
    seconds: Vec<Latencies>,
    first_failure: Option<String>,
}

impl Sink {
    fn new(writer: u32, measured_s: f64) -> Self {
        let seconds = vec![Latencies::new(); measured_s.ceil() as usize];
        let window_ns = (u64::MAX, u64::MAX);
        Self { ledger: WriteLedger::new(writer), window_ns, records: 0, bytes: 0, seconds, first_failure: None }
    }

    fn open(&mut self, now_ns: u64) {
        self.window_ns = (now_ns, u64::MAX);
    }

    fn close(&mut self, now_ns: u64) {
        self.window_ns.1 = now_ns;
    }

    /// Numbers a record. A value too short for its stamp was refused with the profile.
    fn stamp(&mut self, partition: i32, value: &mut [u8]) -> u64 {
        self.ledger.stamp(partition, value).unwrap_or(u64::MAX)
    }

    fn measures(&self, at_ns: u64) -> bool {
        (self.window_ns.0..self.window_ns.1).contains(&at_ns)
    }

    fn sample(&mut self, mark: &Mark, done_ns: u64) {
        let since_ns = mark.intended_ns.saturating_sub(self.window_ns.0);
        let second = usize::try_from(since_ns / SECOND_NS).unwrap_or(usize::MAX);
        let last = self.seconds.len().saturating_sub(1);
        if let Some(latencies) = self.seconds.get_mut(second.min(last)) {
            let Mark { intended_ns, sent_ns, bytes, .. } = *mark;
            latencies.sample(&Sample { intended_ns, sent_ns, done_ns, bytes });
        }
    }
}

impl DeliverySink for Sink {
    fn delivered(&mut self, batch: &Delivered<'_>) {
        let counted = self.measures(batch.done_ns);
        for mark in batch.marks {
            self.ledger.acknowledged(batch.partition, mark.tag);
            if counted {
                self.records += 1;
                self.bytes += u64::from(mark.bytes);
            }
            if self.measures(mark.intended_ns) {
                self.sample(mark, batch.done_ns);
            }
        }
    }

    fn failed(&mut self, batch: &Failed<'_>) {
        self.first_failure.get_or_insert_with(|| batch.error.to_string());
        batch.marks.iter().for_each(|mark| self.ledger.failed(batch.partition.max(0), mark.tag));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(sink: &mut Sink, intended_ns: u64, done_ns: u64) {
        let tag = sink.stamp(0, &mut [0; 100]);
        let marks = [Mark { intended_ns, sent_ns: intended_ns, tag, bytes: 100 }];
        sink.delivered(&Delivered { topic: Topic(0), partition: 0, base_offset: 0, done_ns, marks: &marks });
    }

    #[test]
    fn rates_count_answers_within_the_window_and_latencies_what_was_due_within_it() {
        let mut sink = Sink::new(1, 2.0);
        delivered(&mut sink, 1, 2); // warm-up
        sink.open(10 * SECOND_NS);
        delivered(&mut sink, 9 * SECOND_NS, 10 * SECOND_NS); // due before, answered within
        delivered(&mut sink, 10 * SECOND_NS, 11 * SECOND_NS); // first second
        delivered(&mut sink, 11 * SECOND_NS, 11 * SECOND_NS + 5); // second second
        sink.close(12 * SECOND_NS);
        delivered(&mut sink, 12 * SECOND_NS - 1, 20 * SECOND_NS); // due within, answered late
        delivered(&mut sink, 13 * SECOND_NS, 13 * SECOND_NS); // after
        assert_eq!((sink.records, sink.bytes), (3, 300));
        let counts: Vec<u64> = sink.seconds.iter().map(|it| it.records).collect();
        assert_eq!(counts, [1, 2]);
        assert!(sink.seconds[1].response.max() > 8 * SECOND_NS, "the late answer is kept");
        assert_eq!(sink.ledger.acknowledged_of(0).unwrap().count(), 6, "warm-up and rest are in the ledger too");
    }

    #[test]
    fn values_differ_and_are_the_same_in_every_run() {
        let (first, second) = (values(100), values(100));
        assert_eq!(first, second);
        assert_ne!(first[0], first[1]);
    }
}
