//! A workload profile: one row of the bench, from profiles/workloads/*.toml.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

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
    pub schema: u32,
    /// Its name in rows and tables.
    pub name: String,
    /// One line for people.
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
    /// Seconds before the measured time.
    #[serde(default)]
    pub warmup_s: f64,
    /// Measured seconds. A consume round against a broker that keeps records lasts until all is read.
    pub measured_s: f64,
    /// A round ends early when so many megabytes (10^6) were sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub megabytes_max: Option<u64>,
    /// Records a second (latency).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_records_s: Option<f64>,
    /// The workload whose records are read (consume).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Settings of the producer under Kafka's names.
    #[serde(default)]
    pub producer: BTreeMap<String, String>,
    /// Settings of the consumer under Kafka's names.
    #[serde(default)]
    pub consumer: BTreeMap<String, String>,
}

fn one() -> u32 {
    1
}

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
    let workloads: Result<Vec<Workload>, WorkloadError> =
        BUILT_IN.iter().map(|(name, text)| load_one(name, text, dir)).collect();
    let workloads = workloads?;
    for workload in &workloads {
        check_reference(workload, &workloads)?;
    }
    Ok(workloads)
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
        self.rounds = rounds.map_or(self.rounds, |it| it.min(self.rounds));
        self
    }

    /// Seconds of one round.
    #[must_use]
    pub fn round_s(&self) -> f64 {
        self.warmup_s + self.measured_s
    }

    /// batch.size, where it is set.
    #[must_use]
    pub fn batch_bytes(&self) -> Option<u32> {
        self.producer.get("batch.size").and_then(|it| it.parse().ok())
    }

    fn check(&self) -> Result<(), WorkloadError> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        if self.schema != 1 {
            return Err(self.invalid(format!("schema is {}, this version reads 1", self.schema)));
        }
        if !positive(self.measured_s) || !self.warmup_s.is_finite() || self.warmup_s < 0.0 {
            return Err(self.invalid("measured_s must be above 0 and warmup_s not below 0".to_owned()));
        }
        if !(1..=10_000).contains(&self.partitions) || !(1..=1000).contains(&self.rounds) {
            return Err(self.invalid("partitions must be 1 to 10000 and rounds 1 to 1000".to_owned()));
        }
        match self.kind {
            Kind::Consume if self.of.is_none() => Err(self.invalid("a consume workload needs of = \"..\"".to_owned())),
            Kind::Consume => Ok(()),
            Kind::Latency if !self.rate_records_s.is_some_and(positive) => {
                Err(self.invalid("a latency workload needs rate_records_s above 0".to_owned()))
            }
            Kind::Produce | Kind::Latency => self.check_record_bytes(),
        }
    }

    fn check_record_bytes(&self) -> Result<(), WorkloadError> {
        let (least, most) = (crate::measure::ledger::STAMP_LEN, 100 << 20);
        if (least..=most).contains(&(self.record_bytes as usize)) {
            return Ok(());
        }
        Err(self.invalid(format!("record_bytes is {}; it must be {least} to {most}", self.record_bytes)))
    }

    fn invalid(&self, reason: String) -> WorkloadError {
        WorkloadError::Invalid { name: self.name.clone(), reason }
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
    }
}
