//! The latencies of a run, whole nanoseconds, and the two lines that kafka-e2e-latency makes of them.

use crate::cli::java_format::{double_text, fixed};

/// A line after every so many records.
const PROGRESS_EVERY: usize = 1000;

/// Every record's time from before its send to after its read, in nanoseconds, in the order they were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Latencies(Vec<u64>);

impl Latencies {
    /// Takes a record's time; gives the progress line that is due.
    pub(crate) fn take(&mut self, elapsed_ns: u64) -> Option<String> {
        let index = self.0.len();
        self.0.push(elapsed_ns);
        let ms = elapsed_ns as f64 / 1000.0 / 1000.0;
        index.is_multiple_of(PROGRESS_EVERY).then(|| format!("{index}\t{}", double_text(ms)))
    }

    /// `Avg latency: ...`, of the exact times.
    pub(crate) fn average_line(&self) -> String {
        let sum: f64 = self.0.iter().map(|ns| *ns as f64).sum();
        format!("Avg latency: {} ms", fixed(sum / self.0.len() as f64 / 1000.0 / 1000.0, 4))
    }

    /// `Percentiles: ...` in whole milliseconds, cut, not rounded: the times are cut first, then sorted, and taken at
    /// index `floor(n * p)`. Nothing of nothing.
    pub(crate) fn percentiles_line(&self) -> Option<String> {
        let mut whole_ms: Vec<u64> = self.0.iter().map(|ns| ns / 1_000_000).collect();
        whole_ms.sort_unstable();
        let at = |p: f64| whole_ms.get((whole_ms.len() as f64 * p) as usize).copied();
        let (p50, p99, p999) = (at(0.5)?, at(0.99)?, at(0.999)?);
        Some(format!("Percentiles: 50th = {p50}, 99th = {p99}, 99.9th = {p999}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: &[u64]) -> (Latencies, Vec<String>) {
        let mut latencies = Latencies::default();
        let lines = times.iter().filter_map(|ns| latencies.take(*ns)).collect();
        (latencies, lines)
    }

    #[test]
    fn the_first_record_and_every_thousandth_are_told() {
        let (_, lines) = of(&[1_234_567; 2001]);
        assert_eq!(lines, ["0\t1.234567", "1000\t1.234567", "2000\t1.234567"]);
    }

    #[test]
    fn the_average_is_exact_and_percentiles_are_cut() {
        let (latencies, _) = of(&[900_000, 1_999_999, 2_000_001]);
        assert_eq!(latencies.average_line(), "Avg latency: 1.6333 ms");
        assert_eq!(latencies.percentiles_line().unwrap(), "Percentiles: 50th = 1, 99th = 2, 99.9th = 2");
    }

    #[test]
    fn of_nothing_there_is_no_number() {
        assert_eq!(Latencies::default().average_line(), "Avg latency: NaN ms");
        assert_eq!(Latencies::default().percentiles_line(), None);
    }
}
