//! What nobody else shows.

use super::super::meter::Phase;
use super::super::names::{self, Metric};
use super::super::text::Page;
use super::super::times::upper_us;
use super::{ShardSight, Sight, seconds};
use crate::handlers::HANDLERS;
use crate::vitals::{Held, Vitals};
use crate::writeback::WritebackFacts;

/// A bucket of the histogram that is shown holds so many of ours, and ends in a power of two of microseconds.
const BUCKETS_SHOWN: std::ops::RangeInclusive<usize> = 6..=24;
const MB: f64 = 1e6;

pub(super) fn write(page: &mut Page, sight: &Sight<'_>) {
    let version = env!("CARGO_PKG_VERSION");
    page.family(&names::BUILD_INFO).sample(&[("version", &version), ("io", &sight.io)], 1.0);
    time(page, sight);
    requests(page, sight);
    bytes(page, sight);
    memory(page, sight);
    let mut family = page.family(&names::PAGE_CACHE);
    for ((topic, partition), resident_bytes) in sight.residency.known() {
        family.sample(&[("topic", topic), ("partition", partition)], *resident_bytes as f64);
    }
    let mut family = page.family(&names::SPACE);
    if let Some((total, usable)) = sight.facts().find_map(|(_, facts)| facts.space) {
        family.sample(&[("what", &"total")], total as f64);
        family.sample(&[("what", &"usable")], usable as f64);
    }
    let left_out =
        |pick: fn((usize, usize)) -> usize| -> usize { sight.facts().map(|(_, facts)| pick(facts.left_out)).sum() };
    let mut family = page.family(&names::LEFT_OUT);
    family.sample(&[("what", &"partitions")], left_out(|it| it.0) as f64);
    family.sample(&[("what", &"offsets")], left_out(|it| it.1) as f64);
}

