//! Before the first batch of a transaction is written to a partition, the coordinator is asked whether the partition is part of it
//! (KIP-890): else a batch that comes late would open a transaction that nobody ends. In version 2 the question makes it part of it.
//!
//! ```text
//!   admit --in a transaction here---------------------------------------------> passed on
//!     |---- the coordinator is of this shard, and knows at once: verify ------> passed on, refused
//!     |---- of this shard, version 2: enter; what follows waits behind -------> passed on, refused
//!     +---- of another: Mail::Verify; what follows waits behind --Verified----> passed on, refused
//!                                       a marker comes meanwhile -------------> refused
//! ```
//! Invariant: between the question and the append no marker of that transaction is written, nor waits to be. A marker of version 2
//! bears a later epoch than its transaction; a claim with that epoch is of the next one, which waits until all markers are written.

use std::collections::BTreeMap;

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::txn_offset_commit::TxnOffsetCommitRequest;

use crate::broker::{Broker, Incoming};
use crate::coordinator::group::{GroupRequest, refuse_txn_offset_commit};
use crate::coordinator::transaction::{Claim, Marker};
use crate::coordinators::Coordinator;
use crate::group_desk;
use crate::mail::Mail;
use crate::metadata::image::{Owner, ShardId};
use crate::replica::{PartitionKey, Settled, Staged};
use crate::replicas::Place;
use crate::transaction_desk;

/// The first version of Produce that knows TRANSACTION_ABORTABLE.
const PRODUCE_ABORTABLE_FROM: i16 = 11;
/// The first version of Produce that is of version 2 of transactions: what it writes to becomes part of one.
pub(crate) const PRODUCE_TV2_FROM: i16 = 12;
/// The first version of TxnOffsetCommit that knows it.
const COMMIT_ABORTABLE_FROM: i16 = 4;
/// The first version of TxnOffsetCommit that is of version 2 of transactions.
pub(crate) const COMMIT_TV2_FROM: i16 = 5;

/// What waits for the coordinator's word.
#[derive(Debug)]
pub(crate) enum Held {
    /// A producer's batch, and the version that it came with.
    Batch(Staged, i16),
    /// Offsets.
    Commit(Box<(Incoming, TxnOffsetCommitRequest)>),
}

impl Held {
    /// For longer than a turn.
    fn kept(self) -> Self {
        match self {
            Self::Batch(staged, version) => Self::Batch(staged.kept(), version),
            commit @ Self::Commit(_) => commit,
        }
    }
}

/// Whether a partition is part of a transaction; by the number it is known again when it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) number: u64,
    pub(crate) key: PartitionKey,
    pub(crate) claim: Claim,
}

/// A question that is under way.
#[derive(Debug)]
struct Check {
    number: u64,
    held: Vec<Held>,
}

/// See the head of the file.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    under_way: BTreeMap<(PartitionKey, Claim), Check>,
    next: u64,
    /// How many markers of a producer are staged at a partition.
    ending: BTreeMap<(PartitionKey, i64), usize>,
}

/// Passes on what claims to be part of a transaction, when that is known to be so.
pub(crate) fn admit(broker: &mut Broker, place: Place, claim: Claim, held: Held) {
    let key = broker.replicas.at(place).key;
    let under_way = &mut broker.transactions.checks.under_way;
    if !under_way.is_empty()
        && let Some(check) = under_way.get_mut(&(key, claim.clone()))
    {
        check.held.push(held.kept());
        return;
    }
    let is_asked = claim.is_tv2 || broker.settings.transaction_partition_verification_enable();
    if !is_asked || is_open(broker, place, &claim) {
        return pass(broker, key, held);
    }
    match Coordinator::Transactions.owner(broker, &claim.transactional_id) {
        Owner::Local => match verify(broker, &claim, key) {
            Err(_) if claim.is_tv2 => {
                let question = hold(broker, key, claim, held);
                transaction_desk::enter(broker, broker.shard, question);
            }
            found => decide(broker, key, held, found),
        },
        Owner::Sibling(shard) => {
            let question = hold(broker, key, claim, held);
            broker.outbox.push(shard, Mail::Verify(question));
        }
        Owner::Remote(_) | Owner::Nobody => refuse(broker, key, held, ErrorCode::COORDINATOR_NOT_AVAILABLE),
    }
}

/// Whether the producer's transaction is open in a partition, and is not about to end there.
fn is_open(broker: &Broker, place: Place, claim: &Claim) -> bool {
    let replica = broker.replicas.at(place);
    replica.log().is_in_transaction(claim.producer_id, claim.producer_epoch)
        && !broker.transactions.checks.ending.contains_key(&(replica.key, claim.producer_id))
}

/// What this shard's coordinator says.
pub(crate) fn verify(broker: &Broker, claim: &Claim, key: PartitionKey) -> Result<(), ErrorCode> {
    let topic = broker.image.topic_by_id(key.topic_id).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
    broker.transactions.verify(claim, &(topic.name.to_string(), key.partition))
}

/// What comes waits for the answer to the question.
fn hold(broker: &mut Broker, key: PartitionKey, claim: Claim, held: Held) -> Question {
    let checks = &mut broker.transactions.checks;
    checks.next += 1;
    let number = checks.next;
    checks.under_way.insert((key, claim.clone()), Check { number, held: vec![held.kept()] });
    Question { number, key, claim }
}

