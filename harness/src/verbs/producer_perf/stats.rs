//! What kafka-producer-perf-test keeps and prints: windows driven by acknowledgements, percentiles of a systematic
//! sample, whole milliseconds. Its faults are part of the compatible lines; ours are elsewhere.

use crate::cli::java_format::fixed;

/// At most so many latencies are kept, by keeping every n-th.
const SAMPLES: u64 = 500_000;
/// A run whose number of records was not known thins its samples at this many. No other run gets here: it keeps fewer.
const SAMPLES_MAX: usize = 2 * SAMPLES as usize;

/// One `Stats` object: the whole run's, or the steady state's.
#[derive(Debug)]
pub(crate) struct Stats {
    start_ms: i64,
    window_start_ms: i64,
    latencies: Vec<i32>,
    sampling: u64,
    count: u64,
    bytes: u64,
    latency_ms_max: i32,
    latency_ms_sum: i64,
    window: Window,
    reporting_interval_ms: i64,
    steady: bool,
    silent: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    count: u64,
    latency_ms_max: i32,
    latency_ms_sum: i64,
    bytes: u64,
}

/// Bytes of a megabyte, as the tool understands it.
const MB: f64 = 1024.0 * 1024.0;

impl Stats {
    pub(crate) fn new(records: u64, reporting_interval_ms: i64, steady: bool, now_ms: i64) -> Self {
        Self {
            start_ms: now_ms,
            window_start_ms: now_ms,
            latencies: Vec::new(),
            sampling: records / records.clamp(1, SAMPLES),
            count: 0,
            bytes: 0,
            latency_ms_max: 0,
            latency_ms_sum: 0,
            window: Window::default(),
            reporting_interval_ms,
            steady,
            silent: false,
        }
    }

    /// Windows are printed by the steady state's object from now on.
    pub(crate) fn silence(&mut self) {
        self.silent = true;
    }

    /// Takes an acknowledgement that was seen at `now_ms`; `print` takes the lines of a window that it closes.
    pub(crate) fn record(&mut self, latency_ms: i32, bytes: u64, now_ms: i64, print: &mut dyn FnMut(String)) {
        if self.count.is_multiple_of(self.sampling) {
            if self.latencies.len() == SAMPLES_MAX {
                self.thin();
            }
            self.latencies.push(latency_ms);
        }
        self.count += 1;
        self.bytes += bytes;
        self.latency_ms_sum += i64::from(latency_ms);
        self.latency_ms_max = self.latency_ms_max.max(latency_ms);
        self.window.take(latency_ms, bytes);
        if now_ms - self.window_start_ms >= self.reporting_interval_ms {
            self.close_window(now_ms, print);
        }
    }

    /// Keeps every second sample, and from now on every second one of those that would have been taken.
    #[cold]
    fn thin(&mut self) {
        let mut index = 0;
        self.latencies.retain(|_| {
            index += 1;
            index % 2 == 1
        });
        self.sampling *= 2;
    }

    fn close_window(&mut self, now_ms: i64, print: &mut dyn FnMut(String)) {
        if self.steady && self.count == self.window.count {
            print("In steady state.".into());
        }
        if !self.silent {
            print(self.window.line(now_ms - self.window_start_ms));
        }
        self.window = Window::default();
        self.window_start_ms = now_ms;
    }

    /// The final line.
    pub(crate) fn total(&mut self, now_ms: i64) -> String {
        let (records_per_s, mb_per_s) = rates(self.count, self.bytes, now_ms - self.start_ms);
        let average = self.latency_ms_sum as f64 / self.count as f64;
        let [p50, p95, p99, p999] = percentiles(&mut self.latencies, [0.5, 0.95, 0.99, 0.999]);
        format!(
            "{}{} records sent, {} records/sec ({} MB/sec), {} ms avg latency, {} ms max latency, {p50} ms 50th, {p95} ms 95th, {p99} ms 99th, {p999} ms 99.9th.",
            self.count,
            if self.steady { " steady state" } else { "" },
            fixed(records_per_s, 6),
            fixed(mb_per_s, 2),
            fixed(average, 2),
            fixed(f64::from(self.latency_ms_max), 2),
        )
    }
}

impl Window {
    fn take(&mut self, latency_ms: i32, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
        self.latency_ms_sum += i64::from(latency_ms);
        self.latency_ms_max = self.latency_ms_max.max(latency_ms);
    }

