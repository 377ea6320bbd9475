//! The short table that `ringlog bench` prints: the middle of each figure, and below it the least and the greatest; below those
//! of the figures that a verdict is about (the rate, p99, processor time) how sure their mean is.

use comfy_table::{Cell, CellAlignment, Table, presets};

use super::text::grouped;
use crate::run::spread::Spread;
use crate::run::summary::Summary;

/// Column heads. MB are 10^6 bytes.
const HEADS: [&str; 11] = [
    "workload",
    "MB/s",
    "records/s",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "broker CPU\nms/MB",
    "client CPU\nms/MB",
    "of a ceiling",
    "bottleneck",
    "rounds",
];
/// What stands where nothing is known.
const UNKNOWN: &str = "-";

/// The table, without a line break at its end.
#[must_use]
pub fn render(summaries: &[Summary]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(HEADS);
    let several = summaries.iter().any(|it| it.target != summaries[0].target);
    for summary in summaries {
        table.add_row(cells(summary, several));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

fn cells(summary: &Summary, several: bool) -> Vec<Cell> {
    let name = if several { format!("{}\n{}", summary.workload, summary.target) } else { summary.workload.clone() };
    let ms = |us: f64| format!("{:.2}", us / 1000.0);
    let [p50, p99, p999] = summary.response_us.map(|it| spread(it, ms));
    let cost = |it: f64| format!("{it:.3}");
    let texts = [
        name,
        spread(summary.mb_s, grouped),
        spread(summary.records_s, grouped),
        p50,
        sure(p99, summary.response_us[1]),
        p999,
        sure(spread(summary.broker_ms_mb, cost), summary.broker_ms_mb),
        sure(spread(summary.client_ms_mb, cost), summary.client_ms_mb),
        ceiling(summary),
        bottleneck(summary),
        rounds(summary),
    ];
    texts.into_iter().map(Cell::new).collect()
}

/// `middle`, and below it `least..greatest`; of a single round the middle alone.
fn spread(value: Option<Spread>, text: impl Fn(f64) -> String) -> String {
    match value {
        None => UNKNOWN.to_owned(),
        Some(it) if it.rounds == 1 => text(it.middle),
        Some(it) => format!("{}\n{}..{}", text(it.middle), text(it.least), text(it.greatest)),
    }
}

/// With the interval of its mean below it, where there are rounds for one.
fn sure(text: String, value: Option<Spread>) -> String {
    let width = value.and_then(|it| it.half_width).map(|it| format!("\n±{:.0} %", it * 100.0));
    format!("{text}{}", width.unwrap_or_default())
}

fn ceiling(summary: &Summary) -> String {
    match summary.ceiling_share {
        None => UNKNOWN.to_owned(),
        Some(share) => format!("{}\nof {}", spread(Some(share), |it| format!("{:.0} %", it * 100.0)), summary.ceiling),
    }
}

fn bottleneck(summary: &Summary) -> String {
    match (summary.bottleneck.as_str(), summary.bottleneck_rounds, summary.rounds) {
        ("", _, _) => UNKNOWN.to_owned(),
        (name, own, all) if own == all => name.to_owned(),
        (name, own, all) => format!("{name}\n{own} of {all}"),
    }
}

fn rounds(summary: &Summary) -> String {
    sure(summary.rounds.to_string(), summary.mb_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Option<Spread> {
        Spread::of(values.iter().copied())
    }

    #[test]
    fn every_figure_has_its_least_and_greatest_and_a_dash_stands_for_what_is_not_known() {
        let produce = Summary {
            workload: "produce-1k".to_owned(),
            target: "ringlog".to_owned(),
            mb_s: of(&[277.2, 505.8, 512.1]),
            records_s: of(&[277_206.0, 505_831.0, 512_140.0]),
            response_us: [of(&[1234.0, 1300.0, 1400.0]), of(&[20_500.0]), None],
            broker_ms_mb: of(&[0.9876, 1.0, 1.1]),
            ceiling: "null-append".to_owned(),
            ceiling_share: of(&[0.456, 0.5, 0.6]),
            bottleneck: "disk".to_owned(),
            bottleneck_rounds: 2,
            rounds: 3,
            ..Summary::default()
        };
        let text = render(&[produce, Summary { workload: "consume".to_owned(), ..Summary::default() }]);
        for part in ["506", "277..512", "277,206..512,140", "1.30", "1.23..1.40", "20.50", "0.988..1.100", "50 %"] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        assert!(text.contains("±15 %"), "the interval of the broker's cost: {text}");
        for part in ["46 %..60 %", "of null-append", "disk", "2 of 3", "±77 %", " - "] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
    }

    #[test]
    fn targets_are_named_where_there_are_several() {
        let of = |target: &str| Summary { workload: "w".to_owned(), target: target.to_owned(), ..Summary::default() };
        assert!(!render(&[of("ringlog")]).contains("ringlog"));
        let text = render(&[of("ringlog"), of("kafka")]);
        assert!(text.contains("ringlog") && text.contains("kafka"), "{text}");
    }
}
