//! Reads bytes from the front: Kafka's numbers, strings and varints. What is cut off is a fault.

use crate::checks::report::Fault;

/// What is left.
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(cut_off)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.bytes(N)?.first_chunk().copied().ok_or_else(cut_off)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, Fault> {
        self.array().map(i16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Fault> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Fault> {
        self.array().map(i64::from_be_bytes)
    }

    /// An answer's array of one topic with one partition, up to what is said of that.
    pub(crate) fn one_partition(&mut self) -> Result<(), Fault> {
        let topics = self.i32()?;
        let name = self.i16()?.max(0) as usize;
        self.bytes(name)?;
        let partitions = self.i32()?;
        self.i32()?;
        if (topics, partitions) == (1, 1) { Ok(()) } else { Err(Fault::Failed("not of one partition".to_owned())) }
    }

    pub(crate) fn varint(&mut self) -> Result<i64, Fault> {
        let mut value = 0u64;
        for shift in (0..u64::BITS).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(Fault::Failed("a varint of more than ten bytes".to_owned()))
    }

    /// Bytes with their length in front; none for null.
    pub(crate) fn sized(&mut self) -> Result<&'a [u8], Fault> {
        let count = self.varint()?.max(0);
        self.bytes(usize::try_from(count).map_err(|_| cut_off())?)
    }
}

fn cut_off() -> Fault {
    Fault::Failed("it is cut off".to_owned())
}

/// A number as a zig-zag varint.
pub(crate) fn zigzag(number: i64) -> Vec<u8> {
    let (mut left, mut out) = (((number << 1) ^ (number >> 63)) as u64, Vec::new());
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_as_the_protocol_has_them() {
        let cases: [(i64, &[u8]); 6] =
            [(0, &[0]), (-1, &[1]), (1, &[2]), (-65, &[0x81, 1]), (300, &[0xd8, 4]), (i64::MIN, &[0xff; 9])];
        for (number, bytes) in cases {
            let written = zigzag(number);
            assert!(written.starts_with(bytes), "{number}: {written:?}");
            assert_eq!(Cursor(&written).varint().unwrap(), number);
        }
        assert!(Cursor(&[0xff; 11]).varint().is_err() && Cursor(&[0x80]).varint().is_err());
        assert!(Cursor(&[20, 1]).sized().is_err());
    }
}
