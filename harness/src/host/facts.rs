//! Facts about the machine that do not change during a run.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The machine as a manifest tells it. `None` means: could not be read here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Processor model, as the kernel names it.
    pub cpu_model: Option<String>,
    /// Instruction set, e.g. `x86_64`.
    pub arch: String,
    /// Cores this process may run on.
    pub cores: usize,
    /// Memory of the machine in bytes.
    pub memory_bytes: Option<u64>,
    /// Kernel release.
    pub kernel: Option<String>,
    /// Hypervisor or container, or `none seen`.
    pub virtualisation: String,
    /// Frequency governor of core 0.
    pub governor: Option<String>,
    /// Clock source of the kernel.
    pub clock_source: Option<String>,
    /// Whether a core runs several threads.
    pub smt: Option<bool>,
    /// Whether the kernel's switch lets a process use io_uring: `allowed`, `group only` or `disabled`.
    pub io_uring: String,
    /// Bytes this process may lock in memory; `None` also where there is no limit.
    pub memlock_bytes: Option<u64>,
    /// Whether a balloon device gives freed pages back to the hypervisor: then every page of the page cache may be a first
    /// touch, which costs several times what a reused one does.
    pub free_page_reporting: bool,
    /// Limits of the control group.
    pub cgroup: CgroupLimits,
}

/// Limits of the control group this process is in. `None` means no limit, or none that can be read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CgroupLimits {
    /// 1 or 2.
    pub version: Option<u8>,
    /// Cores' worth of processor time.
    pub cpu_quota_cores: Option<f64>,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
}

/// The file system and device below a path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PathFacts {
    /// File system, e.g. `ext4`.
    pub file_system: Option<String>,
    /// What is mounted, e.g. `/dev/vda`.
    pub device: Option<String>,
    /// Mount options.
    pub options: Option<String>,
    /// Whether the device says that it rotates.
    pub rotational: Option<bool>,
    /// Scheduler of the device's queue.
    pub scheduler: Option<String>,
}

impl HostFacts {
    /// Reads the facts below `root` (`/`).
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let cpuinfo = text(root, "proc/cpuinfo").unwrap_or_default();
        Self {
            cpu_model: value_of(&cpuinfo, "model name"),
            arch: std::env::consts::ARCH.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: text(root, "proc/meminfo").and_then(|it| meminfo_bytes(&it, "MemTotal")),
            kernel: line(root, "proc/sys/kernel/osrelease"),
            virtualisation: virtualisation(root, &cpuinfo),
            governor: line(root, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            clock_source: line(root, "sys/devices/system/clocksource/clocksource0/current_clocksource"),
            smt: line(root, "sys/devices/system/cpu/smt/active").map(|it| it == "1"),
            io_uring: io_uring_switch(line(root, "proc/sys/kernel/io_uring_disabled").as_deref()).to_owned(),
            memlock_bytes: memlock_bytes(root),
            free_page_reporting: free_page_reporting(root),
            cgroup: CgroupLimits::read(root),
        }
    }

    /// A short name for folders and tables: cores, memory in GiB, file system, e.g. `2c-24g-ext4`.
    #[must_use]
    pub fn hardware_name(&self, path: &PathFacts) -> String {
        let gib = self.memory_bytes.map_or_else(|| "?".to_owned(), |it| gib_rounded(it).to_string());
        let fs = path.file_system.as_deref().unwrap_or("fs");
        sanitized(&format!("{}c-{gib}g-{fs}", self.cores))
    }
}

impl CgroupLimits {
    /// Version 2 first, then version 1's own files.
    fn read(root: &Path) -> Self {
        let own = text(root, "proc/self/cgroup").unwrap_or_default();
        let unified = own.lines().find_map(|it| it.strip_prefix("0::/")).map(|it| format!("sys/fs/cgroup/{it}"));
        if let Some(dir) = unified.filter(|dir| root.join(dir).join("cgroup.controllers").exists()) {
            return Self {
                version: Some(2),
                cpu_quota_cores: line(root, &format!("{dir}/cpu.max")).and_then(|it| quota_v2(&it)),
                memory_bytes: line(root, &format!("{dir}/memory.max")).and_then(|it| it.parse().ok()),
            };
        }
        let quota = number(root, "sys/fs/cgroup/cpu/cpu.cfs_quota_us");
        let period = number(root, "sys/fs/cgroup/cpu/cpu.cfs_period_us");
        Self {
            version: root.join("sys/fs/cgroup/memory").exists().then_some(1),
            cpu_quota_cores: quota.zip(period).filter(|(q, p)| *q > 0.0 && *p > 0.0).map(|(q, p)| q / p),
            memory_bytes: line(root, "sys/fs/cgroup/memory/memory.limit_in_bytes")
                .and_then(|it| it.parse().ok())
                .filter(|it| *it < 1 << 60),
        }
    }
}

