//! CreateTopics: v2-7. The controller decides; the answer leaves when the records are on the disk.

use ringlog_wire::messages::create_topics::{CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse};
use ringlog_wire::{ApiKey, EncodeError};

use crate::broker::{Broker, Caller, Incoming, Outcome};
use crate::handlers::Handler;
use crate::metadata::controller::{Call, Decided, Refusal};
use crate::response::{Asked, Response};

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::CreateTopics, (2, 7), handle);

/// From here on a client that has no quota left is refused; before, it is served and waits (KIP-599).
const STRICT_FROM: i16 = 6;

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: CreateTopicsRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    let names = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let caller = Caller::Request { reply_to: incoming.reply_to, asked: incoming.asked, names, answer };
    let call = Call::CreateTopics(request);
    broker.calls.push((caller, call.by(incoming.client_id.as_deref(), incoming.asked.api_version >= STRICT_FROM)));
    Outcome::Later
}

fn answer(asked: Asked, names: Vec<String>, decided: Decided) -> Result<Response, EncodeError> {
    match decided {
        Decided::CreateTopics(body) => Response::held_back(asked, &body, body.throttle_time_ms),
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
