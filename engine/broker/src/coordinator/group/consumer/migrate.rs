//! A group with members changes its protocol: a classic one when the first member joins that speaks the consumer protocol, and back
//! when the last of those has left. Kafka's `convertToConsumerGroup` and `convertToClassicGroup`.
//!
//! ```text
//!   classic:  PreparingRebalance | CompletingRebalance | Stable, generation g
//!                 |  what waits for a join or a share is told REBALANCE_IN_PROGRESS     ^ a rebalance begins,
//!                 |  everybody has, and is to have, what the last generation gave       | but for a static member that
//!                 v  epoch g; the member that joins makes it g + 1                      | only took another's place
//!   consumer: members of both kinds --------- the last of the consumer protocol --------+ generation: the group's epoch
//! ```
//! Either way it is one batch: the tombstones of what was, the records of what is.

use std::collections::BTreeSet;

use ringlog_wire::messages::join_group::JoinGroupRequestProtocol;
use ringlog_wire::{ErrorCode, Uuid};

use super::super::member::Member;
use super::super::state::{Group, State};
use super::super::{Env, GroupSettings, Topics};
use super::classic::{Classic, plain};
use super::heartbeat::Around;
use super::{CONSUMERS, Current, Edit, Fact, Held, MemberState, Partitions, Refusal, Subscription, embedded};

/// `group.consumer.migration.policy`: which way groups with members may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Migration {
    pub(crate) upgrades: bool,
    pub(crate) downgrades: bool,
}

impl Migration {
    /// Of Kafka's name.
    pub(crate) fn named(name: &str) -> Self {
        let is = |one: &str| name.eq_ignore_ascii_case(one);
        let both = is("bidirectional");
        Self { upgrades: both || is("upgrade"), downgrades: both || is("downgrade") }
    }
}

/// A classic member as it is taken over.
pub(super) struct Taken {
    id: String,
    subscription: Subscription,
    assigned: Partitions,
}

/// The classic group that takes the place of one of the consumer protocol.
#[derive(Debug)]
pub(super) struct Becomes {
    pub(super) group: Box<Group>,
    pub(super) rebalances: bool,
}

impl Group {
    /// Its members as they are taken over.
    pub(super) fn upgraded(&self, settings: &GroupSettings, topics: &dyn Topics) -> Result<Vec<Taken>, Refusal> {
        let cannot = |why: &str| {
            let message = format!("Cannot upgrade classic group {} to consumer group because {why}.", self.id);
            Refusal { error: ErrorCode::GROUP_ID_NOT_FOUND, message }
        };
        if !settings.consumer.migration.upgrades {
            return Err(cannot("online upgrade is disabled"));
        }
        if self.protocol_type.as_deref() != Some(CONSUMERS) {
            return Err(cannot("the group does not use the consumer embedded protocol"));
        }
        if self.members.len() > settings.consumer.group_size_max {
            return Err(cannot("the group size exceeds the consumer group maximum size"));
        }
        // Before its first generation a group has not chosen.
        let protocol = self.protocol.clone().or_else(|| self.select_protocol()).unwrap_or_default();
        let mut given = BTreeSet::new();
        self.members.values().map(|member| taken(member, &protocol, topics, &mut given, cannot)).collect()
    }

    /// What waits for a join or a share is told that there is another rebalance, and everybody has its session to join again.
    pub(super) fn refuse_waiters(&mut self, env: &mut Env<'_>) {
        for member in self.members.values_mut() {
            let waiter = member.awaiting_join.take();
            env.effects.extend(waiter.map(|waiter| waiter.join_error(&member.id, ErrorCode::REBALANCE_IN_PROGRESS)));
        }
        self.refuse_syncs(ErrorCode::REBALANCE_IN_PROGRESS, env);
        self.members.keys().for_each(|member| self.schedule_session(member, env));
    }

    /// The group stays a classic one after all: its members join again.
    pub(super) fn stay_classic(&mut self, env: &mut Env<'_>) {
        self.members.keys().for_each(|member| self.schedule_session(member, env));
        self.initial_delay = None;
        if self.state != State::Empty {
            self.prepare_rebalance(env);
        }
    }

    /// The group is a classic one from now on.
    pub(super) fn become_classic(&mut self, becomes: Becomes, env: &mut Env<'_>) {
        let offsets = std::mem::take(&mut self.offsets);
        *self = Group { offsets, ..*becomes.group };
        for member in self.members.keys() {
            env.timers.cancel_member(&self.id, member);
            self.schedule_session(member, env);
        }
        if becomes.rebalances {
            self.prepare_rebalance(env);
        }
    }
}

