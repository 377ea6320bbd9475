//! Classic members in a group of the consumer protocol, while its members change from one protocol to the other one by one.
//!
//! | request    | what it is to the group                                                                          |
//! |------------|--------------------------------------------------------------------------------------------------|
//! | JoinGroup  | a heartbeat that says all: what the member reads and owns; its epoch is told as the generation    |
//! | SyncGroup  | asks for what the member has now                                                                  |
//! | Heartbeat  | REBALANCE_IN_PROGRESS where the member's next step is due: for that it joins again                |
//! | LeaveGroup | the member goes                                                                                   |
//!
//! Such a member never leads, and nobody waits for others: it has its session, and its rebalance timeout to join again and to ask
//! for its share. Kafka's `classicGroupJoinToConsumerGroup` and those beside it.

use std::collections::BTreeSet;

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::consumer_group_heartbeat::TopicPartitions;
use ringlog_wire::messages::consumer_protocol::ConsumerProtocolSubscription;
use ringlog_wire::messages::heartbeat::HeartbeatRequest;
use ringlog_wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use ringlog_wire::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use ringlog_wire::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};

use super::super::join::{KNOWN_MEMBER_ID_FROM, check_timeout};
use super::super::session::{leaving, left};
use super::super::state::Group;
use super::super::sync::differs;
use super::super::timers::Timer;
use super::super::{Env, Topics};
use super::answer::Answer;
use super::classic_ask::{ClassicAsk, ClassicRequest};
use super::desk::append;
use super::embedded;
use super::heartbeat::Around;
use super::{CONSUMERS, ConsumerGroup, Edit, MemberState, Refusal, Subscription, refuse};

/// What there is besides of a member that speaks the classic protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Classic {
    pub(super) session_timeout_ms: i32,
    /// What it can, the most wanted first, and what it says of itself for each. There is one at least.
    pub(super) protocols: Vec<(String, Vec<u8>)>,
}

impl Classic {
    fn of(request: &JoinGroupRequest) -> Self {
        Self { session_timeout_ms: request.session_timeout_ms, protocols: plain(&request.protocols) }
    }

    /// The protocol that the member is told, and what it says for it.
    fn first(&self) -> (&str, &[u8]) {
        self.protocols.first().map_or(("", &[]), |(name, metadata)| (name, metadata))
    }

