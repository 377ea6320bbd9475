//! DeleteTopics: v1-6, by id from v6 on. The controller decides; the answer leaves when the records are on the disk.

use ringlog_wire::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use ringlog_wire::{ApiKey, EncodeError};

use crate::broker::{Broker, Caller, Incoming, Outcome};
use crate::handlers::Handler;
use crate::metadata::controller::{Call, Decided, Refusal};
use crate::response::{Asked, Response};

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::DeleteTopics, (1, 6), handle);

/// From here on a client that has no quota left is refused; before, it is served and waits (KIP-599).
const STRICT_FROM: i16 = 5;

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: DeleteTopicsRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    let names: Vec<String> = request.topic_names.iter().cloned().chain(request.topics.iter().map(to_name)).collect();
    let caller = Caller::Request { reply_to: incoming.reply_to, asked: incoming.asked, names, answer };
    let call = Call::DeleteTopics(request, incoming.asked.api_version);
    broker.calls.push((caller, call.by(incoming.client_id.as_deref(), incoming.asked.api_version >= STRICT_FROM)));
    Outcome::Later
}

fn answer(asked: Asked, names: Vec<String>, decided: Decided) -> Result<Response, EncodeError> {
    match decided {
        Decided::DeleteTopics(body) => Response::held_back(asked, &body, body.throttle_time_ms),
        decided => Response::of(asked, &failed(&names, &decided.refusal())),
    }
}

/// Stands before a topic's id among names, for who answers without the controller's word. No topic's name has a colon.
const ID: &str = "id:";

/// A topic of the request as one text.
fn to_name(topic: &DeleteTopicState) -> String {
    topic.name.clone().unwrap_or_else(|| format!("{ID}{}", topic.topic_id))
}

fn failed(names: &[String], refusal: &Refusal) -> DeleteTopicsResponse {
    let result = |text: &String| {
        let topic_id = text.strip_prefix(ID).and_then(|id| id.parse().ok());
        DeletableTopicResult {
            name: topic_id.is_none().then(|| text.clone()),
            topic_id: topic_id.unwrap_or_default(),
            error_code: refusal.code.0,
            error_message: Some(refusal.message.clone()),
            ..Default::default()
        }
    };
    DeleteTopicsResponse { responses: names.iter().map(result).collect(), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringlog_wire::{ErrorCode, Uuid};

    #[test]
    fn every_topic_of_a_request_that_failed_is_answered_by_name_or_by_id() {
        let by_name = DeleteTopicState { name: Some("t".into()), ..Default::default() };
        let by_id = DeleteTopicState { name: None, topic_id: Uuid([7; 16]), ..Default::default() };
        let names: Vec<String> = [by_name, by_id].iter().map(to_name).collect();
        let refusal = Refusal::new(ErrorCode::KAFKA_STORAGE_ERROR, "no room");
        let told = failed(&names, &refusal).responses;
        let told: Vec<_> = told.iter().map(|one| (one.name.as_deref(), one.topic_id, one.error_code)).collect();
        assert_eq!(told, [(Some("t"), Uuid::ZERO, 56), (None, Uuid([7; 16]), 56)]);
    }
}
