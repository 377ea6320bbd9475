//! What consumers tell each other through a classic group (`ConsumerProtocol`): where such members are in a group of the consumer
//! protocol, the coordinator reads and writes it for them.
//!
//! ```text
//!   bytes: version i16, then the body; a newer version is read as the newest that is known
//! ```

use std::collections::{BTreeMap, BTreeSet};

use ringlog_wire::messages::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicPartition,
};
use ringlog_wire::records::group::encode_value;
use ringlog_wire::{DecodeError, EncodeError, Message, Reader, Uuid};

use super::super::Topics;
use super::Partitions;

/// What a consumer said when it joined; none where it cannot be read.
pub(in super::super) fn subscription(bytes: &[u8]) -> Option<ConsumerProtocolSubscription> {
    decode(bytes).ok()
}

/// What a consumer was given by name; no bytes are no partitions, and none where it cannot be read.
pub(super) fn assignment(bytes: &[u8]) -> Option<ConsumerProtocolAssignment> {
    if bytes.is_empty() { Some(ConsumerProtocolAssignment::default()) } else { decode(bytes).ok() }
}

/// The same partitions by their topics' ids. A topic that is gone has none.
pub(super) fn by_id(partitions: &[TopicPartition], topics: &dyn Topics) -> Partitions {
    let mut found = Partitions::new();
    for one in partitions {
        if let Some(id) = topics.topic_id(&one.topic) {
            found.entry(id).or_default().extend(&one.partitions);
        }
    }
    found
}

/// What a member is given, for one that said `said` when it joined: in the version that it speaks.
pub(super) fn encode_assignment<'a>(
    partitions: impl Iterator<Item = (&'a Uuid, BTreeSet<i32>)>,
    said: &[u8],
    topics: &dyn Topics,
) -> Result<Vec<u8>, EncodeError> {
    let mut named: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    for (id, partitions) in partitions {
        if let Some(name) = topics.topic_name(*id) {
            named.insert(name, partitions);
        }
    }
    let one = |(topic, partitions): (String, BTreeSet<i32>)| TopicPartition {
        topic,
        partitions: partitions.into_iter().collect(),
        ..Default::default()
    };
    let assignment =
        ConsumerProtocolAssignment { assigned_partitions: named.into_iter().map(one).collect(), ..Default::default() };
    let (least, greatest) = ConsumerProtocolAssignment::VERSIONS;
    let version = Reader::new(said).i16().unwrap_or(least).clamp(least, greatest);
    encode_value(&assignment, version)
}

fn decode<M: Message>(bytes: &[u8]) -> Result<M, DecodeError> {
    let mut reader = Reader::new(bytes);
    let version = reader.i16()?;
    M::decode(&mut reader, version.min(M::VERSIONS.1))
}
