//! The verdict of a run: whether to believe it, what it says of its targets, what limited.

use maud::{Markup, html};

use crate::report::cells::{Cell, Cells};
use crate::report::comparison::Comparison;
use crate::report::kept::Kept;
use crate::report::text;
use crate::results::Row;
use crate::run::LEDGER_FAULT;
use crate::run::bottleneck::Bottleneck;
use crate::run::spread::Spread;
use crate::spec::Kind;
use crate::verdict::Verdict as Said;

/// Pairs of targets that are told one by one.
const PAIRS_MAX: usize = 8;
/// From this share of the rows on that something disturbed, the run is told to be rough.
const DISTURBED_MIN: f64 = 0.5;

/// How good a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Good,
    Warn,
    Bad,
}

impl Level {
    fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

struct Verdict {
    level: Level,
    headline: String,
    lines: Vec<String>,
}

pub(super) fn section(kept: &Kept, cells: &Cells) -> Markup {
    let verdict = of(kept, cells);
    html! {
        section id="verdict" {
            div class=(format!("verdict {}", verdict.level.class())) {
                p { b { (verdict.headline) } }
                @for it in &verdict.lines { p { (it) } }
            }
        }
    }
}

/// The same for a terminal.
pub(super) fn lines(kept: &Kept, cells: &Cells) -> Vec<String> {
    let verdict = of(kept, cells);
    std::iter::once(verdict.headline).chain(verdict.lines).collect()
}

fn of(kept: &Kept, cells: &Cells) -> Verdict {
    let subjects: Vec<&Row> = kept.rows.iter().filter(|it| it.role == "subject").collect();
    let measured: Vec<&Row> = subjects.iter().copied().filter(|it| it.is_measured()).collect();
    let (level, headline) = headline(kept, cells, &subjects, &measured);
    let mut lines = Vec::new();
    lines.extend(ledger(&measured));
    let comparison = Comparison::of(kept);
    if comparison.is_none() {
        lines.extend(pairs(cells));
    }
    lines.extend(limits(&measured));
    lines.extend(throttled(cells));
    lines.extend(refused(&subjects));
    match comparison {
        // What nobody may believe comes before what it would say.
        Some(it) if level != Level::Bad => {
            lines.insert(0, headline);
            Verdict { level: level_of(&it), headline: it.headline(), lines }
        }
        _ => Verdict { level, headline, lines },
    }
}

/// How good a comparison is.
fn level_of(comparison: &Comparison) -> Level {
    match comparison.judgement.verdict {
        _ if !comparison.is_believed() => Level::Bad,
        Said::Better | Said::Same => Level::Good,
        Said::Worse => Level::Bad,
        Said::Inconclusive | Said::ClientBound | Said::NoData => Level::Warn,
    }
}

fn headline(kept: &Kept, cells: &Cells, subjects: &[&Row], measured: &[&Row]) -> (Level, String) {
    let of = format!("{} of {}", text::plural(measured.len(), "row"), text::plural(cells.all.len(), "cell"));
    let against = text::list(&cells.targets());
    let disturbed = measured.iter().filter(|it| !it.disturbances.is_empty()).count();
    let faulty: Vec<&str> =
        subjects.iter().filter(|it| it.why.starts_with(LEDGER_FAULT)).map(|it| it.target.as_str()).collect();
    match () {
        () if !faulty.is_empty() => {
            let words = "acknowledged records are missing, doubled, out of order or changed";
            (Level::Bad, format!("Not to be believed: {words} at {}.", faulty[0]))
        }
        () if measured.is_empty() => (Level::Bad, "Nothing was measured.".to_owned()),
        () if kept.manifest.ended.is_empty() => {
            (Level::Warn, format!("This run did not come to its end: {of} against {against} were measured before."))
        }
        () if measured.len() < subjects.len() => {
            let refused = text::plural(subjects.len() - measured.len(), "row");
            let verb = if subjects.len() - measured.len() == 1 { "has" } else { "have" };
            (Level::Warn, format!("Measured {of} against {against}; {refused} {verb} no figures."))
        }
        () if kept.manifest.build == "debug" => {
            (Level::Warn, format!("Measured {of} against {against}, with a debug build: not worth keeping."))
        }
        () if disturbed as f64 >= DISTURBED_MIN * measured.len() as f64 && disturbed > 0 => {
            let words = format!("{} of {} rows were disturbed", text::count(disturbed), text::count(measured.len()));
            (Level::Warn, format!("Measured {of} against {against}, on a machine that was not quiet: {words}."))
        }
        () => (Level::Good, format!("Measured {of} against {against}.")),
    }
}

fn ledger(measured: &[&Row]) -> Option<String> {
    let wrote = measured.iter().filter(|it| it.kind != Kind::Consume.name());
    let verified: u64 = wrote.filter_map(|it| it.ledger_verified_records).sum();
    let words = "were acknowledged, read back and checked: none lost, doubled, out of order or changed.";
    (verified > 0).then(|| format!("{} records {words}", text::grouped(verified as f64)))
}

/// How every other target compares with the first, cell by cell, or in sum where there are many.
fn pairs(cells: &Cells) -> Vec<String> {
    let Some(first) = cells.targets().first().copied() else { return Vec::new() };
    let own = cells.all.iter().filter(|it| it.target == first);
    let pairs: Vec<(&Cell, &Cell, Ratio)> = own
        .flat_map(|a| cells.all.iter().filter(|b| cells.is_pair(a, b)).map(move |b| (a, b)))
        .filter_map(|(a, b)| Some((a, b, Ratio::of(a, b)?)))
        .collect();
    if pairs.len() <= PAIRS_MAX {
        return pairs.iter().map(|(a, b, ratio)| ratio.said(&cells.name(a), &a.target, &b.target)).collect();
    }
    cells.targets()[1..].iter().filter_map(|target| in_sum(&pairs, first, target)).collect()
}

fn in_sum(pairs: &[(&Cell, &Cell, Ratio)], first: &str, target: &str) -> Option<String> {
    let own: Vec<&Ratio> = pairs.iter().filter(|it| it.1.target == target).map(|it| &it.2).collect();
    let spread = Spread::of(own.iter().map(|it| it.goodness()))?;
    let count = |of: &dyn Fn(&&&Ratio) -> bool| text::count(own.iter().filter(of).count());
    let (better, worse) =
        (count(&|it| it.is_sure && it.goodness() > 1.0), count(&|it| it.is_sure && it.goodness() < 1.0));
    let range = {
        let [least, greatest, middle] = [spread.least, spread.greatest, spread.middle].map(text::digits);
        format!("{least} to {greatest}, middle {middle}")
    };
    let cells = text::plural(own.len(), "cell");
    Some(format!(
        "{first} beside {target} in {cells}: better in {better} and worse in {worse} beyond the rounds' scatter, as good by a factor of {range} (rate, or p99 where the rate was set)."
    ))
}

/// A cell of one target beside that of another.
struct Ratio {
    is_offered: bool,
    value: f64,
    own: Spread,
    other: Spread,
    is_sure: bool,
    has_scatter: bool,
}

impl Ratio {
    fn of(a: &Cell, b: &Cell) -> Option<Self> {
        let is_offered = a.rate().is_some();
        let figure = |it: &Cell| if is_offered { it.summary.response_us[1] } else { it.summary.mb_s };
        let (own, other) = (figure(a)?, figure(b).filter(|it| it.middle > 0.0)?);
        let is_apart = own.least > other.greatest || other.least > own.greatest;
        let has_scatter = own.rounds > 1 && other.rounds > 1;
        Some(Self {
            is_offered,
            value: own.middle / other.middle,
            own,
            other,
            is_sure: is_apart && has_scatter,
            has_scatter,
        })
    }

