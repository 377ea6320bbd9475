//! Truststores and keystores: PEM and PKCS12, from files or from the settings themselves.
//!
//! Java's own format, JKS, is told apart by its first bytes and refused with the command that converts it. A store
//! whose type says JKS (the default) but whose file is PKCS12 is opened, as Java does (keystore.type.compat).

use p12_keystore::{CertificateBag, Pkcs12Archive};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};

use super::pem::{self, Block};
use crate::client::config::ConfigError;
use crate::client::config::security::{Identity, Secret, Trust};

/// First bytes of a JKS and of a JCEKS store.
const JAVA_MAGIC: [[u8; 4]; 2] = [[0xfe, 0xed, 0xfe, 0xed], [0xce, 0xce, 0xce, 0xce]];
/// Longer than any store that people have; a wrong path does not fill the memory.
const STORE_BYTES_MAX: usize = 64 << 20;

/// Certificates and the key of the first of them.
pub(super) type Credentials = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn invalid(name: &str, value: &str, reason: impl Into<String>) -> ConfigError {
    ConfigError::Invalid { name: name.to_owned(), value: value.to_owned(), reason: reason.into() }
}

/// The certificates that a client trusts.
pub(super) fn trusted(trust: &Trust) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let (name, value) = match trust {
        Trust::System => ("ssl.truststore.location", "none, so that the system's roots count"),
        Trust::Pem(_) => ("ssl.truststore.certificates", "the text"),
        Trust::PemFile(path) | Trust::Pkcs12(path, _) => ("ssl.truststore.location", path.as_str()),
    };
    let found = match trust {
        Trust::System => Ok(rustls_native_certs::load_native_certs().certs),
        Trust::Pem(text) => certificates(text),
        Trust::PemFile(path) => certificates(&text(name, path)?),
        Trust::Pkcs12(path, password) => pkcs12(&read(name, path)?, password).map(trusted_in),
    };
    let found = found.map_err(|reason| invalid(name, value, reason))?;
    if found.is_empty() {
        let reason =
            "it has no trusted certificate; add the one that signed the broker's (PKCS12: keytool -importcert)";
        return Err(invalid(name, value, reason));
    }
    Ok(found)
}

/// What a client shows to a broker that asks.
pub(super) fn identity(identity: &Identity) -> Result<Credentials, ConfigError> {
    let name = "ssl.keystore.location";
    match identity {
        Identity::Pem(key, chain, password) => {
            let key = private_key(key.expose(), password.as_ref());
            let key = key.map_err(|reason| invalid("ssl.keystore.key", "[hidden]", reason))?;
            let name = "ssl.keystore.certificate.chain";
            let chain = certificates(chain).map_err(|reason| invalid(name, "the text", reason))?;
            if chain.is_empty() {
                return Err(invalid(name, "the text", "At least one certificate expected, but none found"));
            }
            Ok((chain, key))
        }
        Identity::PemFile(path, password) => {
            let text = text(name, path)?;
            let bad = |reason| invalid(name, path, reason);
            let chain = certificates(&text).map_err(bad)?;
            if chain.is_empty() {
                return Err(bad("At least one certificate expected, but none found".into()));
            }
            Ok((chain, private_key(&text, password.as_ref()).map_err(bad)?))
        }
        Identity::Pkcs12(path, password) => {
            let archive = pkcs12(&read(name, path)?, password).map_err(|reason| invalid(name, path, reason))?;
            key_and_chain(&archive).map_err(|reason| invalid(name, path, reason))
        }
    }
}

// A client reads the stores that its user names, once, when it is opened: no part of what is simulated.
#[expect(clippy::disallowed_methods, reason = "stores are read when a client is opened, before anything is measured")]
fn read(name: &str, path: &str) -> Result<Vec<u8>, ConfigError> {
    let bytes = std::fs::read(path).map_err(|error| invalid(name, path, error.to_string()))?;
    if bytes.len() > STORE_BYTES_MAX {
        return Err(invalid(name, path, format!("{} bytes are no store: the limit is {STORE_BYTES_MAX}", bytes.len())));
    }
    Ok(bytes)
}

