//! How far the rounds of a cell lie apart: a dot for each round, around the middle one.

use maud::{Markup, html};

use super::chart::{mark, n};
use super::{Drawn, Picture};
use crate::report::cells::{Cell, Cells};
use crate::report::text;
use crate::run::spread::Spread;

/// Cells that are drawn: the widest.
const CELLS_MAX: usize = 24;
/// Size of a strip in pixels.
const WIDTH: f64 = 260.0;
const HEIGHT: f64 = 18.0;
const MARGIN: f64 = 8.0;
/// From this half width of the interval on, figures of a cell are rough.
const ROUGH: f64 = 0.10;

struct Strip<'a> {
    cell: &'a Cell,
    figure: &'static str,
    values: Vec<f64>,
    spread: Spread,
}

impl<'a> Strip<'a> {
    fn of(cell: &'a Cell) -> Option<Self> {
        let is_offered = cell.rate().is_some();
        let figure = if is_offered { "p99 ms" } else { "MB/s" };
        let value =
            |row: &crate::results::Row| if is_offered { row.response_us_p99.map(|it| it / 1000.0) } else { row.mb_s };
        let values: Vec<f64> = cell.measured().filter_map(value).collect();
        let spread = Spread::of(values.iter().copied()).filter(|it| it.rounds > 1 && it.middle > 0.0)?;
        Some(Self { cell, figure, values, spread })
    }

    /// Farthest round from the middle, as a share of it.
    fn reach(&self) -> f64 {
        let Spread { middle, least, greatest, .. } = self.spread;
        ((greatest - middle) / middle).max((middle - least) / middle)
    }
}

/// The strips of a run.
pub(in crate::report) fn picture(cells: &Cells) -> Drawn {
    let mut strips: Vec<Strip<'_>> = cells.all.iter().filter_map(Strip::of).collect();
    if strips.is_empty() {
        return Err("no spread of rounds: no cell had two".to_owned());
    }
    let words = said(cells, &strips);
    let reach = strips.iter().map(Strip::reach).fold(0.01, f64::max);
    if strips.len() > CELLS_MAX {
        strips.sort_by(|a, b| b.reach().total_cmp(&a.reach()));
        strips.truncate(CELLS_MAX);
    }
    let body = html! {
        div.wide { table {
            thead { tr {
                th { "cell" } th { "target" } th { "figure" }
                th { "rounds, " (text::percent(-reach)) " to +" (text::percent(reach)) " of the middle" }
                th.r { "middle" } th.r { "least .. greatest" } th.r { "± 95 %" }
            } }
            tbody { @for it in &strips { tr {
                td { (cells.name(it.cell)) } td { (it.cell.target) } td { (it.figure) } td { (draw(it, reach)) }
                td.r { (text::digits(it.spread.middle)) }
                td.r { (text::digits(it.spread.least)) " .. " (text::digits(it.spread.greatest)) }
                td.r { (it.spread.half_width.map_or_else(|| "-".to_owned(), text::percent)) }
            } } }
        } }
    };
    Ok(Picture { id: "rounds", title: "How far do the rounds lie apart?", words, body })
}

fn said(cells: &Cells, strips: &[Strip<'_>]) -> Vec<String> {
    let widths = || strips.iter().filter_map(|it| it.spread.half_width.map(|width| (width, it)));
    let name = |it: &Strip<'_>| format!("{} against {}", cells.name(it.cell), it.cell.target);
    let mut words = Vec::new();
    let least = widths().min_by(|a, b| a.0.total_cmp(&b.0));
    let most = widths().max_by(|a, b| a.0.total_cmp(&b.0));
    if let (Some(least), Some(most)) = (least, most) {
        words.push(format!(
            "The 95 % intervals are {} ({}) to {} ({}) wide to either side.",
            text::percent(least.0),
            name(least.1),
            text::percent(most.0),
            name(most.1)
        ));
    }
    let rough = widths().filter(|it| it.0 > ROUGH).count();
    if rough > 0 {
        let all = text::plural(strips.len(), "cell");
        let words_of = "differences below their intervals say nothing";
        words.push(format!("{} of {all} are wider than {}: {words_of}.", text::count(rough), text::percent(ROUGH)));
    }
    if strips.len() > CELLS_MAX {
        words.push(format!("The {CELLS_MAX} widest of {} are drawn.", text::count(strips.len())));
    }
    words
}

fn draw(strip: &Strip<'_>, reach: f64) -> Markup {
    let middle = strip.spread.middle;
    let x = |value: f64| WIDTH / 2.0 + (value / middle - 1.0) / reach * (WIDTH / 2.0 - MARGIN);
    let rounds: Vec<String> = strip.values.iter().map(|it| text::digits(*it)).collect();
    let y = HEIGHT / 2.0;
    html! {
        svg.strip viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(format!("rounds: {}", rounds.join(", "))) {
            line.g x1=(n(x(middle))) x2=(n(x(middle))) y1="0" y2=(n(HEIGHT)) {}
            line.a x1=(n(x(strip.spread.least))) x2=(n(x(strip.spread.greatest))) y1=(n(y)) y2=(n(y)) {}
            @for (value, said) in strip.values.iter().zip(&rounds) { (mark(0, (x(*value), y), said)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::cells::tests::row;

    #[test]
    fn the_widest_and_the_narrowest_are_named_and_every_round_is_a_dot() {
        let mut rows: Vec<_> =
            [277.2, 505.8, 512.1].iter().enumerate().map(|(at, it)| row("a", 1, 0.0, at as u32, *it)).collect();
        rows.extend([100.0, 100.1, 99.9].iter().enumerate().map(|(at, it)| row("b", 1, 0.0, at as u32, *it)));
        let drawn = picture(&Cells::of(&rows)).unwrap();
        assert!(drawn.words[0].contains("0 % (sweep against b) to 77 % (sweep against a)"), "{:?}", drawn.words);
        assert!(drawn.words[1].starts_with("1 of 2 cells are wider than 10 %"), "{:?}", drawn.words);
        let text = drawn.body.into_string();
        assert_eq!(text.matches("class=\"m c0\"").count(), 6);
        assert!(text.contains("rounds: 277, 506, 512") && text.contains("277 .. 512"), "{text}");
    }

    #[test]
    fn a_single_round_has_no_spread() {
        assert!(picture(&Cells::of(&[row("a", 1, 0.0, 1, 5.0)])).unwrap_err().contains("no cell had two"));
    }
}
