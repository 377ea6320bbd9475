//! A group of the consumer protocol (KIP-848): the coordinator says who has what, and each member follows at its own pace.
//!
//! ```text
//!   subscriptions --change--> group epoch --> target assignment --> each member: gives back, then takes
//!
//!   a member:  STABLE --a newer target--> UNREVOKED_PARTITIONS  it has to give partitions back, and keeps its epoch till then
//!                ^                               | given back
//!                |                               v
//!                +--all of its target-- UNRELEASED_PARTITIONS   in the target's epoch; others have not given theirs back
//!
//!   the group: Empty | Assigning (a target is due) | Reconciling (a member is on its way) | Stable
//! ```
//!
//! What a group is stands in the records of its log, each a key and a value ([`Fact`]): a change is a list of facts, and
//! loading is the same facts again. A change is made at once, its facts are appended as one batch, and the answer waits for
//! them; where they cannot be written, the facts that stood there before are put back. Until then what else is asked of the
//! group waits its turn (`desk`).
//!
//! Invariants:
//! - A partition belongs to one member at a time: it is given when its last owner has said that it does not have it any more,
//!   or has left.
//! - Epochs do not go back: a member's is that of a target assignment, a target's is one that the group had.
//! - Same inputs: same facts. There is no clock and no unordered map in here.
//!
//! Members that speak the classic protocol may be among them, while a group changes its protocol with members in it: `classic`,
//! `migrate`.
//!
//! Kafka's `ConsumerGroup`, and of `GroupMetadataManager` what concerns it.

mod answer;
mod assignor;
mod classic;
mod classic_ask;
mod describe;
mod desk;
mod embedded;
mod fact;
mod heartbeat;
mod leave;
mod migrate;
mod pattern;
mod reconcile;
mod subscribed;
mod target;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use ringlog_wire::{ErrorCode, Uuid};

use super::KeyValue;

pub(crate) use assignor::Assignor;
pub(super) use assignor::Partitions;
pub(super) use classic_ask::ClassicRequest;
pub(super) use desk::{PendingChange, Work};
pub(super) use embedded::subscription;
pub(super) use fact::Fact;
pub(crate) use migrate::Migration;
pub(crate) use pattern::compile as compile_pattern;

/// The type of classic groups whose members are consumers.
pub(super) const CONSUMERS: &str = "consumer";
/// A static member that left and will be back.
const LEFT_FOR_NOW: i32 = -2;
/// A member that left.
const LEFT: i32 = -1;

/// What the coordinator is set to for groups of this kind, under the names in server.properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConsumerSettings {
    /// `group.consumer.session.timeout.ms`
    pub(crate) session_timeout_ms: i32,
    /// `group.consumer.heartbeat.interval.ms`
    pub(crate) heartbeat_interval_ms: i32,
    /// `group.consumer.assignment.interval.ms`
    pub(crate) assignment_interval_ms: i32,
    /// `group.consumer.regex.refresh.interval.ms`
    pub(crate) regex_refresh_interval_ms: i32,
    /// `group.consumer.max.size`
    pub(crate) group_size_max: usize,
    /// `group.consumer.migration.policy`
    pub(crate) migration: Migration,
    /// `group.consumer.assignors`: the first one where no member prefers another.
    pub(crate) assignors: Vec<Assignor>,
}

impl Default for ConsumerSettings {
    fn default() -> Self {
        Self {
            session_timeout_ms: 45_000,
            heartbeat_interval_ms: 5_000,
            assignment_interval_ms: 1_000,
            regex_refresh_interval_ms: 600_000,
            group_size_max: i32::MAX as usize,
            migration: Migration::named("bidirectional"),
            assignors: vec![Assignor::Uniform, Assignor::Range],
        }
    }
}

/// A refusal, in Kafka's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) error: ErrorCode,
    pub(super) message: String,
}

fn refuse<T>(error: ErrorCode, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { error, message: message.into() })
}

/// What a member is, and what it subscribed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) instance_id: Option<String>,
    pub(super) rack_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) topics: BTreeSet<String>,
    /// Empty: none.
    pub(super) pattern: String,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) assignor: Option<String>,
    /// The member speaks the classic protocol.
    pub(super) classic: Option<classic::Classic>,
}

