//! Which machine is asked for: a profile's limits with those of the command line over them, and whether this machine has more.
//!
//! | of a profile | becomes |
//! |---|---|
//! | `cpu.threads` x `baseline_share` | cores: what lasts when credits are used up |
//! | `memory.usable_gib`, or `gib` less what an operating system wants | memory of the broker, page cache included |
//! | the first disk, no more than `volume_road` carries to a volume | disk, each direction |
//! | `nic.baseline_gbps` | network, each direction |
//! | `fdatasync_us` of that disk | how long an fsync lasts |

use std::collections::BTreeMap;
use std::path::Path;

use super::{EmulateError, Limit};
use crate::host::HostFacts;
use crate::spec::document::nearest;
use crate::spec::hardware::{Catalogue, Disk, Entry, Media, Profile, Quantiles};
use crate::target::{Start, Target, kafka};

/// The word that takes a limit out, or all of them.
const NATIVE: &str = "native";
/// What an operating system and its services want of the memory: so much, and no more than this share of a small machine's.
const SYSTEM_GIB: f64 = 1.0;
const SYSTEM_SHARE: f64 = 0.25;
/// What a JVM wants beside its heap.
const JVM_BESIDE_MB: u32 = 256;
const MB_PER_GIB: f64 = 1024.0;
/// Gb/s of a rate in MB/s.
const GBPS_PER_MB_S: f64 = 0.008;

/// What a machine is limited to; what is not here stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Limits {
    values: BTreeMap<Limit, f64>,
    /// How long an fsync lasts.
    pub sync: Option<Quantiles>,
}

impl Limits {
    /// One of them.
    pub(crate) fn get(&self, limit: Limit) -> Option<f64> {
        self.values.get(&limit).copied()
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Limit, f64)> {
        self.values.iter().map(|(limit, value)| (*limit, *value))
    }

    /// Cores that are needed for so much processor time.
    pub(crate) fn whole_cores(&self) -> Option<usize> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded when it was asked for")]
        self.get(Limit::Cores).map(|it| it.ceil() as usize)
    }

    fn set(&mut self, limit: Limit, value: Option<f64>) {
        match value {
            Some(value) => drop(self.values.insert(limit, value)),
            None => drop(self.values.remove(&limit)),
        }
        if limit == Limit::FdatasyncUs {
            self.sync = value.map(|p50| Quantiles { p50, p90: None, p99: None, p999: None, max: None });
        }
    }

    /// What lasts on a machine of this profile.
    pub(crate) fn of(profile: &Profile) -> Self {
        let cpu = &profile.cpu;
        let memory = &profile.memory;
        let mut limits = Self::default();
        limits.set(Limit::Cores, Some(f64::from(cpu.threads) * cpu.baseline_share.unwrap_or(1.0)));
        let left = memory.gib - SYSTEM_GIB.min(memory.gib * SYSTEM_SHARE);
        limits.set(Limit::MemoryGib, Some(memory.usable_gib.unwrap_or(left)));
        limits.set(Limit::NetworkGbps, profile.nic.as_ref().map(|it| it.baseline_gbps));
        if let Some(disk) = profile.disk.first() {
            limits.disk(disk, profile);
        }
        limits
    }

    fn disk(&mut self, disk: &Disk, profile: &Profile) {
        let road = profile.volume_road.as_ref().filter(|_| disk.media == Media::Volume);
        let least = |own: f64, road: Option<f64>| road.map_or(own, |it| it.min(own));
        let (mb_s, iops) = (road.map(|it| it.baseline_mb_s), road.and_then(|it| it.baseline_iops));
        self.set(Limit::DiskWriteMbS, Some(least(disk.seq_write_mb_s, mb_s)));
        self.set(Limit::DiskReadMbS, Some(least(disk.seq_read_mb_s, mb_s)));
        self.set(Limit::DiskWriteIops, disk.rand_write_iops.map(|it| least(it, iops)));
        self.set(Limit::DiskReadIops, disk.rand_read_iops.map(|it| least(it, iops)));
        self.set(Limit::FdatasyncUs, disk.fdatasync_us.map(|it| it.p50));
        self.sync = disk.fdatasync_us;
    }
}

/// A machine that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    /// The words of the command line.
    pub words: String,
    /// What it is called in rows: the words, with this machine's name where no profile is among them.
    pub profile: Option<String>,
    /// What is limited.
    pub limits: Limits,
    /// What is expressly left as it is.
    pub native: Vec<&'static str>,
}

