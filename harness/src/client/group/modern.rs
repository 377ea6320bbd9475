//! A member of a group of the consumer protocol (KIP-848): the broker assigns, one heartbeat says everything.
//!
//! ```text
//!   Joining --heartbeat, epoch 0--> Member --assignment--> target: resolve ids, commit, give back, take --> Member
//!      ^                              | heartbeat at the broker's interval; at once, with what we own, after a change
//!      '-- FENCED_MEMBER_EPOCH, UNKNOWN_MEMBER_ID: the partitions are lost, epoch 0 again
//!   Away: max.poll.interval.ms passed; epoch -1 (-2: static) went out; the next poll joins again
//! ```
//!
//! Invariants:
//! - One heartbeat is under way at a time. A field that did not change since the last answer is not sent again.
//! - What we own is what we told the caller; the broker hears of it only afterwards.
//! - The member's id is ours, and the same for as long as the consumer lives (KIP-1082).
//!
//! Sources: ConsumerHeartbeatRequestManager, ConsumerMembershipManager.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ringlog_wire::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use ringlog_wire::{ErrorCode, Uuid};

use super::{Around, Ask, Change, CommitId, Identity, Line, Retry, Topics, Verdict, ms};
use crate::client::ClientError;
use crate::client::accumulator::nanos;
use crate::client::config::ConsumerConfig;
use crate::client::fetcher::TopicPartition;
use crate::client::metadata::Metadata;

const EPOCH_JOIN: i32 = 0;
const EPOCH_LEAVE: i32 = -1;
const EPOCH_LEAVE_STATIC: i32 = -2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Joining,
    Member,
    Away,
}

/// What the broker assigned, and how far we are with it.
#[derive(Debug)]
struct Target {
    partitions: Vec<(Uuid, i32)>,
    begun_ns: Option<u64>,
    commit: Option<CommitId>,
    /// Something is to be given back, and records of it must not be given out any more.
    gives_back: bool,
}

/// What the broker knows already.
#[derive(Debug, Default, PartialEq)]
struct Said {
    topics: Option<Topics>,
    has_settings: bool,
    owned: Option<Vec<TopicPartitions>>,
}

/// See the module's picture.
#[derive(Debug)]
pub(super) struct Modern {
    group_id: String,
    member_id: String,
    instance_id: Option<String>,
    rack: String,
    assignor: Option<String>,
    rebalance_timeout_ms: i32,
    rebalance_timeout_ns: u64,
    topics: Topics,
    epoch: i32,
    phase: Phase,
    owned: BTreeMap<TopicPartition, Uuid>,
    target: Option<Target>,
    said: Said,
    asked: bool,
    /// The broker is to hear from us at once.
    urgent: bool,
    interval_ns: u64,
    heartbeat_at_ns: u64,
    retry: Retry,
    farewell: Option<ConsumerGroupHeartbeatRequest>,
    /// Answers still to come that are not the next heartbeat's: to farewells, and to what was under way when a
    /// membership ended.
    stale_asked: u32,
}

impl Modern {
    pub(super) fn new(group_id: &str, topics: Topics, config: &ConsumerConfig, random: [u64; 2]) -> Self {
        Self {
            group_id: group_id.to_owned(),
            member_id: URL_SAFE_NO_PAD.encode(random.map(u64::to_be_bytes).concat()),
            instance_id: config.group_instance_id.clone(),
            rack: config.client_rack.clone(),
            assignor: config.group_remote_assignor.clone(),
            rebalance_timeout_ms: ms(config.max_poll_interval),
            rebalance_timeout_ns: nanos(config.max_poll_interval),
            topics,
            epoch: EPOCH_JOIN,
            phase: Phase::Joining,
            owned: BTreeMap::new(),
            target: None,
            said: Said::default(),
            asked: false,
            urgent: true,
            interval_ns: 0,
            heartbeat_at_ns: 0,
            retry: Retry::new(config.common.retry_backoff),
            farewell: None,
            stale_asked: 0,
        }
    }

    pub(super) fn is_giving_back(&self) -> bool {
        self.target.as_ref().is_some_and(|target| target.gives_back)
    }

    pub(super) fn is_in_group(&self) -> bool {
        self.phase == Phase::Member
    }

    pub(super) fn set_topics(&mut self, topics: Topics) {
        self.urgent |= topics != self.topics;
        self.topics = topics;
    }

    pub(super) fn identity(&self) -> Option<Identity> {
        (self.phase == Phase::Member).then(|| Identity {
            member_id: self.member_id.clone(),
            instance_id: self.instance_id.clone(),
            generation: self.epoch,
            is_modern: true,
        })
    }

    pub(super) fn next_deadline_ns(&self) -> Option<u64> {
        if self.asked || self.phase == Phase::Away {
            return None;
        }
        let due_ns = if self.urgent { 0 } else { self.heartbeat_at_ns };
        Some(due_ns.max(self.retry.at_ns()))
    }

