//! Members of a group, and what a coordinator may say to them.

mod classic;
mod modern;

use ringlog_wire::messages::consumer_group_heartbeat::{Assignment, ConsumerGroupHeartbeatResponse, TopicPartitions};
use ringlog_wire::messages::find_coordinator::FindCoordinatorResponse;
use ringlog_wire::messages::heartbeat::HeartbeatResponse;
use ringlog_wire::messages::join_group::{JoinGroupResponse, JoinGroupResponseMember};
use ringlog_wire::messages::metadata::{MetadataResponse, MetadataResponsePartition, MetadataResponseTopic};
use ringlog_wire::messages::offset_commit::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use ringlog_wire::messages::offset_fetch::{OffsetFetchResponse, OffsetFetchResponseGroup};
use ringlog_wire::messages::sync_group::SyncGroupResponse;
use ringlog_wire::{ApiKey, ErrorCode, Uuid};

use super::super::properties::Properties;
use super::*;

const SECOND: u64 = 1_000_000_000;
const TOPIC_ID: Uuid = Uuid([7; 16]);

/// A member, its partitions and the time, without a network.
struct Bench {
    group: Group,
    metadata: Metadata,
    fetcher: Fetcher,
    now_ns: u64,
    told: Vec<Change>,
}

impl Bench {
    fn new(more: &str) -> Self {
        let mut properties = Properties::new();
        properties.set("bootstrap.servers", "h:1");
        let pairs = more.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.for_each(|(key, value)| properties.set(key, value));
        let config = ConsumerConfig::parse(&properties).unwrap().config;
        let topics = Topics { names: vec!["t".into()], regex: None };
        let group = Group::subscribed("g", topics, &config, 0, [1, 2]);
        let mut metadata = Metadata::new(&config.common, true);
        metadata.use_topic("t");
        let mut bench = Self { group, metadata, fetcher: Fetcher::new(&config), now_ns: 0, told: Vec::new() };
        bench.partitions(2);
        bench.find_coordinator();
        bench
    }

    fn find_coordinator(&mut self) {
        let response = FindCoordinatorResponse { node_id: 3, host: "h".into(), port: 1, ..Default::default() };
        self.group.on_coordinator(&response, self.now_ns).unwrap();
    }

    fn partitions(&mut self, count: i32) {
        let partition =
            |partition_index| MetadataResponsePartition { partition_index, leader_id: 1, ..Default::default() };
        let topic = MetadataResponseTopic {
            name: Some("t".into()),
            topic_id: TOPIC_ID,
            partitions: (0..count).map(partition).collect(),
            ..Default::default()
        };
        self.metadata.update(&MetadataResponse { topics: vec![topic], ..Default::default() }, self.now_ns);
    }

    fn ask(&mut self, polls: bool) -> Option<Ask> {
        let (now_ns, metadata, fetcher) = (self.now_ns, &mut self.metadata, &self.fetcher);
        self.group.next(&mut Around { now_ns, metadata, fetcher, polls }).unwrap()
    }

