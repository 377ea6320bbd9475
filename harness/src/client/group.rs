//! Membership of a classic consumer group (eager, range assignor): a state machine without I/O and without a clock.
//!
//! ```text
//!   (no coordinator) --FindCoordinator--> known
//!   Leaving --OffsetCommit--> Joining --JoinGroup--> Syncing --SyncGroup--> Positions --OffsetFetch--> Stable
//!      ^                        ^                                                                      |  Heartbeat
//!      '--- REBALANCE_IN_PROGRESS, or a topic grew (leader) -------------------------------------------'  OffsetCommit
//!                               '--- UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION: the partitions are lost
//! ```
//!
//! Invariants:
//! - One request of the main line is under way at a time, and one heartbeat and one commit beside it.
//! - Partitions are given back ([`Change::Revoked`]) before the group is joined again.
//! - A generation's offsets are committed under that generation only.

use std::collections::BTreeMap;

use ringlog_wire::messages::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicPartition as ProtocolPartition,
};
use ringlog_wire::messages::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use ringlog_wire::messages::heartbeat::HeartbeatRequest;
use ringlog_wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use ringlog_wire::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use ringlog_wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
};
use ringlog_wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics, OffsetFetchResponse,
};
use ringlog_wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse};
use ringlog_wire::{ErrorCode, Message, Reader, Writer};

use super::accumulator::nanos;
use super::config::{Backoff, ConsumerConfig};
use super::fetcher::{TopicPartition, broker_error};
use super::{ClientError, NodeId};

const PROTOCOL_TYPE: &str = "consumer";
const RANGE: &str = "range";
/// Version of the subscription and assignment that we write (owned partitions are there, and empty: we are eager).
const PROTOCOL_VERSION: i16 = 1;

/// What is to be sent. All but `FindCoordinator` go to the coordinator.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ask {
    FindCoordinator(FindCoordinatorRequest),
    Join(JoinGroupRequest),
    Sync(SyncGroupRequest),
    Positions(OffsetFetchRequest),
    Commit(OffsetCommitRequest),
    Heartbeat(HeartbeatRequest),
}

/// What happened to our partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// They are no longer ours.
    Revoked,
    /// These are ours now; their positions follow.
    Assigned(Vec<TopicPartition>),
    /// Committed offsets; partitions without one are left to `auto.offset.reset`.
    Positions(Vec<(TopicPartition, i64)>),
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    /// Offsets are committed (where that is wanted) before the group is joined again.
    Leaving,
    Joining,
    Syncing(Vec<SyncGroupRequestAssignment>),
    Positions,
    Stable,
}

/// How many partitions a topic has.
pub(crate) type PartitionCounts<'a> = &'a dyn Fn(&str) -> usize;

/// See the module's picture.
#[derive(Debug)]
pub(crate) struct Group {
    id: String,
    instance_id: Option<String>,
    topics: Vec<String>,
    session_timeout_ms: i32,
    rebalance_timeout_ms: i32,
    heartbeat_ns: u64,
    auto_commit_ns: Option<u64>,
    require_stable: bool,
    backoff: Backoff,
    coordinator: Option<NodeId>,
    phase: Phase,
    member_id: String,
    generation: i32,
    leads: bool,
    led_counts: Vec<(String, usize)>,
    assignment: Vec<TopicPartition>,
    asked: bool,
    heartbeat_asked: bool,
    commit_asked: bool,
    heartbeat_at_ns: u64,
    commit_at_ns: u64,
    retry_at_ns: u64,
    attempts: u32,
    changes: Vec<Change>,
}

