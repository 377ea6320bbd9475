//! DeleteGroups and OffsetDelete: tombstones first, then the group or its offsets are gone.
//!
//! | group                  | DeleteGroups       | OffsetDelete                                                |
//! |------------------------|--------------------|-------------------------------------------------------------|
//! | does not exist         | GROUP_ID_NOT_FOUND | GROUP_ID_NOT_FOUND                                          |
//! | Empty                  | deleted            | deleted                                                     |
//! | has members, consumers | NON_EMPTY_GROUP    | deleted; GROUP_SUBSCRIBED_TO_TOPIC where a member reads it  |
//! | has members, others    | NON_EMPTY_GROUP    | NON_EMPTY_GROUP                                             |
//!
//! Kafka's `GroupMetadataManager.deleteGroup` and `OffsetMetadataManager.deleteOffsets`.

use std::collections::BTreeSet;

use ringlog_wire::messages::delete_groups::{DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse};
use ringlog_wire::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use ringlog_wire::{EncodeError, ErrorCode};

use super::consumer::{CONSUMERS, subscription};
use super::records::{group_tombstone, offset_tombstone};
use super::reply::Waiter;
use super::state::{Group, State};
use super::{Caller, Effect, GroupCoordinator, GroupResponse, KeyValue, Moment, Pending, Topics, append_error};

/// A DeleteGroups request some of whose groups are on their way out of the log.
#[derive(Debug)]
pub(super) struct Deletion {
    waiter: Waiter,
    results: Vec<DeletableGroupResult>,
    /// Groups whose tombstones have not reached the log.
    open: usize,
}

/// The tombstones of one group of a [`Deletion`].
#[derive(Debug)]
pub(super) struct PendingGroup {
    pub(super) group: String,
    deletion: u64,
    /// Its place among the results.
    place: usize,
    offsets: Vec<(String, i32)>,
}

/// Tombstones of offsets.
#[derive(Debug)]
pub(super) struct PendingOffsets {
    pub(super) group: String,
    waiter: Waiter,
    response: OffsetDeleteResponse,
    offsets: Vec<(String, i32)>,
}

impl GroupCoordinator {
    pub(super) fn delete_groups(
        &mut self,
        caller: Caller<'_>,
        request: DeleteGroupsRequest,
        at: Moment,
    ) -> Vec<Effect> {
        let deletion = self.next_deletion;
        self.next_deletion += 1;
        let mut results = Vec::with_capacity(request.groups_names.len());
        let mut doomed = Vec::new();
        let mut seen = BTreeSet::new();
        for group_id in request.groups_names {
            // A name that stands there twice is answered once.
            if !seen.insert(group_id.clone()) {
                continue;
            }
            let result = self.check_deletion(&group_id);
            if result.is_ok() {
                doomed.push((results.len(), group_id.clone()));
            }
            let error_code = result.err().unwrap_or(ErrorCode::NONE).0;
            results.push(DeletableGroupResult { group_id, error_code, ..Default::default() });
        }
        self.deletions.insert(deletion, Deletion { waiter: caller.waiter(), results, open: doomed.len() });
        let mut effects = Vec::new();
        for (place, group) in doomed {
            effects.append(&mut self.with_group(&group, at, |group, env| {
                let offsets = group.offsets.names();
                let records = group.tombstones(&offsets);
                let pending = PendingGroup { group: group.id.clone(), deletion, place, offsets };
                env.append(group.partition, records, Pending::GroupGone(Box::new(pending)));
            }));
        }
        effects.extend(self.answer_deletion(deletion));
        effects
    }

    fn check_deletion(&self, group: &str) -> Result<(), ErrorCode> {
        self.owned.check(group)?;
        let found = self.groups.get(group);
        if let Some(consumers) = found.and_then(|group| group.consumers.as_ref()) {
            let is_empty = consumers.is_empty() && !self.busy.contains_key(group);
            return if is_empty { Ok(()) } else { Err(ErrorCode::NON_EMPTY_GROUP) };
        }
        match found.map(|group| group.state) {
            None => Err(ErrorCode::GROUP_ID_NOT_FOUND),
            Some(State::Empty) => Ok(()),
            Some(State::PreparingRebalance | State::CompletingRebalance | State::Stable) => {
                Err(ErrorCode::NON_EMPTY_GROUP)
            }
        }
    }

    /// A group's tombstones are in the log, or could not be written.
    pub(super) fn group_gone(&mut self, gone: PendingGroup, result: Result<i64, ErrorCode>) -> Vec<Effect> {
        match result {
            Ok(_) => self.forget(&gone),
            Err(error) => self.refuse_deletion(&gone, append_error(error)),
        }
        if let Some(deletion) = self.deletions.get_mut(&gone.deletion) {
            deletion.open -= 1;
        }
        self.answer_deletion(gone.deletion).into_iter().collect()
    }

    /// The partition was unloaded while the tombstones were on their way.
    pub(super) fn group_not_gone(&mut self, gone: &PendingGroup, error: ErrorCode) -> Option<Effect> {
        self.refuse_deletion(gone, error);
        self.deletions.get_mut(&gone.deletion)?.open -= 1;
        self.answer_deletion(gone.deletion)
    }

    fn refuse_deletion(&mut self, gone: &PendingGroup, error: ErrorCode) {
        let deletion = self.deletions.get_mut(&gone.deletion);
        if let Some(result) = deletion.and_then(|deletion| deletion.results.get_mut(gone.place)) {
            result.error_code = error.0;
        }
    }

