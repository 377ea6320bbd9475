//! From rows to what a broker's work costs: the coefficients that `ringlog plan --model` takes.
//!
//! ```text
//!   rows.csv -> pick (one target, measured) -> cells: rounds of the same settings
//!            -> columns (Work), each row divided by its own processor time, so that small trials count as large ones
//!            -> give up columns that rows cannot tell apart, or for which there are too few cells
//!            -> nnls -> coefficients; wild bootstrap by cell -> intervals; each cell left out -> how far it misses
//! ```
//!
//! - A cell is never split: its rounds repeat one setting, so they tell noise, not costs.
//! - What is given up is said, with the trial that would tell it apart.

mod scale;
mod solve;
mod table;
#[cfg(test)]
mod tests;
pub mod work;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::plan::interval::Interval;
use crate::plan::model::{CpuCost, Model, SCHEMA};
use crate::results::Row;
use table::{Table, cell};
use work::{WORKS, Work};

/// More cells than coefficients: one for the noise, one to be left out.
const CELLS_BEYOND: usize = 2;
/// Above this, other columns say so nearly the same that a coefficient means nothing.
const INFLATION_MAX: f64 = 20.0;

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

/// A column that was given up.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GivenUp {
    /// What it is.
    pub what: String,
    /// Why.
    pub why: String,
    /// What to run.
    pub trial: &'static str,
}

/// One cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// Of what.
    pub what: String,
    /// Its unit.
    pub unit: &'static str,
    /// Least, likeliest, greatest (95 %).
    pub cost: Interval,
    /// How much other columns widen the interval.
    pub inflation: f64,
}

/// A fit.
#[derive(Clone, Debug, Serialize)]
pub struct Fitted {
    /// The model.
    pub model: Model,
    /// Each cost.
    pub costs: Vec<Cost>,
    /// What rows could not tell.
    pub given_up: Vec<GivenUp>,
    /// Different settings.
    pub cells: usize,
    /// What to know besides.
    pub notes: Vec<String>,
    #[serde(skip)]
    works: Vec<Work>,
    #[serde(skip)]
    coefficients: Vec<f64>,
}

/// What a model says of a row that it had not seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checked {
    /// The cell.
    pub cell: String,
    /// The broker's processor time for each MB, measured.
    pub measured_ms_per_mb: f64,
    /// Foretold.
    pub foretold_ms_per_mb: f64,
    /// Foretold beside measured, less 1.
    pub off_share: f64,
}

/// Picks the rows of one target, or says which there are.
pub fn pick(rows: Vec<Row>, target: Option<&str>) -> Result<Picked, String> {
    let mut left_out = BTreeMap::new();
    let mut good = Vec::new();
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
    let told: Vec<String> = left_out.iter().map(|(why, count)| format!("{count} {why}")).collect();
    match (&targets[..], &profiles[..]) {
        ([], _) => Err(format!(
            "no row to fit ({}); `ringlog bench` makes some",
            if told.is_empty() { "there are none".to_owned() } else { told.join(", ") }
        )),
        ([target], [profile]) => Ok(Picked { target: target.clone(), profile: profile.clone(), rows: good, left_out }),
        ([_], several) => {
            Err(format!("rows of several machines ({}): their costs differ; fit each for itself", several.join(", ")))
        }
        (several, _) => Err(format!("rows of several targets ({}): say which, with --target", several.join(", "))),
    }
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
    if !matches!(row.kind.as_str(), "produce" | "latency" | "consume") {
        return Some(format!("of kind {:?}", row.kind));
    }
    if !(row.broker_cpu_ms.is_some_and(|it| it > 0.0) && row.bytes.is_some_and(|it| it > 0)) {
        return Some("without the broker's processor time (--broker-pid)".to_owned());
    }
    None
}

/// Fits.
pub fn fit(picked: &Picked, loopback: bool, seed: u64) -> Result<Fitted, String> {
    let mut given_up = Vec::new();
    let works = works(&picked.rows, &mut given_up)?;
    let table = Table::of(&picked.rows, &works);
    let x = solve::nnls(&table.a, &table.y);
    let intervals = table.intervals(&x, seed);
    let costs = works.iter().enumerate().map(|(at, work)| Cost {
        what: work.words(),
        unit: work.unit(),
        cost: intervals[at],
        inflation: solve::inflation(&table.a, at),
    });
    let costs = costs.collect();
    let once = works.iter().enumerate().filter(|it| table.settings_with(it.0) == 1).map(|(_, work)| {
        format!(
            "{} are in one setting only: the interval of their cost is noise alone. Add {}",
            work.words(),
            work.trial()
        )
    });
    let once: Vec<String> = once.collect();
    let mut notes: Vec<String> =
        picked.left_out.iter().map(|(why, count)| format!("{count} rows left out: {why}")).collect();
    notes.extend(once);
    if loopback {
        notes.push("measured over loopback: the kernel bills the receiver's work to the sender, so costs of MB out are too high and those of MB in too low for a real network (--remote says otherwise)".to_owned());
    }
    let model = model(picked, &works, &intervals, &table, loopback, &mut notes);
    Ok(Fitted {
        model,
        costs,
        given_up,
        cells: table.names.len(),
        notes,
        works,
        coefficients: x.iter().copied().collect(),
    })
}

