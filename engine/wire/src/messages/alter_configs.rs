//! AlterConfigs, key 33: versions 0 to 2, flexible from 2 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=2, flexible 2;
    message AlterConfigsRequest, AlterConfigsResponse;

    /// Replaces all settings of resources.
    struct AlterConfigsRequest {
        /// What to change.
        resources: Vec<AlterConfigsResource> [0..],
        /// Whether to check without doing it.
        validate_only: bool [0..],
    }

    /// A topic or broker to change.
    struct AlterConfigsResource {
        /// The resource's type: 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
        resource_type: i8 [0..],
        /// The resource's name.
        resource_name: String [0..],
        /// The settings that it has afterwards.
        configs: Vec<AlterableConfig> [0..],
    }

    /// A setting.
    struct AlterableConfig {
        /// The name.
        name: String [0..],
        /// The value.
        value: Option<String> [0..] null [0..] = Some(String::new()),
    }

    /// What was changed.
    struct AlterConfigsResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// One answer per resource.
        responses: Vec<AlterConfigsResourceResponse> [0..],
    }

    /// A resource's part of the answer.
    struct AlterConfigsResourceResponse {
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What went wrong, in words.
        error_message: Option<String> [0..] null [0..] = Some(String::new()),
        /// The resource's type.
        resource_type: i8 [0..],
        /// The resource's name.
        resource_name: String [0..],
    }
}

api!(AlterConfigs: AlterConfigsRequest => AlterConfigsResponse);
