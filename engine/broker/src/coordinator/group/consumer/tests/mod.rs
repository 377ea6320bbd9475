//! What groups of the consumer protocol do, as sentences, against a log that answers when the test says so.

mod migrate;
mod mixed;
mod pace;
mod property;
mod records;

use std::collections::{BTreeMap, VecDeque};

use ringlog_io::Nanos;
use ringlog_wire::messages::consumer_group_describe::{ConsumerGroupDescribeRequest, DescribedGroup};
use ringlog_wire::messages::consumer_group_heartbeat::{
    Assignment, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use ringlog_wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ringlog_wire::{ErrorCode, Uuid};

use super::super::{
    Caller, Effect, GroupCoordinator, GroupRequest, GroupResponse, GroupSettings, KeyValue, Moment, ReplyTo, Ticket,
    Topics,
};
use super::{ConsumerGroup, ConsumerState};

const GROUP: &str = "readers";

/// Topics by name: id and partitions.
#[derive(Clone, Debug, Default)]
struct Cluster {
    topics: BTreeMap<String, (Uuid, i32)>,
    version: i64,
    settings: BTreeMap<String, String>,
}

impl Cluster {
    fn set(&mut self, name: &str, count: i32) {
        self.version += 1;
        let id = Uuid([u8::try_from(self.version).unwrap(); 16]);
        self.topics.entry(name.to_owned()).or_insert((id, 0)).1 = count;
    }

    fn remove(&mut self, name: &str) {
        self.version += 1;
        self.topics.remove(name);
    }
}

impl Topics for Cluster {
    fn topic_id(&self, name: &str) -> Option<Uuid> {
        self.topics.get(name).map(|topic| topic.0)
    }
    fn topic_name(&self, id: Uuid) -> Option<String> {
        self.topics.iter().find(|(_, topic)| topic.0 == id).map(|(name, _)| name.clone())
    }
    fn partition_count(&self, name: &str) -> Option<i32> {
        self.topics.get(name).map(|topic| topic.1)
    }
    fn topic_names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.topics.keys().map(String::as_str))
    }
    fn racks(&self, _: &str, _: i32) -> Vec<String> {
        Vec::new()
    }
    fn version(&self) -> i64 {
        self.version
    }
    fn group_setting(&self, _: &str, name: &str) -> Option<String> {
        self.settings.get(name).cloned()
    }
}

/// A coordinator that owns the only partition of `__consumer_offsets`, its clock, its log and its answers.
struct Rig {
    coordinator: GroupCoordinator,
    cluster: Cluster,
    at: Moment,
    asked: u64,
    answers: BTreeMap<u64, GroupResponse>,
    appending: VecDeque<(Ticket, Vec<KeyValue>)>,
    log: Vec<KeyValue>,
}

impl Rig {
    /// Topic `t` has four partitions; a target is made at once.
    fn new() -> Self {
        let mut settings = GroupSettings::default();
        settings.consumer.assignment_interval_ms = 0;
        Self::with(settings)
    }

    fn with(settings: GroupSettings) -> Self {
        let mut coordinator = GroupCoordinator::new(settings);
        coordinator.owned.set_count(1);
        let at = Moment { now: Nanos(1), wall_ms: 1_700_000_000_000 };
        assert_eq!(coordinator.load(0, &[], at).unwrap(), []);
        let mut cluster = Cluster::default();
        cluster.set("t", 4);
        let (answers, appending, log) = Default::default();
        Self { coordinator, cluster, at, asked: 0, answers, appending, log }
    }

    fn ask(&mut self, api_version: i16, request: GroupRequest) -> u64 {
        let ask = self.asked;
        self.asked += 1;
        let caller = Caller { to: ReplyTo(ask), api_version, client_id: "client", client_host: "/127.0.0.1" };
        let mut random = || ask;
        let effects = self.coordinator.handle(caller, request, &self.cluster, &mut random, self.at);
        self.act(effects);
        ask
    }

