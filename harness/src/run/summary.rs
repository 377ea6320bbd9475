//! What is told of a run: the middle of each workload's rounds against each subject, with its spread, from rows alone.

use super::bottleneck::Bottleneck;
use super::spread::Spread;
use crate::results::columns::{Row, validity};

/// One line of the table: a workload against a subject.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// The workload.
    pub workload: String,
    /// The target.
    pub target: String,
    /// Megabytes (10^6) a second; `None` where no round was measured.
    pub mb_s: Option<Spread>,
    /// Records a second.
    pub records_s: Option<Spread>,
    /// Response time in us: 50, 99 and 99.9 of 100.
    pub response_us: [Option<Spread>; 3],
    /// Broker's processor time for a megabyte, in ms.
    pub broker_ms_mb: Option<Spread>,
    /// Client's processor time for a megabyte, in ms.
    pub client_ms_mb: Option<Spread>,
    /// The ceiling that counted in most rounds.
    pub ceiling: String,
    /// Rate as a share of it.
    pub ceiling_share: Option<Spread>,
    /// Why no ceiling counts, where none does.
    pub ceiling_why: String,
    /// What limited in most rounds.
    pub bottleneck: String,
    /// In how many of the rounds.
    pub bottleneck_rounds: usize,
    /// Whether a reader of the figures is to be told that the client was the limit.
    pub is_client_bound: bool,
    /// Rounds that were measured.
    pub rounds: usize,
    /// Why there were no more: `interval`, `time`, `most`, `fixed-rate`.
    pub rounds_end: String,
    /// Rounds without figures.
    pub refused: usize,
    /// Why the first of them has none.
    pub why: String,
}

