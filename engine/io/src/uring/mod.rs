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

mod op;
mod pool;
mod ring;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fd, FsyncFlags};
use io_uring::{cqueue, opcode, squeue};

use self::op::{Message, Op, TRANSFER_BYTES_MAX};
use self::pool::{GROUP, ReceiveRing};
use self::ring::Ring;
use crate::buf::{Buf, FreeList, Slice};
use crate::clock::{TurnClock, later};
use crate::driver::{
    ACCEPT_PAUSE, Cache, Clock, Counters, Driver, DriverOptions, Event, FREE_BYTES_MAX, Kind, Listener, Nanos, Socket,
    SocketOptions, Token, Waker, cancelled, early_end, no_such_socket,
};
use crate::error::at_path;
use crate::files::os::{OsFiles, os_file};
use crate::files::{File, Files};
use crate::net::{self, RawAddress};
use crate::sendlist::SendList;
use crate::slab::Slab;
use crate::sys::{self, Calls, RWF_DONTCACHE};

/// Completions that nobody waits for.
const NOBODY: u64 = u64::MAX;
/// Wait for readiness before the first try (linux/io_uring.h): saves the try where nothing is there.
const POLL_FIRST: u16 = 1;
/// How long dropping the driver waits for operations that the kernel cannot cancel (reads from a slow disk).
const DRAIN_PATIENCE: Duration = Duration::from_secs(5);
/// Parts of messages kept for the next sends.
const MESSAGES_KEPT: usize = 64;

