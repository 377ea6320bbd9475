//! From options to a plan: the profiles, scaled to the time that there is, and who reads what.
//!
//! With `--client` each client is a target of its own, the one broker met by it, and the workloads are those of clients.

use super::options::Options;
use super::verdict::BenchError;
use crate::run::{Cell, Plan};
use crate::session::targets::{self, Ceilings};
use crate::session::{Done, Extra, Session, emulated};
use crate::spec::{self, Kind, Workload, workload};
use crate::target::spec::{distinct, peers};
use crate::target::{Role, Target, client};

/// Measures, keeps the results, and gives what is to be printed.
pub(crate) fn measure(options: &Options) -> Result<Done, BenchError> {
    let (plan, course) = (plan_of(options)?, options.rounds());
    let (place, shards) = (&options.place, options.targets.shards);
    let name = (!options.client.is_empty()).then(|| "client-cost".to_owned());
    let extra = Extra { name, ..Extra::default() };
    let session = Session { verb: "bench", place, shards, plan, course: &course, extra };
    Ok(session.measure()?)
}

/// What would be measured: each workload, the targets, the least time, the machine.
pub(crate) fn words(options: &Options) -> Result<String, BenchError> {
    let plan = plan_of(options)?;
    let cell = |it: &Cell| {
        let reader = it.reader.as_ref().map(|it| format!(", read back as {}", it.name)).unwrap_or_default();
        let own = &it.workload;
        format!("  {}: {} round(s) of {:.1} s at least{reader}", own.name, own.rounds, own.round_s())
    };
    let mut lines = vec!["would measure".to_owned()];
    lines.extend(plan.cells.iter().map(cell));
    let names: Vec<&str> = plan.targets.iter().map(|it| it.name.as_str()).collect();
    lines.push(format!("on {} in turn, and so for {:.0} s at least", names.join(", "), least_s(&plan)));
    lines.extend(emulated::would(&options.place, &plan.targets)?);
    lines.push("Nothing was started (--dry-run).".to_owned());
    Ok(lines.join("\n"))
}

/// Seconds of all least rounds on all targets, warm-ups included; readers and starts come on top.
fn least_s(plan: &Plan) -> f64 {
    let cells: f64 = plan.cells.iter().map(|it| it.workload.round_s() * f64::from(it.workload.rounds)).sum();
    cells * plan.targets.len() as f64
}

fn plan_of(options: &Options) -> Result<Plan, BenchError> {
    let (dir, is_of_clients) = (options.workloads.as_deref(), !options.client.is_empty());
    let workloads = if is_of_clients { spec::client::load(dir)? } else { workload::load(dir)? };
    if let Some(unknown) = options.only.iter().find(|name| workloads.iter().all(|it| it.name != **name)) {
        return Err(BenchError::Only(unknown.clone()));
    }
    let asked = |it: &Workload| options.only.is_empty() || options.only.contains(&it.name);
    let reader_of = |it: &Workload| workloads.iter().find(|reader| reader.of.as_deref() == Some(&it.name)).cloned();
    let cell = |it: &Workload| Cell { workload: it.clone(), reader: reader_of(it) };
    let written = workloads.iter().filter(|it| it.kind != Kind::Consume).map(cell);
    let mut cells: Vec<Cell> =
        written.filter(|it| asked(&it.workload) || it.reader.as_ref().is_some_and(asked)).collect();
    let ceilings = if options.no_yardstick || is_of_clients { Ceilings::Without } else { Ceilings::Beside };
    let targets = by_clients(targets::of(&options.targets, ceilings)?, &options.client)?;
    let plan = Plan { cells: cells.clone(), targets, seed: options.place.seed };
    let (factor, rounds) = options.scale(plan.measured_s());
    for cell in &mut cells {
        cell.workload = cell.workload.clone().scaled(factor, rounds);
        if is_of_clients {
            cell.workload = cell.workload.clone().with_records_scaled(factor);
            cell.workload.records_of_a_client()?;
        }
        cell.reader = cell.reader.take().map(|it| it.scaled(factor, rounds));
    }
    Ok(Plan { cells, ..plan })
}

/// The one broker, met by each of these clients; as they are where there are none. Only its first client warms it up.
fn by_clients(targets: Vec<Target>, words: &[String]) -> Result<Vec<Target>, BenchError> {
    if words.is_empty() {
        return Ok(targets);
    }
    let mut subjects = targets.into_iter().filter(|it| it.role == Role::Subject);
    let (Some(broker), None) = (subjects.next(), subjects.next()) else { return Err(BenchError::OneBroker) };
    let parsed = words.iter().map(|word| client::parse(word, &peers()).map_err(BenchError::Client));
    let mut met: Vec<Target> =
        parsed.map(|it| Ok(broker.clone().with_client(it?))).collect::<Result<_, BenchError>>()?;
    met.iter_mut().skip(1).for_each(|it| it.warm_up_mb = 0);
    distinct(&met).map_err(BenchError::Client)?;
    Ok(met)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn plan(line: &str) -> Result<Plan, BenchError> {
        plan_of(&Options::try_parse_from(std::iter::once("bench").chain(line.split_whitespace())).unwrap())
    }

    #[test]
    fn clients_take_turns_against_one_broker_with_workloads_of_their_own() {
        let plan = plan("--client ringlog --client ringlog:/bin/true --quick").unwrap();
        let names: Vec<&str> = plan.targets.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["ringlog-to-ringlog", "-bin-true-to-ringlog"]);
        assert!(plan.targets.iter().all(|it| it.broker_name() == "ringlog" && it.role == Role::Subject));
        assert_eq!(plan.cells[0].workload.records_max, Some(2_400_000), "a quick run has fewer");
        let second: Vec<&str> = plan.targets_of(&plan.cells[0], 2).iter().map(|it| it.name.as_str()).collect();
        assert_eq!(second, ["-bin-true-to-ringlog", "ringlog-to-ringlog"]);
    }

    #[test]
    fn clients_need_one_broker_a_name_each_and_enough_records() {
        let refused = |line: &str| plan(line).unwrap_err().to_string();
        assert!(refused("--client ringlog --target ringlog --target b=ringlog").contains("one target"));
        assert!(refused("--client ringlog --client ringlog").contains("called ringlog-to-ringlog"));
        assert!(refused("--client redpanda").contains("is no client"));
    }
}