/// A summary for each workload and subject, in the order of their first rows.
#[must_use]
pub fn summaries(rows: &[Row]) -> Vec<Summary> {
    let mut names: Vec<(&str, &str)> = Vec::new();
    for row in rows.iter().filter(|it| it.role == "subject") {
        let name = (row.workload.as_str(), row.target.as_str());
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.into_iter().map(|(workload, target)| summary(rows, workload, target)).collect()
}

fn summary(rows: &[Row], workload: &str, target: &str) -> Summary {
    let own: Vec<&Row> = rows.iter().filter(|it| it.workload == workload && it.target == target).collect();
    let measured: Vec<&Row> = own.iter().copied().filter(|it| it.is_measured()).collect();
    let refused: Vec<&Row> = own.iter().copied().filter(|it| !it.is_measured()).collect();
    let of = |value: &dyn Fn(&Row) -> Option<f64>| Spread::of(measured.iter().filter_map(|it| value(it)));
    let (ceiling, _) = most(measured.iter().map(|it| it.ceiling.as_str()).filter(|it| !it.is_empty()));
    let share = |it: &Row| it.ceiling_share.filter(|_| it.ceiling == ceiling);
    let (bottleneck, bottleneck_rounds) = most(measured.iter().map(|it| it.bottleneck.as_str()));
    let first_why = measured.iter().map(|it| it.ceiling_why.as_str()).find(|it| !it.is_empty());
    Summary {
        workload: workload.to_owned(),
        target: target.to_owned(),
        mb_s: of(&|it| it.mb_s),
        records_s: of(&|it| it.records_s),
        response_us: [of(&|it| it.response_us_p50), of(&|it| it.response_us_p99), of(&|it| it.response_us_p999)],
        broker_ms_mb: of(&|it| it.broker_cpu_ms_per_mb),
        client_ms_mb: of(&|it| it.client_cpu_ms_per_mb),
        ceiling_share: of(&share),
        ceiling_why: first_why.filter(|_| ceiling.is_empty()).unwrap_or_default().to_owned(),
        ceiling,
        is_client_bound: bottleneck == Bottleneck::ClientCore.name(),
        bottleneck,
        bottleneck_rounds,
        rounds: measured.len(),
        rounds_end: own.last().map(|it| it.rounds_end.clone()).unwrap_or_default(),
        refused: refused.len(),
        why: refused.first().map(|it| it.why.clone()).unwrap_or_default(),
    }
}

/// Warnings: for each kind of disturbance how often it was met, and what went without figures.
#[must_use]
pub fn warnings(rows: &[Row], meaning: impl Fn(&str) -> &'static str) -> Vec<String> {
    let mut kinds: Vec<&str> = rows.iter().flat_map(|it| it.disturbances.split('+')).collect();
    kinds.retain(|it| !it.is_empty());
    kinds.sort_unstable();
    kinds.dedup();
    let met = |kind: &str| {
        let has = |role: &str| {
            let of = rows.iter().filter(|it| it.role == role);
            of.filter(|it| it.disturbances.split('+').any(|it| it == kind)).count()
        };
        let all = rows.iter().filter(|it| it.role == "subject").count();
        let (ours, ceilings) = (has("subject"), has("ceiling"));
        format!("{kind}: {} ({ours} of {all} rows, and {ceilings} of ceilings)", meaning(kind))
    };
    kinds.into_iter().map(met).chain(refused(rows)).collect()
}

/// What has no figures, and why. What was skipped for one reason is told once.
fn refused(rows: &[Row]) -> Vec<String> {
    let is_skipped = |it: &Row| it.validity == validity::SKIPPED;
    let is_alike = |a: &Row, b: &Row| is_skipped(a) && is_skipped(b) && a.target == b.target && a.why == b.why;
    let mut groups: Vec<(&Row, usize)> = Vec::new();
    for row in rows.iter().filter(|it| !it.is_measured()) {
        match groups.iter_mut().find(|it| is_alike(it.0, row)) {
            Some(group) => group.1 += 1,
            None => groups.push((row, 1)),
        }
    }
    let told = |(row, count): (&Row, usize)| {
        let Row { workload, target, round, why, .. } = row;
        let what = match (is_skipped(row), count) {
            (false, _) => "has no figures".to_owned(),
            (true, 1) => "was skipped".to_owned(),
            (true, _) => format!("and {} trials after it were skipped", count - 1),
        };
        format!("{workload} against {target}, round {round}, {what}: {why}")
    };
    groups.into_iter().map(told).collect()
}

/// The word that comes most often, and how often; of several the first.
fn most<'a>(words: impl Iterator<Item = &'a str>) -> (String, usize) {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for word in words {
        match counts.iter_mut().find(|it| it.0 == word) {
            Some(count) => count.1 += 1,
            None => counts.push((word, 1)),
        }
    }
    let top = counts.into_iter().reduce(|a, b| if b.1 > a.1 { b } else { a });
    top.map_or((String::new(), 0), |(word, count)| (word.to_owned(), count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_that_were_skipped_for_one_reason_are_told_once() {
        let refused = |round: u32, validity: &str, target: &str| Row {
            workload: "w".to_owned(),
            target: target.to_owned(),
            round,
            validity: validity.to_owned(),
            why: format!("{target} is gone"),
            ..Row::default()
        };
        let skipped = |round, target| refused(round, validity::SKIPPED, target);
        let rows =
            [refused(1, validity::INVALID, "b"), skipped(2, "b"), skipped(2, "c"), skipped(3, "b"), skipped(4, "b")];
        let told = warnings(&rows, |_| "");
        assert_eq!(
            told,
            [
                "w against b, round 1, has no figures: b is gone",
                "w against b, round 2, and 2 trials after it were skipped: b is gone",
                "w against c, round 2, was skipped: c is gone",
            ]
        );
    }

    fn row(round: u32, mb_s: f64, bottleneck: &str) -> Row {
        Row {
            workload: "w".to_owned(),
            target: "t".to_owned(),
            role: "subject".to_owned(),
            validity: validity::MEASURED.to_owned(),
            round,
            mb_s: Some(mb_s),
            bottleneck: bottleneck.to_owned(),
            ..Row::default()
        }
    }

    #[test]
    fn a_figure_comes_with_its_spread_and_with_what_limited_most_rounds() {
        let mut rows = vec![row(1, 277.0, "disk"), row(2, 506.0, "broker-core"), row(3, 512.0, "disk")];
        rows[2].rounds_end = "time".to_owned();
        let all = summaries(&rows);
        let rate = all[0].mb_s.unwrap();
        assert_eq!((all.len(), rate.middle, rate.least, rate.greatest), (1, 506.0, 277.0, 512.0));
        assert_eq!((all[0].bottleneck.as_str(), all[0].bottleneck_rounds, all[0].rounds), ("disk", 2, 3));
        assert_eq!(all[0].rounds_end, "time");
        assert_eq!(all[0].broker_ms_mb, None, "what is not known is not zero");
    }

    #[test]
    fn a_share_is_of_the_ceiling_that_counted_in_most_rounds() {
        let mut rows: Vec<Row> = (1..=3).map(|round| row(round, 100.0, "disk")).collect();
        for (row, (ceiling, share)) in rows.iter_mut().zip([("append", 0.5), ("receive", 0.2), ("append", 0.6)]) {
            (row.ceiling, row.ceiling_share) = (ceiling.to_owned(), Some(share));
        }
        let summary = &summaries(&rows)[0];
        assert_eq!((summary.ceiling.as_str(), summary.ceiling_share.unwrap().least), ("append", 0.5));
        rows.iter_mut().for_each(|it| (it.ceiling, it.ceiling_share) = (String::new(), None));
        rows[1].ceiling_why = "receive limited by the client".to_owned();
        let summary = &summaries(&rows)[0];
        assert_eq!((summary.ceiling_share, summary.ceiling_why.as_str()), (None, "receive limited by the client"));
    }

    #[test]
    fn rounds_without_figures_are_counted_and_told() {
        let mut bad = row(2, 0.0, "");
        (bad.validity, bad.mb_s, bad.why) =
            (validity::INVALID.to_owned(), None, "the broker's process ended".to_owned());
        let rows = [Row { disturbances: "steal".to_owned(), ..row(1, 100.0, "none") }, bad];
        let summary = &summaries(&rows)[0];
        assert_eq!((summary.rounds, summary.refused, summary.mb_s.unwrap().rounds), (1, 1, 1));
        let told = warnings(&rows, |_| "words");
        assert_eq!(told[0], "steal: words (1 of 2 rows, and 0 of ceilings)");
        assert!(told[1].contains("round 2, has no figures: the broker's process ended"), "{told:?}");
    }
}