    /// Above 1 where the first is better.
    fn goodness(&self) -> f64 {
        if self.is_offered { 1.0 / self.value } else { self.value }
    }

    fn said(&self, cell: &str, own: &str, other: &str) -> String {
        let (unit, text): (_, fn(f64) -> String) =
            if self.is_offered { ("ms at p99", text::ms) } else { ("MB/s", text::digits) };
        let how = match (self.is_sure, self.has_scatter) {
            (true, _) => "their rounds do not overlap",
            (false, true) => "their rounds overlap: no difference is shown",
            (false, false) => "a single round: its scatter is not known",
        };
        let (a, b) = (text(self.own.middle), text(self.other.middle));
        let as_what = if self.is_offered { "as long" } else { "as much" };
        format!("{cell}: {own} {a} {unit}, {other} {b}: {} {as_what} ({how}).", text::times(self.value))
    }
}

fn limits(measured: &[&Row]) -> Option<String> {
    let of = |it: &Bottleneck| measured.iter().filter(|row| row.bottleneck == it.name()).count();
    let mut met: Vec<(usize, Bottleneck)> =
        Bottleneck::ALL.into_iter().map(|it| (of(&it), it)).filter(|it| it.0 > 0).collect();
    met.sort_by_key(|it| std::cmp::Reverse(it.0));
    let said: Vec<String> =
        met.iter().map(|(rows, it)| format!("{} in {}", it.name(), text::plural(*rows, "row"))).collect();
    (!said.is_empty()).then(|| format!("What limited: {}.", text::list(&said)))
}

/// Cells that reached the rate that they were asked for measure that rate.
fn throttled(cells: &Cells) -> Option<String> {
    let throttled = cells.all.iter().filter(|it| is_throttled(it)).count();
    let verb = if throttled == 1 { "its" } else { "their" };
    let words =
        "is rate times record size and says nothing of their settings; read their response times and processor time";
    (throttled > 0).then(|| {
        let of = format!("{} of {}", text::count(throttled), text::plural(cells.all.len(), "cell"));
        format!("{of} reached the rate that was asked for: {verb} MB/s {words}.")
    })
}

/// Whether a cell's rate is its own schedule's.
pub(super) fn is_throttled(cell: &Cell) -> bool {
    cell.rate().is_some() && cell.summary.bottleneck == Bottleneck::Schedule.name()
}

fn refused(subjects: &[&Row]) -> Vec<String> {
    let mut whys: Vec<(&str, usize)> = Vec::new();
    for row in subjects.iter().filter(|it| !it.is_measured()) {
        match whys.iter_mut().find(|it| it.0 == row.why) {
            Some(why) => why.1 += 1,
            None => whys.push((&row.why, 1)),
        }
    }
    whys.iter()
        .take(PAIRS_MAX)
        .map(|(why, rows)| format!("{} without figures: {why}", text::plural(*rows, "row")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::cells::tests::{row, sweep};
    use crate::results::Manifest;
    use crate::verdict::made::rates;

    fn kept(rows: Vec<Row>) -> Kept {
        let manifest =
            Manifest { ended: "2026-01-02T00:00:00Z".to_owned(), build: "release".to_owned(), ..Manifest::default() };
        Kept { rows, manifest, ..Kept::default() }
    }

    fn verdict(rows: Vec<Row>) -> Verdict {
        let kept = kept(rows);
        of(&kept, &Cells::of(&kept.rows))
    }

    #[test]
    fn a_ledger_that_does_not_add_up_comes_before_everything() {
        let mut rows = sweep();
        (rows[3].validity, rows[3].why) = ("invalid".to_owned(), format!("{LEDGER_FAULT}: 1 lost"));
        let found = verdict(rows);
        assert_eq!(found.level, Level::Bad);
        assert!(
            found.headline.starts_with("Not to be believed") && found.headline.contains("ringlog"),
            "{}",
            found.headline
        );
        assert!(found.lines.iter().any(|it| it.contains("1 row without figures: the ledger does not add up: 1 lost")));
    }

    #[test]
    fn targets_are_compared_cell_by_cell_and_overlap_is_said() {
        let two = |b: f64| {
            vec![
                row("a", 1, 0.0, 1, 10.0),
                row("a", 1, 0.0, 2, 12.0),
                row("b", 1, 0.0, 1, b),
                row("b", 1, 0.0, 2, b + 1.0),
            ]
        };
        let apart = verdict(two(2.0)).lines.join("\n");
        assert!(
            apart.contains("sweep: a 11.0 MB/s, b 2.50: 4.4 times as much (their rounds do not overlap)."),
            "{apart}"
        );
        assert!(verdict(two(11.0)).lines.join("\n").contains("no difference is shown"));
        let sum = verdict(sweep());
        assert_eq!(sum.level, Level::Good);
        let three: Vec<Row> = sweep()
            .into_iter()
            .flat_map(|it| [it.clone(), Row { linger_ms: it.linger_ms.map(|it| it + 1.0), ..it }])
            .collect();
        let lines = verdict(three).lines.join("\n");
        assert!(lines.contains("ringlog beside kafka in 12 cells: better in 12 and worse in 0"), "{lines}");
    }

    #[test]
    fn a_comparison_begins_with_its_verdict_and_a_broken_ledger_still_comes_before_it() {
        let rows = rates(10, 0.7, 0.02);
        let found = verdict(rows.clone());
        assert_eq!(found.level, Level::Bad);
        assert!(
            found.headline.starts_with("target-b (B) against target-a (A): worse after 10 pairs: "),
            "{}",
            found.headline
        );
        assert!(found.lines[0].starts_with("Measured 20 rows"), "{:?}", found.lines);
        assert!(
            !found.lines.iter().any(|it| it.contains("overlap")),
            "pairs are not compared once more: {:?}",
            found.lines
        );
        assert_eq!(verdict(rates(20, 1.0, 0.005)).level, Level::Good);
        assert_eq!(verdict(rates(10, 1.0, 0.4)).level, Level::Warn);
        let mut lost = rows;
        (lost[3].validity, lost[3].why) = ("invalid".to_owned(), format!("{LEDGER_FAULT}: 1 lost"));
        assert!(verdict(lost).headline.starts_with("Not to be believed"));
    }

    #[test]
    fn an_unfinished_a_refused_and_a_noisy_run_are_told_apart() {
        let mut unfinished = kept(sweep());
        unfinished.manifest.ended.clear();
        let found = of(&unfinished, &Cells::of(&unfinished.rows));
        assert!(found.level == Level::Warn && found.headline.contains("did not come to its end"));
        let noisy = verdict(sweep().into_iter().map(|it| Row { disturbances: "steal".to_owned(), ..it }).collect());
        assert!(noisy.level == Level::Warn && noisy.headline.contains("not quiet: 24 of 24"), "{}", noisy.headline);
        assert_eq!(verdict(Vec::new()).headline, "Nothing was measured.");
    }

    #[test]
    fn rows_that_measure_their_own_throttle_are_counted() {
        let throttled =
            Row { rate_records_s: Some(1000.0), bottleneck: "schedule".to_owned(), ..row("a", 1, 0.0, 1, 1.0) };
        let lines = verdict(vec![throttled, row("a", 2, 0.0, 1, 1.0)]).lines.join("\n");
        assert!(lines.contains("1 of 2 cells reached the rate that was asked for"), "{lines}");
    }
}
