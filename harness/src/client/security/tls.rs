//! A TLS session without a socket: records come in, plaintext goes out, and the other way round.
//!
//! ```text
//!   received buffer --> [ carry: a record that was cut ] --> rustls, in place --> plaintext --> the caller
//!   parts of requests --> [ staging: up to one record ] --> rustls --> sealed bytes --> the driver
//!   rustls' own messages (handshake, key updates, alerts) --> pending --> before the next sealed bytes
//! ```
//!
//! Invariants:
//! - A received record is decrypted where it lies; only one that a receive cut in two is put together first.
//! - A part of a record's size or more is sealed from where it lies; small parts share a record.
//! - Bytes of `pending` go out before anything that is sealed after them.

use std::sync::Arc;

use ringlog_io::Slice;
use rustls::client::UnbufferedClientConnection;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::ServerName;

use super::stores;
use super::verifier::Verifier;
use crate::client::config::ConfigError;
use crate::client::config::security::{TlsSettings, TlsVersion};

/// The most plaintext of a record.
const RECORD_BYTES_MAX: usize = 16 * 1024;
/// A record's header, tag, content type and nonce: 22 bytes in TLS 1.3, at most 29 in TLS 1.2.
const RECORD_OVERHEAD_MAX: usize = 32;
/// A record's header: its type, version and length.
const RECORD_HEADER_BYTES: usize = 5;

/// What `ssl.*` means to rustls. Reads the stores.
pub(crate) fn client_config(settings: &TlsSettings) -> Result<Arc<ClientConfig>, ConfigError> {
    let provider = Arc::new(provider(&settings.cipher_suites)?);
    let versions: Vec<&'static SupportedProtocolVersion> = settings.versions.iter().map(|it| version(*it)).collect();
    let trusted = stores::trusted(&settings.trust)?;
    let mut roots = RootCertStore::empty();
    let (added, refused) = roots.add_parsable_certificates(trusted.iter().cloned());
    if added == 0 {
        return Err(invalid("ssl.truststore", &format!("{refused} certificates"), "none of them can be read".into()));
    }
    let check_host = settings.check_host;
    let verifier = Verifier { provider: Arc::clone(&provider), roots, trusted, check_host };
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&versions);
    let builder = builder.map_err(|error| {
        let reason = format!("no cipher suite of it belongs to a version of ssl.enabled.protocols ({error})");
        invalid("ssl.cipher.suites", &settings.cipher_suites.join(","), reason)
    })?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let config = match &settings.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = stores::identity(identity)?;
            let with_key = builder.with_client_auth_cert(chain, key);
            with_key.map_err(|error| invalid("ssl.keystore", "its key and certificate", error.to_string()))?
        }
    };
    Ok(Arc::new(config))
}

fn invalid(name: &str, value: &str, reason: String) -> ConfigError {
    ConfigError::Invalid { name: name.to_owned(), value: value.to_owned(), reason }
}

fn version(version: TlsVersion) -> &'static SupportedProtocolVersion {
    match version {
        TlsVersion::V1_2 => &rustls::version::TLS12,
        TlsVersion::V1_3 => &rustls::version::TLS13,
    }
}

/// The provider with the cipher suites of these names only, in their order; all where there are none.
fn provider(names: &[String]) -> Result<CryptoProvider, ConfigError> {
    let mut provider = aws_lc_rs::default_provider();
    if names.is_empty() {
        return Ok(provider);
    }
    let iana = |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite()).replace("TLS13_", "TLS_");
    let mut wanted = Vec::new();
    for name in names {
        let found = provider.cipher_suites.iter().find(|suite| iana(suite) == *name);
        let known = || provider.cipher_suites.iter().map(&iana).collect::<Vec<_>>().join(", ");
        let found = found.ok_or_else(|| {
            invalid("ssl.cipher.suites", name, format!("this client does not have it; it has {}", known()))
        })?;
        wanted.push(*found);
    }
    provider.cipher_suites = wanted;
    Ok(provider)
}

/// See the module's picture.
pub(crate) struct TlsSession {
    connection: UnbufferedClientConnection,
    carry: Vec<u8>,
    pending: Vec<u8>,
    staging: Vec<u8>,
    established: bool,
    peer_closed: bool,
}

