//! What is printed at the end: a table with a line a metric, the verdict in a sentence, a document, the exit code.

use std::path::PathBuf;

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;

use super::exit::{self, Ended};
use crate::verdict::gates::Passage;
use crate::verdict::judge::{Beside, Finding};
use crate::verdict::noise::Noise;
use crate::verdict::rule::ERROR;
use crate::verdict::words::{HEADS, cells, figure, share};
use crate::verdict::{Judgement, Verdict};

const NOISE_HEADS: [&str; 8] =
    ["workload", "figure", "pairs scatter", "threshold", "10 pairs see", "20 pairs see", "10 % costs", "25 % costs"];
/// Version of the document.
const SCHEMA: u32 = 1;

/// All that is told.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) names: [String; 2],
    pub(super) judgement: Option<Judgement>,
    pub(super) passages: Vec<Passage>,
    pub(super) noise: Vec<Noise>,
    pub(super) is_aa: bool,
    pub(super) warnings: Vec<String>,
    pub(super) folder: Option<PathBuf>,
    pub(super) ended: Ended,
    /// Whether the rows were there before: then nothing can be measured on.
    pub(super) is_stored: bool,
}

impl Told {
    pub(super) fn with(self, judgement: Judgement) -> Self {
        Self { judgement: Some(judgement), ..self }
    }

    fn verdict(&self) -> Verdict {
        self.judgement.as_ref().map_or(Verdict::NoData, |it| it.verdict)
    }

    fn findings(&self) -> &[Finding] {
        self.judgement.as_ref().map_or(&[], |it| &it.findings)
    }

    fn beside(&self) -> &[Beside] {
        self.judgement.as_ref().map_or(&[], |it| &it.beside)
    }

    fn is_believed(&self) -> bool {
        self.judgement.as_ref().is_none_or(|it| it.invalid.is_empty() && !it.is_false_alarm(self.is_aa))
    }

    fn sentence(&self) -> String {
        let sentence = self.judgement.as_ref().map_or_else(String::new, |it| it.sentence(self.is_aa));
        let folder = self.folder.as_ref().map_or_else(|| "FOLDER".to_owned(), |it| it.display().to_string());
        let pairs = self.judgement.as_ref().map_or(0, |it| it.pairs);
        match &self.ended {
            Ended::Interrupted => format!("interrupted after {pairs} pairs: go on with --resume {folder}"),
            Ended::Broken(why) => format!("invalid, it ended after {pairs} pairs: {why}; go on with --resume {folder}"),
            Ended::Whole if self.verdict().is_open() && self.is_believed() && !self.is_stored && !self.is_aa => {
                format!("{sentence}. More --pairs or a longer --budget go on from here with --resume {folder}")
            }
            Ended::Whole => sentence,
        }
    }

    /// The exit code: the first of those that `--help` names.
    pub(super) fn code(&self) -> u8 {
        let verdict = exit::code_of(self.verdict());
        match () {
            () if self.ended == Ended::Interrupted => exit::INTERRUPTED,
            () if self.ended != Ended::Whole || !self.is_believed() => exit::INVALID,
            () if verdict == exit::INVALID => exit::INVALID,
            () if self.passages.iter().any(|it| !it.is_met) => exit::GATE,
            () if self.is_aa => 0,
            () => verdict,
        }
    }
}

/// The table, and what has to be known to read it.
pub(super) fn text(told: &Told, sensitivity: Option<f64>) -> String {
    let mut lines = vec![format!("A is {}, B is {}", told.names[0], told.names[1])];
    if !told.findings().is_empty() {
        lines.push(findings(told.findings()));
        let level = 100.0 * (1.0 - ERROR);
        lines.push(format!("Intervals hold at all looks and for all figures together, {level:.0} %. A change matters beyond either end of `matters from`."));
    }
    lines.extend(told.beside().iter().map(beside));
    if told.findings().iter().any(|it| it.one_side_client_bound) {
        lines.push("* the client was the limit of one side: the brokers differ by at least this".to_owned());
    }
    if !told.noise.is_empty() {
        lines.push(noise(&told.noise, sensitivity));
    }
    lines.extend(told.passages.iter().map(passage));
    lines.extend(told.warnings.iter().map(|it| format!("warning: {it}")));
    lines.extend(told.folder.iter().map(|it| format!("Kept in {}", it.display())));
    lines.push(told.sentence());
    lines.join("\n")
}

fn findings(findings: &[Finding]) -> String {
    let mut table = table_of(&HEADS);
    for it in findings {
        table.add_row(cells(it).map(Cell::new));
    }
    aligned(table)
}

fn beside(it: &Beside) -> String {
    let unit = if it.unit.is_empty() { String::new() } else { format!(" {}", it.unit) };
    format!("beside: {} of {}: A {}, B {}{unit}", it.metric, it.workload, figure(Some(it.a)), figure(Some(it.b)))
}

