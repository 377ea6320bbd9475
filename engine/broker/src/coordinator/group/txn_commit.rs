//! TxnOffsetCommit: offsets that count once a producer's transaction is committed. The same as OffsetCommit but for who may store
//! them, and that they wait for the marker in `__consumer_offsets`.
//!
//! | group                     | generation -1, no member | a member's id and generation                        |
//! |---------------------------|--------------------------|-----------------------------------------------------|
//! | does not exist            | stored                   | ILLEGAL_GENERATION                                  |
//! | Empty                     | stored                   | UNKNOWN_MEMBER_ID                                   |
//! | with members              | stored                   | stored where both are the group's                   |

use ringlog_wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
};
use ringlog_wire::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestTopic, TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
};
use ringlog_wire::{ErrorCode, Uuid};

use super::state::{Group, State};
use super::{Caller, Effect, GroupCoordinator, Moment, Producer, Topics};

/// Topics are named here in every version, and a member's epoch may be too old: OffsetCommit's version that has both.
const AS_OFFSET_COMMIT: i16 = 9;

/// The answer where nothing is stored.
pub(crate) fn refused(request: &TxnOffsetCommitRequest, error: ErrorCode) -> TxnOffsetCommitResponse {
    let topic = |topic: &TxnOffsetCommitRequestTopic| TxnOffsetCommitResponseTopic {
        name: topic.name.clone(),
        partitions: topic.partitions.iter().map(|partition| answer(partition.partition_index, error.0)).collect(),
        ..Default::default()
    };
    TxnOffsetCommitResponse { topics: request.topics.iter().map(topic).collect(), ..Default::default() }
}

fn answer(partition_index: i32, error_code: i16) -> TxnOffsetCommitResponsePartition {
    TxnOffsetCommitResponsePartition { partition_index, error_code, ..Default::default() }
}

/// The answer in this request's form.
pub(super) fn response(response: OffsetCommitResponse) -> TxnOffsetCommitResponse {
    let topics = response.topics.into_iter().map(|topic| TxnOffsetCommitResponseTopic {
        partitions: topic.partitions.iter().map(|one| answer(one.partition_index, one.error_code)).collect(),
        name: topic.name,
        ..Default::default()
    });
    TxnOffsetCommitResponse { topics: topics.collect(), ..Default::default() }
}

fn as_offset_commit(request: TxnOffsetCommitRequest) -> OffsetCommitRequest {
    let topics = request.topics.into_iter().map(|topic| OffsetCommitRequestTopic {
        name: topic.name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|partition| OffsetCommitRequestPartition {
                partition_index: partition.partition_index,
                committed_offset: partition.committed_offset,
                committed_leader_epoch: partition.committed_leader_epoch,
                committed_metadata: partition.committed_metadata,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    });
    OffsetCommitRequest {
        group_id: request.group_id,
        generation_id_or_member_epoch: request.generation_id,
        member_id: request.member_id,
        group_instance_id: request.group_instance_id,
        topics: topics.collect(),
        ..Default::default()
    }
}

impl GroupCoordinator {
    pub(super) fn commit_in_transaction(
        &mut self,
        caller: Caller<'_>,
        request: TxnOffsetCommitRequest,
        topics: &dyn Topics,
        at: Moment,
    ) -> Vec<Effect> {
        let producer = Producer { id: request.producer_id, epoch: request.producer_epoch };
        let caller = Caller { api_version: AS_OFFSET_COMMIT, ..caller };
        self.commit(caller, &as_offset_commit(request), Some(producer), topics, at)
    }

    pub(super) fn check_transactional(
        &self,
        request: &OffsetCommitRequest,
        partitions: impl Iterator<Item = (Uuid, i32)>,
    ) -> Result<(), ErrorCode> {
        self.check_group(&request.group_id)?;
        let generation = request.generation_id_or_member_epoch;
        match self.groups.get(&request.group_id) {
            None if generation < 0 => Ok(()),
            None => Err(ErrorCode::ILLEGAL_GENERATION),
            Some(Group { consumers: Some(_), .. }) if generation < 0 => Ok(()),
            Some(Group { consumers: Some(consumers), .. }) => {
                let checked = consumers.check_commit(&request.member_id, generation, AS_OFFSET_COMMIT, partitions);
                checked.map_err(|error| match error {
                    ErrorCode::STALE_MEMBER_EPOCH => ErrorCode::ILLEGAL_GENERATION,
                    other => other,
                })
            }
            Some(group) => group.check_transactional(request),
        }
    }

    /// A producer's transaction has ended in a partition: the offsets that it carried count from now on, or never.
    pub(crate) fn transaction_ended(&mut self, partition: i32, producer_id: i64, is_commit: bool) {
        for group in self.groups.values_mut().filter(|group| group.partition == partition) {
            group.offsets.end_transaction(producer_id, is_commit);
        }
    }
}

impl Group {
    /// Kafka's `ClassicGroup.validateOffsetCommit` for transactions.
    fn check_transactional(&self, request: &OffsetCommitRequest) -> Result<(), ErrorCode> {
        let generation = request.generation_id_or_member_epoch;
        let instance_id = request.group_instance_id.as_deref();
        let is_nobody = generation < 0 && request.member_id.is_empty() && instance_id.is_none();
        if is_nobody || (generation < 0 && self.state == State::Empty) {
            return Ok(());
        }
        self.check_member(&request.member_id, instance_id)?;
        if generation == self.generation { Ok(()) } else { Err(ErrorCode::ILLEGAL_GENERATION) }
    }
}
