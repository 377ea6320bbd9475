//! What of a frame the proxy understands: whose answer it is, how many records it carries; and a Produce answer as an error.

use ringlog_wire::batch::Batches;
use ringlog_wire::header::{RequestHeader, ResponseHeader};
use ringlog_wire::messages::fetch::FetchResponse;
use ringlog_wire::messages::produce::{ProduceRequest, ProduceResponse};
use ringlog_wire::{ApiKey, Message, Reader, Writer};

/// What the answer's error says in words.
const ERROR_TEXT: &str = "planted by the truth proxy";

/// A partition's part of a Produce request or of a Fetch answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    /// The topic's name, or its id in versions without names.
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) records: u64,
    /// Of record batches.
    pub(crate) bytes: usize,
}

/// A request, as far as it matters.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) header: RequestHeader,
    pub(crate) parts: Vec<Part>,
    pub(crate) is_answered: bool,
}

impl Asked {
    pub(crate) fn is(&self, api: ApiKey) -> bool {
        self.header.api_key == api.key()
    }

    /// Produce or Fetch.
    pub(crate) fn is_data(&self) -> bool {
        self.is(ApiKey::Produce) || self.is(ApiKey::Fetch)
    }
}

/// Reads a request; only Produce is read beyond its header.
pub(crate) fn asked(frame: &[u8]) -> Result<Asked, String> {
    let mut reader = Reader::new(frame);
    let header = RequestHeader::decode(&mut reader).map_err(|error| format!("request header: {error}"))?;
    let mut asked = Asked { header, parts: Vec::new(), is_answered: true };
    if asked.is(ApiKey::Produce) {
        let body = ProduceRequest::decode(&mut reader, asked.header.api_version).map_err(|it| it.to_string())?;
        asked.is_answered = body.acks != 0;
        for topic in &body.topic_data {
            for part in &topic.partition_data {
                let (records, bytes) = counted(part.records.bytes(frame).unwrap_or_default())?;
                let topic = name(&topic.name, &topic.topic_id.to_string());
                asked.parts.push(Part { topic, partition: part.index, records, bytes });
            }
        }
    }
    Ok(asked)
}

/// The records of a Fetch answer.
pub(crate) fn fetched(frame: &[u8], version: i16) -> Result<Vec<Part>, String> {
    let mut reader = Reader::new(frame);
    ResponseHeader::decode(&mut reader, ApiKey::Fetch, version).map_err(|error| error.to_string())?;
    let body = FetchResponse::decode(&mut reader, version).map_err(|error| error.to_string())?;
    let mut parts = Vec::new();
    for topic in &body.responses {
        for part in &topic.partitions {
            let (records, bytes) = counted(part.records.bytes(frame).unwrap_or_default())?;
            let topic = name(&topic.topic, &topic.topic_id.to_string());
            parts.push(Part { topic, partition: part.partition_index, records, bytes });
        }
    }
    Ok(parts)
}

fn name(name: &str, id: &str) -> String {
    if name.is_empty() { id.to_owned() } else { name.to_owned() }
}

/// Records and bytes of whole batches; a piece of one at the end, as Fetch answers may have, does not count.
fn counted(bytes: &[u8]) -> Result<(u64, usize), String> {
    let mut records = 0;
    for batch in Batches::new(bytes) {
        let Ok(batch) = batch else { break };
        records += u64::try_from(batch.header.record_count).map_err(|error| error.to_string())?;
    }
    Ok((records, bytes.len()))
}

/// The answer to a Produce request with `code` for every partition.
pub(crate) fn as_error(frame: &[u8], version: i16, code: i16) -> Result<Vec<u8>, String> {
    let text = |error: &dyn std::fmt::Display| format!("produce answer: {error}");
    let mut reader = Reader::new(frame);
    let header = ResponseHeader::decode(&mut reader, ApiKey::Produce, version).map_err(|it| text(&it))?;
    let mut body = ProduceResponse::decode(&mut reader, version).map_err(|it| text(&it))?;
    for part in body.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses) {
        part.error_code = code;
        part.base_offset = -1;
        part.error_message = (version >= 8).then(|| ERROR_TEXT.to_owned());
    }
    let mut writer = Writer::new();
    header.encode(&mut writer, ApiKey::Produce, version).map_err(|it| text(&it))?;
    body.encode(&mut writer, version).map_err(|it| text(&it))?;
    Ok(writer.bytes)
}

#[cfg(test)]
mod tests {
    use ringlog_wire::Records;
    use ringlog_wire::batch::BatchBuilder;
    use ringlog_wire::compression::Scratch;
    use ringlog_wire::messages::produce::{
        PartitionProduceData, PartitionProduceResponse, TopicProduceData, TopicProduceResponse,
    };

    use super::*;

    fn request(records: usize) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        (0..records).for_each(|_| builder.append(1, None, Some(b"value"), &[]));
        let batch = builder.finish(&mut Scratch::new()).unwrap().to_vec();
        let part = PartitionProduceData { index: 3, records: Records::Outside(batch.len()), ..Default::default() };
        let topic = TopicProduceData { name: "t".into(), partition_data: vec![part], ..Default::default() };
        let body = ProduceRequest { acks: 1, topic_data: vec![topic], ..Default::default() };
        let mut writer = Writer::new();
        RequestHeader::new(ApiKey::Produce, 9, 5, None).encode(&mut writer).unwrap();
        body.encode(&mut writer, 9).unwrap();
        let at = writer.cuts[0];
        [&writer.bytes[..at], &batch, &writer.bytes[at..]].concat()
    }

    #[test]
    fn a_produce_request_s_records_are_counted() {
        let asked = asked(&request(7)).unwrap();
        assert_eq!((asked.header.correlation_id, asked.is_answered), (5, true));
        let [part] = asked.parts.as_slice() else { panic!("one part") };
        assert_eq!((part.topic.as_str(), part.partition, part.records), ("t", 3, 7));
    }

    #[test]
    fn an_answer_becomes_an_error_for_every_partition_and_keeps_the_rest() {
        let part = |index| PartitionProduceResponse { index, base_offset: 9, ..Default::default() };
        let topic = TopicProduceResponse {
            name: "t".into(),
            partition_responses: vec![part(0), part(1)],
            ..Default::default()
        };
        let body = ProduceResponse { responses: vec![topic], throttle_time_ms: 4, ..Default::default() };
        for version in 3..=12 {
            let mut writer = Writer::new();
            ResponseHeader::new(77).encode(&mut writer, ApiKey::Produce, version).unwrap();
            body.encode(&mut writer, version).unwrap();
            let spoiled = as_error(&writer.bytes, version, 87).unwrap();
            let mut reader = Reader::new(&spoiled);
            assert_eq!(ResponseHeader::decode(&mut reader, ApiKey::Produce, version).unwrap().correlation_id, 77);
            let read = ProduceResponse::decode(&mut reader, version).unwrap();
            assert_eq!(read.throttle_time_ms, 4);
            let codes: Vec<i16> = read.responses[0].partition_responses.iter().map(|it| it.error_code).collect();
            assert_eq!(codes, [87, 87], "version {version}");
        }
    }

    #[test]
    fn what_is_no_request_is_an_error() {
        assert!(asked(&[0, 0, 0]).is_err());
        assert!(as_error(&[0, 0], 9, 87).is_err());
    }
}
