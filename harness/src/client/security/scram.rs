//! SCRAM-SHA-256 and SCRAM-SHA-512, the client's side (RFC 5802, RFC 7677).
//!
//! ```text
//!   client-first   n,,n=user,r=nonce                     -->
//!                                                        <--   server-first   r=nonce+more,s=salt,i=iterations
//!   client-final   c=biws,r=nonce+more,p=proof           -->
//!                                                        <--   server-final   v=signature   or   e=error
//! ```
//!
//! As in Kafka, name and password are taken as their UTF-8 bytes: no SASLprep. The server proves with its signature
//! that it knows the password as well. Source: ScramSaslClient, ScramFormatter.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256, Sha512};

/// Kafka's least for both mechanisms; fewer would make the password cheap to guess.
const ITERATIONS_MIN: u32 = 4096;
/// About half a second of work. Kafka's brokers have 16384 at most.
const ITERATIONS_MAX: u32 = 1_000_000;

/// The hash function of a mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn hmac(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Hmac::<Sha256>::new_from_slice(key).map(|mac| mac.chain_update(text).finalize_vec()),
            Self::Sha512 => Hmac::<Sha512>::new_from_slice(key).map(|mac| mac.chain_update(text).finalize_vec()),
        }
        .unwrap_or_else(|_| unreachable!("HMAC takes a key of any length"))
    }

    fn digest(self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(text).to_vec(),
            Self::Sha512 => Sha512::digest(text).to_vec(),
        }
    }

    fn salted_password(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        match self {
            Self::Sha256 => pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, iterations).to_vec(),
            Self::Sha512 => pbkdf2::pbkdf2_hmac_array::<Sha512, 64>(password, salt, iterations).to_vec(),
        }
    }
}

trait FinalizeVec {
    fn finalize_vec(self) -> Vec<u8>;
}

impl<M: hmac::Mac> FinalizeVec for M {
    fn finalize_vec(self) -> Vec<u8> {
        self.finalize().into_bytes().to_vec()
    }
}

enum State {
    First,
    Final { server_signature: Vec<u8> },
    Done,
}

/// One exchange.
pub(crate) struct Scram {
    hash: Hash,
    password: Vec<u8>,
    nonce: String,
    client_first_bare: String,
    state: State,
}

impl Scram {
    /// `nonce` is random and has no comma.
    pub(crate) fn new(hash: Hash, username: &str, password: &str, nonce: &str) -> Self {
        let name = username.replace('=', "=3D").replace(',', "=2C");
        let client_first_bare = format!("n={name},r={nonce}");
        let (password, nonce) = (password.as_bytes().to_vec(), nonce.to_owned());
        Self { hash, password, nonce, client_first_bare, state: State::First }
    }

    /// The client's first message.
    pub(crate) fn client_first(&self) -> Vec<u8> {
        format!("n,,{}", self.client_first_bare).into_bytes()
    }

    /// Takes a message of the server; gives ours, or nothing when the server's signature was right.
    pub(crate) fn answer(&mut self, challenge: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let text = std::str::from_utf8(challenge).map_err(|_| "the server's SCRAM message is no UTF-8".to_owned())?;
        match std::mem::replace(&mut self.state, State::Done) {
            State::First => self.client_final(text).map(Some),
            State::Final { server_signature } => check_server_final(text, &server_signature).map(|()| None),
            State::Done => Err("Expected empty challenge".into()),
        }
    }

    fn client_final(&mut self, server_first: &str) -> Result<Vec<u8>, String> {
        let (nonce, salt, iterations) = parse_server_first(server_first)?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err("Invalid server nonce: does not start with client nonce".into());
        }
        let hash = self.hash;
        let salted = hash.salted_password(&self.password, &salt, iterations);
        let client_key = hash.hmac(&salted, b"Client Key");
        let stored_key = hash.digest(&client_key);
        let without_proof = format!("c=biws,r={nonce}");
        let auth_message = format!("{},{server_first},{without_proof}", self.client_first_bare);
        let signature = hash.hmac(&stored_key, auth_message.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(key, sign)| key ^ sign).collect();
        let server_key = hash.hmac(&salted, b"Server Key");
        self.state = State::Final { server_signature: hash.hmac(&server_key, auth_message.as_bytes()) };
        Ok(format!("{without_proof},p={}", STANDARD.encode(proof)).into_bytes())
    }
}

