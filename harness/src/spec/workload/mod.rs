//! A workload profile: one row of the bench, from profiles/workloads/*.toml.
//!
//! ```text
//!   a file, or built in --load--> Workload --check--> refused with the limit
//!                                     |
//!                                     '--resolve--> Produce, Consume: every setting of the clients
//! ```

mod check;
mod load;
mod resolve;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(super) use self::load::load_set;
pub use self::load::{WorkloadError, load};
use super::event::Event;
use crate::load::shapes::Sizes;

/// What is called steady where nobody says otherwise.
const STEADY_CV_MAX: f64 = 0.1;
/// Bytes of a megabyte.
pub(super) const MB: u64 = 1_000_000;

/// What a workload does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Writes as fast as it goes.
    Produce,
    /// Reads back what another workload wrote.
    Consume,
    /// Writes at a fixed rate.
    Latency,
}

impl Kind {
    /// Its name in profiles and rows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Produce => "produce",
            Self::Consume => "consume",
            Self::Latency => "latency",
        }
    }
}

/// One workload. profiles/README.md has every key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Version of these keys: 1.
    #[serde(default)]
    pub schema: u32,
    /// Its name in rows and tables.
    #[serde(default)]
    pub name: String,
    /// One line for people.
    #[serde(default)]
    pub what: String,
    /// What it does.
    pub kind: Kind,
    /// Size of a record's value in bytes (produce, latency).
    #[serde(default)]
    pub record_bytes: u32,
    /// Partitions of the topic (produce, latency).
    #[serde(default = "one")]
    pub partitions: u32,
    /// How often it is measured, in turn with the other targets.
    #[serde(default = "one")]
    pub rounds: u32,
    /// Seconds before the measured time; the least of them, where `warmup_s_max` is given.
    #[serde(default)]
    pub warmup_s: f64,
    /// The warm-up goes on until the rate no longer varies, so many seconds at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup_s_max: Option<f64>,
    /// A rate is steady where its standard deviation is no greater than this share of its mean.
    #[serde(default = "steady_cv_max")]
    pub steady_cv_max: f64,
    /// Measured seconds. A consume round against a broker that keeps records lasts until all is read.
    pub measured_s: f64,
    /// A round ends early when so many megabytes (10^6) were sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub megabytes_max: Option<u64>,
    /// A round ends early when so many records were sent, warm-up included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records_max: Option<u64>,
    /// Records a second (latency).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_records_s: Option<f64>,
    /// Producers, each on a thread of its own.
    #[serde(default = "one", alias = "producers")]
    pub clients: u32,
    /// Replicas of each partition, in place of the target's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_factor: Option<i16>,
    /// Replicas of each partition: as many as there are brokers, and no more than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_factor_max: Option<i16>,
    /// Gaps of a latency workload's schedule: `constant` or `poisson`.
    #[serde(default = "constant")]
    pub arrivals: String,
    /// Sizes of values in place of `record_bytes`, as `--record-size-dist` of producer-perf has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_size_dist: Option<String>,
    /// By how much zstd makes values smaller, about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compressibility: Option<f64>,
    /// Keys, as `--keys` of producer-perf has them.
    #[serde(default = "no_keys")]
    pub keys: String,
    /// Seed of values, keys and arrivals.
    #[serde(default)]
    pub seed: i64,
    /// Consumer groups that read while it is written; each reads everything.
    #[serde(default)]
    pub groups: u32,
    /// Members of each group, each on a thread of its own; of a catch-up reader, clients that share the partitions.
    #[serde(default = "one")]
    pub consumers: u32,
    /// Readers that begin with the first record when the measured time begins.
    #[serde(default)]
    pub catch_up: u32,
    /// Megabytes (10^6) that are written before the warm-up: what catch-up readers have before them.
    #[serde(default)]
    pub backlog_megabytes: u64,
    /// A transaction is committed when it has so many records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_records: Option<u32>,
    /// A transaction is committed with the first record that is sent so many ms after its first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_ms: Option<u32>,
    /// What is done to the target, or to a group, while it is measured.
    #[serde(default, rename = "event", skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
    /// What 99 of 100 records may take, in ms: after events, when that is so again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ms_max: Option<f64>,
    /// The workload whose records are read (consume).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Settings of the producer under Kafka's names.
    #[serde(default)]
    pub producer: BTreeMap<String, String>,
    /// Settings of the consumer under Kafka's names.
    #[serde(default)]
    pub consumer: BTreeMap<String, String>,
    /// Settings of the topic under Kafka's names, over those of the target.
    #[serde(default)]
    pub topic: BTreeMap<String, String>,
}

fn steady_cv_max() -> f64 {
    STEADY_CV_MAX
}

fn one() -> u32 {
    1
}

fn constant() -> String {
    "constant".to_owned()
}

fn no_keys() -> String {
    "none".to_owned()
}

impl Workload {
    /// The measured and warm-up times multiplied, rounds set.
    #[must_use]
    pub fn scaled(mut self, factor: f64, rounds: Option<u32>) -> Self {
        self.measured_s *= factor;
        self.warmup_s *= factor;
        self.warmup_s_max = self.warmup_s_max.map(|it| it * factor);
        for event in &mut self.events {
            event.at_s *= factor;
            event.for_s = event.for_s.map(|for_s| for_s * factor);
        }
        self.rounds = rounds.map_or(self.rounds, |it| it.min(self.rounds));
        self
    }

    /// Seconds of one round; the most of them, where the warm-up's end is found.
    #[must_use]
    pub fn round_s(&self) -> f64 {
        self.warmup_s_max.unwrap_or(self.warmup_s) + self.measured_s
    }

    /// When this workload's topic is flushed, where it says so itself: as a row has it.
    #[must_use]
    pub fn flush(&self) -> Option<String> {
        let own = self.topic.iter().filter(|(name, _)| name.starts_with("flush."));
        let words: Vec<String> = own.map(|(name, value)| format!("{name}={value}")).collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// The settings of a topic that this workload makes on a target with these.
    #[must_use]
    pub fn topic_configs(&self, of_target: &[(String, String)]) -> Vec<(String, String)> {
        let others = of_target.iter().filter(|(name, _)| !self.topic.contains_key(name)).cloned();
        others.chain(self.topic.clone()).collect()
    }

    /// Whether records are written in transactions.
    #[must_use]
    pub fn has_transactions(&self) -> bool {
        self.transaction_records.is_some() || self.transaction_ms.is_some()
    }

    /// Size of a value, or the mean of its distribution.
    #[must_use]
    pub fn value_bytes(&self) -> u32 {
        let sizes = self.record_size_dist.as_deref().and_then(|text| Sizes::parse(text).ok());
        sizes.map_or(self.record_bytes, |it| u32::try_from(it.mean()).unwrap_or(u32::MAX))
    }
}
