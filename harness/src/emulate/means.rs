//! What limits each property on this machine, and what escapes it.
//!
//! | property | by | escapes |
//! |---|---|---|
//! | cores | cpuset of whole cores; quota where a part of one is left | a core is this machine's own core |
//! | memory | memory.limit_in_bytes, memory.max | |
//! | disk | blkio.throttle, io.max, on the disk that holds the data | version 1: what the kernel writes back by itself |
//! | network | htb on a loopback of our own | between nodes of a cluster the sender's side |
//! | fdatasync | a library that is preloaded | io_uring, which asks the kernel without it |

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ringlog_io::threads;
use rustix::io::Errno;

use super::asked::Limits;
use super::{Asked, EmulateError, Limit};
use crate::host::PathFacts;
use crate::target::Start;

/// The least quota that the kernel takes.
const QUOTA_US_MIN: f64 = 1000.0;
/// A short period: a broker that used up its quota stands still for the rest of it.
const PERIOD_US: u64 = 10_000;
/// Where tools for administrators lie, whatever PATH says.
const TOOL_FOLDERS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
/// File systems whose writeback version 2 bills to the group that dirtied the pages.
const BILLED: [&str; 5] = ["ext2", "ext4", "btrfs", "xfs", "f2fs"];

/// A controller of control groups, with the folder below which we make ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Controller {
    /// `cpu`, `cpuset`, `memory`, `io`, and version 1's `cpuacct`.
    pub name: &'static str,
    /// 1 or 2.
    pub version: u8,
    /// Where.
    pub base: PathBuf,
}

/// Processor time in each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    /// So much.
    pub quota_us: u64,
    /// Of so much.
    pub period_us: u64,
}

impl Quota {
    /// For so many cores; whole ones need none.
    pub(super) fn of(cores: f64) -> Option<Self> {
        if cores.fract() == 0.0 {
            return None;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cores are 0.05 and more")]
        let (period_us, quota_us) = {
            let period_us = PERIOD_US.max((QUOTA_US_MIN / cores).ceil() as u64);
            (period_us, (period_us as f64 * cores).round() as u64)
        };
        Some(Self { quota_us, period_us })
    }
}

/// What limits a machine of these limits here.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Means {
    /// Those that are needed.
    pub(super) controllers: Vec<Controller>,
    /// Cores of the brokers, where they are limited.
    pub(super) cpus: Vec<usize>,
    /// Whether the client runs on one of them.
    pub(super) is_core_shared: bool,
    /// Processor time, where it is not that of whole cores.
    pub(super) quota: Option<Quota>,
    /// `MAJOR:MINOR` of the disk that holds the data.
    pub(super) device: String,
    /// Its file system.
    pub(super) file_system: String,
}

impl Means {
    /// Looks for them below `root` (`/`). `dir` will hold the brokers' data. Nothing is changed.
    pub(crate) fn find(asked: &Asked, root: &Path, dir: &Path) -> Result<Self, EmulateError> {
        let limits = &asked.limits;
        let mut means = Self::default();
        let wanted = means.controllers_for(limits);
        means.controllers = Places::read(root).controllers(&wanted)?;
        means.controllers.iter().try_for_each(|it| may_make(&it.base))?;
        if let Some(count) = limits.whole_cores() {
            let cores = threads::cores();
            means.is_core_shared = count >= cores.len();
            means.cpus = cores.into_iter().take(count).collect();
        }
        if let Some((limit, _)) = limits.all().find(|it| it.0.is_of_device()) {
            (means.device, means.file_system) = device_of(root, dir, limit)?;
        }
        let tools =
            [(Limit::NetworkGbps, &["ip", "tc"][..], "iproute2"), (Limit::FdatasyncUs, &["cc"][..], "a C compiler")];
        for (limit, names, package) in tools {
            let missing = names.iter().find(|it| limits.get(limit).is_some() && tool(it).is_none());
            if let Some(name) = missing {
                let why = format!("there is no {name}");
                return Err(EmulateError::NoMeans { key: limit.key(), why, advice: format!("install {package}") });
            }
        }
        Ok(means)
    }

    /// The controllers that are needed, each with the limit that needs it.
    fn controllers_for(&mut self, limits: &Limits) -> Vec<(&'static str, Limit)> {
        self.quota = limits.get(Limit::Cores).and_then(Quota::of);
        let mut wanted = Vec::new();
        for (limit, _) in limits.all() {
            let names: &[&'static str] = match limit {
                Limit::Cores if self.quota.is_some() => &["cpuset", "cpu"],
                Limit::Cores => &["cpuset"],
                Limit::MemoryGib => &["memory"],
                it if it.is_of_device() => &["io"],
                _ => &[],
            };
            wanted.extend(names.iter().map(|it| (*it, limit)));
        }
        wanted.dedup_by_key(|it| it.0);
        wanted
    }

