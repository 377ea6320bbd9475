//! A member of a classic group: the members themselves share the partitions out, the leader for all of them.
//!
//! ```text
//!   Joining --JoinGroup--> (leader: Electing, waits for the topics' partitions) --> Syncing --SyncGroup--> Stable
//!      ^                                                                                                   | Heartbeat
//!      '-- Preparing (commits, gives back) <-- REBALANCE_IN_PROGRESS, a topic grew (leader), other topics --'
//!      '-- UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION: the partitions are lost
//!   Away: max.poll.interval.ms passed; LeaveGroup went out; the next poll joins again
//! ```
//!
//! Eager: everything is given back before the group is joined again. Cooperative (all strategies support it): partitions
//! are kept, what the assignment takes is given back after SyncGroup, and the group is joined once more (KIP-429).
//!
//! Invariants:
//! - One request of the main line is under way at a time, and one heartbeat beside it.
//! - A member with a `group.instance.id` never says farewell (KIP-345).
//!
//! Sources: AbstractCoordinator, ConsumerCoordinator.

use std::collections::BTreeSet;

use ringlog_wire::messages::heartbeat::HeartbeatRequest;
use ringlog_wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use ringlog_wire::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use ringlog_wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse};
use ringlog_wire::{ApiKey, ErrorCode};

use super::assignors::{Counts, assign};
use super::subscription::{self, Member};
use super::{Around, Ask, Change, CommitId, Identity, Line, Retry, Verdict, ms};
use crate::client::ClientError;
use crate::client::accumulator::nanos;
use crate::client::config::{AssignmentStrategy, ConsumerConfig};
use crate::client::fetcher::TopicPartition;
use crate::client::metadata::Metadata;

const PROTOCOL_TYPE: &str = "consumer";
const NO_GENERATION: i32 = -1;

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Away,
    Joining,
    Electing { members: Vec<Member>, skip: bool },
    Syncing(Vec<SyncGroupRequestAssignment>),
    Stable,
    Preparing(Preparing),
}

/// What is done before the group is joined again.
#[derive(Clone, Debug, Default, PartialEq)]
struct Preparing {
    begun_ns: Option<u64>,
    commit: Option<CommitId>,
    /// Cooperative: the assignment that takes something from us.
    assigned: Option<Vec<TopicPartition>>,
}

/// See the module's picture.
#[derive(Debug)]
pub(super) struct Classic {
    group_id: String,
    instance_id: Option<String>,
    topics: Vec<String>,
    joined_topics: Vec<String>,
    strategies: Vec<AssignmentStrategy>,
    rack: String,
    session_timeout_ms: i32,
    session_timeout_ns: u64,
    rebalance_timeout_ms: i32,
    rebalance_timeout_ns: u64,
    heartbeat_ns: u64,
    member_id: String,
    generation: i32,
    chosen: Option<AssignmentStrategy>,
    /// What was assigned last and in which generation, for the sticky strategies.
    last: Option<(Vec<TopicPartition>, i32)>,
    owned: Vec<TopicPartition>,
    /// The leader's: partitions per topic of the group, as they were shared out.
    led: Option<Counts>,
    phase: Phase,
    asked: bool,
    heartbeat_asked: bool,
    heartbeat_at_ns: u64,
    heard_ns: u64,
    retry: Retry,
    reason: Option<&'static str>,
    farewell: Option<LeaveGroupRequest>,
}

impl Classic {
    pub(super) fn new(group_id: &str, topics: Vec<String>, config: &ConsumerConfig) -> Self {
        Self {
            group_id: group_id.to_owned(),
            instance_id: config.group_instance_id.clone(),
            topics,
            joined_topics: Vec::new(),
            strategies: config.assignment_strategies.clone(),
            rack: config.client_rack.clone(),
            session_timeout_ms: ms(config.session_timeout),
            session_timeout_ns: nanos(config.session_timeout),
            rebalance_timeout_ms: ms(config.max_poll_interval),
            rebalance_timeout_ns: nanos(config.max_poll_interval),
            heartbeat_ns: nanos(config.heartbeat_interval),
            member_id: String::new(),
            generation: NO_GENERATION,
            chosen: None,
            last: None,
            owned: Vec::new(),
            led: None,
            phase: Phase::Joining,
            asked: false,
            heartbeat_asked: false,
            heartbeat_at_ns: 0,
            heard_ns: 0,
            retry: Retry::new(config.common.retry_backoff),
            reason: None,
            farewell: None,
        }
    }

