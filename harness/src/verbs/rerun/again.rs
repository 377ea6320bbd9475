//! From a row and its manifest to what is to be run.

use std::time::Duration;

use super::{Options, RerunError};
use crate::emulate::told;
use crate::report::kept::Kept;
use crate::results::{Manifest, Row};
use crate::run::course::Rounds;
use crate::run::{Cell, Plan};
use crate::session::targets::{self, Ceilings};
use crate::session::{Done, Extra, PlaceOptions, Session, origin};
use crate::spec::{Kind, Workload};
use crate::target::{Start, Target};

/// Between a sweep's workload and the rate that one of its steps offered.
const AT_RATE: char = '@';

/// A row, and all that makes it again.
pub(super) struct Again {
    pub(super) row: Row,
    cell: Cell,
    target: Target,
    shards: Option<u32>,
    /// The machine that was emulated, where one was.
    emulated: Option<String>,
}

/// The row of this number, counted from 1.
pub(super) fn of(kept: &Kept, number: usize, options: &Options) -> Result<Again, RerunError> {
    let missing = || RerunError::NoRow { folder: options.folder.clone(), asked: number, rows: kept.rows.len() };
    let row = number.checked_sub(1).and_then(|at| kept.rows.get(at)).ok_or_else(missing)?.clone();
    if row.role != "subject" {
        return Err(RerunError::Ceiling(number));
    }
    let cell = cell(&kept.manifest, &row, number)?;
    let target = target(&kept.manifest, &row, number, options)?;
    let emulated = kept.manifest.emulated.get(told::ASKED).cloned();
    Ok(Again { cell, target, shards: options.targets.shards.or(row.shards), emulated, row })
}

impl Again {
    pub(super) fn target_name(&self) -> &str {
        &self.target.name
    }

    pub(super) fn start(&self) -> &Start {
        &self.target.start
    }

    /// Measures it, in a run of its own.
    pub(super) fn measure(self, options: &Options) -> Result<Done, RerunError> {
        let Self { row, mut cell, target, shards, emulated } = self;
        // On the row's own machine, unless another is asked for (`native` for none).
        let place = PlaceOptions { emulate: options.place.emulate.clone().or(emulated), ..options.place.clone() };
        cell.workload.rounds = options.rounds;
        // A round's seed is the plan's and its number: the first one gets the row's.
        let plan = Plan { cells: vec![cell], targets: vec![target], seed: row.seed.wrapping_sub(1) };
        let course = Rounds { half_width_max: f64::MAX, rounds_max: options.rounds, time_max: Duration::ZERO };
        let mut asked = toml::Table::new();
        asked.insert("of".to_owned(), toml::Value::String(options.folder.display().to_string()));
        asked.insert("row".to_owned(), toml::Value::Integer(options.row.unwrap_or(0) as i64));
        let extra = Extra { asked, ..Extra::default() };
        let session = Session { verb: "rerun", place: &place, shards, plan, course: &course, extra };
        Ok(session.measure()?)
    }
}

/// What was written, and who read it where that is a workload of its own.
fn cell(manifest: &Manifest, row: &Row, number: usize) -> Result<Cell, RerunError> {
    let own = workload(manifest, &row.workload, number)?;
    let written = match &own.of {
        Some(of) if own.kind == Kind::Consume => workload(manifest, of, number)?,
        _ => own.clone(),
    };
    let reader = match own.kind {
        Kind::Consume => Some(own),
        _ => None,
    };
    let rate = row.rate_records_s.or(written.rate_records_s);
    Ok(Cell { workload: Workload { name: written_name(row, &written), rate_records_s: rate, ..written }, reader })
}

/// A step of a ladder keeps its own name.
fn written_name(row: &Row, written: &Workload) -> String {
    if row.kind == Kind::Consume.name() { written.name.clone() } else { row.workload.clone() }
}

