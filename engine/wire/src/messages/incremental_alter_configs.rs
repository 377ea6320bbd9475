//! IncrementalAlterConfigs, key 44: versions 0 to 1, flexible from 1 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=1, flexible 1;
    message IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse;

    /// Changes single settings of resources.
    struct IncrementalAlterConfigsRequest {
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
        /// The changes.
        configs: Vec<AlterableConfig> [0..],
    }

    /// A change of one setting.
    struct AlterableConfig {
        /// The name.
        name: String [0..],
        /// 0 set, 1 delete, 2 append to a list, 3 subtract from a list.
        config_operation: i8 [0..],
        /// The value, or the items.
        value: Option<String> [0..] null [0..] = Some(String::new()),
    }

    /// What was changed.
    struct IncrementalAlterConfigsResponse {
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

api!(IncrementalAlterConfigs: IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse);