struct Connection {
    fd: Rc<OwnedFd>,
    /// The last receive left bytes in the socket.
    more_waits: bool,
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
    waker: Option<Arc<OwnedFd>>,
    signals: Option<Rc<OwnedFd>>,
    /// Devices whose file system refused RWF_DONTCACHE.
    cannot_drop: Vec<u64>,
    #[allow(clippy::vec_box, reason = "the kernel has their addresses while they are lent to an operation")]
    messages: Vec<Box<Message>>,
    completions: Vec<cqueue::Entry>,
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
            free: FreeList::new(FREE_BYTES_MAX),
            files: Rc::new(OsFiles::counted(calls.clone())),
            waker: None,
            signals: None,
            cannot_drop: Vec::new(),
            messages: Vec::new(),
            completions: Vec::new(),
            clock: TurnClock::new(),
            calls,
            counters: Counters::default(),
        })
    }

    /// Keeps the operation and queues the entry that `entry` makes of it.
    fn start(&mut self, op: Op, entry: impl FnOnce(&mut Op) -> squeue::Entry) {
        let id = self.ops.insert(op);
        let Some(op) = self.ops.get_mut(id) else { return };
        let entry = entry(op).user_data(id);
        // SAFETY: everything that entries of this module name is owned by their operation (heap memory whose place does
        // not change when the operation moves, and open descriptors), which stays in the slab, untouched, until its
        // completion was taken.
        unsafe { self.ring.push(entry) };
    }

    fn start_accept(&mut self, listener: u64) {
        let Some(listening) = self.listeners.get(listener) else { return };
        let op = Op::Accept { listener, fd: Rc::clone(&listening.fd) };
        let raw = Fd(listening.fd.as_raw_fd());
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        self.start(op, |_| opcode::AcceptMulti::new(raw).flags(flags).build());
    }

    fn start_connect(&mut self, address: SocketAddr, options: SocketOptions, token: Token) -> io::Result<()> {
        let fd = net::tcp_socket(address)?;
        net::set_options(fd.as_raw_fd(), options)?;
        let raw = Fd(fd.as_raw_fd());
        let address = Box::new(RawAddress::from(address));
        let (pointer, len) = (address.pointer(), address.len());
        let op = Op::Connect { fd: Rc::new(fd), address, token };
        self.start(op, |_| opcode::Connect::new(raw, pointer, len).build());
        Ok(())
    }

    fn start_receive(&mut self, socket: u64, token: Token) {
        let Some(connection) = self.connections.get_mut(socket) else {
            return self.ready.push(Event::Received { token, result: Err(no_such_socket()) });
        };
        let raw = Fd(connection.fd.as_raw_fd());
        let ioprio = if std::mem::take(&mut connection.more_waits) { 0 } else { POLL_FIRST };
        let len = self.receive_ring.buffer_bytes().min(TRANSFER_BYTES_MAX) as u32;
        let op = Op::Receive { socket, fd: Rc::clone(&connection.fd), token };
        self.start(op, |_| {
            let entry = opcode::Recv::new(raw, std::ptr::null_mut(), len).buf_group(GROUP).ioprio(ioprio).build();
            entry.flags(squeue::Flags::BUFFER_SELECT)
        });
    }

    fn start_fill(&mut self, socket: u64, buf: Buf, target_len: usize, token: Token) {
        let Some(connection) = self.connections.get_mut(socket) else {
            return self.ready.push(Event::Filled { token, result: Err(no_such_socket()) });
        };
        let raw = Fd(connection.fd.as_raw_fd());
        let ioprio = if std::mem::take(&mut connection.more_waits) { 0 } else { POLL_FIRST };
        let op = Op::Fill { socket, fd: Rc::clone(&connection.fd), buf, target_len, token };
        self.start(op, |op| {
            let Op::Fill { buf, .. } = op else { unreachable!("it was just made") };
            let missing = (target_len - buf.len()).min(TRANSFER_BYTES_MAX);
            let spare = buf.vec().spare_capacity_mut();
            assert!(missing <= spare.len(), "the buffer has room for what it is to receive");
            let pointer = spare.as_mut_ptr().cast();
            opcode::Recv::new(raw, pointer, missing as u32).flags(libc::MSG_WAITALL).ioprio(ioprio).build()
        });
    }

    fn start_send(&mut self, socket: u64, list: SendList, message: Option<Box<Message>>) {
        let Some(connection) = self.connections.get(socket) else {
            return self.ready.push(Event::Sent { token: list.token, result: Err(no_such_socket()) });
        };
        let raw = Fd(connection.fd.as_raw_fd());
        let fd = Rc::clone(&connection.fd);
        let message = match list.single() {
            Some(_) => message,
            None => message.or_else(|| self.messages.pop()).or_else(|| Some(Message::new())),
        };
        let flags = libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
        self.start(Op::Send { socket, fd, list, message }, |op| {
            let Op::Send { list, message, .. } = op else { unreachable!("it was just made") };
            match (list.single(), message) {
                (None, Some(message)) => opcode::SendMsg::new(raw, message.point_to(list)).flags(flags as u32).build(),
                (single, _) => {
                    let bytes = single.unwrap_or_default();
                    let len = bytes.len().min(TRANSFER_BYTES_MAX) as u32;
                    opcode::Send::new(raw, bytes.as_ptr(), len).flags(flags).build()
                }
            }
        });
    }

    fn start_read(&mut self, op: Op) {
        let Op::Read { ref file, token, .. } = op else { unreachable!("only reads come here") };
        let raw = match os_file(file) {
            Ok(os) => Fd(os.fd.as_raw_fd()),
            Err(error) => return self.ready.push(Event::Read { token, result: Err(error) }),
        };
        self.start(op, |op| {
            let Op::Read { buf, offset, len, flags, .. } = op else { unreachable!("only reads come here") };
            let missing = (*len - buf.len()).min(TRANSFER_BYTES_MAX);
            let position = offset.saturating_add(buf.len() as u64);
            let spare = buf.vec().spare_capacity_mut();
            assert!(missing <= spare.len(), "the buffer has room for what it is to hold");
            let pointer = spare.as_mut_ptr().cast();
            opcode::Read::new(raw, pointer, missing as u32).offset(position).rw_flags(*flags).build()
        });
    }

    fn start_wake(&mut self, fd: Arc<OwnedFd>, count: Box<u64>) {
        let raw = Fd(fd.as_raw_fd());
        self.start(Op::Wake { fd, count }, |op| {
            let Op::Wake { count, .. } = op else { unreachable!("it was just made") };
            opcode::Read::new(raw, (&raw mut **count).cast(), 8).build()
        });
    }

    fn start_signals(&mut self, fd: Rc<OwnedFd>) {
        let raw = Fd(fd.as_raw_fd());
        self.start(Op::Signals { fd }, |_| opcode::PollAdd::new(raw, libc::POLLIN as u32).build());
    }

    /// Cancels all that is under way on a descriptor.
    fn start_cancel(&mut self, fd: Rc<OwnedFd>) {
        let target = CancelBuilder::fd(Fd(fd.as_raw_fd())).all();
        self.start(Op::Cancel { fd }, |_| opcode::AsyncCancel2::new(target).build());
    }

    /// Turns a completion into its event, or into the next submission of what it left undone.
    fn complete(&mut self, completion: &cqueue::Entry, events: &mut Vec<Event>) {
        let (id, flags) = (completion.user_data(), completion.flags());
        let result = outcome(completion.result());
        if cqueue::more(flags) {
            if let Some(&Op::Accept { listener, .. }) = self.ops.get(id) {
                self.complete_accept(listener, result, events);
            }
            return;
        }
        let Some(op) = self.ops.remove(id) else { return };
        match op {
            Op::Accept { listener, .. } => {
                if self.complete_accept(listener, result, events) {
                    self.start_accept(listener);
                }
            }
            Op::Connect { fd, token, .. } => {
                let result = result.map(|_| Socket(self.adopt(fd)));
                events.push(Event::Connected { token, result });
            }
            Op::Receive { socket, token, .. } => self.complete_receive(socket, token, result, flags, events),
            Op::Fill { socket, buf, target_len, token, .. } => {
                self.complete_fill(socket, (buf, target_len, token), result, flags, events);
            }
            Op::Send { socket, list, message, .. } => self.complete_send(socket, list, message, result, events),
            Op::Writable { socket, fd, token } => {
                let result = result.and_then(|seen| self.room(socket, &fd, seen));
                events.push(Event::Writable { token, result });
            }
            Op::Read { .. } => self.complete_read(op, result, events),
            Op::Sync { file, token } => {
                let result = result.map(drop).map_err(|error| name_file("syncing", &file, error));
                events.push(Event::Synced { token, result });
            }
            Op::Wake { fd, count } => {
                events.push(Event::Woken);
                self.start_wake(fd, count);
            }
            Op::Signals { fd } => self.complete_signals(fd, events),
            Op::Cancel { .. } => {}
        }
    }

    fn adopt(&mut self, fd: Rc<OwnedFd>) -> u64 {
        self.connections.insert(Connection { fd, more_waits: false })
    }

    /// One answer of an accept. Gives whether accepting is to be started again at once.
    fn complete_accept(&mut self, listener: u64, result: io::Result<usize>, events: &mut Vec<Event>) -> bool {
        let fd = result.map(|fd| sys::owned(fd as i32));
        let Some((options, token)) = self.listeners.get(listener).and_then(|listening| listening.accepting) else {
            return false;
        };
        match fd {
            Ok(fd) => {
                if let Some(result) = self.accepted(fd, options) {
                    events.push(Event::Accepted { token, result });
                }
                true
            }
            Err(error) if error.raw_os_error().is_some_and(net::accept_ran_out) => {
                self.paused.push((later(self.clock.read(), ACCEPT_PAUSE), listener));
                events.push(Event::Accepted { token, result: Err(net::ran_out(error)) });
                false
            }
            // The failure of the one connection that waited first; the next may be well.
            Err(_) => true,
        }
    }

    /// A connection that arrived; none where it is gone again already.
    fn accepted(&mut self, fd: OwnedFd, options: SocketOptions) -> Option<io::Result<(Socket, SocketAddr)>> {
        self.calls.count();
        let address = net::peer_address(fd.as_raw_fd()).ok()?;
        self.calls.count();
        Some(net::set_options(fd.as_raw_fd(), options).map(|()| (Socket(self.adopt(Rc::new(fd))), address)))
    }

    fn complete_receive(
        &mut self,
        socket: u64,
        token: Token,
        result: io::Result<usize>,
        flags: u32,
        events: &mut Vec<Event>,
    ) {
        let len = *result.as_ref().unwrap_or(&0);
        // A buffer that the kernel took comes back whatever became of the receive.
        let lent = cqueue::buffer_select(flags).and_then(|slot| self.receive_ring.lend(slot, len));
        let Some(connection) = self.connections.get_mut(socket) else {
            return events.push(Event::Received { token, result: Err(cancelled()) });
        };
        connection.more_waits = cqueue::sock_nonempty(flags);
        let result = match result {
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                connection.more_waits = true;
                return self.starved.push((socket, token));
            }
            Err(error) => Err(error),
            Ok(0) => Ok(Buf::from(Vec::new())),
            Ok(_) => lent.ok_or_else(|| io::Error::other("io_uring: a receive without its buffer")),
        };
        self.counters.received_bytes += len as u64;
        events.push(Event::Received { token, result });
    }

    fn complete_fill(
        &mut self,
        socket: u64,
        (mut buf, target_len, token): (Buf, usize, Token),
        result: io::Result<usize>,
        flags: u32,
        events: &mut Vec<Event>,
    ) {
        let Some(connection) = self.connections.get_mut(socket) else {
            return events.push(Event::Filled { token, result: Err(cancelled()) });
        };
        connection.more_waits = cqueue::sock_nonempty(flags);
        let result = match result {
            Ok(0) => Err(early_end(buf.len(), target_len)),
            Ok(got) => {
                self.counters.received_bytes += got as u64;
                grow(&mut buf, got);
                if buf.len() < target_len {
                    return self.start_fill(socket, buf, target_len, token);
                }
                Ok(buf)
            }
            Err(error) if is_short(&error) => return self.start_fill(socket, buf, target_len, token),
            Err(error) => Err(error),
        };
        events.push(Event::Filled { token, result });
    }

    fn complete_send(
        &mut self,
        socket: u64,
        mut list: SendList,
        message: Option<Box<Message>>,
        result: io::Result<usize>,
        events: &mut Vec<Event>,
    ) {
        let sent = *result.as_ref().unwrap_or(&0);
        self.counters.sent_bytes += sent as u64;
        list.advance(sent);
        let result = match result {
            _ if list.is_done() => Ok(list.total_bytes()),
            _ if self.connections.get(socket).is_none() => Err(cancelled()),
            Ok(_) => return self.start_send(socket, list, message),
            Err(error) if is_short(&error) => return self.start_send(socket, list, message),
            Err(error) => Err(error),
        };
        if let Some(message) = message
            && self.messages.len() < MESSAGES_KEPT
        {
            self.messages.push(message);
        }
        events.push(Event::Sent { token: list.token, result });
    }

    /// What a poll for room has seen.
    fn room(&self, socket: u64, fd: &OwnedFd, seen: usize) -> io::Result<()> {
        if self.connections.get(socket).is_none() {
            return Err(cancelled());
        }
        let failed = (libc::POLLERR | libc::POLLHUP) as usize;
        if seen & failed != 0 { net::take_error(fd.as_raw_fd()) } else { Ok(()) }
    }

    fn complete_read(&mut self, op: Op, result: io::Result<usize>, events: &mut Vec<Event>) {
        let Op::Read { file, mut buf, offset, len, flags, token } = op else { return };
        let result = match result {
            Ok(got) => {
                grow(&mut buf, got);
                if got > 0 && buf.len() < len {
                    return self.start_read(Op::Read { file, buf, offset, len, flags, token });
                }
                Ok(buf)
            }
            Err(error) if flags != 0 && error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                self.cannot_drop.extend(self.files.device(&file));
                return self.start_read(Op::Read { file, buf, offset, len, flags: 0, token });
            }
            Err(error) if is_short(&error) => {
                return self.start_read(Op::Read { file, buf, offset, len, flags, token });
            }
            Err(error) => Err(name_file("reading", &file, error)),
        };
        events.push(Event::Read { token, result });
    }

    fn complete_signals(&mut self, fd: Rc<OwnedFd>, events: &mut Vec<Event>) {
        if !self.signals.as_ref().is_some_and(|current| Rc::ptr_eq(current, &fd)) {
            return;
        }
        while let Some(signal) = sys::signalfd_take(fd.as_raw_fd()) {
            self.calls.count();
            events.push(Event::Signal(signal));
        }
        self.start_signals(fd);
    }

    /// Receives that waited for a buffer go on, as many as there are buffers.
    fn feed_starved(&mut self) {
        let count = self.starved.len().min(self.receive_ring.free());
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

/// A completion's result as the length or descriptor that it is, or the errno.
fn outcome(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

/// Whether the kernel only stopped early: what is left is submitted again.
fn is_short(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN))
}

