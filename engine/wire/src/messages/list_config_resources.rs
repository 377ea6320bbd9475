//! ListConfigResources, key 74: versions 0 to 1, flexible from 0 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=1, flexible 0;
    message ListConfigResourcesRequest, ListConfigResourcesResponse;

    /// Asks which resources have settings.
    struct ListConfigResourcesRequest {
        /// Types of resources: 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group; none for all.
        resource_types: Vec<i8> [1..],
    }

    /// The resources.
    struct ListConfigResourcesResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// The resources.
        config_resources: Vec<ConfigResource> [0..],
    }

    /// A resource.
    struct ConfigResource {
        /// Its name.
        resource_name: String [0..],
        /// Its type.
        resource_type: i8 [1..] = 16,
    }
}

api!(ListConfigResources: ListConfigResourcesRequest => ListConfigResourcesResponse);
