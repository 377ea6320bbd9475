//! OffsetCommit: a member, or somebody outside the group protocol, stores how far it has read.
//!
//! | group                            | generation -1, no member    | a member's id and generation            |
//! |----------------------------------|-----------------------------|-----------------------------------------|
//! | does not exist                   | stored; the group is made   | GROUP_ID_NOT_FOUND (before v9: ILLEGAL_GENERATION) |
//! | Empty                            | stored                      | UNKNOWN_MEMBER_ID                       |
//! | PreparingRebalance, Stable       | UNKNOWN_MEMBER_ID           | stored; counts as a sign of life        |
//! | CompletingRebalance              | UNKNOWN_MEMBER_ID           | REBALANCE_IN_PROGRESS                   |
//!
//! A group of the consumer protocol: `ConsumerGroup::check_commit`.

use ringlog_wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use ringlog_wire::{EncodeError, ErrorCode, Uuid};

use super::offsets::{Committed, NEVER_EXPIRES};
use super::records::offset_record;
use super::reply::Waiter;
use super::state::{Group, State};
use super::{
    Caller, Effect, GroupCoordinator, GroupResponse, KeyValue, Moment, Pending, Producer, Topics, append_error,
    txn_commit,
};

/// The first version that says that there is no such group.
const GROUP_ID_NOT_FOUND_FROM: i16 = 9;
/// The first version that names topics by id.
const TOPIC_IDS_FROM: i16 = 10;
/// `OffsetCommitRequest.DEFAULT_RETENTION_TIME`: the broker's settings decide.
const BROKERS_RETENTION: i64 = -1;

/// Offsets on their way to the log.
#[derive(Debug)]
pub(super) struct PendingCommit {
    pub(super) group: String,
    /// Whose transaction decides whether they count.
    producer: Option<Producer>,
    waiter: Waiter,
    response: OffsetCommitResponse,
    offsets: Vec<(String, i32, Committed)>,
}

impl PendingCommit {
    /// The answer where the offsets could not be stored.
    pub(super) fn failed(mut self, error: ErrorCode) -> Effect {
        set_error(&mut self.response, error);
        self.answer()
    }

    fn answer(self) -> Effect {
        self.waiter.with(match self.producer {
            Some(_) => GroupResponse::TxnOffsetCommit(txn_commit::response(self.response)),
            None => GroupResponse::OffsetCommit(self.response),
        })
    }
}

/// Gives every partition that had no error this one.
fn set_error(response: &mut OffsetCommitResponse, error: ErrorCode) {
    for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        if partition.error_code == 0 {
            partition.error_code = error.0;
        }
    }
}

/// The topic of a request, resolved.
struct Found {
    name: String,
    id: Uuid,
    partition_count: i32,
}

fn find(topic: &OffsetCommitRequestTopic, api_version: i16, topics: &dyn Topics) -> Result<Found, ErrorCode> {
    let by_id = api_version >= TOPIC_IDS_FROM;
    let missing = if by_id { ErrorCode::UNKNOWN_TOPIC_ID } else { ErrorCode::UNKNOWN_TOPIC_OR_PARTITION };
    let name = if by_id { topics.topic_name(topic.topic_id).ok_or(missing)? } else { topic.name.clone() };
    let id = topics.topic_id(&name).ok_or(missing)?;
    let partition_count = topics.partition_count(&name).ok_or(missing)?;
    Ok(Found { name, id, partition_count })
}

impl GroupCoordinator {
    pub(super) fn commit_offsets(
        &mut self,
        caller: Caller<'_>,
        request: OffsetCommitRequest,
        topics: &dyn Topics,
        at: Moment,
    ) -> Vec<Effect> {
        self.commit(caller, &request, None, topics, at)
    }

    /// Stores offsets, at once or (a producer's) when its transaction is committed.
    pub(super) fn commit(
        &mut self,
        caller: Caller<'_>,
        request: &OffsetCommitRequest,
        producer: Option<Producer>,
        topics: &dyn Topics,
        at: Moment,
    ) -> Vec<Effect> {
        let mut commit = PendingCommit {
            group: request.group_id.clone(),
            producer,
            waiter: caller.waiter(),
            response: OffsetCommitResponse::default(),
            offsets: Vec::new(),
        };
        for topic in &request.topics {
            let found = find(topic, caller.api_version, topics);
            self.take_topic(topic, found, request, at, &mut commit);
        }
        // Where nothing is left to store, the group is not even looked at.
        if commit.response.topics.iter().flat_map(|topic| &topic.partitions).all(|partition| partition.error_code != 0)
        {
            return vec![commit.answer()];
        }
        let partitions = commit.offsets.iter().map(|(_, partition, committed)| (committed.topic_id, *partition));
        let checked = match producer {
            Some(_) => self.check_transactional(request, partitions),
            None => self.check_commit(request, caller.api_version, partitions),
        };
        match checked {
            Ok(()) => self.store_offsets(commit, &request.member_id, at),
            Err(error) => vec![commit.failed(error)],
        }
    }

