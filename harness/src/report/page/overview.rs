//! Every cell in one table: its settings, its figures, what limited it, and what its figures do not say.

use maud::{Markup, html};

use super::verdict::is_throttled;
use crate::report::cells::{Cell, Cells};
use crate::report::text;
use crate::run::bottleneck::{Bottleneck, DISTURBANCES};
use crate::run::spread::Spread;
use crate::run::summary::Summary;

/// Rows of the table: what is beyond stands in rows.csv.
const CELLS_MAX: usize = 240;
/// What stands where nothing is known.
const UNKNOWN: &str = "-";

pub(super) fn section(cells: &Cells) -> Markup {
    let shown = &cells.all[..cells.all.len().min(CELLS_MAX)];
    html! {
        section id="cells" {
            h2 { "What limited each cell?" }
            (explained(cells))
            @for group in cells.groups() { @if shown.iter().any(|it| it.group == group) {
                h3 { (if group.is_empty() { "runs" } else { group }) }
                (table(cells, group, shown))
            } }
            @if cells.all.len() > CELLS_MAX {
                p { (text::count(cells.all.len() - CELLS_MAX)) " more cells stand in rows.csv." }
            }
        }
    }
}

/// The words of the table that occur, each once.
fn explained(cells: &Cells) -> Markup {
    let is_met = |it: &Bottleneck| cells.all.iter().any(|cell| cell.summary.bottleneck == it.name());
    let met = |name: &str| cells.all.iter().any(|cell| disturbances(cell).contains(&name));
    html! {
        ul {
            @for it in Bottleneck::ALL.iter().filter(|it| is_met(it)) { li { b { (it.name()) } ": " (it.words()) } }
            @for (name, words) in DISTURBANCES.iter().filter(|it| met(it.0)) { li { b { (name) } ": " (words) } }
        }
    }
}

fn table(cells: &Cells, group: &str, shown: &[Cell]) -> Markup {
    let own = || shown.iter().filter(|it| it.group == group);
    // Where every workload of a target has its own name, the name says it all; a sweep's are made of the settings beside it.
    let is_named = own().all(|it| cells.name(it) == it.workload && it.group == it.kind);
    let varied = if is_named { &[] } else { cells.varied(group) };
    let has = |of: fn(&Summary) -> bool| own().any(|it| of(&it.summary));
    let has_p99 = has(|it| it.response_us[1].is_some());
    let has_readers = own().any(|it| end_to_end(it).is_some());
    let has_broker = has(|it| it.broker_ms_mb.is_some());
    let has_ceiling = has(|it| it.ceiling_share.is_some());
    html! {
        div.wide { table {
            thead { tr {
                @if is_named { th { "workload" } }
                th { "target" }
                @for at in varied { th { (cells.parameters[*at].label()) } }
                th.r { "MB/s" } th.r { "records/s" }
                @if has_p99 { th.r { "p50 ms" } th.r { "p99 ms" } th.r { "p99.9 ms" } }
                @if has_readers { th.r { "end to end p99 ms" } }
                @if has_broker { th.r { "broker CPU ms/MB" } }
                th.r { "client CPU ms/MB" }
                @if has_ceiling { th.r { "of a ceiling" } }
                th { "bottleneck" } th.r { "rounds" } th.wordy { "remarks" }
            } }
            tbody { @for cell in own() { tr {
                @let it = &cell.summary;
                @if is_named { td { (cell.workload) } }
                td { (cell.target) }
                @for at in varied { td { (cells.said(*at, &cell.values[*at])) } }
                (figure(it.mb_s, text::digits)) td.r { (it.records_s.map_or_else(|| UNKNOWN.to_owned(), |it| text::grouped(it.middle))) }
                @if has_p99 { @for of in it.response_us { (figure(of, text::ms)) } }
                @if has_readers { (figure(end_to_end(cell), text::ms)) }
                @if has_broker { (figure(it.broker_ms_mb, text::digits)) }
                (figure(it.client_ms_mb, text::digits))
                @if has_ceiling { td.r { (ceiling(it)) } }
                td { (bottleneck(it)) } td.r { (it.rounds) } td { (remarks(cell)) }
            } } }
        } }
    }
}

/// Age of records at their reading, from their timestamps, by those who read beside the writer.
fn end_to_end(cell: &Cell) -> Option<Spread> {
    Spread::of(cell.measured().filter_map(|row| row.end_to_end_us_p99))
}

/// The middle, and below it the least and the greatest.
fn figure(spread: Option<Spread>, text: fn(f64) -> String) -> Markup {
    html! {
        td.r { @match spread {
            None => (UNKNOWN),
            Some(it) => { (text(it.middle)) @if it.rounds > 1 { small { (text(it.least)) " .. " (text(it.greatest)) } } }
        } }
    }
}

fn ceiling(summary: &Summary) -> String {
    let share = summary.ceiling_share.map(|it| text::percent(it.middle));
    share.map_or_else(|| UNKNOWN.to_owned(), |it| format!("{it} of {}", summary.ceiling))
}

fn bottleneck(summary: &Summary) -> String {
    match (summary.bottleneck.as_str(), summary.bottleneck_rounds, summary.rounds) {
        ("", ..) => UNKNOWN.to_owned(),
        (name, own, all) if own == all => name.to_owned(),
        (name, own, all) => format!("{name}, {own} of {all}"),
    }
}

fn remarks(cell: &Cell) -> String {
    let mut remarks: Vec<String> = Vec::new();
    if is_throttled(cell) {
        remarks.push("measures its own throttle".to_owned());
    }
    if cell.summary.refused > 0 {
        remarks.push(format!("{} without figures: {}", text::plural(cell.summary.refused, "round"), cell.summary.why));
    }
    let found = disturbances(cell);
    if !found.is_empty() {
        remarks.push(found.join(", "));
    }
    remarks.join("; ")
}

/// What disturbed any of its rounds, each once.
fn disturbances(cell: &Cell) -> Vec<&str> {
    let mut all: Vec<&str> =
        cell.rows.iter().flat_map(|it| it.disturbances.split('+')).filter(|it| !it.is_empty()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::cells::tests::{row, sweep};
    use crate::results::Row;

    #[test]
    fn a_sweep_has_a_column_for_each_varied_setting_and_unknown_is_a_dash() {
        let text = section(&Cells::of(&sweep())).into_string();
        assert!(
            text.contains("<th>batch.size</th><th>linger.ms</th>") && !text.contains("<th>workload</th>"),
            "{text}"
        );
        assert!(text.contains("<td>64 KiB</td>") && text.contains("<b>disk</b>: the disk"), "{text}");
        assert!(!text.contains("p99 ms"), "no row has a response time");
    }

    #[test]
    fn a_cell_that_measures_its_throttle_or_lost_a_round_says_so() {
        let mut rows = vec![
            Row { rate_records_s: Some(10.0), bottleneck: "schedule".to_owned(), ..row("t", 1, 0.0, 1, 1.0) },
            Row {
                rate_records_s: Some(10.0),
                validity: "invalid".to_owned(),
                why: "gone".to_owned(),
                ..row("t", 1, 0.0, 2, 1.0)
            },
        ];
        rows[0].disturbances = "steal+shared-core".to_owned();
        let cells = Cells::of(&rows);
        assert_eq!(
            remarks(&cells.all[0]),
            "measures its own throttle; 1 round without figures: gone; shared-core, steal"
        );
    }
}
