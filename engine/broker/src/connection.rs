//! One client connection, as a state machine without I/O: bytes in, frames out; answers in, parts in request order out.
//!
//! ```text
//!   Received(buf) -> take_frame ... -> handler -> Slot (waiting | ready) -> output -> the socket
//!                       |                           ^ in request order
//!                       +- frame larger than what came: Grow, received at its exact size
//! ```
//! Invariants: replies leave in request order; at most one receive and one send are under way; a paused connection
//! (too many requests in flight, too many bytes queued) reads nothing more until it has drained.

use std::collections::VecDeque;

use ringlog_io::{Buf, Slice};

use crate::limits;
use crate::response::{Part, Response};

/// Why a connection is closed by us. Kafka closes without an answer in each of these cases.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("a frame of {len} bytes; socket.request.max.bytes is {limit}")]
    FrameLength { len: i32, limit: usize },
    #[error("request header: {0}")]
    Header(ringlog_wire::DecodeError),
    #[error("api key {key} version {version} is not announced by ApiVersions")]
    Unsupported { key: i16, version: i16 },
    #[error("{api} request version {version}: {error}")]
    Body { api: &'static str, version: i16, error: ringlog_wire::DecodeError },
    #[error("an answer that cannot be written: {0}")]
    Answer(ringlog_wire::EncodeError),
    #[error("a produce request with acks=0 failed: {0}")]
    UnacknowledgedProduce(&'static str),
}

/// What the next bytes are for.
#[derive(Debug)]
enum Input {
    /// Nothing of a frame is here.
    Between,
    /// 1 to 3 bytes of a length prefix.
    Prefix { bytes: [u8; 4], filled: usize },
    /// A chunk with frames not handled yet, from `at` on.
    Chunk { chunk: Slice, at: usize },
    /// A large frame is being received by itself.
    Large { frame_len: usize },
}

/// What to receive next.
#[derive(Debug)]
pub(crate) enum Receive {
    /// Whatever comes.
    Any,
    /// The rest of a frame, until the buffer holds this many bytes.
    Exact(Buf, usize),
}

/// A reply's place in the queue.
#[derive(Debug)]
enum Slot {
    Waiting,
    Ready(Response),
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) receiving: bool,
    pub(crate) sending: bool,
    /// A transfer of a file range is under way (a read of cold bytes, or a wait for room in the socket).
    pub(crate) transferring: bool,
    /// Closed when everything queued has left.
    pub(crate) closing: bool,
    pub(crate) last_active_ns: u64,
    input: Input,
    slots: VecDeque<Slot>,
    first_slot: u64,
    pub(crate) output: VecDeque<Part>,
    output_bytes: usize,
}

impl Connection {
    pub(crate) fn new(now_ns: u64) -> Self {
        Self {
            receiving: false,
            sending: false,
            transferring: false,
            closing: false,
            last_active_ns: now_ns,
            input: Input::Between,
            slots: VecDeque::new(),
            first_slot: 0,
            output: VecDeque::new(),
            output_bytes: 0,
        }
    }

    /// Takes in a chunk that was received. `take_frame` gives its frames.
    pub(crate) fn received(&mut self, chunk: Buf) {
        let chunk = match std::mem::replace(&mut self.input, Input::Between) {
            Input::Prefix { bytes, filled } => {
                let mut joined = Vec::with_capacity(filled + chunk.len());
                joined.extend_from_slice(&bytes[..filled]);
                joined.extend_from_slice(&chunk);
                Slice::from(joined)
            }
            Input::Between => Slice::new(chunk),
            Input::Chunk { .. } | Input::Large { .. } => unreachable!("no receive is under way in this state"),
        };
        self.input = Input::Chunk { chunk, at: 0 };
    }

    /// Takes in a buffer that was filled for a large frame: the frame, or what to receive next.
    pub(crate) fn filled(&mut self, mut buf: Buf) -> Result<Slice, Receive> {
        let Input::Large { frame_len } = self.input else { unreachable!("only a large frame is received exactly") };
        if buf.len() < frame_len {
            let target = frame_len.min(2 * buf.len());
            let more = target - buf.len();
            buf.vec().reserve_exact(more);
            return Err(Receive::Exact(buf, target));
        }
        self.input = Input::Between;
        Ok(Slice::new(buf))
    }

    /// The next whole frame that is here, without its length prefix. `None`: receive more (see [`Self::receive_next`]).
    pub(crate) fn take_frame(&mut self, frame_len_max: usize) -> Result<Option<Slice>, Refused> {
        let Input::Chunk { chunk, at } = &mut self.input else { return Ok(None) };
        let rest = &chunk[*at..];
        let Some(prefix) = rest.first_chunk::<4>() else {
            let mut bytes = [0; 4];
            let filled = rest.len();
            bytes[..filled].copy_from_slice(rest);
            self.input = if filled == 0 { Input::Between } else { Input::Prefix { bytes, filled } };
            return Ok(None);
        };
        let len = i32::from_be_bytes(*prefix);
        let frame_len = usize::try_from(len).ok().filter(|len| *len > 0 && *len <= frame_len_max);
        let frame_len = frame_len.ok_or(Refused::FrameLength { len, limit: frame_len_max })?;
        if rest.len() - 4 < frame_len {
            return Ok(None);
        }
        let frame = chunk.slice(*at + 4..*at + 4 + frame_len);
        *at += 4 + frame_len;
        Ok(Some(frame))
    }

