//! What the kernel says of the machine: cores, caches, the disk below a folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::host::PathFacts;
use crate::spec::hardware::{Kind, Media};

const CPUS: &str = "sys/devices/system/cpu";
const SECTOR_BYTES: f64 = 512.0;

/// The file system and device below a folder.
pub(super) fn path_facts(dir: &Path) -> PathFacts {
    let whole = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    PathFacts::read(Path::new("/"), &whole)
}

/// Physical cores; `None` where the kernel does not say. Read below `root` (`/`), as all of these.
pub(super) fn cores(root: &Path) -> Option<u32> {
    let mut cores = BTreeSet::new();
    for file in fs::read_dir(root.join(CPUS)).ok()?.flatten() {
        let topology = file.path().join("topology");
        let of = |name: &str| line(&topology.join(name));
        if let (Some(package), Some(core)) = (of("physical_package_id"), of("core_id")) {
            cores.insert((package, core));
        }
    }
    u32::try_from(cores.len()).ok().filter(|it| *it > 0)
}

/// KiB of the first core's data cache of a level.
pub(super) fn cache_kib(root: &Path, level: u32) -> Option<u32> {
    let caches = fs::read_dir(root.join(CPUS).join("cpu0/cache")).ok()?.flatten().map(|it| it.path());
    let is_it = |dir: &std::path::PathBuf| {
        line(&dir.join("level")) == Some(level.to_string())
            && line(&dir.join("type")).is_some_and(|it| it != "Instruction")
    };
    line(&caches.into_iter().find(is_it)?.join("size"))?.strip_suffix('K')?.parse().ok()
}

/// The size of the device below a folder, in 10^9 bytes, and where that stands; else of its file system.
pub(super) fn disk_gb(root: &Path, device: &str, dir: &Path) -> Option<(f64, String)> {
    let path = format!("sys/class/block/{device}/size");
    let sectors: Option<f64> = line(&root.join(&path)).and_then(|it| it.parse().ok());
    if let Some(sectors) = sectors.filter(|it| *it > 0.0) {
        return Some((sectors * SECTOR_BYTES / 1e9, format!("/{path}, sectors of 512 bytes")));
    }
    let size = rustix::fs::statvfs(dir).ok()?;
    Some((size.f_blocks as f64 * size.f_frsize as f64 / 1e9, "statvfs of the file system".to_owned()))
}

/// What a virtual machine, container or none means for a profile.
pub(super) fn kind(virtualisation: &str) -> Kind {
    if virtualisation.starts_with("container") {
        Kind::Container
    } else if virtualisation.starts_with("virtual machine") {
        Kind::Vm
    } else {
        Kind::BareMetal
    }
}

/// What a disk is, by its name, its model and whether it rotates. Behind a hypervisor only NVMe says what it is.
pub(super) fn media(root: &Path, device: &str, rotational: Option<bool>, is_virtual: bool) -> Media {
    let disk = device.split_once('p').filter(|_| device.starts_with("nvme")).map_or(device, |it| it.0);
    let model = line(&root.join(format!("sys/class/block/{disk}/device/model"))).unwrap_or_default();
    match device {
        _ if model.contains("Elastic Block Store") => Media::Volume,
        _ if device.starts_with("nvme") => Media::Nvme,
        _ if device.starts_with("mmcblk") => Media::Card,
        _ if is_virtual || device.starts_with("vd") || device.starts_with("xvd") => Media::Virtual,
        _ if rotational == Some(true) => Media::Hdd,
        _ => Media::Ssd,
    }
}

fn line(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|it| it.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{scratch, write};

    #[test]
    fn cores_and_caches_are_those_of_the_kernel_and_two_threads_are_one_core() {
        let root = scratch("probe-machine");
        for (cpu, core) in [(0, 0), (1, 0), (2, 1), (3, 1)] {
            write(&root, &format!("{CPUS}/cpu{cpu}/topology/physical_package_id"), "0\n");
            write(&root, &format!("{CPUS}/cpu{cpu}/topology/core_id"), &format!("{core}\n"));
        }
        for (index, level, kind, size) in
            [(0, 1, "Data", "32K"), (1, 1, "Instruction", "64K"), (2, 2, "Unified", "512K")]
        {
            let dir = format!("{CPUS}/cpu0/cache/index{index}");
            write(&root, &format!("{dir}/level"), &format!("{level}\n"));
            write(&root, &format!("{dir}/type"), kind);
            write(&root, &format!("{dir}/size"), size);
        }
        assert_eq!(cores(&root), Some(2));
        assert_eq!([1, 2, 3].map(|it| cache_kib(&root, it)), [Some(32), Some(512), None]);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn what_a_disk_is_follows_from_what_says_so() {
        let root = scratch("probe-media");
        write(&root, "sys/class/block/nvme0n1/device/model", "Amazon Elastic Block Store\n");
        for (device, rotational, is_virtual, expected) in [
            ("nvme0n1p1", Some(false), true, Media::Volume),
            ("nvme1n1", Some(false), true, Media::Nvme),
            ("vda", Some(true), true, Media::Virtual),
            ("sda2", Some(true), true, Media::Virtual),
            ("sda2", Some(true), false, Media::Hdd),
            ("sda", Some(false), false, Media::Ssd),
            ("mmcblk0p2", Some(false), false, Media::Card),
        ] {
            assert_eq!(media(&root, device, rotational, is_virtual), expected, "{device}");
        }
        fs::remove_dir_all(root).unwrap();
    }
}
