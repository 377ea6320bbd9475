//! What consumers tell each other through a classic group, as bytes that the broker passes on.
//!
//! ```text
//!   subscription, assignment    version i16, then the message (ConsumerProtocol, versions 0 to 3)
//!   user data of sticky         [ topic string, [ partition i32 ] ], generation i32    what was assigned last, and when
//!   user data of cooperative    generation i32
//! ```
//!
//! Sources: ConsumerProtocol, StickyAssignor (its user data version 1), CooperativeStickyAssignor.

use std::collections::BTreeMap;

use ringlog_wire::messages::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicPartition as ProtocolPartition,
};
use ringlog_wire::messages::join_group::JoinGroupResponseMember;
use ringlog_wire::{Message, Reader, Writer};

use super::super::config::AssignmentStrategy;
use crate::client::ClientError;
use crate::client::fetcher::TopicPartition;

/// The version that we write, Kafka 4's. Others' are read in every version.
const PROTOCOL_VERSION: i16 = 3;
const NO_GENERATION: i32 = -1;
/// Longer names cannot be topics; copying one for each partition that a member claims could fill the memory.
const TOPIC_LEN_MAX: usize = 249;

/// A member as the group's leader sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) topics: Vec<String>,
    /// What it says it owns, and since which generation (-1 if it does not say).
    pub(crate) owned: Vec<TopicPartition>,
    pub(crate) generation: i32,
}

/// What a member says about itself under one strategy.
pub(super) fn subscription(
    strategy: AssignmentStrategy,
    topics: &[String],
    (owned, generation): (&[TopicPartition], i32),
    last: Option<&(Vec<TopicPartition>, i32)>,
    rack: &str,
) -> Vec<u8> {
    let user_data = last.and_then(|(assigned, generation)| match strategy {
        AssignmentStrategy::Sticky => Some(sticky_memory(assigned, *generation)),
        AssignmentStrategy::CooperativeSticky => Some(generation.to_be_bytes().to_vec()),
        _ => None,
    });
    versioned(&ConsumerProtocolSubscription {
        topics: topics.to_vec(),
        user_data,
        owned_partitions: protocol_partitions(owned),
        generation_id: generation,
        rack_id: (!rack.is_empty()).then(|| rack.to_owned()),
        ..Default::default()
    })
}

/// A member of JoinGroup's answer. An error names what does not decode.
pub(super) fn member(
    strategy: Option<AssignmentStrategy>,
    said: &JoinGroupResponseMember,
) -> Result<Member, ClientError> {
    let subscription: ConsumerProtocolSubscription = unversioned(&said.metadata)?;
    let (mut owned, mut generation) = (pairs(subscription.owned_partitions), subscription.generation_id);
    match (strategy, subscription.user_data) {
        // An eager member gave everything back before it joined: what it had is in the user data alone.
        (Some(AssignmentStrategy::Sticky), data) => {
            (owned, generation) = data.map_or(Ok((Vec::new(), NO_GENERATION)), |data| read_sticky_memory(&data))?;
        }
        (Some(AssignmentStrategy::CooperativeSticky), Some(data)) if generation == NO_GENERATION => {
            generation = data.first_chunk().map_or(NO_GENERATION, |bytes| i32::from_be_bytes(*bytes));
        }
        _ => {}
    }
    Ok(Member {
        id: said.member_id.clone(),
        instance_id: said.group_instance_id.clone(),
        topics: subscription.topics,
        owned,
        generation,
    })
}

/// What one member is given.
pub(super) fn assignment(owned: &[TopicPartition]) -> Vec<u8> {
    versioned(&ConsumerProtocolAssignment { assigned_partitions: protocol_partitions(owned), ..Default::default() })
}

/// Reads what the leader gave to us. No bytes are no partitions.
pub(super) fn read_assignment(bytes: &[u8]) -> Result<Vec<TopicPartition>, ClientError> {
    unversioned::<ConsumerProtocolAssignment>(bytes).map(|assignment| pairs(assignment.assigned_partitions))
}

/// Partitions by their topics, both in order.
pub(super) fn by_topic<'a>(partitions: impl Iterator<Item = &'a TopicPartition>) -> BTreeMap<String, Vec<i32>> {
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    partitions.for_each(|(topic, partition)| topics.entry(topic.clone()).or_default().push(*partition));
    topics
}

fn sticky_memory(assigned: &[TopicPartition], generation: i32) -> Vec<u8> {
    let topics = by_topic(assigned.iter());
    let mut bytes = count(topics.len()).to_vec();
    for (topic, partitions) in topics {
        let len = u16::try_from(topic.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(&topic.as_bytes()[..usize::from(len)]);
        bytes.extend_from_slice(&count(partitions.len()));
        partitions.iter().for_each(|partition| bytes.extend_from_slice(&partition.to_be_bytes()));
    }
    bytes.extend_from_slice(&generation.to_be_bytes());
    bytes
}

fn count(count: usize) -> [u8; 4] {
    u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes()
}

/// Version 1, or version 0 where the generation is missing.
fn read_sticky_memory(bytes: &[u8]) -> Result<(Vec<TopicPartition>, i32), ClientError> {
    let mut reader = Reader::new(bytes);
    let cannot = |error: &dyn std::fmt::Display| {
        ClientError::Corrupt(format!("a member's sticky assignment does not decode: {error}"))
    };
    let mut read = || {
        let mut owned = Vec::new();
        for _ in 0..reader.i32()? {
            let len = reader.i16()?;
            let topic = String::from_utf8_lossy(reader.take(usize::try_from(len).unwrap_or(0))?).into_owned();
            for _ in 0..reader.i32()? {
                let partition = reader.i32()?;
                if topic.len() <= TOPIC_LEN_MAX {
                    owned.push((topic.clone(), partition));
                }
            }
        }
        let generation = if reader.remaining() >= 4 { reader.i32()? } else { NO_GENERATION };
        Ok::<_, ringlog_wire::DecodeError>((owned, generation))
    };
    read().map_err(|error| cannot(&error))
}

fn protocol_partitions(partitions: &[TopicPartition]) -> Vec<ProtocolPartition> {
    let partition = |(topic, partitions)| ProtocolPartition { topic, partitions, ..Default::default() };
    by_topic(partitions.iter()).into_iter().map(partition).collect()
}

fn pairs(topics: Vec<ProtocolPartition>) -> Vec<TopicPartition> {
    let pairs = |topic: ProtocolPartition| {
        topic.partitions.into_iter().map(move |partition| (topic.topic.clone(), partition)).collect::<Vec<_>>()
    };
    topics.into_iter().filter(|topic| topic.topic.len() <= TOPIC_LEN_MAX).flat_map(pairs).collect()
}

fn versioned<M: Message>(message: &M) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.raw(&PROTOCOL_VERSION.to_be_bytes());
    message.encode(&mut writer, PROTOCOL_VERSION).expect("topic names fit their length prefix");
    writer.bytes
}

/// A newer version is read as the newest that we know, as Kafka does.
fn unversioned<M: Message>(bytes: &[u8]) -> Result<M, ClientError> {
    if bytes.is_empty() {
        return Ok(M::default());
    }
    let mut reader = Reader::new(bytes);
    let version = reader.i16().map(|version| version.clamp(M::VERSIONS.0, M::VERSIONS.1));
    version
        .and_then(|version| M::decode(&mut reader, version))
        .map_err(|error| ClientError::Corrupt(format!("a member's {} does not decode: {error}", M::NAME)))
}
