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

use ringlog_io::{Buf, Buffers, Files, Residency, Slice};
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
    /// Send the beginning of this range by reference.
    Refer(LogRange, usize),
}

/// Takes the next step of a connection's output; long ranges go out `by_reference`, or are copied, `room` bytes of them at
/// most. Errors are the file's.
pub(crate) fn step(
    connection: &mut Connection,
    by_reference: bool,
    files: &dyn Files,
    buffers: &Buffers,
    room: usize,
) -> io::Result<Step> {
    let mut parts = Vec::new();
    let mut room = room.min(limits::TRANSFER_BYTES);
    loop {
        connection.take_bytes(&mut parts);
        let Some(Part::File(range)) = connection.output.front() else { break };
        if by_reference && range.len >= limits::REFERENCE_BYTES_MIN && is_resident(range, files) {
            if parts.is_empty() {
                return Ok(Step::Refer(range.clone(), range.len.min(limits::TRANSFER_BYTES)));
            }
            // What comes before the range leaves first, by a send of its own.
            break;
        }
        if room == 0 || parts.len() >= limits::SEND_PARTS {
            break;
        }
        match copy_resident(range, room, files, buffers)? {
            Some(bytes) => {
                room -= bytes.len();
                connection.cut_range(bytes.len());
                connection.copied_bytes += bytes.len() as u64;
                parts.push(bytes);
            }
            None if parts.is_empty() => {
                let len = range.len.min(room);
                return Ok(Step::ReadCold(range.clone(), len));
            }
            None => break,
        }
    }
    Ok(if parts.is_empty() { Step::Nothing } else { Step::Send(parts) })
}

/// Whether what sendfile would take of a range is in the page cache: it must not wait for a disk.
fn is_resident(range: &LogRange, files: &dyn Files) -> bool {
    let len = range.len.min(limits::TRANSFER_BYTES) as u64;
    files.residency(&range.file, range.position, len) == Residency::Whole
}

/// Copies the beginning of a range out of the page cache. `None`: it is not resident.
fn copy_resident(range: &LogRange, room: usize, files: &dyn Files, buffers: &Buffers) -> io::Result<Option<Slice>> {
    let len = range.len.min(room);
    let mut buf = buffers.take(len);
    match files.read_resident(&range.file, &mut buf, range.position, len) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(_) => Ok(Some(Slice::new(buf))),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// The bytes that [`Step::ReadCold`] asked for are here: they go out before the rest of their range.
pub(crate) fn arrived(connection: &mut Connection, buf: Buf) {
    connection.cut_range(buf.len());
    connection.put_first(Slice::new(buf));
}
