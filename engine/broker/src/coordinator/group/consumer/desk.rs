//! What stands between the coordinator and a group of the consumer protocol: one change at a time, and what comes meanwhile
//! waits.
//!
//! ```text
//!   heartbeat, session over --> is a change on its way? --no--> made, appended ------> in the log: answered
//!                                  | yes                            |                  not: put back, refused
//!                                  v                                v                       |
//!                               queue <---------- the next ones --------------------------- +
//! ```
//! A heartbeat that changes nothing is answered at once.

use std::collections::VecDeque;

use ringlog_wire::messages::consumer_group_heartbeat::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use ringlog_wire::{ErrorCode, Uuid};

use super::super::records::group_tombstone;
use super::super::reply::Waiter;
use super::super::state::{Group, State};
use super::super::timers::Timer;
use super::super::{
    Caller, Effect, Env, GroupCoordinator, GroupResponse, KeyValue, Moment, Pending, Topics, append_error,
};
use super::heartbeat::{Around, Ask, check_form};
use super::{ConsumerGroup, Edit, Fact, LEFT_FOR_NOW, MemberState, Refusal, refuse};

/// A change on its way to the log.
#[derive(Debug)]
pub(in super::super) struct PendingChange {
    pub(in super::super) group: String,
    answer: Option<(Waiter, ConsumerGroupHeartbeatResponse)>,
    /// What stood there before.
    before: Vec<Fact>,
    /// It was an empty classic group, whose record goes with this.
    was_classic: bool,
}

impl PendingChange {
    /// The answer where the change could not be written.
    pub(in super::super) fn failed(self, error: ErrorCode) -> Option<Effect> {
        self.answer.map(|(waiter, _)| refused(waiter, Refusal { error, message: String::new() }))
    }
}

/// What is asked of a group.
#[derive(Debug)]
pub(in super::super) enum Work {
    Heartbeat(Waiter, Box<Ask>),
    /// A member was silent for its session.
    Silent(String),
    /// A member had its rebalance timeout to give partitions back.
    Late(String),
}

impl Work {
    /// The answer where the group is not served any more.
    pub(in super::super) fn failed(self, error: ErrorCode) -> Option<Effect> {
        match self {
            Self::Heartbeat(waiter, _) => Some(refused(waiter, Refusal { error, message: String::new() })),
            Self::Silent(_) | Self::Late(_) => None,
        }
    }
}

fn answered(waiter: Waiter, response: ConsumerGroupHeartbeatResponse) -> Effect {
    waiter.with(GroupResponse::ConsumerHeartbeat(response))
}

fn refused(waiter: Waiter, refusal: Refusal) -> Effect {
    let error_message = Some(refusal.message).filter(|message| !message.is_empty());
    answered(
        waiter,
        ConsumerGroupHeartbeatResponse { error_code: refusal.error.0, error_message, ..Default::default() },
    )
}

impl GroupCoordinator {
    pub(in super::super) fn consumer_heartbeat(
        &mut self,
        caller: Caller<'_>,
        mut request: ConsumerGroupHeartbeatRequest,
        topics: &dyn Topics,
        random: &mut dyn FnMut() -> u64,
        at: Moment,
    ) -> Vec<Effect> {
        let waiter = caller.waiter();
        if let Err(refusal) = check_form(&request, caller.api_version, &self.settings.consumer.assignors) {
            return vec![refused(waiter, refusal)];
        }
        if let Err(error) = self.owned.check(&request.group_id) {
            return vec![refused(waiter, Refusal { error, message: String::new() })];
        }
        if request.member_id.is_empty() {
            request.member_id = make_member_id(random);
        }
        let group = request.group_id.clone();
        let (client_id, client_host) = (caller.client_id.to_owned(), caller.client_host.to_owned());
        self.take_work(&group, Work::Heartbeat(waiter, Box::new(Ask { request, client_id, client_host })), topics, at)
    }

    /// Does it now, or when the change that is on its way has ended.
    pub(in super::super) fn take_work(
        &mut self,
        group: &str,
        work: Work,
        topics: &dyn Topics,
        at: Moment,
    ) -> Vec<Effect> {
        if let Some(queue) = self.busy.get_mut(group) {
            queue.push_back(work);
            return Vec::new();
        }
        let mut is_busy = false;
        let effects = self.with_env(at, |groups, env| {
            let is_new = !groups.contains_key(group);
            if is_new && !work.makes_a_group() {
                return env.effects.extend(work.group_missing(group));
            }
            let partition = env.partition_of(group);
            let entry = groups.entry(group.to_owned()).or_insert_with(|| Group::new(group, partition));
            is_busy = entry.work(work, topics, env);
            entry.forget_bare_consumers();
            if is_new && entry.is_bare() {
                groups.remove(group);
            }
        });
        if is_busy {
            self.busy.insert(group.to_owned(), VecDeque::new());
        }
        effects
    }

