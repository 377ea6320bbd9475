//! A partition of `__consumer_offsets` becomes ours: its records are read again, and its groups stand as they stood.
//!
//! ```text
//!   begin_load -> load_part (as often as there are batches) -> finish_load     Loading -> Active
//!   unload                                                                     what waits is told NOT_COORDINATOR
//! ```
//!
//! Records of share and streams groups are passed over; their offsets are kept.

use ringlog_wire::messages::join_group::JoinGroupRequestProtocol;
use ringlog_wire::records::group::{
    GroupKey, GroupMetadataValue, MemberMetadata, OffsetCommitKey, OffsetCommitValue, decode_value,
};
use ringlog_wire::{DecodeError, ErrorCode, Reader};

use super::consumer::Fact;
use super::member::Member;
use super::offsets::Committed;
use super::state::{Group, State};
use super::{Effect, GroupCoordinator, Moment, Pending};
use crate::coordinator::partition_of;
use crate::coordinator::replay::{self, LoadError};
use crate::metadata::image::OFFSETS_TOPIC;

/// The type of a control record that commits a transaction (0 aborts).
const COMMIT_MARKER: i16 = 1;

/// What a record's batch says about it.
#[derive(Clone, Copy, Debug)]
struct Origin {
    offset: i64,
    /// The producer, where the record is part of a transaction.
    transaction: Option<i64>,
}

impl GroupCoordinator {
    /// A whole partition at once: [`Owned::begin_load`], [`Self::load_part`], [`Self::finish_load`]. A partition that
    /// cannot be read is not owned: its groups get NOT_COORDINATOR.
    #[cfg(test)]
    pub(crate) fn load(&mut self, partition: i32, bytes: &[u8], at: Moment) -> Result<Vec<Effect>, LoadError> {
        self.owned.begin_load(partition);
        match self.load_part(partition, bytes) {
            Ok(_) => Ok(self.finish_load(partition, at)),
            Err(error) => {
                self.unload(partition);
                Err(error)
            }
        }
    }

    /// Replays whole batches, in the order of the log. Gives how many of the bytes it used: a batch that is cut off at
    /// the end is for the next call.
    pub(crate) fn load_part(&mut self, partition: i32, bytes: &[u8]) -> Result<usize, LoadError> {
        replay::records((OFFSETS_TOPIC, partition), bytes, |header, record, key| {
            if header.is_control() {
                return self.replay_marker(partition, header.producer_id, key);
            }
            let transaction = header.is_transactional().then_some(header.producer_id);
            self.replay(partition, key, record.value, Origin { offset: record.offset, transaction })
        })
    }

    /// The end of a producer's transaction: version i16, type i16.
    fn replay_marker(&mut self, partition: i32, producer_id: i64, key: &[u8]) -> Result<(), DecodeError> {
        let mut reader = Reader::new(key);
        let (_version, kind) = (reader.i16()?, reader.i16()?);
        self.transaction_ended(partition, producer_id, kind == COMMIT_MARKER);
        Ok(())
    }

    fn replay(&mut self, partition: i32, key: &[u8], value: Option<&[u8]>, origin: Origin) -> Result<(), DecodeError> {
        match (GroupKey::decode(key)?, value) {
            (GroupKey::Offset(key), Some(value)) => {
                let value: OffsetCommitValue = decode_value(value)?;
                self.loaded_group(&key.group, partition).replay_offset(&key, value, origin);
            }
            (GroupKey::Offset(key), None) => {
                self.loaded_group(&key.group, partition).offsets.remove(&key.topic, key.partition);
                self.drop_if_bare(&key.group);
            }
            (GroupKey::Group(key), Some(value)) => {
                let value: GroupMetadataValue = decode_value(value)?;
                self.loaded_group(&key.group, partition).replay_metadata(value);
            }
            (GroupKey::Group(key), None) => {
                let group = self.loaded_group(&key.group, partition);
                let (offsets, consumers) = (std::mem::take(&mut group.offsets), group.consumers.take());
                *group = Group { offsets, consumers, ..Group::new(&key.group, partition) };
                self.drop_if_bare(&key.group);
            }
            (GroupKey::Consumer(key), value) => {
                let id = key.group_id().to_owned();
                let fact = Fact::decode(key, value)?;
                let group = self.loaded_group(&id, partition);
                let is_tombstone = fact.is_tombstone();
                group.consumers.get_or_insert_default().apply(fact);
                if is_tombstone {
                    group.forget_bare_consumers();
                    self.drop_if_bare(&id);
                }
            }
            (GroupKey::Other(kind), _) => tracing::debug!(partition, kind, "a record of a share or streams group"),
        }
        Ok(())
    }

    fn loaded_group(&mut self, id: &str, partition: i32) -> &mut Group {
        self.groups.entry(id.to_owned()).or_insert_with(|| Group::new(id, partition))
    }

    /// A group of which nothing is left in the log does not exist.
    fn drop_if_bare(&mut self, id: &str) {
        let is_bare =
            |group: &Group| group.protocol_type.is_none() && group.consumers.is_none() && group.offsets.is_empty();
        if self.groups.get(id).is_some_and(is_bare) {
            self.groups.remove(id);
        }
    }

