//! Tp and Tc: what one partition takes and gives, measured through the session that bench and sweep share.
//!
//! One topic with one partition, the load's record size, batch, codec and acks; written as fast as it goes, then read back.

use std::time::Duration;

use crate::plan::ask::Question;
use crate::run::course::Rounds;
use crate::run::{Cell, Plan};
use crate::session::targets::{self, Ceilings};
use crate::session::{Extra, PlaceOptions, Session, TargetOptions};
use crate::spec::workload;

/// Rounds go on until their interval (95 %) is so wide to either side, or one of these is over.
const HALF_WIDTH_MAX: f64 = 0.1;
const ROUNDS_MAX: u32 = 9;
const TIME_MAX: Duration = Duration::from_secs(100);
/// The workloads whose shape is taken: their partitions are 1.
const WRITES: &str = "produce-1k";
const READS: &str = "consume";

/// What one partition does, MB/s of values.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    /// Tp.
    pub in_mb_s: f64,
    /// Tc.
    pub out_mb_s: f64,
    /// For the reader of the plan.
    pub told: String,
}

/// Measures it, and keeps the rows in a folder of results.
pub(super) fn measure(question: &Question, targets: &TargetOptions, place: &PlaceOptions) -> Result<Partition, String> {
    let workloads = workload::load(None).map_err(|it| it.to_string())?;
    let named = |name: &str| {
        workloads.iter().find(|it| it.name == name).cloned().ok_or_else(|| format!("there is no workload {name}"))
    };
    let (mut writes, reads) = (named(WRITES)?, named(READS)?);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a record's size is at most 10^9; the workload checks it"
    )]
    {
        writes.record_bytes = question.record_bytes.mid as u32;
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
    let shards = targets.shards;
    let targets = targets::of(targets, Ceilings::Without).map_err(|it| it.to_string())?;
    if targets.len() != 1 {
        return Err("--measure-partition measures one broker: give one --target or --bootstrap-server".to_owned());
    }
    let course = Rounds { half_width_max: HALF_WIDTH_MAX, rounds_max: ROUNDS_MAX, time_max: TIME_MAX };
    let plan = Plan { cells: vec![Cell { workload: writes, reader: Some(reads) }], targets, seed: place.seed };
    let done = Session { verb: "partition", place, shards, plan, course: &course, extra: Extra::default() }.measure();
    let done = done.map_err(|it| it.to_string())?;
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
    let told = format!(
        "one partition takes {:.0} MB/s ({:.0} to {:.0} in {} rounds) and gives {:.0} ({:.0} to {:.0}); rows are in {}",
        writes.middle,
        writes.least,
        writes.greatest,
        writes.rounds,
        reads.middle,
        reads.least,
        reads.greatest,
        done.folder.display()
    );
    Ok(Partition { in_mb_s: writes.middle, out_mb_s: reads.middle, told })
}
