//! AlterUserScramCredentials (ScramControlManager): credentials are kept for the listener to come; of the salted password
//! only what follows from it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::alter_user_scram_credentials::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse, AlterUserScramCredentialsResult,
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use ringlog_wire::records::metadata::{MetadataRecord, RemoveUserScramCredentialRecord, UserScramCredentialRecord};

use super::super::image::Image;
use super::super::scram::Mechanism;
use super::Draft;
use super::create::Refusal;

/// Rounds of the key derivation (ScramMechanism.minIterations, ScramControlManager.MAX_ITERATIONS).
const ITERATIONS: std::ops::RangeInclusive<i32> = 4096..=16_384;

pub(super) fn alter_credentials(
    request: AlterUserScramCredentialsRequest,
    draft: &mut Draft,
) -> AlterUserScramCredentialsResponse {
    let mut users: BTreeMap<String, Result<MetadataRecord, Refusal>> = BTreeMap::new();
    let mut enter = |name: String, result: Result<MetadataRecord, Refusal>| match users.entry(name) {
        Entry::Vacant(place) => {
            place.insert(result);
        }
        // What is wrong already stays so.
        Entry::Occupied(there) if there.get().is_err() => {}
        Entry::Occupied(mut there) => {
            let twice = "A user credential cannot be altered twice in the same request";
            *there.get_mut() = Err(Refusal::new(ErrorCode::DUPLICATE_RESOURCE, twice));
        }
    };
    for deletion in &request.deletions {
        enter(deletion.name.clone(), delete(deletion, &draft.image));
    }
    for upsertion in request.upsertions {
        enter(upsertion.name.clone(), upsert(upsertion));
    }
    let mut results = Vec::with_capacity(users.len());
    for (user, result) in users {
        let refusal = result.map(|record| draft.push(record)).err();
        results.push(told(user, refusal));
    }
    AlterUserScramCredentialsResponse { results, ..Default::default() }
}

/// A user's part of the answer.
pub(crate) fn told(user: String, refusal: Option<Refusal>) -> AlterUserScramCredentialsResult {
    AlterUserScramCredentialsResult {
        user,
        error_code: refusal.as_ref().map_or(0, |refusal| refusal.code.0),
        error_message: refusal.map(|refusal| refusal.message),
        ..Default::default()
    }
}

fn delete(deletion: &ScramCredentialDeletion, image: &Image) -> Result<MetadataRecord, Refusal> {
    let mechanism = check(&deletion.name, deletion.mechanism)?;
    if image.credentials().get(&deletion.name, mechanism).is_none() {
        let message = "Attempt to delete a user credential that does not exist";
        return Err(Refusal::new(ErrorCode::RESOURCE_NOT_FOUND, message));
    }
    let (name, mechanism) = (deletion.name.clone(), deletion.mechanism);
    Ok(RemoveUserScramCredentialRecord { name, mechanism, ..Default::default() }.into())
}

fn upsert(upsertion: ScramCredentialUpsertion) -> Result<MetadataRecord, Refusal> {
    let mechanism = check(&upsertion.name, upsertion.mechanism)?;
    if !ITERATIONS.contains(&upsertion.iterations) {
        let many = if upsertion.iterations < *ITERATIONS.start() { "few" } else { "many" };
        return Err(Refusal::new(ErrorCode::UNACCEPTABLE_CREDENTIAL, format!("Too {many} iterations")));
    }
    let (stored_key, server_key) = mechanism.keys(&upsertion.salted_password);
    let record = UserScramCredentialRecord {
        name: upsertion.name,
        mechanism: upsertion.mechanism,
        salt: upsertion.salt,
        stored_key,
        server_key,
        iterations: upsertion.iterations,
        ..Default::default()
    };
    Ok(record.into())
}

fn check(user: &str, mechanism: i8) -> Result<Mechanism, Refusal> {
    if user.is_empty() {
        return Err(Refusal::new(ErrorCode::UNACCEPTABLE_CREDENTIAL, "Username must not be empty"));
    }
    let unknown = || Refusal::new(ErrorCode::UNSUPPORTED_SASL_MECHANISM, "Unknown SCRAM mechanism");
    Mechanism::of(mechanism).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::controller::{Call, Controller, Decided};
    use crate::metadata::fixtures::{decide, settings, start};

    fn set(name: &str, mechanism: i8, iterations: i32) -> ScramCredentialUpsertion {
        ScramCredentialUpsertion {
            name: name.to_owned(),
            mechanism,
            iterations,
            salt: vec![1],
            salted_password: vec![2],
            ..Default::default()
        }
    }

    fn gone(name: &str, mechanism: i8) -> ScramCredentialDeletion {
        ScramCredentialDeletion { name: name.to_owned(), mechanism, ..Default::default() }
    }

    fn ask(
        controller: &mut Controller,
        deletions: Vec<ScramCredentialDeletion>,
        upsertions: Vec<ScramCredentialUpsertion>,
    ) -> (usize, Vec<(String, i16, String)>) {
        let request = AlterUserScramCredentialsRequest { deletions, upsertions, ..Default::default() };
        let proposal = decide(controller, Call::AlterCredentials(request));
        let Decided::AlterCredentials(response) = proposal.outcome else { panic!() };
        let told = response.results.into_iter();
        let told = told.map(|one| (one.user, one.error_code, one.error_message.unwrap_or_default()));
        (proposal.records.len(), told.collect())
    }

    #[test]
    fn credentials_are_set_and_removed() {
        let mut controller = start(settings(), None).0;
        let told = ask(&mut controller, Vec::new(), vec![set("b", 1, 4096), set("a", 2, 16_384)]);
        assert_eq!(told, (2, vec![("a".to_owned(), 0, String::new()), ("b".to_owned(), 0, String::new())]));
        let kept = controller.image().credentials().get("b", Mechanism::Sha256).unwrap();
        assert_eq!((kept.iterations, kept.stored_key.len(), kept.server_key.len()), (4096, 32, 32));
        assert_eq!(ask(&mut controller, vec![gone("b", 1)], Vec::new()).0, 1);
        assert_eq!(controller.image().credentials().get("b", Mechanism::Sha256), None);
    }

    #[test]
    fn credentials_that_cannot_be_are_refused_in_kafkas_words() {
        let twice = "A user credential cannot be altered twice in the same request";
        let missing = "Attempt to delete a user credential that does not exist";
        for (deletions, upsertions, code, message) in [
            (vec![], vec![set("", 1, 4096)], 93, "Username must not be empty"),
            (vec![], vec![set("u", 3, 4096)], 33, "Unknown SCRAM mechanism"),
            (vec![], vec![set("u", 1, 4095)], 93, "Too few iterations"),
            (vec![], vec![set("u", 1, 16_385)], 93, "Too many iterations"),
            (vec![], vec![set("u", 1, 4096), set("u", 2, 4096)], 92, twice),
            (vec![gone("u", 1)], vec![], 91, missing),
            (vec![gone("u", 1)], vec![set("u", 1, 4096)], 91, missing),
            (vec![gone("u", 0)], vec![], 33, "Unknown SCRAM mechanism"),
        ] {
            let mut controller = start(settings(), None).0;
            let (records, told) = ask(&mut controller, deletions, upsertions);
            assert_eq!((records, told.len(), told[0].1, told[0].2.as_str()), (0, 1, code, message));
        }
    }
}
