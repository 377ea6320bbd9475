//! The production driver: io_uring, one ring for one thread.
//!
//! ```text
//!   recv, send, ... --> Op in the slab, entry in the submission queue
//!   wait --> io_uring_enter (one a turn) --> completions --> Op out of the slab --> Event
//!                                                 |
//!                                                 +--> short: the rest is submitted again, no event
//! ```
//!
//! Invariants:
//! - An [`Op`] owns every byte and descriptor that its entry names, and leaves the slab only when its completion was taken.
//! - A connection that was closed has no id any more; its operations are cancelled and end in ECANCELED, and its
//!   descriptor is closed with the last of them.
//! - Dropping the driver cancels and waits; what the kernel will not let go of is leaked, never freed.

mod complete;
mod op;
mod pool;
mod ring;
mod start;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fd, FsyncFlags};
use io_uring::{cqueue, opcode};

use self::complete::outcome;
use self::op::{Message, Op};
use self::pool::ReceiveRing;
use self::ring::Ring;
use crate::buf::{Buf, Buffers, FreeList, Slice};
use crate::clock::{KeepsTime, Patience, TurnClock, later, shorter};
use crate::driver::{
    Bell, Cache, Clock, Counters, Driver, DriverOptions, Event, Kind, Listener, Nanos, Socket, SocketOptions, Token,
    Waker, cancelled, no_such_socket,
};
use crate::error::{about, at_path};
use crate::files::os::{OsFiles, WRITE_BACK, os_file};
use crate::files::{File, Files};
use crate::helper::{Helper, Work};
use crate::job::Job;
use crate::net;
use crate::sendlist::SendList;
use crate::slab::Slab;
use crate::sys::{self, Calls, RWF_DONTCACHE};

/// Completions that nobody waits for.
const NOBODY: u64 = u64::MAX;
/// How long dropping the driver waits for operations that the kernel cannot cancel (reads from a slow disk).
const DRAIN_PATIENCE: Duration = Duration::from_secs(5);
/// Parts of messages kept for the next sends.
const MESSAGES_KEPT: usize = 64;

struct Connection {
    fd: Rc<OwnedFd>,
    /// The last receive left bytes in the socket.
    more_waits: bool,
    /// From how many bytes on the socket counts as readable (SO_RCVLOWAT).
    low_water: usize,
}

struct Listening {
    fd: Rc<OwnedFd>,
    accepting: Option<(SocketOptions, Token)>,
}

/// The driver over io_uring.
pub(crate) struct UringDriver {
    ring: Ring,
    ops: Slab<Op>,
    connections: Slab<Connection>,
    listeners: Slab<Listening>,
    /// Listeners that ran out of something, and when they go on.
    paused: Vec<(Nanos, u64)>,
    /// Receives that found no free buffer.
    starved: Vec<(u64, Token)>,
    /// Events of calls that ended at once.
    ready: Vec<Event>,
    receive_ring: Rc<ReceiveRing>,
    free: Rc<FreeList>,
    files: Rc<OsFiles>,
    /// Threads for jobs, from the first one on; and who waits for each.
    helper: Option<Helper>,
    jobs: Slab<Token>,
    worker_cores: Vec<usize>,
    waker: Option<Arc<OwnedFd>>,
    signals: Option<Rc<OwnedFd>>,
    /// Devices whose file system refused RWF_DONTCACHE.
    cannot_drop: Vec<u64>,
    #[allow(clippy::vec_box, reason = "the kernel has their addresses while they are lent to an operation")]
    messages: Vec<Box<Message>>,
    completions: Vec<cqueue::Entry>,
    /// Room for the parts of a send that is made at once; empty between calls.
    vectors: Vec<libc::iovec>,
    clock: TurnClock,
    calls: Calls,
    counters: Counters,
}

/// Why there is no driver.
pub(crate) enum NoUring {
    /// This machine does not let us have io_uring.
    Refused(io::Error),
    /// Something else failed.
    Failed(io::Error),
}

