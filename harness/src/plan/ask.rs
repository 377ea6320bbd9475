//! What a person says of a load, from TOML and from options; and every default, with where it comes from.
//!
//! Every key of the TOML is an option of the same name (`records_per_day`, `--records-per-day`); options win.

mod resolve;

use serde::{Deserialize, Serialize};

use super::interval::Interval;

/// Version of the keys.
pub const SCHEMA: u32 = 1;

/// What was said; what was not is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct Ask {
    /// Version of these keys: 1 (in a file only).
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<u32>,
    /// What the load is called.
    #[arg(long = "load-name", id = "load_name", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Records a day. One of this, --records-per-s, and --users with --records-per-user-day.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_per_day: Option<Interval>,
    /// Records a second, on average.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_per_s: Option<Interval>,
    /// Users.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<Interval>,
    /// Records that each user makes a day.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_per_user_day: Option<Interval>,
    /// Bytes of a record, before compression.
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_bytes: Option<Interval>,
    /// The busiest time's rate beside the mean.
    #[arg(long, value_name = "FACTOR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_factor: Option<Interval>,
    /// Replicas of each partition.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// For how long records are kept.
    #[arg(long, value_name = "DAYS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<Interval>,
    /// Consumer groups that each read everything.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<u32>,
    /// Of those, groups that are behind and read from the disk.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lagging_groups: Option<u32>,
    /// acks of the producers: all, 1 or 0.
    #[arg(long, value_name = "ACKS", value_parser = ["all", "1", "0"])]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "word_or_number")]
    pub acks: Option<String>,
    /// When the log reaches the disk: os (when the kernel wants), every-batch (before the answer).
    #[arg(long, value_name = "WHEN", value_parser = ["os", "every-batch"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flush: Option<String>,
    /// The producers' codec: none, gzip, snappy, lz4, zstd.
    #[arg(long, value_name = "CODEC", value_parser = ["none", "gzip", "snappy", "lz4", "zstd"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// By how much it makes records smaller.
    #[arg(long, value_name = "RATIO")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression_ratio: Option<Interval>,
    /// Clients and brokers speak TLS.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<bool>,
    /// What 99 of 100 answers to producers must stay below.
    #[arg(long, value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_ms_max: Option<f64>,
    /// Bytes of a batch as it is sent.
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_bytes: Option<Interval>,
    /// For how long a producer waits for a batch to fill.
    #[arg(long, value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linger_ms: Option<f64>,
    /// Partitions of all topics; by default as many as the peak needs.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    /// What one partition takes (Tp).
    #[arg(long, value_name = "MB/S")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_in_mb_s: Option<f64>,
    /// What one partition gives (Tc).
    #[arg(long, value_name = "MB/S")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_out_mb_s: Option<f64>,
    /// Seconds of the newest records that stay in memory.
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_s: Option<f64>,
    /// Memory of the broker itself.
    #[arg(long, value_name = "GIB")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heap_gib: Option<f64>,
    /// Brokers that may be gone at the same time.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
    /// In how many hours a broker that lost its disk must have its data again.
    #[arg(long, value_name = "HOURS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_hours: Option<f64>,
    /// Share of the processor to plan with.
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_share_max: Option<f64>,
    /// Share of the network to plan with.
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_share_max: Option<f64>,
    /// Share of the disks' speed to plan with.
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_share_max: Option<f64>,
    /// How full disks may be.
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_full_max: Option<f64>,
    /// Share of the draws of what is not known for which the brokers must be enough: 0.95 unless said.
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
}

/// `acks = 1` as well as `acks = "1"`: Kafka's properties have no quotes.
fn word_or_number<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected \"all\", 1 or 0")]
    enum Said {
        Word(String),
        Number(i64),
    }
    Ok(Some(match Said::deserialize(from)? {
        Said::Word(it) => it,
        Said::Number(it) => it.to_string(),
    }))
}

