//! How long the machine kept processes from running while they could have: what a check of pace holds against a pause.
//!
//! ```text
//!   every 20 ms:  task/TID/schedstat of each thread (ns that it waited for a core), steal of /proc/stat
//!                 '--> the most that one thread waited, or the hypervisor took, within one SPAN
//! ```
//!
//! Invariant: what a thread slept, or waited for a disk or an answer, is not counted: that may be the tool's own doing.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(20);
/// A window of the checked tools, and the pause before it.
const SPAN: Duration = Duration::from_millis(500);
/// The kernel's tick in seconds: USER_HZ is 100 on every Linux.
const TICK_S: f64 = 0.01;

/// Nanoseconds that each thread waited for a core; seconds that the hypervisor took.
#[derive(Clone, Debug, Default)]
struct Look {
    waited_ns: BTreeMap<u32, u64>,
    steal_s: f64,
}

/// Watches processes until it is asked.
pub(crate) struct Watch {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<f64>,
}

impl Watch {
    pub(crate) fn start(pids: Vec<u32>) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let (mut looks, mut worst_s) = (VecDeque::new(), 0.0_f64);
            loop {
                let now = Instant::now();
                looks.push_back((now, look(&pids)));
                while looks.front().is_some_and(|(at, _)| now.duration_since(*at) > SPAN) {
                    looks.pop_front();
                }
                if let (Some((_, first)), Some((_, last))) = (looks.front(), looks.back()) {
                    worst_s = worst_s.max(held_up_s(first, last));
                }
                if stopped.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
                    return worst_s;
                }
            }
        });
        Self { stop, thread }
    }

    /// Seconds of the worst span. What cannot be known held nobody up.
    pub(crate) fn stop_s(self) -> f64 {
        drop(self.stop);
        self.thread.join().unwrap_or(0.0)
    }
}

/// Between two looks: the most of any thread, or what the hypervisor took. A thread that is new waited since it began.
fn held_up_s(first: &Look, last: &Look) -> f64 {
    let waited = |(id, ns): (&u32, &u64)| ns.saturating_sub(first.waited_ns.get(id).copied().unwrap_or(0));
    let most_ns = last.waited_ns.iter().map(waited).max().unwrap_or(0);
    (most_ns as f64 / 1e9).max(last.steal_s - first.steal_s)
}

fn look(pids: &[u32]) -> Look {
    let tasks = pids.iter().filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok()).flatten().flatten();
    let waited = tasks.filter_map(|task| {
        // A thread that ended meanwhile has waited.
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        Some((task.file_name().to_str()?.parse().ok()?, text.split_whitespace().nth(1)?.parse().ok()?))
    });
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    // cpu user nice system idle iowait irq softirq steal
    let ticks: f64 = stat.split_whitespace().nth(8).and_then(|it| it.parse().ok()).unwrap_or(0.0);
    Look { waited_ns: waited.collect(), steal_s: ticks * TICK_S }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(waited_ns: &[(u32, u64)], steal_s: f64) -> Look {
        Look { waited_ns: waited_ns.iter().copied().collect(), steal_s }
    }

    #[test]
    fn the_thread_that_waited_most_counts_and_what_the_hypervisor_took() {
        let first = seen(&[(1, 5_000_000_000), (2, 0)], 7.0);
        assert_eq!(held_up_s(&first, &seen(&[(1, 5_100_000_000), (2, 300_000_000)], 7.0)), 0.3);
        assert_eq!(held_up_s(&first, &seen(&[(1, 5_000_000_000)], 7.5)), 0.5);
        assert_eq!(held_up_s(&first, &seen(&[(9, 200_000_000)], 7.0)), 0.2, "a thread that began meanwhile");
    }

    #[test]
    fn a_process_that_sleeps_is_held_up_by_nobody_and_this_one_is_found() {
        let mut child = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let looks = [look(&[child.id()]), look(&[std::process::id()])];
        assert_eq!(looks[0].waited_ns.len(), 1);
        assert!(!looks[1].waited_ns.is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(look(&[0]).waited_ns.is_empty(), "no such process");
    }
}
