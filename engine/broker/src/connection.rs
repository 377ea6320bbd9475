//! One client connection, as a state machine without I/O: bytes in, frames out; answers in, parts in request order out.
//!
//! ```text
//!   Received(buf) -> next_frame ... -> handler -> Slot (waiting | ready) -> output -> the socket
//!                       |                           ^ in request order
//!                       +- frame larger than what came: received at its exact size
//! ```
//! As in Kafka, a request is handled when the one before it is answered, so that it sees what that one did. Produce behind
//! produce is the exception: batches are staged in order, so several may wait for one write or one flush.
//!
//! Invariants: replies leave in request order; at most one receive and one send are under way; a frame that has to wait
//! is held here, in memory of its own ([`Connection::keep_held`]), and nothing more is received meanwhile.

use std::collections::VecDeque;

use ringlog_io::{Buf, Slice};
use ringlog_wire::ApiKey;

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
    /// A large frame is here.
    Whole(Slice),
}

/// What a connection's input says next.
#[derive(Debug)]
pub(crate) enum Next {
    /// A request to be handled. Its place in the order of replies is taken.
    Request { frame: Slice, slot: u64 },
    /// A request is here, and has to wait for the ones before it.
    Held,
    /// No whole request is here: receive more.
    Receive,
}

/// What to receive next.
#[derive(Debug)]
pub(crate) enum Receive {
    /// Whatever comes.
    Any,
    /// The rest of a frame, until the buffer holds this many bytes.
    Exact(Buf, usize),
}

/// A request that was answered: its API and version by number, and when it was here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) api: i16,
    pub(crate) version: i16,
    pub(crate) since_ns: u64,
}

