//! Takes a record, or says why not: waits for metadata and for memory as KafkaProducer.doSend does.

use std::time::Duration;

use ringlog_wire::ErrorCode;

use super::super::accumulator::{Appended, SentBatch, nanos};
use super::super::batch::RecordBytes;
use super::super::config::Partitioner;
use super::super::texts::text_of;
use super::super::{ClientError, DeliverySink, Failed, InPlace, Mark, NewRecord, RecordHeader, SendError, Topic};
use super::Producer;

/// While records keep coming the network is looked at no later than this after the last time.
const TURN_NS: u64 = 50_000;

/// Where a record is, once it was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acked {
    /// The partition.
    pub partition: i32,
    /// The offset; -1 where the broker does not say (acks=0, a duplicate).
    pub offset: i64,
    /// When the answer was seen, nanoseconds of the driver's clock.
    pub done_ns: u64,
}

/// The one record whose end somebody waits for.
#[derive(Debug)]
pub(super) enum Watch {
    Nothing,
    /// The next record that is taken or refused.
    Next,
    Waits {
        topic: Topic,
        partition: usize,
        number: u64,
        index: u32,
    },
    Done(Result<Acked, SendError>),
}

impl Watch {
    fn took(&mut self, topic: Topic, partition: usize, number: u64, index: u32) {
        if matches!(self, Self::Next) {
            *self = Self::Waits { topic, partition, number, index };
        }
    }

    fn refused(&mut self, error: &SendError) {
        if matches!(self, Self::Next) {
            *self = Self::Done(Err(error.clone()));
        }
    }

    /// A batch ended; `outcome` is its base offset and when.
    pub(super) fn ended(&mut self, batch: &SentBatch, outcome: Result<(i64, u64), &SendError>) {
        let Self::Waits { topic, partition, number, index } = *self else { return };
        if (batch.topic, batch.partition) != (topic, partition) || !batch.holds(number, index) {
            return;
        }
        let acked = |(base_offset, done_ns): (i64, u64)| Acked {
            partition: i32::try_from(partition).unwrap_or(i32::MAX),
            offset: if base_offset < 0 { -1 } else { base_offset + batch.place_of(index) },
            done_ns,
        };
        *self = Self::Done(outcome.map(acked).map_err(Clone::clone));
    }
}

impl<S: DeliverySink> Producer<S> {
    /// Takes a record, or reports to the sink why not. Blocks as Kafka's does: for metadata and for buffer memory, at
    /// most `max.block.ms` together. An error is one after which nothing can be sent any more, or a transaction's.
    pub fn send(&mut self, record: &NewRecord<'_>, tag: u64) -> Result<(), ClientError> {
        self.send_with(record, |_, _, _| tag)
    }

    /// As [`Self::send`], and waits for the record's own end (`send(..).get()`): its place, or why it was given up. The
    /// sink hears of it too. `linger.ms` counts: set it to 0 where each record is waited for.
    pub fn send_sync(&mut self, record: &NewRecord<'_>, tag: u64) -> Result<Result<Acked, SendError>, ClientError> {
        self.watch = Watch::Next;
        let mut outcome = self.send(record, tag);
        loop {
            match std::mem::replace(&mut self.watch, Watch::Nothing) {
                Watch::Done(ended) => return Ok(ended),
                waiting => self.watch = waiting,
            }
            outcome?;
            outcome = self.wait_turn(u64::MAX).map(|_| ());
        }
    }

    /// As [`Self::send`]; `touch(sink, partition, value)` may change the value where it lies in the batch and gives
    /// the record's tag. It is called once, unless the record is refused.
    pub fn send_with(
        &mut self,
        record: &NewRecord<'_>,
        touch: impl FnOnce(&mut S, i32, &mut [u8]) -> u64,
    ) -> Result<(), ClientError> {
        self.send_in_place(record, &[], |sink, partition, place| touch(sink, partition, place.value))
    }

