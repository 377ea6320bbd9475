//! Profiles as people read them. No arithmetic but ratios.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use crate::spec::hardware::{Entry, Profile};

/// What stands where nothing is known.
const UNKNOWN: &str = "-";

/// A line for each.
pub(super) fn list(entries: &[&Entry]) -> String {
    let mut table = Table::new();
    let heads = [
        "profile",
        "threads",
        "GHz",
        "GiB",
        "Gb/s\nlasts",
        "Gb/s\nburst",
        "disk",
        "GB",
        "write\nMB/s",
        "read\nMB/s",
        "fdatasync\np50 us",
        "USD/h",
        "as of",
    ];
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(heads);
    for entry in entries {
        table.add_row(line(&entry.profile));
    }
    for at in [1, 2, 3, 4, 5, 7, 8, 9, 10, 11] {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

fn line(profile: &Profile) -> Vec<Cell> {
    let some = |it: Option<f64>| it.map_or_else(|| UNKNOWN.to_owned(), number);
    let nic = profile.nic.as_ref();
    let disk = profile.disk.first();
    let media = disk.map_or_else(String::new, |it| {
        let media = format!("{:?}", it.media).to_lowercase();
        if it.count > 1 { format!("{} x {media}", it.count) } else { media }
    });
    let texts = [
        profile.name.clone(),
        profile.cpu.threads.to_string(),
        some(profile.cpu.ghz),
        number(profile.memory.gib),
        some(nic.map(|it| it.baseline_gbps)),
        some(nic.and_then(|it| it.burst_gbps)),
        media,
        some(disk.map(|it| it.size_gb)),
        some(disk.map(|it| it.seq_write_mb_s)),
        some(disk.map(|it| it.seq_read_mb_s)),
        some(disk.and_then(|it| it.fdatasync_us).map(|it| it.p50)),
        profile.price.as_ref().map_or_else(|| UNKNOWN.to_owned(), |it| format!("{:.3}", it.usd_per_hour)),
        profile.as_of.to_string(),
    ];
    texts.into_iter().map(Cell::new).collect()
}

/// Every number of one with its fact.
pub(super) fn one(entry: &Entry) -> String {
    let profile = &entry.profile;
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(["number", "value", "quality", "date", "source"]);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    for (field, value) in values(profile) {
        let Some(fact) = profile.fact(&field) else { continue };
        table.add_row([field, value, fact.quality.name().to_owned(), fact.date.to_string(), fact.source.clone()]);
    }
    let kind = format!("{:?}, {:?}, as of {}", profile.kind, profile.lifecycle, profile.as_of).to_lowercase();
    let price = profile.price.as_ref().map(|it| format!("\nprice: {}", it.basis)).unwrap_or_default();
    format!("{}: {}\n{kind}{price}\n{table}", profile.name, profile.what)
}

/// The numbers in which two differ, with the ratio.
pub(super) fn diff(one: &Entry, other: &Entry) -> String {
    let (left, right) = (values(&one.profile), values(&other.profile));
    let mut names: Vec<&String> = left.iter().chain(&right).map(|it| &it.0).collect();
    names.sort_unstable();
    names.dedup();
    let mut table = Table::new();
    let heads = ["number", one.profile.name.as_str(), other.profile.name.as_str(), "second / first"];
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(heads);
    let value = |all: &[(String, String)], name: &str| all.iter().find(|it| it.0 == name).map(|it| it.1.clone());
    for name in names {
        let (a, b) = (value(&left, name), value(&right, name));
        if a != b {
            let ratio = ratio(a.as_deref(), b.as_deref());
            table.add_row([name.clone(), a.unwrap_or(UNKNOWN.to_owned()), b.unwrap_or(UNKNOWN.to_owned()), ratio]);
        }
    }
    if table.is_empty() {
        return format!("{} and {} have the same numbers", one.profile.name, other.profile.name);
    }
    table.to_string()
}

fn ratio(one: Option<&str>, other: Option<&str>) -> String {
    match (one.and_then(|it| it.parse::<f64>().ok()), other.and_then(|it| it.parse::<f64>().ok())) {
        (Some(one), Some(other)) => format!("x {:.2}", other / one),
        _ => String::new(),
    }
}

/// Every number by its path; quantiles together.
pub(crate) fn values(profile: &Profile) -> Vec<(String, String)> {
    let Ok(table) = toml::Table::try_from(profile) else { return Vec::new() };
    let mut found = Vec::new();
    for (key, value) in table.iter().filter(|it| !matches!(it.0.as_str(), "fact" | "schema" | "probe")) {
        add(key, value, &mut found);
    }
    found
}

fn add(name: &str, value: &toml::Value, found: &mut Vec<(String, String)>) {
    match value {
        toml::Value::Integer(it) => found.push((name.to_owned(), it.to_string())),
        toml::Value::Float(it) => found.push((name.to_owned(), number(*it))),
        toml::Value::Table(table) if table.contains_key("p50") => {
            let text = |it: &toml::Value| it.as_float().map_or_else(String::new, number);
            let all: Vec<String> = table.iter().map(|(key, it)| format!("{key} {}", text(it))).collect();
            found.push((name.to_owned(), all.join(", ")));
        }
        toml::Value::Table(table) => table.iter().for_each(|(key, it)| add(&format!("{name}.{key}"), it, found)),
        toml::Value::Array(all) => {
            all.iter().enumerate().for_each(|(at, it)| add(&format!("{name}.{at}"), it, found));
        }
        _ => {}
    }
}

/// A number without digits that say nothing.
fn number(it: f64) -> String {
    if it.fract() == 0.0 { format!("{it:.0}") } else { format!("{it}") }
}
