//! What a group is, piece by piece: a record of its log each, from which the group follows.
//!
//! ```text
//!   apply(fact) -> the fact that stood under its key before: applied in turn, it puts everything back
//! ```

use std::collections::{BTreeMap, BTreeSet};

use ringlog_wire::records::consumer_group::*;
use ringlog_wire::records::group::{decode_value, encode_value};
use ringlog_wire::{DecodeError, EncodeError};

use super::super::KeyValue;
use super::classic::Classic;
use super::{ConsumerGroup, Current, Held, MemberState, Partitions, Resolved, Subscription};

/// A key and its value; no value is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Fact {
    /// The group's epoch, and the hash of what it reads.
    Group(Option<(i32, i64)>),
    /// Whether there is a record of the topics, as brokers before Kafka 4.1 wrote it. Only ever taken out.
    PartitionMetadata(bool),
    Member(String, Option<Subscription>),
    /// The target's epoch, and when it was made.
    Target(Option<(i32, i64)>),
    TargetMember(String, Option<Partitions>),
    Current(String, Option<Current>),
    Pattern(String, Option<Resolved>),
}

impl ConsumerGroup {
    /// Makes it so, and gives what was.
    pub(in super::super) fn apply(&mut self, fact: Fact) -> Fact {
        match fact {
            Fact::Group(value) => {
                let before = (self.epoch != 0).then_some((self.epoch, self.metadata_hash));
                (self.epoch, self.metadata_hash) = value.unwrap_or_default();
                Fact::Group(before)
            }
            Fact::PartitionMetadata(is_there) => {
                Fact::PartitionMetadata(std::mem::replace(&mut self.has_partition_metadata, is_there))
            }
            Fact::Member(id, value) => {
                let before = self.set_member(&id, value);
                Fact::Member(id, before)
            }
            Fact::Target(value) => {
                let before = (self.target_epoch != 0).then_some((self.target_epoch, self.target_made_ms));
                (self.target_epoch, self.target_made_ms) = value.unwrap_or_default();
                Fact::Target(before)
            }
            Fact::TargetMember(id, value) => {
                let before = set(&mut self.target, &id, value);
                Fact::TargetMember(id, before)
            }
            Fact::Current(id, value) => {
                if let Some(before) = self.current.remove(&id) {
                    self.disown(&id, &before);
                    let after = self.set_current(&id, value);
                    debug_assert!(after.is_none());
                    return Fact::Current(id, Some(before));
                }
                self.set_current(&id, value);
                Fact::Current(id, None)
            }
            Fact::Pattern(pattern, value) => {
                let before = set(&mut self.patterns, &pattern, value);
                Fact::Pattern(pattern, before)
            }
        }
    }

    fn set_current(&mut self, id: &str, value: Option<Current>) -> Option<Current> {
        if let Some(current) = &value {
            self.own(id, current);
        }
        set(&mut self.current, id, value)
    }

    fn set_member(&mut self, id: &str, value: Option<Subscription>) -> Option<Subscription> {
        let instance = |value: &Option<Subscription>| value.as_ref().and_then(|member| member.instance_id.clone());
        let (now, before) = (instance(&value), set(&mut self.members, id, value));
        if let Some(instance_id) = instance(&before)
            && self.static_members.get(&instance_id).is_some_and(|member| member == id)
        {
            self.static_members.remove(&instance_id);
        }
        if let Some(instance_id) = now {
            self.static_members.insert(instance_id, id.to_owned());
        }
        before
    }
}

fn set<T>(map: &mut BTreeMap<String, T>, key: &str, value: Option<T>) -> Option<T> {
    match value {
        Some(value) => map.insert(key.to_owned(), value),
        None => map.remove(key),
    }
}

impl Fact {
    pub(in super::super) fn is_tombstone(&self) -> bool {
        match self {
            Self::Group(value) | Self::Target(value) => value.is_none(),
            Self::PartitionMetadata(is_there) => !is_there,
            Self::Member(_, value) => value.is_none(),
            Self::TargetMember(_, value) => value.is_none(),
            Self::Current(_, value) => value.is_none(),
            Self::Pattern(_, value) => value.is_none(),
        }
    }

