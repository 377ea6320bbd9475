//! One connection: a chunk is received, what became whole is answered, the next chunk is received.
//!
//! ```text
//!   socket --recv--> chunk --append--> file (append mode)
//!                      |
//!                      v  walk: frame length, header, then by API
//!                   outlet --send, before the next recv--> socket
//! ```
//!
//! The chunk stays small (it fits the core's cache), however large the requests are: a Produce request is walked
//! through, its records are skipped. Frame lengths come from the wire and are never allocated for Produce; the other
//! requests are bounded by [`CONTROL_BYTES_MAX`].

use std::io;
use std::pin::Pin;
use std::rc::Rc;

use futures_lite::{AsyncRead, AsyncWriteExt};
use glommio::net::TcpStream;
use ringlog_wire::ApiKey;

use super::control::{self, Shared};
use super::sink::Sink;
use super::{fetch, produce};

/// Bytes received at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// The largest request that is held whole: everything but Produce.
const CONTROL_BYTES_MAX: usize = 1 << 20;

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The client closed it.
    #[error("the connection was closed in the middle of a request")]
    Eof,
    /// The socket or the file failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Not what a Kafka client sends.
    #[error("not a request that the null broker knows: {0}")]
    Malformed(String),
}

/// One connection.
pub(super) struct Connection {
    inlet: Inlet,
    shared: Rc<Shared>,
    supply: fetch::Supply,
}

/// What every request begins with, up to the client id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
}

impl Connection {
    pub(super) fn new(socket: TcpStream, shared: Rc<Shared>, sink: Option<Rc<Sink>>) -> Self {
        let inlet = Inlet {
            socket,
            sink,
            chunk: vec![0; CHUNK_BYTES],
            at: 0,
            filled: 0,
            frame_left: 0,
            outlet: Vec::with_capacity(64 * 1024),
        };
        Self { inlet, shared, supply: fetch::Supply::default() }
    }

    /// Answers until the client closes the connection.
    pub(super) async fn serve(mut self) -> Result<(), Broken> {
        while self.inlet.next_frame().await? {
            self.request().await?;
        }
        Ok(())
    }

    async fn request(&mut self) -> Result<(), Broken> {
        let key = self.inlet.i16().await?;
        let version = self.inlet.i16().await?;
        let correlation_id = self.inlet.i32().await?;
        let api = ApiKey::try_from(key).map_err(|error| Broken::Malformed(error.to_string()))?;
        let header = Header { api, version, correlation_id };
        self.skip_client_id(header).await?;
        match api {
            ApiKey::Produce => produce::answer(&mut self.inlet, &self.shared, header).await,
            ApiKey::Fetch => {
                let body = self.inlet.rest(CONTROL_BYTES_MAX).await?;
                self.supply.answer(&mut self.inlet, header, &body).await
            }
            _ => {
                let body = self.inlet.rest(CONTROL_BYTES_MAX).await?;
                control::answer(&mut self.inlet.outlet, &self.shared, header, &body)
            }
        }
    }

    async fn skip_client_id(&mut self, header: Header) -> Result<(), Broken> {
        let len = self.inlet.i16().await?;
        self.inlet.skip(usize::try_from(len).unwrap_or(0)).await?;
        if header.api.is_flexible(header.version) {
            self.inlet.tags().await?;
        }
        Ok(())
    }
}

/// The receiving side with its chunk, and the answers that wait to be sent.
pub(super) struct Inlet {
    socket: TcpStream,
    sink: Option<Rc<Sink>>,
    chunk: Vec<u8>,
    at: usize,
    filled: usize,
    /// Bytes of the current frame that were not walked yet.
    frame_left: usize,
    /// Answers, whole frames.
    pub(super) outlet: Vec<u8>,
}

impl Inlet {
    /// Goes to the next frame, past what is left of the current one. False at the end of the stream.
    async fn next_frame(&mut self) -> Result<bool, Broken> {
        self.skip(self.frame_left).await?;
        self.frame_left = 4;
        if self.at == self.filled && !self.refill().await? {
            return Ok(false);
        }
        let len = self.i32().await?;
        self.frame_left = usize::try_from(len).map_err(|_| Broken::Malformed(format!("frame of {len} bytes")))?;
        Ok(true)
    }

