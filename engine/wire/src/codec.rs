//! Reading and writing Kafka's primitive types.
//!
//! ```text
//!   bytes from a socket --> Reader (at .. end) --> typed values | DecodeError
//!   typed values        --> Writer { bytes, cuts } --> bytes, record data left out at each cut
//! ```
//!
//! Invariants:
//! - A [`Reader`] never looks beyond the bytes that it was given, whatever a length on the wire says.
//! - An array's count is checked against the bytes that are left before anything is allocated, and whatever is allocated
//!   is taken from a budget first: a fixed multiple of the input ([`MEMORY_PER_BYTE`]), and not more than the caller
//!   grants ([`Reader::within`]).
//! - Encodings with a null form (any negative length, compact length 0) give `None`; the caller says whether null is
//!   allowed there.

mod error;

use std::ops::Range;

use crate::Uuid;

pub use error::{DecodeError, EncodeError};

/// Bytes of memory that a [`Reader`] grants per byte of input, plus [`MEMORY_FLOOR`].
///
/// The smallest element of any request is three bytes and takes about a hundred in memory; honest ones carry names.
pub const MEMORY_PER_BYTE: usize = 64;
/// Bytes of memory that a [`Reader`] grants however short its input is.
pub const MEMORY_FLOOR: usize = 4096;
/// What an allocation costs beside its bytes: the allocator's own, and rounding.
pub const ALLOCATION_BYTES: usize = 32;
/// The longest string in bytes (`Short.MAX_VALUE`), compact ones included.
pub const STRING_MAX: usize = i16::MAX as usize;

/// A cursor over bytes that somebody else chose.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    end: usize,
    /// Bytes that may still be allocated, of those that were granted.
    memory: usize,
    granted: usize,
}

impl<'a> Reader<'a> {
    /// Reads `input` from its start. Positions and [`Records::At`] ranges count from there.
    pub fn new(input: &'a [u8]) -> Self {
        Self::within(input, usize::MAX)
    }

    /// As [`Reader::new`], where what is read may take `memory_max` bytes at most: the input's own bytes not counted,
    /// because records and borrowed bytes stay in it.
    pub fn within(input: &'a [u8], memory_max: usize) -> Self {
        let granted = input.len().saturating_mul(MEMORY_PER_BYTE).saturating_add(MEMORY_FLOOR).min(memory_max);
        Self { input, at: 0, end: input.len(), memory: granted, granted }
    }

