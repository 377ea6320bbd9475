//! AddPartitionsToTxn and AddOffsetsToTxn: what a transaction is about to write to is known before anything is written there.
//!
//! | the id's transaction          | added                                | only looked at                          |
//! |-------------------------------|--------------------------------------|-----------------------------------------|
//! | Empty, Complete               | Ongoing, with these partitions       | TRANSACTION_ABORTABLE                   |
//! | Ongoing                       | with these too; at once where known  | TRANSACTION_ABORTABLE where not in it   |
//! | Prepare, or changing          | CONCURRENT_TRANSACTIONS              | CONCURRENT_TRANSACTIONS                 |
//!
//! That a transaction is busy comes before who asks: the producer may have the id already that it gets when that is over.

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use ringlog_wire::messages::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, AddPartitionsToTxnResult,
    AddPartitionsToTxnTopic, AddPartitionsToTxnTopicResult, AddPartitionsToTxnTransaction,
};

use super::state::State;
use super::{
    Asker, Caller, Claim, Effect, Moment, TopicPartition, TransactionCoordinator, TxnResponse, fenced_as_known,
};

/// The first version that knows PRODUCER_FENCED.
const FENCED_FROM: i16 = 2;
/// The first version with several transactions in a request. Who speaks it knows version 2 of transactions.
const BATCHED_FROM: i16 = 4;

/// A request whose parts are on their way to the log.
#[derive(Debug)]
pub(super) struct Batch {
    caller: Caller,
    missing: usize,
    results: Vec<AddPartitionsToTxnResult>,
}

impl Batch {
    /// Gives every partition of a transaction this error.
    fn fail(&mut self, place: usize, error: ErrorCode) {
        let error = fenced_as_known(error, self.caller.api_version, FENCED_FROM);
        for topic in &mut self.results[place].topic_results {
            topic.results_by_partition.iter_mut().for_each(|partition| partition.partition_error_code = error.0);
        }
    }

    fn answer(self) -> Effect {
        let mut response = AddPartitionsToTxnResponse::default();
        if self.caller.api_version >= BATCHED_FROM {
            response.results_by_transaction = self.results;
        } else {
            let results = self.results.into_iter().next();
            response.results_by_topic_v3_and_below = results.map_or_else(Vec::new, |result| result.topic_results);
        }
        self.caller.with(TxnResponse::AddPartitions(response))
    }
}

/// The answer to AddOffsetsToTxn.
pub(super) fn offsets_answer(caller: Caller, result: Result<(), ErrorCode>) -> Effect {
    let error = result.err().unwrap_or(ErrorCode::NONE);
    let error_code = fenced_as_known(error, caller.api_version, FENCED_FROM).0;
    caller.with(TxnResponse::AddOffsets(AddOffsetsToTxnResponse { error_code, ..Default::default() }))
}

/// The transactions of a request, in the form of the versions that have several.
fn transactions(request: AddPartitionsToTxnRequest, api_version: i16) -> Vec<AddPartitionsToTxnTransaction> {
    if api_version >= BATCHED_FROM {
        return request.transactions;
    }
    vec![AddPartitionsToTxnTransaction {
        transactional_id: request.v3_and_below_transactional_id,
        producer_id: request.v3_and_below_producer_id,
        producer_epoch: request.v3_and_below_producer_epoch,
        verify_only: false,
        topics: request.v3_and_below_topics,
        ..Default::default()
    }]
}

/// What is answered where nothing is wrong.
fn all_well(transaction: &AddPartitionsToTxnTransaction) -> AddPartitionsToTxnResult {
    let partition =
        |&partition_index: &i32| AddPartitionsToTxnPartitionResult { partition_index, ..Default::default() };
    let topic = |topic: &AddPartitionsToTxnTopic| AddPartitionsToTxnTopicResult {
        name: topic.name.clone(),
        results_by_partition: topic.partitions.iter().map(partition).collect(),
        ..Default::default()
    };
    AddPartitionsToTxnResult {
        transactional_id: transaction.transactional_id.clone(),
        topic_results: transaction.topics.iter().map(topic).collect(),
        ..Default::default()
    }
}

fn claim(transaction: &AddPartitionsToTxnTransaction, is_tv2: bool) -> Claim {
    Claim {
        transactional_id: transaction.transactional_id.clone(),
        producer_id: transaction.producer_id,
        producer_epoch: transaction.producer_epoch,
        is_tv2,
    }
}

fn named(topics: &[AddPartitionsToTxnTopic]) -> Vec<TopicPartition> {
    let of = |topic: &AddPartitionsToTxnTopic| {
        let name = topic.name.clone();
        topic.partitions.clone().into_iter().map(move |partition| (name.clone(), partition))
    };
    topics.iter().flat_map(of).collect()
}

