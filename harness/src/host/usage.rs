//! What was used between two moments: by the target's processes, by ours, by the machine.
//!
//! ```text
//!   processes   their CPU clocks, in nanoseconds          ^ both by the scheduler: what they say can be added up
//!   machine     cores * time - idle - iowait - steal      v
//! ```
//!
//! The machine's time is what its cores were *not* idle. The kernel's own count of busy time (`user`, `system`, .. of
//! /proc/stat) is a sample at each tick, 100 to 1000 times a second: a thread that runs for less than a tick at a time is
//! missed as often as not, and two processes were seen with 1.6 times the time of the machine that they ran on. Idle
//! time is counted from the moment a core goes idle to the moment it wakes.
//!
//! Invariant: a part is not above its whole. [`Usage::contradiction`] says so where it is, and the row is then invalid.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Instant;

use super::cgroup;
use super::jvm::{self, JvmUsage};
use super::network::{self, Interface};
use super::process::{Counters, ProcessUsage};

/// USER_HZ, which Linux promises to user space on every architecture that we run on: ticks of 10 ms.
const TICK_MS: u64 = 10;
/// Idle and iowait of a core are cut to ticks, at both ends.
const MACHINE_TICKS_OFF_MAX: u64 = 4;
/// What a running thread used since the last timer tick may stand on the other side of a window (CONFIG_HZ of 100).
const TICK_NS_MAX: u64 = 10_000_000;
/// The parts may be above the whole by this share: clocks are read one after the other.
const SUM_SHARE_OFF_MAX: f64 = 0.02;

/// Counters of one moment.
#[derive(Clone, Debug)]
struct Snapshot {
    at: Instant,
    target: Vec<Counters>,
    target_cgroup_ns: Option<u64>,
    client: Counters,
    machine: Option<Machine>,
    interfaces: Vec<Interface>,
    sent_bytes: Option<u64>,
    /// Of those of the target's processes that are JVMs.
    jvm: Vec<Option<jvm::Counters>>,
    pressure_cpu_us: Option<u64>,
    pressure_io_us: Option<u64>,
}

/// What was used between start and stop of a [`Meter`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Time that passed, in seconds.
    pub wall_s: f64,
    /// The target's processes; `None` where their ids are not known.
    pub target: Option<ProcessUsage>,
    /// Processor time of the target's control group in ns, where it has one that is not ours too.
    pub target_cgroup_ns: Option<u64>,
    /// Our own process.
    pub client: ProcessUsage,
    /// Processor time of everything on the machine in ns, kernel threads and interrupts included.
    pub machine_cpu_ns: Option<u64>,
    /// Cores of the machine.
    pub cores: u32,
    /// Time the hypervisor gave to others while we wanted to run, in ms.
    pub steal_ms: u64,
    /// Time in which some task waited for a core, in us (PSI); `None` where the kernel does not say.
    pub pressure_cpu_us: Option<u64>,
    /// Time in which some task waited for a disk, in us (PSI).
    pub pressure_io_us: Option<u64>,
    /// Bytes that all interfaces sent, loopback included.
    pub sent_bytes: Option<u64>,
    /// What the target's JVMs did together, where all its processes are JVMs.
    pub jvm: Option<JvmUsage>,
    /// Share of its speed that the busiest network interface used in its busier direction, where one says its speed.
    pub network_share: Option<f64>,
}

/// Measures [`Usage`] between its start and its stop.
#[derive(Debug)]
pub struct Meter {
    target_pids: Vec<u32>,
    begin: Snapshot,
}

impl Meter {
    /// Begins. An error where a process of the target does not exist.
    pub fn start(target_pids: &[u32]) -> io::Result<Self> {
        Ok(Self { target_pids: target_pids.to_vec(), begin: Snapshot::take(target_pids)? })
    }

    /// Ends. An error where a process of the target has ended.
    pub fn stop(&self) -> io::Result<Usage> {
        let end = Snapshot::take(&self.target_pids)?;
        Ok(Usage::between(&self.begin, &end))
    }
}

impl Usage {
    fn between(begin: &Snapshot, end: &Snapshot) -> Self {
        let wall_s = end.at.duration_since(begin.at).as_secs_f64();
        let difference = |a: Option<u64>, b: Option<u64>| b.zip(a).map(|(b, a)| b.saturating_sub(a));
        let machine = begin.machine.zip(end.machine);
        let target = begin.target.iter().zip(&end.target).map(|(a, b)| a.until(b, wall_s)).collect();
        Self {
            wall_s,
            target: ProcessUsage::sum(target),
            target_cgroup_ns: difference(begin.target_cgroup_ns, end.target_cgroup_ns),
            client: begin.client.until(&end.client, wall_s),
            machine_cpu_ns: machine.map(|(a, b)| a.busy_ns_until(b, wall_s)),
            cores: machine.map_or(0, |(a, _)| a.cores),
            steal_ms: machine.map_or(0, |(a, b)| b.steal_ms.saturating_sub(a.steal_ms)),
            pressure_cpu_us: difference(begin.pressure_cpu_us, end.pressure_cpu_us),
            pressure_io_us: difference(begin.pressure_io_us, end.pressure_io_us),
            sent_bytes: difference(begin.sent_bytes, end.sent_bytes),
            jvm: JvmUsage::sum(begin.jvm.iter().zip(&end.jvm).map(|(a, b)| Some(a.as_ref()?.until(b.as_ref()?)))),
            network_share: network::busiest_share(&begin.interfaces, &end.interfaces, wall_s),
        }
    }