    fn names(&self) -> BTreeSet<&str> {
        self.protocols.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// Protocols without what else a request may hold.
pub(super) fn plain(protocols: &[JoinGroupRequestProtocol]) -> Vec<(String, Vec<u8>)> {
    protocols.iter().map(|one| (one.name.clone(), one.metadata.clone())).collect()
}

impl Group {
    /// True: a change is on its way.
    pub(super) fn classic_work(&mut self, ask: &ClassicAsk, topics: &dyn Topics, env: &mut Env<'_>) -> bool {
        let Some(consumers) = &mut self.consumers else { return false };
        match &ask.request {
            ClassicRequest::Join(request) => return self.join_consumers(ask, request, topics, env),
            ClassicRequest::Leave(request) => return self.leave_consumers(ask, request, topics, env),
            ClassicRequest::Sync(request) => {
                let share = consumers.classic_share(&self.id, request, topics, env);
                let waiter = ask.caller().waiter();
                env.effects.push(share.map_or_else(|error| waiter.sync_error(error), |share| waiter.sync(share)));
            }
            ClassicRequest::Heartbeat(request) => {
                let beat = consumers.classic_heartbeat(&self.id, request, env);
                env.effects.push(ask.caller().waiter().heartbeat(beat.err().unwrap_or(ErrorCode::NONE)));
            }
        }
        false
    }

    fn join_consumers(
        &mut self,
        ask: &ClassicAsk,
        request: &JoinGroupRequest,
        topics: &dyn Topics,
        env: &mut Env<'_>,
    ) -> bool {
        let Some(consumers) = &mut self.consumers else { return false };
        let waiter = ask.caller().waiter();
        if let Err(error) = check_timeout(request, env.settings) {
            env.effects.push(waiter.join_error(&request.member_id, error));
            return false;
        }
        let around = Around::new(env, topics);
        let mut edit = Edit::new(&self.id, consumers);
        let (response, rebalances) = match edit.join_classic(ask, request, &around) {
            Ok(joined) => joined,
            Err(refusal) => {
                edit.give_up();
                env.effects.push(waiter.join_error(&request.member_id, refusal.error));
                return false;
            }
        };
        let becomes = rebalances.map(|rebalances| edit.downgraded(self.partition, rebalances, &around));
        if response.error_code == 0 && becomes.is_none() {
            let (group, member) = (edit.id.to_owned(), response.member_id.clone());
            env.timers.cancel(&Timer::Rejoin(group.clone(), member.clone()));
            env.timers.schedule(Timer::session(&group, &member), env.after_ms(request.session_timeout_ms));
            env.timers.schedule(Timer::Share(group, member), env.after_ms(rebalance_timeout_ms(ask, request)));
        }
        append(edit, self.partition, false, becomes, Some(Answer::Join(waiter, response)), env)
    }

    fn leave_consumers(
        &mut self,
        ask: &ClassicAsk,
        request: &LeaveGroupRequest,
        topics: &dyn Topics,
        env: &mut Env<'_>,
    ) -> bool {
        let Some(consumers) = &mut self.consumers else { return false };
        let (mut members, mut gone) = (Vec::new(), BTreeSet::new());
        for one in leaving(ask.api_version, request) {
            let found = consumers.find(&one);
            members.push(left(&one, found.as_ref().map(|_| ()).map_err(|error| *error)));
            gone.extend(found);
        }
        let around = Around::new(env, topics);
        let mut edit = Edit::new(&self.id, consumers);
        for member in &gone {
            edit.take_out(member);
            env.timers.cancel_member(edit.id, member);
        }
        let becomes = edit.after_leaving(self.partition, &around);
        append(edit, self.partition, false, becomes, Some(Answer::Leave(ask.caller().waiter(), members)), env)
    }
}

/// What a joining member says that it owns, as a heartbeat would say it.
fn owned(said: &ConsumerProtocolSubscription, topics: &dyn Topics) -> Vec<TopicPartitions> {
    let one = |(topic_id, partitions): (_, BTreeSet<i32>)| TopicPartitions {
        topic_id,
        partitions: partitions.into_iter().collect(),
        ..Default::default()
    };
    embedded::by_id(&said.owned_partitions, topics).into_iter().map(one).collect()
}

/// A member is to join again, and has its time for it from when it was first told.
fn start_rejoin(group: &str, id: &str, member: &Subscription, env: &mut Env<'_>) {
    let rejoin = Timer::Rejoin(group.to_owned(), id.to_owned());
    if !env.timers.runs(&rejoin) {
        env.timers.schedule(rejoin, env.after_ms(member.rebalance_timeout_ms));
    }
}

/// Before v1 a member says only how long its session is.
fn rebalance_timeout_ms(ask: &ClassicAsk, request: &JoinGroupRequest) -> i32 {
    if ask.api_version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms }
}

impl Edit<'_> {
    /// A classic member joins, or joins again. Gives the answer, and where the group is a classic one from now on whether that one
    /// begins with a rebalance: the last one that spoke the consumer protocol was a static member, and this one takes its place.
    fn join_classic(
        &mut self,
        ask: &ClassicAsk,
        request: &JoinGroupRequest,
        around: &Around<'_>,
    ) -> Result<(JoinGroupResponse, Option<bool>), Refusal> {
        let is_unknown = request.member_id.is_empty();
        let member_id = if is_unknown { ask.new_member_id() } else { request.member_id.clone() };
        self.check_room(&member_id, around.settings)?;
        self.group.check_protocols(request)?;
        if is_unknown && request.group_instance_id.is_none() && ask.api_version >= KNOWN_MEMBER_ID_FROM {
            let error_code = ErrorCode::MEMBER_ID_REQUIRED.0;
            return Ok((JoinGroupResponse { error_code, member_id, ..Default::default() }, None));
        }
        let first = request.protocols.first().and_then(|one| embedded::subscription(&one.metadata));
        let Some(said) = first else { return refuse(ErrorCode::UNKNOWN_SERVER_ERROR, "") };
        let has_replaced = match &request.group_instance_id {
            Some(instance_id) => self.take_place(instance_id, &member_id, is_unknown)?,
            None => false,
        };
        let now = self.joining(ask, request, &member_id, &said);
        let is_resubscribed = self.renew(&member_id, now, around)?;
        let is_classic = has_replaced && self.may_be_classic(around);
        if !is_classic {
            self.set_target_if_due(around);
        }
        if !(is_classic && is_resubscribed) {
            self.reconcile(&member_id, Some(&owned(&said, around.topics)), is_resubscribed, around)?;
        }
        let response = JoinGroupResponse {
            generation_id: self.group.current(&member_id).epoch,
            protocol_type: Some(CONSUMERS.to_owned()),
            protocol_name: request.protocols.first().map(|protocol| protocol.name.clone()),
            member_id,
            ..Default::default()
        };
        Ok((response, is_classic.then_some(is_resubscribed)))
    }

