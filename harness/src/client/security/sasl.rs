//! A SASL exchange of a client: its first message, and an answer to each of the broker's.

use std::time::Duration;

use super::AuthenticationError;
use super::oauth::{self, Token};
use super::scram::{Hash, Scram};
use crate::client::ClientError;
use crate::client::config::security::{Mechanism, SaslLogin, SaslSettings};

/// What a client proves who it is with; keeps the token while it is good.
pub(crate) struct Login {
    settings: SaslSettings,
    token: Option<Token>,
}

/// The clock and the dice of whoever asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Since 1970.
    pub(crate) wall: Duration,
    /// 128 random bits, for a nonce.
    pub(crate) random: [u64; 2],
}

impl Login {
    /// Gets the first token, where the mechanism has one: a client without is not opened, as Kafka's.
    pub(crate) fn new(settings: SaslSettings, now: Now) -> Result<Self, ClientError> {
        let mut login = Self { settings, token: None };
        login.renew(now).map_err(ClientError::Authentication)?;
        Ok(login)
    }

    /// `sasl.mechanism`.
    pub(crate) fn mechanism(&self) -> &'static str {
        self.settings.mechanism.name()
    }

    /// Begins an exchange: its first message, and what answers the broker.
    pub(crate) fn begin(&mut self, now: Now) -> Result<(Vec<u8>, Exchange), AuthenticationError> {
        self.renew(now)?;
        match &self.settings.login {
            SaslLogin::Token { extensions, .. } => {
                let token = self.token.as_ref().map_or("", |token| token.value.as_str());
                Ok((oauth::client_first(token, extensions), Exchange::Token { refused: false }))
            }
            SaslLogin::Password { username, password } => Ok(match self.settings.mechanism {
                Mechanism::ScramSha256 => scram(Hash::Sha256, username, password.expose(), now),
                Mechanism::ScramSha512 => scram(Hash::Sha512, username, password.expose(), now),
                Mechanism::Plain | Mechanism::OauthBearer => {
                    (format!("\0{username}\0{}", password.expose()).into_bytes(), Exchange::Plain)
                }
            }),
        }
    }

    /// Gets a token where there is none, or where most of its life is over. An old one that is still good is kept when
    /// no new one can be had.
    fn renew(&mut self, now: Now) -> Result<(), AuthenticationError> {
        let SaslLogin::Token { source, refresh_factor, .. } = &self.settings.login else { return Ok(()) };
        if self.token.as_ref().is_some_and(|token| token.is_fresh(now.wall)) {
            return Ok(());
        }
        match oauth::fetch(source, *refresh_factor, now.wall) {
            Ok(token) => self.token = Some(token),
            Err(error) if self.token.as_ref().is_some_and(|token| token.is_good(now.wall)) => {
                tracing::warn!(error, "no new token can be had; the old one is still good");
            }
            Err(error) => return Err(AuthenticationError::sasl(error)),
        }
        Ok(())
    }
}

fn scram(hash: Hash, username: &str, password: &str, now: Now) -> (Vec<u8>, Exchange) {
    let nonce = now.random.map(|bits| format!("{bits:016x}")).concat();
    let scram = Scram::new(hash, username, password, &nonce);
    (scram.client_first(), Exchange::Scram(Box::new(scram)))
}

/// An exchange under way.
pub(crate) enum Exchange {
    /// Name and password are sent; the broker agrees or not.
    Plain,
    /// SCRAM.
    Scram(Box<Scram>),
    /// The token is sent; a broker that refuses it says why, and wants to hear that we have read it.
    Token {
        /// It said why.
        refused: bool,
    },
}

impl Exchange {
    /// Takes a message of the broker; gives ours, or nothing when the exchange is complete.
    pub(crate) fn answer(&mut self, challenge: &[u8]) -> Result<Option<Vec<u8>>, String> {
        match self {
            Self::Plain | Self::Token { refused: false } if challenge.is_empty() => Ok(None),
            Self::Token { refused } if !*refused => {
                *refused = true;
                Ok(Some(vec![1]))
            }
            Self::Plain | Self::Token { .. } => Err("Expected empty challenge".into()),
            Self::Scram(scram) => scram.answer(challenge),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::config::security::{Secret, TokenSource};

    const NOW: Now = Now { wall: Duration::from_secs(1_700_000_000), random: [1, 0xabc] };

    fn login(mechanism: Mechanism) -> Login {
        let login = SaslLogin::Password { username: "alice".into(), password: Secret::from("secret") };
        Login::new(SaslSettings { mechanism, login }, NOW).unwrap()
    }

    #[test]
    fn plain_is_one_message_and_an_empty_answer() {
        let (first, mut exchange) = login(Mechanism::Plain).begin(NOW).unwrap();
        assert_eq!(first, b"\0alice\0secret");
        assert_eq!(exchange.answer(b""), Ok(None));
        assert!(exchange.answer(b"x").is_err());
    }

    #[test]
    fn scram_begins_with_the_random_nonce() {
        let (first, _) = login(Mechanism::ScramSha512).begin(NOW).unwrap();
        assert_eq!(first, b"n,,n=alice,r=00000000000000010000000000000abc");
    }

    #[test]
    fn a_refused_token_is_answered_with_one_byte_and_a_stale_one_is_renewed() {
        let mut claims = serde_json::Map::new();
        claims.insert("sub".into(), "alice".into());
        let source = TokenSource::Unsecured { claims, lifetime: Duration::from_secs(100) };
        let login = SaslLogin::Token { source, extensions: Vec::new(), refresh_factor: 0.8 };
        let mut login = Login::new(SaslSettings { mechanism: Mechanism::OauthBearer, login }, NOW).unwrap();
        let (first, mut exchange) = login.begin(NOW).unwrap();
        assert_eq!(exchange.answer(b"{\"status\":\"invalid_token\"}"), Ok(Some(vec![1])));
        assert!(exchange.answer(b"").is_err(), "a broker that refused does not change its mind");
        let later = |seconds| Now { wall: NOW.wall + Duration::from_secs(seconds), ..NOW };
        assert_eq!(login.begin(later(79)).unwrap().0, first, "most of its life lies ahead");
        assert_ne!(login.begin(later(81)).unwrap().0, first);
    }
}
