//! Processor time of a process's control group: version 1's cpuacct, version 2's cpu.stat.

use std::fs;
use std::path::{Path, PathBuf};

/// Nanoseconds that the control group of a process ran, where it is a group of its own: one that holds us too, or all of
/// the machine, says nothing about the process. Read below `root` (`/`).
pub(super) fn cpu_ns_of(root: &Path, pid: u32) -> Option<u64> {
    let (group, ours) = (cpu_group(root, &pid.to_string())?, cpu_group(root, "self"));
    if ours.is_some_and(|ours| ours.dir.starts_with(&group.dir)) {
        return None;
    }
    group.cpu_ns()
}

/// A control group that counts processor time.
struct Group {
    dir: PathBuf,
    version: u8,
}

impl Group {
    fn cpu_ns(&self) -> Option<u64> {
        if self.version == 1 {
            return fs::read_to_string(self.dir.join("cpuacct.usage")).ok()?.trim().parse().ok();
        }
        let stat = fs::read_to_string(self.dir.join("cpu.stat")).ok()?;
        let usage_us: u64 = stat.lines().find_map(|it| it.strip_prefix("usage_usec "))?.trim().parse().ok()?;
        usage_us.checked_mul(1000)
    }
}

/// The group of a process (a name below /proc). Version 1's is the one whose controllers have `cpuacct`.
fn cpu_group(root: &Path, process: &str) -> Option<Group> {
    let text = fs::read_to_string(root.join("proc").join(process).join("cgroup")).ok()?;
    let mounts = root.join("sys/fs/cgroup");
    let below = |mount: &Path, path: &str| mount.join(path.trim_start_matches('/'));
    let line = |line: &str| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        if controllers.split(',').any(|it| it == "cpuacct") {
            return Some(Group { dir: below(&mounts.join("cpuacct"), path), version: 1 });
        }
        let unified = mounts.join("cgroup.controllers").exists();
        (controllers.is_empty() && unified).then(|| Group { dir: below(&mounts, path), version: 2 })
    };
    text.lines().find_map(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{scratch, write};

    #[test]
    fn version_two_counts_microseconds_and_version_one_nanoseconds() {
        let root = scratch("cgroups");
        write(&root, "proc/self/cgroup", "0::/user\n");
        write(&root, "proc/7/cgroup", "0::/kafka\n");
        write(&root, "sys/fs/cgroup/cgroup.controllers", "cpu\n");
        write(&root, "sys/fs/cgroup/kafka/cpu.stat", "usage_usec 1500\nuser_usec 1000\n");
        assert_eq!(cpu_ns_of(&root, 7), Some(1_500_000));
        fs::remove_file(root.join("sys/fs/cgroup/cgroup.controllers")).unwrap();
        write(&root, "proc/self/cgroup", "3:cpu,cpuacct:/user\n0::/\n");
        write(&root, "proc/7/cgroup", "3:cpu,cpuacct:/kafka\n0::/\n");
        write(&root, "sys/fs/cgroup/cpuacct/kafka/cpuacct.usage", "1500\n");
        assert_eq!(cpu_ns_of(&root, 7), Some(1500));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_group_that_holds_us_too_says_nothing_about_the_other() {
        let root = scratch("cgroups-shared");
        write(&root, "proc/self/cgroup", "2:cpuacct:/pod/client\n");
        write(&root, "proc/7/cgroup", "2:cpuacct:/pod\n");
        write(&root, "sys/fs/cgroup/cpuacct/pod/cpuacct.usage", "1500\n");
        assert_eq!(cpu_ns_of(&root, 7), None);
        fs::remove_dir_all(root).unwrap();
    }
}
