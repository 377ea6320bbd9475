//! The end of a sweep: a table for each part, what mattered, figures of others beside ours, the exit code.

use std::process::ExitCode;

use comfy_table::{Cell, CellAlignment, Table, presets};

use super::course;
use super::effects;
use crate::results::Row;
use crate::run::bottleneck::Bottleneck;
use crate::run::spread::Spread;
use crate::session::Done;
use crate::spec::sweep::{Sweep, SweepCell, without_rate};

/// Exit codes, as the help names them.
const FAILED: u8 = 1;
const LEDGER: u8 = 3;
const INTERRUPTED: u8 = 130;

/// Column heads. MB are 10^6 bytes.
const HEADS: [&str; 9] =
    ["settings", "target", "asked\n1/s", "MB/s", "records/s", "p50 ms", "p99 ms", "broker CPU\nms/MB", "bottleneck"];
/// What stands where nothing is known.
const UNKNOWN: &str = "-";
/// Stands behind a rate that was given and reached.
const THROTTLE: &str = " =";

/// Prints the end and gives the exit code.
pub(super) fn tell(sweep: &Sweep, done: &Done, left: u64) -> ExitCode {
    outln!("{}", text(sweep, done));
    if left > 0 {
        outln!("{left} steps were not run; the same command with --resume {} goes on with them", done.folder.display());
    }
    if let Err(end) = &done.end {
        errln!("ringlog sweep: {end}");
    }
    ExitCode::from(code(done))
}

fn code(done: &Done) -> u8 {
    match () {
        () if done.is_interrupted() => INTERRUPTED,
        () if done.has_ledger_fault() => LEDGER,
        () if !done.is_whole() || done.has_skipped() || !done.rows.iter().any(Row::is_measured) => FAILED,
        () => 0,
    }
}

pub(super) fn text(sweep: &Sweep, done: &Done) -> String {
    let mut lines = Vec::new();
    for part in sweep.parts() {
        let cells: Vec<&SweepCell> = sweep.cells.iter().filter(|it| it.part == part).collect();
        let what = cells.first().map(|it| it.workload.what.as_str()).unwrap_or_default();
        lines.push(format!("\n{part}{}{what}", if what.is_empty() { "" } else { ": " }));
        lines.push(if done.rows.iter().any(|it| it.part == part) {
            table(&cells, &done.rows)
        } else {
            "not measured: the run ended before it".to_owned()
        });
        lines.extend(highest(&cells, &done.rows));
    }
    lines.push(String::new());
    lines.extend(marks(&done.rows));
    lines.extend(what_mattered(&done.rows));
    lines.extend(references(sweep, &done.rows));
    let verified = done.verified_records();
    if verified > 0 && !done.has_ledger_fault() {
        let words = "were acknowledged, read back and checked: none lost, doubled, out of order or changed.";
        lines.push(format!("{verified} records {words}"));
    }
    lines.extend(done.warnings.iter().map(|it| format!("warning: {it}")));
    lines.push(format!("Kept in {}", done.folder.display()));
    lines.join("\n")
}

/// The rows of a cell, by target and rate, as lines.
fn table(cells: &[&SweepCell], rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(HEADS);
    for cell in cells {
        let names =
            std::iter::once((&cell.workload.name, "")).chain(cell.reader.iter().map(|it| (&it.name, " (read)")));
        for (name, reads) in names {
            let own: Vec<&Row> = rows.iter().filter(|it| without_rate(&it.workload) == name).collect();
            for group in groups(&own) {
                table.add_row(line(cell, reads, &group));
            }
        }
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// Rows that differ in their round alone: of one rate and target each, the lowest rate first.
fn groups<'a>(rows: &[&'a Row]) -> Vec<Vec<&'a Row>> {
    let mut groups: Vec<Vec<&Row>> = Vec::new();
    for row in rows {
        let same = |it: &&mut Vec<&Row>| it[0].target == row.target && it[0].rate_records_s == row.rate_records_s;
        match groups.iter_mut().find(same) {
            Some(group) => group.push(row),
            None => groups.push(vec![row]),
        }
    }
    let rate = |group: &Vec<&Row>| group[0].rate_records_s.unwrap_or(0.0);
    groups.sort_by(|a, b| rate(a).total_cmp(&rate(b)).then_with(|| a[0].target.cmp(&b[0].target)));
    groups
}

fn line(cell: &SweepCell, reads: &str, group: &[&Row]) -> Vec<Cell> {
    let measured: Vec<&&Row> = group.iter().filter(|it| it.is_measured()).collect();
    let of = |take: &dyn Fn(&Row) -> Option<f64>, text: &dyn Fn(f64) -> String| {
        let spread = Spread::of(measured.iter().filter_map(|it| take(it)));
        spread.map_or_else(|| UNKNOWN.to_owned(), |it| text(it.middle))
    };
    let ms = |us: f64| format!("{:.2}", us / 1000.0);
    let words = if cell.factors.is_empty() { "(nothing varied)".to_owned() } else { cell.words() };
    let first = group[0];
    let mark = if measured.iter().any(|it| is_own_throttle(it)) { THROTTLE } else { "" };
    let bottleneck = measured.first().map_or(first.validity.as_str(), |it| it.bottleneck.as_str());
    let texts = [
        format!("{words}{reads}").replace(' ', "\n"),
        first.target.clone(),
        first.rate_records_s.map_or_else(String::new, |it| format!("{it}")),
        of(&|it| it.mb_s, &|it| format!("{it:.1}{mark}")),
        of(&|it| it.records_s, &|it| format!("{it:.0}")),
        of(&|it| it.response_us_p50, &ms),
        of(&|it| it.response_us_p99, &ms),
        of(&|it| it.broker_cpu_ms_per_mb, &|it| format!("{it:.3}")),
        bottleneck.to_owned(),
    ];
    texts.into_iter().map(Cell::new).collect()
}

