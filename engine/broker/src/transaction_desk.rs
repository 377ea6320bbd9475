//! What stands between the transaction coordinator and its shard: requests go in with a number, effects come out as answers, as
//! batches for `__transaction_state` and as markers ([`crate::transaction_markers`]), and what became of those goes back in. Leaders of
//! partitions ask here, too, for batches that they hold ([`crate::transaction_checks`]).

use std::collections::BTreeMap;

use ringlog_io::{Nanos, Slice};
use ringlog_storage::Origin;
use ringlog_wire::ErrorCode;
use ringlog_wire::batch::{self, BatchBuilder, Rules};
use slab::Slab;

use crate::broker::{Broker, Incoming, Outcome, ReplyTo};
use crate::coordinator::LoadError;
use crate::coordinator::group;
use crate::coordinator::transaction::{
    Caller, Claim, Effect, KeyValue, Moment, Ticket, TopicPartition, TransactionCoordinator, TxnRequest, TxnResponse,
    TxnSettings,
};
use crate::coordinators::Coordinator;
use crate::handlers::init_producer_id;
use crate::handlers::write_txn_markers::PendingMarkers;
use crate::metadata::image::{Image, ShardId, TRANSACTION_VERSION};
use crate::replica::{self, PartitionKey, Staged};
use crate::replicas::Place;
use crate::response::Asked;
use crate::settings::Settings;
use crate::tasks;
use crate::transaction_checks::{self, Checks, Question};
use crate::transaction_markers::{self, Markers};

/// Who waits for the coordinator.
#[derive(Debug)]
enum Asker {
    /// A client, with a request.
    Client(ReplyTo, Asked),
    /// The shard that leads a partition.
    Leader(ShardId, Question),
}

/// The coordinator of a shard, who waits for its answers, and what it has others write and say.
pub(crate) struct Transactions {
    coordinator: TransactionCoordinator,
    waiting: BTreeMap<u64, Asker>,
    next: u64,
    pub(crate) markers: Markers,
    pub(crate) checks: Checks,
    /// WriteTxnMarkers that wait for their logs.
    pub(crate) requests: Slab<PendingMarkers>,
}

impl Transactions {
    pub(crate) fn new(settings: &Settings, image: &Image) -> Self {
        let settings = TxnSettings {
            timeout_ms_max: settings.transaction_max_timeout_ms(),
            id_expiration_ms: settings.transactional_id_expiration_ms(),
            abort_interval_ms: settings.transaction_abort_interval_ms(),
            expire_interval_ms: settings.transaction_expire_interval_ms(),
            enter_wait_ms: settings.add_partitions_to_txn_retry_backoff_max_ms(),
        };
        let mut transactions = Self {
            coordinator: TransactionCoordinator::new(settings),
            waiting: BTreeMap::new(),
            next: 0,
            markers: Markers::default(),
            checks: Checks::default(),
            requests: Slab::new(),
        };
        transactions.take_features(image);
        transactions
    }

    /// The cluster's features are these now.
    pub(crate) fn take_features(&mut self, image: &Image) {
        self.coordinator.set_level(image.feature_level(TRANSACTION_VERSION));
    }

    /// Whether the ids of a partition of the transactions topic are served here.
    pub(crate) fn leads(&self, partition: i32) -> bool {
        self.coordinator.owned.is_active(partition)
    }

    /// Whether they are, or will be soon.
    pub(crate) fn expects(&self, partition: i32) -> bool {
        self.coordinator.owned.has(partition)
    }

    /// Partitions of the transactions topic that are being replayed.
    pub(crate) fn loading(&self) -> usize {
        self.coordinator.owned.loading()
    }

    /// Replays whole batches of a partition that is being loaded. Gives how many of the bytes it used.
    pub(crate) fn replay(&mut self, partition: i32, bytes: &[u8]) -> Result<usize, LoadError> {
        self.coordinator.load_part(partition, bytes)
    }

    /// When [`tick`] has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        self.coordinator.next_deadline()
    }

    /// Whether a partition is part of the producer's transaction, as this shard's coordinator knows it.
    pub(crate) fn verify(&self, claim: &Claim, partition: &TopicPartition) -> Result<(), ErrorCode> {
        self.coordinator.verify(claim, partition)
    }
}

fn moment(broker: &Broker) -> Moment {
    Moment { now: broker.now, wall_ms: broker.wall_ms }
}

/// Handles a request. Its answer comes now or later.
pub(crate) fn handle(broker: &mut Broker, incoming: &Incoming, request: TxnRequest) -> Outcome {
    ask(broker, incoming.reply_to, incoming.asked, request);
    Outcome::Later
}

/// The same for one that has waited.
pub(crate) fn ask(broker: &mut Broker, reply_to: ReplyTo, asked: Asked, request: TxnRequest) {
    put(broker, Asker::Client(reply_to, asked), asked.api_version, request);
}

