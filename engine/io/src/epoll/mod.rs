//! The fallback driver: epoll(7), edge-triggered, with calls that do not wait.
//!
//! ```text
//!   recv, send, writable --> operation of the connection --> todo (when the socket was ready at last sight)
//!   epoll_wait --> ready flags of the connection ----------> progress: calls until WouldBlock --> Event
//!   read, sync, jobs --> helper threads --> eventfd --------------------------------------------------> Event
//! ```
//!
//! A connection is registered once, for both directions; its flags say what the last edge and the last call told. A flag
//! is cleared only by a call that met WouldBlock (or a receive that got less than it asked for: the socket is empty), so
//! an edge is never lost. A hang-up stays: after it calls answer at once.

mod connection;
mod poller;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use self::connection::{Connection, Input};
use self::poller::{Poller, Ready};
use crate::buf::{Buf, Buffers, FreeList, ReceivePool, Slice};
use crate::clock::{KeepsTime, Patience, TurnClock, later, shorter};
use crate::driver::{
    ACCEPT_PAUSE, Bell, Cache, Clock, Counters, Driver, DriverOptions, Event, Kind, Listener, Nanos, Socket,
    SocketOptions, Token, Waker, cancelled, no_such_socket,
};
use crate::error::about;
use crate::files::os::{OsFiles, os_file};
use crate::files::{File, FileInner, Files};
use crate::helper::{Helper, Task, Work};
use crate::job::Job;
use crate::net::{self, RawAddress};
use crate::sendlist::SendList;
use crate::slab::Slab;
use crate::sys::{self, Calls};

/// Marks a listener's id among the poller's keys; ids count from zero and never reach it.
const LISTENER: u64 = 1 << 31;
const KEY_HELPER: u64 = u64::MAX;
const KEY_WAKER: u64 = u64::MAX - 1;
const KEY_SIGNALS: u64 = u64::MAX - 2;
/// Connections that one listener may bring in one turn.
const ACCEPTS_PER_TURN: usize = 64;

struct Listening {
    fd: OwnedFd,
    /// Its key at the poller.
    key: u64,
    accepting: Option<(SocketOptions, Token)>,
    paused_until: Option<Nanos>,
}

/// What the helper works on: its file stays open until the answer was taken.
struct Asked {
    token: Token,
    file: Option<File>,
}

/// The event of work that could not be begun.
type Failed = fn(Token, io::Error) -> Event;

fn job_failed(token: Token, error: io::Error) -> Event {
    Event::JobDone { token, result: Err(error) }
}

/// The driver over epoll.
pub(crate) struct EpollDriver {
    poller: Poller,
    connections: Slab<Connection>,
    listeners: Slab<Listening>,
    asked: Slab<Asked>,
    helper: Helper,
    /// Connections to look at in the next turn, whatever the kernel says.
    todo: Vec<u64>,
    /// Connections whose receive found no free buffer.
    starved: Vec<u64>,
    /// Events of calls that ended at once.
    ready: Vec<Event>,
    receive_pool: Rc<ReceivePool>,
    free: Rc<FreeList>,
    files: Rc<OsFiles>,
    waker: Option<Arc<OwnedFd>>,
    signals: Option<OwnedFd>,
    clock: TurnClock,
    calls: Calls,
    counters: Counters,
    fallback_reason: Option<String>,
    vectors: Vec<libc::iovec>,
    seen: Vec<Ready>,
    answers: Vec<Task>,
}