/// A leader of another shard asks this one's coordinator.
pub(crate) fn asked(broker: &mut Broker, shard: ShardId, question: Question) {
    if question.claim.is_tv2 {
        return transaction_desk::enter(broker, shard, question);
    }
    let found = verify(broker, &question.claim, question.key);
    tell(broker, shard, question, found);
}

/// Tells the leader who asked.
pub(crate) fn tell(broker: &mut Broker, shard: ShardId, question: Question, found: Result<(), ErrorCode>) {
    if shard == broker.shard {
        verified(broker, question, found);
    } else {
        broker.outbox.push(shard, Mail::Verified(question, found));
    }
}

/// The coordinator answered.
pub(crate) fn verified(broker: &mut Broker, question: Question, found: Result<(), ErrorCode>) {
    let Question { number, key, claim } = question;
    let under_way = &mut broker.transactions.checks.under_way;
    let at = (key, claim);
    // One that a marker has ended is not asked about any more, or anew.
    if under_way.get(&at).is_none_or(|check| check.number != number) {
        return;
    }
    let held = under_way.remove(&at).map_or_else(Vec::new, |check| check.held);
    held.into_iter().for_each(|held| decide(broker, key, held, found));
}

/// A marker goes to the log: what was asked about a transaction that it ends says nothing any more.
pub(crate) fn marker_staged(broker: &mut Broker, key: PartitionKey, marker: Marker) {
    let checks = &mut broker.transactions.checks;
    *checks.ending.entry((key, marker.producer_id)).or_default() += 1;
    let is_of =
        |(at, claim): &(PartitionKey, Claim)| *at == key && marker.ends(claim.producer_id, claim.producer_epoch);
    let ended: Vec<_> = checks.under_way.keys().filter(|at| is_of(at)).cloned().collect();
    for at in ended {
        let held = broker.transactions.checks.under_way.remove(&at).map_or_else(Vec::new, |check| check.held);
        held.into_iter().for_each(|held| refuse(broker, key, held, ErrorCode::TRANSACTION_ABORTABLE));
    }
}

/// It is there, or could not be written.
pub(crate) fn marker_settled(broker: &mut Broker, key: PartitionKey, producer_id: i64) {
    let ending = &mut broker.transactions.checks.ending;
    if let Some(count) = ending.get_mut(&(key, producer_id)) {
        *count -= 1;
        if *count == 0 {
            ending.remove(&(key, producer_id));
        }
    }
}

fn decide(broker: &mut Broker, key: PartitionKey, held: Held, found: Result<(), ErrorCode>) {
    match found {
        Ok(()) => pass(broker, key, held),
        Err(error) => refuse(broker, key, held, error),
    }
}

fn pass(broker: &mut Broker, key: PartitionKey, held: Held) {
    match held {
        Held::Batch(staged, version) => {
            let topic = broker.image.topic_by_id(key.topic_id).cloned();
            match topic.map(|topic| broker.place(&topic, key.partition)) {
                Some(Ok(place)) => broker.replicas.stage(place, staged),
                Some(Err(not_here)) => refuse(broker, key, Held::Batch(staged, version), not_here.error),
                None => refuse(broker, key, Held::Batch(staged, version), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            }
        }
        Held::Commit(commit) => {
            let (incoming, request) = *commit;
            group_desk::handle(broker, &incoming, GroupRequest::TxnOffsetCommit(request));
        }
    }
}

fn refuse(broker: &mut Broker, key: PartitionKey, held: Held, error: ErrorCode) {
    match held {
        Held::Batch(staged, version) => {
            let log_start_offset =
                broker.replicas.find(key).map_or(-1, |place| broker.replicas.at(place).log().log_start_offset());
            let result = Err(produce_error(error, version));
            broker.news.settled.push(Settled { ticket: staged.ticket, log_start_offset, result });
        }
        Held::Commit(commit) => {
            let (incoming, request) = *commit;
            let error = commit_error(error, incoming.asked.api_version);
            broker.reply(incoming.reply_to, incoming.asked, &refuse_txn_offset_commit(&request, error));
        }
    }
}

/// What a producer is told: older ones try again where they are told that replicas are missing (`ReplicaManager`).
fn produce_error(error: ErrorCode, version: i16) -> ErrorCode {
    match error {
        ErrorCode::PRODUCER_FENCED => ErrorCode::INVALID_PRODUCER_EPOCH,
        ErrorCode::TRANSACTION_ABORTABLE if version < PRODUCE_ABORTABLE_FROM => ErrorCode::INVALID_TXN_STATE,
        // It is usual there, when a transaction follows the last one at once, and its clients know it.
        ErrorCode::CONCURRENT_TRANSACTIONS if version >= PRODUCE_TV2_FROM => error,
        ErrorCode::CONCURRENT_TRANSACTIONS
        | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
        | ErrorCode::COORDINATOR_NOT_AVAILABLE
        | ErrorCode::NOT_COORDINATOR => ErrorCode::NOT_ENOUGH_REPLICAS,
        other => other,
    }
}

/// The same for who commits offsets.
fn commit_error(error: ErrorCode, version: i16) -> ErrorCode {
    match error {
        ErrorCode::PRODUCER_FENCED => ErrorCode::INVALID_PRODUCER_EPOCH,
        ErrorCode::TRANSACTION_ABORTABLE if version < COMMIT_ABORTABLE_FROM => ErrorCode::INVALID_TXN_STATE,
        // It is the transaction's coordinator that is not there, and the group's would be looked for.
        ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        other => other,
    }
}