impl UringDriver {
    /// A driver for this thread.
    pub(crate) fn new(options: &DriverOptions) -> Result<Self, NoUring> {
        let sort = |error: io::Error| match crate::error::errno(&error) {
            Some(errno) if ring::is_refusal(errno) => NoUring::Refused(error),
            _ => NoUring::Failed(error),
        };
        let calls = Calls::default();
        let ring = Ring::new(options, calls.clone()).map_err(sort)?;
        let receive_ring =
            ReceiveRing::register(&ring.submitter(), options.receive_buffers, options.receive_buffer_bytes)
                .map_err(ring::refused)
                .map_err(sort)?;
        Ok(Self {
            ring,
            ops: Slab::default(),
            connections: Slab::default(),
            listeners: Slab::default(),
            paused: Vec::new(),
            starved: Vec::new(),
            ready: Vec::new(),
            receive_ring,
            free: FreeList::new(options.kept_buffer_bytes),
            files: Rc::new(OsFiles::counted(calls.clone())),
            helper: None,
            jobs: Slab::default(),
            worker_cores: options.worker_cores.clone(),
            waker: None,
            signals: None,
            cannot_drop: Vec::new(),
            messages: Vec::new(),
            completions: Vec::new(),
            vectors: Vec::new(),
            clock: TurnClock::new(),
            calls,
            counters: Counters::default(),
        })
    }

    /// The kernel gets buffers, and receives that waited for one go on, as many as there are buffers.
    fn feed_starved(&mut self) {
        let count = self.starved.len().min(self.receive_ring.free());
        self.receive_ring.fill_up(count);
        if count > 0 {
            let fed: Vec<(u64, Token)> = self.starved.drain(..count).collect();
            for (socket, token) in fed {
                self.start_receive(socket, token);
            }
        }
    }

    /// Lets listeners whose pause is over go on; gives the time until the next one's is.
    fn resume_listeners(&mut self) -> Option<Duration> {
        if self.paused.is_empty() {
            return None;
        }
        let now = self.clock.read();
        let mut due = Vec::new();
        self.paused.retain(|&(until, listener)| {
            if until <= now {
                due.push(listener);
            }
            until > now
        });
        for listener in due {
            self.start_accept(listener);
        }
        self.paused.iter().map(|(until, _)| Duration::from_nanos(until.0 - now.0)).min()
    }

    /// The flags for a read that is to leave nothing in the page cache.
    fn drop_flags(&self, file: &File) -> i32 {
        let refused = !self.cannot_drop.is_empty()
            && self.files.device(file).is_some_and(|device| self.cannot_drop.contains(&device));
        if refused { 0 } else { RWF_DONTCACHE }
    }

    /// Gives the helper threads a job; the first one makes them.
    fn submit_job(&mut self, id: u64, job: Job) -> io::Result<()> {
        if self.helper.is_none() {
            self.helper = Some(Helper::new(&self.worker_cores)?);
            self.start_answers();
        }
        self.helper.as_mut().map_or(Ok(()), |helper| helper.submit(id, Work::Job(job)))
    }

    /// Submits, waits at most `timeout`, and handles what completed.
    fn turn(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        let result = self.ring.enter(timeout);
        self.clock.turn();
        let mut completions = std::mem::take(&mut self.completions);
        self.ring.take(&mut completions);
        for completion in completions.drain(..) {
            self.complete(&completion, events);
        }
        self.completions = completions;
        result
    }

    /// Cancels everything and waits until the kernel has let go of it. Whether it has.
    fn drain(&mut self) -> bool {
        let cancel = opcode::AsyncCancel2::new(CancelBuilder::any()).build().user_data(NOBODY);
        // SAFETY: the entry names no memory and no descriptor.
        unsafe { self.ring.push(cancel) };
        let deadline = later(self.clock.read(), DRAIN_PATIENCE);
        while self.ops.len() > 0 && self.clock.read() < deadline {
            if self.ring.enter(Some(Duration::from_millis(50))).is_err() {
                return false;
            }
            let mut completions = Vec::new();
            self.ring.take(&mut completions);
            for completion in &completions {
                self.let_go(completion);
            }
        }
        self.ops.len() == 0
    }

    /// Ends an operation whose event nobody will see.
    fn let_go(&mut self, completion: &cqueue::Entry) {
        let id = completion.user_data();
        if let (Some(Op::Accept { .. }), Ok(fd)) = (self.ops.get(id), outcome(completion.result())) {
            drop(sys::owned(fd as i32));
        }
        if !cqueue::more(completion.flags()) && self.ops.remove(id).is_some() {}
    }
}

fn name_file(verb: &str, file: &File, error: io::Error) -> io::Error {
    match os_file(file) {
        Ok(os) => at_path(verb, &os.path, error),
        Err(_) => error,
    }
}

