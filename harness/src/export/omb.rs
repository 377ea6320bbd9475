//! OpenMessaging Benchmark's result files: one for each round, so that its charts lay targets over each other.
//!
//! ```text
//!   series     a value for each 10 s, as its charts take them: rates, and latencies in ms
//!   aggregated the same of the whole round
//!   quantiles  percentile -> value, "50.0": 0.07
//! ```
//!
//! `publishLatency` is our service time (from the sending); `responseLatency`, which OMB does not have, counts from the moment
//! a record was due. Its `publishDelayLatency` cannot be had from the two whole histograms, and end-to-end latencies of a round
//! that had no reader beside its writer are not there either: those are 0, as OMB itself writes what it did not record, and
//! `ringlogNotMeasured` names them. What was read back is `consumeRate`.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use super::{File, distinct, file_name};
use crate::measure::Latencies;
use crate::measure::hlog::{self, HlogError};
use crate::report::cells::{Cell, Cells};
use crate::report::kept::Kept;
use crate::results::{ResultsError, Row, latency};

/// Seconds of a value of a series.
const WINDOW_S: u64 = 10;
/// Percentiles of series and aggregates: OMB's name, and the share.
const POINTS: [(&str, f64); 6] =
    [("50pct", 0.50), ("75pct", 0.75), ("95pct", 0.95), ("99pct", 0.99), ("999pct", 0.999), ("9999pct", 0.9999)];
/// Percentiles of the quantile maps.
const QUANTILES: [f64; 14] = [0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.9, 99.95, 99.99, 99.999];
const MS_NS: f64 = 1e6;

/// A window of a round: its histograms and how many records.
#[derive(Default)]
struct Window {
    kinds: BTreeMap<&'static str, Histogram<u64>>,
}

/// The windows of every round, by the stem of its tags.
type Windows = BTreeMap<String, BTreeMap<u64, Window>>;

pub(super) fn files(kept: &Kept, cells: &Cells) -> Result<Vec<File>, ResultsError> {
    let windows = windows(kept)?;
    let mut files = Vec::new();
    for cell in cells.all.iter().filter(|it| it.kind != crate::spec::Kind::Consume.name()) {
        for row in cell.measured() {
            let Some(own) = windows.get(&latency::stem(&row.workload, &row.target, row.round)) else { continue };
            let stem = file_name(&format!("{}-{}-{}", cells.name(cell), cell.target, row.round));
            files.push((stem, super::json(&result(kept, cells, (cell, row), own))));
        }
    }
    Ok(distinct(files, "json"))
}

fn windows(kept: &Kept) -> Result<Windows, ResultsError> {
    let path = kept.folder.join(latency::FILE);
    let mut windows: Windows = BTreeMap::new();
    let mut first: BTreeMap<String, Duration> = BTreeMap::new();
    hlog::read_intervals(&path, |line| {
        let kinds = [Latencies::RESPONSE_TAG, Latencies::SERVICE_TAG, hlog::Kind::EndToEnd.name()];
        let Some((stem, kind)) = kinds.iter().find_map(|kind| Some((line.tag.strip_suffix(kind)?, *kind))) else {
            return Ok::<(), HlogError>(());
        };
        let began = *first.entry(stem.to_owned()).or_insert(line.start);
        let at = line.start.saturating_sub(began).as_secs() / WINDOW_S;
        let window = windows.entry(stem.to_owned()).or_default().entry(at).or_default();
        add(window.kinds.entry(kind), line.histogram);
        Ok(())
    })?;
    Ok(windows)
}

fn add(entry: std::collections::btree_map::Entry<'_, &'static str, Histogram<u64>>, mut histogram: Histogram<u64>) {
    match entry {
        std::collections::btree_map::Entry::Vacant(entry) => {
            histogram.auto(true);
            entry.insert(histogram);
        }
        // Histograms of one log have the same digits, and the sum grows as it must.
        std::collections::btree_map::Entry::Occupied(mut entry) => drop(entry.get_mut().add(histogram)),
    }
}

fn result(kept: &Kept, cells: &Cells, (cell, row): (&Cell, &Row), windows: &BTreeMap<u64, Window>) -> Value {
    let mut whole = Window::default();
    for window in windows.values() {
        window.kinds.iter().for_each(|(kind, it)| add(whole.kinds.entry(kind), it.clone()));
    }
    let read = read_back(kept, row);
    let driver = if cell.rows.len() > 1 { format!("{}, round {}", row.target, row.round) } else { row.target.clone() };
    let mut result = Map::new();
    let mut put = |name: &str, value: Value| drop(result.insert(name.to_owned(), value));
    put("workload", json!(cells.name(cell)));
    put("driver", json!(driver));
    put("messageSize", json!(row.record_bytes));
    put("topics", json!(1));
    put("partitions", json!(row.partitions));
    put("producersPerTopic", json!(row.clients));
    put("consumersPerTopic", json!(u32::from(read.is_some())));
    put("beginTime", json!(row.time));
    put("publishRate", json!(rates(row, windows)));
    put("publishErrorRate", json!(vec![0.0; windows.len()]));
    put("consumeRate", json!([read.and_then(|it| it.records_s).unwrap_or(0.0)]));
    put("backlog", json!(vec![0; windows.len()]));
    for (family, latency) in FAMILIES {
        let series = |of: &dyn Fn(&Window) -> f64| json!(windows.values().map(of).collect::<Vec<f64>>());
        put(&format!("{family}Avg"), series(&|it| latency(it, Figure::Mean)));
        put(&format!("{family}Max"), series(&|it| latency(it, Figure::Quantile(1.0))));
        for (name, share) in POINTS {
            put(&format!("{family}{name}"), series(&|it| latency(it, Figure::Quantile(share))));
        }
        let family = format!("aggregated{}{}", family[..1].to_uppercase(), &family[1..]);
        put(&format!("{family}Avg"), json!(latency(&whole, Figure::Mean)));
        put(&format!("{family}Max"), json!(latency(&whole, Figure::Quantile(1.0))));
        for (name, share) in POINTS {
            put(&format!("{family}{name}"), json!(latency(&whole, Figure::Quantile(share))));
        }
        let quantile = |it: f64| (format!("{it:?}"), json!(latency(&whole, Figure::Quantile(it / 100.0))));
        put(&format!("{family}Quantiles"), Value::Object(QUANTILES.into_iter().map(quantile).collect()));
    }
    let has_readers = whole.kinds.contains_key(hlog::Kind::EndToEnd.name());
    let missing = ["publishDelayLatency", "backlog", "endToEndLatency"];
    put("ringlogNotMeasured", json!(missing[..if has_readers { 2 } else { 3 }]));
    Value::Object(result)
}

