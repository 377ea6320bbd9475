//! The thin edge to libc: return values become `io::Result`, descriptors become owned, EINTR is tried again.

use std::cell::Cell;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;

/// System calls of one thread, shared by its driver and its files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls(Rc<Cell<u64>>);

impl Calls {
    /// One more.
    pub(crate) fn count(&self) {
        self.0.set(self.0.get() + 1);
    }

    /// How many there were.
    pub(crate) fn get(&self) -> u64 {
        self.0.get()
    }
}

/// x86_64, aarch64.
const PAGE_BYTES_DEFAULT: u64 = 4096;
const TICKS_DEFAULT: u64 = 100;

/// Bytes of a page.
pub(crate) fn page_bytes() -> u64 {
    sysconf(libc::_SC_PAGESIZE, PAGE_BYTES_DEFAULT)
}

/// Ticks of a second in which /proc counts (USER_HZ).
pub(crate) fn ticks_per_second() -> u64 {
    sysconf(libc::_SC_CLK_TCK, TICKS_DEFAULT)
}

fn sysconf(name: i32, default: u64) -> u64 {
    // SAFETY: sysconf takes an integer and touches no memory of ours.
    u64::try_from(unsafe { libc::sysconf(name) }).ok().filter(|value| *value > 0).unwrap_or(default)
}

/// A return value of -1 as the errno it stands for.
pub(crate) fn check(value: i32) -> io::Result<i32> {
    if value < 0 { Err(io::Error::last_os_error()) } else { Ok(value) }
}

/// As [`check`], for calls that return a length.
pub(crate) fn check_len(value: isize) -> io::Result<usize> {
    usize::try_from(value).map_err(|_| io::Error::last_os_error())
}

/// Tries again while the call is interrupted by a signal.
pub(crate) fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The owner of a descriptor that a system call just made.
pub(crate) fn owned(fd: RawFd) -> OwnedFd {
    // SAFETY: callers pass a descriptor that the kernel returned to them in this moment; nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// An eventfd(2): closed on exec, its count at zero.
pub(crate) fn eventfd(flags: i32) -> io::Result<OwnedFd> {
    // SAFETY: eventfd takes two integers and touches no memory of ours.
    check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | flags) }).map(owned)
}

/// Adds one to an eventfd. A full counter is fine: it is readable already.
pub(crate) fn eventfd_add(fd: RawFd) {
    let one = 1u64;
    // SAFETY: the source is eight readable bytes on this stack frame.
    unsafe { libc::write(fd, (&raw const one).cast(), 8) };
}

/// Empties an eventfd.
pub(crate) fn eventfd_take(fd: RawFd) {
    let mut count = 0u64;
    // SAFETY: the target is eight writable bytes on this stack frame.
    unsafe { libc::read(fd, (&raw mut count).cast(), 8) };
}

/// A set of signals.
fn signal_set(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: sigset_t is plain integers, for which all zeroes is a value; sigemptyset makes it the empty set.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is a live, writable sigset_t.
    unsafe { libc::sigemptyset(&mut set) };
    for &signal in signals {
        // SAFETY: as above; an impossible signal number is refused with EINVAL and changes nothing.
        unsafe { libc::sigaddset(&mut set, signal) };
    }
    set
}

/// Blocks the signals for this thread and those that it starts.
pub(crate) fn block_signals(signals: &[i32]) -> io::Result<()> {
    let set = signal_set(signals);
    // SAFETY: `set` is a live sigset_t; the old mask is not asked for.
    let code = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

/// A signalfd(2) for the signals: non-blocking, closed on exec.
pub(crate) fn signalfd(signals: &[i32]) -> io::Result<OwnedFd> {
    let set = signal_set(signals);
    // SAFETY: `set` is a live sigset_t; -1 asks for a new descriptor.
    check(unsafe { libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) }).map(owned)
}

/// The next signal that waits at a signalfd.
pub(crate) fn signalfd_take(fd: RawFd) -> Option<i32> {
    // SAFETY: signalfd_siginfo is plain integers, for which all zeroes is a value.
    let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::signalfd_siginfo>();
    // SAFETY: the target is `size` writable bytes on this stack frame.
    let got = unsafe { libc::read(fd, (&raw mut info).cast(), size) };
    if usize::try_from(got).ok()? == size { i32::try_from(info.ssi_signo).ok() } else { None }
}

/// Random bytes of the kernel (getrandom(2)).
pub(crate) fn random_fill(bytes: &mut [u8]) {
    let mut done = 0;
    while done < bytes.len() {
        let rest = &mut bytes[done..];
        // SAFETY: the target is `rest.len()` writable bytes.
        match check_len(unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) }) {
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => panic!("getrandom(2) cannot fail with a good pointer and no flags: {error}"),
        }
    }
}

/// Read without leaving pages in the cache (linux/fs.h, since Linux 6.14).
pub(crate) const RWF_DONTCACHE: i32 = 0x80;

/// preadv2(2) into the spare capacity of `bytes`, at most `len_max`; makes it longer by what came.
pub(crate) fn pread_into(fd: RawFd, bytes: &mut Vec<u8>, offset: u64, len_max: usize, flags: i32) -> io::Result<usize> {
    let offset = i64::try_from(offset).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
    let spare = bytes.spare_capacity_mut();
    let part = libc::iovec { iov_base: spare.as_mut_ptr().cast(), iov_len: spare.len().min(len_max) };
    // SAFETY: the part is the vector's own spare capacity, writable and ours alone through the call.
    let got = retry(|| check_len(unsafe { libc::preadv2(fd, &part, 1, offset, flags) }))?;
    // SAFETY: the kernel has written `got` bytes behind the old length, inside the capacity.
    unsafe { bytes.set_len(bytes.len() + got) };
    Ok(got)
}

/// A set of cores. Numbers that no set can hold are refused.
pub(crate) fn core_set(cores: &[usize]) -> io::Result<libc::cpu_set_t> {
    // SAFETY: cpu_set_t is plain integers, for which all zeroes is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for &core in cores {
        if core >= libc::CPU_SETSIZE as usize {
            let words = format!("core {core} of the workers' cores {cores:?} is not a core");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
        }
        // SAFETY: `set` is live and writable, and the number is inside it.
        unsafe { libc::CPU_SET(core, &mut set) };
    }
    Ok(set)
}

/// Keeps this thread on a set of cores (sched_setaffinity(2)).
pub(crate) fn stay_on(set: &libc::cpu_set_t) -> io::Result<()> {
    // SAFETY: `set` is a live cpu_set_t of the length given; 0 is this thread.
    check(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), set) }).map(drop)
}
