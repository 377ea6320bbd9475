//! Bencher Metric Format: `{"<benchmark>": {"<measure>": {"value", "lower_value", "upper_value"}}}`.
//!
//! Measures are called as the columns of rows.csv, so their units are in their names. The bounds are the least and the
//! greatest round.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{json, name, tracked};
use crate::report::cells::Cells;

#[derive(Serialize)]
struct Metric {
    value: f64,
    lower_value: f64,
    upper_value: f64,
}

pub(super) fn document(cells: &Cells) -> String {
    let mut document: BTreeMap<String, BTreeMap<&str, Metric>> = BTreeMap::new();
    for cell in &cells.all {
        let metrics: BTreeMap<&str, Metric> = tracked(cell)
            .map(|(it, spread)| {
                (it.name, Metric { value: spread.middle, lower_value: spread.least, upper_value: spread.greatest })
            })
            .collect();
        if !metrics.is_empty() {
            document.insert(name(cells, cell), metrics);
        }
    }
    json(&document)
}

#[cfg(test)]
mod tests {
    use super::super::{Format, tests};

    #[test]
    fn every_cell_is_a_benchmark_whose_measures_have_a_value_and_two_bounds() {
        let document: serde_json::Value = serde_json::from_str(&tests::text(Format::Bencher)).unwrap();
        let all = document.as_object().unwrap();
        assert_eq!(all.len(), 8);
        let rate = &all["produce-1k / ringlog"]["mb_s"];
        assert_eq!((rate["value"].as_f64(), rate["lower_value"].as_f64()), (Some(336.426), Some(212.302)));
        assert!(all["consume / ringlog"].get("response_us_p99").is_none(), "what is not known is not there");
        for measures in all.values() {
            for it in measures.as_object().unwrap().values() {
                assert!(
                    it["lower_value"].as_f64() <= it["value"].as_f64()
                        && it["value"].as_f64() <= it["upper_value"].as_f64()
                );
            }
        }
    }
}
