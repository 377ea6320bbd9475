//! Records of `__consumer_offsets`: a group of the consumer protocol (KIP-848).
//!
//! | type | what is kept under the key                                | value                               |
//! |------|-----------------------------------------------------------|-------------------------------------|
//! | 3    | the group: its epoch, and a hash of what it reads          | [`ConsumerGroupMetadataValue`]      |
//! | 4    | its topics; written by brokers before 4.1, then taken out  | ConsumerGroupPartitionMetadataValue |
//! | 5    | a member: what it is and what it subscribed to             | [`ConsumerGroupMemberMetadataValue`] |
//! | 6    | the target assignment's epoch                              | [`ConsumerGroupTargetAssignmentMetadataValue`] |
//! | 7    | a member's target                                          | [`ConsumerGroupTargetAssignmentMemberValue`] |
//! | 8    | what a member has, and gives back                          | [`ConsumerGroupCurrentMemberAssignmentValue`] |
//! | 16   | the topics that a regular expression matches               | [`ConsumerGroupRegularExpressionValue`] |
//!
//! Keys and values begin as those of classic groups do: see [`super::group`].

use crate::schema::prelude::*;

messages! {
    versions 0..=0, flexible NEVER;
    message ConsumerGroupMetadataKey, ConsumerGroupPartitionMetadataKey, ConsumerGroupTargetAssignmentMetadataKey;

    /// Key of the group's epoch.
    struct ConsumerGroupMetadataKey {
        /// The group's id.
        group_id: String [0..],
    }

    /// Key of the topics that older brokers kept.
    struct ConsumerGroupPartitionMetadataKey {
        /// The group's id.
        group_id: String [0..],
    }

    /// Key of the target assignment's epoch.
    struct ConsumerGroupTargetAssignmentMetadataKey {
        /// The group's id.
        group_id: String [0..],
    }
}

messages! {
    versions 0..=0, flexible NEVER;
    message ConsumerGroupMemberMetadataKey, ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupCurrentMemberAssignmentKey;

    /// Key of a member.
    struct ConsumerGroupMemberMetadataKey {
        /// The group's id.
        group_id: String [0..],
        /// The member's id.
        member_id: String [0..],
    }

    /// Key of a member's target.
    struct ConsumerGroupTargetAssignmentMemberKey {
        /// The group's id.
        group_id: String [0..],
        /// The member's id.
        member_id: String [0..],
    }

    /// Key of what a member has.
    struct ConsumerGroupCurrentMemberAssignmentKey {
        /// The group's id.
        group_id: String [0..],
        /// The member's id.
        member_id: String [0..],
    }
}

messages! {
    versions 0..=0, flexible NEVER;
    message ConsumerGroupRegularExpressionKey;

    /// Key of a regular expression.
    struct ConsumerGroupRegularExpressionKey {
        /// The group's id.
        group_id: String [0..],
        /// The expression.
        regular_expression: String [0..],
    }
}

messages! {
    versions 0..=0, flexible 0;
    message ConsumerGroupMetadataValue;

    /// The group.
    struct ConsumerGroupMetadataValue {
        /// The group's epoch.
        epoch: i32 [0..],
        /// A hash of the topics that the group reads, 0 for none.
        metadata_hash: i64 [0..] tag 0,
    }
}

messages! {
    versions 0..=0, flexible 0;
    message ConsumerGroupMemberMetadataValue;

    /// A member.
    struct ConsumerGroupMemberMetadataValue {
        /// The static member's own id, null for dynamic members.
        instance_id: Option<String> [0..] null [0..] = Some(String::new()),
        /// The consumer's rack, null if it has none.
        rack_id: Option<String> [0..] null [0..] = Some(String::new()),
        /// What the client calls itself.
        client_id: String [0..],
        /// The address that the member came from.
        client_host: String [0..],
        /// The topics.
        subscribed_topic_names: Vec<String> [0..],
        /// The topics as a pattern.
        subscribed_topic_regex: Option<String> [0..] null [0..] = Some(String::new()),
        /// How long the member may take to give partitions back, in ms.
        rebalance_timeout_ms: i32 [0..] = -1,
        /// The broker's assignor that the member prefers.
        server_assignor: Option<String> [0..] null [0..] = Some(String::new()),
        /// What there is besides where the member speaks the classic protocol, null where it does not. Kafka reads a record
        /// without this field as that of a classic member.
        classic_member_metadata: Option<ClassicMemberMetadata> [0..] null [0..] tag 0 = Some(Default::default()),
    }

    /// A member that speaks the classic protocol.
    struct ClassicMemberMetadata {
        /// After how long a silent member is dropped, in ms.
        session_timeout_ms: i32 [0..],
        /// What the member can, the most wanted first.
        supported_protocols: Vec<ClassicProtocol> [0..],
    }

    /// A classic protocol.
    struct ClassicProtocol {
        /// Its name.
        name: String [0..],
        /// The member's subscription.
        metadata: Vec<u8> [0..],
    }
}

