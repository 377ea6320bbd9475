//! What stands between the coordinator and a group of the consumer protocol: one change at a time, and what comes meanwhile
//! waits.
//!
//! ```text
//!   heartbeat, session over --> is a change on its way? --no--> made, appended ------> in the log: answered
//!                                  | yes                            |                  not: put back, refused
//!                                  v                                v                       |
//!                               queue <---------- the next ones --------------------------- +
//! ```
//! What changes nothing is answered at once. Requests of the classic protocol go the same way while classic members are in the
//! group, or while a change is on its way that makes it one of the other protocol.

use std::collections::VecDeque;

use ringlog_wire::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use ringlog_wire::{ErrorCode, Uuid};

use super::super::records::group_tombstone;
use super::super::reply::Waiter;
use super::super::state::{Group, State};
use super::super::timers::Timer;
use super::super::{Caller, Effect, Env, GroupCoordinator, KeyValue, Moment, Pending, Topics, append_error};
use super::answer::{Answer, refused};
use super::classic_ask::ClassicAsk;
use super::heartbeat::{Around, Ask, check_form};
use super::migrate::{Becomes, Taken};
use super::{ConsumerGroup, Edit, Fact, LEFT_FOR_NOW, MemberState, Refusal, refuse};

/// A change on its way to the log.
#[derive(Debug)]
pub(in super::super) struct PendingChange {
    pub(in super::super) group: String,
    answer: Option<Answer>,
    /// What stood there before.
    before: Vec<Fact>,
    /// It was a classic group, whose record goes with this.
    was_classic: bool,
    /// It is a classic group then.
    becomes: Option<Becomes>,
}

impl PendingChange {
    /// The answer where the change could not be written.
    pub(in super::super) fn failed(self, error: ErrorCode) -> Option<Effect> {
        self.answer.map(|answer| answer.refused(Refusal { error, message: String::new() }))
    }
}

/// What is asked of a group.
#[derive(Debug)]
pub(in super::super) enum Work {
    Heartbeat(Waiter, Box<Ask>),
    Classic(Box<ClassicAsk>),
    /// A member was silent for its session.
    Silent(String),
    /// A member had its rebalance timeout to give partitions back.
    Late(String),
    /// A classic member had its rebalance timeout to do this.
    Missed(String, Timer, &'static str),
}

impl Work {
    /// The answer where the group is not served any more.
    pub(in super::super) fn failed(self, error: ErrorCode) -> Option<Effect> {
        match self {
            Self::Heartbeat(waiter, _) => Some(refused(waiter, Refusal { error, message: String::new() })),
            Self::Classic(ask) => Some(ask.refused(error)),
            Self::Silent(_) | Self::Late(_) | Self::Missed(..) => None,
        }
    }
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
        let work = match work {
            Work::Classic(ask) if !self.has_consumers(group) => return self.classic_again(*ask, at),
            other => other,
        };
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
        let mut effects = self.with_group(&id, at, |group, env| group.change_stored(change, result, env));
        if self.groups.get(&id).is_some_and(Group::is_bare) {
            self.groups.remove(&id);
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
            Work::Heartbeat(waiter, ask) => match self.become_consumers(&ask, topics, env) {
                Ok(was) => self.heartbeat_of_consumer(waiter, &ask, was, topics, env),
                Err(refusal) => {
                    env.effects.push(refused(waiter, refusal));
                    false
                }
            },
            Work::Classic(ask) => self.classic_work(&ask, topics, env),
            Work::Silent(member) => {
                let why = (Timer::session(&self.id, &member), "was silent for its session");
                self.fence_consumer(&member, why, |_, _| true, topics, env)
            }
            Work::Late(member) => {
                let is_late = |group: &ConsumerGroup, id: &str| {
                    group.current(id).state == MemberState::UnrevokedPartitions && !group.is_classic(id)
                };
                let timer = Timer::Rebalance(self.id.clone(), member.clone());
                let why = (timer, "did not give its partitions back in time");
                self.fence_consumer(&member, why, is_late, topics, env)
            }
            Work::Missed(member, timer, what) => {
                self.fence_consumer(&member, (timer, what), ConsumerGroup::is_classic, topics, env)
            }
        }
    }

