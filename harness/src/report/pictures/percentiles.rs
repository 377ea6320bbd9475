//! Response time by percentile, over 1/(1-q): the tail has as much room as the middle. From whole histograms, all rounds of
//! a cell merged.
//!
//! A percentile is drawn as far as ten records lie above it: beyond that it says what happened to those few.

use hdrhistogram::Histogram;
use maud::{Markup, html};

use super::chart::{self, Axis, Frame};
use super::{Drawn, Picture};
use crate::report::cells::{Cell, Cells};
use crate::report::kept::Kept;
use crate::report::text;

/// Panels that are drawn.
const PANELS_MAX: usize = 6;
/// Records that must lie above a percentile.
const ABOVE_MIN: f64 = 10.0;
/// Points for each factor of ten.
const STEPS: usize = 16;
/// Percentiles that have a name, as 1/(1-q).
const NAMED: [(f64, &str); 7] = [
    (1.0, "0"),
    (2.0, "50"),
    (10.0, "90"),
    (100.0, "99"),
    (1000.0, "99.9"),
    (10_000.0, "99.99"),
    (100_000.0, "99.999"),
];

struct Curve<'a> {
    cell: &'a Cell,
    histogram: Histogram<u64>,
}

impl Curve<'_> {
    /// The last percentile that ten records are above, as 1/(1-q).
    fn end(&self) -> f64 {
        (self.histogram.len() as f64 / ABOVE_MIN).max(1.0)
    }

    fn ms(&self, inverse: f64) -> f64 {
        self.histogram.value_at_quantile(1.0 - 1.0 / inverse) as f64 / 1e6
    }

    fn points(&self) -> Vec<(f64, f64)> {
        let last = (self.end().log10() * STEPS as f64) as usize;
        let inverse = |step: usize| 10f64.powf(step as f64 / STEPS as f64);
        (0..=last).map(inverse).map(|it| (it, self.ms(it))).collect()
    }
}

/// The curves of a run.
pub(in crate::report) fn picture(kept: &Kept, cells: &Cells) -> Drawn {
    let panels = panels(kept, cells);
    if panels.is_empty() {
        return Err("no percentile curves: latency.hlog has none of its rows".to_owned());
    }
    let mut words = Vec::new();
    let body = html! {
        div.panels {
            @for (name, curves) in panels.iter().take(PANELS_MAX) {
                (draw(name, curves))
                @let () = words.extend(said(name, curves));
            }
        }
    };
    if panels.len() > PANELS_MAX {
        let left = text::count(panels.len() - PANELS_MAX);
        words.push(format!("{left} more cells have their histograms in latency.hlog."));
    }
    words.push(
        "All rounds of a cell together. Response time counts from when a record was due; as fast as possible that is how \
         long the client's buffer is. Curves end where fewer than ten records are above."
            .to_owned(),
    );
    Ok(Picture { id: "percentiles", title: "How long does a record take, at worst?", words, body })
}

