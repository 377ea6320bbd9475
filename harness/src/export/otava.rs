//! Apache Otava: change points along the rows of many runs.
//!
//! Otava takes rows.csv as it is, but one series a file: no second workload or target, no row without a figure. So each cell
//! gets a file of its own with the columns of rows.csv, all runs in the order of their time, and otava.yaml names the
//! columns that are filled in all of its rows.

use super::{File, TRACKED, distinct, file_name};
use crate::report::cells::Cells;
use crate::report::kept::Kept;
use crate::results::columns::{COLUMNS, Row, header};

/// The configuration's name.
const CONFIG: &str = "otava.yaml";

pub(super) fn files(runs: &[Kept]) -> Vec<File> {
    let mut rows: Vec<Row> = runs.iter().flat_map(|it| it.rows.iter().cloned()).collect();
    rows.retain(|it| it.is_measured() && !it.time.is_empty());
    rows.sort_by(|a, b| a.time.cmp(&b.time));
    let cells = Cells::of(&rows);
    let stem = |it: &crate::report::cells::Cell| file_name(&format!("{}.{}", cells.name(it), it.target));
    let series = cells.all.iter().map(|it| (stem(it), lines(&it.rows))).collect();
    let mut files = distinct(series, "csv");
    let tests: String = files.iter().zip(&cells.all).map(|(file, cell)| test(&file.0, &cell.rows)).collect();
    files.push((CONFIG.to_owned(), format!("tests:\n{tests}")));
    files
}

fn lines(rows: &[Row]) -> String {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    // Into memory: there is nothing that could refuse a row.
    rows.iter().for_each(|it| drop(writer.serialize(it)));
    let lines = writer.into_inner().unwrap_or_default();
    format!("{}\n{}", header(), String::from_utf8_lossy(&lines))
}

/// A test of otava.yaml. Names are those of files, so nothing in them is YAML's.
fn test(file: &str, rows: &[Row]) -> String {
    let name = file.trim_end_matches(".csv");
    let head = format!(
        "  {name}:\n    type: csv\n    file: {file}\n    time_column: time\n    attributes: [time, commit, branch]\n"
    );
    let metric = |it: &super::Tracked| {
        let direction = if it.is_more_better { 1 } else { -1 };
        format!("      {}: {{direction: {direction}, scale: 1, column: {}}}\n", it.name, it.name)
    };
    let metrics: String = TRACKED.iter().filter(|it| is_filled(it.name, rows)).map(metric).collect();
    format!("{head}    metrics:\n{metrics}")
}

/// Whether every row has a figure in this column: an empty one ends Otava's reading.
fn is_filled(name: &str, rows: &[Row]) -> bool {
    let Some(at) = COLUMNS.iter().position(|it| it.name == name) else { return false };
    let text = lines(rows);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let is_number = |line: csv::StringRecord| line.get(at).is_some_and(|it| it.parse::<f64>().is_ok());
    reader.records().all(|line| line.is_ok_and(is_number))
}

#[cfg(test)]
mod tests {
    use super::super::{Format, tests};
    use super::*;
    use crate::report::cells::tests::row;

    #[test]
    fn each_cell_is_a_series_of_its_own_with_the_columns_of_rows_csv() {
        let files = tests::files(Format::Otava);
        assert_eq!(files.len(), 8 + 1);
        let (name, text) = &files[0];
        assert_eq!((name.as_str(), text.lines().count()), ("produce-1k.ringlog.csv", 1 + 3));
        assert_eq!(text.lines().next(), Some(header().as_str()));
        let config = &files.last().unwrap().1;
        assert_eq!(config.matches("type: csv").count(), 8);
        let consume = config.split("  consume.ringlog:").nth(1).unwrap().split("type: csv").nth(1).unwrap();
        assert!(consume.contains("mb_s: {direction: 1") && !consume.contains("response_us_p99"), "{consume}");
    }

    #[test]
    fn runs_are_one_series_in_the_order_of_their_time_and_rows_without_figures_are_left_out() {
        let at = |time: &str, mb_s| Row { time: time.to_owned(), ..row("t", 1, 0.0, 1, mb_s) };
        let later = Kept { rows: vec![at("2026-02-01T00:00:00Z", 2.0)], ..Kept::default() };
        let refused = Row { validity: "invalid".to_owned(), mb_s: None, ..at("2026-01-02T00:00:00Z", 0.0) };
        let earlier = Kept { rows: vec![at("2026-01-01T00:00:00Z", 1.0), refused], ..Kept::default() };
        let files = files(&[later, earlier]);
        let times: Vec<&str> = files[0].1.lines().skip(1).map(|it| &it[2..6 + 6]).collect();
        assert_eq!(times, ["2026-01-01", "2026-02-01"]);
    }
}
