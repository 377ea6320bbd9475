//! Processor time and pressure between two moments: of the broker's process, of ours, of the machine.
//!
//! The kernel counts a process's time in ticks of 10 ms (proc(5), `utime` and `stime` in units of USER_HZ = 100), every
//! thread included, also those that ended. Threads are counted in nanoseconds (`schedstat`).

use std::fs;
use std::io;
use std::path::Path;
use std::time::Instant;

/// USER_HZ, which Linux promises to user space on every architecture that we run on: ticks of 10 ms.
const TICK_MS: u64 = 10;

/// Counters of one moment.
#[derive(Clone, Debug)]
struct Snapshot {
    at: Instant,
    broker_cpu_ms: Option<u64>,
    client_cpu_ms: u64,
    client_threads_ns: Vec<(u32, u64)>,
    machine: MachineCpu,
    pressure_cpu_us: Option<u64>,
    pressure_io_us: Option<u64>,
}

/// What was used between start and stop of a [`Meter`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Time that passed, in seconds.
    pub wall_s: f64,
    /// Processor time of the broker's process in ms; `None` where its id is not known.
    pub broker_cpu_ms: Option<u64>,
    /// Processor time of our own process in ms.
    pub client_cpu_ms: u64,
    /// Share of one core that our busiest thread used, 0 to 1.
    pub client_core_share: f64,
    /// Processor time of everything on the machine in ms, kernel threads and interrupts included.
    pub machine_cpu_ms: u64,
    /// Time the hypervisor gave to others while we wanted to run, in ms.
    pub steal_ms: u64,
    /// Time in which some task waited for a core, in us (PSI); `None` where the kernel does not say.
    pub pressure_cpu_us: Option<u64>,
    /// Time in which some task waited for a disk, in us (PSI).
    pub pressure_io_us: Option<u64>,
}

/// Measures [`Usage`] between its start and its stop.
#[derive(Debug)]
pub struct Meter {
    broker_pid: Option<u32>,
    begin: Snapshot,
}

impl Meter {
    /// Begins. An error where the broker's process does not exist.
    pub fn start(broker_pid: Option<u32>) -> io::Result<Self> {
        Ok(Self { broker_pid, begin: Snapshot::take(broker_pid)? })
    }

    /// Ends.
    pub fn stop(&self) -> io::Result<Usage> {
        let end = Snapshot::take(self.broker_pid)?;
        Ok(Usage::between(&self.begin, &end))
    }
}

impl Usage {
    fn between(begin: &Snapshot, end: &Snapshot) -> Self {
        let wall_s = end.at.duration_since(begin.at).as_secs_f64();
        let difference = |a: Option<u64>, b: Option<u64>| b.zip(a).map(|(b, a)| b.saturating_sub(a));
        Self {
            wall_s,
            broker_cpu_ms: difference(begin.broker_cpu_ms, end.broker_cpu_ms),
            client_cpu_ms: end.client_cpu_ms.saturating_sub(begin.client_cpu_ms),
            client_core_share: busiest_share(&begin.client_threads_ns, &end.client_threads_ns, wall_s),
            machine_cpu_ms: end.machine.busy_ms.saturating_sub(begin.machine.busy_ms),
            steal_ms: end.machine.steal_ms.saturating_sub(begin.machine.steal_ms),
            pressure_cpu_us: difference(begin.pressure_cpu_us, end.pressure_cpu_us),
            pressure_io_us: difference(begin.pressure_io_us, end.pressure_io_us),
        }
    }
}

impl Snapshot {
    fn take(broker_pid: Option<u32>) -> io::Result<Self> {
        let proc = Path::new("/proc");
        Ok(Self {
            broker_cpu_ms: broker_pid.map(|pid| process_cpu_ms(&proc.join(pid.to_string()))).transpose()?,
            client_cpu_ms: process_cpu_ms(&proc.join("self"))?,
            client_threads_ns: threads_ns(&proc.join("self/task"))?,
            machine: MachineCpu::parse(&fs::read_to_string(proc.join("stat"))?),
            pressure_cpu_us: pressure_us(&proc.join("pressure/cpu")),
            pressure_io_us: pressure_us(&proc.join("pressure/io")),
            at: Instant::now(),
        })
    }
}

/// The machine's time since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct MachineCpu {
    busy_ms: u64,
    steal_ms: u64,
}

impl MachineCpu {
    /// First line of /proc/stat: user nice system idle iowait irq softirq steal (guest time is within user).
    fn parse(stat: &str) -> Self {
        let first = stat.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = first.split_whitespace().skip(1).filter_map(|it| it.parse().ok()).collect();
        let at = |index: usize| ticks.get(index).copied().unwrap_or(0);
        Self { busy_ms: (at(0) + at(1) + at(2) + at(5) + at(6)) * TICK_MS, steal_ms: at(7) * TICK_MS }
    }
}

