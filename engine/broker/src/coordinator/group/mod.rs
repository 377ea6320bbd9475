//! The group coordinator of one shard: classic groups and their offsets, as a state machine without I/O.
//!
//! ```text
//!   requests (with a ReplyTo)  ---+                        +--> Reply  { to, response }
//!   appended(ticket, result)   ---+--> GroupCoordinator ---+
//!   tick(now)                  ---+   groups, timers       +--> Append { partition, ticket, records }
//!   load, sweep, unload        ---+                        +--  next_deadline()
//!   topics_deleted             ---+
//! ```
//!
//! A group belongs to the partition `abs(hash(group id)) % count` of `__consumer_offsets`; the shard that leads the
//! partition owns the group. What must survive is appended to that partition first and answered when it is there:
//! a generation's assignment, a static member's new id, an offset.
//!
//! Invariants:
//! - Every [`ReplyTo`] is answered exactly once: at once, when its append ends, when a member's turn comes, when a timer
//!   fires, or when the partition is unloaded.
//! - A member is given one assignment per generation.
//! - A committed offset is seen by readers only after its record reached the log.
//! - Offsets do not outlive their topic.
//! - Same inputs, same random numbers: same effects. There is no clock and no unordered map in here.
//!
//! Groups of the consumer protocol (KIP-848) are in [`consumer`], and how a group changes from one protocol to the other.
//!
//! Behaviour follows Kafka 4.3's classic groups (`GroupMetadataManager`, `ClassicGroup`, `OffsetMetadataManager`).

mod commit;
mod consumer;
mod delete;
mod deleted_topics;
mod describe;
mod facts;
mod fetch;
mod interface;
mod join;
mod load;
mod member;
mod offsets;
mod rebalance;
mod records;
mod reply;
mod session;
mod state;
mod sync;
#[cfg(test)]
mod tests;
mod timers;
mod txn_commit;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ringlog_io::Nanos;
use ringlog_wire::{EncodeError, ErrorCode};

pub(crate) use interface::{
    Caller, Effect, GroupRequest, GroupResponse, GroupSettings, KeyValue, Moment, Producer, ReplyTo, Ticket, Topics,
};

use commit::PendingCommit;
pub(crate) use consumer::{Assignor, ConsumerSettings, ConsumerState, Migration, compile_pattern};
use consumer::{ClassicRequest, PendingChange, Work};
pub(crate) use facts::{FactState, GroupFacts};
pub(crate) use txn_commit::refused as refuse_txn_offset_commit;

use delete::{Deletion, PendingGroup, PendingOffsets};
use deleted_topics::PendingForget;
use member::Replaced;
use state::Group;
pub(crate) use state::State;
use timers::{Timer, Timers};

use crate::coordinator::Owned;

/// When it is looked again whether a classic member missed its time, where a change of its group is on its way.
const MISSED_AGAIN_NS: u64 = 10_000_000;

/// What an append was for.
#[derive(Debug)]
enum Pending {
    /// A group whose first member arrived, or whose last one left: nobody waits for the record.
    GroupAlone { group: String },
    /// A generation's assignment, by member.
    Assignment { group: String, generation: i32, assignments: BTreeMap<String, Vec<u8>> },
    /// A static member that came back under a new id while the group was stable.
    StaticMember { group: String, replaced: Box<Replaced> },
    /// Offsets.
    Offsets(Box<PendingCommit>),
    /// The tombstones of a group and its offsets.
    GroupGone(Box<PendingGroup>),
    /// Tombstones of offsets.
    OffsetsGone(Box<PendingOffsets>),
    /// Tombstones of offsets whose topic was deleted.
    Forget(Box<PendingForget>),
    /// A change of a group of the consumer protocol.
    Change(Box<PendingChange>),
}

impl Pending {
    fn group(&self) -> &str {
        match self {
            Self::GroupAlone { group } | Self::Assignment { group, .. } | Self::StaticMember { group, .. } => group,
            Self::Offsets(commit) => &commit.group,
            Self::GroupGone(gone) => &gone.group,
            Self::OffsetsGone(gone) => &gone.group,
            Self::Forget(gone) => &gone.group,
            Self::Change(change) => &change.group,
        }
    }
}

/// Appends that were asked for and have not ended.
#[derive(Debug, Default)]
struct Appends {
    next: u64,
    pending: BTreeMap<Ticket, Pending>,
}

impl Appends {
    fn issue(&mut self, pending: Pending) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.pending.insert(ticket, pending);
        ticket
    }
}

/// What a group needs around it while it handles one input.
struct Env<'a> {
    settings: &'a GroupSettings,
    owned: &'a Owned,
    timers: &'a mut Timers,
    appends: &'a mut Appends,
    at: Moment,
    effects: Vec<Effect>,
    /// Appends that failed before they began.
    failed: Vec<Ticket>,
}

