//! A workload profile: one row of the bench, from profiles/workloads/*.toml.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::produce::settings;
use super::{Consume, Found, Keys, Pace, PayloadSource, Produce, RecordShape, StampPlace, Until, Warmup, What};
use crate::client::config::{ConfigError, ConsumerConfig, ProducerConfig};
use crate::client::properties::Properties;
use crate::load::clients::CLIENTS_MAX;
use crate::load::schedule::Arrivals;
use crate::load::shapes::{KeyShape, Sizes};
use crate::measure::ledger::STAMP_LEN;

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

/// A broker that is gone ends a round in half a minute instead of Kafka's two.
const GIVE_UP_SOON: [(&str, &str); 2] = [("request.timeout.ms", "20000"), ("delivery.timeout.ms", "30000")];
/// Different values that records take in turn, so that no broker or disk sees one value only, and none is made while it is
/// measured.
const VALUES: usize = 256;
/// Without a record for so long, what is missing is lost.
const SILENCE_MS_MAX: i64 = 10_000;
/// What is called steady where nobody says otherwise.
const STEADY_CV_MAX: f64 = 0.1;
/// Bytes of a megabyte.
pub(super) const MB: u64 = 1_000_000;
/// Most by which values can be made compressible.
const COMPRESSIBILITY_MAX: f64 = 1000.0;

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// The file.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// Not TOML, or a key that is not known.
    #[error("{origin}: {source}")]
    Toml {
        /// The file or the name of a built-in profile.
        origin: String,
        /// Line and column.
        source: Box<toml::de::Error>,
    },
    /// A file that takes no place.
    #[error(
        "{path} is no workload of the bench: they are {known}. Name it after the one whose place it takes, or give the file to \
         `ringlog sweep`"
    )]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Those that there are.
        known: String,
    },
    /// A value that cannot be.
    #[error("workload {name}: {reason}")]
    Invalid {
        /// Its name.
        name: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
}

/// The profiles that are built in, in the order in which they run.
const BUILT_IN: [(&str, &str); 4] = [
    ("produce-1k", include_str!("../../../profiles/workloads/produce-1k.toml")),
    ("produce-large", include_str!("../../../profiles/workloads/produce-large.toml")),
    ("consume", include_str!("../../../profiles/workloads/consume.toml")),
    ("latency", include_str!("../../../profiles/workloads/latency.toml")),
];

/// The built-in workloads; a file of the same name in `dir` (`produce-1k.toml`, ..) takes the place of one.
pub fn load(dir: Option<&Path>) -> Result<Vec<Workload>, WorkloadError> {
    load_set(&BUILT_IN, dir)
}

/// The workloads of a set; a file of the same name in `dir` takes the place of one.
pub(super) fn load_set(set: &[(&str, &str)], dir: Option<&Path>) -> Result<Vec<Workload>, WorkloadError> {
    dir.map_or(Ok(()), only_built_in)?;
    let workloads: Result<Vec<Workload>, WorkloadError> =
        set.iter().map(|(name, text)| load_one(name, text, dir)).collect();
    let workloads = workloads?;
    for workload in &workloads {
        check_reference(workload, &workloads)?;
    }
    Ok(workloads)
}

/// Refuses a file that would be passed over in silence. A folder may hold those of other clients too.
fn only_built_in(dir: &Path) -> Result<(), WorkloadError> {
    let names = || BUILT_IN.iter().chain(&super::client::BUILT_IN).map(|it| it.0);
    let failed = |source| WorkloadError::Io { path: dir.to_owned(), source };
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_known = path.file_stem().is_some_and(|stem| names().any(|name| stem == name));
        if path.extension().is_some_and(|it| it == "toml") && !is_known {
            let known = names().collect::<Vec<_>>().join(", ");
            return Err(WorkloadError::Unknown { path, known });
        }
    }
    Ok(())
}

