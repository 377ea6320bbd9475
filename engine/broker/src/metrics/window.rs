//! What happened in the last five minutes: what the meters said every half minute, to be taken from what they say now.

use std::collections::VecDeque;

use ringlog_io::Nanos;

use super::meter::Meter;
use super::page::ShardSight;
use super::times::BUCKETS;
use crate::handlers::HANDLERS;

/// How often the meters are read.
pub(crate) const EVERY_NS: u64 = 30_000_000_000;
/// How many readings are kept: five minutes of them.
const KEPT: usize = 10;

/// What all meters said at one moment, added up.
#[derive(Debug)]
struct Reading {
    requests: Vec<Vec<u64>>,
    flushes: Vec<u64>,
    busy_ns: u64,
    all_ns: u64,
}

/// See the head of the file.
#[derive(Debug, Default)]
pub(crate) struct Window {
    readings: VecDeque<Reading>,
    next: Nanos,
}

impl Window {
    /// When the meters are to be read again.
    pub(crate) fn next(&self) -> Nanos {
        self.next
    }

    /// Reads the meters, where it is time.
    pub(crate) fn read<'a>(&mut self, meters: impl Iterator<Item = &'a Meter> + Clone, now: Nanos) {
        if now < self.next {
            return;
        }
        self.next = Nanos(now.0 + EVERY_NS);
        let mut reading = Reading {
            requests: vec![vec![0; BUCKETS]; HANDLERS.len()],
            flushes: vec![0; BUCKETS],
            busy_ns: 0,
            all_ns: 0,
        };
        for meter in meters {
            for (sums, requests) in reading.requests.iter_mut().zip(meter.requests()) {
                add(sums, &requests.times.counts());
            }
            add(&mut reading.flushes, &meter.flushes.counts());
            reading.busy_ns += meter.busy_ns.get();
            reading.all_ns += meter.busy_ns.get() + meter.waited_ns.get();
        }
        self.readings.push_back(reading);
        if self.readings.len() > KEPT {
            self.readings.pop_front();
        }
    }

    /// Times of the requests of an API, by its place in the list of handlers.
    pub(crate) fn requests(&self, place: usize, shards: &[ShardSight<'_>]) -> Vec<u64> {
        let now = shards.iter().map(|shard| shard.meter.requests()[place].times.counts());
        since(now, self.readings.front().map(|reading| &reading.requests[place]))
    }

    /// Times of flushes.
    pub(crate) fn flushes(&self, shards: &[ShardSight<'_>]) -> Vec<u64> {
        let now = shards.iter().map(|shard| shard.meter.flushes.counts());
        since(now, self.readings.front().map(|reading| &reading.flushes))
    }

    /// Share of the time since the last reading but one in which the shards waited; `None` where none has passed.
    pub(crate) fn idle_share(&self, shards: &[ShardSight<'_>]) -> Option<f64> {
        let busy_ns: u64 = shards.iter().map(|shard| shard.meter.busy_ns.get()).sum();
        let waited_ns: u64 = shards.iter().map(|shard| shard.meter.waited_ns.get()).sum();
        let before = self.readings.iter().rev().nth(1).map_or((0, 0), |reading| (reading.busy_ns, reading.all_ns));
        let (busy_ns, all_ns) = (busy_ns - before.0.min(busy_ns), busy_ns + waited_ns - before.1);
        (all_ns > 0).then(|| 1.0 - busy_ns as f64 / all_ns as f64)
    }
}

fn add(sums: &mut [u64], more: &[u64]) {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

fn since(now: impl Iterator<Item = Vec<u64>>, before: Option<&Vec<u64>>) -> Vec<u64> {
    let mut sums = vec![0; BUCKETS];
    now.for_each(|counts| add(&mut sums, &counts));
    if let Some(before) = before {
        sums.iter_mut().zip(before).for_each(|(sum, before)| *sum = sum.saturating_sub(*before));
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLUSH_NS: u64 = 3_000_000;

    fn sights(meter: &Meter) -> Vec<ShardSight<'_>> {
        vec![ShardSight { meter, facts: None, answers: true }]
    }

    #[test]
    fn what_is_older_than_five_minutes_does_not_count() {
        let meter = Meter::default();
        let mut window = Window::default();
        for half_minute in 0..=KEPT as u64 + 1 {
            window.read(std::iter::once(&meter), Nanos(half_minute * EVERY_NS));
            meter.flushes.note(FLUSH_NS);
        }
        let counted: u64 = window.flushes(&sights(&meter)).iter().sum();
        assert_eq!(counted, KEPT as u64);
        assert!(window.next() > Nanos(KEPT as u64 * EVERY_NS));
    }

    #[test]
    fn a_shard_that_waits_most_of_the_time_is_idle_most_of_the_time() {
        let meter = Meter::default();
        let mut window = Window::default();
        assert_eq!(window.idle_share(&sights(&meter)), None);
        meter.busy_ns.set(100);
        meter.waited_ns.set(0);
        for reading in 0..2 {
            window.read(std::iter::once(&meter), Nanos(reading * EVERY_NS));
        }
        meter.busy_ns.set(200);
        meter.waited_ns.set(300);
        let idle = window.idle_share(&sights(&meter)).expect("time has passed");
        assert!((idle - 0.75).abs() < 1e-9, "{idle}");
    }
}
