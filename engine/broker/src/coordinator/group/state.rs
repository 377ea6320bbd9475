//! A classic group: its state, its members, and the rules about them that need nothing else.
//!
//! ```text
//!   Empty --join--> PreparingRebalance --all joined, or time over--> CompletingRebalance --leader's sync--> Stable
//!     ^                |    ^     ^                                         |                                 |
//!     +-- nobody left -+    |     +------- join, leave, session over -------+                                 |
//!                           +--------------- join, leave, session over, leader rejoins -----------------------+
//!
//!   Dead: the partition was unloaded.
//! ```
//!
//! Kafka's `ClassicGroup` and `ClassicGroupState`.

use std::collections::{BTreeMap, BTreeSet};

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::join_group::{JoinGroupRequestProtocol, JoinGroupResponseMember};

use super::consumer::ConsumerGroup;
use super::member::Member;
use super::offsets::Offsets;
use super::reply::Waiter;
use super::{Effect, Env};

/// A classic group's state, under the names that DescribeGroups and ListGroups give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// No members; offsets may be there.
    Empty,
    /// Members are asked to join again.
    PreparingRebalance,
    /// The generation's members are known, the leader works out who gets what.
    CompletingRebalance,
    /// Every member can have its assignment.
    Stable,
}

impl State {
    /// Kafka's name of it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// What is left of an initial rebalance's delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InitialDelay {
    pub(super) delay_ms: i32,
    pub(super) remaining_ms: i32,
}

/// A classic group and its offsets.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: String,
    /// The partition of `__consumer_offsets` that its records go to.
    pub(super) partition: i32,
    pub(super) state: State,
    pub(super) previous_state: State,
    /// When the state was entered, ms since 1970; -1 for a group that never changed.
    pub(super) state_since_ms: i64,
    pub(super) generation: i32,
    /// `None`: nobody ever joined, the group only keeps offsets.
    pub(super) protocol_type: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<String>,
    pub(super) members: BTreeMap<String, Member>,
    /// Static members: instance id to member id.
    pub(super) static_members: BTreeMap<String, String>,
    /// Member ids that were given out and have not joined yet.
    pub(super) pending_joins: BTreeSet<String>,
    /// Members of this generation that have not asked for their assignment yet.
    pub(super) pending_syncs: BTreeSet<String>,
    /// Somebody arrived while the initial delay ran.
    pub(super) new_member_added: bool,
    /// `Some` while the join timer is that of an initial rebalance.
    pub(super) initial_delay: Option<InitialDelay>,
    pub(super) offsets: Offsets,
    /// The group speaks the consumer protocol: then of what stands above only the id and the partition count.
    pub(super) consumers: Option<Box<ConsumerGroup>>,
}

impl Group {
    /// A group without members and offsets.
    pub(super) fn new(id: &str, partition: i32) -> Self {
        Self {
            id: id.to_owned(),
            partition,
            state: State::Empty,
            previous_state: State::Empty,
            state_since_ms: -1,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_joins: BTreeSet::new(),
            pending_syncs: BTreeSet::new(),
            new_member_added: false,
            initial_delay: None,
            offsets: Offsets::default(),
            consumers: None,
        }
    }

    /// Nothing of it is in the log, or on its way there.
    pub(super) fn is_bare(&self) -> bool {
        let is_classic = self.protocol_type.is_some() || self.state_since_ms >= 0 || !self.pending_joins.is_empty();
        !is_classic && self.consumers.is_none() && self.offsets.is_empty()
    }

    pub(super) fn enter(&mut self, state: State, wall_ms: i64) {
        self.previous_state = self.state;
        self.state = state;
        self.state_since_ms = wall_ms;
    }

    pub(super) fn is_leader(&self, member: &str) -> bool {
        self.leader.as_deref() == Some(member)
    }

