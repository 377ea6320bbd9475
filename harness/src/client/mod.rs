//! Our own producer and consumer, with the Java client's semantics, one thread each.
//!
//! ```text
//!   Producer                                     Consumer
//!     | send                                       ^ poll (records borrowed from the response)
//!     v                                            |
//!   accumulator   (queues of batches)            fetcher, group   (positions, sessions, membership)
//!     | drain / done / refused                     | requests / responses
//!     v                                            v
//!   network   (connections, versions, in flight)  +  metadata   (leaders, ids)
//!     |
//!   ringlog_io::Driver   (io_uring or epoll)
//! ```
//!
//! How they are used:
//!
//! ```text
//!   let config = ProducerConfig::parse(&properties)?.config;
//!   let mut producer = Producer::open(config, driver, sink)?;       // sink: DeliverySink
//!   let topic = producer.topic("name");
//!   let partitions: usize = producer.partition_count(topic)?;        // waits for metadata, up to max.block.ms
//!   producer.send(&NewRecord { .. }, tag)?;                             // blocks as Kafka's does; failures go to the sink
//!   producer.send_with(&NewRecord { .. }, |sink, partition, value| -> u64 { .. });
//!                                     // changes the value where it lies in the batch (ledger stamp), gives the tag
//!   producer.send_in_place(&NewRecord { .. }, &headers, |sink, partition, in_place| -> u64 { .. });   // headers too
//!   producer.poll(Duration)?;                                        // network; acknowledgements go to the sink
//!   let acked = producer.send_sync(&NewRecord { .. }, tag)??;          // waits for this record's own delivery
//!   producer.init_transactions()?;                                   // with transactional.id; then, again and again:
//!   producer.begin_transaction()?;  ..  producer.commit_transaction()?;   // or abort_transaction
//!   producer.flush()?;  let sink = producer.close()?;
//!
//!   let mut consumer = Consumer::open(ConsumerConfig::parse(&properties)?.config, driver)?;
//!   consumer.assign_all("name")?;   or   consumer.subscribe(&["name"]);
//!   let records: usize = consumer.poll(Duration, &mut sink)?;        // sink: RecordSink
//!   consumer.close()?;
//! ```
//!
//! `Admin` makes topics over the same `network`. Everything above `network` and `metadata` is without I/O and without a clock: time comes in as an argument.
//!
//! Invariants:
//! - A client lives on the thread that opened it; nothing here blocks but `Driver::wait`.
//! - A record is copied once, into its batch; a batch is sent from where it lies; a fetched record is read where the
//!   response was received (a compressed batch is opened into one buffer that is used again).
//! - Every record that was taken ends in exactly one of `delivered` and `failed`.

pub(crate) mod accumulator;
mod admin;
pub(crate) mod batch;
pub mod config;
pub mod consumer;
mod fetched;
mod fetcher;
mod group;
mod metadata;
mod network;
mod partitioner;
pub(crate) mod pattern;
pub mod producer;
pub mod properties;
pub(crate) mod random;
mod receive;
pub mod security;
mod tally;
mod texts;
mod transactions;
mod versions;

use ringlog_wire::Uuid;

pub use admin::{Admin, NewTopic, TopicDescription};
pub use consumer::{Consumer, ConsumerStats, OffsetAndTimestamp};
pub use network::NetworkStats;
pub use producer::{Acked, Producer, ProducerStats};
pub use random::SplittableRandom;
pub use ringlog_wire::batch::{Header as ReadHeader, Headers as ReadHeaders};
pub use tally::{ApiTally, Tally};
pub use transactions::TransactionError;

#[cfg(test)]
mod fake_broker;
#[cfg(test)]
mod real_tests;
#[cfg(test)]
mod security_tests;
#[cfg(test)]
mod tests;

/// A broker's node id. Bootstrap servers, whose ids are not known yet, have negative ones.
pub type NodeId = i32;

/// A topic of one producer or consumer, by its place in that client's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(pub(crate) usize);

/// What is kept of a record until its batch is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When the schedule wanted it sent, nanoseconds of the driver's clock.
    pub intended_ns: u64,
    /// When it was handed to the client.
    pub sent_ns: u64,
    /// The caller's own number (a ledger's sequence, an index).
    pub tag: u64,
    /// Bytes of key and value.
    pub bytes: u32,
}

