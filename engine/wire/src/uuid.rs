//! Topic, directory and incarnation ids: 128 bits, written as 22 characters of URL-safe base64 without padding
//! (`org.apache.kafka.common.Uuid`).

use std::fmt;
use std::str::FromStr;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const TEXT_LEN: usize = 22;

/// A 128-bit id, big-endian as it stands on the wire.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// "No id": what a field holds in versions that know only names.
    pub const ZERO: Uuid = Uuid([0; 16]);
    /// Reserved by Kafka for the metadata log's own topic (`Uuid.METADATA_TOPIC_ID`).
    pub const METADATA_TOPIC: Uuid = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    /// True for [`Uuid::ZERO`].
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// An id from its two 64-bit halves, the more significant one first.
    pub fn from_halves(high: u64, low: u64) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&high.to_be_bytes());
        bytes[8..].copy_from_slice(&low.to_be_bytes());
        Self(bytes)
    }

    /// A version 4 (random) id out of 16 random bytes: sets the version and variant bits as `java.util.UUID` does.
    ///
    /// Kafka also refuses random ids whose text starts with a dash, because command lines take it for an option; the
    /// caller draws again when this returns `None`.
    pub fn from_random(mut bytes: [u8; 16]) -> Option<Self> {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let id = Self(bytes);
        (!id.to_string().starts_with('-')).then_some(id)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from_be_bytes(self.0);
        for place in 0..TEXT_LEN {
            let sextet = match place {
                21 => (bits << 4) & 0x3f,
                _ => (bits >> (122 - 6 * place)) & 0x3f,
            };
            f.write_str(&(ALPHABET[sextet as usize] as char).to_string())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uuid({self})")
    }
}

/// Text that is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no id: 22 characters of URL-safe base64 (A-Z a-z 0-9 - _) are expected, ending in A, Q, g or w")]
pub struct UuidError {
    text: String,
}

impl FromStr for Uuid {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Self, UuidError> {
        parse(text).ok_or_else(|| UuidError { text: text.chars().take(64).collect() })
    }
}

fn parse(text: &str) -> Option<Uuid> {
    let text = text.trim_end_matches('=').as_bytes();
    if text.len() != TEXT_LEN {
        return None;
    }
    let mut bits = 0u128;
    for (place, c) in text.iter().enumerate() {
        let sextet = ALPHABET.iter().position(|a| a == c)? as u128;
        if place == TEXT_LEN - 1 {
            if sextet & 0x0f != 0 {
                return None;
            }
            bits = (bits << 2) | (sextet >> 4);
        } else {
            bits = (bits << 6) | sextet;
        }
    }
    Some(Uuid(bits.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_reads_the_ids_that_kafka_prints() {
        let id = Uuid::from_halves(0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321);
        assert_eq!(id.to_string(), "EjRWeJq83vAP7cuph2VDIQ");
        assert_eq!("EjRWeJq83vAP7cuph2VDIQ".parse(), Ok(id));
        assert_eq!(Uuid::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(Uuid::METADATA_TOPIC.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!("AAAAAAAAAAAAAAAAAAAAAQ".parse(), Ok(Uuid::METADATA_TOPIC));
    }

    #[test]
    fn refuses_text_that_is_no_id() {
        for bad in ["", "A", "AAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAA+A", "AAAAAAAAAAAAAAAAAAAAAB"] {
            assert!(bad.parse::<Uuid>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_random_id_has_version_four_and_no_leading_dash() {
        let id = Uuid::from_random([0x11; 16]).unwrap();
        assert_eq!((id.0[6] >> 4, id.0[8] >> 6), (4, 2));
        assert_eq!(Uuid::from_random([0xfb; 16]), None);
    }
}
