//! What a person says of a load, from TOML and from options; and every default, with where it comes from.
//!
//! Every key of the TOML is an option of the same name (`records_per_day`, `--records-per-day`); options win.

use serde::{Deserialize, Serialize};

use super::interval::Interval;

/// Version of the keys.
pub const SCHEMA: u32 = 1;
/// Seconds of a day.
const DAY_S: f64 = 86_400.0;
/// A record beyond this is no record: Kafka's own limit is about a megabyte.
const RECORD_BYTES_MAX: f64 = 1e9;

/// What was said; what was not is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct Ask {
    /// Version of these keys: 1 (in a file only).
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<u32>,
    /// What the load is called.
    #[arg(long, value_name = "NAME")]
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
    #[serde(skip_serializing_if = "Option::is_none")]
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

/// Takes values with their defaults and keeps what was taken.
struct Taken {
    assumptions: Vec<Assumption>,
    wrong: Vec<Wrong>,
}

impl Taken {
    fn refuse(&mut self, key: &'static str, words: String) {
        self.wrong.push(Wrong { key, words });
    }

    fn keep(&mut self, key: &'static str, value: String, given: bool, source: &'static str) {
        self.assumptions.push(Assumption { key, value, source: if given { GIVEN } else { source } });
    }

    fn interval(
        &mut self,
        key: &'static str,
        said: Option<Interval>,
        default: f64,
        limits: (f64, f64),
        source: &'static str,
    ) -> Interval {
        let it = said.unwrap_or(Interval::known(default));
        if !it.is_ordered() {
            self.refuse(key, format!("{key} is {it}: low, mid and high must not fall"));
        }
        let (least, most) = limits;
        if !(it.low >= least && it.high <= most) {
            self.refuse(
                key,
                format!(
                    "{key} is {it}; it must be {} to {}",
                    super::interval::short(least),
                    super::interval::short(most)
                ),
            );
        }
        self.keep(key, it.to_string(), said.is_some(), source);
        it
    }

    fn number(
        &mut self,
        key: &'static str,
        said: Option<f64>,
        default: f64,
        limits: (f64, f64),
        source: &'static str,
    ) -> f64 {
        self.interval(key, said.map(Interval::known), default, limits, source).mid
    }

    fn count(
        &mut self,
        key: &'static str,
        said: Option<u32>,
        default: u32,
        limits: (u32, u32),
        source: &'static str,
    ) -> u32 {
        let limits = (f64::from(limits.0), f64::from(limits.1));
        self.number(key, said.map(f64::from), f64::from(default), limits, source);
        said.unwrap_or(default)
    }

    fn word(&mut self, key: &'static str, said: Option<&str>, known: &[&'static str], source: &'static str) -> String {
        let it = said.unwrap_or(known[0]);
        if !known.contains(&it) {
            self.refuse(key, format!("{key} is {it:?}; it must be one of {}", known.join(", ")));
        }
        self.keep(key, it.to_owned(), said.is_some(), source);
        it.to_owned()
    }
}

