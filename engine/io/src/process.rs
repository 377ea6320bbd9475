//! What this process may use: descriptors (RLIMIT_NOFILE), memory (its cgroups, the machine). Which signals it was started
//! to ignore, and processes of its own that end with it.
//!
//! ```text
//!   /proc/self/cgroup    0::/a/b              version 2: memory.max of /a/b, /a and /     under /sys/fs/cgroup
//!                        9:memory:/a/b        version 1: memory.limit_in_bytes, likewise  under /sys/fs/cgroup/memory
//!   /proc/meminfo        MemTotal             what is left where no cgroup says less
//! ```
//! A limit of a cgroup above holds for those below it, so the least counts. In a container the path of `/proc/self/cgroup`
//! may be the host's and not exist; the root that is mounted there is then the container's own, and counts.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::about;
use crate::sys;

/// How many descriptors this process may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// The limit before it was raised.
    pub before: u64,
    /// The limit that holds.
    pub limit: u64,
}

/// Raises the soft limit of descriptors to the hard one (setrlimit(2)), as the JVM does.
pub fn raise_descriptors() -> io::Result<Descriptors> {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limits` is a live, writable rlimit.
    sys::check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limits) })?;
    let before = limits.rlim_cur;
    if before >= limits.rlim_max {
        return Ok(Descriptors { before, limit: before });
    }
    limits.rlim_cur = limits.rlim_max;
    // SAFETY: `limits` is a live rlimit.
    sys::check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limits) })
        .map_err(|error| about(format_args!("raising RLIMIT_NOFILE from {before} to {}", limits.rlim_max), error))?;
    Ok(Descriptors { before, limit: limits.rlim_max })
}

/// Blocks of this size and above are taken from the system one by one, and go back to it when they are freed.
const MMAP_BYTES: i32 = 1 << 20;
/// What may lie free at the end of a thread's heap before it goes back.
const TRIM_BYTES: i32 = 256 << 10;

/// Has freed memory go back to the system (mallopt(3)). glibc raises both bounds by itself, up to 32 and 64 MiB, when a large
/// block is freed, and each thread has a heap of its own: what one busy moment of a helper thread took would then stay.
/// `engine/docs/decisions/memory-and-start.md` has the numbers.
pub fn give_back_what_is_freed() {
    #[cfg(target_env = "gnu")]
    for (what, bytes) in [(libc::M_MMAP_THRESHOLD, MMAP_BYTES), (libc::M_TRIM_THRESHOLD, TRIM_BYTES)] {
        // SAFETY: mallopt takes two integers; no thread but this one runs yet, and it would be no harm if one did.
        if unsafe { libc::mallopt(what, bytes) } != 1 {
            tracing::warn!(what, bytes, "mallopt is refused: freed memory may stay with the process");
        }
    }
}

/// Has the pages of the running program stay in memory once they are there (mlock2(2) with MLOCK_ONFAULT): its code and constants,
/// and the code of its libraries. To the kernel they are pages of files like any other; where readers of old segments fill a small
/// memory with theirs, it gives away what runs seldom, and the thread that runs it next waits for the disk behind those readers.
/// Gives how many bytes that may be; an error where RLIMIT_MEMLOCK is below that.
pub fn keep_program_resident() -> io::Result<usize> {
    let mut kept = 0;
    for (from, to) in program_ranges(&fs::read_to_string("/proc/self/maps")?, &std::env::current_exe()?) {
        // SAFETY: neither the bytes of the pages nor what may be done with them changes. A range that is gone meanwhile is an
        // error.
        sys::check(unsafe { libc::mlock2(from as *const libc::c_void, to - from, libc::MLOCK_ONFAULT) })?;
        kept += to - from;
    }
    Ok(kept)
}

/// Where code lies, of whichever file, and what the program itself only reads: addresses from `/proc/self/maps` (proc(5)).
fn program_ranges(maps: &str, program: &Path) -> Vec<(usize, usize)> {
    let range = |line: &str| {
        let mut words = line.split_whitespace();
        let (place, rights, path) = (words.next()?, words.next()?, words.nth(3)?);
        let is_code = rights.starts_with("r-x") && path.starts_with('/');
        let is_constant = rights.starts_with("r--") && Path::new(path) == program;
        let (from, to) = place.split_once('-').filter(|_| is_code || is_constant)?;
        let address = |hex| usize::from_str_radix(hex, 16).ok();
        Some((address(from)?, address(to)?)).filter(|(from, to)| from < to)
    };
    maps.lines().filter_map(range).collect()
}

/// How many descriptors this process has open.
pub fn open_descriptors() -> io::Result<usize> {
    // The one that reads the folder is among them, and closed again.
    Ok(fs::read_dir("/proc/self/fd")?.count().saturating_sub(1))
}

/// Whether a signal is ignored, as nohup(1) has it with SIGHUP.
#[must_use]
pub fn ignores(signal: i32) -> bool {
    // SAFETY: sigaction is plain integers and a pointer that is null here, for which all zeroes is a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: `action` is live and writable; without a new action nothing changes.
    let code = unsafe { libc::sigaction(signal, std::ptr::null(), &mut action) };
    code == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Has the kernel kill the child that this command starts when the *thread* that starts it ends, however it ends: with the
/// process, by kill -9 too (PR_SET_PDEATHSIG, prctl(2)). A thread that lives as long as the child has to start it. What the
/// child executes keeps it; what the child starts itself does not have it.
pub fn end_with_this_thread(command: &mut Command) {
    let parent = std::process::id();
    let tie = move || {
        // SAFETY: this option takes an integer and touches no memory of ours.
        sys::check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
        // SAFETY: it takes nothing and cannot fail.
        let now = unsafe { libc::getppid() };
        // A parent that ended before the line above took effect sends nothing any more.
        if u32::try_from(now) == Ok(parent) { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
    };
    // SAFETY: between fork and exec it makes two system calls; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(tie) };
}

/// Where a limit of memory comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemorySource {
    /// A cgroup's file.
    Cgroup(PathBuf),
    /// The machine's memory.
    Machine,
}

/// How much memory there is for this process, page cache included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// In bytes.
    pub bytes: u64,
    /// Who says so.
    pub source: MemorySource,
}

/// From how many bytes of unwritten pages on the kernel writes them by itself: half of what makes it stop who writes, as it
/// reckons now (vm.dirty_background_ratio and vm.dirty_background_bytes). `None` where it does not say.
#[must_use]
pub fn dirty_background_bytes() -> Option<u64> {
    let vmstat = fs::read_to_string("/proc/vmstat").ok()?;
    let pages = vmstat.lines().find_map(|line| line.strip_prefix("nr_dirty_background_threshold "))?;
    Some(pages.trim().parse::<u64>().ok()?.saturating_mul(sys::page_bytes()))
}

/// The least of the limits of this process's cgroups and the machine's memory.
pub fn memory() -> io::Result<Memory> {
    memory_under(Path::new("/"))
}

fn memory_under(root: &Path) -> io::Result<Memory> {
    let machine = machine_memory(&fs::read_to_string(root.join("proc/meminfo"))?)?;
    let cgroups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = limit_files(&cgroups).into_iter().filter_map(|file| {
        let text = fs::read_to_string(root.join(&file)).ok()?;
        let bytes = text.trim().parse().ok()?;
        Some(Memory { bytes, source: MemorySource::Cgroup(Path::new("/").join(file)) })
    });
    let machine = Memory { bytes: machine, source: MemorySource::Machine };
    Ok(limits.chain([machine]).min_by_key(|memory| memory.bytes).unwrap_or_else(|| unreachable!("the machine is one")))
}

/// MemTotal of /proc/meminfo (proc(5)), which is in KiB.
fn machine_memory(meminfo: &str) -> io::Result<u64> {
    let kib = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    let kib: u64 = kib.ok_or_else(|| io::Error::other("/proc/meminfo has no MemTotal"))?;
    Ok(kib.saturating_mul(1024))
}

/// The files that may hold a limit, the innermost first, without the leading slash.
fn limit_files(cgroups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in cgroups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(hierarchy), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let (mount, file) = match hierarchy {
            "0" => ("sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let within = Path::new(path.trim_start_matches('/'));
        files.extend(within.ancestors().map(|folder| Path::new(mount).join(folder).join(file)));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_and_the_code_of_its_libraries_are_what_is_kept() {
        let maps = "\
            1000-3000 r--p 00000000 fe:00 12                         /opt/ringlog\n\
            3000-9000 r-xp 00002000 fe:00 12                         /opt/ringlog\n\
            9000-a000 rw-p 00008000 fe:00 12                         /opt/ringlog\n\
            b000-c000 rw-p 00000000 00:00 0                          [heap]\n\
            c000-d000 rw-p 00000000 00:00 0 \n\
            d000-e000 r--p 00000000 fe:00 13                         /usr/lib/locale/C.utf8\n\
            f000-ff00 r-xp 00000000 fe:00 14                         /lib/libc.so.6\n\
            ffff-fffff r-xp 00000000 00:00 0                         [vdso]\n";
        let ranges = program_ranges(maps, Path::new("/opt/ringlog"));
        assert_eq!(ranges, [(0x1000, 0x3000), (0x3000, 0x9000), (0xf000, 0xff00)]);
    }

    #[test]
    fn what_is_kept_is_locked_or_the_limit_is_said() {
        match keep_program_resident() {
            Ok(kept) => {
                let status = fs::read_to_string("/proc/self/status").expect("status");
                let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).expect("VmLck");
                let kib: usize = locked.trim().trim_end_matches(" kB").parse().expect("a number");
                assert!(kept > 0 && kib * 1024 >= kept, "{kept} bytes, locked: {locked}");
            }
            Err(error) => {
                assert!([libc::ENOMEM, libc::EPERM].contains(&error.raw_os_error().expect("errno")), "{error}")
            }
        }
    }

    /// A root folder with these files.
    struct Root(PathBuf);

    impl Root {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("ringlog-process-{name}-{}", std::process::id()));
            for (path, text) in [("proc/meminfo", "MemTotal:       24576000 kB\nMemFree: 1 kB\n")].iter().chain(files) {
                let path = root.join(path);
                fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
                fs::write(path, text).expect("file");
            }
            Self(root)
        }

        fn memory(&self) -> (u64, Option<String>) {
            let Memory { bytes, source } = memory_under(&self.0).expect("memory");
            let cgroup = match source {
                MemorySource::Cgroup(path) => Some(path.display().to_string()),
                MemorySource::Machine => None,
            };
            (bytes, cgroup)
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).expect("removed");
        }
    }

    #[test]
    fn without_a_limit_the_machines_memory_counts() {
        assert_eq!(Root::new("bare", &[]).memory(), (24_576_000 * 1024, None));
        let root = Root::new("max", &[("proc/self/cgroup", "0::/a\n"), ("sys/fs/cgroup/a/memory.max", "max\n")]);
        assert_eq!(root.memory(), (24_576_000 * 1024, None));
        // Version 1 says "none" as the largest number of pages.
        let unlimited = [
            ("proc/self/cgroup", "9:memory:/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        assert_eq!(Root::new("v1max", &unlimited).memory(), (24_576_000 * 1024, None));
    }

    #[test]
    fn the_least_limit_on_the_way_to_the_root_counts_in_version_2() {
        let root = Root::new(
            "v2",
            &[
                ("proc/self/cgroup", "0::/pod/box\n"),
                ("sys/fs/cgroup/pod/box/memory.max", "1073741824\n"),
                ("sys/fs/cgroup/pod/memory.max", "536870912\n"),
            ],
        );
        assert_eq!(root.memory(), (536_870_912, Some("/sys/fs/cgroup/pod/memory.max".to_owned())));
    }

    #[test]
    fn version_1_says_it_under_the_memory_controller() {
        let root = Root::new(
            "v1",
            &[
                ("proc/self/cgroup", "10:cpu,cpuacct:/x\n9:memory:/docker/1\n0::/\n"),
                ("sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "268435456\n"),
            ],
        );
        let file = "/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes";
        assert_eq!(root.memory(), (268_435_456, Some(file.to_owned())));
    }

    #[test]
    fn a_container_that_sees_the_hosts_path_has_its_limit_at_the_root() {
        let root = Root::new(
            "container",
            &[("proc/self/cgroup", "0::/system.slice/docker-1.scope\n"), ("sys/fs/cgroup/memory.max", "134217728\n")],
        );
        assert_eq!(root.memory(), (134_217_728, Some("/sys/fs/cgroup/memory.max".to_owned())));
    }

    #[test]
    fn this_process_has_memory_and_open_descriptors() {
        assert!(memory().expect("memory").bytes > 0);
        assert!(open_descriptors().expect("descriptors") >= 3);
    }

    #[test]
    fn a_child_ends_with_the_thread_that_started_it() {
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let (told, child) = std::sync::mpsc::channel();
        let starter = std::thread::spawn(move || {
            let mut command = Command::new("/bin/sleep");
            end_with_this_thread(command.arg("60"));
            told.send(command.spawn().expect("a child")).expect("told");
            wait.recv()
        });
        let mut child = child.recv().expect("a child");
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(child.try_wait().expect("alive").is_none(), "it lives as long as the thread");
        drop(end);
        assert!(starter.join().expect("thread").is_err());
        let status = child.wait().expect("status");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGKILL));
    }

    #[test]
    fn nothing_is_ignored_but_what_rusts_runtime_ignores() {
        assert!(ignores(libc::SIGPIPE));
        assert!(!ignores(libc::SIGTERM));
    }
}
