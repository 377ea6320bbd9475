//! JoinGroup: a member arrives, comes back, or changes what it wants.
//!
//! ```text
//!   unknown id, dynamic, v4+   -> an id is given out (MEMBER_ID_REQUIRED); its owner joins with it
//!   unknown id, dynamic, v0-3  -> joins at once, under a new id
//!   unknown id, static         -> joins, or takes the place of the member with its instance id under a new id
//!   an id that was given out   -> joins
//!   a member's id              -> rejoins; only a change, or the leader, starts a rebalance of a stable group
//! ```

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::join_group::{JoinGroupRequest, JoinGroupResponse};

use super::member::{Member, Replaced};
use super::reply::Waiter;
use super::state::{Group, State};
use super::timers::Timer;
use super::{Caller, Effect, Env, GroupCoordinator, GroupSettings, Moment, Pending, append_error};

/// For how long a member that joined for the first time may be silent: it cannot send heartbeats while it waits.
pub(super) const NEW_MEMBER_JOIN_TIMEOUT_MS: i32 = 5 * 60 * 1_000;

/// The first version in which a dynamic member must come back with the id that it was given.
pub(super) const KNOWN_MEMBER_ID_FROM: i16 = 4;
/// The first version in which a leader can be told to skip the assignment.
const SKIP_ASSIGNMENT_FROM: i16 = 9;

impl GroupCoordinator {
    pub(super) fn join(
        &mut self,
        caller: Caller<'_>,
        mut request: JoinGroupRequest,
        random: &mut dyn FnMut() -> u64,
        at: Moment,
    ) -> Vec<Effect> {
        if let Err(error) = self.check_group(&request.group_id).and_then(|()| check_timeout(&request, &self.settings)) {
            return vec![caller.waiter().join_error(&request.member_id, error)];
        }
        if caller.api_version == 0 {
            request.rebalance_timeout_ms = request.session_timeout_ms;
        }
        // A group is made for a member that has no id yet; an id must come from a group.
        let is_unknown = request.member_id.is_empty();
        if !is_unknown && !self.groups.contains_key(&request.group_id) {
            return vec![caller.waiter().join_error(&request.member_id, ErrorCode::UNKNOWN_MEMBER_ID)];
        }
        let (is_new_group, mut effects) = self.make_classic(&request.group_id, at);
        let group_id = request.group_id.clone();
        effects.append(&mut self.with_group(&group_id, at, |group, env| {
            let records_before = env.appends.next;
            if !group.accepts(&request.member_id, env.settings) {
                group.remove(&request.member_id);
                env.effects.push(caller.waiter().join_error("", ErrorCode::GROUP_MAX_SIZE_REACHED));
            } else if is_unknown {
                group.join_unknown(&caller, request, random, env);
            } else {
                group.join_known(&caller, request, env);
            }
            if is_new_group && env.appends.next == records_before {
                group.append_alone(env);
            }
        }));
        effects
    }

    /// The group, made where it is missing (true), and classic where it spoke the consumer protocol and nobody is in it any
    /// more.
    fn make_classic(&mut self, id: &str, at: Moment) -> (bool, Vec<Effect>) {
        let mut effects = Vec::new();
        if self.is_of_consumers(id) {
            effects = self.with_group(id, at, |group, env| {
                if let Some(consumers) = group.consumers.take() {
                    let records = consumers.tombstones(&group.id);
                    env.append(group.partition, records, Pending::GroupAlone { group: group.id.clone() });
                }
            });
        }
        (self.make_group(id, at), effects)
    }
}

pub(super) fn check_timeout(request: &JoinGroupRequest, settings: &GroupSettings) -> Result<(), ErrorCode> {
    let allowed = settings.session_timeout_ms_min..=settings.session_timeout_ms_max;
    if allowed.contains(&request.session_timeout_ms) { Ok(()) } else { Err(ErrorCode::INVALID_SESSION_TIMEOUT) }
}

