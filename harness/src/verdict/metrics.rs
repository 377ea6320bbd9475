//! Which columns are judged, and how much of a change matters.
//!
//! | column | where | threshold | why so much |
//! |---|---|---|---|
//! | `mb_s` | as fast as it goes | 5 % | below that two builds of one source differ by their layout |
//! | `response_us_p50` | at a rate | 5 % | the same |
//! | `response_us_p99` | at a rate | 10 % | a hundredth of the records decides |
//! | `broker_cpu_ms_per_mb` | everywhere | 5 % | it does not wait, but shared cores and caches move it |
//! | `wire_bytes_per_record` | as fast as it goes | 2 % | counted, not timed |
//!
//! What else is worth a look is told beside: p99.9, which has too few records behind it for a verdict, and counters that
//! follow from how a load happened to be cut into requests.

use crate::results::columns::{COLUMNS, Row};

/// A column that is judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The column.
    pub column: &'static str,
    /// A change is told as better or worse beyond this share.
    pub threshold: f64,
}

/// Column, whether it is judged where a load goes as fast as it can, whether where it has a rate, threshold.
const JUDGED: [(&str, bool, bool, f64); 5] = [
    ("mb_s", true, false, 0.05),
    ("response_us_p50", false, true, 0.05),
    ("response_us_p99", false, true, 0.10),
    ("broker_cpu_ms_per_mb", true, true, 0.05),
    ("wire_bytes_per_record", true, false, 0.02),
];
/// Told beside those, where there are values.
const BESIDE: [&str; 5] = [
    "response_us_p999",
    "client_cpu_ms_per_mb",
    "client_syscalls_per_mb",
    "wire_bytes_per_record",
    "write_amplification",
];
/// Of these more is better; of everything else less.
const MORE_IS_BETTER: [&str; 6] = ["mb_s", "records_s", "records", "bytes", "page_cache_hit_share", "ceiling_share"];
/// What the client's own limit falsifies: the time that something took.
const TIMES: [&str; 4] = ["mb_s", "records_s", "response_us_", "service_us_"];

/// What is judged of a workload whose rows look like this one, without anybody's wishes.
#[must_use]
pub fn judged(row: &Row) -> Vec<Metric> {
    let is_paced = row.rate_records_s.is_some();
    let own = JUDGED.iter().filter(|it| if is_paced { it.2 } else { it.1 });
    own.map(|&(column, _, _, threshold)| Metric { column, threshold }).collect()
}

/// What is told beside that.
#[must_use]
pub fn beside(judged: &[Metric]) -> Vec<&'static str> {
    BESIDE.into_iter().filter(|it| judged.iter().all(|metric| metric.column != *it)).collect()
}

/// Whether more of a column is better.
#[must_use]
pub fn is_more_better(column: &str) -> bool {
    MORE_IS_BETTER.contains(&column)
}

/// Whether a column says how long something took, so that a client at its limit falsifies it.
#[must_use]
pub fn is_time(column: &str) -> bool {
    TIMES.iter().any(|it| column.starts_with(it))
}

/// The unit of a column.
#[must_use]
pub fn unit(column: &str) -> &'static str {
    COLUMNS.iter().find(|it| it.name == column).map_or("", |it| it.unit)
}

/// A column by its name.
pub fn named(name: &str) -> Result<&'static str, UnknownColumn> {
    let found = COLUMNS.iter().find(|it| it.name == name && is_figure(it.name)).map(|it| it.name);
    found.ok_or_else(|| UnknownColumn { name: name.to_owned(), nearest: nearest(name) })
}

/// A name that is no column with figures.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is no column with figures: did you mean {nearest}? results/README.md has them all")]
pub struct UnknownColumn {
    /// The name.
    pub name: String,
    /// The column that it is nearest to.
    pub nearest: &'static str,
}

fn nearest(name: &str) -> &'static str {
    let distance = |it: &&str| strsim::damerau_levenshtein(name, it);
    COLUMNS.iter().map(|it| it.name).filter(|it| is_figure(it)).min_by_key(distance).unwrap_or("mb_s")
}

/// Whether a column can have figures: a row with every figure says.
fn is_figure(column: &str) -> bool {
    crate::results::columns::is_figure(column)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::made::row;

    fn names(row: &Row) -> Vec<&'static str> {
        judged(row).iter().map(|it| it.column).collect()
    }

    #[test]
    fn a_rate_is_judged_by_its_times_and_a_free_run_by_its_throughput() {
        assert_eq!(names(&row("w", "a", 1, false)), ["mb_s", "broker_cpu_ms_per_mb", "wire_bytes_per_record"]);
        let paced = names(&row("w", "a", 1, true));
        assert_eq!(paced, ["response_us_p50", "response_us_p99", "broker_cpu_ms_per_mb"]);
        assert!(beside(&judged(&row("w", "a", 1, true))).contains(&"wire_bytes_per_record"));
    }

    #[test]
    fn every_name_of_the_tables_is_a_column_with_figures() {
        for name in JUDGED.iter().map(|it| it.0).chain(BESIDE).chain(MORE_IS_BETTER) {
            assert_eq!(named(name), Ok(name));
        }
    }

    #[test]
    fn a_name_that_is_none_is_told_with_the_nearest() {
        assert_eq!(named("brokr_cpu_ms_per_mb").unwrap_err().nearest, "broker_cpu_ms_per_mb");
        let words = named("response_p99").unwrap_err().to_string();
        assert!(words.contains("response_p99") && words.contains("response_us_p99"), "{words}");
        assert!(named("workload").is_err(), "a name has no figures");
    }
}
