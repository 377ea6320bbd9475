//! UpdateFeatures, key 57: versions 0 to 2, flexible from 0 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=2, flexible 0;
    message UpdateFeaturesRequest, UpdateFeaturesResponse;

    /// Changes the levels of features.
    struct UpdateFeaturesRequest {
        /// How long to wait, in ms.
        timeout_ms: i32 [0..] = 60_000,
        /// The features.
        feature_updates: Vec<FeatureUpdateKey> [0..],
        /// Whether to check without doing it.
        validate_only: bool [1..],
    }

    /// A feature's new level.
    struct FeatureUpdateKey {
        /// The feature's name.
        feature: String [0..],
        /// The level, below 1 to take the feature away.
        max_version_level: i16 [0..],
        /// Whether it may be lower than before.
        allow_downgrade: bool [0..=0],
        /// 1 up only, 2 down where nothing is lost, 3 down.
        upgrade_type: i8 [1..] = 1,
    }

    /// What became of it.
    struct UpdateFeaturesResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What went wrong, in words.
        error_message: Option<String> [0..] null [0..] = Some(String::new()),
        /// The features.
        results: Vec<UpdatableFeatureResult> [0..=1],
    }

    /// A feature's part of the answer.
    struct UpdatableFeatureResult {
        /// The feature's name.
        feature: String [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What went wrong, in words.
        error_message: Option<String> [0..] null [0..] = Some(String::new()),
    }
}

api!(UpdateFeatures: UpdateFeaturesRequest => UpdateFeaturesResponse);