fn load_one(name: &str, built_in: &str, dir: Option<&Path>) -> Result<Workload, WorkloadError> {
    let own = dir.map(|it| it.join(format!("{name}.toml"))).filter(|it| it.exists());
    match own {
        None => parse(&format!("built-in {name}"), built_in),
        Some(path) => {
            let text = std::fs::read_to_string(&path);
            let text = text.map_err(|source| WorkloadError::Io { path: path.clone(), source })?;
            parse(&path.display().to_string(), &text)
        }
    }
}

fn parse(origin: &str, text: &str) -> Result<Workload, WorkloadError> {
    let toml_error = |source| WorkloadError::Toml { origin: origin.to_owned(), source: Box::new(source) };
    let workload: Workload = toml::from_str(text).map_err(toml_error)?;
    workload.check()?;
    Ok(workload)
}

fn check_reference(workload: &Workload, all: &[Workload]) -> Result<(), WorkloadError> {
    let Some(of) = &workload.of else { return Ok(()) };
    if all.iter().any(|it| it.name == *of && it.kind == Kind::Produce) {
        return Ok(());
    }
    Err(workload.invalid(format!("of = {of:?} names no produce workload")))
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

    /// What producers are to do in one round, with brokers that are reached by `way`: every setting resolved.
    pub(crate) fn produce(&self, topic: &str, way: &Properties) -> Result<Produce, ConfigError> {
        let mut given = way.clone();
        self.producer.iter().for_each(|(name, value)| given.set(name, value));
        GIVE_UP_SOON.iter().for_each(|(name, value)| given.set_default(name, value));
        let parsed = ProducerConfig::parse(&given)?;
        let records = self.record_shape();
        let least = records.sizes.as_ref().map_or(self.record_bytes as usize, Sizes::min);
        let warmup = Duration::from_secs_f64(self.warmup_s);
        Ok(Produce {
            topic: topic.to_owned(),
            clients: self.clients as usize,
            pace: match (self.kind, self.rate_records_s) {
                (Kind::Latency, Some(rate)) => Pace::Open(rate, arrivals(&self.arrivals).unwrap_or(Arrivals::Constant)),
                _ => Pace::Free,
            },
            until: Until {
                records: self.records_max,
                duration: Some(Duration::from_secs_f64(self.round_s())),
                bytes: self.megabytes_max.map(|megabytes| megabytes.saturating_mul(MB)),
            },
            warmup: match self.warmup_s_max {
                Some(most) => Warmup::Found(Found::new(warmup, Duration::from_secs_f64(most), self.steady_cv_max)),
                None if warmup.is_zero() => Warmup::Without,
                None => Warmup::Time(warmup),
            },
            records,
            // No workload has transactions.
            transaction_ms: i64::MAX,
            stamps: Some(if least >= STAMP_LEN { StampPlace::Payload } else { StampPlace::Header }),
            has_series: true,
            primes: true,
            settings: settings(&parsed),
            config: parsed.config,
        })
    }

    /// What a consumer is to do in one round, with brokers that are reached by `way`; `duration` counts from the first
    /// record.
    pub(crate) fn consume(
        &self,
        what: What,
        duration: Option<Duration>,
        way: &Properties,
    ) -> Result<Consume, ConfigError> {
        let mut given = way.clone();
        self.consumer.iter().for_each(|(name, value)| given.set(name, value));
        given.set_default("auto.offset.reset", "earliest");
        let parsed = ConsumerConfig::parse(&given)?;
        Ok(Consume {
            clients: 1,
            what,
            records: u64::MAX,
            silence_ms: SILENCE_MS_MAX,
            duration,
            is_timed_from_the_first: true,
            has_series: false,
            settings: super::consume::settings(&parsed.effective),
            config: parsed.config,
        })
    }

    /// What was refused with the profile is not here.
    fn record_shape(&self) -> RecordShape {
        let bytes = self.record_bytes as usize;
        let sizes = self.record_size_dist.as_deref().and_then(|text| Sizes::parse(text).ok());
        RecordShape {
            payload: if self.compressibility.is_some() {
                PayloadSource::Random(bytes)
            } else {
                PayloadSource::Prepared { bytes, values: VALUES }
            },
            keys: Keys::None,
            sizes,
            ratio: self.compressibility,
            key_shape: KeyShape::parse(&self.keys).ok().filter(|shape| *shape != KeyShape::None),
            seed: self.seed,
        }
    }

    /// Size of a value, or the mean of its distribution.
    #[must_use]
    pub fn value_bytes(&self) -> u32 {
        let sizes = self.record_size_dist.as_deref().and_then(|text| Sizes::parse(text).ok());
        sizes.map_or(self.record_bytes, |it| u32::try_from(it.mean()).unwrap_or(u32::MAX))
    }

    /// The client's settings, every default resolved, without those of the way to a broker; none where they are refused.
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        let mut nowhere = Properties::new();
        nowhere.set("bootstrap.servers", "localhost:9092");
        let all = match self.kind {
            Kind::Consume => self.consume(What::Assigned(String::new()), None, &nowhere).map(|it| it.settings),
            Kind::Produce | Kind::Latency => self.read_settings(&nowhere).and_then(|read| {
                let written = self.produce("", &nowhere)?.settings;
                Ok(read.into_iter().chain(written).collect())
            }),
        };
        let of_the_way =
            |name: &str| ["bootstrap.", "security.", "ssl.", "sasl."].iter().any(|it| name.starts_with(it));
        all.unwrap_or_default().into_iter().filter(|(name, _)| !of_the_way(name)).collect()
    }

    /// Refuses what cannot be, with the limit.
    pub(crate) fn check(&self) -> Result<(), WorkloadError> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        if self.schema != 1 {
            return Err(self.invalid(format!("schema is {}, this version reads 1", self.schema)));
        }
        if !positive(self.measured_s) || !self.warmup_s.is_finite() || self.warmup_s < 0.0 {
            return Err(self.invalid("measured_s must be above 0 and warmup_s not below 0".to_owned()));
        }
        if self.name.is_empty() {
            return Err(self.invalid("it needs a name".to_owned()));
        }
        if self.warmup_s_max.is_some_and(|most| !positive(most) || most < self.warmup_s) {
            return Err(self.invalid("warmup_s_max must be above 0, and not below warmup_s".to_owned()));
        }
        if !positive(self.steady_cv_max) || self.records_max == Some(0) {
            return Err(self.invalid("steady_cv_max and records_max must be above 0".to_owned()));
        }
        if [self.replication_factor, self.replication_factor_max].into_iter().flatten().any(|it| it < 1) {
            return Err(self.invalid("replication_factor and replication_factor_max must be 1 or more".to_owned()));
        }
        if !(1..=10_000).contains(&self.partitions) || !(1..=1000).contains(&self.rounds) {
            return Err(self.invalid("partitions must be 1 to 10000 and rounds 1 to 1000".to_owned()));
        }
        self.check_shapes()?;
        match self.kind {
            Kind::Consume if self.of.is_none() => Err(self.invalid("a consume workload needs of = \"..\"".to_owned())),
            Kind::Consume => Ok(()),
            Kind::Latency if !self.rate_records_s.is_some_and(positive) => {
                Err(self.invalid("a latency workload needs rate_records_s above 0".to_owned()))
            }
            Kind::Produce | Kind::Latency => self.check_record_bytes(),
        }
    }

    fn check_shapes(&self) -> Result<(), WorkloadError> {
        // Options and keys of profiles have one grammar, and texts of their own.
        let invalid = |reason: String| {
            self.invalid(reason.replace("--record-size-dist", "record_size_dist").replace("--keys", "keys"))
        };
        if !(1..=CLIENTS_MAX).contains(&(self.clients as usize)) {
            return Err(self.invalid(format!("clients is {}; it must be 1 to {CLIENTS_MAX}", self.clients)));
        }
        if self.compressibility.is_some_and(|ratio| !(1.0..=COMPRESSIBILITY_MAX).contains(&ratio)) {
            return Err(self.invalid(format!("compressibility must be 1 to {COMPRESSIBILITY_MAX}")));
        }
        if arrivals(&self.arrivals).is_none() {
            return Err(self.invalid(format!("arrivals is {:?}; it must be constant or poisson", self.arrivals)));
        }
        self.record_size_dist.as_deref().map_or(Ok(()), |text| Sizes::parse(text).map(|_| ())).map_err(invalid)?;
        KeyShape::parse(&self.keys).map(|_| ()).map_err(invalid)?;
        self.check_events()?;
        self.check_readers()
    }

    fn check_record_bytes(&self) -> Result<(), WorkloadError> {
        let (least, most) = (STAMP_LEN, 100 << 20);
        if (least..=most).contains(&(self.record_bytes as usize)) {
            return Ok(());
        }
        Err(self.invalid(format!("record_bytes is {}; it must be {least} to {most}", self.record_bytes)))
    }

    pub(super) fn invalid(&self, reason: String) -> WorkloadError {
        WorkloadError::Invalid { name: self.name.clone(), reason }
    }
}

