//! Frames: header and body of every API, as a request and as a response, and the records of the broker's own topics.
//!
//! ```text
//!   input = kind u8 | 0: a request frame | 1: api key i16, version i16, response body
//!                   | 2: value of a metadata record | 3: key of a group record
//! ```
//!
//! What decodes must encode, and encode to the same bytes after another turn. The batches of a produce request go
//! through validation.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringlog_wire::batch::{Rules, validate};
use ringlog_wire::compression::Scratch;
use ringlog_wire::header::RequestHeader;
use ringlog_wire::messages::produce::ProduceRequest;
use ringlog_wire::records::group::GroupKey;
use ringlog_wire::records::metadata::MetadataRecord;
use ringlog_wire::{ApiKey, Message, Reader, Request, Writer, for_each_api};

/// Encodes, with the record data of `input` put back at the cuts.
fn encode<M: Message>(message: &M, version: i16, records: &[&[u8]]) -> Vec<u8> {
    let mut w = Writer::new();
    message.encode(&mut w, version).expect("what decoded encodes");
    assert_eq!(w.cuts.len(), records.len());
    let mut out = Vec::new();
    let mut from = 0;
    for (cut, data) in w.cuts.iter().zip(records) {
        out.extend_from_slice(&w.bytes[from..*cut]);
        out.extend_from_slice(data);
        from = *cut;
    }
    out.extend_from_slice(&w.bytes[from..]);
    out
}

/// The same for messages without record data: decode, encode, decode, encode.
fn turn<M: Message>(body: &[u8], version: i16) {
    let mut r = Reader::new(body);
    let Ok(message) = M::decode(&mut r, version) else { return };
    let mut w = Writer::new();
    message.encode(&mut w, version).expect("what decoded encodes");
    if !w.cuts.is_empty() {
        return;
    }
    let first = encode(&message, version, &[]);
    let again = M::decode(&mut Reader::new(&first), version).expect("what was encoded decodes");
    assert_eq!(encode(&again, version, &[]), first);
}

fn produce(body: &[u8], version: i16) {
    let Ok(request) = ProduceRequest::decode(&mut Reader::new(body), version) else { return };
    let partitions = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
    let records: Vec<&[u8]> = partitions.filter_map(|partition| partition.records.bytes(body)).collect();
    let mut scratch = Scratch::new();
    let rules = Rules { inflated_len_max: 1 << 20, ..Rules::default() };
    for bytes in &records {
        let _ = validate(bytes, &rules, 1_700_000_000_000, &mut scratch);
    }
    let first = encode(&request, version, &records);
    let again = ProduceRequest::decode(&mut Reader::new(&first), version).expect("what was encoded decodes");
    assert_eq!(encode(&again, version, &records), first);
}

fn request(frame: &[u8]) {
    let mut r = Reader::new(frame);
    let Ok(header) = RequestHeader::decode(&mut r) else { return };
    let (body, version) = (&frame[r.position()..], header.api_version);
    if header.api() == Ok(ApiKey::Produce) {
        return produce(body, version);
    }
    macro_rules! dispatch {
        ($($key:ident($module:ident): $request:ident => $response:ident;)+) => {
            match header.api() {
                $(Ok(ApiKey::$key) => turn::<ringlog_wire::messages::$module::$request>(body, version),)+
                _ => {}
            }
        };
    }
    for_each_api!(dispatch);
}

fn response(input: &[u8]) {
    let mut r = Reader::new(input);
    let (Ok(key), Ok(version)) = (r.i16(), r.i16()) else { return };
    let body = r.rest();
    macro_rules! dispatch {
        ($($key:ident($module:ident): $request:ident => $response:ident;)+) => {
            match ApiKey::try_from(key) {
                $(Ok(ApiKey::$key) => {
                    turn::<<ringlog_wire::messages::$module::$request as Request>::Response>(body, version);
                })+
                _ => {}
            }
        };
    }
    for_each_api!(dispatch);
}

fn metadata(value: &[u8]) {
    if let Ok((record, version)) = MetadataRecord::decode_value(value) {
        let first = record.encode_value(version).expect("what decoded encodes");
        let (again, _) = MetadataRecord::decode_value(&first).expect("what was encoded decodes");
        assert_eq!(again.encode_value(version).expect("twice"), first);
    }
}

fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((0, frame)) => request(frame),
        Some((1, input)) => response(input),
        Some((2, value)) => metadata(value),
        Some((3, key)) => {
            if let Ok(key) = GroupKey::decode(key) {
                let _ = key.encode();
            }
        }
        _ => {}
    }
});
