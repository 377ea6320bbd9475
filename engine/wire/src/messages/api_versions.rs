//! ApiVersions, key 18: versions 0 to 4, flexible from 3 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=4, flexible 3;
    message ApiVersionsRequest, ApiVersionsResponse;

    /// Asks what the broker serves.
    struct ApiVersionsRequest {
        /// The client library's name.
        client_software_name: String [3..],
        /// The client library's version.
        client_software_version: String [3..],
    }

    /// What the broker serves.
    struct ApiVersionsResponse {
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What the broker serves.
        api_keys: Vec<ApiVersion> [0..],
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [1..],
        /// Features and the levels that the broker supports.
        supported_features: Vec<SupportedFeatureKey> [3..] tag 0,
        /// Grows with each change of the finalized features, -1 if unknown.
        finalized_features_epoch: i64 [3..] tag 1 = -1,
        /// Features and the levels that are in force.
        finalized_features: Vec<FinalizedFeatureKey> [3..] tag 2,
        /// Whether the controller is ready to migrate from ZooKeeper.
        zk_migration_ready: bool [3..] tag 3,
    }

    /// An API's versions.
    struct ApiVersion {
        /// The API's number.
        api_key: i16 [0..],
        /// The lowest version.
        min_version: i16 [0..],
        /// The highest version.
        max_version: i16 [0..],
    }

    /// A feature's supported levels.
    struct SupportedFeatureKey {
        /// The name.
        name: String [3..],
        /// The lowest version.
        min_version: i16 [3..],
        /// The highest version.
        max_version: i16 [3..],
    }

    /// A feature's level in force.
    struct FinalizedFeatureKey {
        /// The name.
        name: String [3..],
        /// The highest level in force.
        max_version_level: i16 [3..],
        /// The lowest level in force.
        min_version_level: i16 [3..],
    }
}

api!(ApiVersions: ApiVersionsRequest => ApiVersionsResponse);