/// A classic member as it is taken over; of what its leader gave, only what nobody else was given.
fn taken(
    member: &Member,
    protocol: &str,
    topics: &dyn Topics,
    given: &mut BTreeSet<(Uuid, i32)>,
    cannot: impl Fn(&str) -> Refusal,
) -> Result<Taken, Refusal> {
    let said = embedded::subscription(member.metadata(protocol));
    let (Some(said), Some(assignment)) = (said, embedded::assignment(&member.assignment)) else {
        return Err(cannot("the embedded consumer protocol is malformed"));
    };
    if assignment.user_data.is_some_and(|data| !data.is_empty()) {
        return Err(cannot(
            "an unsupported custom assignor is in use. Please refer to the documentation or switch to a default assignor before re-attempting the upgrade",
        ));
    }
    // What a leader gave twice, or of a topic that is smaller, is nobody's.
    let mut assigned = embedded::by_id(&assignment.assigned_partitions, topics);
    for (topic, partitions) in &mut assigned {
        let count = topics.topic_name(*topic).and_then(|name| topics.partition_count(&name)).unwrap_or(0);
        partitions.retain(|partition| (0..count).contains(partition) && given.insert((*topic, *partition)));
    }
    assigned.retain(|_, partitions| !partitions.is_empty());
    let subscription = Subscription {
        instance_id: member.instance_id.clone(),
        rack_id: said.rack_id.filter(|rack| !rack.is_empty()),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        topics: said.topics.into_iter().collect(),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        classic: Some(Classic { session_timeout_ms: member.session_timeout_ms, protocols: plain(&member.protocols) }),
        ..Default::default()
    };
    Ok(Taken { id: member.id.clone(), subscription, assigned })
}

impl Edit<'_> {
    /// The members of a classic group are those of this one, each with what it had.
    pub(super) fn take_over(&mut self, generation: i32, members: Vec<Taken>, topics: &dyn Topics) {
        for Taken { id, subscription, .. } in &members {
            self.put(Fact::Member(id.clone(), Some(subscription.clone())));
        }
        self.put(Fact::Group(Some((generation, self.group.hash(topics)))));
        for Taken { id, assigned, .. } in &members {
            self.put(Fact::TargetMember(id.clone(), Some(assigned.clone())));
        }
        // Made at no time: the next one comes at once.
        self.put(Fact::Target(Some((generation, 0))));
        for Taken { id, assigned, .. } in members {
            let since = |partitions: BTreeSet<i32>| partitions.into_iter().map(|one| (one, generation)).collect();
            let assigned: Held = assigned.into_iter().map(|(topic, partitions)| (topic, since(partitions))).collect();
            let state = MemberState::Stable;
            let (epoch, previous_epoch, revoking) = (generation, generation, Held::new());
            self.put(Fact::Current(id, Some(Current { epoch, previous_epoch, state, assigned, revoking })));
        }
    }

    /// Whether the group can be a classic one: nobody is left who speaks the consumer protocol.
    pub(super) fn may_be_classic(&self, around: &Around<'_>) -> bool {
        let members = &self.group.members;
        around.settings.migration.downgrades
            && (1..=around.classic_size_max).contains(&members.len())
            && members.values().all(|member| member.classic.is_some())
    }

    /// Members were taken out: the group is a classic one from now on, or has its next epoch. Nothing where nobody went.
    pub(super) fn after_leaving(&mut self, partition: i32, around: &Around<'_>) -> Option<Becomes> {
        if !self.has_lost_members {
            return None;
        }
        self.drop_unused_patterns();
        if self.may_be_classic(around) {
            return Some(self.downgraded(partition, true, around));
        }
        self.bump(around.topics);
        None
    }

    /// Takes all of it out of the log, and gives the classic group that takes its place. Until the log has it the group is what it was.
    pub(super) fn downgraded(&mut self, partition: i32, rebalances: bool, around: &Around<'_>) -> Becomes {
        let mut group = Group {
            state: State::Stable,
            previous_state: State::Stable,
            state_since_ms: around.at.wall_ms,
            generation: self.group.epoch,
            ..Group::new(self.id, partition)
        };
        for (id, subscription) in &self.group.members {
            if let Some(classic) = &subscription.classic {
                group.add(given_back(id, subscription, classic), CONSUMERS);
            }
        }
        group.protocol = group.select_protocol();
        let protocol = group.protocol.clone().unwrap_or_default();
        for member in group.members.values_mut() {
            let target = self.group.target.get(&member.id).into_iter().flatten();
            let target = target.map(|(topic, partitions)| (topic, partitions.clone()));
            // Names of topics are short: they can be written.
            member.assignment =
                embedded::encode_assignment(target, member.metadata(&protocol), around.topics).unwrap_or_default();
        }
        match self.group.tombstones(self.id) {
            Ok(tombstones) => self.records.extend(tombstones.into_iter().map(Ok)),
            Err(error) => self.records.push(Err(error)),
        }
        Becomes { group: Box::new(group), rebalances }
    }
}

/// A member as the classic group has it.
fn given_back(id: &str, subscription: &Subscription, classic: &Classic) -> Member {
    let protocol = |(name, metadata): &(String, Vec<u8>)| JoinGroupRequestProtocol {
        name: name.clone(),
        metadata: metadata.clone(),
        ..Default::default()
    };
    Member {
        id: id.to_owned(),
        instance_id: subscription.instance_id.clone(),
        client_id: subscription.client_id.clone(),
        client_host: subscription.client_host.clone(),
        rebalance_timeout_ms: subscription.rebalance_timeout_ms,
        session_timeout_ms: classic.session_timeout_ms,
        protocols: classic.protocols.iter().map(protocol).collect(),
        assignment: Vec::new(),
        awaiting_join: None,
        awaiting_sync: None,
        is_new: false,
    }
}
