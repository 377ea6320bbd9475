//! Transaction markers: the one record of a control batch (`ControlRecordType`, `EndTransactionMarker`).
//!
//! ```text
//!   key     version i16 | type i16 (0 abort, 1 commit)
//!   value   version i16 | coordinator epoch i32
//! ```

use ringlog_wire::batch::Batch;
use ringlog_wire::compression::Scratch;

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) aborted: bool,
    pub(crate) coordinator_epoch: i32,
}

impl Marker {
    /// Reads the marker of a whole control batch; `None` for other control records. Control batches are not compressed.
    pub(crate) fn parse(batch: &[u8]) -> Option<Self> {
        let batch = Batch::parse(batch).ok()?;
        let mut scratch = Scratch::default();
        let record = batch.records(&mut scratch, 0).ok()?.next()?.ok()?;
        let aborted = match record.key?.get(2..4)? {
            [0, 0] => true,
            [0, 1] => false,
            _ => return None,
        };
        let coordinator_epoch = i32::from_be_bytes(record.value?.get(2..6)?.try_into().ok()?);
        Some(Self { aborted, coordinator_epoch })
    }
}