    /// Processor time that was neither the target's nor ours, in ns: other processes, kernel threads, interrupts.
    #[must_use]
    pub fn others_cpu_ns(&self) -> Option<u64> {
        let target = self.target.as_ref()?.cpu_ns;
        self.machine_cpu_ns.map(|machine| machine.saturating_sub(target + self.client.cpu_ns))
    }

    /// Share of the time that a pressure took.
    #[must_use]
    pub fn pressure_share(&self, pressure_us: Option<u64>) -> Option<f64> {
        pressure_us.filter(|_| self.wall_s > 0.0).map(|us| (us as f64 / 1e6 / self.wall_s).min(1.0))
    }

    /// What the hypervisor took, as a share of one core's time.
    #[must_use]
    pub fn steal_share(&self) -> f64 {
        if self.wall_s > 0.0 { self.steal_ms as f64 / 1e3 / self.wall_s } else { 0.0 }
    }

    /// A sum that cannot be, in words: parts above their whole. A row that has one is invalid.
    #[must_use]
    pub fn contradiction(&self) -> Option<String> {
        let target_ns = self.target.as_ref().map_or(0, |it| it.cpu_ns);
        let parts_ns = target_ns + self.client.cpu_ns;
        let above = |part_ns: u64, whole_ns: u64| part_ns > whole_ns.saturating_add(self.off_ns_max(part_ns));
        let ms = |ns: u64| ns as f64 / 1e6;
        if let Some(machine_ns) = self.machine_cpu_ns.filter(|&it| above(parts_ns, it)) {
            let (parts, machine) = (ms(parts_ns), ms(machine_ns));
            return Some(format!(
                "client and broker used {parts:.0} ms of processor time and the whole machine {machine:.0} ms"
            ));
        }
        let limit_ns = (self.wall_s * 1e9) as u64 * u64::from(self.cores);
        if self.cores > 0 && above(parts_ns, limit_ns) {
            let (parts, limit) = (ms(parts_ns), ms(limit_ns));
            return Some(format!(
                "client and broker used {parts:.0} ms of processor time where {} cores have {limit:.0} ms",
                self.cores
            ));
        }
        None
    }

    /// How far parts and whole may be apart because of how they are counted.
    fn off_ns_max(&self, part_ns: u64) -> u64 {
        let machine_ns = u64::from(self.cores) * MACHINE_TICKS_OFF_MAX * TICK_MS * 1_000_000;
        machine_ns + u64::from(self.cores) * TICK_NS_MAX + (part_ns as f64 * SUM_SHARE_OFF_MAX) as u64
    }
}

impl Snapshot {
    fn take(target_pids: &[u32]) -> io::Result<Self> {
        let proc = Path::new("/proc");
        Ok(Self {
            target: target_pids.iter().map(|pid| Counters::read(*pid)).collect::<io::Result<_>>()?,
            target_cgroup_ns: target_pids.first().and_then(|pid| cgroup::cpu_ns_of(Path::new("/"), *pid)),
            client: Counters::read(std::process::id())?,
            machine: Machine::parse(&fs::read_to_string(proc.join("stat"))?),
            interfaces: network::interfaces(Path::new("/")),
            sent_bytes: network::sent_bytes(Path::new("/")),
            jvm: target_pids.iter().map(|pid| jvm::Counters::read(Path::new("/"), *pid)).collect(),
            pressure_cpu_us: pressure_us(&proc.join("pressure/cpu")),
            pressure_io_us: pressure_us(&proc.join("pressure/io")),
            at: Instant::now(),
        })
    }
}

/// The machine's times since it started.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Machine {
    cores: u32,
    idle_ms: u64,
    steal_ms: u64,
}

impl Machine {
    /// /proc/stat: `cpu` user nice system idle iowait irq softirq steal (guest time is within user), then a line a core.
    fn parse(stat: &str) -> Option<Self> {
        let mut lines = stat.lines();
        let ticks: Vec<u64> = lines.next()?.split_whitespace().skip(1).filter_map(|it| it.parse().ok()).collect();
        let at = |index: usize| ticks.get(index).copied();
        let cores = lines.take_while(|it| it.starts_with("cpu")).count();
        let (idle, iowait) = (at(3)?, at(4)?);
        Some(Self {
            cores: u32::try_from(cores).ok().filter(|it| *it > 0)?,
            idle_ms: (idle + iowait) * TICK_MS,
            steal_ms: at(7).unwrap_or(0) * TICK_MS,
        })
    }

