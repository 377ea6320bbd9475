//! Counters of one process: its threads, its memory, its disk. Differences of two readings are what it used meanwhile.
//!
//! ```text
//!   its CPU clock          nanoseconds of all threads, ended ones too       (ringlog_io::cpu_time)
//!   task/TID/schedstat     nanoseconds that a thread ran, and that it waited for a core while it could have run
//!   io                     bytes that went to storage and came from it, page cache hits left out
//!   status                 resident memory now and at its most
//!   stat                   page faults: minor ones, and major ones that waited for storage
//! ```
//!
//! The kernel's workers of a process's io_uring are tasks of that process: they stand in task/ as `iou-wrk-<tid>` and
//! `iou-sqp-<tid>`, and their time is in the process's clock.

use std::fs;
use std::io;
use std::path::Path;

use ringlog_io::cpu_time;

/// What the names of a ring's kernel workers begin with (io_uring/io-wq.c, sqpoll.c).
const RING_WORKERS: [&str; 2] = ["iou-wrk-", "iou-sqp-"];
const SECOND_NS: f64 = 1e9;
/// A thread that ran less than this share of the time is not told.
const RAN_TOLD_MIN: f64 = 0.005;

/// A thread's counters.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Thread {
    id: u32,
    name: String,
    ran_ns: u64,
    waited_ns: u64,
}

/// A process's counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    cpu_ns: u64,
    threads: Vec<Thread>,
    written_bytes: Option<u64>,
    read_bytes: Option<u64>,
    resident_bytes: Option<u64>,
    resident_bytes_max: Option<u64>,
    faults: Option<Faults>,
}

/// Page faults of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The page was there, or was made.
    pub minor: u64,
    /// Storage had to be waited for.
    pub major: u64,
}

/// Threads that are told with their shares.
const THREADS_TOLD: usize = 5;

/// How much of a core one thread had, and how much more it could have used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CoreShare {
    /// The thread's name.
    pub thread: String,
    /// Share of the time in which it ran, 0 to 1.
    pub ran: f64,
    /// Share of the time in which it could have run and another thread had the core, 0 to 1.
    pub waited: f64,
}

/// What a process, or several together, used between two moments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProcessUsage {
    /// Processor time of all threads in nanoseconds, kernel workers of its rings included.
    pub cpu_ns: u64,
    /// Of that, the kernel workers of its rings.
    pub ring_workers_ns: u64,
    /// The thread that needed most of a core.
    pub busiest: CoreShare,
    /// The threads that ran most, the busiest first.
    pub threads: Vec<CoreShare>,
    /// Page faults.
    pub faults: Option<Faults>,
    /// Bytes that it made the storage write, dirtied pages included (proc(5), `write_bytes`); `None` where we may not look.
    pub written_bytes: Option<u64>,
    /// Bytes that storage had to read for it: what the page cache did not have.
    pub read_bytes: Option<u64>,
    /// Resident memory at the end in bytes.
    pub resident_bytes: Option<u64>,
    /// The most resident memory that it ever had.
    pub resident_bytes_max: Option<u64>,
}

impl CoreShare {
    /// What it would have used of a core of its own.
    #[must_use]
    pub fn wanted(&self) -> f64 {
        (self.ran + self.waited).min(1.0)
    }
}

impl Counters {
    /// Reads a process's counters. An error that names it where it does not exist or has ended.
    pub(super) fn read(pid: u32) -> io::Result<Self> {
        let entry = Path::new("/proc").join(pid.to_string());
        let cpu_ns = cpu_time::process_ns(pid)?;
        if has_ended(pid) {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("process {pid} has ended")));
        }
        let own_io = fs::read_to_string(entry.join("io")).unwrap_or_default();
        let status = fs::read_to_string(entry.join("status")).unwrap_or_default();
        let stat = fs::read_to_string(entry.join("stat")).unwrap_or_default();
        let kib = |key| value_of(&status, key).and_then(|kib| kib.checked_mul(1024));
        Ok(Self {
            cpu_ns,
            threads: threads(&entry.join("task"))?,
            written_bytes: value_of(&own_io, "write_bytes"),
            read_bytes: value_of(&own_io, "read_bytes"),
            resident_bytes: kib("VmRSS"),
            resident_bytes_max: kib("VmHWM"),
            faults: Faults::parse(&stat),
        })
    }

    /// What was used from `self` to `end`, `wall_s` later.
    pub(super) fn until(&self, end: &Self, wall_s: f64) -> ProcessUsage {
        let difference = |a: Option<u64>, b: Option<u64>| b.zip(a).map(|(b, a)| b.saturating_sub(a));
        let used = end.threads.iter().map(|thread| (thread, self.ran_since(thread)));
        let ring_workers = used.clone().filter(|(thread, _)| is_ring_worker(&thread.name));
        let share = |(thread, (ran, waited)): (&Thread, (u64, u64))| CoreShare {
            thread: thread.name.clone(),
            ran: share_of(ran, wall_s),
            waited: share_of(waited, wall_s),
        };
        let ring_workers_ns = ring_workers.map(|(_, (ran, _))| ran).sum();
        let threads: Vec<CoreShare> = used.map(share).collect();
        let faults = self.faults.zip(end.faults);
        ProcessUsage {
            cpu_ns: end.cpu_ns.saturating_sub(self.cpu_ns),
            ring_workers_ns,
            busiest: threads.iter().cloned().reduce(busier).unwrap_or_default(),
            threads: most(threads),
            faults: faults.map(|(a, b)| a.until(b)),
            written_bytes: difference(self.written_bytes, end.written_bytes),
            read_bytes: difference(self.read_bytes, end.read_bytes),
            resident_bytes: end.resident_bytes,
            resident_bytes_max: end.resident_bytes_max,
        }
    }

    /// What a thread ran and waited since this moment; all of it where it is younger.
    fn ran_since(&self, thread: &Thread) -> (u64, u64) {
        let before = self.threads.iter().find(|it| it.id == thread.id && it.ran_ns <= thread.ran_ns);
        let (ran, waited) = before.map_or((0, 0), |it| (it.ran_ns, it.waited_ns));
        (thread.ran_ns - ran, thread.waited_ns.saturating_sub(waited))
    }
}

