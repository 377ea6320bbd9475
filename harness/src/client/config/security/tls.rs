//! `ssl.*`: whom a client trusts, who it is itself, and what it speaks.

use super::super::ConfigError;
use super::super::take::{Take, conflict, invalid};
use super::Secret;
use crate::client::properties::HIDDEN;

/// `ssl.*` of a client.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// Whose signature under a broker's certificate counts.
    pub trust: Trust,
    /// The client's own certificate, where the broker wants one (mTLS).
    pub identity: Option<Identity>,
    /// `ssl.endpoint.identification.algorithm=https`: the certificate must name the host. The chain is always checked.
    pub check_host: bool,
    /// `ssl.enabled.protocols`, without repetition.
    pub versions: Vec<TlsVersion>,
    /// `ssl.cipher.suites` by their IANA names; empty for all that this build has.
    pub cipher_suites: Vec<String>,
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLSv1.2.
    V1_2,
    /// TLSv1.3.
    V1_3,
}

/// `ssl.truststore.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// No truststore: the system's roots.
    System,
    /// `ssl.truststore.type=PEM` and a file.
    PemFile(String),
    /// `ssl.truststore.certificates`.
    Pem(String),
    /// A PKCS12 file with its password.
    Pkcs12(String, Secret),
}

/// `ssl.keystore.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// `ssl.keystore.type=PEM` and a file with key and certificates; `ssl.key.password`.
    PemFile(String, Option<Secret>),
    /// `ssl.keystore.key`, `ssl.keystore.certificate.chain`, `ssl.key.password`.
    Pem(Secret, String, Option<Secret>),
    /// A PKCS12 file, `ssl.keystore.password`.
    Pkcs12(String, Secret),
}

/// The form of a store, by its `type`. Java's JKS stores open PKCS12 files too (keystore.type.compat), and JKS is the
/// default, so that type says no more than that it is no PEM; what the file really is shows when it is opened.
fn is_pem(name: &'static str, kind: Option<&str>) -> Result<bool, ConfigError> {
    match kind.unwrap_or("JKS").to_ascii_uppercase().as_str() {
        "PEM" => Ok(true),
        "JKS" | "PKCS12" => Ok(false),
        _ => {
            let instead = "use PKCS12 (made by keytool -importkeystore -deststoretype PKCS12) or PEM";
            Err(ConfigError::NotSupported { name, value: kind.unwrap_or_default().to_owned(), instead })
        }
    }
}