/// A row whose rate says what was asked for, and nothing of the broker.
fn is_own_throttle(row: &Row) -> bool {
    row.bottleneck == Bottleneck::Schedule.name()
}

/// The highest rate that each target held.
fn highest(cells: &[&SweepCell], rows: &[Row]) -> Vec<String> {
    let mut lines = Vec::new();
    for cell in cells {
        let Some(ladder) = &cell.ladder else { continue };
        let own = |it: &&Row| without_rate(&it.workload) == cell.workload.name && it.role == "subject";
        let mut targets: Vec<&str> = rows.iter().filter(own).map(|it| it.target.as_str()).collect();
        targets.sort_unstable();
        targets.dedup();
        let condition = ladder.p99_ms.map_or_else(String::new, |it| format!(" with p99 at most {it} ms"));
        for target in targets {
            let words = match course::highest(rows, &cell.workload.name, target) {
                Some(rate) => format!("holds {rate:.0} records/s{condition}"),
                None => format!("holds none of these rates{condition}"),
            };
            let name = if cell.factors.is_empty() { String::new() } else { format!("{}: ", cell.words()) };
            lines.push(format!("{name}{target} {words}"));
        }
    }
    lines
}

/// What the marks in the table mean, each where it is there.
fn marks(rows: &[Row]) -> Vec<String> {
    let mut lines = Vec::new();
    let given = rows.iter().filter(|it| is_own_throttle(it)).count();
    if given > 0 {
        lines.push(format!(
            "= the rate that was asked for was reached ({given} rows): MB/s there measures the throttle, whatever the settings are; \
             look at the latency and at the processor time"
        ));
    }
    let unsteady = rows.iter().filter(|it| it.is_steady == Some(false)).count();
    if unsteady > 0 {
        lines.push(format!("no steady state was found in {unsteady} rows before their longest warm-up was over"));
    }
    for bottleneck in Bottleneck::ALL {
        if bottleneck != Bottleneck::Schedule && rows.iter().any(|it| it.bottleneck == bottleneck.name()) {
            lines.push(format!("bottleneck {}: {}", bottleneck.name(), bottleneck.words()));
        }
    }
    lines
}

fn what_mattered(rows: &[Row]) -> Vec<String> {
    let (effects, tests) = effects::of(rows, 1);
    if tests == 0 {
        return Vec::new();
    }
    if effects.is_empty() {
        return vec![format!("No setting mattered beyond chance ({tests} tests; more --rounds tell finer).")];
    }
    let mut lines = vec![format!("What mattered beyond chance ({tests} tests):")];
    lines.extend(effects.iter().map(|it| format!("  {}, {}: {it}", it.part, it.target)));
    lines
}

/// Figures of others, and ours of the same settings.
fn references(sweep: &Sweep, rows: &[Row]) -> Vec<String> {
    if sweep.references.is_empty() {
        return Vec::new();
    }
    let mut lines =
        vec!["Figures of others beside ours (another machine, another time: no comparison of brokers):".to_owned()];
    for reference in &sweep.references {
        let text = |key: &str| reference.get(key).and_then(toml::Value::as_str).unwrap_or_default();
        let mut ours: Vec<String> = Vec::new();
        for target in targets(rows) {
            if let Some(value) = own_figure(reference, rows, target) {
                ours.push(format!("{target} {value:.1}"));
            }
        }
        let ours = if ours.is_empty() { "not measured in this run".to_owned() } else { ours.join(", ") };
        let value = reference.get("value").map(ToString::to_string).unwrap_or_default();
        lines.push(format!("  {}: {value} {} ({}); ours: {ours}", text("what"), text("unit"), text("source")));
    }
    lines
}

fn targets(rows: &[Row]) -> Vec<&str> {
    let mut names: Vec<&str> = rows.iter().filter(|it| it.role == "subject").map(|it| it.target.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The middle of our rows of a reference's part, cell and kind, in its column.
fn own_figure(reference: &toml::Table, rows: &[Row], target: &str) -> Option<f64> {
    let text = |key: &str| reference.get(key).and_then(toml::Value::as_str).unwrap_or_default();
    let is_own = |it: &&Row| {
        let kind = text("kind");
        it.is_measured()
            && it.target == target
            && it.part == text("part")
            && it.cell == text("cell")
            && (kind.is_empty() || it.kind == kind)
    };
    let figure = |it: &Row| serde_json::to_value(it).ok()?.get(text("column"))?.as_f64();
    Spread::of(rows.iter().filter(is_own).filter_map(figure)).map(|it| it.middle)
}
