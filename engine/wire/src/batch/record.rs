//! One record inside a batch.
//!
//! ```text
//!   size varint | attributes i8 | timestamp_delta varlong | offset_delta varint
//!     | key length varint, key | value length varint, value       (-1: null)
//!     | header count varint | per header: key length varint, key, value length varint, value
//! ```
//!
//! Integers of variable length are zigzag. Every length is checked against the record's size, and the parts must fill
//! it exactly (`DefaultRecord.readFrom`).

use super::RecordFault;

/// A record, borrowed from its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its offset.
    pub offset: i64,
    /// Ms since the epoch, -1 for none.
    pub timestamp: i64,
    /// Null if it has none.
    pub key: Option<&'a [u8]>,
    /// Null for a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Headers<'a>,
}

/// A record's headers, in their order; iterate over a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    count: u32,
    bytes: &'a [u8],
}

/// A record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The name: UTF-8 by agreement, not checked.
    pub key: &'a [u8],
    /// Null if it has none.
    pub value: Option<&'a [u8]>,
}

impl Headers<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.count = self.count.checked_sub(1)?;
        let mut cursor = Cursor::new(self.bytes);
        let header = cursor.header().ok()?;
        self.bytes = &self.bytes[cursor.at..];
        Some(header)
    }
}

/// A record before its batch's base offset and time stamp are added.
#[derive(Clone, Copy)]
pub(super) struct Raw<'a> {
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i32,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: Headers<'a>,
}

/// What a batch's checks want to know of a record.
#[derive(Clone, Copy)]
pub(super) struct Claims {
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i32,
    pub(super) has_key: bool,
}

impl Raw<'_> {
    #[inline]
    pub(super) fn claims(&self) -> Claims {
        let Self { timestamp_delta, offset_delta, .. } = *self;
        Claims { timestamp_delta, offset_delta, has_key: self.key.is_some() }
    }
}