impl Group {
    /// A member that has yet to join.
    pub(crate) fn new(id: &str, topics: Vec<String>, config: &ConsumerConfig) -> Self {
        Self {
            id: id.to_owned(),
            instance_id: config.group_instance_id.clone(),
            topics,
            session_timeout_ms: ms(config.session_timeout),
            rebalance_timeout_ms: ms(config.max_poll_interval),
            heartbeat_ns: nanos(config.heartbeat_interval),
            auto_commit_ns: config.auto_commit.map(nanos),
            require_stable: config.read_committed,
            backoff: config.common.retry_backoff,
            coordinator: None,
            phase: Phase::Joining,
            member_id: String::new(),
            generation: -1,
            leads: false,
            led_counts: Vec::new(),
            assignment: Vec::new(),
            asked: false,
            heartbeat_asked: false,
            commit_asked: false,
            heartbeat_at_ns: 0,
            commit_at_ns: 0,
            retry_at_ns: 0,
            attempts: 0,
            changes: Vec::new(),
        }
    }

    /// Where the group's requests go.
    pub(crate) fn coordinator(&self) -> Option<NodeId> {
        self.coordinator
    }

    /// Offsets are being committed before the partitions are given back: a record that is given out now would be read
    /// again by its next owner.
    pub(crate) fn is_leaving(&self) -> bool {
        self.phase == Phase::Leaving
    }

