//! What went wrong between two that should speak TLS: which side, what, and what to do about it.

use jiff::Timestamp;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
use rustls_pki_types::UnixTime;

use super::AuthenticationError;

/// The text of a handshake that failed, for a broker at `host:port`.
pub(crate) fn handshake_failed(error: &Error, host: &str, port: u16) -> AuthenticationError {
    let why = match error {
        Error::InvalidCertificate(certificate) => of_certificate(certificate, host),
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
            "what answers there does not speak TLS: is it a PLAINTEXT or SASL_PLAINTEXT listener? Set security.protocol to what the listener is".to_owned()
        }
        Error::PeerIncompatible(what) => {
            format!("no TLS version or cipher suite in common ({what:?}): see ssl.enabled.protocols and ssl.cipher.suites")
        }
        other => other.to_string(),
    };
    AuthenticationError::ssl(format!("SSL handshake failed with {host}:{port}: {why}"))
}

fn of_certificate(error: &CertificateError, host: &str) -> String {
    match error {
        CertificateError::Expired => "the broker's certificate is expired: renew it on the broker".to_owned(),
        CertificateError::ExpiredContext { time, not_after } => format!(
            "the broker's certificate, or one above it, is expired since {} (now it is {}): renew it on the broker",
            date(*not_after),
            date(*time)
        ),
        CertificateError::NotValidYet => "the broker's certificate is not valid yet: is the clock right?".to_owned(),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "the broker's certificate is not valid before {} (now it is {}): is the clock right?",
            date(*not_before),
            date(*time)
        ),
        CertificateError::UnknownIssuer => {
            "the broker's certificate is signed by nobody whom this client trusts (unknown CA): put the CA's certificate into ssl.truststore.location or ssl.truststore.certificates".to_owned()
        }
        CertificateError::NotValidForName => wrong_host(host, &[]),
        CertificateError::NotValidForNameContext { presented, .. } => wrong_host(host, presented),
        CertificateError::BadSignature => {
            "the broker's certificate has a wrong signature: is another CA of the same name in the truststore?".to_owned()
        }
        other => format!("the broker's certificate is not accepted: {other:?}"),
    }
}

fn wrong_host(host: &str, presented: &[String]) -> String {
    let names = if presented.is_empty() {
        "it names no host (no subjectAltName; a common name does not count)".to_owned()
    } else {
        // rustls writes DnsName("a.example") and IpAddress(127.0.0.1).
        let bare = |name: &String| name.trim_start_matches("DnsName").trim_matches(['(', ')', '"']).to_owned();
        format!("it is for {}", presented.iter().map(bare).collect::<Vec<_>>().join(", "))
    };
    format!(
        "the broker's certificate is not for the host name {host}; {names}: connect by a name that it has, renew it with {host} as a subjectAltName, or leave ssl.endpoint.identification.algorithm empty to skip this check"
    )
}

fn of_alert(alert: AlertDescription) -> String {
    let what = match alert {
        AlertDescription::CertificateRequired => "it wants a client certificate: set ssl.keystore.*",
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            "it does not accept the client's certificate, or wants one and got none: see ssl.keystore.*"
        }
        AlertDescription::UnknownCA => "the client's certificate is signed by nobody whom the broker trusts",
        AlertDescription::CertificateExpired => "the client's certificate is expired",
        AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion => {
            "no TLS version or cipher suite in common, or it wants a client certificate: see ssl.enabled.protocols, ssl.cipher.suites and ssl.keystore.*"
        }
        _ => "see the broker's log",
    };
    format!("the broker refused with the alert {alert:?}: {what}")
}

fn date(time: UnixTime) -> String {
    let second = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(second).map_or_else(|_| format!("second {second}"), |at| at.to_string())
}

/// Whether bytes where a response should begin are a TLS record: an alert or a handshake message.
pub(crate) fn looks_like_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [0x15 | 0x16, 3, 0..=4, ..])
}

/// A plaintext client and a TLS listener.
pub(crate) fn spoken_to_in_plaintext(host: &str, port: u16) -> AuthenticationError {
    AuthenticationError::ssl(format!(
        "{host}:{port} answered with a TLS record: it is an SSL or SASL_SSL listener, and this client speaks plaintext to it. Set security.protocol to SSL or SASL_SSL"
    ))
}
