//! The sweep's heat map: the two settings with the most values, one panel for each target and kind of load.
//!
//! It is drawn where the run went over a grid of the two: of all their pairs at least a half were measured. Where other
//! settings varied as well, a field is the middle of its cells.

use maud::{Markup, html};

use super::chart::n;
use super::{Drawn, Picture};
use crate::report::cells::{Cell, Cells};
use crate::report::text;
use crate::run::spread::Spread;

/// Width of a panel, height of a row of it, room for labels, in pixels.
const WIDTH: f64 = 380.0;
const ROW: f64 = 34.0;
const LEFT: f64 = 84.0;
const TOP: f64 = 44.0;
/// Share of the pairs that must be there.
const FILLED_MIN: f64 = 0.5;
/// Columns and rows that fit.
const VALUES_MAX: usize = 12;
/// Cividis at a fifth of its way each: dark blue to yellow, told apart by every kind of eye.
const RAMP: [(f64, f64, f64); 6] = [
    (0.0, 32.0, 77.0),
    (52.0, 68.0, 108.0),
    (102.0, 104.0, 112.0),
    (149.0, 143.0, 120.0),
    (203.0, 186.0, 105.0),
    (255.0, 234.0, 70.0),
];

/// The grid of one group of cells.
struct Grid<'a> {
    cells: &'a Cells,
    group: &'a str,
    across: usize,
    down: usize,
    has_more: bool,
}

/// What colour stands for.
#[derive(Clone, Copy, PartialEq)]
enum Metric {
    Rate,
    P99,
}

impl Metric {
    fn of(self, cell: &Cell) -> Option<f64> {
        match self {
            Self::Rate => cell.summary.mb_s.map(|it| it.middle),
            Self::P99 => cell.summary.response_us[1].map(|it| it.middle / 1000.0),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Rate => "MB/s",
            Self::P99 => "p99 of the response time, ms",
        }
    }

    /// 1 is best.
    fn goodness(self, value: f64, least: f64, most: f64) -> f64 {
        let share = if most > least { (value.ln() - least.ln()) / (most.ln() - least.ln()) } else { 0.5 };
        if self == Self::Rate { share } else { 1.0 - share }
    }
}

/// The heat maps of a run.
pub(in crate::report) fn picture(cells: &Cells) -> Drawn {
    let grids: Vec<Grid<'_>> = cells.groups().into_iter().filter_map(|group| Grid::of(cells, group)).collect();
    if grids.is_empty() {
        return Err("no heat map: no two settings were swept over a grid".to_owned());
    }
    let mut words = Vec::new();
    let body = html! {
        div.panels {
            @for grid in &grids {
                @let metric = grid.metric();
                @for target in cells.targets() {
                    @if let Some(field) = grid.field(metric, target) {
                        (draw(grid, metric, target, &field))
                        @let () = words.push(said(grid, metric, target, &field));
                    }
                }
            }
        }
    };
    if grids.iter().any(|it| it.has_more) {
        words.push("Other settings varied too: a field is the middle of its cells.".to_owned());
    }
    words.push("Brighter is better. Colours go by factors, from the worst field of a map to its best.".to_owned());
    Ok(Picture { id: "heat", title: "Which settings are fast?", words, body })
}

/// Values of a grid: `field[down][across]`.
struct Field {
    across: Vec<String>,
    down: Vec<String>,
    values: Vec<Vec<Option<f64>>>,
}

impl Field {
    /// Every value with its place.
    fn all(&self) -> impl Iterator<Item = (f64, usize, usize)> + '_ {
        let row = |(y, row): (usize, &Vec<Option<f64>>)| {
            row.iter().enumerate().filter_map(move |(x, it)| it.map(|it| (it, x, y))).collect::<Vec<_>>()
        };
        self.values.iter().enumerate().flat_map(row)
    }

    fn bounds(&self) -> (f64, f64) {
        let values = || self.all().map(|it| it.0);
        (values().fold(f64::MAX, f64::min), values().fold(f64::MIN_POSITIVE, f64::max))
    }
}

