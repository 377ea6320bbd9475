//! A plan as one page that needs nothing else: no scripts, nothing loaded.

use std::fmt::Write as _;

use super::text;
use crate::plan::demand::Demand;
use crate::plan::interval::short;
use crate::plan::model::Model;
use crate::plan::reverse::Turned;
use crate::plan::{Fit, Methods, Plan};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}\
table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #d8dee4;vertical-align:top}\
td.n{text-align:right;white-space:nowrap}h2{margin-top:2.5rem}small{color:#57606a}svg{vertical-align:middle}\
@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}th,td{border-color:#30363d}small{color:#8b949e}}";

/// Width of a bar in pixels.
const BAR: f64 = 120.0;

/// The page of a plan.
pub(super) fn page(plan: &Plan) -> String {
    let mut page = head(&plan.question.name);
    page.push_str(&load(&plan.demand));
    page.push_str(&costs(&plan.model));
    page.push_str("<h2>Machines that fit</h2>\n");
    let _ = writeln!(
        page,
        "<p>Brokers are enough for the likeliest values and in {:.0} of 100 draws of what is not known.</p>",
        plan.question.confidence * 100.0
    );
    page.push_str(&machines(&plan.fits));
    page.push_str(&methods(&plan.methods));
    if let Some(first) = plan.fits.first() {
        page.push_str(&better(first));
    }
    page.push_str("<h2>Rejected</h2>\n");
    let rows = plan
        .rejected
        .iter()
        .map(|it| vec![it.profile.clone(), it.excuse.resource.words().to_owned(), it.excuse.words.clone()]);
    page.push_str(&table(&["machine", "short of", "why"], rows));
    page + &rests_on(text::assumptions(&plan.question, &plan.model, &plan.taken)) + "</html>\n"
}

/// The page of what machines carry.
pub(super) fn turned(turned: &Turned) -> String {
    let mut page = head(&format!("{} x {}", turned.brokers, turned.profile));
    page.push_str(&costs(&turned.model));
    if let Some(excuse) = &turned.excuse {
        let _ = writeln!(page, "<p>{}: {}</p>", excuse.resource.words(), escaped(&excuse.words));
    }
    if let Some(carried) = &turned.carried {
        let mb_s = |it: f64| format!("{} MB/s", short(it));
        let least = turned.at_least_mb_s.map_or_else(|| "-".to_owned(), mb_s);
        let p99 = carried.p99_ms.map_or_else(|| "unknown".to_owned(), |it| format!("{} ms", short(it)));
        let rows = [
            ("carried at the peak", mb_s(carried.produced_mb_s)),
            ("records", format!("{}/s", short(carried.records_s.round()))),
            ("in most draws of what is not known, at least", least),
            ("short first", carried.bottleneck.words().to_owned()),
            (if carried.p99_is_least { "p99, at least" } else { "p99" }, p99),
            ("the disks hold", format!("{} days", short(carried.days_held))),
        ];
        page.push_str(&table(&["", ""], rows.into_iter().map(|it| vec![it.0.to_owned(), it.1])));
        let each = carried.each_mb_s.iter();
        let each = each.map(|it| vec![it.0.words().to_owned(), mb_s(it.1), it.0.how().to_owned()]);
        page.push_str(&table(&["each resource alone", "", "what of W it is asked for"], each));
    }
    for note in &turned.machine.notes {
        let _ = writeln!(page, "<p><small>{}</small></p>", escaped(note));
    }
    page + &rests_on(text::assumptions(&turned.question, &turned.model, &turned.taken)) + "</html>\n"
}

fn head(name: &str) -> String {
    let name = escaped(name);
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>plan: {name}</title><style>{STYLE}</style>\n<h1>Plan: {name}</h1>\n"
    )
}

fn costs(model: &Model) -> String {
    format!("<p>What work costs: {} <small>({})</small></p>\n", escaped(&model.name), escaped(&model.source))
}

fn rests_on(lines: Vec<[String; 3]>) -> String {
    let rows = lines.into_iter().map(Vec::from);
    format!("<h2>What it rests on</h2>\n{}", table(&["value", "", "source"], rows))
}