    /// What a member is that joins so: a pattern is nothing that it can have.
    fn joining(
        &self,
        ask: &ClassicAsk,
        request: &JoinGroupRequest,
        member: &str,
        said: &ConsumerProtocolSubscription,
    ) -> Subscription {
        let before = self.group.members.get(member).cloned().unwrap_or_default();
        Subscription {
            instance_id: request.group_instance_id.clone().or(before.instance_id),
            rack_id: said.rack_id.clone().filter(|rack| !rack.is_empty()).or(before.rack_id),
            client_id: ask.client_id.clone(),
            client_host: ask.client_host.clone(),
            topics: said.topics.iter().cloned().collect(),
            pattern: String::new(),
            rebalance_timeout_ms: match rebalance_timeout_ms(ask, request) {
                -1 => before.rebalance_timeout_ms,
                ms => ms,
            },
            assignor: before.assignor,
            classic: Some(Classic::of(request)),
        }
    }

    /// A static member that has no id yet takes the place of the one that had its instance id. True: there was one, and it spoke the
    /// consumer protocol.
    fn take_place(&mut self, instance_id: &str, member: &str, is_unknown: bool) -> Result<bool, Refusal> {
        if !is_unknown {
            self.check_instance(instance_id, member)?;
        }
        let Some(last) = self.group.static_members.get(instance_id).cloned() else { return Ok(false) };
        let was_classic = self.group.is_classic(&last);
        if is_unknown {
            self.replace(&last, member);
        }
        Ok(!was_classic)
    }
}

impl ConsumerGroup {
    /// A joining member must have a protocol that all classic members have.
    fn check_protocols(&self, request: &JoinGroupRequest) -> Result<(), Refusal> {
        let classic = self.members.values().filter_map(|member| member.classic.as_ref());
        let common = classic.map(Classic::names).reduce(|common, names| &common & &names);
        let is_common = |name: &str| common.as_ref().is_none_or(|common| common.contains(name));
        if request.protocol_type == CONSUMERS && request.protocols.iter().any(|one| is_common(&one.name)) {
            return Ok(());
        }
        refuse(ErrorCode::INCONSISTENT_GROUP_PROTOCOL, "")
    }

