//! The run along its time: rate and p99 by the second, and below them what the machine suffered meanwhile.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::chart::{self, Axis, Frame, n};
use super::timeline::{Span, spans};
use super::{Drawn, Picture};
use crate::report::cells::Cells;
use crate::report::kept::Kept;
use crate::report::text;
use crate::results::Row;
use crate::run::bottleneck::{DISK_SHARE_NOTED, STEAL_SHARE_MAX};

/// Size of each of the plots, in pixels.
const PLOT: Frame = Frame { width: 760.0, height: 220.0 };
/// Height of the strips' frame and of a strip.
const STRIP: f64 = 16.0;
/// Shades of a strip, from the share of the time that each begins at.
const SHADES: [f64; 4] = [0.02, 0.1, 0.2, 0.4];

/// A slowest second that lies less below the mean is no dip.
const DIP_MIN: f64 = 0.05;

/// What is known of the machine during a trial: its name, and the share of the time.
type Strip = (&'static str, fn(&Row) -> Option<f64>);
const STRIPS: [Strip; 3] =
    [("steal", steal_share), ("cores", |it| it.pressure_cpu_share), ("disk", |it| it.pressure_io_share)];

fn steal_share(row: &Row) -> Option<f64> {
    Some(row.steal_ms? as f64 / 1000.0 / row.seconds.filter(|it| *it > 0.0)?)
}

/// The time series of a run.
pub(in crate::report) fn picture(kept: &Kept, cells: &Cells) -> Drawn {
    let (spans, step) = spans(kept);
    if spans.is_empty() {
        return Err("nothing along its time: its rows do not say when they began".to_owned());
    }
    let mut targets: Vec<&str> = cells.targets();
    let ceilings = spans.iter().map(|it| it.row.target.as_str());
    ceilings.for_each(|it| {
        if !targets.contains(&it) {
            targets.push(it)
        }
    });
    let from = spans.iter().map(|it| it.from_s).fold(f64::MAX, f64::min);
    let to = spans.iter().map(|it| it.to_s).fold(0.0, f64::max);
    let x = Axis::span("seconds of the run", from, to.max(from + 1.0));
    let has_points = spans.iter().any(|it| !it.points.is_empty());
    let body = html! {
        (chart::legend(&targets))
        div.wide { div.broad {
            (rates(&spans, &targets, &x))
            @if has_points { (latencies(&spans, &targets, &x)) }
            (strips(&spans, &x))
        } }
        (shades())
    };
    Ok(Picture { id: "seconds", title: "What happened along its time?", words: said(&spans, step, has_points), body })
}

fn colour(targets: &[&str], span: &Span<'_>) -> usize {
    targets.iter().position(|it| *it == span.row.target).unwrap_or(0)
}

fn tip(span: &Span<'_>) -> String {
    let row = span.row;
    format!(
        "{} against {}, round {}: {} MB/s",
        row.workload,
        row.target,
        row.round,
        text::digits(row.mb_s.unwrap_or(0.0))
    )
}

fn rates(spans: &[Span<'_>], targets: &[&str], x: &Axis) -> Markup {
    let means = spans.iter().filter_map(|it| it.row.mb_s);
    let y = Axis::linear("MB/s", means.chain(spans.iter().flat_map(|it| it.points.iter().map(|it| it.mb_s))));
    let steps = |span: &Span<'_>| -> Vec<(f64, f64)> {
        let of = |from: f64, to: f64, mb_s: f64| [(from, mb_s), (to, mb_s)];
        let mut all: Vec<(f64, f64)> = span.points.iter().flat_map(|it| of(it.from_s, it.to_s, it.mb_s)).collect();
        if all.is_empty() {
            all.extend(of(span.from_s, span.to_s, span.row.mb_s.unwrap_or(0.0)));
        }
        all.into_iter().map(|(at, mb_s)| (x.x(at, PLOT), y.y(mb_s, PLOT))).collect()
    };
    let inside = html! {
        @for span in spans {
            path class=(format!("l s c{}{}", colour(targets, span) % chart::COLOURS, if span.points.is_empty() { " mean" } else { "" }))
                d=(chart::path(&steps(span))) { title { (tip(span)) } }
        }
    };
    chart::plot(PLOT, x, &y, "Rate by the second along the run", &inside)
}

fn latencies(spans: &[Span<'_>], targets: &[&str], x: &Axis) -> Markup {
    let all = || spans.iter().flat_map(|it| it.points.iter().map(|it| it.p99_ms));
    let Some(y) = Axis::log("p99 ms", all()) else { return html! {} };
    let inside = html! {
        @for span in spans.iter().filter(|it| !it.points.is_empty()) {
            @let points: Vec<(f64, f64)> = span.points.iter().flat_map(|it| {
                [(x.x(it.from_s, PLOT), y.y(it.p99_ms, PLOT)), (x.x(it.to_s, PLOT), y.y(it.p99_ms, PLOT))]
            }).collect();
            path class=(format!("l s c{}", colour(targets, span) % chart::COLOURS)) d=(chart::path(&points)) {}
        }
    };
    chart::plot(PLOT, x, &y, "p99 of the response time by the second along the run", &inside)
}

/// A band for each kind of trouble, darker where a trial had more of it. One path for each shade keeps the file small.
fn strips(spans: &[Span<'_>], x: &Axis) -> Markup {
    let height = STRIP * STRIPS.len() as f64 + 4.0;
    html! {
        svg viewBox=(format!("0 0 {} {}", PLOT.width, n(height))) role="img" aria-label="Steal, pressure of cores and of disks along the run" {
            @for (at, (name, share)) in STRIPS.iter().enumerate() {
                @let top = STRIP * at as f64 + 2.0;
                text.t x="46" y=(n(top + 11.0)) text-anchor="end" { (name) }
                @for (shade, path) in shaded(spans, *share, x, top) { path class=(format!("h h{shade}")) d=(path) {} }
            }
        }
    }
}

fn shaded(spans: &[Span<'_>], share: fn(&Row) -> Option<f64>, x: &Axis, top: f64) -> BTreeMap<usize, String> {
    let mut paths: BTreeMap<usize, String> = BTreeMap::new();
    for span in spans {
        let shade = share(span.row).map_or(0, |it| SHADES.iter().filter(|least| it >= **least).count());
        if shade > 0 {
            let (from, to) = (x.x(span.from_s, PLOT), x.x(span.to_s, PLOT));
            let width = (to - from).max(1.0);
            let rectangle = format!("M{} {}h{}v{}h-{}z", n(from), n(top), n(width), n(STRIP - 3.0), n(width));
            paths.entry(shade).or_default().push_str(&rectangle);
        }
    }
    paths
}

fn shades() -> Markup {
    html! {
        ul.legend {
            @for (at, least) in SHADES.iter().enumerate() {
                li {
                    svg.key viewBox="0 0 30 12" aria-hidden="true" { path class=(format!("h h{}", at + 1)) d="M1 1h28v10h-28z" {} }
                    "from " (text::percent(*least)) " of the time"
                }
            }
        }
    }
}

fn said(spans: &[Span<'_>], step: usize, has_points: bool) -> Vec<String> {
    let mut words = Vec::new();
    let uneven = spans.iter().filter_map(|it| Some((dip(it)?, it))).max_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((dip, span)) = uneven.filter(|it| it.0 >= DIP_MIN) {
        let row = span.row;
        words.push(format!(
            "The deepest dip is in {} against {}, round {}: its slowest second is {} below its mean.",
            row.workload,
            row.target,
            row.round,
            text::percent(dip)
        ));
    }
    let with = |share: fn(&Row) -> Option<f64>, least: f64| {
        spans.iter().filter(|it| share(it.row).is_some_and(|it| it > least)).count()
    };
    let (steal, disk) = (with(steal_share, STEAL_SHARE_MAX), with(|it| it.pressure_io_share, DISK_SHARE_NOTED));
    let all = text::plural(spans.len(), "row");
    words.push(format!(
        "Of {all}, {} lost more than {} of a core to the hypervisor, {} had tasks waiting for a disk in more than {} of the time.",
        text::count(steal),
        text::percent(STEAL_SHARE_MAX),
        text::count(disk),
        text::percent(DISK_SHARE_NOTED)
    ));
    if !has_points {
        words.push("No second was recorded by itself: each row is its mean.".to_owned());
    } else {
        words.push("Lines are whole seconds of the measured time; readers and rows too short for two of them are their mean, dashed. Steal and pressure are not recorded by the second: the bands are a row's share of its whole time.".to_owned());
    }
    if step > 1 {
        words.push(format!("A point stands for {step} seconds: their mean rate, their worst p99."));
    }
    words
}

/// By how much the slowest second of a span lies below its mean.
fn dip(span: &Span<'_>) -> Option<f64> {
    let mean = span.row.mb_s.filter(|it| *it > 0.0 && span.points.len() > 1)?;
    let least = span.points.iter().map(|it| it.mb_s).reduce(f64::min)?;
    Some(1.0 - least / mean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::kept::tests::folder;

    #[test]
    fn a_kept_run_is_drawn_along_its_time_and_what_was_not_recorded_is_said() {
        let kept = Kept::read(&folder()).unwrap();
        let drawn = picture(&kept, &Cells::of(&kept.rows)).unwrap();
        let text = drawn.body.into_string();
        assert_eq!(text.matches(" mean\"").count(), 18, "the rows that read, and those that are short");
        assert!(text.contains("class=\"h h4\""), "the disk was waited for");
        assert!(drawn.words.iter().any(|it| it.contains("6 lost more than 2 % of a core")), "{:?}", drawn.words);
        assert!(
            drawn.words.iter().any(|it| it.contains("Steal and pressure are not recorded by the second")),
            "{:?}",
            drawn.words
        );
    }

    #[test]
    fn rows_without_a_time_are_not_drawn() {
        assert!(picture(&Kept::default(), &Cells::default()).unwrap_err().contains("do not say when"));
    }
}
