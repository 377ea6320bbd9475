use std::io::{Read as _, Write as _};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use ringlog_io::Slice;
use rustls::{ServerConfig, ServerConnection};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::super::tls_errors;
use super::*;
use crate::client::config::security::{Identity, Secret, Trust};

/// A CA, and what it signs.
struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for these names, good in these years, and its key, as PEM.
    fn sign(&self, names: &[&str], years: (i32, i32)) -> (String, String) {
        let mut params = CertificateParams::new(names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>()).unwrap();
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

fn settings(trust: &Ca) -> TlsSettings {
    TlsSettings {
        trust: Trust::Pem(trust.0.pem()),
        identity: None,
        check_host: true,
        versions: vec![TlsVersion::V1_2, TlsVersion::V1_3],
        cipher_suites: Vec::new(),
    }
}

fn server((certificate, key): &(String, String), clients: Option<&Ca>) -> ServerConnection {
    use rustls_pki_types::pem::PemObject as _;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = match clients {
        None => builder.unwrap().with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add(ca.0.der().clone()).unwrap();
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.unwrap().with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    ServerConnection::new(Arc::new(builder.with_single_cert(chain, key).unwrap())).unwrap()
}

/// Both ends and the pipes between them; bytes arrive in pieces of `cut`.
struct Rig {
    client: TlsSession,
    server: ServerConnection,
    cut: usize,
    /// What the client read, and what the server did.
    read: Vec<u8>,
    heard: Vec<u8>,
}

impl Rig {
    fn new(settings: &TlsSettings, host: &str, server: ServerConnection, cut: usize) -> Self {
        Self {
            client: TlsSession::new(client_config(settings).unwrap(), host).unwrap(),
            server,
            cut,
            read: Vec::new(),
            heard: Vec::new(),
        }
    }

    fn feed_server(&mut self, bytes: &[u8]) -> Result<(), rustls::Error> {
        for mut piece in bytes.chunks(self.cut) {
            while !piece.is_empty() {
                self.server.read_tls(&mut piece).unwrap();
                self.server.process_new_packets()?;
                // WouldBlock says that there is no more.
                let _ = self.server.reader().read_to_end(&mut self.heard);
            }
        }
        Ok(())
    }

    fn feed_client(&mut self) -> Result<(), rustls::Error> {
        let mut bytes = Vec::new();
        while self.server.wants_write() {
            self.server.write_tls(&mut bytes).unwrap();
        }
        let read = &mut self.read;
        bytes
            .chunks_mut(self.cut)
            .try_for_each(|piece| self.client.receive(piece, &mut |it| read.extend_from_slice(it)))
    }

    /// Until nobody has anything to say.
    fn settle(&mut self) -> Result<(), rustls::Error> {
        while self.client.has_pending() || self.server.wants_write() {
            let mut out = Vec::new();
            self.client.seal(&[], &mut out)?;
            let heard = self.feed_server(&out);
            self.feed_client()?;
            heard?;
        }
        Ok(())
    }

    fn send(&mut self, parts: &[Slice]) -> (Vec<u8>, usize) {
        let (mut out, max) = (Vec::new(), self.client.sealed_len_max(parts));
        self.client.seal(parts, &mut out).unwrap();
        assert!(out.len() <= max, "{} bytes where {max} were the most", out.len());
        self.feed_server(&out).unwrap();
        (std::mem::take(&mut self.heard), out.len())
    }
}

const GOOD: (i32, i32) = (2020, 4000);

fn failure(host: &str, names: &[&str], years: (i32, i32), trusted: bool, check_host: bool) -> Option<String> {
    let (ca, other) = (Ca::new("one"), Ca::new("two"));
    let certificate = ca.sign(names, years);
    let settings = TlsSettings { check_host, ..settings(if trusted { &ca } else { &other }) };
    let mut rig = Rig::new(&settings, host, server(&certificate, None), 4096);
    rig.settle().err().map(|error| tls_errors::handshake_failed(&error, host, 9093).to_string())
}

#[test]
fn a_handshake_and_data_come_through_however_they_are_cut() {
    let ca = Ca::new("ca");
    let certificate = ca.sign(&["localhost"], GOOD);
    let data: Vec<u8> = (0..70_000u32).map(|i| i.to_le_bytes()[0]).collect();
    for cut in (1..40).chain([100, 1000, 16_383, 16_384, 16_406, 100_000]) {
        for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
            let settings = TlsSettings { versions: vec![version], ..settings(&ca) };
            let mut rig = Rig::new(&settings, "localhost", server(&certificate, None), cut);
            rig.settle().unwrap();
            assert!(rig.client.is_established());
            rig.server.writer().write_all(&data[..40_000]).unwrap();
            rig.feed_client().unwrap();
            rig.server.writer().write_all(&data[40_000..]).unwrap();
            rig.feed_client().unwrap();
            assert!(rig.read == data, "pieces of {cut}, {version:?}");
        }
    }
}

#[test]
fn parts_arrive_in_their_order_whatever_their_sizes() {
    let ca = Ca::new("ca");
    let certificate = ca.sign(&["localhost"], GOOD);
    for lens in [&[1usize][..], &[16_384], &[60, 100_000, 7, 16_383, 1, 16_384], &[16_383, 2], &[0, 5, 0]] {
        let mut rig = Rig::new(&settings(&ca), "localhost", server(&certificate, None), 5000);
        rig.settle().unwrap();
        rig.server.set_buffer_limit(None);
        let parts: Vec<Slice> = (1u8..).zip(lens).map(|(byte, len)| Slice::from(vec![byte; *len])).collect();
        let wanted: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).collect();
        let (got, sealed) = rig.send(&parts);
        assert!(got == wanted, "{lens:?}");
        assert!(
            sealed <= wanted.len() + (wanted.len() / 16_384 + 3) * RECORD_OVERHEAD_MAX,
            "small parts share a record"
        );
    }
}