    pub(super) fn is_giving_back(&self) -> bool {
        match &self.phase {
            Phase::Preparing(preparing) => !self.is_cooperative() || preparing.assigned.is_some(),
            _ => false,
        }
    }

    pub(super) fn is_stable(&self) -> bool {
        self.phase == Phase::Stable
    }

    pub(super) fn set_topics(&mut self, topics: Vec<String>) {
        self.topics = topics;
    }

    /// As ConsumerCoordinator chooses its RebalanceProtocol: the best that every strategy supports.
    fn is_cooperative(&self) -> bool {
        self.strategies.iter().all(|strategy| *strategy == AssignmentStrategy::CooperativeSticky)
    }

    pub(super) fn identity(&self) -> Option<Identity> {
        (self.generation != NO_GENERATION).then(|| Identity {
            member_id: self.member_id.clone(),
            instance_id: self.instance_id.clone(),
            generation: self.generation,
            is_modern: false,
        })
    }

    pub(super) fn next_deadline_ns(&self) -> Option<u64> {
        let main = match self.phase {
            Phase::Joining | Phase::Syncing(_) if !self.asked => Some(self.retry.at_ns()),
            _ => None,
        };
        let beats = self.beats() && !self.heartbeat_asked;
        main.into_iter().chain(beats.then_some(self.heartbeat_at_ns)).min()
    }

    /// While JoinGroup and SyncGroup are under way, they show that we live.
    fn beats(&self) -> bool {
        matches!(self.phase, Phase::Stable | Phase::Preparing(_) | Phase::Electing { .. })
    }

    /// No heartbeat was answered for `session.timeout.ms`: the coordinator may have moved. Says so once.
    pub(super) fn went_silent(&mut self, now_ns: u64) -> bool {
        let silent = self.beats() && now_ns.saturating_sub(self.heard_ns) > self.session_timeout_ns;
        if silent {
            (self.heard_ns, self.heartbeat_asked) = (now_ns, false);
        }
        silent
    }

    pub(super) fn next(&mut self, around: &mut Around<'_>, line: &mut Line<'_>) -> Result<Option<Ask>, ClientError> {
        if let Some(leave) = self.farewell.take() {
            return Ok(Some(Ask::Leave(leave)));
        }
        if !around.polls {
            return Ok(if self.beats() { self.beat(around.now_ns) } else { None });
        }
        if self.phase == Phase::Stable {
            self.check_subscription(around.metadata);
        }
        if matches!(self.phase, Phase::Preparing(_)) && !self.prepare(around, line) {
            return Ok(self.beat(around.now_ns));
        }
        if !line.changes.is_empty() {
            return Ok(None);
        }
        if matches!(self.phase, Phase::Electing { .. }) && !self.elect(around.metadata) {
            return Ok(self.beat(around.now_ns));
        }
        Ok(match self.phase.clone() {
            Phase::Joining => self.main_line(around.now_ns).then(|| Ask::Join(self.join())),
            Phase::Syncing(assignments) => self.main_line(around.now_ns).then(|| Ask::Sync(self.sync(assignments))),
            Phase::Stable => self.beat(around.now_ns),
            _ => None,
        })
    }

    /// Takes the main line, where it is free and rested.
    fn main_line(&mut self, now_ns: u64) -> bool {
        let free = !self.asked && self.retry.is_due(now_ns);
        self.asked |= free;
        free
    }

    fn beat(&mut self, now_ns: u64) -> Option<Ask> {
        if self.heartbeat_asked || now_ns < self.heartbeat_at_ns {
            return None;
        }
        self.heartbeat_asked = true;
        self.heartbeat_at_ns = now_ns.saturating_add(self.heartbeat_ns);
        Some(Ask::Heartbeat(HeartbeatRequest {
            group_id: self.group_id.clone(),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            group_instance_id: self.instance_id.clone(),
            ..HeartbeatRequest::default()
        }))
    }