impl EpollDriver {
    /// A driver for this thread. `fallback_reason` says why it is not io_uring, where that was wanted.
    pub(crate) fn new(options: &DriverOptions, fallback_reason: Option<String>) -> io::Result<Self> {
        let calls = Calls::default();
        let poller = Poller::new()?;
        let helper = Helper::new(&options.worker_cores)?;
        poller.add_source(helper.wake_fd(), KEY_HELPER)?;
        Ok(Self {
            poller,
            connections: Slab::default(),
            listeners: Slab::default(),
            asked: Slab::default(),
            helper,
            todo: Vec::new(),
            starved: Vec::new(),
            ready: Vec::new(),
            receive_pool: ReceivePool::new(options.receive_buffers, options.receive_buffer_bytes),
            free: FreeList::new(options.kept_buffer_bytes),
            files: Rc::new(OsFiles::counted(calls.clone())),
            waker: None,
            signals: None,
            clock: TurnClock::new(),
            calls,
            counters: Counters::default(),
            fallback_reason,
            vectors: Vec::new(),
            seen: Vec::new(),
            answers: Vec::new(),
        })
    }

    /// Registers a connection of ours; its id.
    fn adopt(&mut self, connection: Connection) -> io::Result<u64> {
        let fd = connection.fd.as_raw_fd();
        let id = self.connections.insert(connection);
        self.calls.count();
        if let Err(error) = self.poller.add_connection(fd, id) {
            self.connections.remove(id);
            return Err(error);
        }
        Ok(id)
    }

    fn start_connect(&mut self, address: SocketAddr, options: SocketOptions, token: Token) -> io::Result<()> {
        let socket = net::tcp_socket(address)?;
        net::set_options(socket.as_raw_fd(), options)?;
        let fd = socket.as_raw_fd();
        let mut connection = Connection::new(socket);
        connection.connecting = Some(token);
        let at_once = net::connect(fd, &RawAddress::from(address))?;
        let id = self.adopt(connection)?;
        if at_once {
            self.todo.push(id);
        }
        Ok(())
    }

