//! From rounds to rows: every figure of rows.csv and of the table is worked out here, and nowhere else.

use super::{Plan, Round, Target};
use crate::host::Usage;
use crate::measure::Latencies;
use crate::results::latency::Interval;
use crate::results::rows::{Row, SCHEMA};
use crate::spec::Kind;

/// Above this share of its core the client is what was measured.
pub const CLIENT_SHARE_MAX: f64 = 0.90;
/// Below this share of the rate that was asked for, the generator or the broker did not keep up.
pub const RATE_SHARE_MIN: f64 = 0.995;
/// Above this share of a core's time, what the hypervisor took is worth a note.
pub const STEAL_SHARE_MAX: f64 = 0.02;
/// Above this share of a core's time, what others on the machine used is worth a note.
pub const OTHERS_SHARE_MAX: f64 = 0.20;
/// Bytes of a megabyte, here and in every row.
const MB: f64 = 1e6;

/// What every row of a run repeats.
#[derive(Clone, Debug, Default)]
pub struct Common {
    /// Shards of the broker, where we started it.
    pub shards: Option<u32>,
    /// Its kind of io, where it says so.
    pub io: Option<String>,
    /// Notes that every row of the subject carries.
    pub notes: Vec<String>,
}

/// The row of a round.
#[must_use]
pub fn row(plan: &Plan, common: &Common, round: &Round) -> Row {
    let (measured, usage) = (&round.measured, &round.measured.usage);
    let subject = round.target == Target::Subject;
    let all = merged(&measured.seconds);
    let response = |quantile| percentile_us(&all.response, quantile);
    let service = |quantile| percentile_us(&all.service, quantile);
    Row {
        schema: SCHEMA,
        time: measured.time.clone(),
        workload: round.workload.name.clone(),
        target: plan.name_of(round.target).to_owned(),
        round: round.number,
        record_bytes: round.workload.record_bytes,
        batch_bytes: round.workload.batch_bytes(),
        partitions: round.workload.partitions,
        rate_records_s: round.workload.rate_records_s,
        records: measured.records,
        bytes: measured.bytes,
        seconds: rounded(usage.wall_s, 6),
        mb_s: rounded(per_second(measured.bytes as f64 / MB, usage.wall_s), 3),
        records_s: rounded(per_second(measured.records as f64, usage.wall_s), 1),
        response_us_p50: response(0.50),
        response_us_p99: response(0.99),
        response_us_p999: response(0.999),
        response_us_max: response(1.0),
        service_us_p50: service(0.50),
        service_us_p99: service(0.99),
        service_us_p999: service(0.999),
        broker_cpu_ms: usage.broker_cpu_ms,
        client_cpu_ms: usage.client_cpu_ms,
        machine_cpu_ms: usage.machine_cpu_ms,
        client_core_share: rounded(usage.client_core_share, 4),
        steal_ms: usage.steal_ms,
        pressure_cpu_us: usage.pressure_cpu_us,
        pressure_io_us: usage.pressure_io_us,
        shards: common.shards.filter(|_| subject),
        io: common.io.clone().filter(|_| subject),
        ledger_verified_records: round.verdict.map(|it| it.acknowledged),
        notes: notes(common, round).join("+"),
    }
}

/// The round's histograms as lines of latency.hlog.
#[must_use]
pub fn intervals(plan: &Plan, round: &Round) -> Vec<Interval> {
    let target = plan.name_of(round.target);
    let stem = format!("{}.{target}.{}", round.workload.name, round.number);
    let mut intervals = Vec::new();
    for (second, latencies) in (0u64..).zip(&round.measured.seconds) {
        let kinds = [(Latencies::RESPONSE_TAG, &latencies.response), (Latencies::SERVICE_TAG, &latencies.service)];
        for (kind, histogram) in kinds.into_iter().filter(|it| !it.1.is_empty()) {
            intervals.push(Interval {
                tag: format!("{stem}.{kind}"),
                start: round.measured.start + std::time::Duration::from_secs(second),
                length: std::time::Duration::from_secs(1),
                histogram: histogram.clone(),
            });
        }
    }
    intervals
}

/// What has to be known before a row is believed.
fn notes(common: &Common, round: &Round) -> Vec<String> {
    let usage = &round.measured.usage;
    let mut notes = Vec::new();
    if usage.client_core_share > CLIENT_SHARE_MAX {
        notes.push("client-bound".to_owned());
    }
    if usage.steal_ms as f64 > STEAL_SHARE_MAX * usage.wall_s * 1000.0 {
        notes.push("steal".to_owned());
    }
    if others_ms(usage).is_some_and(|it| it > OTHERS_SHARE_MAX * usage.wall_s * 1000.0) {
        notes.push("busy-machine".to_owned());
    }
    let reached = per_second(round.measured.records as f64, usage.wall_s);
    if round.workload.kind == Kind::Latency
        && round.workload.rate_records_s.is_some_and(|rate| reached < RATE_SHARE_MIN * rate)
    {
        notes.push("rate-not-reached".to_owned());
    }
    if round.verdict.is_some_and(|it| it.failed > 0) {
        notes.push("failed-sends".to_owned());
    }
    if round.measured.retried_records > 0 {
        notes.push("retries".to_owned());
    }
    if round.target == Target::Subject {
        notes.extend(common.notes.iter().cloned());
    }
    notes
}

