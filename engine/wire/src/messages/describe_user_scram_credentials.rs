//! DescribeUserScramCredentials, key 50: version 0, flexible from 0 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=0, flexible 0;
    message DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse;

    /// Asks how users can log in.
    struct DescribeUserScramCredentialsRequest {
        /// The users, null or none for all.
        users: Option<Vec<UserName>> [0..] null [0..] = Some(Vec::new()),
    }

    /// A user who is asked for.
    struct UserName {
        /// The name.
        name: String [0..],
    }

    /// How users can log in.
    struct DescribeUserScramCredentialsResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What went wrong, in words.
        error_message: Option<String> [0..] null [0..] = Some(String::new()),
        /// The users.
        results: Vec<DescribeUserScramCredentialsResult> [0..],
    }

    /// A user's part of the answer.
    struct DescribeUserScramCredentialsResult {
        /// The name.
        user: String [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What went wrong, in words.
        error_message: Option<String> [0..] null [0..] = Some(String::new()),
        /// The credentials.
        credential_infos: Vec<CredentialInfo> [0..],
    }

    /// A credential, without its secrets.
    struct CredentialInfo {
        /// 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
        mechanism: i8 [0..],
        /// Rounds of the key derivation.
        iterations: i32 [0..],
    }
}

api!(DescribeUserScramCredentials: DescribeUserScramCredentialsRequest => DescribeUserScramCredentialsResponse);
