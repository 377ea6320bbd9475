use super::*;
use crate::client::config::security::{Identity, Secret, Trust};

const PASSWORD: &str = "test-store-secret";

fn file(name: &str) -> String {
    format!("{}/src/client/security/testdata/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn trust(name: &str, password: &str) -> Result<usize, String> {
    let trust = Trust::Pkcs12(file(name), Secret::from(password));
    trusted(&trust).map(|certificates| certificates.len()).map_err(|error| error.to_string())
}

#[test]
fn what_keytool_makes_by_default_is_opened() {
    assert_eq!(trust("keytool-trust.p12", PASSWORD), Ok(1));
    let (chain, key) = identity(&Identity::Pkcs12(file("keytool-key.p12"), Secret::from(PASSWORD))).unwrap();
    assert_eq!(chain.len(), 1);
    assert!(matches!(key, PrivateKeyDer::Pkcs8(_)));
}

#[test]
fn an_encrypted_pem_key_is_the_same_key() {
    let file = file("encrypted-key.pem");
    let (chain, key) = identity(&Identity::PemFile(file.clone(), Some(Secret::from(PASSWORD)))).unwrap();
    let (same_chain, same_key) =
        identity(&Identity::Pkcs12(super::tests::file("keytool-key.p12"), Secret::from(PASSWORD))).unwrap();
    assert_eq!((chain, key), (same_chain, same_key));
    let error = |password: Option<&str>| {
        identity(&Identity::PemFile(file.clone(), password.map(Secret::from))).unwrap_err().to_string()
    };
    assert!(error(None).contains("the private key is encrypted: set ssl.key.password"));
    assert!(error(Some("wrong")).contains("is ssl.key.password right?"));
}

#[test]
fn a_wrong_password_is_said_to_be_one_perhaps() {
    let error = trust("keytool-trust.p12", "wrong").unwrap_err();
    assert!(error.contains("is the store's password right?"), "{error}");
    assert!(error.contains("ssl.truststore.location"), "{error}");
    assert!(!error.contains("wrong"), "{error}");
}

#[test]
fn a_jks_store_is_refused_with_the_command_that_converts_it() {
    let error = trust("keytool-trust.jks", PASSWORD).unwrap_err();
    assert!(error.contains("keytool -importkeystore") && error.contains("-deststoretype PKCS12"), "{error}");
}

#[test]
fn stores_of_the_other_kind_or_without_what_is_needed_are_named() {
    assert!(trust("encrypted-key.pem", PASSWORD).unwrap_err().contains("set the store's type to PEM"));
    assert!(trust("keytool-key.p12", PASSWORD).unwrap_err().contains("it has no trusted certificate"));
    assert!(trust("not-there.p12", PASSWORD).unwrap_err().contains("No such file"));
    let pem = Trust::PemFile(file("keytool-trust.p12"));
    assert!(trusted(&pem).unwrap_err().to_string().contains("it is no PEM file"));
    let empty = Trust::Pem("nothing".into());
    assert!(trusted(&empty).unwrap_err().to_string().contains("it has no trusted certificate"));
}
