//! Rows as a sweep has them: a cell is a workload with its settings against a target, and its rounds are its rows.
//!
//! ```text
//!   rows of subjects --> parameters (columns that say what was asked for) --> cells, in the order of their first rows
//!                        varied: takes several values within one target and kind
//! ```
//!
//! Which columns are parameters is read from the table of columns: those that come from the workload, the options and the
//! client's settings. A column that is added there is a parameter here.

use std::collections::BTreeMap;

use crate::results::columns::{COLUMNS, Column, Row};
use crate::run::summary::{self, Summary};

/// Where the value of a column comes from that says what was asked for.
const ASKED: [&str; 5] = ["workload", "options", "client's settings", "target", "topic"];
/// Columns of these sources that are names or numbers of trials.
const NAMES: [&str; 6] = ["seed", "workload", "kind", "target", "role", "io"];

/// A setting that rows have.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    at: usize,
    /// Its column.
    pub column: &'static Column,
}

impl Parameter {
    /// Its name as Kafka has it, or the column's.
    #[must_use]
    pub fn label(&self) -> &'static str {
        let quoted = self.column.words.trim().strip_prefix('`').and_then(|it| it.split('`').next());
        quoted.unwrap_or(self.column.name)
    }

    /// The name of its column.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.column.name
    }
}

/// A workload with its settings against a target.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The workload's name.
    pub workload: String,
    /// `produce`, `latency`, `consume`.
    pub kind: String,
    /// What it is compared within: the kind, and where a sweep has parts, its part.
    pub group: String,
    /// The target's name.
    pub target: String,
    /// Values of [`Cells::parameters`], as rows.csv has them.
    pub values: Vec<String>,
    /// Its rounds.
    pub rows: Vec<Row>,
    /// The middle of its figures.
    pub summary: Summary,
    /// Whether its workload's name says all: no other cell of its target has it.
    is_alone: bool,
}

impl Cell {
    /// Its rounds that have figures.
    pub fn measured(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|it| it.is_measured())
    }

    /// Whether a row is a round of this cell. One that was refused knows fewer of its settings, which is no difference.
    fn is_of(&self, row: &Row, values: &[String]) -> bool {
        let is_sure = row.is_measured() && self.rows.iter().any(Row::is_measured);
        let is_like = |(a, b): (&String, &String)| a == b || !is_sure && (a.is_empty() || b.is_empty());
        let is_same = self.workload == row.workload && self.target == row.target && self.group == group(row);
        is_same && self.values.iter().zip(values).all(is_like)
    }

    fn identity(&self) -> (String, String) {
        (self.workload.clone(), self.target.clone())
    }

    /// Records a second that were asked for.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        self.rows.first().and_then(|it| it.rate_records_s)
    }
}

/// Every cell of a run.
#[derive(Clone, Debug, Default)]
pub struct Cells {
    /// The settings.
    pub parameters: Vec<Parameter>,
    /// The cells.
    pub all: Vec<Cell>,
    varied: BTreeMap<String, Vec<usize>>,
}

impl Cells {
    /// Of a run's rows. Ceilings are no cells: their share stands in the rows of those that they bound.
    #[must_use]
    pub fn of(rows: &[Row]) -> Self {
        let is_asked = |it: &Column| it.source.split(", ").any(|it| ASKED.contains(&it)) && !NAMES.contains(&it.name);
        let parameters: Vec<Parameter> = COLUMNS
            .iter()
            .enumerate()
            .filter(|(_, it)| is_asked(it))
            .map(|(at, column)| Parameter { at, column })
            .collect();
        let mut all: Vec<Cell> = Vec::new();
        for row in rows.iter().filter(|it| it.role == "subject") {
            let values = values(row, &parameters);
            let own = all.iter_mut().find(|it| it.is_of(row, &values));
            match own {
                Some(cell) => {
                    fill(&mut cell.values, values);
                    cell.rows.push(row.clone());
                }
                None => all.push(Cell {
                    workload: row.workload.clone(),
                    kind: row.kind.clone(),
                    group: group(row),
                    target: row.target.clone(),
                    values,
                    rows: vec![row.clone()],
                    summary: Summary::default(),
                    is_alone: false,
                }),
            }
        }
        let mut names: BTreeMap<(String, String), usize> = BTreeMap::new();
        all.iter().for_each(|it| *names.entry(it.identity()).or_default() += 1);
        for cell in &mut all {
            cell.summary = summary::summaries(&cell.rows).pop().unwrap_or_default();
            cell.is_alone = names.get(&cell.identity()) == Some(&1);
        }
        let mut cells = Self { parameters, all, varied: BTreeMap::new() };
        cells.varied = cells.groups().into_iter().map(|it| (it.to_owned(), cells.find_varied(it))).collect();
        cells
    }

