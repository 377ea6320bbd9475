//! CreateTopics: v2-7. The controller decides; the answer leaves when the records are on the disk.

use ringlog_wire::messages::create_topics::{CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse};
use ringlog_wire::{ApiKey, EncodeError};

use crate::broker::{Broker, Caller, Incoming, Outcome};
use crate::handlers::Handler;
use crate::metadata::controller::{Call, Decided, Refusal};
use crate::response::{Asked, Response};

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::CreateTopics, (2, 7), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: CreateTopicsRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    let names = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let caller = Caller::Request { reply_to: incoming.reply_to, asked: incoming.asked, names, answer };
    broker.calls.push((caller, Call::CreateTopics(request)));
    Outcome::Later
}

fn answer(asked: Asked, names: Vec<String>, decided: Decided) -> Result<Response, EncodeError> {
    match decided {
        Decided::CreateTopics(body) => Response::of(asked, &body),
        decided => Response::of(asked, &failed(names, &decided.refusal())),
    }
}

fn failed(names: Vec<String>, refusal: &Refusal) -> CreateTopicsResponse {
    let refused = |name| CreatableTopicResult {
        name,
        error_code: refusal.code.0,
        error_message: Some(refusal.message.clone()),
        ..Default::default()
    };
    CreateTopicsResponse { topics: names.into_iter().map(refused).collect(), ..Default::default() }
}