impl Asked {
    /// From `PROFILE`, `FILE.toml`, `KEY=VALUE`, .. separated by commas; `None` where it is `native`.
    pub(crate) fn parse(words: &str) -> Result<Option<Self>, EmulateError> {
        if words == NATIVE {
            return Ok(None);
        }
        let mut asked = Self { words: words.to_owned(), profile: None, limits: Limits::default(), native: Vec::new() };
        let mut keys: Vec<&str> = Vec::new();
        for (at, word) in words.split(',').map(str::trim).enumerate() {
            let key = word.split_once('=').map(|it| it.0.trim());
            if let Some(key) = key.filter(|it| keys.contains(it)) {
                return Err(EmulateError::Words(format!("{key} is there twice: which of them is meant? Take one out")));
            }
            keys.extend(key);
            match word.split_once('=') {
                Some((key, value)) => asked.key(key.trim(), value.trim())?,
                None if at == 0 && !word.is_empty() => {
                    let profile = profile(word)?;
                    asked.limits = Limits::of(&profile);
                    asked.profile = Some(profile.name);
                }
                None => {
                    let words =
                        format!("{word:?} is no KEY=VALUE; a profile's name or file comes first, limits follow it");
                    return Err(EmulateError::Words(words));
                }
            }
        }
        if asked.limits.values.is_empty() {
            return Err(EmulateError::Words(format!("{words:?} limits nothing: leave the option out")));
        }
        Ok(Some(asked))
    }

    fn key(&mut self, key: &str, value: &str) -> Result<(), EmulateError> {
        let Some(limit) = Limit::ALL.into_iter().find(|it| it.key() == key) else {
            let keys: Vec<&str> = Limit::ALL.iter().map(|it| it.key()).collect();
            let hint = nearest(key, keys.iter().copied()).map(|it| format!("; did you mean {it}?")).unwrap_or_default();
            return Err(EmulateError::Words(format!("nothing is called {key:?}{hint} There are {}", keys.join(", "))));
        };
        if value == NATIVE {
            self.limits.set(limit, None);
            self.native.push(limit.key());
            return Ok(());
        }
        let (least, most) = bounds(limit);
        let number = value.parse::<f64>().ok().filter(|it| (least..=most).contains(it));
        let wrong =
            || EmulateError::Words(format!("{key}={value}: it must be a number from {least} to {most}, or {NATIVE}"));
        self.limits.set(limit, Some(number.ok_or_else(wrong)?));
        Ok(())
    }

    /// Shards of a broker on such a machine, where its cores are limited: one for each that it runs on.
    pub(crate) fn shards(&self) -> Option<u32> {
        self.limits.whole_cores().and_then(|it| u32::try_from(it).ok())
    }

    /// Refuses what is more than this machine has, and brokers that cannot be limited.
    pub(crate) fn check(&self, host: &Host, targets: &[Target]) -> Result<(), EmulateError> {
        if let Some(remote) = targets.iter().find(|it| !it.is_started()) {
            return Err(EmulateError::Remote(remote.name.clone()));
        }
        let nodes = targets.iter().map(|it| it.start.nodes()).max().unwrap_or(1);
        for (limit, wanted) in self.limits.all() {
            let Some(has) = host.has(limit) else { continue };
            // Each node of a cluster is such a machine; the disk and the loopback are the whole machine's all the same.
            let wanted =
                if matches!(limit, Limit::Cores | Limit::MemoryGib) { wanted * f64::from(nodes) } else { wanted };
            let is_faster = if limit == Limit::FdatasyncUs { wanted < has } else { wanted > has };
            if is_faster {
                return Err(self.faster(limit, nodes, wanted, has));
            }
        }
        targets.iter().try_for_each(|it| self.holds_the_heap(it))
    }

    fn faster(&self, limit: Limit, nodes: u32, wanted: f64, has: f64) -> EmulateError {
        let key = limit.key();
        let name = self.profile.as_deref().unwrap_or("what is asked for");
        let what = if nodes > 1 { format!("{name}, {nodes} nodes of it,") } else { name.to_owned() };
        EmulateError::Faster {
            what,
            wanted: format!("{key} {}", figure(wanted)),
            has: figure(has),
            advice: format!(
                "ask for less with {key}=.., leave it as it is with {key}={NATIVE}, or plan with `ringlog plan`"
            ),
        }
    }

