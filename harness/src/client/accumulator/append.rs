//! A record finds its partition and the batch that it goes into.

use ringlog_io::Buf;

use super::super::batch::{OpenBatch, RecordBytes};
use super::super::{InPlace, Mark, Topic};
use super::sent::{Birth, Place, Queued};
use super::{Accumulator, Appended, estimate};

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
        let Some((partition, sticks)) = self.choose(to, record) else { return Appended::NoPartition };
        let topic = to.0;
        let began = match self.make_room(topic, partition, record, mark.sent_ns, take_buffer) {
            Ok(began) => began,
            Err(wanted) => return Appended::NoMemory { wanted, partition },
        };
        let batch_size = self.limits.batch_size;
        let ratio = self.estimation(topic);
        let queues = &mut self.topics[topic.0];
        let queued = queues.partitions[partition].queue.back_mut().expect("make_room leaves an open batch");
        let before = queued.batch.raw_len();
        let (number, index) = (queued.birth.place.number, queued.batch.count());
        queued.batch.append(record, mark, |place| touch(partition, place));
        let added = queued.batch.raw_len() - before;
        queued.closed = estimate(queued.batch.raw_len(), ratio) >= queued.limit;
        let full = queued.closed;
        if sticks {
            queues.sticky.appended(added, batch_size, full);
        }
        Appended::Taken { partition, number, index: u32::try_from(index).unwrap_or(u32::MAX), ready: began || full }
    }

    /// Whether the partition's last batch takes the record.
    pub(super) fn has_room(&self, topic: Topic, partition: usize, record: &RecordBytes<'_>) -> bool {
        let Some(last) = self.topics[topic.0].partitions[partition].queue.back().filter(|last| !last.closed) else {
            return false;
        };
        let left = last.limit.saturating_sub(estimate(last.batch.raw_len(), self.estimation(topic)));
        // The exact length is worth its sums only near the batch's end.
        record.len_bound().is_some_and(|bound| bound <= left) || last.batch.record_len(record) <= left
    }

    /// Leaves a batch with room for the record at the end of the queue. True where one was begun behind another;
    /// the bytes that were wanted where there is no memory.
    fn make_room(
        &mut self,
        topic: Topic,
        partition: usize,
        record: &RecordBytes<'_>,
        now_ns: u64,
        take_buffer: &mut dyn FnMut(usize) -> Buf,
    ) -> Result<bool, usize> {
        if self.has_room(topic, partition, record) {
            return Ok(false);
        }
        let charged = self.limits.batch_size.max(record.batch_len_max());
        let free = self.free;
        if let Some(last) = self.at(topic, partition).queue.back_mut() {
            last.closed = true;
        }
        if charged > free {
            return Err(charged);
        }
        self.free -= charged;
        self.unfinished += 1;
        let batch = OpenBatch::new(take_buffer(charged), self.spare_marks.pop().unwrap_or_default());
        let at = self.at(topic, partition);
        let behind = !at.queue.is_empty();
        at.ever_queued = true;
        let place = Place { number: at.batch_next, first: 0 };
        at.batch_next += 1;
        let birth = Birth { topic, partition, created_ns: now_ns, charged, place };
        at.queue.push_back(Queued { batch, birth, limit: charged, closed: false });
        Ok(behind)
    }
}
