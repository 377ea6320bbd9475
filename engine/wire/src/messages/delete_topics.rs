//! DeleteTopics, key 20: versions 1 to 6, flexible from 4 on.

use crate::schema::prelude::*;

messages! {
    versions 1..=6, flexible 4;
    message DeleteTopicsRequest, DeleteTopicsResponse;

    /// Deletes topics.
    struct DeleteTopicsRequest {
        /// The topics.
        topics: Vec<DeleteTopicState> [6..],
        /// Names of the topics.
        topic_names: Vec<String> [0..=5],
        /// How long to wait, in ms.
        timeout_ms: i32 [0..],
    }

    /// A topic to delete, by name or id.
    struct DeleteTopicState {
        /// The name.
        name: Option<String> [6..] null [6..],
        /// The topic's id.
        topic_id: Uuid [6..],
    }

    /// Which topics were deleted.
    struct DeleteTopicsResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [1..],
        /// One answer per topic.
        responses: Vec<DeletableTopicResult> [0..],
    }

    /// A topic's part of the answer.
    struct DeletableTopicResult {
        /// The name.
        name: Option<String> [0..] null [6..] = Some(String::new()),
        /// The topic's id.
        topic_id: Uuid [6..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What went wrong, in words.
        error_message: Option<String> [5..] null [5..],
    }
}

api!(DeleteTopics: DeleteTopicsRequest => DeleteTopicsResponse);