    /// The leader looks at the topics' partitions, every member at its own subscription.
    fn check_subscription(&mut self, metadata: &mut Metadata) {
        if self.joined_topics != self.topics {
            return self.join_again("the subscription changed");
        }
        let Some(led) = &self.led else { return };
        let changed = |(topic, count): (&String, &i32)| metadata.count(topic).is_some_and(|now| now != *count);
        if led.iter().any(changed) {
            self.join_again("cached metadata has changed since the beginning of the rebalance");
        }
    }

    fn join_again(&mut self, reason: &'static str) {
        self.reason = Some(reason);
        self.phase = match self.phase {
            Phase::Stable => Phase::Preparing(Preparing::default()),
            _ => Phase::Joining,
        };
    }

    /// Commits, then gives back. True once that is done.
    fn prepare(&mut self, around: &Around<'_>, line: &mut Line<'_>) -> bool {
        let Phase::Preparing(preparing) = &mut self.phase else { return true };
        let begun_ns = match preparing.begun_ns {
            Some(begun_ns) => begun_ns,
            None => {
                preparing.begun_ns = Some(around.now_ns);
                preparing.commit = line.commit_before_rebalance(around);
                around.now_ns
            }
        };
        if let Some(commit) = preparing.commit {
            let is_late = around.now_ns.saturating_sub(begun_ns) > self.rebalance_timeout_ns;
            if !is_late && line.offsets.is_pending(commit) {
                return false;
            }
            line.offsets.give_up(commit);
        }
        let assigned = preparing.assigned.take();
        self.give_back(assigned, line.changes);
        self.phase = Phase::Joining;
        true
    }

    fn give_back(&mut self, assigned: Option<Vec<TopicPartition>>, changes: &mut Vec<Change>) {
        match assigned {
            Some(assigned) => {
                changes.push(Change::Revoked(without(&self.owned, &assigned)));
                self.take(assigned, changes);
            }
            None if self.is_cooperative() => {
                let topics: BTreeSet<&String> = self.topics.iter().collect();
                let (kept, dropped) = self.owned.drain(..).partition(|(topic, _)| topics.contains(topic));
                self.owned = kept;
                if !Vec::is_empty(&dropped) {
                    changes.push(Change::Revoked(dropped));
                }
            }
            None => changes.push(Change::Revoked(std::mem::take(&mut self.owned))),
        }
    }

    fn take(&mut self, assigned: Vec<TopicPartition>, changes: &mut Vec<Change>) {
        let added = without(&assigned, &self.owned);
        self.owned.clone_from(&assigned);
        changes.push(Change::Assigned { added, owned: assigned });
    }

    /// The leader shares out, once every topic of the group is known. False while it is not.
    fn elect(&mut self, metadata: &mut Metadata) -> bool {
        let Phase::Electing { members, skip } = &self.phase else { return true };
        let topics: BTreeSet<&String> = members.iter().flat_map(|member| &member.topics).collect();
        topics.iter().for_each(|topic| metadata.use_topic(topic));
        if topics.iter().any(|topic| metadata.count(topic).is_none()) {
            return false;
        }
        let all: Counts = topics.iter().map(|topic| ((*topic).clone(), metadata.count(topic).unwrap_or(0))).collect();
        let mut assignments = Vec::new();
        if let Some(strategy) = self.chosen.filter(|_| !*skip) {
            let existing = all.iter().filter(|(_, count)| **count > 0).map(|(topic, count)| (topic.clone(), *count));
            let assigned = assign(strategy, members, &existing.collect());
            assignments.extend(assigned.into_iter().map(|(member_id, owned)| SyncGroupRequestAssignment {
                member_id,
                assignment: subscription::assignment(&owned),
                ..Default::default()
            }));
        }
        self.led = Some(all);
        self.phase = Phase::Syncing(assignments);
        true
    }

