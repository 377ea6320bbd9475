//! Records of `__transaction_state`, as Kafka 4.3 writes them (`TransactionLog`): values of version 1 once the feature
//! `transaction.version` is 1 or higher, before that of version 0, which has no room for what comes behind `previous_producer_id`.

use ringlog_wire::records::group::{decode_value, encode_value};
use ringlog_wire::records::transaction_log::{PartitionsSchema, TransactionLogKey, TransactionLogValue};
use ringlog_wire::{DecodeError, EncodeError};

use super::interface::KeyValue;
use super::state::{NO_EPOCH, State, Transaction};

/// The record that says that the id's transaction is so, at a level of the feature; of a dead one, that it is forgotten.
pub(super) fn record(id: &str, transaction: &Transaction, level: i16) -> Result<KeyValue, EncodeError> {
    let key = TransactionLogKey { transactional_id: id.to_owned(), ..Default::default() }.encode_key()?;
    if transaction.state == State::Dead {
        return Ok((key, None));
    }
    let value = TransactionLogValue {
        producer_id: transaction.producer_id,
        producer_epoch: transaction.producer_epoch,
        transaction_timeout_ms: transaction.timeout_ms,
        transaction_status: transaction.state as i8,
        transaction_partitions: (transaction.state != State::Empty).then(|| by_topic(transaction)),
        transaction_last_update_timestamp_ms: transaction.update_ms,
        transaction_start_timestamp_ms: transaction.start_ms,
        previous_producer_id: transaction.previous_producer_id,
        next_producer_id: transaction.next_producer_id,
        client_transaction_version: transaction.client_version,
        ..Default::default()
    };
    Ok((key, Some(encode_value(&value, level.min(1))?)))
}

fn by_topic(transaction: &Transaction) -> Vec<PartitionsSchema> {
    let mut topics: Vec<PartitionsSchema> = Vec::new();
    for (topic, partition) in &transaction.partitions {
        match topics.last_mut().filter(|last| last.topic == *topic) {
            Some(last) => last.partition_ids.push(*partition),
            None => topics.push(PartitionsSchema {
                topic: topic.clone(),
                partition_ids: vec![*partition],
                ..Default::default()
            }),
        }
    }
    topics
}

/// The transaction of a value; `None` for a state that only a newer broker knows.
pub(super) fn read(value: &[u8]) -> Result<Option<Transaction>, DecodeError> {
    let value: TransactionLogValue = decode_value(value)?;
    let state = match State::of_number(value.transaction_status) {
        Some(State::PrepareEpochFence) => State::Ongoing,
        Some(state) => state,
        None => return Ok(None),
    };
    let topics = value.transaction_partitions.unwrap_or_default();
    let partitions = topics.into_iter().flat_map(|topic| {
        let PartitionsSchema { topic, partition_ids, .. } = topic;
        partition_ids.into_iter().map(move |partition| (topic.clone(), partition))
    });
    Ok(Some(Transaction {
        producer_id: value.producer_id,
        previous_producer_id: value.previous_producer_id,
        next_producer_id: value.next_producer_id,
        producer_epoch: value.producer_epoch,
        previous_epoch: NO_EPOCH,
        timeout_ms: value.transaction_timeout_ms,
        state,
        partitions: partitions.collect(),
        start_ms: value.transaction_start_timestamp_ms,
        update_ms: value.transaction_last_update_timestamp_ms,
        client_version: value.client_transaction_version,
    }))
}