#[derive(Clone, Copy)]
enum Figure {
    Mean,
    Quantile(f64),
}

/// A family of OMB's latencies, and how it is had from a window.
type Family = (&'static str, fn(&Window, Figure) -> f64);
const FAMILIES: [Family; 4] = [
    ("publishLatency", |it, figure| it.ns(Latencies::SERVICE_TAG, figure) / MS_NS),
    ("responseLatency", |it, figure| it.ns(Latencies::RESPONSE_TAG, figure) / MS_NS),
    ("publishDelayLatency", |_, _| 0.0),
    ("endToEndLatency", |it, figure| it.ns(hlog::Kind::EndToEnd.name(), figure) / MS_NS),
];

impl Window {
    fn ns(&self, kind: &str, figure: Figure) -> f64 {
        let Some(histogram) = self.kinds.get(kind) else { return 0.0 };
        match figure {
            Figure::Mean => histogram.mean(),
            Figure::Quantile(share) if share >= 1.0 => histogram.max() as f64,
            Figure::Quantile(share) => histogram.value_at_quantile(share) as f64,
        }
    }
}

/// Records a second of each window; the last is as long as what is left of the measured time.
fn rates(row: &Row, windows: &BTreeMap<u64, Window>) -> Vec<f64> {
    let measured_s = row.seconds.unwrap_or(0.0);
    let last = windows.keys().last().copied().unwrap_or(0);
    let records = |it: &Window| it.kinds.get(Latencies::RESPONSE_TAG).map_or(0, Histogram::len) as f64;
    let rate = |(at, window): (&u64, &Window)| {
        let left_s = measured_s - (at * WINDOW_S) as f64;
        let seconds = if *at == last && left_s > 0.0 { left_s.min(WINDOW_S as f64) } else { WINDOW_S as f64 };
        records(window) / seconds
    };
    windows.iter().map(rate).collect()
}

/// The row of the workload that read this one back.
fn read_back<'a>(kept: &'a Kept, row: &Row) -> Option<&'a Row> {
    let reads = |name: &str| {
        let of = kept.manifest.workloads.get(name).and_then(|it| it.get("of")).and_then(toml::Value::as_str);
        of == Some(row.workload.as_str())
    };
    kept.rows
        .iter()
        .find(|it| it.is_measured() && it.target == row.target && it.round == row.round && reads(&it.workload))
}

#[cfg(test)]
mod tests {
    use super::super::{Format, tests};

    /// Every key that OMB's create_charts.py reads.
    const CHARTED: [&str; 10] = [
        "publishLatency99pct",
        "publishDelayLatency99pct",
        "publishRate",
        "publishErrorRate",
        "endToEndLatency95pct",
        "consumeRate",
        "endToEndLatencyAvg",
        "aggregatedPublishLatencyQuantiles",
        "aggregatedPublishDelayLatencyQuantiles",
        "aggregatedEndToEndLatencyQuantiles",
    ];

    #[test]
    fn each_round_is_a_result_with_all_that_the_charts_read() {
        let files = tests::files(Format::Omb);
        assert_eq!(files.len(), 14, "two targets, three rounds of two workloads, one of a third");
        for (name, text) in &files {
            let result: serde_json::Value = serde_json::from_str(text).unwrap();
            for key in CHARTED {
                let found = &result[key];
                let is_filled = found.as_array().is_some_and(|it| !it.is_empty())
                    || found.as_object().is_some_and(|it| it.len() > 10);
                assert!(is_filled, "{name}: {key}: {found}");
            }
        }
    }

    #[test]
    fn figures_are_those_of_the_row() {
        let kept = tests::kept();
        let row = kept.rows.iter().find(|it| it.workload == "latency" && it.target == "ringlog").unwrap();
        let files = tests::files(Format::Omb);
        let text = &files.iter().find(|it| it.0 == "latency-ringlog-1.json").unwrap().1;
        let result: serde_json::Value = serde_json::from_str(text).unwrap();
        let near = |value: &serde_json::Value, wanted: f64| (value.as_f64().unwrap() - wanted).abs() < 0.01 * wanted;
        assert!(near(&result["aggregatedPublishLatency99pct"], row.service_us_p99.unwrap() / 1000.0), "{result}");
        assert!(near(&result["publishRate"][0], row.records_s.unwrap()), "{}", result["publishRate"]);
        assert_eq!((result["driver"].as_str(), result["workload"].as_str()), (Some("ringlog"), Some("latency")));
        let read = files.iter().find(|it| it.0 == "produce-1k-ringlog-1.json").unwrap();
        let read: serde_json::Value = serde_json::from_str(&read.1).unwrap();
        assert!(read["consumeRate"][0].as_f64().unwrap() > 1e6 && read["consumersPerTopic"] == 1);
    }
}
