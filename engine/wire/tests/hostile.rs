//! Hostile bytes: nothing panics, and memory follows what is there, never what a length claims.
//!
//! The allocator counts for the whole process, so one test runs every check, one after the other.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::sync::LazyLock;

use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use ringlog_wire::batch::{BatchHeader, Batches, HEADER_LEN, LENGTH_OVERHEAD, Rules, validate};
use ringlog_wire::codec::{MEMORY_FLOOR, MEMORY_PER_BYTE};
use ringlog_wire::compression::{Codec, Scratch, decompress};
use ringlog_wire::header::RequestHeader;
use ringlog_wire::records::group::{GroupKey, decode_value};
use ringlog_wire::records::metadata::MetadataRecord;
use ringlog_wire::records::transaction_log::{TransactionLogKey, TransactionLogValue};
use ringlog_wire::{ApiKey, Message, Reader, Request, for_each_api};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes that `work` holds at its worst moment.
fn peak_of(work: impl FnOnce()) -> usize {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    work();
    MEMORY.peak_usage().saturating_sub(before)
}

/// What the reader's own budget allows. An error's words are not in it.
fn allowed(input: &[u8]) -> usize {
    input.len() * MEMORY_PER_BYTE + MEMORY_FLOOR
}

fn decode_as_everything(input: &[u8]) {
    let _ = RequestHeader::decode(&mut Reader::new(input));
    let _ = MetadataRecord::decode_value(input);
    let _ = GroupKey::decode(input);
    let _ = TransactionLogKey::decode_key(input);
    let _ = decode_value::<TransactionLogValue>(input);
    macro_rules! each {
        ($($key:ident($module:ident): $request:ident => $response:ident;)+) => { $(
            for version in [<ringlog_wire::messages::$module::$request>::VERSIONS.0, <ringlog_wire::messages::$module::$request>::VERSIONS.1] {
                decode_both::<ringlog_wire::messages::$module::$request>(input, version);
            }
        )+ };
    }
    for_each_api!(each);
}

fn decode_both<R: Request>(input: &[u8], version: i16) {
    let peak = peak_of(|| {
        let _ = R::decode(&mut Reader::new(input), version);
    });
    assert!(peak <= allowed(input), "{} v{version}: {peak} bytes of memory for {}", R::NAME, input.len());
    let peak = peak_of(|| {
        let _ = R::Response::decode(&mut Reader::new(input), version);
    });
    assert!(peak <= allowed(input), "{} v{version}: {peak} bytes of memory for {}", R::Response::NAME, input.len());
}

static FRAMES: LazyLock<Vec<(i16, i16, Vec<u8>)>> = LazyLock::new(|| {
    let frames = common::golden_frames();
    frames.into_iter().map(|frame| (frame.api_key, frame.api_version, frame.request)).collect()
});

fn decode_request(key: i16, frame: &[u8]) {
    let mut r = Reader::new(frame);
    let Ok(header) = RequestHeader::decode(&mut r) else { return };
    let body = r.rest();
    macro_rules! dispatch {
        ($($api:ident($module:ident): $request:ident => $response:ident;)+) => {
            match ApiKey::try_from(key) {
                $(Ok(ApiKey::$api) => {
                    let peak = peak_of(|| {
                        let _ = <ringlog_wire::messages::$module::$request>::decode(&mut Reader::new(body), header.api_version);
                    });
                    assert!(peak <= allowed(body), "{}: {peak} bytes of memory for {}", stringify!($request), body.len());
                })+
                _ => {}
            }
        };
    }
    for_each_api!(dispatch);
}

const OPEN_MAX: usize = 1 << 20;
/// Windows and tables of a codec, and the largest opened body twice.
const CODEC_MEMORY_MAX: usize = 16 << 20;

fn read_batches(input: &[u8], scratch: &mut Scratch) {
    let rules = Rules { inflated_len_max: OPEN_MAX, ..Rules::default() };
    let _ = validate(input, &rules, 0, scratch);
    for batch in Batches::new(input).map_while(Result::ok) {
        let _ = batch.check_crc();
        if let Ok(records) = batch.records(scratch, OPEN_MAX) {
            records.map_while(Result::ok).for_each(|record| assert_eq!(record.headers.count(), record.headers.len()));
        }
    }
}

