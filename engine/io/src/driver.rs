//! The driver: what one thread asks of the kernel and how the answers come back.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::buf::{Buf, Buffers, Slice};
use crate::epoll::EpollDriver;
use crate::files::{File, Files};
use crate::job::Job;
use crate::uring::{NoUring, UringDriver};

/// Given with an operation, returned with its event. The driver does not read it.
pub type Token = u64;

/// Nanoseconds of the monotonic clock, from an origin that is fixed while the process lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

/// An open TCP connection of this driver. An id that was closed is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Socket(pub(crate) u64);

impl Socket {
    /// The name of a connection that no driver has: for who tests without one.
    #[must_use]
    pub fn of_double(number: u64) -> Self {
        Self(number)
    }
}

/// A listening TCP socket of this driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Listener(pub(crate) u64);

/// Which implementation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// io_uring.
    Uring,
    /// epoll with calls that do not wait.
    Epoll,
    /// The double: a part of a [`crate::sim::World`].
    Sim,
}

/// Which implementation is asked for (`--io`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Choice {
    /// io_uring, or epoll where io_uring is refused.
    #[default]
    Auto,
    /// io_uring or an error that says why it is refused and what to do.
    Uring,
    /// epoll.
    Epoll,
}

/// Options of a connection. `None` leaves the kernel's default. TCP_NODELAY is always set.
#[derive(Clone, Copy, Debug, Default)]
pub struct SocketOptions {
    /// SO_SNDBUF in bytes.
    pub send_buffer_bytes: Option<usize>,
    /// SO_RCVBUF in bytes.
    pub receive_buffer_bytes: Option<usize>,
}

/// What a read through the driver leaves in the page cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// As any read.
    Keep,
    /// Pages that this read brought in are dropped again (RWF_DONTCACHE; an ordinary read where that is refused).
    Drop,
}

/// One answer of the kernel.
#[derive(Debug)]
pub enum Event {
    /// A connection arrived, or accepting failed (too many open files: it goes on by itself after a pause).
    Accepted {
        /// The token given to [`Driver::accept`].
        token: Token,
        /// The connection and the peer's address.
        result: io::Result<(Socket, SocketAddr)>,
    },
    /// A connection that we asked for is open, or was refused.
    Connected {
        /// The token given to [`Driver::connect`].
        token: Token,
        /// The connection.
        result: io::Result<Socket>,
    },
    /// Bytes arrived. An empty buffer is the end of the stream.
    Received {
        /// The token given to [`Driver::recv`].
        token: Token,
        /// A pooled buffer that holds what came; dropping it gives it back to the pool.
        result: io::Result<Buf>,
    },
    /// A buffer was filled to its end by [`Driver::recv_exact`], or the stream ended or failed before that.
    Filled {
        /// The token given to [`Driver::recv_exact`].
        token: Token,
        /// The buffer, filled. `UnexpectedEof` where the stream ended early.
        result: io::Result<Buf>,
    },
    /// Everything was given to the socket, or the connection failed.
    Sent {
        /// The token given to [`Driver::send`].
        token: Token,
        /// Bytes sent: all of them.
        result: io::Result<usize>,
    },
    /// The socket takes bytes again.
    Writable {
        /// The token given to [`Driver::writable`].
        token: Token,
        /// An error where the connection failed.
        result: io::Result<()>,
    },
    /// A read of a file ended. The buffer is as long as what was read.
    Read {
        /// The token given to [`Driver::read_file`].
        token: Token,
        /// The bytes; shorter than asked only at the end of the file.
        result: io::Result<Buf>,
    },
    /// fdatasync ended.
    Synced {
        /// The token given to [`Driver::sync`].
        token: Token,
        /// The kernel's verdict; an error is final, never tried again.
        result: io::Result<()>,
    },
    /// A job ended ([`Driver::run`], [`Driver::write_back`]).
    JobDone {
        /// The token given with it.
        token: Token,
        /// The file that the job opened, where it is one that opens a file.
        result: io::Result<Option<File>>,
    },
    /// Somebody called [`Waker::wake`]. Several calls may become one event.
    Woken,
    /// A signal that [`Driver::signals`] asked for.
    Signal(i32),
}

/// What the driver did so far. For rows of results and for per-MB figures.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// System calls that this driver made, its files' included.
    pub syscalls: u64,
    /// Times the driver waited.
    pub waits: u64,
    /// Bytes received from sockets.
    pub received_bytes: u64,
    /// Bytes sent to sockets.
    pub sent_bytes: u64,
}