impl Env<'_> {
    /// Asks for an append. Records that cannot be written (a text longer than Kafka's format has room for) fail it.
    fn append(&mut self, partition: i32, records: Result<Vec<KeyValue>, EncodeError>, pending: Pending) {
        self.append_of(None, partition, records, pending);
    }

    /// The same for records that are part of a producer's transaction.
    fn append_of(
        &mut self,
        producer: Option<Producer>,
        partition: i32,
        records: Result<Vec<KeyValue>, EncodeError>,
        pending: Pending,
    ) {
        let ticket = self.appends.issue(pending);
        match records {
            Ok(records) => self.effects.push(Effect::Append { partition, ticket, records, producer }),
            Err(error) => {
                tracing::warn!(%error, "a group's record cannot be encoded");
                self.failed.push(ticket);
            }
        }
    }

    fn partition_of(&self, group: &str) -> i32 {
        self.owned.partition_of(group)
    }

    /// `ms` from now; what a client may choose freely is never negative here.
    fn after_ms(&self, ms: i32) -> Nanos {
        let ms = u64::try_from(ms).unwrap_or(0);
        Nanos(self.at.now.0.saturating_add(ms.saturating_mul(1_000_000)))
    }
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct GroupCoordinator {
    settings: GroupSettings,
    /// Partitions of `__consumer_offsets`.
    pub(crate) owned: Owned,
    groups: BTreeMap<String, Group>,
    timers: Timers,
    appends: Appends,
    /// DeleteGroups requests that wait for the log, by number.
    deletions: BTreeMap<u64, Deletion>,
    next_deletion: u64,
    /// Partitions with offsets of deleted topics that could not be removed.
    unswept: BTreeSet<i32>,
    /// Groups of the consumer protocol of which a change is on its way to the log, and what waits for that.
    busy: BTreeMap<String, VecDeque<Work>>,
}

impl GroupCoordinator {
    /// A coordinator that owns nothing yet.
    pub(crate) fn new(settings: GroupSettings) -> Self {
        Self {
            settings,
            owned: Owned::default(),
            groups: BTreeMap::new(),
            timers: Timers::default(),
            appends: Appends::default(),
            deletions: BTreeMap::new(),
            next_deletion: 0,
            unswept: BTreeSet::new(),
            busy: BTreeMap::new(),
        }
    }

    /// `group.consumer.assignment.interval.ms` may change while the broker runs.
    pub(crate) fn set_assignment_interval_ms(&mut self, ms: i32) {
        self.settings.consumer.assignment_interval_ms = ms;
    }

    /// Handles one request. `random` is asked only where a member id is made.
    pub(crate) fn handle(
        &mut self,
        caller: Caller<'_>,
        request: GroupRequest,
        topics: &dyn Topics,
        random: &mut dyn FnMut() -> u64,
        at: Moment,
    ) -> Vec<Effect> {
        match request {
            GroupRequest::Join(request) => self.classic(caller, ClassicRequest::Join(request), topics, random, at),
            GroupRequest::Sync(request) => self.classic(caller, ClassicRequest::Sync(request), topics, random, at),
            GroupRequest::Heartbeat(request) => {
                self.classic(caller, ClassicRequest::Heartbeat(request), topics, random, at)
            }
            GroupRequest::Leave(request) => self.classic(caller, ClassicRequest::Leave(request), topics, random, at),
            GroupRequest::OffsetCommit(request) => self.commit_offsets(caller, request, topics, at),
            GroupRequest::TxnOffsetCommit(request) => self.commit_in_transaction(caller, request, topics, at),
            GroupRequest::OffsetFetch(request) => self.fetch_offsets(caller, request, topics),
            GroupRequest::Describe(request) => self.describe(caller, &request),
            GroupRequest::List(request) => self.list(caller, &request),
            GroupRequest::Delete(request) => self.delete_groups(caller, request, at),
            GroupRequest::OffsetDelete(request) => self.delete_offsets(caller, request, topics, at),
            GroupRequest::ConsumerHeartbeat(request) => self.consumer_heartbeat(caller, request, topics, random, at),
            GroupRequest::ConsumerDescribe(request) => self.describe_consumers(caller, &request, topics),
        }
    }

    /// Tells what became of an append: the offset of its first record, or why it is not in the log. A ticket that is
    /// not known (its partition was unloaded meanwhile) is ignored.
    pub(crate) fn appended(
        &mut self,
        ticket: Ticket,
        result: Result<i64, ErrorCode>,
        topics: &dyn Topics,
        at: Moment,
    ) -> Vec<Effect> {
        match self.appends.pending.remove(&ticket) {
            None => Vec::new(),
            Some(Pending::Change(change)) => self.change_stored(*change, result, topics, at),
            Some(pending) => self.stored(pending, result, at),
        }
    }

