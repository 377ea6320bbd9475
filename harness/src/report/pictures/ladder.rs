//! The throughput-latency ladder: the same load at rising rates, what was reached of each, and at what response time.
//!
//! ```text
//!   p99 |            o <- rate not held (reached below 99.5 % of what was offered): hollow
//!       |          /
//!       | - - - -/- - - - - stated p99, where the run had one
//!       |  o--o-O <- knee: the highest rate that was held, within the stated p99
//!       +-------------------- MB/s reached
//! ```

use maud::{Markup, html};

use super::chart::{self, Axis, Frame};
use super::{Drawn, Picture};
use crate::report::cells::{Cell, Cells};
use crate::report::text;
use crate::run::bottleneck::RATE_SHARE_MIN;

/// Panels that are drawn; ladders beyond them are counted.
const PANELS_MAX: usize = 6;

/// A step of a ladder.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    offered_records_s: f64,
    reached_records_s: f64,
    mb_s: f64,
    p99_ms: f64,
}

impl Step {
    fn of(cell: &Cell) -> Option<Self> {
        let figures = &cell.summary;
        Some(Self {
            offered_records_s: cell.rate()?,
            reached_records_s: figures.records_s?.middle,
            mb_s: figures.mb_s?.middle,
            p99_ms: figures.response_us[1]?.middle / 1000.0,
        })
    }

    fn is_held(&self) -> bool {
        self.reached_records_s >= RATE_SHARE_MIN * self.offered_records_s
    }
}

/// The steps of one target under the same settings, by their rates.
struct Ladder<'a> {
    cell: &'a Cell,
    steps: Vec<Step>,
}

impl Ladder<'_> {
    /// The highest rate that was held within the stated p99.
    fn knee(&self, p99_ms_max: Option<f64>) -> Option<&Step> {
        let is_good = |it: &&Step| it.is_held() && p99_ms_max.is_none_or(|most| it.p99_ms <= most);
        self.steps.iter().filter(is_good).max_by(|a, b| a.offered_records_s.total_cmp(&b.offered_records_s))
    }
}

/// The ladders of a run; `stated` is the p99 in ms that the run stated as still good for a cell.
pub(in crate::report) fn picture(cells: &Cells, stated: &dyn Fn(&Cell) -> Option<f64>) -> Drawn {
    let panels = panels(cells);
    if panels.is_empty() {
        return Err("no ladder of throughput and latency: no load ran at several rates".to_owned());
    }
    let mut words: Vec<String> = Vec::new();
    for it in panels.iter().flat_map(|(_, ladders)| ladders).take(2 * PANELS_MAX) {
        words.push(said(cells, it, stated(it.cell)));
    }
    if panels.len() > PANELS_MAX {
        words.push(format!("{} more ladders stand in the table of cells.", text::count(panels.len() - PANELS_MAX)));
    }
    let body = html! {
        div.panels { @for (name, ladders) in panels.iter().take(PANELS_MAX) { (draw(name, ladders, stated(ladders[0].cell))) } }
    };
    Ok(Picture { id: "ladder", title: "How much does it carry, and at what response time?", words, body })
}

