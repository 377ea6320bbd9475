//! What goes into the coordinator and what comes out of it.

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use ringlog_wire::messages::add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};
use ringlog_wire::messages::describe_transactions::{DescribeTransactionsRequest, DescribeTransactionsResponse};
use ringlog_wire::messages::end_txn::{EndTxnRequest, EndTxnResponse};
use ringlog_wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use ringlog_wire::messages::list_transactions::{ListTransactionsRequest, ListTransactionsResponse};

use crate::coordinator::group::ReplyTo;
pub(crate) use crate::coordinator::group::{KeyValue, Moment, Ticket};

/// A topic's name and a partition's number.
pub(crate) type TopicPartition = (String, i32);

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Where the answer goes.
    pub(crate) to: ReplyTo,
    /// The request's version; the answer is shaped for it.
    pub(crate) api_version: i16,
}

impl Caller {
    pub(super) fn with(self, response: TxnResponse) -> Effect {
        Effect::Reply { to: self.to, response }
    }
}

/// The end of a transaction, as it is written into its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    /// It is committed, else aborted.
    pub(crate) is_commit: bool,
    /// The transaction is of version 2: the epoch is a later one than that of its records.
    pub(crate) is_tv2: bool,
}

impl Marker {
    /// Whether it ends a transaction that has this producer and epoch.
    pub(crate) fn ends(&self, producer_id: i64, producer_epoch: i16) -> bool {
        let is_next = self.is_tv2 && producer_epoch == self.producer_epoch;
        producer_id == self.producer_id && producer_epoch <= self.producer_epoch && !is_next
    }
}

/// What the coordinator wants done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// Send the answer.
    Reply { to: ReplyTo, response: TxnResponse },
    /// Append the records, as one batch, to a partition of `__transaction_state`; then call
    /// [`super::TransactionCoordinator::appended`].
    Append { partition: i32, ticket: Ticket, records: Vec<KeyValue> },
    /// Write the marker into a partition, however often it takes; then call [`super::TransactionCoordinator::marked`].
    Mark {
        /// The partition of `__transaction_state` whose epoch the marker bears.
        partition: i32,
        /// What to call back with.
        ticket: Ticket,
        marker: Marker,
        into: TopicPartition,
    },
}

/// A request for the coordinator.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TxnRequest {
    InitProducerId(InitProducerIdRequest),
    AddPartitions(AddPartitionsToTxnRequest),
    /// With the partition of `__consumer_offsets` that the group belongs to.
    AddOffsets(AddOffsetsToTxnRequest, TopicPartition),
    EndTxn(EndTxnRequest),
    Describe(DescribeTransactionsRequest),
    List(ListTransactionsRequest),
    /// The leader of a partition has a batch of version 2 for it, which is part of the transaction from now on.
    Enter(Claim, TopicPartition),
}

/// The answer to a [`TxnRequest`] of the same name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TxnResponse {
    InitProducerId(InitProducerIdResponse),
    AddPartitions(AddPartitionsToTxnResponse),
    AddOffsets(AddOffsetsToTxnResponse),
    EndTxn(EndTxnResponse),
    Describe(DescribeTransactionsResponse),
    List(ListTransactionsResponse),
    Enter(Result<(), ErrorCode>),
}

/// Whose transaction something is said to be part of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim {
    pub(crate) transactional_id: String,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    /// It is a claim of version 2: what is not part of the transaction becomes so.
    pub(crate) is_tv2: bool,
}

/// Settings under their names in server.properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TxnSettings {
    /// `transaction.max.timeout.ms`
    pub(crate) timeout_ms_max: i32,
    /// `transactional.id.expiration.ms`
    pub(crate) id_expiration_ms: i32,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`
    pub(crate) abort_interval_ms: i32,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`
    pub(crate) expire_interval_ms: i32,
    /// `add.partitions.to.txn.retry.backoff.max.ms`
    pub(crate) enter_wait_ms: i32,
}

impl Default for TxnSettings {
    fn default() -> Self {
        Self {
            timeout_ms_max: 900_000,
            id_expiration_ms: 604_800_000,
            abort_interval_ms: 10_000,
            expire_interval_ms: 3_600_000,
            enter_wait_ms: 100,
        }
    }
}