    /// A change is in the log, or could not be written; then what waited for that.
    pub(in super::super) fn change_stored(
        &mut self,
        change: PendingChange,
        result: Result<i64, ErrorCode>,
        topics: &dyn Topics,
        at: Moment,
    ) -> Vec<Effect> {
        let id = change.group.clone();
        let (mut effects, is_lost) = (Vec::new(), result.is_err());
        if let Some(group) = self.groups.get_mut(&id) {
            effects.extend(group.change_stored(change, result));
            if group.is_bare() {
                self.groups.remove(&id);
            }
        }
        // Who was taken out and is there again has a session again.
        if is_lost {
            effects.append(&mut self.with_group(&id, at, |group, env| {
                if let Some(consumers) = &group.consumers {
                    consumers.start_timers(&group.id, env);
                }
            }));
        }
        let mut queue = self.busy.remove(&id).unwrap_or_default();
        while let Some(work) = queue.pop_front() {
            effects.append(&mut self.take_work(&id, work, topics, at));
            if let Some(busy) = self.busy.get_mut(&id) {
                busy.append(&mut queue);
            }
        }
        effects
    }
}

impl Work {
    fn makes_a_group(&self) -> bool {
        matches!(self, Self::Heartbeat(_, ask) if ask.request.member_epoch == 0)
    }

    fn group_missing(self, group: &str) -> Option<Effect> {
        let Self::Heartbeat(waiter, ask) = self else { return None };
        let what = if ask.request.member_epoch < 0 { "Group" } else { "Consumer group" };
        let message = format!("{what} {group} not found.");
        Some(refused(waiter, Refusal { error: ErrorCode::GROUP_ID_NOT_FOUND, message }))
    }
}

impl Group {
    /// True: a change is on its way.
    fn work(&mut self, work: Work, topics: &dyn Topics, env: &mut Env<'_>) -> bool {
        match work {
            Work::Heartbeat(waiter, ask) => match self.become_consumers(&ask) {
                Ok(was_classic) => self.heartbeat_of_consumer(waiter, &ask, was_classic, topics, env),
                Err(refusal) => {
                    env.effects.push(refused(waiter, refusal));
                    false
                }
            },
            Work::Silent(member) => {
                let timer = Timer::session(&self.id, &member);
                self.fence_consumer(&member, (timer, "was silent for its session"), |_| true, topics, env)
            }
            Work::Late(member) => {
                let is_late = |state| state == MemberState::UnrevokedPartitions;
                let timer = Timer::Rebalance(self.id.clone(), member.clone());
                let why = (timer, "did not give its partitions back in time");
                self.fence_consumer(&member, why, is_late, topics, env)
            }
        }
    }

    /// An empty classic group becomes one of the consumer protocol when a member joins so. True: there is a record of it.
    fn become_consumers(&mut self, ask: &Ask) -> Result<bool, Refusal> {
        if self.consumers.is_some() {
            return Ok(false);
        }
        if ask.request.member_epoch != 0 || self.state != State::Empty {
            let message = format!("Group {} is not a consumer group.", self.id);
            return refuse(ErrorCode::GROUP_ID_NOT_FOUND, message);
        }
        self.consumers = Some(Box::default());
        Ok(self.protocol_type.is_some() || self.generation > 0)
    }

    fn heartbeat_of_consumer(
        &mut self,
        waiter: Waiter,
        ask: &Ask,
        was_classic: bool,
        topics: &dyn Topics,
        env: &mut Env<'_>,
    ) -> bool {
        let Some(consumers) = &mut self.consumers else { return false };
        let around = Around { settings: &env.settings.consumer, topics, at: env.at };
        let mut edit = Edit::new(&self.id, consumers);
        let leaves = ask.request.member_epoch < 0;
        let result = if leaves { edit.leave(ask, topics) } else { edit.heartbeat(ask, &around) };
        let response = match result {
            Ok(response) => response,
            Err(refusal) => {
                let Edit { before, group, .. } = edit;
                group.put_back(before);
                env.effects.push(refused(waiter, refusal));
                return false;
            }
        };
        let member = ask.request.member_id.as_str();
        let session = Timer::session(edit.id, member);
        let rebalance = Timer::Rebalance(edit.id.to_owned(), member.to_owned());
        if !leaves {
            let session_ms = around.setting(edit.id, "consumer.session.timeout.ms", around.settings.session_timeout_ms);
            let deadline = env.after_ms(session_ms);
            env.timers.schedule(session, deadline);
        } else if ask.request.member_epoch != LEFT_FOR_NOW {
            env.timers.cancel(&session);
        }
        match edit.gives_back(member) {
            Some(timeout_ms) if !leaves => {
                if edit.has_moved(member) {
                    let deadline = env.after_ms(timeout_ms);
                    env.timers.schedule(rebalance, deadline);
                }
            }
            _ => env.timers.cancel(&rebalance),
        }
        append(edit, self.partition, was_classic, Some((waiter, response)), env)
    }