    /// What happened since the last call.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// How long the broker may take to answer JoinGroup.
    pub(crate) fn join_timeout(&self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.rebalance_timeout_ms).unwrap_or(0).saturating_add(5000))
    }

    /// When something is due, for how long to wait.
    pub(crate) fn next_deadline_ns(&self) -> Option<u64> {
        let main = (!self.asked && self.phase != Phase::Stable).then_some(self.retry_at_ns);
        let stable = self.phase == Phase::Stable;
        let heartbeat = (stable && !self.heartbeat_asked).then_some(self.heartbeat_at_ns);
        let commit = (stable && !self.commit_asked && self.auto_commit_ns.is_some()).then_some(self.commit_at_ns);
        main.into_iter().chain(heartbeat).chain(commit).min()
    }

    /// What is to be sent now, if anything. `positions` are the offsets that would be committed.
    pub(crate) fn next(
        &mut self,
        now_ns: u64,
        counts: PartitionCounts<'_>,
        positions: &dyn Fn() -> Vec<(TopicPartition, i64)>,
    ) -> Option<Ask> {
        if self.coordinator.is_none() {
            return self.main_line(now_ns).then(|| Ask::FindCoordinator(self.find_coordinator()));
        }
        if self.phase == Phase::Stable {
            self.check_growth(counts);
        }
        match self.phase.clone() {
            Phase::Stable => self.beside(now_ns, positions),
            Phase::Leaving => self.leave_generation(now_ns, positions),
            Phase::Joining => self.main_line(now_ns).then(|| Ask::Join(self.join())),
            Phase::Syncing(assignments) => self.main_line(now_ns).then(|| Ask::Sync(self.sync(assignments))),
            Phase::Positions => self.main_line(now_ns).then(|| Ask::Positions(self.offset_fetch())),
        }
    }

    /// Takes the main line, where it is free and rested.
    fn main_line(&mut self, now_ns: u64) -> bool {
        let free = !self.asked && now_ns >= self.retry_at_ns;
        self.asked |= free;
        free
    }

    fn beside(&mut self, now_ns: u64, positions: &dyn Fn() -> Vec<(TopicPartition, i64)>) -> Option<Ask> {
        if !self.heartbeat_asked && now_ns >= self.heartbeat_at_ns {
            self.heartbeat_asked = true;
            self.heartbeat_at_ns = now_ns.saturating_add(self.heartbeat_ns);
            return Some(Ask::Heartbeat(self.heartbeat()));
        }
        let interval_ns = self.auto_commit_ns.filter(|_| !self.commit_asked && now_ns >= self.commit_at_ns)?;
        self.commit_at_ns = now_ns.saturating_add(interval_ns);
        let commit = self.commit(&positions())?;
        self.commit_asked = true;
        Some(Ask::Commit(commit))
    }

    fn leave_generation(&mut self, now_ns: u64, positions: &dyn Fn() -> Vec<(TopicPartition, i64)>) -> Option<Ask> {
        let commit = self.auto_commit_ns.and_then(|_| self.commit(&positions()));
        match commit {
            Some(commit) => self.main_line(now_ns).then_some(Ask::Commit(commit)),
            None => {
                self.begin_joining();
                self.main_line(now_ns).then(|| Ask::Join(self.join()))
            }
        }
    }

    /// A leader looks at the topics' partitions: one that grew is assigned anew.
    fn check_growth(&mut self, counts: PartitionCounts<'_>) {
        let grown = |(topic, count): &(String, usize)| counts(topic) > *count;
        if self.leads && self.led_counts.iter().any(grown) {
            self.phase = Phase::Leaving;
        }
    }

    fn begin_joining(&mut self) {
        if !self.assignment.is_empty() {
            self.assignment.clear();
            self.changes.push(Change::Revoked);
        }
        self.phase = Phase::Joining;
    }

    fn find_coordinator(&self) -> FindCoordinatorRequest {
        FindCoordinatorRequest {
            key: self.id.clone(),
            key_type: 0,
            coordinator_keys: vec![self.id.clone()],
            ..FindCoordinatorRequest::default()
        }
    }

    fn join(&self) -> JoinGroupRequest {
        let subscription = ConsumerProtocolSubscription { topics: self.topics.clone(), ..Default::default() };
        let protocol =
            JoinGroupRequestProtocol { name: RANGE.into(), metadata: versioned(&subscription), ..Default::default() };
        JoinGroupRequest {
            group_id: self.id.clone(),
            session_timeout_ms: self.session_timeout_ms,
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            member_id: self.member_id.clone(),
            group_instance_id: self.instance_id.clone(),
            protocol_type: PROTOCOL_TYPE.into(),
            protocols: vec![protocol],
            reason: None,
            ..JoinGroupRequest::default()
        }
    }

    fn sync(&self, assignments: Vec<SyncGroupRequestAssignment>) -> SyncGroupRequest {
        SyncGroupRequest {
            group_id: self.id.clone(),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            group_instance_id: self.instance_id.clone(),
            protocol_type: Some(PROTOCOL_TYPE.into()),
            protocol_name: Some(RANGE.into()),
            assignments,
            ..SyncGroupRequest::default()
        }
    }

    fn heartbeat(&self) -> HeartbeatRequest {
        HeartbeatRequest {
            group_id: self.id.clone(),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            group_instance_id: self.instance_id.clone(),
            ..HeartbeatRequest::default()
        }
    }

    fn offset_fetch(&self) -> OffsetFetchRequest {
        let by_topic = by_topic(self.assignment.iter().map(|(topic, partition)| (topic, *partition)));
        let old = |(name, partition_indexes): (&String, &Vec<i32>)| OffsetFetchRequestTopic {
            name: name.clone(),
            partition_indexes: partition_indexes.clone(),
            ..Default::default()
        };
        let new = |(name, partition_indexes): (&String, &Vec<i32>)| OffsetFetchRequestTopics {
            name: name.clone(),
            partition_indexes: partition_indexes.clone(),
            ..Default::default()
        };
        let group = OffsetFetchRequestGroup {
            group_id: self.id.clone(),
            topics: Some(by_topic.iter().map(new).collect()),
            ..OffsetFetchRequestGroup::default()
        };
        OffsetFetchRequest {
            group_id: self.id.clone(),
            topics: Some(by_topic.iter().map(old).collect()),
            groups: vec![group],
            require_stable: self.require_stable,
            ..OffsetFetchRequest::default()
        }
    }

    /// A commit of these positions, if there are any of ours.
    pub(crate) fn commit(&self, positions: &[(TopicPartition, i64)]) -> Option<OffsetCommitRequest> {
        let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for ((topic, partition), offset) in positions.iter().filter(|(ours, _)| self.assignment.contains(ours)) {
            let partition = OffsetCommitRequestPartition {
                partition_index: *partition,
                committed_offset: *offset,
                ..OffsetCommitRequestPartition::default()
            };
            topics.entry(topic).or_default().push(partition);
        }
        let topic = |(name, partitions): (&str, Vec<OffsetCommitRequestPartition>)| OffsetCommitRequestTopic {
            name: name.to_owned(),
            partitions,
            ..Default::default()
        };
        (!topics.is_empty()).then(|| OffsetCommitRequest {
            group_id: self.id.clone(),
            generation_id_or_member_epoch: self.generation,
            member_id: self.member_id.clone(),
            group_instance_id: self.instance_id.clone(),
            topics: topics.into_iter().map(topic).collect(),
            ..OffsetCommitRequest::default()
        })
    }

    /// The farewell, where one is due: a static member stays.
    pub(crate) fn leave(&self) -> Option<LeaveGroupRequest> {
        if self.member_id.is_empty() || self.instance_id.is_some() {
            return None;
        }
        let member = MemberIdentity { member_id: self.member_id.clone(), ..MemberIdentity::default() };
        Some(LeaveGroupRequest {
            group_id: self.id.clone(),
            member_id: self.member_id.clone(),
            members: vec![member],
            ..LeaveGroupRequest::default()
        })
    }

    /// FindCoordinator's answer. Gives the connection's own node id and its address.
    pub(crate) fn on_coordinator(
        &mut self,
        response: &FindCoordinatorResponse,
        now_ns: u64,
    ) -> Result<Option<(NodeId, String, i32)>, ClientError> {
        self.asked = false;
        let (error, message, node, host, port) = match response.coordinators.first() {
            Some(one) => (one.error_code, &one.error_message, one.node_id, &one.host, one.port),
            None => (response.error_code, &response.error_message, response.node_id, &response.host, response.port),
        };
        let error = ErrorCode(error);
        if error.is_none() {
            // As in the Java client the coordinator has a connection of its own: a heartbeat would otherwise wait
            // behind a fetch that waits for records.
            let node = i32::MAX.wrapping_sub(node);
            self.coordinator = Some(node);
            self.attempts = 0;
            return Ok(Some((node, host.clone(), port)));
        }
        self.again(error, "finding the coordinator", message.as_deref(), now_ns).map(|()| None)
    }

    /// JoinGroup's answer.
    pub(crate) fn on_join(
        &mut self,
        response: &JoinGroupResponse,
        counts: PartitionCounts<'_>,
        now_ns: u64,
    ) -> Result<(), ClientError> {
        self.asked = false;
        let error = ErrorCode(response.error_code);
        if error == ErrorCode::MEMBER_ID_REQUIRED {
            self.member_id.clone_from(&response.member_id);
            return Ok(());
        }
        if !error.is_none() {
            return self.refused(error, "joining the group", now_ns);
        }
        self.attempts = 0;
        self.member_id.clone_from(&response.member_id);
        self.generation = response.generation_id;
        self.leads = response.leader == response.member_id;
        let assignments =
            if self.leads && !response.skip_assignment { self.assign(response, counts) } else { Vec::new() };
        self.phase = Phase::Syncing(assignments);
        Ok(())
    }

    fn assign(&mut self, response: &JoinGroupResponse, counts: PartitionCounts<'_>) -> Vec<SyncGroupRequestAssignment> {
        let subscription =
            |metadata: &[u8]| unversioned::<ConsumerProtocolSubscription>(metadata).unwrap_or_default().topics;
        let members: Vec<(String, Vec<String>)> =
            response.members.iter().map(|member| (member.member_id.clone(), subscription(&member.metadata))).collect();
        let mut topics: Vec<String> = members.iter().flat_map(|(_, topics)| topics.clone()).collect();
        topics.sort();
        topics.dedup();
        self.led_counts = topics
            .into_iter()
            .map(|topic| {
                let count = counts(&topic);
                (topic, count)
            })
            .collect();
        let assignment = |(member_id, owned): (String, Vec<TopicPartition>)| {
            let partition = |(topic, partitions): (&String, &Vec<i32>)| ProtocolPartition {
                topic: topic.clone(),
                partitions: partitions.clone(),
                ..Default::default()
            };
            let owned = by_topic(owned.iter().map(|(topic, partition)| (topic, *partition)));
            let assigned_partitions = owned.iter().map(partition).collect();
            let assignment = ConsumerProtocolAssignment { assigned_partitions, ..Default::default() };
            SyncGroupRequestAssignment { member_id, assignment: versioned(&assignment), ..Default::default() }
        };
        range(&members, &self.led_counts).into_iter().map(assignment).collect()
    }

    /// SyncGroup's answer.
    pub(crate) fn on_sync(&mut self, response: &SyncGroupResponse, now_ns: u64) -> Result<(), ClientError> {
        self.asked = false;
        let error = ErrorCode(response.error_code);
        if !error.is_none() {
            return self.refused(error, "taking part in the group", now_ns);
        }
        let assignment = unversioned::<ConsumerProtocolAssignment>(&response.assignment)?;
        let partitions = |topic: ProtocolPartition| {
            topic.partitions.into_iter().map(move |partition| (topic.topic.clone(), partition)).collect::<Vec<_>>()
        };
        self.assignment = assignment.assigned_partitions.into_iter().flat_map(partitions).collect();
        self.heartbeat_at_ns = now_ns.saturating_add(self.heartbeat_ns);
        self.commit_at_ns = now_ns.saturating_add(self.auto_commit_ns.unwrap_or(0));
        self.changes.push(Change::Assigned(self.assignment.clone()));
        self.phase = if self.assignment.is_empty() { Phase::Stable } else { Phase::Positions };
        Ok(())
    }

    /// OffsetFetch's answer.
    pub(crate) fn on_positions(&mut self, response: &OffsetFetchResponse, now_ns: u64) -> Result<(), ClientError> {
        self.asked = false;
        let mut committed = Vec::new();
        let mut error = response.error_code;
        for topic in &response.topics {
            for partition in &topic.partitions {
                error = if error == 0 { partition.error_code } else { error };
                committed.push(((topic.name.clone(), partition.partition_index), partition.committed_offset));
            }
        }
        for group in &response.groups {
            error = if error == 0 { group.error_code } else { error };
            for topic in &group.topics {
                for partition in &topic.partitions {
                    error = if error == 0 { partition.error_code } else { error };
                    committed.push(((topic.name.clone(), partition.partition_index), partition.committed_offset));
                }
            }
        }
        let error = ErrorCode(error);
        if !error.is_none() {
            return self.refused(error, "looking up the group's offsets", now_ns);
        }
        self.attempts = 0;
        committed.retain(|(_, offset)| *offset >= 0);
        self.changes.push(Change::Positions(committed));
        self.phase = Phase::Stable;
        Ok(())
    }

    /// Heartbeat's answer.
    pub(crate) fn on_heartbeat(&mut self, error: ErrorCode, now_ns: u64) -> Result<(), ClientError> {
        self.heartbeat_asked = false;
        if error.is_none() || self.phase != Phase::Stable {
            return Ok(());
        }
        self.refused(error, "the heartbeat", now_ns)
    }

    /// OffsetCommit's answer, whichever commit it was.
    pub(crate) fn on_commit(&mut self, response: &OffsetCommitResponse) {
        self.commit_asked = false;
        let answers = response.topics.iter().flat_map(|topic| &topic.partitions);
        let error = answers.map(|partition| ErrorCode(partition.error_code)).find(|error| !error.is_none());
        if let Some(error) = error {
            // As in Kafka an auto-commit that fails is tried again with the next one.
            tracing::debug!(error = error.name(), "an auto-commit was refused");
        }
        if self.phase == Phase::Leaving {
            self.asked = false;
            self.begin_joining();
        }
    }

    /// A request of ours was lost with its connection.
    pub(crate) fn lost(&mut self, was_heartbeat: bool, was_commit: bool, now_ns: u64) {
        self.coordinator = None;
        match (was_heartbeat, was_commit && self.phase != Phase::Leaving) {
            (true, _) => self.heartbeat_asked = false,
            (_, true) => self.commit_asked = false,
            _ => self.asked = false,
        }
        self.pause(now_ns);
    }

    fn pause(&mut self, now_ns: u64) {
        self.retry_at_ns = now_ns.saturating_add(nanos(self.backoff.after(self.attempts)));
        self.attempts = self.attempts.saturating_add(1);
    }

    fn refused(&mut self, error: ErrorCode, what: &str, now_ns: u64) -> Result<(), ClientError> {
        match error {
            ErrorCode::REBALANCE_IN_PROGRESS => {
                self.phase = if self.phase == Phase::Stable { Phase::Leaving } else { Phase::Joining };
                Ok(())
            }
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION => {
                if error == ErrorCode::UNKNOWN_MEMBER_ID {
                    self.member_id.clear();
                }
                self.generation = -1;
                self.begin_joining();
                Ok(())
            }
            ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE => {
                self.coordinator = None;
                self.pause(now_ns);
                Ok(())
            }
            error => self.again(error, what, None, now_ns),
        }
    }

    fn again(&mut self, error: ErrorCode, what: &str, message: Option<&str>, now_ns: u64) -> Result<(), ClientError> {
        self.pause(now_ns);
        if error.is_retriable() {
            return Ok(());
        }
        Err(broker_error(format!("group {}: {what}", self.id), error, message))
    }
}