impl PathFacts {
    /// The facts of the deepest mount that holds `path` (absolute).
    #[must_use]
    pub fn read(root: &Path, path: &Path) -> Self {
        let mounts = text(root, "proc/self/mounts").unwrap_or_default();
        let Some((device, file_system, options)) = mount_of(&mounts, path) else { return Self::default() };
        let queue = device.strip_prefix("/dev/").and_then(|it| queue_dir(root, it));
        let of_queue = |name: &str| queue.as_ref().and_then(|it| fs::read_to_string(it.join(name)).ok());
        Self {
            rotational: of_queue("rotational").map(|it| it.trim() == "1"),
            scheduler: of_queue("scheduler").map(|it| it.trim().to_owned()),
            file_system: Some(file_system),
            device: Some(device),
            options: Some(options),
        }
    }
}

/// Memory that is free to use now, in bytes.
#[must_use]
pub fn available_memory_bytes(root: &Path) -> Option<u64> {
    text(root, "proc/meminfo").and_then(|it| meminfo_bytes(&it, "MemAvailable"))
}

/// The name with everything but letters (of any script), digits, `.`, `_` and `-` replaced by `-`, at most 40 characters and 80
/// bytes: two of them are in a folder's name.
#[must_use]
pub fn sanitized(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let mut bytes = 0;
    let fits = |c: &char| {
        bytes += c.len_utf8();
        bytes <= 80
    };
    let name: String = name.chars().map(plain).flat_map(char::to_lowercase).take(40).take_while(fits).collect();
    if name.trim_matches(['.', '-']).is_empty() { "unnamed".to_owned() } else { name }
}

fn text(root: &Path, path: &str) -> Option<String> {
    fs::read_to_string(root.join(path)).ok()
}

fn line(root: &Path, path: &str) -> Option<String> {
    text(root, path).map(|it| it.trim().to_owned()).filter(|it| !it.is_empty())
}

fn number(root: &Path, path: &str) -> Option<f64> {
    line(root, path).and_then(|it| it.parse().ok())
}

/// `key : value` in the manner of /proc/cpuinfo.
fn value_of(text: &str, key: &str) -> Option<String> {
    text.lines().filter_map(|it| it.split_once(':')).find(|(k, _)| k.trim() == key).map(|(_, v)| v.trim().to_owned())
}