    /// The classic member that a request comes from.
    fn classic_member(&self, id: &str, instance_id: Option<&str>) -> Result<(&Subscription, &Classic), ErrorCode> {
        match instance_id.map(|instance_id| self.static_members.get(instance_id)) {
            Some(None) => return Err(ErrorCode::UNKNOWN_MEMBER_ID),
            Some(Some(now)) if now != id => return Err(ErrorCode::FENCED_INSTANCE_ID),
            Some(Some(_)) | None => {}
        }
        let member = self.members.get(id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        let classic = member.classic.as_ref().ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        Ok((member, classic))
    }

    /// Whom a LeaveGroup names: any member, and a static one by its instance id alone, too.
    fn find(&self, one: &MemberIdentity) -> Result<String, ErrorCode> {
        let id = match &one.group_instance_id {
            None => &one.member_id,
            Some(instance_id) => match self.static_members.get(instance_id) {
                None => return Err(ErrorCode::UNKNOWN_MEMBER_ID),
                Some(now) if !one.member_id.is_empty() && *now != one.member_id => {
                    return Err(ErrorCode::FENCED_INSTANCE_ID);
                }
                Some(now) => now,
            },
        };
        if self.members.contains_key(id) { Ok(id.clone()) } else { Err(ErrorCode::UNKNOWN_MEMBER_ID) }
    }

    fn classic_share(
        &self,
        id: &str,
        request: &SyncGroupRequest,
        topics: &dyn Topics,
        env: &mut Env<'_>,
    ) -> Result<SyncGroupResponse, ErrorCode> {
        let (member, classic) = self.classic_member(&request.member_id, request.group_instance_id.as_deref())?;
        let current = self.current(&request.member_id);
        if request.generation_id != current.epoch {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        let (protocol, said) = classic.first();
        if differs(request.protocol_type.as_deref(), Some(CONSUMERS))
            || differs(request.protocol_name.as_deref(), Some(protocol))
        {
            return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        // One that has to give something back has joined for that already.
        if self.epoch > current.epoch && current.state != MemberState::UnrevokedPartitions {
            start_rejoin(id, &request.member_id, member, env);
            return Err(ErrorCode::REBALANCE_IN_PROGRESS);
        }
        env.timers.cancel(&Timer::Share(id.to_owned(), request.member_id.clone()));
        env.timers.schedule(Timer::session(id, &request.member_id), env.after_ms(classic.session_timeout_ms));
        let held = current.assigned.iter().map(|(topic, held)| (topic, held.keys().copied().collect()));
        let assignment = embedded::encode_assignment(held, said, topics);
        Ok(SyncGroupResponse {
            protocol_type: request.protocol_type.clone(),
            protocol_name: request.protocol_name.clone(),
            assignment: assignment.map_err(|_| ErrorCode::UNKNOWN_SERVER_ERROR)?,
            ..Default::default()
        })
    }

    fn classic_heartbeat(&self, id: &str, request: &HeartbeatRequest, env: &mut Env<'_>) -> Result<(), ErrorCode> {
        let (member, classic) = self.classic_member(&request.member_id, request.group_instance_id.as_deref())?;
        let current = self.current(&request.member_id);
        if request.generation_id != current.epoch {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        env.timers.schedule(Timer::session(id, &request.member_id), env.after_ms(classic.session_timeout_ms));
        let is_due = current.epoch < self.epoch
            || match current.state {
                MemberState::UnrevokedPartitions => true,
                MemberState::UnreleasedPartitions => !self.waits_for_others(&request.member_id),
                MemberState::Stable | MemberState::Unknown => false,
            };
        if !is_due {
            return Ok(());
        }
        start_rejoin(id, &request.member_id, member, env);
        Err(ErrorCode::REBALANCE_IN_PROGRESS)
    }

    /// Whether something of the member's target is still with somebody.
    fn waits_for_others(&self, member: &str) -> bool {
        let assigned = self.current(member).assigned;
        let has = |topic, partition| assigned.get(topic).is_some_and(|held| held.contains_key(partition));
        self.target.get(member).into_iter().flatten().any(|(topic, partitions)| {
            partitions.iter().any(|partition| !has(topic, partition) && self.owner(*topic, *partition).is_some())
        })
    }
}
