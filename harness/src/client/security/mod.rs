//! TLS and SASL: what stands between a connected socket and the first request.
//!
//! ```text
//!   socket --> [`tls`] records <--> plaintext --> frames
//!                                     '--> ApiVersions --> SaslHandshake --> SaslAuthenticate ... --> requests
//! ```
//!
//! Nothing here does I/O on a socket: bytes come from the driver and go back to it. Files of certificates are read when
//! a client is opened, never later.

mod oauth;
mod pem;
pub(crate) mod sasl;
mod scram;
mod stores;
pub(crate) mod tls;
pub(crate) mod tls_errors;
mod verifier;

pub(crate) use oauth::agent as http_agent;

/// Who refused whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// TLS: certificates, versions, cipher suites.
    Ssl,
    /// SASL: name and password, token, mechanism.
    Sasl,
}

impl std::fmt::Display for Layer {
    /// The Java client's exception.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ssl => "SslAuthenticationException",
            Self::Sasl => "SaslAuthenticationException",
        })
    }
}

/// Broker and client do not accept each other. Trying again is of no use, so a client that met this does nothing more.
/// The texts of SASL are the broker's or the Java client's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{layer}: {message}")]
pub struct AuthenticationError {
    /// Where.
    pub layer: Layer,
    /// What is wrong and what to do.
    pub message: String,
}

impl AuthenticationError {
    pub(crate) fn ssl(message: String) -> Self {
        Self { layer: Layer::Ssl, message }
    }

    pub(crate) fn sasl(message: String) -> Self {
        Self { layer: Layer::Sasl, message }
    }
}