/// A reply's place in the queue.
#[derive(Debug)]
enum Slot {
    Waiting { is_produce: bool, asked: Answered },
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
    /// What is held of the input lies in memory of our own, not in a receive buffer.
    holds_copy: bool,
    slots: VecDeque<Slot>,
    first_slot: u64,
    /// Requests that wait for their answer and are no produce: one at most.
    others_waiting: usize,
    pub(crate) output: VecDeque<Part>,
    /// Bytes of `output`, ranges of segments included.
    output_bytes: usize,
    /// Bytes in memory of the answers that are ready, in their places or in `output`.
    queued_bytes: usize,
    /// Bytes in memory that are being sent, or read from a file.
    pub(crate) leaving_bytes: usize,
    /// Bytes that were copied out of the page cache, until they are counted.
    pub(crate) copied_bytes: u64,
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
            holds_copy: false,
            slots: VecDeque::new(),
            first_slot: 0,
            others_waiting: 0,
            output: VecDeque::new(),
            output_bytes: 0,
            queued_bytes: 0,
            leaving_bytes: 0,
            copied_bytes: 0,
        }
    }

    /// Takes in a chunk that was received. `next_frame` gives its frames.
    pub(crate) fn received(&mut self, chunk: Buf) {
        let chunk = match std::mem::replace(&mut self.input, Input::Between) {
            Input::Prefix { bytes, filled } => {
                let mut joined = Vec::with_capacity(filled + chunk.len());
                joined.extend_from_slice(&bytes[..filled]);
                joined.extend_from_slice(&chunk);
                Slice::from(joined)
            }
            Input::Between => Slice::new(chunk),
            Input::Chunk { .. } | Input::Large { .. } | Input::Whole(_) => {
                unreachable!("no receive is under way in this state")
            }
        };
        self.holds_copy = false;
        self.input = Input::Chunk { chunk, at: 0 };
    }

    /// Takes in a buffer that was filled for a large frame: it is whole, or what to receive next.
    pub(crate) fn filled(&mut self, mut buf: Buf) -> Option<Receive> {
        let Input::Large { frame_len } = self.input else { unreachable!("only a large frame is received exactly") };
        if buf.len() < frame_len {
            let target = frame_len.min(2 * buf.len());
            let more = target - buf.len();
            buf.vec().reserve_exact(more);
            return Some(Receive::Exact(buf, target));
        }
        self.holds_copy = true;
        self.input = Input::Whole(Slice::new(buf));
        None
    }

    /// What there is to do next: handle a request, let it wait, or receive. A connection whose answers take `answer_room`
    /// bytes of memory has its fill; a produce waits where the shard takes none.
    pub(crate) fn next(
        &mut self,
        frame_len_max: usize,
        answer_room: usize,
        takes_produces: bool,
        admits: impl FnOnce(&Slice) -> bool,
    ) -> Result<Next, Refused> {
        let Some(frame) = self.peek_frame(frame_len_max)? else { return Ok(Next::Receive) };
        let number = |at: usize| frame.get(at..at + 2).map_or(-1, |bytes| i16::from_be_bytes([bytes[0], bytes[1]]));
        let asked = Answered { api: number(0), version: number(2), since_ns: self.last_active_ns };
        let is_produce = asked.api == ApiKey::Produce as i16;
        let is_wanted = takes_produces || !is_produce;
        if self.answer_bytes() >= answer_room || !is_wanted || !self.may_handle(is_produce) || !admits(&frame) {
            return Ok(Next::Held);
        }
        match &mut self.input {
            Input::Chunk { at, .. } => *at += 4 + frame.len(),
            input => *input = Input::Between,
        }
        Ok(Next::Request { frame, slot: self.reserve(is_produce, asked) })
    }

    /// The next whole frame that is here, without its length prefix.
    fn peek_frame(&mut self, frame_len_max: usize) -> Result<Option<Slice>, Refused> {
        let (chunk, at) = match &mut self.input {
            Input::Chunk { chunk, at } => (chunk, *at),
            Input::Whole(frame) => return Ok(Some(frame.clone())),
            Input::Between | Input::Prefix { .. } | Input::Large { .. } => return Ok(None),
        };
        let rest = &chunk[at..];
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
        Ok(Some(chunk.slice(at + 4..at + 4 + frame_len)))
    }

    fn may_handle(&self, is_produce: bool) -> bool {
        let is_alone = self.slots.is_empty() || (is_produce && self.others_waiting == 0);
        is_alone && self.slots.len() < limits::REQUESTS_IN_FLIGHT && self.output_bytes < limits::OUTPUT_BYTES
    }

    /// Bytes of memory that answers take: queued, read from a file, or being sent.
    pub(crate) fn answer_bytes(&self) -> usize {
        self.queued_bytes + self.leaving_bytes
    }

    /// The length of the frame that is received by itself, or will be next.
    pub(crate) fn frame_len(&self) -> Option<usize> {
        match &self.input {
            Input::Large { frame_len } => Some(*frame_len),
            // `next` checked the length before it said that the frame is not whole.
            Input::Chunk { chunk, at } => chunk[*at..].first_chunk().map(|prefix| i32::from_be_bytes(*prefix) as usize),
            Input::Between | Input::Prefix { .. } | Input::Whole(_) => None,
        }
    }

    /// Puts what is held into memory of our own: a receive buffer is not kept for longer than a turn.
    /// Gives how many bytes that were.
    pub(crate) fn keep_held(&mut self) -> usize {
        match &mut self.input {
            Input::Chunk { chunk, at } if !self.holds_copy => {
                *chunk = Slice::from(chunk[*at..].to_vec());
                *at = 0;
                self.holds_copy = true;
                chunk.len()
            }
            _ => 0,
        }
    }

    /// What to receive now that no whole frame is here. `buffer` gives empty buffers.
    pub(crate) fn receive_next(&mut self, buffer: impl FnOnce(usize) -> Buf) -> Receive {
        let Input::Chunk { chunk, at } = &self.input else { return Receive::Any };
        let rest = &chunk[*at..];
        let Some(prefix) = rest.first_chunk::<4>() else { return Receive::Any };
        // `next` checked the length before it said that the frame is not whole.
        let frame_len = i32::from_be_bytes(*prefix) as usize;
        let target = frame_len.min(limits::FRAME_FIRST_BYTES);
        let mut buf = buffer(target);
        buf.vec().extend_from_slice(&rest[4..]);
        self.input = Input::Large { frame_len };
        Receive::Exact(buf, target)
    }

    /// Takes a place in the order of replies.
    fn reserve(&mut self, is_produce: bool, asked: Answered) -> u64 {
        self.others_waiting += usize::from(!is_produce);
        self.slots.push_back(Slot::Waiting { is_produce, asked });
        self.first_slot + self.slots.len() as u64 - 1
    }

    /// Puts the answer in its place; what is next in order moves to the output. A reply without parts (acks=0) only
    /// leaves its place. Gives what was asked.
    pub(crate) fn complete(&mut self, slot: u64, response: Response) -> Answered {
        let place = usize::try_from(slot - self.first_slot).unwrap_or(usize::MAX);
        #[cfg(feature = "plant")]
        let place =
            if ringlog_io::plant::is(ringlog_io::plant::REPLY_OUT_OF_ORDER) { self.slots.len() - 1 } else { place };
        let slot = self.slots.get_mut(place).unwrap_or_else(|| unreachable!("a reply for a reserved slot"));
        self.queued_bytes += response.memory_bytes();
        let (is_produce, asked) = match std::mem::replace(slot, Slot::Ready(response)) {
            Slot::Waiting { is_produce, asked } => (is_produce, asked),
            Slot::Ready(_) => (true, Answered::default()),
        };
        self.others_waiting -= usize::from(!is_produce);
        while let Some(Slot::Ready(_)) = self.slots.front() {
            let Some(Slot::Ready(response)) = self.slots.pop_front() else { break };
            self.first_slot += 1;
            for part in response.parts {
                self.output_bytes += part.len();
                self.output.push_back(part);
            }
        }
        asked
    }

    /// So many bytes of the range at the head of the output went out, or are here.
    pub(crate) fn cut_range(&mut self, len: usize) {
        let Some(Part::File(range)) = self.output.front_mut() else { unreachable!("the range stays first") };
        range.position += len as u64;
        range.len -= len;
        self.output_bytes -= len;
        if range.len == 0 {
            self.output.pop_front();
        }
    }

    /// The byte parts at the head of the output, for one send; empty when a file range is first, or nothing is there.
    pub(crate) fn take_bytes(&mut self, parts: &mut Vec<Slice>) {
        while parts.len() < limits::SEND_PARTS
            && let Some(Part::Bytes(_)) = self.output.front()
            && let Some(Part::Bytes(bytes)) = self.output.pop_front()
        {
            self.output_bytes -= bytes.len();
            self.queued_bytes -= bytes.len();
            parts.push(bytes);
        }
    }

    /// Puts bytes that were read for the file range at the head of the output before what is left of it.
    pub(crate) fn put_first(&mut self, bytes: Slice) {
        self.output_bytes += bytes.len();
        self.queued_bytes += bytes.len();
        self.output.push_front(Part::Bytes(bytes));
    }

    /// Whether nothing waits to be sent.
    pub(crate) fn is_drained(&self) -> bool {
        self.output.is_empty() && !self.sending && !self.transferring
    }

    /// Whether something follows when what is being sent has left.
    pub(crate) fn awaits_sent(&self) -> bool {
        !self.output.is_empty() || self.closing || !self.receiving
    }

    /// Whether it is our turn to say something, and nothing that we said is still on its way.
    pub(crate) fn waits_for_us(&self) -> bool {
        !self.slots.is_empty() && self.is_drained()
    }

    /// Whether a large frame is on its way.
    pub(crate) fn is_filling(&self) -> bool {
        matches!(self.input, Input::Large { .. })
    }

    /// Whether nothing is asked and nothing is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.slots.is_empty() && self.is_drained()
    }
}

#[cfg(test)]
mod tests;