impl Drop for UringDriver {
    fn drop(&mut self) {
        if !self.drain() {
            // The kernel may still write: the memory stays where it is for ever.
            std::mem::forget(std::mem::take(&mut self.ops));
            std::mem::forget(Rc::clone(&self.receive_ring));
        }
    }
}

impl KeepsTime for UringDriver {
    fn clock(&self) -> &TurnClock {
        &self.clock
    }
}

impl Driver for UringDriver {
    fn kind(&self) -> Kind {
        Kind::Uring
    }

    fn fallback_reason(&self) -> Option<&str> {
        None
    }

    fn files(&self) -> Rc<dyn Files> {
        self.files.clone()
    }

    fn counters(&self) -> Counters {
        Counters { syscalls: self.calls.get(), ..self.counters }
    }

    fn buffer(&mut self, len: usize) -> Buf {
        self.free.buffer(len)
    }

    fn buffers(&self) -> Buffers {
        Buffers(Rc::clone(&self.free))
    }

    fn listen(&mut self, address: SocketAddr) -> io::Result<Listener> {
        let fd = Rc::new(net::listen(address)?);
        Ok(Listener(self.listeners.insert(Listening { fd, accepting: None })))
    }

    fn local_address(&self, listener: Listener) -> io::Result<SocketAddr> {
        let listening = self.listeners.get(listener.0).ok_or_else(no_such_socket)?;
        net::local_address(listening.fd.as_raw_fd())
    }

    fn accept(&mut self, listener: Listener, options: SocketOptions, token: Token) {
        match self.listeners.get_mut(listener.0) {
            Some(listening) => {
                listening.accepting = Some((options, token));
                self.start_accept(listener.0);
            }
            None => self.ready.push(Event::Accepted { token, result: Err(no_such_socket()) }),
        }
    }

    fn close_listener(&mut self, listener: Listener) {
        let Some(listening) = self.listeners.remove(listener.0) else { return };
        self.paused.retain(|(_, paused)| *paused != listener.0);
        if Rc::strong_count(&listening.fd) > 1 {
            // The port is free at once, not only when the accept has ended.
            net::shutdown(listening.fd.as_raw_fd());
            self.start_cancel(listening.fd);
        }
    }

    fn connect(&mut self, address: SocketAddr, options: SocketOptions, token: Token) {
        self.calls.count();
        if let Err(error) = self.start_connect(address, options, token) {
            self.ready.push(Event::Connected { token, result: Err(error) });
        }
    }

    fn recv(&mut self, socket: Socket, token: Token) {
        self.start_receive(socket.0, token);
    }

    fn recv_exact(&mut self, socket: Socket, mut buf: Buf, target_len: usize, token: Token) {
        if self.connections.get(socket.0).is_some() && buf.len() >= target_len {
            return self.ready.push(Event::Filled { token, result: Ok(buf) });
        }
        let missing = target_len.saturating_sub(buf.len());
        buf.vec().reserve_exact(missing);
        self.start_fill(socket.0, buf, target_len, token);
    }

    fn send(&mut self, socket: Socket, parts: Vec<Slice>, token: Token) {
        let list = SendList::new(parts, token);
        if list.is_done() && self.connections.get(socket.0).is_some() {
            return self.ready.push(Event::Sent { token, result: Ok(0) });
        }
        self.start_send(socket.0, list, None);
    }

    fn send_now(&mut self, socket: Socket, parts: Vec<Slice>, token: Token) -> Option<usize> {
        let Some(connection) = self.connections.get(socket.0) else {
            self.ready.push(Event::Sent { token, result: Err(no_such_socket()) });
            return None;
        };
        let mut list = SendList::new(parts, token);
        match list.give(connection.fd.as_raw_fd(), &mut self.vectors, &self.calls, &mut self.counters) {
            Ok(true) => return Some(list.total_bytes()),
            Ok(false) => self.start_send(socket.0, list, None),
            Err(error) => self.ready.push(Event::Sent { token, result: Err(error) }),
        }
        None
    }

    fn send_file(&mut self, socket: Socket, file: &File, offset: u64, len: usize) -> io::Result<usize> {
        let connection = self.connections.get(socket.0).ok_or_else(no_such_socket)?;
        self.calls.count();
        let sent = net::send_file(connection.fd.as_raw_fd(), os_file(file)?.fd.as_raw_fd(), offset, len)?;
        self.counters.sent_bytes += sent as u64;
        Ok(sent)
    }

    fn moved_bytes(&self, socket: Socket) -> io::Result<u64> {
        let connection = self.connections.get(socket.0).ok_or_else(no_such_socket)?;
        self.calls.count();
        net::moved_bytes(connection.fd.as_raw_fd())
    }