    pub(super) fn next(&mut self, around: &mut Around<'_>, line: &mut Line<'_>) -> Result<Option<Ask>, ClientError> {
        if let Some(leave) = self.farewell.take() {
            self.stale_asked += 1;
            return Ok(Some(Ask::Modern(leave)));
        }
        if around.polls {
            self.reconcile(around, line);
        }
        if !line.changes.is_empty() {
            return Ok(None);
        }
        let is_due = self.urgent || around.now_ns >= self.heartbeat_at_ns;
        if self.asked || self.phase == Phase::Away || !is_due || !self.retry.is_due(around.now_ns) {
            return Ok(None);
        }
        (self.asked, self.urgent) = (true, false);
        self.heartbeat_at_ns = around.now_ns.saturating_add(self.interval_ns);
        Ok(Some(Ask::Modern(self.heartbeat())))
    }

    /// Goes on with what the broker assigned, as far as its topics' names are known.
    fn reconcile(&mut self, around: &mut Around<'_>, line: &mut Line<'_>) {
        let Some(mut target) = self.target.take() else { return };
        let (wanted, is_whole) = resolve(&target.partitions, around.metadata);
        if wanted == self.owned {
            // Nothing changes: the broker hears that we have it. Names that are missing come with the metadata.
            self.urgent |= is_whole && target.begun_ns.is_none();
            self.target = (!is_whole).then_some(target);
            return;
        }
        let begun_ns = *target.begun_ns.get_or_insert(around.now_ns);
        if begun_ns == around.now_ns && target.commit.is_none() {
            target.commit = line.commit_before_rebalance(around);
            target.gives_back = self.owned.keys().any(|partition| !wanted.contains_key(partition));
        }
        let is_late = around.now_ns.saturating_sub(begun_ns) > self.rebalance_timeout_ns;
        if let Some(commit) = target.commit {
            if !is_late && line.offsets.is_pending(commit) {
                self.target = Some(target);
                return;
            }
            line.offsets.give_up(commit);
        }
        self.own(wanted, line.changes);
        let rest = Target { begun_ns: None, commit: None, gives_back: false, partitions: target.partitions };
        self.target = (!is_whole).then_some(rest);
    }

    fn own(&mut self, wanted: BTreeMap<TopicPartition, Uuid>, changes: &mut Vec<Change>) {
        let missing = |of: &BTreeMap<TopicPartition, Uuid>, within: &BTreeMap<TopicPartition, Uuid>| {
            let gone = of.iter().filter(|(partition, id)| within.get(*partition) != Some(*id));
            gone.map(|(partition, _)| partition.clone()).collect::<Vec<_>>()
        };
        let (revoked, added) = (missing(&self.owned, &wanted), missing(&wanted, &self.owned));
        if !revoked.is_empty() {
            changes.push(Change::Revoked(revoked));
        }
        changes.push(Change::Assigned { added, owned: wanted.keys().cloned().collect() });
        self.owned = wanted;
        self.urgent = true;
    }

