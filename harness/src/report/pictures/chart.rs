//! What charts are made of: axes with round ticks, a frame, lines and marks, a legend. SVG whose text is text.
//!
//! Colours are classes `c0` to `c5` (Okabe and Ito's, told apart by every kind of eye; dash and mark differ too); the page's
//! style sheet has their values for light, dark and paper.

use maud::{Markup, html};

/// Size of a panel, in pixels. Panels stand side by side where there is room.
const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 240.0;
/// Room for the labels around a plot.
const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 40.0;
/// Colours there are.
pub(super) const COLOURS: usize = 6;
/// Most ticks of an axis.
const TICKS_MAX: usize = 6;
/// Room of a tick's label on the x axis, in pixels a letter.
const LETTER: f64 = 7.0;

/// The space of a drawing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Frame {
    /// A panel.
    pub(super) const PANEL: Self = Self { width: WIDTH, height: HEIGHT };

    fn right(self) -> f64 {
        self.width - RIGHT
    }

    fn bottom(self) -> f64 {
        self.height - BOTTOM
    }
}

/// An axis: what is on it, from where to where.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    title: String,
    from: f64,
    to: f64,
    is_log: bool,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From 0 to the next round number above all values.
    pub(super) fn linear(title: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let most = values.into_iter().filter(|it| it.is_finite()).fold(0.0, f64::max);
        let most = if most > 0.0 { most } else { 1.0 };
        let step = round_step(most / (TICKS_MAX - 1) as f64);
        let steps = (most / step).ceil().max(1.0);
        let ticks = (0..=steps as usize).map(|it| it as f64 * step).map(|it| (it, plain(it))).collect();
        Self { title: title.to_owned(), from: 0.0, to: steps * step, is_log: false, ticks }
    }

    /// From the round number below all values to the one above, by factors. `None` where no value is above 0.
    pub(super) fn log(title: &str, values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().filter(|it| it.is_finite() && *it > 0.0).collect();
        let least = values.iter().copied().reduce(f64::min)?;
        let most = values.iter().copied().reduce(f64::max)?;
        let (from, to) = (round_below(least), round_above(most.max(least * 1.01)));
        let mut ticks: Vec<f64> = decades(from, to, &[1.0, 2.0, 5.0]);
        if ticks.len() > TICKS_MAX {
            ticks = decades(from, to, &[1.0]);
        }
        let ticks = ticks.into_iter().map(|it| (it, plain(it))).collect();
        Some(Self { title: title.to_owned(), from, to, is_log: true, ticks })
    }

    /// From 1 by factors of ten, with these labels.
    pub(super) fn labelled(title: &str, to: f64, ticks: Vec<(f64, String)>) -> Self {
        Self { title: title.to_owned(), from: 1.0, to, is_log: true, ticks }
    }

    /// From here to there, plain numbers.
    pub(super) fn span(title: &str, from: f64, to: f64) -> Self {
        let step = round_step((to - from) / 10.0);
        let first = (from / step).ceil() as i64;
        let last = (to / step).floor() as i64;
        let ticks = (first..=last).map(|it| it as f64 * step).map(|it| (it, plain(it))).collect();
        Self { title: title.to_owned(), from, to, is_log: false, ticks }
    }

    /// Where a value is, as a share of the axis.
    fn share(&self, value: f64) -> f64 {
        let share = if self.is_log {
            (value / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        share.clamp(0.0, 1.0)
    }

    /// Where a value is in a frame, as x.
    pub(super) fn x(&self, value: f64, frame: Frame) -> f64 {
        LEFT + self.share(value) * (frame.right() - LEFT)
    }

    /// Where a value is in a frame, as y.
    pub(super) fn y(&self, value: f64, frame: Frame) -> f64 {
        frame.bottom() - self.share(value) * (frame.bottom() - TOP)
    }
}

/// A plot: axes, grid, what is inside; `said` is what a person hears who does not see it.
pub(super) fn plot(frame: Frame, x: &Axis, y: &Axis, said: &str, inside: &Markup) -> Markup {
    let (right, bottom) = (frame.right(), frame.bottom());
    html! {
        svg viewBox=(format!("0 0 {} {}", frame.width, frame.height)) role="img" aria-label=(said) {
            @for (value, label) in &y.ticks {
                @let at = y.y(*value, frame);
                line.g x1=(n(LEFT)) x2=(n(right)) y1=(n(at)) y2=(n(at)) {}
                text.t x=(n(LEFT - 6.0)) y=(n(at + 4.0)) text-anchor="end" { (label) }
            }
            @for (value, label) in thinned(x, frame) {
                @let at = x.x(value, frame);
                line.g x1=(n(at)) x2=(n(at)) y1=(n(TOP)) y2=(n(bottom)) {}
                @let half = label.chars().count() as f64 * LETTER / 2.0;
                text.t x=(n(at.min(frame.width - half))) y=(n(bottom + 15.0)) text-anchor="middle" { (label) }
            }
            line.a x1=(n(LEFT)) x2=(n(right)) y1=(n(bottom)) y2=(n(bottom)) {}
            text.t x=(n(f64::midpoint(LEFT, right))) y=(n(frame.height - 6.0)) text-anchor="middle" { (x.title) }
            text.t transform=(format!("translate(11 {}) rotate(-90)", n(f64::midpoint(TOP, bottom)))) text-anchor="middle" {
                (y.title)
            }
            (inside)
        }
    }
}

/// Labels that do not run into each other.
fn thinned(axis: &Axis, frame: Frame) -> Vec<(f64, String)> {
    let mut last = f64::MIN;
    let mut kept = Vec::new();
    for (value, label) in &axis.ticks {
        let half = label.chars().count() as f64 * LETTER / 2.0;
        let at = axis.x(*value, frame);
        if at - half >= last + LETTER {
            last = at + half;
            kept.push((*value, label.clone()));
        }
    }
    kept
}

/// A line through points that are in pixels.
pub(super) fn line(colour: usize, points: &[(f64, f64)]) -> Markup {
    html! { path class=(format!("l c{}", colour % COLOURS)) d=(path(points)) {} }
}

/// A mark at a point: its shape goes with its colour. `said` is shown when a pointer rests on it.
pub(super) fn mark(colour: usize, (x, y): (f64, f64), said: &str) -> Markup {
    let shape = match colour % COLOURS {
        0 => format!("M{} {}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0", n(x - 4.0), n(y)),
        1 => format!("M{} {}h7v7h-7z", n(x - 3.5), n(y - 3.5)),
        2 => format!("M{} {}l4.5 8h-9z", n(x), n(y - 4.5)),
        3 => format!("M{} {}l5 5l-5 5l-5 -5z", n(x), n(y - 5.0)),
        4 => format!("M{} {}l4.5 -8h-9z", n(x), n(y + 4.5)),
        _ => format!("M{} {}h3v-3h3v3h3v3h-3v3h-3v-3h-3z", n(x - 4.5), n(y - 1.5)),
    };
    html! { path class=(format!("m c{}", colour % COLOURS)) d=(shape) { @if !said.is_empty() { title { (said) } } } }
}

/// The names of the colours, in words beside a piece of line with its mark.
pub(super) fn legend(names: &[&str]) -> Markup {
    html! {
        ul.legend {
            @for (colour, name) in names.iter().enumerate() {
                li {
                    svg.key viewBox="0 0 30 12" aria-hidden="true" {
                        (line(colour, &[(1.0, 6.0), (29.0, 6.0)])) (mark(colour, (15.0, 6.0), ""))
                    }
                    (name)
                }
            }
        }
    }
}

/// `M0 0L1 1..`
pub(super) fn path(points: &[(f64, f64)]) -> String {
    let mut text = String::new();
    for (at, (x, y)) in points.iter().enumerate() {
        text.push_str(&format!("{}{} {}", if at == 0 { "M" } else { "L" }, n(*x), n(*y)));
    }
    text
}

/// A coordinate: a tenth of a pixel is enough.
pub(super) fn n(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// A tick's label.
fn plain(value: f64) -> String {
    match value.abs() {
        it if it >= 1e6 => format!("{}M", rounded(value / 1e6)),
        it if it >= 1e4 => format!("{}k", rounded(value / 1e3)),
        _ => rounded(value),
    }
}

fn rounded(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// 1, 2 or 5 times a power of ten, at or above.
fn round_step(least: f64) -> f64 {
    round_above(least)
}

fn power_below(value: f64) -> f64 {
    10f64.powf(value.log10().floor())
}

fn round_above(value: f64) -> f64 {
    let power = power_below(value);
    [1.0, 2.0, 5.0, 10.0].map(|it| it * power).into_iter().find(|it| *it >= value * 0.999_999).unwrap_or(10.0 * power)
}

fn round_below(value: f64) -> f64 {
    let power = power_below(value);
    [5.0, 2.0, 1.0].map(|it| it * power).into_iter().find(|it| *it <= value * 1.000_001).unwrap_or(power)
}

fn decades(from: f64, to: f64, digits: &[f64]) -> Vec<f64> {
    let (first, last) = (from.log10().floor() as i32, to.log10().ceil() as i32);
    let all = (first..=last).flat_map(|power| digits.iter().map(move |it| it * 10f64.powi(power)));
    all.filter(|it| *it >= from * 0.999 && *it <= to * 1.001).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|it| it.1.as_str()).collect()
    }

    #[test]
    fn axes_begin_and_end_at_round_numbers() {
        assert_eq!(labels(&Axis::linear("", [3.0, 616.1])), ["0", "200", "400", "600", "800"]);
        assert_eq!(labels(&Axis::linear("", [])), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(labels(&Axis::log("", [0.07, 18.9]).unwrap()), ["0.1", "1", "10"]);
        assert_eq!(labels(&Axis::log("", [3.0, 40.0]).unwrap()), ["2", "5", "10", "20", "50"]);
        assert!(Axis::log("", [0.0]).is_none());
    }

    #[test]
    fn values_lie_within_the_frame_and_labels_do_not_touch() {
        let axis = Axis::log("ms", [1.0, 1000.0]).unwrap();
        assert_eq!(axis.y(1.0, Frame::PANEL), HEIGHT - BOTTOM);
        assert_eq!(axis.y(1e9, Frame::PANEL), TOP, "what is outside is drawn at the edge");
        let many = (0..100).map(|it| (1.0 + f64::from(it), "10,000".to_owned())).collect();
        let kept = thinned(&Axis::labelled("", 101.0, many), Frame::PANEL);
        assert!(kept.len() > 1 && kept.len() < 10, "{}", kept.len());
    }

    #[test]
    fn text_is_escaped() {
        let axis = Axis::linear("<b>&\"", [1.0]);
        let text = plot(Frame::PANEL, &axis, &axis, "\"><script>", &html! {}).into_string();
        assert!(!text.contains("<b>") && !text.contains("<script>"), "{text}");
    }
}