    /// Accepts what waits at a listener.
    fn progress_listener(&mut self, id: u64, events: &mut Vec<Event>) {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listener) = self.listeners.get_mut(id) else { return };
            let Some((options, token)) = listener.accepting else { return };
            self.calls.count();
            let fd = listener.fd.as_raw_fd();
            match net::accept(fd) {
                Ok((socket, address)) => {
                    let result = self.accepted(socket, options).map(|socket| (socket, address));
                    events.push(Event::Accepted { token, result });
                }
                Err(error) if error.raw_os_error().is_some_and(net::accept_ran_out) => {
                    self.poller.remove(fd);
                    listener.paused_until = Some(later(self.clock.read(), ACCEPT_PAUSE));
                    return events.push(Event::Accepted { token, result: Err(net::ran_out(error)) });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The failure of the one connection that waited first; the next may be well.
                Err(_) => {}
            }
        }
    }

    fn accepted(&mut self, socket: OwnedFd, options: SocketOptions) -> io::Result<Socket> {
        net::set_options(socket.as_raw_fd(), options)?;
        self.adopt(Connection::new(socket)).map(Socket)
    }

    /// Lets listeners whose pause is over go on; gives the time until the next one's is.
    fn resume_listeners(&mut self) -> Option<Duration> {
        let now = self.clock.read();
        let mut next: Option<Duration> = None;
        for listener in self.listeners.values_mut() {
            let Some(until) = listener.paused_until else { continue };
            if until > now {
                let rest = Duration::from_nanos(until.0 - now.0);
                next = Some(next.map_or(rest, |next| next.min(rest)));
            } else {
                listener.paused_until = None;
                // Registering cannot fail for want of memory alone for ever: the next turn would try again.
                if self.poller.add_source(listener.fd.as_raw_fd(), listener.key).is_err() {
                    listener.paused_until = Some(later(now, ACCEPT_PAUSE));
                }
            }
        }
        next
    }

    /// Answers of the helper threads.
    fn take_answers(&mut self, events: &mut Vec<Event>) {
        let mut answers = std::mem::take(&mut self.answers);
        self.helper.take(&mut answers);
        for answer in answers.drain(..) {
            self.calls.count();
            let Some(asked) = self.asked.remove(answer.id) else { continue };
            events.push(self.answered(&asked, answer));
        }
        self.answers = answers;
    }

    fn answered(&self, asked: &Asked, answer: Task) -> Event {
        let token = asked.token;
        let failed = |verb: &str, error: io::Error| match asked.file.as_ref().map(os_file) {
            Some(Ok(os)) => crate::error::at_path(verb, &os.path, error),
            _ => error,
        };
        match answer.work {
            Work::Sync(_) => {
                let result = answer.result.map(drop).map_err(|error| failed("syncing", error));
                Event::Synced { token, result }
            }
            Work::Read { bytes, .. } => {
                let buf = self.free.wrap(bytes);
                Event::Read { token, result: answer.result.map(|_| buf).map_err(|error| failed("reading", error)) }
            }
            Work::Writeback { .. } => {
                let result = answer.result.map(|_| None).map_err(|error| failed("writing back", error));
                Event::JobDone { token, result }
            }
            Work::Job(_) => {
                let result = answer.result.map(|opened| opened.map(|os| File(Rc::new(FileInner::Os(os)))));
                Event::JobDone { token, result }
            }
        }
    }

    /// One look at what the kernel has, waiting at most `timeout`.
    fn turn(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        let mut seen = std::mem::take(&mut self.seen);
        self.calls.count();
        let result = self.poller.wait(timeout, &mut seen);
        self.clock.turn();
        for ready in seen.drain(..) {
            match ready.key {
                KEY_HELPER => self.take_answers(events),
                KEY_WAKER => self.take_wake(events),
                KEY_SIGNALS => self.take_signals(events),
                key if key & LISTENER != 0 => self.progress_listener(key & !LISTENER, events),
                id => {
                    if let Some(connection) = self.connections.get_mut(id) {
                        connection.saw(ready);
                        self.progress(id, events);
                    }
                }
            }
        }
        self.seen = seen;
        result
    }

    fn take_wake(&mut self, events: &mut Vec<Event>) {
        if let Some(waker) = &self.waker {
            self.calls.count();
            sys::eventfd_take(waker.as_raw_fd());
            events.push(Event::Woken);
        }
    }

    fn take_signals(&mut self, events: &mut Vec<Event>) {
        let Some(signals) = &self.signals else { return };
        while let Some(signal) = sys::signalfd_take(signals.as_raw_fd()) {
            self.calls.count();
            events.push(Event::Signal(signal));
        }
    }

    /// What can be done without asking the poller: events that are there, operations on sockets that were ready, and
    /// receives that waited for a buffer.
    fn progress_known(&mut self, events: &mut Vec<Event>) {
        events.append(&mut self.ready);
        let mut todo = std::mem::take(&mut self.todo);
        if self.receive_pool.has_free() {
            todo.append(&mut self.starved);
        }
        for id in todo.drain(..) {
            self.progress(id, events);
        }
        if self.todo.is_empty() {
            self.todo = todo;
        }
    }

    /// Gives the helper work on an open file.
    fn ask_of_file(&mut self, file: &File, token: Token, failed: Failed, work: impl FnOnce(RawFd) -> Work) {
        match os_file(file) {
            Ok(os) => {
                let work = work(os.fd.as_raw_fd());
                self.ask(Asked { token, file: Some(file.clone()) }, failed, work);
            }
            Err(error) => self.ready.push(failed(token, error)),
        }
    }

    fn ask(&mut self, asked: Asked, failed: Failed, work: Work) {
        let token = asked.token;
        let id = self.asked.insert(asked);
        if let Err(error) = self.helper.submit(id, work) {
            self.asked.remove(id);
            self.ready.push(failed(token, about("starting a helper thread", error)));
        }
    }
}

impl KeepsTime for EpollDriver {
    fn clock(&self) -> &TurnClock {
        &self.clock
    }
}

impl Driver for EpollDriver {
    fn kind(&self) -> Kind {
        Kind::Epoll
    }

