//! The records of a compressed body, one after the other in a small window, however large the body and its records are.
//!
//! ```text
//!   body --Inflater--> buffer[start..end] --+-- a record that fits: parsed where it lies
//!                                           +-- a longer one: its lengths are read, its bytes skipped (Long)
//! ```
//! The window holds [`FITTING_MAX`] and what is opened at a time: memory follows neither the body nor a record.

use std::io::Read;

use super::record::{self, Claims};
use super::{BatchError, RecordFault};
use crate::compression::{Codec, CompressionError, Inflater};

/// Bytes read from a codec at a time.
const WINDOW_STEP: usize = 64 << 10;
/// A record above this is read piece by piece.
const FITTING_MAX: usize = 256 << 10;
/// The largest that a window becomes: a record that nearly fits, and one more step behind it.
#[cfg(test)]
pub(super) const WINDOW_MAX: usize = (FITTING_MAX + WINDOW_STEP).next_power_of_two();

/// The part of a compressed body that is open: `buffer[start..end]`.
pub(super) struct Window<'a, 'b> {
    codec: Codec,
    inflater: Inflater<'a>,
    buffer: &'b mut Vec<u8>,
    start: usize,
    end: usize,
    opened: usize,
    len_max: usize,
}

/// Why the next record cannot be read.
pub(super) enum Stop {
    /// It is wrong.
    Fault(RecordFault),
    /// The body does not open.
    Body(CompressionError),
}

impl Stop {
    /// The error, for the record of that index.
    pub(super) fn at(self, index: i32) -> BatchError {
        match self {
            Stop::Fault(fault) => BatchError::Record { index, fault },
            Stop::Body(error) => BatchError::Compression(error),
        }
    }
}

impl From<RecordFault> for Stop {
    fn from(fault: RecordFault) -> Self {
        Stop::Fault(fault)
    }
}

impl From<CompressionError> for Stop {
    fn from(error: CompressionError) -> Self {
        Stop::Body(error)
    }
}

impl<'a, 'b> Window<'a, 'b> {
    /// A window on what `inflater` opens, `len_max` bytes at most.
    pub(super) fn new(codec: Codec, inflater: Inflater<'a>, buffer: &'b mut Vec<u8>, len_max: usize) -> Self {
        Self { codec, inflater, buffer, start: 0, end: 0, opened: 0, len_max }
    }

    /// Bytes opened so far.
    pub(super) fn opened(&self) -> usize {
        self.opened
    }

    /// Bytes that are open and not taken.
    pub(super) fn ready(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// What the next record says of itself; it is behind us then.
    pub(super) fn next_record(&mut self) -> Result<Claims, Stop> {
        loop {
            match record::size(self.ready())? {
                Some((prefix, body)) if body > FITTING_MAX => {
                    self.start += prefix;
                    return Long { window: self, left: body }.claims();
                }
                Some((prefix, body)) if prefix + body <= self.ready().len() => {
                    let start = self.start + prefix;
                    self.start = start + body;
                    return Ok(record::parse(&self.buffer[start..self.start])?.claims());
                }
                _ if self.read_on()? => {}
                _ => return Err(RecordFault::Ends.into()),
            }
        }
    }

    /// Opens some more; false at the end of the body.
    pub(super) fn read_on(&mut self) -> Result<bool, CompressionError> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.buffer.len() < self.end + WINDOW_STEP {
            self.buffer.resize((self.end + WINDOW_STEP).next_power_of_two(), 0);
        }
        let read = self
            .inflater
            .read(&mut self.buffer[self.end..])
            .map_err(|reason| CompressionError::of_reading(self.codec, reason, self.len_max))?;
        self.end += read;
        self.opened += read;
        if self.opened > self.len_max {
            return Err(CompressionError::TooLarge { codec: self.codec, max: self.len_max });
        }
        Ok(read > 0)
    }
}

/// A record that is longer than what the window holds, `left` bytes of it not read yet. The checks are those of
/// [`record::parse`], in its order.
struct Long<'w, 'a, 'b> {
    window: &'w mut Window<'a, 'b>,
    left: usize,
}

impl Long<'_, '_, '_> {
    fn claims(&mut self) -> Result<Claims, Stop> {
        self.skip(1)?;
        let timestamp_delta = self.number(record::varlong)?;
        let offset_delta = self.number(record::varint)?;
        let has_key = self.nullable("key")?;
        self.nullable("value")?;
        self.headers()?;
        match self.left {
            0 => Ok(Claims { timestamp_delta, offset_delta, has_key }),
            left => Err(RecordFault::LeftOver { left }.into()),
        }
    }

    fn headers(&mut self) -> Result<(), Stop> {
        let len = self.number(record::varint)?;
        let count = record::header_count(len, self.left)?;
        for _ in 0..count {
            let len = self.number(record::varint)?;
            self.skip_part("header key", len, usize::try_from(len).ok())?;
            self.nullable("header value")?;
        }
        Ok(())
    }

    /// Whether it is there.
    fn nullable(&mut self, what: &'static str) -> Result<bool, Stop> {
        let len = self.number(record::varint)?;
        let Ok(size) = usize::try_from(len) else { return Ok(false) };
        self.skip_part(what, len, Some(size))?;
        Ok(true)
    }

    fn skip_part(&mut self, what: &'static str, len: i32, size: Option<usize>) -> Result<(), Stop> {
        match size.filter(|size| *size <= self.left) {
            Some(size) => self.skip(size),
            None => Err(RecordFault::Length { what, len }.into()),
        }
    }

    /// A variable-length integer, which `read` gives with its length.
    fn number<T>(&mut self, read: fn(&[u8]) -> record::Measured<T>) -> Result<T, Stop> {
        let wanted = self.left.min(record::VARLONG_LEN_MAX);
        while self.window.ready().len() < wanted {
            if !self.window.read_on()? {
                return Err(RecordFault::Ends.into());
            }
        }
        let (value, len) = read(&self.window.ready()[..wanted])?;
        self.window.start += len;
        self.left -= len;
        Ok(value)
    }

    fn skip(&mut self, mut len: usize) -> Result<(), Stop> {
        self.left = self.left.checked_sub(len).ok_or(RecordFault::Ends)?;
        loop {
            let now = len.min(self.window.ready().len());
            self.window.start += now;
            len -= now;
            if len == 0 {
                return Ok(());
            }
            if !self.window.read_on()? {
                return Err(RecordFault::Ends.into());
            }
        }
    }
}