    /// What came while the tombstones were on their way follows them in the log, and stays: members, newer offsets.
    fn forget(&mut self, gone: &PendingGroup) {
        let Some(group) = self.groups.get_mut(&gone.group) else { return };
        for (topic, partition) in &gone.offsets {
            group.offsets.remove(topic, *partition);
        }
        if group.state != State::Empty || group.consumers.as_ref().is_some_and(|consumers| !consumers.is_empty()) {
            return;
        }
        let offsets = std::mem::take(&mut group.offsets);
        if offsets.is_empty() {
            self.groups.remove(&gone.group);
        } else {
            *group = Group { offsets, ..Group::new(&gone.group, group.partition) };
        }
        self.timers.cancel_groups(|group| group == gone.group);
    }

    fn answer_deletion(&mut self, deletion: u64) -> Option<Effect> {
        if self.deletions.get(&deletion)?.open > 0 {
            return None;
        }
        let Deletion { waiter, results, .. } = self.deletions.remove(&deletion)?;
        Some(waiter.with(GroupResponse::Delete(DeleteGroupsResponse { results, ..Default::default() })))
    }

    pub(super) fn delete_offsets(
        &mut self,
        caller: Caller<'_>,
        request: OffsetDeleteRequest,
        topics: &dyn Topics,
        at: Moment,
    ) -> Vec<Effect> {
        let waiter = caller.waiter();
        let refused = |error: ErrorCode| {
            let response = OffsetDeleteResponse { error_code: error.0, ..Default::default() };
            vec![waiter.with(GroupResponse::OffsetDelete(response))]
        };
        if let Err(error) = self.check_group(&request.group_id) {
            return refused(error);
        }
        let Some(group) = self.groups.get(&request.group_id) else { return refused(ErrorCode::GROUP_ID_NOT_FOUND) };
        if group.state != State::Empty && group.protocol_type.as_deref() != Some(CONSUMERS) {
            return refused(ErrorCode::NON_EMPTY_GROUP);
        }
        let mut pending = PendingOffsets {
            group: request.group_id.clone(),
            waiter,
            response: Default::default(),
            offsets: Vec::new(),
        };
        for topic in request.topics {
            let count = topics.partition_count(&topic.name).unwrap_or(0);
            let is_read = group.reads(&topic.name);
            let mut answer = OffsetDeleteResponseTopic { name: topic.name, ..Default::default() };
            for partition in topic.partitions.iter().map(|partition| partition.partition_index) {
                let error = match (0..count).contains(&partition) {
                    false => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                    true if is_read => ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC,
                    true => ErrorCode::NONE,
                };
                if error.is_none() && group.offsets.get(&answer.name, partition).is_some() {
                    pending.offsets.push((answer.name.clone(), partition));
                }
                answer.partitions.push(OffsetDeleteResponsePartition {
                    partition_index: partition,
                    error_code: error.0,
                    ..Default::default()
                });
            }
            pending.response.topics.push(answer);
        }
        if pending.offsets.is_empty() {
            return vec![waiter.with(GroupResponse::OffsetDelete(pending.response))];
        }
        let partition = group.partition;
        let tombstone = |(topic, partition): &(String, i32)| offset_tombstone(&pending.group, topic, *partition);
        let records = pending.offsets.iter().map(tombstone).collect();
        self.with_env(at, |_, env| env.append(partition, records, Pending::OffsetsGone(Box::new(pending))))
    }

    /// Tombstones of offsets are in the log, or could not be written.
    pub(super) fn offsets_gone(&mut self, gone: PendingOffsets, result: Result<i64, ErrorCode>) -> Vec<Effect> {
        if let Err(error) = result {
            return vec![gone.failed(append_error(error))];
        }
        if let Some(group) = self.groups.get_mut(&gone.group) {
            gone.offsets.iter().for_each(|(topic, partition)| group.offsets.remove(topic, *partition));
        }
        vec![gone.waiter.with(GroupResponse::OffsetDelete(gone.response))]
    }
}

impl PendingOffsets {
    /// The answer where the tombstones could not be written.
    pub(super) fn failed(self, error: ErrorCode) -> Effect {
        let response = OffsetDeleteResponse { error_code: error.0, ..Default::default() };
        self.waiter.with(GroupResponse::OffsetDelete(response))
    }
}

impl Group {
    /// What takes these offsets and the group itself out of the log.
    fn tombstones(&self, offsets: &[(String, i32)]) -> Result<Vec<KeyValue>, EncodeError> {
        let offsets = offsets.iter().map(|(topic, partition)| offset_tombstone(&self.id, topic, *partition));
        let mut records: Vec<KeyValue> = offsets.collect::<Result<_, _>>()?;
        match &self.consumers {
            Some(consumers) => records.append(&mut consumers.tombstones(&self.id)?),
            None => records.push(group_tombstone(&self.id)?),
        }
        Ok(records)
    }

    /// Whether a member reads the topic, as far as its subscription can be read; where it cannot, it does
    /// (ClassicGroup.isSubscribedToTopic).
    fn reads(&self, topic: &str) -> bool {
        if let Some(consumers) = &self.consumers {
            return consumers.reads(topic);
        }
        if self.members.is_empty() || self.protocol_type.as_deref() != Some(CONSUMERS) {
            return false;
        }
        let Some(protocol) = &self.protocol else { return true };
        self.members.values().any(|member| match subscription(member.metadata(protocol)) {
            Some(subscription) => subscription.topics.iter().any(|read| read == topic),
            None => true,
        })
    }
}