impl TlsSession {
    /// Begins a session; the first message to the peer is in `pending` at once.
    pub(crate) fn new(config: Arc<ClientConfig>, host: &str) -> Result<Self, rustls::Error> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| rustls::Error::General(format!("{host} is neither a DNS name nor an address: {error}")))?;
        let mut session = Self {
            connection: UnbufferedClientConnection::new(config, name)?,
            carry: Vec::new(),
            pending: Vec::new(),
            staging: Vec::new(),
            established: false,
            peer_closed: false,
        };
        session.advance(&mut [], &mut |_| {})?;
        Ok(session)
    }

    /// Requests can be sealed.
    pub(crate) fn is_established(&self) -> bool {
        self.established
    }

    /// The peer said that nothing more comes.
    pub(crate) fn is_closed_by_peer(&self) -> bool {
        self.peer_closed
    }

    /// Takes received bytes, which are changed where they lie, and gives plaintext piece by piece.
    pub(crate) fn receive(&mut self, bytes: &mut [u8], plain: &mut dyn FnMut(&[u8])) -> Result<(), rustls::Error> {
        let mut at = 0;
        if !self.carry.is_empty() {
            at = self.complete_record(bytes);
            self.advance_carry(plain)?;
            if !self.carry.is_empty() {
                // Cut again, or a handshake message over several records: rustls wants them one after the other.
                self.carry.extend_from_slice(&bytes[at..]);
                return self.advance_carry(plain);
            }
        }
        at += self.advance(&mut bytes[at..], plain)?;
        self.carry.extend_from_slice(&bytes[at..]);
        Ok(())
    }

    /// Moves to `carry` what its record lacks. Gives how many bytes that were.
    fn complete_record(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        for _ in 0..2 {
            let lacking = record_len(&self.carry).saturating_sub(self.carry.len());
            let end = (at + lacking).min(bytes.len());
            self.carry.extend_from_slice(&bytes[at..end]);
            at = end;
        }
        at
    }

    fn advance_carry(&mut self, plain: &mut dyn FnMut(&[u8])) -> Result<(), rustls::Error> {
        let mut carry = std::mem::take(&mut self.carry);
        let used = self.advance(&mut carry, plain)?;
        carry.drain(..used);
        self.carry = carry;
        Ok(())
    }

    /// Lets rustls take what it can of the bytes. Gives how many it needs no more.
    fn advance(&mut self, bytes: &mut [u8], plain: &mut dyn FnMut(&[u8])) -> Result<usize, rustls::Error> {
        let mut at = 0;
        loop {
            let UnbufferedStatus { mut discard, state } = self.connection.process_tls_records(&mut bytes[at..]);
            let goes_on = match state? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        plain(record.payload);
                    }
                    true
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    encode(&mut data, &mut self.pending)?;
                    true
                }
                ConnectionState::TransmitTlsData(data) => {
                    data.done();
                    true
                }
                ConnectionState::WriteTraffic(_) => {
                    self.established = true;
                    false
                }
                ConnectionState::PeerClosed | ConnectionState::Closed => {
                    self.peer_closed = true;
                    false
                }
                _ => false,
            };
            at += discard;
            if !goes_on {
                return Ok(at);
            }
        }
    }

    /// Whether something has to go out before any request.
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// An upper bound of what sealing the parts adds to `out`.
    pub(crate) fn sealed_len_max(&self, parts: &[Slice]) -> usize {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        // Each large part may end in a record that is not full.
        self.pending.len() + len + (len / RECORD_BYTES_MAX + 2 * parts.len() + 2) * RECORD_OVERHEAD_MAX
    }

    /// Seals the parts, one after the other, behind what is in `out`. The session must be established.
    pub(crate) fn seal(&mut self, parts: &[Slice], out: &mut Vec<u8>) -> Result<(), rustls::Error> {
        let mut staging = std::mem::take(&mut self.staging);
        let sealed = self.seal_with(&mut staging, parts, out);
        staging.clear();
        self.staging = staging;
        sealed
    }

    fn seal_with(&mut self, staging: &mut Vec<u8>, parts: &[Slice], out: &mut Vec<u8>) -> Result<(), rustls::Error> {
        out.append(&mut self.pending);
        for part in parts {
            let mut rest: &[u8] = part;
            while !rest.is_empty() {
                if staging.is_empty() && rest.len() >= RECORD_BYTES_MAX {
                    let whole = rest.len() - rest.len() % RECORD_BYTES_MAX;
                    self.seal_bytes(&rest[..whole], out)?;
                    rest = &rest[whole..];
                    continue;
                }
                let (taken, after) = rest.split_at(rest.len().min(RECORD_BYTES_MAX - staging.len()));
                staging.extend_from_slice(taken);
                rest = after;
                if staging.len() == RECORD_BYTES_MAX {
                    self.seal_bytes(staging, out)?;
                    staging.clear();
                }
            }
        }
        if staging.is_empty() { Ok(()) } else { self.seal_bytes(staging, out) }
    }

    fn seal_bytes(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), rustls::Error> {
        loop {
            let UnbufferedStatus { discard, state } = self.connection.process_tls_records(&mut self.carry);
            let sealed = match state? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    encrypt(bytes, out, &mut |bytes, room| traffic.encrypt(bytes, room))?;
                    true
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    encode(&mut data, out)?;
                    false
                }
                ConnectionState::TransmitTlsData(data) => {
                    data.done();
                    false
                }
                _ => return Err(rustls::Error::HandshakeNotComplete),
            };
            self.carry.drain(..discard);
            if sealed {
                return Ok(());
            }
        }
    }
}

/// The length of the record that begins here, as far as its header is there.
fn record_len(bytes: &[u8]) -> usize {
    match bytes.get(..RECORD_HEADER_BYTES) {
        Some(header) => RECORD_HEADER_BYTES + usize::from(u16::from_be_bytes([header[3], header[4]])),
        None => RECORD_HEADER_BYTES,
    }
}

fn encode<Data>(data: &mut EncodeTlsData<'_, Data>, out: &mut Vec<u8>) -> Result<(), rustls::Error> {
    let (start, mut room) = (out.len(), 1024);
    loop {
        out.resize(start + room, 0);
        match data.encode(&mut out[start..]) {
            Ok(len) => {
                out.truncate(start + len);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(size)) => room = size.required_size,
            Err(error @ EncodeError::AlreadyEncoded) => return Err(rustls::Error::General(error.to_string())),
        }
    }
}

type Encrypt<'a> = &'a mut dyn FnMut(&[u8], &mut [u8]) -> Result<usize, EncryptError>;

fn encrypt(bytes: &[u8], out: &mut Vec<u8>, seal: Encrypt<'_>) -> Result<(), rustls::Error> {
    let (start, mut room) = (out.len(), bytes.len() + bytes.len().div_ceil(RECORD_BYTES_MAX) * RECORD_OVERHEAD_MAX);
    loop {
        out.resize(start + room, 0);
        match seal(bytes, &mut out[start..]) {
            Ok(len) => {
                out.truncate(start + len);
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(size)) => room = size.required_size,
            Err(error @ EncryptError::EncryptExhausted) => return Err(rustls::Error::General(error.to_string())),
        }
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
