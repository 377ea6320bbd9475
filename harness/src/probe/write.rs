//! What was found as a profile, each number with the fact that says how it was come by.
//!
//! Invariant: what is written here passes `ringlog profile check`; the caller checks it before it is kept.

use std::path::Path;

use toml::value::Datetime;

use super::{Found, Probe, ProbeError, Rate, host, machine};
use crate::host::HostFacts;
use crate::spec::hardware::{
    self, Cpu, Disk, Fact, Kind, Lifecycle, Loopback, Memory, Profile, Quality, Quantiles, SCHEMA,
};

/// Bytes of a random read or write.
const RANDOM_BYTES: f64 = 4096.0;

/// Facts as they are gathered.
struct Facts {
    all: Vec<Fact>,
    date: Datetime,
    /// What each measured fact says beside how it was measured.
    beside: &'static str,
}

impl Facts {
    fn add(&mut self, fields: &[&str], quality: Quality, source: String) {
        let fields = fields.iter().map(|it| (*it).to_owned()).collect();
        self.all.push(Fact { fields, quality, source, date: self.date });
    }

    fn kernel(&mut self, field: &str, source: &str) {
        self.add(&[field], Quality::Kernel, source.to_owned());
    }

    /// A rate in MB/s, with how even it was.
    fn mb_s(&mut self, field: &str, rate: Option<Rate>, how: &str) -> Option<f64> {
        self.rate(field, rate, 1e6, "MB/s", how)
    }

    fn rate(&mut self, field: &str, rate: Option<Rate>, unit: f64, name: &str, how: &str) -> Option<f64> {
        let rate = rate?;
        let (least, greatest) = (rounded(rate.least_per_s / unit), rounded(rate.greatest_per_s / unit));
        let even = if rate.spread() > 0.0 {
            format!("; fifths of its time: {least} to {greatest} {name}")
        } else {
            String::new()
        };
        self.add(&[field], Quality::Measured, format!("ringlog probe: {how}{even}{}", self.beside));
        Some(rounded(rate.per_s / unit))
    }

    fn times(&mut self, field: &str, times: Option<Quantiles>, how: &str) -> Option<Quantiles> {
        if times.is_some() {
            self.add(&[field], Quality::Measured, format!("ringlog probe: {how}{}", self.beside));
        }
        times
    }
}

/// The profile's text.
pub(crate) fn profile_text(name: &str, probe: &Probe, found: &Found) -> Result<String, ProbeError> {
    let missing =
        |what: &str| ProbeError::Refused(format!("{what} could not be read here, and a profile must have it"));
    let date = jiff::Zoned::now().date().to_string();
    let date: Datetime = date.parse().map_err(|_| missing("today's date"))?;
    let beside = if found.quiet.disturbed.is_empty() { "" } else { "; the machine was disturbed, see [probe]" };
    let (host, mut facts) = (host(), Facts { all: Vec::new(), date, beside });
    let kind = machine::kind(&host.virtualisation);
    let cpu = cpu(&host, found, &mut facts);
    let memory = memory(&host, found, &mut facts).ok_or_else(|| missing("the size of memory"))?;
    let disk = disk(&probe.dir, kind, found, &mut facts).ok_or_else(|| missing("the disk's size"))?;
    let rate = facts.mb_s("loopback.mb_s", found.loopback, "one connection of 127.0.0.1, writes of 256 KiB");
    let rtt = facts.times("loopback.rtt_us", found.rtt_us, "64 bytes there and back on one connection of 127.0.0.1");
    let loopback = rate.zip(rtt).map(|(mb_s, rtt_us)| Loopback { mb_s, rtt_us });
    let profile = Profile {
        schema: SCHEMA,
        name: name.to_owned(),
        what: format!("measured by ringlog probe: {}, {}", host.virtualisation, memory_words(&host)),
        kind,
        lifecycle: Lifecycle::Beta,
        family: None,
        as_of: date,
        cpu,
        memory,
        numa: None,
        nic: None,
        disk: vec![disk],
        volume_road: None,
        loopback,
        price: None,
        probe: Some(account(found)),
        fact: facts.all,
    };
    toml::to_string(&profile).map_err(|error| ProbeError::Refused(format!("the profile cannot be written: {error}")))
}