    fn act(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Reply { to, response } => {
                    assert!(self.answers.insert(to.0, response).is_none(), "request {} was answered twice", to.0);
                }
                Effect::Append { ticket, records, .. } => self.appending.push_back((ticket, records)),
            }
        }
    }

    /// The log takes what is on its way, and what follows from it.
    fn settle(&mut self) {
        while let Some((ticket, mut records)) = self.appending.pop_front() {
            let base_offset = self.log.len() as i64;
            self.log.append(&mut records);
            let effects = self.coordinator.appended(ticket, Ok(base_offset), &self.cluster, self.at);
            self.act(effects);
        }
    }

    /// The log refuses what is on its way.
    fn fail_appends(&mut self) {
        for (ticket, _) in std::mem::take(&mut self.appending) {
            let error = Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
            let effects = self.coordinator.appended(ticket, error, &self.cluster, self.at);
            self.act(effects);
        }
    }

    fn pass_ms(&mut self, ms: u64) {
        self.at.now.0 += ms * 1_000_000;
        self.at.wall_ms += i64::try_from(ms).unwrap();
        let effects = self.coordinator.tick(&self.cluster, self.at);
        self.act(effects);
    }

    fn send(&mut self, request: ConsumerGroupHeartbeatRequest) -> u64 {
        self.ask(1, GroupRequest::ConsumerHeartbeat(request))
    }

    /// A heartbeat and its answer.
    fn beat(&mut self, request: ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse {
        let ask = self.send(request);
        self.settle();
        self.heard(ask).clone()
    }

    fn heard(&self, ask: u64) -> &ConsumerGroupHeartbeatResponse {
        match self.answers.get(&ask) {
            Some(GroupResponse::ConsumerHeartbeat(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    fn group(&self) -> &ConsumerGroup {
        self.coordinator.groups[GROUP].consumers.as_ref().unwrap()
    }

    fn state(&self) -> ConsumerState {
        self.group().state()
    }

    fn describe(&mut self) -> DescribedGroup {
        let request = ConsumerGroupDescribeRequest { group_ids: vec![GROUP.into()], ..Default::default() };
        let ask = self.ask(1, GroupRequest::ConsumerDescribe(request));
        match self.answers.get(&ask) {
            Some(GroupResponse::ConsumerDescribe(response)) => response.groups[0].clone(),
            other => panic!("{other:?}"),
        }
    }

    fn commit(&mut self, member: &str, epoch: i32, partition: i32) -> ErrorCode {
        let ask = self.ask(9, GroupRequest::OffsetCommit(commit_request(member, epoch, partition)));
        self.settle();
        match self.answers.get(&ask) {
            Some(GroupResponse::OffsetCommit(response)) => ErrorCode(response.topics[0].partitions[0].error_code),
            other => panic!("{other:?}"),
        }
    }
}

/// A member has read a partition of `t` up to offset 7.
fn commit_request(member: &str, epoch: i32, partition: i32) -> OffsetCommitRequest {
    let partitions =
        vec![OffsetCommitRequestPartition { partition_index: partition, committed_offset: 7, ..Default::default() }];
    let topics = vec![OffsetCommitRequestTopic { name: "t".into(), partitions, ..Default::default() }];
    OffsetCommitRequest {
        group_id: GROUP.into(),
        member_id: member.into(),
        generation_id_or_member_epoch: epoch,
        topics,
        retention_time_ms: -1,
        ..Default::default()
    }
}

/// A member that joins, for topic `t`.
fn join(member: &str) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: GROUP.into(),
        member_id: member.into(),
        member_epoch: 0,
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(vec!["t".into()]),
        topic_partitions: Some(Vec::new()),
        ..Default::default()
    }
}

/// A member that is there and says nothing new.
fn alive(member: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: GROUP.into(),
        member_id: member.into(),
        member_epoch: epoch,
        ..Default::default()
    }
}

/// A member that says what it owns now.
fn owning(member: &str, epoch: i32, owned: &Assignment) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest { topic_partitions: Some(owned.topic_partitions.clone()), ..alive(member, epoch) }
}

/// The partitions of `t` in an answer.
fn given(response: &ConsumerGroupHeartbeatResponse) -> Vec<i32> {
    assert_eq!(ErrorCode(response.error_code), ErrorCode::NONE, "{response:?}");
    partitions(response.assignment.as_ref().expect("an assignment"))
}

fn partitions(assignment: &Assignment) -> Vec<i32> {
    assignment.topic_partitions.iter().flat_map(|topic: &TopicPartitions| topic.partitions.clone()).collect()
}

fn error(response: &ConsumerGroupHeartbeatResponse) -> ErrorCode {
    ErrorCode(response.error_code)
}