    /// As [`Self::send`], with headers.
    pub fn send_with_headers(
        &mut self,
        record: &NewRecord<'_>,
        headers: &[RecordHeader<'_>],
        tag: u64,
    ) -> Result<(), ClientError> {
        self.send_in_place(record, headers, |_, _, _| tag)
    }

    /// As [`Self::send_with`], with headers, whose bytes `touch` may change too.
    pub fn send_in_place(
        &mut self,
        record: &NewRecord<'_>,
        headers: &[RecordHeader<'_>],
        touch: impl FnOnce(&mut S, i32, InPlace<'_>) -> u64,
    ) -> Result<(), ClientError> {
        if let Some(transactions) = &self.transactions {
            transactions.check_send()?;
        }
        let timestamp_ms = self.wall_ms(record.sent_ns);
        let bytes = RecordBytes { timestamp_ms, key: record.key, value: record.value, headers };
        let mark = mark_of(record, &bytes);
        if let Some(error) = self.refused_by_broker().or_else(|| self.too_large(&bytes)) {
            self.refuse(record, mark, &error);
            return Ok(());
        }
        let mut touch = Some(touch);
        let wanted = record.partition.map(|partition| usize::try_from(partition).unwrap_or(usize::MAX));
        let mut appended = self.append((record.topic, wanted), &bytes, mark, &mut touch);
        let mut left = self.config.max_block;
        if !matches!(appended, Appended::Taken { .. }) {
            (appended, left) = self.append_waiting((record.topic, wanted), &bytes, mark, (appended, &mut touch))?;
        }
        match appended {
            Appended::Taken { partition, number, index, ready } => {
                self.took(record, (partition, number, index), ready)?;
            }
            Appended::NoPartition => {
                let error = self.refused_by_broker().unwrap_or_else(|| self.no_partition(record));
                self.refuse(record, mark, &error);
            }
            Appended::NoMemory { wanted, .. } => {
                let error = self.refused_by_broker().unwrap_or_else(|| SendError::NoMemory {
                    wanted,
                    waited_ms: left.as_millis(),
                    total: self.config.buffer_memory,
                    available: self.accumulator.free_bytes(),
                    poolable: self.config.batch_size.max(1),
                });
                self.refuse(record, mark, &error);
            }
        }
        Ok(())
    }

    fn took(
        &mut self,
        record: &NewRecord<'_>,
        (partition, number, index): (usize, u64, u32),
        ready: bool,
    ) -> Result<(), ClientError> {
        self.watch.took(record.topic, partition, number, index);
        if let Some(transactions) = &mut self.transactions
            && !self.accumulator.is_in_transaction(record.topic, partition)
            && transactions.add_partition(record.topic, partition)
        {
            self.accumulator.enter_transaction(record.topic, partition);
        }
        if ready || record.sent_ns.saturating_sub(self.last_turn_ns) > TURN_NS {
            self.turn(Duration::ZERO)?;
        }
        Ok(())
    }

    fn append(
        &mut self,
        to: (Topic, Option<usize>),
        bytes: &RecordBytes<'_>,
        mark: Mark,
        touch: &mut Option<impl FnOnce(&mut S, i32, InPlace<'_>) -> u64>,
    ) -> Appended {
        let (driver, sink) = (self.network.driver(), &mut self.sink);
        let mut take_buffer = |len| driver.buffer(len);
        self.accumulator.append(to, bytes, mark, &mut take_buffer, |partition, place| {
            let partition = i32::try_from(partition).unwrap_or(i32::MAX);
            touch.take().map_or(0, |touch| touch(sink, partition, place))
        })
    }

    /// Tries again until it is taken or `max.block.ms` is over. Gives with it what the wait for metadata left of that.
    fn append_waiting(
        &mut self,
        (topic, mut wanted): (Topic, Option<usize>),
        bytes: &RecordBytes<'_>,
        mark: Mark,
        (mut appended, touch): (Appended, &mut Option<impl FnOnce(&mut S, i32, InPlace<'_>) -> u64>),
    ) -> Result<(Appended, Duration), ClientError> {
        let start_ns = self.network.driver().read().0;
        let deadline_ns = start_ns.saturating_add(nanos(self.config.max_block));
        let mut waited_ns = (0, 0);
        let mut since_ns = start_ns;
        loop {
            match appended {
                Appended::Taken { .. } => break,
                Appended::NoPartition => self.metadata.want_update(),
                Appended::NoMemory { partition, .. } => {
                    self.accumulator.set_exhausted(true);
                    wanted = wanted.or_else(|| self.keeps(partition));
                }
            }
            let goes_on = self.wait_turn(deadline_ns)?;
            self.accumulator.set_exhausted(false);
            let now_ns = self.network.now_ns().max(since_ns);
            match appended {
                Appended::NoMemory { .. } => waited_ns.0 += now_ns - since_ns,
                _ => waited_ns.1 += now_ns - since_ns,
            }
            since_ns = now_ns;
            let hopeless = self.final_error(self.accumulator.name(topic)).is_some();
            if self.network.refusal().is_some() || (appended == Appended::NoPartition && hopeless) {
                break;
            }
            let again = self.append((topic, wanted), bytes, mark, touch);
            let ended = !goes_on || matches!(again, Appended::Taken { .. });
            appended = again;
            if ended {
                break;
            }
        }
        self.stats.memory_wait_ns += waited_ns.0;
        self.stats.metadata_wait_ns += waited_ns.1;
        Ok((appended, self.config.max_block.saturating_sub(Duration::from_nanos(waited_ns.1))))
    }

    /// A partitioner that is asked once per record is not asked again after a wait.
    fn keeps(&self, partition: usize) -> Option<usize> {
        (self.config.partitioner != Partitioner::BuiltIn).then_some(partition)
    }

    /// Broker and client do not accept each other: no record can be sent any more, and each says so.
    pub(super) fn refused_by_broker(&self) -> Option<SendError> {
        self.network.refusal().cloned().map(SendError::Authentication)
    }

    fn no_partition(&self, record: &NewRecord<'_>) -> SendError {
        let topic = self.accumulator.name(record.topic).to_owned();
        let waited_ms = self.config.max_block.as_millis();
        if let Some(error) = self.final_error(&topic) {
            let message = match error {
                ErrorCode::INVALID_TOPIC_EXCEPTION => format!("Invalid topics: [{topic}]"),
                ErrorCode::TOPIC_AUTHORIZATION_FAILED => format!("Not authorized to access topics: [{topic}]"),
                _ => format!("{topic}: {}", text_of(error, None)),
            };
            return SendError::Broker { code: error.0, name: error.name(), message };
        }
        match (record.partition, self.accumulator.partition_count(record.topic)) {
            (Some(partition), count) if count > 0 => SendError::NoPartition { partition, topic, count, waited_ms },
            _ => SendError::NoMetadata { topic, waited_ms },
        }
    }

    /// What the broker said of a topic, where waiting will not change it.
    fn final_error(&self, topic: &str) -> Option<ErrorCode> {
        self.metadata.layout(topic)?.error.filter(|error| !error.is_retriable())
    }

    fn too_large(&self, bytes: &RecordBytes<'_>) -> Option<SendError> {
        let size = bytes.batch_len_max();
        let limit = self.config.max_request_size;
        if size > limit {
            return Some(SendError::TooLarge { size, limit });
        }
        (size > self.config.buffer_memory).then_some(SendError::LargerThanMemory { size })
    }

    /// A record that was never taken. In a transaction it is one that the transaction misses.
    fn refuse(&mut self, record: &NewRecord<'_>, mark: Mark, error: &SendError) {
        self.stats.failed_records += 1;
        self.watch.refused(error);
        if let Some(transactions) = &mut self.transactions {
            transactions.batch_failed(error);
        }
        let partition = record.partition.unwrap_or(-1);
        let done_ns = self.network.now_ns();
        self.sink.failed(&Failed { topic: record.topic, partition, error, done_ns, marks: &[mark] });
    }

    /// The wall clock at a time of the monotonic one.
    fn wall_ms(&self, at_ns: u64) -> i64 {
        let (wall_ms, base_ns) = self.wall_base;
        let since_ms = at_ns.saturating_sub(base_ns) / 1_000_000;
        wall_ms.saturating_add(i64::try_from(since_ms).unwrap_or(0))
    }
}

fn mark_of(record: &NewRecord<'_>, bytes: &RecordBytes<'_>) -> Mark {
    Mark {
        intended_ns: record.intended_ns,
        sent_ns: record.sent_ns,
        tag: 0,
        bytes: u32::try_from(bytes.payload_len()).unwrap_or(u32::MAX),
    }
}