    fn line(&self, elapsed_ms: i64) -> String {
        let (records_per_s, mb_per_s) = rates(self.count, self.bytes, elapsed_ms);
        format!(
            "{} records sent, {} records/sec ({} MB/sec), {} ms avg latency, {} ms max latency.",
            self.count,
            fixed(records_per_s, 1),
            fixed(mb_per_s, 2),
            fixed(self.latency_ms_sum as f64 / self.count as f64, 1),
            fixed(f64::from(self.latency_ms_max), 1),
        )
    }
}

fn rates(count: u64, bytes: u64, elapsed_ms: i64) -> (f64, f64) {
    let elapsed_ms = elapsed_ms as f64;
    (1000.0 * count as f64 / elapsed_ms, 1000.0 * bytes as f64 / elapsed_ms / MB)
}

/// Sorted, index `floor(p * n)`, no interpolation; 0 of nothing.
fn percentiles<const N: usize>(latencies: &mut [i32], wanted: [f64; N]) -> [i32; N] {
    latencies.sort_unstable();
    wanted.map(|p| latencies.get((p * latencies.len() as f64) as usize).copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats_of(records: u64) -> Stats {
        Stats::new(records, 5000, false, 0)
    }

    #[test]
    fn the_sampling_is_kafka_s_integer_division() {
        let sampling = |records| stats_of(records).sampling;
        assert_eq!([500_000, 999_999, 1_000_000, 10_000_000, 50_000_000].map(sampling), [1, 1, 2, 20, 100]);
        assert_eq!(sampling(1), 1);
    }

    #[test]
    fn a_run_of_unknown_length_keeps_every_nth_latency_and_its_memory_stays_bounded() {
        let mut stats = stats_of(SAMPLES);
        for index in 0..2_000_001u32 {
            stats.record(i32::try_from(index).unwrap(), 1, 0, &mut |_| ());
        }
        assert_eq!((stats.sampling, stats.latencies.len()), (4, 500_001));
        assert!(stats.latencies.iter().enumerate().all(|(at, latency)| *latency == 4 * i32::try_from(at).unwrap()));
    }

    #[test]
    fn percentiles_are_taken_at_the_floor_of_p_times_n() {
        let mut thousand: Vec<i32> = (0..1000).rev().collect();
        assert_eq!(percentiles(&mut thousand, [0.5, 0.95, 0.99, 0.999]), [500, 950, 990, 999]);
        let mut few: Vec<i32> = (0..10).collect();
        assert_eq!(percentiles(&mut few, [0.5, 0.999]), [5, 9], "below 1000 samples p99.9 is the largest");
        assert_eq!(percentiles(&mut [], [0.5]), [0]);
    }

    #[test]
    fn the_final_line_is_kafka_s() {
        let mut stats = stats_of(30_000);
        for index in 0..30_000 {
            stats.record(if index == 0 { 205 } else { 1 }, 1000, 10, &mut |_| ());
        }
        let line = "30000 records sent, 199.973337 records/sec (0.19 MB/sec), 1.01 ms avg latency, 205.00 ms max latency, 1 ms 50th, 1 ms 95th, 1 ms 99th, 1 ms 99.9th.";
        assert_eq!(stats.total(150_020), line);
    }

    #[test]
    fn without_an_acknowledgement_the_average_is_not_a_number() {
        let line = stats_of(5).total(1000);
        assert!(
            line.starts_with("0 records sent, 0.000000 records/sec (0.00 MB/sec), NaN ms avg latency, 0.00 ms max"),
            "{line}"
        );
        assert!(line.ends_with("0 ms 50th, 0 ms 95th, 0 ms 99th, 0 ms 99.9th."), "{line}");
    }

    #[test]
    fn a_window_closes_with_the_first_acknowledgement_after_its_time() {
        let (mut stats, mut lines) = (stats_of(100), Vec::new());
        for now_ms in [1000, 4999, 5004, 5005] {
            stats.record(2, 1 << 20, now_ms, &mut |line| lines.push(line));
        }
        assert_eq!(lines, ["3 records sent, 0.6 records/sec (0.60 MB/sec), 2.0 ms avg latency, 2.0 ms max latency."]);
    }

    #[test]
    fn the_steady_state_is_announced_before_its_first_window() {
        let (mut steady, mut lines) = (Stats::new(100, 10, true, 0), Vec::new());
        (1..=3).for_each(|turn| steady.record(1, 1, turn * 10, &mut |line| lines.push(line)));
        assert_eq!(lines[0], "In steady state.");
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(steady.total(30).starts_with("3 steady state records sent, "));
    }
}
