//! A record finds its partition and the batch that it goes into.
//!
//! ```text
//!   partition --> the open batch has room ------------------------------------------------> in
//!      ^    '---> it has none: closed, packed --> enough went to this partition: another --.
//!      |                                    '---> a new batch, where memory allows ---> in |
//!      '-----------------------------------------------------------------------------------'
//! ```

use ringlog_io::Buf;

use super::super::batch::{OpenBatch, RecordBytes};
use super::super::{InPlace, Mark, Topic};
use super::sent::{Birth, Place, Queued};
use super::{Accumulator, Appended};

impl Accumulator {
    /// Appends a record to its partition's open batch.
    pub(crate) fn append(
        &mut self,
        to: (Topic, Option<usize>),
        record: &RecordBytes<'_>,
        mark: Mark,
        take_buffer: &mut dyn FnMut(usize) -> Buf,
        touch: impl FnOnce(usize, InPlace<'_>) -> u64,
    ) -> Appended {
        let topic = to.0;
        let (partition, sticks, began) = loop {
            let Some((partition, sticks)) = self.choose(to, record) else { return Appended::NoPartition };
            if self.has_room(topic, partition, record) {
                break (partition, sticks, false);
            }
            self.close_last(topic, partition, take_buffer);
            // RecordAccumulator.partitionChanged: a batch that is closed now may be what a switch waited for.
            if sticks && self.turns(topic) {
                continue;
            }
            match self.begin(topic, partition, record, mark.sent_ns, take_buffer) {
                Ok(began) => break (partition, sticks, began),
                Err(wanted) => return Appended::NoMemory { wanted, partition },
            }
        };
        let batch_size = self.limits.batch_size;
        let queues = &mut self.topics[topic.0];
        let queued = queues.partitions[partition].queue.back_mut().expect("there is an open batch");
        let before = if queued.batch.count() == 0 { 0 } else { queued.estimated_len() };
        let (number, index) = (queued.birth.place.number, queued.batch.count());
        queued.batch.append(record, mark, |place| touch(partition, place));
        let len = queued.estimated_len();
        let full = len >= queued.limit;
        if sticks {
            queues.sticky.appended(len - before, batch_size, full);
        }
        if full {
            self.close_last(topic, partition, take_buffer);
        }
        Appended::Taken { partition, number, index: u32::try_from(index).unwrap_or(u32::MAX), ready: began || full }
    }

    /// Whether the sticky partition had its share while all its batches are closed: then another one is chosen.
    fn turns(&mut self, topic: Topic) -> bool {
        self.topics[topic.0].sticky.appended(0, self.limits.batch_size, true)
    }

    /// Whether the partition's last batch takes the record. One that will be compressed may need memory for it.
    pub(super) fn has_room(&mut self, topic: Topic, partition: usize, record: &RecordBytes<'_>) -> bool {
        let Self { topics, free, limits, .. } = self;
        let Some(last) = topics[topic.0].partitions[partition].queue.back_mut().filter(|last| !last.closed) else {
            return false;
        };
        let left = last.limit.saturating_sub(last.estimated_len());
        // The exact length is worth its sums only near the batch's end.
        let bound = record.len_bound().filter(|bound| *bound <= left);
        let len = bound.unwrap_or_else(|| last.batch.record_len(record));
        if len > left {
            return false;
        }
        let (held, needed) = (last.birth.charged, last.batch.raw_len() + len);
        if needed <= held {
            return true;
        }
        // Grown by what a batch begins with: seldom, and never more than one of these is idle.
        let more = (needed - held).max(limits.batch_size.min(*free));
        if more > *free {
            return false;
        }
        *free -= more;
        last.birth.charged += more;
        last.batch.reserve(held + more);
        true
    }

    /// No record goes into the partition's last batch any more; it is packed, and what that sets free is given back.
    fn close_last(&mut self, topic: Topic, partition: usize, take_buffer: &mut dyn FnMut(usize) -> Buf) {
        let Self { topics, free, scratch, limits, .. } = self;
        if let Some(last) = topics[topic.0].partitions[partition].queue.back_mut() {
            last.closed = true;
            *free += last.pack(limits.compression, scratch, take_buffer);
        }
    }

    /// Begins a batch for the record at the end of the queue. True where that is behind another; the bytes that were
    /// wanted where there is no memory.
    fn begin(
        &mut self,
        topic: Topic,
        partition: usize,
        record: &RecordBytes<'_>,
        now_ns: u64,
        take_buffer: &mut dyn FnMut(usize) -> Buf,
    ) -> Result<bool, usize> {
        let charged = self.limits.batch_size.max(record.batch_len_max());
        if charged > self.free {
            return Err(charged);
        }
        self.free -= charged;
        self.unfinished += 1;
        let ratio = self.estimation(topic);
        let batch = OpenBatch::new(take_buffer(charged), self.spare_marks.pop().unwrap_or_default());
        let at = self.at(topic, partition);
        let behind = !at.queue.is_empty();
        at.ever_queued = true;
        let place = Place { number: at.batch_next, first: 0 };
        at.batch_next += 1;
        let birth = Birth { topic, partition, created_ns: now_ns, charged, place };
        at.queue.push_back(Queued { batch, birth, limit: charged, closed: false, ratio });
        Ok(behind)
    }
}