/// How far a member is on its way to its target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum MemberState {
    #[default]
    Stable,
    /// It was asked to give partitions back.
    UnrevokedPartitions,
    /// Partitions of its target are still with others.
    UnreleasedPartitions,
    /// A newer broker wrote something else.
    Unknown,
}

/// Partitions by topic, each with the epoch in which it was given.
pub(super) type Held = BTreeMap<Uuid, BTreeMap<i32, i32>>;

/// What a member has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Current {
    pub(super) epoch: i32,
    /// The answer that told the epoch may have been lost: then the member still says this one.
    pub(super) previous_epoch: i32,
    pub(super) state: MemberState,
    pub(super) assigned: Held,
    /// What it is to give back.
    pub(super) revoking: Held,
}

impl Current {
    fn is_reconciled_to(&self, target_epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == target_epoch
    }

    /// In this epoch from now on.
    fn in_epoch(&self, epoch: i32) -> Self {
        Self { epoch, previous_epoch: self.epoch, ..self.clone() }
    }
}

/// The topics that a pattern matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) topics: BTreeSet<String>,
    /// The version of the cluster's metadata that they were looked for in.
    pub(super) version: i64,
    pub(super) at_ms: i64,
}

/// A group's state, under the names that ListGroups gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConsumerState {
    Empty,
    Assigning,
    Reconciling,
    Stable,
}

impl ConsumerState {
    /// Kafka's name of it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

/// See the head of the file.
#[derive(Debug, Default)]
pub(super) struct ConsumerGroup {
    epoch: i32,
    metadata_hash: i64,
    members: BTreeMap<String, Subscription>,
    current: BTreeMap<String, Current>,
    target_epoch: i32,
    /// When the target was made, ms since 1970.
    target_made_ms: i64,
    target: BTreeMap<String, Partitions>,
    patterns: BTreeMap<String, Resolved>,
    /// A broker before Kafka 4.1 left a record of the topics; the next change takes it out.
    has_partition_metadata: bool,

    // What follows from these.
    /// Static members: instance id to member id.
    static_members: BTreeMap<String, String>,
    /// Who has a partition, or is to give it back.
    owners: BTreeMap<Uuid, BTreeMap<i32, String>>,

