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
//! - A count that a row does not have is not 0: such a row is left out where others have it.

mod pick;
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
use crate::stats::median;
use pick::uncounted;
pub use pick::{Picked, pick};
use table::{Table, cell};
use work::{WORKS, Work};

/// More cells than coefficients: one for the noise, one to be left out.
const CELLS_BEYOND: usize = 2;
/// Above this, other columns say so nearly the same that a coefficient means nothing.
const INFLATION_MAX: f64 = 20.0;
/// Settings that were measured both times, at least, before they tell how the machine drifted.
const DRIFT_SETTINGS_MIN: usize = 2;

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
    /// What an MB cost in each setting that it was fitted to.
    #[serde(skip)]
    seen: BTreeMap<String, f64>,
}

/// What a model says of a row that it had not seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checked {
    /// The cell.
    pub cell: String,
    /// The broker's processor time for each MB, measured: the middle of its rounds, as what is foretold of them.
    pub measured_ms_per_mb: f64,
    /// Foretold.
    pub foretold_ms_per_mb: f64,
    /// Foretold beside measured, less 1.
    pub off_share: f64,
    /// The same without what the machine itself changed since the fit, as settings of both tell: [`Drift`].
    pub off_share_less_drift: Option<f64>,
    /// The fit was made of this setting, too: it tells the machine's drift, not how well the fit foretells.
    pub is_seen: bool,
    /// Where the broker's core was what limited every round.
    pub saturated: Option<Saturated>,
}

/// How much dearer the settings that a fit was made of have become when they were measured again, beside others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drift {
    /// What their rows do: produce, consume, ..
    pub kind: String,
    /// How many settings were measured both times.
    pub settings: usize,
    /// The middle of their processor time for each MB now beside that time's, less 1.
    pub share: f64,
}

/// The rate of a broker that is at its limit, measured and foretold: what a core for each shard carries at the foretold cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Saturated {
    /// The middle of its rounds.
    pub measured_mb_s: f64,
    /// Cores that it has (those of an emulated machine, else one for each shard) beside the cost of a MB.
    pub foretold_mb_s: f64,
    /// Foretold beside measured, less 1.
    pub off_share: f64,
}

/// The rounds of a cell.
#[derive(Default)]
struct Rounds {
    kind: String,
    measured_ms_per_mb: Vec<f64>,
    foretold_ms_per_mb: Vec<f64>,
    mb_s: Vec<f64>,
    /// Cores at the limit. What a broker of another kind has is known where its machine is emulated.
    cores: Option<f64>,
    at_broker_core: usize,
}

impl Rounds {
    /// What they come to: the middle, as everywhere. One round in which a JVM compiled or collected is no setting's cost.
    fn checked(mut self, cell: String) -> Checked {
        let is_at_limit = self.mb_s.len() == self.at_broker_core;
        let [measured, foretold, mb_s] = [&mut self.measured_ms_per_mb, &mut self.foretold_ms_per_mb, &mut self.mb_s]
            .map(|it| median(it).unwrap_or(f64::NAN));
        let saturated = self.cores.filter(|_| is_at_limit).map(|cores| {
            let foretold_mb_s = cores * 1000.0 / foretold;
            Saturated { measured_mb_s: mb_s, foretold_mb_s, off_share: foretold_mb_s / mb_s - 1.0 }
        });
        Checked {
            cell,
            measured_ms_per_mb: measured,
            foretold_ms_per_mb: foretold,
            off_share: foretold / measured - 1.0,
            off_share_less_drift: None,
            is_seen: false,
            saturated,
        }
    }
}

/// What an MB cost the broker in each setting: the middle of its rounds.
fn ms_per_mb(rows: &[Row]) -> BTreeMap<String, f64> {
    let mut cells: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    rows.iter().for_each(|row| cells.entry(cell(row)).or_default().push(row.broker_cpu_ms.unwrap_or(0.0) / mb(row)));
    cells.into_iter().filter_map(|(cell, mut rounds)| Some((cell, median(&mut rounds)?))).collect()
}

