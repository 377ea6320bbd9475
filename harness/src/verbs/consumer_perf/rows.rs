//! The rows of kafka-consumer-perf-test.

use crate::cli::java_format::fixed;
use crate::load::tally::Read;

/// Above the summary.
pub(crate) const HEADER: &str = "start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec";
/// Above the rows of detailed stats.
pub(crate) const HEADER_DETAILED: &str = "time, threadId, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec";

const MB: f64 = 1024.0 * 1024.0;

/// The one row of a run. Nothing guards the rates of the fetch time: they may be infinite, negative or no number.
pub(crate) fn summary((start, end): (&str, &str), elapsed_ms: i64, rebalance_ms: i64, read: Read) -> String {
    let (elapsed_s, mb, records) = (elapsed_ms as f64 / 1000.0, read.bytes as f64 / MB, read.records as f64);
    let fetch_ms = elapsed_ms - rebalance_ms;
    let fetch_s = fetch_ms as f64 / 1000.0;
    format!(
        "{start}, {end}, {}, {}, {}, {}, {rebalance_ms}, {fetch_ms}, {}, {}",
        fixed(mb, 4),
        fixed(mb / elapsed_s, 4),
        read.records,
        fixed(records / elapsed_s, 4),
        fixed(mb / fetch_s, 4),
        fixed(records / fetch_s, 4),
    )
}

/// A row of detailed stats: totals so far, rates of the interval.
pub(crate) fn interval(time: &str, elapsed_ms: i64, rebalance_ms: i64, before: Read, read: Read) -> String {
    let mb = (read.bytes - before.bytes) as f64 / MB;
    let records = (read.records - before.records) as f64;
    let fetch_ms = elapsed_ms - rebalance_ms;
    let per_fetch_s = |value: f64| if fetch_ms <= 0 { 0.0 } else { 1000.0 * value / fetch_ms as f64 };
    format!(
        "{time}, 0, {}, {}, {}, {}, {rebalance_ms}, {fetch_ms}, {}, {}",
        fixed(read.bytes as f64 / MB, 4),
        fixed(1000.0 * mb / elapsed_ms as f64, 4),
        read.records,
        fixed(records / elapsed_ms as f64 * 1000.0, 4),
        fixed(per_fetch_s(mb), 4),
        fixed(per_fetch_s(records), 4),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_kafka_s_sample() {
        let read = Read { records: 3455, bytes: 3_455_000 };
        let row = summary(("2023-02-23 11:00:27:431", "2023-02-23 11:00:31:063"), 3632, 3557, read);
        let wanted = "2023-02-23 11:00:27:431, 2023-02-23 11:00:31:063, 3.2949, 0.9072, 3455, 951.2665, 3557, 75, 43.9326, 46066.6667";
        assert_eq!(row, wanted);
    }

    #[test]
    fn without_fetch_time_the_summary_is_unguarded_and_the_interval_is_not() {
        let read = Read { records: 10, bytes: 1 << 20 };
        assert!(summary(("a", "b"), 100, 100, read).ends_with("100, 0, Infinity, Infinity"));
        assert!(summary(("a", "b"), 100, 100, Read::default()).ends_with("NaN, NaN"));
        assert!(interval("t", 100, 100, Read::default(), read).ends_with("100, 0, 0.0000, 0.0000"));
    }

    #[test]
    fn an_interval_has_totals_and_its_own_rates() {
        let (before, now) = (Read { records: 100, bytes: 1 << 20 }, Read { records: 300, bytes: 3 << 20 });
        assert_eq!(
            interval("t", 1000, 0, before, now),
            "t, 0, 3.0000, 2.0000, 300, 200.0000, 0, 1000, 2.0000, 200.0000"
        );
    }
}