    /// A classic group becomes one of the consumer protocol when a member joins so.
    fn become_consumers(&mut self, ask: &Ask, topics: &dyn Topics, env: &Env<'_>) -> Result<Was, Refusal> {
        if self.consumers.is_some() {
            return Ok(Was::default());
        }
        if ask.request.member_epoch != 0 {
            let message = format!("Group {} is not a consumer group.", self.id);
            return refuse(ErrorCode::GROUP_ID_NOT_FOUND, message);
        }
        let members = if self.state == State::Empty { None } else { Some(self.upgraded(env.settings, topics)?) };
        self.consumers = Some(Box::default());
        Ok(Was { has_record: self.protocol_type.is_some() || self.generation > 0, members })
    }

    fn heartbeat_of_consumer(
        &mut self,
        waiter: Waiter,
        ask: &Ask,
        was: Was,
        topics: &dyn Topics,
        env: &mut Env<'_>,
    ) -> bool {
        let is_taken_over = was.members.is_some();
        let Some(consumers) = &mut self.consumers else { return false };
        let around = Around::new(env, topics);
        let mut edit = Edit::new(&self.id, consumers);
        if let Some(members) = was.members {
            edit.take_over(self.generation, members, topics);
        }
        let leaves = ask.request.member_epoch < 0;
        let result = if leaves { edit.leave(ask) } else { edit.heartbeat(ask, &around) };
        let response = match result {
            Ok(response) => response,
            Err(refusal) => {
                edit.give_up();
                env.effects.push(refused(waiter, refusal));
                return false;
            }
        };
        let becomes = edit.after_leaving(self.partition, &around);
        start_timers_of(&edit, ask, &around, env);
        let answer = Some(Answer::Heartbeat(waiter, response));
        let is_busy = append(edit, self.partition, was.has_record, becomes, answer, env);
        if is_taken_over && is_busy {
            self.refuse_waiters(env);
        }
        is_busy
    }

    /// Takes a member out whose time is over, where it is (still) as the timer found it: while this waited its turn, the member may
    /// have been heard, and the timer been set anew.
    fn fence_consumer(
        &mut self,
        member: &str,
        (timer, why): (Timer, &str),
        is_so: impl Fn(&ConsumerGroup, &str) -> bool,
        topics: &dyn Topics,
        env: &mut Env<'_>,
    ) -> bool {
        let Some(consumers) = &mut self.consumers else { return false };
        let is_there = consumers.members.contains_key(member) && is_so(consumers, member);
        if !is_there || env.timers.runs(&timer) {
            return false;
        }
        tracing::info!(group = self.id, member, "a member {why}: it is out");
        env.timers.cancel_member(&self.id, member);
        let around = Around::new(env, topics);
        let mut edit = Edit::new(&self.id, consumers);
        edit.take_out(member);
        let becomes = edit.after_leaving(self.partition, &around);
        append(edit, self.partition, false, becomes, None, env)
    }