    fn fallback_reason(&self) -> Option<&str> {
        self.fallback_reason.as_deref()
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
        let fd = net::listen(address)?;
        let id = self.listeners.insert(Listening { fd, key: 0, accepting: None, paused_until: None });
        if let Some(listener) = self.listeners.get_mut(id) {
            listener.key = id | LISTENER;
        }
        Ok(Listener(id))
    }

    fn local_address(&self, listener: Listener) -> io::Result<SocketAddr> {
        let listener = self.listeners.get(listener.0).ok_or_else(no_such_socket)?;
        net::local_address(listener.fd.as_raw_fd())
    }

    fn accept(&mut self, listener: Listener, options: SocketOptions, token: Token) {
        let Some(listening) = self.listeners.get_mut(listener.0) else {
            return self.ready.push(Event::Accepted { token, result: Err(no_such_socket()) });
        };
        listening.accepting = Some((options, token));
        if let Err(error) = self.poller.add_source(listening.fd.as_raw_fd(), listening.key) {
            self.ready.push(Event::Accepted { token, result: Err(error) });
        }
    }

    fn close_listener(&mut self, listener: Listener) {
        self.listeners.remove(listener.0);
    }

    fn connect(&mut self, address: SocketAddr, options: SocketOptions, token: Token) {
        self.calls.count();
        if let Err(error) = self.start_connect(address, options, token) {
            self.ready.push(Event::Connected { token, result: Err(error) });
        }
    }

    fn recv(&mut self, socket: Socket, token: Token) {
        match self.connections.get_mut(socket.0) {
            Some(connection) if connection.connecting.is_none() => {
                debug_assert!(connection.input.is_none(), "one receive at a time");
                connection.input = Some(Input::Any(token));
                if connection.readable {
                    self.todo.push(socket.0);
                }
            }
            _ => self.ready.push(Event::Received { token, result: Err(no_such_socket()) }),
        }
    }

    fn recv_exact(&mut self, socket: Socket, mut buf: Buf, target_len: usize, token: Token) {
        match self.connections.get_mut(socket.0) {
            Some(_) if buf.len() >= target_len => self.ready.push(Event::Filled { token, result: Ok(buf) }),
            Some(connection) if connection.connecting.is_none() => {
                debug_assert!(connection.input.is_none(), "one receive at a time");
                let missing = target_len - buf.len();
                buf.vec().reserve_exact(missing);
                connection.input = Some(Input::Exact { buf, target_len, token });
                if connection.readable {
                    self.todo.push(socket.0);
                }
            }
            _ => self.ready.push(Event::Filled { token, result: Err(no_such_socket()) }),
        }
    }

    fn send(&mut self, socket: Socket, parts: Vec<Slice>, token: Token) {
        match self.connections.get_mut(socket.0) {
            Some(connection) if connection.connecting.is_none() => {
                debug_assert!(connection.output.is_none(), "one send at a time");
                let list = SendList::new(parts, token);
                if list.is_done() {
                    return self.ready.push(Event::Sent { token, result: Ok(0) });
                }
                connection.output = Some(list);
                if connection.writable {
                    self.todo.push(socket.0);
                }
            }
            _ => self.ready.push(Event::Sent { token, result: Err(no_such_socket()) }),
        }
    }

    fn send_now(&mut self, socket: Socket, parts: Vec<Slice>, token: Token) -> Option<usize> {
        let can_send = |connection: &&mut Connection| connection.connecting.is_none() && connection.writable;
        let Some(connection) = self.connections.get_mut(socket.0).filter(can_send) else {
            self.send(socket, parts, token);
            return None;
        };
        let mut list = SendList::new(parts, token);
        match list.give(connection.fd.as_raw_fd(), &mut self.vectors, &self.calls, &mut self.counters) {
            Ok(true) => return Some(list.total_bytes()),
            Ok(false) => {
                connection.writable = false;
                connection.output = Some(list);
            }
            Err(error) => self.ready.push(Event::Sent { token, result: Err(error) }),
        }
        None
    }

