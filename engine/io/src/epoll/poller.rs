//! epoll(7) itself: registering and waiting, with the kernel's bits read into names.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use crate::sys::{check, owned};

/// Answers that one wait takes.
const EVENTS_MAX: usize = 256;

/// What the kernel says about one registered descriptor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    /// The key it was registered with.
    pub(crate) key: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer ended its direction, or the connection failed: calls do not block any more.
    pub(crate) hung_up: bool,
    /// Sending fails.
    pub(crate) failed: bool,
}

/// An epoll instance.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Poller {
    /// An instance without descriptors.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: epoll_create1 takes an integer.
        let epoll = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }).map(owned)?;
        Ok(Self { epoll, events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX] })
    }

    /// Registers a connection: edges of both directions. It is forgotten when its descriptor is closed.
    pub(crate) fn add_connection(&self, fd: RawFd, key: u64) -> io::Result<()> {
        self.add(fd, libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET, key)
    }

    /// Registers a descriptor that is told of as long as it is readable.
    pub(crate) fn add_source(&self, fd: RawFd, key: u64) -> io::Result<()> {
        self.add(fd, libc::EPOLLIN, key)
    }

    fn add(&self, fd: RawFd, interest: i32, key: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest as u32, u64: key };
        // SAFETY: `event` is a live epoll_event; both descriptors are open.
        check(unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) }).map(drop)
    }

    /// Forgets a descriptor.
    pub(crate) fn remove(&self, fd: RawFd) {
        // SAFETY: removing takes no event (Linux 2.6.9). A descriptor that is not registered is as we want it.
        unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut()) };
    }

    /// Waits at most `timeout` (`None`: for ever) and appends what is ready. A signal ends the wait with nothing.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        let count = match self.wait_raw(timeout) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        ready.extend(self.events[..count].iter().map(read_event));
        Ok(())
    }

    /// epoll_pwait2(2) counts nanoseconds; kernels before 5.11 have only milliseconds.
    fn wait_raw(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let fd = self.epoll.as_raw_fd();
        let events = self.events.as_mut_ptr();
        let limit = timeout.map(timespec);
        let limit_pointer = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: `events` has room for EVENTS_MAX answers, the timeout lives through the call, no signal mask is given.
        let count = unsafe {
            let no_mask = std::ptr::null::<libc::sigset_t>();
            libc::syscall(libc::SYS_epoll_pwait2, fd, events, EVENTS_MAX as i32, limit_pointer, no_mask, 0usize)
        };
        match usize::try_from(count) {
            Ok(count) => Ok(count),
            Err(_) => match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::ENOSYS) => self.wait_ms(timeout),
                error => Err(error),
            },
        }
    }

    fn wait_ms(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let ms = timeout.map_or(-1, |limit| i32::try_from(limit.as_micros().div_ceil(1000)).unwrap_or(i32::MAX));
        let events = self.events.as_mut_ptr();
        // SAFETY: `events` has room for EVENTS_MAX answers.
        let count = check(unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events, EVENTS_MAX as i32, ms) })?;
        Ok(usize::try_from(count).unwrap_or(0))
    }
}

fn timespec(limit: Duration) -> libc::timespec {
    let seconds = libc::time_t::try_from(limit.as_secs()).unwrap_or(libc::time_t::MAX);
    libc::timespec { tv_sec: seconds, tv_nsec: i64::from(limit.subsec_nanos()) }
}

fn read_event(event: &libc::epoll_event) -> Ready {
    let has = |bits: i32| event.events & bits as u32 != 0;
    Ready {
        key: event.u64,
        readable: has(libc::EPOLLIN),
        writable: has(libc::EPOLLOUT),
        hung_up: has(libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR),
        failed: has(libc::EPOLLHUP | libc::EPOLLERR),
    }
}
