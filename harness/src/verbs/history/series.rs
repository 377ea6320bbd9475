//! From rows to series: what was measured in one way on one kind of machine, in the order of its time.
//!
//! ```text
//!   profile, workload, target --> settings that some of these rows have otherwise --> a series for each of their values
//! ```
//!
//! A setting that is not known of a row (an older version did not have the column) parts it from the others only where those have
//! several values.

use std::collections::BTreeSet;

use crate::results::columns::{Row, SETTINGS};
use crate::stats::median;

/// The values of a figure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    /// Profile, workload and target, and the settings that part it from others of the same.
    pub(super) name: String,
    /// The column.
    pub(super) metric: &'static str,
    /// Values, with the time and the commit of each.
    pub(super) values: Vec<Value>,
    /// Rows whose figure is no number.
    pub(super) no_numbers: usize,
}

/// A value of a series.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Value {
    pub(super) time: String,
    pub(super) commit: String,
    pub(super) value: f64,
}

/// A series for each profile, workload, target, settings and column that has values. `each_run`: rounds of a run are one value.
pub(super) fn of(rows: &[Row], columns: &[&'static str], each_run: bool) -> Vec<Series> {
    let mut own: Vec<&Row> = rows.iter().filter(|it| super::counts(it)).collect();
    // Within a run the order of the file is that of the time, to the last row of a file without one.
    own.sort_by(|a, b| a.time.cmp(&b.time));
    let alike = grouped(own, name_of).into_iter().flat_map(|(name, rows)| by_settings(&name, rows));
    let mut series = Vec::new();
    for (name, own) in alike {
        for &metric in columns {
            let values =
                if each_run { of_runs(&own, metric) } else { own.iter().filter_map(|it| value(it, metric)).collect() };
            let no_numbers = own.iter().filter(|it| it.is_no_number(metric)).count();
            if !values.is_empty() || no_numbers > 0 {
                series.push(Series { name: name.clone(), metric, values, no_numbers });
            }
        }
    }
    series
}

/// Rows by a key, in the order of the keys' first rows.
fn grouped(rows: Vec<&Row>, key: impl Fn(&Row) -> String) -> Vec<(String, Vec<&Row>)> {
    let mut groups: Vec<(String, Vec<&Row>)> = Vec::new();
    for row in rows {
        let name = key(row);
        match groups.iter_mut().find(|it| it.0 == name) {
            Some(group) => group.1.push(row),
            None => groups.push((name, vec![row])),
        }
    }
    groups
}

/// Rows that were measured in the same way: what parts them from the others is in their name.
fn by_settings<'a>(name: &str, rows: Vec<&'a Row>) -> Vec<(String, Vec<&'a Row>)> {
    let differs = |column: &&&str| rows.iter().filter_map(|it| it.setting(column)).collect::<BTreeSet<_>>().len() > 1;
    let parting: Vec<&str> = SETTINGS.iter().filter(differs).copied().collect();
    let named = |row: &Row| {
        let settings = parting.iter().map(|column| {
            let value = row.setting(column).unwrap_or_else(|| "unknown".to_owned());
            format!(", {column} {value}")
        });
        format!("{name}{}", settings.collect::<String>())
    };
    grouped(rows, named)
}

fn name_of(row: &Row) -> String {
    let parts = [row.profile.as_str(), row.workload.as_str(), row.target.as_str()];
    parts.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(", ")
}

fn value(row: &Row, metric: &str) -> Option<Value> {
    let value = row.figure(metric)?;
    Some(Value { time: row.time.clone(), commit: row.commit.clone(), value })
}

/// The middle of each run: of rows whose round does not begin anew and whose commit is the same.
fn of_runs(rows: &[&Row], metric: &str) -> Vec<Value> {
    let mut runs: Vec<Vec<&Row>> = Vec::new();
    for row in rows {
        let goes_on = |run: &Vec<&Row>| run.last().is_some_and(|it| it.round < row.round && it.commit == row.commit);
        match runs.last_mut().filter(|it| goes_on(it)) {
            Some(run) => run.push(row),
            None => runs.push(vec![row]),
        }
    }
    let middle = |run: &Vec<&Row>| {
        let value = median(&mut run.iter().filter_map(|it| it.figure(metric)).collect::<Vec<_>>())?;
        let first = run.first()?;
        Some(Value { time: first.time.clone(), commit: first.commit.clone(), value })
    };
    runs.iter().filter_map(middle).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::made::row;

    fn at(time: &str, round: u32, mb_s: f64) -> Row {
        Row { time: time.to_owned(), mb_s: Some(mb_s), round, ..row("w", "", round, false) }
    }

    #[test]
    fn values_are_in_the_order_of_time_whatever_the_files_order() {
        let rows = [at("2026-02", 1, 2.0), at("2026-01", 1, 1.0), at("2026-03", 2, 3.0)];
        let values = |each_run| {
            let series = of(&rows, &["mb_s", "response_us_p99"], each_run);
            assert_eq!(series.len(), 1, "a column without values has no series");
            series[0].values.iter().map(|it| it.value).collect::<Vec<_>>()
        };
        assert_eq!(values(false), [1.0, 2.0, 3.0]);
        assert_eq!(values(true), [1.0, 2.5], "two rounds are one run");
    }

    #[test]
    fn another_machine_or_target_is_another_series() {
        let rows = [
            at("1", 1, 1.0),
            Row { profile: "big".to_owned(), ..at("2", 1, 2.0) },
            Row { target: "x".to_owned(), ..at("3", 1, 3.0) },
        ];
        assert_eq!(of(&rows, &["mb_s"], false).len(), 3);
    }

    #[test]
    fn other_settings_are_another_series_and_one_that_is_not_known_joins_the_only_value() {
        let sized = |time, bytes| Row { record_bytes: bytes, acks: "1".to_owned(), ..at(time, 1, 1.0) };
        let series = of(&[sized("1", 100), sized("2", 1000), sized("3", 100)], &["mb_s"], false);
        let told: Vec<(&str, usize)> = series.iter().map(|it| (it.name.as_str(), it.values.len())).collect();
        assert_eq!(told, [("w, target-, record_bytes 100", 2), ("w, target-, record_bytes 1000", 1)]);
        let joined = of(&[sized("1", 100), at("2", 1, 1.0)], &["mb_s"], false);
        assert_eq!((joined.len(), joined[0].name.as_str(), joined[0].values.len()), (1, "w, target-", 2));
    }

    #[test]
    fn what_is_no_number_is_left_out_and_counted() {
        let rows = [at("1", 1, 1.0), at("2", 2, f64::NAN), at("3", 3, f64::INFINITY), at("4", 4, 2.0)];
        for each_run in [false, true] {
            let series = of(&rows, &["mb_s"], each_run);
            assert!(series[0].values.iter().all(|it| it.value.is_finite()), "{series:?}");
            assert_eq!(series[0].no_numbers, 2);
        }
    }
}
