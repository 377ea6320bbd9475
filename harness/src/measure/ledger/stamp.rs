//! The stamp of a record: in the front of its value, or in a header of its own.
//!
//! ```text
//!   stamp   | sequence u64 | writer u32 | crc u32 |         (big endian)
//!           0              8            12        16
//!
//!   payload   value = stamp, payload ...     the value keeps its size; its first 16 bytes are the stamp's
//!   header    value = payload, headers = [ .., ringlog.ledger: stamp ]     the value stays as it is
//!
//!   crc = CRC-32C over partition i32, sequence, writer, payload
//! ```

/// Bytes of a stamp.
pub const STAMP_LEN: usize = WRITER_END + size_of::<u32>();

/// The key of the header that a stamp is in.
pub const HEADER_KEY: &str = "ringlog.ledger";

const SEQUENCE_END: usize = size_of::<u64>();
const WRITER_END: usize = SEQUENCE_END + size_of::<u32>();

/// Who wrote a record and which of the partition's records it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// The writer: a number that no other run or producer on the topic has (random is good).
    pub writer: u32,
    /// The writer's number of the record in its partition, from 0.
    pub sequence: u64,
}

/// Why a record does not carry a stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// There is no room for one.
    #[error(
        "a value of {0} bytes has no room for the ledger's {STAMP_LEN} bytes: use records of {STAMP_LEN} bytes or more"
    )]
    TooShort(usize),
    /// The bytes are not what was written.
    #[error("the stamp's checksum is {found:#010x} and the record's bytes give {computed:#010x}")]
    Checksum {
        /// What the stamp says.
        found: u32,
        /// What the bytes say.
        computed: u32,
        /// Whose record it would be.
        writer: u32,
    },
    /// The header is there, and not as long as a stamp.
    #[error("the header {HEADER_KEY} has {0} bytes, not {STAMP_LEN}")]
    HeaderLength(usize),
}

/// Writes the stamp into the front of `value`. The rest of the value must already be what it will be.
pub fn stamp(value: &mut [u8], partition: i32, stamp: Stamp) -> Result<(), StampError> {
    let too_short = StampError::TooShort(value.len());
    let (room, payload) = value.split_at_mut_checked(STAMP_LEN).ok_or(too_short)?;
    put(room, partition, stamp, payload);
    Ok(())
}

/// Writes the stamp into the end of a record's headers, where the last one has a value of [`STAMP_LEN`] bytes.
pub fn stamp_header(value: &[u8], headers: &mut [u8], partition: i32, stamp: Stamp) -> Result<(), StampError> {
    let len = headers.len();
    let room = len.checked_sub(STAMP_LEN).and_then(|at| headers.get_mut(at..)).ok_or(StampError::HeaderLength(len))?;
    put(room, partition, stamp, value);
    Ok(())
}

/// Reads and checks the stamp in the front of a value that came from `partition`.
pub fn read_stamp(value: &[u8], partition: i32) -> Result<Stamp, StampError> {
    let (found, payload) = value.split_at_checked(STAMP_LEN).ok_or(StampError::TooShort(value.len()))?;
    check(found, partition, payload)
}

/// Reads and checks the stamp that is the value of the header [`HEADER_KEY`].
pub fn read_header_stamp(header: &[u8], value: &[u8], partition: i32) -> Result<Stamp, StampError> {
    if header.len() != STAMP_LEN {
        return Err(StampError::HeaderLength(header.len()));
    }
    check(header, partition, value)
}

fn put(room: &mut [u8], partition: i32, stamp: Stamp, payload: &[u8]) {
    room[..SEQUENCE_END].copy_from_slice(&stamp.sequence.to_be_bytes());
    room[SEQUENCE_END..WRITER_END].copy_from_slice(&stamp.writer.to_be_bytes());
    let crc = checksum(partition, &room[..WRITER_END], payload);
    room[WRITER_END..].copy_from_slice(&crc.to_be_bytes());
}

fn check(stamp: &[u8], partition: i32, payload: &[u8]) -> Result<Stamp, StampError> {
    let writer = be_u32(&stamp[SEQUENCE_END..WRITER_END]);
    let computed = checksum(partition, &stamp[..WRITER_END], payload);
    let found = be_u32(&stamp[WRITER_END..]);
    if found != computed {
        return Err(StampError::Checksum { found, computed, writer });
    }
    let sequence = (u64::from(be_u32(&stamp[..4])) << 32) | u64::from(be_u32(&stamp[4..SEQUENCE_END]));
    Ok(Stamp { writer, sequence })
}

fn checksum(partition: i32, numbers: &[u8], payload: &[u8]) -> u32 {
    let mut front = [0u8; size_of::<i32>() + WRITER_END];
    front[..size_of::<i32>()].copy_from_slice(&partition.to_be_bytes());
    front[size_of::<i32>()..].copy_from_slice(numbers);
    crc_fast::crc32_iscsi(&front).rotate_left(1) ^ crc_fast::crc32_iscsi(payload)
}

fn be_u32(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |value, byte| (value << 8) | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEVENTH: Stamp = Stamp { writer: 7, sequence: 1 << 40 };

    #[test]
    fn a_changed_byte_anywhere_is_found() {
        let mut value = vec![b'x'; 100];
        stamp(&mut value, 3, SEVENTH).unwrap();
        assert_eq!(read_stamp(&value, 3), Ok(SEVENTH));
        for at in 0..value.len() {
            let mut changed = value.clone();
            changed[at] ^= 0x20;
            assert!(read_stamp(&changed, 3).is_err(), "byte {at}");
        }
        assert!(read_stamp(&value, 1).is_err(), "a record of another partition");
        assert_eq!(read_stamp(&value[..15], 3), Err(StampError::TooShort(15)));
    }

    #[test]
    fn a_header_holds_the_stamp_of_a_value_of_any_length_and_leaves_it_as_it_is() {
        for value in [b"".as_slice(), b"7", &[b'x'; 100]] {
            let mut headers = [9; 40];
            stamp_header(value, &mut headers, 3, SEVENTH).unwrap();
            assert_eq!(headers[..24], [9; 24], "only the end is the stamp's");
            assert_eq!(read_header_stamp(&headers[24..], value, 3), Ok(SEVENTH));
            assert!(read_header_stamp(&headers[24..], &[value, b"y"].concat(), 3).is_err());
            assert!(read_header_stamp(&headers[24..], value, 4).is_err());
            assert_eq!(read_header_stamp(&headers[25..], value, 3), Err(StampError::HeaderLength(15)));
        }
        assert_eq!(stamp_header(b"", &mut [0; 15], 0, SEVENTH), Err(StampError::HeaderLength(15)));
    }
}
