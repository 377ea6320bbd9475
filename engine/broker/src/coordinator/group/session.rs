//! Heartbeat and LeaveGroup, and what happens when neither comes.

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::heartbeat::HeartbeatRequest;
use ringlog_wire::messages::leave_group::{LeaveGroupRequest, MemberIdentity, MemberResponse};

use super::state::{Group, State};
use super::timers::Timer;
use super::{Caller, Effect, Env, GroupCoordinator, Moment};

impl GroupCoordinator {
    pub(super) fn heartbeat(&mut self, caller: Caller<'_>, request: &HeartbeatRequest, at: Moment) -> Vec<Effect> {
        let mut error = self.check_group(&request.group_id).err();
        let mut effects = Vec::new();
        if error.is_none() {
            error = Some(ErrorCode::UNKNOWN_MEMBER_ID);
            effects = self.with_group(&request.group_id, at, |group, env| error = group.heartbeat(request, env).err());
        }
        // A group that is being loaded must not lose its members for it.
        let error = error.filter(|error| *error != ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
        effects.push(caller.waiter().heartbeat(error.unwrap_or(ErrorCode::NONE)));
        effects
    }

    pub(super) fn leave(&mut self, caller: Caller<'_>, request: LeaveGroupRequest, at: Moment) -> Vec<Effect> {
        if let Err(error) = self.check_group(&request.group_id) {
            return vec![caller.waiter().leave(error, Vec::new())];
        }
        let leaving = leaving(caller.api_version, &request);
        let mut members = Vec::new();
        let mut effects = self.with_group(&request.group_id, at, |group, env| members = group.leave(&leaving, env));
        if members.is_empty() {
            members = leaving.iter().map(|one| left(one, Err(ErrorCode::UNKNOWN_MEMBER_ID))).collect();
        }
        effects.push(caller.waiter().leave(ErrorCode::NONE, members));
        effects
    }
}

/// Who leaves; before v3 it is one member.
pub(super) fn leaving(api_version: i16, request: &LeaveGroupRequest) -> Vec<MemberIdentity> {
    if api_version < 3 {
        return vec![MemberIdentity { member_id: request.member_id.clone(), ..Default::default() }];
    }
    request.members.clone()
}

pub(super) fn left(member: &MemberIdentity, result: Result<(), ErrorCode>) -> MemberResponse {
    MemberResponse {
        member_id: member.member_id.clone(),
        group_instance_id: member.group_instance_id.clone(),
        error_code: result.err().unwrap_or(ErrorCode::NONE).0,
        ..Default::default()
    }
}

impl Group {
    fn heartbeat(&mut self, request: &HeartbeatRequest, env: &mut Env<'_>) -> Result<(), ErrorCode> {
        self.check_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.generation {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        match self.state {
            State::Empty => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            State::PreparingRebalance => {
                self.schedule_session(&request.member_id, env);
                Err(ErrorCode::REBALANCE_IN_PROGRESS)
            }
            State::CompletingRebalance | State::Stable => {
                self.schedule_session(&request.member_id, env);
                Ok(())
            }
        }
    }

    fn leave(&mut self, leaving: &[MemberIdentity], env: &mut Env<'_>) -> Vec<MemberResponse> {
        let members: Vec<MemberResponse> =
            leaving.iter().map(|member| left(member, self.leave_one(member, env))).collect();
        if members.iter().any(|member| member.error_code == 0) {
            match self.state {
                State::Stable | State::CompletingRebalance => self.prepare_rebalance(env),
                State::PreparingRebalance => self.complete_join_if_all_joined(env),
                State::Empty => {}
            }
        }
        members
    }

    /// An admin names a static member by its instance id alone.
    fn leave_one(&mut self, member: &MemberIdentity, env: &mut Env<'_>) -> Result<(), ErrorCode> {
        let instance_id = member.group_instance_id.as_deref();
        let id = match instance_id {
            Some(instance_id) if member.member_id.is_empty() => {
                self.static_members.get(instance_id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?.clone()
            }
            _ => member.member_id.clone(),
        };
        if !self.pending_joins.contains(&id) {
            self.check_member(&id, instance_id)?;
        }
        self.expel(&id, env);
        Ok(())
    }

    /// Takes a member out. A join of its own that waits is answered, so that it starts anew if it is still there.
    pub(super) fn expel(&mut self, id: &str, env: &mut Env<'_>) {
        env.timers.cancel(&Timer::session(&self.id, id));
        let Some(member) = self.remove(id) else { return };
        if let Some(waiter) = member.awaiting_join {
            env.effects.push(waiter.join_error("", ErrorCode::UNKNOWN_MEMBER_ID));
        }
        if let Some(waiter) = member.awaiting_sync {
            env.effects.push(waiter.sync_error(ErrorCode::UNKNOWN_MEMBER_ID));
        }
    }

    /// A session timer fired.
    pub(super) fn session_over(&mut self, id: &str, env: &mut Env<'_>) {
        if self.pending_joins.remove(id) {
            return self.complete_join_if_all_joined(env);
        }
        if self.members.get(id).is_none_or(|member| member.has_satisfied_heartbeat()) {
            return;
        }
        self.expel(id, env);
        match self.state {
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(env),
            // Kafka ends even an initial delay here, where nobody is missing.
            State::PreparingRebalance if self.has_all_joined() => self.complete_join(env),
            State::PreparingRebalance | State::Empty => {}
        }
    }
}