    /// Sends the answers, then receives a chunk and appends it. False at the end of the stream.
    async fn refill(&mut self) -> Result<bool, Broken> {
        self.flush().await?;
        let (socket, chunk) = (&mut self.socket, &mut self.chunk);
        self.filled = std::future::poll_fn(|cx| Pin::new(&mut *socket).poll_read(cx, chunk)).await?;
        self.at = 0;
        if let Some(sink) = self.sink.as_ref().filter(|_| self.filled > 0) {
            sink.append(&self.chunk[..self.filled]).await?;
        }
        Ok(self.filled > 0)
    }

    /// Sends the answers that wait.
    pub(super) async fn flush(&mut self) -> Result<(), Broken> {
        if !self.outlet.is_empty() {
            self.socket.write_all(&self.outlet).await?;
            self.outlet.clear();
        }
        Ok(())
    }

    /// Sends bytes now. Nothing may wait in the outlet.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        debug_assert!(self.outlet.is_empty(), "answers leave in order");
        Ok(self.socket.write_all(bytes).await?)
    }

    /// Bytes of the current frame that were not walked yet.
    pub(super) fn frame_left(&self) -> usize {
        self.frame_left
    }

    /// The next `N` bytes of the frame.
    pub(super) async fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let mut bytes = [0; N];
        self.copy(&mut bytes).await?;
        Ok(bytes)
    }

    async fn copy(&mut self, into: &mut [u8]) -> Result<(), Broken> {
        self.claim(into.len())?;
        let mut done = 0;
        while done < into.len() {
            let part = (into.len() - done).min(self.filled - self.at);
            into[done..done + part].copy_from_slice(&self.chunk[self.at..self.at + part]);
            self.at += part;
            done += part;
            if done < into.len() && !self.refill().await? {
                return Err(Broken::Eof);
            }
        }
        Ok(())
    }

    /// Walks past `len` bytes of the frame.
    pub(super) async fn skip(&mut self, len: usize) -> Result<(), Broken> {
        self.claim(len)?;
        let mut left = len;
        while left > 0 {
            let part = left.min(self.filled - self.at);
            self.at += part;
            left -= part;
            if left > 0 && !self.refill().await? {
                return Err(Broken::Eof);
            }
        }
        Ok(())
    }

    /// Takes `len` bytes off what is left of the frame.
    fn claim(&mut self, len: usize) -> Result<(), Broken> {
        let left = self.frame_left.checked_sub(len);
        self.frame_left =
            left.ok_or_else(|| Broken::Malformed(format!("{len} bytes wanted beyond the frame's end")))?;
        Ok(())
    }

    /// The rest of the frame, at most `bytes_max`.
    async fn rest(&mut self, bytes_max: usize) -> Result<Vec<u8>, Broken> {
        self.vec(self.frame_left, bytes_max).await
    }

    /// The next `len` bytes of the frame, at most `bytes_max`.
    pub(super) async fn vec(&mut self, len: usize, bytes_max: usize) -> Result<Vec<u8>, Broken> {
        if len > bytes_max || len > self.frame_left {
            return Err(Broken::Malformed(format!("{len} bytes where {bytes_max} are the limit")));
        }
        let mut bytes = vec![0; len];
        self.copy(&mut bytes).await?;
        Ok(bytes)
    }

    pub(super) async fn i16(&mut self) -> Result<i16, Broken> {
        Ok(i16::from_be_bytes(self.bytes().await?))
    }

    pub(super) async fn i32(&mut self) -> Result<i32, Broken> {
        Ok(i32::from_be_bytes(self.bytes().await?))
    }

    /// Unsigned variable-length integer, at most five bytes.
    pub(super) async fn uvarint(&mut self) -> Result<u32, Broken> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let [byte] = self.bytes().await?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return u32::try_from(value).map_err(|_| Broken::Malformed(format!("a length of {value}")));
            }
        }
        Err(Broken::Malformed("a variable-length integer of more than five bytes".to_owned()))
    }

    /// Walks past tagged fields.
    pub(super) async fn tags(&mut self) -> Result<(), Broken> {
        for _ in 0..self.uvarint().await? {
            self.uvarint().await?;
            let len = self.uvarint().await?;
            self.skip(len as usize).await?;
        }
        Ok(())
    }
}
