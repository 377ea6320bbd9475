//! A connection under epoll: what is asked of it, what the kernel told, and the calls that bring the two together.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use super::EpollDriver;
use super::poller::Ready;
use crate::buf::Buf;
use crate::driver::{Event, Socket, Token, early_end};
use crate::net;
use crate::sendlist::SendList;

/// What a connection receives.
pub(super) enum Input {
    /// Once, into a pooled buffer.
    Any(Token),
    /// Up to a length, into the caller's buffer.
    Exact { buf: Buf, target_len: usize, token: Token },
}

pub(super) struct Connection {
    pub(super) fd: OwnedFd,
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) hung_up: bool,
    pub(super) connecting: Option<Token>,
    pub(super) input: Option<Input>,
    pub(super) output: Option<SendList>,
    pub(super) wants_writable: Option<Token>,
}

impl Connection {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            readable: false,
            writable: false,
            hung_up: false,
            connecting: None,
            input: None,
            output: None,
            wants_writable: None,
        }
    }

    pub(super) fn saw(&mut self, ready: Ready) {
        self.readable |= ready.readable | ready.hung_up;
        self.writable |= ready.writable | ready.failed;
        self.hung_up |= ready.hung_up;
    }
}

impl EpollDriver {
    /// Does what the connection's operations can do now.
    pub(super) fn progress(&mut self, id: u64, events: &mut Vec<Event>) {
        self.progress_connect(id, events);
        self.progress_input(id, events);
        self.progress_output(id, events);
    }

    fn progress_connect(&mut self, id: u64, events: &mut Vec<Event>) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if !connection.writable && !connection.hung_up {
            return;
        }
        let Some(token) = connection.connecting.take() else { return };
        self.calls.count();
        let result = match net::take_error(connection.fd.as_raw_fd()) {
            Ok(()) => Ok(Socket(id)),
            Err(error) => {
                self.connections.remove(id);
                Err(error)
            }
        };
        events.push(Event::Connected { token, result });
    }

    fn progress_input(&mut self, id: u64, events: &mut Vec<Event>) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if !connection.readable {
            return;
        }
        match connection.input.take() {
            None => {}
            Some(Input::Any(token)) => self.receive_any(id, token, events),
            Some(Input::Exact { buf, target_len, token }) => self.receive_exact(id, buf, target_len, token, events),
        }
    }

    /// One receive. What a socket cannot give now is put back.
    fn receive_any(&mut self, id: u64, token: Token, events: &mut Vec<Event>) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let Some(mut buf) = self.receive_pool.take() else {
            connection.input = Some(Input::Any(token));
            self.starved.push(id);
            return;
        };
        self.calls.count();
        let room = buf.vec().capacity();
        let result = match net::recv_into(connection.fd.as_raw_fd(), buf.vec(), usize::MAX) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                connection.readable = false;
                connection.input = Some(Input::Any(token));
                return;
            }
            Ok(got) => {
                self.counters.received_bytes += got as u64;
                if got < room && !connection.hung_up {
                    connection.readable = false;
                }
                Ok(buf)
            }
            Err(error) => Err(error),
        };
        events.push(Event::Received { token, result });
    }

    /// Receives until the buffer is full or the socket is empty.
    fn receive_exact(&mut self, id: u64, mut buf: Buf, target_len: usize, token: Token, events: &mut Vec<Event>) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        while buf.len() < target_len {
            let missing = target_len - buf.len();
            self.calls.count();
            match net::recv_into(connection.fd.as_raw_fd(), buf.vec(), missing) {
                Ok(0) => {
                    let result = Err(early_end(buf.len(), target_len));
                    return events.push(Event::Filled { token, result });
                }
                Ok(got) => self.counters.received_bytes += got as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    connection.readable = false;
                    connection.input = Some(Input::Exact { buf, target_len, token });
                    return;
                }
                Err(error) => return events.push(Event::Filled { token, result: Err(error) }),
            }
        }
        events.push(Event::Filled { token, result: Ok(buf) });
    }

    fn progress_output(&mut self, id: u64, events: &mut Vec<Event>) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if !connection.writable || connection.connecting.is_some() {
            return;
        }
        if let Some(mut list) = connection.output.take() {
            let fd = connection.fd.as_raw_fd();
            match list.give(fd, &mut self.vectors, &self.calls, &mut self.counters) {
                Ok(true) => events.push(Event::Sent { token: list.token, result: Ok(list.total_bytes()) }),
                Ok(false) => {
                    connection.writable = false;
                    connection.output = Some(list);
                }
                Err(error) => events.push(Event::Sent { token: list.token, result: Err(error) }),
            }
        }
        if connection.writable
            && let Some(token) = connection.wants_writable.take()
        {
            let result = if connection.hung_up { net::take_error(connection.fd.as_raw_fd()) } else { Ok(()) };
            events.push(Event::Writable { token, result });
        }
    }
}