impl ProcessUsage {
    /// Several processes as one: sums, and the busiest thread of all. What is not known of one is not known of all.
    #[must_use]
    pub fn sum(processes: Vec<Self>) -> Option<Self> {
        let both = |a: Option<u64>, b: Option<u64>| a.zip(b).map(|(a, b)| a + b);
        processes.into_iter().reduce(|a, b| Self {
            cpu_ns: a.cpu_ns + b.cpu_ns,
            ring_workers_ns: a.ring_workers_ns + b.ring_workers_ns,
            busiest: busier(a.busiest, b.busiest),
            threads: most(a.threads.into_iter().chain(b.threads).collect()),
            faults: a.faults.zip(b.faults).map(|(a, b)| a.plus(b)),
            written_bytes: both(a.written_bytes, b.written_bytes),
            read_bytes: both(a.read_bytes, b.read_bytes),
            resident_bytes: both(a.resident_bytes, b.resident_bytes),
            resident_bytes_max: both(a.resident_bytes_max, b.resident_bytes_max),
        })
    }
}

impl Faults {
    /// Fields 10 and 12 of /proc/PID/stat: the eighth and the tenth after the name, which may hold blanks.
    fn parse(stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        Some(Self { minor: fields.get(7)?.parse().ok()?, major: fields.get(9)?.parse().ok()? })
    }

    fn until(self, end: Self) -> Self {
        Self { minor: end.minor.saturating_sub(self.minor), major: end.major.saturating_sub(self.major) }
    }

    fn plus(self, other: Self) -> Self {
        Self { minor: self.minor + other.minor, major: self.major + other.major }
    }
}

/// Those that ran most, without those that rested.
fn most(mut threads: Vec<CoreShare>) -> Vec<CoreShare> {
    threads.retain(|thread| thread.ran >= RAN_TOLD_MIN);
    threads.sort_by(|a, b| b.ran.total_cmp(&a.ran));
    threads.truncate(THREADS_TOLD);
    threads
}

fn busier(a: CoreShare, b: CoreShare) -> CoreShare {
    if b.wanted() > a.wanted() { b } else { a }
}

fn is_ring_worker(name: &str) -> bool {
    RING_WORKERS.iter().any(|begin| name.starts_with(begin))
}

/// A thread's counters are read a moment before or after the clock: a little more than all of the time is all of it.
fn share_of(ns: u64, wall_s: f64) -> f64 {
    if wall_s > 0.0 { (ns as f64 / SECOND_NS / wall_s).min(1.0) } else { 0.0 }
}

/// The threads of a process. One that ends meanwhile is left out.
fn threads(task: &Path) -> io::Result<Vec<Thread>> {
    let mut threads = Vec::new();
    for entry in fs::read_dir(task)? {
        let path = entry?.path();
        let name = fs::read_to_string(path.join("comm")).unwrap_or_default().trim().to_owned();
        let schedstat = fs::read_to_string(path.join("schedstat")).unwrap_or_default();
        let id = path.file_name().and_then(|it| it.to_str()).and_then(|it| it.parse().ok());
        if let Some((id, (ran_ns, waited_ns))) = id.zip(parse_schedstat(&schedstat)) {
            threads.push(Thread { id, name, ran_ns, waited_ns });
        }
    }
    Ok(threads)
}

