//! What a sweep is going to do, and how long that takes, before anything starts.

use crate::run::{Plan, SoFar};
use crate::spec::sweep::{Sweep, SweepCell};
use crate::spec::{Kind, Workload};

use super::course::SweepCourse;
use crate::run::Course as _;

/// What a trial takes beside its warm-up and its measured time: a topic is made, found, deleted.
const TRIAL_S: f64 = 0.3;
/// Reading back takes about so much of the time that writing took; at an offered rate it takes less.
const READ_BACK_SHARE: f64 = 0.6;
const READ_BACK_SHARE_OF_A_RATE: f64 = 0.1;
/// Cells that are told one by one.
const CELLS_TOLD_MAX: usize = 200;

/// Seconds that a sweep takes on so many targets, where nothing unforeseen happens.
pub(super) fn expected_s(sweep: &Sweep, targets: usize) -> f64 {
    let cells: f64 = sweep.cells.iter().map(|it| trials(it) * trial_s(&it.workload)).sum();
    cells * f64::from(sweep.rounds) * targets as f64
}

/// Trials of a cell against a target, where every rate holds.
fn trials(cell: &SweepCell) -> f64 {
    cell.ladder.as_ref().map_or(1.0, |it| it.records_s.len() as f64 + f64::from(it.bisections))
}

fn trial_s(workload: &Workload) -> f64 {
    let share = if workload.kind == Kind::Latency { READ_BACK_SHARE_OF_A_RATE } else { READ_BACK_SHARE };
    TRIAL_S + workload.round_s() * (1.0 + share)
}

/// The plan: every cell with what it does, the order of each round, the time.
pub(super) fn text(sweep: &Sweep, plan: &Plan, course: &SweepCourse) -> String {
    let mut lines = vec![format!("{}: {}", sweep.name, sweep.what)];
    for part in sweep.parts() {
        let cells: Vec<&SweepCell> = sweep.cells.iter().filter(|it| it.part == part).collect();
        lines.push(format!("\n{part}: {}", counted(cells.len(), "cell")));
        for cell in cells.iter().take(CELLS_TOLD_MAX) {
            lines.push(format!("  {}", cell_line(cell)));
        }
        if cells.len() > CELLS_TOLD_MAX {
            lines.push(format!("  .. and {} more", cells.len() - CELLS_TOLD_MAX));
        }
    }
    lines.push(String::new());
    lines.push(order(sweep, plan, course));
    lines.push("Nothing was started (--dry-run).".to_owned());
    lines.join("\n")
}

fn cell_line(cell: &SweepCell) -> String {
    let workload = &cell.workload;
    let words = if cell.factors.is_empty() { workload.what.clone() } else { cell.words() };
    let pace = match (&cell.ladder, workload.rate_records_s) {
        (Some(ladder), _) => {
            let ends = (ladder.records_s.first(), ladder.records_s.last());
            let ends = if let (Some(low), Some(high)) = ends { format!("{low} to {high}/s") } else { String::new() };
            let p99 = ladder.p99_ms.map_or(String::new(), |it| format!(", p99 at most {it} ms"));
            format!("{ends} in {} steps, {} more to search{p99}", ladder.records_s.len(), ladder.bisections)
        }
        (None, Some(rate)) => format!("{rate}/s"),
        (None, None) => "as fast as it goes".to_owned(),
    };
    let reads = if cell.reader.is_some() { ", read back as a row" } else { "" };
    let sizes = workload.record_size_dist.clone().unwrap_or_else(|| format!("{} B", workload.record_bytes));
    let times = format!("{:.1} s + {:.1} s", workload.warmup_s_max.unwrap_or(workload.warmup_s), workload.measured_s);
    let partitions = counted(workload.partitions as usize, "partition");
    format!(
        "{words}  ({sizes}, {partitions}, {}, {pace}, {times}{reads})",
        counted(workload.clients as usize, "producer")
    )
}

/// The order of the first round, and the time, in a few lines.
pub(super) fn order(sweep: &Sweep, plan: &Plan, course: &SweepCourse) -> String {
    let names: Vec<&str> = plan.targets.iter().map(|it| it.name.as_str()).collect();
    let start = SoFar { rows: &[], earlier: 0, elapsed: std::time::Duration::ZERO };
    let trials = course.left(plan, &start).steps;
    let turns = course.orders.first().map_or(&[][..], |it| &it[..it.len().min(CELLS_TOLD_MAX)]);
    let order: Vec<String> = turns.iter().map(|at| (at + 1).to_string()).collect();
    let seconds = expected_s(sweep, plan.targets.len());
    format!(
        "{}, {} on {}{}: {trials} steps, about {}\nseed {}: the cells come in the order {}{}",
        counted(sweep.cells.len(), "cell"),
        counted(sweep.rounds as usize, "round"),
        names.join(", "),
        if names.len() > 1 { " in turn" } else { "" },
        time(seconds),
        plan.seed,
        order.join(" "),
        if sweep.rounds > 1 { " in the first round" } else { "" },
    )
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn time(seconds: f64) -> String {
    match seconds {
        it if it < 90.0 => format!("{it:.0} s"),
        it if it < 5400.0 => format!("{:.0} min", it / 60.0),
        it => format!("{:.1} h", it / 3600.0),
    }
}