/// Makes a buffer longer by what the kernel has written into its spare capacity.
fn grow(buf: &mut Buf, len: usize) {
    let bytes = buf.vec();
    let len = bytes.len() + len.min(bytes.capacity() - bytes.len());
    // SAFETY: the completion says that the kernel has written this many bytes behind the old length.
    unsafe { bytes.set_len(len) };
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

impl Clock for UringDriver {
    fn now(&self) -> Nanos {
        self.clock.now()
    }

    fn wall_ms(&self) -> i64 {
        self.clock.wall_ms()
    }

    fn read(&self) -> Nanos {
        self.clock.read()
    }

    fn random(&self) -> u64 {
        self.clock.random()
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

    fn send_file(&mut self, socket: Socket, file: &File, offset: u64, len: usize) -> io::Result<usize> {
        let connection = self.connections.get(socket.0).ok_or_else(no_such_socket)?;
        self.calls.count();
        let sent = net::send_file(connection.fd.as_raw_fd(), os_file(file)?.fd.as_raw_fd(), offset, len)?;
        self.counters.sent_bytes += sent as u64;
        Ok(sent)
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

    fn waker(&mut self) -> io::Result<Waker> {
        if let Some(waker) = &self.waker {
            return Ok(Waker(Arc::clone(waker)));
        }
        // Read by the ring, which would not wait on a non-blocking one.
        let waker = Arc::new(sys::eventfd(0)?);
        self.waker = Some(Arc::clone(&waker));
        self.start_wake(Arc::clone(&waker), Box::new(0));
        Ok(Waker(waker))
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
        let deadline = timeout.map(|timeout| later(self.clock.read(), timeout));
        self.counters.waits += 1;
        loop {
            self.feed_starved();
            let pause = self.resume_listeners();
            events.append(&mut self.ready);
            let patience = if events.len() > before { Some(Duration::ZERO) } else { until(deadline, &self.clock) };
            let patience = match (patience, pause) {
                (Some(patience), Some(pause)) => Some(patience.min(pause)),
                (patience, pause) => patience.or(pause),
            };
            self.turn(patience, events)?;
            events.append(&mut self.ready);
            if events.len() > before || deadline.is_some_and(|deadline| self.clock.now() >= deadline) {
                return Ok(());
            }
        }
    }
}

/// The time left until a deadline.
fn until(deadline: Option<Nanos>, clock: &TurnClock) -> Option<Duration> {
    deadline.map(|deadline| Duration::from_nanos(deadline.0.saturating_sub(clock.read().0)))
}
