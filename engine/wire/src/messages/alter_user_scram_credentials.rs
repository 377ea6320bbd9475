//! AlterUserScramCredentials, key 51: version 0, flexible from 0 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=0, flexible 0;
    message AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse;

    /// Changes how users can log in.
    struct AlterUserScramCredentialsRequest {
        /// Credentials to remove.
        deletions: Vec<ScramCredentialDeletion> [0..],
        /// Credentials to set.
        upsertions: Vec<ScramCredentialUpsertion> [0..],
    }

    /// A credential to remove.
    struct ScramCredentialDeletion {
        /// The user's name.
        name: String [0..],
        /// 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
        mechanism: i8 [0..],
    }

    /// A credential to set.
    struct ScramCredentialUpsertion {
        /// The user's name.
        name: String [0..],
        /// 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
        mechanism: i8 [0..],
        /// Rounds of the key derivation.
        iterations: i32 [0..],
        /// Random bytes mixed into the key.
        salt: Vec<u8> [0..],
        /// What the derivation gave.
        salted_password: Vec<u8> [0..],
    }

    /// What became of it.
    struct AlterUserScramCredentialsResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// The users.
        results: Vec<AlterUserScramCredentialsResult> [0..],
    }

    /// A user's part of the answer.
    struct AlterUserScramCredentialsResult {
        /// The user's name.
        user: String [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What went wrong, in words.
        error_message: Option<String> [0..] null [0..] = Some(String::new()),
    }
}

api!(AlterUserScramCredentials: AlterUserScramCredentialsRequest => AlterUserScramCredentialsResponse);
