//! What each pair of a comparison says of each figure: a dot for a pair, and the interval of their middle.
//!
//! ```text
//!        |      .  :|. .==o==. .    |          dots: B against A in each pair     ==o==  the middle and its interval
//!     -threshold    0           +threshold     beyond the threshold a change matters
//! ```

use maud::{Markup, html};

use super::Picture;
use super::chart::{mark, n};
use crate::report::comparison::Comparison;
use crate::results::Row;
use crate::verdict::judge::Finding;
use crate::verdict::pairs;
use crate::verdict::rule::ERROR;
use crate::verdict::words::{HEADS, cells, percent, share};

/// Size of a strip in pixels.
const WIDTH: f64 = 260.0;
const HEIGHT: f64 = 18.0;
const MARGIN: f64 = 8.0;

/// The figures of a comparison with their pairs.
pub(in crate::report) fn picture(comparison: &Comparison, rows: &[Row]) -> Picture {
    let findings = &comparison.judgement.findings;
    let strips: Vec<Vec<f64>> = findings.iter().map(|it| changes(it, rows)).collect();
    let [a, b] = &comparison.names;
    let body = html! {
        div.wide { table {
            thead { tr {
                @for (at, head) in HEADS.iter().enumerate() { th.r[is_figure(at)] { (head) } }
                th { "pairs" }
            } }
            tbody { @for (it, strip) in findings.iter().zip(&strips) { tr {
                @for (at, cell) in cells(it).iter().enumerate() { td.r[is_figure(at)] { (cell) } }
                td { (draw(it, strip)) }
            } } }
        } }
    };
    let mut words = vec![format!("A is {a}, B is {b}.")];
    words.extend(findings.iter().zip(&strips).filter_map(|(it, strip)| said(it, strip)));
    let level = 100.0 * (1.0 - ERROR);
    words.push(format!(
        "Intervals hold at all looks and for all figures together, {level:.0} %. The dashed lines are where a change begins to matter."
    ));
    if findings.iter().any(|it| it.one_side_client_bound) {
        words.push("* the client was the limit of one side: the brokers differ by at least this.".to_owned());
    }
    Picture { id: "pairs", title: "Did it change?", words, body }
}

/// Whether a column of the table holds numbers.
fn is_figure(at: usize) -> bool {
    (2..=6).contains(&at)
}

/// B against A in each pair: 0.1 is a tenth more.
fn changes(finding: &Finding, rows: &[Row]) -> Vec<f64> {
    let own = pairs::of(rows).into_iter().filter(|it| it.workload == finding.workload).flat_map(|it| it.rows);
    let change = |it: [&Row; 2]| {
        let positive = |row: &Row| row.figure(finding.metric).filter(|it| *it > 0.0);
        Some(positive(it[1])? / positive(it[0])? - 1.0)
    };
    own.filter_map(change).collect()
}

fn said(it: &Finding, strip: &[f64]) -> Option<String> {
    let (low, high) = (it.change_low?, it.change_high?);
    let least = strip.iter().copied().reduce(f64::min)?;
    let greatest = strip.iter().copied().reduce(f64::max)?;
    Some(format!(
        "{} of {}: {} pairs from {} to {}, the interval of their middle is {} to {}, a change matters from {}: {}.",
        it.metric,
        it.workload,
        strip.len(),
        percent(least),
        percent(greatest),
        percent(low),
        percent(high),
        share(it.threshold),
        it.verdict.name()
    ))
}

fn draw(it: &Finding, strip: &[f64]) -> Markup {
    let interval = it.change_low.zip(it.change_high);
    let edges = interval.map(|(low, high)| [low, high]).unwrap_or_default();
    let marks = [it.threshold, -it.threshold];
    let reach = strip.iter().chain(&edges).chain(&marks).map(|it| it.abs()).fold(0.01, f64::max);
    let x = |share: f64| n(WIDTH / 2.0 + share / reach * (WIDTH / 2.0 - MARGIN));
    let y = HEIGHT / 2.0;
    let pairs: Vec<String> = strip.iter().map(|it| percent(*it)).collect();
    html! {
        svg.strip viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(format!("pairs: {}", pairs.join(", "))) {
            line.g x1=(x(0.0)) x2=(x(0.0)) y1="0" y2=(n(HEIGHT)) {}
            @for at in marks { line.slo x1=(x(at)) x2=(x(at)) y1="0" y2=(n(HEIGHT)) {} }
            @for (value, said) in strip.iter().zip(&pairs) {
                (mark(0, (WIDTH / 2.0 + value / reach * (WIDTH / 2.0 - MARGIN), y), said))
            }
            @if let (Some((low, high)), Some(middle)) = (interval, it.change) {
                line.band x1=(x(low)) x2=(x(high)) y1=(n(y)) y2=(n(y)) {}
                line.band x1=(x(middle)) x2=(x(middle)) y1=(n(y - 5.0)) y2=(n(y + 5.0)) {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::kept::Kept;
    use crate::verdict::made::rates;

    fn drawn(rows: Vec<Row>) -> (Picture, String) {
        let kept = Kept { rows, ..Kept::default() };
        let picture = picture(&Comparison::of(&kept).unwrap(), &kept.rows);
        let body = picture.body.clone().into_string();
        (picture, body)
    }

    #[test]
    fn every_pair_is_a_dot_and_the_interval_stands_beside_in_words() {
        let (picture, body) = drawn(rates(10, 0.7, 0.02));
        assert_eq!(body.matches("class=\"m c0\"").count(), 10);
        assert!(body.contains("pairs: -30.3 %") && body.contains(">worse<"), "{body}");
        let words = picture.words.join("\n");
        assert!(words.contains("A is target-a, B is target-b."), "{words}");
        assert!(words.contains("mb_s of w: 10 pairs from -31.1 % to -28.6 %"), "{words}");
        assert!(words.contains("a change matters from 5.0 %: worse."), "{words}");
    }

    #[test]
    fn a_figure_without_an_interval_is_a_line_of_the_table_and_no_sentence() {
        let (picture, body) = drawn(rates(1, 0.7, 0.0));
        assert!(body.contains("mb_s") && !body.contains("band"), "{body}");
        assert!(picture.words.iter().all(|it| !it.contains("mb_s of w")), "{:?}", picture.words);
    }
}