    fn heartbeat(&mut self) -> ConsumerGroupHeartbeatRequest {
        let joins = self.phase == Phase::Joining;
        if joins {
            self.said = Said::default();
        }
        let owned = by_id(&self.owned);
        let new_topics = self.said.topics.as_ref() != Some(&self.topics);
        let new_settings = !self.said.has_settings;
        let new_owned = self.said.owned.as_ref() != Some(&owned);
        let regex_said = self.said.topics.as_ref().is_some_and(|said| said.regex.is_some());
        let regex = self.topics.regex.clone().or_else(|| regex_said.then(String::new));
        let request = ConsumerGroupHeartbeatRequest {
            group_id: self.group_id.clone(),
            member_id: self.member_id.clone(),
            member_epoch: self.epoch,
            instance_id: self.instance_id.clone(),
            rack_id: (new_settings && !self.rack.is_empty()).then(|| self.rack.clone()),
            rebalance_timeout_ms: if new_settings { self.rebalance_timeout_ms } else { -1 },
            subscribed_topic_names: new_topics.then(|| self.topics.names.clone()),
            subscribed_topic_regex: regex.filter(|_| new_topics),
            server_assignor: self.assignor.clone().filter(|_| new_settings),
            topic_partitions: new_owned.then(|| owned.clone()),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        self.said = Said { topics: Some(self.topics.clone()), has_settings: true, owned: Some(owned) };
        request
    }

    /// ConsumerGroupHeartbeat's answer.
    pub(super) fn on_heartbeat(
        &mut self,
        response: &ConsumerGroupHeartbeatResponse,
        now_ns: u64,
        changes: &mut Vec<Change>,
    ) -> Verdict {
        if self.stale_asked > 0 {
            self.stale_asked -= 1;
            return Verdict::Handled;
        }
        self.asked = false;
        let error = ErrorCode(response.error_code);
        if !error.is_none() {
            self.said = Said::default();
            return self.on_error(error, now_ns, changes);
        }
        self.retry.worked();
        if let Some(id) = response.member_id.as_ref().filter(|id| !id.is_empty()) {
            self.member_id.clone_from(id);
        }
        self.epoch = response.member_epoch;
        self.phase = Phase::Member;
        let interval_ms = u64::try_from(response.heartbeat_interval_ms).unwrap_or(0);
        self.interval_ns = interval_ms.saturating_mul(1_000_000);
        self.heartbeat_at_ns = now_ns.saturating_add(self.interval_ns);
        if let Some(assignment) = &response.assignment {
            self.assigned(&assignment.topic_partitions);
        }
        Verdict::Handled
    }

    fn assigned(&mut self, topics: &[TopicPartitions]) {
        let pairs = |topic: &TopicPartitions| {
            let id = topic.topic_id;
            topic.partitions.iter().map(move |partition| (id, *partition)).collect::<Vec<_>>()
        };
        let partitions = topics.iter().flat_map(pairs).collect();
        self.target = Some(Target { partitions, begun_ns: None, commit: None, gives_back: false });
    }

    /// An error that a heartbeat, a commit or a fetch of offsets brought.
    pub(super) fn on_error(&mut self, error: ErrorCode, now_ns: u64, changes: &mut Vec<Change>) -> Verdict {
        if self.phase == Phase::Away {
            return Verdict::Handled;
        }
        match error {
            ErrorCode::FENCED_MEMBER_EPOCH | ErrorCode::UNKNOWN_MEMBER_ID => {
                self.forget(Phase::Joining);
                if !self.owned.is_empty() {
                    changes.push(Change::Lost(self.release()));
                }
                Verdict::Handled
            }
            ErrorCode::STALE_MEMBER_EPOCH => Verdict::Handled,
            ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE => {
                (self.said, self.urgent) = (Said::default(), true);
                Verdict::OtherCoordinator
            }
            error if error.is_retriable() => {
                self.urgent = true;
                self.retry.wait(now_ns);
                Verdict::Handled
            }
            _ => Verdict::Fatal,
        }
    }

    fn forget(&mut self, phase: Phase) {
        self.stale_asked += u32::from(self.asked);
        (self.phase, self.epoch, self.urgent) = (phase, EPOCH_JOIN, true);
        (self.target, self.said, self.asked) = (None, Said::default(), false);
    }

    fn release(&mut self) -> Vec<TopicPartition> {
        std::mem::take(&mut self.owned).into_keys().collect()
    }

    /// The heartbeat was lost with its connection.
    pub(super) fn lost(&mut self, now_ns: u64) {
        (self.asked, self.urgent, self.said, self.stale_asked) = (false, true, Said::default(), 0);
        self.retry.wait(now_ns);
    }

    /// The farewell, also of one whose joining was not answered yet: a static member says that it comes back.
    pub(super) fn leave(&mut self) -> Option<ConsumerGroupHeartbeatRequest> {
        let joins = self.phase == Phase::Joining && self.asked;
        if self.phase != Phase::Member && !joins {
            return None;
        }
        Some(ConsumerGroupHeartbeatRequest {
            group_id: self.group_id.clone(),
            member_id: self.member_id.clone(),
            member_epoch: if self.instance_id.is_some() { EPOCH_LEAVE_STATIC } else { EPOCH_LEAVE },
            instance_id: self.instance_id.clone(),
            ..ConsumerGroupHeartbeatRequest::default()
        })
    }

    /// The caller does not poll any more: leaves the group. Gives what was ours; `None` if we had left.
    pub(super) fn stay_away(&mut self) -> Option<Vec<TopicPartition>> {
        let leave = self.leave()?;
        self.farewell = Some(leave);
        self.forget(Phase::Away);
        Some(self.release())
    }

    /// The caller polls again.
    pub(super) fn come_back(&mut self) {
        if self.phase == Phase::Away {
            self.phase = Phase::Joining;
        }
    }
}

/// The partitions whose topics are known, and whether those are all.
fn resolve(partitions: &[(Uuid, i32)], metadata: &mut Metadata) -> (BTreeMap<TopicPartition, Uuid>, bool) {
    let mut known = BTreeMap::new();
    let mut unknown = BTreeSet::new();
    for (id, partition) in partitions {
        match metadata.name_of(*id) {
            Some(name) => _ = known.insert((name.to_owned(), *partition), *id),
            None => _ = unknown.insert(*id),
        }
    }
    if !unknown.is_empty() {
        metadata.want_update();
    }
    (known, unknown.is_empty())
}

fn by_id(owned: &BTreeMap<TopicPartition, Uuid>) -> Vec<TopicPartitions> {
    let mut topics: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
    owned.iter().for_each(|((_, partition), id)| topics.entry(*id).or_default().push(*partition));
    let topic = |(topic_id, partitions)| TopicPartitions { topic_id, partitions, ..TopicPartitions::default() };
    topics.into_iter().map(topic).collect()
}
