//! What stands between the group coordinator and its shard: requests go in with a number, effects come out as answers
//! and as batches for `__consumer_offsets`, and what became of those goes back in.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringlog_io::{Nanos, Slice};
use ringlog_storage::Origin;
use ringlog_wire::batch::{self, BatchBuilder, Rules};
use ringlog_wire::{ErrorCode, Uuid};

use crate::broker::{Broker, Incoming, Outcome, ReplyTo};
use crate::coordinator::LoadError;
use crate::coordinator::group::{
    self, Assignor, Caller, ConsumerSettings, Effect, GroupCoordinator, GroupFacts, GroupRequest, GroupResponse,
    GroupSettings, KeyValue, Migration, Moment, Producer, Topics,
};
use crate::metadata::image::{Image, NodeId, OFFSETS_TOPIC, RESOURCE_GROUP};
use crate::replica::{PartitionKey, Staged, Ticket};
use crate::replicas::Place;
use crate::response::Asked;
use crate::settings::Settings;
use crate::tasks::{self, About};
use crate::timers::Timer;

/// The time to the next try of what could not be removed.
const SWEEP_AGAIN_NS: u64 = 5_000_000_000;
/// Offsets of a transaction have no sequence: the coordinator writes them.
const NO_SEQUENCE: i32 = -1;

/// The coordinator of a shard, and who waits for its answers.
pub(crate) struct Groups {
    coordinator: GroupCoordinator,
    waiting: BTreeMap<u64, (ReplyTo, Asked)>,
    next: u64,
}

impl Groups {
    pub(crate) fn new(settings: &Settings) -> Self {
        let settings = GroupSettings {
            session_timeout_ms_min: settings.group_min_session_timeout_ms(),
            session_timeout_ms_max: settings.group_max_session_timeout_ms(),
            initial_rebalance_delay_ms: settings.group_initial_rebalance_delay_ms(),
            group_size_max: settings.group_max_size(),
            offset_metadata_len_max: usize::try_from(settings.offset_metadata_max_bytes()).unwrap_or(0),
            consumer: ConsumerSettings {
                session_timeout_ms: settings.group_consumer_session_timeout_ms(),
                heartbeat_interval_ms: settings.group_consumer_heartbeat_interval_ms(),
                assignment_interval_ms: settings.group_consumer_assignment_interval_ms(),
                regex_refresh_interval_ms: settings.group_consumer_regex_refresh_interval_ms(),
                group_size_max: settings.group_consumer_max_size(),
                migration: Migration::named(settings.group_consumer_migration_policy()),
                assignors: settings.group_consumer_assignors().into_iter().filter_map(Assignor::named).collect(),
            },
        };
        Self { coordinator: GroupCoordinator::new(settings), waiting: BTreeMap::new(), next: 0 }
    }

    /// What may be set while the broker runs.
    pub(crate) fn take_settings(&mut self, settings: &Settings) {
        self.coordinator.set_assignment_interval_ms(settings.group_consumer_assignment_interval_ms());
    }

    /// Whether the groups of a partition of the offsets topic are served here.
    pub(crate) fn leads(&self, partition: i32) -> bool {
        self.coordinator.owned.is_active(partition)
    }

    /// Whether the groups of a partition of the offsets topic are served here, or will be soon.
    pub(crate) fn expects(&self, partition: i32) -> bool {
        self.coordinator.owned.has(partition)
    }

    /// Replays whole batches of a partition that is being loaded. Gives how many of the bytes it used.
    pub(crate) fn replay(&mut self, partition: i32, bytes: &[u8]) -> Result<usize, LoadError> {
        self.coordinator.load_part(partition, bytes)
    }

    /// All groups, and how many of their offsets are left out: see [`GroupCoordinator::facts`].
    pub(crate) fn facts(&self, offsets_max: usize) -> (Vec<GroupFacts>, usize) {
        self.coordinator.facts(offsets_max)
    }

    /// Partitions of the offsets topic that are being replayed.
    pub(crate) fn loading(&self) -> usize {
        self.coordinator.owned.loading()
    }

    /// When [`tick`] has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        self.coordinator.next_deadline()
    }
}

impl Topics for Image {
    fn topic_id(&self, name: &str) -> Option<Uuid> {
        self.topic(name).map(|topic| topic.id)
    }

