//! github-action-benchmark's custom formats: a list of `{name, unit, value, range, extra}`. Whether more is better is the
//! file's, so there are two: `tool: customBiggerIsBetter` and `tool: customSmallerIsBetter`.

use serde::Serialize;

use super::{File, json, name, tracked};
use crate::report::cells::Cells;
use crate::run::spread::Spread;

#[derive(Serialize)]
struct Entry {
    name: String,
    unit: &'static str,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<String>,
    extra: String,
}

pub(super) fn files(cells: &Cells) -> Vec<File> {
    let file = |name: &str, is_more_better| (name.to_owned(), json(&entries(cells, is_more_better)));
    vec![file("bigger-is-better.json", true), file("smaller-is-better.json", false)]
}

fn entries(cells: &Cells, is_more_better: bool) -> Vec<Entry> {
    let of_cell = |cell| {
        let own = tracked(cell).filter(move |(it, _)| it.is_more_better == is_more_better);
        own.map(move |(it, spread)| Entry {
            name: format!("{} / {}", name(cells, cell), it.name),
            unit: it.unit,
            value: spread.middle,
            range: range(spread),
            extra: format!("{} rounds, bottleneck {}", spread.rounds, cell.summary.bottleneck),
        })
    };
    cells.all.iter().flat_map(of_cell).collect()
}

/// Half of the interval's width, where there are rounds enough for one.
fn range(spread: Spread) -> Option<String> {
    spread.half_width.map(|it| format!("± {:.1}%", it * 100.0))
}

#[cfg(test)]
mod tests {
    use super::super::{Format, tests};

    #[test]
    fn what_is_better_is_the_file_s_and_every_entry_has_name_unit_and_value() {
        let files = tests::files(Format::GithubActionBenchmark);
        let names: Vec<&str> = files.iter().map(|it| it.0.as_str()).collect();
        assert_eq!(names, ["bigger-is-better.json", "smaller-is-better.json"]);
        let of = |at: usize| -> Vec<serde_json::Value> { serde_json::from_str(&files[at].1).unwrap() };
        assert_eq!(of(0).len(), 16);
        assert!(of(1).iter().all(|it| it["unit"] != "MB/s"));
        let first = &of(0)[0];
        assert_eq!(
            (first["name"].as_str(), first["value"].as_f64()),
            (Some("produce-1k / ringlog / mb_s"), Some(336.426))
        );
        assert!(first["range"].as_str().unwrap().starts_with("± "), "{first}");
    }
}