fn parse_server_first(text: &str) -> Result<(&str, Vec<u8>, u32), String> {
    let invalid = || "Invalid SCRAM server first message format".to_owned();
    let mut fields = text.split(',');
    let mut field = |name: &str| fields.next().and_then(|field| field.strip_prefix(name)).ok_or_else(invalid);
    let nonce = field("r=")?;
    let salt = STANDARD.decode(field("s=")?).map_err(|_| invalid())?;
    let iterations: u32 = field("i=")?.parse().map_err(|_| invalid())?;
    if iterations < ITERATIONS_MIN {
        return Err(format!("Requested iterations {iterations} is less than the minimum {ITERATIONS_MIN}"));
    }
    if iterations > ITERATIONS_MAX {
        return Err(format!("Requested iterations {iterations} is more than the maximum {ITERATIONS_MAX}"));
    }
    Ok((nonce, salt, iterations))
}

fn check_server_final(text: &str, server_signature: &[u8]) -> Result<(), String> {
    let field = text.split(',').next().unwrap_or_default();
    if let Some(error) = field.strip_prefix("e=") {
        return Err(format!("Sasl authentication using SCRAM failed with error: {error}"));
    }
    let signature = field.strip_prefix("v=").and_then(|signature| STANDARD.decode(signature).ok());
    if signature.as_deref() == Some(server_signature) {
        return Ok(());
    }
    Err("Invalid server signature in server final message".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn exchange() -> Scram {
        Scram::new(Hash::Sha256, "user", "pencil", NONCE)
    }

    #[test]
    fn the_exchange_of_rfc_7677_comes_out() {
        let mut scram = exchange();
        assert_eq!(scram.client_first(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let client_final = scram.answer(SERVER_FIRST.as_bytes()).unwrap().unwrap();
        assert_eq!(
            String::from_utf8(client_final).unwrap(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(scram.answer(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(None));
        assert!(scram.answer(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").is_err(), "nothing comes after it");
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_refused() {
        let mut scram = exchange();
        scram.answer(SERVER_FIRST.as_bytes()).unwrap();
        let error = scram.answer(b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").unwrap_err();
        assert_eq!(error, "Invalid server signature in server final message");
        let mut scram = exchange();
        scram.answer(SERVER_FIRST.as_bytes()).unwrap();
        assert!(scram.answer(b"e=other-error").unwrap_err().ends_with("failed with error: other-error"));
    }

    #[test]
    fn a_server_s_first_message_is_not_believed_blindly() {
        let answer = |text: &str| exchange().answer(text.as_bytes()).unwrap_err();
        assert!(answer("r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096").contains("does not start with client nonce"));
        assert!(answer(&format!("r={NONCE},s=AAAA,i=4096")).contains("does not start with client nonce"));
        assert!(answer(&format!("r={NONCE}x,s=AAAA,i=4095")).contains("less than the minimum 4096"));
        assert!(answer(&format!("r={NONCE}x,s=AAAA,i=4294967295")).contains("more than the maximum"));
        for bad in ["", "r=", "s=AAAA,i=4096", "r=x,s=!,i=4096", "r=x,s=AAAA,i=-1", "r=x,s=AAAA"] {
            assert_eq!(answer(bad), "Invalid SCRAM server first message format", "{bad}");
        }
        assert!(exchange().answer(&[0xff]).is_err());
    }

    #[test]
    fn commas_and_equals_signs_in_a_name_are_escaped() {
        let scram = Scram::new(Hash::Sha512, "a=b,c", "", "n");
        assert_eq!(scram.client_first(), b"n,,n=a=3Db=2Cc,r=n");
    }

    #[test]
    fn keys_of_sha_512_are_those_of_openssl() {
        // openssl kdf -keylen 64 -kdfopt digest:SHA512 -kdfopt pass:pencil -kdfopt salt:salt -kdfopt iter:4096 PBKDF2
        let salted = Hash::Sha512.salted_password(b"pencil", b"salt", 4096);
        let hex: String = salted.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, OPENSSL);
    }

    const OPENSSL: &str = "2cfe3a1c151662b1ea49d13f595674a1c666add70df15d3d02254e9905993878261da7407fd11c2fee4b0a30df5154b1a752f86a13380ddd4bdd9a7c958ec769";
}