    fn take_topic(
        &self,
        topic: &OffsetCommitRequestTopic,
        found: Result<Found, ErrorCode>,
        request: &OffsetCommitRequest,
        at: Moment,
        commit: &mut PendingCommit,
    ) {
        let mut answer =
            OffsetCommitResponseTopic { name: topic.name.clone(), topic_id: topic.topic_id, ..Default::default() };
        for partition in &topic.partitions {
            let result =
                found.as_ref().map_err(|error| *error).and_then(|found| self.check_partition(partition, found));
            if let Ok(found) = &result {
                // As Kafka's, a transaction's offsets do not say which topic of that name they are of.
                let topic_id = if commit.producer.is_some() { Uuid::ZERO } else { found.id };
                let committed = committed(partition, topic_id, request.retention_time_ms, at);
                commit.offsets.push((found.name.clone(), partition.partition_index, committed));
            }
            answer.partitions.push(OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: result.err().unwrap_or(ErrorCode::NONE).0,
                ..Default::default()
            });
        }
        commit.response.topics.push(answer);
    }

    fn check_partition<'f>(
        &self,
        partition: &OffsetCommitRequestPartition,
        found: &'f Found,
    ) -> Result<&'f Found, ErrorCode> {
        if !(0..found.partition_count).contains(&partition.partition_index) {
            return Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        }
        // Java counts a string's length in UTF-16 units.
        let metadata_len = partition.committed_metadata.as_ref().map_or(0, |text| text.encode_utf16().count());
        if metadata_len > self.settings.offset_metadata_len_max {
            return Err(ErrorCode::OFFSET_METADATA_TOO_LARGE);
        }
        Ok(found)
    }

    fn check_commit(
        &self,
        request: &OffsetCommitRequest,
        api_version: i16,
        partitions: impl Iterator<Item = (Uuid, i32)>,
    ) -> Result<(), ErrorCode> {
        self.owned.check(&request.group_id)?;
        match self.groups.get(&request.group_id) {
            Some(group) => match &group.consumers {
                Some(consumers) => {
                    let (member, epoch) = (request.member_id.as_str(), request.generation_id_or_member_epoch);
                    consumers.check_commit(member, epoch, api_version, partitions)
                }
                None => group.check_commit(request),
            },
            None if request.generation_id_or_member_epoch < 0 => Ok(()),
            None if api_version >= GROUP_ID_NOT_FOUND_FROM => Err(ErrorCode::GROUP_ID_NOT_FOUND),
            None => Err(ErrorCode::ILLEGAL_GENERATION),
        }
    }

    fn store_offsets(&mut self, commit: PendingCommit, member: &str, at: Moment) -> Vec<Effect> {
        let records: Result<Vec<KeyValue>, EncodeError> = commit
            .offsets
            .iter()
            .map(|(topic, partition, committed)| offset_record(&commit.group, topic, *partition, committed))
            .collect();
        let partition = self.owned.partition_of(&commit.group);
        let group = commit.group.clone();
        self.with_group(&group, at, |group, env| {
            if commit.producer.is_none() && matches!(group.state, State::Stable | State::PreparingRebalance) {
                group.schedule_session(member, env);
            }
            for (topic, partition, _) in &commit.offsets {
                group.offsets.begin(topic, *partition);
            }
        });
        let producer = commit.producer;
        self.with_env(at, |_, env| env.append_of(producer, partition, records, Pending::Offsets(Box::new(commit))))
    }

    /// The offsets are in the log from `base_offset` on, or could not be written.
    pub(super) fn offsets_stored(
        &mut self,
        mut commit: PendingCommit,
        result: Result<i64, ErrorCode>,
        at: Moment,
    ) -> Vec<Effect> {
        if result.is_ok() {
            self.make_group(&commit.group, at);
        }
        let Some(group) = self.groups.get_mut(&commit.group) else {
            return vec![commit.failed(result.err().map_or(ErrorCode::NOT_COORDINATOR, append_error))];
        };
        for (topic, partition, _) in &commit.offsets {
            group.offsets.end(topic, *partition);
        }
        let base_offset = match result {
            Ok(base_offset) => base_offset,
            Err(error) => return vec![commit.failed(append_error(error))],
        };
        for ((topic, partition, committed), log_offset) in
            std::mem::take(&mut commit.offsets).into_iter().zip(base_offset..)
        {
            let committed = Committed { log_offset, ..committed };
            match commit.producer {
                Some(producer) => group.offsets.put_transactional(producer.id, &topic, partition, committed),
                None => group.offsets.put(&topic, partition, committed),
            }
        }
        vec![commit.answer()]
    }
}

fn committed(partition: &OffsetCommitRequestPartition, topic_id: Uuid, retention_ms: i64, at: Moment) -> Committed {
    Committed {
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.clone().unwrap_or_default(),
        commit_ms: at.wall_ms,
        expire_ms: if retention_ms == BROKERS_RETENTION {
            NEVER_EXPIRES
        } else {
            at.wall_ms.saturating_add(retention_ms)
        },
        topic_id,
        log_offset: -1,
    }
}

impl Group {
    /// Kafka's `ClassicGroup.validateOffsetCommit`.
    fn check_commit(&self, request: &OffsetCommitRequest) -> Result<(), ErrorCode> {
        let generation = request.generation_id_or_member_epoch;
        let instance_id = request.group_instance_id.as_deref();
        if generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        if generation < 0 && request.member_id.is_empty() && instance_id.is_none() {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        self.check_member(&request.member_id, instance_id)?;
        #[cfg(feature = "plant")]
        if ringlog_io::plant::is(ringlog_io::plant::GENERATION_IGNORED) {
            return Ok(());
        }
        if generation != self.generation {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        if self.state == State::CompletingRebalance { Err(ErrorCode::REBALANCE_IN_PROGRESS) } else { Ok(()) }
    }
}