/// The leader of a partition, on that shard, holds what makes the partition part of a transaction.
pub(crate) fn enter(broker: &mut Broker, shard: ShardId, question: Question) {
    let Some(topic) = broker.image.topic_by_id(question.key.topic_id) else {
        return transaction_checks::tell(broker, shard, question, Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    };
    let request = TxnRequest::Enter(question.claim.clone(), (topic.name.to_string(), question.key.partition));
    put(broker, Asker::Leader(shard, question), 0, request);
}

fn put(broker: &mut Broker, asker: Asker, api_version: i16, request: TxnRequest) {
    let transactions = &mut broker.transactions;
    let number = transactions.next;
    transactions.next += 1;
    transactions.waiting.insert(number, asker);
    let caller = Caller { to: group::ReplyTo(number), api_version };
    let at = Moment { now: broker.now, wall_ms: broker.wall_ms };
    let (ids, mut is_short) = (&mut broker.producer_ids, false);
    let mut next_id = || {
        ids.take().or_else(|| {
            is_short = true;
            None
        })
    };
    let effects = transactions.coordinator.handle(caller, request, &mut next_id, at);
    if is_short {
        init_producer_id::order(broker);
    }
    act(broker, effects);
}

/// Aborts what was open for too long, and forgets what nobody uses, where that is due.
pub(crate) fn tick(broker: &mut Broker) {
    if broker.transactions.next_deadline().is_some_and(|deadline| deadline <= broker.now) {
        let at = moment(broker);
        let effects = broker.transactions.coordinator.tick(at);
        act(broker, effects);
    }
}

/// A batch of the coordinator reached the log, or did not.
pub(crate) fn settled(broker: &mut Broker, ticket: u64, result: Result<i64, ErrorCode>) {
    let at = moment(broker);
    let effects = broker.transactions.coordinator.appended(Ticket(ticket), result, at);
    act(broker, effects);
}

/// A marker is written, or its partition is no more.
pub(crate) fn marked(broker: &mut Broker, ticket: Ticket) {
    let at = moment(broker);
    let effects = broker.transactions.coordinator.marked(ticket, at);
    act(broker, effects);
}

fn act(broker: &mut Broker, effects: Vec<Effect>) {
    for effect in effects {
        match effect {
            Effect::Reply { to, response } => {
                if let Some(asker) = broker.transactions.waiting.remove(&to.0) {
                    answer(broker, asker, response);
                }
            }
            Effect::Append { partition, ticket, records } => {
                if let Err(error) = stage(broker, partition, ticket.0, &records) {
                    settled(broker, ticket.0, Err(error));
                }
            }
            Effect::Mark { partition, ticket, marker, into } => {
                transaction_markers::begin(broker, partition, ticket, marker, into);
            }
        }
    }
}

fn answer(broker: &mut Broker, asker: Asker, response: TxnResponse) {
    match (asker, response) {
        (Asker::Leader(shard, question), TxnResponse::Enter(found)) => {
            transaction_checks::tell(broker, shard, question, found);
        }
        (Asker::Client(to, asked), response) => reply(broker, to, asked, &response),
        (Asker::Leader(..), other) => debug_assert!(false, "a leader was told {other:?}"),
    }
}

fn reply(broker: &mut Broker, to: ReplyTo, asked: Asked, response: &TxnResponse) {
    match response {
        TxnResponse::InitProducerId(body) => broker.reply(to, asked, body),
        TxnResponse::AddPartitions(body) => broker.reply(to, asked, body),
        TxnResponse::AddOffsets(body) => broker.reply(to, asked, body),
        TxnResponse::EndTxn(body) => broker.reply(to, asked, body),
        TxnResponse::Describe(body) => broker.reply(to, asked, body),
        TxnResponse::List(body) => broker.reply(to, asked, body),
        TxnResponse::Enter(found) => debug_assert!(false, "a client was told {found:?}"),
    }
}

fn place(broker: &Broker, partition: i32) -> Option<Place> {
    let topic_id = broker.image.topic(Coordinator::Transactions.topic())?.id;
    broker.replicas.find(PartitionKey { topic_id, partition })
}

/// The epoch of a coordinator: that of its partition's leadership.
pub(crate) fn epoch(broker: &Broker, partition: i32) -> Option<i32> {
    place(broker, partition).map(|place| broker.replicas.at(place).role.leader_epoch)
}

fn stage(broker: &mut Broker, partition: i32, ticket: u64, records: &[KeyValue]) -> Result<(), ErrorCode> {
    let place = place(broker, partition).ok_or(ErrorCode::NOT_LEADER_OR_FOLLOWER)?;
    let mut builder = BatchBuilder::new();
    for (key, value) in records {
        builder.append(broker.wall_ms, Some(key), value.as_deref(), &[]);
    }
    builder.finish(&mut broker.scratch).map_err(|_| ErrorCode::RECORD_LIST_TOO_LARGE)?;
    let bytes = builder.take();
    let rules = Rules { origin: Origin::Coordinator, ..broker.replicas.at(place).role.rules };
    let validated =
        batch::validate(&bytes, &rules, broker.wall_ms, &mut broker.scratch).map_err(|error| error.code())?;
    let ticket = replica::Ticket::Transaction { ticket };
    broker.replicas.stage(place, Staged { validated, bytes: Slice::from(bytes), origin: Origin::Coordinator, ticket });
    Ok(())
}

/// This shard leads a partition of the transactions topic, and opens it soon: until then its ids are told so.
pub(crate) fn expect(broker: &mut Broker, partition: i32) {
    let topic = broker.image.topic(Coordinator::Transactions.topic());
    let count = topic.and_then(|topic| i32::try_from(topic.partitions.len()).ok()).unwrap_or(0);
    broker.transactions.coordinator.owned.set_count(count);
    broker.transactions.coordinator.owned.begin_load(partition);
}

/// The log of a partition was replayed to its end: its ids are served.
pub(crate) fn serve(broker: &mut Broker, partition: i32) {
    let at = moment(broker);
    let effects = broker.transactions.coordinator.finish_load(partition, at);
    act(broker, effects);
}

/// This shard does not lead a partition of the transactions topic any more.
pub(crate) fn unload(broker: &mut Broker, partition: i32) {
    tasks::stop(broker, Coordinator::Transactions.loading(partition));
    give_up(broker, partition);
}

/// The ids of a partition are not served, and nothing is known of them.
pub(crate) fn give_up(broker: &mut Broker, partition: i32) {
    let at = moment(broker);
    let effects = broker.transactions.coordinator.unload(partition, at);
    broker.transactions.markers.forget(partition);
    act(broker, effects);
}
