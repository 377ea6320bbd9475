//! What is printed: a paragraph for each series, a line for each change.

use serde::Serialize;

use super::series::Series;
use crate::stats::change::{Change, Sensitivity, changes};
use crate::verdict::metrics;

/// Characters of a commit that name it.
const COMMIT_CHARS: usize = 12;
/// Values of a series below which no change can be told.
const VALUES_MIN: usize = 8;

/// A series that was looked at.
pub(super) struct Looked {
    series: Series,
    changes: Vec<Change>,
}

impl Looked {
    /// Looks.
    pub(super) fn at(series: Series, sensitivity: &Sensitivity) -> Self {
        let values: Vec<f64> = series.values.iter().map(|it| it.value).collect();
        Self { changes: changes(&values, sensitivity), series }
    }

    /// Whether it is worse now than before a change.
    pub(super) fn became_worse(&self) -> bool {
        self.changes.iter().any(|it| self.is_worse(it))
    }

    fn is_worse(&self, change: &Change) -> bool {
        (change.after < change.before) == metrics::is_more_better(self.series.metric)
    }
}

/// A paragraph for each series.
pub(super) fn text(all: &[Looked]) -> String {
    let changes: usize = all.iter().map(|it| it.changes.len()).sum();
    let worse = all.iter().flat_map(|it| it.changes.iter().filter(|change| it.is_worse(change))).count();
    let last = format!("{} series, {changes} changes, {worse} of them for the worse", all.len());
    all.iter().map(paragraph).chain([last]).collect::<Vec<_>>().join("\n")
}

fn paragraph(it: &Looked) -> String {
    let count = it.series.values.len();
    let found = match (it.changes.len(), count) {
        (0, few) if few < VALUES_MIN => "too few for a change to show".to_owned(),
        (0, _) => "no change".to_owned(),
        (1, _) => "one change".to_owned(),
        (many, _) => format!("{many} changes"),
    };
    let left_out = match it.series.no_numbers {
        0 => String::new(),
        some => format!(" ({some} left out: NaN or inf)"),
    };
    let mut lines = vec![format!("{}, {}: {count} values{left_out}, {found}", it.series.name, it.series.metric)];
    lines.extend(it.changes.iter().map(|change| line(it, change)));
    lines.join("\n")
}

fn line(it: &Looked, change: &Change) -> String {
    let at = &it.series.values[change.index];
    let commit: String = at.commit.chars().take(COMMIT_CHARS).collect();
    let words = if it.is_worse(change) { "worse" } else { "better" };
    let (before, after) = (change.before, change.after);
    // Nothing is a share of 0.
    let step = share(change).map_or_else(|| format!("{:+.4}", after - before), |it| format!("{:+.1} %", it * 100.0));
    let place =
        [at.time.as_str(), commit.as_str()].into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(", ");
    let place = if place.is_empty() { place } else { format!(" ({place})") };
    format!("  from value {}{place}: {step}, {words}: {before:.4} to {after:.4}, p {:.1e}", change.index, change.p)
}

/// The step as a share of the level before it; `None` where that was 0.
fn share(change: &Change) -> Option<f64> {
    (change.before != 0.0).then(|| change.share())
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    series: Vec<OfSeries<'a>>,
}

#[derive(Serialize)]
struct OfSeries<'a> {
    name: &'a str,
    metric: &'a str,
    values: usize,
    no_numbers: usize,
    changes: Vec<OfChange<'a>>,
}

#[derive(Serialize)]
struct OfChange<'a> {
    index: usize,
    time: &'a str,
    commit: &'a str,
    before: f64,
    after: f64,
    share: Option<f64>,
    p: f64,
    is_worse: bool,
}

/// The document of `--json`.
pub(super) fn json(all: &[Looked]) -> String {
    let series = all.iter().map(|it| OfSeries {
        name: &it.series.name,
        metric: it.series.metric,
        values: it.series.values.len(),
        no_numbers: it.series.no_numbers,
        changes: it.changes.iter().map(|change| of_change(it, change)).collect(),
    });
    // Plain numbers and strings: there is nothing in it that JSON could refuse.
    serde_json::to_string_pretty(&Document { schema: 1, series: series.collect() }).unwrap_or_default()
}

fn of_change<'a>(it: &'a Looked, change: &Change) -> OfChange<'a> {
    let at = &it.series.values[change.index];
    OfChange {
        index: change.index,
        time: &at.time,
        commit: &at.commit,
        before: change.before,
        after: change.after,
        share: share(change),
        p: change.p,
        is_worse: it.is_worse(change),
    }
}

#[cfg(test)]
mod tests {
    use super::super::series::Value;
    use super::*;

    fn looked(metric: &'static str, levels: &[f64]) -> Looked {
        let value = |(at, level): (usize, &f64)| Value {
            time: format!("2026-01-{at:02}"),
            commit: "0123456789abcdef".to_owned(),
            value: level + (at % 3) as f64 * 0.1,
        };
        let values = levels.iter().enumerate().map(value).collect();
        let sensitivity = Sensitivity { window: 50, p_max: 0.001, magnitude_min: 0.05 };
        Looked::at(Series { name: "w, t".to_owned(), metric, values, no_numbers: 0 }, &sensitivity)
    }

    #[test]
    fn a_change_is_told_with_its_place_and_whether_it_is_for_the_worse() {
        let levels: Vec<f64> = [100.0; 12].into_iter().chain([80.0; 12]).collect();
        let (rate, time) = (looked("mb_s", &levels), looked("response_us_p99", &levels));
        assert!(rate.became_worse() && !time.became_worse());
        let text = text(&[rate]);
        for part in ["w, t, mb_s: 24 values, one change", "from value 12 (2026-01-12, 0123456789ab): -20.0 %, worse"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(json(&[time]).contains("\"is_worse\": false"));
    }

    #[test]
    fn a_step_from_nothing_is_told_as_what_it_is_and_a_value_without_time_has_no_empty_brackets() {
        let mut counted = looked("failed_records", &[0.0; 12].into_iter().chain([10.0; 12]).collect::<Vec<_>>());
        // Without the waves of the made-up values the level before is 0.
        counted.changes = vec![Change { index: 12, before: 0.0, after: 10.0, p: 1e-9 }];
        counted.series.values.iter_mut().for_each(|it| (it.time, it.commit) = (String::new(), String::new()));
        assert!(counted.became_worse());
        let text = text(std::slice::from_ref(&counted));
        assert!(text.contains("from value 12: +10.0000, worse: 0.0000 to 10.0000"), "{text}");
        assert!(text.ends_with("1 series, 1 changes, 1 of them for the worse"), "{text}");
        assert!(json(&[counted]).contains("\"share\": null"));
        assert!(!looked("mb_s", &[5.0; 20]).became_worse());
    }

    #[test]
    fn a_short_series_says_that_it_is() {
        assert!(text(&[looked("mb_s", &[1.0, 2.0])]).contains("too few for a change to show"));
        assert!(text(&[looked("mb_s", &[5.0; 20])]).contains("no change"));
    }
}