    /// All that the cores had, less what they rested and what was stolen.
    fn busy_ns_until(self, end: Self, wall_s: f64) -> u64 {
        let all_ns = wall_s * 1e9 * f64::from(self.cores);
        let gone_ms = end.idle_ms.saturating_sub(self.idle_ms) + end.steal_ms.saturating_sub(self.steal_ms);
        (all_ns - gone_ms as f64 * 1e6).max(0.0) as u64
    }
}

/// `some avg10=.. total=N` of a pressure file, in us.
fn pressure_us(path: &Path) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find(|it| it.starts_with("some "))?.rsplit_once("total=")?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ringlog_io::cpu_time;

    use super::*;

    /// A usage of two cores for so long.
    fn usage(wall_s: f64, client_ms: u64, target_ms: u64, machine_ms: Option<u64>) -> Usage {
        let process = |ms: u64| ProcessUsage { cpu_ns: ms * 1_000_000, ..ProcessUsage::default() };
        Usage {
            wall_s,
            cores: 2,
            client: process(client_ms),
            target: Some(process(target_ms)),
            machine_cpu_ns: machine_ms.map(|ms| ms * 1_000_000),
            ..Usage::default()
        }
    }

    #[test]
    fn idle_iowait_and_steal_are_not_busy_whatever_the_ticks_say() {
        let begin = Machine::parse("cpu  100 1 50 1000 20 3 2 40 0 0\ncpu0 1 1 1\ncpu1 1 1 1\nintr 7\n").unwrap();
        let end = Machine::parse("cpu  101 1 50 1050 30 3 2 50 0 0\ncpu0 1 1 1\ncpu1 1 1 1\nintr 7\n").unwrap();
        assert_eq!((begin.cores, begin.idle_ms, begin.steal_ms), (2, 10_200, 400));
        // 2 cores for 1.5 s are 3000 ms; 600 were idle, 100 stolen; the ticks counted 10 as busy.
        assert_eq!(begin.busy_ns_until(end, 1.5), 2_300_000_000);
        assert_eq!(Machine::parse("cpu"), None);
    }

    #[test]
    fn a_sum_that_cannot_be_is_told_and_not_made_smaller() {
        // The row that was published: client 2,550 and broker 1,690 ms, the machine 2,640 ms.
        let told = usage(5.0, 2550, 1690, Some(2640)).contradiction().unwrap();
        assert!(told.contains("4240 ms") && told.contains("2640 ms"), "{told}");
        assert_eq!(usage(5.0, 2550, 1690, Some(4200)).contradiction(), None, "within what clocks are apart");
        assert_eq!(usage(5.0, 2550, 1690, None).contradiction(), None, "nothing to hold it against");
        let told = usage(1.0, 2550, 0, None).contradiction().unwrap();
        assert!(told.contains("2 cores"), "{told}");
    }

    #[test]
    fn others_are_what_is_left_and_unknown_where_the_target_is() {
        let mut known = usage(1.0, 500, 400, Some(1000));
        assert_eq!(known.others_cpu_ns(), Some(100_000_000));
        known.target = None;
        assert_eq!(known.others_cpu_ns(), None);
    }

    /// Work in bursts that a sampling clock does not see: 400 us in each millisecond.
    fn work_in_bursts() {
        let end = Instant::now() + Duration::from_millis(400);
        while Instant::now() < end {
            let burst = Instant::now();
            while burst.elapsed() < Duration::from_micros(400) {}
            std::thread::sleep(Duration::from_micros(600));
        }
    }

    #[test]
    fn bursts_shorter_than_a_tick_are_in_the_process_and_in_the_machine() {
        let meter = Meter::start(&[]).unwrap();
        let own_ns = cpu_time::thread_ns().unwrap();
        work_in_bursts();
        let own_ns = cpu_time::thread_ns().unwrap() - own_ns;
        let usage = meter.stop().unwrap();
        assert!(own_ns > 0 && usage.client.cpu_ns >= own_ns, "{own_ns} ns of {usage:?}");
        assert_eq!(usage.contradiction(), None, "{usage:?}");
    }

    #[test]
    fn a_thread_that_works_shows_in_the_usage() {
        // By the thread's own time: beside other work a span of the clock may hold little of it.
        let meter = Meter::start(&[std::process::id()]).unwrap();
        let (begin, before_ns) = (Instant::now(), cpu_time::thread_ns().unwrap());
        while cpu_time::thread_ns().unwrap() < before_ns + 60_000_000 && begin.elapsed().as_secs() < 20 {}
        let usage = meter.stop().unwrap();
        assert!(usage.client.busiest.ran * usage.wall_s > 0.04, "{usage:?}");
        assert!(usage.target.unwrap().cpu_ns >= 50_000_000 && usage.wall_s >= 0.06);
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error_that_names_it() {
        let error = Meter::start(&[u32::MAX]).unwrap_err().to_string();
        assert!(error.contains("4294967295"), "{error}");
    }
}
