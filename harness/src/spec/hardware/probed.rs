//! What only a probe knows of a machine, and how quiet the machine was while it was measured.

use serde::{Deserialize, Serialize};

use super::{Profile, Quantiles};

/// The way from a process to another of the same machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loopback {
    /// One connection, one direction.
    pub mb_s: f64,
    /// A request of 64 bytes and its answer.
    pub rtt_us: Quantiles,
}

/// What so many files give that are synchronised at the same time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParallelSync {
    /// Files, each with a thread that appends 4 KiB and calls fdatasync.
    pub files: u32,
    /// All of them together.
    pub per_s: f64,
    /// One append with its fdatasync.
    pub us: Quantiles,
}

/// The account of a measurement. Its numbers are no facts about the machine: they say how far the facts go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// How long it took.
    pub seconds: f64,
    /// What the hypervisor took meanwhile, as a share of one core.
    pub steal_share: f64,
    /// What other processes and the kernel took, as a share of one core; absent where the kernel does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub others_share: Option<f64>,
    /// Share of the time in which a task waited for a core (PSI); the probe's own are among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_pressure_share: Option<f64>,
    /// Share of the time in which a task waited for a disk (PSI); the probe's own are among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_pressure_share: Option<f64>,
    /// What disturbed it, a line each; empty where nothing did.
    pub disturbed: Vec<String>,
}

impl Profile {
    /// Every number that describes the machine by its path, quantiles one by one: `disk.0.fdatasync_us.p99`.
    #[must_use]
    pub fn numbers(&self) -> Vec<(String, f64)> {
        let Ok(table) = toml::Table::try_from(self) else { return Vec::new() };
        let mut found = Vec::new();
        for (key, value) in table.iter().filter(|it| !NO_NUMBERS.contains(&it.0.as_str())) {
            add(key, value, &mut found);
        }
        found
    }
}

/// Tables and keys of a profile that do not describe the machine.
const NO_NUMBERS: [&str; 4] = ["schema", "fact", "probe", "price"];

fn add(name: &str, value: &toml::Value, found: &mut Vec<(String, f64)>) {
    match value {
        #[allow(clippy::cast_precision_loss, reason = "cores, KiB of a cache: far below 2^53")]
        toml::Value::Integer(it) => found.push((name.to_owned(), *it as f64)),
        toml::Value::Float(it) => found.push((name.to_owned(), *it)),
        toml::Value::Table(table) => table.iter().for_each(|(key, it)| add(&format!("{name}.{key}"), it, found)),
        toml::Value::Array(all) => {
            all.iter().enumerate().for_each(|(at, it)| add(&format!("{name}.{at}"), it, found));
        }
        _ => {}
    }
}
