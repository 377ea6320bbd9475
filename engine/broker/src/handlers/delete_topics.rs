//! DeleteTopics: v1-6, by id from v6 on. The controller decides; the answer leaves when the records are on the disk.

use ringlog_wire::messages::delete_topics::{DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse};
use ringlog_wire::{ApiKey, EncodeError, ErrorCode};

use crate::broker::{Broker, Caller, Incoming, Outcome};
use crate::handlers::Handler;
use crate::metadata::controller::{Call, Outcome as Decided};
use crate::response::{Asked, Response};

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::DeleteTopics, (1, 6), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: DeleteTopicsRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    let by_id = request.topics.iter().filter_map(|topic| topic.name.clone());
    let names: Vec<String> = request.topic_names.iter().cloned().chain(by_id).collect();
    let caller = Caller::Request { reply_to: incoming.reply_to, asked: incoming.asked, names, answer };
    broker.calls.push((caller, Call::DeleteTopics(request, incoming.asked.api_version)));
    Outcome::Later
}

fn answer(asked: Asked, names: Vec<String>, decided: Decided) -> Result<Response, EncodeError> {
    match decided {
        Decided::DeleteTopics(body) => Response::of(asked, &body),
        Decided::Failed(error) => Response::of(asked, &failed(names, error)),
        _ => Response::of(asked, &failed(names, ErrorCode::UNKNOWN_SERVER_ERROR)),
    }
}

fn failed(names: Vec<String>, error: ErrorCode) -> DeleteTopicsResponse {
    let result = |name| DeletableTopicResult { name: Some(name), error_code: error.0, ..Default::default() };
    DeleteTopicsResponse { responses: names.into_iter().map(result).collect(), ..Default::default() }
}