    /// Whether a member with these protocols fits: the group's type, and one protocol that every member has.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &[JoinGroupRequestProtocol]) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|protocol| self.is_common(&protocol.name))
    }

    fn is_common(&self, protocol: &str) -> bool {
        self.members.values().all(|member| member.supports(protocol))
    }

    /// The protocol of the next generation: each member votes for the first of its protocols that all have; most votes
    /// win, the lower name where they are equal. `None` for a group without members.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let choice = member.protocols.iter().find(|protocol| self.is_common(&protocol.name));
            *votes.entry(choice?.name.as_str()).or_default() += 1;
        }
        let most = votes.values().max()?;
        votes.iter().find(|(_, count)| *count == most).map(|(name, _)| (*name).to_owned())
    }

    /// Takes a member in. The first one decides the group's type and leads.
    pub(super) fn add(&mut self, member: Member, protocol_type: &str) {
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), member.id.clone());
        }
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.to_owned());
        }
        self.leader.get_or_insert_with(|| member.id.clone());
        self.pending_joins.remove(&member.id);
        self.members.insert(member.id.clone(), member);
    }

    /// Takes a member out; another one leads where it led. Its unanswered requests come back to be answered.
    pub(super) fn remove(&mut self, id: &str) -> Option<Member> {
        self.pending_joins.remove(id);
        self.pending_syncs.remove(id);
        let member = self.members.remove(id);
        if let Some(instance_id) = member.as_ref().and_then(|member| member.instance_id.as_ref())
            && self.static_members.get(instance_id).is_some_and(|current| current == id)
        {
            self.static_members.remove(instance_id);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        member
    }

    pub(super) fn has_all_joined(&self) -> bool {
        self.pending_joins.is_empty() && self.members.values().all(|member| member.awaiting_join.is_some())
    }

    pub(super) fn awaiting_join_count(&self) -> usize {
        self.members.values().filter(|member| member.awaiting_join.is_some()).count()
    }

    /// The longest rebalance timeout of any member.
    pub(super) fn rebalance_timeout_ms(&self) -> i32 {
        self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0)
    }

    /// Makes sure that the leader is one of those who joined. False: nobody did.
    pub(super) fn elect_joined_leader(&mut self) -> bool {
        let has_joined = |id: &String| self.members.get(id).is_some_and(|member| member.awaiting_join.is_some());
        match &self.leader {
            Some(leader) if has_joined(leader) => true,
            Some(_) => match self.members.keys().find(|id| has_joined(id)) {
                Some(id) => {
                    self.leader = Some(id.clone());
                    true
                }
                None => false,
            },
            None => false,
        }
    }

    /// Checks that a request comes from a member, and from the one that has the instance id.
    pub(super) fn check_member(&self, id: &str, instance_id: Option<&str>) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(ErrorCode::UNKNOWN_MEMBER_ID),
                Some(current) if current != id => return Err(ErrorCode::FENCED_INSTANCE_ID),
                Some(_) => {}
            }
        }
        if self.members.contains_key(id) { Ok(()) } else { Err(ErrorCode::UNKNOWN_MEMBER_ID) }
    }

    /// What the leader gets to see: everybody, with what they sent for the protocol that was chosen.
    pub(super) fn members_for_leader(&self) -> Vec<JoinGroupResponseMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        self.members.values().map(|member| member.for_leader(protocol)).collect()
    }

    /// The group goes away: everything that waits in it is answered with an error.
    pub(super) fn fail_waiters(self, error: ErrorCode, effects: &mut Vec<Effect>) {
        for member in self.members.into_values() {
            effects.extend(member.awaiting_join.map(|waiter| waiter.join_error(&member.id, error)));
            effects.extend(member.awaiting_sync.map(|waiter| waiter.sync_error(error)));
        }
    }

    /// Makes `waiter` the one whose join is answered. A request that the same member sent before it is told to try
    /// again: the member gave it up, or it sent two at once.
    pub(super) fn await_join(member: &mut Member, waiter: Waiter, env: &mut Env<'_>) {
        if let Some(earlier) = member.awaiting_join.replace(waiter) {
            env.effects.push(earlier.join_error(&member.id, ErrorCode::REBALANCE_IN_PROGRESS));
        }
    }
}
