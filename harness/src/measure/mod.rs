//! What is kept of every record: its three times, as whole histograms.
//!
//! ```text
//!   intended ---- sent ------------------- done        (nanoseconds of one monotonic clock)
//!      |            '------ service --------'
//!      '----------------- response ---------'
//! ```
//!
//! Invariants:
//! - `response = done - intended` and `service = done - sent`; both are kept, never one of them alone.
//! - A value above the limit is counted at the limit and in `saturated`, one below 0 at 0 and in `ahead`: nothing fails,
//!   nothing is dropped, and what was bent is told.
//! - Whole histograms are kept, not percentiles, so that runs can be merged exactly.

pub(crate) mod effort;
pub mod hlog;
pub mod ledger;
pub(crate) mod series;

use hdrhistogram::Histogram;

/// The longest latency that is told apart from a longer one: 366 days. A consumer may read what was written long ago.
pub const LATENCY_NS_MAX: u64 = 366 * 24 * HOUR_NS;
/// Histograms have room for this much from the beginning, and grow where more comes.
const HOUR_NS: u64 = 3_600_000_000_000;

/// Significant decimal digits of a kept value: 0.1 %.
pub const LATENCY_DIGITS: u8 = 3;

/// One record (or one batch of one size) that was acknowledged or read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// When the schedule wanted it sent. Equal to `sent_ns` in a closed loop.
    pub intended_ns: u64,
    /// When it was handed to the client.
    pub sent_ns: u64,
    /// When its acknowledgement was seen.
    pub done_ns: u64,
    /// Bytes of its key and value.
    pub bytes: u32,
}

impl Sample {
    /// From the intended send time to the acknowledgement: what a user waits.
    #[must_use]
    pub fn response_ns(&self) -> u64 {
        self.done_ns.saturating_sub(self.intended_ns)
    }

    /// From the actual send to the acknowledgement: what kafka-producer-perf-test calls latency.
    #[must_use]
    pub fn service_ns(&self) -> u64 {
        self.done_ns.saturating_sub(self.sent_ns)
    }
}

/// What a client counts beside records, until a moment or between two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientCounts {
    /// Time in which sends waited for `buffer.memory`, in nanoseconds.
    pub buffer_wait_ns: u64,
    /// Bytes of requests and answers.
    pub wire_bytes: u64,
    /// System calls of its driver.
    pub syscalls: u64,
    /// How long brokers wanted it to hold back (quotas), in milliseconds.
    pub throttle_ms: u64,
    /// Requests that it sent.
    pub requests: u64,
    /// Batches that were acknowledged.
    pub batches: u64,
}

impl ClientCounts {
    /// What was counted from `self` on.
    #[must_use]
    pub fn until(self, end: Self) -> Self {
        Self {
            buffer_wait_ns: end.buffer_wait_ns.saturating_sub(self.buffer_wait_ns),
            wire_bytes: end.wire_bytes.saturating_sub(self.wire_bytes),
            syscalls: end.syscalls.saturating_sub(self.syscalls),
            throttle_ms: end.throttle_ms.saturating_sub(self.throttle_ms),
            requests: end.requests.saturating_sub(self.requests),
            batches: end.batches.saturating_sub(self.batches),
        }
    }

    /// What two clients counted.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            buffer_wait_ns: self.buffer_wait_ns + other.buffer_wait_ns,
            wire_bytes: self.wire_bytes + other.wire_bytes,
            syscalls: self.syscalls + other.syscalls,
            throttle_ms: self.throttle_ms + other.throttle_ms,
            requests: self.requests + other.requests,
            batches: self.batches + other.batches,
        }
    }
}

/// Whoever wants to see every sample.
pub trait SampleSink {
    /// Takes one sample. Called once per record: it must be cheap and must not fail.
    fn sample(&mut self, sample: &Sample);
}

/// The two histograms of an interval or of a run. `Send`: threads keep their own and merge at the end.
#[derive(Clone, Debug)]
pub struct Latencies {
    /// `done - intended`, in nanoseconds.
    pub response: Histogram<u64>,
    /// `done - sent`, in nanoseconds.
    pub service: Histogram<u64>,
    /// Samples whose response time was above [`LATENCY_NS_MAX`] (they are in the histograms, at the limit).
    pub saturated: u64,
    /// Samples that ended before they began, by two clocks that disagree (they are in the histograms, as 0).
    pub ahead: u64,
    /// Samples.
    pub records: u64,
    /// Bytes of all samples.
    pub bytes: u64,
}

impl Latencies {
    /// The name under which response times are stored (hlog tag).
    pub const RESPONSE_TAG: &'static str = "response";
    /// The name under which service times are stored (hlog tag).
    pub const SERVICE_TAG: &'static str = "service";

    /// Empty histograms.
    #[must_use]
    pub fn new() -> Self {
        Self { response: empty(), service: empty(), saturated: 0, ahead: 0, records: 0, bytes: 0 }
    }

    /// Adds all that another one holds.
    pub fn merge(&mut self, other: &Self) {
        // Both begin as `empty` and grow alike, so neither addition can be refused.
        let _ = self.response.add(&other.response);
        let _ = self.service.add(&other.service);
        self.saturated += other.saturated;
        self.ahead += other.ahead;
        self.records += other.records;
        self.bytes += other.bytes;
    }

