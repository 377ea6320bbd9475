//! Frames between unmodified clients and a real broker: each decodes to its last byte and encodes to the same bytes.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{Frame, golden_frames};
use ringlog_wire::header::{RequestHeader, ResponseHeader};
use ringlog_wire::{ApiKey, Message, Reader, Request, Writer, for_each_api};

/// The frame without its header goes through `M` and comes out the same.
fn round_trip<M: Message>(body: &[u8], version: i16) -> M {
    let mut r = Reader::new(body);
    let message = M::decode(&mut r, version).unwrap_or_else(|e| panic!("{} v{version}: {e}", M::NAME));
    r.finish().unwrap_or_else(|e| panic!("{} v{version}: {e}", M::NAME));
    assert_eq!(common::encode_with_records(&message, version, body), body, "{} v{version}", M::NAME);
    message
}

fn request_body(frame: &Frame) -> &[u8] {
    let mut r = Reader::new(&frame.request);
    let header = RequestHeader::decode(&mut r).unwrap();
    assert_eq!((header.api_key, header.api_version), (frame.api_key, frame.api_version));
    let mut w = Writer::new();
    header.encode(&mut w).unwrap();
    assert_eq!(w.bytes, frame.request[..r.position()]);
    &frame.request[r.position()..]
}

fn response_body(frame: &Frame, api: ApiKey) -> &[u8] {
    let mut r = Reader::new(&frame.response);
    let header = ResponseHeader::decode(&mut r, api, frame.api_version).unwrap();
    let mut w = Writer::new();
    header.encode(&mut w, api, frame.api_version).unwrap();
    assert_eq!(w.bytes, frame.response[..r.position()]);
    &frame.response[r.position()..]
}

fn both_ways<R: Request>(frame: &Frame) {
    round_trip::<R>(request_body(frame), frame.api_version);
    if !frame.response.is_empty() {
        round_trip::<R::Response>(response_body(frame, R::KEY), frame.api_version);
    }
}

#[test]
fn every_golden_frame_of_a_declared_api_comes_back_byte_for_byte() {
    let mut checked = 0;
    for frame in golden_frames() {
        macro_rules! dispatch {
            ($($key:ident($module:ident): $request:ident => $response:ident;)+) => {
                match ApiKey::try_from(frame.api_key) {
                    $(Ok(ApiKey::$key) => {
                        both_ways::<ringlog_wire::messages::$module::$request>(&frame);
                        checked += 1;
                    })+
                    _ => {}
                }
            };
        }
        for_each_api!(dispatch);
    }
    assert!(checked >= 780, "only {checked} frames were checked");
}

#[test]
fn a_produce_request_says_what_the_client_meant() {
    use ringlog_wire::messages::produce::ProduceRequest;
    let frame = golden_frames().into_iter().find(|f| f.api_key == 0 && f.api_version == 7).unwrap();
    let body = request_body(&frame);
    let request: ProduceRequest = round_trip(body, 7);
    assert_eq!(request.topic_data.len(), 1);
    let partition = &request.topic_data[0].partition_data[0];
    let batch = partition.records.bytes(body).unwrap();
    assert_eq!(batch[16], 2, "magic");
}