    /// Bytes not yet read.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.end - self.at
    }

    /// Bytes read so far.
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next `len` bytes, borrowed from the input.
    #[inline]
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        if len > self.remaining() {
            return Err(DecodeError::Short { wanted: len, left: self.remaining(), position: self.at });
        }
        let bytes = &self.input[self.at..self.at + len];
        self.at += len;
        Ok(bytes)
    }

    /// All bytes that are left.
    pub fn rest(&mut self) -> &'a [u8] {
        let bytes = &self.input[self.at..self.end];
        self.at = self.end;
        bytes
    }

    /// An error unless every byte was read.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing { left, position: self.at }),
        }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    /// A signed byte.
    #[inline]
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        self.array().map(i8::from_be_bytes)
    }

    /// A 16-bit integer, big-endian.
    #[inline]
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        self.array().map(i16::from_be_bytes)
    }

    /// An unsigned 16-bit integer, big-endian.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    /// A 32-bit integer, big-endian.
    #[inline]
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    /// A 64-bit integer, big-endian.
    #[inline]
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_be_bytes)
    }

    /// An IEEE 754 double, big-endian.
    #[inline]
    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        self.array().map(f64::from_be_bytes)
    }

    /// A 128-bit id.
    #[inline]
    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.array().map(Uuid)
    }

    /// An unsigned variable-length integer: seven bits a byte, the lowest first, at most five bytes and 32 bits.
    #[inline]
    pub fn uvarint(&mut self) -> Result<u32, DecodeError> {
        match self.input.get(self.at) {
            Some(byte) if *byte < 0x80 && self.at < self.end => {
                self.at += 1;
                Ok(u32::from(*byte))
            }
            _ => self.uvarint_long(),
        }
    }

    fn uvarint_long(&mut self) -> Result<u32, DecodeError> {
        let position = self.at;
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            if shift == 28 && byte > 0x0f {
                break;
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::Varint { position })
    }

    /// A nullable length: compact (variable-length, 0 is null, else one more than the length) or 32 bits (negative is
    /// null).
    #[inline]
    pub fn length(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        if flexible {
            return Ok((self.uvarint()? as usize).checked_sub(1));
        }
        Ok(usize::try_from(self.i32()?).ok())
    }

    /// A nullable string: 16-bit length, or compact.
    pub fn string(&mut self, flexible: bool) -> Result<Option<String>, DecodeError> {
        let len = if flexible { self.length(true)? } else { usize::try_from(self.i16()?).ok() };
        let Some(len) = len else { return Ok(None) };
        if len > STRING_MAX {
            return Err(DecodeError::StringLength { len, position: self.at });
        }
        let bytes = self.take(len)?;
        self.charge(len)?;
        let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::Utf8 { position: self.at })?;
        Ok(Some(text.to_owned()))
    }

    /// Nullable bytes, borrowed from the input.
    pub fn bytes(&mut self, flexible: bool) -> Result<Option<&'a [u8]>, DecodeError> {
        match self.length(flexible)? {
            Some(len) => self.take(len).map(Some),
            None => Ok(None),
        }
    }

    /// A nullable array's count, after checking that so many elements of at least `element_len_min` bytes can follow
    /// and that the memory budget holds `element_size` bytes for each.
    #[inline]
    pub(crate) fn count(
        &mut self,
        flexible: bool,
        element_len_min: usize,
        element_size: usize,
    ) -> Result<Option<usize>, DecodeError> {
        let position = self.at;
        let Some(count) = self.length(flexible)? else { return Ok(None) };
        if count > self.remaining() / element_len_min {
            return Err(DecodeError::Count { count, left: self.remaining(), position });
        }
        self.charge(count.saturating_mul(element_size))?;
        Ok(Some(count))
    }

    /// Takes an allocation of so many bytes from the budget, before it is made.
    #[inline]
    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), DecodeError> {
        if bytes == 0 {
            return Ok(());
        }
        let left = self.memory.checked_sub(bytes.saturating_add(ALLOCATION_BYTES));
        self.memory = left.ok_or(DecodeError::Memory { granted: self.granted, position: self.at })?;
        Ok(())
    }

    /// Reads the list of tagged fields. Gives `read` each one's number and a reader over exactly its bytes; `Ok(false)`
    /// from `read` means that the tag is unknown, and its bytes go to `unknown`.
    #[inline]
    pub(crate) fn tagged_fields(
        &mut self,
        unknown: &mut Vec<(u32, Vec<u8>)>,
        read: impl FnMut(u32, &mut Reader<'a>) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        match self.uvarint()? {
            0 => Ok(()),
            count => self.tagged_fields_of(count, unknown, read),
        }
    }

    fn tagged_fields_of(
        &mut self,
        count: u32,
        unknown: &mut Vec<(u32, Vec<u8>)>,
        mut read: impl FnMut(u32, &mut Reader<'a>) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        for _ in 0..count {
            let tag = self.uvarint()?;
            let len = self.uvarint()? as usize;
            let start = self.at;
            self.take(len)?;
            let mut field = Reader { at: start, end: self.at, ..*self };
            if read(tag, &mut field)? {
                self.memory = field.memory;
                field.finish()?;
            } else {
                // Twice: the list grows by doubling, its count is not to be believed.
                self.charge(len + 2 * size_of::<(u32, Vec<u8>)>())?;
                unknown.push((tag, field.rest().to_vec()));
            }
        }
        Ok(())
    }
}