    /// What goes out next; changes are told first, as a poll does.
    fn next(&mut self) -> Option<Ask> {
        loop {
            let ask = self.ask(true);
            let changes = self.group.take_changes();
            if changes.is_empty() {
                return ask;
            }
            changes.iter().for_each(|change| self.apply(change));
            self.told.extend(changes);
            if ask.is_some() {
                return ask;
            }
        }
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Revoked(gone) | Change::Lost(gone) => self.fetcher.unassign(gone),
            Change::Assigned { owned, .. } => self.fetcher.assign(owned, true),
        }
    }

    fn told(&mut self) -> Vec<Change> {
        let changes = self.group.take_changes();
        changes.iter().for_each(|change| self.apply(change));
        self.told.extend(changes);
        std::mem::take(&mut self.told)
    }

    fn join(&mut self) -> JoinGroupRequest {
        match self.next() {
            Some(Ask::Join(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    fn joined(&mut self, response: &JoinGroupResponse) -> Result<(), ClientError> {
        let (now_ns, metadata, fetcher) = (self.now_ns, &mut self.metadata, &self.fetcher);
        self.group.on_join(response, &mut Around { now_ns, metadata, fetcher, polls: true })
    }

    fn synced(&mut self, owned: &[TopicPartition]) {
        let assignment = subscription::assignment(owned);
        self.group.on_sync(&SyncGroupResponse { assignment, ..Default::default() }, self.now_ns).unwrap();
    }

    fn positions(&mut self) {
        let Some(Ask::Positions(_, tag)) = self.next() else { panic!("no OffsetFetch") };
        let stored = self.group.on_positions(tag, &OffsetFetchResponse::default(), self.now_ns).unwrap();
        assert!(stored.iter().all(|(_, committed)| committed.offset == -1), "nothing is stored");
        self.fetcher.committed(&stored);
        assert_eq!(self.fetcher.awaiting_committed(), []);
        for partition in self.fetcher.assigned().cloned().collect::<Vec<_>>() {
            self.fetcher.seek(&partition, 5);
        }
    }

    /// Brings a lone member to the point where it reads both partitions.
    fn settle(&mut self) {
        let request = self.join();
        let (strategy, subscription) = (request.protocols[0].name.clone(), request.protocols[0].metadata.clone());
        self.joined(&joined(&strategy, "a", "a", &[("a", subscription)])).unwrap();
        let Some(Ask::Sync(sync)) = self.next() else { panic!("no SyncGroup") };
        assert_eq!(sync.generation_id, 4);
        let assignment = sync.assignments[0].assignment.clone();
        self.group.on_sync(&SyncGroupResponse { assignment, ..Default::default() }, self.now_ns).unwrap();
        self.positions();
        self.told();
    }

    fn heartbeat(&mut self, error: ErrorCode) -> Result<(), ClientError> {
        let response = HeartbeatResponse { error_code: error.0, ..Default::default() };
        self.group.on_heartbeat(&response, self.now_ns)
    }

    fn committed(&mut self, tag: u64, error: ErrorCode) {
        let partition = OffsetCommitResponsePartition { error_code: error.0, ..Default::default() };
        let topic = OffsetCommitResponseTopic { partitions: vec![partition], ..Default::default() };
        let response = OffsetCommitResponse { topics: vec![topic], ..Default::default() };
        self.group.on_commit(tag, &response, self.now_ns).unwrap();
    }

    fn commit(&mut self) -> (OffsetCommitRequest, u64) {
        match self.next() {
            Some(Ask::Commit(request, tag)) => (request, tag),
            other => panic!("{other:?}"),
        }
    }

    fn modern(&mut self) -> ConsumerGroupHeartbeatRequest {
        match self.next() {
            Some(Ask::Modern(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    fn answered(&mut self, member_epoch: i32, assigned: Option<&[i32]>) {
        let topic = |partitions: &[i32]| TopicPartitions {
            topic_id: TOPIC_ID,
            partitions: partitions.to_vec(),
            ..Default::default()
        };
        let assignment = assigned.map(|it| Assignment { topic_partitions: vec![topic(it)], ..Default::default() });
        let response = ConsumerGroupHeartbeatResponse {
            member_epoch,
            heartbeat_interval_ms: 5000,
            assignment,
            ..Default::default()
        };
        self.group.on_modern(&response, self.now_ns).unwrap();
    }
}

fn joined(strategy: &str, leader: &str, id: &str, members: &[(&str, Vec<u8>)]) -> JoinGroupResponse {
    let member = |(id, metadata): &(&str, Vec<u8>)| JoinGroupResponseMember {
        member_id: (*id).into(),
        metadata: metadata.clone(),
        ..Default::default()
    };
    JoinGroupResponse {
        generation_id: 4,
        protocol_name: Some(strategy.into()),
        leader: leader.into(),
        member_id: id.into(),
        members: members.iter().map(member).collect(),
        ..Default::default()
    }
}

fn t(partitions: &[i32]) -> Vec<TopicPartition> {
    partitions.iter().map(|partition| ("t".to_owned(), *partition)).collect()
}
