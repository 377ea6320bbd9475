//! The question turned round: what do so many brokers of one machine carry, with answers below a stated time?

use serde::Serialize;

use super::ask::Question;
use super::demand::{self, Demand, INPUTS, Input, Inputs};
use super::draws;
use super::interval::Interval;
use super::machine::Machine;
use super::model::Model;
use super::size::{Excuse, Resource, size};
use crate::spec::hardware::Profile;

/// Halvings until the answer is closer than anybody can measure.
const HALVINGS: u32 = 60;
/// More than any cluster carries, MB/s.
const MB_S_MAX: f64 = 1e7;

/// Days of a load whose retention was not said: capacity then decides nothing.
const RETENTION_NONE: f64 = 1e-4;
/// Halvings that are enough for the draws.
const HALVINGS_DRAWN: u32 = 24;

/// What is carried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Carried {
    /// What producers may send at the peak.
    pub produced_mb_s: f64,
    /// The same in records.
    pub records_s: f64,
    /// What is short first.
    pub bottleneck: Resource,
    /// Alone, each resource would carry so much.
    pub each_mb_s: Vec<(Resource, f64)>,
    /// 99 of 100 answers then; absent where they wait for a disk of which no fdatasync is known.
    pub p99_ms: Option<f64>,
    /// Whether it is the least that it can be.
    pub p99_is_least: bool,
    /// Days of records that the disks hold at the mean of that load.
    pub days_held: f64,
}

/// A machine and what so many of it carry, with everything that the answer rests on.
#[derive(Clone, Debug, Serialize)]
pub struct Turned {
    /// Version of this document: 1.
    pub schema: u32,
    /// The machine.
    pub profile: String,
    /// Brokers that were asked about.
    pub brokers: u32,
    /// What they carry, from the likeliest of each value.
    #[serde(flatten)]
    pub carried: Option<Carried>,
    /// What they carry at least in the share of draws that was asked for.
    pub at_least_mb_s: Option<f64>,
    /// Why they carry nothing.
    pub excuse: Option<Excuse>,
    /// The load's shape, with every value.
    pub question: Question,
    /// What work costs.
    pub model: Model,
    /// What the model does not have, and what stands in its place.
    pub taken: Vec<String>,
    /// What one broker has.
    pub machine: Machine,
}

/// What so many brokers of a profile carry. `from` is the profile that the model was measured on.
#[must_use]
pub fn turned(
    question: &Question,
    model: &Model,
    from: Option<&Profile>,
    (profile, brokers): (&Profile, u32),
    seed: u64,
) -> Turned {
    let machine = Machine::of(profile, model, from);
    let intervals = demand::intervals(question, model, machine.network_sure, machine.disk_sure);
    let found = carried(question, &machine, &draws::mids(&intervals), brokers);
    let at_least = |_: &Carried| at_least_mb_s(question, &machine, &intervals, &draws::draws(seed), brokers);
    Turned {
        schema: 1,
        profile: profile.name.clone(),
        brokers,
        at_least_mb_s: found.as_ref().ok().map(at_least),
        excuse: found.as_ref().err().cloned(),
        carried: found.ok(),
        question: question.clone(),
        model: model.clone(),
        taken: demand::taken(question, model),
        machine,
    }
}

/// What `brokers` of a machine carry of a load of this shape: its rate is found. A retention that was said binds; without one,
/// capacity is told as days and asks for nothing.
pub fn carried(question: &Question, machine: &Machine, inputs: &Inputs, brokers: u32) -> Result<Carried, Excuse> {
    found(question, machine, inputs, (brokers, HALVINGS))
}

/// What is carried at least in the share of draws that was asked for, MB/s: 0 where more draws than that carry nothing.
#[must_use]
pub fn at_least_mb_s(
    question: &Question,
    machine: &Machine,
    intervals: &[Interval; INPUTS.len()],
    draws: &[[f64; INPUTS.len()]],
    brokers: u32,
) -> f64 {
    let of = |draw| found(question, machine, &draws::inputs(intervals, draw), (brokers, HALVINGS_DRAWN));
    let mut all: Vec<f64> = draws.iter().map(|it| of(it).map_or(0.0, |it| it.produced_mb_s)).collect();
    all.sort_by(f64::total_cmp);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index below DRAWS"
    )]
    let index = ((1.0 - question.confidence) * (all.len() as f64 - 1.0)).round() as usize;
    all.get(index).copied().unwrap_or(0.0)
}

fn found(
    question: &Question,
    machine: &Machine,
    inputs: &Inputs,
    (brokers, halvings): (u32, u32),
) -> Result<Carried, Excuse> {
    let keeps = question.is_given("retention_days");
    let at = |produced_mb_s: f64| {
        let mut scaled = *inputs;
        let mean_mb_s = produced_mb_s / inputs.get(Input::PeakFactor);
        let bytes = inputs.get(Input::RecordBytes) / inputs.get(Input::CompressionRatio);
        scaled.0[Input::RecordsS as usize] = mean_mb_s * 1e6 / bytes;
        if !keeps {
            scaled.0[Input::RetentionDays as usize] = RETENTION_NONE;
        }
        let demand = Demand::of(question, &scaled);
        (size(question, &demand, machine, &scaled), demand)
    };
    let least = at(1e-6).0?;
    if least.brokers > brokers {
        let (least, replicas, gone) = (least.brokers, question.replicas, question.failures);
        let words =
            format!("{least} brokers are needed for {replicas} replicas of any load and a quorum with {gone} gone");
        return Err(Excuse { resource: Resource::Replicas, words });
    }
    let fits = |it: f64| at(it).0.is_ok_and(|it| it.brokers <= brokers);
    let (mut low, mut high) = (1e-6, MB_S_MAX);
    for _ in 0..halvings {
        // By ratio: a millionth of an MB/s and a million of them are as far from one another as they are.
        let middle = (low * high).sqrt();
        if fits(middle) { low = middle } else { high = middle }
    }
    let (sized, demand) = at(low);
    let sized = sized?;
    let bottleneck = at(high).0.map_or_else(|it| it.resource, |it| it.bottleneck);
    let each_mb_s =
        sized.needs.iter().filter(|it| it.brokers > 0.0 && (keeps || it.resource != Resource::DiskCapacity));
    let each_mb_s = each_mb_s.map(|it| (it.resource, low * f64::from(brokers) / it.brokers)).collect();
    let stored_day_gb = demand.day_gb * f64::from(question.replicas);
    Ok(Carried {
        produced_mb_s: low,
        records_s: demand.records_s,
        bottleneck,
        each_mb_s,
        p99_ms: sized.p99_ms,
        p99_is_least: sized.p99_is_least,
        days_held: f64::from(brokers) * machine.disk_gb * question.shares.disk_full / stored_day_gb,
    })
}