    /// Whether anything is limited by control groups.
    pub(crate) fn has_groups(&self) -> bool {
        !self.controllers.is_empty()
    }

    fn version(&self, name: &str) -> Option<u8> {
        self.controllers.iter().find(|it| it.name == name).map(|it| it.version)
    }

    /// What limits it, in words.
    pub(crate) fn words(&self, limit: Limit) -> String {
        let version = |name: &str| self.version(name).unwrap_or(0);
        match limit {
            Limit::Cores => {
                let cpus: Vec<String> = self.cpus.iter().map(ToString::to_string).collect();
                let quota = self.quota.map(|it| format!(", {} of every {} us", it.quota_us, it.period_us));
                format!(
                    "cpuset (version {}) of core {}{}",
                    version("cpuset"),
                    cpus.join(" and "),
                    quota.unwrap_or_default()
                )
            }
            Limit::MemoryGib => format!("control group (version {})", version("memory")),
            it if it.is_of_device() => {
                format!("control group (version {}) on device {}", version("io"), self.device)
            }
            Limit::NetworkGbps => "htb on a loopback of our own, each direction of each broker".to_owned(),
            _ => "a preloaded library that waits".to_owned(),
        }
    }

    /// Why it does not reach everything that a broker of this kind does; `None` where it does. Without a broker: of any.
    pub(crate) fn lacks(&self, limit: Limit, of: Option<(&Start, Option<&str>)>) -> Option<String> {
        match (limit, of) {
            (Limit::Cores, _) if self.is_core_shared => Some("the client runs on one of them".to_owned()),
            (Limit::DiskWriteMbS | Limit::DiskWriteIops, _) => self.writeback(),
            (Limit::NetworkGbps, Some((Start::Kafka { nodes: 2.., .. }, _))) => {
                Some("between nodes the receiver's side alone".to_owned())
            }
            (Limit::FdatasyncUs, Some((Start::Ringlog { .. }, Some(io)))) if io != "epoll" => {
                Some(format!("{io} goes around it: --io epoll is reached"))
            }
            _ => None,
        }
    }

    fn writeback(&self) -> Option<String> {
        let is_billed = BILLED.contains(&self.file_system.as_str());
        match self.version("io") {
            Some(1) => Some("version 1 does not reach what the kernel writes back by itself".to_owned()),
            Some(_) if !is_billed => Some(format!("what the kernel writes back of {} escapes", self.file_system)),
            _ => None,
        }
    }
}

/// Refuses a folder in which we have no right to make groups, so that a dry run says it too.
fn may_make(base: &Path) -> Result<(), EmulateError> {
    match rustix::fs::access(base, rustix::fs::Access::WRITE_OK) {
        Err(error @ (Errno::ACCESS | Errno::PERM | Errno::ROFS)) => {
            let (what, path) = ("making a control group in", base.to_owned());
            Err(EmulateError::Group { what, path, source: error.into() })
        }
        // What else is wrong is named when the group is made.
        _ => Ok(()),
    }
}

/// A program of this name.
pub(super) fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(TOOL_FOLDERS.map(PathBuf::from));
    folders.map(|it| it.join(name)).find(|it| it.is_file())
}

/// Where control groups are mounted, and which are ours.
struct Places {
    root: PathBuf,
    mounts: String,
    own: String,
}

impl Places {
    fn read(root: &Path) -> Self {
        let text = |name: &str| fs::read_to_string(root.join("proc/self").join(name)).unwrap_or_default();
        Self { root: root.to_owned(), mounts: text("mounts"), own: text("cgroup") }
    }