/// A load with every value resolved.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Question {
    /// What it is called.
    pub name: String,
    /// Records a second, mean.
    pub records_s: Interval,
    /// Before compression.
    pub record_bytes: Interval,
    /// Peak beside mean.
    pub peak_factor: Interval,
    /// Replicas.
    pub replicas: u32,
    /// Kept for so long.
    pub retention_days: Interval,
    /// Groups.
    pub groups: u32,
    /// Of those, behind.
    pub lagging_groups: u32,
    /// Whether answers wait for all replicas.
    pub acks_all: bool,
    /// Whether answers wait for the disk.
    pub flush_every_batch: bool,
    /// The codec.
    pub compression: String,
    /// By how much.
    pub compression_ratio: Interval,
    /// TLS.
    pub tls: bool,
    /// The latency that is wanted.
    pub p99_ms_max: Option<f64>,
    /// As sent.
    pub batch_bytes: Interval,
    /// Waiting for batches.
    pub linger_ms: f64,
    /// Partitions, where they were said.
    pub partitions: Option<u32>,
    /// Tp.
    pub partition_in_mb_s: f64,
    /// Tc.
    pub partition_out_mb_s: f64,
    /// Newest records in memory.
    pub cache_s: f64,
    /// The broker's own.
    pub heap_gib: f64,
    /// Brokers gone.
    pub failures: u32,
    /// Time to have data again.
    pub recovery_hours: f64,
    /// Shares to plan with.
    pub shares: Shares,
    /// Share of the draws for which the brokers must be enough.
    pub confidence: f64,
    /// What was said and what was not.
    pub assumptions: Vec<Assumption>,
}

/// Shares of a resource to plan with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Shares {
    /// Processor.
    pub cpu: f64,
    /// Network.
    pub network: f64,
    /// Disks' speed.
    pub disk: f64,
    /// Disks' capacity.
    pub disk_full: f64,
    /// Of processor, network and disk when brokers are gone.
    pub survivors: f64,
}

/// A value that the plan rests on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assumption {
    /// Its key.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// Where it comes from; `given` if it was said.
    pub source: &'static str,
}

/// A value that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The key.
    pub key: &'static str,
    /// What is wrong and what to do.
    pub words: String,
}

/// Where a value that was said comes from.
pub const GIVEN: &str = "given";

/// Where a value that was measured just now comes from.
const MEASURED: &str = "measured just now: `ringlog plan --measure-partition`";

impl Question {
    /// Whether a value was said, and not taken from a default.
    #[must_use]
    pub fn is_given(&self, key: &str) -> bool {
        self.assumptions.iter().any(|it| it.key == key && it.source == GIVEN)
    }

    /// What one partition takes and gives, as it was measured.
    pub fn set_partition(&mut self, in_mb_s: f64, out_mb_s: f64) {
        (self.partition_in_mb_s, self.partition_out_mb_s) = (in_mb_s, out_mb_s);
        for (key, value) in [("partition_in_mb_s", in_mb_s), ("partition_out_mb_s", out_mb_s)] {
            self.assumptions.retain(|it| it.key != key);
            self.assumptions.push(Assumption { key, value: Interval::known(value).to_string(), source: MEASURED });
        }
    }
}

impl Ask {
    /// What options say, and where they say nothing what the file says.
    #[must_use]
    pub fn over(self, file: Self) -> Self {
        let own_rate = self.has_rate();
        let file = if own_rate {
            Self { records_per_day: None, records_per_s: None, users: None, records_per_user_day: None, ..file }
        } else {
            file
        };
        macro_rules! first {
            ($($key:ident),+ $(,)?) => { Self { $($key: self.$key.or(file.$key)),+ } };
        }
        first!(
            schema,
            name,
            records_per_day,
            records_per_s,
            users,
            records_per_user_day,
            record_bytes,
            peak_factor,
            replicas,
            retention_days,
            groups,
            lagging_groups,
            acks,
            flush,
            compression,
            compression_ratio,
            tls,
            p99_ms_max,
            batch_bytes,
            linger_ms,
            partitions,
            partition_in_mb_s,
            partition_out_mb_s,
            cache_s,
            heap_gib,
            failures,
            recovery_hours,
            cpu_share_max,
            network_share_max,
            disk_share_max,
            disk_full_max,
            confidence,
        )
    }

    /// Whether it says how much there is.
    #[must_use]
    pub fn has_rate(&self) -> bool {
        self.records_per_day.is_some() || self.records_per_s.is_some() || self.users.is_some()
    }
}

#[cfg(test)]
mod tests;