    /// What to receive now that no whole frame is here. `buffer` gives empty buffers.
    pub(crate) fn receive_next(&mut self, buffer: impl FnOnce(usize) -> Buf) -> Receive {
        let Input::Chunk { chunk, at } = &self.input else { return Receive::Any };
        let rest = &chunk[*at..];
        let Some(prefix) = rest.first_chunk::<4>() else { return Receive::Any };
        // take_frame checked the length before it said that the frame is not whole.
        let frame_len = i32::from_be_bytes(*prefix) as usize;
        let target = frame_len.min(limits::FRAME_FIRST_BYTES);
        let mut buf = buffer(target);
        buf.vec().extend_from_slice(&rest[4..]);
        self.input = Input::Large { frame_len };
        Receive::Exact(buf, target)
    }

    /// Whether requests are left unread until replies have left.
    pub(crate) fn is_paused(&self) -> bool {
        self.slots.len() >= limits::REQUESTS_IN_FLIGHT || self.output_bytes >= limits::OUTPUT_BYTES
    }

    /// Takes a place in the order of replies.
    pub(crate) fn reserve(&mut self) -> u64 {
        self.slots.push_back(Slot::Waiting);
        self.first_slot + self.slots.len() as u64 - 1
    }

    /// Puts the answer in its place; what is next in order moves to the output. A reply without parts (acks=0) only
    /// leaves its place.
    pub(crate) fn complete(&mut self, slot: u64, response: Response) {
        let place = usize::try_from(slot - self.first_slot).unwrap_or(usize::MAX);
        let slot = self.slots.get_mut(place).unwrap_or_else(|| unreachable!("a reply for a reserved slot"));
        *slot = Slot::Ready(response);
        while let Some(Slot::Ready(_)) = self.slots.front() {
            let Some(Slot::Ready(response)) = self.slots.pop_front() else { break };
            self.first_slot += 1;
            for part in response.parts {
                // A range of a file is not in memory yet.
                self.output_bytes += if let Part::Bytes(bytes) = &part { bytes.len() } else { 0 };
                self.output.push_back(part);
            }
        }
    }

    /// The byte parts at the head of the output, for one send; empty when a file range is first, or nothing is there.
    pub(crate) fn take_bytes(&mut self, parts: &mut Vec<Slice>) {
        while parts.len() < limits::SEND_PARTS
            && let Some(Part::Bytes(_)) = self.output.front()
            && let Some(Part::Bytes(bytes)) = self.output.pop_front()
        {
            self.output_bytes -= bytes.len();
            parts.push(bytes);
        }
    }

    /// Puts bytes that were read for the file range at the head of the output before what is left of it.
    pub(crate) fn put_first(&mut self, bytes: Slice) {
        self.output_bytes += bytes.len();
        self.output.push_front(Part::Bytes(bytes));
    }

    /// Whether nothing waits to be sent.
    pub(crate) fn is_drained(&self) -> bool {
        self.output.is_empty() && !self.sending && !self.transferring
    }

    /// Whether nothing is asked and nothing is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.slots.is_empty() && self.is_drained()
    }
}

#[cfg(test)]
mod tests {
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
                    match connection.filled(buf) {
                        Ok(frame) => frames.push(frame.to_vec()),
                        Err(more) => {
                            want = more;
                            continue;
                        }
                    }
                }
            }
            while let Some(frame) = connection.take_frame(LIMIT).unwrap() {
                frames.push(frame.to_vec());
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
            assert!(matches!(connection.take_frame(LIMIT), Err(Refused::FrameLength { .. })), "{len}");
        }
    }

    #[test]
    fn a_claimed_length_allocates_no_more_than_twice_what_arrived() {
        let mut connection = Connection::new(0);
        connection.received(Buf::from((LIMIT as i32).to_be_bytes().to_vec()));
        assert!(connection.take_frame(LIMIT).unwrap().is_none());
        let Receive::Exact(_, target) = connection.receive_next(|len| Buf::from(Vec::with_capacity(len))) else {
            panic!()
        };
        assert_eq!(target, limits::FRAME_FIRST_BYTES);
    }

    fn bytes(text: &str) -> Response {
        Response { parts: vec![Part::Bytes(Slice::from(text.as_bytes().to_vec()))] }
    }

    #[test]
    fn replies_leave_in_request_order() {
        let mut connection = Connection::new(0);
        let (first, second, third) = (connection.reserve(), connection.reserve(), connection.reserve());
        connection.complete(third, bytes("c"));
        connection.complete(second, Response::default());
        assert!(connection.output.is_empty());
        connection.complete(first, bytes("a"));
        let mut parts = Vec::new();
        connection.take_bytes(&mut parts);
        assert_eq!(parts.concat_bytes(), b"ac");
        assert!(connection.is_idle());
    }

    #[test]
    fn a_connection_with_too_many_requests_in_flight_is_paused() {
        let mut connection = Connection::new(0);
        let slots: Vec<u64> = (0..limits::REQUESTS_IN_FLIGHT).map(|_| connection.reserve()).collect();
        assert!(connection.is_paused());
        connection.complete(slots[0], bytes("a"));
        assert!(!connection.is_paused());
    }

    trait Concat {
        fn concat_bytes(&self) -> Vec<u8>;
    }
    impl Concat for Vec<Slice> {
        fn concat_bytes(&self) -> Vec<u8> {
            self.iter().flat_map(|part| part.to_vec()).collect()
        }
    }
}
