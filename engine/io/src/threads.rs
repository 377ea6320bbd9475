//! Places of threads: which cores there are, and putting a thread on one; a network of a thread's own; whether a thread waits
//! for a disk.

use std::io;

use core_affinity::CoreId;

use crate::sys;

/// The numbers of the cores that this thread may run on (its affinity mask), in order.
#[must_use]
pub fn cores() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect()
}

/// How many cores this thread may run on; at least one.
#[must_use]
pub fn core_count() -> usize {
    cores().len().max(1)
}

/// Keeps this thread on one core. Threads that it starts afterwards inherit the place.
pub fn pin_to_core(core: usize) -> io::Result<()> {
    if core_affinity::set_for_current(CoreId { id: core }) {
        return Ok(());
    }
    let words =
        format!("cannot run on core {core}: this process may use {:?} (see taskset -p, cgroup cpusets)", cores());
    Err(io::Error::new(io::ErrorKind::InvalidInput, words))
}

/// Gives this thread a network of its own (unshare(2), CLONE_NEWNET): a loopback that is down, and nothing else. Threads and
/// processes that it starts afterwards are in it too; it is gone with the last of them. Wants CAP_SYS_ADMIN.
pub fn into_own_network() -> io::Result<()> {
    // SAFETY: it takes an integer. Of what the thread shares with others only the network is left.
    sys::check(unsafe { libc::unshare(libc::CLONE_NEWNET) }).map(|_| ())
}

/// A thread of this process, as the kernel numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadId(libc::pid_t);

/// What a thread does now (proc(5), the third field of `stat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadState {
    /// D: it waits in the kernel and nothing but what it waits for ends that, a disk as a rule.
    Blocked,
    /// S: it waits for what may be long in coming.
    Asleep,
    /// It runs, or waits for a core.
    Other,
}

impl ThreadId {
    /// The thread that asks.
    #[must_use]
    pub fn this() -> Self {
        // SAFETY: gettid takes nothing and cannot fail.
        Self(unsafe { libc::gettid() })
    }

    /// What it does; `None` where it ended.
    #[must_use]
    pub fn state(self) -> Option<ThreadState> {
        let stat = self.read("stat")?;
        // Its name, in brackets, may hold anything.
        let (_, behind_name) = stat.rsplit_once(')')?;
        Some(match behind_name.trim_start().as_bytes().first() {
            Some(b'D') => ThreadState::Blocked,
            Some(b'S') => ThreadState::Asleep,
            _ => ThreadState::Other,
        })
    }

    /// The kernel's function that it waits in, where the kernel tells.
    #[must_use]
    pub fn waits_in(self) -> Option<String> {
        self.read("wchan")
    }

    fn read(self, name: &str) -> Option<String> {
        std::fs::read_to_string(format!("/proc/self/task/{}/{name}", self.0)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_runs_does_not_wait_for_a_disk_and_one_that_ended_is_nobody() {
        let ended = std::thread::spawn(|| {
            let this = ThreadId::this();
            assert_eq!(this.state(), Some(ThreadState::Other));
            this
        });
        let ended = ended.join().expect("thread");
        assert_eq!((ended.state(), ended.waits_in()), (None, None));
    }

    #[test]
    fn a_network_of_its_own_has_nobody_elses_interfaces() {
        let names = || {
            let list = std::fs::read_to_string("/proc/thread-self/net/dev").expect("interfaces");
            list.lines()
                .skip(2)
                .map(|it| it.split(':').next().unwrap_or_default().trim().to_owned())
                .collect::<Vec<_>>()
        };
        let before = names();
        let seen = std::thread::spawn(move || into_own_network().map(|()| names())).join().expect("thread");
        match seen {
            Ok(own) => assert_eq!(own, ["lo"]),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}"),
        }
        assert_eq!(names(), before, "the thread that did not ask stays where it was");
    }

    #[test]
    fn a_pinned_thread_sees_one_core() {
        let last = *cores().last().expect("a core");
        let seen = std::thread::spawn(move || {
            pin_to_core(last).expect("an allowed core");
            cores()
        });
        assert_eq!(seen.join().expect("thread"), [last]);
    }

    #[test]
    fn a_core_that_is_not_there_is_refused_by_number() {
        let refused = std::thread::spawn(|| pin_to_core(1023)).join().expect("thread");
        assert!(refused.expect_err("no such core").to_string().contains("1023"));
    }
}