/// Ladders of the same settings side by side, their targets in one panel.
fn panels(cells: &Cells) -> Vec<(String, Vec<Ladder<'_>>)> {
    let mut panels: Vec<(String, Vec<Ladder<'_>>)> = Vec::new();
    for cell in cells.all.iter().filter(|it| it.rate().is_some()) {
        let Some(step) = Step::of(cell) else { continue };
        let name = without_rate(cells, cell);
        let at = panels.iter().position(|it| it.0 == name).unwrap_or_else(|| {
            panels.push((name, Vec::new()));
            panels.len() - 1
        });
        match panels[at].1.iter_mut().find(|it| it.cell.target == cell.target) {
            Some(ladder) => ladder.steps.push(step),
            None => panels[at].1.push(Ladder { cell, steps: vec![step] }),
        }
    }
    for (_, ladders) in &mut panels {
        ladders.iter_mut().for_each(|it| it.steps.sort_by(|a, b| a.offered_records_s.total_cmp(&b.offered_records_s)));
        ladders.retain(|it| it.steps.len() > 1);
    }
    panels.retain(|it| !it.1.is_empty());
    panels
}

/// The settings that a ladder's steps have in common.
fn without_rate(cells: &Cells, cell: &Cell) -> String {
    let varied = cells.varied(&cell.group);
    let others = varied.iter().filter(|at| cells.parameters[**at].name() != "rate_records_s");
    let said = others.map(|at| format!("{} {}", cells.parameters[*at].label(), cells.said(*at, &cell.values[*at])));
    let said: Vec<String> = said.collect();
    if said.is_empty() { cell.group.clone() } else { format!("{}: {}", cell.group, said.join(", ")) }
}

fn said(cells: &Cells, ladder: &Ladder<'_>, p99_ms_max: Option<f64>) -> String {
    let name = format!("{} ({})", ladder.cell.target, without_rate(cells, ladder.cell));
    let slo = p99_ms_max.map_or_else(String::new, |it| format!(" with p99 at most {} ms", text::digits(it)));
    let Some(knee) = ladder.knee(p99_ms_max) else {
        return format!("{name}: no rate was held{slo}.");
    };
    let rate = text::grouped(knee.offered_records_s);
    let figures = format!("{} MB/s, p99 {} ms", text::digits(knee.mb_s), text::digits(knee.p99_ms));
    let next = ladder.steps.iter().find(|it| it.offered_records_s > knee.offered_records_s);
    let beyond = match next {
        None => "; it is the highest that was tried: the knee lies above".to_owned(),
        Some(it) => format!(
            "; at {} records/s it reached {} with p99 {} ms",
            text::grouped(it.offered_records_s),
            text::percent(it.reached_records_s / it.offered_records_s),
            text::digits(it.p99_ms)
        ),
    };
    format!("{name}: the highest rate that was held{slo} is {rate} records/s ({figures}){beyond}.")
}

fn draw(name: &str, ladders: &[Ladder<'_>], p99_ms_max: Option<f64>) -> Markup {
    let steps = || ladders.iter().flat_map(|it| &it.steps);
    let frame = Frame::PANEL;
    let x = Axis::linear("MB/s reached", steps().map(|it| it.mb_s));
    let Some(y) = Axis::log("p99 ms", steps().map(|it| it.p99_ms).chain(p99_ms_max)) else { return html! {} };
    let at = |it: &Step| (x.x(it.mb_s, frame), y.y(it.p99_ms, frame));
    let targets: Vec<&str> = ladders.iter().map(|it| it.cell.target.as_str()).collect();
    let inside = html! {
        @if let Some(slo) = p99_ms_max {
            line.slo x1=(chart::n(x.x(0.0, frame))) x2=(chart::n(x.x(f64::MAX, frame))) y1=(chart::n(y.y(slo, frame))) y2=(chart::n(y.y(slo, frame))) {
                title { "stated p99: " (text::digits(slo)) " ms" }
            }
        }
        @for (colour, ladder) in ladders.iter().enumerate() {
            (chart::line(colour, &ladder.steps.iter().map(at).collect::<Vec<_>>()))
            @for step in &ladder.steps {
                g.hollow[!step.is_held()] { (chart::mark(colour, at(step), &tip(ladder, step))) }
            }
            @if let Some(knee) = ladder.knee(p99_ms_max) {
                @let (x, y) = at(knee);
                circle.ring cx=(chart::n(x)) cy=(chart::n(y)) r="8" {}
            }
        }
    };
    let said = format!("p99 of the response time over the throughput reached, {name}");
    html! { figure { figcaption { b { (name) } } (chart::legend(&targets)) (chart::plot(frame, &x, &y, &said, &inside)) } }
}

fn tip(ladder: &Ladder<'_>, step: &Step) -> String {
    format!(
        "{}: {} records/s offered, {} reached, {} MB/s, p99 {} ms",
        ladder.cell.target,
        text::grouped(step.offered_records_s),
        text::percent(step.reached_records_s / step.offered_records_s),
        text::digits(step.mb_s),
        text::digits(step.p99_ms)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::cells::tests::row;
    use crate::results::Row;

    /// Rates of 10, 20, 40 MB/s, of which the last is not held.
    fn rows() -> Vec<Row> {
        let step = |round, offered: f64, reached: f64, p99_us: f64| Row {
            kind: "latency".to_owned(),
            rate_records_s: Some(offered),
            response_us_p99: Some(p99_us),
            ..row("t", 16384, 0.0, round, reached / 1000.0)
        };
        vec![
            step(1, 10_000.0, 10_000.0, 500.0),
            step(1, 20_000.0, 20_000.0, 900.0),
            step(1, 40_000.0, 30_000.0, 80_000.0),
        ]
    }

    #[test]
    fn the_knee_is_the_highest_rate_that_was_held_and_what_is_beyond_it_is_said() {
        let drawn = picture(&Cells::of(&rows()), &|_| None).unwrap();
        let words = &drawn.words[0];
        assert!(words.contains("is 20,000 records/s (20.0 MB/s, p99 0.90 ms)"), "{words}");
        assert!(words.contains("at 40,000 records/s it reached 75 % with p99 80.0 ms"), "{words}");
        let text = drawn.body.into_string();
        assert_eq!((text.matches("class=\"ring\"").count(), text.matches("class=\"hollow\"").count()), (1, 1));
    }

    #[test]
    fn a_stated_p99_moves_the_knee_and_is_drawn() {
        let drawn = picture(&Cells::of(&rows()), &|_| Some(0.6)).unwrap();
        assert!(drawn.words[0].contains("with p99 at most 0.60 ms is 10,000 records/s"), "{:?}", drawn.words);
        assert!(drawn.body.into_string().contains("class=\"slo\""));
        let none = picture(&Cells::of(&rows()), &|_| Some(0.1)).unwrap();
        assert!(none.words[0].contains("no rate was held with p99 at most 0.10 ms"), "{:?}", none.words);
    }

    #[test]
    fn one_rate_is_no_ladder() {
        assert!(picture(&Cells::of(&rows()[..1]), &|_| None).unwrap_err().contains("no ladder"));
    }
}