    fn join(&mut self) -> JoinGroupRequest {
        self.joined_topics.clone_from(&self.topics);
        let protocol = |strategy: &AssignmentStrategy| {
            let owned = (self.owned.as_slice(), self.generation);
            let metadata = subscription::subscription(*strategy, &self.topics, owned, self.last.as_ref(), &self.rack);
            JoinGroupRequestProtocol { name: strategy.name().into(), metadata, ..Default::default() }
        };
        JoinGroupRequest {
            group_id: self.group_id.clone(),
            session_timeout_ms: self.session_timeout_ms,
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            member_id: self.member_id.clone(),
            group_instance_id: self.instance_id.clone(),
            protocol_type: PROTOCOL_TYPE.into(),
            protocols: self.strategies.iter().map(protocol).collect(),
            reason: self.reason.map(str::to_owned),
            ..JoinGroupRequest::default()
        }
    }

    fn sync(&self, assignments: Vec<SyncGroupRequestAssignment>) -> SyncGroupRequest {
        SyncGroupRequest {
            group_id: self.group_id.clone(),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            group_instance_id: self.instance_id.clone(),
            protocol_type: Some(PROTOCOL_TYPE.into()),
            protocol_name: self.chosen.map(|strategy| strategy.name().into()),
            assignments,
            ..SyncGroupRequest::default()
        }
    }

    /// JoinGroup's answer.
    pub(super) fn on_join(
        &mut self,
        response: &JoinGroupResponse,
        around: &mut Around<'_>,
        changes: &mut Vec<Change>,
    ) -> Result<Verdict, ClientError> {
        self.asked = false;
        if self.phase != Phase::Joining {
            return Ok(Verdict::Handled);
        }
        let error = ErrorCode(response.error_code);
        if error == ErrorCode::MEMBER_ID_REQUIRED {
            self.member_id.clone_from(&response.member_id);
            return Ok(Verdict::Handled);
        }
        if !error.is_none() {
            return Ok(self.refused(error, around.now_ns, changes));
        }
        let name = response.protocol_name.as_deref().unwrap_or_default();
        let Some(chosen) = self.strategies.iter().copied().find(|strategy| strategy.name() == name) else {
            let text =
                format!("group {}: the coordinator chose the assignor {name}, which we did not name", self.group_id);
            return Err(ClientError::Corrupt(text));
        };
        self.retry.worked();
        (self.reason, self.chosen, self.led) = (None, Some(chosen), None);
        self.member_id.clone_from(&response.member_id);
        self.generation = response.generation_id;
        (self.heard_ns, self.heartbeat_at_ns) = (around.now_ns, around.now_ns.saturating_add(self.heartbeat_ns));
        self.phase = Phase::Syncing(Vec::new());
        if response.leader == response.member_id {
            let members = response.members.iter().map(|member| subscription::member(Some(chosen), member));
            let members = members.collect::<Result<_, _>>()?;
            self.phase = Phase::Electing { members, skip: response.skip_assignment };
        }
        Ok(Verdict::Handled)
    }

    /// SyncGroup's answer.
    pub(super) fn on_sync(
        &mut self,
        response: &SyncGroupResponse,
        now_ns: u64,
        line: &mut Line<'_>,
    ) -> Result<Verdict, ClientError> {
        self.asked = false;
        if !matches!(self.phase, Phase::Syncing(_)) {
            return Ok(Verdict::Handled);
        }
        let error = ErrorCode(response.error_code);
        if !error.is_none() {
            return Ok(self.refused(error, now_ns, line.changes));
        }
        let assigned = subscription::read_assignment(&response.assignment)?;
        if assigned.iter().any(|(topic, _)| !self.topics.contains(topic)) {
            self.phase = Phase::Stable;
            self.join_again("received assignment does not match the current subscription");
            return Ok(Verdict::Handled);
        }
        self.last = Some((assigned.clone(), self.generation));
        (self.heard_ns, self.heartbeat_at_ns) = (now_ns, now_ns.saturating_add(self.heartbeat_ns));
        self.phase = Phase::Stable;
        if without(&self.owned, &assigned).is_empty() {
            self.take(assigned, line.changes);
        } else {
            self.reason = Some("need to revoke partitions and re-join");
            self.phase = Phase::Preparing(Preparing { assigned: Some(assigned), ..Preparing::default() });
        }
        Ok(Verdict::Handled)
    }

