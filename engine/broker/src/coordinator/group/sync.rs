//! SyncGroup: the leader says who gets what, everybody asks for its share.
//!
//! The assignment is written to the log first. Members that ask before that wait; if another rebalance begins meanwhile
//! they are told so.

use std::collections::BTreeMap;

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse};

use super::state::{Group, State};
use super::timers::Timer;
use super::{Caller, Effect, Env, GroupCoordinator, Moment, Pending, append_error};

impl GroupCoordinator {
    pub(super) fn sync(&mut self, caller: Caller<'_>, request: SyncGroupRequest, at: Moment) -> Vec<Effect> {
        let known = self
            .check_group(&request.group_id)
            .and_then(|()| self.groups.get(&request.group_id).map(|_| ()).ok_or(ErrorCode::UNKNOWN_MEMBER_ID));
        if let Err(error) = known {
            return vec![caller.waiter().sync_error(error)];
        }
        let group_id = request.group_id.clone();
        self.with_group(&group_id, at, |group, env| match group.check_sync(&request) {
            Ok(()) => group.sync(&caller, request, env),
            Err(error) => env.effects.push(caller.waiter().sync_error(error)),
        })
    }
}

/// A name that the request gives and the group has must be the same (KIP-559).
pub(super) fn differs(asked: Option<&str>, ours: Option<&str>) -> bool {
    matches!((asked, ours), (Some(asked), Some(ours)) if asked != ours)
}

impl Group {
    fn check_sync(&self, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
        self.check_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.generation {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        let is_inconsistent = differs(request.protocol_type.as_deref(), self.protocol_type.as_deref())
            || differs(request.protocol_name.as_deref(), self.protocol.as_deref());
        if is_inconsistent { Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL) } else { Ok(()) }
    }

    fn sync(&mut self, caller: &Caller<'_>, request: SyncGroupRequest, env: &mut Env<'_>) {
        let id = &request.member_id;
        match self.state {
            State::Empty => env.effects.push(caller.waiter().sync_error(ErrorCode::UNKNOWN_MEMBER_ID)),
            State::PreparingRebalance => {
                env.effects.push(caller.waiter().sync_error(ErrorCode::REBALANCE_IN_PROGRESS));
            }
            State::Stable => {
                self.synced(id, env);
                env.effects.push(caller.waiter().sync(self.share_of(id)));
            }
            State::CompletingRebalance => {
                self.synced(id, env);
                self.await_sync(id, caller, env);
                if self.is_leader(id) {
                    self.store_assignment(request.assignments, env);
                }
            }
        }
    }

    /// Notes that the member of this generation asked.
    fn synced(&mut self, id: &str, env: &mut Env<'_>) {
        self.pending_syncs.remove(id);
        if self.pending_syncs.is_empty() {
            env.timers.cancel(&Timer::Sync(self.id.clone()));
        }
    }

    fn await_sync(&mut self, id: &str, caller: &Caller<'_>, env: &mut Env<'_>) {
        let Some(member) = self.members.get_mut(id) else { return };
        if let Some(earlier) = member.awaiting_sync.replace(caller.waiter()) {
            env.effects.push(earlier.sync_error(ErrorCode::REBALANCE_IN_PROGRESS));
        }
    }

    /// Writes the leader's assignment; who is not in it gets nothing.
    fn store_assignment(&mut self, assignments: Vec<SyncGroupRequestAssignment>, env: &mut Env<'_>) {
        let given: BTreeMap<String, Vec<u8>> =
            assignments.into_iter().map(|one| (one.member_id, one.assignment)).collect();
        let assignments: BTreeMap<String, Vec<u8>> =
            self.members.keys().map(|id| (id.clone(), given.get(id).cloned().unwrap_or_default())).collect();
        let records = self.record(assignments.clone(), env).map(|record| vec![record]);
        let pending = Pending::Assignment { group: self.id.clone(), generation: self.generation, assignments };
        env.append(self.partition, records, pending);
    }

    /// The assignment is in the log, or could not be written: then everybody joins again.
    pub(super) fn assignment_stored(
        &mut self,
        generation: i32,
        mut assignments: BTreeMap<String, Vec<u8>>,
        result: Result<i64, ErrorCode>,
        env: &mut Env<'_>,
    ) {
        // Another rebalance began meanwhile, or the leader asked twice and the first answer was enough.
        if self.state != State::CompletingRebalance || self.generation != generation {
            return;
        }
        if let Err(error) = result {
            self.refuse_syncs(append_error(error), env);
            return self.prepare_rebalance(env);
        }
        for member in self.members.values_mut() {
            member.assignment = assignments.remove(&member.id).unwrap_or_default();
        }
        self.enter(State::Stable, env.at.wall_ms);
        self.answer_syncs(env);
    }

    fn answer_syncs(&mut self, env: &mut Env<'_>) {
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let waiter = self.members.get_mut(&id).and_then(|member| member.awaiting_sync.take());
            if let Some(waiter) = waiter {
                env.effects.push(waiter.sync(self.share_of(&id)));
                // Its session may have ended while it waited for us, which was not held against it.
                self.schedule_session(&id, env);
            }
        }
    }

    /// Answers those who wait for their share with an error; no share of this generation is valid any more.
    pub(super) fn refuse_syncs(&mut self, error: ErrorCode, env: &mut Env<'_>) {
        let mut heard_of = Vec::new();
        for member in self.members.values_mut() {
            member.assignment.clear();
            if let Some(waiter) = member.awaiting_sync.take() {
                env.effects.push(waiter.sync_error(error));
                heard_of.push(member.id.clone());
            }
        }
        for id in heard_of {
            self.schedule_session(&id, env);
        }
    }

    fn share_of(&self, id: &str) -> SyncGroupResponse {
        #[cfg(feature = "plant")]
        let id = match self.members.keys().next() {
            Some(first) if ringlog_io::plant::is(ringlog_io::plant::SHARE_MIXED) => first,
            _ => id,
        };
        SyncGroupResponse {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol.clone(),
            assignment: self.members.get(id).map(|member| member.assignment.clone()).unwrap_or_default(),
            ..Default::default()
        }
    }

    /// The sync timer fired: who has not asked for its share is taken out.
    pub(super) fn sync_time_over(&mut self, env: &mut Env<'_>) {
        if !matches!(self.state, State::CompletingRebalance | State::Stable) || self.pending_syncs.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.pending_syncs) {
            self.expel(&id, env);
        }
        self.prepare_rebalance(env);
    }
}
