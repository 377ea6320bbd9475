//! What this process has used of its machine so far, as /proc says it (proc(5)).
//!
//! ```text
//!   /proc/self/statm   pages of memory          /proc/self/stat   22nd field: when it started, in ticks since the boot
//!   /proc/self/io      bytes of storage         /proc/stat        btime: when that was, in seconds since 1970
//! ```
//! What a kernel or a container does not show is `None`.

use std::fs;

use crate::{cpu_time, process, sys};

/// What a process has used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Processor time of all its threads, in nanoseconds.
    pub cpu_ns: Option<u64>,
    /// Resident memory, in bytes.
    pub resident_bytes: Option<u64>,
    /// Descriptors that are open.
    pub open_descriptors: Option<usize>,
    /// When it started, in seconds since 1970.
    pub started_s: Option<f64>,
    /// Bytes that storage was asked to read and to write for it.
    pub disk_read_bytes: Option<u64>,
    /// The same for writes.
    pub disk_written_bytes: Option<u64>,
}

/// What this process has used.
#[must_use]
pub fn usage() -> Usage {
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    Usage {
        cpu_ns: cpu_time::process_ns(std::process::id()).ok(),
        resident_bytes: resident_pages().map(|pages| pages.saturating_mul(sys::page_bytes())),
        open_descriptors: process::open_descriptors().ok(),
        started_s: started_s(),
        disk_read_bytes: field(&io, "read_bytes:"),
        disk_written_bytes: field(&io, "write_bytes:"),
    }
}

fn resident_pages() -> Option<u64> {
    fs::read_to_string("/proc/self/statm").ok()?.split_whitespace().nth(1)?.parse().ok()
}

fn started_s() -> Option<f64> {
    let ticks = start_ticks(&fs::read_to_string("/proc/self/stat").ok()?)?;
    let boot_s: u64 = field(&fs::read_to_string("/proc/stat").ok()?, "btime ")?;
    Some(boot_s as f64 + ticks as f64 / sys::ticks_per_second() as f64)
}

/// The 22nd field of /proc/self/stat. The second is the program's name in brackets, which may hold anything.
fn start_ticks(stat: &str) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(19)?.parse().ok()
}

/// The number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_since_a_while_and_uses_something() {
        let usage = usage();
        assert!(usage.cpu_ns.is_some_and(|ns| ns > 0) && usage.resident_bytes.is_some_and(|bytes| bytes > 100_000));
        assert!(usage.open_descriptors.is_some_and(|open| open >= 3));
        let (started_s, now_s) = (usage.started_s.expect("a start"), crate::clock::wall_ms() as f64 / 1000.0);
        assert!(started_s <= now_s + 2.0 && now_s - started_s < 24.0 * 3600.0, "{started_s} before {now_s}");
    }

    #[test]
    fn a_name_with_brackets_and_blanks_is_read_over() {
        let rest: Vec<String> = (3..=25).map(|number| number.to_string()).collect();
        assert_eq!(start_ticks(&format!("7 (a) b (c)) {}", rest.join(" "))), Some(22));
        assert_eq!(start_ticks("7 (a"), None);
        assert_eq!(field("rchar: 7\nread_bytes: 512\n", "read_bytes:"), Some(512));
    }
}