impl TransactionCoordinator {
    pub(super) fn add_partitions(
        &mut self,
        caller: Caller,
        request: AddPartitionsToTxnRequest,
        at: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let is_tv2 = caller.api_version >= BATCHED_FROM;
        let transactions = transactions(request, caller.api_version);
        let results = transactions.iter().map(all_well).collect();
        let number = self.next_batch;
        self.next_batch += 1;
        // One more than there are, so that the answer does not leave before all were looked at.
        self.batches.insert(number, Batch { caller, missing: transactions.len() + 1, results });
        for (place, transaction) in transactions.into_iter().enumerate() {
            if transaction.verify_only {
                self.look_only(number, place, &transaction);
                effects.extend(self.batch_part_done(number, place, None));
                continue;
            }
            let partitions = named(&transaction.topics);
            let claim = claim(&transaction, is_tv2);
            if let Err(told) = self.add(&claim, &partitions, Asker::Batch(number, place), at, effects) {
                effects.extend(self.batch_part_done(number, place, told));
            }
        }
        effects.extend(self.batch_part_done(number, 0, None));
    }

    fn look_only(&mut self, number: u64, place: usize, transaction: &AddPartitionsToTxnTransaction) {
        let claim = claim(transaction, true);
        let found: Vec<Result<(), ErrorCode>> =
            named(&transaction.topics).iter().map(|partition| self.verify(&claim, partition)).collect();
        let Some(batch) = self.batches.get_mut(&number) else { return };
        let topics = batch.results[place].topic_results.iter_mut();
        let partitions = topics.flat_map(|topic| &mut topic.results_by_partition);
        for (partition, found) in partitions.zip(found) {
            partition.partition_error_code = found.err().unwrap_or(ErrorCode::NONE).0;
        }
    }

    /// Whether a partition is part of the producer's transaction (KIP-890).
    pub(crate) fn verify(&self, claim: &Claim, partition: &TopicPartition) -> Result<(), ErrorCode> {
        let transaction = self.claimed(&claim.transactional_id, claim.producer_id, claim.producer_epoch)?;
        if transaction.state.is_prepared() {
            return Err(ErrorCode::CONCURRENT_TRANSACTIONS);
        }
        if transaction.partitions.contains(partition) { Ok(()) } else { Err(ErrorCode::TRANSACTION_ABORTABLE) }
    }

    /// A part of a request has its answer; the last one gives that of the request.
    pub(super) fn batch_part_done(&mut self, number: u64, place: usize, error: Option<ErrorCode>) -> Option<Effect> {
        let batch = self.batches.get_mut(&number)?;
        if let Some(error) = error {
            batch.fail(place, error);
        }
        batch.missing -= 1;
        if batch.missing > 0 {
            return None;
        }
        self.batches.remove(&number).map(Batch::answer)
    }

    pub(super) fn add_offsets(
        &mut self,
        caller: Caller,
        request: AddOffsetsToTxnRequest,
        partition: TopicPartition,
        at: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let claim = Claim {
            transactional_id: request.transactional_id,
            producer_id: request.producer_id,
            producer_epoch: request.producer_epoch,
            is_tv2: false,
        };
        if let Err(told) = self.add(&claim, &[partition], Asker::Offsets(caller), at, effects) {
            effects.push(offsets_answer(caller, told.map_or(Ok(()), Err)));
        }
    }

    /// Adds partitions. `Err`: nothing is to be written, and this is the answer; none where they are known already.
    fn add(
        &mut self,
        claim: &Claim,
        partitions: &[TopicPartition],
        asker: Asker,
        at: Moment,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Option<ErrorCode>> {
        self.check_add(claim, partitions)?;
        if let Some(known) = self.ids.get(&claim.transactional_id) {
            let next = known.now.with(partitions, claim.is_tv2, at.wall_ms);
            self.change(&claim.transactional_id, next, asker, at, effects);
        }
        Ok(())
    }

    /// Whether these partitions are to be added. `Err` as of [`Self::add`].
    pub(super) fn check_add(&self, claim: &Claim, partitions: &[TopicPartition]) -> Result<(), Option<ErrorCode>> {
        if self.known(&claim.transactional_id)?.is_busy() {
            return Err(Some(ErrorCode::CONCURRENT_TRANSACTIONS));
        }
        let now = self.claimed(&claim.transactional_id, claim.producer_id, claim.producer_epoch)?;
        if now.state == State::Ongoing && partitions.iter().all(|partition| now.partitions.contains(partition)) {
            return Err(None);
        }
        Ok(())
    }
}
