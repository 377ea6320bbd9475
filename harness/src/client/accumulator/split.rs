//! A batch that the broker finds too large goes out again in parts (RecordAccumulator.splitAndReenqueue).
//!
//! ```text
//!   sequence 7:  [ a b c d e ]   -->   7: [ a b ]   9: [ c d ]   11: [ e ]       same epoch, same order, same age
//! ```
//!
//! Parts have `batch.size` where the compression ratio was guessed too low; a part that is too large again is halved,
//! until it is one record.

use ringlog_io::Buf;
use ringlog_wire::batch::{Batch, BatchError, Header};

use super::super::batch::{OpenBatch, ProducerStamp, RecordBytes};
use super::super::{Mark, RecordHeader};
use super::sent::{Birth, Place};
use super::sequences::add_sequence;
use super::{Accumulator, SentBatch};

/// Raw bytes that one of our batches opens to at most: it was built in one buffer.
const OPENED_LEN_MAX: usize = 1 << 31;

impl Accumulator {
    /// Puts the batch's records back as several batches; gives how many. The batch must have two records or more.
    pub(crate) fn split(
        &mut self,
        batch: &SentBatch,
        take_buffer: &mut dyn FnMut(usize) -> Buf,
    ) -> Result<usize, BatchError> {
        let parts = self.parts(batch, take_buffer)?;
        self.land(batch);
        // The guess was too low: begin again from what was seen.
        let seen = batch.bytes.len() as f32 / batch.raw_len.max(1) as f32;
        self.topics[batch.topic.0].compression_ratio = seen.max(1.0);
        let count = parts.len();
        let sealed = self.seal_parts(batch, parts, take_buffer);
        self.renumber(batch, &sealed);
        self.unfinished += count - 1;
        sealed.into_iter().for_each(|part| self.requeue(part));
        Ok(count)
    }

    fn parts(
        &mut self,
        batch: &SentBatch,
        take_buffer: &mut dyn FnMut(usize) -> Buf,
    ) -> Result<Vec<OpenBatch>, BatchError> {
        let limit = if batch.is_part { batch.raw_len / 2 } else { self.limits.batch_size };
        let by_size =
            self.cut(batch, take_buffer, &|open, record, _| open.raw_len() + open.record_len(record) > limit)?;
        if by_size.len() > 1 {
            return Ok(by_size);
        }
        let half = batch.marks.len() / 2;
        self.cut(batch, take_buffer, &|_, _, index| index == half)
    }

    /// Writes the records anew, into another batch wherever `ends` says so.
    fn cut(
        &mut self,
        batch: &SentBatch,
        take_buffer: &mut dyn FnMut(usize) -> Buf,
        ends: &dyn Fn(&OpenBatch, &RecordBytes<'_>, usize) -> bool,
    ) -> Result<Vec<OpenBatch>, BatchError> {
        let records = Batch::parse(&batch.bytes)?.records(&mut self.scratch, OPENED_LEN_MAX)?;
        let mut parts: Vec<OpenBatch> = Vec::new();
        for (index, (record, mark)) in records.zip(&batch.marks).enumerate() {
            let record = record?;
            let value = record.value.unwrap_or_default();
            let headers: Vec<RecordHeader<'_>> = record.headers.map(written).collect();
            let bytes = RecordBytes { timestamp_ms: record.timestamp, key: record.key, value, headers: &headers };
            if parts.last().is_none_or(|open| ends(open, &bytes, index)) {
                let len = self.limits.batch_size.max(bytes.batch_len_max());
                parts.push(OpenBatch::new(take_buffer(len), self.spare_marks.pop().unwrap_or_default()));
            }
            let Mark { tag, .. } = *mark;
            parts.last_mut().expect("one was begun").append(&bytes, *mark, |_| tag);
        }
        Ok(parts)
    }

    /// The parts as batches to send: one sequence after the other, the whole's memory charged to the last.
    fn seal_parts(
        &mut self,
        whole: &SentBatch,
        parts: Vec<OpenBatch>,
        take_buffer: &mut dyn FnMut(usize) -> Buf,
    ) -> Vec<SentBatch> {
        let (last, mut first, mut stamp) = (parts.len() - 1, whole.birth.place.first, whole.stamp);
        let mut out = Vec::with_capacity(parts.len());
        for (at, part) in parts.into_iter().enumerate() {
            let (count, raw_len, record_len_max) = (part.count(), part.raw_len(), part.record_len_max());
            let charged = if at == last { whole.birth.charged } else { 0 };
            let place = Place { first, ..whole.birth.place };
            let sealed = part
                .seal(self.limits.seal(), stamp, &mut self.scratch, take_buffer)
                .expect("a codec that takes any bytes");
            let mut batch = SentBatch::new(Birth { charged, place, ..whole.birth }, sealed, stamp, raw_len);
            batch.is_part = true;
            batch.record_len_max = record_len_max;
            batch.led = whole.led;
            out.push(batch);
            first += u32::try_from(count).unwrap_or(0);
            if stamp != ProducerStamp::NONE {
                stamp.sequence = add_sequence(stamp.sequence, count);
            }
        }
        out
    }

    /// The whole's sequence is taken back, the parts' are given out in its place.
    fn renumber(&mut self, whole: &SentBatch, parts: &[SentBatch]) {
        let at = self.at(whole.topic, whole.partition);
        let place = at.outstanding.iter().position(|sequence| *sequence == whole.stamp.sequence);
        if let Some(place) = place {
            at.outstanding.remove(place);
            parts.iter().rev().for_each(|part| at.outstanding.insert(place, part.stamp.sequence));
        }
    }
}

/// A header as it was written: its key was text.
fn written<'a>(header: Header<'a>) -> RecordHeader<'a> {
    RecordHeader { key: std::str::from_utf8(header.key).unwrap_or_default(), value: header.value }
}
