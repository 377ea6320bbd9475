//! What a rerun prints: the rows there are, what differs now, and the old figures beside the new.

use std::path::Path;

use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::host::{HostFacts, PathFacts};
use crate::results::manifest::commit_of;
use crate::results::{Manifest, Row};
use crate::run::spread::Spread;
use crate::session::origin;
use crate::target::Start;

/// What stands where nothing is known.
const UNKNOWN: &str = "-";

/// A figure of a row: its column, and how it is had.
type Figure = (&'static str, fn(&Row) -> Option<f64>);
const FIGURES: [Figure; 10] = [
    ("mb_s", |it| it.mb_s),
    ("records_s", |it| it.records_s),
    ("response_us_p50", |it| it.response_us_p50),
    ("response_us_p99", |it| it.response_us_p99),
    ("response_us_p999", |it| it.response_us_p999),
    ("broker_cpu_ms_per_mb", |it| it.broker_cpu_ms_per_mb),
    ("client_cpu_ms_per_mb", |it| it.client_cpu_ms_per_mb),
    ("client_syscalls_per_mb", |it| it.client_syscalls_per_mb),
    ("wire_bytes_per_record", |it| it.wire_bytes_per_record),
    ("write_amplification", |it| it.write_amplification),
];

/// The rows of a run with their numbers.
pub(super) fn listed(rows: &[Row]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_header(["row", "workload", "target", "round", "MB/s", "p99 us"]);
    for (at, row) in rows.iter().enumerate() {
        let figure = |it: Option<f64>| it.map_or_else(|| UNKNOWN.to_owned(), |it| format!("{it:.1}"));
        let rate = if row.is_measured() { figure(row.mb_s) } else { row.validity.clone() };
        let (number, round) = ((at + 1).to_string(), row.round.to_string());
        table.add_row([&number, &row.workload, &row.target, &round, &rate, &figure(row.response_us_p99)]);
    }
    right(&mut table, &[0, 3, 4, 5]);
    table.to_string()
}

/// What is not as it was when the run was made, of what a figure may depend on.
pub(super) fn differences(old: &Manifest, target: &str, start: &Start) -> Vec<String> {
    let root = Path::new("/");
    let here = std::env::current_dir().unwrap_or_default();
    let host = HostFacts::read(root);
    let storage = PathFacts::read(root, &here);
    let known = |it: &Option<String>| it.clone().unwrap_or_default();
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let was = old.targets.get(target).and_then(|it| it.get(origin::SHA256)).cloned();
    let gib = |it: Option<u64>| it.map_or_else(String::new, |it| format!("{} GiB", (it + (1 << 29)) >> 30));
    let rows = [
        ("this program", known(&old.program_sha256), origin::own_sha256().unwrap_or_default()),
        ("its build", old.build.clone(), build.to_owned()),
        ("commit of the source", known(&old.commit), commit_of(&here).unwrap_or_default()),
        ("program of the target", was.unwrap_or_default(), origin::sha256(start).unwrap_or_default()),
        ("kernel", known(&old.host.kernel), known(&host.kernel)),
        ("processor", known(&old.host.cpu_model), known(&host.cpu_model)),
        ("cores", number(old.host.cores), number(host.cores)),
        ("memory", gib(old.host.memory_bytes), gib(host.memory_bytes)),
        ("virtualisation", old.host.virtualisation.clone(), host.virtualisation),
        ("file system", known(&old.storage.file_system), known(&storage.file_system)),
    ];
    rows.into_iter().filter_map(|(what, was, is)| difference(what, &was, &is)).collect()
}

fn number(cores: usize) -> String {
    if cores == 0 { String::new() } else { cores.to_string() }
}

fn difference(what: &str, was: &str, is: &str) -> Option<String> {
    let brief = |it: &str| if it.len() > 40 && !it.contains(' ') { format!("{}..", &it[..12]) } else { it.to_owned() };
    match (was, is) {
        _ if was == is => None,
        ("", _) => Some(format!("{what}: {} now, and the manifest does not say what it was", brief(is))),
        (_, "") => Some(format!("{what}: was {}, not known now", brief(was))),
        _ => Some(format!("{what}: was {}, is {}", brief(was), brief(is))),
    }
}

/// Each figure then and now; of several rounds now the middle, with the least and the greatest.
pub(super) fn compared(old: &Row, new: &[Row]) -> String {
    let mut table = Table::new();
    let now = format!("now, {} round{}", new.len(), if new.len() == 1 { "" } else { "s" });
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(["figure", "then", now.as_str(), "now / then"]);
    for (name, of) in FIGURES {
        let then = of(old).filter(|_| old.is_measured());
        let now = Spread::of(new.iter().filter(|it| it.is_measured()).filter_map(of));
        if then.is_none() && now.is_none() {
            continue;
        }
        let ratio =
            then.zip(now).filter(|(then, _)| *then != 0.0).map(|(then, now)| format!("{:.3}", now.middle / then));
        let spread = |it: Spread| match it.rounds {
            1 => plain(it.middle),
            _ => format!("{}\n{}..{}", plain(it.middle), plain(it.least), plain(it.greatest)),
        };
        let or_unknown = |it: Option<String>| it.unwrap_or_else(|| UNKNOWN.to_owned());
        table.add_row([name.to_owned(), or_unknown(then.map(plain)), or_unknown(now.map(spread)), or_unknown(ratio)]);
    }
    let limits = |rows: &[Row]| {
        let mut names: Vec<&str> = rows.iter().map(|it| it.bottleneck.as_str()).filter(|it| !it.is_empty()).collect();
        names.dedup();
        if names.is_empty() { UNKNOWN.to_owned() } else { names.join(", ") }
    };
    let line = ["bottleneck".to_owned(), limits(std::slice::from_ref(old)), limits(new), String::new()];
    table.add_row(line.map(Cell::new));
    right(&mut table, &[1, 2, 3]);
    format!("{} against {}, round {}\n{table}", old.workload, old.target, old.round)
}

fn plain(value: f64) -> String {
    if value.abs() >= 1000.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

fn right(table: &mut Table, columns: &[usize]) {
    for at in columns {
        if let Some(column) = table.column_mut(*at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::columns::validity;

    fn row(mb_s: f64) -> Row {
        let (validity, bottleneck) = (validity::MEASURED.to_owned(), "disk".to_owned());
        Row {
            workload: "w".to_owned(),
            target: "t".to_owned(),
            validity,
            bottleneck,
            mb_s: Some(mb_s),
            ..Row::default()
        }
    }

    #[test]
    fn the_old_figure_stands_beside_the_middle_of_the_new_ones_with_their_ratio() {
        let text = compared(&row(200.0), &[row(300.0), row(100.0), row(150.0)]);
        for part in ["200.000", "150.000", "100.000..300.000", "0.750", "now, 3 rounds", "disk"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("response_us_p99"), "what neither knows is left out: {text}");
        let refused = Row { validity: validity::INVALID.to_owned(), ..row(1.0) };
        assert!(compared(&row(200.0), &[refused]).contains(UNKNOWN));
    }

    #[test]
    fn what_differs_is_told_with_both_values_and_what_was_not_known_as_that() {
        assert_eq!(difference("kernel", "6.1", "6.1"), None);
        assert_eq!(difference("kernel", "6.1", "6.2").unwrap(), "kernel: was 6.1, is 6.2");
        let hash = "0123456789abcdef".repeat(4);
        let words = difference("this program", "", &hash).unwrap();
        assert!(words.starts_with("this program: 0123456789ab.. now, and the manifest does not say"), "{words}");
        let start = Start::Ringlog { program: None };
        let other = Manifest { build: "other".to_owned(), ..Manifest::default() };
        assert!(differences(&other, "t", &start).iter().any(|it| it.starts_with("its build: was other, is ")));
    }

    #[test]
    fn rows_are_listed_with_the_number_that_names_them() {
        let text = listed(&[row(1.0), Row { validity: validity::INVALID.to_owned(), ..row(2.0) }]);
        assert!(text.contains(" 2 ") && text.contains("invalid"), "{text}");
    }
}
