//! What a broker's work costs: coefficients, from what others published or from rows that `ringlog fit` read.
//!
//! Costs are for work at one broker: a record that has three replicas is taken in once and replicated twice.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::interval::Interval;

/// Version of the keys.
pub const SCHEMA: u32 = 2;
/// No model is so wrong that work costs less than this share of what it says.
const FACTOR_MIN: f64 = 0.1;

/// What a broker's work costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Version of these keys: 1.
    pub schema: u32,
    /// What it is called.
    pub name: String,
    /// Where it comes from: for people.
    pub source: String,
    /// The hardware profile that it was measured on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Whether client and broker shared a machine: the receiver's work in the kernel is then billed to the sender.
    #[serde(default)]
    pub loopback: bool,
    /// Rows that it was fitted to; 0 where it was not.
    #[serde(default)]
    pub rows: u32,
    /// Processor time.
    pub cpu: CpuCost,
    /// Processor time for each MB of values in (before compression) beyond the above, by codec.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub codec_ms_per_mb: BTreeMap<String, Interval>,
    /// Memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryCost>,
    /// What more cores are worth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scalability: Option<Scalability>,
    /// How far it missed rows that it had not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<Missed>,
}

/// Processor time of a broker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuCost {
    /// For each MB that producers send.
    pub ms_per_mb_in: Interval,
    /// For each MB that consumers and followers read.
    pub ms_per_mb_out: Interval,
    /// For each MB that a follower takes; without it, as `ms_per_mb_in`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms_per_mb_replicated: Option<Interval>,
    /// For each record that producers send.
    #[serde(default = "nothing", skip_serializing_if = "is_nothing")]
    pub us_per_record_in: Interval,
    /// For each batch that producers send.
    #[serde(default = "nothing", skip_serializing_if = "is_nothing")]
    pub us_per_batch_in: Interval,
    /// For each request.
    #[serde(default = "nothing", skip_serializing_if = "is_nothing")]
    pub us_per_request: Interval,
    /// For each MB in or out over TLS, beyond the above.
    #[serde(default = "tls")]
    pub ms_per_mb_tls: Interval,
}

/// Memory of a broker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryCost {
    /// Without partitions.
    pub base_mib: f64,
    /// For each replica.
    pub mib_per_partition: f64,
}

/// The Universal Scalability Law: N cores are worth N / (1 + contention (N - 1) + coherency N (N - 1)).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scalability {
    /// Share of the work that only one core can do at a time.
    pub contention: f64,
    /// What each pair of cores costs.
    pub coherency: f64,
    /// The most cores that were measured.
    pub cores_max: f64,
}

/// How far a model missed rows that it had not seen, each left out in turn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Missed {
    /// Half of them less than this.
    pub median_share: f64,
    /// The worst.
    pub worst_share: f64,
}

impl Missed {
    /// What the processor's time is multiplied with in a draw: a triangle about 1 in which half are off by the median or more, and the
    /// worst lies inside.
    #[must_use]
    pub fn factor(&self) -> Interval {
        let half_width = self.worst_share.max(self.median_share / (1.0 - 0.5_f64.sqrt()));
        Interval::new((1.0 - half_width).max(FACTOR_MIN), 1.0, 1.0 + half_width)
    }
}

fn nothing() -> Interval {
    Interval::known(0.0)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls with")]
fn is_nothing(it: &Interval) -> bool {
    *it == nothing()
}

/// AES-GCM at 0.25 to 2 GB/s a core, and reads that can no longer go from the page cache to the socket by themselves.
fn tls() -> Interval {
    Interval::new(0.5, 1.5, 4.0)
}

/// Milliseconds for each MiB, for each MB.
const fn mib(ms: f64) -> f64 {
    ms / 1.048_576
}

impl Scalability {
    /// What so many cores are worth, in cores.
    #[must_use]
    pub fn worth(&self, cores: f64) -> f64 {
        cores / (1.0 + self.contention * (cores - 1.0) + self.coherency * cores * (cores - 1.0))
    }
}

impl Model {
    /// What others published: from Redpanda's rule of thumb to Google's and Netflix's, which are as far apart as they are.
    #[must_use]
    pub fn published() -> Self {
        let cpu = CpuCost {
            // Redpanda: 100 MB/s a core; Netflix: 30 ms a MiB; Google: 20 MB/s of replicated writes a vCPU.
            ms_per_mb_in: Interval::new(10.0, mib(30.0), 50.0),
            // Google: reads cost a quarter of writes; Netflix: 40 ms a MiB.
            ms_per_mb_out: Interval::new(2.5, 12.5, mib(40.0)),
            ms_per_mb_replicated: None,
            us_per_record_in: nothing(),
            us_per_batch_in: nothing(),
            us_per_request: nothing(),
            ms_per_mb_tls: tls(),
        };
        Self {
            schema: SCHEMA,
            name: "published".to_owned(),
            source: "not measured: Redpanda 100 MB/s a core, Google 20 MB/s a vCPU and reads a quarter, Netflix 30 and 40 ms a MiB".to_owned(),
            profile: None,
            loopback: false,
            rows: 0,
            cpu,
            codec_ms_per_mb: BTreeMap::new(),
            memory: None,
            scalability: None,
            missed: None,
        }
    }

    /// Whether it was fitted to rows.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        self.rows > 0
    }

    /// What cannot be in a model that somebody wrote: the path and the words.
    #[must_use]
    pub fn wrong(&self) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        if self.schema != SCHEMA {
            wrong.push(("schema", format!("schema is {}; this version reads {SCHEMA}", self.schema)));
        }
        let cpu = &self.cpu;
        let replicated = cpu.ms_per_mb_replicated.unwrap_or(nothing());
        for (path, it) in [
            ("cpu.ms_per_mb_in", cpu.ms_per_mb_in),
            ("cpu.ms_per_mb_out", cpu.ms_per_mb_out),
            ("cpu.ms_per_mb_replicated", replicated),
            ("cpu.us_per_record_in", cpu.us_per_record_in),
            ("cpu.us_per_batch_in", cpu.us_per_batch_in),
            ("cpu.us_per_request", cpu.us_per_request),
            ("cpu.ms_per_mb_tls", cpu.ms_per_mb_tls),
        ] {
            if !(it.is_ordered() && it.low >= 0.0 && it.high.is_finite()) {
                wrong.push((path, format!("{path} is {it}; it must be 0 or more, and low, mid, high must not fall")));
            }
        }
        if let Some(it) = &self.missed
            && !(it.median_share >= 0.0 && it.worst_share >= it.median_share && it.worst_share.is_finite())
        {
            let words = format!(
                "missed: median_share is {} and worst_share {}; both must be 0 or more, and the worst is not below the median",
                it.median_share, it.worst_share
            );
            wrong.push(("missed", words));
        }
        if let Some(it) = &self.scalability
            && !(it.contention >= 0.0 && it.coherency >= 0.0 && it.cores_max >= 1.0)
        {
            wrong.push((
                "scalability",
                "scalability: contention and coherency must be 0 or more, cores_max 1 or more".to_owned(),
            ));
        }
        wrong
    }
}