    fn holds_the_heap(&self, target: &Target) -> Result<(), EmulateError> {
        let (Start::Kafka { nodes, .. }, Some(gib)) = (&target.start, self.limits.get(Limit::MemoryGib)) else {
            return Ok(());
        };
        let wanted_mb = kafka::heap_mb(*nodes) + JVM_BESIDE_MB;
        if gib * MB_PER_GIB >= f64::from(wanted_mb) {
            return Ok(());
        }
        let (name, heap_mb) = (&target.name, kafka::heap_mb(*nodes));
        Err(EmulateError::Words(format!(
            "memory_gib is {gib}, and {name} has a heap of {heap_mb} MiB and needs some beside it: the kernel would end it; ask for \
             memory_gib={:.2} or more",
            f64::from(wanted_mb) / MB_PER_GIB
        )))
    }
}

/// What a limit may be.
fn bounds(limit: Limit) -> (f64, f64) {
    match limit {
        Limit::Cores => (0.05, 1024.0),
        Limit::MemoryGib => (0.0625, 65_536.0),
        Limit::DiskWriteMbS | Limit::DiskReadMbS => (1.0, 1e6),
        Limit::DiskWriteIops | Limit::DiskReadIops => (10.0, 1e8),
        Limit::NetworkGbps => (0.001, 1000.0),
        Limit::FdatasyncUs => (1.0, 1e7),
    }
}

/// A built-in profile, or a file's.
fn profile(word: &str) -> Result<Profile, EmulateError> {
    let lines = |it: Vec<crate::spec::document::Finding>| {
        EmulateError::Words(it.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    };
    if Path::new(word).extension().is_some_and(|it| it == "toml") {
        return Entry::open(Path::new(word)).map(|it| it.profile).map_err(lines);
    }
    let all = Catalogue::load(None).map_err(lines)?;
    let hint = "a file ends in .toml, a limit is KEY=VALUE";
    all.get(word).map(|it| it.profile.clone()).map_err(|it| EmulateError::Words(format!("{it}; {hint}")))
}

/// This machine, as far as it is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Host {
    /// Cores that we may use.
    pub cores: usize,
    /// Memory.
    pub memory_gib: Option<f64>,
    /// What a probe found here.
    pub measured: Option<Profile>,
}

impl Host {
    /// What is known at once, and what is in the file that `ringlog probe` wrote here.
    pub(crate) fn read(facts: &HostFacts, probed: Option<&Path>) -> Result<Self, EmulateError> {
        let lines = |path: &Path, it: Vec<crate::spec::document::Finding>| {
            let lines: Vec<String> = it.iter().map(ToString::to_string).collect();
            EmulateError::Words(format!("--emulate-host {}: {}", path.display(), lines.join("\n")))
        };
        let measured = probed.map(|path| Entry::open(path).map_err(|it| lines(path, it))).transpose()?;
        let least = facts.memory_bytes.into_iter().chain(facts.cgroup.memory_bytes).min();
        let memory_gib = least.map(|it| it as f64 / f64::from(1 << 30));
        Ok(Self { cores: facts.cores, memory_gib, measured: measured.map(|it| it.profile) })
    }

    /// What disturbed the probe that measured it.
    pub(crate) fn disturbed(&self) -> &[String] {
        self.measured.as_ref().and_then(|it| it.probe.as_ref()).map_or(&[], |it| &it.disturbed)
    }

    /// How much it has of a limit; `None` where nobody knows.
    fn has(&self, limit: Limit) -> Option<f64> {
        let disk = self.measured.as_ref().and_then(|it| it.disk.first());
        match limit {
            Limit::Cores => Some(self.cores as f64),
            Limit::MemoryGib => self.memory_gib,
            Limit::DiskWriteMbS => disk.map(|it| it.seq_write_mb_s),
            Limit::DiskReadMbS => disk.map(|it| it.seq_read_mb_s),
            Limit::DiskWriteIops => disk.and_then(|it| it.rand_write_iops),
            Limit::DiskReadIops => disk.and_then(|it| it.rand_read_iops),
            Limit::NetworkGbps => {
                self.measured.as_ref().and_then(|it| it.loopback.as_ref()).map(|it| it.mb_s * GBPS_PER_MB_S)
            }
            Limit::FdatasyncUs => disk.and_then(|it| it.fdatasync_us).map(|it| it.p50),
        }
    }
}

/// A figure in words: three digits, no zeros behind.
pub(super) fn figure(value: f64) -> String {
    let text = if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