#[test]
fn each_way_to_be_the_wrong_broker_has_its_own_words() {
    assert_eq!(failure("localhost", &["localhost"], GOOD, true, true), None);
    assert_eq!(failure("127.0.0.1", &["127.0.0.1"], GOOD, true, true), None);
    let says = |failure: Option<String>, words: &str| {
        let text = failure.expect(words);
        assert!(text.starts_with("SslAuthenticationException: SSL handshake failed with "), "{text}");
        assert!(text.contains(words), "{text}");
    };
    says(failure("localhost", &["localhost"], (2020, 2021), true, true), "is expired since 2021-01-01T00:00:00Z");
    says(failure("localhost", &["localhost"], (3999, 4000), true, true), "is not valid before 3999-01-01T00:00:00Z");
    says(failure("localhost", &["localhost"], GOOD, false, true), "unknown CA");
    says(failure("localhost", &["a.example"], GOOD, true, true), "is not for the host name localhost; it is for");
    says(failure("localhost", &[], GOOD, true, true), "a common name does not count");
}

#[test]
fn without_a_host_name_check_the_chain_is_still_checked() {
    assert_eq!(failure("localhost", &["a.example"], GOOD, true, false), None);
    assert!(failure("localhost", &["a.example"], GOOD, false, false).unwrap().contains("unknown CA"));
    assert!(failure("localhost", &["a.example"], (2020, 2021), true, false).unwrap().contains("is expired"));
}

