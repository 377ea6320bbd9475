//! Fetch: one batch again and again, so that a consumer always finds something.
//!
//! The batches lie in one buffer of the connection; before each answer their base offsets are set to what was asked for
//! (they lie outside the checksum), and the buffer goes to the socket as it is.

use ringlog_wire::codec::Records;
use ringlog_wire::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};

use super::control::{self, END_OFFSET};
use super::stream::{Broken, Header, Inlet};

/// Size of a record's value.
const VALUE_BYTES: usize = 1000;
/// Records of a batch: what fits a producer's batch of 16 KiB.
const BATCH_RECORDS: i32 = 16;
/// Batches that are sent at most for one partition: about 1 MiB, the default of max.partition.fetch.bytes.
const BATCHES_MAX: usize = 64;

/// A connection's batches, made at its first Fetch.
#[derive(Default)]
pub(super) struct Supply {
    batches: Vec<u8>,
    batch_bytes: usize,
}

impl Supply {
    /// Answers one request. Sessions are not kept: the answer's session id 0 says so (KIP-227).
    pub(super) async fn answer(&mut self, inlet: &mut Inlet, header: Header, body: &[u8]) -> Result<(), Broken> {
        if self.batches.is_empty() {
            let batch = batch();
            self.batch_bytes = batch.len();
            self.batches = batch.repeat(BATCHES_MAX);
        }
        let request: FetchRequest = control::decoded(header, body)?;
        let (response, offsets) = self.response(&request);
        let outside: usize = offsets.iter().map(|it| it.1).sum();
        inlet.flush().await?;
        let mut frame = Vec::new();
        let cuts = control::frame_around(&mut frame, header, &response, outside)?;
        let mut sent = 0;
        for (cut, (offset, len)) in cuts.into_iter().zip(offsets) {
            inlet.send(&frame[sent..cut]).await?;
            sent = cut;
            self.set_offsets(offset, len);
            inlet.send(&self.batches[..len]).await?;
        }
        inlet.send(&frame[sent..]).await
    }

    /// The answer, and for each of its partitions the first offset and the bytes that go between.
    fn response(&self, request: &FetchRequest) -> (FetchResponse, Vec<(i64, usize)>) {
        let mut left = usize::try_from(request.max_bytes).unwrap_or(0);
        let mut offsets = Vec::new();
        let mut responses = Vec::new();
        for topic in &request.topics {
            let mut answer = FetchableTopicResponse {
                topic: topic.topic.clone(),
                topic_id: topic.topic_id,
                ..FetchableTopicResponse::default()
            };
            for partition in &topic.partitions {
                let len = self.len_for(partition, left);
                left = left.saturating_sub(len);
                offsets.push((partition.fetch_offset, len));
                answer.partitions.push(data_of(partition, len));
            }
            responses.push(answer);
        }
        (FetchResponse { responses, ..FetchResponse::default() }, offsets)
    }

    /// Whole batches that fit both limits, and never none for the first partition.
    fn len_for(&self, partition: &FetchPartition, left: usize) -> usize {
        let limit = usize::try_from(partition.partition_max_bytes).unwrap_or(0).min(left);
        let batches = (limit / self.batch_bytes).min(BATCHES_MAX);
        if left == 0 { 0 } else { batches.max(1) * self.batch_bytes }
    }

    fn set_offsets(&mut self, first: i64, len: usize) {
        let offsets = (first..).step_by(BATCH_RECORDS as usize);
        for (batch, offset) in self.batches[..len].chunks_exact_mut(self.batch_bytes).zip(offsets) {
            batch[..8].copy_from_slice(&offset.to_be_bytes());
        }
    }
}

fn data_of(partition: &FetchPartition, len: usize) -> PartitionData {
    PartitionData {
        partition_index: partition.partition,
        high_watermark: END_OFFSET,
        last_stable_offset: END_OFFSET,
        log_start_offset: 0,
        records: Records::Outside(len),
        ..PartitionData::default()
    }
}

/// A batch of plain records (KIP-98), as a producer would write it.
fn batch() -> Vec<u8> {
    let value: Vec<u8> = (0..VALUE_BYTES).map(|at| b'A' + u8::try_from(at % 26).unwrap_or(0)).collect();
    let mut records = Vec::new();
    for delta in 0..BATCH_RECORDS {
        let mut record = vec![0, 0];
        varint(&mut record, i64::from(delta));
        varint(&mut record, -1);
        varint(&mut record, VALUE_BYTES as i64);
        record.extend_from_slice(&value);
        record.push(0);
        varint(&mut records, record.len() as i64);
        records.extend_from_slice(&record);
    }
    let mut checked = Vec::new();
    checked.extend_from_slice(&0i16.to_be_bytes()); // attributes: no compression
    checked.extend_from_slice(&(BATCH_RECORDS - 1).to_be_bytes());
    checked.extend_from_slice(&0i64.to_be_bytes()); // first and largest timestamp
    checked.extend_from_slice(&0i64.to_be_bytes());
    checked.extend_from_slice(&(-1i64).to_be_bytes()); // no producer id, epoch, sequence
    checked.extend_from_slice(&(-1i16).to_be_bytes());
    checked.extend_from_slice(&(-1i32).to_be_bytes());
    checked.extend_from_slice(&BATCH_RECORDS.to_be_bytes());
    checked.extend_from_slice(&records);
    let after_length = 4 + 1 + 4 + checked.len(); // leader epoch, magic, CRC
    let mut batch = Vec::new();
    batch.extend_from_slice(&0i64.to_be_bytes());
    batch.extend_from_slice(&(after_length as u32).to_be_bytes());
    batch.extend_from_slice(&0i32.to_be_bytes());
    batch.push(2);
    batch.extend_from_slice(&crc_fast::crc32_iscsi(&checked).to_be_bytes());
    batch.extend_from_slice(&checked);
    batch
}

/// Zigzag, seven bits a byte.
fn varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