/// Kafka's RangeAssignor, topic by topic: members in order of their ids, the first ones get one partition more.
fn range(members: &[(String, Vec<String>)], counts: &[(String, usize)]) -> Vec<(String, Vec<TopicPartition>)> {
    let mut owned: BTreeMap<&str, Vec<TopicPartition>> =
        members.iter().map(|(id, _)| (id.as_str(), Vec::new())).collect();
    for (topic, count) in counts {
        let mut subscribed: Vec<&str> =
            members.iter().filter(|(_, topics)| topics.contains(topic)).map(|(id, _)| id.as_str()).collect();
        subscribed.sort_unstable();
        let (each, more) = (count / subscribed.len().max(1), count % subscribed.len().max(1));
        let mut next = 0;
        for (place, member) in subscribed.into_iter().enumerate() {
            let end = next + each + usize::from(place < more);
            let partitions = (next..end).filter_map(|partition| i32::try_from(partition).ok());
            owned.entry(member).or_default().extend(partitions.map(|partition| (topic.clone(), partition)));
            next = end;
        }
    }
    owned.into_iter().map(|(id, owned)| (id.to_owned(), owned)).collect()
}

fn by_topic<'a>(partitions: impl Iterator<Item = (&'a String, i32)>) -> BTreeMap<String, Vec<i32>> {
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    partitions.for_each(|(topic, partition)| topics.entry(topic.clone()).or_default().push(partition));
    topics
}

/// A message of the consumer protocol behind its version number.
fn versioned<M: Message>(message: &M) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.raw(&PROTOCOL_VERSION.to_be_bytes());
    message.encode(&mut writer, PROTOCOL_VERSION).expect("topic names fit their length prefix");
    writer.bytes
}

/// Reads what [`versioned`] writes, in any version: a newer one is read as the newest that we know.
fn unversioned<M: Message>(bytes: &[u8]) -> Result<M, ClientError> {
    if bytes.is_empty() {
        return Ok(M::default());
    }
    let mut reader = Reader::new(bytes);
    let version = reader.i16().map(|version| version.clamp(M::VERSIONS.0, M::VERSIONS.1));
    version
        .and_then(|version| M::decode(&mut reader, version))
        .map_err(|error| ClientError::Corrupt(format!("a member's {} does not decode: {error}", M::NAME)))
}

fn ms(duration: std::time::Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
