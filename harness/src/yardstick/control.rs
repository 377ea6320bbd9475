//! The requests beside Produce, Fetch and those of groups: every topic exists, has the same number of partitions, and is led here.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use ringlog_wire::codec::{Reader, Writer};
use ringlog_wire::header::ResponseHeader;
use ringlog_wire::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use ringlog_wire::messages::create_topics::{CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse};
use ringlog_wire::messages::delete_topics::{DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse};
use ringlog_wire::messages::init_producer_id::InitProducerIdResponse;
use ringlog_wire::messages::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use ringlog_wire::messages::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ringlog_wire::{ApiKey, Message, Uuid};

use super::group;
use super::stream::{Broken, Header};

/// What is answered, beside groups.
const APIS: [ApiKey; 8] = [
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::InitProducerId,
];
/// Our node id.
pub(super) const NODE: i32 = 1;
/// Where every partition ends: further than any run reads.
pub(crate) const END_OFFSET: i64 = 1 << 50;
/// The timestamp that asks for the beginning (ListOffsets).
const EARLIEST: i64 = -2;
/// UNSUPPORTED_VERSION, the answer to an ApiVersions request from the future.
const UNSUPPORTED_VERSION: i16 = 35;

/// What the connections of this process share.
pub(crate) struct Shared {
    port: u16,
    partitions: i32,
    producers: Cell<i64>,
    ends: RefCell<BTreeMap<(Uuid, i32), i64>>,
}

impl Shared {
    pub(crate) fn new(port: u16, partitions: i32) -> Self {
        Self { port, partitions, producers: Cell::new(1), ends: RefCell::new(BTreeMap::new()) }
    }

    /// Counts records of a partition and gives the first one's offset.
    pub(crate) fn appended(&self, name: &str, id: Uuid, index: i32, records: i64) -> i64 {
        let id = if id.is_zero() { topic_id(name) } else { id };
        let mut ends = self.ends.borrow_mut();
        let end = ends.entry((id, index)).or_default();
        let base_offset = *end;
        *end += records;
        base_offset
    }
}

/// Answers one request of these APIs.
pub(crate) fn answer(outlet: &mut Vec<u8>, shared: &Shared, header: Header, body: &[u8]) -> Result<(), Broken> {
    match header.api {
        ApiKey::ApiVersions => api_versions(outlet, header),
        ApiKey::Metadata => frame(outlet, header, &metadata(shared, &decoded(header, body)?)),
        ApiKey::ListOffsets => frame(outlet, header, &list_offsets(&decoded(header, body)?)),
        ApiKey::CreateTopics => frame(outlet, header, &create_topics(&decoded(header, body)?)),
        ApiKey::DeleteTopics => frame(outlet, header, &delete_topics(&decoded(header, body)?)),
        ApiKey::InitProducerId => frame(outlet, header, &init_producer_id(shared)),
        _ => group::answer(outlet, shared.port, header, body),
    }
}

/// A request's body.
pub(crate) fn decoded<M: Message>(header: Header, body: &[u8]) -> Result<M, Broken> {
    M::decode(&mut Reader::new(body), header.version)
        .map_err(|error| Broken::Malformed(format!("{} {}: {error}", header.api.name(), header.version)))
}

/// Appends a whole frame with this response.
pub(crate) fn frame<M: Message>(outlet: &mut Vec<u8>, header: Header, response: &M) -> Result<(), Broken> {
    frame_around(outlet, header, response, 0).map(|_| ())
}

/// Appends a frame of which `outside` bytes are sent from elsewhere; gives the positions where they belong.
pub(crate) fn frame_around<M: Message>(
    outlet: &mut Vec<u8>,
    header: Header,
    response: &M,
    outside: usize,
) -> Result<Vec<usize>, Broken> {
    let begin = outlet.len();
    let mut writer = Writer::with_buffer(std::mem::take(outlet));
    writer.raw(&[0; 4]);
    let encoded = ResponseHeader::new(header.correlation_id)
        .encode(&mut writer, header.api, header.version)
        .and_then(|()| response.encode(&mut writer, header.version));
    *outlet = writer.bytes;
    let cuts = writer.cuts;
    encoded.map_err(|error| Broken::Malformed(error.to_string()))?;
    let len = outlet.len() - begin - 4 + outside;
    let len = i32::try_from(len).map_err(|_| Broken::Malformed(format!("an answer of {len} bytes")))?;
    outlet[begin..begin + 4].copy_from_slice(&len.to_be_bytes());
    Ok(cuts)
}

