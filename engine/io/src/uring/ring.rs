//! The ring itself: made with the best flags that this kernel takes, or refused with words; submitting and waiting.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, Probe, cqueue, opcode, squeue};

use crate::driver::DriverOptions;
use crate::error::about;
use crate::sys::{Calls, core_set};

/// Completions that fit before the kernel has to set some aside, per submission entry.
const COMPLETIONS_PER_SUBMISSION: u32 = 4;
/// The kernel's workers for one ring: those for files (fdatasync, cold reads) and those for the rest.
const WORKERS_MAX: [u32; 2] = [32, 8];

/// A ring, and the submissions that did not fit into it yet.
pub(super) struct Ring {
    ring: IoUring,
    backlog: VecDeque<squeue::Entry>,
    calls: Calls,
}

/// Sets of set-up flags, the best first. Each next one leaves out what older kernels refuse with EINVAL.
const SETUPS: [fn(&mut io_uring::Builder); 4] = [
    // 6.1: completions are made when we wait for them, in our own time.
    |builder| {
        builder.setup_single_issuer().setup_defer_taskrun().setup_submit_all();
    },
    // 6.0
    |builder| {
        builder.setup_single_issuer().setup_coop_taskrun().setup_submit_all();
    },
    // 5.19
    |builder| {
        builder.setup_coop_taskrun().setup_submit_all();
    },
    |_| {},
];

/// Whether an error means that this machine does not let us have io_uring, rather than that something broke.
pub(super) fn is_refusal(errno: i32) -> bool {
    matches!(
        errno,
        libc::EPERM | libc::EACCES | libc::ENOSYS | libc::ENOMEM | libc::EINVAL | libc::EOPNOTSUPP | libc::ENOTTY
    )
}

impl Ring {
    /// A ring for this thread. The error says why there is none and what to do.
    pub(super) fn new(options: &DriverOptions, calls: Calls) -> io::Result<Self> {
        let ring = build(options.queue_entries).map_err(refused)?;
        require_features(&ring).map_err(refused)?;
        let mut ring = Self { ring, backlog: VecDeque::new(), calls };
        // A profile may let rings be made and not be used: better known now than at the first turn.
        ring.enter_once(Some(Duration::ZERO)).map_err(refused)?;
        ring.place_workers(&options.worker_cores)?;
        Ok(ring)
    }

    /// Keeps the kernel's workers on their cores and their number bounded.
    fn place_workers(&self, cores: &[usize]) -> io::Result<()> {
        let submitter = self.ring.submitter();
        submitter
            .register_iowq_max_workers(&mut WORKERS_MAX.clone())
            .map_err(|error| about("io_uring: limiting the kernel's workers", error))?;
        if cores.is_empty() {
            return Ok(());
        }
        let set = core_set(cores)?;
        submitter
            .register_iowq_aff(&set)
            .map_err(|error| about(format_args!("io_uring: keeping the kernel's workers on cores {cores:?}"), error))
    }

    /// Queues a submission.
    ///
    /// # Safety
    /// All memory and descriptors that the entry names stay valid, and what the kernel writes to is not used otherwise,
    /// until its completion was taken.
    pub(super) unsafe fn push(&mut self, entry: squeue::Entry) {
        if self.backlog.is_empty() && self.try_push(&entry) {
            return;
        }
        // The queue is full: give the kernel what is there, and go on.
        self.backlog.push_back(entry);
        if self.submit().is_ok() {
            self.move_backlog();
        }
    }

    fn try_push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: entries come from `push`, whose callers promise what they name.
        unsafe { self.ring.submission().push(entry) }.is_ok()
    }

    fn move_backlog(&mut self) {
        while let Some(entry) = self.backlog.pop_front() {
            if !self.try_push(&entry) {
                self.backlog.push_front(entry);
                return;
            }
        }
    }

    fn submit(&mut self) -> io::Result<()> {
        self.calls.count();
        self.ring.submit().map(drop)
    }

    /// Submits everything and waits for a completion, at most `timeout` (`None`: for ever, zero: not at all).
    pub(super) fn enter(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.move_backlog();
        while !self.backlog.is_empty() {
            let before = self.backlog.len();
            self.submit()?;
            self.move_backlog();
            if self.backlog.len() == before {
                break;
            }
        }
        self.calls.count();
        match self.enter_once(timeout) {
            Ok(_) => Ok(()),
            // The time is over, a signal came, or completions must be taken before the kernel takes more: not errors.
            Err(error)
                if matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN)) =>
            {
                Ok(())
            }
            Err(error) => Err(about("io_uring_enter", error)),
        }
    }

    fn enter_once(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let queued = self.ring.submission().len() as u32;
        let submitter = self.ring.submitter();
        match timeout {
            None => submitter.submit_and_wait(1),
            Some(Duration::ZERO) => {
                let flags = EnterFlags::GETEVENTS.bits();
                // SAFETY: no argument is passed; `queued` entries are in the queue, each pushed under `push`'s promise.
                unsafe { submitter.enter::<libc::sigset_t>(queued, 0, flags, None) }
            }
            Some(timeout) => {
                let limit = Timespec::from(timeout);
                submitter.submit_with_args(1, &SubmitArgs::new().timespec(&limit))
            }
        }
    }

    /// Takes the completions that are there.
    pub(super) fn take(&mut self, completions: &mut Vec<cqueue::Entry>) {
        completions.extend(self.ring.completion());
    }

    /// The raw ring, for registering.
    pub(super) fn submitter(&self) -> io_uring::Submitter<'_> {
        self.ring.submitter()
    }
}

