//! Requests on their way: what is remembered of each, how it is framed, and whether an answer is the one that is due.

use ringlog_io::Slice;
use ringlog_wire::header::{RequestHeader, ResponseHeader};
use ringlog_wire::{ApiKey, EncodeError, Reader, Request, Writer};

use super::super::ClientError;

/// A request without an answer yet.
pub(super) struct InFlight {
    pub(super) api: ApiKey,
    pub(super) version: i16,
    pub(super) correlation: i32,
    pub(super) tag: u64,
    pub(super) sent_ns: u64,
    pub(super) answered: bool,
    pub(super) deadline_ns: u64,
    /// The connection's number of this request.
    pub(super) place: u64,
}

impl InFlight {
    /// Whether the network asked it for itself, to open the connection.
    pub(super) fn is_handshake(&self) -> bool {
        matches!(self.api, ApiKey::ApiVersions | ApiKey::SaslHandshake | ApiKey::SaslAuthenticate)
    }
}

/// The frame's parts, record data standing where the message was cut, and their length.
pub(super) fn framed<R: Request>(
    header: &RequestHeader,
    request: &R,
    version: i16,
    records: Vec<Slice>,
) -> Result<(Vec<Slice>, usize), EncodeError> {
    let mut writer = Writer::new();
    writer.raw(&[0; size_of::<i32>()]);
    header.encode(&mut writer)?;
    request.encode(&mut writer, version)?;
    let len = writer.total_len();
    let body_len = len - size_of::<i32>();
    let prefix = i32::try_from(body_len).map_err(|_| EncodeError::TooLong {
        what: "request",
        len: body_len,
        max: i32::MAX as usize,
    })?;
    writer.bytes[..size_of::<i32>()].copy_from_slice(&prefix.to_be_bytes());
    let bytes = Slice::from(writer.bytes);
    let (mut parts, mut at) = (Vec::with_capacity(2 * records.len() + 1), 0);
    for (cut, data) in writer.cuts.into_iter().zip(records) {
        parts.push(bytes.slice(at..cut));
        parts.push(data);
        at = cut;
    }
    if at < bytes.len() {
        parts.push(bytes.slice(at..bytes.len()));
    }
    Ok((parts, len))
}

pub(super) fn cannot_write(api: ApiKey, error: &EncodeError) -> ClientError {
    ClientError::Corrupt(format!("a {} request cannot be written: {error}", api.name()))
}

/// What comes after the response header, if the answer is the one that is due.
pub(super) fn body_of(asked: &InFlight, frame: &Slice) -> Result<Slice, String> {
    let mut reader = Reader::new(frame);
    let header = ResponseHeader::decode(&mut reader, asked.api, asked.version)
        .map_err(|error| format!("a response header does not decode: {error}"))?;
    if header.correlation_id != asked.correlation {
        return Err(format!(
            "the answer to request {} came where {} was due",
            header.correlation_id, asked.correlation
        ));
    }
    Ok(frame.slice(reader.position()..frame.len()))
}
