//! From what was said to every value: each default with its source, each limit with its words.

use super::{Ask, Assumption, GIVEN, Question, SCHEMA, Shares, Wrong};
use crate::plan::interval::{Interval, short};

/// Seconds of a day.
const DAY_S: f64 = 86_400.0;
/// A record beyond this is no record: Kafka's own limit is about a megabyte.
const RECORD_BYTES_MAX: f64 = 1e9;

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
            let words = if it.low.is_nan() || it.mid.is_nan() || it.high.is_nan() {
                format!("{key} is NaN, which is no number")
            } else {
                format!("{key} is {it}: low, mid and high must not fall")
            };
            self.refuse(key, words);
        }
        let (least, most) = limits;
        if it.is_ordered() && !(it.low >= least && it.high <= most) {
            let from = if least == SOME { "above 0 and at most".to_owned() } else { format!("{} to", short(least)) };
            self.refuse(key, format!("{key} is {it}; it must be {from} {}", short(most)));
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
        if let Some(p99) = self.p99_ms_max.filter(|it| it.is_nan() || *it <= 0.0) {
            t.refuse("p99_ms_max", format!("p99_ms_max is {p99}; it must be above 0"));
        }
        // One replica outlives no failure: that is said, not asked for.
        let outlived = replicas.saturating_sub(1).min(1);
        let failures = t.count(
            "failures",
            self.failures,
            outlived,
            (0, 100),
            if outlived == 0 {
                "a partition with one replica outlives no broker"
            } else {
                "assumed: one broker may be gone"
            },
        );
        if failures >= replicas && failures > 0 {
            let words = format!(
                "failures is {failures} and replicas {replicas}: all copies of a partition may be gone then; failures must be \
                 below replicas"
            );
            t.refuse("failures", words);
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
            failures,
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
            confidence: t.number(
                "confidence",
                self.confidence,
                0.95,
                (0.01, 0.99),
                "assumed: brokers are enough in 95 of 100 draws of what is not known",
            ),
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
