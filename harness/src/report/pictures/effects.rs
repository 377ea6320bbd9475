//! What each setting did: cells that differ in one setting alone are laid side by side.
//!
//! ```text
//!   for a setting: groups of cells of one target that agree in all others
//!   of a group:    its best value against its worst; sure, where their rounds do not overlap
//! ```

use maud::html;

use super::{Drawn, Picture};
use crate::report::cells::{Cell, Cells};
use crate::report::text;
use crate::run::spread::Spread;

/// What a setting did to one target's figure.
#[derive(Clone, Debug, PartialEq)]
struct Effect {
    target: String,
    group: String,
    setting: &'static str,
    metric: &'static str,
    /// The value that was best in most groups, and the one that was worst.
    best: String,
    worst: String,
    /// Best to worst, the middle of the groups, at least 1.
    ratio: f64,
    groups: usize,
    /// Groups in which the rounds of best and worst do not overlap.
    sure: usize,
    /// Groups with a single round, whose scatter is not known.
    alone: usize,
}

impl Effect {
    fn is_sure(&self) -> bool {
        2 * self.sure > self.groups
    }
}

/// The best cell of a group with its figure, and the worst.
type Pair<'a> = (&'a Cell, Spread, &'a Cell, Spread);

/// The table of effects.
pub(in crate::report) fn picture(cells: &Cells) -> Drawn {
    let mut effects: Vec<Effect> = cells.groups().into_iter().flat_map(|group| of_group(cells, group)).collect();
    if effects.is_empty() {
        return Err("no effect of a setting: no two cells differ in one setting alone".to_owned());
    }
    effects.sort_by(|a, b| b.is_sure().cmp(&a.is_sure()).then(b.ratio.total_cmp(&a.ratio)));
    let words = said(&effects);
    let body = html! {
        div.wide { table {
            thead { tr {
                th { "setting" } th { "target" } th { "load" } th { "figure" } th { "best" } th { "worst" } th.r { "best to worst" } th { "beyond the rounds' scatter" }
            } }
            tbody { @for it in &effects {
                tr.quiet[!it.is_sure()] {
                    td { (it.setting) } td { (it.target) } td { (it.group) } td { (it.metric) } td { (it.best) } td { (it.worst) }
                    td.r { (text::times(it.ratio)) } td { (scatter(it)) }
                }
            } }
        } }
    };
    Ok(Picture { id: "effects", title: "What did each setting do?", words, body })
}

fn scatter(effect: &Effect) -> String {
    let of = text::plural(effect.groups, "comparison");
    match (effect.sure, effect.alone) {
        (_, alone) if alone == effect.groups => format!("not known: one round each ({of})"),
        (sure, _) => format!("in {} of {of}", text::count(sure)),
    }
}

fn said(effects: &[Effect]) -> Vec<String> {
    let mut words = Vec::new();
    let named = |it: &Effect| format!("{} ({}, {})", it.setting, it.target, it.group);
    let sure: Vec<&Effect> = effects.iter().filter(|it| it.is_sure()).collect();
    let known: Vec<&Effect> = effects.iter().filter(|it| it.alone < it.groups).collect();
    for it in sure.iter().take(4) {
        let how = format!("{} at {} is {} as good as at {}", it.metric, it.best, text::times(it.ratio), it.worst);
        words.push(format!("{} matters: {how}.", named(it)));
    }
    let quiet: Vec<String> = known.iter().filter(|it| !it.is_sure()).map(|it| named(it)).collect();
    if !quiet.is_empty() {
        words.push(format!("Within the rounds' own scatter: {}.", text::list(&quiet)));
    }
    if known.is_empty() {
        words.push("Each cell had one round: whether a difference is more than scatter is not known.".to_owned());
    }
    words
}

fn of_group(cells: &Cells, group: &str) -> Vec<Effect> {
    let varied = cells.varied(group);
    let mut effects = Vec::new();
    for target in cells.targets() {
        let own: Vec<&Cell> = cells.all.iter().filter(|it| it.group == group && it.target == target).collect();
        for at in varied {
            // The offered rate is the ladder's.
            if cells.parameters[*at].name() != "rate_records_s" {
                effects.extend(effect(cells, &own, varied, *at));
            }
        }
    }
    effects
}

