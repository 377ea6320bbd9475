//! A plan as one page that needs nothing else: no scripts, nothing loaded.

use std::fmt::Write as _;

use crate::plan::demand::Demand;
use crate::plan::interval::short;
use crate::plan::{Fit, Plan};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}\
table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #d8dee4;vertical-align:top}\
td.n{text-align:right;white-space:nowrap}h2{margin-top:2.5rem}small{color:#57606a}svg{vertical-align:middle}\
@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}th,td{border-color:#30363d}small{color:#8b949e}}";

/// Width of a bar in pixels.
const BAR: f64 = 120.0;

/// The page.
pub(super) fn page(plan: &Plan) -> String {
    let name = escaped(&plan.question.name);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>plan: {name}</title><style>{STYLE}</style>\n<h1>Plan: {name}</h1>\n"
    );
    page.push_str(&load(&plan.demand));
    let _ = writeln!(
        page,
        "<p>What work costs: {} <small>({})</small></p>",
        escaped(&plan.model.name),
        escaped(&plan.model.source)
    );
    page.push_str("<h2>Machines that fit</h2>\n");
    page.push_str(&machines(&plan.fits));
    if let Some(first) = plan.fits.first() {
        page.push_str(&first_machine(first));
    }
    page.push_str("<h2>Rejected</h2>\n");
    let rows = plan
        .rejected
        .iter()
        .map(|it| vec![it.profile.clone(), it.excuse.resource.words().to_owned(), it.excuse.words.clone()]);
    page.push_str(&table(&["machine", "short of", "why"], rows));
    page.push_str("<h2>What it rests on</h2>\n");
    let rows =
        plan.question.assumptions.iter().map(|it| vec![it.key.to_owned(), it.value.clone(), it.source.to_owned()]);
    page.push_str(&table(&["value", "", "source"], rows));
    page.push_str("</html>\n");
    page
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
        "<table><tr><th>machine<th>brokers<th>P5..P50..P95<th>short in<th>decided by<th>in use<th>after a failure<th>p99 ms<th>USD a year\n",
    );
    for fit in fits {
        let (sized, spread) = (&fit.sized, &fit.spread);
        let bars =
            |of: &[(crate::plan::size::Resource, f64)]| of.iter().map(|it| bar(it.0.words(), it.1)).collect::<String>();
        let _ = writeln!(
            rows,
            "<tr><td>{}<td class=n>{}<td class=n>{}..{}..{}<td class=n>{:.0} %<td>{}<td>{}<td>{}<td class=n>{:.1}<td class=n>{}",
            escaped(&fit.profile),
            sized.brokers,
            at(spread.p5),
            at(spread.p50),
            at(spread.p95),
            spread.overload_share * 100.0,
            sized.bottleneck.words(),
            bars(&sized.in_use),
            bars(&sized.after_failure),
            sized.p99_ms,
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

fn first_machine(fit: &Fit) -> String {
    let mut text = format!("<h2>Methods side by side, on {}</h2>\n", escaped(&fit.profile));
    let rows = fit.methods.iter().map(|it| {
        let value = it.value.map_or_else(|| "-".to_owned(), |value| format!("{} {}", short(value), it.unit));
        vec![it.method.to_owned(), it.of.to_owned(), value, it.formula.clone(), it.source.to_owned()]
    });
    text.push_str(&table(&["method", "of", "", "how", "source"], rows));
    text.push_str("<h2>To know it better</h2>\n");
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