    // What no record says.
    /// The version of the cluster's metadata for which the hash was looked at.
    seen_version: Option<i64>,
}

impl ConsumerGroup {
    pub(super) fn state(&self) -> ConsumerState {
        if self.members.is_empty() {
            return ConsumerState::Empty;
        }
        if self.epoch > self.target_epoch {
            return ConsumerState::Assigning;
        }
        let is_there = |id: &String| self.current(id).is_reconciled_to(self.target_epoch);
        if self.members.keys().all(is_there) { ConsumerState::Stable } else { ConsumerState::Reconciling }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn member_count(&self) -> usize {
        self.members.len()
    }

    /// Nothing of it is in the log.
    pub(super) fn is_bare(&self) -> bool {
        self.epoch == 0 && self.members.is_empty() && self.current.is_empty() && self.target.is_empty()
    }

    /// What a member has; nothing where nothing is known.
    fn current(&self, member: &str) -> Current {
        self.current.get(member).cloned().unwrap_or_default()
    }

    /// Who has the partition, or is to give it back.
    fn owner(&self, topic: Uuid, partition: i32) -> Option<&str> {
        self.owners.get(&topic)?.get(&partition).map(String::as_str)
    }

    fn own(&mut self, member: &str, current: &Current) {
        for (topic, partitions) in current.assigned.iter().chain(&current.revoking) {
            let owners = self.owners.entry(*topic).or_default();
            partitions.keys().for_each(|partition| drop(owners.insert(*partition, member.to_owned())));
        }
    }

    /// A log that was compacted may give a partition to its next owner before it takes it from the last one.
    fn disown(&mut self, member: &str, current: &Current) {
        for (topic, partitions) in current.assigned.iter().chain(&current.revoking) {
            let Some(owners) = self.owners.get_mut(topic) else { continue };
            for partition in partitions.keys() {
                if owners.get(partition).is_some_and(|owner| owner == member) {
                    owners.remove(partition);
                }
            }
            if owners.is_empty() {
                self.owners.remove(topic);
            }
        }
    }

    /// Whether a commit of this member in this epoch counts, for these partitions. One of an older epoch does where the member
    /// had the partition then, and has it still (KIP-1251). `ConsumerGroup.validateOffsetCommit`.
    pub(super) fn check_commit(
        &self,
        member: &str,
        epoch: i32,
        api_version: i16,
        partitions: impl IntoIterator<Item = (Uuid, i32)>,
    ) -> Result<(), ErrorCode> {
        if epoch < 0 && self.members.is_empty() {
            return Ok(());
        }
        let is_classic = match self.members.get(member) {
            None => return Err(ErrorCode::UNKNOWN_MEMBER_ID),
            Some(member) => member.classic.is_some(),
        };
        if !is_classic && api_version < 9 {
            return Err(ErrorCode::UNSUPPORTED_VERSION);
        }
        let current = self.current(member);
        #[cfg(feature = "plant")]
        if ringlog_io::plant::is(ringlog_io::plant::GENERATION_IGNORED) {
            return Ok(());
        }
        if is_classic {
            return if epoch == current.epoch { Ok(()) } else { Err(ErrorCode::ILLEGAL_GENERATION) };
        }
        if epoch > current.epoch {
            return Err(ErrorCode::STALE_MEMBER_EPOCH);
        }
        let given = |held: &Held, topic: Uuid, partition: i32| held.get(&topic)?.get(&partition).copied();
        let counts = |(topic, partition): (Uuid, i32)| {
            let since =
                given(&current.assigned, topic, partition).or_else(|| given(&current.revoking, topic, partition));
            since.is_some_and(|since| epoch >= since)
        };
        if epoch == current.epoch || partitions.into_iter().all(counts) {
            Ok(())
        } else {
            Err(ErrorCode::STALE_MEMBER_EPOCH)
        }
    }

    /// Whether the member may be told offsets. `ConsumerGroup.validateOffsetFetch`.
    pub(super) fn check_fetch(&self, member: &str, epoch: i32) -> Result<(), ErrorCode> {
        match self.members.get(member) {
            None => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            Some(_) if self.current(member).epoch == epoch => Ok(()),
            Some(Subscription { classic: Some(_), .. }) => Err(ErrorCode::ILLEGAL_GENERATION),
            Some(_) => Err(ErrorCode::STALE_MEMBER_EPOCH),
        }
    }

    /// What takes the group out of the log.
    pub(super) fn tombstones(&self, id: &str) -> Result<Vec<KeyValue>, ringlog_wire::EncodeError> {
        let mut facts: Vec<Fact> = self.current.keys().map(|member| Fact::Current(member.clone(), None)).collect();
        facts.extend(self.target.keys().map(|member| Fact::TargetMember(member.clone(), None)));
        facts.push(Fact::Target(None));
        facts.extend(self.members.keys().map(|member| Fact::Member(member.clone(), None)));
        facts.extend(self.patterns.keys().map(|pattern| Fact::Pattern(pattern.clone(), None)));
        facts.extend(self.has_partition_metadata.then_some(Fact::PartitionMetadata(false)));
        facts.push(Fact::Group(None));
        facts.iter().map(|fact| fact.encode(id)).collect()
    }
}

/// A group while it changes: what is to be appended, and what stood there before.
pub(super) struct Edit<'a> {
    pub(super) id: &'a str,
    pub(super) group: &'a mut ConsumerGroup,
    records: Vec<Result<KeyValue, ringlog_wire::EncodeError>>,
    /// In the order in which they were replaced.
    before: Vec<Fact>,
    has_lost_members: bool,
}

impl<'a> Edit<'a> {
    pub(super) fn new(id: &'a str, group: &'a mut ConsumerGroup) -> Self {
        Self { id, group, records: Vec::new(), before: Vec::new(), has_lost_members: false }
    }

    /// Puts back what stood there.
    fn give_up(self) {
        self.group.put_back(self.before);
    }

    /// Makes it so. What is not there needs no tombstone.
    fn put(&mut self, fact: Fact) {
        let record = fact.encode(self.id);
        let is_tombstone = fact.is_tombstone();
        let before = self.group.apply(fact);
        if !(is_tombstone && before.is_tombstone()) {
            self.records.push(record);
            self.before.push(before);
        }
    }
}

impl ConsumerGroup {
    /// Puts back what stood there before a change that was not written.
    pub(super) fn put_back(&mut self, before: Vec<Fact>) {
        for fact in before.into_iter().rev() {
            self.apply(fact);
        }
        self.seen_version = None;
    }
}
