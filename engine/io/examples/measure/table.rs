//! Rounds, medians and the table that comes of them.

use std::collections::BTreeMap;

/// What one run of one variant cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) bytes: u64,
    pub(crate) thread_ns: u64,
    pub(crate) process_ns: u64,
    pub(crate) wall_ns: u64,
    pub(crate) syscalls: u64,
}

/// Nanoseconds of CPU that a clock has counted.
fn cpu_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a live, writable timespec.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Readings at the begin of a run.
pub(crate) struct Meter {
    thread_ns: u64,
    process_ns: u64,
    wall_ns: u64,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self {
            thread_ns: cpu_ns(libc::CLOCK_THREAD_CPUTIME_ID),
            process_ns: cpu_ns(libc::CLOCK_PROCESS_CPUTIME_ID),
            wall_ns: cpu_ns(libc::CLOCK_MONOTONIC),
        }
    }

    /// CPU of this thread since the begin.
    pub(crate) fn thread_now(&self) -> u64 {
        cpu_ns(libc::CLOCK_THREAD_CPUTIME_ID) - self.thread_ns
    }

    pub(crate) fn stop(self, bytes: u64, syscalls: u64) -> Cost {
        Cost {
            bytes,
            syscalls,
            thread_ns: cpu_ns(libc::CLOCK_THREAD_CPUTIME_ID) - self.thread_ns,
            process_ns: cpu_ns(libc::CLOCK_PROCESS_CPUTIME_ID) - self.process_ns,
            wall_ns: cpu_ns(libc::CLOCK_MONOTONIC) - self.wall_ns,
        }
    }
}

/// Costs by variant, in the order of their first run.
#[derive(Default)]
pub(crate) struct Table {
    names: Vec<String>,
    costs: BTreeMap<String, Vec<Cost>>,
}

impl Table {
    pub(crate) fn add(&mut self, name: &str, cost: Cost) {
        if !self.costs.contains_key(name) {
            self.names.push(name.to_owned());
        }
        self.costs.entry(name.to_owned()).or_default().push(cost);
    }

    /// Prints the medians as a Markdown table.
    pub(crate) fn print(&self, title: &str) {
        println!("\n{title}\n");
        println!("| variant | thread CPU ns/MB | process CPU ns/MB | wall MB/s | syscalls/MB | rounds |");
        println!("|---|---|---|---|---|---|");
        for name in &self.names {
            let costs = &self.costs[name];
            let median = |of: fn(&Cost) -> f64| {
                let mut values: Vec<f64> = costs.iter().map(of).collect();
                values.sort_by(f64::total_cmp);
                values[values.len() / 2]
            };
            println!(
                "| {name} | {:.0} | {:.0} | {:.0} | {:.2} | {} |",
                median(|cost| cost.thread_ns as f64 / mb(cost)),
                median(|cost| cost.process_ns as f64 / mb(cost)),
                median(|cost| mb(cost) / (cost.wall_ns as f64 / 1e9)),
                median(|cost| cost.syscalls as f64 / mb(cost)),
                costs.len()
            );
        }
    }
}

fn mb(cost: &Cost) -> f64 {
    cost.bytes as f64 / 1e6
}