/// A figure of every shard.
fn each(page: &mut Page, metric: &'static Metric, sight: &Sight<'_>, figure: impl Fn(&ShardSight<'_>) -> f64) {
    let mut family = page.family(metric);
    sight.shards.iter().enumerate().for_each(|(shard, it)| family.sample(&[("shard", &shard)], figure(it)));
}

fn time(page: &mut Page, sight: &Sight<'_>) {
    each(page, &names::SHARD_ANSWERS, sight, |it| f64::from(u8::from(it.answers)));
    each(page, &names::STEPS, sight, |it| it.meter.steps.get() as f64);
    each(page, &names::BUSY, sight, |it| seconds(it.meter.busy_ns.get()));
    let mut family = page.family(&names::PHASES);
    for (shard, it) in sight.shards.iter().enumerate() {
        for phase in Phase::ALL {
            family.sample(&[("shard", &shard), ("phase", &phase.name())], seconds(it.meter.phase_ns(phase)));
        }
        family.sample(&[("shard", &shard), ("phase", &"flush_wait")], seconds(it.meter.flushes.sum_ns()));
    }
    let mut family = page.family(&names::STALL);
    for (shard, it) in sight.shards.iter().enumerate() {
        let stall = it.meter.worst_stall();
        family.sample(&[("shard", &shard), ("did", &stall.did)], seconds(stall.ns));
    }
    each(page, &names::BLOCKED, sight, |it| seconds(it.meter.blocked_ns.get()));
}

fn requests(page: &mut Page, sight: &Sight<'_>) {
    let mut family = page.family(&names::REQUEST_SECONDS);
    for (place, handler) in HANDLERS.iter().enumerate() {
        let mut shown = vec![0; BUCKETS_SHOWN.count()];
        let mut sum_ns = 0;
        for times in sight.shards.iter().map(|it| &it.meter.requests()[place].times) {
            sum_ns += times.sum_ns();
            for (bucket, count) in times.counts().into_iter().enumerate() {
                shown[shown_bucket(bucket)] += count;
            }
        }
        if shown.iter().any(|count| *count > 0) {
            let upper_s = |at: usize| (1u64 << (BUCKETS_SHOWN.start() + at)) as f64 / 1e6;
            let buckets: Vec<_> = shown.iter().enumerate().map(|(at, count)| (upper_s(at), *count)).collect();
            family.histogram(&[("request", &handler.key.name())], &buckets, seconds(sum_ns));
        }
    }
    each(page, &names::REFUSED, sight, |it| it.meter.refused.get() as f64);
}

/// The place among those shown of one of our buckets; the last one takes what is beyond.
fn shown_bucket(bucket: usize) -> usize {
    let power = upper_us(bucket).next_power_of_two().ilog2() as usize;
    power.clamp(*BUCKETS_SHOWN.start(), *BUCKETS_SHOWN.end()) - BUCKETS_SHOWN.start()
}

fn bytes(page: &mut Page, sight: &Sight<'_>) {
    each(page, &names::SYSCALLS, sight, |it| it.meter.syscalls.get() as f64);
    each(page, &names::RECEIVED, sight, |it| it.meter.received_bytes.get() as f64);
    each(page, &names::SENT, sight, |it| it.meter.sent_bytes.get() as f64);
    let copied = |it: &ShardSight<'_>| {
        let appended = it.facts.map_or(0, |facts| facts.traffic.bytes_in);
        [("append", appended), ("answer", it.meter.copied_bytes.get()), ("held", it.meter.kept_bytes.get())]
    };
    let mut family = page.family(&names::COPIED);
    for (shard, it) in sight.shards.iter().enumerate() {
        for (way, bytes) in copied(it) {
            family.sample(&[("shard", &shard), ("way", &way)], bytes as f64);
        }
    }
    each(page, &names::UNCOPIED, sight, |it| it.meter.referred_bytes.get() as f64);
    each(page, &names::COLD, sight, |it| it.meter.cold_bytes.get() as f64);
    let sum = |figure: &dyn Fn(&ShardSight<'_>) -> u64| sight.shards.iter().map(figure).sum::<u64>() as f64;
    let moved_mb = sum(&|it| it.meter.received_bytes.get() + it.meter.sent_bytes.get()) / MB;
    let a_mb = |amount: f64| (moved_mb > 0.0).then(|| amount / moved_mb);
    page.single(&names::SYSCALLS_PER_MB, a_mb(sum(&|it| it.meter.syscalls.get())));
    page.single(&names::COPIED_PER_MB, a_mb(sum(&|it| copied(it).iter().map(|(_, bytes)| bytes).sum())));
}

fn memory(page: &mut Page, sight: &Sight<'_>) {
    let mut family = page.family(&names::MEMORY_BUDGET);
    for (shard, facts) in sight.facts() {
        let budget = &facts.budget;
        for (part, bytes) in [
            ("sessions", budget.session_bytes),
            ("waiting", budget.waiting_bytes),
            ("output", budget.output_bytes),
            ("frames", budget.frame_bytes),
            ("recompression", budget.inflate_bytes),
            ("shard", budget.shard_bytes()),
        ] {
            family.sample(&[("shard", &shard), ("part", &part)], bytes as f64);
        }
    }
    let mut family = page.family(&names::MEMORY_USED);
    for (shard, facts) in sight.facts() {
        let Held { sessions, waiting, output, frames, recompressed } = facts.vitals.held;
        for (part, bytes) in [
            ("sessions", sessions),
            ("waiting", waiting),
            ("output", output),
            ("frames", frames),
            ("recompression", recompressed),
        ] {
            family.sample(&[("shard", &shard), ("part", &part)], bytes as f64);
        }
    }
    writeback(page, sight);
    let mut family = page.family(&names::CONNECTIONS_MAX);
    sight.facts().for_each(|(shard, facts)| family.sample(&[("shard", &shard)], facts.budget.connections as f64));
    let mut family = page.family(&names::UNDER_WAY);
    for (shard, facts) in sight.facts() {
        let Vitals { produces, fetches, calls, flushes, deletions, tasks, openings, .. } = facts.vitals;
        for (what, count) in [
            ("produces", produces),
            ("fetches", fetches),
            ("calls", calls),
            ("flushes", flushes),
            ("deletions", deletions),
            ("tasks", tasks),
            ("openings", openings),
        ] {
            family.sample(&[("shard", &shard), ("what", &what)], count as f64);
        }
    }
}

/// A number of what a shard tells of its write-back.
type Figure = fn(&WritebackFacts) -> f64;

/// What logs have that the disk has not.
fn writeback(page: &mut Page, sight: &Sight<'_>) {
    let figures: [(&'static Metric, Figure); 4] = [
        (&names::UNWRITTEN, |it| it.unwritten as f64),
        (&names::WRITTEN, |it| it.written as f64),
        (&names::WRITTEN_SPEED, |it| it.speed),
        (&names::THROTTLED, |it| seconds(it.throttled_ns)),
    ];
    for (metric, figure) in figures {
        let mut family = page.family(metric);
        sight.facts().for_each(|(shard, facts)| family.sample(&[("shard", &shard)], figure(&facts.writeback)));
    }
    page.single(&names::UNWRITTEN_MAX, sight.facts().next().map(|(_, facts)| facts.budget.dirty_bytes as f64));
}
