//! The question turned round: what do so many brokers of one machine carry, with answers below a stated time?

use serde::Serialize;

use super::ask::Question;
use super::demand::{Demand, Input, Inputs};
use super::machine::Machine;
use super::size::{Excuse, Resource, size};

/// Halvings until the answer is closer than anybody can measure.
const HALVINGS: u32 = 60;
/// More than any cluster carries, MB/s.
const MB_S_MAX: f64 = 1e7;

/// What is carried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Carried {
    /// Brokers.
    pub brokers: u32,
    /// What producers may send at the peak.
    pub produced_mb_s: f64,
    /// The same in records.
    pub records_s: f64,
    /// What is short first.
    pub bottleneck: Resource,
    /// Alone, each resource would carry so much.
    pub each_mb_s: Vec<(Resource, f64)>,
    /// 99 of 100 answers then.
    pub p99_ms: f64,
    /// Days of records that the disks hold at the mean of that load.
    pub days_held: f64,
}

/// What `brokers` of a machine carry of a load of this shape; its rate is found, its retention is not asked for.
pub fn carried(question: &Question, machine: &Machine, inputs: &Inputs, brokers: u32) -> Result<Carried, Excuse> {
    let at = |produced_mb_s: f64| {
        let mut scaled = *inputs;
        let mean_mb_s = produced_mb_s / inputs.get(Input::PeakFactor);
        let bytes = inputs.get(Input::RecordBytes) / inputs.get(Input::CompressionRatio);
        scaled.0[Input::RecordsS as usize] = mean_mb_s * 1e6 / bytes;
        // Capacity is told as days, not asked for.
        scaled.0[Input::RetentionDays as usize] = 1e-4;
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
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if fits(middle) { low = middle } else { high = middle }
    }
    let (sized, demand) = at(low);
    let sized = sized?;
    let bottleneck = at(high).0.map_or_else(|it| it.resource, |it| it.bottleneck);
    let each_mb_s = sized.needs.iter().filter(|it| it.brokers > 0.0 && it.resource != Resource::DiskCapacity);
    let each_mb_s = each_mb_s.map(|it| (it.resource, low * f64::from(brokers) / it.brokers)).collect();
    let stored_day_gb = demand.day_gb * f64::from(question.replicas);
    Ok(Carried {
        brokers,
        produced_mb_s: low,
        records_s: demand.records_s,
        bottleneck,
        each_mb_s,
        p99_ms: sized.p99_ms,
        days_held: f64::from(brokers) * machine.disk_gb * question.shares.disk_full / stored_day_gb,
    })
}