    /// Version 1's where it has them. A process is in one group of version 2 alone: that has all others.
    fn controllers(&self, wanted: &[(&'static str, Limit)]) -> Result<Vec<Controller>, EmulateError> {
        let mut found: Vec<Controller> = wanted.iter().filter_map(|it| self.of_version_1(it.0)).collect();
        let others: Vec<&(&'static str, Limit)> =
            wanted.iter().filter(|it| found.iter().all(|found| found.name != it.0)).collect();
        if let Some((name, limit)) = others.first() {
            let base = self.of_version_2(&others).ok_or_else(|| self.missing(name, *limit))?;
            found.extend(others.iter().map(|it| Controller { name: it.0, version: 2, base: base.clone() }));
        }
        // It limits nothing; with it the group's processor time is counted.
        found.extend(self.of_version_1("cpuacct").filter(|_| !wanted.is_empty()));
        Ok(found)
    }

    /// Version 1: the mount whose options have the controller, and our own group below it.
    fn of_version_1(&self, name: &'static str) -> Option<Controller> {
        let called = if name == "io" { "blkio" } else { name };
        let has = |list: &str| list.split(',').any(|it| it == called);
        let mount = self.mounts_of("cgroup").find(|it| has(it.1))?.0;
        let own = self.own.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            rest.split_once(':').filter(|it| has(it.0)).map(|it| it.1)
        });
        Some(Controller { name, version: 1, base: self.below(mount, own.unwrap_or("/")) })
    }

    /// Version 2: the nearest group from ours up that may have groups below it with these controllers. One that holds processes
    /// may not, but for the root of all.
    fn of_version_2(&self, wanted: &[&(&'static str, Limit)]) -> Option<PathBuf> {
        let mount = self.mounts_of("cgroup2").next()?.0;
        let top = self.below(mount, "/");
        let own = self.below(mount, self.own.lines().find_map(|it| it.strip_prefix("0::"))?);
        let text = |dir: &Path, file: &str| fs::read_to_string(dir.join(file)).unwrap_or_default();
        let may = |dir: &&Path| {
            let is_free = text(dir, "cgroup.procs").trim().is_empty() || !dir.join("cgroup.type").exists();
            let has = text(dir, "cgroup.controllers");
            is_free && wanted.iter().all(|it| has.split_whitespace().any(|word| word == it.0))
        };
        own.ancestors().take_while(|it| it.starts_with(&top)).find(may).map(Path::to_owned)
    }

    /// Mount points of this type, with their options.
    fn mounts_of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.mounts.lines().filter_map(move |line| {
            let mut fields = line.split(' ').skip(1);
            let (point, found, options) = (fields.next()?, fields.next()?, fields.next()?);
            (found == kind).then_some((point, options))
        })
    }

    /// A group's folder. In a container the path may be the host's: then what is mounted is the container's own root.
    fn below(&self, mount: &str, group: &str) -> PathBuf {
        let mount = self.root.join(mount.trim_start_matches('/'));
        let own = mount.join(group.trim_start_matches('/'));
        if own.is_dir() { own } else { mount }
    }

    fn missing(&self, name: &'static str, limit: Limit) -> EmulateError {
        let is_mounted = self.mounts_of("cgroup2").next().is_some() || self.mounts_of("cgroup").next().is_some();
        let (why, advice) = if is_mounted {
            let why = format!("no control group that we may use has the controller {name}");
            (why, "run as root, or within a group of its own that is delegated (systemd-run --scope -p Delegate=yes)")
        } else {
            ("no control groups are mounted".to_owned(), "mount them: mount -t cgroup2 none /sys/fs/cgroup")
        };
        EmulateError::NoMeans { key: limit.key(), why, advice: advice.to_owned() }
    }
}

/// `MAJOR:MINOR` of the whole disk below a folder, and the folder's file system.
fn device_of(root: &Path, dir: &Path, limit: Limit) -> Result<(String, String), EmulateError> {
    let there = dir.ancestors().find(|it| it.exists()).unwrap_or(root);
    let facts = PathFacts::read(root, &there.canonicalize().unwrap_or_else(|_| there.to_owned()));
    let file_system = facts.file_system.unwrap_or_else(|| "an unknown file system".to_owned());
    let none = |why: String| {
        let advice = "name a folder on a disk with --dir".to_owned();
        EmulateError::NoMeans { key: limit.key(), why, advice }
    };
    let mounted = facts.device.filter(|it| it.starts_with("/dev/")).and_then(|it| fs::metadata(it).ok());
    let number = mounted.map(|it| it.rdev()).or_else(|| fs::metadata(there).ok().map(|it| it.dev()));
    let number = number.filter(|it| rustix::fs::major(*it) != 0);
    let number =
        number.ok_or_else(|| none(format!("{} is on {file_system}, which has no disk of its own", there.display())))?;
    let own = format!("{}:{}", rustix::fs::major(number), rustix::fs::minor(number));
    let class = root.join("sys/dev/block").join(&own);
    if !class.join("partition").exists() {
        return Ok((own, file_system));
    }
    // The kernel limits whole disks.
    let disk = fs::canonicalize(&class).ok().and_then(|it| fs::read_to_string(it.parent()?.join("dev")).ok());
    let disk = disk.ok_or_else(|| none(format!("the disk of partition {own} is not known")))?;
    Ok((disk.trim().to_owned(), file_system))
}
