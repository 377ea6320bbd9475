//! DescribeUserScramCredentials: v0, from the image; AlterUserScramCredentials: v0, which the controller decides.

use std::collections::BTreeSet;

use ringlog_wire::messages::alter_user_scram_credentials::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
};
use ringlog_wire::messages::describe_user_scram_credentials::DescribeUserScramCredentialsRequest;
use ringlog_wire::{ApiKey, EncodeError};

use crate::broker::{Broker, Caller, Incoming, Outcome};
use crate::handlers::Handler;
use crate::metadata::controller::{Call, Decided, scram};
use crate::response::{Asked, Response};

pub(crate) const DESCRIBE: Handler = Handler::new(ApiKey::DescribeUserScramCredentials, (0, 0), describe);
pub(crate) const ALTER: Handler = Handler::new(ApiKey::AlterUserScramCredentials, (0, 0), alter);

fn describe(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    match incoming.decode::<DescribeUserScramCredentialsRequest>() {
        Ok(request) => Response::of(incoming.asked, &broker.image.credentials().describe(&request)).into(),
        Err(refused) => Outcome::Refuse(refused),
    }
}

fn alter(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: AlterUserScramCredentialsRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    let deleted = request.deletions.iter().map(|one| one.name.clone());
    let users: BTreeSet<String> = deleted.chain(request.upsertions.iter().map(|one| one.name.clone())).collect();
    let names = users.into_iter().collect();
    let caller = Caller::Request { reply_to: incoming.reply_to, asked: incoming.asked, names, answer };
    broker.calls.push((caller, Call::AlterCredentials(request)));
    Outcome::Later
}

fn answer(asked: Asked, names: Vec<String>, decided: Decided) -> Result<Response, EncodeError> {
    match decided {
        Decided::AlterCredentials(body) => Response::of(asked, &body),
        decided => {
            let refusal = decided.refusal();
            let results = names.into_iter().map(|user| scram::told(user, Some(refusal.clone()))).collect();
            Response::of(asked, &AlterUserScramCredentialsResponse { results, ..Default::default() })
        }
    }
}
