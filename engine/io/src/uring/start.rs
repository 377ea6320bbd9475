//! From an operation to its entry in the submission queue.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;

use io_uring::types::{CancelBuilder, Fd};
use io_uring::{opcode, squeue};

use super::op::{Message, Op, TRANSFER_BYTES_MAX};
use super::pool::GROUP;
use super::{Connection, UringDriver};
use crate::buf::Buf;
use crate::driver::{Event, SocketOptions, Token, no_such_socket};
use crate::files::os::os_file;
use crate::net::{self, RawAddress};
use crate::sendlist::SendList;
use crate::sys::Calls;

/// Wait for readiness before the first try (linux/io_uring.h): saves the try where nothing is there.
const POLL_FIRST: u16 = 1;

/// What an exact receive waits for at once (SO_RCVLOWAT), and how much must be missing for that to pay: a wake-up for
/// each segment that arrives costs more than the receive itself.
const LOW_WATER_BYTES: usize = 256 << 10;
const LOW_WATER_MISSING_BYTES: usize = 128 << 10;

impl UringDriver {
    /// Keeps the operation and queues the entry that `entry` makes of it.
    pub(super) fn start(&mut self, op: Op, entry: impl FnOnce(&mut Op) -> squeue::Entry) {
        let id = self.ops.insert(op);
        let Some(op) = self.ops.get_mut(id) else { return };
        let entry = entry(op).user_data(id);
        // SAFETY: everything that entries of this module name is owned by their operation (heap memory whose place does
        // not change when the operation moves, and open descriptors), which stays in the slab, untouched, until its
        // completion was taken.
        unsafe { self.ring.push(entry) };
    }

    pub(super) fn start_accept(&mut self, listener: u64) {
        let Some(listening) = self.listeners.get(listener) else { return };
        let op = Op::Accept { listener, fd: Rc::clone(&listening.fd) };
        let raw = Fd(listening.fd.as_raw_fd());
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        self.start(op, |_| opcode::AcceptMulti::new(raw).flags(flags).build());
    }

    pub(super) fn start_connect(
        &mut self,
        address: SocketAddr,
        options: SocketOptions,
        token: Token,
    ) -> io::Result<()> {
        let fd = net::tcp_socket(address)?;
        net::set_options(fd.as_raw_fd(), options)?;
        let raw = Fd(fd.as_raw_fd());
        let address = Box::new(RawAddress::from(address));
        let (pointer, len) = (address.pointer(), address.len());
        let op = Op::Connect { fd: Rc::new(fd), address, token };
        self.start(op, |_| opcode::Connect::new(raw, pointer, len).build());
        Ok(())
    }

    pub(super) fn start_receive(&mut self, socket: u64, token: Token) {
        let Some(connection) = self.connections.get_mut(socket) else {
            return self.ready.push(Event::Received { token, result: Err(no_such_socket()) });
        };
        set_low_water(&self.calls, connection, 1);
        let raw = Fd(connection.fd.as_raw_fd());
        let ioprio = if std::mem::take(&mut connection.more_waits) { 0 } else { POLL_FIRST };
        let len = self.receive_ring.buffer_bytes().min(TRANSFER_BYTES_MAX) as u32;
        let op = Op::Receive { socket, fd: Rc::clone(&connection.fd), token };
        self.start(op, |_| {
            let entry = opcode::Recv::new(raw, std::ptr::null_mut(), len).buf_group(GROUP).ioprio(ioprio).build();
            entry.flags(squeue::Flags::BUFFER_SELECT)
        });
    }

    pub(super) fn start_fill(&mut self, socket: u64, buf: Buf, target_len: usize, token: Token) {
        let Some(connection) = self.connections.get_mut(socket) else {
            return self.ready.push(Event::Filled { token, result: Err(no_such_socket()) });
        };
        let missing = target_len - buf.len();
        let large = missing >= LOW_WATER_MISSING_BYTES;
        let asked = missing.min(if large { LOW_WATER_BYTES } else { TRANSFER_BYTES_MAX });
        set_low_water(&self.calls, connection, if large { asked } else { 1 });
        let raw = Fd(connection.fd.as_raw_fd());
        let more_waits = std::mem::take(&mut connection.more_waits);
        // Under a low-water mark the kernel must not go on by itself after a part: it would wait for more than is missing.
        let flags = if large { 0 } else { libc::MSG_WAITALL };
        let ioprio = if more_waits && !large { 0 } else { POLL_FIRST };
        let op = Op::Fill { socket, fd: Rc::clone(&connection.fd), buf, target_len, token };
        self.start(op, |op| {
            let Op::Fill { buf, .. } = op else { unreachable!("it was just made") };
            let spare = buf.vec().spare_capacity_mut();
            assert!(asked <= spare.len(), "the buffer has room for what it is to receive");
            let pointer = spare.as_mut_ptr().cast();
            opcode::Recv::new(raw, pointer, asked as u32).flags(flags).ioprio(ioprio).build()
        });
    }

    pub(super) fn start_send(&mut self, socket: u64, list: SendList, message: Option<Box<Message>>) {
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

    pub(super) fn start_read(&mut self, op: Op) {
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

    /// Waits for the helper threads' next answers.
    pub(super) fn start_answers(&mut self) {
        if let Some(helper) = &self.helper {
            let raw = Fd(helper.wake_fd());
            self.start(Op::Answers, |_| opcode::PollAdd::new(raw, libc::POLLIN as u32).build());
        }
    }

    pub(super) fn start_wake(&mut self, fd: Arc<OwnedFd>, count: Box<u64>) {
        let raw = Fd(fd.as_raw_fd());
        self.start(Op::Wake { fd, count }, |op| {
            let Op::Wake { count, .. } = op else { unreachable!("it was just made") };
            opcode::Read::new(raw, (&raw mut **count).cast(), 8).build()
        });
    }

    pub(super) fn start_signals(&mut self, fd: Rc<OwnedFd>) {
        let raw = Fd(fd.as_raw_fd());
        self.start(Op::Signals { fd }, |_| opcode::PollAdd::new(raw, libc::POLLIN as u32).build());
    }

    /// Cancels all that is under way on a descriptor.
    pub(super) fn start_cancel(&mut self, fd: Rc<OwnedFd>) {
        let target = CancelBuilder::fd(Fd(fd.as_raw_fd())).all();
        self.start(Op::Cancel { fd }, |_| opcode::AsyncCancel2::new(target).build());
    }
}

/// Sets from how many bytes on the socket counts as readable. A socket that refuses is woken more often, no more.
fn set_low_water(calls: &Calls, connection: &mut Connection, bytes: usize) {
    if connection.low_water != bytes {
        calls.count();
        if net::set_low_water(connection.fd.as_raw_fd(), bytes).is_ok() {
            connection.low_water = bytes;
        }
    }
}
