//! The control groups of one broker: made, limited, locked, removed.
//!
//! ```text
//!   <base of each controller>/ringlog-emulated-<process id>-<number>-<broker>/     locked while we live
//! ```
//!
//! - Version 1 has a hierarchy for each controller, version 2 one for all.
//! - A folder without its lock was left by a killed run: the next that makes one beside it removes it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::asked::Limits;
use super::{EmulateError, Limit, Means};
use crate::host::facts::sanitized;

/// What the folders' names begin with.
const PREFIX: &str = "ringlog-emulated-";
/// How long processes that were killed may take to leave a group.
const LEAVE_MAX: Duration = Duration::from_secs(3);
const LEAVE_LOOK: Duration = Duration::from_millis(20);
/// Bytes of a megabyte, and of a GiB.
const MB: f64 = 1e6;
const GIB: f64 = 1_073_741_824.0;

/// Numbers the groups of this process.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// The groups of one broker. Dropping it ends what is in them and removes them.
#[derive(Debug)]
pub(super) struct Group {
    /// A folder for each hierarchy, with its lock.
    folders: Vec<(PathBuf, File)>,
    /// The file that says how much memory there is.
    memory: Option<PathBuf>,
}

impl Group {
    /// Makes them, with these limits.
    pub(super) fn create(means: &Means, limits: &Limits, name: &str) -> Result<Self, EmulateError> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let own = format!("{PREFIX}{}-{number}-{}", std::process::id(), sanitized(name));
        let mut group = Self { folders: Vec::new(), memory: None };
        for (base, names) in bases(means) {
            let dir = base.join(&own);
            let lock = make(base, &names, &dir)?;
            group.folders.push((dir, lock));
        }
        for (at, text) in settings(means, limits) {
            let path = at.base.join(&own).join(at.file);
            fs::write(&path, &text).map_err(failed("limiting by", &path))?;
            if at.controller == "memory" {
                group.memory = Some(path);
            }
        }
        Ok(group)
    }

    /// Where a process writes its id to come in.
    pub(super) fn doors(&self) -> Vec<PathBuf> {
        self.folders.iter().map(|it| it.0.join("cgroup.procs")).collect()
    }

    /// How much memory the kernel says that there is.
    pub(super) fn memory_gib(&self) -> Option<f64> {
        let bytes: f64 = fs::read_to_string(self.memory.as_ref()?).ok()?.trim().parse().ok()?;
        Some(bytes / GIB)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for (dir, _) in &self.folders {
            if let Err(error) = remove(dir) {
                errln!("could not remove {}: {error}", dir.display());
            }
        }
    }
}

/// The folders that groups are made below, each with its controllers of version 2.
fn bases(means: &Means) -> BTreeMap<&Path, Vec<&'static str>> {
    let mut bases: BTreeMap<&Path, Vec<&'static str>> = BTreeMap::new();
    for it in &means.controllers {
        let names = bases.entry(&it.base).or_default();
        names.extend((it.version == 2).then_some(it.name));
    }
    bases
}

/// A fresh folder and its lock; what killed runs left beside it goes.
fn make(base: &Path, controllers: &[&str], dir: &Path) -> Result<File, EmulateError> {
    // One at a time: a folder without its lock would be taken for one that was left.
    let door = File::open(base).map_err(failed("opening", base))?;
    door.lock().map_err(failed("locking", base))?;
    remove_left(base);
    enable(base, controllers)?;
    fs::create_dir(dir).map_err(failed("making", dir))?;
    let locked = File::open(dir).and_then(|file| file.lock().map(|()| file));
    locked.map_err(|error| {
        // Nothing is in it yet; what cannot be removed is told with the error.
        let _ = fs::remove_dir(dir);
        failed("locking", dir)(error)
    })
}

/// Version 2: groups below this one have these controllers.
fn enable(base: &Path, controllers: &[&str]) -> Result<(), EmulateError> {
    let file = base.join("cgroup.subtree_control");
    let has = fs::read_to_string(&file).unwrap_or_default();
    let missing = controllers.iter().filter(|it| !has.split_whitespace().any(|word| word == **it));
    let words: Vec<String> = missing.map(|it| format!("+{it}")).collect();
    if words.is_empty() {
        Ok(())
    } else {
        fs::write(&file, words.join(" ")).map_err(failed("opening to groups", &file))
    }
}

