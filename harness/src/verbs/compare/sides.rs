//! From options to the two sides: a target each, and the workloads as each side runs them.

use crate::run::Cell;
use crate::session::TargetOptions;
use crate::session::targets::{self, Ceilings};
use crate::spec::workload::{self, WorkloadError};
use crate::spec::{Kind, Workload};
use crate::target::Target;
use crate::target::spec::distinct;
use crate::verdict::pairs::SIDES;

use super::exit::CompareError;
use super::options::Options;

/// Both sides, A first.
pub(super) struct Sides {
    /// The targets.
    pub(super) targets: Vec<Target>,
    /// The workloads of each.
    pub(super) cells: [Vec<Cell>; 2],
}

/// The sides of the options.
pub(super) fn of(options: &Options) -> Result<Sides, CompareError> {
    if options.aa && options.sides.len() == 2 {
        return Err(CompareError::Usage("--aa takes one side: it is compared with itself".to_owned()));
    }
    let word = |side: usize| options.sides.get(side).or(options.sides.first()).cloned().unwrap_or_default();
    let mut targets = vec![target(options, &word(0), 0)?, target(options, &word(1), 1)?];
    if targets[0].name == targets[1].name {
        targets.iter_mut().zip(SIDES).for_each(|(it, side)| it.name = format!("{}-{side}", it.name));
    }
    distinct(&targets).map_err(crate::session::SessionError::from)?;
    let cells = [cells(options, &options.a_set)?, cells(options, &options.b_set)?];
    Ok(Sides { targets, cells })
}

fn target(options: &Options, word: &str, side: usize) -> Result<Target, CompareError> {
    let (own_override, pids) =
        if side == 0 { (&options.a_override, &options.a_pid) } else { (&options.b_override, &options.b_pid) };
    let (name, place) = word.split_once('=').map_or((None, word), |(name, place)| (Some(name), place));
    let is_remote = is_address(place);
    let asked = TargetOptions {
        bootstrap_server: is_remote.then(|| place.to_owned()),
        command_config: options.command_config.clone().filter(|_| is_remote),
        broker_pid: pids.clone(),
        metrics_from: Vec::new(),
        name: name.unwrap_or(place).to_owned(),
        target: if is_remote { Vec::new() } else { vec![word.to_owned()] },
        r#override: options.r#override.iter().chain(own_override).cloned().collect(),
        replication_factor: None,
        topic_config: options.topic_config.clone(),
        warm_up_mb: options.warm_up_mb,
        shards: options.shards,
        io: None,
    };
    let found = targets::of(&asked, Ceilings::Without)?;
    found.into_iter().next().ok_or_else(|| CompareError::Usage(format!("{word} names no side")))
}

/// `HOST:PORT`, or several with commas between.
pub(super) fn is_address(word: &str) -> bool {
    let is_one =
        |it: &str| it.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    word.split(',').all(is_one)
}

/// The workloads as a side runs them: a consume workload with the one that it reads.
fn cells(options: &Options, own: &[(String, String)]) -> Result<Vec<Cell>, CompareError> {
    let all = workload::load(options.workloads.as_deref())?;
    let names = || all.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(unknown) = options.only.iter().find(|name| all.iter().all(|it| it.name != **name)) {
        return Err(CompareError::Usage(format!("--only {unknown}: no such workload; there are {}", names())));
    }
    let asked = |it: &Workload| options.only.contains(&it.name);
    let changed = |it: &Workload| {
        let mut it = it.clone();
        it.measured_s = options.seconds.unwrap_or(it.measured_s);
        options.set.iter().chain(own).try_fold(it, |it, (key, value)| with(&it, key, value))
    };
    let mut cells = Vec::new();
    for written in all.iter().filter(|it| it.kind != Kind::Consume) {
        let reader = all.iter().find(|it| it.of.as_deref() == Some(&written.name)).filter(|it| asked(it));
        if asked(written) || reader.is_some() {
            cells.push(Cell { workload: changed(written)?, reader: reader.map(changed).transpose()? });
        }
    }
    Ok(cells)
}