    /// Positions of the parameters that take several values within one target among cells of this group.
    #[must_use]
    pub fn varied(&self, group: &str) -> &[usize] {
        self.varied.get(group).map_or(&[], Vec::as_slice)
    }

    fn find_varied(&self, group: &str) -> Vec<usize> {
        // Rows that do not even say whether they wrote or read say too little of their settings.
        if group.is_empty() {
            return Vec::new();
        }
        let of = |target: &str, at: usize| self.values_of(at, |it| it.group == group && it.target == target).len();
        let is_varied = |at: &usize| self.targets().iter().any(|target| of(target, *at) > 1);
        let varied: Vec<usize> = (0..self.parameters.len()).filter(is_varied).collect();
        let follows = |at: &usize| !varied.iter().any(|of| self.repeats(*at, *of, group));
        varied.iter().copied().filter(follows).collect()
    }

    /// Whether a parameter says nothing that an earlier one does not: a size's distribution beside the size.
    fn repeats(&self, at: usize, of: usize, group: &str) -> bool {
        if of >= at || (self.parameters[of].name(), self.parameters[at].name()) != ("record_bytes", "record_size_dist")
        {
            return false;
        }
        self.all.iter().filter(|it| it.group == group).all(|it| it.values[at] == format!("fixed:{}", it.values[of]))
    }

    /// Values that a parameter takes in these cells, each once, in order.
    #[must_use]
    pub fn values_of(&self, at: usize, of: impl Fn(&Cell) -> bool) -> Vec<String> {
        let mut values: Vec<String> = self.all.iter().filter(|it| of(it)).map(|it| it.values[at].clone()).collect();
        values.retain(|it| !it.is_empty());
        values.sort_by(|a, b| match (a.parse::<f64>(), b.parse::<f64>()) {
            (Ok(a), Ok(b)) => a.total_cmp(&b),
            _ => a.cmp(b),
        });
        values.dedup();
        values
    }

    /// The targets, in the order of their first rows.
    #[must_use]
    pub fn targets(&self) -> Vec<&str> {
        once(self.all.iter().map(|it| it.target.as_str()))
    }

    /// The groups, in the order of their first rows.
    #[must_use]
    pub fn groups(&self) -> Vec<&str> {
        once(self.all.iter().map(|it| it.group.as_str()))
    }

    /// A value as people read it.
    #[must_use]
    pub fn said(&self, at: usize, value: &str) -> String {
        super::text::value(value, self.parameters[at].column.unit)
    }

    /// A cell's name without its target: the workload, and where that says too little, its settings.
    #[must_use]
    pub fn name(&self, cell: &Cell) -> String {
        if cell.is_alone {
            return cell.workload.clone();
        }
        let varied = self.varied(&cell.group);
        let settings = varied.iter().filter(|at| !cell.values[**at].is_empty());
        let said = settings.map(|at| format!("{} {}", self.parameters[*at].label(), self.said(*at, &cell.values[*at])));
        format!("{}: {}", cell.workload, said.collect::<Vec<_>>().join(", "))
    }

    /// Whether two cells are the same but for their targets.
    #[must_use]
    pub fn is_pair(&self, a: &Cell, b: &Cell) -> bool {
        let varied = self.varied(&a.group);
        a.workload == b.workload && a.target != b.target && varied.iter().all(|at| a.values[*at] == b.values[*at])
    }
}

/// A row's kind, and where it is of a sweep with parts, the part.
fn group(row: &Row) -> String {
    match column(row, "part") {
        Some(part) if !part.is_empty() => format!("{part}, {}", row.kind),
        _ => row.kind.clone(),
    }
}

/// The value of a column as rows.csv has it; `None` where there is no such column.
#[must_use]
pub fn column(row: &Row, name: &str) -> Option<String> {
    let at = COLUMNS.iter().position(|it| it.name == name)?;
    record(row).get(at).map(str::to_owned)
}

/// The values of a row, as rows.csv has them. What is `None` is empty.
fn values(row: &Row, parameters: &[Parameter]) -> Vec<String> {
    let record = record(row);
    parameters.iter().map(|it| plain(record.get(it.at).unwrap_or_default())).collect()
}

