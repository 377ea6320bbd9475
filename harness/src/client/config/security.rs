//! How a client gets through to a broker: `security.protocol` and what belongs to it.
//!
//! ```text
//!   security.protocol   PLAINTEXT       SSL           SASL_PLAINTEXT     SASL_SSL
//!   [`TlsSettings`]                     ssl.*                            ssl.*
//!   [`SaslSettings`]                                  sasl.*             sasl.*
//! ```
//!
//! What is read here is typed and checked against itself; files are opened when a client is opened. A setting that
//! cannot be honoured is an error that names it. Settings of a layer that the protocol does not have are left unread,
//! so that they show up as properties without effect.
//!
//! Source: SslConfigs, SaslConfigs, DefaultSslEngineFactory, JaasContext of Kafka 4.3.

pub mod jaas;
pub mod sasl;
pub mod tls;

#[cfg(test)]
mod tests;

use super::ConfigError;
use super::take::{Take, invalid};
use crate::client::properties::HIDDEN;
pub use sasl::{Mechanism, SaslLogin, SaslSettings, TokenSource};
pub use tls::{Identity, TlsSettings, TlsVersion, Trust};

/// A value that no message and no log shows.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The value itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// `security.protocol` with what it needs.
#[derive(Clone, Debug, Default)]
pub struct SecurityConfig {
    /// TLS, where the protocol has it (SSL, SASL_SSL).
    pub tls: Option<TlsSettings>,
    /// SASL, where the protocol has it (SASL_PLAINTEXT, SASL_SSL).
    pub sasl: Option<SaslSettings>,
}

impl Take<'_> {
    pub(super) fn security(&mut self) -> Result<SecurityConfig, ConfigError> {
        let name = "security.protocol";
        let protocol = self.text(name).unwrap_or("PLAINTEXT");
        let (has_tls, has_sasl) = match protocol.to_ascii_uppercase().as_str() {
            "PLAINTEXT" => (false, false),
            "SSL" => (true, false),
            "SASL_PLAINTEXT" => (false, true),
            "SASL_SSL" => (true, true),
            _ => {
                let reason = "String must be one of (case insensitive): SASL_SSL, PLAINTEXT, SSL, SASL_PLAINTEXT";
                return Err(invalid(name, protocol, reason.into()));
            }
        };
        Ok(SecurityConfig {
            tls: if has_tls { Some(self.tls()?) } else { None },
            sasl: if has_sasl { Some(self.sasl()?) } else { None },
        })
    }

    fn secret(&mut self, name: &'static str) -> Option<Secret> {
        self.text(name).map(Secret::from)
    }

    /// Refuses a setting unless its value is one of those that change nothing here.
    fn only(&mut self, name: &'static str, fine: &[&str], instead: &'static str) -> Result<(), ConfigError> {
        match self.text(name) {
            None | Some("") => Ok(()),
            Some(value) if fine.contains(&value) => Ok(()),
            Some(value) => Err(ConfigError::NotSupported { name, value: value.to_owned(), instead }),
        }
    }
}