impl<'a> Grid<'a> {
    fn of(cells: &'a Cells, group: &'a str) -> Option<Self> {
        let of_group = |it: &Cell| it.group == group;
        let mut varied = cells.varied(group).to_vec();
        varied.sort_by_key(|at| std::cmp::Reverse(cells.values_of(*at, of_group).len()));
        let [across, down, ..] = varied[..] else { return None };
        let (columns, rows) = (cells.values_of(across, of_group).len(), cells.values_of(down, of_group).len());
        let mut pairs: Vec<(&str, &str)> =
            cells.all.iter().filter(|it| of_group(it)).map(|it| it.pair(across, down)).collect();
        pairs.sort_unstable();
        pairs.dedup();
        let is_grid = pairs.len() >= 4 && pairs.len() as f64 > FILLED_MIN * (columns * rows) as f64;
        let fits = columns <= VALUES_MAX && rows <= VALUES_MAX;
        (is_grid && fits).then_some(Self { cells, group, across, down, has_more: varied.len() > 2 })
    }

    /// A rate that was asked for says nothing: then it is the response time.
    fn metric(&self) -> Metric {
        let own = || self.cells.all.iter().filter(|it| it.group == self.group);
        let asked = own().filter(|it| it.rate().is_some()).count();
        if 2 * asked > own().count() { Metric::P99 } else { Metric::Rate }
    }

    fn field(&self, metric: Metric, target: &str) -> Option<Field> {
        let own = |it: &&Cell| it.group == self.group && it.target == target;
        let values_of = |at| self.cells.values_of(at, |it| own(&it));
        let (across, down) = (values_of(self.across), values_of(self.down));
        let value = |x: &str, y: &str| {
            let of = self.cells.all.iter().filter(own).filter(|it| it.pair(self.across, self.down) == (x, y));
            Spread::of(of.filter_map(|it| metric.of(it))).map(|it| it.middle).filter(|it| *it > 0.0)
        };
        let row = |y: &String| across.iter().map(|x| value(x, y)).collect();
        let field = Field { values: down.iter().map(row).collect(), across: across.clone(), down: down.clone() };
        let is_empty = field.all().next().is_none();
        (!is_empty).then_some(field)
    }

    fn label(&self, at: usize) -> &'static str {
        self.cells.parameters[at].label()
    }
}

impl Cell {
    fn pair(&self, across: usize, down: usize) -> (&str, &str) {
        (&self.values[across], &self.values[down])
    }
}

fn said(grid: &Grid<'_>, metric: Metric, target: &str, field: &Field) -> String {
    let (least, most) = field.bounds();
    let at = |value: f64| {
        let (_, x, y) = field.all().find(|it| it.0 == value).unwrap_or_default();
        let across = grid.cells.said(grid.across, &field.across[x]);
        let down = grid.cells.said(grid.down, &field.down[y]);
        format!("{} {across}, {} {down}", grid.label(grid.across), grid.label(grid.down))
    };
    let (best, worst) = if metric == Metric::Rate { (most, least) } else { (least, most) };
    let unit = if metric == Metric::Rate { "MB/s" } else { "ms at p99" };
    format!(
        "{target}, {}: best {} {unit} ({}), worst {} ({}): a factor of {}.",
        grid.group,
        text::digits(best),
        at(best),
        text::digits(worst),
        at(worst),
        text::digits(most / least)
    )
}