    fn change_stored(&mut self, change: PendingChange, result: Result<i64, ErrorCode>, env: &mut Env<'_>) {
        match result {
            Ok(_) => {
                if change.was_classic {
                    env.timers.cancel(&Timer::Join(self.id.clone()));
                    env.timers.cancel(&Timer::Sync(self.id.clone()));
                    let (offsets, consumers) = (std::mem::take(&mut self.offsets), self.consumers.take());
                    *self = Group { offsets, consumers, ..Group::new(&self.id, self.partition) };
                }
                env.effects.extend(change.answer.map(Answer::sent));
                if let Some(becomes) = change.becomes {
                    self.become_classic(becomes, env);
                }
            }
            Err(error) => {
                tracing::warn!(group = self.id, %error, "a change of a consumer group was not written");
                if let Some(consumers) = &mut self.consumers {
                    consumers.put_back(change.before);
                }
                self.forget_bare_consumers();
                let refusal = Refusal { error: append_error(error), message: String::new() };
                env.effects.extend(change.answer.map(|answer| answer.refused(refusal)));
                // Who was taken out and is there again has a session again.
                match &self.consumers {
                    Some(consumers) => consumers.start_timers(&self.id, env),
                    None => self.stay_classic(env),
                }
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

/// What a classic group was before it became one of the consumer protocol.
#[derive(Default)]
struct Was {
    has_record: bool,
    /// Where there were some, or are to be.
    members: Option<Vec<Taken>>,
}

/// A member that was heard of has its session, and its time to give back what it is asked for; one that leaves has neither.
fn start_timers_of(edit: &Edit<'_>, ask: &Ask, around: &Around<'_>, env: &mut Env<'_>) {
    let member = ask.request.member_id.as_str();
    let leaves = ask.request.member_epoch < 0;
    let session = Timer::session(edit.id, member);
    if !leaves {
        let session_ms = around.setting(edit.id, "consumer.session.timeout.ms", around.settings.session_timeout_ms);
        env.timers.schedule(session, env.after_ms(session_ms));
    } else if ask.request.member_epoch != LEFT_FOR_NOW {
        env.timers.cancel(&session);
    }
    let rebalance = Timer::Rebalance(edit.id.to_owned(), member.to_owned());
    match edit.gives_back(member).filter(|_| !leaves) {
        Some(timeout_ms) if edit.has_moved(member) => env.timers.schedule(rebalance, env.after_ms(timeout_ms)),
        Some(_) => {}
        None => env.timers.cancel(&rebalance),
    }
}

/// True: the change is on its way.
pub(super) fn append(
    edit: Edit<'_>,
    partition: i32,
    was_classic: bool,
    becomes: Option<Becomes>,
    answer: Option<Answer>,
    env: &mut Env<'_>,
) -> bool {
    let Edit { id, group, records, before, .. } = edit;
    if records.is_empty() {
        env.effects.extend(answer.map(Answer::sent));
        return false;
    }
    let classic = was_classic.then(|| group_tombstone(id));
    let next = becomes.as_ref().map(|becomes| becomes.group.record(becomes.group.current_assignments(), env));
    let records: Result<Vec<KeyValue>, _> = classic.into_iter().chain(records).chain(next).collect();
    match records {
        Ok(records) => {
            let change = PendingChange { group: id.to_owned(), answer, before, was_classic, becomes };
            env.append(partition, Ok(records), Pending::Change(Box::new(change)));
            true
        }
        Err(error) => {
            tracing::warn!(group = id, %error, "a change of a consumer group cannot be encoded");
            group.put_back(before);
            let refusal = Refusal { error: ErrorCode::INVALID_REQUEST, message: error.to_string() };
            env.effects.extend(answer.map(|answer| answer.refused(refusal)));
            false
        }
    }
}

/// As Kafka makes one for a member that brings none: a random UUID.
pub(super) fn make_member_id(random: &mut dyn FnMut() -> u64) -> String {
    let (high, low) = (u128::from(random()), u128::from(random()));
    Uuid((high << 64 | low).to_be_bytes()).to_string()
}

impl ConsumerGroup {
    /// Whether the member speaks the classic protocol.
    pub(super) fn is_classic(&self, member: &str) -> bool {
        self.members.get(member).is_some_and(|member| member.classic.is_some())
    }

    /// The group was loaded, or is again as it was: each member has its session, and its time to give back, from now on.
    pub(in super::super) fn start_timers(&self, id: &str, env: &mut Env<'_>) {
        for (member, subscription) in &self.members {
            let classic = subscription.classic.as_ref().map(|classic| classic.session_timeout_ms);
            let deadline = env.after_ms(classic.unwrap_or(env.settings.consumer.session_timeout_ms));
            env.timers.schedule(Timer::session(id, member), deadline);
            if classic.is_none() && self.current(member).state == MemberState::UnrevokedPartitions {
                let deadline = env.after_ms(subscription.rebalance_timeout_ms);
                env.timers.schedule(Timer::Rebalance(id.to_owned(), member.clone()), deadline);
            }
        }
    }
}
