//! What a profile gives one broker: what lasts, never what goes for a while.

use serde::Serialize;

use super::interval::Interval;
use super::model::Model;
use crate::spec::hardware::{Profile, Quality};

/// MB/s of a Gb/s.
const MB_S_OF_GBPS: f64 = 125.0;
/// GB of a GiB.
const GB_OF_GIB: f64 = 1.073_741_824;
/// What the system itself needs.
pub const SYSTEM_GIB: f64 = 1.0;
/// A round trip between machines of a site whose profile does not say.
pub const RTT_MS: f64 = 0.5;

/// What one broker has.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Machine {
    /// Threads that last, by the model's scalability.
    pub threads: f64,
    /// How fast they are beside those that the model was measured on.
    pub speed: f64,
    /// Each direction; absent where the profile has no network.
    pub net_mb_s: Option<f64>,
    /// All disks.
    pub disk_write_mb_s: f64,
    /// All disks.
    pub disk_read_mb_s: f64,
    /// Reads and writes together, on volumes.
    pub road_mb_s: Option<f64>,
    /// All disks; of volumes the greatest.
    pub disk_gb: f64,
    /// Whether disks are made as large as they are wanted.
    pub grows: bool,
    /// Whether what a dead broker had is gone with it.
    pub loses_disk: bool,
    /// For page cache and broker.
    pub memory_gb: f64,
    /// An append on the disk: p99, or the least that is known to be below it.
    pub flush_ms: Option<f64>,
    /// What it is: `p99`, `p50`.
    pub flush_quantile: &'static str,
    /// A round trip, p99.
    pub rtt_ms: f64,
    /// How sure the network is.
    pub network_sure: Interval,
    /// How sure the disk is.
    pub disk_sure: Interval,
    /// Replicas that a broker of this size is run with at most.
    pub replicas_max: f64,
    /// What could not be carried over.
    pub notes: Vec<String>,
}

impl Machine {
    /// Of a profile; `from` is the profile that the model was measured on, where it is known.
    #[must_use]
    pub fn of(profile: &Profile, model: &Model, from: Option<&Profile>) -> Self {
        let mut notes = Vec::new();
        let threads = f64::from(profile.cpu.threads) * profile.cpu.baseline_share.unwrap_or(1.0);
        let worth = model.scalability.map_or(threads, |it| it.worth(threads));
        if let Some(it) = model.scalability.filter(|it| threads > it.cores_max) {
            notes.push(format!("cores: measured up to {}, here {threads}", it.cores_max));
        }
        let sum = |each: fn(&crate::spec::hardware::Disk) -> f64| {
            profile.disk.iter().map(|it| f64::from(it.count) * each(it)).sum::<f64>()
        };
        let disturbed = profile.probe.as_ref().map_or(&[][..], |it| &it.disturbed);
        if !disturbed.is_empty() {
            notes.push(format!(
                "{} was disturbed while it was probed ({}): what it is said to do is the least that it does",
                profile.name,
                disturbed.join("; ")
            ));
        }
        let flush = flush(profile);
        let nic = profile.nic.as_ref();
        if nic.is_none() {
            notes.push("the profile has no network: it is not checked".to_owned());
        }
        let sure = |field: &str| certainty(profile.fact(field).map(|it| it.quality));
        let memory = profile.memory.usable_gib.unwrap_or(profile.memory.gib - SYSTEM_GIB);
        Self {
            threads: worth,
            speed: speed(profile, model, from, &mut notes),
            net_mb_s: nic.map(|it| it.baseline_gbps * MB_S_OF_GBPS),
            disk_write_mb_s: sum(|it| it.seq_write_mb_s),
            disk_read_mb_s: sum(|it| it.seq_read_mb_s),
            road_mb_s: profile.volume_road.as_ref().filter(|_| profile.is_on_volumes()).map(|it| it.baseline_mb_s),
            disk_gb: sum(|it| it.size_gb),
            grows: profile.is_on_volumes(),
            loses_disk: !profile.is_on_volumes(),
            memory_gb: memory.max(0.0) * GB_OF_GIB,
            flush_ms: flush.map(|it| it.0 / 1e3),
            flush_quantile: if flush.is_some_and(|it| it.1) { "p99" } else { "p50" },
            rtt_ms: nic.and_then(|it| it.rtt_us).map_or(RTT_MS, |it| it.p99.unwrap_or(it.p50) / 1e3),
            network_sure: sure("nic.baseline_gbps"),
            disk_sure: sure("disk.0.seq_write_mb_s"),
            replicas_max: replicas_max(profile.cpu.threads),
            notes,
        }
    }
}