fn workload(manifest: &Manifest, name: &str, row: usize) -> Result<Workload, RerunError> {
    let base = name.rsplit_once(AT_RATE).map_or(name, |it| it.0);
    let table = manifest.workloads.get(name).or_else(|| manifest.workloads.get(base));
    let missing = || RerunError::NoWorkload { row, workload: name.to_owned() };
    let read = table.ok_or_else(missing)?.clone().try_into();
    read.map_err(|error: toml::de::Error| RerunError::Workload {
        row,
        workload: name.to_owned(),
        reason: error.message().to_owned(),
    })
}

/// The target of the command line, or else the row's.
fn target(manifest: &Manifest, row: &Row, number: usize, options: &Options) -> Result<Target, RerunError> {
    if options.targets.bootstrap_server.is_some() || !options.targets.target.is_empty() {
        let mut given = targets::of(&options.targets, Ceilings::Without)?;
        let client = manifest.targets.get(&row.target).map(origin::client).transpose();
        let client = client.map_err(|reason| RerunError::Target { row: number, reason })?.flatten();
        let given_one = given
            .pop()
            .filter(|_| given.is_empty())
            .ok_or_else(|| RerunError::Target { row: number, reason: "give one target: a row is of one".to_owned() })?;
        // A row of another program's is made again by that program.
        return Ok(match client {
            Some(client) => given_one.with_client(client),
            None => given_one,
        });
    }
    let facts = manifest.targets.get(&row.target);
    // Schema 1 had what was known of the one broker in a table of its own.
    let facts = facts.unwrap_or(&manifest.broker);
    let mut target = origin::target(&row.target, facts).map_err(|reason| RerunError::Target { row: number, reason })?;
    target.settings.extend(options.targets.r#override.iter().cloned());
    Ok(target)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::report::kept::tests::folder;

    fn options(line: &str) -> Options {
        let words = format!("rerun {} {line}", folder().display());
        Options::try_parse_from(words.split_whitespace()).unwrap()
    }

    fn again(number: usize, line: &str) -> Result<Again, RerunError> {
        of(&Kept::read(&folder()).unwrap(), number, &options(line))
    }

    #[test]
    fn a_row_comes_back_with_its_workload_its_reader_its_target_and_its_settings() {
        let wrote = again(1, "1").unwrap();
        assert_eq!((wrote.cell.workload.name.as_str(), wrote.target.name.as_str()), ("produce-1k", "ringlog"));
        assert_eq!((wrote.cell.workload.producer["batch.size"].as_str(), wrote.shards), ("16384", Some(1)));
        assert!(wrote.cell.reader.is_none());
        let read = again(2, "2").unwrap();
        assert_eq!(read.cell.workload.name, "produce-1k");
        assert_eq!(read.cell.reader.unwrap().name, "consume");
    }

    #[test]
    fn what_cannot_be_measured_again_says_why() {
        let refused = |number, line| again(number, line).err().unwrap().to_string();
        assert!(refused(99, "99").contains("has rows 1 to 20"));
        assert!(refused(0, "0").contains("has rows 1 to 20"));
        let two = refused(1, "1 --target a=ringlog --target b=ringlog");
        assert!(two.contains("give one target"), "{two}");
        let mut kept = Kept::read(&folder()).unwrap();
        kept.manifest.workloads.clear();
        let error = of(&kept, 1, &options("1")).err().unwrap().to_string();
        assert!(error.contains("no workload produce-1k"), "{error}");
        kept.rows[0].role = "ceiling".to_owned();
        assert!(of(&kept, 1, &options("1")).err().unwrap().to_string().contains("null broker"));
    }

    #[test]
    fn a_step_of_a_ladder_runs_at_its_own_rate_under_its_own_name() {
        let mut kept = Kept::read(&folder()).unwrap();
        let row = kept.rows.iter_mut().find(|it| it.workload == "latency").unwrap();
        (row.workload, row.rate_records_s) = ("latency@2500".to_owned(), Some(2500.0));
        let number = kept.rows.iter().position(|it| it.workload == "latency@2500").unwrap() + 1;
        let found = of(&kept, number, &options("1")).unwrap();
        assert_eq!(found.cell.workload.name, "latency@2500");
        assert_eq!(found.cell.workload.rate_records_s, Some(2500.0));
    }
}