/// Where a limit is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct At<'a> {
    /// The controller.
    pub controller: &'static str,
    /// The folder that the group is in.
    pub base: &'a Path,
    /// The file in it.
    pub file: &'static str,
}

/// What is written where. Version 1 lets nobody into a cpuset without memory nodes.
pub(super) fn settings<'a>(means: &'a Means, limits: &Limits) -> Vec<(At<'a>, String)> {
    let mut settings = Vec::new();
    for it in &means.controllers {
        let mut add = |file, text| settings.push((At { controller: it.name, base: &it.base, file }, text));
        match (it.name, it.version) {
            ("cpuset", version) => {
                add("cpuset.cpus", list(&means.cpus));
                if version == 1 {
                    add(
                        "cpuset.mems",
                        fs::read_to_string(it.base.join("cpuset.mems")).unwrap_or_default().trim().to_owned(),
                    );
                }
            }
            ("cpu", version) => {
                if let Some(quota) = means.quota {
                    if version == 1 {
                        add("cpu.cfs_period_us", quota.period_us.to_string());
                        add("cpu.cfs_quota_us", quota.quota_us.to_string());
                    } else {
                        add("cpu.max", format!("{} {}", quota.quota_us, quota.period_us));
                    }
                }
            }
            ("memory", version) => {
                let bytes = limits.get(Limit::MemoryGib).map_or(0.0, |it| it * GIB);
                add(if version == 1 { "memory.limit_in_bytes" } else { "memory.max" }, format!("{bytes:.0}"));
            }
            ("io", 1) => {
                for (file, value) in of_device(limits, OF_VERSION_1) {
                    add(file, format!("{} {value:.0}", means.device));
                }
            }
            ("io", _) => {
                let words: Vec<String> =
                    of_device(limits, OF_VERSION_2).map(|(key, value)| format!("{key}={value:.0}")).collect();
                add("io.max", format!("{} {}", means.device, words.join(" ")));
            }
            _ => {}
        }
    }
    settings
}

/// Files of version 1, and words of version 2's one file.
const OF_VERSION_1: [(Limit, &str); 4] = [
    (Limit::DiskWriteMbS, "blkio.throttle.write_bps_device"),
    (Limit::DiskReadMbS, "blkio.throttle.read_bps_device"),
    (Limit::DiskWriteIops, "blkio.throttle.write_iops_device"),
    (Limit::DiskReadIops, "blkio.throttle.read_iops_device"),
];
const OF_VERSION_2: [(Limit, &str); 4] = [
    (Limit::DiskWriteMbS, "wbps"),
    (Limit::DiskReadMbS, "rbps"),
    (Limit::DiskWriteIops, "wiops"),
    (Limit::DiskReadIops, "riops"),
];

fn of_device(limits: &Limits, names: [(Limit, &'static str); 4]) -> impl Iterator<Item = (&'static str, f64)> {
    let bytes = |limit| if matches!(limit, Limit::DiskWriteMbS | Limit::DiskReadMbS) { MB } else { 1.0 };
    names.into_iter().filter_map(move |(limit, name)| Some((name, limits.get(limit)? * bytes(limit))))
}

fn list(cpus: &[usize]) -> String {
    cpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// What cannot be removed stays, with a word: nothing of this run depends on it.
fn remove_left(base: &Path) {
    let folders = fs::read_dir(base).into_iter().flatten().flatten().map(|it| it.path());
    let ours = folders.filter(|it| it.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX)));
    for dir in ours.filter(|it| File::open(it).is_ok_and(|file| file.try_lock().is_ok())) {
        match remove(&dir) {
            Ok(()) => errln!("{} was left by a run that was killed, and is removed", dir.display()),
            Err(error) => errln!("{} was left by a run that was killed; removing it: {error}", dir.display()),
        }
    }
}

/// Ends what is in a group of ours, and removes it when it is empty.
fn remove(dir: &Path) -> io::Result<()> {
    let begin = Instant::now();
    loop {
        let inside = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
        for pid in inside.lines().filter_map(|it| Pid::from_raw(it.parse().ok()?)) {
            // One that has ended meanwhile is what is wanted.
            let _ = kill_process(pid, Signal::KILL);
        }
        match fs::remove_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && begin.elapsed() < LEAVE_MAX => {
                std::thread::sleep(LEAVE_LOOK);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            done => return done,
        }
    }
}

fn failed<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> EmulateError + 'a {
    move |source| EmulateError::Group { what, path: path.to_owned(), source }
}