fn noise(noise: &[Noise], sensitivity: Option<f64>) -> String {
    let among = noise.len();
    let mut heads: Vec<String> = NOISE_HEADS.iter().map(|it| (*it).to_owned()).collect();
    heads.extend(sensitivity.map(|it| format!("{} costs", share(it))));
    let mut table = table_of(&heads);
    let pairs = |it: Option<usize>| it.map_or_else(|| "not seen".to_owned(), |it| format!("{it} pairs"));
    for it in noise {
        let mut cells = vec![
            it.workload.clone(),
            it.metric.to_owned(),
            share(it.deviation),
            share(it.learned),
            share(it.least_seen(10, among)),
            share(it.least_seen(20, among)),
            pairs(it.pairs_for(0.10, among)),
            pairs(it.pairs_for(0.25, among)),
        ];
        cells.extend(sensitivity.map(|wanted| pairs(it.pairs_for(wanted, among))));
        table.add_row(cells);
    }
    let words = "`see`: the least change that is told as worse in four of five comparisons; `threshold`: what --noise FOLDER of this run makes of it.";
    format!("{}\n{words}", aligned(table))
}

fn passage(it: &Passage) -> String {
    let workload = if it.workload.is_empty() { String::new() } else { format!(" ({})", it.workload) };
    match (it.value, it.bound) {
        (Some(value), Some(bound)) => {
            let word = if it.is_met { "met" } else { "NOT met" };
            format!("gate {word}: {}{workload}: {} against {}", it.check, figure(Some(value)), figure(Some(bound)))
        }
        _ => format!("gate NOT met: {}{workload}: no row has the figure", it.check),
    }
}

fn table_of<T: AsRef<str>>(heads: &[T]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(heads.iter().map(AsRef::as_ref));
    table
}