    /// Takes so many samples at once that are this old when they are done, of so many bytes together. The age is a
    /// difference of wall clocks: it may lie before this machine's start, and below 0.
    pub fn aged(&mut self, age_ns: i64, records: u64, bytes: u64) {
        let age = u64::try_from(age_ns).unwrap_or(0);
        self.ahead += if age_ns < 0 { records } else { 0 };
        self.saturated += if age > LATENCY_NS_MAX { records } else { 0 };
        record(&mut self.response, age, records);
        record(&mut self.service, age, records);
        self.records += records;
        self.bytes += bytes;
    }

    /// Takes a record that was due so long ago and is never sent: it would have had to wait at least that long for its
    /// answer. It has no service time, and is none of the records.
    pub fn never_sent(&mut self, waited_ns: u64) {
        self.saturated += u64::from(waited_ns > LATENCY_NS_MAX);
        self.response.saturating_record(waited_ns);
    }

    /// Takes what was gathered since the last call and starts again.
    #[must_use]
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

impl SampleSink for Latencies {
    fn sample(&mut self, sample: &Sample) {
        let response = sample.response_ns();
        self.saturated += u64::from(response > LATENCY_NS_MAX);
        self.ahead += u64::from(sample.done_ns < sample.intended_ns);
        record(&mut self.response, response, 1);
        record(&mut self.service, sample.service_ns(), 1);
        self.records += 1;
        self.bytes += u64::from(sample.bytes);
    }
}

/// An empty histogram of times in ns.
pub(crate) fn empty() -> Histogram<u64> {
    let mut histogram =
        Histogram::new_with_bounds(1, HOUR_NS, LATENCY_DIGITS).expect("constant limits that the histogram accepts");
    histogram.auto(true);
    histogram
}

#[inline]
fn record(histogram: &mut Histogram<u64>, ns: u64, samples: u64) {
    // It grows up to the limit, which it can hold.
    let _ = histogram.record_n(ns.min(LATENCY_NS_MAX), samples);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(intended_ns: u64, sent_ns: u64, done_ns: u64) -> Sample {
        Sample { intended_ns, sent_ns, done_ns, bytes: 100 }
    }

    #[test]
    fn a_late_send_is_in_the_response_time_and_not_in_the_service_time() {
        let mut kept = Latencies::new();
        kept.sample(&sample(1_000_000, 51_000_000, 53_000_000));
        let near = |value: u64, wanted: u64| value.abs_diff(wanted) * 1000 <= wanted;
        assert!(near(kept.response.max(), 52_000_000), "{}", kept.response.max());
        assert!(near(kept.service.max(), 2_000_000), "{}", kept.service.max());
        assert_eq!((kept.records, kept.bytes), (1, 100));
    }

    #[test]
    fn a_value_above_the_limit_is_counted_at_the_limit() {
        let mut kept = Latencies::new();
        kept.sample(&sample(0, 0, 2 * LATENCY_NS_MAX));
        assert_eq!((kept.saturated, kept.response.len()), (1, 1));
        assert!(kept.response.max() >= LATENCY_NS_MAX);
    }

    #[test]
    fn an_age_is_what_it_is_up_to_a_year_and_what_is_bent_is_counted() {
        let mut kept = Latencies::new();
        let hours = |count: i64| count * 3_600_000_000_000;
        for age in [hours(2), hours(30 * 24), hours(400 * 24), -5] {
            kept.aged(age, 2, 10);
        }
        let near = |q: f64, wanted: i64| {
            let value = kept.response.value_at_quantile(q);
            assert!(value.abs_diff(wanted.unsigned_abs()) * 1000 <= wanted.unsigned_abs(), "{q}: {value}");
        };
        near(0.5, hours(2));
        near(0.75, hours(30 * 24));
        near(1.0, hours(366 * 24));
        assert_eq!((kept.response.len(), kept.saturated, kept.ahead, kept.response.min()), (8, 2, 2, 0));
        let mut all = Latencies::new();
        all.merge(&kept);
        assert_eq!((all.response.len(), all.saturated, all.ahead), (8, 2, 2), "one that has not grown takes it");
        assert_eq!(all.response.max(), kept.response.max());
    }

    #[test]
    fn merging_is_as_if_one_had_seen_all() {
        let (mut left, mut right, mut both) = (Latencies::new(), Latencies::new(), Latencies::new());
        for at in 1..1000u64 {
            let one = sample(0, at * 100, at * 1000);
            if at % 3 == 0 {
                left.sample(&one)
            } else {
                right.sample(&one)
            }
            both.sample(&one);
        }
        left.merge(&right);
        assert_eq!(left.response, both.response);
        assert_eq!(left.service, both.service);
        let taken = left.take();
        assert_eq!((taken.records, left.records, left.response.len()), (999, 0, 0));
    }

    #[test]
    fn a_clock_that_goes_back_gives_zero_and_not_a_wrap() {
        assert_eq!(sample(10, 10, 5).response_ns(), 0);
        let mut kept = Latencies::new();
        kept.sample(&sample(10, 10, 5));
        assert_eq!((kept.ahead, kept.response.max()), (1, 0), "and is counted");
    }
}
