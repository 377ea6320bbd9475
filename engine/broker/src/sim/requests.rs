//! Requests that several of the simulation's clients make: about one topic, one partition, one group.

use ringlog_wire::Uuid;
use ringlog_wire::messages::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use ringlog_wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use ringlog_wire::messages::find_coordinator::FindCoordinatorRequest;
use ringlog_wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ringlog_wire::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};

use super::ledger::Key;

/// A topic with these settings of its own.
pub(super) fn create_topic(name: &str, partitions: i32, settings: &[(&str, &str)]) -> CreateTopicsRequest {
    let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
        ..Default::default()
    };
    let topic = CreatableTopic {
        name: name.to_owned(),
        num_partitions: partitions,
        replication_factor: 1,
        configs: settings.iter().map(config).collect(),
        ..Default::default()
    };
    CreateTopicsRequest { topics: vec![topic], ..Default::default() }
}

/// A read of one partition, outside any session.
pub(super) fn fetch((topic_id, partition): Key, fetch_offset: i64, partition_max_bytes: i32) -> FetchRequest {
    let partition = FetchPartition { partition, fetch_offset, partition_max_bytes, ..Default::default() };
    let topic = FetchTopic { topic_id, partitions: vec![partition], ..Default::default() };
    FetchRequest {
        replica_id: -1,
        max_wait_ms: 100,
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    }
}

/// The coordinator of a group.
pub(super) fn coordinator_of(group: &str) -> FindCoordinatorRequest {
    FindCoordinatorRequest { key: group.to_owned(), ..Default::default() }
}

/// A topic as requests about offsets name it: up to version 9, and from version 10 on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named<'a> {
    Name(&'a str),
    Id(Uuid),
}

impl Named<'_> {
    fn parts(self) -> (String, Uuid) {
        match self {
            Self::Name(name) => (name.to_owned(), Uuid::ZERO),
            Self::Id(id) => (String::new(), id),
        }
    }
}

/// Stores one offset, as a member with its generation or epoch; as nobody: `("", -1)`.
pub(super) fn commit(
    group: &str,
    (member, epoch): (&str, i32),
    (topic, partition_index): (Named<'_>, i32),
    committed_offset: i64,
) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition { partition_index, committed_offset, ..Default::default() };
    let (name, topic_id) = topic.parts();
    let topic = OffsetCommitRequestTopic { name, topic_id, partitions: vec![partition], ..Default::default() };
    OffsetCommitRequest {
        group_id: group.to_owned(),
        generation_id_or_member_epoch: epoch,
        member_id: member.to_owned(),
        topics: vec![topic],
        ..Default::default()
    }
}

/// Looks at one stored offset, as a member of the consumer protocol or as anybody.
pub(super) fn committed(
    group: &str,
    member: Option<(&str, i32)>,
    (topic, partition): (Named<'_>, i32),
) -> OffsetFetchRequest {
    let (name, topic_id) = topic.parts();
    let topic = OffsetFetchRequestTopics { name, topic_id, partition_indexes: vec![partition], ..Default::default() };
    let group = OffsetFetchRequestGroup {
        group_id: group.to_owned(),
        member_id: member.map(|(id, _)| id.to_owned()),
        member_epoch: member.map_or(-1, |(_, epoch)| epoch),
        topics: Some(vec![topic]),
        ..Default::default()
    };
    OffsetFetchRequest { groups: vec![group], ..Default::default() }
}
