//! Where a name of `[part.vary]` belongs, and its values as the workload has them.
//!
//! | name | belongs to |
//! |---|---|
//! | a key of a workload (`record_bytes`, `partitions`, `clients`, ..) | the workload itself |
//! | a producer's setting (`batch.size`), or `producer.` before any | `[producer]` |
//! | a consumer's setting (`fetch.min.bytes`), or `consumer.` before any | `[consumer]`; its reading back is a row |
//! | a topic's setting (`flush.messages`), or `topic.` before any | `[topic]` |
//!
//! What both clients have (`receive.buffer.bytes`) is set in both. The names are not a list of ours: the clients' own parsers
//! say what they read.

use crate::client::config::{ConfigError, ConsumerConfig, ProducerConfig};
use crate::client::properties::Properties;
use crate::spec::document::nearest;
use crate::spec::workload::Workload;

/// Settings of a topic, as Kafka 4 names them (TopicConfig).
const TOPIC_SETTINGS: [&str; 26] = [
    "cleanup.policy",
    "delete.retention.ms",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "index.interval.bytes",
    "local.retention.bytes",
    "local.retention.ms",
    "max.compaction.lag.ms",
    "max.message.bytes",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "min.insync.replicas",
    "preallocate",
    "remote.storage.enable",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.index.bytes",
    "segment.jitter.ms",
    "segment.ms",
    "unclean.leader.election.enable",
    "follower.replication.throttled.replicas",
];
/// Producer's settings that have no default to be told.
const LEVELS: [&str; 3] = ["compression.gzip.level", "compression.lz4.level", "compression.zstd.level"];
/// Keys that a part has elsewhere, and what to do instead.
const ELSEWHERE: [(&str, &str); 5] = [
    ("rate_records_s", "rates are the innermost loop: put them into [part.rate] as records_s = [..]"),
    ("rounds", "rounds stands once, at the top of the file"),
    ("name", "cells get their names from what is varied"),
    ("what", "what belongs to the part"),
    ("schema", "schema stands once, at the top of the file"),
];

/// Where a setting belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Workload,
    Producer,
    Consumer,
    Clients,
    Topic,
}

/// The place of a name, and the name there; or what is wrong with it.
pub(super) fn place(name: &str) -> Result<(Place, &str), String> {
    if let Some((_, instead)) = ELSEWHERE.iter().find(|it| it.0 == name) {
        return Err(format!("{name} cannot be varied here: {instead}"));
    }
    let sections = [("producer.", Place::Producer), ("consumer.", Place::Consumer), ("topic.", Place::Topic)];
    if let Some((place, rest)) = sections.iter().find_map(|(begin, place)| Some((*place, name.strip_prefix(begin)?))) {
        return known(place, rest).then_some((place, rest)).ok_or_else(|| unknown(name));
    }
    let found = match () {
        () if workload_keys().iter().any(|it| it == name) => Place::Workload,
        () if known(Place::Producer, name) && known(Place::Consumer, name) => Place::Clients,
        () if known(Place::Producer, name) => Place::Producer,
        () if known(Place::Consumer, name) => Place::Consumer,
        () if known(Place::Topic, name) => Place::Topic,
        () => return Err(unknown(name)),
    };
    Ok((found, name))
}

/// A name that nobody reads, with the nearest that somebody does.
pub(super) fn unknown(name: &str) -> String {
    let mut names = workload_keys();
    names.extend([producer_names(), consumer_names()].concat());
    names.extend(TOPIC_SETTINGS.iter().map(|it| (*it).to_owned()));
    match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => format!("there is no setting {name:?}; the nearest is {near:?}"),
        None => format!("there is no setting {name:?} of a workload, a client or a topic"),
    }
}

fn known(place: Place, name: &str) -> bool {
    match place {
        Place::Producer => is_read(&producer_names(), name, |it| ProducerConfig::parse(it).map(|it| it.unused)),
        Place::Consumer => is_read(&consumer_names(), name, |it| ConsumerConfig::parse(it).map(|it| it.unused)),
        Place::Topic => TOPIC_SETTINGS.contains(&name) || name.starts_with("compression."),
        Place::Workload | Place::Clients => false,
    }
}

/// Whether a client's parser reads a property, whatever it thinks of its value.
fn is_read(names: &[String], name: &str, unused: impl Fn(&Properties) -> Result<Vec<String>, ConfigError>) -> bool {
    let mut properties = somewhere();
    properties.set(name, "1");
    names.iter().any(|it| it == name) || unused(&properties).is_ok_and(|unused| !unused.iter().any(|it| it == name))
}

fn producer_names() -> Vec<String> {
    let parsed = ProducerConfig::parse(&somewhere());
    let names = parsed.map(|it| it.effective).unwrap_or_default();
    names.iter().map(|it| it.0).chain(LEVELS).map(str::to_owned).collect()
}

fn consumer_names() -> Vec<String> {
    let parsed = ConsumerConfig::parse(&somewhere());
    parsed.map(|it| it.effective).unwrap_or_default().iter().map(|it| it.0.to_owned()).collect()
}

/// Keys of a workload, as serde names them where one is wrong.
fn workload_keys() -> Vec<String> {
    let refused = toml::from_str::<Workload>("\"\" = 1").err().map(|it| it.message().to_owned()).unwrap_or_default();
    let keys = refused.split_once("expected one of ").map(|it| it.1.split('`').skip(1).step_by(2));
    keys.into_iter().flatten().map(str::to_owned).collect()
}

/// Properties of a client that goes nowhere: only its settings are looked at.
pub(super) fn somewhere() -> Properties {
    let mut properties = Properties::new();
    properties.set("bootstrap.servers", "localhost:9092");
    properties
}

/// A value in words, as a client's setting has it.
pub(super) fn text(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_finds_its_place() {
        let cases = [
            ("record_bytes", Place::Workload, "record_bytes"),
            ("clients", Place::Workload, "clients"),
            ("replication_factor", Place::Workload, "replication_factor"),
            ("batch.size", Place::Producer, "batch.size"),
            ("compression.zstd.level", Place::Producer, "compression.zstd.level"),
            ("fetch.min.bytes", Place::Consumer, "fetch.min.bytes"),
            ("receive.buffer.bytes", Place::Clients, "receive.buffer.bytes"),
            ("consumer.receive.buffer.bytes", Place::Consumer, "receive.buffer.bytes"),
            ("flush.messages", Place::Topic, "flush.messages"),
            ("topic.compression.type", Place::Topic, "compression.type"),
        ];
        for (name, wanted, inner) in cases {
            assert_eq!(place(name), Ok((wanted, inner)), "{name}");
        }
    }

    #[test]
    fn a_typo_names_the_nearest_and_a_rate_says_where_rates_belong() {
        assert!(place("batch.sise").unwrap_err().contains("\"batch.size\""));
        assert!(place("partitons").unwrap_err().contains("\"partitions\""));
        assert!(place("fetch.min.byte").unwrap_err().contains("\"fetch.min.bytes\""));
        assert!(place("rate_records_s").unwrap_err().contains("[part.rate]"));
        assert!(place("zzz").unwrap_err().contains("no setting"));
    }
}