/// A line of /proc/meminfo, in bytes (the file says kB and means KiB).
fn meminfo_bytes(text: &str, key: &str) -> Option<u64> {
    let kib: u64 = value_of(text, key)?.strip_suffix(" kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Machines sold as "24 GB" show 23.5 GiB: round to the nearest.
fn gib_rounded(bytes: u64) -> u64 {
    (bytes + (1 << 29)) >> 30
}

/// proc(5): 0 all processes, 1 members of a group only, 2 nobody. Kernels before 6.6 have no switch.
fn io_uring_switch(value: Option<&str>) -> &'static str {
    match value {
        None | Some("0") => "allowed",
        Some("1") => "group only",
        Some(_) => "disabled",
    }
}

fn memlock_bytes(root: &Path) -> Option<u64> {
    let limits = text(root, "proc/self/limits")?;
    let line = limits.lines().find_map(|it| it.strip_prefix("Max locked memory"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Virtio balloon (device 5) with VIRTIO_BALLOON_F_REPORTING (feature bit 5; the file has bit 0 first).
fn free_page_reporting(root: &Path) -> bool {
    let devices = fs::read_dir(root.join("sys/bus/virtio/devices")).into_iter().flatten().flatten();
    let of = |dir: &Path, name: &str| fs::read_to_string(dir.join(name)).unwrap_or_default();
    devices
        .map(|it| it.path())
        .any(|dir| of(&dir, "device").trim() == "0x0005" && of(&dir, "features").as_bytes().get(5) == Some(&b'1'))
}

/// `50000 100000` or `max 100000`.
fn quota_v2(line: &str) -> Option<f64> {
    let (quota, period) = line.split_once(' ')?;
    Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
}

fn virtualisation(root: &Path, cpuinfo: &str) -> String {
    let container = [".dockerenv", "run/.containerenv"].iter().any(|it| root.join(it).exists());
    let guest = value_of(cpuinfo, "flags").is_some_and(|it| it.split(' ').any(|flag| flag == "hypervisor"));
    let vendor = line(root, "sys/class/dmi/id/sys_vendor");
    match (guest, container) {
        (true, true) => format!("container in a virtual machine ({})", vendor.as_deref().unwrap_or("vendor unknown")),
        (true, false) => format!("virtual machine ({})", vendor.as_deref().unwrap_or("vendor unknown")),
        (false, true) => "container".to_owned(),
        (false, false) => "none seen".to_owned(),
    }
}

/// Device, file system and options of the deepest mount point above `path`; later mounts cover earlier ones.
fn mount_of(mounts: &str, path: &Path) -> Option<(String, String, String)> {
    let mut found: Option<(usize, [&str; 3])> = None;
    for line in mounts.lines() {
        let mut fields = line.split(' ');
        let (Some(device), Some(point), Some(kind), Some(options)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let depth = Path::new(point).components().count();
        if path.starts_with(point) && found.is_none_or(|(deepest, _)| depth >= deepest) {
            found = Some((depth, [device, kind, options]));
        }
    }
    found.map(|(_, [device, kind, options])| (device.to_owned(), kind.to_owned(), options.to_owned()))
}

/// The queue folder of a block device: its own, or its disk's where it is a partition.
fn queue_dir(root: &Path, device: &str) -> Option<PathBuf> {
    let class = root.join("sys/class/block").join(device);
    let own = class.join("queue");
    if own.exists() {
        return Some(own);
    }
    let disk = fs::canonicalize(&class).ok()?.parent()?.join("queue");
    disk.exists().then_some(disk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_holds_a_path() {
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw,nosuid 0 0\n/dev/vdb /tmp/data xfs rw 0 0\n";
        let fs_of = |path: &str| mount_of(mounts, Path::new(path)).unwrap().1;
        assert_eq!(fs_of("/home/x"), "ext4");
        assert_eq!(fs_of("/tmp/x"), "tmpfs");
        assert_eq!(fs_of("/tmp/data/x"), "xfs");
        assert_eq!(fs_of("/tmp/database"), "tmpfs");
    }

    #[test]
    fn the_hardware_name_is_cores_memory_and_file_system() {
        let host = HostFacts { cores: 2, memory_bytes: Some(25_276_231_680), ..HostFacts::default() };
        let path = PathFacts { file_system: Some("ext4".to_owned()), ..PathFacts::default() };
        assert_eq!(host.hardware_name(&path), "2c-24g-ext4");
    }

    #[test]
    fn names_of_folders_have_no_separators() {
        assert_eq!(sanitized("10.0.0.1:9092/../x"), "10.0.0.1-9092-..-x");
        assert_eq!(sanitized("Ключ/1"), "ключ-1", "letters of any script are letters");
        assert!(sanitized(&"語".repeat(90)).len() <= 80);
        assert_eq!(sanitized(".."), "unnamed");
        assert_eq!(sanitized(""), "unnamed");
    }

    #[test]
    fn a_quota_of_half_a_core_is_half_a_core() {
        assert_eq!(quota_v2("50000 100000"), Some(0.5));
        assert_eq!(quota_v2("max 100000"), None);
    }

    #[test]
    fn facts_are_read_below_a_root_and_missing_ones_are_none() {
        let root = std::env::temp_dir().join(format!("ringlog-facts-{}", std::process::id()));
        fs::create_dir_all(root.join("proc/sys/kernel")).unwrap();
        fs::write(root.join("proc/cpuinfo"), "model name\t: Test CPU 9\nflags\t\t: fpu hypervisor\n").unwrap();
        fs::write(root.join("proc/meminfo"), "MemTotal:       1024 kB\nMemAvailable:    512 kB\n").unwrap();
        fs::write(root.join("proc/sys/kernel/io_uring_disabled"), "2\n").unwrap();
        let balloon = root.join("sys/bus/virtio/devices/virtio0");
        fs::create_dir_all(&balloon).unwrap();
        fs::write(balloon.join("device"), "0x0005\n").unwrap();
        fs::write(balloon.join("features"), "0110010100\n").unwrap();
        let facts = HostFacts::read(&root);
        assert_eq!(facts.cpu_model.as_deref(), Some("Test CPU 9"));
        assert_eq!(facts.memory_bytes, Some(1 << 20));
        assert_eq!(facts.io_uring, "disabled");
        assert_eq!(facts.virtualisation, "virtual machine (vendor unknown)");
        assert_eq!((facts.kernel, facts.governor), (None, None));
        assert!(facts.free_page_reporting);
        assert_eq!(available_memory_bytes(&root), Some(512 * 1024));
        fs::remove_dir_all(root).unwrap();
    }
}
