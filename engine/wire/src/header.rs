//! The header in front of every request and response, after the frame's 4-byte length.
//!
//! ```text
//!   request  v1: api_key i16 | api_version i16 | correlation_id i32 | client_id nullable string (16-bit length)
//!            v2: the same, then tagged fields            (flexible versions of an API)
//!   response v0: correlation_id i32
//!            v1: the same, then tagged fields            (flexible versions, but never ApiVersions)
//! ```
//!
//! The client id keeps its 16-bit length in v2, and the ApiVersions response its v0 header, so that either side can
//! read them before it knows what the other speaks.

use crate::ApiKey;
use crate::codec::{DecodeError, EncodeError, Reader, Writer};

/// Who asks what, in which version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHeader {
    /// The API's number; see [`ApiKey`].
    pub api_key: i16,
    /// The version of the body.
    pub api_version: i16,
    /// Comes back in the response.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<String>,
    /// Tagged fields that no version names.
    pub unknown_tags: Vec<(u32, Vec<u8>)>,
}

impl RequestHeader {
    /// A header without tagged fields.
    pub fn new(api: ApiKey, api_version: i16, correlation_id: i32, client_id: Option<String>) -> Self {
        Self { api_key: api.key(), api_version, correlation_id, client_id, unknown_tags: Vec::new() }
    }

    /// Reads a header. For an API that Kafka 4.3 does not have the header is read as v1: whoever reads on must ask
    /// [`RequestHeader::api`] first.
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (api_key, api_version, correlation_id) = (r.i16()?, r.i16()?, r.i32()?);
        let client_id = r.string(false)?;
        #[cfg(feature = "planted_panic")]
        crate::planted::in_client_id(client_id.as_deref());
        let mut unknown_tags = Vec::new();
        if is_flexible(api_key, api_version) {
            r.tagged_fields(&mut unknown_tags, |_, _| Ok(false))?;
        }
        Ok(Self { api_key, api_version, correlation_id, client_id, unknown_tags })
    }

    /// Appends the header to `w`.
    pub fn encode(&self, w: &mut Writer) -> Result<(), EncodeError> {
        w.raw(&self.api_key.to_be_bytes());
        w.raw(&self.api_version.to_be_bytes());
        w.raw(&self.correlation_id.to_be_bytes());
        w.string(self.client_id.as_deref(), false)?;
        if is_flexible(self.api_key, self.api_version) {
            w.tag_count(self.unknown_tags.len())?;
            w.unknown(&self.unknown_tags)?;
        }
        Ok(())
    }

    /// The API, if Kafka 4.3 has it.
    pub fn api(&self) -> Result<ApiKey, DecodeError> {
        ApiKey::try_from(self.api_key)
    }
}

fn is_flexible(api_key: i16, api_version: i16) -> bool {
    ApiKey::try_from(api_key).is_ok_and(|api| api.is_flexible(api_version))
}

/// Which request a response answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHeader {
    /// The request's own.
    pub correlation_id: i32,
    /// Tagged fields that no version names.
    pub unknown_tags: Vec<(u32, Vec<u8>)>,
}

impl ResponseHeader {
    /// A header without tagged fields.
    pub fn new(correlation_id: i32) -> Self {
        Self { correlation_id, unknown_tags: Vec::new() }
    }

    /// Reads the header of a response of `api` in `version`.
    pub fn decode(r: &mut Reader<'_>, api: ApiKey, version: i16) -> Result<Self, DecodeError> {
        let mut header = Self::new(r.i32()?);
        if Self::has_tags(api, version) {
            r.tagged_fields(&mut header.unknown_tags, |_, _| Ok(false))?;
        }
        Ok(header)
    }

    /// Appends the header of a response of `api` in `version` to `w`.
    pub fn encode(&self, w: &mut Writer, api: ApiKey, version: i16) -> Result<(), EncodeError> {
        w.raw(&self.correlation_id.to_be_bytes());
        if Self::has_tags(api, version) {
            w.tag_count(self.unknown_tags.len())?;
            w.unknown(&self.unknown_tags)?;
        }
        Ok(())
    }

    fn has_tags(api: ApiKey, version: i16) -> bool {
        api != ApiKey::ApiVersions && api.is_flexible(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(header: &RequestHeader) -> Vec<u8> {
        let mut w = Writer::new();
        header.encode(&mut w).unwrap();
        w.bytes
    }

    #[test]
    fn a_flexible_header_keeps_the_old_client_id_and_adds_tags() {
        let header = RequestHeader::new(ApiKey::Metadata, 9, 7, Some("ab".into()));
        assert_eq!(bytes(&header), [0, 3, 0, 9, 0, 0, 0, 7, 0, 2, b'a', b'b', 0]);
        let older = RequestHeader { api_version: 8, client_id: None, ..header };
        assert_eq!(bytes(&older), [0, 3, 0, 8, 0, 0, 0, 7, 0xff, 0xff]);
    }

    #[test]
    fn the_header_of_an_unknown_api_reads_without_tags() {
        let header = RequestHeader { api_key: 999, api_version: 99, ..Default::default() };
        assert_eq!(RequestHeader::decode(&mut Reader::new(&bytes(&header))), Ok(header.clone()));
        assert!(header.api().is_err());
    }

    #[test]
    fn an_api_versions_response_never_has_header_tags() {
        for (api, version, len) in [(ApiKey::ApiVersions, 4, 4), (ApiKey::Metadata, 9, 5), (ApiKey::Metadata, 8, 4)] {
            let mut w = Writer::new();
            ResponseHeader::new(1).encode(&mut w, api, version).unwrap();
            assert_eq!(w.bytes.len(), len, "{} {version}", api.name());
        }
    }
}