    fn writable(&mut self, socket: Socket, token: Token) {
        let Some(connection) = self.connections.get(socket.0) else {
            return self.ready.push(Event::Writable { token, result: Err(no_such_socket()) });
        };
        let raw = Fd(connection.fd.as_raw_fd());
        let op = Op::Writable { socket: socket.0, fd: Rc::clone(&connection.fd), token };
        self.start(op, |_| opcode::PollAdd::new(raw, libc::POLLOUT as u32).build());
    }

    fn close(&mut self, socket: Socket) {
        let Some(connection) = self.connections.remove(socket.0) else { return };
        self.calls.count();
        let ready = &mut self.ready;
        self.starved.retain(|&(starved, token)| {
            if starved == socket.0 {
                ready.push(Event::Received { token, result: Err(cancelled()) });
            }
            starved != socket.0
        });
        if Rc::strong_count(&connection.fd) > 1 {
            net::shutdown(connection.fd.as_raw_fd());
            self.start_cancel(connection.fd);
        }
    }

    fn read_file(&mut self, file: &File, offset: u64, len: usize, cache: Cache, token: Token) {
        // A position of -1 would mean "where the file stands" to the kernel.
        if i64::try_from(offset.saturating_add(len as u64)).is_err() {
            let error = name_file("reading", file, io::Error::from_raw_os_error(libc::EFBIG));
            return self.ready.push(Event::Read { token, result: Err(error) });
        }
        let flags = if cache == Cache::Drop { self.drop_flags(file) } else { 0 };
        let buf = self.free.buffer(len);
        self.start_read(Op::Read { file: file.clone(), buf, offset, len, flags, token });
    }

    fn sync(&mut self, file: &File, token: Token) {
        let raw = match os_file(file) {
            Ok(os) => Fd(os.fd.as_raw_fd()),
            Err(error) => return self.ready.push(Event::Synced { token, result: Err(error) }),
        };
        let op = Op::Sync { file: file.clone(), token };
        self.start(op, |_| opcode::Fsync::new(raw).flags(FsyncFlags::DATASYNC).build());
    }

    fn write_back(&mut self, file: &File, offset: u64, len: u64, token: Token) {
        let raw = match os_file(file) {
            Ok(os) => Fd(os.fd.as_raw_fd()),
            Err(error) => return self.ready.push(Event::JobDone { token, result: Err(error) }),
        };
        // A length beyond 32 bits becomes 0, which is "to the end of the file".
        let len = u32::try_from(len).unwrap_or(0);
        let op = Op::Writeback { file: file.clone(), token };
        self.start(op, |_| opcode::SyncFileRange::new(raw, len).offset(offset).flags(WRITE_BACK).build());
    }

    fn run(&mut self, job: Job, token: Token) {
        let id = self.jobs.insert(token);
        if let Err(error) = self.submit_job(id, job) {
            self.jobs.remove(id);
            let error = about("starting a helper thread", error);
            self.ready.push(Event::JobDone { token, result: Err(error) });
        }
    }

    fn waker(&mut self) -> io::Result<Waker> {
        if let Some(waker) = &self.waker {
            return Ok(Waker(Bell::Eventfd(Arc::clone(waker))));
        }
        // Read by the ring, which would not wait on a non-blocking one.
        let waker = Arc::new(sys::eventfd(0)?);
        self.waker = Some(Arc::clone(&waker));
        self.start_wake(Arc::clone(&waker), Box::new(0));
        Ok(Waker(Bell::Eventfd(waker)))
    }

    fn signals(&mut self, signals: &[i32]) -> io::Result<()> {
        let fd = Rc::new(sys::signalfd(signals)?);
        if let Some(old) = self.signals.replace(Rc::clone(&fd)) {
            self.start_cancel(old);
        }
        self.start_signals(fd);
        Ok(())
    }

    fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        let before = events.len();
        let mut patience = Patience::new(timeout, &self.clock);
        self.counters.waits += 1;
        loop {
            self.feed_starved();
            let pause = self.resume_listeners();
            events.append(&mut self.ready);
            let limit = if events.len() > before { Some(Duration::ZERO) } else { patience.left(&self.clock) };
            self.turn(shorter(limit, pause), events)?;
            events.append(&mut self.ready);
            if events.len() > before || patience.is_over(&self.clock) {
                return Ok(());
            }
        }
    }
}