fn build(entries: u32) -> io::Result<IoUring> {
    let mut last = io::Error::from_raw_os_error(libc::EINVAL);
    for setup in SETUPS {
        let mut builder = IoUring::builder();
        builder.dontfork().setup_clamp();
        builder.setup_cqsize(entries.saturating_mul(COMPLETIONS_PER_SUBMISSION));
        setup(&mut builder);
        match builder.build(entries) {
            Ok(ring) => return Ok(ring),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// What this driver cannot do without: asked for, not guessed from a version.
fn require_features(ring: &IoUring) -> io::Result<()> {
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    let operations = [
        opcode::AcceptMulti::CODE,
        opcode::Connect::CODE,
        opcode::Recv::CODE,
        opcode::Send::CODE,
        opcode::SendMsg::CODE,
        opcode::Read::CODE,
        opcode::Fsync::CODE,
        opcode::PollAdd::CODE,
        opcode::AsyncCancel2::CODE,
    ];
    let params = ring.params();
    let complete = params.is_feature_nodrop()
        && params.is_feature_ext_arg()
        && params.is_feature_fast_poll()
        && operations.iter().all(|code| probe.is_supported(*code));
    if complete { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EINVAL)) }
}

/// The words for an errno of setting up.
pub(super) fn refused(error: io::Error) -> io::Error {
    let disabled = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    about(format_args!("io_uring is refused here: {}", advice(error.raw_os_error(), disabled.trim())), error)
}

fn advice(errno: Option<i32>, disabled: &str) -> String {
    match errno {
        Some(libc::EPERM | libc::EACCES) if disabled == "1" || disabled == "2" => {
            format!("sysctl kernel.io_uring_disabled is {disabled}; set it to 0 (1 lets io_uring_group in)")
        }
        Some(libc::EPERM | libc::EACCES) => {
            "a seccomp profile or security module denies it; allow io_uring_setup, io_uring_enter and io_uring_register \
             (containers: --security-opt seccomp=unconfined or =<profile>; Kubernetes: seccompProfile; systemd: SystemCallFilter=)"
                .to_owned()
        }
        Some(libc::ENOSYS) => {
            "the kernel has no io_uring (CONFIG_IO_URING) or a seccomp profile hides it; allow io_uring_setup, \
             io_uring_enter and io_uring_register there"
                .to_owned()
        }
        Some(libc::ENOMEM) => {
            "not enough lockable memory; raise the memlock limit (ulimit -l, LimitMEMLOCK=, --ulimit memlock=-1)"
                .to_owned()
        }
        Some(libc::EINVAL | libc::EOPNOTSUPP | libc::ENOTTY) => {
            "this kernel's io_uring is too old; Linux 5.19 or newer is needed, 6.1 or newer is better".to_owned()
        }
        _ => "setting it up failed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_says_what_to_do() {
        assert!(advice(Some(libc::EPERM), "2").contains("kernel.io_uring_disabled is 2"));
        assert!(advice(Some(libc::EPERM), "0").contains("seccomp"));
        assert!(advice(Some(libc::ENOSYS), "").contains("seccomp"));
        assert!(advice(Some(libc::ENOMEM), "0").contains("memlock"));
        assert!(advice(Some(libc::EINVAL), "0").contains("5.19"));
        for errno in [libc::EPERM, libc::ENOSYS, libc::ENOMEM, libc::EINVAL] {
            assert!(is_refusal(errno));
        }
        assert!(!is_refusal(libc::EMFILE));
    }
}
