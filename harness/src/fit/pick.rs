//! Which rows are fitted: those of one target on one machine, measured, with every count that others of them have. What is left out
//! is counted, by its reason.

use std::collections::BTreeMap;

use super::work::{WORKS, Work};
use crate::host::facts::sanitized;
use crate::results::Row;

/// Figures that a fit is made of.
const FIGURES: [&str; 4] = ["broker_cpu_ms", "seconds", "wire_bytes_per_record", "consumed_mb_s"];

/// Rows of one target.
#[derive(Clone, Debug)]
pub struct Picked {
    /// Its name.
    pub target: String,
    /// Where it was measured.
    pub profile: String,
    /// Its rows.
    pub rows: Vec<Row>,
    /// Rows that were left out, by reason.
    pub left_out: BTreeMap<String, usize>,
}

/// Picks the rows of one target, or says which there are.
pub fn pick(rows: Vec<Row>, target: Option<&str>) -> Result<Picked, String> {
    // As the runs take it (`kafka:4.3.1`), or as rows name it (`kafka-4.3.1`).
    let is_there = target.is_some_and(|it| rows.iter().any(|row| row.target == it));
    let named = target.map(|it| if is_there { it.to_owned() } else { sanitized(it) });
    let target = named.as_deref();
    let mut left_out = BTreeMap::new();
    let mut good = Vec::new();
    let mut all_targets: Vec<String> =
        rows.iter().filter(|it| it.role != "ceiling").map(|it| it.target.clone()).collect();
    all_targets.sort();
    all_targets.dedup();
    for row in rows {
        match unfit(&row, target) {
            Some(why) => *left_out.entry(why).or_insert(0) += 1,
            None => good.push(row),
        }
    }
    let names = |of: fn(&Row) -> &String| {
        let mut names: Vec<String> = good.iter().map(|it| of(it).clone()).collect();
        names.sort();
        names.dedup();
        names
    };
    let (targets, profiles) = (names(|it| &it.target), names(|it| &it.profile));
    match (&targets[..], &profiles[..]) {
        ([], _) => Err(nothing(&left_out, &all_targets)),
        ([target], [profile]) => {
            let rows = counted(good, &mut left_out);
            Ok(Picked { target: target.clone(), profile: profile.clone(), rows, left_out })
        }
        ([_], several) => {
            Err(format!("rows of several machines ({}): their costs differ; fit each for itself", several.join(", ")))
        }
        (several, _) => Err(format!("rows of several targets ({}): say which, with --target", several.join(", "))),
    }
}

fn nothing(left_out: &BTreeMap<String, usize>, targets: &[String]) -> String {
    let told: Vec<String> = left_out.iter().map(|(why, count)| format!("{count} {why}")).collect();
    let why = if told.is_empty() { "there are none".to_owned() } else { told.join(", ") };
    let targets = if targets.is_empty() { String::new() } else { format!("; the rows are of {}", targets.join(", ")) };
    format!("no row to fit ({why}){targets}; `ringlog bench` makes some")
}

/// Rows without a count that others have: nothing says that it was 0.
fn counted(rows: Vec<Row>, left_out: &mut BTreeMap<String, usize>) -> Vec<Row> {
    let works: Vec<Work> = WORKS.into_iter().filter(|work| rows.iter().any(|it| work.of(it) > 0.0)).collect();
    let lacks = |row: &Row| uncounted(row, works.iter().copied());
    let (without, with): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|it| lacks(it).is_some());
    without.iter().filter_map(lacks).for_each(|why| *left_out.entry(why).or_insert(0) += 1);
    with
}

/// What a row does not count of these.
pub(super) fn uncounted(row: &Row, mut works: impl Iterator<Item = Work>) -> Option<String> {
    let work = works.find(|it| !it.is_counted(row))?;
    Some(format!("without a count of {}, which other rows have: 0 would be a guess", work.words()))
}

fn unfit(row: &Row, target: Option<&str>) -> Option<String> {
    if row.role == "ceiling" {
        return Some("of a null broker".to_owned());
    }
    if target.is_some_and(|it| it != row.target) {
        return Some("of another target".to_owned());
    }
    if !row.is_measured() {
        return Some("invalid or skipped".to_owned());
    }
    if !row.events.is_empty() || row.catch_up > 0 {
        return Some("with operations or catch-up readers".to_owned());
    }
    if let Some(column) = FIGURES.iter().find(|it| row.is_no_number(it)) {
        return Some(format!("whose {column} is no number"));
    }
    if row.kind.is_empty() {
        return Some(format!("of schema {}, which does not say what was done: measure them again", row.schema));
    }
    if !matches!(row.kind.as_str(), "produce" | "latency" | "consume") {
        return Some(format!("of kind {:?}", row.kind));
    }
    if !(row.broker_cpu_ms.is_some_and(|it| it > 0.0) && row.bytes.is_some_and(|it| it > 0)) {
        return Some("without the broker's processor time (--broker-pid)".to_owned());
    }
    None
}