    fn stored(&mut self, pending: Pending, result: Result<i64, ErrorCode>, at: Moment) -> Vec<Effect> {
        match pending {
            Pending::GroupAlone { group } => {
                if let Err(error) = result {
                    tracing::warn!(group, %error, "the record of an empty group was not written");
                }
                Vec::new()
            }
            Pending::Assignment { group, generation, assignments } => {
                self.with_group(&group, at, |group, env| group.assignment_stored(generation, assignments, result, env))
            }
            Pending::StaticMember { group, replaced } => {
                self.with_group(&group, at, |group, env| group.static_member_stored(*replaced, result, env))
            }
            Pending::Offsets(commit) => self.offsets_stored(*commit, result, at),
            Pending::GroupGone(gone) => self.group_gone(*gone, result),
            Pending::OffsetsGone(gone) => self.offsets_gone(*gone, result),
            Pending::Forget(gone) => {
                self.forgotten(*gone, result);
                Vec::new()
            }
            // Its records are encoded before it becomes pending, so that it is only ever told of the log.
            Pending::Change(change) => change.failed(ErrorCode::UNKNOWN_SERVER_ERROR).into_iter().collect(),
        }
    }

    /// Fires every timer whose time has come.
    pub(crate) fn tick(&mut self, topics: &dyn Topics, at: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some(timer) = self.timers.pop_due(at.now) {
            effects.append(&mut self.fire(timer, topics, at));
        }
        effects
    }

    /// When [`Self::tick`] has something to do, `None` while no timer runs.
    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        self.timers.next_deadline()
    }

    fn fire(&mut self, timer: Timer, topics: &dyn Topics, at: Moment) -> Vec<Effect> {
        match timer {
            Timer::Session(group, member) if self.is_of_consumers(&group) => {
                self.take_work(&group, Work::Silent(member), topics, at)
            }
            Timer::Rebalance(group, member) => self.take_work(&group, Work::Late(member), topics, at),
            // What the member was to do may be waiting for its turn.
            Timer::Rejoin(ref group, _) | Timer::Share(ref group, _) if self.busy.contains_key(group) => {
                self.timers.schedule(timer, Nanos(at.now.0 + MISSED_AGAIN_NS));
                Vec::new()
            }
            Timer::Rejoin(ref group, ref member) => {
                let work = Work::Missed(member.clone(), timer.clone(), "did not join again in time");
                self.take_work(group, work, topics, at)
            }
            Timer::Share(ref group, ref member) => {
                let work = Work::Missed(member.clone(), timer.clone(), "did not ask for its share in time");
                self.take_work(group, work, topics, at)
            }
            // While it becomes one of the consumer protocol: should that fail, a rebalance begins anew.
            Timer::Join(group) | Timer::Sync(group) if self.is_of_consumers(&group) => Vec::new(),
            Timer::Join(group) => self.with_group(&group, at, Group::join_time_over),
            Timer::Sync(group) => self.with_group(&group, at, Group::sync_time_over),
            Timer::Session(group, member) => self.with_group(&group, at, |group, env| group.session_over(&member, env)),
        }
    }

    /// Whether the group speaks the consumer protocol.
    fn is_of_consumers(&self, group: &str) -> bool {
        self.groups.get(group).is_some_and(|group| group.consumers.is_some())
    }

    /// Runs `act` on a group that exists; no effects where it does not.
    fn with_group(&mut self, id: &str, at: Moment, act: impl FnOnce(&mut Group, &mut Env<'_>)) -> Vec<Effect> {
        if !self.groups.contains_key(id) {
            return Vec::new();
        }
        self.with_env(at, |groups, env| {
            if let Some(group) = groups.get_mut(id) {
                act(group, env);
            }
        })
    }

    /// Runs `act` on the groups, with what they need around them.
    fn with_env(&mut self, at: Moment, act: impl FnOnce(&mut BTreeMap<String, Group>, &mut Env<'_>)) -> Vec<Effect> {
        let mut env = Env {
            settings: &self.settings,
            owned: &self.owned,
            timers: &mut self.timers,
            appends: &mut self.appends,
            at,
            effects: Vec::new(),
            failed: Vec::new(),
        };
        act(&mut self.groups, &mut env);
        let Env { mut effects, failed, .. } = env;
        for ticket in failed {
            if let Some(pending) = self.appends.pending.remove(&ticket) {
                effects.append(&mut self.stored(pending, Err(ErrorCode::UNKNOWN_SERVER_ERROR), at));
            }
        }
        effects
    }

    /// The group, made where it is missing. True: it was.
    fn make_group(&mut self, id: &str, at: Moment) -> bool {
        let partition = self.owned.partition_of(id);
        match self.groups.entry(id.to_owned()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                entry.insert(Group { state_since_ms: at.wall_ms, ..Group::new(id, partition) });
                true
            }
        }
    }

    /// As [`Owned::check`], for requests that need a group id that is not empty.
    fn check_group(&self, group: &str) -> Result<(), ErrorCode> {
        if group.is_empty() { Err(ErrorCode::INVALID_GROUP_ID) } else { self.owned.check(group) }
    }
}

/// What a client is told when a group's record could not be written (`appendGroupMetadataErrorToResponseError`).
fn append_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::NOT_ENOUGH_REPLICAS
        | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND
        | ErrorCode::REQUEST_TIMED_OUT => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::KAFKA_STORAGE_ERROR => ErrorCode::NOT_COORDINATOR,
        ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE | ErrorCode::INVALID_FETCH_SIZE => {
            ErrorCode::UNKNOWN_SERVER_ERROR
        }
        other => other,
    }
}