messages! {
    versions 0..=0, flexible 0;
    message ConsumerGroupTargetAssignmentMetadataValue;

    /// The target assignment.
    struct ConsumerGroupTargetAssignmentMetadataValue {
        /// The group's epoch that it was made for.
        assignment_epoch: i32 [0..],
        /// When it was made, ms since the epoch.
        assignment_timestamp: i64 [0..] tag 0,
    }
}

messages! {
    versions 0..=0, flexible 0;
    message ConsumerGroupTargetAssignmentMemberValue;

    /// A member's target.
    struct ConsumerGroupTargetAssignmentMemberValue {
        /// The partitions, by topic.
        topic_partitions: Vec<TargetTopicPartitions> [0..],
    }

    /// Partitions of a topic.
    struct TargetTopicPartitions {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions' indexes.
        partitions: Vec<i32> [0..],
    }
}

messages! {
    versions 0..=0, flexible 0;
    message ConsumerGroupCurrentMemberAssignmentValue;

    /// What a member has.
    struct ConsumerGroupCurrentMemberAssignmentValue {
        /// The member's epoch.
        member_epoch: i32 [0..],
        /// The epoch before it: the answer that told the new one may have been lost.
        previous_member_epoch: i32 [0..],
        /// 0: stable, 1: gives partitions back, 2: waits for partitions of others.
        state: i8 [0..],
        /// What the member may use.
        assigned_partitions: Vec<CurrentTopicPartitions> [0..],
        /// What it is asked to give back.
        partitions_pending_revocation: Vec<CurrentTopicPartitions> [0..],
    }

    /// Partitions of a topic.
    struct CurrentTopicPartitions {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions' indexes.
        partitions: Vec<i32> [0..],
        /// The epoch in which each was given to the member; null in records of brokers before 4.3.
        assignment_epochs: Option<Vec<i32>> [0..] null [0..] tag 0 = None,
    }
}

messages! {
    versions 0..=0, flexible 0;
    message ConsumerGroupRegularExpressionValue;

    /// What a regular expression matches.
    struct ConsumerGroupRegularExpressionValue {
        /// The topics.
        topics: Vec<String> [0..],
        /// The version of the cluster's metadata that they were looked for in.
        version: i64 [0..],
        /// When, ms since the epoch.
        timestamp: i64 [0..],
    }
}

/// What a record of a consumer group is about.
#[derive(Clone, Debug, PartialEq)]
pub enum ConsumerGroupKey {
    /// The group.
    Group(ConsumerGroupMetadataKey),
    /// Its topics, as brokers before 4.1 kept them.
    PartitionMetadata(ConsumerGroupPartitionMetadataKey),
    /// A member.
    Member(ConsumerGroupMemberMetadataKey),
    /// The target assignment.
    Target(ConsumerGroupTargetAssignmentMetadataKey),
    /// A member's target.
    TargetMember(ConsumerGroupTargetAssignmentMemberKey),
    /// What a member has.
    Current(ConsumerGroupCurrentMemberAssignmentKey),
    /// A regular expression.
    RegularExpression(ConsumerGroupRegularExpressionKey),
}

impl ConsumerGroupKey {
    /// The record's key: type, then body.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut w = Writer::new();
        let mut put = |kind: i16| w.raw(&kind.to_be_bytes());
        match self {
            Self::Group(_) => put(3),
            Self::PartitionMetadata(_) => put(4),
            Self::Member(_) => put(5),
            Self::Target(_) => put(6),
            Self::TargetMember(_) => put(7),
            Self::Current(_) => put(8),
            Self::RegularExpression(_) => put(16),
        }
        match self {
            Self::Group(key) => key.encode(&mut w, 0)?,
            Self::PartitionMetadata(key) => key.encode(&mut w, 0)?,
            Self::Member(key) => key.encode(&mut w, 0)?,
            Self::Target(key) => key.encode(&mut w, 0)?,
            Self::TargetMember(key) => key.encode(&mut w, 0)?,
            Self::Current(key) => key.encode(&mut w, 0)?,
            Self::RegularExpression(key) => key.encode(&mut w, 0)?,
        }
        Ok(w.bytes)
    }

    /// Reads a key's body; `None` for a type that is not one of these.
    pub fn decode(kind: i16, r: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        Ok(Some(match kind {
            3 => Self::Group(Message::decode(r, 0)?),
            4 => Self::PartitionMetadata(Message::decode(r, 0)?),
            5 => Self::Member(Message::decode(r, 0)?),
            6 => Self::Target(Message::decode(r, 0)?),
            7 => Self::TargetMember(Message::decode(r, 0)?),
            8 => Self::Current(Message::decode(r, 0)?),
            16 => Self::RegularExpression(Message::decode(r, 0)?),
            _ => return Ok(None),
        }))
    }

    /// The group's id.
    pub fn group_id(&self) -> &str {
        match self {
            Self::Group(key) => &key.group_id,
            Self::PartitionMetadata(key) => &key.group_id,
            Self::Member(key) => &key.group_id,
            Self::Target(key) => &key.group_id,
            Self::TargetMember(key) => &key.group_id,
            Self::Current(key) => &key.group_id,
            Self::RegularExpression(key) => &key.group_id,
        }
    }
}
