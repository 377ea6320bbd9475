//! From rows to series: what was measured in one way on one kind of machine, in the order of its time.

use crate::results::columns::Row;
use crate::stats::median;

/// The values of a figure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    /// Profile, workload and target.
    pub(super) name: String,
    /// The column.
    pub(super) metric: &'static str,
    /// Values, with the time and the commit of each.
    pub(super) values: Vec<Value>,
}

/// A value of a series.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Value {
    pub(super) time: String,
    pub(super) commit: String,
    pub(super) value: f64,
}

/// A series for each profile, workload, target and column that has values. `each_run`: rounds of a run are one value.
pub(super) fn of(rows: &[Row], columns: &[&'static str], each_run: bool) -> Vec<Series> {
    let mut own: Vec<&Row> = rows.iter().filter(|it| super::counts(it)).collect();
    // Within a run the order of the file is that of the time, to the last row of a file without one.
    own.sort_by(|a, b| a.time.cmp(&b.time));
    let mut names: Vec<String> = Vec::new();
    for row in &own {
        let name = name_of(row);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut series = Vec::new();
    for name in names {
        let own: Vec<&Row> = own.iter().copied().filter(|it| name_of(it) == name).collect();
        for &metric in columns {
            let values =
                if each_run { of_runs(&own, metric) } else { own.iter().filter_map(|it| value(it, metric)).collect() };
            if !values.is_empty() {
                series.push(Series { name: name.clone(), metric, values });
            }
        }
    }
    series
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
}