/// A batch around `body` whose header agrees with it as far as a hostile client can make it.
fn sealed(body: &[u8], attributes: i16, count: i32) -> Vec<u8> {
    let mut header = BatchHeader {
        batch_length: (HEADER_LEN - LENGTH_OVERHEAD + body.len()) as i32,
        attributes,
        record_count: count,
        last_offset_delta: count.wrapping_sub(1),
        ..Default::default()
    };
    header.seal(body);
    [&header.to_bytes(), body].concat()
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

fn random_bytes_decode_or_fail_in_bounded_memory() {
    proptest!(config(), |(input in prop::collection::vec(any::<u8>(), 0..600))| decode_as_everything(&input));
}

fn bytes_full_of_lengths_do_too() {
    let byte = prop_oneof![Just(0xff), Just(0x7f), Just(0u8), Just(1), Just(2), any::<u8>()];
    proptest!(config(), |(input in prop::collection::vec(byte, 0..600))| decode_as_everything(&input));
}

fn golden_requests_with_some_bytes_changed_do_too() {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6);
    let (which, cut) = (any::<prop::sample::Index>(), any::<prop::sample::Index>());
    proptest!(config(), |(which in which, changes in changes, cut in cut)| {
        let (key, _, frame) = which.get(&FRAMES);
        let mut frame = frame.clone();
        for (at, byte) in changes {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        decode_request(*key, &frame);
        decode_request(*key, &frame[..cut.index(frame.len())]);
    });
}

fn random_batches_are_read_or_refused_in_bounded_memory() {
    let body = prop::collection::vec(any::<u8>(), 0..400);
    proptest!(config(), |(body in body, attributes in 0i16..8, count in prop_oneof![1i32..20, any::<i32>()])| {
        let input = sealed(&body, attributes, count);
        let peak = peak_of(|| {
            let mut scratch = Scratch::new();
            read_batches(&input, &mut scratch);
            read_batches(&body, &mut scratch);
            for codec in Codec::ALL {
                let _ = decompress(codec, &body, OPEN_MAX, &mut Vec::new(), &mut scratch);
            }
        });
        prop_assert!(peak < CODEC_MEMORY_MAX, "{} bytes of memory for {}", peak, input.len());
    });
}

fn an_array_of_two_billion_topics_allocates_nothing() {
    use ringlog_wire::messages::metadata::MetadataRequest;
    let input = [0x7f, 0xff, 0xff, 0xff, 0, 1, b'x'];
    let peak = peak_of(|| {
        assert!(MetadataRequest::decode(&mut Reader::new(&input), 1).is_err());
    });
    assert!(peak < 1024, "{peak}");
}

/// As many of the smallest elements as fit: topics without name and partitions, in a frame that is otherwise in order.
fn megabytes_of_tiny_arrays_take_what_is_granted() {
    use ringlog_wire::messages::{delete_topics::DeleteTopicsRequest, list_offsets::ListOffsetsRequest};
    const GRANTED: usize = 1 << 20;
    let of = |head: &[u8], element: &[u8], len: usize| {
        let count = (len / element.len()) as i32;
        [head, &count.to_be_bytes(), &element.repeat(count as usize)].concat()
    };
    let offsets = of(&[0; 4], &[0; 6], 8 << 20);
    let names = of(&[], &[0, 0], 8 << 20);
    // Each of them is paid for, however small: an array in every element of an array.
    let nested = of(&[0; 4], &[0, 1, b'x', 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 64 << 10);
    let granted_to = |input: &[u8], refused: &dyn Fn(&mut Reader<'_>) -> bool, granted: usize| {
        let peak = peak_of(|| assert!(refused(&mut Reader::within(input, granted))));
        assert!(peak <= granted, "{peak} bytes of memory of {granted}");
    };
    granted_to(&offsets, &|r| ListOffsetsRequest::decode(r, 1).is_err(), GRANTED);
    granted_to(&names, &|r| DeleteTopicsRequest::decode(r, 1).is_err(), GRANTED);
    granted_to(&nested, &|r| ListOffsetsRequest::decode(r, 1).is_err(), GRANTED / 2);
    granted_to(&nested, &|r| ListOffsetsRequest::decode(r, 1).is_ok(), GRANTED);
}

#[test]
fn hostile_bytes_never_panic_and_memory_follows_what_is_there() {
    an_array_of_two_billion_topics_allocates_nothing();
    megabytes_of_tiny_arrays_take_what_is_granted();
    random_bytes_decode_or_fail_in_bounded_memory();
    bytes_full_of_lengths_do_too();
    golden_requests_with_some_bytes_changed_do_too();
    random_batches_are_read_or_refused_in_bounded_memory();
}