/// Processor time that was neither the broker's nor ours: other processes, kernel threads, interrupts. Not known where the
/// broker's process is not.
fn others_ms(usage: &Usage) -> Option<f64> {
    usage.broker_cpu_ms.map(|broker| usage.machine_cpu_ms.saturating_sub(broker + usage.client_cpu_ms) as f64)
}

/// One line of the table: the middle of a workload's rounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// The workload.
    pub workload: String,
    /// The target.
    pub target: String,
    /// Megabytes (10^6) a second.
    pub mb_s: f64,
    /// Records a second.
    pub records_s: f64,
    /// Response time in us: 50, 99 and 99.9 of 100.
    pub response_us: [Option<f64>; 3],
    /// Broker's processor time for a megabyte, in ms.
    pub broker_ms_mb: Option<f64>,
    /// Client's processor time for a megabyte, in ms.
    pub client_ms_mb: Option<f64>,
    /// Rate as a share of the null broker's, without and with an append.
    pub of_null: [Option<f64>; 2],
    /// Whether the client was the bottleneck in most rounds.
    pub client_bound: bool,
}

/// Sums the target's rows up, a summary for each workload, in the order of the plan.
#[must_use]
pub fn summaries(plan: &Plan, rows: &[Row]) -> Vec<Summary> {
    let of = |workload: &str| summary(plan, rows, workload);
    plan.workloads.iter().filter_map(|it| of(&it.name)).collect()
}

fn summary(plan: &Plan, rows: &[Row], workload: &str) -> Option<Summary> {
    let of_target = |target: Target| -> Vec<&Row> {
        rows.iter().filter(|it| it.workload == workload && it.target == plan.name_of(target)).collect()
    };
    let ours = of_target(Target::Subject);
    let middle = |value: &dyn Fn(&Row) -> Option<f64>| median(ours.iter().filter_map(|it| value(it)).collect());
    let fixed_rate = ours.iter().any(|it| it.rate_records_s.is_some());
    let share = |target| if fixed_rate { None } else { share_of(&ours, &of_target(target)) };
    let bound = ours.iter().filter(|it| it.client_core_share > CLIENT_SHARE_MAX).count();
    Some(Summary {
        workload: workload.to_owned(),
        target: plan.subject.clone(),
        mb_s: middle(&|it| Some(it.mb_s))?,
        records_s: middle(&|it| Some(it.records_s))?,
        response_us: [
            middle(&|it| it.response_us_p50),
            middle(&|it| it.response_us_p99),
            middle(&|it| it.response_us_p999),
        ],
        broker_ms_mb: middle(&|it| it.broker_cpu_ms.and_then(|ms| per_mb(ms, it.bytes))),
        client_ms_mb: middle(&|it| per_mb(it.client_cpu_ms, it.bytes)),
        of_null: [share(Target::NullReceive), share(Target::NullAppend)],
        client_bound: bound * 2 > ours.len(),
    })
}

/// The middle of the ratios between rounds of the same number.
fn share_of(ours: &[&Row], theirs: &[&Row]) -> Option<f64> {
    let pairs = ours.iter().filter_map(|a| theirs.iter().find(|b| b.round == a.round).map(|b| (a.mb_s, b.mb_s)));
    median(pairs.filter(|it| it.1 > 0.0).map(|(a, b)| a / b).collect())
}

fn merged(seconds: &[Latencies]) -> Latencies {
    let mut all = Latencies::new();
    seconds.iter().for_each(|it| all.merge(it));
    all
}

fn percentile_us(histogram: &hdrhistogram::Histogram<u64>, quantile: f64) -> Option<f64> {
    let ns = if quantile >= 1.0 { histogram.max() } else { histogram.value_at_quantile(quantile) };
    (!histogram.is_empty()).then(|| rounded(ns as f64 / 1000.0, 3))
}

fn per_second(amount: f64, seconds: f64) -> f64 {
    if seconds > 0.0 { amount / seconds } else { 0.0 }
}

fn per_mb(ms: u64, bytes: u64) -> Option<f64> {
    (bytes > 0).then(|| ms as f64 / (bytes as f64 / MB))
}