/// The bytes of a message, and where in them record data belongs that is sent from elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writer {
    /// What was written.
    pub bytes: Vec<u8>,
    /// Positions in `bytes`, ascending: one for each `records` field that is not null, in the order of the message.
    /// The sender puts that field's data there; its length prefix is already in `bytes`.
    pub cuts: Vec<usize>,
    /// How many bytes belong at each cut.
    pub cut_lens: Vec<usize>,
    /// Where in `bytes` the message says how long its client is held back (`throttle_time_ms`, an int32), if it does.
    pub throttle_at: Option<usize>,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// A writer that appends to `bytes`, so that a buffer can be used again.
    pub fn with_buffer(bytes: Vec<u8>) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// Bytes of the whole message: those here and those that are sent from elsewhere.
    pub fn total_len(&self) -> usize {
        self.bytes.len() + self.cut_lens.iter().sum::<usize>()
    }

    /// A field was written, from `from` on; nothing of it where the version has none.
    #[inline(always)]
    pub(crate) fn wrote(&mut self, field: &str, from: usize) {
        if field == "throttle_time_ms" && self.bytes.len() == from + 4 {
            self.throttle_at = Some(from);
        }
    }

    /// Leaves room for `len` bytes of record data at the present end.
    pub(crate) fn cut(&mut self, len: usize) {
        self.cuts.push(self.bytes.len());
        self.cut_lens.push(len);
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.cuts.clear();
        self.cut_lens.clear();
        self.throttle_at = None;
    }

    /// Raw bytes, no length.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// An unsigned variable-length integer.
    #[inline]
    pub fn uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// A nullable length, see [`Reader::length`].
    pub fn length(&mut self, len: Option<usize>, flexible: bool, what: &'static str) -> Result<(), EncodeError> {
        let Some(len) = len else {
            if flexible {
                self.uvarint(0)
            } else {
                self.raw(&(-1i32).to_be_bytes())
            }
            return Ok(());
        };
        let max = i32::MAX as usize - 1;
        let short = i32::try_from(len).ok().filter(|_| len <= max).ok_or(EncodeError::TooLong { what, len, max })?;
        if flexible {
            self.uvarint(short.unsigned_abs() + 1)
        } else {
            self.raw(&short.to_be_bytes())
        }
        Ok(())
    }

    /// A nullable string: 16-bit length, or compact.
    pub fn string(&mut self, text: Option<&str>, flexible: bool) -> Result<(), EncodeError> {
        let Some(text) = text else {
            if flexible {
                self.uvarint(0)
            } else {
                self.raw(&(-1i16).to_be_bytes())
            }
            return Ok(());
        };
        let len = text.len();
        let short = i16::try_from(len).map_err(|_| EncodeError::TooLong { what: "string", len, max: STRING_MAX })?;
        if flexible {
            self.uvarint(u32::from(short.unsigned_abs()) + 1)
        } else {
            self.raw(&short.to_be_bytes())
        }
        self.raw(text.as_bytes());
        Ok(())
    }

    /// A tagged field: its number, its length, then what `write` writes.
    pub(crate) fn tagged_field(
        &mut self,
        tag: u32,
        write: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.uvarint(tag);
        let start = self.bytes.len();
        write(self)?;
        let len = self.bytes.len() - start;
        let short = u32::try_from(len).map_err(|_| EncodeError::TooLong {
            what: "tagged field",
            len,
            max: i32::MAX as usize,
        })?;
        let mut prefix = Writer::new();
        prefix.uvarint(short);
        self.bytes.splice(start..start, prefix.bytes);
        Ok(())
    }

    /// Writes those `unknown` tagged fields whose number is below `tag` and returns the others.
    pub(crate) fn unknown_below<'u>(
        &mut self,
        unknown: &'u [(u32, Vec<u8>)],
        tag: u32,
    ) -> Result<&'u [(u32, Vec<u8>)], EncodeError> {
        let until = unknown.iter().position(|(number, _)| *number >= tag).unwrap_or(unknown.len());
        let (below, others) = unknown.split_at(until);
        self.unknown(below)?;
        Ok(others)
    }

    /// Writes unknown tagged fields as they came.
    pub(crate) fn unknown(&mut self, fields: &[(u32, Vec<u8>)]) -> Result<(), EncodeError> {
        for (tag, bytes) in fields {
            self.tagged_field(*tag, |w| {
                w.raw(bytes);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// How many tagged fields follow.
    pub(crate) fn tag_count(&mut self, count: usize) -> Result<(), EncodeError> {
        let max = i32::MAX as usize;
        let count =
            u32::try_from(count).map_err(|_| EncodeError::TooLong { what: "tagged field list", len: count, max })?;
        self.uvarint(count);
        Ok(())
    }
}

/// Record batches inside a message: never copied into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Records {
    /// The field is null.
    #[default]
    Null,
    /// Decoded: where the batches lie in the [`Reader`]'s input.
    At(Range<usize>),
    /// To be encoded: so many bytes, sent from elsewhere at the [`Writer`]'s cut.
    Outside(usize),
}

impl Records {
    /// Bytes of record data, 0 for null.
    pub fn len(&self) -> usize {
        match self {
            Records::Null => 0,
            Records::At(range) => range.len(),
            Records::Outside(len) => *len,
        }
    }

    /// True when there is no record data.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batches' bytes, given the input that the message was decoded from. `None` for null and for records that
    /// lie elsewhere.
    pub fn bytes<'a>(&self, input: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Records::At(range) => input.get(range.clone()),
            Records::Null | Records::Outside(_) => None,
        }
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
