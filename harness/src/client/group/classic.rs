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

mod answers;
mod rebalance;

use ringlog_wire::messages::heartbeat::HeartbeatRequest;
use ringlog_wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use ringlog_wire::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use ringlog_wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

use super::assignors::Counts;
use super::subscription::{self, Member};
use super::{Around, Ask, CommitId, Identity, Line, Retry, ms};
use crate::client::ClientError;
use crate::client::accumulator::nanos;
use crate::client::config::{AssignmentStrategy, ConsumerConfig};
use crate::client::fetcher::TopicPartition;

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
    /// What is under way belongs to a membership that is over: its answer says nothing about us.
    stale: bool,
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
            stale: false,
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
        self.is_in_group().then(|| Identity {
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

    /// The coordinator was found: its time to answer begins now.
    pub(super) fn found_coordinator(&mut self, now_ns: u64) {
        self.heard_ns = now_ns;
    }

    /// Whether the coordinator has us in a generation.
    pub(super) fn is_in_group(&self) -> bool {
        self.generation != NO_GENERATION
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
        // An answer to JoinGroup or SyncGroup that is still to come is waited for: the next JoinGroup goes out after it.
        (self.stale, self.heartbeat_asked) = (self.asked, false);
        Some(std::mem::take(&mut self.owned))
    }

    /// The caller polls again.
    pub(super) fn come_back(&mut self) {
        if self.phase == Phase::Away {
            self.phase = Phase::Joining;
        }
    }
}