impl Take<'_> {
    pub(super) fn tls(&mut self) -> Result<TlsSettings, ConfigError> {
        self.java_security()?;
        Ok(TlsSettings {
            trust: self.trust()?,
            identity: self.identity()?,
            check_host: self.check_host()?,
            versions: self.tls_versions()?,
            cipher_suites: self.list("ssl.cipher.suites"),
        })
    }

    /// Settings that choose classes and providers of a JVM.
    fn java_security(&mut self) -> Result<(), ConfigError> {
        let rustls = "this client has one TLS implementation, rustls; leave it out";
        self.only("ssl.provider", &[], rustls)?;
        self.only("ssl.secure.random.implementation", &[], rustls)?;
        self.only("ssl.keymanager.algorithm", &["SunX509", "PKIX", "NewSunX509"], rustls)?;
        self.only("ssl.trustmanager.algorithm", &["PKIX", "SunX509"], rustls)?;
        let default = "org.apache.kafka.common.security.ssl.DefaultSslEngineFactory";
        self.only("ssl.engine.factory.class", &[default], rustls)?;
        let newer = "use TLSv1.3 or TLSv1.2; what is spoken is up to ssl.enabled.protocols";
        self.only("ssl.protocol", &["TLS", "TLSv1.2", "TLSv1.3"], newer)
    }

    fn check_host(&mut self) -> Result<bool, ConfigError> {
        let name = "ssl.endpoint.identification.algorithm";
        match self.text(name) {
            None => Ok(true),
            Some("") => Ok(false),
            Some(value) if value.eq_ignore_ascii_case("https") => Ok(true),
            Some(value) => {
                let instead = "use https, or leave the value empty to check the chain but no host name";
                Err(ConfigError::NotSupported { name, value: value.to_owned(), instead })
            }
        }
    }

    fn tls_versions(&mut self) -> Result<Vec<TlsVersion>, ConfigError> {
        let name = "ssl.enabled.protocols";
        let mut versions = Vec::new();
        for wanted in self.list(name) {
            let version = match wanted.as_str() {
                "TLSv1.2" => TlsVersion::V1_2,
                "TLSv1.3" => TlsVersion::V1_3,
                _ => return Err(invalid(name, &wanted, "this client speaks TLSv1.2 and TLSv1.3".into())),
            };
            if !versions.contains(&version) {
                versions.push(version);
            }
        }
        Ok(if versions.is_empty() { vec![TlsVersion::V1_2, TlsVersion::V1_3] } else { versions })
    }

    fn list(&mut self, name: &'static str) -> Vec<String> {
        let items = self.text(name).unwrap_or_default().split(',').map(str::trim);
        items.filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    /// DefaultSslEngineFactory.createTruststore.
    fn trust(&mut self) -> Result<Trust, ConfigError> {
        let kind = self.text("ssl.truststore.type");
        let pem = is_pem("ssl.truststore.type", kind)?;
        let (path, password) = (self.text("ssl.truststore.location"), self.secret("ssl.truststore.password"));
        match (self.text("ssl.truststore.certificates"), path) {
            (Some(_), _) if !pem => {
                let kind = kind.unwrap_or("JKS");
                conflict(&format!(
                    "SSL trust store certs can be specified only for PEM, but trust store type is {kind}."
                ))
            }
            (Some(_), Some(_)) => {
                conflict("Both SSL trust store location and separate trust certificates are specified.")
            }
            (Some(_), None) | (None, Some(_)) if pem && password.is_some() => {
                conflict("SSL trust store password cannot be specified for PEM format.")
            }
            (Some(certificates), None) => Ok(Trust::Pem(certificates.to_owned())),
            (None, Some(path)) if pem => Ok(Trust::PemFile(path.to_owned())),
            (None, Some(path)) => Ok(Trust::Pkcs12(path.to_owned(), password.unwrap_or_default())),
            (None, None) if password.is_some() => {
                conflict("SSL trust store is not specified, but trust store password is specified.")
            }
            (None, None) => Ok(Trust::System),
        }
    }

    /// DefaultSslEngineFactory.createKeystore.
    fn identity(&mut self) -> Result<Option<Identity>, ConfigError> {
        let kind = self.text("ssl.keystore.type");
        let pem = is_pem("ssl.keystore.type", kind)?;
        let path = self.text("ssl.keystore.location").map(str::to_owned);
        let (password, key_password) = (self.secret("ssl.keystore.password"), self.secret("ssl.key.password"));
        let (key, chain) = (self.secret("ssl.keystore.key"), self.text("ssl.keystore.certificate.chain"));
        match (key, chain) {
            (Some(_), _) if !pem => {
                let kind = kind.unwrap_or("JKS");
                return conflict(&format!(
                    "SSL private key can be specified only for PEM, but key store type is {kind}."
                ));
            }
            (Some(_), _) if path.is_some() => {
                return conflict("Both SSL key store location and separate private key are specified.");
            }
            (Some(_), _) if password.is_some() => {
                return conflict(
                    "SSL key store password cannot be specified with PEM format, only key password may be specified.",
                );
            }
            (Some(key), Some(chain)) => return Ok(Some(Identity::Pem(key, chain.to_owned(), key_password))),
            (Some(_), None) => {
                return conflict("SSL private key is specified, but certificate chain is not specified.");
            }
            (None, Some(_)) => {
                return conflict("SSL certificate chain is specified, but private key is not specified");
            }
            (None, None) => {}
        }
        match (path, password) {
            (Some(_), Some(_)) if pem => conflict(
                "SSL key store password cannot be specified with PEM format, only key password may be specified",
            ),
            (Some(path), None) if pem => Ok(Some(Identity::PemFile(path, key_password))),
            (Some(_), None) => conflict("SSL key store is specified, but key store password is not specified."),
            (Some(path), Some(password)) => {
                // A PKCS12 file has one password; keytool gives its keys no other.
                if key_password.is_some_and(|key| key != password) {
                    let reason = "the keys of a PKCS12 store have the store's password: leave it out or make it equal";
                    return Err(invalid("ssl.key.password", HIDDEN, reason.into()));
                }
                Ok(Some(Identity::Pkcs12(path, password)))
            }
            (None, Some(_)) => conflict("SSL key store is not specified, but key store password is specified."),
            (None, None) => Ok(None),
        }
    }
}