    /// The record.
    pub(in super::super) fn encode(&self, group: &str) -> Result<KeyValue, EncodeError> {
        let group_id = group.to_owned();
        let of_member = |member: &String| (group.to_owned(), member.clone());
        let (key, value) = match self {
            Self::Group(value) => {
                let key = ConsumerGroupMetadataKey { group_id, ..Default::default() };
                let value = value.map(|(epoch, metadata_hash)| ConsumerGroupMetadataValue {
                    epoch,
                    metadata_hash,
                    ..Default::default()
                });
                (ConsumerGroupKey::Group(key), value.map(|value| encode_value(&value, 0)))
            }
            Self::PartitionMetadata(_) => {
                let key = ConsumerGroupPartitionMetadataKey { group_id, ..Default::default() };
                (ConsumerGroupKey::PartitionMetadata(key), None)
            }
            Self::Member(member, value) => {
                let (group_id, member_id) = of_member(member);
                let key = ConsumerGroupMemberMetadataKey { group_id, member_id, ..Default::default() };
                (ConsumerGroupKey::Member(key), value.as_ref().map(|value| encode_value(&value.to_record(), 0)))
            }
            Self::Target(value) => {
                let key = ConsumerGroupTargetAssignmentMetadataKey { group_id, ..Default::default() };
                let value =
                    value.map(|(assignment_epoch, assignment_timestamp)| ConsumerGroupTargetAssignmentMetadataValue {
                        assignment_epoch,
                        assignment_timestamp,
                        ..Default::default()
                    });
                (ConsumerGroupKey::Target(key), value.map(|value| encode_value(&value, 0)))
            }
            Self::TargetMember(member, value) => {
                let (group_id, member_id) = of_member(member);
                let key = ConsumerGroupTargetAssignmentMemberKey { group_id, member_id, ..Default::default() };
                let value = value.as_ref().map(|target| encode_value(&target_record(target), 0));
                (ConsumerGroupKey::TargetMember(key), value)
            }
            Self::Current(member, value) => {
                let (group_id, member_id) = of_member(member);
                let key = ConsumerGroupCurrentMemberAssignmentKey { group_id, member_id, ..Default::default() };
                (ConsumerGroupKey::Current(key), value.as_ref().map(|value| encode_value(&value.to_record(), 0)))
            }
            Self::Pattern(pattern, value) => {
                let regular_expression = pattern.clone();
                let key = ConsumerGroupRegularExpressionKey { group_id, regular_expression, ..Default::default() };
                let value = value.as_ref().map(|resolved| ConsumerGroupRegularExpressionValue {
                    topics: resolved.topics.iter().cloned().collect(),
                    version: resolved.version,
                    timestamp: resolved.at_ms,
                    ..Default::default()
                });
                (ConsumerGroupKey::RegularExpression(key), value.map(|value| encode_value(&value, 0)))
            }
        };
        Ok((key.encode()?, value.transpose()?))
    }

    /// What a record says.
    pub(in super::super) fn decode(key: ConsumerGroupKey, value: Option<&[u8]>) -> Result<Self, DecodeError> {
        Ok(match key {
            ConsumerGroupKey::Group(_) => {
                let value = value.map(decode_value::<ConsumerGroupMetadataValue>).transpose()?;
                Self::Group(value.map(|value| (value.epoch, value.metadata_hash)))
            }
            ConsumerGroupKey::PartitionMetadata(_) => Self::PartitionMetadata(value.is_some()),
            ConsumerGroupKey::Member(key) => {
                let value = value.map(decode_value::<ConsumerGroupMemberMetadataValue>).transpose()?;
                Self::Member(key.member_id, value.map(Subscription::of_record))
            }
            ConsumerGroupKey::Target(_) => {
                let value = value.map(decode_value::<ConsumerGroupTargetAssignmentMetadataValue>).transpose()?;
                Self::Target(value.map(|value| (value.assignment_epoch, value.assignment_timestamp)))
            }
            ConsumerGroupKey::TargetMember(key) => {
                let value = value.map(decode_value::<ConsumerGroupTargetAssignmentMemberValue>).transpose()?;
                let one = |one: TargetTopicPartitions| (one.topic_id, BTreeSet::from_iter(one.partitions));
                Self::TargetMember(
                    key.member_id,
                    value.map(|value| value.topic_partitions.into_iter().map(one).collect()),
                )
            }
            ConsumerGroupKey::Current(key) => {
                let value = value.map(decode_value::<ConsumerGroupCurrentMemberAssignmentValue>).transpose()?;
                Self::Current(key.member_id, value.map(Current::of_record))
            }
            ConsumerGroupKey::RegularExpression(key) => {
                let value = value.map(decode_value::<ConsumerGroupRegularExpressionValue>).transpose()?;
                let resolved = |value: ConsumerGroupRegularExpressionValue| Resolved {
                    topics: value.topics.into_iter().collect(),
                    version: value.version,
                    at_ms: value.timestamp,
                };
                Self::Pattern(key.regular_expression, value.map(resolved))
            }
        })
    }
}