/// The middle value, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => None,
        len if len % 2 == 1 => values.get(half).copied(),
        _ => Some((values[half - 1] + values[half]) / 2.0),
    }
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::super::mock::{Mock, Silent, plan};
    use super::super::run;
    use super::*;

    fn rows_of(rounds: u32) -> (Plan, Vec<Row>) {
        let plan = plan(rounds);
        let done = run(&plan, &mut Mock::default(), &mut Silent).unwrap();
        let common = Common { shards: Some(1), io: Some("uring".to_owned()), notes: vec!["shared-core".to_owned()] };
        let rows = done.iter().map(|it| row(&plan, &common, it)).collect();
        (plan, rows)
    }

    #[test]
    fn a_row_has_the_rates_of_its_measured_time() {
        let (_, rows) = rows_of(1);
        let ours = &rows[0];
        assert_eq!((ours.records, ours.bytes, ours.seconds), (10, 10_000, 1.0));
        assert_eq!((ours.mb_s, ours.records_s), (0.01, 10.0));
        assert_eq!((ours.target.as_str(), ours.shards, ours.io.as_deref()), ("ringlog", Some(1), Some("uring")));
        assert_eq!(ours.ledger_verified_records, Some(10));
        assert_eq!(ours.notes, "shared-core");
        let null = rows.iter().find(|it| it.target == "null-receive").unwrap();
        assert_eq!((null.mb_s, null.shards, null.ledger_verified_records), (0.02, None, None));
        assert_eq!(null.notes, "");
    }

    #[test]
    fn response_counts_from_the_intended_moment_and_service_from_the_sending() {
        let (_, rows) = rows_of(1);
        let near = |value: Option<f64>, wanted: f64| (value.unwrap() - wanted).abs() < wanted * 0.002;
        assert!(near(rows[0].response_us_p50, 5.0), "{:?}", rows[0].response_us_p50);
        assert!(near(rows[0].response_us_max, 10.0), "{:?}", rows[0].response_us_max);
        assert!(near(rows[0].service_us_p50, 4.5), "{:?}", rows[0].service_us_p50);
    }

    #[test]
    fn the_share_of_the_null_broker_is_taken_between_rounds_of_the_same_number() {
        let (plan, mut rows) = rows_of(3);
        // The machine is half as fast in round 2, for everybody: the shares stay.
        rows.iter_mut().filter(|it| it.round == 2).for_each(|it| it.mb_s /= 2.0);
        let all = summaries(&plan, &rows);
        assert_eq!(all[0].of_null, [Some(0.5), Some(0.5)]);
        let names: Vec<&str> = all.iter().map(|it| it.workload.as_str()).collect();
        assert_eq!(names, ["w", "r", "fixed"]);
        assert_eq!(all[1].of_null, [Some(0.5), None], "the null broker appends nothing when it is read");
        assert_eq!(all[2].of_null, [None, None], "a share of a fixed rate says nothing");
    }

    #[test]
    fn processor_time_is_per_megabyte_and_unknown_stays_unknown() {
        let (plan, mut rows) = rows_of(1);
        assert_eq!(summaries(&plan, &rows)[0].broker_ms_mb, Some(2000.0));
        assert_eq!(summaries(&plan, &rows)[0].client_ms_mb, Some(1000.0));
        rows.iter_mut().for_each(|it| it.broker_cpu_ms = None);
        assert_eq!(summaries(&plan, &rows)[0].broker_ms_mb, None);
    }

    #[test]
    fn a_client_that_used_up_its_core_is_named_in_the_row_and_in_the_summary() {
        let plan = plan(1);
        let mut done = run(&plan, &mut Mock::default(), &mut Silent).unwrap();
        done[0].measured.usage.client_core_share = 0.93;
        let rows: Vec<Row> = done.iter().map(|it| row(&plan, &Common::default(), it)).collect();
        assert_eq!(rows[0].notes, "client-bound");
        assert!(summaries(&plan, &rows)[0].client_bound);
        assert!(!summaries(&plan, &rows)[1].client_bound);
    }

    #[test]
    fn a_machine_that_others_used_too_is_noted() {
        let plan = plan(1);
        let mut done = run(&plan, &mut Mock::default(), &mut Silent).unwrap();
        let usage = &mut done[0].measured.usage;
        usage.machine_cpu_ms = 20 + 10 + 150;
        assert_eq!(row(&plan, &Common::default(), &done[0]).notes, "");
        done[0].measured.usage.machine_cpu_ms += 100;
        assert_eq!(row(&plan, &Common::default(), &done[0]).notes, "busy-machine");
        done[0].measured.usage.broker_cpu_ms = None;
        assert_eq!(row(&plan, &Common::default(), &done[0]).notes, "", "who used it is not known");
    }

    #[test]
    fn a_fixed_rate_that_was_not_reached_is_noted() {
        let (_, rows) = rows_of(1);
        let fixed = rows.iter().find(|it| it.workload == "fixed").unwrap();
        assert_eq!(fixed.notes, "rate-not-reached+shared-core");
    }

    #[test]
    fn the_log_has_a_line_for_each_second_and_kind() {
        let plan = plan(1);
        let done = run(&plan, &mut Mock::default(), &mut Silent).unwrap();
        let tags: Vec<String> = intervals(&plan, &done[0]).into_iter().map(|it| it.tag).collect();
        assert_eq!(tags, ["w.ringlog.1.response", "w.ringlog.1.service"]);
    }

    #[test]
    fn the_middle_of_two_is_their_mean() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0]), Some(2.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
    }
}