/// Wakes the driver's thread from any other thread.
#[derive(Clone, Debug)]
pub struct Waker(pub(crate) Bell);

/// What a waker rings.
#[derive(Clone, Debug)]
pub(crate) enum Bell {
    /// An eventfd that the driver reads.
    Eventfd(Arc<OwnedFd>),
    /// A flag that the simulated world looks at.
    Flag(Arc<AtomicBool>),
}

impl Waker {
    /// Wakes the thread: its [`Driver::wait`] returns with [`Event::Woken`]. One eventfd write, from any thread.
    pub fn wake(&self) {
        match &self.0 {
            Bell::Eventfd(eventfd) => crate::sys::eventfd_add(eventfd.as_raw_fd()),
            Bell::Flag(flag) => flag.store(true, Ordering::Release),
        }
    }
}

/// The clock as one thread sees it: one reading a turn.
pub trait Clock {
    /// The monotonic time of this turn (read when [`Driver::wait`] returned).
    fn now(&self) -> Nanos;
    /// The wall clock of this turn, milliseconds since 1970 (what Kafka's timestamps are).
    fn wall_ms(&self) -> i64;
    /// A fresh reading of the monotonic clock, for what is measured inside a turn. It costs about 50 ns.
    fn read(&self) -> Nanos;
    /// 64 random bits: of the kernel, or of the seed where the driver is the double.
    fn random(&self) -> u64;
}

/// One thread's door to the kernel. Not `Send`: it is made by [`crate::driver::open`] on the thread that uses it.
pub trait Driver: Clock {
    /// Which implementation this is.
    fn kind(&self) -> Kind;
    /// Why io_uring is not used, where it was wanted and refused.
    fn fallback_reason(&self) -> Option<&str>;
    /// The files of this thread.
    fn files(&self) -> Rc<dyn Files>;
    /// What was done so far.
    fn counters(&self) -> Counters;
    /// An empty buffer with room for `len` bytes, reused where one was given back. `buf.len()` is 0.
    fn buffer(&mut self, len: usize) -> Buf;

    /// The buffers of [`Driver::buffer`], for who does not hold the driver.
    fn buffers(&self) -> Buffers;

    /// Listens. Errors name the address (in use, not ours, not allowed).
    fn listen(&mut self, address: SocketAddr) -> io::Result<Listener>;
    /// The address a listener got (its port, where 0 was asked for).
    fn local_address(&self, listener: Listener) -> io::Result<SocketAddr>;
    /// Accepts until the listener is closed: an [`Event::Accepted`] for each connection.
    fn accept(&mut self, listener: Listener, options: SocketOptions, token: Token);
    /// Stops listening. Connections that were accepted live on.
    fn close_listener(&mut self, listener: Listener);
    /// Connects. Ends in [`Event::Connected`].
    fn connect(&mut self, address: SocketAddr, options: SocketOptions, token: Token);
    /// Receives what is there, once, into a buffer of the driver's pool. Ends in [`Event::Received`]. While all buffers
    /// of the pool are held, receives wait: let go of a buffer, or copy out of it, before a request is parked.
    /// At most one of `recv` and `recv_exact` is under way on a socket.
    fn recv(&mut self, socket: Socket, token: Token);
    /// Receives until `buf` holds `target_len` bytes; it may hold some already. Ends in [`Event::Filled`].
    fn recv_exact(&mut self, socket: Socket, buf: Buf, target_len: usize, token: Token);
    /// Sends all the parts, in order. At most one send is under way on a socket. Ends in [`Event::Sent`].
    fn send(&mut self, socket: Socket, parts: Vec<Slice>, token: Token);
    /// Sends all the parts as [`Driver::send`] does, and gives the socket what it takes now. Where that is all, it is answered
    /// here, by the number of bytes, and no event follows: one that only says so would end the next wait.
    fn send_now(&mut self, socket: Socket, parts: Vec<Slice>, token: Token) -> Option<usize>;
    /// Sends bytes of a file by reference, now, as many as the socket takes (sendfile(2); `WouldBlock` when it takes none).
    /// A range that is not in the page cache blocks the thread: probe with [`Files::residency`] first.
    fn send_file(&mut self, socket: Socket, file: &File, offset: u64, len: usize) -> io::Result<usize>;
    /// Asks for [`Event::Writable`], once.
    fn writable(&mut self, socket: Socket, token: Token);
    /// Bytes that went through a connection so far, in both directions, those of operations under way included. One system
    /// call: for who suspects a peer of having stopped.
    fn moved_bytes(&self, socket: Socket) -> io::Result<u64>;
    /// Closes. Operations under way end at once, each with its event.
    fn close(&mut self, socket: Socket);