/// `ran waited slices`, the first two in nanoseconds.
fn parse_schedstat(text: &str) -> Option<(u64, u64)> {
    let mut words = text.split_whitespace();
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// Whether a process is gone. One that ended keeps its entry until its parent looks: state Z or X (field 3 of stat, after
/// the name, which may hold blanks).
#[must_use]
pub fn has_ended(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |it| it.rsplit_once(')').is_some_and(|it| it.1.trim_start().starts_with(['Z', 'X'])))
}

/// `key: value unit` in the manner of /proc/PID/io and status.
fn value_of(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    value.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(id: u32, name: &str, ran_ns: u64, waited_ns: u64) -> Thread {
        Thread { id, name: name.to_owned(), ran_ns, waited_ns }
    }

    #[test]
    fn the_busiest_thread_counts_from_its_own_start_and_waiting_for_a_core_is_wanting_it() {
        let begin = Counters { threads: vec![thread(1, "main", 1_000_000_000, 0)], ..Counters::default() };
        let end = [thread(1, "main", 1_600_000_000, 0), thread(2, "shard-0", 500_000_000, 300_000_000)];
        let end = Counters { threads: end.into(), cpu_ns: 1_100_000_000, ..Counters::default() };
        let used = begin.until(&end, 1.0);
        assert_eq!((used.busiest.thread.as_str(), used.busiest.ran, used.busiest.waited), ("shard-0", 0.5, 0.3));
        assert_eq!(used.cpu_ns, 1_100_000_000);
        assert_eq!(begin.until(&end, 0.0).busiest.ran, 0.0);
    }

    #[test]
    fn the_threads_that_ran_most_are_told_and_faults_are_counted() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 123 0 4 0 9 8 0 0 20 0 1 0";
        assert_eq!(Faults::parse(stat), Some(Faults { minor: 123, major: 4 }));
        let names = ["a", "b", "c", "d", "e", "f", "idle"];
        let ran = |(at, name): (usize, &&str)| {
            thread(at as u32, name, if at == 6 { 0 } else { 100_000_000 * at as u64 + 50_000_000 }, 0)
        };
        let threads = names.iter().enumerate().map(ran).collect();
        let (begin, end) = (Faults { minor: 100, major: 4 }, Faults { minor: 150, major: 5 });
        let at = |faults, threads| Counters { faults: Some(faults), threads, ..Counters::default() };
        let used = at(begin, Vec::new()).until(&at(end, threads), 1.0);
        let told: Vec<&str> = used.threads.iter().map(|it| it.thread.as_str()).collect();
        assert_eq!(told, ["f", "e", "d", "c", "b"]);
        assert_eq!(used.faults, Some(Faults { minor: 50, major: 1 }));
    }

    #[test]
    fn kernel_workers_of_a_ring_are_told_apart() {
        let end = Counters {
            threads: vec![thread(7, "shard-0", 9, 0), thread(8, "iou-wrk-7", 30, 0), thread(9, "iou-sqp-7", 5, 0)],
            ..Counters::default()
        };
        assert_eq!(Counters::default().until(&end, 1.0).ring_workers_ns, 35);
    }

    #[test]
    fn a_thread_whose_number_was_used_before_counts_from_zero() {
        let begin = Counters { threads: vec![thread(1, "old", 900, 0)], ..Counters::default() };
        assert_eq!(begin.ran_since(&thread(1, "new", 100, 7)), (100, 7));
    }

    #[test]
    fn processes_add_up_and_what_one_does_not_say_nobody_says() {
        let one = |cpu_ns, written_bytes| ProcessUsage { cpu_ns, written_bytes, ..ProcessUsage::default() };
        let sum = ProcessUsage::sum(vec![one(3, Some(10)), one(4, None)]).unwrap();
        assert_eq!((sum.cpu_ns, sum.written_bytes), (7, None));
        assert_eq!(ProcessUsage::sum(Vec::new()), None);
    }

    #[test]
    fn own_counters_are_all_there() {
        let counters = Counters::read(std::process::id()).unwrap();
        assert!(counters.cpu_ns > 0 && !counters.threads.is_empty());
        assert!(counters.resident_bytes_max >= counters.resident_bytes && counters.resident_bytes > Some(1 << 20));
        assert!(counters.written_bytes.is_some() && counters.read_bytes.is_some());
        assert!(counters.faults.is_some_and(|it| it.minor > 0));
    }

    #[test]
    fn a_process_that_ended_is_gone_though_nobody_looked() {
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        let begin = std::time::Instant::now();
        while Counters::read(child.id()).is_ok() && begin.elapsed().as_secs() < 10 {
            std::thread::yield_now();
        }
        let error = Counters::read(child.id()).unwrap_err().to_string();
        child.wait().unwrap();
        assert!(error.contains("has ended"), "{error}");
    }
}