/// KIP-511: a version that we do not know is answered in version 0.
fn api_versions(outlet: &mut Vec<u8>, header: Header) -> Result<(), Broken> {
    let (_, newest) = ApiKey::ApiVersions.versions();
    let known = header.version <= newest;
    let response = ApiVersionsResponse {
        error_code: if known { 0 } else { UNSUPPORTED_VERSION },
        api_keys: APIS.iter().chain(&group::APIS).map(|api| range_of(*api)).collect(),
        ..ApiVersionsResponse::default()
    };
    frame(outlet, Header { version: if known { header.version } else { 0 }, ..header }, &response)
}

fn range_of(api: ApiKey) -> ApiVersion {
    let (min_version, max_version) = api.versions();
    ApiVersion { api_key: api.key(), min_version, max_version, ..ApiVersion::default() }
}

fn metadata(shared: &Shared, request: &MetadataRequest) -> MetadataResponse {
    let host = "127.0.0.1".to_owned();
    let port = i32::from(shared.port);
    let names = request.topics.iter().flatten().filter_map(|it| it.name.clone());
    MetadataResponse {
        brokers: vec![MetadataResponseBroker { node_id: NODE, host, port, ..MetadataResponseBroker::default() }],
        cluster_id: Some("null-broker".to_owned()),
        controller_id: NODE,
        topics: names.map(|name| topic(shared, name)).collect(),
        ..MetadataResponse::default()
    }
}

fn topic(shared: &Shared, name: String) -> MetadataResponseTopic {
    let partition = |partition_index| MetadataResponsePartition {
        partition_index,
        leader_id: NODE,
        leader_epoch: 0,
        replica_nodes: vec![NODE],
        isr_nodes: vec![NODE],
        ..MetadataResponsePartition::default()
    };
    MetadataResponseTopic {
        topic_id: topic_id(&name),
        name: Some(name),
        partitions: (0..shared.partitions).map(partition).collect(),
        ..MetadataResponseTopic::default()
    }
}

/// An id that follows from the name (FNV-1a, twice), so that nothing has to be remembered.
pub(crate) fn topic_id(name: &str) -> Uuid {
    let hash = |seed: u64| name.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    Uuid::from_halves(hash(0xcbf2_9ce4_8422_2325), hash(0x9e37_79b9_7f4a_7c15))
}

fn list_offsets(request: &ListOffsetsRequest) -> ListOffsetsResponse {
    let topics = request.topics.iter().map(|topic| ListOffsetsTopicResponse {
        name: topic.name.clone(),
        partitions: topic.partitions.iter().map(|it| offset_of(it.partition_index, it.timestamp)).collect(),
        ..ListOffsetsTopicResponse::default()
    });
    ListOffsetsResponse { topics: topics.collect(), ..ListOffsetsResponse::default() }
}

fn offset_of(partition_index: i32, timestamp: i64) -> ListOffsetsPartitionResponse {
    let offset = if timestamp == EARLIEST { 0 } else { END_OFFSET };
    ListOffsetsPartitionResponse { partition_index, offset, leader_epoch: 0, ..ListOffsetsPartitionResponse::default() }
}

fn create_topics(request: &CreateTopicsRequest) -> CreateTopicsResponse {
    let topics = request.topics.iter().map(|topic| CreatableTopicResult {
        name: topic.name.clone(),
        topic_id: topic_id(&topic.name),
        num_partitions: topic.num_partitions,
        replication_factor: 1,
        ..CreatableTopicResult::default()
    });
    CreateTopicsResponse { topics: topics.collect(), ..CreateTopicsResponse::default() }
}

fn delete_topics(request: &DeleteTopicsRequest) -> DeleteTopicsResponse {
    let listed = request.topics.iter().map(|it| (it.name.clone(), it.topic_id));
    let named = request.topic_names.iter().map(|it| (Some(it.clone()), Uuid::ZERO));
    let results = listed.chain(named).map(|(name, topic_id)| DeletableTopicResult {
        name,
        topic_id,
        ..DeletableTopicResult::default()
    });
    DeleteTopicsResponse { responses: results.collect(), ..DeleteTopicsResponse::default() }
}

fn init_producer_id(shared: &Shared) -> InitProducerIdResponse {
    let producer_id = shared.producers.replace(shared.producers.get() + 1);
    InitProducerIdResponse { producer_id, producer_epoch: 0, ..InitProducerIdResponse::default() }
}
