//! Frames come out however the stream is cut, answers leave in order, and what waits, waits for the right thing.

use super::*;
use ringlog_wire::hash;

const LIMIT: usize = 100 << 20;

fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as i32).to_be_bytes().to_vec();
    bytes.extend_from_slice(payload);
    bytes
}

/// Feeds a stream in pieces of the given sizes and gives the frames that came out.
fn feed(stream: &[u8], mut piece: impl FnMut() -> usize) -> Vec<Vec<u8>> {
    let mut connection = Connection::new(0);
    let mut frames = Vec::new();
    let mut rest = stream;
    let mut want = Receive::Any;
    while !rest.is_empty() {
        match want {
            Receive::Any => {
                let n = piece().clamp(1, rest.len());
                connection.received(Buf::from(rest[..n].to_vec()));
                rest = &rest[n..];
            }
            Receive::Exact(mut buf, target) => {
                let n = target - buf.len();
                buf.vec().extend_from_slice(&rest[..n]);
                rest = &rest[n..];
                if let Some(more) = connection.filled(buf) {
                    want = more;
                    continue;
                }
            }
        }
        while let Next::Request { frame, slot } = connection.next(LIMIT, usize::MAX, true, |_| true).unwrap() {
            frames.push(frame.to_vec());
            connection.complete(slot, Response::default());
        }
        want = connection.receive_next(|len| Buf::from(Vec::with_capacity(len)));
    }
    frames
}

#[test]
fn frames_come_out_whole_however_the_stream_is_cut() {
    let payloads: Vec<Vec<u8>> = [1usize, 3, 100, 5000, 70_000, 5 << 20, 7]
        .iter()
        .map(|&len| (0..len).map(|i| (i * 31 + len) as u8).collect())
        .collect();
    let stream: Vec<u8> = payloads.iter().flat_map(|payload| frame(payload)).collect();
    for seed in 0..50i32 {
        let mut state = seed;
        let frames = feed(&stream, || {
            state = hash::murmur2(&state.to_be_bytes());
            [1, 2, 3, 5, 64, 4096, 65_536][state.unsigned_abs() as usize % 7]
        });
        assert!(frames == payloads, "seed {seed}");
    }
}

#[test]
fn a_length_that_is_negative_zero_or_over_the_limit_is_refused() {
    for len in [-1, 0, i32::MIN, i32::MAX, LIMIT as i32 + 1] {
        let mut connection = Connection::new(0);
        connection.received(Buf::from(len.to_be_bytes().to_vec()));
        assert!(
            matches!(connection.next(LIMIT, usize::MAX, true, |_| true), Err(Refused::FrameLength { .. })),
            "{len}"
        );
    }
}

#[test]
fn a_claimed_length_allocates_no_more_than_twice_what_arrived() {
    let mut connection = Connection::new(0);
    connection.received(Buf::from((LIMIT as i32).to_be_bytes().to_vec()));
    assert!(matches!(connection.next(LIMIT, usize::MAX, true, |_| true).unwrap(), Next::Receive));
    let Receive::Exact(_, target) = connection.receive_next(|len| Buf::from(Vec::with_capacity(len))) else { panic!() };
    assert_eq!(target, limits::FRAME_FIRST_BYTES);
}

fn bytes(text: &str) -> Response {
    Response { parts: vec![Part::Bytes(Slice::from(text.as_bytes().to_vec()))], throttle_ms: 0 }
}

#[test]
fn replies_leave_in_request_order() {
    let mut connection = Connection::new(0);
    let asked = |version| Answered { api: 0, version, since_ns: 7 };
    let [first, second, third] = [1, 2, 3].map(|version| connection.reserve(true, asked(version)));
    assert_eq!(connection.complete(third, bytes("c")), asked(3));
    assert_eq!(connection.complete(second, Response::default()), asked(2));
    assert!(connection.output.is_empty());
    connection.complete(first, bytes("a"));
    let mut parts = Vec::new();
    connection.take_bytes(&mut parts);
    assert_eq!(parts.concat_bytes(), b"ac");
    assert!(connection.is_idle());
}

const PRODUCE: i16 = 0;
const FETCH: i16 = 1;

fn requests(keys: &[i16]) -> Vec<u8> {
    keys.iter().flat_map(|key| frame(&key.to_be_bytes())).collect()
}

/// How many requests are handed out before one has to wait, or none is here; and their slots.
fn hand_out(connection: &mut Connection) -> Vec<u64> {
    let next = || match connection.next(LIMIT, usize::MAX, true, |_| true).unwrap() {
        Next::Request { slot, .. } => Some(slot),
        Next::Held | Next::Receive => None,
    };
    std::iter::from_fn(next).collect()
}

#[test]
fn a_request_waits_for_the_answer_before_it_unless_both_are_produce() {
    for (keys, at_once) in [
        (&[FETCH, FETCH][..], 1),
        (&[PRODUCE, FETCH], 1),
        (&[FETCH, PRODUCE], 1),
        (&[PRODUCE, PRODUCE, PRODUCE, FETCH, PRODUCE], 3),
    ] {
        let mut connection = Connection::new(0);
        connection.received(Buf::from(requests(keys)));
        let mut handed_out = 0;
        let mut waiting = hand_out(&mut connection);
        assert_eq!(waiting.len(), at_once, "{keys:?}");
        while let Some(slot) = waiting.pop() {
            handed_out += 1;
            connection.complete(slot, bytes("a"));
            waiting.extend(hand_out(&mut connection));
        }
        assert_eq!(handed_out, keys.len(), "{keys:?}");
    }
}

#[test]
fn a_connection_with_too_many_produces_in_flight_hands_out_no_more() {
    let mut connection = Connection::new(0);
    connection.received(Buf::from(requests(&[PRODUCE; limits::REQUESTS_IN_FLIGHT + 1])));
    let slots = hand_out(&mut connection);
    assert_eq!(slots.len(), limits::REQUESTS_IN_FLIGHT);
    connection.complete(slots[0], bytes("a"));
    assert_eq!(hand_out(&mut connection).len(), 1);
}

#[test]
fn what_is_held_lets_go_of_the_receive_buffer() {
    let pool = ringlog_io::Buffers::new(1 << 20);
    let mut connection = Connection::new(0);
    let mut buf = pool.take(8192);
    buf.vec().extend_from_slice(&requests(&[FETCH, FETCH]));
    let memory = buf.as_ptr();
    connection.received(buf);
    let first = hand_out(&mut connection);
    connection.keep_held();
    assert_eq!(pool.take(8192).as_ptr(), memory, "the buffer came back");
    connection.complete(first[0], bytes("a"));
    assert_eq!(hand_out(&mut connection).len(), 1);
}

trait Concat {
    fn concat_bytes(&self) -> Vec<u8>;
}
impl Concat for Vec<Slice> {
    fn concat_bytes(&self) -> Vec<u8> {
        self.iter().flat_map(|part| part.to_vec()).collect()
    }
}
