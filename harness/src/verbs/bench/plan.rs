//! From options to a plan: the profiles, scaled to the time that there is, and who reads what.

use super::options::Options;
use super::verdict::BenchError;
use crate::run::{Cell, Plan};
use crate::session::targets::{self, Ceilings};
use crate::session::{Done, Extra, Session};
use crate::spec::{Kind, Workload, workload};

/// Measures, keeps the results, and gives what is to be printed.
pub(crate) fn measure(options: &Options) -> Result<Done, BenchError> {
    let (plan, course) = (plan_of(options)?, options.rounds());
    let (place, shards) = (&options.place, options.targets.shards);
    let session = Session { verb: "bench", place, shards, plan, course: &course, extra: Extra::default() };
    Ok(session.measure()?)
}

fn plan_of(options: &Options) -> Result<Plan, BenchError> {
    let workloads = workload::load(options.workloads.as_deref())?;
    if let Some(unknown) = options.only.iter().find(|name| workloads.iter().all(|it| it.name != **name)) {
        return Err(BenchError::Only(unknown.clone()));
    }
    let asked = |it: &Workload| options.only.is_empty() || options.only.contains(&it.name);
    let reader_of = |it: &Workload| workloads.iter().find(|reader| reader.of.as_deref() == Some(&it.name)).cloned();
    let cell = |it: &Workload| Cell { workload: it.clone(), reader: reader_of(it) };
    let written = workloads.iter().filter(|it| it.kind != Kind::Consume).map(cell);
    let mut cells: Vec<Cell> =
        written.filter(|it| asked(&it.workload) || it.reader.as_ref().is_some_and(asked)).collect();
    let ceilings = if options.no_yardstick { Ceilings::Without } else { Ceilings::Beside };
    let targets = targets::of(&options.targets, ceilings)?;
    let plan = Plan { cells: cells.clone(), targets, seed: options.place.seed };
    let (factor, rounds) = options.scale(plan.measured_s());
    for cell in &mut cells {
        cell.workload = cell.workload.clone().scaled(factor, rounds);
        cell.reader = cell.reader.take().map(|it| it.scaled(factor, rounds));
    }
    Ok(Plan { cells, ..plan })
}
