//! JUnit XML: a suite for each target, a case for each cell. A case fails where acknowledged records were lost, errs where
//! something else left a round without figures, and is skipped where it did not run.

use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use quick_xml::writer::Writer;

use super::tracked;
use crate::report::cells::{Cell, Cells};
use crate::report::kept::Kept;
use crate::results::columns::validity;
use crate::run::LEDGER_FAULT;

/// What became of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Passed,
    Failed,
    Erred,
    Skipped,
}

impl Ending {
    fn of(cell: &Cell) -> Self {
        let has = |of: &dyn Fn(&str, &str) -> bool| cell.rows.iter().any(|it| of(&it.validity, &it.why));
        match () {
            () if has(&|_, why| why.starts_with(LEDGER_FAULT)) => Self::Failed,
            () if has(&|is, _| is == validity::INVALID) => Self::Erred,
            () if has(&|is, _| is == validity::SKIPPED) => Self::Skipped,
            () => Self::Passed,
        }
    }

    /// The element that says so.
    fn element(self) -> Option<&'static str> {
        match self {
            Self::Passed => None,
            Self::Failed => Some("failure"),
            Self::Erred => Some("error"),
            Self::Skipped => Some("skipped"),
        }
    }
}

pub(super) fn document(kept: &Kept, cells: &Cells) -> String {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    // Into memory: there is nothing that could refuse a write.
    let _ = write(&mut writer, kept, cells);
    String::from_utf8_lossy(&writer.into_inner()).into_owned() + "\n"
}

type Written = std::io::Result<()>;

fn write(writer: &mut Writer<Vec<u8>>, kept: &Kept, cells: &Cells) -> Written {
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let name = text(&kept.name());
    writer.write_event(Event::Start(BytesStart::new("testsuites").with_attributes([("name", name.as_str())])))?;
    for target in cells.targets() {
        let own: Vec<&Cell> = cells.all.iter().filter(|it| it.target == target).collect();
        suite(writer, kept, cells, (target, &own))?;
    }
    writer.write_event(Event::End(BytesEnd::new("testsuites")))
}

fn suite(writer: &mut Writer<Vec<u8>>, kept: &Kept, cells: &Cells, (target, own): (&str, &[&Cell])) -> Written {
    let count = |of: Ending| own.iter().filter(|it| Ending::of(it) == of).count().to_string();
    let (target, tests, time) = (text(target), own.len().to_string(), seconds(own.iter().copied()));
    let (failures, errors, skipped) = (count(Ending::Failed), count(Ending::Erred), count(Ending::Skipped));
    let timestamp = kept.manifest.began.get(..19).unwrap_or_default();
    let head = BytesStart::new("testsuite").with_attributes([
        ("name", target.as_str()),
        ("tests", &tests),
        ("failures", &failures),
        ("errors", &errors),
        ("skipped", &skipped),
        ("time", &time),
        ("timestamp", timestamp),
    ]);
    writer.write_event(Event::Start(head))?;
    own.iter().try_for_each(|cell| case(writer, cells, cell))?;
    writer.write_event(Event::End(BytesEnd::new("testsuite")))
}

fn case(writer: &mut Writer<Vec<u8>>, cells: &Cells, cell: &Cell) -> Written {
    let (name, class, time) = (text(&cells.name(cell)), text(&cell.target), seconds([cell].into_iter()));
    let head = [("name", name.as_str()), ("classname", class.as_str()), ("time", time.as_str())];
    writer.write_event(Event::Start(BytesStart::new("testcase").with_attributes(head)))?;
    if let Some(element) = Ending::of(cell).element() {
        let why = text(&cell.summary.why);
        writer.write_event(Event::Empty(BytesStart::new(element).with_attributes([("message", why.as_str())])))?;
    }
    writer.write_event(Event::Start(BytesStart::new("system-out")))?;
    let figure = |(it, spread): (&super::Tracked, crate::run::spread::Spread)| {
        format!("{} {} [{} .. {}]", it.name, spread.middle, spread.least, spread.greatest)
    };
    let mut lines: Vec<String> = tracked(cell).map(figure).collect();
    lines.push(format!("bottleneck {}, {} rounds", cell.summary.bottleneck, cell.summary.rounds));
    writer.write_event(Event::Text(BytesText::new(&text(&lines.join("\n")))))?;
    writer.write_event(Event::End(BytesEnd::new("system-out")))?;
    writer.write_event(Event::End(BytesEnd::new("testcase")))
}

/// Measured seconds.
fn seconds<'a>(cells: impl Iterator<Item = &'a Cell>) -> String {
    let sum: f64 = cells.flat_map(|it| &it.rows).filter_map(|it| it.seconds).sum();
    format!("{sum:.3}")
}

/// Control characters have no place in XML, escaped or not.
fn text(text: &str) -> String {
    text.chars().filter(|it| !it.is_control() || *it == '\n').collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Format, tests};
    use super::*;
    use crate::report::cells::tests::row;
    use crate::results::Row;

    #[test]
    fn a_suite_for_each_target_has_a_case_for_each_cell() {
        let text = tests::text(Format::Junit);
        assert_eq!((text.matches("<testsuite ").count(), text.matches("<testcase ").count()), (2, 8));
        assert!(text.contains("name=\"kafka-4.3.1\" tests=\"4\" failures=\"0\""), "{text}");
        assert!(text.contains("mb_s 336.426 [212.302 .. 361.739]"), "{text}");
    }

    #[test]
    fn a_lost_record_is_a_failure_a_dead_broker_an_error_and_names_are_escaped() {
        let bad = |batch, why: &str| Row {
            validity: "invalid".to_owned(),
            why: why.to_owned(),
            ..row("<t>\u{1}", batch, 0.0, 1, 1.0)
        };
        let rows = vec![
            bad(1, "the ledger does not add up: 1 lost"),
            bad(2, "killed & gone"),
            row("<t>\u{1}", 3, 0.0, 1, 1.0),
        ];
        let kept = Kept { rows, ..Kept::default() };
        let text = document(&kept, &Cells::of(&kept.rows));
        assert!(text.contains("<failure message=\"the ledger does not add up: 1 lost\"/>"), "{text}");
        assert!(text.contains("<error message=\"killed &amp; gone\"/>"), "{text}");
        assert!(text.contains("name=\"&lt;t&gt;\" tests=\"3\" failures=\"1\" errors=\"1\" skipped=\"0\""), "{text}");
    }
}