fn arrivals(text: &str) -> Option<Arrivals> {
    match text {
        "constant" => Some(Arrivals::Constant),
        "poisson" => Some(Arrivals::Poisson),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::scratch;

    #[test]
    fn the_built_in_profiles_are_the_four_rows_of_the_bench() {
        let names: Vec<String> = load(None).unwrap().into_iter().map(|it| it.name).collect();
        assert_eq!(names, ["produce-1k", "produce-large", "consume", "latency"]);
    }

    #[test]
    fn a_file_takes_the_place_of_a_built_in_profile() {
        let dir = scratch("workloads");
        let text = BUILT_IN[0].1.replace("record_bytes = 1000", "record_bytes = 100");
        std::fs::write(dir.join("produce-1k.toml"), text).unwrap();
        let workloads = load(Some(&dir)).unwrap();
        assert_eq!((workloads[0].record_bytes, workloads[1].record_bytes), (100, 1000));
        std::fs::write(dir.join("mine.toml"), "").unwrap();
        let told = load(Some(&dir)).unwrap_err().to_string();
        assert!(told.contains("mine.toml") && told.contains("produce-large") && told.contains("sweep"), "{told}");
        let missing = load(Some(&dir.join("none"))).unwrap_err().to_string();
        assert!(missing.contains("none"), "{missing}");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = parse("x.toml", &BUILT_IN[0].1.replace("rounds", "runs")).unwrap_err().to_string();
        assert!(error.contains("x.toml") && error.contains("runs"), "{error}");
    }

    #[test]
    fn values_that_cannot_be_are_refused_with_the_limit() {
        let refused = |at: usize, key: &str, line: &str| {
            let begin = format!("{key} = ");
            let lines = BUILT_IN[at].1.lines().map(|it| if it.starts_with(&begin) { line } else { it });
            parse("x", &lines.collect::<Vec<_>>().join("\n")).unwrap_err().to_string()
        };
        assert!(refused(0, "record_bytes", "record_bytes = 8").contains("must be 16"));
        assert!(refused(0, "measured_s", "measured_s = 0.0").contains("above 0"));
        assert!(refused(2, "of", "").contains("needs of"));
        assert!(refused(3, "rate_records_s", "").contains("rate_records_s"));
        assert!(refused(0, "rounds", "groups = 200\nconsumers = 2").contains("400 clients"));
        assert!(refused(0, "rounds", "groups = 1\nconsumers = 2").contains("consumers must be 1 at most"));
        assert!(refused(2, "measured_s", "measured_s = 1.0\ngroups = 1").contains("a workload that writes"));
    }
}
