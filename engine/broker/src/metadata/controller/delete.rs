//! DeleteTopics (ControllerApis.deleteTopics): by name up to version 5, by name or id from version 6 on.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringlog_wire::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use ringlog_wire::records::metadata::RemoveTopicRecord;
use ringlog_wire::{ErrorCode, Uuid};

use super::super::image::{Image, Topic};
use super::Draft;
use super::create::Refusal;
use super::mutations::Mutations;
use crate::settings::Settings;

pub(super) fn delete_topics(
    request: DeleteTopicsRequest,
    version: i16,
    (settings, mutations): (&Settings, &mut Mutations),
    draft: &mut Draft,
) -> DeleteTopicsResponse {
    let wanted = wanted(request);
    let mut times: BTreeMap<(Option<String>, Uuid), usize> = BTreeMap::new();
    for topic in &wanted {
        *times.entry((topic.name.clone(), topic.topic_id)).or_default() += 1;
    }
    let mut responses = Vec::with_capacity(wanted.len());
    for topic in wanted {
        // A name or id that stands there twice is answered once.
        let Some(times) = times.remove(&(topic.name.clone(), topic.topic_id)) else { continue };
        let found = check(&topic, times, version, settings).and_then(|()| find(&topic, &draft.image));
        let result = found.and_then(|found| mutations.charge(found.partitions.len()).map(|()| found));
        responses.push(match result {
            Ok(found) => {
                draft.push(RemoveTopicRecord { topic_id: found.id, ..RemoveTopicRecord::default() });
                deleted(&found)
            }
            Err(refusal) => refused(topic, refusal),
        });
    }
    let throttle_time_ms = mutations.throttle_ms();
    DeleteTopicsResponse { responses, throttle_time_ms, ..DeleteTopicsResponse::default() }
}

/// What both forms of the request ask for.
fn wanted(request: DeleteTopicsRequest) -> Vec<DeleteTopicState> {
    let named = |name| DeleteTopicState { name: Some(name), ..DeleteTopicState::default() };
    request.topics.into_iter().chain(request.topic_names.into_iter().map(named)).collect()
}

fn check(topic: &DeleteTopicState, times: usize, version: i16, settings: &Settings) -> Result<(), Refusal> {
    let invalid = |message: &str| Err(Refusal::new(ErrorCode::INVALID_REQUEST, message));
    match (settings.delete_topic_enable(), version) {
        (false, ..3) => return invalid("Topic deletion is disabled."),
        (false, _) => return Err(Refusal::new(ErrorCode::TOPIC_DELETION_DISABLED, "Topic deletion is disabled.")),
        (true, _) => {}
    }
    match (topic.name.is_some(), topic.topic_id != Uuid::ZERO) {
        (false, false) => invalid("Neither topic name nor id were specified."),
        (true, true) => invalid("You may not specify both topic name and topic id."),
        (true, false) if times > 1 => invalid("Duplicate topic name."),
        (false, true) if times > 1 => invalid("Duplicate topic id."),
        _ => Ok(()),
    }
}

fn find(topic: &DeleteTopicState, image: &Image) -> Result<Arc<Topic>, Refusal> {
    match &topic.name {
        Some(name) => image.topic(name).cloned().ok_or_else(|| {
            let message = "This server does not host this topic-partition.";
            Refusal::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message)
        }),
        None => image
            .topic_by_id(topic.topic_id)
            .cloned()
            .ok_or_else(|| Refusal::new(ErrorCode::UNKNOWN_TOPIC_ID, "This server does not host this topic ID.")),
    }
}

fn deleted(topic: &Topic) -> DeletableTopicResult {
    DeletableTopicResult {
        name: Some(topic.name.to_string()),
        topic_id: topic.id,
        error_code: ErrorCode::NONE.0,
        error_message: None,
        ..DeletableTopicResult::default()
    }
}

fn refused(topic: DeleteTopicState, refusal: Refusal) -> DeletableTopicResult {
    DeletableTopicResult {
        name: topic.name,
        topic_id: topic.topic_id,
        error_code: refusal.code.0,
        error_message: Some(refusal.message),
        ..DeletableTopicResult::default()
    }
}
