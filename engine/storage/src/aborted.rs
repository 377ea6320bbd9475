//! Aborted transactions of a segment: the `.txnindex` file (`TransactionIndex`, `AbortedTxn`).
//!
//! ```text
//!   | version i16 = 0 | producer id i64 | first offset i64 | last offset i64 | last stable offset i64 |   34 bytes
//! ```

use crate::AbortedTransaction;

const VERSION: i16 = 0;
const PRODUCER_ID_AT: usize = size_of::<i16>();
const FIRST_OFFSET_AT: usize = PRODUCER_ID_AT + size_of::<i64>();
const LAST_OFFSET_AT: usize = FIRST_OFFSET_AT + size_of::<i64>();
const LAST_STABLE_AT: usize = LAST_OFFSET_AT + size_of::<i64>();
/// Bytes of one entry.
pub(crate) const ENTRY_LEN: usize = LAST_STABLE_AT + size_of::<i64>();

/// One aborted transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aborted {
    pub(crate) producer_id: i64,
    pub(crate) first_offset: i64,
    /// The marker's offset.
    pub(crate) last_offset: i64,
    /// The last stable offset when the marker was appended: no later entry can begin below it.
    pub(crate) last_stable_offset: i64,
}

impl Aborted {
    pub(crate) fn encode(&self) -> [u8; ENTRY_LEN] {
        let mut bytes = [0; ENTRY_LEN];
        bytes[..PRODUCER_ID_AT].copy_from_slice(&VERSION.to_be_bytes());
        bytes[PRODUCER_ID_AT..FIRST_OFFSET_AT].copy_from_slice(&self.producer_id.to_be_bytes());
        bytes[FIRST_OFFSET_AT..LAST_OFFSET_AT].copy_from_slice(&self.first_offset.to_be_bytes());
        bytes[LAST_OFFSET_AT..LAST_STABLE_AT].copy_from_slice(&self.last_offset.to_be_bytes());
        bytes[LAST_STABLE_AT..].copy_from_slice(&self.last_stable_offset.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(i64::from_be_bytes(bytes.get(at..at + size_of::<i64>())?.try_into().ok()?));
        let version = i16::from_be_bytes(bytes.get(..PRODUCER_ID_AT)?.try_into().ok()?);
        (version == VERSION).then_some(())?;
        let entry = Self {
            producer_id: number(PRODUCER_ID_AT)?,
            first_offset: number(FIRST_OFFSET_AT)?,
            last_offset: number(LAST_OFFSET_AT)?,
            last_stable_offset: number(LAST_STABLE_AT)?,
        };
        // A marker follows at least one record: zeros are no entry.
        (entry.first_offset < entry.last_offset).then_some(entry)
    }

    /// The whole file of a segment; `None` where it is torn or says what cannot be.
    pub(crate) fn decode_all(bytes: &[u8], base_offset: i64) -> Option<Vec<Self>> {
        let chunks = bytes.chunks(ENTRY_LEN).map(|chunk| (chunk.len() == ENTRY_LEN).then(|| Self::decode(chunk))?);
        let entries: Vec<Self> = chunks.collect::<Option<_>>()?;
        let here = entries.iter().all(|entry| entry.last_offset >= base_offset);
        let grow = entries.windows(2).all(|pair| pair[0].last_offset < pair[1].last_offset);
        (here && grow).then_some(entries)
    }

    /// Whether some of its records may lie in `from..to`.
    pub(crate) fn overlaps(&self, from: i64, to: i64) -> bool {
        self.last_offset >= from && self.first_offset < to
    }
}

impl From<Aborted> for AbortedTransaction {
    fn from(aborted: Aborted) -> Self {
        Self { producer_id: aborted.producer_id, first_offset: aborted.first_offset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_entries_that_can_be_are_read() {
        let entry = Aborted { producer_id: 7, first_offset: 100, last_offset: 110, last_stable_offset: 105 };
        let bytes = entry.encode();
        assert_eq!(Aborted::decode_all(&bytes, 110), Some(vec![entry]), "the marker stands in this segment");
        assert_eq!(Aborted::decode_all(&bytes, 111), None, "it does not");
        assert_eq!(Aborted::decode_all(&bytes[1..], 0), None, "torn");
        assert_eq!(Aborted::decode_all(&[0; ENTRY_LEN], 0), None, "never written");
        assert_eq!(Aborted::decode_all(&[bytes, bytes].concat(), 0), None, "markers that do not grow");
        assert_eq!(Aborted::decode_all(&[], 0), Some(Vec::new()));
    }
}
