//! Which partitions a request is about: one that names a log which is not opened yet waits for it, before anything of it is done.
//!
//! Looked at while logs of the last run are being opened, and never afterwards. What is not in the table is answered from the
//! image, or by coordinators, which say themselves that they are loading.

use ringlog_io::Slice;
use ringlog_wire::codec::Reader;
use ringlog_wire::header::RequestHeader;
use ringlog_wire::messages::alter_replica_log_dirs::AlterReplicaLogDirsRequest;
use ringlog_wire::messages::delete_records::DeleteRecordsRequest;
use ringlog_wire::messages::describe_producers::DescribeProducersRequest;
use ringlog_wire::messages::fetch::FetchRequest;
use ringlog_wire::messages::list_offsets::ListOffsetsRequest;
use ringlog_wire::messages::offset_for_leader_epoch::OffsetForLeaderEpochRequest;
use ringlog_wire::messages::produce::ProduceRequest;
use ringlog_wire::{ApiKey, DecodeError, Message, Uuid};

use crate::broker::Broker;
use crate::handlers;
use crate::metadata::image::Topic;
use crate::replica::PartitionKey;

/// What a request is about.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) partitions: Vec<PartitionKey>,
    /// It is about whatever is here (DescribeLogDirs).
    pub(crate) all: bool,
}

impl Named {
    fn add(&mut self, topic: Option<&Topic>, partitions: impl Iterator<Item = i32>) {
        if let Some(topic) = topic {
            self.partitions.extend(partitions.map(|partition| PartitionKey { topic_id: topic.id, partition }));
        }
    }
}

/// What the request in `frame` is about. Nothing, where it cannot be read: then its handler refuses it.
pub(crate) fn of(broker: &Broker, frame: &Slice) -> Named {
    named(broker, frame).unwrap_or_default()
}

fn named(broker: &Broker, frame: &Slice) -> Option<Named> {
    let mut reader = Reader::within(frame, broker.budget.decode_bytes);
    let header = RequestHeader::decode(&mut reader).ok()?;
    let (api, version) = (header.api().ok()?, header.api_version);
    handlers::find(api, version)?;
    read(broker, api, version, &mut reader).ok()
}

fn read(broker: &Broker, api: ApiKey, version: i16, reader: &mut Reader<'_>) -> Result<Named, DecodeError> {
    let image = &broker.image;
    let by_name = |name: &str| image.topic(name).map(|topic| &**topic);
    let by_either = |name: &str, id: Uuid| {
        if version >= 13 { image.topic_by_id(id).map(|topic| &**topic) } else { by_name(name) }
    };
    let mut named = Named::default();
    match api {
        ApiKey::Produce => {
            for topic in ProduceRequest::decode(reader, version)?.topic_data {
                named.add(by_either(&topic.name, topic.topic_id), topic.partition_data.iter().map(|one| one.index));
            }
        }
        // What a session reads was named when it was opened, in this run.
        ApiKey::Fetch => {
            for topic in FetchRequest::decode(reader, version)?.topics {
                named.add(by_either(&topic.topic, topic.topic_id), topic.partitions.iter().map(|one| one.partition));
            }
        }
        ApiKey::ListOffsets => {
            for topic in ListOffsetsRequest::decode(reader, version)?.topics {
                named.add(by_name(&topic.name), topic.partitions.iter().map(|one| one.partition_index));
            }
        }
        ApiKey::OffsetForLeaderEpoch => {
            for topic in OffsetForLeaderEpochRequest::decode(reader, version)?.topics {
                named.add(by_name(&topic.topic), topic.partitions.iter().map(|one| one.partition));
            }
        }
        ApiKey::DeleteRecords => {
            for topic in DeleteRecordsRequest::decode(reader, version)?.topics {
                named.add(by_name(&topic.name), topic.partitions.iter().map(|one| one.partition_index));
            }
        }
        ApiKey::DescribeProducers => {
            for topic in DescribeProducersRequest::decode(reader, version)?.topics {
                named.add(by_name(&topic.name), topic.partition_indexes.iter().copied());
            }
        }
        ApiKey::AlterReplicaLogDirs => {
            for topic in
                AlterReplicaLogDirsRequest::decode(reader, version)?.dirs.into_iter().flat_map(|dir| dir.topics)
            {
                named.add(by_name(&topic.name), topic.partitions.iter().copied());
            }
        }
        ApiKey::DescribeLogDirs => named.all = true,
        _ => {}
    }
    Ok(named)
}
