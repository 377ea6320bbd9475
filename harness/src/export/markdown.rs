//! A table beside a pull request: a line for each cell, the middle with the least and the greatest round.

use super::tracked;
use crate::report::cells::{Cell, Cells};
use crate::report::kept::Kept;

/// Columns: the tracked figure's name, and what stands above it.
const HEADS: [(&str, &str); 5] = [
    ("mb_s", "MB/s"),
    ("response_us_p50", "p50 us"),
    ("response_us_p99", "p99 us"),
    ("broker_cpu_ms_per_mb", "broker CPU ms/MB"),
    ("client_cpu_ms_per_mb", "client CPU ms/MB"),
];

pub(super) fn text(kept: &Kept, cells: &Cells) -> String {
    let heads: Vec<&str> = HEADS.iter().map(|it| it.1).collect();
    let mut lines = vec![
        format!("### {}", plain(&kept.name())),
        String::new(),
        format!("| cell | target | {} | bottleneck | rounds |", heads.join(" | ")),
        format!("|---|---|{}---|---:|", "---:|".repeat(HEADS.len())),
    ];
    lines.extend(cells.all.iter().map(|cell| line(cells, cell)));
    lines.push(String::new());
    lines.push("The middle of the rounds, least .. greatest beside it; MB are 10^6 bytes.".to_owned());
    lines.extend(kept.manifest.warnings.iter().map(|it| format!("- {}", plain(it))));
    lines.join("\n") + "\n"
}

fn line(cells: &Cells, cell: &Cell) -> String {
    let figure = |(name, _): &(&str, &str)| {
        let found = tracked(cell).find(|it| it.0.name == *name).map(|it| it.1);
        found.map_or_else(
            || "-".to_owned(),
            |it| match it.rounds {
                1 => short(it.middle),
                _ => format!("{} [{} .. {}]", short(it.middle), short(it.least), short(it.greatest)),
            },
        )
    };
    let figures: Vec<String> = HEADS.iter().map(figure).collect();
    let summary = &cell.summary;
    let refused = if summary.refused > 0 {
        format!(", {} without figures: {}", summary.refused, plain(&summary.why))
    } else {
        String::new()
    };
    let bottleneck = if summary.bottleneck.is_empty() { "-" } else { &summary.bottleneck };
    format!(
        "| {} | {} | {} | {} | {}{refused} |",
        plain(&cells.name(cell)),
        plain(&cell.target),
        figures.join(" | "),
        plain(bottleneck),
        summary.rounds
    )
}

fn short(value: f64) -> String {
    match value.abs() {
        it if it >= 100.0 => format!("{value:.0}"),
        it if it >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Text that is a cell of a table and no markup.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for letter in text.chars() {
        match letter {
            '\n' | '\r' => plain.push(' '),
            '|' | '<' | '>' | '*' | '_' | '`' | '[' | ']' | '\\' => plain.extend(['\\', letter]),
            _ => plain.push(letter),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::super::{Format, tests};
    use super::*;

    #[test]
    fn every_line_has_as_many_cells_as_the_head() {
        let text = tests::text(Format::Markdown);
        let lines: Vec<&str> = text.lines().filter(|it| it.starts_with('|')).collect();
        assert_eq!(lines.len(), 2 + 8);
        assert!(lines.iter().all(|it| it.matches('|').count() == lines[0].matches('|').count()), "{text}");
        assert!(text.contains("| produce-1k | ringlog | 336 [212 .. 362] |"), "{text}");
    }

    #[test]
    fn markup_in_names_is_text() {
        assert_eq!(plain("a|b\n<i>"), "a\\|b \\<i\\>");
    }
}