/// The size that the record at the start of `bytes` announces: bytes of the prefix, bytes of the body. `None` if the
/// prefix is not complete.
#[inline]
pub(super) fn size(bytes: &[u8]) -> Result<Option<(usize, usize)>, RecordFault> {
    let mut cursor = Cursor::new(bytes);
    match cursor.varint() {
        Ok(len) => match usize::try_from(len) {
            Ok(body) => Ok(Some((cursor.at, body))),
            Err(_) => Err(RecordFault::Length { what: "body", len }),
        },
        Err(_) if bytes.len() < 5 => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Reads a record's body: exactly `body`, not one byte less.
#[inline]
pub(super) fn parse(body: &[u8]) -> Result<Raw<'_>, RecordFault> {
    let mut cursor = Cursor::new(body);
    cursor.take(1).ok_or(RecordFault::Ends)?;
    let timestamp_delta = cursor.varlong()?;
    let offset_delta = cursor.varint()?;
    let key = cursor.nullable("key")?;
    let value = cursor.nullable("value")?;
    let headers = cursor.headers()?;
    match body.len() - cursor.at {
        0 => Ok(Raw { timestamp_delta, offset_delta, key, value, headers }),
        left => Err(RecordFault::LeftOver { left }),
    }
}

/// The longest variable-length integer.
pub(super) const VARLONG_LEN_MAX: usize = 10;

/// A value at the start of some bytes, and how many of them it takes.
pub(super) type Measured<T> = Result<(T, usize), RecordFault>;

/// The 32-bit integer at the start of `bytes`.
pub(super) fn varint(bytes: &[u8]) -> Measured<i32> {
    let mut cursor = Cursor::new(bytes);
    cursor.varint().map(|value| (value, cursor.at))
}

/// The 64-bit integer at the start of `bytes`.
pub(super) fn varlong(bytes: &[u8]) -> Measured<i64> {
    let mut cursor = Cursor::new(bytes);
    cursor.varlong().map(|value| (value, cursor.at))
}

/// How many headers there are, where `left` bytes can hold them: one takes two bytes at least.
#[inline]
pub(super) fn header_count(len: i32, left: usize) -> Result<u32, RecordFault> {
    let count = u32::try_from(len).ok().filter(|count| *count as usize <= left / 2);
    count.ok_or(RecordFault::Length { what: "header count", len })
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    #[inline]
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let part = self.bytes.get(self.at..)?.get(..len)?;
        self.at += len;
        Some(part)
    }

    #[inline]
    fn varint(&mut self) -> Result<i32, RecordFault> {
        if let Some(byte) = self.bytes.get(self.at).filter(|byte| **byte < 0x80) {
            self.at += 1;
            return Ok(unzigzag(u64::from(*byte)) as i32);
        }
        let wide = self.unsigned(5)?;
        u32::try_from(wide).map(|narrow| unzigzag(narrow.into()) as i32).map_err(|_| RecordFault::Varint)
    }

    #[inline]
    fn varlong(&mut self) -> Result<i64, RecordFault> {
        if let Some(byte) = self.bytes.get(self.at).filter(|byte| **byte < 0x80) {
            self.at += 1;
            return Ok(unzigzag(u64::from(*byte)));
        }
        self.unsigned(10).map(unzigzag)
    }

    fn unsigned(&mut self, bytes_max: usize) -> Result<u64, RecordFault> {
        let mut value = 0u64;
        for place in 0..bytes_max {
            let byte = *self.bytes.get(self.at).ok_or(RecordFault::Varint)?;
            self.at += 1;
            if place == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(RecordFault::Varint)
    }

    #[inline]
    fn nullable(&mut self, what: &'static str) -> Result<Option<&'a [u8]>, RecordFault> {
        let len = self.varint()?;
        match usize::try_from(len) {
            Ok(size) => self.take(size).map(Some).ok_or(RecordFault::Length { what, len }),
            Err(_) => Ok(None),
        }
    }

    #[inline]
    fn headers(&mut self) -> Result<Headers<'a>, RecordFault> {
        let len = self.varint()?;
        if len == 0 {
            return Ok(Headers::default());
        }
        let count = header_count(len, self.bytes.len() - self.at)?;
        let start = self.at;
        for _ in 0..count {
            self.header()?;
        }
        Ok(Headers { count, bytes: &self.bytes[start..self.at] })
    }

    fn header(&mut self) -> Result<Header<'a>, RecordFault> {
        let len = self.varint()?;
        let size = usize::try_from(len).ok();
        let key = size.and_then(|size| self.take(size)).ok_or(RecordFault::Length { what: "header key", len })?;
        Ok(Header { key, value: self.nullable("header value")? })
    }
}

#[inline]
fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

#[inline]
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// Appends a zigzag variable-length integer.
#[inline]
pub(super) fn put_varlong(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Bytes that [`put_varlong`] writes.
#[inline]
pub(super) fn varlong_len(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zigzag_integers_come_back_at_every_length() {
        for shift in 0..64 {
            for value in [1i64 << shift, -(1i64 << shift).wrapping_add(1), (1i64 << shift).wrapping_sub(1)] {
                let mut bytes = Vec::new();
                put_varlong(&mut bytes, value);
                assert_eq!(bytes.len(), varlong_len(value), "{value}");
                assert_eq!(Cursor::new(&bytes).varlong(), Ok(value));
            }
        }
    }

    #[test]
    fn an_integer_beyond_its_type_is_refused() {
        let mut bytes = Vec::new();
        put_varlong(&mut bytes, i64::from(i32::MAX) + 1);
        assert_eq!(Cursor::new(&bytes).varint(), Err(RecordFault::Varint));
        assert_eq!(Cursor::new(&[0xff; 11]).varlong(), Err(RecordFault::Varint));
        assert_eq!(Cursor::new(&[0x80]).varlong(), Err(RecordFault::Varint));
    }
}
