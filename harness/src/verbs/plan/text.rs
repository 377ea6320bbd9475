//! A plan as people read it in a terminal. No arithmetic but shares in percent.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::plan::ask::Question;
use crate::plan::demand::Demand;
use crate::plan::interval::short;
use crate::plan::machine::Machine;
use crate::plan::reverse::Carried;
use crate::plan::size::Resource;
use crate::plan::{Fit, Plan};

/// Reasons that are shown before the rest is counted.
const REJECTED_MAX: usize = 12;
/// Below this share of the spread it is not worth a measurement.
const WORTH_MIN: f64 = 0.05;

/// The whole plan.
pub(super) fn plan(plan: &Plan, top: usize, methods_of: Option<&str>) -> String {
    let mut text = load(&plan.question, &plan.demand);
    let _ = writeln!(text, "what work costs: {} ({})\n", plan.model.name, plan.model.source);
    if plan.fits.is_empty() {
        text.push_str("no machine fits\n");
    } else {
        text.push_str(&machines(&plan.fits[..top.min(plan.fits.len())]));
        let more = plan.fits.len().saturating_sub(top);
        if more > 0 {
            let _ = write!(text, "\n{more} more fit and cost more (--top)");
        }
        text.push_str("\nN is from the likeliest values; P5..P95 from 1000 draws of what is not known; \"short in\" is the share of draws\nfor which N is too few: 0 % is safe, 50 % a coin. Shares in use are of what lasts; after a failure at most 90 %.\n\n");
    }
    let shown = methods_of.map_or(plan.fits.first(), |name| plan.fits.iter().find(|it| it.profile == name));
    if let Some(fit) = shown {
        text.push_str(&methods(fit));
        text.push_str(&better(fit));
        for note in &fit.machine.notes {
            let _ = writeln!(text, "note: {note}");
        }
    } else if let Some(name) = methods_of {
        let _ = writeln!(text, "{name} is not among the machines that fit\n");
    }
    text.push_str(&rejected(plan));
    text.push_str(&rests_on(plan));
    text
}

fn load(question: &Question, demand: &Demand) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{}: {} MB/s and {} records/s at the peak, {} MB/s on average, {} GB a day",
        question.name,
        short(demand.produced_mb_s),
        short(demand.records_s.round()),
        short(demand.produced_mean_mb_s),
        short(demand.day_gb)
    );
    let _ = writeln!(
        text,
        "of all brokers at the peak: in {} MB/s (W R), out {} MB/s (W (G + R - 1)), disk writes {} and reads {} MB/s, {} GB kept, {} threads busy, {} partitions",
        short(demand.net_in_mb_s),
        short(demand.net_out_mb_s),
        short(demand.disk_write_mb_s),
        short(demand.disk_read_mb_s),
        short(demand.stored_gb.round()),
        short(demand.cpu_ms_s / 1e3),
        short(demand.partitions)
    );
    text
}

fn machines(fits: &[Fit]) -> String {
    let mut table = Table::new();
    let heads = [
        "machine",
        "N",
        "P5..P50..P95",
        "short in",
        "decided by",
        "cpu",
        "net",
        "disk",
        "full",
        "after a\nfailure",
        "p99 ms",
        "USD a\nyear",
    ];
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(heads);
    for fit in fits {
        table.add_row(machine(fit));
    }
    for column in table.column_iter_mut().skip(1).filter(|it| it.index != 4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

fn machine(fit: &Fit) -> [String; 12] {
    let used = |of: &[(Resource, f64)], which: &[Resource]| {
        let most = of.iter().filter(|it| which.contains(&it.0)).map(|it| it.1).fold(f64::NAN, f64::max);
        if most.is_nan() { "-".to_owned() } else { percent(most) }
    };
    let sized = &fit.sized;
    let at = |it: Option<u32>| it.map_or_else(|| "none".to_owned(), |it| it.to_string());
    let spread = &fit.spread;
    let worst = sized.after_failure.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    [
        fit.profile.clone(),
        sized.brokers.to_string(),
        format!("{}..{}..{}", at(spread.p5), at(spread.p50), at(spread.p95)),
        percent(spread.overload_share),
        sized.bottleneck.words().to_owned(),
        used(&sized.in_use, &[Resource::Cpu]),
        used(&sized.in_use, &[Resource::NetworkIn, Resource::NetworkOut]),
        used(&sized.in_use, &[Resource::DiskWrite, Resource::DiskRead, Resource::VolumeRoad]),
        used(&sized.in_use, &[Resource::DiskCapacity]),
        worst.map_or_else(|| "-".to_owned(), |it| format!("{}\n{}", percent(it.1), it.0.words())),
        short((sized.p99_ms * 10.0).round() / 10.0),
        fit.usd_per_year.map_or_else(|| "-".to_owned(), |it| format!("{it:.0}")),
    ]
}

fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.005 { "<1 %".to_owned() } else { format!("{:.0} %", share * 100.0) }
}

fn methods(fit: &Fit) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(["method", "of", "", "how", "source"]);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    for answer in &fit.methods {
        let value = answer.value.map_or_else(|| "-".to_owned(), |it| format!("{} {}", short(rounded(it)), answer.unit));
        table.add_row([answer.method, answer.of, value.trim_end(), &answer.formula, answer.source]);
    }
    format!(
        "methods side by side, on {} (W is the peak in MB/s, R replicas, G groups, L groups behind):\n{table}\n\n",
        fit.profile
    )
}

