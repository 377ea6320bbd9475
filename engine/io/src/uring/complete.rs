//! From a completion to its event, or to the next submission of what it left undone.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use io_uring::cqueue;

use super::op::{Message, Op};
use super::{Connection, MESSAGES_KEPT, UringDriver, name_file};
use crate::buf::Buf;
use crate::clock::later;
use crate::driver::{ACCEPT_PAUSE, Clock, Event, Socket, SocketOptions, Token, cancelled, early_end};
use crate::files::{File, FileInner};
use crate::net;
use crate::sendlist::SendList;
use crate::sys;

impl UringDriver {
    /// Turns a completion into its event, or into the next submission of what it left undone.
    pub(super) fn complete(&mut self, completion: &cqueue::Entry, events: &mut Vec<Event>) {
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
            Op::Writeback { file, token } => {
                let result = result.map(|_| None).map_err(|error| name_file("writing back", &file, error));
                events.push(Event::JobDone { token, result });
            }
            Op::Answers => self.complete_jobs(events),
            Op::Wake { fd, count } => {
                events.push(Event::Woken);
                self.start_wake(fd, count);
            }
            Op::Signals { fd } => self.complete_signals(fd, events),
            Op::Cancel { .. } => {}
        }
    }

    fn adopt(&mut self, fd: Rc<OwnedFd>) -> u64 {
        self.connections.insert(Connection { fd, more_waits: false, low_water: 1 })
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
                self.receive_ring.lacked();
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

    fn complete_jobs(&mut self, events: &mut Vec<Event>) {
        let Some(helper) = &mut self.helper else { return };
        let mut answers = Vec::new();
        self.calls.count();
        helper.take(&mut answers);
        for answer in answers {
            let Some(token) = self.jobs.remove(answer.id) else { continue };
            let result = answer.result.map(|opened| opened.map(|os| File(Rc::new(FileInner::Os(os)))));
            events.push(Event::JobDone { token, result });
        }
        self.start_answers();
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
}

/// A completion's result as the length or descriptor that it is, or the errno.
pub(super) fn outcome(result: i32) -> io::Result<usize> {
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
