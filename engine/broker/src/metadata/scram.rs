//! How users can log in with SCRAM, as the metadata log has it (RFC 5802): what proves that somebody knows a password,
//! without the password.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use ringlog_wire::ErrorCode;
use ringlog_wire::messages::describe_user_scram_credentials::{
    CredentialInfo, DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
    DescribeUserScramCredentialsResult,
};
use ringlog_wire::records::metadata::{RemoveUserScramCredentialRecord, UserScramCredentialRecord};
use sha2::{Digest as _, Sha256, Sha512};

/// A hash function (ScramMechanism).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mechanism {
    /// SCRAM-SHA-256.
    Sha256 = 1,
    /// SCRAM-SHA-512.
    Sha512 = 2,
}

impl Mechanism {
    /// The mechanism of that number.
    pub(crate) fn of(number: i8) -> Option<Self> {
        [Self::Sha256, Self::Sha512].into_iter().find(|mechanism| *mechanism as i8 == number)
    }

    /// The stored key and the server key of a salted password.
    pub(crate) fn keys(self, salted_password: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let client_key = self.hmac(salted_password, b"Client Key");
        let stored_key = match self {
            Self::Sha256 => Sha256::digest(&client_key).to_vec(),
            Self::Sha512 => Sha512::digest(&client_key).to_vec(),
        };
        (stored_key, self.hmac(salted_password, b"Server Key"))
    }

    fn hmac(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        let made =
            match self {
                Self::Sha256 => Hmac::<Sha256>::new_from_slice(key)
                    .map(|mac| mac.chain_update(text).finalize().into_bytes().to_vec()),
                Self::Sha512 => Hmac::<Sha512>::new_from_slice(key)
                    .map(|mac| mac.chain_update(text).finalize().into_bytes().to_vec()),
            };
        made.unwrap_or_else(|_| unreachable!("HMAC takes a key of any length"))
    }
}

/// All credentials: by user, by mechanism.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Credentials {
    of: BTreeMap<String, BTreeMap<i8, UserScramCredentialRecord>>,
}

impl Credentials {
    /// Takes a record.
    pub(super) fn set(&mut self, record: &UserScramCredentialRecord) {
        self.of.entry(record.name.clone()).or_default().insert(record.mechanism, record.clone());
    }

    /// Takes a record.
    pub(super) fn remove(&mut self, record: &RemoveUserScramCredentialRecord) {
        if let Some(of_user) = self.of.get_mut(&record.name) {
            of_user.remove(&record.mechanism);
            if of_user.is_empty() {
                self.of.remove(&record.name);
            }
        }
    }

    /// What gives every user his.
    pub(super) fn records(&self) -> impl Iterator<Item = UserScramCredentialRecord> + '_ {
        self.of.values().flat_map(BTreeMap::values).cloned()
    }

    /// A user's credential.
    pub(crate) fn get(&self, user: &str, mechanism: Mechanism) -> Option<&UserScramCredentialRecord> {
        self.of.get(user)?.get(&(mechanism as i8))
    }

    /// What users have, without the secrets (ScramImage.describe).
    pub(crate) fn describe(
        &self,
        request: &DescribeUserScramCredentialsRequest,
    ) -> DescribeUserScramCredentialsResponse {
        let asked: Vec<&str> = request.users.iter().flatten().map(|user| user.name.as_str()).collect();
        let results: Vec<DescribeUserScramCredentialsResult> = if asked.is_empty() {
            self.of.keys().map(|user| self.describe_one(user)).collect()
        } else {
            let mut times: BTreeMap<&str, usize> = BTreeMap::new();
            asked.iter().for_each(|user| *times.entry(user).or_default() += 1);
            let one =
                |(user, times): (&str, usize)| if times > 1 { named_twice(user) } else { self.describe_one(user) };
            times.into_iter().map(one).collect()
        };
        DescribeUserScramCredentialsResponse { error_message: None, results, ..Default::default() }
    }

    fn describe_one(&self, user: &str) -> DescribeUserScramCredentialsResult {
        let Some(of_user) = self.of.get(user) else {
            let message = format!("Attempt to describe a user credential that does not exist: {user}");
            return refused(user, ErrorCode::RESOURCE_NOT_FOUND, message);
        };
        let info = |record: &UserScramCredentialRecord| CredentialInfo {
            mechanism: record.mechanism,
            iterations: record.iterations,
            ..Default::default()
        };
        DescribeUserScramCredentialsResult {
            user: user.to_owned(),
            error_message: None,
            credential_infos: of_user.values().map(info).collect(),
            ..Default::default()
        }
    }
}