/// A record to send.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// Where to. [`Producer::topic` gives it.
    pub topic: Topic,
    /// The partition; `None` leaves it to the key or to the built-in partitioner.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: &'a [u8],
    /// When the schedule wanted it sent. Same as `sent_ns` in a closed loop.
    pub intended_ns: u64,
    /// Now, by the driver's clock: the caller read it, so that a record costs at most one reading.
    pub sent_ns: u64,
}

/// A header of a record to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader<'a> {
    /// The key.
    pub key: &'a str,
    /// The value; null is allowed.
    pub value: Option<&'a [u8]>,
}

/// A record where it lies in its batch. Its bytes may be changed, its lengths not.
#[derive(Debug)]
pub struct InPlace<'a> {
    /// The value.
    pub value: &'a mut [u8],
    /// The headers as they are written, their count in front: the value of the last one is the end.
    pub headers: &'a mut [u8],
}

/// A batch that the broker acknowledged (or, with acks=0, that the socket took).
#[derive(Debug)]
pub struct Delivered<'a> {
    /// The topic.
    pub topic: Topic,
    /// The topic's id in the request; zero where the broker has none, or acknowledged by name.
    pub topic_id: Uuid,
    /// The partition.
    pub partition: i32,
    /// Offset of the first record; -1 where the broker does not say (acks=0, a duplicate).
    pub base_offset: i64,
    /// When the answer was seen, nanoseconds of the driver's clock.
    pub done_ns: u64,
    /// The records, in the order of their offsets.
    pub marks: &'a [Mark],
}

#[cfg(test)]
impl<'a> Delivered<'a> {
    /// Of the first partition of a topic whose id is not known, for who looks at what follows from it.
    pub(crate) fn of_nobody(base_offset: i64, marks: &'a [Mark]) -> Self {
        Self { topic: Topic(0), topic_id: Uuid::ZERO, partition: 0, base_offset, done_ns: 0, marks }
    }
}

/// A batch that was given up, or a single record that was refused at once.
#[derive(Debug)]
pub struct Failed<'a> {
    /// The topic.
    pub topic: Topic,
    /// The partition; -1 where none was chosen.
    pub partition: i32,
    /// Why.
    pub error: &'a SendError,
    /// When, nanoseconds of the driver's clock.
    pub done_ns: u64,
    /// The records.
    pub marks: &'a [Mark],
}

/// Whoever hears what became of records. Called from within `send`, `poll`, `flush` and `close`.
pub trait DeliverySink {
    /// A batch was acknowledged.
    fn delivered(&mut self, batch: &Delivered<'_>);
    /// A batch was given up.
    fn failed(&mut self, batch: &Failed<'_>);
    /// A broker could not be reached, or turned us away. It is tried again.
    fn unreachable(&mut self, _reason: &str) {}
}

/// Why a record was not delivered. The texts are the Java client's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The topic or its partition did not become known in time.
    #[error("Topic {topic} not present in metadata after {waited_ms} ms.")]
    NoMetadata {
        /// The topic.
        topic: String,
        /// `max.block.ms`.
        waited_ms: u128,
    },
    /// The partition that the record names did not become known in time.
    #[error(
        "Partition {partition} of topic {topic} with partition count {count} is not present in metadata after {waited_ms} ms."
    )]
    NoPartition {
        /// The partition.
        partition: i32,
        /// The topic.
        topic: String,
        /// How many partitions the topic has.
        count: usize,
        /// `max.block.ms`.
        waited_ms: u128,
    },
    /// There was no room in `buffer.memory` in time.
    #[error(
        "Failed to allocate {wanted} bytes within the configured max blocking time {waited_ms} ms. Total memory: {total} bytes. Available memory: {available} bytes. Poolable size: {poolable} bytes"
    )]
    NoMemory {
        /// Bytes of the batch.
        wanted: usize,
        /// What was left of `max.block.ms` after the metadata.
        waited_ms: u128,
        /// `buffer.memory`.
        total: usize,
        /// What is free.
        available: usize,
        /// `batch.size`.
        poolable: usize,
    },
    /// The record is above `max.request.size`.
    #[error(
        "The message is {size} bytes when serialized which is larger than {limit}, which is the value of the max.request.size configuration."
    )]
    TooLarge {
        /// An upper bound of the record's size in bytes.
        size: usize,
        /// `max.request.size`.
        limit: usize,
    },
    /// The record is above `buffer.memory`.
    #[error(
        "The message is {size} bytes when serialized which is larger than the total memory buffer you have configured with the buffer.memory configuration."
    )]
    LargerThanMemory {
        /// An upper bound of the record's size in bytes.
        size: usize,
    },
    /// `delivery.timeout.ms` passed.
    #[error(
        "Expiring {records} record(s) for {partition}:{waited_ms} ms has passed since batch creation. The request has not been sent, or no server response has been received yet."
    )]
    Expired {
        /// Records of the batch.
        records: usize,
        /// `topic-partition`.
        partition: String,
        /// How long it waited.
        waited_ms: u64,
        /// What was wrong while it was tried, where that is known: Kafka's name of the last refusal.
        why: Option<&'static str>,
    },
    /// The broker refused the batch, and trying again is of no use or was tried often enough.
    #[error("{name} ({code}): {message}")]
    Broker {
        /// Kafka's error code.
        code: i16,
        /// Kafka's name of it.
        name: &'static str,
        /// What the broker said, where it said something.
        message: String,
    },
    /// The connection ended and the batch may not be sent again.
    #[error("The server disconnected before a response was received.")]
    Disconnected,
    /// Broker and client do not accept each other.
    #[error(transparent)]
    Authentication(security::AuthenticationError),
    /// The transaction was aborted before the batch went out.
    #[error("Failing batch since transaction was aborted")]
    Aborted,
    /// The transaction failed before the batch went out.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// The producer was closed with records that could not be sent.
    #[error("Producer is closed forcefully.")]
    Closed,
}