    fn topic_name(&self, id: Uuid) -> Option<String> {
        self.topic_by_id(id).map(|topic| topic.name.to_string())
    }

    fn partition_count(&self, name: &str) -> Option<i32> {
        self.topic(name).and_then(|topic| i32::try_from(topic.partitions.len()).ok())
    }

    fn topic_names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.topics().map(|topic| &*topic.name))
    }

    fn racks(&self, name: &str, partition: i32) -> Vec<String> {
        let replicas = self.topic(name).and_then(|topic| topic.partition(partition)).map(|found| &found.replicas);
        let rack = |node: &NodeId| self.broker(node.0).and_then(|broker| broker.rack.clone());
        let mut racks: Vec<String> = replicas.into_iter().flatten().filter_map(rack).collect();
        racks.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
        racks
    }

    fn version(&self) -> i64 {
        Image::version(self)
    }

    fn group_setting(&self, group: &str, name: &str) -> Option<String> {
        self.configs(RESOURCE_GROUP, group).get(name).cloned()
    }
}

fn moment(broker: &Broker) -> Moment {
    Moment { now: broker.now, wall_ms: broker.wall_ms }
}

/// Handles a group request. Its answer comes now or later.
pub(crate) fn handle(broker: &mut Broker, incoming: &Incoming, request: GroupRequest) -> Outcome {
    let number = broker.groups.next;
    broker.groups.next += 1;
    broker.groups.waiting.insert(number, (incoming.reply_to, incoming.asked));
    let caller = Caller {
        to: group::ReplyTo(number),
        api_version: incoming.asked.api_version,
        client_id: incoming.client_id.as_deref().unwrap_or_default(),
        client_host: &format!("/{}", incoming.client_host),
    };
    let at = moment(broker);
    let random = &mut broker.random;
    let effects = broker.groups.coordinator.handle(caller, request, &*broker.image, &mut || random.next(), at);
    act(broker, effects);
    Outcome::Later
}

/// Fires the timers whose time has come.
pub(crate) fn tick(broker: &mut Broker) {
    if broker.groups.next_deadline().is_some_and(|deadline| deadline <= broker.now) {
        let (at, image) = (moment(broker), Arc::clone(&broker.image));
        let effects = broker.groups.coordinator.tick(&*image, at);
        act(broker, effects);
    }
}

/// A batch of the coordinator reached the log, or did not.
pub(crate) fn settled(broker: &mut Broker, ticket: u64, result: Result<i64, ErrorCode>) {
    let (at, image) = (moment(broker), Arc::clone(&broker.image));
    let effects = broker.groups.coordinator.appended(group::Ticket(ticket), result, &*image, at);
    act(broker, effects);
}

/// A producer's transaction has ended in a partition of the offsets topic: what it carried counts, or does not.
pub(crate) fn transaction_ended(broker: &mut Broker, partition: i32, producer_id: i64, is_commit: bool) {
    broker.groups.coordinator.transaction_ended(partition, producer_id, is_commit);
}

fn act(broker: &mut Broker, effects: Vec<Effect>) {
    for effect in effects {
        match effect {
            Effect::Reply { to, response } => {
                if let Some((reply_to, asked)) = broker.groups.waiting.remove(&to.0) {
                    reply(broker, reply_to, asked, response);
                }
            }
            Effect::Append { partition, ticket, records, producer } => {
                if let Err(error) = stage(broker, partition, (ticket.0, producer), &records) {
                    settled(broker, ticket.0, Err(error));
                }
            }
        }
    }
}

fn reply(broker: &mut Broker, to: ReplyTo, asked: Asked, response: GroupResponse) {
    match response {
        GroupResponse::Join(body) => broker.reply(to, asked, &body),
        GroupResponse::Sync(body) => broker.reply(to, asked, &body),
        GroupResponse::Heartbeat(body) => broker.reply(to, asked, &body),
        GroupResponse::Leave(body) => broker.reply(to, asked, &body),
        GroupResponse::OffsetCommit(body) => broker.reply(to, asked, &body),
        GroupResponse::TxnOffsetCommit(body) => broker.reply(to, asked, &body),
        GroupResponse::OffsetFetch(body) => broker.reply(to, asked, &body),
        GroupResponse::Describe(body) => broker.reply(to, asked, &body),
        GroupResponse::List(body) => broker.reply(to, asked, &body),
        GroupResponse::Delete(body) => broker.reply(to, asked, &body),
        GroupResponse::OffsetDelete(body) => broker.reply(to, asked, &body),
        GroupResponse::ConsumerHeartbeat(body) => broker.reply(to, asked, &body),
        GroupResponse::ConsumerDescribe(body) => broker.reply(to, asked, &body),
    }
}