fn named_twice(user: &str) -> DescribeUserScramCredentialsResult {
    let message = format!("Cannot describe SCRAM credentials for the same user twice in a single request: {user}");
    refused(user, ErrorCode::DUPLICATE_RESOURCE, message)
}

fn refused(user: &str, error: ErrorCode, message: String) -> DescribeUserScramCredentialsResult {
    DescribeUserScramCredentialsResult {
        user: user.to_owned(),
        error_code: error.0,
        error_message: Some(message),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use ringlog_wire::messages::describe_user_scram_credentials::UserName;

    use super::*;

    /// RFC 7677, section 3: user, pencil, 4096 rounds. The server's signature follows from the server key, the client's proof
    /// from the stored key; both stand there.
    #[test]
    fn keys_are_those_of_the_rfc() {
        let salted = [
            0xc4, 0xa4, 0x95, 0x10, 0x32, 0x3a, 0xb4, 0xf9, 0x52, 0xca, 0xc1, 0xfa, 0x99, 0x44, 0x19, 0x39, 0xe7, 0x8e,
            0xa7, 0x4d, 0x6b, 0xe8, 0x1d, 0xdf, 0x70, 0x96, 0xe8, 0x75, 0x13, 0xdc, 0x61, 0x5d,
        ];
        let (_, server_key) = Mechanism::Sha256.keys(&salted);
        let auth = b"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                     s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = Mechanism::Sha256.hmac(&server_key, auth);
        // 6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4= in base64.
        assert_eq!(signature[..6], [0xea, 0xba, 0xe2, 0x4d, 0x10, 0x62]);
        let lens = [Mechanism::Sha256, Mechanism::Sha512].map(|mechanism| mechanism.keys(&salted).0.len());
        assert_eq!(lens, [32, 64]);
    }

    #[test]
    fn users_are_told_with_their_mechanisms_and_nobody_twice() {
        let mut credentials = Credentials::default();
        for (user, mechanism, iterations) in [("a", 1, 4096), ("a", 2, 8192), ("b", 2, 4097)] {
            let name = user.to_owned();
            credentials.set(&UserScramCredentialRecord { name, mechanism, iterations, ..Default::default() });
        }
        let ask = |credentials: &Credentials, users: Option<&[&str]>| {
            let user = |name: &&str| UserName { name: (*name).to_owned(), ..Default::default() };
            let users = users.map(|users| users.iter().map(user).collect());
            let told =
                credentials.describe(&DescribeUserScramCredentialsRequest { users, ..Default::default() }).results;
            told.into_iter().map(|one| (one.user, one.error_code, one.credential_infos.len())).collect::<Vec<_>>()
        };
        let all = vec![("a".to_owned(), 0, 2), ("b".to_owned(), 0, 1)];
        assert_eq!((ask(&credentials, None), ask(&credentials, Some(&[]))), (all.clone(), all));
        let due = vec![("a".to_owned(), 92, 0), ("c".to_owned(), 91, 0)];
        assert_eq!(ask(&credentials, Some(&["a", "c", "a"])), due);
        credentials.remove(&RemoveUserScramCredentialRecord {
            name: "b".to_owned(),
            mechanism: 2,
            ..Default::default()
        });
        assert_eq!(credentials.get("b", Mechanism::Sha512), None);
        assert_eq!(ask(&credentials, None).len(), 1);
    }
}
