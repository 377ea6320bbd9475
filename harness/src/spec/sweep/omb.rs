//! A workload of the OpenMessaging Benchmark, from its YAML, as a sweep of one cell.
//!
//! | there | here |
//! |---|---|
//! | `topics`, `partitionsPerTopic` | one topic with the partitions of all |
//! | `producersPerTopic` | `clients`, of all topics together |
//! | `messageSize`, `randomBytesRatio` | `record_bytes`, `compressibility` = 1 / the random share |
//! | `keyDistributor` | NO_KEY `none`, KEY_ROUND_ROBIN `uniform:10000`, RANDOM_NANO `uniform:1000000` |
//! | `producerRate` | `rate_records_s`; 0 (search) is as fast as it goes |
//! | `subscriptionsPerTopic`, `consumerPerSubscription` | `groups`, and `consumers` of all topics together |
//! | `consumerBacklogSizeGB` | `backlog_megabytes`, with one reader that catches up |
//! | `warmupDurationMinutes`, `testDurationMinutes` | `warmup_s`, `measured_s` |
//!
//! The producer is that of their throughput driver: acks=all, linger.ms=1, batch.size=1048576. A key that is not known is
//! refused, so that nothing of a workload is left out in silence; a payload file is not read, for its bytes are letters here.

use serde::Deserialize;

use super::Sweep;
use crate::spec::document::Finding;

/// Their file. Keys of their forks that change nothing of a load are known too.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Workload {
    name: String,
    #[serde(default = "one")]
    topics: u32,
    #[serde(default = "one")]
    partitions_per_topic: u32,
    #[serde(default)]
    key_distributor: Option<String>,
    message_size: u32,
    #[serde(default)]
    use_randomized_payloads: bool,
    #[serde(default)]
    random_bytes_ratio: f64,
    #[serde(default, rename = "randomizedPayloadPoolSize")]
    _pool: u32,
    #[serde(default, rename = "payloadFile")]
    _file: Option<String>,
    #[serde(default = "one")]
    subscriptions_per_topic: u32,
    #[serde(default = "one")]
    producers_per_topic: u32,
    #[serde(default = "one")]
    consumer_per_subscription: u32,
    #[serde(default)]
    producer_rate: f64,
    #[serde(default, rename = "consumerBacklogSizeGB")]
    backlog_gb: f64,
    #[serde(default, rename = "backlogDrainRatio")]
    _drain: f64,
    test_duration_minutes: f64,
    #[serde(default = "one_minute")]
    warmup_duration_minutes: f64,
    #[serde(default, rename = "sampleRateMillis")]
    _sample: u32,
}

fn one() -> u32 {
    1
}

fn one_minute() -> f64 {
    1.0
}

/// Reads one.
pub fn read(origin: &str, text: &str, seed: u64) -> Result<Sweep, Finding> {
    let workload: Workload = serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map_or(0, |it| usize::try_from(it.line()).unwrap_or(0));
        let words = error.without_snippet().to_string();
        Finding { origin: origin.to_owned(), line, words }
    })?;
    let toml = workload.as_toml().map_err(|words| Finding { origin: origin.to_owned(), line: 0, words })?;
    Sweep::read(&format!("{origin} (as a sweep)"), &toml, seed)
}

impl Workload {
    /// The same as a sweep's file.
    fn as_toml(&self) -> Result<String, String> {
        let keys = match self.key_distributor.as_deref() {
            None | Some("NO_KEY") => "none",
            Some("KEY_ROUND_ROBIN") => "uniform:10000",
            Some("RANDOM_NANO") => "uniform:1000000",
            Some(other) => {
                return Err(format!("keyDistributor is {other:?}; it must be NO_KEY, KEY_ROUND_ROBIN or RANDOM_NANO"));
            }
        };
        let random = if self.use_randomized_payloads { self.random_bytes_ratio } else { 1.0 };
        if !(random > 0.001 && random <= 1.0) {
            return Err(format!("randomBytesRatio is {random}; it must be above 0.001 and at most 1"));
        }
        let mut workload = toml::Table::new();
        let mut put = |key: &str, value: toml::Value| _ = workload.insert(key.to_owned(), value);
        let partitions = self.topics.saturating_mul(self.partitions_per_topic);
        let (kind, rate) =
            if self.producer_rate > 0.0 { ("latency", Some(self.producer_rate)) } else { ("produce", None) };
        put("kind", kind.into());
        put("record_bytes", i64::from(self.message_size).into());
        put("partitions", i64::from(partitions).into());
        put("clients", i64::from(self.topics.saturating_mul(self.producers_per_topic)).into());
        put("keys", keys.into());
        put("warmup_s", (self.warmup_duration_minutes * 60.0).into());
        put("measured_s", (self.test_duration_minutes * 60.0).into());
        rate.into_iter().for_each(|rate| put("rate_records_s", rate.into()));
        if random < 1.0 {
            put("compressibility", (1.0 / random).into());
        }
        if self.subscriptions_per_topic > 0 {
            let consumers = self.topics.saturating_mul(self.consumer_per_subscription).min(partitions);
            put("groups", i64::from(self.subscriptions_per_topic).into());
            put("consumers", i64::from(consumers).into());
        }
        if self.backlog_gb > 0.0 {
            put("backlog_megabytes", toml::Value::Integer((self.backlog_gb * 1000.0) as i64));
            put("catch_up", 1.into());
        }
        let producer =
            [("acks", "all"), ("linger.ms", "1"), ("batch.size", "1048576"), ("max.request.size", "2097152")];
        let producer: toml::Table = producer.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
        put("producer", toml::Value::Table(producer));
        let mut part = toml::Table::new();
        part.insert("name".to_owned(), "workload".into());
        part.insert("what".to_owned(), format!("OpenMessaging's {}", self.name).into());
        part.insert("workload".to_owned(), toml::Value::Table(workload));
        let mut file = toml::Table::new();
        file.insert("schema".to_owned(), 1.into());
        file.insert("name".to_owned(), self.name.clone().into());
        file.insert("what".to_owned(), format!("OpenMessaging's {}", self.name).into());
        file.insert("part".to_owned(), toml::Value::Array(vec![toml::Value::Table(part)]));
        toml::to_string(&file).map_err(|error| error.to_string())
    }
}
