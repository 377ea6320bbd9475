//! Tp and Tc: what one partition takes and gives, measured through the session that bench and sweep share.
//!
//! One topic with one partition, the load's record size, batch, codec and acks; written as fast as it goes, then read back.

use std::path::Path;
use std::time::Duration;

use super::Refused;
use crate::plan::ask::Question;
use crate::run::course::Rounds;
use crate::run::spread::Spread;
use crate::run::{Cell, Plan};
use crate::session::targets::{self, Ceilings};
use crate::session::{Done, Extra, PlaceOptions, Session, TargetOptions, emulated};
use crate::spec::workload;
use crate::target::Target;

/// Rounds go on until their interval (95 %) is so wide to either side, or one of these is over.
const HALF_WIDTH_MAX: f64 = 0.1;
const ROUNDS_MAX: u32 = 9;
const TIME_MAX: Duration = Duration::from_secs(100);
/// The exit code of somebody's Ctrl-C.
const INTERRUPTED: u8 = 130;
/// The workloads whose shape is taken: their partitions are 1.
const WRITES: &str = "produce-1k";
const READS: &str = "consume";

/// What one partition does, MB/s on the wire: compressed, as the plan's other rates are.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    /// Tp.
    pub in_mb_s: f64,
    /// Tc.
    pub out_mb_s: f64,
    /// For the reader of the plan.
    pub told: String,
}

/// What a dry run says; what would be refused is refused.
pub(super) fn would(question: &Question, targets: &TargetOptions, place: &PlaceOptions) -> Result<String, String> {
    let cell = cell(question)?;
    let targets = one_target(targets)?;
    let writes = &cell.workload;
    let mut lines = vec![format!(
        "would write records of {} bytes to one partition of {} as fast as it goes ({}), and read them back",
        writes.record_bytes,
        targets[0].name,
        writes.producer.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
    )];
    lines.push(format!(
        "rounds until both rates are known to {:.0} %, {ROUNDS_MAX} at most and about {} s in all; rows go to a folder in {}",
        HALF_WIDTH_MAX * 100.0,
        TIME_MAX.as_secs(),
        place.results.display()
    ));
    lines.extend(emulated::would(place, &targets).map_err(|it| it.to_string())?);
    Ok(lines.join("\n"))
}

fn one_target(targets: &TargetOptions) -> Result<Vec<Target>, String> {
    let targets = targets::of(targets, Ceilings::Without).map_err(|it| it.to_string())?;
    if targets.len() == 1 {
        Ok(targets)
    } else {
        Err("--measure-partition measures one broker: give one --target or --bootstrap-server".to_owned())
    }
}

/// Why a measurement that began is no figure to plan with.
fn unusable(done: &Done) -> Option<Refused> {
    let folder = done.folder.display();
    if done.is_interrupted() {
        let words = format!("interrupted: nothing is planned. The same command with --resume {folder} goes on");
        return Some(Refused { words, code: INTERRUPTED });
    }
    if done.has_ledger_fault() {
        let words = format!(
            "the ledger does not add up: a broker that loses or doubles records is not fast. Rows are in {folder}"
        );
        return Some(words.into());
    }
    None
}

/// Measures it, and keeps the rows in a folder of results.
pub(super) fn measure(
    question: &Question,
    targets: &TargetOptions,
    place: &PlaceOptions,
) -> Result<Partition, Refused> {
    let cell = cell(question)?;
    let shards = targets.shards;
    let targets = one_target(targets)?;
    let course = Rounds { half_width_max: HALF_WIDTH_MAX, rounds_max: ROUNDS_MAX, time_max: TIME_MAX };
    let plan = Plan { cells: vec![cell], targets, seed: place.seed };
    let done = Session { verb: "partition", place, shards, plan, course: &course, extra: Extra::default() }.measure();
    let done = done.map_err(|it| it.to_string())?;
    if let Some(refused) = unusable(&done) {
        return Err(refused);
    }
    let rate = |name: &str| {
        let summary = done.summaries.iter().find(|it| it.workload == name);
        let missing = || {
            format!(
                "no round of {name} was measured: {}; rows are in {}",
                summary.map_or("none ran", |it| it.why.as_str()),
                done.folder.display()
            )
        };
        summary.and_then(|it| it.mb_s).ok_or_else(missing)
    };
    let (writes, reads) = (rate(WRITES)?, rate(READS)?);
    Ok(partition(writes, reads, question.compression_ratio.mid, &done.folder))
}

/// Rates of values as rates of the wire, which has them so many times smaller.
fn partition(writes: Spread, reads: Spread, ratio: f64, folder: &Path) -> Partition {
    let told = format!(
        "one partition takes {:.1} MB/s of values ({:.1} to {:.1} in {} rounds) and gives {:.1} ({:.1} to {:.1}){}; rows are in {}",
        writes.middle,
        writes.least,
        writes.greatest,
        writes.rounds,
        reads.middle,
        reads.least,
        reads.greatest,
        on_the_wire(ratio),
        folder.display()
    );
    Partition { in_mb_s: writes.middle / ratio, out_mb_s: reads.middle / ratio, told }
}