/// User and system time of a process (a folder of /proc), all threads, in ms.
fn process_cpu_ms(process: &Path) -> io::Result<u64> {
    let path = process.join("stat");
    let stat = fs::read_to_string(&path)
        .map_err(|error| io::Error::new(error.kind(), format!("no process at {}: {error}", path.display())))?;
    if has_ended(&stat) {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("the process at {} has ended", process.display())));
    }
    parse_process_ms(&stat).ok_or_else(|| io::Error::other(format!("cannot read {}", path.display())))
}

/// A process that ended keeps its entry until its parent looks: state Z or X (field 3).
fn has_ended(stat: &str) -> bool {
    stat.rsplit_once(')').is_some_and(|it| it.1.trim_start().starts_with(['Z', 'X']))
}

/// Fields 14 and 15 of /proc/pid/stat, counted after the name's closing parenthesis, for a name may hold blanks.
fn parse_process_ms(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * TICK_MS)
}

/// Nanoseconds that the calling thread ran so far, as far as the kernel says (to its tick).
#[must_use]
pub fn own_thread_ns() -> Option<u64> {
    fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}

/// Nanoseconds that each thread ran. A thread that ends meanwhile is left out.
fn threads_ns(task: &Path) -> io::Result<Vec<(u32, u64)>> {
    let mut threads = Vec::new();
    for entry in fs::read_dir(task)? {
        let entry = entry?;
        let ran = fs::read_to_string(entry.path().join("schedstat")).ok();
        let ran = ran.as_deref().and_then(|it| it.split(' ').next()).and_then(|it| it.parse().ok());
        if let (Some(ran), Some(id)) = (ran, entry.file_name().to_str().and_then(|it| it.parse().ok())) {
            threads.push((id, ran));
        }
    }
    Ok(threads)
}

/// The largest share of a core that one thread used.
fn busiest_share(begin: &[(u32, u64)], end: &[(u32, u64)], wall_s: f64) -> f64 {
    let before = |id: u32| begin.iter().find(|it| it.0 == id).map_or(0, |it| it.1);
    let busiest = end.iter().map(|&(id, ran)| ran.saturating_sub(before(id))).max().unwrap_or(0);
    if wall_s > 0.0 { (busiest as f64 / 1e9 / wall_s).min(1.0) } else { 0.0 }
}

/// `some avg10=.. total=N` of a pressure file, in us.
fn pressure_us(path: &Path) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find(|it| it.starts_with("some "))?.rsplit_once("total=")?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_with_blanks_and_brackets_does_not_shift_the_fields() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 1 0 0 0 150 25 0 0 20 0 2 0 100 1 1";
        assert_eq!(parse_process_ms(stat), Some(1750));
        assert_eq!(parse_process_ms("no bracket"), None);
    }

    #[test]
    fn idle_and_iowait_are_not_busy_and_steal_stands_alone() {
        let machine = MachineCpu::parse("cpu  100 1 50 9999 888 3 2 40 0 0\ncpu0 1 1 1\n");
        assert_eq!(machine, MachineCpu { busy_ms: 1560, steal_ms: 400 });
    }

    #[test]
    fn the_busiest_thread_counts_from_its_own_start() {
        let begin = [(1, 1_000_000_000), (2, 0)];
        let end = [(1, 1_200_000_000), (2, 900_000_000), (3, 100)];
        assert!((busiest_share(&begin, &end, 1.0) - 0.9).abs() < 1e-9);
        assert!(busiest_share(&begin, &end, 0.0).abs() < 1e-9);
    }

    #[test]
    fn a_thread_that_works_shows_in_the_usage() {
        // By the thread's own time: beside other work a span of the clock may hold little of it.
        let thread_ms = || process_cpu_ms(Path::new("/proc/thread-self")).unwrap();
        let meter = Meter::start(Some(std::process::id())).unwrap();
        let (begin, before_ms) = (Instant::now(), thread_ms());
        while thread_ms() < before_ms + 60 && begin.elapsed().as_secs() < 20 {}
        let usage = meter.stop().unwrap();
        assert!(usage.client_core_share * usage.wall_s > 0.04, "{usage:?}");
        assert!(usage.broker_cpu_ms.is_some() && usage.wall_s >= 0.06);
    }

    #[test]
    fn a_process_that_ended_is_gone_though_nobody_looked() {
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        let entry = format!("/proc/{}", child.id());
        let begin = Instant::now();
        while process_cpu_ms(Path::new(&entry)).is_ok() && begin.elapsed().as_secs() < 10 {
            std::thread::yield_now();
        }
        let error = process_cpu_ms(Path::new(&entry)).unwrap_err().to_string();
        child.wait().unwrap();
        assert!(error.contains("has ended"), "{error}");
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error_that_names_it() {
        let error = Meter::start(Some(u32::MAX)).unwrap_err().to_string();
        assert!(error.contains("4294967295"), "{error}");
    }
}
