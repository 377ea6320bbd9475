//! report.html: one file without scripts or network, for a screen of any width, for the dark and for paper.
//!
//! ```text
//!   verdict          what was measured, whether to believe it, how targets compare          verdict
//!   pairs            of a comparison: each figure, its interval, every pair               ../pictures
//!   machine          where it ran, with what settings, what was unusual                    environment
//!   pictures         heat, effects, ladder, percentiles, time, rounds                      ../pictures
//!   cells            every cell with its bottleneck, and what its figures do not say       overview
//!   references       figures of others beside ours                                         references
//!   what is missing  pictures that this run has nothing for, and what could not be read
//! ```

#![allow(clippy::disallowed_methods, reason = "writes the page; this is the instrument, not the broker")]

mod environment;
mod overview;
mod references;
mod verdict;

use std::path::{Path, PathBuf};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::cells::{Cell, Cells};
use super::comparison::Comparison;
use super::kept::Kept;
use super::pictures::{Drawn, Picture, effects, heat, ladder, pairs, percentiles, rounds, seconds};
use crate::results::ResultsError;

/// The file's name within a run's folder.
pub const FILE: &str = "report.html";

/// Colours, light, dark and on paper.
const STYLE: &str = include_str!("style.css");

/// Writes the page of a run into its folder, over an older one.
pub fn write_into(folder: &Path) -> Result<PathBuf, ResultsError> {
    let path = folder.join(FILE);
    write(&Kept::read(folder)?, &path).map(|()| path)
}

/// Writes the page of a run.
pub fn write(kept: &Kept, path: &Path) -> Result<(), ResultsError> {
    let written = std::fs::write(path, render(kept)).map_err(ResultsError::io(path));
    if written.is_err() {
        // Half a page helps nobody. What cannot be removed either is told with the reason.
        let _ = std::fs::remove_file(path);
    }
    written
}

/// The verdict as lines for a terminal.
#[must_use]
pub fn verdict_lines(kept: &Kept) -> Vec<String> {
    verdict::lines(kept, &Cells::of(&kept.rows))
}

/// The page of a run.
#[must_use]
pub fn render(kept: &Kept) -> String {
    let cells = Cells::of(&kept.rows);
    let drawn = [
        heat::picture(&cells),
        effects::picture(&cells),
        ladder::picture(&cells, &|cell| stated_p99_ms(&kept.manifest.asked, cell)),
        percentiles::picture(kept, &cells),
        seconds::picture(kept, &cells),
        rounds::picture(&cells),
    ];
    let name = kept.name();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (name) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (name) }
                    p.sub { (kept.manifest.began.get(..16).unwrap_or_default().replace('T', " ")) " UTC" }
                }
                main {
                    (verdict::section(kept, &cells))
                    @if let Some(it) = Comparison::of(kept) { (section(&pairs::picture(&it, &kept.rows))) }
                    (environment::section(kept))
                    @for picture in drawn.iter().flatten() { (section(picture)) }
                    (overview::section(&cells))
                    (references::section(kept, &cells))
                    (missing(&kept.notes, &drawn))
                }
                footer { p {
                    "Made from manifest.toml, rows.csv and latency.hlog of this folder by ringlog " (env!("CARGO_PKG_VERSION"))
                    ". MB are 10" sup { "6" } " bytes. Every row, with what its columns mean: rows.csv, results/README.md."
                } }
            }
        }
    };
    page.into_string()
}

/// The p99 in ms that a sweep's part was asked to stay within, where it was.
fn stated_p99_ms(asked: &toml::Table, cell: &Cell) -> Option<f64> {
    let parts_of = |it: &toml::Table| it.get("part").and_then(toml::Value::as_array).cloned().unwrap_or_default();
    // Several sweeps in one run have a table each.
    let nested = asked.values().filter_map(toml::Value::as_table).flat_map(parts_of);
    let is_own = |it: &toml::Value| {
        let name = it.get("name").and_then(toml::Value::as_str);
        name.is_some_and(|it| cell.group == format!("{it}, {}", cell.kind))
    };
    let own = parts_of(asked).into_iter().chain(nested).find(is_own);
    let stated = own.and_then(|it| it.get("rate")?.get("p99_ms").cloned())?;
    stated.as_float().or_else(|| stated.as_integer().map(|it| it as f64))
}

