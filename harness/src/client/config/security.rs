//! How a client gets through to a broker: `security.protocol` and what belongs to it.

use super::ConfigError;
use super::take::{Take, invalid};

impl Take<'_> {
    pub(super) fn plaintext_only(&mut self) -> Result<(), ConfigError> {
        let name = "security.protocol";
        match self.text(name) {
            None | Some("PLAINTEXT") => Ok(()),
            Some(value) if ["SSL", "SASL_PLAINTEXT", "SASL_SSL"].contains(&value) => Err(ConfigError::NotSupported {
                name,
                value: value.to_owned(),
                instead: "use a PLAINTEXT listener of the broker",
            }),
            Some(value) => {
                let reason = "String must be one of (case insensitive): SASL_SSL, PLAINTEXT, SSL, SASL_PLAINTEXT";
                Err(invalid(name, value, reason.into()))
            }
        }
    }
}
