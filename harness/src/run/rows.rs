//! From rounds to rows: every figure of rows.csv is worked out here, and nowhere else.

use std::collections::BTreeMap;

use super::bottleneck::{Evidence, WAITED_SHARE_MAX};
use super::ceiling::{Mark, RAN_SHARE_MIN};
use super::{Measured, Outside, ReadAlong, Round, Trial};
use crate::host::{CoreShare, Observed, ProcessUsage};
use crate::results::columns::{Row, SCHEMA, validity};
use crate::spec::{Kind, Workload};

/// Bytes of a megabyte, here and in every row.
const MB: f64 = 1e6;
/// Nanoseconds of a millisecond.
const MS_NS: f64 = 1e6;
const SECOND_NS: f64 = 1e9;

/// What every row of a run repeats.
#[derive(Clone, Debug, Default)]
pub struct Common {
    /// Commit, branch and build of this program, the machine's name.
    pub template: Row,
    /// What each target said of itself when it started, by its name: shards, kind of io, flush policy; how it is emulated.
    pub targets: BTreeMap<String, Row>,
    /// Whether client and broker were given the same core.
    pub is_core_shared: bool,
}

impl Common {
    fn of_target(&self, name: &str) -> Row {
        let said = self.targets.get(name).cloned().unwrap_or_default();
        let template = self.template.clone();
        // Of an emulated machine each kind of broker has its own part.
        let fidelity = if said.fidelity.is_empty() { template.fidelity.clone() } else { said.fidelity };
        Row { shards: said.shards, io: said.io, flush: said.flush, fidelity, ..template }
    }
}

/// The row of a load that was measured. A sum that cannot be makes it invalid.
#[must_use]
pub fn row(common: &Common, trial: &Trial<'_>, round: &Round) -> Row {
    let mut row = named(common, trial, &round.workload);
    row.time.clone_from(&round.measured.time);
    (row.clients, row.groups) = (round.measured.clients, round.measured.groups);
    if round.measured.replicas > 0 {
        row.replication_factor = round.measured.replicas;
    }
    settings(&mut row, &round.measured.settings);
    if let Some(contradiction) = round.measured.usage.contradiction() {
        return refused(row, validity::INVALID, &contradiction);
    }
    row.validity = validity::MEASURED.to_owned();
    figures(&mut row, &round.measured);
    latencies(&mut row, &round.measured);
    round.measured.along.iter().for_each(|along| read_along(&mut row, along, round.measured.usage.wall_s));
    disruption(&mut row, &round.measured);
    usage(&mut row, &round.measured);
    round.measured.commits.iter().for_each(|commits| transactions(&mut row, commits));
    round.measured.outside.iter().for_each(|it| outside(&mut row, it, &round.measured));
    finding(&mut row, common, round);
    row
}

/// A row without figures, and why it has none.
#[must_use]
pub fn refused(row: Row, validity: &str, why: &str) -> Row {
    // A row is one line of the file, whatever a broker said.
    let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
    Row { validity: validity.to_owned(), why, ..row }
}

/// Who and what: all that is known of a trial before it runs.
#[must_use]
pub fn named(common: &Common, trial: &Trial<'_>, workload: &Workload) -> Row {
    let target = trial.target;
    // What is read has the shape of what was written.
    let written = &trial.cell.workload;
    let size_dist = written.record_size_dist.clone();
    let mut row = Row {
        schema: SCHEMA,
        seed: trial.seed,
        round: trial.round,
        workload: workload.name.clone(),
        kind: workload.kind.name().to_owned(),
        target: target.name.clone(),
        client: target.client.as_ref().map_or_else(String::new, |it| it.name.clone()),
        role: target.role.name().to_owned(),
        record_bytes: written.value_bytes(),
        record_size_dist: size_dist.unwrap_or_else(|| format!("fixed:{}", written.record_bytes)),
        partitions: written.partitions,
        replication_factor: target.replication_factor,
        clients: workload.clients,
        arrivals: workload.rate_records_s.map_or_else(String::new, |_| workload.arrivals.clone()),
        keys: written.keys.clone(),
        compressibility: written.compressibility,
        groups: workload.groups,
        events: workload
            .events
            .iter()
            .map(|it| format!("{}@{}", it.action.name(), it.at_s))
            .collect::<Vec<_>>()
            .join(" "),
        p99_ms_max: workload.p99_ms_max,
        transaction_records: workload.transaction_records,
        transaction_ms: workload.transaction_ms,
        consumers: if workload.groups + workload.catch_up > 0 { workload.consumers } else { 0 },
        catch_up: workload.catch_up,
        backlog_mb: workload.backlog_megabytes,
        rate_records_s: workload.rate_records_s,
        ..common.of_target(&target.name)
    };
    row.flush = written.flush().unwrap_or(row.flush);
    row.topic_settings = in_words(&written.topic_configs(&target.topic_configs));
    settings(&mut row, &workload.settings());
    row
}

