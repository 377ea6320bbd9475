//! An answer on its way out: bytes, and ranges of log files between them.

use ringlog_io::Slice;
use ringlog_storage::LogRange;
use ringlog_wire::codec::{EncodeError, Writer};
use ringlog_wire::header::ResponseHeader;
use ringlog_wire::{ApiKey, Message};

/// What most answers without records fit into, so that they are not moved while they are written.
const ANSWER_BYTES: usize = 128;

/// What a request was, as far as its answer needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) api: ApiKey,
    pub(crate) api_version: i16,
    pub(crate) correlation_id: i32,
    /// How long its client is held back for the time that its requests took, whatever else holds it back.
    pub(crate) wait_ms: u32,
}

/// One piece of an answer.
#[derive(Debug)]
pub(crate) enum Part {
    /// Bytes that we made.
    Bytes(Slice),
    /// Bytes of a segment, sent as they lie there. Holding the range pins its segment.
    File(LogRange),
}

impl Part {
    /// Bytes of memory that it takes: a range of a file is not there yet.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::File(_) => 0,
        }
    }

    /// Bytes that it puts on the wire.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::File(range) => range.len,
        }
    }
}

/// A whole answer, its length prefix included.
#[derive(Debug, Default)]
pub(crate) struct Response {
    pub(crate) parts: Vec<Part>,
    /// How long its connection is not read once it has left (KIP-219).
    pub(crate) throttle_ms: u32,
}

impl Response {
    /// Bytes of memory that it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.parts.iter().map(Part::memory_bytes).sum()
    }

    /// An answer without record data.
    pub(crate) fn of(asked: Asked, body: &impl Message) -> Result<Self, EncodeError> {
        Self::with_records(asked, body, Vec::new())
    }

    /// One whose connection is not read for a while.
    pub(crate) fn held_back(asked: Asked, body: &impl Message, throttle_ms: i32) -> Result<Self, EncodeError> {
        Ok(Self::of(asked, body)?.at_least_held_back(u32::try_from(throttle_ms).unwrap_or(0)))
    }

    /// The same, held back so long at least.
    pub(crate) fn at_least_held_back(self, throttle_ms: u32) -> Self {
        Self { throttle_ms: self.throttle_ms.max(throttle_ms), ..self }
    }

    /// An answer whose n-th `Records::Outside` is the n-th of `ranges`; `None` is an empty one.
    pub(crate) fn with_records(
        asked: Asked,
        body: &impl Message,
        ranges: Vec<Option<LogRange>>,
    ) -> Result<Self, EncodeError> {
        let mut writer = Writer::with_buffer(Vec::with_capacity(ANSWER_BYTES));
        writer.raw(&[0; 4]);
        ResponseHeader::new(asked.correlation_id).encode(&mut writer, asked.api, asked.api_version)?;
        body.encode(&mut writer, asked.api_version)?;
        let Writer { mut bytes, cuts, throttle_at, .. } = writer;
        if let Some(told) = throttle_at.and_then(|at| bytes.get_mut(at..)?.first_chunk_mut::<4>()) {
            let wait_ms = i32::try_from(asked.wait_ms).unwrap_or(i32::MAX);
            *told = i32::from_be_bytes(*told).max(wait_ms).to_be_bytes();
        }
        assert_eq!(cuts.len(), ranges.len(), "a range for each record field");
        let len = bytes.len() - 4 + ranges.iter().flatten().map(|range| range.len).sum::<usize>();
        let prefix =
            i32::try_from(len).map_err(|_| EncodeError::TooLong { what: "response", len, max: i32::MAX as usize })?;
        bytes[..4].copy_from_slice(&prefix.to_be_bytes());
        Ok(Self { parts: interleave(bytes, &cuts, ranges), throttle_ms: asked.wait_ms })
    }
}

fn interleave(bytes: Vec<u8>, cuts: &[usize], ranges: Vec<Option<LogRange>>) -> Vec<Part> {
    let bytes = Slice::from(bytes);
    let mut parts = Vec::with_capacity(2 * ranges.len() + 1);
    let mut from = 0;
    for (&cut, range) in cuts.iter().zip(ranges) {
        let Some(range) = range else { continue };
        parts.push(Part::Bytes(bytes.slice(from..cut)));
        parts.push(Part::File(range));
        from = cut;
    }
    if from < bytes.len() {
        parts.push(Part::Bytes(bytes.slice(from..bytes.len())));
    }
    parts
}
