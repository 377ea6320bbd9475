//! Producers as a file, `<offset>.snapshot` (`ProducerStateManager.writeSnapshot`, `ProducerSnapshot.json`).
//!
//! ```text
//!   header   version i16 = 1 | crc32c of what follows u32 | number of producers i32                       10 bytes
//!   producer id i64 | epoch i16 | last sequence i32 | last offset i64 | offset delta i32 | timestamp i64
//!            | coordinator epoch i32 | first offset of the open transaction i64                           46 bytes
//! ```
//!
//! Of the five batches that are remembered for each producer the file holds the last one.

use crate::producers::{Producer, Producers, SentBatch};
use ringlog_wire::batch::crc_of;

const VERSION: i16 = 1;
const CRC_AT: usize = size_of::<i16>();
const CRC_REACH: usize = CRC_AT + size_of::<u32>();
const HEADER_LEN: usize = CRC_REACH + size_of::<i32>();
const PRODUCER_LEN: usize = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8;
const NONE: i64 = -1;

/// What is wrong with a snapshot. The state is then read out of the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct SnapshotError(&'static str);

/// The file that holds these producers.
pub(crate) fn encode(producers: &Producers) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_LEN + producers.len() * PRODUCER_LEN);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&[0; CRC_REACH - CRC_AT]);
    bytes.extend_from_slice(&i32::try_from(producers.len()).unwrap_or(i32::MAX).to_be_bytes());
    for (id, producer) in producers.iter() {
        push_producer(&mut bytes, id, producer);
    }
    let crc = crc_of(&[&bytes[CRC_REACH..]]);
    bytes[CRC_AT..CRC_REACH].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn push_producer(bytes: &mut Vec<u8>, id: i64, producer: &Producer) {
    let nothing = SentBatch { last_sequence: -1, last_offset: NONE, offset_delta: 0, timestamp_ms: NONE };
    let last = producer.batches().last().copied().unwrap_or(nothing);
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.extend_from_slice(&producer.epoch.to_be_bytes());
    bytes.extend_from_slice(&last.last_sequence.to_be_bytes());
    bytes.extend_from_slice(&last.last_offset.to_be_bytes());
    bytes.extend_from_slice(&last.offset_delta.to_be_bytes());
    bytes.extend_from_slice(&producer.last_timestamp_ms.to_be_bytes());
    bytes.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
    bytes.extend_from_slice(&producer.transaction_from.unwrap_or(NONE).to_be_bytes());
}

/// Reads a snapshot.
pub(crate) fn decode(bytes: &[u8]) -> Result<Producers, SnapshotError> {
    let mut header = Cursor(bytes.get(..HEADER_LEN).ok_or(SnapshotError("shorter than its header"))?);
    if i16::from_be_bytes(header.take()) != VERSION {
        return Err(SnapshotError("not version 1"));
    }
    if u32::from_be_bytes(header.take()) != crc_of(&[&bytes[CRC_REACH..]]) {
        return Err(SnapshotError("the crc does not match"));
    }
    let count = usize::try_from(i32::from_be_bytes(header.take())).map_err(|_| SnapshotError("a negative count"))?;
    let body = &bytes[HEADER_LEN..];
    if body.len() != count.saturating_mul(PRODUCER_LEN) {
        return Err(SnapshotError("the length does not match the count"));
    }
    let mut producers = Producers::default();
    for entry in body.chunks_exact(PRODUCER_LEN) {
        let (id, producer) = decode_producer(Cursor(entry));
        producers.insert(id, producer);
    }
    Ok(producers)
}

fn decode_producer(mut entry: Cursor<'_>) -> (i64, Producer) {
    let id = i64::from_be_bytes(entry.take());
    let epoch = i16::from_be_bytes(entry.take());
    let last_sequence = i32::from_be_bytes(entry.take());
    let last_offset = i64::from_be_bytes(entry.take());
    let offset_delta = i32::from_be_bytes(entry.take());
    let timestamp_ms = i64::from_be_bytes(entry.take());
    let coordinator_epoch = i32::from_be_bytes(entry.take());
    let transaction_from = Some(i64::from_be_bytes(entry.take())).filter(|offset| *offset >= 0);
    let mut producer = Producer::new(epoch, coordinator_epoch, timestamp_ms, transaction_from);
    if last_offset >= 0 {
        producer.push_batch(SentBatch { last_sequence, last_offset, offset_delta, timestamp_ms });
    }
    (id, producer)
}

/// Takes fixed-size fields off bytes whose length was checked.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut field = [0; N];
        field.copy_from_slice(&self.0[..N]);
        self.0 = &self.0[N..];
        field
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn producers() -> Producers {
        let mut producers = Producers::default();
        let mut idle = Producer::new(3, 7, 1000, None);
        idle.push_batch(SentBatch { last_sequence: 9, last_offset: 99, offset_delta: 4, timestamp_ms: 1000 });
        producers.insert(5, idle);
        producers.insert(6, Producer::new(0, -1, 2000, Some(50)));
        producers
    }

    #[test]
    fn producers_come_back_as_they_were() {
        let bytes = encode(&producers());
        assert_eq!(bytes.len(), HEADER_LEN + 2 * PRODUCER_LEN);
        let read = decode(&bytes);
        assert_eq!(read, Ok(producers()));
        assert_eq!(read.map(|read| read.first_unstable(100)), Ok(Some(50)));
    }

    #[test]
    fn damage_anywhere_is_found() {
        let good = encode(&producers());
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(decode(&bad).is_err(), "byte {at}");
            assert!(decode(&good[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_count_beyond_the_file_is_refused() {
        let mut bytes = encode(&producers());
        bytes[CRC_REACH..HEADER_LEN].copy_from_slice(&i32::MAX.to_be_bytes());
        let crc = crc_of(&[&bytes[CRC_REACH..]]);
        bytes[CRC_AT..CRC_REACH].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(decode(&bytes), Err(SnapshotError("the length does not match the count")));
    }
}