fn section(picture: &Picture) -> Markup {
    html! {
        section id=(picture.id) {
            h2 { (picture.title) }
            @for it in &picture.words { p { (it) } }
            (picture.body)
        }
    }
}

fn missing(notes: &[String], drawn: &[Drawn]) -> Markup {
    let absent: Vec<&String> = notes.iter().chain(drawn.iter().filter_map(|it| it.as_ref().err())).collect();
    html! {
        @if !absent.is_empty() {
            section id="missing" {
                h2 { "What is not here" }
                ul { @for it in absent { li { (it) } } }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "reads the kept runs")]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::report::cells::tests::sweep;

    /// No report is larger.
    const BYTES_MAX: usize = 300_000;

    fn kept_runs() -> Vec<PathBuf> {
        let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results");
        let entries = std::fs::read_dir(results).unwrap().map(|it| it.unwrap().path());
        entries.filter(|it| it.join("rows.csv").exists()).collect()
    }

    #[test]
    fn every_run_that_was_kept_has_a_report_with_its_verdict_and_each_of_its_cells() {
        assert!(kept_runs().len() >= 5);
        for folder in kept_runs() {
            let kept = Kept::read(&folder).unwrap();
            let page = render(&kept);
            assert!(page.len() < BYTES_MAX, "{}: {} bytes", folder.display(), page.len());
            for part in ["<h1>", "id=\"verdict\"", "id=\"machine\"", "id=\"cells\"", "role=\"img\"", "</html>"] {
                assert!(page.contains(part), "{}: {part}", folder.display());
            }
            for it in &Cells::of(&kept.rows).all {
                let escaped = it.target.replace('&', "&amp;");
                assert!(page.contains(&escaped) && page.contains(&it.workload), "{}: {it:?}", folder.display());
            }
            for part in ["NaN", "inf ", "<script", "http://", "https://", "Infinity"] {
                assert!(!page.contains(part), "{}: {part}", folder.display());
            }
        }
    }

    #[test]
    fn names_from_outside_are_escaped_wherever_they_stand() {
        let evil = "<script>alert(1)</script>";
        let mut kept = Kept { rows: sweep(), ..Kept::default() };
        for row in &mut kept.rows {
            (row.workload, row.bottleneck, row.compression_type) = (evil.to_owned(), evil.to_owned(), evil.to_owned());
            row.target = format!("{evil}{}", row.target);
        }
        kept.rows[0].validity = "invalid".to_owned();
        kept.rows[0].why = evil.to_owned();
        kept.manifest.warnings = vec![evil.to_owned()];
        kept.notes = vec![evil.to_owned()];
        let page = render(&kept);
        assert!(!page.contains("<script"), "{}", &page[page.find("<script").unwrap_or(0)..][..200]);
        assert!(page.contains("&lt;script&gt;"));
    }

    #[test]
    fn a_part_s_stated_p99_is_found_in_a_sweep_and_in_several_of_one_run() {
        let part = "[[part]]\nname = \"ladder\"\n[part.rate]\np99_ms = 10\n";
        let (one, two) = (part.parse().unwrap(), part.replace("[[part", "[[mine.part").replace("[part", "[mine.part"));
        let row = crate::results::Row { part: "ladder".to_owned(), ..sweep().remove(0) };
        let cells = Cells::of(&[row, sweep().remove(0)]);
        assert_eq!(cells.all[0].group, "ladder, produce");
        assert_eq!(stated_p99_ms(&one, &cells.all[0]), Some(10.0));
        assert_eq!(stated_p99_ms(&two.parse().unwrap(), &cells.all[0]), Some(10.0));
        assert_eq!(stated_p99_ms(&one, &cells.all[1]), None);
    }

    #[test]
    fn a_large_sweep_stays_below_the_limit() {
        let mut kept = Kept::default();
        for factor in 0..50u64 {
            for row in sweep() {
                let batch = row.batch_size_bytes.map(|it| it + factor);
                kept.rows.push(crate::results::Row { batch_size_bytes: batch, ..row });
            }
        }
        let page = render(&kept);
        assert!(page.len() < BYTES_MAX, "{} bytes for {} rows", page.len(), kept.rows.len());
        assert!(page.contains("more cells"), "what is left out is said");
    }
}