/// The columns that rows can tell apart.
fn works(rows: &[Row], given_up: &mut Vec<GivenUp>) -> Result<Vec<Work>, String> {
    let has = |work: &Work| rows.iter().any(|it| work.of(it) > 0.0);
    let mut works: Vec<Work> = WORKS.into_iter().filter(has).collect();
    let cells = Table::of(rows, &works).names.len();
    let mut give = |works: &mut Vec<Work>, at: usize, why: String| {
        let work = works.remove(at);
        given_up.push(GivenUp { what: work.words(), why, trial: work.trial() });
    };
    while works.len() > 1 {
        let table = Table::of(rows, &works);
        // From the back: what comes last is given up first.
        let blurred = (0..works.len()).rev().find(|it| solve::inflation(&table.a, *it) > INFLATION_MAX);
        if let Some(at) = blurred {
            let alike = solve::most_alike(&table.a, at).map_or_else(String::new, |it| works[it].words());
            let why = format!("in these rows it goes up and down with the rest, most with {alike}");
            give(&mut works, at, why);
        } else if works.len() + CELLS_BEYOND > cells && works.len() > 2 {
            let at = works.len() - 1;
            let why = format!("{cells} different settings are too few for {} costs", works.len());
            give(&mut works, at, why);
        } else {
            break;
        }
    }
    if cells < works.len() + 1 {
        return Err(format!(
            "{cells} different settings in {} rows cannot tell {} costs: at least {} are needed. Add {}",
            rows.len(),
            works.len(),
            works.len() + CELLS_BEYOND,
            works.iter().map(|it| it.trial()).collect::<Vec<_>>().join("; ")
        ));
    }
    Ok(works)
}

fn model(
    picked: &Picked,
    works: &[Work],
    intervals: &[Interval],
    table: &Table,
    loopback: bool,
    notes: &mut Vec<String>,
) -> Model {
    let of = |work: Work| works.iter().position(|it| *it == work).map(|at| intervals[at]);
    let published = Model::published().cpu;
    let mut or_published = |work: Work, it: Interval| {
        of(work).unwrap_or_else(|| {
            notes.push(format!(
                "no row tells what {} cost: what others published stands in the model ({it} {})",
                work.words(),
                work.unit()
            ));
            it
        })
    };
    let nothing = Interval::known(0.0);
    let cpu = CpuCost {
        ms_per_mb_in: or_published(Work::MbIn, published.ms_per_mb_in),
        ms_per_mb_out: or_published(Work::MbOut, published.ms_per_mb_out),
        ms_per_mb_replicated: of(Work::MbReplicated),
        us_per_record_in: of(Work::RecordsIn).unwrap_or(nothing),
        us_per_batch_in: of(Work::BatchesIn).unwrap_or(nothing),
        us_per_request: of(Work::Requests).unwrap_or(nothing),
        ms_per_mb_tls: published.ms_per_mb_tls,
    };
    let codecs = works.iter().zip(intervals).filter_map(|(work, cost)| match work {
        Work::Codec(codec) => Some((codec.name().to_owned(), *cost)),
        _ => None,
    });
    Model {
        schema: SCHEMA,
        name: format!("{} on {}", picked.target, picked.profile),
        source: format!("`ringlog fit`: {} rows, {} different settings", picked.rows.len(), table.names.len()),
        profile: Some(picked.profile.clone()).filter(|it| !it.is_empty()),
        loopback,
        rows: u32::try_from(picked.rows.len()).unwrap_or(u32::MAX),
        cpu,
        codec_ms_per_mb: codecs.collect(),
        memory: scale::memory(&picked.rows),
        scalability: scale::scalability(&picked.rows),
        missed: table.missed(),
    }
}

impl Fitted {
    /// What it says of rows that it had not seen, cell by cell.
    #[must_use]
    pub fn check(&self, rows: &[Row]) -> Vec<Checked> {
        let mut cells: BTreeMap<String, (f64, f64, f64)> = BTreeMap::new();
        for row in rows {
            let foretold: f64 = self.works.iter().zip(&self.coefficients).map(|(work, cost)| work.of(row) * cost).sum();
            #[allow(clippy::cast_precision_loss, reason = "bytes below 2^53")]
            let mb = row.bytes.unwrap_or(0) as f64 / 1e6;
            let sums = cells.entry(cell(row)).or_insert((0.0, 0.0, 0.0));
            (sums.0, sums.1, sums.2) = (sums.0 + row.broker_cpu_ms.unwrap_or(0.0), sums.1 + foretold, sums.2 + mb);
        }
        let checked = cells.into_iter().map(|(cell, (measured, foretold, mb))| Checked {
            cell,
            measured_ms_per_mb: measured / mb,
            foretold_ms_per_mb: foretold / mb,
            off_share: foretold / measured - 1.0,
        });
        checked.collect()
    }
}