fn record(row: &Row) -> csv::StringRecord {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    // Numbers and strings into memory: nothing is there that could refuse them.
    let line = writer.serialize(row).ok().and_then(|()| writer.into_inner().ok()).unwrap_or_default();
    let record: Option<Result<csv::StringRecord, csv::Error>> =
        csv::ReaderBuilder::new().has_headers(false).from_reader(&line[..]).records().next();
    record.and_then(Result::ok).unwrap_or_default()
}

/// `5.0` is `5`.
fn plain(text: &str) -> String {
    text.parse::<f64>().map_or_else(|_| text.to_owned(), |it| it.to_string())
}

fn fill(own: &mut [String], values: Vec<String>) {
    for (own, value) in own.iter_mut().zip(values) {
        if own.is_empty() {
            *own = value;
        }
    }
}

fn once<'a>(words: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for word in words {
        if !found.contains(&word) {
            found.push(word);
        }
    }
    found
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::results::columns::validity;

    /// A measured row of a sweep.
    pub(crate) fn row(target: &str, batch: u64, linger: f64, round: u32, mb_s: f64) -> Row {
        Row {
            workload: "sweep".to_owned(),
            kind: "produce".to_owned(),
            target: target.to_owned(),
            role: "subject".to_owned(),
            validity: validity::MEASURED.to_owned(),
            round,
            record_bytes: 1000,
            record_size_dist: "fixed:1000".to_owned(),
            batch_size_bytes: Some(batch),
            linger_ms: Some(linger),
            mb_s: Some(mb_s),
            records_s: Some(mb_s * 1000.0),
            bottleneck: "disk".to_owned(),
            ..Row::default()
        }
    }

    /// Two targets, three batch sizes, two lingers, two rounds: the rate follows the batch and nothing else.
    pub(crate) fn sweep() -> Vec<Row> {
        let mut rows = Vec::new();
        for (target, factor) in [("ringlog", 2.0), ("kafka", 1.0)] {
            for batch in [4096, 16384, 65536] {
                for linger in [0.0, 5.0] {
                    for round in 1..=2 {
                        let noise = f64::from(round) + linger / 10.0;
                        rows.push(row(target, batch, linger, round, factor * (batch as f64 / 100.0 + noise)));
                    }
                }
            }
        }
        rows
    }

    #[test]
    fn rounds_of_one_setting_are_a_cell_and_only_what_varies_is_varied() {
        let cells = Cells::of(&sweep());
        assert_eq!((cells.all.len(), cells.all[0].rows.len()), (12, 2));
        let labels: Vec<&str> = cells.varied("produce").iter().map(|at| cells.parameters[*at].label()).collect();
        assert_eq!(labels, ["batch.size", "linger.ms"]);
        assert_eq!(cells.name(&cells.all[1]), "sweep: batch.size 4 KiB, linger.ms 5 ms");
        assert_eq!(cells.all[0].summary.rounds, 2);
        assert!(cells.is_pair(&cells.all[0], &cells.all[6]) && !cells.is_pair(&cells.all[0], &cells.all[7]));
    }

    #[test]
    fn values_are_in_the_order_of_numbers_and_a_size_s_distribution_is_no_second_setting() {
        let mut rows = vec![row("t", 100_000, 0.0, 1, 1.0), row("t", 9000, 0.0, 1, 1.0)];
        (rows[0].record_bytes, rows[0].record_size_dist) = (100, "fixed:100".to_owned());
        let cells = Cells::of(&rows);
        let varied = cells.varied("produce");
        let labels: Vec<&str> = varied.iter().map(|at| cells.parameters[*at].label()).collect();
        assert_eq!(labels, ["record_bytes", "batch.size"]);
        assert_eq!(cells.values_of(varied[1], |_| true), ["9000", "100000"]);
    }

    #[test]
    fn a_refused_round_that_knows_no_settings_belongs_to_its_cell() {
        let mut rows = vec![row("t", 9000, 0.0, 1, 1.0), row("t", 9000, 0.0, 2, 1.0)];
        (rows[0].batch_size_bytes, rows[0].linger_ms, rows[0].validity) = (None, None, validity::INVALID.to_owned());
        let cells = Cells::of(&rows);
        assert_eq!((cells.all.len(), cells.all[0].summary.refused), (1, 1));
        assert!(cells.all[0].values.contains(&"9000".to_owned()));
    }
}
