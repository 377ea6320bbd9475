//! A plan as people read it in a terminal. No arithmetic but shares in percent.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::plan::ask::Question;
use crate::plan::demand::Demand;
use crate::plan::interval::short;
use crate::plan::machine::{RTT_MS, SYSTEM_GIB};
use crate::plan::model::Model;
use crate::plan::reverse::{Carried, Turned};
use crate::plan::size::Resource;
use crate::plan::{Fit, Methods, Plan};

/// Reasons that are shown before the rest is counted.
const REJECTED_MAX: usize = 12;
/// Below this share of the spread it is not worth a measurement.
const WORTH_MIN: f64 = 0.05;

/// The whole plan.
pub(super) fn plan(plan: &Plan, top: usize) -> String {
    let mut text = load(&plan.question, &plan.demand);
    let _ = writeln!(text, "what work costs: {} ({})\n", plan.model.name, plan.model.source);
    if plan.fits.is_empty() {
        text.push_str("no machine fits\n\n");
    } else {
        let shown = &plan.fits[..top.min(plan.fits.len())];
        text.push_str(&machines(shown));
        let more = plan.fits.len() - shown.len();
        if more > 0 {
            let _ = write!(text, "\n{more} more fit and cost more (--top)");
        }
        text.push_str(&legend(&plan.question, shown));
        let _ = write!(text, "{}\n\n{}\n", in_use(shown), to_buy(shown));
        text.push_str(
            "disk is what a machine has; of volumes it is what to buy: what is kept / the share that may be full\n\n",
        );
    }
    text.push_str(&methods(&plan.methods));
    let of_methods = plan.fits.iter().find(|it| Some(&it.profile) == plan.methods.profile.as_ref());
    if let Some(fit) = of_methods.or(plan.fits.first()) {
        text.push_str(&better(fit));
        text.push_str(&notes(&fit.machine.notes));
    }
    text.push_str(&rejected(plan));
    text.push_str(&rests_on(&plan.question, &plan.model, &plan.taken));
    text
}

fn legend(question: &Question, shown: &[Fit]) -> String {
    let mut text = format!(
        "\nN is enough for the likeliest values and in {:.0} of 100 draws of what is not known (--confidence); P5..P95 are\n\
         brokers over 1000 draws; \"short in\" is the share of draws for which N is too few.\n",
        question.confidence * 100.0
    );
    if shown.iter().any(|it| it.sized.p99_is_least && it.sized.p99_ms.is_some()) {
        text.push_str(
            "p99 behind >= is the least that it can be: of that machine's fdatasync only the p50 is known.\n",
        );
    }
    if shown.iter().any(|it| it.sized.p99_ms.is_none()) {
        text.push_str(
            "p99 is unknown where answers wait for a disk of which no fdatasync is known (disk.N.fdatasync_us).\n",
        );
    }
    text.push('\n');
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
    let heads = ["machine", "N", "P5..P50..P95", "short in", "decided by", "p99 ms", "USD a\nyear"];
    let at = |it: Option<u32>| it.map_or_else(|| "none".to_owned(), |it| it.to_string());
    let rows = fits.iter().map(|fit| {
        let (sized, spread) = (&fit.sized, &fit.spread);
        vec![
            fit.profile.clone(),
            sized.brokers.to_string(),
            format!("{}..{}..{}", at(spread.p5), at(spread.p50), at(spread.p95)),
            percent(spread.overload_share),
            sized.bottleneck.words().to_owned(),
            p99(sized.p99_ms, sized.p99_is_least),
            fit.usd_per_year.map_or_else(|| "-".to_owned(), |it| format!("{it:.0}")),
        ]
    });
    table(&heads, rows, &[4])
}

/// Shares of what lasts, at the peak.
fn in_use(fits: &[Fit]) -> String {
    let heads = ["in use at the peak", "cpu", "net", "disk", "full", "with f gone, at most 90 %"];
    let used = |of: &[(Resource, f64)], which: &[Resource]| {
        let most = of.iter().filter(|it| which.contains(&it.0)).map(|it| it.1).fold(f64::NAN, f64::max);
        if most.is_nan() { "-".to_owned() } else { percent(most) }
    };
    let rows = fits.iter().map(|fit| {
        let sized = &fit.sized;
        let worst = sized.after_failure.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        vec![
            fit.profile.clone(),
            used(&sized.in_use, &[Resource::Cpu]),
            used(&sized.in_use, &[Resource::NetworkIn, Resource::NetworkOut]),
            used(&sized.in_use, &[Resource::DiskWrite, Resource::DiskRead, Resource::VolumeRoad]),
            used(&sized.in_use, &[Resource::DiskCapacity]),
            worst.map_or_else(|| "-".to_owned(), |it| format!("{} {}", percent(it.1), it.0.words())),
        ]
    });
    table(&heads, rows, &[])
}

/// What one has, and all of them.
fn to_buy(fits: &[Fit]) -> String {
    let heads =
        ["each has", "threads\n(cores)", "memory\nGiB", "disk\nGB", "x N", "threads", "memory\nGiB", "disk\nGB"];
    let rows = fits.iter().map(|fit| {
        let n = f64::from(fit.sized.brokers);
        let volume = if fit.machine.grows { " to buy" } else { "" };
        vec![
            fit.profile.clone(),
            format!("{} ({})", fit.threads, fit.cores),
            short(fit.memory_gib),
            format!("{:.0}{volume}", (fit.disk_gb - 1e-6).ceil()),
            fit.sized.brokers.to_string(),
            short(n * f64::from(fit.threads)),
            short(n * fit.memory_gib),
            format!("{:.0}", (n * fit.disk_gb - 1e-6).ceil()),
        ]
    });
    table(&heads, rows, &[])
}