impl Subscription {
    fn to_record(&self) -> ConsumerGroupMemberMetadataValue {
        ConsumerGroupMemberMetadataValue {
            instance_id: self.instance_id.clone(),
            rack_id: self.rack_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            subscribed_topic_names: self.topics.iter().cloned().collect(),
            subscribed_topic_regex: Some(self.pattern.clone()),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            server_assignor: self.assignor.clone(),
            classic_member_metadata: self.classic.as_ref().map(Classic::to_record),
            ..Default::default()
        }
    }

    fn of_record(value: ConsumerGroupMemberMetadataValue) -> Self {
        Self {
            instance_id: value.instance_id,
            rack_id: value.rack_id,
            client_id: value.client_id,
            client_host: value.client_host,
            topics: value.subscribed_topic_names.into_iter().collect(),
            pattern: value.subscribed_topic_regex.unwrap_or_default(),
            rebalance_timeout_ms: value.rebalance_timeout_ms,
            assignor: value.server_assignor,
            classic: value.classic_member_metadata.and_then(Classic::of_record),
        }
    }
}

impl Classic {
    fn to_record(&self) -> ClassicMemberMetadata {
        let protocol = |(name, metadata): &(String, Vec<u8>)| ClassicProtocol {
            name: name.clone(),
            metadata: metadata.clone(),
            ..Default::default()
        };
        ClassicMemberMetadata {
            session_timeout_ms: self.session_timeout_ms,
            supported_protocols: self.protocols.iter().map(protocol).collect(),
            ..Default::default()
        }
    }

    /// A classic member has a protocol.
    fn of_record(value: ClassicMemberMetadata) -> Option<Self> {
        let protocols: Vec<_> = value.supported_protocols.into_iter().map(|one| (one.name, one.metadata)).collect();
        (!protocols.is_empty()).then_some(Self { session_timeout_ms: value.session_timeout_ms, protocols })
    }
}

fn target_record(target: &Partitions) -> ConsumerGroupTargetAssignmentMemberValue {
    let one = |(topic_id, partitions): (&ringlog_wire::Uuid, &BTreeSet<i32>)| TargetTopicPartitions {
        topic_id: *topic_id,
        partitions: partitions.iter().copied().collect(),
        ..Default::default()
    };
    ConsumerGroupTargetAssignmentMemberValue {
        topic_partitions: target.iter().map(one).collect(),
        ..Default::default()
    }
}

impl Current {
    fn to_record(&self) -> ConsumerGroupCurrentMemberAssignmentValue {
        ConsumerGroupCurrentMemberAssignmentValue {
            member_epoch: self.epoch,
            previous_member_epoch: self.previous_epoch,
            state: self.state.code(),
            assigned_partitions: held_record(&self.assigned),
            partitions_pending_revocation: held_record(&self.revoking),
            ..Default::default()
        }
    }

    fn of_record(value: ConsumerGroupCurrentMemberAssignmentValue) -> Self {
        let epoch = value.member_epoch;
        Self {
            epoch,
            previous_epoch: value.previous_member_epoch,
            state: MemberState::of_code(value.state),
            assigned: held_of_record(value.assigned_partitions, epoch),
            revoking: held_of_record(value.partitions_pending_revocation, epoch),
        }
    }
}

fn held_record(held: &Held) -> Vec<CurrentTopicPartitions> {
    let one = |(topic_id, partitions): (&ringlog_wire::Uuid, &BTreeMap<i32, i32>)| CurrentTopicPartitions {
        topic_id: *topic_id,
        partitions: partitions.keys().copied().collect(),
        assignment_epochs: Some(partitions.values().copied().collect()),
        ..Default::default()
    };
    held.iter().map(one).collect()
}

/// Brokers before Kafka 4.3 did not keep when a partition was given: then it was in the member's epoch.
fn held_of_record(record: Vec<CurrentTopicPartitions>, epoch: i32) -> Held {
    let one = |one: CurrentTopicPartitions| {
        let mut epochs = one.assignment_epochs.unwrap_or_default().into_iter();
        let with_epoch = |partition| (partition, epochs.next().unwrap_or(epoch));
        (one.topic_id, one.partitions.into_iter().map(with_epoch).collect())
    };
    record.into_iter().map(one).collect()
}

impl MemberState {
    fn code(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::UnrevokedPartitions => 1,
            Self::UnreleasedPartitions => 2,
            Self::Unknown => 127,
        }
    }

    fn of_code(code: i8) -> Self {
        match code {
            0 => Self::Stable,
            1 => Self::UnrevokedPartitions,
            2 => Self::UnreleasedPartitions,
            _ => Self::Unknown,
        }
    }
}
