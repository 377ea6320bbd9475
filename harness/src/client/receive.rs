//! Response frames out of a stream of bytes.
//!
//! ```text
//!   received buffer  | len | frame | len | frame | len | fra          frames are slices of it: nothing is copied
//!                                                '----------.
//!   a buffer of the frame's size                 | fra......|         the rest is received straight into it
//! ```
//!
//! Invariant: a length is checked against [`FRAME_LEN_MAX`] before memory is taken for it.

use ringlog_io::{Buf, Slice};

use super::ClientError;

/// The largest response in bytes that is believed. Far above `fetch.max.bytes` plus one batch.
pub(crate) const FRAME_LEN_MAX: usize = 256 << 20;

const PREFIX_LEN: usize = size_of::<i32>();

/// What is to be received next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Whatever comes.
    Any,
    /// The rest of a frame, up to a total of so many bytes.
    Exact(Buf, usize),
}

/// Bytes of a length prefix that was cut, at most three.
#[derive(Debug, Default)]
pub(crate) struct Receiver {
    carry: Vec<u8>,
}

impl Receiver {
    /// Takes a received buffer, appends the frames that are whole, and says what to receive next.
    pub(crate) fn take(
        &mut self,
        buf: Buf,
        frames: &mut Vec<Slice>,
        take_buffer: &mut dyn FnMut(usize) -> Buf,
    ) -> Result<Next, ClientError> {
        let bytes = self.joined(buf);
        let mut at = 0;
        while let Some(prefix) = bytes.get(at..at + PREFIX_LEN) {
            let len = frame_len(prefix)?;
            let start = at + PREFIX_LEN;
            if bytes.len() - start < len {
                let mut rest = take_buffer(len);
                rest.vec().extend_from_slice(&bytes[start..]);
                return Ok(Next::Exact(rest, len));
            }
            frames.push(bytes.slice(start..start + len));
            at = start + len;
        }
        self.carry.extend_from_slice(&bytes[at..]);
        Ok(Next::Any)
    }

    fn joined(&mut self, buf: Buf) -> Slice {
        if self.carry.is_empty() {
            return Slice::new(buf);
        }
        let mut whole = std::mem::take(&mut self.carry);
        whole.extend_from_slice(&buf);
        Slice::from(whole)
    }
}

/// Frames out of plaintext that comes in pieces of its own (TLS records): each is copied once, to where it stays.
#[derive(Debug, Default)]
pub(crate) struct FrameBuilder {
    prefix: Vec<u8>,
    frame: Option<(Buf, usize)>,
}

impl FrameBuilder {
    /// Takes a piece and appends the frames that are whole.
    pub(crate) fn take(
        &mut self,
        mut piece: &[u8],
        frames: &mut Vec<Slice>,
        take_buffer: &mut dyn FnMut(usize) -> Buf,
    ) -> Result<(), ClientError> {
        while !piece.is_empty() {
            let Some((frame, len)) = &mut self.frame else {
                piece = self.take_prefix(piece, take_buffer)?;
                continue;
            };
            let (taken, rest) = piece.split_at(piece.len().min(*len - frame.len()));
            frame.vec().extend_from_slice(taken);
            piece = rest;
            if frame.len() == *len {
                frames.extend(self.frame.take().map(|(frame, _)| Slice::new(frame)));
            }
        }
        Ok(())
    }

    fn take_prefix<'a>(
        &mut self,
        piece: &'a [u8],
        take_buffer: &mut dyn FnMut(usize) -> Buf,
    ) -> Result<&'a [u8], ClientError> {
        let (taken, rest) = piece.split_at(piece.len().min(PREFIX_LEN - self.prefix.len()));
        self.prefix.extend_from_slice(taken);
        if self.prefix.len() == PREFIX_LEN {
            let len = frame_len(&self.prefix)?;
            self.prefix.clear();
            self.frame = Some((take_buffer(len), len));
        }
        Ok(rest)
    }
}

fn frame_len(prefix: &[u8]) -> Result<usize, ClientError> {
    let len = prefix.iter().fold(0u32, |len, byte| (len << 8) | u32::from(*byte)).cast_signed();
    usize::try_from(len).ok().filter(|len| (PREFIX_LEN..=FRAME_LEN_MAX).contains(len)).ok_or_else(|| {
        ClientError::Corrupt(format!(
            "a response of {len} bytes was announced, the limit is {FRAME_LEN_MAX}: is this a Kafka listener, and not TLS?"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(frames: &[&[u8]]) -> Vec<u8> {
        let prefixed = |frame: &&[u8]| [&u32::try_from(frame.len()).unwrap().to_be_bytes()[..], frame].concat();
        frames.iter().flat_map(prefixed).collect()
    }

    /// Feeds the stream in pieces, as a socket would, and gives the frames.
    fn received(stream: &[u8], piece_len: usize) -> Vec<Vec<u8>> {
        let (mut receiver, mut frames, mut at) = (Receiver::default(), Vec::new(), 0);
        let mut next = Next::Any;
        while at < stream.len() {
            next = match next {
                Next::Any => {
                    let end = (at + piece_len).min(stream.len());
                    let piece = Buf::from(stream[at..end].to_vec());
                    at = end;
                    receiver.take(piece, &mut frames, &mut |len| Buf::from(Vec::with_capacity(len))).unwrap()
                }
                Next::Exact(mut buf, len) => {
                    let wanted = len - buf.len();
                    buf.vec().extend_from_slice(&stream[at..at + wanted]);
                    at += wanted;
                    frames.push(Slice::new(buf));
                    Next::Any
                }
            };
        }
        frames.iter().map(|frame| frame.to_vec()).collect()
    }

    #[test]
    fn frames_come_out_whole_however_the_stream_is_cut() {
        let frames: Vec<&[u8]> = vec![b"first", b"four", b"a somewhat longer frame than the others", b"last"];
        let stream = stream(&frames);
        for piece_len in 1..=stream.len() {
            assert_eq!(received(&stream, piece_len), frames, "pieces of {piece_len}");
        }
    }

    #[test]
    fn frames_come_out_of_tls_records_however_the_stream_is_cut() {
        let frames: Vec<&[u8]> = vec![b"first", b"four", b"a somewhat longer frame than the others", b"last"];
        let stream = stream(&frames);
        for piece_len in 1..=stream.len() {
            let (mut builder, mut out) = (FrameBuilder::default(), Vec::new());
            for piece in stream.chunks(piece_len) {
                builder.take(piece, &mut out, &mut |len| Buf::from(Vec::with_capacity(len))).unwrap();
            }
            let out: Vec<&[u8]> = out.iter().map(|frame| &frame[..]).collect();
            assert_eq!(out, frames, "pieces of {piece_len}");
        }
        let mut no_memory = |_| panic!("memory was taken");
        assert!(FrameBuilder::default().take(&[0x7f, 0, 0, 0], &mut Vec::new(), &mut no_memory).is_err());
    }

    #[test]
    fn an_absurd_length_is_refused_before_memory_is_taken() {
        for prefix in [&[0x7f, 0xff, 0xff, 0xff], &[0xff, 0xff, 0xff, 0xff], b"HTTP", &[0, 0, 0, 1]] {
            let mut no_memory = |_| panic!("memory was taken");
            let taken = Receiver::default().take(Buf::from(prefix.to_vec()), &mut Vec::new(), &mut no_memory);
            assert!(matches!(taken, Err(ClientError::Corrupt(_))), "{prefix:?}");
        }
    }
}