#[test]
fn a_broker_s_own_certificate_may_be_what_is_trusted() {
    let ca = Ca::new("ca");
    let (ours, other) = (ca.sign(&["localhost"], (2020, 2040)), ca.sign(&["localhost"], (2020, 2040)));
    let expired = ca.sign(&["localhost"], (2020, 2021));
    let shake = |theirs: &(String, String), host: &str, trusted: &(String, String)| {
        let settings = TlsSettings { trust: Trust::Pem(trusted.0.clone()), ..settings(&ca) };
        Rig::new(&settings, host, server(theirs, None), 1000).settle().map_err(|error| error.to_string())
    };
    shake(&ours, "localhost", &ours).unwrap();
    assert!(shake(&other, "localhost", &ours).unwrap_err().contains("UnknownIssuer"));
    assert!(shake(&expired, "localhost", &expired).unwrap_err().contains("xpired"));
    assert!(shake(&ours, "elsewhere", &ours).unwrap_err().contains("not valid for name"));
}

#[test]
fn a_broker_that_wants_a_certificate_gets_it_or_says_so() {
    let ca = Ca::new("ca");
    let (broker, (chain, key)) = (ca.sign(&["localhost"], GOOD), ca.sign(&["client"], GOOD));
    let identity = Some(Identity::Pem(Secret::from(key.as_str()), chain, None));
    let with = TlsSettings { identity, ..settings(&ca) };
    Rig::new(&with, "localhost", server(&broker, Some(&ca)), 1000).settle().unwrap();
    let mut without = Rig::new(&settings(&ca), "localhost", server(&broker, Some(&ca)), 1000);
    let error = without.settle().unwrap_err();
    let text = tls_errors::handshake_failed(&error, "localhost", 9093).to_string();
    assert!(text.contains("it wants a client certificate: set ssl.keystore.*"), "{text}");
}

#[test]
fn a_broker_that_speaks_plaintext_is_recognised() {
    let ca = Ca::new("ca");
    let mut rig = Rig::new(&settings(&ca), "localhost", server(&ca.sign(&["localhost"], GOOD), None), 1000);
    let error = rig.client.receive(&mut [0, 0, 0, 9, 0, 0, 0, 0, 0, 35], &mut |_| {}).unwrap_err();
    let text = tls_errors::handshake_failed(&error, "localhost", 9092).to_string();
    assert!(text.contains("does not speak TLS"), "{text}");
    assert!(tls_errors::looks_like_tls(&[0x15, 3, 3, 0, 2]) && !tls_errors::looks_like_tls(&[0, 0, 0, 9]));
}

#[test]
fn cipher_suites_are_taken_by_name_or_refused_by_name() {
    let ca = Ca::new("ca");
    let certificate = ca.sign(&["localhost"], GOOD);
    let with = |suite: &str| TlsSettings { cipher_suites: vec![suite.to_owned()], ..settings(&ca) };
    let mut rig = Rig::new(&with("TLS_AES_128_GCM_SHA256"), "localhost", server(&certificate, None), 1000);
    rig.settle().unwrap();
    assert_eq!(rig.server.negotiated_cipher_suite().unwrap().suite(), rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    let error = client_config(&with("TLS_RSA_WITH_RC4_128_MD5")).unwrap_err().to_string();
    assert!(error.contains("TLS_RSA_WITH_RC4_128_MD5") && error.contains("it has TLS_AES_256_GCM_SHA384"), "{error}");
    let only_old = TlsSettings { versions: vec![TlsVersion::V1_2], ..with("TLS_AES_128_GCM_SHA256") };
    assert!(client_config(&only_old).unwrap_err().to_string().contains("no cipher suite of it belongs to"));
}

#[test]
fn a_record_that_was_changed_on_the_way_is_an_error() {
    let ca = Ca::new("ca");
    let mut rig = Rig::new(&settings(&ca), "localhost", server(&ca.sign(&["localhost"], GOOD), None), 1000);
    rig.settle().unwrap();
    rig.server.writer().write_all(b"hello").unwrap();
    let mut bytes = Vec::new();
    rig.server.write_tls(&mut bytes).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert_eq!(
        rig.client.receive(&mut bytes, &mut |_| panic!("nothing may come out")),
        Err(rustls::Error::DecryptError)
    );
}