fn offsets_place(broker: &Broker, partition: i32) -> Option<Place> {
    let topic_id = broker.image.topic(OFFSETS_TOPIC)?.id;
    broker.replicas.find(PartitionKey { topic_id, partition })
}

fn stage(
    broker: &mut Broker,
    partition: i32,
    (ticket, producer): (u64, Option<Producer>),
    records: &[KeyValue],
) -> Result<(), ErrorCode> {
    let place = offsets_place(broker, partition).ok_or(ErrorCode::NOT_COORDINATOR)?;
    let mut builder = BatchBuilder::new();
    if let Some(producer) = producer {
        builder.set_producer(producer.id, producer.epoch, NO_SEQUENCE).set_transactional(true);
    }
    for (key, value) in records {
        builder.append(broker.wall_ms, Some(key), value.as_deref(), &[]);
    }
    builder.finish(&mut broker.scratch).map_err(|_| ErrorCode::RECORD_LIST_TOO_LARGE)?;
    let bytes = builder.take();
    let rules = Rules { origin: batch::Origin::Coordinator, ..broker.replicas.at(place).role.rules };
    let validated =
        batch::validate(&bytes, &rules, broker.wall_ms, &mut broker.scratch).map_err(|error| error.code())?;
    let ticket = Ticket::Group { ticket };
    broker.replicas.stage(place, Staged { validated, bytes: Slice::from(bytes), origin: Origin::Coordinator, ticket });
    Ok(())
}

/// This shard leads a partition of the offsets topic, and opens it soon: until then its groups are told so.
pub(crate) fn expect(broker: &mut Broker, partition: i32) {
    let count = broker.image.partition_count(OFFSETS_TOPIC).unwrap_or(0);
    broker.groups.coordinator.owned.set_count(count);
    broker.groups.coordinator.owned.begin_load(partition);
}

/// The log of a partition was replayed to its end: its groups are served. Offsets whose topic went meanwhile, or before a kill
/// let anybody say so, are removed.
pub(crate) fn serve(broker: &mut Broker, partition: i32) {
    let (at, image) = (moment(broker), Arc::clone(&broker.image));
    let effects = broker.groups.coordinator.finish_load(partition, at);
    act(broker, effects);
    let effects = broker.groups.coordinator.sweep(partition, &*image, at);
    act(broker, effects);
}

/// Topics were deleted, by name and id: their offsets go too.
pub(crate) fn topics_deleted(broker: &mut Broker, deleted: BTreeMap<String, Uuid>) {
    if !deleted.is_empty() {
        let at = moment(broker);
        let effects = broker.groups.coordinator.topics_deleted(&deleted, at);
        act(broker, effects);
    }
}

/// Offsets of deleted topics that could not be removed are to be tried again, in a while.
pub(crate) fn set_sweep_timer(broker: &mut Broker) {
    if broker.groups.coordinator.has_unswept() && !broker.timers.is_set(Timer::Sweep) {
        broker.timers.set(Timer::Sweep, Some(Nanos(broker.now.0 + SWEEP_AGAIN_NS)));
    }
}

/// That time has come.
pub(crate) fn sweep_again(broker: &mut Broker) {
    let (at, image) = (moment(broker), Arc::clone(&broker.image));
    for partition in broker.groups.coordinator.take_unswept() {
        if broker.groups.leads(partition) {
            let effects = broker.groups.coordinator.sweep(partition, &*image, at);
            act(broker, effects);
        }
    }
}

/// This shard does not lead a partition of the offsets topic any more.
pub(crate) fn unload(broker: &mut Broker, partition: i32) {
    tasks::stop(broker, About::LoadOffsets(partition));
    give_up(broker, partition);
}

/// The groups of a partition are not served, and nothing is known of them.
pub(crate) fn give_up(broker: &mut Broker, partition: i32) {
    let effects = broker.groups.coordinator.unload(partition);
    act(broker, effects);
}