fn text(name: &str, path: &str) -> Result<String, ConfigError> {
    let not_pem = "it is no PEM file: its type is PKCS12 perhaps";
    String::from_utf8(read(name, path)?).map_err(|_| invalid(name, path, not_pem))
}

fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let blocks = pem::blocks(text)?.into_iter().filter(|block| block.label.ends_with("CERTIFICATE"));
    Ok(blocks.map(|block| CertificateDer::from(block.der)).collect())
}

fn private_key(text: &str, password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, String> {
    let block = pem::blocks(text)?.into_iter().find(|block| block.label.ends_with("PRIVATE KEY"));
    let Block { label, der } = block.ok_or("No matching PRIVATE KEY entries in PEM file")?;
    match label.as_str() {
        "PRIVATE KEY" => Ok(PrivatePkcs8KeyDer::from(der).into()),
        "RSA PRIVATE KEY" => Ok(PrivatePkcs1KeyDer::from(der).into()),
        "EC PRIVATE KEY" => Ok(PrivateSec1KeyDer::from(der).into()),
        "ENCRYPTED PRIVATE KEY" => decrypted(&der, password),
        other => Err(format!("a key of the kind {other} is not supported: convert it with `openssl pkcs8 -topk8`")),
    }
}

fn decrypted(der: &[u8], password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, String> {
    let password = password.ok_or("the private key is encrypted: set ssl.key.password")?;
    let info = pkcs8::EncryptedPrivateKeyInfoRef::try_from(der).map_err(|error| {
        format!("the encrypted private key cannot be read ({error}): encrypt it with `openssl pkcs8 -topk8 -v2 aes256`")
    })?;
    let key = info.decrypt(password.expose()).map_err(|error| {
        format!(
            "the private key cannot be decrypted ({error}): is ssl.key.password right? AES with PBKDF2 is supported"
        )
    })?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}

fn pkcs12(bytes: &[u8], password: &Secret) -> Result<Pkcs12Archive, String> {
    if JAVA_MAGIC.iter().any(|magic| bytes.starts_with(magic)) {
        return Err("it is a JKS store, Java's own format, which this client does not read: convert it with `keytool -importkeystore -srckeystore FILE -destkeystore FILE.p12 -deststoretype PKCS12`, or export PEM".into());
    }
    if bytes.starts_with(b"-----BEGIN") {
        return Err("it is a PEM file: set the store's type to PEM".into());
    }
    Pkcs12Archive::from_pkcs12(bytes, password.expose())
        .map_err(|error| format!("it cannot be opened as PKCS12 ({error}): is the store's password right?"))
}

fn trusted_in(archive: Pkcs12Archive) -> Vec<CertificateDer<'static>> {
    let trusted = archive.certs.iter().filter(|bag| bag.trusted);
    trusted.map(|bag| CertificateDer::from(bag.cert.as_der().to_vec())).collect()
}

/// The first key, its certificate, and the certificates above that, as far as the store has them.
fn key_and_chain(archive: &Pkcs12Archive) -> Result<Credentials, String> {
    let key = archive.keys.first().ok_or("it has no private key")?;
    if archive.keys.len() > 1 {
        let keys = archive.keys.len();
        tracing::warn!(
            keys,
            "the keystore has several private keys: the first one is used, whatever issuers a broker names"
        );
    }
    let of_key = |bag: &&CertificateBag| bag.local_key_id.as_deref() == key.local_key_id.as_ref().map(|id| &id.0[..]);
    let mut at = archive.certs.iter().find(of_key).ok_or("its private key has no certificate")?;
    let mut chain = vec![at];
    while at.cert.issuer() != at.cert.subject() && chain.len() <= archive.certs.len() {
        let above = archive.certs.iter().find(|bag| bag.cert.subject() == at.cert.issuer());
        let Some(above) = above.filter(|above| !chain.contains(above)) else { break };
        at = above;
        chain.push(at);
    }
    let chain = chain.into_iter().map(|bag| CertificateDer::from(bag.cert.as_der().to_vec())).collect();
    Ok((chain, PrivatePkcs8KeyDer::from(key.key.as_der().to_vec()).into()))
}

#[cfg(test)]
#[path = "stores_tests.rs"]
mod tests;
