//! SaslHandshake, key 17: versions 0 and 1, none of them flexible (KAFKA-9577 keeps it so).

use crate::schema::prelude::*;

messages! {
    versions 0..=1, flexible NEVER;
    message SaslHandshakeRequest, SaslHandshakeResponse;

    /// Says which SASL mechanism the client is going to use. From version 1 on the tokens travel in SaslAuthenticate.
    struct SaslHandshakeRequest {
        /// The mechanism, such as SCRAM-SHA-512.
        mechanism: String [0..],
    }

    /// Says whether the broker has it.
    struct SaslHandshakeResponse {
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// The mechanisms that the listener has.
        mechanisms: Vec<String> [0..],
    }
}

api!(SaslHandshake: SaslHandshakeRequest => SaslHandshakeResponse);