fn cpu(host: &HostFacts, found: &Found, facts: &mut Facts) -> Cpu {
    let root = Path::new("/");
    let threads = u32::try_from(host.cores).unwrap_or(u32::MAX);
    facts.kernel("cpu.threads", "threads that this process may run on (sched_getaffinity, control group)");
    let (cores, how) = match machine::cores(root) {
        Some(cores) if cores <= threads => (cores, "/sys/devices/system/cpu/cpu*/topology"),
        Some(_) => (threads, "no more than the threads that this process may run on"),
        None => (threads, "the kernel does not say; taken to be as many as threads"),
    };
    facts.kernel("cpu.cores", how);
    let mut cache = |field: &str, level: u32| {
        let kib = machine::cache_kib(root, level)?;
        facts.kernel(field, "/sys/devices/system/cpu/cpu0/cache");
        Some(kib)
    };
    let (l2_kib, l3_kib) = (cache("cpu.l2_kib", 2), cache("cpu.l3_kib", 3));
    Cpu {
        arch: host.arch.clone(),
        model: host.cpu_model.clone().unwrap_or_default(),
        threads,
        cores,
        ghz: facts.rate(
            "cpu.ghz",
            found.clock,
            1e9,
            "GHz",
            "a chain of additions and rotations, one a cycle, one thread",
        ),
        ipc_scale: None,
        baseline_share: None,
        l2_kib,
        l3_kib,
        crc32c_mb_s: facts.mb_s("cpu.crc32c_mb_s", found.crc32c, "CRC32C of batches of 64 KiB, one thread"),
        lz4_mb_s: facts.mb_s(
            "cpu.lz4_mb_s",
            found.lz4,
            "lz4 (lz4_flex) of 64 KiB of JSON lines, MB before it, one thread",
        ),
        zstd_mb_s: facts.mb_s(
            "cpu.zstd_mb_s",
            found.zstd,
            "zstd level 3 of 64 KiB of JSON lines, MB before it, one thread",
        ),
    }
}

fn memory(host: &HostFacts, found: &Found, facts: &mut Facts) -> Option<Memory> {
    let gib = |bytes: u64| (bytes as f64 / f64::from(1 << 30) * 10.0).round() / 10.0;
    let all = gib(host.memory_bytes?);
    facts.kernel("memory.gib", "/proc/meminfo MemTotal");
    let usable = host.cgroup.memory_bytes.map(gib).filter(|it| *it > 0.0 && *it < all);
    if usable.is_some() {
        facts.kernel("memory.usable_gib", "the limit of the control group");
    }
    let first = "writes of 1 MiB to a new file, pages that the page cache has not had, one thread";
    let again = "the same file once more from its beginning";
    Some(Memory {
        gib: all,
        usable_gib: usable,
        copy_mb_s: facts.mb_s("memory.copy_mb_s", found.copy, "64 MiB to 64 MiB, 1 MiB at once, MB copied, one thread"),
        page_cache_first_mb_s: facts.mb_s("memory.page_cache_first_mb_s", found.cache_first, first),
        page_cache_again_mb_s: facts.mb_s("memory.page_cache_again_mb_s", found.cache_again, again),
    })
}