fn effect(cells: &Cells, own: &[&Cell], varied: &[usize], at: usize) -> Option<Effect> {
    let is_offered = own.iter().filter(|it| it.rate().is_some()).count() * 2 > own.len();
    let figure = |it: &Cell| if is_offered { it.summary.response_us[1] } else { it.summary.mb_s };
    let goodness = |it: Spread| if is_offered { -it.middle } else { it.middle };
    let mut found: Vec<Pair<'_>> = Vec::new();
    for (first, cell) in own.iter().enumerate() {
        let agrees = |it: &&&Cell| varied.iter().all(|of| *of == at || it.values[*of] == cell.values[*of]);
        if own[..first].iter().any(|it| agrees(&it)) {
            continue;
        }
        let group = own.iter().filter(agrees).filter_map(|it| Some((*it, figure(it).filter(|it| it.middle > 0.0)?)));
        let group: Vec<(&Cell, Spread)> = group.collect();
        let by = |a: &&(&Cell, Spread), b: &&(&Cell, Spread)| goodness(a.1).total_cmp(&goodness(b.1));
        let (Some(best), Some(worst)) = (group.iter().max_by(by), group.iter().min_by(by)) else { continue };
        if group.len() > 1 && best.0.values[at] != worst.0.values[at] {
            found.push((best.0, best.1, worst.0, worst.1));
        }
    }
    let first = found.first()?;
    let ratio = |a: f64, b: f64| if a > b { a / b } else { b / a };
    let most = |of: &dyn Fn(&Pair<'_>) -> String| {
        let all: Vec<String> = found.iter().map(of).collect();
        let count = |value: &String| all.iter().filter(|it| *it == value).count();
        all.iter().max_by_key(|it| count(it)).cloned().unwrap_or_default()
    };
    Some(Effect {
        target: first.0.target.clone(),
        group: first.0.group.clone(),
        setting: cells.parameters[at].label(),
        metric: if is_offered { "p99" } else { "MB/s" },
        best: most(&|it| cells.said(at, &it.0.values[at])),
        worst: most(&|it| cells.said(at, &it.2.values[at])),
        ratio: Spread::of(found.iter().map(|it| ratio(it.1.middle, it.3.middle))).map_or(1.0, |it| it.middle),
        groups: found.len(),
        sure: found.iter().filter(|it| !is_alone(it) && is_apart(it.1, it.3)).count(),
        alone: found.iter().filter(|it| is_alone(it)).count(),
    })
}

fn is_alone((_, best, _, worst): &Pair<'_>) -> bool {
    best.rounds < 2 || worst.rounds < 2
}

fn is_apart(a: Spread, b: Spread) -> bool {
    a.least > b.greatest || b.least > a.greatest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::cells::tests::{row, sweep};

    #[test]
    fn a_setting_that_matters_is_said_to_and_one_that_does_not_is_not() {
        let cells = Cells::of(&sweep());
        let effects = of_group(&cells, "produce");
        let of = |setting: &str| effects.iter().find(|it| it.target == "ringlog" && it.setting == setting).unwrap();
        let batch = of("batch.size");
        assert_eq!((batch.best.as_str(), batch.worst.as_str(), batch.groups, batch.sure), ("64 KiB", "4 KiB", 2, 2));
        assert!(batch.ratio > 10.0 && batch.is_sure());
        assert!(!of("linger.ms").is_sure(), "{:?}", of("linger.ms"));
        let words = picture(&cells).unwrap().words;
        assert!(words[0].starts_with("batch.size (") && words[0].contains("at 64 KiB"), "{words:?}");
        assert!(words.last().unwrap().contains("Within the rounds' own scatter: linger.ms (ringlog"), "{words:?}");
    }

    #[test]
    fn with_one_round_nothing_is_said_of_scatter() {
        let rows: Vec<_> = sweep().into_iter().filter(|it| it.round == 1).collect();
        let drawn = picture(&Cells::of(&rows)).unwrap();
        assert_eq!(drawn.words, ["Each cell had one round: whether a difference is more than scatter is not known."]);
        assert!(drawn.body.into_string().contains("not known: one round each"));
    }

    #[test]
    fn cells_that_differ_in_two_settings_are_not_compared() {
        let rows = [row("t", 4096, 0.0, 1, 1.0), row("t", 16384, 5.0, 1, 9.0)];
        assert!(picture(&Cells::of(&rows)).is_err());
    }
}