    /// Takes a member out whose time is over, where it is (still) as the timer found it: while this waited its turn, the member may
    /// have been heard, and the timer been set anew.
    fn fence_consumer(
        &mut self,
        member: &str,
        (timer, why): (Timer, &str),
        is_so: impl Fn(MemberState) -> bool,
        topics: &dyn Topics,
        env: &mut Env<'_>,
    ) -> bool {
        let Some(consumers) = &mut self.consumers else { return false };
        let is_there = consumers.members.contains_key(member) && is_so(consumers.current(member).state);
        if !is_there || env.timers.runs(&timer) {
            return false;
        }
        tracing::info!(group = self.id, member, "a member {why}: it is out");
        env.timers.cancel(&Timer::session(&self.id, member));
        env.timers.cancel(&Timer::Rebalance(self.id.clone(), member.to_owned()));
        let mut edit = Edit::new(&self.id, consumers);
        edit.fence(member, topics);
        append(edit, self.partition, false, None, env)
    }

    fn change_stored(&mut self, change: PendingChange, result: Result<i64, ErrorCode>) -> Option<Effect> {
        match result {
            Ok(_) => {
                if change.was_classic {
                    let (offsets, consumers) = (std::mem::take(&mut self.offsets), self.consumers.take());
                    *self = Group { offsets, consumers, ..Group::new(&self.id, self.partition) };
                }
                change.answer.map(|(waiter, response)| answered(waiter, response))
            }
            Err(error) => {
                tracing::warn!(group = self.id, %error, "a change of a consumer group was not written");
                if let Some(consumers) = &mut self.consumers {
                    consumers.put_back(change.before);
                }
                self.forget_bare_consumers();
                let message = String::new();
                change.answer.map(|(waiter, _)| refused(waiter, Refusal { error: append_error(error), message }))
            }
        }
    }

    /// A group that never came to be is not one of the consumer protocol.
    pub(in super::super) fn forget_bare_consumers(&mut self) {
        if self.consumers.as_ref().is_some_and(|consumers| consumers.is_bare()) {
            self.consumers = None;
        }
    }
}

/// True: the change is on its way.
fn append(
    edit: Edit<'_>,
    partition: i32,
    was_classic: bool,
    answer: Option<(Waiter, ConsumerGroupHeartbeatResponse)>,
    env: &mut Env<'_>,
) -> bool {
    let Edit { id, group, records, before } = edit;
    if records.is_empty() {
        env.effects.extend(answer.map(|(waiter, response)| answered(waiter, response)));
        return false;
    }
    let classic = was_classic.then(|| group_tombstone(id));
    let records: Result<Vec<KeyValue>, _> = classic.into_iter().chain(records).collect();
    match records {
        Ok(records) => {
            let change = PendingChange { group: id.to_owned(), answer, before, was_classic };
            env.append(partition, Ok(records), Pending::Change(Box::new(change)));
            true
        }
        Err(error) => {
            tracing::warn!(group = id, %error, "a change of a consumer group cannot be encoded");
            group.put_back(before);
            let refusal = Refusal { error: ErrorCode::INVALID_REQUEST, message: error.to_string() };
            env.effects.extend(answer.map(|(waiter, _)| refused(waiter, refusal)));
            false
        }
    }
}

/// As Kafka makes one for a member that brings none: a random UUID.
fn make_member_id(random: &mut dyn FnMut() -> u64) -> String {
    let (high, low) = (u128::from(random()), u128::from(random()));
    Uuid((high << 64 | low).to_be_bytes()).to_string()
}

impl ConsumerGroup {
    /// The group was loaded, or is again as it was: each member has its session, and its time to give back, from now on.
    pub(in super::super) fn start_timers(&self, id: &str, env: &mut Env<'_>) {
        for (member, subscription) in &self.members {
            let deadline = env.after_ms(env.settings.consumer.session_timeout_ms);
            env.timers.schedule(Timer::session(id, member), deadline);
            if self.current(member).state == MemberState::UnrevokedPartitions {
                let deadline = env.after_ms(subscription.rebalance_timeout_ms);
                env.timers.schedule(Timer::Rebalance(id.to_owned(), member.clone()), deadline);
            }
        }
    }
}
