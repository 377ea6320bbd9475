//! What a machine is: profiles/hardware/*.toml as types. profiles/README.md has every key.
//!
//! ```text
//!   text -> Document -> Profile -> check (facts, contradictions) -> Catalogue (families) -> plan, profile list|show|diff
//! ```
//!
//! - Every number has its unit in its key and a fact that says where it comes from.
//! - What a machine keeps up stands apart from what it does for a while: baseline and burst are different keys.
//! - MB are 10^6 bytes, GiB 2^30, Gb/s 10^9 bits a second in each direction.

mod catalogue;
mod check;
#[cfg(test)]
mod check_tests;
mod probed;

use serde::{Deserialize, Serialize};
use toml::value::Datetime;

pub use catalogue::{Catalogue, Entry, toml_files};
pub use probed::{Loopback, ParallelSync, Probe};

/// Version of the keys below.
pub const SCHEMA: u32 = 1;

/// One class of machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Version of these keys: 1.
    pub schema: u32,
    /// Its file's stem.
    pub name: String,
    /// One line for people.
    pub what: String,
    /// What kind of machine.
    pub kind: Kind,
    /// How far its numbers may be trusted.
    pub lifecycle: Lifecycle,
    /// Machines of a family have the same memory for each thread, and a network that grows with their size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// When the facts were gathered.
    pub as_of: Datetime,
    /// Its processor.
    pub cpu: Cpu,
    /// Its memory.
    pub memory: Memory,
    /// Its memory nodes, where there is more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numa: Option<Numa>,
    /// Its network; absent where only the machine itself was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nic: Option<Nic>,
    /// Its disks that keep a log.
    pub disk: Vec<Disk>,
    /// The road between a virtual machine and all of its attached volumes together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_road: Option<VolumeRoad>,
    /// The way from one of its processes to another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loopback: Option<Loopback>,
    /// What it costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// How it was measured, where `ringlog probe` did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// Where the numbers come from.
    pub fact: Vec<Fact>,
}

/// What kind of machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A virtual machine.
    Vm,
    /// A server of one's own.
    BareMetal,
    /// A container.
    Container,
    /// A laptop.
    Laptop,
    /// A single-board computer.
    Board,
}

/// How far a profile's numbers may be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lifecycle {
    /// From documents alone: nobody ran a broker there.
    Alpha,
    /// Some of it measured.
    Beta,
    /// Measured where it matters for a broker.
    Stable,
    /// No longer to be had.
    Deprecated,
}

/// A processor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cpu {
    /// `x86_64`, `aarch64`.
    pub arch: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// Hardware threads: what a cloud calls vCPU.
    pub threads: u32,
    /// Physical cores.
    pub cores: u32,
    /// Sustained clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ghz: Option<f64>,
    /// Instructions a cycle, beside Skylake's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipc_scale: Option<f64>,
    /// Of each thread, the share that lasts when CPU credits are used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline_share: Option<f64>,
    /// Cache of a core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l2_kib: Option<u32>,
    /// Cache of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l3_kib: Option<u32>,
    /// CRC32C of one thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crc32c_mb_s: Option<f64>,
    /// LZ4 compression of one thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lz4_mb_s: Option<f64>,
    /// zstd compression of one thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zstd_mb_s: Option<f64>,
}

/// Memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Of the machine.
    pub gib: f64,
    /// Of that, what processes and the page cache can have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usable_gib: Option<f64>,
    /// A copy by one thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy_mb_s: Option<f64>,
    /// Writes into pages that the page cache has not had yet, by one thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_cache_first_mb_s: Option<f64>,
    /// Writes into pages that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_cache_again_mb_s: Option<f64>,
}

/// Memory nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numa {
    /// How many.
    pub nodes: u32,
}

/// A network, each direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nic {
    /// What lasts.
    pub baseline_gbps: f64,
    /// What goes for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst_gbps: Option<f64>,
    /// At least for how long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst_s: Option<f64>,
    /// One connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub single_flow_gbps: Option<f64>,
    /// Round trips within a site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_us: Option<Quantiles>,
}