fn in_words(settings: &[(String, String)]) -> String {
    settings.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

/// The client's settings, every default resolved. A producer has no fetch settings, a consumer no batches.
fn settings(row: &mut Row, settings: &BTreeMap<String, String>) {
    let text = |name: &str| settings.get(name).cloned().unwrap_or_default();
    let number = |name: &str| settings.get(name).and_then(|it| it.parse().ok());
    row.acks = text("acks");
    row.batch_size_bytes = number("batch.size");
    row.linger_ms = settings.get("linger.ms").and_then(|it| it.parse().ok());
    row.compression_type = text("compression.type");
    let level = format!("compression.{}.level", row.compression_type);
    row.compression_level = settings.get(&level).and_then(|it| it.parse().ok());
    row.buffer_memory_bytes = number("buffer.memory");
    row.max_in_flight = number("max.in.flight.requests.per.connection");
    row.idempotence = text("enable.idempotence");
    row.fetch_min_bytes = number("fetch.min.bytes");
    row.fetch_max_wait_ms = number("fetch.max.wait.ms");
    row.fetch_max_bytes = number("fetch.max.bytes");
    row.max_partition_fetch_bytes = number("max.partition.fetch.bytes");
    row.max_poll_records = number("max.poll.records");
    row.security_protocol = text("security.protocol");
    row.isolation_level = text("isolation.level");
    // Where partitions are assigned by hand the setting says nothing.
    row.group_protocol = if row.groups > 0 { text("group.protocol") } else { String::new() };
}

fn figures(row: &mut Row, measured: &Measured) {
    let (seconds, counts) = (measured.usage.wall_s, &measured.counts);
    let (bytes, records) = (measured.bytes as f64, measured.records as f64);
    row.records = Some(measured.records);
    row.bytes = Some(measured.bytes);
    row.seconds = Some(rounded(seconds, 6));
    row.mb_s = ratio(bytes / MB, seconds, 3);
    row.records_s = ratio(records, seconds, 1);
    row.retried_records = Some(measured.retried_records);
    row.warm_up_s = measured.warm_up.map(|it| rounded(it.took.as_secs_f64(), 3));
    row.warm_up_cv = measured.warm_up.and_then(|it| it.cv).map(|it| rounded(it, 4));
    row.is_steady = measured.warm_up.map(|it| it.is_steady);
    row.rates_cv = measured.rates_cv.map(|it| rounded(it, 4));
    row.buffer_wait_share = ratio(counts.buffer_wait_ns as f64 / SECOND_NS, seconds, 4);
    row.wire_bytes_per_record = ratio(counts.wire_bytes as f64, records, 2);
    row.throttle_ms = Some(counts.throttle_ms);
    row.requests = Some(counts.requests);
    row.batches = (counts.batches > 0).then_some(counts.batches);
    row.client_syscalls_per_mb = ratio(counts.syscalls as f64, bytes / MB, 2);
}

fn latencies(row: &mut Row, measured: &Measured) {
    let all = &measured.latencies;
    let us = |histogram: &hdrhistogram::Histogram<u64>| {
        [0.50, 0.90, 0.99, 0.999, 1.0].map(|quantile| percentile_us(histogram, quantile))
    };
    [row.response_us_p50, row.response_us_p90, row.response_us_p99, row.response_us_p999, row.response_us_max] =
        us(&all.response);
    [row.service_us_p50, row.service_us_p90, row.service_us_p99, row.service_us_p999, row.service_us_max] =
        us(&all.service);
    row.saturated_records = (all.records > 0).then_some(all.saturated);
}

/// After `usage`, of which the broker's processor time comes.
fn transactions(row: &mut Row, commits: &hdrhistogram::Histogram<u64>) {
    row.transactions = Some(commits.len());
    [row.commit_us_p50, row.commit_us_p99, row.commit_us_max] =
        [0.50, 0.99, 1.0].map(|quantile| percentile_us(commits, quantile));
    row.broker_cpu_us_per_transaction = row.broker_cpu_ms.and_then(|ms| ratio(ms * 1e3, commits.len() as f64, 1));
}

/// What the trial's events did.
fn disruption(row: &mut Row, measured: &Measured) {
    if let Some(seen) = &measured.disruption {
        row.given_up_records = Some(measured.given_up_records);
        row.service_gap_ms = Some(rounded(seen.gap.as_secs_f64() * 1e3, 3));
        row.recovery_s = seen.recovery.map(|it| rounded(it.as_secs_f64(), 3));
    }
    row.lagged_records = measured.lagged.map(|it| it.records);
    row.lagged_catch_up_s = measured.lagged.map(|it| rounded(it.took.as_secs_f64(), 3));
}

/// Of those who read beside the writers.
fn read_along(row: &mut Row, along: &ReadAlong, seconds: f64) {
    if row.groups > 0 {
        row.consumed_mb_s = ratio(along.bytes as f64 / MB, seconds, 3);
        let us = |quantile| percentile_us(&along.ages.response, quantile);
        [row.end_to_end_us_p50, row.end_to_end_us_p99, row.end_to_end_us_p999, row.end_to_end_us_max] =
            [0.50, 0.99, 0.999, 1.0].map(us);
        row.group_lag_records_max = Some(along.lag_records_max);
        row.group_drain_s = Some(rounded(along.drain.as_secs_f64(), 3));
        row.reread_records = Some(along.reread_records);
    }
    if let Some((bytes, took)) = along.catch_up {
        row.catch_up_mb_s = ratio(bytes as f64 / MB, took.as_secs_f64(), 3);
        row.catch_up_s = Some(rounded(took.as_secs_f64(), 3));
    }
}

fn usage(row: &mut Row, measured: &Measured) {
    let (usage, mb) = (&measured.usage, measured.bytes as f64 / MB);
    let ms = |ns: u64| rounded(ns as f64 / MS_NS, 3);
    row.client_cpu_ms = Some(ms(usage.client.cpu_ns));
    row.machine_cpu_ms = usage.machine_cpu_ns.map(ms);
    row.broker_cgroup_cpu_ms = usage.target_cgroup_ns.map(ms);
    row.client_cpu_ms_per_mb = ratio(usage.client.cpu_ns as f64 / MS_NS, mb, 4);
    row.client_core_share = Some(rounded(usage.client.busiest.ran, 4));
    row.client_core_waited_share = Some(rounded(usage.client.busiest.waited, 4));
    row.steal_ms = Some(usage.steal_ms);
    row.pressure_cpu_share = usage.pressure_share(usage.pressure_cpu_us).map(|it| rounded(it, 4));
    row.pressure_io_share = usage.pressure_share(usage.pressure_io_us).map(|it| rounded(it, 4));
    row.network_mb_s = usage.sent_bytes.and_then(|sent| ratio(sent as f64 / MB, usage.wall_s, 3));
    row.jvm_heap_used_bytes = usage.jvm.map(|it| it.heap_used_bytes);
    row.jvm_gc_ms = usage.jvm.map(|it| ms(it.gc_ns));
    row.network_share = usage.network_share.map(|it| rounded(it, 4));
    if let Some(broker) = &usage.target {
        broker_usage(row, broker, measured.bytes);
    }
    measured.observed.iter().for_each(|seen| observed(row, seen, measured.bytes));
}

/// Of a client that is a program of its own: what it cost beyond its start. What is counted within our own client is not known.
fn outside(row: &mut Row, client: &Outside, measured: &Measured) {
    let records = measured.records.saturating_sub(client.start_records) as f64;
    let cpu_ns = measured.usage.client.cpu_ns.saturating_sub(client.start_cpu_ns) as f64;
    row.client_records_per_cpu_s = ratio(records, cpu_ns / SECOND_NS, 1);
    row.client_start_records = Some(client.start_records);
    row.client_start_cpu_ms = Some(rounded(client.start_cpu_ns as f64 / MS_NS, 3));
    row.held_records = Some(client.held_records);
    (row.retried_records, row.throttle_ms, row.requests) = (None, None, None);
    (row.buffer_wait_share, row.wire_bytes_per_record, row.client_syscalls_per_mb) = (None, None, None);
    row.client_core_waited_share = None;
}

/// What a target's endpoints say, where nothing nearer says it.
fn observed(row: &mut Row, seen: &Observed, bytes: u64) {
    let ms = |ns: u64| rounded(ns as f64 / MS_NS, 3);
    let mb_s = |bytes_s: f64| rounded(bytes_s / MB, 3);
    row.broker_cpu_ms = row.broker_cpu_ms.or(seen.cpu_ns.map(ms));
    row.broker_cpu_ms_per_mb = row.broker_cpu_ms.and_then(|ms| ratio(ms, bytes as f64 / MB, 4));
    row.broker_resident_bytes = row.broker_resident_bytes.or(seen.resident_bytes);
    row.jvm_heap_used_bytes = row.jvm_heap_used_bytes.or(seen.heap_used_bytes);
    row.jvm_gc_ms = row.jvm_gc_ms.or(seen.gc_ns.map(ms));
    row.handler_idle_share = seen.handler_idle_share.map(|it| rounded(it, 4));
    row.broker_syscalls_per_mb = seen.syscalls.and_then(|it| ratio(it as f64, bytes as f64 / MB, 2));
    row.target_cpu_share = seen.host_cpu_share.map(|it| rounded(it, 4));
    row.target_disk_mb_s = seen.host_disk_bytes_s.map(mb_s);
    row.target_network_mb_s = seen.host_sent_bytes_s.map(mb_s);
}

fn broker_usage(row: &mut Row, broker: &ProcessUsage, bytes: u64) {
    let ms = |ns: u64| rounded(ns as f64 / MS_NS, 3);
    row.broker_cpu_ms = Some(ms(broker.cpu_ns));
    row.broker_ring_workers_cpu_ms = Some(ms(broker.ring_workers_ns));
    row.broker_cpu_ms_per_mb = ratio(broker.cpu_ns as f64 / MS_NS, bytes as f64 / MB, 4);
    row.broker_core_share = Some(rounded(broker.busiest.ran, 4));
    row.broker_core_waited_share = Some(rounded(broker.busiest.waited, 4));
    row.broker_thread = broker.busiest.thread.clone();
    let told = |it: &CoreShare| format!("{} {:.2}", it.thread, it.ran);
    row.broker_threads = broker.threads.iter().map(told).collect::<Vec<_>>().join("; ");
    row.broker_minor_faults = broker.faults.map(|it| it.minor);
    row.broker_major_faults = broker.faults.map(|it| it.major);
    row.broker_disk_written_bytes = broker.written_bytes;
    row.broker_disk_read_bytes = broker.read_bytes;
    row.broker_resident_bytes = broker.resident_bytes;
    row.broker_resident_bytes_max = broker.resident_bytes_max;
    if row.kind == Kind::Consume.name() {
        let missed = broker.read_bytes.and_then(|read| ratio(read as f64, bytes as f64, 6));
        row.page_cache_hit_share = missed.map(|it| (1.0 - it).max(0.0));
    } else {
        row.write_amplification = broker.written_bytes.and_then(|written| ratio(written as f64, bytes as f64, 4));
    }
}

/// What limited, and what has to be known before the row is believed.
fn finding(row: &mut Row, common: &Common, round: &Round) {
    let usage = &round.measured.usage;
    let reached = row.records_s.unwrap_or(0.0);
    let cores_used = row.broker_cpu_ms.zip(row.seconds).and_then(|(ms, seconds)| ratio(ms / 1000.0, seconds, 4));
    let evidence = Evidence {
        emulated_cores: cores_used.zip(row.emulated_cores).map(|(used, cores)| used / cores),
        rate: round.workload.rate_records_s.map(|wanted| (wanted, reached)),
        buffer: row.buffer_wait_share,
        is_core_shared: common.is_core_shared,
        ..Evidence::of(usage, round.measured.bytes)
    };
    let found = evidence.finding();
    let mut disturbances = found.disturbances;
    disturbances.extend((common.template.build == "debug").then_some("debug-build"));
    disturbances.extend((round.measured.retried_records > 0).then_some("retries"));
    let is_late = round.measured.disruption.is_some_and(|it| it.is_late_at_the_end);
    disturbances.extend(is_late.then_some("not-recovered"));
    let is_silent = round.measured.observed.as_ref().is_some_and(|it| it.silent > 0);
    disturbances.extend(is_silent.then_some("metrics-silent"));
    disturbances.extend(row.throttle_ms.is_some_and(|ms| ms > 0).then_some("throttled"));
    disturbances.extend((round.measured.dropped_records > 0).then_some("dropped-records"));
    row.bottleneck = found.bottleneck.name().to_owned();
    row.disturbances = disturbances.join("+");
    row.ledger_verified_records = round.verdict.map(|it| it.acknowledged);
    row.failed_records = round.verdict.map(|it| it.failed);
}

/// What a row says about a ceiling; `None` where it is not measured.
#[must_use]
pub fn mark(row: &Row) -> Option<Mark> {
    let bottleneck = super::bottleneck::Bottleneck::of_name(&row.bottleneck)?;
    // What it wanted of its core and did not get, others had.
    let starved =
        |ran: f64| ran < RAN_SHARE_MIN && row.broker_core_waited_share.is_some_and(|it| it > WAITED_SHARE_MAX);
    let is_starved = row.broker_core_share.is_some_and(starved);
    row.is_measured().then_some(Mark { mb_s: row.mb_s?, bottleneck, is_starved })
}

fn percentile_us(histogram: &hdrhistogram::Histogram<u64>, quantile: f64) -> Option<f64> {
    let ns = if quantile >= 1.0 { histogram.max() } else { histogram.value_at_quantile(quantile) };
    (!histogram.is_empty()).then(|| rounded(ns as f64 / 1000.0, 3))
}

/// `part / whole`, where there is a whole.
fn ratio(part: f64, whole: f64, digits: i32) -> Option<f64> {
    (whole > 0.0).then(|| rounded(part / whole, digits))
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}