/// Above nothing.
const SOME: f64 = 1e-9;
/// The most of anything that is counted.
const MOST: f64 = 1e15;

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
        )
    }

    fn has_rate(&self) -> bool {
        self.records_per_day.is_some() || self.records_per_s.is_some() || self.users.is_some()
    }

    /// Every value, or all that is wrong.
    #[allow(clippy::too_many_lines, reason = "one line for each value")]
    pub fn resolve(&self) -> Result<Question, Vec<Wrong>> {
        let mut t = Taken { assumptions: Vec::new(), wrong: Vec::new() };
        if self.schema.is_some_and(|it| it != SCHEMA) {
            t.refuse("schema", format!("schema is {}; this version reads {SCHEMA}", self.schema.unwrap_or_default()));
        }
        let records_s = self.rate(&mut t);
        let replicas =
            t.count("replicas", self.replicas, 3, (1, 32), "default.replication.factor of production brokers");
        let groups = t.count("groups", self.groups, 1, (0, 10_000), "assumed: everything is read once");
        let lagging_groups = t.count("lagging_groups", self.lagging_groups, 0, (0, 10_000), "assumed: readers keep up");
        if lagging_groups > groups {
            t.refuse("lagging_groups", format!("lagging_groups is {lagging_groups}, of {groups} groups"));
        }
        let acks = t.word("acks", self.acks.as_deref(), &["all", "1", "0"], "Apache Kafka 4.3 ProducerConfig");
        let flush = t.word(
            "flush",
            self.flush.as_deref(),
            &["os", "every-batch"],
            "Apache Kafka: log.flush.interval.messages is not set",
        );
        let compression = t.word(
            "compression",
            self.compression.as_deref(),
            &["none", "gzip", "snappy", "lz4", "zstd"],
            "Apache Kafka 4.3 ProducerConfig",
        );
        if compression == "none" && self.compression_ratio.is_some_and(|it| it.high > 1.0) {
            t.refuse(
                "compression_ratio",
                "compression_ratio without compression: say which codec, with compression".to_owned(),
            );
        }
        if let Some(p99) = self.p99_ms_max.filter(|it| !(*it > 0.0)) {
            t.refuse("p99_ms_max", format!("p99_ms_max is {p99}; it must be above 0"));
        }
        if self.partitions == Some(0) {
            t.refuse("partitions", "partitions is 0; it must be 1 or more, or left out".to_owned());
        }
        let share = (0.01, 1.0);
        let it = Question {
            name: self.name.clone().unwrap_or_else(|| "load".to_owned()),
            records_s,
            record_bytes: t.interval(
                "record_bytes",
                self.record_bytes,
                1000.0,
                (1.0, RECORD_BYTES_MAX),
                "assumed: measure it as BytesInPerSec / MessagesInPerSec",
            ),
            peak_factor: t.interval(
                "peak_factor",
                self.peak_factor,
                1.0,
                (1.0, 1000.0),
                "assumed: the rate does not change over the day",
            ),
            replicas,
            retention_days: t.interval(
                "retention_days",
                self.retention_days,
                7.0,
                (1e-4, 36_500.0),
                "Apache Kafka: log.retention.hours = 168",
            ),
            groups,
            lagging_groups,
            acks_all: acks == "all",
            flush_every_batch: flush == "every-batch",
            compression,
            compression_ratio: t.interval(
                "compression_ratio",
                self.compression_ratio,
                1.0,
                (1.0, 1000.0),
                "assumed: measure it on your own records",
            ),
            tls: self.tls.unwrap_or(false),
            p99_ms_max: self.p99_ms_max,
            batch_bytes: t.interval(
                "batch_bytes",
                self.batch_bytes,
                16_384.0,
                (1.0, RECORD_BYTES_MAX),
                "Apache Kafka 4.3 ProducerConfig: batch.size, full",
            ),
            linger_ms: t.number(
                "linger_ms",
                self.linger_ms,
                5.0,
                (0.0, 3.6e6),
                "Apache Kafka 4.3 ProducerConfig (KIP-1030)",
            ),
            partitions: self.partitions,
            partition_in_mb_s: t.number(
                "partition_in_mb_s",
                self.partition_in_mb_s,
                20.0,
                (SOME, 1e6),
                "the handbook's example; measure it with `ringlog plan --measure-partition`",
            ),
            partition_out_mb_s: t.number(
                "partition_out_mb_s",
                self.partition_out_mb_s,
                50.0,
                (SOME, 1e6),
                "the handbook's example; measure it with `ringlog plan --measure-partition`",
            ),
            cache_s: t.number(
                "cache_s",
                self.cache_s,
                30.0,
                (0.0, 1e7),
                "Confluent, running Kafka in production: memory for 30 s of writes",
            ),
            heap_gib: t.number(
                "heap_gib",
                self.heap_gib,
                6.0,
                (0.1, 1000.0),
                "Confluent, running Kafka in production: -Xms6g -Xmx6g",
            ),
            failures: t.count("failures", self.failures, 1, (0, 100), "assumed: one broker may be gone"),
            recovery_hours: t.number(
                "recovery_hours",
                self.recovery_hours,
                4.0,
                (0.01, 10_000.0),
                "assumed; Netflix's planner has 1 h and at most 2 TiB on a node",
            ),
            shares: Shares {
                cpu: t.number("cpu_share_max", self.cpu_share_max, 0.6, share, "Confluent's eventsizer: 60 %"),
                network: t.number(
                    "network_share_max",
                    self.network_share_max,
                    0.7,
                    share,
                    "duckkit: 70 % of the network",
                ),
                disk: t.number("disk_share_max", self.disk_share_max, 0.7, share, "assumed, as the network"),
                disk_full: t.number("disk_full_max", self.disk_full_max, 0.7, share, "the handbook: / 0.7"),
                survivors: 0.9,
            },
            assumptions: Vec::new(),
        };
        t.keep("tls", it.tls.to_string(), self.tls.is_some(), "assumed: a network of one's own");
        t.keep(
            "survivors",
            "0.9".to_owned(),
            false,
            "assumed: share of processor, network and disk when brokers are gone",
        );
        if t.wrong.is_empty() { Ok(Question { assumptions: t.assumptions, ..it }) } else { Err(t.wrong) }
    }

    fn rate(&self, t: &mut Taken) -> Interval {
        let ways = [self.records_per_day.is_some(), self.records_per_s.is_some(), self.users.is_some()];
        let limits = (SOME, MOST);
        if ways.iter().filter(|it| **it).count() != 1 {
            let words =
                "say how much there is in one way: records_per_day, records_per_s, or users with records_per_user_day";
            t.refuse("records_per_day", words.to_owned());
            return Interval::known(1.0);
        }
        if let Some(it) = self.records_per_s {
            return t.interval("records_per_s", Some(it), 0.0, limits, GIVEN);
        }
        if let Some(it) = self.records_per_day {
            return t.interval("records_per_day", Some(it), 0.0, limits, GIVEN).map(|it| it / DAY_S);
        }
        let users = t.interval("users", self.users, 0.0, limits, GIVEN);
        let Some(each) = self.records_per_user_day else {
            t.refuse("records_per_user_day", "users needs records_per_user_day beside it".to_owned());
            return users;
        };
        let each = t.interval("records_per_user_day", Some(each), 0.0, limits, GIVEN);
        let day = |users: f64, each: f64| users * each / DAY_S;
        Interval::new(day(users.low, each.low), day(users.mid, each.mid), day(users.high, each.high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(it: f64) -> Option<Interval> {
        Some(Interval::known(it))
    }

    #[test]
    fn defaults_are_named_with_their_source_and_what_was_said_is_given() {
        let ask = Ask { records_per_s: known(1000.0), replicas: Some(2), ..Ask::default() };
        let question = ask.resolve().unwrap();
        let source = |key: &str| question.assumptions.iter().find(|it| it.key == key).unwrap().source;
        assert_eq!((source("replicas"), question.replicas), (GIVEN, 2));
        assert!(source("cache_s").contains("Confluent"));
    }

    #[test]
    fn a_zero_a_missing_rate_and_two_rates_are_refused_by_name() {
        let wrong =
            |ask: Ask| ask.resolve().unwrap_err().iter().map(|it| it.words.clone()).collect::<Vec<_>>().join("; ");
        assert!(wrong(Ask::default()).contains("records_per_day, records_per_s, or users"));
        assert!(wrong(Ask { records_per_s: known(0.0), ..Ask::default() }).contains("records_per_s is 0; it must be"));
        let two = Ask { records_per_s: known(1.0), records_per_day: known(1.0), ..Ask::default() };
        assert!(wrong(two).contains("in one way"));
        let base = || Ask { records_per_s: known(1.0), ..Ask::default() };
        assert!(wrong(Ask { record_bytes: known(0.0), ..base() }).contains("record_bytes is 0; it must be 1 to"));
        assert!(wrong(Ask { replicas: Some(0), ..base() }).contains("replicas is 0; it must be 1 to 32"));
        assert!(wrong(Ask { peak_factor: Some(Interval::new(3.0, 2.0, 4.0)), ..base() }).contains("must not fall"));
        assert!(wrong(Ask { lagging_groups: Some(3), groups: Some(2), ..base() }).contains("3, of 2 groups"));
        assert!(wrong(Ask { record_bytes: known(f64::NAN), ..base() }).contains("record_bytes"));
    }

    #[test]
    fn options_win_over_the_file_and_another_rate_replaces_the_files() {
        let file = Ask { records_per_day: known(5.0), replicas: Some(2), groups: Some(4), ..Ask::default() };
        let options = Ask { records_per_s: known(7.0), replicas: Some(3), ..Ask::default() };
        let question = options.over(file).resolve().unwrap();
        assert_eq!((question.records_s.mid, question.replicas, question.groups), (7.0, 3, 4));
    }
}