/// What is said beside rates of values where the wire has fewer bytes.
fn on_the_wire(ratio: f64) -> String {
    if ratio == 1.0 { String::new() } else { format!(", which the wire has {ratio} times smaller") }
}

/// One partition, written with the load's records and settings and read back.
fn cell(question: &Question) -> Result<Cell, String> {
    let workloads = workload::load(None).map_err(|it| it.to_string())?;
    let named = |name: &str| {
        workloads.iter().find(|it| it.name == name).cloned().ok_or_else(|| format!("there is no workload {name}"))
    };
    let (mut writes, reads) = (named(WRITES)?, named(READS)?);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "too large ones are cut to what is refused"
    )]
    {
        writes.record_bytes = question.record_bytes.mid.round() as u32;
    }
    writes.partitions = 1;
    writes.compressibility = (question.compression_ratio.mid > 1.0).then_some(question.compression_ratio.mid);
    for (key, value) in [
        ("acks", if question.acks_all { "all".to_owned() } else { "1".to_owned() }),
        ("batch.size", format!("{:.0}", question.batch_bytes.mid)),
        ("linger.ms", format!("{:.0}", question.linger_ms)),
        ("compression.type", question.compression.clone()),
    ] {
        writes.producer.insert(key.to_owned(), value);
    }
    writes.check().map_err(|it| format!("--measure-partition: a load of these records cannot be measured: {it}"))?;
    Ok(Cell { workload: writes, reader: Some(reads) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::ask::Ask;
    use crate::plan::interval::Interval;

    fn cell_of(ask: Ask) -> Result<Cell, String> {
        let ask = Ask { records_per_s: Some(Interval::known(1000.0)), ..ask };
        cell(&ask.resolve().map_err(|it| format!("{it:?}"))?)
    }

    #[test]
    fn one_partition_is_written_with_the_loads_own_records_and_settings() {
        let ask = Ask {
            record_bytes: Some(Interval::known(300.0)),
            batch_bytes: Some(Interval::known(65_536.0)),
            linger_ms: Some(20.0),
            compression: Some("zstd".to_owned()),
            compression_ratio: Some(Interval::known(3.0)),
            ..Ask::default()
        };
        let cell = cell_of(ask).unwrap();
        let writes = &cell.workload;
        assert_eq!((writes.partitions, writes.record_bytes, writes.compressibility), (1, 300, Some(3.0)));
        let setting = |key: &str| writes.producer[key].as_str();
        assert_eq!(["batch.size", "linger.ms", "compression.type"].map(setting), ["65536", "20", "zstd"]);
        assert_eq!(cell.reader.map(|it| it.of), Some(Some(WRITES.to_owned())), "read back what was written");
    }

    #[test]
    fn a_partitions_rates_are_those_of_the_wire_and_what_is_told_are_those_of_values() {
        let rate = |of: [f64; 3]| Spread::of(of).unwrap();
        let (writes, reads) = (rate([300.0, 330.0, 360.0]), rate([600.0, 900.0, 750.0]));
        let packed = partition(writes, reads, 3.0, Path::new("results/x"));
        assert_eq!((packed.in_mb_s, packed.out_mb_s), (110.0, 250.0), "a plan counts compressed bytes");
        assert!(packed.told.contains("takes 330.0 MB/s of values (300.0 to 360.0 in 3 rounds)"), "{}", packed.told);
        assert!(packed.told.contains("which the wire has 3 times smaller; rows are in results/x"), "{}", packed.told);
        let plain = partition(writes, reads, 1.0, Path::new("x"));
        assert_eq!((plain.in_mb_s, plain.out_mb_s), (330.0, 750.0));
        assert!(!plain.told.contains("the wire"), "{}", plain.told);
    }

    #[test]
    fn a_measurement_that_was_interrupted_is_no_plan_and_names_the_folder_to_go_on_with() {
        let done = |end| Done {
            summaries: vec![],
            warnings: vec![],
            folder: "results/x".into(),
            rows: vec![],
            end,
            has_page: true,
        };
        let refused = unusable(&done(Err(crate::run::End::Interrupted))).unwrap();
        assert_eq!(refused.code, INTERRUPTED);
        assert!(
            refused.words.contains("interrupted") && refused.words.contains("--resume results/x"),
            "{}",
            refused.words
        );
        assert!(unusable(&done(Ok(()))).is_none());
    }

    #[test]
    fn records_too_small_for_a_stamp_are_refused_before_a_broker_is_started() {
        let ask = Ask { record_bytes: Some(Interval::known(8.0)), ..Ask::default() };
        let words = cell_of(ask).unwrap_err();
        assert!(words.contains("record_bytes is 8; it must be 16"), "{words}");
    }
}
