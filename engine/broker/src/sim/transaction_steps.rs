//! What a transactional client asks for within a transaction and between them: each step's request, and what its answer says.

use ringlog_wire::ErrorCode;
use ringlog_wire::codec::Records;
use ringlog_wire::messages::add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnTopic};
use ringlog_wire::messages::end_txn::EndTxnRequest;
use ringlog_wire::messages::find_coordinator::FindCoordinatorRequest;
use ringlog_wire::messages::init_producer_id::InitProducerIdRequest;
use ringlog_wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};

use super::Violation;
use super::clients::Ask;
use super::line::Flight;

/// All of them write to one topic.
pub(super) const TOPIC: &str = "transactions";
pub(super) const PARTITIONS: i32 = 2;
/// All of them have one transactional id.
pub(super) const TRANSACTIONAL_ID: &str = "transactor";
/// FindCoordinator's number for transactional ids.
const OF_TRANSACTIONS: i8 = 1;

/// A producer's id and epoch.
pub(super) type Identity = (i64, i16);

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TxnStep {
    Init,
    Add { partition: i32 },
    Produce { partition: i32, records: i64 },
    End { commit: bool },
}

/// What the answer to a step says.
pub(super) struct Told {
    pub(super) error: ErrorCode,
    /// Where a batch is.
    pub(super) base_offset: i64,
    /// The producer from now on, where the answer brings one.
    pub(super) identity: Option<Identity>,
}

/// The coordinator of the transactional id.
pub(super) fn find_coordinator() -> FindCoordinatorRequest {
    FindCoordinatorRequest { key: TRANSACTIONAL_ID.to_owned(), key_type: OF_TRANSACTIONS, ..Default::default() }
}

/// The next epoch.
pub(super) fn init(timeout_ms: i32) -> InitProducerIdRequest {
    InitProducerIdRequest {
        transactional_id: Some(TRANSACTIONAL_ID.to_owned()),
        transaction_timeout_ms: timeout_ms,
        ..Default::default()
    }
}

/// A partition becomes part of the transaction.
pub(super) fn add((id, epoch): Identity, partition: i32) -> AddPartitionsToTxnRequest {
    let topic = AddPartitionsToTxnTopic { name: TOPIC.to_owned(), partitions: vec![partition], ..Default::default() };
    AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: TRANSACTIONAL_ID.to_owned(),
        v3_and_below_producer_id: id,
        v3_and_below_producer_epoch: epoch,
        v3_and_below_topics: vec![topic],
        ..Default::default()
    }
}

/// A batch of this length.
pub(super) fn produce(index: i32, len: usize) -> ProduceRequest {
    let data = PartitionProduceData { index, records: Records::Outside(len), ..Default::default() };
    let topic = TopicProduceData { name: TOPIC.to_owned(), partition_data: vec![data], ..Default::default() };
    ProduceRequest {
        transactional_id: Some(TRANSACTIONAL_ID.to_owned()),
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![topic],
        ..Default::default()
    }
}

/// The end of the transaction.
pub(super) fn end((producer_id, producer_epoch): Identity, committed: bool) -> EndTxnRequest {
    EndTxnRequest {
        transactional_id: TRANSACTIONAL_ID.to_owned(),
        producer_id,
        producer_epoch,
        committed,
        ..Default::default()
    }
}

impl TxnStep {
    /// Whether it is the coordinator that answers.
    pub(super) fn is_coordinators(self) -> bool {
        !matches!(self, Self::Produce { .. })
    }

    /// Reads its answer. In version 2 of transactions an end brings the next epoch.
    pub(super) fn answer(self, flight: &Flight<Ask>, frame: &[u8], is_tv2: bool) -> Result<Told, Violation> {
        let missing = || Violation("an answer without its partition".to_owned());
        let told = |code: i16| Told { error: ErrorCode(code), base_offset: 0, identity: None };
        Ok(match self {
            Self::Init => {
                let response = flight.read::<InitProducerIdRequest>(frame)?;
                let identity = (response.producer_id, response.producer_epoch);
                Told { identity: Some(identity), ..told(response.error_code) }
            }
            Self::Add { .. } => {
                let response = flight.read::<AddPartitionsToTxnRequest>(frame)?;
                let topic = response.results_by_topic_v3_and_below.first();
                let one = topic.and_then(|topic| topic.results_by_partition.first()).ok_or_else(missing)?;
                told(one.partition_error_code)
            }
            Self::Produce { .. } => {
                let response = flight.read::<ProduceRequest>(frame)?;
                let one = response.responses.first().and_then(|topic| topic.partition_responses.first());
                let one = one.ok_or_else(missing)?;
                Told { base_offset: one.base_offset, ..told(one.error_code) }
            }
            Self::End { .. } => {
                let response = flight.read::<EndTxnRequest>(frame)?;
                let is_given = is_tv2 && response.error_code == 0;
                let identity = is_given.then_some((response.producer_id, response.producer_epoch));
                Told { identity, ..told(response.error_code) }
            }
        })
    }
}