    fn send_file(&mut self, socket: Socket, file: &File, offset: u64, len: usize) -> io::Result<usize> {
        let connection = self.connections.get_mut(socket.0).ok_or_else(no_such_socket)?;
        self.calls.count();
        let sent = net::send_file(connection.fd.as_raw_fd(), os_file(file)?.fd.as_raw_fd(), offset, len);
        match &sent {
            Ok(sent) => self.counters.sent_bytes += *sent as u64,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => connection.writable = false,
            Err(_) => {}
        }
        sent
    }

    fn moved_bytes(&self, socket: Socket) -> io::Result<u64> {
        let connection = self.connections.get(socket.0).ok_or_else(no_such_socket)?;
        self.calls.count();
        net::moved_bytes(connection.fd.as_raw_fd())
    }

    fn writable(&mut self, socket: Socket, token: Token) {
        match self.connections.get_mut(socket.0) {
            Some(connection) if connection.connecting.is_none() => {
                connection.wants_writable = Some(token);
                if connection.writable {
                    self.todo.push(socket.0);
                }
            }
            _ => self.ready.push(Event::Writable { token, result: Err(no_such_socket()) }),
        }
    }

    fn close(&mut self, socket: Socket) {
        let Some(connection) = self.connections.remove(socket.0) else { return };
        self.calls.count();
        match connection.input {
            Some(Input::Any(token)) => self.ready.push(Event::Received { token, result: Err(cancelled()) }),
            Some(Input::Exact { token, .. }) => self.ready.push(Event::Filled { token, result: Err(cancelled()) }),
            None => {}
        }
        if let Some(list) = connection.output {
            self.ready.push(Event::Sent { token: list.token, result: Err(cancelled()) });
        }
        if let Some(token) = connection.wants_writable {
            self.ready.push(Event::Writable { token, result: Err(cancelled()) });
        }
    }

    fn read_file(&mut self, file: &File, offset: u64, len: usize, cache: Cache, token: Token) {
        let bytes = self.free.take(len);
        let failed: Failed = |token, error| Event::Read { token, result: Err(error) };
        self.ask_of_file(file, token, failed, |fd| Work::Read { fd, bytes, offset, len, cache });
    }

    fn sync(&mut self, file: &File, token: Token) {
        let failed: Failed = |token, error| Event::Synced { token, result: Err(error) };
        self.ask_of_file(file, token, failed, Work::Sync);
    }

    fn write_back(&mut self, file: &File, offset: u64, len: u64, token: Token) {
        self.ask_of_file(file, token, job_failed, |fd| Work::Writeback { fd, offset, len });
    }

    fn run(&mut self, job: Job, token: Token) {
        self.ask(Asked { token, file: None }, job_failed, Work::Job(job));
    }

    fn waker(&mut self) -> io::Result<Waker> {
        if let Some(waker) = &self.waker {
            return Ok(Waker(Bell::Eventfd(Arc::clone(waker))));
        }
        let waker = Arc::new(sys::eventfd(libc::EFD_NONBLOCK)?);
        self.poller.add_source(waker.as_raw_fd(), KEY_WAKER)?;
        self.waker = Some(Arc::clone(&waker));
        Ok(Waker(Bell::Eventfd(waker)))
    }

    fn signals(&mut self, signals: &[i32]) -> io::Result<()> {
        let fd = sys::signalfd(signals)?;
        self.poller.add_source(fd.as_raw_fd(), KEY_SIGNALS)?;
        self.signals = Some(fd);
        Ok(())
    }

    fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        let before = events.len();
        let mut patience = Patience::new(timeout, &self.clock);
        self.counters.waits += 1;
        loop {
            self.progress_known(events);
            let pause = self.resume_listeners();
            let limit = if events.len() > before { Some(Duration::ZERO) } else { patience.left(&self.clock) };
            self.turn(shorter(limit, pause), events)?;
            self.progress_known(events);
            if events.len() > before || patience.is_over(&self.clock) {
                return Ok(());
            }
        }
    }
}
