//! Under the names that Kafka's JMX exporter and kafka_exporter made usual.

use std::collections::BTreeMap;

use super::super::facts::{Facts, PartitionFacts};
use super::super::names::{self, Metric};
use super::super::text::Page;
use super::super::times::quantile_ms;
use super::super::traffic::Traffic;
use super::Sight;
use crate::coordinator::group::{FactState, State};
use crate::handlers::HANDLERS;
use crate::metadata::image::{Image, NodeId, Partition, Topic};
use crate::settings::Settings;

/// A number of what went through partitions.
type Figure = fn(&Traffic) -> u64;

/// The quantiles that Kafka's histograms have.
const QUANTILES: [(&str, f64); 6] =
    [("0.50", 0.5), ("0.75", 0.75), ("0.95", 0.95), ("0.98", 0.98), ("0.99", 0.99), ("0.999", 0.999)];

pub(super) fn write(page: &mut Page, sight: &Sight<'_>) {
    topics(page, sight);
    requests(page, sight);
    shards(page, sight);
    if let Some(image) = sight.image() {
        controller(page, sight, image);
    }
    server(page, sight);
    if let Some(image) = sight.image() {
        clustered(page, sight, image);
    }
    logs(page, sight);
    groups(page, sight);
    if let Some(image) = sight.image() {
        exporter(page, sight, image);
    }
    lag(page, sight);
}

