//! Processor time as the scheduler counts it, in nanoseconds.
//!
//! ```text
//!   clock_getcpuclockid(pid)   a process: every thread that it has or had, the kernel's workers of its rings among them
//!   CLOCK_THREAD_CPUTIME_ID    the thread that asks, to the nanosecond
//! ```
//!
//! What a running thread of another process used since its core's last timer tick (1 to 10 ms, CONFIG_HZ) is not in its
//! process's clock yet. Nothing is lost by that: the next reading has it.

use std::io;

use crate::sys;

/// Nanoseconds of a second.
const SECOND_NS: u64 = 1_000_000_000;

/// Nanoseconds that all threads of a process ran so far, those that ended too (clock_getcpuclockid(3)).
pub fn process_ns(pid: u32) -> io::Result<u64> {
    let name = |error: io::Error| io::Error::new(error.kind(), format!("no process {pid}: {error}"));
    let id = libc::pid_t::try_from(pid).map_err(|_| name(io::Error::from_raw_os_error(libc::ESRCH)))?;
    let mut clock: libc::clockid_t = 0;
    // SAFETY: `clock` is a writable clockid_t that lives through the call; the process is named by its number only.
    match unsafe { libc::clock_getcpuclockid(id, &mut clock) } {
        0 => read(clock).map_err(name),
        code => Err(name(io::Error::from_raw_os_error(code))),
    }
}

/// Nanoseconds that the calling thread ran so far.
pub fn thread_ns() -> io::Result<u64> {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn read(clock: libc::clockid_t) -> io::Result<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a writable timespec that lives through the call.
    sys::check(unsafe { libc::clock_gettime(clock, &mut time) })?;
    let parts = u64::try_from(time.tv_sec).ok().zip(u64::try_from(time.tv_nsec).ok());
    let (seconds, ns) = parts.ok_or_else(|| io::Error::other("a processor clock before zero"))?;
    Ok(seconds.saturating_mul(SECOND_NS).saturating_add(ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Works until this thread ran so long.
    fn work(ns: u64) {
        let begin = thread_ns().expect("clock");
        while thread_ns().expect("clock") < begin + ns {}
    }

    #[test]
    fn a_thread_that_ended_stays_in_its_process_and_is_not_this_one() {
        let (process, own) = (process_ns(std::process::id()).expect("process"), thread_ns().expect("thread"));
        std::thread::spawn(|| work(30_000_000)).join().expect("thread");
        assert!(process_ns(std::process::id()).expect("process") >= process + 30_000_000);
        assert!(thread_ns().expect("thread") < own + 30_000_000, "only what this thread ran");
    }

    #[test]
    fn another_process_is_read_by_its_number_and_a_missing_one_is_named() {
        assert!(process_ns(1).expect("init") > 0);
        let error = process_ns(u32::MAX).expect_err("no such process").to_string();
        assert!(error.contains("4294967295"), "{error}");
    }
}
