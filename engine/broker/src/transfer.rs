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

use ringlog_io::{Buf, Driver, Slice};
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
}

/// Takes the next step of a connection's output. Errors are those of the file.
pub(crate) fn step(connection: &mut Connection, driver: &mut dyn Driver) -> io::Result<Step> {
    let mut parts = Vec::new();
    let mut room = limits::TRANSFER_BYTES;
    loop {
        connection.take_bytes(&mut parts);
        let Some(Part::File(range)) = connection.output.front_mut() else { break };
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