    /// Heartbeat's answer.
    pub(super) fn on_heartbeat(&mut self, error: ErrorCode, now_ns: u64, changes: &mut Vec<Change>) -> Verdict {
        self.heartbeat_asked = false;
        if error.is_none() {
            self.heard_ns = now_ns;
            return Verdict::Handled;
        }
        self.on_error(error, now_ns, changes)
    }

    /// An error that a heartbeat or a commit brought.
    pub(super) fn on_error(&mut self, error: ErrorCode, now_ns: u64, changes: &mut Vec<Change>) -> Verdict {
        if !self.beats() {
            return Verdict::Handled;
        }
        match error {
            ErrorCode::REBALANCE_IN_PROGRESS => {
                if self.phase == Phase::Stable {
                    self.join_again("group is already rebalancing");
                }
                Verdict::Handled
            }
            error => self.refused(error, now_ns, changes),
        }
    }

    fn refused(&mut self, error: ErrorCode, now_ns: u64, changes: &mut Vec<Change>) -> Verdict {
        let is_beating = self.beats();
        match error {
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION => {
                if error == ErrorCode::UNKNOWN_MEMBER_ID {
                    self.member_id.clear();
                }
                self.generation = NO_GENERATION;
                self.reason = Some("the member id or the generation was refused");
                self.phase = Phase::Joining;
                if !self.owned.is_empty() {
                    changes.push(Change::Lost(std::mem::take(&mut self.owned)));
                }
                return Verdict::Handled;
            }
            ErrorCode::REBALANCE_IN_PROGRESS => {
                self.phase = Phase::Joining;
                return Verdict::Handled;
            }
            _ => {}
        }
        if !is_beating {
            // As in Java an answer to JoinGroup or SyncGroup that failed begins the joining anew.
            self.phase = Phase::Joining;
            self.retry.wait(now_ns);
        }
        match error {
            ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE => Verdict::OtherCoordinator,
            error if error.is_retriable() => Verdict::Handled,
            _ => Verdict::Fatal,
        }
    }

    /// A request was lost with its connection.
    pub(super) fn lost(&mut self, api: ApiKey, now_ns: u64) {
        match api {
            ApiKey::Heartbeat => self.heartbeat_asked = false,
            ApiKey::JoinGroup | ApiKey::SyncGroup => {
                self.asked = false;
                if !self.beats() && self.phase != Phase::Away {
                    self.phase = Phase::Joining;
                }
                self.retry.wait(now_ns);
            }
            _ => {}
        }
    }

    /// The farewell, where one is due: a static member stays.
    pub(super) fn leave(&mut self, reason: &str) -> Option<LeaveGroupRequest> {
        if self.member_id.is_empty() || self.instance_id.is_some() {
            return None;
        }
        let member_id = self.member_id.clone();
        let reason = Some(reason.to_owned());
        let member = MemberIdentity { member_id: member_id.clone(), reason, ..MemberIdentity::default() };
        Some(LeaveGroupRequest {
            group_id: self.group_id.clone(),
            member_id,
            members: vec![member],
            ..LeaveGroupRequest::default()
        })
    }

    /// The caller does not poll any more: leaves the group. Gives what was ours; `None` if we had left.
    pub(super) fn stay_away(&mut self) -> Option<Vec<TopicPartition>> {
        if self.phase == Phase::Away || self.member_id.is_empty() {
            return None;
        }
        self.farewell = self.leave("consumer poll timeout has expired.");
        if self.instance_id.is_none() {
            self.member_id.clear();
        }
        (self.generation, self.led, self.phase) = (NO_GENERATION, None, Phase::Away);
        (self.asked, self.heartbeat_asked) = (false, false);
        Some(std::mem::take(&mut self.owned))
    }

    /// The caller polls again.
    pub(super) fn come_back(&mut self) {
        if self.phase == Phase::Away {
            self.phase = Phase::Joining;
        }
    }
}

fn without(all: &[TopicPartition], those: &[TopicPartition]) -> Vec<TopicPartition> {
    let those: BTreeSet<&TopicPartition> = those.iter().collect();
    all.iter().filter(|one| !those.contains(one)).cloned().collect()
}