impl SendError {
    /// The text with what an expiry leaves out of it: why the record was not taken until then. The Java client has that in its
    /// log alone.
    #[must_use]
    pub fn with_its_cause(&self) -> String {
        match self {
            Self::Expired { why: Some(why), .. } => format!("{self} Until then: {why}"),
            _ => self.to_string(),
        }
    }
}

/// Why a client cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A setting that cannot be.
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    /// A transaction cannot go on.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// The driver failed.
    #[error("the driver failed: {0}")]
    Io(#[from] std::io::Error),
    /// Broker and client do not accept each other; nothing is tried again.
    #[error(transparent)]
    Authentication(security::AuthenticationError),
    /// Something did not happen in time.
    #[error("Timeout of {waited_ms} ms expired before {what}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        waited_ms: u128,
    },
    /// The broker refused something that cannot be tried again.
    #[error("{what}: {name} ({code}){message}")]
    Broker {
        /// What was asked.
        what: String,
        /// Kafka's error code.
        code: i16,
        /// Kafka's name of it.
        name: &'static str,
        /// `: ` and the broker's words, or nothing.
        message: String,
    },
    /// Broker and client have no version of an API in common.
    #[error(
        "the broker has {api} {broker_min} to {broker_max}, this client {our_min} to {our_max}: no version in common"
    )]
    Version {
        /// The API.
        api: &'static str,
        /// The broker's lowest.
        broker_min: i16,
        /// The broker's highest.
        broker_max: i16,
        /// Our lowest.
        our_min: i16,
        /// Our highest.
        our_max: i16,
    },
    /// The broker does not announce an API.
    #[error("the broker does not have {api}: a newer or a complete broker is needed")]
    NoApi {
        /// The API.
        api: &'static str,
    },
    /// Bytes that are not what they should be.
    #[error("{0}")]
    Corrupt(String),
}

/// A record that was read. Borrowed from the response: copy what is to be kept.
#[derive(Clone, Copy, Debug)]
pub struct ConsumedRecord<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The timestamp, milliseconds since 1970.
    pub timestamp_ms: i64,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: ReadHeaders<'a>,
}

/// Whoever takes what a consumer reads. Called from within `poll`.
pub trait RecordSink {
    /// A record, in the order of its partition.
    fn record(&mut self, record: &ConsumedRecord<'_>);
    /// Partitions `(topic, partition)` were given to us by the group, at a time of the driver's clock.
    fn assigned(&mut self, _partitions: &[(String, i32)], _at_ns: u64) {}
    /// Partitions were taken from us by the group, at a time of the driver's clock.
    fn revoked(&mut self, _partitions: &[(String, i32)], _at_ns: u64) {}
    /// Partitions are gone without a last word: we were thrown out of the group. As Java's default, the same as revoked.
    fn lost(&mut self, partitions: &[(String, i32)], at_ns: u64) {
        self.revoked(partitions, at_ns);
    }
}

impl<F: FnMut(&ConsumedRecord<'_>)> RecordSink for F {
    fn record(&mut self, record: &ConsumedRecord<'_>) {
        self(record);
    }
}