fn disk(dir: &Path, kind: Kind, found: &Found, facts: &mut Facts) -> Option<Disk> {
    let (root, path) = (Path::new("/"), machine::path_facts(dir));
    let device = path.device.as_deref().map_or("", |it| it.trim_start_matches("/dev/")).to_owned();
    let (size_gb, how) = machine::disk_gb(root, &device, dir)?;
    facts.kernel("disk.0.size_gb", &how);
    let read = facts.mb_s(
        "disk.0.seq_read_mb_s",
        at_least(found.seq_read, found.rand_read),
        "reads of 1 MiB, 8 in flight, past the page cache (no less than random ones moved)",
    )?;
    let write = facts.mb_s(
        "disk.0.seq_write_mb_s",
        at_least(found.seq_write, found.rand_write),
        "writes of 1 MiB, 8 in flight, past the page cache (no less than random ones moved)",
    )?;
    let iops = |facts: &mut Facts, field: &str, rate, how: &str| facts.rate(field, rate, 1.0, "a second", how);
    let parallel = found.sync_parallel.clone();
    for at in 0..parallel.len() {
        let of = |key: &str| format!("disk.0.fdatasync_parallel.{at}.{key}");
        let how = format!("ringlog probe: threads that append 4 KiB with fdatasync, each to its file{}", facts.beside);
        facts.add(&[&of("files"), &of("per_s"), &of("us")], Quality::Measured, how);
    }
    Some(Disk {
        name: if device.is_empty() { "disk".to_owned() } else { device.clone() },
        media: machine::media(root, &device, path.rotational, kind == Kind::Vm),
        count: 1,
        persistent: true,
        file_system: path.file_system.unwrap_or_default(),
        size_gb: rounded(size_gb),
        seq_read_mb_s: read,
        seq_write_mb_s: write,
        seq_write_burst_mb_s: None,
        buffered_read_mb_s: facts.mb_s(
            "disk.0.buffered_read_mb_s",
            found.buffered_read,
            "reads of 1 MiB of what fadvise took out of the page cache",
        ),
        buffered_write_mb_s: facts.mb_s(
            "disk.0.buffered_write_mb_s",
            found.buffered_write,
            "writes of 1 MiB, one fdatasync at the end within its time",
        ),
        rand_read_iops: iops(
            facts,
            "disk.0.rand_read_iops",
            found.rand_read,
            "reads of 4 KiB, 32 in flight, past the page cache, over what was written sequentially",
        ),
        rand_write_iops: iops(
            facts,
            "disk.0.rand_write_iops",
            found.rand_write,
            "writes of 4 KiB, 32 in flight, past the page cache, over what was written sequentially",
        ),
        read_us: facts.times(
            "disk.0.read_us",
            found.read_us,
            "random reads of 4 KiB past the page cache, one at a time",
        ),
        fdatasync_us: facts.times(
            "disk.0.fdatasync_us",
            found.sync_us,
            "appends of 4 KiB, each with fdatasync, one file",
        ),
        fdatasync_parallel: parallel,
    })
}

/// A disk that moved more in random blocks than in order can move as much in order: a cache may have woken up meanwhile.
fn at_least(in_order: Option<Rate>, random: Option<Rate>) -> Option<Rate> {
    let (mut rate, random) = (in_order?, random?);
    let moved = random.per_s * RANDOM_BYTES;
    if moved > rate.per_s {
        rate.greatest_per_s = rate.greatest_per_s.max(moved);
        rate.per_s = moved;
    }
    Some(rate)
}

fn account(found: &Found) -> hardware::Probe {
    let (cpu_pressure_share, io_pressure_share) = found.quiet.pressure_shares();
    hardware::Probe {
        seconds: (found.seconds * 10.0).round() / 10.0,
        steal_share: found.quiet.steal_share(),
        others_share: found.quiet.others_share(),
        cpu_pressure_share,
        io_pressure_share,
        disturbed: found.quiet.disturbed.clone(),
    }
}

fn memory_words(host: &HostFacts) -> String {
    let gib = host.memory_bytes.map_or(0.0, |it| it as f64 / f64::from(1 << 30));
    format!("{} threads, {gib:.0} GiB", host.cores)
}

/// Three digits that count: a probe says no more than that.
fn rounded(value: f64) -> f64 {
    if value <= 0.0 {
        return value;
    }
    let unit = 10f64.powf(value.log10().floor() - 2.0);
    // Digits behind the point are cut by their decimal form: 0.1 * 3 is no 0.3.
    if unit >= 1.0 {
        (value / unit).round() * unit
    } else {
        (value * (1.0 / unit).round()).round() / (1.0 / unit).round()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_count() {
        for (value, expected) in
            [(12_345.6, 12_300.0), (999.6, 1000.0), (12.345, 12.3), (0.012_345, 0.0123), (5.0, 5.0)]
        {
            assert!((rounded(value) - expected).abs() < 1e-9, "{value}: {}", rounded(value));
        }
    }

    #[test]
    fn a_disk_that_woke_up_moves_in_order_what_it_moved_at_random() {
        let rate = |per_s: f64| Some(Rate { per_s, least_per_s: per_s, greatest_per_s: per_s });
        assert_eq!(at_least(rate(1e6), rate(1000.0)).map(|it| it.per_s), Some(4_096_000.0));
        assert_eq!(at_least(rate(1e9), rate(1000.0)), rate(1e9));
    }
}