fn topics(page: &mut Page, sight: &Sight<'_>) {
    let mut all = Traffic::default();
    sight.facts().for_each(|(_, facts)| all += facts.traffic);
    let mut by_topic: BTreeMap<&str, Traffic> = BTreeMap::new();
    sight.partitions().for_each(|(topic, one)| *by_topic.entry(&topic.name).or_default() += one.traffic);
    let figures: [(&'static Metric, Figure); 7] = [
        (&names::BYTES_IN, |traffic| traffic.bytes_in),
        (&names::BYTES_OUT, |traffic| traffic.bytes_out),
        (&names::MESSAGES_IN, |traffic| traffic.records_in),
        (&names::PRODUCES, |traffic| traffic.produces),
        (&names::FAILED_PRODUCES, |traffic| traffic.failed_produces),
        (&names::FETCHES, |traffic| traffic.fetches),
        (&names::FAILED_FETCHES, |traffic| traffic.failed_fetches),
    ];
    for (metric, figure) in figures {
        let mut family = page.family(metric);
        family.sample(&[], figure(&all) as f64);
        by_topic.iter().for_each(|(topic, traffic)| family.sample(&[("topic", topic)], figure(traffic) as f64));
    }
}

fn requests(page: &mut Page, sight: &Sight<'_>) {
    let mut family = page.family(&names::REQUESTS);
    for (place, handler) in HANDLERS.iter().enumerate() {
        for version in 0..super::super::meter::VERSIONS {
            let count: u64 =
                sight.shards.iter().map(|shard| shard.meter.requests()[place].answered[version].get()).sum();
            if count > 0 {
                family.sample(&[("request", &handler.key.name()), ("version", &version)], count as f64);
            }
        }
    }
    let mut family = page.family(&names::TOTAL_TIME);
    for (place, handler) in HANDLERS.iter().enumerate() {
        let counts = sight.window.requests(place, &sight.shards);
        for (name, share) in QUANTILES {
            if let Some(ms) = quantile_ms(&counts, share) {
                family.sample(&[("request", &handler.key.name()), ("quantile", &name)], ms);
            }
        }
    }
    let mut family = page.family(&names::TOTAL_TIME_COUNT);
    for (place, handler) in HANDLERS.iter().enumerate() {
        let count: u64 = sight.shards.iter().flat_map(|shard| shard.meter.requests()[place].times.counts()).sum();
        if count > 0 {
            family.sample(&[("request", &handler.key.name())], count as f64);
        }
    }
}

/// What each shard says of its partitions: a shard is a broker.
fn shards(page: &mut Page, sight: &Sight<'_>) {
    let settings = sight.settings;
    let led = |facts: &Facts, holds: &dyn Fn(&Topic, &Partition) -> bool| {
        let found = facts.partitions.iter().filter(|one| {
            let topic = facts.image.topic_by_id(one.key.topic_id);
            topic.is_some_and(|topic| topic.partition(one.key.partition).is_some_and(|it| holds(topic, it)))
        });
        found.count() as f64
    };
    let here = |facts: &Facts| (facts.partitions.len() + facts.left_out.0) as f64;
    let mut family = page.family(&names::LEADERS);
    sight.facts().for_each(|(shard, facts)| family.sample(&[("shard", &shard)], here(facts)));
    let mut family = page.family(&names::PARTITIONS);
    sight.facts().for_each(|(shard, facts)| family.sample(&[("shard", &shard)], here(facts)));
    let mut family = page.family(&names::UNDER_REPLICATED);
    for (shard, facts) in sight.facts() {
        family.sample(&[("shard", &shard)], led(facts, &|_, partition| is_under_replicated(partition)));
    }
    let mut family = page.family(&names::UNDER_MIN_ISR);
    for (shard, facts) in sight.facts() {
        family
            .sample(&[("shard", &shard)], led(facts, &|topic, it| it.isr.len() < topic.min_insync_replicas(settings)));
    }
    let mut family = page.family(&names::OFFLINE_REPLICAS);
    for (shard, facts) in sight.facts() {
        let offline = facts.partitions.iter().filter(|one| one.is_offline).count() + facts.unopened;
        family.sample(&[("shard", &shard)], offline as f64);
    }
}

fn is_under_replicated(partition: &Partition) -> bool {
    partition.isr.len() < partition.replicas.len()
}

fn is_led(partition: &Partition) -> bool {
    partition.leader >= NodeId(0)
}

fn is_preferred(partition: &Partition) -> bool {
    partition.replicas.first() == Some(&partition.leader)
}

fn controller(page: &mut Page, sight: &Sight<'_>, image: &Image) {
    let mut family = page.family(&names::ACTIVE_CONTROLLERS);
    for (shard, facts) in sight.facts() {
        let node = facts.image.here().node(crate::metadata::image::ShardId(shard));
        family.sample(&[("shard", &shard)], f64::from(u8::from(node == image.controller())));
    }
    let count = |holds: fn(&Partition) -> bool| {
        image.topics().flat_map(|topic| topic.partitions.values()).filter(|it| holds(it)).count() as f64
    };
    page.single(&names::OFFLINE_PARTITIONS, count(|partition| !is_led(partition)));
    page.single(&names::GLOBAL_TOPICS, image.topics().count() as f64);
    page.single(&names::GLOBAL_PARTITIONS, count(|_| true));
    page.single(&names::ACTIVE_BROKERS, image.live_brokers().count() as f64);
    page.single(&names::FENCED_BROKERS, (image.brokers().count() - image.live_brokers().count()) as f64);
    page.single(&names::PREFERRED_IMBALANCE, count(|partition| is_led(partition) && !is_preferred(partition)));
}

fn server(page: &mut Page, sight: &Sight<'_>) {
    page.single(&names::BROKER_STATE, f64::from(sight.broker_state));
    page.single(&names::DISK_READ, sight.usage.disk_read_bytes.map(|bytes| bytes as f64));
    page.single(&names::DISK_WRITTEN, sight.usage.disk_written_bytes.map(|bytes| bytes as f64));
    let idle = sight.window.idle_share(&sight.shards);
    page.single(&names::HANDLERS_IDLE, idle);
    page.single(&names::NETWORK_IDLE, idle);
    let listener = sight.settings.listener_name();
    let mut family = page.family(&names::CONNECTIONS);
    for (shard, facts) in sight.facts() {
        let labels: [(&str, &dyn std::fmt::Display); 2] = [("listener", &listener), ("networkProcessor", &shard)];
        family.sample(&labels, facts.vitals.connections as f64);
    }
    page.single(&names::RAFT_LEADER, sight.image().map(|image| f64::from(image.controller().0)));
    page.single(&names::RAFT_HIGH_WATERMARK, sight.image().map(|image| (image.version() + 1) as f64));
}

/// A figure of every partition of the image.
fn each(page: &mut Page, metric: &'static Metric, image: &Image, figure: &dyn Fn(&Topic, &Partition) -> f64) {
    let mut family = page.family(metric);
    for topic in image.topics() {
        for (number, partition) in &topic.partitions {
            family.sample(&[("topic", &topic.name), ("partition", number)], figure(topic, partition));
        }
    }
}

fn yes(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

fn clustered(page: &mut Page, sight: &Sight<'_>, image: &Image) {
    let least = |topic: &Topic, settings: &Settings| topic.min_insync_replicas(settings);
    let settings = sight.settings;
    each(page, &names::REPLICAS_COUNT, image, &|_, it| it.replicas.len() as f64);
    each(page, &names::IN_SYNC, image, &|_, it| it.isr.len() as f64);
    each(page, &names::PARTITION_UNDER_REPLICATED, image, &|_, it| yes(is_under_replicated(it)));
    each(page, &names::AT_MIN_ISR, image, &|topic, it| yes(it.isr.len() == least(topic, settings)));
    each(page, &names::PARTITION_UNDER_MIN_ISR, image, &|topic, it| yes(it.isr.len() < least(topic, settings)));
}

/// A figure of every log.
fn each_log(page: &mut Page, metric: &'static Metric, sight: &Sight<'_>, figure: fn(&PartitionFacts) -> f64) {
    let mut family = page.family(metric);
    for (topic, one) in sight.partitions() {
        family.sample(&[("topic", &topic.name), ("partition", &one.key.partition)], figure(one));
    }
}

fn logs(page: &mut Page, sight: &Sight<'_>) {
    each_log(page, &names::LOG_SIZE, sight, |one| one.size_bytes as f64);
    each_log(page, &names::LOG_START, sight, |one| one.log_start as f64);
    each_log(page, &names::LOG_END, sight, |one| one.end as f64);
    each_log(page, &names::LOG_SEGMENTS, sight, |one| one.segments as f64);
    let counts = sight.window.flushes(&sight.shards);
    let mut family = page.family(&names::FLUSH_TIME);
    for (name, share) in QUANTILES {
        if let Some(ms) = quantile_ms(&counts, share) {
            family.sample(&[("quantile", &name)], ms);
        }
    }
    let flushes: u64 = sight.shards.iter().flat_map(|shard| shard.meter.flushes.counts()).sum();
    page.single(&names::FLUSH_COUNT, flushes as f64);
    page.single(&names::OFFLINE_DIRECTORIES, yes(sight.facts().any(|(_, facts)| facts.log_dir_failed)));
}

fn groups(page: &mut Page, sight: &Sight<'_>) {
    let all = || sight.facts().flat_map(|(_, facts)| &facts.groups);
    page.single(&names::GROUPS, all().count() as f64);
    for (metric, state) in [
        (&names::GROUPS_EMPTY, State::Empty),
        (&names::GROUPS_PREPARING, State::PreparingRebalance),
        (&names::GROUPS_COMPLETING, State::CompletingRebalance),
        (&names::GROUPS_STABLE, State::Stable),
    ] {
        page.single(metric, all().filter(|group| group.state == FactState::Classic(state)).count() as f64);
    }
    let left_out: usize = sight.facts().map(|(_, facts)| facts.left_out.1).sum();
    page.single(&names::OFFSETS, (all().map(|group| group.offsets.len()).sum::<usize>() + left_out) as f64);
}

fn exporter(page: &mut Page, sight: &Sight<'_>, image: &Image) {
    page.single(&names::BROKERS, image.live_brokers().count() as f64);
    let mut family = page.family(&names::BROKER_INFO);
    for broker in image.brokers() {
        let address = format!("{}:{}", broker.host, broker.port);
        family.sample(&[("id", &broker.node), ("address", &address)], 1.0);
    }
    let mut family = page.family(&names::TOPIC_PARTITIONS);
    image.topics().for_each(|topic| family.sample(&[("topic", &topic.name)], topic.partitions.len() as f64));
    each_log(page, &names::CURRENT_OFFSET, sight, |one| one.high_watermark as f64);
    each_log(page, &names::OLDEST_OFFSET, sight, |one| one.log_start as f64);
    each(page, &names::PARTITION_LEADER, image, &|_, it| f64::from(it.leader.0));
    each(page, &names::LEADER_IS_PREFERRED, image, &|_, it| yes(is_preferred(it)));
    each(page, &names::PARTITION_REPLICAS, image, &|_, it| it.replicas.len() as f64);
    each(page, &names::PARTITION_IN_SYNC, image, &|_, it| it.isr.len() as f64);
    each(page, &names::TOPIC_UNDER_REPLICATED, image, &|_, it| yes(is_under_replicated(it)));
}

fn lag(page: &mut Page, sight: &Sight<'_>) {
    let high_watermarks = sight.high_watermarks();
    let of = |topic: &str, partition: i32| {
        let topic_id = sight.image()?.topic(topic)?.id;
        high_watermarks.get(&crate::replica::PartitionKey { topic_id, partition }).copied()
    };
    let all = || sight.facts().flat_map(|(_, facts)| &facts.groups);
    let mut family = page.family(&names::GROUP_MEMBERS);
    all().for_each(|group| family.sample(&[("consumergroup", &group.group)], group.members as f64));
    for metric in [&names::GROUP_OFFSET, &names::GROUP_LAG] {
        let mut family = page.family(metric);
        for group in all() {
            for (topic, partition, committed) in &group.offsets {
                let lag = of(topic, *partition).map_or(-1, |end| (end - committed).max(0));
                let value = if metric.name == names::GROUP_LAG.name { lag } else { *committed };
                let labels: [(&str, &dyn std::fmt::Display); 3] =
                    [("consumergroup", &group.group), ("topic", topic), ("partition", partition)];
                family.sample(&labels, value as f64);
            }
        }
    }
}
