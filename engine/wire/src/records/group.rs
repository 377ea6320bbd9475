//! Records of `__consumer_offsets`: a classic group's offsets and state.
//!
//! ```text
//!   key   = type i16 (0 or 1: offset, 2: group) | body of the key's schema
//!   value = version i16                         | body of the value's schema in that version
//! ```
//!
//! A key's 16-bit prefix is its type, not a version: type 0 is an offset as older brokers wrote it, 1 as they do now;
//! both have the same body (`CoordinatorRecordType`, `CoordinatorRecordSerde`). Values are flexible from version 4 on.

use super::consumer_group::ConsumerGroupKey;
use crate::schema::prelude::*;

messages! {
    versions 0..=0, flexible NEVER;
    message OffsetCommitKey;

    /// Key of a stored offset.
    struct OffsetCommitKey {
        /// The group's id.
        group: String [0..=0],
        /// The topic's name.
        topic: String [0..=0],
        /// The partition's index.
        partition: i32 [0..=0],
    }
}

messages! {
    versions 0..=4, flexible 4;
    message OffsetCommitValue;

    /// A stored offset.
    struct OffsetCommitValue {
        /// The offset.
        offset: i64 [0..],
        /// The leader's epoch, -1 if unknown.
        leader_epoch: i32 [3..] = -1,
        /// Opaque to the broker.
        metadata: String [0..],
        /// When it was committed, ms since the epoch.
        commit_timestamp: i64 [0..],
        /// When it expires, ms since the epoch, -1 for never.
        expire_timestamp: i64 [1..=1] = -1,
        /// The topic's id.
        topic_id: Uuid [4..] tag 0,
    }
}

messages! {
    versions 0..=0, flexible NEVER;
    message GroupMetadataKey;

    /// Key of a classic group's state.
    struct GroupMetadataKey {
        /// The group's id.
        group: String [0..=0],
    }
}

messages! {
    versions 0..=4, flexible 4;
    message GroupMetadataValue;

    /// A classic group's state.
    struct GroupMetadataValue {
        /// The kind of group, "consumer" for consumers.
        protocol_type: String [0..],
        /// The generation's number.
        generation: i32 [0..],
        /// The protocol that was chosen.
        protocol: Option<String> [0..] null [0..] = Some(String::new()),
        /// The leader's id.
        leader: Option<String> [0..] null [0..] = Some(String::new()),
        /// When the group entered its state, ms since the epoch.
        current_state_timestamp: i64 [2..] = -1,
        /// The group's members.
        members: Vec<MemberMetadata> [0..],
    }

    /// A member of the group.
    struct MemberMetadata {
        /// The id that the coordinator gave to the member, empty at first.
        member_id: String [0..],
        /// The static member's own id, null for dynamic members.
        group_instance_id: Option<String> [3..] null [3..],
        /// What the client calls itself.
        client_id: String [0..],
        /// The address that the member joined from.
        client_host: String [0..],
        /// How long members may take to rejoin, in ms.
        rebalance_timeout: i32 [1..] = -1,
        /// After how long a silent member is dropped, in ms.
        session_timeout: i32 [0..],
        /// The member's subscription, opaque to the broker.
        subscription: Vec<u8> [0..],
        /// The member's share, opaque to the broker.
        assignment: Vec<u8> [0..],
    }
}

/// What a record of `__consumer_offsets` is about.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupKey {
    /// A partition's stored offset; the value is an [`OffsetCommitValue`].
    Offset(OffsetCommitKey),
    /// A classic group's state; the value is a [`GroupMetadataValue`].
    Group(GroupMetadataKey),
    /// A record of a group of the consumer protocol.
    Consumer(ConsumerGroupKey),
    /// A record of a newer kind (share or streams groups), by its type.
    Other(i16),
}

impl GroupKey {
    /// The record's key: type, then body. An [`GroupKey::Other`] has no body to write.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut w = Writer::new();
        match self {
            GroupKey::Offset(key) => {
                w.raw(&1i16.to_be_bytes());
                key.encode(&mut w, 0)?;
            }
            GroupKey::Group(key) => {
                w.raw(&2i16.to_be_bytes());
                key.encode(&mut w, 0)?;
            }
            GroupKey::Consumer(key) => return key.encode(),
            GroupKey::Other(number) => w.raw(&number.to_be_bytes()),
        }
        Ok(w.bytes)
    }

    /// Reads a record's key.
    pub fn decode(key: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(key);
        match r.i16()? {
            0 | 1 => OffsetCommitKey::decode(&mut r, 0).map(GroupKey::Offset),
            2 => GroupMetadataKey::decode(&mut r, 0).map(GroupKey::Group),
            other => {
                let key = ConsumerGroupKey::decode(other, &mut r)?;
                Ok(key.map_or(GroupKey::Other(other), GroupKey::Consumer))
            }
        }
    }
}

/// A record's value: the version, then the body.
pub fn encode_value<M: Message>(value: &M, version: i16) -> Result<Vec<u8>, EncodeError> {
    let mut w = Writer::new();
    w.raw(&version.to_be_bytes());
    value.encode(&mut w, version)?;
    Ok(w.bytes)
}

/// Reads a record's value ([`OffsetCommitValue`], [`GroupMetadataValue`] and the like) to its last byte, in the version
/// that its first two bytes say.
pub fn decode_value<M: Message>(value: &[u8]) -> Result<M, DecodeError> {
    let mut r = Reader::new(value);
    let version = r.i16()?;
    let message = M::decode(&mut r, version)?;
    r.finish()?;
    Ok(message)
}
