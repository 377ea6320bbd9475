//! What the machine says about itself: the boot, the kernel, the file system below a path, the cores.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::at_path;
use crate::files::Space;
use crate::sys;

/// The id that the kernel drew at this boot (random(4)): the page cache has lived as long as it is the same.
pub fn boot_id() -> io::Result<String> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let id = std::fs::read_to_string(path).map_err(|error| at_path("reading", path, error))?;
    Ok(id.trim().to_owned())
}

/// The kernel's release (`uname -r`).
pub fn kernel_release() -> io::Result<String> {
    let path = Path::new("/proc/sys/kernel/osrelease");
    let release = std::fs::read_to_string(path).map_err(|error| at_path("reading", path, error))?;
    Ok(release.trim().to_owned())
}

/// The cores that this thread may run on (the same list as [`crate::threads::cores`]).
#[must_use]
pub fn cpu_list() -> Vec<usize> {
    crate::threads::cores()
}

/// The type of the file system below a path: `ext4`, `xfs`, ... or its magic number in hexadecimal.
pub fn file_system_type(path: &Path) -> io::Result<String> {
    Ok(magic_name(file_system(path)?.f_type))
}

/// Bytes that this user may still write to the file system below a path.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    space(path).map(|space| space.usable_bytes)
}

/// How large the file system below a path is, and how much of it this user may still write.
pub fn space(path: &Path) -> io::Result<Space> {
    let stat = file_system(path)?;
    // What the kernel calls a block's size here is signed on some architectures.
    #[allow(clippy::useless_conversion)]
    let block = u64::try_from(stat.f_bsize).unwrap_or(0);
    let bytes = |blocks: u64| blocks.saturating_mul(block);
    Ok(Space { total_bytes: bytes(stat.f_blocks), usable_bytes: bytes(stat.f_bavail) })
}

/// What statfs(2) says of the file system below a path.
fn file_system(path: &Path) -> io::Result<libc::statfs> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: statfs is plain integers, for which all zeroes is a value.
    let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: `name` is a terminated string and `stat` a writable statfs; both live through the call.
    sys::check(unsafe { libc::statfs(name.as_ptr(), &mut stat) })
        .map_err(|error| at_path("asking for", path, error))?;
    Ok(stat)
}

/// Names of the magic numbers in linux/magic.h that a log directory meets.
fn magic_name(magic: i64) -> String {
    match magic {
        0xEF53 => "ext4".to_owned(),
        0x5846_5342 => "xfs".to_owned(),
        0x9123_683E => "btrfs".to_owned(),
        0x0102_1994 => "tmpfs".to_owned(),
        0x794C_7630 => "overlayfs".to_owned(),
        0xF2F5_2010 => "f2fs".to_owned(),
        0x2FC1_2FC1 => "zfs".to_owned(),
        0x6969 => "nfs".to_owned(),
        other => format!("{other:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_id_is_a_uuid() {
        let id = boot_id().expect("boot id");
        assert_eq!(id.len(), 36, "{id}");
        assert_eq!(boot_id().expect("again"), id);
    }

    #[test]
    fn the_root_has_a_file_system() {
        assert!(!file_system_type(Path::new("/")).expect("root").is_empty());
        assert!(free_bytes(&std::env::temp_dir()).expect("free") > 0);
        assert_eq!(free_bytes(Path::new("/proc")).expect("proc"), 0, "it takes no files");
        let missing = file_system_type(Path::new("/no/such")).expect_err("missing");
        assert!(missing.to_string().contains("/no/such"));
    }

    #[test]
    fn the_kernel_says_its_release() {
        assert!(kernel_release().expect("release").contains('.'));
    }
}
