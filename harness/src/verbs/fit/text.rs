//! A fit as people read it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};

use super::Beside;
use crate::fit::{Checked, Drift, Fitted, Saturated};
use crate::plan::interval::short;

/// Above this median a model is not one to plan with.
const FORETELLS_LITTLE: f64 = 0.25;

/// What a fit found, and what it says of rows that it had not seen.
pub(super) fn fitted(fitted: &Fitted, beside: &Beside, out: Option<&Path>) -> String {
    let model = &fitted.model;
    let mut text = format!("{}: {} rows, {} different settings\n", model.name, model.rows, fitted.cells);
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header([
        "processor time of",
        "cost",
        "95 % from",
        "to",
        "unit",
        "inflation",
    ]);
    for cost in &fitted.costs {
        let it = cost.cost;
        table.add_row([
            cost.what.clone(),
            short(it.mid),
            short(it.low),
            short(it.high),
            cost.unit.to_owned(),
            format!("x {:.1}", cost.inflation),
        ]);
    }
    for at in [1, 2, 3, 5] {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let _ = writeln!(text, "{table}");
    if let Some(missed) = model.missed {
        let _ = writeln!(
            text,
            "each setting left out in turn and foretold from the others: half are missed by less than {}, the worst by {}",
            percent(missed.median_share),
            percent(missed.worst_share)
        );
    }
    if model.missed.is_some_and(|it| it.median_share > FORETELLS_LITTLE) {
        text.push_str("these rows foretell little: add the trials that are named below before a plan rests on this\n");
    }
    if let Some(memory) = &model.memory {
        let _ = writeln!(
            text,
            "memory: {} MiB and {} MiB for each replica of a partition",
            short(memory.base_mib),
            short(memory.mib_per_partition)
        );
    }
    if let Some(it) = &model.scalability {
        let _ = writeln!(
            text,
            "cores: contention {}, coherency {} (up to {} cores)",
            short(it.contention),
            short(it.coherency),
            it.cores_max
        );
    }
    for it in &fitted.given_up {
        let _ = writeln!(text, "not told: {}: {}. To tell it, add {}", it.what, it.why, it.trial);
    }
    for note in &fitted.notes {
        let _ = writeln!(text, "note: {note}");
    }
    if !beside.checked.is_empty() {
        text.push_str(&check(&beside.checked, &beside.drifts));
    }
    for note in &beside.notes {
        let _ = writeln!(text, "--check: {note}");
    }
    if let Some(path) = out {
        let _ = writeln!(text, "{} has the model: ringlog plan LOAD --model {}", path.display(), path.display());
    }
    text
}

fn check(checked: &[Checked], drifts: &[Drift]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header([
        "setting",
        "measured\nms/MB",
        "foretold\nms/MB",
        "off",
        "off, less\nthe drift",
        "at its limit\nMB/s",
        "foretold\nMB/s",
        "off",
    ]);
    // A workload's name says what varies; where it says it all, the rest would make lines that no terminal holds.
    let names: BTreeSet<&str> = checked.iter().map(name).collect();
    let label = |it: &Checked| if names.len() == checked.len() { name(it).to_owned() } else { it.cell.clone() };
    for it in checked {
        let saturated = |of: fn(&Saturated) -> String| it.saturated.as_ref().map_or_else(String::new, of);
        table.add_row([
            label(it),
            short(it.measured_ms_per_mb),
            short(it.foretold_ms_per_mb),
            off(it.off_share),
            if it.is_seen { "seen".to_owned() } else { it.off_share_less_drift.map_or_else(String::new, off) },
            saturated(|it| short(it.measured_mb_s)),
            saturated(|it| short(it.foretold_mb_s)),
            saturated(|it| off(it.off_share)),
        ]);
    }
    let mut text = format!("{table}\n");
    for it in drifts {
        let (kind, settings, share) = (&it.kind, it.settings, off(it.share));
        let _ = writeln!(text, "{settings} settings of the fit, measured again ({kind}): {share} for each MB");
    }
    // A fit of the very rows that it is laid beside has seen all of them.
    let has_unseen = checked.iter().any(|it| !it.is_seen);
    let counted = || checked.iter().filter(|it| !(has_unseen && it.is_seen));
    missed(&mut text, "processor time for each MB", counted().map(|it| it.off_share));
    let less = counted().filter_map(|it| it.off_share_less_drift);
    missed(&mut text, "processor time for each MB, less the drift", less);
    let saturated: Vec<f64> = counted().filter_map(|it| it.saturated).map(|it| it.off_share).collect();
    if saturated.is_empty() {
        text.push_str("the rate at the broker's limit: in no setting was the broker's core what limited it\n");
    } else {
        missed(&mut text, "the rate at the broker's limit", saturated.into_iter());
    }
    text
}

/// The workload of a setting.
fn name(checked: &Checked) -> &str {
    checked.cell.split(' ').next().unwrap_or_default()
}

fn missed(text: &mut String, what: &str, off: impl Iterator<Item = f64>) {
    let mut off: Vec<f64> = off.map(f64::abs).collect();
    off.sort_by(f64::total_cmp);
    if let (Some(middle), Some(worst)) = (off.get(off.len() / 2), off.last()) {
        let (settings, middle, worst) = (off.len(), percent(*middle), percent(*worst));
        let _ =
            writeln!(text, "{what}, {settings} settings: half are missed by less than {middle}, the worst by {worst}");
    }
}

fn off(share: f64) -> String {
    format!("{:+.1} %", share * 100.0)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
