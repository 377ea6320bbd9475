//! Records of `__consumer_offsets` as Kafka 4.3 writes them.
//!
//! | record          | value's version | note                                                              |
//! |-----------------|-----------------|-------------------------------------------------------------------|
//! | group metadata  | 3               | protocol and leader null, no members: nobody is in the group      |
//! | offset          | 4               | 1 where the commit says itself when it expires (OffsetCommit v2-4) |

use std::collections::BTreeMap;

use ringlog_wire::EncodeError;
use ringlog_wire::records::group::{
    GroupKey, GroupMetadataKey, GroupMetadataValue, MemberMetadata, OffsetCommitKey, OffsetCommitValue, encode_value,
};

use super::offsets::{Committed, NEVER_EXPIRES};
use super::state::Group;
use super::{Env, KeyValue};

const GROUP_VALUE_VERSION: i16 = 3;
const OFFSET_VALUE_VERSION: i16 = 4;
const EXPIRING_OFFSET_VALUE_VERSION: i16 = 1;

impl Group {
    /// The group with its members and what each was given. The time is the one at which it became so.
    pub(super) fn record(
        &self,
        mut assignments: BTreeMap<String, Vec<u8>>,
        env: &Env<'_>,
    ) -> Result<KeyValue, EncodeError> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = self
            .members
            .values()
            .map(|member| MemberMetadata {
                member_id: member.id.clone(),
                group_instance_id: member.instance_id.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                rebalance_timeout: member.rebalance_timeout_ms,
                session_timeout: member.session_timeout_ms,
                subscription: member.metadata(protocol).to_vec(),
                assignment: assignments.remove(&member.id).unwrap_or_default(),
                ..Default::default()
            })
            .collect();
        self.record_with(members, env)
    }

    /// The group when nobody is in it.
    pub(super) fn record_without_members(&self, env: &Env<'_>) -> Result<KeyValue, EncodeError> {
        self.record_with(Vec::new(), env)
    }

    fn record_with(&self, members: Vec<MemberMetadata>, env: &Env<'_>) -> Result<KeyValue, EncodeError> {
        let is_empty = members.is_empty();
        let since_ms = if self.state_since_ms < 0 { env.at.wall_ms } else { self.state_since_ms };
        let value = GroupMetadataValue {
            // A group that has just been made has no type yet, whatever its first member is.
            protocol_type: match self.generation {
                0 if is_empty => String::new(),
                _ => self.protocol_type.clone().unwrap_or_default(),
            },
            generation: self.generation,
            protocol: self.protocol.clone().filter(|_| !is_empty),
            leader: self.leader.clone().filter(|_| !is_empty),
            current_state_timestamp: since_ms,
            members,
            ..Default::default()
        };
        let key = GroupKey::Group(GroupMetadataKey { group: self.id.clone(), ..Default::default() });
        Ok((key.encode()?, Some(encode_value(&value, GROUP_VALUE_VERSION)?)))
    }

    /// What every member was given in this generation.
    pub(super) fn current_assignments(&self) -> BTreeMap<String, Vec<u8>> {
        self.members.values().map(|member| (member.id.clone(), member.assignment.clone())).collect()
    }
}

/// A stored offset.
pub(super) fn offset_record(
    group: &str,
    topic: &str,
    partition: i32,
    committed: &Committed,
) -> Result<KeyValue, EncodeError> {
    let key = GroupKey::Offset(OffsetCommitKey {
        group: group.to_owned(),
        topic: topic.to_owned(),
        partition,
        ..Default::default()
    });
    let value = OffsetCommitValue {
        offset: committed.offset,
        leader_epoch: committed.leader_epoch,
        metadata: committed.metadata.clone(),
        commit_timestamp: committed.commit_ms,
        expire_timestamp: committed.expire_ms,
        topic_id: committed.topic_id,
        ..Default::default()
    };
    let version =
        if committed.expire_ms == NEVER_EXPIRES { OFFSET_VALUE_VERSION } else { EXPIRING_OFFSET_VALUE_VERSION };
    Ok((key.encode()?, Some(encode_value(&value, version)?)))
}

/// Takes an offset out of the log.
pub(super) fn offset_tombstone(group: &str, topic: &str, partition: i32) -> Result<KeyValue, EncodeError> {
    let key = OffsetCommitKey { group: group.to_owned(), topic: topic.to_owned(), partition, ..Default::default() };
    Ok((GroupKey::Offset(key).encode()?, None))
}

/// Takes a group out of the log.
pub(super) fn group_tombstone(group: &str) -> Result<KeyValue, EncodeError> {
    let key = GroupMetadataKey { group: group.to_owned(), ..Default::default() };
    Ok((GroupKey::Group(key).encode()?, None))
}