/// Numbers to the right, but for the first column and those of words.
fn table(heads: &[&str], rows: impl Iterator<Item = Vec<String>>, words: &[usize]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(heads);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1).filter(|it| !words.contains(&it.index)) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

pub(super) fn p99(ms: Option<f64>, is_least: bool) -> String {
    let least = if is_least { ">= " } else { "" };
    ms.map_or_else(|| "unknown".to_owned(), |it| format!("{least}{}", short((it * 10.0).round() / 10.0)))
}

fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.005 { "<1 %".to_owned() } else { format!("{:.0} %", share * 100.0) }
}

fn methods(methods: &Methods) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(["method", "of", "", "how", "source"]);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    for answer in &methods.answers {
        let value = answer.value.map_or_else(|| "-".to_owned(), |it| format!("{} {}", short(rounded(it)), answer.unit));
        table.add_row([answer.method, answer.of, value.trim_end(), &answer.formula, answer.source]);
    }
    let on = methods.profile.as_ref().map_or_else(|| "without a machine".to_owned(), |it| format!("on {it}"));
    format!("methods side by side, {on} (W is the peak in MB/s, R replicas, G groups, L groups behind):\n{table}\n\n")
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

fn notes(notes: &[String]) -> String {
    notes.iter().fold(String::new(), |text, it| text + "note: " + it + "\n")
}

/// Every value that a plan rests on, with where it comes from.
pub(super) fn assumptions(question: &Question, model: &Model, taken: &[String]) -> Vec<[String; 3]> {
    let line = |key: &str, value: String, source: &str| [key.to_owned(), value, source.to_owned()];
    let mut lines: Vec<[String; 3]> =
        question.assumptions.iter().map(|it| line(it.key, it.value.clone(), it.source)).collect();
    let cpu = &model.cpu;
    lines.push(line("cpu ms", cpu.ms_per_mb_in.to_string(), &format!("for each MB in; {}", model.source)));
    lines.push(line("cpu ms", cpu.ms_per_mb_out.to_string(), "for each MB out"));
    lines.extend(taken.iter().map(|it| line("the model", String::new(), it)));
    if model.loopback {
        lines.push(line(
            "the model",
            "loopback".to_owned(),
            "the sender is billed for the receiver's work in the kernel: costs are too high for what is sent, and wrong by what a \
             network card does",
        ));
    }
    lines.push(line("round trip", format!("{RTT_MS} ms"), "assumed where a profile has no nic.rtt_us"));
    lines.push(line(
        "the system's memory",
        format!("{SYSTEM_GIB} GiB"),
        "assumed where a profile has no memory.usable_gib",
    ));
    lines.push(line(
        "replicas of a broker",
        "1000, 2000, 4000".to_owned(),
        "below 8 threads, below 16, and above: Amazon MSK, best practices",
    ));
    lines.push(line(
        "machines",
        "what lasts".to_owned(),
        "vendor's figures may be 10 % less, measured ones 15 %, derived ones 30 %, assumed ones half",
    ));
    lines.push(line(
        "p99",
        "M/M/1 each".to_owned(),
        "service + waiting below s ln(100 u) / (1 - u), u the share in use, added: an upper bound where service times are no heavier \
         than exponential",
    ));
    lines
}

fn rests_on(question: &Question, model: &Model, taken: &[String]) -> String {
    let mut text = "what it rests on:\n".to_owned();
    for [key, value, source] in assumptions(question, model, taken) {
        let _ = writeln!(text, "  {key:<21} {value:<22} {source}");
    }
    text
}

/// What machines carry, or why they carry nothing.
pub(super) fn turned(turned: &Turned) -> String {
    let mut text = String::new();
    let (question, name, brokers) = (&turned.question, &turned.profile, turned.brokers);
    if let Some(excuse) = &turned.excuse {
        let _ = writeln!(text, "{brokers} x {name}: {}: {}\n", excuse.resource.words(), excuse.words);
    }
    if let Some(carried) = &turned.carried {
        text.push_str(&self::carried(turned, carried));
    }
    text.push_str(&notes(&turned.machine.notes));
    text.push('\n');
    text.push_str(&rests_on(question, &turned.model, &turned.taken));
    text
}

fn carried(turned: &Turned, carried: &Carried) -> String {
    let question = &turned.question;
    let mut text = String::new();
    let wanted = question.p99_ms_max.map(|it| format!(", with 99 of 100 answers below {it} ms")).unwrap_or_default();
    let kept = if question.is_given("retention_days") {
        format!(", kept for {} days", question.retention_days)
    } else {
        String::new()
    };
    let _ = writeln!(
        text,
        "{} x {} carry {} MB/s and {} records/s at the peak{wanted}{kept}; {} is short first",
        turned.brokers,
        turned.profile,
        short(rounded(carried.produced_mb_s)),
        short(carried.records_s.round()),
        carried.bottleneck.words()
    );
    if let Some(least) = turned.at_least_mb_s {
        let percent = question.confidence * 100.0;
        let _ = writeln!(
            text,
            "in {percent:.0} of 100 draws of what is not known (--confidence): {} MB/s or more",
            short(rounded(least))
        );
    }
    let _ = writeln!(
        text,
        "99 of 100 answers then: {} ms; the disks hold {} days at that rate's mean",
        p99(carried.p99_ms, carried.p99_is_least),
        short(rounded(carried.days_held))
    );
    text.push_str("each resource alone, up to its share to plan with, and what of W it is asked for:\n");
    for (resource, mb_s) in &carried.each_mb_s {
        let _ = writeln!(text, "  {:<16} {:>10} MB/s  {}", resource.words(), short(rounded(*mb_s)), resource.how());
    }
    text
}
