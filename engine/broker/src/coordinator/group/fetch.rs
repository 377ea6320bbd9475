//! OffsetFetch: how far groups have read. Up to v7 for one group, from v8 for several, from v10 with topic ids.

use ringlog_wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use ringlog_wire::{ErrorCode, Uuid};

use super::offsets::{Committed, Offsets};
use super::state::Group;
use super::{Caller, Effect, GroupCoordinator, GroupResponse, Topics};

const SEVERAL_GROUPS_FROM: i16 = 8;
const TOP_LEVEL_ERROR_FROM: i16 = 2;
const TOPIC_IDS_FROM: i16 = 10;

/// How offsets are asked for, the same for every group of a request.
#[derive(Clone, Copy)]
struct Asked<'a> {
    topics: &'a dyn Topics,
    by_id: bool,
    require_stable: bool,
}

impl GroupCoordinator {
    pub(super) fn fetch_offsets(
        &self,
        caller: Caller<'_>,
        request: OffsetFetchRequest,
        topics: &dyn Topics,
    ) -> Vec<Effect> {
        let asked =
            Asked { topics, by_id: caller.api_version >= TOPIC_IDS_FROM, require_stable: request.require_stable };
        let response = if caller.api_version >= SEVERAL_GROUPS_FROM {
            let groups = request.groups.iter().map(|group| self.fetch_group(group, asked)).collect();
            OffsetFetchResponse { groups, ..Default::default() }
        } else {
            let group = only_group(request);
            one_group(self.fetch_group(&group, asked), &group, caller.api_version)
        };
        vec![caller.waiter().with(GroupResponse::OffsetFetch(response))]
    }

    fn fetch_group(&self, request: &OffsetFetchRequestGroup, asked: Asked<'_>) -> OffsetFetchResponseGroup {
        let mut answer = OffsetFetchResponseGroup { group_id: request.group_id.clone(), ..Default::default() };
        if let Err(error) = self.owned.check(&request.group_id) {
            answer.error_code = error.0;
            return answer;
        }
        let group = self.groups.get(&request.group_id);
        if let Err(error) = check_member(group, request) {
            answer.error_code = error.0;
            return answer;
        }
        let nothing = Offsets::default();
        let offsets = group.map_or(&nothing, |group| &group.offsets);
        answer.topics = match &request.topics {
            Some(topics) => topics.iter().map(|topic| fetch_topic(offsets, topic, asked)).collect(),
            None => fetch_all(offsets, asked),
        };
        answer
    }
}

/// Who says that it is a member must be one, where the group speaks the consumer protocol (from v9 on it can say so).
fn check_member(group: Option<&Group>, request: &OffsetFetchRequestGroup) -> Result<(), ErrorCode> {
    if request.member_id.is_none() && request.member_epoch < 0 {
        return Ok(());
    }
    match group {
        None => Err(ErrorCode::GROUP_ID_NOT_FOUND),
        Some(group) => match &group.consumers {
            Some(consumers) => {
                consumers.check_fetch(request.member_id.as_deref().unwrap_or_default(), request.member_epoch)
            }
            None => Ok(()),
        },
    }
}

fn fetch_topic(offsets: &Offsets, topic: &OffsetFetchRequestTopics, asked: Asked<'_>) -> OffsetFetchResponseTopics {
    let name = if asked.by_id { asked.topics.topic_name(topic.topic_id) } else { Some(topic.name.clone()) };
    let partitions = topic.partition_indexes.iter().map(|&index| match &name {
        Some(name) => {
            let id = if asked.by_id { topic.topic_id } else { asked.topics.topic_id(name).unwrap_or_default() };
            fetch_partition(offsets, name, id, index, asked)
        }
        None => no_offset(index, ErrorCode::UNKNOWN_TOPIC_ID),
    });
    OffsetFetchResponseTopics {
        partitions: partitions.collect(),
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        ..Default::default()
    }
}

/// Everything that is committed. A topic that is gone has no id, so that v10 cannot name it.
fn fetch_all(offsets: &Offsets, asked: Asked<'_>) -> Vec<OffsetFetchResponseTopics> {
    offsets
        .all()
        .filter_map(|(name, partitions)| {
            let id = asked.topics.topic_id(name);
            let topic_id = if asked.by_id { id? } else { id.unwrap_or_default() };
            let partitions =
                partitions.keys().map(|&index| fetch_partition(offsets, name, topic_id, index, asked)).collect();
            Some(OffsetFetchResponseTopics { name: name.to_owned(), topic_id, partitions, ..Default::default() })
        })
        .collect()
}

fn fetch_partition(
    offsets: &Offsets,
    topic: &str,
    topic_id: Uuid,
    index: i32,
    asked: Asked<'_>,
) -> OffsetFetchResponsePartitions {
    if asked.require_stable && offsets.is_unstable(topic, index) {
        return no_offset(index, ErrorCode::UNSTABLE_OFFSET_COMMIT);
    }
    match offsets.get(topic, index).filter(|committed| committed.is_of(topic_id)) {
        Some(committed) => stored(index, committed),
        None => no_offset(index, ErrorCode::NONE),
    }
}

fn stored(index: i32, committed: &Committed) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index: index,
        committed_offset: committed.offset,
        committed_leader_epoch: committed.leader_epoch,
        metadata: Some(committed.metadata.clone()),
        ..Default::default()
    }
}

fn no_offset(index: i32, error: ErrorCode) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index: index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(String::new()),
        error_code: error.0,
        ..Default::default()
    }
}

/// The group of a request before v8.
fn only_group(request: OffsetFetchRequest) -> OffsetFetchRequestGroup {
    let topics = request.topics.map(|topics| {
        let each = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
            name: topic.name,
            partition_indexes: topic.partition_indexes,
            ..Default::default()
        });
        each.collect()
    });
    OffsetFetchRequestGroup { group_id: request.group_id, topics, ..Default::default() }
}

/// The answer before v8. In v1 an error has no place but the partitions.
fn one_group(
    group: OffsetFetchResponseGroup,
    request: &OffsetFetchRequestGroup,
    api_version: i16,
) -> OffsetFetchResponse {
    let mut topics = group.topics;
    if group.error_code != 0 && api_version < TOP_LEVEL_ERROR_FROM {
        topics = request.topics.iter().flatten().map(|topic| refused(topic, ErrorCode(group.error_code))).collect();
    }
    OffsetFetchResponse {
        topics: topics.into_iter().map(as_before_v8).collect(),
        error_code: group.error_code,
        ..Default::default()
    }
}

fn refused(topic: &OffsetFetchRequestTopics, error: ErrorCode) -> OffsetFetchResponseTopics {
    OffsetFetchResponseTopics {
        name: topic.name.clone(),
        partitions: topic.partition_indexes.iter().map(|&index| no_offset(index, error)).collect(),
        ..Default::default()
    }
}

fn as_before_v8(topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopic {
    let partitions = topic.partitions.into_iter().map(|partition| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
        ..Default::default()
    });
    OffsetFetchResponseTopic { name: topic.name, partitions: partitions.collect(), ..Default::default() }
}