/// An append on the slowest disk, microseconds, and whether that is its p99; `None` unless it is known of every disk.
fn flush(profile: &Profile) -> Option<(f64, bool)> {
    let each: Option<Vec<(f64, bool)>> =
        profile.disk.iter().map(|it| it.fdatasync_us.map(|it| (it.p99.unwrap_or(it.p50), it.p99.is_some()))).collect();
    each?.into_iter().max_by(|a, b| a.0.total_cmp(&b.0))
}

/// How much faster a thread is than one of the machine that the model was measured on.
fn speed(profile: &Profile, model: &Model, from: Option<&Profile>, notes: &mut Vec<String>) -> f64 {
    if !model.is_measured() {
        return 1.0;
    }
    let Some(from) = from else {
        let on = model.profile.as_ref().map_or_else(
            || "the model does not say where it was measured".to_owned(),
            |it| format!("the model was measured on {it}, of which there is no profile"),
        );
        notes.push(format!("{on}: its processor is taken as this one's (--measured-on says which it was)"));
        return 1.0;
    };
    if from.name == profile.name {
        return 1.0;
    }
    if let Some((here_beside_there, what)) = by_probe(profile, from) {
        notes.push(format!(
            "costs of {} are moved to {} by what the probe measured on both ({what}): x {:.2}",
            from.name,
            profile.name,
            1.0 / here_beside_there
        ));
        return here_beside_there;
    }
    if let (Some(here), Some(there)) = (profile.cpu.ghz, from.cpu.ghz) {
        let ipc = |it: &Profile| it.cpu.ipc_scale.unwrap_or(1.0);
        let speed = here * ipc(profile) / (there * ipc(from));
        let unknown: Vec<&str> =
            [profile, from].iter().filter(|it| it.cpu.ipc_scale.is_none()).map(|it| it.name.as_str()).collect();
        let unknown = if unknown.is_empty() {
            String::new()
        } else {
            format!("; instructions a cycle of {} are not known and taken as Skylake's", unknown.join(" and "))
        };
        notes.push(format!(
            "costs of {} are moved to {} by clock and instructions a cycle ({here} and {there} GHz{unknown}): x {:.2}",
            from.name,
            profile.name,
            1.0 / speed
        ));
        return speed;
    }
    notes.push(format!(
        "{} and {} have no common yardstick (cpu.crc32c_mb_s and the like, or cpu.ghz): processors are taken as equal. `ringlog probe` \
         on both measures it: plan with --profiles HERE.toml --measured-on THERE.toml",
        from.name, profile.name
    ));
    1.0
}

/// The geometric mean of what the probe measured of one thread on both, the one beside the other, and of what.
fn by_probe(here: &Profile, there: &Profile) -> Option<(f64, String)> {
    let yardsticks = |it: &Profile| {
        [
            ("crc32c", it.cpu.crc32c_mb_s),
            ("lz4", it.cpu.lz4_mb_s),
            ("zstd", it.cpu.zstd_mb_s),
            ("copy", it.memory.copy_mb_s),
        ]
    };
    let pairs = yardsticks(here).into_iter().zip(yardsticks(there));
    let both: Vec<(&str, f64)> = pairs.filter_map(|(a, b)| Some((a.0, a.1? / b.1?))).collect();
    if both.is_empty() {
        return None;
    }
    #[allow(clippy::cast_precision_loss, reason = "four at most")]
    let mean = (both.iter().map(|it| it.1.ln()).sum::<f64>() / both.len() as f64).exp();
    Some((mean, both.iter().map(|it| it.0).collect::<Vec<_>>().join(", ")))
}

/// How far a figure of this quality may be off. Ours, and stated: a vendor's limit is a promise, a guess is a guess.
fn certainty(quality: Option<Quality>) -> Interval {
    match quality {
        Some(Quality::Kernel) => Interval::known(1.0),
        Some(Quality::Vendor) => Interval::new(0.9, 1.0, 1.0),
        Some(Quality::Measured) => Interval::new(0.85, 1.0, 1.05),
        Some(Quality::Derived) => Interval::new(0.7, 1.0, 1.2),
        Some(Quality::Assumed) | None => Interval::new(0.5, 1.0, 1.3),
    }
}

/// Amazon MSK, best practices: leaders and followers of a broker by its size.
fn replicas_max(threads: u32) -> f64 {
    match threads {
        0..=7 => 1000.0,
        8..=15 => 2000.0,
        _ => 4000.0,
    }
}