fn aligned(mut table: Table) -> String {
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// The same as Markdown: for a pull request.
pub(super) fn markdown(told: &Told) -> String {
    let row = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let mut lines = vec![
        format!("**{}**", told.sentence()),
        String::new(),
        format!("A is {}, B is {}.", told.names[0], told.names[1]),
    ];
    lines.push(String::new());
    lines.push(row(&HEADS.map(str::to_owned)));
    lines.push(row(&HEADS.map(|_| "---".to_owned())));
    lines.extend(told.findings().iter().map(|it| row(&cells(it))));
    lines.push(String::new());
    lines.extend(told.passages.iter().map(|it| format!("- {}", passage(it))));
    lines.extend(told.warnings.iter().map(|it| format!("- warning: {it}")));
    lines.join("\n") + "\n"
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    verdict: Verdict,
    sentence: String,
    exit_code: u8,
    a: &'a str,
    b: &'a str,
    pairs: usize,
    findings: &'a [Finding],
    beside: &'a [Beside],
    gates: &'a [Passage],
    noise: &'a [Noise],
    invalid: &'a [String],
    warnings: &'a [String],
    folder: Option<String>,
}

/// The document of `--json`. Changes and thresholds are shares: 0.05 is 5 %.
pub(super) fn json(told: &Told) -> String {
    let document = Document {
        schema: SCHEMA,
        verdict: told.verdict(),
        sentence: told.sentence(),
        exit_code: told.code(),
        a: &told.names[0],
        b: &told.names[1],
        pairs: told.judgement.as_ref().map_or(0, |it| it.pairs),
        findings: told.findings(),
        beside: told.beside(),
        gates: &told.passages,
        noise: &told.noise,
        invalid: told.judgement.as_ref().map_or(&[], |it| &it.invalid),
        warnings: &told.warnings,
        folder: told.folder.as_ref().map(|it| it.display().to_string()),
    };
    // Plain numbers and strings: there is nothing in it that JSON could refuse.
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::results::columns::Row;
    use crate::verdict::made::{rates, row};
    use crate::verdict::rule::Levels;
    use crate::verdict::{Rules, gates, judge, noise};

    fn told(rows: &[Row]) -> Told {
        let rules = Rules { asked: BTreeMap::new(), noise: BTreeMap::new(), levels: Levels::new(20) };
        let names = ["old".to_owned(), "new".to_owned()];
        Told { names, ..Told::default() }.with(judge(rows, &rules, true))
    }

    #[test]
    fn each_end_has_its_exit_code() {
        assert_eq!(told(&rates(10, 1.0, 0.005)).code(), 0);
        assert_eq!(told(&rates(10, 1.3, 0.005)).code(), 0);
        assert_eq!(told(&rates(10, 0.7, 0.005)).code(), 1);
        assert_eq!(told(&rates(10, 1.0, 0.4)).code(), 3);
        assert_eq!(told(&[]).code(), 4);
        let mut bound = rates(10, 1.0, 0.005);
        bound.iter_mut().for_each(|it| it.bottleneck = "client-core".to_owned());
        assert_eq!(told(&bound).code(), 4);
        let mut lost = rates(10, 0.7, 0.005);
        let why = format!("{}: 1 lost", crate::run::LEDGER_FAULT);
        lost.push(Row { validity: "invalid".to_owned(), why, ..row("w", "b", 11, false) });
        assert_eq!(told(&lost).code(), 4, "before worse");
        assert_eq!(Told { ended: Ended::Interrupted, ..told(&lost) }.code(), 130);
        assert_eq!(Told { ended: Ended::Broken("x".to_owned()), ..told(&rates(10, 1.0, 0.0)) }.code(), 4);
    }

    #[test]
    fn a_gate_that_is_not_met_comes_before_worse_and_an_alarm_of_equal_sides_before_all() {
        let rows = rates(10, 0.7, 0.005);
        let gates = gates::parse("g", "[[gate]]\ncheck = \"mb_s >= baseline * 0.95\"").unwrap();
        let failed = Told { passages: gates::hold(&gates, &rows), ..told(&rows) };
        assert_eq!(failed.code(), 5);
        assert!(text(&failed, None).contains("gate NOT met: mb_s >= baseline * 0.95 (w): "));
        let alarm = Told { is_aa: true, ..told(&rows) };
        assert!(alarm.code() == 4 && text(&alarm, None).contains("told apart"));
        assert_eq!(
            Told { is_aa: true, ..told(&rates(10, 1.0, 0.4)) }.code(),
            0,
            "noise that was learned is no failure"
        );
    }

    #[test]
    fn the_text_says_what_changed_by_how_much_and_how_sure_that_is() {
        let text = text(&told(&rates(10, 0.7, 0.02)), None);
        for part in ["A is old, B is new", "mb_s", "100.0", "worse after 10 pairs: mb_s of w changed by -"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let open = super::text(&told(&rates(10, 1.0, 0.4)), None);
        assert!(open.contains("would settle it"), "{open}");
        let few = super::text(&told(&rates(4, 1.0, 0.4)), None);
        assert!(few.contains("4 pairs are too few"), "{few}");
    }

    #[test]
    fn what_ended_early_says_so_and_how_to_go_on_and_rows_that_are_kept_have_no_such_advice() {
        let last = |told: &Told| text(told, None).lines().last().unwrap().to_owned();
        let folder = Some(PathBuf::from("results/x"));
        let stopped = Told { ended: Ended::Interrupted, folder: folder.clone(), ..told(&rates(4, 1.0, 0.4)) };
        assert_eq!(last(&stopped), "interrupted after 4 pairs: go on with --resume results/x");
        assert!(markdown(&stopped).starts_with("**interrupted"));
        let broken = Told { ended: Ended::Broken("no room".to_owned()), ..stopped };
        assert!(last(&broken).contains("no room") && last(&broken).contains("--resume results/x"), "{}", last(&broken));
        for pairs in [4, 10] {
            let open = Told { folder: folder.clone(), ..told(&rates(pairs, 1.0, 0.4)) };
            assert!(last(&open).contains("More --pairs or a longer --budget"), "{}", last(&open));
            let kept = Told { is_stored: true, ..open };
            assert!(last(&kept).starts_with("inconclusive") && !last(&kept).contains("--"), "{}", last(&kept));
        }
        for ratio in [0.5, 2.0] {
            let few = Told { is_stored: true, ..told(&rates(3, ratio, 0.0)) };
            assert_eq!(last(&few), "inconclusive: 3 pairs are too few, 6 are the least", "either way round");
        }
    }

    #[test]
    fn the_noise_says_what_a_sensitivity_costs() {
        let rows = rates(20, 1.0, 0.1);
        let told = Told { noise: noise::of(&rows, 20), is_aa: true, ..told(&rows) };
        let text = text(&told, Some(0.15));
        assert!(text.contains("15.0 % costs") && text.contains("pairs scatter"), "{text}");
    }

    #[test]
    fn markdown_and_json_say_the_same() {
        let told = told(&rates(10, 0.7, 0.005));
        let markdown = markdown(&told);
        assert!(markdown.starts_with("**worse after 10 pairs") && markdown.contains("| w | mb_s |"), "{markdown}");
        let document: serde_json::Value = serde_json::from_str(&json(&told)).unwrap();
        assert_eq!((document["verdict"].as_str(), document["exit_code"].as_u64()), (Some("worse"), Some(1)));
        assert!(document["findings"][0]["change"].as_f64().is_some_and(|it| (it + 0.3).abs() < 0.01));
    }
}
