//! The way of an answer's parts to the socket: made bytes by send, ranges of segments by copy or by reference.
//!
//! ```text
//!   output: [Bytes][File ......][Bytes][File ..]
//!             |      |
//!             |      +- resident: read into a pooled buffer and sent with the bytes before it, or sendfile
//!             |      +- not resident: read through the ring (never on this thread), dropped from the cache again
//!             +- one send takes as many parts as are ready, up to TRANSFER_BYTES
//! ```
//! Which of the two ways a resident range goes is measured: `engine/docs/decisions/transfer-rule.md`.

use std::io;

use ringlog_io::{Buf, Driver, Residency, Slice, Socket};
use ringlog_storage::LogRange;

use crate::connection::Connection;
use crate::limits;
use crate::response::Part;

/// What to do next for a connection's output.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing is there to send.
    Nothing,
    /// Send these.
    Send(Vec<Slice>),
    /// Read the beginning of this range through the ring.
    ReadCold(LogRange, usize),
    /// The socket takes nothing now: go on when it does.
    AwaitRoom,
}

/// Who receives, and whether long ranges go there by reference.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receiver {
    pub(crate) socket: Socket,
    pub(crate) by_reference: bool,
}

/// Takes the next step of a connection's output. Errors are those of the file or of the connection.
pub(crate) fn step(connection: &mut Connection, to: Receiver, driver: &mut dyn Driver) -> io::Result<Step> {
    let mut parts = Vec::new();
    let mut room = limits::TRANSFER_BYTES;
    loop {
        connection.take_bytes(&mut parts);
        let Some(Part::File(range)) = connection.output.front_mut() else { break };
        if to.by_reference && range.len >= limits::REFERENCE_BYTES_MIN && is_resident(range, driver) {
            match parts.is_empty() {
                // What comes before the range leaves first, by a send of its own.
                false => break,
                true if !refer(range, to.socket, driver)? => return Ok(Step::AwaitRoom),
                true if range.len == 0 => drop(connection.output.pop_front()),
                true => {}
            }
            continue;
        }
        if room == 0 || parts.len() >= limits::SEND_PARTS {
            break;
        }
        match copy_resident(range, room, driver)? {
            Some(bytes) => {
                room -= bytes.len();
                parts.push(bytes);
                if range.len == 0 {
                    connection.output.pop_front();
                }
            }
            None if parts.is_empty() => {
                let len = range.len.min(limits::TRANSFER_BYTES);
                return Ok(Step::ReadCold(range.clone(), len));
            }
            None => break,
        }
    }
    Ok(if parts.is_empty() { Step::Nothing } else { Step::Send(parts) })
}

/// Whether what sendfile would take of a range is in the page cache: it must not wait for a disk.
fn is_resident(range: &LogRange, driver: &dyn Driver) -> bool {
    let len = range.len.min(limits::TRANSFER_BYTES) as u64;
    driver.files().residency(&range.file, range.position, len) == Residency::Whole
}

/// Sends the beginning of a range by reference and cuts it off the range. False: the socket takes nothing now.
fn refer(range: &mut LogRange, socket: Socket, driver: &mut dyn Driver) -> io::Result<bool> {
    let len = range.len.min(limits::TRANSFER_BYTES);
    match driver.send_file(socket, &range.file, range.position, len) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(sent) => {
            range.position += sent as u64;
            range.len -= sent;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// Copies the beginning of a range out of the page cache and cuts it off the range. `None`: it is not resident.
fn copy_resident(range: &mut LogRange, room: usize, driver: &mut dyn Driver) -> io::Result<Option<Slice>> {
    let len = range.len.min(room);
    let mut buf = driver.buffer(len);
    match driver.files().read_resident(&range.file, &mut buf, range.position, len) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(read) => {
            range.position += read as u64;
            range.len -= read;
            Ok(Some(Slice::new(buf)))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// The bytes that [`Step::ReadCold`] asked for are here: they go out before the rest of their range.
pub(crate) fn arrived(connection: &mut Connection, buf: Buf) {
    let Some(Part::File(range)) = connection.output.front_mut() else { unreachable!("the range stays first") };
    let read = buf.len().min(range.len);
    range.position += read as u64;
    range.len -= read;
    if range.len == 0 {
        connection.output.pop_front();
    }
    connection.put_first(Slice::new(buf).slice(0..read));
}