fn draw(grid: &Grid<'_>, metric: Metric, target: &str, field: &Field) -> Markup {
    let column = (WIDTH - LEFT - 4.0) / field.across.len() as f64;
    let height = TOP + ROW * field.down.len() as f64 + 4.0;
    let (least, most) = field.bounds();
    let words = format!("Heat map of {} by {} and {}", metric.name(), grid.label(grid.across), grid.label(grid.down));
    let middle = |x: usize| LEFT + column * (x as f64 + 0.5);
    html! {
        figure {
            figcaption { b { (target) } ", " (grid.group) ": " (metric.name()) }
            svg viewBox=(format!("0 0 {WIDTH} {}", n(height))) role="img" aria-label=(format!("{words}, {target}")) {
                text.t x=(n(f64::midpoint(LEFT, WIDTH))) y="12" text-anchor="middle" { (grid.label(grid.across)) }
                text.t x="2" y=(n(TOP - 12.0)) { (grid.label(grid.down)) }
                @for (x, value) in field.across.iter().enumerate() {
                    text.t x=(n(middle(x))) y=(n(TOP - if crowded(field, column) && x % 2 == 1 { 18.0 } else { 6.0 })) text-anchor="middle" {
                        (grid.cells.said(grid.across, value))
                    }
                }
                @for (y, value) in field.down.iter().enumerate() {
                    @let top = TOP + ROW * y as f64;
                    text.t x=(n(LEFT - 6.0)) y=(n(top + ROW / 2.0 + 4.0)) text-anchor="end" { (grid.cells.said(grid.down, value)) }
                    @for x in 0..field.across.len() {
                        @match field.values[y][x] {
                            Some(value) => (square((LEFT + column * x as f64, top, column), metric, value, (least, most))),
                            None => text.t x=(n(middle(x))) y=(n(top + ROW / 2.0 + 4.0)) text-anchor="middle" { "-" },
                        }
                    }
                }
            }
        }
    }
}

/// Whether the labels of the columns need two lines.
fn crowded(field: &Field, column: f64) -> bool {
    field.across.len() > 5 || column < 48.0
}

fn square((x, y, width): (f64, f64, f64), metric: Metric, value: f64, (least, most): (f64, f64)) -> Markup {
    let goodness = metric.goodness(value, least, most);
    let (red, green, blue) = colour(goodness);
    let ink = if goodness < 0.55 { "#fff" } else { "#000" };
    html! {
        rect x=(n(x)) y=(n(y)) width=(n(width - 2.0)) height=(n(ROW - 2.0)) fill=(format!("#{red:02x}{green:02x}{blue:02x}")) {}
        text.v x=(n(x + width / 2.0 - 1.0)) y=(n(y + ROW / 2.0 + 3.0)) text-anchor="middle" fill=(ink) { (text::digits(value)) }
    }
}

/// The ramp's colour at a share.
fn colour(share: f64) -> (u8, u8, u8) {
    let place = share.clamp(0.0, 1.0) * (RAMP.len() - 1) as f64;
    let at = (place as usize).min(RAMP.len() - 2);
    let mix = |a: f64, b: f64| (a + (b - a) * (place - at as f64)).round() as u8;
    let (a, b) = (RAMP[at], RAMP[at + 1]);
    (mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::cells::tests::{row, sweep};

    #[test]
    fn a_grid_of_two_settings_is_drawn_for_each_target_and_the_best_and_worst_are_named() {
        let drawn = picture(&Cells::of(&sweep())).unwrap();
        let text = drawn.body.into_string();
        assert_eq!(text.matches("<rect").count(), 12);
        let expected = "ringlog, produce: best 1,315 MB/s (batch.size 64 KiB, linger.ms 5 ms)";
        assert!(drawn.words[0].starts_with(expected), "{:?}", drawn.words);
        assert!(text.contains("64 KiB") && text.contains("linger.ms"), "{text}");
    }

    #[test]
    fn settings_that_changed_together_are_no_grid() {
        let rows = [row("t", 4096, 0.0, 1, 1.0), row("t", 16384, 5.0, 1, 1.0), row("t", 65536, 10.0, 1, 1.0)];
        assert!(picture(&Cells::of(&rows)).unwrap_err().contains("no two settings"));
    }

    #[test]
    fn where_the_rate_was_asked_for_the_colour_is_the_response_time_and_less_is_better() {
        let mut rows = sweep();
        for (at, row) in rows.iter_mut().enumerate() {
            (row.rate_records_s, row.response_us_p99) = (Some(1000.0), Some(1000.0 + at as f64));
        }
        let drawn = picture(&Cells::of(&rows)).unwrap();
        assert!(drawn.words[0].contains("best 1.00 ms at p99"), "{:?}", drawn.words);
        assert_eq!((colour(0.0), colour(1.0)), ((0, 32, 77), (255, 234, 70)));
    }
}