/// The same cell of every target in one panel; loads at a fixed rate first.
fn panels<'a>(kept: &Kept, cells: &'a Cells) -> Vec<(String, Vec<Curve<'a>>)> {
    let mut panels: Vec<(String, Vec<Curve<'a>>)> = Vec::new();
    let (offered, free): (Vec<&Cell>, Vec<&Cell>) = cells.all.iter().partition(|it| it.rate().is_some());
    for cell in offered.into_iter().chain(free) {
        let Some(histogram) = merged(kept, cell) else { continue };
        let curve = Curve { cell, histogram };
        match panels.iter_mut().find(|(_, curves)| curves.iter().all(|it| cells.is_pair(it.cell, cell))) {
            Some((_, curves)) => curves.push(curve),
            None => panels.push((cells.name(cell), vec![curve])),
        }
    }
    panels
}

fn merged(kept: &Kept, cell: &Cell) -> Option<Histogram<u64>> {
    let mut all = cell.measured().filter_map(|row| kept.response(row));
    let mut sum = all.next()?.whole.clone();
    for it in all {
        // Histograms of one log have the same digits, and the sum grows as it must.
        let _ = sum.add(&it.whole);
    }
    Some(sum).filter(|it| !it.is_empty())
}

fn said(name: &str, curves: &[Curve<'_>]) -> Option<String> {
    let end = curves.iter().map(Curve::end).fold(f64::MAX, f64::min);
    let (inverse, label) = NAMED.iter().rev().find(|it| it.0 <= end)?;
    let of = |it: &Curve<'_>| {
        let (middle, tail) = (it.ms(2.0), it.ms(*inverse));
        let longer = text::times(tail / middle.max(f64::MIN_POSITIVE));
        format!("{} {} ms ({longer} its median of {} ms)", it.cell.target, text::digits(tail), text::digits(middle))
    };
    let all: Vec<String> = curves.iter().map(of).collect();
    Some(format!("{name}: {label} % of the records stayed within {}.", all.join(", ")))
}

fn draw(name: &str, curves: &[Curve<'_>]) -> Markup {
    let frame = Frame::PANEL;
    let end = curves.iter().map(Curve::end).fold(10.0, f64::max);
    let ticks = NAMED.iter().filter(|it| it.0 <= end).map(|(at, label)| (*at, (*label).to_owned())).collect();
    let x = Axis::labelled("percentile, % of records", end, ticks);
    let lines: Vec<Vec<(f64, f64)>> = curves.iter().map(Curve::points).collect();
    let Some(y) = Axis::log("ms", lines.iter().flatten().map(|it| it.1)) else { return html! {} };
    let targets: Vec<&str> = curves.iter().map(|it| it.cell.target.as_str()).collect();
    let inside = html! {
        @for (colour, points) in lines.iter().enumerate() {
            @let points: Vec<(f64, f64)> = points.iter().map(|(q, ms)| (x.x(*q, frame), y.y(*ms, frame))).collect();
            (chart::line(colour, &points))
            @for (inverse, label) in NAMED.iter().filter(|it| it.0 > 1.0 && it.0 <= curves[colour].end()) {
                @let ms = curves[colour].ms(*inverse);
                @let tip = format!("{}: {label} % within {} ms", targets[colour], text::digits(ms));
                (chart::mark(colour, (x.x(*inverse, frame), y.y(ms, frame)), &tip))
            }
        }
    };
    let said = format!("Response time by percentile, {name}: {}", text::list(&targets));
    html! { figure { figcaption { b { (name) } } (chart::legend(&targets)) (chart::plot(frame, &x, &y, &said, &inside)) } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::kept::tests::folder;

    #[test]
    fn curves_of_a_kept_run_say_what_its_rows_say() {
        let kept = Kept::read(&folder()).unwrap();
        let drawn = picture(&kept, &Cells::of(&kept.rows)).unwrap();
        let first = &drawn.words[0];
        assert!(first.starts_with("latency: 99.9 % of the records stayed within ringlog 2.37 ms"), "{first}");
        assert!(first.contains("kafka-4.3.1 14.8 ms") && first.contains("its median of 0.074 ms"), "{first}");
        let text = drawn.body.into_string();
        assert_eq!(text.matches("<figure>").count(), 3, "reading has no response time");
    }

    #[test]
    fn a_curve_ends_where_ten_records_are_above() {
        let mut histogram = Histogram::new(3).unwrap();
        (1..=1000u64).for_each(|it| histogram.record(it * 1_000_000).unwrap());
        let cells = Cells::of(&[crate::report::cells::tests::row("t", 1, 0.0, 1, 1.0)]);
        let curve = Curve { cell: &cells.all[0], histogram };
        let points = curve.points();
        let last = points.last().unwrap();
        assert!(last.0 <= 100.0 && last.0 > 90.0, "{last:?}");
        assert!((curve.ms(100.0) - 990.0).abs() < 2.0, "{}", curve.ms(100.0));
    }
}
