//! What both coordinators do with the bytes of their partitions: whole batches, each checked and opened, record by record.

use ringlog_wire::DecodeError;
use ringlog_wire::batch::{BatchError, BatchHeader, Batches, Record};
use ringlog_wire::compression::Scratch;

/// What a batch of a coordinator's own may open to; Kafka's limit for a batch is far below.
const INFLATED_LEN_MAX: usize = 64 << 20;

/// Why a partition cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// A batch is damaged.
    #[error("{topic}-{partition}: batch at offset {offset}: {error}")]
    Batch { topic: &'static str, partition: i32, offset: i64, error: BatchError },
    /// No batch stands where one should.
    #[error("{topic}-{partition}: {error}")]
    Header { topic: &'static str, partition: i32, error: BatchError },
    /// A record is not of the form that its key announces.
    #[error("{topic}-{partition}: record at offset {offset}: {error}; it was written by a newer broker or is damaged")]
    Record { topic: &'static str, partition: i32, offset: i64, error: DecodeError },
}

/// Gives each record that has a key to `each`, with it and with the header of its batch, in the order of the log; control records,
/// too. Gives how many of the bytes it used: a batch that is cut off at the end is for the next call.
pub(super) fn records(
    (topic, partition): (&'static str, i32),
    bytes: &[u8],
    mut each: impl FnMut(&BatchHeader, &Record<'_>, &[u8]) -> Result<(), DecodeError>,
) -> Result<usize, LoadError> {
    let mut scratch = Scratch::default();
    let mut batches = Batches::new(bytes);
    for batch in &mut batches {
        let batch = batch.map_err(|error| LoadError::Header { topic, partition, error })?;
        let offset = batch.header.base_offset;
        let damaged = |error| LoadError::Batch { topic, partition, offset, error };
        batch.check_crc().map_err(damaged)?;
        for record in batch.records(&mut scratch, INFLATED_LEN_MAX).map_err(damaged)? {
            let record = record.map_err(damaged)?;
            let Some(key) = record.key else { continue };
            let wrong = |error| LoadError::Record { topic, partition, offset: record.offset, error };
            each(&batch.header, &record, key).map_err(wrong)?;
        }
    }
    Ok(bytes.len() - batches.rest().len())
}