fn load(demand: &Demand) -> String {
    let rows = [
        ("producers send, at the peak", demand.produced_mb_s, "MB/s", "records/s x bytes / compression x peak"),
        ("on average", demand.produced_mean_mb_s, "MB/s", "without the peak"),
        ("into brokers", demand.net_in_mb_s, "MB/s", "W R (Cloudera)"),
        ("out of brokers", demand.net_out_mb_s, "MB/s", "W (G + R - 1) (Cloudera; AWS equation 1)"),
        ("onto disks", demand.disk_write_mb_s, "MB/s", "W R (Cloudera)"),
        ("from disks", demand.disk_read_mb_s, "MB/s", "W L (Cloudera)"),
        ("kept", demand.stored_gb, "GB", "mean W x retention x R (handbook, without / 0.7)"),
        ("threads busy", demand.cpu_ms_s / 1e3, "", "the model's costs"),
        ("leader partitions", demand.partitions, "", "max(W / Tp, W / Tc) (Confluent)"),
    ];
    let rows = rows
        .into_iter()
        .map(|(what, value, unit, how)| vec![what.to_owned(), format!("{} {unit}", short(value)), how.to_owned()]);
    table(&["of the whole cluster", "", "how"], rows)
}

fn machines(fits: &[Fit]) -> String {
    let at = |it: Option<u32>| it.map_or_else(|| "none".to_owned(), |it| it.to_string());
    let mut rows = String::from(
        "<table><tr><th>machine<th>brokers<th>P5..P50..P95<th>short in<th>decided by<th>in use<th>after a failure<th>p99 ms<th>each has<th>USD a year\n",
    );
    for fit in fits {
        let (sized, spread) = (&fit.sized, &fit.spread);
        let bars =
            |of: &[(crate::plan::size::Resource, f64)]| of.iter().map(|it| bar(it.0.words(), it.1)).collect::<String>();
        let _ = writeln!(
            rows,
            "<tr><td>{}<td class=n>{}<td class=n>{}..{}..{}<td class=n>{:.0} %<td>{}<td>{}<td>{}<td class=n>{}<td>{} threads, {} GiB, {:.0} GB<td class=n>{}",
            escaped(&fit.profile),
            sized.brokers,
            at(spread.p5),
            at(spread.p50),
            at(spread.p95),
            spread.overload_share * 100.0,
            sized.bottleneck.words(),
            bars(&sized.in_use),
            bars(&sized.after_failure),
            text::p99(sized.p99_ms, sized.p99_is_least).replace('>', "&gt;"),
            fit.threads,
            fit.memory_gib,
            fit.disk_gb.ceil(),
            fit.usd_per_year.map_or_else(|| "-".to_owned(), |it| format!("{it:.0}"))
        );
    }
    rows.push_str("</table>\n");
    rows
}

fn bar(words: &str, share: f64) -> String {
    let width = (share.clamp(0.0, 1.0) * BAR).round();
    let colour = if share > 0.9 { "#cf222e" } else { "#2da44e" };
    format!(
        "<svg width=\"{BAR}\" height=\"10\" role=\"img\"><rect width=\"{BAR}\" height=\"10\" fill=\"#8884\"/>\
         <rect width=\"{width}\" height=\"10\" fill=\"{colour}\"/></svg> <small>{words} {:.0} %</small><br>",
        share * 100.0
    )
}

fn methods(methods: &Methods) -> String {
    let on = methods.profile.as_ref().map_or_else(|| "without a machine".to_owned(), |it| format!("on {it}"));
    let rows = methods.answers.iter().map(|it| {
        let value = it.value.map_or_else(|| "-".to_owned(), |value| format!("{} {}", short(value), it.unit));
        vec![it.method.to_owned(), it.of.to_owned(), value, it.formula.clone(), it.source.to_owned()]
    });
    format!("<h2>Methods side by side, {}</h2>\n{}", escaped(&on), table(&["method", "of", "", "how", "source"], rows))
}

fn better(fit: &Fit) -> String {
    let mut text = String::from("<h2>To know it better</h2>\n");
    let rows = fit.spread.depends_on.iter().map(|(input, share)| {
        vec![input.words().to_owned(), format!("{:.0} %", share * 100.0), input.measure().to_owned()]
    });
    text.push_str(&table(&["what is not known", "share of the spread", "how to know it"], rows));
    text
}

fn table(heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = String::from("<table><tr>");
    for head in heads {
        let _ = write!(text, "<th>{head}");
    }
    text.push('\n');
    for row in rows {
        text.push_str("<tr>");
        for cell in row {
            let _ = write!(text, "<td>{}", escaped(&cell));
        }
        text.push('\n');
    }
    text.push_str("</table>\n");
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