/// Kafka's member ids: what the client calls itself, and a random UUID (version 4).
fn make_member_id(name: &str, random: &mut dyn FnMut() -> u64) -> String {
    let high = (random() & !0xf000) | 0x4000;
    let low = (random() & !(0b11 << 62)) | (0b10 << 62);
    format!(
        "{name}-{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

impl Group {
    /// Whether `group.max.size` leaves room for this one. During a rebalance those who joined already count, so that the
    /// last ones to come back are those who have to go.
    fn accepts(&self, member: &str, settings: &GroupSettings) -> bool {
        match self.state {
            State::Empty => true,
            State::PreparingRebalance => {
                self.members.get(member).is_some_and(|member| member.awaiting_join.is_some())
                    || self.awaiting_join_count() < settings.group_size_max
            }
            State::CompletingRebalance | State::Stable => {
                self.members.contains_key(member) || self.members.len() < settings.group_size_max
            }
        }
    }

    fn join_unknown(
        &mut self,
        caller: &Caller<'_>,
        request: JoinGroupRequest,
        random: &mut dyn FnMut() -> u64,
        env: &mut Env<'_>,
    ) {
        if !self.supports(&request.protocol_type, &request.protocols) {
            return env.effects.push(caller.waiter().join_error("", ErrorCode::INCONSISTENT_GROUP_PROTOCOL));
        }
        let name = request.group_instance_id.as_deref().unwrap_or(caller.client_id);
        let new_id = make_member_id(name, random);
        let known_as = request.group_instance_id.as_ref().and_then(|id| self.static_members.get(id)).cloned();
        match known_as {
            Some(old_id) => self.join_static_again(caller, request, old_id, new_id, env),
            None if request.group_instance_id.is_none() && caller.api_version >= KNOWN_MEMBER_ID_FROM => {
                env.timers.schedule(Timer::session(&self.id, &new_id), env.after_ms(request.session_timeout_ms));
                env.effects.push(caller.waiter().join_error(&new_id, ErrorCode::MEMBER_ID_REQUIRED));
                self.pending_joins.insert(new_id);
            }
            None => self.join_as_new(caller, request, new_id, env),
        }
    }

    fn join_known(&mut self, caller: &Caller<'_>, request: JoinGroupRequest, env: &mut Env<'_>) {
        let id = request.member_id.clone();
        if !self.supports(&request.protocol_type, &request.protocols) {
            return env.effects.push(caller.waiter().join_error(&id, ErrorCode::INCONSISTENT_GROUP_PROTOCOL));
        }
        // An id was given out only to a dynamic member.
        if request.group_instance_id.is_none() && self.pending_joins.contains(&id) {
            return self.join_as_new(caller, request, id, env);
        }
        if let Err(error) = self.check_member(&id, request.group_instance_id.as_deref()) {
            return env.effects.push(caller.waiter().join_error(&id, error));
        }
        let has_changed = self.members.get(&id).is_none_or(|member| member.protocols != request.protocols);
        match self.state {
            State::PreparingRebalance => self.rejoin(caller, request, env),
            State::CompletingRebalance if has_changed => self.rejoin(caller, request, env),
            // It may not have got the answer to its first join.
            State::CompletingRebalance => {
                let members = if self.is_leader(&id) { self.members_for_leader() } else { Vec::new() };
                env.effects.push(caller.waiter().join(JoinGroupResponse { members, ..self.joined(&id) }));
            }
            // The leader rejoins where what it assigns has changed, such as the number of a topic's partitions.
            State::Stable if has_changed || self.is_leader(&id) => self.rejoin(caller, request, env),
            State::Stable => env.effects.push(caller.waiter().join(self.joined(&id))),
            State::Empty => env.effects.push(caller.waiter().join_error(&id, ErrorCode::UNKNOWN_MEMBER_ID)),
        }
    }

    /// The answer to a member of the current generation, without what only the leader gets.
    pub(super) fn joined(&self, id: &str) -> JoinGroupResponse {
        JoinGroupResponse {
            generation_id: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            member_id: id.to_owned(),
            ..Default::default()
        }
    }

    fn join_as_new(&mut self, caller: &Caller<'_>, request: JoinGroupRequest, id: String, env: &mut Env<'_>) {
        let mut member = Member::new(id.clone(), request.group_instance_id, caller);
        member.protocols = request.protocols;
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.session_timeout_ms = request.session_timeout_ms;
        member.awaiting_join = Some(caller.waiter());
        if self.initial_delay.is_some() {
            self.new_member_added = true;
        }
        self.add(member, &request.protocol_type);
        env.timers.schedule(Timer::session(&self.id, &id), env.after_ms(NEW_MEMBER_JOIN_TIMEOUT_MS));
        self.rebalance_or_complete_join(env);
    }

    fn rejoin(&mut self, caller: &Caller<'_>, request: JoinGroupRequest, env: &mut Env<'_>) {
        if let Some(member) = self.members.get_mut(&request.member_id) {
            update(member, request, caller.waiter(), env);
        }
        self.rebalance_or_complete_join(env);
    }

    /// A static member that lost its id: the new one takes the old one's place, and whoever still uses the old id is
    /// fenced. A stable group stays so where the choice of protocol does not change (KIP-345).
    fn join_static_again(
        &mut self,
        caller: &Caller<'_>,
        request: JoinGroupRequest,
        old_id: String,
        new_id: String,
        env: &mut Env<'_>,
    ) {
        let old_leader = self.leader.clone();
        let instance_id = request.group_instance_id.clone().unwrap_or_default();
        self.rename_static(&instance_id, &old_id, &new_id, env);
        let Some(member) = self.members.get_mut(&new_id) else { return };
        let replaced = Replaced {
            instance_id,
            old_id,
            new_id: new_id.clone(),
            old_leader,
            old_protocols: member.protocols.clone(),
            old_rebalance_timeout_ms: member.rebalance_timeout_ms,
            old_session_timeout_ms: member.session_timeout_ms,
        };
        update(member, request, caller.waiter(), env);
        self.schedule_session(&new_id, env);
        match self.state {
            State::Stable if self.protocol == self.select_protocol() => {
                let records = self.record(self.current_assignments(), env).map(|record| vec![record]);
                let pending = Pending::StaticMember { group: self.id.clone(), replaced: Box::new(replaced) };
                env.append(self.partition, records, pending);
            }
            State::Stable => self.rebalance_or_complete_join(env),
            // The leader may be working with the old id: its assignment would leave the new one out.
            State::CompletingRebalance => self.prepare_rebalance(env),
            State::PreparingRebalance | State::Empty => self.complete_join_if_all_joined(env),
        }
    }

    /// Gives a static member another id. Requests of the old one that wait are fenced.
    fn rename_static(&mut self, instance_id: &str, old_id: &str, new_id: &str, env: &mut Env<'_>) {
        let Some(mut member) = self.members.remove(old_id) else { return };
        if let Some(waiter) = member.awaiting_join.take() {
            env.effects.push(waiter.join_error(old_id, ErrorCode::FENCED_INSTANCE_ID));
        }
        if let Some(waiter) = member.awaiting_sync.take() {
            env.effects.push(waiter.sync_error(ErrorCode::FENCED_INSTANCE_ID));
        }
        env.timers.cancel(&Timer::session(&self.id, old_id));
        if self.pending_syncs.remove(old_id) {
            self.pending_syncs.insert(new_id.to_owned());
        }
        if self.is_leader(old_id) {
            self.leader = Some(new_id.to_owned());
        }
        self.static_members.insert(instance_id.to_owned(), new_id.to_owned());
        member.id = new_id.to_owned();
        member.is_new = false;
        self.members.insert(new_id.to_owned(), member);
    }

    /// The record with a static member's new id reached the log, or could not be written: then the old id is back.
    pub(super) fn static_member_stored(
        &mut self,
        replaced: Replaced,
        result: Result<i64, ErrorCode>,
        env: &mut Env<'_>,
    ) {
        let is_leader = self.is_leader(&replaced.new_id);
        let Some(member) = self.members.get_mut(&replaced.new_id) else { return };
        // A rebalance that began meanwhile answers the join itself.
        if self.state != State::Stable {
            return;
        }
        let Some(waiter) = member.awaiting_join.take() else { return };
        match result {
            Ok(_) if waiter.api_version >= SKIP_ASSIGNMENT_FROM => {
                let members = if is_leader { self.members_for_leader() } else { Vec::new() };
                let joined = self.joined(&replaced.new_id);
                env.effects.push(waiter.join(JoinGroupResponse { members, skip_assignment: is_leader, ..joined }));
            }
            // A client that cannot be told to skip the assignment must not find itself the leader.
            Ok(_) => {
                let leader = replaced.old_leader.unwrap_or_default();
                env.effects.push(waiter.join(JoinGroupResponse { leader, ..self.joined(&replaced.new_id) }));
            }
            Err(error) => {
                let error = append_error(error);
                env.effects.push(waiter.join_error("", error));
                member.protocols = replaced.old_protocols;
                member.rebalance_timeout_ms = replaced.old_rebalance_timeout_ms;
                member.session_timeout_ms = replaced.old_session_timeout_ms;
                self.rename_static(&replaced.instance_id, &replaced.new_id, &replaced.old_id, env);
                self.schedule_session(&replaced.old_id, env);
            }
        }
    }
}

fn update(member: &mut Member, request: JoinGroupRequest, waiter: Waiter, env: &mut Env<'_>) {
    member.protocols = request.protocols;
    member.rebalance_timeout_ms = request.rebalance_timeout_ms;
    member.session_timeout_ms = request.session_timeout_ms;
    Group::await_join(member, waiter, env);
}
