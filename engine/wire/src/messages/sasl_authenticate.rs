//! SaslAuthenticate, key 36: versions 0 to 2, flexible from 2 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=2, flexible 2;
    message SaslAuthenticateRequest, SaslAuthenticateResponse;

    /// A token of the client, as the mechanism defines it.
    struct SaslAuthenticateRequest {
        /// The token.
        auth_bytes: Vec<u8> [0..],
    }

    /// The broker's token, or why it refuses.
    struct SaslAuthenticateResponse {
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What went wrong, in words.
        error_message: Option<String> [0..] null [0..],
        /// The token.
        auth_bytes: Vec<u8> [0..],
        /// After so many ms the connection takes nothing but a new authentication (KIP-368); 0 for no limit.
        session_lifetime_ms: i64 [1..],
    }
}

api!(SaslAuthenticate: SaslAuthenticateRequest => SaslAuthenticateResponse);
