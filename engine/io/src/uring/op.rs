//! Operations that the kernel works on: each owns all that the kernel may touch until its completion was taken.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use crate::buf::Buf;
use crate::driver::Token;
use crate::files::File;
use crate::net::{self, RawAddress};
use crate::sendlist::SendList;

/// The longest transfer asked for at once: a completion's result is an i32.
pub(super) const TRANSFER_BYTES_MAX: usize = 1 << 30;

/// One operation. Sockets hold their descriptor by reference: it is closed when the connection and its last operation
/// are gone, so that its number cannot name another connection meanwhile.
#[allow(dead_code, reason = "some fields are not read: they keep alive what the kernel uses")]
pub(super) enum Op {
    /// Accepting, again and again.
    Accept { listener: u64, fd: Rc<OwnedFd> },
    /// Connecting.
    Connect { fd: Rc<OwnedFd>, address: Box<RawAddress>, token: Token },
    /// Receiving once, into a provided buffer.
    Receive { socket: u64, fd: Rc<OwnedFd>, token: Token },
    /// Receiving into the spare capacity of a buffer, until it holds `target_len`.
    Fill { socket: u64, fd: Rc<OwnedFd>, buf: Buf, target_len: usize, token: Token },
    /// Sending; the message only where there is more than one part.
    Send { socket: u64, fd: Rc<OwnedFd>, list: SendList, message: Option<Box<Message>> },
    /// Waiting for room.
    Writable { socket: u64, fd: Rc<OwnedFd>, token: Token },
    /// Reading a file into the spare capacity of a buffer, until it holds `len`.
    Read { file: File, buf: Buf, offset: u64, len: usize, flags: i32, token: Token },
    /// fdatasync.
    Sync { file: File, token: Token },
    /// sync_file_range.
    Writeback { file: File, token: Token },
    /// Waiting for answers of the helper threads.
    Answers,
    /// Reading the waker's eventfd.
    Wake { fd: Arc<OwnedFd>, count: Box<u64> },
    /// Waiting for the signalfd.
    Signals { fd: Rc<OwnedFd> },
    /// Cancelling what is under way on a descriptor.
    Cancel { fd: Rc<OwnedFd> },
}

/// A message of parts in the kernel's layout. It stays in its box while the kernel has it.
pub(super) struct Message {
    vectors: Vec<libc::iovec>,
    header: libc::msghdr,
}

impl Message {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self { vectors: Vec::new(), header: net::message(&mut []) })
    }

    /// Points to what is unsent of the list.
    pub(super) fn point_to(&mut self, list: &SendList) -> *const libc::msghdr {
        list.fill(&mut self.vectors);
        self.header = net::message(&mut self.vectors);
        &raw const self.header
    }
}
