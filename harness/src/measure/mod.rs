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
//! - A value above the histogram's limit is counted at the limit and in `saturated`: nothing fails, nothing is dropped.
//! - Whole histograms are kept, not percentiles, so that runs can be merged exactly.

pub(crate) mod effort;
pub(crate) mod hdr;
pub mod ledger;
pub(crate) mod series;

use hdrhistogram::Histogram;

/// The longest latency that is told apart from a longer one: one hour.
pub const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

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
        Self { response: empty(), service: empty(), saturated: 0, records: 0, bytes: 0 }
    }

    /// Adds all that another one holds.
    pub fn merge(&mut self, other: &Self) {
        // Both have the limits of `empty`, so neither addition can be refused.
        let _ = self.response.add(&other.response);
        let _ = self.service.add(&other.service);
        self.saturated += other.saturated;
        self.records += other.records;
        self.bytes += other.bytes;
    }

    /// Takes so many samples with the same times at once, of so many bytes together.
    pub fn sample_alike(&mut self, sample: &Sample, records: u64, bytes: u64) {
        let response = sample.response_ns();
        self.saturated += if response > LATENCY_NS_MAX { records } else { 0 };
        self.response.saturating_record_n(response, records);
        self.service.saturating_record_n(sample.service_ns(), records);
        self.records += records;
        self.bytes += bytes;
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
        self.response.saturating_record(response);
        self.service.saturating_record(sample.service_ns());
        self.records += 1;
        self.bytes += u64::from(sample.bytes);
    }
}

fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, LATENCY_DIGITS).expect("constant limits that the histogram accepts")
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
    }
}
