//! A rebalance: members are given time to join, then a generation begins.
//!
//! A group that was empty waits `group.initial.rebalance.delay.ms` for more members, again while some arrive, up to the
//! rebalance timeout. Any other rebalance ends when everybody has joined again; who has not when the longest rebalance
//! timeout of the members is over is taken out, except static members, whom only their session timeout takes out.

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::join_group::JoinGroupResponse;

use super::state::{Group, InitialDelay, State};
use super::timers::Timer;
use super::{Env, Pending};

impl Group {
    /// After a change: a group at work starts a rebalance, one that is preparing may have become complete.
    pub(super) fn rebalance_or_complete_join(&mut self, env: &mut Env<'_>) {
        match self.state {
            State::PreparingRebalance => self.complete_join_if_all_joined(env),
            State::Empty | State::CompletingRebalance | State::Stable => self.prepare_rebalance(env),
        }
    }

    /// Asks everybody to join (again).
    pub(super) fn prepare_rebalance(&mut self, env: &mut Env<'_>) {
        if self.state == State::CompletingRebalance {
            self.refuse_syncs(ErrorCode::REBALANCE_IN_PROGRESS, env);
        }
        self.pending_syncs.clear();
        env.timers.cancel(&Timer::Sync(self.id.clone()));
        let is_initial = self.state == State::Empty;
        self.enter(State::PreparingRebalance, env.at.wall_ms);
        if is_initial {
            let delay_ms = env.settings.initial_rebalance_delay_ms;
            let remaining_ms = self.rebalance_timeout_ms().saturating_sub(delay_ms).max(0);
            self.start_initial_delay(InitialDelay { delay_ms, remaining_ms }, env);
        } else if self.has_all_joined() {
            self.complete_join(env);
        } else {
            self.schedule_join(self.rebalance_timeout_ms(), env);
        }
    }

    /// Ends the join phase where nobody is missing. An initial delay runs to its end.
    pub(super) fn complete_join_if_all_joined(&mut self, env: &mut Env<'_>) {
        if self.state == State::PreparingRebalance && self.initial_delay.is_none() && self.has_all_joined() {
            self.complete_join(env);
        }
    }

    fn start_initial_delay(&mut self, delay: InitialDelay, env: &mut Env<'_>) {
        self.new_member_added = false;
        self.initial_delay = Some(delay);
        self.schedule_join(delay.delay_ms, env);
    }

    fn schedule_join(&self, ms: i32, env: &mut Env<'_>) {
        env.timers.schedule(Timer::Join(self.id.clone()), env.after_ms(ms));
    }

    /// The join timer fired.
    pub(super) fn join_time_over(&mut self, env: &mut Env<'_>) {
        if self.state != State::PreparingRebalance {
            return;
        }
        match self.initial_delay {
            Some(InitialDelay { delay_ms, remaining_ms }) if self.new_member_added && remaining_ms > 0 => {
                let next = InitialDelay {
                    delay_ms: env.settings.initial_rebalance_delay_ms.min(remaining_ms),
                    remaining_ms: remaining_ms.saturating_sub(delay_ms).max(0),
                };
                self.start_initial_delay(next, env);
            }
            _ => self.complete_join(env),
        }
    }

    /// Ends the join phase with those who are there: the next generation begins, or the group is empty.
    pub(super) fn complete_join(&mut self, env: &mut Env<'_>) {
        self.initial_delay = None;
        env.timers.cancel(&Timer::Join(self.id.clone()));
        self.remove_dynamic_members_who_did_not_join(env);
        if !self.elect_joined_leader() && !self.members.is_empty() {
            // Static members only, and none came back: wait until they do or their sessions end.
            return self.schedule_join(self.rebalance_timeout_ms(), env);
        }
        self.generation = self.generation.wrapping_add(1).max(0);
        self.protocol = self.select_protocol();
        self.pending_syncs.clear();
        if self.members.is_empty() {
            self.enter(State::Empty, env.at.wall_ms);
            return self.append_alone(env);
        }
        self.enter(State::CompletingRebalance, env.at.wall_ms);
        self.answer_joins(env);
        env.timers.schedule(Timer::Sync(self.id.clone()), env.after_ms(self.rebalance_timeout_ms()));
    }

    fn remove_dynamic_members_who_did_not_join(&mut self, env: &mut Env<'_>) {
        let missing: Vec<String> = self
            .members
            .values()
            .filter(|member| member.awaiting_join.is_none() && member.instance_id.is_none())
            .map(|member| member.id.clone())
            .collect();
        for id in missing {
            env.timers.cancel(&Timer::session(&self.id, &id));
            self.remove(&id);
        }
    }

    fn answer_joins(&mut self, env: &mut Env<'_>) {
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let members = if self.is_leader(&id) { self.members_for_leader() } else { Vec::new() };
            let response = JoinGroupResponse { members, ..self.joined(&id) };
            self.schedule_session(&id, env);
            if let Some(member) = self.members.get_mut(&id) {
                member.is_new = false;
                if let Some(waiter) = member.awaiting_join.take() {
                    env.effects.push(waiter.join(response));
                }
            }
            self.pending_syncs.insert(id);
        }
    }

    /// Starts the member's session anew: it was heard of.
    pub(super) fn schedule_session(&self, id: &str, env: &mut Env<'_>) {
        if let Some(member) = self.members.get(id) {
            env.timers.schedule(Timer::session(&self.id, id), env.after_ms(member.session_timeout_ms));
        }
    }

    /// Writes the group without members. Nobody waits for it: if it is lost, an older generation is loaded, whose members
    /// do not answer and are taken out by their sessions' end.
    pub(super) fn append_alone(&mut self, env: &mut Env<'_>) {
        let records = self.record_without_members(env).map(|record| vec![record]);
        env.append(self.partition, records, Pending::GroupAlone { group: self.id.clone() });
    }
}