/// A workload with a key of its profile changed: `record_bytes`, `producer.linger.ms`.
fn with(workload: &Workload, key: &str, value: &str) -> Result<Workload, WorkloadError> {
    let invalid = |reason: String| WorkloadError::Invalid {
        name: workload.name.clone(),
        reason: format!("{key}={value}: {reason}"),
    };
    let mut table = toml::Table::try_from(workload).map_err(|error| invalid(error.to_string()))?;
    let of_client =
        ["producer", "consumer"].into_iter().find_map(|it| Some((it, key.strip_prefix(it)?.strip_prefix('.')?)));
    match of_client {
        Some((client, name)) => {
            let own = table.entry(client).or_insert_with(|| toml::Table::new().into());
            own.as_table_mut().map(|it| it.insert(name.to_owned(), value.into()));
        }
        None => drop(table.insert(key.to_owned(), literal(value))),
    }
    let changed: Workload = table.try_into().map_err(|error: toml::de::Error| invalid(error.message().to_owned()))?;
    changed.check()?;
    Ok(changed)
}

/// A value as a profile would have it: a number, a truth, a text.
fn literal(value: &str) -> toml::Value {
    let integer = value.parse::<i64>().ok().map(toml::Value::from);
    let number = || value.parse::<f64>().ok().map(toml::Value::from);
    let truth = || value.parse::<bool>().ok().map(toml::Value::from);
    integer.or_else(number).or_else(truth).unwrap_or_else(|| value.into())
}

#[cfg(test)]
mod tests {
    use super::super::options::tests::parsed;
    use super::*;

    #[test]
    fn one_word_is_both_sides_under_names_of_their_own() {
        let sides = of(&parsed("ringlog --b-set producer.linger.ms=50 --set record_bytes=200")).unwrap();
        let names: Vec<&str> = sides.targets.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["ringlog-a", "ringlog-b"]);
        let linger = |side: usize| sides.cells[side][0].workload.producer["linger.ms"].clone();
        assert_eq!((linger(0).as_str(), linger(1).as_str()), ("5", "50"));
        assert!(sides.cells.iter().all(|it| it[0].workload.record_bytes == 200 && it.len() == 2));
    }

    #[test]
    fn a_side_may_be_a_broker_that_runs_and_have_settings_of_its_own() {
        let sides = of(&parsed("old=127.0.0.1:9092 ringlog --b-override ringlog.io=epoll --a-pid 7")).unwrap();
        assert_eq!(sides.targets[0].name, "old");
        assert!(!sides.targets[0].is_started() && sides.targets[1].settings["ringlog.io"] == "epoll");
        assert!(is_address("a:1,b:2") && !is_address("kafka:4.3.1") && !is_address("ringlog:/x"));
    }

    #[test]
    fn a_reader_comes_with_what_it_reads_only_where_it_is_asked_for() {
        let cells = |line: &str| of(&parsed(line)).unwrap().cells[0].clone();
        assert!(cells("ringlog").iter().all(|it| it.reader.is_none()));
        let read = cells("ringlog --only consume --seconds 2");
        assert!(read.len() == 1 && read[0].reader.as_ref().is_some_and(|it| it.name == "consume"));
        assert_eq!(read[0].workload.measured_s, 2.0);
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let refused = |line: &str| of(&parsed(line)).err().unwrap().to_string();
        assert!(refused("ringlog --only nothing").contains("produce-1k"));
        assert!(refused("ringlog --set recordbytes=1").contains("recordbytes"));
        assert!(refused("ringlog --set record_bytes=1").contains("must be 16"));
        assert!(refused("ringlog kafka --aa").contains("one side"));
        assert!(refused("redpanda ringlog").contains("no target"));
    }
}
