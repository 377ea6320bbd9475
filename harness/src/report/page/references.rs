//! Figures of others (course notes, papers) beside ours, as the manifest's `references` have them.
//!
//! ```text
//!   [[references]]
//!   what = "batch.size 16384, linger.ms 0"     a line of the table
//!   part, cell                                 which rows of ours stand beside it, by their columns of these names
//!   column = "mb_s", value, unit, source       what is compared, and whose it is
//! ```

use maud::{Markup, html};

use super::verdict::is_throttled;
use crate::report::cells::{Cell, Cells, column};
use crate::report::kept::Kept;
use crate::report::text;
use crate::run::spread::Spread;

/// What stands where nothing of ours matches.
const UNKNOWN: &str = "not measured here";

struct Reference<'a>(&'a toml::Table);

impl Reference<'_> {
    fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(toml::Value::as_str).unwrap_or_default()
    }

    fn value(&self) -> Option<f64> {
        let value = self.0.get("value")?;
        value.as_float().or_else(|| value.as_integer().map(|it| it as f64))
    }

    /// Whether a cell is the one that it is about.
    fn is_of(&self, cell: &Cell) -> bool {
        let is = |name: &str, row: &crate::results::Row| column(row, name).is_some_and(|it| it == self.text(name));
        cell.rows.first().is_some_and(|row| is("part", row) && is("cell", row)) && self.figure(cell).is_some()
    }

    fn figure(&self, cell: &Cell) -> Option<Spread> {
        let name = self.text("column");
        Spread::of(cell.measured().filter_map(|row| column(row, name)?.parse().ok()))
    }
}

pub(super) fn section(kept: &Kept, cells: &Cells) -> Markup {
    let references: Vec<Reference<'_>> = kept.manifest.references.iter().map(Reference).collect();
    html! {
        @if !references.is_empty() {
            section id="references" {
                h2 { "What do others say?" }
                (words(&references, cells))
                div.wide { table {
                    thead { tr {
                        th { "what" } th.r { "theirs" }
                        @for target in cells.targets() { th.r { (target) } th.r { "to theirs" } }
                        th { "source" }
                    } }
                    tbody { @for it in &references { tr {
                        td { (it.text("what")) }
                        td.r { (it.value().map_or_else(|| "-".to_owned(), text::digits)) " " (it.text("unit")) }
                        @for target in cells.targets() { (beside(it, cells, target)) }
                        td { (it.text("source")) }
                    } } }
                } }
            }
        }
    }
}

/// Ours in two cells of the table.
fn beside(reference: &Reference<'_>, cells: &Cells, target: &str) -> Markup {
    let own = cells.all.iter().find(|it| it.target == target && reference.is_of(it));
    let found = own.and_then(|it| Some((it, reference.figure(it)?)));
    html! {
        @match found {
            None => { td.r { (UNKNOWN) } td.r { "-" } }
            Some((cell, it)) => {
                td.r {
                    (text::digits(it.middle))
                    @if it.rounds > 1 { small { (text::digits(it.least)) " .. " (text::digits(it.greatest)) } }
                    @if is_throttled(cell) { small { "its own throttle" } }
                }
                td.r { (reference.value().filter(|it| *it > 0.0).map_or_else(|| "-".to_owned(), |theirs| text::times(it.middle / theirs))) }
            }
        }
    }
}

fn words(references: &[Reference<'_>], cells: &Cells) -> Markup {
    let of = |it: &Reference<'_>| cells.all.iter().filter(|cell| it.is_of(cell)).collect::<Vec<&Cell>>();
    let met: Vec<(&Reference<'_>, Vec<&Cell>)> =
        references.iter().map(|it| (it, of(it))).filter(|it| !it.1.is_empty()).collect();
    let throttled = met.iter().filter(|it| it.1.iter().all(|cell| is_throttled(cell))).count();
    html! {
        p {
            "Of " (text::plural(references.len(), "figure")) " of others, " (text::count(met.len()))
            (if met.len() == 1 { " has" } else { " have" }) " a cell of ours beside it. They are from other machines: a ratio tells of those too."
        }
        @if throttled > 0 {
            p {
                (text::count(throttled)) (if throttled == 1 { " of ours measures" } else { " of ours measure" })
                " the rate that was asked for, whatever the setting is: where theirs is below it, theirs could not keep the rate."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::cells::tests::row;

    #[test]
    fn a_figure_without_a_cell_of_ours_is_told_as_that() {
        let mut kept = Kept { rows: vec![row("t", 1, 0.0, 1, 5.0)], ..Kept::default() };
        let reference: toml::Table =
            "what = '<zstd>'\npart = 'p'\ncell = 'c'\ncolumn = 'mb_s'\nvalue = 5.68\nunit = 'MB/s'".parse().unwrap();
        kept.manifest.references = vec![reference];
        let text = section(&kept, &Cells::of(&kept.rows)).into_string();
        assert!(text.contains("5.68 MB/s") && text.contains(UNKNOWN) && text.contains("&lt;zstd&gt;"), "{text}");
        assert!(text.contains("0 have a cell of ours"), "{text}");
    }

    #[test]
    fn ours_stands_beside_theirs_with_its_ratio_and_its_throttle() {
        let ours = crate::results::Row {
            part: "p".to_owned(),
            cell: "c".to_owned(),
            rate_records_s: Some(5000.0),
            bottleneck: "schedule".to_owned(),
            ..row("t", 1, 0.0, 1, 10.0)
        };
        let mut kept = Kept { rows: vec![ours], ..Kept::default() };
        let reference = "what = 'x'\npart = 'p'\ncell = 'c'\ncolumn = 'mb_s'\nvalue = 5\nunit = 'MB/s'";
        kept.manifest.references = vec![reference.parse().unwrap()];
        let text = section(&kept, &Cells::of(&kept.rows)).into_string();
        assert!(text.contains("10.0<small>its own throttle</small>") && text.contains("2.0 times"), "{text}");
        assert!(text.contains("1 of ours measures"), "{text}");
    }

    #[test]
    fn without_references_there_is_no_section() {
        assert_eq!(section(&Kept::default(), &Cells::default()).into_string(), "");
    }
}