#[allow(clippy::cast_precision_loss, reason = "bytes below 2^53")]
fn mb(row: &Row) -> f64 {
    row.bytes.unwrap_or(0) as f64 / 1e6
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
        seen: ms_per_mb(&picked.rows),
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
    let (ms_per_mb_in, ms_per_mb_out) =
        (or_published(Work::MbIn, published.ms_per_mb_in), or_published(Work::MbOut, published.ms_per_mb_out));
    // Rows do not say whether a connection was encrypted: no fit tells this one.
    notes.push(format!(
        "no row tells what TLS costs: what others published stands in the model ({} ms/MB)",
        published.ms_per_mb_tls
    ));
    if of(Work::MbReplicated).is_none() {
        notes.push("no row tells what an MB replicated costs: a plan takes it as an MB in".to_owned());
    }
    let cpu = CpuCost {
        ms_per_mb_in,
        ms_per_mb_out,
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
    /// Rows of which it can say nothing: without a count of something that has a cost.
    #[must_use]
    pub fn unsaid(&self, rows: &[Row]) -> BTreeMap<String, usize> {
        let mut unsaid = BTreeMap::new();
        rows.iter().filter_map(|it| self.lacks(it)).for_each(|why| *unsaid.entry(why).or_insert(0) += 1);
        unsaid
    }

    fn lacks(&self, row: &Row) -> Option<String> {
        let costly = self.works.iter().zip(&self.coefficients).filter(|(_, cost)| **cost > 0.0);
        uncounted(row, costly.map(|(work, _)| *work))
    }

    /// How much dearer its own settings are in these rows, of each kind of which two are in both at least.
    #[must_use]
    pub fn drifts(&self, rows: &[Row]) -> Vec<Drift> {
        let mut kinds: BTreeMap<&str, Vec<Row>> = BTreeMap::new();
        rows.iter().for_each(|row| kinds.entry(&row.kind).or_default().push(row.clone()));
        let drift = |(kind, rows): (&str, Vec<Row>)| {
            let now = ms_per_mb(&rows);
            let mut shares: Vec<f64> =
                now.iter().filter_map(|(cell, ms)| Some(ms / self.seen.get(cell)? - 1.0)).collect();
            let settings = shares.len();
            let share = median(&mut shares).filter(|_| settings >= DRIFT_SETTINGS_MIN)?;
            Some(Drift { kind: kind.to_owned(), settings, share })
        };
        kinds.into_iter().filter_map(drift).collect()
    }

    /// What it says of rows that it had not seen, cell by cell; those that are [`Self::unsaid`] apart.
    #[must_use]
    pub fn check(&self, rows: &[Row]) -> Vec<Checked> {
        let mut cells: BTreeMap<String, Rounds> = BTreeMap::new();
        for row in rows.iter().filter(|it| self.lacks(it).is_none()) {
            let foretold: f64 = self.works.iter().zip(&self.coefficients).map(|(work, cost)| work.of(row) * cost).sum();
            let rounds = cells.entry(cell(row)).or_default();
            let mb = mb(row);
            rounds.kind.clone_from(&row.kind);
            rounds.measured_ms_per_mb.push(row.broker_cpu_ms.unwrap_or(0.0) / mb);
            rounds.foretold_ms_per_mb.push(foretold / mb);
            rounds.mb_s.push(mb / row.seconds.unwrap_or(0.0));
            let (shards, emulated) = (row.shards.map(f64::from), row.emulated_cores);
            rounds.cores = shards.map_or(emulated, |shards| Some(emulated.map_or(shards, |it| it.min(shards))));
            rounds.at_broker_core += usize::from(row.bottleneck == "broker-core");
        }
        let drifts = self.drifts(rows);
        let checked = cells.into_iter().map(|(cell, rounds)| {
            let drift = drifts.iter().find(|it| it.kind == rounds.kind).map(|it| it.share);
            let (is_seen, checked) = (self.seen.contains_key(&cell), rounds.checked(cell));
            let less = |share: f64| (1.0 + checked.off_share) * (1.0 + share) - 1.0;
            Checked { is_seen, off_share_less_drift: drift.filter(|_| !is_seen).map(less), ..checked }
        });
        checked.collect()
    }
}