    /// Reads `len` bytes at `offset` without blocking the thread. Ends in [`Event::Read`].
    fn read_file(&mut self, file: &File, offset: u64, len: usize, cache: Cache, token: Token);
    /// fdatasync(2) without blocking the thread. Ends in [`Event::Synced`].
    fn sync(&mut self, file: &File, token: Token);
    /// Has a range written to the disk, without blocking the thread: it ends in [`Event::JobDone`] when the disk has the bytes
    /// (sync_file_range(2), written and waited for). No promise of durability: nothing makes them findable, no cache of the
    /// disk is flushed. An error of it is not told again by a later sync.
    fn write_back(&mut self, file: &File, offset: u64, len: u64, token: Token);
    /// Does a job without blocking the thread. Ends in [`Event::JobDone`]. Jobs run side by side, in no order; those that
    /// wait when the driver is dropped are not done.
    fn run(&mut self, job: Job, token: Token);

    /// A handle with which other threads wake this one.
    fn waker(&mut self) -> io::Result<Waker>;
    /// Takes these signals (blocked by [`crate::driver::block_signals`] before the first thread) as [`Event::Signal`].
    fn signals(&mut self, signals: &[i32]) -> io::Result<()>;

    /// Submits what was asked for and waits: until an event is there, or `timeout` passed (`None`: for ever; zero: not
    /// at all). Appends the events and takes the turn's clock reading.
    fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()>;
}

/// How a driver is made.
#[derive(Clone, Debug)]
pub struct DriverOptions {
    /// Which implementation.
    pub choice: Choice,
    /// Submission queue entries (a power of two).
    pub queue_entries: u32,
    /// Number and size in bytes of the pooled receive buffers.
    pub receive_buffers: u16,
    /// Size of one pooled receive buffer in bytes.
    pub receive_buffer_bytes: usize,
    /// Bytes of large buffers that are kept when they are free, for [`Driver::buffer`].
    pub kept_buffer_bytes: usize,
    /// The cores on which the kernel's workers for this ring (IOWQ_AFF), or the helper threads under epoll, may run; empty
    /// leaves them alone.
    pub worker_cores: Vec<usize>,
}

impl Default for DriverOptions {
    fn default() -> Self {
        Self {
            choice: Choice::Auto,
            queue_entries: 256,
            receive_buffers: 64,
            receive_buffer_bytes: 64 * 1024,
            kept_buffer_bytes: 64 << 20,
            worker_cores: Vec::new(),
        }
    }
}

/// How long accepting rests after the process ran out of descriptors or memory.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Makes the driver of this thread. `Choice::Auto` takes epoll where io_uring is refused, and [`Driver::fallback_reason`]
/// says why; `Choice::Uring` gives the refusal as the error, with what to do about it.
pub fn open(options: DriverOptions) -> io::Result<Box<dyn Driver>> {
    if options.choice == Choice::Epoll {
        return Ok(Box::new(EpollDriver::new(&options, None)?));
    }
    match UringDriver::new(&options) {
        Ok(driver) => Ok(Box::new(driver)),
        Err(NoUring::Refused(error)) if options.choice == Choice::Auto => {
            Ok(Box::new(EpollDriver::new(&options, Some(error.to_string()))?))
        }
        Err(NoUring::Refused(error) | NoUring::Failed(error)) => Err(error),
    }
}

/// Blocks signals for this thread and all that it starts afterwards, so that they arrive at [`Driver::signals`] alone.
/// Call it before the first thread.
pub fn block_signals(signals: &[i32]) -> io::Result<()> {
    crate::sys::block_signals(signals)
}

/// What an operation on a socket that is closed (or never was) ends in.
pub(crate) fn no_such_socket() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOTCONN)
}

/// What operations under way end in when their socket is closed.
pub(crate) fn cancelled() -> io::Error {
    io::Error::from_raw_os_error(libc::ECANCELED)
}

/// What an exact receive ends in when the stream does first.
pub(crate) fn early_end(len: usize, target_len: usize) -> io::Error {
    let words = format!("the peer ended the stream after {len} of {target_len} bytes");
    io::Error::new(io::ErrorKind::UnexpectedEof, words)
}