    /// The partition's end was reached: its groups are served. Members have one session timeout from now on to say that
    /// they are still there.
    pub(crate) fn finish_load(&mut self, partition: i32, at: Moment) -> Vec<Effect> {
        if !self.owned.serve(partition) {
            return Vec::new();
        }
        let mut effects = Vec::new();
        for id in self.groups_of(partition) {
            effects.append(&mut self.with_group(&id, at, |group, env| {
                if let Some(consumers) = &group.consumers {
                    return consumers.start_timers(&group.id, env);
                }
                let members: Vec<String> = group.members.keys().cloned().collect();
                for member in &members {
                    group.schedule_session(member, env);
                }
                // group.max.size may be lower than it was.
                if members.len() > env.settings.group_size_max {
                    group.prepare_rebalance(env);
                }
            }));
        }
        effects
    }

    /// The shard does not lead the partition any more.
    pub(crate) fn unload(&mut self, partition: i32) -> Vec<Effect> {
        let mut effects = Vec::new();
        if !self.owned.give_up(partition) {
            return effects;
        }
        for id in self.groups_of(partition) {
            if let Some(group) = self.groups.remove(&id) {
                group.fail_waiters(ErrorCode::NOT_COORDINATOR, &mut effects);
            }
        }
        let count = self.owned.count();
        let is_gone = |group: &str| partition_of(group, count) == partition;
        self.timers.cancel_groups(is_gone);
        for (group, queue) in std::mem::take(&mut self.busy) {
            if is_gone(&group) {
                effects.extend(queue.into_iter().filter_map(|work| work.failed(ErrorCode::NOT_COORDINATOR)));
            } else {
                self.busy.insert(group, queue);
            }
        }
        for (ticket, pending) in std::mem::take(&mut self.appends.pending) {
            match pending {
                Pending::Offsets(commit) if is_gone(&commit.group) => {
                    effects.push(commit.failed(ErrorCode::NOT_COORDINATOR));
                }
                Pending::GroupGone(gone) if is_gone(&gone.group) => {
                    effects.extend(self.group_not_gone(&gone, ErrorCode::NOT_COORDINATOR));
                }
                Pending::OffsetsGone(gone) if is_gone(&gone.group) => {
                    effects.push(gone.failed(ErrorCode::NOT_COORDINATOR));
                }
                Pending::Change(change) if is_gone(&change.group) => {
                    effects.extend(change.failed(ErrorCode::NOT_COORDINATOR));
                }
                pending if is_gone(pending.group()) => {}
                pending => {
                    self.appends.pending.insert(ticket, pending);
                }
            }
        }
        effects
    }

    fn groups_of(&self, partition: i32) -> Vec<String> {
        self.groups.values().filter(|group| group.partition == partition).map(|group| group.id.clone()).collect()
    }
}

impl Group {
    fn replay_offset(&mut self, key: &OffsetCommitKey, value: OffsetCommitValue, origin: Origin) {
        let committed = Committed {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata,
            commit_ms: value.commit_timestamp,
            expire_ms: value.expire_timestamp,
            topic_id: value.topic_id,
            log_offset: origin.offset,
        };
        match origin.transaction {
            Some(producer_id) => {
                self.offsets.put_transactional(producer_id, &key.topic, key.partition, committed);
            }
            None => self.offsets.put(&key.topic, key.partition, committed),
        }
    }

    /// A classic group takes the place of what stood there, as in Kafka: the tombstones of an empty group of the other protocol may
    /// not have been written.
    fn replay_metadata(&mut self, value: GroupMetadataValue) {
        let offsets = std::mem::take(&mut self.offsets);
        let state = if value.members.is_empty() { State::Empty } else { State::Stable };
        let protocol = value.protocol.clone().unwrap_or_default();
        let mut group = Group {
            state,
            previous_state: state,
            state_since_ms: value.current_state_timestamp,
            generation: value.generation,
            protocol: value.protocol,
            protocol_type: Some(value.protocol_type).filter(|name| !name.is_empty()),
            leader: value.leader,
            offsets,
            ..Group::new(&self.id, self.partition)
        };
        for member in value.members {
            let member = loaded_member(member, &protocol);
            if let Some(instance_id) = &member.instance_id {
                group.static_members.insert(instance_id.clone(), member.id.clone());
            }
            group.members.insert(member.id.clone(), member);
        }
        *self = group;
    }
}

/// A member as it was; of its protocols only the one that was chosen is known.
fn loaded_member(value: MemberMetadata, protocol: &str) -> Member {
    Member {
        id: value.member_id,
        instance_id: value.group_instance_id,
        client_id: value.client_id,
        client_host: value.client_host,
        rebalance_timeout_ms: if value.rebalance_timeout < 0 { value.session_timeout } else { value.rebalance_timeout },
        session_timeout_ms: value.session_timeout,
        protocols: vec![JoinGroupRequestProtocol {
            name: protocol.to_owned(),
            metadata: value.subscription,
            ..Default::default()
        }],
        assignment: value.assignment,
        awaiting_join: None,
        awaiting_sync: None,
        is_new: false,
    }
}