fn rounded(it: f64) -> f64 {
    if it.abs() >= 100.0 { it.round() } else { (it * 100.0).round() / 100.0 }
}

fn better(fit: &Fit) -> String {
    let worth: Vec<_> = fit.spread.depends_on.iter().filter(|it| it.1 >= WORTH_MIN).collect();
    if worth.is_empty() {
        return format!("nothing that is not known changes the number of {} by much\n\n", fit.profile);
    }
    let mut text = format!("to know it better, on {} (share of the spread that comes from it):\n", fit.profile);
    for (input, share) in worth {
        let _ = writeln!(text, "  {:>5}  {}: {}", percent(*share), input.words(), input.measure());
    }
    text.push('\n');
    text
}

fn rejected(plan: &Plan) -> String {
    if plan.rejected.is_empty() {
        return "rejected: none\n\n".to_owned();
    }
    let mut text = "rejected:\n".to_owned();
    for it in plan.rejected.iter().take(REJECTED_MAX) {
        let _ = writeln!(text, "  {}: {}: {}", it.profile, it.excuse.resource.words(), it.excuse.words);
    }
    if plan.rejected.len() > REJECTED_MAX {
        let _ = writeln!(text, "  and {} more (--json has all)", plan.rejected.len() - REJECTED_MAX);
    }
    text.push('\n');
    text
}

fn rests_on(plan: &Plan) -> String {
    let mut text = "what it rests on:\n".to_owned();
    for it in &plan.question.assumptions {
        let _ = writeln!(text, "  {:<21} {:<22} {}", it.key, it.value, it.source);
    }
    let cpu = &plan.model.cpu;
    let _ =
        writeln!(text, "  {:<21} {:<22} for each MB in; {}", "cpu ms", cpu.ms_per_mb_in.to_string(), plan.model.source);
    let _ = writeln!(text, "  {:<21} {:<22} for each MB out", "cpu ms", cpu.ms_per_mb_out.to_string());
    if plan.model.loopback {
        text.push_str("  costs were measured over loopback, where the sender is billed for the receiver's work in the kernel: they are too high for what is sent, and wrong by what a network card does\n");
    }
    text.push_str("  machines              what lasts              vendor's figures may be 10 % less, measured ones 15 %, derived ones 30 %, assumed ones half\n");
    text.push_str("  p99                   M/M/1 for each resource  service + waiting below s ln(100 u) / (1 - u), u the share in use, added: an upper bound where service times are no heavier than exponential\n");
    text
}

/// What is carried.
pub(super) fn carried(
    name: &str,
    question: &Question,
    carried: &Carried,
    least: Option<f64>,
    machine: &Machine,
) -> String {
    let mut text = String::new();
    let wanted = question.p99_ms_max.map(|it| format!(", with 99 of 100 answers below {it} ms")).unwrap_or_default();
    let _ = writeln!(
        text,
        "{} x {name} carry {} MB/s and {} records/s at the peak{wanted}; {} is short first",
        carried.brokers,
        short(rounded(carried.produced_mb_s)),
        short(carried.records_s.round()),
        carried.bottleneck.words()
    );
    if let Some(least) = least {
        let _ = writeln!(text, "where all that is not known is at its 95th percentile: {} MB/s", short(rounded(least)));
    }
    let _ = writeln!(
        text,
        "99 of 100 answers then: {} ms; the disks hold {} days at that rate's mean",
        short(rounded(carried.p99_ms)),
        short(rounded(carried.days_held))
    );
    text.push_str("each resource alone, up to its share to plan with:\n");
    for (resource, mb_s) in &carried.each_mb_s {
        let _ = writeln!(text, "  {:<16} {:>10} MB/s", resource.words(), short(rounded(*mb_s)));
    }
    for note in &machine.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}