/// What a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Media {
    /// Flash on PCI Express.
    Nvme,
    /// Flash on SATA or SAS.
    Ssd,
    /// Spinning.
    Hdd,
    /// A volume over a network.
    Volume,
    /// A file or volume that a hypervisor shows, with caches that nobody knows.
    Virtual,
    /// A memory card.
    Card,
}

/// A disk, or several alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// Its name.
    pub name: String,
    /// What it is.
    pub media: Media,
    /// How many of these; figures are for one.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub count: u32,
    /// Whether what is on it outlives the machine's end.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub persistent: bool,
    /// What the figures were measured on.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file_system: String,
    /// Its size; of a volume that is made as large as it is wanted, the greatest.
    pub size_gb: f64,
    /// What lasts: sequential reading.
    pub seq_read_mb_s: f64,
    /// What lasts: sequential writing.
    pub seq_write_mb_s: f64,
    /// What goes for a while: writing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq_write_burst_mb_s: Option<f64>,
    /// Sequential reading through the page cache, of what is not in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffered_read_mb_s: Option<f64>,
    /// Sequential writing through the page cache, the last fdatasync included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffered_write_mb_s: Option<f64>,
    /// Random reads of 4 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rand_read_iops: Option<f64>,
    /// Random writes of 4 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rand_write_iops: Option<f64>,
    /// A random read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_us: Option<Quantiles>,
    /// An append of 4 KiB with fdatasync.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fdatasync_us: Option<Quantiles>,
    /// The same with several files at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fdatasync_parallel: Vec<ParallelSync>,
}

/// Times by quantile, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantiles {
    /// Half stay below.
    pub p50: f64,
    /// 90 of 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p90: Option<f64>,
    /// 99 of 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99: Option<f64>,
    /// 999 of 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p999: Option<f64>,
    /// The worst.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// What all attached volumes of a machine have together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeRoad {
    /// What lasts, reads and writes together.
    pub baseline_mb_s: f64,
    /// What goes for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst_mb_s: Option<f64>,
    /// Operations that last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline_iops: Option<f64>,
    /// Operations for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst_iops: Option<f64>,
}

/// What a machine costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// The machine.
    pub usd_per_hour: f64,
    /// A volume's capacity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_usd_per_gb_month: Option<f64>,
    /// What a volume's speed costs beyond what is included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_usd_per_month: Option<f64>,
    /// Region, term, when.
    pub basis: String,
}

/// Where numbers come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// The keys it is about.
    pub fields: Vec<String>,
    /// What kind of knowledge it is.
    pub quality: Quality,
    /// Where to look it up, or how it was measured.
    pub source: String,
    /// When it was read or measured.
    pub date: Datetime,
}

/// What kind of knowledge a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// Who sells it says so.
    Vendor,
    /// The system says so.
    Kernel,
    /// It was measured.
    Measured,
    /// It follows from other numbers.
    Derived,
    /// Somebody thinks so.
    Assumed,
}

impl Quality {
    /// Its word in the files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vendor => "vendor",
            Self::Kernel => "kernel",
            Self::Measured => "measured",
            Self::Derived => "derived",
            Self::Assumed => "assumed",
        }
    }
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls with")]
fn is_one(it: &u32) -> bool {
    *it == 1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls with")]
fn is_yes(it: &bool) -> bool {
    *it
}

impl Quantiles {
    /// Those that are there, with their names, from the middle up.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, f64)> {
        let all =
            [("p50", Some(self.p50)), ("p90", self.p90), ("p99", self.p99), ("p999", self.p999), ("max", self.max)];
        all.into_iter().filter_map(|(name, value)| value.map(|it| (name, it))).collect()
    }
}

impl Profile {
    /// The fact of a field.
    #[must_use]
    pub fn fact(&self, field: &str) -> Option<&Fact> {
        self.fact.iter().find(|it| it.fields.iter().any(|it| it == field))
    }

    /// Whether its disks are volumes, made as large as they are wanted.
    #[must_use]
    pub fn is_on_volumes(&self) -> bool {
        self.disk.iter().all(|it| it.media == Media::Volume)
    }
}
