//! The short table that `ringlog bench` prints.

use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::run::rows::Summary;

/// Column heads. MB are 10^6 bytes.
const HEADS: [&str; 10] = [
    "workload",
    "MB/s",
    "records/s",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "broker CPU\nms/MB",
    "client CPU\nms/MB",
    "of null\nreceive",
    "of null\nappend",
];
/// What stands where nothing is known.
const UNKNOWN: &str = "-";

/// The table, without a line break at its end.
#[must_use]
pub fn render(summaries: &[Summary]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(HEADS);
    for summary in summaries {
        table.add_row(cells(summary));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

fn cells(summary: &Summary) -> Vec<Cell> {
    let name = if summary.client_bound { format!("{} *", summary.workload) } else { summary.workload.clone() };
    let [p50, p99, p999] = summary.response_us.map(|it| known(it.map(|us| us / 1000.0), 2));
    let [receive, append] = summary.of_null.map(share);
    let texts = [
        name,
        grouped(summary.mb_s),
        grouped(summary.records_s),
        p50,
        p99,
        p999,
        known(summary.broker_ms_mb, 3),
        known(summary.client_ms_mb, 3),
        receive,
        append,
    ];
    texts.into_iter().map(Cell::new).collect()
}

fn known(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |it| format!("{it:.digits$}"))
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |it| format!("{:.0} %", it * 100.0))
}

/// A whole number with its thousands apart; one digit more below ten.
fn grouped(value: f64) -> String {
    if value < 10.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_for_each_workload_and_a_dash_for_what_is_not_known() {
        let produce = Summary {
            workload: "produce-1k".to_owned(),
            target: "ringlog".to_owned(),
            mb_s: 812.345,
            records_s: 812_345.0,
            response_us: [Some(1234.0), Some(20_500.0), None],
            broker_ms_mb: Some(0.9876),
            client_ms_mb: Some(1.1),
            of_null: [Some(0.456), Some(0.9)],
            client_bound: true,
        };
        let consume = Summary { workload: "consume".to_owned(), mb_s: 9.96, records_s: 9960.0, ..Summary::default() };
        let expected = "\
────────────────────────────────────────────────────────────────────────────────────────────────────────────
 workload       MB/s   records/s   p50 ms   p99 ms   p99.9 ms   broker CPU   client CPU   of null   of null 
                                                                     ms/MB        ms/MB   receive    append 
════════════════════════════════════════════════════════════════════════════════════════════════════════════
 produce-1k *    812     812,345     1.23    20.50          -        0.988        1.100      46 %      90 % 
────────────────────────────────────────────────────────────────────────────────────────────────────────────
 consume        10.0       9,960        -        -          -            -            -         -         - 
────────────────────────────────────────────────────────────────────────────────────────────────────────────";
        assert_eq!(render(&[produce, consume]), expected);
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(grouped(9.04), "9.0");
        assert_eq!(grouped(999.4), "999");
        assert_eq!(grouped(1_234_567.0), "1,234,567");
    }
}
