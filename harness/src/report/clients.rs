//! The table of a run of clients (`ringlog bench --client`): what a record costs each, and how that compares.
//!
//! Factors are to the first client of the run, within each round, so that what changes from round to round is in both.

use comfy_table::{Cell, CellAlignment, Table, presets};

use super::text::{digits, grouped};
use crate::results::columns::Row;
use crate::run::spread::Spread;

const HEADS: [&str; 8] = [
    "workload",
    "client",
    "M records\nper CPU s",
    "the first client\nto this one",
    "CPU ms/MB",
    "start\nCPU ms",
    "records/s",
    "rounds",
];
/// What the table says and does not.
pub const WORDS: [&str; 3] = [
    "CPU is that of the client's process, beyond that of a run of few records (start, connecting, ending), which stands beside it; \
     records/s are of the whole run. Below each figure stand the least and the greatest round.",
    "Kafka's tool is a JVM that compiles its code while it is measured: the longer its run, the less of that is in it.",
    "Every client moved as many records as it was told to, and the broker held as many as were written, by its offsets: \
     there is no ledger of another program's records.",
];
/// What stands where nothing is known.
const UNKNOWN: &str = "-";

/// The table; `None` where no client of its own was measured.
#[must_use]
pub fn render(rows: &[Row]) -> Option<String> {
    let of_clients: Vec<&Row> = rows.iter().filter(|it| !it.client.is_empty()).collect();
    let first = &of_clients.first()?.client;
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(HEADS);
    let mut lines: Vec<(&str, &str)> = of_clients.iter().map(|it| (it.workload.as_str(), it.client.as_str())).collect();
    // Of each workload in the order of its first round: the rounds after it begin with another client.
    let mut seen = Vec::new();
    lines.retain(|it| {
        !seen.contains(it) && {
            seen.push(*it);
            true
        }
    });
    lines.sort_by_key(|(workload, _)| of_clients.iter().position(|it| it.workload == *workload));
    for (workload, client) in lines {
        table.add_row(line(&of_clients, (workload, client), first));
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    Some(table.to_string())
}

fn line(rows: &[&Row], (workload, client): (&str, &str), first: &str) -> Vec<Cell> {
    let of = |client: &str| -> Vec<&Row> {
        let own = rows.iter().filter(|it| it.workload == workload && it.client == client && it.is_measured());
        own.copied().collect()
    };
    let (own, firsts) = (of(client), of(first));
    let all = |value: &dyn Fn(&Row) -> Option<f64>| Spread::of(own.iter().filter_map(|it| value(it)));
    let factor = |it: &Row| {
        let same = firsts.iter().find(|first| first.round == it.round)?;
        Some(same.client_records_per_cpu_s? / it.client_records_per_cpu_s?)
    };
    let is_first = client == first;
    let texts = [
        workload.to_owned(),
        client.to_owned(),
        spread(all(&|it| it.client_records_per_cpu_s), |it| digits(it / 1e6)),
        if is_first { String::new() } else { spread(all(&factor), |it| format!("{it:.1}")) },
        spread(all(&ms_per_mb), digits),
        spread(all(&|it| it.client_start_cpu_ms), digits),
        spread(all(&|it| it.records_s), grouped),
        rounds(rows, own.len(), (workload, client)),
    ];
    texts.into_iter().map(Cell::new).collect()
}

/// Beyond the start, of 10^6 bytes of values.
fn ms_per_mb(row: &Row) -> Option<f64> {
    let mb = row.bytes.zip(row.records).map(|(bytes, records)| bytes as f64 / records as f64 / 1e6)?;
    Some(1e3 / (row.client_records_per_cpu_s? * mb))
}

/// Those with figures, and how many have none.
fn rounds(rows: &[&Row], measured: usize, (workload, client): (&str, &str)) -> String {
    let all = rows.iter().filter(|it| it.workload == workload && it.client == client).count();
    if all == measured { measured.to_string() } else { format!("{measured} of {all}") }
}

fn spread(value: Option<Spread>, text: impl Fn(f64) -> String) -> String {
    match value {
        None => UNKNOWN.to_owned(),
        Some(it) if it.rounds == 1 => text(it.middle),
        Some(it) => format!("{}\n{}..{}", text(it.middle), text(it.least), text(it.greatest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::columns::validity;

    fn row(client: &str, round: u32, records_per_cpu_s: f64) -> Row {
        Row {
            workload: "w".to_owned(),
            client: client.to_owned(),
            round,
            validity: validity::MEASURED.to_owned(),
            records: Some(1000),
            bytes: Some(1_000_000),
            client_records_per_cpu_s: Some(records_per_cpu_s),
            client_start_cpu_ms: Some(12.5),
            ..Row::default()
        }
    }

    #[test]
    fn factors_are_of_the_same_round_and_costs_are_beyond_the_start() {
        let refused = Row { validity: validity::INVALID.to_owned(), ..row("b", 3, 1.0) };
        let rows = [row("a", 1, 4e6), row("b", 1, 1e6), row("b", 2, 2e6), row("a", 2, 4e6), refused];
        let text = render(&rows).unwrap();
        for part in ["4.00..4.00", "1.00..2.00", "2.0..4.0", "2 of 3", "12.5", "0.25..0.25", "0.50..1.00"] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        assert!(text.find(" a ").unwrap() < text.find(" b ").unwrap());
        assert_eq!(render(&[Row::default()]), None, "our own client within this process");
    }
}
